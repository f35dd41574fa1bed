"""Refuses keyword arguments that a function doesn't have."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Iterable
from typing import Any, Callable, Optional

__all__ = ["refuse_unknown"]


def refuse_unknown(
    function: Callable[..., Any],
    unknown: Iterable[str],
    takes_options: Optional[Callable[..., Any]] = None,
) -> None:
    """Raises a TypeError for the first unknown name. It suggests the most similar known name.

    ``takes_options``: the function whose parameters are the known names, if it isn't ``function``.
    """
    for name in unknown:
        parameters = inspect.signature(takes_options or function).parameters.values()
        known = [one.name for one in parameters if one.kind is not one.VAR_KEYWORD]
        similar = difflib.get_close_matches(name, known, n=1)
        hint = f": did you mean {similar[0]!r}?" if similar else ""
        raise TypeError(f"{function.__name__}() has no option {name!r}{hint}")
