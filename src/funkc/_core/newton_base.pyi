# One source is built as newton_base, newton_v3 and newton_v4; this describes all three.
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

most_turns: int
refit_turns: int

def room(plan: Any) -> int: ...
def errors(
    plan: Any,
    x: NDArray[Any],
    y: NDArray[Any],
    rows: NDArray[np.float64],
    cols: NDArray[np.float64],
    level: float,
    loss: int,
    delta: float,
    out: NDArray[np.float64],
) -> None: ...
def predictions(loss: int, scores: NDArray[Any]) -> None: ...
def score(loss: int, prediction: float) -> float: ...
def costs(
    loss: int,
    delta: float,
    values: NDArray[np.float64],
    scores: NDArray[np.float64],
    out: NDArray[np.float64],
) -> None: ...
def least(plan: Any, loss: int) -> float: ...
def working(
    loss: int,
    delta: float,
    values: NDArray[np.float64],
    scores: NDArray[np.float64],
    targets: NDArray[np.float64],
    weights: NDArray[np.float64],
) -> None: ...
def first_misfit(plan: Any, loss: int) -> tuple[int, int, float] | None: ...

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
        loss: int,
        delta: float,
        alone: bool,
    ) -> None: ...
    def set_loss(self, loss: int, delta: float) -> None: ...
    def set_level(self, level: float) -> None: ...
    def set_scale(self, scale: float) -> None: ...
    def spread(self) -> float: ...
    def beside(self, x: NDArray[Any], y: NDArray[Any]) -> None: ...
    def begin(self, held: float) -> None: ...
    def turn(self) -> bool: ...
    def end(self) -> None: ...
    def begin_again(self, held: float, from_there: bool) -> None: ...
    def turn_again(self, row_ridge: float, col_ridge: float) -> None: ...
    def end_again(self) -> None: ...
