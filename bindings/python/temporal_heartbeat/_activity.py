"""The `Activity` for threads."""

from __future__ import annotations

import ctypes
import time
from collections.abc import Coroutine, Sequence
from functools import partial
from types import TracebackType
from typing import Any, Callable, Optional, TypeVar, Union, overload

from ._activity_base import NOT_GIVEN, ActivityBase, signal_bits, value_or
from ._codec import Codec
from ._details import Details, RawDetails, fetch_details
from ._duration import Duration, timeout_to_ms
from ._encoding import encode_values
from ._failure import Cause, encode_failure
from ._invoke import invoke, invoke_function
from .signals import WHILE_PAUSED, Signals

__all__ = ["Activity"]

S = TypeVar("S", bound="Activity")
T = TypeVar("T")

# The longest wait in one call of the library, so that the call ends soon after Ctrl-C.
_MAX_WAIT_MS = 1000


class Activity(ActivityBase):
    """An open activity: the library sends its heartbeats in the background.

    ::

        with Activity.from_env() as act:                    # or Activity(token)
            for item in range(act.details(default=-1) + 1, 100):
                work_on(item)
                act.heartbeat(item)                         # well under a microsecond
                act.wait_while_paused()
                act.raise_if_cancelled()
            act.complete("done")

    While it is open, the library sends a heartbeat whenever one is due, from a separate thread that
    needs neither the GIL nor an event loop. Each heartbeat has the newest known details: until
    something is recorded, the details of the previous attempt. So no heartbeat erases the progress.
    If details are recorded often, the library doesn't send all of them, but always the newest.

    * ``token``: the task token. Until `close` only this object may use it: a second `Activity` for
      it, and functions such as `temporal_heartbeat.complete`, raise `AlreadyOpenError`.
    * ``workflow_id``, ``run_id``, ``activity_id``, ``attempt``: the activity's ids, instead of the
      token; a standalone one has no workflow id. The server doesn't distinguish attempts by ids, so
      the library asks it first: docs/by-ids.md of the project describes the cost and the limits.
      With a token, the library uses them to read the activity's state from the server.
    * ``heartbeat_timeout``: the activity's heartbeat timeout, as its parent knows it. Without it
      the library asks the server, and LEASE_LOST can't be set before the answer.
    * ``pulse``: False sends heartbeats only for records. Without records the activity times out.
    * ``stall_timeout``: after this time without `heartbeat` or `touch` the work is stalled; by
      default never. Time in which the activity is paused, or the process frozen, doesn't count.
      ``stall_action``: what happens then. ``"stop"``: the heartbeats stop, so that the server
      retries the work. ``"fail"``: the attempt fails as retryable, with the type Stalled, the
      newest details, and what the work was doing. ``"warn"``: only STALLED, the log and the metrics
      show it.
    * ``stall_signal``: a signal, such as ``signal.SIGUSR2``, with which the failure or the log
      shows the stacks of all threads, even if one of them holds the GIL. It registers
      `faulthandler` for this signal, as long as the process lives, which then calls the handler
      that was there before. A signal that `faulthandler` uses already is refused (`ConfigError`).
      The stack of the thread that opened the activity, or called `set_status` last, comes first.
      ``stall_report="brief"``: the failure has neither stacks nor the status. With a
      ``data_converter``, or ``require_encoded``, it never has them, because they would be readable.
    * ``cancel_poll``: the longest time between heartbeats, to learn of a cancellation sooner than
      the heartbeat timeout requires.
    * ``follow_server``: a long poll at the server shows a cancellation at once, not with the next
      heartbeat. docs/guide/follow.md of the project has what it costs.
    * ``initial_details``: the last details of the previous attempt, as the parent received them:
      values, or a `Details`; empty if there are none. Without it the library asks the server.
    * ``age``: the time since the attempt started. The lease is counted from its start until the
      first heartbeat is acknowledged. ``attempt_remaining``: the time that the attempt has left, a
      hint.
    * ``data_converter``: the codec of this activity, instead of the connection's: see `connect`.
    * ``activity_type``, ``workflow_type``, ``task_queue``: for a codec that takes a context, see
      `SerializationContext`. Pass what neither the token nor the hand-off has.
    * ``require_encoded``: refuse values that no codec has encoded, for namespaces with encrypted
      data: pass `Payload` objects. A `Payload` with a plain encoding is refused too.
    * ``verify``: when the server's answer to an ending call was lost, look up the outcome before
      `InDoubtError` is raised. The call succeeds if it ended the activity. Otherwise it raises
      `NotFoundError`.
    * ``when_absent``: only for `from_env`.
    * ``close_timeout``: the timeout of the end of the with block, None for ever.
    * ``fail_on_exception``: see below.

    Times are seconds or a timedelta. `from_env` takes the same options.

    The end of the with block closes the activity: the last recorded details are sent, and the
    heartbeats end. Unless `complete`, `fail` or `report_cancelled` ended it before, the activity
    then times out and is retried.

    An exception that leaves the block fails the attempt first, with the exception as the cause, as
    `fail` does. The activity is reported as cancelled instead if its cancellation was requested and
    the exception is `Cancelled`, asyncio.CancelledError, or the CancelledError of Temporal's SDK.
    KeyboardInterrupt, SystemExit and the like fail nothing, nor does any exception while the lease
    is lost. With ``fail_on_exception=False`` no exception ends the activity.

    Opening never waits for the server. It needs a `connect` before, unless the object is inactive.
    Any thread may call any method. A child process of ``os.fork`` can't use its parent's object
    (`ForkedError`). If an object is deleted before it is closed, it warns (ResourceWarning),
    discards unsent details, and stops the heartbeats; while the interpreter exits nothing happens.
    `disconnect` closes it too.

    Raises `NotConnectedError`; `AlreadyOpenError`; `ConfigError` for an option or variable;
    `TokenUnreadableError`; `InvalidArgumentError`; `UnimplementedError`; `LocalLimitError`.
    """

    @overload
    def details(self, *, timeout: Optional[float] = 10.0) -> Details: ...

    @overload
    def details(self, default: Any, *, timeout: Optional[float] = 10.0) -> Any: ...

    def details(self, default: Any = NOT_GIVEN, *, timeout: Optional[float] = 10.0) -> Any:
        """Return the `Details` that were recorded before this attempt, empty if there are none.

        With ``default`` it returns the first value, or the default if there are no details. Records
        of this attempt don't change the result.

        Without ``initial_details`` the library asks the server, so call this before the first
        `heartbeat`. It then blocks at most ``timeout`` seconds, and retries temporary errors within
        that time; None: for ever. Any thread may call it.

        Raises `NotFoundError` when the activity is over; `FailedPreconditionError` when something
        was recorded before the first call; `ConfigError` for a value in external storage that the
        codec doesn't retrieve; `TimeoutError`, `UnavailableError` and others when the server can't
        be reached; `EndedError`, `InvalidHandleError`, `ForkedError`.
        """
        return value_or(default, run_blocking(self._details(timeout_to_ms(timeout))))

    def wait(
        self,
        mask: Optional[int] = None,
        *,
        known: int = 0,
        timeout: Optional[float] = None,
    ) -> Signals:
        """Wait until the signals change, and return them.

        It returns when one of the signals in ``mask`` (None: any) differs from ``known``. So
        without ``known`` it returns when one is set. For the end of a pause use
        ``wait(Signals.PAUSED, known=Signals.PAUSED)``. It also returns when ``timeout`` expires.

        Blocks at most ``timeout`` seconds; None: for ever; 0: not at all. Ctrl-C interrupts it.
        Any thread may call it.

        Raises `InvalidHandleError` when the activity is closed, `NotConnectedError` when the
        process disconnects, `ForkedError`.
        """
        mask, known = signal_bits(mask), signal_bits(known)
        timeout_ms = timeout_to_ms(timeout)
        deadline = None if timeout is None else time.monotonic() + timeout
        while True:
            signals = self._call_for_signals(
                "thb_activity_wait",
                mask,
                known,
                min(timeout_ms, _MAX_WAIT_MS),
                may_block=timeout_ms > 0,
            )
            if (signals ^ known) & mask:
                return signals
            if deadline is not None:
                remaining = deadline - time.monotonic()
                if remaining <= 0:
                    return signals
                timeout_ms = timeout_to_ms(remaining)

    def wait_while_paused(self, *, timeout: Optional[float] = None) -> Signals:
        """Wait until the activity isn't paused, or the work should stop, and return the signals.

        ::

            act.heartbeat(item)
            act.wait_while_paused()     # returns at once if the activity isn't paused
            act.raise_if_cancelled()

        It returns when PAUSED is cleared, when one of STOP_SIGNALS is set, or when ``timeout``
        expires. The heartbeats continue, and the ``stall_timeout`` doesn't run.
        With ``pulse=False`` nothing is sent, so the end of the pause isn't noticed.

        Otherwise as `wait`.
        """
        return self.wait(WHILE_PAUSED, known=Signals.PAUSED, timeout=timeout)

    def flush(self, *, timeout: Optional[float] = 10.0) -> None:
        """Send the recorded details at once, and wait for the acknowledgement.

        Blocks at most ``timeout`` seconds; None: for ever. Any thread may call it.

        Raises `NotFoundError` when the activity is over; `TimeoutError`, or the error of the last
        try, after which the library continues to try; `EndedError`, `InvalidHandleError`,
        `ForkedError`, `NotConnectedError`.
        """
        run_blocking(self._call("thb_activity_flush", timeout_to_ms(timeout)))

    def complete(self, result: Any = None, *, timeout: Optional[float] = 10.0) -> None:
        """End the activity successfully, with a result. None is a result too.

        Nothing is sent after that. After an error other than `NotFoundError`, `InDoubtError` and
        `EndedError` the heartbeats continue, and it may be called again.

        Blocks at most ``timeout`` seconds, and retries temporary errors within it; None: for ever.
        Any thread may call it.

        Raises as `temporal_heartbeat.complete`; `EndedError` when this object has already ended the
        activity; `InvalidHandleError`; `ForkedError`.
        """
        encode = partial(encode_values, (result,))
        run_blocking(self._send("thb_activity_complete", encode, timeout_to_ms(timeout)))

    def fail(
        self,
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
        timeout: Optional[float] = 10.0,
    ) -> None:
        """End this attempt as failed. The retry policy decides whether another attempt follows.

        The last recorded details are sent in the same request, so that the next attempt gets them.
        The arguments are those of `temporal_heartbeat.fail`. Otherwise as `complete`.
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
        )
        run_blocking(self._send("thb_activity_fail", encode, timeout_to_ms(timeout)))

    def report_cancelled(self, *details: Any, timeout: Optional[float] = 10.0) -> None:
        """End the activity as cancelled, after `Signals.CANCEL_REQUESTED` was set.

        ``details`` are values for the workflow, if any. The last recorded details are sent before.
        Otherwise as `complete`; it also raises `InvalidArgumentError` when no cancellation was
        requested: then the activity continues.
        """
        encode = partial(encode_values, details)
        run_blocking(self._send("thb_activity_report_cancelled", encode, timeout_to_ms(timeout)))

    def close(self, *, timeout: Optional[float] = 10.0) -> None:
        """Send the last recorded details, and stop the heartbeats. Doesn't end the activity.

        The activity is closed even if this raises. Closing it again does nothing.

        Blocks at most ``timeout`` seconds; None: for ever; 0: unsent details are discarded. Any
        thread may call it, and calls of other threads then raise `InvalidHandleError`.

        Raises the error that prevented sending the last recorded details.
        """
        run_blocking(self._close(timeout_to_ms(timeout)))

    def __enter__(self: S) -> S:
        return self

    def __exit__(
        self,
        kind: Optional[type[BaseException]],
        exception: Optional[BaseException],
        traceback: Optional[TracebackType],
    ) -> None:
        if exception is None:
            run_blocking(self._close(self._close_timeout_ms))
        else:
            run_blocking(self._close_after(exception))

    async def _call(self, name: str, *arguments: Any) -> None:
        invoke_function(name, self._handle, *arguments, may_block=arguments[-1] != 0)

    async def _fetch_details(self, timeout_ms: int) -> Optional[RawDetails]:
        def call(native: ctypes.CDLL, error: Any) -> tuple[int, Optional[RawDetails]]:
            return fetch_details(
                native, "thb_activity_get_details", self._handle, timeout_ms, error
            )

        return invoke(call, may_block=timeout_ms > 0)

    async def _with_codec(self, function: Callable[[Optional[Codec]], T]) -> T:
        return function(self._codec)


def run_blocking(coroutine: Coroutine[Any, Any, T]) -> T:
    """Runs a coroutine that blocks instead of suspending, and returns its result."""
    try:
        coroutine.send(None)
    except StopIteration as end:
        result: T = end.value
        return result
    raise RuntimeError("a coroutine of an Activity for threads has suspended")
