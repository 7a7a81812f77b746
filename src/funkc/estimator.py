"""FunkImputer: a scikit-learn transformer that imputes the missing values of tables."""

from __future__ import annotations

import itertools
import math
import numbers
import sys
import weakref
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from funkc._api import factorize
from funkc._errors import missing_extra, reject, shown, warn
from funkc._errstate import own_errstate
from funkc._input import scalars
from funkc._input.arrays import as_array, is_sparse, numeric
from funkc._input.features import column_name, refuse_dates, refuse_what_is_not_finite
from funkc._input.foreign import as_numpy, refuse_lazy
from funkc._input.forms import checked_sparse, entries_of_sparse, refuse_sparse
from funkc._input.loss import checked_loss, require_allowed_entries
from funkc._input.options import MOST_FACTORS
from funkc._judge import without_outliers
from funkc._sides import Side
from funkc._table import Cells, Moments, Table, ratio, robust_units

try:
    from scipy.sparse import coo_array, csr_array, vstack
    from sklearn.base import BaseEstimator, OneToOneFeatureMixin, TransformerMixin
    from sklearn.utils.validation import check_is_fitted, validate_data
except ImportError as error:
    raise missing_extra("scikit-learn 1.6 or newer", "sklearn", "FunkImputer") from error

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import ArrayLike, NDArray

    from funkc._input.loss import Loss
    from funkc.factorization import Factorization

BATCH_EPOCHS = 20
# The noise of columns is estimated in so many turns, from about so many entries at most; and as if
# each column had so many more, with the mean noise of all.
NOISE_TURNS = 2
NOISE_ENTRIES = 1 << 23
NOISE_SHRINKAGE = 4
# Entries of a column from which on its robust units stay.
ENOUGH = 30
# `score` hides every entry of a row once, in so many passes.
PASSES = 10
# What each estimator warned of; clones share it, so that a search warns once.
_told: weakref.WeakKeyDictionary[FunkImputer, set[str]] = weakref.WeakKeyDictionary()


class FunkImputer(OneToOneFeatureMixin, TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """Impute the missing values of a table by Funk matrix factorization.

    `fit` learns column factors from the observed entries. `transform` computes the factors of
    each given row from its observed entries, and fills the missing ones with predictions.
    Requires scikit-learn (``pip install "funkc[sklearn]"``).

    Parameters
    ----------
    n_components : int, default 20
        The number of factors. It may exceed the number of columns: the regularization prevents
        overfitting.
    missing_values : number, numpy.nan, pandas.NA or None, default numpy.nan
        The placeholder for missing values; the last three all mean NaN after conversion to
        float. With a number, NaN is refused. For **sparse** input, see `sparse_means`.
    scale : bool, default True
        Whether to standardize each column to mean 0 and standard deviation 1 of its observed
        entries, so that the units of columns do not matter. Pass False if all columns share
        one scale, such as ratings: a column of few entries determines its own mean and
        standard deviation poorly, and the other columns help.
    learning_rate : float, optional
        The initial learning rate. By default chosen from the data, as in `funkc.factorize`.
    regularization : float or pair of float, optional
        λ of the training, for rows and columns or as a pair (rows, columns); applied at every
        entry. By default chosen from the data, as in `funkc.factorize`. `transform` uses the
        distribution of the trained rows instead, see Notes.
    n_epochs : int, optional
        Passes over the entries. By default chosen from their number, as in `funkc.factorize`;
        in `partial_fit`, 20 passes over the batch.
    biases : bool or "auto", default "auto"
        Whether rows and columns have biases, as in `funkc.factorize`: "auto" means True,
        except with `nonnegative`. Without them and with `scale`, the offset is 0.
    members : int, default 1
        The number of fits whose average is used, as in `funkc.factorize`; `partial_fit`
        updates the average.
    nonnegative : bool, default False
        Whether the factors, and therefore the imputed values, are constrained to be at least
        0. Then `scale` divides each column by its root mean square and subtracts nothing, and
        negative values in X are refused, unless ``biases=True``.
    loss : {"squared", "absolute", "huber", "logistic", "poisson"}, default "squared"
        The loss of training and of `transform`, as in `funkc.factorize`. With "absolute" and
        "huber", which wild values do not ruin, `scale` takes the median and the robust standard
        deviation of each column. With "logistic" (all values 0 or 1) and "poisson" (counts),
        nothing is scaled, and imputed values are probabilities and means.
    huber_delta : float, optional
        δ of "huber", after scaling; by default from the data, as in `funkc.factorize`.
    min_value, max_value : float, (n_features,) array or None, default -inf and inf
        The smallest and the largest imputed value, of all columns or of each, as in
        `sklearn.impute.IterativeImputer`. They act on imputed values alone, not in `fit`.
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
        are dropped (all of them, of a table without any value), and `transform` warns, once for
        an estimator and its clones.
    sparse_means : {"missing", "zero"} or None, default None
        What entries are that a **sparse** X does not store. "missing": stored entries (also
        zeros) are observed unless they equal `missing_values`. "zero": the others are observed
        zeros, as in `sklearn.impute.SimpleImputer`, so that the dense and the sparse form of a
        table mean the same; say so after a step that may return either, such as a
        `ColumnTransformer` with its `sparse_threshold`. None is "missing" with a warning.
    sparse_output : bool, default False
        Whether `transform` returns a CSR array of what is not 0, for dense and for sparse input.
        It has float32 for float16, which SciPy does not have.

    Attributes
    ----------
    factorization_ : Factorization or None
        Factors and biases of the columns, and of the average row only, with the covariance of
        the rows; for the scaled columns. None if `fit` saw no observed entry.
    mean_, scale_ : (n_features,) array
        The columns are shifted by the mean and then divided by the scale (0: a constant
        column, from which nothing is learned). Without `scale`, 0 and 1.
    noise_ : (n_features,) array
        The standard deviation of the noise of every column, after scaling; of another loss than
        "squared", the root of its dispersion in all columns, as `fit` found it.
    n_observed_ : (n_features,) array of int
        The number of observed entries of every column.
    n_samples_seen_ : int
        The number of rows.
    n_features_in_ : int
        The number of columns.
    feature_names_in_ : (n_features,) array of str
        The names of the columns, if X had any.
    indicator_ : sklearn.impute.MissingIndicator or None
        Of the columns with missing values; None without `add_indicator`.

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
    array or matrix. The output has the dtype of X if that is float16, float32 or float64, as in
    scikit-learn's imputers, and is float64 otherwise; computed is in float64, or in float32 for
    the first two. Observed entries are kept exactly; a row without any is filled with typical
    values. Dates are refused: convert them to numbers first.

    **No inverse_transform**: the output does not tell which of its values were imputed. Where
    that is needed, keep X, or use `add_indicator`, whose columns mark them.

    **Rows**: with x̄ and C the mean and the covariance of the trained rows (factors and bias), the
    factors x of a row minimize Σ_j (r_j - x · y_j)² / noise_j² + (x - x̄)ᵀ C⁻¹ (x - x̄) over its
    observed entries, as in `Factorization.fold_in_rows`, but with the noise of every column. The
    noise is estimated by two turns of expectation maximization [1]_, where random signs replace
    the traces [2]_; with `nonnegative` it is the training RMSE in all columns. With another loss
    than "squared", rows minimize that loss with the noise of training, as in
    `Factorization.fold_in_rows`.

    **Batches**: with a robust loss, a column keeps its median and scale once it has 30 entries and
    varies; before, they are those of the latest batch. With other losses the model changes to
    the units of all rows so far.

    **Reproducible**: the same data and parameters give the same bits, dense or sparse, with any
    number of threads. The result for a row does not depend on the other rows in `transform`,
    so ``fit_transform(X)`` equals ``fit(X).transform(X)``.

    **Threads**: several threads may call `transform` at once.

    References
    ----------
    .. [1] D. B. Rubin, D. T. Thayer, "EM algorithms for ML factor analysis", 1982.
    .. [2] M. F. Hutchinson, "A stochastic estimator of the trace of the influence matrix for
       Laplacian smoothing splines", 1989.

    Examples
    --------
    >>> import numpy as np
    >>> from funkc import FunkImputer
    >>> table = np.outer(np.arange(1.0, 101), [1, 10, 100])  # of rank one
    >>> table[49, 1] = np.nan
    >>> FunkImputer().fit_transform(table)[49].round(-1)
    array([  50.,  500., 5000.])
    """

    factorization_: Factorization | None
    mean_: NDArray[Any]
    scale_: NDArray[Any]
    noise_: NDArray[Any]
    n_observed_: NDArray[Any]
    n_samples_seen_: int
    indicator_: Any
    _rate: float  # initial learning rate
    _moments: Moments

    def __init__(
        self,
        n_components: int = 20,
        *,
        missing_values: Any = np.nan,
        scale: bool = True,
        learning_rate: float | None = None,
        regularization: float | tuple[float, float] | None = None,
        n_epochs: int | None = None,
        biases: bool | Literal["auto"] = "auto",
        members: int = 1,
        nonnegative: bool = False,
        loss: Literal["squared", "absolute", "huber", "logistic", "poisson"] = "squared",
        huber_delta: float | None = None,
        min_value: ArrayLike | None = -np.inf,
        max_value: ArrayLike | None = np.inf,
        random_state: Any = 0,
        n_jobs: int | None = None,
        add_indicator: bool = False,
        keep_empty_features: bool = False,
        sparse_means: Literal["missing", "zero"] | None = None,
        sparse_output: bool = False,
    ) -> None:
        self.n_components = n_components
        self.missing_values = missing_values
        self.scale = scale
        self.learning_rate = learning_rate
        self.regularization = regularization
        self.n_epochs = n_epochs
        self.biases: bool | Literal["auto"] = biases
        self.members = members
        self.nonnegative = nonnegative
        self.loss: Literal["squared", "absolute", "huber", "logistic", "poisson"] = loss
        self.huber_delta = huber_delta
        self.min_value = min_value
        self.max_value = max_value
        self.random_state = random_state
        self.n_jobs = n_jobs
        self.add_indicator = add_indicator
        self.keep_empty_features = keep_empty_features
        self.sparse_means: Literal["missing", "zero"] | None = sparse_means
        self.sparse_output = sparse_output

    @own_errstate
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
        return self._learn(self._table(X, reset=True), more=False)

    @own_errstate
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
        return self._learn(self._table(X, reset=False), more=True)

    @own_errstate
    def transform(self, X: Any) -> Any:
        """Impute the missing values.

        Parameters
        ----------
        X : (n_samples, n_features) array or sparse array
            The rows of `fit` or others.

        Returns
        -------
        (n_samples, n_features_out) array
            A dense copy of X without missing values (or a CSR array with `sparse_output`, or a
            data frame, as configured by `set_output`).

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
        empty = self.n_observed_ == 0
        if empty.any() and not self.keep_empty_features:
            names = ", ".join(np.asarray(super().get_feature_names_out())[empty])
            self._warn(
                f"columns without any observed entry in fit are dropped: {shown(names)}; pass "
                "keep_empty_features=True to fill them with 0"
            )
        if self.sparse_output:
            dtype = np.result_type(table.X.dtype, np.float32)  # SciPy has no float16
            blocks = (csr_array(block.astype(dtype, copy=False)) for block in self._imputed(table))
            return vstack(list(blocks), format="csr")
        n_rows, n_out, first = table.X.shape[0], len(self._kept()), 0
        if self.add_indicator:
            n_out += len(self._incomplete())
        out = np.empty((n_rows, n_out), table.X.dtype)
        for block in self._imputed(table):
            out[first : first + len(block)] = block
            first += len(block)
        return out

    def _imputed(self, table: Table) -> Iterator[NDArray[Any]]:
        """The output, in blocks of rows."""
        incomplete = self._incomplete() if self.add_indicator else np.empty(0, np.intp)
        kept, low_high = self._kept(), self._range(table.X.shape[1])
        for _, cells in table.blocks():
            filled = np.zeros(cells.shape, table.X.dtype)
            with_missing = np.bincount(cells.rows, minlength=len(filled)) < cells.shape[1]
            if with_missing.any():
                filled[with_missing] = np.clip(self._products(cells, with_missing), *low_high)
            filled[:, self.n_observed_ == 0] = 0
            filled[cells.rows, cells.cols] = cells.values
            if kept.size < cells.shape[1] or incomplete.size:
                missing = np.ones(cells.shape, filled.dtype)
                missing[cells.rows, cells.cols] = 0
                filled = np.hstack([filled[:, kept], missing[:, incomplete]])
            yield filled

    @own_errstate
    def score(self, X: Any, y: object = None) -> float:
        """How well observed entries of X are imputed when they are hidden: R².

        Every observed entry is hidden once, and imputed from others of its row: of each row, the
        first, eleventh, twenty-first, ... observed entry are hidden together, then the second,
        twelfth, ..., and so on, so that a row of up to ten entries loses one at a time. The same
        X gives the same score.

        Parameters
        ----------
        X : (n_samples, n_features) array or sparse array
            Rows that were not in `fit`: those of `fit` are imputed better than others.
        y : object
            Ignored.

        Returns
        -------
        float
            1 minus the mean squared error, in standard deviations of the columns of X: at most 1
            (higher is better), 0 if the mean of each column in X does as well. It does not depend
            on the units of columns, and compares imputers of any parameters. Columns that are
            constant in X, and those without any observed entry in `fit`, do not count.

        Examples
        --------
        >>> import numpy as np
        >>> from funkc import FunkImputer
        >>> table = np.outer(np.arange(1.0, 101), [1, 10, 100])  # of rank one
        >>> imputer = FunkImputer().fit(table[::2])
        >>> round(imputer.score(table[1::2]), 2)
        1.0
        """
        check_is_fitted(self)
        table = self._table(X, reset=False)
        low, high = self._range(table.X.shape[1])
        moments = table.moments()
        deviations = moments.units(True, False, self._column)[1]
        deviations[self.n_observed_ == 0] = 0
        count = int(moments.count[deviations > 0].sum())
        if not count:
            reject("X", "has no column whose values differ", "pass more rows")
        squares = 0.0
        for _, cells in table.blocks():
            # The place of each entry in its row.
            turns = np.arange(cells.rows.size) - np.searchsorted(cells.rows, cells.rows)
            turns %= PASSES
            for turn in np.unique(turns):
                hidden = turns == turn
                of_them = cells.only(hidden)
                chosen = np.bincount(of_them.rows, minlength=cells.shape[0]) > 0
                made = np.clip(self._products(cells.only(~hidden), chosen), low, high)
                made = made[(np.cumsum(chosen) - 1)[of_them.rows], of_them.cols]
                squares += np.sum(ratio(of_them.values - made, deviations[of_them.cols]) ** 2)
        return float(1 - squares / count)

    def _range(self, n_cols: int) -> tuple[NDArray[Any], NDArray[Any]]:
        """The smallest and the largest imputed value of every column."""
        ends = []
        for name, given in (("min_value", self.min_value), ("max_value", self.max_value)):
            if given is None:
                given = -np.inf if name == "min_value" else np.inf
            end = numeric(name, as_array(name, given)).astype(np.float64)
            if end.shape not in ((), (n_cols,)):
                reject(name, f"has shape {end.shape}", f"pass a number, or {n_cols} numbers")
            if np.isnan(end).any():
                reject(name, "has NaN", "pass numbers, or infinity for no limit")
            ends.append(np.broadcast_to(end, n_cols))
        low, high = ends
        if not (low < high).all():
            at = int(np.argmin(low < high))
            given = f"got {low[at]:g}, which is not below max_value {high[at]:g}"
            what = f"{given}, in {self._column(at)}"
            reject("min_value", what, "pass a smaller one")
        return low, high

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
        kept: NDArray[Any] = names[self._kept()]
        if self.add_indicator:
            more = [f"missingindicator_{name}" for name in names[self._incomplete()]]
            kept = np.append(kept, np.array(more, object))
        return kept

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        tags.input_tags.allow_nan = _means_nan(self.missing_values)
        tags.input_tags.positive_only = self._needs_positive()
        kept = ["float64", "float32", "float16"][: 2 if self.sparse_output else 3]
        tags.transformer_tags.preserves_dtype = kept
        return tags

    def __sklearn_clone__(self) -> Any:
        made: Any = super().__sklearn_clone__()
        _told[made] = _told.setdefault(self, set())
        return made

    def _warn(self, text: str) -> None:
        """Once for this estimator and its clones."""
        told = _told.setdefault(self, set())
        if text not in told:
            warn(text, UserWarning)
            told.add(text)

    def _needs_positive(self) -> bool:
        """Whether negative values in X are refused: no imputed value could be negative."""
        loss: Any = self.loss  # which may be anything until it is checked
        if isinstance(loss, str) and loss == "poisson":
            return True
        biased, constrained = (
            isinstance(option, (bool, np.bool_)) and bool(option)
            for option in (self.biases, self.nonnegative)
        )
        return constrained and not biased

    def _column(self, at: int) -> str:
        """What to call a column in a message."""
        return column_name(getattr(self, "feature_names_in_", None), at)

    def _kept(self) -> NDArray[Any]:
        """The columns that the output has."""
        kept: NDArray[Any] = np.flatnonzero((self.n_observed_ > 0) | self.keep_empty_features)
        return kept

    def _incomplete(self) -> NDArray[Any]:
        """The columns with missing values in the rows seen so far."""
        return np.flatnonzero(self.n_observed_ < self.n_samples_seen_)

    def _table(self, X: Any, *, reset: bool) -> Table:
        """X, in any supported form."""
        for name in (
            "scale", "nonnegative", "add_indicator", "keep_empty_features", "sparse_output",
        ):  # fmt: skip
            scalars.flag(name, getattr(self, name))
        missing = self.missing_values
        nan = _means_nan(missing)
        missing = math.nan if nan else scalars.real("missing_values", missing, -math.inf)
        refuse_lazy("X", X)
        if hasattr(type(X), "__dlpack__"):
            X = as_numpy("X", X)
        if is_sparse(X):
            if X.format == "csr":
                try:
                    X = checked_sparse(X.copy())
                except ValueError as error:
                    refuse_sparse("X", error)
            else:  # SciPy's own conversions believe what an index says
                rows, cols, values, shape = entries_of_sparse(X, (None, None), "X")
                X = coo_array((values, (rows, cols)), shape)
            scalars.require_memory(40 * X.shape[1], f"{X.shape[1]:,} columns", "pass fewer")
        _require_columns(X, None if reset else len(self.n_observed_))
        refuse_dates("X", X)
        try:
            checked = validate_data(
                self,
                X,
                reset=reset,
                accept_sparse="csr",
                dtype=[np.float64, np.float32, np.float16],
                ensure_all_finite="allow-nan" if nan else True,
            )
        except RuntimeError as error:  # of SciPy, about an index that it did not check
            refuse_sparse("X", error)
        except (TypeError, ValueError, OverflowError) as error:
            if "feature names" not in str(error):
                refuse_what_is_not_finite("X", X, nan)
            raise
        X = checked
        if not isinstance(X, np.ndarray) and not X.has_canonical_format:
            X = X.copy()  # X may be the caller's object
            X.sum_duplicates()
        table = Table(X, missing, self._zeros(X, missing))
        loss, positive = self._checked_loss(), self._needs_positive()
        for first, cells in table.blocks() if loss.linked or positive else ():
            cells = replace(cells, rows=first + cells.rows)
            if positive and (cells.values < 0).any():
                at = int(np.argmax(cells.values < 0))
                place = f"row {cells.rows[at]} and {self._column(cells.cols[at])}"
                reject(
                    "X",  # and in scikit-learn's words, which its checks look for
                    f"got {cells.values[at]:g} in {place}, which is below 0 (Negative values in "
                    "data passed to FunkImputer)",
                    "pass another loss" if loss.linked else "pass nonnegative=False",
                )
            require_allowed_entries(cells, loss, "X", self._column)
        return table

    def _zeros(self, X: Any, missing: float) -> bool:
        """Whether X is sparse, and what it does not store is 0."""
        means = self.sparse_means
        if means is not None:
            means = scalars.choice("sparse_means", means, ("missing", "zero"))
        if isinstance(X, np.ndarray):
            return False
        if means is None and missing != 0 and X.nnz < math.prod(X.shape):
            self._warn(
                "X: entries that are not stored are taken as missing; pass "
                'sparse_means="missing" if they are, or sparse_means="zero" if they are zeros, as '
                "in the sparse output of a ColumnTransformer"
            )
        if means == "zero":
            what = f"{math.prod(X.shape):,} numbers"
            scalars.require_memory(4 * math.prod(X.shape), what, "pass fewer rows at a time")
        return bool(means == "zero")

    def _checked_loss(self) -> Loss:
        return checked_loss(self.loss, self.huber_delta)

    def _units(
        self, table: Table, moments: Moments, known: NDArray[np.bool_]
    ) -> tuple[NDArray[Any], NDArray[Any]]:
        """Mean and scale of the columns; of robust losses, those that are known stay."""
        loss = self._checked_loss()
        if not loss.robust or not self.scale:
            return moments.units(self.scale and not loss.linked, self.nonnegative, self._column)
        mean, scale = robust_units(table)
        if known.any():
            mean, scale = (
                np.where(known, old, new) for old, new in ((self.mean_, mean), (self.scale_, scale))
            )
        return mean, scale

    def _learn(self, table: Table, *, more: bool) -> FunkImputer:
        """Train on the first entries, or with more after others."""
        self._range(table.X.shape[1])
        moments, n_rows = table.moments(), table.X.shape[0]
        n_observed = int(moments.count.sum())
        before = self.factorization_ if more else None
        if more:
            moments, n_rows = self._moments.joined(moments), n_rows + self.n_samples_seen_
        if n_observed:
            self._train(table, moments, before, n_observed, n_rows)
        elif before is None:
            nothing = np.zeros(table.X.shape[1])
            self.factorization_, self._moments = None, moments
            self.mean_, self.scale_, self.noise_ = nothing, nothing.copy(), nothing.copy()
        self.n_observed_, self.n_samples_seen_ = moments.count, n_rows
        self.indicator_ = self._indicator() if self.add_indicator else None
        return self

    def _train(
        self,
        table: Table,
        moments: Moments,
        before: Factorization | None,
        n_observed: int,
        n_rows: int,
    ) -> None:
        """Of all rows, the moments and their number; of these ones, the number of entries."""
        dtype = np.result_type(table.X.dtype, np.float32)
        known = np.zeros(table.X.shape[1], np.bool_)
        if before is not None:
            known = (self.n_observed_ >= ENOUGH) & (self.scale_ > 0)
            dtype = before.dtype
        mean, scale = self._units(table, moments, known)
        mask, values = table.scaled(mean, scale, dtype)
        shape = None if mask is None else table.X.shape
        if before is None:
            with without_outliers():  # which a column of another unit may look like
                fit = self._trained(mask, values, shape, dtype)
            self._rate = fit.history["learning_rate"][0]
            average = _average(fit._rows, fit.n_threads)
        else:
            before = self._rescaled(before, mean, scale)
            share = n_observed / int(moments.count.sum())
            with without_outliers():
                fit = self._updated(before, mask, values, shape, share)
            average = _average(fit._rows, fit.n_threads)
            average = _mixed(before._rows, average, 1 - table.X.shape[0] / n_rows)
        fit = fit._changed(_rows=average)
        noise = self._noise(table, fit, mean, scale)
        if before is not None:
            squares = (ratio(self.scale_, scale) * self.noise_) ** 2
            old = ratio(self.n_observed_, moments.count)
            noise = np.sqrt(noise**2 + old * (squares - noise**2))
        self.factorization_, self.noise_ = fit, noise
        self._moments, self.mean_, self.scale_ = moments, mean, scale

    def _indicator(self) -> Any:
        """Fitted by scikit-learn to one row that lacks what some row lacks."""
        from sklearn.impute import MissingIndicator

        missing = np.nan if _means_nan(self.missing_values) else self.missing_values
        row = np.full((1, len(self.n_observed_)), 1.0 if missing == 0 else 0.0)
        row[0, self._incomplete()] = missing
        made: Any = MissingIndicator(missing_values=missing, error_on_new=False).fit(row)
        names = getattr(self, "feature_names_in_", None)
        if names is not None:
            made.feature_names_in_ = names
        return made

    def _rescaled(
        self, before: Factorization, mean: NDArray[Any], scale: NDArray[Any]
    ) -> Factorization:
        """The model of the columns in other units."""
        stretch, cols = ratio(self.scale_, scale), before._cols
        robust = self._checked_loss().robust
        if robust:  # what had no units keeps its factors
            stretch[self.scale_ == 0] = 1.0
        bias = cols.bias
        if bias is not None:
            level: NDArray[Any] = bias.astype(np.float64) + before.offset
            moved = ratio(level * self.scale_ + self.mean_ - mean, scale)
            level = np.where(self.scale_ == 0, level, moved) if robust else moved
            bias = (level - before.offset).astype(before.dtype)
        factors = (cols.factors * stretch[:, None]).astype(before.dtype)
        changed = before._changed(_cols=Side(factors, bias, first=False))
        if bias is not None and before.loss == "squared" and stretch.any():
            changed._rows = _stretched(changed, stretch)
        squares = np.average(stretch**2, weights=self.n_observed_)
        if before.loss == "squared":
            changed.noise = math.sqrt(squares) * float(before.noise or 0)
        return changed

    def _trained(self, mask: Any, values: Any, shape: Any, dtype: Any) -> Factorization:
        plain = isinstance(self.biases, (bool, np.bool_)) and not self.biases
        return factorize(
            mask,
            values,
            scalars.integer("n_components", self.n_components, 1, MOST_FACTORS),
            shape=shape,
            learning_rate=self.learning_rate,
            regularization=self.regularization,
            n_epochs=self.n_epochs,
            biases=self.biases,
            nonnegative=self.nonnegative,
            loss=self.loss,
            huber_delta=self.huber_delta,
            offset=0.0 if self.scale and plain and not self._checked_loss().linked else "auto",
            random_state=self.random_state,
            n_threads=scalars.jobs(self.n_jobs),
            members=self.members,
            dtype=dtype,
        )

    def _updated(
        self, before: Factorization, mask: Any, values: Any, shape: Any, share: float
    ) -> Factorization:
        """The model with the rows of a batch, which has the share of all entries."""
        before.n_threads = scalars.jobs(self.n_jobs)
        fit = before.fold_in_rows(mask, values, shape=shape)
        fit.partial_fit(
            mask,
            values,
            n_epochs=BATCH_EPOCHS if self.n_epochs is None else self.n_epochs,
            learning_rate=self._rate * share,
            regularization=self.regularization,
            shape=shape,
        )
        if fit.loss == "squared":
            old, new = float(before.noise or 0), fit.history["train_rmse"][-1]
            fit.noise = math.sqrt(old * old + share * (new * new - old * old))
        return fit

    def _noise(
        self, table: Table, fit: Factorization, mean: NDArray[Any], scale: NDArray[Any]
    ) -> NDArray[Any]:
        """The noise of every column.

        The training RMSE understates it, because rows follow their entries. The variance of a
        prediction is the share of an entry in its own prediction, times the noise; and the trace
        of these shares is that of predictions of random signs.
        """
        usual = fit.noise or 1.0  # which does not matter where no entry has an error
        noise = np.full(mean.size, usual)
        if not _is_linear(fit):
            return noise
        step = 1 + math.prod(table.X.shape) // NOISE_ENTRIES
        for _ in range(NOISE_TURNS):
            squares, count = np.zeros(mean.size), np.zeros(mean.size)
            weighed, level, unit = _weighed(fit, mean, scale, noise)
            centered = weighed._changed(
                _rows=_usual(weighed._rows, 0 * weighed._rows.mean, fit._rows.covariance(1))
            )
            for first, cells in itertools.islice(table.blocks(), 0, None, step):
                at = cells.rows, cells.cols
                values = cells.scaled(level, unit, fit.dtype)
                left = values - weighed.fold_in_rows(at, values, shape=cells.shape).predict(*at)
                signs = np.random.PCG64(first).random_raw(values.size) % 2 * 2.0 - 1
                followed = centered.fold_in_rows(at, signs, shape=cells.shape).predict(*at)
                squares += np.bincount(
                    cells.cols, left.astype(float) ** 2 + signs * followed, count.size
                )
                count += np.bincount(cells.cols, minlength=count.size)
            squares = np.maximum(squares, 0) * noise**2
            both = squares + NOISE_SHRINKAGE * squares.sum() / count.sum()
            noise = np.sqrt(both / (count + NOISE_SHRINKAGE))
            noise = np.maximum(noise, 2.0**-10 * usual)
        return noise

    def _products(self, cells: Cells, chosen: NDArray[np.bool_]) -> NDArray[Any]:
        """The predictions of the chosen rows for all columns, in the units of the columns."""
        if self.factorization_ is None:
            return np.zeros((int(np.count_nonzero(chosen)), cells.shape[1]))
        used = chosen[cells.rows] & (self.n_observed_ > 0)[cells.cols]
        cells = Cells(
            (np.cumsum(chosen) - 1)[cells.rows[used]],
            cells.cols[used],
            cells.values[used],
            (int(np.count_nonzero(chosen)), cells.shape[1]),
        )
        fit, mean, scale = _weighed(self.factorization_, self.mean_, self.scale_, self.noise_)
        fit.n_threads = scalars.jobs(self.n_jobs)  # others may use the fit of the estimator
        values = cells.scaled(mean, scale, fit.dtype)
        new = fit.fold_in_rows((cells.rows, cells.cols), values, shape=cells.shape)
        products: NDArray[Any] = new.reconstruct().astype(np.float64)
        products *= scale
        products += mean
        largest = float(np.finfo(cells.values.dtype).max)
        return np.clip(products, -largest, largest, out=products)


def _is_linear(fit: Factorization) -> bool:
    """Whether predictions of new rows are linear in their entries."""
    return fit.loss == "squared" and not fit.parameters["nonnegative"]


def _weighed(
    fit: Factorization, mean: NDArray[Any], scale: NDArray[Any], noise: NDArray[Any]
) -> tuple[Factorization, NDArray[Any], NDArray[Any]]:
    """The model of columns in units of their noise, with the bias of rows as one more factor; and
    mean and scale for these units.
    """
    if not _is_linear(fit):
        return fit._changed(), mean, scale
    factors, level = fit.col_factors, np.full(len(noise), float(fit.offset))
    if fit.col_bias is not None:
        factors = np.hstack([factors, np.ones((len(factors), 1), fit.dtype)])
        level += fit.col_bias
    cols = Side((factors / noise[:, None]).astype(fit.dtype), None, first=False)
    rows = Side(
        fit._rows.mean[None].astype(fit.dtype),
        None,
        first=True,
        n_seen=fit._rows.n_seen,
        covariance=fit._rows.covariance(1),
    )
    weighed = fit._changed(_rows=rows, _cols=cols, offset=0.0)
    weighed.noise = 1.0
    return weighed, mean + scale * level, scale * noise


def _stretched(fit: Factorization, stretch: NDArray[Any]) -> Side:
    """The rows, after the units of columns changed and not only those of their factors: what was
    the bias becomes a multiple of it in every factor and in the bias, as far as these can tell.
    """
    weights = ratio(np.ones(stretch.size), stretch**2)  # errors count in the old units
    common = float(np.average(stretch, weights=weights))
    rows, cols = fit._rows, fit._cols
    nothing = np.zeros(len(stretch), fit.dtype)
    model = fit._changed(
        _rows=Side(0 * rows.factors, nothing[:1], first=True),
        _cols=Side(cols.factors, nothing, first=False),
        offset=0.0,
    )
    away = model.fold_in_rows(
        None, (stretch - common)[None], weights=weights[None], regularization=1e-6
    )
    of_x = away.row_factors[0].astype(np.float64)
    of_b, k = common + float(away._rows.mean[-1]), of_x.size
    covariance, mean = rows.covariance(1).copy(), rows.mean.copy()
    with_x, of_bias = covariance[k, :k].copy(), covariance[k, k]
    covariance[:k, :k] += np.outer(of_x, with_x) + np.outer(with_x, of_x)
    covariance[:k, :k] += of_bias * np.outer(of_x, of_x)
    covariance[k, :k] = of_b * (with_x + of_bias * of_x)
    covariance[k, k] *= of_b * of_b
    mean[:k] += of_x * mean[k]
    mean[k] *= of_b
    return _usual(rows, mean, covariance)


def _average(rows: Side, n_threads: int) -> Side:
    """The mean row, with the covariance of all."""
    return _usual(rows, rows.mean, rows.covariance(n_threads))


def _mixed(before: Side, batch: Side, share: float) -> Side:
    """The mean row and the covariance of both, of which the first has the share."""
    a, b = before.covariance(1), batch.covariance(1)
    shift = np.zeros(len(a))
    shift[: before.mean.size] = before.mean - batch.mean
    mean = batch.mean + share * shift[: before.mean.size]
    covariance = b + share * (a - b) + share * (1 - share) * np.outer(shift, shift)
    return _usual(batch, mean, covariance, before.n_seen)


def _usual(rows: Side, mean: NDArray[Any], covariance: NDArray[Any], n_more: int = 0) -> Side:
    """A mean row alone, in the form of these rows."""
    k, mean = rows.factors.shape[1], mean.astype(rows.factors.dtype)
    bias = None if rows.bias is None else mean[k:]
    n_seen = rows.n_seen + n_more
    return Side(mean[None, :k], bias, first=True, n_seen=n_seen, covariance=covariance)


def _require_columns(X: Any, n: int | None) -> None:
    """In scikit-learn's words, but before it looks at every number; None: of any number."""
    if not isinstance(X, np.ndarray) or X.ndim != 2:
        return
    scalars.require_memory(4 * X.size, f"{X.size:,} numbers", "pass fewer rows at a time")
    if n not in (None, X.shape[1]):
        raise ValueError(
            f"X has {X.shape[1]} features, but FunkImputer is expecting {n} features as input"
        )


def _means_nan(missing_values: object) -> bool:
    """Whether missing values are NaN after conversion to float."""
    pandas = sys.modules.get("pandas")
    if missing_values is None or (pandas is not None and missing_values is pandas.NA):
        return True
    # math.isnan would not take an integer beyond float64.
    return isinstance(missing_values, numbers.Real) and bool(missing_values != missing_values)
