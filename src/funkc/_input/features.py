"""The columns of a table by their names, in errors about what they hold."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from funkc._errors import reject, shown
from funkc._input.arrays import is_sparse
from funkc._input.foreign import labels_of, library_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

ENCODE = "encode it as numbers, or leave the column to another step of a ColumnTransformer"


def column_name(names: Sequence[Any] | NDArray[Any] | None, at: int) -> str:
    """What to call a column in a message: its name, if it has one."""
    named = names is not None and isinstance(names[at], str)
    return f"column {shown(str(names[at]))}" if named and names is not None else f"column {at}"


def refuse_dates(name: str, table: Any) -> None:
    """Refuse what NumPy would take for counts of nanoseconds, without a word."""
    dtypes: Any
    if library_of(table) == "pyarrow":
        dtypes = [column.type for column in getattr(table, "columns", [])]
    else:
        dtypes = getattr(table, "dtypes", None) if getattr(table, "ndim", 2) == 2 else None
    for at, dtype in enumerate([getattr(table, "dtype", "")] if dtypes is None else dtypes):
        if str(dtype).lower().startswith(("date", "time", "duration")):
            reject(
                name,
                f"{column_name(_names_of(table), at)} has dates or times ({dtype})",
                "convert them to numbers, such as days since a date, with NaN for what is missing",
                TypeError,
            )


def refuse_what_is_not_finite(name: str, table: Any, missing_is_nan: bool) -> None:
    """Refuse, by its row and column, the first value that is no number, or not finite."""
    names = _names_of(table)
    for at, rows, values in _columns(table):
        where = column_name(names, at)
        if values.dtype.kind == "c":  # and in scikit-learn's words, which its checks look for
            what = f"{where} has complex numbers (Complex data not supported)"
            reject(name, what, "pass real and imaginary parts as two columns")
        if values.dtype.kind not in "buif":
            values = _numbers(name, where, values)
        bad = np.isinf(values) | (np.isnan(values) & (not missing_is_nan))
        if bad.any():
            first = int(np.argmax(bad))
            what = "NaN" if np.isnan(values[first]) else "infinity"
            remedy = "pass finite numbers, and missing_values for what is missing"
            reject(name, f"has {what} in row {rows[first]} of {where}", remedy)


def _names_of(table: Any) -> Any:
    """The labels of its columns, if it is a data frame."""
    labels = labels_of(table)[1]
    return None if isinstance(labels, tuple) else labels


def _columns(table: Any) -> Iterator[tuple[int, Any, NDArray[Any]]]:
    """Each column with its position, and the rows of its entries."""
    if is_sparse(table):
        coo = table.tocoo()
        for at in np.unique(coo.col).tolist():
            here = coo.col == at
            yield at, coo.row[here], coo.data[here]
        return
    columns: Iterator[Any]
    if hasattr(table, "iloc") and table.ndim == 2:
        columns = (table.iloc[:, at] for at in range(table.shape[1]))
    elif hasattr(table, "get_columns") or hasattr(table, "column_names"):
        columns = iter(table.get_columns() if hasattr(table, "get_columns") else table.columns)
    else:
        array = table if isinstance(table, np.ndarray) else np.array(table, object)
        columns = iter(array.T if array.ndim == 2 else ())
    for at, column in enumerate(columns):
        values = np.asarray(column)
        yield at, range(len(values)), values


def _numbers(name: str, where: str, values: NDArray[Any]) -> NDArray[np.float64]:
    """As float64, with NaN for None and pandas.NA."""
    numbers = np.full(len(values), np.nan)
    for row, value in enumerate(values.tolist()):
        if value is None or type(value).__name__ == "NAType":
            continue
        try:
            numbers[row] = float(value)
        except (TypeError, ValueError, OverflowError) as error:
            kind = TypeError if isinstance(error, TypeError) else ValueError
            reject(name, f"{where} has no number in row {row}: {error}", ENCODE, kind)
    return numbers
