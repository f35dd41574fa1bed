"""Follows the guide from the top of each page, in the top folder of the repository."""

import base64
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from harness.build import alone
from harness.fixtures import StartActivity
from harness.languages import library_environment
from harness.markdown import anchors, code_blocks, commands, files, is_excerpt, links, uncovered
from harness.paths import ROOT, VENV_BIN, library
from harness.process import Process
from harness.requires import requires, unsupported
from harness.server import OLDEST, Server, find_program

GUIDE = sorted((ROOT / "docs" / "guide").glob("*.md"))
DOCS = [*GUIDE, *sorted((ROOT / "docs").glob("*.md")), *ROOT.glob("*.md")]

# The pages on which the reader writes a program. The program resumes after item 3, and completes.
PROGRAMS = {"python": "ten items", "go": "ten items", "c": "ten items", "cpp": "ten items", "other-languages": 5}

AN_HOUR_MS = 3_600_000

# The tools and their caches, which a reader with a temporary home still uses.
CACHES = {"CARGO_HOME": "~/.cargo", "RUSTUP_HOME": "~/.rustup", "GOPATH": "~/go", "GOCACHE": "~/.cache/go-build"}


def named(page: Path) -> str:
    return page.stem


def stand_in(folder: Path) -> dict[str, str]:
    """Makes the folder look like the repository, apart from the files that the reader writes."""
    for entry in ROOT.iterdir():
        if entry.name not in ("venv", ".git"):
            (folder / entry.name).symlink_to(entry)
    home = {name: os.environ.get(name) or os.path.expanduser(usual) for name, usual in CACHES.items()}
    return home | {"HOME": str(folder / "home"), "PREFIX": str(folder / "prefix"), "ROOT": str(ROOT)}


def write_files(page: Path, folder: Path) -> None:
    for name, code in files(page).items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(code)


def follow(page: Path, folder: Path, environment: dict[str, str]) -> str:
    write_files(page, folder)
    (folder / "home").mkdir()
    make = 'make() { env -u MAKEFLAGS -u MAKELEVEL make --no-print-directory CLI=no -C "$ROOT" "$@"; }\n'
    with alone("make"):  # parallel builds in one repository would wait for each other anyway
        done = subprocess.run(
            ["sh", "-euc", make + commands(page)],
            cwd=folder,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
    assert done.returncode == 0, done.stdout
    return done.stdout


@pytest.mark.parametrize("name", PROGRAMS)
def test_program_of_a_page_resumes_and_completes(
    name: str, server: Server, start: StartActivity, tmp_path: Path
) -> None:
    for tool in ("cargo", "go", "pkg-config", "luajit"):
        requires(shutil.which(tool), tool)
    # Long, because a page may build the library first.
    activity = start("workflow", heartbeat_timeout_ms=AN_HOUR_MS, start_to_close_ms=AN_HOUR_MS)
    environment = library_environment() | stand_in(tmp_path)
    del environment["TEMPORAL_HEARTBEAT_LIBRARY"]
    environment |= {
        # pip packs the library that make has built. The tests of the packages let pip compile it.
        "TEMPORAL_HEARTBEAT_SHIPPED": str(library().parent),
        "TEMPORAL_ADDRESS": server.address,
        "TEMPORAL_ACTIVITY_TASK_TOKEN": base64.b64encode(activity.next_attempt().token).decode(),
        # The details of the previous attempt: 3, as JSON.
        "TEMPORAL_ACTIVITY_HEARTBEAT_DETAILS": "ChsKFgoIZW5jb2RpbmcSCmpzb24vcGxhaW4SATM=",
    }
    said = follow(ROOT / "docs" / "guide" / f"{name}.md", tmp_path, environment)
    assert [line for line in said.splitlines() if "working on" in line] == (
        [f"working on item {n}" for n in range(4, 10)] if "working" in said else []
    )
    assert activity.result() == PROGRAMS[name]


# What the reader of a page waits for before the next block.
UNTIL_SOME_ARE_DONE = "until grep -q 'item 3 is done' said; do kill -0 $!; sleep 0.1; done\n"


def test_commands_of_the_page_show_a_killed_program_resume(server: Server, tmp_path: Path) -> None:
    if server.version < OLDEST:
        unsupported("standalone activities of the page")
    bash = requires(shutil.which("bash"), "bash")
    requires(shutil.which("pkill"), "pkill (Debian: procps)")
    page = ROOT / "docs" / "guide" / "try.md"
    write_files(page, tmp_path)
    (tmp_path / "temporal").symlink_to(find_program())
    environment = library_environment() | {
        "TEMPORAL_ADDRESS": server.address,
        "PATH": f"{tmp_path}:{VENV_BIN}:{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT / "bindings" / "python"),
    }
    start, kill, result = [block.code for block in code_blocks(page) if block.language == "sh"]
    script = f'cd "$0"\nexec >said 2>&1\n{start}{UNTIL_SOME_ARE_DONE}{kill}{result}'
    with Process([bash, "-euc", script, str(tmp_path)], environment, merge_stderr=True) as reader:
        status = reader.wait()
    said = (tmp_path / "said").read_text()
    assert status == 0, said
    done = [int(item) for item in re.findall(r"^item (\d+) is done$", said, flags=re.MULTILINE)]
    assert set(done) == set(range(1, 11))
    assert done.count(1) == 1, "it started again at the first item"
    assert re.search(r'Result\s+"ten items"', said), said


def test_installation_page_lists_the_installed_files(tmp_path: Path) -> None:
    for tool in ("pkg-config", "cmake"):
        requires(shutil.which(tool), tool)
    page = ROOT / "docs" / "guide" / "install.md"
    said = follow(page, tmp_path, library_environment() | stand_in(tmp_path))
    assert f"-L{tmp_path}/prefix/lib -ltemporal_heartbeat" in said
    [listed] = [block.code for block in code_blocks(page) if block.code.startswith("include/")]
    for line in listed.splitlines():
        assert (tmp_path / "prefix" / line.split()[0]).exists(), line


@pytest.mark.parametrize("page", GUIDE, ids=named)
def test_every_code_block_is_run_or_is_an_excerpt(page: Path) -> None:
    assert uncovered(page) == []
    assert [block for block in code_blocks(page) if block.role == "excerpt" and not is_excerpt(block)] == []


def test_python_programs_that_start_processes_or_workers_can_be_imported() -> None:
    """multiprocessing and the SDK's sandbox import the main module again."""
    programs = {f"{page.name}: {block.code[:60]!r}": block.code for page in DOCS for block in code_blocks(page)}
    programs |= {str(path): path.read_text() for path in (ROOT / "examples").rglob("*.py")}
    programs |= {str(path): path.read_text() for path in (ROOT / "bindings/python/examples").glob("*.py")}
    starting = {
        name: code
        for name, code in programs.items()
        if re.search(r"^(import|from) ", code, re.MULTILINE)
        and re.search(r"ProcessPoolExecutor\(|multiprocessing|\bWorker\(.*\brun\(", code)
    }
    assert len(starting) >= 4, list(starting)
    assert [name for name, code in starting.items() if '__name__ == "__main__"' not in code] == []


@pytest.mark.parametrize("page", DOCS, ids=named)
def test_every_link_has_a_target(page: Path) -> None:
    for link in links(page):
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link
