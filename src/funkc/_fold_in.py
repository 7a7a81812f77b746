"""Factors of new rows or columns, computed with those of the other side fixed."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from funkc._core import serve
from funkc._errors import raise_for_status
from funkc._input.cells import by_row
from funkc._input.lookups import require_finite_factors
from funkc._input.scalars import require_memory
from funkc._schedule import padded
from funkc._sides import Side

if TYPE_CHECKING:
    from funkc._input.cells import Cells, CellsByRow
    from funkc._input.ids import Ids


@dataclass(frozen=True)
class Fitting:
    """The settings by which new rows and columns of a factorization are fitted."""

    offset: float
    nonnegative: bool
    n_threads: int

    def side(
        self,
        cells: CellsByRow,
        fixed: Side,
        looked_for: Side,
        ridge: float,
        *,
        ids: Ids | None = None,
        first: int = 0,
    ) -> Side:
        """Fit rows (or columns) to the fixed side; errors count them from `first`."""
        n, k = cells.first.size - 1, fixed.factors.shape[1]
        dtype = fixed.factors.dtype
        biased = fixed.bias is not None
        size = k + biased
        require_memory(
            n * (padded(k + 2 * biased) * dtype.itemsize + 16),
            f"the factors of {n:,} rows or columns",
            "number only those that occur",
        )
        require_memory(
            8 * self.n_threads * (padded(size) + 6) ** 2,
            f"systems of {size} equations on {self.n_threads} threads",
            "lower k, or set n_threads = 1",
        )
        out = np.zeros((n, fixed.ready.shape[1]), dtype)
        status = serve.fold_in(
            fixed.ready, k, fixed.bias_at, self.offset, cells.first, cells.cols, cells.values,
            cells.weights, looked_for.mean, ridge, self.nonnegative, out, self.n_threads,
        )  # fmt: skip
        raise_for_status(status)
        require_finite_factors(out, "row" if looked_for.first else "column", first)
        return Side.of_ready(out, k, ids, biased=biased, first=looked_for.first)

    def grown(
        self, rows: Side, cols: Side, cells: Cells, ridges: tuple[float, float]
    ) -> tuple[Side, Side]:
        """Both sides, extended by the rows, and then by the columns, that are new in `cells`."""
        (m, n), (row_ids, col_ids) = (len(rows.factors), len(cols.factors)), cells.ids
        if cells.shape != (m, n):
            cells = cells.listed()
        if cells.shape[0] > m:
            some = cells.part((cells.rows >= m) & (cells.cols < n))
            some = replace(some, rows=some.rows - m, shape=(cells.shape[0] - m, n))
            new = self.side(by_row(some, by_col=False, first=m), cols, rows, ridges[0], first=m)
            rows = rows.followed_by(new, row_ids)
        if cells.shape[1] > n:
            some = cells.part(cells.cols >= n)
            some = replace(some, cols=some.cols - n, shape=(cells.shape[0], cells.shape[1] - n))
            new = self.side(by_row(some, by_col=True, first=n), rows, cols, ridges[1], first=n)
            cols = cols.followed_by(new, col_ids)
        return rows, cols
