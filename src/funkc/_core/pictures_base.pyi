# One source is built as pictures_base, pictures_v3 and pictures_v4; this describes all three.
from typing import Any

import numpy as np
from numpy.typing import NDArray

# What was begun is a PyCapsule, for which typing has no name, and so is the table.

MOST_RANK: int
most_joined: int
WIDE_SIDE: int
pictures_table: Any

def begin(
    missing: NDArray[np.uint8],
    n_frames: int,
    ranges: NDArray[np.float64],
    patches: bool,
    k: int,
    fine: bool,
    seed: int,
    everywhere: bool,
    watched: bool,
    n_threads: int,
) -> tuple[int, Any]: ...
def sample_step(n: int, height: int, width: int) -> int: ...
def usual_range(sample: NDArray[np.float64]) -> tuple[float, float]: ...
def put(begun: Any, channel: int, top: int, values: NDArray[np.float64]) -> None: ...
def go_on(begun: Any) -> tuple[int, str, int, int, int]: ...
def take(begun: Any, channel: int, top: int, out: NDArray[np.float64]) -> None: ...
def survey(
    begun: Any,
) -> tuple[
    int,
    tuple[float, bool, bool, bool, float],
    int,
    int,
    int,
    list[tuple[int, int, int, float]],
    float,
]: ...
