"""The file in which the programs tick off items: a line `attempt language item` for each one done."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Done:
    attempt: int
    language: str
    item: int


class DoneFile:
    """Reads what was appended since the last look."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._read = 0

    def new(self) -> list[Done]:
        if not self._path.exists():
            return []
        with self._path.open("rb") as file:
            file.seek(self._read)
            text = file.read()
        whole = text[: text.rfind(b"\n") + 1]  # a line being written is read the next time
        self._read += len(whole)
        return [parse(line) for line in whole.decode().splitlines()]


def parse(line: str) -> Done:
    attempt, language, item = line.split()
    return Done(int(attempt), language, int(item))
