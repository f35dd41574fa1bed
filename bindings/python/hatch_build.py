"""Adds the native library to the wheel, which fits all Pythons of a platform.

A source distribution has the library's source instead.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sysconfig
import tarfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

from build_library import LIBRARY, NATIVE, SHIPPED, build_library, check_tools, native_source, stop


class NativeLibrary(BuildHookInterface[Any]):
    """The build hook that hatchling runs."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        root = Path(self.root)
        if self.target_name == "sdist" and not (root / NATIVE).exists():
            source = pack_source(repository=native_source(root))
            build_data["force_include"][str(source)] = NATIVE
        # An editable install uses the developer's library, in TEMPORAL_HEARTBEAT_LIBRARY.
        if self.target_name == "wheel" and version != "editable":
            library = shipped_library(build_data) or build_library(native_source(root))
            build_data["force_include"][str(library)] = f"temporal_heartbeat/{LIBRARY}"
            build_data["pure_python"] = False
            build_data["tag"] = f"py3-none-{platform_tag(library)}"


def shipped_library(build_data: dict[str, Any]) -> Path | None:
    """Returns the library that make has built, and adds its SBOM if it is one of a release."""
    if sbom := os.environ.get("TEMPORAL_HEARTBEAT_SBOM"):
        build_data["sbom_files"].append(sbom)
    shipped = os.environ.get(SHIPPED)
    return Path(shipped) / LIBRARY if shipped else None


def pack_source(repository: Path) -> Path:
    """Packs the library's source with cargo and returns its directory."""
    check_tools(repository)
    packed = repository / "target" / "package"
    shutil.rmtree(packed, ignore_errors=True)
    command = ["cargo", "package", "--no-verify", "--allow-dirty", "--quiet"]
    command += ["--target-dir", str(repository / "target")]
    if subprocess.run(command, cwd=repository, check=False).returncode != 0:
        stop(f"`cargo package` failed in {repository}; its messages are above")
    [crate] = packed.glob("*.crate")
    with tarfile.open(crate) as archive:
        archive.extractall(packed)
    return packed / crate.stem


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
