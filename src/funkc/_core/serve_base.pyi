# One source is built as _serve_base, _serve_v3 and _serve_v4; this describes all three.
from typing import Any

import numpy as np
from numpy.typing import NDArray

serve_table: Any

def predict(
    x: NDArray[Any],
    y: NDArray[Any],
    rows: NDArray[np.int64],
    cols: NDArray[np.int64],
    out: NDArray[Any],
    offset: float,
    n_threads: int,
) -> int: ...
def squared_errors(
    x: NDArray[Any],
    y: NDArray[Any],
    rows: NDArray[np.int64],
    cols: NDArray[np.int64],
    targets: NDArray[np.float64],
    ends: NDArray[np.int64],
    sums: NDArray[np.float64],
    n_threads: int,
) -> None: ...
def product(
    x: NDArray[Any], y: NDArray[Any], out: NDArray[Any], offset: float, n_threads: int
) -> bool: ...
def best(
    x: NDArray[Any],
    y: NDArray[Any],
    offset: float,
    hidden_from: NDArray[np.int64],
    hidden: NDArray[np.int64],
    cols: NDArray[np.int64],
    scores: NDArray[Any],
    n_threads: int,
) -> int: ...
def fold_in(
    y: NDArray[Any],
    k: int,
    bias_at: int,
    offset: float,
    first: NDArray[np.int64],
    cols: NDArray[np.int64],
    values: NDArray[np.float64],
    weights: NDArray[np.float64],
    usual: NDArray[np.float64],
    prior: NDArray[np.float64],
    ridge: float,
    nonnegative: bool,
    loss: int,
    delta: float,
    now: NDArray[np.float64],
    steps: NDArray[np.intc],
    out: NDArray[Any],
    n_threads: int,
) -> int: ...
def means(x: NDArray[Any], out: NDArray[np.float64]) -> None: ...
def covariance(
    x: NDArray[Any],
    first: int,
    last: int,
    k: int,
    bias_at: int,
    mean: NDArray[np.float64],
    seen: float,
    out: NDArray[np.float64],
    n_threads: int,
) -> int: ...
def precision(
    covariance: NDArray[np.float64],
    k: int,
    size: int,
    seen: float,
    room: NDArray[np.float64],
    out: NDArray[np.float64],
) -> bool: ...
def directions(x: NDArray[Any], mean: NDArray[np.float64], out: NDArray[Any]) -> None: ...
