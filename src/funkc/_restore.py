"""Pictures filled from what is around their holes: by tiles, and by patches that look alike.

Design
a. Everything here is planes of float32 between 0 and 1 and a plane of what is observed; what
   the pictures were before and become again is images.py's.
b. Tiles are small matrices, rows by columns, whose factors are held smooth.  Their product is
   as good as a biharmonic fill.
c. Patches change what a row is: a patch among the sixty that resemble it, with the places in
   it as columns.  Each pass starts from the picture that the pass before has filled.  The
   first passes take larger patches and fewer factors: what they spread must reach further.
d. Sums over a picture are made band by band; bands of one wave touch no pixel in common.
e. Where a hole is wider than patches reach across, a smooth fill is all there is to say.

Sources: matrix completion by patches, as in "LSSC" (Mairal et al. 2009) and "PLE" (Yu, Sapiro
& Mallat 2012), with probabilistic PCA (Tipping & Bishop 1999); the smooth fill is push-pull
(Gortler et al. 1996).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from funkc._isa import tiles as core

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray

TILE_SIDE: int = core.TILE_SIDE
BAND_ROWS: int = core.BAND_ROWS
MOST_FACTORS: int = core.FACTORS
TILE_STEP = 8
TILE_FACTORS = 8
SWEEPS_SCATTERED, SWEEPS_STROKES = 14, 20
RIDGE = 0.01
SMOOTH, SMOOTH_DENSE = 0.1, 0.03  # the latter when under MOSTLY_SEEN is missing
MOSTLY_SEEN = 0.45
PASS_FACTORS = (4, 6, 8, 12)
SIZES_SCATTERED = (8, 8, 6, 6)  # side of a patch, pass by pass
SIZES_STROKES = (8, 8, 8, 8)
SIZE_JOINT, MOST_JOINT = 4, 8  # side of a patch that holds all channels, and how many those are
LEAST_SIDE = 4  # of a picture that has patches
STROKES = 0.3  # correlation of neighbours in the mask, from which holes are strokes
WIDE = 17  # side of a square hole that patches don't reach across
TILE_WAVES, PATCH_WAVES = 3, 2
TILES_AT_ONCE = 16384  # some .3 s of one processor
GROUPS_AT_ONCE = 4096


@dataclass(frozen=True)
class Canvas:
    """Planes (channels, height, width) that are filled together."""

    buffer: NDArray[np.float32]  # the planes, and some numbers more for the core to read
    seen: NDArray[np.bool_]
    wide: NDArray[np.bool_]  # holes that patches don't reach across
    n_threads: int

    @classmethod
    def of(cls, seen: NDArray[np.bool_], n_threads: int) -> Canvas:
        """Planes of zeros."""
        wide = np.stack([wide_holes(plane) for plane in seen])
        return cls(np.zeros(seen.size + core.SPARE, np.float32), seen, wide, n_threads)

    @property
    def planes(self) -> NDArray[np.float32]:
        return self.buffer[: self.seen.size].reshape(self.seen.shape)

    @property
    def observed(self) -> NDArray[np.uint8]:
        return self.seen.view(np.uint8)

    def fill(self, made: Sequence[NDArray[np.float32]] | NDArray[np.float32]) -> None:
        """Take the holes from there, within the range of what is seen."""
        for plane, seen, new in zip(self.planes, self.seen, made, strict=True):
            low, high = plane.min(where=seen, initial=1), plane.max(where=seen, initial=0)
            np.clip(new, low, high, out=plane, where=~seen)


def wide_holes(seen: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The pixels of one plane that lie in a square of WIDE by WIDE missing ones."""
    corners = np.pad(~seen, WIDE // 2, constant_values=True)  # nothing is seen beyond the edge
    if min(corners.shape) < WIDE:
        return np.zeros_like(seen)
    for axis in (0, 1):
        corners = _over_runs(np.logical_and, corners, axis)
    if not corners.any():
        return np.zeros_like(seen)
    squares = np.pad(corners, WIDE - 1)
    for axis in (0, 1):
        squares = _over_runs(np.logical_or, squares, axis)
    inside = tuple(slice(WIDE // 2, WIDE // 2 + n) for n in seen.shape)
    return squares[inside] & ~seen


def _over_runs(combine: np.ufunc, flags: NDArray[np.bool_], axis: int) -> NDArray[np.bool_]:
    """Combine every WIDE flags in a row, by ever longer runs."""
    length = 1
    while length < WIDE:
        step = min(length, WIDE - length)
        n = flags.shape[axis]
        first, second = (
            flags[tuple(slice(a, b) if at == axis else slice(None) for at in (0, 1))]
            for a, b in ((0, n - step), (step, n))
        )
        flags = combine(first, second)
        length += step
    return flags


def in_strokes(seen: NDArray[np.bool_]) -> bool:
    """Whether the holes of a plane hang together, or are scattered."""
    hidden = ~seen
    share = float(hidden.mean())
    pairs = [hidden[1:] & hidden[:-1], hidden[:, 1:] & hidden[:, :-1]]
    together = [float(pair.mean()) for pair in pairs if pair.size]
    if not together or share in (0.0, 1.0):
        return False
    return (sum(together) / len(together) / share - share) / (1 - share) > STROKES


def fill_smoothly(plane: NDArray[np.float32], seen: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Averages of ever larger squares, handed down to where nothing finer is known."""
    if seen.all():
        return plane
    if seen.shape == (1, 1):
        return np.zeros_like(plane)
    sums, counts = _halved(np.where(seen, plane, 0)), _halved(seen.astype(np.uint8))
    coarse = fill_smoothly(np.divide(sums, np.maximum(counts, 1), dtype=np.float32), counts > 0)
    for axis in (0, 1):
        coarse = _twice_as_long(coarse, axis)[: plane.shape[0], : plane.shape[1]]
    return np.where(seen, plane, coarse)


def _halved(a: NDArray[Any]) -> NDArray[Any]:
    """The sums of squares of two by two; sums of two numbers have but one order."""
    for axis in (0, 1):
        if a.shape[axis] % 2:
            a = np.pad(a, [(0, int(at == axis)) for at in (0, 1)])
        a = a[0::2] + a[1::2] if axis == 0 else a[:, 0::2] + a[:, 1::2]
    return a


def _twice_as_long(a: NDArray[np.float32], axis: int) -> NDArray[np.float32]:
    """Linear interpolation to twice as many points."""
    a = np.moveaxis(a, axis, 0)
    wider = np.concatenate([a[:1], a, a[-1:]])
    out = np.empty((2 * len(a), *a.shape[1:]), np.float32)
    middle = np.float32(0.75) * a
    out[0::2] = middle + np.float32(0.25) * wider[:-2]
    out[1::2] = middle + np.float32(0.25) * wider[2:]
    return np.moveaxis(out, 0, axis)


def _parts(n: int, waves: int, at_once: int) -> Iterator[tuple[int, int]]:
    """First and last of the bands of every call, wave by wave; each leaves room for Ctrl-C."""
    for wave in range(waves):
        for first in range(wave, n, waves * at_once):
            yield first, min(n, first + waves * at_once)


def _n_tiles(length: int) -> int:
    """How many tiles, one TILE_STEP behind the other, cover a side."""
    return 1 + max(0, -(-(length - TILE_SIDE) // TILE_STEP))


def _n_bands(canvas: Canvas, size: int) -> int:
    height: int = canvas.seen.shape[1]
    return -(-(height - min(size, height) + 1) // BAND_ROWS)


def _mean(
    total: NDArray[np.float32], weight: NDArray[np.float32], otherwise: NDArray[np.float32]
) -> NDArray[np.float32]:
    """The mean of what was said of each pixel, or the other where nothing was; it takes total's
    place.
    """
    np.divide(total, weight, out=total, where=weight > 0)
    np.copyto(total, otherwise, where=weight == 0)
    return total


def by_tiles(
    canvas: Canvas, k: int, n_sweeps: int, seed: int, everywhere: bool, told: Callable[[int], None]
) -> list[NDArray[np.float32]]:
    """The blended products of tiles, and a smooth fill where there are none."""
    _, height, width = canvas.seen.shape
    n_down, n_across = _n_tiles(height), _n_tiles(width)
    at_once = max(2 * canvas.n_threads, TILES_AT_ONCE // n_across)
    made = []
    scratch = np.zeros(canvas.n_threads * core.TILES_BYTES, np.uint8)
    for c, (plane, seen) in enumerate(zip(canvas.planes, canvas.seen, strict=True)):
        total, weight = (np.zeros((height, width), np.float32) for _ in range(2))
        smooth = SMOOTH_DENSE if np.count_nonzero(seen) > (1 - MOSTLY_SEEN) * seen.size else SMOOTH
        for first, last in _parts(n_down, TILE_WAVES, at_once):
            core.fit_rows_of_tiles(
                plane, canvas.observed[c], n_down, n_across, k, n_sweeps, RIDGE, smooth,
                (seed + c) % 2**64,
                first, last, TILE_WAVES, everywhere, canvas.n_threads, total, weight, scratch,
            )  # fmt: skip
            told(len(range(first, last, TILE_WAVES)))
        weight[canvas.wide[c]] = 0
        bare = (weight == 0) & ~seen
        made.append(_mean(total, weight, plane))
        del weight  # the smooth fill needs its room
        if bare.any():
            made[c][bare] = fill_smoothly(plane, seen)[bare]
    return made


def by_patches(
    canvas: Canvas, size: int, k: int, everywhere: bool, told: Callable[[int], None]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """One pass: what patches say of the holes, and of every pixel if that is wished for."""
    channels, height, width = canvas.seen.shape
    size = min(size, height, width)
    total, weight = (np.zeros(canvas.seen.size, np.float32) for _ in range(2))
    covered = np.zeros(height * width, np.uint8)
    scratch = np.zeros(canvas.n_threads * core.GROUP_BYTES, np.uint8)
    n_bands = _n_bands(canvas, size)
    at_once = max(2 * canvas.n_threads, GROUPS_AT_ONCE // width)
    made = []
    for complete in (False, True) if everywhere else (False,):
        # Groups of complete patches come after all others, so that the holes are filled as ever.
        for first, last in _parts(n_bands, PATCH_WAVES, at_once):
            core.fit_bands_of_patches(
                canvas.buffer, canvas.observed.reshape(-1), channels, height, width, size, k,
                first, last, PATCH_WAVES, complete, canvas.n_threads, covered, total, weight,
                scratch,
            )  # fmt: skip
            told(len(range(first, last, PATCH_WAVES)) * (not complete))
        said = total if complete == everywhere else total.copy()
        made.append(_mean(said, weight, canvas.buffer[: canvas.seen.size]))
    filled, generated = made[0].reshape(canvas.seen.shape), made[-1].reshape(canvas.seen.shape)
    filled[canvas.wide] = canvas.planes[canvas.wide]
    return filled, generated


def passes(canvas: Canvas, k: int | None, strokes: bool) -> list[tuple[int, int]]:
    """Side of a patch and number of factors, pass by pass."""
    channels, height, width = canvas.seen.shape
    if min(height, width) < LEAST_SIDE:
        return []
    sides: tuple[int, ...] = SIZES_STROKES if strokes else SIZES_SCATTERED
    if channels > 1:
        sides = (SIZE_JOINT,) * len(sides)
    last = PASS_FACTORS[-1] if k is None else k
    factors = [*(min(n, last) for n in PASS_FACTORS[:-1]), last]
    return list(zip(sides, factors, strict=True))


def restore(
    canvases: Sequence[Canvas],
    method: str,
    k: int | None,
    seed: int,
    everywhere: bool,
    watch: Callable[[str, int], bool] | None,
    bar: Any,
) -> Sequence[Sequence[NDArray[np.float32]]]:
    """Fill the holes of all planes in place, and return them with what was made for every pixel.

    All canvases take every step before any takes the next, and `watch` is told of it; it may
    end the work.  Unless `everywhere`, what is observed is returned as it is.
    """
    strokes = any(in_strokes(seen) for canvas in canvases for seen in canvas.seen)
    plans = [passes(canvas, k, strokes) if method == "patches" else [] for canvas in canvases]
    last = SWEEPS_STROKES if strokes else SWEEPS_SCATTERED
    sweeps = [last] if watch is None else range(1, last + 1)
    if bar is not None:
        bar.total = sum(
            len(sweeps) * len(canvas.seen) * _n_tiles(canvas.seen.shape[1])
            + sum(_n_bands(canvas, size) for size, _ in plan)
            for canvas, plan in zip(canvases, plans, strict=True)
        )

    def told(n: int) -> None:
        if bar is not None:
            bar.update(n)

    made: list[Sequence[NDArray[np.float32]]] = []
    for sweep in sweeps:
        factors = TILE_FACTORS if k is None or method == "patches" else k
        made = [by_tiles(canvas, factors, sweep, seed, everywhere, told) for canvas in canvases]
        for canvas, planes in zip(canvases, made, strict=True):
            canvas.fill(planes)
        if not everywhere:
            made = [list(canvas.planes) for canvas in canvases]
        if watch is not None and watch("tiles", sweep):
            break
    else:
        for step in range(len(plans[0])):
            everything = everywhere and step == len(plans[0]) - 1
            for at, (canvas, plan) in enumerate(zip(canvases, plans, strict=True)):
                both = by_patches(canvas, *plan[step], everything, told)
                canvas.fill(both[0])
                if everything:
                    made[at] = list(both[1])
                del both  # or it would stay beside the next one
            if watch is not None and watch("patches", step + 1):
                break
    if everywhere:
        for canvas, planes in zip(canvases, made, strict=True):
            for new, plane, seen in zip(planes, canvas.planes, canvas.seen, strict=True):
                np.copyto(new, plane, where=~seen)
    return made
