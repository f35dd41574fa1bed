"""Packs bindings/go as a Go module proxy serves it, so that `go get` works from a folder.

    packaging/go_module.py target/dist/go v0.1.0
    export GOPROXY=file://$PWD/target/dist/go,$(go env GOPROXY) GONOSUMDB=temporal-heartbeat.dev/go
    go get temporal-heartbeat.dev/go
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


def main() -> None:
    proxy, version = Path(sys.argv[1]), sys.argv[2]
    manifest = (SOURCE / "go.mod").read_bytes()
    module = manifest.split()[1].decode()
    folder = proxy / module / "@v"
    folder.mkdir(parents=True, exist_ok=True)

    (folder / "list").write_text(f"{version}\n")
    (folder / f"{version}.info").write_text(json.dumps({"Version": version, "Time": last_change()}))
    (folder / f"{version}.mod").write_bytes(manifest)
    with zipfile.ZipFile(folder / f"{version}.zip", "w", zipfile.ZIP_DEFLATED) as packed:
        for path in files():
            packed.write(SOURCE / path, f"{module}@{version}/{path}")
        # The package site doesn't show a module without a licence.
        for licence in ("LICENSE-MIT", "LICENSE-APACHE"):
            packed.write(ROOT / licence, f"{module}@{version}/{licence}")
    print(folder / f"{version}.zip")


def files() -> list[str]:
    """Returns the files of the module, without those of nested modules."""
    known = git("ls-files", "--cached", "--others", "--exclude-standard", ".").splitlines()
    others = [Path(path).parent for path in known if path.endswith("/go.mod")]
    return [path for path in sorted(known) if not any(other in Path(path).parents for other in others)]


def last_change() -> str:
    return git("log", "-1", "--date=format-local:%Y-%m-%dT%H:%M:%SZ", "--format=%cd").strip()


def git(*arguments: str) -> str:
    utc = {**os.environ, "TZ": "UTC"}
    command = ["git", *arguments]
    return subprocess.run(command, cwd=SOURCE, env=utc, check=True, stdout=subprocess.PIPE, text=True).stdout


main()
