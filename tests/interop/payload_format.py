"""Payloads in the format of docs/values.md: the encoding and the data, in one line."""

import json
from typing import Any

from temporalio.api.common.v1 import Payload

BINARY = "binary/"
PROTOBUF = "json/protobuf"


def format_payload(payload: Payload) -> str:
    encoding = payload.metadata["encoding"].decode()
    if encoding.startswith(BINARY):
        return f"{encoding} {payload.data.hex()}".strip()
    data = payload.data.decode()
    if encoding == PROTOBUF:  # its white space isn't fixed
        return f"{encoding} {payload.metadata['messageType'].decode()} {compact(data)}"
    return f"{encoding} {data}"


def parse_payload(text: str) -> Payload:
    encoding, _, data = text.partition(" ")
    metadata = {"encoding": encoding.encode()}
    if encoding.startswith(BINARY):
        return Payload(metadata=metadata, data=bytes.fromhex(data))
    if encoding == PROTOBUF:
        message_type, _, data = data.partition(" ")
        metadata["messageType"] = message_type.encode()
    return Payload(metadata=metadata, data=data.encode())


def normalized(shown: str) -> str:
    """Returns a shown value with its JSON in a canonical form."""
    kind, _, value = shown.partition(" ")
    return f"{kind} {compact(value)}".strip()


def compact(text: str) -> str:
    try:
        value: Any = json.loads(text)
    except ValueError:  # it has hexadecimal digits
        return text
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), sort_keys=True)
