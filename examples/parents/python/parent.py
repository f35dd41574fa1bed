"""A worker. Its activity hands itself over to `temporal-heartbeat exec`, which runs a command as the activity's work.

    python parent.py ADDRESS TASK_QUEUE COMMAND ARGUMENT...

The worker passes the token on the standard input, where no other process can read it.
"""

import asyncio
import base64
import os
import subprocess
import sys

from temporalio import activity
from temporalio.client import Client
from temporalio.worker import Worker

FLAGS = ("--token-stdin", "--progress-json", "--result", "output")


class Parent:
    def __init__(self, address: str, command: list[str]) -> None:
        self._environment = {**os.environ, "TEMPORAL_ADDRESS": address}
        self._command = command
        self._running: set[asyncio.Task[None]] = set()

    @activity.defn(name="run")
    async def run(self) -> str:  # the type of exec's result
        child = await asyncio.create_subprocess_exec(
            *("temporal-heartbeat", "exec", *FLAGS, "--", *self._command),
            env=self._environment,
            stdin=subprocess.PIPE,
        )
        print("exec", child.pid, flush=True)
        assert child.stdin
        child.stdin.write(base64.b64encode(activity.info().task_token) + b"\n")
        child.stdin.close()
        task = asyncio.create_task(self._wait_for(child))
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        activity.raise_complete_async()  # exec completes it

    async def _wait_for(self, child: asyncio.subprocess.Process) -> None:
        """Waits for the process, which would otherwise stay a zombie."""
        print("exec", child.pid, "exited with", await child.wait(), flush=True)


async def main(address: str, queue: str, *command: str) -> None:
    client = await Client.connect(address)
    parent = Parent(address, list(command))
    await Worker(client, task_queue=queue, activities=[parent.run]).run()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
