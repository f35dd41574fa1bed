"""Builds the packages once per run by the Makefile, like a user, and the folders into which they are installed."""

import base64
import functools
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from harness.build import alone
from harness.fixtures import StartActivity
from harness.paths import ROOT
from harness.requires import requires
from harness.server import Server

DIST = ROOT / "target" / "dist"

# Also runs the steps that take minutes: `make check-packages`.
SLOW = os.environ.get("THB_SLOW") == "1"

NOT_A_READERS = ("TEMPORAL_", "MAKE", "MFLAGS", "PYTHON", "VIRTUAL_ENV", "GO", "PKG_CONFIG", "CMAKE", "LD_LIBRARY_PATH")


def fresh_environment(**variables: str) -> dict[str, str]:
    """Returns the environment without the variables of an outer make, of a library, or of a server."""
    return {name: value for name, value in os.environ.items() if not name.startswith(NOT_A_READERS)} | variables


def run(*command: str, cwd: Path = ROOT, env: Mapping[str, str] | None = None) -> str:
    """Runs a reader's command, and returns its output."""
    done = subprocess.run(
        command,
        cwd=cwd,
        env=env or fresh_environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout}"
    return done.stdout


AN_HOUR_MS = 3_600_000

# Without the command-line program, which takes minutes more to compile.
CLI = "CLI=yes" if SLOW else "CLI=no"


def make(*arguments: str, source: Path = ROOT) -> str:
    requires(shutil.which("cargo"), "cargo")
    with alone("make"):
        return run("make", "--no-print-directory", CLI, *arguments, cwd=source)


@functools.cache
def tarball() -> Path:
    make("dist")
    [packed] = [path for path in DIST.glob("temporal-heartbeat-*.tar.gz") if not path.name.endswith("-debug.tar.gz")]
    return packed


@functools.cache
def wheel() -> Path:
    make("wheel")
    [built] = DIST.glob("*.whl")
    return built


@functools.cache
def go_proxy() -> Path:
    requires(shutil.which("go"), "go")
    make("go-module")
    return DIST / "go"


def go_environment(proxy: Path, gopath: Path) -> dict[str, str]:
    """Returns the environment of a user of Go with an empty cache, and with a proxy that has the module."""
    proxies = run(requires(shutil.which("go"), "go"), "env", "GOPROXY").strip()
    return fresh_environment(
        GOPATH=str(gopath),
        GOPROXY=f"file://{proxy},{proxies}",
        GONOSUMDB=f"{GO_MODULE}/*,{GO_MODULE}",
        GOFLAGS="-modcacherw",
    )


GO_MODULE = "temporal-heartbeat.dev/go"


def go_program(folder: Path, environment: dict[str, str], *flags: str) -> Path:
    """Builds the example as a program of its own, with the module that `go get` fetches."""
    folder.mkdir()
    shutil.copy(ROOT / "bindings/go/examples/activity/main.go", folder)
    for command in ("mod init solver", f"get {GO_MODULE}", "mod tidy"):
        run("go", *command.split(), cwd=folder, env=environment)
    run("go", "build", *flags, "-o", "solver", ".", cwd=folder, env=environment)
    return folder / "solver"


def fresh_python(folder: Path) -> str:
    """Creates a virtual environment that contains only pip, and returns its Python."""
    run(sys.executable, "-m", "venv", str(folder), cwd=folder.parent)
    return str(folder / "bin" / "python")


def installed_prefix(folder: Path, source: Path = ROOT) -> Path:
    make("install", f"PREFIX={folder}", source=source)
    return folder


# The number of items of each program, which is also its result.
ITEMS = 3


class PackageActivity:
    """A workflow's activity, completed by a program that a user of the package has built."""

    def __init__(self, server: Server, start: StartActivity) -> None:
        # Compilers are slow.
        self._activity = start("workflow", heartbeat_timeout_ms=AN_HOUR_MS, start_to_close_ms=AN_HOUR_MS)
        self._environment = fresh_environment(
            TEMPORAL_ADDRESS=server.address,
            TEMPORAL_ACTIVITY_TASK_TOKEN=base64.b64encode(self._activity.next_attempt().token).decode(),
        )

    def runs(self, *command: str, cwd: Path, **variables: str) -> str:
        """Runs a program, which finds the activity in its environment."""
        return run(*command, cwd=cwd, env=self._environment | variables)

    def completed_by(self, *command: str, cwd: Path, **variables: str) -> object:
        """Runs the program. Its heartbeats must be acknowledged before its result. Returns the activity's result."""
        self.runs(*command, cwd=cwd, **variables)
        return self._activity.result()
