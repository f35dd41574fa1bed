"""Makes every call that takes a token, with otherwise valid arguments."""

from typing import Protocol

from harness.driver import DEFAULT_TIMEOUT_MS, Bytes, Driver, Timeout


class Call(Protocol):
    def __call__(self, driver: Driver, token: Bytes, timeout: Timeout = DEFAULT_TIMEOUT_MS) -> None: ...


def heartbeat(driver: Driver, token: Bytes, timeout: Timeout = DEFAULT_TIMEOUT_MS) -> None:
    driver.heartbeat(token, 41, timeout=timeout)


def get_details(driver: Driver, token: Bytes, timeout: Timeout = DEFAULT_TIMEOUT_MS) -> None:
    driver.get_details(token, timeout=timeout)


def complete(driver: Driver, token: Bytes, timeout: Timeout = DEFAULT_TIMEOUT_MS) -> None:
    driver.complete(token, 41, timeout=timeout)


def fail(driver: Driver, token: Bytes, timeout: Timeout = DEFAULT_TIMEOUT_MS) -> None:
    driver.fail(token, {"message": "boom", "non_retryable": True}, timeout=timeout)


def report_cancelled(driver: Driver, token: Bytes, timeout: Timeout = DEFAULT_TIMEOUT_MS) -> None:
    driver.report_cancelled(token, 41, timeout=timeout)


CALLS: dict[str, Call] = {call.__name__: call for call in (heartbeat, get_details, complete, fail, report_cancelled)}

# The calls that refuse a stale token. Details can be read as long as the server has them.
FENCED = {name: call for name, call in CALLS.items() if name != "get_details"}
