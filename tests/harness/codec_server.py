"""A codec server in Go with a client and a worker of the official SDK: interop/peers/go/codecserver."""

import functools
import json
import queue
import shutil
import threading
import uuid
from collections import defaultdict
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.activities import Kind
from harness.build import run
from harness.languages import library_environment
from harness.paths import BUILD, TESTS
from harness.process import SILENCE_LIMIT_S, Process
from harness.requires import requires
from harness.server import NAMESPACE
from harness.worker import Attempt

# The encoding of everything that the codec has encrypted.
ENCODING = "binary/encrypted"


@dataclass(frozen=True)
class Request:
    """A request to the codec server. The names of the headers are in Go's canonical form, for example `X-Namespace`."""

    path: str
    headers: dict[str, list[str]]


@dataclass(frozen=True)
class EncryptedAttempt(Attempt):
    """One attempt, as the worker decrypts it. `details` has the first value of the previous attempt's details."""

    run_id: str = ""
    input: Any = None


@dataclass(frozen=True)
class Outcome:
    """How the activity ended, as the SDK decrypts it. A failure has message, type, stack_trace, details and cause."""

    result: Any
    failure: dict[str, Any] | None


class CodecServer(AbstractContextManager["CodecServer"]):
    """The running program. Its codec encrypts with a key of the workflow, or of the namespace without a workflow.

    Without `encrypts`, its client and its worker have no codec.
    """

    # The value for the option `codec_endpoint`.
    endpoint: str
    task_queue: str

    def __init__(self, address: str, *, encrypts: bool = True) -> None:
        self._arguments = [] if encrypts else ["readable"]
        self._address = address
        self.task_queue = f"encrypted-{uuid.uuid4()}"
        self._lock = threading.Lock()
        self._requests: list[Request] = []
        self._events: dict[str, queue.SimpleQueue[EncryptedAttempt | Outcome]] = defaultdict(queue.SimpleQueue)

    def __enter__(self) -> "CodecServer":
        command = [str(_program()), self._address, NAMESPACE, self.task_queue, *self._arguments]
        self._process = Process(command, library_environment())
        try:
            self.endpoint = json.loads(self._process.read_line())["endpoint"]
        except BaseException:
            self._process.kill()
            raise
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._process.close_stdin()
        self._reader.join()
        assert self._process.close() == 0

    @property
    def requests(self) -> list[Request]:
        """The requests so far to encode and decode."""
        with self._lock:
            return list(self._requests)

    def start(
        self,
        kind: Kind,
        input: object = None,
        *,
        heartbeat_timeout_ms: int = 60_000,
        maximum_attempts: int = 0,
        task_queue: str = "",
    ) -> "EncryptedActivity":
        """Starts an activity of the type `encrypted`, on the task queue of the worker or on another one."""
        activity_id = f"encrypted-{uuid.uuid4()}"
        request = {
            "kind": kind,
            "id": activity_id,
            "input": input,
            "heartbeat_timeout_ms": heartbeat_timeout_ms,
            "maximum_attempts": maximum_attempts,
            "task_queue": task_queue,
        }
        activity = EncryptedActivity(activity_id, self._events[activity_id])
        self._process.write_line(json.dumps(request))
        return activity

    def _read(self) -> None:
        for line in self._process.read_lines():
            report = json.loads(line)
            if "request" in report:
                with self._lock:
                    self._requests.append(Request(report["request"], report["headers"]))
            elif "ended" in report:
                self._events[report["ended"]].put(Outcome(report["result"], report["failure"]))
            else:
                details = [] if report["details"] is None else [report["details"]]
                token = bytes.fromhex(report["token"])
                attempt = EncryptedAttempt(token, report["number"], details, report["run_id"], report["input"])
                self._events[report["attempt"]].put(attempt)


class EncryptedActivity:
    """A started activity. Its id is also that of its workflow. A standalone activity has no workflow."""

    def __init__(self, id: str, events: queue.SimpleQueue[EncryptedAttempt | Outcome]) -> None:
        self.id = id
        self._events = events

    def next_attempt(self) -> EncryptedAttempt:
        """Waits until the server starts another attempt, and the worker gets it."""
        event = self._next()
        assert isinstance(event, EncryptedAttempt), event
        return event

    def outcome(self) -> Outcome:
        """Waits for the end."""
        event = self._next()
        assert isinstance(event, Outcome), event
        return event

    def _next(self) -> EncryptedAttempt | Outcome:
        try:
            return self._events.get(timeout=SILENCE_LIMIT_S)
        except queue.Empty:
            raise AssertionError(f"no event of {self.id} within {SILENCE_LIMIT_S:.0f} s") from None


@functools.cache
def _program() -> Path:
    go = requires(shutil.which("go"), "go")
    program = BUILD / "codecserver_go"
    run([go, "-C", str(TESTS / "interop" / "peers" / "go"), "build", "-o", str(program), "./codecserver"])
    return program
