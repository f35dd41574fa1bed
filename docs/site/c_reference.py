"""Writes the C reference as a page of the site, from the XML that Doxygen makes of the header."""

import re
import subprocess
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import columns
from staging import ROOT

# The first function of each section, in the order of the header.
SECTIONS = {
    "thb_connect": "Connection",
    "thb_token_from_ids": "One request per call",
    "thb_activity_open": "Open activities",
    "thb_watch_open": "Watches",
    "thb_queue_open": "Queues and completions",
    "thb_details_new": "Details",
    "thb_error_code": "Errors",
    "thb_get_metrics": "Metrics, logs, versions, texts",
}
NAME = re.compile(r"\b((?:thb|THB)_[A-Za-z_0-9]+)\b(\(\))?")


def write(doxygen: Path, work: Path, target: Path) -> None:
    settings = (ROOT / "docs" / "Doxyfile").read_text()
    settings += f"GENERATE_HTML = NO\nGENERATE_XML = YES\nJAVADOC_AUTOBRIEF = NO\nOUTPUT_DIRECTORY = {work}\n"
    subprocess.run([doxygen, "-"], input=settings, text=True, cwd=ROOT, check=True)
    [file] = (work / "xml").glob("temporal__heartbeat_8h.xml")
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(page(ElementTree.parse(file).getroot()))


def page(root: ElementTree.Element) -> str:
    compound = root.find("compounddef")
    assert compound is not None
    members = {text(member.find("name")): member for member in compound.iter("memberdef")}
    known = {name: name for name in members}
    # The values of an enumeration are described together.
    for name, member in members.items():
        known |= {text(value.find("name")): name for value in member.findall("enumvalue")}
    out = [
        "# The C header",
        "Include `temporal_heartbeat.h`. [The file](../files/include/temporal_heartbeat.h.md) has the same text. "
        "C++ programs include `temporal_heartbeat.hpp`: [C++](../guide/cpp.md).",
        "## The model and the rules of all functions",
        linked(rules(described(compound.find("detaileddescription"))), known),
        "## Constants, types",
    ]
    functions = []
    for name, member in members.items():
        kind = member.get("kind")
        if kind == "function":
            functions.append(name)
        elif kind != "define" or text(member.find("initializer")):
            out += [*drawn(name, member, declared(kind, name, member), known)]
    for name in functions:
        if name in SECTIONS:
            out.append(f"## {SECTIONS[name]}")
        out += drawn(name, members[name], prototype(members[name]), known)
    return "\n\n".join(out) + "\n"


def drawn(name: str, member: ElementTree.Element, declaration: str, known: dict[str, str]) -> list[str]:
    comment = described(member.find("detaileddescription"))
    return [
        f"### `{name}` {{ #{name} }}",
        f"```c\n{declaration}\n```",
        linked(columns.markdown(comment), {other: at for other, at in known.items() if at != name}),
    ]


def declared(kind: str | None, name: str, member: ElementTree.Element) -> str:
    if kind == "define":
        return f"#define {name} {text(member.find('initializer'))}"
    if kind == "enum":
        values = [(text(v.find("name")), text(v.find("initializer"))) for v in member.findall("enumvalue")]
        return f"enum {name} {{\n" + "".join(f"    {value} {number},\n" for value, number in values) + "};"
    return f"{text(member.find('definition'))};"


def prototype(member: ElementTree.Element) -> str:
    arguments = [f"{text(p.find('type'))} {text(p.find('declname'))}" for p in member.findall("param")]
    arguments = [argument.replace("* ", "*").strip() for argument in arguments]
    head = f"{text(member.find('type'))} {text(member.find('name'))}(".replace("* ", "*")
    line = f"{head}{', '.join(arguments)});"
    return line if len(line) <= 90 else f"{head}\n    " + ",\n    ".join(arguments) + ");"


def described(element: ElementTree.Element | None) -> str:
    """Returns the comment with its blank lines and its indented blocks, as the header has it."""
    out = []
    for para in element.findall("para") if element is not None else ():
        pieces = [" ".join((para.text or "").split())]
        for child in para:
            if child.tag == "verbatim":
                pieces += ["\n" + (child.text or "").strip("\n") + "\n"]
            else:
                pieces += ["".join(child.itertext())]
            pieces += [" ".join((child.tail or "").split())]
        out.append(" ".join(piece for piece in pieces if piece))
    return "\n\n".join(out)


def rules(comment: str) -> str:
    """Makes headings of the words in capitals that begin the paragraphs of the header's manual."""
    out = []
    for number, part in enumerate(re.split(r"^(?=(?:THE MODEL|AN EXAMPLE|[A-Z]{4,})\b)", comment, flags=re.MULTILINE)):
        found = re.match(r"(THE MODEL|AN EXAMPLE|[A-Z]{4,}(?: [A-Z]{4,})*)([.:]?) ", part)
        if found:
            title = found[1] if found[1] == "JSON" else found[1].capitalize()
            follows = part[found.end() :] if found[2] or number == 1 else f"{title} {part[found.end() :]}"
            # A word, but no name such as timeout_ms.
            follows = re.sub(r"^[a-z](?=[a-z]* )", lambda first: first[0].upper(), follows)
            out += [f"### {title}", columns.markdown(follows)]
        else:
            out.append(columns.markdown(part))
    return "\n\n".join(part for part in out if part)


def linked(markdown: str, known: dict[str, str]) -> str:
    """Marks the names of the header as code outside code blocks, with links to those that are on the page."""

    def link(found: re.Match[str]) -> str:
        name = found[1]
        return f"[`{name}`](#{known[name]})" if name in known else f"`{name}`"

    markdown = re.sub(r"`((?:THB|thb)_\w+)`", r"\1", markdown)
    parts = re.split(r"(```.*?```|`[^`]*`)", markdown, flags=re.DOTALL)
    return "".join(part if part.startswith("`") else NAME.sub(link, escaped(part)) for part in parts)


def escaped(text: str) -> str:
    """Prevents emphasis by pointers and by names that begin with an underscore."""
    return re.sub(r"\*|(?<!\w)_", lambda found: f"\\{found[0]}", text)


def text(element: ElementTree.Element | None) -> str:
    return "".join(element.itertext()).strip() if element is not None else ""
