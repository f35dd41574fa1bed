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


def enumerators() -> dict[str, int]:
    values: dict[str, int] = {}
    for node in declarations().ext:
        enum = node.type if isinstance(node, c_ast.Decl) else None
        if isinstance(enum, c_ast.Enum):
            following = 0
            for item in enum.values.enumerators:
                following = int(item.value.value, 0) if item.value else following
                values[item.name] = following
                following += 1
    return values


def ctypes_of(node: Any, *, result: bool = False) -> Any:
    """The ctypes type that stands for a type of the header."""
    if isinstance(node, c_ast.PtrDecl):
        target = node.type
        if isinstance(target, c_ast.PtrDecl):
            return ctypes.POINTER(ctypes_of(target))
        name = target.type.names[-1]
        if name in OPAQUE:
            return OPAQUE[name]
        if name == "void":
            return ctypes.c_void_p
        if name == "char":
            return ctypes.c_char_p
        return ctypes.POINTER(SCALARS[name])
    name = node.type.names[-1]
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
        assert result is ctypes.c_char_p
        result = (
            ctypes.c_void_p
        )  # a char pointer too, but ctypes would cut the text at the first NUL
    assert _abi.PROTOTYPES[name] == (result, arguments)


def test_every_function_of_the_header_is_used_or_known_not_to_be() -> None:
    assert sorted(functions()) == sorted([*_abi.PROTOTYPES, *NOT_USED])


def test_a_wrong_prototype_would_be_noticed() -> None:
    result, arguments = prototype(functions()["thb_heartbeat"])
    assert len(arguments) == 8
    assert (result, arguments[:-1]) != _abi.PROTOTYPES["thb_heartbeat"]
    assert (ctypes.c_int64, arguments) != _abi.PROTOTYPES["thb_heartbeat"]


def test_the_statuses_are_the_headers() -> None:
    theirs = {name: value for name, value in enumerators().items() if name.startswith("THB_")}
    ours = {f"THB_{status.name}": status.value for status in Status}
    others = {name for name in theirs if name.startswith(("THB_ENCODING_", "THB_SIGNAL_"))}
    assert ours == {name: value for name, value in theirs.items() if name not in others}


def test_the_signals_are_the_headers() -> None:
    theirs = {n: v for n, v in enumerators().items() if n.startswith("THB_SIGNAL_")}
    assert theirs == {f"THB_SIGNAL_{signal.name}": signal.value for signal in Signals}


def test_the_encodings_are_the_headers() -> None:
    theirs = {n: v for n, v in enumerators().items() if n.startswith("THB_ENCODING_")}
    assert theirs == {f"THB_{n}": v for n, v in vars(_abi).items() if n.startswith("ENCODING_")}


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
