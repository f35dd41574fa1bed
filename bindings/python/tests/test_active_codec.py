"""With a codec no value leaves the process unencoded, even during connects and disconnects.

Each test searches the bytes that the server received for plain values.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import textwrap
import threading
from base64 import b64encode
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Callable

import pytest
from support import Recorder
from test_codec import Reversing

import temporal_heartbeat as thb
from temporal_heartbeat import Payload
from temporal_heartbeat._payload import encode_payloads

ROUNDS = 10
SECRET = "readable by anybody"


class OtherReversing(Reversing):
    """Another codec, with a different encoding."""

    def encode(self, payloads: Sequence[Payload], /) -> list[Payload]:
        return [
            Payload(payload.data, {"encoding": b"binary/other"})
            for payload in super().encode(payloads)
        ]


def until_connected(call: Callable[[], Any]) -> Any:
    """Repeats the call until the process is connected."""
    while True:
        try:
            return call()
        except thb.NotConnectedError:
            pass


def in_thread(call: Callable[[], Any]) -> threading.Thread:
    thread = threading.Thread(target=call, daemon=True)
    thread.start()
    return thread


def join(thread: threading.Thread) -> None:
    thread.join(20)
    assert not thread.is_alive()


@pytest.mark.parametrize("lazy", [True, False])
def test_heartbeats_during_connect_are_encoded(recorder: Recorder, lazy: bool) -> None:
    for number in range(ROUNDS):
        token = b"token-%d." % number
        beat = lambda: thb.heartbeat(token, SECRET, timeout=20)  # noqa: B023, E731
        thread = in_thread(lambda: until_connected(beat))  # noqa: B023
        thb.connect(
            address=recorder.address, lazy=lazy, compression="none", data_converter=Reversing()
        )
        recorder.wait_for(token)
        join(thread)
        thb.disconnect(timeout=0)
    assert SECRET.encode() not in recorder.received


def test_an_activity_opened_during_connect_is_encoded(recorder: Recorder) -> None:
    def open_activity(token: bytes) -> None:
        act = until_connected(
            lambda: thb.Activity(token, initial_details=[SECRET], heartbeat_timeout=1)
        )
        act.heartbeat(SECRET)
        act.close()

    for number in range(ROUNDS):
        token = b"token-%d." % number
        thread = in_thread(lambda: open_activity(token))  # noqa: B023
        thb.connect(
            address=recorder.address, lazy=True, compression="none", data_converter=Reversing()
        )
        recorder.wait_for(token)
        join(thread)
        thb.disconnect(timeout=0)
    assert SECRET.encode() not in recorder.received


def test_heartbeats_during_connects_and_disconnects_are_encoded(recorder: Recorder) -> None:
    ended = threading.Event()

    def beat() -> None:
        while not ended.is_set():
            with contextlib.suppress(thb.NotConnectedError):
                thb.heartbeat(b"token", SECRET, timeout=5)

    threads = [in_thread(beat) for _ in range(2)]
    for number in range(ROUNDS):
        connected = b"token-%d." % number
        thb.connect(
            address=recorder.address, lazy=True, compression="none", data_converter=Reversing()
        )
        thb.heartbeat(connected, SECRET)
        # In a thread, as in an application that restarts its connection.
        disconnecting = in_thread(lambda: thb.disconnect(timeout=1))
        join(disconnecting)
    ended.set()
    for thread in threads:
        join(thread)
    assert SECRET.encode() not in recorder.received


def test_a_refused_connect_keeps_the_active_codec(recorder: Recorder) -> None:
    thb.connect(address=recorder.address, compression="none", data_converter=Reversing())
    for other in ({}, {"data_converter": OtherReversing()}, {"lazy": True}):
        with pytest.raises(thb.AlreadyConnectedError):
            thb.connect(address=recorder.address, **other)
        thb.heartbeat(b"token", SECRET)
    assert recorder.received.count(b"binary/reversed") == 3
    assert b"binary/other" not in recorder.received
    assert SECRET.encode() not in recorder.received


class Slow:
    """A value whose conversion waits, to stop the call before it reaches the library."""

    def __init__(self) -> None:
        self.converting = threading.Event()
        self.proceed = threading.Event()

    def dict(self) -> dict[str, str]:
        self.converting.set()
        assert self.proceed.wait(20)
        return {"text": SECRET}


def open_activity(value: Any, recorder: Recorder) -> None:
    with thb.Activity(b"token", initial_details=[value], heartbeat_timeout=1):
        recorder.wait_for(b"token")


SENDING: dict[str, Callable[[Any, Recorder], Any]] = {
    "heartbeat": lambda value, _: thb.heartbeat(b"token", value),
    "complete": lambda value, _: thb.complete(b"token", value),
    "fail": lambda value, _: thb.fail(b"token", "m", details=[value], heartbeat_details=[value]),
    "report_cancelled": lambda value, _: thb.report_cancelled(b"token", value),
    "open": open_activity,
}


@pytest.mark.parametrize("codec", [None, OtherReversing()])
@pytest.mark.parametrize("name", SENDING)
def test_a_call_started_before_a_reconnect_uses_the_active_codec(
    recorder: Recorder, name: str, codec: Any
) -> None:
    thb.connect(address=recorder.address, lazy=True, data_converter=codec)
    value = Slow()
    failures: list[BaseException] = []

    def call() -> None:
        try:
            SENDING[name](value, recorder)
        except BaseException as failure:
            failures.append(failure)

    thread = in_thread(call)
    assert value.converting.wait(20)
    thb.disconnect()
    thb.connect(address=recorder.address, lazy=True, compression="none", data_converter=Reversing())
    value.proceed.set()
    join(thread)
    assert failures == []
    assert b"binary/reversed" in recorder.received
    assert b"binary/other" not in recorder.received
    assert SECRET.encode() not in recorder.received


def test_a_running_call_ends_before_the_next_connection_is_made(recorder: Recorder) -> None:
    recorder.answers.clear()
    thb.connect(address=recorder.address, lazy=True, compression="none")
    failures: list[thb.Error] = []

    def call() -> None:
        try:
            thb.heartbeat(b"token", "plain", timeout=None)
        except thb.Error as failure:
            failures.append(failure)

    thread = in_thread(call)
    recorder.wait_for(b"plain")
    thb.disconnect(timeout=0)
    thb.connect(address=recorder.address, lazy=True, data_converter=Reversing())
    join(thread)
    assert [type(failure) for failure in failures] == [thb.NotConnectedError]


def test_an_activity_keeps_the_codec_of_its_connection(recorder: Recorder) -> None:
    thb.connect(address=recorder.address, lazy=True)
    act = thb.Activity(b"token", initial_details=[], heartbeat_timeout=30)
    thb.disconnect()
    thb.connect(address=recorder.address, lazy=True, compression="none", data_converter=Reversing())
    for call in (
        lambda: act.heartbeat(SECRET),
        lambda: act.complete(SECRET),
        lambda: act.fail("m", details=[SECRET]),
        lambda: act.report_cancelled(SECRET),
    ):
        with pytest.raises(thb.InvalidHandleError):
            call()
    assert SECRET.encode() not in recorder.received


def program(lines: str, *arguments: str) -> subprocess.Popen[str]:
    head = """
        import os, signal, sys, threading
        sys.path.insert(0, os.path.dirname(sys.argv[1]))
        import temporal_heartbeat as thb
        from test_codec import Reversing
        from test_active_codec import SECRET, until_connected
        signal.signal(signal.SIGINT, signal.default_int_handler)
        address = sys.argv[2]
    """
    return subprocess.Popen(
        [
            sys.executable,
            "-c",
            textwrap.dedent(head) + textwrap.dedent(lines),
            __file__,
            *arguments,
        ],
        stdout=subprocess.PIPE,
        text=True,
    )


def test_ctrl_c_during_connect_leaves_no_connection_without_its_codec(recorder: Recorder) -> None:
    recorder.answers.clear()
    process = program(
        """
        try:
            thb.connect(address=address, compression="none", data_converter=Reversing())
        except KeyboardInterrupt:
            print("interrupted", flush=True)
        print(int(until_connected(lambda: thb.heartbeat(b"token", SECRET))), flush=True)
        """,
        recorder.address,
    )
    try:
        recorder.wait_for_requests(1)
        process.send_signal(signal.SIGINT)
        assert process.stdout
        assert process.stdout.readline() == "interrupted\n"
        recorder.answers.set()
        assert process.stdout.readline() == "0\n"
    finally:
        process.kill()
        process.communicate()
    assert b"binary/reversed" in recorder.received
    assert SECRET.encode() not in recorder.received


def test_ctrl_c_at_any_point_of_connect_leaves_no_connection_without_its_codec(
    recorder: Recorder,
) -> None:
    # Without helper threads the main thread makes the calls itself. Python runs signal handlers at
    # the start of a function and after a call, so Ctrl-C is tried at each of these.
    process = program(
        """
        from temporal_heartbeat import _interruptible

        def no_thread():
            raise RuntimeError("no threads")

        _interruptible._Helper = no_thread
        _interruptible._idle_helpers.clear()

        def interrupt_at(step):
            left = [step]

            def profile(frame, event, argument):
                ours = "temporal_heartbeat" in frame.f_code.co_filename
                if ours and event in ("call", "c_return"):
                    left[0] -= 1
                    if left[0] == 0:
                        sys.setprofile(None)
                        raise KeyboardInterrupt

            sys.setprofile(profile)
            try:
                thb.connect(address=address, lazy=True, compression="none",
                            data_converter=Reversing())
                return False
            except KeyboardInterrupt:
                return True
            finally:
                sys.setprofile(None)

        step = 1
        while interrupt_at(step):
            try:
                thb.heartbeat(b"token", SECRET, timeout=5)
            except thb.NotConnectedError:
                pass
            thb.disconnect(timeout=0)
            step += 1
        print(step > 20)
        """,
        recorder.address,
    )
    assert process.communicate(timeout=60)[0] == "True\n"
    assert b"binary/reversed" in recorder.received
    assert SECRET.encode() not in recorder.received


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs os.fork")
def test_a_child_forked_during_a_call_makes_its_own_connection(recorder: Recorder) -> None:
    recorder.answers.clear()
    thb.connect(address=recorder.address, lazy=True, data_converter=OtherReversing())
    thread = in_thread(lambda: thb.heartbeat(b"held", 1, timeout=None))
    recorder.wait_for(b"held")
    child = os.fork()
    if child == 0:
        thb.disconnect(timeout=0)
        thb.connect(
            address=recorder.address, lazy=True, compression="none", data_converter=Reversing()
        )
        try:
            thb.heartbeat(b"child", SECRET, timeout=20)
        finally:
            os._exit(0)
    recorder.wait_for(b"child")
    recorder.answers.set()
    join(thread)
    os.waitpid(child, 0)
    assert b"binary/reversed" in recorder.received
    assert SECRET.encode() not in recorder.received


def test_plain_details_of_the_hand_off_are_encoded(
    recorder: Recorder, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    plain = Payload(SECRET.encode(), {"encoding": b"binary/plain"})
    [encoded] = OtherReversing().encode([plain])
    handed = b64encode(encode_payloads([plain, encoded])).decode()
    monkeypatch.setenv("TEMPORAL_ACTIVITY_TASK_TOKEN", b64encode(b"token").decode())
    monkeypatch.setenv("TEMPORAL_ACTIVITY_HEARTBEAT_DETAILS", handed)
    thb.connect(address=recorder.address, lazy=True, compression="none", data_converter=Reversing())
    with thb.Activity.from_env(heartbeat_timeout=1) as act:
        assert act.details()[0] == SECRET.encode()
        recorder.wait_for(b"binary/reversed")
    assert b"binary/other" in recorder.received
    assert SECRET.encode() not in recorder.received


def test_plain_payloads_are_encoded(recorder: Recorder) -> None:
    thb.connect(address=recorder.address, compression="none", data_converter=Reversing())
    plain = [
        Payload(SECRET.encode(), {"encoding": encoding})
        for encoding in (b"json/plain", b"binary/plain", b"json/protobuf", b"binary/protobuf")
    ] + [Payload(b"", {"encoding": b"binary/null"}), Payload(SECRET.encode(), {})]
    thb.heartbeat(b"token", *plain)
    in_base64 = b64encode(encode_payloads(plain)).decode()
    cause = {"message": "c", "cause": {"message": "d", "details_payloads": in_base64}}
    thb.fail(b"token", "m", details=plain, heartbeat_details=plain, cause=cause)
    assert recorder.received.count(b"binary/reversed") == 4 * len(plain)
    assert SECRET.encode() not in recorder.received
    assert b"binary/null" not in recorder.received
