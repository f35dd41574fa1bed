"""Each artefact is used on its platform, until the real server has acknowledged its heartbeats and its result."""

import shutil
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.fixtures import StartActivity
from harness.paths import ROOT
from harness.server import Server
from packages.builds import ITEMS, PackageActivity, run
from release.artefacts import artefact, unpacked
from release.chroots import needs_root
from release.platforms import PLATFORMS, Platform, compiled, go_compiled
from release.table import Measured
from release.table import measured as measured

EXAMPLES = ROOT / "bindings"
LIBRARY = "temporal_heartbeat/libtemporal_heartbeat.so"


@pytest.fixture(params=PLATFORMS, ids=lambda platform: platform.name)
def platform(request: pytest.FixtureRequest) -> Platform:
    chosen: Platform = request.param
    return chosen


@pytest.fixture
def work(platform: Platform) -> Iterator[Path]:
    """The folder /work of the platform's root file system, empty."""
    folder = platform.root() / "work"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def activity(server: Server, start: StartActivity) -> PackageActivity:
    return PackageActivity(server, start)


@pytest.mark.parametrize("kind", ["shared", "static"])
def test_c_program_with_the_tarball_completes(
    kind: str, platform: Platform, work: Path, activity: PackageActivity, tmp_path: Path, measured: Measured
) -> None:
    with measured(platform, platform.tarball, f"C, {kind} library"):
        package = unpacked(platform.name, tmp_path)
        shutil.copy(compiled(platform, EXAMPLES / "c/examples/activity.c", package, tmp_path, kind), work / "program")
        shutil.copy(package / "lib/libtemporal_heartbeat.so.0", work)
        command = platform.entered(work.parent, "/work/program", "3", "/work/done")
        libraries = "/work" if kind == "shared" else "/none"
        assert activity.completed_by(*command, cwd=tmp_path, LD_LIBRARY_PATH=libraries) == ITEMS


def test_wheel_installed_by_pip_completes(
    platform: Platform, work: Path, activity: PackageActivity, tmp_path: Path, measured: Measured
) -> None:
    if platform.libc == "musl":
        pytest.skip("Debian has no Python for musl; the next test opens the library of the wheel there")
    shutil.copy(platform.wheel, work)
    shutil.copy(EXAMPLES / "python/examples/activity.py", work)
    with measured(platform, platform.wheel, "Python 3.9, by pip"):
        install = f"-m pip install --quiet --no-index --target /work/site /work/{platform.wheel.name}".split()
        run(*platform.entered(work.parent, "/usr/bin/python3", *install))
        command = platform.entered(work.parent, "/usr/bin/python3", "/work/activity.py", "3", "/work/done")
        assert activity.completed_by(*command, cwd=tmp_path, PYTHONPATH="/work/site") == ITEMS


def test_library_of_the_wheel_opened_by_a_program_completes(
    platform: Platform, work: Path, activity: PackageActivity, tmp_path: Path, measured: Measured
) -> None:
    package = unpacked(platform.name, tmp_path)
    program = compiled(platform, EXAMPLES / "c/examples/resume_dlopen.c", package, tmp_path, "dlopen")
    shutil.copy(program, work / "program")
    with measured(platform, platform.wheel, "dlopen"):
        with zipfile.ZipFile(platform.wheel) as packed:
            packed.extract(LIBRARY, work)
        command = platform.entered(work.parent, "/work/program", "3", "/work/done")
        library = f"/work/{LIBRARY}"
        assert activity.completed_by(*command, cwd=tmp_path, TEMPORAL_HEARTBEAT_LIBRARY=library) == ITEMS


def test_go_program_with_the_module_completes(
    platform: Platform, work: Path, activity: PackageActivity, tmp_path: Path, measured: Measured
) -> None:
    """The module contains the library, so the program needs only libc."""
    module = artefact("temporal-heartbeat-*-go-module.tar.gz")
    with measured(platform, module, "Go, by `go get`"):
        shutil.move(go_compiled(platform, module, tmp_path), work / "program")
        command = platform.entered(work.parent, "/work/program", "-items", "3")
        assert activity.completed_by(*command, cwd=tmp_path) == ITEMS


def test_command_line_program_of_the_tarball_completes(
    platform: Platform, activity: PackageActivity, tmp_path: Path, measured: Measured
) -> None:
    """For musl, the root file system has nothing but the program."""
    needs_root()
    empty = tmp_path / "root"
    empty.mkdir()
    root = platform.root() if platform.libc == "gnu" else empty
    with measured(platform, platform.tarball, "the command-line program"):
        shutil.copy(unpacked(platform.name, tmp_path) / "bin/temporal-heartbeat", root)
        program = platform.entered(root, "/temporal-heartbeat")
        activity.runs(*program, "heartbeat", '{"item": 2}', cwd=tmp_path)
        assert activity.completed_by(*program, "complete", "3", cwd=tmp_path) == ITEMS
