"""The base class of both `Activity` classes, for threads and for asyncio."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import json
import logging
import os
import sys
import warnings
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Callable, NoReturn, Optional, TypedDict, TypeVar

from . import _abi, errors
from ._active_codec import invoke_encoded
from ._codec import Codec, codec_of
from ._context import context_of
from ._details import Details, RawDetails, decode_details
from ._duration import Duration, duration_to_ms, timeout_to_ms
from ._encoding import encode_plain_base64, encode_values, options_json, payloads_base64
from ._failure import encode_failure, grouped_exceptions
from ._fast_calls import MAX_FAST_BYTES, SIZES, fast_function, size
from ._invoke import Token, invoke_function, read_text, token_bytes
from ._keywords import refuse_unknown
from ._library import library
from ._sdk_exceptions import is_sdk_cancellation, sdk_failure_of
from ._stall import STATUS_ENCODING, stall_options
from .errors import (
    Cancelled,
    EndedError,
    Error,
    ForkedError,
    InvalidArgumentError,
    InvalidHandleError,
    NotFoundError,
    TooLargeError,
)
from .signals import STOP_SIGNALS, Signals, signals_of

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from ._task import TaskInfo

__all__ = [
    "NOT_GIVEN",
    "ActivityBase",
    "ActivityOptions",
    "is_cancellation",
    "signal_bits",
    "value_or",
]

S = TypeVar("S", bound="ActivityBase")
T = TypeVar("T")

NOT_GIVEN: Any = object()

_log = logging.getLogger("temporal_heartbeat")

_NO_SIGNALS = Signals(0)

# The keys of the reasons in ``info``. The first one whose signal is set is `ActivityBase.reason`.
_REASON_KEYS = {Signals.CANCEL_REQUESTED: "cancel_reason", Signals.PAUSED: "pause_reason"}


class ActivityOptions(TypedDict, total=False):
    """The options of `Activity` and `Activity.from_env`."""

    workflow_id: Optional[str]
    run_id: Optional[str]
    activity_id: Optional[str]
    attempt: Optional[int]
    activity_type: Optional[str]
    workflow_type: Optional[str]
    task_queue: Optional[str]
    heartbeat_timeout: Optional[Duration]
    pulse: bool
    stall_timeout: Optional[Duration]
    stall_action: Optional[str]
    stall_signal: Optional[int]
    stall_report: Optional[str]
    cancel_poll: Optional[Duration]
    follow_server: bool
    initial_details: Optional[Sequence[Any]]
    age: Optional[Duration]
    attempt_remaining: Optional[Duration]
    data_converter: Any
    require_encoded: bool
    verify: bool
    when_absent: Optional[str]
    close_timeout: Optional[float]
    fail_on_exception: bool


class ActivityBase:
    """The public methods that never wait, and private methods that may wait.

    The timeouts of the private methods are in milliseconds.
    """

    # The signals that a `Worker` sets.
    _own_signals = _NO_SIGNALS
    _task: Optional[TaskInfo] = None

    # Set when the activity is open.
    _fast_heartbeat: ctypes._NamedFuncPointer
    _fast_touch: ctypes._NamedFuncPointer
    _fast_get_signals: ctypes._NamedFuncPointer
    _fast_close: ctypes._NamedFuncPointer

    def __init__(
        self,
        token: Token = b"",
        *,
        workflow_id: Optional[str] = None,
        run_id: Optional[str] = None,
        activity_id: Optional[str] = None,
        attempt: Optional[int] = None,
        activity_type: Optional[str] = None,
        workflow_type: Optional[str] = None,
        task_queue: Optional[str] = None,
        heartbeat_timeout: Optional[Duration] = None,
        pulse: bool = True,
        stall_timeout: Optional[Duration] = None,
        stall_action: Optional[str] = None,
        stall_signal: Optional[int] = None,
        stall_report: Optional[str] = None,
        cancel_poll: Optional[Duration] = None,
        follow_server: bool = False,
        initial_details: Optional[Sequence[Any]] = None,
        age: Optional[Duration] = None,
        attempt_remaining: Optional[Duration] = None,
        data_converter: Any = None,
        require_encoded: bool = False,
        verify: bool = False,
        when_absent: Optional[str] = None,
        close_timeout: Optional[float] = 10.0,
        fail_on_exception: bool = True,
        from_env: bool = False,
        **unknown: NoReturn,
    ) -> None:
        self._closed = True
        refuse_unknown(type(self), unknown)
        self._close_timeout_ms = timeout_to_ms(close_timeout)
        self._fail_on_exception = fail_on_exception
        token = token_bytes(token)
        own_codec = codec_of(data_converter)
        arguments = {
            "workflow_id": workflow_id,
            "run_id": run_id,
            "activity_id": activity_id,
            "attempt": attempt,
            "heartbeat_timeout_ms": duration_to_ms("heartbeat_timeout", heartbeat_timeout),
            "pulse": pulse,
            "stall_timeout_ms": duration_to_ms("stall_timeout", stall_timeout),
            "cancel_poll_ms": duration_to_ms("cancel_poll", cancel_poll),
            "follow_server": follow_server,
            "age_ms": duration_to_ms("age", age),
            "attempt_remaining_ms": duration_to_ms("attempt_remaining", attempt_remaining),
            "require_encoded": require_encoded,
            "verify": verify,
            "when_absent": when_absent,
            "from_env": from_env,
            **stall_options(stall_action, stall_report, stall_signal),
        }
        context = partial(
            context_of,
            token,
            from_env=from_env,
            workflow_id=workflow_id,
            run_id=run_id,
            activity_id=activity_id,
            activity_type=activity_type,
            workflow_type=workflow_type,
            activity_task_queue=task_queue,
        )
        self._make_arguments(0)

        def encode(codec: Optional[Codec]) -> tuple[Optional[Codec], bytes]:
            encoded = _initial_details(initial_details, from_env, codec)
            # The library can't encode a report with a codec of Python.
            report = "brief" if codec is not None and codec.may_encrypt else stall_report
            changed = {"initial_details": encoded, "stall_report": report}
            return codec, options_json({**arguments, **changed})

        is_abandoned = False

        def call(
            native: ctypes.CDLL, options: tuple[Optional[Codec], bytes], error: Any
        ) -> tuple[int, Optional[Codec]]:
            codec, text = options
            handle_out = ctypes.byref(self._handle)
            status = native.thb_activity_open(token, len(token), text, len(text), handle_out, error)
            if is_abandoned:
                native.thb_activity_close(self._handle, 0, None)
            return status, codec

        try:
            # Only reading a token from a descriptor can block. The handle becomes invalid when its
            # connection ends, so all calls of the handle use this codec.
            self._codec = invoke_encoded(
                encode,
                call,
                may_block=from_env,
                codec=own_codec,
                context=context,
                require_encoded=require_encoded or (from_env and _is_encoding_handed_over()),
            )
            self._find_fast_functions()
            self._closed = False
        except BaseException:
            # An interrupted call continues in its thread, and may open the activity later. So that
            # thread closes it too. If both close it, the second close finds an invalid handle.
            is_abandoned = True
            if self._handle.value:
                library().thb_activity_close(self._handle, 0, None)
            raise

    @classmethod
    def _of_task(
        cls: type[S], handle: int, task: TaskInfo, codec: Optional[Codec], close_timeout_ms: int
    ) -> S:
        """Returns the object for an activity that the library has opened for a worker's task."""
        made = cls.__new__(cls)
        made._closed = True
        made._close_timeout_ms = close_timeout_ms
        made._fail_on_exception = True
        made._task = task
        made._codec = codec
        made._make_arguments(handle)
        made._find_fast_functions()
        made._closed = False
        return made

    def _make_arguments(self, handle: int) -> None:
        """Makes the arguments of the fast calls.

        Threads may share the output, because each call writes the signals of the same activity.
        """
        self._handle = ctypes.c_uint64(handle)
        self._signals = ctypes.c_uint32(0)
        self._signals_out = ctypes.byref(self._signals)

    def _find_fast_functions(self) -> None:
        native = library()
        self._fast_heartbeat = fast_function(native, "thb_activity_heartbeat")
        self._fast_touch = fast_function(native, "thb_activity_touch")
        self._fast_get_signals = fast_function(native, "thb_activity_get_signals")
        self._fast_close = fast_function(native, "thb_activity_close")

    def _set_shutdown(self) -> None:
        """Sets `Signals.SHUTDOWN`. The fast calls, which return only the library's, end with it."""
        self._own_signals = Signals.SHUTDOWN

        def fail(*_: Any) -> int:
            return 1

        for name in ("_fast_heartbeat", "_fast_touch", "_fast_get_signals"):
            setattr(self, name, fail)

    @property
    def task(self) -> Optional[TaskInfo]:
        """The `TaskInfo` of the task, if a `Worker` has taken it; otherwise None. Never waits."""
        return self._task

    @classmethod
    def from_env(cls: type[S], **options: Unpack[ActivityOptions]) -> S:
        """Open the activity that the parent process handed over in the environment.

        `token_from_env` describes where the token is. Without one, the ids identify the activity
        (TEMPORAL_ACTIVITY_WORKFLOW_ID, _RUN_ID, _ID, _ATTEMPT). These variables are optional:

        * TEMPORAL_ACTIVITY_HEARTBEAT_TIMEOUT_MS: the heartbeat timeout;
        * TEMPORAL_ACTIVITY_HEARTBEAT_DETAILS: the details of the previous attempt, as the base64
          text of a serialized Payloads; empty if there are none;
        * TEMPORAL_ACTIVITY_AGE_MS: the time since the attempt started, as the parent measured it;
        * TEMPORAL_ACTIVITY_DEADLINE_MS: the time that the attempt has left, a hint;
        * TEMPORAL_ACTIVITY_REQUIRE_ENCODED: true for ``require_encoded``. No option disables it;
        * TEMPORAL_ACTIVITY_TYPE, _WORKFLOW_TYPE, _TASK_QUEUE: for the `SerializationContext`.

        A parent in Python makes all of them with `temporal_heartbeat.handoff.environment`. The
        options are those of the class, and take precedence over the variables.

        With ``when_absent="inactive"`` a program also runs by hand. If no variable of a token or of
        ids is set, the object is inactive: its methods succeed and do nothing, its details are
        empty, and its signals are never set. It needs no `connect`. ``info["state"]`` is
        "inactive". A variable that is set, but empty or invalid, is an error nevertheless.

        Raises `ConfigError` for a missing or invalid variable; otherwise as the class does.
        """
        return cls(b"", **options, from_env=True)

    def heartbeat(self, *details: Any) -> Signals:
        """Record progress, and return the current signals: usually none.

        The next attempt resumes from ``details``, usually one value. The first details are sent at
        once, later ones when a heartbeat is due. New details replace details that aren't sent yet.
        `flush`, `fail`, `report_cancelled` and `close` send the newest. Without details this is
        `touch`: nothing is erased.

        Never waits. Any thread may call it.

        Raises `NotFoundError` when the activity is over for its token: stop the work.
        `TooLargeError` when the details exceed 2 MiB; `EndedError` after an ending call;
        `InvalidHandleError` after `close`; `ForkedError` in a child process; `TypeError` for a
        value that can't be converted.
        """
        if not details:
            return self.touch()
        if self._codec is None and len(details) == 1 and type(details[0]) is bytes:
            # As below, without three function calls.
            encoding, data = _abi.ENCODING_BINARY, details[0]
            length = len(data)
        else:
            encoding, data, length = encode_values(details, self._codec)
        if length > MAX_FAST_BYTES or self._fast_heartbeat(
            self._handle,
            encoding,
            data,
            SIZES[length] if length < len(SIZES) else size(length),
            self._signals_out,
            None,
        ):
            return self._call_for_signals("thb_activity_heartbeat", encoding, data, length)
        signals = self._signals.value
        return signals_of(signals) if signals else _NO_SIGNALS

    def touch(self) -> Signals:
        """Report that the work continues, without details: this restarts the ``stall_timeout``.

        Otherwise as `heartbeat`.
        """
        if self._fast_touch(self._handle, self._signals_out, None):
            return self._call_for_signals("thb_activity_touch")
        return signals_of(self._signals.value)

    def set_status(self, text: str) -> None:
        """Set what the work is doing now, for example ``"loading shard 7"``; at most 4 KiB.

        ``info["status"]`` shows it, and so does the failure of a stall (``stall_action``). It is no
        progress: the ``stall_timeout`` doesn't start again. Don't put secrets into it.

        With ``stall_signal``, the stack of the thread that called this last comes first.

        Never waits. Any thread may call it, also after the activity has ended. Raises
        `TooLargeError`, `InvalidHandleError` after `close`, `ForkedError` in a child process.
        """
        data = text.encode(*STATUS_ENCODING)
        invoke_function("thb_activity_set_status", self._handle, data, len(data), may_block=False)

    @property
    def signals(self) -> Signals:
        """The current signals. Never waits. Any thread may read it.

        They remain readable after the activity has ended. Raises `InvalidHandleError` after
        `close`; `ForkedError` in a child process.
        """
        if self._fast_get_signals(self._handle, self._signals_out, None):
            return self._call_for_signals("thb_activity_get_signals")
        return signals_of(self._signals.value)

    def raise_if_cancelled(self) -> None:
        """Raise `Cancelled`, with the ``signals`` and the `reason`, if one of STOP_SIGNALS is set.

        After CANCEL_REQUESTED, call `report_cancelled`. After RESET, call `fail`. After GONE or
        LEASE_LOST, only stop the work: the attempt is over, or another one may be running. A pause
        raises nothing: call `wait_while_paused` before this. DEADLINE, which is a hint, raises
        nothing either. Never waits. Any thread may call it.
        """
        signals = self.signals
        if signals & STOP_SIGNALS:
            raise Cancelled(signals, self.reason)

    @property
    def reason(self) -> Optional[str]:
        """The reason of the cancellation, or of the pause, as the request for it contained it.

        With CANCEL_REQUESTED it is that of the cancellation, else with PAUSED that of the pause. It
        is None without these signals, and if the server doesn't show it. With ``follow_server`` it
        is usually known with the signal; that of a pause in a workflow a few seconds later. Without
        it the server is rarely asked. ``info`` has both reasons, and the identities of the clients
        that made the requests. Never waits. Any thread may read it.
        """
        info = self.info
        reasons = [info[key] for signal, key in _REASON_KEYS.items() if info["signals"] & signal]
        return reasons[0] if reasons else None

    @property
    def info(self) -> dict[str, Any]:
        """The state of the activity. Never waits. Any thread may read it.

        ``state`` ("open", "ending", "ended", "gone" or "inactive"), ``attempt``, ``addressed_by``
        (how requests name the activity: "token", "derived_token" or "ids"), ``signals``,
        ``heartbeat_timeout_ms``, ``lease_left_ms``, ``since_acknowledged_ms``, ``pending``
        (recorded, but not acknowledged), ``next_beat_ms``, ``records``, ``beats`` (acknowledged
        ones), ``failed_tries``, ``leases_regained``, ``last_error`` (None, or a dict with ``code``,
        ``name``, ``message``); ``status`` (of `set_status`), ``since_progress_ms``; ``following``
        (whether a long poll shows changes: see
        ``follow_server``), ``timeouts_from`` ("options", or "server" after the first description),
        ``start_to_close_timeout_ms``, ``schedule_to_close_timeout_ms``, ``cancel_reason``,
        ``cancel_identity``, ``pause_reason``, ``pause_identity``. An unknown value is None. Later
        versions may add keys.
        """
        info: dict[str, Any] = json.loads(
            read_text("thb_activity_get_info", self._handle, may_block=False)
        )
        return info

    def __reduce_ex__(self, protocol: Any) -> NoReturn:
        raise TypeError(
            "an Activity can't be copied or pickled, because only one process may hold it open: let"
            " this process record. If another process takes the activity over, close it here, pass"
            " the task token, and open it there"
        )

    def __repr__(self) -> str:
        try:
            state = "closed" if self._closed else self.info["state"]
        except Error as error:
            state = type(error).__name__
        return f"<{type(self).__module__}.{type(self).__name__} {state}>"

    def __del__(self) -> None:
        # Without this the library would continue to heartbeat for abandoned work. A close with the
        # timeout 0 never waits. It isn't needed while the interpreter exits.
        if not getattr(self, "_closed", True) and not sys.is_finalizing():
            message = f"unclosed {self!r}"
            self._fast_close(self._handle, 0, None)
            warnings.warn(message, ResourceWarning, stacklevel=2, source=self)

    # The methods that may wait are coroutines. For threads these never suspend: see `run_blocking`.

    async def _call(self, name: str, *arguments: Any) -> None:
        """Calls a C function with the handle. Its last argument is the timeout."""
        raise NotImplementedError

    async def _fetch_details(self, timeout_ms: int) -> Optional[RawDetails]:
        raise NotImplementedError

    async def _with_codec(self, function: Callable[[Optional[Codec]], T]) -> T:
        """Returns what the function returns for the codec."""
        raise NotImplementedError

    async def _send(
        self, name: str, encode: Callable[[Optional[Codec]], tuple[Any, ...]], timeout_ms: int
    ) -> None:
        """Calls a C function with the handle and encoded values."""
        await self._call(name, *await self._with_codec(encode), timeout_ms)

    async def _details(self, timeout_ms: int) -> Details:
        raw = await self._fetch_details(timeout_ms)
        return await self._with_codec(partial(decode_details, raw))

    async def _close(self, timeout_ms: int) -> None:
        """Does nothing if the activity is closed already or belongs to the parent process."""
        if self._closed:
            return
        self._closed = True
        expected: tuple[type[Error], ...] = (InvalidHandleError, ForkedError)
        if timeout_ms == 0:
            # With the timeout 0 the caller abandons unsent details.
            expected += (errors.TimeoutError,)
        with contextlib.suppress(*expected):
            await self._call("thb_activity_close", timeout_ms)

    async def _close_after(self, exception: BaseException) -> None:
        """Closes after a with block raised. Logs its own errors, which would hide the exception."""
        try:
            await self._report_exception(exception)
        except BaseException:
            # The program or the task is being stopped.
            self._close_at_once()
            raise
        try:
            await self._close(self._close_timeout_ms)
        except Error as error:
            _log.warning("the last recorded details could not be sent: %s", error)

    def _close_at_once(self) -> None:
        """Closes without sending anything, which never waits."""
        self._closed = True
        self._fast_close(self._handle, 0, None)

    async def _report_exception(self, exception: BaseException) -> None:
        """Ends the activity as failed or cancelled, unless ``fail_on_exception`` is false."""
        if not self._fail_on_exception:
            return
        try:
            signals = self.signals
            if signals & (Signals.GONE | Signals.LEASE_LOST):
                return  # the server has ended this attempt, or soon will
            if signals & Signals.CANCEL_REQUESTED and is_cancellation(exception):
                await self._report_cancellation(exception)
            elif isinstance(exception, Exception):
                await self._fail_with(exception)
        except (EndedError, NotFoundError, InvalidHandleError, ForkedError):
            pass  # the activity is over, or belongs to the parent process
        except Exception as error:
            _log.warning("the activity could not be ended: %s", error)

    async def _report_cancellation(self, exception: BaseException) -> None:
        sdk = sdk_failure_of(exception)
        encode = partial(encode_values, sdk.details if sdk else ())
        await self._send("thb_activity_report_cancelled", encode, self._close_timeout_ms)

    async def _fail_with(self, exception: BaseException) -> None:
        """Fails the attempt, without the exception's details if these can't be sent."""
        for with_details in (True, False):
            encode = partial(encode_failure, exception, with_exception_details=with_details)
            try:
                await self._send("thb_activity_fail", encode, self._close_timeout_ms)
                return
            except Exception as error:
                is_refused = isinstance(error, (InvalidArgumentError, TooLargeError))
                if not with_details or (isinstance(error, Error) and not is_refused):
                    raise
                _log.warning("the details of the exception could not be sent: %s", error)

    def _call_for_signals(self, name: str, *arguments: Any, may_block: bool = False) -> Signals:
        """Calls a C function that outputs signals. Repeats a failed fast call to get its error."""
        signals = ctypes.c_uint32(0)
        invoke_function(name, self._handle, *arguments, ctypes.byref(signals), may_block=may_block)
        return signals_of(signals.value | self._own_signals)


def is_cancellation(exception: BaseException) -> bool:
    grouped = grouped_exceptions(exception)
    if grouped:
        return all(map(is_cancellation, grouped))
    kinds = (Cancelled, asyncio.CancelledError)
    return isinstance(exception, kinds) or is_sdk_cancellation(exception)


def _initial_details(
    details: Optional[Sequence[Any]], from_env: bool, codec: Optional[Codec]
) -> Optional[str]:
    if isinstance(details, Details):
        details = details.payloads
    if details is not None:
        return payloads_base64("initial_details", details, codec)
    # The library reads the variable itself and sends its contents, so a codec must encode them.
    handed_over = os.environ.get("TEMPORAL_ACTIVITY_HEARTBEAT_DETAILS")
    if not from_env or codec is None or handed_over is None:
        return None
    return encode_plain_base64(handed_over, codec)


def _is_encoding_handed_over() -> bool:
    return os.environ.get("TEMPORAL_ACTIVITY_REQUIRE_ENCODED") in ("true", "1")


def signal_bits(signals: Optional[int]) -> int:
    """Converts signals to the bits of the C ABI. None means all, including unknown ones."""
    return 0xFFFFFFFF if signals is None else signals & 0xFFFFFFFF


def value_or(default: Any, details: Details) -> Any:
    """Returns the details; with a default, the first value, or the default if there is none."""
    if default is NOT_GIVEN:
        return details
    return details[0] if details else default
