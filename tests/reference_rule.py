"""The default rule in plain Python: biases by empirical Bayes, and what follows from them.

As in reference.py, every sum is taken in the order of the core, so that answers are equal to the
bit: rows and columns are added up in double, run by run, in the order of training.
"""

from __future__ import annotations

import copy
import itertools
import math
from types import SimpleNamespace

import numpy as np
import reference
from reference import add_up

MOST_TURNS, REFIT_TURNS, MOST_STAGES = 20, 2, 12


class Biases:
    """Level, row and column biases beside the offset of a `reference.Reference`."""

    def __init__(self, oracle, held=False):
        self.oracle, self.held = oracle, held
        self.level, self.rows, self.cols = 0.0, *(np.zeros(n) for n in oracle.shape)
        self.blocks = [
            [run for _, run in own] for _, own in itertools.groupby(oracle.runs, lambda run: run[0])
        ]

    def targets(self, run, products):
        """Columns, targets less the products, and weights of a run, in double."""
        js = [cell[3] for cell in run]
        t, w = (np.array([float(cell[at]) for cell in run]) for at in (4, 5))
        if products:
            t = t - reference.dot(self.oracle.x[run[0][1]], self.oracle.y[js]).astype(float)
        return js, t, w

    def take_sums(self, products):
        m, n = self.oracle.shape
        self.row_sums, self.col_sums = np.zeros(m), np.zeros(n)
        self.row_weights, self.col_weights = np.zeros(m), np.zeros(n)
        squares = 0.0
        for block in self.blocks:
            of_block = 0.0
            for run in block:
                js, t, w = self.targets(run, products)
                self.row_sums[run[0][1]] += add_up(w * t)
                self.row_weights[run[0][1]] += add_up(w)
                self.col_sums[js] += w * t
                self.col_weights[js] += w
                for square in w * t * t:
                    of_block += square
            squares += of_block
        total, self.weight = add_up(self.row_sums), add_up(self.row_weights)
        self.level = 0.0 if self.held else total / self.weight
        spread = squares - self.level * (2 * total - self.weight * self.level)
        self.spread = max(spread / self.weight, 0.0)
        self.row_sums -= self.row_weights * self.level
        self.col_sums -= self.col_weights * self.level
        self.moved = 0.0

    def met(self, to_rows):
        """By row, the weighted biases of the columns that it meets; or the other way round."""
        out = np.zeros(self.oracle.shape[not to_rows])
        for block in self.blocks:
            for run in block:
                i, js, w = run[0][1], [c[3] for c in run], np.array([float(c[5]) for c in run])
                if to_rows:
                    out[i] += add_up(w * self.cols[js])
                else:
                    out[js] += w * self.rows[i]
        return out

    def moments(self, products):
        """Sums of w e^2, w e, w u and w e u, with u the product of an entry's biases."""
        total = np.zeros(4)
        for block in self.blocks:
            of_block = np.zeros(4)
            for run in block:
                i = run[0][1]
                js, t, w = self.targets(run, products=False)
                e = t - self.level - self.rows[i] - self.cols[js]
                if products:
                    e = e - reference.dot(self.oracle.x[i], self.oracle.y[js]).astype(float)
                u = self.rows[i] * self.cols[js]
                for terms in np.stack([w * e * e, w * e, w * u, w * e * u], axis=1):
                    of_block += terms
            total += of_block
        return total

    def side(self, to_rows, variance):
        """One side's biases given the other's, their variances, and what the other's leave."""
        sums, weights = (
            (self.row_sums, self.row_weights) if to_rows else (self.col_sums, self.col_weights)
        )
        left = sums - weights * self.moved - self.met(to_rows)
        variances = 1 / (1 / variance + weights / self.noise)
        biases = variances / self.noise * left
        seen = weights > 0
        mean = add_up((biases * biases + variances)[seen]) / seen.sum()
        return biases, weights, sums, left, add_up(weights * variances), mean

    def turn(self):
        """Whether another one is worth it."""
        if not self.spread > 0:
            return False
        before = self.noise, *self.variances
        squares = self.weight * (self.spread + self.moved * self.moved)
        self.cols, w, sums, _, uncertain, of_cols = self.side(False, self.variances[1])
        for term in self.cols * (w * self.cols - 2 * (sums - w * self.moved)):
            squares += term
        self.rows, w, _, left, more, of_rows = self.side(True, self.variances[0])
        for term in self.rows * (w * self.rows - 2 * left):
            squares += term
        if not self.held:
            errors = add_up(left - w * self.rows)
            squares -= errors * errors / self.weight
            self.moved += errors / self.weight
        least = 1e-9 * self.spread
        self.noise = max((squares + (uncertain + more)) / self.weight, least)
        self.variances = max(of_rows, least), max(of_cols, least)
        return not all(
            abs(now / then - 1) < 1e-2
            for now, then in zip((self.noise, *self.variances), before, strict=True)
        )

    def fit(self, products=False):
        """By empirical Bayes."""
        self.take_sums(products)
        self.rows[:] = self.cols[:] = 0.0
        self.noise, self.variances = 0.7 * self.spread, (0.15 * self.spread,) * 2
        for _ in range(MOST_TURNS):
            if not self.turn():
                break
        self.deviation, self.ridges = math.sqrt(self.spread), (0.0, 0.0)
        if self.spread > 0:
            self.ridges = tuple(self.noise / variance for variance in self.variances)
        _, errors, u, both = self.settle(products)
        self.sign = -1.0 if both - errors * u / self.weight > 0 else 1.0

    def refit(self, from_there=False):
        """By the ridges that there are, on what products leave."""
        self.take_sums(products=True)
        towards = [bias.copy() if from_there else 0 * bias for bias in (self.rows, self.cols)]
        for _ in range(REFIT_TURNS):
            if not self.held:
                met = self.met(to_rows=True)
                left = self.row_sums - met - self.row_weights * self.rows
                self.moved = add_up(left) / self.weight
            self.solve(False, self.cols, self.col_sums, self.col_weights, towards[1])
            self.solve(True, self.rows, self.row_sums, self.row_weights, towards[0])
        self.settle(products=True)

    def solve(self, to_rows, biases, sums, weights, towards):
        ridge, seen = self.ridges[not to_rows], weights > 0
        found = sums - weights * self.moved - self.met(to_rows) + ridge * towards
        biases[seen] = found[seen] / (weights[seen] + ridge)

    def settle(self, products):
        self.level += self.moved
        self.rows, self.cols = (
            bias.astype(self.oracle.dtype).astype(float) for bias in (self.rows, self.cols)
        )
        moments = self.moments(products)
        self.left = math.sqrt(moments[0] / self.weight)
        return moments

    def bases(self):
        return [bias.astype(self.oracle.dtype) for bias in (self.rows + self.level, self.cols)]

    def errors_of(self, cells):
        x, y = self.oracle.x, self.oracle.y
        return [
            (float(t) - self.level - self.rows[i] - self.cols[j] - float(reference.dot(x[i], y[j])))
            * math.sqrt(float(w))
            for _, i, _, j, t, w in cells
        ]


def outset(oracle, biases):
    """Level and deviation that factors begin with, and entries a row."""
    rows, cols = (float(len(side)) for side in oracle.seen())
    density = float(oracle.n_cells) / math.sqrt(rows * cols)
    deviation = biases.left if biases.left > 2.0**-20 * biases.deviation else 0.0
    level = min(max(density / 800, 0.03), 0.03 if oracle.k < 8 else 0.3)
    level *= 0.0 if oracle.k == 1 or biases.held else biases.sign * deviation
    return abs(level) if oracle.nonnegative else level, deviation, density


def settings(oracle, level, deviation, density, n_epochs=None):
    """Rates of all epochs and regularization beside biases, as the documentation has them."""
    deviation = deviation or oracle.deviation
    longer = min(reference.how_long(oracle.n_cells, oracle.shape), 4.0)
    # From .75 to 1.4.
    gain = reference.root(min(max(70 / density, 0.2373046875), 5.37824), 5)
    regularization = 0.05 * gain * math.sqrt(longer) * deviation
    longer *= min(1.0, math.sqrt(gain))
    return reference.settings(deviation, level, longer, regularization, n_epochs)


class Rule:
    """Stages of training beside biases."""

    def __init__(self, oracle, group, held, n_epochs=None):
        self.oracle, self.group = oracle, group
        self.biases = Biases(oracle, held)
        self.biases.fit()
        self.alone = self.biases.left
        level, self.deviation, density = outset(oracle, self.biases)
        self.settings = settings(oracle, level, self.deviation, density, n_epochs)
        self.biases.level -= level
        oracle.begin(level, self.deviation)
        self.errors = []

    def train(self, stage):
        """A stage, and biases beside its factors."""
        rates, regularization = self.settings
        keep = [one * 0.5**stage for one in regularization]
        self.errors += self.oracle.train(rates, keep, self.group, self.biases.bases())
        if stage:
            self.biases.fit(products=True)
        else:
            self.biases.refit()


def search(oracle, group, held):
    """How many stages serve held-out entries best, in a training on the others."""
    share = max(0.1, min(0.3, 30 / oracle.n_cells))

    def is_held_out(cell):
        place = oracle.row_order[cell[1]] * oracle.shape[1] + oracle.col_order[cell[3]]
        return reference.is_held_out(oracle.seed, place, share, reference.SEARCH)

    others, judged = copy.copy(oracle), copy.copy(oracle)
    others.put(reference.thinned(oracle.runs, lambda cell: not is_held_out(cell)))
    judged.put(reference.thinned(oracle.runs, is_held_out))
    if not (others.cells and judged.cells):
        return 1
    rule, before = Rule(others, group, held), None
    for stage in range(MOST_STAGES):
        rule.train(stage)
        errors = rule.biases.errors_of(judged.cells)
        if before is not None and not gains(before, errors):
            return stage
        before = errors
    return MOST_STAGES


def gains(before, after):
    """Whether squares fell by more than the standard error of that."""
    falls = [a * a - b * b for a, b in zip(before, after, strict=True)]
    mean = add_up(falls) / len(falls)
    return mean > math.sqrt(add_up((fall - mean) ** 2 for fall in falls)) / len(falls)


def factorize(rows, cols, values, shape, k, *, biases="auto", group=8, n_epochs=None, stages=None,
              offset=None, nonnegative=False, **given):  # fmt: skip
    """What funkc.factorize answers."""
    held = offset is not None
    if biases == "auto":
        biases = not held and not nonnegative
    if not biases and nonnegative and offset is None:
        offset = 0.0
    below = 0 if biases else 2
    given |= {"offset": offset, "nonnegative": nonnegative, "below": below}
    oracle = reference.Reference(rows, cols, values, shape, k, **given)
    if biases:
        return with_biases(oracle, group, held, n_epochs, stages)
    rates, regularization = reference.default_settings(oracle, n_epochs)
    errors = []
    for stage in range(stages or 1):
        errors += oracle.train(rates, [one * 0.5**stage for one in regularization], group)
    still = copy.copy(oracle)
    still.x, still.y = oracle.x.copy(), oracle.y.copy()
    (noise,) = still.train([0.0], (0.0, 0.0), group)
    oracle.fill()
    return answer(oracle, oracle.offset, noise, stages or 1, errors, rates, regularization)


def with_biases(oracle, group, held, n_epochs, stages):
    rule = Rule(oracle, group, held, n_epochs)
    if n_epochs is not None or oracle.n_cells < 10:
        stages = stages or 1
    stage = 0
    while True:
        rule.train(stage)
        if stages is None:
            strong = rule.biases.left < 0.67 * rule.deviation
            stages = search(oracle, group, held) if strong else 1
        stage += 1
        if stage >= stages:
            break
    own = rule.biases
    oracle.fill(own.rows, own.cols)
    made = answer(oracle, oracle.offset + own.level, own.left, stages, rule.errors, *rule.settings)
    made.row_bias, made.col_bias = (
        bias.astype(oracle.dtype) for bias in oracle.handed_out(own.rows, own.cols)
    )
    made.alone = rule.alone
    return made


def answer(oracle, offset, noise, stages, errors, rates, regularization):
    x, y = oracle.factors()
    return SimpleNamespace(
        row_factors=x, col_factors=y, row_bias=None, col_bias=None, offset=offset, noise=noise,
        stages=stages, train_rmse=errors, rates=rates * stages, regularization=regularization,
        alone=None,
    )  # fmt: skip


def assert_equal(fit, expected):
    """Bit for bit; but root mean squares of training, which nothing depends on."""
    for name in ("row_factors", "col_factors", "row_bias", "col_bias"):
        found, wanted = getattr(fit, name), getattr(expected, name)
        assert (found is None) == (wanted is None), name
        if found is not None:
            np.testing.assert_array_equal(found, wanted, name)
    assert fit.offset == expected.offset
    assert fit.stages == expected.stages
    assert fit.parameters["regularization"] == expected.regularization
    assert fit.history["learning_rate"] == expected.rates
    np.testing.assert_allclose(
        fit.history["train_rmse"], expected.train_rmse, rtol=1e-9, atol=1e-300
    )
    if expected.row_bias is None:
        np.testing.assert_allclose(fit.noise, expected.noise, rtol=1e-9, atol=1e-300)
    else:
        assert fit.noise == expected.noise
        assert fit.baseline_rmse["biases"] == expected.alone
