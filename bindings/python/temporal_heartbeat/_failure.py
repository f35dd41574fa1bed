"""Builds the library's ``failure_json`` from the arguments of `fail`."""

from __future__ import annotations

import sys
import traceback
from base64 import b64encode
from collections.abc import Mapping, Sequence
from typing import Any, Optional, Union

from ._codec import Codec
from ._converter import to_json
from ._duration import Duration, duration_to_ms
from ._encoding import encode_plain_base64, payloads_base64
from ._payload import Payload
from ._sdk_exceptions import SdkFailure, sdk_failure_from, sdk_failure_of

__all__ = ["Cause", "encode_failure", "grouped_exceptions"]

Cause = Union[BaseException, Mapping[str, Any]]

# With these limits the failure of an exception is within the library's limits, 1 MiB and 16 levels.
_MAX_CAUSES = 8
_MAX_TEXT = 16 * 1024


def encode_failure(
    message: Union[str, BaseException],
    codec: Optional[Codec],
    *,
    type: Optional[str] = None,
    non_retryable: Optional[bool] = None,
    details: Sequence[Any] = (),
    next_retry_delay: Optional[Duration] = None,
    category: Optional[str] = None,
    stack_trace: Optional[str] = None,
    source: Optional[str] = None,
    cause: Optional[Cause] = None,
    heartbeat_details: Sequence[Any] = (),
    with_exception_details: bool = True,
) -> tuple[bytes, int]:
    """Returns the two C arguments of a failure: ``failure_json`` and its length."""
    if not isinstance(message, (str, BaseException)):
        raise TypeError(f"message is a str or an exception, not {message.__class__.__name__}")
    failure, is_encoded = _failure_of(message, codec, with_exception_details)
    if isinstance(cause, BaseException):
        cause, _ = _failure_of(cause, codec, with_exception_details)
    else:
        cause = _encode_cause(cause, codec)
    given: dict[str, Any] = {
        "type": type,
        "non_retryable": non_retryable,
        "details_payloads": payloads_base64("details", details, codec) or None,
        "next_retry_delay_ms": duration_to_ms("next_retry_delay", next_retry_delay),
        "category": category,
        "stack_trace": stack_trace,
        "source": source,
        "cause": cause,
        "heartbeat_details_payloads": payloads_base64("heartbeat_details", heartbeat_details, codec)
        or None,
    }
    failure.update((key, value) for key, value in given.items() if value is not None)
    if codec is not None and is_encoded:
        failure = _with_encoded_attributes(failure, codec)
    text = to_json(failure)
    return text, len(text)


def _with_encoded_attributes(failure: Mapping[str, Any], codec: Codec) -> dict[str, Any]:
    """Moves the texts of the failure and of its causes into ``encoded_attributes``.

    The result is that of the SDK's failure converters with ``encode_common_attributes``.
    """
    encoded = dict(failure)
    if "encoded_attributes" not in failure:
        texts = {key: encoded.pop(key, None) or "" for key in ("message", "stack_trace")}
        [payload] = codec.encode([texts])
        encoded["message"] = "Encoded failure"
        encoded["encoded_attributes"] = b64encode(payload.to_bytes()).decode()
    if isinstance(failure.get("cause"), Mapping):
        encoded["cause"] = _with_encoded_attributes(failure["cause"], codec)
    return encoded


def _encode_cause(
    cause: Optional[Mapping[str, Any]], codec: Optional[Codec]
) -> Optional[Mapping[str, Any]]:
    """Returns the cause and its own causes, with details encoded by the codec."""
    if cause is None or codec is None:
        return cause
    encoded = {key: value for key, value in cause.items() if key != "details"}
    if cause.get("details"):
        encoded["details_payloads"] = payloads_base64("details", cause["details"], codec)
    elif isinstance(cause.get("details_payloads"), str):
        encoded["details_payloads"] = encode_plain_base64(cause["details_payloads"], codec)
    if isinstance(cause.get("cause"), Mapping):
        encoded["cause"] = _encode_cause(cause["cause"], codec)
    return encoded


def _failure_of(
    message: Union[str, BaseException], codec: Optional[Codec], with_details: bool
) -> tuple[dict[str, Any], bool]:
    """Returns the failure of a message or an exception, and whether its texts must be encoded."""
    if isinstance(message, str):
        message = _without_surrogates(message)
    is_encoded = codec is not None and bool(codec.encode_common_attributes)
    # The failure converter needs the details too, so without them it gets the text only.
    given = message if with_details else str(message)
    converted = codec.failure_of(given) if codec is not None else None
    if converted is not None:
        failure, has_encoded_attributes = converted
        if codec is not None and codec.encode_common_attributes is None:
            is_encoded = has_encoded_attributes
        made = _converted_failure(failure, codec, with_details)
        if not with_details:
            made.setdefault("type", message.__class__.__name__)
        return made, is_encoded
    if isinstance(message, str):
        return {"message": message}, is_encoded
    return _exception_failure(message, codec, with_details), is_encoded


def _exception_failure(
    exception: BaseException,
    codec: Optional[Codec],
    with_details: bool,
    causes_left: int = _MAX_CAUSES,
) -> dict[str, Any]:
    sdk = sdk_failure_of(exception) or SdkFailure(str(exception), exception.__class__.__name__)
    if not sdk.stack_trace:
        sdk = sdk._replace(stack_trace=_stack_trace(exception))
    failure = _fields(sdk, codec, with_details)
    cause = exception.__cause__
    if cause is None and not exception.__suppress_context__:
        cause = exception.__context__
    if cause is None:
        cause = next(iter(grouped_exceptions(exception)), None)
    if cause is not None and causes_left > 0:
        failure["cause"] = _exception_failure(cause, codec, with_details, causes_left - 1)
    return failure


def _converted_failure(
    failure: Any, codec: Optional[Codec], with_details: bool, causes_left: int = _MAX_CAUSES
) -> dict[str, Any]:
    """Returns the failure that the SDK's failure converter has made."""
    made = _fields(sdk_failure_from(failure), codec, with_details)
    if codec is not None and failure.HasField("encoded_attributes"):
        attributes = Payload.from_bytes(failure.encoded_attributes.SerializeToString())
        [attributes] = codec.encode([attributes])
        made["encoded_attributes"] = b64encode(attributes.to_bytes()).decode()
    if failure.HasField("cause") and causes_left > 0:
        made["cause"] = _converted_failure(failure.cause, codec, with_details, causes_left - 1)
    return made


def grouped_exceptions(exception: BaseException) -> Sequence[BaseException]:
    """Returns the exceptions of a group, such as that of an asyncio.TaskGroup; none for others."""
    if sys.version_info >= (3, 11) and isinstance(exception, BaseExceptionGroup):  # noqa: F821
        return exception.exceptions
    return ()


def _fields(sdk: SdkFailure, codec: Optional[Codec], with_details: bool) -> dict[str, Any]:
    details = payloads_base64("details", sdk.details if with_details else (), codec)
    fields = {
        "message": _truncated(sdk.message),
        "type": sdk.type or None,
        "stack_trace": _truncated(sdk.stack_trace) if sdk.stack_trace else None,
        "non_retryable": sdk.non_retryable or None,
        "details_payloads": details or None,
        "next_retry_delay_ms": duration_to_ms("next_retry_delay", sdk.next_retry_delay),
        "category": sdk.category,
        "source": sdk.source,
    }
    return {key: value for key, value in fields.items() if value is not None}


def _stack_trace(exception: BaseException) -> str:
    return "".join(traceback.format_tb(exception.__traceback__))


def _truncated(text: str) -> str:
    """Returns the end of a long text: the end of a stack trace matters most."""
    text = _without_surrogates(text)
    return text if len(text) <= _MAX_TEXT else "[...]" + text[-_MAX_TEXT:]


def _without_surrogates(text: str) -> str:
    """Replaces lone surrogates, which undecodable file names contain, by question marks."""
    return text.encode("utf-8", "replace").decode()
