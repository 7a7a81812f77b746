"""Level and biases of rows and columns while factors are trained, in the order of training."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from funkc._core import biases as core
from funkc._core import newton
from funkc._core import plan as core_plan
from funkc._input.loss import Loss

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from funkc._schedule import Schedule

    Factors = tuple[NDArray[Any], NDArray[Any]]


class Fitted(NamedTuple):
    """What biases come to."""

    level: float  # above the plan's offset
    deviation: float  # of the targets
    left: float  # root mean square of what the biases leave
    row_ridge: float
    col_ridge: float
    sign: float
    rows_seen: int
    cols_seen: int
    cost: float  # mean loss of what the biases leave
    curvature: float  # of the loss, on average
    dispersion: float  # squares of pulls, by curvature


class Biases:
    """A level above the plan's offset, and biases of rows and columns; `alone`, a level only."""

    def __init__(
        self,
        schedule: Schedule,
        dtype: np.dtype[Any],
        n_threads: int,
        loss: Loss,
        *,
        alone: bool = False,
        ridges: tuple[float, float] | None = None,
    ) -> None:
        self.level = 0.0
        self.rows, self.cols = np.zeros(schedule.n_rows), np.zeros(schedule.n_cols)
        self.delta = loss.delta  # what the core is told
        # What the losses of the core lack.
        self.least = 0.0 if loss.squared else newton.least(schedule.plan, loss.kind)
        self.scale = newton.scale(schedule.plan, loss.kind)  # what is tiny against it is rounding
        self._n_cells, self._deviation = schedule.n_cells, schedule.deviation
        self._ridges = ridges  # in entries, as they were asked for
        self._plan, self._dtype, self._loss = schedule.plan, dtype, loss
        self._core = core if loss.squared else newton
        self._room = np.empty(self._core.room(schedule.plan))
        basics = schedule.plan, self.rows, self.cols, self._room, n_threads
        self._work: Any = (
            core.Work(*basics) if loss.squared else newton.Work(*basics, loss.kind, 0.0, alone)
        )
        self.fitted = Fitted(0.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0, 0, 0.0, 1.0, 0.0)

    def settle_loss(self, heed: Callable[[], object]) -> None:
        """Find what of the loss depends on the values."""
        if not self._loss.robust:
            return
        spread = self.spread() or self._deviation
        self.scale = spread
        self._work.set_scale(spread)
        self._work.set_loss(Loss("absolute").kind, newton.bend * spread)
        if self._loss.name == "huber":
            if math.isnan(self.delta):
                self._turn(math.nan, heed)
                self.delta = max(newton.usual_delta * self.spread(), 2.0**-19 * spread)
            self._work.set_loss(self._loss.kind, self.delta)

    def spread(self) -> float:
        """The robust standard deviation of errors; not of the squared loss."""
        found: float = self._work.spread()
        return found

    def usual_loss(self) -> float:
        """What entries cost now, and no less than rounding would; not of the squared loss."""
        found: float = newton.usual(self._loss.kind, self.scale, self.mean_loss())
        return found

    def mean_loss(self) -> float:
        """The mean loss now."""
        return max(self.fitted.cost + self.least / self._n_cells, 0.0)

    def judge(self, factors: Factors) -> None:
        """Find what they leave, as they are; not of the squared loss."""
        self._work.beside(*factors)
        self._work.set_level(self.level)
        self._work.begin_again(math.nan, False)
        self._work.end_again()
        self._settle()

    def size(self) -> float:
        """How large losses are, wild values left aside; not of the squared loss."""
        return self.spread() if self._loss.robust else math.sqrt(self.mean_loss())

    def fit(self, held: float, factors: Factors | None, heed: Callable[[], object]) -> None:
        """Fit them to the entries, or to what products of factors leave, by empirical Bayes."""
        if factors is not None:
            self._work.beside(*factors)
            if not self._loss.squared:
                self._work.set_level(self.level)
        self._turn(held, heed)

    def _turn(self, held: float, heed: Callable[[], object]) -> None:
        self._work.begin(held)
        for _ in range(self._core.most_turns):
            heed()
            if not self._work.turn():
                break
        self._work.end()
        self._settle()
        if self._ridges is not None:
            self._draw_to_0(held, heed)

    def _draw_to_0(self, held: float, heed: Callable[[], object]) -> None:
        """By the ridges that were asked for; what else was found stays."""
        assert self._ridges is not None
        found = self.fitted
        row_ridge, col_ridge = (ridge * found.curvature for ridge in self._ridges)
        self._work.begin_again(held, False)
        for _ in range(self._core.most_turns):
            heed()
            self._work.turn_again(row_ridge, col_ridge)
        self._work.end_again()
        self._settle()
        self.fitted = self.fitted._replace(
            deviation=found.deviation, sign=found.sign, row_ridge=row_ridge, col_ridge=col_ridge
        )

    def refit(
        self,
        held: float,
        factors: Factors,
        ridges: tuple[float, float],
        heed: Callable[[], object],
        *,
        from_there: bool = False,
    ) -> None:
        """Fit them to what products of factors leave, by given ridges towards 0, or with
        `from_there` towards what they are; those without entries stay.
        """
        self._work.beside(*factors)
        if not self._loss.squared:
            self._work.set_level(self.level)
        self._work.begin_again(held, from_there)
        for _ in range(self._core.refit_turns):
            heed()
            self._work.turn_again(*ridges)
        self._work.end_again()
        self._settle()

    def _settle(self) -> None:
        self.fitted = Fitted(*self._work.fitted)
        self.level = self.fitted.level

    @property
    def counts(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """The sum of the weights of every row and of every column; of another loss than the squared
        one, times the second derivatives, since these are what an error counts by.
        """
        m, n = self.rows.size, self.cols.size
        return self._room[m : 2 * m], self._room[3 * m + n : 3 * m + 2 * n]

    def state(self) -> tuple[float, NDArray[Any], NDArray[Any]]:
        """A copy of level and biases."""
        return self.level, self.rows.copy(), self.cols.copy()

    def put(self, state: tuple[float, NDArray[Any], NDArray[Any]]) -> None:
        """Set level and biases."""
        self.level, self.rows[:], self.cols[:] = state

    def bases(self) -> tuple[NDArray[Any], NDArray[Any]]:
        """What is taken from a target apart from the product: numbers of rows and of columns."""
        return self._rounded(self.rows, self.level), self._rounded(self.cols, 0.0)

    def _rounded(self, numbers: NDArray[Any], level: float) -> NDArray[Any]:
        out = np.empty(numbers.size, self._dtype)
        core.rounded(numbers, level, out)
        return out

    def given(self, of_rows: NDArray[Any], of_cols: NDArray[Any]) -> None:
        """Set the biases to those of the caller's rows and columns."""
        for columns, mine, theirs in ((False, self.rows, of_rows), (True, self.cols, of_cols)):
            out = np.empty((mine.size, 1), self._dtype)
            core_plan.put_in(self._plan, columns, theirs.astype(self._dtype)[:, None], out)
            mine[:] = out[:, 0]

    def taken(self, columns: bool) -> NDArray[Any]:
        """The biases of the caller's rows or columns."""
        mine = self._rounded(self.cols if columns else self.rows, 0.0)[:, None]
        out = np.empty_like(mine)
        core_plan.take_out(self._plan, columns, mine, 1, out, 0, len(mine))
        return out[:, 0]

    def errors(self, schedule: Schedule, factors: Factors) -> NDArray[np.float64]:
        """The error of every entry of a plan, or the root of its loss, times that of its weight,
        in the plan's order.
        """
        out = np.empty(schedule.n_cells)
        at = *factors, self.rows, self.cols, self.level
        core.errors(schedule.plan, self._loss.kind, self.delta, *at, out)
        return out
