"""Fills in the templates of packaging/ports, by which other package managers install the tarballs of a release.

    packaging/ports.py VERSION URL target/artefacts

URL is the folder from which users download the tarballs. In the templates, @VERSION@ and @URL@ are replaced. A line
that begins with @sha256 or @sha512 is repeated for each platform, with its {platform} and {hash}.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import re
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path

PORTS = Path(__file__).resolve().parent / "ports"


def main() -> None:
    version, url, artefacts = sys.argv[1], sys.argv[2], Path(sys.argv[3])
    tarballs = dict(platform_tarballs(artefacts, version))
    if not tarballs:
        sys.exit(f"packaging: there are no tarballs of version {version} in {artefacts}: run make release")
    time = release_time(next(iter(tarballs.values())))
    name = f"temporal-heartbeat-{version}-ports"
    with (
        gzip.GzipFile(artefacts / f"{name}.tar.gz", "wb", mtime=0) as packed,
        tarfile.open(fileobj=packed, mode="w") as archive,
    ):
        for template in sorted(path for path in PORTS.rglob("*") if path.is_file()):
            content = filled(template.read_text(), version, url, tarballs).encode()
            member = tarfile.TarInfo(f"{name}/{template.relative_to(PORTS)}")
            member.size, member.mtime = len(content), time
            archive.addfile(member, io.BytesIO(content))


def platform_tarballs(artefacts: Path, version: str) -> Iterator[tuple[str, Path]]:
    prefix, suffix = f"temporal-heartbeat-{version}-", ".tar.gz"
    for path in sorted(artefacts.glob(f"{prefix}*{suffix}")):
        platform = path.name.removeprefix(prefix).removesuffix(suffix)
        if re.fullmatch(r"(linux|darwin)-[^-]+(-gnu|-musl)?", platform):
            yield platform, path


def release_time(tarball: Path) -> float:
    """Returns the time of the tarball's files, which is that of the commit, so that the archive is reproducible."""
    with tarfile.open(tarball) as archive:
        [first, *_] = archive
        return first.mtime


def filled(template: str, version: str, url: str, tarballs: dict[str, Path]) -> str:
    def repeated(line: re.Match[str]) -> str:
        algorithm, text = line.groups()
        return "".join(
            text.replace("{platform}", platform).replace("{hash}", digest(path, algorithm))
            for platform, path in tarballs.items()
        )

    text = re.sub(r"^@(sha256|sha512) (.*\n)", repeated, template, flags=re.MULTILINE)
    return text.replace("@VERSION@", version).replace("@URL@", url)


def digest(path: Path, algorithm: str) -> str:
    return hashlib.new(algorithm, path.read_bytes()).hexdigest()


main()
