"""A task queue with workers without an SDK, and activities on it."""

import asyncio
import json
import os
import sys
import uuid
from collections.abc import Coroutine, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from temporalio.client import ActivityHandle, Client
from temporalio.converter import DataConverter

from apart.world import RESULT_LIMIT_S, Running
from harness.languages import library_environment
from harness.paths import ROOT
from harness.polling import wait_until
from harness.process import Process
from harness.worker import ActivityOptions, SdkWorker

T = TypeVar("T")

# The most requests of a test at once.
REQUESTS = 50


class World:
    def __init__(self, sdk_worker: SdkWorker, address: str, folder: Path) -> None:
        self.folder = folder
        self.sdk_worker = sdk_worker
        self.queue = f"python-worker-{uuid.uuid4()}"
        self.address = address

    @contextmanager
    def worker(self, program: str = "tests/python_worker/program.py", **options: Any) -> Iterator[Process]:
        """Runs a worker until the end of the block."""
        path = os.pathsep.join([str(ROOT / "tests"), str(ROOT / "bindings" / "python")])
        command = [sys.executable, str(ROOT / program), self.address, self.queue, str(self.folder)]
        environment = library_environment() | {"PYTHONPATH": path}
        with Process([*command, json.dumps(options)], environment) as process:
            process.expect("^running$")
            yield process

    def start(
        self,
        activity: str,
        *arguments: Any,
        result_type: type | None = None,
        converter: DataConverter | None = None,
        **options: Any,
    ) -> Running:
        """Starts a standalone activity."""
        plain = self.sdk_worker.client
        client = Client(
            plain.service_client, namespace=plain.namespace, data_converter=converter or plain.data_converter
        )
        given = ActivityOptions(**options)
        return Running(self.sdk_worker, client, self.queue, activity, arguments, result_type, given)

    def start_many(self, activity: str, count: int, *arguments: Any, **options: Any) -> list[ActivityHandle[Any]]:
        client, given = self.sdk_worker.client, ActivityOptions(**options).as_arguments()

        async def start() -> ActivityHandle[Any]:
            name = f"many-{uuid.uuid4()}"
            return await client.start_activity(activity, args=list(arguments), id=name, task_queue=self.queue, **given)

        return self.sdk_worker.run(_some_at_once(start() for _ in range(count)), RESULT_LIMIT_S)

    def execute_many(self, activity: str, count: int, *arguments: Any, **options: Any) -> list[Any]:
        """Starts activities and returns their results. Only some run at once: a long queue slows the server."""
        client, given = self.sdk_worker.client, ActivityOptions(**options).as_arguments()

        async def execute() -> Any:
            name = f"many-{uuid.uuid4()}"
            return await client.execute_activity(
                activity, args=list(arguments), id=name, task_queue=self.queue, **given
            )

        return self.sdk_worker.run(_some_at_once(execute() for _ in range(count)), RESULT_LIMIT_S + count / 10)

    def results(self, started: Sequence[ActivityHandle[Any]]) -> list[Any]:
        return self.sdk_worker.run(_some_at_once(one.result() for one in started), RESULT_LIMIT_S)

    def expect(self, name: str) -> str:
        """Waits for the text that an activity writes."""
        path = self.folder / name
        wait_until(lambda: path.exists() and bool(path.read_text()), name)
        return path.read_text()

    def go(self) -> None:
        (self.folder / "go").touch()


async def _some_at_once(requests: Iterable[Coroutine[Any, Any, T]]) -> list[T]:
    limit = asyncio.Semaphore(REQUESTS)

    async def limited(request: Coroutine[Any, Any, T]) -> T:
        async with limit:
            return await request

    return await asyncio.gather(*map(limited, requests))
