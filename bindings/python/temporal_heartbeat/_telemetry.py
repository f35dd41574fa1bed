"""What those who look on get to see: metrics, and log records for ``logging``."""

from __future__ import annotations

import atexit
import json
import logging
import os
import signal
import threading
from collections.abc import Iterator
from typing import Any, Optional, Union

from ._read import read_text
from .errors import Error

__all__ = ["forward_logs", "log_records", "metrics"]

_LEVELS = {
    "error": logging.ERROR,
    "warn": logging.WARNING,
    "info": logging.INFO,
    "debug": logging.DEBUG,
}

# How long one wait for a record is, and so how long the end of the interpreter may have to wait.
_SLICE_MS = 200


def metrics() -> str:
    """The process's metrics, in Prometheus's text form.

    Before the first `connect` there are only names. With ``connect(metrics_address="ip:port")``
    Prometheus fetches them by itself. docs/metrics.md lists them.

    Never waits. Any thread may call it.
    """
    return read_text(
        lambda native, text, error: native.thb_get_metrics(text, error), may_block=False
    ).decode()


def log_records() -> Iterator[dict[str, Any]]:
    """The log records that there are, oldest first; each is taken by whoever comes first.

    A record has ``time_unix_ms``, ``level``, ``event``, ``message``, and its particulars.
    docs/logs.md lists them.

    Never waits. Any thread may call it.
    """
    while record := _next(0):
        yield record


def forward_logs(logger: Union[logging.Logger, str] = "temporal_heartbeat") -> None:
    """Hand the library's log records to ``logging``, from now on, within one thread.

    The thread is a daemon, and does nothing but wait for records, which are rare. A record's
    particulars are in the ``temporal_heartbeat`` attribute of its ``LogRecord``, a dict. At the
    interpreter's end the last ones are handed over. Called again, it takes another logger. In a
    child of ``os.fork`` it is to be called again.

    Raises `LibraryNotFound` or `AbiMismatch` when there is no library to take records from.
    """
    global _forwarder
    metrics()  # raises when there is no library
    chosen = logging.getLogger(logger) if isinstance(logger, str) else logger
    if _forwarder is not None:
        _forwarder.logger = chosen
        return
    _forwarder = _Forwarder(chosen)
    _forwarder.start()


def _next(timeout_ms: int) -> Optional[dict[str, Any]]:
    text = read_text(
        lambda native, text, error: native.thb_log_next(timeout_ms, text, error), may_block=False
    )
    read: Optional[dict[str, Any]] = json.loads(text) if text else None
    return read


class _Forwarder(threading.Thread):
    def __init__(self, logger: logging.Logger) -> None:
        super().__init__(name="temporal-heartbeat-logs", daemon=True)
        self.logger = logger
        self._ending = False
        # Before the interpreter goes, while logging still works.
        atexit.register(self.end)

    def run(self) -> None:
        if hasattr(signal, "pthread_sigmask"):
            # Leave the signals to the threads of the host.
            signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        while not self._ending:
            try:
                record = _next(_SLICE_MS)
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
            (record.get("event"), record.get("message")),
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
            # A handler that raises must not end the others' records.
            logging.getLogger(__name__).debug("a log handler has failed", exc_info=True)


_forwarder: Optional[_Forwarder] = None


def _forget() -> None:
    """In a child: the thread isn't there."""
    global _forwarder
    if _forwarder is not None:
        atexit.unregister(_forwarder.end)
    _forwarder = None


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
