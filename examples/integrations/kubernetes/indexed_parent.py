"""A worker whose activities run as the indices of Kubernetes Jobs.

    indexed_parent.py TASK_QUEUE MANIFEST

It collects the attempts that start within two seconds, and creates one Job for all of them. MANIFEST is
indexed_job.yaml. `kubectl` needs the rights of role.yaml.
"""

import asyncio
import sys
from pathlib import Path

import yaml
from parent import create_job, run
from temporalio import activity

tokens: list[bytes] = []  # of the attempts that have no Job yet
creating: "asyncio.Task[None] | None" = None  # creates the Job of these attempts


@activity.defn
async def solve() -> int:  # the type of the result: the exit code
    global creating
    tokens.append(activity.info().task_token)
    creating = creating or asyncio.create_task(create_indexed_job())
    await asyncio.shield(creating)  # if it fails, this attempt fails too, and the server retries it
    activity.raise_complete_async()


async def create_indexed_job() -> None:
    global creating
    await asyncio.sleep(2)
    collected = {str(index): tokens.pop() for index in range(len(tokens))}
    creating = None  # a later attempt is for the next Job
    secret, job = yaml.safe_load_all(manifest.read_text())
    job["spec"]["completions"] = job["spec"]["parallelism"] = len(collected)
    await create_job(secret, job, collected)


if __name__ == "__main__":
    manifest = Path(sys.argv[2])
    run(sys.argv[1], solve)
