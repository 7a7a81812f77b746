# One source is built as biases_base, biases_v3 and biases_v4; this describes all three.
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

bias_table: Any
most_turns: int
refit_turns: int

def room(plan: Any) -> int: ...
def fill(
    plan: Any,
    x: NDArray[Any],
    y: NDArray[Any],
    rows: NDArray[np.float64],
    cols: NDArray[np.float64],
) -> tuple[int, int, int]: ...
def errors(
    plan: Any,
    loss: int,
    delta: float,
    x: NDArray[Any],
    y: NDArray[Any],
    rows: NDArray[np.float64],
    cols: NDArray[np.float64],
    level: float,
    out: NDArray[np.float64],
) -> None: ...
def rounded(numbers: NDArray[np.float64], level: float, out: NDArray[Any]) -> None: ...
def gains(before: NDArray[np.float64], after: NDArray[np.float64]) -> bool: ...

@final
class Work:
    fitted: tuple[float, float, float, float, float, float, int, int, float, float, float]

    def __init__(
        self,
        plan: Any,
        rows: NDArray[np.float64],
        cols: NDArray[np.float64],
        room: NDArray[np.float64],
        n_threads: int,
    ) -> None: ...
    def beside(self, x: NDArray[Any], y: NDArray[Any]) -> None: ...
    def begin(self, held: float) -> None: ...
    def turn(self) -> bool: ...
    def end(self) -> None: ...
    def begin_again(self, held: float, from_there: bool) -> None: ...
    def turn_again(self, row_ridge: float, col_ridge: float) -> None: ...
    def end_again(self) -> None: ...
