"""The files in proto/ agree with the official API, and the comparison detects differences."""

from collections.abc import Callable

import pytest
from google.protobuf.descriptor_pb2 import (
    DescriptorProto,
    FieldDescriptorProto,
    FileDescriptorProto,
    FileDescriptorSet,
)

from harness.descriptors import Official, differences

# The one file that isn't public: the content of a task token is internal to the server. test_task_token.py checks it.
SERVER_INTERNAL = "temporal/server/api/token/v1/message.proto"

HEARTBEAT = "temporal.api.workflowservice.v1.RecordActivityTaskHeartbeatRequest"


@pytest.fixture(scope="module")
def public(ours: FileDescriptorSet) -> list[FileDescriptorProto]:
    files = {file.name: file for file in ours.file}
    assert files.pop(SERVER_INTERNAL)
    return list(files.values())


@pytest.fixture(scope="module")
def official(public: list[FileDescriptorProto]) -> Official:
    return Official(file.name for file in public)


def test_proto_files_agree_with_the_official_ones(public: list[FileDescriptorProto], official: Official) -> None:
    assert list(differences(public, official)) == []


def test_comparison_is_not_empty(public: list[FileDescriptorProto]) -> None:
    methods = {method.name for file in public for service in file.service for method in service.method}
    assert {
        "RecordActivityTaskHeartbeat",
        "RespondActivityTaskCompleted",
        "RespondActivityTaskFailed",
        "RespondActivityTaskCanceled",
        "DescribeWorkflowExecution",
        "DescribeActivityExecution",
    } <= methods
    assert sum(len(message.field) for file in public for message in file.message_type) > 50


# ---- planted faults ----


def wrong_number(files: list[FileDescriptorProto]) -> None:
    field_of(files, "task_token").number = 7


def swapped_numbers(files: list[FileDescriptorProto]) -> None:
    one, other = field_of(files, "identity"), field_of(files, "namespace")
    one.number, other.number = other.number, one.number


def wrong_name(files: list[FileDescriptorProto]) -> None:
    field_of(files, "task_token").name = "token"


def wrong_scalar(files: list[FileDescriptorProto]) -> None:
    field_of(files, "task_token").type = FieldDescriptorProto.TYPE_STRING


def wrong_message(files: list[FileDescriptorProto]) -> None:
    field_of(files, "details").type_name = ".temporal.api.common.v1.Payload"


def wrong_label(files: list[FileDescriptorProto]) -> None:
    field_of(files, "details").label = FieldDescriptorProto.LABEL_REPEATED


def outside_of_its_oneof(files: list[FileDescriptorProto]) -> None:
    message = next(m for f in files for m in f.message_type if any(x.HasField("oneof_index") for x in m.field))
    next(field for field in message.field if field.HasField("oneof_index")).ClearField("oneof_index")


def wrong_map(files: list[FileDescriptorProto]) -> None:
    payload = message_of(files, "temporal.api.common.v1.Payload")
    payload.nested_type[0].field[1].type = FieldDescriptorProto.TYPE_STRING


def unknown_message(files: list[FileDescriptorProto]) -> None:
    message_of(files, HEARTBEAT).name = "RecordHeartbeatRequest"


def wrong_enum_value(files: list[FileDescriptorProto]) -> None:
    from temporalio.api.enums.v1 import workflow_pb2

    file = FileDescriptorProto()
    workflow_pb2.DESCRIPTOR.CopyToProto(file)
    file.enum_type[0].value[1].number = 77
    files.append(file)


def unknown_enum(files: list[FileDescriptorProto]) -> None:
    files[0].enum_type.add(name="Mood")


def wrong_method(files: list[FileDescriptorProto]) -> None:
    service_of(files).method[0].name = "RecordHeartbeat"


def wrong_answer(files: list[FileDescriptorProto]) -> None:
    service_of(files).method[0].output_type = ".temporal.api.common.v1.Payload"


def streaming_answer(files: list[FileDescriptorProto]) -> None:
    service_of(files).method[0].server_streaming = True


@pytest.mark.parametrize(
    "plant",
    [
        wrong_number,
        swapped_numbers,
        wrong_name,
        wrong_scalar,
        wrong_message,
        wrong_label,
        outside_of_its_oneof,
        wrong_map,
        unknown_message,
        wrong_enum_value,
        unknown_enum,
        wrong_method,
        wrong_answer,
        streaming_answer,
    ],
)
def test_planted_fault_is_found(
    plant: Callable[[list[FileDescriptorProto]], None], public: list[FileDescriptorProto], official: Official
) -> None:
    doctored = [FileDescriptorProto.FromString(file.SerializeToString()) for file in public]
    plant(doctored)
    assert list(differences(doctored, official))


def message_of(files: list[FileDescriptorProto], name: str) -> DescriptorProto:
    return next(m for file in files for m in file.message_type if f"{file.package}.{m.name}" == name)


def field_of(files: list[FileDescriptorProto], name: str) -> FieldDescriptorProto:
    return next(field for field in message_of(files, HEARTBEAT).field if field.name == name)


def service_of(files: list[FileDescriptorProto]):  # type: ignore[no-untyped-def]
    return next(service for file in files for service in file.service)
