"""A worker whose activities run as the indices of Kubernetes Jobs.

    indexed_parent.py TASK_QUEUE MANIFEST

It collects the attempts that start within two seconds, and creates one Job for all of them. MANIFEST is
indexed_job.yaml. `kubectl` needs the rights of role.yaml.
"""

import asyncio
import contextlib
import os
import signal
import sys
from pathlib import Path

import yaml
from parent import SHUTDOWN, create_job
from temporalio import activity
from temporalio.client import Client
from temporalio.envconfig import ClientConfig
from temporalio.service import RPCError
from temporalio.worker import Worker

tokens: list[bytes] = []  # of the attempts that have no Job yet
has_tokens = asyncio.Event()


@activity.defn
async def solve() -> int:  # the type of the result: the exit code
    tokens.append(activity.info().task_token)
    has_tokens.set()
    activity.raise_complete_async()


async def create_jobs(client: Client, manifest: Path, has_ended: asyncio.Event) -> None:
    """Creates Jobs until the worker has ended, and all its attempts have Jobs."""
    while tokens or not has_ended.is_set():
        await has_tokens.wait()
        await asyncio.sleep(2)
        has_tokens.clear()
        if collected := {str(index): tokens.pop() for index in range(len(tokens))}:
            try:
                secret, job = yaml.safe_load_all(manifest.read_text())
                job["spec"]["completions"] = job["spec"]["parallelism"] = len(collected)
                await create_job(secret, job, collected)
            except Exception as error:
                print(error, file=sys.stderr)
                await asyncio.gather(*(fail(client, token, error) for token in collected.values()))


async def fail(client: Client, token: bytes, error: Exception) -> None:
    """Fails an attempt, which the server then retries. If it can't be failed, it times out."""
    with contextlib.suppress(RPCError):
        await client.get_async_activity_handle(task_token=token).fail(error)


async def main(task_queue: str, manifest: Path) -> None:
    config = ClientConfig.load_client_connect_config()
    config.setdefault("target_host", "127.0.0.1:7233")
    client = await Client.connect(**config)
    terminated, has_ended = asyncio.Event(), asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, terminated.set)
    creating = asyncio.create_task(create_jobs(client, manifest, has_ended))
    async with Worker(client, task_queue=task_queue, activities=[solve], graceful_shutdown_timeout=SHUTDOWN):
        await terminated.wait()
    has_ended.set()
    has_tokens.set()
    await creating


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], Path(sys.argv[2])))
    sys.stdout.flush()
    os._exit(0)  # the SDK's threads can abort the exit of an interpreter
