"""Masked cross-validation: find the parameters that predict held-out entries best."""

from __future__ import annotations

import math
import sys
import threading
import time
from dataclasses import dataclass, replace
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any, Literal

from funkc import _train
from funkc._core import machine
from funkc._core.threads import warn_if_refused
from funkc._errors import DivergedError, missing_extra
from funkc._errstate import own_errstate
from funkc._input import scalars
from funkc._input.cells import Draw, observed_cells
from funkc._input.options import checked_grid, is_axis
from funkc._input.split import checked_folds
from funkc._judge import warn_of_outliers
from funkc._schedule import cut
from funkc._validation import Validation
from funkc.factorization import Factorization

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from matplotlib.figure import Figure
    from numpy.typing import ArrayLike, DTypeLike, NDArray

    from funkc._input.cells import Cells, Duplicates
    from funkc._input.options import Options

WAIT_SECONDS = 0.1  # without a timeout, Ctrl-C would have to wait on Windows
MOST_TICKS = 10


@dataclass(frozen=True, repr=False, eq=False)
class CrossValidation:
    """The result of `funkc.cross_validate`; printing it shows a table.

    Attributes
    ----------
    table : list of dict
        One for every combination, in grid order: ``k`` and the parameters that were given as
        lists, ``rmse`` (the mean over the folds), ``standard_error`` (of that mean),
        ``fold_rmse`` (a list) and ``seconds`` (total of its fits). If a fit diverged, its RMSE
        and the mean are infinite and the standard error is NaN. With another loss than the
        squared one there are ``loss`` and ``fold_loss`` instead, means per entry.
        ``pandas.DataFrame(result.table)`` converts it to a data frame.
    best_parameters : dict
        ``k`` and the parameters that were given as lists, as `funkc.factorize` takes them,
        of the combination with the lowest ``rmse`` (or ``loss``).
    best_rmse : float
        The mean RMSE (or loss) of that combination.
    fit : Factorization or None
        Trained on all entries with the best parameters, if `refit` is True.

    Examples
    --------
    >>> import numpy as np
    >>> import funkc
    >>> ratings = np.add.outer(np.arange(9.0), np.arange(8.0))
    >>> result = funkc.cross_validate(None, ratings, k=[1, 2], folds=3)
    >>> [row["k"] for row in result.table], len(result.table[0]["fold_rmse"])
    ([1, 2], 3)
    """

    table: list[dict[str, Any]]
    best_parameters: dict[str, Any]
    best_rmse: float
    fit: Factorization | None

    def __repr__(self) -> str:
        best, kind = self._best, self._kind
        limit = self.best_rmse + best["standard_error"]
        lines = [[*self.best_parameters, kind, "standard error", "seconds", ""]]
        for row in self.table:
            mark = ""
            if row is best:
                mark = "best"
            elif row[kind] <= limit:
                mark = "within one standard error"
            elif math.isinf(row[kind]):
                errors = row[f"fold_{kind}"]
                mark = f"diverged in {sum(map(math.isinf, errors))} of {len(errors)} folds"
            shown = [_text(row[name]) for name in self.best_parameters]
            numbers = [f"{row[kind]:.5g}", f"{row['standard_error']:.2g}"]
            lines.append([*shown, *numbers, f"{row['seconds']:.2f}", mark])
        *columns, marks = zip(*lines, strict=True)
        widths = [max(map(len, column)) for column in columns]
        return "\n".join(
            "  ".join([*map(str.rjust, line, widths), mark]).rstrip()
            for *line, mark in zip(*columns, marks, strict=True)
        )

    @property
    def _kind(self) -> str:
        return "rmse" if "rmse" in self.table[0] else "loss"

    @property
    def _best(self) -> dict[str, Any]:
        return min(self.table, key=lambda row: row[self._kind])

    @own_errstate
    def plot(self) -> Figure:
        """Plot the RMSE against the first parameter that has several values.

        Returns
        -------
        matplotlib.figure.Figure
            One line for every combination of the other parameters, with error bars of one
            standard error; a cross at the top where training diverged, a circle around the
            best. Requires matplotlib (the extra ``plot``).

        Examples
        --------
        >>> import numpy as np
        >>> import funkc
        >>> ratings = np.add.outer(np.arange(9.0), np.arange(8.0))
        >>> figure = funkc.cross_validate(None, ratings, k=[1, 2], folds=3).plot()
        >>> figure.axes[0].get_xlabel()
        'k'
        """
        try:
            from matplotlib import colormaps
            from matplotlib.figure import Figure
        except ImportError as error:
            raise missing_extra("matplotlib", "plot", "a figure") from error
        best, kind = self._best, self._kind
        values = {name: _distinct(row[name] for row in self.table) for name in self.best_parameters}
        across, *others = [name for name in values if len(values[name]) > 1] or ["k"]
        ticks = values[across]
        logarithmic = all(type(value) in (int, float) and value > 0 for value in ticks)
        if logarithmic:
            ticks = sorted(ticks)
        lines = _distinct([row[name] for name in others] for row in self.table)
        drawn = Figure(figsize=(7, 4 + 0.1 * len(lines)), layout="constrained")
        axes = drawn.add_subplot()
        for nth, line in enumerate(lines):
            rows = [row for row in self.table if [row[name] for name in others] == line]
            rows.sort(key=lambda row: ticks.index(row[across]))
            places = [row[across] if logarithmic else ticks.index(row[across]) for row in rows]
            named = (f"{name} {_text(value)}" for name, value in zip(others, line, strict=True))
            label = ", ".join(named) or "mean ± one standard error"
            color = colormaps["viridis"](0.85 * nth / max(1, len(lines) - 1))
            axes.errorbar(
                places,
                [row[kind] if math.isfinite(row[kind]) else math.nan for row in rows],
                [row["standard_error"] for row in rows],
                color=color,
                marker="o",
                markersize=4,
                capsize=3,
                elinewidth=1,
                label=label,
            )
            at_top = [
                place for place, row in zip(places, rows, strict=True) if math.isinf(row[kind])
            ]
            if at_top:
                axes.plot(
                    at_top,
                    [0.97] * len(at_top),
                    "x",
                    color=color,
                    label=f"{label}: diverged",
                    transform=axes.get_xaxis_transform(),
                )
            if best in rows:
                place = places[rows.index(best)]
                axes.plot(place, best[kind], "ko", markersize=12, fillstyle="none", label="best")
        if logarithmic:
            axes.set_xscale("log")
        shown = slice(None, None, -(-len(ticks) // MOST_TICKS))
        axes.set_xticks(
            (ticks if logarithmic else range(len(ticks)))[shown],
            [_text(value) for value in ticks[shown]],
        )
        axes.set_xticks([], minor=True)
        axes.set_xlabel(across)
        axes.set_ylabel(f"{'RMSE' if kind == 'rmse' else 'loss'} on held-out entries")
        axes.grid(alpha=0.3)
        drawn.legend(loc="outside lower center", ncols=2, fontsize="small")
        return drawn


@own_errstate
def cross_validate(
    mask: ArrayLike | tuple[ArrayLike, ArrayLike] | None,
    values: Any,
    k: int | Sequence[int] | NDArray[Any],
    regularization: (
        float
        | tuple[float, float]
        | Sequence[float | tuple[float, float] | None]
        | NDArray[Any]
        | None
    ) = None,
    *,
    bias_regularization: (
        float
        | tuple[float, float]
        | Sequence[float | tuple[float, float] | None]
        | NDArray[Any]
        | None
    ) = None,
    learning_rate: float | Sequence[float | None] | NDArray[Any] | None = None,
    n_epochs: int | Sequence[int | None] | NDArray[Any] | None = None,
    biases: bool | Literal["auto"] | Sequence[bool | Literal["auto"]] = "auto",
    nonnegative: bool | Sequence[bool] = False,
    offset: float | Literal["auto"] | Sequence[float | Literal["auto"]] | NDArray[Any] = "auto",
    decay: Literal["linear", "constant"] | Sequence[Literal["linear", "constant"]] = "linear",
    group_size: Literal[1, 8] | Sequence[Literal[1, 8]] = 8,
    stages: int | Sequence[int | None] | NDArray[Any] | None = None,
    members: int | Sequence[int] | NDArray[Any] = 1,
    loss: Literal["squared", "absolute", "huber", "logistic", "poisson"] = "squared",
    huber_delta: float | None = None,
    folds: int = 5,
    refit: bool = True,
    shape: tuple[int, int] | None = None,
    weights: ArrayLike | None = None,
    random_state: Any = 0,
    n_threads: int | None = None,
    dtype: DTypeLike | None = None,
    duplicates: Duplicates = "error",
    callback: Callable[[int, int], object] | None = None,
) -> CrossValidation:
    """Find the parameters that predict held-out entries best, by masked cross-validation.

    Every observed entry is randomly assigned to one of the folds. For every combination of
    parameters and every fold, a factorization of the other folds predicts the entries of the
    fold.

    Parameters
    ----------
    mask, values, shape, weights, dtype, duplicates
        As for `funkc.factorize`. The weights of held-out entries are ignored.
    k, regularization, learning_rate, n_epochs, biases, nonnegative, offset, decay
        As for `funkc.factorize`, or several values to try: a **list, a range or an array is
        an axis of the grid**; anything else is a single value, so a tuple is a pair of
        regularizations (of rows, of columns), but a list of two numbers is not. None in a list
        means the default chosen from the data. All combinations are tried.
    bias_regularization, group_size, stages, members
        Likewise.
    loss, huber_delta
        As for `funkc.factorize`: a single one, as different losses can't be compared. (By default
        `huber_delta` depends on what biases leave: to compare `biases` or `offset`, pass it.)
    folds : int, default 5
        The number of folds, from 2 to 1,000. Each has about the same number of entries.
    refit : bool, default True
        Whether to train on all entries with the best parameters at the end.
    random_state : int, numpy.random.Generator, numpy.random.RandomState or None, default 0
        Seeds the folds, and every fit as in `funkc.factorize`.
    n_threads : int, optional
        As for `funkc.factorize`. At most this many fits run in parallel.
    callback : callable, optional
        Called as ``callback(done, total)`` with numbers of fits whenever some have finished. An
        exception that it raises stops the search.

    Returns
    -------
    CrossValidation
        A table of errors, the best parameters, and the fit to all entries.

    Raises
    ------
    ValueError, TypeError
        Invalid input, which includes a fold without entries; the message names argument,
        value, position and remedy.
    MemoryError
        The factors do not fit in memory.
    DivergedError
        For every combination, training diverged in at least one fold.

    Notes
    -----
    **The end of training counts.** The RMSE (or loss) of a fold is that of the factors and biases
    that `funkc.factorize` returns for the other folds. Stopping at the best epoch would let the
    held-out entries choose it, and their RMSE would be too low; nor would there be held-out
    entries for the fit to all entries. A list of `n_epochs` tells little, because the default
    learning rate falls as their number grows; to find how long to train, pass a list of
    `learning_rate` or of `stages`.

    **One standard error.** Combinations whose mean is less than one standard error above the
    lowest can hardly be distinguished from the best; the printed table marks them. A common
    rule chooses the simplest of them: the smallest k, the largest regularization.

    **Reproducible**: the same data, seed and parameters give the same bits, with any number
    of threads and the entries in any order. The fold of an entry depends only on its row and
    column, the shape and the seed.

    **Threads**: min(n_threads, number of fits) fits run in parallel and share the threads
    evenly. Ctrl-C stops all of them.

    **Memory**: every running fit has its own entries and factors. Pass a smaller `n_threads`
    if that needs too much memory.

    Examples
    --------
    >>> import numpy as np
    >>> import funkc
    >>> rng = np.random.default_rng(0)
    >>> ratings = rng.normal(size=(60, 2)) @ rng.normal(size=(2, 40))
    >>> mask = rng.random(ratings.shape) < 0.5
    >>> result = funkc.cross_validate(mask, ratings, k=[1, 3], regularization=[0.01, 1.0])
    >>> result.best_parameters
    {'k': 3, 'regularization': 0.01}
    >>> bool(np.abs(result.fit.reconstruct() - ratings)[~mask].mean() < 0.1)
    True
    """
    cells = observed_cells(mask, values, shape=shape, duplicates=duplicates, weights=weights)
    seed = scalars.seed_of(random_state)
    parameters = {
        "k": k,
        "regularization": regularization,
        "bias_regularization": bias_regularization,
        "learning_rate": learning_rate,
        "n_epochs": n_epochs,
        "biases": biases,
        "nonnegative": nonnegative,
        "offset": offset,
        "decay": decay,
        "group_size": group_size,
        "stages": stages,
        "members": members,
    }
    grid = checked_grid(parameters, seed, n_threads, dtype, loss, huber_delta)
    number = checked_folds(folds, cells, seed)
    wanted = scalars.flag("refit", refit)
    warn_of_outliers(cut(cells, grid[0][1]), grid[0][1].loss, cells.ids)
    listen = scalars.callback(callback, "(done, total)")
    scores, refused = _scores(cells, number, [options for _, options in grid], listen)
    named = [name for name in parameters if name == "k" or is_axis(parameters[name])]
    n_folds = len(scores) // len(grid)
    kind = grid[0][1].loss.measure
    table = [
        {
            **{name: combination[name] for name in named},
            **_summary(scores[nth * n_folds : (nth + 1) * n_folds], kind),
        }
        for nth, (combination, _) in enumerate(grid)
    ]
    best = min(range(len(grid)), key=lambda nth: table[nth][kind])
    if math.isinf(table[best][kind]):
        raise next(score.diverged for score in scores if score.diverged is not None)
    fit = None
    if wanted:
        fit = Factorization._of(*_train.train(cells, grid[best][1]), *cells.ids)
    warn_if_refused(*refused)
    return CrossValidation(
        table, {name: table[best][name] for name in named}, table[best][kind], fit
    )


@dataclass(frozen=True)
class _Score:
    """The result of one fit."""

    error: float
    seconds: float
    diverged: DivergedError | None = None


def _scores(
    cells: Cells,
    folds: int,
    grid: list[Options],
    listen: Callable[[int, int], object] | None,
) -> tuple[list[_Score], list[tuple[int, int]]]:
    """One score per combination and fold, and what was refused of threads; several fits run in
    parallel.
    """
    tasks = [(options, nth) for options in grid for nth in range(folds)]
    workers = min(grid[0].n_threads, len(tasks))
    each = grid[0].n_threads // workers
    stopped: list[bool] = []  # whose append no signal can tear apart, as it can a lock
    refused: list[tuple[int, int]] = []

    def heed() -> None:
        if stopped:
            raise KeyboardInterrupt

    @own_errstate
    def score(options: Options, nth: int) -> _Score:
        began = time.perf_counter()
        heed()
        draw = Draw(False, options.seed, folds=folds, fold=nth)
        try:
            training, _ = _train.train(replace(cells, draw=draw), options, between_spans=heed)
            held = replace(cells, draw=replace(draw, drawn=True)).listed()
            test = Validation(training.schedule, held, options.n_threads, options.loss)
            error = options.loss.measured(training.error(test))
            if not math.isfinite(error):
                epoch, rate = (training.history[name][-1] for name in ("epoch", "learning_rate"))
                raise DivergedError(int(epoch), rate)
        except DivergedError as diverged:
            return _Score(math.inf, time.perf_counter() - began, diverged)
        finally:
            refused.append(machine.refused())
        return _Score(error, time.perf_counter() - began)

    left, done = SimpleQueue[int](), SimpleQueue[tuple[int, _Score | BaseException]]()
    for at in range(len(tasks)):
        left.put(at)

    def work_once() -> bool:
        """One fit; whether there may be more."""
        try:
            at = left.get_nowait()
        except Empty:
            return False
        try:
            options, nth = tasks[at]
            done.put((at, score(replace(options, n_threads=each), nth)))
        except BaseException as error:
            done.put((at, error))
            return False
        return True

    def work() -> None:
        while work_once():
            pass

    scores: dict[int, _Score] = {}
    crew: list[threading.Thread] = []
    before = sys.exc_info()[1]  # which the caller handles
    machine.release_workers()  # idle threads of this one count where the system limits their number
    try:
        for _ in range(workers):
            thread = threading.Thread(target=work, name="funkc")
            try:
                thread.start()
            except RuntimeError as error:  # the system refuses it, or a signal came meanwhile
                if _cause(error, before) is not error:
                    raise
                refused.append((max(1, len(crew)) * each, workers * each))
                break
            crew.append(thread)
        while len(scores) < len(tasks):
            if not crew:
                work_once()
            try:
                at, found = done.get(timeout=WAIT_SECONDS)
            except Empty:
                continue
            if isinstance(found, BaseException):
                raise found
            scores[at] = found
            if listen is not None:
                listen(len(scores), len(tasks))
    except Exception as error:
        raise _cause(error, before) from None
    finally:  # only this thread receives Ctrl-C
        stopped.append(True)
        for thread in crew:
            thread.join()
        while not done.empty():  # errors of others would keep their memory as long as this one
            done.get()
    return [scores[at] for at in range(len(tasks))], refused


def _cause(error: BaseException, before: BaseException | None) -> BaseException:
    """The Ctrl-C, or what else a handler of signals has raised, that made a lock of Python fail;
    since what the caller handled before.
    """
    cause: BaseException | None = error
    while cause is not None and cause is not before:
        if not isinstance(cause, Exception):
            return cause
        cause = cause.__context__
    return error


def _summary(scores: list[_Score], kind: str) -> dict[str, Any]:
    """Mean and standard error over the folds of one combination."""
    errors = [score.error for score in scores]
    mean = math.fsum(errors) / len(errors)
    squares = math.fsum((error - mean) ** 2 for error in errors)
    return {
        kind: mean,
        "standard_error": math.sqrt(squares / (len(errors) - 1) / len(errors)),
        f"fold_{kind}": errors,
        "seconds": math.fsum(score.seconds for score in scores),
    }


def _distinct(values: Any) -> list[Any]:
    """Every value once, in order; also for lists, which are not hashable."""
    out: list[Any] = []
    for value in values:
        if value not in out:
            out.append(value)
    return out


def _text(value: object) -> str:
    if value is None:
        return "default"
    return f"{value:.6g}" if isinstance(value, float) else str(value)
