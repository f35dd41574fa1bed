"""Two activities on one connection, each with a converter of the SDK that is bound to it."""

import asyncio
import base64
import json
import uuid
from datetime import timedelta
from typing import Any

import cryptography.exceptions
import pytest
from temporalio import activity, workflow
from temporalio.api.common.v1 import Payloads
from temporalio.client import Client
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

from harness.activities import WorkflowActivity
from harness.bound_converter import CONVERTER, ENCODING, converter_of
from harness.fixtures import StartActivity
from harness.paths import ROOT
from harness.python_child import StartChild
from harness.server import Server

HELD_OPEN = """
    with (
        thb.Activity(token, data_converter=converter_of(first)) as one,
        thb.Activity(other_token, data_converter=converter_of(second)) as two,
    ):
        one.heartbeat({"item": 41})
        two.heartbeat(b"raw", 42)
        one.flush()
        two.flush()
"""

WITH_ASYNCIO = """
    async def main():
        async with (
            aio.Activity.from_env(data_converter=converter_of(first)) as one,
            aio.Activity(other_token, data_converter=converter_of(second)) as two,
        ):
            one.heartbeat({"item": 41})
            two.heartbeat(b"raw", 42)
            await one.flush()
            await two.flush()
    asyncio.run(main())
"""

ONE_CALL_EACH = """
    thb.heartbeat(token, {"item": 41}, data_converter=converter_of(first))
    thb.heartbeat(other_token, b"raw", 42, data_converter=converter_of(second))
"""

PROGRAM = """
    import base64
    sys.path.insert(0, {tests!r})
    from harness.bound_converter import converter_of
    first, second, *tokens = json.loads(sys.stdin.readline())
    token, other_token = map(base64.b64decode, tokens)
    {record}
    report(list(thb.get_details(token, data_converter=converter_of(first))))
    report(len(thb.get_details(other_token, data_converter=converter_of(second))))
    with thb.Activity.from_env(data_converter=converter_of(first)) as again:
        report(again.details()[0])
    try:
        thb.get_details(token, data_converter=converter_of(second))
    except Exception as error:
        report(type(error).__name__)
    report(thb.get_details(token)[0].encoding)
"""


@pytest.mark.parametrize("record", [HELD_OPEN, WITH_ASYNCIO, ONE_CALL_EACH])
def test_two_activities_of_one_connection_have_their_own_converters(
    record: str, start: StartActivity, start_child: StartChild
) -> None:
    child = start_child(PROGRAM.format(tests=str(ROOT / "tests"), record=record.strip()))
    activities = [start("workflow"), start("workflow")]
    attempts = [one.next_attempt() for one in activities]
    child.hand_over(attempts[0])
    tokens = [base64.b64encode(attempt.token).decode() for attempt in attempts]
    child.write_line(json.dumps([one.ids()["workflow_id"] for one in activities] + tokens))

    assert child.receive() == [[{"item": 41}]]
    assert child.receive() == [2]
    assert child.receive() == [{"item": 41}]
    assert child.receive() == [cryptography.exceptions.InvalidTag.__name__]
    assert child.receive() == [ENCODING.decode()]  # the connection has no codec
    assert child.wait() == 0
    for one, values in zip(activities, ([{"item": 41}], [b"raw", 42]), strict=True):
        assert isinstance(one, WorkflowActivity)
        held = Payloads.FromString(one.last_heartbeat()[1]).payloads
        assert {payload.metadata["encoding"] for payload in held} == {ENCODING}
        assert asyncio.run(converter_of(one.workflow_id).decode(held)) == values
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


TWO_ATTEMPTS_EACH = """
    import base64
    sys.path.insert(0, {tests!r})
    from harness.bound_converter import converter_of
    report("begun")
    for line in sys.stdin:
        workflow_id, token = json.loads(line)
        converter = converter_of(workflow_id)
        with thb.Activity(base64.b64decode(token), data_converter=converter) as act:
            item = act.details(default=0)
            if item:
                act.complete({{"after": item}})
            else:
                act.heartbeat(workflow_id)
                act.fail("once more", details=["secret of", workflow_id])
        report("done")
"""


def test_worker_with_a_bound_converter_reads_the_values_of_the_child(server: Server, start_child: StartChild) -> None:
    child = start_child(TWO_ATTEMPTS_EACH.format(tests=str(ROOT / "tests")))
    child.write_line("{}")
    assert child.receive() == ["begun"]
    read: list[tuple[int, list[Any]]] = []

    @activity.defn
    async def hand_over() -> Any:
        info = activity.info()
        read.append((info.attempt, list(info.heartbeat_details)))
        child.write_line(json.dumps([info.workflow_id, base64.b64encode(info.task_token).decode()]))
        assert await asyncio.to_thread(child.receive) == ["done"]
        activity.raise_complete_async()

    async def run_two() -> list[Any]:
        client = await Client.connect(server.address, data_converter=CONVERTER)
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
            return [
                await client.execute_workflow(Bound.run, id=f"{queue}-{number}", task_queue=queue)
                for number in range(2)
            ]

    results = asyncio.run(run_two())
    names = [result["after"] for result in results]
    assert len(set(names)) == 2
    assert read == [(1, []), (2, [names[0]]), (1, []), (2, [names[1]])]
