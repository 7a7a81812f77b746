"""The way in: what a caller passes as observed entries, of every form and on every road."""

from __future__ import annotations

from dataclasses import astuple, dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from funkc._core import plan as core_plan
from funkc._errors import CELLS_CHANGED, DUPLICATE_CELL, OK, raise_for_status, reject, shown
from funkc._input.arrays import (
    are_ratings,
    as_array,
    as_index,
    as_shape,
    as_values,
    for_core,
    for_cut,
    is_sparse,
    matrix_shape,
    numeric,
    own_index,
    own_pair,
    require_order_of_ids,
    require_same_labels,
)
from funkc._input.forms import (
    checked_mask,
    checked_sparse,
    entries_of_arrays,
    entries_of_pair,
    entries_of_sparse,
    merged,
    one_each,
    refuse_hidden,
    refuse_sparse,
    reject_nothing,
    require_finite,
    require_no_second_mask,
    sparse_shape,
)
from funkc._input.ids import Ids, as_column, distinct
from funkc._input.lookups import warn_of_skipped
from funkc._input.scalars import choice

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from funkc._input.arrays import Sides

    Duplicates = Literal["error", "last", "mean", "sum"]

# Design
# a. `observed_cells` is the one function that turns mask, values, weights, shape and duplicates
#    into cells, for training, validation, fold-in and partial_fit alike, so that every rule holds
#    for each of them.  `impute`, which fills a dense matrix block by block without listing it,
#    has `observed_by_blocks`, with the same checks.
# b. They differ in what is known of the matrix beforehand: an `Axis` for its rows and one for
#    its columns, each with the size and the ids of a factorization, if there is one.

NO_MASK = np.empty(0, np.uint8)
NO_INDEX = np.empty(0, np.int32)
NO_CUTS = np.empty(0, np.int64)
NO_WEIGHTS = np.empty(0, np.float64)
CELLS_AT_ONCE = 1 << 20
POLICIES = ("error", "last", "mean", "sum")


@dataclass(frozen=True)
class Axis:
    """What is known of the rows, or of the columns, before the entries are read."""

    size: int | None = None  # of a factorization; None: the entries tell
    ids: Ids | None = None  # which stand at those positions
    grows: bool = False  # whether positions and ids beyond them are new ones
    by_id: bool | None = None  # whether pairs list ids; None: if there are any
    unknown: str = ""  # "raise" or "skip" unknown ids, where the caller has the choice

    @property
    def remedy(self) -> str | None:
        """For an unknown id; None: it is skipped."""
        told = {"raise": 'omit it, or pass unknown="skip"', "skip": None}
        return told.get(self.unknown, "omit it")

    @property
    def remedy_of_pairs(self) -> str | None:
        """The same where a caller may have meant positions, and can say so."""
        asks = "" if self.by_id is None else "; ids=False asks for positions"
        return self.remedy and self.remedy + asks

    @property
    def lists_ids(self) -> bool:
        """Whether pairs list ids."""
        return self.ids is not None if self.by_id is None else self.by_id


Matrix = tuple[Axis, Axis]
UNKNOWN = (Axis(), Axis())


@dataclass(frozen=True)
class Draw:
    """Entries that are drawn by their places and a seed alone, or else all others."""

    drawn: bool
    seed: int
    share: float = 0.0
    folds: int = 0  # above 0: one fold of so many, instead of a share
    fold: int = 0


@dataclass(frozen=True)
class Cells:
    """The observed entries, checked, in arrays of the caller's form and dtype."""

    rows: NDArray[Any]  # integers, like cols; BY_ROW: where each row begins; DENSE: empty
    cols: NDArray[Any]
    values: NDArray[Any]
    shape: tuple[int, int]
    weights: NDArray[np.float64] = field(default_factory=lambda: NO_WEIGHTS)  # or one per entry
    ids: tuple[Ids | None, Ids | None] = (None, None)  # of all rows and columns
    # A block-diagonal problem (tiles) says where each block's rows and columns begin.
    row_cuts: NDArray[np.int64] = field(default_factory=lambda: NO_CUTS)
    col_cuts: NDArray[np.int64] = field(default_factory=lambda: NO_CUTS)
    form: int = core_plan.LISTED_CELLS
    mask: NDArray[np.uint8] = field(default_factory=lambda: NO_MASK)  # DENSE: of what is observed
    draw: Draw | None = None  # which of the entries; None: all

    def source(self) -> Any:
        """The entries as the core reads them, from arrays that live as long as this does."""
        source = core_plan.source(
            self.form,
            *self.shape,
            self.values.size,
            self.rows,
            self.cols,
            self.values,
            self.weights if self.weights.size else None,
            self.mask,
            self.form == core_plan.DENSE_CELLS and not self.mask.size,
        )
        return source if self.draw is None else core_plan.drawn(source, *astuple(self.draw))

    def _parts(self) -> Iterator[tuple[int, int]]:
        """The positions in parts, between which signals are handled."""
        n = self.values.size
        return ((first, min(n, first + CELLS_AT_ONCE)) for first in range(0, n, CELLS_AT_ONCE))

    @property
    def n_stored(self) -> int:
        """How many entries there are at most, if that is known without a look at them."""
        return 0 if self.form == core_plan.DENSE_CELLS else self.values.size

    def count(self) -> int:
        """How many entries there are."""
        if self.form == core_plan.LISTED_CELLS and self.draw is None:
            return self.values.size
        source = self.source()
        return sum(core_plan.look(source, *part)[2] for part in self._parts())

    def any(self) -> bool:
        """Whether there is an entry; most often one is among the first positions."""
        n, first, size, source = self.values.size, 0, 1 << 12, self.source()
        while first < n:
            if core_plan.look(source, first, min(n, first + size))[2]:
                return True
            first, size = first + size, min(4 * size, CELLS_AT_ONCE)
        return False

    def listed(self) -> Cells:
        """The entries, one by one in arrays, with values of a dtype that the core reads."""
        plain = all(part.dtype in (np.int32, np.int64) for part in (self.rows, self.cols))
        if self.form == core_plan.LISTED_CELLS and self.draw is None and plain:
            return self
        n, source = self.count(), self.source()
        index = np.int32 if max(self.shape) < 2**31 else np.int64
        lists: list[NDArray[Any]] = [np.empty(n, index) for _ in self.shape]
        lists.append(np.empty(n, as_values(self.values[:0]).dtype))
        lists.append(np.empty(n if self.weights.size else 0))
        at = 0
        for part in self._parts():
            at = core_plan.write_cells(source, *part, at, *lists)
        if at != n:
            raise_for_status(CELLS_CHANGED)
        rows, cols, values, weights = lists
        return Cells(rows, cols, values, self.shape, weights, self.ids)

    def require_finite(self) -> None:
        """Refuse the first observed entry that is NaN or infinite."""
        source = self.source()
        for part in self._parts():
            status, at, _ = core_plan.look(source, *part)
            if status != OK:
                row, col = self._place(at)
                require_finite(np.array([row]), np.array([col]), self.values[at : at + 1])
                raise_for_status(CELLS_CHANGED)

    def _place(self, at: int) -> tuple[int, int]:
        """Row and column of what is stored at a position."""
        if self.form == core_plan.DENSE_CELLS:
            return divmod(at, self.shape[1])
        by_row = self.form == core_plan.CELLS_BY_ROW
        begins, others = (self.rows, self.cols) if by_row else (self.cols, self.rows)
        line = int(np.searchsorted(begins, at, "right")) - 1
        return (line, int(others[at])) if by_row else (int(others[at]), line)

    @property
    def matrix(self) -> Matrix:
        """For other entries of the same matrix."""
        return Axis(self.shape[0], self.ids[0]), Axis(self.shape[1], self.ids[1])

    def part(self, chosen: NDArray[np.bool_]) -> Cells:
        """A selection of the entries, of the same matrix."""
        return replace(
            self,
            rows=self.rows[chosen],
            cols=self.cols[chosen],
            values=self.values[chosen],
            weights=self.weights[chosen] if self.weights.size else NO_WEIGHTS,
        )


def _compressed_in_place(values: Any, size: Sides, matrix: Matrix) -> Cells:
    """CSR and CSC arrays as they are."""
    shape = sparse_shape(values, size, "values")
    numeric("values", np.empty(0, values.dtype))
    try:
        values = checked_sparse(values)
    except ValueError as error:
        refuse_sparse("values", error)
    by_row = values.format == "csr"
    begins, others = for_cut(values.indptr), for_cut(values.indices)
    return Cells(
        *((begins, others) if by_row else (others, begins)),
        for_cut(values.data),
        shape,
        ids=(matrix[0].ids, matrix[1].ids),
        form=core_plan.CELLS_BY_ROW if by_row else core_plan.CELLS_BY_COL,
    )


def _dense_in_place(mask: Any, values: NDArray[Any], size: Sides, matrix: Matrix) -> Cells:
    """A matrix as it is, observed where the mask says so, or where it is not NaN or masked."""
    hidden = np.ma.getmaskarray(values) if isinstance(values, np.ma.MaskedArray) else None
    if mask is None:
        shape = matrix_shape(numeric("values", values), size, "values")
        observed = None if hidden is None else ~hidden
    else:
        numeric("values", values)
        observed = checked_mask(mask)
        shape = matrix_shape(observed, size, "mask")
        if hidden is not None and (observed & hidden).any():
            row, col = np.argwhere(observed & hidden)[0]
            refuse_hidden(int(row), int(col))
    marks = NO_MASK if observed is None else for_core(observed, bool).reshape(-1).view(np.uint8)
    return Cells(
        NO_INDEX,
        NO_INDEX,
        for_cut(np.asarray(values)).reshape(-1),
        shape,
        ids=(matrix[0].ids, matrix[1].ids),
        form=core_plan.DENSE_CELLS,
        mask=marks,
    )


def _cells_of_ratings(
    ratings: Any, shape: Sides, matrix: Matrix
) -> tuple[Any, tuple[Ids | None, Ids | None], NDArray[np.float64] | None]:
    """The entries of Ratings at the indices of their ids, the ids of all indices, and weights."""
    positions, known = [], []
    for at, (axis, ids) in enumerate(zip(matrix, (ratings.row_ids, ratings.col_ids), strict=True)):
        if axis.ids is None and axis.size is not None:
            reject(
                "values",
                f"are Ratings, but this factorization has no ids of {('rows', 'columns')[at]}",
                "train it on Ratings, or pass a pair of positions in this factorization",
            )
        if axis.ids is None:
            known.append(Ids(ids))
            positions.append((ratings.rows, ratings.cols)[at])
            continue
        known.append(axis.ids.with_strangers(ids) if axis.grows else axis.ids)
        name = ("rows", "cols")[at]
        found = known[at].find(ids, f"values.{name[:3]}_ids", axis.remedy, name)
        warn_of_skipped(found, ids, f"values.{name[:3]}_ids")
        index = as_index(name, (ratings.rows, ratings.cols)[at], found.size)
        positions.append(found[own_index(name, index, found.size)])
    sizes = known[0].names.size, known[1].names.size
    if any(wanted not in (None, size) for wanted, size in zip(shape, sizes, strict=True)):
        expected = ", ".join("any" if wanted is None else str(wanted) for wanted in shape)
        reject(
            "values",
            f"are Ratings of shape {sizes} where ({expected}) is expected",
            "omit shape, or pass Ratings with as many ids",
        )
    values = np.asarray(numeric("values", as_array("values", ratings.values)))
    pair, values, weights = _known_entries(
        (positions[0], positions[1]),
        [axis.unknown == "skip" and axis.ids is not None for axis in matrix],
        values,
        ratings.weights,
    )
    return entries_of_pair(pair, values, sizes), (known[0], known[1]), weights


def _positions_of_pair(
    mask: tuple[Any, ...], values: Any, weights: Any, matrix: Matrix
) -> tuple[tuple[Any, ...], Any, Any, tuple[Ids | None, Ids | None]]:
    """A pair with positions in place of ids, the values and weights of what is known, and the ids
    of all positions.
    """
    found, known = list(mask), [matrix[0].ids, matrix[1].ids]
    by_id = [axis.lists_ids for axis in matrix]
    for at, (name, axis) in enumerate(zip(("rows", "cols"), matrix, strict=True)):
        if not axis.lists_ids:
            continue
        column = as_column(name, mask[at])
        if column.ndim != 1:
            reject(name, f"has {column.ndim} dimensions", "pass a 1-D array of ids")
        ids = axis.ids
        if ids is None:
            ids = Ids(distinct(column, name))
        elif axis.grows:
            ids = ids.with_strangers(distinct(column, name))
        found[at] = ids.find(column, name, axis.remedy_of_pairs, name)
        warn_of_skipped(found[at], column, name)
        known[at] = ids
    pair, values, weights = _known_entries((found[0], found[1]), by_id, values, weights)
    return pair, values, weights, (known[0], known[1])


def _known_entries(
    pair: tuple[Any, Any], by_id: list[bool], values: Any, weights: Any
) -> tuple[tuple[Any, Any], Any, Any]:
    """Those that are listed by no unknown id, whose position is -1."""
    strange = [part < 0 for part, named in zip(pair, by_id, strict=True) if named]
    if not any(part.any() for part in strange):
        return pair, values, weights
    some = ~np.logical_or.reduce(strange)

    def known(part: Any) -> Any:
        array = None if part is None else as_array("values", part)
        if array is None or array.size != some.size or max(array.shape, default=0) != some.size:
            return part
        return array.reshape(-1)[some]

    rows, cols, values, weights = map(known, (*pair, values, weights))
    return (rows, cols), values, weights


@dataclass(frozen=True)
class _Listed:
    """Observed entries as the caller has them, with values of the caller's dtype."""

    rows: NDArray[Any]
    cols: NDArray[Any]
    values: NDArray[Any]
    shape: tuple[int, int]
    weights: NDArray[np.float64] = field(default_factory=lambda: NO_WEIGHTS)
    ids: tuple[Ids | None, Ids | None] = (None, None)


def observed_cells(
    mask: Any,
    values: Any,
    *,
    weights: Any = None,
    shape: object = None,
    duplicates: object = "error",
    matrix: Matrix = UNKNOWN,
    nothing: bool = False,
) -> Cells:
    """The observed entries as the core takes them.

    `nothing` says that there need not be any. Whether an entry is listed twice is left to the
    reader if `duplicates` is "error".
    """
    cells = _in_place(mask, values, weights, shape, duplicates, matrix)
    if cells is not None:
        cells.require_finite()
        if not nothing and not cells.any():
            reject_nothing()
        return cells
    listed = _listed(mask, values, weights, shape, duplicates, matrix, nothing)
    rows, cols, converted = listed.rows, listed.cols, for_cut(listed.values)
    if converted.dtype != listed.values.dtype:  # a long double may be too large for float64
        require_finite(rows, cols, converted)
    places = for_cut(rows), for_cut(cols)
    return Cells(*places, converted, listed.shape, listed.weights, listed.ids)


def _in_place(
    mask: Any, values: Any, weights: Any, shape: object, duplicates: object, matrix: Matrix
) -> Cells | None:
    """The forms that the core reads where they are; None for others, which are listed."""
    policy = choice("duplicates", duplicates, POLICIES)
    if weights is not None or isinstance(mask, tuple) or are_ratings(values):
        return None
    size = _expected_shape(shape, matrix)
    if is_sparse(values):
        plain = mask is None and policy == "error"
        if not plain or getattr(values, "format", "") not in ("csr", "csc"):
            return None
        cells = _compressed_in_place(values, size, matrix)
    else:
        require_no_second_mask(mask, values)
        require_same_labels("mask", mask, values)
        _require_order_of_ids(mask, values, matrix)
        array = as_array("values", values)
        marks = None if mask is None else as_array("mask", mask)
        if array.ndim != 2 or (marks is not None and marks.shape != array.shape):
            return None
        cells = _dense_in_place(marks, array, size, matrix)
    _grown_shape(cells.shape, shape, matrix, cells.ids, listed=False)
    return cells


def _require_order_of_ids(mask: Any, values: Any, matrix: Matrix) -> None:
    ids = [None if axis.ids is None else axis.ids.names for axis in matrix]
    for name, table in (("mask", mask), ("values", values)):
        require_order_of_ids(name, table, ids)


def _listed(
    mask: Any,
    values: Any,
    weights: Any,
    shape: object,
    duplicates: object,
    matrix: Matrix,
    nothing: bool,
) -> _Listed:
    """Any form of input, listed and checked."""
    policy = choice("duplicates", duplicates, POLICIES)
    size = _expected_shape(shape, matrix)
    require_no_second_mask(mask, values)
    if is_sparse(weights) or are_ratings(weights):
        what = "a sparse array" if is_sparse(weights) else "a Ratings"
        reject("weights", f"is {what}", "pass one weight for every observed entry", TypeError)
    if weights is not None and policy != "error":
        reject(
            "weights", f'are given together with duplicates="{policy}"', "resolve duplicates first"
        )
    ids: tuple[Ids | None, Ids | None] = (matrix[0].ids, matrix[1].ids)
    if isinstance(mask, tuple) and len(mask) == 2 and any(axis.lists_ids for axis in matrix):
        mask, values, weights, ids = _positions_of_pair(mask, values, weights, matrix)
        size = _size_by_ids(size, matrix, ids)
    if are_ratings(values):
        cells, ids, own_weights = _cells_of_ratings(values, size, matrix)
        if weights is not None:
            reject(
                "weights",
                "are given together with Ratings, which are sorted: the order may differ",
                "pass them as weight= to Ratings.from_arrays or Ratings.from_dataframe, which "
                "sort them too",
            )
        if own_weights is not None:
            weights, policy = own_weights, "error"  # each entry is there once
    elif is_sparse(values):
        cells = entries_of_sparse(values, size)
    else:
        for name, labelled in (("mask", mask), ("weights", weights)):
            require_same_labels(name, labelled, values)
        _require_order_of_ids(mask, values, matrix)
        cells = entries_of_arrays(mask, as_array("values", values), size)
    rows, cols, given, found = cells
    found = _grown_shape(found, shape, matrix, ids, listed=isinstance(mask, tuple))
    if rows.size == 0 and not nothing:
        reject_nothing()
    require_finite(rows, cols, given)
    if policy != "error" and rows.size:
        rows, cols, given = merged(policy, rows, cols, given)
        require_finite(rows, cols, given)
    weighing = NO_WEIGHTS
    if weights is not None:
        weighing = _weights(weights, rows, cols, given, found)
        some = weighing > 0
        if not some.all():  # a weight of zero: not observed
            rows, cols, given, weighing = rows[some], cols[some], given[some], weighing[some]
    return _Listed(rows, cols, given, found, weighing, ids)


def _expected_shape(shape: object, matrix: Matrix) -> Sides:
    """The shape that the caller says or the factorization has; None where neither tells."""
    said = as_shape(shape)
    for what, one, axis in zip(("rows", "columns"), said, matrix, strict=True):
        if one is None or axis.size is None:
            continue
        if one < axis.size or (one > axis.size and not axis.grows):
            reject(
                "shape",
                f"got {shown(shape)} where {axis.size} {what} were trained",
                f"pass {axis.size}{' or more' if axis.grows else ''}, or None, for the {what}",
            )
    rows, cols = (
        axis.size if one is None and not axis.grows else one
        for one, axis in zip(said, matrix, strict=True)
    )
    return rows, cols


def _size_by_ids(size: Sides, matrix: Matrix, ids: tuple[Ids | None, Ids | None]) -> Sides:
    """The shape where pairs list ids, of which there may be new ones."""
    sizes = list(size)
    for at, (axis, known) in enumerate(zip(matrix, ids, strict=True)):
        if axis.lists_ids and known is not None:
            if sizes[at] not in (None, known.names.size):
                what = ("rows", "columns")[at]
                found = f"got {sizes[at]} {what} where there are {known.names.size} ids"
                reject("shape", found, "omit shape")
            sizes[at] = known.names.size
    return sizes[0], sizes[1]


def _grown_shape(
    found: tuple[int, int],
    shape: object,
    matrix: Matrix,
    ids: tuple[Ids | None, Ids | None],
    *,
    listed: bool,
) -> tuple[int, int]:
    """The shape with the rows and columns of a factorization that may grow."""
    said = as_shape(shape)
    sizes = list(found)
    for at, (what, axis) in enumerate(zip(("rows", "columns"), matrix, strict=True)):
        if axis.size is None or not axis.grows:
            continue
        if listed and said[at] is None:
            sizes[at] = max(sizes[at], axis.size)
        if sizes[at] < axis.size:
            reject(
                "values",
                f"has {sizes[at]} {what} where {axis.size} were trained",
                f"pass all {what}, or a pair (rows, cols) of positions among them",
            )
        named = ids[at]
        if named is not None and sizes[at] > named.names.size:
            reject(
                "values",
                f"has {sizes[at]} {what} where {named.names.size} have ids",
                f"pass Ratings, which give ids to the new {what}",
            )
    return sizes[0], sizes[1]


def _weights(
    weights: Any,
    rows: NDArray[Any],
    cols: NDArray[Any],
    values: NDArray[Any],
    shape: tuple[int, int],
) -> NDArray[np.float64]:
    """One weight per observed entry."""
    array = as_array("weights", weights)
    if isinstance(array, np.ma.MaskedArray):
        reject("weights", "is a masked array", "pass a plain array", TypeError)
    numeric("weights", array)
    array = one_each("weights", array, rows, cols, shape)
    if array.shape == shape:
        array = array[own_pair("mask", rows, cols, shape)]
    elif array.shape != values.shape:
        reject(
            "weights",
            f"has shape {array.shape} where there are {values.size} observed entries in {shape}",
            "pass one weight for every observed entry, or the (m, n) array",
        )
    with np.errstate(over="ignore"):  # a long double beyond float64 is refused below, as inf
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
        reject("weights", "is 0 everywhere", "give at least one entry a weight above 0")
    return out


@dataclass(frozen=True)
class CellsByRow:
    """Observed entries, grouped by row and sorted by column."""

    first: NDArray[np.int64]  # (rows + 1) where the cells of each row begin
    cols: NDArray[np.int64]
    values: NDArray[np.float64]
    weights: NDArray[np.float64]  # or none


def keys(rows: NDArray[Any], cols: NDArray[Any], n_cols: int) -> NDArray[np.uint64]:
    """A number for each entry, which grows by row and then by column."""
    return rows.astype(np.uint64) * np.uint64(n_cols) + cols.astype(np.uint64)


def among(wanted: NDArray[np.uint64], ordered: NDArray[np.uint64]) -> NDArray[np.bool_]:
    """Which keys occur among others, which are sorted."""
    if not ordered.size:
        return np.zeros(wanted.size, bool)
    at = np.minimum(np.searchsorted(ordered, wanted), ordered.size - 1)
    found: NDArray[np.bool_] = ordered[at] == wanted
    return found


def in_order(
    rows: NDArray[Any], cols: NDArray[Any], n_cols: int
) -> tuple[NDArray[np.uint64], NDArray[np.int64] | None]:
    """Sorted keys of the entries, and the order that sorts them (None: sorted already)."""
    listed = keys(rows, cols, n_cols)
    if np.all(listed[1:] >= listed[:-1]):
        return listed, None
    order = np.argsort(listed, kind="stable")
    return listed[order], order


def _listed_twice(ordered: NDArray[np.uint64], n_cols: int) -> tuple[int, int] | None:
    """Row and column of the first of the ordered keys that occurs again."""
    again = ordered[1:] == ordered[:-1]
    return divmod(int(ordered[int(np.argmax(again))]), n_cols) if again.any() else None


def require_once(cells: Cells | _Listed) -> None:
    """Refuse duplicates."""
    ordered, _ = in_order(cells.rows, cells.cols, cells.shape[1])
    if twice := _listed_twice(ordered, cells.shape[1]):
        raise_for_status(DUPLICATE_CELL, twice)


def by_row(cells: Cells, *, by_col: bool, first: int = 0) -> CellsByRow:
    """The entries by row (or column); errors count rows from `first`."""
    rows, cols, (n_rows, n_cols) = cells.rows, cells.cols, cells.shape
    if by_col:
        rows, cols, n_rows, n_cols = cols, rows, n_cols, n_rows
    rows, cols = own_pair("mask", rows, cols, (n_rows, n_cols))
    ordered, order = in_order(rows, cols, n_cols)
    if twice := _listed_twice(ordered, n_cols):
        row, col = first + twice[0], twice[1]
        raise_for_status(DUPLICATE_CELL, (col, row) if by_col else (row, col))
    chosen = slice(None) if order is None else order
    begin = np.zeros(n_rows + 1, np.int64)
    np.cumsum(np.bincount(rows, minlength=n_rows), out=begin[1:])
    return CellsByRow(
        begin,
        cols[chosen],
        cells.values[chosen].astype(np.float64),
        cells.weights[chosen] if cells.weights.size else NO_WEIGHTS,
    )


def observed_by_blocks(
    mask: Any, values: Any, *, matrix: Matrix, duplicates: object
) -> tuple[np.dtype[Any], Iterator[tuple[int, int, Any, Any]]]:
    """A floating dtype for the values, and the observed entries by blocks of rows: first and
    last row, which entries, and their values.  Listed entries, (rows, cols), are one block; the
    blocks of dense forms have a mask and all values.
    """
    choice("duplicates", duplicates, POLICIES)
    require_no_second_mask(mask, values)
    shape = _expected_shape(None, matrix)
    listed = isinstance(mask, tuple) or any(map(is_sparse, (mask, values))) or are_ratings(values)
    array = None if listed else as_array("values", values)
    marks = None if mask is None or array is None else as_array("mask", mask)
    if array is None or array.ndim != 2 or (marks is not None and marks.shape != array.shape):
        cells = _listed(mask, values, None, None, duplicates, matrix, True)
        require_once(cells)
        rows, cols = own_pair("mask", cells.rows, cells.cols, cells.shape)
        return _floating(cells.values.dtype), iter(
            [(0, cells.shape[0], (rows, cols), cells.values)]
        )
    numeric("values", array)
    if marks is not None:
        marks = checked_mask(marks)
    require_same_labels("mask", mask, values)
    _require_order_of_ids(mask, values, matrix)
    for name, matrix_given in (("mask", marks), ("values", array)):
        if matrix_given is not None:
            matrix_shape(matrix_given, shape, name)
    n_rows, n_cols = array.shape
    at_once = max(1, CELLS_AT_ONCE // n_cols)
    blocks = (
        _dense_block(marks, array, first, min(n_rows, first + at_once))
        for first in range(0, n_rows, at_once)
    )
    return _floating(array.dtype), blocks


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
        part = None if marks is None else seen  # entries_of_arrays raises the error
        rows, cols, given, _ = entries_of_arrays(part, block, (None, None), first)
        require_finite(rows + first, cols, given)
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
    """The block-diagonal problem of a tiled image, whose pixels have been checked."""
    return Cells(rows, cols, as_values(values), shape, row_cuts=row_cuts, col_cuts=col_cuts)
