"""A worker without an SDK, as a user's: program.py ADDRESS QUEUE FOLDER [OPTIONS as JSON].

It prints "running" when it begins to poll, and "ended" when `run` has returned. An activity that waits for the test
does so until a file exists in the folder.
"""

import asyncio
import contextlib
import dataclasses
import enum
import json
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import temporal_heartbeat as thb

ADDRESS, QUEUE, FOLDER, *OPTIONS = sys.argv[1:]
options = json.loads(OPTIONS[0]) if OPTIONS else {}


class Reversing:
    """A codec that stores payloads backwards."""

    def encode(self, payloads: Sequence[thb.Payload]) -> list[thb.Payload]:
        return [thb.Payload(p.to_bytes()[::-1], {"encoding": b"binary/reversed"}) for p in payloads]

    def decode(self, payloads: Sequence[thb.Payload]) -> list[thb.Payload]:
        return [thb.Payload.from_bytes(p.data[::-1]) for p in payloads]


class Color(enum.IntEnum):
    RED = 1


@dataclasses.dataclass
class Config:
    name: str
    at: datetime
    raw: bytes
    color: Color


@dataclasses.dataclass
class Report:
    config: Config
    factor: int
    facts: list[Any]


worker = thb.Worker(QUEUE, **options.get("worker", {}))


def report(config: Config, factor: int) -> Report:
    assert isinstance(config, Config)
    assert isinstance(config.at, datetime)
    assert config.color is Color.RED
    task = thb.current_activity().task
    assert "temporalio" not in sys.modules
    times = (task.scheduled_at, task.attempt_scheduled_at, task.started_at)
    assert all(isinstance(one, datetime) for one in times)
    return Report(config, factor, [task.activity_type, task.task_queue, task.attempt, task.workflow_id])


@worker.activity
def function(config: Config, factor: int = 3) -> Report:
    return report(config, factor)


@worker.activity(name="async def")
async def coroutine(config: Config, factor: int = 3) -> Report:
    await asyncio.sleep(0)
    return report(config, factor)


@worker.activity
def raising() -> None:
    try:
        raise ValueError("the cause")
    except ValueError as cause:
        raise RuntimeError("the failure") from cause


@worker.activity
def nothing() -> None:
    pass


@worker.activity
def not_json() -> object:
    return object()


@worker.activity
def exiting() -> None:
    sys.exit(7)


@worker.activity(name="coroutine of a function")
def coroutine_of_a_function() -> Any:
    return asyncio.sleep(0)


def status_of_child(end: str) -> int:
    """Forks a process, which returns into the worker or exits. Returns its exit status."""
    child = os.fork()
    if child:
        return os.WEXITSTATUS(os.waitpid(child, 0)[1])
    if end == "exit":
        sys.exit(7)
    return -1


@worker.activity
def fork_in_a_function(end: str) -> int:
    return status_of_child(end)


@worker.activity
async def fork_in_a_coroutine(end: str) -> int:
    return status_of_child(end)


# Three activities run at the same time.
MET = threading.Barrier(3)
meeting: list[Any] = []


@worker.activity
def meet_in_threads() -> None:
    MET.wait()


@worker.activity
async def meet_in_coroutines() -> None:
    meeting.append(asyncio.get_running_loop().create_future())
    if len(meeting) == 3:
        for one in meeting:
            one.set_result(None)
    await meeting[-1]
    await asyncio.gather(*meeting)


def file(name: str) -> Path:
    return Path(FOLDER) / name


@worker.activity
def loop(items: int, wait_at: int) -> list[int]:
    """Waits in the item ``wait_at`` until there is a file "go"."""
    act = thb.current_activity()
    done = []
    for item in thb.track(range(items), flush_every=0):
        while item == wait_at and not file("go").exists():
            file(f"attempt-{act.task.attempt}").write_text(str(os.getpid()))
            act.touch()
            time.sleep(0.01)
            act.raise_if_cancelled()
        done.append(item)
    return done


@worker.activity
async def waiting() -> None:
    act = thb.current_activity()
    act.heartbeat("recorded")
    file(f"attempt-{act.task.attempt}").write_text(str(os.getpid()))
    try:
        await asyncio.sleep(600)
    finally:
        file("cleaned up").touch()


@worker.activity
def hanging() -> None:
    act = thb.current_activity()
    if act.task.attempt == 1:
        act.heartbeat("recorded")
        file("attempt-1").write_text(str(os.getpid()))
        threading.Event().wait()


@worker.activity
async def unstoppable() -> None:
    act = thb.current_activity()
    act.heartbeat("recorded")
    while act.task.attempt == 1:
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.sleep(600)


@worker.activity
def meet_and_return_the_id() -> list[str]:
    MET.wait()
    act = thb.current_activity()
    assert act.details(default="none") == "none"
    return [act.task.activity_id]


def main() -> None:
    logging.basicConfig(level=logging.INFO)
    codec = Reversing() if options.get("codec") else None
    thb.connect(ADDRESS, data_converter=codec)
    print("running", flush=True)
    worker.run(signals=[signal.SIGTERM], **options.get("run", {}))
    print("ended", flush=True)


if __name__ == "__main__":
    main()
