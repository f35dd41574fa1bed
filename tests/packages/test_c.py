"""C and C++: the results of `make install` and of the tarball, found by pkg-config and by CMake, shared and static."""

import json
import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.fixtures import StartActivity
from harness.paths import ROOT, TESTS
from harness.requires import requires
from harness.server import Server
from packages.builds import ITEMS, SLOW, PackageActivity, fresh_environment, installed_prefix, make, run, tarball
from packages.stopwatch import Way
from packages.stopwatch import way as way

BINDINGS = ROOT / "bindings"
SOURCES = {"c": BINDINGS / "c/examples/activity.c", "cpp": BINDINGS / "cpp/examples/activity.cpp"}
# 3.4 MiB.
MAX_LIBRARY_BYTES = int(3.4 * 2**20)
COMPILERS = {"c": ("cc", "-std=c11"), "cpp": ("c++", "-std=c++17")}


@pytest.fixture(scope="module")
def prefix(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return installed_prefix(tmp_path_factory.mktemp("prefix") / "an empty place")


def pkg_config(prefix: Path, package: str, *options: str) -> list[str]:
    program = requires(shutil.which("pkg-config"), "pkg-config")
    known = fresh_environment(PKG_CONFIG_PATH=str(prefix / "lib/pkgconfig"))
    printed = run(program, "--cflags", "--libs", *options, package, cwd=prefix, env=known)
    return [flag.replace("\\ ", " ") for flag in re.split(r"(?<!\\) ", printed.strip())]


def needed(program: Path) -> str:
    return run(requires(shutil.which("readelf"), "readelf"), "--dynamic", str(program), cwd=program.parent)


@pytest.mark.parametrize("package", ["temporal_heartbeat", "temporal_heartbeat-static"])
@pytest.mark.parametrize("language", SOURCES)
def test_program_is_built_by_pkg_config_and_completes(
    language: str, package: str, prefix: Path, server: Server, start: StartActivity, tmp_path: Path
) -> None:
    program = tmp_path / "solver"
    flags = pkg_config(prefix, package)
    run(*COMPILERS[language], str(SOURCES[language]), *flags, "-o", str(program), cwd=tmp_path)
    assert ("libtemporal_heartbeat.so.0" in needed(program)) == (package == "temporal_heartbeat")
    activity = PackageActivity(server, start)
    library_path = str(prefix / "lib")
    assert activity.completed_by(str(program), "3", "done", cwd=tmp_path, LD_LIBRARY_PATH=library_path) == ITEMS


def test_programs_are_built_by_cmake_and_complete(
    prefix: Path, server: Server, start: StartActivity, tmp_path: Path
) -> None:
    cmake = requires(shutil.which("cmake"), "cmake")
    project = TESTS / "packages" / "cmake"
    run(cmake, "-S", str(project), "-B", ".", f"-DCMAKE_PREFIX_PATH={prefix}", f"-DEXAMPLES={BINDINGS}", cwd=tmp_path)
    run(cmake, "--build", ".", cwd=tmp_path)
    for language in SOURCES:
        for kind in ("shared", "static"):
            program = tmp_path / f"activity_{language}_{kind}"
            assert ("libtemporal_heartbeat.so.0" in needed(program)) == (kind == "shared")
            # The program contains the path of the shared library, as usual in a CMake build tree.
            assert PackageActivity(server, start).completed_by(str(program), "3", "done", cwd=tmp_path) == ITEMS


@pytest.mark.parametrize(("asked", "found"), [("0.1", True), ("0.0.9", False), ("0.2", False), ("1", False)])
def test_cmake_accepts_compatible_versions(asked: str, found: bool, prefix: Path, tmp_path: Path) -> None:
    cmake = requires(shutil.which("cmake"), "cmake")
    (tmp_path / "CMakeLists.txt").write_text(
        f"cmake_minimum_required(VERSION 3.16)\nproject(asking C)\nfind_package(temporal_heartbeat {asked} REQUIRED)\n"
    )
    done = subprocess.run([cmake, f"-DCMAKE_PREFIX_PATH={prefix}", "."], cwd=tmp_path, capture_output=True, check=False)
    assert (done.returncode == 0) == found, done.stderr


def test_links_point_to_the_library_by_its_soname(prefix: Path) -> None:
    library = prefix / "lib"
    assert os.readlink(library / "libtemporal_heartbeat.so") == "libtemporal_heartbeat.so.0"
    real = library / os.readlink(library / "libtemporal_heartbeat.so.0")
    assert re.fullmatch(r"libtemporal_heartbeat\.so\.0\.\d+\.\d+", real.name)
    assert "Library soname: [libtemporal_heartbeat.so.0]" in needed(real)


def test_debuggers_find_the_debug_information_of_the_shipped_library() -> None:
    make("shipped")
    shipped = ROOT / "target" / "shipped"
    sections = run("readelf", "--sections", "--wide", "libtemporal_heartbeat.so", cwd=shipped)
    assert ".debug_line" not in sections
    assert ".gnu_debuglink" in sections
    assert "libtemporal_heartbeat.so.debug" in run("readelf", "-wk", "libtemporal_heartbeat.so", cwd=shipped)
    assert ".debug_line" in run("readelf", "--sections", "--wide", "libtemporal_heartbeat.so.debug", cwd=shipped)


def test_shipped_library_is_small() -> None:
    make("shipped")
    assert (ROOT / "target/shipped/libtemporal_heartbeat.so").stat().st_size <= MAX_LIBRARY_BYTES


def test_uninstall_removes_all_installed_files(tmp_path: Path) -> None:
    staged = [f"DESTDIR={tmp_path}", "PREFIX=/opt/heartbeat", "LIBDIR=/opt/heartbeat/lib64"]
    make("install", *staged)
    assert (tmp_path / "opt/heartbeat/lib64/libtemporal_heartbeat.so").exists()
    assert str(tmp_path) not in (tmp_path / "opt/heartbeat/lib64/pkgconfig/temporal_heartbeat.pc").read_text()
    make("uninstall", *staged)
    assert [path for path in tmp_path.rglob("*") if not path.is_dir()] == []


def test_unwritable_prefix_fails_before_anything_is_installed(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(AssertionError, match=r"can't write into .*/file/lib: choose another PREFIX \(it is .*/file\)"):
        make("install", f"PREFIX={tmp_path / 'file'}", "CARGO=absent")
    with pytest.raises(AssertionError, match='PREFIX is "here": it must be an absolute path'):
        make("install", "PREFIX=here")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize(
    ("target", "tool", "origin"),
    [("lib", "CARGO", "Rust"), ("test-go", "GO", "Go"), ("go-module", "PYTHON", "Python 3")],
)
def test_missing_tool_is_named_with_its_package(target: str, tool: str, origin: str) -> None:
    with pytest.raises(AssertionError, match=f"make {target}: needs absent, .* install {origin}"):
        make(target, f"{tool}=absent")


def test_tarball_works_wherever_it_is_unpacked(server: Server, start: StartActivity, tmp_path: Path, way: Way) -> None:
    packed = tarball()
    activity = PackageActivity(server, start)
    with way("C, from the tarball, by pkg-config"):
        run("tar", "-xzf", str(packed), cwd=tmp_path)
        [unpacked] = tmp_path.iterdir()
        moved = unpacked.rename(tmp_path / "moved here")
        flags = pkg_config(moved, "temporal_heartbeat")
        run("cc", str(SOURCES["c"]), *flags, "-o", "solver", cwd=tmp_path)
        assert activity.completed_by("./solver", "3", "done", cwd=tmp_path, LD_LIBRARY_PATH=str(moved / "lib")) == ITEMS
    assert str(tmp_path) not in "".join(path.read_text() for path in moved.rglob("*.pc"))


def clone(folder: Path) -> Path:
    run("git", "clone", "--quiet", "--depth=1", f"file://{ROOT}", str(folder))
    return folder


# `make check-packages` also compiles the library and its dependencies, which takes minutes.
SOURCES_OF_ALL: dict[str, Callable[[Path], Path]] = {
    "C, by `make install` into an empty PREFIX and pkg-config": lambda _: ROOT,
    **({"C, from a fresh clone, which is compiled, into an empty PREFIX": clone} if SLOW else {}),
}


@pytest.mark.parametrize("name", SOURCES_OF_ALL)
def test_program_runs_from_an_empty_prefix(
    name: str, server: Server, start: StartActivity, tmp_path: Path, way: Way
) -> None:
    activity = PackageActivity(server, start)
    with way(name):
        prefix = installed_prefix(tmp_path / "prefix", SOURCES_OF_ALL[name](tmp_path / "clone"))
        run("cc", str(SOURCES["c"]), *pkg_config(prefix, "temporal_heartbeat"), "-o", "solver", cwd=tmp_path)
        assert (
            activity.completed_by("./solver", "3", "done", cwd=tmp_path, LD_LIBRARY_PATH=str(prefix / "lib")) == ITEMS
        )


def test_shipped_library_is_built_with_link_time_optimization() -> None:
    """If the crate also built an rlib, cargo would silently skip link-time optimization: checks cargo's plan."""
    [command] = [line for line in make("--dry-run", "--always-make", "lib").splitlines() if " rustc " in line]
    plan = shlex.split(command.partition(" -- ")[0])
    graph = json.loads(
        run(*plan, "--quiet", "--unit-graph", "-Zunstable-options", env=fresh_environment(RUSTC_BOOTSTRAP="1"))
    )
    [library] = [graph["units"][root] for root in graph["roots"]]
    assert set(library["target"]["crate_types"]) == {"cdylib", "staticlib"}
    assert library["profile"]["lto"] == "fat"
