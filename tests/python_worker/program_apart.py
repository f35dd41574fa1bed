"""A worker without an SDK, whose bodies run apart: program_apart.py ADDRESS QUEUE FOLDER [OPTIONS as JSON]."""

import asyncio
import contextlib
import dataclasses
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
worker = thb.Worker(QUEUE)


class Reversing:
    """A codec that stores payloads backwards."""

    def encode(self, payloads: Sequence[thb.Payload]) -> list[thb.Payload]:
        return [thb.Payload(p.to_bytes()[::-1], {"encoding": b"binary/reversed"}) for p in payloads]

    def decode(self, payloads: Sequence[thb.Payload]) -> list[thb.Payload]:
        return [thb.Payload.from_bytes(p.data[::-1]) for p in payloads]


@dataclasses.dataclass
class Config:
    name: str
    at: datetime


@dataclasses.dataclass
class Report:
    config: Config
    worker: int
    process: int
    attempt: int


def report(config: Config) -> Report:
    assert isinstance(config, Config)
    assert isinstance(config.at, datetime)
    assert "temporalio" not in sys.modules
    return Report(config, os.getppid(), os.getpid(), thb.current_activity().task.attempt)


@worker.activity
@thb.apart
def function(config: Config) -> Report:
    return report(config)


@worker.activity
@thb.apart(max_concurrent=2)
async def coroutine(config: Config) -> Report:
    await asyncio.sleep(0)
    return report(config)


@worker.activity
@thb.apart
def raising() -> None:
    raise RuntimeError("the failure")


@worker.activity
@thb.apart(end_timeout=5)
def loop(items: int, wait_at: int) -> list[int]:
    """Waits in the item ``wait_at`` until there is a file "go". No call of the library ends that wait."""
    act = thb.current_activity()
    done = []
    for item in thb.track(range(items), flush_every=0):
        while item == wait_at and not (Path(FOLDER) / "go").exists():
            (Path(FOLDER) / f"attempt-{act.task.attempt}").write_text(str(os.getpid()))
            time.sleep(0.01)
        done.append(item)
    return done


@worker.activity
@thb.apart(end_timeout=0.1)
def hanging() -> str:
    act = thb.current_activity()
    if act.task.attempt > 1:
        recorded: str = act.details(default="nothing")
        return recorded
    act.heartbeat("recorded")
    act.flush()
    (Path(FOLDER) / "attempt-1").write_text(str(os.getpid()))
    while True:
        with contextlib.suppress(thb.Cancelled):
            threading.Event().wait()


@worker.activity
async def calling() -> Any:
    return await raising()


def main() -> None:
    logging.basicConfig(level=logging.INFO)
    thb.connect(ADDRESS, data_converter=Reversing() if options.get("codec") else None)
    print("running", flush=True)
    worker.run(signals=[signal.SIGTERM], **options.get("run", {}))
    print("ended", flush=True)


if __name__ == "__main__":
    main()
