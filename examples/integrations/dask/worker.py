"""A worker whose activity runs on a Dask cluster: its body is a task, and each item is a task of the body.

    worker.py       connects to the scheduler of DASK_SCHEDULER_ADDRESS, and to the server of TEMPORAL_ADDRESS

Body and items run in any of Dask's workers. If the one with the body dies, Dask starts the body again in another one.
"""

import asyncio
import contextlib
import os
import time
from typing import Any

import temporal_heartbeat as thb
from distributed import Client, Future, Worker, fire_and_forget, get_worker, wait, worker_client
from temporalio import activity
from temporalio import client as temporal
from temporalio import worker as temporal_worker
from temporalio.envconfig import ClientConfig


def work(item: int, body: int, folder: str) -> int:
    """Does the work on one item. FOLDER/journal shows which process of which body has worked on what."""
    line = f"{item} {body} {os.getpid()}"
    with open(f"{folder}/journal", "a") as journal:
        print("begin", line, file=journal, flush=True)
        for _ in range(20):
            if is_cancelled():
                raise RuntimeError("cancelled")  # nothing receives it
            time.sleep(0.01)
        print("end", line, file=journal, flush=True)
    return item


def is_cancelled() -> bool:
    """Returns whether Dask wants this task no more. Dask never interrupts a running task: it must ask."""
    worker = get_worker()
    task = worker.state.tasks.get(worker.get_current_task())
    return task is None or task.state == "cancelled"


def body(token: bytes, name: str, items: int, folder: str) -> None:
    """Runs an activity in one of Dask's workers."""
    with contextlib.suppress(thb.AlreadyConnectedError):  # this process may have run another body
        thb.connect()
    # No initial details: if Dask has started this body again, the server has newer ones than the hand-off.
    with worker_client() as client, thb.Activity(token, stall_timeout=60, follow_server=True) as act:
        wait_for_earlier_items(client, name)
        number = count_body(folder)

        def submit(item: int) -> Future:
            return client.submit(work, item, number, folder, key=f"{name}/{number}/{item}")

        def cancel(tasks: "list[Future]") -> None:
            client.cancel(tasks)
            wait_for_earlier_items(client, name)

        with thb.submit_ahead(submit, range(items), limit=8, cancel=cancel) as tasks:
            for task in thb.track(tasks, act):
                while not is_done(task):
                    act.raise_if_cancelled()  # also if the lease is lost
                task.result()
        act.complete(items)


def is_done(task: Future) -> bool:
    with contextlib.suppress(asyncio.TimeoutError):
        wait(task, timeout=0.5)
    return bool(task.done())


def wait_for_earlier_items(client: Client, name: str) -> None:
    """Waits until no worker runs an item of this activity. An earlier body may have left some."""
    while any(client.run(running_items, name, on_error="ignore").values()):
        time.sleep(0.1)


def running_items(name: str, dask_worker: Worker) -> "list[Any]":
    return [task.key for task in dask_worker.state.all_running_tasks if str(task.key).startswith(f"{name}/")]


def count_body(folder: str) -> int:
    os.makedirs(folder, exist_ok=True)
    with open(f"{folder}/bodies", "a+") as bodies:
        bodies.seek(0)
        number = len(bodies.readlines()) + 1
        print(number, os.getpid(), file=bodies)
    return number


@activity.defn
async def process(items: int, folder: str) -> int:  # the body ends it, with this type of result
    info = activity.info()
    name = f"{info.workflow_id or ''}/{info.activity_id}"
    key = f"body/{name}/{info.attempt}"
    fire_and_forget(dask().submit(body, info.task_token, name, items, folder, key=key))
    activity.raise_complete_async()


def dask() -> Client:
    return Client.current()


async def main() -> None:
    config = ClientConfig.load_client_connect_config()
    config.setdefault("target_host", "127.0.0.1:7233")
    client = await temporal.Client.connect(**config)
    task_queue = os.environ.get("TASK_QUEUE", "dask")
    with Client(os.environ["DASK_SCHEDULER_ADDRESS"]):
        await temporal_worker.Worker(client, task_queue=task_queue, activities=[process]).run()


if __name__ == "__main__":
    asyncio.run(main())
