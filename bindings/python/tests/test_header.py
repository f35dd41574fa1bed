"""The prototypes and constants of this package are those of the C header."""

from __future__ import annotations

import ctypes
import functools
import shutil
import subprocess
from typing import Any

import pytest
from pycparser import c_ast, c_parser
from support import REPOSITORY, needs

from temporal_heartbeat import Signals, Status, _abi

HEADER = REPOSITORY / "include" / "temporal_heartbeat.h"

# Functions of the library that this package does without, and why.
NOT_USED = {
    "thb_details_new": "several values are encoded here, by _wire",
    "thb_details_add": "the same",
    "thb_details_count": "values are decoded here, from thb_details_payloads",
    "thb_details_data": "the same",
    "thb_details_encoding": "the same",
    "thb_error_code": "it is the returned status",
}

SCALARS = {
    "int32_t": ctypes.c_int32,
    "uint32_t": ctypes.c_uint32,
    "int64_t": ctypes.c_int64,
    "uint64_t": ctypes.c_uint64,
    "size_t": ctypes.c_size_t,
    "thb_status_t": ctypes.c_int32,
    "thb_encoding_t": ctypes.c_int32,
    "thb_activity_t": ctypes.c_uint64,
    "thb_watch_t": ctypes.c_uint64,
}
OPAQUE = {
    "thb_error_t": _abi.ErrorPtr,
    "thb_details_t": _abi.DetailsPtr,
    "thb_text_t": _abi.TextPtr,
}


@functools.cache
def declarations() -> c_ast.FileAST:
    needs(str(HEADER), HEADER.is_file())
    needs("a C compiler, cc", shutil.which("cc") is not None)
    # C99, since the system's own headers need extensions for C11; this one doesn't.
    command = ["cc", "-std=c99", "-E", "-P", str(HEADER)]
    preprocessed = subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True).stdout
    return c_parser.CParser().parse(preprocessed)


def functions() -> dict[str, c_ast.FuncDecl]:
    return {
        node.name: node.type
        for node in declarations().ext
        if isinstance(node, c_ast.Decl) and isinstance(node.type, c_ast.FuncDecl)
    }


class Enumerators(c_ast.NodeVisitor):  # type: ignore[misc]
    """Collects the constants of all enumerations, which stand alone or in typedefs."""

    def __init__(self) -> None:
        self.values: dict[str, int] = {}

    def visit_EnumeratorList(self, node: c_ast.EnumeratorList) -> None:
        following = 0
        for item in node.enumerators:
            value = int(item.value.value, 0) if item.value else following
            self.values[item.name] = value
            following = value + 1


def enumerators(prefix: str = "THB_") -> dict[str, int]:
    found = Enumerators()
    found.visit(declarations())
    return {name: value for name, value in found.values.items() if name.startswith(prefix)}


def type_name(node: c_ast.TypeDecl) -> str:
    """``int32_t``, or the tag in ``struct thb_error_t``."""
    name: str = node.type.name if isinstance(node.type, c_ast.Struct) else node.type.names[-1]
    return name


def ctypes_of(node: Any, *, result: bool = False) -> Any:
    """The ctypes type that stands for a type of the header."""
    if isinstance(node, c_ast.PtrDecl):
        target = node.type
        if isinstance(target, c_ast.PtrDecl):
            return ctypes.POINTER(ctypes_of(target))
        name = type_name(target)
        if name in OPAQUE:
            return OPAQUE[name]
        if name == "void":
            return ctypes.c_void_p
        if name == "char":
            return ctypes.c_char_p
        return ctypes.POINTER(SCALARS[name])
    name = type_name(node)
    return None if result and name == "void" else SCALARS[name]


def prototype(function: c_ast.FuncDecl) -> tuple[Any, tuple[Any, ...]]:
    parameters = [node.type for node in function.args.params] if function.args else []
    if len(parameters) == 1 and isinstance(parameters[0], c_ast.TypeDecl):
        [only] = parameters
        if only.type.names == ["void"]:
            parameters = []
    return ctypes_of(function.type, result=True), tuple(map(ctypes_of, parameters))


@pytest.mark.parametrize("name", _abi.PROTOTYPES)
def test_a_prototype_is_the_headers(name: str) -> None:
    result, arguments = prototype(functions()[name])
    if name == "thb_text_data":
        # A char pointer too, but ctypes would cut the bytes at the first NUL.
        assert result is ctypes.c_char_p
        result = ctypes.c_void_p
    assert _abi.PROTOTYPES[name] == (result, arguments)


def test_every_function_of_the_header_is_used_or_known_not_to_be() -> None:
    assert sorted(functions()) == sorted([*_abi.PROTOTYPES, *NOT_USED])


def test_a_wrong_prototype_would_be_noticed() -> None:
    result, arguments = prototype(functions()["thb_heartbeat"])
    assert len(arguments) == 8
    assert (result, arguments[:-1]) != _abi.PROTOTYPES["thb_heartbeat"]
    assert (ctypes.c_int64, arguments) != _abi.PROTOTYPES["thb_heartbeat"]


def test_the_statuses_are_the_headers() -> None:
    others = {*enumerators("THB_ENCODING_"), *enumerators("THB_SIGNAL_")}
    theirs = {name: value for name, value in enumerators().items() if name not in others}
    assert theirs == {f"THB_{status.name}": status.value for status in Status}


def test_the_signals_are_the_headers() -> None:
    ours = {f"THB_SIGNAL_{signal.name}": signal.value for signal in Signals}
    assert enumerators("THB_SIGNAL_") == ours


def test_the_encodings_are_the_headers() -> None:
    ours = {f"THB_{n}": value for n, value in vars(_abi).items() if n.startswith("ENCODING_")}
    assert enumerators("THB_ENCODING_") == ours


@pytest.mark.parametrize(
    ("macro", "ours"), [("THB_FOREVER", _abi.FOREVER), ("THB_ABI_VERSION", _abi.ABI_VERSION)]
)
def test_a_macro_is_the_headers(macro: str, ours: int) -> None:
    needs("a C compiler, cc", shutil.which("cc") is not None)
    program = f'#include "{HEADER}"\n_Static_assert({macro} == {ours}, "{macro}");\n'
    needs(str(HEADER), HEADER.is_file())
    subprocess.run(
        ["cc", "-std=c11", "-fsyntax-only", "-x", "c", "-"], input=program, text=True, check=True
    )
