"""A hung program in Python: the failure of the activity shows the line that hangs."""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from temporalio.exceptions import ApplicationError

from harness.activities import ExternalActivity, Kind
from harness.fixtures import StartActivity
from harness.freezer import freezer
from harness.handoff_program import SERVER_TIMEOUT_MS
from harness.process import SILENCE_LIMIT_S, Process
from harness.proxy import Proxy
from harness.python_child import PythonChild, StartChild
from harness.server import NAMESPACE, Server

ROUNDS = 100 if os.environ.get("THB_SLOW") == "1" else 3

OPEN = "from_env(stall_timeout=0.5, stall_action='fail', stall_signal=signal.SIGUSR2)"

# The line that hangs, as a function of the child, and the code that calls it.
HANGS = {
    # PyDLL doesn't release the GIL, and the second lock never returns: no code in Python can run any more.
    "a_c_call_that_holds_the_gil": f"""
        import ctypes
        lock, native = ctypes.create_string_buffer(256), ctypes.PyDLL(None)
        def a_c_call_that_holds_the_gil():
            native.pthread_mutex_lock(lock)
        with thb.Activity.{OPEN} as act:
            act.set_status("item 42")
            act.heartbeat(41)
            a_c_call_that_holds_the_gil()
            a_c_call_that_holds_the_gil()
    """,
    "a_blocked_event_loop": f"""
        async def a_blocked_event_loop():
            time.sleep(600)
        async def main():
            async with aio.Activity.{OPEN} as act:
                act.set_status("item 42")
                act.heartbeat(41)
                await a_blocked_event_loop()
        asyncio.run(main())
    """,
    "a_lock_of_another_thread": f"""
        import threading
        lock = threading.Lock()
        def a_lock_of_another_thread():
            lock.acquire()
        with thb.Activity.{OPEN} as act:
            act.set_status("item 42")
            act.heartbeat(41)
            threading.Thread(target=a_lock_of_another_thread).start()
            a_lock_of_another_thread()
    """,
}


def stalled(activity: ExternalActivity) -> ApplicationError:
    error = activity.failure(SILENCE_LIMIT_S)
    assert isinstance(error, ApplicationError)
    assert (error.type, error.non_retryable) == ("Stalled", False)
    return error


@pytest.mark.parametrize("culprit", HANGS)
def test_failure_shows_the_line_that_hangs(culprit: str, start: StartActivity, start_child: StartChild) -> None:
    for _ in range(ROUNDS):
        child = start_child(HANGS[culprit])
        with child:
            activity = start("workflow", maximum_attempts=1, heartbeat_timeout_ms=SERVER_TIMEOUT_MS)
            child.hand_over(activity.next_attempt())
            error = stalled(activity)
            assert "stall_timeout_ms is 500" in error.message
            assert "status: item 42" in error.message
            assert error.failure
            [first, *_] = error.failure.stack_trace.split("\n\n")
            assert first.startswith("Current thread")
            assert f"in {culprit}" in first, error.failure.stack_trace


def test_next_attempt_gets_the_last_details(kind: Kind, start: StartActivity, start_child: StartChild) -> None:
    activity = start(kind)
    child = start_child("""
        with thb.Activity.from_env(stall_timeout=0.3, stall_action="fail", fail_on_exception=False) as act:
            act.heartbeat(40)
            act.flush()
            act.heartbeat(41)
            report(int(act.wait(thb.Signals.GONE)))
            try:
                act.heartbeat(42)
            except thb.EndedError as error:
                report(str(error))
    """)
    child.hand_over(activity.next_attempt())
    second = activity.next_attempt()
    assert (second.number, second.details) == (2, [41])
    # GONE and STALLED.
    assert child.receive() == [8 | 32]
    [why] = child.receive()
    assert "stall_timeout_ms (stall_action): stop the work" in why


def test_stall_is_reported_when_the_server_is_back(server: Server, start: StartActivity) -> None:
    activity = start("workflow", maximum_attempts=1, heartbeat_timeout_ms=SERVER_TIMEOUT_MS)
    lines = """
        with thb.Activity.from_env(stall_timeout=3, stall_action="fail") as act:
            act.heartbeat(41)
            report("recorded")
            act.wait(thb.Signals.STALLED)
            # The report is repeated, also after a while.
            while not any(record["event"] == "connect_failed" for record in thb.log_records()):
                time.sleep(0.01)
            report("reported in vain")
            report(int(act.wait(thb.Signals.GONE)))
    """
    with Proxy(server.port) as up:
        variables = {"TEMPORAL_ADDRESS": up.address, "TEMPORAL_NAMESPACE": NAMESPACE}
        child = PythonChild(lines, variables)
        assert child.receive() == ["ready"]
        child.hand_over(activity.next_attempt(), HEARTBEAT_TIMEOUT_MS=str(SERVER_TIMEOUT_MS))
        assert child.receive() == ["recorded"]
    with child:
        assert child.receive() == ["reported in vain"]
        with Proxy(server.port, up.port):
            assert "nothing was recorded for" in stalled(activity).message
            assert child.receive() == [8 | 32]


def test_warning_leaves_the_attempt_alone(start: StartActivity, start_child: StartChild) -> None:
    # The server would notice that the heartbeats stop.
    activity = start("workflow", maximum_attempts=1, heartbeat_timeout_ms=2_000)
    child = start_child("""
        def here():
            while True:
                for record in thb.log_records():
                    if record["event"] == "stall_report":
                        return record
                time.sleep(0.01)
        with thb.Activity.from_env(stall_timeout=0.3, stall_action="warn", stall_signal=signal.SIGUSR2) as act:
            act.set_status("item 42")
            act.wait(thb.Signals.STALLED)
            logged = here()
            report(logged["status"], logged["stacks"])
            beats = act.info["beats"]
            while act.info["beats"] < beats + 3:
                time.sleep(0.05)
            act.complete(int(act.signals))
    """)
    child.hand_over(activity.next_attempt(), HEARTBEAT_TIMEOUT_MS="2000")
    status, stacks = child.receive()
    assert status == "item 42"
    assert stacks.startswith("Current thread")
    assert "in <module>" in stacks.split("\n\n")[0]
    assert activity.result() == 32


@pytest.mark.parametrize("is_container", [False, True], ids=["SIGSTOP", "control group"])
def test_frozen_process_is_not_stalled(is_container: bool, start: StartActivity, start_child: StartChild) -> None:
    activity = start("workflow", maximum_attempts=1)
    child = start_child("""
        with thb.Activity.from_env(stall_timeout=5, stall_action="fail") as act:
            act.heartbeat(41)
            report("recorded")
            sys.stdin.readline()
            # The scheduler has had time to see the stall, if it saw one.
            signals = act.wait(timeout=1.2)
            act.touch()
            act.complete(int(signals))
    """)
    child.hand_over(activity.next_attempt())
    assert child.receive() == ["recorded"]
    with frozen(child, is_container=is_container):
        time.sleep(6)
        child.write_line("continue")
    assert activity.result() == 0


@contextmanager
def frozen(child: Process, *, is_container: bool) -> Iterator[None]:
    if is_container:
        with freezer() as group:
            group.add(child.pid)
            group.freeze()
            yield
            group.thaw()
    else:
        child.freeze()
        yield
        child.thaw()


def test_paused_activity_is_not_stalled(start: StartActivity, start_child: StartChild) -> None:
    activity = start("workflow", maximum_attempts=1)
    child = start_child("""
        with thb.Activity.from_env(stall_timeout=2, stall_action="fail", cancel_poll=0.1) as act:
            act.heartbeat(41)
            report("recorded")
            while not act.signals & thb.Signals.PAUSED:
                act.touch()
                time.sleep(0.01)
            paused = act.wait(thb.Signals.STALLED, timeout=3)
            report(int(paused))
            act.wait_while_paused()
            act.complete(42)
    """)
    child.hand_over(activity.next_attempt())
    assert child.receive() == ["recorded"]
    activity.pause()
    assert child.receive() == [2]
    activity.unpause()
    assert activity.result() == 42


def test_encrypted_activity_shows_neither_status_nor_stacks(start: StartActivity, start_child: StartChild) -> None:
    activity = start("workflow", maximum_attempts=1)
    child = start_child("""
        def where_it_hangs():
            time.sleep(600)
        with thb.Activity.from_env(
            stall_timeout=0.3, stall_action="fail", stall_signal=signal.SIGUSR2, require_encoded=True
        ) as act:
            act.set_status("a secret")
            where_it_hangs()
    """)
    child.hand_over(activity.next_attempt())
    error = stalled(activity)
    assert error.failure
    assert "nothing was recorded for" in error.message
    assert "left out, because they would be readable" in error.message
    shown = str(error.failure)
    assert "secret" not in shown
    assert "where_it_hangs" not in shown
