"""The driver for Python: README.md beside it describes the protocol. Its one argument is where the package is."""

import json
import sys
from datetime import datetime, timedelta
from typing import Any

sys.path.insert(0, sys.argv[1])

import temporal_heartbeat

# ---- requests ----


def connect(options: str) -> list[str]:
    temporal_heartbeat.connect(**json.loads(_bytes(options) or b"{}"))
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
    details = temporal_heartbeat.get_details(_bytes(token), timeout=_seconds(timeout))
    recorded_at = _unix_ms(details.recorded_at) if details.recorded_at else 0
    heartbeat_timeout = -1 if details.heartbeat_timeout is None else _ms(details.heartbeat_timeout)
    return [str(details.attempt), str(recorded_at), str(heartbeat_timeout), *map(_word, details)]


def complete(token: str, timeout: str, *values: str) -> list[str]:
    temporal_heartbeat.complete(_bytes(token), *map(_value, values), timeout=_seconds(timeout))
    return []


def fail(token: str, timeout: str, failure: str) -> list[str]:
    arguments = json.loads(_bytes(failure))
    delay = arguments.pop("next_retry_delay_ms", None)
    temporal_heartbeat.fail(
        _bytes(token),
        arguments.pop("message"),
        **arguments,
        next_retry_delay=None if delay is None else timedelta(milliseconds=delay),
        timeout=_seconds(timeout),
    )
    return []


def report_cancelled(token: str, timeout: str, *values: str) -> list[str]:
    temporal_heartbeat.report_cancelled(_bytes(token), *map(_value, values), timeout=_seconds(timeout))
    return []


def token_from_env() -> list[str]:
    return [_hex(temporal_heartbeat.token_from_env())]


VERBS = {
    verb.__name__: verb
    for verb in (
        *(connect, reconfigure, disconnect),
        *(heartbeat, get_details, complete, fail, report_cancelled, token_from_env),
    )
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
