"""A worker whose activity runs as a Kubernetes Job. For each attempt it creates the Secret and the Job of a manifest.

    parent.py TASK_QUEUE MANIFEST

MANIFEST is job.yaml, or sidecar.yaml. `kubectl` needs the rights of role.yaml.
"""

import asyncio
import contextlib
import json
import os
import signal
import sys
from base64 import b64encode
from collections.abc import Callable, Mapping
from datetime import timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any, NoReturn

import yaml
from temporalio import activity
from temporalio.client import Client
from temporalio.envconfig import ClientConfig
from temporalio.worker import Worker

Resource = dict[str, Any]

# After SIGTERM, the attempts that the parent has taken get their Jobs and Secrets within this time.
SHUTDOWN = timedelta(seconds=20)


async def create_job(secret: Resource, job: Resource, tokens: Mapping[str, bytes]) -> None:
    """Creates a Job, and a Secret with the task tokens of its attempts by their keys."""
    # Each attempt has another token. Its digest is a label of DNS; the ids of activities may contain other characters.
    name = f"solver-{sha256(b''.join(tokens.values())).hexdigest()[:20]}"
    volumes = job["spec"]["template"]["spec"]["volumes"]
    job["metadata"]["name"] = secret["metadata"]["name"] = volumes[0]["secret"]["secretName"] = name
    secret["stringData"] = {key: b64encode(token).decode() for key, token in tokens.items()}
    try:
        # The pod waits for the Secret. Kubernetes deletes the Secret together with the Job that owns it.
        owner = (await create(job))["metadata"]
        secret["metadata"]["ownerReferences"] = [
            {"apiVersion": "batch/v1", "kind": "Job", "name": owner["name"], "uid": owner["uid"]}
        ]
        await create(secret)
    except RuntimeError:
        # Otherwise each retry leaves a pod that waits for its Secret.
        with contextlib.suppress(RuntimeError):
            await kubectl("delete", "job", name, "--ignore-not-found", "--wait=false")
        raise


async def create(resource: Resource) -> Resource:
    """Creates a resource, and returns it as the server has completed it."""
    created: Resource = json.loads(await kubectl("create", "--filename=-", "--output=json", stdin=json.dumps(resource)))
    return created


async def kubectl(*words: str, stdin: str = "") -> str:
    command = ["kubectl", "--request-timeout=10s", *words]
    pipes = {"stdin": asyncio.subprocess.PIPE, "stdout": asyncio.subprocess.PIPE, "stderr": asyncio.subprocess.PIPE}
    process = await asyncio.create_subprocess_exec(*command, **pipes)
    output, errors = await process.communicate(stdin.encode())
    if process.returncode != 0:
        raise RuntimeError(f"kubectl {words[0]}: {errors.decode()}")  # fails the attempt, which is retried
    return output.decode()


@activity.defn
async def solve(items: int) -> int:  # the type of the result: the exit code
    info = activity.info()
    secret, job = yaml.safe_load_all(manifest.read_text())
    job["metadata"]["annotations"] = {"activity": info.activity_id, "attempt": str(info.attempt)}
    job["spec"]["template"]["spec"]["containers"][0]["args"] = [str(items)]
    await create_job(secret, job, {"token": info.task_token})
    activity.raise_complete_async()


async def work(task_queue: str, function: Callable[..., Any]) -> None:
    """Runs a worker with this activity until SIGTERM."""
    config = ClientConfig.load_client_connect_config()
    config.setdefault("target_host", "127.0.0.1:7233")
    client = await Client.connect(**config)
    terminated = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, terminated.set)
    async with Worker(client, task_queue=task_queue, activities=[function], graceful_shutdown_timeout=SHUTDOWN):
        await terminated.wait()


def run(task_queue: str, function: Callable[..., Any]) -> NoReturn:
    asyncio.run(work(task_queue, function))
    sys.stdout.flush()
    os._exit(0)  # the SDK's threads can abort the exit of an interpreter


if __name__ == "__main__":
    manifest = Path(sys.argv[2])
    run(sys.argv[1], solve)
