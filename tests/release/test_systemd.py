"""The unit of systemd: it is valid, and what each KillMode does to the children of `work`, with a real systemd."""

import os
import shutil
import signal
import subprocess
import tempfile
import uuid
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from temporalio.client import ActivityFailureError
from temporalio.common import RetryPolicy
from temporalio.exceptions import ApplicationError

from harness.fixtures import StartActivity
from harness.paths import ROOT
from harness.polling import wait_until
from harness.program import encoded
from harness.requires import requires
from harness.server import Server
from harness.worker import SdkWorker
from packages.stopwatch import Way
from packages.stopwatch import way as way
from release.artefacts import MACHINE, unpacked
from release.systemd import Systemd

NAME = "temporal-heartbeat@.service"
UNIT = (ROOT / "packaging" / "systemd" / NAME).read_text()
PROGRAM = "/usr/bin/temporal-heartbeat"
FIRST_DYNAMIC_USER = 61184
VARIABLES = "/etc/temporal-heartbeat/%i.env"


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that isn't in /tmp, because the service has a /tmp of its own."""
    with tempfile.TemporaryDirectory(dir=ROOT / "target", prefix="systemd-") as name:
        os.chmod(name, 0o755)
        yield Path(name)


@pytest.fixture
def program(folder: Path) -> str:
    return str(unpacked(f"linux-{MACHINE}-gnu", folder) / "bin" / "temporal-heartbeat")


@pytest.fixture
def systemd(folder: Path) -> Iterator[Systemd]:
    with Systemd(folder / "systemd").running() as running:
        yield running


def test_unit_is_valid(program: str, tmp_path: Path) -> None:
    analyze = requires(shutil.which("systemd-analyze"), "systemd-analyze")
    unit = tmp_path / NAME
    for text, is_valid in ((UNIT, True), (UNIT.replace("KillMode=mixed", "KillMode=some"), False)):
        # The program and its manual pages aren't installed here.
        unit.write_text(text.replace(PROGRAM, program))
        command = [analyze, "verify", "--man=no", str(unit)]
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
        complaints = [line for line in done.stdout.splitlines() if "temporal-heartbeat" in line]
        assert (done.returncode == 0 and not complaints) == is_valid, done.stdout


# A child process leaves the command's process group. Then the command works until it may end. It can write into its
# working directory only.
COMMAND = """
setsid sleep 1000 >/dev/null 2>&1 &
! touch "$0" 2>/dev/null || exit 1
echo $! >left
until [ -e go ]; do sleep 0.05; done
id -u
"""

# Whether the command may end its work after a stop, and whether a process that left its group survives.
KILL_MODES = {"mixed": (True, False), "control-group": (False, False), "process": (True, True)}


@pytest.mark.parametrize("mode", KILL_MODES)
def test_stopped_service(
    mode: str, program: str, systemd: Systemd, server: Server, sdk_worker: SdkWorker, folder: Path, way: Way
) -> None:
    ends_its_work, survives = KILL_MODES[mode]
    queue = f"service-{uuid.uuid4()}"
    service = f"temporal-heartbeat@{queue}.service"
    script = folder / "work.sh"
    script.write_text(COMMAND)
    (folder / f"{queue}.env").write_text(
        f"TEMPORAL_ADDRESS={server.address}\nCOMMAND=sh {script}\nOPTIONS=--result json --shutdown-grace 30s\n"
    )
    unit = UNIT.replace(PROGRAM, program).replace(VARIABLES, f"{folder}/%i.env").replace("=mixed", f"={mode}")
    log = folder / "log"
    (systemd.units / NAME).write_text(unit.replace("[Service]", f"[Service]\nStandardError=file:{log}"))

    with way("the systemd unit"):
        systemd.control("start", service)
        handle = sdk_worker.run(
            sdk_worker.client.start_activity(
                "report",
                id=queue,
                task_queue=queue,
                start_to_close_timeout=timedelta(minutes=2),
                heartbeat_timeout=timedelta(seconds=30),
                retry_policy=RetryPolicy(maximum_attempts=1),
            )
        )
        wait_until(lambda: any(path.read_text() for path in folder.rglob("left")), "the command begins")
    [written] = folder.rglob("left")
    pid = int(written.read_text())

    systemd.control("stop", "--no-block", service)
    wait_until(lambda: "shutting down" in log.read_text(), "work receives SIGTERM")
    if not ends_its_work:
        with pytest.raises(ActivityFailureError) as caught:
            sdk_worker.run(handle.result(), timeout=60)
        assert isinstance(caught.value.cause, ApplicationError)
        assert caught.value.cause.type == "Signal"
        assert "SIGTERM" in caught.value.cause.message
    written.with_name("go").touch()
    if ends_its_work:
        assert sdk_worker.run(handle.result(), timeout=60) >= FIRST_DYNAMIC_USER
    systemd.control("stop", service)  # returns when it is stopped
    assert ended(pid) != survives


# For `exec`, which passes SIGTERM on, in a service without the unit of this project.
EXEC = """[Service]
Environment=TEMPORAL_ADDRESS={address} TEMPORAL_ACTIVITY_TASK_TOKEN={token}
WorkingDirectory={folder}
ExecStart={program} exec --result json -- sh {folder}/work.sh
KillMode={mode}
"""
CATCHING = """
trap 'echo 1 >caught' TERM
setsid sleep 1000 >/dev/null 2>&1 &
echo $! >left
until [ -e go ]; do sleep 0.05; done
cat caught
"""


@pytest.mark.parametrize("mode", KILL_MODES)
def test_stopped_exec_lets_the_command_end(
    mode: str, program: str, systemd: Systemd, server: Server, start: StartActivity, folder: Path
) -> None:
    _, survives = KILL_MODES[mode]
    activity = start("workflow")
    (folder / "work.sh").write_text(CATCHING)
    (systemd.units / "exec.service").write_text(
        EXEC.format(
            address=server.address,
            token=encoded(activity.next_attempt().token),
            folder=folder,
            program=program,
            mode=mode,
        )
    )
    systemd.control("start", "exec.service")
    left, caught = folder / "left", folder / "caught"
    wait_until(lambda: left.exists() and bool(left.read_text()), "the command begins")
    systemd.control("stop", "--no-block", "exec.service")
    wait_until(caught.exists, "the command receives SIGTERM")
    (folder / "go").touch()
    assert activity.result() == 1
    systemd.control("stop", "exec.service")
    assert ended(int(left.read_text())) != survives


def ended(pid: int) -> bool:
    """Returns whether a process has ended. If it hasn't, it is ended."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return True
    if state != "Z":
        os.kill(pid, signal.SIGKILL)
    return state == "Z"
