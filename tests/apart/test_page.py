"""Follows docs/guide/apart.md."""

import os
import sys
from pathlib import Path

from harness.languages import library_environment
from harness.markdown import commands, files
from harness.paths import ROOT, VENV_BIN
from harness.process import Process
from harness.server import NAMESPACE, Server

PAGE = ROOT / "docs" / "guide" / "apart.md"


def test_worker_of_the_page_completes_the_activity(server: Server, tmp_path: Path) -> None:
    for name, code in files(PAGE).items():
        (tmp_path / name).write_text(code)
    environment = library_environment() | {
        "TEMPORAL_ADDRESS": server.address,
        "TEMPORAL_NAMESPACE": NAMESPACE,
        "PATH": f"{VENV_BIN}:{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT / "bindings" / "python"),
    }
    script = f"trap 'kill $!' EXIT\n{commands(PAGE)}"
    with Process(["sh", "-euc", script], environment, cwd=tmp_path, merge_stderr=True) as reader:
        for epoch in range(10):
            reader.expect(f"^epoch {epoch}$")
        reader.expect(r"^Report\(loss=0.0009765625\)$")
        # The exit status isn't checked: interpreters with the SDK sometimes abort at exit.


def test_body_of_the_page_runs_by_hand(tmp_path: Path) -> None:
    (tmp_path / "worker.py").write_text(files(PAGE)["worker.py"])
    program = "import asyncio, worker; print(asyncio.run(worker.train(worker.Config(epochs=3))))"
    environment = library_environment() | {"PYTHONPATH": str(ROOT / "bindings" / "python")}
    with Process([sys.executable, "-c", program], environment, cwd=tmp_path) as process:
        process.expect(r"^Report\(loss=0.125\)$")
        assert process.wait() == 0
