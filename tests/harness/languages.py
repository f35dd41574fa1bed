"""The languages under test. To add a language, add an entry here and a driver in drivers/."""

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
from harness.examples import node_binding, ruby
from harness.paths import BUILD, DRIVERS, ROOT, library
from harness.requires import requires

Command = list[str]
NO_VARIABLES: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True)
class Language:
    name: str
    # Builds the driver once per run, and returns the command that starts it.
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
        """Starts a driver with additional variables and open descriptors.

        `inside` is a command that runs the driver, in a network namespace for example.
        """
        command = [*inside, *self.command()]
        return Driver(command, library_environment() | dict(environment), inherit=inherit)


def library_environment() -> dict[str, str]:
    """Returns the environment without variables and files that would configure the library in addition to the test."""
    inherited = {key: value for key, value in os.environ.items() if not key.startswith("TEMPORAL_")}
    nobodys = {"XDG_CONFIG_HOME": "/nonexistent"}  # ignores the user's temporal.toml
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
    """Builds a program against the crate like the Rust tests, so that compiled dependencies are reused."""
    cargo = requires(shutil.which("cargo"), "cargo")
    target = ROOT / "target"
    crate = ["--manifest-path", str(ROOT / "Cargo.toml"), "--target-dir", str(target)]
    run([cargo, "build", "--quiet", *crate, "--example", name])
    return [str(target / "debug" / "examples" / name)]


def _ruby() -> Command:
    _built_library()
    return ruby(DRIVERS / "driver.rb")


@functools.cache
def _node() -> Command:
    _built_library()
    [node, package] = node_binding("index.js")
    return [node, str(DRIVERS / "driver.js"), package]


def linked() -> list[str]:
    """Returns the flags that link a program with the library. At run time it finds the library by its soname."""
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

# Their packages have scenarios in their own language, e2e/test_node_ruby.py, so only some tests use these drivers.
SCRIPT_LANGUAGES = {language.name: language for language in (Language("ruby", _ruby), Language("node", _node))}

# The languages with a driver that holds activities open.
ACTIVITY_LANGUAGES = ("cpp", "python", "asyncio", "go")


def available() -> list[str]:
    """Returns the languages with a driver that can be built here. The tests of other languages report the reason."""
    return [name for name, language in LANGUAGES.items() if language.is_available()]
