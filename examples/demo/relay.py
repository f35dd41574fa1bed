"""The relay. It runs the workflow, watches the attempts, kills them, and describes the workflow on the server."""

import asyncio
import json
import random
from collections.abc import Coroutine
from dataclasses import dataclass
from typing import Any

from temporalio.api.workflow.v1 import PendingActivityInfo
from temporalio.client import Client, WorkflowFailureError, WorkflowHandle
from temporalio.service import RPCError
from temporalio.worker import Worker

from attempts import Attempt, Attempts
from progress import Progress
from trouble import Trouble, within
from workflow import HEARTBEAT_TIMEOUT, Relay

TASK_QUEUE = "demo"
ITEM_S = 0.1  # the duration of an item in each program
LOOK_EVERY_S = 0.002  # the time between two reads of the file; short, so that a kill follows its item soon
ASK_EVERY_S = 0.1  # the time between two descriptions of the workflow
EXIT_S = 5.0  # the time limit for the exit of the process that completed the Activity


@dataclass(frozen=True)
class Kill:
    item: int  # kill after this item is done
    after_s: float  # and after this time in the next item


def plan_kills(seed: int, items: int, kills: int) -> list[Kill]:
    """Plans a random kill for each attempt except the last. Equal seeds give equal plans."""
    chance = random.Random(seed)
    share = items / (kills + 1)
    return [
        Kill(
            item=chance.randint(int(share * (i + 0.5)) + 1, int(share * (i + 1.5))),
            after_s=chance.choice([0.0, chance.uniform(0, ITEM_S)]),
        )
        for i in range(kills)
    ]


async def run_relay(client: Client, attempts: Attempts, kills: list[Kill], progress: Progress) -> int:
    """Runs the workflow to its end and returns its result."""
    progress.attempts = attempts.all
    worker = Worker(client, task_queue=TASK_QUEUE, workflows=[Relay], activities=[attempts.process_items])
    async with worker:
        try:
            handle = await client.start_workflow(Relay.run, progress.items, id="demo", task_queue=TASK_QUEUE)
            result: int = await first_of(
                handle.result(),
                follow(attempts, kills, progress),
                ask_server(handle, progress),
            )
            await end_of(attempts.all[-1])
            attempts.look()
            return result
        except WorkflowFailureError as error:
            raise Trouble(f"the workflow failed: {error.cause}") from error
        except RPCError as error:
            raise Trouble(f"the server no longer answers: {error}") from error
        finally:
            attempts.stop()


async def first_of(*jobs: Coroutine[Any, Any, Any]) -> Any:
    """Returns or raises the outcome of the first job that ends, and cancels the others."""
    tasks = [asyncio.create_task(job) for job in jobs]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        return done.pop().result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def follow(attempts: Attempts, kills: list[Kill], progress: Progress) -> None:
    """Watches the finished items, and kills each attempt except the last as planned."""
    told = 0
    while True:
        await asyncio.sleep(LOOK_EVERY_S)
        attempts.look()
        attempt = progress.current
        if not attempt or attempt.killed:
            continue
        if attempt.number > told:
            told = attempt.number
            progress.say(f"{attempt}: started; the server has item {progress.server.item}")
        kill = kills[attempt.number - 1] if attempt.number <= len(kills) else None
        check_running(attempt, may_end=kill is None)
        if kill and attempt.last >= kill.item:
            await asyncio.sleep(kill.after_s)
            attempt.kill()
            attempts.look()
            timeout = HEARTBEAT_TIMEOUT.total_seconds()
            progress.say(f"{attempt}: killed after item {attempt.last}; the heartbeat timeout of {timeout:g} s runs")


def check_running(attempt: Attempt, may_end: bool) -> None:
    code = attempt.process.poll()
    if code is None or (code == 0 and may_end):
        return
    raise Trouble(f"{attempt}: exited with code {code} and printed\n{attempt.last_words()}")


async def end_of(attempt: Attempt) -> None:
    """Waits for the exit of the process that completed the Activity, so that its exit code is checked too."""
    async with within(EXIT_S, f"{attempt}: its end after completing"):
        while attempt.process.poll() is None:
            await asyncio.sleep(LOOK_EVERY_S)
    check_running(attempt, may_end=True)


async def ask_server(handle: WorkflowHandle[Any, int], progress: Progress) -> None:
    while True:
        description = await handle.describe()
        for pending in description.raw_description.pending_activities:
            note(pending, progress)
        await asyncio.sleep(ASK_EVERY_S)


def note(pending: PendingActivityInfo, progress: Progress) -> None:
    server = progress.server
    server.attempt = pending.attempt
    if pending.heartbeat_details.payloads:
        server.item = json.loads(pending.heartbeat_details.payloads[0].data)
    last = max(pending.last_heartbeat_time.ToNanoseconds(), pending.last_started_time.ToNanoseconds())
    server.lease_ends = last / 1e9 + HEARTBEAT_TIMEOUT.total_seconds()
