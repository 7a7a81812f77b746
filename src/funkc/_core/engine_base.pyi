# One source is built as _engine_base, _engine_v3 and _engine_v4; this describes all three.
from typing import Any

import numpy as np
from numpy.typing import NDArray

engine_table: Any

def advance(
    plan: Any,
    x: NDArray[Any],
    y: NDArray[Any],
    row_base: NDArray[Any],
    col_base: NDArray[Any],
    first: int,
    last: int,
    span: int,
    rate: float,
    n_epochs: int,
    falling: bool,
    row_regularization: float,
    col_regularization: float,
    group_size: int,
    k: int,
    nonnegative: bool,
    loss: int,
    delta: float,
    n_threads: int,
    sums: NDArray[np.float64],
    losses: NDArray[np.float64],
    scratch: NDArray[np.int64],
    limit: float,
) -> int: ...
def learning_rate(epoch: int, rate: float, n_epochs: int, falling: bool) -> float: ...
def first_span(plan: Any, width: int) -> int: ...
