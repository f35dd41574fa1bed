"""The types of the fixtures that the scenarios are written with (conftest.py makes them)."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Protocol

from harness.activities import ExternalActivity, Kind
from harness.driver import Driver

NO_VARIABLES: Mapping[str, str] = MappingProxyType({})
NO_INHERITED: Sequence[int] = ()


class StartActivity(Protocol):
    """Starts an activity of a kind, with `ActivityOptions`."""

    def __call__(self, kind: Kind, **options: int) -> ExternalActivity: ...


class StartDriver(Protocol):
    """Starts the driver of a language, with further environment variables and descriptors. It isn't connected."""

    def __call__(self, language: str, environment: Mapping[str, str] = ..., inherit: Sequence[int] = ...) -> Driver: ...


class Connect(Protocol):
    """Starts the driver of a language and connects it, to the server unless another address is given."""

    def __call__(self, language: str, address: str = ...) -> Driver: ...
