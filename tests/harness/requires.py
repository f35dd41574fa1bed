"""Skips tests that can't run here."""

import os
from typing import NoReturn, TypeVar

import pytest

T = TypeVar("T")


def requires(found: T | None, what: str) -> T:
    """Returns `found`. If it is None, skips the test, or fails it with THB_REQUIRE_ALL=1."""
    return found if found else missing(what)


def missing(what: str) -> NoReturn:
    if os.environ.get("THB_REQUIRE_ALL") == "1":
        pytest.fail(f"needs {what}, and THB_REQUIRE_ALL=1 allows no skips", pytrace=False)
    pytest.skip(f"SKIPPED: needs {what}")


UNSUPPORTED = "UNSUPPORTED: "


def unsupported(what: str) -> NoReturn:
    """Skips a test that this server, kind of activity or language doesn't support. The grid shows no gap."""
    pytest.skip(UNSUPPORTED + what)
