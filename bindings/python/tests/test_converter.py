"""Values are converted as the official SDK does, in both directions."""

from __future__ import annotations

import collections
import dataclasses
import enum
import math
import uuid
from datetime import datetime, timezone
from typing import Any

import pytest
from temporalio import converter
from temporalio.api.common import v1 as api

from temporal_heartbeat import Payload, _abi
from temporal_heartbeat._converter import from_payload, to_payload
from temporal_heartbeat._encoding import decode_values, encode_values
from temporal_heartbeat._payload import decode_payloads, encode_payloads


@dataclasses.dataclass
class Progress:
    item: int
    name: str
    seen: set[int]
    at: datetime


class Colour(enum.IntEnum):
    RED = 1


class Word(str, enum.Enum):
    YES = "yes"


class WithDict:
    def dict(self) -> dict[str, int]:
        return {"b": 1, "a": 2}


class Blob(bytes):
    pass


Point = collections.namedtuple("Point", "x y")
NOON = datetime(2025, 6, 1, 12, 0, 0, 123456, tzinfo=timezone.utc)

VALUES: list[Any] = [
    None,
    True,
    False,
    0,
    -1,
    2**80,
    41_000,
    1.5,
    1e300,
    -0.0,
    math.inf,
    math.nan,
    "",
    "text",
    "Grüße, 世界 \N{GRINNING FACE}",
    'quotes " and \\ and \x00',
    "\ud800",
    b"",
    b"bytes \x00\xff",
    b"NaN",
    Blob(b"blob"),
    bytearray(b"ab"),
    memoryview(b"ab"),
    [],
    {},
    (),
    [1, "two", None, [3.0, {"four": b"5"}]],
    {"b": 1, "a": {"d": 2, "c": 3}},
    {2: "two", 1: "one"},
    {True: 1},
    {None: 1},
    {"loss": math.nan},
    {7},
    frozenset({7}),
    range(3),
    collections.deque([1, 2]),
    Point(1, 2),
    Progress(3, "x", {4}, NOON),
    {"progress": Progress(3, "x", {4}, NOON)},
    WithDict(),
    Colour.RED,
    Word.YES,
    NOON,
    NOON.replace(tzinfo=None),
    uuid.UUID(int=7),
    [uuid.UUID(int=7), NOON],
    api.Payload(metadata={"encoding": b"x"}, data=b"y"),
    api.WorkflowExecution(workflow_id="w", run_id="r"),
    api.WorkflowExecution(),
]


def sdk_payload(value: Any) -> Any:
    return converter.PayloadConverter.default.to_payload(value)


@pytest.mark.parametrize("value", VALUES, ids=lambda value: f"{type(value).__name__} {value!r:.40}")
def test_a_value_is_stored_as_the_sdk_stores_it(value: Any) -> None:
    theirs = sdk_payload(value)
    ours = to_payload(value)
    assert (ours.data, dict(ours.metadata)) == (theirs.data, dict(theirs.metadata))


@pytest.mark.parametrize("value", VALUES, ids=lambda value: f"{type(value).__name__} {value!r:.40}")
def test_a_value_of_the_sdk_is_read_as_the_sdk_reads_it(value: Any) -> None:
    stored = sdk_payload(value)
    theirs = converter.PayloadConverter.default.from_payload(stored)
    ours = from_payload(Payload(stored.data, dict(stored.metadata)))
    assert type(ours) is type(theirs)
    assert repr(ours) == repr(theirs)


@pytest.mark.parametrize(
    "value", [object(), {"x": object()}, 1j, NOON.date(), WithDict, {1: 0, "1": 0}], ids=repr
)
def test_a_value_that_the_sdk_refuses_is_a_type_error(value: Any) -> None:
    with pytest.raises(TypeError):
        sdk_payload(value)
    with pytest.raises(TypeError):
        to_payload(value)


def test_several_values_are_the_payloads_that_the_sdk_makes() -> None:
    values = [1, None, b"x", {"a": [1]}, api.WorkflowExecution(workflow_id="w")]
    encoding, data, size = encode_values(values, None)
    assert (encoding, size) == (_abi.ENCODING_PAYLOADS, len(data))
    assert api.Payloads.FromString(data) == converter.PayloadConverter.default.to_payloads_wrapper(
        values
    )


@pytest.mark.parametrize(
    ("values", "encoding", "data"),
    [
        ((), _abi.ENCODING_NONE, b""),
        ((None,), _abi.ENCODING_NULL, b""),
        ((b"x",), _abi.ENCODING_BINARY, b"x"),
        (({"b": 1, "a": "ä"},), _abi.ENCODING_JSON, b'{"a":"\\u00e4","b":1}'),
    ],
)
def test_a_single_plain_value_uses_its_own_encoding(
    values: tuple[Any, ...], encoding: int, data: bytes
) -> None:
    assert encode_values(values, None) == (encoding, data, len(data))


@pytest.mark.parametrize("value", [math.nan, {"loss": -math.inf}])
def test_nan_and_infinity_are_sent_as_payloads(value: Any) -> None:
    encoding, data, _ = encode_values([value], None)
    assert encoding == _abi.ENCODING_PAYLOADS
    assert api.Payloads.FromString(data).payloads == [sdk_payload(value)]


def test_a_payload_is_sent_unchanged() -> None:
    encrypted = Payload(b"\x00secret", {"encoding": b"binary/encrypted", "key": b"\xff"})
    encoding, data, _ = encode_values([encrypted], None)
    assert encoding == _abi.ENCODING_PAYLOADS
    assert decode_values(data, None) == ((encrypted,), (encrypted,))
    stored = api.Payloads.FromString(data).payloads[0]
    assert (stored.data, dict(stored.metadata)) == (encrypted.data, encrypted.metadata)


def test_unknown_fields_are_kept() -> None:
    size = b"\x1a\x02\x08\x07"  # field 3, which this package doesn't know
    stored = api.Payload(metadata={"encoding": b"json/plain"}, data=b"1").SerializeToString() + size
    payloads = b"\x0a" + bytes([len(stored)]) + stored
    [payload] = decode_payloads(payloads)
    assert (from_payload(payload), payload.unknown_fields) == (1, size)
    assert encode_payloads([payload]) == payloads


@pytest.mark.parametrize(
    "payload",
    [
        Payload(b"{", {"encoding": b"json/plain"}),
        Payload(b"\xff", {"encoding": b"json/plain"}),
        Payload(b"[" * 100_000, {"encoding": b"json/plain"}),
        Payload(b"x", {"encoding": b"binary/null"}),
        Payload(b"x", {"encoding": b"binary/encrypted"}),
        Payload(b"x", {}),
        Payload(b"{}", {"encoding": b"json/protobuf", "messageType": b"no.such.Message"}),
        Payload(b"{}", {"encoding": b"json/protobuf"}),
        Payload(
            b"{", {"encoding": b"json/protobuf", "messageType": b"temporal.api.common.v1.Payload"}
        ),
        Payload(
            b"\xff",
            {"encoding": b"binary/protobuf", "messageType": b"temporal.api.common.v1.Payload"},
        ),
    ],
    ids=repr,
)
def test_an_undecodable_payload_is_read_as_a_payload(payload: Payload) -> None:
    assert from_payload(payload) is payload


@pytest.mark.parametrize("size", [0, 1, 127, 128, 16_383, 16_384, 2_097_152])
def test_lengths_of_every_size_are_encoded_as_protobuf_does(size: int) -> None:
    payload = Payload(b"x" * size, {"encoding": b"binary/plain"})
    theirs = api.Payloads(payloads=[api.Payload(data=payload.data, metadata=payload.metadata)])
    assert encode_payloads([payload]) == theirs.SerializeToString()
    assert decode_payloads(theirs.SerializeToString()) == [payload]


@pytest.mark.parametrize("data", [b"\x0a", b"\x0a\x05x", b"\x0f", b"\xff" * 12, b"\x09x"])
def test_invalid_payloads_bytes_are_a_value_error(data: bytes) -> None:
    with pytest.raises(ValueError, match="not a Payloads message"):
        decode_payloads(data)


def test_a_payload_of_anything_but_bytes_is_refused() -> None:
    with pytest.raises(TypeError, match="data are bytes, not str"):
        Payload("text", {})  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="'encoding': 'json/plain'"):
        Payload(b"1", {"encoding": "json/plain"})  # type: ignore[dict-item]
