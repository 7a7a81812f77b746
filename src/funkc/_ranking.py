"""The columns with the highest scores of each row, among those that may be shown.

Everything holds for similar rows as well, which are ranked among rows.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from funkc._errors import reject
from funkc._input.arrays import as_array, for_core
from funkc._input.lookups import Choice, Choosing, warn_of_skipped
from funkc._input.scalars import choice, flag_or_none
from funkc._model import Model
from funkc._sides import Side

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from funkc._answers import Answers

# Design
# What may be shown is brought into one of two forms.  Either all rows rank the same columns, all or
# a part of them, and each may hide some: `Answers.best` goes through these by blocks.  Or every row
# has columns of its own, which are scored one by one and sorted.

# So many columns are hidden from each row before a copy of the factors of the others is made.
MOST_HIDDEN = 1 << 16
# Of lists with less than this part of all columns, the scores are sorted.
FEW = 16
MARKS_AT_ONCE = 1 << 24


@dataclass(frozen=True)
class Asked:
    """The rows that a caller asks for: of the model, or new ones."""

    side: Side
    new: bool
    single: bool  # whether the answer is that of one row
    choosing: Choosing

    @property
    def index(self) -> NDArray[np.int64]:
        """Their positions in the side; -1: unknown."""
        return self.choosing.index

    def best(
        self,
        answers: Answers,
        x: NDArray[Any],
        y: NDArray[Any],
        n: int,
        exclude: Any,
        only: Any,
    ) -> tuple[NDArray[np.int64], NDArray[Any]]:
        """Of columns y, those with the highest scores; no row of the side itself."""
        ranking = Ranking(answers, x, y, answers.wanted(n, len(x), len(y)))
        hidden = self.choosing.read("exclude", exclude)
        shown = self.choosing.read("only", only)
        itself = Choice.nothing(len(x))
        if self.choosing.rows.axis == self.choosing.cols.axis and not self.new:
            itself = Choice.of_each(len(x), np.arange(len(x)), self.index)
        return ranking.best(hidden or Choice.nothing(len(x)), shown, itself)

    def answered(
        self, found: NDArray[np.int64], scores: NDArray[Any]
    ) -> tuple[NDArray[Any], NDArray[Any]]:
        """As the caller calls them; nothing for an unknown row."""
        found[self.index < 0] = -1
        scores[self.index < 0] = -np.inf
        named = self.choosing.cols.named(found)
        return (named[0], scores[0]) if self.single else (named, scores)


def asked(
    model: Model, side: Side, ranked: Side, value: Any, ids: bool | None, unknown: str
) -> Asked:
    """The rows that were passed, as which columns of another side, or the same, are ranked."""
    named = flag_or_none("ids", ids)
    skips = choice("unknown", unknown, ("raise", "skip")) == "skip"
    name = "rows" if side.first else "cols"
    new = _new_rows(model, side, name, value)
    single = False
    if new is None:
        rows = side.called(named)
        index = rows.find(name, value, None if skips else 'pass unknown="skip"', 1)
        if skips:
            warn_of_skipped(index, value, name)
        single, index = not index.ndim, index.reshape(-1)
    else:
        index = np.arange(len(new.factors))
        own, side = side, new
        new = None if new is own else new
        rows = side.called(False if named is False else None)
    known = (side.ids, ranked.ids)
    return Asked(
        side, new is not None, single, Choosing(index, rows, ranked.called(named), known, unknown)
    )


def _new_rows(model: Model, side: Side, name: str, value: Any) -> Side | None:
    """Rows (or columns) that were not trained, but fitted to the other side of the model."""
    fitted = "fold_in_rows" if side.first else "fold_in_cols"
    if isinstance(value, Model):
        held = value._held()
        own, fixed = (held._rows, held._cols) if side.first else (held._cols, held._rows)
        there = model._cols if side.first else model._rows
        if fixed.factors is not there.factors and not np.array_equal(fixed.ready, there.ready):
            reject(
                name,
                "is a factorization with other factors on the other side, which means other "
                "factors throughout",
                f"pass what {fitted} of this factorization returned",
            )
        return own
    if getattr(value, "ndim", 1) != 2 or as_array(name, value).dtype.kind != "f":
        return None
    factors, k = as_array(name, value), side.factors.shape[1]
    if isinstance(factors, np.ma.MaskedArray) or factors.shape[1] != k or not len(factors):
        found = f"holds floats, of shape {factors.shape}"
        reject(name, found, f"pass ids, positions, or factors of shape (r, {k})")
    own_factors = for_core(factors, side.factors.dtype).copy()
    if not np.isfinite(own_factors).all():
        row, factor = np.argwhere(~np.isfinite(own_factors))[0]
        found = f"{name}[{row}, {factor}] = {own_factors[row, factor]} is not finite"
        reject(name, found, "pass finite factors")
    bias = None if side.bias is None else np.full(len(factors), side.mean[-1], side.bias.dtype)
    return Side(own_factors, bias, first=side.first)


@dataclass(frozen=True)
class Ranking:
    """Of rows x among columns y, both in padded form."""

    answers: Answers
    x: NDArray[Any]
    y: NDArray[Any]
    wanted: int

    def best(
        self, hidden: Choice, only: Choice | None, itself: Choice
    ) -> tuple[NDArray[np.int64], NDArray[Any]]:
        """Columns and their scores, best first, of equal ones the first; -1 and -infinity, where
        there are no more.  A row never finds itself.
        """
        n, n_cols = len(self.x), len(self.y)
        shared = hidden.shared
        if shared is None or n * shared.size <= MOST_HIDDEN:
            hidden, shared = hidden.with_(itself), None
        else:
            hidden = itself
        if only is not None and only.shared is None:
            if shared is not None:
                only = only.without(shared)
            few = only.cols.size < n * n_cols // FEW
            return self._of_own(only, hidden) if few else self._but_for(only, hidden)
        some = None if only is None else only.shared
        if shared is not None:
            some = np.setdiff1d(np.arange(n_cols) if some is None else some, shared, True)
        if some is None:
            return self.answers.best(self.x, self.y, self.wanted, hidden.first, hidden.cols)
        if not some.size:
            return self._nothing(n)
        inside = np.isin(hidden.cols, some)
        hidden = Choice.of_each(n, hidden.nth[inside], np.searchsorted(some, hidden.cols[inside]))
        found, scores = self.answers.best(
            self.x, self.y[some], self.wanted, hidden.first, hidden.cols
        )
        return np.where(found < 0, -1, some[found]), scores

    def _but_for(self, only: Choice, hidden: Choice) -> tuple[NDArray[np.int64], NDArray[Any]]:
        """Where every row ranks most columns: the others are hidden, by blocks of rows."""
        n, n_cols = len(self.x), len(self.y)
        found, scores = self._nothing(n)
        at_once = max(1, MARKS_AT_ONCE // n_cols)
        for first in range(0, n, at_once):
            last = min(n, first + at_once)
            marks = np.ones((last - first, n_cols), bool)
            for these, mark in ((only, False), (hidden, True)):
                part = slice(*np.searchsorted(these.nth, [first, last]))
                marks[these.nth[part] - first, these.cols[part]] = mark
            left = Choice.of_each(last - first, *map(np.ascontiguousarray, np.nonzero(marks)))
            found[first:last], scores[first:last] = self.answers.best(
                self.x[first:last], self.y, self.wanted, left.first, left.cols
            )
        return found, scores

    def _of_own(self, only: Choice, hidden: Choice) -> tuple[NDArray[np.int64], NDArray[Any]]:
        """Where every row ranks other columns, few of all."""
        nth, cols = only.nth, only.cols
        again = np.zeros(nth.size, bool)
        again[1:] = (nth[1:] == nth[:-1]) & (cols[1:] == cols[:-1])
        again |= np.isin(nth * len(self.y) + cols, hidden.nth * len(self.y) + hidden.cols)
        nth, cols = nth[~again], cols[~again]
        scored = self.answers.scored(self.x, self.y, nth, cols)
        order = np.lexsort((cols, -scored, nth))
        nth = nth[order]
        rank = np.arange(nth.size) - np.searchsorted(nth, nth)
        shown = rank < self.wanted
        found, scores = self._nothing(len(self.x))
        found[nth[shown], rank[shown]] = cols[order][shown]
        scores[nth[shown], rank[shown]] = scored[order][shown]
        return found, scores

    def _nothing(self, n: int) -> tuple[NDArray[np.int64], NDArray[Any]]:
        return (
            np.full((n, self.wanted), -1, np.int64),
            np.full((n, self.wanted), -np.inf, self.x.dtype),
        )
