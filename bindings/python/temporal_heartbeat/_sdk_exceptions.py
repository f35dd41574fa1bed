"""Reads the exceptions of Temporal's Python SDK without importing it."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from datetime import timedelta
from typing import Any, NamedTuple, Optional

from ._payload import Payload

__all__ = ["SdkFailure", "is_sdk_cancellation", "sdk_failure_from", "sdk_failure_of"]

# ``APPLICATION_ERROR_CATEGORY_BENIGN``.
_BENIGN = 1


class SdkFailure(NamedTuple):
    """The fields of an exception or of a ``Failure`` of the SDK."""

    message: str
    type: Optional[str]
    non_retryable: bool = False
    details: Sequence[Any] = ()
    next_retry_delay: Optional[timedelta] = None
    category: Optional[str] = None
    # Of an exception, only set if this process received it, for example from another workflow.
    stack_trace: Optional[str] = None
    source: Optional[str] = None


def sdk_failure_of(exception: BaseException) -> Optional[SdkFailure]:
    """Returns the fields of the exception, or None if it isn't an exception of the SDK.

    The server accepts only application failures. So an exception of another kind becomes an
    application failure, and the name of its class becomes the type.
    """
    sdk = _loaded_sdk()
    if sdk is None or not isinstance(exception, sdk.FailureError):
        return None
    is_application = isinstance(exception, sdk.ApplicationError)
    received = exception.failure
    benign = is_application and exception.category == sdk.ApplicationErrorCategory.BENIGN
    return SdkFailure(
        message=exception.message,
        type=exception.type if is_application else type(exception).__name__,
        non_retryable=bool(getattr(exception, "non_retryable", False)),
        details=getattr(exception, "details", ())
        or getattr(exception, "last_heartbeat_details", ()),
        next_retry_delay=getattr(exception, "next_retry_delay", None) or None,
        category="benign" if benign else None,
        stack_trace=(received and received.stack_trace) or None,
        source=(received and received.source) or None,
    )


def sdk_failure_from(failure: Any) -> SdkFailure:
    """Returns the fields of a ``temporal.api.failure.v1.Failure``, without its causes."""
    info = failure.application_failure_info
    is_application = failure.HasField("application_failure_info")
    payloads = (
        *info.details.payloads,
        *failure.timeout_failure_info.last_heartbeat_details.payloads,
        *failure.canceled_failure_info.details.payloads,
    )
    # As an exception of the same kind: "TimeoutError" of "timeout_failure_info".
    kind = (failure.WhichOneof("failure_info") or "").replace("_failure_info", "_error")
    return SdkFailure(
        message=failure.message,
        type=info.type if is_application else kind.title().replace("_", ""),
        non_retryable=info.non_retryable or failure.server_failure_info.non_retryable,
        details=[Payload.from_bytes(payload.SerializeToString()) for payload in payloads],
        next_retry_delay=info.next_retry_delay.ToTimedelta() or None,
        category="benign" if info.category == _BENIGN else None,
        stack_trace=failure.stack_trace or None,
        source=failure.source or None,
    )


def is_sdk_cancellation(exception: BaseException) -> bool:
    """Whether it is the SDK's exception of a cancellation."""
    sdk = _loaded_sdk()
    return sdk is not None and isinstance(exception, sdk.CancelledError)


def _loaded_sdk() -> Any:
    # If an exception is one of the SDK's, the SDK is already loaded.
    return sys.modules.get("temporalio.exceptions")
