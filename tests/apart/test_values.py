"""Arguments, results and exceptions of activities that run apart."""

import signal
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
@pytest.mark.parametrize("length", [1, 1_000_000])
def test_failure_to_start_says_why(world: World, length: int) -> None:
    failure = world.start("without_server", length * "x", maximum_attempts=1).failure()
    assert "UnavailableError: " in str(failure)
    assert "127.0.0.1:1" in str(failure)


@pytest.mark.usefixtures("worker")
def test_another_activity_cannot_call_a_decorated_function(world: World) -> None:
    failure = world.start("calling", maximum_attempts=1).failure()
    assert "only as an activity of its own, not within calling" in str(failure)


@pytest.mark.usefixtures("worker")
def test_exit_of_a_coroutine_is_a_failure_and_keeps_the_record(world: World) -> None:
    assert world.start("exiting").result() == ["recorded"]


@pytest.mark.usefixtures("worker")
def test_exception_without_a_text_is_a_failure(world: World) -> None:
    failure = world.start("raising_unreadable", maximum_attempts=1).failure()
    assert isinstance(failure, ApplicationError)
    assert failure.type == "UnreadableError"


@pytest.mark.usefixtures("worker")
def test_processes_that_the_body_forks_have_the_default_handlers(world: World) -> None:
    assert world.start("ending_a_fork", maximum_attempts=1).result() == -signal.SIGTERM


def test_process_has_only_the_connection_of_its_worker(world: World) -> None:
    of_another_program = {"TEMPORAL_API_KEY": "secret", "TEMPORAL_PROFILE": "missing", "TEMPORAL_TLS": "true"}
    with world.worker(variables=of_another_program):
        assert world.start("function", CONFIG, result_type=Report, maximum_attempts=1).result().config == CONFIG


def test_worker_without_a_main_guard_is_not_run_again(world: World) -> None:
    program = world.folder / "unguarded.py"
    program.write_text(
        "import asyncio, sys\n"
        "import temporal_heartbeat as thb\n"
        "from temporalio import activity\n"
        "from apart import activities, worker\n"
        "@activity.defn\n"
        "@thb.apart\n"
        "def of_main() -> None: ...\n"
        "activities.ACTIVITIES.append(of_main)\n"
        "asyncio.run(worker.main(*sys.argv[1:]))\n"
    )
    with world.worker(program=program):
        failure = world.start("of_main", maximum_attempts=1).failure()
        assert "didn't start: the main module runs a worker when a process apart imports it" in str(failure)
        assert world.start("blocking_loop_in_worker", 0.0).result() == "done"
