"""Arguments get the types of the annotations, as in a worker of Temporal's SDK."""

from __future__ import annotations

import collections
import dataclasses
import enum
import sys
import typing
import uuid
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Literal, NewType, Optional, TypedDict, TypeVar, Union

import pytest

import temporal_heartbeat as thb
from temporal_heartbeat._converter import to_payload
from temporal_heartbeat._type_hints import NO_HINT, parameters_of, typed_values

sdk = pytest.importorskip("temporalio.converter")

T = TypeVar("T")
Name = NewType("Name", str)


class Number(enum.IntEnum):
    ONE = 1


class Word(str, enum.Enum):
    YES = "yes"


class Plain(enum.Enum):
    YES = "yes"


@dataclasses.dataclass
class Inner:
    at: datetime
    words: list[Word]


@dataclasses.dataclass(frozen=True)
class Outer:
    inner: Inner
    number: Optional[Number] = None
    computed: int = dataclasses.field(init=False, default=0)


class Typed(TypedDict, total=False):
    inner: Inner
    number: int


INNER = {"at": "2026-01-02T03:04:05+00:00", "words": ["yes"]}
ID = "12345678-1234-5678-1234-567812345678"

HINTS: list[Any] = [
    Any,
    int,
    float,
    bool,
    str,
    bytes,
    type(None),
    datetime,
    uuid.UUID,
    Name,
    Number,
    Word,
    Plain,
    Inner,
    Outer,
    Typed,
    Literal["yes", 1],
    Optional[Inner],
    Union[int, str],
    list,
    list[Inner],
    list[T],  # type: ignore[valid-type]
    dict,
    dict[str, Inner],
    dict[int, Any],
    dict[bool, int],
    dict[Number, str],
    dict[Word, int],
    tuple,
    tuple[int, str],
    tuple[int, ...],
    set[int],
    frozenset[str],
    collections.deque[int],
    Sequence[Number],
    Iterable[Inner],
    Mapping[str, int],
    typing.List[Inner],  # noqa: UP006 - as older programs have it
    typing.Dict[str, Inner],  # noqa: UP006
    object,
]
if sys.version_info >= (3, 10):
    HINTS.append(int | None)

VALUES: list[Any] = [
    None,
    True,
    0,
    1,
    2.5,
    "yes",
    "1",
    INNER["at"],
    ID,
    [],
    [1],
    [1, "yes"],
    [1, 2, 3],
    ["yes"],
    [INNER],
    {},
    INNER,
    {"inner": INNER},
    {"inner": INNER, "number": 1, "computed": 4, "unknown": 5},
    {"1": 1},
    {"1": "one"},
    {"true": 1},
    {"yes": 1},
    {"a": INNER},
    {"at": 5, "words": []},
]


def converted(convert: Any) -> Any:
    try:
        return convert()
    except Exception:
        return "refused"


@pytest.mark.parametrize("hint", HINTS, ids=str)
def test_each_value_is_what_the_converter_of_the_sdk_returns(hint: Any) -> None:
    for value in VALUES:
        ours = converted(lambda v=value: typed_values([to_payload(v)], [hint])[0])
        [payload] = sdk.PayloadConverter.default.to_payloads([value])
        theirs = converted(
            lambda p=payload: sdk.PayloadConverter.default.from_payloads([p], [hint])[0]
        )
        assert (type(ours), ours) == (type(theirs), theirs), value


def test_a_value_without_an_annotation_stays_plain() -> None:
    payload = to_payload(INNER)
    assert typed_values([payload], [NO_HINT]) == [INNER]
    assert typed_values([payload], [thb.Payload]) == [payload]
    assert typed_values([to_payload(b"raw")], [str]) == [b"raw"]


def test_parameters_are_the_positional_ones() -> None:
    def function(first: Inner, second: Any = None, *more: int, third: int = 3) -> int:
        return 1

    assert parameters_of(function) == [("first", Inner), ("second", Any)]

    def without(first, second: int):  # type: ignore[no-untyped-def]
        pass

    assert parameters_of(without) == [("first", NO_HINT), ("second", int)]


def test_the_error_names_the_field() -> None:
    with pytest.raises(TypeError, match=r"Outer\.inner: Inner\.at: a value of the type int isn't"):
        typed_values([to_payload({"inner": {"at": 5, "words": []}})], [Outer])
