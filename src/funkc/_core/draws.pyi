import numpy as np
from numpy.typing import NDArray

def unobserved(
    first: NDArray[np.int64],
    seen: NDArray[np.int64],
    n_cols: int,
    wanted: int,
    seed: int,
    rows: NDArray[np.int64],
    cols: NDArray[np.int64],
) -> int: ...
def keys(
    rows: NDArray[np.int64],
    cols: NDArray[np.int64],
    n_cols: int,
    seed: int,
    out: NDArray[np.uint64],
) -> None: ...
