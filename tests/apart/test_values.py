"""Arguments, results and exceptions of activities that run apart."""

from datetime import UTC, datetime

import pytest
from temporalio.exceptions import ApplicationError, ApplicationErrorCategory

from apart.activities import Config, Report
from apart.world import World

CONFIG = Config("name", datetime(2026, 1, 2, tzinfo=UTC), b"\0raw")


@pytest.mark.parametrize("uvloop", [False, True])
@pytest.mark.parametrize("start_method", ["spawn", "forkserver"])
def test_arguments_and_results_have_their_types(world: World, start_method: str, uvloop: bool) -> None:
    with world.worker(start_method=start_method, uvloop=uvloop) as worker:
        started = [world.start(name, CONFIG, result_type=Report) for name in ("function", "coroutine")]
        for running in started:
            report = running.result()
            assert report.config == CONFIG
            assert report.arguments_are_typed
            assert report.process != worker.pid
            assert (report.worker == worker.pid) == (start_method == "spawn")


@pytest.mark.usefixtures("worker")
def test_exceptions_become_the_failures_of_the_sdk(world: World) -> None:
    failure = world.start("raising").failure()
    assert isinstance(failure, ApplicationError)
    assert (failure.message, failure.type, failure.non_retryable) == ("the failure", "OfThisTest", True)
    assert failure.category is ApplicationErrorCategory.BENIGN
    assert list(failure.details) == ["a detail", {"another": 2}]
    assert failure.failure
    assert "in raising" in failure.failure.stack_trace
    assert isinstance(failure.cause, ApplicationError)
    assert (failure.cause.message, failure.cause.type) == ("the cause", "ValueError")


@pytest.mark.usefixtures("worker")
def test_result_that_cannot_be_converted_fails_the_attempt(world: World) -> None:
    failure = world.start("result_without_form", maximum_attempts=1).failure()
    assert "can't be converted" in str(failure) or "not JSON" in str(failure) or "serializable" in str(failure)


@pytest.mark.usefixtures("worker")
def test_methods_run_apart(world: World) -> None:
    assert world.start("add", 2).result() == 42


@pytest.mark.usefixtures("worker")
def test_failure_to_start_says_why(world: World) -> None:
    failure = world.start("without_server", maximum_attempts=1).failure()
    assert "UnavailableError: " in str(failure)
    assert "127.0.0.1:1" in str(failure)
