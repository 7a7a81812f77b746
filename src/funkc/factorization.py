"""The result of a factorization, and all that is done with it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from funkc import _validate
from funkc._errors import missing_extra, raise_for_status
from funkc._isa import serve
from funkc._schedule import padded, with_bias

if TYPE_CHECKING:
    from collections.abc import Mapping

    from matplotlib.figure import Figure
    from numpy.typing import ArrayLike, NDArray

    from funkc._validate import Duplicates, History

NUMBERS_AT_ONCE = 1 << 20


class Factorization:
    """Factors of a matrix with holes: ``reconstruct() == offset + row_factors @ col_factors.T``.

    Made by `funkc.factorize`. With biases, ``row_bias[:, None] + col_bias`` is added.

    Attributes
    ----------
    row_factors : (m, k) array, read-only
        x_i, one row for every row of the matrix; float32 or float64.
    col_factors : (n, k) array, read-only
        y_j, one row for every column of the matrix.
    row_bias, col_bias : (m,) and (n,) array, read-only, or None
        What is added for every row and column, if `biases` was asked for.
    offset : float
        What is added to every product.
    parameters : dict
        What it was trained with, defaults filled in: ``learning_rate``, ``regularization``
        (of rows, of columns), ``n_epochs``, ``decay``, ``group_size``, ``nonnegative`` and
        ``seed``.
    history : dict of list
        For every epoch: ``epoch`` (from 1), ``train_rmse`` (of the errors met during the
        epoch, each taken before its own step), ``learning_rate`` and ``seconds`` (wall time
        since training began; epochs of less than 50 ms may be trained in one call, and then
        share its time equally); with validation also ``validation_rmse``.
    stopped_by : str
        "epochs", "patience", "callback" or "interrupt"; "fold-in" where rows or columns were
        fitted to what was trained.
    n_threads : int
        How many threads its methods use; may be set.

    Notes
    -----
    **Threads**: any number of threads may call the methods of one object at once, but for
    `partial_fit`, which changes it: while others read, train a ``copy.copy(fit)`` (cheap, for
    arrays are shared and never written to) and put it in its place.

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
        parameters: Mapping[str, Any],
        history: History,
        stopped_by: str,
        n_threads: int,
    ) -> None:
        self._rows = _Side(row_factors, row_bias, first=True)
        self._cols = _Side(col_factors, col_bias, first=False)
        self.offset = offset
        self.parameters = dict(parameters)
        self.history = history
        self.stopped_by = stopped_by
        self.n_threads = n_threads

    @property
    def row_factors(self) -> NDArray[Any]:
        """x_i, (m, k)."""
        return self._rows.factors

    @property
    def col_factors(self) -> NDArray[Any]:
        """y_j, (n, k)."""
        return self._cols.factors

    @property
    def row_bias(self) -> NDArray[Any] | None:
        """What is added for every row, (m,); or None."""
        return self._rows.bias

    @property
    def col_bias(self) -> NDArray[Any] | None:
        """What is added for every column, (n,); or None."""
        return self._cols.bias

    @property
    def k(self) -> int:
        """The number of factors."""
        return int(self.row_factors.shape[1])

    @property
    def shape(self) -> tuple[int, int]:
        """The shape (m, n) of the matrix."""
        return len(self.row_factors), len(self.col_factors)

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

    # ------------------------------------------------------------ cells

    def predict(
        self,
        rows: ArrayLike | slice,
        cols: ArrayLike | slice = slice(None),
        *,
        unknown: Literal["error", "mean"] = "error",
    ) -> Any:
        """Predict cells, chosen as NumPy would choose them: ``reconstruct()[rows, cols]``.

        Parameters
        ----------
        rows, cols : int, array of int, or slice
            Positions: of cells, broadcast against each other; with a slice on either side,
            all cells where the rows and the columns meet. Without `cols`, whole rows.
        unknown : {"error", "mean"}, default "error"
            What to do with a position that was not trained (also -1): "mean" predicts it as
            the mean of all rows (or columns).

        Returns
        -------
        scalar or array
            Of the factors' dtype, equal to the bit to the same cells of `reconstruct`.

        Raises
        ------
        IndexError
            For a position that was not trained, unless `unknown` says otherwise.

        Examples
        --------
        >>> import numpy as np
        >>> import funkc
        >>> fit = funkc.factorize(None, np.array([[1.0, 2.0, 3.0], [2.0, 4.0, np.nan]]), k=1)
        >>> fit.predict(1, 2).shape, fit.predict(1).shape, fit.predict([0, 1, 1], 2).shape
        ((), (3,), (3,))
        """
        mean = _validate.choice("unknown", unknown, ("error", "mean")) == "mean"
        if isinstance(rows, slice) or isinstance(cols, slice):
            i = _validate.positions("rows", rows, self.shape[0], mean)
            j = _validate.positions("cols", cols, self.shape[1], mean)
            block = self._product(self._rows.taken(i.reshape(-1)), self._cols.taken(j.reshape(-1)))
            return block.reshape(i.shape + j.shape)
        i, j = _validate.index_pair(rows, cols, self.shape, mean)
        out = np.empty(i.shape, self.dtype)
        flat, i, j = out.reshape(-1), i.reshape(-1), j.reshape(-1)
        at_once = max(1, NUMBERS_AT_ONCE // padded(self.k + 2))
        for first in range(0, flat.size, at_once):
            part = slice(first, first + at_once)
            serve.inner_products(
                self._rows.taken(i[part]),
                self._cols.taken(j[part]),
                flat[part],
                self.offset,
                self.n_threads,
            )
        return out[()]

    def _product(
        self, rows: NDArray[Any], cols: NDArray[Any], out: NDArray[Any] | None = None
    ) -> NDArray[Any]:
        """Of rows and columns that are ready for it."""
        if out is None:
            out = np.empty((len(rows), len(cols)), self.dtype)
        if out.size:
            serve.product(rows, cols, out, self.offset, self.n_threads)
        return out

    def reconstruct(
        self, rows: ArrayLike | slice = slice(None), *, out: NDArray[Any] | None = None
    ) -> NDArray[Any]:
        """The full product, offset + row_factors @ col_factors.T, or some rows of it.

        Parameters
        ----------
        rows : array of int or slice, optional
            Which rows; by default all.
        out : (r, n) array, optional
            Where to put them: C-contiguous, of the factors' dtype.

        Returns
        -------
        (r, n) array
            Of the factors' dtype; `out` if it was given. The sums have one order, so the
            bits do not depend on threads or processor (a BLAS gives no such promise).
        """
        i = _validate.positions("rows", rows, self.shape[0], False)
        if out is not None:
            _validate.writable(out, (i.size, self.shape[1]), self.dtype)
        everything = isinstance(rows, slice) and i.size == self.shape[0] and rows.step in (None, 1)
        x = self._rows.ready if everything else self._rows.taken(i.reshape(-1))
        return self._product(x, self._cols.ready, out)

    def impute(
        self,
        mask: Any,
        values: Any,
        *,
        duplicates: Duplicates = "error",
        out: NDArray[Any] | None = None,
    ) -> NDArray[Any]:
        """The observed cells exactly as they are, the holes filled by the product.

        Parameters
        ----------
        mask, values, duplicates
            As for `funkc.factorize`; the shape must be this factorization's.
        out : (m, n) array, optional
            Where to put the result, of a floating dtype that holds `values`; it may be
            `values` itself. If an error is raised, what was written so far stays.

        Returns
        -------
        (m, n) array
            Of the dtype of `values` if that is a floating one (and holds the predictions),
            otherwise float64; float64 also where duplicates were added up. Beside it and the
            input, some megabytes are used.
        """
        dtype, blocks = _validate.observed_by_blocks(
            mask, values, shape=self.shape, duplicates=duplicates
        )
        made = np.empty(0, self.dtype)
        if out is None:
            if np.finfo(dtype).max < np.finfo(self.dtype).max and self._exceeds(dtype):
                dtype = self.dtype  # a prediction that float16, say, can't hold
            out = np.empty(self.shape, dtype)
        else:
            _validate.writable(out, self.shape, dtype, at_least=True)
        for first, last, rows, cols, given in blocks:
            for top in range(first, last, _rows_at_once(self.shape[1])):
                bottom = min(last, top + _rows_at_once(self.shape[1]))
                if out.dtype == self.dtype and out.flags.c_contiguous:
                    self._product(self._rows.ready[top:bottom], self._cols.ready, out[top:bottom])
                else:
                    if len(made) != bottom - top:
                        made = np.empty((bottom - top, self.shape[1]), self.dtype)
                    self._product(self._rows.ready[top:bottom], self._cols.ready, made)
                    out[top:bottom] = made
            out[rows, cols] = given
        return out

    def _exceeds(self, dtype: np.dtype[Any]) -> bool:
        """Whether some prediction is too large for the dtype."""
        at_once = _rows_at_once(self.shape[1])
        return any(
            np.abs(self.reconstruct(slice(top, top + at_once))).max() > np.finfo(dtype).max
            for top in range(0, self.shape[0], at_once)
        )

    # ------------------------------------------------------------ new rows and columns

    def fold_in_rows(
        self,
        mask: Any,
        values: Any,
        *,
        regularization: float | None = None,
        shape: tuple[int | None, int | None] | None = None,
        weights: ArrayLike | None = None,
        duplicates: Duplicates = "error",
    ) -> Factorization:
        """Fit rows that were not trained to the columns that were, without changing these.

        Every row x is the exact ridge regression of its observed cells on the column factors,
        drawn towards the mean row x̄ of the training:
        Σ_j w_j (r_j - offset - x · y_j)² + λ c |x - x̄|² is least, with c the number of the
        row's cells (and w_j 1 unless weights are given). A row without any observation
        becomes the mean row. With biases, the row's is fitted too; with nonnegative factors,
        they are not below 0.

        Parameters
        ----------
        mask, values, weights, duplicates
            As for `funkc.factorize`: the new rows are numbered from 0, and the columns are
            those that were trained.
        regularization : float, optional
            λ; by default what the rows were trained with.
        shape : pair of int, optional
            The number of new rows, and of columns, where `mask` is a pair.

        Returns
        -------
        Factorization
            Of the new rows and the same columns: predict, impute, top and the rest as usual.

        Notes
        -----
        Rows are solved side by side, in double and in a fixed order: the same bits at any
        number of threads. The GIL is free.

        Examples
        --------
        >>> import numpy as np
        >>> import funkc
        >>> old = np.outer([1.0, 2.0, 3.0, 4.0], [1.0, 2.0, 3.0])
        >>> fit = funkc.factorize(None, old, k=2)
        >>> new = fit.fold_in_rows(None, np.array([[5.0, np.nan, 15.0]]))
        >>> new.shape, round(float(new.predict(0, 1)))
        ((1, 3), 10)
        """
        return self._fold_in(mask, values, regularization, shape, weights, duplicates, by_col=False)

    def fold_in_cols(
        self,
        mask: Any,
        values: Any,
        *,
        regularization: float | None = None,
        shape: tuple[int | None, int | None] | None = None,
        weights: ArrayLike | None = None,
        duplicates: Duplicates = "error",
    ) -> Factorization:
        """Fit columns that were not trained to the rows that were, without changing these.

        See `fold_in_rows`, with rows and columns exchanged: the new columns are numbered from
        0, and the rows are those that were trained.

        Parameters
        ----------
        mask, values, regularization, shape, weights, duplicates
            As for `fold_in_rows`.

        Returns
        -------
        Factorization
            Of the same rows and the new columns.
        """
        return self._fold_in(mask, values, regularization, shape, weights, duplicates, by_col=True)

    def _fold_in(
        self,
        mask: Any,
        values: Any,
        regularization: float | None,
        shape: tuple[int | None, int | None] | None,
        weights: ArrayLike | None,
        duplicates: Duplicates,
        *,
        by_col: bool,
    ) -> Factorization:
        known = (self.shape[0], None) if by_col else (None, self.shape[1])
        cells = _validate.cells_by_row(
            mask, values, known, shape=shape, weights=weights, duplicates=duplicates, by_col=by_col
        )
        ridge = self.parameters["regularization"][by_col]
        if regularization is not None:
            ridge = _validate.real("regularization", regularization, 0.0)
        fixed, looked_for = (self._rows, self._cols) if by_col else (self._cols, self._rows)
        fitted = self._fitted(cells, fixed, looked_for, ridge)
        rows, cols = (self._rows, fitted) if by_col else (fitted, self._cols)
        return Factorization(
            rows.factors,
            cols.factors,
            row_bias=rows.bias,
            col_bias=cols.bias,
            offset=self.offset,
            parameters=self.parameters,
            history={name: [] for name in self.history},
            stopped_by="fold-in",
            n_threads=self.n_threads,
        )

    def _fitted(
        self, cells: _validate.CellsByRow, fixed: _Side, looked_for: _Side, ridge: float
    ) -> _Side:
        """Rows (or columns) fitted to the fixed side."""
        biased = fixed.bias is not None
        size = self.k + biased
        _validate.require_memory(
            8 * self.n_threads * (padded(size) + 6) ** 2,
            f"systems of {size} equations on {self.n_threads} threads",
            "lower k, or set n_threads = 1",
        )
        base = np.full(len(fixed.factors), self.offset)
        y = fixed.factors
        if fixed.bias is not None:
            base += fixed.bias
            y = np.concatenate([y, np.ones((len(y), 1), y.dtype)], axis=1)
        out = np.empty((cells.first.size - 1, size), self.dtype)
        status = serve.fold_in(
            np.ascontiguousarray(y), base, cells.first, cells.cols, cells.values, cells.weights,
            looked_for.mean, ridge, self.k if self.parameters["nonnegative"] else 0, out,
            self.n_threads,
        )  # fmt: skip
        raise_for_status(status)
        _validate.require_finite_factors(out)
        bias = out[:, self.k].copy() if biased else None
        return _Side(np.ascontiguousarray(out[:, : self.k]), bias, first=looked_for.first)

    # ------------------------------------------------------------ the best

    def top(
        self, rows: ArrayLike | slice, n: int = 10, *, exclude: Any = None
    ) -> tuple[NDArray[np.int64], NDArray[Any]]:
        """The columns with the highest predictions of every row.

        Parameters
        ----------
        rows : int, 1-D array of int, or slice
            Positions of rows.
        n : int, default 10
            How many columns.
        exclude : (m, n) array of bool, sparse array, pair of arrays, or list, optional
            Cells that are left out, usually those that are known already: any form of `mask`
            of `funkc.factorize`, in the matrix's rows and columns (of a sparse array what is
            stored), or a list with an array of columns for each of `rows`.

        Returns
        -------
        cols : (r, n) array of int64
            The best first; of equal ones the first. For a single row, (n,).
        scores : (r, n) array
            Their predictions, the same bits as `predict` gives. Where fewer than n columns
            are left, -1 and -infinity.

        Raises
        ------
        IndexError
            For a row that was not trained: `fold_in_rows` fits new ones.

        Notes
        -----
        Columns stream by in blocks: never is more than the result held. The GIL is free.

        Examples
        --------
        >>> import numpy as np
        >>> import funkc
        >>> table = np.array([[5.0, 4.0, 1.0], [5.0, 4.0, np.nan], [1.0, np.nan, 5.0]])
        >>> fit = funkc.factorize(None, table, k=2)
        >>> fit.top([0, 2], 1, exclude=~np.isnan(table))[0]
        array([[-1],
               [ 1]])
        """
        i = _validate.positions("rows", rows, self.shape[0], False, 1)
        hidden = _validate.excluded(exclude, i.reshape(-1), self.shape)
        x = self._rows.taken(i.reshape(-1))
        found, scores = self._best(x, self._cols.ready, self.offset, n, *hidden)
        return (found, scores) if i.ndim else (found[0], scores[0])

    def similar_rows(
        self, rows: ArrayLike | slice, n: int = 10
    ) -> tuple[NDArray[np.int64], NDArray[Any]]:
        """The rows that are most alike to each of some rows.

        Parameters
        ----------
        rows : int, 1-D array of int, or slice
            Positions of rows.
        n : int, default 10
            How many.

        Returns
        -------
        positions : (r, n) array of int64
            The most alike first, without the row itself. For a single row, (n,).
        similarities : (r, n) array
            From -1 to 1: the cosine of the angle between their factors, each less the mean of
            all rows' (which all have in common). Filled up with -1 and -infinity.
        """
        return self._similar(self._rows, "rows", rows, n)

    def similar_cols(
        self, cols: ArrayLike | slice, n: int = 10
    ) -> tuple[NDArray[np.int64], NDArray[Any]]:
        """The columns that are most alike to each of some columns.

        Parameters
        ----------
        cols : int, 1-D array of int, or slice
            Positions of columns.
        n : int, default 10
            How many.

        Returns
        -------
        positions, similarities
            As for `similar_rows`.

        Examples
        --------
        >>> import numpy as np
        >>> import funkc
        >>> table = np.array([[5, 5, 1, 2], [4, 5, 1, 1], [1, 1, 5, 4], [2, 1, 4, 5.0]])
        >>> funkc.factorize(None, table, k=3).similar_cols(0, 1)[0]
        array([1])
        """
        return self._similar(self._cols, "cols", cols, n)

    def _similar(
        self, side: _Side, name: str, chosen: ArrayLike | slice, n: int
    ) -> tuple[NDArray[np.int64], NDArray[Any]]:
        i = _validate.positions(name, chosen, len(side.factors), False, 1)
        one = np.arange(i.size + 1)
        x = side.directions
        found, scores = self._best(x[i.reshape(-1)], x, 0.0, n, one, i.reshape(-1))
        return (found, scores) if i.ndim else (found[0], scores[0])

    def _best(
        self,
        x: NDArray[Any],
        y: NDArray[Any],
        offset: float,
        n: int,
        hidden_from: NDArray[np.int64],
        hidden: NDArray[np.int64],
    ) -> tuple[NDArray[np.int64], NDArray[Any]]:
        wanted = _validate.integer("n", n, 1, 2**31 - 1)
        some = min(wanted, len(y))
        cols, scores = np.empty((len(x), some), np.int64), np.empty((len(x), some), self.dtype)
        if len(x):
            serve.best(x, y, offset, hidden_from, hidden, cols, scores, self.n_threads)
        if some < wanted:
            more = [(0, 0), (0, wanted - some)]
            cols = np.pad(cols, more, constant_values=-1)
            scores = np.pad(scores, more, constant_values=-np.inf)
        return cols, scores

    # ------------------------------------------------------------ how it went

    def plot_history(self) -> Figure:
        """Training and validation error against epochs.

        Returns
        -------
        matplotlib.figure.Figure
            Save it with ``.savefig(path)``.

        Raises
        ------
        ImportError
            matplotlib is not installed.
        """
        try:
            from matplotlib.figure import Figure
        except ImportError as error:
            raise missing_extra("matplotlib", "plot", "a figure") from error
        figure = Figure(figsize=(6, 4), layout="constrained")
        axes = figure.add_subplot()
        marker = "." if len(self.history["epoch"]) <= 50 else None
        for name, label in (("train_rmse", "training"), ("validation_rmse", "validation")):
            if name in self.history:
                axes.plot(self.history["epoch"], self.history[name], marker=marker, label=label)
        axes.set(xlabel="epoch", ylabel="RMSE")
        axes.legend(frameon=False)
        return figure


class _Side:
    """The factors of all rows, or of all columns, and what is made of them when it is needed.

    Everything is made once: the arrays can't be written to.
    """

    def __init__(self, factors: NDArray[Any], bias: NDArray[Any] | None, *, first: bool) -> None:
        self.factors, self.bias, self.first = _read_only(factors), bias, first
        if bias is not None:
            self.bias = _read_only(bias)
        self._ready: NDArray[Any] | None = None
        self._mean: NDArray[np.float64] | None = None

    def __getstate__(self) -> tuple[Any, ...]:
        return self.factors, self.bias, self.first

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        self.__init__(*state[:2], first=state[2])  # type: ignore[misc]

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
        out = np.empty_like(self.factors)
        serve.directions(np.ascontiguousarray(self.factors), self.mean, out)
        return self._with_lanes(out, None)

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
    rows, cols = _Side(row_factors, None, first=True), _Side(col_factors, None, first=False)
    out = np.empty((len(row_factors), len(col_factors)), row_factors.dtype)
    serve.product(rows.ready, cols.ready, out, offset, n_threads)
    return out


def _read_only(array: NDArray[Any]) -> NDArray[Any]:
    view = array.view()
    view.flags.writeable = False
    return view


def _rows_at_once(n_cols: int) -> int:
    return max(1, NUMBERS_AT_ONCE // n_cols)
