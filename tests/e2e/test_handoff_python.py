"""The hand-off from a worker of the Python SDK to a program in Python: one line here, one there."""

import asyncio
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from temporal_heartbeat import handoff
from temporalio import activity
from temporalio.client import ActivityFailureError, ActivityHandle
from temporalio.exceptions import CancelledError
from temporalio.worker import Worker

from harness.languages import library_environment
from harness.paths import ROOT
from harness.server import Server
from harness.worker import PATIENCE, Backstage

EXAMPLES = ROOT / "bindings" / "python" / "examples"

# So many that an example is at it for a second or two; the one for asyncio waits a little at each.
ITEMS = {"activity.py": 20_000, "activity_aio.py": 200}


class Parent:
    """A worker whose one activity hands itself over to an example, in each of three ways."""

    def __init__(self, address: str, file: Path) -> None:
        self.children: list[subprocess.Popen[bytes]] = []
        self.started = threading.Semaphore(0)
        self._address = address
        self._file = file

    @activity.defn(name="items")
    async def items(self, example: str, way: str) -> None:
        info = activity.info()
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
        """Returns when the first child has done something."""
        assert self.started.acquire(timeout=PATIENCE)
        while not self.done():
            assert self.children[0].poll() is None
            time.sleep(0.02)  # a line in a file is no event that one could wait for

    def done(self) -> list[tuple[int, int]]:
        """The items that are done, each with its attempt."""
        lines = self._file.read_text().splitlines() if self._file.exists() else []
        return [(int(attempt), int(item)) for attempt, _, item in (line.split() for line in lines)]


@contextmanager
def working(backstage: Backstage, parent: Parent, queue: str) -> Iterator[None]:
    async def begin() -> tuple[Worker, asyncio.Task[None]]:
        worker = Worker(backstage.client, task_queue=queue, activities=[parent.items])
        return worker, asyncio.create_task(worker.run())

    worker, running = backstage.run(begin())

    async def end() -> None:
        await worker.shutdown()
        await running

    try:
        yield
    finally:
        backstage.run(end())
        for child in parent.children:
            child.kill()
            child.wait()


Start = Callable[[str, str], ActivityHandle[Any]]


@pytest.fixture
def parent(server: Server, tmp_path: Path) -> Parent:
    return Parent(server.address, tmp_path / "done")


@pytest.fixture
def hand_over(backstage: Backstage, parent: Parent) -> Iterator[Start]:
    queue = str(uuid.uuid4())

    def start(example: str, way: str) -> ActivityHandle[Any]:
        return backstage.run(
            backstage.client.start_activity(
                "items",
                args=[example, way],
                id=str(uuid.uuid4()),
                task_queue=queue,
                start_to_close_timeout=timedelta(minutes=2),
                heartbeat_timeout=timedelta(seconds=2),
            )
        )

    with working(backstage, parent, queue):
        yield start


@pytest.mark.parametrize(
    ("example", "way"), [("activity.py", "environment"), ("activity_aio.py", "pipe"), ("activity.py", "file")]
)
def test_example_that_is_killed_goes_on_after_its_last_heartbeat(
    backstage: Backstage, parent: Parent, hand_over: Start, example: str, way: str
) -> None:
    handle = hand_over(example, way)
    parent.wait_for_progress()
    parent.children[0].kill()
    assert backstage.run(handle.result(), timeout=60) == ITEMS[example]
    assert len(parent.children) > 1
    done = parent.done()
    # Every item was done, and in order; twice only what came after the last heartbeat that was sent.
    assert sorted({item for _, item in done}) == list(range(ITEMS[example]))
    for attempt in {attempt for attempt, _ in done}:
        items = [item for number, item in done if number == attempt]
        assert items == list(range(items[0], items[-1] + 1))
    assert parent.children[-1].wait(PATIENCE) == 0


def test_example_in_asyncio_is_stopped_in_the_middle(backstage: Backstage, parent: Parent, hand_over: Start) -> None:
    handle = hand_over("activity_aio.py", "environment")
    parent.wait_for_progress()
    backstage.run(handle.cancel())
    with pytest.raises(ActivityFailureError) as caught:
        backstage.run(handle.result(), timeout=60)
    assert isinstance(caught.value.cause, CancelledError)
    assert parent.children[0].wait(PATIENCE) == 1
    assert len(parent.done()) < ITEMS["activity_aio.py"]
