"""The parent's side: hand an Activity to another process, which opens it with `Activity.from_env`.

In the Activity of a worker with Temporal's Python SDK, one line makes the child's environment. A
thread waits for the child, which would stay a zombie otherwise::

    import subprocess, threading
    from temporalio import activity
    from temporal_heartbeat import handoff

    @activity.defn
    async def solve() -> str:  # the type of the child's result
        child = subprocess.Popen(["./solver"], env=handoff.environment(activity.info()))
        threading.Thread(target=lambda: print(child.args, child.wait()), daemon=True).start()
        activity.raise_complete_async()     # the child completes it

The environment has the task token, the activity's ids, types, task queue and attempt, and the
heartbeat timeout. It also has the details of the previous attempt, so that the child needn't read
them from the server. The start-to-close timeout is a hint. A process that has the token can end the
activity. Other users of the machine can't read a process's environment, but its children inherit
it. `token_in_pipe` and `token_in_file` keep the token out of the environment.

This module doesn't load the native library: the parent needs only this package, and no compiled
code.
"""

from __future__ import annotations

import contextlib
import os
import warnings
from base64 import b64encode
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Optional, Union

from ._codec import PLAIN_ENCODINGS, Codec, codec_of
from ._context import SerializationContext
from ._converter import to_payload
from ._duration import Duration, duration_to_ms
from ._payload import Payload, decode_payloads, encode_payloads
from .errors import InvalidArgumentError

__all__ = ["environment", "token_in_file", "token_in_pipe"]

_PREFIX = "TEMPORAL_ACTIVITY_"

# Linux limits a variable to 128 KiB. Larger details are left out; the child reads them from the
# server.
_MAX_DETAILS_TEXT = 96 * 1024

# The encodings whose data anyone can read without a codec. "binary/null" has no data.
_READABLE_ENCODINGS = set(PLAIN_ENCODINGS) - {"", "binary/null"}


NO_HEARTBEAT_TIMEOUT = (
    "the activity has no heartbeat timeout: if the child dies, the server notices it only at the "
    "start-to-close timeout. Pass heartbeat_timeout where the workflow starts the activity"
)


def environment(
    info: Any,
    *,
    address: Optional[str] = None,
    namespace: Optional[str] = None,
    details: Union[bytes, Sequence[Any], None] = None,
    data_converter: Any = None,
    require_encoded: bool = False,
    age: Optional[Duration] = None,
    token_file: Union[str, os.PathLike[str], None] = None,
    token_fd: Optional[int] = None,
    base: Optional[Mapping[str, str]] = None,
) -> dict[str, str]:
    """Return the environment of a child process that continues the activity.

    * ``info``: the result of ``temporalio.activity.info()``.
    * ``address``: the child's TEMPORAL_ADDRESS, if its environment doesn't have it.
    * ``namespace``: TEMPORAL_NAMESPACE, if it differs from the activity's.
    * ``details``: the details of the previous attempt, instead of ``info.heartbeat_details``:
      values, `Payload` objects or the SDK's payloads, or the bytes of a serialized Payloads.
    * ``data_converter``: the codec of a namespace with encrypted data, as for `connect`. The SDK
      has decoded the details in ``info``, and this codec encodes them again, with the activity's
      `SerializationContext` if it takes one. The child needs the same codec. If its coroutines need
      your event loop, encode the details there instead:
      ``details=await data_converter.encode(info.heartbeat_details)``, without ``data_converter``.
    * ``require_encoded``: refuse details with a plain encoding, here and in the child, for
      namespaces with encrypted data.
    * ``age``: the time since the activity function started, in seconds or as a timedelta, if it did
      other work before this call. Measure it with `time.monotonic`. ``info.started_time`` is by the
      server's clock, which can differ from this machine's, so it isn't used. Without an age the
      child counts the attempt from the moment at which it opens the activity.
    * ``token_file``, ``token_fd``: where the child reads the token, instead of in its environment:
      see `token_in_file` and `token_in_pipe`.
    * ``base``: the variables to extend, by default ``os.environ``. With ``{}`` the result has only
      the new variables, to send them elsewhere. Variables of another hand-off are removed.

    Details of more than about 70 KB are left out, because they are too long for a variable. Then
    the child reads them from the server. Only the codec may block.

    Warns if the activity has no heartbeat timeout.

    Raises `InvalidArgumentError`, a ValueError, for plain details with ``require_encoded``, and for
    a negative age.
    """
    if token_file is not None and token_fd is not None:
        raise InvalidArgumentError("pass token_file or token_fd, not both")
    if not info.heartbeat_timeout:
        warnings.warn(NO_HEARTBEAT_TIMEOUT, stacklevel=2)
    age_ms = duration_to_ms("age", age)
    context = context_of_info(info, namespace)
    handed_over = {
        "WORKFLOW_ID": context.workflow_id,
        "RUN_ID": context.run_id,
        "ID": context.activity_id,
        "ATTEMPT": str(info.attempt),
        "TYPE": context.activity_type,
        "WORKFLOW_TYPE": context.workflow_type,
        "TASK_QUEUE": context.activity_task_queue,
        "HEARTBEAT_TIMEOUT_MS": _ms_text(
            duration_to_ms("heartbeat_timeout", info.heartbeat_timeout or None)
        ),
        "HEARTBEAT_DETAILS": _details_text(
            info, details, _bound_codec(data_converter, context, require_encoded), require_encoded
        ),
        "AGE_MS": _ms_text(age_ms),
        "DEADLINE_MS": _ms_text(remaining_ms(info, age_ms)),
        "REQUIRE_ENCODED": "true" if require_encoded else None,
    }
    if token_file is not None:
        handed_over["TASK_TOKEN_FILE"] = os.path.abspath(token_file)
    elif token_fd is not None:
        handed_over["TASK_TOKEN_FD"] = str(token_fd)
    else:
        handed_over["TASK_TOKEN"] = _token_text(info)
    connection = {
        "TEMPORAL_ADDRESS": address,
        "TEMPORAL_NAMESPACE": context.namespace,
    }
    inherited = os.environ if base is None else base
    variables = {name: text for name, text in inherited.items() if not name.startswith(_PREFIX)}
    added = {**connection, **{_PREFIX + name: text for name, text in handed_over.items()}}
    variables.update((name, text) for name, text in added.items() if text is not None)
    return variables


def token_in_file(info: Any, path: Union[str, os.PathLike[str]]) -> str:
    """Write the token to a file that only this user can read, and return its path.

    ::

        path = handoff.token_in_file(info, directory / "token")
        child = subprocess.Popen(command, env=handoff.environment(info, token_file=path))
        # then wait for the child in a thread, as above

    The file is for one attempt: an existing file is replaced. The caller removes it.
    """
    path = os.fspath(path)
    temporary = f"{path}.{os.getpid()}.tmp"
    with contextlib.suppress(FileNotFoundError):
        os.unlink(temporary)
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with open(descriptor, "w") as file:
            file.write(_token_text(info))
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise
    return path


@contextlib.contextmanager
def token_in_pipe(info: Any) -> Iterator[int]:
    """Yield the number of a descriptor from which the child reads the token, once.

    ::

        with handoff.token_in_pipe(info) as fd:
            env = handoff.environment(info, token_fd=fd)
            child = subprocess.Popen(command, env=env, pass_fds=[fd])
        # then wait for the child in a thread, as above

    The token is stored nowhere else. The end of the block closes the parent's descriptor.
    """
    reader, writer = os.pipe()
    try:
        try:
            # A token has a few hundred bytes, and any pipe buffers 4096.
            os.write(writer, _token_text(info).encode())
        finally:
            os.close(writer)
        yield reader
    finally:
        os.close(reader)


def context_of_info(info: Any, namespace: Optional[str]) -> SerializationContext:
    return SerializationContext(
        namespace=namespace or info.namespace,
        activity_id=info.activity_id,
        activity_type=getattr(info, "activity_type", None),
        activity_task_queue=getattr(info, "task_queue", None),
        workflow_id=info.workflow_id or None,
        workflow_type=getattr(info, "workflow_type", None) or None,
        run_id=info.workflow_run_id or getattr(info, "activity_run_id", None),
    )


def _bound_codec(
    data_converter: Any, context: SerializationContext, require_encoded: bool
) -> Optional[Codec]:
    codec = codec_of(data_converter)
    if codec is None:
        return None
    return codec.bound(
        lambda: context, require_encoded=require_encoded, encode_common_attributes=None
    )


def _token_text(info: Any) -> str:
    return b64encode(info.task_token).decode()


def _details_text(
    info: Any,
    details: Union[bytes, Sequence[Any], None],
    codec: Optional[Codec],
    require_encoded: bool,
) -> Optional[str]:
    if isinstance(details, bytes):
        payloads = decode_payloads(details)
        encoded = details
        if codec is not None:
            payloads = codec.encode_plain(payloads)
            encoded = encode_payloads(payloads)
    else:
        values = map(_from_sdk_payload, info.heartbeat_details if details is None else details)
        payloads = codec.encode(values) if codec else [to_payload(value) for value in values]
        encoded = encode_payloads(payloads)
    # Only an encoded value is stored externally, so a reference needs no encoding.
    inline = {payload.encoding for payload in payloads if not payload.is_external_reference}
    readable = inline & _READABLE_ENCODINGS
    if require_encoded and readable:
        raise InvalidArgumentError(
            f"the heartbeat details have a plain encoding ({', '.join(sorted(readable))}), and"
            " encoded ones are required: pass data_converter=, with the codec that your namespace"
            " uses"
        )
    text = b64encode(encoded).decode()
    return text if len(text) <= _MAX_DETAILS_TEXT else None


def _from_sdk_payload(value: Any) -> Any:
    """Converts the SDK's Payload message to a `Payload`, and returns other values unchanged."""
    descriptor = getattr(value, "DESCRIPTOR", None)
    if getattr(descriptor, "full_name", None) == "temporal.api.common.v1.Payload":
        return Payload.from_bytes(value.SerializeToString())
    return value


def remaining_ms(info: Any, age_ms: Optional[int]) -> Optional[int]:
    """Returns the part of the start-to-close timeout that ``age_ms`` leaves; None: no such timeout.

    The schedule-to-close timeout is left out: it counts from a time of the server's clock.
    """
    timeout_ms = duration_to_ms("start_to_close_timeout", info.start_to_close_timeout or None)
    return None if timeout_ms is None else max(0, timeout_ms - (age_ms or 0))


def _ms_text(ms: Optional[int]) -> Optional[str]:
    """Returns a time as text; None from 2**32 ms (49 days), which the library can't read."""
    return None if ms is None or ms >= 2**32 else str(ms)
