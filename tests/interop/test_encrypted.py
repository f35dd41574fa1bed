"""Payloads that a codec encrypts: passed on by children that have no key, read by those that have the same codec."""

from interop import pairs
from interop.forms import form, payload
from interop.pairs import Pair
from interop.peers.python.cipher import ENCODING
from interop.sdks import Sdk
from interop.stage import Stage
from interop.table import FAILURE
from interop.worker import Ending


@pairs.meetings(pairs.encrypted_by)
def test_encrypted_details_are_passed_on_as_they_are(sdk: Sdk, stage: Stage, pair: Pair) -> None:
    relayed = stage.relayed[pair]
    _, row = pair
    [recorded] = relayed.recorded
    assert recorded.metadata["encoding"] == ENCODING
    assert payload(row.stored[0]).data not in recorded.data
    assert relayed.read == [form(recorded)]
    assert relayed.held == [recorded]
    assert relayed.seen == row.read_by(sdk.language)


@pairs.meetings(pairs.encrypted_by)
def test_encrypted_result_reaches_the_workflow(sdk: Sdk, stage: Stage, pair: Pair) -> None:
    _, row = pair
    assert stage.relayed[pair].ending == Ending("completed", "", row.read_by(sdk.language))


@pairs.meetings(pairs.encrypted_by)
def test_encrypted_details_of_a_failure_reach_the_workflow(sdk: Sdk, stage: Stage, pair: Pair) -> None:
    _, row = pair
    assert stage.relayed_failures[pair] == Ending("failed", "for good", row.read_by(sdk.language))


@pairs.meetings(pairs.coded_by)
def test_what_our_codec_encrypted_the_sdks_codec_reads(sdk: Sdk, stage: Stage, pair: Pair) -> None:
    written = stage.written_encoded[pair]
    _, row = pair
    assert len(written.stored) == len(row.stored)
    assert all(stored.startswith(ENCODING.decode()) for stored in written.stored)
    assert written.seen == row.read_by(sdk.language)
    assert written.ending
    assert written.ending.how == "completed"


@pairs.meetings(pairs.decoded_by)
def test_what_the_sdks_codec_encrypted_ours_reads(sdk: Sdk, stage: Stage, pair: Pair) -> None:
    decoded = stage.decoded[pair]
    name, row = pair
    language = stage.coded[name].reads_as
    assert language
    assert decoded.seen == row.read_by(language)
    assert decoded.ending == Ending("failed", "for good", row.read_by(sdk.language, FAILURE))
