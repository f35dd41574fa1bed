"""An activity that is held open: what it does while no server ever answers."""

from __future__ import annotations

import gc
import logging
import threading
import time
from typing import Any, Callable

import pytest
from support import BlackHole

import temporal_heartbeat as thb
from temporal_heartbeat import Activity, Signals
from temporal_heartbeat._encoding import encode_values

TOKEN = b"token"


def hold(**options: Any) -> Activity:
    """An activity of which everything is known, so that nobody need be asked."""
    options = {"initial_details": [], "heartbeat_timeout": 30, "close_timeout": 0, **options}
    return Activity(TOKEN, **options)


def test_opening_needs_a_connection_and_says_so(disconnected: None) -> None:
    with pytest.raises(thb.NotConnectedError):
        hold()


def test_opening_never_waits_for_the_server(lost: BlackHole) -> None:
    began = time.monotonic()
    with hold() as act:
        assert act.signals == Signals(0)
        assert act.touch() == act.heartbeat() == act.heartbeat(41) == Signals(0)
    assert time.monotonic() - began < 2


def test_a_token_has_one_holder(lost: BlackHole) -> None:
    with hold():
        with pytest.raises(thb.AlreadyOpenError):
            hold()
        with pytest.raises(thb.AlreadyOpenError):
            thb.heartbeat(TOKEN, 1)
        with pytest.raises(thb.AlreadyOpenError):
            thb.complete(TOKEN)
    with hold() as again:
        assert again.info["state"] == "open"


@pytest.mark.parametrize("token", ["dG9rZW4=", 5, None], ids=repr)
def test_a_token_that_is_not_bytes_is_a_type_error(token: Any) -> None:
    with pytest.raises(TypeError, match="bytes"):
        Activity(token)


def test_a_token_that_cannot_be_read_needs_initial_details(lost: BlackHole) -> None:
    with pytest.raises(thb.TokenUnreadableError):
        Activity(TOKEN)


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"stal_timeout_ms": 5}, "stal_timeout_ms"),
        ({"pulse": "yes"}, "pulse"),
        ({"heartbeat_timeout": 2**32}, "heartbeat_timeout_ms"),
    ],
)
def test_a_wrong_option_is_named(lost: BlackHole, options: dict[str, Any], named: str) -> None:
    with pytest.raises(thb.ConfigError, match=named):
        hold(**options)


@pytest.mark.parametrize("name", ["heartbeat_timeout", "stall_timeout", "age", "cancel_poll"])
def test_a_time_that_makes_no_sense_is_named(name: str) -> None:
    with pytest.raises(ValueError, match=name):
        hold(**{name: -1})


def test_ids_without_the_activitys_own_name_nothing(lost: BlackHole) -> None:
    with pytest.raises(thb.ConfigError, match="activity_id"):
        thb.Activity(workflow_id="w")


VALUES = [
    None,
    True,
    0,
    -41_000,
    2**80,
    1.5,
    float("nan"),
    "text",
    b"",
    b"bytes",
    bytearray(b"ab"),
    {"b": 1, "a": 2},
    [1],
    thb.Payload(b"x", {"encoding": b"mine"}),
]


@pytest.mark.parametrize("value", VALUES, ids=repr)
def test_a_value_is_recorded_as_everywhere(
    lost: BlackHole, monkeypatch: pytest.MonkeyPatch, value: Any
) -> None:
    recorded = []

    def record(handle: Any, encoding: int, data: bytes, size: Any, *outputs: Any) -> int:
        recorded.append((encoding, data, size.value))
        return 0

    with hold() as act:
        monkeypatch.setattr(act, "_fast_heartbeat", record)
        act.heartbeat(value)
        act.heartbeat(value, 7)
    assert recorded == [encode_values((value,), None), encode_values((value, 7), None)]


def test_a_value_of_any_size_is_recorded_up_to_the_limit(lost: BlackHole) -> None:
    with hold() as act:
        for size in (0, 64, 16 * 1024, 16 * 1024 + 1, 1_000_000):
            act.heartbeat(b"x" * size)
        assert act.info["records"] == 5
        with pytest.raises(thb.TooLargeError):
            act.heartbeat(b"x" * 2_097_152)
        with pytest.raises(TypeError):
            act.heartbeat(object())
        assert act.info["records"] == 5


def test_many_threads_record_at_once(lost: BlackHole) -> None:
    with hold() as act:

        def record() -> None:
            for item in range(1000):
                assert act.heartbeat(item) == Signals(0)

        threads = [threading.Thread(target=record) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert act.info["records"] == 4000


@pytest.mark.parametrize(
    ("initial", "values"),
    [([], []), ([41], [41]), ([{"a": 1}, b"x", None], [{"a": 1}, b"x", None])],
)
def test_details_are_what_was_handed_over(
    lost: BlackHole, initial: list[Any], values: list[Any]
) -> None:
    with hold(initial_details=initial) as act:
        act.heartbeat("newer")
        details = act.details()
        assert list(details) == values
        assert act.details("nothing") == (values[0] if values else "nothing")
        assert act.details(default=None) == (values[0] if values else None)
    with hold(initial_details=details) as act:
        assert act.details().payloads == details.payloads


def test_details_that_nobody_tells_are_waited_for_in_vain(lost: BlackHole) -> None:
    with Activity(TOKEN, pulse=False, close_timeout=0) as act, pytest.raises(thb.Error):
        act.details(timeout=0.1)


def test_a_stalled_one_is_told_and_a_touch_lifts_it(lost: BlackHole) -> None:
    with hold(stall_timeout=0.1) as act:
        assert act.wait(Signals.STALLED, timeout=10) == Signals.STALLED
        act.raise_if_cancelled()
        act.touch()
        assert act.signals == Signals(0)


def test_each_reason_to_stop_raises_cancelled_with_its_signal(lost: BlackHole) -> None:
    with hold(heartbeat_timeout=1, age=2) as act:
        assert act.heartbeat(1) == Signals.LEASE_LOST
        with pytest.raises(thb.Cancelled, match="another attempt may be running") as caught:
            act.raise_if_cancelled()
        assert caught.value.signals == Signals.LEASE_LOST
    assert not isinstance(caught.value, thb.Error)


def test_a_deadline_that_passes_is_no_reason_to_stop(lost: BlackHole) -> None:
    with hold(attempt_remaining=0.05) as act:
        assert act.wait(timeout=10) == Signals.DEADLINE
        act.raise_if_cancelled()


def test_a_wait_ends_with_its_timeout(lost: BlackHole) -> None:
    with hold() as act:
        assert act.wait(timeout=0) == Signals(0)
        began = time.monotonic()
        assert act.wait(timeout=0.2) == Signals(0)
        assert time.monotonic() - began >= 0.2
        with pytest.raises(ValueError, match="timeout"):
            act.wait(timeout=-1)


def test_a_wait_is_for_the_signals_of_its_mask_and_for_a_change(lost: BlackHole) -> None:
    with hold(stall_timeout=0.1, attempt_remaining=0.3) as act:
        both = act.wait(~Signals.STALLED, timeout=10)
        assert both == Signals.STALLED | Signals.DEADLINE
        assert act.wait(timeout=10) == both
        assert act.wait(known=both, timeout=0.05) == both


@pytest.mark.parametrize(
    ("end", "expected"),
    [
        (lambda act: act.close(timeout=0), {thb.InvalidHandleError}),
        (lambda act: thb.disconnect(timeout=0), {thb.InvalidHandleError, thb.NotConnectedError}),
    ],
    ids=["close", "disconnect"],
)
def test_a_wait_of_another_thread_ends_with(
    lost: BlackHole, end: Callable[[Activity], None], expected: set[type[thb.Error]]
) -> None:
    outcome: list[BaseException] = []
    with hold() as act:

        def wait() -> None:
            try:
                act.wait()
            except thb.Error as error:
                outcome.append(error)

        thread = threading.Thread(target=wait)
        thread.start()
        end(act)
        thread.join(20)
    [error] = outcome
    assert type(error) in expected


def test_what_is_closed_is_closed(lost: BlackHole) -> None:
    act = hold()
    act.close()
    act.close()
    uses: list[Callable[[], Any]] = [act.heartbeat, act.touch, act.raise_if_cancelled, act.flush]
    uses += [act.complete, act.details, act.wait, lambda: act.heartbeat(1), lambda: act.info]
    for use in uses:
        with pytest.raises(thb.InvalidHandleError):
            use()
    assert "closed" in repr(act)


def test_a_timeout_of_zero_sends_nothing(lost: BlackHole) -> None:
    with hold() as act:
        act.heartbeat(1)
        for call in (act.flush, act.complete, act.report_cancelled):
            with pytest.raises(thb.TimeoutError):
                call(timeout=0)
        with pytest.raises(thb.TimeoutError):
            act.fail("broken", timeout=0)
        assert act.info["state"] == "open"


def test_what_the_server_never_acknowledges_times_out_and_may_be_tried_again(
    lost: BlackHole,
) -> None:
    with hold() as act:
        act.heartbeat(1)
        for _ in range(2):
            with pytest.raises((thb.TimeoutError, thb.UnavailableError)):
                act.flush(timeout=0.1)
            with pytest.raises((thb.TimeoutError, thb.UnavailableError)):
                act.complete("done", timeout=0.1)
        assert act.info["state"] == "open"
        assert act.info["pending"]


def test_the_end_of_the_block_tells_when_the_last_record_could_not_be_sent(
    lost: BlackHole,
) -> None:
    with pytest.raises((thb.TimeoutError, thb.UnavailableError)), hold(close_timeout=0.1) as act:
        act.heartbeat(1)
    with hold():
        pass  # it is closed all the same


@pytest.mark.parametrize("fail_on_exception", [False, True])
def test_an_exception_that_leaves_the_block_is_never_hidden(
    lost: BlackHole, caplog: pytest.LogCaptureFixture, fail_on_exception: bool
) -> None:
    def work() -> None:
        with hold(close_timeout=0.1, fail_on_exception=fail_on_exception) as act:
            act.heartbeat(1)
            raise ZeroDivisionError

    caplog.set_level(logging.WARNING)
    with pytest.raises(ZeroDivisionError):
        work()
    told = [record.getMessage().split(":")[0] for record in caplog.records]
    unsent = "what the activity recorded last could not be sent"
    unreported = "the end of the activity could not be reported"
    assert told == [unreported, unsent] if fail_on_exception else [unsent]
    with hold():
        pass


def test_one_that_is_dropped_unclosed_warns_and_beats_no_more(lost: BlackHole) -> None:
    def drop() -> None:
        hold().heartbeat(1)
        gc.collect()

    with pytest.warns(ResourceWarning, match="unclosed"):
        drop()
    hold().close()


def test_the_end_of_the_connection_closes_it(lost: BlackHole) -> None:
    with hold() as act:
        act.heartbeat(1)
        thb.disconnect(timeout=0)
        with pytest.raises(thb.InvalidHandleError):
            act.heartbeat(2)
        act.close()
