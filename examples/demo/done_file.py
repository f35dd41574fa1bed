"""The file in which the programs record finished items: one line `attempt language item` for each."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Done:
    attempt: int
    language: str
    item: int


class DoneFile:
    """Reads the lines that were appended since the last call."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._read = 0

    def new(self) -> list[Done]:
        if not self._path.exists():
            return []
        with self._path.open("rb") as file:
            file.seek(self._read)
            text = file.read()
        whole = text[: text.rfind(b"\n") + 1]  # an incomplete line is read at the next call
        self._read += len(whole)
        return [parse(line) for line in whole.decode().splitlines()]


def parse(line: str) -> Done:
    attempt, language, item = line.split()
    return Done(int(attempt), language, int(item))
