"""Values, exceptions and concurrency of a Python worker without an SDK."""

import dataclasses
from datetime import UTC, datetime
from typing import Any

import pytest
from temporalio import workflow
from temporalio.client import WorkflowFailureError
from temporalio.exceptions import ActivityError, ApplicationError, CancelledError

from apart.codec import CONVERTERS
from harness.polling import wait_until
from harness.worker import ActivityOptions
from python_worker.world import World


@dataclasses.dataclass
class Config:
    name: str
    at: datetime
    raw: bytes
    color: int


@dataclasses.dataclass
class Report:
    config: Config
    factor: int
    facts: list[Any]


CONFIG = Config("name", datetime(2026, 1, 2, tzinfo=UTC), b"\0raw", 1)


@workflow.defn
class OnQueue:
    """Runs an activity of another queue, and fails with the activity's failure."""

    @workflow.run
    async def run(self, activity: str, queue: str) -> Any:
        return await workflow.execute_activity(
            activity,
            task_queue=queue,
            cancellation_type=workflow.ActivityCancellationType.WAIT_CANCELLATION_COMPLETED,
            **ActivityOptions(maximum_attempts=1, heartbeat_timeout_ms=2_000).as_arguments(),
        )


@pytest.mark.parametrize("name", ["function", "async def"])
def test_arguments_and_results_have_their_types(shared: World, name: str) -> None:
    given = shared.start(name, CONFIG, 5, result_type=Report).result()
    assert given == Report(CONFIG, 5, [name, shared.queue, 1, ""])
    assert shared.start(name, CONFIG, result_type=Report).result().factor == 3


def test_codec_encodes_all_values(world: World) -> None:
    converter = CONVERTERS["picklable"]
    with world.worker(codec=True):
        running = world.start("async def", CONFIG, 5, result_type=Report, converter=converter)
        assert running.result().config == CONFIG
        assert {one.metadata["encoding"] for one in running.stored_payloads()} == {b"binary/reversed"}
        assert world.start("loop", 3, -1, converter=converter).result() == [0, 1, 2]


def test_exception_reaches_the_workflow_with_its_stack_and_cause(shared: World) -> None:
    with shared.sdk_worker.worker_on(f"{shared.queue}-workflows", OnQueue):
        client = shared.sdk_worker.client
        running = client.execute_workflow(
            OnQueue.run,
            args=["raising", shared.queue],
            id=shared.queue,
            task_queue=f"{shared.queue}-workflows",
        )
        with pytest.raises(WorkflowFailureError) as raised:
            shared.sdk_worker.run(running)
    assert isinstance(raised.value.cause, ActivityError)
    failure = raised.value.cause.cause
    assert isinstance(failure, ApplicationError)
    assert (failure.message, failure.type) == ("the failure", "RuntimeError")
    assert failure.failure
    assert "in raising" in failure.failure.stack_trace
    assert isinstance(failure.cause, ApplicationError)
    assert (failure.cause.message, failure.cause.type) == ("the cause", "ValueError")


@pytest.mark.parametrize(
    ("name", "arguments", "kind", "message"),
    [
        ("not_json", [], "TypeError", "a object can't be converted to JSON"),
        ("exiting", [], "SystemExit", "7"),
        ("coroutine of a function", [], "TypeError", "returned a coroutine, which is awaited only if"),
        ("function", ["text"], "TypeError", "the argument 1 (config) of function can't be converted: "),
        ("function", [CONFIG, 1, 2], "TypeError", "function() takes from 1 to 2 positional arguments"),
    ],
)
def test_body_without_a_result_fails_its_attempt_only(
    shared: World, name: str, arguments: list[Any], kind: str, message: str
) -> None:
    failure = shared.start(name, *arguments, maximum_attempts=1).failure()
    assert isinstance(failure, ApplicationError)
    assert failure.type == kind
    assert message in failure.message
    assert shared.start("nothing").result() is None


@pytest.mark.parametrize("name", ["fork_in_a_function", "fork_in_a_coroutine"])
@pytest.mark.parametrize(("end", "status"), [("exit", 7), ("return", 0)])
def test_forked_process_ends_with_the_body(shared: World, name: str, end: str, status: int) -> None:
    assert shared.start(name, end, maximum_attempts=1).result() == status
    assert shared.start("nothing").result() is None


@pytest.mark.parametrize("name", ["meet_in_threads", "meet_in_coroutines", "meet_and_return_the_id"])
def test_bodies_run_at_the_same_time(shared: World, name: str) -> None:
    started = [shared.start(name, maximum_attempts=1) for _ in range(3)]
    for running in started:
        assert running.result() in (None, [running.id])


def test_cancellation_reaches_a_coroutine_and_a_function(shared: World) -> None:
    started = [
        shared.start("waiting", heartbeat_timeout_ms=2_000),
        shared.start("loop", 3, 1, heartbeat_timeout_ms=2_000),
    ]
    shared.expect("attempt-1")
    for running in started:
        running.request_cancel()
    for running in started:
        assert isinstance(running.failure(), CancelledError)
    assert (shared.folder / "cleaned up").exists()


def test_unknown_type_goes_back_to_the_queue(shared: World) -> None:
    running = shared.start("unknown", maximum_attempts=1)
    failure = running.failure()
    assert isinstance(failure, ApplicationError)
    assert failure.type == "NotFoundError"
    assert not failure.non_retryable
    assert "no activity of type unknown is run by this worker" in failure.message


def test_each_of_200_activities_runs_once(world: World) -> None:
    started = world.start_many("nothing", 200, maximum_attempts=1)
    with world.worker():
        assert world.results(started) == [None] * 200


def test_killed_worker_is_followed_by_one_that_resumes(world: World) -> None:
    running = world.start("loop", 6, 3, heartbeat_timeout_ms=2_000)
    with world.worker() as first:
        world.expect("attempt-1")
        first.kill()
    world.go()
    with world.worker():
        assert running.result() == [3, 4, 5]
    assert running.attempt() == 2


def test_heartbeats_do_not_need_the_body(world: World) -> None:
    """Between the records of the body the library heartbeats."""
    with world.worker():
        running = world.start("waiting", heartbeat_timeout_ms=2_000)
        world.expect("attempt-1")
        wait_until(lambda: running.beats() >= 3, "three heartbeats")
        assert running.heartbeat_details() == ["recorded"]
        assert running.attempt() == 1
