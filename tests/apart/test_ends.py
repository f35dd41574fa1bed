"""The end of a worker, of a process apart, and of both, at any moment."""

import os
import signal

import pytest
from temporalio.exceptions import ApplicationError

from apart.world import World, children_of, descriptors_of, exists, wait_for_end
from harness.polling import wait_until
from harness.process import Process

START_METHODS = ["spawn", "forkserver"]
# For the tests in which the start method matters less.
MAIN_START_METHODS = START_METHODS if os.environ.get("THB_SLOW") == "1" else ["forkserver"]


def terminate(worker: Process) -> None:
    """Lets the worker shut down. Its exit status isn't checked: interpreters with the SDK sometimes abort at exit."""
    os.kill(worker.pid, signal.SIGTERM)
    worker.close_stdin()


@pytest.mark.parametrize("start_method", START_METHODS)
@pytest.mark.parametrize("body", ["waiting", "waiting_in_c"])
def test_processes_of_a_killed_worker_die_and_the_retry_resumes(world: World, body: str, start_method: str) -> None:
    with world.worker(start_method=start_method) as worker:
        running = world.start(body, str(world.folder), heartbeat_timeout_ms=5_000)
        process = world.pid(attempt=1)
        worker.kill()
        wait_for_end(process)
    with world.worker(start_method=start_method):
        assert running.result() == [2, 1]


@pytest.mark.parametrize(
    ("body", "resumed_from"), [("waiting", 1), ("waiting_coroutine", "cleaned up"), ("waiting_in_c", 1)]
)
def test_terminated_worker_ends_the_processes_and_the_retry_resumes(
    world: World, body: str, resumed_from: object
) -> None:
    # A process that can run Python code fails its attempt. The long timeout shows that it did.
    timeout_ms = 3_000 if body == "waiting_in_c" else 600_000
    with world.worker() as worker:
        running = world.start(body, str(world.folder), heartbeat_timeout_ms=timeout_ms)
        process = world.pid(attempt=1)
        terminate(worker)
        wait_for_end(process)
    with world.worker():
        assert running.result() == [2, resumed_from]


@pytest.mark.parametrize("is_killed", [False, True], ids=["terminated", "killed"])
@pytest.mark.parametrize("start_method", MAIN_START_METHODS)
def test_process_finishes_after_its_worker_if_asked(world: World, start_method: str, is_killed: bool) -> None:
    with world.worker(start_method=start_method) as worker:
        running = world.start("finishing", str(world.folder), heartbeat_timeout_ms=5_000)
        process = world.pid(attempt=1)
        if is_killed:
            worker.kill()
        else:
            terminate(worker)
    assert exists(process)
    world.go()
    assert running.result() == [1]
    wait_for_end(process)


@pytest.mark.parametrize("start_method", MAIN_START_METHODS)
@pytest.mark.parametrize("cause", ["SIGKILL", "SIGSEGV", "exit"])
def test_death_of_a_process_is_a_failure_at_once(world: World, cause: str, start_method: str) -> None:
    with world.worker(start_method=start_method):
        # It can't be the heartbeat timeout, which is longer than this test waits.
        assert world.start("dying", cause, heartbeat_timeout_ms=600_000).result() == "second attempt"
        failure = world.start("dying", cause, heartbeat_timeout_ms=600_000, maximum_attempts=1).failure()
        assert isinstance(failure, ApplicationError)
        assert failure.type == "ApartError"
        assert ("exited with status 3" if cause == "exit" else f"killed by {cause}") in failure.message


@pytest.mark.usefixtures("worker")
def test_killed_process_is_retried_from_its_last_record(world: World) -> None:
    running = world.start("waiting", str(world.folder), heartbeat_timeout_ms=600_000)
    os.kill(world.pid(attempt=1), signal.SIGKILL)
    assert running.result() == [2, 1]


def test_worker_and_process_are_killed_and_the_retry_resumes(world: World) -> None:
    with world.worker() as worker:
        running = world.start("waiting", str(world.folder), heartbeat_timeout_ms=5_000)
        process = world.pid(attempt=1)
        os.kill(process, signal.SIGKILL)
        worker.kill()
    with world.worker():
        assert running.result() == [2, 1]


@pytest.mark.usefixtures("worker")
def test_processes_that_the_body_leaves_end_with_it(world: World) -> None:
    assert world.start("leaving_processes", str(world.folder)).result() == "done"
    wait_for_end(int((world.folder / "left").read_text()))


@pytest.mark.parametrize("start_method", MAIN_START_METHODS)
def test_processes_of_the_body_die_with_a_killed_worker(world: World, start_method: str) -> None:
    with world.worker(start_method=start_method) as worker:
        world.start("waiting_with_a_process", str(world.folder), maximum_attempts=1)
        process = world.pid(attempt=1)
        worker.kill()
        wait_for_end(process)
        wait_for_end(int((world.folder / "left").read_text()))


@pytest.mark.parametrize("body", ["hanging", "swallowing"])
@pytest.mark.usefixtures("worker")
def test_hung_process_ends_and_its_place_is_free_for_the_retry(world: World, body: str) -> None:
    running = world.start(body, str(world.folder), heartbeat_timeout_ms=3_000)
    process = world.pid(attempt=1)
    assert running.result() == 2
    wait_for_end(process)


def test_thread_that_the_body_leaves_keeps_no_process(world: World, worker: Process) -> None:
    before = children_of(worker.pid)
    assert world.start("leaving_a_thread").result() == "done"
    wait_until(lambda: len(children_of(worker.pid) - before) <= 1, "only the resource tracker")


def test_worker_keeps_no_process_and_no_descriptor(world: World, worker: Process) -> None:
    count = 1000 if os.environ.get("THB_SLOW") == "1" else 20
    assert world.start("adding", 0).result() == 1  # starts the forkserver
    wait_until(lambda: len(children_of(worker.pid)) == 2, "only the forkserver and the resource tracker")
    children, descriptors = children_of(worker.pid), descriptors_of(worker.pid)
    started = [world.start("adding", number) for number in range(count)]
    assert [running.result() for running in started] == list(range(1, count + 1))
    wait_until(lambda: children_of(worker.pid) == children, "the end of the processes")
    wait_until(lambda: descriptors_of(worker.pid) <= descriptors, "the descriptors are closed")
    # The processes are children of the forkserver.
    wait_until(lambda: not any(map(children_of, children)), "the end of the forkserver's processes")
