"""Results, failures and timeouts, as the workflows of the official SDKs see them."""

from interop import pairs
from interop.pairs import Pair
from interop.sdks import Sdk
from interop.stage import Stage
from interop.table import FAILURE, TIMEOUT
from interop.worker import Ending


@pairs.meetings(pairs.read_by)
def test_workflow_gets_our_result(sdk: Sdk, stage: Stage, pair: Pair) -> None:
    _, row = pair
    result = row.read_by(sdk.language)[:1]
    assert stage.written[pair].ending == Ending("completed", "", result)


@pairs.meetings(pairs.read_by)
def test_workflow_gets_the_details_of_our_failure(sdk: Sdk, stage: Stage, pair: Pair) -> None:
    _, row = pair
    details = row.read_by(sdk.language, FAILURE)
    assert stage.failed[pair] == Ending("failed", "for good", details)


@pairs.meetings(lambda sdk: pairs.read_by(sdk, ["c"]))
def test_workflow_gets_our_last_heartbeat_details_with_the_timeout(sdk: Sdk, stage: Stage, pair: Pair) -> None:
    ending = stage.timed_out[pair]
    _, row = pair
    assert ending.how == "timed out"
    assert ending.seen == row.read_by(sdk.language, TIMEOUT)
