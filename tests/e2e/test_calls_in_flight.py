"""The programs of the documentation that have many calls in flight, on a real server."""

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.build import compile_c, compile_cpp, link, run
from harness.examples import Command, node, rust
from harness.fixtures import StartActivity
from harness.languages import library_environment
from harness.markdown import files
from harness.paths import ROOT, library
from harness.requires import requires
from harness.server import Server

GUIDE = ROOT / "docs" / "guide"


def of_page(name: str, folder: Path) -> Command:
    [(file, code)] = [(file, code) for file, code in files(GUIDE / f"{name}.md").items() if file.startswith("beats")]
    (folder / file).write_text(code)
    link(folder / "libtemporal_heartbeat.so.0", library())
    compiler = compile_c if name == "c" else compile_cpp
    return [str(compiler(folder / file, folder / "beats", str(library()), f"-Wl,-rpath,{folder}"))]


def go_of_page(folder: Path) -> Command:
    (folder / "main.go").write_text(files(GUIDE / "go.md")["go-solver/beats/main.go"])
    go = requires(shutil.which("go"), "go")
    run([go, "-C", str(ROOT / "bindings" / "go"), "build", "-o", str(folder / "beats"), str(folder / "main.go")])
    return [str(folder / "beats")]


PROGRAMS: dict[str, Callable[[Path], Command]] = {
    "c": lambda folder: of_page("c", folder),
    "cpp": lambda folder: of_page("cpp", folder),
    "go": go_of_page,
    "node": lambda _: node("beats"),
    "rust": lambda _: rust("beats"),
}


@pytest.mark.parametrize("language", PROGRAMS)
def test_program_sends_all_heartbeats_and_prints_each_result(
    language: str, server: Server, start: StartActivity, tmp_path: Path
) -> None:
    command = PROGRAMS[language](tmp_path)
    activities = [start("workflow") for _ in range(3)]
    wanted = []
    for number, token in enumerate([*(each.next_attempt().token for each in activities), b"no token"]):
        file = tmp_path / f"{number}.token"
        file.write_bytes(token)
        wanted.append(f"{file}: {'THB_TOKEN_UNREADABLE' if token == b'no token' else 'THB_OK'}")
    done = subprocess.run(
        [*command, *(line.partition(":")[0] for line in wanted)],
        env=library_environment() | {"TEMPORAL_ADDRESS": server.address},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, sorted(done.stdout.splitlines())) == (0, wanted), done.stdout
    assert [each.heartbeat_details() for each in activities] == [[41], [41], [41]]
