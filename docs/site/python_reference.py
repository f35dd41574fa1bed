"""Writes the Python reference: the text of the package, and directives for mkdocstrings, which reads the sources."""

import ast
import re
from pathlib import Path

import columns
from staging import ROOT

PACKAGE = ROOT / "bindings" / "python" / "temporal_heartbeat"
# The modules besides the package itself, with the members that the page shows; None: those of `__all__`.
MODULES = ("aio", "handoff", "errors", "signals")


def write(target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    tree = ast.parse((PACKAGE / "__init__.py").read_text())
    first, *rest = sections(ast.get_docstring(tree) or "")
    parts = ["# The Python package", first, *rest, "## `temporal_heartbeat`", *map(directive, public(tree))]
    for module in MODULES:
        text = (PACKAGE / f"{module}.py").read_text()
        tree = ast.parse(text)
        parts += [f"## `temporal_heartbeat.{module}`", prose(ast.get_docstring(tree) or "")]
        # Names that the package exports too are described there.
        exported = set(public(ast.parse((PACKAGE / "__init__.py").read_text())))
        parts += [directive(f"{module}.{name}") for name in public(tree) if module == "aio" or name not in exported]
    target.write_text("\n\n".join(parts) + "\n")


def directive(name: str) -> str:
    return f"::: temporal_heartbeat.{name}"


def public(tree: ast.Module) -> list[str]:
    """Returns the names in `__all__`, in their order."""
    for node in tree.body:
        if isinstance(node, ast.Assign) and [ast.unparse(target) for target in node.targets] == ["__all__"]:
            return [str(name) for name in ast.literal_eval(node.value)]
    return []


def sections(docstring: str) -> list[str]:
    """Turns the sections of the package's docstring into sections of the page: a title, and text that is indented."""
    parts = re.split(r"^(\S.*)\n(?=    \S)", docstring, flags=re.MULTILINE)
    # The example follows a line with two colons.
    out = [prose(parts[0])]
    for title, body in zip(parts[1::2], parts[2::2], strict=True):
        dedented = re.sub(r"^    ", "", body, flags=re.MULTILINE)
        out += [f"### {title}", prose(dedented)]
    return out


def prose(text: str) -> str:
    """Returns the text of a docstring as Markdown, with its tables and its examples."""
    parts = re.split(r"::\n\n((?:(?: {4}.*)?\n)+)", f"{text}\n\n")
    out = ""
    for number, part in enumerate(parts):
        if number % 2:
            code = re.sub(r"^    ", "", part, flags=re.MULTILINE).strip()
            out = f"{out.rstrip()}:\n\n```python\n{code}\n```\n\n"
        else:
            out += blocks(part)
    return re.sub(r"(?<!`)``([^`]+)``(?!`)", r"`\1`", out).strip()


def blocks(text: str) -> str:
    return "\n\n".join(columns.table(block) or block for block in re.split(r"\n\s*\n", text.strip("\n"))) + "\n\n"
