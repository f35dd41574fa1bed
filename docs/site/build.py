"""Builds the site in target/site/html. `make site` runs this with the tools of target/site/venv."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import c_reference
import check
import python_reference
from staging import ROOT, Stage, file_page

WORK = ROOT / "target" / "site"
SOURCE, HTML = WORK / "source", WORK / "html"
HERE = Path(__file__).parent

GO_MODULE = "temporal-heartbeat.dev/go"
GO_PACKAGES = ("heartbeat", "handoff")


def main() -> None:
    Stage(SOURCE).fill()
    shutil.copytree(HERE / "assets", SOURCE / "assets")
    reference = SOURCE / "reference"
    doxygen = WORK / "doxygen"
    doxygen.mkdir(parents=True, exist_ok=True)
    c_reference.write(Path(sys.executable).with_name("doxygen"), doxygen, reference / "c.md")
    place = SOURCE / "files" / "include" / "temporal_heartbeat.h.md"
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text(file_page(ROOT / "include" / "temporal_heartbeat.h"))
    python_reference.write(reference / "python.md")
    write_go(reference / "go.md")
    copy_rust(reference / "rust")
    shutil.copy(HERE / "rust.md", reference)
    # Without these the theme prints in each build when its support ends.
    quiet = os.environ | {"NO_MKDOCS_2_WARNING": "1", "DISABLE_MKDOCS_2_WARNING": "true"}
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--clean", "--config-file", "mkdocs.yml"]
    subprocess.run(command, cwd=HERE, env=quiet, check=True)
    found = check.problems(HTML)
    if found:
        sys.exit("\n".join(found))
    print(f"{HTML.relative_to(ROOT)}/index.html: {sum(1 for _ in HTML.rglob('*.html'))} pages")


def write_go(target: Path) -> None:
    program = [os.environ.get("GO", "go"), "run", str(HERE / "godoc" / "main.go")]
    pages = [
        subprocess.run(
            [*program, str(ROOT / "bindings" / "go" / package), f"{GO_MODULE}/{package}"],
            check=True,
            stdout=subprocess.PIPE,
            text=True,
        ).stdout
        for package in GO_PACKAGES
    ]
    target.write_text("# The Go packages\n\n" + "\n".join(pages))


def copy_rust(target: Path) -> None:
    command = [os.environ.get("CARGO", "cargo"), "doc", "--quiet", "--no-deps", "--lib", "--target-dir", "target"]
    # `make lint` and the tests report what the compiler and rustdoc warn of.
    subprocess.run(command, cwd=ROOT, check=True, env=os.environ | {"RUSTDOCFLAGS": "--cap-lints allow"})
    built = ROOT / "target" / "doc"
    ours = ("temporal_heartbeat", "static.files", "search.index", "trait.impl", "type.impl")
    target.mkdir(parents=True)
    for name in (*ours, "search-index.js", "crates.js", "help.html", "settings.html"):
        if (built / name).is_dir():
            shutil.copytree(built / name, target / name)
        elif (built / name).exists():
            shutil.copy(built / name, target / name)


if __name__ == "__main__":
    main()
