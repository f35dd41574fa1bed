"""Compiles the native library for the wheel, after a check of the tools that this needs."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NoReturn

LIBRARY = f"libtemporal_heartbeat.{'dylib' if sys.platform == 'darwin' else 'so'}"

# The directory of the library's source in a source distribution.
NATIVE = "native"

# The variable with the directory of a library that is compiled already.
SHIPPED = "TEMPORAL_HEARTBEAT_SHIPPED"

# As in the Makefile. The library's threads run its code, so dlclose must not unmap it.
if sys.platform == "darwin":
    LINK = ["-C", "link-arg=-Wl,-install_name,@rpath/libtemporal_heartbeat.0.dylib"]
else:
    LINK = ["-C", "link-arg=-Wl,-soname,libtemporal_heartbeat.so.0"]
    LINK += ["-C", "link-arg=-Wl,-z,nodelete"]


def native_source(root: Path) -> Path:
    """Returns the directory of the library's source: in a source distribution, or in a checkout."""
    unpacked = root / NATIVE
    source = unpacked if unpacked.exists() else root.parent.parent
    if not (source / "Cargo.toml").is_file():
        stop(
            f"no source of the native library at {source}: build from a whole checkout, or from a"
            " source distribution"
        )
    return source


def check_tools(source: Path) -> None:
    """Ends the process with a message if the library can't be compiled on this machine."""
    oldest = oldest_rust(source)
    rust = f"Rust {oldest} or newer from https://rustup.rs"
    if shutil.which("cargo") is None:
        stop(f"cargo isn't on the PATH. Install {rust}{OR_A_WHEEL}")
    version = subprocess.run(
        ["cargo", "--version"], cwd=source, capture_output=True, text=True, check=False
    )
    found = re.match(r"cargo (\d+)\.(\d+)", version.stdout)
    if found is None:
        stop(f"`cargo --version` fails: {version.stderr.strip()}. Install {rust}{OR_A_WHEEL}")
    if (int(found[1]), int(found[2])) < tuple(map(int, oldest.split("."))):
        stop(
            f"the installed Rust {found[1]}.{found[2]} is too old. Run `rustup update`, or install"
            f" {rust}{OR_A_WHEEL}"
        )
    compiler = shlex.split(os.environ.get("CC", "cc"))[0]
    if shutil.which(compiler) is None:
        install = (
            "run `xcode-select --install`" if sys.platform == "darwin" else f"install {C_COMPILER}"
        )
        stop(f"the C compiler {compiler} isn't on the PATH. To get one, {install}{OR_A_WHEEL}")


C_COMPILER = "gcc and libc6-dev (Debian, Ubuntu), gcc (Fedora) or gcc and musl-dev (Alpine)"
OR_A_WHEEL = (
    ", and run the command again. Or install a wheel, which contains the library: it needs no"
    " compiler"
)


def stop(reason: str) -> NoReturn:
    """Ends the process with a message. For an exception, pip would show a traceback."""
    sys.exit(f"temporal-heartbeat: can't compile the native library: {reason}.")


def oldest_rust(source: Path) -> str:
    """Returns the oldest version of Rust that compiles the library."""
    manifest = (source / "Cargo.toml").read_text()
    [version] = re.findall(r'^rust-version = "(.+)"', manifest, re.MULTILINE)
    return str(version)


def build_library(source: Path) -> Path:
    """Compiles the library and returns its path."""
    check_tools(source)
    command = ["cargo", "rustc", "--locked", "--profile", "source", "--lib"]
    command += ["--crate-type", "cdylib", "--message-format", "json-render-diagnostics"]
    command += ["--target-dir", str(source / "target"), "--", *LINK]
    built = subprocess.run(command, cwd=source, stdout=subprocess.PIPE, text=True, check=False)
    if built.returncode != 0:
        stop(f"cargo failed in {source}; its messages are above")
    # cargo prints where it writes each file, because a user's configuration may change that.
    messages = map(json.loads, built.stdout.splitlines())
    [library] = [
        name
        for message in messages
        if message["reason"] == "compiler-artifact"
        for name in message["filenames"]
        if Path(name).name == LIBRARY
    ]
    return Path(library)
