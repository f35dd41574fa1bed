"""An activity that is held open, for threads."""

from __future__ import annotations

import time
from collections.abc import Sequence
from types import TracebackType
from typing import Any, Optional, TypeVar, Union, overload

from ._convert import encode_values
from ._details import Details
from ._duration import Duration
from ._failure import Cause, failure_json
from ._held import NOT_GIVEN, HeldActivity, value_or, wire_bits
from ._invoke import milliseconds
from .signals import Signals

__all__ = ["Activity"]

S = TypeVar("S", bound="Activity")


class Activity(HeldActivity):
    """An activity that is held open: the library beats for it, whatever this process does.

    ::

        with Activity.from_env() as act:                    # or Activity(token)
            for item in range(act.details(default=-1) + 1, 100):
                work_on(item)
                act.heartbeat(item)                         # well under a microsecond
                act.raise_if_cancelled()
            act.complete("done")

    From opening on the library sends a heartbeat whenever one is due, in a thread of its own that
    needs neither the GIL nor an event loop. It always carries the newest details that are known:
    those of the attempt before, until something is recorded, so that nothing is ever erased. What
    is recorded most often isn't sent at once, but the newest always is in the end.

    * ``token``: the task token. It is this object's alone until `close`: a second one for it, and
      functions such as `temporal_heartbeat.complete`, raise `AlreadyOpen`.
    * ``workflow_id``, ``run_id``, ``activity_id``, ``attempt``: which activity it is, instead of
      the token; a standalone one has no workflow id. The server doesn't tell attempts apart by
      these, so the library asks it first: docs/by-ids.md of the project tells what that costs, and
      what remains. Beside a token they are for asking what the server holds.
    * ``heartbeat_timeout``: the activity's, as its parent knows it. The server is asked when it
      isn't given; before that is answered, LEASE_LOST can't be known.
    * ``pulse``: False sends only what is recorded; the activity times out when nothing is.
    * ``stall_timeout``: when neither `heartbeat` nor `touch` is called for so long, the pulse
      stops, so that the server retries the hung work. Never, if it isn't given.
    * ``cancel_poll``: beat at least so often, to hear of a cancellation sooner than the heartbeat
      timeout needs it.
    * ``initial_details``: what the attempt before recorded last, as the parent was told: values,
      or a `Details`; empty when it recorded nothing. The server is asked when they aren't given.
    * ``age``: how long ago the attempt started: until the first heartbeat is acknowledged, the
      lease counts from there. ``attempt_remaining``: how long it may still take, a hint.
    * ``require_encoded``: refuse values that no codec has encoded, for namespaces that encrypt:
      pass `Payload` objects. A `Payload` that is readable is refused too.
    * ``verify``: look up an ending that is in doubt, because the server's answer was lost, before
      `InDoubt` is raised: it is no error if it was ours, and `NotFound` if it wasn't.
    * ``close_timeout``: how long the end of the with block may take, None for ever.
    * ``fail_on_exception``: see below.

    Times are seconds or a timedelta. Other options are passed on to the library, which names the
    ones that it doesn't know.

    The end of the with block closes the activity: what was recorded last is sent, and the beats
    end. Unless it was ended before, by `complete`, `fail` or `report_cancelled`, it then times out
    and is retried. An exception that leaves the block changes nothing about that, unless
    ``fail_on_exception`` is true: then the activity fails with it, or is reported as cancelled when
    it is `Cancelled` by request. KeyboardInterrupt, SystemExit and the like never fail it.

    Opening never waits for the server, and needs `connect` before. Any thread may call any method.
    A child process of ``os.fork`` can't use its parent's object (`Forked`). One that is dropped
    unclosed warns (ResourceWarning), abandons what isn't sent, and stops beating; at the end of the
    interpreter nothing happens. Also `disconnect` closes it.

    Raises `NotConnected`; `AlreadyOpen`; `Config` for an option or variable; `TokenUnreadable`;
    `InvalidArgument`; `Unimplemented`; `LocalLimit`.
    """

    @overload
    def details(self, *, timeout: Optional[float] = 10.0) -> Details: ...

    @overload
    def details(self, default: Any, *, timeout: Optional[float] = 10.0) -> Any: ...

    def details(self, default: Any = NOT_GIVEN, *, timeout: Optional[float] = 10.0) -> Any:
        """What was recorded before this attempt: the `Details`, empty when there are none.

        With a default it is the value itself, the first one if several were recorded, or the
        default when there are none. It stays the same, whatever is recorded now.

        Without ``initial_details`` the server is asked, which must be before the first `heartbeat`.
        Blocks at most ``timeout`` seconds then, temporary faults being retried within it; None: for
        ever. Any thread may call it.

        Raises `NotFound` when the activity is over; `FailedPrecondition` when something was
        recorded before anybody asked; `Timeout`, `Unavailable` and others when the server can't be
        reached; `Ended`, `InvalidHandle`, `Forked`.
        """
        return value_or(default, self._details(milliseconds(timeout)))

    def wait(
        self,
        mask: Optional[int] = None,
        *,
        known: int = 0,
        timeout: Optional[float] = None,
    ) -> Signals:
        """Wait until something is asked of this process, and return the signals then.

        That is until one of the signals in ``mask`` (None: any) isn't as it is in ``known``: with
        nothing known, until one is set. ``wait(Signals.PAUSED, known=Signals.PAUSED)`` waits for
        the end of a pause. The signals are returned too when ``timeout`` is over.

        Blocks at most ``timeout`` seconds; None: for ever; 0: not at all. Ctrl-C works meanwhile.
        Any thread may call it.

        Raises `InvalidHandle` when the activity is closed, `NotConnected` when the process
        disconnects, `Forked`.
        """
        mask, known = wire_bits(mask), wire_bits(known)
        timeout_ms = milliseconds(timeout)
        deadline = None if timeout is None else time.monotonic() + timeout
        while True:
            signals = self._wait(mask, known, timeout_ms)
            if (signals ^ known) & mask:
                return signals
            if deadline is not None:
                left = deadline - time.monotonic()
                if left <= 0:
                    return signals
                timeout_ms = milliseconds(left)

    def flush(self, *, timeout: Optional[float] = 10.0) -> None:
        """Send what was recorded without waiting for its time, and wait for the acknowledgement.

        Blocks at most ``timeout`` seconds; None: for ever. Any thread may call it.

        Raises `NotFound` when the activity is over; `Timeout` or why it can't be sent, after which
        it is still being tried; `Ended`, `InvalidHandle`, `Forked`, `NotConnected`.
        """
        self._flush(milliseconds(timeout))

    def complete(self, result: Any = None, *, timeout: Optional[float] = 10.0) -> None:
        """End the activity successfully, with a result. None is a result too.

        Nothing is sent after it. When it fails with anything but `NotFound`, `InDoubt` and
        `Ended`, the beats go on, and it may be called again.

        Blocks at most ``timeout`` seconds, temporary faults being retried within it; None: for
        ever. Any thread may call it.

        Raises as `temporal_heartbeat.complete`; `Ended` when it was ended already;
        `InvalidHandle`; `Forked`.
        """
        self._complete(encode_values((result,), self._codec), milliseconds(timeout))

    def fail(
        self,
        message: Union[str, BaseException],
        *,
        type: Optional[str] = None,
        non_retryable: bool = False,
        details: Sequence[Any] = (),
        next_retry_delay: Optional[Duration] = None,
        stack_trace: Optional[str] = None,
        source: Optional[str] = None,
        cause: Optional[Cause] = None,
        timeout: Optional[float] = 10.0,
    ) -> None:
        """End this attempt as failed. The activity's retry policy decides about the next one.

        What was recorded last goes with it in the same request, so that the next attempt surely
        sees it. The arguments are those of `temporal_heartbeat.fail`. Otherwise as `complete`.
        """
        failure = failure_json(
            message,
            type=type,
            non_retryable=non_retryable,
            details=details,
            next_retry_delay=next_retry_delay,
            stack_trace=stack_trace,
            source=source,
            cause=cause,
            codec=self._codec,
        )
        self._fail(failure, milliseconds(timeout))

    def report_cancelled(self, *details: Any, timeout: Optional[float] = 10.0) -> None:
        """End the activity as cancelled, as `Signals.CANCEL_REQUESTED` asked for.

        ``details`` are values for the workflow, if any. What was recorded last is sent before.
        Otherwise as `complete`; and it raises `InvalidArgument` when nobody asked for the
        cancellation: the activity goes on then.
        """
        self._report_cancelled(encode_values(details, self._codec), milliseconds(timeout))

    def close(self, *, timeout: Optional[float] = 10.0) -> None:
        """Send what was recorded last, and beat no more. It ends nothing on the server.

        The activity is closed whatever this raises; once more does nothing.

        Blocks at most ``timeout`` seconds; None: for ever; 0: what isn't sent is abandoned. Any
        thread may call it, and calls of other threads then raise `InvalidHandle`.

        Raises why what was recorded last couldn't be sent.
        """
        self._close(milliseconds(timeout))

    def __enter__(self: S) -> S:
        return self

    def __exit__(
        self,
        kind: Optional[type[BaseException]],
        exception: Optional[BaseException],
        traceback: Optional[TracebackType],
    ) -> None:
        if exception is None:
            self._close(self._close_timeout_ms)
        else:
            self._close_after(exception)
