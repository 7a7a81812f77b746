"""Factorization: the result of training, and its methods."""

from __future__ import annotations

import dataclasses
import math
from io import BytesIO
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from funkc import _model_file, _train
from funkc._bar import listener
from funkc._core.threads import warn_if_refused
from funkc._errors import reject
from funkc._errstate import own_errstate
from funkc._explain import Explanation, entries_of_row, explained
from funkc._export import as_frame, as_given
from funkc._input import scalars
from funkc._input.arrays import listed_at_most, own_pair, require_apart, writable
from funkc._input.cells import Axis, by_row, observed_by_blocks, observed_cells
from funkc._input.factors import checked_factors, checked_ids, of_no_training
from funkc._input.lookups import index_pair
from funkc._input.loss import (
    mean_loss,
    predictions,
    require_allowed_entries,
    root_mean_square,
    score_of,
    usual_curvature,
)
from funkc._input.options import checked_options, checked_start
from funkc._judge import warn_of_outliers
from funkc._model import Model, of_one_state
from funkc._plots import of_columns, of_history
from funkc._ranking import asked
from funkc._sides import Side

if TYPE_CHECKING:
    import os
    from collections.abc import Callable

    from matplotlib.figure import Figure
    from numpy.typing import ArrayLike, NDArray

    from funkc._input.cells import Cells, Duplicates
    from funkc._input.ids import Ids
    from funkc._input.options import History
    from funkc._model_file import Reader, Writer

MOST_LABELS = 30  # of columns in a figure, unless they are named
# For `partial_fit`, where no training tells.
PASSED = {
    "learning_rate": "0.0015 divided by the standard deviation of the values",
    "regularization": "0.03 times the standard deviation of the values",
}


class Factorization(Model):
    """Factors of an incomplete matrix: ``reconstruct() == offset + row_factors @ col_factors.T``.

    (With a logistic or Poisson loss, ``reconstruct(link=False)``.) Returned by `funkc.factorize`.
    If there are biases, as by default, ``row_bias[:, None] + col_bias`` is added.

    Attributes
    ----------
    row_factors : (m, k) array, read-only
        x_i, one for every row of the matrix; float32 or float64, C-contiguous. If k is not a
        multiple of 16, or with biases, it is a copy, made at the first access.
    col_factors : (n, k) array, read-only
        y_j, one for every column of the matrix.
    row_bias, col_bias : (m,) and (n,) array, read-only, or None
        The bias of every row and column, if trained with `biases`.
    offset : float
        A constant that is added to every product.
    parameters : dict
        The training parameters including defaults: ``learning_rate``, ``regularization``
        (of rows, of columns), ``n_epochs``, ``decay``, ``group_size``, ``bands`` (of rows,
        of columns; `partial_fit` chooses its own; None: unknown), ``nonnegative``, ``loss``,
        ``huber_delta`` (or None) and ``seed``.
    history : dict of list
        For every epoch: ``epoch`` (from 1), ``train_loss`` (the mean loss of entries during the
        epoch, each computed before its update), ``learning_rate`` and ``seconds`` (wall time since
        the beginning of training; epochs of less than 50 ms may be trained in one call, and
        then share its time equally); with validation also ``validation_loss``. With the squared
        loss also their roots, ``train_rmse`` and ``validation_rmse``.
    stopped_by : str
        "epochs", "patience", "callback" or "interrupt"; "fold-in" for the result of
        `fold_in_rows` or `fold_in_cols`, "from_factors" for that of `from_factors`.
    noise : float or None
        The RMSE of these factors on the entries that trained them, by weight (with another loss
        than the squared one, the root of the dispersion: squares of the loss's derivatives, by
        the second ones), which `fold_in_rows` and `fold_in_cols` use. None: unknown, for factors
        from elsewhere; may be set.
    baseline_loss, baseline_rmse : dict of float
        What simpler models reach: the mean loss of one prediction for all entries, "mean", and, if
        biases were fitted, of biases without factors, "biases"; of the entries of `validation` if
        there are any, otherwise of those that trained. The roots, if the loss is the squared one.
    validation_loss, validation_rmse : float or None
        With validation: the mean loss of these factors on its entries; its root, if the loss is
        the squared one.
    clip : pair of float, or None
        The range of predictions; see `funkc.factorize`. May be set.
    stages : int
        How many times the training went through its epochs; see `funkc.factorize`.
    n_seen : pair of int
        The numbers of rows and of columns that had entries in training. The factors (and biases)
        of the others are the mean.
    row_ids, col_ids : (m,) and (n,) array of int64, str or object, or None
        The id of every row and column, if trained on `funkc.Ratings`.
    n_threads : int
        The number of threads that its methods use; may be set.

    Notes
    -----
    **Threads**: any number of threads may call the methods of one object at once. While one of
    them calls `partial_fit`, each call in the others answers from the state before or after it,
    never from a mixture; of two calls of `partial_fit` at once, only one takes effect. (Two
    properties that are read one after the other may be of two states: read them from a
    ``copy.copy(fit)``, which is cheap, because arrays are shared and never modified.)

    Examples
    --------
    >>> import numpy as np
    >>> import funkc
    >>> rows, cols = np.array([0, 0, 1, 2]), np.array([0, 1, 1, 0])
    >>> fit = funkc.factorize((rows, cols), np.array([1.0, 2.0, 3.0, 4.0]), k=2)
    >>> fit.shape, fit.k
    ((3, 2), 2)
    """

    @classmethod
    @own_errstate
    def from_factors(
        cls,
        row_factors: ArrayLike,
        col_factors: ArrayLike,
        *,
        row_bias: ArrayLike | None = None,
        col_bias: ArrayLike | None = None,
        offset: float = 0.0,
        row_ids: ArrayLike | None = None,
        col_ids: ArrayLike | None = None,
        loss: Literal["squared", "absolute", "huber", "logistic", "poisson"] = "squared",
        huber_delta: float | None = None,
        clip: tuple[float, float] | None = None,
        noise: float | None = None,
        nonnegative: bool = False,
    ) -> Factorization:
        """Make a factorization of factors from elsewhere, such as another library's.

        Parameters
        ----------
        row_factors : (m, k) array
            x_i, of any real dtype. All arrays are copied, to float64 if one of them needs it,
            otherwise to float32.
        col_factors : (n, k) array
            y_j.
        row_bias, col_bias : (m,) and (n,) array, optional
            Both or neither.
        offset : float, default 0
            A constant that is added to every product.
        row_ids, col_ids : (m,) and (n,) array of int or str, optional
            The id of every row and column, each once.
        loss : {"squared", "absolute", "huber", "logistic", "poisson"}, default "squared"
            The loss that the factors were trained by, which says what a product stands for; see
            `funkc.factorize`.
        huber_delta : float, optional
            Needed with ``loss="huber"``.
        clip : pair of float, optional
            The range of predictions.
        noise : float, optional
            The RMSE on the entries that trained the factors. `fold_in_rows` and `fold_in_cols`
            need it unless they are given a `regularization`, and `partial_fit` and
            ``funkc.factorize(init=...)`` need it for new rows and columns.
        nonnegative : bool, default False
            Whether factors that are fitted later (not the biases) are at least 0, as these are.

        Returns
        -------
        Factorization
            With an empty history and the default `n_threads` of this machine. It has no learning
            rate, so `partial_fit` needs `learning_rate` and `regularization`.

        Raises
        ------
        ValueError, TypeError
            Shapes that don't fit each other, numbers that are not finite or have products beyond
            the dtype, repeated ids.

        Examples
        --------
        >>> import funkc
        >>> fit = funkc.Factorization.from_factors([[1.0], [2.0]], [[3.0], [4.0], [5.0]])
        >>> fit.reconstruct()
        array([[ 3.,  4.,  5.],
               [ 6.,  8., 10.]])
        """
        x, y, x_bias, y_bias = checked_factors(row_factors, col_factors, row_bias, col_bias)
        constrained = scalars.flag("nonnegative", nonnegative)
        parameters, history = of_no_training(loss, huber_delta, constrained)
        if constrained and min(x.min(), y.min()) < 0:
            reject("nonnegative", "got True with factors below 0", "pass False")
        made = cls._made(
            Side(x, x_bias, checked_ids("row_ids", row_ids, len(x)), first=True),
            Side(y, y_bias, checked_ids("col_ids", col_ids, len(y)), first=False),
            offset=offset,
            parameters=parameters,
            history=history,
            stopped_by="from_factors",
            n_threads=scalars.threads(None),
            noise=noise,
        )
        made.clip = clip
        return made

    # ------------------------------------------------------------ ids

    @of_one_state
    def knows_rows(self, ids: ArrayLike) -> Any:
        """Which rows this factorization has.

        Parameters
        ----------
        ids : int or str, or array of them
            Ids of rows; positions, if rows have no ids.

        Returns
        -------
        bool, or array of bool
            Of the shape of `ids`.

        Examples
        --------
        >>> import funkc
        >>> ratings = funkc.Ratings.from_arrays(["ann", "bob"], [10, 20], [5.0, 3.0])
        >>> funkc.factorize(None, ratings, k=1).knows_rows(["bob", "eve"])
        array([ True, False])
        """
        known = self._rows.called(None).find("ids", ids, None) >= 0
        return known if known.ndim else bool(known)

    @of_one_state
    def knows_cols(self, ids: ArrayLike) -> Any:
        """Which columns this factorization has.

        Parameters
        ----------
        ids : int or str, or array of them
            Ids of columns; positions, if columns have no ids.

        Returns
        -------
        bool, or array of bool
            Of the shape of `ids`.

        Examples
        --------
        >>> import funkc
        >>> ratings = funkc.Ratings.from_arrays(["ann", "bob"], [10, 20], [5.0, 3.0])
        >>> funkc.factorize(None, ratings, k=1).knows_cols(10)
        True
        """
        known = self._cols.called(None).find("ids", ids, None) >= 0
        return known if known.ndim else bool(known)

    # ------------------------------------------------------------ entries

    @of_one_state
    def predict(
        self,
        rows: ArrayLike | slice,
        cols: ArrayLike | slice = slice(None),
        *,
        ids: bool | None = None,
        unknown: Literal["raise", "baseline", "nan"] = "raise",
        return_known: bool = False,
    ) -> Any:
        """Predict entries, indexed as in NumPy: ``reconstruct()[rows, cols]``.

        Parameters
        ----------
        rows, cols : int or str, array of them, or slice
            Ids or positions of entries, broadcast against each other; with a slice on either side,
            all combinations of the rows and the columns. Without `cols`, whole rows. A slice, or a
            boolean array with a mark for each row (or column), is of positions always.
        ids : bool, optional
            Whether ids are passed: by default where a side has ids, the rows or the columns. False:
            positions. True: ids, and an error where there are none.
        unknown : {"raise", "baseline", "nan"}, default "raise"
            What to do with an unknown id, or a position outside the matrix (also -1): "baseline"
            predicts with the mean of all rows (or columns), "nan" gives NaN.
        return_known : bool, default False
            Whether to return also which entries have a known row and a known column.

        Returns
        -------
        predictions : scalar or array
            Of the dtype of the factors, with the same bits as in `reconstruct`; within `clip`.
        known : bool or array of bool
            Of the same shape; only if `return_known` is True.

        Raises
        ------
        UnknownIdError
            For an unknown id (a KeyError and ValueError, whose ``unknown`` and ``axis`` say which).
        IndexError
            For a position that is not in the matrix.

        Examples
        --------
        >>> import numpy as np
        >>> import funkc
        >>> fit = funkc.factorize(None, np.array([[1.0, 2.0, 3.0], [2.0, 4.0, np.nan]]), k=1)
        >>> fit.predict(1, 2).shape, fit.predict(1).shape, fit.predict([0, 1, 1], 2).shape
        ((), (3,), (3,))
        """
        named = scalars.flag_or_none("ids", ids)
        instead = scalars.choice("unknown", unknown, ("raise", "baseline", "nan"))
        remedy = 'pass unknown="baseline" or "nan"' if instead == "raise" else None
        i = self._rows.called(named).find("rows", rows, remedy)
        j = self._cols.called(named).find("cols", cols, remedy)
        if isinstance(rows, slice) or isinstance(cols, slice):
            made = self._answers.block(i.reshape(-1), j.reshape(-1)).reshape(i.shape + j.shape)
            known = np.logical_and.outer(i >= 0, j >= 0)
        else:
            i, j = index_pair(i, j)
            made = self._answers.scores(i.reshape(-1), j.reshape(-1)).reshape(i.shape)
            predictions(self._loss, made)
            self._answers.into_range(made)
            known = (i >= 0) & (j >= 0)
        if instead == "nan":
            made[~known] = np.nan
        if scalars.flag("return_known", return_known):
            return made[()], known[()]
        return made[()]

    @of_one_state
    def score(
        self,
        mask: Any,
        values: Any,
        weights: ArrayLike | None = None,
        *,
        duplicates: Duplicates = "error",
        ids: bool | None = None,
    ) -> float:
        """The RMSE on some entries; with another loss than the squared one, the mean loss.

        Held-out entries are predicted worse than those that trained the fit, so compare the
        RMSE with that of another fit, or with `baseline_rmse` of a fit with `validation`.

        Parameters
        ----------
        mask, values, weights, duplicates
            As for `funkc.factorize`; of the shape and ids of this factorization.
        ids : bool, optional
            Whether a pair `mask` lists ids; see `predict`.

        Returns
        -------
        float
            The root of the weighted mean of squared errors, or the weighted mean of losses; the
            lower the better. The bits don't depend on the order
            of the entries.

        Examples
        --------
        >>> import numpy as np
        >>> import funkc
        >>> fit = funkc.factorize(None, np.add.outer([1.0, 2.0, 3.0], [1.0, 2.0]), k=1)
        >>> round(fit.score(([0, 1], [1, 1]), np.array([3.0, 5.0])), 3)
        0.727
        """
        cells = observed_cells(
            mask, values, weights=weights, duplicates=duplicates, matrix=self._matrix(ids=ids)
        ).listed()
        i, j = own_pair("mask", cells.rows, cells.cols, self.shape)
        scores = self._answers.scores(i, j)
        if not self._loss.squared:
            require_allowed_entries(cells, self._loss)
            if self._clip is not None:
                # Beyond the largest number of the dtype, a value of 0 would cost 0 times infinity.
                most = float(np.finfo(scores.dtype).max)
                ends = (min(max(score_of(self._loss, end), -most), most) for end in self._clip)
                np.clip(scores, *ends, out=scores)
            return mean_loss(self._loss, cells.values, scores, cells.weights)
        self._answers.into_range(scores)
        errors = cells.values - scores.astype(np.float64)
        return root_mean_square(errors, cells.weights)

    @of_one_state
    def reconstruct(
        self,
        rows: ArrayLike | slice = slice(None),
        *,
        out: NDArray[Any] | None = None,
        link: bool = True,
        ids: bool | None = None,
    ) -> NDArray[Any]:
        """The full product, offset + row_factors @ col_factors.T and biases, or some of its rows.

        Parameters
        ----------
        rows : array of int or str, or slice, optional
            The rows to compute; by default all.
        out : (r, n) array, optional
            The output: C-contiguous, aligned, of the dtype of the factors.
        link : bool, default True
            Whether to turn the product into predictions: probabilities of a logistic loss, counts
            of a Poisson loss; others need nothing.
        ids : bool, optional
            Whether `rows` are ids; see `predict`.

        Returns
        -------
        (r, n) array
            Of the dtype of the factors; `out` if it was given. Sums have a fixed order, so the
            bits do not depend on threads or processor (a BLAS does not guarantee that).

        Examples
        --------
        >>> import numpy as np
        >>> import funkc
        >>> fit = funkc.factorize(None, np.outer([1.0, 2.0, 3.0], [1.0, 2.0]), k=2)
        >>> fit.reconstruct().shape, fit.reconstruct([0, 2]).shape
        ((3, 2), (2, 2))
        """
        names = self._rows.called(scalars.flag_or_none("ids", ids))
        i = names.find("rows", rows, "omit it", 1)
        into = None if out is None else writable(out, (i.size, self.shape[1]), self.dtype)
        linked = scalars.flag("link", link)
        everything = isinstance(rows, slice) and i.size == self.shape[0] and rows.step in (None, 1)
        answers = self._answers
        answers.require_memory(i.size, self.shape[1] if into is None else 0)
        x = self._rows.ready if everything else self._rows.taken(i.reshape(-1))
        made = answers.product(x, self._cols.ready, into, link=linked)
        return made if out is None else out

    @of_one_state
    def impute(
        self,
        mask: Any,
        values: Any,
        *,
        duplicates: Duplicates = "error",
        out: NDArray[Any] | None = None,
        ids: bool | None = None,
    ) -> Any:
        """Fill the missing entries with predictions; observed entries are kept exactly.

        Parameters
        ----------
        mask, values, duplicates
            As for `funkc.factorize`; the shape must be that of this factorization.
        out : (m, n) array, optional
            The output, of a floating dtype that can represent `values`; it may be `values`
            itself. If an error is raised, it may be partially written.
        ids : bool, optional
            Whether a pair `mask` lists ids; see `predict`.

        Returns
        -------
        (m, n) array
            Of the dtype of `values` if that is floating (and can represent the predictions),
            otherwise float64; also float64 if duplicates were added up. In addition to it and
            the input, about ten megabytes are used, and 16 bytes per entry of a list.
            Without `out`, a matrix in a data frame (of pandas or polars), a table of pyarrow or a
            DataArray comes back as such, with its labels. Each column of a table has the dtype
            of the column given if that is floating or nothing was filled in there, otherwise
            float64, of the same kind (NumPy's, nullable, or Arrow-backed).

        Examples
        --------
        >>> import numpy as np
        >>> import funkc
        >>> table = np.array([[5, 4, np.nan], [4, np.nan, 2], [np.nan, 2, 1], [1, 1, 0.5]])
        >>> funkc.factorize(None, table, k=1).impute(None, table).round(1)[0]
        array([5. , 4. , 3.5])
        """
        dtype, blocks = observed_by_blocks(
            mask, values, matrix=self._matrix(ids=ids), duplicates=duplicates
        )
        answers = self._answers
        if out is not None:
            dtype = writable(out, self.shape, dtype, at_least=True).dtype
        if np.finfo(dtype).max < np.finfo(self.dtype).max and answers.exceed(dtype):
            dtype = self.dtype  # for a prediction that float16, for example, can't represent
        if out is None:
            m, n = self.shape
            scalars.require_memory(m * n * dtype.itemsize, f"{m:,} x {n:,} numbers", "pass `out`")
            into = np.empty(self.shape, dtype)
        else:
            into = writable(out, self.shape, dtype, at_least=True)
            require_apart(into, values, mask)
        answers.fill(into, blocks)
        return as_given(values, into) if out is None else out

    # ------------------------------------------------------------ new rows and columns

    @of_one_state
    def fold_in_rows(
        self,
        mask: Any,
        values: Any,
        *,
        regularization: float | None = None,
        shape: tuple[int | None, int | None] | None = None,
        weights: ArrayLike | None = None,
        duplicates: Duplicates = "error",
        ids: bool | None = None,
        unknown: Literal["raise", "skip"] = "raise",
    ) -> Factorization:
        """Compute factors for new rows with the column factors fixed.

        Every row x is the exact regression of its observed entries on the column factors. The
        trained rows are its prior (empirical Bayes [1]_): it minimizes
        Σ_j w_j (r_j - offset - x · y_j)² + noise² (x - x̄)ᵀ C⁻¹ (x - x̄), where x̄ and C are the
        mean and the covariance of the trained rows, `noise` is the attribute, and w_j is 1 or
        the weight, scaled to mean 1 in each row. So a row with few entries stays close to x̄, one
        without gets x̄, and one with many follows them. With biases, the bias of the row is one
        more number of x, for which y_j has a 1, and the bias of the column is subtracted from
        r_j; with nonnegative factors, x is at least 0. With another loss than the squared one,
        twice its loss takes the place of the square (at most 20 of Newton's steps; absolute errors
        bend where they are small, and the δ of "huber" is at most 1.345 times `noise`, so that a
        wild entry does not outweigh the prior).

        Parameters
        ----------
        mask, values, weights, duplicates
            As for `funkc.factorize`: the columns are those of this factorization. New rows are
            numbered from 0, or have ids where the trained rows do: those of a pair and of Ratings.
        regularization : float, optional
            λ of a ridge regression towards x̄ instead of the prior: λ c |x - x̄|² takes the place
            of its term, where c is the number of observed entries of the row.
        shape : pair of int, optional
            The numbers of new rows and of columns, if `mask` is a pair of positions.
        ids : bool, optional
            Whether a pair `mask` lists ids, of columns and of new rows: by default where a side of
            this factorization has ids. False: positions. True: ids, and an error where there are
            none.
        unknown : {"raise", "skip"}, default "raise"
            What to do with entries whose column id is unknown: with "skip" they are left out, and
            named in a `funkc.UnknownIdWarning`.

        Returns
        -------
        Factorization
            Of the new rows and the same columns, with all methods. `top` of this factorization
            takes it, too.

        Raises
        ------
        UnknownIdError
            For an unknown id of a column.

        Notes
        -----
        Rows are solved in parallel, in double precision and in a fixed order: the same bits
        with any number of threads. The GIL is released. C is computed by the first call and
        kept. 1e-6 of the mean variance of factors is added to their diagonal, and 1e-6 of
        that of biases to their variance; if fewer than 2 k rows had
        entries in training, only its diagonal is used; and if all rows are equal, new ones are
        too.

        References
        ----------
        .. [1] Efron, B. and Morris, C. (1975). Data analysis using Stein's estimator and its
           generalizations. Journal of the American Statistical Association 70, 311-319.

        Examples
        --------
        >>> import numpy as np
        >>> import funkc
        >>> old = np.outer([1.0, 2.0, 3.0, 4.0] * 5, [1.0, 2.0, 3.0])
        >>> fit = funkc.factorize(None, old, k=2)
        >>> new = fit.fold_in_rows(None, np.array([[5.0, np.nan, 15.0]]))
        >>> new.shape, round(float(new.predict(0, 1)))
        ((1, 3), 10)
        """
        cells = self._cells_of_new(
            mask, values, shape, weights, duplicates, ids, unknown, by_col=False
        )
        return self._fold_in(cells, regularization, by_col=False)

    @of_one_state
    def fold_in_cols(
        self,
        mask: Any,
        values: Any,
        *,
        regularization: float | None = None,
        shape: tuple[int | None, int | None] | None = None,
        weights: ArrayLike | None = None,
        duplicates: Duplicates = "error",
        ids: bool | None = None,
        unknown: Literal["raise", "skip"] = "raise",
    ) -> Factorization:
        """Compute factors for new columns with the row factors fixed.

        As `fold_in_rows`, with rows and columns exchanged: new columns are numbered from 0,
        the rows are those of this factorization, and the trained columns are the prior.

        Parameters
        ----------
        mask, values, regularization, shape, weights, duplicates, ids, unknown
            As for `fold_in_rows`.

        Returns
        -------
        Factorization
            Of the same rows and the new columns. `similar_cols` of this factorization takes it,
            too.

        Examples
        --------
        >>> import numpy as np
        >>> import funkc
        >>> old = np.outer([1.0, 2.0, 3.0], [1.0, 2.0, 3.0, 4.0] * 5)
        >>> fit = funkc.factorize(None, old, k=2)
        >>> new = fit.fold_in_cols(([0, 2], [0, 0]), np.array([5.0, 15.0]))
        >>> new.shape, round(float(new.predict(1, 0)))
        ((3, 1), 10)
        """
        cells = self._cells_of_new(
            mask, values, shape, weights, duplicates, ids, unknown, by_col=True
        )
        return self._fold_in(cells, regularization, by_col=True)

    def _cells_of_new(
        self,
        mask: Any,
        values: Any,
        shape: Any,
        weights: Any,
        duplicates: Any,
        ids: bool | None,
        unknown: Literal["raise", "skip"],
        *,
        by_col: bool,
    ) -> Cells:
        """Entries of new rows, or columns, and of those on the other side."""
        scalars.choice("unknown", unknown, ("raise", "skip"))
        matrix = list(self._matrix(ids=ids, unknown=unknown))
        matrix[by_col] = Axis(by_id=matrix[by_col].lists_ids)
        return observed_cells(
            mask,
            values,
            weights=weights,
            shape=shape,
            duplicates=duplicates,
            matrix=(matrix[0], matrix[1]),
            nothing=True,
        )

    def _fold_in(
        self, cells: Cells, regularization: float | None, *, by_col: bool
    ) -> Factorization:
        ridge = None
        if regularization is not None:
            ridge = scalars.real("regularization", regularization, 0.0)
        cells = cells.listed()
        require_allowed_entries(cells, self._loss)
        fixed, looked_for = (self._rows, self._cols) if by_col else (self._cols, self._rows)
        fitted = self._fitting.side(
            self._fitting.grouped(cells, fixed, by_col=by_col),
            fixed,
            looked_for,
            ridge,
            ids=cells.ids[by_col],
        )
        return self._changed(
            **{"_cols" if by_col else "_rows": fitted},
            history={name: [] for name in self.history},
            stopped_by="fold-in",
        )

    # ------------------------------------------------------------ ranking

    @of_one_state
    def top(
        self,
        rows: ArrayLike | slice | Factorization,
        n: int = 10,
        *,
        exclude: Any = None,
        only: Any = None,
        ids: bool | None = None,
        unknown: Literal["raise", "skip"] = "raise",
    ) -> tuple[NDArray[Any], NDArray[Any]]:
        """The columns with the highest predictions of every row.

        Parameters
        ----------
        rows : int or str, 1-D array of them, slice, or Factorization
            Ids or positions of rows; or new rows, which `fold_in_rows` of this factorization
            returned, or an (r, k) array of float with their factors, which get the mean bias.
        n : int, default 10
            The number of columns.
        exclude : array, list, sparse array, or Ratings, optional
            Columns not to return, usually those that a row has had. One list of columns for all
            rows; a list with a list for each of `rows`; a boolean array with a mark for each
            column; or entries of the matrix, those of the requested rows counting: an (m, n) array
            of bool, a sparse array (what is stored), a pair of arrays (rows, cols), or
            `funkc.Ratings`. The index of a row in the matrix counts there, not its place in
            `rows`. Costs little where Ratings or a CSR array have many other rows.
        only : array, list, sparse array, or Ratings, optional
            The columns to rank; by default all. In the same forms. The cost is that of these
            columns.
        ids : bool, optional
            Whether ids are passed, in `rows`, `exclude` and `only`, and returned: by default where
            a side has ids, the rows or the columns. False: positions. True: ids, and an error where
            there are none. Slices, boolean and sparse arrays are of positions always, and Ratings
            of ids, of which those that are unknown count for nothing.
        unknown : {"raise", "skip"}, default "raise"
            What to do with unknown ids, and with positions outside the matrix. With "skip", an
            unknown row gets nothing but padding, and is named in a `funkc.UnknownIdWarning`;
            unknown columns in `exclude` and `only` count for nothing.

        Returns
        -------
        cols : (r, n) array of int64, or of ids
            Best first, ties by lower position. For a single row, (n,). If `n` exceeds both 1,000
            and the number of columns, the answer has as many as the greater of these.
        scores : (r, n) array
            Their predictions, with the same bits as from `predict` without `clip`. If fewer than n
            columns remain, padded with -infinity, and `cols` with -1 (ids: an empty text, or -1,
            which only the score distinguishes from an id of -1).

        Raises
        ------
        UnknownIdError
            For an unknown id (a KeyError and ValueError, whose ``unknown`` and ``axis`` say which).
        IndexError
            For a position that is not in the matrix; for new rows, use `fold_in_rows`.

        Notes
        -----
        Columns are processed in blocks, and only the result is kept in memory. The GIL is
        released.

        Examples
        --------
        >>> import numpy as np
        >>> import funkc
        >>> table = np.array([[5.0, 4.0, 1.0], [5.0, 4.0, np.nan], [1.0, np.nan, 5.0]])
        >>> fit = funkc.factorize(None, table, k=2)
        >>> fit.top([0, 2], 1, exclude=~np.isnan(table))[0]
        array([[-1],
               [ 1]])
        >>> fit.top(0, 1, only=[1, 2])[0]
        array([1])
        """
        called = asked(self, self._rows, self._cols, rows, ids, unknown)
        x = called.side.taken(called.index)
        found, scores = called.best(self._answers, x, self._cols.ready, n, exclude, only)
        padding = found < 0
        predictions(self._loss, scores)
        scores[padding] = -np.inf
        return called.answered(found, scores)

    @of_one_state
    def similar_rows(
        self,
        x: ArrayLike | slice | Factorization,
        n: int = 10,
        *,
        exclude: Any = None,
        only: Any = None,
        ids: bool | None = None,
        unknown: Literal["raise", "skip"] = "raise",
    ) -> tuple[NDArray[Any], NDArray[Any]]:
        """The rows most similar to each of some rows.

        Parameters
        ----------
        x : int or str, 1-D array of them, slice, or Factorization
            Ids or positions of rows; or new rows, which `fold_in_rows` of this factorization
            returned, or an (r, k) array of float with their factors.
        n : int, default 10
            The number of similar rows.
        exclude, only : array or list, optional
            Rows not to return, and those to rank: one list for all of `x`, a list with a list
            for each, or a boolean array with a mark for each row of the matrix.
        ids, unknown
            As for `top`.

        Returns
        -------
        similar : (r, n) array of int64, or of ids
            The most similar first, without the row itself. For a single row, (n,); of a large `n`
            as many as `top` returns.
        similarities : (r, n) array
            From -1 to 1: the cosine of the angle between their factors, each minus the mean
            over all rows (the part common to all). Padded with -1 and -infinity.

        Raises
        ------
        UnknownIdError, IndexError
            As `top`.

        Examples
        --------
        >>> import numpy as np
        >>> import funkc
        >>> table = np.array([[5, 5, 1, 2], [4, 5, 1, 1], [1, 1, 5, 4], [2, 1, 4, 5.0]])
        >>> funkc.factorize(None, table, k=3).similar_rows([0, 2], 1)[0]
        array([[1],
               [3]])
        """
        return self._similar(self._rows, x, n, exclude, only, ids, unknown)

    @of_one_state
    def similar_cols(
        self,
        x: ArrayLike | slice | Factorization,
        n: int = 10,
        *,
        exclude: Any = None,
        only: Any = None,
        ids: bool | None = None,
        unknown: Literal["raise", "skip"] = "raise",
    ) -> tuple[NDArray[Any], NDArray[Any]]:
        """The columns most similar to each of some columns.

        Parameters
        ----------
        x : int or str, 1-D array of them, slice, or Factorization
            Ids or positions of columns; or new columns, which `fold_in_cols` of this factorization
            returned, or an (r, k) array of float with their factors.
        n : int, default 10
            The number of similar columns.
        exclude, only, ids, unknown
            As for `similar_rows`, of columns.

        Returns
        -------
        similar, similarities
            As for `similar_rows`.

        Examples
        --------
        >>> import numpy as np
        >>> import funkc
        >>> table = np.array([[5, 5, 1, 2], [4, 5, 1, 1], [1, 1, 5, 4], [2, 1, 4, 5.0]])
        >>> funkc.factorize(None, table, k=3).similar_cols(0, 1)[0]
        array([1])
        """
        return self._similar(self._cols, x, n, exclude, only, ids, unknown)

    def _similar(
        self,
        side: Side,
        chosen: Any,
        n: int,
        exclude: Any,
        only: Any,
        ids: bool | None,
        unknown: str,
    ) -> tuple[NDArray[Any], NDArray[Any]]:
        called = asked(self, side, side, chosen, ids, unknown)
        y = side.directions
        x = called.side.directions_about(side.mean) if called.new else y[called.index]
        answers = dataclasses.replace(self._answers, offset=0.0)
        return called.answered(*called.best(answers, x, y, n, exclude, only))

    @of_one_state
    def explain(
        self, row: Any, col: Any, n: int = 5, seen: Any = None, *, ids: bool | None = None
    ) -> Explanation:
        """What the observed entries of a row contribute to a prediction.

        Parameters
        ----------
        row, col : int or str
            The row and the column of the prediction.
        n : int, default 5
            At most so many entries, those that contribute most.
        seen : pair (mask, values), or Ratings
            The observed entries, in any form that `funkc.factorize` takes, of the shape and ids
            of this factorization. Only those of the row count, and only they need be passed. The
            predicted entry may be among them, and then contributes, too.
        ids : bool, optional
            Whether ids are passed, in a pair `seen` too, and returned; see `predict`.

        Returns
        -------
        Explanation
            With attributes `score`, `baseline` (offset and biases), `columns` and
            `contributions`, by decreasing size, ties by lower index.

        Raises
        ------
        ValueError
            The row has no observed entries in `seen`; unknown ids; invalid entries.
        IndexError
            For an index that is not in the matrix.

        Notes
        -----
        Let S be the observed columns of the row, c their number, and e_j = r_j - offset -
        row bias - column bias what is left of an entry. The row factors are about the ridge
        regression of e on the column factors, which predicts Σ_j g_j e_j, with the influences
        g_j = w_j · y_colᵀ M⁻¹ y_j and M = Σ_j w_j y_j y_jᵀ + λ c I over the j in S. Here w_j is
        1, or the weight of the entry, scaled to mean 1 in the row; λ is the regularization of
        rows in the last stage of training, and of factors that funkc has not trained such that
        λ c is 1e-3 of the mean diagonal of the sum; and 1e-6 of the mean diagonal of M is added
        to it. Training does not reach that regression exactly: Δ = score - baseline - Σ_j g_j e_j
        is left, and the smallest change of the e_j (by the sum of squares) under which the
        regression would predict the score is Δ g_j / Σ g². So the contribution of an entry is
        g_j e_j + Δ g_j² / Σ g²; if all g_j are 0, each has an equal share of Δ.

        With another loss than the squared one, w_j is multiplied by the weight of Newton's
        step at the score of the entry, and e_j = x · y_j + the step (as in `fold_in_rows`).

        A contribution is what the model makes of an entry, not a cause: entries of similar
        columns share what one of them would contribute alone.

        Examples
        --------
        >>> import funkc
        >>> likes = funkc.Ratings.from_arrays(
        ...     ["ann", "ann", "bob", "bob", "eve", "eve", "eve"],
        ...     ["tea", "cake", "tea", "cake", "rum", "tea", "cake"],
        ...     [5, 4, 4, 4, 5, 1, 2],
        ... )
        >>> why = funkc.factorize(None, likes, k=1).explain("ann", "rum", seen=likes)
        >>> why.columns.tolist(), bool(why.score < why.baseline)
        (['tea', 'cake'], True)
        """
        named = scalars.flag_or_none("ids", ids)
        i = self._position("row", self._rows, row, named)
        j = self._position("col", self._cols, col, named)
        wanted = scalars.integer("n", n, 1, 2**31 - 1)
        cells = entries_of_row(seen, self._matrix(ids=ids), i, row)
        require_allowed_entries(cells, self._loss)
        ridges = self._last_regularization
        ridge = None if ridges is None else ridges[0]
        found = explained(self._answers, i, j, by_row(cells, by_col=False), ridge, self.noise)
        columns = self._cols.called(named).named(found.columns[:wanted])
        contributions = found.contributions[:wanted]
        return dataclasses.replace(found, columns=columns, contributions=contributions)

    # ------------------------------------------------------------ deletion

    @of_one_state
    def without_rows(self, rows: ArrayLike | slice, *, ids: bool | None = None) -> Factorization:
        """A copy without some rows, for requests to delete what is known of them.

        Parameters
        ----------
        rows : int or str, 1-D array of them, or slice
            The rows to delete; each may be named more than once.
        ids : bool, optional
            Whether `rows` are ids; see `predict`.

        Returns
        -------
        Factorization
            Of the other rows in their order and all columns; this one is unchanged. All arrays
            are copies, so that neither its memory nor its files hold factors, biases or ids of
            the deleted rows.

        Raises
        ------
        IndexError
            For an index that is not in the matrix.
        ValueError
            For an unknown id, and if no row would be left.

        Notes
        -----
        What is derived from rows, such as the prior of `fold_in_rows`, comes from those that are
        left; rows without entries in training become their mean, and `n_seen` counts the others
        that are left. What describes the training stays: `history`, `noise`, `parameters` and the
        losses. So do the column factors, to which the entries of the deleted rows have
        contributed: to forget that too, retrain without them. Delete this object, its files,
        checkpoints and other copies of the entries yourself; a model file never contains entries.

        Examples
        --------
        >>> import funkc
        >>> ratings = funkc.Ratings.from_arrays(["ann", "bob", "eve"], [7, 7, 9], [1.0, 2.0, 3.0])
        >>> fit = funkc.factorize(None, ratings, k=1)
        >>> fit.without_rows("bob").row_ids.tolist()
        ['ann', 'eve']
        """
        names = self._rows.called(scalars.flag_or_none("ids", ids))
        rows_gone = names.find("rows", rows, "omit it", 1).reshape(-1)
        return self._without(rows_gone, rows_gone[:0])

    @of_one_state
    def without_cols(self, cols: ArrayLike | slice, *, ids: bool | None = None) -> Factorization:
        """A copy without some columns: `without_rows`, with rows and columns exchanged.

        Parameters
        ----------
        cols : int or str, 1-D array of them, or slice
            The columns to delete.
        ids : bool, optional
            Whether `cols` are ids; see `predict`.

        Returns
        -------
        Factorization
            Of all rows and the other columns.

        Raises
        ------
        IndexError, ValueError
            As for `without_rows`.

        Examples
        --------
        >>> import numpy as np
        >>> import funkc
        >>> fit = funkc.factorize(None, np.outer([1.0, 2.0, 3.0], [1.0, 2.0, 4.0]), k=1)
        >>> fit.without_cols([0, 2]).shape
        (3, 1)
        """
        names = self._cols.called(scalars.flag_or_none("ids", ids))
        cols_gone = names.find("cols", cols, "omit it", 1).reshape(-1)
        return self._without(cols_gone[:0], cols_gone)

    def _without(self, rows: NDArray[np.int64], cols: NDArray[np.int64]) -> Factorization:
        for name, gone, n in zip(("rows", "cols"), (rows, cols), self.shape, strict=True):
            if np.unique(gone).size == n:
                found = f"names all {n}, and a factorization has one at least"
                reject(name, found, "delete the object and its files instead")
        # Also of the other side, which may be mapped from a file that has everything.
        return self._changed(_rows=self._rows.without(rows), _cols=self._cols.without(cols))

    def _position(self, name: str, side: Side, given: Any, ids: bool | None) -> int:
        """Of one row or column."""
        found = side.called(ids).find(name, given, "omit it")
        if found.ndim:
            reject(name, f"has shape {found.shape}", f"pass one {name}")
        return int(found)

    # ------------------------------------------------------------ more training

    @own_errstate
    def partial_fit(
        self,
        mask: Any,
        values: Any,
        *,
        n_epochs: int = 3,
        learning_rate: float | None = None,
        regularization: float | tuple[float, float] | None = None,
        shape: tuple[int | None, int | None] | None = None,
        weights: ArrayLike | None = None,
        duplicates: Duplicates = "error",
        ids: bool | None = None,
        callback: Callable[[int, History], object] | None = None,
        verbose: bool = False,
    ) -> Factorization:
        """Train on more observations, also of new rows and columns.

        Trains only on the entries that are passed. Rows and columns beyond `shape` are new and
        initialized as by `fold_in_rows` and `fold_in_cols` without `regularization`.

        Parameters
        ----------
        mask, values, shape, weights, duplicates
            As for `funkc.factorize`, in rows and columns of this factorization and new ones
            after them. A matrix may have more rows and columns, but not fewer.
        n_epochs : int, default 3
            Passes over the entries.
        learning_rate : float, optional
            The initial learning rate, which decays to 0. By default a third of the rate at the
            beginning of the last `n_epochs` epochs of the original training, to forget less.
        regularization : float or pair of float, optional
            By default that of the last stage of the original training.
        ids : bool, optional
            Whether a pair `mask` lists ids, of which those that are unknown are of new rows and
            columns: by default where a side has ids. False: positions. True: ids, and an error
            where there are none.
        callback, verbose
            As for `funkc.factorize`.

        Returns
        -------
        Factorization
            The same object, changed: its arrays are new, and `history` is that of this
            training. If an error is raised, the object is unchanged.

        Notes
        -----
        Reproducible, like `funkc.factorize`. The rows and columns of the entries gradually
        forget entries that are not passed: retrain on all data from time to time, or also pass
        some of the old entries.

        Examples
        --------
        >>> import numpy as np
        >>> import funkc
        >>> fit = funkc.factorize(None, np.outer([1.0, 2.0, 3.0], [1.0, 2.0]), k=1)
        >>> fit.partial_fit(([3, 3], [0, 1]), np.array([4.0, 8.0])).shape
        (4, 2)
        """
        held = self._held()
        epochs = scalars.integer("n_epochs", n_epochs, 1, 10**9)
        inherited = learning_rate is None
        for name, given in (("learning_rate", learning_rate), ("regularization", regularization)):
            if given is None and held.parameters[name] is None:
                reject(
                    name,
                    "is unknown, because these factors were not trained by funkc",
                    f"pass a number, such as {PASSED[name]}",
                )
        if learning_rate is None:
            share = min(1.0, epochs / held.parameters["n_epochs"])
            learning_rate = held.parameters["learning_rate"] * share / 3
        if regularization is None:
            regularization = held._last_regularization
        options = checked_options(
            held.k,
            learning_rate=learning_rate,
            regularization=regularization,
            n_epochs=epochs,
            offset=held.offset,
            group_size=held.parameters["group_size"],
            random_state=held.parameters["seed"],
            n_threads=held.n_threads,
            dtype=held.dtype,
            biases=held._rows.bias is not None,
            nonnegative=held.parameters["nonnegative"],
            loss=held.loss,
            huber_delta=held.parameters.get("huber_delta"),
        )
        listen = scalars.callback(callback, "(epoch, history)")
        cells = held._cells_to_learn(mask, values, shape, weights, duplicates, ids)
        grown = held._grown(cells)
        start = checked_start(grown, cells.shape, options)
        assert start is not None
        start = dataclasses.replace(start, ridges=held._bias_ridges())
        training = _train.begin(cells, options, start, None)
        warn_of_outliers(training.schedule, held._loss, cells.ids)
        if inherited:
            training.limit_rate()
        with listener(listen, scalars.flag("verbose", verbose)) as after_epoch:
            stopped_by = training.run(after_epoch)
        trained = Factorization._of(training, stopped_by, *cells.ids)
        # Of all that was learned.
        for name in ("parameters", "baseline_loss", "stages", "noise", "clip", "n_threads"):
            setattr(trained, name, getattr(held, name))
        if held.validation_loss is not None:
            trained.baseline_loss = {}  # which was that of held-out entries
        warn_if_refused()  # before anything has changed, as it may be an error
        self.__dict__ = {**self.__dict__, **trained.__dict__}  # in one step
        return self

    def _cells_to_learn(
        self, mask: Any, values: Any, shape: Any, weights: Any, duplicates: Any, ids: Any
    ) -> Cells:
        """Entries of this matrix, and of rows and columns that are new to it."""
        return observed_cells(
            mask,
            values,
            weights=weights,
            shape=shape,
            duplicates=duplicates,
            matrix=self._matrix(grows=True, ids=ids),
        )

    @property
    def _last_regularization(self) -> tuple[float, float] | None:
        """Of rows and of columns in the last stage of the training; None: unknown."""
        first = self.parameters["regularization"]
        if first is None:
            return None
        last = 0.5 ** (self.stages - 1)
        return last * first[0], last * first[1]

    def _bias_ridges(self) -> tuple[float, float]:
        """How many entries the biases of rows and of columns stand for: those that the prior is
        worth, and as many as the typical row or column was trained on.
        """
        both = []
        for side in (self._rows, self._cols):
            away = np.zeros(1) if side.bias is None else side.bias - side.mean[-1]
            variance = math.fsum(away * away) / max(1, side.n_seen)
            typical = self.parameters.get("n_entries", 0) / max(1, side.n_seen)
            prior = self.noise * self.noise / variance if variance > 0 and self.noise else 1.0
            both.append(prior + typical * usual_curvature(self._loss, self.offset, self.noise))
        return both[0], both[1]

    def _grown(self, cells: Cells) -> Factorization:
        """With the rows, and then the columns, that are new in the entries."""
        rows, cols = self._fitting.grown(self._rows, self._cols, cells)
        return self._changed(_rows=rows, _cols=cols)

    @classmethod
    def _of(
        cls,
        training: _train.Training,
        stopped_by: str,
        row_ids: Ids | None,
        col_ids: Ids | None,
    ) -> Factorization:
        """The result of a training, which can't continue afterwards."""
        k, biased = training.options.k, training.options.biases
        x, y = training.ready()
        m, n = training.seen
        rows = Side.of_ready(x, k, row_ids, biased=biased, first=True, n_seen=m)
        cols = Side.of_ready(y, k, col_ids, biased=biased, first=False, n_seen=n)
        return cls._made(
            rows,
            cols,
            offset=training.offset,
            parameters=training.parameters(),
            history=training.history,
            stopped_by=stopped_by,
            n_threads=training.options.n_threads,
            noise=training.noise,
            baseline_loss=training.baseline_loss,
            validation_loss=training.validation_loss,
            stages=training.stage + 1,
            clip=training.clip,
        )

    # ------------------------------------------------------------ files

    @of_one_state
    def save(self, file: str | os.PathLike[str] | Writer) -> None:
        """Save the model to a file for `funkc.load`.

        The file has the safetensors layout, without pickle, and can be read from other
        languages. One that is named is replaced atomically: a reader finds either the old or the
        new file, complete, whatever happens. (A process that is killed while it writes leaves a
        file ``.funkc-*.tmp`` in the same folder, which may be deleted.)

        Parameters
        ----------
        file : str, path or binary file object
            The name of the file, or an object with a method `write` that takes bytes: an open
            file, of gzip or in memory, or a socket's. It is written from its position on, without
            going back, and stays open: several models may follow each other.

        Raises
        ------
        OSError
            The file can't be written; an existing file of this name is unchanged, but a file
            object may have taken a part.
        TypeError
            A file object is open in text mode.

        Examples
        --------
        >>> import tempfile, os
        >>> import numpy as np
        >>> import funkc
        >>> fit = funkc.factorize(None, np.array([[1.0, 2.0], [2.0, np.nan]]), k=1)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = os.path.join(folder, "model.funkc")
        ...     fit.save(path)
        ...     bool(funkc.load(path).predict(1, 1) == fit.predict(1, 1))
        True
        """
        _model_file.write(
            file,
            self._rows,
            self._cols,
            offset=self.offset,
            parameters=self.parameters,
            history=self.history,
            stopped_by=self.stopped_by,
            noise=self.noise,
            baseline_loss=self.baseline_loss,
            validation_loss=self.validation_loss,
            stages=self.stages,
            clip=self.clip,
        )

    def to_bytes(self) -> bytes:
        """The bytes of the file that `save` would write, for `funkc.load`.

        Returns
        -------
        bytes

        Examples
        --------
        >>> import numpy as np
        >>> import funkc
        >>> fit = funkc.factorize(None, np.outer([1.0, 2.0, 3.0], [1.0, 2.0]), k=1)
        >>> bool(funkc.load(fit.to_bytes()).predict(1, 1) == fit.predict(1, 1))
        True
        """
        file = BytesIO()
        self.save(file)
        return file.getvalue()

    # ------------------------------------------------------------ plots

    @of_one_state
    def plot_history(self) -> Figure:
        """Plot training and validation RMSE (or loss) against epochs.

        Returns
        -------
        matplotlib.figure.Figure
            The errors, with those of the baselines as thin lines, and below the learning rate; a
            vertical line where it rises again, because another stage begins. Save it with
            ``.savefig(path)``.

        Raises
        ------
        ImportError
            matplotlib is not installed.

        Examples
        --------
        >>> import numpy as np
        >>> import funkc
        >>> fit = funkc.factorize(None, np.outer([1.0, 2.0, 3.0], [1.0, 2.0]), k=1)
        >>> fit.plot_history().axes[0].get_ylabel()
        'RMSE'
        """
        baselines = {name: self._loss.measured(v) for name, v in self.baseline_loss.items()}
        return of_history(self.history, self._loss, baselines)

    @of_one_state
    def plot_cols(self, cols: Any = None, *, ids: bool | None = None, labels: Any = None) -> Figure:
        """Plot the factors of some columns on the two principal axes of all of them.

        Parameters
        ----------
        cols : array-like or slice, optional
            Columns, or their ids. By default the 30 with the largest factors (by their norm).
        ids : bool, optional
            Whether `cols` lists ids; see `predict`.
        labels : list, optional
            Texts to show instead of ids or positions: one for each of `cols`, or without `cols`
            one for every column of the matrix.

        Returns
        -------
        matplotlib.figure.Figure
            Black points with labels, and grey points for all other columns; the axes name their
            shares of the variance. Requires matplotlib (the extra ``plot``).

        Raises
        ------
        IndexError
            For an index that is not in the matrix.
        ValueError, TypeError
            Invalid input; factors that are not finite.

        Notes
        -----
        Factors are only defined up to a rotation: if x_i and y_j are multiplied by the same
        orthogonal matrix, no product changes. Single factors therefore mean nothing, but the
        principal axes, along which the columns vary most, rotate with them. The sign of an axis is
        not defined either: the column that is farthest from the mean is on the positive side.

        Examples
        --------
        >>> import numpy as np
        >>> import funkc
        >>> fit = funkc.factorize(None, np.add.outer(np.arange(9.0), np.arange(8.0)) ** 2, k=2)
        >>> axes = fit.plot_cols([0, 7], labels=["first", "last"]).axes[0]
        >>> [text.get_text() for text in axes.texts]
        ['first', 'last']
        """
        side = self._cols
        names = side.called(scalars.flag_or_none("ids", ids))
        if cols is None:
            squares = np.einsum("ij,ij->i", side.factors, side.factors, dtype=np.float64)
            chosen = np.argsort(-squares, kind="stable")[:MOST_LABELS]
        else:
            chosen = names.find("cols", cols, "omit it").reshape(-1)
        if not chosen.size:
            reject("cols", "is empty", "pass columns")
        told = side.called(None).named(chosen).tolist()
        if labels is not None:
            n = len(side.factors) if cols is None else chosen.size
            listed = [labels] if isinstance(labels, str) else labels
            told = listed_at_most("labels", listed, "pass a list of texts", max(n, 1 << 16))
            if len(told) != n:
                reject("labels", f"has {len(told)} for {n} columns", "pass one for each")
            told = [told[at] for at in chosen.tolist()] if cols is None else told
        covariance = side.covariance(self.n_threads)[: self.k, : self.k]
        texts = list(map(str, told))
        return of_columns(side.factors, side.mean[: self.k], covariance, chosen, texts)

    # ------------------------------------------------------------ as other objects

    @of_one_state
    def to_dict(self) -> dict[str, Any]:
        """What the model consists of, as arguments of `from_factors`.

        Returns
        -------
        dict of str to object
            NumPy arrays (read-only, those of the attributes) and numbers; None for what the
            model does not have. ``Factorization.from_factors(**fit.to_dict())`` makes the same
            predictions, to the last bit.

        Notes
        -----
        The history and the parameters of training are not included, nor is which rows and columns
        had no entries in training (they are the mean; `fold_in_rows` and `fold_in_cols` of the new
        object count them like others). `save` keeps these too.

        Examples
        --------
        >>> import numpy as np
        >>> import funkc
        >>> fit = funkc.factorize(None, np.outer([1.0, 2.0, 3.0], [1.0, 2.0]), k=1)
        >>> again = funkc.Factorization.from_factors(**fit.to_dict())
        >>> bool((again.reconstruct() == fit.reconstruct()).all())
        True
        """
        names = ("row_factors", "col_factors", "row_bias", "col_bias", "offset", "row_ids",
                 "col_ids", "loss", "clip", "noise")  # fmt: skip
        known = {name: self.parameters.get(name) for name in ("huber_delta", "nonnegative")}
        return {**{name: getattr(self, name) for name in names}, **known}

    @of_one_state
    def row_frame(self) -> Any:
        """The factors and biases of all rows as a data frame of pandas.

        Returns
        -------
        pandas.DataFrame
            One line for each row: columns ``factor_0``, ``factor_1``, ..., and ``bias`` if there
            are biases. The index, named "row", has the ids, or positions if there are none.

        Raises
        ------
        ImportError
            pandas is not installed.

        Examples
        --------
        >>> import funkc
        >>> ratings = funkc.Ratings.from_arrays(["ann", "bob", "ann"], [7, 7, 8], [5.0, 3.0, 4.0])
        >>> frame = funkc.factorize(None, ratings, k=2).row_frame()
        >>> frame.index.tolist(), frame.columns.tolist()
        (['ann', 'bob'], ['factor_0', 'factor_1', 'bias'])
        """
        return as_frame(self.row_factors, self.row_bias, self.row_ids, "row")

    @of_one_state
    def col_frame(self) -> Any:
        """The factors and biases of all columns as a data frame of pandas.

        Returns
        -------
        pandas.DataFrame
            As from `row_frame`; the index is named "column".

        Raises
        ------
        ImportError
            pandas is not installed.

        Examples
        --------
        >>> import funkc
        >>> fit = funkc.Factorization.from_factors([[1.0], [2.0]], [[3.0], [4.0]])
        >>> fit.col_frame().loc[1, "factor_0"].item()
        4.0
        """
        return as_frame(self.col_factors, self.col_bias, self.col_ids, "column")


def load(
    source: str | os.PathLike[str] | Reader | bytes | bytearray | memoryview,
    *,
    mmap: bool = False,
    verify: bool = True,
) -> Factorization:
    """Load a factorization saved by `Factorization.save`.

    Parameters
    ----------
    source : str, path, binary file object or bytes-like
        The name of the file; an object with a method `read` that returns bytes, such as an open
        file; or the bytes of `Factorization.to_bytes`. A file object is read from its position to
        the end of the model, and stays open: several models may follow each other. The program
        safetensors may have written the file again, with the same arrays and metadata.
    mmap : bool, default False
        Whether to map the factors into memory instead of reading them: without `verify`,
        loading is instant, and processes that load the same model share its memory. (With
        biases, or if k is not a multiple of 16, the first use makes a copy.) Only with the name
        of a file, which must not be modified while it is mapped; `save` is safe, because it
        replaces the file (which fails on Windows while the old file is mapped).
    verify : bool, default True
        Whether to verify the checksums of all arrays, which reads the whole file. The header
        is always verified. Mapped without `verify`, factors and biases may be NaN or infinite.

    Returns
    -------
    Factorization
        With the default `n_threads` of this machine.

    Raises
    ------
    ModelFileError
        The file is damaged, truncated, of another kind or of a newer version; the message
        names the fault and its position.
    ValueError
        `mmap` with a file object or bytes.
    TypeError
        A file object is open in text mode.
    OSError
        The file can't be read.

    Examples
    --------
    >>> import tempfile, os
    >>> import numpy as np
    >>> import funkc
    >>> fit = funkc.factorize(None, np.outer([1.0, 2.0, 3.0], [1.0, 2.0]), k=16)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = os.path.join(folder, "model.funkc")
    ...     fit.save(path)
    ...     again = funkc.load(path)
    >>> bool((again.reconstruct() == fit.reconstruct()).all())
    True
    """
    contents = _model_file.read(
        source,
        mmap=scalars.flag("mmap", mmap),
        verify=scalars.flag("verify", verify),
    )
    return Factorization._made(**contents, n_threads=scalars.threads(None))
