"""Builds the native library and adds it to the wheel, which fits all Pythons of a platform.

A source distribution has the library's source instead.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tarfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

LIBRARY = f"libtemporal_heartbeat.{'dylib' if sys.platform == 'darwin' else 'so'}"

# The directory of the library's source in a source distribution.
NATIVE = "native"


class NativeLibrary(BuildHookInterface[Any]):
    """The build hook that hatchling runs."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        root = Path(self.root)
        unpacked = root / NATIVE
        if self.target_name == "sdist" and not unpacked.exists():
            source = pack_source(repository=root.parent.parent)
            build_data["force_include"][str(source)] = NATIVE
        # An editable install uses the developer's library, in TEMPORAL_HEARTBEAT_LIBRARY.
        if self.target_name == "wheel" and version != "editable":
            library = shipped_library(build_data) or build_library(
                unpacked if unpacked.exists() else root.parent.parent
            )
            build_data["force_include"][str(library)] = f"temporal_heartbeat/{LIBRARY}"
            build_data["pure_python"] = False
            build_data["tag"] = f"py3-none-{platform_tag(library)}"


def shipped_library(build_data: dict[str, Any]) -> Path | None:
    """Returns the library that a release has built for the platform, and adds its SBOM."""
    shipped, sbom = (os.environ.get(f"TEMPORAL_HEARTBEAT_{name}") for name in ("SHIPPED", "SBOM"))
    if not shipped or not sbom:
        return None
    build_data["sbom_files"].append(sbom)
    return Path(shipped) / LIBRARY


def build_library(source: Path) -> Path:
    """Builds the library by `make shipped` and returns its path."""
    check_source(source)
    # Without the variables with which an outer make controls its children.
    environment = {name: value for name, value in os.environ.items() if name not in MAKE_VARIABLES}
    print("temporal-heartbeat: compiling the native library, for 2 to 5 minutes", flush=True)
    made = subprocess.run(["make", "shipped"], cwd=source, env=environment, check=False)
    if made.returncode != 0:
        sys.exit(
            f"temporal-heartbeat: `make shipped` failed in {source}; its messages are above."
            f" It needs a C compiler, and Rust {oldest_rust(source)} or newer."
        )
    return source / "target" / "shipped" / LIBRARY


def pack_source(repository: Path) -> Path:
    """Packs the library's source with cargo and returns its directory."""
    check_source(repository)
    packed = repository / "target" / "package"
    shutil.rmtree(packed, ignore_errors=True)
    command = ["cargo", "package", "--no-verify", "--allow-dirty", "--quiet"]
    command += ["--target-dir", str(repository / "target")]
    if subprocess.run(command, cwd=repository, check=False).returncode != 0:
        sys.exit(
            f"temporal-heartbeat: `cargo package` failed in {repository}; its messages are above"
        )
    [crate] = packed.glob("*.crate")
    with tarfile.open(crate) as archive:
        archive.extractall(packed)
    return packed / crate.stem


# A process that ends with a message is clearer than an exception, of which pip shows the traceback.


def check_source(source: Path) -> None:
    if not (source / "Cargo.toml").is_file():
        sys.exit(
            f"temporal-heartbeat: no source of the native library at {source}: build from a whole"
            " checkout, or from a source distribution"
        )
    rust = f"Rust {oldest_rust(source)} or newer, by https://rustup.rs"
    require("cargo", rust)
    require("make", "the package of that name")


def require(tool: str, origin: str) -> None:
    if shutil.which(tool) is None:
        sys.exit(
            f"temporal-heartbeat: its native library is compiled, which needs {tool}, and {tool}"
            f" isn't on the PATH. Install {origin}, and run the command again. Or install a wheel,"
            " which contains the library: `make wheel` builds it on a machine with these tools."
        )


def oldest_rust(source: Path) -> str:
    manifest = (source / "Cargo.toml").read_text()
    [version] = re.findall(r'^rust-version = "(.+)"', manifest, re.MULTILINE)
    return str(version)


MAKE_VARIABLES = ("MAKEFLAGS", "MAKELEVEL", "MFLAGS", "MAKEOVERRIDES")


# In ELF files, the number of the machine.
MACHINES = {62: "x86_64", 183: "aarch64"}


def platform_tag(library: Path) -> str:
    """Returns the platform tag: on Linux the lowest glibc version that has all needed symbols.

    The library may be for another machine than this one.
    """
    content = library.read_bytes()
    platform = sysconfig.get_platform().replace("-", "_").replace(".", "_")
    if not content.startswith(b"\x7fELF"):
        return platform
    machine = MACHINES.get(
        int.from_bytes(content[18:20], "little"), platform.removeprefix("linux_")
    )
    needed = [int(minor) for minor in re.findall(rb"\0GLIBC_2\.(\d+)", content)]
    if not needed:
        return f"musllinux_1_2_{machine}"
    if max(needed) <= 17:
        return f"manylinux_2_17_{machine}.manylinux2014_{machine}"
    return f"manylinux_2_{max(needed)}_{machine}"
