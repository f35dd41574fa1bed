"""The package: a wheel with the library, type annotations, and a manual."""

from __future__ import annotations

import ast
import inspect
import os
import pydoc
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from support import requires

import temporal_heartbeat as thb
from temporal_heartbeat import aio, errors, handoff

PROJECT = Path(__file__).resolve().parents[1]


def build(directory: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(directory)]
    return subprocess.run(
        command,
        cwd=PROJECT,
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )


def test_the_wheel_fits_any_python_and_contains_the_library(tmp_path: Path) -> None:
    library = os.environ.get("TEMPORAL_HEARTBEAT_LIBRARY", "")
    requires("TEMPORAL_HEARTBEAT_LIBRARY, the path of the built library", bool(library))
    built = build(tmp_path, TEMPORAL_HEARTBEAT_SHIPPED=str(Path(library).parent))
    assert built.returncode == 0, built.stdout
    [wheel] = tmp_path.iterdir()
    assert wheel.name.startswith("temporal_heartbeat-")
    assert "-py3-none-" in wheel.name
    assert not wheel.name.endswith("-any.whl")
    with zipfile.ZipFile(wheel) as contents:
        names = contents.namelist()
        contents.extractall(tmp_path / "installed")
    assert "temporal_heartbeat/py.typed" in names
    assert not [name for name in names if name.startswith("tests")]
    # Without the variable the packaged library is used.
    environment = {**os.environ, "PYTHONPATH": str(tmp_path / "installed")}
    environment.pop("TEMPORAL_HEARTBEAT_LIBRARY", None)
    program = (
        "import temporal_heartbeat as t, temporal_heartbeat._library as l;"
        "print(t.version(), l.library()._name, t.__version__)"
    )
    command = [sys.executable, "-c", program]
    printed = subprocess.run(
        command, env=environment, cwd=tmp_path, stdout=subprocess.PIPE, check=True, text=True
    ).stdout
    version, packaged, package_version = printed.split()
    assert package_version == version
    assert f"-{version}-" in wheel.name
    assert Path(packaged).parent == tmp_path / "installed" / "temporal_heartbeat"


def test_the_package_passes_the_strict_type_check(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "mypy", "--strict", "--cache-dir", str(tmp_path), "."]
    checked = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stdout + checked.stderr


@pytest.mark.parametrize("command", [["check", "--no-cache"], ["format", "--check", "--no-cache"]])
def test_the_package_passes_the_linter(command: list[str]) -> None:
    checked = subprocess.run(
        [sys.executable, "-m", "ruff", *command, "."],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_help_documents_all_public_names() -> None:
    manual = pydoc.plain(pydoc.render_doc(thb))
    for name in (*thb.__all__, *errors.__all__):
        assert inspect.getdoc(getattr(thb, name)), name
        assert name in manual
    for signal in thb.Signals:
        assert str(signal.name) in str(thb.__doc__)


@pytest.mark.parametrize(
    "name",
    ["connect", "disconnect", "heartbeat", "get_details", "complete", "fail", "report_cancelled"],
)
def test_every_call_documents_blocking_and_threads(name: str) -> None:
    documentation = " ".join(str(inspect.getdoc(getattr(thb, name))).split())
    assert "Blocks at most" in documentation
    assert "Any thread may call it" in documentation


def test_every_public_name_of_an_activity_is_documented() -> None:
    for held in (thb.Activity, aio.Activity, thb.Worker, thb.Task):
        for name in (name for name in dir(held) if not name.startswith("_")):
            assert inspect.getdoc(getattr(held, name)), name
    for name in handoff.__all__:
        assert inspect.getdoc(getattr(handoff, name)), name


def test_the_code_in_the_readme_compiles() -> None:
    blocks = re.findall(r"```python\n(.*?)```", (PROJECT / "README.md").read_text(), re.DOTALL)
    assert len(blocks) == 5
    for block in blocks:
        compile(block, "README.md", "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
