from typing import Any

import numpy as np
from numpy.typing import NDArray

plan_table: Any
LISTED_CELLS: int
DENSE_CELLS: int
CELLS_BY_ROW: int
CELLS_BY_COL: int
KINDS: dict[bytes, int]

# A plan, a source of cells, or a cut that was begun, is a PyCapsule, for which typing has no name.

def source(
    form: int,
    n_rows: int,
    n_cols: int,
    n: int,
    rows: NDArray[Any] | None,
    cols: NDArray[Any] | None,
    values: NDArray[Any],
    weights: NDArray[Any] | None,
    mask: NDArray[np.uint8],
    nan_is_missing: bool,
) -> Any: ...
def drawn(source: Any, wanted: bool, seed: int, share: float, folds: int, fold: int) -> Any: ...
def look(source: Any, first: int, last: int) -> tuple[int, int, int]: ...
def write_cells(
    source: Any,
    first: int,
    last: int,
    at: int,
    rows: NDArray[Any],
    cols: NDArray[Any],
    values: NDArray[Any],
    weights: NDArray[np.float64],
) -> int: ...
def begin(
    source: Any,
    width: int,
    double_precision: bool,
    largest: float,
    seed: int,
    offset: float,
    below: float,
    row_cuts: NDArray[np.int64],
    col_cuts: NDArray[np.int64],
    row_bands: int,
    col_bands: int,
    n_threads: int,
) -> tuple[int, Any]: ...
def go_on(begun: Any) -> tuple[int, Any, tuple[int, int] | int | None]: ...
def thinned(plan: Any, wanted: bool, seed: int, share: float) -> Any: ...
def start(
    plan: Any,
    x: NDArray[Any],
    y: NDArray[Any],
    k: int,
    level: float,
    deviation: float,
    seed: int,
    nonnegative: bool,
    first: int,
    last: int,
    n_threads: int,
) -> None: ...
def put_in(plan: Any, columns: bool, factors: NDArray[Any], x: NDArray[Any]) -> None: ...
def positions(plan: Any, columns: bool, index: NDArray[Any], out: NDArray[np.int64]) -> bool: ...
def take_out(
    plan: Any, columns: bool, x: NDArray[Any], k: int, out: NDArray[Any], first: int, last: int
) -> bool: ...
def contents(plan: Any) -> list[memoryview]: ...
def outset(
    plan: Any, fitted: tuple[Any, ...] | None, held: bool, k: int
) -> tuple[float, float, int, int, float]: ...
def settle(
    plan: Any,
    outset: tuple[float, float, int, int, float],
    learning_rate: float,
    row_regularization: float,
    col_regularization: float,
    n_epochs: int,
) -> tuple[float, float, float, int]: ...
def bands_for(
    n_rows: int, n_cols: int, n_cells: int, width: int, real_size: int
) -> tuple[int, int]: ...
def describe(plan: Any) -> dict[str, Any]: ...
def band_ends(plan: Any) -> list[int]: ...
def extreme(plan: Any, highest: bool) -> tuple[int, int]: ...
def unpack(
    plan: Any,
    block: NDArray[np.int64],
    row: NDArray[np.int64],
    col: NDArray[np.int64],
    target: NDArray[np.float64],
    row_position: NDArray[np.int64],
    col_position: NDArray[np.int64],
) -> None: ...
