"""Bodies that hang: the failure shows where, and the retry resumes."""

import pytest
from temporalio.exceptions import ApplicationError

from apart.world import World

HANGS = {
    "stalling": "where_the_body_hangs",
    "stalling_with_gil": "hold_gil_forever",
    "stalling_coroutine": "where_the_body_hangs",
}


@pytest.mark.usefixtures("worker")
def test_failure_shows_where_the_body_hangs_and_the_retry_resumes(world: World) -> None:
    # Neither attempt can end by the heartbeat timeout, which is longer than this test waits.
    failing = {body: world.start(body, maximum_attempts=1, heartbeat_timeout_ms=600_000) for body in HANGS}
    retried = [world.start(body, heartbeat_timeout_ms=600_000) for body in HANGS]
    for body, culprit in HANGS.items():
        failure = failing[body].failure()
        assert isinstance(failure, ApplicationError)
        assert (failure.type, failure.non_retryable) == ("Stalled", False)
        assert "status: item 42" in failure.message
        assert failure.failure
        [first, *_] = failure.failure.stack_trace.split("\n\n")
        assert first.startswith("Current thread")
        assert f"in {culprit}" in first, failure.failure.stack_trace
    assert [running.result() for running in retried] == [[41]] * len(HANGS)
