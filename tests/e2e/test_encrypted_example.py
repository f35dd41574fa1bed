"""Runs the unchanged commands of examples/encrypted, with a free port for its codec server."""

import json
import os
import re
import shutil
from pathlib import Path

from harness.languages import library_environment
from harness.markdown import code_blocks
from harness.paths import ROOT, VENV_BIN
from harness.process import Process
from harness.program import program
from harness.requires import requires, unsupported
from harness.server import OLDEST, Server, find_program, free_port

EXAMPLE = ROOT / "examples" / "encrypted"
LAST_PAGE = 24


def test_killed_worker_resumes_and_the_server_stores_encrypted_values(server: Server, tmp_path: Path) -> None:
    if server.version < OLDEST:
        unsupported("standalone activities")
    bash = requires(shutil.which("bash"), "bash")
    (tmp_path / "temporal-heartbeat").symlink_to(program())
    (tmp_path / "temporal").symlink_to(find_program())
    environment = library_environment() | {
        "TEMPORAL_ADDRESS": server.address,
        "PATH": f"{tmp_path}:{VENV_BIN}:{os.environ['PATH']}",
    }
    port = str(free_port())
    blocks = [
        block.code.replace("8081", port) for block in code_blocks(EXAMPLE / "README.md") if block.language == "sh"
    ]
    codec_server, worker, activity, again, outcome = blocks
    script = f"{codec_server}{worker}{activity}{again}{outcome}"
    output = tmp_path / "said"
    with Process([bash, "-euc", f'exec >"$0" 2>&1\n{script}', str(output)], environment, cwd=EXAMPLE) as reader:
        status = reader.wait()
    said = output.read_text()
    assert status == 0, said
    [result] = re.findall(r"^ +Result +(.*)$", said, flags=re.MULTILINE)
    pages = [int(page) for page in json.loads(result).split()]
    assert pages == list(range(pages[0], LAST_PAGE + 1))
    assert pages[0] > 1, "the second attempt didn't resume"
    assert "encoding binary/encrypted" in said
    assert "\nThis is encrypted.\n" in said
