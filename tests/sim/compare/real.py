"""The real server's side of a comparison."""

import asyncio
import re
import time
import uuid
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from typing import Any, TypeVar

import temporalio.api.activity.v1 as activity_api
import temporalio.api.command.v1 as commands
import temporalio.api.common.v1 as common
import temporalio.api.enums.v1 as enums
import temporalio.api.taskqueue.v1 as taskqueue
import temporalio.api.workflowservice.v1 as api
from google.protobuf.duration_pb2 import Duration
from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.message import Message
from temporalio.api.history.v1 import HistoryEvent
from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode

from harness.activities import Kind
from harness.server import NAMESPACE
from sim.compare.answers import Answer
from sim.compare.side import WORKER, Side

T = TypeVar("T")


class Real(Side):
    """An activity of a real server, with a separate task queue, so that an attempt starts when the script polls."""

    # The server refuses a poll with a deadline under two seconds.
    NOTHING_AFTER_S = 2.5
    POLL_S = 60.0

    def __init__(self, client: Client, kind: Kind, timeout_ms: int, most_attempts: int) -> None:
        super().__init__(kind)
        self._service = client.workflow_service
        name = uuid.uuid4().hex
        self.activity_id, self.run_id = f"activity-{name}", ""
        self.workflow_id = f"workflow-{name}" if kind == "workflow" else ""
        self._queue = taskqueue.TaskQueue(name=f"queue-{name}")
        retry = common.RetryPolicy(backoff_coefficient=1, maximum_attempts=most_attempts)
        retry.initial_interval.FromMilliseconds(100)
        retry.maximum_interval.FromMilliseconds(100)
        self._options: dict[str, Any] = {
            "activity_id": self.activity_id,
            "activity_type": common.ActivityType(name="compared"),
            "task_queue": self._queue,
            "start_to_close_timeout": duration(600_000),
            "heartbeat_timeout": duration(timeout_ms),
            "retry_policy": retry,
        }

    async def schedule(self) -> None:
        if self.kind == "standalone":
            activity = api.StartActivityExecutionRequest(
                namespace=NAMESPACE, identity="starter", request_id=uuid.uuid4().hex, **self._options
            )
            started = await unlimited(lambda: self._service.start_activity_execution(activity))
            self.run_id = started.run_id
            return
        workflow = api.StartWorkflowExecutionRequest(
            namespace=NAMESPACE,
            workflow_id=self.workflow_id,
            workflow_type=common.WorkflowType(name="compared"),
            task_queue=self._queue,
            request_id=uuid.uuid4().hex,
        )
        self.run_id = (await unlimited(lambda: self._service.start_workflow_execution(workflow))).run_id
        await self._command(
            lambda _: commands.Command(
                command_type=enums.CommandType.COMMAND_TYPE_SCHEDULE_ACTIVITY_TASK,
                schedule_activity_task_command_attributes=commands.ScheduleActivityTaskCommandAttributes(
                    **self._options
                ),
            )
        )

    async def terminate(self) -> None:
        """Ends the activity and its workflow, so that the server keeps no timers for them."""
        await self.operate(["terminate"])

    async def call(self, method: str, request: Message, response: Message | None = None) -> Answer:  # noqa: ARG002
        function = getattr(self._service, snake_case(method))
        try:
            return Answer.of(await unlimited(lambda: function(request)))
        except RPCError as error:
            return Answer.refusal(int(error.status), error.raw_grpc_status)

    async def poll(self, *, is_expected: bool) -> api.PollActivityTaskQueueResponse:
        request = api.PollActivityTaskQueueRequest(namespace=NAMESPACE, task_queue=self._queue, identity=WORKER)
        limit = self.POLL_S if is_expected else self.NOTHING_AFTER_S
        end = time.monotonic() + limit
        while True:
            task = await self._service.poll_activity_task_queue(request, timeout=timedelta(seconds=limit))
            # A poll may return early without a task.
            if task.task_token or time.monotonic() > end or not is_expected:
                return task

    async def operate(self, words: Sequence[str]) -> Answer:
        name, *options = words
        if name == "cancel" and self.kind == "workflow":
            return await self._cancel_by_workflow()
        prepare = self._of_standalone if self.kind == "standalone" else self._of_workflow
        method, request = prepare(name, options)
        answer = await self.call(method, request)
        return Answer(answer.code, answer.detail)

    def _of_standalone(self, name: str, options: Sequence[str]) -> tuple[str, Message]:
        about: dict[str, Any] = {"namespace": NAMESPACE, "activity_id": self.activity_id, "run_id": self.run_id}
        request_id = uuid.uuid4().hex
        match name:
            case "cancel":
                return "RequestCancelActivityExecution", api.RequestCancelActivityExecutionRequest(
                    **about, request_id=request_id
                )
            case "terminate":
                return "TerminateActivityExecution", api.TerminateActivityExecutionRequest(
                    **about, request_id=request_id
                )
            case "pause":
                return "PauseActivityExecution", api.PauseActivityExecutionRequest(**about, request_id=request_id)
            case "unpause":
                return "UnpauseActivityExecution", api.UnpauseActivityExecutionRequest(**about, request_id=request_id)
            case "reset":
                return "ResetActivityExecution", api.ResetActivityExecutionRequest(
                    **about,
                    request_id=request_id,
                    reset_heartbeat="erase" in options,
                    keep_paused="keep_paused" in options,
                )
            case "set_timeout":
                return "UpdateActivityExecutionOptions", api.UpdateActivityExecutionOptionsRequest(
                    **about, request_id=request_id, **heartbeat_timeout(options[0])
                )
        raise ValueError(name)

    def _of_workflow(self, name: str, options: Sequence[str]) -> tuple[str, Message]:
        about: dict[str, Any] = {"namespace": NAMESPACE, "execution": self.execution, "id": self.activity_id}
        match name:
            case "terminate":
                return "TerminateWorkflowExecution", api.TerminateWorkflowExecutionRequest(
                    namespace=NAMESPACE, workflow_execution=self.execution
                )
            case "pause":
                return "PauseActivity", api.PauseActivityRequest(**about)
            case "unpause":
                return "UnpauseActivity", api.UnpauseActivityRequest(
                    **about, reset_heartbeat="erase" in options, reset_attempts="restart" in options
                )
            case "reset":
                return "ResetActivity", api.ResetActivityRequest(
                    **about, reset_heartbeat="erase" in options, keep_paused="keep_paused" in options
                )
            case "set_timeout":
                return "UpdateActivityOptions", api.UpdateActivityOptionsRequest(
                    **about, **heartbeat_timeout(options[0])
                )
        raise ValueError(name)

    async def _cancel_by_workflow(self) -> Answer:
        signal = api.SignalWorkflowExecutionRequest(
            namespace=NAMESPACE, workflow_execution=self.execution, signal_name="cancel", request_id=uuid.uuid4().hex
        )
        await unlimited(lambda: self._service.signal_workflow_execution(signal))
        await self._command(
            lambda events: commands.Command(
                command_type=enums.CommandType.COMMAND_TYPE_REQUEST_CANCEL_ACTIVITY_TASK,
                request_cancel_activity_task_command_attributes=commands.RequestCancelActivityTaskCommandAttributes(
                    scheduled_event_id=scheduled_event_id(events)
                ),
            )
        )
        return Answer(0)

    async def _command(self, command: Callable[[Sequence[HistoryEvent]], commands.Command]) -> None:
        """Answers the workflow's task."""
        poll = api.PollWorkflowTaskQueueRequest(namespace=NAMESPACE, task_queue=self._queue, identity=WORKER)
        while True:
            task = await self._service.poll_workflow_task_queue(poll, timeout=timedelta(seconds=self.POLL_S))
            if task.task_token:
                break
        done = api.RespondWorkflowTaskCompletedRequest(
            namespace=NAMESPACE, task_token=task.task_token, commands=[command(task.history.events)]
        )
        await unlimited(lambda: self._service.respond_workflow_task_completed(done))


def scheduled_event_id(events: Sequence[HistoryEvent]) -> int:
    """Returns the id of the event that schedules the activity. It is greater if a workflow task timed out."""
    scheduled = enums.EventType.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED
    return next(event.event_id for event in events if event.event_type == scheduled)


async def unlimited(call: Callable[[], Awaitable[T]]) -> T:
    """Repeats a call while the server asks for fewer requests: such a request wasn't applied."""
    while True:
        try:
            return await call()
        except RPCError as error:
            if error.status != RPCStatusCode.RESOURCE_EXHAUSTED:
                raise
            await asyncio.sleep(0.2)


def heartbeat_timeout(milliseconds: str) -> dict[str, Any]:
    """Returns the fields of a request that change the heartbeat timeout."""
    options = activity_api.ActivityOptions(heartbeat_timeout=duration(int(milliseconds)))
    return {"activity_options": options, "update_mask": FieldMask(paths=["heartbeat_timeout"])}


def duration(milliseconds: int) -> Duration:
    return Duration(seconds=milliseconds // 1000, nanos=milliseconds % 1000 * 1_000_000)


def snake_case(method: str) -> str:
    return re.sub(r"(?<!^)(?=[A-Z])", "_", method).lower()
