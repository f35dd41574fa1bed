"""Compares an activity worker in C with one of the official Go SDK: tasks a second, and processor time per task.

    make bench-worker TASKS=10000

The activities do nothing. Each round first starts ROUND_TASKS activities, as standalone ones, and then the worker. The
rounds of both alternate. The server is a real one on the same machine. It is started for each two rounds, because it
becomes slower with the number of activities that it stores.
"""

import asyncio
import json
import shutil
import statistics
import subprocess
import sys
import uuid
from datetime import timedelta

from temporalio.client import Client

from harness.build import compile_c, run
from harness.languages import library_environment, linked
from harness.paths import ROOT
from harness.requires import requires
from harness.server import Server, dev_server
from harness.worker import connect

TASKS = int(sys.argv[1])
ROUND_TASKS = min(TASKS, 1_000)
ROUNDS = max(3, TASKS // ROUND_TASKS)
# The activities that are being started at once.
STARTS = 50
THREADS = 32
OUT = ROOT / "target" / "benches"
# Of the Go worker's figures.
MAX_CPU, MIN_RATE = 0.5, 0.95

Line = dict[str, float]


def programs() -> dict[str, list[str]]:
    OUT.mkdir(parents=True, exist_ok=True)
    ours, go_worker = OUT / "worker_c", OUT / "worker_go"
    peers = ROOT / "benches" / "peers"
    compile_c(peers / "c" / "worker.c", ours, *linked(), "-O2", "-pthread")
    go = requires(shutil.which("go"), "go")
    run([go, "-C", str(peers / "go"), "build", "-o", str(go_worker), "./worker"])
    return {"C": [str(ours)], "Go SDK": [str(go_worker)]}


async def start_all(client: Client, queue: str) -> None:
    """Starts the activities, and leaves them in the queue."""
    numbers, timeout = iter(range(ROUND_TASKS)), timedelta(minutes=10)
    timeouts = {"start_to_close_timeout": timeout, "heartbeat_timeout": timeout}

    async def start_some() -> None:
        for number in numbers:
            await client.start_activity("no_op", id=f"{queue}-{number}", task_queue=queue, **timeouts)

    await asyncio.gather(*(start_some() for _ in range(STARTS)))


async def measured(client: Client, server: Server, name: str, program: list[str]) -> Line:
    queue = f"bench-{uuid.uuid4()}"
    await start_all(client, queue)
    threads = [str(THREADS)] if name == "C" else []
    command = [*program, server.address, queue, str(ROUND_TASKS), *threads]
    worker = await asyncio.create_subprocess_exec(*command, env=library_environment(), stdout=subprocess.PIPE)
    said, _ = await worker.communicate()
    assert worker.returncode == 0, f"{name} exited with {worker.returncode}"
    line: Line = json.loads(said)
    return line


async def main() -> int:
    built, lines = programs(), dict[str, list[Line]]()
    for number in range(ROUNDS):
        with dev_server() as server:
            client = await connect(server.address)
            for name, program in (built.items() if number % 2 else reversed(built.items())):
                lines.setdefault(name, []).append(await measured(client, server, name, program))
        print(f"round {number + 1} of {ROUNDS}", file=sys.stderr)
    rates, costs = {}, {}
    for name, measurements in lines.items():
        rates[name] = statistics.median(line["tasks"] / line["seconds"] for line in measurements)
        costs[name] = statistics.median(line["cpu_s"] / line["tasks"] for line in measurements) * 1e6
        memory = statistics.median(line["rss_mb"] for line in measurements)
        print(f"{name}: {rates[name]:.0f} tasks/s, {costs[name]:.0f} us of processor time per task, {memory:.1f} MB")
    rate, cost = rates["C"] / rates["Go SDK"], costs["C"] / costs["Go SDK"]
    print(f"C beside the Go SDK: {rate:.2f} of the rate; the goal is at least {MIN_RATE}")
    print(f"C beside the Go SDK: {cost:.2f} of the processor time; the goal is at most {MAX_CPU}")
    return int(rate < MIN_RATE or cost > MAX_CPU)


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
