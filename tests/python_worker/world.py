"""A task queue with workers without an SDK, and activities on it."""

import json
import os
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from temporalio.client import Client
from temporalio.converter import DataConverter

from apart.world import Running
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

    def expect(self, name: str) -> str:
        """Waits for a file that an activity writes."""
        path = self.folder / name
        wait_until(path.exists, name)
        return path.read_text()

    def go(self) -> None:
        (self.folder / "go").touch()
