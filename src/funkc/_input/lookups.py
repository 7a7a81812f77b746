"""Checks of arguments for predictions: rows, columns, and entries to exclude."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from funkc._errors import reject, shown
from funkc._input.arrays import as_array, as_index, is_sparse, matrix_shape, own_index, own_pair
from funkc._input.cells import in_order
from funkc._input.forms import entries_of_sparse
from funkc._input.scalars import require_memory

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray


def positions_of(
    name: str, value: ArrayLike | slice, size: int, mean: bool, most_dimensions: int = 64
) -> NDArray[np.int64]:
    """Indices of rows (or columns); out of range, IndexError, or -1 for the mean."""
    if isinstance(value, slice):
        try:
            return np.ascontiguousarray(np.arange(size, dtype=np.int64)[value])
        except (TypeError, ValueError) as error:
            reject(name, f"got {shown(value)}", "pass a slice of integers", type(error))
    index = as_array(name, value)
    if isinstance(index, np.ma.MaskedArray):
        reject(name, "is a masked array", "pass a plain array of integers", TypeError)
    require_memory(24 * index.size, f"{index.size:,} {name}", "split them over several calls")
    if not index.size:
        index = np.empty(index.shape, np.int64)
    if index.dtype.kind not in "iu":
        reject(name, f"has dtype {index.dtype}", "pass integers", TypeError)
    if index.ndim > most_dimensions:
        reject(name, f"has {index.ndim} dimensions", "pass one index, or a 1-D array")
    found = index.astype(np.int64)  # what is checked is a copy, as in own_index
    outside = (found < 0) | (found >= size)
    if outside.any():
        if mean:
            return np.where(outside, -1, found)
        at = tuple(int(i) for i in np.argwhere(outside)[0])
        place = f"[{', '.join(map(str, at))}]" if at else ""
        reject(
            name,
            f"{name}{place} = {index[at]} is not among the {size} that were trained",
            f"indices run from 0 to {size - 1}",
            IndexError,
        )
    return found


def index_pair(
    rows: ArrayLike, cols: ArrayLike, shape: tuple[int, int], mean: bool
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Rows and columns to predict, broadcast against each other."""
    found = [
        positions_of(name, value, size, mean)
        for name, value, size in (("rows", rows, shape[0]), ("cols", cols, shape[1]))
    ]
    try:
        both = np.broadcast_arrays(*found)
        size = both[0].size
        require_memory(40 * size, f"{size:,} entries", "split them over several calls")
    except ValueError:
        reject(
            "rows and cols",
            f"have shapes {found[0].shape} and {found[1].shape}",
            "pass shapes that broadcast",
        )
    return both[0], both[1]


def excluded_columns(
    exclude: Any, rows: NDArray[np.int64], shape: tuple[int, int]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The sorted columns that each of `rows` excludes, and where those of each row begin."""
    first = np.zeros(rows.size + 1, np.int64)
    if exclude is None:
        return first, np.empty(0, np.int64)
    if isinstance(exclude, list):
        if len(exclude) != rows.size:
            reject(
                "exclude",
                f"lists columns for {len(exclude)} rows where {rows.size} are requested",
                "pass one array of columns for each row, or a pair (rows, cols)",
            )
        lists = [first[:0]]
        for nth, part in enumerate(exclude):
            index = as_index(f"exclude[{nth}]", part, shape[1])
            lists.append(np.sort(own_index("exclude", index, shape[1])))
        np.cumsum([part.size for part in lists[1:]], out=first[1:])
        return first, np.concatenate(lists)
    if is_sparse(exclude):
        of, cols = entries_of_sparse(exclude, shape, "exclude")[:2]
    elif isinstance(exclude, tuple):
        if len(exclude) != 2:
            reject("exclude", f"is a tuple of {len(exclude)}", "pass a pair (rows, cols)")
        of = as_index("exclude[0]", exclude[0], shape[0])
        cols = as_index("exclude[1]", exclude[1], shape[1])
        if of.size != cols.size:
            reject(
                "exclude",
                f"has {of.size} rows and {cols.size} columns",
                "pass one row and one column for every entry",
            )
    else:
        marks = as_array("exclude", exclude)
        if marks.dtype != bool or isinstance(marks, np.ma.MaskedArray):
            reject(
                "exclude",
                f"has dtype {marks.dtype}" if marks.dtype != bool else "is a masked array",
                "pass a boolean array (True for entries to exclude), a sparse array, a pair (rows, "
                "cols) or a list of columns for each row",
                TypeError,
            )
        matrix_shape(marks, shape, "exclude")
        found = [np.flatnonzero(marks[row]) for row in rows.tolist()]
        np.cumsum([part.size for part in found], out=first[1:])
        return first, np.concatenate([*found, first[:0]])
    of, cols = own_pair("exclude", of, cols, shape)
    if rows.size < 64 < of.size:
        asked = np.isin(of, rows)
        of, cols = of[asked], cols[asked]
    keys, order = in_order(of, cols, shape[1])
    if order is not None:
        cols = cols[order]
    begin = np.searchsorted(keys, rows.astype(np.uint64) * np.uint64(shape[1]))
    end = np.searchsorted(keys, (rows + 1).astype(np.uint64) * np.uint64(shape[1]))
    np.cumsum(end - begin, out=first[1:])
    at = np.repeat(begin - first[:-1], end - begin) + np.arange(first[-1])
    return first, cols[at]


def require_finite_factors(fitted: NDArray[Any], what: str, first: int) -> None:
    """Refuse rows (or columns) whose factors exceed the range of their dtype."""
    finite = np.isfinite(fitted).all(axis=1)
    if not finite.all():
        reject(
            "values",
            f"the factors of {what} {first + int(np.argmin(finite))} exceed the range of "
            f"{fitted.dtype}",
            "divide the values by a constant, or raise regularization",
        )
