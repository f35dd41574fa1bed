"""The README's programs and commands, run as they are printed."""

import base64
import os
import re
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Mapping
from pathlib import Path

import pytest

from harness.languages import library_environment
from harness.needs import needs
from harness.paths import ROOT
from harness.server import Server
from harness.stage import Connect, StartActivity

README = (ROOT / "README.md").read_text()

# The folders that the printed commands name, as seen from where a reader stands.
FOLDERS = ("include", "target", "bindings")

SOURCES = {"Python": "solver.py", "Go": "main.go", "C": "solver.c", "C++": "solver.cpp"}
TOOLS = {"Python": sys.executable, "Go": "go", "C": "cc", "C++": "c++"}


def blocks(heading: str) -> dict[str, str]:
    """The code below a heading, by its language."""
    section = re.split(r"^#+ ", README.partition(f"\n### {heading}\n")[2], flags=re.MULTILINE)[0]
    return dict(re.findall(r"```(\w+)\n(.*?)```", section, flags=re.DOTALL))


def run(language: str, folder: Path, environment: Mapping[str, str]) -> str:
    code = blocks(language)
    commands = code.pop("sh", None)
    (source,) = code.values()
    (folder / SOURCES[language]).write_text(source)
    for name in FOLDERS:
        if not (folder / name).exists():
            (folder / name).symlink_to(ROOT / name)
    # Python's command installs the package, which has a test of its own.
    command = ["sh", "-ec", commands] if commands else [sys.executable, SOURCES[language]]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize("name", SOURCES)
def test_printed_program_resumes_and_completes(
    name: str, server: Server, start: StartActivity, connect: Connect, tmp_path: Path
) -> None:
    needs(shutil.which(TOOLS[name]), TOOLS[name])
    activity = start("workflow", heartbeat_timeout_ms=60_000)
    token = activity.next_attempt().token
    connect("python").heartbeat(token, 3)
    handed_over = {
        "TEMPORAL_ADDRESS": server.address,
        "TEMPORAL_ACTIVITY_TASK_TOKEN": base64.b64encode(token).decode(),
    }
    environment = library_environment() | handed_over | {"PYTHONPATH": str(ROOT / "bindings" / "python")}
    said = run(name, tmp_path, environment)
    assert [line for line in said.splitlines() if "working" in line] == [f"working on item {n}" for n in range(4, 10)]
    assert activity.result() == "ten items"


def test_example_of_the_wrapper_for_cpp_is_the_printed_program() -> None:
    header = (ROOT / "include" / "temporal_heartbeat.hpp").read_text()
    assert textwrap.indent(blocks("C++")["cpp"], " *     ", lambda _: True).replace(" *     \n", " *\n") in header


def test_every_file_that_the_readme_points_to_exists() -> None:
    links = re.findall(r"\]\(([^)#]+)\)", README)
    assert len(links) > 5
    assert [link for link in links if not os.path.exists(ROOT / link)] == []


def test_the_first_program_of_the_python_readme_completes(server: Server, start: StartActivity) -> None:
    code = re.findall(r"```python\n(.*?)```", (ROOT / "bindings/python/README.md").read_text(), flags=re.DOTALL)[0]
    activity = start("workflow", heartbeat_timeout_ms=60_000)
    handed_over = {
        "TEMPORAL_ADDRESS": server.address,
        "TEMPORAL_ACTIVITY_TASK_TOKEN": base64.b64encode(activity.next_attempt().token).decode(),
        "PYTHONPATH": str(ROOT / "bindings" / "python"),
    }
    subprocess.run([sys.executable, "-c", code], env=library_environment() | handed_over, check=True)
    assert activity.result() == "done"
