"""The activities of the worker under test. Each is what a user may write, with a way to wait for the test."""

import asyncio
import contextlib
import ctypes
import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import temporal_heartbeat as thb
from temporalio import activity
from temporalio.exceptions import ApplicationError, ApplicationErrorCategory

START_METHOD = os.environ.get("THB_START_METHOD", "spawn")


@dataclass
class Config:
    name: str
    at: datetime
    raw: bytes


@dataclass
class Report:
    config: Config
    worker: int
    process: int
    arguments_are_typed: bool


def report(config: Config) -> Report:
    is_typed = isinstance(config, Config) and isinstance(config.at, datetime)
    return Report(config, os.getppid(), os.getpid(), is_typed)


@activity.defn
@thb.apart(start_method=START_METHOD)
def function(config: Config) -> Report:
    return report(config)


@activity.defn
@thb.apart(start_method=START_METHOD)
async def coroutine(config: Config) -> Report:
    await asyncio.sleep(0)
    return report(config)


@activity.defn
@thb.apart(data_converter="apart.codec:unpicklable")
def converter_by_name(config: Config) -> Report:
    return report(config)


@activity.defn
@thb.apart
def raising() -> None:
    try:
        raise ValueError("the cause")
    except ValueError as error:
        raise ApplicationError(
            "the failure",
            "a detail",
            {"another": 2},
            type="OfThisTest",
            non_retryable=True,
            category=ApplicationErrorCategory.BENIGN,
        ) from error


@activity.defn
@thb.apart
def result_without_form() -> object:
    return object()


# Its functions keep the GIL.
LIBC_WITH_GIL = ctypes.PyDLL(None)


def hold_gil(seconds: float) -> str:
    LIBC_WITH_GIL.usleep(round(seconds * 1e6))
    return "done"


def hold_gil_forever() -> None:
    """Locks a mutex twice, which no signal handler interrupts."""
    mutex = ctypes.create_string_buffer(64)
    for _ in range(2):
        LIBC_WITH_GIL.pthread_mutex_lock(mutex)


@activity.defn
@thb.apart(max_concurrent=10, start_method=START_METHOD)
def holding_gil(seconds: float) -> str:
    return hold_gil(seconds)


@activity.defn
def holding_gil_in_worker(seconds: float) -> str:
    return hold_gil(seconds)


@activity.defn
@thb.apart(max_concurrent=10, start_method=START_METHOD)
async def blocking_loop(seconds: float) -> str:
    time.sleep(seconds)
    return "done"


@activity.defn
async def blocking_loop_in_worker(seconds: float) -> str:
    time.sleep(seconds)
    return "done"


def report_pid(folder: str) -> None:
    attempt = Path(folder) / f"attempt-{activity.info().attempt}"
    attempt.with_suffix(".new").write_text(str(os.getpid()))
    attempt.with_suffix(".new").rename(attempt)


def wait_for(path: Path) -> None:
    while not path.exists():
        time.sleep(0.01)


def record_and_wait(folder: str) -> list[Any]:
    """Records, and in the first attempt waits for the test. Returns the attempt and what it resumed from."""
    info = activity.info()
    activity.heartbeat(info.attempt)
    thb.current_activity().flush()
    report_pid(folder)
    if info.attempt == 1:
        wait_for(Path(folder) / "go")
    return [info.attempt, *info.heartbeat_details]


@activity.defn
@thb.apart(start_method=START_METHOD)
def waiting(folder: str) -> list[Any]:
    return record_and_wait(folder)


@activity.defn
@thb.apart(start_method=START_METHOD)
async def waiting_coroutine(folder: str) -> list[Any]:
    """As `waiting`."""
    info = activity.info()
    activity.heartbeat(info.attempt)
    await thb.current_activity().flush()
    report_pid(folder)
    if info.attempt == 1:
        try:
            await asyncio.sleep(600)
        finally:
            assert activity.is_worker_shutdown()
            activity.heartbeat("cleaned up")
    return [info.attempt, *info.heartbeat_details]


@activity.defn
@thb.apart(start_method=START_METHOD, when_worker_ends="finish")
def finishing(folder: str) -> list[Any]:
    return record_and_wait(folder)


@activity.defn
@thb.apart(start_method=START_METHOD, end_timeout=1)
def waiting_in_c(folder: str) -> list[Any]:
    """As `waiting`, but the body holds the GIL while it waits."""
    info = activity.info()
    activity.heartbeat(info.attempt)
    thb.current_activity().flush()
    report_pid(folder)
    if info.attempt == 1:
        hold_gil_forever()
    return [info.attempt, *info.heartbeat_details]


@activity.defn
@thb.apart
def leaving_processes(folder: str) -> str:
    """Starts a process, and doesn't end it."""
    left = os.posix_spawn("/bin/sleep", ["sleep", "600"], os.environ)
    (Path(folder) / "left").write_text(str(left))
    report_pid(folder)
    return "done"


@activity.defn
@thb.apart(follow_server=True)
def sleeping(folder: str) -> None:
    report_pid(folder)
    activity.heartbeat("asleep")
    try:
        time.sleep(600)
    finally:
        details = activity.cancellation_details()
        assert details
        activity.heartbeat("cleaned up")
        assert activity.is_cancelled()


@activity.defn
@thb.apart(follow_server=True)
async def sleeping_coroutine(folder: str) -> None:
    report_pid(folder)
    activity.heartbeat("asleep")
    try:
        await asyncio.sleep(600)
    except asyncio.CancelledError:
        activity.heartbeat("cleaned up")
        raise


@activity.defn
@thb.apart
def counting(folder: str) -> list[int]:
    """Counts until the end of a pause. Returns the counts at the begin and at the end of the pause."""
    act = thb.current_activity()
    counts: list[int] = []
    count = 0

    def watch() -> None:
        for known, name in ((0, "paused"), (thb.Signals.PAUSED, "unpaused")):
            act.wait(thb.Signals.PAUSED, known=known)
            counts.append(count)
            (Path(folder) / name).touch()

    threading.Thread(target=watch).start()
    activity.heartbeat(count)
    act.flush()
    report_pid(folder)
    while len(counts) < 2:
        count += 1
        activity.heartbeat(count)
        time.sleep(0.01)
    return counts


@activity.defn
@thb.apart(max_concurrent=1)
def alone(folder: str, name: str) -> list[Any]:
    info = activity.info()
    activity.heartbeat(name)
    report_pid(folder)
    if name == "second" and info.attempt == 1:
        raise ApplicationError("once more")
    if name == "first":
        wait_for(Path(folder) / "go")
    return list(info.heartbeat_details)


@activity.defn
@thb.apart(connect={"address": "127.0.0.1:1", "connect_timeout": 0.2})
def without_server(_: str) -> None: ...


@activity.defn
@thb.apart(max_concurrent=1, stall_timeout=1, end_timeout=0.2)
def hanging(folder: str) -> int:
    report_pid(folder)
    attempt = activity.info().attempt
    if attempt == 1:
        hold_gil_forever()
    return attempt


@activity.defn
@thb.apart(max_concurrent=1, stall_timeout=1, end_timeout=0.2)
def swallowing(folder: str) -> int:
    """Catches the exception that stops it."""
    report_pid(folder)
    attempt = activity.info().attempt
    while attempt == 1:
        with contextlib.suppress(Exception):
            time.sleep(0.1)
    return attempt


def where_the_body_hangs() -> None:
    lock = threading.Lock()
    for _ in range(2):
        lock.acquire()


# The process imports this module within the first timeout.
stalling_apart = thb.apart(
    max_concurrent=2, stall_timeout=3, stall_action="fail", stall_signal=signal.SIGUSR2, end_timeout=0.2
)


def record_and_hang(hang: Callable[[], None]) -> list[Any]:
    """Hangs in the first attempt. The second one returns its details."""
    info = activity.info()
    if info.attempt == 1:
        thb.current_activity().set_status("item 42")
        activity.heartbeat(41)
        hang()
    return list(info.heartbeat_details)


@activity.defn
@stalling_apart
def stalling() -> list[Any]:
    return record_and_hang(where_the_body_hangs)


@activity.defn
@stalling_apart
def stalling_with_gil() -> list[Any]:
    return record_and_hang(hold_gil_forever)


@activity.defn
@stalling_apart
async def stalling_coroutine() -> list[Any]:
    return record_and_hang(where_the_body_hangs)


@activity.defn
async def calling() -> int:
    return await adding(1)


@activity.defn
@thb.apart
async def exiting() -> list[Any]:
    activity.heartbeat("recorded")
    if activity.info().attempt == 1:
        sys.exit(3)
    return list(activity.info().heartbeat_details)


class UnreadableError(Exception):
    def __str__(self) -> str:
        raise ValueError("no text")


@activity.defn
@thb.apart
def raising_unreadable() -> None:
    raise UnreadableError


@activity.defn
@thb.apart(start_method=START_METHOD)
def waiting_with_a_process(folder: str) -> None:
    left = os.posix_spawn("/bin/sleep", ["sleep", "600"], os.environ)
    (Path(folder) / "left").write_text(str(left))
    report_pid(folder)
    time.sleep(600)


@activity.defn
@thb.apart
async def ending_a_fork() -> int:
    """Ends a process that it has forked, which must not stop the body."""
    forked = multiprocessing.get_context("fork").Process(target=time.sleep, args=[600])
    forked.start()
    forked.terminate()
    await asyncio.to_thread(forked.join)
    await asyncio.sleep(0.1)
    return forked.exitcode or 0


@activity.defn
@thb.apart(end_timeout=0.1)
def leaving_a_thread() -> str:
    threading.Thread(target=time.sleep, args=[600]).start()
    return "done"


@dataclass
class Adder:
    """An activity that is a method: the object is passed to the process."""

    summand: int

    @activity.defn
    @thb.apart
    def add(self, number: int) -> int:
        return self.summand + number


@activity.defn
@thb.apart(memory_limit=256 << 20)
def using_memory() -> None:
    bytearray(1 << 30)


@activity.defn
@thb.apart(cpu_time_limit=1)
def using_processor() -> None:
    while True:
        pass


@activity.defn
@thb.apart
def dying(cause: str) -> str:
    if activity.info().attempt > 1:
        return "second attempt"
    if cause == "exit":
        os._exit(3)
    os.kill(os.getpid(), signal.Signals[cause])
    raise AssertionError(cause)


@activity.defn
@thb.apart
def dying_after_record() -> list[Any]:
    info = activity.info()
    activity.heartbeat(info.attempt)
    thb.current_activity().flush()
    if info.attempt == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    return list(info.heartbeat_details)


@activity.defn
@thb.apart(start_timeout=0.01)
def slow_to_start() -> None: ...


@activity.defn
@thb.apart(start_method="forkserver", max_concurrent=50)
def adding(number: int) -> int:
    activity.heartbeat(number)
    return number + 1


ACTIVITIES: list[Callable[..., Any]] = [
    Adder(40).add,
    *(found for found in list(globals().values()) if hasattr(found, "__temporal_activity_definition")),
]
