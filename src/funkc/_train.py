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
# b. When an epoch diverges, training begins again from the start factors at half the rate.
#    A copy of the last good epoch would cost memory and time in every fit, and saves
#    little: divergence shows early, and the state just before it is bad already.
# c. Rate and regularization act on the values as given; only their defaults know the
#    deviation, which makes the defaults follow any shift and scale of the values.

log = logging.getLogger("funkc")

CALL_SECONDS = 0.05
EPOCHS_AT_ONCE = 1024
MOST_HALVINGS = 10
# An epoch has diverged when its errors are larger than this times those of the offset alone.
DIVERGED_RATIO = 2.0
HIGHEST_RATE = 0.12


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
    cells falls below 100,000.  No rate is above what eight cells at once bear: the factors
    begin with squared lengths of about the level of the values above the offset.
    """
    longer = max(1.0, (1e5 / schedule.n_cells) ** (1 / 3))
    n_epochs = options.n_epochs or math.ceil(20 * longer)
    rate = options.learning_rate
    if rate is None:
        level = max(2 * schedule.deviation, abs(schedule.mean - schedule.offset))
        rate = min(
            0.6 * longer / (n_epochs * schedule.deviation),
            HIGHEST_RATE / level,
            float(np.finfo(options.dtype).max) / 4,  # values that differ by denormals only
        )
    regularization = options.regularization or (0.03 * schedule.deviation,) * 2
    return Settings(rate, regularization, n_epochs)


def _is_true(answer: object) -> bool:
    """Python's True or NumPy's, and nothing that merely counts as true."""
    return isinstance(answer, (bool, np.bool_)) and bool(answer)


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
        self.history: History = {
            "epoch": [],
            "train_rmse": [],
            "learning_rate": [],
            "seconds": [],
        }
        self._sums = np.zeros(schedule.n_blocks)
        self._squares = np.zeros(EPOCHS_AT_ONCE)
        self._bands_done = np.zeros(2 * schedule.n_bands, np.int64)
        self._halvings = 0
        self._start()

    def _start(self) -> None:
        """Put the start factors in place, and empty the history."""
        o = self.options
        _shards.start(self.schedule.plan, self.x, self.y, o.k, o.seed, o.n_threads)
        for column in self.history.values():
            column.clear()

    def factors(self) -> tuple[NDArray[Any], NDArray[Any]]:
        """The factors as they stand, in the caller's order."""
        row_factors = np.empty((self.schedule.n_rows, self.options.k), self.options.dtype)
        col_factors = np.empty((self.schedule.n_cols, self.options.k), self.options.dtype)
        finite = _shards.take_out(self.schedule.plan, False, self.x, row_factors)
        if not (_shards.take_out(self.schedule.plan, True, self.y, col_factors) and finite):
            raise DivergedError(len(self.history["epoch"]), self.history["learning_rate"][-1])
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
        at_once = EPOCHS_AT_ONCE if after_epoch is None else 1
        step, span = 0, self._first_span()
        started = time.perf_counter()
        before = 0.0
        while step < last:
            epoch = step // blocks
            stop = min(last, self._whole_waves(step, span), (epoch + at_once) * blocks)
            reached = self._advance(step, stop, limit)
            now = time.perf_counter() - started
            spent = max(now - before, 1e-9)
            span = min(last, 4 * span, max(1, int(span * CALL_SECONDS / spent)))
            done = reached // blocks - epoch  # epochs that ended in this call
            bad = done and not self._squares[done - 1] <= limit
            self._record(epoch, done, before, now)
            before, step = now, reached
            if bad:
                self._back_off(epoch + done)
                step = 0
            elif after_epoch is not None and done and _is_true(after_epoch(self)):
                return "callback"
        return "epochs"

    def _advance(self, first: int, last: int, limit: float) -> int:
        reached: int = engine.advance(
            self.schedule.plan,
            self.x,
            self.y,
            first,
            last,
            *self._rates(),
            *self.settings.regularization,
            self.options.group_size,
            self.options.n_threads,
            self._sums,
            self._squares,
            self._bands_done,
            limit,
        )
        return reached

    def _rates(self) -> tuple[float, int, bool]:
        """What the core makes the rate of every epoch of."""
        rate = self.settings.learning_rate * 0.5**self._halvings
        return rate, self.settings.n_epochs, self.options.decay == "linear"

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

    def _back_off(self, epoch: int) -> None:
        """Begin again at half the rate."""
        rate = self.history["learning_rate"][-1]
        if self._halvings == MOST_HALVINGS:
            raise DivergedError(epoch, rate)
        self._halvings += 1
        log.info("epoch %d diverged at a learning rate of %.3g; it is halved", epoch, rate)
        self._start()

    def _record(self, first: int, done: int, before: float, now: float) -> None:
        """History of the epochs that ended in a call; they share its time equally."""
        for nth in range(done):
            squares = float(self._squares[nth])
            self.history["epoch"].append(first + nth + 1)
            self.history["train_rmse"].append(math.sqrt(squares / self.schedule.n_cells))
            self.history["learning_rate"].append(engine.learning_rate(first + nth, *self._rates()))
            self.history["seconds"].append(before + (nth + 1) / done * (now - before))
