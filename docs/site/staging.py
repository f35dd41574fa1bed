"""Copies the documentation into the layout of the site, and changes links and code blocks to what the site needs.

The pages in the repository link each other, and sources, as files. A linked file that isn't a page of the site becomes
a page below `files/` that shows its content. So every link works on the site, and nothing is loaded from elsewhere.
"""

import re
import shutil
from collections.abc import Iterator
from os.path import relpath
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

# Pages outside docs/, and pages of docs/ with another place. Values are relative to the folder of the site.
PLACES = {
    "README.md": "index.md",
    "docs/site/index.md": "index.md",
    "docs/guide/README.md": "guide/index.md",
    "bindings/node/README.md": "guide/node.md",
    "bindings/ruby/README.md": "guide/ruby.md",
    "examples/demo/README.md": "demo.md",
    "benches/README.md": "project/benchmarks.md",
    "tests/README.md": "project/tests.md",
    "CHANGELOG.md": "project/changelog.md",
    "CONTRIBUTING.md": "project/contributing.md",
    "SECURITY.md": "project/security.md",
    "include/temporal_heartbeat.h": "reference/c.md",
}
# The README isn't a page, because the first page of the site replaces it.
PAGES = [name for name in PLACES if name.endswith(".md") and name != "README.md"]

LANGUAGES = {
    ".c": "c",
    ".cpp": "cpp",
    ".go": "go",
    ".h": "c",
    ".hpp": "cpp",
    ".java": "java",
    ".js": "js",
    ".lua": "lua",
    ".php": "php",
    ".pl": "perl",
    ".py": "python",
    ".rb": "ruby",
    ".rs": "rust",
    ".sh": "bash",
    ".ts": "ts",
    ".yaml": "yaml",
}
HIDDEN = "---\nsearch:\n  exclude: true\nhide:\n  - navigation\n  - toc\n---\n\n"

LINK = re.compile(r"(!?)\[((?:[^\[\]]|\[[^\]]*\])*)\]\(([^)\s]+)\)", re.DOTALL)
FENCE = re.compile(r"^(?:<!-- (file|excerpt): (\S+) -->\n)?(```.*?^```)$", re.MULTILINE | re.DOTALL)
TABS = re.compile(r"<!-- tabs -->\n(.*?)<!-- /tabs -->\n", re.DOTALL)
DARK = "@media (prefers-color-scheme: dark)"


class Stage:
    """The folder with the sources of the site."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._placed: dict[Path, str] = {}
        self._waiting: list[Path] = []

    def fill(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)
        for page in self._pages():
            self.place(page)
        while self._waiting:
            self._write(self._waiting.pop())

    def _pages(self) -> Iterator[Path]:
        yield from (ROOT / name for name in PAGES)
        yield from sorted((ROOT / "docs").glob("*.md"))
        yield from sorted((ROOT / "docs" / "guide").glob("*.md"))

    def place(self, source: Path) -> str:
        """Returns the place of a file on the site, and writes it there later."""
        if source not in self._placed:
            name = source.relative_to(ROOT).as_posix()
            if name in PLACES:
                self._placed[source] = PLACES[name]
            elif source.suffix in (".svg", ".png") or (name.startswith("docs/") and source.suffix == ".md"):
                self._placed[source] = name.removeprefix("docs/")
            else:
                self._placed[source] = f"files/{name.removesuffix('.md')}.md"
            self._waiting.append(source)
        return self._placed[source]

    def _write(self, source: Path) -> None:
        name = source.relative_to(ROOT).as_posix()
        place = self._placed[source]
        if name == "README.md" or place.startswith("reference/"):
            return
        target = self.folder / place
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.suffix == ".svg":
            self._write_picture(source, target)
        elif source.is_dir():
            names = [entry.name for entry in sorted(source.iterdir()) if is_shown(entry)]
            entries = "".join(f"* [{entry}]({entry})\n" for entry in names)
            target.write_text(HIDDEN + f"# {name}\n\n" + self._relinked(entries, source / "index", place))
        elif source.suffix == ".md":
            target.write_text(front_matter(place) + tabs(fences(self._relinked(source.read_text(), source, place))))
        else:
            target.write_text(file_page(source))

    def _write_picture(self, source: Path, target: Path) -> None:
        """Writes the picture for the light and for the dark colors of the site, which a reader can choose."""
        text = source.read_text()
        target.write_text(text.replace(DARK, "@media not all"))
        target.with_suffix(".dark.svg").write_text(text.replace(DARK, "@media all"))

    def _relinked(self, text: str, source: Path, place: str) -> str:
        def link(found: re.Match[str]) -> str:
            mark, label, goal = found[1], found[2], found[3]
            if re.match(r"[a-z]+:|#", goal):
                return found[0]
            path, hash_mark, anchor = goal.partition("#")
            to = relpath(self.place((source.parent / path).resolve()), Path(place).parent)
            label = self._relinked(label, source, place)
            if mark and path.endswith(".svg"):
                alt = " ".join(label.split())
                dark = f"{to.removesuffix('.svg')}.dark.svg"
                both = f"![{alt}]({to}#only-light)![{alt}]({dark}#only-dark)"
                return f'<div class="picture" markdown>{both}</div>'
            return f"{mark}[{label}]({to}{hash_mark}{anchor})"

        return LINK.sub(link, text)


def front_matter(place: str) -> str:
    """Lets the search find the pages of the guide before the references, and no source files."""
    if place.startswith("files/"):
        return HIDDEN
    if place == "performance.md":  # wide tables, and alone in its tab
        return "---\nhide:\n  - navigation\n---\n\n"
    return "---\nsearch:\n  boost: 3\n---\n\n" if place.startswith("guide/") else ""


def is_shown(entry: Path) -> bool:
    return not entry.name.startswith((".", "__")) and entry.name != "node_modules"


def file_page(source: Path) -> str:
    """Returns a page that shows a source file."""
    language = LANGUAGES.get(source.suffix, "text")
    return f"{HIDDEN}# {source.relative_to(ROOT)}\n\n````{language}\n{source.read_text()}````\n"


def fences(text: str) -> str:
    """Gives a block that the reader writes into a file the name of the file as its title, and colors to commands."""

    def fence(found: re.Match[str]) -> str:
        role, name, block = found[1], found[2], found[3]
        first, _, rest = block.partition("\n")
        if first == "```console":  # commands without a prompt, which would all be drawn as their output
            return f"```sh\n{rest}"
        return f'{first} title="{name}"\n{rest}' if role == "file" else block

    return FENCE.sub(fence, text)


def tabs(text: str) -> str:
    """Turns the headings between the marks of a group of tabs into tabs."""

    def group(found: re.Match[str]) -> str:
        drawn = ""
        for part in re.split(r"^### ", found[1], flags=re.MULTILINE)[1:]:
            title, _, content = part.partition("\n")
            indented = "".join(f"    {line}" if line.strip() else line for line in content.splitlines(keepends=True))
            drawn += f'=== "{title}"\n{indented}'
        return drawn

    return TABS.sub(group, text)
