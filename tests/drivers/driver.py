"""The Python driver. README.md in this folder describes the protocol.

Arguments: the folder of the package, and the `Activity` class for open activities: `threads` or `asyncio`.
"""

import asyncio
import inspect
import json
import sys
from datetime import datetime, timedelta
from typing import Any

sys.path.insert(0, sys.argv[1])

import temporal_heartbeat
from temporal_heartbeat import aio

ACTIVITY: Any = aio.Activity if sys.argv[2] == "asyncio" else temporal_heartbeat.Activity
LOOP = asyncio.new_event_loop()

# The open activities, by the NAMEs of the protocol.
activities: dict[str, Any] = {}

# ---- requests ----


def connect(options: str) -> list[str]:
    temporal_heartbeat.connect(**_arguments(options))
    return []


def reconfigure(options: str) -> list[str]:
    temporal_heartbeat.reconfigure(**json.loads(_bytes(options)))
    return []


def disconnect(timeout: str) -> list[str]:
    temporal_heartbeat.disconnect(timeout=_seconds(timeout))
    return []


def heartbeat(token: str, timeout: str, *values: str) -> list[str]:
    signals = temporal_heartbeat.heartbeat(
        _bytes(token), *map(_value, values), timeout=_seconds(timeout), clear=not values
    )
    return [str(int(signals))]


def get_details(token: str, timeout: str) -> list[str]:
    return _details(temporal_heartbeat.get_details(_bytes(token), timeout=_seconds(timeout)))


def _details(details: temporal_heartbeat.Details) -> list[str]:
    recorded_at = _unix_ms(details.recorded_at) if details.recorded_at else 0
    heartbeat_timeout = -1 if details.heartbeat_timeout is None else _ms(details.heartbeat_timeout)
    return [str(details.attempt), str(recorded_at), str(heartbeat_timeout), *map(_word, details)]


def complete(token: str, timeout: str, *values: str) -> list[str]:
    temporal_heartbeat.complete(_bytes(token), *map(_value, values), timeout=_seconds(timeout))
    return []


def fail(token: str, timeout: str, failure: str) -> list[str]:
    temporal_heartbeat.fail(_bytes(token), **_arguments(failure), timeout=_seconds(timeout))
    return []


def report_cancelled(token: str, timeout: str, *values: str) -> list[str]:
    temporal_heartbeat.report_cancelled(_bytes(token), *map(_value, values), timeout=_seconds(timeout))
    return []


def token_from_env() -> list[str]:
    return [_hex(temporal_heartbeat.token_from_env())]


def token_from_ids(ids: str, timeout: str) -> list[str]:
    return [_hex(temporal_heartbeat.token_from_ids(**json.loads(_bytes(ids)), timeout=_seconds(timeout)))]


# ---- requests for an open activity ----


def activity_open(name: str, token: str, options: str) -> list[str]:
    given = _arguments(options)
    activities[name] = ACTIVITY.from_env(**given) if token == "-" else ACTIVITY(_bytes(token), **given)
    return []


def activity_record(name: str, *values: str) -> list[str]:
    return [str(int(activities[name].heartbeat(*map(_value, values))))]


def activity_touch(name: str) -> list[str]:
    return [str(int(activities[name].touch()))]


def activity_set_status(name: str, text: str) -> list[str]:
    activities[name].set_status(_bytes(text).decode())
    return []


def activity_signals(name: str) -> list[str]:
    return [str(int(activities[name].signals))]


def activity_wait(name: str, mask: str, known: str, timeout: str) -> list[str]:
    return [str(int(_call(name, "wait", int(mask), known=int(known), timeout=_seconds(timeout))))]


def activity_wait_while_paused(name: str, timeout: str) -> list[str]:
    return [str(int(_call(name, "wait_while_paused", timeout=_seconds(timeout))))]


def activity_details(name: str, timeout: str) -> list[str]:
    return _details(_call(name, "details", timeout=_seconds(timeout)))


def activity_info(name: str) -> list[str]:
    return [_hex(json.dumps(activities[name].info).encode())]


def activity_reason(name: str) -> list[str]:
    return [_hex((activities[name].reason or "").encode())]


def activity_flush(name: str, timeout: str) -> list[str]:
    _call(name, "flush", timeout=_seconds(timeout))
    return []


def activity_complete(name: str, timeout: str, *values: str) -> list[str]:
    _call(name, "complete", *map(_value, values), timeout=_seconds(timeout))
    return []


def activity_fail(name: str, timeout: str, failure: str) -> list[str]:
    _call(name, "fail", **_arguments(failure), timeout=_seconds(timeout))
    return []


def activity_report_cancelled(name: str, timeout: str, *values: str) -> list[str]:
    _call(name, "report_cancelled", *map(_value, values), timeout=_seconds(timeout))
    return []


def activity_close(name: str, timeout: str) -> list[str]:
    _call(name, "close", timeout=_seconds(timeout))
    return []


def _call(name: str, method: str, *arguments: Any, **options: Any) -> Any:
    """Calls a method that may block. It is a coroutine in asyncio."""

    async def call() -> Any:
        return await getattr(activities[name], method)(*arguments, **options)

    if ACTIVITY is aio.Activity:
        return LOOP.run_until_complete(call())
    return getattr(activities[name], method)(*arguments, **options)


VERBS = {
    name: verb
    for name, verb in globals().items()
    if inspect.isfunction(verb) and verb.__module__ == __name__ and not name.startswith("_")
}

# ---- words ----


def _bytes(word: str) -> bytes:
    return b"" if word in ("-", ".") else bytes.fromhex(word)


def _hex(data: bytes) -> str:
    return data.hex() or "."


def _value(word: str) -> Any:
    encoding, data = word.split(":")
    match encoding:
        case "json":
            return json.loads(_bytes(data))
        case "binary":
            return _bytes(data)
        case "null":
            return None
    raise ValueError(word)


def _word(value: Any) -> str:
    if value is None:
        return "binary/null:."
    if isinstance(value, bytes):
        return f"binary/plain:{_hex(value)}"
    return f"json/plain:{_hex(json.dumps(value).encode())}"


def _arguments(options: str) -> dict[str, Any]:
    """Returns a call's arguments from JSON. A key that ends in `_ms` holds a duration."""
    arguments: dict[str, Any] = json.loads(_bytes(options) or b"{}")
    return {
        name.removesuffix("_ms"): timedelta(milliseconds=value) if name.endswith("_ms") else value
        for name, value in arguments.items()
    }


def _seconds(timeout: str) -> float | None:
    return None if timeout == "forever" else int(timeout) / 1000


def _ms(duration: timedelta) -> int:
    return duration // timedelta(milliseconds=1)


def _unix_ms(time: datetime) -> int:
    return _ms(time - datetime.fromtimestamp(0, time.tzinfo))


def _error(error: temporal_heartbeat.Error) -> list[str]:
    return [
        f"THB_{temporal_heartbeat.Status(error.code).name}",
        str(-1 if error.grpc_code is None else error.grpc_code),
        str(int(error.retryable)),
        str(_ms(error.retry_after) if error.retry_after else 0),
        _hex(error.message.encode()),
    ]


def main() -> None:
    for line in sys.stdin:
        verb, *words = line.split()
        try:
            answer = ["ok", *VERBS[verb](*words)]
        except temporal_heartbeat.Error as error:
            answer = ["error", *_error(error)]
        print(*answer, flush=True)


main()
