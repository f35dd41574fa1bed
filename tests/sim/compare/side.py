"""One of the two sides of a comparison: an activity of a real server, or of the model.

Both get the same requests, each with its own ids."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, Literal

import temporalio.api.common.v1 as common
import temporalio.api.failure.v1 as failures
import temporalio.api.workflowservice.v1 as api
from google.protobuf.message import Message

from harness.activities import Kind
from harness.server import NAMESPACE
from sim.compare.answers import Answer

WORKER = "worker"

# The token of an attempt, counted from the newest; the newest one as the library derives it from ids; the ids, with or
# without the run; or bytes that are no token.
Way = int | Literal["derived", "ids", "ids without run", "garbage"]

# The fields of a token up to this one are the activity's ids and the attempt.
LAST_DERIVED_FIELD = 6


class Side(ABC):
    """One activity."""

    activity_id: str
    workflow_id: str
    run_id: str

    def __init__(self, kind: Kind) -> None:
        self.kind = kind
        self.tokens: list[bytes] = []

    @abstractmethod
    async def call(self, method: str, request: Message, response: Message) -> Answer:
        """Sends a request and reads its response."""

    @abstractmethod
    async def operate(self, words: Sequence[str]) -> Answer:
        """Makes a change as an operator, or as the workflow."""

    @abstractmethod
    async def poll(self, *, is_expected: bool) -> api.PollActivityTaskQueueResponse:
        """Takes the task of the next attempt. It is empty if there is none."""

    async def start(self, *, is_expected: bool) -> Answer:
        task = await self.poll(is_expected=is_expected)
        if task.task_token:
            self.tokens.append(task.task_token)
        return Answer.of(task)

    async def beat(self, way: Way, details: common.Payloads | None) -> Answer:
        if ids := self._ids(way):
            by_id = api.RecordActivityTaskHeartbeatByIdRequest(**ids, details=details)
            return await self.call(
                "RecordActivityTaskHeartbeatById", by_id, api.RecordActivityTaskHeartbeatByIdResponse()
            )
        request = api.RecordActivityTaskHeartbeatRequest(
            namespace=NAMESPACE, task_token=self._token(way), details=details
        )
        return await self.call("RecordActivityTaskHeartbeat", request, api.RecordActivityTaskHeartbeatResponse())

    async def complete(self, way: Way, result: common.Payloads | None) -> Answer:
        identity = "completer"
        if ids := self._ids(way):
            by_id = api.RespondActivityTaskCompletedByIdRequest(**ids, identity=identity, result=result)
            return await self.call(
                "RespondActivityTaskCompletedById", by_id, api.RespondActivityTaskCompletedByIdResponse()
            )
        request = api.RespondActivityTaskCompletedRequest(
            namespace=NAMESPACE, task_token=self._token(way), identity=identity, result=result
        )
        return await self.call("RespondActivityTaskCompleted", request, api.RespondActivityTaskCompletedResponse())

    async def fail(self, way: Way, failure: failures.Failure, details: common.Payloads | None) -> Answer:
        identity = "failer"
        if ids := self._ids(way):
            by_id = api.RespondActivityTaskFailedByIdRequest(
                **ids, identity=identity, failure=failure, last_heartbeat_details=details
            )
            return await self.call("RespondActivityTaskFailedById", by_id, api.RespondActivityTaskFailedByIdResponse())
        request = api.RespondActivityTaskFailedRequest(
            namespace=NAMESPACE,
            task_token=self._token(way),
            identity=identity,
            failure=failure,
            last_heartbeat_details=details,
        )
        return await self.call("RespondActivityTaskFailed", request, api.RespondActivityTaskFailedResponse())

    async def report_cancelled(self, way: Way, details: common.Payloads | None) -> Answer:
        identity = "canceller"
        if ids := self._ids(way):
            by_id = api.RespondActivityTaskCanceledByIdRequest(**ids, identity=identity, details=details)
            return await self.call(
                "RespondActivityTaskCanceledById", by_id, api.RespondActivityTaskCanceledByIdResponse()
            )
        request = api.RespondActivityTaskCanceledRequest(
            namespace=NAMESPACE, task_token=self._token(way), identity=identity, details=details
        )
        return await self.call("RespondActivityTaskCanceled", request, api.RespondActivityTaskCanceledResponse())

    async def describe(self) -> Answer:
        if self.kind == "standalone":
            request = api.DescribeActivityExecutionRequest(
                namespace=NAMESPACE,
                activity_id=self.activity_id,
                run_id=self.run_id,
                include_heartbeat_details=True,
                include_last_failure=True,
            )
            return await self.call("DescribeActivityExecution", request, api.DescribeActivityExecutionResponse())
        return await self.call(
            "DescribeWorkflowExecution",
            api.DescribeWorkflowExecutionRequest(namespace=NAMESPACE, execution=self.execution),
            api.DescribeWorkflowExecutionResponse(),
        )

    async def end_in_history(self) -> Answer:
        """Returns how the activity of a workflow ended, and the identity that ended it."""
        return await self.call(
            "GetWorkflowExecutionHistoryReverse",
            api.GetWorkflowExecutionHistoryReverseRequest(namespace=NAMESPACE, execution=self.execution),
            api.GetWorkflowExecutionHistoryReverseResponse(),
        )

    @property
    def execution(self) -> common.WorkflowExecution:
        return common.WorkflowExecution(workflow_id=self.workflow_id, run_id=self.run_id)

    def _token(self, way: Way) -> bytes:
        if isinstance(way, int):
            return self.tokens[-1 - way]
        return derived(self.tokens[-1]) if way == "derived" else b"\xff\xff\xff"

    def _ids(self, way: Way) -> dict[str, Any] | None:
        if way not in ("ids", "ids without run"):
            return None
        return {
            "namespace": NAMESPACE,
            "workflow_id": self.workflow_id,
            "run_id": self.run_id if way == "ids" else "",
            "activity_id": self.activity_id,
        }


def derived(token: bytes) -> bytes:
    """Returns a token without its later fields. All fields are varints or have a length."""
    at = 0
    while at < len(token):
        tag, after = varint(token, at)
        if tag >> 3 > LAST_DERIVED_FIELD:
            break
        length, at = varint(token, after)
        at += length if tag & 7 else 0
    return token[:at]


def varint(data: bytes, at: int) -> tuple[int, int]:
    """Returns the number at this place, and the place after it."""
    number = shift = 0
    while True:
        number |= (data[at] & 0x7F) << shift
        shift, at = shift + 7, at + 1
        if data[at - 1] < 0x80:
            return number, at
