"""The official SDKs. To add one, add a worker in peers/, an entry here, and a column in docs/values.md."""

import os
from collections.abc import Callable
from dataclasses import dataclass

from interop import programs
from interop.documented_values import Row, written_by
from interop.programs import Command


@dataclass(frozen=True)
class Sdk:
    name: str
    # The name of its column.
    language: str
    command: Callable[[], Command]

    def can_read(self, row: Row) -> bool:
        return row.reads[self.language].failure is None

    @property
    def rows(self) -> list[Row]:
        """Returns what the SDK writes."""
        return written_by(self.language, "SDK")


# `make check-slow` covers the SDKs that take more than a minute to install and compile.
SLOW = (
    Sdk("typescript", "TypeScript", programs.typescript_worker),
    Sdk("java", "Java", programs.java_worker),
)
SDKS = (
    Sdk("python", "Python", programs.python_worker),
    Sdk("go", "Go", programs.go_worker),
    *(SLOW if os.environ.get("THB_SLOW") == "1" else ()),
)
