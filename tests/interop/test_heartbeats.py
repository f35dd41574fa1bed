"""Heartbeat details, from us to the official SDKs' workers and from them to us."""

from interop import pairs
from interop.pairs import Pair
from interop.sdks import Sdk
from interop.stage import Stage
from interop.table import Row


@pairs.meetings(lambda _: pairs.written())
def test_sdk_reads_in_the_next_attempt_what_we_wrote(sdk: Sdk, stage: Stage, pair: Pair) -> None:
    written = stage.written[pair]
    _, row = pair
    assert tuple(written.stored) == row.stored
    if sdk.can_read(row):
        assert written.seen == row.read_by(sdk.language)
    else:
        assert written.seen is None
        assert written.ending
        assert written.ending.how == "failed"
        assert str(row.reads[sdk.language].failure) in written.ending.message


@pairs.recordings()
def test_we_read_what_the_sdk_wrote(stage: Stage, row: Row) -> None:
    recorded = stage.recorded[row]
    assert tuple(recorded.stored) == row.stored
    for name, child in stage.children.items():
        seen = recorded.seen[name]
        if not child.reads_as:
            assert seen == list(row.stored)
        elif failure := row.reads[child.reads_as].failure:
            assert failure in seen
        else:
            assert seen == row.read_by(child.reads_as)
