"""The server is killed and restarted on its database. Calls wait for the server, and its state is unchanged."""

from collections.abc import Iterator

import pytest

from harness.activities import Kind
from harness.driver import Refused
from harness.fleet import Fleet, start_fleet
from harness.languages import LANGUAGES
from harness.server import ServerProcess
from harness.signals import Signals
from harness.worker import SdkWorker

SHORTER_THAN_THE_OUTAGE_MS = 1_000
LONGER_THAN_THE_OUTAGE_MS = 60_000


@pytest.fixture(scope="module")
def survivors(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    """Each member's call failed in the outage. A second call began in the outage and succeeded after the restart."""
    database = tmp_path_factory.mktemp("server") / "temporal.db"
    with (
        ServerProcess("--db-filename", str(database)) as process,
        SdkWorker(process.server.address) as sdk_worker,
        start_fleet(process.server, sdk_worker) as members,
    ):
        for member in members.values():
            member.driver.heartbeat(member.token, 40)
        process.kill()
        members.start(lambda driver, token: driver.start_heartbeat(token, 41, timeout=SHORTER_THAN_THE_OUTAGE_MS))
        members.finish()
        for member in members.values():
            assert isinstance(member.outcome, Refused), member.outcome
            assert member.outcome.status == "THB_UNAVAILABLE", member.outcome

        members.start(lambda driver, token: driver.start_heartbeat(token, 42, timeout=LONGER_THAN_THE_OUTAGE_MS))
        process.start_again()
        members.finish()
        yield members


def test_call_outlasts_a_server_that_is_killed_and_started_again(language: str, kind: Kind, survivors: Fleet) -> None:
    LANGUAGES[language].command()
    member = survivors[language, kind]
    assert member.outcome == [str(int(Signals.NONE))]
    assert member.driver.get_details(member.token).values == [42]
    member.driver.complete(member.token, "done")
    assert member.activity.result() == "done"
