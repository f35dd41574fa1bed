"""Two activities on one connection, each with a converter of the SDK that is bound to it."""

import asyncio
import base64
import json

import cryptography.exceptions
import pytest
from temporalio.api.common.v1 import Payloads

from harness.activities import WorkflowActivity
from harness.bound_converter import ENCODING, converter_of
from harness.fixtures import StartActivity
from harness.paths import ROOT
from harness.python_child import StartChild

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
    attempts = [activity.next_attempt() for activity in activities]
    child.hand_over(attempts[0])
    tokens = [base64.b64encode(attempt.token).decode() for attempt in attempts]
    child.write_line(json.dumps([activity.id for activity in activities] + tokens))

    assert child.receive() == [[{"item": 41}]]
    assert child.receive() == [2]
    assert child.receive() == [{"item": 41}]
    assert child.receive() == [cryptography.exceptions.InvalidTag.__name__]
    assert child.receive() == [ENCODING.decode()]  # the connection has no codec
    assert child.wait() == 0
    for activity, values in zip(activities, ([{"item": 41}], [b"raw", 42]), strict=True):
        assert isinstance(activity, WorkflowActivity)
        held = Payloads.FromString(activity.last_heartbeat()[1]).payloads
        assert {payload.metadata["encoding"] for payload in held} == {ENCODING}
        assert asyncio.run(converter_of(activity.id).decode(held)) == values
        activity.end_elsewhere()
