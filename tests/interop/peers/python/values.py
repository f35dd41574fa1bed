"""The values in Python, by the names of docs/values.md, and the shown form of a value that was read."""

import json
import math
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from google.protobuf import json_format
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.protobuf.struct_pb2 import Struct


@dataclass
class Progress:
    name: str
    item: int


def _struct() -> Struct:
    struct = Struct()
    struct.update({"items": [0.5, "two"]})
    return struct


VALUES: dict[str, tuple[Any, ...]] = {
    "integer": (42,),
    "large integer": (9007199254740993,),
    "fraction": (0.1,),
    "whole float": (3.0,),
    "boolean": (True,),
    "text": ("seven of nine",),
    "Unicode": ("é 漢 \N{GRINNING FACE} <&>",),
    "nested": ({"b": [1, "two", None], "a": {"deep": []}},),
    "bytes": (b"\x00\x01\xff",),
    "empty bytes": (b"",),
    "null": (None,),
    "two values": (1, "two"),
    "no values": (),
    "object": (Progress("solve", 41),),
    "Duration": (Duration(seconds=1, nanos=500_000_000),),
    "Struct": (_struct(),),
    "time": (datetime(2025, 6, 1, 12, 0, 0, 500_000, UTC),),
    "UUID": (uuid.UUID(int=7),),
    "bytearray": (bytearray(b"ab"),),
    "not a number": (math.nan,),
}


def show(value: Any) -> str:
    """Returns the type of a value, and the value as JSON or in hexadecimal digits."""
    if value is None:
        return "None"
    if isinstance(value, bytes):
        return f"bytes {value.hex()}".strip()
    if isinstance(value, Message):
        return f"{type(value).__name__} {json.dumps(json_format.MessageToDict(value))}"
    return f"{type(value).__name__} {json.dumps(value)}"
