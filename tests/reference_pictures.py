"""The slow oracle for pictures, in plain NumPy.

Nothing is shared with the core but the random numbers of the start (reference.py). Tiles and
patches are in double precision where the core works in single, so its answers are close, not
equal. What is said of masks, and the smooth fill, are equal.
"""

from __future__ import annotations

import numpy as np
from reference import noise, stream_seed

TILE, STEP, TILE_START = 16, 8, 6
RIDGE, SMOOTH, SMOOTH_DENSE = 0.01, 0.1, 0.03
REACH, SIMILAR, LEAST_VARIANCE = 10, 60, 1e-5
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


def wide_holes(seen):
    """The pixels in squares of WIDE by WIDE where nothing is seen, nor beyond the edge."""
    hidden = np.pad(~seen, WIDE - 1, constant_values=True)
    wide = np.zeros_like(hidden)
    for top in range(WIDE // 2, WIDE // 2 + seen.shape[0]):
        for left in range(WIDE // 2, WIDE // 2 + seen.shape[1]):
            square = (slice(top, top + WIDE), slice(left, left + WIDE))
            wide[square] |= hidden[square].all()
    return wide[WIDE - 1 : 1 - WIDE, WIDE - 1 : 1 - WIDE]


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


def complete(rows, seen, factors):
    """A group of patches: what it says of every place, and the variance of that."""
    n, places = rows.shape
    mean = rows.mean(axis=0)
    Y = rows - mean
    draws = (np.arange(factors)[:, None] * 64 + np.arange(n) + 1) * 2654435769 % 2**32
    scores = np.where(draws >= 2**31, 1.0, -1.0)
    for _ in range(4):
        V = orthonormal(scores @ Y)
        scores = V @ Y.T
    kept = (scores**2).sum(axis=1)
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


def by_patches(planes, seen, size, factors):
    """One pass over planes (channels, height, width) of up to one band."""
    channels, height, width = planes.shape
    total, weight = np.zeros((2, *planes.shape))
    tops, lefts = height - size + 1, width - size + 1
    covered = np.zeros((tops, lefts), bool)

    def patches(a):
        """Each patch as a row: (tops, lefts, channels times places)."""
        views = np.lib.stride_tricks.sliding_window_view(a, (size, size), (1, 2))
        return np.moveaxis(views, 0, 2).reshape(tops, lefts, -1)

    values, known = patches(planes), patches(seen)
    whole = known.all(axis=2)
    for top in range(tops):
        for left in range(lefts):
            if covered[top, left] or whole[top, left]:
                continue
            rows = slice(max(0, top - REACH), top + REACH + 1)
            cols = slice(max(0, left - REACH), left + REACH + 1)
            distances = ((values[rows, cols] - values[top, left]) ** 2).sum(axis=2)
            # Itself first, then those behind it, then those before.
            own = np.ravel_multi_index((top - rows.start, left - cols.start), distances.shape)
            order = np.roll(np.arange(distances.size), -own)
            best = np.argsort(distances.ravel()[order], kind="stable")[:SIMILAR]
            near = np.unravel_index(order[np.sort(best)], distances.shape)
            near = near[0] + rows.start, near[1] + cols.start
            covered[near] = True
            made, variance = complete(values[near], known[near], factors)
            for y, x, row, trust in zip(*near, made, 1 / variance, strict=True):
                box = (slice(None), slice(y, y + size), slice(x, x + size))
                total[box] += (row * trust).reshape(channels, size, size)
                weight[box] += trust.reshape(channels, size, size)
    return np.where(weight > 0, total / np.where(weight > 0, weight, 1), planes)
