"""`work --stall-action fail`: the failure shows the process that hangs, and the retry runs."""

import re
from datetime import timedelta

import pytest
from temporalio.client import ActivityFailureError
from temporalio.common import RetryPolicy
from temporalio.exceptions import ApplicationError

from harness.fixtures import StartOnQueue
from harness.program import StartProgram
from harness.worker import SdkWorker

FAIL = ["--stall-timeout", "300ms", "--stall-action", "fail", "--grace", "500ms", "--result", "output"]


@pytest.mark.parametrize("on_stall", ["", "echo dump of {pid}"])
def test_failure_shows_the_process_that_hangs(
    on_stall: str, sdk_worker: SdkWorker, queue: str, start_here: StartOnQueue, start_program: StartProgram
) -> None:
    flags = [*FAIL, "--max-tasks", "1", *(["--on-stall", on_stall] if on_stall else [])]
    running = start_program("work", "-t", queue, *flags, "--", "sh", "-c", "sleep 1000")
    # The worker's program still runs, so it can't be the heartbeat timeout.
    handle = start_here(heartbeat_timeout=timedelta(minutes=1), retry_policy=RetryPolicy(maximum_attempts=1))
    with pytest.raises(ActivityFailureError) as caught:
        sdk_worker.run(handle.result(), timeout=60)
    assert running.ends() == 0
    error = caught.value.cause
    assert isinstance(error, ApplicationError)
    assert (error.type, error.non_retryable) == ("Stalled", False)
    assert re.search(r"; sleep \(pid \d+\) waits$", error.message), error.message
    assert error.failure
    shown = r"sleep \(pid (\d+)\) waits: state S.*\nsh \(pid \d+\) waits for a child process.*"
    dump = r"\n\n--on-stall: exit code 0\ndump of \1" if on_stall else ""
    assert re.fullmatch(shown + dump, error.failure.stack_trace), error.failure.stack_trace


def test_hung_task_is_retried_and_the_other_one_is_left_alone(
    sdk_worker: SdkWorker, queue: str, start_here: StartOnQueue, start_program: StartProgram
) -> None:
    hangs = "test $TEMPORAL_ACTIVITY_ATTEMPT = 1 && grep -q hangs && sleep 1000"
    works = "for i in 1 2 3 4 5 6 7 8 9 10 11 12; do echo $i; sleep 0.2; done; echo done"
    command = ["sh", "-c", f"{hangs}; {works}"]
    flags = ["--stall-timeout", "2s", "--stall-action", "fail", "--max-tasks", "3", "--concurrency", "2"]
    handles = [start_here(what, heartbeat_timeout=timedelta(minutes=1)) for what in ("hangs", "works")]
    running = start_program("work", "-t", queue, *flags, "--", *command)
    for handle in handles:
        assert sdk_worker.run(handle.result(), timeout=60) == 0
    assert running.ends() == 0
    assert running.errors().count("reported as failed with Stalled") == 1, running.errors()
