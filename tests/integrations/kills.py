"""Records the kills of a stage, for the table that table.py prints."""

import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field

import pytest

from integrations.table import FOLDER

# Kills per engine. THB_KILLS sets fewer while a test is written.
KILLS = int(os.environ.get("THB_KILLS", "20"))


@dataclass
class Kill:
    """One kill, and whether its checks passed."""

    engine: str
    version: str
    killed: str
    seconds_to_resume: float | None = None
    passed: bool = False
    began: float = field(default_factory=time.monotonic, repr=False)

    def now(self) -> None:
        """Starts the clock: call it directly before the kill."""
        self.began = time.monotonic()

    def resumed(self, at: float | None = None) -> None:
        """Stops the clock: the next attempt has begun its first item, now or at a time of `time.monotonic`."""
        self.seconds_to_resume = (time.monotonic() if at is None else at) - self.began


class Kills:
    def __init__(self, stage: str) -> None:
        self._file = FOLDER / f"{stage}.jsonl"

    @contextmanager
    def one(self, engine: str, version: str, killed: str) -> Iterator[Kill]:
        """Records a kill. It passed if the block, with all its checks, raises nothing."""
        kill = Kill(engine, version, killed)
        try:
            yield kill
            assert kill.seconds_to_resume is not None, "the test must call `resumed`"
            kill.passed = True
        finally:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            with self._file.open("a") as lines:
                print(json.dumps(asdict(kill)), file=lines)


@pytest.fixture
def kills(request: pytest.FixtureRequest) -> Kills:
    return Kills(request.path.stem.removeprefix("test_"))
