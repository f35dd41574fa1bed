"""Metrics, and log records for ``logging``."""

from __future__ import annotations

import atexit
import json
import logging
import os
import re
import threading
from collections.abc import Iterator
from typing import Any, Optional, Union

from ._interruptible import block_signals
from ._invoke import read_text
from ._library import library
from .errors import Error

__all__ = ["forward_logs", "log_records", "metrics"]

_LEVELS = {
    "error": logging.ERROR,
    "warn": logging.WARNING,
    "info": logging.INFO,
    "debug": logging.DEBUG,
}

# The characters that control a terminal, end a line, or change the direction of a text.
_CONTROLS = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")
_SHORT_ESCAPES = {"\0": r"\0", "\t": r"\t", "\n": r"\n", "\r": r"\r"}

# The longest wait for a record, for which the interpreter's exit may have to wait.
_MAX_WAIT_MS = 200


def metrics() -> str:
    """Return the metrics of this process, in Prometheus's text format.

    Before the first `connect` they have no samples. With ``connect(metrics_address="ip:port")``
    Prometheus can fetch them. docs/metrics.md lists them.

    Never waits. Any thread may call it.
    """
    return read_text("thb_get_metrics", may_block=False).decode()


def log_records() -> Iterator[dict[str, Any]]:
    """Yield the stored log records, oldest first. Each record is removed.

    A record has ``time_unix_ms``, ``level``, ``event``, ``message``, and the fields of its event.
    docs/logs.md lists them.

    Never waits. Any thread may call it.
    """
    while record := _next_record(0):
        yield record


def forward_logs(logger: Union[logging.Logger, str] = "temporal_heartbeat") -> None:
    """Forward the library's log records to ``logging``, from a separate thread.

    The thread is a daemon that waits for records, which are rare. The ``temporal_heartbeat``
    attribute of a ``LogRecord`` has all fields of the record, a dict. In the message, but not in
    the dict, control characters are escaped, as in the lines of THB_LOG. The interpreter's exit
    forwards the last records. Call it again to change the logger, and in a child of ``os.fork``.

    Raises `LibraryNotFoundError` or `AbiMismatchError` if the library can't be loaded.
    """
    global _forwarder
    library()  # raises if it can't be loaded
    chosen = logging.getLogger(logger) if isinstance(logger, str) else logger
    if _forwarder is not None:
        _forwarder.logger = chosen
        return
    _forwarder = _Forwarder(chosen)
    _forwarder.start()


def _next_record(timeout_ms: int) -> Optional[dict[str, Any]]:
    # Only the forwarder waits here. It has its own thread, so Ctrl-C needn't interrupt the wait.
    text = read_text("thb_log_next", timeout_ms, may_block=False)
    record: Optional[dict[str, Any]] = json.loads(text) if text else None
    return record


def _printable(text: str) -> str:
    """Escapes control characters as the library does in its lines, such as ``\\u{1b}``."""
    return _CONTROLS.sub(
        lambda found: _SHORT_ESCAPES.get(found[0]) or f"\\u{{{ord(found[0]):x}}}", text
    )


class _Forwarder(threading.Thread):
    def __init__(self, logger: logging.Logger) -> None:
        super().__init__(name="temporal-heartbeat-logs", daemon=True)
        self.logger = logger
        self._ending = False
        # Before the interpreter exits, while logging still works.
        atexit.register(self.end)

    def run(self) -> None:
        block_signals()
        while not self._ending:
            try:
                record = _next_record(_MAX_WAIT_MS)
            except Error:
                return
            if record is not None:
                self._forward(record)

    def end(self) -> None:
        self._ending = True
        if self.is_alive():
            self.join()
            for record in log_records():
                self._forward(record)

    def _forward(self, record: dict[str, Any]) -> None:
        level = _LEVELS.get(record.get("level", ""), logging.INFO)
        if not self.logger.isEnabledFor(level):
            return
        made = self.logger.makeRecord(
            self.logger.name,
            level,
            "(temporal_heartbeat)",
            0,
            "%s: %s",
            (record.get("event"), _printable(str(record.get("message")))),
            None,
            extra={"temporal_heartbeat": record},
        )
        at = record.get("time_unix_ms")
        if isinstance(at, int):
            made.created = at / 1000
            made.msecs = at % 1000
        try:
            self.logger.handle(made)
        except Exception:
            # A handler that raises must not stop the forwarding of later records.
            logging.getLogger(__name__).debug("a log handler has failed", exc_info=True)


_forwarder: Optional[_Forwarder] = None


def _reset_after_fork() -> None:
    """The forwarder's thread doesn't exist in a forked child."""
    global _forwarder
    if _forwarder is not None:
        atexit.unregister(_forwarder.end)
    _forwarder = None


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_reset_after_fork)
