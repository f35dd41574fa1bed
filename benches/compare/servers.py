"""The servers that receive the heartbeats: the null server, in plaintext or TLS, and a real server."""

import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from compare.paths import BUILD, NULL_SERVER
from harness.activities import WorkflowActivity
from harness.server import dev_server
from harness.worker import ActivityOptions, SdkWorker

# One for each caller, as in use: a process sends one request of an activity at a time.
TOKENS = 256


@dataclass(frozen=True)
class Target:
    address: str
    tokens: Path
    ca: Path | None = None


@contextmanager
def target(server: str) -> Iterator[Target]:
    with {"null": null, "tls": tls, "real": real}[server]() as started:
        yield started


@contextmanager
def null(*options: str, ca: Path | None = None) -> Iterator[Target]:
    with subprocess.Popen([NULL_SERVER, *options], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout
        # At the end of the block its standard input closes, and the server exits.
        yield Target(server.stdout.readline().strip(), _write_tokens([_token(i) for i in range(TOKENS)]), ca)
        server.communicate()


@contextmanager
def tls() -> Iterator[Target]:
    ca = BUILD / "ca.pem"
    with null("--tls", str(ca), ca=ca) as started:
        yield started


@contextmanager
def real() -> Iterator[Target]:
    # Rate limits would falsify the results.
    limits = ("frontend.namespaceRPS", "frontend.globalNamespaceRPS", "frontend.rps", "history.rps")
    options = [word for limit in limits for word in ("--dynamic-config-value", f"{limit}=1000000")]
    activity = ActivityOptions(heartbeat_timeout_ms=0, start_to_close_ms=3_600_000)
    with ExitStack() as stack:
        server = stack.enter_context(dev_server(*options))
        sdk_worker = stack.enter_context(SdkWorker(server.address))
        started = [WorkflowActivity(sdk_worker, activity) for _ in range(TOKENS)]
        for one in started:
            stack.callback(one.terminate)
        yield Target(server.address, _write_tokens([one.next_attempt().token for one in started]))


def _write_tokens(tokens: list[bytes]) -> Path:
    file = BUILD / "tokens"
    file.write_text("".join(f"{token.hex()}\n" for token in tokens))
    return file


def _token(number: int) -> bytes:
    """Returns a token of a realistic size, 170 bytes: ids of 36 characters and an activity type."""
    fields = [(key, b"00000000-0000-0000-0000-%012d" % number) for key in (0x0A, 0x12, 0x1A, 0x32)]
    return b"".join(bytes([key, len(text)]) + text for key, text in [*fields, (0x42, b"process_things")])
