"""python3 docs/pictures: draws NAME.svg from NAME.py, for each picture of this folder. --check only compares."""

import importlib
import sys
from pathlib import Path

FOLDER = Path(__file__).resolve().parent
sys.path.insert(0, str(FOLDER))


def main() -> int:
    stale = []
    for source in sorted(FOLDER.glob("*.py")):
        if source.stem not in ("__main__", "draw"):
            drawn = importlib.import_module(source.stem).picture().svg()
            target = source.with_suffix(".svg")
            if not target.exists() or target.read_text() != drawn:
                stale.append(target.name)
                if "--check" not in sys.argv:
                    target.write_text(drawn)
    if "--check" in sys.argv and stale:
        print(*stale, "aren't up to date: run `make pictures`", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
