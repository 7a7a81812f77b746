"""What the defaults cost against the best settings that a search finds.

    python -m benchmarks.defaults                      # small, dense and a million generated
    python -m benchmarks.defaults ratings.csv --k 16 64
    python -m benchmarks.defaults --generate 138493 26744 20000000 --k 32

Every setting is the default times a factor: the learning rate, the regularization and the
number of epochs (at each number of epochs the default rate follows, so that their product
stays).  The error is that of held-out cells; for the small kinds of data it is the mean over
many matrices.  Choose on other data than you report on: the search sees the held-out cells.
"""

from __future__ import annotations

import argparse
import math
from typing import TYPE_CHECKING

import numpy as np

import funkc
from benchmarks import data
from funkc import _schedule, _train
from funkc._input.cells import observed_cells
from funkc._input.options import checked_options

if TYPE_CHECKING:
    from collections.abc import Sequence

RATES = (0.5, 0.7, 1.0, 1.4, 2.0)
REGULARIZATIONS = (0.0, 0.5, 0.7, 1.0, 1.4, 2.0)
EPOCHS = (0.5, 1.0, 2.0, 4.0)


def small(n_rows: int, n_cols: int, rank: int, observed: float, count: int) -> list[data.Split]:
    """Ratings of planted rank: a positive level of rows and columns, tastes of either sign,
    noise of .3, rounded to halves from .5 to 5.
    """
    splits = []
    for seed in range(count):
        rng = np.random.default_rng(seed)
        values = np.outer(rng.uniform(1.2, 2.2, n_rows), rng.uniform(1.2, 2.2, n_cols))
        values += rng.normal(0, 0.6, (n_rows, rank - 1)) @ rng.normal(0, 0.6, (rank - 1, n_cols))
        values += rng.normal(0, 0.3, values.shape)
        values = np.clip(np.round(2 * values) / 2, 0.5, 5)
        rows, cols = np.nonzero(rng.random(values.shape) < observed)
        splits.append(
            data.split("", rows, cols, values[rows, cols], values.shape, seed=seed, held=0.15)
        )
    return [one for one in splits if one.held_values.size]


def defaults(split: data.Split, k: int) -> _train.Settings:
    problem = observed_cells((split.rows, split.cols), split.values, shape=split.shape)
    options = checked_options(k)
    return _train.settle(_schedule.cut(problem, options), options)


def rmse(splits: Sequence[data.Split], k: int, rate: float, keep: float, epochs: float) -> float:
    """Root mean squared error over all held-out cells with the defaults times three factors."""
    squares, n = 0.0, 0
    for split in splits:
        default = defaults(split, k)
        n_epochs = max(1, round(default.n_epochs * epochs))
        try:
            fit = funkc.factorize(
                (split.rows, split.cols), split.values, k, shape=split.shape, n_epochs=n_epochs,
                learning_rate=default.learning_rate * rate * default.n_epochs / n_epochs,
                regularization=default.regularization[0] * keep,
            )  # fmt: skip
        except funkc.DivergedError:
            return math.inf
        error = fit.predict(split.held_rows, split.held_cols) - split.held_values
        squares += float(np.sum(error.astype(float) ** 2))
        n += error.size
    return math.sqrt(squares / n)


def report(name: str, splits: Sequence[data.Split], k: int, crossed: bool = True) -> None:
    """One row: the defaults, the best of the grid, and each factor on its own."""
    grid = {
        (rate, keep, epochs): rmse(splits, k, rate, keep, epochs)
        for rate in RATES for keep in REGULARIZATIONS for epochs in EPOCHS
        if crossed or (rate, keep, epochs).count(1.0) >= 2
    }  # fmt: skip
    at_default = grid[1, 1, 1]
    best = min(grid, key=grid.__getitem__)
    print(
        f"| {name} | {k} | {at_default:.4f} | {grid[best]:.4f} | "
        f"{100 * (at_default / grid[best] - 1):.2f} % | "
        f"rate x {best[0]:g}, regularization x {best[1]:g}, epochs x {best[2]:g} |",
        flush=True,
    )
    for label, place, factors in (
        ("rate", 0, RATES), ("regularization", 1, REGULARIZATIONS), ("epochs", 2, EPOCHS),
    ):  # fmt: skip
        line = []
        for factor in factors:
            key = [1.0, 1.0, 1.0]
            key[place] = factor
            line.append(f"x {factor:g}: {grid[key[0], key[1], key[2]]:.4f}")
        print(f"|   {label} alone | | {', '.join(line)} | | | |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("file", nargs="?", help="ratings, as `python -m funkc ratings` reads them")
    parser.add_argument("--generate", type=int, nargs=3, metavar=("ROWS", "COLS", "CELLS"))
    parser.add_argument("--k", type=int, nargs="+", default=[16, 64])
    parser.add_argument("--alone", action="store_true", help="change one setting at a time only")
    options = parser.parse_args()
    print("| data | k | defaults | best found | defaults above it by | where |")
    print("| --- | --- | --- | --- | --- | --- |")
    if options.file or options.generate:
        split = data.read(options.file) if options.file else data.generate(*options.generate)
        for k in options.k:
            report(split.name, [split], k, not options.alone)
        return
    for k in (1, 3):
        report("9 x 5, 60 % observed, 100 of them", small(9, 5, 1, 0.6, 100), k)
    for k in (5, 10):
        report("100 x 100, 70 % observed, 5 of them", small(100, 100, 5, 0.7, 5), k)
    for k in options.k:
        report("generated", [data.generate(6000, 3700, 1_000_000)], k, not options.alone)


if __name__ == "__main__":
    main()
