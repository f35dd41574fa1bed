"""The deb and rpm packages: installed into a fresh system, and used there by a C program and by `exec`."""

import re
import shutil
from pathlib import Path

import pytest

from harness.fixtures import StartActivity
from harness.paths import ROOT
from harness.requires import requires
from harness.server import Server
from packages.builds import ITEMS, PackageActivity, run
from packages.stopwatch import Way
from packages.stopwatch import way as way
from release.artefacts import ARTEFACTS, MACHINE, artefact
from release.chroots import debian, entered

# With glibc 2.31.
SUITE = "bullseye"
COMPILER = "gcc,libc6-dev,pkgconf"
SOURCE = ROOT / "bindings/c/examples/activity.c"
COMPILE = "cc /tmp/activity.c $(pkg-config --cflags --libs {}) -o /tmp/solver"

DEBIAN_NAMES = {"x86_64": "amd64", "aarch64": "arm64"}


def packages(kind: str, machine: str = MACHINE) -> list[Path]:
    """Returns the package of the library and the program, and that for compilers."""
    if kind == "deb":
        return [artefact(f"temporal-heartbeat{part}_*_{DEBIAN_NAMES[machine]}.deb") for part in ("", "-dev")]
    return [artefact(f"temporal-heartbeat{part}-[0-9]*.{machine}.rpm") for part in ("", "-devel")]


LIBDIRS = {"deb": f"/usr/lib/{MACHINE}-linux-gnu", "rpm": "/usr/lib64"}


@pytest.mark.parametrize("kind", LIBDIRS)
def test_packages_are_installed_used_by_c_and_exec_and_removed(
    kind: str, server: Server, start: StartActivity, tmp_path: Path, way: Way
) -> None:
    root = debian(SUITE, COMPILER, tmp_path / "root")
    shutil.copy(SOURCE, root / "tmp")
    # Debian's tools don't search this folder by themselves, unlike those of systems with rpm packages.
    own = [f"PKG_CONFIG_PATH={LIBDIRS['rpm']}/pkgconfig", f"LD_LIBRARY_PATH={LIBDIRS['rpm']}"] if kind == "rpm" else []

    def compile_with(package: str) -> None:
        run(*entered(root, "env", *own, "sh", "-c", COMPILE.format(package)))

    def completed_by(*command: str) -> object:
        return PackageActivity(server, start).completed_by(*entered(root, "env", *own, *command), cwd=root)

    with way(f"C, from the {kind} packages, in Debian {SUITE}"):
        install(kind, root)
        compile_with("temporal_heartbeat")
        assert completed_by("/tmp/solver", "3", "done") == ITEMS
    assert "libtemporal_heartbeat.so.0" in run("readelf", "--dynamic", str(root / "tmp/solver"))
    compile_with("temporal_heartbeat-static")
    assert "libtemporal_heartbeat" not in run("readelf", "--dynamic", str(root / "tmp/solver"))
    assert completed_by("/tmp/solver", "3", "done") == ITEMS
    assert completed_by("temporal-heartbeat", "exec", "--result", "json", "--", "echo", str(ITEMS)) == ITEMS

    assert installed_files(root)
    remove(kind, root)
    assert installed_files(root) == []


def install(kind: str, root: Path) -> None:
    library, development = packages(kind)
    if kind == "rpm":
        program = requires(shutil.which("rpm"), "rpm")
        # Debian has no rpm package of glibc.
        run(program, f"--root={root}", "--nodeps", "--install", str(library), str(development))
        return
    for package in (library, development):
        shutil.copy(package, root / "tmp")
    dpkg_install = entered(root, "dpkg", "--install")
    with pytest.raises(AssertionError, match=r"depends on temporal-heartbeat \(= .*\n *Package .* is not installed"):
        run(*dpkg_install, f"/tmp/{development.name}")
    run(*dpkg_install, f"/tmp/{library.name}")
    run(*entered(root, "dpkg", "--configure", "temporal-heartbeat-dev"))


def remove(kind: str, root: Path) -> None:
    if kind == "rpm":
        run("rpm", f"--root={root}", "--nodeps", "--erase", "temporal-heartbeat-devel", "temporal-heartbeat")
    else:
        run(*entered(root, "dpkg", "--purge", "temporal-heartbeat-dev", "temporal-heartbeat"))


def installed_files(root: Path) -> list[Path]:
    return [path for path in root.rglob("*temporal*heartbeat*") if path.parent != root / "tmp"]


def test_each_tarball_for_glibc_has_packages_of_its_machine() -> None:
    tarballs = list(ARTEFACTS.glob("temporal-heartbeat-*-linux-*-gnu.tar.gz"))
    requires(tarballs, "make release")
    for tarball in tarballs:
        [machine] = re.findall(r"-linux-(\w+)-gnu", tarball.name)
        for package in packages("deb", machine):
            assert run("dpkg-deb", "--field", str(package), "Architecture").strip() == DEBIAN_NAMES[machine]
        packages("rpm", machine)
        library, _ = packages("deb", machine)
        assert f"./usr/lib/{machine}-linux-gnu/libtemporal_heartbeat.so.0 ->" in run("dpkg-deb", "-c", str(library))


def test_rpm_packages_are_whole_and_need_each_other() -> None:
    rpm = requires(shutil.which("rpm"), "rpm")
    for package in packages("rpm"):
        assert "digests OK" in run(rpm, "--checksig", str(package))
    requirements = run(rpm, "--query", "--package", "--requires", str(packages("rpm")[1]))
    assert re.search(r"^temporal-heartbeat = ", requirements, re.MULTILINE)


def test_packages_need_no_newer_c_library_than_the_release_promises() -> None:
    rpm = requires(shutil.which("rpm"), "rpm")
    promised = r"\b(?:libc6 \(|glibc )>= 2\.(\d+)"
    stated = run("dpkg-deb", "--field", str(packages("deb")[0]), "Depends")
    stated += run(rpm, "--query", "--package", "--requires", str(packages("rpm")[0]))
    assert re.findall(promised, stated) == ["17", "17"]
