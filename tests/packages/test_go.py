"""Go: the module from a proxy, as `go get` fetches it, with the library opened at run time or linked."""

import os
import shutil
from pathlib import Path

import pytest

from harness.fixtures import StartActivity
from harness.paths import ROOT, library
from harness.requires import requires
from harness.server import Server
from packages.builds import ITEMS, PackageActivity, fresh_environment, go_proxy, installed_prefix, run
from packages.stopwatch import Way
from packages.stopwatch import way as way

MODULE = "temporal-heartbeat.dev/go"
PROGRAM = (ROOT / "bindings/go/examples/activity/main.go").read_text()
STATIC = "temporal_heartbeat_static"


@pytest.fixture
def reader(tmp_path: Path) -> dict[str, str]:
    """Returns the environment of a reader with an empty cache and with a proxy that has the module."""
    go = requires(shutil.which("go"), "go")
    proxies = run(go, "env", "GOPROXY").strip()
    return fresh_environment(
        GOPATH=str(tmp_path / "gopath"),
        GOPROXY=f"file://{go_proxy()},{proxies}",
        GONOSUMDB=f"{MODULE}/*,{MODULE}",
        GOFLAGS="-modcacherw",
    )


def program_of_a_reader(folder: Path, reader: dict[str, str], *flags: str) -> Path:
    folder.mkdir()
    (folder / "main.go").write_text(PROGRAM)
    for command in ("mod init solver", f"get {MODULE}", "mod tidy"):
        run("go", *command.split(), cwd=folder, env=reader)
    run("go", "build", *flags, "-o", "solver", ".", cwd=folder, env=reader)
    return folder / "solver"


def test_module_from_a_fresh_gopath_completes_without_flags(
    reader: dict[str, str], server: Server, start: StartActivity, tmp_path: Path, way: Way
) -> None:
    activity = PackageActivity(server, start)
    with way("Go, by `go get` into a fresh GOPATH, the library next to the program"):
        solver = program_of_a_reader(tmp_path / "solver", reader)
        shutil.copy(library(), solver.parent / "libtemporal_heartbeat.so.0")
        assert activity.completed_by(str(solver), "-items", "3", cwd=tmp_path) == ITEMS


def test_program_with_the_linked_library_needs_nothing_else(
    reader: dict[str, str], server: Server, start: StartActivity, tmp_path: Path, way: Way
) -> None:
    activity = PackageActivity(server, start)
    with way("Go, by `go get` into a fresh GOPATH, with the library linked from an empty PREFIX"):
        prefix = installed_prefix(tmp_path / "prefix")
        reader["PKG_CONFIG_PATH"] = str(prefix / "lib/pkgconfig")
        solver = program_of_a_reader(tmp_path / "solver", reader, "-tags", STATIC)
        shutil.rmtree(prefix)
        assert activity.completed_by(str(solver), "-items", "3", cwd=tmp_path) == ITEMS
    needed = run("readelf", "--dynamic", str(solver), cwd=tmp_path)
    assert "libtemporal_heartbeat" not in needed
    assert "libgcc_s" not in needed
    run("strip", str(solver), cwd=tmp_path)
    assert os.path.getsize(solver) < 7 * 1024 * 1024  # the library and its TLS are 3 MiB of it


def test_build_tag_without_an_installed_library_fails_by_name(reader: dict[str, str], tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="temporal_heartbeat-static"):
        program_of_a_reader(tmp_path / "solver", reader, "-tags", STATIC)


def test_build_without_a_compiler_fails_with_the_reason(reader: dict[str, str], tmp_path: Path) -> None:
    with pytest.raises(
        AssertionError, match="temporal_heartbeat_needs_cgo__set_CGO_ENABLED_1_and_install_a_C_compiler"
    ):
        program_of_a_reader(tmp_path / "solver", reader | {"CGO_ENABLED": "0"})
