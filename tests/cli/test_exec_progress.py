"""The progress in a command's output becomes the heartbeat details. The next attempt's command receives them."""

import json
import os
import signal
from pathlib import Path

import pytest
from temporalio.api.common.v1 import Payload, Payloads
from temporalio.exceptions import ApplicationError

from harness.activities import Kind
from harness.fixtures import Connect, StartActivity
from harness.polling import wait_until
from harness.program import Exec, encoded

# Longer than a busy machine needs to start the program.
SOON = {"heartbeat_timeout_ms": 3_000}


@pytest.mark.parametrize(
    ("flags", "script", "details"),
    [
        (["--progress-pattern", r"^step (\d+)"], "echo step 1; echo step 41; echo noise", [41]),
        (
            ["--progress-pattern", r"epoch (?<epoch>\d+).* loss (?<loss>[\d.]+)", "--progress-from", "stderr"],
            "printf 'epoch 1: loss 0.5\\repoch 2: loss 0.25\\r' >&2",
            [{"epoch": 2, "loss": 0.25}],
        ),
        (["--progress-json"], """echo '{"item": 41}'; echo "that's all" """, [{"item": 41}]),
        (["--progress-file", "{file}"], "echo '{\"item\": 41}' > {file}", [{"item": 41}]),
        (["--progress-file", "{file}"], "echo item 41 > {file}", ["item 41"]),
        (["--progress-size", "{file}"], "head -c 12345 /dev/zero > {file}", [{"bytes": 12345}]),
    ],
)
def test_progress_is_recorded(
    flags: list[str], script: str, details: list[object], start: StartActivity, execute: Exec, tmp_path: Path
) -> None:
    file = str(tmp_path / "progress")
    activity = start("workflow", **SOON)
    flags = [flag.replace("{file}", file) for flag in flags]
    running = execute(activity.next_attempt(), *flags, command=script.replace("{file}", file) + "; sleep 1000")
    wait_until(lambda: activity.heartbeat_details() == details, "the progress is recorded")
    running.kill(signal.SIGTERM)
    assert running.ends() == 128 + signal.SIGTERM


def test_progress_of_a_failed_command_reaches_the_next_attempt(kind: Kind, start: StartActivity, execute: Exec) -> None:
    """Progress that is reported just before the failure is sent with the failure."""
    activity = start(kind)
    assert execute(activity.next_attempt(), "--progress-json", command="echo 1; echo 41; exit 1").ends() == 1
    attempt = activity.next_attempt()
    assert attempt.details == [41]
    assert execute(attempt, "--result", "output", command='echo "$TEMPORAL_ACTIVITY_DETAILS_JSON"').ends() == 0
    assert activity.result() == "41"


SHOW = """
import base64, json, os
file = os.environ.get("TEMPORAL_ACTIVITY_DETAILS_FILE")
print(json.dumps({
    "json": os.environ.get("TEMPORAL_ACTIVITY_DETAILS_JSON"),
    "payloads": len(base64.b64decode(os.environ.get("TEMPORAL_ACTIVITY_HEARTBEAT_DETAILS", ""))),
    "size": os.stat(file).st_size if file else None,
    "attempt": os.environ["TEMPORAL_ACTIVITY_ATTEMPT"],
    "id": os.environ["TEMPORAL_ACTIVITY_ID"],
}))
"""


@pytest.mark.parametrize("details", [None, {"item": 41}, b"\xff\0", "x" * 1_000_000])
def test_details_are_handed_to_the_command(
    details: object, kind: Kind, start: StartActivity, connect: Connect, execute: Exec
) -> None:
    activity = start(kind)
    attempt = activity.next_attempt()
    if details is not None:
        connect("python").heartbeat(attempt.token, details)
    running = execute(attempt, "--result", "json", command=["python3", "-c", SHOW])
    assert running.ends() == 0
    shown = activity.result()
    assert (shown["attempt"], shown["id"]) == ("1", activity.id)
    text = None if isinstance(details, bytes) or details is None else json.dumps(details, separators=(",", ":"))
    assert shown["json"] == (text if text and len(text) < 100_000 else None)
    if details is None:
        assert (shown["payloads"], shown["size"]) == (0, None)
    else:
        assert shown["size"] == len(details if isinstance(details, bytes) else text or "")
    assert running.errors().count("\n") == 1


def test_command_without_progress_keeps_the_stored_details(
    start: StartActivity, connect: Connect, execute: Exec
) -> None:
    activity = start("workflow", **SOON)
    attempt = activity.next_attempt()
    connect("python").heartbeat(attempt.token, 41)
    running = execute(attempt, command="echo ready; sleep 1000")
    running.line()
    first = beats(activity)
    wait_until(lambda: beats(activity) > first + 1, "the heartbeats continue")
    assert activity.heartbeat_details() == [41]
    running.kill(signal.SIGTERM)
    running.ends()


def beats(activity: object) -> float:
    description = activity._run(activity._handle.describe())  # type: ignore[attr-defined]
    [pending] = description.raw_description.pending_activities
    return float(pending.last_heartbeat_time.ToNanoseconds()) / 1e9


REFERENCE = {"encoding": b"json/protobuf", "messageType": b"temporal.api.sdk.v1.ExternalStorageReference"}


@pytest.mark.parametrize(
    ("metadata", "data", "encoding", "json"),
    [
        ({"encoding": b"json/plain"}, b"41", "json/plain", "41"),
        ({"encoding": b"json/plain"}, b"NaN", "json/plain", ""),
        (REFERENCE, b'{"driverName":"s3"}', "json/external-storage-reference", '{"driverName":"s3"}'),
    ],
    ids=["json", "NaN", "reference"],
)
def test_command_gets_the_encoding_of_the_details(
    metadata: dict[str, bytes], data: bytes, encoding: str, json: str, start: StartActivity, execute: Exec
) -> None:
    details = Payloads(payloads=[Payload(metadata=metadata, data=data)]).SerializeToString()
    variables = {"TEMPORAL_ACTIVITY_HEARTBEAT_DETAILS": encoded(details)}
    show = ('echo "$TEMPORAL_ACTIVITY_DETAILS_ENCODING"', 'echo "$TEMPORAL_ACTIVITY_DETAILS_JSON"')
    script = "; ".join((*show, 'cat "$TEMPORAL_ACTIVITY_DETAILS_FILE"'))
    running = execute(start("workflow").next_attempt(), command=script, variables=variables)
    assert [running.line(), running.line()] == [encoding, json]
    assert running.rest() == data
    assert running.ends() == 0


@pytest.mark.parametrize("flag", ["--progress-file", "--result-file"])
def test_named_pipe_instead_of_a_file_blocks_nothing(
    flag: str, start: StartActivity, execute: Exec, tmp_path: Path
) -> None:
    os.mkfifo(tmp_path / "pipe")
    activity = start("workflow", maximum_attempts=1)
    running = execute(activity.next_attempt(), flag, str(tmp_path / "pipe"), command="exit 0")
    assert running.ends() == 0
    assert "it isn't a regular file" in running.errors()
    if flag == "--result-file":
        error = activity.failure()
        assert isinstance(error, ApplicationError)
        assert error.type == "InvalidResult"


FLOOD = """
import os, sys
line = b"line %d: " + b"x" * 90 + b"\\n"
block = b"".join(line % n for n in range(1000))
for n in range({blocks}):
    os.write(1, block)
os.write(1, b"\\nstep 41\\n")
sys.stderr.write("read VmHWM now\\n")
sys.stderr.flush()
sys.stdin.read()
"""


@pytest.mark.parametrize(
    "megabytes",
    [
        100,
        pytest.param(10_000, marks=pytest.mark.skipif(os.environ.get("THB_SLOW") != "1", reason="make check-slow")),
    ],
)
def test_flood_of_output_passes_through_the_matcher_in_bounded_memory(
    megabytes: int, start: StartActivity, execute: Exec, tmp_path: Path
) -> None:
    activity = start("workflow", start_to_close_ms=600_000)
    words = ["python3", "-c", FLOOD.format(blocks=megabytes * 10)]
    os.mkfifo(tmp_path / "fifo")
    command = ["sh", "-c", 'exec "$@" < "$0"', str(tmp_path / "fifo"), *words]
    running = execute(activity.next_attempt(), "--progress-pattern", r"^step (\d+)", command=command)
    with (tmp_path / "fifo").open("w"):
        size = 0
        assert running.process.stdout
        while data := os.read(running.process.stdout.fileno(), 1 << 20):
            size += len(data)
            if data.endswith(b"\nstep 41\n"):
                break
        running.says("read VmHWM now")
        peak = int(Path(f"/proc/{running.pid}/status").read_text().split("VmHWM:")[1].split()[0])
    assert running.ends() == 0
    assert size >= megabytes * 1_000_000
    assert peak < 40_000, f"{peak} kB"
    assert activity.result() == 0
