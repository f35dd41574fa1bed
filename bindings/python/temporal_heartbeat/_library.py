"""Finding and loading the native library, on first use and never at import."""

from __future__ import annotations

import ctypes
import functools
import os
import sys
from collections.abc import Iterator
from pathlib import Path

from . import _abi
from ._machine import built_for_another
from .errors import AbiMismatch, LibraryNotFound

__all__ = ["LIBRARY_VARIABLE", "library"]

LIBRARY_VARIABLE = "TEMPORAL_HEARTBEAT_LIBRARY"
"""The environment variable with the path of a library to use instead of the package's."""

_IN_PACKAGE, _ON_SYSTEM = (
    ("libtemporal_heartbeat.dylib", "libtemporal_heartbeat.0.dylib")
    if sys.platform == "darwin"
    else ("libtemporal_heartbeat.so", "libtemporal_heartbeat.so.0")
)


@functools.cache
def library() -> ctypes.CDLL:
    """The library, loaded if need be.

    No lock guards this, since a fork could leave it locked: loading twice is harmless.
    """
    failures = []
    for where, path in _places():
        try:
            # CDLL, other than PyDLL, releases the GIL for the time of each call.
            return _checked(ctypes.CDLL(path))
        except (OSError, AttributeError) as error:
            failures.append(f"  {where}: {error}{built_for_another(path)}")
    raise LibraryNotFound(
        "the native library of temporal-heartbeat could not be loaded; looked at\n"
        + "\n".join(failures)
        + f"\nInstall this platform's package, or set {LIBRARY_VARIABLE} to the library's path."
    )


def _places() -> Iterator[tuple[str, str]]:
    """Where to look: a name, and what to open. A path that was asked for is the only one."""
    chosen = os.environ.get(LIBRARY_VARIABLE)
    if chosen:
        yield LIBRARY_VARIABLE, chosen
        return
    yield "the package", str(Path(__file__).with_name(_IN_PACKAGE))
    yield "the system", _ON_SYSTEM


def _checked(library: ctypes.CDLL) -> ctypes.CDLL:
    """The library with its prototypes set, if it is one that this package can work with."""
    if not hasattr(library, "thb_check_abi"):
        raise OSError("it is not the temporal-heartbeat library: it has no thb_check_abi")
    for name in ("thb_check_abi", "thb_abi_version", "thb_version"):
        _declare(library, name)
    if library.thb_check_abi(_abi.ABI_VERSION) != _abi.OK:
        raise AbiMismatch(
            f"{library._name} is version {library.thb_version().decode()}"
            f" with ABI {_abi_text(library.thb_abi_version())},"
            f" but this package needs ABI {_abi_text(_abi.ABI_VERSION)}:"
            " install the library of the package's own version"
        )
    for name in _abi.PROTOTYPES:
        _declare(library, name)
    return library


def _declare(library: ctypes.CDLL, name: str) -> None:
    function = getattr(library, name)
    function.restype, function.argtypes = _abi.PROTOTYPES[name]


def _abi_text(version: int) -> str:
    return f"{version >> 16}.{version & 0xFFFF}"
