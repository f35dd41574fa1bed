"""The C functions that never wait, called with the least overhead.

An ordinary call through ctypes is slow for two reasons: it converts each argument by the prototype,
and it releases the GIL, which another thread may then hold for milliseconds. These functions take a
microsecond at most, so they keep the GIL and have no argument types: each argument must be a ctypes
object of the right type, or bytes, None or a C int.
"""

from __future__ import annotations

import ctypes
import functools

from . import _abi

__all__ = ["MAX_FAST_BYTES", "SIZES", "fast_function", "size"]

# Larger inputs use an ordinary call: the library takes so long to copy and check them that the call
# should release the GIL.
MAX_FAST_BYTES = 16 * 1024

# The usual sizes: making an object takes a large part of the time of a fast call.
SIZES = tuple(ctypes.c_size_t(count) for count in range(512))


@functools.cache
def fast_function(native: ctypes.CDLL, name: str) -> ctypes._NamedFuncPointer:
    # A PyDLL keeps the GIL during calls. The handle avoids loading the library again.
    found = ctypes.PyDLL(native._name, handle=native._handle)[name]
    found.restype, _ = _abi.PROTOTYPES[name]
    return found


def size(count: int) -> ctypes.c_size_t:
    """Returns an argument of the type size_t."""
    return SIZES[count] if count < len(SIZES) else ctypes.c_size_t(count)
