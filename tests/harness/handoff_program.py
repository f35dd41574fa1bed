"""Programs that receive an activity through the variables of the hand-off, as from a parent."""

import base64
from collections.abc import Sequence

from temporalio.api.common.v1 import Payloads
from temporalio.converter import PayloadConverter

from harness.languages import library_environment
from harness.paths import ROOT
from harness.process import Process
from harness.server import Server
from harness.worker import Attempt

# An interpreter starts slowly on a busy machine. The server's timeout is longer than a test.
SERVER_TIMEOUT_MS = 120_000
# The heartbeat timeout in the hand-off. A program that also gets the details doesn't ask the server about the activity,
# and so sends a heartbeat every two seconds.
PROGRAM_TIMEOUT_MS = 4_000


def handoff_environment(server: Server, attempt: Attempt) -> dict[str, str]:
    return library_environment() | {
        "PYTHONPATH": str(ROOT / "bindings" / "python"),
        "TEMPORAL_ADDRESS": server.address,
        "TEMPORAL_ACTIVITY_TASK_TOKEN": base64.b64encode(attempt.token).decode(),
        "TEMPORAL_ACTIVITY_HEARTBEAT_TIMEOUT_MS": str(PROGRAM_TIMEOUT_MS),
    }


def start_program(command: Sequence[str], attempt: Attempt, server: Server) -> Process:
    payloads = Payloads(payloads=PayloadConverter.default.to_payloads(attempt.details))
    details = {"TEMPORAL_ACTIVITY_HEARTBEAT_DETAILS": base64.b64encode(payloads.SerializeToString()).decode()}
    return Process(command, handoff_environment(server, attempt) | details, merge_stderr=True)
