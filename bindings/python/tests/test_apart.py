"""The decorator `apart` without a worker. tests/apart tests it with workers and a server."""

from __future__ import annotations

import asyncio
import inspect
import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

import temporal_heartbeat as thb

temporalio = pytest.importorskip("temporalio")

from temporalio import activity, workflow  # noqa: E402
from temporalio.testing import ActivityEnvironment  # noqa: E402

if TYPE_CHECKING:
    from typing_extensions import assert_type


def add(first: int, second: int) -> int:
    return first + second


async def add_later(first: int, second: int) -> int:
    await asyncio.sleep(0)
    return first + second


def generate() -> Iterator[int]:
    yield 1


if TYPE_CHECKING:

    async def check_types() -> None:
        timeout = timedelta(1)
        for decorated in (thb.apart(add), thb.apart(stall_timeout=1)(add), thb.apart(add_later)):
            assert_type(await decorated(1, 2), int)
        result = await workflow.execute_activity(
            thb.apart(add), args=[1, 2], start_to_close_timeout=timeout
        )
        assert_type(result, int)


@activity.defn
@thb.apart(stall_timeout=600)
def describe(item: str) -> list[Any]:
    act = thb.current_activity()
    activity_info = activity.info() if activity.in_activity() else None
    act.heartbeat(item)
    return [act.info["state"], list(act.details()), activity_info and activity_info.activity_id]


@activity.defn
@thb.apart
async def describe_later(item: str) -> list[Any]:
    act = thb.current_activity()
    act.heartbeat(item)
    return [act.info["state"], list(await act.details())]


def test_decorated_function_is_a_coroutine_function_with_the_same_signature() -> None:
    for function in (add, add_later):
        decorated = thb.apart(function)
        assert inspect.iscoroutinefunction(decorated)
        assert inspect.signature(decorated) == inspect.signature(function)
        assert decorated.__name__ == function.__name__


def test_functions_that_no_other_process_can_import_are_refused() -> None:
    def local() -> None: ...

    for function in (local, lambda: None):
        with pytest.raises(thb.InvalidArgumentError, match="by its name: define it at the top"):
            thb.apart(function)
        with pytest.raises(thb.InvalidArgumentError, match="by its name"):
            thb.apart(initializer=function)
    with pytest.raises(thb.InvalidArgumentError, match="is a function"):
        thb.apart(print)


def test_generators_are_refused() -> None:
    with pytest.raises(thb.InvalidArgumentError, match="is a generator"):
        thb.apart(generate)


def test_function_of_an_interpreter_without_a_file_is_refused() -> None:
    program = "import temporal_heartbeat as thb\n@thb.apart\ndef body(): ...\n"
    package = os.path.dirname(os.path.dirname(thb.__file__))
    done = subprocess.run(
        [sys.executable, "-"],
        input=program,
        env={**os.environ, "PYTHONPATH": package},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "can't import __main__.body by its name" in done.stderr


def test_wrong_order_of_the_decorators_is_refused() -> None:
    decorated = activity.defn(name="wrong-order")(lambda: None)
    with pytest.raises(thb.InvalidArgumentError, match="must be above @apart"):
        thb.apart(decorated)


@pytest.mark.parametrize(
    "options",
    [
        {"start_method": "fork"},
        {"when_worker_ends": "kill"},
        {"max_concurrent": 0},
        {"memory_limit": 0.5},
        {"cpu_time_limit": -1},
        {"stall_timeout": -1},
        {"start_timeout": -1},
    ],
)
def test_invalid_options_are_refused(options: Any) -> None:
    [name] = options
    with pytest.raises(thb.InvalidArgumentError, match=name):
        thb.apart(**options)


def test_unknown_option_is_a_type_error() -> None:
    with pytest.raises(TypeError, match="did you mean 'stall_timeout'"):
        thb.apart(stal_timeout=1)  # type: ignore[call-overload]


def test_body_runs_here_outside_of_a_worker(disconnected: None) -> None:
    assert asyncio.run(describe("by hand")) == ["inactive", [], None]
    assert asyncio.run(describe_later("by hand")) == ["inactive", []]


def test_body_runs_here_in_the_test_environment_of_the_sdk(disconnected: None) -> None:
    client: Any = object()
    for environment in (ActivityEnvironment(), ActivityEnvironment(client)):
        assert asyncio.run(environment.run(describe, "in a test")) == ["inactive", [], "test"]
        assert asyncio.run(environment.run(describe_later, "in a test")) == ["inactive", []]


def test_no_activity_is_current_elsewhere() -> None:
    with pytest.raises(RuntimeError, match="no activity is current"):
        thb.current_activity()
