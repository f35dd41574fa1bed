"""The parent's side: hand an Activity to another process, which `Activity.from_env` takes.

In the Activity of a worker with Temporal's Python SDK, one line makes the child's environment::

    from temporalio import activity
    from temporal_heartbeat import handoff

    @activity.defn
    async def solve() -> None:
        subprocess.Popen(["./solver"], env=handoff.environment(activity.info()))
        activity.raise_complete_async()     # the child completes it

In it are the task token, whose activity and which attempt it is, the heartbeat timeout, what the
attempt before recorded, so that the child needs not ask for it, and the start-to-close timeout as a
hint. Who has the token can end the activity. Other users of the machine can't see a process's
environment, but what it starts inherits it; `token_in_pipe` and `token_in_file` keep it out.

Nothing here loads the native library: the parent needs this package alone, and no compiled code.
"""

from __future__ import annotations

import contextlib
import os
from base64 import b64encode
from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from typing import Any, Optional, Union

from ._codec import codec_of
from ._duration import Duration, duration_ms
from ._payload import Payload, decode_payloads, encode_payloads
from ._values import to_payload
from .errors import InvalidArgument

__all__ = ["environment", "token_in_file", "token_in_pipe"]

_PREFIX = "TEMPORAL_ACTIVITY_"

# Linux gives a variable 128 KiB. Larger details are left out, and the child asks the server.
_MAX_DETAILS_TEXT = 96 * 1024

# What the SDKs' own converters make: readable by whoever sees it.
_PLAIN = ("json/plain", "json/protobuf", "binary/plain", "binary/protobuf")


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
    """The environment of a child process that is to carry on the activity.

    * ``info``: what ``temporalio.activity.info()`` returns.
    * ``address``: where the child connects to (TEMPORAL_ADDRESS), if its environment doesn't say.
    * ``namespace``: TEMPORAL_NAMESPACE, if it isn't the activity's own.
    * ``details``: what the attempt before recorded, instead of ``info.heartbeat_details``: values,
      `Payload` objects or the SDK's payloads, or the bytes of an encoded Payloads.
    * ``data_converter``: the codec of a namespace whose data are encrypted, as `connect` takes it.
      The SDK has decoded the details in ``info``, and it encodes them anew. The child needs the
      same one. In an event loop they may be encoded before instead, for an encoding that waits:
      ``details=await data_converter.encode(info.heartbeat_details)``, and no ``data_converter``.
    * ``require_encoded``: refuse details that anybody can read, here and in the child, for
      namespaces whose data are encrypted.
    * ``age``: the time since the activity function began, in seconds or as a timedelta, if it did
      something else first. Measure it with `time.monotonic`. ``info.started_time`` is the server's
      clock, which can differ from this machine's, so no age is made from it. Without an age the
      child counts the attempt from the moment at which it opens the activity.
    * ``token_file``, ``token_fd``: where the child finds the token, instead of in its environment:
      see `token_in_file` and `token_in_pipe`.
    * ``base``: the variables to which these are added, ``os.environ`` if it isn't given; ``{}``
      makes these alone, to be sent elsewhere. What another parent handed over isn't passed on.

    Details of more than some 70 KB are left out, for they are too long for a variable; the child
    asks the server for them. Never blocks.

    Raises `InvalidArgument`, a ValueError, for readable details when encoded ones are required, and
    for a negative age.
    """
    if token_file is not None and token_fd is not None:
        raise InvalidArgument("the token is in a file or in a descriptor: give one")
    age_ms = duration_ms("age", age)
    handed_over = {
        "WORKFLOW_ID": info.workflow_id or None,
        "RUN_ID": info.workflow_run_id or getattr(info, "activity_run_id", None),
        "ID": info.activity_id,
        "ATTEMPT": str(info.attempt),
        "HEARTBEAT_TIMEOUT_MS": _milliseconds(info.heartbeat_timeout or None),
        "HEARTBEAT_DETAILS": _details_text(info, details, data_converter, require_encoded),
        "AGE_MS": _text(age_ms),
        "DEADLINE_MS": _milliseconds(_remaining(info, age_ms)),
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
        "TEMPORAL_NAMESPACE": namespace or info.namespace,
    }
    inherited = os.environ if base is None else base
    variables = {name: text for name, text in inherited.items() if not name.startswith(_PREFIX)}
    ours = {**connection, **{_PREFIX + name: text for name, text in handed_over.items()}}
    variables.update((name, text) for name, text in ours.items() if text is not None)
    return variables


def token_in_file(info: Any, path: Union[str, os.PathLike[str]]) -> str:
    """Write the token to a file that only this user can read, and return its path.

    ::

        path = handoff.token_in_file(info, directory / "token")
        subprocess.Popen(command, env=handoff.environment(info, token_file=path))

    The file is for one attempt: a file that exists is replaced. Whoever made it removes it.
    """
    path = os.fspath(path)
    unfinished = f"{path}.{os.getpid()}.tmp"
    with contextlib.suppress(FileNotFoundError):
        os.unlink(unfinished)
    descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with open(descriptor, "w") as file:
            file.write(_token_text(info))
        os.replace(unfinished, path)
    except BaseException:
        os.unlink(unfinished)
        raise
    return path


@contextlib.contextmanager
def token_in_pipe(info: Any) -> Iterator[int]:
    """The number of a descriptor from which the child reads the token, once.

    ::

        with handoff.token_in_pipe(info) as fd:
            env = handoff.environment(info, token_fd=fd)
            subprocess.Popen(command, env=env, pass_fds=[fd])

    The token is nowhere else, and the parent's end is closed with the block.
    """
    reader, writer = os.pipe()
    try:
        try:
            # A token is a few hundred bytes, and any pipe takes 4096 without a reader.
            os.write(writer, _token_text(info).encode())
        finally:
            os.close(writer)
        yield reader
    finally:
        os.close(reader)


def _token_text(info: Any) -> str:
    return b64encode(info.task_token).decode()


def _details_text(
    info: Any,
    details: Union[bytes, Sequence[Any], None],
    data_converter: Any,
    require_encoded: bool,
) -> Optional[str]:
    codec = None if data_converter is None else codec_of(data_converter)
    if isinstance(details, bytes):
        payloads = decode_payloads(details)
        encoded = details
        if codec is not None:
            payloads = codec.encode_plain(payloads)
            encoded = encode_payloads(payloads)
    else:
        values = map(_value, info.heartbeat_details if details is None else details)
        payloads = codec.encode(values) if codec else [to_payload(value) for value in values]
        encoded = encode_payloads(payloads)
    readable = {payload.encoding for payload in payloads} & set(_PLAIN)
    if require_encoded and readable:
        raise InvalidArgument(
            f"the heartbeat details are readable by anybody ({', '.join(sorted(readable))}), and"
            " encoded ones are required: pass data_converter=, with the codec that your namespace"
            " uses"
        )
    text = b64encode(encoded).decode()
    return text if len(text) <= _MAX_DETAILS_TEXT else None


def _value(value: Any) -> Any:
    """The value, or our payload of one that is the SDK's own Payload message."""
    descriptor = getattr(value, "DESCRIPTOR", None)
    if getattr(descriptor, "full_name", None) == "temporal.api.common.v1.Payload":
        return Payload(value.data, dict(value.metadata))
    return value


def _remaining(info: Any, age_ms: Optional[int]) -> Optional[timedelta]:
    """Return the part of the start-to-close timeout that ``age_ms`` leaves; None: no such timeout.

    The schedule-to-close timeout is left out: it counts from a time of the server's clock.
    """
    if not info.start_to_close_timeout:
        return None
    remaining: timedelta = info.start_to_close_timeout - timedelta(milliseconds=age_ms or 0)
    return max(timedelta(0), remaining)


def _milliseconds(duration: Optional[timedelta]) -> Optional[str]:
    return None if duration is None else _text(round(duration.total_seconds() * 1000))


def _text(ms: Optional[int]) -> Optional[str]:
    """Return the text of a variable. The library reads at most 2**32 - 1 ms, which is 49 days."""
    return None if ms is None or ms >= 2**32 else str(ms)
