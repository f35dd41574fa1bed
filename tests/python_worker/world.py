"""A task queue with workers without an SDK, and activities on it."""

import asyncio
import json
import os
import sys
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from temporalio.client import ActivityHandle, Client
from temporalio.converter import DataConverter

from apart.world import RESULT_LIMIT_S, Running
from harness.languages import library_environment
from harness.paths import ROOT
from harness.polling import wait_until
from harness.process import Process
from harness.worker import ActivityOptions, SdkWorker


class World:
    def __init__(self, sdk_worker: SdkWorker, address: str, folder: Path) -> None:
        self.folder = folder
        self.sdk_worker = sdk_worker
        self.queue = f"python-worker-{uuid.uuid4()}"
        self._address = address

    @contextmanager
    def worker(self, program: str = "tests/python_worker/program.py", **options: Any) -> Iterator[Process]:
        """Runs a worker until the end of the block."""
        path = os.pathsep.join([str(ROOT / "tests"), str(ROOT / "bindings" / "python")])
        command = [sys.executable, str(ROOT / program), self._address, self.queue, str(self.folder)]
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

    def start_many(self, activity: str, count: int, **options: Any) -> list[ActivityHandle[Any]]:
        client, given = self.sdk_worker.client, ActivityOptions(**options).as_arguments()

        async def start() -> list[ActivityHandle[Any]]:
            names = (f"many-{uuid.uuid4()}" for _ in range(count))
            starts = (client.start_activity(activity, id=name, task_queue=self.queue, **given) for name in names)
            return await asyncio.gather(*starts)

        return self.sdk_worker.run(start(), RESULT_LIMIT_S)

    def results(self, started: Sequence[ActivityHandle[Any]]) -> list[Any]:
        async def results() -> list[Any]:
            return await asyncio.gather(*(one.result() for one in started))

        return self.sdk_worker.run(results(), RESULT_LIMIT_S)

    def expect(self, name: str) -> str:
        """Waits for the text that an activity writes."""
        path = self.folder / name
        wait_until(lambda: path.exists() and bool(path.read_text()), name)
        return path.read_text()

    def go(self) -> None:
        (self.folder / "go").touch()
