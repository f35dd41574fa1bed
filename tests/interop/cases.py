"""The parameters of the tests: combinations of SDK, child and value."""

from collections.abc import Callable, Iterable, Sequence

import pytest

from interop.documented_values import ROWS, Row, written_by
from interop.sdks import SDKS, Sdk

# C passes the encodings itself, so it can write every row.
ROWS_OF = {"c": ROWS, "python": written_by("Python", "binding"), "go": written_by("Go", "binding")}

# A child, and a row that it writes.
Case = tuple[str, Row]

# Encrypted values that a child forwards. Their original encoding makes no difference.
ENCRYPTED = [row for row in ROWS if row.value in ("object", "Unicode", "bytes")]

# The children with the codec of the workers: of their connection, or of each call. C has no codec.
PER_CALL = "-per-call"
WITH_CODEC = ("python", "go", f"python{PER_CALL}", f"go{PER_CALL}")

CODED = [row for row in ROWS if row.value in ("integer", "Unicode", "bytes", "null", "two values", "Duration")]


def written() -> list[Case]:
    return [(child, row) for child, rows in ROWS_OF.items() for row in rows]


def read_by(sdk: Sdk, children: Iterable[str] = ROWS_OF) -> list[Case]:
    """Returns the cases with values that exist and that the SDK can read."""
    return [
        (child, row)
        for child in children
        for row in ROWS_OF[child.removesuffix(PER_CALL)]
        if row.stored and sdk.can_read(row)
    ]


def encrypted_by(sdk: Sdk) -> list[Case]:
    return [(child, row) for child in ROWS_OF for row in sdk.rows if row in ENCRYPTED]


def with_codec_by(sdk: Sdk) -> list[Case]:
    """Returns the cases of children with the codec."""
    return [case for case in read_by(sdk, WITH_CODEC) if case[1] in CODED]


def decoded_by(sdk: Sdk) -> list[Case]:
    """Returns the same for rows that the SDK writes itself."""
    return [case for case in with_codec_by(sdk) if case[1] in sdk.rows]


def parametrize(cases_of: Callable[[Sdk], Sequence[Case]]) -> pytest.MarkDecorator:
    """Parametrizes a test with each SDK and each of these cases."""
    return pytest.mark.parametrize(
        ("sdk", "case"),
        [
            pytest.param(sdk, (child, row), id=f"{sdk.name}_sdk-{child}-{row.name}")
            for sdk in SDKS
            for child, row in cases_of(sdk)
        ],
    )


def parametrize_recorded() -> pytest.MarkDecorator:
    """Parametrizes a test with each SDK and each row that it writes itself."""
    return pytest.mark.parametrize(
        ("sdk", "row"),
        [pytest.param(sdk, row, id=f"{sdk.name}_sdk-{row.name}") for sdk in SDKS for row in sdk.rows],
    )
