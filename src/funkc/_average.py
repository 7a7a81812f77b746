"""The mean of several fits of one matrix, as one pair of factors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from funkc._core import average
from funkc._errors import raise_for_status
from funkc._schedule import padded

if TYPE_CHECKING:
    from numpy.typing import NDArray


def averaged(
    x: NDArray[Any],
    y: NDArray[Any],
    k: int,
    row_counts: NDArray[np.float64],
    col_counts: NDArray[np.float64],
    n_threads: int,
) -> tuple[NDArray[Any], NDArray[Any]]:
    """The factors whose product is nearest to the mean of the products of all members.

    The squared error of an entry counts ``(row_counts[i] + 1) * (col_counts[j] + 1)`` times. The
    factors lie along the principal axes, the largest first; axes that are not there are 0.

    Parameters
    ----------
    x, y : arrays (members, n, width)
        The row and column factors of all members: the first k numbers of every row. What follows
        them is not read, and is 0 in the results.
    k : int
        Number of factors, of the members and of the result.
    row_counts, col_counts : arrays of float64
        What the entries of every row and column count for: `Biases.counts`.
    n_threads : int
        Number of threads; it does not affect the bits.
    """
    x_out, y_out = (np.empty((z.shape[1], padded(k)), z.dtype) for z in (x, y))
    status = average.cut(x, y, k, row_counts + 1, col_counts + 1, x_out, y_out, n_threads)
    raise_for_status(status, purpose="to average the factors")
    return x_out, y_out
