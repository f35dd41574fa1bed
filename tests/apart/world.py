"""A worker process with activities that run apart, and how a test uses it."""

import os
import sys
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from temporalio.api.common.v1 import Payload, Payloads
from temporalio.api.workflowservice.v1 import DescribeActivityExecutionRequest
from temporalio.client import ActivityExecutionDescription, Client

from apart.codec import CONVERTERS
from harness.activities import ExternalActivity, StandaloneActivity
from harness.languages import NO_VARIABLES, library_environment
from harness.paths import ROOT
from harness.polling import wait_until
from harness.process import Process
from harness.server import NAMESPACE
from harness.worker import ActivityOptions, SdkWorker

# Longer than any activity of these tests runs.
RESULT_LIMIT_S = 600.0 if os.environ.get("THB_SLOW") == "1" else 60.0


class World:
    """A task queue with workers, and activities on it."""

    def __init__(self, sdk_worker: SdkWorker, address: str, folder: Path) -> None:
        self.folder = folder
        self._sdk_worker = sdk_worker
        self._address = address
        self._queue = f"apart-{uuid.uuid4()}"
        self._client = sdk_worker.client

    @contextmanager
    def worker(
        self,
        *,
        converter: str = "plain",
        uvloop: bool = False,
        start_method: str = "spawn",
        python: str = sys.executable,
        program: Path | None = None,
        variables: Mapping[str, str] = NO_VARIABLES,
    ) -> Iterator[Process]:
        """Runs a worker until the end of the block. Activities are started with the same converter."""
        plain = self._sdk_worker.client
        data_converter = CONVERTERS[converter] or plain.data_converter
        self._client = Client(plain.service_client, namespace=plain.namespace, data_converter=data_converter)
        path = os.pathsep.join([str(ROOT / "tests"), str(ROOT / "bindings" / "python")])
        environment = library_environment() | {"PYTHONPATH": path, "THB_START_METHOD": start_method, **variables}
        main = ["-m", "apart.worker"] if program is None else [str(program)]
        command = [python, *main, self._address, self._queue, converter, *(["uvloop"] if uvloop else [])]
        with Process(command, environment) as process:
            process.expect("^polling$")
            yield process

    def start(self, activity: str, *arguments: Any, result_type: type | None = None, **options: Any) -> "Running":
        return Running(
            self._sdk_worker, self._client, self._queue, activity, arguments, result_type, ActivityOptions(**options)
        )

    def pid(self, attempt: int) -> int:
        """Waits for the process of an attempt, which has recorded then, and returns its number."""
        path = self.folder / f"attempt-{attempt}"
        wait_until(path.exists, f"attempt {attempt}")
        return int(path.read_text())

    def go(self) -> None:
        (self.folder / "go").touch()


class Running(StandaloneActivity):
    """A started activity."""

    def __init__(
        self,
        sdk_worker: SdkWorker,
        client: Client,
        task_queue: str,
        activity: str,
        arguments: Sequence[Any],
        result_type: type | None,
        options: ActivityOptions,
    ) -> None:
        ExternalActivity.__init__(self, sdk_worker)
        self._handle = self._run(
            client.start_activity(
                activity,
                args=arguments,
                id=self.id,
                task_queue=task_queue,
                result_type=result_type,
                **options.as_arguments(),
            )
        )
        self.run_id = self._handle.run_id

    def result(self, timeout: float = RESULT_LIMIT_S) -> Any:
        return self._backstage.run(self._handle.result(), timeout)

    def failure(self, timeout: float = RESULT_LIMIT_S) -> BaseException:
        return super().failure(timeout)

    def attempt(self) -> int:
        """Returns the number of the current attempt."""
        return self._describe().attempt

    def beats(self) -> int:
        """Returns the number of heartbeats that the server has received."""
        return self._describe().total_heartbeat_count

    def beats_after_s(self) -> float:
        """Returns how long after its start the current attempt last heartbeat, in seconds."""
        described = self._describe()
        if described.last_heartbeat_time is None or described.last_started_time is None:
            return 0.0
        return (described.last_heartbeat_time - described.last_started_time).total_seconds()

    def stored_payloads(self) -> Sequence[Payload]:
        """Returns the server's payloads of the outcome: the result, or the details of the failure."""
        request = DescribeActivityExecutionRequest(
            namespace=NAMESPACE, activity_id=self.id, run_id=self.run_id or "", include_outcome=True
        )
        answer = self._run(self._client.workflow_service.describe_activity_execution(request))
        failed: Payloads = answer.outcome.failure.application_failure_info.details
        result: Payloads = answer.outcome.result
        return [*result.payloads, *failed.payloads]

    def _describe(self) -> ActivityExecutionDescription:
        described: ActivityExecutionDescription = self._run(self._handle.describe())
        return described


def children_of(pid: int) -> set[int]:
    """Returns the child processes of a process."""
    found: set[int] = set()
    for thread in Path(f"/proc/{pid}/task").iterdir():
        found.update(map(int, (thread / "children").read_text().split()))
    return found


def descriptors_of(pid: int) -> int:
    return len(os.listdir(f"/proc/{pid}/fd"))


def exists(pid: int) -> bool:
    """Whether the process runs: it hasn't ended, reaped or not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


def wait_for_end(pid: int) -> None:
    wait_until(lambda: not exists(pid), f"the end of the process {pid}")
