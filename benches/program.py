"""Measures the cost of the command-line program, with a real server.

    make bench-program

* exec around a sleeping command: memory, and processor time per minute and per hour
* start: the time from the call of exec to the command's first instruction
* cancellation: the time from the request to the command's SIGTERM
* `work`: tasks per second with `true` as the command, compared with a worker of the Python SDK that does the same
"""

import asyncio
import base64
import os
import signal
import statistics
import subprocess
import sys
import time
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from temporalio import activity
from temporalio.client import ActivityHandle, Client
from temporalio.worker import Worker

from harness.server import dev_server
from harness.worker import SdkWorker

SLEEP_S = 60
STARTS = 20
CANCELS = 10
TASKS = 400
SLOTS = 8
TICKS = os.sysconf("SC_CLK_TCK")

Start = Callable[..., Awaitable[tuple[ActivityHandle[Any], bytes]]]


@dataclass
class Stage:
    client: Client
    program: str
    environment: dict[str, str]
    start: Start

    async def exec(self, token: bytes, *words: str) -> asyncio.subprocess.Process:
        variables = {"TEMPORAL_ACTIVITY_TASK_TOKEN": base64.b64encode(token).decode()}
        return await asyncio.create_subprocess_exec(
            self.program, "exec", *words, env=self.environment | variables, stdout=subprocess.PIPE
        )


def usage(pid: int) -> tuple[float, int, int]:
    """Returns the processor time in seconds, and the resident and private memory in kilobytes."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    memory = Path(f"/proc/{pid}/smaps_rollup").read_text()
    own = sum(int(line.split()[1]) for line in memory.splitlines() if line.startswith("Private"))
    resident = int(memory.split("Rss:")[1].split()[0])
    return (int(fields[11]) + int(fields[12])) / TICKS, resident, own


async def sleeping(stage: Stage) -> None:
    _, token = await stage.start(heartbeat_timeout=timedelta(seconds=30))
    process = await stage.exec(token, "--", "sleep", str(SLEEP_S + 10))
    await asyncio.sleep(2)
    before, *_ = usage(process.pid)
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    await asyncio.sleep(SLEEP_S)
    after, resident, own = usage(process.pid)
    _, guardian, guardian_own = usage(int(children[0]))
    process.terminate()
    await process.wait()
    cpu = after - before
    print(
        f"exec around sleep: {resident} kB resident, {own} private; its guardian {guardian} kB, {guardian_own} private"
    )
    print(f"  {cpu * 1000:.0f} ms of processor time in {SLEEP_S} s: {cpu * 3600 / SLEEP_S:.2f} s per hour")


async def starting(stage: Stage) -> None:
    times = []
    for _ in range(STARTS):
        _, token = await stage.start()
        began = time.time()
        process = await stage.exec(token, "--", "date", "+%s.%N")
        assert process.stdout
        times.append((float(await process.stdout.read()) - began) * 1000)
        await process.wait()
    times.sort()
    print(f"start: {statistics.median(times):.0f} ms from exec to the command ({times[0]:.0f} to {times[-1]:.0f})")


async def cancelling(stage: Stage, *flags: str) -> None:
    times = []
    script = "trap 'date +%s.%N; exit 0' TERM; echo ready; while :; do sleep 0.005; done"
    for _ in range(CANCELS):
        handle, token = await stage.start(heartbeat_timeout=timedelta(seconds=30))
        process = await stage.exec(token, "--quiet", *flags, "--", "bash", "-c", script)
        assert process.stdout
        await process.stdout.readline()
        await asyncio.sleep(0.5)
        began = time.time()
        await handle.cancel()
        times.append((float(await process.stdout.readline()) - began) * 1000)
        await process.wait()
    times.sort()
    print(f"cancel to SIGTERM {' '.join(flags)}: {statistics.median(times):.0f} ms, {times[-1]:.0f} at worst")


async def rate(stage: Stage, command: Callable[[str], list[str]]) -> float:
    """Returns the median of three runs of the worker that this command starts for a queue."""
    rates = []
    for _ in range(3):
        queue = str(uuid.uuid4())
        handles = await asyncio.gather(
            *(
                stage.client.start_activity(
                    "true", id=str(uuid.uuid4()), task_queue=queue, start_to_close_timeout=timedelta(minutes=5)
                )
                for _ in range(TASKS)
            )
        )
        began = time.monotonic()
        process = await asyncio.create_subprocess_exec(*command(queue), env=stage.environment)
        try:
            await asyncio.gather(*(handle.result() for handle in handles))
            rates.append(TASKS / (time.monotonic() - began))
        finally:
            process.kill()
            await process.wait()
    return statistics.median(rates)


async def worker_on(stage: Stage) -> None:
    address = stage.environment["TEMPORAL_ADDRESS"]
    ours = await rate(stage, lambda queue: [stage.program, *f"work -t {queue} -c {SLOTS} --quiet -- true".split()])
    theirs = await rate(stage, lambda queue: [sys.executable, __file__, "worker", address, queue])
    print(f"work with `true`, {SLOTS} at once: {ours:.0f} tasks a second, its start included")
    print(f"a worker of the Python SDK with `true` as a subprocess, {SLOTS} at once: {theirs:.0f}")


@activity.defn(name="true")
async def run_true() -> int:
    process = await asyncio.create_subprocess_exec("true")
    return await process.wait()


async def sdk_worker(address: str, queue: str) -> None:
    client = await Client.connect(address)
    await Worker(client, task_queue=queue, activities=[run_true], max_concurrent_activities=SLOTS).run()


async def measure(address: str, program: str) -> None:
    client = await Client.connect(address)
    tokens: asyncio.Queue[bytes] = asyncio.Queue()

    @activity.defn(name="elsewhere")
    async def elsewhere() -> None:
        tokens.put_nowait(activity.info().task_token)
        activity.raise_complete_async()

    async def start(**options: Any) -> tuple[ActivityHandle[Any], bytes]:
        handle = await client.start_activity(
            elsewhere,
            id=str(uuid.uuid4()),
            task_queue="elsewhere",
            start_to_close_timeout=timedelta(hours=1),
            **options,
        )
        return handle, await tokens.get()

    stage = Stage(client, program, os.environ | {"TEMPORAL_ADDRESS": address}, start)
    async with Worker(client, task_queue="elsewhere", activities=[elsewhere]):
        await starting(stage)
        await cancelling(stage)
        await cancelling(stage, "--follow-server", "never")
        await worker_on(stage)
        await sleeping(stage)


def main(program: str) -> None:
    # This also stops the processes that were started.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    # A server opens its port before all its services answer. The harness waits for the services.
    with dev_server() as server, SdkWorker(server.address):
        asyncio.run(measure(server.address, program))


if __name__ == "__main__":
    if sys.argv[1] == "worker":
        asyncio.run(sdk_worker(*sys.argv[2:]))
    else:
        main(sys.argv[1])
