"""Runs the worker of an official SDK and its workflows. Each workflow has one activity, which the worker hands over."""

import json
import queue
import threading
import uuid
from dataclasses import dataclass, replace
from typing import Any

from temporalio.api.common.v1 import Payload
from temporalio.client import Client, WorkflowHandle
from temporalio.converter import DataConverter

from harness.process import SILENCE_LIMIT_S, Process
from harness.server import NAMESPACE
from harness.worker import Attempt, SdkWorker
from interop.documented_values import Row
from interop.payload_format import format_payload, normalized
from interop.peers.python.cipher import Cipher
from interop.programs import Command, environment


@dataclass(frozen=True)
class Ending:
    """How the workflow saw the end of its activity."""

    how: str
    message: str
    seen: list[str]


Event = Attempt | Ending | Exception


class PeerWorker:
    def __init__(self, name: str, command: Command, address: str, sdk_worker: SdkWorker) -> None:
        self.task_queue = f"interop-{name}"
        self.sdk_worker = sdk_worker
        self.encrypting = Client(
            sdk_worker.client.service_client,
            namespace=NAMESPACE,
            data_converter=replace(DataConverter.default, payload_codec=Cipher()),
        )
        self._events: dict[str, queue.SimpleQueue[Event]] = {}
        self._process = Process([*command, address, NAMESPACE, self.task_queue], environment())
        try:
            assert json.loads(self._process.read_line()) == {"ready": True}
        except BaseException:
            self._process.close()
            raise
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def close(self) -> None:
        self._process.close_stdin()
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
    ) -> "PeerActivity":
        events: queue.SimpleQueue[Event] = queue.SimpleQueue()
        workflow_id = f"interop-{uuid.uuid4()}"
        self._events[workflow_id] = events
        client = self.encrypting if encrypts else self.sdk_worker.client
        handle = self.sdk_worker.run(
            client.start_workflow(
                "Interop",
                args=[row.value, records, heartbeat_timeout_ms, maximum_attempts],
                id=workflow_id,
                task_queue=self.task_queue + ("-encrypted" if encrypts else ""),
            )
        )
        self.sdk_worker.start(_put_ending(handle, events))
        return PeerActivity(self.sdk_worker, handle, events)

    def _read(self) -> None:
        for line in self._process.read_lines():
            report = json.loads(line)
            details = [normalized(shown) for shown in report["seen"]]
            attempt = Attempt(bytes.fromhex(report["token"]), report["attempt"], details)
            self._events[report["workflow"]].put(attempt)


async def _put_ending(handle: WorkflowHandle[Any, Any], events: queue.SimpleQueue[Event]) -> None:
    try:
        ended = await handle.result()
        events.put(Ending(ended["ended"], ended["message"], [normalized(shown) for shown in ended["seen"]]))
    except Exception as error:  # `next` raises it in the test
        events.put(error)


class PeerActivity:
    def __init__(
        self,
        sdk_worker: SdkWorker,
        handle: WorkflowHandle[Any, Any],
        events: queue.SimpleQueue[Event],
    ) -> None:
        self._backstage = sdk_worker
        self._handle = handle
        self._events = events

    def next(self) -> Attempt | Ending:
        try:
            event = self._events.get(timeout=SILENCE_LIMIT_S)
        except queue.Empty:
            raise AssertionError(f"no event of {self._handle.id} within {SILENCE_LIMIT_S:.0f} s") from None
        if isinstance(event, Exception):
            raise AssertionError(f"{self._handle.id}: {event!r}: {event.__cause__!r}") from event
        return event

    def attempt(self) -> Attempt:
        event = self.next()
        assert isinstance(event, Attempt), event
        return event

    def ending(self) -> Ending:
        event = self.next()
        assert isinstance(event, Ending), event
        return event

    def terminate(self) -> None:
        self._backstage.run(self._handle.terminate())

    def stored(self) -> list[str]:
        """Returns the heartbeat details that the server holds."""
        return [format_payload(value) for value in self.stored_payloads()]

    def stored_payloads(self) -> list[Payload]:
        description = self._backstage.run(self._handle.describe())
        [pending] = description.raw_description.pending_activities
        return list(pending.heartbeat_details.payloads)
