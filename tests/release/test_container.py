"""The container image: the root file system that packaging/container/Dockerfile describes, entered by chroot.

It is read-only, the user isn't root, the program is process 1, and there is no folder for temporary files.
"""

import json
import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest
from temporalio.exceptions import ApplicationError

from harness.fixtures import StartActivity
from harness.paths import ROOT, TESTS
from harness.program import encoded
from harness.server import Server
from harness.worker import Attempt
from packages.builds import fresh_environment, run
from packages.stopwatch import Way
from packages.stopwatch import way as way
from release.artefacts import MACHINE, unpacked
from release.chroots import entered, needs_root

DOCKERFILE = ROOT / "packaging" / "container" / "Dockerfile"


def instructions(name: str) -> list[str]:
    return re.findall(rf"^{name} (.*)$", DOCKERFILE.read_text(), re.MULTILINE)


class Image:
    """The root file system, and how it is run."""

    def __init__(self, root: Path, context: Path) -> None:
        assert instructions("FROM") == ["scratch"]
        self.root = root
        root.mkdir()
        for line in instructions("COPY"):
            *flags, source, target = line.split()
            # A file of another image is taken from this computer.
            origin = Path("/") if flags else context
            assert all(flag.startswith("--from=") for flag in flags), line
            self.add(origin / source.lstrip("/"), target)
        [self.user] = instructions("USER")
        [entry] = instructions("ENTRYPOINT")
        self.entry: list[str] = json.loads(entry)

    def add(self, source: Path, target: str) -> None:
        copy = self.root / target.lstrip("/")
        copy.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, copy)
        else:
            shutil.copy(source, copy)

    def start(self, server: Server, attempt: Attempt, *arguments: str, temporary: str = "") -> "subprocess.Popen[str]":
        """Runs the image, as `docker run --read-only --tmpfs TEMPORARY IMAGE ARGUMENTS`."""
        variables = {
            "TEMPORAL_ADDRESS": server.address,
            "TEMPORAL_ACTIVITY_TASK_TOKEN": encoded(attempt.token),
            "PATH": fresh_environment()["PATH"],
        }
        command = entered(self.root, *self.entry, *arguments, user=self.user, mode="ro", temporary=temporary)
        return subprocess.Popen(command, env=variables, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.fixture
def image(tmp_path: Path) -> Image:
    needs_root()
    made = Image(tmp_path / "root", unpacked(f"linux-{MACHINE}-musl", tmp_path))
    solver = tmp_path / "solver"
    run("cc", "-static", str(TESTS / "release" / "solver.c"), "-o", str(solver))
    made.add(solver, "/solver")
    return made


PROGRESS: Sequence[str] = ("--progress-json", "--result", "exit-code")


def test_image_runs_a_command_without_root_and_without_writing(
    image: Image, server: Server, start: StartActivity, way: Way
) -> None:
    activity = start("workflow")
    attempt = activity.next_attempt()
    with way("the container image, without root, read-only"):
        output, errors = image.start(server, attempt, *PROGRESS, "--", "/solver", "3").communicate(timeout=60)
        assert activity.result() == 0, errors
    assert output.splitlines() == [
        "parent 1 user 65532 group 65532 write Read-only file system",
        "1",
        "2",
        "3",
    ]
    assert sorted(path.name for path in image.root.iterdir()) == ["dev", "etc", "proc", "solver", "usr"]


def test_stopped_container_reports_the_attempt(image: Image, server: Server, start: StartActivity) -> None:
    activity = start("workflow", maximum_attempts=1)
    running = image.start(server, activity.next_attempt(), *PROGRESS, "--", "/solver")
    assert running.stdout
    assert running.stdout.readline().startswith("parent 1 ")
    # `unshare` waits for process 1, and doesn't pass signals on.
    children = Path(f"/proc/{running.pid}/task/{running.pid}/children").read_text().split()
    run("kill", "-TERM", *children)
    running.communicate(timeout=60)
    failure = activity.failure()
    assert isinstance(failure, ApplicationError)
    assert failure.type == "Signal"


def test_details_of_the_previous_attempt_need_a_writable_folder(
    image: Image, server: Server, start: StartActivity
) -> None:
    activity = start("workflow")
    first = activity.next_attempt()
    image.start(server, first, "--progress-json", "--success-codes", "7", "--", "/solver", "2").communicate(timeout=60)
    second = activity.next_attempt()
    refused = image.start(server, second, "--", "/solver", "1")
    output, errors = refused.communicate(timeout=60)
    assert (refused.returncode, output) == (80, ""), errors
    assert "TMPDIR must be a writable directory" in errors

    third = activity.next_attempt()
    output, errors = image.start(server, third, "--", "/solver", "1", temporary="/tmp").communicate(timeout=60)
    assert output.startswith("parent 1 user 65532"), errors
    assert activity.result() == 0
