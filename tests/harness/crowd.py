"""One activity of each kind in each language, at once: for what is too dear to be done to each by itself."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from harness.activities import KINDS, ExternalActivity, Kind, start_activity
from harness.driver import Driver, Refused
from harness.languages import LANGUAGES, available
from harness.server import NAMESPACE, Server
from harness.worker import ActivityOptions, Backstage


@dataclass
class Member:
    """An attempt that beats, and what became of the call that was made on it last."""

    activity: ExternalActivity
    driver: Driver
    token: bytes
    outcome: list[str] | Refused | None = None


class Crowd(dict[tuple[str, Kind], Member]):
    def all(self, start: Callable[[Driver, bytes], None]) -> None:
        """Starts a call on each, and leaves it to `finish`."""
        for member in self.values():
            start(member.driver, member.token)

    def finish(self) -> None:
        for member in self.values():
            try:
                member.outcome = member.driver.finish()
            except Refused as refusal:
                member.outcome = refusal


@contextmanager
def crowd(server: Server, backstage: Backstage) -> Iterator[Crowd]:
    kinds = [kind for kind in KINDS if kind == "workflow" or backstage.has_standalone]
    with ExitStack() as stack:
        gathered = Crowd()
        for language in available():
            for kind in kinds:
                driver = LANGUAGES[language].start({})
                stack.callback(driver.close)
                driver.connect({"address": server.address, "namespace": NAMESPACE, "connect_timeout_ms": 60_000})
                activity = start_activity(kind, backstage, ActivityOptions())
                gathered[language, kind] = Member(activity, driver, activity.next_attempt().token)
        yield gathered
