"""The model's side of a comparison. A test of the library runs the model."""

import subprocess
from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path

import temporalio.api.workflowservice.v1 as api
from google.protobuf.message import Message

from harness.activities import Kind
from sim.compare.answers import Answer
from sim.compare.side import WORKER, Side


class Model(AbstractContextManager["Model"]):
    """The process of the library's test that answers questions about the model."""

    TEST = "sim::compare::answers_questions"

    def __init__(self, program: Path, version: int, size_limit: int) -> None:
        self._process = subprocess.Popen(
            [program, "--ignored", "--exact", self.TEST, "--nocapture", "--quiet"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdout
        while self._process.stdout.readline().strip() != "ready":
            assert self._process.poll() is None, f"{program} has no test {self.TEST}"
        self.size_limit = size_limit
        self.ask("server", version, size_limit)

    def ask(self, *words: object) -> tuple[int, bytes]:
        """Returns the code of an answer, and its message or the details of its status."""
        assert self._process.stdin
        assert self._process.stdout
        print(*words, file=self._process.stdin, flush=True)
        while True:
            line = self._process.stdout.readline()
            assert line, "the model has ended"
            match line.rstrip("\n").split(" "):
                case ["answer", code, encoded]:
                    return int(code), bytes.fromhex(encoded)

    def __exit__(self, *_: object) -> None:
        self._process.communicate()


class Modelled(Side):
    """An activity of the model."""

    def __init__(self, model: Model, kind: Kind, timeout_ms: int, most_attempts: int) -> None:
        super().__init__(kind)
        self._model = model
        self.number = model.ask("activity", kind, timeout_ms, most_attempts)[1].decode()
        self.activity_id, self.run_id = f"a{self.number}", f"r{self.number}"
        self.workflow_id = f"w{self.number}" if kind == "workflow" else ""

    async def call(self, method: str, request: Message, response: Message) -> Answer:
        code, message = self._model.ask("call", method, request.SerializeToString().hex())
        return Answer.of(response.FromString(message)) if code == 0 else Answer.refusal(code, message)

    async def operate(self, words: Sequence[str]) -> Answer:
        code, details = self._model.ask("operate", self.number, *words)
        return Answer.refusal(code, details)

    async def poll(self, *, is_expected: bool) -> api.PollActivityTaskQueueResponse:  # noqa: ARG002
        return api.PollActivityTaskQueueResponse.FromString(self._model.ask("start", self.number, WORKER)[1])

    def wait(self, milliseconds: int) -> None:
        self._model.ask("wait", self.number, milliseconds)

    def look(self) -> tuple[str, bool, int | None]:
        """Returns its state, whether an attempt may start, and when the heartbeat timer fires, in milliseconds."""
        state, may_start, left = self._model.ask("look", self.number)[1].decode().split()
        return state, may_start == "1", None if left == "never" else int(left)
