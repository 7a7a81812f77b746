"""Held-out entries while factors are trained: their loss, and the best factors so far."""

from __future__ import annotations

import itertools
import math
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from funkc._core import newton, serve
from funkc._core import plan as core_plan
from funkc._errors import CELLS_CHANGED, raise_for_status

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from funkc._input.cells import Cells
    from funkc._input.loss import Loss
    from funkc._schedule import Schedule

    Bases = tuple[NDArray[Any], NDArray[Any]]


PART = 4096  # held-out entries that a thread takes at once


class Best(NamedTuple):
    """The factors of the best epoch."""

    loss: float
    epoch: int
    x: NDArray[Any]
    y: NDArray[Any]
    stage: int
    biases: tuple[float, NDArray[Any], NDArray[Any]] | None


class Validation:
    """The mean loss of held-out entries, and the best factors so far."""

    def __init__(self, schedule: Schedule, cells: Cells, n_threads: int, loss: Loss) -> None:
        n = cells.rows.size
        self._rows, self._cols = np.empty(n, np.int64), np.empty(n, np.int64)
        inside = core_plan.positions(schedule.plan, False, cells.rows, self._rows)
        if not (core_plan.positions(schedule.plan, True, cells.cols, self._cols) and inside):
            raise_for_status(CELLS_CHANGED)
        # In the order of training, so that the order of listing leaves no trace.
        order = np.lexsort((self._cols, self._rows))
        self._rows, self._cols = self._rows[order], self._cols[order]
        self._targets = cells.values[order].astype(np.float64) - schedule.offset
        # Added up part by part, and then band by band of rows, as machines would do it that have
        # some of the bands each.
        ends = np.searchsorted(self._rows, core_plan.band_ends(schedule.plan)).tolist()
        bands = [range(*both) for both in itertools.pairwise([0, *ends])]
        parts = [[*band[PART::PART], band.stop] for band in bands]
        self._ends = np.array([end for part in parts for end in part])
        self._sums = np.empty(self._ends.size)
        self._parts = [len(part) for part in parts]
        self._n_threads = n_threads
        self._loss, self.delta = loss, loss.delta
        self.best: Best | None = None

    def contents(self) -> list[NDArray[Any]]:
        """The held-out entries."""
        return [self._rows, self._cols, self._targets]

    def loss(self, x: NDArray[Any], y: NDArray[Any], bases: Bases) -> float:
        """The mean loss of the products and the bases."""
        if not self._loss.squared:
            errors = self.errors(x, y, bases)
            return math.fsum(errors * errors) / errors.size
        targets = self._left(bases)
        serve.squared_errors(
            x, y, self._rows, self._cols, targets, self._ends, self._sums, self._n_threads
        )
        total, sums = 0.0, iter(self._sums.tolist())
        for n in self._parts:
            of_band = 0.0
            for square in itertools.islice(sums, n):
                of_band += square
            total += of_band
        return total / targets.size

    def errors(self, x: NDArray[Any], y: NDArray[Any], bases: Bases) -> NDArray[np.float64]:
        """The error of every entry, or the root of its loss."""
        made = np.empty(self._targets.size, x.dtype)
        status = serve.predict(x, y, self._rows, self._cols, made, 0.0, self._n_threads)
        raise_for_status(status, purpose="to validate")
        return self._errors_beside(made.astype(np.float64), bases)

    def _errors_beside(self, made: NDArray[np.float64], bases: Bases) -> NDArray[np.float64]:
        """Of entries to which products give so much."""
        left = self._left(bases)
        if self._loss.squared:
            return left - made
        scores = made + (self._targets - left)
        newton.costs(self._loss.kind, self.delta, self._targets, scores, scores)
        return np.sqrt(np.maximum(scores, 0.0))

    def _left(self, bases: Bases) -> NDArray[np.float64]:
        """The targets of the products."""
        rows, cols = bases
        if not rows.size:
            return self._targets
        return self._targets - (rows[self._rows].astype(np.float64) + cols[self._cols])

    def loss_of_bases(self, bases: Bases) -> float:
        """The mean loss of the bases alone."""
        errors = self._errors_beside(np.zeros(self._targets.size), bases)
        return math.fsum(errors * errors) / errors.size

    def loss_of_level(self, level: float) -> float:
        """The mean loss of a constant above the offset."""
        nothing = np.empty(0)
        errors = self._errors_beside(np.full(self._targets.size, level), (nothing, nothing))
        return math.fsum(errors * errors) / errors.size
