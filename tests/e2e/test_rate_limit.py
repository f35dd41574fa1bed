"""A namespace that receives more requests than its limit: the server refuses some, and calls are retried."""

import asyncio
import threading
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager

import pytest
from temporalio.api.errordetails.v1 import ResourceExhaustedFailure
from temporalio.api.workflowservice.v1 import RecordActivityTaskHeartbeatRequest
from temporalio.service import RPCError

from harness.activities import Kind, start_activity
from harness.driver import Refused
from harness.fleet import Fleet, Member, start_fleet
from harness.languages import LANGUAGES
from harness.server import NAMESPACE, dev_server
from harness.signals import Signals
from harness.worker import ANSWER_LIMIT_S, ActivityOptions, SdkWorker

# Calls per second: enough for a test. The flood uses up this limit, so hardly any other call is accepted at once.
LIMIT = 30

# A call waits at least a second after a refusal.
HELD_UP_S = 0.9


class Flood(AbstractContextManager["Flood"]):
    """Sends heartbeats of another activity as fast as the server answers."""

    def __init__(self, sdk_worker: SdkWorker) -> None:
        token = start_activity("workflow", sdk_worker, ActivityOptions()).next_attempt().token
        self._request = RecordActivityTaskHeartbeatRequest(namespace=NAMESPACE, task_token=token)
        self._backstage = sdk_worker
        self._refused = threading.Semaphore(0)

    def __enter__(self) -> "Flood":
        self._ebbing = False
        self._running = self._backstage.start(self._rise())
        self.wait_for_refusals(1)
        return self

    def __exit__(self, *_: object) -> None:
        self._ebbing = True
        self._running.result(ANSWER_LIMIT_S)

    def wait_for_refusals(self, number: int) -> None:
        for _ in range(number):
            assert self._refused.acquire(timeout=ANSWER_LIMIT_S), "nothing is refused"

    async def _rise(self) -> None:
        await asyncio.gather(*[self._beat() for _ in range(4)])

    async def _beat(self) -> None:
        while not self._ebbing:
            try:
                await self._backstage.client.workflow_service.record_activity_task_heartbeat(self._request)
            except RPCError as error:
                if not error.grpc_status.details[0].Is(ResourceExhaustedFailure.DESCRIPTOR):
                    raise
                self._refused.release()


@pytest.fixture(scope="module")
def limited() -> Iterator[Fleet]:
    """Each member's call was refused before it succeeded. `outcome` is the result of a call without time to wait."""
    with (
        dev_server("--dynamic-config-value", f"frontend.namespaceRPS={LIMIT}") as server,
        SdkWorker(server.address) as sdk_worker,
        start_fleet(server, sdk_worker) as members,
        ThreadPoolExecutor(len(members)) as threads,
    ):
        flood = Flood(sdk_worker)
        with flood:
            list(threads.map(beat_until_refused, members.values()))
        still: Iterable[Member] = members.values()
        while still := list(still):
            with flood:
                beats = [(member, threads.submit(held_up, member)) for member in still]
                flood.wait_for_refusals(100)
            still = [member for member, beat in beats if not beat.result()]
        yield members


def beat_until_refused(member: Member) -> None:
    while not isinstance(member.outcome, Refused):
        try:
            member.driver.heartbeat(member.token, 40, timeout=300)
        except Refused as refusal:
            member.outcome = refusal


def held_up(member: Member) -> bool:
    """Sends a heartbeat, and returns whether it took so long that it was refused first."""
    began = time.monotonic()
    assert member.driver.heartbeat(member.token, 41, timeout=60_000) == Signals.NONE
    return time.monotonic() - began > HELD_UP_S


def test_call_outlasts_a_rate_limit(language: str, kind: Kind, limited: Fleet) -> None:
    LANGUAGES[language].command()
    member = limited[language, kind]
    assert isinstance(member.outcome, Refused)
    assert member.outcome.status == "THB_RESOURCE_EXHAUSTED"
    assert member.outcome.retryable
    assert "rate limit" in member.outcome.message
    assert member.driver.get_details(member.token).values == [41]
    member.driver.complete(member.token, "done")
    assert member.activity.result() == "done"
