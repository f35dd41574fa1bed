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
from datetime import timedelta
from pathlib import Path

from temporal_heartbeat import handoff
from temporalio import activity
from temporalio.client import Client
from temporalio.envconfig import ClientConfig
from temporalio.worker import Worker

# After SIGTERM, the attempts that the parent has taken get their jobs within this time.
SHUTDOWN = timedelta(seconds=20)

waiting: "list[activity.Info]" = []  # attempts without a job
submitting: "asyncio.Task[None] | None" = None  # submits the array of these attempts


@activity.defn
async def solve() -> int:  # the type of the result: the exit code
    global submitting
    waiting.append(activity.info())
    submitting = submitting or asyncio.create_task(submit_array())
    await asyncio.shield(submitting)  # if it fails, this attempt fails too, and the server retries it
    activity.raise_complete_async()


async def submit_array() -> None:
    global submitting
    await asyncio.sleep(2)
    attempts = [waiting.pop() for _ in range(len(waiting))]
    submitting = None  # a later attempt is for the next array
    tokens = folder / str(uuid.uuid4())
    tokens.mkdir()
    for number, attempt in enumerate(attempts):
        handoff.token_in_file(attempt, tokens / str(number))
    options = [f"--array=0-{len(attempts) - 1}", f"--export=ALL,TOKENS={tokens}"]
    sbatch = await asyncio.create_subprocess_exec("sbatch", *options, *command, stderr=asyncio.subprocess.PIPE)
    _, errors = await sbatch.communicate()
    if sbatch.returncode != 0:
        raise RuntimeError(f"sbatch exited with {sbatch.returncode}: {errors.decode()}")


async def main(task_queue: str) -> None:
    config = ClientConfig.load_client_connect_config()
    config.setdefault("target_host", "127.0.0.1:7233")
    client = await Client.connect(**config)
    terminated = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, terminated.set)
    async with Worker(client, task_queue=task_queue, activities=[solve], graceful_shutdown_timeout=SHUTDOWN):
        await terminated.wait()


if __name__ == "__main__":
    folder, command = Path(sys.argv[2]).resolve(), sys.argv[3:]
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    asyncio.run(main(sys.argv[1]))
    sys.stdout.flush()
    os._exit(0)  # the SDK's threads can abort the exit of an interpreter
