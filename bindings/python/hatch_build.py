"""Builds the native library with cargo and ships it in the wheel, one for all Pythons."""

from __future__ import annotations

import json
import shutil
import subprocess
import sysconfig
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

# One crate type and no other: else cargo drops link-time optimization without a word.
CARGO_COMMAND = ["cargo", "rustc", "--release", "--lib", "--crate-type", "cdylib"]


class NativeLibrary(BuildHookInterface[Any]):
    """The hook that hatchling runs for a build."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        # An editable install is a developer's: TEMPORAL_HEARTBEAT_LIBRARY names its library.
        if self.target_name != "wheel" or version == "editable":
            return
        library = build_library(Path(self.root).parent.parent)
        build_data["force_include"][str(library)] = f"temporal_heartbeat/{library.name}"
        build_data["pure_python"] = False
        build_data["tag"] = f"py3-none-{platform_tag()}"


def build_library(crate: Path) -> Path:
    """Builds the crate and returns the path of its shared library."""
    if not (crate / "Cargo.toml").is_file():
        raise RuntimeError(
            f"no source of the native library at {crate}: build from a whole checkout"
        )
    if shutil.which("cargo") is None:
        raise RuntimeError(
            "building temporal-heartbeat needs cargo, which isn't on the PATH: install Rust"
        )
    # JSON messages tell where the library is, in whatever target directory.
    build = subprocess.run(
        [*CARGO_COMMAND, "--message-format", "json-render-diagnostics"],
        cwd=crate,
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    if build.returncode != 0:
        raise RuntimeError(f"`{' '.join(CARGO_COMMAND)}` failed in {crate}; its messages are above")
    for line in reversed(build.stdout.splitlines()):
        message = json.loads(line)
        if (
            message["reason"] == "compiler-artifact"
            and message["target"]["name"] == "temporal_heartbeat"
        ):
            return next(
                Path(name) for name in message["filenames"] if name.endswith((".so", ".dylib"))
            )
    raise RuntimeError("cargo built no shared library")


def platform_tag() -> str:
    return sysconfig.get_platform().replace("-", "_").replace(".", "_")
