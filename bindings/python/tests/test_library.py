"""The first use loads the library, and an error lists each place and cause."""

from __future__ import annotations

import ctypes.util
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from support import requires

import temporal_heartbeat as thb
from temporal_heartbeat import _library

PACKAGED = Path(_library.__file__).with_name("libtemporal_heartbeat.so")


@pytest.fixture(autouse=True)
def reload_library() -> Iterator[None]:
    """These tests load other libraries. Load the right one again afterwards."""
    _library.library.cache_clear()
    yield
    _library.library.cache_clear()


def use(monkeypatch: pytest.MonkeyPatch, path: Path | str | None) -> None:
    if path is None:
        monkeypatch.delenv(_library.LIBRARY_VARIABLE, raising=False)
    else:
        monkeypatch.setenv(_library.LIBRARY_VARIABLE, str(path))


def compile_library(directory: Path, source: str) -> Path:
    requires("a C compiler, cc", shutil.which("cc") is not None)
    path = directory / "other.so"
    command = ["cc", "-shared", "-fPIC", "-x", "c", "-o", str(path), "-"]
    subprocess.run(command, input=source, text=True, check=True)
    return path


def test_importing_does_not_load_the_library() -> None:
    program = (
        "import temporal_heartbeat, temporal_heartbeat._library as l;"
        "print(l.library.cache_info().currsize)"
    )
    missing = {**os.environ, _library.LIBRARY_VARIABLE: "/missing"}
    command = [sys.executable, "-c", program]
    printed = subprocess.run(command, env=missing, check=True, capture_output=True, text=True)
    assert printed.stdout == "0\n"


def test_version_has_three_numbers(library_path: Path) -> None:
    assert thb.version().count(".") == 2


def test_a_missing_library_names_the_variable_and_the_path(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    use(monkeypatch, tmp_path / "absent.so")
    with pytest.raises(thb.LibraryNotFoundError) as caught:
        thb.version()
    assert "isn't built for" not in str(caught.value)
    assert f"TEMPORAL_HEARTBEAT_LIBRARY: {tmp_path}/absent.so: " in str(caught.value)
    assert "No such file" in str(caught.value)
    assert caught.value.code == thb.Status.CONFIG


def test_without_the_variable_every_place_is_listed_with_its_error(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(_library, "__file__", str(tmp_path / "_library.py"))
    monkeypatch.setattr(_library, "_SYSTEM_NAME", "libtemporal_heartbeat_absent.so.0")
    use(monkeypatch, None)
    (tmp_path / PACKAGED.name).write_text("not a library")
    with pytest.raises(thb.LibraryNotFoundError) as caught:
        thb.connect()
    package, system = str(caught.value).splitlines()[1:3]
    assert package.startswith(f"  the package: {tmp_path / PACKAGED.name}: ")
    assert system.startswith("  the system: libtemporal_heartbeat_absent.so.0: cannot open")


def test_help_works_without_the_library_and_an_installation(tmp_path: Path) -> None:
    source = Path(_library.__file__).parent
    program = "import pydoc, temporal_heartbeat as t; pydoc.help(t); t.__version__"
    command = [sys.executable, "-S", "-c", program]
    variables = {
        "PYTHONPATH": str(source.parent),
        _library.LIBRARY_VARIABLE: str(tmp_path / "absent.so"),
    }
    done = subprocess.run(command, env=variables, check=False, capture_output=True, text=True)
    assert "Heartbeat a Temporal Activity from any process" in done.stdout
    assert "AttributeError: temporal_heartbeat has no version: the native library" in done.stderr


def test_an_invalid_library_file_is_reported(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    wrong = tmp_path / "text.so"
    wrong.write_text("not a library")
    use(monkeypatch, wrong)
    with pytest.raises(
        thb.LibraryNotFoundError, match=r"text\.so: file too short|invalid ELF header"
    ):
        thb.version()


def test_a_library_for_another_processor_is_reported(
    monkeypatch: pytest.MonkeyPatch, library_path: Path, tmp_path: Path
) -> None:
    foreign = bytearray(library_path.read_bytes())
    other = 40 if foreign[18] == 62 else 62
    foreign[18:20] = other.to_bytes(2, sys.byteorder)
    wrong = tmp_path / "foreign.so"
    wrong.write_bytes(foreign)
    use(monkeypatch, wrong)
    with pytest.raises(
        thb.LibraryNotFoundError,
        match=r"foreign\.so: .*\(the file exists, but isn't built for this processor, .+\)",
    ):
        thb.version()


def test_another_library_lacks_a_named_function(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    libc = ctypes.util.find_library("c")
    requires("libc", libc is not None)
    use(monkeypatch, libc)
    with pytest.raises(
        thb.LibraryNotFoundError,
        match="it is not the temporal-heartbeat library: it has no thb_check_abi",
    ):
        thb.version()


def test_an_abi_mismatch_names_both_versions(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    newer = """
        int thb_check_abi(unsigned wanted) { return 25; }
        unsigned thb_abi_version(void) { return 3 << 16 | 4; }
        const char *thb_version(void) { return "3.4.5"; }
    """
    use(monkeypatch, compile_library(tmp_path, newer))
    with pytest.raises(
        thb.AbiMismatchError,
        match=r"other\.so is version 3\.4\.5 with ABI 3\.4, .* needs ABI 0\.1: install",
    ):
        thb.version()


def test_loading_is_retried_after_a_failure(
    monkeypatch: pytest.MonkeyPatch, library_path: Path
) -> None:
    use(monkeypatch, "/missing")
    with pytest.raises(thb.LibraryNotFoundError):
        thb.version()
    use(monkeypatch, library_path)
    assert thb.version()
