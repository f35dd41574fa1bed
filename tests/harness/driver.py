"""A driver process: temporal-heartbeat through one language, spoken to by lines (drivers/README.md)."""

import contextlib
import json
import subprocess
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from harness.signals import Signals

# No answer takes longer, whatever the server does; a driver that is silent for so long is killed.
SILENCE_LIMIT = 60.0

DEFAULT_TIMEOUT_MS = 10_000

# How a driver exits that found a rule of the ABI broken, after it said which.
BROKEN = 3


@dataclass(frozen=True)
class Raw:
    """A word of the protocol as it is, for what has no sensible value: NULL with a length, say."""

    word: str


# Where bytes go: bytes, or a raw word.
Bytes = bytes | Raw
# What goes as details or result: a Python value that JSON takes, bytes, None; or a raw word.
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


class Driver:
    """One process. Its calls raise `Refused`. In two halves, `start_*` and `finish`, they leave time in between."""

    def __init__(self, command: Sequence[str], environment: Mapping[str, str], inherit: Sequence[int] = ()) -> None:
        self._process = subprocess.Popen(
            command,
            env=dict(environment),
            pass_fds=inherit,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            encoding="ascii",
        )

    @property
    def pid(self) -> int:
        return self._process.pid

    def connect(self, options: Mapping[str, Any] | Bytes) -> None:
        self.start_connect(options)
        self.finish()

    def reconfigure(self, options: Mapping[str, Any]) -> None:
        self.call("reconfigure", json_word(options))

    def disconnect(self, timeout: Timeout = DEFAULT_TIMEOUT_MS) -> None:
        self.call("disconnect", str(timeout))

    def heartbeat(self, token: Bytes, *details: Value, timeout: Timeout = DEFAULT_TIMEOUT_MS) -> Signals:
        """No details erase what the server holds."""
        [signals] = self.call("heartbeat", _bytes(token), str(timeout), *map(value_word, details))
        return Signals(int(signals))

    def get_details(self, token: Bytes, timeout: Timeout = DEFAULT_TIMEOUT_MS) -> Details:
        return Details.read(self.call("get_details", _bytes(token), str(timeout)))

    def get_payloads(self, token: Bytes, timeout: Timeout = DEFAULT_TIMEOUT_MS) -> bytes:
        """The details as serialized Payloads. C only."""
        return unhex(self.call("get_payloads", _bytes(token), str(timeout))[0])

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
        """Sends a request and waits for nothing."""
        assert self._process.stdin
        self._process.stdin.write(" ".join(words) + "\n")
        self._process.stdin.flush()

    def finish(self) -> list[str]:
        """The answer to the request that was started."""
        line = self._read_line()
        if not line.endswith("\n"):
            raise AssertionError(f"the driver died or was silent for {SILENCE_LIMIT:.0f} s: {line!r}")
        kind, *words = line.removesuffix("\n").split(" ")
        if kind == "ok":
            return words
        if kind == "broken":
            raise AssertionError(unhex(words[0]).decode())
        assert kind == "error", line
        status, grpc_code, retryable, retry_after_ms, message = words
        raise Refused(status, int(grpc_code), retryable == "1", int(retry_after_ms), unhex(message).decode())

    def kill(self) -> None:
        """Ends the process as the kernel does when memory runs out: at once, and with no last word."""
        self._process.kill()
        self._process.wait()

    def close(self) -> int:
        """Ends the process by the end of its input, and returns its exit status."""
        assert self._process.stdin
        assert self._process.stdout
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.close()
        try:
            status = self._process.wait(SILENCE_LIMIT)
        except subprocess.TimeoutExpired:
            self.kill()
            raise
        self._process.stdout.close()
        return status

    def _read_line(self) -> str:
        assert self._process.stdout
        watchdog = threading.Timer(SILENCE_LIMIT, self._process.kill)
        watchdog.start()
        try:
            return self._process.stdout.readline()
        finally:
            watchdog.cancel()


class refused(contextlib.AbstractContextManager["refused"]):
    """The call inside must be refused with this status, by a message that names each cause (in any letters)."""

    message: str

    def __init__(self, status: str, *causes: str) -> None:
        self._status = status
        self._causes = causes

    def __exit__(self, _: object, error: BaseException | None, __: object) -> bool:
        assert error, f"the call succeeded, where {self._status} was expected"
        if not isinstance(error, Refused):
            return False
        assert error.status == self._status, f"expected {self._status}, got {error}"
        self.message = error.message
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
