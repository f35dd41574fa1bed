"""A driver process: temporal-heartbeat through one language, by the line protocol of drivers/README.md."""

import contextlib
import json
import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from harness.process import Process
from harness.signals import Signals

DEFAULT_TIMEOUT_MS = 10_000
ANY_SIGNAL = ~Signals.NONE

# The exit status of a driver that found a broken rule of the ABI. It prints the rule first.
BROKEN = 3


@dataclass(frozen=True)
class Raw:
    """A raw word of the protocol, for arguments without a sensible value, such as NULL with a length."""

    word: str


# Passed instead of a token: the driver reads the token from the environment.
FROM_ENV = Raw("-")

# Bytes, or a raw word.
Bytes = bytes | Raw
# Details or a result: a Python value that JSON can represent, bytes, None, or a raw word.
Value = Any
Timeout = int | str


class Refused(Exception):
    """The call returned something other than THB_OK."""

    def __init__(self, status: str, grpc_code: int, retryable: bool, retry_after_ms: int, message: str) -> None:
        super().__init__(f"{status}: {message}")
        self.status = status
        self.grpc_code = grpc_code
        self.retryable = retryable
        self.retry_after_ms = retry_after_ms
        self.message = message


@dataclass(frozen=True)
class Details:
    attempt: int
    recorded_at_unix_ms: int
    heartbeat_timeout_ms: int
    payloads: list[tuple[str, bytes]] = field(default_factory=list)

    @classmethod
    def read(cls, words: Sequence[str]) -> "Details":
        attempt, recorded_at, heartbeat_timeout, *values = words
        payloads = [(encoding, unhex(data)) for encoding, data in (value.split(":") for value in values)]
        return cls(int(attempt), int(recorded_at), int(heartbeat_timeout), payloads)

    @property
    def values(self) -> list[Any]:
        return [_decode(encoding, data) for encoding, data in self.payloads]


class Driver(Process):
    """A driver process. Calls raise `Refused`. `start_*` sends a request, and `finish` waits for its answer."""

    def connect(self, options: Mapping[str, Any] | Bytes) -> None:
        self.start_connect(options)
        self.finish()

    def reconfigure(self, options: Mapping[str, Any]) -> None:
        self.call("reconfigure", json_word(options))

    def disconnect(self, timeout: Timeout = DEFAULT_TIMEOUT_MS) -> None:
        self.call("disconnect", str(timeout))

    def heartbeat(self, token: Bytes, *details: Value, timeout: Timeout = DEFAULT_TIMEOUT_MS) -> Signals:
        """Sends a heartbeat. Without details it erases the server's details."""
        [signals] = self.call("heartbeat", _bytes(token), str(timeout), *map(value_word, details))
        return Signals(int(signals))

    def get_details(self, token: Bytes, timeout: Timeout = DEFAULT_TIMEOUT_MS) -> Details:
        return Details.read(self.call("get_details", _bytes(token), str(timeout)))

    def get_payloads(self, token: Bytes, timeout: Timeout = DEFAULT_TIMEOUT_MS) -> bytes:
        """Returns the details as serialized Payloads. Only the C driver supports it."""
        return unhex(self.call("get_payloads", _bytes(token), str(timeout))[0])

    def token_from_ids(self, timeout: Timeout = DEFAULT_TIMEOUT_MS, **ids: Any) -> bytes:
        return unhex(self.call("token_from_ids", json_word(ids), str(timeout))[0])

    def complete(self, token: Bytes, *result: Value, timeout: Timeout = DEFAULT_TIMEOUT_MS) -> None:
        self.start_complete(token, *result, timeout=timeout)
        self.finish()

    def fail(self, token: Bytes, failure: Mapping[str, Any] | Bytes, timeout: Timeout = DEFAULT_TIMEOUT_MS) -> None:
        self.start_fail(token, failure, timeout=timeout)
        self.finish()

    def report_cancelled(self, token: Bytes, *details: Value, timeout: Timeout = DEFAULT_TIMEOUT_MS) -> None:
        self.start_report_cancelled(token, *details, timeout=timeout)
        self.finish()

    def token_from_env(self) -> bytes:
        return unhex(self.call("token_from_env")[0])

    def start_connect(self, options: Mapping[str, Any] | Bytes) -> None:
        self.start("connect", json_word(options))

    def start_heartbeat(self, token: Bytes, *details: Value, timeout: Timeout = DEFAULT_TIMEOUT_MS) -> None:
        self.start("heartbeat", _bytes(token), str(timeout), *map(value_word, details))

    def start_complete(self, token: Bytes, *result: Value, timeout: Timeout = DEFAULT_TIMEOUT_MS) -> None:
        self.start("complete", _bytes(token), str(timeout), *map(value_word, result))

    def start_fail(
        self, token: Bytes, failure: Mapping[str, Any] | Bytes, timeout: Timeout = DEFAULT_TIMEOUT_MS
    ) -> None:
        self.start("fail", _bytes(token), str(timeout), json_word(failure))

    def start_report_cancelled(self, token: Bytes, *details: Value, timeout: Timeout = DEFAULT_TIMEOUT_MS) -> None:
        self.start("report_cancelled", _bytes(token), str(timeout), *map(value_word, details))

    def call(self, *words: str) -> list[str]:
        self.start(*words)
        return self.finish()

    def start(self, *words: str) -> None:
        """Sends a request without waiting for the answer."""
        self.write_line(" ".join(words))

    def finish(self) -> list[str]:
        """Returns the answer to the request that was started."""
        line = self.read_line()
        kind, *words = line.removesuffix("\n").split(" ")
        if kind == "ok":
            return words
        if kind == "broken":
            raise AssertionError(unhex(words[0]).decode())
        assert kind == "error", line
        status, grpc_code, retryable, retry_after_ms, message = words
        raise Refused(status, int(grpc_code), retryable == "1", int(retry_after_ms), unhex(message).decode())

    def open(self, token: Bytes, **options: Any) -> "OpenActivity":
        """Opens an activity with the options of thb_activity_open. The token may be FROM_ENV."""
        return self.open_as("first", token, **options)

    def open_as(self, name: str, token: Bytes, **options: Any) -> "OpenActivity":
        """Opens another activity, under a name that this driver hasn't used yet."""
        self.call("activity_open", name, _bytes(token), json_word(options))
        return OpenActivity(self, name)


class OpenActivity:
    """An activity that a driver holds open. Calls raise `Refused`."""

    def __init__(self, driver: Driver, name: str) -> None:
        self._driver = driver
        self._name = name

    def record(self, *details: Value) -> Signals:
        self.start_record(*details)
        return self.finish_record()

    def start_record(self, *details: Value) -> None:
        self._start("record", *map(value_word, details))

    def finish_record(self) -> Signals:
        return Signals(int(self._driver.finish()[0]))

    def touch(self) -> Signals:
        return self._signals("touch")

    def set_status(self, text: str) -> None:
        self.call("set_status", _bytes(text.encode()))

    def signals(self) -> Signals:
        return self._signals("signals")

    def wait(
        self, mask: Signals = ANY_SIGNAL, known: Signals = Signals.NONE, timeout: Timeout = DEFAULT_TIMEOUT_MS
    ) -> Signals:
        return self._signals("wait", str(int(mask)), str(int(known)), str(timeout))

    def wait_while_paused(self, timeout: Timeout = DEFAULT_TIMEOUT_MS) -> Signals:
        self.start_wait_while_paused(timeout)
        return self.finish_record()

    def start_wait_while_paused(self, timeout: Timeout = DEFAULT_TIMEOUT_MS) -> None:
        self._driver.start("activity_wait_while_paused", self._name, str(timeout))

    def details(self, timeout: Timeout = DEFAULT_TIMEOUT_MS) -> Details:
        return Details.read(self.call("details", str(timeout)))

    def info(self) -> dict[str, Any]:
        info: dict[str, Any] = json.loads(unhex(self.call("info")[0]))
        return info

    def reason(self) -> str:
        """Returns the reason of the cancellation or the pause; empty if it is unknown."""
        return unhex(self.call("reason")[0]).decode()

    def flush(self, timeout: Timeout = DEFAULT_TIMEOUT_MS) -> None:
        self.call("flush", str(timeout))

    def complete(self, *result: Value, timeout: Timeout = DEFAULT_TIMEOUT_MS) -> None:
        self.start_complete(*result, timeout=timeout)
        self._driver.finish()

    def fail(self, timeout: Timeout = DEFAULT_TIMEOUT_MS, **failure: Any) -> None:
        self.start_fail(timeout, **failure)
        self._driver.finish()

    def report_cancelled(self, *details: Value, timeout: Timeout = DEFAULT_TIMEOUT_MS) -> None:
        self.start_report_cancelled(*details, timeout=timeout)
        self._driver.finish()

    def start_complete(self, *result: Value, timeout: Timeout) -> None:
        self._start("complete", str(timeout), *map(value_word, result))

    def start_fail(self, timeout: Timeout, **failure: Any) -> None:
        self._start("fail", str(timeout), json_word(failure))

    def start_report_cancelled(self, *details: Value, timeout: Timeout) -> None:
        self._start("report_cancelled", str(timeout), *map(value_word, details))

    def close(self, timeout: Timeout = DEFAULT_TIMEOUT_MS) -> None:
        self.call("close", str(timeout))

    def call(self, verb: str, *words: str) -> list[str]:
        self._start(verb, *words)
        return self._driver.finish()

    def _signals(self, verb: str, *words: str) -> Signals:
        return Signals(int(self.call(verb, *words)[0]))

    def _start(self, verb: str, *words: str) -> None:
        self._driver.start(f"activity_{verb}", self._name, *words)


class refused(contextlib.AbstractContextManager["refused"]):
    """Expects that the call inside fails with this status, within this time, with a message that names each cause."""

    message: str

    def __init__(self, status: str, *causes: str, within_s: float = math.inf) -> None:
        self._status = status
        self._causes = causes
        self._deadline = time.monotonic() + within_s

    def __exit__(self, _: object, error: BaseException | None, __: object) -> bool:
        assert error, f"the call succeeded, where {self._status} was expected"
        if not isinstance(error, Refused):
            return False
        assert error.status == self._status, f"expected {self._status}, got {error}"
        self.message = error.message
        assert time.monotonic() < self._deadline, "the call waited, although the server had already refused it"
        unsaid = [cause for cause in self._causes if cause.lower() not in error.message.lower()]
        assert not unsaid, f"{unsaid} not in the message {error.message!r}"
        return True


def _bytes(value: Bytes) -> str:
    return value.word if isinstance(value, Raw) else value.hex() or "."


def json_word(value: Mapping[str, Any] | Bytes) -> str:
    return _bytes(value if isinstance(value, bytes | Raw) else json.dumps(value).encode())


def unhex(word: str) -> bytes:
    return b"" if word == "." else bytes.fromhex(word)


def value_word(value: Value) -> str:
    match value:
        case Raw(word):
            return word
        case None:
            return "null:-"
        case bytes():
            return f"binary:{_bytes(value)}"
        case _:
            return f"json:{_bytes(json.dumps(value).encode())}"


def _decode(encoding: str, data: bytes) -> Any:
    match encoding:
        case "json/plain":
            return json.loads(data)
        case "binary/plain":
            return data
        case "binary/null":
            return None
        case _:
            raise AssertionError(f"a payload of encoding {encoding!r}: {data!r}")
