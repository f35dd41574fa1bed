"""Reading what the library gives out as objects: copied into Python's, and freed."""

from __future__ import annotations

import ctypes
from datetime import datetime, timedelta, timezone
from typing import Any, Callable, Optional

from . import _abi
from ._codec import Codec
from ._convert import from_payloads
from ._details import Details
from ._invoke import invoke

__all__ = ["RawDetails", "details_of", "fetch_details", "read_text"]

# Makes the call: with the library, where to put the object, and where to put the error.
Fetch = Callable[[ctypes.CDLL, Any, Any], int]

_UNIX_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)


# An encoded Payloads, and what the library knows beside it.
RawDetails = tuple[bytes, int, int, int]


def fetch_details(
    native: ctypes.CDLL, fetch: Fetch, error: Any
) -> tuple[int, Optional[RawDetails]]:
    """The status of ``fetch``, and the details that it gets."""
    details = _abi.DetailsPtr()
    try:
        status = fetch(native, ctypes.byref(details), error)
        if status != _abi.OK:
            return status, None
        size = ctypes.c_size_t(0)
        data = native.thb_details_payloads(details, ctypes.byref(size))
        return status, (
            ctypes.string_at(data, size.value) if size.value else b"",
            native.thb_details_attempt(details),
            native.thb_details_recorded_at_unix_ms(details),
            native.thb_details_heartbeat_timeout_ms(details),
        )
    finally:
        native.thb_details_free(details)


def details_of(raw: Optional[RawDetails], codec: Optional[Codec]) -> Details:
    """What a successful `fetch_details` got, decoded."""
    assert raw is not None
    data, attempt, recorded_at_ms, heartbeat_timeout_ms = raw
    values, payloads = from_payloads(data, codec)
    return Details(
        values,
        payloads=payloads,
        attempt=attempt,
        recorded_at=_UNIX_EPOCH + timedelta(milliseconds=recorded_at_ms)
        if recorded_at_ms
        else None,
        heartbeat_timeout=timedelta(milliseconds=heartbeat_timeout_ms)
        if heartbeat_timeout_ms >= 0
        else None,
    )


def read_text(fetch: Fetch, *, may_block: bool) -> bytes:
    """The bytes of the text that ``fetch`` gets."""

    def call(native: ctypes.CDLL, error: Any) -> tuple[int, bytes]:
        text = _abi.TextPtr()
        try:
            status = fetch(native, ctypes.byref(text), error)
            size = ctypes.c_size_t(0)
            data = native.thb_text_data(text, ctypes.byref(size))
            return status, ctypes.string_at(data, size.value) if status == _abi.OK else b""
        finally:
            native.thb_text_free(text)

    return invoke(call, may_block=may_block)
