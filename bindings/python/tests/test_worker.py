"""What a `Worker` refuses without a server. tests/python_worker has the scenarios with one."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
from support import BlackHole

import temporal_heartbeat as thb

if TYPE_CHECKING:
    from decimal import Decimal


@pytest.fixture
def worker() -> Iterator[thb.Worker]:
    with thb.Worker("queue") as made:
        yield made
        made.close(timeout=0)  # the server never ends the polls


def body() -> None:
    pass


async def coroutine() -> None:
    pass


class Called:
    """An activity that is an object."""

    async def __call__(self, number: int) -> None:
        pass


def registered_too_early() -> None:
    pass


def generator() -> Iterator[int]:
    yield 1


def unreadable(number: Decimal) -> None:
    pass


def test_an_unknown_option_is_refused() -> None:
    with pytest.raises(TypeError, match=r"Worker.* has no option 'max_concurrency': did you mean"):
        thb.Worker("queue", max_concurrency=3)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="a str, not int"):
        thb.Worker(5)  # type: ignore[arg-type]
    for wrong in ("solve", 5, [1], [""]):
        with pytest.raises(TypeError, match=r"activity.type"):
            thb.Worker("queue", activity_types=wrong)  # type: ignore[arg-type]
    with pytest.raises(
        TypeError, match="stall_timeout is a number of seconds or a timedelta, not str"
    ):
        thb.Worker("queue", stall_timeout="5")  # type: ignore[arg-type]


def test_a_registered_function_stays_as_it_is(worker: thb.Worker) -> None:
    assert worker.activity(body) is body
    assert worker.activity(name="other")(body) is body


def test_functions_that_can_not_be_activities_are_refused(worker: thb.Worker) -> None:
    worker.activity(body)
    with pytest.raises(thb.errors.InvalidArgumentError, match="two activities with the name body"):
        worker.activity(body)
    with pytest.raises(thb.errors.InvalidArgumentError, match="generator is a generator"):
        worker.activity(generator)
    for not_a_function in (5, "name", dict):
        with pytest.raises(TypeError, match="an activity is a function, not"):
            worker.activity(not_a_function)  # type: ignore[type-var]
    for name in (5, ""):
        with pytest.raises(TypeError, match="a str that isn't empty"):
            worker.activity(name=name)(body)  # type: ignore[arg-type]
    for nameless in (partial(body), Called()):
        with pytest.raises(
            thb.errors.InvalidArgumentError, match=r"register it with activity\(name"
        ):
            worker.activity(nameless)
        assert worker.activity(name=type(nameless).__name__)(nameless) is nameless
    worker.activity(unreadable)
    with pytest.raises(thb.errors.InvalidArgumentError, match="Import the name at the top"):
        worker.run()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"max_workers": 0}, "max_workers is a number, at least 1, not 0"),
        ({"shutdown_grace": -1}, "shutdown_grace"),
        ({"signals": [signal.SIGKILL]}, "can't shut the worker down"),
        ({"max_workers": True}, "max_workers is a number, at least 1, not True"),
    ],
)
@pytest.mark.usefixtures("connected")
def test_an_invalid_option_of_run_is_refused(
    worker: thb.Worker, options: Any, message: str
) -> None:
    worker.activity(body)
    with pytest.raises(thb.errors.InvalidArgumentError, match=message):
        worker.run(**options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"shutdown_grace": "5"}, "shutdown_grace is a number of seconds or a timedelta, not str"),
        ({"signals": signal.SIGTERM}, "signals is a sequence, such as"),
        ({"signals": ["SIGTERM"]}, "signals has numbers"),
    ],
)
@pytest.mark.usefixtures("connected")
def test_a_wrong_type_of_an_option_of_run_is_refused(
    worker: thb.Worker, options: Any, message: str
) -> None:
    worker.activity(body)
    with pytest.raises(TypeError, match=message):
        worker.run(**options)


@pytest.mark.usefixtures("disconnected")
def test_a_worker_needs_activities_and_a_connection(worker: thb.Worker) -> None:
    with pytest.raises(thb.errors.InvalidArgumentError, match="has no activities"):
        worker.run()
    with pytest.raises(thb.errors.NotConnectedError):
        worker.next(0)
    worker.activity(body)
    with pytest.raises(thb.errors.NotConnectedError):
        worker.run()


@pytest.mark.usefixtures("connected")
def test_options_that_the_library_refuses_name_the_option() -> None:
    with pytest.raises(thb.errors.ConfigError, match="max_concurrent"):
        thb.Worker("queue", max_concurrent=-1).next(0)
    with pytest.raises(thb.errors.ConfigError, match="max_concurrent"):
        thb.Worker("queue", max_concurrent=0).next(0)
    with pytest.raises(thb.errors.InvalidArgumentError, match="max_per_second can't be nan"):
        thb.Worker("queue", max_per_second=float("nan")).next(0)
    with pytest.raises(TypeError, match="build_id can't be b'1': a bytes isn't"):
        thb.Worker("queue", build_id=b"1").next(0)  # type: ignore[arg-type]
    with pytest.raises(thb.errors.ConfigError, match="build_id must be given together"):
        thb.Worker("queue", deployment_name="name").next(0)
    with_types = thb.Worker("queue", activity_types=["other"])
    with_types.activity(body)
    with pytest.raises(thb.errors.InvalidArgumentError, match="for the activity_types other"):
        with_types.run()


@pytest.mark.usefixtures("connected")
def test_a_polling_worker_takes_no_more_activities(worker: thb.Worker) -> None:
    assert worker.next(0) is None
    assert worker.next(0.01) is None
    os.close(worker.open_fd())
    with pytest.raises(thb.errors.InvalidArgumentError, match="registered too late"):
        worker.activity(body)


@pytest.mark.usefixtures("connected")
def test_a_worker_that_was_shut_down_before_it_polls_has_ended(worker: thb.Worker) -> None:
    worker.shutdown()
    worker.activity(body)
    with pytest.raises(thb.errors.EndedError, match="make another one"):
        worker.run()
    with pytest.raises(thb.errors.EndedError, match="make another one"):
        worker.next()


@pytest.mark.usefixtures("connected")
def test_a_closed_worker_ends_the_calls_of_other_threads(worker: thb.Worker) -> None:
    raised: list[BaseException] = []

    def take() -> None:
        try:
            worker.next()
        except BaseException as error:
            raised.append(error)

    os.close(worker.open_fd())
    thread = threading.Thread(target=take)
    thread.start()
    worker.close(timeout=0)
    thread.join()
    assert isinstance(raised[0], (thb.errors.InvalidHandleError, thb.errors.EndedError))


def test_disconnecting_ends_run(connected: BlackHole, worker: thb.Worker) -> None:
    worker.activity(body)

    async def main() -> None:
        serving = asyncio.ensure_future(worker.serve())
        await asyncio.to_thread(connected.wait_for_request)
        thb.disconnect(timeout=0.1)
        with pytest.raises(thb.errors.NotConnectedError):
            await serving

    asyncio.run(main())


@pytest.mark.usefixtures("connected")
def test_a_worker_is_closed_after_a_disconnect(worker: thb.Worker) -> None:
    with worker:
        assert worker.next(0) is None
        thb.disconnect(timeout=0.1)


@pytest.mark.usefixtures("connected")
def test_a_forked_child_can_not_use_the_worker(worker: thb.Worker) -> None:
    os.close(worker.open_fd())
    child = os.fork()
    if child == 0:
        status = 1
        try:
            worker.next(0)
        except thb.errors.ForkedError:
            worker.close()
            status = 0
        finally:
            os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert worker.next(0) is None


@pytest.mark.usefixtures("connected")
def test_a_worker_that_is_deleted_while_it_polls_warns() -> None:
    workers = [thb.Worker("queue")]
    assert workers[0].next(0) is None
    with pytest.warns(ResourceWarning, match="unclosed <temporal_heartbeat"):
        workers.clear()


def test_no_activity_has_a_task_without_a_worker(disconnected: None) -> None:
    with thb.Activity.from_env(when_absent="inactive") as act:
        assert act.task is None


@thb.apart(max_concurrent=3)
def apart_body() -> None:
    pass


@pytest.mark.parametrize(
    ("activities", "slots"),
    [([body], 5), ([apart_body], 3), ([body, apart_body], 8), ([body, coroutine], 100)],
)
def test_the_slots_are_the_threads_and_the_processes(
    worker: thb.Worker, activities: Any, slots: int
) -> None:
    for function in activities:
        worker.activity(function)
    assert worker._slots(5) == slots


def test_the_decorator_of_the_worker_must_be_above_apart(worker: thb.Worker) -> None:
    with pytest.raises(thb.errors.InvalidArgumentError, match="must be above @apart"):
        thb.apart(worker.activity(registered_too_early))
