"""The worker of an example, and the activities that it runs."""

import os
import signal
import subprocess
import sys
import uuid
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from temporalio.api.failure.v1 import Failure
from temporalio.client import ActivityExecutionDescription, ActivityFailureError, ActivityHandle

from harness.languages import library_environment
from harness.paths import ROOT, VENV_BIN
from harness.server import Server, find_program
from harness.worker import ActivityOptions, SdkWorker
from integrations.journal import Journal

EXAMPLES = ROOT / "examples" / "integrations"

# The server notices after 5 s that an attempt has died with its machine.
OPTIONS = ActivityOptions(heartbeat_timeout_ms=5_000, start_to_close_ms=600_000)
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
        os.killpg(self._process.pid, signal.SIGKILL)  # also what it has started, such as mpirun
        self._process.wait()


class EngineActivity:
    """A standalone activity of an example's worker."""

    def __init__(
        self,
        sdk_worker: SdkWorker,
        activity_type: str,
        queue: str,
        arguments: Sequence[Any] = (),
        options: ActivityOptions = OPTIONS,
    ) -> None:
        self._sdk_worker = sdk_worker
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
        description = self._describe()
        details = self._sdk_worker.run(description.heartbeat_details())
        return list(details or [])

    def attempt(self) -> int:
        return self._describe().attempt

    def last_heartbeat_ns(self) -> int:
        """Returns the time of the last heartbeat that the server has recorded, since 1970."""
        return int(self._describe().raw_info.last_heartbeat_time.ToNanoseconds())

    def last_failure(self) -> Failure:
        """Returns the failure of the last attempt that failed."""
        return self._describe().raw_info.last_failure

    def _describe(self) -> ActivityExecutionDescription:
        described = self._handle.describe(include_heartbeat_details=True, include_last_failure=True)
        return self._sdk_worker.run(described)

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


class ItemsActivity(EngineActivity):
    """An activity of the example of Ray or Dask, whose bodies work on items and write into a folder."""

    def __init__(self, sdk_worker: SdkWorker, queue: str, folder: Path, items: int) -> None:
        super().__init__(sdk_worker, "process", queue, [items, str(folder)])
        self.items = items
        self.journal = Journal(folder / "journal")
        self._bodies = folder / "bodies"

    def body(self, number: int = 1) -> int:
        """Returns the process of the body whose items have this number in the journal."""
        lines = map(str.split, self._bodies.read_text().splitlines())
        return next(int(pid) for found, pid in lines if int(found) == number)

    def recorded_items(self) -> range:
        details = self.details()
        return range(details[0] + 1 if details else 0)
