"""An activity or a call can have its own codec, which replaces that of the connection."""

from __future__ import annotations

import asyncio
import inspect
from base64 import b64encode
from typing import Any, Callable

import pytest
from support import REPOSITORY, Recorder
from test_active_codec import SECRET, OtherReversing
from test_codec import Reversing
from test_context import task_token

import temporal_heartbeat as thb
from temporal_heartbeat import aio

OTHER: Any = {"data_converter": OtherReversing()}

CALLS: dict[str, Callable[[], Any]] = {
    "heartbeat": lambda: thb.heartbeat(b"token", SECRET, **OTHER),
    "complete": lambda: thb.complete(b"token", SECRET, **OTHER),
    "fail": lambda: thb.fail(
        b"token",
        "m",
        details=[SECRET],
        heartbeat_details=[SECRET],
        cause={"details": [SECRET]},
        **OTHER,
    ),
    "report_cancelled": lambda: thb.report_cancelled(b"token", SECRET, **OTHER),
}


@pytest.mark.parametrize("of_connection", [None, Reversing()])
@pytest.mark.parametrize("name", CALLS)
def test_a_call_uses_its_own_codec(recorder: Recorder, name: str, of_connection: Any) -> None:
    thb.connect(address=recorder.address, compression="none", data_converter=of_connection)
    CALLS[name]()
    assert b"binary/other" in recorder.received
    assert b"binary/reversed" not in recorder.received
    assert SECRET.encode() not in recorder.received
    if of_connection:
        thb.heartbeat(b"token", SECRET)
        assert b"binary/reversed" in recorder.received, (
            "the next call has the codec of the connection"
        )


def to_end(outcome: Any) -> Any:
    """Runs a coroutine of `aio`. A call for threads has ended already."""
    return asyncio.run(outcome) if inspect.iscoroutine(outcome) else outcome


@pytest.mark.parametrize("activity", [thb.Activity, aio.Activity])
def test_an_activity_uses_its_own_codec(recorder: Recorder, activity: Any) -> None:
    thb.connect(address=recorder.address, compression="none", data_converter=Reversing())
    # Without a timeout, so that the object is closed before the recorder stops.
    act = activity(b"own", initial_details=[SECRET], heartbeat_timeout=1, close_timeout=0, **OTHER)
    try:
        recorder.wait_for(b"binary/other")
        for value in (7, SECRET.encode(), SECRET):  # the fast and the usual ways
            act.heartbeat(value)
        to_end(act.details(timeout=5))
        assert b"binary/reversed" not in recorder.received
        with thb.Activity(b"usual", initial_details=[SECRET], heartbeat_timeout=1, close_timeout=0):
            recorder.wait_for(b"binary/reversed")
    finally:
        to_end(act.close(timeout=0))
    assert SECRET.encode() not in recorder.received


def test_an_object_that_is_no_codec_is_a_type_error(disconnected: None) -> None:
    thb.connect(lazy=True)
    for call in (
        lambda: thb.heartbeat(b"token", 1, data_converter=5),
        lambda: thb.get_details(b"token", data_converter=5),
        lambda: thb.Activity(b"token", data_converter=5),
    ):
        with pytest.raises(TypeError, match="encode and decode"):
            call()


def test_the_converter_of_the_documentation_gets_the_context(
    recorder: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    converter = pytest.importorskip("temporalio.converter")

    class Bound(converter.PayloadCodec, converter.WithSerializationContext):  # type: ignore[misc, name-defined]
        key = "unbound"

        def with_context(self, context: Any) -> Bound:
            bound = Bound()
            bound.key = f"{context.workflow_id}/{context.activity_id}"
            return bound

        async def encode(self, payloads: Any) -> Any:
            return [
                type(one)(metadata={"encoding": self.key.encode()}, data=b"") for one in payloads
            ]

        async def decode(self, payloads: Any) -> Any:
            return payloads

    [program] = [one for one in programs() if "my_converter" in one]
    monkeypatch.setenv("TEMPORAL_ACTIVITY_TASK_TOKEN", b64encode(task_token()).decode())
    monkeypatch.setenv("TEMPORAL_ACTIVITY_HEARTBEAT_DETAILS", "")
    monkeypatch.setenv("TEMPORAL_ADDRESS", recorder.address)
    names = {"token": task_token(activity_id="b")}
    names["my_converter"] = converter.DataConverter(payload_codec=Bound())
    exec(program, {"thb": thb, **names})
    assert b"w/a" in recorder.received
    assert b"w/b" in recorder.received
    assert b"done" not in recorder.received


def test_the_codec_of_the_documentation_has_a_key_for_each_workflow(recorder: Recorder) -> None:
    [program] = [one for one in programs() if "Vigenere" in one]
    names: dict[str, Any] = {"thb": thb}
    exec(program, names)
    thb.connect(recorder.address, compression="none", data_converter=names["Vigenere"]())
    for workflow_id in ("w", "x"):
        token = task_token(workflow_id)
        with thb.Activity(token, initial_details=[SECRET], heartbeat_timeout=30) as act:
            assert act.details()[0] == SECRET
    assert SECRET.encode() not in recorder.received


def programs() -> list[str]:
    page = (REPOSITORY / "docs" / "codecs.md").read_text()
    return [block.split("```")[0] for block in page.split("```python\n")[1:]]
