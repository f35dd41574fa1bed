"""The worker of an official SDK, and the workflows that it runs, each with one activity that it hands over."""

import queue
import threading
import uuid
from dataclasses import dataclass, replace
from typing import Any

from temporalio.api.common.v1 import Payload
from temporalio.client import Client, WorkflowHandle
from temporalio.converter import DataConverter

from harness.server import NAMESPACE
from harness.worker import Backstage
from interop.forms import form, plain
from interop.peers.python.cipher import Cipher
from interop.process import SILENCE_LIMIT, Process
from interop.programs import Command
from interop.table import Row


@dataclass(frozen=True)
class Attempt:
    token: bytes
    # What the SDK's function for the last heartbeat details gives, shown.
    seen: list[str]


@dataclass(frozen=True)
class Ending:
    """How the workflow saw its activity end."""

    how: str
    message: str
    seen: list[str]


Happening = Attempt | Ending | Exception


class Worker:
    def __init__(self, name: str, command: Command, address: str, backstage: Backstage) -> None:
        self.task_queue = f"interop-{name}"
        self.backstage = backstage
        self.encrypting = Client(
            backstage.client.service_client,
            namespace=NAMESPACE,
            data_converter=replace(DataConverter.default, payload_codec=Cipher()),
        )
        self._happenings: dict[str, queue.SimpleQueue[Happening]] = {}
        self._process = Process([*command, address, NAMESPACE, self.task_queue])
        try:
            assert self._process.read_soon() == {"ready": True}
        except BaseException:
            self._process.close()
            raise
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def close(self) -> None:
        self._process.end()
        self._reader.join()
        assert self._process.close() == 0

    def start(
        self,
        row: Row,
        *,
        records: bool = False,
        encrypts: bool = False,
        heartbeat_timeout_ms: int = 60_000,
        maximum_attempts: int = 0,
    ) -> "Activity":
        happenings: queue.SimpleQueue[Happening] = queue.SimpleQueue()
        workflow_id = f"interop-{uuid.uuid4()}"
        self._happenings[workflow_id] = happenings
        client = self.encrypting if encrypts else self.backstage.client
        handle = self.backstage.run(
            client.start_workflow(
                "Interop",
                args=[row.value, records, heartbeat_timeout_ms, maximum_attempts],
                id=workflow_id,
                task_queue=self.task_queue + ("-encrypted" if encrypts else ""),
            )
        )
        self.backstage.start(_tell_ending(handle, happenings))
        return Activity(self.backstage, handle, happenings)

    def _read(self) -> None:
        while report := self._process.read():
            attempt = Attempt(bytes.fromhex(report["token"]), [plain(shown) for shown in report["seen"]])
            self._happenings[report["workflow"]].put(attempt)


async def _tell_ending(handle: WorkflowHandle[Any, Any], happenings: queue.SimpleQueue[Happening]) -> None:
    try:
        ended = await handle.result()
        happenings.put(Ending(ended["ended"], ended["message"], [plain(shown) for shown in ended["seen"]]))
    except Exception as error:  # whoever waits for a happening raises it
        happenings.put(error)


class Activity:
    def __init__(
        self,
        backstage: Backstage,
        handle: WorkflowHandle[Any, Any],
        happenings: queue.SimpleQueue[Happening],
    ) -> None:
        self._backstage = backstage
        self._handle = handle
        self._happenings = happenings

    def next(self) -> Attempt | Ending:
        try:
            happening = self._happenings.get(timeout=SILENCE_LIMIT)
        except queue.Empty:
            raise AssertionError(f"nothing more of {self._handle.id} within {SILENCE_LIMIT:.0f} s") from None
        if isinstance(happening, Exception):
            raise AssertionError(f"{self._handle.id}: {happening!r}: {happening.__cause__!r}") from happening
        return happening

    def attempt(self) -> Attempt:
        happening = self.next()
        assert isinstance(happening, Attempt), happening
        return happening

    def ending(self) -> Ending:
        happening = self.next()
        assert isinstance(happening, Ending), happening
        return happening

    def terminate(self) -> None:
        self._backstage.run(self._handle.terminate())

    def stored(self) -> list[str]:
        """The heartbeat details that the server holds."""
        return [form(value) for value in self.stored_payloads()]

    def stored_payloads(self) -> list[Payload]:
        description = self._backstage.run(self._handle.describe())
        [pending] = description.raw_description.pending_activities
        return list(pending.heartbeat_details.payloads)
