"""The languages under test. One more is one more entry here, beside its driver in drivers/."""

import functools
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.driver import Driver
from harness.needs import needs
from harness.paths import BUILD, DRIVERS, INCLUDE, ROOT, library

Command = list[str]


@dataclass(frozen=True)
class Language:
    name: str
    # Builds the driver, once a run, and returns how to start it.
    command: Callable[[], Command]

    def start(self, environment: Mapping[str, str], inherit: Sequence[int] = ()) -> Driver:
        """Starts a driver with further variables and open descriptors."""
        return Driver(self.command(), library_environment() | dict(environment), inherit)


def library_environment() -> dict[str, str]:
    """Ours without what would configure the library under test behind the scenario's back."""
    inherited = {key: value for key, value in os.environ.items() if not key.startswith("TEMPORAL_")}
    return inherited | {"TEMPORAL_HEARTBEAT_LIBRARY": str(library())}


def _built_library() -> str:
    path = library()
    return str(needs(path if path.exists() else None, f"the library at {path} (make lib)"))


@functools.cache
def _c() -> Command:
    BUILD.mkdir(parents=True, exist_ok=True)
    shared = _built_library()
    # The driver looks for the name that the library gives itself, which a build directory needn't have.
    soname = BUILD / "libtemporal_heartbeat.so.0"
    soname.unlink(missing_ok=True)
    soname.symlink_to(shared)
    return [str(compile_c(DRIVERS / "driver.c", BUILD / "driver_c", shared, f"-Wl,-rpath,{BUILD}"))]


@functools.cache
def _python() -> Command:
    _built_library()
    return [sys.executable, str(DRIVERS / "driver.py"), str(ROOT / "bindings" / "python")]


@functools.cache
def _go() -> Command:
    go = needs(shutil.which("go"), "go")
    _built_library()
    program = BUILD / "driver_go"
    _run([go, "-C", str(DRIVERS / "driver_go"), "build", "-o", str(program), "."])
    return [str(program)]


def compile_c(source: Path, target: Path, *further: str) -> Path:
    compiler = needs(shutil.which(os.environ.get("CC", "cc")), "a C compiler")
    strict = ["-std=c11", "-O1", "-g", "-Wall", "-Wextra", "-Wpedantic", "-Werror", f"-I{INCLUDE}"]
    _run([compiler, *strict, str(source), "-o", str(target), *further])
    return target


def _run(command: Command) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(command)}\n{done.stdout}{done.stderr}")


LANGUAGES = {
    language.name: language for language in (Language("c", _c), Language("python", _python), Language("go", _go))
}
