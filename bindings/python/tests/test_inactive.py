"""With ``when_absent="inactive"``, a program runs without an activity in its environment."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from typing import Any

import pytest
from support import BlackHole

import temporal_heartbeat as thb
from temporal_heartbeat import Activity, Payload, SerializationContext, Signals, aio


def open_inactive(**options: Any) -> Activity:
    return Activity.from_env(when_absent="inactive", **options)


def test_every_method_succeeds_and_does_nothing(disconnected: None) -> None:
    with open_inactive(stall_timeout=0.001, initial_details=[41]) as act, open_inactive():
        for _ in range(2):
            assert act.details(default=-1) == -1
            assert act.heartbeat({"item": 41}) == Signals(0)
            assert act.touch() == Signals(0)
            act.raise_if_cancelled()
            assert act.wait_while_paused() == Signals(0)
            assert act.wait(timeout=0.001) == Signals(0)
            act.flush()
            act.complete("done")
            act.fail("failed")
            act.report_cancelled("cancelled")
        assert act.info["state"] == "inactive"
        assert "inactive" in repr(act)
    with pytest.raises(thb.InvalidHandleError):
        act.heartbeat(41)


def test_an_exception_of_the_work_leaves_the_block(disconnected: None) -> None:
    with pytest.raises(ZeroDivisionError), open_inactive():
        print(1 / 0)


def test_every_coroutine_succeeds_and_does_nothing(disconnected: None) -> None:
    async def main() -> None:
        await aio.connect(when_absent="inactive")
        async with aio.Activity.from_env(when_absent="inactive") as act:
            for _ in range(2):
                assert await act.details(default=-1) == -1
                assert act.heartbeat(41) == Signals(0)
                assert await act.wait_while_paused() == Signals(0)
                assert await act.wait(timeout=0.001) == Signals(0)
                await act.flush()
                await act.complete("done")
        await aio.disconnect()

    asyncio.run(main())


def test_a_coroutine_waits_without_a_connection(disconnected: None) -> None:
    async def main() -> None:
        async with aio.Activity.from_env(when_absent="inactive") as act:
            assert await act.wait(timeout=0.001) == Signals(0)

    asyncio.run(main())


def test_values_are_checked(disconnected: None) -> None:
    with open_inactive() as act:
        with pytest.raises(TypeError):
            act.heartbeat(object())
        with pytest.raises(thb.TooLargeError):
            act.heartbeat(bytes(3 << 20))


def test_a_codec_encodes_values(disconnected: None) -> None:
    contexts: list[SerializationContext] = []

    class Counting:
        encoded = 0

        def encode(self, payloads: Sequence[Payload]) -> Sequence[Payload]:
            self.encoded += len(payloads)
            return payloads

        def decode(self, payloads: Sequence[Payload]) -> Sequence[Payload]:
            return payloads

        def with_context(self, context: SerializationContext) -> Counting:
            contexts.append(context)
            return self

    codec = Counting()
    thb.connect(when_absent="inactive", data_converter=codec)
    with open_inactive() as act:
        act.heartbeat(41)
    assert codec.encoded == 1
    assert [context.activity_id for context in contexts] == [None]


def test_connect_dials_nothing(
    disconnected: None, black_hole: BlackHole, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TEMPORAL_ADDRESS", black_hole.address)
    descriptors = os.listdir("/proc/self/fd")
    thb.connect(when_absent="inactive", tls={"server_ca_cert_path": "/no/such/file"})
    with pytest.raises(thb.NotConnectedError, match="when_absent"):
        thb.heartbeat(b"token", 41)
    with pytest.raises(thb.AlreadyConnectedError):
        thb.connect(when_absent="inactive")
    thb.reconfigure(api_key="key")
    act = open_inactive()
    assert len(os.listdir("/proc/self/fd")) == len(descriptors)
    thb.disconnect()
    with pytest.raises(thb.InvalidHandleError):
        act.touch()
    act.close()


@pytest.mark.parametrize("name", ["TASK_TOKEN", "TASK_TOKEN_FILE", "TASK_TOKEN_FD", "ID", "RUN_ID"])
def test_an_empty_variable_is_an_error(
    disconnected: None, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv(f"TEMPORAL_ACTIVITY_{name}", "")
    with pytest.raises(thb.ConfigError, match=f"TEMPORAL_ACTIVITY_{name} is empty"):
        open_inactive()


@pytest.mark.parametrize("options", [{}, {"when_absent": "error"}, {"when_absent": "run"}])
def test_an_absent_activity_is_an_error_otherwise(
    disconnected: None, options: dict[str, Any]
) -> None:
    with pytest.raises(thb.ConfigError):
        Activity.from_env(**options)


def test_a_given_activity_is_not_absent(connected: BlackHole) -> None:
    with Activity(
        b"token", pulse=False, from_env=True, when_absent="inactive", close_timeout=0
    ) as act:
        assert act.info["state"] == "open"
    with Activity.from_env(activity_id="a", when_absent="inactive", close_timeout=0) as act:
        assert act.info["state"] == "open"
