"""A driver whose values a scripted codec server encodes. A proxy records what reaches the Temporal server."""

import contextlib
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from temporalio.api.common.v1 import Payloads
from temporalio.service import RPCError

from harness import scripted_codec
from harness.activities import ExternalActivity, WorkflowActivity
from harness.driver import OpenActivity
from harness.fixtures import StartActivity
from harness.languages import LANGUAGES
from harness.polling import wait_until
from harness.proxy import Proxy
from harness.scripted_codec import ScriptedCodec
from harness.signals import Signals

TIMEOUT_MS = 3_000
# Longer than all faults.
LONG_MS = 60_000
# In two leases there are at least this many beats.
_BEATS_OF_TWO_LEASES = 4
# A word in each value, the value of a header, and a credential. Only the codec server may see them.
PLANTED, HEADER, KEY = "planted-word", "planted-header", "planted-key"


def value(script: str, number: int) -> dict[str, Any]:
    """Returns a value for which the codec server follows a script."""
    return {"script": script, "number": number, "text": PLANTED}


@dataclass(frozen=True)
class Held:
    """An activity of a workflow that the driver holds open. Its records follow a script."""

    script: str
    started: WorkflowActivity
    handle: OpenActivity

    def record(self, number: int) -> None:
        self.handle.record(value(self.script, number))

    def held_by_server(self) -> list[int]:
        """Returns the numbers of the records that the server holds. Fails if they are readable."""
        values = scripted_codec.decode(Payloads.FromString(self.started.last_heartbeat()[1]))
        return [one["number"] for one in scripted_codec.content(values)]

    def check_lease(self, state: str = "open") -> None:
        """Fails if the lease was ever lost."""
        info = self.handle.info()
        assert (info["state"], info["leases_regained"]) == (state, 0), f"{self.script}: {info}"
        assert Signals.LEASE_LOST not in self.handle.signals(), self.script


def wait_for_two_leases(every: Sequence[Held]) -> None:
    """Waits until each activity has beaten for two leases, and checks that it has its lease."""

    def beats(held: Held) -> int:
        return int(held.handle.info()["beats"])

    for held, before in [(held, beats(held)) for held in every]:
        enough = before + _BEATS_OF_TWO_LEASES
        wait_until(lambda held=held, enough=enough: beats(held) >= enough, f"{held.script}: beats of two leases")  # type: ignore[misc]
        held.check_lease()


class CodecDriver(AbstractContextManager["CodecDriver"]):
    """The driver, with its log in a file."""

    def __init__(self, codec: ScriptedCodec, proxy: Proxy, start: StartActivity, logs: Path) -> None:
        self.codec = codec
        self.proxy = proxy
        self._start = start
        self._logs = logs
        self._started: list[ExternalActivity] = []
        inside = ["sh", "-c", 'log=$1 && shift && exec "$@" 2>"$log"', "sh", str(logs)]
        self.driver = LANGUAGES["python"].start({"THB_LOG": "debug"}, inside=inside)

    def __exit__(self, *_: object) -> None:
        status = self.driver.close()
        for started in self._started:
            # The workflow's worker has no codec, so it can't read how its activity ended.
            with contextlib.suppress(RPCError):
                started.terminate()
        assert status == 0, self.logs()

    def connect(self, **options: Any) -> None:
        self.driver.connect(
            {
                "address": self.proxy.address,
                "compression": "none",
                "codec_endpoint": self.codec.endpoint,
                "codec_auth": f"Bearer {KEY}",
                "codec_headers": {"x-planted": HEADER},
                **options,
            }
        )

    def start(self, timeout_ms: int = LONG_MS) -> WorkflowActivity:
        started = self._start("workflow", heartbeat_timeout_ms=timeout_ms, maximum_attempts=1)
        assert isinstance(started, WorkflowActivity)
        self._started.append(started)
        return started

    def hold(self, script: str, timeout_ms: int = TIMEOUT_MS, **options: Any) -> Held:
        """Starts an activity and opens it."""
        started = self.start(timeout_ms)
        token = started.next_attempt().token
        handle = self.driver.open_as(started.id, token, heartbeat_timeout_ms=timeout_ms, **options)
        return Held(script, started, handle)

    def logs(self) -> str:
        return self._logs.read_text()

    def check_secrets(self, *texts: str) -> None:
        """Fails if the Temporal server, the log or one of these texts has a planted word."""
        recorded = b"".join(self.proxy.recorded)
        assert scripted_codec.ENCODING in recorded, "nothing was recorded"
        assert PLANTED.encode() not in recorded
        for word in (PLANTED, HEADER, KEY):
            for text in (self.logs(), *texts):
                assert word not in text
