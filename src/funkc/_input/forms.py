"""The forms of input: arrays, masks, pairs and sparse arrays, as lists of entries."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np

from funkc._errors import reject
from funkc._input.arrays import (
    are_factors,
    are_ratings,
    as_array,
    as_index,
    as_marks,
    is_sparse,
    matrix_shape,
    numeric,
    own_pair,
)
from funkc._input.scalars import require_memory

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from funkc._input.arrays import Sides

_INVERTED = (
    "if your mask is True where a value is missing (numpy.ma, pandas, scikit-image), pass ~mask"
)


def entries_of_sparse(values: Any, shape: Sides, name: str = "values") -> tuple[Any, ...]:
    """Rows, columns and values of what is stored, and the shape."""
    shape = sparse_shape(values, shape, name)
    numeric(name, np.empty(0, values.dtype))
    try:
        coo = checked_sparse(values.copy()).tocoo()  # SciPy reads it again after the check
        rows = as_index("row", coo.row, shape[0])
        cols = as_index("col", coo.col, shape[1])
        if not rows.size == cols.size == coo.data.size:
            raise ValueError("row, col and data differ in length")
    except ValueError as error:
        refuse_sparse(name, error)
    return rows, cols, coo.data, shape


def sparse_shape(values: Any, shape: Sides, name: str) -> tuple[int, int]:
    if values.ndim != 2:
        reject(name, f"has {values.ndim} dimensions", "pass a 2-D sparse array")
    return matrix_shape(values, shape, name)


def checked_sparse(values: Any) -> Any:
    """ValueError for a damaged index, which would have the core read outside its arrays."""
    if hasattr(values, "check_format"):
        values = copy.copy(values)  # which check_format changes
        values.check_format(full_check=True)
    # SciPy converts no float16 between its formats.
    return values.astype(np.float32) if values.dtype == np.float16 else values


def refuse_sparse(name: str, error: Exception) -> NoReturn:
    reject(name, f"is not a valid sparse array ({error})", "rebuild it")


def _entries_of_dense(values: NDArray[Any], shape: Sides) -> tuple[Any, ...]:
    """mask=None: observed is what is not NaN, and in a masked array what is not masked."""
    shape = matrix_shape(numeric("values", values), shape, "values")
    if isinstance(values, np.ma.MaskedArray):
        observed = ~np.ma.getmaskarray(values)
        values = np.asarray(values.data)  # which may be a matrix
    elif values.dtype.kind == "f":
        observed = ~np.isnan(values)
    else:
        observed = np.ones(shape, bool)
    rows, cols = np.nonzero(observed)
    return rows, cols, values[observed], shape


def _as_pair(mask: tuple[Any, ...]) -> tuple[NDArray[Any], NDArray[Any]]:
    if len(mask) != 2:
        reject(
            "mask",
            f"is a tuple of {len(mask)}",
            "pass a boolean array, or a pair (rows, cols) of integer arrays",
        )
    return as_array("rows", mask[0]), as_array("cols", mask[1])


def one_each(
    name: str, array: NDArray[Any], rows: NDArray[Any], cols: NDArray[Any], shape: Sides
) -> NDArray[Any]:
    """A single column (or row) as numbers for the entries one by one; refused, if it may as well
    be the matrix and then has other numbers there.
    """
    n = rows.size
    lists = array.ndim == 2 and 1 in array.shape and array.size == n == cols.size > 0
    if not lists or rows.dtype.kind not in "iu" or cols.dtype.kind not in "iu":
        return array
    fits = all(wanted in (None, size) for wanted, size in zip(shape, array.shape, strict=True))
    if fits and rows.max() < array.shape[0] and cols.max() < array.shape[1]:
        if np.array_equal(cols if len(array) == 1 else rows, np.arange(n)):
            return array
        reject(
            name,
            f"has shape {array.shape}: the matrix, or one number for each of the {n} entries",
            f"pass {name}.ravel() if these are in the order of the entries, {name}[rows, cols] if "
            "they are the matrix",
        )
    return array.reshape(-1)


def entries_of_pair(mask: tuple[Any, ...], values: NDArray[Any], shape: Sides) -> tuple[Any, ...]:
    rows, cols = _as_pair(mask)
    require_memory(16 * rows.size, f"{rows.size:,} entries", "pass them in parts")
    values = one_each("values", values, rows, cols, shape)
    if values.ndim == 2:
        shape = matrix_shape(values, shape, "values")
    rows = as_index("rows", rows, shape[0])
    cols = as_index("cols", cols, shape[1])
    if rows.size != cols.size:
        reject(
            "mask",
            f"has {rows.size} rows and {cols.size} columns",
            "pass one row and one column for every observed entry",
        )
    if values.ndim == 2:
        rows, cols = own_pair("mask", rows, cols, values.shape)
        values = values[rows, cols]
    elif values.shape != rows.shape:
        reject(
            "values",
            f"has shape {values.shape} where mask lists {rows.size} entries",
            "pass one value for every observed entry, or the (m, n) array",
        )
    if rows.size == 0 and None in shape:
        reject_nothing()
    found = [
        int(index.max()) + 1 if size is None else size
        for index, size in zip((rows, cols), shape, strict=True)
    ]
    return rows, cols, values, (found[0], found[1])


def reject_nothing() -> NoReturn:
    reject("mask", "marks no entry as observed", f"mark at least one; {_INVERTED}")


def checked_mask(mask: Any) -> NDArray[np.bool_]:
    array = as_array("mask", mask)
    if isinstance(array, np.ma.MaskedArray):
        reject("mask", "is itself a masked array", "pass a plain boolean array", TypeError)
    array = as_marks(
        "mask", array, "pass booleans, True where observed, such as mask > 0, or 0 and 1"
    )
    if array.dtype != bool:
        reject(
            "mask",
            f"has dtype {array.dtype}",
            "pass a boolean array (True where observed), or a tuple (rows, cols)",
            TypeError,
        )
    return array


def _entries_of_mask(
    mask: NDArray[np.bool_], values: NDArray[Any], shape: Sides
) -> tuple[Any, ...]:
    shape = matrix_shape(mask, shape, "mask")
    rows, cols = np.nonzero(mask)
    if values.shape == mask.shape:
        values = values[mask]
    else:
        values = one_each("values", values, rows, cols, shape)
    if values.shape != rows.shape:
        reject(
            "values",
            f"has shape {values.shape} where mask has shape {mask.shape} and {rows.size} "
            "True entries",
            "pass the (m, n) array, or the 1-D array R[mask]",
        )
    return rows, cols, values, shape


def merged(
    policy: str, rows: NDArray[Any], cols: NDArray[Any], values: NDArray[Any]
) -> tuple[Any, Any, Any]:
    """Resolve duplicates to one value per entry.

    Sums are taken in order of value, so that the order of the input has no effect.
    """
    order = np.lexsort((cols, rows) if policy == "last" else (values, cols, rows))
    rows, cols, values = rows[order], cols[order], values[order]
    new = np.empty(rows.size, bool)
    new[0] = True
    new[1:] = (rows[1:] != rows[:-1]) | (cols[1:] != cols[:-1])
    first = np.flatnonzero(new)
    count = np.diff(first, append=rows.size)
    if policy == "last":
        return rows[first], cols[first], values[first + count - 1]
    with np.errstate(over="ignore"):  # what overflows is refused, as inf
        total = values[first].astype(np.float64)
        for nth in range(1, int(count.max())):
            several = np.flatnonzero(count > nth)
            total[several] += values[first[several] + nth]
    return rows[first], cols[first], total / count if policy == "mean" else total


def require_finite(rows: NDArray[Any], cols: NDArray[Any], values: NDArray[Any]) -> None:
    if values.dtype.kind != "f":
        return
    finite = np.isfinite(values)
    if finite.all():
        return
    at = int(np.argmin(finite))
    what = "NaN" if np.isnan(values[at]) else "infinite"
    reject(
        "values",
        f"is {what} at row {rows[at]}, column {cols[at]}, which counts as observed",
        f"mark the entry as missing, or replace the value; {_INVERTED}",
    )


def require_no_second_mask(mask: Any, values: Any) -> None:
    """Refuse an invalid mask, and a mask together with values that already determine one."""
    for name, given in (("mask", mask), ("values", values)):
        if are_factors(given):
            reject(
                name,
                "is a Factorization, whose factors are in another basis than those of any other "
                "training",
                "pass the observed entries that it was trained on",
                TypeError,
            )
    if is_sparse(mask):
        reject(
            "mask",
            "is a sparse array",
            "pass mask=None and a sparse `values` (what is stored is observed), or the pair "
            "mask.nonzero()",
            TypeError,
        )
    if are_ratings(mask):
        reject("mask", "is a Ratings", "pass mask=None, and the ratings as values", TypeError)
    if mask is not None and (is_sparse(values) or are_ratings(values)):
        what = "a sparse array" if is_sparse(values) else "a Ratings"
        remedy = "pass mask=None: what is stored is observed"
        reject("values", f"is {what} together with a mask", remedy, TypeError)


def entries_of_arrays(
    mask: Any, array: NDArray[Any], size: Sides, first_row: int = 0
) -> tuple[Any, ...]:
    """Of an array of values; `first_row` is the row of a larger matrix that it begins with."""
    if mask is None:
        return _entries_of_dense(array, size)
    hidden = np.ma.getmaskarray(array) if isinstance(array, np.ma.MaskedArray) else None
    array = np.asarray(numeric("values", array))
    read: Callable[..., tuple[Any, ...]] = entries_of_pair
    if isinstance(mask, tuple):
        mask = _as_pair(mask)
    else:
        read, mask = _entries_of_mask, checked_mask(mask).copy()  # which is read twice
    cells = read(mask, array, size)
    if hidden is not None:
        _require_shown(read(mask, hidden, size)[2], cells[0], cells[1], first_row)
    return cells


def _require_shown(
    masked: NDArray[np.bool_], rows: NDArray[Any], cols: NDArray[Any], first_row: int
) -> None:
    """Refuse an entry that `mask` marks as observed but a masked array masks."""
    if masked.any():
        at = int(np.argmax(masked))
        refuse_hidden(first_row + int(rows[at]), int(cols[at]))


def refuse_hidden(row: int, col: int) -> NoReturn:
    reject(
        "values",
        f"is masked at row {row}, column {col}, which mask marks as observed",
        f"pass mask=None to take what is not masked; {_INVERTED}",
    )
