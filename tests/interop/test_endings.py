"""Results, failures and timeouts, as the workflows of the official SDKs read them."""

from interop import cases
from interop.cases import Case
from interop.documented_values import FAILURE, TIMEOUT
from interop.peer_worker import Ending
from interop.scenarios import SdkScenarios
from interop.sdks import Sdk


@cases.parametrize(cases.read_by)
def test_workflow_gets_the_childs_result(sdk: Sdk, scenarios: SdkScenarios, case: Case) -> None:
    _, row = case
    result = row.read_by(sdk.language)[:1]
    assert scenarios.written[case].ending == Ending("completed", "", result)


@cases.parametrize(cases.read_by)
def test_workflow_gets_the_details_of_the_childs_failure(sdk: Sdk, scenarios: SdkScenarios, case: Case) -> None:
    _, row = case
    details = row.read_by(sdk.language, FAILURE)
    assert scenarios.failed[case] == Ending("failed", "for good", details)


@cases.parametrize(lambda sdk: cases.read_by(sdk, ["c"]))
def test_workflow_gets_the_childs_last_heartbeat_details_with_the_timeout(
    sdk: Sdk, scenarios: SdkScenarios, case: Case
) -> None:
    ending = scenarios.timed_out[case]
    _, row = case
    assert ending.how == "timed out"
    assert ending.seen == row.read_by(sdk.language, TIMEOUT)
