"""A worker whose activities run as the tasks of arrays of Slurm jobs.

    array_parent.py TASK_QUEUE FOLDER SCRIPT COMMAND...

It collects the attempts that start within two seconds, and submits one array for all of them. SCRIPT is array.sh, and
COMMAND its command. FOLDER is on a file system that the nodes share. It contains the task tokens, so only this user can
read it.
"""

import asyncio
import os
import signal
import sys
import uuid
from collections.abc import Sequence
from pathlib import Path

from temporal_heartbeat import handoff
from temporalio import activity
from temporalio.client import Client
from temporalio.envconfig import ClientConfig
from temporalio.worker import Worker

waiting: "list[activity.Info]" = []  # attempts without a job
is_waiting = asyncio.Event()


@activity.defn
async def solve() -> int:  # the type of the result: the exit code
    waiting.append(activity.info())
    is_waiting.set()
    activity.raise_complete_async()


async def submit_arrays(folder: Path, command: Sequence[str]) -> None:
    while True:
        await is_waiting.wait()
        await asyncio.sleep(2)
        is_waiting.clear()
        attempts = [waiting.pop() for _ in range(len(waiting))]
        try:
            await submit(attempts, folder / str(uuid.uuid4()), command)
        except Exception as error:  # the attempts time out, and the server retries them
            print(error, file=sys.stderr)


async def submit(attempts: "list[activity.Info]", folder: Path, command: Sequence[str]) -> None:
    folder.mkdir()
    for number, attempt in enumerate(attempts):
        handoff.token_in_file(attempt, folder / str(number))
    options = [f"--array=0-{len(attempts) - 1}", f"--export=ALL,TOKENS={folder}"]
    sbatch = await asyncio.create_subprocess_exec("sbatch", *options, *command)
    if await sbatch.wait() != 0:
        raise RuntimeError(f"sbatch exited with {sbatch.returncode}")


async def main(task_queue: str, folder: Path, command: Sequence[str]) -> None:
    config = ClientConfig.load_client_connect_config()
    config.setdefault("target_host", "127.0.0.1:7233")
    client = await Client.connect(**config)
    terminated = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, terminated.set)
    submitting = asyncio.create_task(submit_arrays(folder, command))
    async with Worker(client, task_queue=task_queue, activities=[solve]):
        await terminated.wait()
    submitting.cancel()


if __name__ == "__main__":
    folder = Path(sys.argv[2]).resolve()
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    asyncio.run(main(sys.argv[1], folder, sys.argv[3:]))
    sys.stdout.flush()
    os._exit(0)  # the SDK's threads can abort the exit of an interpreter
