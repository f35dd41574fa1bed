"""record.py NAME.cast COMMAND...: runs the command on a terminal of its own, and writes what it prints with the times.

The file has the format asciicast v2: a header and then one line for each output, `[seconds, "o", text]`.
"""

import codecs
import fcntl
import json
import os
import pty
import struct
import sys
import termios
import time
from pathlib import Path

COLUMNS, ROWS = 80, 24
# A run that takes longer hangs.
LIMIT_S = 180


def record(target: Path, command: list[str], rows: int = ROWS) -> int:
    """Returns the exit code of the command. The file is written only if that is 0."""
    child, terminal = pty.fork()
    if child == 0:
        os.environ.update(TERM="xterm-256color", COLUMNS=str(COLUMNS), LINES=str(rows), COLORTERM="truecolor")
        os.environ.pop("NO_COLOR", None)
        os.execvp(command[0], command)
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", rows, COLUMNS, 0, 0))
    began = time.monotonic()
    events: list[tuple[float, str]] = []
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    while True:
        try:
            output = os.read(terminal, 65536)
        except OSError:  # the command has closed its terminal
            break
        elapsed = time.monotonic() - began
        if not output or elapsed > LIMIT_S:
            break
        sys.stdout.buffer.write(output)
        sys.stdout.flush()
        events.append((elapsed, decoder.decode(output)))
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if code == 0:
        header = {"version": 2, "width": COLUMNS, "height": rows}
        lines = [
            json.dumps(header),
            *(json.dumps([round(at, 3), "o", text], ensure_ascii=False) for at, text in events),
        ]
        target.write_text("\n".join(lines) + "\n")
    return code


if __name__ == "__main__":
    sys.exit(record(Path(sys.argv[1]), sys.argv[2:]))
