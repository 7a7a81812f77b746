"""Scores of predictions and of rankings, with standard errors over rows."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from funkc._errors import reject, shown
from funkc._input.arrays import as_array, listed_at_most, numeric
from funkc._input.scalars import plain, real

if TYPE_CHECKING:
    from numpy.typing import NDArray

# Design
# a. What is observed of one row depends on the row, so rows are what a standard error is over: of a
#    mean over rows the usual one, of a ratio of sums over entries the linearized one, which counts
#    what each row adds to both sums.
# b. Entries and rows come in the order of the matrix, so that the order of listing leaves no trace.

OF_PROBABILITIES = ("log_loss", "auc", "brier")
OF_ENTRIES = ("rmse", "mae", "r2", *OF_PROBABILITIES, "poisson")
OF_RANKINGS = (
    "precision", "recall", "hit_rate", "ndcg", "map", "mrr", "coverage", "popularity",
)  # fmt: skip
HIGHER_IS_BETTER = ("r2", "auc", *OF_RANKINGS[:7])
NEITHER_IS_BETTER = ("popularity",)


class Score(NamedTuple):
    """A score, and its standard error over rows; NaN where it is not defined."""

    value: float
    standard_error: float


UNDEFINED = Score(math.nan, math.nan)


def checked_scoring(scoring: Any) -> list[str]:
    """The names of the scores that are asked for, each once."""
    names = (*OF_ENTRIES, *OF_RANKINGS)
    remedy = f"choose among {', '.join(names)}"
    alone = isinstance(plain(scoring), str)
    listed = [scoring] if alone else listed_at_most("scoring", scoring, remedy)
    found = [plain(name) for name in listed]
    for at, name in enumerate(found):
        if not isinstance(name, str) or name not in names:
            reject("scoring" if alone else f"scoring[{at}]", f"got {shown(name)}", remedy)
    if not found or len(set(found)) < len(found):
        reject("scoring", "names none, or one twice", remedy)
    return found


def relevance(
    relevant: Any, values: NDArray[np.float64]
) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
    """Which entries are relevant, and the gain of each; of others it is 0."""
    if relevant is None:
        chosen, gains = values > 0, values
    elif callable(relevant):
        returned: Any = relevant(values.copy())
        found = numeric("relevant", as_array("relevant", returned))
        if found.shape != values.shape:
            what = f"returned shape {found.shape} for {values.size} values"
            reject("relevant", what, "return one for each")
        if found.dtype == bool:
            chosen, gains = found, values
        else:
            gains = found.astype(np.float64)
            if not np.isfinite(gains).all():
                reject("relevant", "returned NaN or infinity", "return finite gains, or booleans")
            chosen = gains > 0
    else:
        chosen, gains = values >= real("relevant", relevant, -math.inf), values
    return chosen, np.where(chosen, gains, 0.0)


# ---------------------------------------------------------------- predictions


@dataclass(frozen=True)
class Predicted:
    """Entries, what is predicted for them, and their rows as numbers from 0."""

    row: NDArray[np.int64]
    values: NDArray[np.float64]
    made: NDArray[np.float64]
    targets: NDArray[np.float64]  # as probabilities
    eps: float  # of the dtype of predictions

    def among(self, rows: NDArray[np.bool_]) -> Predicted:
        """Those of some rows."""
        some = rows[self.row]
        number = np.cumsum(rows) - 1
        return Predicted(
            number[self.row[some]],
            self.values[some],
            self.made[some],
            self.targets[some],
            self.eps,
        )

    def require(self, names: list[str]) -> None:
        """Refuse values and predictions that some of the scores can't judge."""
        of_probabilities = [name for name in names if name in OF_PROBABILITIES]
        if of_probabilities:
            self._require_within(
                self.targets, 1.0, of_probabilities[0], "a test value is", "pass relevant="
            )
        for name, high in (("log_loss", 1.0), ("brier", 1.0), ("poisson", math.inf)):
            remedy = f"train with loss={'poisson' if name == 'poisson' else 'logistic'!r}"
            if name in names:
                self._require_within(self.made, high, name, "a prediction is", remedy)
        if "poisson" in names:
            self._require_within(self.values, math.inf, "poisson", "a test value is", "omit it")
            if (self.made == 0).any():
                reject("scoring", "'poisson' of a prediction of 0 is infinite", "set clip")
        if "auc" in names and set(np.unique(self.targets).tolist()) != {0.0, 1.0}:
            reject("scoring", "'auc' needs test values of both 0 and 1", "pass relevant=")

    def _require_within(
        self, numbers: NDArray[np.float64], high: float, name: str, what: str, remedy: str
    ) -> None:
        bad = (numbers < 0) | (numbers > high)
        if bad.any():
            found = f"{name!r}: {what} {numbers[np.argmax(bad)]:.6g}"
            reject("scoring", found, f"{remedy}, or choose another score")

    def score(self, name: str) -> Score:
        """One of them."""
        if not self.row.size:
            return UNDEFINED
        found: Score = getattr(self, f"_{name}")()
        return found

    def _rmse(self) -> Score:
        scaled, size = self._errors()
        mean, error = self._mean(scaled**2)
        root = math.sqrt(mean)
        error = error / (2 * root) if root > 0 else math.nan if math.isnan(error) else 0.0
        return Score(math.ldexp(root, size), math.ldexp(error, size))

    def _errors(self) -> tuple[NDArray[np.float64], int]:
        """Scaled by a power of two, so that no square is infinite; and its exponent."""
        errors = self.values - self.made
        size = int(np.frexp(np.abs(errors).max())[1])
        return np.ldexp(errors, -size), size

    def _mae(self) -> Score:
        scaled, size = self._errors()
        mean, error = self._mean(np.abs(scaled))
        return Score(math.ldexp(mean, size), math.ldexp(error, size))

    def _r2(self) -> Score:
        if self.values.min() == self.values.max():
            return UNDEFINED
        scaled, size = self._errors()
        exponent = int(np.frexp(np.abs(self.values).max())[1])
        about = np.ldexp(self.values, -exponent)
        ratio, error = _ratio(scaled**2, (about - about.mean()) ** 2, self.row)
        scale = math.ldexp(1.0, 2 * max(-500, min(500, size - exponent)))
        return Score(1 - ratio * scale, error * scale)

    def _log_loss(self) -> Score:
        made = np.clip(self.made, self.eps, 1 - self.eps)
        return self._mean(-(self.targets * np.log(made) + (1 - self.targets) * np.log1p(-made)))

    def _brier(self) -> Score:
        return self._mean((self.targets - self.made) ** 2)

    def _poisson(self) -> Score:
        some = self.values > 0
        logarithms = np.log(np.where(some, self.values, 1.0)) - np.log(self.made)
        gained = np.where(some, self.values * logarithms, 0.0)
        return self._mean(2 * (gained - self.values + self.made))

    def _auc(self) -> Score:
        """The probability that a relevant entry is predicted higher than another; its standard
        error is that of N. A. Obuchowski (1997), "Nonparametric analysis of clustered ROC curve
        data", Biometrics 53.
        """
        positive = self.targets > 0
        higher, lower = self.made[positive], self.made[~positive]
        if not higher.size or not lower.size:
            return UNDEFINED
        placed = np.empty(self.made.size)  # the share of the other kind that is on the right side
        for kind, others, of_ties in ((positive, lower, 1), (~positive, higher, -1)):
            ordered = np.sort(others)
            below = np.searchsorted(ordered, self.made[kind], "left")
            below = below + np.searchsorted(ordered, self.made[kind], "right")
            share = below / (2 * others.size)
            placed[kind] = share if of_ties > 0 else 1 - share
        area = float(placed[positive].mean())
        size = np.where(positive, higher.size, lower.size)
        by_row = _sums(self.row, (placed - area) / size)
        return Score(area, _spread(by_row, int(np.unique(self.row).size)))

    def _mean(self, numbers: NDArray[np.float64]) -> Score:
        return _ratio(numbers, np.ones(numbers.size), self.row)


class Bin(NamedTuple):
    """Entries with similar predictions."""

    predicted: float  # the mean
    observed: Score  # the mean
    entries: int


def in_bins(
    row: NDArray[np.int64], values: NDArray[np.float64], made: NDArray[np.float64], n: int
) -> list[Bin]:
    """Entries by their predictions, in bins of equal numbers; equal predictions are in one bin."""
    order = np.argsort(made, kind="stable")
    ordered = made[order]
    begin = np.unique(np.searchsorted(ordered, ordered[np.arange(n) * made.size // n]))
    bins = []
    for part in np.split(order, begin[1:]):
        number = np.unique(row[part], return_inverse=True)[1]
        observed = _ratio(values[part], np.ones(part.size), number)
        bins.append(Bin(float(made[part].mean()), observed, part.size))
    return bins


def _ratio(above: NDArray[np.float64], below: NDArray[np.float64], row: NDArray[np.int64]) -> Score:
    """Of the sums of both."""
    tops, bottoms = _sums(row, above), _sums(row, below)
    total = float(bottoms.sum())
    ratio = float(tops.sum()) / total
    rows = int(np.unique(row).size)
    return Score(ratio, _spread(tops - ratio * bottoms, rows) / total)


def _sums(
    row: NDArray[np.int64], numbers: NDArray[np.float64], n_rows: int = 0
) -> NDArray[np.float64]:
    """Of the numbers of each row."""
    return np.bincount(row, numbers, n_rows).astype(np.float64, copy=False)


def _spread(of_rows: NDArray[np.float64], rows: int) -> float:
    """The standard error of a sum of what rows add to it, which is 0 on average."""
    if rows < 2:
        return math.nan
    return math.sqrt(rows / (rows - 1) * float((of_rows**2).sum()))


# ---------------------------------------------------------------- rankings


@dataclass(frozen=True)
class Ranked:
    """The columns recommended to rows, best first, -1 where there are no more; and what was
    relevant.
    """

    n: int  # how many were asked for
    found: NDArray[np.int64]  # (rows, n), or as many columns as there are
    row: NDArray[np.int64]  # of each relevant entry, in order
    cols: NDArray[np.int64]
    gains: NDArray[np.float64]
    catalogue: int  # how many columns may be recommended
    trained: NDArray[np.int64]  # the column of every training entry, in order

    def of_rows(self, names: list[str]) -> dict[str, NDArray[np.float64]]:
        """The scores of every row, for those that are means of these."""
        (n_rows, width), n = self.found.shape, self.n
        n_relevant = np.bincount(self.row, minlength=n_rows)
        hits, gains = self._hits()
        place = np.arange(1, width + 1)
        out: dict[str, NDArray[np.float64]] = {}
        if "precision" in names:
            out["precision"] = hits.sum(axis=1) / n
        if "recall" in names:
            out["recall"] = hits.sum(axis=1) / n_relevant
        if "hit_rate" in names:
            out["hit_rate"] = np.where(hits.any(axis=1), 1.0, 0.0)
        if "mrr" in names:
            out["mrr"] = np.where(hits.any(axis=1), 1 / (1 + hits.argmax(axis=1)), 0.0)
        if "map" in names:
            precision = np.cumsum(hits, axis=1) / place
            out["map"] = (precision * hits).sum(axis=1) / np.minimum(n, n_relevant)
        if "ndcg" in names:
            discount = 1 / np.log2(place + 1)
            ideal = self._ideal()
            worth = ideal > 0  # gains may all be 0
            out["ndcg"] = np.where(
                worth, (gains * discount).sum(axis=1) / np.where(worth, ideal, 1.0), np.nan
            )
        if "popularity" in names:
            filled = self.found >= 0
            begin, end = (np.searchsorted(self.trained, self.found, x) for x in ("left", "right"))
            some = np.where(filled, end - begin, 0).sum(axis=1)
            out["popularity"] = np.where(
                filled.any(axis=1), some / np.maximum(1, filled.sum(axis=1)), np.nan
            )
        return out

    def _hits(self) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
        """Which of the recommended columns are relevant, and the gains of all."""
        width = 1 + int(max(self.cols.max(), self.found.max()))
        keys = self.row * width + self.cols
        order = np.argsort(keys, kind="stable")
        wanted = np.arange(len(self.found))[:, None] * width + self.found
        at = np.minimum(np.searchsorted(keys[order], wanted), keys.size - 1)
        there = (self.found >= 0) & (keys[order][at] == wanted)
        return there, np.where(there, self.gains[order][at], 0.0)

    def _ideal(self) -> NDArray[np.float64]:
        """The sum of discounted gains of the best ranking of each row."""
        order = np.lexsort((-self.gains, self.row))
        rows = self.row[order]
        place = np.arange(rows.size) - np.searchsorted(rows, rows)
        first = place < self.n
        weighed = self.gains[order][first] / np.log2(place[first] + 2)
        return _sums(rows[first], weighed, len(self.found))

    def coverage(self, rows: NDArray[np.bool_]) -> Score:
        """The share of the catalogue that is recommended to any of some rows; the standard error is
        the jackknife's, of leaving out one row.
        """
        found = self.found[rows]
        n_rows = len(found)
        if not n_rows:
            return UNDEFINED
        found = np.sort(found, axis=1)
        once = (found >= 0) & (np.diff(found, axis=1, prepend=-1) != 0)
        different, times = np.unique(found[once], return_counts=True)
        share = different.size / self.catalogue
        single = np.isin(found, different[times == 1])
        alone = (once & single).sum(axis=1) / self.catalogue
        if n_rows < 2:
            return Score(share, math.nan)
        error = math.sqrt((n_rows - 1) / n_rows * float(((alone - alone.mean()) ** 2).sum()))
        return Score(share, error)


def mean_over_rows(of_rows: NDArray[np.float64]) -> Score:
    """Of the rows for which it is defined."""
    some = of_rows[~np.isnan(of_rows)]
    if not some.size:
        return UNDEFINED
    if some.size < 2:
        return Score(float(some[0]), math.nan)
    return Score(float(some.mean()), float(some.std(ddof=1)) / math.sqrt(some.size))
