"""Models without factors, which any other one should beat."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from funkc._biases import Biases
from funkc._input.loss import Loss
from funkc._schedule import cut
from funkc.factorization import Factorization

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from funkc._input.cells import Cells
    from funkc._input.options import Options


def baselines_of(
    cells: Cells, options: Options, heed: Callable[[], object]
) -> dict[str, Factorization]:
    """The mean and biases of entries to train on, and the popularity of columns."""
    schedule, loss = cut(cells, options), options.loss
    fitted = Biases(
        schedule, options.dtype, options.n_threads, loss, ridges=options.bias_regularization
    )
    fitted.settle_loss(heed)
    fitted.fit(math.nan, None, heed)
    # One Huber loss for all, so that they can be compared.
    loss = Loss(loss.name, fitted.delta)
    sides = fitted.taken(False), fitted.taken(True)
    level, noise = schedule.offset + fitted.level, fitted.fitted.left
    biases = _without_factors(cells, options, *sides, level, noise, loss)
    mean = schedule.mean
    if not loss.squared:
        alone = Biases(schedule, options.dtype, options.n_threads, loss, alone=True)
        alone.settle_loss(heed)
        alone.fit(math.nan, None, heed)
        mean = schedule.offset + alone.level
    zeros = np.zeros_like(sides[0]), np.zeros_like(sides[1])
    usual = _without_factors(cells, options, *zeros, mean, schedule.deviation, loss)
    return {"mean": usual, "biases": biases, "popularity": popularity_of(cells, options)}


def popularity_of(cells: Cells, options: Options) -> Factorization:
    """The number of entries of each column."""
    counts = np.bincount(cells.listed().cols, minlength=cells.shape[1]).astype(options.dtype)
    rows = np.zeros(cells.shape[0], options.dtype)
    return _without_factors(cells, options, rows, counts, 0.0, 0.0, Loss())


def _without_factors(
    cells: Cells,
    options: Options,
    row_bias: NDArray[np.floating],
    col_bias: NDArray[np.floating],
    offset: float,
    noise: float,
    loss: Loss,
) -> Factorization:
    zeros = [np.zeros((size, 1), options.dtype) for size in cells.shape]
    made = Factorization.from_factors(
        *zeros,
        row_bias=row_bias,
        col_bias=col_bias,
        offset=offset,
        noise=noise,
        row_ids=None if cells.ids[0] is None else cells.ids[0].names,
        col_ids=None if cells.ids[1] is None else cells.ids[1].names,
        loss=loss.name,  # type: ignore[arg-type]
        huber_delta=loss.delta if loss.name == "huber" else None,
    )
    made.n_threads = options.n_threads
    return made
