"""The failure_json of exceptions and arguments."""

from __future__ import annotations

import base64
import builtins
import json
from datetime import timedelta
from typing import Any

import pytest
from support import requires

from temporal_heartbeat import InvalidArgumentError, Payload
from temporal_heartbeat._failure import encode_failure
from temporal_heartbeat._payload import decode_payloads

NOTHING: dict[str, Any] = {
    "type": None,
    "non_retryable": None,
    "details": (),
    "next_retry_delay": None,
    "category": None,
    "stack_trace": None,
    "source": None,
    "cause": None,
    "heartbeat_details": (),
    "codec": None,
}


def described(message: Any, **given: Any) -> dict[str, Any]:
    failure: dict[str, Any] = json.loads(encode_failure(message, **{**NOTHING, **given})[0])
    return failure


def raised(error: BaseException, cause: BaseException | None = None) -> BaseException:
    try:
        raise error from cause
    except BaseException as caught:
        return caught


def test_a_message_alone_has_no_other_keys() -> None:
    assert described("broken") == {"message": "broken"}


def test_every_argument_has_its_key() -> None:
    failure = described(
        "broken",
        type="Oops",
        non_retryable=True,
        next_retry_delay=1.5,
        category="benign",
        stack_trace="here",
        source="solver",
        cause={"message": "why", "cause": {"message": "deeper"}},
    )
    assert failure == {
        "message": "broken",
        "type": "Oops",
        "non_retryable": True,
        "next_retry_delay_ms": 1500,
        "category": "benign",
        "stack_trace": "here",
        "source": "solver",
        "cause": {"message": "why", "cause": {"message": "deeper"}},
    }


def test_both_details_hold_values_of_every_kind() -> None:
    values = [1, None, b"x", Payload(b"s", {"encoding": b"binary/encrypted"})]
    failure = described("broken", details=values, heartbeat_details=values)
    encoded = base64.b64decode(failure["details_payloads"])
    assert [payload.encoding for payload in decode_payloads(encoded)] == [
        "json/plain",
        "binary/null",
        "binary/plain",
        "binary/encrypted",
    ]
    assert failure["heartbeat_details_payloads"] == failure["details_payloads"]


def test_an_exception_gives_message_type_stack_and_causes() -> None:
    failure = described(raised(RuntimeError("outer"), raised(KeyError("inner"), OSError("root"))))
    assert (failure["message"], failure["type"]) == ("outer", "RuntimeError")
    assert "in raised" in failure["stack_trace"]
    assert (failure["cause"]["message"], failure["cause"]["type"]) == ("'inner'", "KeyError")
    assert failure["cause"]["cause"] == {"message": "root", "type": "OSError"}


def test_the_first_exception_of_a_group_is_its_cause() -> None:
    group = getattr(builtins, "ExceptionGroup", None)
    requires("Python 3.11, which has groups of exceptions", group is not None)
    assert group
    failure = described(raised(group("in two tasks", [KeyError("first"), OSError("second")])))
    assert (failure["type"], failure["cause"]["type"]) == ("ExceptionGroup", "KeyError")


def test_arguments_have_precedence_over_the_exception() -> None:
    failure = described(
        raised(ValueError("x")), type="BadInput", stack_trace="", cause=ValueError("y")
    )
    assert failure == {
        "message": "x",
        "type": "BadInput",
        "stack_trace": "",
        "cause": {"message": "y", "type": "ValueError"},
    }


def test_a_large_exception_is_truncated_to_the_limits() -> None:
    error = ValueError("\N{SNOWMAN}" * 100_000)
    error.__cause__ = error
    text, _ = encode_failure(error, **NOTHING)
    assert len(text) < 1024 * 1024
    assert text.count(b'"cause"') < 15


def test_lone_surrogates_are_replaced() -> None:
    assert described("no file \udcff")["message"] == "no file ?"
    assert described(OSError("no file \udcff"))["message"] == "no file ?"


@pytest.mark.parametrize(
    ("delay", "milliseconds"), [(0, 0), (0.0015, 2), (timedelta(minutes=1), 60_000)]
)
def test_a_retry_delay_is_seconds_or_a_timedelta(delay: Any, milliseconds: int) -> None:
    assert described("x", next_retry_delay=delay)["next_retry_delay_ms"] == milliseconds


@pytest.mark.parametrize("delay", [-1, float("nan"), float("inf"), timedelta(seconds=-1)])
def test_an_invalid_retry_delay_is_refused(delay: Any) -> None:
    with pytest.raises(InvalidArgumentError, match="next_retry_delay"):
        described("x", next_retry_delay=delay)


@pytest.mark.parametrize("name", ["details", "heartbeat_details"])
@pytest.mark.parametrize("value", ["text", b"bytes"])
def test_a_single_value_for_details_is_refused(name: str, value: Any) -> None:
    with pytest.raises(TypeError, match=f"{name} is a sequence"):
        described("x", **{name: value})


def test_a_message_of_another_type_is_refused() -> None:
    with pytest.raises(TypeError, match="message is a str or an exception, not int"):
        described(7)
