"""Reduces an answer to the parts that both sides must have in common."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import temporalio.api.workflowservice.v1 as api
from google.protobuf.message import Message
from google.rpc.status_pb2 import Status


@dataclass(frozen=True)
class Answer:
    """The gRPC code, the type of the status detail, and the parts of the message that are compared."""

    code: int
    detail: str = ""
    shows: tuple[object, ...] = ()

    @classmethod
    def of(cls, message: Message) -> "Answer":
        return cls(0, "", tuple(SHOWN[type(message)](message)) if type(message) in SHOWN else ())

    @classmethod
    def refusal(cls, code: int, status: bytes) -> "Answer":
        details = Status.FromString(status).details
        return cls(code, details[0].TypeName() if details else "")


def signals(message: Any) -> list[object]:
    names = ("cancel_requested", "activity_paused", "activity_reset")
    return [name for name in names if getattr(message, name)]


def task(message: api.PollActivityTaskQueueResponse) -> list[object]:
    if not message.task_token:
        return ["nothing to start"]
    return [message.attempt, values(message, "heartbeat_details"), message.heartbeat_timeout.ToMilliseconds()]


def failures(message: Any) -> list[object]:
    return [len(message.failures)]


def workflow(message: api.DescribeWorkflowExecutionResponse) -> list[object]:
    is_closed = message.workflow_execution_info.HasField("close_time")
    return [
        "closed" if is_closed else "open",
        *(
            {
                "state": pending.state,
                "attempt": pending.attempt,
                "details": values(pending, "heartbeat_details"),
                "has started": pending.HasField("last_started_time"),
                "timeout": pending.activity_options.heartbeat_timeout.ToMilliseconds(),
                "failure": pending.last_failure.message,
            }
            for pending in message.pending_activities
        ),
    ]


def standalone(message: api.DescribeActivityExecutionResponse) -> list[object]:
    info = message.info
    return [
        {
            "status": info.status,
            "state": info.run_state,
            "attempt": info.attempt,
            "details": values(info, "heartbeat_details"),
            "has started": info.HasField("last_started_time"),
            "timeout": info.heartbeat_timeout.ToMilliseconds(),
            "failure": info.last_failure.message,
            "identity": info.last_worker_identity,
            "changes": info.state_transition_count,
            "heartbeats": info.total_heartbeat_count,
            "has beaten": info.HasField("last_heartbeat_time"),
            "has a token for long polls": bool(message.long_poll_token),
        }
    ]


def history(message: api.GetWorkflowExecutionHistoryReverseResponse) -> list[object]:
    """Returns the last attempt, how the activity ended, and the identity that ended it."""
    shown: list[object] = []
    for event in message.history.events:
        match event.WhichOneof("attributes"):
            case "activity_task_started_event_attributes":
                shown.append(("started", event.activity_task_started_event_attributes.attempt))
            case (
                "activity_task_completed_event_attributes"
                | "activity_task_failed_event_attributes"
                | "activity_task_canceled_event_attributes"
            ) as name:
                shown.append((name, getattr(event, name).identity))
            case "activity_task_timed_out_event_attributes" as name:
                shown.append(name)
    return shown


def values(message: Message, field: str) -> object:
    """Returns the payloads of a field, shortened; `None` if it isn't set."""
    if not message.HasField(field):
        return None
    data = [payload.data for payload in getattr(message, field).payloads]
    return [one.decode() if len(one) < 100 else f"{len(one)} bytes" for one in data]


SHOWN: dict[type[Message], Callable[[Any], list[object]]] = {
    api.RecordActivityTaskHeartbeatResponse: signals,
    api.RecordActivityTaskHeartbeatByIdResponse: signals,
    api.PollActivityTaskQueueResponse: task,
    api.RespondActivityTaskFailedResponse: failures,
    api.RespondActivityTaskFailedByIdResponse: failures,
    api.DescribeWorkflowExecutionResponse: workflow,
    api.DescribeActivityExecutionResponse: standalone,
    api.GetWorkflowExecutionHistoryReverseResponse: history,
}
