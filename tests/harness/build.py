"""Compiles programs for the tests. Several workers of one run may request the same program at the same time."""

import fcntl
import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from harness.paths import BUILD, INCLUDE
from harness.requires import requires

# Without optimization, which takes longer than the programs. `tests/abi` compiles with it, for more warnings.
STRICT = ("-O0", "-Wall", "-Wextra", "-Wpedantic", "-Werror", f"-I{INCLUDE}")


def compile_c(source: Path, target: Path, *further: str) -> Path:
    compiler = requires(shutil.which(os.environ.get("CC", "cc")), "a C compiler")
    return _compile([compiler, "-std=c11", *STRICT], source, target, further)


def compile_cpp(source: Path, target: Path, *further: str) -> Path:
    compiler = requires(shutil.which(os.environ.get("CXX", "c++")), "a C++ compiler")
    return _compile([compiler, "-std=c++17", *STRICT, "-Wshadow", "-Wconversion"], source, target, further)


def run(command: Sequence[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(command)}\n{done.stdout}{done.stderr}")


def copy(source: Path, folder: Path) -> None:
    """Copies the files that are different. A program may be reading the others."""
    with alone():
        for file in source.rglob("*"):
            target = folder / file.relative_to(source)
            if file.is_file() and not (target.exists() and target.read_bytes() == file.read_bytes()):
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(file, f"{target}.new")
                Path(f"{target}.new").replace(target)


def own(folder: Path) -> Path:
    """Returns a folder of this process of the run, for compilers that write several files."""
    return folder / os.environ.get("PYTEST_XDIST_WORKER", "main")


def link(name: Path, target: Path) -> None:
    """Makes the name a symbolic link, atomically."""
    with alone():
        fresh = name.with_name(f"{name.name}.new")
        fresh.unlink(missing_ok=True)
        fresh.symlink_to(target)
        fresh.replace(name)


def _compile(compiler: Sequence[str], source: Path, target: Path, further: Sequence[str]) -> Path:
    made_of = [source, *INCLUDE.iterdir(), Path(__file__)]
    with alone():
        if not target.exists() or target.stat().st_mtime < max(path.stat().st_mtime for path in made_of):
            fresh = target.with_name(f"{target.name}.new")
            run([*compiler, str(source), "-o", str(fresh), *further])
            fresh.replace(target)  # the old program may be running
    return target


@contextmanager
def alone(name: str = "lock") -> Iterator[None]:
    """Runs one process of the test run at a time. Long builds use separate locks, so no attempt waits for them."""
    BUILD.mkdir(parents=True, exist_ok=True)
    with (BUILD / name).open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
