"""Activities that are held open, through the wrapper for C++, and the examples that hold one."""

import functools
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

from harness.build import compile_c, compile_cpp
from harness.driver import DEFAULT_TIMEOUT_MS, Details, Driver, Timeout, Value, json_word, unhex, value_word
from harness.languages import library_environment, linked
from harness.paths import BUILD, DRIVERS, ROOT
from harness.signals import Signals

ANY = ~Signals.NONE
STRICT_CPP = ("-Wshadow", "-Wconversion")


class HeldDriver(Driver):
    """A process that holds activities open."""

    def __init__(self, before: Sequence[str] = ()) -> None:
        """`before` is a command that runs the driver as its own process, in a network namespace for example."""
        super().__init__([*before, str(_driver())], library_environment())

    @staticmethod
    def build() -> None:
        _driver()

    def open(self, token: bytes, **options: Any) -> "Held":
        """Opens the activity of a token, with the options of thb_activity_open."""
        return self.open_as("held", token, **options)

    def open_as(self, name: str, token: bytes, **options: Any) -> "Held":
        self.call("open", name, token.hex() or ".", json_word(options))
        return Held(self, name)


class Hold(Protocol):
    """Starts a driver that can hold activities open, connected to the server unless another address is given."""

    def __call__(self, address: str = ...) -> HeldDriver: ...


class Held:
    """An open activity of a driver. Calls raise `Refused`."""

    def __init__(self, driver: HeldDriver, name: str) -> None:
        self._driver = driver
        self._name = name

    def record(self, *details: Value) -> Signals:
        return self._signals("record", *map(value_word, details))

    def start_record(self, details: Value) -> None:
        self._driver.start("record", self._name, value_word(details))

    def finish_record(self) -> Signals:
        return Signals(int(self._driver.finish()[0]))

    def touch(self) -> Signals:
        return self._signals("touch")

    def signals(self) -> Signals:
        return self._signals("signals")

    def wait(
        self, mask: Signals = ANY, known: Signals = Signals.NONE, timeout: Timeout = DEFAULT_TIMEOUT_MS
    ) -> Signals:
        return self._signals("wait", str(int(mask)), str(int(known)), str(timeout))

    def details(self, timeout: Timeout = DEFAULT_TIMEOUT_MS) -> Details:
        return Details.read(self._call("details", str(timeout)))

    def info(self) -> dict[str, Any]:
        told: dict[str, Any] = json.loads(unhex(self._call("info")[0]))
        return told

    def flush(self, timeout: Timeout = DEFAULT_TIMEOUT_MS) -> None:
        self._call("flush", str(timeout))

    def complete(self, *result: Value, timeout: Timeout = DEFAULT_TIMEOUT_MS) -> None:
        self._call("complete", str(timeout), *map(value_word, result))

    def fail(self, timeout: Timeout = DEFAULT_TIMEOUT_MS, **failure: Any) -> None:
        self._call("fail", str(timeout), json_word(failure))

    def report_cancelled(self, *details: Value, timeout: Timeout = DEFAULT_TIMEOUT_MS) -> None:
        self._call("report_cancelled", str(timeout), *map(value_word, details))

    # Without waiting for the answer, which is the driver's to finish.

    def start_complete(self, *result: Value, timeout: Timeout) -> None:
        self._driver.start("complete", self._name, str(timeout), *map(value_word, result))

    def start_fail(self, timeout: Timeout, **failure: Any) -> None:
        self._driver.start("fail", self._name, str(timeout), json_word(failure))

    def start_report_cancelled(self, timeout: Timeout) -> None:
        self._driver.start("report_cancelled", self._name, str(timeout))

    def close(self, timeout: Timeout = DEFAULT_TIMEOUT_MS) -> None:
        self._call("close", str(timeout))

    def _signals(self, verb: str, *words: str) -> Signals:
        return Signals(int(self._call(verb, *words)[0]))

    def _call(self, verb: str, *words: str) -> list[str]:
        return self._driver.call(verb, self._name, *words)


@functools.cache
def example(language: str) -> Path:
    """The program of bindings/ that holds its activity open."""
    if language == "c":
        return compile_c(ROOT / "bindings" / "c" / "examples" / "activity.c", BUILD / "activity_c", *linked())
    source = ROOT / "bindings" / "cpp" / "examples" / "activity.cpp"
    return compile_cpp(source, BUILD / "activity_cpp", *STRICT_CPP, *linked())


@functools.cache
def _driver() -> Path:
    return compile_cpp(DRIVERS / "activity.cpp", BUILD / "driver_activity", *STRICT_CPP, *linked())
