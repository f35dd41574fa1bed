"""An activity that is held open: all that `Activity` is with and without asyncio."""

from __future__ import annotations

import contextlib
import ctypes
import json
import logging
import os
import sys
import warnings
from collections.abc import Sequence
from typing import Any, Optional, TypeVar

from . import _abi
from ._calls import Token
from ._codec import Codec
from ._connection import call_encoded
from ._convert import encode_plain_base64, encode_values, payloads_base64
from ._details import Details
from ._duration import Duration, duration_ms
from ._failure import failure_json
from ._invoke import as_token, invoke, milliseconds
from ._library import library
from ._quick import LENGTHS, MAX_DATA, quick
from ._read import RawDetails, details_of, fetch_details, read_text
from .errors import Cancelled, Ended, Error, Forked, InvalidHandle, NotFound, Timeout
from .signals import STOP_SIGNALS, Signals, signals_of

__all__ = ["NOT_GIVEN", "HeldActivity", "value_or", "wire_bits"]

S = TypeVar("S", bound="HeldActivity")

NOT_GIVEN: Any = object()

_log = logging.getLogger("temporal_heartbeat")

# One wait in the library is no longer: one that Ctrl-C abandons ends soon by itself.
_WAIT_SLICE_MS = 1000


class HeldActivity:
    """What never waits, in public; and what may wait, in private, by timeouts in milliseconds."""

    def __init__(
        self,
        token: Token = b"",
        *,
        workflow_id: Optional[str] = None,
        run_id: Optional[str] = None,
        activity_id: Optional[str] = None,
        attempt: Optional[int] = None,
        heartbeat_timeout: Optional[Duration] = None,
        pulse: bool = True,
        stall_timeout: Optional[Duration] = None,
        cancel_poll: Optional[Duration] = None,
        initial_details: Optional[Sequence[Any]] = None,
        age: Optional[Duration] = None,
        attempt_remaining: Optional[Duration] = None,
        require_encoded: bool = False,
        verify: bool = False,
        close_timeout: Optional[float] = 10.0,
        fail_on_exception: bool = False,
        **options: Any,
    ) -> None:
        self._closed = True
        self._close_timeout_ms = milliseconds(close_timeout)
        self._fail_on_exception = fail_on_exception
        token = as_token(token)
        named = {
            "workflow_id": workflow_id,
            "run_id": run_id,
            "activity_id": activity_id,
            "attempt": attempt,
            "heartbeat_timeout_ms": duration_ms("heartbeat_timeout", heartbeat_timeout),
            "pulse": pulse,
            "stall_timeout_ms": duration_ms("stall_timeout", stall_timeout),
            "cancel_poll_ms": duration_ms("cancel_poll", cancel_poll),
            "age_ms": duration_ms("age", age),
            "attempt_remaining_ms": duration_ms("attempt_remaining", attempt_remaining),
            "require_encoded": require_encoded,
            "verify": verify,
            **options,
        }
        from_env = bool(options.get("from_env"))
        # What the quick calls take. Threads may share what the signals are written to: whichever
        # call wrote last, they are the activity's.
        self._handle = ctypes.c_uint64(0)
        self._bits = ctypes.c_uint32(0)
        self._bits_out = ctypes.byref(self._bits)

        def encode(codec: Optional[Codec]) -> tuple[Optional[Codec], bytes]:
            encoded = _initial_details(initial_details, from_env, codec)
            given = {**named, "initial_details": encoded}
            text = json.dumps({key: value for key, value in given.items() if value is not None})
            return codec, text.encode()

        def call(
            native: ctypes.CDLL, options: tuple[Optional[Codec], bytes], error: Any
        ) -> tuple[int, Optional[Codec]]:
            codec, text = options
            handle_out = ctypes.byref(self._handle)
            return native.thb_activity_open(
                token, len(token), text, len(text), handle_out, error
            ), codec

        # Only a token that has to be read from a descriptor can block this. The handle ends with
        # the connection, so the codec of that connection is the one for all calls of the handle.
        self._codec = call_encoded(encode, call, may_block=from_env)
        # Without a codec, to be quick.
        self._plain = self._codec is None
        self._quick = quick(library())
        self._quick_heartbeat = self._quick.heartbeat
        self._closed = False

    @classmethod
    def from_env(cls: type[S], **options: Any) -> S:
        """Hold the activity that the parent process handed over in the environment.

        The token is where `token_from_env` finds it; without one the activity is held by its ids
        (TEMPORAL_ACTIVITY_WORKFLOW_ID, _RUN_ID, _ID, _ATTEMPT). Beside it there may be

        * TEMPORAL_ACTIVITY_HEARTBEAT_TIMEOUT_MS: the heartbeat timeout;
        * TEMPORAL_ACTIVITY_HEARTBEAT_DETAILS: the details of the attempt before, as the base64 of
          an encoded Payloads; empty when there are none;
        * TEMPORAL_ACTIVITY_AGE_MS: how long ago the attempt started, as the parent has measured it;
        * TEMPORAL_ACTIVITY_DEADLINE_MS: how long the attempt may still take, a hint;
        * TEMPORAL_ACTIVITY_REQUIRE_ENCODED: true for ``require_encoded``, which no option undoes.

        A parent in Python makes them all with `temporal_heartbeat.handoff.environment`. The
        options are those of the class, and have precedence.

        Raises `Config` when a variable is missing or wrong; further as the class does.
        """
        return cls(b"", from_env=True, **options)

    def heartbeat(self, *details: Any) -> Signals:
        """Record progress, and return what is asked of this process by now: usually nothing.

        ``details`` are what the next attempt resumes from, one value as a rule. The first ones are
        sent at once, later ones when a heartbeat is due; the newest win, and the last ones are
        always sent. Without details it is `touch`: nothing is erased.

        Never waits. Any thread may call it.

        Raises `NotFound` when the activity is over for its token: stop the work. `TooLarge` when
        the details exceed 2 MiB; `Ended` when it was ended here; `InvalidHandle` when it was
        closed; `Forked` in a child process; `TypeError` for a value that can't be converted.
        """
        if len(details) == 1 and self._plain:
            value = details[0]
            kind = type(value)
            if kind is bytes:
                encoding, data = _abi.ENCODING_BINARY, value
            elif kind is int:
                encoding, data = _abi.ENCODING_JSON, b"%d" % value
            else:
                encoding, data = encode_values(details, self._codec)
        elif details:
            encoding, data = encode_values(details, self._codec)
        else:
            return self.touch()
        size = len(data)
        length = LENGTHS[size] if size < len(LENGTHS) else ctypes.c_size_t(size)
        if size > MAX_DATA or self._quick_heartbeat(
            self._handle, encoding, data, length, self._bits_out, None
        ):
            return self._signals_from("thb_activity_heartbeat", encoding, data, size)
        return signals_of(self._bits.value)

    def touch(self) -> Signals:
        """Tell that the work goes on, without details: the ``stall_timeout`` begins anew.

        Otherwise as `heartbeat`.
        """
        if self._quick.touch(self._handle, self._bits_out, None):
            return self._signals_from("thb_activity_touch")
        return signals_of(self._bits.value)

    @property
    def signals(self) -> Signals:
        """What is asked of this process by now. Never waits. Any thread may read it.

        Also after the activity has ended. Raises `InvalidHandle` after `close`; `Forked` in a child
        process.
        """
        if self._quick.get_signals(self._handle, self._bits_out, None):
            return self._signals_from("thb_activity_get_signals")
        return signals_of(self._bits.value)

    def raise_if_cancelled(self) -> None:
        """Raise `Cancelled` if it makes no sense to go on; its ``signals`` tell why.

        So it is when the cancellation was requested, and `report_cancelled` is to follow; when the
        activity was reset, and `fail` is to follow; when it is over for this attempt; when the
        lease is lost, so that another attempt may be running. Not when it is paused, and not at
        DEADLINE, which is a hint. Never waits. Any thread may call it.
        """
        signals = self.signals
        if signals & STOP_SIGNALS:
            raise Cancelled(signals)

    @property
    def info(self) -> dict[str, Any]:
        """How it stands with the activity. Never waits. Any thread may read it.

        ``state`` ("open", "ending", "ended" or "gone"), ``attempt``, ``addressed_by`` (what tells
        the server which activity it is: "token", "derived_token" or "ids"), ``signals``,
        ``heartbeat_timeout_ms``, ``lease_left_ms``, ``since_acknowledged_ms``, ``pending``
        (recorded, but not acknowledged), ``next_beat_ms``, ``records``, ``beats`` (acknowledged
        ones), ``failed_tries``, ``leases_regained``, ``last_error`` (None, or a dict with ``code``,
        ``name``, ``message``). What isn't known is None. Later versions may add keys.
        """
        text = read_text(
            lambda native, text, error: native.thb_activity_get_info(self._handle, text, error),
            may_block=False,
        )
        read: dict[str, Any] = json.loads(text)
        return read

    def __repr__(self) -> str:
        try:
            state = "closed" if self._closed else self.info["state"]
        except Error as error:
            state = type(error).__name__
        return f"<{type(self).__module__}.{type(self).__name__} {state}>"

    def __del__(self) -> None:
        # Without this the library would go on beating for work that nobody holds any more. It
        # waits for nothing, and at the interpreter's end there is nothing to do.
        if not getattr(self, "_closed", True) and not sys.is_finalizing():
            message = f"unclosed {self!r}"
            self._quick.close(self._handle, 0, None)
            warnings.warn(message, ResourceWarning, stacklevel=2, source=self)

    # What may wait, with everything converted already, so that it can be done in another thread.

    def _wait(self, mask: int, known: int, timeout_ms: int) -> Signals:
        """At most a slice of the timeout, whatever that is."""
        wait_ms = min(timeout_ms, _WAIT_SLICE_MS)
        return self._signals_from(
            "thb_activity_wait", mask, known, wait_ms, may_block=timeout_ms > 0
        )

    def _details(self, timeout_ms: int) -> Details:
        def fetch(native: ctypes.CDLL, details: Any, error: Any) -> int:
            status: int = native.thb_activity_get_details(self._handle, timeout_ms, details, error)
            return status

        def call(native: ctypes.CDLL, error: Any) -> tuple[int, Optional[RawDetails]]:
            return fetch_details(native, fetch, error)

        return details_of(invoke(call, may_block=timeout_ms > 0), self._codec)

    def _flush(self, timeout_ms: int) -> None:
        self._call("thb_activity_flush", timeout_ms)

    def _complete(self, result: tuple[int, bytes], timeout_ms: int) -> None:
        encoding, data = result
        self._call("thb_activity_complete", encoding, data, len(data), timeout_ms)

    def _fail(self, failure: bytes, timeout_ms: int) -> None:
        self._call("thb_activity_fail", failure, len(failure), timeout_ms)

    def _report_cancelled(self, details: tuple[int, bytes], timeout_ms: int) -> None:
        encoding, data = details
        self._call("thb_activity_report_cancelled", encoding, data, len(data), timeout_ms)

    def _close(self, timeout_ms: int) -> None:
        """Closed already, by the end of the connection too, and the parent's: nothing is to do."""
        if self._closed:
            return
        self._closed = True
        # To abandon what isn't sent is what a timeout of 0 asks for.
        expected = (InvalidHandle, Forked) if timeout_ms else (InvalidHandle, Forked, Timeout)
        with contextlib.suppress(*expected):
            self._call("thb_activity_close", timeout_ms)

    def _end_by(self, exception: BaseException) -> None:
        """What the end of a with block by an exception does, before the activity is closed."""
        asked = exception.signals if isinstance(exception, Cancelled) else Signals(0)
        try:
            if not self._fail_on_exception or not isinstance(exception, Exception):
                pass
            elif asked & Signals.CANCEL_REQUESTED:
                self._report_cancelled(encode_values((), self._codec), self._close_timeout_ms)
            else:
                self._fail(failure_json(exception, codec=self._codec), self._close_timeout_ms)
        except (Ended, NotFound, InvalidHandle, Forked):
            pass  # it is over, or was never ours to end
        except Error as error:
            _log.warning("the end of the activity could not be reported: %s", error)

    def _close_after(self, exception: BaseException) -> None:
        """Closes, but lets nothing hide the exception that is on its way."""
        self._end_by(exception)
        try:
            self._close(self._close_timeout_ms)
        except Error as error:
            _log.warning("what the activity recorded last could not be sent: %s", error)

    def _call(self, name: str, *arguments: Any) -> None:
        """A call whose last argument is its timeout."""

        def call(native: ctypes.CDLL, error: Any) -> tuple[int, None]:
            return getattr(native, name)(self._handle, *arguments, error), None

        invoke(call, may_block=arguments[-1] != 0)

    def _signals_from(self, name: str, *arguments: Any, may_block: bool = False) -> Signals:
        """A call that gives signals; after one that was quick, anew, for the sake of its error."""

        def call(native: ctypes.CDLL, error: Any) -> tuple[int, int]:
            bits = ctypes.c_uint32(0)
            status = getattr(native, name)(self._handle, *arguments, ctypes.byref(bits), error)
            return status, bits.value

        return signals_of(invoke(call, may_block=may_block))


def _initial_details(
    details: Optional[Sequence[Any]], from_env: bool, codec: Optional[Codec]
) -> Optional[str]:
    if isinstance(details, Details):
        details = details.payloads
    if details is not None:
        return payloads_base64("initial_details", details, codec)
    # The library reads the variable itself, and sends what is in it: so it may not be plain.
    handed = os.environ.get("TEMPORAL_ACTIVITY_HEARTBEAT_DETAILS")
    if not from_env or codec is None or handed is None:
        return None
    return encode_plain_base64(handed, codec)


def wire_bits(signals: Optional[int]) -> int:
    """A set of signals as the library takes it: None is all, also those to come."""
    return 0xFFFFFFFF if signals is None else signals & 0xFFFFFFFF


def value_or(default: Any, details: Details) -> Any:
    """The details, or, where a default was given, the first value among them."""
    if default is NOT_GIVEN:
        return details
    return details[0] if details else default
