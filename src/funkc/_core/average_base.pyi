# One source is built as average_base, average_v3 and average_v4; this describes all three.
from typing import Any

import numpy as np
from numpy.typing import NDArray

def cut(
    x: NDArray[Any],
    y: NDArray[Any],
    k: int,
    row_weights: NDArray[np.float64],
    col_weights: NDArray[np.float64],
    x_out: NDArray[Any],
    y_out: NDArray[Any],
    n_threads: int,
) -> int: ...
