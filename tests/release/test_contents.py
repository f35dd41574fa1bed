"""What the artefacts contain: sizes, symbols, the version of the C library, licences, checksums, no local paths."""

import hashlib
import json
import os
import re
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.paths import INCLUDE, ROOT, VENV_BIN
from harness.requires import missing
from packages.builds import run
from release.artefacts import ARTEFACTS, artefact, unpacked
from release.platforms import PLATFORMS, Platform

OLDEST_GLIBC = (2, 17)
WHEEL_LIMIT = 2 * 1024 * 1024
LIBRARY_LIMIT = int(3.1 * 1024 * 1024)

# Libraries that every Linux has. With musl, they are one file.
SYSTEM_LIBRARIES = {
    "gnu": r"lib(c|m|dl|pthread|rt)\.so\.\d+|ld-linux-.*",
    "musl": r"libc\.musl-\w+\.so\.1",
}


@pytest.fixture(params=PLATFORMS, ids=lambda platform: platform.name)
def platform(request: pytest.FixtureRequest) -> Platform:
    chosen: Platform = request.param
    return chosen


@pytest.fixture
def package(platform: Platform, tmp_path: Path) -> Path:
    return unpacked(platform.name, tmp_path)


@pytest.fixture
def library(package: Path) -> Path:
    return (package / "lib/libtemporal_heartbeat.so").resolve()


def functions() -> set[str]:
    """Returns the names of the functions in the header."""
    declared = re.sub(r"/\*.*?\*/", "", (INCLUDE / "temporal_heartbeat.h").read_text(), flags=re.DOTALL)
    return set(re.findall(r"\b(thb_\w+)\(", declared))


def exported(file: Path, *options: str) -> set[str]:
    lines = run("nm", "--extern-only", "--defined-only", "--format=posix", *options, str(file)).splitlines()
    return {line.split()[0] for line in lines if " " in line}


def dynamic(file: Path, entry: str) -> list[str]:
    return re.findall(rf"\({entry}\)\s+(.*)", run("readelf", "--dynamic", "--wide", str(file)))


def test_library_and_wheel_are_small(platform: Platform, library: Path) -> None:
    assert library.stat().st_size <= LIBRARY_LIMIT
    assert platform.wheel.stat().st_size <= WHEEL_LIMIT


def test_libraries_export_exactly_the_functions_of_the_header(package: Path, library: Path) -> None:
    assert exported(library, "--dynamic") == functions()
    assert exported(package / "lib/libtemporal_heartbeat.a") == functions()


def test_library_stays_loaded_and_names_its_abi(library: Path) -> None:
    assert dynamic(library, "SONAME") == ["Library soname: [libtemporal_heartbeat.so.0]"]
    assert "NODELETE" in " ".join(dynamic(library, "FLAGS_1"))
    assert dynamic(library, "RPATH") == dynamic(library, "RUNPATH") == []


def test_library_needs_only_the_c_library(platform: Platform, library: Path) -> None:
    for entry in dynamic(library, "NEEDED"):
        assert re.fullmatch(rf"Shared library: \[({SYSTEM_LIBRARIES[platform.libc]})\]", entry), entry


def test_symbols_are_those_of_the_oldest_c_library(platform: Platform, package: Path, library: Path) -> None:
    for file in (library, package / "bin/temporal-heartbeat"):
        versions = re.findall(r"@GLIBC_([\d.]+)", run("nm", "--dynamic", "--with-symbol-versions", str(file)))
        assert bool(versions) == (platform.libc == "gnu"), file
        assert all(tuple(map(int, version.split("."))) <= OLDEST_GLIBC for version in versions), set(versions)


def test_symbols_are_those_of_an_old_musl(platform: Platform, library: Path) -> None:
    """Symbols of musl have no versions, so auditwheel can't see which musl a library needs."""
    if platform.libc == "gnu":
        pytest.skip("its symbols have versions")
    lines = run("nm", "--dynamic", "--undefined-only", "--format=posix", str(library)).splitlines()
    wanted = {name for name, kind, *_ in map(str.split, lines) if kind == "U"}  # not weak
    musl = platform.files() / f"lib/{platform.machine}-linux-musl/libc.so"
    assert len(wanted) > 50
    assert wanted <= exported(musl, "--dynamic")


def test_program_for_musl_is_static(platform: Platform, package: Path) -> None:
    headers = run("readelf", "--program-headers", "--wide", str(package / "bin/temporal-heartbeat"))
    assert ("INTERP" in headers) == (platform.libc == "gnu")


def test_platform_in_the_wheel_name_matches_the_library(platform: Platform) -> None:
    program = VENV_BIN / "auditwheel"
    if not program.exists():
        missing("auditwheel (make venv)")
    shown = " ".join(run(str(program), "show", str(platform.wheel)).split())
    expected = f"musllinux_1_2_{platform.machine}" if platform.libc == "musl" else f"manylinux_2_17_{platform.machine}"
    assert f'consistent with the following platform tag: "{expected}"' in shown
    assert platform.wheel.stem.split("-")[-1].startswith(expected)


def test_wheel_and_tarball_have_the_same_library(platform: Platform, library: Path) -> None:
    with zipfile.ZipFile(platform.wheel) as packed:
        assert packed.read("temporal_heartbeat/libtemporal_heartbeat.so") == library.read_bytes()


def test_debug_information_belongs_to_the_library(platform: Platform, library: Path) -> None:
    run("tar", "-xzf", str(platform.debug_tarball), "-C", str(library.parent))
    shown = run("readelf", "--debug-dump=links", str(library))
    assert "libtemporal_heartbeat.so.debug" in shown
    crc = re.search(r"CRC value: (0x[0-9a-f]+)", shown)
    assert crc
    assert int(crc[1], 16) == zlib.crc32((library.parent / "libtemporal_heartbeat.so.debug").read_bytes())


def crates(platform: Platform) -> set[str]:
    """Returns the crates that the debug information of the library names: those from which it has code."""
    with tarfile.open(platform.debug_tarball) as archive:
        content = b"".join(file.read() for file in map(archive.extractfile, archive) if file)
    paths = re.findall(rb"registry/src/[^/\0]+/([A-Za-z0-9_-]+?)-(\d+\.\d+\.\d+[^/\0]*)", content)
    return {f"{name.decode()} {version.decode()}" for name, version in paths}


def bill_of_materials() -> dict[str, str]:
    """Returns the crates of the SBOM, and in what each is."""
    document = json.loads(artefact("*.cdx.json").read_text())
    assert (document["bomFormat"], document["specVersion"]) == ("CycloneDX", "1.6")
    return {
        f"{component['name']} {component['version']}": component["properties"][0]["value"]
        for component in document["components"]
        if "purl" in component
    }


def test_bill_of_materials_has_every_crate_of_the_library(platform: Platform) -> None:
    listed = {crate for crate, place in bill_of_materials().items() if place == "library"}
    found = crates(platform)
    assert len(found) > 30
    # The standard library has crates of its own, which the SBOM lists as one component.
    unlisted = {crate for crate in found - listed if crate.split()[0] not in OF_THE_STANDARD_LIBRARY}
    assert unlisted == set()


OF_THE_STANDARD_LIBRARY = {
    "addr2line",
    "adler2",
    "cfg-if",
    "gimli",
    "hashbrown",
    "libc",
    "memchr",
    "miniz_oxide",
    "object",
    "rustc-demangle",
}


def test_bill_of_materials_has_no_crate_that_is_only_needed_for_the_build() -> None:
    listed = {crate.split()[0] for crate in bill_of_materials()}
    assert {"h2", "rustls", "ring", "clap"} <= listed
    assert not listed & {"protox", "prost-build", "prost-derive", "cc", "syn", "cbindgen", "arbitrary"}


def test_every_package_has_the_licences_of_all_crates(platform: Platform, package: Path) -> None:
    licences = (package / "share/doc/temporal-heartbeat/LICENSE-THIRD-PARTY").read_text()
    with zipfile.ZipFile(platform.wheel) as packed:
        [name] = [name for name in packed.namelist() if name.endswith("LICENSE-THIRD-PARTY")]
        assert packed.read(name).decode() == licences
        [sbom] = [name for name in packed.namelist() if name.endswith(".cdx.json")]
        assert packed.read(sbom) == artefact("*.cdx.json").read_bytes()
    for crate in bill_of_materials():
        # In the list, and above the text.
        assert len(re.findall(rf"(?<![\w-]){re.escape(crate)}(?![\w.])", licences)) >= 2, crate


def contents(file: Path) -> Iterator[tuple[str, bytes]]:
    if file.suffix == ".whl":
        with zipfile.ZipFile(file) as packed:
            yield from ((name, packed.read(name)) for name in packed.namelist())
    elif file.name.endswith(".tar.gz"):
        with tarfile.open(file) as archive:
            for member in archive:
                assert (member.uid, member.gid, member.uname) == (0, 0, ""), member.name
                stream = archive.extractfile(member)
                if stream:
                    yield member.name, stream.read()
    else:
        yield file.name, file.read_bytes()


def test_no_artefact_names_a_folder_of_this_computer() -> None:
    here = [os.fsencode(path) for path in (ROOT, Path(os.environ.get("CARGO_HOME", Path.home() / ".cargo")))]
    # The ports name the folder of the tarballs, which by default is on this computer.
    for file in (file for file in ARTEFACTS.iterdir() if not file.name.endswith("-ports.tar.gz")):
        for name, content in contents(file):
            assert not [path for path in here if path in content], f"{file.name}: {name}"


def test_checksums_list_every_artefact() -> None:
    lines = artefact("SHA256SUMS").read_text().splitlines()
    listed = {name: digest for digest, name in (line.split("  ") for line in lines)}
    files = [path for path in ARTEFACTS.iterdir() if path.is_file() and path.name != "SHA256SUMS"]
    assert listed == {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_every_version_is_that_of_the_manifest(platform: Platform, package: Path) -> None:
    manifest = re.search(r'^version = "(.+)"', (ROOT / "Cargo.toml").read_text(), flags=re.MULTILINE)
    assert manifest
    version = manifest[1]
    assert re.fullmatch(rf"temporal-heartbeat-{version}(-snapshot)?-{platform.name}", package.name)
    assert re.match(rf"temporal_heartbeat-{version}(\.dev0)?-py3-none-", platform.wheel.name)
    assert f"Version: {version}\n" in (package / "lib/pkgconfig/temporal_heartbeat.pc").read_text()
    cmake = package / "lib/cmake/temporal_heartbeat/temporal_heartbeat-config-version.cmake"
    assert f'PACKAGE_VERSION "{version}"' in cmake.read_text()
    assert (package / f"lib/libtemporal_heartbeat.so.{version}").is_file()
    for file in ("lib/libtemporal_heartbeat.so", "bin/temporal-heartbeat"):
        assert version.encode() in (package / file).read_bytes()
