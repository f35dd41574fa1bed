"""The worker of an example, and the activities that it runs."""

import os
import subprocess
import sys
import uuid
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any

from temporalio.client import ActivityFailureError, ActivityHandle

from harness.languages import library_environment
from harness.paths import ROOT, VENV_BIN
from harness.server import Server, find_program
from harness.worker import ActivityOptions, SdkWorker

EXAMPLES = ROOT / "examples" / "integrations"

# An attempt that dies with its machine is noticed after this time.
HEARTBEAT_TIMEOUT_MS = 5_000
RESULT_LIMIT_S = 240.0


def environment(server: Server) -> dict[str, str]:
    """Returns the environment of a user who has installed the package and the program `temporal`."""
    path = f"{VENV_BIN}:{find_program().parent}:{os.environ['PATH']}"
    bindings = str(ROOT / "bindings" / "python")
    return library_environment() | {"PATH": path, "PYTHONPATH": bindings, "TEMPORAL_ADDRESS": server.address}


class ExampleWorker(AbstractContextManager["ExampleWorker"]):
    """Runs the worker of an example, as its page does."""

    def __init__(self, server: Server, script: str, arguments: Sequence[str], variables: Mapping[str, str]) -> None:
        command = [sys.executable, str(EXAMPLES / script), *arguments]
        self._process = subprocess.Popen(command, env=environment(server) | dict(variables), start_new_session=True)

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()

    @property
    def pid(self) -> int:
        return self._process.pid


class EngineActivity:
    """A standalone activity of an example's worker."""

    def __init__(self, sdk_worker: SdkWorker, activity_type: str, queue: str, arguments: Sequence[Any]) -> None:
        self._sdk_worker = sdk_worker
        options = ActivityOptions(heartbeat_timeout_ms=HEARTBEAT_TIMEOUT_MS, start_to_close_ms=600_000)
        self._handle: ActivityHandle[Any] = sdk_worker.run(
            sdk_worker.client.start_activity(
                activity_type,
                args=arguments,
                id=f"{activity_type}-{uuid.uuid4()}",
                task_queue=queue,
                **options.as_arguments(),
            )
        )

    def details(self) -> list[Any]:
        """Returns what the server has recorded."""
        description = self._sdk_worker.run(self._handle.describe(include_heartbeat_details=True))
        details = self._sdk_worker.run(description.heartbeat_details())
        return list(details or [])

    def attempt(self) -> int:
        return self._sdk_worker.run(self._handle.describe()).attempt

    def last_failure(self) -> str:
        """Returns the message and the stack trace of the last attempt that failed."""
        description = self._sdk_worker.run(self._handle.describe(include_last_failure=True))
        failure = description.raw_info.last_failure
        return f"{failure.message}\n{failure.stack_trace}"

    def cancel(self) -> None:
        self._sdk_worker.run(self._handle.cancel())

    def pause(self) -> None:
        self._sdk_worker.run(self._handle.pause())

    def unpause(self) -> None:
        self._sdk_worker.run(self._handle.unpause())

    def result(self) -> Any:
        return self._sdk_worker.run(self._handle.result(), RESULT_LIMIT_S)

    def failure(self) -> BaseException | None:
        """Waits for the end, and returns why it failed."""
        try:
            self.result()
        except ActivityFailureError as error:
            return error.cause
        raise AssertionError("the activity was completed")
