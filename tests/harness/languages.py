"""The languages under test. One more is one more entry here, beside its driver in drivers/."""

import functools
import os
import shutil
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import pytest

from harness.build import compile_c, compile_cpp, link, run
from harness.driver import Driver
from harness.paths import BUILD, DRIVERS, ROOT, library
from harness.requires import requires

Command = list[str]
NO_VARIABLES: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True)
class Language:
    name: str
    # Builds the driver, once a run, and returns how to start it.
    command: Callable[[], Command]

    def is_available(self) -> bool:
        try:
            self.command()
        except (pytest.skip.Exception, pytest.fail.Exception):
            return False
        return True

    def start(
        self, environment: Mapping[str, str] = NO_VARIABLES, *, inherit: Sequence[int] = (), inside: Sequence[str] = ()
    ) -> Driver:
        """Starts a driver with further variables and open descriptors.

        `inside` is a command that runs the driver, in a network namespace for example.
        """
        command = [*inside, *self.command()]
        return Driver(command, library_environment() | dict(environment), inherit=inherit)


def library_environment() -> dict[str, str]:
    """Ours without what would configure the library under test behind the scenario's back."""
    inherited = {key: value for key, value in os.environ.items() if not key.startswith("TEMPORAL_")}
    nobodys = {"XDG_CONFIG_HOME": "/nonexistent"}  # a temporal.toml of whoever runs the tests
    return inherited | nobodys | {"TEMPORAL_HEARTBEAT_LIBRARY": str(library())}


def _built_library() -> str:
    path = library()
    if not path.exists():
        pytest.fail(f"no library at {path}. Run `make lib` first.", pytrace=False)
    return str(path)


@functools.cache
def _c() -> Command:
    return [str(compile_c(DRIVERS / "driver.c", BUILD / "driver_c", *linked()))]


@functools.cache
def _cpp() -> Command:
    return [str(compile_cpp(DRIVERS / "driver.cpp", BUILD / "driver_cpp", *linked()))]


def _python(activity: str) -> Command:
    _built_library()
    return [sys.executable, str(DRIVERS / "driver.py"), str(ROOT / "bindings" / "python"), activity]


@functools.cache
def _go() -> Command:
    go = requires(shutil.which("go"), "go")
    _built_library()
    program = BUILD / "driver_go"
    run([go, "-C", str(DRIVERS / "driver_go"), "build", "-o", str(program), "."])
    return [str(program)]


@functools.cache
def _rust() -> Command:
    return crate_example("driver")


@functools.cache
def crate_example(name: str) -> Command:
    """A program against the crate itself, as the Rust tests build it: what they have compiled isn't compiled again."""
    cargo = requires(shutil.which("cargo"), "cargo")
    target = ROOT / "target"
    crate = ["--manifest-path", str(ROOT / "Cargo.toml"), "--target-dir", str(target)]
    run([cargo, "build", "--quiet", *crate, "--example", name])
    return [str(target / "debug" / "examples" / name)]


def linked() -> list[str]:
    """What links a program with the library, and lets it find that under the name that the library gives itself."""
    shared = _built_library()
    link(BUILD / "libtemporal_heartbeat.so.0", Path(shared))
    return [shared, f"-Wl,-rpath,{BUILD}"]


LANGUAGES = {
    language.name: language
    for language in (
        Language("c", _c),
        Language("cpp", _cpp),
        Language("python", functools.partial(_python, "threads")),
        Language("go", _go),
        Language("rust", _rust),
    )
}

DRIVER_LANGUAGES = LANGUAGES | {"asyncio": Language("asyncio", functools.partial(_python, "asyncio"))}

# The drivers that hold activities open.
ACTIVITY_LANGUAGES = ("cpp", "python", "asyncio", "go")


def available() -> list[str]:
    """The languages whose drivers can be built here. The tests of the others tell why not."""
    return [name for name, language in LANGUAGES.items() if language.is_available()]
