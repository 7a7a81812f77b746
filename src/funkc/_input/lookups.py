"""Rows and columns in calls of a factorization: by id or by position, one rule on every road."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from funkc._errors import UnknownIdWarning, reject, shown, warn
from funkc._input.arrays import (
    are_ratings,
    as_array,
    as_index,
    is_sparse,
    matrix_shape,
    own_index,
    require_order_of_ids,
)
from funkc._input.forms import entries_of_sparse, refuse_sparse, sparse_shape
from funkc._input.ids import as_column, looked_up
from funkc._input.scalars import require_memory

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from funkc._input.ids import Ids

# Design
# a. `ids=None` means: by id, on a side that has ids, else by position; False means by position;
#    True requires ids.  Whoever takes an argument asks `Names.find`, which alone knows the rule.
# b. Slices, boolean arrays and sparse ones are of positions always.
# c. An unknown id, or a position outside the matrix, becomes -1 where a caller may go without.


@dataclass(frozen=True)
class Names:
    """How the rows, or the columns, of a matrix are called."""

    axis: str  # "rows" or "cols"
    size: int
    ids: Ids | None  # None: by position

    def find(
        self, name: str, value: ArrayLike | slice, remedy: str | None, most_dimensions: int = 64
    ) -> NDArray[np.int64]:
        """Positions of what is passed; what is unknown is an error with the remedy, or -1."""
        if isinstance(value, slice):
            try:
                return np.ascontiguousarray(np.arange(self.size, dtype=np.int64)[value])
            except (TypeError, ValueError) as error:
                reject(name, f"got {shown(value)}", "pass a slice of integers", type(error))
        array = self.column(name, value)
        if isinstance(array, np.ma.MaskedArray):
            reject(name, "is a masked array", f"pass a plain array of {self.kind}", TypeError)
        require_memory(24 * array.size, f"{array.size:,} {name}", "split them over several calls")
        if array.dtype == bool:
            if array.shape != (self.size,):
                found = f"is boolean, of shape {array.shape} where there are {self.size}"
                reject(name, found, f"pass one mark for each, or {self.kind}")
            return np.flatnonzero(array)
        if array.ndim > most_dimensions:
            reject(name, f"has {array.ndim} dimensions", f"pass one of the {self.kind}, or several")
        if not array.size:
            return np.empty(array.shape, np.int64)
        if self.ids is not None:
            if remedy is not None:
                remedy += "; ids=False asks for positions"
            return self.ids.find(array, name, remedy, self.axis)
        return self._positions(name, array, remedy)

    def column(self, name: str, value: ArrayLike) -> NDArray[Any]:
        """What is passed, as an array: of objects if it lists ids, or marks if it lists those."""
        if isinstance(value, (bytes, bytearray, memoryview)):
            reject(name, f"is of type {type(value).__name__}", f"pass {self.kind}", TypeError)
        if isinstance(value, (set, frozenset, dict)) or hasattr(value, "__next__"):
            found = f"is of type {type(value).__name__}"
            reject(name, found, f"pass a list of {self.kind}", TypeError)
        if self.ids is None:
            return as_array(name, value)
        array = as_column(name, value)
        marks = array.dtype.kind == "O" and all(type(entry) is bool for entry in array.flat)
        return array.astype(bool) if marks and array.size else array

    @property
    def kind(self) -> str:
        """What is expected, in words."""
        return "integers" if self.ids is None else "ids"

    def _positions(self, name: str, index: NDArray[Any], remedy: str | None) -> NDArray[np.int64]:
        passed = index
        if index.dtype.kind == "O" and {type(entry) for entry in index.flat} == {int}:
            # Beyond 64 bits, so that they are of no row.
            within = np.vectorize(lambda entry: min(max(entry, -1), self.size), otypes="q")
            index, passed = within(index), index
        if index.dtype.kind not in "iu":
            what = "these rows have no ids" if self.axis == "rows" else "these columns have no ids"
            reject(name, f"has dtype {index.dtype}", f"pass integers: {what}", TypeError)
        places = index.astype(np.int64)  # what is checked is a copy, as in own_index
        outside = (places < 0) | (places >= self.size)
        if remedy is not None and outside.any():
            at = tuple(int(i) for i in np.argwhere(outside)[0])
            place = f"[{', '.join(map(str, at))}]" if at else ""
            found = f"{name}{place} = {shown(passed.item(at))} is not among"
            reject(
                name,
                f"{found} the {self.size} that were trained",
                f"positions run from 0 to {self.size - 1}; {remedy}",
                IndexError,
            )
        return np.where(outside, -1, places)

    def named(self, positions: NDArray[np.int64]) -> NDArray[Any]:
        """What stands at positions, as the caller calls it; -1, or an empty text, for -1."""
        if self.ids is None:
            return positions
        names = self.ids.names
        out: NDArray[Any] = names[positions]
        out[positions < 0] = -1 if names.dtype.kind == "i" else ""
        return out


def warn_of_skipped(found: NDArray[np.int64], value: ArrayLike, name: str) -> None:
    """Tell which of the rows or columns that were passed are unknown."""
    skipped = np.atleast_1d(found < 0)
    if skipped.any():
        passed = np.atleast_1d(np.asarray(value, object))[skipped].tolist()
        first, n = shown(passed[0]), len(dict.fromkeys(passed))
        what = f"{first} is unknown and was" if n == 1 else f"{first} and {n - 1:,} more were"
        warn(f"{name}: {what} skipped", UnknownIdWarning)


def index_pair(
    rows: NDArray[np.int64], cols: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Rows and columns to predict, broadcast against each other."""
    try:
        both = np.broadcast_arrays(rows, cols)
        size = both[0].size
        require_memory(40 * size, f"{size:,} entries", "split them over several calls")
    except ValueError:
        reject(
            "rows and cols",
            f"have shapes {rows.shape} and {cols.shape}",
            "pass shapes that broadcast",
        )
    return both[0], both[1]


# ---------------------------------------------------------------- columns to rank, or not


@dataclass(frozen=True)
class Choice:
    """Columns that were chosen for some rows: the same for all, or others for each of them."""

    n_rows: int
    shared: NDArray[np.int64] | None  # sorted, each once; None: each row has its own
    nth: NDArray[np.int64]  # the number of the row that each of `cols` belongs to, in order
    cols: NDArray[np.int64]  # sorted in each row

    @classmethod
    def of_all(cls, n_rows: int, cols: NDArray[np.int64]) -> Choice:
        """The same for all rows."""
        return cls(n_rows, np.unique(cols), cols[:0], cols[:0])

    @classmethod
    def of_each(cls, n_rows: int, nth: NDArray[np.int64], cols: NDArray[np.int64]) -> Choice:
        """For each row other columns."""
        if np.any((nth[1:] < nth[:-1]) | ((nth[1:] == nth[:-1]) & (cols[1:] < cols[:-1]))):
            order = np.lexsort((cols, nth))
            nth, cols = nth[order], cols[order]
        return cls(n_rows, None, nth, cols)

    @classmethod
    def of_lists(cls, lists: list[NDArray[np.int64]]) -> Choice:
        """A list for each row."""
        nth = np.repeat(np.arange(len(lists)), [part.size for part in lists])
        return cls.of_each(len(lists), nth, np.concatenate([*lists, nth[:0]]))

    @classmethod
    def nothing(cls, n_rows: int) -> Choice:
        """No columns."""
        return cls(n_rows, None, *np.empty((2, 0), np.int64))

    def part(self, first: int, last: int) -> Choice:
        """Of some of the rows, each of which has its own."""
        begin, end = np.searchsorted(self.nth, [first, last])
        return Choice(last - first, None, self.nth[begin:end] - first, self.cols[begin:end])

    def without(self, others: NDArray[np.int64]) -> Choice:
        """What each row has, except some columns."""
        left = ~np.isin(self.cols, others)
        return Choice(self.n_rows, None, self.nth[left], self.cols[left])

    def each(self) -> Choice:
        """The same, as if each row had its own."""
        if self.shared is None:
            return self
        nth = np.repeat(np.arange(self.n_rows), self.shared.size)
        return Choice(self.n_rows, None, nth, np.tile(self.shared, self.n_rows))

    def with_(self, more: Choice) -> Choice:
        """These, and others."""
        one, other = self.each(), more.each()
        nth = np.concatenate([one.nth, other.nth])
        return Choice.of_each(self.n_rows, nth, np.concatenate([one.cols, other.cols]))

    @property
    def first(self) -> NDArray[np.int64]:
        """Where those of each row begin, and the end of the last."""
        return np.searchsorted(self.nth, np.arange(self.n_rows + 1))


@dataclass(frozen=True)
class Choosing:
    """The rows that columns are chosen for, and how both are called."""

    index: NDArray[np.int64]  # of the rows; -1: none of the matrix
    rows: Names
    cols: Names
    ids: tuple[Ids | None, Ids | None]  # of both, by which Ratings are read, whatever is asked for
    unknown: str  # "raise" or "skip"; "", where the caller has no choice

    def read(self, name: str, value: Any) -> Choice | None:
        """What the caller passed as `exclude` or `only`."""
        if value is None:
            return None
        if are_ratings(value):
            return self._of_ratings(name, value)
        if is_sparse(value):
            return self._of_sparse(name, value)
        if isinstance(value, tuple) and value:
            return self._of_pair(name, value)
        if isinstance(value, slice):
            return Choice.of_all(self.index.size, self._known(name, value))
        if isinstance(value, list) and any(map(_is_list, value)):
            return self._of_lists(name, value)
        array = self.cols.column(name, value)
        if isinstance(array, np.ma.MaskedArray):
            reject(name, "is a masked array", "pass a plain array", TypeError)
        if array.shape in ((self.rows.size, self.cols.size), (self.cols.size,)):
            array = self._marks(name, array)
        if array.ndim == 2 and array.dtype == bool:
            matrix_shape(array, self._of_matrix(name), name)
            ids = [
                None if names.ids is None else names.ids.names for names in (self.rows, self.cols)
            ]
            require_order_of_ids(name, value, ids)
            none = self.index[:0]
            rows = self.index.tolist()
            return Choice.of_lists([np.flatnonzero(array[i]) if i >= 0 else none for i in rows])
        if array.ndim == 2 and array.dtype.kind != "f":
            return self._of_lists(name, list(array))
        if array.ndim > 1:
            reject(
                name,
                f"has dtype {array.dtype} and {array.ndim} dimensions",
                f"pass a list of {self.cols.kind} for all rows or one for each, a boolean or "
                "sparse array of the matrix, a pair (rows, cols) or Ratings",
            )
        return Choice.of_all(self.index.size, self._known(name, array))

    def _marks(self, name: str, array: NDArray[Any]) -> NDArray[Any]:
        """As booleans, if it has nothing but 0 and 1: no list of columns is as long as that."""
        many = array.dtype.kind in "iu" and array.size > 2
        return array.astype(bool) if many and np.isin(array, (0, 1)).all() else array

    def _of_matrix(self, name: str) -> tuple[int, int]:
        """The shape of a boolean or sparse array."""
        if self.rows.axis == self.cols.axis:
            reject(
                name,
                "has rows and columns",
                f"pass a list of {self.cols.kind} for all, or one for each that is requested",
            )
        return self.rows.size, self.cols.size

    @property
    def _remedy(self) -> str | None:
        told = {"skip": None, "raise": 'omit it, or pass unknown="skip"'}
        return told.get(self.unknown, "omit it")

    def _known(self, name: str, value: Any) -> NDArray[np.int64]:
        found = self.cols.find(name, value, self._remedy, 1).reshape(-1)
        return found[found >= 0]

    def _of_lists(self, name: str, lists: list[Any]) -> Choice:
        if len(lists) != self.index.size:
            reject(
                name,
                f"has lists for {len(lists)} rows where {self.index.size} are requested",
                "pass one list for each, one list for all, or a pair (rows, cols)",
            )
        found = [self._known(f"{name}[{nth}]", part) for nth, part in enumerate(lists)]
        return Choice.of_lists(found)

    def _of_pair(self, name: str, pair: tuple[Any, ...]) -> Choice:
        if len(pair) != 2 or not all(map(_is_list, pair)):
            reject(
                name,
                f"got {shown(pair)}",
                "pass a list, or a pair of arrays (rows, cols)",
                TypeError,
            )
        self._of_matrix(name)
        rows = self.rows.find(f"{name}[0]", pair[0], self._remedy, 1)
        cols = self.cols.find(f"{name}[1]", pair[1], self._remedy, 1)
        if rows.shape != cols.shape:
            reject(
                name,
                f"has {rows.size} rows and {cols.size} columns",
                "pass one row and one column for every entry",
            )
        known = (rows >= 0) & (cols >= 0)
        return self._asked(rows[known], cols[known])

    def _asked(self, rows: NDArray[np.int64], cols: NDArray[np.int64]) -> Choice:
        """Of entries of the matrix, those of the rows that are asked for."""
        if self.index.size < 64 < rows.size:
            asked = np.isin(rows, self.index)
            rows, cols = rows[asked], cols[asked]
        sorted_ = Choice.of_each(0, rows, cols)
        nth, at = between(sorted_.nth, self.index)
        return Choice.of_each(self.index.size, nth, sorted_.cols[at])

    def _of_sparse(self, name: str, value: Any) -> Choice:
        shape = self._of_matrix(name)
        if getattr(value, "format", "") != "csr" or self.index.size * 16 > shape[0]:
            rows, cols = entries_of_sparse(value, shape, name)[:2]
            return self._asked(own_index(name, rows, shape[0]), own_index(name, cols, shape[1]))
        # Of few rows, what they have stored, and nothing else, is read.
        sparse_shape(value, shape, name)
        lists = []
        for row in self.index.tolist():
            if row < 0:
                lists.append(self.index[:0])
                continue
            some = as_array(name, value.indptr)[row : row + 2].tolist()
            cols = as_array(name, value.indices)[slice(*some)]
            if not (len(some) == 2 and 0 <= some[0] <= some[1] == some[0] + cols.size):
                refuse_sparse(name, ValueError(f"indptr of row {row}: {some}"))
            lists.append(own_index(name, as_index(name, cols, shape[1]), shape[1]))
        return Choice.of_lists(lists)

    def _of_ratings(self, name: str, ratings: Any) -> Choice:
        """By id, whatever `ids` says; ids that the model lacks can't come up anyway."""
        self._of_matrix(name)
        row_ids, col_ids = self.ids
        if row_ids is None or col_ids is None:
            what = "rows" if row_ids is None else "columns"
            reject(
                name,
                f"is Ratings, but the {what} have no ids",
                "train on Ratings, or pass a pair of positions in this factorization",
            )
        rows = looked_up(row_ids.names[self.index], ratings.row_ids)
        # Ratings are sorted by row: those of a few rows are found without a look at the others.
        nth, at = between(ratings.rows, np.where(self.index < 0, -1, rows))
        cols = own_index(name, ratings.cols[at], ratings.col_ids.size)
        if cols.size < ratings.col_ids.size:
            used, place = np.unique(cols, return_inverse=True)
        else:
            used, place = np.arange(ratings.col_ids.size), cols
        found = col_ids.among(ratings.col_ids[used])[place]
        return Choice.of_each(self.index.size, nth[found >= 0], found[found >= 0])


def _is_list(value: Any) -> bool:
    listed = hasattr(value, "__len__") and not isinstance(value, (str, bytes))
    return getattr(value, "ndim", int(listed)) > 0


def between(
    ordered: NDArray[Any], wanted: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Where each of the wanted numbers stands, and which of them it is."""
    those = wanted.astype(ordered.dtype)  # or NumPy would convert the others
    begin, end = (np.searchsorted(ordered, those, side) for side in ("left", "right"))
    n = np.where(wanted < 0, 0, np.maximum(0, end - begin))
    nth = np.repeat(np.arange(wanted.size), n)
    return nth, np.arange(nth.size) + np.repeat(begin - np.cumsum(n) + n, n)
