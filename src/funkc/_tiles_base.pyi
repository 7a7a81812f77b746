# One source is built as _tiles_base, _tiles_v3 and _tiles_v4; this describes all three.
import numpy as np
from numpy.typing import NDArray

TILE_SIDE: int
BAND_ROWS: int
FACTORS: int
SPARE: int
TILES_BYTES: int
GROUP_BYTES: int

def fit_rows_of_tiles(
    pixels: NDArray[np.float32],
    observed: NDArray[np.uint8],
    n_down: int,
    n_across: int,
    k: int,
    n_sweeps: int,
    ridge: float,
    smooth: float,
    seed: int,
    first: int,
    last: int,
    stride: int,
    everywhere: bool,
    n_threads: int,
    total: NDArray[np.float32],
    weight: NDArray[np.float32],
    scratch: NDArray[np.uint8],
) -> None: ...
def fit_bands_of_patches(
    pixels: NDArray[np.float32],
    observed: NDArray[np.uint8],
    channels: int,
    height: int,
    width: int,
    size: int,
    factors: int,
    first: int,
    last: int,
    stride: int,
    everywhere: bool,
    n_threads: int,
    covered: NDArray[np.uint8],
    total: NDArray[np.float32],
    weight: NDArray[np.float32],
    scratch: NDArray[np.uint8],
) -> None: ...
