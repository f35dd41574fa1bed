"""The failure_json of the exceptions of Temporal's SDK, compared with the SDK's own conversion."""

from __future__ import annotations

import base64
import subprocess
import sys
from datetime import timedelta
from typing import Any

import pytest
from temporalio.api.common.v1 import Payloads
from temporalio.api.enums.v1 import ApplicationErrorCategory as Category
from temporalio.api.failure.v1 import ApplicationFailureInfo, Failure
from temporalio.converter import DefaultFailureConverter, DefaultPayloadConverter
from temporalio.exceptions import (
    ActivityError,
    ApplicationError,
    ApplicationErrorCategory,
    CancelledError,
    RetryState,
    TimeoutError,
    TimeoutType,
)
from test_failure import described, raised

import temporal_heartbeat as thb
from temporal_heartbeat._codec import codec_of
from temporal_heartbeat._converter import to_payload
from temporal_heartbeat._payload import encode_payloads

TIMED_OUT = TimeoutError(
    "heartbeat timeout", type=TimeoutType.HEARTBEAT, last_heartbeat_details=[41]
)
ACTIVITY_FAILED = ActivityError(
    "activity failed",
    scheduled_event_id=5,
    started_event_id=6,
    identity="worker",
    activity_type="solve",
    activity_id="1",
    retry_state=RetryState.TIMEOUT,
)
FULL = ApplicationError(
    "simulated failure",
    "some details",
    {"item": 41},
    b"raw",
    None,
    type="test",
    non_retryable=True,
    next_retry_delay=timedelta(seconds=3),
    category=ApplicationErrorCategory.BENIGN,
)
RECEIVED = DefaultFailureConverter().from_failure(
    Failure(
        message="remote",
        stack_trace="there",
        source="GoSDK",
        application_failure_info=ApplicationFailureInfo(type="T"),
    ),
    DefaultPayloadConverter(),
)
ERRORS = [
    FULL,
    ApplicationError("err message", "err details"),
    ApplicationError("retryable", type="test"),
    raised(ApplicationError("outer"), ApplicationError("inner", 1, type="T", non_retryable=True)),
    raised(RuntimeError("plain"), FULL),
    raised(ApplicationError("outer"), raised(ACTIVITY_FAILED, TIMED_OUT)),
    raised(ApplicationError("outer"), CancelledError("stopped", "where")),
    RECEIVED,
]


@pytest.mark.parametrize("error", ERRORS, ids=str)
def test_an_sdk_exception_has_the_fields_that_the_sdk_sends(error: BaseException) -> None:
    expected = Failure()
    DefaultFailureConverter().to_failure(error, DefaultPayloadConverter(), expected)
    assert without_stack(described(error)) == {**fields(expected), **sources(error)}


def test_a_failure_that_is_no_application_error_is_one_of_its_type() -> None:
    assert without_stack(described(raised(ACTIVITY_FAILED, TIMED_OUT))) == {
        "message": "activity failed",
        "type": "ActivityError",
        "cause": {
            "message": "heartbeat timeout",
            "type": "TimeoutError",
            "details_payloads": encoded(41),
        },
    }


def test_the_stack_of_a_received_exception_is_sent_on() -> None:
    assert described(raised(RECEIVED))["stack_trace"] == "there"


def test_the_stack_of_an_sdk_exception_is_sent() -> None:
    assert "in raised" in described(raised(ApplicationError("here")))["stack_trace"]


def test_an_exception_raised_while_handling_another_has_that_one_as_its_cause() -> None:
    def fail() -> None:
        try:
            raise KeyError("first")
        except KeyError:
            raise ValueError("second")  # noqa: B904

    with pytest.raises(ValueError, match="second") as caught:
        fail()
    assert described(caught.value)["cause"]["type"] == "KeyError"
    caught.value.__suppress_context__ = True
    assert "cause" not in described(caught.value)


def test_arguments_have_precedence_over_an_sdk_exception() -> None:
    failure = described(FULL, type="mine", non_retryable=False, details=[7], next_retry_delay=1)
    assert (failure["type"], failure["non_retryable"]) == ("mine", False)
    assert (failure["details_payloads"], failure["next_retry_delay_ms"]) == (encoded(7), 1000)


def test_details_that_cannot_be_converted_are_a_type_error() -> None:
    with pytest.raises(TypeError, match="object can't be converted"):
        described(ApplicationError("x", object()))


def test_the_sdk_is_not_imported() -> None:
    code = "import sys, temporal_heartbeat._failure as f; f.encode_failure(ValueError('x'), None)"
    check = "assert not any(name.startswith('temporalio') for name in sys.modules)"
    subprocess.run([sys.executable, "-c", f"{code}; {check}"], check=True)


def test_the_codec_encodes_the_details_of_every_cause() -> None:
    class Codec:
        def encode(self, payloads: Any) -> Any:
            return [thb.Payload(b"sealed", {"encoding": b"mine"}) for _ in payloads]

        decode = encode

    sealed = base64.b64decode(
        described(raised(RuntimeError("x"), FULL), codec=codec_of(Codec()))["cause"][
            "details_payloads"
        ]
    )
    assert [payload.data for payload in Payloads.FromString(sealed).payloads] == [b"sealed"] * 4


def encoded(*values: Any) -> str:
    return base64.b64encode(encode_payloads([to_payload(value) for value in values])).decode()


def fields(failure: Failure) -> dict[str, Any]:
    """Returns the SDK's failure in the form of failure_json, without its stack traces."""
    info = failure.application_failure_info
    is_application = failure.WhichOneof("failure_info") in (None, "application_failure_info")
    details = {
        "timeout_failure_info": failure.timeout_failure_info.last_heartbeat_details,
        "canceled_failure_info": failure.canceled_failure_info.details,
    }.get(failure.WhichOneof("failure_info") or "", info.details)
    kinds = {
        "timeout_failure_info": "TimeoutError",
        "canceled_failure_info": "CancelledError",
        "activity_failure_info": "ActivityError",
    }
    delay = info.next_retry_delay.ToMilliseconds()
    values: dict[str, Any] = {
        "message": failure.message,
        "type": info.type if is_application else kinds[failure.WhichOneof("failure_info") or ""],
        "non_retryable": info.non_retryable,
        "details_payloads": base64.b64encode(details.SerializeToString()).decode(),
        "next_retry_delay_ms": delay,
        "category": "benign"
        if info.category == Category.APPLICATION_ERROR_CATEGORY_BENIGN
        else None,
        "cause": fields(failure.cause) if failure.HasField("cause") else None,
    }
    return {key: value for key, value in values.items() if value}


def sources(error: BaseException) -> dict[str, str]:
    """The source of an exception that was received, which is sent on."""
    received = getattr(error, "failure", None)
    return {"source": received.source} if received else {}


def without_stack(failure: dict[str, Any]) -> dict[str, Any]:
    stripped = {key: value for key, value in failure.items() if key != "stack_trace"}
    if "cause" in stripped:
        stripped["cause"] = without_stack(stripped["cause"])
    return stripped
