"""A worker whose activity runs on a Ray cluster: its body is an actor, and each item is a task.

    worker.py       connects to the Ray cluster of RAY_ADDRESS, and to the server of TEMPORAL_ADDRESS

Body and tasks run on any node. If the node of the body dies, the next attempt starts another body.
"""

import asyncio
import os
import time
from collections.abc import Awaitable

import ray
import temporal_heartbeat as thb
from temporal_heartbeat import aio, handoff
from temporalio import activity
from temporalio.client import Client
from temporalio.envconfig import ClientConfig
from temporalio.worker import Worker

NAMESPACE = "activities"  # of the names of Ray's actors
NODE_DEATH_SECONDS = 30  # Ray notices the end of a node sooner


@ray.remote
def work(item: int, folder: str) -> int:
    """Does the work on one item. FOLDER/journal shows which process of which attempt has worked on what."""
    line = f"{item} {os.environ['TEMPORAL_ACTIVITY_ATTEMPT']} {os.getpid()}"
    with open(f"{folder}/journal", "a") as journal:
        print("begin", line, file=journal, flush=True)
        time.sleep(float(os.environ.get("ITEM_SECONDS", "0.1")))
        print("end", line, file=journal, flush=True)
    return item


def cancel(tasks: "list[ray.ObjectRef[int]]") -> None:
    for task in tasks:
        ray.cancel(task, force=True)  # kills the process of a running task
    ray.wait(tasks, num_returns=len(tasks))  # until none of them runs


@ray.remote(max_concurrency=2)
class Body:
    def is_ready(self) -> bool:
        """Answers also while `run` works."""
        return True

    def run(self, items: int, folder: str) -> None:
        """Runs the activity that the environment names, and ends this actor."""
        thb.connect()
        try:
            # A stall timeout of several times the duration of an item. A long poll shows a cancellation at once.
            with thb.Activity.from_env(stall_timeout=60, follow_server=True) as act:
                os.makedirs(folder, exist_ok=True)
                with open(f"{folder}/bodies", "a") as bodies:
                    print(act.info["attempt"], os.getpid(), file=bodies)
                act.complete(run_items(act, items, folder))
        finally:
            ray.actor.exit_actor()


def run_items(act: thb.Activity, items: int, folder: str) -> int:
    # Eight tasks at the same time. They end before the activity does.
    with thb.submit_ahead(lambda item: work.remote(item, folder), range(items), limit=8, cancel=cancel) as tasks:
        for task in thb.track(tasks, act):
            while not ray.wait([task], timeout=0.5)[0]:
                act.raise_if_cancelled()  # also if the lease is lost
            ray.get(task)
    return items


starting: "set[asyncio.Task[None]]" = set()


@activity.defn
async def process(items: int, folder: str) -> int:  # the body ends it, with this type of result
    task = asyncio.create_task(start_body(activity.info(), items, folder))
    starting.add(task)
    task.add_done_callback(starting.discard)
    activity.raise_complete_async()


async def start_body(info: activity.Info, items: int, folder: str) -> None:
    # The actors of all attempts have the same name, and Ray allows only one of them at a time.
    name = f"{info.workflow_id or ''}/{info.activity_id}"
    variables = handoff.environment(info, base={}, address=os.environ.get("TEMPORAL_ADDRESS"))
    # A detached actor continues when this worker ends.
    options = {"name": name, "namespace": NAMESPACE, "lifetime": "detached", "runtime_env": {"env_vars": variables}}
    # Until the body is ready, this process sends the heartbeats. If Ray can't start the body, the attempt fails.
    async with aio.Activity(info.task_token, initial_details=info.heartbeat_details) as act:
        await unless_cancelled(act, asyncio.to_thread(end_earlier_body, name))
        body = Body.options(**options).remote()  # type: ignore[attr-defined]
        try:
            await unless_cancelled(act, body.is_ready.remote())
        except BaseException:
            ray.kill(body)
            raise
    body.run.remote(items, folder)


async def unless_cancelled(act: aio.Activity, waits: "Awaitable[object]") -> None:
    waiting = asyncio.ensure_future(waits)
    while not (await asyncio.wait([waiting], timeout=0.5))[0]:
        act.raise_if_cancelled()
    await waiting


def end_earlier_body(name: str) -> None:
    """Ends the body of an earlier attempt, and waits until Ray has ended it and its tasks."""
    began = time.monotonic()
    while True:
        try:
            body = ray.get_actor(name, NAMESPACE)
        except ValueError:  # there is none
            return
        # If its node has died, only Ray itself may end it: when it notices that, it first ends the tasks of the body.
        if answers(body) or time.monotonic() - began > NODE_DEATH_SECONDS:
            ray.kill(body)
        time.sleep(0.1)


def answers(body: ray.actor.ActorHandle) -> bool:
    try:
        return bool(ray.get(body.is_ready.remote(), timeout=1))
    except ray.exceptions.RayError:
        return False


async def main() -> None:
    thb.connect()
    ray.init(namespace=NAMESPACE)
    config = ClientConfig.load_client_connect_config()
    config.setdefault("target_host", "127.0.0.1:7233")
    client = await Client.connect(**config)
    await Worker(client, task_queue=os.environ.get("TASK_QUEUE", "ray"), activities=[process]).run()


if __name__ == "__main__":
    asyncio.run(main())
