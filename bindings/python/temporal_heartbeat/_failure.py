"""The JSON description of a failure, from what `fail` is given."""

from __future__ import annotations

import traceback
from collections.abc import Mapping, Sequence
from typing import Any, Optional, Union

from ._codec import Codec
from ._convert import encode_plain_base64, payloads_base64
from ._duration import Duration, duration_ms
from ._values import to_json

__all__ = ["Cause", "failure_json"]

Cause = Union[BaseException, Mapping[str, Any]]

# What is made of an exception stays well within the library's limits: 1 MiB in all, 16 deep.
_MAX_CAUSES = 8
_MAX_TEXT = 16 * 1024


def failure_json(
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
    codec: Optional[Codec],
) -> bytes:
    if isinstance(message, BaseException):
        failure = _of_exception(message)
    elif isinstance(message, str):
        failure = {"message": _encodable(message)}
    else:
        raise TypeError(f"message is a str or an exception, not {message.__class__.__name__}")
    given: dict[str, Any] = {
        "type": type,
        "non_retryable": True if non_retryable else None,
        "details_payloads": payloads_base64("details", details, codec) or None,
        "next_retry_delay_ms": duration_ms("next_retry_delay", next_retry_delay),
        "stack_trace": stack_trace,
        "source": source,
        "cause": _of_exception(cause)
        if isinstance(cause, BaseException)
        else _encoded(cause, codec),
        "heartbeat_details_payloads": payloads_base64("heartbeat_details", heartbeat_details, codec)
        or None,
    }
    failure.update((key, value) for key, value in given.items() if value is not None)
    return to_json(failure)


def _encoded(
    cause: Optional[Mapping[str, Any]], codec: Optional[Codec]
) -> Optional[Mapping[str, Any]]:
    """The same with its details, and those of its causes, as the codec makes them."""
    if cause is None or codec is None:
        return cause
    encoded = {key: value for key, value in cause.items() if key != "details"}
    if cause.get("details"):
        encoded["details_payloads"] = payloads_base64("details", cause["details"], codec)
    elif isinstance(cause.get("details_payloads"), str):
        encoded["details_payloads"] = encode_plain_base64(cause["details_payloads"], codec)
    if isinstance(cause.get("cause"), Mapping):
        encoded["cause"] = _encoded(cause["cause"], codec)
    return encoded


def _of_exception(exception: BaseException, causes_left: int = _MAX_CAUSES) -> dict[str, Any]:
    failure: dict[str, Any] = {
        "message": _cut(str(exception)),
        "type": exception.__class__.__name__,
    }
    if exception.__traceback__ is not None:
        failure["stack_trace"] = _cut("".join(traceback.format_tb(exception.__traceback__)))
    if exception.__cause__ is not None and causes_left > 0:
        failure["cause"] = _of_exception(exception.__cause__, causes_left - 1)
    return failure


def _cut(text: str) -> str:
    """The end of the text, which is where a stack trace has its point."""
    text = _encodable(text)
    return text if len(text) <= _MAX_TEXT else "[...]" + text[-_MAX_TEXT:]


def _encodable(text: str) -> str:
    """The text with question marks for lone surrogates, as file names in no encoding have."""
    return text.encode("utf-8", "replace").decode()
