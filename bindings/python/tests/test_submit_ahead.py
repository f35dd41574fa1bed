"""`submit_ahead`: which items are submitted and cancelled, alone and below `track`."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor, wait

import pytest
from support import BlackHole

import temporal_heartbeat as thb
from temporal_heartbeat import Activity, submit_ahead, track


class Engine:
    """Records what is submitted and cancelled. A task is the text of its item."""

    def __init__(self) -> None:
        self.submitted: list[int] = []
        self.cancelled: list[str] = []

    def tasks(self, items: int, limit: int = 3) -> thb.SubmittedTasks[int, str]:
        return submit_ahead(self._submit, range(items), limit=limit, cancel=self.cancelled.extend)

    def _submit(self, item: int) -> str:
        self.submitted.append(item)
        return str(item)


def test_tasks_are_submitted_when_the_loop_is_near() -> None:
    engine = Engine()
    with engine.tasks(10) as tasks:
        assert engine.submitted == []
        for count, task in enumerate(tasks, 1):
            assert task == str(count - 1)
            assert engine.submitted == list(range(min(count + 2, 10)))


def test_tasks_that_the_loop_has_not_finished_are_cancelled() -> None:
    engine = Engine()
    with engine.tasks(10) as tasks:
        for task in tasks:
            if task == "2":
                break
    assert engine.cancelled == ["2", "3", "4"]


def test_nothing_is_cancelled_if_nothing_was_submitted() -> None:
    engine = Engine()
    with engine.tasks(0) as tasks:
        assert list(tasks) == []
    with engine.tasks(10):
        pass
    assert engine.cancelled == []


def test_recorded_items_are_not_submitted_again(connected: BlackHole) -> None:
    engine = Engine()
    with Activity(b"token", initial_details=[4], close_timeout=0) as act, engine.tasks(8) as tasks:
        assert list(track(tasks, act)) == ["5", "6", "7"]
    assert engine.submitted == [5, 6, 7]


def test_pool_runs_the_items_of_a_loop(connected: BlackHole) -> None:
    def cancel(tasks: list[Future[int]]) -> None:
        wait([task for task in tasks if not task.cancel()])

    with (
        ThreadPoolExecutor(2) as pool,
        Activity(b"token", initial_details=[], close_timeout=0) as act,
        submit_ahead(
            lambda item: pool.submit(pow, item, 2), range(6), limit=4, cancel=cancel
        ) as tasks,
    ):
        assert [task.result() for task in track(tasks, act)] == [0, 1, 4, 9, 16, 25]
        assert act.info["records"] == 6


def test_loop_of_fewer_items_than_recorded_is_refused(connected: BlackHole) -> None:
    engine = Engine()
    with (
        pytest.raises(thb.InvalidArgumentError, match="there are only 3 items"),
        Activity(b"token", initial_details=[4], close_timeout=0) as act,
        engine.tasks(3) as tasks,
    ):
        list(track(tasks, act))
    assert engine.submitted == []


def test_misuse_is_refused() -> None:
    engine = Engine()
    with pytest.raises(thb.InvalidArgumentError, match="limit must be at least 1"):
        engine.tasks(3, limit=0)
    with pytest.raises(TypeError, match="one by one"):
        engine.tasks(3)[-1]
    with pytest.raises(TypeError, match="one by one"):
        engine.tasks(3)[0:2]
