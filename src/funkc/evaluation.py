"""How good a factorization is: splits of the entries, and scores on those that were held out."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from funkc._baselines import baselines_of
from funkc._errors import reject
from funkc._errstate import own_errstate
from funkc._input import scalars
from funkc._input.arrays import are_ratings, as_array, is_sparse
from funkc._input.cells import UNKNOWN, Axis, observed_cells, require_once
from funkc._input.lookups import Choosing, Names
from funkc._input.options import checked_options
from funkc._input.split import Split, mask_and_values
from funkc._judging import Evaluation, Judging, calibration
from funkc._plots import of_bins
from funkc._splits import k_fold, leave_one_out, split_cols, split_random, split_rows, split_time
from funkc.factorization import Factorization

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    from funkc._input.cells import Cells, Matrix
    from funkc._input.lookups import Choice

__all__ = [
    "Evaluation",
    "Split",
    "baselines",
    "evaluate",
    "k_fold",
    "leave_one_out",
    "plot_calibration",
    "split_cols",
    "split_random",
    "split_rows",
    "split_time",
]


@own_errstate
def evaluate(
    fit: Any,
    test: Any,
    *,
    train: Any = None,
    scoring: str | Sequence[str] = ("rmse", "mae"),
    n: int = 10,
    relevant: float | Callable[[NDArray[np.float64]], Any] | None = None,
    only: Any = None,
    ids: bool | None = None,
    verbose: bool = False,
) -> Evaluation:
    """Score predictions, and rankings, of held-out entries.

    Parameters
    ----------
    fit : Factorization, or array
        What is judged. Instead of a factorization, for models of other libraries: the predictions
        of the test entries, in their order, as a 1-D array of floats; or the columns recommended to
        each row, best first, as an (m, r) array of positions (r at least `n`; -1 where there are no
        more), without columns of `train`.
    test : Ratings or pair
        The held-out entries: Ratings, or ((rows, cols), values), such as ``split.test_data``.
        Weights are ignored.
    train : Ratings or pair, optional
        The entries that the fit was trained on, such as ``split.train_data``: they are not
        recommended again, "popularity" counts them, and rows are grouped by their number.
    scoring : str or list of str, default ("rmse", "mae")
        Names of scores; see Notes.
    n : int, default 10
        How many columns are recommended to each row.
    relevant : float or callable, optional
        Which test entries are relevant: those of at least this value; or a function of the array of
        values, which returns booleans, or gains (above 0: relevant). By default those above 0.
    only : list, optional
        Columns to rank, as in `Factorization.top`: one list for all rows, a pair (rows, cols), a
        boolean or sparse array, or Ratings. By default all columns of the factorization.
    ids : bool, optional
        Whether pairs list ids; see `Factorization.predict`.
    verbose : bool, default False
        Whether to show a progress bar while columns are ranked (requires tqdm).

    Returns
    -------
    Evaluation
        Scores with standard errors, for all rows and by their numbers of training entries.

    Raises
    ------
    ValueError, TypeError
        Invalid input; a score that is not defined for these values or predictions; a test entry
        that is also in `train`, with scores of rankings.

    Notes
    -----
    **Of predictions**: "rmse"; "mae", the mean absolute error; "r2", one minus the ratio of squared
    errors to squared differences from the mean of the test values; "log_loss" and "brier" (the mean
    squared error) of probabilities; "auc", the probability that a relevant entry is predicted
    higher than another, over all rows; "poisson", the mean Poisson deviance. The values that
    "log_loss", "auc" and "brier" compare with are 1 for relevant entries and 0 for others if
    `relevant` is given, otherwise those of the test, which must be within 0 and 1. Predictions are
    within ``fit.clip``.

    **Of rankings**, means over the rows that have relevant entries: "precision", the share of the n
    columns that are relevant; "recall", the share of the relevant entries that are among them;
    "hit_rate", whether any is; "ndcg", the discounted cumulative gain with linear gains (the values
    of relevant entries, or what `relevant` returns) over that of the best ranking (K. Järvelin and
    J. Kekäläinen, 2002, "Cumulated gain-based evaluation of IR techniques", ACM TOIS 20); "map",
    the mean over rows of the average precision, divided by min(n, relevant entries); "mrr", the
    mean of 1 / rank of the first relevant column. Further "coverage", the share of all columns that
    is recommended to any of these rows, and "popularity", the mean number of training entries of
    recommended columns. Relevant entries in columns that the factorization lacks count as not
    found. Rows without entries in training, which the data of a split keep, are ranked as the mean
    row; they are the group "0".

    **Standard errors** are over rows: of a mean over rows the usual one; for ratios of sums over
    entries, rows are clusters; of the coverage by the jackknife. Differences between two fits on
    the same test are more certain than the standard errors of both suggest.

    **Reproducible**: the same bits with any number of threads and the entries in any order.

    Examples
    --------
    >>> import numpy as np
    >>> import funkc
    >>> from funkc import evaluation
    >>> rng = np.random.default_rng(0)
    >>> ratings = np.rint(np.clip(3 + rng.normal(size=(80, 2)) @ rng.normal(size=(2, 40)), 1, 5))
    >>> split = evaluation.split_random(ratings, 0.25)
    >>> fit = funkc.factorize(*split.train_data, k=2, shape=split.shape)
    >>> result = evaluation.evaluate(
    ...     fit, split.test_data, train=split.train_data, scoring=["rmse", "ndcg"], relevant=4
    ... )
    >>> result["rmse"] < 0.6, result["ndcg"] > 0.8
    (True, True)
    """
    array: Any = fit
    judging = Judging.checked(scoring, n, relevant, verbose)
    matrix: Matrix = UNKNOWN
    held = fit._held() if isinstance(fit, Factorization) else None
    if held is not None:
        matrix = held._matrix(grows=True, ids=ids)
    tested = _read("test", test, matrix)
    trained = None
    if train is not None:
        rows, cols = (
            Axis(size, own, True, axis.by_id)
            for size, own, axis in zip(tested.shape, tested.ids, matrix, strict=True)
        )
        trained = _read("train", train, (rows, cols))
    if held is None:
        if hasattr(fit, "factorization_"):
            reject("fit", f"is a {type(fit).__name__}", "pass its factorization_", TypeError)
        if only is not None:
            reject("only", "is given together with an array", "rank these columns before")
        for name in ("row_ids", "col_ids"):
            one, other = (getattr(mask_and_values(data)[1], name, None) for data in (test, train))
            if one is not None and other is not None and not np.array_equal(one, other):
                found = f"has other {name} than test, so that positions mean something else"
                reject("train", found, "pass train_data and test_data of one split")
        return judging.of_arrays(as_array("fit", array), tested, trained)
    if only is not None and not judging.ranks:
        reject("only", "is given, but no score of rankings is asked for", "omit it")
    shown_only = None if only is None else lambda rows: _only(held, only, rows, tested, ids)
    return judging.of_fit(held, tested, trained, shown_only)


@own_errstate
def plot_calibration(fit: Any, test: Any, *, bins: int = 10, ids: bool | None = None) -> Figure:
    """Plot observed against predicted means of held-out entries.

    Parameters
    ----------
    fit : Factorization
        What makes the predictions; within ``fit.clip``.
    test, ids
        As for `evaluate`.
    bins : int, default 10
        Into how many groups of equal size the entries are divided by their predictions, from 1 to
        1,000. Entries with equal predictions are in one group, so there may be fewer.

    Returns
    -------
    matplotlib.figure.Figure
        A point for every group, with an error bar of one standard error of the observed mean
        (over rows, as in `evaluate`), and the diagonal, on which the points of a calibrated model
        are. Requires matplotlib (the extra ``plot``).

    Raises
    ------
    ValueError, TypeError
        Invalid input.

    Notes
    -----
    With a logistic loss, the means are of probabilities and of zeros and ones. Points that rise
    less steeply than the diagonal come from predictions that are too extreme: regularization is too
    low; points that rise more steeply from predictions that are too close to the mean.

    Examples
    --------
    >>> import numpy as np
    >>> import funkc
    >>> from funkc import evaluation
    >>> split = evaluation.split_random(np.add.outer(np.arange(9.0), np.arange(8.0)), 0.2)
    >>> fit = funkc.factorize(*split.train_data, k=1, shape=split.shape)
    >>> figure = evaluation.plot_calibration(fit, split.test_data, bins=4)
    >>> figure.axes[0].get_xlabel()
    'mean prediction'
    """
    if not isinstance(fit, Factorization):
        reject("fit", f"is of type {type(fit).__name__}", "pass a Factorization", TypeError)
    held = fit._held()
    number = scalars.integer("bins", bins, 1, 1000)
    tested = _read("test", test, held._matrix(grows=True, ids=ids))
    return of_bins(calibration(held, tested, number), held._loss)


@own_errstate
def baselines(
    train: Any, *, loss: str = "squared", n_threads: int | None = None
) -> dict[str, Factorization]:
    """Models without factors, which a factorization should beat.

    Parameters
    ----------
    train : Ratings, pair, array or sparse array
        The observed entries: as for `split_random`, such as ``split.train_data``.
    loss : {"squared", "absolute", "huber", "logistic", "poisson"}, default "squared"
        As for `funkc.factorize`.
    n_threads : int, optional
        As for `funkc.factorize`.

    Returns
    -------
    dict of str to Factorization
        "mean" predicts the mean everywhere; "biases" adds a bias of each row and column, as
        `funkc.factorize` fits them; the score of a column in "popularity" is its number of entries,
        so that `Factorization.top` recommends the most popular ones.

    Examples
    --------
    >>> import numpy as np
    >>> from funkc import evaluation
    >>> ratings = np.array([[5.0, np.nan, 4.0], [4.0, 2.0, np.nan], [3.0, 1.0, np.nan]])
    >>> simple = evaluation.baselines(ratings)
    >>> float(simple["mean"].predict(0, 1)), simple["popularity"].top(0, 3)[0].tolist()
    (3.1666667..., [0, 1, 2])
    """
    options = checked_options(1, loss=loss, n_threads=n_threads)
    return baselines_of(observed_cells(*mask_and_values(train)), options, lambda: None)


# ---------------------------------------------------------------- entries, rows and columns


def _read(name: str, data: Any, matrix: Matrix) -> Cells:
    """Held-out entries, or those of training, in the numbers of a matrix that may grow."""
    mask, values = mask_and_values(data)
    if are_ratings(values):
        values = replace(values, weights=None)
    try:
        cells = observed_cells(mask, values, matrix=matrix).listed()
        require_once(cells)
    except (TypeError, ValueError) as error:
        raise type(error)(f"{name}, {error}") from None
    return cells


def _only(
    fit: Factorization, only: Any, rows: NDArray[np.int64], tested: Cells, ids: bool | None
) -> Choice | None:
    """The columns that a caller wants to be ranked for rows of the test, which may be unknown."""
    called = fit._rows.called(ids)
    if not is_sparse(only) and getattr(only, "ndim", 1) == 1:
        named = called.ids is not None
        called = Names("rows", tested.shape[0], tested.ids[0] if named else None)
    else:  # of the matrix of the fit
        rows = np.where(rows < called.size, rows, -1)
    known = tested.ids[0], fit._cols.ids
    return Choosing(rows, called, fit._cols.called(ids), known, "").read("only", only)
