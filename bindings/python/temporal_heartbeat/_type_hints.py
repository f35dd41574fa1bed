"""Converts the values of JSON to the types that the annotations of a function name.

The rules are those of the default converter of Temporal's SDK. So a function gets the same
arguments in a worker of the SDK and in a `Worker`. There is one difference: if there are fewer
arguments than parameters, or a parameter has no annotation, the SDK converts nothing. Here the
arguments that have an annotation are converted.
"""

from __future__ import annotations

import collections
import collections.abc
import dataclasses
import enum
import functools
import inspect
import sys
import types
import typing
import uuid
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Callable, Literal, NamedTuple, NoReturn, Optional, TypeVar, Union

from ._converter import from_payload
from ._payload import Payload

__all__ = ["NO_HINT", "Parameter", "parameters_of", "typed_values"]

NO_HINT: Any = object()

# ``X | Y``, since Python 3.10.
_UNIONS = (Union, getattr(types, "UnionType", Union))

_KEYS: dict[Any, dict[str, Any]] = {
    bool: {"true": True, "false": False},
    type(None): {"null": None},
}


# Other iterables are read as lists.
_COLLECTIONS = (tuple, set, frozenset, collections.deque)


class Parameter(NamedTuple):
    """A positional parameter of a function; ``hint`` is NO_HINT without an annotation."""

    name: str
    hint: Any


def parameters_of(function: Callable[..., Any]) -> Sequence[Parameter]:
    """Returns the positional parameters. Raises NameError for an annotation that has no value."""
    annotated = function
    while isinstance(annotated, functools.partial):
        annotated = annotated.func
    if not inspect.isroutine(annotated):
        annotated = type(annotated).__call__
    hints = typing.get_type_hints(annotated)
    return [
        Parameter(parameter.name, hints.get(parameter.name, NO_HINT))
        for parameter in inspect.signature(function).parameters.values()
        if parameter.kind in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD)
    ]


def typed_values(payloads: Sequence[Payload], hints: Sequence[Any]) -> list[Any]:
    """Converts payloads. Raises TypeError or ValueError for a value that doesn't fit its hint."""
    return [_typed_value(payload, hint) for payload, hint in zip(payloads, hints)]


def _typed_value(payload: Payload, hint: Any) -> Any:
    if hint is Payload:
        return payload
    value = from_payload(payload)
    is_json = payload.encoding == "json/plain" and not isinstance(value, Payload)
    return value if hint is NO_HINT or not is_json else _convert(hint, value)


def _convert(hint: Any, value: Any) -> Any:
    if hint is Any:
        return value
    if hint is datetime:
        return _datetime(value)
    if hint in (int, float, bool, str, bytes, type(None)):
        return _simple(hint, value)
    supertype = getattr(hint, "__supertype__", None)  # of a NewType
    if supertype:
        return _convert(supertype, value)
    origin = getattr(hint, "__origin__", hint)
    arguments: tuple[Any, ...] = getattr(hint, "__args__", ())
    if origin is Literal:
        if value not in arguments:
            raise TypeError(f"{value!r} is none of {', '.join(map(repr, arguments))}")
        return value
    if origin in _UNIONS or type(origin) in _UNIONS:
        return _member_of_union(hint, arguments, value)
    if inspect.isclass(origin) and issubclass(origin, collections.abc.Mapping):
        return _mapping(hint, origin, arguments, value)
    if dataclasses.is_dataclass(hint):
        return _dataclass(hint, value)
    parse = inspect.getattr_static(hint, "parse_obj", None)  # of a pydantic model
    if isinstance(parse, (classmethod, staticmethod)):
        _check(hint, value, dict)
        return hint.parse_obj(value)
    if inspect.isclass(hint) and issubclass(hint, enum.Enum):
        for mixed_in in (int, str):
            if issubclass(hint, mixed_in):
                _check(hint, value, mixed_in)
                return hint(value)
    if inspect.isclass(hint) and issubclass(hint, uuid.UUID):
        return hint(value)
    if inspect.isclass(origin) and issubclass(origin, collections.abc.Iterable):
        return _iterable(hint, origin, arguments, value)
    return _refuse(hint, value)


def _refuse(hint: Any, value: Any) -> NoReturn:
    name = hint.__qualname__ if inspect.isclass(hint) else str(hint)
    raise TypeError(f"a value of the type {type(value).__name__} isn't a {name}")


def _check(hint: Any, value: Any, kinds: Union[type, tuple[type, ...]]) -> None:
    if not isinstance(value, kinds):
        _refuse(hint, value)


def _datetime(value: Any) -> datetime:
    _check(datetime, value, str)
    text: str = value
    if sys.version_info < (3, 11) and text.endswith("Z"):
        text = text[:-1] + "+00:00"
    try:
        return datetime.fromisoformat(text)
    except ValueError as error:
        raise TypeError(f"{value!r} isn't a time in the form of ISO 8601") from error


def _simple(hint: Any, value: Any) -> Any:
    kinds: dict[Any, Any] = {
        int: (int, float),
        float: (int, float),
        bytes: (str, bytes, list),
    }
    _check(hint, value, kinds.get(hint, hint))
    return None if value is None else hint(value)


def _member_of_union(hint: Any, members: Sequence[Any], value: Any) -> Any:
    for member in members:
        try:
            return _convert(member, value)
        except Exception:
            pass  # the next one may fit
    _refuse(hint, value)


def _argument(arguments: Sequence[Any], index: int) -> Optional[Any]:
    """Returns the hint of the keys, of the values or of the items; None: any."""
    argument = arguments[index] if index < len(arguments) else Any
    return None if argument is Any or isinstance(argument, TypeVar) else argument


def _mapping(hint: Any, origin: Any, arguments: Sequence[Any], value: Any) -> Any:
    _check(hint, value, collections.abc.Mapping)
    is_typed_dict = hasattr(origin, "__required_keys__")
    fields = typing.get_type_hints(origin) if is_typed_dict else {}
    key_hint, value_hint = _argument(arguments, 0), _argument(arguments, 1)
    made = {}
    for key, item in value.items():
        typed_key = key if key_hint is None else _key(key_hint, key)
        item_hint = fields.get(key) if is_typed_dict else value_hint
        made[typed_key] = item if item_hint is None else _convert(item_hint, item)
    return hint(**made) if is_typed_dict else made


def _key(hint: Any, key: str) -> Any:
    """Converts a key, which is a string in JSON."""
    is_number = hint in (int, float)
    if inspect.isclass(hint) and issubclass(hint, enum.Enum) and issubclass(hint, int):
        return hint(int(key))
    if hint in _KEYS:
        return _KEYS[hint][key]
    return hint(key) if is_number else _convert(hint, key)


def _dataclass(hint: Any, value: Any) -> Any:
    _check(hint, value, dict)
    hints = typing.get_type_hints(hint)
    given: dict[bool, dict[str, Any]] = {True: {}, False: {}}  # by whether __init__ takes it
    for field in dataclasses.fields(hint):
        if field.name in value:
            try:
                typed = _convert(hints[field.name], value[field.name])
            except Exception as error:
                raise TypeError(f"{hint.__qualname__}.{field.name}: {error}") from error
            given[field.init][field.name] = typed
    made = hint(**given[True])
    for name, typed in given[False].items():
        object.__setattr__(made, name, typed)  # also if it is frozen
    return made


def _iterable(hint: Any, origin: Any, arguments: Sequence[Any], value: Any) -> Any:
    _check(hint, value, collections.abc.Iterable)
    is_fixed = origin is tuple and bool(arguments) and arguments[-1] is not Ellipsis
    made = []
    for index, item in enumerate(value):
        if is_fixed and index >= len(arguments):
            raise TypeError(f"there are more items than in {hint}")
        item_hint = _argument(arguments, index if is_fixed else 0)
        made.append(item if item_hint is None else _convert(item_hint, item))
    return origin(made) if origin in _COLLECTIONS else made
