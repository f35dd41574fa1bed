"""Metrics, and log records for logging and stderr."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import threading
import time
import urllib.request
from base64 import b64encode
from pathlib import Path
from typing import Any

import pytest
from support import BlackHole

import temporal_heartbeat as thb

# The environment of a child process, with the package and without this process's settings.
ENVIRONMENT = {
    name: value
    for name, value in os.environ.items()
    if not name.startswith(("TEMPORAL_", "THB_")) or name == "TEMPORAL_HEARTBEAT_LIBRARY"
}
ENVIRONMENT["PYTHONPATH"] = str(Path(thb.__file__).parents[1])


def run(program: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", program],
        env={**ENVIRONMENT, **variables},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def next_record(event: str) -> dict[str, Any]:
    """Waits for the next record of this event."""
    end = time.monotonic() + 20
    while time.monotonic() < end:
        for record in thb.log_records():
            if record["event"] == event:
                return record
        time.sleep(0.01)
    raise AssertionError(f"{event} never came")


def test_metrics_need_no_connection(disconnected: None) -> None:
    assert "# TYPE temporal_request counter" in thb.metrics()


def test_records_are_dicts(disconnected: None, closed_port: str) -> None:
    for _ in thb.log_records():
        pass
    with pytest.raises(thb.UnavailableError):
        thb.connect(address=closed_port, connect_timeout=0.2)
    record = next_record("connect_failed")
    assert record["level"] == "warn"
    assert record["peer"] == closed_port


def test_prometheus_parses_the_fetched_metrics(disconnected: None, closed_port: str) -> None:
    parser = pytest.importorskip("prometheus_client.parser")
    thb.connect(address=closed_port, namespace="parsed", lazy=True, metrics_address="127.0.0.1:0")
    address = next_record("metrics_served")["address"]
    with pytest.raises(thb.UnavailableError):
        thb.heartbeat(b"token", 1, timeout=0.3)
    with urllib.request.urlopen(f"http://{address}/metrics") as answer:
        text = answer.read().decode()
    families = {family.name: family for family in parser.text_string_to_metric_families(text)}
    assert families["temporal_request"].type == "counter"
    assert families["temporal_heartbeat_activities_open"].type == "gauge"
    failures = [
        sample
        for sample in families["temporal_request_failure"].samples
        if sample.labels["operation"] == "RecordActivityTaskHeartbeat"
    ]
    assert [sample.labels["status_code"] for sample in failures] == ["UNAVAILABLE"]
    for family in families.values():
        assert family.documentation
        assert all(s.labels["namespace"] == "parsed" for s in family.samples)
        if family.type == "histogram":
            buckets = [s.value for s in family.samples if s.name.endswith("_bucket")]
            assert family.name.endswith(("_latency", "_ratio"))
            assert buckets or not family.samples
    assert text == text.strip() + "\n"


def test_the_documentation_lists_all_metrics(disconnected: None) -> None:
    page = Path(__file__).resolve().parents[3] / "docs" / "metrics.md"
    rows = [line.split("|") for line in page.read_text().splitlines() if line.startswith("| `temp")]
    documented = {row[1].strip().strip("`"): row[2].strip() for row in rows}
    types = [line.split()[2:] for line in thb.metrics().splitlines() if line.startswith("# TYPE")]
    assert documented == dict(types)


FORWARDING = """
import logging, temporal_heartbeat as thb
logging.basicConfig(format="%(levelname)s %(name)s %(message)s")
thb.forward_logs()
try:
    thb.connect(address={address!r}, connect_timeout=0.2)
except thb.UnavailableError:
    pass
"""


def test_records_are_forwarded_until_exit(library_path: Path, closed_port: str) -> None:
    for _ in range(3):
        done = run(FORWARDING.format(address=closed_port))
        assert done.returncode == 0
        assert done.stderr.startswith("WARNING temporal_heartbeat connect_failed: "), done.stderr


def test_forwarded_messages_do_not_control_the_terminal(library_path: Path) -> None:
    address = "unix:/nowhere/\x1b[31m\n\x9b\u202e"
    done = run(FORWARDING.format(address=address), THB_LOG="warn")
    lines = done.stderr.splitlines()
    # The lines of THB_LOG and the forwarded ones have the same form.
    for beginning in ("WARNING temporal_heartbeat connect_failed", "20"):
        written = [line for line in lines if line.startswith(beginning)]
        assert written
        escaped = r"unix:/nowhere/\u{1b}[31m\n\u{9b}\u{202e}: "
        assert all(escaped in line for line in written), written
    assert all(line.startswith(("WARNING ", "20")) for line in lines), lines


def test_forwarding_continues_after_a_handler_raises(
    disconnected: None, closed_port: str, caplog: pytest.LogCaptureFixture
) -> None:
    logger = logging.getLogger("test.of.forwarding")

    class Raising(logging.Handler):
        called = threading.Event()

        def emit(self, record: logging.LogRecord) -> None:
            self.called.set()
            raise RuntimeError("this handler fails")

    def fail_to_connect() -> None:
        with pytest.raises(thb.UnavailableError):
            thb.connect(address=closed_port, connect_timeout=0.2)

    # Records of earlier tests would come first.
    for _ in thb.log_records():
        pass
    raising = Raising()
    logger.addHandler(raising)
    thb.forward_logs(logger)
    fail_to_connect()
    raising.called.wait(20)
    logger.removeHandler(raising)
    fail_to_connect()
    # Other records of the first attempt can follow the record that the handler refused.
    end = time.monotonic() + 20
    while time.monotonic() < end:
        forwarded = {vars(r)["temporal_heartbeat"]["event"]: r for r in list(caplog.records)}
        if "connect_failed" in forwarded:
            break
        time.sleep(0.01)
    record = forwarded["connect_failed"]
    assert (record.levelname, record.name) == ("WARNING", "test.of.forwarding")
    assert abs(record.created - time.time()) < 60


LOGGING = """
import temporal_heartbeat as thb
try:
    thb.connect(address={address!r}, connect_timeout=0.2)
except thb.Error as error:
    print(type(error).__name__, error.message)
"""


def test_records_are_written_to_stderr_only_with_thb_log(
    library_path: Path, closed_port: str
) -> None:
    program = LOGGING.format(address=closed_port)
    assert run(program).stderr == ""
    assert run(program, THB_LOG="off").stderr == run(program, THB_LOG="error").stderr == ""
    shown = run(program, THB_LOG="info")
    assert " WARN  temporal-heartbeat connect_failed: " in shown.stderr
    assert shown.stdout.startswith("UnavailableError")
    wrong = run(program, THB_LOG="loud")
    assert wrong.stdout.startswith("ConfigError THB_LOG must be off, error, warn, info or debug")


SECRET = "s3cr3t"

WITH_SECRETS = """
import temporal_heartbeat as thb
options = dict(api_key={secret!r}, grpc_meta={{"x-token": {secret!r}}}, connect_timeout=0.3)
proxy = "user:{secret}@127.0.0.1:1"
for more in ({{"lazy": True}}, {{}}, {{"tls": False}}, {{"tls": False, "proxy": proxy}}):
    try:
        thb.connect(address={address!r}, metrics_address="127.0.0.1:0", **options, **more)
        thb.heartbeat({secret!r}.encode(), {secret!r}, timeout=0.3)
    except thb.Error as error:
        print(type(error).__name__, error)
    thb.disconnect(timeout=0)
    print(thb.metrics(), *thb.log_records())
"""


def test_no_credential_is_ever_shown(
    library_path: Path, closed_port: str, black_hole: BlackHole
) -> None:
    for address in (closed_port, black_hole.address):
        done = run(WITH_SECRETS.format(secret=SECRET, address=address), THB_LOG="debug")
        assert "_failed: " in done.stderr, done.stderr
        assert "temporal_request_failure{" in done.stdout, done.stdout
        for form in (SECRET, SECRET.encode().hex(), b64encode(SECRET.encode()).decode()[:7]):
            assert form not in done.stdout + done.stderr


UNREAD = """
import os, time
reader, writer = os.pipe()
os.dup2(writer, 2)
os.close(writer)
if {closed}:
    os.close(reader)
else:
    os.set_blocking(2, False)
    try:
        while os.write(2, b"x" * 4096): pass
    except BlockingIOError:
        pass
    os.set_blocking(2, True)
import temporal_heartbeat as thb
began = time.monotonic()
try:
    thb.connect(address={address!r}, connect_timeout=0.2)
except thb.UnavailableError:
    print("unavailable", time.monotonic() - began < 20)
"""


@pytest.mark.parametrize("closed", [True, False], ids=["closed", "full"])
def test_an_unread_stderr_does_not_block_calls(
    library_path: Path, closed_port: str, closed: bool
) -> None:
    done = run(UNREAD.format(closed=closed, address=closed_port), THB_LOG="debug")
    assert (done.returncode, done.stdout.strip()) == (0, "unavailable True")


FORKING = """
import os, socket, temporal_heartbeat as thb
thb.connect(address={address!r}, lazy=True, metrics_address="127.0.0.1:0")
[address] = [r["address"] for r in thb.log_records() if r["event"] == "metrics_served"]
host, port = address.split(":")
reader, writer = os.pipe()
child = os.fork()
if child == 0:
    os.read(reader, 1)
    os._exit(0)
thb.disconnect(timeout=0)
while True:
    try:
        socket.create_connection((host, int(port))).close()
    except ConnectionRefusedError:
        break
socket.create_server((host, int(port))).close()
os.write(writer, b"x")
os.waitpid(child, 0)
print("free")
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs os.fork")
def test_a_child_does_not_keep_the_metrics_address(library_path: Path, closed_port: str) -> None:
    done = run(FORKING.format(address=closed_port))
    assert done.stdout == "free\n", done.stderr
