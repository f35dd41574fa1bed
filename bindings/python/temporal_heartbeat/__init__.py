"""Heartbeat a Temporal Activity from any process.

The Activity's worker passes the task token to this process, and returns without a result: with
``activity.raise_complete_async()`` in Python, with ``activity.ErrResultPending`` in Go. This
process reports progress, checks for cancellation, and ends the Activity. If this process dies, the
next attempt resumes from the recorded progress::

    import temporal_heartbeat as thb

    thb.connect()
    with thb.Activity.from_env() as act:
        for item in thb.track(range(100), act):     # after the last recorded item
            work_on(item)
        act.complete("done")

The model
    A process has one connection, which all threads use: `connect` opens it, `disconnect` closes it.
    A task token identifies one attempt of one Activity. There are two ways to use a token:

    Activity            Holds one attempt open. The library heartbeats in the background, even while
                        this process is busy. Recording progress takes less than a microsecond.
                        `track` iterates over its items: it skips those that are done, records each
                        new one, waits while the activity is paused, and raises `Cancelled`.
    functions           `heartbeat`, `get_details`, `complete`, `fail`, `report_cancelled` take a
                        token, and each call is one request to the server. Use them in a process
                        that heartbeats rarely and runs for a shorter time than the activity.

    A `Worker` takes the tasks of a task queue itself, without Temporal's SDK, and runs a Python
    function for each.
    `apart` runs an activity of a Python worker in a process of its own, which does all of this.
    In both, `current_activity` returns the `Activity`.
    `temporal_heartbeat.aio` has both ways for asyncio: thousands of calls in flight, and no thread.
    `temporal_heartbeat.handoff` is the parent's side: it hands an activity to a child process.

Blocking
    `Activity.heartbeat`, `touch`, and properties such as ``signals`` never wait. The other
    functions block until the server answers or ``timeout`` seconds have passed, by default 10. With
    None there is no limit. With 0, nothing is sent. Temporary errors are retried within that time.
    The GIL is released. If a signal handler raises, as for Ctrl-C, a call in the main thread ends
    at once with that exception. The request continues in the background, and the server may still
    receive it. In an event loop use `temporal_heartbeat.aio`.

Threads and processes
    Any thread may call any function. After ``os.fork`` the child opens its own connection at its
    first call, and its parent's `Activity` objects raise `ForkedError` there. Only one process
    should heartbeat with a token, because several would overwrite each other's progress. In a pool,
    return the progress to the process that opened the `Activity`. Use `end_with_parent` to end the
    processes of the pool when that process ends.

Values
    Details and results are converted as Temporal's Python SDK does by default. They may be None,
    bytes, protobuf messages, and all that JSON can represent, including dataclasses, datetime and
    UUID. When they are read, they are plain values: a dataclass is read as a dict. A `Payload` is
    sent unchanged. A value that this process can't decode is returned as a `Payload`. For a
    namespace with encrypted data, set the codec with ``connect(data_converter=...)``. It encodes
    all values, including `Payload` objects. A value in external storage needs a codec that
    retrieves it.

Signals
    Every heartbeat returns the current signals, usually none:

    CANCEL_REQUESTED    Cancellation was requested: clean up, then call `report_cancelled`. The
                        server also still accepts `complete`.
    PAUSED              Stop working until the flag is cleared, but continue to heartbeat, or the
                        activity times out.
    RESET               An operator reset the activity. End this attempt, for example with `fail`.
                        The server then starts again with attempt 1.

    Only an `Activity` has these:

    GONE                The activity is over for this token. Stop the work.
    LEASE_LOST          No heartbeat was acknowledged in time: another attempt may be running.
    DEADLINE            ``attempt_remaining`` has passed, so the attempt has probably timed out. If
                        the server confirms this, GONE follows.
    STALLED             Nothing was recorded for ``stall_timeout``: the heartbeats have stopped, or
                        what ``stall_action`` says happened.
    REFUSED             The server refuses the heartbeats; ``info`` has the error.
    UNSEEDED            The saved progress couldn't be read, so automatic heartbeats are off until
                        something is recorded.
    SHUTDOWN            The `Worker` shuts down, and its grace is over: end this attempt.

    `Activity.raise_if_cancelled` raises `Cancelled` if one of STOP_SIGNALS is set: stop the work.
    `Activity.reason` is the reason of a cancellation or a pause. By default a signal is set by the
    next heartbeat, and with ``follow_server=True`` at once. The functions that take a token notice
    nothing between two calls.

Errors
    Every failure is an `Error` with a ``code``, a ``message`` and ``retryable``. Each status has
    its own class. Later versions may add classes, so catch `Error` last.

    NotFoundError       The activity is over for this token: it ended, timed out, or a later attempt
                        has replaced this one. Stop the work. Don't complete or fail it.
    InDoubtError        The ending call may have been applied: the answer to an earlier try was
                        lost. Treat the work as done, and don't undo it.
    UnavailableError, TimeoutError, ResourceExhaustedError, NamespaceNotActiveError
                        Temporary. The call was retried until its timeout. Continue the work, and
                        heartbeat again at the next item.
    TooLargeError       Over the server's limit of 2 MiB. Nothing was sent. Record less.
    InvalidArgumentError, TokenUnreadableError
                        An argument is invalid. Correct it. InvalidArgumentError is also a
                        ValueError. An argument of the wrong type raises a TypeError.
    NotConnectedError, AlreadyConnectedError
                        Call `connect` once, before the other functions.
    ConfigError, UnimplementedError, NamespaceNotFoundError, UnauthenticatedError,
    PermissionDeniedError, TlsError
                        An option, the environment or the server's configuration is wrong.
    LibraryNotFoundError, AbiMismatchError
                        The native library can't be used. LibraryNotFoundError is also a
                        ConfigError.
    LocalLimitError     This process has no free descriptors, threads or memory.
    FailedPreconditionError, ServerError, InternalError
                        The server or the library failed. The message has the cause.
    AlreadyOpenError    An `Activity` holds this token: use that object, or close it first.
    EndedError          This `Activity` has already ended the activity, or the `Worker` was shut
                        down.
    InvalidHandleError  The `Activity` is closed, possibly by `disconnect`.
    ForkedError         The `Activity` belongs to the parent process. It is also raised in a child
                        that a signal handler forked during a call.

Metrics and logs
    `metrics` returns metrics in Prometheus's text format, and `forward_logs` forwards log records
    to ``logging``. Neither ever shows a task token, details, results, or credentials. With
    THB_LOG=info in the environment the records are also written to stderr.

The native library
    The first call loads the library, from the first of these places that is set or has it: the path
    in the environment variable TEMPORAL_HEARTBEAT_LIBRARY, this package, the system.
"""

import importlib.metadata

from ._activity import Activity
from ._activity_base import ActivityOptions as ActivityOptions
from ._apart import ApartOptions as ApartOptions, apart
from ._codec import PayloadCodec
from ._connection import (
    CodecTlsOptions as CodecTlsOptions,
    KeepaliveOptions as KeepaliveOptions,
    ProxyOptions as ProxyOptions,
    RetryOptions as RetryOptions,
    TlsOptions as TlsOptions,
    connect,
    disconnect,
    reconfigure,
    version,
)
from ._context import SerializationContext
from ._current import current_activity
from ._details import Details
from ._end_with_parent import end_with_parent
from ._payload import Payload
from ._rpc import (
    complete,
    fail,
    get_details,
    heartbeat,
    report_cancelled,
    token_from_env,
    token_from_ids,
)
from ._submit_ahead import SubmittedTasks as SubmittedTasks, submit_ahead
from ._task import Task, TaskInfo
from ._telemetry import forward_logs, log_records, metrics
from ._track import track
from ._worker import Worker
from .errors import *  # noqa: F403 - all exceptions are public here too
from .errors import Error
from .signals import STOP_SIGNALS, Signals

# The classes of errors and of options are public too. They aren't listed, so that help() stays
# readable.
__all__ = [
    "connect",
    "disconnect",
    "reconfigure",
    "Activity",
    "track",
    "submit_ahead",
    "heartbeat",
    "get_details",
    "complete",
    "fail",
    "report_cancelled",
    "token_from_env",
    "token_from_ids",
    "Worker",
    "Task",
    "TaskInfo",
    "apart",
    "current_activity",
    "end_with_parent",
    "metrics",
    "forward_logs",
    "log_records",
    "version",
    "Signals",
    "STOP_SIGNALS",
    "Details",
    "Payload",
    "PayloadCodec",
    "SerializationContext",
    "Error",
]


def __getattr__(name: str) -> str:
    if name != "__version__":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        return importlib.metadata.version("temporal-heartbeat")
    except importlib.metadata.PackageNotFoundError:
        pass  # used from a folder, without an installation
    try:
        return version()
    except Error as error:  # help() and hasattr() expect an AttributeError
        raise AttributeError(f"{__name__} has no version: {error}") from error
