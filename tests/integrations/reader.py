"""A reader of a page of the guide, who runs its commands one block after the other."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from harness.markdown import code_blocks
from harness.paths import ROOT
from harness.process import Process


def read(page: str, folder: Path, environment: Mapping[str, str], between: Sequence[Callable[[], object]]) -> str:
    """Runs the blocks of commands. After each block but the last, calls a function that waits until the next may run.

    The commands run in `folder`, which gets links to the folders of the repository. Returns what they print.
    """
    for name in ("bindings", "docs", "examples", "include", "tests"):
        (folder / name).symlink_to(ROOT / name)
    blocks = [block.code for block in code_blocks(ROOT / "docs" / "guide" / page) if block.language == "sh"]
    assert len(blocks) == len(between) + 1
    said = folder / "said"
    command = ["bash", "-c", 'cd "$0" && exec bash -eu >said 2>&1', str(folder)]
    with Process(command, environment) as shell:
        for block, wait in zip(blocks, between, strict=False):
            shell.write_line(block)
            wait()
        shell.write_line(blocks[-1])
        status = shell.close_stdin()
        assert status == 0, said.read_text()
    return said.read_text()
