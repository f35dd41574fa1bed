"""The platforms of the release: how their programs are compiled, and where they run.

Debian bullseye is the oldest Debian that can still be fetched. It has glibc 2.31 and musl. Its packages are unpacked
into a folder, and the programs run there by chroot. qemu runs a program for another processor. Such a program can't
start others.
"""

import functools
import re
import shutil
import tarfile
from dataclasses import dataclass
from pathlib import Path

from harness.build import alone
from harness.paths import ROOT
from harness.requires import requires
from packages.builds import fresh_environment, go_environment, go_program, run
from release.artefacts import MACHINE, artefact
from release.chroots import entered, needs_root

TOOLS = ROOT / "target" / "tools"

ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}

# Both have the C libraries glibc and musl. The compilers are those of a user on x86-64.
RUN = ("python3", "python3-pip", "libgcc-s1", "musl")
COMPILE = (
    *RUN,
    "dash",
    "gcc",
    "libc6-dev",
    "pkg-config",
    "gcc-aarch64-linux-gnu",
    "libc6-dev-arm64-cross",
    "musl-tools",
)

COMPILERS = {
    "linux-x86_64-gnu": "gcc",
    "linux-aarch64-gnu": "aarch64-linux-gnu-gcc",
    # Its default is `cc`, a link that only an installation creates.
    "linux-x86_64-musl": "REALGCC=gcc musl-gcc",
}

EMULATOR = "qemu-aarch64-static"


def fetched(name: str, suite: str, architecture: str, *packages: str) -> Path:
    """Returns the folder with unpacked Debian packages. The first run fetches them."""
    with alone(f"{name}.lock"):
        script = ROOT / "packaging" / "debian.sh"
        run(str(script), str(TOOLS / name), suite, architecture, *packages, env=fresh_environment(SECURITY="no"))
    return TOOLS / name


def compilers_root() -> Path:
    needs_root()
    root = fetched("bullseye-compilers", "bullseye", "amd64", *COMPILE)
    # In an installed system, /lib is a link to /usr/lib, where the linker looks for musl.
    musl = root / "usr/lib/x86_64-linux-musl/libc.so"
    if not musl.exists():
        musl.symlink_to("../../../lib/x86_64-linux-musl/libc.so")
    return root


@dataclass(frozen=True)
class Platform:
    name: str

    @property
    def machine(self) -> str:
        return self.name.split("-")[1]

    @property
    def libc(self) -> str:
        return self.name.split("-")[2]

    @property
    def tarball(self) -> Path:
        return artefact(f"temporal-heartbeat-*-{self.name}.tar.gz")

    @property
    def debug_tarball(self) -> Path:
        return artefact(f"temporal-heartbeat-*-{self.name}-debug.tar.gz")

    @property
    def wheel(self) -> Path:
        return artefact(f"*-{'musllinux' if self.libc == 'musl' else 'manylinux'}*_{self.machine}.whl")

    @property
    def system(self) -> str:
        """Describes where the programs run."""
        libc = "musl 1.2.2" if self.libc == "musl" else "glibc 2.31"
        return f"{libc}, {self.machine}{'' if self.machine == MACHINE else ', emulated'}"

    @functools.cached_property
    def compiler(self) -> str:
        """Returns the compiler that the library names."""
        with tarfile.open(self.tarball) as packed:
            [library] = [file for file in packed if file.isfile() and ".so" in file.name]
            content = packed.extractfile(library)
            assert content
            found = re.search(rb"rustc version (\S+)", content.read())
        assert found, f"{library.name} names no compiler"
        return f"rustc {found[1].decode()}"

    def files(self) -> Path:
        """Returns the folder with the files of the system."""
        return fetched(f"bullseye-{self.machine}", "bullseye", ARCHITECTURES[self.machine], *RUN)

    def root(self) -> Path:
        needs_root()
        return self.files()

    def entered(self, root: Path, *command: str) -> list[str]:
        """Returns the command that runs a program of this platform in a root file system."""
        return entered(root, *self._emulator(root), *command)

    def _emulator(self, root: Path) -> list[str]:
        if self.machine == MACHINE:
            return []
        copy = root / EMULATOR
        if not copy.exists():
            shutil.copy(
                fetched("qemu", "bookworm", ARCHITECTURES[MACHINE], "qemu-user-static") / "usr/bin" / EMULATOR, copy
            )
        return [f"/{EMULATOR}"]


PLATFORMS = [Platform(f"linux-{machine}-{libc}") for libc in ("gnu", "musl") for machine in ("x86_64", "aarch64")]


def compiled(platform: Platform, source: Path, package: Path, folder: Path, kind: str) -> Path:
    """Compiles a program in C with an unpacked tarball and pkg-config, as a user does.

    The kind is the library that is linked, shared or static. With the kind dlopen, the program links neither.
    """
    if platform.name not in COMPILERS:
        return _compiled_by_zig(platform, source, package, folder, kind)
    root = compilers_root()
    place = root / "work"
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir()
    shutil.copytree(package, place / "package", symlinks=True)
    shutil.copy(source, place)
    flags = f"-static $({PKG_CONFIG}-static)" if kind == "static" and platform.libc == "musl" else LINKED[kind]
    compiler = f"{COMPILERS[platform.name]} -std=c11"
    run(*entered(root, "/bin/sh", "-c", f"cd /work && {compiler} {source.name} -o program {flags}"))
    return Path(shutil.move(place / "program", folder / f"program-{kind}"))


PKG_CONFIG = "PKG_CONFIG_PATH=package/lib/pkgconfig pkg-config --cflags --libs temporal_heartbeat"
LINKED = {"shared": f"$({PKG_CONFIG})", "static": f"$({PKG_CONFIG}-static)", "dlopen": "-Ipackage/include -ldl"}


def zig_compiler(platform: Platform, version: str = "") -> list[str]:
    """Returns the command of zig's C compiler for a platform, and for a version of its C library."""
    python = TOOLS / "venv" / "bin" / "python"
    requires(python.exists(), "zig (make release)")
    return [str(python), "-m", "ziglang", "cc", "-target", f"{platform.machine}-linux-{platform.libc}{version}"]


def go_compiled(platform: Platform, module: Path, folder: Path) -> Path:
    """Builds the example in Go as a user does who has the module of the release and a C compiler for the platform."""
    run("tar", "-xzf", str(module), "-C", str(folder))
    environment = go_environment(folder / module.name.removesuffix(".tar.gz"), folder / "gopath")
    environment |= {
        "CGO_ENABLED": "1",
        "GOARCH": ARCHITECTURES[platform.machine],
        "CC": " ".join(zig_compiler(platform, ".2.31" if platform.libc == "gnu" else "")),
    }
    return go_program(folder / "solver", environment, *(["-tags", "musl"] if platform.libc == "musl" else []))


def _compiled_by_zig(platform: Platform, source: Path, package: Path, folder: Path, kind: str) -> Path:
    """For musl on another processor. Debian has no compiler for it."""
    library, program = package / "lib", folder / f"program-{kind}"
    linked = {
        "shared": ["-dynamic", str(library / "libtemporal_heartbeat.so")],
        "static": [str(library / "libtemporal_heartbeat.a"), "-lunwind"],
        "dlopen": ["-dynamic"],
    }[kind]
    # Without optimization, zig adds checks that need a newer C library.
    compiler = [*zig_compiler(platform), "-std=c11", "-O2", f"-I{package / 'include'}"]
    run(*compiler, str(source), *linked, "-o", str(program))
    return program
