"""Checks the message that has no published description on tokens of a real server."""

from typing import Any

import pytest
from google.protobuf import descriptor_pool, message_factory
from google.protobuf.descriptor_pb2 import FileDescriptorSet
from google.protobuf.unknown_fields import UnknownFieldSet

from harness.activities import StandaloneActivity, WorkflowActivity
from harness.worker import ACTIVITY_TYPE, ActivityOptions, SdkWorker

PACKAGE = "temporal.server.api.token.v1"


@pytest.fixture(scope="module")
def read(ours: FileDescriptorSet) -> Any:
    """Parses a token by proto/'s description. A field of another type appears as an unknown field of its number."""
    pool = descriptor_pool.DescriptorPool()
    [file] = [file for file in ours.file if file.package == PACKAGE]
    for imported in file.dependency:
        well_known = descriptor_pool.Default().FindFileByName(imported)
        pool.AddSerializedFile(well_known.serialized_pb)
    pool.Add(file)

    def read(name: str, data: bytes) -> Any:
        descriptor = pool.FindMessageTypeByName(f"{PACKAGE}.{name}")
        message = message_factory.GetMessageClass(descriptor).FromString(data)
        unknown: Any = UnknownFieldSet(message)
        strange = {field.field_number for field in unknown}
        assert not strange & set(descriptor.fields_by_number)
        return message

    return read


def test_token_of_a_workflow_activity_has_its_ids(sdk_worker: SdkWorker, read: Any) -> None:
    activity = WorkflowActivity(sdk_worker, ActivityOptions())
    token = read("Task", activity.next_attempt().token)
    assert token.namespace_id == sdk_worker.namespace_id()
    assert token.workflow_id == activity.workflow_id
    assert token.run_id == activity.run_id
    assert token.activity_id == activity.id
    assert token.activity_type == ACTIVITY_TYPE
    assert token.scheduled_event_id == activity.scheduled_event_id()
    assert token.attempt == 1
    assert token.component_ref == b""


def test_token_of_a_later_attempt_has_its_number(sdk_worker: SdkWorker, read: Any) -> None:
    activity = WorkflowActivity(sdk_worker, ActivityOptions())
    sdk_worker.fail(activity.next_attempt().token)
    assert read("Task", activity.next_attempt().token).attempt == 2


def test_token_of_a_standalone_activity_has_its_ids(sdk_worker: SdkWorker, read: Any) -> None:
    activity = StandaloneActivity(sdk_worker, ActivityOptions())
    token = read("Task", activity.next_attempt().token)
    assert token.namespace_id == sdk_worker.namespace_id()
    assert token.workflow_id == ""
    assert token.run_id == ""
    assert token.activity_id == activity.id
    assert token.attempt == 1

    component = read("ComponentRef", token.component_ref)
    assert component.namespace_id == sdk_worker.namespace_id()
    assert component.business_id == activity.id
    assert component.run_id == activity.run_id
