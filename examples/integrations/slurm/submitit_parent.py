"""A worker whose activity runs a Python function as a Slurm job, by submitit.

    submitit_parent.py TASK_QUEUE FOLDER

FOLDER is on a file system that the nodes share. It contains the functions and the logs of the jobs. Only this user can
read it, because the functions' arguments contain task tokens.
"""

import asyncio
import os
import signal
import sys
import time
from pathlib import Path

import submitit
import temporal_heartbeat as thb
from temporal_heartbeat import handoff
from temporalio import activity
from temporalio.client import Client
from temporalio.envconfig import ClientConfig
from temporalio.worker import Worker


class Terminated(Exception):
    """Leaves the block of the activity, which fails the attempt. So the server starts the next one immediately."""


def terminate(number: int, _: object) -> None:
    raise Terminated(signal.Signals(number).name)


def work_on(item: int) -> None:
    print("item", item, flush=True)
    time.sleep(0.2)


def solve_in_job(variables: dict[str, str], items: int) -> None:
    """Runs in the job."""
    os.environ.update(variables)
    # Slurm sends SIGTERM when it cancels or preempts a job, and submitit asks for SIGUSR2 before the time limit. These
    # handlers replace those of submitit, which requeue the job: with Temporal, the next attempt submits another job.
    signal.signal(signal.SIGTERM, terminate)
    signal.signal(signal.SIGUSR2, terminate)
    thb.connect()
    with thb.Activity.from_env() as act:
        for item in thb.track(range(items), act):
            work_on(item)
        act.complete(items)


async def state_of(job: str) -> str:
    """Returns the state of a job, or an empty text if Slurm has forgotten it."""
    command = ["squeue", "--noheader", f"--job={job}", "--states=all", "--format=%T"]
    squeue = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    return (await squeue.communicate())[0].decode().strip()


async def wait_in_queue(job: str) -> None:
    """Keeps the attempt alive until the job starts. Its heartbeats repeat the details of the previous attempt."""
    info = activity.info()
    assert info.heartbeat_timeout
    try:
        while await state_of(job) == "PENDING":
            activity.heartbeat(*info.heartbeat_details)
            await asyncio.sleep(info.heartbeat_timeout.total_seconds() / 4)
    except asyncio.CancelledError:
        await asyncio.create_subprocess_exec("scancel", job)
        raise


def submit(folder: Path, items: int) -> str:
    executor = submitit.SlurmExecutor(folder)
    executor.update_parameters(time=24 * 60, job_name="solve", additional_parameters={"no-requeue": True})
    return executor.submit(solve_in_job, handoff.environment(activity.info(), base={}), items).job_id


@activity.defn
async def solve(items: int) -> int:  # the type of the job's result
    job = await asyncio.to_thread(submit, folder, items)
    await wait_in_queue(job)
    activity.raise_complete_async()


async def main(task_queue: str) -> None:
    config = ClientConfig.load_client_connect_config()
    config.setdefault("target_host", "127.0.0.1:7233")
    client = await Client.connect(**config)
    terminated = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, terminated.set)
    async with Worker(client, task_queue=task_queue, activities=[solve]):
        await terminated.wait()


if __name__ == "__main__":
    folder = Path(sys.argv[2])
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    asyncio.run(main(sys.argv[1]))
    sys.stdout.flush()
    os._exit(0)  # the SDK's threads can abort the exit of an interpreter
