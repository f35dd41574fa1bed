"""The columns of docs/guide/restarts.md that concern systemd, with a real systemd and a worker of the SDK."""

import shlex
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.paths import ROOT
from harness.restarts import WAYS_OF_SDK_WORKER, Work, check_outcomes, supervisor, worker_command, worker_variables
from harness.server import Server
from harness.worker import SdkWorker
from release.artefacts import MACHINE, unpacked
from release.systemd import Systemd

# Each KillMode, and the event that is a stop with it. When a worker is killed, systemd stops the service.
MODES = {"control-group": "control-group", "mixed": "mixed", "process": "SIGTERM"}

UNIT = """[Service]
ExecStart=/bin/sh {script}
KillMode={mode}
"""


@pytest.fixture
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(dir=ROOT / "target", prefix="systemd-") as name:
        yield Path(name)


@pytest.mark.parametrize("is_killed", [False, True], ids=["stopped", "killed"])
@pytest.mark.parametrize("mode", MODES)
def test_service_with_a_worker_of_the_sdk_ends(
    mode: str, is_killed: bool, server: Server, sdk_worker: SdkWorker, folder: Path
) -> None:
    program = unpacked(f"linux-{MACHINE}-gnu", folder) / "bin" / "temporal-heartbeat"
    queue = f"restarts-{uuid.uuid4()}"
    script, work_folder = folder / "worker.sh", folder / "work"
    work_folder.mkdir()
    variables = [f"{name}={value}" for name, value in worker_variables(server, program).items()]
    script.write_text(f"exec env -i {shlex.join([*variables, *worker_command(server, queue, work_folder)])}\n")
    with Systemd(folder / "systemd").running() as systemd:
        (systemd.units / "worker.service").write_text(UNIT.format(script=script, mode=mode))
        systemd.control("start", "worker.service")
        works = [Work(sdk_worker, queue, way, work_folder) for way in WAYS_OF_SDK_WORKER]

        def end() -> None:
            if is_killed:
                systemd.control("kill", "--kill-whom=main", "--signal=SIGKILL", "worker.service")
            systemd.control("stop", "worker.service")  # returns when it is stopped

        with supervisor(work_folder):
            check_outcomes(["SIGKILL", MODES[mode]] if is_killed else [MODES[mode]], works, end)
