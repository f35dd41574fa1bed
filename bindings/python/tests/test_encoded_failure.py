"""The texts of failures in encoded attributes, compared with the SDK's failure converters."""

from __future__ import annotations

import asyncio
import dataclasses
import json
from base64 import b64decode
from datetime import timedelta
from typing import Any, Callable, Optional

import pytest
from support import Recorder
from temporalio import converter as sdk
from temporalio.api.common.v1 import Payload as SdkPayload, Payloads as SdkPayloads
from temporalio.api.failure.v1 import Failure
from temporalio.exceptions import ApplicationError, ApplicationErrorCategory, FailureError
from test_codec import Reversing
from test_context import SdkCodec, task_token
from test_failure import raised
from test_sdk_failure import ERRORS

import temporal_heartbeat as thb
from temporal_heartbeat import aio
from temporal_heartbeat._active_codec import Binding
from temporal_heartbeat._codec import Codec, codec_of
from temporal_heartbeat._context import SerializationContext
from temporal_heartbeat._failure import encode_failure

SECRET = "readable by anybody"
ENCODING = sdk.DefaultFailureConverterWithEncodedAttributes
CONVERTER = sdk.DataConverter(payload_codec=SdkCodec(), failure_converter_class=ENCODING)


class OwnEncoding(sdk.DefaultFailureConverter):
    """A failure converter that names each type, and encodes the texts."""

    def __init__(self) -> None:
        super().__init__(encode_common_attributes=True)

    def to_failure(self, exception: Any, payload_converter: Any, failure: Any) -> None:
        super().to_failure(exception, payload_converter, failure)
        failure.application_failure_info.type = f"own {failure.application_failure_info.type}"
        failure.application_failure_info.category = ApplicationErrorCategory.BENIGN
        failure.application_failure_info.next_retry_delay.FromTimedelta(timedelta(seconds=3))


class OwnReadable(OwnEncoding):
    def __init__(self) -> None:
        sdk.DefaultFailureConverter.__init__(self)


def own(kind: type[sdk.FailureConverter]) -> sdk.DataConverter:
    return dataclasses.replace(CONVERTER, failure_converter_class=kind)


def codec_for(data_converter: Any, option: Optional[bool] = None) -> Codec:
    binding = Binding(codec_of(data_converter), namespace="ns", encode_common_attributes=option)
    codec = binding.codec_for(None, SerializationContext)
    assert codec is not None
    return codec


def made(message: Any, codec: Codec, **given: Any) -> dict[str, Any]:
    failure: dict[str, Any] = json.loads(encode_failure(message, codec, **given)[0])
    return failure


def as_sent(failure: dict[str, Any]) -> Failure:
    """Returns the message that the library sends for a failure_json."""
    sent = Failure(message=failure.get("message", ""), stack_trace=failure.get("stack_trace", ""))
    sent.application_failure_info.type = failure.get("type", "")
    if "details_payloads" in failure:
        details = SdkPayloads.FromString(b64decode(failure["details_payloads"]))
        sent.application_failure_info.details.CopyFrom(details)
    if "encoded_attributes" in failure:
        sent.encoded_attributes.ParseFromString(b64decode(failure["encoded_attributes"]))
    if "cause" in failure:
        sent.cause.CopyFrom(as_sent(failure["cause"]))
    return sent


def chain(error: Optional[BaseException]) -> list[tuple[str, str]]:
    """Returns the message and the stack trace of the failure and of each cause."""
    if error is None:
        return []
    assert isinstance(error, FailureError)
    assert error.failure is not None
    return [(error.message, error.failure.stack_trace), *chain(error.__cause__)]


def without_stack(failures: list[tuple[str, str]]) -> list[tuple[str, bool]]:
    return [(message, bool(stack)) for message, stack in failures]


def nodes(failure: dict[str, Any]) -> list[dict[str, Any]]:
    return [failure, *(nodes(failure["cause"]) if "cause" in failure else [])]


@pytest.mark.parametrize("error", ERRORS, ids=str)
def test_an_sdk_reads_the_texts_that_its_own_failure_converter_would_send(
    error: BaseException,
) -> None:
    failure = made(error, codec_for(CONVERTER))
    for node in nodes(failure):
        assert node["message"] == "Encoded failure"
        assert "stack_trace" not in node
    theirs = Failure()
    asyncio.run(CONVERTER.encode_failure(error, theirs))
    expected = chain(asyncio.run(CONVERTER.decode_failure(theirs)))
    read = chain(asyncio.run(CONVERTER.decode_failure(as_sent(failure))))
    assert without_stack(read) == without_stack(expected)


@pytest.mark.parametrize(
    ("data_converter", "option", "is_encoded"),
    [
        (CONVERTER, None, True),
        (CONVERTER, False, False),
        (own(OwnEncoding), None, True),
        (own(OwnEncoding), False, False),
        (own(OwnReadable), None, False),
        (own(OwnReadable), True, True),
        (sdk.DataConverter(payload_codec=SdkCodec()), None, False),
        (sdk.DataConverter(payload_codec=SdkCodec()), True, True),
        (SdkCodec(), None, False),
        (SdkCodec(), True, True),
        (Reversing(), None, False),
        (Reversing(), True, True),
    ],
)
def test_the_option_or_the_failure_converter_decides(
    data_converter: Any, option: Optional[bool], is_encoded: bool
) -> None:
    codec = codec_for(data_converter, option)
    cause = {"message": SECRET, "stack_trace": SECRET, "cause": {"message": SECRET}}
    for failure in (
        made(SECRET, codec, stack_trace=SECRET, cause=cause),
        made(SECRET, codec, cause=raised(ValueError(SECRET))),
        made(raised(ValueError(SECRET), raised(KeyError(SECRET))), codec),
        made(raised(ValueError(SECRET)), codec, with_exception_details=False),
        made(raised(ApplicationError(SECRET)), codec, stack_trace=SECRET),
    ):
        assert (SECRET in json.dumps(failure)) != is_encoded
        for node in nodes(failure):
            assert ("encoded_attributes" in node) == is_encoded
            if is_encoded:
                assert node["message"] == "Encoded failure"
                assert "stack_trace" not in node
    if is_encoded:
        [_, one, two] = nodes(made("m", codec, stack_trace="s", cause=cause))
        for node, stack in ((one, SECRET), (two, "")):
            payload = thb.Payload.from_bytes(b64decode(node["encoded_attributes"]))
            [(texts, _)] = codec.decode([payload])
            assert texts == {"message": SECRET, "stack_trace": stack}


@pytest.mark.parametrize("kind", [OwnEncoding, OwnReadable])
def test_a_failure_converter_of_its_own_makes_the_failure(
    kind: type[sdk.FailureConverter],
) -> None:
    codec = codec_for(own(kind))
    error = raised(ApplicationError("outer", {"item": 41}, type="T"), raised(ValueError("inner")))
    failure = made(error, codec)
    assert [node["type"] for node in nodes(failure)] == ["own T", "own ValueError"]
    assert failure["category"] == "benign"
    assert failure["next_retry_delay_ms"] == 3000
    read = asyncio.run(CONVERTER.decode_failure(as_sent(failure)))
    assert isinstance(read, ApplicationError)
    assert list(read.details) == [{"item": 41}]
    assert without_stack(chain(read)) == [("outer", True), ("inner", True)]
    assert made("text", codec, type="given")["type"] == "given"


class OwnForm(sdk.DefaultFailureConverter):
    """Encodes the texts in a form that only it knows."""

    def to_failure(self, exception: Any, payload_converter: Any, failure: Any) -> None:
        super().to_failure(exception, payload_converter, failure)
        failure.encoded_attributes.CopyFrom(payload_converter.to_payload(failure.message))
        failure.message = "see the attributes"


def test_attributes_of_an_own_form_are_left_and_encoded() -> None:
    failure = made(raised(ValueError(SECRET)), codec_for(own(OwnForm)))
    assert failure["message"] == "see the attributes"
    encoded = SdkPayload.FromString(b64decode(failure["encoded_attributes"]))
    assert asyncio.run(CONVERTER.decode([encoded])) == [SECRET]


def test_received_attributes_that_cannot_be_read_are_passed_on() -> None:
    received = Failure(message="Encoded failure")
    received.application_failure_info.type = "T"
    received.encoded_attributes.metadata["encoding"] = b"of another codec"
    error = sdk.DefaultFailureConverter().from_failure(received, CONVERTER.payload_converter)
    failure = made(error, codec_for(own(OwnReadable)))
    [opened] = asyncio.run(SdkCodec().decode([as_sent(failure).encoded_attributes]))
    assert opened == received.encoded_attributes


FAIL: dict[str, Callable[[], Any]] = {
    "call": lambda: thb.fail(task_token(), SECRET, stack_trace=SECRET),
    "call of aio": lambda: asyncio.run(aio.fail(task_token(), SECRET, stack_trace=SECRET)),
    "activity": lambda: leave_with_exception(),
    "activity of aio": lambda: asyncio.run(leave_aio_with_exception()),
}


def leave_with_exception() -> None:
    with pytest.raises(ValueError, match=SECRET), thb.Activity(task_token(), initial_details=[]):
        raise ValueError(SECRET)


async def leave_aio_with_exception() -> None:
    with pytest.raises(ValueError, match=SECRET):
        async with aio.Activity(task_token(), initial_details=[]):
            raise ValueError(SECRET)


@pytest.mark.parametrize("way", FAIL)
@pytest.mark.parametrize("data_converter", [CONVERTER, Reversing()])
def test_no_text_of_a_failure_is_sent_readable(
    recorder: Recorder, data_converter: Any, way: str
) -> None:
    option = None if data_converter is CONVERTER else True
    thb.connect(
        recorder.address,
        compression="none",
        data_converter=data_converter,
        encode_common_attributes=option,
        require_encoded=True,
    )
    FAIL[way]()
    recorder.wait_for(b"Encoded failure")
    assert b"binary/reversed" in recorder.received
    assert SECRET.encode() not in recorder.received


@pytest.mark.parametrize("data_converter", [CONVERTER, Reversing()])
def test_the_option_applies_to_the_codec_of_a_call(recorder: Recorder, data_converter: Any) -> None:
    thb.connect(recorder.address, compression="none", encode_common_attributes=True)
    cause = raised(ValueError(SECRET))
    thb.fail(task_token(), SECRET, cause=cause, data_converter=data_converter)
    assert recorder.received.count(b"Encoded failure") == 2
    assert b"binary/reversed" in recorder.received
    assert SECRET.encode() not in recorder.received
