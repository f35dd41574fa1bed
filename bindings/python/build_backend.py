"""The build backend that pip calls: hatchling, after a check of the tools.

pip installs the requirements of a backend before it calls the backend, which takes seconds. So this
backend has none. After the check it returns hatchling, which pip then installs for the build.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Optional

from build_library import SHIPPED, check_tools, native_source

REQUIRES = ["hatchling>=1.26"]

Settings = Optional[dict[str, Any]]


def get_requires_for_build_wheel(config_settings: Settings = None) -> list[str]:
    if SHIPPED not in os.environ:
        check_tools(native_source(Path.cwd()))
        show(
            "temporal-heartbeat: cargo will compile the native library, which takes 1 to 2 minutes"
        )
    return REQUIRES


def get_requires_for_build_sdist(config_settings: Settings = None) -> list[str]:
    check_tools(native_source(Path.cwd()))
    return REQUIRES


def get_requires_for_build_editable(config_settings: Settings = None) -> list[str]:
    return [*REQUIRES, "editables"]


def show(message: str) -> None:
    """Prints a message, on the terminal if there is one: pip hides the output of a build."""
    try:
        with open("/dev/tty", "w") as terminal:
            # A background job that writes to its terminal may be stopped.
            if os.tcgetpgrp(terminal.fileno()) == os.getpgrp():
                # pip has begun a line.
                terminal.write(f"\n{message}\n")
                return
    except OSError:
        pass
    print(message, flush=True)


# hatchling isn't installed yet when a frontend asks which of these hooks there are.


def build_wheel(
    wheel_directory: str,
    config_settings: Settings = None,
    metadata_directory: Optional[str] = None,
) -> str:
    import hatchling.build

    return hatchling.build.build_wheel(wheel_directory, config_settings, metadata_directory)


def build_editable(
    wheel_directory: str,
    config_settings: Settings = None,
    metadata_directory: Optional[str] = None,
) -> str:
    import hatchling.build

    return hatchling.build.build_editable(wheel_directory, config_settings, metadata_directory)


def build_sdist(sdist_directory: str, config_settings: Settings = None) -> str:
    import hatchling.build

    return hatchling.build.build_sdist(sdist_directory, config_settings)


def prepare_metadata_for_build_wheel(
    metadata_directory: str, config_settings: Settings = None
) -> str:
    # hatchling lacks this hook under pip, because a build may change the metadata. Without the hook
    # pip compiles to get the metadata, and shows "Preparing metadata" for minutes. This build
    # changes no metadata.
    os.environ.pop("PIP_BUILD_TRACKER", None)
    import hatchling.build

    return hatchling.build.prepare_metadata_for_build_wheel(metadata_directory, config_settings)
