"""Requests have the metric names and labels of the official SDKs. One SDK counts the same requests for comparison."""

import asyncio
import json
import subprocess
import sys
import urllib.request

from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families
from temporalio.client import Client
from temporalio.runtime import PrometheusConfig, Runtime, TelemetryConfig
from temporalio.service import RPCError

from harness.server import NAMESPACE, Server, free_port
from interop import programs

GARBAGE = b"garbage"
BEAT = "RecordActivityTaskHeartbeat"


def theirs(server: Server) -> dict[str, Metric]:
    address = f"127.0.0.1:{free_port()}"
    runtime = Runtime(telemetry=TelemetryConfig(metrics=PrometheusConfig(bind_address=address)))

    async def beat() -> None:
        client = await Client.connect(server.address, namespace=NAMESPACE, runtime=runtime)
        try:
            await client.get_async_activity_handle(task_token=GARBAGE).heartbeat(1)
        except RPCError:
            return
        raise AssertionError("garbage was accepted as a token")

    asyncio.run(beat())
    with urllib.request.urlopen(f"http://{address}/metrics") as answer:
        return families(answer.read().decode())


PROGRAM = """
import json, sys, temporal_heartbeat as thb
thb.connect(address=sys.argv[1], namespace=sys.argv[2])
try:
    thb.heartbeat(b"garbage", 1)
except thb.TokenUnreadableError:
    print(json.dumps(thb.metrics()))
"""


def ours(server: Server) -> dict[str, Metric]:
    command = [sys.executable, "-c", PROGRAM, server.address, NAMESPACE]
    done = subprocess.run(command, env=programs.environment(), capture_output=True, text=True, check=True, timeout=60)
    return families(json.loads(done.stdout))


def families(text: str) -> dict[str, Metric]:
    return {family.name: family for family in text_string_to_metric_families(text)}


def beats(family: Metric) -> list[tuple[str, dict[str, str], float]]:
    """Returns the samples about heartbeats: names, labels without the service name, counts."""
    return [
        (sample.name, {name: text for name, text in sample.labels.items() if name != "service_name"}, sample.value)
        for sample in family.samples
        if sample.labels["operation"] == BEAT
    ]


def test_requests_and_failures_are_counted_like_in_the_sdk(server: Server) -> None:
    their, our = theirs(server), ours(server)
    for name in ("temporal_request", "temporal_request_failure"):
        assert our[name].type == their[name].type
        assert beats(our[name]) == beats(their[name])
        assert all(sample.labels["service_name"] == "temporal-heartbeat" for sample in our[name].samples)


def test_latencies_have_the_sdks_name_and_labels_and_are_in_seconds(server: Server) -> None:
    their, our = theirs(server)["temporal_request_latency"], ours(server)["temporal_request_latency"]
    assert our.type == their.type == "histogram"
    labels = [{name: set(labels) for name, labels, _ in beats(family)} for family in (their, our)]
    assert labels[0] == labels[1]
    [took] = [took for name, _, took in beats(our) if name == "temporal_request_latency_sum"]
    assert 0 < took < 10
