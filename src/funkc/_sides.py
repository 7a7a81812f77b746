"""One side of a factorization: the factors of all rows, or of all columns."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from funkc._core import serve
from funkc._errors import reject
from funkc._schedule import padded, with_bias

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from funkc._input.ids import Ids


class Side:
    """The factors of all rows, or of all columns, and what is made of them when it is needed.

    Everything is made once: the arrays can't be written to.
    """

    def __init__(
        self,
        factors: NDArray[Any],
        bias: NDArray[Any] | None,
        ids: Ids | None = None,
        *,
        first: bool,
    ) -> None:
        self.factors, self.ids, self.first = _read_only(factors), ids, first
        self.bias = None if bias is None else _read_only(bias)
        self._ready: NDArray[Any] | None = None
        self._directions: NDArray[Any] | None = None
        self._mean: NDArray[np.float64] | None = None

    def __getstate__(self) -> tuple[Any, ...]:
        return self.factors, self.bias, self.ids, self.first

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        self.__init__(*state[:3], first=state[3])  # type: ignore[misc]

    def positions(self, name: str, ids: Any, mean: bool) -> Any:
        """Of ids; slices stay as they are."""
        if isinstance(ids, slice):
            return ids
        if self.ids is None:
            if np.asarray(ids).dtype.kind in "iu":  # of rows that were folded in, say
                return ids
            reject("ids", "got True, but there are no ids", "train on Ratings, or pass positions")
        return self.ids.find(ids, name, -1 if mean else "error")

    def named(self, positions: NDArray[np.int64]) -> NDArray[Any]:
        """The ids at positions; -1, or an empty text, for -1."""
        if self.ids is None:
            reject("ids", "got True, but there are no ids", "train on Ratings, or pass False")
        names = self.ids.names
        out: NDArray[Any] = names[positions]
        out[positions < 0] = -1 if names.dtype.kind == "i" else ""
        return out

    def followed_by(self, more: Side, ids: Ids | None) -> Side:
        """These and those, with the ids of both."""
        bias = None
        if self.bias is not None and more.bias is not None:
            bias = np.concatenate([self.bias, more.bias])
        return Side(np.concatenate([self.factors, more.factors]), bias, ids, first=self.first)

    @property
    def ready(self) -> NDArray[Any]:
        """With biases as factors, and rows padded with zeros to whole lanes."""
        if self._ready is None:
            self._ready = self._with_lanes(self.factors, self.bias)
        return self._ready

    def taken(self, index: NDArray[np.int64]) -> NDArray[Any]:
        """Some rows, ready; the mean where the index is -1."""
        if not (index.size and index.min() < 0):
            return self.ready[index]
        mean = self.mean.astype(self.factors.dtype)[None]
        k = self.factors.shape[1]
        usual = self._with_lanes(mean[:, :k], None if self.bias is None else mean[:, k])
        return np.where((index < 0)[:, None], usual, self.ready[np.maximum(index, 0)])

    @property
    def mean(self) -> NDArray[np.float64]:
        """The mean of all factors, and then of the biases if there are any."""
        if self._mean is None:
            parts = [self.factors, *([] if self.bias is None else [self.bias[:, None]])]
            means = [np.empty(part.shape[1]) for part in parts]
            for part, mean in zip(parts, means, strict=True):
                serve.means(np.ascontiguousarray(part), mean)
            self._mean = np.concatenate(means)
        return self._mean

    @property
    def directions(self) -> NDArray[Any]:
        """The factors less their mean, each of length 1 (or 0), padded to whole lanes."""
        if self._directions is None:
            out = np.empty(self.factors.shape, self.factors.dtype)
            serve.directions(np.ascontiguousarray(self.factors), self.mean, out)
            self._directions = self._with_lanes(out, None)
        return self._directions

    def _with_lanes(self, factors: NDArray[Any], bias: NDArray[Any] | None) -> NDArray[Any]:
        if bias is not None:
            factors = with_bias(factors, bias, one_last=self.first)
        n, k = factors.shape
        if padded(k) == k:
            return np.ascontiguousarray(factors)
        out = np.zeros((n, padded(k)), factors.dtype)
        out[:, :k] = factors
        return out


def product(
    row_factors: NDArray[Any], col_factors: NDArray[Any], offset: float, n_threads: int
) -> NDArray[Any]:
    """offset + row_factors @ col_factors.T, every sum in the fixed order."""
    rows, cols = Side(row_factors, None, first=True), Side(col_factors, None, first=False)
    out = np.empty((len(row_factors), len(col_factors)), row_factors.dtype)
    serve.product(rows.ready, cols.ready, out, offset, n_threads)
    return out


def _read_only(array: NDArray[Any]) -> NDArray[Any]:
    view = array.view()
    view.flags.writeable = False
    return view
