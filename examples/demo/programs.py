"""The programs that do the Activity's work. Each takes ITEMS and FILE, and records finished items in FILE."""

import os
import sys
from dataclasses import dataclass
from pathlib import Path

from server import clean_environment
from trouble import Trouble

ROOT = Path(__file__).resolve().parents[2]
BUILT = ROOT / "target" / "examples"
WORKERS = Path(__file__).resolve().parent / "workers"
PYTHON_BINDING = ROOT / "bindings" / "python"


@dataclass(frozen=True)
class Program:
    title: str
    language: str  # the name that the program writes into the file
    path: Path
    interpreter: tuple[str, ...] = ()

    def command(self, items: int, file: Path) -> list[str]:
        return [*self.interpreter, str(self.path), str(items), str(file)]


PROGRAMS = {
    "c": Program("C", "c", BUILT / "resume_dlopen"),
    "c-linked": Program("C, linked", "c", BUILT / "resume"),
    "c++": Program("C++", "c++", BUILT / "resume_cpp"),
    "python": Program("Python", "python", WORKERS / "resume.py", (sys.executable,)),
    "go": Program("Go", "go", BUILT / "resume_go"),
}


def library() -> Path:
    default = ROOT / "target" / "release" / "libtemporal_heartbeat.so"
    return Path(os.environ.get("TEMPORAL_HEARTBEAT_LIBRARY") or default)


def check_built(programs: list[Program]) -> None:
    absent = [path for path in (library(), *(program.path for program in programs)) if not path.exists()]
    if absent:
        raise Trouble(f"not built yet: {', '.join(map(str, absent))}\n`make demo` builds what it needs, then runs.")


def environment(address: str, namespace: str) -> dict[str, str]:
    """Returns the variables with which a program finds the server and the library."""
    python_path = os.pathsep.join(filter(None, [str(PYTHON_BINDING), os.environ.get("PYTHONPATH")]))
    return clean_environment() | {
        "TEMPORAL_ADDRESS": address,
        "TEMPORAL_NAMESPACE": namespace,
        "TEMPORAL_HEARTBEAT_LIBRARY": str(library()),
        "PYTHONPATH": python_path,
    }
