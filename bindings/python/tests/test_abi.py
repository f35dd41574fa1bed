"""The ctypes module equals the one generated from the C header."""

from __future__ import annotations

import re

import pytest
from support import requires

import generate_abi
from temporal_heartbeat import Signals, _abi

DECLARATION = "thb_status_t thb_activity_close("


@pytest.fixture
def header() -> str:
    requires(str(generate_abi.HEADER), generate_abi.HEADER.is_file())
    return generate_abi.HEADER.read_text()


def test_the_module_is_the_one_that_the_header_generates(header: str) -> None:
    assert generate_abi.MODULE.read_text() == generate_abi.generate(header), "run `make header`"


def test_every_function_of_the_header_has_a_prototype(header: str) -> None:
    code = "\n".join(line for line in header.splitlines() if not line.startswith(("//", " *")))
    assert sorted(re.findall(r"\b(thb_\w+)\(", code)) == sorted(_abi.PROTOTYPES)


def test_every_signal_of_the_header_has_a_flag() -> None:
    signals = {name: value for name, value in vars(_abi).items() if name.startswith("SIGNAL_")}
    flags = {f"SIGNAL_{signal.name}": signal.value for signal in Signals}
    assert flags.pop("SIGNAL_SHUTDOWN") not in signals.values()  # that of a worker in Python
    assert signals == flags


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (f"{DECLARATION}thb_activity_t activity", f"{DECLARATION}int32_t activity"),
        (DECLARATION, "int64_t thb_activity_close("),
        (DECLARATION, "thb_status_t thb_activity_end("),
        ("THB_IN_DOUBT = 13", "THB_IN_DOUBT = 27"),
        ("typedef uint64_t thb_activity_t;", "typedef uint32_t thb_activity_t;"),
        ("#define THB_ABI_VERSION 1", "#define THB_ABI_VERSION 2"),
    ],
)
def test_a_changed_header_generates_another_module(header: str, old: str, new: str) -> None:
    assert old in header
    assert generate_abi.generate(header.replace(old, new)) != generate_abi.MODULE.read_text()


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (f"{DECLARATION}thb_activity_t activity", f"{DECLARATION}float activity"),
        ("typedef enum thb_signal {", "typedef enum thb_mode {\n} thb_mode;\nenum thb_signal {"),
        (DECLARATION, "thb_status_t other_name("),
    ],
)
def test_an_unknown_declaration_is_an_error(header: str, old: str, new: str) -> None:
    assert old in header
    with pytest.raises(ValueError, match="unknown"):
        generate_abi.generate(header.replace(old, new))
