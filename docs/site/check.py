"""Checks the built site: each link has a target, and a page loads nothing from elsewhere."""

from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit


class Page(HTMLParser):
    """The anchors of a page, its links, and what it loads."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.anchors: set[str] = set()
        self.links: list[str] = []
        self.loads: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = {name: value or "" for name, value in attrs}
        self.anchors |= {attributes[name] for name in ("id", "name") if name in attributes}
        if tag == "a" and "href" in attributes:
            self.links.append(attributes["href"])
        elif tag == "link" and attributes.get("rel") not in ("canonical", "prev", "next"):
            self.loads.append(attributes.get("href", ""))
        elif tag in ("script", "img", "iframe", "source", "video") and attributes.get("src"):
            self.loads.append(attributes["src"])


def problems(folder: Path) -> list[str]:
    # The pages of rustdoc are checked by rustdoc. Its parts of pages are no pages.
    rust = folder / "reference" / "rust"
    paths = [path for path in sorted(folder.rglob("*.html")) if rust not in path.parents and path.name != "404.html"]
    pages = {path: Page(path.read_text()) for path in paths}
    return [problem for path, page in pages.items() for problem in of_page(folder, path, page, pages)]


def of_page(folder: Path, path: Path, page: Page, pages: dict[Path, Page]) -> Iterator[str]:
    name = path.relative_to(folder)
    for target in page.loads:
        parts = urlsplit(target)
        if parts.scheme not in ("", "data") or parts.netloc:
            yield f"{name}: loads {target} from elsewhere"
        elif parts.scheme == "" and not (path.parent / unquote(parts.path)).exists():
            yield f"{name}: {target} doesn't exist"
    for target in page.links:
        parts = urlsplit(target)
        if parts.scheme or parts.netloc:
            continue
        goal = (path.parent / unquote(parts.path)).resolve() if parts.path else path
        if goal.is_dir():
            goal /= "index.html"
        if not goal.exists():
            yield f"{name}: the link {target} has no target"
        elif goal in pages and not has_anchor(pages[goal], unquote(parts.fragment)):
            yield f"{name}: the link {target} has no anchor"


def has_anchor(page: Page, anchor: str) -> bool:
    # The theme's own anchors begin with two underscores.
    return not anchor or anchor.startswith("__") or anchor in page.anchors
