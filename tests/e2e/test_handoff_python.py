"""The hand-off from a worker of the Python SDK to a Python program: one line in each."""

import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from temporal_heartbeat import handoff
from temporalio import activity
from temporalio.client import ActivityFailureError, WorkflowFailureError
from temporalio.exceptions import CancelledError

from harness.activities import Kind
from harness.languages import library_environment
from harness.paths import ROOT
from harness.server import Server
from harness.worker import ACTIVITY_TYPE, ANSWER_LIMIT_S, ActivityOptions, OneActivity, SdkWorker

EXAMPLES = ROOT / "bindings" / "python" / "examples"

# So many items that an example takes a second or two. The asyncio example sleeps briefly at each item.
ITEMS = {"activity.py": 20_000, "activity_aio.py": 200}


class Parent:
    """A worker with one activity, which hands over to an example in one of three ways."""

    def __init__(self, address: str, file: Path) -> None:
        self.children: list[subprocess.Popen[bytes]] = []
        self.started = threading.Semaphore(0)
        self.example = "activity.py"
        self.way = "environment"
        self._address = address
        self._file = file

    @activity.defn(name=ACTIVITY_TYPE)
    async def hand_over(self) -> None:
        info, example, way = activity.info(), self.example, self.way
        base = library_environment() | {"PYTHONPATH": str(ROOT / "bindings" / "python")}
        if way == "file":
            path = handoff.token_in_file(info, self._file.with_suffix(".token"))
            self._start(example, handoff.environment(info, address=self._address, base=base, token_file=path))
        elif way == "pipe":
            with handoff.token_in_pipe(info) as fd:
                self._start(example, handoff.environment(info, address=self._address, base=base, token_fd=fd), fd)
        else:
            self._start(example, handoff.environment(info, address=self._address, base=base))
        activity.raise_complete_async()

    def _start(self, example: str, environment: dict[str, str], *inherited: int) -> None:
        command = [sys.executable, str(EXAMPLES / example), str(ITEMS[example]), str(self._file)]
        self.children.append(subprocess.Popen(command, env=environment, pass_fds=inherited))
        self.started.release()

    def wait_for_progress(self) -> None:
        """Returns when the first child has done an item."""
        assert self.started.acquire(timeout=ANSWER_LIMIT_S)
        while not self.done():
            assert self.children[0].poll() is None
            time.sleep(0.02)  # a new line in a file has no event to wait for

    def done(self) -> list[tuple[int, int]]:
        """Returns the items that are done, each with its attempt."""
        lines = self._file.read_text().splitlines() if self._file.exists() else []
        return [(int(attempt), int(item)) for attempt, _, item in (line.split() for line in lines)]


@contextmanager
def worker_on(sdk_worker: SdkWorker, parent: Parent, queue: str) -> Iterator[None]:
    try:
        with sdk_worker.worker_on(queue, OneActivity, [parent.hand_over]):
            yield
    finally:
        for child in parent.children:
            child.kill()
            child.wait()


# Starts the activity, and returns a handle with a result and a cancel method.
Start = Callable[[Kind], Any]


@pytest.fixture
def parent(server: Server, tmp_path: Path) -> Parent:
    return Parent(server.address, tmp_path / "done")


@pytest.fixture
def start_here(sdk_worker: SdkWorker, parent: Parent) -> Iterator[Start]:
    queue, name = str(uuid.uuid4()), str(uuid.uuid4())
    options = ActivityOptions(heartbeat_timeout_ms=2_000)

    def start(kind: Kind) -> Any:
        client = sdk_worker.client
        if kind == "workflow":
            return sdk_worker.run(
                client.start_workflow(OneActivity.run, args=[name, options], id=name, task_queue=queue)
            )
        return sdk_worker.run(client.start_activity(ACTIVITY_TYPE, id=name, task_queue=queue, **options.as_arguments()))

    with worker_on(sdk_worker, parent, queue):
        yield start


@pytest.mark.parametrize(
    ("example", "way"), [("activity.py", "environment"), ("activity_aio.py", "pipe"), ("activity.py", "file")]
)
def test_killed_example_resumes_after_its_last_heartbeat(
    sdk_worker: SdkWorker, parent: Parent, start_here: Start, kind: Kind, example: str, way: str
) -> None:
    parent.example, parent.way = example, way
    handle = start_here(kind)
    parent.wait_for_progress()
    parent.children[0].kill()
    assert sdk_worker.run(handle.result(), timeout=60) == ITEMS[example]
    assert len(parent.children) > 1
    done = parent.done()
    # Every item was done, in order. Only items after the last sent heartbeat were done twice.
    assert sorted({item for _, item in done}) == list(range(ITEMS[example]))
    for attempt in {attempt for attempt, _ in done}:
        items = [item for number, item in done if number == attempt]
        assert items == list(range(items[0], items[-1] + 1))
    assert parent.children[-1].wait(ANSWER_LIMIT_S) == 0


def test_example_in_asyncio_is_stopped_in_the_middle(
    sdk_worker: SdkWorker, parent: Parent, start_here: Start, kind: Kind
) -> None:
    parent.example = "activity_aio.py"
    handle = start_here(kind)
    parent.wait_for_progress()
    sdk_worker.run(handle.cancel())
    with pytest.raises((ActivityFailureError, WorkflowFailureError)) as caught:
        sdk_worker.run(handle.result(), timeout=60)
    # The workflow's own failure has that of the activity as its cause.
    cause: BaseException | None = caught.value
    while cause is not None and not isinstance(cause, CancelledError):
        cause = cause.__cause__
    assert cause is not None, repr(caught.value.cause)
    assert parent.children[0].wait(ANSWER_LIMIT_S) == 1
    assert len(parent.done()) < ITEMS[parent.example]
