"""Heartbeat a Temporal Activity from any process.

The Activity's worker hands its task token to this process, and doesn't end the Activity itself.
This process then says how far it is, learns that it is to stop, and ends the Activity; if it dies,
the next attempt resumes where it was::

    import temporal_heartbeat as thb

    token = thb.token_from_env()
    thb.connect()
    details = thb.get_details(token)            # what the previous attempt recorded last
    for item in range(details[0] + 1 if details else 0, 100):
        work_on(item)
        if thb.heartbeat(token, item) & thb.Signals.CANCEL_REQUESTED:
            thb.report_cancelled(token)
            break
    else:
        thb.complete(token, "done")

The model
    A process has one connection: `connect` makes it, `disconnect` ends it, every thread uses it. A
    task token stands for one attempt of one Activity. Every other function takes a token and is one
    request to the server.

Blocking
    A function blocks until the server has answered or its timeout is over: 10 seconds if nothing
    else is said, in seconds, None for ever, 0 not at all (nothing is sent then). Temporary faults
    are retried within that time. The GIL is released. Ctrl-C works at once in the main thread, as
    does every signal handler that raises: the call is then abandoned and runs out by itself, and
    the server may or may not have had it. In asyncio use ``asyncio.to_thread``.

Threads and processes
    Every function may be called in any thread. After ``os.fork`` the child's calls make a
    connection of its own. Let only one process beat with a token, or they overwrite each other's
    progress.

Values
    Details and results are converted as Temporal's Python SDK does by default: None, bytes,
    protobuf messages, and all that JSON can hold, dataclasses, datetime and UUID included. They are
    read back as plain values: a dataclass as a dict. A `Payload` is sent as it is, and what this
    process can't decode is read as one.

Errors
    Every failure is an `Error` with a ``code``, a ``message``, and ``retryable``; there is a class
    for each status, and the most important is `NotFound`: the activity is over for this token, stop
    the work. See `temporal_heartbeat.errors`. A wrong timeout, and a heartbeat without details, are
    `InvalidArgument`, which is a ValueError too. A value or token of an impossible type is a
    TypeError.

The native library
    It is loaded by the first call, from the path in the environment variable
    TEMPORAL_HEARTBEAT_LIBRARY, else from this package, else from the system.
"""

from ._calls import (
    complete,
    connect,
    disconnect,
    fail,
    get_details,
    heartbeat,
    report_cancelled,
    token_from_env,
    version,
)
from ._details import Details
from ._payload import Payload
from .errors import (
    AbiMismatch,
    AlreadyConnected,
    AlreadyOpen,
    Config,
    Ended,
    Error,
    FailedPrecondition,
    Forked,
    InDoubt,
    Internal,
    InvalidArgument,
    InvalidHandle,
    LibraryNotFound,
    LocalLimit,
    NamespaceNotActive,
    NamespaceNotFound,
    NotConnected,
    NotFound,
    PermissionDenied,
    ResourceExhausted,
    ServerError,
    Status,
    Timeout,
    Tls,
    TokenUnreadable,
    TooLarge,
    Unauthenticated,
    Unavailable,
    Unimplemented,
)
from .signals import Signals

__all__ = [
    "connect",
    "disconnect",
    "heartbeat",
    "get_details",
    "complete",
    "fail",
    "report_cancelled",
    "token_from_env",
    "version",
    "Signals",
    "Details",
    "Payload",
    "Error",
    "Status",
    "AbiMismatch",
    "AlreadyConnected",
    "AlreadyOpen",
    "Config",
    "Ended",
    "FailedPrecondition",
    "Forked",
    "InDoubt",
    "Internal",
    "InvalidArgument",
    "InvalidHandle",
    "LibraryNotFound",
    "LocalLimit",
    "NamespaceNotActive",
    "NamespaceNotFound",
    "NotConnected",
    "NotFound",
    "PermissionDenied",
    "ResourceExhausted",
    "ServerError",
    "Timeout",
    "Tls",
    "TokenUnreadable",
    "TooLarge",
    "Unauthenticated",
    "Unavailable",
    "Unimplemented",
]
