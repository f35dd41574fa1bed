"""The worker of the official Python SDK. ../README.md describes it."""

import asyncio
import dataclasses
import json
import os
import sys
from collections.abc import Iterable
from datetime import timedelta
from typing import Any

from temporalio import activity, workflow
from temporalio.client import Client
from temporalio.common import RetryPolicy
from temporalio.converter import DataConverter
from temporalio.exceptions import ActivityError, ApplicationError, ApplicationErrorCategory
from temporalio.exceptions import TimeoutError as ActivityTimeoutError
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

from interop.peers.python.cipher import Cipher
from interop.peers.python.values import VALUES, show


@activity.defn(name="interop")
async def interop(value: str, records: bool) -> None:
    info = activity.info()
    if records and info.attempt == 1:
        activity.heartbeat(*VALUES[value])
        raise ApplicationError("recorded", category=ApplicationErrorCategory.BENIGN)
    report = {
        "workflow": info.workflow_id,
        "attempt": info.attempt,
        "token": info.task_token.hex(),
        "seen": shown(info.heartbeat_details),
    }
    print(json.dumps(report), flush=True)
    activity.raise_complete_async()


@workflow.defn(name="Interop")
class Interop:
    @workflow.run
    async def run(self, value: str, records: bool, heartbeat_timeout_ms: int, maximum_attempts: int) -> dict[str, Any]:
        interval = timedelta(milliseconds=100)
        try:
            result = await workflow.execute_activity(
                "interop",
                args=[value, records],
                start_to_close_timeout=timedelta(minutes=2),
                heartbeat_timeout=timedelta(milliseconds=heartbeat_timeout_ms),
                retry_policy=RetryPolicy(
                    initial_interval=interval, maximum_interval=interval, maximum_attempts=maximum_attempts
                ),
            )
        except ActivityError as error:
            match error.cause:
                case ActivityTimeoutError() as timeout:
                    return ending("timed out", timeout.message, timeout.last_heartbeat_details)
                case ApplicationError() as failure:
                    return ending("failed", failure.message, failure.details)
            raise
        return ending("completed", "", [result])


def ending(how: str, message: str, values: Iterable[Any]) -> dict[str, Any]:
    return {"ended": how, "message": message, "seen": shown(values)}


def shown(values: Iterable[Any]) -> list[str]:
    return [show(value) for value in values]


async def main(address: str, namespace: str, task_queue: str) -> None:
    client = await Client.connect(address, namespace=namespace)
    encrypting = Client(
        client.service_client,
        namespace=namespace,
        data_converter=dataclasses.replace(DataConverter.default, payload_codec=Cipher()),
    )
    async with worker(client, task_queue), worker(encrypting, f"{task_queue}-encrypted"):
        print(json.dumps({"ready": True}), flush=True)
        await asyncio.to_thread(sys.stdin.read)


def worker(client: Client, task_queue: str) -> Worker:
    return Worker(
        client,
        task_queue=task_queue,
        workflows=[Interop],
        activities=[interop],
        workflow_runner=UnsandboxedWorkflowRunner(),
    )


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
    sys.stdout.flush()
    os._exit(0)  # the SDK's threads can abort the exit of an interpreter
