"""Lists, arrays and data frames as rows and columns, without importing what they are made of."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

MAX_DATA_BYTES = 4 * 1024 * 1024
"""Largest array that is looked at, and largest record that is kept."""


class UnusableDataError(Exception):
    """The data cannot be collected; the text says why."""


@dataclass(frozen=True)
class Table:
    """Rows of plain values.

    Attributes:
        columns: A name for each column; numbers from 0 where there are none.
        rows: Each as long as ``columns``.
    """

    columns: list[str]
    rows: list[list[Any]]

    def records(self) -> list[dict[str, Any]]:
        """Return each row as an object."""
        return [dict(zip(self.columns, row, strict=True)) for row in self.rows]


def table_of(data: Any, names: Sequence[str] = ()) -> Table:
    """Return data as a table.

    Args:
        data: A pandas data frame, an array or series of at most two dimensions, a list of rows,
            a list of objects, one row, or one value.
        names: Names of the columns; a frame or object has its own.

    Raises:
        UnusableDataError: It is too large, or has another shape.
    """
    size = getattr(data, "nbytes", 0)
    if isinstance(size, int) and size > MAX_DATA_BYTES:
        raise UnusableDataError(f"{size} bytes, at most {MAX_DATA_BYTES} are collected")
    if hasattr(data, "itertuples") and hasattr(data, "columns"):
        rows = [[_plain(cell) for cell in row] for row in data.itertuples(index=False, name=None)]
        return _checked([str(name) for name in data.columns], rows)
    if hasattr(data, "tolist"):
        data = data.tolist()
    if isinstance(data, dict):
        data = [data]
    if not isinstance(data, list | tuple):
        data = [data]
    if data and all(isinstance(row, dict) for row in data):
        columns = list(dict.fromkeys(str(name) for row in data for name in row))
        rows = [[_plain(row.get(name)) for name in columns] for row in data]
        return _checked(columns, rows)
    if not any(isinstance(row, list | tuple) or hasattr(row, "tolist") for row in data):
        data = [data]
    return _checked(list(map(str, names)), [_row(row) for row in data])


def _row(row: Any) -> list[Any]:
    plain = _plain(row)
    return list(plain) if isinstance(plain, list | tuple) else [plain]


def _checked(columns: list[str], rows: list[list[Any]]) -> Table:
    width = max(map(len, rows), default=len(columns))
    columns = (columns + [str(i) for i in range(len(columns), width)])[:width]
    if any(len(row) != width for row in rows):
        raise UnusableDataError("its rows are not of the same length")
    return Table(columns, rows)


def _plain(value: Any) -> Any:
    """Return a value that JSON can say, or text; NaN and what stands for nothing become None."""
    for name in ("tolist", "item"):
        method = getattr(value, name, None)
        if callable(method):
            value = method()
            break
    if value is None or _is_missing(value):
        return None
    if isinstance(value, dict):
        return {str(name): _plain(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    if isinstance(value, float):
        return value if abs(value) != float("inf") else str(value)
    return value if isinstance(value, bool | int | str) else str(value)


def _is_missing(value: Any) -> bool:
    # NaN and its like differ from themselves; pandas' NA says neither that it does nor that not.
    try:
        return bool(value != value)  # noqa: PLR0124
    except TypeError:
        return True
