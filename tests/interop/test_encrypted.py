"""Encrypted payloads: children without the key pass them on, and children with the same codec read them."""

from interop import cases
from interop.cases import Case
from interop.documented_values import FAILURE
from interop.payload_format import format_payload, parse_payload
from interop.peer_worker import Ending
from interop.peers.python.cipher import ENCODING
from interop.scenarios import SdkScenarios
from interop.sdks import Sdk


@cases.parametrize(cases.encrypted_by)
def test_encrypted_details_are_passed_on_unchanged(sdk: Sdk, scenarios: SdkScenarios, case: Case) -> None:
    relayed = scenarios.relayed[case]
    _, row = case
    [recorded] = relayed.recorded
    assert recorded.metadata["encoding"] == ENCODING
    assert parse_payload(row.stored[0]).data not in recorded.data
    assert relayed.read == [format_payload(recorded)]
    assert relayed.held == [recorded]
    assert relayed.seen == row.read_by(sdk.language)


@cases.parametrize(cases.encrypted_by)
def test_encrypted_result_reaches_the_workflow(sdk: Sdk, scenarios: SdkScenarios, case: Case) -> None:
    _, row = case
    assert scenarios.relayed[case].ending == Ending("completed", "", row.read_by(sdk.language))


@cases.parametrize(cases.encrypted_by)
def test_encrypted_details_of_a_failure_reach_the_workflow(sdk: Sdk, scenarios: SdkScenarios, case: Case) -> None:
    _, row = case
    assert scenarios.relayed_failures[case] == Ending("failed", "for good", row.read_by(sdk.language))


@cases.parametrize(cases.with_codec_by)
def test_sdk_codec_decrypts_values_of_the_librarys_codec(sdk: Sdk, scenarios: SdkScenarios, case: Case) -> None:
    written = scenarios.written_encoded[case]
    _, row = case
    assert len(written.stored) == len(row.stored)
    assert all(stored.startswith(ENCODING.decode()) for stored in written.stored)
    assert written.seen == row.read_by(sdk.language)
    assert written.ending
    assert written.ending.how == "completed"


@cases.parametrize(cases.decoded_by)
def test_librarys_codec_decrypts_values_of_the_sdk_codec(sdk: Sdk, scenarios: SdkScenarios, case: Case) -> None:
    decoded = scenarios.decoded[case]
    name, row = case
    language = scenarios.codec_children[name].reads_as
    assert language
    assert decoded.seen == row.read_by(language)
    assert decoded.ending == Ending("failed", "for good", row.read_by(sdk.language, FAILURE))
