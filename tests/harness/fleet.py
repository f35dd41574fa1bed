"""One activity of each kind in each language, for faults that are too slow to be injected for each one separately."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from harness.activities import KINDS, ExternalActivity, Kind, start_activity
from harness.driver import Driver, Refused
from harness.languages import LANGUAGES, available
from harness.server import NAMESPACE, Server
from harness.worker import ActivityOptions, SdkWorker


@dataclass
class Member:
    """An attempt, and the outcome of the last call."""

    activity: ExternalActivity
    driver: Driver
    token: bytes
    outcome: list[str] | Refused | None = None


class Fleet(dict[tuple[str, Kind], Member]):
    def start(self, call: Callable[[Driver, bytes], None]) -> None:
        """Starts a call on each member. `finish` waits for the answers."""
        for member in self.values():
            call(member.driver, member.token)

    def finish(self) -> None:
        for member in self.values():
            try:
                member.outcome = member.driver.finish()
            except Refused as refusal:
                member.outcome = refusal


@contextmanager
def start_fleet(server: Server, sdk_worker: SdkWorker) -> Iterator[Fleet]:
    kinds = [kind for kind in KINDS if kind == "workflow" or sdk_worker.has_standalone]
    with ExitStack() as stack:
        fleet = Fleet()
        for language in available():
            for kind in kinds:
                driver = LANGUAGES[language].start({})
                stack.callback(driver.close)
                driver.connect({"address": server.address, "namespace": NAMESPACE, "connect_timeout_ms": 60_000})
                activity = start_activity(kind, sdk_worker, ActivityOptions())
                fleet[language, kind] = Member(activity, driver, activity.next_attempt().token)
        yield fleet
