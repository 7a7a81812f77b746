"""One side of a factorization: the factors of all rows, or of all columns."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from funkc._core import serve
from funkc._errors import raise_for_status, reject
from funkc._input.ids import Ids
from funkc._input.lookups import Names
from funkc._schedule import padded, parts

if TYPE_CHECKING:
    from numpy.typing import NDArray


class Side:
    """The factors of all rows, or of all columns, and what is derived from them on demand.

    They are held once, as the core takes them (`ready`); `factors` and `bias` are views of that.
    What was given in another form becomes that form when it is first needed, so that factors
    that are mapped from a file stay there until then. The arrays can't be written to. In training,
    `n_seen` of the rows had entries, by default all; the others are the mean row. A side that holds
    only the mean row has the covariance of the rows that it was of, as `covariance` returns it.
    """

    def __init__(
        self,
        factors: NDArray[Any],
        bias: NDArray[Any] | None,
        ids: Ids | None = None,
        *,
        first: bool,
        n_seen: int | None = None,
        covariance: NDArray[np.float64] | None = None,
    ) -> None:
        self.factors, self.ids, self.first = _read_only(factors), ids, first
        self.n_seen = len(factors) if n_seen is None else n_seen
        self._covariance = covariance
        self._precision: NDArray[np.float64] | None = None
        self.bias = None if bias is None else _read_only(bias)
        self._ready: NDArray[Any] | None = None
        self._public: tuple[NDArray[Any], NDArray[Any] | None] | None = None
        self._directions: NDArray[Any] | None = None
        self._mean: NDArray[np.float64] | None = None

    @classmethod
    def of_ready(
        cls,
        ready: NDArray[Any],
        k: int,
        ids: Ids | None = None,
        *,
        biased: bool,
        first: bool,
        n_seen: int | None = None,
    ) -> Side:
        """Of rows that are padded already, and are not written to any more."""
        ready.flags.writeable = False
        bias = ready[:, k if first else k + 1] if biased else None
        side = cls(ready[:, :k], bias, ids, first=first, n_seen=n_seen)
        side._ready = _read_only(ready)
        return side

    def __getstate__(self) -> tuple[Any, ...]:
        return self.factors, self.bias, self.ids, self.first, self.n_seen, self._covariance

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        named = zip(("first", "n_seen", "covariance"), state[3:], strict=False)
        self.__init__(*state[:3], **dict(named))  # type: ignore[misc]

    @property
    def public(self) -> tuple[NDArray[Any], NDArray[Any] | None]:
        """Factors and bias, C-contiguous: copies, where a row is padded or has a bias."""
        if self._public is None:
            bias = None if self.bias is None else _read_only(np.ascontiguousarray(self.bias))
            self._public = _read_only(np.ascontiguousarray(self.factors)), bias
        return self._public

    def called(self, ids: bool | None) -> Names:
        """How a caller calls its rows or columns."""
        if ids and self.ids is None:
            what = "rows" if self.first else "columns"
            reject("ids", f"got True, but the {what} have no ids", "pass positions, and omit ids")
        names = None if ids is not None and not ids else self.ids
        return Names("rows" if self.first else "cols", len(self.factors), names)

    def followed_by(self, more: Side, ids: Ids | None) -> Side:
        """These and those, with the ids of both."""
        return Side.of_ready(
            np.concatenate([self.ready, more.ready]),
            self.factors.shape[1],
            ids,
            biased=self.bias is not None,
            first=self.first,
            n_seen=self.n_seen + more.n_seen,
        )

    def without(self, gone: NDArray[np.int64]) -> Side:
        """The others, in arrays that share no memory with those of this side; those that were not
        seen become the mean row of what is left.
        """
        kept = np.ones(len(self.factors), bool)
        kept[gone] = False
        usual = self._are_mean()
        factors = self.factors[kept]
        bias = None if self.bias is None else self.bias[kept]
        seen = ~usual[kept]
        if gone.size and seen.any() and not seen.all():
            others = None if bias is None else bias[seen]
            mean, k = Side(factors[seen], others, first=self.first).mean, factors.shape[1]
            factors[~seen] = mean[:k]
            if bias is not None:
                bias[~seen] = mean[k]
        ids = None
        if self.ids is not None:  # of text as wide as the longest of those that are left
            names = self.ids.names[kept]
            ids = Ids(np.array(names.tolist(), "U" if names.dtype.kind == "U" else names.dtype))
        unseen = max(0, len(kept) - self.n_seen)  # more may be the mean by chance
        lost = max(np.count_nonzero(~kept & ~usual), np.count_nonzero(~kept) - unseen)
        return Side(
            factors,
            bias,
            ids,
            first=self.first,
            n_seen=max(0, self.n_seen - int(lost)),
            covariance=self._covariance,
        )

    def _are_mean(self) -> NDArray[np.bool_]:
        """Which rows were not seen: those that are the mean row, up to rounding."""
        if self.n_seen >= len(self.factors):
            return np.zeros(len(self.factors), bool)
        own = self.factors
        if self.bias is not None:
            own = np.column_stack([own, self.bias])
        near = 1e-12 * np.abs(own).max(axis=0) + np.finfo(own.dtype).eps * np.abs(self.mean)
        usual: NDArray[np.bool_] = np.all(np.abs(own - self.mean) <= near, axis=1)
        return usual

    @property
    def bias_at(self) -> int:
        """The place of the bias in a row of `ready`; -1: there is none."""
        k = self.factors.shape[1]
        return -1 if self.bias is None else k if self.first else k + 1

    @property
    def ready(self) -> NDArray[Any]:
        """[x, bias, 1] of rows, [y, 1, bias] of columns, so that a product adds the biases, or the
        factors alone; and zeros up to whole lanes.
        """
        if self._ready is None:
            k = self.factors.shape[1]
            made = Side.of_ready(
                self._with_lanes(self.factors, self.bias),
                k,
                biased=self.bias is not None,
                first=self.first,
            )
            self.factors, self.bias = made.factors, made.bias
            self._ready = made._ready
        assert self._ready is not None
        return self._ready

    def taken(self, index: NDArray[np.int64]) -> NDArray[Any]:
        """Some rows in padded form; the mean where the index is -1."""
        if not (index.size and index.min() < 0):
            return self.ready[index]
        k = self.factors.shape[1]
        mean = self.mean.astype(self.factors.dtype)[None]
        usual = self._with_lanes(mean[:, :k], None if self.bias is None else mean[:, k])
        return np.where((index < 0)[:, None], usual, self.ready[np.maximum(index, 0)])

    def holding(self, index: NDArray[np.int64]) -> tuple[NDArray[Any], NDArray[np.int64]]:
        """Rows that are ready, and where those of `taken` stand among them."""
        if index.size and index.min() < 0:
            return self.taken(index), np.arange(index.size)
        return self.ready, np.ascontiguousarray(index)

    @property
    def mean(self) -> NDArray[np.float64]:
        """The mean of all factors, and then of the biases if there are any."""
        if self._mean is None:
            k = self.factors.shape[1]
            mean = np.empty(k + 2 * (self.bias is not None))
            serve.means(self.ready, mean)
            self._mean = mean if self.bias is None else np.append(mean[:k], mean[self.bias_at])
        return self._mean

    def covariance(self, n_threads: int) -> NDArray[np.float64]:
        """Of the factors, and of the biases if there are any: the lower half, padded for the core,
        about the mean of the rows that were seen.
        """
        if self._covariance is not None:
            return self._covariance
        k = self.factors.shape[1]
        return scatter(self.ready, k, self.bias_at, self.mean, self.n_seen, n_threads)

    def precision(self, n_threads: int) -> NDArray[np.float64]:
        """The inverse of the covariance, likewise; empty, if all rows are equal."""
        if self._precision is None:
            covariance, k = self.covariance(n_threads).copy(), self.factors.shape[1]
            out, room = np.zeros_like(covariance), np.empty(2 * len(covariance))
            size = self.mean.size
            spreads = serve.precision(covariance, k, size, self.n_seen, room, out)
            self._precision = out if spreads else out[:0]
        return self._precision

    @property
    def directions(self) -> NDArray[Any]:
        """About their own mean."""
        if self._directions is None:
            self._directions = self.directions_about(self.mean)
        return self._directions

    def directions_about(self, mean: NDArray[np.float64]) -> NDArray[Any]:
        """The factors minus a mean, normalized to length 1 (or 0), padded to whole lanes."""
        n, k = self.factors.shape
        out = np.zeros((n, padded(k)), self.factors.dtype)
        serve.directions(self.ready, np.ascontiguousarray(mean[:k]), out)
        return out

    def _with_lanes(self, factors: NDArray[Any], bias: NDArray[Any] | None) -> NDArray[Any]:
        n, k = factors.shape
        if bias is None and padded(k) == k:
            return np.ascontiguousarray(factors)
        out = np.zeros((n, padded(k + 2 * (bias is not None))), factors.dtype)
        out[:, :k] = factors
        if bias is not None:
            out[:, k : k + 2] = 1
            out[:, k if self.first else k + 1] = bias
        return out


def scatter(
    ready: NDArray[Any],
    k: int,
    bias_at: int,
    mean: NDArray[np.float64],
    n_seen: int,
    n_threads: int,
) -> NDArray[np.float64]:
    """The products of the numbers of rows about their mean, added up and divided by n_seen - 1: the
    lower half, padded for the core.
    """
    stride = -(-mean.size // 8) * 8
    out = np.zeros((stride, stride))
    fours = -(-len(ready) // 4)  # the core adds four rows at once
    for some in parts(fours, 4 * stride * stride, n_threads):
        status = serve.covariance(
            ready, 4 * some.start, min(len(ready), 4 * some.stop), k, bias_at, mean, n_seen, out,
            n_threads,
        )  # fmt: skip
        raise_for_status(status, purpose="to sum the products of the factors")
    return out


def product(row_factors: NDArray[Any], col_factors: NDArray[Any], offset: float) -> NDArray[Any]:
    """offset + row_factors @ col_factors.T, every sum in the fixed order."""
    rows, cols = Side(row_factors, None, first=True), Side(col_factors, None, first=False)
    out = np.empty((len(row_factors), len(col_factors)), row_factors.dtype)
    serve.product(rows.ready, cols.ready, out, offset, n_threads=1)
    return out


def _read_only(array: NDArray[Any]) -> NDArray[Any]:
    view = array.view()
    view.flags.writeable = False
    return view
