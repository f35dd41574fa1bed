"""Activities that run apart with other versions of Python (THB_SLOW=1)."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from temporalio.exceptions import CancelledError

from apart.activities import Report
from apart.test_values import CONFIG
from apart.world import World, wait_for_end
from harness.build import alone, run
from harness.paths import BUILD, TESTS
from harness.requires import requires

VERSIONS = ["3.10", "3.11", "3.12", "3.13"]
PACKAGES = ("temporalio==", "uvloop==")

pytestmark = pytest.mark.skipif(os.environ.get("THB_SLOW") != "1", reason="THB_SLOW=1")


@pytest.fixture(params=VERSIONS)
def python(request: pytest.FixtureRequest) -> str:
    """Returns the interpreter of this version, with the packages that a worker needs."""
    version = request.param
    if version == f"{sys.version_info.major}.{sys.version_info.minor}":
        return sys.executable
    venv = BUILD / "pythons" / version
    with alone():
        if not (venv / ".done").exists():
            run([requires(find_interpreter(version), f"python{version}"), "-m", "venv", "--clear", str(venv)])
            pinned = [line for line in (TESTS / "requirements.txt").read_text().split() if line.startswith(PACKAGES)]
            run([str(venv / "bin" / "pip"), "install", "--quiet", *pinned])
            (venv / ".done").touch()
    return str(venv / "bin" / "python")


def find_interpreter(version: str) -> str | None:
    """Returns the path of an interpreter in the search path, or among those of pyenv."""
    in_path = shutil.which(f"python{version}")
    root = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    of_pyenv = sorted(map(str, root.glob(f"versions/{version}.*/bin/python{version}")))
    for found in filter(None, [*of_pyenv, in_path]):
        # The shims of pyenv exist for all versions, and fail for those that aren't activated.
        if subprocess.run([found, "-V"], capture_output=True, check=False).returncode == 0:
            return found
    return None


@pytest.mark.parametrize("uvloop", [False, True])
@pytest.mark.parametrize("start_method", ["spawn", "forkserver"])
def test_activities_run_apart(world: World, python: str, start_method: str, uvloop: bool) -> None:
    with world.worker(python=python, start_method=start_method, uvloop=uvloop) as worker:
        for name in ("function", "coroutine"):
            report = world.start(name, CONFIG, result_type=Report).result()
            assert report.config == CONFIG
            assert report.process != worker.pid
        running = world.start("waiting_in_c", str(world.folder), heartbeat_timeout_ms=5_000)
        process = world.pid(attempt=1)
        worker.kill()
        wait_for_end(process)
    with world.worker(python=python, start_method=start_method, uvloop=uvloop):
        assert running.result() == [2, 1]


@pytest.mark.parametrize("body", ["sleeping", "sleeping_coroutine"])
def test_activities_are_cancelled(world: World, python: str, body: str) -> None:
    with world.worker(python=python):
        running = world.start(body, str(world.folder), heartbeat_timeout_ms=5_000)
        process = world.pid(attempt=1)
        running.request_cancel()
        assert isinstance(running.failure(), CancelledError)
        wait_for_end(process)
