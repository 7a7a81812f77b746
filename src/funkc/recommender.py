"""FunkRecommender: a scikit-learn regressor of ratings, over pairs of a row id and a column id."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from funkc._api import factorize
from funkc._errors import missing_extra, reject
from funkc._errstate import own_errstate
from funkc._input import scalars
from funkc._input.arrays import is_sparse
from funkc._input.foreign import columns_of_frame
from funkc._input.ids import as_column
from funkc._input.options import MOST_FACTORS
from funkc.ratings import Ratings

try:
    from scipy.sparse import csr_array
    from sklearn.base import BaseEstimator, RegressorMixin
    from sklearn.utils.validation import check_is_fitted, column_or_1d, validate_data
except ImportError as error:
    raise missing_extra("scikit-learn 1.6 or newer", "sklearn", "FunkRecommender") from error

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from funkc._input.cells import Duplicates
    from funkc._sides import Side
    from funkc.factorization import Factorization

PAIRS = "pass pairs: two columns, of row ids and of column ids"


class FunkRecommender(RegressorMixin, BaseEstimator):  # type: ignore[misc]
    """Predict ratings, and recommend columns to rows, by Funk matrix factorization.

    A regressor of scikit-learn whose samples are pairs of a row id and a column id, such as a user
    and an item: it works in pipelines, cross-validation and searches of parameters. Requires
    scikit-learn (``pip install "funkc[sklearn]"``).

    Parameters
    ----------
    n_components : int, default 20
        The number of factors.
    learning_rate, regularization, n_epochs, biases, members, nonnegative, loss, huber_delta, clip
        As for `funkc.factorize`, with the same defaults.
    duplicates : {"error", "last", "mean", "sum"}, default "error"
        How `fit` resolves duplicate pairs. Not together with `sample_weight`, unless it is "error".
    unknown : {"baseline", "raise"}, default "baseline"
        What to do with an id that `fit` has not seen, as in the test part of most splits.
        "baseline" predicts with the mean of all rows (or columns), recommends to an unknown row
        the columns that are best on average, and ignores unknown columns in `exclude` and `only`.
    random_state : int, numpy.random.Generator, numpy.random.RandomState or None, default 0
        Seeds the training order and the initialization. None draws fresh entropy.
    n_jobs : int, optional
        The number of threads; it does not affect the result. None and -1 mean the processors
        that this process may use (in a joblib worker, its share of them), -2 all but
        one of these, and so on.

    Attributes
    ----------
    factorization_ : Factorization
        The fit, with its ids, history and all other methods: save this for a service.
    row_ids_, col_ids_ : (m,) and (n,) array of int64, str or object
        The id of every row and column, sorted.
    n_features_in_ : int
        2.
    feature_names_in_ : (2,) array of str
        The names of the columns, if X had any.

    Raises
    ------
    ValueError, TypeError
        From any method: invalid input, such as a missing id in `fit`.
    UnknownIdError
        For an unknown id, with ``unknown="raise"`` (a KeyError and ValueError).
    DivergedError
        As from `funkc.factorize`; only with an explicit learning rate.

    See Also
    --------
    funkc.factorize : With all training options, and without scikit-learn.

    Notes
    -----
    **Input**: X is an array of shape (c, 2), a list of pairs, or a data frame of two columns
    (pandas, polars, pyarrow). Ids are integers or text; an integer and its decimal text are the
    same id.

    **Reproducible**: the result has the same bits as that of `funkc.factorize` with
    `funkc.Ratings` of the same ids.

    **Memory**: the pairs of `fit` are kept, in 5 bytes each (and 8 for a row), because
    `recommend` leaves them out.

    Examples
    --------
    >>> from funkc import FunkRecommender
    >>> pairs = [("ann", 10), ("ann", 20), ("bob", 10), ("bob", 30), ("eve", 20), ("eve", 30)]
    >>> recommender = FunkRecommender(n_components=2).fit(pairs, [5, 4, 4, 1, 5, 2])
    >>> recommender.predict([("ann", 30), ("joe", 30)]).round(1)
    array([1.8, 1.7], dtype=float32)
    >>> recommender.recommend("eve", n=1)[0]
    array([10])
    """

    factorization_: Factorization
    _trained: Any  # a CSR array: which columns every row was trained on

    def __init__(
        self,
        n_components: int = 20,
        *,
        learning_rate: float | None = None,
        regularization: float | tuple[float, float] | None = None,
        n_epochs: int | None = None,
        biases: bool | Literal["auto"] = "auto",
        members: int = 1,
        nonnegative: bool = False,
        loss: Literal["squared", "absolute", "huber", "logistic", "poisson"] = "squared",
        huber_delta: float | None = None,
        clip: Literal["auto"] | tuple[float, float] | None = None,
        duplicates: Duplicates = "error",
        unknown: Literal["baseline", "raise"] = "baseline",
        random_state: Any = 0,
        n_jobs: int | None = None,
    ) -> None:
        self.n_components = n_components
        self.learning_rate = learning_rate
        self.regularization = regularization
        self.n_epochs = n_epochs
        self.biases: bool | Literal["auto"] = biases
        self.members = members
        self.nonnegative = nonnegative
        self.loss: Literal["squared", "absolute", "huber", "logistic", "poisson"] = loss
        self.huber_delta = huber_delta
        self.clip: Literal["auto"] | tuple[float, float] | None = clip
        self.duplicates: Duplicates = duplicates
        self.unknown: Literal["baseline", "raise"] = unknown
        self.random_state = random_state
        self.n_jobs = n_jobs

    @property
    def row_ids_(self) -> NDArray[Any]:
        """The id of every row."""
        check_is_fitted(self)
        return self.factorization_.row_ids  # type: ignore[return-value]  # it has ids

    @property
    def col_ids_(self) -> NDArray[Any]:
        """The id of every column."""
        check_is_fitted(self)
        return self.factorization_.col_ids  # type: ignore[return-value]

    @own_errstate
    def fit(self, X: Any, y: Any, sample_weight: ArrayLike | None = None) -> FunkRecommender:
        """Learn the factors of rows and columns.

        Parameters
        ----------
        X : (c, 2) array, list of pairs, or data frame of two columns
            The row id and the column id of every rating.
        y : (c,) array
            The ratings.
        sample_weight : (c,) array, optional
            The weights of the ratings: finite and not negative.

        Returns
        -------
        FunkRecommender
            The estimator itself.

        Examples
        --------
        >>> from funkc import FunkRecommender
        >>> recommender = FunkRecommender(2).fit([("ann", 10), ("bob", 20)], [5.0, 3.0])
        >>> recommender.row_ids_, recommender.col_ids_
        (array(['ann', 'bob'], dtype='<U3'), array([10, 20]))
        """
        scalars.choice("unknown", self.unknown, ("baseline", "raise"))
        if sample_weight is not None and self.duplicates != "error":
            found = f'is given together with duplicates="{self.duplicates}"'
            reject("sample_weight", found, "resolve the duplicates first")
        rows, cols = self._columns(X, y, reset=True)
        ratings = Ratings._of(
            "X and y",
            {"row id": rows, "column id": cols, "y": column_or_1d(y, warn=True)},
            None if sample_weight is None else ("sample_weight", sample_weight),
            None,
            self.duplicates,
        )
        if ratings.weights is not None and not ratings.weights.any():
            reject("sample_weight", "is zero everywhere", "give at least one rating more")
        self.factorization_ = factorize(
            None,
            ratings,
            scalars.integer("n_components", self.n_components, 1, MOST_FACTORS),
            learning_rate=self.learning_rate,
            regularization=self.regularization,
            n_epochs=self.n_epochs,
            biases=self.biases,
            nonnegative=self.nonnegative,
            loss=self.loss,
            huber_delta=self.huber_delta,
            clip=self.clip,
            random_state=self.random_state,
            n_threads=scalars.jobs(self.n_jobs),
            members=self.members,
        )
        marks = np.ones(ratings.rows.size, bool)
        self._trained = csr_array((marks, (ratings.rows, ratings.cols)), ratings.shape)
        return self

    @own_errstate
    def predict(self, X: Any) -> NDArray[Any]:
        """Predict ratings.

        Parameters
        ----------
        X : (c, 2) array, list of pairs, or data frame of two columns
            The row id and the column id of every prediction.

        Returns
        -------
        (c,) array of float
            As from `Factorization.predict`.

        Examples
        --------
        >>> from funkc import FunkRecommender
        >>> recommender = FunkRecommender(2).fit([("ann", 10), ("bob", 20)], [5.0, 3.0])
        >>> recommender.predict([("ann", 20), ("nobody", 10)]).shape
        (2,)
        """
        fit = self._fitted()
        rows, cols = self._columns(X, reset=False)
        i, j = self._found("X[:, 0]", fit._rows, rows), self._found("X[:, 1]", fit._cols, cols)
        made: NDArray[Any] = fit.predict(i, j, ids=False, unknown="baseline")
        return made

    @own_errstate
    def recommend(
        self,
        rows: ArrayLike,
        n: int = 10,
        *,
        exclude: ArrayLike | None = None,
        only: ArrayLike | None = None,
        exclude_trained: bool = True,
    ) -> tuple[NDArray[Any], NDArray[Any]]:
        """The columns with the highest predictions of every row, without those that it has had.

        Parameters
        ----------
        rows : int or str, or 1-D array of them
            Ids of rows.
        n : int, default 10
            The number of columns.
        exclude : 1-D array of int or str, optional
            Ids of columns that are not recommended to any of the rows.
        only : 1-D array of int or str, optional
            Ids of the columns to rank; by default all.
        exclude_trained : bool, default True
            Whether to leave out the columns that a row was trained on. Pass False to recommend
            again what users have had, such as things that are used up.

        Returns
        -------
        cols : (r, n) array of ids
            Best first. For a single row, (n,).
        scores : (r, n) array
            Their predictions, without `clip`. If fewer than n columns remain, padded with
            -infinity, and `cols` with an empty text, or -1 where ids are integers.

        See Also
        --------
        Factorization.top : With other columns to exclude, or to rank, for every row.

        Examples
        --------
        >>> from funkc import FunkRecommender
        >>> pairs = [("ann", 10), ("ann", 20), ("bob", 10), ("bob", 30), ("eve", 20)]
        >>> recommender = FunkRecommender(2).fit(pairs, [5, 4, 4, 1, 5])
        >>> recommender.recommend(["ann", "eve"], n=2)[0]
        array([[30, -1],
               [10, 30]])
        >>> recommender.recommend("eve", n=1, exclude=[10])[0]
        array([30])
        """
        fit = self._fitted()
        at = self._found("rows", fit._rows, rows)
        trained = self._trained if scalars.flag("exclude_trained", exclude_trained) else None
        shown = np.full(fit.shape[1], only is None)
        if only is not None:
            shown[_known(self._found("only", fit._cols, only))] = True
        if exclude is not None:
            shown[_known(self._found("exclude", fit._cols, exclude))] = False
        among = None if shown.all() else shown
        one, at = not at.ndim, at.reshape(-1)
        cols, scores = fit.top(np.maximum(at, 0), n, exclude=trained, only=among, ids=False)
        unknown = at < 0
        if unknown.any():  # as the mean row, which has had nothing
            usual = fit._rows.mean[None, : fit.k].astype(fit.dtype)
            cols[unknown], scores[unknown] = fit.top(usual, n, only=among, ids=False)
        named = fit._cols.called(True).named(cols)
        return (named[0], scores[0]) if one else (named, scores)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.categorical = True
        tags.input_tags.string = True
        return tags

    def _columns(self, X: Any, y: Any = "no_validation", *, reset: bool) -> list[Any]:
        """The row ids and the column ids, in any supported form."""
        if is_sparse(X):
            reject("X", "is a sparse array, or matrix", PAIRS, TypeError)
        columns = columns_of_frame(X)
        if not columns:
            pairs = as_column("X", X)
            if pairs.ndim != 2 or pairs.shape[1] != 2:
                reject("X", f"has shape {pairs.shape}", PAIRS)
            columns = list(pairs.T)
        if len(columns) != 2:
            reject("X", f"has {len(columns)} columns", PAIRS)
        validate_data(self, X, y, reset=reset, skip_check_array=True)  # the names of columns
        return columns

    def _fitted(self) -> Factorization:
        """The fit, with the threads that this call may use."""
        check_is_fitted(self)
        fit = self.factorization_._changed()
        fit.n_threads = scalars.jobs(self.n_jobs)
        return fit

    def _found(self, name: str, side: Side, ids: Any) -> NDArray[np.int64]:
        """Positions of ids; -1 for an unknown one, unless that is an error."""
        names = side.called(True)
        found = names.find(name, ids, None, 1)
        unknown = scalars.choice("unknown", self.unknown, ("baseline", "raise"))
        if unknown == "raise" and (found < 0).any():
            names.ids.find(ids, name, 'set unknown="baseline", or omit it', names.axis)  # type: ignore[union-attr]
        return found


def _known(found: NDArray[np.int64]) -> NDArray[np.int64]:
    return found[found >= 0]
