"""Codecs and converters that take a serialization context get that of each activity."""

from __future__ import annotations

import asyncio
import dataclasses
from base64 import b64encode
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Callable, ClassVar

import pytest
from support import BlackHole, Recorder
from temporalio import converter as sdk
from temporalio.api.common.v1 import Payload as SdkPayload
from test_codec import Reversing
from test_handoff import info

import temporal_heartbeat as thb
from temporal_heartbeat import Payload, SerializationContext, aio, handoff
from temporal_heartbeat._context import context_of


def field(number: int, value: bytes) -> bytes:
    return bytes((number << 3 | 2, len(value))) + value


def task_token(
    workflow_id: str = "w", run_id: str = "r", activity_id: str = "a", *, types: bool = True
) -> bytes:
    """Makes a token of a workflow's activity, as the server does."""
    fields = {1: "namespace-id", 2: workflow_id, 3: run_id, 6: activity_id}
    if types:
        fields |= {7: "Model", 8: "solve"}
    return b"".join(field(number, text.encode()) for number, text in fields.items()) + b"\x28\x01"


STANDALONE = field(1, b"id") + field(8, b"solve") + field(14, field(2, b"a") + field(3, b"r"))

OF_TOKEN = SerializationContext(
    namespace="ns",
    activity_id="a",
    activity_type="solve",
    workflow_id="w",
    workflow_type="Model",
    run_id="r",
)


class Bound(Reversing):
    """Reverses the bytes, and notes each context."""

    contexts: ClassVar[list[SerializationContext]] = []

    def with_context(self, context: SerializationContext) -> Bound:
        Bound.contexts.append(context)
        return Bound()


@pytest.fixture(autouse=True)
def contexts() -> Iterator[list[SerializationContext]]:
    Bound.contexts.clear()
    yield Bound.contexts
    Bound.contexts.clear()


@pytest.mark.parametrize(
    ("token", "expected"),
    [
        (task_token(), OF_TOKEN),
        (
            task_token(types=False),
            dataclasses.replace(OF_TOKEN, activity_type=None, workflow_type=None),
        ),
        (STANDALONE, dataclasses.replace(OF_TOKEN, workflow_id=None, workflow_type=None)),
        (b"another format", SerializationContext("ns")),
        (b"", SerializationContext("ns")),
        (field(2, b"w") + field(6, b"a"), SerializationContext("ns")),
        (field(1, b"ns") + field(2, b"\xff") + field(6, b"a"), SerializationContext("ns")),
    ],
)
def test_the_task_token_has_the_ids_and_the_types(
    disconnected: None, token: bytes, expected: SerializationContext
) -> None:
    assert context_of(token, "ns") == expected


CALLS: dict[str, Callable[..., Any]] = {
    "heartbeat": lambda module, **own: module.heartbeat(task_token(), 41, **own),
    "get_details": lambda module, **own: module.get_details(task_token(), **own),
    "complete": lambda module, **own: module.complete(task_token(), 41, **own),
    "fail": lambda module, **own: module.fail(task_token(), "m", details=[41], **own),
    "report_cancelled": lambda module, **own: module.report_cancelled(task_token(), 41, **own),
}


@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize("of_connection", [True, False])
def test_a_call_binds_its_codec_to_the_activity_of_the_token(
    recorder: Recorder, contexts: list[Any], name: str, of_connection: bool
) -> None:
    own = {} if of_connection else {"data_converter": Bound()}
    codec = Bound() if of_connection else Reversing()
    # The recorder's empty answers have no details, so reading fails after the context was made.
    thb.connect(recorder.address, namespace="ns", data_converter=codec)
    try:
        CALLS[name](thb, timeout=5, **own)
    except thb.Error:
        assert name == "get_details"
    assert contexts == [OF_TOKEN]

    async def with_asyncio() -> None:
        try:
            await CALLS[name](aio, timeout=5, **own)
        except thb.Error:
            assert name == "get_details"

    asyncio.run(with_asyncio())
    assert contexts == [OF_TOKEN] * 2


@pytest.mark.parametrize("activity", [thb.Activity, aio.Activity])
def test_an_activity_binds_its_codec_once(
    connected: BlackHole, contexts: list[Any], activity: Any
) -> None:
    thb.disconnect()
    thb.connect(connected.address, namespace="ns", lazy=True, data_converter=Bound())
    for own in ({}, {"data_converter": Bound()}):
        contexts.clear()
        act = activity(
            task_token(types=False),
            workflow_type="Mine",
            task_queue="solvers",
            initial_details=[40],
            close_timeout=0,
            **own,
        )
        act.heartbeat(41)
        act.heartbeat(42)
        act._close_at_once()
        assert contexts == [
            dataclasses.replace(
                OF_TOKEN, activity_type=None, workflow_type="Mine", activity_task_queue="solvers"
            )
        ]


def test_an_activity_that_is_opened_by_ids_has_these_ids(
    connected: BlackHole, contexts: list[Any]
) -> None:
    thb.disconnect()
    thb.connect(connected.address, lazy=True, data_converter=Bound())
    with thb.Activity(
        workflow_id="w", run_id="r", activity_id="a", activity_type="solve", close_timeout=0
    ):
        pass
    assert contexts == [
        SerializationContext(
            "default", workflow_id="w", run_id="r", activity_id="a", activity_type="solve"
        )
    ]


@pytest.mark.parametrize("source", ["option", "variable", "profile", "default"])
def test_the_namespace_is_that_of_the_connection(
    connected: BlackHole,
    contexts: list[Any],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    source: str,
) -> None:
    thb.disconnect()
    options: dict[str, Any] = {"lazy": True, "data_converter": Bound()}
    profile = tmp_path / "temporal.toml"
    profile.write_text('[profile.default]\nnamespace = "profile"\n')
    if source != "default":
        options["config_file"] = profile
    if source in ("option", "variable"):
        monkeypatch.setenv("TEMPORAL_NAMESPACE", "variable")
    if source == "option":
        options["namespace"] = "option"
    thb.connect(connected.address, **options)
    with thb.Activity(task_token(), close_timeout=0):
        pass
    [context] = contexts
    assert context == dataclasses.replace(OF_TOKEN, namespace=source)


def hand_over(monkeypatch: pytest.MonkeyPatch, **options: Any) -> None:
    given = info(
        task_token=task_token(types=False),
        namespace="ns",
        workflow_id="w",
        workflow_run_id="r",
        activity_id="a",
        activity_type="solve",
        workflow_type="Model",
        task_queue="solvers",
        heartbeat_details=[40],
    )
    for name, text in handoff.environment(given, base={}, **options).items():
        monkeypatch.setenv(name, text)


HANDED_OVER = dataclasses.replace(OF_TOKEN, activity_task_queue="solvers")


def test_the_child_has_the_context_of_its_parent(
    connected: BlackHole, contexts: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    hand_over(monkeypatch, data_converter=Bound())
    assert contexts == [HANDED_OVER]
    contexts.clear()
    thb.disconnect()
    thb.connect(connected.address, lazy=True, data_converter=Bound())
    with thb.Activity.from_env(close_timeout=0) as act:
        assert act.details(default=None) == 40
    assert contexts == [HANDED_OVER]
    # The same activity by its token, and others.
    assert context_of(task_token(types=False), "ns") == HANDED_OVER
    assert context_of(b"", "ns", workflow_id="w", run_id="r", activity_id="a") == HANDED_OVER
    assert context_of(task_token(run_id="r2"), "ns") == dataclasses.replace(OF_TOKEN, run_id="r2")
    assert context_of(b"", "ns") == SerializationContext("ns")


def test_a_token_alone_is_enough_of_a_hand_off(
    disconnected: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TEMPORAL_ACTIVITY_TASK_TOKEN", b64encode(task_token()).decode())
    assert context_of(b"", "ns", from_env=True) == OF_TOKEN
    monkeypatch.setenv("TEMPORAL_ACTIVITY_TASK_TOKEN", "no base64")
    assert context_of(b"", "ns", from_env=True) == SerializationContext("ns")


class Careless(Reversing):
    def with_context(self, context: SerializationContext) -> Any:
        """Returns no codec."""


def test_a_context_without_a_codec_is_a_type_error_and_sends_nothing(recorder: Recorder) -> None:
    thb.connect(recorder.address, data_converter=Careless())
    recorder.wait_for_requests(1)
    with pytest.raises(TypeError, match="encode and decode"):
        thb.heartbeat(task_token(), "secret")
    assert b"secret" not in recorder.received


class SdkCodec(sdk.PayloadCodec, sdk.WithSerializationContext):
    """Marks each payload with the context."""

    def __init__(self, context: Any = None) -> None:
        self.context = context

    def with_context(self, context: sdk.SerializationContext) -> SdkCodec:
        return SdkCodec(context)

    async def encode(self, payloads: Sequence[SdkPayload]) -> list[SdkPayload]:
        encoding = {"encoding": b"binary/reversed", "codec": repr(self.context).encode()}
        return [SdkPayload(metadata=encoding, data=p.SerializeToString()[::-1]) for p in payloads]

    async def decode(self, payloads: Sequence[SdkPayload]) -> list[SdkPayload]:
        return [SdkPayload.FromString(payload.data[::-1]) for payload in payloads]


class SdkPayloadConverter(sdk.DefaultPayloadConverter):
    context: Any = None

    def with_context(self, context: sdk.SerializationContext) -> SdkPayloadConverter:
        bound = SdkPayloadConverter()
        bound.context = context
        return bound

    def to_payloads(self, values: Sequence[Any]) -> list[SdkPayload]:
        payloads = super().to_payloads(values)
        for payload in payloads:
            payload.metadata["converter"] = repr(self.context).encode()
        return payloads


SDK_CONTEXT = sdk.ActivitySerializationContext(
    namespace="ns",
    activity_id="a",
    activity_type="solve",
    activity_task_queue=None,
    workflow_id="w",
    workflow_type="Model",
    is_local=False,
)


@pytest.mark.parametrize(
    "data_converter",
    [
        SdkCodec(),
        sdk.DataConverter(payload_converter_class=SdkPayloadConverter, payload_codec=SdkCodec()),
    ],
)
def test_codecs_and_converters_of_the_sdk_get_the_context_of_the_sdk(
    recorder: Recorder, data_converter: Any
) -> None:
    thb.connect(recorder.address, namespace="ns", compression="none", data_converter=data_converter)
    thb.heartbeat(task_token(), 41, Payload(b"42", {"encoding": b"json/plain"}))
    assert recorder.received.count(repr(SDK_CONTEXT).encode()) == 2
    with thb.Activity(task_token(), close_timeout=0) as act:
        assert act._codec is not None
        [payload] = act._codec.encode([41])
        assert payload.metadata["codec"] == repr(SDK_CONTEXT).encode()
        [(value, opened)] = act._codec.decode([payload])
    assert value == 41
    if isinstance(data_converter, sdk.DataConverter):
        assert opened.metadata["converter"] == repr(SDK_CONTEXT).encode()


def test_a_codec_without_a_context_is_used_as_it_is(recorder: Recorder) -> None:
    thb.connect(recorder.address, compression="none", data_converter=Reversing())
    thb.heartbeat(task_token(), 41)
    assert b"binary/reversed" in recorder.received
