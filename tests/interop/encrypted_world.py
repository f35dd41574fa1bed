"""A server with a database file, a worker with a codec and its codec server, and a proxy that records the traffic.

`World.found` has the planted words that the database has shown so far. The server overwrites values, so scenarios call
`look` while an attempt runs.
"""

import base64
import re
import threading
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

from google.protobuf import json_format
from temporalio.api.common.v1 import Payload, Payloads
from temporalio.converter import PayloadConverter

from harness.activities import Kind
from harness.codec_server import CodecServer, EncryptedActivity, EncryptedAttempt
from harness.driver import Driver
from harness.languages import DRIVER_LANGUAGES, NO_VARIABLES, SCRIPT_LANGUAGES
from harness.polling import wait_until
from harness.program import Program, environment
from harness.proxy import Proxy
from harness.server import NAMESPACE, dev_server
from harness.worker import SdkWorker
from interop.stored_values import assert_encrypted, described

LANGUAGES = DRIVER_LANGUAGES | SCRIPT_LANGUAGES
PLANTED = re.compile(rb"planted-[a-z-]+-word")

# Of the requests to the codec server. The header names the program.
HEADER = "X-Program"
AUTHORIZATION = "Bearer of-the-test"

# Long enough for the start of a program on a busy machine.
SHORT_TIMEOUT_MS = 4_000


class World(AbstractContextManager["World"]):
    """With `encrypts` the worker has the codec, and the programs use the codec server. Otherwise nothing is encoded."""

    sdk_worker: SdkWorker

    def __init__(self, folder: Path, *, encrypts: bool) -> None:
        self.encrypts = encrypts
        self.folder = folder
        self._lock = threading.Lock()
        self.planted: set[str] = set()
        self.found: set[str] = set()

    def __enter__(self) -> "World":
        with ExitStack() as stack:
            server = stack.enter_context(dev_server("--db-filename", str(self.folder / "temporal.db")))
            self._proxy = stack.enter_context(Proxy(server.port, record=True))
            self._codec_server = stack.enter_context(CodecServer(server.address, encrypts=self.encrypts))
            self.sdk_worker = stack.enter_context(SdkWorker(server.address))
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def plant(self, *name: str) -> str:
        """Returns a value that contains a word. A page of the database may end in one of its copies."""
        word = f"planted-{'-'.join(name)}-word"
        with self._lock:
            self.planted.add(word)
        return f"{word} {word}"

    def look(self) -> None:
        """Searches the files of the database, also after the server has ended."""
        files = []
        for file in self.folder.glob("temporal.db*"):
            # The server deletes its journal after a transaction.
            with suppress(FileNotFoundError):
                files.append(file.read_bytes())
        assert files
        with self._lock:
            self.found |= words_in(files)

    def sent(self) -> set[str]:
        """Returns the planted words in the traffic between the programs and the server."""
        recorded = self._proxy.recorded
        assert sum(map(len, recorded)) > 10_000
        return words_in(recorded)

    def authorized(self) -> set[str]:
        """Returns the programs whose requests to the codec server have the right headers."""
        wanted = {"Authorization": [AUTHORIZATION], "X-Namespace": [NAMESPACE]}
        headers = [request.headers for request in self._codec_server.requests]
        return {h[HEADER][0] for h in headers if HEADER in h and wanted.items() <= h.items()}

    @property
    def variables(self) -> dict[str, str]:
        """The environment of the programs."""
        variables = {"TEMPORAL_ADDRESS": self._proxy.address, "TEMPORAL_NAMESPACE": NAMESPACE}
        if not self.encrypts:
            return variables
        # What the parent requires must be possible with a codec server.
        return variables | {
            "TEMPORAL_CODEC_ENDPOINT": self._codec_server.endpoint,
            "TEMPORAL_CODEC_AUTH": AUTHORIZATION,
            "TEMPORAL_ACTIVITY_REQUIRE_ENCODED": "true",
        }

    def start(self, kind: Kind, input: object = None, **options: Any) -> EncryptedActivity:
        return self._codec_server.start(kind, input, **options)

    @contextmanager
    def driver(self, language: str, handed_over: Mapping[str, str] = NO_VARIABLES) -> Iterator[Driver]:
        """Starts a connected driver."""
        with LANGUAGES[language].start(self.variables | dict(handed_over)) as driver:
            assert isinstance(driver, Driver)
            codec = {"encode_common_attributes": True, "require_encoded": True, "codec_headers": {HEADER: language}}
            driver.connect({"compression": "none", **(codec if self.encrypts else {})})
            yield driver

    @contextmanager
    def program(
        self,
        command: str,
        *flags: str,
        script: str,
        attempt: EncryptedAttempt | None = None,
        encodes_all: bool = True,
    ) -> Iterator[Program]:
        """Runs the command-line program with a script, for an attempt that a parent hands over or as a worker.

        Without `encodes_all` messages and stack traces aren't encoded.
        """
        common = ["--compression", "none"]
        if self.encrypts:
            common += ["--require-encoded", "--codec-header", f"{HEADER}={command}"]
            common += ["--encode-common-attributes"] if encodes_all else []
        variables = environment(self._proxy.address) | self.variables | (handed_over(attempt) if attempt else {})
        running = Program([command, *common, *flags, "--", "sh", "-c", script], variables)
        try:
            yield running
        finally:
            running.close()

    def encoded(self, *values: Any) -> Payloads:
        """Returns the values as the codec server encodes them, if there is a codec."""
        readable = Payloads(payloads=PayloadConverter.default.to_payloads(values))
        if not self.encrypts:
            return readable
        request = urllib.request.Request(
            f"{self._codec_server.endpoint}/encode",
            json_format.MessageToJson(readable).encode(),
            {"Content-Type": "application/json", "X-Namespace": NAMESPACE},
        )
        with urllib.request.urlopen(request) as answer:
            return json_format.Parse(answer.read(), Payloads())

    def stored(self, kind: Kind, activity: EncryptedActivity) -> Sequence[Payload]:
        """Waits until the server has details of the running attempt, and returns them as they are stored."""
        seen: list[Payload] = []

        def has_details() -> bool:
            seen[:] = described(kind, activity.id, "", self.sdk_worker)[0]
            return bool(seen)

        wait_until(has_details, "a heartbeat has details")
        return seen

    def assert_encrypted(self, payloads: Sequence[Payload]) -> None:
        if self.encrypts:
            assert_encrypted(payloads, f"namespace:{NAMESPACE}")


def handed_over(attempt: EncryptedAttempt, details: Payloads | None = None) -> dict[str, str]:
    """Returns the variables of the hand-off, as a parent sets them."""
    variables = {
        "TEMPORAL_ACTIVITY_TASK_TOKEN": base64.b64encode(attempt.token).decode(),
        "TEMPORAL_ACTIVITY_ATTEMPT": str(attempt.number),
        "TEMPORAL_ACTIVITY_HEARTBEAT_TIMEOUT_MS": str(SHORT_TIMEOUT_MS),
    }
    if details is not None:
        encoded = base64.b64encode(details.SerializeToString()).decode()
        variables["TEMPORAL_ACTIVITY_HEARTBEAT_DETAILS"] = encoded
    return variables


def words_in(texts: Sequence[bytes]) -> set[str]:
    return {word.decode() for text in texts for word in PLANTED.findall(text)}
