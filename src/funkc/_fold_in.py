"""Factors of new rows or columns, computed with those of the other side fixed.

By default a new row comes from the distribution of the known ones, whose mean and covariance are
estimated from them (empirical Bayes; Efron and Morris, "Data analysis using Stein's estimator and
its generalizations", 1975): z = (factors, bias) ~ N(z̄, C), with entries of the variance noise²
about their predictions.  The most probable z minimizes the squared errors + noise² (z - z̄)ᵀ C⁻¹
(z - z̄).  C gets 1e-6 of the mean variance of the factors on their diagonal, and of that of the
bias on its own; below 2 k rows it is diagonal; and where
all rows are equal, a new one is too.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from funkc._core import newton, serve
from funkc._errors import MORE, raise_for_status, reject
from funkc._input.cells import by_row
from funkc._input.scalars import require_memory
from funkc._schedule import parts
from funkc._sides import Side

if TYPE_CHECKING:
    from funkc._input.cells import Cells, CellsByRow
    from funkc._input.ids import Ids
    from funkc._input.loss import Loss


@dataclass(frozen=True)
class Fitting:
    """The settings by which new rows and columns of a factorization are fitted."""

    offset: float
    noise: float | None
    nonnegative: bool
    n_threads: int
    loss: Loss

    def side(
        self,
        cells: CellsByRow,
        fixed: Side,
        looked_for: Side,
        ridge: float | None = None,
        *,
        ids: Ids | None = None,
        first: int = 0,
    ) -> Side:
        """Fit rows (or columns) to the fixed side, by a ridge for each of their entries or by the
        prior of the looked for; errors count them from `first`.
        """
        n, k = cells.first.size - 1, fixed.factors.shape[1]
        biased = fixed.bias is not None
        size = k + biased
        require_memory(
            8 * (self.n_threads + 3) * (size + 22) ** 2,
            f"systems of {size} equations on {self.n_threads} threads",
            "lower k, or set n_threads = 1",
        )
        prior = np.empty((0, 0))
        if ridge is None:
            if self.noise is None:
                reject(
                    "noise",
                    "is unknown, but new rows and columns need it",
                    "set fit.noise to the RMSE of the training (to fold in, regularization= will "
                    "do)",
                )
            prior = looked_for.precision(self.n_threads)
            ridge = self.noise * self.noise if prior.size else math.inf
        given = np.flatnonzero(np.diff(cells.first))
        begins = np.append(cells.first[given], cells.first[-1:])
        out = np.zeros((given.size, fixed.ready.shape[1]), fixed.factors.dtype)
        most = int(np.diff(cells.first).max(initial=0))
        delta = newton.delta_of_new_rows(self.loss.kind, self.loss.delta, self.noise or 0.0)
        for some in parts(given.size, (most + size) * size * size, self.n_threads):
            now = np.tile(looked_for.mean, (some.stop - some.start, 1))
            steps = np.zeros(len(now), np.intc)
            status = MORE
            while status == MORE:
                status = serve.fold_in(
                    fixed.ready, k, fixed.bias_at, self.offset,
                    begins[some.start : some.stop + 1], cells.cols, cells.values,
                    cells.weights, looked_for.mean, prior, ridge, self.nonnegative, self.loss.kind,
                    delta, now, steps, out[some], self.n_threads,
                )  # fmt: skip
            raise_for_status(status)
        finite = np.isfinite(out).all(axis=1)
        if not finite.all():
            what = "row" if looked_for.first else "column"
            reject(
                "values",
                f"the factors of {what} {first + given[np.argmin(finite)]} exceed the range of "
                f"{out.dtype}",
                "divide the values by a constant, or raise regularization",
            )
        if given.size < n:  # a row without entries is the mean row
            solved, out = out, np.empty((n, out.shape[1]), out.dtype)
            out[:] = looked_for.taken(np.array([-1]))
            out[given] = solved
        made = Side.of_ready(out, k, ids, biased=biased, first=looked_for.first)
        made.n_seen = given.size
        return made

    def grouped(self, cells: Cells, fixed: Side, *, by_col: bool, first: int = 0) -> CellsByRow:
        """The entries by row (or column), of which there may be so many: an id that was taken for
        an index asks for billions.
        """
        n = cells.shape[by_col]
        require_memory(
            n * (fixed.ready.shape[1] * fixed.factors.dtype.itemsize + 40),
            f"the factors of {n:,} rows or columns",
            "number only those that occur; of ids make Ratings with Ratings.from_arrays",
        )
        return by_row(cells, by_col=by_col, first=first)

    def grown(self, rows: Side, cols: Side, cells: Cells) -> tuple[Side, Side]:
        """Both sides, extended by the rows, and then by the columns, that are new in `cells`."""
        (m, n), (row_ids, col_ids) = (len(rows.factors), len(cols.factors)), cells.ids
        if cells.shape != (m, n):
            cells = cells.listed()
        if cells.shape[0] > m:
            some = cells.part((cells.rows >= m) & (cells.cols < n))
            some = replace(some, rows=some.rows - m, shape=(cells.shape[0] - m, n))
            grouped = self.grouped(some, cols, by_col=False, first=m)
            new = self.side(grouped, cols, rows, first=m)
            rows = rows.followed_by(new, row_ids)
        if cells.shape[1] > n:
            some = cells.part(cells.cols >= n)
            some = replace(some, cols=some.cols - n, shape=(cells.shape[0], cells.shape[1] - n))
            grouped = self.grouped(some, rows, by_col=True, first=n)
            new = self.side(grouped, rows, cols, first=n)
            cols = cols.followed_by(new, col_ids)
        return rows, cols
