"""How fast funkc trains on ratings, and how well.

    python -m benchmarks.ratings                                  # a million generated ratings
    python -m benchmarks.ratings ratings.csv --k 16 32 64 128 --threads 1 2
    python -m benchmarks.ratings --mf-train sse/mf-train avx/mf-train   # beside LIBMF

Updates a second are those of training alone: the difference of a long and a short run. With
LIBMF (the path of its mf-train, or of several builds, of which the fastest counts) the two
programs run in turn, and the ratio is taken pair by pair.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

import funkc
from benchmarks import data
from funkc import _schedule, _validate

if TYPE_CHECKING:
    from collections.abc import Callable

LONG, SHORT = 42, 2


def seconds(split: data.Split, k: int, n_threads: int, n_epochs: int) -> float:
    started = time.perf_counter()
    funkc.factorize(
        (split.rows, split.cols), split.values, k, shape=split.shape, n_threads=n_threads,
        n_epochs=n_epochs, learning_rate=0.01,
    )  # fmt: skip
    return time.perf_counter() - started


def libmf_seconds(program: str, file: str, k: int, n_threads: int, n_epochs: int) -> float:
    started = time.perf_counter()
    subprocess.run(
        [program, "-f", "0", "-k", str(k), "-t", str(n_epochs), "-s", str(n_threads),
         "-l2", "0.05", "-r", "0.1", file, os.devnull],
        check=True, stdout=subprocess.DEVNULL,
    )  # fmt: skip
    return time.perf_counter() - started


def rate_of(run: Callable[[int], float], n_cells: int) -> float:
    """Million updates a second of training alone."""
    return (LONG - SHORT) * n_cells / (run(LONG) - run(SHORT)) / 1e6


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
    parser.add_argument("--mf-train", nargs="+", default=[], metavar="PATH",
                        help="builds of LIBMF's mf-train to run in turn with funkc")  # fmt: skip
    options = parser.parse_args()
    split = data.read(options.file) if options.file else data.generate(*options.generate)
    n = len(split.values)
    print(f"{split.name}: {n:,} to train on; load {os.getloadavg()[0]:.1f}")
    print("Million updates a second: median (smallest - largest)")
    with tempfile.TemporaryDirectory() as folder:
        file = str(Path(folder, "train.txt"))
        if options.mf_train:
            np.savetxt(file, np.c_[split.rows, split.cols, split.values], fmt="%d %d %g")
        for k in options.k:
            rmse = held_out_rmse(split, k)
            for n_threads in options.threads:
                ours, theirs = [], []
                for _ in range(options.repeat):
                    ours.append(rate_of(partial(seconds, split, k, n_threads), n))
                    theirs.append(
                        max(
                            (
                                rate_of(partial(libmf_seconds, program, file, k, n_threads), n)
                                for program in options.mf_train
                            ),
                            default=np.nan,
                        )
                    )
                setting_up, size = min(set_up(split, k, n_threads) for _ in range(3))
                line = (
                    f"k={k:<4d} threads={n_threads:<3d} funkc {shown(ours)}  "
                    f"set-up {setting_up:.3f} s  {size:.2f} bytes/rating  RMSE {rmse:.4f}"
                )
                if options.mf_train:
                    ratios = [a / b for a, b in zip(ours, theirs, strict=True)]
                    line += f"  LIBMF {shown(theirs)}  ratio {shown(ratios, 1)}"
                print(line, flush=True)


def shown(numbers: list[float], digits: int = 0) -> str:
    low, high = min(numbers), max(numbers)
    return f"{statistics.median(numbers):.{digits}f} ({low:.{digits}f} - {high:.{digits}f})"


if __name__ == "__main__":
    main()
