"""Masked cross-validation: find the parameters that predict held-out entries best."""

from __future__ import annotations

import math
import sys
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, replace
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from funkc import _train
from funkc._baselines import baselines_of, popularity_of
from funkc._core import machine
from funkc._core.threads import warn_if_refused
from funkc._errors import DivergedError, reject, warn
from funkc._errstate import own_errstate
from funkc._export import imported_pandas
from funkc._input import scalars
from funkc._input.cells import Cells, observed_cells
from funkc._input.loss import mean_loss
from funkc._input.options import checked_grid, is_axis, is_distribution
from funkc._input.split import checked_folds
from funkc._judge import warn_of_outliers
from funkc._judging import Judging
from funkc._plots import Tuned, text
from funkc._schedule import cut
from funkc._scores import HIGHER_IS_BETTER, NEITHER_IS_BETTER, OF_RANKINGS
from funkc._sides import Side
from funkc.factorization import Factorization

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from matplotlib.figure import Figure
    from numpy.typing import ArrayLike, DTypeLike, NDArray

    from funkc._input.cells import Duplicates
    from funkc._input.options import Options
    from funkc._input.split import Folds

WAIT_SECONDS = 0.1  # without a timeout, Ctrl-C would have to wait on Windows
# Which say nothing of what was trained on.
OF_CATALOGUE = ("coverage", "popularity")


@dataclass(frozen=True, repr=False, eq=False)
class CrossValidation:
    """The result of `funkc.cross_validate`; printing it shows a table.

    Attributes
    ----------
    table : list of dict
        One for every combination, in grid order or as they were drawn: ``k`` and the parameters
        that were given as lists or distributions; for every score its name, such as ``rmse`` (the
        mean over the folds), ``rmse_standard_error`` (of that mean), ``fold_rmse`` (a list) and, if
        `scoring` was given, ``train_rmse`` (the mean over the folds of the score on the entries
        that trained them); and ``seconds`` (total of its fits). If a fit diverged, its scores and
        their means are the worst infinity and the standard errors are NaN.
    baselines : list of dict
        The same scores of models without factors: ``baseline`` ("mean", "biases", "popularity"),
        and the scores that the model can have.
    scoring : list of str
        The names of the scores; the first one chooses the best combination. Without `scoring` it
        is "rmse", or with another loss than the squared one "loss", the mean per entry.
    best_parameters : dict
        ``k`` and the parameters that were given as lists or distributions, as `funkc.factorize`
        takes them, of the best combination.
    best_score : float
        The mean score of that combination.
    fit : Factorization or None
        Trained on all entries with the best parameters, if `refit` is True.

    Examples
    --------
    >>> import numpy as np
    >>> import funkc
    >>> ratings = np.add.outer(np.arange(9.0), np.arange(8.0))
    >>> result = funkc.cross_validate(None, ratings, k=[1, 2], cv=3)
    >>> [row["k"] for row in result.table], len(result.table[0]["fold_rmse"])
    ([1, 2], 3)
    """

    table: list[dict[str, Any]]
    baselines: list[dict[str, Any]]
    scoring: list[str]
    best_parameters: dict[str, Any]
    best_score: float
    fit: Factorization | None

    def __repr__(self) -> str:
        best, kind = self._best, self.scoring[0]
        trained = [name for name in self.scoring if f"train_{name}" in best]
        heads = [f"{name} ± standard error" for name in self.scoring]
        heads += [f"train {name}" for name in trained]
        lines = [[*self.best_parameters, *heads, "seconds", ""]]
        sign = -1 if kind in HIGHER_IS_BETTER else 1
        limit = sign * self.best_score + best[f"{kind}_standard_error"]
        for row in self.table:
            mark = ""
            if row is best:
                mark = "best"
            elif sign * row[kind] <= limit:
                mark = "within one standard error"
            elif math.isinf(row[kind]):
                errors = row[f"fold_{kind}"]
                mark = f"diverged in {sum(map(math.isinf, errors))} of {len(errors)} folds"
            shown = [text(row[name]) for name in self.best_parameters]
            numbers = [f"{row[f'train_{name}']:.5g}" for name in trained]
            lines.append([*shown, *self._scores_of(row), *numbers, f"{row['seconds']:.2f}", mark])
        for row in self.baselines:
            blanks = [""] * len(self.best_parameters)
            more = [""] * (len(trained) + 1)
            lines.append([*blanks, *self._scores_of(row), *more, f"baseline: {row['baseline']}"])
        *columns, marks = zip(*lines, strict=True)
        widths = [max(map(len, column)) for column in columns]
        return "\n".join(
            "  ".join([*map(str.rjust, line, widths), mark]).rstrip()
            for *line, mark in zip(*columns, marks, strict=True)
        )

    def _scores_of(self, row: dict[str, Any]) -> list[str]:
        """All scores of a line of the table, as text."""
        both = ((row.get(name), row.get(f"{name}_standard_error")) for name in self.scoring)
        return ["" if score is None else f"{score:.5g} ± {error:.2g}" for score, error in both]

    def to_pandas(self) -> Any:
        """The table as a data frame, whose last rows are the baselines.

        Returns
        -------
        pandas.DataFrame
            Its column ``baseline`` is missing for combinations of parameters.

        Raises
        ------
        ImportError
            pandas is not installed.

        Examples
        --------
        >>> import numpy as np
        >>> import funkc
        >>> ratings = np.add.outer(np.arange(9.0), np.arange(8.0))
        >>> result = funkc.cross_validate(None, ratings, k=[1, 2], cv=3)
        >>> result.to_pandas()["baseline"].tolist()
        [nan, nan, 'mean', 'biases']
        """
        return imported_pandas().DataFrame([*self.table, *self.baselines])

    @property
    def _best(self) -> dict[str, Any]:
        return self.table[_best_of(self.table, self.scoring[0])]

    @own_errstate
    def plot(self, name: str | None = None) -> Figure:
        """Plot a score against the first parameter that has several values.

        Parameters
        ----------
        name : str, optional
            One of `scoring`, by default the first.

        Returns
        -------
        matplotlib.figure.Figure
            One line for every combination of the other parameters, with error bars of one
            standard error; a cross at the top where training diverged, a circle around the
            best. If not all combinations were tried: axes for each parameter that has several
            values, with a point for every combination. Requires matplotlib (the extra ``plot``).

        Examples
        --------
        >>> import numpy as np
        >>> import funkc
        >>> ratings = np.add.outer(np.arange(9.0), np.arange(8.0))
        >>> figure = funkc.cross_validate(None, ratings, k=[1, 2], cv=3).plot()
        >>> figure.axes[0].get_xlabel()
        'k'
        """
        return self._tuned(name).curves()

    @own_errstate
    def plot_surface(self, x: str | None = None, y: str | None = None) -> Figure:
        """Plot the first score over two parameters.

        Parameters
        ----------
        x, y : str, optional
            Names of parameters, as in `best_parameters`. By default the first ones that have
            several values.

        Returns
        -------
        matplotlib.figure.Figure
            A heat map with the numbers, with the other parameters as in the best combination,
            which the title names; hatched where training diverged, the best framed. If not all
            combinations were tried: a point for each that was, whatever its other parameters,
            a cross where training diverged. Requires matplotlib (the extra ``plot``).

        Raises
        ------
        ValueError
            There is no such parameter, or fewer than two have several values.

        Examples
        --------
        >>> import numpy as np
        >>> import funkc
        >>> ratings = np.add.outer(np.arange(9.0), np.arange(8.0))
        >>> result = funkc.cross_validate(None, ratings, [1, 2], [None, 0.1], cv=3)
        >>> axes = result.plot_surface().axes[0]
        >>> axes.get_xlabel(), axes.get_ylabel()
        ('k', 'regularization')
        """
        return self._tuned(None).surface(x, y)

    def _tuned(self, name: str | None) -> Tuned:
        score = self.scoring[0] if name is None else scalars.choice("name", name, self.scoring)
        best = self.table[_best_of(self.table, score)]
        return Tuned.read(self.table, self.best_parameters, best, score)


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
    cv: Any = 5,
    scoring: str | Sequence[str] | None = None,
    n: int = 10,
    relevant: float | Callable[[NDArray[np.float64]], Any] | None = None,
    n_iter: int | None = None,
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
        means the default chosen from the data. All combinations are tried, or with `n_iter` some
        of them; then an axis may also be a **distribution**: an object with a method ``rvs``, such
        as ``scipy.stats.loguniform(0.01, 1)``.
    bias_regularization, group_size, stages, members
        Likewise.
    loss, huber_delta
        As for `funkc.factorize`: a single one, as different losses can't be compared. (By default
        `huber_delta` depends on what biases leave: to compare `biases` or `offset`, pass it.)
    cv : int, list or splitter, default 5
        The number of folds, from 2 to 1,000, into which entries are drawn; or splits of the same
        data: of `funkc.evaluation` (such as ``k_fold(ratings, by="time")``), pairs of positions to
        train on and to test with, or an object of scikit-learn with a method ``split`` (for which
        the rows are groups). Positions are those of `funkc.evaluation.Split`. Rows (or columns)
        whose entries are `given` are folded in before they are tested.
    scoring : str or list of str, optional
        Scores of `funkc.evaluation.evaluate`, all of which are computed, also on the entries that
        trained a fit; the first one chooses the best combination. By default the RMSE, or the mean
        loss, on the held-out entries.
    n, relevant
        As for `funkc.evaluation.evaluate`.
    n_iter : int, optional
        The number of combinations to draw at random, instead of trying all of them.
    refit : bool, default True
        Whether to train on all entries with the best parameters at the end.
    random_state : int, numpy.random.Generator, numpy.random.RandomState or None, default 0
        Seeds the folds, what is drawn with `n_iter`, and every fit as in `funkc.factorize`.
    n_threads : int, optional
        As for `funkc.factorize`. At most this many fits run in parallel.
    callback : callable, optional
        Called as ``callback(done, total)`` with numbers of fits whenever some have finished. An
        exception that it raises stops the search.

    Returns
    -------
    CrossValidation
        A table of scores, those of simpler models, the best parameters, and the fit to all entries.

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
    **Baselines.** In the table are also the scores of the mean, of biases alone and, with scores of
    rankings, of the most popular columns. A warning says if the best combination is no better.

    **The end of training counts.** The scores of a fold are those of the factors and biases
    that `funkc.factorize` returns for the other folds. Stopping at the best epoch would let the
    held-out entries choose it, and their score would be too good; nor would there be held-out
    entries for the fit to all entries. A list of `n_epochs` tells little, because the default
    learning rate falls as their number grows; to find how long to train, pass a list of
    `learning_rate` or of `stages`.

    **One standard error.** Combinations whose mean is within one standard error of the best
    can hardly be distinguished from the best; the printed table marks them. A common
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
    grid = checked_grid(parameters, seed, n_threads, dtype, loss, huber_delta, n_iter)
    folds = checked_folds(cv, (mask, values, shape), cells, seed)
    judging = Judging.checked("rmse" if scoring is None else scoring, n, relevant, False)
    if judging.names[0] in NEITHER_IS_BETTER:
        remedy = "put another score first, by which to choose"
        reject("scoring", f"begins with {judging.names[0]!r}, which has no best", remedy)
    by_loss = scoring is None and not grid[0][1].loss.squared
    wanted = scalars.flag("refit", refit)
    schedule = cut(cells, grid[0][1])
    warn_of_outliers(schedule, grid[0][1].loss, cells.ids)
    constant = schedule.low == schedule.high
    del schedule  # its memory
    listen = scalars.callback(callback, "(done, total)")
    search = _Search(
        folds, [o for _, o in grid], None if by_loss else judging, trained=scoring is not None
    )
    scores, refused = _run(search, listen)
    named = [
        name
        for name in parameters
        if name == "k" or is_axis(parameters[name]) or is_distribution(parameters[name])
    ]
    table = [
        {
            **{name: combination[name] for name in named},
            **search.summary(scores[nth * folds.number : (nth + 1) * folds.number]),
        }
        for nth, (combination, _) in enumerate(grid)
    ]
    simple = search.baselines()
    best = _best_of(table, search.names[0])
    if math.isinf(table[best][search.names[0]]):
        raise next(score.diverged for score in scores if score.diverged is not None)
    if not constant:  # or there is nothing to be better at
        _warn_of_baselines(table[best], simple, search.names[0])
    fit = None
    if wanted:
        fit = Factorization._of(*_train.train(cells, grid[best][1]), *cells.ids)
    warn_if_refused(*refused)
    return CrossValidation(
        table,
        simple,
        search.names,
        {name: table[best][name] for name in named},
        table[best][search.names[0]],
        fit,
    )


def _best_of(table: list[dict[str, Any]], name: str) -> int:
    """The line with the best score."""
    sign = -1 if name in HIGHER_IS_BETTER else 1
    return min(range(len(table)), key=lambda nth: sign * table[nth][name])


def _warn_of_baselines(best: dict[str, Any], simple: list[dict[str, Any]], name: str) -> None:
    """Say which models without factors are as good as the best combination."""
    sign = -1 if name in HIGHER_IS_BETTER else 1
    as_good = [row for row in simple if name in row and sign * row[name] <= sign * best[name]]
    advice = "try other parameters, or collect more entries"
    if name in OF_RANKINGS:
        advice = (
            "what is seen next may say more than values do: train with loss='logistic' on what was "
            "seen and what funkc.ratings.sample_unobserved draws"
        )
    if as_good:
        row = min(as_good, key=lambda row: sign * row[name])
        warn(
            f"cross_validate: the best combination ({name} {best[name]:.5g}) is no better than "
            f"{row['baseline']!r}, a model without factors ({row[name]:.5g}); {advice}",
            UserWarning,
        )


@dataclass(frozen=True)
class _Score:
    """The result of one fit: scores by name, also those of training."""

    scores: dict[str, float]
    seconds: float
    diverged: DivergedError | None = None


@dataclass(frozen=True)
class _Search:
    """All fits of a cross-validation, and what is asked of them."""

    folds: Folds
    grid: list[Options]
    judging: Judging | None  # None: the mean loss
    trained: bool  # whether fits are judged on their own entries too

    @property
    def names(self) -> list[str]:
        """Of the scores."""
        return ["loss"] if self.judging is None else self.judging.names

    @property
    def _ranks(self) -> bool:
        """Whether what was trained on matters to the scores."""
        return self.judging is not None and self.judging.ranks

    def fitted(self, options: Options, nth: int, heed: Callable[[], object]) -> dict[str, float]:
        """The scores of one fit."""
        training, held, given = self.folds.part(nth)
        made = _train.train(training, options, between_spans=heed)
        fit = Factorization._of(*made, *training.ids)
        try:
            told = self.judged(fit, held, training, given)
        except (TypeError, ValueError) as error:
            raise type(error)(f"fold {nth} of cv: {error}") from None
        if self.trained:
            assert self.judging is not None
            own = replace(self.judging, names=[x for x in self.names if x not in OF_CATALOGUE])
            if own.names:
                found = own.of_fit(fit, training.listed(), None).scores
                told |= {f"train_{name}": score for name, score in found.items()}
        deciding = told[self.names[0]]
        if math.isnan(deciding) and np.isfinite(fit.noise or 0.0):
            undefined = f"{self.names[0]!r} is not defined in fold {nth}"
            reject("scoring", undefined, "begin with another score, or pass other folds")
        if not math.isfinite(deciding):
            epoch, rate = (fit.history[name][-1] for name in ("epoch", "learning_rate"))
            raise DivergedError(int(epoch), rate)
        return told

    def judged(
        self, fit: Factorization, held: Cells, training: Cells, given: Cells | None
    ) -> dict[str, float]:
        """The scores of a model; new rows or columns are folded in."""
        seen = training.listed() if given is not None or self._ranks else None
        if given is not None and seen is not None:
            fit = self._with_new(fit, held, seen, given)
            seen = _together(seen, given)
        if self.judging is not None:
            return self.judging.of_fit(fit, held, seen if self._ranks else None).scores
        rows, cols = held.rows.astype(np.int64), held.cols.astype(np.int64)
        scores = fit._answers.scores(rows, cols)
        return {"loss": mean_loss(fit._loss, held.values, scores, np.empty(0))}

    def _with_new(
        self, fit: Factorization, held: Cells, seen: Cells, given: Cells
    ) -> Factorization:
        """With the factors of new rows (or columns) in place of the mean ones."""
        cold_rows = not np.isin(held.rows, seen.rows).any()
        fold_in = fit.fold_in_rows if cold_rows else fit.fold_in_cols
        weights = given.weights if given.weights.size else None
        pair = given.rows, given.cols
        new = fold_in(pair, given.values, weights=weights, shape=given.shape, ids=False)
        old, others = (fit._rows, new._rows) if cold_rows else (fit._cols, new._cols)
        lines = np.unique(given.rows if cold_rows else given.cols)
        ready = old.ready.copy()
        ready[lines] = others.ready[lines]
        k, biased = fit.k, old.bias is not None
        side = Side.of_ready(ready, k, old.ids, biased=biased, first=cold_rows)
        return fit._changed(**{"_rows" if cold_rows else "_cols": side})

    def baselines(self) -> list[dict[str, Any]]:
        """The scores of models without factors, as far as they have them."""
        several: dict[str, tuple[_Search, list[_Score]]] = {}
        for nth in range(self.folds.number):
            training, held, given = self.folds.part(nth)
            simple = baselines_of(training, self.grid[0], lambda: None)
            for name, fit in simple.items():
                scored = self if name == "biases" else self._only_of(name == "popularity")
                if scored is None:
                    continue
                known, others = training, given
                if name == "popularity" and given is not None:
                    known, others = _together(training.listed(), given), None
                    fit = popularity_of(known, self.grid[0])
                found = scored.judged_as_far(fit, held, known, others)
                several.setdefault(name, (scored, []))[1].append(_Score(found, 0.0))
        out = []
        for name, (scored, scores) in several.items():
            names = [one for one in scored.names if all(one in score.scores for score in scores)]
            line = {"baseline": name, **_summary(names, scores)}
            out.append(line)
        return out

    def judged_as_far(
        self, fit: Factorization, held: Cells, training: Cells, given: Cells | None
    ) -> dict[str, float]:
        """Without the scores that its predictions can't have."""
        if self.judging is None:
            return self.judged(fit, held, training, given)
        with suppress(ValueError):
            return self.judged(fit, held, training, given)
        out: dict[str, float] = {}
        for name in self.names:
            alone = replace(self, judging=replace(self.judging, names=[name]))
            with suppress(ValueError):
                out |= alone.judged(fit, held, training, given)
        return out

    def _only_of(self, rankings: bool) -> _Search | None:
        """With those scores only that are of rankings, or of predictions."""
        if self.judging is None:
            return None if rankings else self
        names = [name for name in self.names if (name in OF_RANKINGS) == rankings]
        return replace(self, judging=replace(self.judging, names=names)) if names else None

    def summary(self, scores: list[_Score]) -> dict[str, Any]:
        """Means and standard errors over the folds of one combination."""
        out = _summary(self.names, scores)
        for name in self.names:
            if self.trained and name not in OF_CATALOGUE:
                found = [score.scores.get(f"train_{name}", _worst(name)) for score in scores]
                out[f"train_{name}"] = math.fsum(found) / len(found)
        return {**out, "seconds": math.fsum(score.seconds for score in scores)}


def _worst(name: str) -> float:
    """The score of a fit that diverged."""
    return -math.inf if name in HIGHER_IS_BETTER else math.inf


def _summary(names: list[str], scores: list[_Score]) -> dict[str, Any]:
    """Means and standard errors of scores over the folds."""
    out: dict[str, Any] = {}
    for name in names:
        found = [score.scores.get(name, _worst(name)) for score in scores]
        mean = math.fsum(found) / len(found)
        squares = math.fsum((score - mean) ** 2 for score in found)
        error = math.nan
        if len(found) > 1:
            error = math.sqrt(squares / (len(found) - 1) / len(found))
        out |= {name: mean, f"{name}_standard_error": error, f"fold_{name}": found}
    return out


def _together(some: Cells, more: Cells) -> Cells:
    """The entries of both, without weights."""
    rows, cols, values = (
        np.concatenate([getattr(some, name), getattr(more, name)])
        for name in ("rows", "cols", "values")
    )
    return Cells(rows, cols, values, some.shape, ids=some.ids)


def _run(
    search: _Search, listen: Callable[[int, int], object] | None
) -> tuple[list[_Score], list[tuple[int, int]]]:
    """One score per combination and fold, and what was refused of threads; several fits run in
    parallel.
    """
    grid, folds = search.grid, search.folds.number
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
        try:
            found = search.fitted(options, nth, heed)
        except DivergedError as diverged:
            return _Score({}, time.perf_counter() - began, diverged)
        finally:
            refused.append(machine.refused())
        return _Score(found, time.perf_counter() - began)

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
