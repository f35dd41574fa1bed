"""The server and its TLS proxy stop and restart under load. No call is lost."""

import threading
from contextlib import ExitStack
from pathlib import Path

from harness.activities import start_activity
from harness.certificates import Authority
from harness.driver import Driver
from harness.languages import LANGUAGES, available
from harness.nginx import Nginx
from harness.server import NAMESPACE, ServerProcess
from harness.signals import Signals
from harness.worker import ActivityOptions, SdkWorker

# Longer than a server's start on a loaded machine.
CALL_MS = 55_000
LEASE_MS = 600_000
# The number of calls that each thread makes before and after each restart.
CALLS = 10


class Beater:
    """Makes one call after the other, until `stop` is called or a call fails."""

    def __init__(self, driver: Driver, token: bytes) -> None:
        self.driver, self.token = driver, token
        self.calls = 0
        self._failed: Exception | None = None
        self._progress = threading.Condition()
        self._stopping = False
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def goes_on(self) -> None:
        """Waits for another CALLS calls."""
        with self._progress:
            enough = self.calls + CALLS
            assert self._progress.wait_for(lambda: self._failed or self.calls >= enough, 2 * CALL_MS / 1000)
            assert not self._failed, self._failed

    def stop(self) -> None:
        self._stopping = True
        self._thread.join(2 * CALL_MS / 1000)
        assert not self._failed, self._failed

    def _run(self) -> None:
        try:
            while not self._stopping:
                assert self.driver.heartbeat(self.token, self.calls + 1, timeout=CALL_MS) == Signals.NONE
                with self._progress:
                    self.calls += 1
                    self._progress.notify_all()
        except Exception as failure:  # the test raises it
            with self._progress:
                self._failed = failure
                self._progress.notify_all()


def test_restarts_under_load_behind_tls_lose_no_call(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    pair = authority.sign("solver")
    tls = {
        "server_ca_cert_path": str(authority.path),
        "client_cert_path": str(pair.cert_path),
        "client_key_path": str(pair.key_path),
    }
    options = ActivityOptions(heartbeat_timeout_ms=LEASE_MS, start_to_close_ms=LEASE_MS)
    with ExitStack() as stack:
        process = stack.enter_context(ServerProcess("--db-filename", str(tmp_path / "temporal.db")))
        sdk_worker = stack.enter_context(SdkWorker(process.server.address))
        # nginx also closes connections after some requests, by default after 1000.
        nginx = Nginx(tmp_path / "nginx", process.server.address, authority.sign(), clients_of=authority, requests=50)
        stack.enter_context(nginx)
        beaters = []
        for language in available():
            driver = LANGUAGES[language].start({})
            stack.callback(driver.close)
            driver.connect(
                {"address": nginx.address, "namespace": NAMESPACE, "tls": tls, "connect_timeout_ms": CALL_MS}
            )
            token = start_activity("workflow", sdk_worker, options).next_attempt().token
            beaters.append(Beater(driver, token))

        def all_go_on() -> None:
            for beater in beaters:
                beater.goes_on()

        all_go_on()
        nginx.kill()
        nginx.start()
        all_go_on()
        process.kill()
        process.start_again()
        all_go_on()
        process.kill()
        nginx.kill()
        process.start_again()
        nginx.start()
        all_go_on()
        for beater in beaters:
            beater.stop()
            assert beater.driver.get_details(beater.token, timeout=CALL_MS).values == [beater.calls]
