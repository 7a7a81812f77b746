"""FunkImputer: a scikit-learn transformer that imputes the missing values of tables."""

from __future__ import annotations

import copy
import functools
import math
import numbers
import sys
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from funkc._api import factorize
from funkc._errors import missing_extra, reject, shown
from funkc._input import scalars
from funkc._input.options import MOST_FACTORS
from funkc._sides import Side

try:
    from sklearn.base import BaseEstimator, OneToOneFeatureMixin, TransformerMixin
    from sklearn.utils.validation import check_is_fitted, validate_data
except ImportError as error:
    raise missing_extra("scikit-learn 1.6 or newer", "sklearn", "FunkImputer") from error

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import ArrayLike, NDArray

    from funkc.factorization import Factorization

# Good on small tables of many kinds with 10 to 80 % missing (benchmarks/imputers.py).
REGULARIZATION = 0.15
ENTRIES_AT_ONCE = 1 << 19
BATCH_EPOCHS = 20
# A standard deviation below this fraction of the mean is rounding error.
ROUNDING = 10 * float(np.finfo(np.float64).eps)


class FunkImputer(OneToOneFeatureMixin, TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """Impute the missing values of a table by Funk matrix factorization.

    `fit` learns column factors from the observed entries. `transform` computes the factors of
    each given row from its observed entries, and fills the missing ones with products.
    Requires scikit-learn (``pip install "funkc[sklearn]"``).

    Parameters
    ----------
    n_components : int, default 20
        The number of factors. It may exceed the number of columns: the regularization prevents
        overfitting.
    missing_values : number, numpy.nan, pandas.NA or None, default numpy.nan
        The placeholder for missing values; the last three all mean NaN after conversion to
        float. With a number, NaN is refused. In **sparse** input, entries that are not stored
        are missing, and stored entries (also zeros) are observed unless they equal this.
    scale : bool, default True
        Whether to standardize each column to mean 0 and standard deviation 1 of its observed
        entries, so that the units of columns do not matter. Pass False if all columns share
        one scale, such as ratings: a column of few entries determines its own mean and
        standard deviation poorly, and the other columns help.
    learning_rate : float, optional
        The initial learning rate. By default chosen from the data, as in `funkc.factorize`.
    regularization : float or pair of float, optional
        λ, for rows and columns or as a pair (rows, columns); applied at every entry. By
        default 0.15 (1/√r + 1/√c) standard deviations of the values, where rows have r
        observed entries on average, and columns c. It is that of training; `transform` uses
        the distribution of the trained rows instead, as `Factorization.fold_in_rows` does.
    n_epochs : int, optional
        Passes over the entries. By default chosen from their number, as in `funkc.factorize`;
        in `partial_fit`, 20 passes over the batch.
    nonnegative : bool, default False
        Whether the factors, and therefore the imputed values, are constrained to be at least
        0. Then `scale` divides each column by its root mean square and subtracts nothing.
    random_state : int, numpy.random.Generator, numpy.random.RandomState or None, default 0
        Seeds the training order and the initialization. None draws fresh entropy.
    n_jobs : int, optional
        The number of threads; it does not affect the result. None and -1 mean the processors
        that this process may use (in a joblib worker, its share of them), -2 all but
        one of these, and so on.
    add_indicator : bool, default False
        Whether the output has an additional column for every column with missing values in
        `fit`: 1 where a value was missing and 0 elsewhere.
    keep_empty_features : bool, default False
        Whether columns without any observed entry in `fit` are filled with 0. By default they
        are dropped, and `transform` warns.

    Attributes
    ----------
    factorization_ : Factorization
        The column factors, and the factors of the average row only, with the covariance of the
        rows; for the scaled columns.
    mean_, scale_ : (n_features,) array
        The columns are shifted by the mean and then divided by the scale (0: a constant
        column, from which nothing is learned). Without `scale`, 0 and 1.
    n_observed_ : (n_features,) array of int
        The number of observed entries of every column.
    n_samples_seen_ : int
        The number of rows.
    n_features_in_ : int
        The number of columns.
    feature_names_in_ : (n_features,) array of str
        The names of the columns, if X had any.

    Raises
    ------
    ValueError, TypeError
        From any method: invalid input, such as infinite values.
    DivergedError
        As from `funkc.factorize`; only with an explicit learning rate.

    See Also
    --------
    funkc.factorize : With all training options, and predictions of single entries.

    Notes
    -----
    **Input and output**: X is any 2-D array or data frame of numbers, or any `scipy.sparse`
    array or matrix. The output is dense, float32 for float32 and otherwise float64 (which is
    also the precision of the computation). Observed entries are kept exactly; a row without
    any is filled with typical values.

    **Reproducible**: the same data and parameters give the same bits, dense or sparse, with any
    number of threads. The result for a row does not depend on the other rows in `transform`,
    so ``fit_transform(X)`` equals ``fit(X).transform(X)``.

    **Threads**: several threads may call `transform` at once.

    Examples
    --------
    >>> import numpy as np
    >>> from funkc import FunkImputer
    >>> table = np.outer(np.arange(1.0, 101), [1, 10, 100])  # of rank one
    >>> table[49, 1] = np.nan
    >>> FunkImputer().fit_transform(table)[49].round(-1)
    array([  50.,  500., 5000.])
    """

    factorization_: Factorization
    mean_: NDArray[Any]
    scale_: NDArray[Any]
    n_observed_: NDArray[Any]
    n_samples_seen_: int
    _rate: float  # initial learning rate
    _moments: _Moments

    def __init__(
        self,
        n_components: int = 20,
        *,
        missing_values: Any = np.nan,
        scale: bool = True,
        learning_rate: float | None = None,
        regularization: float | tuple[float, float] | None = None,
        n_epochs: int | None = None,
        nonnegative: bool = False,
        random_state: Any = 0,
        n_jobs: int | None = None,
        add_indicator: bool = False,
        keep_empty_features: bool = False,
    ) -> None:
        self.n_components = n_components
        self.missing_values = missing_values
        self.scale = scale
        self.learning_rate = learning_rate
        self.regularization = regularization
        self.n_epochs = n_epochs
        self.nonnegative = nonnegative
        self.random_state = random_state
        self.n_jobs = n_jobs
        self.add_indicator = add_indicator
        self.keep_empty_features = keep_empty_features

    def fit(self, X: Any, y: object = None) -> FunkImputer:
        """Learn the column factors.

        Parameters
        ----------
        X : (n_samples, n_features) array or sparse array
            The table with missing values.
        y : object
            Ignored.

        Returns
        -------
        FunkImputer
            The estimator itself.

        Examples
        --------
        >>> import numpy as np
        >>> from funkc import FunkImputer
        >>> imputer = FunkImputer().fit([[1.0, 2.0], [np.nan, 4.0], [3.0, 6.0]])
        >>> imputer.n_observed_, imputer.mean_
        (array([2, 3]), array([2., 4.]))
        """
        table = self._table(X, reset=True)
        if not any(cells.values.size for _, cells in table.blocks()):
            reject("X", "has no observed entry", "pass at least one value that is not missing")
        return self._learn(table, None)

    def partial_fit(self, X: Any, y: object = None) -> FunkImputer:
        """Update the column factors with more rows.

        The learning rate is proportional to the share of the batch in all entries so far. No
        rows are kept, so the memory needed depends only on the batch and the columns.

        Parameters
        ----------
        X : (n_samples, n_features) array or sparse array
            More rows of the same columns. The first call is equivalent to `fit`.
        y : object
            Ignored.

        Returns
        -------
        FunkImputer
            The estimator itself.

        Examples
        --------
        >>> import numpy as np
        >>> from funkc import FunkImputer
        >>> imputer = FunkImputer()
        >>> for batch in np.split(np.outer(np.arange(1.0, 101), [1, 10, 100]), 4):
        ...     _ = imputer.partial_fit(batch)
        >>> imputer.n_samples_seen_
        100
        """
        if not hasattr(self, "factorization_"):
            return self.fit(X)
        table = self._table(X, reset=False)
        if any(cells.values.size for _, cells in table.blocks()):
            return self._learn(table, self.factorization_)
        self.n_samples_seen_ += table.X.shape[0]
        return self

    def transform(self, X: Any) -> Any:
        """Impute the missing values.

        Parameters
        ----------
        X : (n_samples, n_features) array or sparse array
            The rows of `fit` or others.

        Returns
        -------
        (n_samples, n_features_out) array
            A dense copy of X without missing values (or a data frame, as configured by
            `set_output`).

        Examples
        --------
        >>> import numpy as np
        >>> from funkc import FunkImputer
        >>> imputer = FunkImputer().fit(np.outer(np.arange(1.0, 101), [1, 10, 100]))
        >>> imputer.transform([[50.0, np.nan, 5000.0]]).round(-1)
        array([[  50.,  500., 5000.]])
        """
        check_is_fitted(self)
        table = self._table(X, reset=False)
        filled = np.zeros(table.X.shape, table.X.dtype)
        incomplete = self._incomplete() if self.add_indicator else np.empty(0, np.intp)
        missing = np.ones((len(filled), incomplete.size), filled.dtype)
        empty = self.n_observed_ == 0
        for first, cells in table.blocks():
            part = filled[first : first + cells.shape[0]]
            with_missing = np.bincount(cells.rows, minlength=len(part)) < cells.shape[1]
            if with_missing.any():
                part[with_missing] = self._products(cells, with_missing)
            part[:, empty] = 0
            part[cells.rows, cells.cols] = cells.values
            at = np.full(cells.shape[1], -1)
            at[incomplete] = np.arange(incomplete.size)
            marked = at[cells.cols] >= 0
            missing[first + cells.rows[marked], at[cells.cols[marked]]] = 0
        if empty.any() and not self.keep_empty_features:
            names = ", ".join(np.asarray(super().get_feature_names_out())[empty])
            warnings.warn(
                f"columns without any observed entry in fit are dropped: {shown(names)}; pass "
                "keep_empty_features=True to fill them with 0",
                stacklevel=2,
            )
            filled = filled[:, ~empty]
        return np.hstack([filled, missing]) if self.add_indicator else filled

    def get_feature_names_out(self, input_features: ArrayLike | None = None) -> NDArray[Any]:
        """Names of the output columns.

        Parameters
        ----------
        input_features : (n_features,) array of str, optional
            Names of the input columns, if `fit` saw none (by default x0, x1, ...).

        Returns
        -------
        (n_features_out,) array of object
            The names; those of indicator columns have the prefix ``missingindicator_``.

        Examples
        --------
        >>> import numpy as np
        >>> from funkc import FunkImputer
        >>> imputer = FunkImputer(add_indicator=True).fit([[1.0, 2.0], [np.nan, 4.0]])
        >>> imputer.get_feature_names_out(["a", "b"]).tolist()
        ['a', 'b', 'missingindicator_a']
        """
        check_is_fitted(self)
        names = np.asarray(super().get_feature_names_out(input_features))
        kept = names if self.keep_empty_features else names[self.n_observed_ > 0]
        if self.add_indicator:
            kept = np.append(kept, "missingindicator_" + names[self._incomplete()])
        return kept

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        tags.input_tags.allow_nan = _means_nan(self.missing_values)
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags

    def _incomplete(self) -> NDArray[Any]:
        """The columns with missing values in the rows seen so far."""
        return np.flatnonzero(self.n_observed_ < self.n_samples_seen_)

    def _table(self, X: Any, *, reset: bool) -> _Table:
        """X, in any supported form."""
        missing = self.missing_values
        nan = _means_nan(missing)
        if not nan:
            missing = scalars.real("missing_values", missing, -math.inf)
        X = validate_data(
            self,
            X,
            reset=reset,
            accept_sparse="csr",
            dtype=[np.float64, np.float32],
            ensure_all_finite="allow-nan" if nan else True,
        )
        if not isinstance(X, np.ndarray) and not X.has_canonical_format:
            X = X.copy()  # X may be the caller's object
            X.sum_duplicates()
        return _Table(X, math.nan if nan else missing)

    def _learn(self, table: _Table, before: Factorization | None) -> FunkImputer:
        """Train on the first entries, or continue from `before` with more."""
        for name in ("scale", "nonnegative", "add_indicator", "keep_empty_features"):
            scalars.flag(name, getattr(self, name))
        moments = functools.reduce(
            _Moments.joined, (_Moments.of(cells) for _, cells in table.blocks())
        )
        n_observed, n_rows = int(moments.count.sum()), table.X.shape[0]
        dtype, init = table.X.dtype, None
        learning_rate, n_epochs = self.learning_rate, self.n_epochs
        if before is not None:
            moments, n_rows = self._moments.joined(moments), n_rows + self.n_samples_seen_
            dtype = before.dtype
        mean, scale, deviation = moments.units(self.scale, self.nonnegative)
        mask, values = table.scaled(mean, scale, dtype)
        shape = None if mask is None else table.X.shape
        if before is not None:
            stretch = _ratio(self.scale_, scale)[:, None]
            before = _model(before, before._rows, before.col_factors * stretch)
            squares = np.average(stretch[:, 0] ** 2, weights=self.n_observed_)
            before.noise = math.sqrt(squares) * float(before.noise or 0)
            init = before.fold_in_rows(mask, values, shape=shape)
            learning_rate = self._rate * n_observed / int(moments.count.sum())
            n_epochs = BATCH_EPOCHS if n_epochs is None else n_epochs
        regularization = self.regularization
        if regularization is None and deviation > 0:  # otherwise the default of factorize
            regularization = REGULARIZATION * deviation * _noise(table, n_observed, moments)
        fit = factorize(
            mask,
            values,
            scalars.integer("n_components", self.n_components, 1, MOST_FACTORS),
            shape=shape,
            learning_rate=learning_rate,
            regularization=regularization,
            n_epochs=n_epochs,
            nonnegative=self.nonnegative,
            offset=0.0 if self.scale else "auto",
            init=init,
            random_state=self.random_state,
            n_threads=scalars.jobs(self.n_jobs),
            dtype=dtype,
        )
        if before is None:
            self._rate = fit.history["learning_rate"][0]
        average = _average(fit._rows, fit.n_threads)
        if before is not None:
            average = _mixed(before._rows, average, 1 - table.X.shape[0] / n_rows)
            share = 1 - n_observed / int(moments.count.sum())
            old, new = (float(part.noise or 0) for part in (before, fit))
            squares = share * old * old + (1 - share) * new * new
            fit.noise = math.sqrt(squares)
        self.factorization_ = _model(fit, average, fit.col_factors)
        self._moments, self.mean_, self.scale_ = moments, mean, scale
        self.n_observed_, self.n_samples_seen_ = moments.count, n_rows
        return self

    def _products(self, cells: _Cells, chosen: NDArray[np.bool_]) -> NDArray[Any]:
        """The predictions of the chosen rows for all columns, in the units of the columns."""
        used = chosen[cells.rows] & (self.n_observed_ > 0)[cells.cols]
        cells = _Cells(
            (np.cumsum(chosen) - 1)[cells.rows[used]],
            cells.cols[used],
            cells.values[used],
            (int(np.count_nonzero(chosen)), cells.shape[1]),
        )
        fit = copy.copy(self.factorization_)  # it may be in use with other n_threads
        fit.n_threads = scalars.jobs(self.n_jobs)
        values = cells.scaled(self.mean_, self.scale_, fit.dtype)
        new = fit.fold_in_rows((cells.rows, cells.cols), values, shape=cells.shape)
        products: NDArray[Any] = new.reconstruct().astype(np.float64)
        products *= self.scale_
        products += self.mean_
        largest = float(np.finfo(cells.values.dtype).max)
        return np.clip(products, -largest, largest, out=products)


@dataclass(frozen=True)
class _Table:
    """A table, dense or CSR, that is looked through in blocks of rows."""

    X: Any
    missing: float  # the value of what is missing

    def blocks(self) -> Iterator[tuple[int, _Cells]]:
        """The first row of each block, and its observed entries."""
        n_rows, n_cols = self.X.shape
        at_once = max(1, ENTRIES_AT_ONCE // n_cols)  # the same for dense and sparse tables
        for first in range(0, n_rows, at_once):
            yield first, self._cells(self.X[first : first + at_once])

    def _cells(self, X: Any) -> _Cells:
        if isinstance(X, np.ndarray):
            observed = self._is_observed(X)
            rows, cols = np.nonzero(observed)
            return _Cells(rows, cols, X[observed], X.shape)
        coo = X.tocoo()
        observed = self._is_observed(coo.data)
        return _Cells(coo.row[observed], coo.col[observed], coo.data[observed], X.shape)

    def _is_observed(self, values: NDArray[Any]) -> NDArray[np.bool_]:
        nan = math.isnan(self.missing)
        return np.asarray(~np.isnan(values) if nan else values != self.missing)

    def scaled(
        self, mean: NDArray[Any], scale: NDArray[Any], dtype: np.dtype[Any]
    ) -> tuple[Any, Any]:
        """Mask and values for `factorize`, standardized by column."""
        if isinstance(self.X, np.ndarray):
            out = np.full(self.X.shape, np.nan, dtype)
            for first, cells in self.blocks():
                part = out[first : first + cells.shape[0]]
                part[cells.rows, cells.cols] = cells.scaled(mean, scale, dtype)
            return None, out
        parts = [
            (first + cells.rows, cells.cols, cells.scaled(mean, scale, dtype))
            for first, cells in self.blocks()
        ]
        rows, cols, values = (np.concatenate(part) for part in zip(*parts, strict=True))
        return (rows, cols), values


@dataclass(frozen=True)
class _Cells:
    """The observed entries of some rows, row by row."""

    rows: NDArray[Any]
    cols: NDArray[Any]
    values: NDArray[Any]  # of the dtype of the output
    shape: tuple[int, int]

    def scaled(self, mean: NDArray[Any], scale: NDArray[Any], dtype: np.dtype[Any]) -> NDArray[Any]:
        """The values, standardized by column."""
        return _ratio(self.values - mean[self.cols], scale[self.cols]).astype(dtype)


@dataclass(frozen=True)
class _Moments:
    """Number, mean and sum of squares about the mean of the observed entries of each column."""

    count: NDArray[Any]
    mean: NDArray[Any]
    squares: NDArray[Any]

    @classmethod
    def of(cls, cells: _Cells) -> _Moments:
        n = cells.shape[1]
        count = np.bincount(cells.cols, minlength=n)
        with np.errstate(over="ignore", invalid="ignore"):  # `units` refuses what is not finite
            mean = np.bincount(cells.cols, cells.values, n) / np.maximum(count, 1)
            squares = np.bincount(cells.cols, (cells.values - mean[cells.cols]) ** 2, n)
        return cls(count, mean, squares)

    def joined(self, more: _Moments) -> _Moments:
        """The moments of both sets of entries together."""
        count = self.count + more.count
        share = more.count / np.maximum(count, 1)
        with np.errstate(over="ignore", invalid="ignore"):
            away = more.mean - self.mean
            squares = self.squares + more.squares + away**2 * self.count * share
            return _Moments(count, self.mean + away * share, squares)

    def units(self, scale: bool, nonnegative: bool) -> tuple[NDArray[Any], NDArray[Any], float]:
        """Mean and scale of the columns, and the standard deviation of the scaled values."""
        count = np.maximum(self.count, 1)
        with np.errstate(over="ignore", invalid="ignore"):
            variances = self.squares / count
            finite = np.isfinite(self.squares + count * self.mean**2)
        if not finite.all():
            at = int(np.argmin(finite))
            reject("X", f"the squares of column {at} exceed float64", "divide it by a constant")
        if not scale:
            total = int(self.count.sum())
            away = self.mean - float(self.count @ self.mean) / total
            variance = float(self.squares.sum() + self.count @ away**2) / total
            return (
                np.zeros_like(count, float),
                np.ones_like(count, float),
                math.sqrt(variance),
            )
        if nonnegative:
            return np.zeros_like(self.mean), np.sqrt(variances + self.mean**2), 1.0
        deviations = np.sqrt(variances)
        deviations[deviations <= ROUNDING * np.abs(self.mean)] = 0
        return self.mean, deviations, 1.0


def _ratio(x: NDArray[Any], by: NDArray[Any]) -> NDArray[Any]:
    """x / by, and 0 where `by` is 0."""
    out = np.zeros(x.shape)
    np.divide(x, by, out=out, where=by > 0)
    return out


def _model(fit: Factorization, rows: Side, col_factors: NDArray[Any]) -> Factorization:
    """A copy of the factorization with other factors."""
    return fit._changed(_rows=rows, _cols=Side(col_factors.astype(fit.dtype), None, first=False))


def _average(rows: Side, n_threads: int) -> Side:
    """The mean row, with the covariance of all."""
    return Side(
        rows.mean[None].astype(rows.factors.dtype),
        None,
        first=True,
        n_seen=rows.n_seen,
        covariance=rows.covariance(n_threads),
    )


def _mixed(before: Side, batch: Side, share: float) -> Side:
    """The mean row and the covariance of both, of which the first has the share."""
    a, b = before.covariance(1), batch.covariance(1)
    shift = np.zeros(len(a))
    shift[: before.mean.size] = before.mean - batch.mean
    mean = batch.mean + share * shift[: before.mean.size]
    return Side(
        mean[None].astype(batch.factors.dtype),
        None,
        first=True,
        n_seen=before.n_seen + batch.n_seen,
        covariance=b + share * (a - b) + share * (1 - share) * np.outer(shift, shift),
    )


def _noise(table: _Table, n_observed: int, moments: _Moments) -> float:
    """The noise of the factors by the number of entries: 1/√r + 1/√c.

    Rows have r observed entries on average, in the batch; columns c, in all batches.
    """
    seen = sum(np.count_nonzero(np.bincount(cells.rows)) for _, cells in table.blocks())
    rows = seen / n_observed
    cols = np.count_nonzero(moments.count) / int(moments.count.sum())
    return math.sqrt(rows) + math.sqrt(cols)


def _means_nan(missing_values: object) -> bool:
    """Whether missing values are NaN after conversion to float."""
    pandas = sys.modules.get("pandas")
    if missing_values is None or (pandas is not None and missing_values is pandas.NA):
        return True
    return isinstance(missing_values, numbers.Real) and math.isnan(missing_values)
