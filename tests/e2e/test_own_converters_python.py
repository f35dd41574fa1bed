"""Activities with a converter of the SDK whose key depends on the workflow."""

import asyncio
import base64
import json
import uuid
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from temporal_heartbeat import SerializationContext, handoff
from temporal_heartbeat._context import context_of
from temporalio import activity, workflow
from temporalio.api.common.v1 import Payloads
from temporalio.client import Client, WorkflowFailureError
from temporalio.converter import DataConverter
from temporalio.exceptions import ActivityError, ApplicationError
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

from harness.activities import Kind, WorkflowActivity
from harness.bound_converter import CONVERTER, ENCODING, converter_of, storing
from harness.fixtures import StartActivity
from harness.paths import ROOT
from harness.python_child import PythonChild, StartChild
from harness.server import Server
from harness.worker import ACTIVITY_TYPE

HELD_OPEN = """
    with (
        thb.Activity(token, data_converter=CONVERTER) as one,
        thb.Activity(other_token, data_converter=CONVERTER) as two,
    ):
        one.heartbeat({"item": 41})
        two.heartbeat(b"raw", 42)
        one.flush()
        two.flush()
"""

WITH_ASYNCIO = """
    async def main():
        async with (
            aio.Activity.from_env(data_converter=CONVERTER) as one,
            aio.Activity(other_token, data_converter=CONVERTER) as two,
        ):
            one.heartbeat({"item": 41})
            two.heartbeat(b"raw", 42)
            await one.flush()
            await two.flush()
    asyncio.run(main())
"""

ONE_CALL_EACH = """
    thb.heartbeat(token, {"item": 41}, data_converter=CONVERTER)
    thb.heartbeat(other_token, b"raw", 42, data_converter=CONVERTER)
"""

PROGRAM = """
    import base64
    sys.path.insert(0, {tests!r})
    from harness.bound_converter import CONVERTER
    token, other_token = map(base64.b64decode, json.loads(sys.stdin.readline()))
    {record}
    report(list(thb.get_details(token, data_converter=CONVERTER)))
    report(len(thb.get_details(other_token, data_converter=CONVERTER)))
    with thb.Activity.from_env(data_converter=CONVERTER) as again:
        report(again.details()[0])
    report(thb.get_details(token)[0].encoding)
"""


@pytest.mark.parametrize("record", [HELD_OPEN, WITH_ASYNCIO, ONE_CALL_EACH])
def test_two_activities_of_one_connection_have_their_own_keys(
    record: str, start: StartActivity, start_child: StartChild
) -> None:
    child = start_child(PROGRAM.format(tests=str(ROOT / "tests"), record=record.strip()))
    activities = [start("workflow"), start("workflow")]
    attempts = [one.next_attempt() for one in activities]
    child.hand_over(attempts[0])
    tokens = [base64.b64encode(attempt.token).decode() for attempt in attempts]
    child.write_line(json.dumps(tokens))

    assert child.receive() == [[{"item": 41}]]
    assert child.receive() == [2]
    assert child.receive() == [{"item": 41}]
    assert child.receive() == [ENCODING.decode()]  # the connection has no codec
    assert child.wait() == 0
    for one, values in zip(activities, ([{"item": 41}], [b"raw", 42]), strict=True):
        assert isinstance(one, WorkflowActivity)
        held = Payloads.FromString(one.last_heartbeat()[1]).payloads
        assert {payload.metadata["encoding"] for payload in held} == {ENCODING}
        assert asyncio.run(converter_of(one.workflow_id).decode(held)) == values
        one.end_elsewhere()


def test_task_token_has_the_context(kind: Kind, start: StartActivity) -> None:
    one = start(kind)
    assert context_of(one.next_attempt().token, "default") == SerializationContext(
        "default",
        activity_id=one.id,
        activity_type=ACTIVITY_TYPE,
        workflow_id=one.ids().get("workflow_id"),
        workflow_type=None,  # servers leave it out
        run_id=one.run_id,
    )
    one.end_elsewhere()


@workflow.defn(name="Bound")
class Bound:
    """A workflow of a worker that has the converter. It returns the result of its activity."""

    @workflow.run
    async def run(self) -> Any:
        return await workflow.execute_activity(
            "hand_over",
            start_to_close_timeout=timedelta(minutes=2),
            heartbeat_timeout=timedelta(seconds=30),
        )


async def run_workflows(
    server: Server, converter: DataConverter, hand_over: Callable[..., Any], count: int = 1
) -> list[Any]:
    """Returns the result or the failure of each workflow, as a client with the converter reads it."""
    client = await Client.connect(server.address, data_converter=converter)
    queue = f"bound-{uuid.uuid4()}"
    worker = Worker(
        client,
        task_queue=queue,
        workflows=[Bound],
        activities=[hand_over],
        max_concurrent_activities=1,
        workflow_runner=UnsandboxedWorkflowRunner(),
    )
    async with worker:
        handles = [
            await client.start_workflow(Bound.run, id=f"{queue}-{number}", task_queue=queue) for number in range(count)
        ]
        outcomes = await asyncio.gather(*(handle.result() for handle in handles), return_exceptions=True)
        for handle in handles:
            history = await handle.fetch_history()
            assert SECRET not in "".join(map(str, history.events))
        return outcomes


SECRET = "readable by anybody"

TWO_ATTEMPTS_EACH = """
    import base64
    sys.path.insert(0, {tests!r})
    from harness.bound_converter import CONVERTER
    thb.disconnect()
    thb.connect(data_converter=CONVERTER, require_encoded=True)
    report("begun")
    for line in sys.stdin:
        secret, token = json.loads(line)
        with thb.Activity(base64.b64decode(token)) as act:
            item = act.details(default=0)
            if item:
                act.complete({{"after": item}})
            else:
                act.heartbeat(secret)
                act.fail(secret, details=[secret])
        report("done")
"""


def test_worker_with_the_same_converter_reads_the_values_of_the_child(server: Server, start_child: StartChild) -> None:
    child = start_child(TWO_ATTEMPTS_EACH.format(tests=str(ROOT / "tests")))
    child.write_line("{}")
    assert child.receive() == ["begun"]
    read: list[tuple[int, list[Any]]] = []

    @activity.defn
    async def hand_over() -> Any:
        info = activity.info()
        read.append((info.attempt, list(info.heartbeat_details)))
        secret = f"{SECRET}: {info.workflow_id}"
        child.write_line(json.dumps([secret, base64.b64encode(info.task_token).decode()]))
        assert await asyncio.to_thread(child.receive) == ["done"]
        activity.raise_complete_async()

    results = asyncio.run(run_workflows(server, CONVERTER, hand_over, 2))
    secrets = [result["after"] for result in results]
    assert len(set(secrets)) == 2
    for secret in secrets:
        assert read.count((2, [secret])) == 1
    assert read.count((1, [])) == 2


STORED = """
    from pathlib import Path
    sys.path.insert(0, {tests!r})
    from harness.bound_converter import storing
    converter = storing(Path({folder!r}))
    secret = {secret!r} * 500

    class Broken(Exception):
        pass

    def run():
        thb.disconnect()
        thb.connect(data_converter=converter, require_encoded=True)
        with thb.Activity.from_env() as act:
            if act.details(default=None) == secret:
                act.complete([secret])
            else:
                act.heartbeat(secret)
                act.fail(Broken(secret))

    async def run_aio():
        await aio.disconnect()
        await aio.connect(data_converter=converter, require_encoded=True)
        async with aio.Activity.from_env() as act:
            if await act.details(default=None) == secret:
                await act.complete([secret])
            else:
                act.heartbeat(secret)
                await act.fail(Broken(secret))

    {run}
    thb.disconnect()
    thb.connect()  # without a converter
    try:
        thb.get_details(thb.token_from_env())
    except (thb.ConfigError, thb.NotFoundError) as error:
        report(type(error).__name__)
"""


@pytest.mark.parametrize("run", ["run()", "asyncio.run(run_aio())"])
def test_large_values_and_failures_cross_in_the_external_storage(
    server: Server, start_child: StartChild, tmp_path: Path, run: str
) -> None:
    converter = storing(tmp_path)
    read: list[list[Any]] = []
    children: list[PythonChild] = []

    @activity.defn
    async def hand_over() -> Any:
        info = activity.info()
        read.append(list(info.heartbeat_details))
        program = STORED.format(tests=str(ROOT / "tests"), folder=str(tmp_path), secret=SECRET, run=run)
        children.append(await asyncio.to_thread(start_child, program))
        environment = await asyncio.to_thread(
            handoff.environment, info, data_converter=converter, require_encoded=True, base={}
        )
        children[-1].write_line(json.dumps(environment))
        activity.raise_complete_async()

    [outcome] = asyncio.run(run_workflows(server, converter, hand_over))
    assert outcome == [SECRET * 500]
    assert read == [[], [SECRET * 500]]
    assert [child.receive() for child in children] == [["ConfigError"], ["NotFoundError"]]
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert files
    for path in files:
        assert SECRET.encode() not in path.read_bytes()


FAILING = """
    sys.path.insert(0, {tests!r})
    from harness.bound_converter import CONVERTER
    thb.disconnect()
    thb.connect(data_converter=CONVERTER, require_encoded=True)

    def explore():
        raise KeyError({secret!r})

    with thb.Activity.from_env() as act:
        try:
            explore()
        except KeyError as error:
            cause = error
        act.fail({secret!r}, type="Broken", non_retryable=True, details=[{secret!r}], cause=cause)
"""


def test_client_with_the_same_converter_reads_the_texts_of_a_failure(server: Server, start_child: StartChild) -> None:
    @activity.defn
    async def hand_over() -> Any:
        child = await asyncio.to_thread(start_child, FAILING.format(tests=str(ROOT / "tests"), secret=SECRET))
        child.write_line(json.dumps(handoff.environment(activity.info(), data_converter=CONVERTER, base={})))
        activity.raise_complete_async()

    [outcome] = asyncio.run(run_workflows(server, CONVERTER, hand_over))
    assert isinstance(outcome, WorkflowFailureError)
    assert isinstance(outcome.cause, ActivityError)
    error = outcome.cause.cause
    assert isinstance(error, ApplicationError)
    assert (error.message, error.type, list(error.details)) == (SECRET, "Broken", [SECRET])
    cause = error.cause
    assert isinstance(cause, ApplicationError)
    assert (cause.message, cause.type) == (repr(SECRET), "KeyError")
    assert cause.failure
    assert "explore" in cause.failure.stack_trace
