"""Runs the unchanged programs and commands of the README."""

import base64
import os
import re
import subprocess
import sys
import textwrap

from harness.fixtures import Connect, StartActivity
from harness.languages import library_environment
from harness.markdown import code_blocks, files, is_excerpt
from harness.paths import ROOT
from harness.server import Server

README = (ROOT / "README.md").read_text()


def code(heading: str) -> str:
    """Returns the program below a heading, or below a line that begins with its language."""
    found = re.search(
        rf"^(?:### {heading}\n|\*\*{heading}\*\*).*?^```python\n(.*?)^```", README, flags=re.MULTILINE | re.DOTALL
    )
    assert found
    return found[1]


def test_printed_program_resumes_and_completes(server: Server, start: StartActivity, connect: Connect) -> None:
    activity = start("workflow", heartbeat_timeout_ms=60_000)
    token = activity.next_attempt().token
    connect("python").heartbeat(token, 3)
    handed_over = {
        "TEMPORAL_ADDRESS": server.address,
        "TEMPORAL_ACTIVITY_TASK_TOKEN": base64.b64encode(token).decode(),
        "PYTHONPATH": str(ROOT / "bindings" / "python"),
    }
    environment = library_environment() | handed_over
    done = subprocess.run(
        [sys.executable, "-c", code("Python")], env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines() == [f"working on item {n}" for n in range(4, 10)]
    assert activity.result() == "ten items"


def test_parent_in_the_readme_equals_the_tested_one() -> None:
    assert code("The parent") in (ROOT / "docs" / "hand-off.md").read_text()


def test_excerpts_in_the_readme_match_their_files() -> None:
    excerpts = [block for block in code_blocks(ROOT / "README.md") if block.role == "excerpt"]
    assert [block.language for block in excerpts] == ["c", "go", "bash"]
    assert [block for block in excerpts if not is_excerpt(block)] == []


def test_recorded_demo_ends_as_the_page_about_the_demo_shows() -> None:
    """Only the times differ. `make demo RECORD=1` records the run again."""
    recorded = (ROOT / "docs/recordings/demo.svg").read_text()
    shown = [block.code for block in code_blocks(ROOT / "examples/demo/README.md") if "All is well." in block.code]
    words = re.split(r"\s{2,}|━+[✗╸]?|▬+", shown[0].strip())
    words = [word for word in words if word and not re.search(r"\d s$", word)]
    assert len(words) > 15
    assert [word for word in words if word not in recorded] == []


def test_example_of_the_wrapper_for_cpp_is_the_printed_program() -> None:
    header = (ROOT / "include" / "temporal_heartbeat.hpp").read_text()
    assert (
        textwrap.indent(files(ROOT / "docs/guide/cpp.md")["solver.cpp"], " *     ", lambda _: True).replace(
            " *     \n", " *\n"
        )
        in header
    )


def test_first_part_of_the_readme_fits_on_two_screens() -> None:
    """80 lines with these pictures are 1,800 pixels high in a window of 1280 x 900."""
    first = README[: README.index("\n## Read on\n")]
    assert len(first.splitlines()) <= 80
    assert max(map(int, re.findall(r'width="(\d+)"', first))) <= 760


def test_files_named_by_the_readme_exist() -> None:
    links = re.findall(r"\]\(([^)#]+)\)", README) + re.findall(r'src="([^"]+)"', README)
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
