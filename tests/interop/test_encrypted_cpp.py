"""A child in C++ with a codec, and a worker of the Python SDK with the same codec."""

import asyncio
import base64
import subprocess
import uuid
from datetime import timedelta
from pathlib import Path
from typing import Any

from temporalio import activity, workflow
from temporalio.client import Client, WorkflowFailureError
from temporalio.common import RetryPolicy
from temporalio.converter import DataConverter, DefaultFailureConverterWithEncodedAttributes
from temporalio.exceptions import ActivityError, ApplicationError
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

from harness.build import compile_cpp
from harness.languages import linked
from harness.paths import BUILD
from harness.server import NAMESPACE, Server
from interop import programs
from interop.peers.python.cipher import Cipher

SECRET = "readable by anybody"
CONVERTER = DataConverter(payload_codec=Cipher(), failure_converter_class=DefaultFailureConverterWithEncodedAttributes)


@workflow.defn(name="Encrypted")
class Encrypted:
    @workflow.run
    async def run(self, attempts: int) -> Any:
        return await workflow.execute_activity(
            "hand_over",
            start_to_close_timeout=timedelta(minutes=2),
            heartbeat_timeout=timedelta(seconds=30),
            retry_policy=RetryPolicy(initial_interval=timedelta(milliseconds=100), maximum_attempts=attempts),
        )


async def run_workflow(server: Server, attempts: int) -> tuple[Any, list[list[Any]]]:
    """Returns the result or the failure, and the details that each attempt of the worker read."""
    source = programs.PEERS / "cpp" / "encrypted_child.cpp"
    program: Path = compile_cpp(source, BUILD / "encrypted_child_cpp", *linked())
    read: list[list[Any]] = []

    @activity.defn
    async def hand_over() -> None:
        info = activity.info()
        read.append(list(info.heartbeat_details))
        variables = programs.environment() | {
            "TEMPORAL_ADDRESS": server.address,
            "TEMPORAL_NAMESPACE": NAMESPACE,
            "TEMPORAL_ACTIVITY_TASK_TOKEN": base64.b64encode(info.task_token).decode(),
        }
        await asyncio.to_thread(subprocess.run, [str(program), SECRET], env=variables, check=True, timeout=60)
        activity.raise_complete_async()

    client = await Client.connect(server.address, data_converter=CONVERTER)
    queue = f"encrypted-cpp-{uuid.uuid4()}"
    worker = Worker(
        client,
        task_queue=queue,
        workflows=[Encrypted],
        activities=[hand_over],
        workflow_runner=UnsandboxedWorkflowRunner(),
    )
    async with worker:
        handle = await client.start_workflow(Encrypted.run, attempts, id=queue, task_queue=queue)
        outcomes: Any = await asyncio.gather(handle.result(), return_exceptions=True)
        history = await handle.fetch_history()
    assert SECRET not in "".join(map(str, history.events))
    return outcomes[0], read


def test_details_and_results_cross_encrypted(server: Server) -> None:
    outcome, read = asyncio.run(run_workflow(server, attempts=2))
    assert (outcome, read) == (SECRET, [[], [SECRET]])


def test_workflow_reads_an_encrypted_failure(server: Server) -> None:
    outcome, _ = asyncio.run(run_workflow(server, attempts=1))
    assert isinstance(outcome, WorkflowFailureError)
    assert isinstance(outcome.cause, ActivityError)
    failure = outcome.cause.cause
    assert isinstance(failure, ApplicationError)
    assert (failure.message, list(failure.details)) == (SECRET, [SECRET])
    assert failure.failure
    assert SECRET in failure.failure.stack_trace
    assert isinstance(failure.cause, ApplicationError)
    assert failure.cause.message == SECRET
