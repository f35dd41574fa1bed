"""A call with an invalid argument fails with a status and a message that names the cause. It has no other effect."""

import contextlib
import time
from collections.abc import Callable
from typing import Any

import pytest

from harness.driver import Bytes, Driver, Raw, Refused, refused
from harness.fixtures import Connect, StartActivity
from harness.requests import Call
from harness.signals import Signals

BEYOND_PTRDIFF_MAX = 2**63

BAD_TOKENS: dict[str, tuple[Bytes, str, tuple[str, ...]]] = {
    "NULL, 0": (Raw("-"), "THB_INVALID_ARGUMENT", ("token", "empty")),
    "empty": (b"", "THB_INVALID_ARGUMENT", ("token", "empty")),
    "NULL with a length": (Raw("-@5"), "THB_INVALID_ARGUMENT", ("token", "NULL")),
    "longer than an object can be": (
        Raw(f"00@{BEYOND_PTRDIFF_MAX}"),
        "THB_INVALID_ARGUMENT",
        ("token_len", "more than any object"),
    ),
    "as long as can be written": (
        Raw(f"00@{2**64 - 1}"),
        "THB_INVALID_ARGUMENT",
        ("token_len", "more than any object"),
    ),
}


@pytest.mark.parametrize(("token", "status", "causes"), BAD_TOKENS.values(), ids=BAD_TOKENS.keys())
def test_bad_token_is_refused_by_every_call(
    token: Bytes,
    status: str,
    causes: tuple[str, ...],
    call: Call,
    connect: Connect,
) -> None:
    with refused(status, *causes):
        call(connect("c"), token)


def test_empty_token_is_refused(language: str, call: Call, connect: Connect) -> None:
    with refused("THB_INVALID_ARGUMENT", "token", "empty"):
        call(connect(language), b"")


@pytest.mark.parametrize("garbage", [b"garbage", b"\x00", bytes(range(256)), b"\xff" * 100], ids=lambda g: g[:7].hex())
def test_garbage_token_is_unreadable(language: str, garbage: bytes, call: Call, connect: Connect) -> None:
    with refused("THB_TOKEN_UNREADABLE", "token"):
        call(connect(language), garbage)


# Invalid details or results: each as a VALUE of drivers/README.md, with the words that the message must contain.
BAD_VALUES: dict[str, tuple[str, tuple[str, ...]]] = {
    "JSON cut off": ("json:" + b'{"item": 4'.hex(), ("JSON",)),
    "two JSON texts": ("json:" + b"41 42".hex(), ("JSON",)),
    "no JSON at all": ("json:" + b"item 41".hex(), ("JSON",)),
    "JSON's NaN": ("json:" + b"NaN".hex(), ("JSON",)),
    "empty JSON": ("json:.", ("JSON",)),
    "JSON that is NULL": ("json:-", ("JSON",)),
    "JSON in invalid UTF-8": ("json:" + b'"\xff\xfe"'.hex(), ("UTF-8",)),
    "JSON in Latin-1": ("json:" + '"Grüße"'.encode("latin-1").hex(), ("UTF-8",)),
    "NULL with a length": ("binary:-@5", ("NULL",)),
    "longer than an object can be": (f"binary:00@{BEYOND_PTRDIFF_MAX}", ("_len", "more than any object")),
    "none, but data": ("none:00", ("THB_ENCODING_NONE",)),
    "null, but data": ("null:00", ("THB_ENCODING_NULL",)),
    "garbage for Payloads": ("payloads:" + b"garbage".hex(), ("Payloads",)),
    "Payloads cut off": ("payloads:0a10", ("Payloads",)),
    "unknown encoding": ("5:00", ("encoding", "5")),
    "negative encoding": ("-1:00", ("encoding", "-1")),
}


@pytest.mark.parametrize(("value", "causes"), BAD_VALUES.values(), ids=BAD_VALUES.keys())
@pytest.mark.parametrize("send", [Driver.heartbeat, Driver.complete, Driver.report_cancelled])
def test_bad_value_is_refused_and_the_activity_continues(
    send: Callable[[Driver, Bytes, Any], object],
    value: str,
    causes: tuple[str, ...],
    start: StartActivity,
    connect: Connect,
) -> None:
    token = start("workflow").next_attempt().token
    driver = connect("c")
    driver.heartbeat(token, 40)
    with refused("THB_INVALID_ARGUMENT", *causes):
        send(driver, token, Raw(value))
    assert driver.get_details(token).values == [40]
    assert driver.heartbeat(token, 41) == Signals.NONE


ADD_REFUSES = {name: bad for name, bad in BAD_VALUES.items() if not name.startswith("none")} | {
    "none": ("none:-", ("THB_ENCODING_NONE",))
}


@pytest.mark.parametrize(("value", "causes"), ADD_REFUSES.values(), ids=ADD_REFUSES.keys())
def test_bad_value_cannot_be_added_to_details(
    value: str, causes: tuple[str, ...], start: StartActivity, connect: Connect
) -> None:
    token = start("workflow").next_attempt().token
    driver = connect("c")
    with refused("THB_INVALID_ARGUMENT", *causes):
        driver.heartbeat(token, 40, Raw(value))
    assert driver.get_details(token).values == []


@pytest.mark.parametrize("timeout", [2**31, 2**32 - 2])
def test_timeout_over_int32_max_is_refused(call: Call, timeout: int, start: StartActivity, connect: Connect) -> None:
    token = start("workflow").next_attempt().token
    driver = connect("c")
    with refused("THB_INVALID_ARGUMENT", "timeout_ms"):
        call(driver, token, timeout=timeout)
    assert driver.heartbeat(token, 41) == Signals.NONE


def test_timeout_of_zero_checks_and_sends_nothing(
    language: str, call: Call, start: StartActivity, connect: Connect
) -> None:
    token = start("workflow").next_attempt().token
    driver = connect(language)
    driver.heartbeat(token, 40)
    with refused("THB_TIMEOUT"):
        call(driver, token, timeout=0)
    assert driver.get_details(token).values == [40]
    assert driver.heartbeat(token, 41) == Signals.NONE


def test_timeout_of_zero_still_names_a_bad_argument(connect: Connect) -> None:
    driver = connect("c")
    with refused("THB_INVALID_ARGUMENT", "token"):
        driver.heartbeat(b"", 41, timeout=0)
    with refused("THB_INVALID_ARGUMENT", "JSON"):
        driver.heartbeat(b"token", Raw("json:7b"), timeout=0)


def test_call_with_the_shortest_timeout_returns_in_time(language: str, start: StartActivity, connect: Connect) -> None:
    """The answer may arrive within a millisecond or not. In both cases the call returns, and the next call works."""
    token = start("workflow").next_attempt().token
    driver = connect(language)
    began = time.monotonic()
    with contextlib.suppress(Refused):
        driver.heartbeat(token, 40, timeout=1)
    assert time.monotonic() - began < 5
    assert driver.heartbeat(token, 41) == Signals.NONE


@pytest.mark.parametrize("timeout", ["forever", 2**31 - 1])
def test_longest_timeouts_work(language: str, timeout: int | str, start: StartActivity, connect: Connect) -> None:
    token = start("workflow").next_attempt().token
    assert connect(language).heartbeat(token, 41, timeout=timeout) == Signals.NONE


BAD_FAILURES: dict[str, tuple[Bytes, tuple[str, ...]]] = {
    "no JSON": (b"boom", ("JSON",)),
    "no object": (b'"boom"', ("object",)),
    "cut off": (b'{"message": "boom"', ("JSON",)),
    "invalid UTF-8": (b'{"message": "\xff"}', ("UTF-8",)),
    "NULL with a length": (Raw("-@5"), ("NULL",)),
    "longer than an object can be": (Raw(f"7b7d@{BEYOND_PTRDIFF_MAX}"), ("_len", "more than any object")),
    "unknown key": (b'{"message": "boom", "retryable": false}', ("retryable", "non_retryable")),
    "duplicate key": (b'{"message": "boom", "message": "bang"}', ("message",)),
    "wrong type": (b'{"message": 41}', ("message",)),
    "details that are no array": (b'{"message": "boom", "details": {}}', ("details",)),
    "negative delay": (b'{"message": "boom", "next_retry_delay_ms": -1}', ("next_retry_delay_ms",)),
    "unknown key in a cause": (b'{"message": "a", "cause": {"cause": {"why": 1}}}', ("cause.cause.why",)),
    "heartbeat details of a cause": (
        b'{"message": "a", "cause": {"heartbeat_details": [1]}}',
        ("cause.heartbeat_details",),
    ),
    "too deep": (b'{"details": ' + b"[" * 20 + b"]" * 20 + b"}", ("16",)),
}


@pytest.mark.parametrize(("failure", "causes"), BAD_FAILURES.values(), ids=BAD_FAILURES.keys())
def test_bad_failure_is_refused_and_the_activity_continues(
    failure: Bytes, causes: tuple[str, ...], start: StartActivity, connect: Connect
) -> None:
    token = start("workflow").next_attempt().token
    driver = connect("c")
    with refused("THB_INVALID_ARGUMENT", *causes):
        driver.fail(token, failure)
    assert driver.heartbeat(token, 41) == Signals.NONE


def test_failure_over_a_mebibyte_is_refused_and_the_activity_continues(
    language: str, start: StartActivity, connect: Connect
) -> None:
    token = start("workflow").next_attempt().token
    driver = connect(language)
    with refused("THB_TOO_LARGE", "1048576"):
        driver.fail(token, {"message": "x" * (1 << 20)})
    assert driver.heartbeat(token, 41) == Signals.NONE
