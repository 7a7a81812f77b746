"""Tables in blocks of rows: their observed entries, and the units of their columns."""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from funkc._errors import reject

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

ENTRIES_AT_ONCE = 1 << 19
# A standard deviation below this fraction of the mean is rounding error.
ROUNDING = 10 * float(np.finfo(np.float64).eps)


@dataclass(frozen=True)
class Table:
    """A table, dense or CSR, that is looked through in blocks of rows."""

    X: Any
    missing: float  # the value of what is missing
    zeros: bool = False  # whether what a CSR table does not store is 0, and not missing

    @property
    def is_dense(self) -> bool:
        return self.zeros or isinstance(self.X, np.ndarray)

    def blocks(self) -> Iterator[tuple[int, Cells]]:
        """The first row of each block, and its observed entries."""
        n_rows, n_cols = self.X.shape
        at_once = max(1, ENTRIES_AT_ONCE // n_cols)  # the same for dense and sparse tables
        for first in range(0, n_rows, at_once):
            yield first, self._cells(self.X[first : first + at_once])

    def moments(self) -> Moments:
        """Of all columns."""
        return functools.reduce(Moments.joined, (Moments.of(cells) for _, cells in self.blocks()))

    def _cells(self, X: Any) -> Cells:
        if self.is_dense:
            X = X if isinstance(X, np.ndarray) else X.toarray()
            observed = self._is_observed(X)
            rows, cols = np.nonzero(observed)
            return Cells(rows, cols, X[observed], X.shape)
        coo = X.tocoo()
        observed = self._is_observed(coo.data)
        return Cells(coo.row[observed], coo.col[observed], coo.data[observed], X.shape)

    def _is_observed(self, values: NDArray[Any]) -> NDArray[np.bool_]:
        nan = math.isnan(self.missing)
        return np.asarray(~np.isnan(values) if nan else values != self.missing)

    def scaled(
        self, mean: NDArray[Any], scale: NDArray[Any], dtype: np.dtype[Any]
    ) -> tuple[Any, Any]:
        """Mask and values for `factorize`, standardized by column."""
        if self.is_dense:
            out = np.full(self.X.shape, np.nan, dtype)
            for first, cells in self.blocks():
                part = out[first : first + cells.shape[0]]
                part[cells.rows, cells.cols] = cells.scaled(mean, scale, dtype)
            return None, out
        parts = [
            (first + cells.rows, cells.cols, cells.scaled(mean, scale, dtype))
            for first, cells in self.blocks()
        ]
        rows, cols, values = (np.concatenate(part) for part in zip(*parts, strict=True))
        return (rows, cols), values


@dataclass(frozen=True)
class Cells:
    """The observed entries of some rows, row by row."""

    rows: NDArray[Any]
    cols: NDArray[Any]
    values: NDArray[Any]  # of the dtype of the output
    shape: tuple[int, int]

    def only(self, chosen: NDArray[np.bool_]) -> Cells:
        """The chosen ones of them."""
        return Cells(self.rows[chosen], self.cols[chosen], self.values[chosen], self.shape)

    def scaled(self, mean: NDArray[Any], scale: NDArray[Any], dtype: np.dtype[Any]) -> NDArray[Any]:
        """The values, standardized by column."""
        return ratio(self.values - mean[self.cols], scale[self.cols]).astype(dtype)


@dataclass(frozen=True)
class Moments:
    """Number, mean and sum of squares about the mean of the observed entries of each column."""

    count: NDArray[Any]
    mean: NDArray[Any]
    squares: NDArray[Any]

    @classmethod
    def of(cls, cells: Cells) -> Moments:
        n = cells.shape[1]
        count = np.bincount(cells.cols, minlength=n)
        # `units` refuses what is not finite.
        mean = np.bincount(cells.cols, cells.values, n) / np.maximum(count, 1)
        squares = np.bincount(cells.cols, (cells.values - mean[cells.cols]) ** 2, n)
        return cls(count, mean, squares)

    def joined(self, more: Moments) -> Moments:
        """The moments of both sets of entries together."""
        count = self.count + more.count
        share = more.count / np.maximum(count, 1)
        away = more.mean - self.mean
        squares = self.squares + more.squares + away**2 * self.count * share
        return Moments(count, self.mean + away * share, squares)

    def units(
        self, scale: bool, nonnegative: bool, column: Callable[[int], str]
    ) -> tuple[NDArray[Any], NDArray[Any]]:
        """Mean and scale of the columns."""
        count = np.maximum(self.count, 1)
        variances = self.squares / count
        finite = np.isfinite(self.squares + count * self.mean**2)
        if not finite.all():
            at = int(np.argmin(finite))
            reject("X", f"the squares of {column(at)} exceed float64", "divide it by a constant")
        if not scale:
            return np.zeros_like(self.mean), np.ones_like(self.mean)
        if nonnegative:
            return np.zeros_like(self.mean), np.sqrt(variances + self.mean**2)
        deviations = np.sqrt(variances)
        deviations[deviations <= ROUNDING * np.abs(self.mean)] = 0
        return self.mean, deviations


def ratio(x: NDArray[Any], by: NDArray[Any]) -> NDArray[Any]:
    """x / by, and 0 where `by` is 0."""
    out = np.zeros(x.shape)
    np.divide(x, by, out=out, where=by > 0)
    return out


def robust_units(table: Table) -> tuple[NDArray[Any], NDArray[Any]]:
    """The median and the robust standard deviation of every column; where most entries are equal,
    those that differ tell it.
    """
    parts = [(cells.cols, cells.values) for _, cells in table.blocks()]
    cols, values = (np.concatenate(part) for part in zip(*parts, strict=True))
    counts = np.bincount(cols, minlength=table.X.shape[1])
    middle = _medians(cols, values, counts)
    sizes = np.abs(values - middle[cols])
    scale = 1.4826 * _medians(cols, sizes, counts)
    far = sizes > ROUNDING * np.abs(middle[cols])
    others = 1.4826 * _medians(cols[far], sizes[far], np.bincount(cols[far], minlength=counts.size))
    return middle, np.where(scale > ROUNDING * np.abs(middle), scale, others)


def _medians(cols: NDArray[Any], values: NDArray[Any], counts: NDArray[Any]) -> NDArray[np.float64]:
    """Of the values of every column; 0 without any."""
    ordered = np.append(values[np.lexsort((values, cols))].astype(np.float64), 0.0)
    first = np.cumsum(counts) - counts
    halves = (ordered[np.minimum(first + at // 2, values.size)] for at in (counts - 1, counts))
    return np.where(counts > 0, sum(halves) / 2, 0.0)
