"""THE epoch loop: signals, callback, back-off, history."""

from __future__ import annotations

import logging
import math
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from funkc._core import engine, serve
from funkc._core import plan as core_plan
from funkc._errors import CELLS_CHANGED, DivergedError, raise_for_status, reject
from funkc._input import scalars
from funkc._schedule import cut, row_width, with_bias

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    from funkc._input.cells import Cells
    from funkc._input.options import History, Options, Start
    from funkc._schedule import Schedule

# Design
# a. The core works through spans of steps (a step is one block of one epoch) without the
#    GIL.  A span is sized by the clock to about CALL_SECONDS; between spans the interpreter
#    runs, and with it signal handlers and other threads.  The cut into spans leaves no
#    trace in the factors.
# b. When an epoch diverges, training begins again from the start factors at half the rate.
#    A copy of the last good epoch would cost memory and time in every fit, and saves
#    little: divergence shows early, and the state just before it is bad already.
# c. Learning rate and regularization act on the values as given; only their defaults depend on
#    the standard deviation, so that they suit any shift and scale of the values.

log = logging.getLogger("funkc")

CALL_SECONDS = 0.05
ROW_NUMBERS_AT_ONCE = 1 << 21
EPOCHS_AT_ONCE = 1024
MOST_HALVINGS = 10
SIDES = ("row_factors", "col_factors")
# An epoch has diverged when its errors are larger than this times those of the offset alone.
DIVERGED_RATIO = 2.0


@dataclass(frozen=True)
class Settings:
    """The settings including defaults."""

    learning_rate: float
    regularization: tuple[float, float]
    n_epochs: int


def settle(schedule: Schedule, options: Options) -> Settings:
    """The defaults, chosen by the core, so that other callers get them too."""
    rows, cols = options.regularization or (-1.0, -1.0)
    rate, row_regularization, col_regularization, n_epochs = core_plan.settle(
        schedule.plan, options.learning_rate or 0.0, rows, cols, options.n_epochs or 0
    )
    return Settings(rate, (row_regularization, col_regularization), n_epochs)


def tensors_of(history: History) -> dict[str, NDArray[Any]]:
    """The arrays that store a history in a file."""
    return {f"history.{name}": np.array(column, np.float64) for name, column in history.items()}


def history_of(tensors: dict[str, NDArray[Any]]) -> History:
    """The history from the arrays of `tensors_of`; ValueError if they are invalid."""
    columns = {
        name.removeprefix("history."): column
        for name, column in tensors.items()
        if name.startswith("history.")
    }
    missing = {"epoch", "train_rmse", "learning_rate", "seconds"} - columns.keys()
    if missing:
        raise ValueError(f"the history lacks {', '.join(sorted(missing))}")
    n_epochs = columns["epoch"].size
    for name, column in columns.items():
        if column.dtype != np.float64 or column.shape != (n_epochs,):
            raise ValueError(f"'history.{name}' is not one number for each of {n_epochs} epochs")
    if not np.array_equal(columns["epoch"], np.arange(1, n_epochs + 1)):
        raise ValueError("'history.epoch' does not count from 1")
    history: History = {name: column.tolist() for name, column in columns.items()}
    history["epoch"] = [int(epoch) for epoch in history["epoch"]]
    return history


def is_true(answer: object) -> bool:
    """Whether it is True of Python or NumPy, not merely truthy."""
    return isinstance(answer, (bool, np.bool_)) and bool(answer)


def aligned(rows: int, width: int, dtype: np.dtype[Any]) -> NDArray[Any]:
    """An array whose rows begin on cache lines."""
    size = rows * width * dtype.itemsize
    raw = np.empty(size + 64, np.uint8)
    start = -raw.ctypes.data % 64
    return raw[start : start + size].view(dtype).reshape(rows, width)


class Validation:
    """The RMSE on held-out entries, and the best factors so far."""

    def __init__(self, schedule: Schedule, cells: Cells, n_threads: int) -> None:
        n = cells.rows.size
        self._rows, self._cols = np.empty(n, np.int64), np.empty(n, np.int64)
        inside = core_plan.positions(schedule.plan, False, cells.rows, self._rows)
        if not (core_plan.positions(schedule.plan, True, cells.cols, self._cols) and inside):
            raise_for_status(CELLS_CHANGED)
        # In the order of training, so that the order of listing leaves no trace.
        order = np.lexsort((self._cols, self._rows))
        self._rows, self._cols = self._rows[order], self._cols[order]
        self._targets = cells.values[order].astype(np.float64) - schedule.offset
        self._n_threads = n_threads
        self.forget()

    def contents(self) -> list[NDArray[Any]]:
        """The held-out entries."""
        return [self._rows, self._cols, self._targets]

    def forget(self) -> None:
        """Return to the state before the first epoch."""
        self._best: tuple[float, int, NDArray[Any], NDArray[Any]] | None = None

    def rmse(self, x: NDArray[Any], y: NDArray[Any]) -> float:
        """The RMSE of the factors."""
        status, squares = serve.squared_errors(
            x, y, self._rows, self._cols, self._targets, self._n_threads
        )
        raise_for_status(status, purpose="to validate")
        return math.sqrt(squares / self._targets.size)

    def look(self, epoch: int, x: NDArray[Any], y: NDArray[Any]) -> float:
        """The current RMSE; the factors are kept if it is the smallest."""
        rmse = self.rmse(x, y)
        if self._best is None or rmse < self._best[0]:
            self._best = rmse, epoch, x.copy(), y.copy()
        return rmse

    @property
    def best(self) -> tuple[float, int, NDArray[Any], NDArray[Any]] | None:
        """The smallest RMSE, its epoch, and the factors."""
        return self._best

    @best.setter
    def best(self, best: tuple[float, int, NDArray[Any], NDArray[Any]]) -> None:
        self._best = best

    def put_best_back(self, x: NDArray[Any], y: NDArray[Any]) -> None:
        """Restore the factors of the epoch with the smallest RMSE."""
        if self._best is not None:
            x[:], y[:] = self._best[2:]


class Training:
    """Factors while they are trained: initialized, trained span by span, and taken out."""

    def __init__(
        self,
        schedule: Schedule,
        options: Options,
        start: Start | None = None,
        held_out: Cells | None = None,
    ) -> None:
        self.schedule = schedule
        self.options = options
        self.settings = settle(schedule, options)
        self.start = start
        width = row_width(options)
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
        self._scratch = np.zeros(schedule.n_bands + 8 * options.n_threads, np.int64)
        self._halvings = 0
        self.keep: Callable[[Training], object] | None = None  # after every epoch
        self._validation = None
        if held_out is not None:
            self._validation = Validation(schedule, held_out, options.n_threads)
            self.history["validation_rmse"] = []
        self._limit = DIVERGED_RATIO**2 * schedule.zero_model_squares
        self._begin()
        if start is not None:
            self._limit = max(self._limit, DIVERGED_RATIO**2 * self._squares_now())

    def limit_rate(self) -> None:
        """Lower the learning rate to what these values bear, as for the defaults of the core."""
        cut = self.schedule
        level = max(2 * cut.deviation, abs(cut.mean - cut.offset))
        rate = min(self.settings.learning_rate, 0.12 / level)
        self.settings = replace(self.settings, learning_rate=rate)

    def _begin(self) -> None:
        """Initialize the factors, and clear the history."""
        o = self.options
        plan = self.schedule.plan
        if self.start is None:
            for first, last in self._parts(max(self.schedule.n_rows, self.schedule.n_cols)):
                core_plan.start(
                    plan, self.x, self.y, o.k, o.seed, o.nonnegative, o.biases, first, last,
                    o.n_threads,
                )  # fmt: skip
        else:
            rows, cols = self.start.row_factors, self.start.col_factors
            if o.biases:
                rows = with_bias(rows, self.start.row_bias, one_last=True)
                cols = with_bias(cols, self.start.col_bias, one_last=False)
            self._put_in(rows, cols, self.x, self.y)
        if self._validation is not None:
            self._validation.forget()
        for column in self.history.values():
            column.clear()

    def factors(self) -> tuple[NDArray[Any], NDArray[Any]]:
        """The current row and column factors in the caller's order; with biases, each with two
        more columns.
        """
        length = self.options.k + 2 * self.options.biases
        return self._taken_out(False, self.x, length), self._taken_out(True, self.y, length)

    def ready(self) -> tuple[NDArray[Any], NDArray[Any]]:
        """The same as padded rows.  There is nothing left to train on with, and never was more
        than one side held twice.
        """
        rows = self._taken_out(False, self.x, self.x.shape[1])
        del self.x
        cols = self._taken_out(True, self.y, self.y.shape[1])
        del self.y
        return rows, cols

    def contents(self) -> list[Any]:
        """The memory that determines the entries and their order, in training and validation."""
        held_out = [] if self._validation is None else self._validation.contents()
        return [*core_plan.contents(self.schedule.plan), *held_out]

    def state(self) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
        """All that changes while training, and the initial factors if they were passed."""
        tensors: dict[str, NDArray[Any]] = dict(zip(SIDES, self.factors(), strict=True))
        numbers: dict[str, Any] = {"halvings": self._halvings, "limit": self._limit.hex()}
        if self._validation is not None and self._validation.best is not None:
            rmse, epoch, x, y = self._validation.best
            numbers |= {"best_rmse": rmse.hex(), "best_epoch": epoch}
            length = self.options.k + 2 * self.options.biases
            tensors["best.row_factors"] = self._taken_out(False, x, length)
            tensors["best.col_factors"] = self._taken_out(True, y, length)
        if self.start is not None:
            for name in (*SIDES, "row_bias", "col_bias"):
                part = getattr(self.start, name)
                if part is not None:
                    tensors[f"start.{name}"] = part
        return tensors, numbers

    def go_on_from(
        self, tensors: dict[str, NDArray[Any]], known: dict[str, Any], history: History
    ) -> None:
        """Restore the state from `state`."""
        self._halvings = known["halvings"]
        self._limit = float.fromhex(known["limit"])
        self._put_in(tensors["row_factors"], tensors["col_factors"], self.x, self.y)
        if self._validation is not None and "best_rmse" in known:
            x, y = self.x.copy(), self.y.copy()
            self._put_in(tensors["best.row_factors"], tensors["best.col_factors"], x, y)
            self._validation.best = float.fromhex(known["best_rmse"]), known["best_epoch"], x, y
        for name, column in history.items():
            self.history[name][:] = column

    def _put_in(
        self, rows: NDArray[Any], cols: NDArray[Any], x: NDArray[Any], y: NDArray[Any]
    ) -> None:
        """Copy factors with biases from the caller's order into training order."""
        core_plan.put_in(self.schedule.plan, False, rows, x)
        core_plan.put_in(self.schedule.plan, True, cols, y)

    def parameters(self) -> dict[str, Any]:
        """The training parameters, as stored in a model."""
        options = self.options
        return {
            "learning_rate": self._rates()[0],
            "regularization": self.settings.regularization,
            "n_epochs": self.settings.n_epochs,
            "decay": options.decay,
            "group_size": options.group_size,
            "nonnegative": options.nonnegative,
            "seed": options.seed,
        }

    def _taken_out(self, columns: bool, x: NDArray[Any], length: int) -> NDArray[Any]:
        out = np.empty((len(x), length), self.options.dtype)
        for first, last in self._parts(len(out)):
            if not core_plan.take_out(self.schedule.plan, columns, x, out, first, last):
                raise DivergedError(len(self.history["epoch"]), self._rates()[0])
        return out

    def _parts(self, n: int) -> Iterator[tuple[int, int]]:
        """Rows 0 ... n - 1 in parts that take well under CALL_SECONDS."""
        size = max(1, ROW_NUMBERS_AT_ONCE // row_width(self.options))
        return ((first, min(n, first + size)) for first in range(0, n, size))

    def run(
        self,
        after_epoch: Callable[[Training], object] | None = None,
        between_spans: Callable[[], object] | None = None,
    ) -> str:
        """Train to the end; returns what stopped it.  `after_epoch` returns True to stop it;
        `between_spans` may raise, for threads that no signal reaches.
        """
        self._between_spans = between_spans
        if self._out_of_patience():
            self._put_best_back()
            return "patience"
        try:
            stopped_by = self._run(after_epoch)
            self._put_best_back()
            while not self._sound():
                if stopped_by != "epochs":
                    raise DivergedError(len(self.history["epoch"]), self._rates()[0])
                self._back_off(self.settings.n_epochs)
                stopped_by = self._run(after_epoch)
                self._put_best_back()
        except KeyboardInterrupt:
            if self.options.on_interrupt == "raise":
                raise
            stopped_by = "interrupt"
            whole = min(len(column) for column in self.history.values())
            for column in self.history.values():
                del column[whole:]
            self._put_best_back()
        return stopped_by

    def _put_best_back(self) -> None:
        if self._validation is not None:
            self._validation.put_best_back(self.x, self.y)

    def _sound(self) -> bool:
        """Whether the last steps did not diverge, whose errors no epoch has seen.

        With default rates they can't diverge, so the pass over all entries is skipped.
        """
        if self.options.learning_rate is None and self.options.regularization is None:
            return True
        return self._squares_now() <= self._limit

    def _run(self, after_epoch: Callable[[Training], object] | None) -> str:
        blocks = self.schedule.n_blocks
        last = self.settings.n_epochs * blocks
        limit = self._limit
        watched = any(x is not None for x in (after_epoch, self._validation, self.keep))
        at_once = 1 if watched else EPOCHS_AT_ONCE
        step = len(self.history["epoch"]) * blocks
        span = engine.first_span(self.schedule.plan, row_width(self.options))
        before = self.history["seconds"][-1] if step else 0.0
        started = time.perf_counter() - before
        while step < last:
            epoch = step // blocks
            stop = min(last, (epoch + at_once) * blocks)
            called = time.perf_counter() - started
            reached = self._advance(step, stop, span, limit)
            if self._between_spans is not None:
                self._between_spans()
            now = time.perf_counter() - started
            spent = max(now - called, 1e-9)
            span = min(last, 4 * span, max(1, int(span * CALL_SECONDS / spent)))
            done = reached // blocks - epoch  # epochs that ended in this call
            bad = done and not self._squares[done - 1] <= limit
            self._record(epoch, done, before, now)
            before, step = now, reached
            if bad:
                self._back_off(epoch + done)
                step = 0
            elif done and watched:
                self._validate(epoch + 1)
                if self.keep is not None:
                    self.keep(self)
                if after_epoch is not None and is_true(after_epoch(self)):
                    return "callback"
                if self._out_of_patience():
                    return "patience"
        return "epochs"

    def _validate(self, epoch: int) -> None:
        """Record the validation RMSE of an epoch."""
        if self._validation is not None:
            rmse = self._validation.look(epoch, self.x, self.y)
            self.history["validation_rmse"].append(rmse)

    def _out_of_patience(self) -> bool:
        """Whether `patience` epochs have passed since the best one."""
        if self._validation is None or self._validation.best is None:
            return False
        since = len(self.history["epoch"]) - self._validation.best[1]
        return since >= self.options.patience

    def _squares_now(self) -> float:
        """The squared errors of the current factors: an epoch with learning rate 0."""
        n = self.schedule.n_blocks
        self._advance(0, n, n, math.inf, rates=(0.0, 1, False), keep=(0.0, 0.0))
        return float(self._squares[0])

    def _advance(
        self,
        first: int,
        last: int,
        span: int,
        limit: float,
        rates: tuple[float, int, bool] | None = None,
        keep: tuple[float, float] | None = None,
    ) -> int:
        reached: int = engine.advance(
            self.schedule.plan,
            self.x,
            self.y,
            first,
            last,
            span,
            *(rates or self._rates()),
            *(keep or self.settings.regularization),
            self.options.group_size,
            self.options.k,
            self.options.nonnegative,
            self.options.biases,
            self.options.n_threads,
            self._sums,
            self._squares,
            self._scratch,
            limit,
        )
        return reached

    def _rates(self) -> tuple[float, int, bool]:
        """The arguments from which the core computes the rate of every epoch."""
        rate = self.settings.learning_rate * 0.5**self._halvings
        return rate, self.settings.n_epochs, self.options.decay == "linear"

    def _back_off(self, epoch: int) -> None:
        """Restart at half the learning rate."""
        rate = self.history["learning_rate"][-1]
        if self._halvings == MOST_HALVINGS:
            raise DivergedError(epoch, rate)
        self._halvings += 1
        log.info("epoch %d diverged at a learning rate of %.3g; it is halved", epoch, rate)
        self._begin()

    def _record(self, first: int, done: int, before: float, now: float) -> None:
        """History of the epochs that ended in a call; they share its time equally."""
        for nth in range(done):
            squares = float(self._squares[nth])
            self.history["epoch"].append(first + nth + 1)
            self.history["train_rmse"].append(math.sqrt(squares / self.schedule.n_cells))
            self.history["learning_rate"].append(engine.learning_rate(first + nth, *self._rates()))
            self.history["seconds"].append(before + (nth + 1) / done * (now - before))


def train(
    problem: Cells,
    options: Options,
    after_epoch: Callable[[Training], object] | None = None,
    start: Start | None = None,
    between_spans: Callable[[], object] | None = None,
) -> tuple[Training, str]:
    """Cut and train; returns the training and what stopped it."""
    training = begin(problem, options, start, None)
    return training, training.run(after_epoch, between_spans)


def begin(
    problem: Cells, options: Options, start: Start | None, held_out: Cells | None
) -> Training:
    """Cut the entries, and initialize the factors."""
    row = options.dtype.itemsize * (row_width(options) + options.k) + 24
    scalars.require_memory(
        sum(problem.shape) * row,
        f"factors of k = {options.k} for shape {problem.shape}",
        "lower k, or number only the rows and columns that occur",
    )
    schedule = cut(problem, options)
    if options.nonnegative and not schedule.mean > schedule.offset:
        reject(
            "nonnegative",
            f"the values have a mean of {schedule.mean:.4g}, which is not above the offset of "
            f"{schedule.offset:.4g}, so products of nonnegative factors can't fit them",
            "pass a lower offset",
        )
    return Training(schedule, options, start, held_out)
