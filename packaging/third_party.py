"""Lists the crates inside the packages: their licences as text, and a software bill of materials (CycloneDX).

    packaging/third_party.py VERSION LICENCES SBOM

Both files are the same for all platforms of a release.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

ROOT = Path(__file__).resolve().parents[1]
TRIPLES = [f"{machine}-unknown-linux-{libc}" for machine in ("x86_64", "aarch64") for libc in ("gnu", "musl")]
TRIPLES += ["x86_64-apple-darwin", "aarch64-apple-darwin"]
LICENCE_FILES = re.compile(r"(LICEN[CS]E|COPYING|COPYRIGHT|NOTICE|UNLICENSE)", re.IGNORECASE)
# What every licence requires from the packages, where a crate has no file with its text.
LICENCES_OF_ALL = {"MIT": ROOT / "LICENSE-MIT", "Apache-2.0": ROOT / "LICENSE-APACHE"}

Package = dict[str, Any]

# Linked as well, but not crates of the registry.
RUNTIMES = [
    ("Rust standard library", "MIT OR Apache-2.0", "https://github.com/rust-lang/rust"),
    ("LLVM libunwind", "Apache-2.0 WITH LLVM-exception", "https://github.com/llvm/llvm-project"),
    ("musl (the static program only)", "MIT", "https://musl.libc.org"),
]


def main() -> None:
    version, licences, sbom = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])
    library = linked("")
    program = linked("cli")
    for path in (licences, sbom):
        path.parent.mkdir(parents=True, exist_ok=True)
    licences.write_text("\n".join(licence_page(program, set(library))))
    sbom.write_text(json.dumps(bill(version, library, program), indent=2) + "\n")


def linked(features: str) -> dict[str, Package]:
    """Returns the crates that the linker sees on any platform: no build scripts, no macros, no tests."""
    found: dict[str, Package] = {}
    for triple in TRIPLES:
        metadata = cargo_metadata(features, triple)
        packages = {package["id"]: package for package in metadata["packages"]}
        nodes = {node["id"]: node for node in metadata["resolve"]["nodes"]}
        waiting = [metadata["resolve"]["root"]]
        seen = set(waiting)
        while waiting:
            for dependency in nodes[waiting.pop()]["deps"]:
                package = packages[dependency["pkg"]]
                is_linked = any(kind["kind"] is None for kind in dependency["dep_kinds"]) and not is_macro(package)
                if is_linked and package["id"] not in seen:
                    seen.add(package["id"])
                    waiting.append(package["id"])
                    found[package["id"]] = package
    return dict(sorted(found.items(), key=lambda item: (item[1]["name"], item[1]["version"])))


def cargo_metadata(features: str, triple: str) -> Any:
    command = [os.environ.get("CARGO", "cargo"), "metadata", "--format-version=1", "--locked", f"--features={features}"]
    command += ["--filter-platform", triple]
    return json.loads(subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE).stdout)


def is_macro(package: Package) -> bool:
    return any("proc-macro" in target["kind"] for target in package["targets"])


def licence_page(crates: dict[str, Package], library: set[str]) -> Iterator[str]:
    """Yields the lines of the file of licences: each text once, with all crates that have it."""
    yield "The packages of temporal-heartbeat contain the work of others, under these licences. Their texts are below."
    yield "Crates with * are only in the command-line program.\n"
    texts: dict[str, list[str]] = {}
    for identifier, crate in crates.items():
        mark = "" if identifier in library else " *"
        yield f"  {crate['name']} {crate['version']}{mark}: {crate['license']}. {crate['repository'] or ''}"
        for text in licence_texts(crate):
            texts.setdefault(text, []).append(f"{crate['name']} {crate['version']}")
    for name, licence, origin in RUNTIMES:
        yield f"  {name}: {licence}. {origin}"
    texts.setdefault(MUSL, []).append("musl")
    for text, names in texts.items():
        yield f"\n{'=' * 78}\n{', '.join(names)}\n{'=' * 78}\n"
        yield text


def licence_texts(crate: Package) -> list[str]:
    folder = Path(crate["manifest_path"]).parent
    files = [path for path in sorted(folder.rglob("*")) if LICENCE_FILES.match(path.name) and path.is_file()]
    files = [path for path in files if path.suffix in ("", ".md", ".txt") or LICENCE_FILES.match(path.suffix[1:])]
    if not files:
        files = [path for name, path in LICENCES_OF_ALL.items() if name in crate["license"]]
    if not files:
        sys.exit(f"packaging: {crate['name']} {crate['version']} has no file with its licence, {crate['license']}")
    return [path.read_text(errors="replace").replace("\r", "").strip() for path in files]


MUSL = """\
Copyright © 2005-2020 Rich Felker, et al.

Permission is hereby granted, free of charge, to any person obtaining a copy of this software and associated
documentation files (the "Software"), to deal in the Software without restriction, including without
limitation the rights to use, copy, modify, merge, publish, distribute, sublicense, and/or sell copies of the
Software, and to permit persons to whom the Software is furnished to do so, subject to the following
conditions:

The above copyright notice and this permission notice shall be included in all copies or substantial portions
of the Software.

THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR IMPLIED, INCLUDING BUT NOT LIMITED
TO THE WARRANTIES OF MERCHANTABILITY, FITNESS FOR A PARTICULAR PURPOSE AND NONINFRINGEMENT. IN NO EVENT SHALL
THE AUTHORS OR COPYRIGHT HOLDERS BE LIABLE FOR ANY CLAIM, DAMAGES OR OTHER LIABILITY, WHETHER IN AN ACTION OF
CONTRACT, TORT OR OTHERWISE, ARISING FROM, OUT OF OR IN CONNECTION WITH THE SOFTWARE OR THE USE OR OTHER
DEALINGS IN THE SOFTWARE."""


def bill(version: str, library: dict[str, Package], program: dict[str, Package]) -> dict[str, Any]:
    """Returns the CycloneDX document, without a time and with an identifier made from its contents."""
    components = [component(crate, "library" if key in library else "program") for key, crate in program.items()]
    components += [
        {"type": "library", "name": name, "licenses": [{"expression": licence}]} for name, licence, _ in RUNTIMES
    ]
    ours = {
        "type": "library",
        "name": "temporal-heartbeat",
        "version": version,
        "purl": f"pkg:cargo/temporal-heartbeat@{version}",
    }
    number = uuid.uuid5(uuid.NAMESPACE_URL, json.dumps([ours, components]))
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{number}",
        "version": 1,
        "metadata": {"component": {**ours, "licenses": [{"expression": "MIT OR Apache-2.0"}]}},
        "components": components,
    }


def component(crate: Package, inside: str) -> dict[str, Any]:
    purl = f"pkg:cargo/{crate['name']}@{quote(crate['version'])}"
    return {
        "type": "library",
        "bom-ref": purl,
        "name": crate["name"],
        "version": crate["version"],
        "purl": purl,
        "hashes": [{"alg": "SHA-256", "content": checksum(crate)}],
        "licenses": [{"expression": crate["license"].replace("/", " OR ")}],
        # The program contains all crates of the library too.
        "properties": [{"name": "temporal-heartbeat:inside", "value": inside}],
    }


def checksum(crate: Package) -> str:
    lock = (ROOT / "Cargo.lock").read_text()
    name, version = re.escape(crate["name"]), re.escape(crate["version"])
    [found] = re.findall(rf'name = "{name}"\nversion = "{version}"\nsource = .*\nchecksum = "(\w+)"', lock)
    return str(found)


main()
