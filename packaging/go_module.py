"""Packs bindings/go as a Go module proxy serves it, with the library of each platform. `go get` works from that folder.

    packaging/go_module.py target/dist/go v0.1.0 linux-x86_64-gnu=target/shipped/libtemporal_heartbeat.a
    export GOPROXY=file://$PWD/target/dist/go,$(go env GOPROXY) GONOSUMDB=temporal-heartbeat.dev/go
    go get temporal-heartbeat.dev/go

LICENCES is a file with the licences of all that the libraries contain.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SOURCE = ROOT / "bindings" / "go"
ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}


def main() -> None:
    proxy, version, *libraries = sys.argv[1:]
    manifest = (SOURCE / "go.mod").read_bytes()
    module = manifest.split()[1].decode()
    folder = Path(proxy) / module / "@v"
    folder.mkdir(parents=True, exist_ok=True)

    (folder / "list").write_text(f"{version}\n")
    (folder / f"{version}.info").write_text(json.dumps({"Version": version, "Time": last_change()}))
    (folder / f"{version}.mod").write_bytes(manifest)
    contents = {path: (SOURCE / path).read_bytes() for path in files()}
    contents |= dict(linkable(*library.split("=", 1)) for library in libraries)
    # The package site doesn't show a module without a licence.
    for licence in (ROOT / "LICENSE-MIT", ROOT / "LICENSE-APACHE", *map(Path, os.environ.get("LICENCES", "").split())):
        contents[licence.name] = licence.read_bytes()
    with zipfile.ZipFile(folder / f"{version}.zip", "w", zipfile.ZIP_DEFLATED) as packed:
        for path, content in sorted(contents.items()):
            # Without a time: equal contents make equal files.
            packed.writestr(zipfile.ZipInfo(f"{module}@{version}/{path}"), content, zipfile.ZIP_DEFLATED, 9)
    print(folder / f"{version}.zip")


def files() -> list[str]:
    """Returns the files of the module, without those of nested modules."""
    known = git("ls-files", "--cached", "--others", "--exclude-standard", ".").splitlines()
    others = [Path(path).parent for path in known if path.endswith("/go.mod")]
    return [path for path in known if not any(other in Path(path).parents for other in others)]


def linkable(platform: str, archive: str) -> tuple[str, bytes]:
    """Returns the only object of a platform's static library, and the file name by which Go links it there."""
    system, machine, libc = platform.split("-")
    name = f"internal/native/{libc}/libtemporal_heartbeat_{system}_{ARCHITECTURES[machine]}.syso"
    [content] = members(Path(archive).read_bytes())
    return name, content


def members(archive: bytes) -> list[bytes]:
    """Returns the contents of the members of an ar archive, without its own tables."""
    found = []
    position = len(b"!<arch>\n")
    while position < len(archive):
        header = archive[position : position + 60]
        start, size = position + 60, int(header[48:58])
        if header[:16].rstrip() not in (b"/", b"//"):
            found.append(archive[start : start + size])
        position = start + size + size % 2
    return found


def last_change() -> str:
    return git("log", "-1", "--date=format-local:%Y-%m-%dT%H:%M:%SZ", "--format=%cd").strip()


def git(*arguments: str) -> str:
    utc = {**os.environ, "TZ": "UTC"}
    command = ["git", *arguments]
    return subprocess.run(command, cwd=SOURCE, env=utc, check=True, stdout=subprocess.PIPE, text=True).stdout


main()
