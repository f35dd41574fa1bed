"""The functions that take a task token: each makes one request to the server."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from functools import partial
from typing import Any, Callable, Optional, Union

from ._active_codec import invoke_encoded
from ._codec import Codec, codec_of
from ._context import context_of
from ._details import Details, RawDetails, decode_details, fetch_details
from ._duration import Duration, timeout_to_ms
from ._encoding import encode_values, options_json
from ._failure import Cause, encode_failure
from ._invoke import Token, read_text, token_bytes
from .errors import InvalidArgumentError
from .signals import Signals, signals_of

__all__ = [
    "check_clear",
    "complete",
    "fail",
    "get_details",
    "heartbeat",
    "report_cancelled",
    "token_from_env",
    "token_from_ids",
]


def heartbeat(
    token: Token,
    *details: Any,
    timeout: Optional[float] = 10.0,
    clear: bool = False,
    data_converter: Any = None,
) -> Signals:
    """Record a heartbeat, and return the signals in the server's answer: usually none.

    ``details`` are the progress from which the next attempt resumes. Use one value to be portable,
    since some SDKs read only the first. They replace the details that the server holds. A heartbeat
    without details would *erase* them, so it must be requested by ``clear=True``. To report only
    that the work continues, repeat the last details.

    Between two calls nothing is noticed: a cancellation is a signal of the next call. To learn of
    it at once, open an `Activity` with ``follow_server=True`` and use its `Activity.wait`.

    ``data_converter`` is the codec of this call, instead of the connection's: see `connect`.

    Blocks at most ``timeout`` seconds, and retries temporary errors within it; None: for ever.
    Any thread may call it.

    Raises `NotFoundError` when the activity is over for this token: stop the work. `TooLargeError`
    when the details exceed 2 MiB (nothing was sent). `UnavailableError`, `TimeoutError`,
    `ResourceExhaustedError` when the server can't be reached or is overloaded: continue, and
    heartbeat again at the next item. `NotConnectedError`, `InvalidArgumentError`,
    `TokenUnreadableError`, and `TypeError` for a value that can't be converted.
    """
    check_clear(details, clear)
    signals = ctypes.c_uint32(0)
    _send(
        "thb_heartbeat",
        token,
        partial(encode_values, details),
        timeout,
        data_converter,
        ctypes.byref(signals),
    )
    return signals_of(signals.value)


def check_clear(details: Sequence[Any], clear: bool) -> None:
    """Raises an error if a heartbeat would erase the progress by mistake."""
    if not details and not clear:
        raise InvalidArgumentError(
            "a heartbeat without details erases the progress that the server holds:"
            " pass the details again, or clear=True if erasing is what you want"
        )
    if details and clear:
        raise InvalidArgumentError("clear=True erases the details: pass it without details")


def get_details(
    token: Token, *, timeout: Optional[float] = 10.0, data_converter: Any = None
) -> Details:
    """Read the heartbeat details that the server holds now; empty if there are none.

    In a new attempt they are the previous attempt's, until the first heartbeat replaces them.
    ``data_converter``: see `heartbeat`.

    Blocks at most ``timeout`` seconds, and retries temporary errors within it; None: for ever.
    Any thread may call it.

    Raises `NotFoundError` when the activity is over, not only this attempt; a standalone activity's
    details stay readable even then. Also raises `TokenUnreadableError` when the token doesn't name
    an activity, `ConfigError` for a value in external storage that the codec doesn't retrieve,
    `NotConnectedError`, `InvalidArgumentError`, and as `heartbeat` when the server can't be
    reached.
    """
    token = token_bytes(token)
    timeout_ms = timeout_to_ms(timeout)
    own_codec = codec_of(data_converter)

    def call(
        native: ctypes.CDLL, codec: Optional[Codec], error: Any
    ) -> tuple[int, tuple[Optional[RawDetails], Optional[Codec]]]:
        status, raw = fetch_details(native, "thb_get_details", token, len(token), timeout_ms, error)
        return status, (raw, codec)

    raw, codec = invoke_encoded(
        lambda codec: codec,
        call,
        may_block=timeout_ms > 0,
        codec=own_codec,
        context=partial(context_of, token),
    )
    return decode_details(raw, codec)


def complete(
    token: Token,
    result: Any = None,
    *,
    timeout: Optional[float] = 10.0,
    data_converter: Any = None,
) -> None:
    """End the activity successfully, with a result.

    None is a result too, as of a function that returns None. ``data_converter``: see `heartbeat`.

    Blocks at most ``timeout`` seconds, and retries temporary errors within it; None: for ever.
    Any thread may call it.

    Raises `NotFoundError` when the activity is over for this token, and the result is lost;
    `InDoubtError` when the answer to an earlier try was lost, so the server may have the result;
    `TooLargeError` when the result exceeds 2 MiB (nothing was sent). It may be called again after
    `UnavailableError` or `TimeoutError`. Otherwise as `heartbeat`.
    """
    _send(
        "thb_complete",
        token,
        partial(encode_values, (result,)),
        timeout,
        data_converter,
    )


def fail(
    token: Token,
    message: Union[str, BaseException],
    *,
    type: Optional[str] = None,
    non_retryable: Optional[bool] = None,
    details: Sequence[Any] = (),
    next_retry_delay: Optional[Duration] = None,
    category: Optional[str] = None,
    stack_trace: Optional[str] = None,
    source: Optional[str] = None,
    cause: Optional[Cause] = None,
    heartbeat_details: Sequence[Any] = (),
    timeout: Optional[float] = 10.0,
    data_converter: Any = None,
) -> None:
    """End this attempt as failed. The retry policy decides whether another attempt follows.

    * ``message``: the cause, a text or an exception. Of an exception, the failure gets the message,
      type, stack trace and causes. Of an exception of Temporal's SDK, it also gets the details, and
      of an ApplicationError ``type``, ``non_retryable``, ``next_retry_delay`` and ``category``. The
      other arguments have precedence over the exception.
    * ``type``: the failure's type, which retry policies and workflows can match.
    * ``non_retryable``: don't retry the activity.
    * ``details``: values for the workflow.
    * ``next_retry_delay``: seconds or a timedelta until the next attempt, instead of the retry
      policy's.
    * ``category``: "benign" for an expected failure, which workers and clients neither log nor
      count as an error.
    * ``stack_trace``, ``source``: text for debugging; ``source`` is the language or program.
    * ``cause``: an exception, or a mapping with the keys that the library knows: ``message``,
      ``type``, ``non_retryable``, ``details``, ``category``, ``stack_trace``, ``source``,
      ``cause``.
    * ``heartbeat_details``: the last progress, stored together with the failure. A heartbeat that
      is sent just before a failure can be lost. For a standalone activity they are also sent in a
      heartbeat before the failure.
    * ``data_converter``: see `heartbeat`. It encodes the details, and with
      ``connect(encode_common_attributes=True)`` also messages and stack traces. The failure
      converter of a DataConverter makes the failure of the message or the exception.

    All of it together is limited to 1 MiB.

    Blocks at most ``timeout`` seconds, and retries temporary errors within it; None: for ever.
    Any thread may call it.

    Raises `NotFoundError` when the activity is over for this token; `InDoubtError` when the answer
    to an earlier try was lost, so that try may have ended it; `TooLargeError`. It may be called
    again after `UnavailableError` or `TimeoutError`. Otherwise as `heartbeat`.
    """

    encode = partial(
        encode_failure,
        message,
        type=type,
        non_retryable=non_retryable,
        details=details,
        next_retry_delay=next_retry_delay,
        category=category,
        stack_trace=stack_trace,
        source=source,
        cause=cause,
        heartbeat_details=heartbeat_details,
    )
    _send("thb_fail", token, encode, timeout, data_converter)


def report_cancelled(
    token: Token,
    *details: Any,
    timeout: Optional[float] = 10.0,
    data_converter: Any = None,
) -> None:
    """End the activity as cancelled, after `Signals.CANCEL_REQUESTED` was set.

    ``details`` are values for the workflow, if any. ``data_converter``: see `heartbeat`.

    Blocks at most ``timeout`` seconds, and retries temporary errors within it; None: for ever.
    Any thread may call it.

    Raises `InvalidArgumentError` when no cancellation was requested: the activity continues, and
    the token stays valid. `NotFoundError` when the activity is over for this token; `InDoubtError`
    when the answer to an earlier try was lost, so that try may have ended it; `TooLargeError`. It
    may be called again after `UnavailableError` or `TimeoutError`. Otherwise as `heartbeat`.
    """
    _send(
        "thb_report_cancelled",
        token,
        partial(encode_values, details),
        timeout,
        data_converter,
    )


def token_from_env() -> bytes:
    """Return the task token that the parent process handed over in the environment.

    One of these variables has it:

    * TEMPORAL_ACTIVITY_TASK_TOKEN: the token in standard base64;
    * TEMPORAL_ACTIVITY_TASK_TOKEN_FILE: the path of a file with that text;
    * TEMPORAL_ACTIVITY_TASK_TOKEN_FD: an inherited descriptor from which to read that text.

    Needs no connection. Blocks at most 10 seconds, while another process writes to that descriptor.
    Any thread may call it.

    Raises `ConfigError` when none or several of them are set, or when the token can't be read.
    """
    return read_text("thb_token_from_env", may_block=True)


def token_from_ids(
    *,
    activity_id: str,
    workflow_id: str = "",
    run_id: str = "",
    attempt: Optional[int] = None,
    timeout: Optional[float] = 10.0,
) -> bytes:
    """Make a task token for the attempt that runs, from the ids of a workflow's activity.

    Every function takes the token, and the server rejects it after that attempt. Pass ``run_id``,
    the run of the workflow, if you can: without it the current run is used. With ``attempt``, the
    running attempt must be that one.

    Blocks at most ``timeout`` seconds, also while the attempt isn't started yet; None: for ever.
    Any thread may call it.

    Raises `NotFoundError` when the activity is over, or another attempt has taken over;
    `FailedPreconditionError` when the attempt isn't started in time; `UnimplementedError` when
    there is no such token, for example for a standalone activity: open an `Activity` by its ids
    instead; `ConfigError` for ids that can't be used. Otherwise as `heartbeat`.
    """
    ids = options_json(
        {
            "activity_id": activity_id,
            "workflow_id": workflow_id,
            "run_id": run_id,
            "attempt": attempt,
        }
    )
    timeout_ms = timeout_to_ms(timeout)
    return read_text("thb_token_from_ids", ids, len(ids), timeout_ms, may_block=timeout_ms > 0)


def _send(
    name: str,
    token: Token,
    encode: Callable[[Optional[Codec]], tuple[Any, ...]],
    timeout: Optional[float],
    data_converter: Any,
    *outputs: Any,
) -> None:
    """Calls a C function with the token, the arguments of ``encode`` and the timeout."""
    own_codec = codec_of(data_converter)
    token = token_bytes(token)
    timeout_ms = timeout_to_ms(timeout)

    def call(native: ctypes.CDLL, encoded: tuple[Any, ...], error: Any) -> tuple[int, None]:
        return getattr(native, name)(token, len(token), *encoded, timeout_ms, *outputs, error), None

    invoke_encoded(
        encode,
        call,
        may_block=timeout_ms > 0,
        codec=own_codec,
        context=partial(context_of, token),
    )
