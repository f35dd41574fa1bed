"""The options of stalls, and the handler that shows the stacks, in processes of their own."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from typing import Any

import pytest
from support import BlackHole

import temporal_heartbeat as thb
from temporal_heartbeat import Activity


def open_activity(**options: Any) -> Activity:
    """Opens an activity that needs no answer of the server."""
    return Activity(b"token", initial_details=[], heartbeat_timeout=30, close_timeout=0, **options)


@pytest.mark.parametrize("action", ["fail", "warn"])
def test_an_action_without_a_timeout_is_refused(connected: BlackHole, action: str) -> None:
    with pytest.raises(thb.ConfigError, match=r"stall_action needs options\.stall_timeout_ms"):
        open_activity(stall_action=action)


@pytest.mark.parametrize("action", [None, "stop"])
def test_a_signal_that_is_never_sent_is_refused(connected: BlackHole, action: Any) -> None:
    with pytest.raises(thb.InvalidArgumentError, match="stall_signal needs stall_action"):
        open_activity(stall_timeout=1, stall_action=action, stall_signal=12)


@pytest.mark.parametrize("number", [0, 9, 11, 65])
def test_a_signal_that_cannot_be_handled_is_refused(connected: BlackHole, number: int) -> None:
    with pytest.raises((thb.InvalidArgumentError, thb.ConfigError), match="signal"):
        open_activity(stall_timeout=1, stall_action="fail", stall_signal=number)


def test_a_status_is_shown_until_it_is_replaced(connected: BlackHole) -> None:
    with open_activity() as act:
        assert act.info["status"] is None
        act.set_status("lädt \ud800")
        assert act.info["status"] == "lädt ?"
        act.set_status("")
        assert act.info["status"] is None
        with pytest.raises(thb.TooLargeError, match="at most 4096"):
            act.set_status("x" * 4097)
    with pytest.raises(thb.InvalidHandleError):
        act.set_status("late")


HEAD = """
    import faulthandler, os, signal, subprocess, sys, time
    import temporal_heartbeat as thb
    thb.connect("127.0.0.1:1", namespace="default", lazy=True)
    opened = 0
    def stalled(number=signal.SIGUSR2):
        global opened
        opened += 1
        act = thb.Activity(
            b"token %d" % opened, initial_details=[], close_timeout=0,
            stall_timeout=0.05, stall_action="warn", stall_signal=number)
        while True:
            for record in thb.log_records():
                if record["event"] == "stall_report":
                    act.close(timeout=0)
                    return record["stacks"]
            time.sleep(0.01)
    def refused():
        try:
            stalled()
        except thb.ConfigError as error:
            assert "choose another signal" in str(error), error
        else:
            raise AssertionError("not refused")
"""


def runs(lines: str) -> None:
    """Runs lines in a process of their own, whose handlers they may change."""
    code = textwrap.dedent(HEAD) + textwrap.dedent(lines)
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)


def test_handler_stays_for_further_activities() -> None:
    runs("""
        assert "in stalled" in stalled()
        assert "in stalled" in stalled()
        assert "in stalled" in stalled(signal.SIGUSR1)
    """)


def test_handler_in_python_is_called_after_it() -> None:
    runs("""
        got = []
        signal.signal(signal.SIGUSR2, lambda *_: got.append(1))
        assert "in stalled" in stalled()
        assert got == [1]
    """)


def test_signal_that_faulthandler_uses_already_is_refused() -> None:
    runs("""
        faulthandler.register(signal.SIGUSR2)
        refused()
        assert faulthandler.unregister(signal.SIGUSR2), "it was left alone"
        assert "in stalled" in stalled()
    """)


def test_child_of_fork_has_neither_handler_nor_pipe() -> None:
    runs("""
        assert "in stalled" in stalled()
        before = set(os.listdir("/proc/self/fd"))
        child = os.fork()
        if child == 0:
            assert signal.getsignal(signal.SIGUSR2) == signal.SIG_DFL
            assert not faulthandler.unregister(signal.SIGUSR2)
            os._exit(0 if len(os.listdir("/proc/self/fd")) <= len(before) - 2 else 1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        # A program that the process starts has neither.
        assert "in stalled" in stalled()
    """)


def test_stacks_of_many_threads_are_cut_behind_the_culprit() -> None:
    runs("""
        import threading
        end = threading.Event()
        def a_long_name_of_a_function_that_waits_for_the_end_of_the_test(depth):
            if depth:
                a_long_name_of_a_function_that_waits_for_the_end_of_the_test(depth - 1)
            else:
                end.wait()
        threads = [
            threading.Thread(
                target=a_long_name_of_a_function_that_waits_for_the_end_of_the_test, args=(90,))
            for _ in range(80)
        ]
        for thread in threads:
            thread.start()
        stacks = stalled()
        end.set()
        assert stacks.startswith("Current thread"), stacks[:200]
        assert "in stalled" in stacks.split("\\n\\n")[0], stacks[:2000]
        assert 32000 < len(stacks) <= 32768, len(stacks)
        assert stacks.endswith("(the rest is cut)"), stacks[-200:]
    """)
