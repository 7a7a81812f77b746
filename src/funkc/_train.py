"""THE epoch loop: signals, callback, back-off, history."""

from __future__ import annotations

import logging
import math
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from funkc import _shards
from funkc._errors import DivergedError
from funkc._isa import engine
from funkc._schedule import padded

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from funkc._schedule import Schedule
    from funkc._validate import History, Options

# Design
# a. The core works through spans of steps (a step is one block of one epoch) without the
#    GIL.  A span is sized by the clock to about CALL_SECONDS; between spans the interpreter
#    runs, and with it signal handlers and other threads.  The cut into spans leaves no
#    trace in the factors.
# b. A copy of the factors is kept from before epochs 0, 1, 2, 4, 8, ..., which costs a few
#    copies in all.  An epoch that diverged goes back to the newest copy with half the rate.
# c. Rate and regularization act on the values as given; only their defaults know the
#    deviation, which makes the defaults follow any shift and scale of the values.

log = logging.getLogger("funkc")

CALL_SECONDS = 0.05
MOST_HALVINGS = 10
# An epoch has diverged when its errors are larger than this times those of the offset alone.
DIVERGED_RATIO = 2.0


@dataclass(frozen=True)
class Settings:
    """What the defaults came to."""

    learning_rate: float
    regularization: tuple[float, float]
    n_epochs: int


def settle(schedule: Schedule, options: Options) -> Settings:
    """Defaults from the data: the deviation of the values and the number of cells.

    The rates of all epochs add up to about 0.3 / deviation.  Small problems need longer to
    settle and cost nothing, so both the sum and the number of epochs grow as the number of
    cells falls below 100,000.
    """
    longer = max(1.0, (1e5 / schedule.n_cells) ** (1 / 3))
    n_epochs = options.n_epochs or math.ceil(20 * longer)
    rate = options.learning_rate
    if rate is None:
        rate = 0.6 * longer / (n_epochs * schedule.deviation)
    regularization = options.regularization or (0.03 * schedule.deviation,) * 2
    return Settings(rate, regularization, n_epochs)


def aligned(rows: int, width: int, dtype: np.dtype[Any]) -> NDArray[Any]:
    """An array whose rows begin on cache lines."""
    size = rows * width * dtype.itemsize
    raw = np.empty(size + 64, np.uint8)
    start = -raw.ctypes.data % 64
    return raw[start : start + size].view(dtype).reshape(rows, width)


class Training:
    """Factors on their way: made, trained span by span, and taken out."""

    def __init__(self, schedule: Schedule, options: Options) -> None:
        self.schedule = schedule
        self.options = options
        self.settings = settle(schedule, options)
        width = padded(options.k)
        self.x = aligned(schedule.n_rows, width, options.dtype)
        self.y = aligned(schedule.n_cols, width, options.dtype)
        _shards.start(schedule.plan, self.x, self.y, options.k, options.seed, options.n_threads)
        self.history: History = {
            "epoch": [],
            "train_rmse": [],
            "learning_rate": [],
            "seconds": [],
        }
        self._sums = np.zeros(schedule.n_blocks)
        self._squares = np.zeros(self.settings.n_epochs)
        self._halvings = 0
        self._kept: tuple[int, NDArray[Any], NDArray[Any]] = (0, self.x, self.y)
        self._keep(0)

    def factors(self) -> tuple[NDArray[Any], NDArray[Any]]:
        """The factors as they stand, in the caller's order."""
        row_factors = np.empty((self.schedule.n_rows, self.options.k), self.options.dtype)
        col_factors = np.empty((self.schedule.n_cols, self.options.k), self.options.dtype)
        finite = _shards.take_out(self.schedule.plan, False, self.x, row_factors)
        if not (_shards.take_out(self.schedule.plan, True, self.y, col_factors) and finite):
            raise DivergedError(len(self.history["epoch"]), float(self._rates()[-1]))
        return row_factors, col_factors

    def run(self, after_epoch: Callable[[Training], object] | None = None) -> str:
        """Train to the end; what stopped it.  `after_epoch` returns True to stop it."""
        try:
            return self._run(after_epoch)
        except KeyboardInterrupt:
            if self.options.on_interrupt == "raise":
                raise
            return "interrupt"

    def _run(self, after_epoch: Callable[[Training], object] | None) -> str:
        blocks = self.schedule.n_blocks
        last = self.settings.n_epochs * blocks
        limit = DIVERGED_RATIO**2 * self.schedule.zero_model_squares
        rates = self._rates()
        step, span = 0, self._first_span()
        started = time.perf_counter()
        before = 0.0
        while step < last:
            stop = min(last, self._whole_waves(step, span), self._next_copy(step))
            if after_epoch is not None:
                stop = min(stop, (step // blocks + 1) * blocks)
            reached = engine.advance(
                self.schedule.plan,
                self.x,
                self.y,
                step,
                stop,
                rates,
                *self.settings.regularization,
                self.options.group_size,
                self.options.n_threads,
                self._sums,
                self._squares,
                limit,
            )
            now = time.perf_counter() - started
            span = max(1, min(4 * span, int(span * CALL_SECONDS / max(now - before, 1e-9))))
            epoch = reached // blocks
            bad = epoch > step // blocks and not self._squares[epoch - 1] <= limit
            self._record(step // blocks, epoch - bad, before, now, rates)
            before, step = now, reached
            if bad:
                step = self._back_off(epoch, rates) * blocks
                rates = self._rates()
                continue
            if step % blocks:
                continue
            if epoch & (epoch - 1) == 0:
                self._keep(epoch)
            if after_epoch is not None and after_epoch(self) is True:
                return "callback"
        return "epochs"

    def _rates(self) -> NDArray[np.float64]:
        """The rate of every epoch: falling to 0 in equal steps, or constant."""
        n = self.settings.n_epochs
        left = 1 - np.arange(n) / n if self.options.decay == "linear" else np.ones(n)
        return self.settings.learning_rate * 0.5**self._halvings * left

    def _first_span(self) -> int:
        """Steps that take well under CALL_SECONDS on any machine."""
        work = self.schedule.n_cells * padded(self.options.k) / self.schedule.n_blocks
        return max(1, int(1e7 / work))

    def _whole_waves(self, step: int, span: int) -> int:
        """Where a span ends: with a wave if it is long enough, else with every thread busy."""
        bands = self.schedule.n_bands
        if span >= bands:
            return (step + span) // bands * bands
        threads = self.options.n_threads
        return min(step + -(-span // threads) * threads, (step // bands + 1) * bands)

    def _next_copy(self, step: int) -> int:
        """The first step of the next epoch before which the factors are copied."""
        epoch = step // self.schedule.n_blocks
        return (1 << epoch.bit_length()) * self.schedule.n_blocks

    def _keep(self, epoch: int) -> None:
        self._kept = (epoch, self.x.copy(), self.y.copy())

    def _back_off(self, epoch: int, rates: NDArray[np.float64]) -> int:
        """Return to the copy and halve the rate; the number of epochs behind the copy."""
        rate = float(rates[epoch - 1])
        if self._halvings == MOST_HALVINGS:
            raise DivergedError(epoch, rate)
        self._halvings += 1
        kept, x, y = self._kept
        self.x[:], self.y[:] = x, y
        for column in self.history.values():
            del column[kept:]
        log.info(
            "epoch %d diverged at a learning rate of %.3g: going on from epoch %d at half of it",
            epoch,
            rate,
            kept,
        )
        return kept

    def _record(
        self, first: int, last: int, before: float, now: float, rates: NDArray[np.float64]
    ) -> None:
        """History of the epochs that a call finished; they share its time equally."""
        for epoch in range(first, last):
            share = (epoch + 1 - first) / (last - first)
            self.history["epoch"].append(epoch + 1)
            self.history["train_rmse"].append(
                math.sqrt(self._squares[epoch] / self.schedule.n_cells)
            )
            self.history["learning_rate"].append(float(rates[epoch]))
            self.history["seconds"].append(before + share * (now - before))
