"""Heartbeats, and the details that the server then holds."""

import time

import pytest

from harness.activities import Kind
from harness.driver import Raw, refused
from harness.fixtures import Connect, StartActivity
from harness.payloads import payloads
from harness.signals import Signals


def test_details_are_read_back_with_attempt_time_and_timeout(
    language: str, kind: Kind, start: StartActivity, connect: Connect
) -> None:
    token = start(kind, heartbeat_timeout_ms=30_000).next_attempt().token
    driver = connect(language)

    before = time.time()
    assert driver.heartbeat(token, 41) == Signals.NONE
    after = time.time()

    details = driver.get_details(token)
    assert details.values == [41]
    assert details.attempt == 1
    assert details.heartbeat_timeout_ms == 30_000
    assert before - 0.001 <= details.recorded_at_unix_ms / 1000 <= after


def test_newest_details_replace_the_older_ones(
    language: str, kind: Kind, start: StartActivity, connect: Connect
) -> None:
    token = start(kind).next_attempt().token
    driver = connect(language)
    for item in range(3):
        driver.heartbeat(token, item)
    assert driver.get_details(token).values == [2]


def test_details_are_empty_before_the_first_heartbeat(
    language: str, kind: Kind, start: StartActivity, connect: Connect
) -> None:
    token = start(kind).next_attempt().token
    details = connect(language).get_details(token)
    assert details.values == []
    assert details.attempt == 1
    assert details.recorded_at_unix_ms == 0


def test_heartbeat_without_details_erases_them(
    language: str, kind: Kind, start: StartActivity, connect: Connect
) -> None:
    token = start(kind).next_attempt().token
    driver = connect(language)
    driver.heartbeat(token, 41)
    driver.heartbeat(token)
    assert driver.get_details(token).values == []


VALUES = {
    "integer": [41_000],
    "negative": [-1],
    "float": [0.5],
    "text": ["Grüße, 世界 🎈"],
    "empty text": [""],
    "object": [{"item": 41, "left": [1, 2, {"deep": None}], "done": True}],
    "array": [[1, "two", None]],
    "bytes": [bytes(range(256))],
    "empty bytes": [b""],
    "null": [None],
    "two values": [41, "of 100"],
    "all kinds": [41, b"\x00\xff", None, {"a": 1}],
}


@pytest.mark.parametrize("values", VALUES.values(), ids=VALUES.keys())
def test_value_is_the_same_for_the_library_and_the_official_sdk(
    language: str, values: list[object], start: StartActivity, connect: Connect
) -> None:
    activity = start("workflow")
    token = activity.next_attempt().token
    driver = connect(language)
    driver.heartbeat(token, *values)
    assert driver.get_details(token).values == values
    assert activity.heartbeat_details() == values


def test_json_is_stored_byte_for_byte(kind: Kind, start: StartActivity, connect: Connect) -> None:
    text = b' {"b": 1.0,\t"a": 1e3, "a": "\\u00fc"}\n'
    token = start(kind).next_attempt().token
    driver = connect("c")
    driver.heartbeat(token, Raw(f"json:{text.hex()}"))
    assert driver.get_details(token).payloads == [("json/plain", text)]


def test_serialized_payloads_are_sent_unchanged(kind: Kind, start: StartActivity, connect: Connect) -> None:
    sent = payloads(("json/plain", b"41"), ("binary/encrypted", b"\x00secret\xff"), ("", b""))
    token = start(kind).next_attempt().token
    driver = connect("c")
    driver.heartbeat(token, Raw(f"payloads:{sent.hex()}"))
    assert driver.get_payloads(token) == sent
    assert driver.get_details(token).payloads == [
        ("json/plain", b"41"),
        ("binary/encrypted", b"\x00secret\xff"),
        ("", b""),
    ]


def test_outputs_may_be_null(start: StartActivity, connect: Connect) -> None:
    token = start("workflow").next_attempt().token
    driver = connect("c")
    driver.call("bare", "heartbeat", token.hex(), "10000", "json:3431")
    assert driver.get_details(token).values == [41]
    with refused("THB_TIMEOUT"):
        driver.call("bare", "heartbeat", token.hex(), "0", "json:3431")
