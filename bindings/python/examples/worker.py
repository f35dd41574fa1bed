"""A worker of a task queue, without Temporal's SDK.

    worker.py TASK_QUEUE

A killed worker's activities continue in the next one, after their last recorded step.
"""

import asyncio
import dataclasses
import signal
import sys
import time

import temporal_heartbeat as thb

worker = thb.Worker(sys.argv[1] if len(sys.argv) > 1 else "reports")


@dataclasses.dataclass
class Model:
    name: str
    steps: int


@dataclasses.dataclass
class Report:
    text: str
    attempt: int


@worker.activity
def solve(model: Model) -> Report:
    for step in thb.track(range(model.steps)):  # after the last recorded step
        time.sleep(0.02)  # the work
        print(f"{model.name}: step {step} done", flush=True)
    return Report(f"{model.name}: {model.steps} steps", thb.current_activity().task.attempt)


@worker.activity(name="fetch")
async def fetch_url(url: str) -> int:
    await asyncio.sleep(0.02)  # the request
    return len(url)


@worker.activity
@thb.apart  # in a process of its own
def train(epochs: int) -> float:
    loss = 1.0
    for _ in thb.track(range(epochs)):
        loss /= 2  # the work, which may hold the GIL
    return loss


if __name__ == "__main__":
    thb.connect()
    print("running", flush=True)
    worker.run(signals=[signal.SIGTERM])
