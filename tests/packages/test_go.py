"""Go: the module from a proxy, as `go get` fetches it, which contains the library; and other copies of the library."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from harness.fixtures import StartActivity
from harness.paths import ROOT, library
from harness.server import Server
from packages.builds import (
    GO_MODULE,
    ITEMS,
    PackageActivity,
    fresh_environment,
    go_environment,
    go_program,
    go_proxy,
    installed_prefix,
    run,
)
from packages.stopwatch import Way
from packages.stopwatch import way as way

STATIC = "temporal_heartbeat_static"
# The message of the library for the address ":", which no other part of the program checks.
REACHES_THE_LIBRARY = "TEMPORAL_ADDRESS must be host:port"


@pytest.fixture
def reader(tmp_path: Path) -> dict[str, str]:
    """Returns the environment of a reader with an empty cache and with a proxy that has the module."""
    return go_environment(go_proxy(), tmp_path / "gopath")


def check_that_the_program_contains_the_library(solver: Path, folder: Path) -> None:
    needed = run("readelf", "--dynamic", str(solver), cwd=folder)
    assert "libtemporal_heartbeat" not in needed
    assert "libgcc_s" not in needed
    assert "thb_" not in run("nm", "--dynamic", "--defined-only", str(solver), cwd=folder)
    run("strip", str(solver), cwd=folder)
    assert os.path.getsize(solver) < 7.3 * 1024 * 1024  # the library and its TLS are 3.3 MiB of it


def test_module_from_a_fresh_gopath_completes_without_a_library(
    reader: dict[str, str], server: Server, start: StartActivity, tmp_path: Path, way: Way
) -> None:
    activity = PackageActivity(server, start)
    with way("Go, by `go get` into a fresh GOPATH"):
        solver = go_program(tmp_path / "solver", reader)
        assert activity.completed_by(str(solver), "-items", "3", cwd=tmp_path) == ITEMS
    check_that_the_program_contains_the_library(solver, tmp_path)
    assert REACHES_THE_LIBRARY in failure_of(solver)
    missing = str(tmp_path / "missing.so")
    assert f"TEMPORAL_HEARTBEAT_LIBRARY: {missing}: cannot open" in failure_of(solver, missing)
    assert REACHES_THE_LIBRARY in failure_of(solver, str(library()))
    # Vendored packages have the library too.
    run("go", "mod", "vendor", cwd=solver.parent, env=reader)
    run("go", "build", "-o", "vendored", ".", cwd=solver.parent, env=reader | {"GOPROXY": "off"})
    assert REACHES_THE_LIBRARY in failure_of(solver.parent / "vendored")


def failure_of(solver: Path, library: str = "") -> str:
    """Returns what the program writes with an address that the library refuses."""
    environment = fresh_environment(TEMPORAL_HEARTBEAT_LIBRARY=library, TEMPORAL_ADDRESS=":")
    failed = subprocess.run([solver], env=environment, stderr=subprocess.PIPE, text=True, check=False)
    assert failed.returncode != 0
    return failed.stderr


def test_module_in_a_clone_opens_the_library_next_to_the_program(
    reader: dict[str, str], server: Server, start: StartActivity, tmp_path: Path, way: Way
) -> None:
    activity = PackageActivity(server, start)
    folder = tmp_path / "solver"
    folder.mkdir()
    shutil.copy(ROOT / "bindings/go/examples/activity/main.go", folder)
    with way("Go, from a clone, with the library next to the program"):
        for command in (
            "mod init solver",
            f"mod edit -replace {GO_MODULE}={ROOT / 'bindings/go'}",
            "mod tidy",
            "build -o solver .",
        ):
            run("go", *command.split(), cwd=folder, env=reader)
        shutil.copy(library(), folder / "libtemporal_heartbeat.so.0")
        assert activity.completed_by(str(folder / "solver"), "-items", "3", cwd=tmp_path) == ITEMS


def test_program_with_an_installed_library_needs_nothing_else(
    reader: dict[str, str], server: Server, start: StartActivity, tmp_path: Path, way: Way
) -> None:
    activity = PackageActivity(server, start)
    with way("Go, by `go get` into a fresh GOPATH, with the library linked from an empty PREFIX"):
        prefix = installed_prefix(tmp_path / "prefix")
        reader["PKG_CONFIG_PATH"] = str(prefix / "lib/pkgconfig")
        solver = go_program(tmp_path / "solver", reader, "-tags", STATIC)
        shutil.rmtree(prefix)
        assert activity.completed_by(str(solver), "-items", "3", cwd=tmp_path) == ITEMS
    check_that_the_program_contains_the_library(solver, tmp_path)


def test_build_tag_without_an_installed_library_fails_by_name(reader: dict[str, str], tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="temporal_heartbeat-static"):
        go_program(tmp_path / "solver", reader, "-tags", STATIC)


def test_build_without_a_compiler_fails_with_the_reason(reader: dict[str, str], tmp_path: Path) -> None:
    with pytest.raises(
        AssertionError, match="temporal_heartbeat_needs_cgo__set_CGO_ENABLED_1_and_install_a_C_compiler"
    ):
        go_program(tmp_path / "solver", reader | {"CGO_ENABLED": "0"})
