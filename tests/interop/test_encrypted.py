"""Payloads that a worker's codec encrypted, passed on by children that have no key."""

from interop import pairs
from interop.forms import form, payload
from interop.pairs import Pair
from interop.peers.python.cipher import ENCODING
from interop.sdks import Sdk
from interop.stage import Stage
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
