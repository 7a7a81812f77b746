from typing import Any

import numpy as np
from numpy.typing import NDArray

# A plan, or a cut that was begun, is a PyCapsule, for which typing has no name.

def begin(
    rows: NDArray[Any],
    cols: NDArray[Any],
    values: NDArray[Any],
    n_rows: int,
    n_cols: int,
    width: int,
    double_precision: bool,
    largest: float,
    seed: int,
    offset: float,
    row_cuts: NDArray[np.int64],
    col_cuts: NDArray[np.int64],
    n_threads: int,
) -> tuple[int, Any]: ...
def go_on(begun: Any) -> tuple[int, Any, tuple[int, int] | None]: ...
def start(
    plan: Any, x: NDArray[Any], y: NDArray[Any], k: int, seed: int, n_threads: int
) -> None: ...
def take_out(plan: Any, columns: bool, x: NDArray[Any], out: NDArray[Any]) -> bool: ...
def describe(plan: Any) -> dict[str, Any]: ...
def unpack(
    plan: Any,
    block: NDArray[np.int64],
    row: NDArray[np.int64],
    col: NDArray[np.int64],
    target: NDArray[np.float64],
    row_position: NDArray[np.int64],
    col_position: NDArray[np.int64],
) -> None: ...
