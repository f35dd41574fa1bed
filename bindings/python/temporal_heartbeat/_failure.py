"""The JSON description of a failure, from what `fail` is given."""

from __future__ import annotations

import traceback
from base64 import b64encode
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any, Optional, Union

from ._convert import to_json, to_payload
from ._wire import encode_payloads
from .errors import InvalidArgument

__all__ = ["Cause", "failure_json"]

Cause = Union[BaseException, Mapping[str, Any]]

# What is made of an exception stays well within the library's limits: 1 MiB in all, 16 deep.
_MAX_CAUSES = 8
_MAX_TEXT = 16 * 1024


def failure_json(
    message: Union[str, BaseException],
    *,
    type: Optional[str],
    non_retryable: bool,
    details: Sequence[Any],
    next_retry_delay: Union[float, timedelta, None],
    stack_trace: Optional[str],
    source: Optional[str],
    cause: Optional[Cause],
    heartbeat_details: Sequence[Any],
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
        "details_payloads": _payloads("details", details),
        "next_retry_delay_ms": _delay_ms(next_retry_delay),
        "stack_trace": stack_trace,
        "source": source,
        "cause": _of_exception(cause) if isinstance(cause, BaseException) else cause,
        "heartbeat_details_payloads": _payloads("heartbeat_details", heartbeat_details),
    }
    failure.update((key, value) for key, value in given.items() if value is not None)
    return to_json(failure)


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


def _payloads(name: str, values: Sequence[Any]) -> Optional[str]:
    if isinstance(values, (str, bytes)):
        raise TypeError(f"{name} is a sequence of values: put a single one in a list")
    encoded = encode_payloads(to_payload(value) for value in values)
    return b64encode(encoded).decode() or None


def _delay_ms(delay: Union[float, timedelta, None]) -> Optional[int]:
    if delay is None:
        return None
    seconds = delay.total_seconds() if isinstance(delay, timedelta) else delay
    if not 0 <= seconds < 2**53 / 1000:
        raise InvalidArgument(f"next_retry_delay is a time from 0 on, not {delay!r}")
    return round(seconds * 1000)
