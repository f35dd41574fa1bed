"""Heartbeat a Temporal Activity from any process.

The Activity's worker hands its task token to this process and leaves it to it to end the Activity,
by ``activity.raise_complete_async()`` in Python, ``activity.ErrResultPending`` in Go. This process
says how far it is, learns that it is to stop, and ends the Activity; if it dies, the next attempt
resumes where it was::

    import temporal_heartbeat as thb

    thb.connect()
    with thb.Activity.from_env() as act:
        for item in range(act.details(default=-1) + 1, 100):    # after the last one recorded
            work_on(item)
            act.heartbeat(item)
            act.raise_if_cancelled()
        act.complete("done")

The model
    A process has one connection: `connect` makes it, `disconnect` ends it, every thread uses it. A
    task token stands for one attempt of one Activity. There are two ways to use it:

    Activity            Holds it open. The library beats in the background, whatever this process
                        does, and recording progress takes less than a microsecond. For asyncio
                        there is the same in `temporal_heartbeat.aio`.
    functions           `heartbeat`, `get_details`, `complete`, `fail`, `report_cancelled` take a
                        token, and each call is one request to the server. For a process that
                        beats now and then, and lives shorter than the activity.

    `temporal_heartbeat.handoff` is the parent's side: it hands an activity to a child process.

Blocking
    `Activity.heartbeat`, `touch`, ``signals`` and the like never wait. All else blocks until the
    server has answered or its timeout is over: 10 seconds if nothing else is said, in seconds, None
    for ever, 0 not at all (nothing is sent then). Temporary faults are retried within that time.
    The GIL is released. Ctrl-C works at once in the main thread, as does every signal handler that
    raises: the call is then abandoned and runs out by itself, and the server may or may not have
    had it. In asyncio use `temporal_heartbeat.aio`, and ``asyncio.to_thread`` for the functions.

Threads and processes
    Everything may be called in any thread. After ``os.fork`` the child's calls make a connection of
    its own, and its parent's `Activity` objects raise `Forked`. Let only one process beat with a
    token, or they overwrite each other's progress.

Values
    Details and results are converted as Temporal's Python SDK does by default: None, bytes,
    protobuf messages, and all that JSON can hold, dataclasses, datetime and UUID included. They are
    read back as plain values: a dataclass as a dict. A `Payload` is sent as it is, and what this
    process can't decode is read as one. ``connect(data_converter=...)`` has a codec encode all of
    them, `Payload` objects too, for a namespace whose data are encrypted.

Signals
    Every heartbeat returns what is asked of this process, usually nothing:

    CANCEL_REQUESTED    The activity is to end: clean up, then `report_cancelled`. `complete` would
                        still win.
    PAUSED              Stop working until the flag goes, but beat on, or the activity times out.
    RESET               End this attempt, by `fail` for instance; a new first one follows.

    And these, which only an `Activity` knows:

    GONE                The activity is over for this token. Stop the work.
    LEASE_LOST          No heartbeat was acknowledged in time: another attempt may be running.
    DEADLINE            ``attempt_remaining`` has passed: a hint. GONE follows if it is over.
    STALLED             Nothing was recorded for ``stall_timeout``, so that the beats have stopped.
    REFUSED, UNSEEDED   No beats go out; see `Signals`.

    `Activity.raise_if_cancelled` raises `Cancelled` for those after which to stop, STOP_SIGNALS.

Errors
    Every failure is an `Error` with a ``code``, a ``message`` and ``retryable``. There is a class
    for each status, and later versions may add some: end with ``except Error``.

    NotFound            The activity is over for this token: ended, timed out, superseded by a later
                        attempt. Stop the work; there is nothing more to tell the server.
    InDoubt             An ending call that may have been applied: the answer to an earlier try was
                        lost. Take the work as done; don't undo it.
    Unavailable, Timeout, ResourceExhausted, NamespaceNotActive
                        Temporary, and retried already for as long as the timeout allowed. Go on
                        with the work, and beat again at the next item.
    TooLarge            Over the server's limit of 2 MiB. Nothing was sent. Record less.
    InvalidArgument, TokenUnreadable
                        The call makes no sense as it is. Correct it. InvalidArgument is a
                        ValueError too. What has an impossible type is a TypeError.
    NotConnected, AlreadyConnected
                        `connect` is to be called once, before the other functions.
    Config, Unimplemented, NamespaceNotFound, Unauthenticated, PermissionDenied, Tls
                        The connection's options, the environment or the server's set-up are wrong.
    LibraryNotFound, AbiMismatch
                        The native library can't be used. The first is a Config too.
    LocalLimit          This process has no threads or descriptors left.
    FailedPrecondition, ServerError, Internal
                        The server, or the library, fails in a way that only the message explains.
    AlreadyOpen         An `Activity` holds this token: use that, or close it first.
    Ended               The activity was ended by this `Activity` already.
    InvalidHandle       The `Activity` is closed, by `disconnect` too.
    Forked              The `Activity` is the parent process's. Also in a child that a signal
                        handler forked during a call.

Looking on
    `metrics` gives figures in Prometheus's text form, and `forward_logs` hands log records to
    ``logging``. Neither ever shows a task token, details, results, or credentials.
    With THB_LOG=info in the environment the records are lines on stderr.

The native library
    It is loaded by the first call, from the path in the environment variable
    TEMPORAL_HEARTBEAT_LIBRARY, else from this package, else from the system.
"""

from ._activity import Activity
from ._calls import (
    complete,
    connect,
    disconnect,
    fail,
    get_details,
    heartbeat,
    reconfigure,
    report_cancelled,
    token_from_env,
    version,
)
from ._codec import PayloadCodec
from ._details import Details
from ._options import (
    KeepaliveOptions as KeepaliveOptions,
    ProxyOptions as ProxyOptions,
    RetryOptions as RetryOptions,
    TlsOptions as TlsOptions,
)
from ._payload import Payload
from ._telemetry import forward_logs, log_records, metrics
from .errors import (
    AbiMismatch as AbiMismatch,
    AlreadyConnected as AlreadyConnected,
    AlreadyOpen as AlreadyOpen,
    Cancelled as Cancelled,
    Config as Config,
    Ended as Ended,
    Error as Error,
    FailedPrecondition as FailedPrecondition,
    Forked as Forked,
    InDoubt as InDoubt,
    Internal as Internal,
    InvalidArgument as InvalidArgument,
    InvalidHandle as InvalidHandle,
    LibraryNotFound as LibraryNotFound,
    LocalLimit as LocalLimit,
    NamespaceNotActive as NamespaceNotActive,
    NamespaceNotFound as NamespaceNotFound,
    NotConnected as NotConnected,
    NotFound as NotFound,
    PermissionDenied as PermissionDenied,
    ResourceExhausted as ResourceExhausted,
    ServerError as ServerError,
    Status as Status,
    Timeout as Timeout,
    Tls as Tls,
    TokenUnreadable as TokenUnreadable,
    TooLarge as TooLarge,
    Unauthenticated as Unauthenticated,
    Unavailable as Unavailable,
    Unimplemented as Unimplemented,
)
from .signals import STOP_SIGNALS, Signals

# The classes of errors and of options are public too. They aren't listed, so that help() stays
# readable.
__all__ = [
    "connect",
    "disconnect",
    "reconfigure",
    "Activity",
    "heartbeat",
    "get_details",
    "complete",
    "fail",
    "report_cancelled",
    "token_from_env",
    "metrics",
    "forward_logs",
    "log_records",
    "version",
    "Signals",
    "STOP_SIGNALS",
    "Details",
    "Payload",
    "PayloadCodec",
    "Error",
]
