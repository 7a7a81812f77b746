"""The observed cells, of every form that the library accepts."""

from __future__ import annotations

import copy
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal, NoReturn

import numpy as np

from funkc._errors import DUPLICATE_CELL, raise_for_status, reject, shown
from funkc._input.arrays import (
    are_ratings,
    as_array,
    as_index,
    as_shape,
    as_values,
    for_core,
    is_sparse,
    matrix_shape,
    numeric,
)
from funkc._input.scalars import choice

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from funkc._input.arrays import Sides

    Duplicates = Literal["error", "last", "mean", "sum"]

CELLS_AT_ONCE = 1 << 20


NO_CUTS = np.empty(0, np.int64)


NO_WEIGHTS = np.empty(0, np.float64)


@dataclass(frozen=True)
class Cells:
    """The observed cells, checked: finite values at places inside the shape."""

    rows: NDArray[Any]  # int32 or int64, like cols
    cols: NDArray[Any]
    values: NDArray[Any]  # float32 or float64
    shape: tuple[int, int]
    weights: NDArray[np.float64] = field(default_factory=lambda: NO_WEIGHTS)  # or one a cell
    # A block-diagonal problem (tiles) says where each block's rows and columns begin.
    row_cuts: NDArray[np.int64] = field(default_factory=lambda: NO_CUTS)
    col_cuts: NDArray[np.int64] = field(default_factory=lambda: NO_CUTS)

    def of_shape(self, shape: tuple[int, int]) -> Cells:
        """The same cells in a larger matrix."""
        return replace(self, shape=shape)

    def part(self, chosen: NDArray[np.bool_]) -> Cells:
        """Some of the cells, of the same matrix."""
        weights = self.weights[chosen] if self.weights.size else NO_WEIGHTS
        return Cells(self.rows[chosen], self.cols[chosen], self.values[chosen], self.shape, weights)


_INVERTED = (
    "if your mask is True where a value is missing (numpy.ma, pandas, scikit-image), pass ~mask"
)


def cells_of_sparse(values: Any, shape: Sides, name: str = "values") -> tuple[Any, ...]:
    if values.ndim != 2:
        reject(name, f"has {values.ndim} dimensions", "pass a 2-D sparse array")
    shape = matrix_shape(values, shape, name)
    try:  # a damaged index would make scipy or the core read outside its arrays
        if hasattr(values, "check_format"):
            values = copy.copy(values)  # which check_format changes
            values.check_format(full_check=True)
        coo = values.tocoo()
        rows = as_index("row", coo.row, shape[0])
        cols = as_index("col", coo.col, shape[1])
        if not rows.size == cols.size == coo.data.size:
            raise ValueError("row, col and data differ in length")
    except ValueError as error:
        reject(name, f"is not a valid sparse array ({error})", "rebuild it")
    numeric(name, coo.data)
    return rows, cols, coo.data, shape


def _cells_of_dense(values: NDArray[Any], shape: Sides) -> tuple[Any, ...]:
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


def _cells_of_ratings(ratings: Any, shape: Sides) -> tuple[Any, ...]:
    if any(wanted not in (None, size) for wanted, size in zip(shape, ratings.shape, strict=True)):
        expected = ", ".join("any" if wanted is None else str(wanted) for wanted in shape)
        reject(
            "values",
            f"are Ratings of shape {ratings.shape} where ({expected}) is expected",
            "leave shape out, or pass Ratings with as many ids",
        )
    values = np.asarray(numeric("values", as_array("values", ratings.values)))
    return _cells_of_pair((ratings.rows, ratings.cols), values, ratings.shape)


def _cells_of_pair(mask: tuple[Any, ...], values: NDArray[Any], shape: Sides) -> tuple[Any, ...]:
    if len(mask) != 2:
        reject(
            "mask",
            f"is a tuple of {len(mask)}",
            "pass a boolean array, or a pair (rows, cols) of integer arrays",
        )
    if values.ndim == 2:
        shape = matrix_shape(values, shape, "values")
    rows = as_index("rows", mask[0], shape[0])
    cols = as_index("cols", mask[1], shape[1])
    if rows.size != cols.size:
        reject(
            "mask",
            f"has {rows.size} rows and {cols.size} columns",
            "pass one row and one column for every observed cell",
        )
    if values.ndim == 2:
        values = values[rows, cols]
    elif values.shape != rows.shape:
        reject(
            "values",
            f"has shape {values.shape} where mask lists {rows.size} cells",
            "pass one value for every observed cell, or the (m, n) array",
        )
    if rows.size == 0 and None in shape:
        _reject_nothing()
    found = [
        int(index.max()) + 1 if size is None else size
        for index, size in zip((rows, cols), shape, strict=True)
    ]
    return rows, cols, values, (found[0], found[1])


def _reject_nothing() -> NoReturn:
    reject("mask", "marks no cell as observed", f"mark at least one; {_INVERTED}")


def _cells_of_mask(mask: NDArray[Any], values: NDArray[Any], shape: Sides) -> tuple[Any, ...]:
    if mask.dtype != bool:
        reject(
            "mask",
            f"has dtype {mask.dtype}",
            "pass a boolean array (True where observed), or a tuple (rows, cols)",
            TypeError,
        )
    if isinstance(mask, np.ma.MaskedArray):
        reject("mask", "is itself a masked array", "pass a plain boolean array", TypeError)
    shape = matrix_shape(mask, shape, "mask")
    rows, cols = np.nonzero(mask)
    if values.shape == mask.shape:
        values = values[mask]
    elif values.shape != rows.shape:
        reject(
            "values",
            f"has shape {values.shape} where mask has shape {mask.shape} and {rows.size} "
            "cells that are True",
            "pass the (m, n) array, or the 1-D array R[mask]",
        )
    return rows, cols, values, shape


def _settle(
    policy: str, rows: NDArray[Any], cols: NDArray[Any], values: NDArray[Any]
) -> tuple[Any, Any, Any]:
    """One value for a cell that is listed several times.

    Sums are taken in order of value, so that the order of listing leaves no trace.
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


def _require_finite(rows: NDArray[Any], cols: NDArray[Any], values: NDArray[Any]) -> None:
    if values.dtype.kind != "f":
        return
    finite = np.isfinite(values)
    if finite.all():
        return
    at = int(np.argmin(finite))
    what = "NaN" if np.isnan(values[at]) else "infinite"
    reject(
        "values",
        f"is {what} at row {rows[at]}, column {cols[at]}, a cell that counts as observed",
        f"mark the cell as missing, or replace the value; {_INVERTED}",
    )


def observed(
    mask: Any,
    values: Any,
    *,
    shape: object = None,
    duplicates: object = "error",
    nothing: bool = False,
    first_row: int = 0,
) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any], tuple[int, int]]:
    """Rows, columns and values (in the caller's dtype) of the observed cells, and the shape.

    Takes any form that the library accepts. Whether a cell is listed twice is left to the
    reader if `duplicates` is "error". `nothing` says that there need not be a cell, and
    `first_row` which row of a larger matrix is the first of this.
    """
    policy = choice("duplicates", duplicates, ("error", "last", "mean", "sum"))
    size = as_shape(shape)
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
        reject("values", f"is {what} beside a mask", remedy, TypeError)
    if is_sparse(values):
        cells = cells_of_sparse(values, size)
    elif are_ratings(values):
        cells = _cells_of_ratings(values, size)
    else:
        array = as_array("values", values)
        if mask is None:
            cells = _cells_of_dense(array, size)
        else:
            hidden = np.ma.getmaskarray(array) if isinstance(array, np.ma.MaskedArray) else None
            array = np.asarray(numeric("values", array))
            if isinstance(mask, tuple):
                cells = _cells_of_pair(mask, array, size)
            else:
                cells = _cells_of_mask(as_array("mask", mask), array, size)
            if hidden is not None:
                _require_shown(hidden, cells[0], cells[1], first_row)
    rows, cols, given, size = cells
    if first_row:
        rows = rows + first_row
    if rows.size == 0:
        if not nothing:
            _reject_nothing()
        return rows, cols, given, size
    _require_finite(rows, cols, given)
    if policy != "error":
        rows, cols, given = _settle(policy, rows, cols, given)
        _require_finite(rows, cols, given)
    return rows, cols, given, size


def observed_cells(
    mask: Any,
    values: Any,
    *,
    shape: object = None,
    duplicates: object = "error",
    weights: Any = None,
    nothing: bool = False,
) -> Cells:
    """The observed cells as the core takes them."""
    if weights is not None and are_ratings(values):
        reject(
            "weights",
            "are given beside Ratings, which are in an order of their own",
            "pass (ratings.rows, ratings.cols) and ratings.values, and weights in that order",
        )
    rows, cols, given, size = observed(
        mask, values, shape=shape, duplicates=duplicates, nothing=nothing
    )
    weighing = NO_WEIGHTS
    if weights is not None:
        weighing = _weights(weights, rows, cols, given, size, duplicates)
        some = weighing > 0
        if not some.all():  # a weight of zero: not observed
            rows, cols, given, weighing = rows[some], cols[some], given[some], weighing[some]
    converted = as_values(given)
    _require_finite(rows, cols, converted)  # a long double may be too large for float64
    wide = np.int64 if np.int64 in (rows.dtype, cols.dtype) else np.int32
    return Cells(
        for_core(rows, wide),
        for_core(cols, wide),
        converted,
        size,
        weighing,
    )


def _weights(
    weights: Any,
    rows: NDArray[Any],
    cols: NDArray[Any],
    values: NDArray[Any],
    shape: tuple[int, int],
    duplicates: object,
) -> NDArray[np.float64]:
    """One weight for every observed cell."""
    if duplicates != "error":
        reject("weights", f'are given beside duplicates="{duplicates}"', "settle duplicates before")
    array = as_array("weights", weights)
    if isinstance(array, np.ma.MaskedArray):
        reject("weights", "is a masked array", "pass a plain array", TypeError)
    numeric("weights", array)
    if array.shape == shape:
        array = array[rows, cols]
    elif array.shape != values.shape:
        reject(
            "weights",
            f"has shape {array.shape} where there are {values.size} observed cells in {shape}",
            "pass one weight for every observed cell, or the (m, n) array",
        )
    out = for_core(array, np.float64)
    bad = ~(np.isfinite(out) & (out >= 0))
    if bad.any():
        at = int(np.argmax(bad))
        reject(
            "weights",
            f"is {out[at]} at row {rows[at]}, column {cols[at]}",
            "pass finite numbers that are not negative",
        )
    if out.size and not (out > 0).any():
        reject("weights", "is 0 everywhere", "give some cell a weight above 0")
    return out


def _require_shown(
    hidden: NDArray[np.bool_], rows: NDArray[Any], cols: NDArray[Any], first_row: int
) -> None:
    """A cell that the mask marks as observed must not be masked in a masked array."""
    masked = hidden[rows, cols] if hidden.ndim == 2 else hidden
    if masked.any():
        at = int(np.argmax(masked))
        reject(
            "values",
            f"is masked at row {first_row + rows[at]}, column {cols[at]}, which mask marks as "
            "observed",
            f"pass mask=None to take what is not masked; {_INVERTED}",
        )


@dataclass(frozen=True)
class CellsByRow:
    """Observed cells, those of each row together and in order of their columns."""

    first: NDArray[np.int64]  # (rows + 1) where the cells of each row begin
    cols: NDArray[np.int64]
    values: NDArray[np.float64]
    weights: NDArray[np.float64]  # or none


def in_order(
    rows: NDArray[Any], cols: NDArray[Any], n_cols: int
) -> tuple[NDArray[np.uint64], NDArray[np.int64] | None]:
    """Keys of the cells in order, and how to sort what belongs to them (None: it is)."""
    keys = rows.astype(np.uint64) * np.uint64(n_cols) + cols.astype(np.uint64)
    if np.all(keys[1:] >= keys[:-1]):
        return keys, None
    order = np.argsort(keys, kind="stable")
    return keys[order], order


def cells_by_row(
    mask: Any,
    values: Any,
    known: Sides,
    *,
    shape: object,
    weights: Any,
    duplicates: object,
    by_col: bool,
) -> CellsByRow:
    """Cells of rows (or columns) that are new to one side that is known."""
    said = as_shape(shape)
    for at in (0, 1):
        if said[at] is not None and known[at] is not None and said[at] != known[at]:
            what = ("rows", "columns")[at]
            reject(
                "shape",
                f"got {shown(shape)} where {known[at]} {what} were trained",
                f"pass {known[at]}, or None, for the {what}",
            )
    both = (said[0] or known[0], said[1] or known[1])
    return by_row(
        observed_cells(
            mask, values, shape=both, duplicates=duplicates, weights=weights, nothing=True
        ),
        by_col=by_col,
    )


def by_row(cells: Cells, *, by_col: bool, first: int = 0) -> CellsByRow:
    """The cells of each row (or column) together; `first` is what errors call the first one."""
    rows, cols, (n_rows, n_cols) = cells.rows, cells.cols, cells.shape
    if by_col:
        rows, cols, n_rows, n_cols = cols, rows, n_cols, n_rows
    keys, order = in_order(rows, cols, n_cols)
    again = keys[1:] == keys[:-1]
    if again.any():
        row, col = divmod(int(keys[int(np.argmax(again))]), n_cols)
        raise_for_status(DUPLICATE_CELL, (col, first + row) if by_col else (first + row, col))
    chosen = slice(None) if order is None else order
    begin = np.zeros(n_rows + 1, np.int64)
    np.cumsum(np.bincount(rows, minlength=n_rows), out=begin[1:])
    return CellsByRow(
        begin,
        cols[chosen].astype(np.int64),
        cells.values[chosen].astype(np.float64),
        cells.weights[chosen] if cells.weights.size else NO_WEIGHTS,
    )


def observed_by_blocks(
    mask: Any, values: Any, *, shape: tuple[int, int], duplicates: object
) -> tuple[np.dtype[Any], Iterator[tuple[int, int, Any, Any]]]:
    """A floating dtype that holds the values, and the observed cells of one block of rows after
    the other: first and last row, which cells, and values.  Listed cells, (rows, cols), are one
    block; dense forms are never listed, but have a mask and all values of the block.
    """
    choice("duplicates", duplicates, ("error", "last", "mean", "sum"))
    array = None if isinstance(mask, tuple) or is_sparse(values) else as_array("values", values)
    marks = None if mask is None or array is None else as_array("mask", mask)
    if array is None or array.ndim != 2 or is_sparse(mask):
        rows, cols, given, _ = observed(mask, values, shape=shape, duplicates=duplicates)
        keys, _ = in_order(rows, cols, shape[1])
        again = keys[1:] == keys[:-1]
        if again.any():
            cell = divmod(int(keys[int(np.argmax(again))]), shape[1])
            raise_for_status(DUPLICATE_CELL, cell)
        return _floating(given.dtype), iter([(0, shape[0], (rows, cols), given)])
    for name, matrix in (("mask", marks), ("values", array)):
        if matrix is not None:
            matrix_shape(matrix, shape, name)
    at_once = max(1, CELLS_AT_ONCE // shape[1])
    blocks = (
        _dense_block(marks, array, first, min(shape[0], first + at_once))
        for first in range(0, shape[0], at_once)
    )
    return _floating(numeric("values", array).dtype), blocks


def _dense_block(
    marks: NDArray[Any] | None, array: NDArray[Any], first: int, last: int
) -> tuple[int, int, NDArray[np.bool_], NDArray[Any]]:
    """Some rows of a dense form, checked."""
    block = array[first:last]
    hidden = np.ma.getmaskarray(block)
    values = np.asarray(block)
    if marks is None:
        seen = ~hidden
        if values.dtype.kind == "f" and not isinstance(block, np.ma.MaskedArray):
            seen &= ~np.isnan(values)
    else:
        seen = marks[first:last]
    bad = seen.dtype != bool or isinstance(seen, np.ma.MaskedArray) or (seen & hidden).any()
    if bad or (values.dtype.kind == "f" and not np.isfinite(values[seen]).all()):
        part = None if marks is None else seen
        observed(part, block, nothing=True, first_row=first)  # which has the words
    return first, last, seen, values


def _floating(dtype: np.dtype[Any]) -> np.dtype[Any]:
    return dtype.newbyteorder("=") if dtype.kind == "f" else np.dtype(np.float64)


def cells_of_tiles(
    rows: NDArray[Any],
    cols: NDArray[Any],
    values: NDArray[Any],
    shape: tuple[int, int],
    row_cuts: NDArray[np.int64],
    col_cuts: NDArray[np.int64],
) -> Cells:
    """The block-diagonal problem of a tiled picture, whose pixels have been checked."""
    return Cells(rows, cols, as_values(values), shape, row_cuts=row_cuts, col_cuts=col_cuts)
