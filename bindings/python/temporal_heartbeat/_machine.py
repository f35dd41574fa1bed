"""For which processor a library was built. The loader only says that it found no such file."""

from __future__ import annotations

import sys
from typing import Optional

__all__ = ["built_for_another"]

# The first bytes of an ELF file: its mark, its width, ..., and at 18 the processor.
_MARK, _WIDTH, _PROCESSOR, _LENGTH = b"\x7fELF", slice(4, 5), slice(18, 20), 20

_NAMES = {3: "x86", 40: "arm", 62: "x86-64", 183: "arm64", 243: "riscv64"}


def built_for_another(path: str) -> str:
    """Says so if the file is a library for another processor than this Python's."""
    theirs, ours = _read(path), _read(sys.executable)
    if theirs is None or ours is None or theirs == ours:
        return ""
    return f" (it is built for {_name(theirs)}, and this Python for {_name(ours)})"


def _read(path: str) -> Optional[bytes]:
    try:
        with open(path, "rb") as file:
            start = file.read(_LENGTH)
    except OSError:
        return None
    if len(start) < _LENGTH or not start.startswith(_MARK):
        return None
    return start[_WIDTH] + start[_PROCESSOR]


def _name(kind: bytes) -> str:
    number = int.from_bytes(kind[1:], sys.byteorder)
    return _NAMES.get(number, f"processor {number}")
