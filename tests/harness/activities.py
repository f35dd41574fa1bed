"""An activity started through the official SDK, of a workflow or standalone, with one interface for both."""

import queue
import uuid
from abc import ABC, abstractmethod
from datetime import timedelta
from typing import Any, Literal

import temporalio.api.activity.v1 as activity_api
import temporalio.api.common.v1 as common
import temporalio.api.workflowservice.v1 as service
from google.protobuf.field_mask_pb2 import FieldMask
from temporalio.api.enums.v1 import EventType
from temporalio.client import (
    ActivityFailureError,
    ActivityHandle,
    Client,
    WorkflowFailureError,
    WorkflowHandle,
)
from temporalio.exceptions import ActivityError, ApplicationError, FailureError
from temporalio.service import RPCError, RPCStatusCode

from harness.requires import unsupported
from harness.server import NAMESPACE, OLDEST
from harness.worker import (
    ACTIVITY_TYPE,
    ANSWER_LIMIT_S,
    LEFT,
    TASK_QUEUE,
    WORKFLOW_CANCELLED,
    ActivityOptions,
    Attempt,
    OneActivity,
    SdkWorker,
)

Kind = Literal["workflow", "standalone"]
KINDS: tuple[Kind, ...] = ("workflow", "standalone")


class ExternalActivity(ABC):
    """A started activity. Its attempts are handed over one by one."""

    run_id: str | None

    def __init__(self, sdk_worker: SdkWorker) -> None:
        self.id = f"external-{uuid.uuid4()}"
        self._backstage = sdk_worker
        self._attempts = sdk_worker.attempts_of(self.id)

    def next_attempt(self, timeout: float = ANSWER_LIMIT_S) -> Attempt:
        """Waits until the server starts another attempt."""
        try:
            return self._attempts.get(timeout=timeout)
        except queue.Empty:
            raise AssertionError(f"no further attempt of {self.id} within {timeout:.0f} s") from None

    def result(self, timeout: float = ANSWER_LIMIT_S) -> Any:
        """Returns the result of the activity."""
        return self._backstage.run(self._result(), timeout)

    def failure(self, timeout: float = ANSWER_LIMIT_S) -> BaseException:
        """Returns the failure that ended the activity: in a workflow, the cause of the ActivityError."""
        try:
            value = self.result(timeout)
        except (WorkflowFailureError, ActivityFailureError) as error:
            cause: BaseException | None = error.cause
            if isinstance(cause, ApplicationError) and cause.type == WORKFLOW_CANCELLED:
                cause = cause.cause
            if isinstance(cause, ActivityError):
                cause = cause.cause
            assert isinstance(cause, FailureError), repr(cause)
            return cause
        raise AssertionError(f"the activity did not fail, it returned {value!r}")

    @property
    def _client(self) -> Client:
        return self._backstage.client

    def _run(self, work: Any) -> Any:
        return self._backstage.run(work)

    @abstractmethod
    async def _result(self) -> Any: ...

    @abstractmethod
    def request_cancel(self, reason: str = "") -> None:
        """Requests the cancellation, and returns when the next heartbeat will report it.

        A reason is that of the workflow's cancellation, if there is a workflow, which cancels its activity then.
        """

    @abstractmethod
    def pause(self, reason: str = "") -> None: ...

    @abstractmethod
    def unpause(self) -> None: ...

    @abstractmethod
    def reset(self, *, reset_heartbeat: bool = False) -> None: ...

    @abstractmethod
    def change_timeouts(self, **timeouts: timedelta) -> None:
        """Changes timeouts of the running attempt by their names, as `temporal activity update-options` does."""

    @abstractmethod
    def terminate(self) -> None:
        """Ends the activity, or its workflow, at once."""

    @abstractmethod
    def ids(self) -> dict[str, str]:
        """Returns the ids of the activity, as options of thb_activity_open."""

    @abstractmethod
    def end_elsewhere(self) -> None:
        """Ends it without this attempt: its workflow returns, or another client completes the standalone activity."""

    @abstractmethod
    def heartbeat_details(self) -> list[Any]:
        """Returns the server's heartbeat details, as the official SDK reads them."""


class WorkflowActivity(ExternalActivity):
    """The one activity of a workflow."""

    def __init__(self, sdk_worker: SdkWorker, options: ActivityOptions) -> None:
        super().__init__(sdk_worker)
        self._handle: WorkflowHandle[OneActivity, Any] = self._run(
            self._client.start_workflow(
                OneActivity.run, args=[self.id, options], id=f"workflow-{self.id}", task_queue=TASK_QUEUE
            )
        )
        self.workflow_id = self._handle.id
        self.run_id = self._handle.first_execution_run_id

    async def _result(self) -> Any:
        return await self._handle.result()

    def request_cancel(self, reason: str = "") -> None:
        if reason:
            self._run(self._handle.cancel(reason=reason))
        else:
            self._run(self._handle.signal(OneActivity.cancel_activity))
        self._run(self._cancel_requested())

    async def _cancel_requested(self) -> None:
        """The workflow receives the request first and then sends it to the server. The history shows both."""
        async for event in self._handle.fetch_history_events(wait_new_event=True):
            if event.event_type == EventType.EVENT_TYPE_ACTIVITY_TASK_CANCEL_REQUESTED:
                return

    def ids(self) -> dict[str, str]:
        return {"workflow_id": self.workflow_id, "run_id": self.run_id or "", "activity_id": self.id}

    def completed_by(self) -> str:
        """Returns the identity under which the activity was completed."""
        event = self._event(EventType.EVENT_TYPE_ACTIVITY_TASK_COMPLETED)
        return str(event.activity_task_completed_event_attributes.identity)

    def last_heartbeat(self) -> tuple[int, bytes]:
        """Returns when the last heartbeat arrived, in nanoseconds, and its details."""
        description = self._run(self._handle.describe())
        [pending] = description.raw_description.pending_activities
        return pending.last_heartbeat_time.ToNanoseconds(), pending.heartbeat_details.SerializeToString()

    def scheduled_event_id(self) -> int:
        return int(self._event(EventType.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED).event_id)

    def _event(self, event_type: EventType.ValueType) -> Any:
        history = self._run(self._handle.fetch_history())
        [event] = [event for event in history.events if event.event_type == event_type]
        return event

    def pause(self, reason: str = "") -> None:
        request = service.PauseActivityRequest(
            namespace=NAMESPACE, execution=self._execution, id=self.id, reason=reason, identity=self._client.identity
        )
        self._run(self._client.workflow_service.pause_activity(request, retry=True))

    def unpause(self, *, reset_heartbeat: bool = False) -> None:
        """Unlike a standalone activity, it can also remove its details."""
        request = service.UnpauseActivityRequest(
            namespace=NAMESPACE, execution=self._execution, id=self.id, reset_heartbeat=reset_heartbeat
        )
        self._run(self._client.workflow_service.unpause_activity(request, retry=True))

    def reset(self, *, reset_heartbeat: bool = False) -> None:
        request = service.ResetActivityRequest(
            namespace=NAMESPACE, execution=self._execution, id=self.id, reset_heartbeat=reset_heartbeat
        )
        self._run(self._client.workflow_service.reset_activity(request))

    def change_timeouts(self, **timeouts: timedelta) -> None:
        request = service.UpdateActivityOptionsRequest(
            namespace=NAMESPACE, execution=self._execution, id=self.id, **changed_timeouts(**timeouts)
        )
        self._run(self._client.workflow_service.update_activity_options(request))

    def terminate(self) -> None:
        self._run(self._handle.terminate())

    def end_elsewhere(self) -> None:
        self._run(self._handle.signal(OneActivity.leave))
        assert self.result() == LEFT

    def heartbeat_details(self) -> list[Any]:
        description = self._run(self._handle.describe())
        pending = [a for a in description.raw_description.pending_activities if a.activity_id == self.id]
        payloads = pending[0].heartbeat_details.payloads if pending else []
        return list(self._run(self._client.data_converter.decode(payloads)))

    @property
    def _execution(self) -> common.WorkflowExecution:
        return common.WorkflowExecution(workflow_id=self.workflow_id, run_id=self.run_id or "")


class StandaloneActivity(ExternalActivity):
    """An activity without a workflow."""

    def __init__(self, sdk_worker: SdkWorker, options: ActivityOptions) -> None:
        super().__init__(sdk_worker)
        self._handle: ActivityHandle[Any] = self._run(
            self._client.start_activity(ACTIVITY_TYPE, id=self.id, task_queue=TASK_QUEUE, **options.as_arguments())
        )
        self.run_id = self._handle.run_id

    def ids(self) -> dict[str, str]:
        return {"run_id": self.run_id or "", "activity_id": self.id}

    async def _result(self) -> Any:
        return await self._handle.result()

    def request_cancel(self, reason: str = "") -> None:
        self._run(self._handle.cancel(reason=reason or None))

    def pause(self, reason: str = "") -> None:
        self._ask("pause", self._handle.pause(reason=reason or None))

    def unpause(self) -> None:
        self._run(self._handle.unpause())

    def reset(self, *, reset_heartbeat: bool = False) -> None:
        request = service.ResetActivityExecutionRequest(
            namespace=NAMESPACE,
            activity_id=self.id,
            run_id=self.run_id or "",
            request_id=str(uuid.uuid4()),
            reset_heartbeat=reset_heartbeat,
        )
        self._ask("reset", self._client.workflow_service.reset_activity_execution(request))

    def _ask(self, operation: str, work: Any) -> None:
        """Runs an operation that servers before OLDEST may not support."""
        try:
            self._run(work)
        except RPCError as error:
            if error.status != RPCStatusCode.UNIMPLEMENTED or self._backstage.server_version >= OLDEST:
                raise
            unsupported(f"the {operation} of a standalone activity is UNIMPLEMENTED on this server")

    def change_timeouts(self, **timeouts: timedelta) -> None:
        request = service.UpdateActivityExecutionOptionsRequest(
            namespace=NAMESPACE, activity_id=self.id, run_id=self.run_id or "", **changed_timeouts(**timeouts)
        )
        self._ask("change of timeouts", self._client.workflow_service.update_activity_execution_options(request))

    def terminate(self) -> None:
        self._run(self._handle.terminate())

    def end_elsewhere(self) -> None:
        request = service.RespondActivityTaskCompletedByIdRequest(
            namespace=NAMESPACE, activity_id=self.id, run_id=self.run_id or ""
        )
        self._run(self._client.workflow_service.respond_activity_task_completed_by_id(request))

    def heartbeat_details(self) -> list[Any]:
        description = self._run(self._handle.describe(include_heartbeat_details=True))
        return list(self._run(description.heartbeat_details()) or [])


def changed_timeouts(**timeouts: timedelta) -> dict[str, Any]:
    """Returns the request fields that change only these timeouts."""
    options = activity_api.ActivityOptions()
    for name, timeout in timeouts.items():
        getattr(options, name).FromTimedelta(timeout)
    return {"activity_options": options, "update_mask": FieldMask(paths=list(timeouts))}


def start_activity(kind: Kind, sdk_worker: SdkWorker, options: ActivityOptions) -> ExternalActivity:
    if kind == "workflow":
        return WorkflowActivity(sdk_worker, options)
    return StandaloneActivity(sdk_worker, options)
