"""The table in docs/guide/restarts.md, and running work on which a test checks it."""

import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from temporalio.client import ActivityExecutionDescription, ActivityHandle

from harness.paths import DRIVERS, ROOT
from harness.polling import wait_until
from harness.program import environment, is_alive
from harness.server import Server
from harness.service import processes_with
from harness.worker import ActivityOptions, SdkWorker

PAGE = ROOT / "docs" / "guide" / "restarts.md"

# The ways to run work that `drivers/restarted_worker.py` offers, and `work`, with their rows.
ROWS = {
    "child": "a child of the worker",
    "catching": "a child that catches SIGTERM",
    "pool": "a child with a process pool",
    "job": "a job of a supervisor",
    "exec": "`exec`, started by the worker",
    "apart_end": '`apart`, `"end"`',
    "apart_finish": '`apart`, `"finish"`',
    "work": "`work`",
}
WAYS_OF_SDK_WORKER = [way for way in ROWS if way != "work"]

# The ends of a worker, with their columns.
COLUMNS = {
    "SIGTERM": "the worker gets SIGTERM",
    "SIGKILL": "the worker is killed",
    "control-group": "`KillMode=control-group`",
    "mixed": "`KillMode=mixed`",
    "container": "the container stops",
    "Ctrl-C": "Ctrl-C",
}

# The types of the failures that are reported. The command of `work` can end by SIGTERM before `work` stops it.
FAILURES = {
    "catching": {"Terminated"},
    "exec": {"Signal"},
    "apart_end": {"WorkerShutdown"},
    "apart_finish": {"WorkerShutdown"},
    "work": {"Shutdown", "Signal"},
}

# A command of `exec` and `work`: it records 1 and 2, and waits for the test. Its arguments are the folder and the way.
COMMAND = ["sh", "-c", 'echo 1; echo 2; touch "$0/$1"; until [ -e "$0/go" ]; do sleep 0.05; done']

# No timeout expires within a test, and of several records only the first is sent at once.
OPTIONS = ActivityOptions(heartbeat_timeout_ms=60_000)
NEWEST = [2]


def table() -> Mapping[str, Mapping[str, str]]:
    """Returns the rows of the page's table by their first cell. Each has its cells by their headings."""
    lines = re.findall(r"^\|(.*)\|$", PAGE.read_text(), flags=re.MULTILINE)
    headings, _, *rows = [[cell.strip() for cell in line.split("|")] for line in lines]
    return {row[0]: dict(zip(headings, row, strict=True)) for row in rows}


class Work:
    """An activity whose work records 1, which is sent, and 2, which isn't due."""

    def __init__(self, sdk_worker: SdkWorker, queue: str, way: str, folder: Path) -> None:
        self.way = way
        self._sdk_worker = sdk_worker
        self._folder = folder
        self._id = f"{way}-{queue}"
        self._handle: ActivityHandle[Any] = sdk_worker.run(
            sdk_worker.client.start_activity(way, id=self._id, task_queue=queue, **OPTIONS.as_arguments())
        )

    def wait_for_records(self) -> None:
        wait_until((self._folder / self.way).exists, f"the records of {self.way}")

    def processes(self) -> list[int]:
        """Returns the processes of the hand-off. tests/apart checks the end of those of `apart`."""
        return processes_with(f"TEMPORAL_ACTIVITY_ID={self._id}")

    def details(self) -> list[Any]:
        values = self._sdk_worker.run(self._describe().heartbeat_details())
        return list(values or [])

    def check(self, outcome: str, processes: Sequence[int], sent: Sequence[Any]) -> None:
        """Checks the work after the end of the worker. `sent` is the record that the server had before."""
        if outcome == "continues":
            (self._folder / "go").touch()
            self._sdk_worker.run(self._handle.result(), timeout=60)
            assert self._describe().attempt == 1, self.way
            return
        wait_until(lambda: not any(map(is_alive, processes)), f"the end of the processes of {self.way}")
        if outcome == "fails at once":
            wait_until(lambda: self._describe().attempt == 2, f"the next attempt of {self.way}")
            assert self._describe().raw_info.last_failure.application_failure_info.type in FAILURES[self.way]
            assert self.details() == NEWEST, self.way
        else:
            # The processes have ended and reported nothing. So only a timeout can end the attempt.
            assert outcome == "times out"
            assert self._describe().attempt == 1, self.way
            assert self.details() in (sent, NEWEST), self.way
        self._sdk_worker.run(self._handle.terminate())

    def _describe(self) -> ActivityExecutionDescription:
        return self._sdk_worker.run(self._handle.describe(include_heartbeat_details=True, include_last_failure=True))


def worker_command(server: Server, queue: str, folder: Path) -> list[str]:
    """Returns the command of a worker of the SDK that offers the ways."""
    return [sys.executable, str(DRIVERS / "restarted_worker.py"), server.address, queue, str(folder), *COMMAND]


def worker_variables(server: Server, program: Path) -> dict[str, str]:
    python = {"PYTHONPATH": str(ROOT / "bindings" / "python")}
    return environment(server.address) | python | {"PROGRAM": str(program)}


@contextmanager
def supervisor(folder: Path) -> Iterator[None]:
    """Starts the process of the way `job` when the worker has written it."""
    path = folder / "job.json"
    wait_until(path.exists, "the job")
    with subprocess.Popen(**json.loads(path.read_text()), start_new_session=True) as process:
        try:
            yield
        finally:
            process.kill()


def outcome_of(way: str, events: Sequence[str]) -> str:
    """Returns the table's outcome of events, one after the other."""
    cells = table()[ROWS[way]]
    return next((cells[COLUMNS[event]] for event in events if cells[COLUMNS[event]] != "continues"), "continues")


def check_outcomes(events: Sequence[str], works: Sequence[Work], end: Callable[[], None]) -> None:
    """Ends the worker when all work has recorded, and checks that its outcomes are those of the table."""
    outcomes = {work: outcome_of(work.way, events) for work in works}
    for work in works:
        work.wait_for_records()
    before = {work: (work.processes(), work.details()) for work in works}
    end()
    # The work that continues is ended by the test, which would end the other work too.
    for work in sorted(works, key=lambda work: outcomes[work] == "continues"):
        work.check(outcomes[work], *before[work])
