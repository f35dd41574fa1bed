"""The files for Conan, which is run, and for vcpkg, Spack and Homebrew, which aren't: their files are checked."""

import hashlib
import json
import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.fixtures import StartActivity
from harness.paths import ROOT
from harness.requires import requires
from harness.server import Server
from packages.builds import ITEMS, PackageActivity, fresh_environment, run
from packages.stopwatch import Way
from packages.stopwatch import way as way
from release.artefacts import MACHINE, artefact

PLATFORM = f"linux-{MACHINE}-gnu"

CONSUMER = """
cmake_minimum_required(VERSION 3.16)
project(solver LANGUAGES C)
find_package(temporal_heartbeat REQUIRED)
add_executable(solver {source})
target_link_libraries(solver PRIVATE temporal_heartbeat::temporal_heartbeat)
"""

# What vcpkg provides to a port, as far as a port uses it.
VCPKG = """
cmake_minimum_required(VERSION 3.21)
set(PORT temporal-heartbeat)
function(vcpkg_download_distfile out)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "FILENAME;SHA512" "URLS")
  file(DOWNLOAD "${arg_URLS}" "${WORK}/${arg_FILENAME}" EXPECTED_HASH "SHA512=${arg_SHA512}")
  set(${out} "${WORK}/${arg_FILENAME}" PARENT_SCOPE)
endfunction()
function(vcpkg_extract_source_archive out)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "ARCHIVE" "")
  file(ARCHIVE_EXTRACT INPUT "${arg_ARCHIVE}" DESTINATION "${WORK}/unpacked")
  file(GLOB folder "${WORK}/unpacked/*")
  set(${out} "${folder}" PARENT_SCOPE)
endfunction()
function(vcpkg_install_copyright)
  cmake_parse_arguments(PARSE_ARGV 0 arg "" "" "FILE_LIST")
  file(COPY ${arg_FILE_LIST} DESTINATION "${CURRENT_PACKAGES_DIR}/copyright")
endfunction()
function(vcpkg_fixup_pkgconfig)
endfunction()
include("${PORTFILE}")
"""


@pytest.fixture
def ports(tmp_path: Path) -> Path:
    archive = artefact("temporal-heartbeat-*-ports.tar.gz")
    run("tar", "-xzf", str(archive), cwd=tmp_path)
    return tmp_path / archive.name.removesuffix(".tar.gz")


@pytest.fixture
def conan(tmp_path: Path) -> Callable[..., str]:
    """Runs Conan with an empty cache and without a remote."""
    home = tmp_path / "conan"
    program = run(str(ROOT / "packaging" / "packers.sh")).strip() + "/conan"
    environment = fresh_environment(CONAN_HOME=str(home))

    def conan(*arguments: str, cwd: Path = tmp_path) -> str:
        return run(program, *arguments, cwd=cwd, env=environment)

    conan("profile", "detect")
    conan("remote", "disable", "*")
    return conan


@pytest.mark.parametrize("linked", ["shared", "static"])
def test_conan_package_is_created_and_used_by_cmake(
    linked: str,
    ports: Path,
    conan: Callable[..., str],
    server: Server,
    start: StartActivity,
    tmp_path: Path,
    way: Way,
) -> None:
    requires(shutil.which("cmake"), "cmake")
    options = f"-o=temporal-heartbeat/*:shared={linked == 'shared'}"
    consumer = tmp_path / "consumer"
    consumer.mkdir()
    source = ROOT / "bindings/c/examples/activity.c"
    (consumer / "CMakeLists.txt").write_text(CONSUMER.format(source=source))
    with way(f"C, from the Conan package, {linked}"):
        created = conan("create", str(ports / "conan"), options)
        [name] = set(re.findall(r"temporal-heartbeat/[0-9][\w.-]*", created))
        generators = ("-g", "CMakeDeps", "-g", "CMakeToolchain")
        conan("install", f"--requires={name}", options, *generators, "--output-folder=build", cwd=consumer)
        toolchain = "-DCMAKE_TOOLCHAIN_FILE=build/conan_toolchain.cmake"
        run("cmake", "-B", "build", toolchain, "-DCMAKE_BUILD_TYPE=Release", cwd=consumer)
        run("cmake", "--build", "build", cwd=consumer)
        solver = consumer / "build" / "solver"
        assert PackageActivity(server, start).completed_by(str(solver), "3", "done", cwd=tmp_path) == ITEMS
    needed = run("readelf", "--dynamic", str(solver))
    assert ("libtemporal_heartbeat.so.0" in needed) == (linked == "shared")


def test_conan_refuses_a_platform_without_a_tarball(ports: Path, conan: Callable[..., str]) -> None:
    with pytest.raises(AssertionError, match="no package of temporal-heartbeat for linux-sparc-gnu"):
        conan("create", str(ports / "conan"), "-s", "arch=sparc")


def test_vcpkg_port_installs_the_tarball_by_its_hash(ports: Path, tmp_path: Path) -> None:
    cmake = requires(shutil.which("cmake"), "cmake")
    manifest = json.loads((ports / "vcpkg" / "vcpkg.json").read_text())
    assert {"name", "version-semver", "description", "license", "supports"} == set(manifest)
    script = tmp_path / "vcpkg.cmake"
    script.write_text(VCPKG)
    portfile = ports / "vcpkg" / "portfile.cmake"
    installed = tmp_path / "installed"
    variables = {
        "WORK": tmp_path / "work",
        "CURRENT_PACKAGES_DIR": installed,
        "PORTFILE": portfile,
        "VCPKG_TARGET_ARCHITECTURE": {"x86_64": "x64", "aarch64": "arm64"}[MACHINE],
    }
    command = [cmake, *(f"-D{name}={value}" for name, value in variables.items()), "-P", str(script)]
    run(*command)
    for name in ("include/temporal_heartbeat.h", "lib/libtemporal_heartbeat.so", "lib/libtemporal_heartbeat.a"):
        assert (installed / name).exists(), name
    assert os.access(installed / "tools" / "temporal-heartbeat" / "temporal-heartbeat", os.X_OK)
    assert (installed / "copyright" / "LICENSE-MIT").exists()

    text = portfile.read_text()
    portfile.write_text(re.sub(rf"(?<={PLATFORM} )[0-9a-f]{{4}}", "0000", text))
    assert portfile.read_text() != text
    with pytest.raises(AssertionError, match=r"does not match expected|HASH mismatch"):
        run(*command)


def test_formula_and_package_are_valid_and_have_the_hashes_of_the_tarballs(ports: Path) -> None:
    formula = ports / "homebrew" / "temporal-heartbeat.rb"
    assert "Syntax OK" in run(requires(shutil.which("ruby"), "ruby"), "-c", str(formula))
    package = (ports / "spack" / "package.py").read_text()
    compile(package, "package.py", "exec")
    tarball = artefact(f"temporal-heartbeat-*-{PLATFORM}.tar.gz")
    hashed = hashlib.sha256(tarball.read_bytes()).hexdigest()
    assert f'"{PLATFORM}" => "{hashed}"' in formula.read_text()
    assert f'"{PLATFORM}": "{hashed}"' in package
    for text in (formula.read_text(), package):
        assert "@" not in text, "a placeholder is left"
