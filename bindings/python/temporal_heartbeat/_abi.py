"""The C functions and constants that this package uses, as ``temporal_heartbeat.h`` declares them.

This is the one place that says so; a test compares it with the header.
"""

from __future__ import annotations

import ctypes
from ctypes import POINTER, c_char_p, c_int32, c_int64, c_size_t, c_uint32, c_uint64, c_void_p
from typing import Any

__all__ = [
    "ABI_VERSION",
    "ENCODING_BINARY",
    "ENCODING_JSON",
    "ENCODING_NONE",
    "ENCODING_NULL",
    "ENCODING_PAYLOADS",
    "FOREVER",
    "OK",
    "PROTOTYPES",
    "DetailsPtr",
    "ErrorPtr",
    "TextPtr",
]

ABI_VERSION = 0 << 16 | 1

OK = 0
FOREVER = 2**32 - 1

ENCODING_NONE = 0
ENCODING_JSON = 1
ENCODING_BINARY = 2
ENCODING_NULL = 3
ENCODING_PAYLOADS = 4


class thb_error_t(ctypes.Structure):
    """Opaque."""


class thb_details_t(ctypes.Structure):
    """Opaque."""


class thb_text_t(ctypes.Structure):
    """Opaque."""


ErrorPtr = POINTER(thb_error_t)
DetailsPtr = POINTER(thb_details_t)
TextPtr = POINTER(thb_text_t)

# Shorthands. A status is a plain integer: one that is newer than this package must not raise here.
_status = c_int32
_error_out = POINTER(ErrorPtr)
_len_out = POINTER(c_size_t)
_signals_out = POINTER(c_uint32)
_bytes = (c_void_p, c_size_t)
_json = (c_char_p, c_size_t)
_encoded = (c_int32, *_bytes)
_activity = c_uint64
_watch = c_uint64

# name: (result, arguments)
PROTOTYPES: dict[str, tuple[Any, tuple[Any, ...]]] = {
    "thb_connect": (_status, (*_json, _error_out)),
    "thb_reconfigure": (_status, (*_json, _error_out)),
    "thb_disconnect": (_status, (c_uint32, _error_out)),
    "thb_heartbeat": (_status, (*_bytes, *_encoded, c_uint32, _signals_out, _error_out)),
    "thb_get_details": (_status, (*_bytes, c_uint32, POINTER(DetailsPtr), _error_out)),
    "thb_complete": (_status, (*_bytes, *_encoded, c_uint32, _error_out)),
    "thb_fail": (_status, (*_bytes, *_json, c_uint32, _error_out)),
    "thb_report_cancelled": (_status, (*_bytes, *_encoded, c_uint32, _error_out)),
    "thb_token_from_env": (_status, (POINTER(TextPtr), _error_out)),
    "thb_activity_open": (_status, (*_bytes, *_json, POINTER(_activity), _error_out)),
    "thb_activity_heartbeat": (_status, (_activity, *_encoded, _signals_out, _error_out)),
    "thb_activity_touch": (_status, (_activity, _signals_out, _error_out)),
    "thb_activity_get_signals": (_status, (_activity, _signals_out, _error_out)),
    "thb_activity_wait": (
        _status,
        (_activity, c_uint32, c_uint32, c_uint32, _signals_out, _error_out),
    ),
    "thb_activity_get_details": (_status, (_activity, c_uint32, POINTER(DetailsPtr), _error_out)),
    "thb_activity_get_info": (_status, (_activity, POINTER(TextPtr), _error_out)),
    "thb_activity_flush": (_status, (_activity, c_uint32, _error_out)),
    "thb_activity_complete": (_status, (_activity, *_encoded, c_uint32, _error_out)),
    "thb_activity_fail": (_status, (_activity, *_json, c_uint32, _error_out)),
    "thb_activity_report_cancelled": (_status, (_activity, *_encoded, c_uint32, _error_out)),
    "thb_activity_close": (_status, (_activity, c_uint32, _error_out)),
    "thb_watch_open": (_status, (POINTER(_watch), _error_out)),
    "thb_watch_add": (_status, (_watch, _activity, c_uint32, c_uint64, _error_out)),
    "thb_watch_next": (
        _status,
        (_watch, c_uint32, POINTER(_activity), POINTER(c_uint64), _signals_out, _error_out),
    ),
    "thb_watch_open_fd": (_status, (_watch, POINTER(c_int32), _error_out)),
    "thb_watch_close": (_status, (_watch, _error_out)),
    "thb_details_payloads": (c_void_p, (DetailsPtr, _len_out)),
    "thb_details_attempt": (c_int32, (DetailsPtr,)),
    "thb_details_recorded_at_unix_ms": (c_int64, (DetailsPtr,)),
    "thb_details_heartbeat_timeout_ms": (c_int64, (DetailsPtr,)),
    "thb_details_free": (None, (DetailsPtr,)),
    "thb_error_grpc_code": (c_int32, (ErrorPtr,)),
    "thb_error_message": (c_char_p, (ErrorPtr,)),
    "thb_error_is_retryable": (c_int32, (ErrorPtr,)),
    "thb_error_retry_after_ms": (c_int64, (ErrorPtr,)),
    "thb_error_free": (None, (ErrorPtr,)),
    "thb_text_data": (c_void_p, (TextPtr, _len_out)),
    "thb_text_free": (None, (TextPtr,)),
    "thb_get_metrics": (_status, (POINTER(TextPtr), _error_out)),
    "thb_log_next": (_status, (c_uint32, POINTER(TextPtr), _error_out)),
    "thb_status_name": (c_char_p, (c_int32,)),
    "thb_version": (c_char_p, ()),
    "thb_abi_version": (c_uint32, ()),
    "thb_check_abi": (_status, (c_uint32,)),
}
