"""The types of the fixtures of conftest.py."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from temporalio.client import ActivityHandle

from harness.activities import ExternalActivity, Kind
from harness.driver import Driver
from harness.languages import NO_VARIABLES as NO_VARIABLES

NO_INHERITED: Sequence[int] = ()
NO_LAUNCHER: Sequence[str] = ()

# Starts a standalone activity on a task queue, with these arguments and options of `Client.start_activity`.
StartOnQueue = Callable[..., ActivityHandle[Any]]


class StartActivity(Protocol):
    """Starts an activity of a kind with `ActivityOptions`."""

    def __call__(self, kind: Kind, **options: int) -> ExternalActivity: ...


class StartDriver(Protocol):
    """Starts the driver of a language, with additional environment variables and descriptors. It isn't connected."""

    def __call__(self, language: str, environment: Mapping[str, str] = ..., inherit: Sequence[int] = ...) -> Driver: ...


class Connect(Protocol):
    """Starts the driver of a language and connects it, by default to the server."""

    def __call__(self, language: str, address: str = ...) -> Driver: ...


class ConnectCpp(Protocol):
    """Starts the C++ driver and connects it, by default to the server."""

    def __call__(self, address: str = ...) -> Driver: ...
