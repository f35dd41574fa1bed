"""Freezes processes with their control group, as a container runtime does (as root)."""

import os
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from harness.polling import wait_until
from harness.requires import unsupported


@dataclass(frozen=True)
class Freezer:
    """A control group (version 2)."""

    folder: Path

    @property
    def launcher(self) -> Sequence[str]:
        """A command that runs another one in the group."""
        return ["sh", "-c", f'echo $$ >{self.folder}/cgroup.procs && exec "$@"', "sh"]

    def add(self, pid: int) -> None:
        """Moves a process into the group. The processes that it starts afterwards will belong to it too."""
        (self.folder / "cgroup.procs").write_text(str(pid))

    def freeze(self) -> None:
        self._set(frozen=True)

    def thaw(self) -> None:
        self._set(frozen=False)

    def _set(self, *, frozen: bool) -> None:
        (self.folder / "cgroup.freeze").write_text(str(int(frozen)))
        events = self.folder / "cgroup.events"
        wait_until(lambda: f"frozen {int(frozen)}" in events.read_text(), f"frozen: {frozen}")


@contextmanager
def freezer() -> Iterator[Freezer]:
    """Makes a group. Leave its processes running: their owner ends them."""
    root = _root()
    group = Freezer(root / f"temporal-heartbeat-{uuid.uuid4()}")
    try:
        group.folder.mkdir()
    except OSError:
        unsupported("needs a control group (root)")
    if not (group.folder / "cgroup.freeze").exists():
        group.folder.rmdir()
        unsupported("needs a kernel that freezes control groups")
    try:
        yield group
    finally:
        group.thaw()
        for pid in (group.folder / "cgroup.procs").read_text().split():
            (root / "cgroup.procs").write_text(pid)
        group.folder.rmdir()


def _root() -> Path:
    mounts = [line.split() for line in Path("/proc/mounts").read_text().splitlines()]
    writable = [folder for _, folder, kind, *_ in mounts if kind == "cgroup2" and os.access(folder, os.W_OK)]
    return Path(writable[0]) if writable else unsupported("needs control groups of version 2 (root)")
