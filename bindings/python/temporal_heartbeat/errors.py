"""The exceptions: `Error`, one class for each status of the library, and `Cancelled`.

The manual, ``help(temporal_heartbeat)``, says what to do about each. Catch the classes whose remedy
you know, and `Error` for the rest: a status that this version has no class for is a plain `Error`.
"""

from __future__ import annotations

import enum
from datetime import timedelta
from typing import Optional

from .signals import Signals

__all__ = [
    "AbiMismatch",
    "AlreadyConnected",
    "AlreadyOpen",
    "Cancelled",
    "Config",
    "Ended",
    "Error",
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
    "Status",
    "Timeout",
    "Tls",
    "TokenUnreadable",
    "TooLarge",
    "Unauthenticated",
    "Unavailable",
    "Unimplemented",
]


class Status(enum.IntEnum):
    """The library's statuses, as in `Error.code`. `OK` is never raised."""

    OK = 0
    INVALID_ARGUMENT = 1
    CONFIG = 2
    NOT_CONNECTED = 3
    ALREADY_CONNECTED = 4
    UNAVAILABLE = 5
    TIMEOUT = 6
    TLS = 7
    UNAUTHENTICATED = 8
    PERMISSION_DENIED = 9
    NAMESPACE_NOT_FOUND = 10
    NAMESPACE_NOT_ACTIVE = 11
    NOT_FOUND = 12
    IN_DOUBT = 13
    TOO_LARGE = 14
    RESOURCE_EXHAUSTED = 15
    LOCAL_LIMIT = 16
    TOKEN_UNREADABLE = 17
    FAILED_PRECONDITION = 18
    UNIMPLEMENTED = 19
    SERVER_ERROR = 20
    INVALID_HANDLE = 21
    FORKED = 22
    ALREADY_OPEN = 23
    ENDED = 24
    ABI_MISMATCH = 25
    INTERNAL = 26


class Error(Exception):
    """What every function of this package raises when the library refuses or fails a call.

    * ``code``: the status, a `Status`; a plain integer when it is newer than this package.
    * ``message``: what happened, and why.
    * ``retryable``: whether the same call, later, may succeed.
    * ``grpc_code``: the gRPC code of the server's answer; None if there was none.
    * ``retry_after``: how long to wait before the next try, a timedelta; None if nothing is known.
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


class InvalidArgument(Error, ValueError):
    """An argument is wrong, by our rules or the server's, or the token is another namespace's."""

    code = Status.INVALID_ARGUMENT


class Config(Error):
    """An option of `connect`, an environment variable or a file that it names is wrong."""

    code = Status.CONFIG


class LibraryNotFound(Config):
    """The native library could not be loaded: the message lists each place, and what failed."""


class NotConnected(Error):
    """There is no client: `connect` was not called, or `disconnect` ended this call."""

    code = Status.NOT_CONNECTED


class AlreadyConnected(Error):
    """A process has one client, and it is connected already."""

    code = Status.ALREADY_CONNECTED


class Unavailable(Error):
    """The server can't be reached or is overloaded. Temporary, as a rule."""

    code = Status.UNAVAILABLE


class Timeout(Error, TimeoutError):
    """The time given to the call ran out without any answer. An ending call may be called again."""

    code = Status.TIMEOUT


class Tls(Error):
    """The encrypted connection could not be set up; the message says what is wrong with it."""

    code = Status.TLS


class Unauthenticated(Error):
    """The server doesn't accept our credentials."""

    code = Status.UNAUTHENTICATED


class PermissionDenied(Error):
    """The credentials are good, but don't permit this."""

    code = Status.PERMISSION_DENIED


class NamespaceNotFound(Error):
    """The server has no namespace of that name."""

    code = Status.NAMESPACE_NOT_FOUND


class NamespaceNotActive(Error):
    """The namespace is failing over to another cluster. Temporary."""

    code = Status.NAMESPACE_NOT_ACTIVE


class NotFound(Error):
    """The activity is over for this token: stop the work.

    It has finished or timed out, a later attempt has taken over, it was reset, or its workflow is
    closed.
    """

    code = Status.NOT_FOUND


class InDoubt(Error):
    """The ending call may have been applied: an earlier answer was lost. Don't undo the work."""

    code = Status.IN_DOUBT


class TooLarge(Error):
    """The details, the result or the failure are over the limit. Nothing was sent.

    The server would have taken them and failed the activity for good.
    """

    code = Status.TOO_LARGE


class ResourceExhausted(Error):
    """A limit of the server's, such as its rate limit. Temporary, as a rule: see `retry_after`."""

    code = Status.RESOURCE_EXHAUSTED


class LocalLimit(Error):
    """This process has no threads, descriptors or memory left for it."""

    code = Status.LOCAL_LIMIT


class TokenUnreadable(Error):
    """The bytes are no task token of a Temporal server: perhaps base64 that wasn't decoded."""

    code = Status.TOKEN_UNREADABLE


class FailedPrecondition(Error):
    """The server refuses this in the activity's present state."""

    code = Status.FAILED_PRECONDITION


class Unimplemented(Error):
    """This version of the library, or the server, can't do it."""

    code = Status.UNIMPLEMENTED


class ServerError(Error):
    """The server failed in a way that it doesn't explain further than by the message."""

    code = Status.SERVER_ERROR


class InvalidHandle(Error):
    """The handle is closed, or never was one."""

    code = Status.INVALID_HANDLE


class Forked(Error):
    """It belongs to the parent process and can't be used in the child."""

    code = Status.FORKED


class AlreadyOpen(Error):
    """The token is held open elsewhere in this process, and only its holder may use it."""

    code = Status.ALREADY_OPEN


class Ended(Error):
    """The activity was already ended through this handle."""

    code = Status.ENDED


class AbiMismatch(Error):
    """The native library is of another version than this package can work with."""

    code = Status.ABI_MISMATCH


class Internal(Error):
    """A bug in the library. Please report it."""

    code = Status.INTERNAL


class Cancelled(Exception):
    """The work is to stop, says `Activity.raise_if_cancelled`; ``signals`` tell why.

    It isn't an `Error`, so that whoever works on when a call fails doesn't work on after this too.
    """

    signals: Signals

    def __init__(self, signals: Signals) -> None:
        self.signals = Signals(signals)
        reasons = [reason for signal, reason in _REASONS.items() if signal & signals]
        super().__init__("; ".join(reasons))


# What each of the signals after which to stop says.
_REASONS = {
    Signals.CANCEL_REQUESTED: "the activity's cancellation was requested",
    Signals.RESET: "the activity was reset",
    Signals.GONE: "the activity is over for this attempt",
    Signals.LEASE_LOST: "no heartbeat was acknowledged in time, another attempt may be running",
}

_BY_CODE: dict[int, type[Error]] = {cls.code: cls for cls in Error.__subclasses__()}


def error_for(
    code: int,
    message: str,
    *,
    retryable: bool = False,
    grpc_code: Optional[int] = None,
    retry_after: Optional[timedelta] = None,
) -> Error:
    """The exception for a status of the library."""
    error = _BY_CODE.get(code, Error)(message)
    error.code = Status(code) if code in _BY_CODE else code
    error.retryable = retryable
    error.grpc_code = grpc_code
    error.retry_after = retry_after
    return error
