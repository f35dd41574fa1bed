"""`track` in threads: what it skips, records, waits for and raises."""

from __future__ import annotations

import itertools
import logging
import threading
import uuid
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from datetime import timedelta
from typing import Any, Callable

import pytest
from support import BlackHole, Recorder

import temporal_heartbeat as thb
from temporal_heartbeat import Activity, Signals, aio, track
from temporal_heartbeat._current import set_current_activity

# The heartbeats of this token get the signals of Recorder.further_signals.
TOKEN = b"signals-0."


class RecordingActivity(Activity):
    """An activity that needs no server. It keeps what is recorded, and counts the flushes."""

    def __init__(self, details: Sequence[Any] = (), **options: Any) -> None:
        options = {"heartbeat_timeout": 30, "close_timeout": 0, **options}
        super().__init__(TOKEN, initial_details=details, **options)
        self.records: list[Any] = []
        self.flushes = 0
        self.flush_error: Exception | None = None

    def heartbeat(self, *details: Any) -> Signals:
        self.records += details
        return super().heartbeat(*details)

    def flush(self, *, timeout: float | None = 10.0) -> None:
        self.flushes += 1
        if self.flush_error is not None:
            raise self.flush_error


class Letters(Sequence[str]):
    """A sequence that reads its items, as a data set does. Counts the reads."""

    reads = 0

    def __len__(self) -> int:
        return 5

    def __getitem__(self, index: Any) -> str:
        type(self).reads += 1
        return "abcde"[index]


class OldSequence:
    """A sequence of the protocol without __iter__, like the data sets of PyTorch."""

    def __getitem__(self, index: int) -> str:
        return "abcde"[index]


def generator() -> Iterator[str]:
    yield from "abcde"


ITERABLES: dict[str, Callable[[], Any]] = {
    "list": lambda: list("abcde"),
    "tuple": lambda: tuple("abcde"),
    "text": lambda: "abcde",
    "deque": lambda: deque("abcde"),
    "dict": lambda: dict.fromkeys("abcde"),
    "sequence": Letters,
    "old sequence": OldSequence,
    "generator": generator,
    "iterator": lambda: iter("abcde"),
}
each_iterable = pytest.mark.parametrize("iterable", ITERABLES.values(), ids=ITERABLES)


def test_an_item_is_recorded_when_the_next_one_is_requested(connected: BlackHole) -> None:
    with RecordingActivity() as act:
        for index, item in enumerate(track("abc", act)):
            assert item == "abc"[index]
            assert act.records == list(range(index))
        assert act.records == [0, 1, 2]
        assert act.info["records"] == 3


@each_iterable
def test_items_that_are_done_are_skipped(iterable: Any, connected: BlackHole) -> None:
    with RecordingActivity() as act:
        assert list(track(iterable(), act)) == list("abcde")
        assert act.records == [0, 1, 2, 3, 4]
    with RecordingActivity([2]) as act:
        assert list(track(iterable(), act)) == ["d", "e"]
        assert act.records == [3, 4]


@each_iterable
def test_when_all_items_are_done_the_loop_is_empty(iterable: Any, connected: BlackHole) -> None:
    with RecordingActivity([4]) as act:
        assert list(track(iterable(), act)) == []
        assert act.records == []


@each_iterable
@pytest.mark.parametrize("index", [5, 6, 2**40, 2**70])
def test_an_index_beyond_the_end_is_an_error(
    iterable: Any, index: int, connected: BlackHole
) -> None:
    with RecordingActivity([index]) as act:
        with pytest.raises(thb.InvalidArgumentError, match=f"item {index} was the last one") as no:
            next(track(iterable(), act))
        assert "reset --reset-heartbeats" in str(no.value)
        assert act.records == []


def test_an_iterator_counts_from_its_position(connected: BlackHole) -> None:
    for details, expected in (([], ["b", "c", "d"]), ([1], ["d"])):
        lines = iter(["head", "b", "c", "d"])
        next(lines)
        with RecordingActivity(details) as act:
            assert list(track(lines, act)) == expected


def test_an_empty_iterable_records_nothing(connected: BlackHole) -> None:
    with RecordingActivity() as act:
        assert list(track([], act)) == []
        assert act.records == []


def test_items_of_a_sequence_are_skipped_without_reading_them(connected: BlackHole) -> None:
    many = 10**15
    with RecordingActivity([many - 3]) as act:
        assert list(track(range(many), act)) == [many - 2, many - 1]
    Letters.reads = 0
    with RecordingActivity([3]) as act:
        assert list(track(Letters(), act)) == ["e"]
    assert Letters.reads == 1


def test_items_that_are_appended_during_the_loop_follow(connected: BlackHole) -> None:
    for details, expected in (([], ["a", "b", "c"]), ([0], ["b", "c"])):
        items = ["a", "b"]
        with RecordingActivity(details) as act:
            done = []
            for item in track(items, act):
                done.append(item)
                if item == "b":
                    items.append("c")
            assert done == expected


def test_a_break_does_not_record_its_item(connected: BlackHole) -> None:
    with RecordingActivity() as act:
        for item in track("abc", act):
            if item == "c":
                break
        assert act.records == [0, 1]


def test_an_exception_of_the_body_does_not_record_its_item(connected: BlackHole) -> None:
    def fail_at_b(act: Activity) -> None:
        for item in track("abc", act):
            if item == "b":
                raise KeyError(item)

    with RecordingActivity() as act:
        with pytest.raises(KeyError):
            fail_at_b(act)
        assert act.records == [0]


def test_an_exception_of_the_iterable_is_raised_after_the_record(connected: BlackHole) -> None:
    def failing() -> Iterator[int]:
        yield 1
        raise OSError("no more")

    with RecordingActivity() as act:
        with pytest.raises(OSError, match="no more"):
            list(track(failing(), act))
        assert act.records == [0]


@pytest.mark.parametrize(
    "details",
    [[-1], [1.5], [1.0], [True], ["1"], [None], [b"1"], [{"item": 1}], [[1]], [1, 2]],
    ids=repr,
)
def test_details_that_are_no_index_are_an_error(details: list[Any], connected: BlackHole) -> None:
    with RecordingActivity(details) as act:
        with pytest.raises(ValueError, match="aren't the index of an item, but ") as caught:
            next(track("abc", act))
        assert repr(details[0]) in str(caught.value)
        assert act.records == []


def test_a_long_foreign_value_is_shortened_in_the_error(connected: BlackHole) -> None:
    with (
        RecordingActivity(["x" * 100_000]) as act,
        pytest.raises(ValueError, match="xxx") as caught,
    ):
        next(track("abc", act))
    assert len(str(caught.value)) < 1000


def test_keys_are_recorded_and_found_again(connected: BlackHole) -> None:
    files = [{"name": name} for name in "abcde"]
    with RecordingActivity() as act:
        for file in track(files, act, key=lambda file: file["name"]):
            file["name"] = "changed by the body"
        assert act.records == list("abcde")
    for items in (list("cabde"), iter("cabde")):
        with RecordingActivity(["b"]) as act:
            assert list(track(items, act, key=str)) == ["d", "e"]
            assert act.records == ["d", "e"]
    with RecordingActivity(["e"]) as act:
        assert list(track("abcde", act, key=str)) == []


@pytest.mark.parametrize("key", [("a", 1), ["a", {"b": None}], uuid.UUID(int=7), 1.5, True, None])
def test_a_key_is_any_value_for_json(key: Any, connected: BlackHole) -> None:
    with RecordingActivity() as act:
        list(track([key], act, key=lambda item: item))
        recorded = act.records
    with RecordingActivity(recorded) as act:
        assert list(track([0, 1, key, "next"], act, key=lambda item: item)) == ["next"]


@pytest.mark.parametrize("recorded", ["x", 7, True, {"a": 1}, [1]], ids=repr)
@pytest.mark.parametrize("items", [lambda: [1, 2, 3], lambda: iter([1, 2, 3])])
def test_a_key_that_no_item_has_is_an_error(
    recorded: Any, items: Callable[[], Iterable[int]], connected: BlackHole
) -> None:
    with RecordingActivity([recorded]) as act:
        with pytest.raises(thb.InvalidArgumentError) as caught:
            next(track(items(), act, key=lambda item: item))
        assert f"no item has the key {recorded!r}" in str(caught.value)
        assert "there are 3 items" in str(caught.value)
        assert act.records == []


def test_several_details_are_no_key(connected: BlackHole) -> None:
    with RecordingActivity(["a", "b"]) as act, pytest.raises(ValueError, match="aren't the key"):
        next(track("ab", act, key=str))


def open_paused_or_stopped(recorder: Recorder, signals: int) -> RecordingActivity:
    """Opens an activity whose first heartbeat gets the signals."""
    recorder.further_signals = signals
    thb.connect(address=recorder.address, lazy=True)
    return RecordingActivity(cancel_poll=0.1)


def test_a_stop_signal_raises_after_the_record_of_the_item(recorder: Recorder) -> None:
    with open_paused_or_stopped(recorder, Signals.CANCEL_REQUESTED) as act:
        handed_out: list[int] = []
        with pytest.raises(thb.Cancelled) as caught:
            handed_out.extend(track(itertools.count(), act))
        assert caught.value.signals == Signals.CANCEL_REQUESTED
        assert act.records == handed_out


def test_a_stop_signal_ends_the_loop_by_option(recorder: Recorder) -> None:
    with open_paused_or_stopped(recorder, Signals.RESET | Signals.PAUSED) as act:
        handed_out = list(track(itertools.count(), act, on_stop="end"))
        assert act.records == handed_out
        with pytest.raises(thb.Cancelled):
            act.raise_if_cancelled()


def test_a_stop_signal_before_the_first_item_raises(connected: BlackHole) -> None:
    with RecordingActivity(heartbeat_timeout=1, age=2) as act:
        with pytest.raises(thb.Cancelled, match="another attempt may be running"):
            next(track("abc", act))
        assert list(track("abc", act, on_stop="end")) == []
        assert act.records == []


@pytest.mark.parametrize("on_stop", ["raise", "end"])
def test_an_activity_that_is_over_has_the_signal_gone(on_stop: Any, connected: BlackHole) -> None:
    class Over(RecordingActivity):
        def heartbeat(self, *details: Any) -> Signals:
            raise thb.NotFoundError("over")

    with Over() as act:
        loop = track("abc", act, on_stop=on_stop)
        assert next(loop) == "a"
        with pytest.raises(thb.Cancelled if on_stop == "raise" else StopIteration) as caught:
            next(loop)
        assert getattr(caught.value, "signals", Signals.GONE) == Signals.GONE


def test_an_ended_activity_raises(connected: BlackHole) -> None:
    with RecordingActivity() as act:
        loop = track("abc", act)
        next(loop)
        act.close(timeout=0)
        with pytest.raises(thb.InvalidHandleError):
            next(loop)


def test_the_loop_waits_while_the_activity_is_paused(recorder: Recorder) -> None:
    with open_paused_or_stopped(recorder, Signals.PAUSED) as act:
        began = threading.Event()

        def wait_while_paused(**_: Any) -> Signals:
            began.set()
            return Activity.wait_while_paused(act, timeout=20)

        act.wait_while_paused = wait_while_paused  # type: ignore[method-assign]
        handed_out: list[int] = []
        ended: list[Signals] = []

        def work() -> None:
            for item in track(itertools.count(), act):
                handed_out.append(item)
                if ended:
                    return

        worker = threading.Thread(target=work)
        worker.start()
        assert began.wait(20)
        before = len(handed_out)
        assert act.signals == Signals.PAUSED
        assert len(handed_out) == before
        ended.append(act.signals)
        recorder.further_signals = 0
        worker.join(20)
        assert len(handed_out) == before + 1


def test_a_record_is_flushed_as_often_as_requested(connected: BlackHole) -> None:
    for flush_every, flushes in (
        (None, [0, 0, 0]),
        (0, [1, 2, 3]),
        (timedelta(hours=1), [0, 0, 0]),
    ):
        with RecordingActivity() as act:
            loop = track("abcd", act, flush_every=flush_every)
            next(loop)
            counts = [act.flushes for _ in loop]
            assert counts == flushes
            assert act.flushes == (
                0 if flush_every is None else flushes[-1] + 1 + (flush_every == 0)
            )


def test_a_temporary_error_of_a_flush_is_logged(
    connected: BlackHole, caplog: pytest.LogCaptureFixture
) -> None:
    with RecordingActivity() as act:
        act.flush_error = thb.UnavailableError("no server")
        act.flush_error.retryable = True
        with caplog.at_level(logging.WARNING, "temporal_heartbeat"):
            assert list(track("ab", act, flush_every=0)) == ["a", "b"]
        assert "no server" in caplog.text
    with RecordingActivity() as act:
        act.flush_error = thb.PermissionDeniedError("not allowed")
        with pytest.raises(thb.PermissionDeniedError):
            list(track("ab", act, flush_every=0))
    with RecordingActivity() as act:
        act.flush_error = thb.NotFoundError("over")
        with pytest.raises(thb.Cancelled, match="over"):
            list(track("ab", act, flush_every=0))


def test_a_second_loop_of_an_activity_is_refused(connected: BlackHole) -> None:
    with RecordingActivity() as act:
        list(track("ab", act))
        with pytest.raises(thb.FailedPreconditionError, match=r"itertools\.chain"):
            next(track("cd", act))
        assert act.records == [0, 1]
    with RecordingActivity() as act:
        act.heartbeat({"phase": 1})
        with pytest.raises(thb.FailedPreconditionError):
            next(track("ab", act))


def test_the_current_activity_is_used(connected: BlackHole) -> None:
    with pytest.raises(RuntimeError, match="no activity is current"):
        track("abc")  # not only at the first item
    with RecordingActivity([0]) as act, set_current_activity(act):
        assert thb.current_activity() is act
        assert list(track("abc")) == ["b", "c"]
        assert act.records == [1, 2]


def test_an_inactive_activity_has_all_items(disconnected: None) -> None:
    with Activity.from_env(when_absent="inactive") as act:
        assert list(track("abc", act, flush_every=0)) == ["a", "b", "c"]


def test_arguments_are_checked_at_the_call(connected: BlackHole) -> None:
    with RecordingActivity() as act:
        with pytest.raises(ValueError, match="on_stop"):
            track("abc", act, on_stop="stop")  # type: ignore[arg-type]
        with pytest.raises(ValueError, match="flush_every"):
            track("abc", act, flush_every=-1)
        with pytest.raises(TypeError, match=r"use temporal_heartbeat\.track outside"):
            aio.track("abc", act)  # type: ignore[arg-type]
