"""How fast funkc trains on ratings, and how well.

    python -m benchmarks.ratings                                  # a million generated ratings
    python -m benchmarks.ratings ratings.csv --k 16 32 64 128 --threads 1 2

Updates a second are those of training alone: the difference of a long and a short run.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time

import numpy as np

import funkc
from benchmarks import data
from funkc import _schedule, _validate

LONG, SHORT = 42, 2


def seconds(split: data.Split, k: int, n_threads: int, n_epochs: int) -> float:
    started = time.perf_counter()
    funkc.factorize(
        (split.rows, split.cols), split.values, k, shape=split.shape, n_threads=n_threads,
        n_epochs=n_epochs, learning_rate=0.01,
    )  # fmt: skip
    return time.perf_counter() - started


def set_up(split: data.Split, k: int, n_threads: int) -> tuple[float, float]:
    """Seconds from three arrays to ready, and bytes held for a rating."""
    started = time.perf_counter()
    problem = _validate.problem((split.rows, split.cols), split.values, shape=split.shape)
    schedule = _schedule.cut(problem, _validate.options(k, n_threads=n_threads))
    return time.perf_counter() - started, schedule.cell_bytes / schedule.n_cells


def held_out_rmse(split: data.Split, k: int) -> float:
    fit = funkc.factorize((split.rows, split.cols), split.values, k, shape=split.shape)
    error = fit.predict(split.held_rows, split.held_cols) - split.held_values
    return float(np.sqrt(np.mean(error.astype(float) ** 2)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("file", nargs="?", help="ratings, as `python -m funkc ratings` reads them")
    parser.add_argument("--generate", type=int, nargs=3, default=[6000, 3700, 1_000_000],
                        metavar=("ROWS", "COLS", "CELLS"))  # fmt: skip
    parser.add_argument("--k", type=int, nargs="+", default=[16, 32, 64, 128])
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--repeat", type=int, default=5)
    options = parser.parse_args()
    split = data.read(options.file) if options.file else data.generate(*options.generate)
    print(f"{split.name}: {len(split.values):,} to train on; load {os.getloadavg()[0]:.1f}")
    print("  k threads  million updates/s (spread)    set-up s  bytes/rating  held-out RMSE")
    for k in options.k:
        rmse = held_out_rmse(split, k)
        for n_threads in options.threads:
            rates = []
            for _ in range(options.repeat):
                longer = seconds(split, k, n_threads, LONG) - seconds(split, k, n_threads, SHORT)
                rates.append((LONG - SHORT) * len(split.values) / longer / 1e6)
            setting_up, size = min(set_up(split, k, n_threads) for _ in range(3))
            print(
                f"{k:3d} {n_threads:7d}  {statistics.median(rates):10.0f} "
                f"({min(rates):.0f} - {max(rates):.0f}){setting_up:17.3f}{size:14.2f}{rmse:15.4f}"
            )


if __name__ == "__main__":
    main()
