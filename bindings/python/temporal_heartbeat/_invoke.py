"""Calls a C function: makes the call, reads its outputs and its error, frees them, raises."""

from __future__ import annotations

import ctypes
from datetime import timedelta
from typing import Any, Callable, Optional, TypeVar, Union

from . import _abi
from ._abi import Status
from ._interruptible import run_interruptible
from ._library import library
from .errors import Error, error_for

__all__ = ["Token", "invoke", "invoke_function", "read_error", "read_text", "token_bytes"]

T = TypeVar("T")
Token = Union[bytes, bytearray, memoryview]


def invoke(call: Callable[[ctypes.CDLL, Any], tuple[int, T]], *, may_block: bool) -> T:
    """Runs ``call(library, error_out)``, which returns a status and a value; returns the value.

    A call that may block can run in another thread, and can end after this function. So the call
    must own all inputs, and must free all outputs of the library.
    """
    native = library()

    def attempt() -> tuple[Optional[Error], T]:
        error = _abi.ErrorPtr()
        try:
            status, value = call(native, ctypes.byref(error))
            return None if status == Status.OK else read_error(native, status, error), value
        finally:
            if error:  # otherwise the call would only release the GIL
                native.thb_error_free(error)

    error, value = run_interruptible(attempt) if may_block else attempt()
    if error is not None:
        try:
            raise error
        finally:
            del error  # or the error and its traceback would keep each other alive
    return value


def invoke_function(name: str, *arguments: Any, may_block: bool) -> None:
    """Calls the C function of this name. The arguments are all except the error output."""

    def call(native: ctypes.CDLL, error: Any) -> tuple[int, None]:
        return getattr(native, name)(*arguments, error), None

    invoke(call, may_block=may_block)


def read_text(name: str, *arguments: Any, may_block: bool) -> bytes:
    """Calls a C function that outputs a text. Returns the bytes of the text; empty for no text."""

    def call(native: ctypes.CDLL, error: Any) -> tuple[int, bytes]:
        text = _abi.TextPtr()
        try:
            status = getattr(native, name)(*arguments, ctypes.byref(text), error)
            size = ctypes.c_size_t(0)
            data = native.thb_text_data(text, ctypes.byref(size))
            return status, ctypes.string_at(data, size.value)
        finally:
            native.thb_text_free(text)

    return invoke(call, may_block=may_block)


def read_error(native: ctypes.CDLL, status: int, error: Any) -> Error:
    """Returns the exception for a status and its ``thb_error_t``."""
    grpc_code = native.thb_error_grpc_code(error)
    retry_after_ms = native.thb_error_retry_after_ms(error)
    return error_for(
        status,
        (native.thb_error_message(error) or native.thb_status_name(status)).decode(),
        retryable=native.thb_error_is_retryable(error) != 0,
        grpc_code=grpc_code if grpc_code >= 0 else None,
        retry_after=timedelta(milliseconds=retry_after_ms) if retry_after_ms >= 0 else None,
    )


def token_bytes(token: Token) -> bytes:
    """Returns a copy of the token, which no other thread can change during the call."""
    if isinstance(token, (bytes, bytearray, memoryview)):
        return bytes(token)
    if isinstance(token, str):
        raise TypeError(
            "a task token is bytes, not str: if it is base64 text, decode it (base64.b64decode)"
        )
    raise TypeError(f"a task token is bytes, not {type(token).__name__}")
