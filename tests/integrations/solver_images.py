"""The images of the manifests in examples/integrations/kubernetes. They also contain the solvers of the tests."""

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

from harness.paths import ROOT, TESTS
from harness.program import program
from harness.requires import requires
from integrations.image import Image

EXAMPLES = ROOT / "examples" / "integrations"
SHELL = ("bash", "cat", "env", "pkill", "sh", "sleep", "tee", "test", "touch")

# The paths of the tests' solvers in the image.
ITEMS = "/app/items.sh"
ITEMS_BESIDE_SIDECAR = "/app/items_beside_sidecar.sh"


def images_of_solvers(folder: Path) -> Iterator[Image]:
    """Returns the images. The folder gets what they contain."""
    heartbeat = folder / "temporal-heartbeat"
    subprocess.run(["strip", "-o", heartbeat, program()], check=True)
    base = {f"/usr/bin/{name}": _find(name) for name in SHELL}
    base |= {"/bin/bash": _find("bash"), "/usr/bin/temporal-heartbeat": heartbeat}
    solvers = {
        "/app/solver.sh": EXAMPLES / "solver.sh",
        "/app/sidecar_solver.sh": EXAMPLES / "kubernetes" / "sidecar_solver.sh",
        ITEMS: TESTS / "integrations" / "solver.sh",
        ITEMS_BESIDE_SIDECAR: TESTS / "integrations" / "sidecar_solver.sh",
    }
    yield Image("pause:1", {"/catatonit": _find("catatonit")}, command=["/catatonit", "-P"])
    yield Image("solver:1", base | solvers, directory="/app")
    yield Image("heartbeat-sidecar:1", base)


def _find(name: str) -> Path:
    return Path(requires(shutil.which(name), name))
