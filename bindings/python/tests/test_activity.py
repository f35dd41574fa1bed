"""An open activity, while the server never answers."""

from __future__ import annotations

import copy
import gc
import logging
import pickle
import threading
import time
from typing import Any, Callable

import pytest
from support import BlackHole, Recorder
from temporalio.exceptions import ApplicationError

import temporal_heartbeat as thb
from temporal_heartbeat import Activity, Signals
from temporal_heartbeat._encoding import encode_values

TOKEN = b"token"


def open_activity(**options: Any) -> Activity:
    """Opens an activity that needs no answer of the server. Its lease is lost at the age of 30."""
    options = {"initial_details": [], "heartbeat_timeout": 30, "close_timeout": 0, **options}
    return Activity(TOKEN, **options)


def test_opening_without_a_connection_is_not_connected(disconnected: None) -> None:
    with pytest.raises(thb.NotConnectedError):
        open_activity()


def test_opening_never_waits_for_the_server(connected: BlackHole) -> None:
    began = time.monotonic()
    with open_activity() as act:
        assert act.signals == Signals(0)
        assert act.touch() == act.heartbeat() == act.heartbeat(41) == Signals(0)
    assert time.monotonic() - began < 8


def test_a_token_has_one_open_activity(connected: BlackHole) -> None:
    with open_activity():
        with pytest.raises(thb.AlreadyOpenError):
            open_activity()
        with pytest.raises(thb.AlreadyOpenError):
            thb.heartbeat(TOKEN, 1)
        with pytest.raises(thb.AlreadyOpenError):
            thb.complete(TOKEN)
    with open_activity() as again:
        assert again.info["state"] == "open"


@pytest.mark.parametrize("token", ["dG9rZW4=", 5, None], ids=repr)
def test_a_token_that_is_not_bytes_is_a_type_error(token: Any) -> None:
    with pytest.raises(TypeError, match="bytes"):
        Activity(token)


def test_a_token_that_cannot_be_read_needs_initial_details(
    connected: BlackHole,
) -> None:
    with pytest.raises(thb.TokenUnreadableError):
        Activity(TOKEN)


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"pulse": "yes"}, "pulse"),
        ({"heartbeat_timeout": 2**32}, "heartbeat_timeout_ms"),
    ],
)
def test_an_invalid_option_is_named(
    connected: BlackHole, options: dict[str, Any], named: str
) -> None:
    with pytest.raises(thb.ConfigError, match=named):
        open_activity(**options)


def test_unknown_option_is_refused_with_the_similar_one() -> None:
    for open_it in (open_activity, thb.Activity.from_env):
        with pytest.raises(
            TypeError, match="no option 'stal_timeout': did you mean 'stall_timeout'"
        ):
            open_it(stal_timeout=5)  # type: ignore[call-arg]


@pytest.mark.parametrize("name", ["heartbeat_timeout", "stall_timeout", "age", "cancel_poll"])
def test_an_invalid_time_is_named(name: str) -> None:
    with pytest.raises(ValueError, match=name):
        open_activity(**{name: -1})


def test_ids_without_the_activity_id_are_refused(connected: BlackHole) -> None:
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
def test_a_value_is_recorded_in_the_encoding_of_encode_values(
    connected: BlackHole, monkeypatch: pytest.MonkeyPatch, value: Any
) -> None:
    recorded = []

    def record(handle: Any, encoding: int, data: bytes, size: Any, *outputs: Any) -> int:
        recorded.append((encoding, data, size.value))
        return 0

    with open_activity() as act:
        monkeypatch.setattr(act, "_fast_heartbeat", record)
        act.heartbeat(value)
        act.heartbeat(value, 7)
    assert recorded == [encode_values((value,), None), encode_values((value, 7), None)]


def test_a_value_of_any_size_is_recorded_up_to_the_limit(connected: BlackHole) -> None:
    with open_activity() as act:
        for size in (0, 64, 16 * 1024, 16 * 1024 + 1, 1_000_000):
            act.heartbeat(b"x" * size)
        assert act.info["records"] == 5
        with pytest.raises(thb.TooLargeError):
            act.heartbeat(b"x" * 2_097_152)
        with pytest.raises(TypeError):
            act.heartbeat(object())
        assert act.info["records"] == 5


def test_many_threads_record_at_once(connected: BlackHole) -> None:
    with open_activity() as act:

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
    connected: BlackHole, initial: list[Any], values: list[Any]
) -> None:
    with open_activity(initial_details=initial) as act:
        act.heartbeat("newer")
        details = act.details()
        assert list(details) == values
        assert act.details("nothing") == (values[0] if values else "nothing")
        assert act.details(default=None) == (values[0] if values else None)
    with open_activity(initial_details=details) as act:
        assert act.details().payloads == details.payloads


def test_details_without_an_answer_are_an_error(connected: BlackHole) -> None:
    with Activity(TOKEN, pulse=False, close_timeout=0) as act, pytest.raises(thb.Error):
        act.details(timeout=0.1)


def test_a_stall_sets_a_signal_and_a_touch_clears_it(connected: BlackHole) -> None:
    with open_activity(stall_timeout=0.1) as act:
        assert act.wait(Signals.STALLED, timeout=10) == Signals.STALLED
        act.raise_if_cancelled()
        act.touch()
        assert act.signals == Signals(0)


def test_each_reason_to_stop_raises_cancelled_with_its_signal(
    connected: BlackHole,
) -> None:
    with open_activity(heartbeat_timeout=1, age=2) as act:
        assert act.heartbeat(1) == Signals.LEASE_LOST
        with pytest.raises(thb.Cancelled, match="another attempt may be running") as caught:
            act.raise_if_cancelled()
        assert caught.value.signals == Signals.LEASE_LOST
        assert (caught.value.reason, act.reason) == (None, None)
    assert not isinstance(caught.value, thb.Error)


def test_a_deadline_that_no_server_has_confirmed_sets_no_signal(connected: BlackHole) -> None:
    with open_activity(attempt_remaining=0.05) as act:
        assert act.wait(timeout=0.3) == Signals(0)


def test_a_passed_deadline_does_not_raise_cancelled() -> None:
    assert not thb.STOP_SIGNALS & Signals.DEADLINE


def test_a_wait_ends_at_its_timeout(connected: BlackHole) -> None:
    with open_activity() as act:
        assert act.wait(timeout=0) == Signals(0)
        began = time.monotonic()
        assert act.wait(timeout=0.2) == Signals(0)
        assert time.monotonic() - began >= 0.2
        with pytest.raises(ValueError, match="timeout"):
            act.wait(timeout=-1)


def test_a_wait_is_for_the_signals_of_its_mask_and_for_a_change(
    connected: BlackHole,
) -> None:
    with open_activity(stall_timeout=0.1, age=29.7) as act:
        both = act.wait(~Signals.STALLED, timeout=10)
        assert both == Signals.STALLED | Signals.LEASE_LOST
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
def test_a_wait_of_another_thread_ends_at(
    connected: BlackHole,
    end: Callable[[Activity], None],
    expected: set[type[thb.Error]],
) -> None:
    outcome: list[BaseException] = []
    with open_activity() as act:

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


def test_calls_on_a_closed_activity_are_invalid_handle(connected: BlackHole) -> None:
    act = open_activity()
    act.close()
    act.close()
    uses: list[Callable[[], Any]] = [act.heartbeat, act.touch, act.raise_if_cancelled, act.flush]
    uses += [act.complete, act.details, act.wait, lambda: act.heartbeat(1), lambda: act.info]
    for use in uses:
        with pytest.raises(thb.InvalidHandleError):
            use()
    assert "closed" in repr(act)


def test_a_timeout_of_zero_sends_nothing(connected: BlackHole) -> None:
    with open_activity() as act:
        act.heartbeat(1)
        for call in (act.flush, act.complete, act.report_cancelled):
            with pytest.raises(thb.TimeoutError):
                call(timeout=0)
        with pytest.raises(thb.TimeoutError):
            act.fail("broken", timeout=0)
        assert act.info["state"] == "open"


def test_an_unacknowledged_call_times_out_and_can_be_repeated(
    connected: BlackHole,
) -> None:
    with open_activity() as act:
        act.heartbeat(1)
        for _ in range(2):
            with pytest.raises((thb.TimeoutError, thb.UnavailableError)):
                act.flush(timeout=0.1)
            with pytest.raises((thb.TimeoutError, thb.UnavailableError)):
                act.complete("done", timeout=0.1)
        assert act.info["state"] == "open"
        assert act.info["pending"]


def test_the_end_of_the_block_raises_if_the_last_record_is_unsent(
    connected: BlackHole,
) -> None:
    with (
        pytest.raises((thb.TimeoutError, thb.UnavailableError)),
        open_activity(close_timeout=0.1) as act,
    ):
        act.heartbeat(1)
    with open_activity():
        pass  # the activity was closed, so its token is free


@pytest.mark.parametrize("fail_on_exception", [False, True])
def test_an_exception_that_leaves_the_block_is_not_replaced(
    connected: BlackHole, caplog: pytest.LogCaptureFixture, fail_on_exception: bool
) -> None:
    def work() -> None:
        with open_activity(close_timeout=0.1, fail_on_exception=fail_on_exception) as act:
            act.heartbeat(1)
            raise ZeroDivisionError

    caplog.set_level(logging.WARNING)
    with pytest.raises(ZeroDivisionError):
        work()
    warnings = [record.getMessage().split(":")[0] for record in caplog.records]
    unsent = "the last recorded details could not be sent"
    unreported = "the activity could not be ended"
    assert warnings == [unreported, unsent] if fail_on_exception else [unsent]
    with open_activity():
        pass


@pytest.mark.parametrize(
    "details", [object(), "readable", "x" * 1_100_000], ids=["object", "readable", "large"]
)
def test_an_exception_whose_details_cannot_be_sent_fails_the_activity_without_them(
    recorder: Recorder, details: object
) -> None:
    thb.connect(address=recorder.address)
    with (
        pytest.raises(ApplicationError),
        open_activity(require_encoded=details == "readable", close_timeout=20),
    ):
        raise ApplicationError("boom", details, type="Fault")
    recorder.wait_for(b"boom")
    assert b"Fault" in recorder.received
    assert b"readable" not in recorder.received


def test_an_exception_while_the_lease_is_lost_fails_nothing(recorder: Recorder) -> None:
    def work() -> None:
        with open_activity(heartbeat_timeout=0.5, pulse=False, close_timeout=20) as act:
            act.wait(Signals.LEASE_LOST)
            act.raise_if_cancelled()

    thb.connect(address=recorder.address)
    with pytest.raises(thb.Cancelled, match="another attempt may be running"):
        work()
    assert b"another attempt" not in recorder.received


@pytest.mark.parametrize("duplicate", [copy.copy, copy.deepcopy, pickle.dumps])
def test_an_activity_cannot_be_copied_or_pickled(
    connected: BlackHole, duplicate: Callable[[Any], Any]
) -> None:
    with open_activity() as act:
        with pytest.raises(TypeError, match=r"only one process.*open it there"):
            duplicate(act)
        gc.collect()
        assert act.info["state"] == "open"


def test_an_unclosed_activity_warns_when_deleted_and_frees_its_token(
    connected: BlackHole,
) -> None:
    def drop() -> None:
        open_activity().heartbeat(1)
        gc.collect()

    with pytest.warns(ResourceWarning, match="unclosed"):
        drop()
    with open_activity() as act:
        assert act.info["state"] == "open"


def test_disconnect_closes_the_activity(connected: BlackHole) -> None:
    with open_activity() as act:
        act.heartbeat(1)
        thb.disconnect(timeout=0)
        with pytest.raises(thb.InvalidHandleError):
            act.heartbeat(2)
        act.close()
