"""THE epoch loop: signals, callback, back-off, history."""

from __future__ import annotations

import logging
import math
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from funkc._average import averaged
from funkc._biases import Biases
from funkc._core import biases as core_biases
from funkc._core import engine
from funkc._core import plan as core_plan
from funkc._errors import VALUES_TOO_WIDE, DivergedError, inform, raise_for_status, reject
from funkc._input import scalars
from funkc._input.loss import Loss, require_allowed_entries
from funkc._schedule import Outset, Schedule, aligned, most_of, padded, settle, suited
from funkc._validation import Best, Validation

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    from funkc._input.cells import Cells
    from funkc._input.options import History, Options, Start

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
# d. Biases stay out of the SGD: trained there, as a factor whose partner is 1, they needed a
#    separate rate and regularization, since their unit is another, and predicted no better.
#    They are fitted before it and after every stage, so training is still a function of the
#    entries, the options and the number of the epoch.

log = logging.getLogger("funkc")

CALL_SECONDS = 0.05
ROW_NUMBERS_AT_ONCE = 1 << 21
EPOCHS_AT_ONCE = 1024
MOST_HALVINGS = 10
MOST_STAGES = 12
# Where a stage leaves more than this of what the biases left, a further one is not worth a search:
# every set of ratings left .68 or more and did not gain, every set that gained .67 or less.
SIGNAL = 0.67
# The search holds out a tenth of the entries, or, of few, as much as makes 30 of them.
SEARCH_SHARE, LARGEST_SEARCH_SHARE = 0.1, 0.3
ENTRIES_TO_JUDGE = 30
FEWEST_TO_SEARCH = 10
# An epoch has diverged when its errors are larger than this times those of the offset alone.
DIVERGED_RATIO = 2.0


class Training:
    """Factors while they are trained: initialized, trained span by span, and taken out."""

    def __init__(
        self,
        schedule: Schedule,
        options: Options,
        start: Start | None = None,
        held_out: Cells | None = None,
        *,
        tiled: bool = False,
    ) -> None:
        self.schedule = schedule
        self.options = options
        self.start = start
        self._tiled = tiled
        width = padded(options.k)
        self.x = aligned(schedule.n_rows, width, options.dtype)
        self.y = aligned(schedule.n_cols, width, options.dtype)
        self.loss = options.loss
        names = ["epoch", "train_loss", "train_rmse", "learning_rate", "seconds"]
        self.history: History = {name: [] for name in names if self._known(name)}
        self._sums = np.zeros(schedule.n_blocks)
        self._losses = np.zeros(EPOCHS_AT_ONCE)
        self._scratch = np.zeros(schedule.n_bands + 8 * options.n_threads, np.int64)
        self.halvings = 0  # of the learning rate
        self._between_spans: Callable[[], object] | None = None
        self.keep: Any = None  # a checkpoint: tried before an epoch, written after each
        self.member = 0  # of those that are averaged
        self.stage_begun = 0  # epochs of earlier stages
        self.stage = 0  # of as many as there are to be, or None: to be found out
        self.stages = options.stages
        if self.stages is None and not self._may_search():
            self.stages = 1
        self.noise = math.nan  # root mean square of the errors of the result
        self.seen = schedule.n_rows, schedule.n_cols
        if start is not None and start.seen is not None:
            self.seen = start.seen
        self.baseline_loss: dict[str, float] = {}  # of simpler models
        self.validation_loss: float | None = None
        self.validation = None
        if held_out is not None:
            self.validation = Validation(schedule, held_out, options.n_threads, self.loss)
            names = ["validation_loss", "validation_rmse"]
            self.history |= {name: [] for name in names if self._known(name)}
        self._ended = False  # whether the stage's biases have been refitted
        self._first_size = math.nan  # of what the first biases left
        self.judged = np.empty(0)  # errors of held-out entries after the last stage
        # Beside another loss than the squared one there always is a level, without biases alone.
        self.biases: Biases | None = None
        if options.leveled:
            self.biases = self._biases()
        self._least = 0.0 if self.biases is None else self.biases.least
        if start is not None:
            self.put_in(start.row_factors, start.col_factors, self.x, self.y)
        self.outset, losses = self._outset()
        # Where biases leave nothing, steps are as short as values of that size ask for.
        self._usual = self.outset[1]
        if self.biases is not None and not self.loss.squared:
            self._usual = self._usual or self.biases.scale
        outset = self.outset[0], self._usual, *self.outset[2:]
        self.settings = settle(schedule, options, outset)
        self._begin()
        if start is not None:
            losses = max(losses, self._losses_now())
            if options.learning_rate is None:
                self.limit_rate()
        self.limit = DIVERGED_RATIO**2 * losses

    def _known(self, name: str) -> bool:
        """Whether a column of the history belongs to the loss."""
        return self.loss.squared or not name.endswith("rmse")

    def _biases(self, *, alone: bool = False) -> Biases:
        o = self.options
        alone = alone or not o.biases
        ridges = None if alone else o.bias_regularization
        return Biases(self.schedule, o.dtype, o.n_threads, self.loss, alone=alone, ridges=ridges)

    def _may_search(self) -> bool:
        """Whether further stages may be worth it; a caller's own settings are kept to."""
        o = self.options
        chosen = o.learning_rate, o.regularization, o.n_epochs
        enough = self.schedule.n_cells >= FEWEST_TO_SEARCH
        return o.biases and self.start is None and enough and all(one is None for one in chosen)

    @property
    def _held(self) -> float:
        """The level above the plan's offset, if it must not move."""
        if math.isnan(self.options.offset) or self.biases is None:
            return math.nan
        return self.options.offset - self.schedule.offset  # 0, unless values have a link

    def _outset(self) -> tuple[Outset, float]:
        """What training begins with, and its squared errors; biases are fitted, or taken over."""
        cut, start = self.schedule, self.start
        outset = core_plan.outset(cut.plan, None, False, self.options.k)
        losses = cut.zero_model_squares
        if self.biases is not None:
            self.biases.settle_loss(self._heed)
        of_level = self._judge_mean()
        if self.biases is None:
            return outset, losses
        if start is None or start.ridges is None:
            beside = None if start is None or start.row_bias is not None else (self.x, self.y)
            # The products are to make up for a level that is given, maybe far from the values.
            made_up = not (self.options.biases or math.isnan(self._held))
            self.biases.fit(math.nan if made_up else self._held, beside, self._heed)
            fitted = self.biases.fitted
            if beside is None and self.options.biases:
                judge, held_out = self.biases.mean_loss, self.validation
                self.baseline_loss["biases"] = (
                    judge() if held_out is None else held_out.loss_of_bases(self.bases)
                )
            given = start is not None or not math.isnan(self._held)
            outset = core_plan.outset(cut.plan, fitted, given, self.options.k)
            if self.options.nonnegative:
                outset = (abs(outset[0]), *outset[1:])
            if made_up and start is None:
                outset = (fitted.level - self._held, *outset[1:])
            self.biases.level = self._held if made_up else fitted.level - outset[0]
            if self.loss.squared:
                left = max(fitted.left, 2.0**-19 * fitted.deviation or cut.deviation)  # rounding
                losses = cut.n_cells * left**2
            else:
                losses = cut.n_cells * self.biases.usual_loss()
                self._first_size = self.biases.size()
            self._ridges = fitted.row_ridge, fitted.col_ridge
        if start is not None and start.row_bias is not None and start.col_bias is not None:
            self.biases.given(start.row_bias, start.col_bias)
            moved = 0.0 if start.offset is None else start.offset - cut.offset
            self.biases.level = moved if math.isnan(self._held) else self._held
        if start is not None and start.ridges is not None and not self.loss.squared:
            self.biases.level = self.biases.level if math.isnan(self._held) else self._held
            self.biases.judge((self.x, self.y))
            outset = core_plan.outset(cut.plan, self.biases.fitted, True, self.options.k)
            # New rows may follow their entries closely, where any step away costs more than that.
            losses = cut.n_cells * max(self.biases.usual_loss(), of_level)
        self._first_biases = self.biases.state()
        return outset, losses

    def _judge_mean(self) -> float:
        """The loss of a level alone; of the entries that are trained on."""
        cut = self.schedule
        if self.loss.squared:
            level, of_level = cut.mean - cut.offset, 0.0 if cut.constant else cut.deviation**2
        else:
            assert self.biases is not None
            alone = self._biases(alone=True)
            alone.delta = self.biases.delta
            alone.settle_loss(self._heed)
            alone.fit(math.nan, None, self._heed)
            level, of_level = alone.level, alone.mean_loss()
            if self.validation is not None:
                self.validation.delta = alone.delta
        judge = self.validation
        self.baseline_loss["mean"] = of_level if judge is None else judge.loss_of_level(level)
        return of_level

    def _heed(self) -> None:
        if self._between_spans is not None:
            self._between_spans()

    def limit_rate(self) -> None:
        """Lower the learning rate to what these values bear, as for the defaults of the core."""
        cut = self.schedule
        if self.biases is None:
            level = max(2 * cut.deviation, abs(cut.mean - cut.offset))
        else:
            level = self.outset[4] * 2 * self._usual
            if self.loss.squared:
                level = 2 * math.sqrt(self._losses_now() / cut.n_cells)
        if self.settings.learning_rate * level > 0.12:
            self.settings = replace(self.settings, learning_rate=0.12 / level)

    def _begin(self) -> None:
        """Initialize the factors, and clear the history."""
        o = self.options
        self.stage = self.stage_begun = 0
        if self.biases is not None:
            self.biases.put(self._first_biases)
        if self.start is None:
            level, deviation, *_ = self.outset
            seed = (o.seed + self.member) % 2**64
            for first, last in self._parts(max(self.schedule.n_rows, self.schedule.n_cols)):
                core_plan.start(
                    self.schedule.plan, self.x, self.y, o.k, level, deviation, seed,
                    o.nonnegative, first, last, o.n_threads,
                )  # fmt: skip
        else:
            self.put_in(self.start.row_factors, self.start.col_factors, self.x, self.y)
        if self.validation is not None:
            self.validation.best = None
        for column in self.history.values():
            column.clear()

    @property
    def bases(self) -> tuple[NDArray[Any], NDArray[Any]]:
        """What is taken from the values apart from the products; empty: nothing."""
        if self.biases is None:
            return np.empty(0, self.options.dtype), np.empty(0, self.options.dtype)
        return self.biases.bases()

    @property
    def offset(self) -> float:
        """The offset of the current factors and biases."""
        return self.schedule.offset + (0.0 if self.biases is None else self.biases.level)

    def factors(self) -> tuple[NDArray[Any], NDArray[Any]]:
        """The current row and column factors in the caller's order."""
        k = self.options.k
        return self.taken_out(False, self.x, k), self.taken_out(True, self.y, k)

    def ready(self) -> tuple[NDArray[Any], NDArray[Any]]:
        """The same as padded rows, with biases.  There is nothing left to train on with, and never
        was more than one side held twice.
        """
        width = padded(self.options.k + 2 * self.options.biases)
        rows = self.taken_out(False, self.x, width)
        del self.x
        cols = self.taken_out(True, self.y, width)
        del self.y
        return rows, cols

    def contents(self) -> list[Any]:
        """The memory that determines the entries and their order, in training and validation."""
        held_out = [] if self.validation is None else self.validation.contents()
        return [*core_plan.contents(self.schedule.plan), *held_out]

    def put_in(
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
            "bands": (self.schedule.n_row_bands, self.schedule.n_bands),
            "nonnegative": options.nonnegative,
            "members": options.members,
            "loss": self.loss.name,
            "huber_delta": self._delta if self.loss.name == "huber" else None,
            "n_entries": self.schedule.n_cells,
            "seed": options.seed,
        }

    def taken_out(self, columns: bool, x: NDArray[Any], length: int) -> NDArray[Any]:
        """In the caller's order; what is longer than k is padded, with biases if there are any."""
        out = np.zeros((len(x), length), self.options.dtype)
        k = self.options.k
        for first, last in self._parts(len(out)):
            if not core_plan.take_out(self.schedule.plan, columns, x, k, out, first, last):
                raise DivergedError(len(self.history["epoch"]), self._rates()[0])
        if length > k and self.biases is not None and self.options.biases:
            out[:, k : k + 2] = 1
            out[:, k + columns] = self.biases.taken(columns)
        return out

    def _parts(self, n: int) -> Iterator[tuple[int, int]]:
        """Rows 0 ... n - 1 in parts that take well under CALL_SECONDS."""
        size = max(1, ROW_NUMBERS_AT_ONCE // padded(self.options.k))
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
        if self.options.members == 1:
            return self._run_member(after_epoch)
        return self._run_members(after_epoch)

    def _run_members(self, after_epoch: Callable[[Training], object] | None) -> str:
        """Train from several starts, and average the results."""
        n, first = self.options.members, 0
        x, y = (np.zeros((n, *side.shape), side.dtype) for side in (self.x, self.y))
        biases: list[tuple[float, NDArray[Any], NDArray[Any]]] = []
        history: History = {}
        stopped_by, done = "epochs", 0
        while done < n and stopped_by in ("epochs", "patience"):
            self.member = done
            if done:
                self._begin()
            stopped_by = self._run_member(after_epoch)
            if stopped_by in ("interrupt", "callback") and done:
                break  # without what has hardly begun
            x[done], y[done] = self.x, self.y
            biases += [] if self.biases is None else [self.biases.state()]
            if not done:
                history = {name: list(column) for name, column in self.history.items()}
                first, self.stages = self.stage, self._n_trained  # which it has found out
            done += 1
        self.history, self.stage = history, first
        counted = self.biases
        if counted is None or not self.options.biases:
            counted = Biases(self.schedule, self.options.dtype, self.options.n_threads, Loss())
            counted.fit(math.nan, None, self._heed)
        counts = counted.counts
        self.x, self.y = averaged(
            x[:done], y[:done], self.options.k, *counts, self.options.n_threads
        )
        if self.biases is not None:
            levels, rows, cols = zip(*biases, strict=True)
            self.biases.put(
                (math.fsum(levels) / done, np.sum(rows, 0) / done, np.sum(cols, 0) / done)
            )
        self._fill()
        if self.loss.squared:
            self.noise = math.sqrt(self._losses_now() / self.schedule.n_cells)
        elif self.biases is not None:
            self.biases.judge((self.x, self.y))
            self.noise = math.sqrt(self.biases.fitted.dispersion)
        return stopped_by

    def _run_member(self, after_epoch: Callable[[Training], object] | None) -> str:
        try:
            stopped_by = self._run_stages(after_epoch)
            while not self._sound():
                if stopped_by != "epochs":
                    raise DivergedError(len(self.history["epoch"]), self._rates()[0])
                self._back_off(self.settings.n_epochs)
                stopped_by = self._run_stages(after_epoch)
        except KeyboardInterrupt:
            if self.options.on_interrupt == "raise":
                raise
            stopped_by = "interrupt"
            whole = min(len(column) for column in self.history.values())
            for column in self.history.values():
                del column[whole:]
            self._end()
        return stopped_by

    def _run_stages(self, after_epoch: Callable[[Training], object] | None) -> str:
        while True:
            stopped_by = "patience" if self._out_of_patience() else self._run(after_epoch)
            if stopped_by not in ("epochs", "patience") or not self._goes_on():
                break
            self._next_stage()
        self._end()
        return stopped_by

    def _next_stage(self) -> None:
        self.stage += 1
        self.stage_begun = len(self.history["epoch"])

    def _goes_on(self) -> bool:
        """Whether another stage is to follow; biases are refitted then, and
        regularization falls by half.

        Where the factors explain most of what biases leave, regularization that suits noise holds
        them back, and as long as held-out entries gain, it may fall.
        """
        if self.stages is not None and self.stage + 1 >= self.stages:
            return False
        self._end_stage()
        if self.stages is None and self.stage == 0 and not self._explains_most():
            self.stages = 1
        if self.stages is None and self.validation is None:
            self.stages = self._search()
        if self.stages is None and self.validation is not None:
            judged = self.validation.errors(self.x, self.y, self.bases)
            if self.stage and not core_biases.gains(self.judged, judged):
                self.stages = self.stage + 1
            self.judged = judged
        return self.stage + 1 < (MOST_STAGES if self.stages is None else self.stages)

    def _explains_most(self) -> bool:
        """Whether the factors explain most of what biases left."""
        assert self.biases is not None
        if self.loss.squared:
            return self.noise < SIGNAL * self.outset[1]
        return self.biases.size() < SIGNAL * self._first_size

    def _search(self) -> int:
        """How many stages serve held-out entries best, in a training on the others."""
        begun = time.perf_counter()
        wanted = ENTRIES_TO_JUDGE / self.schedule.n_cells
        share = max(SEARCH_SHARE, min(LARGEST_SEARCH_SHARE, wanted))
        parts = [
            core_plan.thinned(self.schedule.plan, held, self.options.seed, share)
            for held in (True, False)
        ]
        if None in parts:
            raise MemoryError("there is no memory for the search for the number of stages")
        held, others = (Schedule.of(part) for part in parts)
        if not (held.n_cells and others.n_cells):
            return 1
        loss = self.loss._replace(delta=self.biases.delta) if self.biases else self.loss
        options = replace(self.options, stages=MOST_STAGES, loss=loss)
        training = Training(others, options)
        training._between_spans = self._between_spans
        judged: NDArray[np.float64] | None = None
        while training.stage < MOST_STAGES:
            reached = max(1, training.stage)
            try:
                training._run(None)
            except DivergedError:
                return reached
            if training.halvings:  # it began again, and is another training
                return reached
            training._end_stage()
            assert training.biases is not None
            factors = training.x, training.y
            before, judged = judged, training.biases.errors(held, factors)
            if before is not None and not core_biases.gains(before, judged):
                break
            training._next_stage()
        inform(log.debug, "%d stages, found in %.3g s", training.stage, time.perf_counter() - begun)
        return training.stage

    def _end_stage(self) -> None:
        """Fit the biases to what the products leave; the first time by the first ridges."""
        if self._ended:
            return
        if self.biases is None:
            self.noise = math.sqrt(self._losses_now() / self.schedule.n_cells)
            self._ended = True
            return
        factors = self.x, self.y
        if self.stage:
            self.biases.fit(self._held, factors, self._heed)
        elif self.start is not None and self.start.ridges is not None:
            self.biases.refit(
                self.biases.level, factors, self.start.ridges, self._heed, from_there=True
            )
        else:
            self.biases.refit(self._held, factors, self._ridges, self._heed)
        fitted = self.biases.fitted
        self.noise = fitted.left if self.loss.squared else math.sqrt(fitted.dispersion)
        self._ended = True  # unless it was interrupted

    def _end(self) -> None:
        """From the best factors so far to the result."""
        self._n_trained = self.stage + 1
        best = None if self.validation is None else self.validation.best
        if best is not None:
            self.x[:], self.y[:] = best.x, best.y
            self.stage = best.stage
            self._ended = False
            if self.biases is not None and best.biases is not None:
                self.biases.put(best.biases)
        if self._tiled:
            return
        self._end_stage()
        self._fill()

    def _fill(self) -> None:
        """Rows and columns without entries become the mean of the others; then judge the result."""
        if self.start is None:
            biases = self.biases
            rows, cols = 2 * [np.empty(0)] if biases is None else [biases.rows, biases.cols]
            status, *seen = core_biases.fill(self.schedule.plan, self.x, self.y, rows, cols)
            raise_for_status(status, purpose="to finish")
            self.seen = seen[0], seen[1]
        if self.validation is not None:
            self.validation_loss = self.validation.loss(self.x, self.y, self.bases)

    @property
    def clip(self) -> tuple[float, float] | None:
        """The range of predictions."""
        asked = self.options.clip
        return (self.schedule.low, self.schedule.high) if asked == "auto" else asked

    @property
    def _delta(self) -> float:
        """What the core is told of the loss, as loss.h explains."""
        if self.loss.name == "poisson":
            return 2 * self._usual
        return self.loss.delta if self.biases is None else self.biases.delta

    def _sound(self) -> bool:
        """Whether the last steps did not diverge, whose errors no epoch has seen.

        With default rates they can't diverge, so the pass over all entries is skipped.
        """
        if self.options.learning_rate is None and self.options.regularization is None:
            return True
        return self._losses_now() <= self.limit

    def _run(self, after_epoch: Callable[[Training], object] | None) -> str:
        blocks = self.schedule.n_blocks
        last = self.settings.n_epochs * blocks
        limit = self.limit
        watched = any(x is not None for x in (after_epoch, self.validation, self.keep))
        at_once = 1 if watched else EPOCHS_AT_ONCE
        earlier = self.stage_begun
        step = (len(self.history["epoch"]) - earlier) * blocks
        span = engine.first_span(self.schedule.plan, padded(self.options.k))
        before = self.history["seconds"][-1] if self.history["seconds"] else 0.0
        self._bases, self._ended = self.bases, False
        if step < last and self.keep is not None:
            self.keep.try_out()
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
            bad = done and not -math.inf < self._losses[done - 1] + self._least <= limit
            self._record(epoch, done, before, now)
            before, step = now, reached
            if bad:
                self._back_off(earlier + epoch + done)
                self._bases = self.bases
                earlier = step = 0
            elif done and watched:
                self._validate(earlier + epoch + 1)
                if self.keep is not None:
                    self.keep.write(self)
                if after_epoch is not None and scalars.is_true(after_epoch(self)):
                    return "callback"
                if self._out_of_patience():
                    return "patience"
        return "epochs"

    def _validate(self, epoch: int) -> None:
        """Record the loss of held-out entries after an epoch."""
        if self.validation is None:
            return
        loss = self.validation.loss(self.x, self.y, self._bases)
        self.history["validation_loss"].append(loss)
        if self.loss.squared:
            self.history["validation_rmse"].append(math.sqrt(loss))
        best = self.validation.best
        if best is None or loss < best.loss:
            biases = None if self.biases is None else self.biases.state()
            self.validation.best = Best(
                loss, epoch, self.x.copy(), self.y.copy(), self.stage, biases
            )

    def _out_of_patience(self) -> bool:
        """Whether `patience` epochs have passed since the best one."""
        if self.validation is None or self.validation.best is None:
            return False
        if self.stage:  # which begins at the full rate, and so gains at its end only
            return False
        patience = self.options.patience or max(5, self.settings.n_epochs // 2)
        return len(self.history["epoch"]) - self.validation.best.epoch >= patience

    def _losses_now(self) -> float:
        """The losses of the current factors, added up: an epoch with learning rate 0."""
        n = self.schedule.n_blocks
        self._bases = self.bases
        self._advance(0, n, n, math.inf, rates=(0.0, 1, False), keep=(0.0, 0.0))
        return float(self._losses[0]) + self._least

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
            *self._bases,
            first,
            last,
            span,
            *(rates or self._rates()),
            *(keep or (one * 0.5**self.stage for one in self.settings.regularization)),
            self.options.group_size,
            self.options.k,
            self.options.nonnegative,
            self.loss.kind,
            self._delta,
            self.options.n_threads,
            self._sums,
            self._losses,
            self._scratch,
            limit - self._least,
        )
        return reached

    def _rates(self) -> tuple[float, int, bool]:
        """The arguments from which the core computes the rate of every epoch."""
        rate = self.settings.learning_rate * 0.5**self.halvings
        return rate, self.settings.n_epochs, self.options.decay == "linear"

    def _back_off(self, epoch: int) -> None:
        """Restart at half the learning rate."""
        rate = self.history["learning_rate"][-1]
        if self.halvings == MOST_HALVINGS:
            raise DivergedError(epoch, rate)
        self.halvings += 1
        inform(log.info, "epoch %d diverged at a learning rate of %.3g; it is halved", epoch, rate)
        self._begin()

    def _record(self, first: int, done: int, before: float, now: float) -> None:
        """History of the epochs that ended in a call; they share its time equally."""
        for nth in range(done):
            loss = max(0.0, (float(self._losses[nth]) + self._least) / self.schedule.n_cells)
            self.history["epoch"].append(self.stage_begun + first + nth + 1)
            self.history["train_loss"].append(loss)
            if self.loss.squared:
                self.history["train_rmse"].append(math.sqrt(loss))
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
    tiled = problem.row_cuts.size > 0
    whole = start is None or start.ridges is None  # all entries, not a few more
    schedule, dtype = suited(problem, options, whole=whole and not tiled)
    if dtype != options.dtype:
        options = replace(options, dtype=dtype)
        start = None if start is None else start.of_dtype(dtype)
    if held_out is not None:
        require_allowed_entries(held_out, options.loss, "validation, values")
        if held_out.values.size and np.abs(held_out.values).max() > most_of(options.dtype):
            raise_for_status(VALUES_TOO_WIDE)
    if options.nonnegative and not options.biases and not schedule.mean > schedule.offset:
        reject(
            "nonnegative",
            f"the values have a mean of {schedule.mean:.4g}, which is not above the offset of "
            f"{schedule.offset:.4g}, so products of nonnegative factors can't fit them",
            "pass a lower offset",
        )
    return Training(schedule, options, start, held_out, tiled=tiled)
