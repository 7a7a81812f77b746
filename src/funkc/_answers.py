"""What a factorization answers: scores and predictions, whole blocks of them, the best columns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from funkc._core import serve
from funkc._errors import raise_for_status, reject
from funkc._input.loss import predictions
from funkc._input.scalars import integer, require_memory
from funkc._schedule import padded, parts

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from funkc._input.loss import Loss
    from funkc._sides import Side

NUMBERS_AT_ONCE = 1 << 20
# `top` fills its answer up to as many columns as were asked for, unless they are more than these.
MOST_FILLED = 1000
ROWS_TOGETHER = 32  # share one look at the columns (ROWS_AT_ONCE of the core)


@dataclass(frozen=True)
class Answers:
    """Of both sides, in parts between which signals are handled."""

    rows: Side
    cols: Side
    offset: float
    loss: Loss
    n_threads: int
    clip: tuple[float, float] | None

    @property
    def _dtype(self) -> np.dtype[Any]:
        return self.rows.factors.dtype

    @property
    def _width(self) -> int:
        """The length of a row in padded form, at most."""
        return padded(self.rows.factors.shape[1] + 2)

    def require_memory(self, n: int, n_cols: int, each: int = 1) -> None:
        """For some rows in padded form, and so many columns, of each of which a number, or more."""
        require_memory(
            n * (self._width + n_cols * each) * self._dtype.itemsize,
            f"{n_cols:,} columns for each of {n:,} rows",
            "request fewer, or split the rows over several calls",
        )

    def scores(self, i: NDArray[np.int64], j: NDArray[np.int64]) -> NDArray[Any]:
        """What products, offset and biases add up to, entry by entry; -1 is the mean row."""
        flat = np.empty(i.size, self._dtype)
        for part in self._entries(flat.size):
            x, x_index = self.rows.holding(i[part])
            y, y_index = self.cols.holding(j[part])
            self._score(x, y, x_index, y_index, flat[part])
        return flat

    def scored(
        self,
        x: NDArray[Any],
        y: NDArray[Any],
        i: NDArray[np.int64],
        j: NDArray[np.int64],
    ) -> NDArray[Any]:
        """The same, of rows and columns in padded form."""
        flat = np.empty(i.size, self._dtype)
        for part in self._entries(flat.size):
            self._score(x, y, i[part], j[part], flat[part])
        return flat

    def _entries(self, n: int) -> Iterable[slice]:
        at_once = max(1, NUMBERS_AT_ONCE // self._width)
        return (slice(first, first + at_once) for first in range(0, n, at_once))

    def _score(self, *arguments: NDArray[Any]) -> None:
        status = serve.predict(*arguments, self.offset, self.n_threads)
        raise_for_status(status, purpose="to predict")

    def into_range(self, made: NDArray[Any]) -> None:
        """Cut predictions off where `clip` ends."""
        if self.clip is not None:
            low, high = self.clip
            most = float(np.finfo(made.dtype).max)
            low, high = (min(max(end, -most), most) for end in (low, high))
            np.clip(made, low, high, out=made)

    def product(
        self,
        x: NDArray[Any],
        y: NDArray[Any],
        out: NDArray[Any] | None = None,
        *,
        link: bool = True,
    ) -> NDArray[Any]:
        """The product of rows and columns in padded form; with `link`, as predictions."""
        if out is None:
            out = np.empty((len(x), len(y)), self._dtype)
        if out.size:
            for some in parts(len(x), y.size, self.n_threads):
                if not serve.product(x[some], y, out[some], self.offset, self.n_threads):
                    reject("out", "changed its shape during the call", "pass another array")
                if link:
                    predictions(self.loss, out[some])
        return out

    def block(self, i: NDArray[np.int64], j: NDArray[np.int64]) -> NDArray[Any]:
        """Predictions of all combinations of some rows and columns; -1 is the mean one."""
        self.require_memory(i.size, j.size)
        made = self.product(self.rows.taken(i), self.cols.taken(j))
        self.into_range(made)
        return made

    def _blocks_of_rows(self, first: int, last: int) -> Iterable[slice]:
        at_once = max(1, NUMBERS_AT_ONCE // len(self.cols.factors))
        return (slice(top, min(last, top + at_once)) for top in range(first, last, at_once))

    def fill(
        self, into: NDArray[Any], blocks: Iterable[tuple[int, int, Any, NDArray[Any]]]
    ) -> None:
        """Set an array to predictions, except for the entries that are observed."""
        made = np.empty((0, len(self.cols.factors)), self._dtype)
        for first, last, seen, given in blocks:
            if np.may_share_memory(into, given):
                given = given.copy()
            for some in self._blocks_of_rows(first, last):
                x = self.rows.ready[some]
                if into.dtype == self._dtype and into.flags.carray:
                    self.into_range(self.product(x, self.cols.ready, into[some]))
                else:
                    if len(made) != len(x):
                        made = np.empty((len(x), made.shape[1]), self._dtype)
                    self.into_range(self.product(x, self.cols.ready, made))
                    into[some] = made
            if isinstance(seen, tuple):
                into[seen] = given
            else:
                np.copyto(into[first:last], given, where=seen)

    def exceed(self, dtype: np.dtype[Any]) -> bool:
        """Whether some prediction is too large for the dtype."""
        every = np.arange(len(self.cols.factors))
        return any(
            np.abs(self.block(np.arange(some.start, some.stop), every)).max() > np.finfo(dtype).max
            for some in self._blocks_of_rows(0, len(self.rows.factors))
        )

    def wanted(self, n: int, n_rows: int, n_there: int) -> int:
        """How many columns `top` returns for so many rows, of those that are there."""
        wanted = min(integer("n", n, 1, 2**31 - 1), max(n_there, MOST_FILLED))
        self.require_memory(n_rows, wanted, 2 + 16 // self._dtype.itemsize)
        return wanted

    def best(
        self,
        x: NDArray[Any],
        y: NDArray[Any],
        wanted: int,
        hidden_from: NDArray[np.int64],
        hidden: NDArray[np.int64],
    ) -> tuple[NDArray[np.int64], NDArray[Any]]:
        """The columns with the highest scores of every row, except for those that are hidden."""
        some = min(wanted, len(y))
        cols, scores = np.empty((len(x), some), np.int64), np.empty((len(x), some), self._dtype)
        for part in parts(len(x), y.size, self.n_threads, ROWS_TOGETHER):
            status = serve.best(
                x[part], y, self.offset, hidden_from[part.start : part.stop + 1], hidden,
                cols[part], scores[part], self.n_threads,
            )  # fmt: skip
            raise_for_status(status, purpose="to score blocks of columns")
        if some < wanted:
            more = [(0, 0), (0, wanted - some)]
            cols = np.pad(cols, more, constant_values=-1)
            scores = np.pad(scores, more, constant_values=-np.inf)
        return cols, scores
