"""The exceptions: `Error`, one subclass for each status of the library, and `Cancelled`.

``help(temporal_heartbeat)`` says how to handle each. Catch the classes that you can handle, and
`Error` for the rest: a status that this version doesn't know raises a plain `Error`.
"""

from __future__ import annotations

import builtins
from datetime import timedelta
from typing import Optional

from ._abi import Status
from .signals import Signals

__all__ = [
    "AbiMismatchError",
    "AlreadyConnectedError",
    "AlreadyOpenError",
    "Cancelled",
    "ConfigError",
    "EndedError",
    "Error",
    "FailedPreconditionError",
    "ForkedError",
    "InDoubtError",
    "InternalError",
    "InvalidArgumentError",
    "InvalidHandleError",
    "LibraryNotFoundError",
    "LocalLimitError",
    "NamespaceNotActiveError",
    "NamespaceNotFoundError",
    "NotConnectedError",
    "NotFoundError",
    "PermissionDeniedError",
    "ResourceExhaustedError",
    "ServerError",
    "Status",
    "TimeoutError",
    "TlsError",
    "TokenUnreadableError",
    "TooLargeError",
    "UnauthenticatedError",
    "UnavailableError",
    "UnimplementedError",
]


class Error(Exception):
    """The base class of the errors of this package.

    * ``code``: the status, a `Status`; a plain integer if this version doesn't know it.
    * ``message``: the cause, and the next step.
    * ``retryable``: whether the same call may succeed later.
    * ``grpc_code``: the gRPC code of the server's answer; None without an answer.
    * ``retry_after``: the delay before the next try, a timedelta; None if the server named none.
    """

    code: int = Status.INTERNAL
    message: str
    retryable: bool = False
    grpc_code: Optional[int] = None
    retry_after: Optional[timedelta] = None

    def __init__(self, message: str = "") -> None:
        super().__init__(message)
        self.message = message

    def __str__(self) -> str:
        return self.message


class InvalidArgumentError(Error, ValueError):
    """An argument is invalid, or the token belongs to another namespace."""

    code = Status.INVALID_ARGUMENT


class ConfigError(Error):
    """An option, an environment variable or a file that it names is invalid.

    Also: a value is in external storage, and the codec can't retrieve it.
    """

    code = Status.CONFIG


class LibraryNotFoundError(ConfigError):
    """The native library can't be loaded. The message lists each place and its error."""


class NotConnectedError(Error):
    """The process has no connection, or `disconnect` ended this call."""

    code = Status.NOT_CONNECTED


class AlreadyConnectedError(Error):
    """The process already has a connection."""

    code = Status.ALREADY_CONNECTED


class UnavailableError(Error):
    """The server is unreachable or overloaded. Usually temporary."""

    code = Status.UNAVAILABLE


class TimeoutError(Error, builtins.TimeoutError):
    """The timeout expired without any answer. An ending call may be repeated."""

    code = Status.TIMEOUT


class TlsError(Error):
    """The TLS connection can't be established. The message has the cause."""

    code = Status.TLS


class UnauthenticatedError(Error):
    """The server doesn't accept the credentials."""

    code = Status.UNAUTHENTICATED


class PermissionDeniedError(Error):
    """The credentials are valid, but don't permit this call."""

    code = Status.PERMISSION_DENIED


class NamespaceNotFoundError(Error):
    """The server has no namespace of this name."""

    code = Status.NAMESPACE_NOT_FOUND


class NamespaceNotActiveError(Error):
    """The namespace is failing over to another cluster. Temporary."""

    code = Status.NAMESPACE_NOT_ACTIVE


class NotFoundError(Error):
    """The activity is over for this token. Stop the work.

    The activity finished or timed out, a later attempt runs, the activity was reset, or its
    workflow is closed.
    """

    code = Status.NOT_FOUND


class InDoubtError(Error):
    """The ending call may have been applied: the answer to an earlier try was lost.

    Don't undo the work.
    """

    code = Status.IN_DOUBT


class TooLargeError(Error):
    """The details, the result or the failure exceed the size limit. Nothing was sent.

    The server would fail the activity, without a retry, if it received them.
    """

    code = Status.TOO_LARGE


class ResourceExhaustedError(Error):
    """A limit of the server is reached, such as its rate limit. See `retry_after`."""

    code = Status.RESOURCE_EXHAUSTED


class LocalLimitError(Error):
    """This process has no threads, descriptors or memory left for the call."""

    code = Status.LOCAL_LIMIT


class TokenUnreadableError(Error):
    """The bytes aren't a task token. Possibly they are base64 that must be decoded first."""

    code = Status.TOKEN_UNREADABLE


class FailedPreconditionError(Error):
    """The server refuses the call in the activity's present state."""

    code = Status.FAILED_PRECONDITION


class UnimplementedError(Error):
    """The server, or this version of the library, doesn't support the call."""

    code = Status.UNIMPLEMENTED


class ServerError(Error):
    """The server failed. The message has all that it reported."""

    code = Status.SERVER_ERROR


class InvalidHandleError(Error):
    """The `Activity` is closed."""

    code = Status.INVALID_HANDLE


class ForkedError(Error):
    """The `Activity` belongs to the parent process. Let that process record.

    Two processes that hold an activity open overwrite each other's progress.
    """

    code = Status.FORKED


class AlreadyOpenError(Error):
    """An `Activity` of this process holds the token. Use that one, or close it first."""

    code = Status.ALREADY_OPEN


class EndedError(Error):
    """This `Activity` has already ended the activity."""

    code = Status.ENDED


class AbiMismatchError(Error):
    """The native library's version isn't compatible with this package."""

    code = Status.ABI_MISMATCH


class InternalError(Error):
    """A bug in the library. Please report it."""

    code = Status.INTERNAL


class Cancelled(Exception):  # noqa: N818 - like asyncio's, it stops the work and is no failure
    """Raised by `Activity.raise_if_cancelled`: stop the work. ``signals`` says what has happened.

    ``reason`` is `Activity.reason`: the reason of the cancellation, as far as the server shows it,
    else None. The message contains it.

    It isn't an `Error`, so that an ``except Error`` that continues the work doesn't catch it.
    """

    signals: Signals
    reason: Optional[str]

    def __init__(self, signals: Signals, reason: Optional[str] = None) -> None:
        self.signals = Signals(signals)
        self.reason = reason
        texts = [text for signal, text in _STOP_TEXTS.items() if signal & signals]
        if reason and signals & Signals.CANCEL_REQUESTED:
            texts[0] += f" ({reason})"
        super().__init__("; ".join(texts))

    def __reduce__(self) -> tuple[type[Cancelled], tuple[Signals, Optional[str]]]:
        return type(self), (self.signals, self.reason)


# In the order of the message.
_STOP_TEXTS = {
    Signals.CANCEL_REQUESTED: "the activity's cancellation was requested",
    Signals.RESET: "the activity was reset",
    Signals.GONE: "the activity is over for this attempt",
    Signals.LEASE_LOST: "no heartbeat was acknowledged in time, another attempt may be running",
    Signals.SHUTDOWN: "the worker is shutting down",
}

# Direct subclasses only: `LibraryNotFoundError` shares the status of `ConfigError`.
_CLASS_OF_STATUS: dict[int, type[Error]] = {cls.code: cls for cls in Error.__subclasses__()}


def error_for(
    code: int,
    message: str,
    *,
    retryable: bool = False,
    grpc_code: Optional[int] = None,
    retry_after: Optional[timedelta] = None,
) -> Error:
    """Returns the exception for a status of the library."""
    error = _CLASS_OF_STATUS.get(code, Error)(message)
    error.code = Status(code) if code in _CLASS_OF_STATUS else code
    error.retryable = retryable
    error.grpc_code = grpc_code
    error.retry_after = retry_after
    return error
