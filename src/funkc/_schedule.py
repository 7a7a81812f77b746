"""Describes and checks a plan of the core: waves of blocks that share no row and no column."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from funkc._core import newton
from funkc._core import plan as core_plan
from funkc._errors import CELLS_CHANGED, MORE, raise_for_status, reject
from funkc._input.loss import require_allowed
from funkc._input.scalars import require_memory

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from funkc._input.cells import Cells
    from funkc._input.options import Options

# Level, deviation, rows and columns that have entries, curvature of the loss.
Outset = tuple[float, float, int, int, float]

# Rounding of predictions, in standard deviations, from which on double precision is chosen, and
# from which on single precision is refused.
COARSE, USELESS = 2.0**-8, 0.25
# From which on single precision can't tell what a count costs.
LARGE_COUNT = 1e5
# Robust standard deviations from the median, from which on the mean is wild.
WILD_MEAN = 8
MULTIPLICATIONS_AT_ONCE = 1 << 26
BYTES_OF_ENTRY = 8  # in a plan, and while it is made
LANES = 16  # a factor row is padded with zeros to a multiple of it (lanes.h)


def padded(k: int) -> int:
    """The length of a factor row in training."""
    return -(-k // LANES) * LANES


def most_of(dtype: np.dtype[Any]) -> float:
    """The largest size of values."""
    return min(float(np.finfo(dtype).max) / 4, 1e150)  # whose square is a double


def parts(n: int, work: int, n_threads: int, together: int = 1) -> Iterator[slice]:
    """Rows of so many multiplications each, in parts between which signals are handled; every
    thread is busy for less than a tenth of a second.  So many rows are worked on together, unless
    that takes four times as long.
    """
    most = MULTIPLICATIONS_AT_ONCE // max(1, work)
    size = max(1, most, min(together, 4 * most)) * n_threads
    return (slice(first, min(n, first + size)) for first in range(0, n, size))


def aligned(rows: int, width: int, dtype: np.dtype[Any]) -> NDArray[Any]:
    """An array whose rows begin on cache lines."""
    size = rows * width * dtype.itemsize
    raw = np.empty(size + 64, np.uint8)
    start = -raw.ctypes.data % 64
    return raw[start : start + size].view(dtype).reshape(rows, width)


@dataclass(frozen=True)
class Schedule:
    """A plan of the core, and its numbers."""

    plan: Any  # the capsule
    n_cells: int
    n_bands: int  # of columns: the blocks of a wave
    n_row_bands: int
    n_blocks: int
    mean: float
    deviation: float  # of constant values: 2**-20 of their size, or 1
    offset: float
    n_rows: int
    n_cols: int
    low: float
    high: float
    constant: bool  # but for rounding of the values

    @classmethod
    def of(cls, plan: Any) -> Schedule:
        """With the numbers that the core gives."""
        numbers = core_plan.describe(plan)
        known = {field.name for field in fields(cls)} & numbers.keys()
        return cls(plan=plan, **{name: numbers[name] for name in known})

    @property
    def zero_model_squares(self) -> float:
        """The sum of squared errors of predicting the offset everywhere."""
        return self.n_cells * (self.deviation**2 + (self.mean - self.offset) ** 2)

    @property
    def rounding(self) -> float:
        """What single precision rounds predictions by, in standard deviations."""
        size = max(abs(self.low), abs(self.high), abs(self.offset))
        return 0.0 if self.constant else 2.0**-23 * size / self.deviation

    def middle(self) -> tuple[float, float]:
        """The median of values, and their robust standard deviation, which may be 0."""
        status, middle, spread = newton.middle(self.plan)
        raise_for_status(status, purpose="to find the median")
        return middle + self.offset, spread

    def cells(self) -> dict[str, NDArray[Any]]:
        """Every entry in training order, for checks and plots.

        `row` and `col` are positions in that order; `row_position` and `col_position` are
        those of the caller's rows and columns.
        """
        out: dict[str, NDArray[Any]] = {
            name: np.empty(self.n_cells, np.int64) for name in ("block", "row", "col")
        }
        out["target"] = np.empty(self.n_cells, np.float64)
        out["row_position"] = np.empty(self.n_rows, np.int64)
        out["col_position"] = np.empty(self.n_cols, np.int64)
        core_plan.unpack(self.plan, *out.values())
        return out

    def check(self) -> None:
        """Assert that no locks are needed; O(entries), for tests."""
        cells = self.cells()
        assert np.all(np.diff(cells["block"]) >= 0)
        assert np.array_equal(np.sort(cells["row_position"]), np.arange(self.n_rows))
        assert np.array_equal(np.sort(cells["col_position"]), np.arange(self.n_cols))
        wave = cells["block"] // self.n_bands
        for side in ("row", "col"):
            pairs = wave * max(self.n_rows, self.n_cols) + cells[side]
            owners = np.unique(pairs * self.n_blocks + cells["block"])
            assert owners.size == np.unique(pairs).size, f"two blocks of a wave share a {side}"


def cut(problem: Cells, options: Options, offset: float = math.nan) -> Schedule:
    """Cut the entries into waves of blocks; values are held above an offset, of which the options
    come first.
    """
    copies = 1 if options.members == 1 else 1 + options.members
    row = options.dtype.itemsize * (copies * padded(options.k) + options.k) + 24
    require_memory(
        sum(problem.shape) * row + BYTES_OF_ENTRY * problem.n_stored,
        f"factors of k = {options.k} for shape {problem.shape}",
        "lower k, or number only the rows and columns that occur",
    )
    status, begun = core_plan.begin(
        problem.source(),
        padded(options.k),
        options.dtype == np.float64,
        most_of(options.dtype),
        options.seed,
        0.0 if options.loss.linked else offset if math.isnan(options.offset) else options.offset,
        0.0 if options.leveled else 2.0,
        problem.row_cuts,
        problem.col_cuts,
        *(options.bands or (0, 0)),
        options.n_threads,
    )
    raise_for_status(status)
    status, plan, where = core_plan.go_on(begun)
    while status == MORE:  # signals are served in between
        status, plan, where = core_plan.go_on(begun)
    if isinstance(where, int):  # a cell that was sound when it was checked
        status, where = CELLS_CHANGED, None
    raise_for_status(status, where)
    return Schedule.of(plan)


def suited(problem: Cells, options: Options, *, whole: bool) -> tuple[Schedule, np.dtype[Any]]:
    """A cut that the values suit, and the dtype that suits them; with `whole`, they are all that
    there are.
    """
    schedule = cut(problem, options)
    if options.dtype == np.float32 and whole:
        if not options.dtype_is_default and schedule.rounding > USELESS:
            size = max(abs(schedule.low), abs(schedule.high), abs(schedule.offset))
            reject(
                "dtype",
                f"got float32, which can't tell predictions apart: values of up to {size:.6g} "
                f"have a standard deviation of {schedule.deviation:.3g}",
                "pass dtype=numpy.float64, or subtract a constant from the values",
            )
        counts = options.loss.name == "poisson" and schedule.high > LARGE_COUNT
        if options.dtype_is_default and (schedule.rounding > COARSE or counts):
            options = replace(options, dtype=np.dtype(np.float64))
            schedule = cut(problem, options)
    if options.loss.robust and math.isnan(options.offset):
        for _ in range(3):  # as the first median may be rounded
            middle, spread = schedule.middle()
            if abs(schedule.offset - middle) <= WILD_MEAN * spread:
                break
            # Against such an offset, the values of interest would be rounded away.
            schedule = cut(problem, options, middle)
    require_allowed(schedule.plan, options.loss)
    return schedule, options.dtype


@dataclass(frozen=True)
class Settings:
    """The settings including defaults."""

    learning_rate: float
    regularization: tuple[float, float]
    n_epochs: int


def settle(schedule: Schedule, options: Options, outset: Outset) -> Settings:
    """The defaults, chosen by the core, so that other callers get them too."""
    rows, cols = options.regularization or (-1.0, -1.0)
    rate, row_regularization, col_regularization, n_epochs = core_plan.settle(
        schedule.plan, outset, options.learning_rate or 0.0, rows, cols, options.n_epochs or 0
    )
    return Settings(rate, (row_regularization, col_regularization), n_epochs)
