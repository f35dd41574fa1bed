"""Heartbeat details, from the library to the official SDKs' workers, and from them to the library."""

from interop import cases
from interop.cases import Case
from interop.documented_values import Row
from interop.scenarios import SdkScenarios
from interop.sdks import Sdk


@cases.parametrize(lambda _: cases.written())
def test_sdk_reads_the_childs_details_in_the_next_attempt(sdk: Sdk, scenarios: SdkScenarios, case: Case) -> None:
    written = scenarios.written[case]
    _, row = case
    assert tuple(written.stored) == row.stored
    if sdk.can_read(row):
        assert written.seen == row.read_by(sdk.language)
    else:
        assert written.seen is None
        assert written.ending
        assert written.ending.how == "failed"
        assert str(row.reads[sdk.language].failure) in written.ending.message


@cases.parametrize_recorded()
def test_child_reads_the_sdks_details(scenarios: SdkScenarios, row: Row) -> None:
    recorded = scenarios.recorded[row]
    assert tuple(recorded.stored) == row.stored
    for name, child in scenarios.children.items():
        seen = recorded.seen[name]
        if not child.reads_as:
            assert seen == list(row.stored)
        elif failure := row.reads[child.reads_as].failure:
            assert failure in seen
        else:
            assert seen == row.read_by(child.reads_as)
