"""Programs as a parent starts them: with an activity in their environment."""

import base64
from collections.abc import Sequence

from harness.languages import library_environment
from harness.paths import ROOT
from harness.process import Process
from harness.server import Server
from harness.worker import Attempt

# Interpreters may take their time on a busy machine; the server never gives up on them.
SERVERS_TIMEOUT_MS = 120_000
# The program beats as if the timeout were this, every two seconds: soon for a test, and late enough to keep the lease.
HANDED_TIMEOUT_MS = 4_000


def handed_over(server: Server, attempt: Attempt) -> dict[str, str]:
    return library_environment() | {
        "PYTHONPATH": str(ROOT / "bindings" / "python"),
        "TEMPORAL_ADDRESS": server.address,
        "TEMPORAL_ACTIVITY_TASK_TOKEN": base64.b64encode(attempt.token).decode(),
        "TEMPORAL_ACTIVITY_HEARTBEAT_TIMEOUT_MS": str(HANDED_TIMEOUT_MS),
    }


def started(command: Sequence[str], attempt: Attempt, server: Server) -> Process:
    return Process(command, handed_over(server, attempt), merge_stderr=True)
