"""Why a prediction is what it is: what the observed entries of its row contribute."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from funkc._core import newton, serve
from funkc._errors import reject, shown
from funkc._input.arrays import are_ratings, own_index
from funkc._input.cells import observed_cells
from funkc._input.ids import looked_up
from funkc._input.lookups import between
from funkc._input.loss import newton_steps
from funkc._input.scalars import require_memory
from funkc._sides import Side, product, scatter

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from funkc._answers import Answers
    from funkc._input.cells import Cells, CellsByRow, Matrix

UNKNOWN_RIDGE = 1e-3  # of the mean diagonal, where no training tells
LARGEST = 1e300  # of contributions, whose sum must not overflow


@dataclass(frozen=True, eq=False)
class Explanation:
    """What the observed entries of a row contribute to a prediction: `Factorization.explain`.

    Attributes
    ----------
    score : float
        The prediction, before the link of a logistic or Poisson loss and without `clip`.
    baseline : float
        The part of the score that no entry contributes to: offset, row bias and column bias.
    columns : (n,) array of int64, or of ids
        The columns of the entries, those that contribute most first.
    contributions : (n,) array of float64
        What each contributes. Those of all entries of the row add up to ``score - baseline``.

    Examples
    --------
    >>> import numpy as np
    >>> import funkc
    >>> table = np.array([[5, 5, 1, np.nan], [4, 5, 1, 1], [1, 1, 5, 4], [2, 1, 4, 5.0]])
    >>> fit = funkc.factorize(None, table, k=2)
    >>> why = fit.explain(0, 3, seen=(None, table))
    >>> why.columns
    array([1, 0, 2])
    >>> bool(np.isclose(why.baseline + why.contributions.sum(), why.score))
    True
    """

    score: float
    baseline: float
    columns: NDArray[Any]
    contributions: NDArray[np.float64]


def entries_of_row(seen: Any, matrix: Matrix, i: int, name: Any) -> Cells:
    """Those of row i, at least one, which errors call by its name."""
    pair = (None, seen) if are_ratings(seen) else seen
    remedy = "pass a pair (mask, values), or Ratings"
    if not isinstance(pair, (tuple, list)):
        reject("seen", f"is of type {type(seen).__name__}", remedy, TypeError)
    if len(pair) != 2:
        reject("seen", f"has {len(pair)} parts", remedy)
    weights = None
    if are_ratings(seen) and all(axis.ids is not None for axis in matrix):
        *pair, weights = _ratings_of_row(seen, matrix, i)
        matrix = replace(matrix[0], by_id=False), replace(matrix[1], by_id=False)
    cells = observed_cells(*pair, weights=weights, matrix=matrix, nothing=True).listed()
    cells = cells.part(cells.rows == i)
    if not cells.values.size:
        found = f"has no observed entry of row {shown(np.asarray(name).item())}"
        reject("seen", found, "pass entries of this row, or explain a row that has some")
    return cells


def _ratings_of_row(ratings: Any, matrix: Matrix, i: int) -> tuple[Any, ...]:
    """Positions, values and weights of those of row i, whose columns are known; no others are
    looked at.
    """
    row_ids, col_ids = (axis.ids for axis in matrix)
    assert row_ids is not None
    assert col_ids is not None
    row = looked_up(row_ids.names[i : i + 1], ratings.row_ids)
    _, at = between(ratings.rows, row)
    cols = col_ids.among(ratings.col_ids[own_index("seen", ratings.cols[at], ratings.col_ids.size)])
    at, cols = at[cols >= 0], cols[cols >= 0]
    weights = None if ratings.weights is None else ratings.weights[at]
    return (np.full(at.size, i), cols), ratings.values[at], weights


def explained(
    answers: Answers,
    i: int,
    j: int,
    cells: CellsByRow,
    ridge: float | None,
    noise: float | None,
) -> Explanation:
    """The score of row i and column j, from all entries of the row; columns by position."""
    rows, cols, seen = answers.rows, answers.cols, cells.cols
    of_row, of_cols = 0.0, np.zeros(1 + seen.size)
    if rows.bias is not None and cols.bias is not None:
        of_row = float(rows.bias[i])
        of_cols = cols.bias[np.append(j, seen)].astype(np.float64)
    score = float(answers.scores(np.array([i], np.int64), np.array([j], np.int64))[0])
    baseline = answers.offset + of_row + float(of_cols[0])
    x, y = rows.factors[i : i + 1].astype(np.float64), cols.factors[seen].astype(np.float64)
    products = product(x, y, 0.0)[0]
    delta = newton.delta_of_new_rows(answers.loss.kind, answers.loss.delta, noise or 0.0)
    weights, steps = newton_steps(
        answers.loss._replace(delta=delta),
        cells.values,
        answers.offset + of_row + of_cols[1:] + products,
    )
    if cells.weights.size:
        share = cells.weights / cells.weights.max()
        weights = weights * share * (share.size / math.fsum(share))
    target = cols.factors[j].astype(np.float64)
    moved = _influences(y, target, weights, ridge, answers.n_threads)
    parts = moved * (products + steps)
    if not (np.abs(parts) < LARGEST).all():
        reject(
            "seen",
            "has values, or this fit factors, whose contributions exceed the range of float64",
            "divide them by a constant",
        )
    left = score - baseline - math.fsum(parts)
    largest = np.abs(moved).max()
    squares = np.square(moved / largest) if largest > 0 else np.ones_like(moved)
    parts += left * (squares / math.fsum(squares))
    order = np.lexsort((seen, -np.abs(parts)))
    return Explanation(score, baseline, seen[order], parts[order])


def _influences(
    y: NDArray[np.float64],
    target: NDArray[np.float64],
    weights: NDArray[np.float64],
    ridge: float | None,
    n_threads: int,
) -> NDArray[np.float64]:
    """How far the regression of a row on y would move its product with the target, were one value
    larger by 1, then the next, and so on.
    """
    n, k = y.shape
    require_memory(32 * k * k, f"systems of {k} equations", "lower k")
    root = math.sqrt(ridge or 0.0)
    scale = max(root, float(np.abs(y).max()), float(np.abs(target).max())) or 1.0
    heaviest = float(weights.max())
    # Sums of squares must not overflow, and only ratios matter.
    y, target, weights = y / scale, target / scale, weights / heaviest
    weighed = Side(np.sqrt(weights)[:, None] * y, None, first=True)
    matrix = scatter(weighed.ready, k, -1, np.zeros(k), 2, n_threads)  # a plain sum
    diagonal = np.arange(k)
    mean = math.fsum(matrix[diagonal, diagonal]) / k
    known = n * (root / scale) ** 2 / heaviest
    matrix[diagonal, diagonal] += UNKNOWN_RIDGE * mean if ridge is None else known
    inverse, room = np.zeros_like(matrix), np.empty(2 * len(matrix))
    serve.precision(matrix, k, k, 2 * k, room, inverse)
    lower = np.tril(inverse[:k, :k])
    solved = product(lower + np.tril(lower, -1).T, target[None], 0.0)
    out: NDArray[np.float64] = weights * product(y, solved.T, 0.0)[:, 0]
    return out
