"""The values as the server stores them, which no codec has decoded."""

from collections.abc import Sequence
from typing import Any

from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.failure.v1 import Failure
from temporalio.api.workflowservice.v1 import (
    DescribeActivityExecutionRequest,
    DescribeWorkflowExecutionRequest,
)

from harness.activities import Kind
from harness.codec_server import ENCODING
from harness.server import NAMESPACE
from harness.worker import SdkWorker


def described(kind: Kind, id: str, run_id: str, sdk_worker: SdkWorker) -> tuple[list[Any], Failure]:
    """Returns the raw heartbeat details and the raw last failure."""
    service = sdk_worker.client.workflow_service
    if kind == "workflow":
        execution = WorkflowExecution(workflow_id=id)
        about = DescribeWorkflowExecutionRequest(namespace=NAMESPACE, execution=execution)
        [pending] = sdk_worker.run(service.describe_workflow_execution(about)).pending_activities
        return list(pending.heartbeat_details.payloads), pending.last_failure
    activity = DescribeActivityExecutionRequest(
        namespace=NAMESPACE, activity_id=id, run_id=run_id, include_heartbeat_details=True, include_last_failure=True
    )
    info = sdk_worker.run(service.describe_activity_execution(activity)).info
    return list(info.heartbeat_details.payloads), info.last_failure


def scheduled_input(workflow_id: str, sdk_worker: SdkWorker) -> Any:
    """Returns the raw input of the activity of the workflow."""
    history = sdk_worker.run(sdk_worker.client.get_workflow_handle(workflow_id).fetch_history())
    [scheduled] = [e for e in history.events if e.HasField("activity_task_scheduled_event_attributes")]
    [payload] = scheduled.activity_task_scheduled_event_attributes.input.payloads
    return payload


def assert_encrypted(payloads: Sequence[Any], key: str) -> None:
    assert [payload.metadata["encoding"].decode() for payload in payloads] == [ENCODING] * len(payloads)
    assert {payload.metadata["encryption-key-id"].decode() for payload in payloads} == {key}
