"""A worker of Temporal's Python SDK, with an activity for each way to run the work.

    restarted_worker.py ADDRESS QUEUE FOLDER COMMAND...

SIGTERM ends it with a shutdown of the worker.
"""

import asyncio
import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import temporal_heartbeat as thb
from temporal_heartbeat import handoff
from temporalio import activity
from temporalio.client import Client
from temporalio.worker import Worker

FOLDER, COMMAND = sys.argv[3], sys.argv[4:]
CHILD = [sys.executable, str(Path(__file__).with_name("restarted_child.py")), FOLDER]


def start(command: list[str], **options: Any) -> None:
    process = subprocess.Popen(command, env=handoff.environment(activity.info()), **options)
    threading.Thread(target=process.wait, daemon=True).start()
    activity.raise_complete_async()


@activity.defn
async def child() -> None:
    start([*CHILD, "child"])


@activity.defn
async def catching() -> None:
    start([*CHILD, "catching", "catch"], start_new_session=True)


@activity.defn
async def pool() -> None:
    start([*CHILD, "pool", "pool"])


@activity.defn
async def job() -> None:
    """Leaves the start to a supervisor, which the test is."""
    written = Path(FOLDER, "job.new")
    written.write_text(json.dumps({"args": [*CHILD, "job"], "env": handoff.environment(activity.info())}))
    written.rename(written.with_suffix(".json"))
    activity.raise_complete_async()


@activity.defn(name="exec")
async def exec_() -> None:
    start([os.environ["PROGRAM"], "exec", "--progress-json", "--", *COMMAND, FOLDER, "exec"])


@activity.defn
@thb.apart()
def apart_end() -> None:
    work_apart("apart_end")


@activity.defn
@thb.apart(when_worker_ends="finish")
def apart_finish() -> None:
    work_apart("apart_finish")


def work_apart(way: str) -> None:
    act = thb.current_activity()
    act.heartbeat(1)
    act.flush()
    act.heartbeat(2)
    Path(FOLDER, way).touch()
    while not Path(FOLDER, "go").exists():
        time.sleep(0.02)


async def main(address: str, queue: str) -> None:
    client = await Client.connect(address)
    activities = [child, catching, pool, job, exec_, apart_end, apart_finish]
    terminated = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, terminated.set)
    async with Worker(client, task_queue=queue, activities=activities):
        await terminated.wait()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2]))
