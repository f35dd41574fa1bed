"""Who meets whom over which value: the parameters of the tests."""

from collections.abc import Callable, Iterable, Sequence

import pytest

from interop.sdks import SDKS, Sdk
from interop.table import ROWS, Row, written_by

# C names the encodings itself, and so writes every row.
ROWS_OF = {"c": ROWS, "python": written_by("Python", "binding"), "go": written_by("Go", "binding")}

# A child, and a row that it writes.
Pair = tuple[str, Row]

# What is passed on encrypted; how it was encoded before makes no difference any more.
ENCRYPTED = [row for row in ROWS if row.value in ("object", "Unicode", "bytes")]

CODED = [row for row in ROWS if row.value in ("integer", "Unicode", "bytes", "null", "two values", "Duration")]


def written() -> list[Pair]:
    return [(child, row) for child, rows in ROWS_OF.items() for row in rows]


def read_by(sdk: Sdk, children: Iterable[str] = ROWS_OF) -> list[Pair]:
    """What there is of values, and can be read."""
    return [(child, row) for child in children for row in ROWS_OF[child] if row.stored and sdk.can_read(row)]


def encrypted_by(sdk: Sdk) -> list[Pair]:
    return [(child, row) for child in ROWS_OF for row in sdk.rows if row in ENCRYPTED]


def coded_by(sdk: Sdk) -> list[Pair]:
    """For children that have the codec, which C has none of."""
    return [pair for pair in read_by(sdk, ("python", "go")) if pair[1] in CODED]


def decoded_by(sdk: Sdk) -> list[Pair]:
    """The same, for rows that the SDK writes itself."""
    return [pair for pair in coded_by(sdk) if pair[1] in sdk.rows]


def meetings(pairs_of: Callable[[Sdk], Sequence[Pair]]) -> pytest.MarkDecorator:
    """A test for each SDK and each of these pairs."""
    return pytest.mark.parametrize(
        ("sdk", "pair"),
        [
            pytest.param(sdk, (child, row), id=f"{sdk.name}_sdk-{child}-{row.name}")
            for sdk in SDKS
            for child, row in pairs_of(sdk)
        ],
    )


def recordings() -> pytest.MarkDecorator:
    """A test for each SDK and each row that it writes itself."""
    return pytest.mark.parametrize(
        ("sdk", "row"),
        [pytest.param(sdk, row, id=f"{sdk.name}_sdk-{row.name}") for sdk in SDKS for row in sdk.rows],
    )
