"""The functions of Python's `aio`: one request each, and no thread."""

from temporalio.exceptions import CancelledError

from harness.activities import Kind
from harness.fixtures import StartActivity
from harness.python_child import StartChild

COMPLETE = """
    async def main():
        token = thb.token_from_env()
        assert not await aio.get_details(token)
        await aio.heartbeat(token, {"item": 41}, b"raw")
        details = await aio.get_details(token)
        assert details[1] == b"raw"
        report(details[0])
        await aio.complete(token, "done")
        try:
            await aio.complete(token, "done again")
        except thb.NotFoundError:
            report("over")
    asyncio.run(main())
"""


def test_one_activity_is_ended_by_awaited_calls(kind: Kind, start: StartActivity, start_child: StartChild) -> None:
    child = start_child(COMPLETE)
    activity = start(kind)
    child.hand_over(activity.next_attempt())
    assert child.receive() == [{"item": 41}]
    assert child.receive() == ["over"]
    assert child.wait() == 0
    assert activity.result() == "done"


REPORT_CANCELLED = """
    async def main():
        token = thb.token_from_env()
        report("started")
        while not await aio.heartbeat(token, 41) & thb.Signals.CANCEL_REQUESTED:
            await asyncio.sleep(0.05)
        await aio.report_cancelled(token, "cleaned up")
    asyncio.run(main())
"""


def test_awaited_heartbeat_returns_the_cancellation(kind: Kind, start: StartActivity, start_child: StartChild) -> None:
    child = start_child(REPORT_CANCELLED)
    activity = start(kind)
    child.hand_over(activity.next_attempt())
    assert child.receive() == ["started"]
    activity.request_cancel()
    assert child.wait() == 0
    error = activity.failure()
    assert isinstance(error, CancelledError)
    assert list(error.details) == ["cleaned up"]
