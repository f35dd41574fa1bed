"""The peers: how each program is built and started."""

import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from compare.paths import BUILD, LIBRARY, PEERS, PYTHON_PACKAGE, ROOT, VENV_PYTHON

# The peers to which ratios are computed.
GO_SDK = "go-sdk"
TONIC = "tonic"


@dataclass(frozen=True)
class Peer:
    name: str
    label: str
    command: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)
    # The prepared frames are only for plaintext and the null server.
    only_null: bool = False
    # Runs only at the base point, because the Java compiler's warm-up takes seconds.
    only_base: bool = False
    has_cold_start: bool = True


def _sdk(name: str, label: str, *command: str, gzip: bool) -> Peer:
    return Peer(name, label, command, {} if gzip else {"GZIP": "0"})


_PYTHON = (VENV_PYTHON, str(PEERS / "python" / "ours.py"))
_PYTHON_AIO = (VENV_PYTHON, str(PEERS / "python" / "aio.py"))
_PYTHON_SDK = (VENV_PYTHON, str(PEERS / "python" / "sdk.py"))
_GO_SDK = str(BUILD / "go" / "sdk")
_JAVA = ("java", "-cp", f"{BUILD / 'java' / 'classes'}:{BUILD / 'java' / 'libraries'}/*", "beats.Main")

PEERS_BY_NAME = {
    peer.name: peer
    for peer in (
        Peer("c", "C", (str(BUILD / "c" / "beats"),)),
        Peer("c-queue", "C, one thread with a queue", (str(BUILD / "c" / "queued"),)),
        Peer("python", "Python", _PYTHON, {"PYTHONPATH": str(PYTHON_PACKAGE)}),
        Peer("python-aio", "Python, asyncio", _PYTHON_AIO, {"PYTHONPATH": str(PYTHON_PACKAGE)}),
        Peer("go", "Go", (str(BUILD / "go" / "ours"),)),
        _sdk(GO_SDK, "Go SDK", _GO_SDK, gzip=False),
        _sdk("go-sdk-gzip", "Go SDK, default (gzip)", _GO_SDK, gzip=True),
        _sdk("python-sdk", "Python SDK", *_PYTHON_SDK, gzip=False),
        _sdk("python-sdk-gzip", "Python SDK, default (gzip)", *_PYTHON_SDK, gzip=True),
        Peer("java-sdk", "Java SDK", _JAVA, only_base=True),
        Peer(TONIC, "bare tonic, asynchronous", (str(BUILD / "release" / "tonic"),)),
        Peer("wire", "prepared frames", (str(BUILD / "release" / "wire"),), only_null=True, has_cold_start=False),
    )
}
OURS = ("c", "c-queue", "python", "python-aio", "go")


def environment(peer: Peer) -> dict[str, str]:
    """Returns the environment of a peer, without the user's TEMPORAL_ variables."""
    mine = {key: value for key, value in os.environ.items() if not key.startswith("TEMPORAL_")}
    return mine | {"TEMPORAL_HEARTBEAT_LIBRARY": str(LIBRARY)} | dict(peer.environment)


def build() -> None:
    """Builds the programs. The Makefile builds the library."""
    for folder in ("c", "go", "java/libraries"):
        (BUILD / folder).mkdir(parents=True, exist_ok=True)
    _run(
        "cargo",
        "build",
        "--quiet",
        "--release",
        "--manifest-path",
        PEERS / "rust" / "Cargo.toml",
        "--target-dir",
        BUILD,
    )
    for program in ("beats", "queued", "launch", "load"):
        source, out = PEERS / "c" / f"{program}.c", BUILD / "c" / program
        link = ("-L", LIBRARY.parent, "-ltemporal_heartbeat", "-lpthread", f"-Wl,-rpath,{LIBRARY.parent}")
        strict = ("-std=c11", "-O2", "-Wall", "-Wextra", "-Werror", f"-I{ROOT / 'include'}")
        _run("cc", *strict, source, "-o", out, *(link if program in ("beats", "queued") else ()))
    _run("go", "-C", PEERS / "go", "build", "-o", BUILD / "go", "./ours", "./sdk")
    pom = PEERS / "java" / "pom.xml"
    installed = BUILD / "java" / "pom.xml"
    if not installed.exists() or installed.read_bytes() != pom.read_bytes():
        copy = ("dependency:copy-dependencies", f"-DoutputDirectory={BUILD / 'java' / 'libraries'}")
        _run("mvn", "--quiet", "--batch-mode", "--file", pom, *copy)
        shutil.copy(pom, installed)
    sources = sorted((PEERS / "java" / "beats").glob("*.java"))
    _run("javac", "-d", BUILD / "java" / "classes", "-cp", f"{BUILD / 'java' / 'libraries'}/*", *sources)


def _run(*command: object) -> None:
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise SystemExit(f"{' '.join(str(word) for word in command)}\n{done.stdout}{done.stderr}")


def named(names: Sequence[str]) -> list[Peer]:
    return [PEERS_BY_NAME[name] for name in names]
