"""Each status has an exception, unknown ones too."""

from __future__ import annotations

import copy
import pickle
from datetime import timedelta

import pytest

import temporal_heartbeat as thb
from temporal_heartbeat import Status
from temporal_heartbeat.errors import error_for


@pytest.mark.parametrize("status", [status for status in Status if status is not Status.OK])
def test_a_status_has_the_exception_of_its_name(status: Status) -> None:
    error = error_for(status, "why")
    name = status.name.title().replace("_", "")
    assert type(error).__name__ == name.removesuffix("Error") + "Error"
    assert type(error) is getattr(thb, type(error).__name__)
    assert (error.code, error.message, str(error)) == (status, "why", "why")
    assert type(error).__doc__


def test_an_unknown_status_is_a_plain_error() -> None:
    error = error_for(4711, "news")
    assert type(error) is thb.Error
    assert (error.code, str(error)) == (4711, "news")


def test_errors_are_subclasses_of_builtin_errors() -> None:
    assert issubclass(thb.TimeoutError, TimeoutError)
    assert issubclass(thb.LibraryNotFoundError, thb.ConfigError)
    assert issubclass(thb.InvalidArgumentError, ValueError)
    assert str(error_for(Status.TIMEOUT, "no answer")) == "no answer"


@pytest.mark.parametrize("status", [Status.TIMEOUT, Status.RESOURCE_EXHAUSTED, 4711])
def test_an_error_can_be_pickled_and_copied(status: int) -> None:
    error = error_for(status, "why", retryable=True, grpc_code=8, retry_after=timedelta(seconds=1))
    for again in (pickle.loads(pickle.dumps(error)), copy.copy(error)):
        assert type(again) is type(error)
        assert str(again) == "why"
        assert vars(again) == vars(error)


def test_a_cancellation_can_be_pickled_and_copied() -> None:
    signals = thb.Signals.CANCEL_REQUESTED | thb.Signals.RESET
    cancelled = thb.Cancelled(signals, "too expensive")
    message = "the activity's cancellation was requested (too expensive); the activity was reset"
    for again in (pickle.loads(pickle.dumps(cancelled)), copy.copy(cancelled)):
        assert (type(again), str(again)) == (thb.Cancelled, message)
        assert (again.signals, again.reason) == (signals, "too expensive")


def test_the_reason_of_a_pause_is_not_that_of_a_later_end() -> None:
    cancelled = thb.Cancelled(thb.Signals.GONE | thb.Signals.PAUSED, "maintenance")
    assert str(cancelled) == "the activity is over for this attempt"


def test_signals_keep_unknown_bits() -> None:
    signals = thb.Signals(1 << 31 | 1)
    assert signals & thb.Signals.CANCEL_REQUESTED
    assert int(signals) == 1 << 31 | 1
    assert not thb.Signals(0)
