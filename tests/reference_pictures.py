"""The slow oracle for pictures, in plain NumPy.

Nothing is shared with the core but the random numbers of the start (reference.py). Tiles and
patches are in double precision where the core works in single, so its answers are close, not
equal. What is said of masks, and the smooth fill, are equal.
"""

from __future__ import annotations

import itertools

import numpy as np
from reference import noise, stream_seed

TILE, STEP, TILE_START = 16, 8, 6
RIDGE, SMOOTH, SMOOTH_DENSE = 0.01, 0.1, 0.03
SIMILAR, LEAST_VARIANCE = 60, 1e-5
REACH, BAND = 20, 64
REACH_FRAMES, BAND_FRAMES, REACH_DEEP, DEEP = 8, 24, 2, 3
WIDE, STROKES = 17, 0.3


def begins(length):
    """Where tiles begin: spread evenly from edge to edge, at most STEP apart."""
    if length <= TILE:
        return [0]
    n = 1 + -(-(length - TILE) // STEP)
    return [i * (length - TILE) // (n - 1) for i in range(n)]


def window(n):
    t = (np.arange(n) + 0.5) / n
    return (4 * t * (1 - t)) ** 2 + 1e-3


def bend(n):
    second = np.diff(np.eye(n), 2, axis=0)
    return second.T @ second


def half_sweep(values, seen, side, other, smooth):
    """Solve for every row of `side` in turn, all else held."""
    penalty = smooth * bend(len(side))
    for i in range(len(side)):
        left = other[seen[i]]
        A = left.T @ left + (RIDGE + penalty[i, i]) * np.eye(other.shape[1])
        b = left.T @ values[i, seen[i]] - (penalty[i] @ side - penalty[i, i] * side[i])
        side[i] = np.linalg.solve(A, b)


def by_tiles(plane, seen, k, n_sweeps, seed, everywhere=False):
    """The blended products of tiles, complete ones too or not, and NaN where there are none."""
    total, weight = np.zeros((2, *plane.shape))
    smooth = SMOOTH_DENSE if seen.mean() > 0.55 else SMOOTH
    tops, lefts = begins(plane.shape[0]), begins(plane.shape[1])
    tall, wide = min(TILE, plane.shape[0]), min(TILE, plane.shape[1])
    counts = np.outer(window(tall), window(wide))
    for down, top in enumerate(tops):
        for across, left in enumerate(lefts):
            box = (slice(top, top + tall), slice(left, left + wide))
            here = seen[box]
            if here.sum() < min(8, here.size // 2) or (here.all() and not everywhere):
                continue
            number = down * len(lefts) + across
            U, V = (
                np.array([
                    0.1 * noise(stream_seed(seed, TILE_START), (2 * number + side) * 256 + i)
                    for i in range(n * k)
                ]).reshape(n, k)
                for side, n in enumerate((tall, wide))
            )  # fmt: skip
            mean = plane[box][here].mean()
            values = plane[box] - mean
            for _ in range(n_sweeps):
                half_sweep(values, here, U, V, smooth)
                half_sweep(values.T, here.T, V, U, smooth)
            total[box] += counts * (U @ V.T + mean)
            weight[box] += counts
    with np.errstate(invalid="ignore"):
        return total / weight


def wide_holes(seen, side=WIDE):
    """The pixels in squares of side by side where nothing is seen, nor beyond the edge."""
    hidden = np.pad(~seen, side - 1, constant_values=True)
    wide = np.zeros_like(hidden)
    for top in range(side // 2, side // 2 + seen.shape[0]):
        for left in range(side // 2, side // 2 + seen.shape[1]):
            square = (slice(top, top + side), slice(left, left + side))
            wide[square] |= hidden[square].all()
    return wide[side - 1 : 1 - side, side - 1 : 1 - side]


def look(masks):
    """Share of missing pixels, whether they are strokes, whether there are squares of 3 x 3 and of
    5 x 5, and the share of those in squares of 9 x 9; of several masks the mean share, else the
    largest."""
    return (
        (~masks).mean(),
        any(in_strokes(seen) for seen in masks),
        *(any(wide_holes(seen, side).any() for seen in masks) for side in (3, 5)),
        max(wide_holes(seen, 9).sum() / max(1, (~seen).sum()) for seen in masks),
    )


def in_strokes(seen):
    """Whether neighbours in the mask are correlated."""
    hidden = ~seen
    share = hidden.mean()
    pairs = [hidden[1:] & hidden[:-1], hidden[:, 1:] & hidden[:, :-1]]
    together = [pair.mean() for pair in pairs if pair.size]
    if not together or share == 0:
        return False
    return (np.mean(together) / share - share) / (1 - share) > STROKES


def fill_smoothly(plane, seen):
    """Averages of ever larger squares, handed down to where nothing finer is known."""
    if seen.all():
        return plane
    sums, counts = halved(np.where(seen, plane, 0)), halved(seen.astype(np.uint8))
    coarse = fill_smoothly(sums / np.maximum(counts, 1, dtype=np.float32), counts > 0)
    for axis in (0, 1):
        coarse = twice_as_long(coarse, axis)[: plane.shape[0], : plane.shape[1]]
    return np.where(seen, plane, coarse)


def halved(a):
    """The sums of squares of two by two; sums of two numbers have but one order."""
    for axis in (0, 1):
        if a.shape[axis] % 2:
            a = np.pad(a, [(0, int(at == axis)) for at in (0, 1)])
        a = a[0::2] + a[1::2] if axis == 0 else a[:, 0::2] + a[:, 1::2]
    return a


def twice_as_long(a, axis):
    """Linear interpolation to twice as many points."""
    a = np.moveaxis(a, axis, 0)
    wider = np.concatenate([a[:1], a, a[-1:]])
    out = np.empty((2 * len(a), *a.shape[1:]), np.float32)
    middle = np.float32(0.75) * a
    out[0::2] = middle + np.float32(0.25) * wider[:-2]
    out[1::2] = middle + np.float32(0.25) * wider[2:]
    return np.moveaxis(out, 0, axis)


def orthonormal(v):
    for a in range(len(v)):
        for b in range(a):
            v[a] -= (v[a] @ v[b]) * v[b]
        length = np.sqrt(v[a] @ v[a])
        v[a] *= 1 / length if length > 1e-20 else 0
    return v


def expect(Y, seen, V, variance):
    """Scores of every row, and their covariances."""
    A = variance * np.eye(len(V)) + (seen[:, None] * V) @ V.T
    U = np.linalg.solve(A, ((seen * Y) @ V.T)[..., None])[..., 0]
    return U, variance * np.linalg.inv(A)


def complete(rows, seen, directions, noise=0):
    """A group of patches: what it says of every place, and the variance of that."""
    n, places = rows.shape
    factors = min(directions, places - 1, n - 1)
    mean = rows.mean(axis=0)
    Y = rows - mean
    draws = (np.arange(factors)[:, None] * 64 + np.arange(n) + 1) * 2654435769 % 2**32
    scores = np.where(draws >= 2**31, 1.0, -1.0)
    for _ in range(4):
        V = orthonormal(scores @ Y)
        scores = V @ Y.T
    kept = (scores**2).sum(axis=1)
    if noise > 0:
        enough = np.sqrt(kept[1:]) > noise * (np.sqrt(n) + np.sqrt(places))
        factors = 1 + (factors - 1 if enough.all() else int(np.argmin(enough)))
        V, kept = V[:factors], kept[:factors]
    left = ((Y**2).sum() - kept.sum()) / (n * (places - factors))
    variance = max(left, LEAST_VARIANCE)
    V = V * np.sqrt(kept / n)[:, None]
    U, C = expect(Y, seen, V, variance)
    shift = (seen * (Y - U @ V)).sum(axis=0) / (seen.sum(axis=0) + 0.5)
    Y = Y - shift
    known = seen.astype(float)
    C = np.tensordot(known.T, C, 1)  # of a place: the sum over the rows that are known there
    A = np.tensordot(known.T, U[:, :, None] * U[:, None], 1) + C + variance * np.eye(factors)
    V = np.linalg.solve(A, ((known * Y).T @ U)[..., None])[..., 0].T
    squares = (known * (Y - U @ V) ** 2).sum() + (V.T[:, None] @ C @ V.T[..., None]).sum()
    variance = max(squares / seen.sum(), LEAST_VARIANCE)
    U, C = expect(Y, seen, V, variance)
    spread = ((V.T @ C) * V.T).sum(axis=2)
    return mean + shift + U @ V, variance + 1e-6 + ~seen * spread


def by_patches(planes, seen, size, directions, enough=0, threshold=0, turn=0, side=None):
    """One pass over planes (channels, frames, height, width).

    A group begins where fewer than `enough` patches have spoken of some hole. Odd turns scan from
    the last row and frame on, and from the second turn on from the right. The threshold is meant
    for patches of `side` rows and columns, and of three planes if there are more than one.
    """
    channels, frames, height, width = planes.shape
    deep = min(DEEP, frames)
    reach, reach_deep, band = (
        (REACH, 0, BAND) if frames == 1 else (REACH_FRAMES, REACH_DEEP, BAND_FRAMES)
    )
    root = (side or size) * (np.sqrt(3) if channels * deep > 1 else 1)
    noise = threshold / (np.sqrt(SIMILAR) + root)
    # Turned instead of scanned in another order.
    axes = ((1, 2) if turn % 2 else ()) + ((3,) if turn // 2 else ())
    planes, seen = np.flip(planes, axes), np.flip(seen, axes)
    total, weight, counts = np.zeros((3, *planes.shape))
    shape = (frames - deep + 1, height - size + 1, width - size + 1)
    covered = np.zeros(shape, bool)

    def patches(a):
        """Each patch as a row: (firsts, tops, lefts, channels times places)."""
        views = np.lib.stride_tricks.sliding_window_view(a, (deep, size, size), (1, 2, 3))
        return np.moveaxis(views, 0, 3).reshape(*shape, -1)

    values, known = patches(planes), patches(seen)
    whole = known.all(axis=3)

    def box(first, top, left):
        return (slice(None), slice(first, first + deep), slice(top, top + size),
                slice(left, left + size))  # fmt: skip

    bands = [range(top, min(top + band, shape[1])) for top in range(0, shape[1], band)]
    for rows in bands[0::2] + bands[1::2]:
        for top, first, left in itertools.product(rows, range(shape[0]), range(shape[2])):
            at = (first, top, left)
            if covered[at] or whole[at]:
                continue
            own_box = box(*at)
            if enough and not (counts[own_box] < enough)[~seen[own_box]].any():
                continue
            near = tuple(
                slice(max(0, i - far), i + far + 1)
                for i, far in zip(at, (reach_deep, reach, reach), strict=True)
            )
            distances = ((values[near] - values[at]) ** 2).sum(axis=3)
            # By rows, frames and columns; itself first, those behind it, and those before.
            own = [i - part.start for i, part in zip(at, near, strict=True)]
            distances = np.moveaxis(distances, 1, 0)
            start = np.ravel_multi_index((own[1], own[0], own[2]), distances.shape)
            order = np.roll(np.arange(distances.size), -start)
            best = np.argsort(distances.ravel()[order], kind="stable")[:SIMILAR]
            found = np.unravel_index(order[np.sort(best)], distances.shape)
            found = tuple(found[i] + near[j].start for i, j in ((1, 0), (0, 1), (2, 2)))
            covered[found] = True
            if len(found[0]) < 2:
                continue
            made, variance = complete(values[found], known[found], directions, noise)
            for place, row, trust in zip(zip(*found, strict=True), made, 1 / variance, strict=True):
                here = box(*place)
                total[here] += (row * trust).reshape(total[here].shape)
                weight[here] += trust.reshape(total[here].shape)
                counts[here] += 1
    made = np.where(weight > 0, total / np.where(weight > 0, weight, 1), planes)
    return np.flip(made, axes)


def twice_as_large(n_coarse, n):
    """The matrix of bicubic interpolation (a = -3/4) of a side."""
    matrix = np.zeros((n, n_coarse))
    for i in range(n):
        centre = (i + 0.5) / 2 - 0.5
        for at in range(int(np.floor(centre)) - 1, int(np.floor(centre)) + 3):
            d = abs(centre - at)
            near = 1.25 * d**3 - 2.25 * d**2 + 1
            by = near if d <= 1 else -0.75 * (d**3 - 5 * d**2 + 8 * d - 4)
            matrix[i, min(max(at, 0), n_coarse - 1)] += by
    return matrix


def smoothest(plane, seen):
    """The fill with the least sum of squared Laplacians, edges reflected."""
    height, width = plane.shape
    at = np.arange(plane.size).reshape(plane.shape)
    bend = np.zeros((plane.size, plane.size))
    for axis, n in enumerate((height, width)):
        for step in (-1, 1):
            other = np.take(at, np.clip(np.arange(n) + step, 0, n - 1), axis)
            np.add.at(bend, (at.ravel(), other.ravel()), 1)
            np.add.at(bend, (at.ravel(), at.ravel()), -1)
    hole = ~seen.ravel()
    known = bend[:, ~hole] @ plane[seen]
    out = plane.astype(float).copy()
    out[~seen] = np.linalg.lstsq(bend[:, hole], -known, rcond=None)[0]
    return out
