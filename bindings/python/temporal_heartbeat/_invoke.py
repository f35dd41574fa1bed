"""One call of a C function: make it, read its error, free what it gave, raise."""

from __future__ import annotations

import ctypes
from datetime import timedelta
from typing import Any, Callable, Optional, TypeVar, Union

from . import _abi
from ._blocking import interruptibly
from ._library import library
from .errors import Error, InvalidArgument, error_for

__all__ = ["as_token", "invoke", "milliseconds"]

T = TypeVar("T")


def invoke(call: Callable[[ctypes.CDLL, Any], tuple[int, T]], *, may_block: bool = True) -> T:
    """Runs ``call(library, error_out)``, which gives a status and a value, and returns the value.

    When the call may block, it may run on another thread and outlive this function: it owns all it
    touches, and frees what it gets from the library itself.
    """
    native = library()

    def attempt() -> tuple[Optional[Error], T]:
        error = _abi.ErrorPtr()
        try:
            status, value = call(native, ctypes.byref(error))
            return None if status == _abi.OK else _read_error(native, status, error), value
        finally:
            native.thb_error_free(error)

    error, value = interruptibly(attempt) if may_block else attempt()
    if error is not None:
        try:
            raise error
        finally:
            del error  # else it and its traceback would keep each other alive
    return value


def _read_error(native: ctypes.CDLL, status: int, error: Any) -> Error:
    grpc_code = native.thb_error_grpc_code(error)
    retry_after_ms = native.thb_error_retry_after_ms(error)
    return error_for(
        status,
        (native.thb_error_message(error) or native.thb_status_name(status)).decode(),
        retryable=native.thb_error_is_retryable(error) != 0,
        grpc_code=grpc_code if grpc_code >= 0 else None,
        retry_after=timedelta(milliseconds=retry_after_ms) if retry_after_ms >= 0 else None,
    )


def as_token(token: Union[bytes, bytearray, memoryview]) -> bytes:
    """A copy of the token that nobody can change during the call."""
    if isinstance(token, (bytes, bytearray, memoryview)):
        return bytes(token)
    if isinstance(token, str):
        raise TypeError(
            "a task token is bytes, not str: if it is base64 text, decode it (base64.b64decode)"
        )
    raise TypeError(f"a task token is bytes, not {type(token).__name__}")


_MAX_MS = 2**31 - 1


def milliseconds(timeout: Optional[float]) -> int:
    """The timeout as the library takes it. Only 0 itself means not to wait."""
    if timeout is None:
        return _abi.FOREVER
    if not 0 <= timeout * 1000 <= _MAX_MS:
        raise InvalidArgument(
            f"a timeout is a number of seconds from 0 to {_MAX_MS // 1000},"
            f" or None to wait for ever; not {timeout!r}"
        )
    return max(1, round(timeout * 1000)) if timeout else 0
