"""Metrics, and log records on their way to logging or to stderr."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import threading
import time
import urllib.request
from base64 import b64encode
from pathlib import Path
from typing import Any

import pytest
from support import BlackHole

import temporal_heartbeat as thb

# A process that does what it is told, with the package and without the settings of this one.
ENVIRONMENT = {
    name: value
    for name, value in os.environ.items()
    if not name.startswith(("TEMPORAL_", "THB_")) or name == "TEMPORAL_HEARTBEAT_LIBRARY"
}
ENVIRONMENT["PYTHONPATH"] = str(Path(thb.__file__).parents[1])


def run(program: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", program],
        env={**ENVIRONMENT, **variables},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def taken(event: str) -> dict[str, Any]:
    """The next record of this event, which must come."""
    end = time.monotonic() + 20
    while time.monotonic() < end:
        for record in thb.log_records():
            if record["event"] == event:
                return record
        time.sleep(0.01)
    raise AssertionError(f"{event} never came")


def test_metrics_are_there_without_a_connection(disconnected: None) -> None:
    assert "# TYPE temporal_request counter" in thb.metrics()


def test_records_can_be_taken_one_by_one(disconnected: None, nobody: str) -> None:
    for _ in thb.log_records():
        pass
    with pytest.raises(thb.UnavailableError):
        thb.connect(address=nobody, connect_timeout_ms=200)
    record = taken("connect_failed")
    assert record["level"] == "warn"
    assert record["peer"] == nobody


def test_what_prometheus_fetches_its_own_parser_reads(disconnected: None, nobody: str) -> None:
    parser = pytest.importorskip("prometheus_client.parser")
    thb.connect(address=nobody, namespace="parsed", lazy=True, metrics_address="127.0.0.1:0")
    address = taken("metrics_served")["address"]
    with pytest.raises(thb.UnavailableError):
        thb.heartbeat(b"token", 1, timeout=0.3)
    with urllib.request.urlopen(f"http://{address}/metrics") as answer:
        text = answer.read().decode()
    families = {family.name: family for family in parser.text_string_to_metric_families(text)}
    assert families["temporal_request"].type == "counter"
    assert families["temporal_heartbeat_activities_open"].type == "gauge"
    failures = [
        sample
        for sample in families["temporal_request_failure"].samples
        if sample.labels["operation"] == "RecordActivityTaskHeartbeat"
    ]
    assert [sample.labels["status_code"] for sample in failures] == ["UNAVAILABLE"]
    for family in families.values():
        assert family.documentation
        assert all(s.labels["namespace"] == "parsed" for s in family.samples)
        if family.type == "histogram":
            buckets = [s.value for s in family.samples if s.name.endswith("_bucket")]
            assert family.name.endswith(("_latency", "_ratio"))
            assert buckets or not family.samples
    assert text == text.strip() + "\n"


def test_the_metrics_of_the_documentation_are_those_that_there_are(disconnected: None) -> None:
    page = Path(__file__).resolve().parents[3] / "docs" / "metrics.md"
    rows = [line.split("|") for line in page.read_text().splitlines() if line.startswith("| `temp")]
    documented = {row[1].strip().strip("`"): row[2].strip() for row in rows}
    types = [line.split()[2:] for line in thb.metrics().splitlines() if line.startswith("# TYPE")]
    assert documented == dict(types)


FORWARDING = """
import logging, temporal_heartbeat as thb
logging.basicConfig(format="%(levelname)s %(name)s %(message)s")
thb.forward_logs()
try:
    thb.connect(address={address!r}, connect_timeout_ms=200)
except thb.UnavailableError:
    pass
"""


def test_records_reach_logging_and_the_last_ones_at_exit(library_path: Path, nobody: str) -> None:
    for _ in range(3):
        done = run(FORWARDING.format(address=nobody))
        assert done.returncode == 0
        assert done.stderr.startswith("WARNING temporal_heartbeat connect_failed: "), done.stderr


def test_a_handler_that_fails_ends_nothing_and_a_record_says_all(
    disconnected: None, nobody: str, caplog: pytest.LogCaptureFixture
) -> None:
    logger = logging.getLogger("test.of.forwarding")

    class Raising(logging.Handler):
        called = threading.Event()

        def emit(self, record: logging.LogRecord) -> None:
            self.called.set()
            raise RuntimeError("this handler fails")

    def fail_to_connect() -> None:
        with pytest.raises(thb.UnavailableError):
            thb.connect(address=nobody, connect_timeout_ms=200)

    raising = Raising()
    logger.addHandler(raising)
    thb.forward_logs(logger)
    fail_to_connect()
    raising.called.wait(20)
    logger.removeHandler(raising)
    fail_to_connect()
    end = time.monotonic() + 20
    while not caplog.records and time.monotonic() < end:
        time.sleep(0.01)
    record = caplog.records[0]
    assert (record.levelname, record.name) == ("WARNING", "test.of.forwarding")
    particulars = vars(record)["temporal_heartbeat"]
    assert particulars["event"] == "connect_failed"
    assert abs(record.created - time.time()) < 60


LOGGING = """
import temporal_heartbeat as thb
try:
    thb.connect(address={address!r}, connect_timeout_ms=200)
except thb.Error as error:
    print(type(error).__name__, error.message)
"""


def test_lines_come_on_stderr_only_when_asked_for(library_path: Path, nobody: str) -> None:
    program = LOGGING.format(address=nobody)
    assert run(program).stderr == ""
    assert run(program, THB_LOG="off").stderr == run(program, THB_LOG="error").stderr == ""
    shown = run(program, THB_LOG="info")
    assert " WARN  temporal-heartbeat connect_failed: " in shown.stderr
    assert shown.stdout.startswith("UnavailableError")
    wrong = run(program, THB_LOG="loud")
    assert wrong.stdout.startswith("ConfigError THB_LOG must be off, error, warn, info or debug")


SECRET = "s3cr3t"

WITH_SECRETS = """
import temporal_heartbeat as thb
options = dict(api_key={secret!r}, grpc_meta={{"x-token": {secret!r}}}, connect_timeout_ms=300)
proxy = "user:{secret}@127.0.0.1:1"
for more in ({{"lazy": True}}, {{}}, {{"tls": False}}, {{"tls": False, "proxy": proxy}}):
    try:
        thb.connect(address={address!r}, metrics_address="127.0.0.1:0", **options, **more)
        thb.heartbeat({secret!r}.encode(), {secret!r}, timeout=0.3)
    except thb.Error as error:
        print(type(error).__name__, error)
    thb.disconnect(timeout=0)
    print(thb.metrics(), *thb.log_records())
"""


def test_no_credential_is_ever_shown(
    library_path: Path, nobody: str, black_hole: BlackHole
) -> None:
    for address in (nobody, black_hole.address):
        done = run(WITH_SECRETS.format(secret=SECRET, address=address), THB_LOG="debug")
        assert "_failed: " in done.stderr, done.stderr
        assert "temporal_request_failure{" in done.stdout, done.stdout
        for form in (SECRET, SECRET.encode().hex(), b64encode(SECRET.encode()).decode()[:7]):
            assert form not in done.stdout + done.stderr


UNREAD = """
import os, time
reader, writer = os.pipe()
os.dup2(writer, 2)
os.close(writer)
if {closed}:
    os.close(reader)
else:
    os.set_blocking(2, False)
    try:
        while os.write(2, b"x" * 4096): pass
    except BlockingIOError:
        pass
    os.set_blocking(2, True)
import temporal_heartbeat as thb
began = time.monotonic()
try:
    thb.connect(address={address!r}, connect_timeout_ms=200)
except thb.UnavailableError:
    print("unavailable", time.monotonic() - began < 20)
"""


@pytest.mark.parametrize("closed", [True, False], ids=["closed", "full"])
def test_a_stderr_that_nobody_reads_holds_up_nothing(
    library_path: Path, nobody: str, closed: bool
) -> None:
    done = run(UNREAD.format(closed=closed, address=nobody), THB_LOG="debug")
    assert (done.returncode, done.stdout.strip()) == (0, "unavailable True")


FORKING = """
import os, socket, temporal_heartbeat as thb
thb.connect(address={address!r}, lazy=True, metrics_address="127.0.0.1:0")
[address] = [r["address"] for r in thb.log_records() if r["event"] == "metrics_served"]
host, port = address.split(":")
reader, writer = os.pipe()
child = os.fork()
if child == 0:
    os.read(reader, 1)
    os._exit(0)
thb.disconnect(timeout=0)
while True:
    try:
        socket.create_connection((host, int(port))).close()
    except ConnectionRefusedError:
        break
socket.create_server((host, int(port))).close()
os.write(writer, b"x")
os.waitpid(child, 0)
print("free")
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs os.fork")
def test_a_child_does_not_go_on_holding_the_address(library_path: Path, nobody: str) -> None:
    done = run(FORKING.format(address=nobody))
    assert done.stdout == "free\n", done.stderr
