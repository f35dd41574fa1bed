"""Runs the examples in the docstrings of the Python package, without changes."""

import base64
import inspect
import re
import subprocess
import sys
import textwrap
import uuid
from datetime import timedelta
from pathlib import Path

import pytest
import temporal_heartbeat as thb
from temporal_heartbeat import aio, handoff

from harness.fixtures import StartActivity
from harness.handoff_program import SERVER_TIMEOUT_MS
from harness.languages import library_environment
from harness.paths import ROOT
from harness.process import Process
from harness.requires import unsupported
from harness.server import Server
from harness.worker import SdkWorker

# Code before an example, for the names that the example assumes. Each example has an object, a prefix and a suffix.
CONNECTED = (
    "import temporal_heartbeat as thb; from temporal_heartbeat import Activity; thb.connect(); work_on = print\n"
)
CHILDREN: dict[str, tuple[object, str, str]] = {
    "package": (thb, "work_on = print\n", ""),
    "Activity": (thb.Activity, CONNECTED, ""),
    "aio": (aio, "import asyncio\nasync def work_on(item): print(item)\n", "\nasyncio.run(main())\n"),
}
PARENTS: dict[str, object] = {
    "handoff": handoff,
    "token_in_file": handoff.token_in_file,
    "token_in_pipe": handoff.token_in_pipe,
}

# A worker with one activity: the example, or a function that contains it.
PARENT = """
import asyncio, subprocess, sys
from pathlib import Path
from temporalio import activity
from temporalio.client import Client
from temporalio.worker import Worker
from temporal_heartbeat import handoff

address, queue, example = sys.argv[1:]
command, directory = ["./solver"], Path.cwd()
if "async def solve" in example:
    exec(example)
else:
    @activity.defn
    async def solve() -> str:
        exec(example, globals() | {"info": activity.info()})
        activity.raise_complete_async()

async def main() -> None:
    client = await Client.connect(address)
    async with Worker(client, task_queue=queue, activities=[solve]):
        print("working", flush=True)
        await asyncio.Event().wait()

asyncio.run(main())
"""


def example(documented: object) -> str:
    """Returns the first literal block of an object's docstring."""
    found = re.search(r"::\n\n((?: {4,}.*\n|\n)+)", f"{inspect.getdoc(documented)}\n")
    assert found
    return textwrap.dedent(found[1])


def environment(server: Server) -> dict[str, str]:
    package = {"PYTHONPATH": str(ROOT / "bindings" / "python"), "TEMPORAL_ADDRESS": server.address}
    return library_environment() | package


@pytest.mark.parametrize("name", CHILDREN)
def test_example_of_a_child_completes(name: str, server: Server, start: StartActivity) -> None:
    documented, before, after = CHILDREN[name]
    activity = start("workflow", heartbeat_timeout_ms=SERVER_TIMEOUT_MS)
    token = {"TEMPORAL_ACTIVITY_TASK_TOKEN": base64.b64encode(activity.next_attempt().token).decode()}
    program = before + example(documented) + after
    subprocess.run([sys.executable, "-c", program], env=environment(server) | token, check=True, timeout=60)
    assert activity.result() == "done"


@pytest.mark.parametrize("name", PARENTS)
def test_example_of_a_parent_hands_over(
    name: str, server: Server, sdk_worker: SdkWorker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not sdk_worker.has_standalone:
        unsupported("standalone activities are UNIMPLEMENTED on this server")
    monkeypatch.chdir(tmp_path)
    solver = tmp_path / "solver"
    solver.write_text(f"#!{sys.executable}\n{CONNECTED}{example(thb.Activity)}")
    solver.chmod(0o755)
    queue = f"docstring-{uuid.uuid4()}"
    command = [sys.executable, "-c", PARENT, server.address, queue, "import subprocess\n" + example(PARENTS[name])]
    with Process(command, environment(server), merge_stderr=True) as parent:
        parent.expect("working")
        handle = sdk_worker.run(
            sdk_worker.client.start_activity(
                "solve", id=queue, task_queue=queue, start_to_close_timeout=timedelta(minutes=2)
            )
        )
        assert sdk_worker.run(handle.result()) == "done"
