"""Values in the external storage of a DataConverter: references instead of the values."""

from __future__ import annotations

import asyncio
import dataclasses
from base64 import b64decode, b64encode
from collections.abc import Sequence
from typing import Any, Optional

import pytest
from support import BlackHole, Recorder
from temporalio import converter as sdk
from temporalio.api.common.v1 import Payload as SdkPayload
from test_codec import Reversing
from test_context import (
    SDK_CONTEXT,
    STANDALONE,
    SdkCodec,
    SdkPayloadConverter,
    hand_over,
    task_token,
)
from test_encoded_failure import as_sent, chain, codec_for, made
from test_handoff import info
from test_own_codec import programs, to_end

import temporal_heartbeat as thb
from temporal_heartbeat import Payload, aio, handoff
from temporal_heartbeat._active_codec import Binding
from temporal_heartbeat._codec import Codec, codec_of
from temporal_heartbeat._context import context_of
from temporal_heartbeat._encoding import decode_values, encode_values
from temporal_heartbeat._payload import decode_payloads, encode_payloads

LARGE = "readable by anybody " * 100


class Driver(sdk.StorageDriver):
    """Stores payloads in this process."""

    def __init__(self) -> None:
        self.stored: dict[str, SdkPayload] = {}
        self.targets: list[Any] = []

    def name(self) -> str:
        return "memory"

    async def store(
        self, context: sdk.StorageDriverStoreContext, payloads: Sequence[SdkPayload]
    ) -> list[sdk.StorageDriverClaim]:
        await asyncio.sleep(0.001)
        self.targets.append(context.target)
        claims = []
        for payload in payloads:
            key = f"key {len(self.stored)}"
            self.stored[key] = payload
            claims.append(sdk.StorageDriverClaim({"key": key}))
        return claims

    async def retrieve(
        self,
        context: sdk.StorageDriverRetrieveContext,
        claims: Sequence[sdk.StorageDriverClaim],
    ) -> list[SdkPayload]:
        return [self.stored[claim.claim_data["key"]] for claim in claims]


@pytest.fixture
def driver() -> Driver:
    return Driver()


def storing(
    driver: Driver, codec: Optional[sdk.PayloadCodec] = None, **fields: Any
) -> sdk.DataConverter:
    storage = sdk.ExternalStorage([driver], payload_size_threshold=1000)
    return sdk.DataConverter(payload_codec=codec, external_storage=storage, **fields)


def bound(data_converter: Any, token: bytes = b"", *, require_encoded: bool = False) -> Codec:
    codec = Binding(codec_of(data_converter), namespace="ns").codec_for(
        None, lambda namespace: context_of(token, namespace), require_encoded=require_encoded
    )
    assert codec is not None
    return codec


def stored_by_an_sdk(data_converter: sdk.DataConverter, *values: Any) -> list[Payload]:
    payloads = asyncio.run(data_converter.encode(values))
    return [Payload.from_bytes(payload.SerializeToString()) for payload in payloads]


def test_large_values_are_stored_and_small_ones_are_sent(driver: Driver) -> None:
    codec = bound(storing(driver, SdkCodec()), task_token())
    _, data, _ = encode_values([LARGE, 41, LARGE], codec)
    payloads = decode_payloads(data)
    assert [payload.is_external_reference for payload in payloads] == [True, False, True]
    assert len(data) < 1000
    assert LARGE.encode() not in b"".join(p.data for p in driver.stored.values())
    assert [p.metadata["codec"] for p in driver.stored.values()] == [repr(SDK_CONTEXT).encode()] * 2
    # The SDK and this package read them.
    values, opened = decode_values(data, codec)
    assert list(values) == [LARGE, 41, LARGE]
    assert [payload.encoding for payload in opened] == ["json/plain"] * 3
    sdk_payloads = [SdkPayload.FromString(payload.to_bytes()) for payload in payloads]
    theirs = storing(driver, SdkCodec()).with_context(SDK_CONTEXT)
    assert asyncio.run(theirs.decode(sdk_payloads)) == [LARGE, 41, LARGE]


@pytest.mark.parametrize(
    ("token", "target"),
    [
        (
            task_token(),
            sdk.StorageDriverWorkflowInfo(namespace="ns", id="w", run_id="r", type="Model"),
        ),
        (
            STANDALONE,
            sdk.StorageDriverActivityInfo(namespace="ns", id="a", run_id="r", type="solve"),
        ),
    ],
)
def test_the_driver_gets_the_workflow_or_the_standalone_activity(
    recorder: Recorder, driver: Driver, token: bytes, target: Any
) -> None:
    selected: list[Any] = []

    def select(context: sdk.StorageDriverSelectContext, payload: SdkPayload) -> Driver:
        selected.append(context.target)
        return driver

    storage = sdk.ExternalStorage([driver], select, payload_size_threshold=1000)
    converter = sdk.DataConverter(payload_codec=SdkCodec(), external_storage=storage)
    thb.connect(recorder.address, namespace="ns", compression="none", data_converter=converter)
    thb.heartbeat(token, LARGE)
    asyncio.run(aio.heartbeat(token, LARGE))
    with thb.Activity(token, initial_details=[], close_timeout=0) as act:
        act.heartbeat(LARGE)
    assert driver.targets == selected == [target] * 3
    assert recorder.received.count(b"ExternalStorageReference") >= 2
    assert LARGE.encode() not in recorder.received


def test_a_converter_with_storage_keeps_the_context_of_its_other_parts(driver: Driver) -> None:
    converter = storing(driver, SdkCodec(), payload_converter_class=SdkPayloadConverter)
    codec = bound(converter, task_token())
    [payload] = codec.encode([41])
    assert payload.metadata["codec"] == repr(SDK_CONTEXT).encode()
    [(value, opened)] = codec.decode([payload])
    assert (value, opened.metadata["converter"]) == (41, repr(SDK_CONTEXT).encode())


def test_require_encoded_refuses_what_would_be_readable_in_the_storage(
    recorder: Recorder, driver: Driver, monkeypatch: pytest.MonkeyPatch
) -> None:
    readable = storing(driver)
    thb.connect(recorder.address, compression="none", data_converter=readable, require_encoded=True)
    with pytest.raises(thb.InvalidArgumentError, match="payload_codec"):
        thb.heartbeat(task_token(), LARGE)
    with pytest.raises(thb.InvalidArgumentError, match="payload_codec"):
        asyncio.run(aio.complete(task_token(), LARGE))
    thb.disconnect()
    thb.connect(recorder.address, compression="none", data_converter=readable)
    with (
        thb.Activity(
            task_token(), initial_details=[], require_encoded=True, close_timeout=0
        ) as act,
        pytest.raises(thb.InvalidArgumentError, match="payload_codec"),
    ):
        act.heartbeat(LARGE)
    hand_over(monkeypatch, details=b"", require_encoded=True)
    with (
        thb.Activity.from_env(close_timeout=0) as act,
        pytest.raises(thb.InvalidArgumentError, match="payload_codec"),
    ):
        act.heartbeat(LARGE)
    with pytest.raises(thb.InvalidArgumentError, match="payload_codec"):
        handoff.environment(
            info(heartbeat_details=[LARGE]), data_converter=readable, require_encoded=True
        )
    assert not driver.stored
    assert b"readable" not in recorder.received


def test_require_encoded_accepts_references_to_encoded_values(
    recorder: Recorder, driver: Driver
) -> None:
    converter = storing(driver, SdkCodec())
    thb.connect(
        recorder.address, compression="none", data_converter=converter, require_encoded=True
    )
    thb.heartbeat(task_token(), LARGE)
    thb.fail(task_token(), "m", details=[LARGE])
    with thb.Activity(task_token(), initial_details=[LARGE], close_timeout=5) as act:
        act.heartbeat(LARGE)
        act.complete(LARGE)
    variables = handoff.environment(
        info(heartbeat_details=[LARGE]), data_converter=converter, require_encoded=True, base={}
    )
    handed = b64decode(variables["TEMPORAL_ACTIVITY_HEARTBEAT_DETAILS"])
    assert [payload.is_external_reference for payload in decode_payloads(handed)] == [True]
    assert LARGE.encode() not in recorder.received


WITHOUT_DRIVER: dict[str, Any] = {
    "no codec": None,
    "codec": Reversing(),
    "codec of the SDK": SdkCodec(),
    "converter without storage": sdk.DataConverter(payload_codec=SdkCodec()),
}


@pytest.mark.parametrize("name", WITHOUT_DRIVER)
def test_reading_a_reference_without_the_driver_is_an_error(driver: Driver, name: str) -> None:
    data_converter = WITHOUT_DRIVER[name]
    codec = None if data_converter is None else bound(data_converter)
    [reference] = stored_by_an_sdk(storing(driver), LARGE)
    older = Payload(b"{}", {"encoding": b"json/external-storage-reference"})
    marked = dataclasses.replace(
        reference, metadata={"encoding": b"x", "__temporal_external_storage_reference": b"true"}
    )
    for one in (reference, older, marked):
        with pytest.raises(thb.ConfigError, match="external_storage"):
            decode_values(encode_payloads([one]), codec)


@pytest.mark.parametrize("activity", [thb.Activity, aio.Activity])
def test_reading_a_handed_over_reference_is_an_error(
    connected: BlackHole, driver: Driver, monkeypatch: pytest.MonkeyPatch, activity: Any
) -> None:
    hand_over(monkeypatch, details=encode_payloads(stored_by_an_sdk(storing(driver), LARGE)))
    act = activity.from_env(close_timeout=0)
    with pytest.raises(thb.ConfigError, match="external_storage"):
        to_end(act.details(default=None))
    act._close_at_once()
    act = activity.from_env(close_timeout=0, data_converter=storing(driver))
    assert list(to_end(act.details())) == [LARGE]
    act._close_at_once()


@pytest.mark.parametrize("name", WITHOUT_DRIVER)
def test_references_pass_unchanged(driver: Driver, name: str) -> None:
    data_converter = WITHOUT_DRIVER[name]
    codec = None if data_converter is None else bound(data_converter)
    [reference] = stored_by_an_sdk(storing(driver), LARGE)
    assert reference.unknown_fields, "the size of the external payload"
    _, data, _ = encode_values([reference, "x"], codec)
    payloads = decode_payloads(data)
    assert payloads[0] == reference
    assert (payloads[1].data == b'"x"') == (codec is None)
    given = info(heartbeat_details=[])
    variables = handoff.environment(
        given,
        details=encode_payloads([reference]),
        data_converter=data_converter,
        require_encoded=True,
        base={},
    )
    handed = variables["TEMPORAL_ACTIVITY_HEARTBEAT_DETAILS"]
    assert handed == b64encode(encode_payloads([reference])).decode()


def test_a_handed_over_reference_is_sent_again_unchanged(
    recorder: Recorder, driver: Driver, monkeypatch: pytest.MonkeyPatch
) -> None:
    [reference] = stored_by_an_sdk(storing(driver), LARGE)
    hand_over(monkeypatch, details=encode_payloads([reference]))
    thb.connect(recorder.address, compression="none", data_converter=Reversing())
    with thb.Activity.from_env(heartbeat_timeout=1, close_timeout=0):
        recorder.wait_for(reference.to_bytes())
    assert b"binary/reversed" not in recorder.received


def test_the_texts_of_failures_are_stored_too(driver: Driver) -> None:
    codec = codec_for(storing(driver, SdkCodec()), True)
    sent = as_sent(made(LARGE, codec))
    assert b"ExternalStorageReference" in sent.encoded_attributes.SerializeToString()
    read = asyncio.run(storing(driver, SdkCodec()).decode_failure(sent))
    assert chain(read) == [(LARGE, "")]


class OwnPayloadConverter(sdk.PayloadConverter):
    """Knows only texts, and not the SDK's RawValue."""

    def to_payloads(self, values: Sequence[Any]) -> list[SdkPayload]:
        return [
            SdkPayload(metadata={"encoding": b"own/text", "own": b"1"}, data=value.encode())
            for value in values
        ]

    def from_payloads(
        self, payloads: Sequence[SdkPayload], type_hints: Optional[list[type]] = None
    ) -> list[Any]:
        assert type_hints is None
        return [payload.data.decode() for payload in payloads if payload.metadata["own"] == b"1"]


@pytest.mark.parametrize("codec", [None, SdkCodec()])
def test_a_payload_converter_of_its_own_need_not_know_raw_values(
    driver: Driver, codec: Any
) -> None:
    converter = storing(driver, codec, payload_converter_class=OwnPayloadConverter)
    bound_codec = bound(converter, task_token())
    own = Payload(b"as it is", {"encoding": b"own/text", "own": b"1"})
    _, data, _ = encode_values(["small", LARGE, own], bound_codec)
    values, payloads = decode_values(data, bound_codec)
    assert list(values) == ["small", LARGE, "as it is"]
    assert [payload.encoding for payload in payloads] == ["own/text"] * 3
    assert len(driver.stored) == 1


def test_the_converter_of_the_documentation_stores_values(
    recorder: Recorder, driver: Driver, monkeypatch: pytest.MonkeyPatch
) -> None:
    [program] = [one for one in programs() if "MyDriver" in one]
    monkeypatch.setenv("TEMPORAL_ADDRESS", recorder.address)
    exec(program, {"thb": thb, "MyDriver": lambda: driver, "MyCodec": SdkCodec})
    thb.heartbeat(task_token(), LARGE * 100)
    assert len(driver.stored) == 1
