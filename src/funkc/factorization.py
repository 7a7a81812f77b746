"""The result of a factorization, and all that is done with it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from funkc import _validate
from funkc._isa import engine
from funkc._schedule import padded, with_bias

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from funkc._validate import Duplicates, History

NUMBERS_AT_ONCE = 1 << 22


class Factorization:
    """Factors of a matrix with holes: ``reconstruct() == offset + row_factors @ col_factors.T``.

    Made by `funkc.factorize`. With biases, ``row_bias[:, None] + col_bias`` is added.

    Attributes
    ----------
    row_factors : (m, k) array
        x_i, one row for every row of the matrix; float32 or float64.
    col_factors : (n, k) array
        y_j, one row for every column of the matrix.
    row_bias, col_bias : (m,) and (n,) array, or None
        What is added for every row and column, if `biases` was asked for.
    offset : float
        What is added to every product.
    history : dict of list
        For every epoch: ``epoch`` (from 1), ``train_rmse`` (of the errors met during the
        epoch, each taken before its own step), ``learning_rate`` and ``seconds`` (wall time
        since training began; epochs of less than 50 ms may be trained in one call, and then
        share its time equally); with validation also ``validation_rmse``.
    stopped_by : str
        "epochs", "patience", "callback" or "interrupt".
    n_threads : int
        How many threads `predict` and `reconstruct` use; may be set.

    Examples
    --------
    >>> import numpy as np
    >>> import funkc
    >>> rows, cols = np.array([0, 0, 1, 2]), np.array([0, 1, 1, 0])
    >>> fit = funkc.factorize((rows, cols), np.array([1.0, 2.0, 3.0, 4.0]), k=2)
    >>> fit.shape, fit.k
    ((3, 2), 2)
    """

    def __init__(
        self,
        row_factors: NDArray[Any],
        col_factors: NDArray[Any],
        *,
        row_bias: NDArray[Any] | None = None,
        col_bias: NDArray[Any] | None = None,
        offset: float,
        history: History,
        stopped_by: str,
        n_threads: int,
    ) -> None:
        self.row_factors = row_factors
        self.col_factors = col_factors
        self.row_bias = row_bias
        self.col_bias = col_bias
        self.offset = offset
        self.history = history
        self.stopped_by = stopped_by
        self.n_threads = n_threads

    @property
    def k(self) -> int:
        """The number of factors."""
        return int(self.row_factors.shape[1])

    @property
    def shape(self) -> tuple[int, int]:
        """The shape (m, n) of the matrix."""
        return self.row_factors.shape[0], self.col_factors.shape[0]

    @property
    def dtype(self) -> np.dtype[Any]:
        """The dtype of the factors and of predictions."""
        return self.row_factors.dtype

    def __repr__(self) -> str:
        epochs = len(self.history["epoch"])
        error = f", train_rmse={self.history['train_rmse'][-1]:.4g}" if epochs else ""
        return (
            f"Factorization(shape={self.shape}, k={self.k}, dtype={self.dtype}, "
            f"epochs={epochs}{error})"
        )

    def predict(self, rows: ArrayLike, cols: ArrayLike) -> Any:
        """Predict the cells (rows[c], cols[c]).

        Parameters
        ----------
        rows, cols : int or array of int
            Positions, broadcast against each other.

        Returns
        -------
        scalar or array
            Of the factors' dtype, equal to the bit to the same cells of `reconstruct`.

        Raises
        ------
        IndexError
            For a position that was not trained; nothing is predicted for strangers.
        """
        i, j = _validate.index_pair(rows, cols, self.shape)
        out = np.empty(i.shape, self.dtype)
        flat, i, j = out.reshape(-1), i.reshape(-1), j.reshape(-1)
        rows, cols = self._with_biases()
        at_once = max(1, NUMBERS_AT_ONCE // padded(self.k))
        for first in range(0, flat.size, at_once):
            part = slice(first, first + at_once)
            engine.inner_products(
                _with_lanes(rows[i[part]]),
                _with_lanes(cols[j[part]]),
                flat[part],
                self.offset,
                self.n_threads,
            )
        return out[()]

    def reconstruct(self) -> NDArray[Any]:
        """The full product, offset + row_factors @ col_factors.T.

        Returns
        -------
        (m, n) array
            Of the factors' dtype. The sums have one order, so the bits do not depend on
            threads or processor (a BLAS gives no such promise).
        """
        return product(*self._with_biases(), self.offset, self.n_threads)

    def _with_biases(self) -> tuple[NDArray[Any], NDArray[Any]]:
        """Factors whose product includes the biases."""
        if self.row_bias is None or self.col_bias is None:
            return self.row_factors, self.col_factors
        return (
            with_bias(self.row_factors, self.row_bias, one_last=True),
            with_bias(self.col_factors, self.col_bias, one_last=False),
        )

    def impute(self, mask: Any, values: Any, *, duplicates: Duplicates = "error") -> NDArray[Any]:
        """The observed cells exactly as they are, the holes filled by the product.

        Parameters
        ----------
        mask, values, duplicates
            As for `funkc.factorize`; the shape must be this factorization's.

        Returns
        -------
        (m, n) array
            Of the dtype of `values` if that is a floating one (and holds the predictions),
            otherwise float64; float64 also where duplicates were added up.
        """
        rows, cols, given, _ = _validate.observed(
            mask, values, shape=self.shape, duplicates=duplicates
        )
        _validate.require_once(rows, cols, self.shape)
        dtype = given.dtype if given.dtype.kind == "f" else np.dtype(np.float64)
        out = self.reconstruct()
        largest = np.finfo(dtype).max
        if largest < np.finfo(out.dtype).max and np.abs(out).max() > largest:
            dtype = out.dtype  # a prediction that float16, say, can't hold
        out = out.astype(dtype.newbyteorder("="), copy=False)
        out[rows, cols] = given
        return out


def product(
    row_factors: NDArray[Any], col_factors: NDArray[Any], offset: float, n_threads: int
) -> NDArray[Any]:
    """offset + row_factors @ col_factors.T, every sum in the fixed order."""
    out = np.empty((len(row_factors), len(col_factors)), row_factors.dtype)
    engine.product(_with_lanes(row_factors), _with_lanes(col_factors), out, offset, n_threads)
    return out


def _with_lanes(factors: NDArray[Any]) -> NDArray[Any]:
    """The factors, each row padded with zeros to whole lanes."""
    n, k = factors.shape
    if padded(k) == k:
        return np.ascontiguousarray(factors)
    out = np.zeros((n, padded(k)), factors.dtype)
    out[:, :k] = factors
    return out
