"""Ctrl-C, signal handlers, forks and exits during a blocking call, in child processes."""

from __future__ import annotations

import select
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from support import BlackHole

import temporal_heartbeat as thb
from temporal_heartbeat import _interruptible

PROMPT_S = 10.0


class Program:
    """A Python process that connects lazily to the black hole, and then runs the lines."""

    def __init__(self, address: str, lines: str) -> None:
        head = f"""
            import os, signal, sys, threading, time
            import temporal_heartbeat as thb
            thb.connect(address={address!r}, lazy=True)
        """
        self.process = subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(head) + textwrap.dedent(lines)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            # A test run in the background ignores SIGINT, and its children would inherit that.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL) and None,
        )

    def ends(self) -> tuple[int, str, str]:
        out, err = self.process.communicate(timeout=30)
        return self.process.returncode, out, err

    def stop(self) -> None:
        self.process.kill()
        self.process.communicate()


@pytest.fixture
def programs(library_path: Path, black_hole: BlackHole) -> Iterator[list[Program]]:
    started: list[Program] = []
    yield started
    for program in started:
        program.stop()


def test_ctrl_c_interrupts_a_blocked_call_at_once(
    programs: list[Program], black_hole: BlackHole
) -> None:
    program = Program(
        black_hole.address,
        """
        try:
            thb.heartbeat(b"token", 1, timeout=None)
        except KeyboardInterrupt:
            print("interrupted")
        """,
    )
    programs.append(program)
    black_hole.wait_for_request()
    began = time.monotonic()
    program.process.send_signal(signal.SIGINT)
    assert program.ends() == (0, "interrupted\n", "")
    assert time.monotonic() - began < PROMPT_S


def test_an_uncaught_ctrl_c_ends_the_process_by_the_signal(
    programs: list[Program], black_hole: BlackHole
) -> None:
    program = Program(black_hole.address, 'thb.heartbeat(b"token", 1, timeout=None)')
    programs.append(program)
    black_hole.wait_for_request()
    program.process.send_signal(signal.SIGINT)
    status, _, err = program.ends()
    assert status == -signal.SIGINT
    assert err.splitlines()[-1] == "KeyboardInterrupt"
    assert "Fatal" not in err


def test_a_signal_handler_that_returns_does_not_interrupt_the_call(
    programs: list[Program], black_hole: BlackHole
) -> None:
    program = Program(
        black_hole.address,
        """
        signal.signal(signal.SIGUSR1, lambda *_: print("handled", flush=True))
        try:
            thb.heartbeat(b"token", 1, timeout=4)
        except thb.Error as error:
            print(isinstance(error, (thb.TimeoutError, thb.UnavailableError)))
        """,
    )
    programs.append(program)
    black_hole.wait_for_request()
    program.process.send_signal(signal.SIGUSR1)
    assert program.process.stdout is not None
    ready, _, _ = select.select([program.process.stdout], [], [], 3.5)
    assert ready, "the handler ran before the call was over"
    assert program.ends() == (0, "handled\nTrue\n", "")


def test_a_signal_handler_can_make_calls(programs: list[Program], black_hole: BlackHole) -> None:
    program = Program(
        black_hole.address,
        """
        def handler(*_):
            thb.disconnect()
        signal.signal(signal.SIGUSR1, handler)
        try:
            thb.heartbeat(b"token", 1, timeout=None)
        except thb.NotConnectedError:
            print("disconnected")
        """,
    )
    programs.append(program)
    black_hole.wait_for_request()
    program.process.send_signal(signal.SIGUSR1)
    assert program.ends() == (0, "disconnected\n", "")


def test_the_next_call_after_an_interrupted_one_works(
    programs: list[Program], black_hole: BlackHole
) -> None:
    program = Program(
        black_hole.address,
        """
        class Enough(Exception):
            pass

        def handler(*_):
            raise Enough

        signal.signal(signal.SIGALRM, handler)
        for _ in range(3):
            try:
                signal.setitimer(signal.ITIMER_REAL, 0.2)
                thb.heartbeat(b"token", 1, timeout=None)
            except Enough:
                print("enough")
        thb.disconnect()
        """,
    )
    programs.append(program)
    assert program.ends() == (0, "enough\n" * 3, "")


HOLD = 'act = thb.Activity(b"token", initial_details=[], heartbeat_timeout=30)'


def test_ctrl_c_interrupts_a_wait_for_signals_at_once(
    programs: list[Program], black_hole: BlackHole
) -> None:
    program = Program(
        black_hole.address,
        f"""
        {HOLD}
        try:
            act.heartbeat(1)
            act.wait()
        except KeyboardInterrupt:
            act.close(timeout=0)
            print("interrupted")
        """,
    )
    programs.append(program)
    black_hole.wait_for_request()
    began = time.monotonic()
    program.process.send_signal(signal.SIGINT)
    assert program.ends() == (0, "interrupted\n", "")
    assert time.monotonic() - began < PROMPT_S


def test_ctrl_c_while_the_token_is_awaited_leaves_no_open_activity(
    programs: list[Program], black_hole: BlackHole
) -> None:
    program = Program(
        black_hole.address,
        """
        from temporal_heartbeat import _interruptible

        def calls():
            return [t for t in threading.enumerate() if t.name == "temporal-heartbeat-call"]

        def interrupt():
            while _interruptible._idle_helpers or not calls():
                time.sleep(0.01)
            os.kill(os.getpid(), signal.SIGINT)

        reader, writer = os.pipe()
        os.environ["TEMPORAL_ACTIVITY_TASK_TOKEN_FD"] = str(reader)
        threading.Thread(target=interrupt).start()
        try:
            thb.Activity.from_env(initial_details=[])
        except KeyboardInterrupt:
            print("interrupted")
        os.write(writer, b"dG9rZW4=")
        os.close(writer)
        for call in calls():
            call.join()
        thb.Activity(b"token", initial_details=[]).close(timeout=0)
        print("opened")
        """,
    )
    programs.append(program)
    assert program.ends() == (0, "interrupted\nopened\n", "")


def test_exit_with_an_open_activity_prints_nothing(
    programs: list[Program], black_hole: BlackHole
) -> None:
    program = Program(
        black_hole.address,
        f"""
        {HOLD}
        act.heartbeat(1)
        act.itself = act
        threading.Thread(target=act.wait, daemon=True).start()
        sys.exit(3)
        """,
    )
    programs.append(program)
    assert program.ends() == (3, "", "")


def test_a_forked_child_cannot_use_or_close_its_parents_activity(
    programs: list[Program], black_hole: BlackHole
) -> None:
    program = Program(
        black_hole.address,
        f"""
        {HOLD}
        child = os.fork()
        if child == 0:
            try:
                act.heartbeat(1)
            except thb.ForkedError:
                act.close()
                {HOLD}
                act.heartbeat(2)
                os._exit(7)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
        act.heartbeat(3)
        print(act.info["records"])
        act.close(timeout=0)
        """,
    )
    programs.append(program)
    status, out, _ = program.ends()
    assert (status, out) == (0, "7\n1\n")


@pytest.mark.parametrize("where", ["main", "another"])
def test_exit_during_a_call_prints_nothing(
    programs: list[Program], black_hole: BlackHole, where: str
) -> None:
    lines = {
        "main": """
            signal.signal(signal.SIGUSR1, lambda *_: sys.exit(3))
            thb.heartbeat(b"token", 1, timeout=1)
        """,
        "another": """
            signal.signal(signal.SIGUSR1, lambda *_: sys.exit(3))
            beat = lambda: thb.heartbeat(b"token", 1, timeout=1)
            threading.Thread(target=beat, daemon=True).start()
            while True:
                signal.pause()
        """,
    }
    program = Program(black_hole.address, lines[where])
    programs.append(program)
    black_hole.wait_for_request()
    program.process.send_signal(signal.SIGUSR1)
    assert program.ends() == (3, "", "")


def test_calls_at_exit_work(programs: list[Program], black_hole: BlackHole) -> None:
    program = Program(
        black_hole.address,
        """
        import atexit
        atexit.register(thb.disconnect)
        atexit.register(lambda: print(thb.version() != "", flush=True))
        """,
    )
    programs.append(program)
    assert program.ends() == (0, "True\n", "")


def test_a_forked_child_starts_its_own_helper_thread(
    programs: list[Program], black_hole: BlackHole
) -> None:
    program = Program(
        black_hole.address,
        """
        def beat():
            try:
                thb.heartbeat(b"token", 1, timeout=0.2)
            except (thb.TimeoutError, thb.UnavailableError):
                return 0
        beat()
        child = os.fork()
        if child == 0:
            os._exit(beat())
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
        beat()
        """,
    )
    programs.append(program)
    status, out, _ = program.ends()  # Python 3.12 warns when a process with threads forks
    assert (status, out) == (0, "0\n")


def test_a_fork_by_a_signal_handler_ends_the_childs_wait(
    programs: list[Program], black_hole: BlackHole
) -> None:
    program = Program(
        black_hole.address,
        """
        children = []
        signal.signal(signal.SIGUSR1, lambda *_: children.append(os.fork()))
        try:
            thb.heartbeat(b"token", 1, timeout=2)
        except thb.ForkedError:
            os._exit(7)
        except thb.Error:
            print(os.waitstatus_to_exitcode(os.waitpid(children[0], 0)[1]))
        """,
    )
    programs.append(program)
    black_hole.wait_for_request()
    program.process.send_signal(signal.SIGUSR1)
    status, out, _ = program.ends()
    assert (status, out) == (0, "7\n")


def test_all_calls_share_one_helper_thread(connected: BlackHole) -> None:
    for _ in range(5):
        with pytest.raises((thb.TimeoutError, thb.UnavailableError)):
            thb.heartbeat(b"token", 1, timeout=0.01)
        assert len(_interruptible._idle_helpers) == 1
