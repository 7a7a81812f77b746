"""The slow oracle: the papers' letters in plain Python and NumPy, nothing shared with the core.

It makes the same random numbers, cut, start and steps, in the same order, so in both
precisions its answer is equal to the core's to the bit, not merely close.
"""

from __future__ import annotations

import math

import numpy as np

U64 = 2**64 - 1


def mixed(z):
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & U64
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & U64
    return z ^ (z >> 31)


def stream(seed, counter):
    """SplitMix64 read at place `counter`."""
    return mixed((seed + (counter + 1) * 0x9E3779B97F4A7C15) & U64)


ROW_ORDER, COL_ORDER, ROW_START, COL_START, HELD_OUT, FOLD = 1, 2, 3, 4, 5, 7


def stream_seed(seed, purpose):
    return stream(mixed(seed), purpose)


def is_held_out(seed, place, share):
    """Whether a share for validation takes the entry at row * n_cols + column."""
    return stream(stream_seed(seed, HELD_OUT), place) >> 11 < int(share * 2**53)


def fold_of(seed, place, folds):
    """The fold of the entry at row * n_cols + column."""
    return ((stream(stream_seed(seed, FOLD), place) >> 32) * folds) >> 32


def noise(seed, counter):
    """Four 16-bit uniforms, shifted and scaled to mean 0 and variance 1."""
    bits = stream(seed, counter)
    total = sum((bits >> shift) & 0xFFFF for shift in (0, 16, 32, 48))
    return (total - 131070) * (math.sqrt(3) / 65536)


def permutation(n, seed):
    """Fisher-Yates: the rows (or columns) in the order of training."""
    order = list(range(n))
    for i in range(n - 1, 0, -1):
        j = ((stream(seed, i) >> 32) * (i + 1)) >> 32
        order[i], order[j] = order[j], order[i]
    return order


def statistics(values):
    """Mean and deviation, added up in whole steps of a 2^-28th of the range."""
    low, high = min(values), max(values)
    if low == high:
        return low, abs(low) * 2.0**-20 or 1.0
    scale = 2.0**28 / (high - low)
    steps = [int((v - low) * scale + 0.5) for v in values]
    mean = sum(steps) / len(steps)
    squares = sum(s * s >> 28 for s in steps) * 2.0**28 + sum(s * s & (2**28 - 1) for s in steps)
    square = squares / len(steps) - mean * mean
    return low + mean / scale, math.sqrt(square) / scale if square > 0 else 1.0


def padded(k):
    return -(-k // 16) * 16


def bands_of(shape, n_cells, k, itemsize):
    """Columns of a band within two megabytes, at least 8 bands, 512 cells a block."""
    size = shape[1] * padded(k) * itemsize
    bands = 8 if size <= 8 * 2**21 else min(256, size // 2**21 + 1)
    while (bands + 1) ** 2 * 2**18 <= n_cells and (bands + 1) * 8 * shape[0] <= n_cells:
        bands += 1
    bands = min(256, bands)
    while bands > 1 and bands * bands * 512 > n_cells:
        bands -= 1
    return max(1, min(bands, *shape))


def cut_evenly(order, counts, n_cells, bands):
    cuts, at, cells = [0], 0, 0
    for band in range(1, bands):
        while at < len(order) and cells * bands < n_cells * band:
            cells += counts[order[at]]
            at += 1
        cuts.append(at)
    return [*cuts, len(order)]


def runs_of(cells, group):
    """Consecutive cells of one row, within a page of 65,536 columns, in groups."""
    run = []
    for cell in cells:
        if run and (
            cell[1] != run[-1][1] or cell[2] >> 16 != run[-1][2] >> 16 or len(run) == 65536
        ):
            yield from (run[i : i + group] for i in range(0, len(run), group))
            run = []
        run.append(cell)
    yield from (run[i : i + group] for i in range(0, len(run), group))


def dot(a, b):
    """Sixteen lanes, then 16 -> 8 -> 4 -> 2 -> 1."""
    lanes = a[:16] * b[:16]
    for f in range(16, len(a), 16):
        lanes = lanes + a[f : f + 16] * b[f : f + 16]
    while len(lanes) > 1:
        half = len(lanes) // 2
        lanes = lanes[:half] + lanes[half:]
    return lanes[0]


def tree_sum(terms):
    """Neighbours first: ((0 + 1) + (2 + 3)) + ((4 + 5) + (6 + 7)), what is missing left out."""
    terms = list(terms)
    apart = 1
    while apart < 8:
        for g in range(0, len(terms) - apart, 2 * apart):
            terms[g] = terms[g] + terms[g + apart]
        apart *= 2
    return terms[0]


class Reference:
    """What funkc.factorize answers, computed slowly from rows, cols and values."""

    def __init__(self, rows, cols, values, shape, k, *, dtype=np.float32, seed=0, offset=None,
                 tiles=None, weights=None, biases=False, nonnegative=False):  # fmt: skip
        rows, cols = [int(i) for i in rows], [int(j) for j in cols]
        values = [float(v) for v in values]
        m, n = shape
        self.dtype, self.k = dtype, k
        self.biases, self.nonnegative = biases, nonnegative
        weights = [1.0] * len(values) if weights is None else [float(w) for w in weights]
        largest = max(weights)
        steps = sum(round(w / largest * 2**28) for w in weights)
        scale = len(weights) * 2.0**28 / steps / largest
        self.mean, self.deviation = statistics(values)
        self.offset = self.mean - 2 * self.deviation if offset is None else offset

        if tiles is None:
            self.row_order = permutation(m, stream_seed(seed, ROW_ORDER))
            self.col_order = permutation(n, stream_seed(seed, COL_ORDER))
            bands = bands_of(shape, len(values), k + 2 * biases, np.dtype(dtype).itemsize)
            row_cuts = cut_evenly(
                self.row_order, np.bincount(rows, minlength=m), len(values), bands
            )
            col_cuts = cut_evenly(
                self.col_order, np.bincount(cols, minlength=n), len(values), bands
            )
        else:
            self.row_order, self.col_order = list(range(m)), list(range(n))
            row_cuts, col_cuts = tiles
            bands = len(row_cuts) - 1
        row_at, col_at = np.argsort(self.row_order), np.argsort(self.col_order)
        row_band = np.searchsorted(row_cuts, row_at, side="right") - 1
        col_band = np.searchsorted(col_cuts, col_at, side="right") - 1
        # (wave, row band) numbers a block; within it by row, then by column, of the order.
        self.cells = sorted(
            (
                int((col_band[j] - row_band[i]) % bands) * bands + int(row_band[i]),
                int(row_at[i]),
                int(col_at[j] - col_cuts[col_band[j]]),
                int(col_at[j]),
                dtype(v - self.offset),
                dtype(w * scale),
            )
            for i, j, v, w in zip(rows, cols, values, weights, strict=True)
        )
        self.x = self._start(m, self.row_order, stream_seed(seed, ROW_START), sign=1)
        self.y = self._start(n, self.col_order, stream_seed(seed, COL_START), sign=-1)
        self.shape, self.n_cells = shape, len(values)

    def _start(self, n, order, seed, sign):
        above = self.mean - self.offset
        level = math.sqrt(abs(above)) * (sign if above < 0 else 1)
        spread = 0.05 / math.sqrt(self.k) * math.sqrt(self.deviation)
        out = np.zeros((n, padded(self.k + 2 * self.biases)), self.dtype)
        for at, i in enumerate(order):
            for f in range(self.k):
                out[at, f] = self.dtype(spread * noise(seed, i * self.k + f))
            if self.nonnegative:
                out[at] = np.abs(out[at])
            out[at, 0] = self.dtype(level + float(out[at, 0]))
        if self.biases:
            out[:, self.k + (sign > 0)] = 1
        return out

    def _constrain(self, x, one):
        """Factors not below 0; with biases, a row ends in [bias, 1] and a column in [1, bias]."""
        if self.nonnegative:
            x[: self.k] = np.maximum(x[: self.k], 0)
        if self.biases:
            x[self.k + one] = 1
        return x

    def train(self, rates, regularization, group=8):
        """Returns the training error of every epoch."""
        real = self.dtype
        errors = []
        for rate in rates:
            squares = 0.0
            keep_col = real(1 - rate * regularization[1])
            for cells in runs_of(self.cells, group):
                i = cells[0][1]
                x = self.x[i].copy()
                y = [self.y[j].copy() for _, _, _, j, _, _ in cells]
                e = [r - dot(x, yj) for (*_, r, _), yj in zip(cells, y, strict=True)]
                weights = [w for *_, w in cells]
                squares += sum(
                    float(w) * float(error) ** 2 for error, w in zip(e, weights, strict=True)
                )
                move = [real(rate) * error * w for error, w in zip(e, weights, strict=True)]
                pull = tree_sum(step * yj for step, yj in zip(move, y, strict=True))
                keep_row = real(1 - rate * regularization[0] * len(cells))
                self.x[i] = self._constrain(x * keep_row + pull, 1)
                for (_, _, _, j, _, _), step, yj in zip(cells, move, y, strict=True):
                    self.y[j] = self._constrain(yj * keep_col + step * x, 0)
            errors.append(math.sqrt(squares / self.n_cells))
        return errors

    def factors(self):
        out = []
        for order, x in ((self.row_order, self.x), (self.col_order, self.y)):
            back = np.empty((len(order), self.k + 2 * self.biases), self.dtype)
            back[order] = x[:, : self.k + 2 * self.biases]
            out.append(back)
        return out


def default_settings(oracle, n_epochs=None):
    """Rates of all epochs and regularization, as the documentation gives them."""
    n, places = oracle.n_cells, oracle.shape[0] * oracle.shape[1]
    capped = 1 + n / (8 * math.sqrt(places)) + 20 * n / places
    longer = max(1.0, min((1e5 / n) ** (1 / 3), capped))
    n_epochs = n_epochs or math.ceil(20 * longer)
    level = max(2 * oracle.deviation, abs(oracle.mean - oracle.offset))
    rate = min(0.6 * longer / (n_epochs * oracle.deviation), 0.12 / level)
    return [rate * (1 - e / n_epochs) for e in range(n_epochs)], (0.03 * oracle.deviation,) * 2


# ---------------------------------------------------------------- what is done with factors


def regression(features, targets, weights, centre, penalty):
    """Normal equations of one row: the matrix and the right side for x itself, in double."""
    matrix = (features * weights[:, None]).T @ features
    right = (features * weights[:, None]).T @ targets
    return matrix + penalty, right + penalty @ centre


def prior(fit, by_col=False):
    """Mean and covariance of the factors, and biases, of the rows (or columns) that were seen."""
    factors, bias = (fit.col_factors, fit.col_bias) if by_col else (fit.row_factors, fit.row_bias)
    own = (factors if bias is None else np.column_stack([factors, bias])).astype(float)
    centre, seen = own.mean(axis=0), fit.n_seen[by_col]
    covariance = (own - centre).T @ (own - centre) / max(1, seen - 1)
    covariance += 1e-6 * np.trace(covariance) / len(centre) * np.eye(len(centre))
    if seen < 2 * fit.k:
        covariance = np.diag(np.diag(covariance))
    return centre, covariance


def fold_in_systems(fit, cells, values, n, *, regularization=None, weights=None, by_col=False):
    """For each of n new rows (or columns): matrix, right side and the centre, or no matrix."""
    rows, cols = (np.asarray(side) for side in (cells[::-1] if by_col else cells))
    values = np.asarray(values, float)
    weights = np.ones(len(values)) if weights is None else np.asarray(weights, float)
    biases = (fit.row_bias, fit.col_bias)
    fixed = (fit.col_factors, fit.row_factors)[by_col].astype(float)
    base = np.full(len(fixed), fit.offset)
    if biases[0] is not None:
        base = base + biases[not by_col]
        fixed = np.column_stack([fixed, np.ones(len(fixed))])
    centre, covariance = prior(fit, by_col)
    for row in range(n):
        at = np.flatnonzero(rows == row)
        if not at.size:
            yield None, None, centre
            continue
        targets = values[at] - base[cols[at]]
        own_weights = weights[at] / weights[at].mean()
        if regularization is None:
            penalty = fit.noise**2 * np.linalg.inv(covariance)
        else:
            penalty = regularization * len(at) * np.eye(len(centre))
        yield *regression(fixed[cols[at]], targets, own_weights, centre, penalty), centre


def fold_in(*args, **options):
    """Factors of the new rows (or columns), and in a last column their biases if there are any."""
    systems = fold_in_systems(*args, **options)
    return np.array([c if A is None else np.linalg.solve(A, b) for A, b, c in systems])


def top(scores, n, hidden):
    """The n best columns of every row of scores, the first of equal ones first."""
    cols = np.full((len(scores), n), -1)
    best = np.full((len(scores), n), -np.inf, scores.dtype)
    for row, (line, out) in enumerate(zip(scores, hidden, strict=True)):
        order = np.argsort(-line, kind="stable")
        order = order[~out[order]][:n]
        cols[row, : order.size] = order
        best[row, : order.size] = line[order]
    return cols, best
