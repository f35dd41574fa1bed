"""The connection's codec encodes and decodes all values, for each kind of codec."""

from __future__ import annotations

import asyncio
import json
import os
from base64 import b64decode
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest
from support import REPOSITORY, BlackHole

import temporal_heartbeat as thb
from temporal_heartbeat import Payload, _encoding, handoff
from temporal_heartbeat._active_codec import active_binding
from temporal_heartbeat._failure import encode_failure
from temporal_heartbeat._payload import decode_payloads, encode_payloads

PAYLOADS = 4


def encode_values(values: Sequence[Any]) -> tuple[int, bytes]:
    encoding, data, _ = _encoding.encode_values(values, active_binding().codec)
    return encoding, data


def decode_values(data: bytes) -> tuple[tuple[Any, ...], tuple[Payload, ...]]:
    return _encoding.decode_values(data, active_binding().codec)


class Reversing:
    """Reverses the bytes of a payload, so that its value can't be read."""

    def encode(self, payloads: Sequence[Payload], /) -> list[Payload]:
        encoding = {"encoding": b"binary/reversed"}
        return [Payload(payload.to_bytes()[::-1], encoding) for payload in payloads]

    def decode(self, payloads: Sequence[Payload], /) -> list[Payload]:
        return [
            Payload.from_bytes(payload.data[::-1])
            if payload.encoding == "binary/reversed"
            else payload
            for payload in payloads
        ]


class Waiting(Reversing):
    """The same with coroutines that wait."""

    async def encode(self, payloads: Sequence[Payload], /) -> list[Payload]:  # type: ignore[override]
        await asyncio.sleep(0.001)
        return super().encode(payloads)

    async def decode(self, payloads: Sequence[Payload], /) -> list[Payload]:  # type: ignore[override]
        await asyncio.sleep(0.001)
        return super().decode(payloads)


@pytest.fixture(params=[Reversing, Waiting])
def codec(request: pytest.FixtureRequest, connected: BlackHole) -> thb.PayloadCodec:
    thb.disconnect()
    chosen: thb.PayloadCodec = request.param()
    thb.connect(address=connected.address, lazy=True, data_converter=chosen)
    return chosen


def encodings(serialized: bytes) -> list[str]:
    return [payload.encoding for payload in decode_payloads(serialized)]


@pytest.mark.usefixtures("codec")
def test_values_are_encoded_and_decoded() -> None:
    values = [41, None, b"bytes", "text", {"a": [1, 2]}, "long" * 100]
    encoding, data = encode_values(values)
    assert encoding == PAYLOADS
    assert encodings(data) == ["binary/reversed"] * len(values)
    assert b"text" not in data
    read, payloads = decode_values(data)
    assert list(read) == values
    assert [payload.encoding for payload in payloads][:2] == ["json/plain", "binary/null"]
    # Decoded payloads are encoded again when they are recorded again.
    assert encodings(encode_values(payloads)[1]) == ["binary/reversed"] * len(values)


@pytest.mark.usefixtures("codec")
def test_a_single_value_is_encoded_and_no_values_are_none() -> None:
    assert encodings(encode_values((7,))[1]) == ["binary/reversed"]
    assert encode_values(()) == (0, b"")
    assert decode_values(b"") == ((), ())


@pytest.mark.usefixtures("codec")
def test_details_of_failures_and_of_their_causes_are_encoded() -> None:
    cause = {"message": "c", "details": ["secret"], "cause": {"details": ["secret"]}}
    codec = active_binding().codec
    made, _ = encode_failure(
        "m", details=["secret"], cause=cause, heartbeat_details=["secret"], codec=codec
    )
    assert b"secret" not in made
    failure = json.loads(made)
    for text in (
        failure["details_payloads"],
        failure["heartbeat_details_payloads"],
        failure["cause"]["details_payloads"],
        failure["cause"]["cause"]["details_payloads"],
    ):
        assert encodings(b64decode(text)) == ["binary/reversed"]
    assert encodings(b64decode(_encoding.payloads_base64("initial_details", [1], codec))) == [
        "binary/reversed"
    ]


@pytest.mark.usefixtures("codec")
def test_a_codec_stays_active_until_the_next_connect() -> None:
    thb.disconnect(timeout=0)
    assert encodings(encode_values((7,))[1]) == ["binary/reversed"]
    thb.connect(lazy=True)
    assert encode_values((7,)) == (1, b"7")


@pytest.mark.usefixtures("codec")
def test_values_of_fast_calls_are_encoded() -> None:
    with thb.Activity(b"token", initial_details=[], heartbeat_timeout=30, close_timeout=0) as act:
        for value in (b"bytes", 7, "text"):
            act.heartbeat(value)
        assert act.info["records"] == 3


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs os.fork")
def test_a_child_has_its_parents_codec(codec: thb.PayloadCodec) -> None:
    encode_values((7,))
    child = os.fork()
    if child == 0:
        done = encodings(encode_values((7,))[1]) == ["binary/reversed"]
        os._exit(0 if done else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


class Failing(Reversing):
    def encode(self, payloads: Sequence[Payload], /) -> list[Payload]:
        raise LookupError("no key")

    def decode(self, payloads: Sequence[Payload], /) -> list[Payload]:
        raise LookupError("no key")


def test_an_exception_of_the_codec_is_raised(connected: BlackHole) -> None:
    thb.disconnect()
    thb.connect(address=connected.address, lazy=True, data_converter=Failing())
    with pytest.raises(LookupError, match="no key"):
        thb.heartbeat(b"token", 1)
    with (
        thb.Activity(b"token", pulse=False, close_timeout=0) as act,
        pytest.raises(LookupError, match="no key"),
    ):
        act.heartbeat(1)


class Careless(Reversing):
    def encode(self, payloads: Sequence[Payload], /) -> Any:
        return [payload.data for payload in payloads]


@pytest.mark.parametrize("wrong", [5, "codec", object()])
def test_an_object_without_encode_is_a_type_error(disconnected: None, wrong: Any) -> None:
    with pytest.raises(TypeError, match="encode and decode"):
        thb.connect(lazy=True, data_converter=wrong)
    thb.connect(lazy=True, data_converter=Careless())
    with pytest.raises(TypeError, match="Payload"):
        thb.heartbeat(b"token", 1)


def test_the_class_of_a_codec_is_a_type_error(disconnected: None) -> None:
    with pytest.raises(TypeError, match=r"pass Careless\(\), not the class"):
        thb.connect(lazy=True, data_converter=Careless)


def test_codecs_of_the_sdk_are_accepted(disconnected: None) -> None:
    converter = pytest.importorskip("temporalio.converter")
    from temporalio.api.common.v1 import Payload as Theirs

    class Prefixing(converter.PayloadCodec):  # type: ignore[misc, name-defined]
        async def encode(self, payloads: Sequence[Theirs]) -> list[Theirs]:
            return [
                Theirs(metadata={"encoding": b"binary/prefixed"}, data=b"!" + p.SerializeToString())
                for p in payloads
            ]

        async def decode(self, payloads: Sequence[Theirs]) -> list[Theirs]:
            return [Theirs.FromString(p.data[1:]) for p in payloads]

    for chosen in (Prefixing(), converter.DataConverter(payload_codec=Prefixing())):
        thb.connect(lazy=True, data_converter=chosen)
        values = [41, None, b"bytes", {"a": 1}]
        _, data = encode_values(values)
        assert encodings(data) == ["binary/prefixed"] * 4
        read, payloads = decode_values(data)
        assert list(read) == values
        assert encodings(encode_values(payloads)[1]) == ["binary/prefixed"] * 4
        assert decode_values(b"") == ((), ())
        thb.disconnect()


class Info:
    """The fields of the SDK's ``activity.Info`` that the hand-off reads."""

    task_token, namespace, workflow_id, workflow_run_id = b"token", "ns", "w", "r"
    activity_id, attempt, heartbeat_timeout = "a", 1, timedelta(seconds=30)
    heartbeat_details = ("secret",)
    started_time = scheduled_time = start_to_close_timeout = schedule_to_close_timeout = None


def test_a_parent_encodes_the_details_that_it_hands_over() -> None:
    with pytest.raises(thb.InvalidArgumentError, match="plain encoding"):
        handoff.environment(Info(), require_encoded=True)
    made = handoff.environment(Info(), data_converter=Reversing(), require_encoded=True, base={})
    handed = b64decode(made["TEMPORAL_ACTIVITY_HEARTBEAT_DETAILS"])
    assert encodings(handed) == ["binary/reversed"]
    assert Reversing().decode(decode_payloads(handed))[0].data == b'"secret"'


def test_the_codec_of_the_documentation_compresses(disconnected: None) -> None:
    page = (REPOSITORY / "docs" / "codecs.md").read_text()
    program = page.split("```python\n")[1].split("```")[0]
    exec(program.replace("thb.connect(", "thb.connect(lazy=True, "), {})
    values = ["x" * 10_000, None, b"bytes"]
    _, data = encode_values(values)
    assert encodings(data) == ["binary/zlib"] * 3
    assert len(data) < 500
    assert list(decode_values(data)[0]) == values
    plain = encode_payloads([Payload(b"4", {"encoding": b"json/plain"})])
    assert list(decode_values(plain)[0]) == [4]
