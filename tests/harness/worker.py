"""A worker of the official SDK with one activity, which hands over its task token."""

import asyncio
import queue
import threading
from collections.abc import Callable, Coroutine, Iterator, Sequence
from concurrent.futures import Future
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, TypeVar

import temporalio.client
import temporalio.service
from temporalio import activity, workflow
from temporalio.api.workflowservice.v1 import (
    DescribeActivityExecutionRequest,
    DescribeNamespaceRequest,
    GetSystemInfoRequest,
)
from temporalio.common import RetryPolicy
from temporalio.exceptions import ActivityError, ApplicationError
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

from harness.server import NAMESPACE, START_TIMEOUT

T = TypeVar("T")

TASK_QUEUE = "external"
ACTIVITY_TYPE = "run_elsewhere"

# The result of a workflow that didn't wait for its activity.
LEFT = "left"
# The type of the failure of a workflow that was cancelled, and has cancelled its activity.
WORKFLOW_CANCELLED = "WorkflowCancelled"

# Longer than any request of the harness to the server or the worker.
ANSWER_LIMIT_S = 20.0
# A worker whose server was killed may wait for the answer to its poll until the timeout of 70 s.
SHUTDOWN_LIMIT_S = 90.0

# The message of the SDK for a request that it hasn't sent, because the connection was closed first.
UNSENT = "operation was canceled"
UNSENT_TRIES = 3


@dataclass(frozen=True)
class ActivityOptions:
    """A scenario's options for its activity. With the defaults it doesn't time out within a test, and retries soon."""

    heartbeat_timeout_ms: int = 30_000
    maximum_attempts: int = 0
    start_to_close_ms: int = 120_000

    # Not too soon: a test must see the zombie of the previous attempt's process before the next attempt fails.
    retry_interval_ms: int = 100

    def as_arguments(self) -> dict[str, Any]:
        interval = timedelta(milliseconds=self.retry_interval_ms)
        return {
            "start_to_close_timeout": timedelta(milliseconds=self.start_to_close_ms),
            "heartbeat_timeout": timedelta(milliseconds=self.heartbeat_timeout_ms) or None,
            "retry_policy": RetryPolicy(
                initial_interval=interval, maximum_interval=interval, maximum_attempts=self.maximum_attempts
            ),
        }


@dataclass(frozen=True)
class Attempt:
    """One attempt of an activity, as the worker hands it over."""

    token: bytes
    number: int
    # The details of the previous attempt, as the worker's own SDK reads them.
    details: list[Any] = field(default_factory=list)


@workflow.defn(name="OneActivity")
class OneActivity:
    """A workflow that runs one activity and ends like it, or earlier."""

    def __init__(self) -> None:
        self._left = False

    @workflow.run
    async def run(self, activity_id: str, options: ActivityOptions) -> Any:
        self._activity = workflow.start_activity(
            ACTIVITY_TYPE,
            activity_id=activity_id,
            # The workflow waits for the activity's own report of a cancellation.
            cancellation_type=workflow.ActivityCancellationType.WAIT_CANCELLATION_COMPLETED,
            **options.as_arguments(),
        )
        try:
            await workflow.wait_condition(lambda: self._left or self._activity.done())
        except asyncio.CancelledError:  # that of the workflow
            self._activity.cancel()
            try:
                return await self._activity
            except ActivityError as error:
                # A cancelled workflow wouldn't show the activity's failure.
                raise ApplicationError("the activity has failed", type=WORKFLOW_CANCELLED) from error
        return LEFT if self._left else await self._activity

    @workflow.signal
    def cancel_activity(self) -> None:
        """Fails with the activity's failure. A workflow that is cancelled itself would only show the cancellation."""
        self._activity.cancel()

    @workflow.signal
    def leave(self) -> None:
        """Returns while the activity runs."""
        self._left = True


class SdkWorker(AbstractContextManager["SdkWorker"]):
    """An SDK client and a worker on an event loop in a separate thread. Tests call them without asyncio."""

    client: temporalio.client.Client
    # The server's version, as it reports it.
    server_version: tuple[int, int]
    # Whether the server supports standalone activities.
    has_standalone: bool

    def __init__(self, address: str) -> None:
        self._address = address
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="worker", daemon=True)
        self._attempts: dict[str, queue.SimpleQueue[Attempt]] = {}

    def __enter__(self) -> "SdkWorker":
        self._thread.start()
        self.run(self._open(), 2 * START_TIMEOUT)  # `_connect` times out earlier, with the reason
        return self

    def __exit__(self, *_: object) -> None:
        self.run(self._worker.shutdown(), SHUTDOWN_LIMIT_S)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(ANSWER_LIMIT_S)
        self._loop.close()

    def run(self, work: Coroutine[Any, Any, T], timeout: float = ANSWER_LIMIT_S) -> T:
        """Runs a coroutine on the loop and waits for its result."""
        return self.start(work).result(timeout)

    def start(self, work: Coroutine[Any, Any, T]) -> Future[T]:
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    @contextmanager
    def worker_on(self, queue: str, workflow: type, activities: Sequence[Callable[..., Any]] = ()) -> Iterator[None]:
        """Runs another worker, on a separate queue."""

        async def begin() -> tuple[Worker, asyncio.Task[None]]:
            worker = Worker(
                self.client,
                task_queue=queue,
                workflows=[workflow],
                activities=activities,
                workflow_runner=UnsandboxedWorkflowRunner(),
            )
            # A worker runs in a task; `shutdown` ends it.
            return worker, asyncio.create_task(worker.run())

        worker, running = self.run(begin())

        async def end() -> None:
            await worker.shutdown()
            await running

        try:
            yield
        finally:
            self.run(end())

    def fail(self, token: bytes, next_retry_delay: float | None = None) -> None:
        """Fails an attempt through the SDK, so that the next one starts, after a number of seconds if one is passed."""
        delay = None if next_retry_delay is None else timedelta(seconds=next_retry_delay)
        failure = ApplicationError("once more", next_retry_delay=delay)
        self.run(self.client.get_async_activity_handle(task_token=token).fail(failure))

    def heartbeat(self, token: bytes, details: object) -> None:
        """Records details through the SDK."""
        self.run(self.client.get_async_activity_handle(task_token=token).heartbeat(details))

    def complete(self, token: bytes, result: object) -> None:
        """Ends an activity through the SDK."""
        self.run(self.client.get_async_activity_handle(task_token=token).complete(result))

    def namespace_id(self) -> str:
        request = DescribeNamespaceRequest(namespace=NAMESPACE)
        return self.run(self.client.workflow_service.describe_namespace(request)).namespace_info.id

    def attempts_of(self, activity_id: str) -> queue.SimpleQueue[Attempt]:
        """Returns the queue of this activity's attempts. Must be called before the activity is started."""
        return self._attempts.setdefault(activity_id, queue.SimpleQueue())

    async def _open(self) -> None:
        self.client = await connect(self._address)
        self._worker = Worker(
            self.client,
            task_queue=TASK_QUEUE,
            workflows=[OneActivity],
            activities=[self._hand_over],
            workflow_runner=UnsandboxedWorkflowRunner(),
        )
        self.server_version = await _server_version(self.client)
        self.has_standalone = await has_standalone(self.client)
        # A worker runs in a task; `shutdown` ends it.
        self._running = asyncio.create_task(self._worker.run())

    @activity.defn(name=ACTIVITY_TYPE)
    async def _hand_over(self) -> None:
        info = activity.info()
        self.attempts_of(info.activity_id).put(Attempt(info.task_token, info.attempt, list(info.heartbeat_details)))
        activity.raise_complete_async()


async def connect(address: str) -> temporalio.client.Client:
    """Connects with retries, because the port of a server opens before all of its services answer."""
    deadline = asyncio.get_running_loop().time() + START_TIMEOUT
    while True:
        try:
            client = await temporalio.client.Client.connect(address, namespace=NAMESPACE)
            await client.count_workflows()
        except (RuntimeError, temporalio.service.RPCError):
            if asyncio.get_running_loop().time() > deadline:
                raise
            await asyncio.sleep(0.1)
        else:
            _repeat_unsent_requests(client.service_client)
            return client


def _repeat_unsent_requests(service: temporalio.service.ServiceClient) -> None:
    """Repeats a request that was waiting for a connection when the server closed it.

    The SDK returns such a request, which it hasn't sent, as cancelled, and doesn't repeat it.
    """
    call = service._rpc_call

    async def repeated(*arguments: Any, **options: Any) -> Any:
        for _ in range(UNSENT_TRIES - 1):
            try:
                return await call(*arguments, **options)
            except temporalio.service.RPCError as error:
                if error.status != temporalio.service.RPCStatusCode.CANCELLED or str(error) != UNSENT:
                    raise
        return await call(*arguments, **options)

    service._rpc_call = repeated  # type: ignore[method-assign]  # no interceptor sees every request


async def _server_version(client: temporalio.client.Client) -> tuple[int, int]:
    info = await client.workflow_service.get_system_info(GetSystemInfoRequest())
    major, minor, *_ = info.server_version.split(".")
    return int(major), int(minor)


async def has_standalone(client: temporalio.client.Client) -> bool:
    unknown = DescribeActivityExecutionRequest(namespace=NAMESPACE, activity_id="of nobody")
    try:
        await client.workflow_service.describe_activity_execution(unknown)
    except temporalio.service.RPCError as error:
        return error.status != temporalio.service.RPCStatusCode.UNIMPLEMENTED
    return True
