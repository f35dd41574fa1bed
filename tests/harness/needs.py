"""One way to say that a test can't run here, so that nobody overlooks it."""

import os
from typing import NoReturn, TypeVar

import pytest

T = TypeVar("T")


def needs(found: T | None, what: str) -> T:
    """Returns what was found. Without it the test is skipped, or fails where all is required (THB_REQUIRE_ALL=1)."""
    return found if found else missing(what)


def missing(what: str) -> NoReturn:
    if os.environ.get("THB_REQUIRE_ALL") == "1":
        pytest.fail(f"needs {what}, and THB_REQUIRE_ALL=1 allows no skips", pytrace=False)
    pytest.skip(f"SKIPPED: needs {what}")


NOT_THERE = "NOT THERE: "


def not_there(what: str) -> NoReturn:
    """The server of this run, or this kind of activity, doesn't have what the test is about. That is no gap."""
    pytest.skip(NOT_THERE + what)
