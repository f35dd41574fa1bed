"""Compares the project's .proto files with the official descriptors."""

import importlib
from collections.abc import Callable, Iterable, Iterator
from importlib import resources
from pathlib import Path
from typing import Any, TypeVar

from google.protobuf import descriptor_pool
from google.protobuf.descriptor_pb2 import (
    DescriptorProto,
    EnumDescriptorProto,
    FieldDescriptorProto,
    FileDescriptorProto,
    FileDescriptorSet,
    ServiceDescriptorProto,
)
from grpc_tools import protoc

from harness.paths import PROTO

P = TypeVar("P", DescriptorProto, EnumDescriptorProto, ServiceDescriptorProto)


def compile_ours(out: Path) -> FileDescriptorSet:
    """Returns all files of proto/, compiled by the official compiler."""
    files = sorted(str(path.relative_to(PROTO)) for path in PROTO.rglob("*.proto"))
    well_known = resources.files("grpc_tools") / "_proto"
    arguments = ["protoc", f"-I{PROTO}", f"-I{well_known}", f"--descriptor_set_out={out}", *files]
    assert protoc.main(arguments) == 0, "protoc refuses the files (see its stderr)"
    return FileDescriptorSet.FromString(out.read_bytes())


class Official:
    """The descriptors of the published packages, by full name."""

    def __init__(self, files: Iterable[str]) -> None:
        # Importing a generated module adds its file to the default pool.
        for file in files:
            importlib.import_module(_published_module(file))
        self._pool = descriptor_pool.Default()

    def message(self, name: str) -> DescriptorProto | None:
        return self._find(self._pool.FindMessageTypeByName, name, DescriptorProto())

    def enum(self, name: str) -> EnumDescriptorProto | None:
        return self._find(self._pool.FindEnumTypeByName, name, EnumDescriptorProto())

    def service(self, name: str) -> ServiceDescriptorProto | None:
        return self._find(self._pool.FindServiceByName, name, ServiceDescriptorProto())

    @staticmethod
    def _find(find: Callable[[str], Any], name: str, proto: P) -> P | None:
        try:
            find(name).CopyToProto(proto)
        except KeyError:
            return None
        return proto


def _published_module(file: str) -> str:
    module = file.removesuffix(".proto").replace("/", ".") + "_pb2"
    return module.replace("temporal.api.", "temporalio.api.", 1)


def differences(ours: Iterable[FileDescriptorProto], official: Official) -> Iterator[str]:
    """Yields each difference between a declaration of our files and the official one."""
    for file in ours:
        for message in file.message_type:
            yield from _message(f"{file.package}.{message.name}", message, official)
        for enum in file.enum_type:
            yield from _enum(f"{file.package}.{enum.name}", enum, official)
        for service in file.service:
            yield from _service(f"{file.package}.{service.name}", service, official)


def _message(name: str, ours: DescriptorProto, official: Official) -> Iterator[str]:
    theirs = official.message(name)
    if theirs is None:
        yield f"{name}: no such message"
        return
    for field in ours.field:
        match = next((f for f in theirs.field if f.name == field.name), None)
        if match is None:
            yield f"{name}.{field.name}: no such field"
        elif _meaning(field, ours) != _meaning(match, theirs):
            yield f"{name}.{field.name}: is {_meaning(match, theirs)}, not {_meaning(field, ours)}"
    if ours.options.map_entry != theirs.options.map_entry:
        yield f"{name}: a map's entry in one of the two only"
    for nested in ours.nested_type:
        yield from _message(f"{name}.{nested.name}", nested, official)
    for enum in ours.enum_type:
        yield from _enum(f"{name}.{enum.name}", enum, official)


def _meaning(field: FieldDescriptorProto, message: DescriptorProto) -> dict[str, object]:
    """Returns the properties of a field that matter for the encoding and for generated code."""
    return {
        "number": field.number,
        "type": FieldDescriptorProto.Type.Name(field.type),
        "of": field.type_name,
        "label": FieldDescriptorProto.Label.Name(field.label),
        "optional": field.proto3_optional,
        "oneof": message.oneof_decl[field.oneof_index].name if field.HasField("oneof_index") else "",
    }


def _enum(name: str, ours: EnumDescriptorProto, official: Official) -> Iterator[str]:
    theirs = official.enum(name)
    if theirs is None:
        yield f"{name}: no such enum"
        return
    numbers = {value.name: value.number for value in theirs.value}
    for value in ours.value:
        if numbers.get(value.name) != value.number:
            yield f"{name}.{value.name}: is {numbers.get(value.name)}, not {value.number}"


def _service(name: str, ours: ServiceDescriptorProto, official: Official) -> Iterator[str]:
    theirs = official.service(name)
    if theirs is None:
        yield f"{name}: no such service"
        return
    for method in ours.method:
        match = next((m for m in theirs.method if m.name == method.name), None)
        if match is None:
            yield f"{name}.{method.name}: no such method"
            continue
        for part in ("input_type", "output_type", "client_streaming", "server_streaming"):
            if getattr(match, part) != getattr(method, part):
                yield f"{name}.{method.name}: {part} is {getattr(match, part)}, not {getattr(method, part)}"
