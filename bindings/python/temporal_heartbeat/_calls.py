"""The functions of the package, one for each call of the library."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Mapping, Sequence
from typing import Any, Optional, Union

from ._codec import Codec, codec_of
from ._connection import call_encoded, connect_with
from ._convert import encode_values
from ._details import Details
from ._duration import Duration
from ._failure import Cause, failure_json
from ._invoke import as_token, invoke, milliseconds
from ._library import library
from ._options import KeepaliveOptions, ProxyOptions, RetryOptions, TlsOptions, options_json
from ._read import RawDetails, details_of, fetch_details, read_text
from .errors import InvalidArgument
from .signals import Signals

__all__ = [
    "complete",
    "connect",
    "disconnect",
    "fail",
    "get_details",
    "heartbeat",
    "reconfigure",
    "report_cancelled",
    "token_from_env",
    "version",
]

Token = Union[bytes, bytearray, memoryview]


def connect(
    *,
    address: Optional[str] = None,
    namespace: Optional[str] = None,
    api_key: Optional[str] = None,
    api_key_path: Optional[Union[str, os.PathLike[str]]] = None,
    tls: Optional[Union[bool, TlsOptions]] = None,
    grpc_meta: Optional[Mapping[str, str]] = None,
    authority: Optional[str] = None,
    identity: Optional[str] = None,
    config_file: Optional[Union[str, os.PathLike[str]]] = None,
    profile: Optional[str] = None,
    connect_timeout_ms: Optional[int] = None,
    lazy: Optional[bool] = None,
    proxy: Optional[Union[str, ProxyOptions]] = None,
    keepalive: Optional[Union[bool, KeepaliveOptions]] = None,
    retry: Optional[Union[bool, RetryOptions]] = None,
    compression: Optional[str] = None,
    max_message_bytes: Optional[int] = None,
    data_converter: Any = None,
    require_encoded: Optional[bool] = None,
    metrics_address: Optional[str] = None,
    **options: Any,
) -> None:
    """Connect this process to a Temporal server. All threads share the one connection.

    An option that isn't given, or is None, comes from its TEMPORAL_* variable, else from a profile
    of ``temporal.toml``, as with every Temporal client, else from its default:

    * ``address``: ``"host:port"``; ``127.0.0.1:7233``. ``namespace``: ``default``.
    * ``api_key``, or ``api_key_path``, a file that is read again when it changes; turns TLS on.
    * ``tls``: True, or what secures the connection, e.g. ``{"server_ca_cert_path": "ca.pem"}``.
      Files are read again when they change.
    * ``grpc_meta``: headers of every request.
    * ``profile``, in ``config_file``: ``default`` in ``~/.config/temporalio/temporal.toml``.
    * ``identity``: who the server shows as the one who beats; ``{pid}@{host}``, filled in.
    * ``connect_timeout_ms``: how long to try; 10 000.
    * ``lazy``: don't wait for the server, connect on the first call instead; false.
    * ``proxy``: an HTTP proxy, ``"host:port"`` or `ProxyOptions`.
    * ``authority``, ``keepalive``, ``retry``, ``compression``, ``max_message_bytes`` are described,
      as all of these, in docs/options.md.
    * ``data_converter``: the codec of a namespace whose data are encrypted: an object with
      ``encode`` and ``decode``, which take and return a list of `Payload`; or a PayloadCodec or
      DataConverter of Temporal's SDK. All details and results pass through it, written and read.
      It is in force before the connection exists, and until the next connect.
    * ``require_encoded``: refuse what no codec has encoded (`InvalidArgument`); false.
    * ``metrics_address``: ``"ip:port"``, where Prometheus may fetch the `metrics`; nowhere.

    Other options are passed on to the library, which names the ones that it doesn't know.

    Blocks at most ``connect_timeout_ms``, after waiting for a connect of another thread. Any thread
    may call it.

    Raises `AlreadyConnected`; `Config` for a wrong option, variable or file; `Tls` when no secure
    connection can be made; `Unauthenticated`; `NamespaceNotFound`; `Unavailable`, `Timeout` and
    others when the server can't be reached, with the cause in the message. After a failure the
    process isn't connected. A connect that Ctrl-C interrupts goes on in the background, and may
    still succeed: with its codec in force.
    """
    codec = None if data_converter is None else codec_of(data_converter)
    text = options_json(
        {
            "address": address,
            "namespace": namespace,
            "api_key": api_key,
            "api_key_path": api_key_path,
            "tls": tls,
            "grpc_meta": grpc_meta,
            "authority": authority,
            "identity": identity,
            "config_file": config_file,
            "profile": profile,
            "connect_timeout_ms": connect_timeout_ms,
            "lazy": lazy,
            "proxy": proxy,
            "keepalive": keepalive,
            "retry": retry,
            "compression": compression,
            "max_message_bytes": max_message_bytes,
            "require_encoded": require_encoded,
            "metrics_address": metrics_address,
            **options,
        }
    )

    def call(native: ctypes.CDLL, error: Any) -> tuple[int, None]:
        status: int = connect_with(
            codec, native, lambda: native.thb_connect(text, len(text), error)
        )
        return status, None

    invoke(call)


def reconfigure(
    *,
    api_key: Optional[str] = None,
    api_key_path: Optional[Union[str, os.PathLike[str]]] = None,
    tls: Optional[Union[bool, TlsOptions]] = None,
    grpc_meta: Optional[Mapping[str, str]] = None,
    **options: Any,
) -> None:
    """Change credentials while connected.

    What is given replaces what there was, of ``tls`` and ``grpc_meta`` key by key; what isn't
    stays. Activities stay open, and no beat is lost. The server isn't waited for: should it not
    like the new credentials, the next calls tell. Any thread may call it.

    Raises `NotConnected`; `Config` for a wrong option or file: then everything is as before.
    """
    text = options_json(
        {
            "api_key": api_key,
            "api_key_path": api_key_path,
            "tls": tls,
            "grpc_meta": grpc_meta,
            **options,
        }
    )

    def call(native: ctypes.CDLL, error: Any) -> tuple[int, None]:
        return native.thb_reconfigure(text, len(text), error), None

    invoke(call, may_block=False)


def disconnect(*, timeout: Optional[float] = 10.0) -> None:
    """End the connection. It isn't an error when there is none.

    Calls that other threads have under way raise `NotConnected`. `connect` may be called again.
    Until then the codec of the connection stays in force.

    Blocks at most ``timeout`` seconds. Any thread
    may call it.
    """
    timeout_ms = milliseconds(timeout)

    def call(native: ctypes.CDLL, error: Any) -> tuple[int, None]:
        return native.thb_disconnect(timeout_ms, error), None

    invoke(call, may_block=timeout_ms > 0)


def heartbeat(
    token: Token, *details: Any, timeout: Optional[float] = 10.0, clear: bool = False
) -> Signals:
    """Record a heartbeat, and return what the server asks for in its answer: usually nothing.

    ``details`` are the progress that the next attempt resumes from; one value is the portable form,
    since some SDKs read only the first. They replace those that the server holds. A heartbeat
    without details would *erase* them, so that it has to be asked for by ``clear=True``; a mere
    sign of life repeats the last details.

    Blocks at most ``timeout`` seconds, temporary faults being retried within it; None: for ever.
    Any thread may call it.

    Raises `NotFound` when the activity is over for this token: stop the work. `TooLarge` when the
    details exceed 2 MiB (nothing was sent). `Unavailable`, `Timeout`, `ResourceExhausted` when the
    server can't be reached or is overloaded: go on, and beat again at the next item.
    `NotConnected`, `InvalidArgument`, `TokenUnreadable`, and `TypeError` for a value that can't be
    converted.
    """
    if not details and not clear:
        raise InvalidArgument(
            "a heartbeat without details erases the progress that the server holds:"
            " pass the details again, or clear=True if erasing is what you want"
        )
    if details and clear:
        raise InvalidArgument("clear=True erases the details, and so goes without any")
    token = as_token(token)
    timeout_ms = milliseconds(timeout)

    def call(native: ctypes.CDLL, values: tuple[int, bytes], error: Any) -> tuple[int, int]:
        encoding, data = values
        signals = ctypes.c_uint32(0)
        status = native.thb_heartbeat(
            token, len(token), encoding, data, len(data), timeout_ms, ctypes.byref(signals), error
        )
        return status, signals.value

    def encode(codec: Optional[Codec]) -> tuple[int, bytes]:
        return encode_values(details, codec)

    return Signals(call_encoded(encode, call, may_block=timeout_ms > 0))


def get_details(token: Token, *, timeout: Optional[float] = 10.0) -> Details:
    """Read the heartbeat details that the server holds now; empty when there are none.

    On a new attempt they are the previous attempt's, until the first heartbeat replaces them.

    Blocks at most ``timeout`` seconds, temporary faults being retried within it; None: for ever.
    Any thread may call it.

    Raises `NotFound` when the activity is over, not merely this attempt (a standalone activity's
    details stay readable even then), `TokenUnreadable` when the token doesn't tell which
    activity it is, `NotConnected`, `InvalidArgument`, and as `heartbeat` when the server can't be
    reached.
    """
    token = as_token(token)
    timeout_ms = milliseconds(timeout)

    def fetch(native: ctypes.CDLL, details: Any, error: Any) -> int:
        status: int = native.thb_get_details(token, len(token), timeout_ms, details, error)
        return status

    def call(
        native: ctypes.CDLL, codec: Optional[Codec], error: Any
    ) -> tuple[int, tuple[Optional[RawDetails], Optional[Codec]]]:
        status, raw = fetch_details(native, fetch, error)
        return status, (raw, codec)

    return details_of(*call_encoded(lambda codec: codec, call, may_block=timeout_ms > 0))


def complete(token: Token, result: Any = None, *, timeout: Optional[float] = 10.0) -> None:
    """End the activity successfully, with a result.

    None is a result too, as of a function that returns None.

    Blocks at most ``timeout`` seconds, temporary faults being retried within it; None: for ever.
    Any thread may call it.

    Raises `NotFound` when the activity is over for this token, so that the result isn't taken;
    `InDoubt` when it may have been taken by an earlier try, whose answer was lost; `TooLarge` when
    the result exceeds 2 MiB (nothing was sent). After `Unavailable` or `Timeout` it may be called
    again. Further as `heartbeat`.
    """
    token = as_token(token)
    timeout_ms = milliseconds(timeout)

    def call(native: ctypes.CDLL, values: tuple[int, bytes], error: Any) -> tuple[int, None]:
        encoding, data = values
        return native.thb_complete(
            token, len(token), encoding, data, len(data), timeout_ms, error
        ), None

    call_encoded(lambda codec: encode_values((result,), codec), call, may_block=timeout_ms > 0)


def fail(
    token: Token,
    message: Union[str, BaseException],
    *,
    type: Optional[str] = None,
    non_retryable: bool = False,
    details: Sequence[Any] = (),
    next_retry_delay: Optional[Duration] = None,
    stack_trace: Optional[str] = None,
    source: Optional[str] = None,
    cause: Optional[Cause] = None,
    heartbeat_details: Sequence[Any] = (),
    timeout: Optional[float] = 10.0,
) -> None:
    """End this attempt as failed. The activity's retry policy decides about the next one.

    * ``message``: what happened. An exception instead gives the message, the type, the stack trace
      and the causes (``raise ... from ...``); what is given beside it has precedence.
    * ``type``: the failure's type, by which retry policies and workflows tell failures apart.
    * ``non_retryable``: that trying again is useless.
    * ``details``: values for the workflow.
    * ``next_retry_delay``: seconds or a timedelta until the next attempt, instead of the retry
      policy's.
    * ``stack_trace``, ``source``: text for whoever looks into it; ``source`` is the language or
      program.
    * ``cause``: an exception, or a mapping with the keys that the library knows: ``message``,
      ``type``, ``non_retryable``, ``details``, ``stack_trace``, ``source``, ``cause``.
    * ``heartbeat_details``: the last progress, stored together with the failure: a heartbeat just
      before can be lost. For a standalone activity they are sent as a heartbeat, too, before the
      failure.

    All of it together must fit into 1 MiB.

    Blocks at most ``timeout`` seconds, temporary faults being retried within it; None: for ever.
    Any thread may call it.

    Raises `NotFound` when the activity is over for this token; `InDoubt` when an earlier try, whose
    answer was lost, may have done it; `TooLarge`. After `Unavailable` or `Timeout` it may be called
    again. Further as `heartbeat`.
    """
    token = as_token(token)
    timeout_ms = milliseconds(timeout)

    def encode(codec: Optional[Codec]) -> bytes:
        return failure_json(
            message,
            type=type,
            non_retryable=non_retryable,
            details=details,
            next_retry_delay=next_retry_delay,
            stack_trace=stack_trace,
            source=source,
            cause=cause,
            heartbeat_details=heartbeat_details,
            codec=codec,
        )

    def call(native: ctypes.CDLL, text: bytes, error: Any) -> tuple[int, None]:
        return native.thb_fail(token, len(token), text, len(text), timeout_ms, error), None

    call_encoded(encode, call, may_block=timeout_ms > 0)


def report_cancelled(token: Token, *details: Any, timeout: Optional[float] = 10.0) -> None:
    """End the activity as cancelled, as `Signals.CANCEL_REQUESTED` asked for.

    ``details`` are values for the workflow, if any.

    Blocks at most ``timeout`` seconds, temporary faults being retried within it; None: for ever.
    Any thread may call it.

    Raises `InvalidArgument` when nobody asked for the cancellation: the activity goes on, and the
    token stays good. `NotFound` when the activity is over for this token; `InDoubt` when an earlier
    try, whose answer was lost, may have done it; `TooLarge`. After `Unavailable` or `Timeout` it
    may be called again. Further as `heartbeat`.
    """
    token = as_token(token)
    timeout_ms = milliseconds(timeout)

    def call(native: ctypes.CDLL, values: tuple[int, bytes], error: Any) -> tuple[int, None]:
        encoding, data = values
        return native.thb_report_cancelled(
            token, len(token), encoding, data, len(data), timeout_ms, error
        ), None

    call_encoded(lambda codec: encode_values(details, codec), call, may_block=timeout_ms > 0)


def token_from_env() -> bytes:
    """The task token that the parent process handed over in the environment.

    It is in one of these variables:

    * TEMPORAL_ACTIVITY_TASK_TOKEN: the token in standard base64;
    * TEMPORAL_ACTIVITY_TASK_TOKEN_FILE: the path of a file with that text;
    * TEMPORAL_ACTIVITY_TASK_TOKEN_FD: an inherited descriptor to read that text from.

    Needs no connection. Blocks at most 10 seconds, while another process writes to that descriptor.
    Any thread may call it.

    Raises `Config` when none or more than one of them is set, and when what is there can't be read.
    """

    return read_text(
        lambda native, text, error: native.thb_token_from_env(text, error), may_block=True
    )


def version() -> str:
    """The native library's version. Never blocks. Raises `LibraryNotFound` or `AbiMismatch`."""
    text: bytes = library().thb_version()
    return text.decode()
