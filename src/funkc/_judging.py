"""What is asked of a factorization, and how it answers: scores on held-out entries."""

from __future__ import annotations

import itertools
import math
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from funkc._bar import bar
from funkc._errors import UnknownIdWarning, reject, shown, warn
from funkc._errstate import own_errstate
from funkc._export import imported_pandas
from funkc._input.arrays import numeric
from funkc._input.cells import (
    Cells,
    among,
    in_order,
    keys,
)
from funkc._input.lookups import Choice
from funkc._input.scalars import choice, flag, integer
from funkc._plots import of_groups
from funkc._ranking import Ranking
from funkc._scores import (
    OF_ENTRIES,
    OF_RANKINGS,
    Bin,
    Predicted,
    Ranked,
    Score,
    checked_scoring,
    in_bins,
    mean_over_rows,
    relevance,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    from funkc.factorization import Factorization

# Design
# a. Rows and columns of the test are numbered as in the model, and those that it lacks after them:
#    they are predicted as the mean row (or column), as `predict(unknown="baseline")` does.
# b. `Judging` is what is asked for, checked once; `cross_validate` applies it to every fold.

GROUPS = (0, 1, 10, 30, 100, 300, 1000)  # where groups of rows begin, by training entries
SCORES_AT_ONCE = 1 << 26


@dataclass(frozen=True, repr=False, eq=False)
class Evaluation:
    """The result of `funkc.evaluation.evaluate`; printing it shows a table.

    ``evaluation["ndcg"]`` is the score of that name.

    Attributes
    ----------
    scores, standard_errors : dict of str to float
        Each score over all rows, and its standard error over rows (NaN of a single row).
    table : list of dict
        The same for all rows, and then for groups of rows by the number of their entries in
        `train`, if that was given: ``group`` (such as "all" or "10-29"), ``rows``, ``entries``, and
        for each score its name and ``NAME_standard_error``; NaN where it is not defined.
    n_entries, n_rows : int
        The numbers of test entries, and of rows that have some.
    n_unknown : int
        How many of the test entries are in rows or columns that the factorization does not have,
        and were predicted with the mean of all rows (or columns).
    n_ranked, n_left_out : int
        How many rows have relevant entries, and were ranked for; and how many have none, and were
        left out of these scores. Both are 0 without scores of rankings.

    Examples
    --------
    >>> import numpy as np
    >>> import funkc
    >>> from funkc import evaluation
    >>> split = evaluation.split_random(np.add.outer(np.arange(9.0), np.arange(8.0)), 0.2)
    >>> fit = funkc.factorize(*split.train_data, k=1, shape=split.shape)
    >>> result = evaluation.evaluate(fit, split.test_data, scoring="r2")
    >>> result["r2"] > 0.9, result.n_entries == split.test.size
    (True, True)
    """

    scores: dict[str, float]
    standard_errors: dict[str, float]
    table: list[dict[str, Any]]
    n_entries: int
    n_rows: int
    n_unknown: int
    n_ranked: int
    n_left_out: int

    def __getitem__(self, name: str) -> float:
        return self.scores[name]

    def __repr__(self) -> str:
        lines = [["", *(row["group"] for row in self.table)]]
        lines += [[name, *(f"{row[name]:,}" for row in self.table)] for name in ("rows", "entries")]
        for name in self.scores:
            errors = [row[f"{name}_standard_error"] for row in self.table]
            both = zip((row[name] for row in self.table), errors, strict=True)
            lines.append([name, *(_with_error(*pair) for pair in both)])
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        told = ["  ".join(map(str.rjust, line, widths)).rstrip() for line in lines]
        if len(self.table) > 1:
            told.insert(0, "columns: rows by number of training entries; score ± standard error")
        notes = {
            "test entries in unknown rows or columns": self.n_unknown,
            "rows without relevant entries, left out of rankings": self.n_left_out,
        }
        told += [f"{n:,} {what}" for what, n in notes.items() if n]
        return "\n".join(told)

    def to_pandas(self) -> Any:
        """The table as a data frame, with the groups of rows as index.

        Returns
        -------
        pandas.DataFrame

        Raises
        ------
        ImportError
            pandas is not installed.

        Examples
        --------
        >>> import numpy as np
        >>> import funkc
        >>> from funkc import evaluation
        >>> fit = funkc.factorize(None, np.add.outer([1.0, 2.0, 3.0], [1.0, 2.0]), k=1)
        >>> evaluation.evaluate(fit, (([0, 1], [1, 1]), [3.0, 5.0])).to_pandas().index.tolist()
        ['all']
        """
        return imported_pandas().DataFrame(self.table).set_index("group")

    @own_errstate
    def plot(self, name: str | None = None) -> Figure:
        """Plot a score of rows by their numbers of training entries.

        Parameters
        ----------
        name : str, optional
            The name of a score; by default the first one.

        Returns
        -------
        matplotlib.figure.Figure
            The score of each group of rows with error bars of one standard error, and of all rows
            as a line; below each group its numbers of rows and of test entries. Nothing is drawn
            where a score is not defined. Requires matplotlib (the extra ``plot``).

        Raises
        ------
        ValueError
            There is no such score; or `train` was not passed to `funkc.evaluation.evaluate`, so
            that there are no groups.

        Examples
        --------
        >>> import numpy as np
        >>> import funkc
        >>> from funkc import evaluation
        >>> split = evaluation.split_random(np.add.outer(np.arange(9.0), np.arange(8.0)), 0.2)
        >>> fit = funkc.factorize(*split.train_data, k=1, shape=split.shape)
        >>> result = evaluation.evaluate(fit, split.test_data, train=split.train_data)
        >>> result.plot("mae").axes[0].get_ylabel()
        'mean absolute error'
        """
        names = list(self.scores)
        if len(self.table) == 1:
            found = "was not passed to evaluate, so rows are in no groups"
            reject("train", found, "evaluate again with train=")
        return of_groups(self.table, names[0] if name is None else choice("name", name, names))


def _with_error(value: float, error: float) -> str:
    if math.isnan(value):
        return "-"
    return f"{value:.4g}" + ("" if math.isnan(error) else f" ± {error:.2g}")


# ---------------------------------------------------------------- what is asked for


@dataclass(frozen=True)
class Judging:
    """The scores that are asked for, and how they are to be computed."""

    names: list[str]
    n: int
    relevant: Any
    verbose: bool

    @classmethod
    def checked(cls, scoring: Any, n: object, relevant: Any, verbose: object) -> Judging:
        """Of what a caller passes."""
        number = integer("n", n, 1, 2**31 - 1)
        return cls(checked_scoring(scoring), number, relevant, flag("verbose", verbose))

    @property
    def ranks(self) -> bool:
        """Whether some of the scores are of rankings."""
        return any(name in OF_RANKINGS for name in self.names)

    @property
    def predicts(self) -> bool:
        """Whether some of the scores are of predictions."""
        return any(name in OF_ENTRIES for name in self.names)

    def of_fit(
        self,
        fit: Factorization,
        test: Cells,
        train: Cells | None,
        only: Callable[[NDArray[np.int64]], Choice | None] | None = None,
    ) -> Evaluation:
        """Of a factorization, whose rows and columns are the first of those of the entries."""
        test, (m, n_cols) = _sorted(test), fit.shape
        i, j = _known(test, fit.shape)
        made = None
        if self.predicts:
            made = fit.predict(i, j, ids=False, unknown="baseline")

        def recommended(rows: NDArray[np.int64]) -> tuple[NDArray[np.int64], int]:
            index = np.where(rows < m, rows, -1)
            hidden = Choice.nothing(rows.size)
            if train is not None:
                hidden = _of_rows(train, rows, n_cols)
            some = None if only is None else only(rows)
            shown_cols = n_cols
            if some is not None and some.shared is not None:
                shown_cols = some.shared.size
                if not shown_cols:
                    reject("only", "is empty", "pass the columns to rank")
            return self._best(fit, index, hidden, some), shown_cols

        unknown = int(np.count_nonzero((i < 0) | (j < 0)))
        if max(i.max(), j.max()) < 0:
            warn("test: all of its rows and columns are unknown", UnknownIdWarning)
        return self._evaluation(test, train, made, recommended, unknown)

    def of_arrays(self, array: NDArray[Any], test: Cells, train: Cells | None) -> Evaluation:
        """Of predictions, or of recommended columns."""
        numeric("fit", array)
        if isinstance(array, np.ma.MaskedArray):
            reject("fit", "is a masked array", "pass a plain array")
        predictions = array.ndim == 1 and array.dtype.kind == "f"
        if not predictions and (array.ndim != 2 or array.dtype.kind not in "iu"):
            reject(
                "fit",
                f"is an array of {array.dtype} with {array.ndim} dimensions",
                "pass a Factorization, a 1-D array of predictions, or a 2-D one of columns",
            )
        if self.ranks == predictions or self.predicts != predictions:
            what = "predictions" if predictions else "recommended columns"
            others = OF_RANKINGS if predictions else OF_ENTRIES
            wrong = next(name for name in self.names if name in others)
            reject("scoring", f"{wrong!r} is no score of {what}", "pass what it judges as fit")
        if predictions:
            if array.shape != test.values.shape:
                found = f"has {array.size} predictions for {test.values.size} test entries"
                reject("fit", found, "pass one for each, in their order")
            if not np.isfinite(array).all():
                at = int(np.argmin(np.isfinite(array)))
                reject("fit", f"fit[{at}] = {array[at]}", "pass finite predictions")
            order = np.argsort(keys(test.rows, test.cols, test.shape[1]), kind="stable")
            return self._evaluation(_sorted(test), train, array[order], None, 0)
        if array.shape[1] < self.n:
            found = f"has {array.shape[1]} columns"
            reject("fit", found, f"pass at least n = {self.n}, filled up with -1")
        array = array[:, : self.n].astype(np.int64)
        bad = (array < -1) | (array >= 2**31)
        ordered = np.sort(array, axis=1)
        twice = ((ordered[:, 1:] == ordered[:, :-1]) & (ordered[:, 1:] >= 0)).any(axis=1)
        if bad.any():
            row, nth = np.argwhere(bad)[0]
            found = f"fit[{row}, {nth}] = {array[row, nth]}"
            reject("fit", found, "pass positions of columns, or -1")
        if twice.any():
            found = f"recommends a column twice to row {int(np.argmax(twice))}"
            reject("fit", found, "pass each once")
        shapes = [test.shape[1], 0 if train is None else train.shape[1]]
        n_cols = max(int(array.max(initial=-1)) + 1, *shapes)

        def recommended(rows: NDArray[np.int64]) -> tuple[NDArray[np.int64], int]:
            if rows.size and rows[-1] >= len(array):
                found = f"has {len(array)} rows, but row {rows[-1]} has test entries"
                reject("fit", found, "pass a list for every row")
            return array[rows], n_cols

        return self._evaluation(_sorted(test), train, None, recommended, 0)

    # ------------------------------------------------------------ its parts

    def _best(
        self, fit: Factorization, index: NDArray[np.int64], hidden: Choice, only: Choice | None
    ) -> NDArray[np.int64]:
        """The best columns of each row, in parts between which progress is shown."""
        answers, y = fit._answers, fit._cols.ready
        wanted = min(self.n, len(y))
        found = np.full((index.size, wanted), -1, np.int64)
        at_once = max(1, SCORES_AT_ONCE // len(y))
        with _progress(self.verbose, index.size) as tell:
            for first in range(0, index.size, at_once):
                last = min(index.size, first + at_once)
                x = fit._rows.taken(index[first:last])
                some = only if only is None or only.shared is not None else only.part(first, last)
                ranking = Ranking(answers, x, y, answers.wanted(wanted, len(x), len(y)))
                itself = Choice.nothing(len(x))
                part, _ = ranking.best(hidden.part(first, last), some, itself)
                found[first:last] = part
                tell(last - first)
        return found

    def _evaluation(
        self,
        test: Cells,
        train: Cells | None,
        made: NDArray[Any] | None,
        recommended: Callable[[NDArray[np.int64]], tuple[NDArray[np.int64], int]] | None,
        n_unknown: int,
    ) -> Evaluation:
        """Of entries in order, predictions for them, and what is recommended to rows."""
        values = test.values.astype(np.float64)
        chosen, gains = relevance(self.relevant, values)
        rows, row = np.unique(test.rows, return_inverse=True)
        predicted = ranked = None
        if made is not None:
            targets = values if self.relevant is None else chosen.astype(np.float64)
            eps = float(np.finfo(made.dtype).eps)
            predicted = Predicted(row, values, made.astype(np.float64), targets, eps)
            predicted.require(self.names)
        with_relevant = np.unique(row[chosen])
        of_rows: dict[str, NDArray[np.float64]] = {}
        if self.ranks and recommended is not None:
            if train is None and "popularity" in self.names:
                reject("train", "is not given, but 'popularity' counts its entries", "pass it")
            if not with_relevant.size:
                reject("test", "has no relevant entry", "pass another relevant")
            if "ndcg" in self.names and (gains < 0).any():
                found = f"chooses {gains.min():g}, which is no gain"
                reject("relevant", found, "pass a function that returns gains above 0")
            if train is not None:
                _require_apart(test, train)
            top, catalogue = recommended(rows[with_relevant])
            trained = np.empty(0, np.int64) if train is None else np.sort(train.cols)
            nth = np.searchsorted(with_relevant, row[chosen])
            cols = test.cols[chosen].astype(np.int64)
            ranked = Ranked(self.n, top, nth, cols, gains[chosen], catalogue, trained)
            of_rows = ranked.of_rows(self.names)

        def score(name: str, some: NDArray[np.bool_]) -> Score:
            if name in OF_ENTRIES:
                assert predicted is not None
                return (predicted if some.all() else predicted.among(some)).score(name)
            assert ranked is not None
            if name == "coverage":
                return ranked.coverage(some[with_relevant])
            return mean_over_rows(of_rows[name][some[with_relevant]])

        everyone = np.ones(rows.size, bool)
        groups = [("all", everyone)]
        if train is not None:
            ordered = np.sort(train.rows)
            begin, end = (np.searchsorted(ordered, rows, side) for side in ("left", "right"))
            groups += list(_groups(end - begin))
        table = []
        for label, some in groups:
            line: dict[str, Any] = {"group": label, "rows": int(np.count_nonzero(some))}
            line["entries"] = int(np.count_nonzero(some[row]))
            for name in self.names:
                line[name], line[f"{name}_standard_error"] = score(name, some)
            table.append(line)
        return Evaluation(
            {name: table[0][name] for name in self.names},
            {name: table[0][f"{name}_standard_error"] for name in self.names},
            table,
            test.values.size,
            int(rows.size),
            n_unknown,
            int(with_relevant.size) if ranked is not None else 0,
            int(rows.size - with_relevant.size) if ranked is not None else 0,
        )


def calibration(fit: Factorization, test: Cells, n: int) -> list[Bin]:
    """Test entries in bins by the predictions of a factorization, as for `Judging.of_fit`."""
    test = _sorted(test)
    made = fit.predict(*_known(test, fit.shape), ids=False, unknown="baseline")
    return in_bins(test.rows, test.values.astype(np.float64), made.astype(np.float64), n)


# ---------------------------------------------------------------- entries and rows


def _sorted(cells: Cells) -> Cells:
    """By row and then by column."""
    order = np.argsort(keys(cells.rows, cells.cols, cells.shape[1]), kind="stable")
    places = cells.rows[order].astype(np.int64), cells.cols[order].astype(np.int64)
    return replace(cells, rows=places[0], cols=places[1], values=cells.values[order])


def _known(cells: Cells, shape: tuple[int, int]) -> list[NDArray[np.int64]]:
    """Rows and columns of entries as in a model, with -1 for those that it lacks."""
    parts = zip((cells.rows, cells.cols), shape, strict=True)
    return [np.where(part < size, part, -1) for part, size in parts]


def _of_rows(train: Cells, rows: NDArray[np.int64], n_cols: int) -> Choice:
    """The columns in which some rows have entries, among the first so many."""
    some = np.isin(train.rows, rows) & (train.cols < n_cols)
    nth = np.searchsorted(rows, train.rows[some])
    return Choice.of_each(rows.size, nth, train.cols[some].astype(np.int64))


def _require_apart(test: Cells, train: Cells) -> None:
    width = max(test.shape[1], train.shape[1])
    trained = in_order(train.rows, train.cols, width)[0]
    both = among(keys(test.rows, test.cols, width), trained)
    if both.any():
        at = int(np.argmax(both))
        row, col = (
            part[at].item() if ids is None else shown(ids.names.item(part[at]))
            for part, ids in zip((test.rows, test.cols), test.ids, strict=True)
        )
        reject(
            "test",
            f"has the entry in row {row}, column {col} that train has too ({both.sum():,} in all), "
            "and what was trained on is not recommended",
            "split the entries, or omit train",
        )


def _groups(size: NDArray[np.int64]) -> Iterator[tuple[str, NDArray[np.bool_]]]:
    """Rows with similar numbers of training entries."""
    for low, high in itertools.zip_longest(GROUPS, GROUPS[1:]):
        some = size >= low
        if high is not None:
            some &= size < high
        if some.any():
            label = f"{low}+" if high is None else f"{low}-{high - 1}"
            yield "0" if high == 1 else label, some


@contextmanager
def _progress(verbose: bool, total: int) -> Iterator[Callable[[int], object]]:
    """What is told how many rows have been ranked."""
    if not verbose:
        yield lambda _: None
        return
    shown_bar = bar("ranking", "row", everywhere=True)
    shown_bar.total = total
    try:
        yield shown_bar.update
    finally:
        shown_bar.close()
