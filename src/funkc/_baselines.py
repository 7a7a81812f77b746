"""Models without factors, which any other one should beat."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from funkc._biases import Biases
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
    """The mean, biases, and popularity, of entries to train on."""
    schedule, loss = cut(cells, options), options.loss
    out = {}
    for name, alone in (("mean", True), ("biases", False)):
        ridges = None if alone else options.bias_regularization
        fitted = Biases(
            schedule, options.dtype, options.n_threads, loss, alone=alone, ridges=ridges
        )
        fitted.settle_loss(heed)
        if alone and loss.squared:
            fitted.level = schedule.mean - schedule.offset
        else:
            fitted.fit(math.nan, None, heed)
        sides = fitted.taken(False), fitted.taken(True)
        level = schedule.offset + fitted.level
        left = schedule.deviation if alone else fitted.fitted.left
        out[name] = _without_factors(cells, options, *sides, level, left)
    cols = cells.listed().cols
    counts = np.bincount(cols, minlength=cells.shape[1]).astype(options.dtype)
    out["popularity"] = _without_factors(
        cells,
        options,
        np.zeros(cells.shape[0], options.dtype),
        counts,
        0.0,
        schedule.deviation,
        ranks_only=True,
    )
    return out


def _without_factors(
    cells: Cells,
    options: Options,
    row_bias: NDArray[np.floating],
    col_bias: NDArray[np.floating],
    offset: float,
    noise: float,
    *,
    ranks_only: bool = False,
) -> Factorization:
    loss = options.loss
    given = not ranks_only and loss.name == "huber" and not math.isnan(loss.delta)
    named = "squared" if ranks_only or (loss.name == "huber" and not given) else loss.name
    nothing = [np.zeros((size, 1), options.dtype) for size in cells.shape]
    made = Factorization.from_factors(
        *nothing,
        row_bias=row_bias,
        col_bias=col_bias,
        offset=offset,
        noise=noise,
        row_ids=None if cells.ids[0] is None else cells.ids[0].names,
        col_ids=None if cells.ids[1] is None else cells.ids[1].names,
        loss=named,  # type: ignore[arg-type]
        huber_delta=loss.delta if given else None,
    )
    made.n_threads = options.n_threads
    return made
