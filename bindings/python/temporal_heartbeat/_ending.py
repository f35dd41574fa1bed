"""Ends an attempt after its body, as a worker of Temporal's SDK does."""

from __future__ import annotations

import contextlib
import logging
from functools import partial
from typing import Any, NamedTuple, Optional

from ._activity_base import is_cancellation
from ._duration import timeout_to_ms
from ._encoding import encode_values
from ._failure import encode_failure
from ._sdk_exceptions import sdk_failure_of
from .errors import EndedError, Error, InDoubtError, InvalidHandleError, NotFoundError
from .signals import STOP_SIGNALS, Signals

__all__ = ["OVER", "Stop", "end_attempt"]

_log = logging.getLogger("temporal_heartbeat")

# The activity is over for this process, and no other call can change that.
OVER = (EndedError, InDoubtError, InvalidHandleError, NotFoundError)

# At its end, the activity has nothing more to send.
_CLOSE_TIMEOUT_MS = 10_000
_FOREVER_MS = timeout_to_ms(None)


class Stop(NamedTuple):
    """Why this process has stopped the body, as the message and the type of a failure."""

    message: str
    type: str


_SHUTDOWN = Stop("the worker is shutting down", "Shutdown")
_RESET = Stop("the activity was reset", "ActivityReset")


async def end_attempt(
    act: Any,
    name: str,
    result: Any,
    exception: Optional[BaseException],
    stop: Optional[Stop] = None,
) -> None:
    """Completes with the result, or fails or reports the exception, and closes the activity.

    Retries temporary errors without limit. Never suspends for an `Activity` for threads.
    """
    try:
        if exception is None:
            exception = await _completed(act, result)
        if exception is not None:
            await _report(act, name, exception, stop)
    except OVER as over:
        if act._closed:
            _log.warning("%s has closed its own activity, so that it times out", name)
        else:
            _log.info("the attempt of %s had ended before: %s", name, over)
    except Exception as error:
        _log.warning("the attempt of %s could not be ended: %s", name, error)
    with contextlib.suppress(Error):
        await act._close(_CLOSE_TIMEOUT_MS)


async def _completed(act: Any, result: Any) -> Optional[Exception]:
    """Completes. Returns the exception if the result can't be sent."""
    try:
        encode = partial(encode_values, (result,))
        await act._send("thb_activity_complete", encode, _FOREVER_MS)
    except OVER:
        raise
    except Exception as error:
        return error
    return None


async def _report(act: Any, name: str, exception: BaseException, stop: Optional[Stop]) -> None:
    signals = act.signals
    if is_cancellation(exception) and (stop is not None or signals & STOP_SIGNALS):
        if signals & Signals.CANCEL_REQUESTED:
            await act._report_cancellation(exception)
            return
        if signals & Signals.RESET:
            stop = _RESET
        elif signals & Signals.SHUTDOWN:
            stop = _SHUTDOWN
        if stop is not None:
            _log.info("the attempt of %s fails as retryable: %s", name, stop.message)
            await fail(act, stop.message, type=stop.type)
        return  # otherwise the attempt is over, or another one may be running
    sdk = sdk_failure_of(exception)
    if sdk is None or sdk.category != "benign":
        _log.warning("the attempt of %s fails", name, exc_info=exception)
    try:
        await act._fail_with(exception)
    except Error:
        raise
    except Exception:  # of the exception's own methods, such as __str__
        kind = type(exception).__name__
        await fail(act, f"{kind}, which has no readable message", type=kind)


async def fail(act: Any, message: str, **options: Any) -> None:
    encode = partial(encode_failure, message, **options)
    await act._send("thb_activity_fail", encode, _FOREVER_MS)
