"""Builds the native library and ships it in the wheel, one for all Pythons of a platform."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

LIBRARY = f"libtemporal_heartbeat.{'dylib' if sys.platform == 'darwin' else 'so'}"


class NativeLibrary(BuildHookInterface[Any]):
    """The hook that hatchling runs for a build."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        # An editable install is a developer's: TEMPORAL_HEARTBEAT_LIBRARY names its library.
        if self.target_name != "wheel" or version == "editable":
            return
        library = build_library(Path(self.root).parent.parent)
        build_data["force_include"][str(library)] = f"temporal_heartbeat/{LIBRARY}"
        build_data["pure_python"] = False
        build_data["tag"] = f"py3-none-{platform_tag()}"


def build_library(repository: Path) -> Path:
    """Builds the library by `make lib`, as everybody does, and returns its path."""
    if not (repository / "Cargo.toml").is_file():
        raise RuntimeError(
            f"no source of the native library at {repository}: build from a whole checkout"
        )
    for tool, origin in (("cargo", "Rust"), ("make", "the package of that name")):
        if shutil.which(tool) is None:
            raise RuntimeError(
                f"building temporal-heartbeat needs {tool}, which isn't on the PATH:"
                f" install {origin}"
            )
    if subprocess.run(["make", "lib"], cwd=repository, check=False).returncode != 0:
        raise RuntimeError(f"`make lib` failed in {repository}; its messages are above")
    target = repository / os.environ.get("CARGO_TARGET_DIR", "target")
    return target / "release" / LIBRARY


def platform_tag() -> str:
    return sysconfig.get_platform().replace("-", "_").replace(".", "_")
