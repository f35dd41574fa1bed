"""Activity workers in Fortran, LuaJIT, R and Ruby: the examples take tasks, without an SDK."""

import subprocess
from pathlib import Path

import pytest

from harness.languages import library_environment, linked
from harness.paths import ROOT
from harness.process import Process
from harness.server import Server
from harness.worker import SdkWorker
from python_worker.world import World

EXAMPLES = ROOT / "examples"
TASKS = 3


def run(*command: str, cwd: Path, variables: dict[str, str] | None = None) -> None:
    subprocess.run(command, cwd=cwd, check=True, env=library_environment() | (variables or {}))


def command(language: str, folder: Path) -> tuple[list[str], dict[str, str]]:
    """Builds the example. Returns its command and its variables."""
    match language:
        case "fortran":
            program = str(folder / "worker")
            run(
                "gfortran",
                "-Wall",
                "-Werror",
                str(EXAMPLES / "fortran/worker.f90"),
                "-o",
                program,
                *linked(),
                cwd=folder,
            )
            return [program], {}
        case "luajit":
            return ["luajit", str(EXAMPLES / "luajit/worker.lua")], {}
        case "r":
            flags = {"PKG_CPPFLAGS": f"-I{ROOT / 'include'}", "PKG_LIBS": " ".join(linked())}
            (folder / "worker.c").write_bytes((EXAMPLES / "r/worker.c").read_bytes())
            run("R", "CMD", "SHLIB", "worker.c", cwd=folder, variables=flags)
            return ["Rscript", str(EXAMPLES / "r/worker.R")], {"WORKER_SO": str(folder / "worker.so")}
        case _:
            return ["ruby", "-I", str(ROOT / "bindings/ruby/lib"), str(EXAMPLES / "ruby/worker.rb")], {}


@pytest.mark.parametrize("language", ["fortran", "luajit", "r", "ruby"])
def test_worker_completes_its_tasks_and_ends(
    language: str, server: Server, sdk_worker: SdkWorker, tmp_path: Path
) -> None:
    world = World(sdk_worker, server.address, tmp_path)
    program, variables = command(language, tmp_path)
    environment = library_environment() | {"TEMPORAL_ADDRESS": server.address} | variables
    with Process([*program, world.queue, str(TASKS)], environment) as worker:
        worker.expect("^running$")
        started = [world.start("count", heartbeat_timeout_ms=10_000) for _ in range(TASKS)]
        assert [running.result() for running in started] == ["10 steps"] * TASKS
        assert worker.wait() == 0
