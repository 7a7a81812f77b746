"""The slow oracle: the papers' letters in plain Python and NumPy, nothing shared with the core.

It makes the same random numbers, cut, start and steps, in the same order, so in both
precisions its answer is equal to the core's to the bit, not merely close.
"""

from __future__ import annotations

import itertools
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


ROW_ORDER, COL_ORDER, ROW_START, COL_START, HELD_OUT, FOLD, SEARCH = 1, 2, 3, 4, 5, 7, 8


def stream_seed(seed, purpose):
    return stream(mixed(seed), purpose)


def is_held_out(seed, place, share, purpose=HELD_OUT):
    """Whether a share for validation takes the entry at row * n_cols + column."""
    return stream(stream_seed(seed, purpose), place) >> 11 < int(share * 2**53)


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


def add_up(numbers):
    """From left to right, whatever `sum` does."""
    total = 0.0
    for number in numbers:
        total += number
    return total


def weight_steps(weights):
    """Whole steps of a 2^-28th of the largest weight."""
    largest = max(weights)
    return [round(w / largest * 2**28) for w in weights]


def total_of(products):
    """Products of two whole numbers, added up in three digits of 28 bits."""
    digits = [0, 0, 0]
    for a, b in products:
        high, low = (a >> 28) * b, (a & 0xFFFFFFF) * b
        digits[0] += low & 0xFFFFFFF
        digits[1] += (low >> 28) + (high & 0xFFFFFFF)
        digits[2] += high >> 28
    return (float(digits[2]) * 2.0**28 + float(digits[1])) * 2.0**28 + float(digits[0])


def statistics(values, weights=None):
    """Mean and deviation by weight, in whole steps of a 2^-28th of the range."""
    low, high = min(values), max(values)
    mean, deviation = low, abs(low) * 2.0**-20 or 1.0
    scale = 2.0**28 / (high - low) if low < high else math.inf
    if scale > 1e300:
        return mean, deviation
    steps = [int((v - low) * scale + 0.5) for v in values]
    of_weights = [1] * len(values) if weights is None else weight_steps(weights)
    n = float(sum(of_weights))
    above = total_of(zip(steps, of_weights, strict=True)) / n
    square = total_of((s * s, w) for s, w in zip(steps, of_weights, strict=True)) / n - above**2
    return low + above / scale, math.sqrt(square) / scale if square > 0 else deviation


def padded(k):
    return -(-k // 16) * 16


def bands_of(shape, n_cells, k, itemsize):
    """Bands of rows and of columns: columns of a band within 4 MB unless rows have less than
    eight cells a band, at least 8 bands, 512 cells a block; rows within 8 MB where they are
    beyond 16."""
    sizes = [n * padded(k) * itemsize for n in shape]
    bands = max(8, min(256, sizes[1] // 2**22 + 1, max(8, n_cells // (8 * shape[0]))))
    while (bands + 1) ** 2 * 2**18 <= n_cells and (bands + 1) * 8 * shape[0] <= n_cells:
        bands += 1
    bands = min(256, bands)
    while bands > 1 and bands * bands * 512 > n_cells:
        bands -= 1
    bands = max(1, min(bands, *shape))
    groups = 1
    if sizes[0] > bands * 2**24:
        parts = min(256, sizes[0] // 2**23 + 1)
        groups = max(1, min(-(-parts // bands), 256 // bands, n_cells // (bands**2 * 512)))
    return groups * bands, bands


def cut_evenly(order, counts, n_cells, bands):
    cuts, at, cells = [0], 0, 0
    for band in range(1, bands):
        while at < len(order) and cells * bands < n_cells * band:
            cells += counts[order[at]]
            at += 1
        cuts.append(at)
    return [*cuts, len(order)]


def runs_of(cells):
    """Consecutive cells of one block and row, within a page of 65,536 columns."""
    by_run = itertools.groupby(cells, lambda cell: (cell[0], cell[1], cell[2] >> 16))
    for run in (list(run) for _, run in by_run):
        yield from (run[i : i + 65536] for i in range(0, len(run), 65536))


def in_order_of_training(cells):
    """The runs of every block: whole groups of four, of each 256 runs the longest first (from 256
    cells on they count as equal), and the loose cells beyond.  Each with its block."""
    for block, own in itertools.groupby(cells, lambda cell: cell[0]):
        runs = list(runs_of(own))
        whole = [run[: len(run) // 4 * 4] for run in runs if len(run) >= 4]
        for i in range(0, len(whole), 256):
            for run in sorted(whole[i : i + 256], key=lambda run: -(min(len(run), 256) // 4)):
                yield block, run
        for run in runs:
            for cell in run[len(run) // 4 * 4 :]:
                yield block, [cell]


def thinned(runs, takes):
    """What is left of every block's runs: whole groups, then what is loose of each of them."""
    for block, own in itertools.groupby(runs, lambda run: run[0]):
        left = [[cell for cell in run if takes(cell)] for _, run in own]
        yield from ((block, run[: len(run) // 4 * 4]) for run in left if len(run) >= 4)
        yield from ((block, [cell]) for run in left for cell in run[len(run) // 4 * 4 :])


def steps_of(runs, width, group):
    """Groups of cells whose errors are taken at once, and whether they are loose."""
    for _, own in itertools.groupby(runs, lambda run: run[0]):
        own = [run for _, run in own]
        if group == 1:
            yield from (([cell], False) for run in own for cell in run)
            continue
        whole = [[run[i : i + 8] for i in range(0, len(run), 8)] for run in own if len(run) > 1]
        at_once = 2 if width <= 32 else 1
        for i in range(0, len(whole), at_once):  # by turns
            for turn in itertools.zip_longest(*whole[i : i + at_once], fillvalue=None):
                yield from ((step, False) for step in turn if step)
        loose = [run[0] for run in own if len(run) == 1]
        n = len(loose) // 8 * 8
        yield from ((loose[i : i + 8], True) for i in range(0, n, 8))
        yield from (([cell], False) for cell in loose[n:])


def dot(a, b):
    """Sixteen lanes, then 16 -> 8 -> 4 -> 2 -> 1; of rows with rows, or one row with each."""
    lanes = a[..., :16] * b[..., :16]
    for f in range(16, a.shape[-1], 16):
        lanes = lanes + a[..., f : f + 16] * b[..., f : f + 16]
    while lanes.shape[-1] > 1:
        half = lanes.shape[-1] // 2
        lanes = lanes[..., :half] + lanes[..., half:]
    return lanes[..., 0]


def tree_sum(terms):
    """Neighbours first: ((0 + 1) + (2 + 3)) + ((4 + 5) + (6 + 7)), what is missing left out."""
    terms = list(terms)
    apart = 1
    while apart < 8:
        for g in range(0, len(terms) - apart, 2 * apart):
            terms[g] = terms[g] + terms[g + apart]
        apart *= 2
    return terms[0]


HEAVIEST = 4  # weight in a step


# ---------------------------------------------------------------- losses, as loss.h has them

LOG_2 = {np.float32: (0.693359375, -2.12194440e-4), np.float64: (0.6931471803691238,
         1.9082149292705877e-10)}  # fmt: skip


def power(a):
    """e^a: the nearest whole power of two, and a Taylor series."""
    real = a.dtype.type
    terms, magic, least, largest = (
        (7, 12582912.0, -87, 88) if real == np.float32 else (13, 6755399441055744.0, -708, 709)
    )
    a = np.clip(a, real(least), real(largest))
    n = a * real(1.44269504088896340736) + real(magic) - real(magic)
    high, low = (real(part) for part in LOG_2[real])
    r = a - n * high - n * low
    total = np.full_like(r, real(1 / math.factorial(terms)))
    for d in range(terms - 1, 1, -1):
        total = total * r + real(1 / math.factorial(d))
    return np.ldexp(total * r * r + r + real(1), n.astype(int))


def log_ratio(z):
    """log((1 + z) / (1 - z))."""
    real = z.dtype.type
    last = 15 if real == np.float32 else 33
    w = z * z
    total = np.full_like(z, real(2 / last))
    for d in range(last - 2, 1, -2):
        total = total * w + real(2 / d)
    return z * real(2) + z * w * total


def chance(score):
    """1 / (1 + e^-score), and log(1 + e^-|score|)."""
    one, two = score.dtype.type(1), score.dtype.type(2)
    small = power(-np.abs(score))
    likely = one / (one + small)
    return np.where(score > 0, likely, small * likely), log_ratio(small / (small + two))


def pull(loss, value, score, bound):
    """How hard values pull at scores, and what they cost."""
    real = value.dtype.type
    bound, error = real(bound), value - score
    if loss == "squared":
        return error, error * error
    if loss == "absolute":
        return np.sign(error), np.abs(error)
    if loss == "huber":
        inner = np.minimum(np.abs(error), bound)
        return np.clip(error, -bound, bound), inner * (np.abs(error) - inner * real(0.5))
    if loss == "logistic":
        made, rest = chance(score)
        return value - made, rest + (np.maximum(score, 0) - value * score)
    made = power(score)
    pulls = np.minimum((value - made) / (made * bound + real(1)), real(1) / bound)
    return pulls, made - value * score


# ---------------------------------------------------------------- training


class Reference:
    """What funkc.factorize answers, computed slowly from rows, cols and values."""

    def __init__(self, rows, cols, values, shape, k, *, dtype=np.float32, seed=0, offset=None,
                 below=2, tiles=None, weights=None, nonnegative=False, bands=None):  # fmt: skip
        rows, cols = [int(i) for i in rows], [int(j) for j in cols]
        values = [float(v) for v in values]
        m, n = shape
        self.dtype, self.k = dtype, k
        self.seed, self.nonnegative = seed, nonnegative
        self.mean, self.deviation = statistics(values, weights)
        self.offset = self.mean - below * self.deviation if offset is None else offset
        weights = [1.0] * len(values) if weights is None else [float(w) for w in weights]
        scale = len(weights) * 2.0**28 / sum(weight_steps(weights)) / max(weights)

        if tiles is None:
            self.row_order = permutation(m, stream_seed(seed, ROW_ORDER))
            self.col_order = permutation(n, stream_seed(seed, COL_ORDER))
            bands = bands or bands_of(shape, len(values), k, np.dtype(dtype).itemsize)
            row_cuts = cut_evenly(
                self.row_order, np.bincount(rows, minlength=m), len(values), bands[0]
            )
            col_cuts = cut_evenly(
                self.col_order, np.bincount(cols, minlength=n), len(values), bands[1]
            )
        else:
            self.row_order, self.col_order = list(range(m)), list(range(n))
            row_cuts, col_cuts = tiles
        bands = len(col_cuts) - 1
        row_at, col_at = np.argsort(self.row_order), np.argsort(self.col_order)
        row_band = np.searchsorted(row_cuts, row_at, side="right") - 1
        col_band = np.searchsorted(col_cuts, col_at, side="right") - 1
        # (group, wave, place) numbers a block; within it by row, then by column, of the order.
        cells = sorted(
            (
                int(row_band[i] // bands) * bands**2
                + int((col_band[j] - row_band[i]) % bands) * bands
                + int(row_band[i] % bands),
                int(row_at[i]),
                int(col_at[j] - col_cuts[col_band[j]]),
                int(col_at[j]),
                dtype(v - self.offset),
                dtype(w * scale),
            )
            for i, j, v, w in zip(rows, cols, values, weights, strict=True)
        )
        self.put(in_order_of_training(cells))
        self.shape = shape
        self.begin(self.mean - self.offset, self.deviation)

    def put(self, runs):
        """The cells to train on."""
        self.runs = list(runs)
        self.cells = [cell for _, run in self.runs for cell in run]
        self.n_cells = len(self.cells)

    def begin(self, level, deviation):
        """The tiny start: products of some level, and noise by a deviation."""
        sides = self.row_order, self.col_order
        signs, streams = (1, -1 if level < 0 else 1), (ROW_START, COL_START)
        spread = 0.05 / math.sqrt(self.k) * math.sqrt(deviation)
        self.x, self.y = (
            self._start(order, stream_seed(self.seed, stream), math.sqrt(abs(level)), spread, sign)
            for order, stream, sign in zip(sides, streams, signs, strict=True)
        )

    def _start(self, order, seed, level, spread, sign):
        out = np.zeros((len(order), padded(self.k)), self.dtype)
        for at, i in enumerate(order):
            for f in range(self.k):
                number = float(self.dtype(spread * noise(seed, i * self.k + f)))
                number = abs(number) if self.nonnegative else number
                out[at, f] = sign * (number if f else level + number)
        return out

    def _constrain(self, x):
        """Factors not below 0."""
        return np.maximum(x, 0) if self.nonnegative else x

    def train(self, rates, regularization, group=8, bases=None, loss="squared", delta=0.0):
        """Returns the training error of every epoch (of another loss than the squared one, its
        sum); row and column bases are taken off first."""
        real = self.dtype
        errors = []
        for rate in rates:
            squares = 0.0
            bound = delta * rate if loss == "poisson" else delta
            keep_col = real(1 - rate * regularization[1])
            for cells, loose in steps_of(self.runs, self.x.shape[1], group):
                rows, js = ([cell[at] for cell in cells] for at in (1, 3))
                r, weights = (np.array([cell[at] for cell in cells]) for at in (4, 5))
                score = dot(self.x[rows], self.y[js])
                base = bases[0][rows] + bases[1][js] if bases is not None else None
                if loss != "squared":
                    score = score if base is None else score + base
                    e, costs = pull(loss, r, score, bound)
                    squares += add_up(weights.astype(float) * costs.astype(float))
                else:
                    e = (r if base is None else r - base) - score
                    squares += add_up(weights.astype(float) * e.astype(float) ** 2)
                moves = real(rate) * e * np.minimum(weights, real(HEAVIEST))
                if loose:
                    for i, j, move in zip(rows, js, moves, strict=True):
                        x, y = self.x[i].copy(), self.y[j].copy()
                        keep_row = real(1 - rate * regularization[0])
                        self.x[i] = self._constrain(x * keep_row + move * y)
                        self.y[j] = self._constrain(y * keep_col + move * x)
                    continue
                x, y, move = self.x[rows[0]].copy(), self.y[js], moves[:, None]
                keep_row = real(1 - rate * regularization[0] * len(cells))
                self.x[rows[0]] = self._constrain(x * keep_row + tree_sum(move * y))
                self.y[js] = self._constrain(y * keep_col + move * x)
            errors.append(squares if loss != "squared" else math.sqrt(squares / self.n_cells))
        return errors

    def seen(self):
        """Positions of rows and columns that have entries."""
        return [sorted({cell[at] for cell in self.cells}) for at in (1, 3)]

    def fill(self, *biases):
        """Rows and columns without entries get the mean of the others."""
        sides = zip((self.x, self.y), *([biases] if biases else []), strict=True)
        for seen, side in zip(self.seen(), sides, strict=True):
            for numbers in side:
                mean = add_up(numbers[at].astype(float) for at in seen) / len(seen)
                numbers[np.setdiff1d(np.arange(len(numbers)), seen)] = mean

    def handed_out(self, by_row, by_col):
        """In the caller's order."""
        out = []
        for order, numbers in ((self.row_order, by_row), (self.col_order, by_col)):
            back = np.empty_like(numbers)
            back[order] = numbers
            out.append(back)
        return out

    def factors(self):
        return self.handed_out(self.x[:, : self.k], self.y[:, : self.k])


def root(z, n):
    """The n-th root, of 1 if z is below, by Newton's steps from above."""
    x = max(z, 1.0)
    while True:
        power = x
        for _ in range(n - 2):
            power = power * x
        less = ((n - 1) * x + z / power) / n
        if not less < x:
            return x
        x = less


def default_settings(oracle, n_epochs=None):
    """Rates of all epochs and regularization without biases, as the documentation gives them."""
    level = oracle.mean - oracle.offset
    longer = how_long(oracle.n_cells, oracle.shape)
    return settings(oracle.deviation, level, longer, 0.03 * oracle.deviation, n_epochs)


def how_long(n, shape):
    places = float(shape[0]) * float(shape[1])
    if n >= 1e5:
        return 1.0
    return max(1.0, min(root(1e5 / n, 3), 1 + n / math.sqrt(places) / 8 + 20 * n / places))


def settings(deviation, level, longer, regularization, n_epochs=None):
    n_epochs = n_epochs or math.ceil(20 * longer)
    rate = min(0.6 * longer / (n_epochs * deviation), 0.12 / max(2 * deviation, abs(level)))
    return [rate * (1 - e / n_epochs) for e in range(n_epochs)], (regularization,) * 2


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
    k, spread = factors.shape[1], covariance.diagonal()
    covariance = covariance + 1e-6 * np.diag(np.r_[np.full(k, spread[:k].mean()), spread[k:]])
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
