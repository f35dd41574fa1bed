"""A child that uses temporal-heartbeat for Python. ../README.md describes it."""

import json
import sys
from collections.abc import Callable
from typing import Any

import temporal_heartbeat as thb

from interop.peers.python.cipher import Cipher
from interop.peers.python.values import VALUES, show

AS_IT_IS = "as it is"


# The codec of each call.
per_call: dict[str, Any] = {}


def connect(address: str, namespace: str, codec: str = "") -> None:
    if codec == "of each call":
        per_call["data_converter"] = Cipher()
    of_connection = Cipher() if codec == "of the connection" else None
    thb.connect(address=address, namespace=namespace, data_converter=of_connection, require_encoded=bool(codec))


def heartbeat(token: str, value: str) -> None:
    values = native(token, value)
    thb.heartbeat(bytes.fromhex(token), *values, clear=not values, **per_call)


def get_details(token: str, value: str) -> list[str]:
    details = thb.get_details(bytes.fromhex(token), **per_call)
    if value == AS_IT_IS:
        return [f"{payload.encoding} {payload.data.hex()}" for payload in details.payloads]
    return [show(held) for held in details]


def complete(token: str, value: str) -> None:
    thb.complete(bytes.fromhex(token), native(token, value)[0], **per_call)


def fail(token: str, value: str) -> None:
    thb.fail(bytes.fromhex(token), "for good", details=native(token, value), non_retryable=True, **per_call)


def retry(token: str) -> None:
    thb.fail(bytes.fromhex(token), "once more")


def native(token: str, value: str) -> tuple[Any, ...]:
    return thb.get_details(bytes.fromhex(token), **per_call).payloads if value == AS_IT_IS else VALUES[value]


VERBS: dict[str, Callable[..., list[str] | None]] = {
    verb.__name__: verb for verb in (connect, heartbeat, get_details, complete, fail, retry)
}


def main() -> None:
    for line in sys.stdin:
        verb, *arguments = json.loads(line)
        try:
            print(json.dumps({"seen": VERBS[verb](*arguments)}), flush=True)
        except thb.Error as error:
            print(json.dumps({"error": str(error)}), flush=True)


if __name__ == "__main__":
    main()
