"""What the defaults cost against the best settings that a search finds.

    python -m benchmarks.defaults                      # generated matrices
    python -m benchmarks.defaults DIR --k 20           # ratings, as benchmarks.accuracy reads them

Every setting is the default times a factor: the learning rate, the regularization and the
number of epochs (at each number of epochs the default rate follows, so that their product
stays).  The stages are those of the default.  The error is the mean over several parts that
are held out, or over several matrices.  The search sees the held-out entries, so what it gains
is more than a user can.
"""

from __future__ import annotations

import argparse
import math
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks import accuracy

if TYPE_CHECKING:
    from collections.abc import Sequence

    import funkc
    from benchmarks import data

RATES = (0.5, 0.7, 1.0, 1.4, 2.0)
REGULARIZATIONS = (0.0, 0.5, 0.7, 1.0, 1.4, 2.0)
EPOCHS = (0.5, 1.0, 2.0, 4.0)
SETTINGS = (("rate", RATES), ("regularization", REGULARIZATIONS), ("epochs", EPOCHS))


def rmse(
    splits: Sequence[data.Split],
    defaults: Sequence[funkc.Factorization],
    factors: tuple[float, float, float],
) -> float:
    """Root mean square over all held-out entries of errors with the defaults times the factors."""
    squares, n = 0.0, 0
    for split, default in zip(splits, defaults, strict=True):
        found = default
        if factors != (1, 1, 1):
            chosen = default.parameters
            n_epochs = max(1, round(chosen["n_epochs"] * factors[2]))
            found = accuracy.fit(
                split, default.k, stages=default.stages, n_epochs=n_epochs,
                learning_rate=chosen["learning_rate"] * factors[0] * chosen["n_epochs"] / n_epochs,
                regularization=chosen["regularization"][0] * factors[1],
            )  # fmt: skip
        squares += len(split.held_values) * accuracy.score(split, found) ** 2
        n += len(split.held_values)
    return math.sqrt(squares / n)


def report(name: str, splits: Sequence[data.Split], k: int, alone: bool) -> None:
    """One row: the defaults, the best of the grid, and each factor on its own."""
    defaults = [accuracy.fit(split, k) for split in splits]
    grid = {
        factors: rmse(splits, defaults, factors)
        for factors in ((r, g, e) for r in RATES for g in REGULARIZATIONS for e in EPOCHS)
        if not alone or factors.count(1.0) >= 2
    }
    at_default = grid[1, 1, 1]
    best = min(grid, key=grid.__getitem__)
    print(
        f"| {name} | {k} | {at_default:.4f} | {grid[best]:.4f} | "
        f"{100 * (at_default / grid[best] - 1):.2f} % | "
        + ", ".join(f"{label} x {x:g}" for (label, _), x in zip(SETTINGS, best, strict=True))
        + " |",
        flush=True,
    )
    for place, (label, factors) in enumerate(SETTINGS):
        keys = [tuple(factor if at == place else 1.0 for at in range(3)) for factor in factors]
        told = (f"x {key[place]:g}: {grid[key]:.4f}" for key in keys)
        print(f"|   {label} alone | | {', '.join(told)} | | | |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", nargs="?", type=Path, metavar="DIR")
    parser.add_argument("--k", type=int, nargs="+", default=[20])
    parser.add_argument("--alone", action="store_true", help="change one setting at a time only")
    options = parser.parse_args()
    warnings.simplefilter("ignore", UserWarning)  # that values are wild
    print("| data | k | defaults | best found | defaults above it by | where |")
    print("| --- | --- | --- | --- | --- | --- |")
    if options.folder is None:
        for case in accuracy.generated():
            if case.noise != 0:
                report(case.name, case.splits, case.k, options.alone)
        return
    for path in sorted(options.folder.glob("*.npz")):
        source = accuracy.read(path)
        if source is not None:
            for k in options.k:
                report(source.name, source.splits, k, options.alone)


if __name__ == "__main__":
    main()
