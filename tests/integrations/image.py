"""Container images that consist of programs of this machine."""

import io
import json
import platform
import re
import subprocess
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

PATH = "/usr/local/bin:/usr/bin:/bin"
ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}


@dataclass(frozen=True)
class Image:
    """`files` are the files of the image by their paths in it. The shared libraries of programs are added."""

    name: str
    files: Mapping[str, Path]
    directory: str = "/"
    command: Sequence[str] = ()

    def write(self, path: Path) -> None:
        """Writes the image like `docker save`: one layer, its configuration, and a manifest."""
        layer = self._layer()
        config = {
            "architecture": ARCHITECTURES[platform.machine()],
            "os": "linux",
            "config": {"WorkingDir": self.directory, "Cmd": list(self.command), "Env": [f"PATH={PATH}"]},
            "rootfs": {"type": "layers", "diff_ids": [f"sha256:{sha256(layer).hexdigest()}"]},
        }
        manifest = [{"Config": "config.json", "RepoTags": [f"docker.io/library/{self.name}"], "Layers": ["layer.tar"]}]
        members = {
            "manifest.json": json.dumps(manifest).encode(),
            "config.json": json.dumps(config).encode(),
            "layer.tar": layer,
        }
        with tarfile.open(path, "w") as archive:
            for name, data in members.items():
                member = tarfile.TarInfo(name)
                member.size = len(data)
                archive.addfile(member, io.BytesIO(data))

    def _layer(self) -> bytes:
        libraries = {library: Path(library) for file in self.files.values() for library in _libraries(file)}
        layer = io.BytesIO()
        with tarfile.open(fileobj=layer, mode="w", dereference=True) as archive:
            for target, source in {**libraries, **self.files}.items():
                archive.add(source, target, filter=_of_root)
        return layer.getvalue()


def _of_root(member: tarfile.TarInfo) -> tarfile.TarInfo:
    member.uid = member.gid = 0
    return member


def _libraries(file: Path) -> list[str]:
    """Returns the shared libraries that a program loads, and its loader. Scripts and static programs have none."""
    listed = subprocess.run(["ldd", str(file)], capture_output=True, text=True, check=False)
    return re.findall(r"(/\S+) \(0x", listed.stdout)
