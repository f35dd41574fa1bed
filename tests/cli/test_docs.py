"""Runs the unchanged recipes of docs/cli.md."""

import contextlib
import os
import re
import shutil
import signal
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

from harness.fixtures import Connect, StartActivity
from harness.paths import ROOT, VENV_BIN
from harness.program import encoded, environment, program
from harness.requires import requires
from harness.server import Server, find_program

MANUAL = (ROOT / "docs" / "cli.md").read_text()
LAST_PAGE = 24


def blocks(heading: str, language: str = "sh") -> list[str]:
    """Returns the code below a heading, up to the next heading."""
    section = re.split(r"^#+ ", MANUAL.partition(f" {heading}\n")[2], flags=re.MULTILINE)
    code: list[str] = re.findall(rf"```{language}\n(.*?)```", section[0], flags=re.DOTALL)
    assert code, heading
    return code


@pytest.fixture
def variables(server: Server, tmp_path: Path) -> Mapping[str, str]:
    """Puts both programs and the SDK's Python on the PATH."""
    folder = tmp_path / "bin"
    folder.mkdir()
    (folder / "temporal-heartbeat").symlink_to(program())
    (folder / "temporal").symlink_to(find_program())
    path = f"{folder}:{VENV_BIN}:{os.environ['PATH']}"
    return environment(server.address) | {"PATH": path}


class Shell:
    """Runs blocks one after the other in one shell. The shell's jobs end with it."""

    def __init__(self, folder: Path, variables: Mapping[str, str]) -> None:
        self._folder = folder
        self._variables = dict(variables)

    def run(self, *code: str) -> str:
        bash = requires(shutil.which("bash"), "bash")
        output = self._folder / "output"
        with output.open("w") as file:
            process = subprocess.Popen(
                [bash, "-ec", "\n".join(code)],
                cwd=self._folder,
                env=self._variables,
                stdout=file,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        try:
            process.wait(60)
        finally:
            with contextlib.suppress(ProcessLookupError):  # there is no background job
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            said = output.read_text()
            print(said)
        assert process.returncode == 0, said
        return said


@pytest.fixture
def shell(tmp_path: Path, variables: Mapping[str, str]) -> Shell:
    return Shell(tmp_path, variables)


def pages(said: str) -> list[int]:
    """Returns the page numbers in the printed result."""
    result = re.search(r'^\s*Result:?\s+"?([^"]*)"?$', said, flags=re.MULTILINE)
    assert result, said
    return [int(page) for page in result[1].replace("\\n", "\n").split()]


def test_activity_runs_without_code_and_resumes_after_a_kill(shell: Shell) -> None:
    said = shell.run(*blocks("A worker without a line of code"))
    resumed = pages(said)
    assert resumed == list(range(resumed[0], LAST_PAGE + 1))
    assert resumed[0] > 1
    assert said.splitlines().count(str(LAST_PAGE)) == 1


def test_activity_of_a_workflow_runs_without_code(shell: Shell, tmp_path: Path) -> None:
    (code,) = blocks("For a workflow's activity", "python")
    (tmp_path / "month.py").write_text(code)
    script, worker, *_ = blocks("A worker without a line of code")
    said = shell.run(script, worker, *blocks("For a workflow's activity"))
    assert pages(said) == list(range(1, LAST_PAGE + 1))


def test_cancelled_activity_ends_with_the_reason(shell: Shell) -> None:
    script, worker, start_activity, *_ = blocks("A worker without a line of code")
    until = "until grep -q '{}' output; do sleep 0.05; done"
    cancel = blocks("Cancellation")
    said = shell.run(script, worker, start_activity, until.format("^1$"), *cancel, until.format("reported as"))
    (message,) = re.findall(r"^temporal-heartbeat: .* is being stopped: .*$", MANUAL, flags=re.MULTILINE)
    assert message in said


def test_command_in_the_readme_runs_any_program(
    start: StartActivity, variables: Mapping[str, str], tmp_path: Path
) -> None:
    readme = (ROOT / "README.md").read_text().partition("\n### Any other program\n")[2]
    command = re.findall(r"^temporal-heartbeat exec .*$", readme, flags=re.MULTILINE)[0]
    solver = tmp_path / "solver"
    solver.write_text("#!/bin/sh\necho step 41\nexit 3\n")
    solver.chmod(0o755)
    activity = start("workflow")
    token = {"TEMPORAL_ACTIVITY_TASK_TOKEN": encoded(activity.next_attempt().token)}
    Shell(tmp_path, {**variables, **token}).run(f"{command} || test $? = 3")
    assert activity.next_attempt().details == [41]


def test_script_passes_its_input_and_progress_as_arguments(shell: Shell) -> None:
    requires(shutil.which("jq"), "jq")
    (script,) = blocks("What the command receives", "bash")
    said = shell.run(
        f"cat > solve.sh <<'END'\n{script}END",
        "printf '#!/bin/sh\\necho $*' > solver",
        "chmod +x solver",
        "temporal activity start --activity-id case-1 --type solve --task-queue cases"
        ' --start-to-close-timeout 1h --input \'{"case": "wing"}\'',
        "temporal-heartbeat work --task-queue cases --result output --max-tasks 1 -- bash solve.sh",
        "temporal activity result --activity-id case-1",
    )
    assert re.search(r'Result:?\s+"?--case wing --from 0', said), said


def test_script_of_single_calls_resumes_and_completes(
    start: StartActivity, connect: Connect, variables: Mapping[str, str], tmp_path: Path
) -> None:
    activity = start("workflow")
    token = activity.next_attempt().token
    connect("python").heartbeat(token, 7)
    Shell(tmp_path, {**variables, "TEMPORAL_ACTIVITY_TASK_TOKEN": encoded(token)}).run(*blocks("In scripts"))
    assert activity.result() == "ten items"
