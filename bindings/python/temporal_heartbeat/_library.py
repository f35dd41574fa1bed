"""Finds and loads the native library, on first use and never at import."""

from __future__ import annotations

import ctypes
import functools
import os
import platform
import sys
from collections.abc import Iterator
from pathlib import Path

from . import _abi
from .errors import AbiMismatchError, LibraryNotFoundError

__all__ = ["LIBRARY_VARIABLE", "library"]

LIBRARY_VARIABLE = "TEMPORAL_HEARTBEAT_LIBRARY"
"""The environment variable with the path of a library to use instead of the package's."""

_PACKAGED_NAME, _SYSTEM_NAME = (
    ("libtemporal_heartbeat.dylib", "libtemporal_heartbeat.0.dylib")
    if sys.platform == "darwin"
    else ("libtemporal_heartbeat.so", "libtemporal_heartbeat.so.0")
)


@functools.cache
def library() -> ctypes.CDLL:
    """Returns the library, and loads it on the first call.

    No lock guards this, because a fork could leave the lock held. Loading twice is harmless.
    """
    failures = []
    for place, path in _candidates():
        try:
            # CDLL releases the GIL during each call; PyDLL would not.
            return _checked(ctypes.CDLL(path))
        except (OSError, AttributeError) as error:
            failures.append(f"  {place}: {error}{_platform_hint(path, error)}")
    raise LibraryNotFoundError(
        "the native library of temporal-heartbeat could not be loaded; tried\n"
        + "\n".join(failures)
        + f"\nInstall this platform's package, or set {LIBRARY_VARIABLE} to the library's path."
    )


def _candidates() -> Iterator[tuple[str, str]]:
    """Yields the name and the path of each place. A path in the variable is the only one."""
    chosen = os.environ.get(LIBRARY_VARIABLE)
    if chosen:
        yield LIBRARY_VARIABLE, chosen
        return
    yield "the package", str(Path(__file__).with_name(_PACKAGED_NAME))
    yield "the system", _SYSTEM_NAME


def _platform_hint(path: str, error: Exception) -> str:
    """Explains dlopen's "No such file" for a file that exists: glibc skips other processors."""
    if "No such file" in str(error) and str(error).startswith(path) and os.path.exists(path):
        return f" (the file exists, but isn't built for this processor, {platform.machine()})"
    return ""


def _checked(library: ctypes.CDLL) -> ctypes.CDLL:
    """Sets the prototypes and returns the library, if its ABI is compatible."""
    if not hasattr(library, "thb_check_abi"):
        raise OSError("it is not the temporal-heartbeat library: it has no thb_check_abi")
    for name in ("thb_check_abi", "thb_abi_version", "thb_version"):
        _set_prototype(library, name)
    if library.thb_check_abi(_abi.ABI_VERSION) != _abi.Status.OK:
        raise AbiMismatchError(
            f"{library._name} is version {library.thb_version().decode()}"
            f" with ABI {_abi_text(library.thb_abi_version())},"
            f" but this package needs ABI {_abi_text(_abi.ABI_VERSION)}:"
            " install the library of the package's own version"
        )
    for name in _abi.PROTOTYPES:
        _set_prototype(library, name)
    return library


def _set_prototype(library: ctypes.CDLL, name: str) -> None:
    function = getattr(library, name)
    function.restype, function.argtypes = _abi.PROTOTYPES[name]


def _abi_text(version: int) -> str:
    return f"{version >> 16}.{version & 0xFFFF}"
