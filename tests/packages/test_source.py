"""Python, from source: what pip shows before it compiles, and when a tool is missing."""

import shutil
import sys
from pathlib import Path

import pytest

from harness.paths import ROOT
from harness.requires import requires
from packages.builds import fresh_environment, fresh_python, run

BINDING = ROOT / "bindings" / "python"

# Without an index pip can't get the requirements of a build. So a message that it shows came before them.
INSTALL = ("-m", "pip", "--isolated", "--disable-pip-version-check", "install", "--no-index")

# What pip prints first when it gets the requirements of a build.
REQUIREMENTS = "Installing backend dependencies"

# Runs a command on a terminal of its own.
ON_A_TERMINAL = "import os, pty, sys; sys.exit(os.waitstatus_to_exitcode(pty.spawn(sys.argv[1:])))"


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> str:
    return fresh_python(tmp_path_factory.mktemp("python") / "venv")


def script(path: Path, text: str) -> None:
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)


CARGO = "echo 'cargo 1.999.0'"


@pytest.mark.parametrize(
    ("cargo", "message"),
    [
        (None, "cargo isn't on the PATH. Install Rust 1."),
        ("echo 'cargo 1.63.0 (fd9c4297c 2022-07-01)'", "the installed Rust 1.63 is too old. Run `rustup update`"),
        ("echo 'no default toolchain' >&2; exit 1", "`cargo --version` fails: no default toolchain. Install Rust 1."),
        (CARGO, "the C compiler cc isn't on the PATH"),
    ],
)
def test_missing_tool_is_named_before_pip_installs_anything(
    cargo: str | None, message: str, python: str, tmp_path: Path
) -> None:
    tools = tmp_path / "tools"
    tools.mkdir()
    if cargo:
        script(tools / "cargo", cargo)
    with pytest.raises(AssertionError) as failed:
        run(python, *INSTALL, str(BINDING), cwd=tmp_path, env=fresh_environment(PATH=str(tools)))
    said = " ".join(str(failed.value).split())
    assert message in said
    assert "Or install a wheel" in said
    assert "Traceback" not in said
    assert REQUIREMENTS not in said


def test_terminal_shows_that_the_library_is_compiled_before_pip_installs_anything(python: str, tmp_path: Path) -> None:
    requires(shutil.which("cargo"), "cargo")
    with pytest.raises(AssertionError) as failed:
        run(sys.executable, "-c", ON_A_TERMINAL, python, *INSTALL, str(BINDING), cwd=tmp_path)
    before, found, _ = str(failed.value).partition(REQUIREMENTS)
    assert found
    assert "temporal-heartbeat: cargo will compile the native library, which takes" in before


def test_job_in_the_background_is_not_stopped_by_its_message(tmp_path: Path) -> None:
    bash = requires(shutil.which("bash"), "bash")
    show = f"{sys.executable} -c 'import build_backend; build_backend.show(\"hello\")'"
    job = f"stty tostop; {show} >{tmp_path / 'said'} & wait %1"
    run(sys.executable, "-c", ON_A_TERMINAL, bash, "-mc", job, cwd=BINDING)
    assert (tmp_path / "said").read_text() == "hello\n"


def test_metadata_needs_no_compiler(tmp_path: Path) -> None:
    program = f"import build_backend; print(build_backend.prepare_metadata_for_build_wheel({str(tmp_path)!r}))"
    under_pip = fresh_environment(PIP_BUILD_TRACKER=str(tmp_path), PATH=str(tmp_path))
    folder = run(sys.executable, "-c", program, cwd=BINDING, env=under_pip).strip()
    assert "Name: temporal-heartbeat" in (tmp_path / folder / "METADATA").read_text()
