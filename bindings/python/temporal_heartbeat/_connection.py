"""Connects this process to a Temporal server and disconnects it."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Mapping
from typing import Any, NoReturn, Optional, TypedDict, Union

from ._active_codec import Binding, add_connect_options, connect_with_codec
from ._codec import codec_of
from ._duration import Duration, duration_to_ms, timeout_to_ms
from ._encoding import options_json
from ._invoke import invoke, invoke_function
from ._keywords import refuse_unknown
from ._library import library

__all__ = [
    "CodecTlsOptions",
    "KeepaliveOptions",
    "ProxyOptions",
    "RetryOptions",
    "TlsOptions",
    "connect",
    "connect_arguments",
    "disconnect",
    "reconfigure",
    "version",
]

_Path = Union[str, "os.PathLike[str]"]


class TlsOptions(TypedDict, total=False):
    """The TLS options: `connect(tls=...)`."""

    disabled: bool
    server_ca_cert_path: _Path
    server_ca_cert_data: str
    client_cert_path: _Path
    client_cert_data: str
    client_key_path: _Path
    client_key_data: str
    server_name: str
    disable_host_verification: bool


class CodecTlsOptions(TypedDict, total=False):
    """The TLS options of the codec server: `connect(codec_tls=...)`."""

    server_ca_cert_path: _Path
    server_ca_cert_data: str
    client_cert_path: _Path
    client_cert_data: str
    client_key_path: _Path
    client_key_data: str
    server_name: str
    disable_host_verification: bool


class ProxyOptions(TypedDict, total=False):
    """The HTTP proxy to connect through: `connect(proxy=...)`."""

    target_host: str
    basic_auth_user: str
    basic_auth_password: str


class KeepaliveOptions(TypedDict, total=False):
    """How a dead connection is detected: `connect(keepalive=...)`."""

    disabled: bool
    interval_ms: int
    timeout_ms: int


class RetryOptions(TypedDict, total=False):
    """The backoff of retried calls: `connect(retry=...)`."""

    disabled: bool
    initial_interval_ms: int
    multiplier: float
    max_interval_ms: int
    randomization_factor: float
    max_retries: int


def connect(
    address: Optional[str] = None,
    *,
    namespace: Optional[str] = None,
    api_key: Optional[str] = None,
    api_key_path: Optional[Union[str, os.PathLike[str]]] = None,
    tls: Optional[Union[bool, TlsOptions]] = None,
    grpc_meta: Optional[Mapping[str, str]] = None,
    authority: Optional[str] = None,
    identity: Optional[str] = None,
    config_file: Optional[Union[str, os.PathLike[str]]] = None,
    profile: Optional[str] = None,
    connect_timeout: Optional[Duration] = None,
    lazy: Optional[bool] = None,
    proxy: Optional[Union[str, ProxyOptions]] = None,
    keepalive: Optional[Union[bool, KeepaliveOptions]] = None,
    retry: Optional[Union[bool, RetryOptions]] = None,
    compression: Optional[str] = None,
    max_message_bytes: Optional[int] = None,
    data_converter: Any = None,
    require_encoded: Optional[bool] = None,
    encode_common_attributes: Optional[bool] = None,
    codec_endpoint: Optional[str] = None,
    codec_auth: Optional[str] = None,
    codec_headers: Optional[Mapping[str, str]] = None,
    codec_http_host: Optional[str] = None,
    codec_tls: Optional[CodecTlsOptions] = None,
    metrics_address: Optional[str] = None,
    when_absent: Optional[str] = None,
    **unknown: NoReturn,
) -> None:
    """Connect this process to a Temporal server. All threads share the one connection.

    An option that is missing or None is read from its TEMPORAL_* variable, else from a profile of
    ``temporal.toml``, as in every Temporal client. Otherwise its default applies:

    * ``address``: ``"host:port"``, or ``"unix:path"`` for a socket in the file system;
      ``127.0.0.1:7233``. ``namespace``: ``default``.
    * ``api_key``, or ``api_key_path``, a file that is read again when it changes. Enables TLS.
    * ``tls``: True, or a dict of `TlsOptions`, e.g. ``{"server_ca_cert_path": "ca.pem"}``.
      Files are read again when they change.
    * ``grpc_meta``: headers of every request.
    * ``profile``, in ``config_file``: ``default`` in ``~/.config/temporalio/temporal.toml``.
    * ``identity``: the name that the server shows for this process; the process id and the host
      name, as in ``4711@node7``.
    * ``connect_timeout``: the time limit for connecting, in seconds or as a timedelta; 10.
    * ``lazy``: don't wait for the server, connect on the first call instead; false.
    * ``proxy``: an HTTP proxy, ``"host:port"`` or `ProxyOptions`.
    * ``authority``, ``keepalive``, ``retry``, ``compression``, ``max_message_bytes``: see
      docs/options.md, which describes all of these options.
    * ``data_converter``: the codec of a namespace with encrypted data: an object with ``encode``
      and ``decode``, which take and return a list of `Payload`; or a PayloadCodec or DataConverter
      of Temporal's SDK, of which everything is used. It encodes and decodes all details and
      results. A codec that takes a serialization context gets that of each activity:
      `SerializationContext`. It is active before the connection exists, and until the next connect.
      An `Activity` and the functions that take a token can have a ``data_converter`` of their own.
    * ``require_encoded``: refuse values that no codec has encoded (`InvalidArgumentError`), also
      those for the external storage of a DataConverter; false.
    * ``encode_common_attributes``: let the codec also encode the message and the stack trace of
      failures and of their causes, as the failure converters of the SDKs can. The server shows
      "Encoded failure" instead. By default the ``failure_converter_class`` of a DataConverter
      decides, and other codecs and codec servers don't encode them.
    * ``codec_endpoint``: the URL of a codec server, which encodes and decodes all values instead of
      a ``data_converter``: pass only one of them. A ``data_converter`` turns off the codec server
      of the environment. ``codec_auth`` is the header Authorization of its requests, such as
      ``"Bearer ..."``, and ``codec_headers`` are more headers. ``codec_tls``: a dict of
      `CodecTlsOptions`. ``codec_http_host``: the host of a server
      that may be reached by plain http.
    * ``metrics_address``: ``"ip:port"``, where Prometheus can fetch the `metrics`; none.
    * ``when_absent``: "inactive" lets a program run by hand. If there is no activity in the
      environment, as for `Activity.from_env`, nothing is read or dialled. Functions that take a
      token raise `NotConnectedError` then; "error".

    Blocks at most ``connect_timeout``. If another thread is connecting, it waits for that thread
    first; if an event loop is connecting, it raises `AlreadyConnectedError`. Any thread may call
    it.

    Raises `AlreadyConnectedError`; `ConfigError` for an invalid option, variable or file;
    `TlsError` if TLS fails; `UnauthenticatedError`; `NamespaceNotFoundError`; `UnavailableError`,
    `TimeoutError` and others if the server can't be reached, with the cause in the message. After
    an error the process isn't connected. A connect that Ctrl-C interrupts continues in the
    background and may still succeed, with its codec active.
    """
    binding, text = connect_arguments(locals())

    def call(native: ctypes.CDLL, error: Any) -> tuple[int, None]:
        status: int = connect_with_codec(
            binding, native, lambda: native.thb_connect(text, len(text), error)
        )
        return status, None

    invoke(call, may_block=True)


def connect_arguments(given: Mapping[str, Any]) -> tuple[Binding, bytes]:
    """Returns the codec and the options as JSON, for the arguments of `connect` by their names."""
    options = dict(given)
    refuse_unknown(connect, options.pop("unknown", {}))
    codec = codec_of(options.pop("data_converter", None))
    # For processes apart, which can't listen on the same address.
    given = {name: value for name, value in options.items() if value is not None}
    given.pop("metrics_address", None)
    encode_common_attributes = options.get("encode_common_attributes")
    if codec is not None:  # otherwise the library encodes what no codec of a call has encoded
        options.pop("encode_common_attributes", None)
        if options.get("codec_endpoint") is None:
            options["codec_endpoint"] = ""  # not that of the environment
    binding = Binding(
        codec,
        namespace=options.get("namespace") or os.environ.get("TEMPORAL_NAMESPACE") or None,
        encode_common_attributes=encode_common_attributes,
        require_encoded=bool(options.get("require_encoded")),
        connect_options=given,
    )
    timeout = options.pop("connect_timeout", None)
    options["connect_timeout_ms"] = duration_to_ms("connect_timeout", timeout)
    return binding, options_json(options)


def reconfigure(
    *,
    api_key: Optional[str] = None,
    api_key_path: Optional[Union[str, os.PathLike[str]]] = None,
    tls: Optional[Union[bool, TlsOptions]] = None,
    grpc_meta: Optional[Mapping[str, str]] = None,
    codec_auth: Optional[str] = None,
    codec_headers: Optional[Mapping[str, str]] = None,
    codec_tls: Optional[CodecTlsOptions] = None,
    **unknown: NoReturn,
) -> None:
    """Change credentials while connected.

    Each option that is passed replaces the earlier value. In a dict, each key replaces the earlier
    value of that key. All other values stay. Activities stay open, and no
    heartbeat is lost. The call doesn't wait for the server: if the server refuses the new
    credentials, the next calls fail. Any thread may call it.

    Raises `NotConnectedError`; `ConfigError` for an invalid option or file: then nothing changes.
    """
    refuse_unknown(reconfigure, unknown)
    options = {
        "api_key": api_key,
        "api_key_path": api_key_path,
        "tls": tls,
        "grpc_meta": grpc_meta,
        "codec_auth": codec_auth,
        "codec_headers": codec_headers,
        "codec_tls": codec_tls,
    }
    text = options_json(options)
    invoke_function("thb_reconfigure", text, len(text), may_block=False)
    add_connect_options({name: value for name, value in options.items() if value is not None})


def disconnect(*, timeout: Optional[float] = 10.0) -> None:
    """End the connection. It isn't an error if there is none.

    Calls of other threads raise `NotConnectedError`. `connect` may be called again. Until then the
    codec of the connection stays active.

    Blocks at most ``timeout`` seconds. Any thread may call it.
    """
    timeout_ms = timeout_to_ms(timeout)
    invoke_function("thb_disconnect", timeout_ms, may_block=timeout_ms > 0)


def version() -> str:
    """Return the native library's version. Never blocks.

    Raises `LibraryNotFoundError` or `AbiMismatchError`.
    """
    text: bytes = library().thb_version()
    return text.decode()
