"""What is done with a fit: new rows, the best columns, filled matrices, files, later ratings.

    python -m benchmarks.serving                             # ratings are generated
    python -m benchmarks.serving ratings.csv --results benchmarks/results
    python -m benchmarks.serving --sections top files --scale 0.1

The sections:

fold-in   seconds to fold in new rows, beside NumPy row by row and in batches
top       seconds and memory to find the ten best columns of every row, beside NumPy
new-rows  the error for rows that were folded in, and for the same rows when they were trained
later     the error when a tenth of the ratings comes later: before, with partial_fit, trained anew
impute    memory to fill a matrix
files     seconds to save and load, and sizes

Factors are generated, but for new-rows and later, which train on ratings (k = 32 everywhere).
"""

from __future__ import annotations

import argparse
import copy
import datetime
import math
import statistics
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

import funkc
from benchmarks import data
from benchmarks.peers import in_child, memory, peak_of
from benchmarks.ratings import SPLITS, Load, Machine, Report, command_line, load_average, shown

if TYPE_CHECKING:
    from collections.abc import Callable

SECTIONS = ("fold-in", "top", "new-rows", "later", "impute", "files")
K = 32
BEST = 10
MOVIELENS_1M, MOVIELENS_20M = (6_040, 3_706), (138_493, 26_744)
NEW_ROWS, CELLS_OF_A_ROW = 100_000, 100
SQUARE = 20_000
SAMPLE = 2_000  # rows that are enough to tell what a row costs NumPy
BLOCKS = (64, 256, 1024)  # rows at a time, of which NumPy gets the fastest
MB = 1e6


def timed(function: Callable[..., Any], *arguments: Any, **options: Any) -> tuple[float, Any]:
    """Seconds, and the result."""
    started = time.perf_counter()
    result = function(*arguments, **options)
    return time.perf_counter() - started, result


def made(shape: tuple[int, int], n_threads: int | None = None) -> funkc.Factorization:
    """A factorization with factors drawn at random."""
    rng = np.random.default_rng(0)
    x, y = (rng.normal(0, 0.3, (n, K)).astype(np.float32) for n in shape)
    fit = funkc.Factorization.from_factors(x, y, offset=3.5, noise=0.9)
    fit.n_threads = fit.n_threads if n_threads is None else n_threads
    return fit


def rmse(fit: funkc.Factorization, rows: Any, cols: Any, values: Any) -> float:
    error = fit.predict(rows, cols).astype(float) - values
    return float(np.sqrt(np.mean(error**2)))


def medians(timings: dict[str, list[float]], base: str) -> list[tuple[str, str, str]]:
    """Name, seconds and ratio to `base` of what ran in turn."""
    return [
        (name, shown(row, 3), shown([a / b for a, b in zip(row, timings[base], strict=True)], 1))
        for name, row in timings.items()
    ]


# ---------------------------------------------------------------------------------- fold-in


def new_cells(n_rows: int, n_cols: int) -> tuple[np.ndarray, np.ndarray]:
    """The columns that each row observes, in order and each once, and the values."""
    rng = np.random.default_rng(1)
    step = n_cols // CELLS_OF_A_ROW
    cols = rng.integers(0, step, (n_rows, CELLS_OF_A_ROW)) + step * np.arange(CELLS_OF_A_ROW)
    values = rng.integers(1, 11, cols.shape).astype(np.float32) / 2
    return cols, values


def by_numpy(fit: funkc.Factorization, cols: np.ndarray, values: np.ndarray, at_once: int) -> Any:
    """The same regression in double, with NumPy's products and systems."""
    y, mean = fit.col_factors.astype(float), fit.row_factors.mean(axis=0, dtype=float)
    covariance = np.cov(fit.row_factors.T, dtype=float)
    covariance += 1e-6 * np.trace(covariance) / K * np.eye(K)
    assert fit.noise is not None
    prior = fit.noise**2 * np.linalg.inv(covariance)
    found = []
    for first in range(0, len(cols), at_once):
        part = slice(first, first + at_once)
        z = y[cols[part]]
        right = (values[part] - fit.offset)[:, None] @ z + prior @ mean
        system = z.swapaxes(1, 2) @ z + prior
        found.append(np.linalg.solve(system, right.swapaxes(1, 2))[:, :, 0])
    return np.concatenate(found)


def fold_in(report: Report, load: Load, options: argparse.Namespace) -> None:
    n_rows, n_cols = int(NEW_ROWS * options.scale), MOVIELENS_20M[1]
    fit = made((1000, n_cols))
    cols, values = new_cells(n_rows, n_cols)
    rows = np.repeat(np.arange(n_rows), CELLS_OF_A_ROW)
    flat = cols.ravel(), values.ravel()
    some = min(SAMPLE, n_rows)
    timings: dict[str, list[float]] = defaultdict(list)
    with load.watched(report, "fold-in"):
        for _ in range(options.repeat):
            for n_threads in options.threads:
                fit.n_threads = n_threads
                taken, _ = timed(fit.fold_in_rows, (rows, flat[0]), flat[1])
                timings[f"funkc, n_threads={n_threads}"].append(taken)
            for words, at_once in (("row by row", 1), ("100 rows at a time", 100)):
                taken, _ = timed(by_numpy, fit, cols[:some], values[:some], at_once)
                timings[f"NumPy, {words} *"].append(taken * n_rows / some)
    ours = fit.fold_in_rows((rows[: some * CELLS_OF_A_ROW], cols[:some].ravel()),
                            values[:some].ravel()).row_factors  # fmt: skip
    if not np.allclose(ours, by_numpy(fit, cols[:some], values[:some], 100), atol=1e-5):
        sys.exit("fold-in: funkc and NumPy don't agree")
    most = f"funkc, n_threads={max(options.threads)}"
    report.table(
        f"Fold in {n_rows:,} rows with {CELLS_OF_A_ROW} observations each, {n_cols:,} columns, "
        f"k = {K}: median (smallest - largest)",
        "", "seconds", f"beside {most}",
    )  # fmt: skip
    for cells in medians(timings, most):
        report.row(*cells)
    report.close(
        f"* *: of {some:,} rows, times {n_rows / some:g}. From lists of cells, and checks of "
        "them, for funkc; from one table of columns for NumPy."
    )


# -------------------------------------------------------------------------------------- top


def top_by_numpy(fit: funkc.Factorization, n_rows: int, at_once: int) -> Any:
    """The ten best columns of the first rows, a block of rows at a time."""
    n_cols = fit.shape[1]
    best = np.empty((n_rows, BEST), np.int64)
    scores = np.empty((n_rows, BEST), np.float32)
    for first in range(0, n_rows, at_once):
        part = slice(first, min(n_rows, first + at_once))
        product = fit.row_factors[part] @ fit.col_factors.T
        found = np.argpartition(product, n_cols - BEST, axis=1)[:, n_cols - BEST :]
        found_scores = np.take_along_axis(product, found, 1)
        order = np.argsort(-found_scores, axis=1)
        best[part] = np.take_along_axis(found, order, 1)
        scores[part] = np.take_along_axis(found_scores, order, 1) + fit.offset
    return best, scores


def peak_of_top(shape: tuple[int, int], n_threads: int, at_once: int | None) -> float:
    """In a process of its own; of funkc where there is no block."""
    fit = made(shape, n_threads)
    fit.top(0), top_by_numpy(fit, 1, 1)  # what is made once, threads too
    if at_once is None:
        return peak_of(lambda: fit.top(slice(None), BEST))
    return peak_of(lambda: top_by_numpy(fit, shape[0], at_once))


def top(report: Report, load: Load, options: argparse.Namespace) -> None:
    n_threads = max(options.threads)
    report.table(
        f"The {BEST} best columns of every row, k = {K}, {n_threads} threads: median (smallest - "
        "largest)",
        "rows x columns", "", "seconds", "beside funkc", "peak memory beyond the model",
    )  # fmt: skip
    for shape in (MOVIELENS_1M, MOVIELENS_20M):
        shape = int(shape[0] * options.scale), shape[1]
        fit = made(shape, n_threads)
        fit.top(0)
        some = min(SAMPLE, shape[0])
        _, block = min((timed(top_by_numpy, fit, some, n)[0], n) for n in BLOCKS)
        timings: dict[str, list[float]] = defaultdict(list)
        with load.watched(report, f"top of {shape[0]:,} rows"):
            for _ in range(options.repeat):
                timings["funkc"].append(timed(fit.top, slice(None), BEST)[0])
                taken, _ = timed(top_by_numpy, fit, shape[0], block)
                timings[f"NumPy, {block} rows at a time"].append(taken)
        ours, theirs = fit.top(slice(some), BEST)[1], top_by_numpy(fit, some, block)[1]
        if not np.allclose(ours, theirs, atol=1e-5):
            sys.exit("top: funkc and NumPy don't agree")
        for cells, at_once in zip(medians(timings, "funkc"), (None, block), strict=True):
            peak = in_child(None, peak_of_top, shape, n_threads, at_once)
            report.row(f"{shape[0]:,} x {shape[1]:,}", *cells, f"{peak / MB:,.1f} MB")
    report.close(
        f"* NumPy: product and argpartition, {', '.join(map(str, BLOCKS))} rows at a time, of "
        "which the fastest is shown. Its product may use all processors, argpartition uses one.",
        f"* Peak memory: of one call, in a process of its own, with the result of {BEST} columns "
        "and scores for every row.",
    )


# ------------------------------------------------------------------------------- the errors


def told(errors: dict[str, list[float]]) -> list[tuple[str, str, str]]:
    return [
        (name, f"{statistics.mean(row):.4f}", f"{min(row):.4f} - {max(row):.4f}")
        for name, row in errors.items()
    ]


def new_rows(report: Report, ratings: data.Ratings, n_threads: int) -> None:
    errors: dict[str, list[float]] = defaultdict(list)
    for seed in SPLITS:
        split = data.split(*ratings, seed=seed)
        new = np.random.default_rng(seed).random(split.shape[0]) < 0.1
        held, train = new[split.held_rows], new[split.rows]
        test = split.held_rows[held], split.held_cols[held], split.held_values[held]
        options: dict[str, Any] = {"shape": split.shape, "n_threads": n_threads}
        full = funkc.factorize((split.rows, split.cols), split.values, K, **options)
        fit = funkc.factorize(
            (split.rows[~train], split.cols[~train]), split.values[~train], K, **options
        )
        folded = fit.fold_in_rows(
            (split.rows[train], split.cols[train]), split.values[train], shape=split.shape
        )
        unseen = fit.predict(np.full(held.sum(), -1), test[1], unknown="baseline")
        errors["the mean row, no rating of theirs"].append(
            float(np.sqrt(np.mean((unseen.astype(float) - test[2]) ** 2)))
        )
        errors["folded in"].append(rmse(folded, *test))
        errors["trained with all others"].append(rmse(full, *test))
    report.table(
        f"RMSE on held-out ratings of a tenth of the rows, which is new (k = {K})",
        "the new rows are", f"mean of splits {SPLITS[0]} - {SPLITS[-1]}", "smallest - largest",
    )  # fmt: skip
    for cells in told(errors):
        report.row(*cells)
    report.close("* A tenth of all ratings is held out. Columns see the new rows only if trained.")


def later(report: Report, ratings: data.Ratings, n_threads: int) -> None:
    errors: dict[str, list[float]] = defaultdict(list)
    taken: dict[str, list[float]] = defaultdict(list)
    for seed in SPLITS:
        split = data.split(*ratings, seed=seed)
        test = split.held_rows, split.held_cols, split.held_values
        late = np.random.default_rng(seed).random(split.values.size) < 0.1
        first, second = (
            ((split.rows[part], split.cols[part]), split.values[part]) for part in (~late, late)
        )
        options: dict[str, Any] = {"shape": split.shape, "n_threads": n_threads}
        before = funkc.factorize(*first, K, **options)
        after = copy.copy(before)
        everything = (split.rows, split.cols), split.values
        part_seconds, _ = timed(after.partial_fit, *second)
        all_seconds, anew = timed(funkc.factorize, *everything, K, **options)
        for name, spent, fit in (
            ("without the new tenth", math.nan, before),
            ("partial_fit with the new tenth", part_seconds, after),
            ("trained anew with all", all_seconds, anew),
        ):
            taken[name].append(spent)
            errors[name].append(rmse(fit, *test))
    report.table(
        f"RMSE on held-out ratings where a tenth of the others comes later (k = {K})",
        "", f"mean of splits {SPLITS[0]} - {SPLITS[-1]}", "smallest - largest", "seconds",
    )  # fmt: skip
    for name, *cells in told(errors):
        report.row(name, *cells, shown(taken[name], 3))
    report.close("* The tenth is drawn at random: nothing has drifted.")


# ----------------------------------------------------------------------------------- impute


def peak_of_impute(size: int, form: str) -> tuple[float, float, float]:
    """Bytes beyond the input and seconds, and the bytes of the result; in a process of its own."""
    fit = made((size, size))
    rng = np.random.default_rng(0)
    mask: Any = None
    if form == "pair":
        cells = np.unique(rng.integers(0, size * size, size * size // 100))
        mask, values = np.divmod(cells, size), np.ones(cells.size, np.float32)
    else:
        values = np.ones((size, size), np.float32)
        for row in values:
            row[rng.random(size, np.float32) < 0.5] = np.nan
    fit.predict(slice(2), slice(2))
    out = values if form == "out" else None
    spent, peak = timed(peak_of, lambda: fit.impute(mask, values, out=out))
    return peak, spent, 0.0 if form == "out" else 4.0 * size * size


def impute(report: Report, options: argparse.Namespace) -> None:
    size = int(SQUARE * options.scale)
    report.table(
        f"Fill a matrix of {size:,} x {size:,}, float32, k = {K}, all processors",
        "input", "peak beyond the input", "of which the result", "seconds",
    )  # fmt: skip
    for form, words in (
        ("nan", "an array, half of it NaN"),
        ("out", "the same, filled in its place (`out=`)"),
        ("pair", "rows, columns and values of 1 % of the cells"),
    ):
        peak, taken, result = in_child(None, peak_of_impute, size, form)
        report.row(words, f"{peak / MB:,.0f} MB", f"{result / MB:,.0f} MB", f"{taken:.2f}")
    report.close("* Of one call, in a process of its own.")


# ------------------------------------------------------------------------------------ files


def held_by_load(path: str, mmap: bool) -> float:
    """Bytes that are a process's own after load and a first prediction."""
    funkc.load(path, verify=False).top(0)  # what is imported late, and the threads
    before = memory("RssAnon")
    fit = funkc.load(path, mmap=mmap, verify=False)
    fit.top(0)
    return memory("RssAnon") - before


def files(report: Report, load: Load, options: argparse.Namespace) -> None:
    shape = int(MOVIELENS_20M[0] * options.scale), MOVIELENS_20M[1]
    fit = made(shape)
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder, "model.funkc"))
        ways = {
            "load, every byte checked": {},
            "load, verify=False": {"verify": False},
            "load, mmap=True, verify=False": {"mmap": True, "verify": False},
        }
        timings: dict[str, list[float]] = defaultdict(list)
        with load.watched(report, "files"):
            for _ in range(options.repeat):
                timings["save"].append(timed(fit.save, path)[0])
                for name, way in ways.items():
                    timings[name].append(timed(funkc.load, path, **way)[0])
        size, factors = Path(path).stat().st_size, 4 * K * sum(shape)
        report.table(
            f"Files of a model of {shape[0]:,} x {shape[1]:,}, k = {K}", "",
            "milliseconds: median (smallest - largest)",
        )  # fmt: skip
        for name, row in timings.items():
            report.row(name, shown([1000 * spent for spent in row], 2))
        own = [in_child(None, held_by_load, path, mmap) for mmap in (False, True)]
    report.close(
        f"* The file has {size:,} bytes, {size - factors:,} more than the factors. It is in the "
        "system's cache when it is read; `save` waits for the disk.",
        f"* Memory of a process's own after load and a first `top`: {own[0] / MB:.1f} MB, with "
        f"mmap=True {own[1] / MB:.1f} MB (beside the file, which processes share).",
    )


# ------------------------------------------------------------------------------ the program


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    add = parser.add_argument
    add("file", nargs="?", help="ratings, as `python -m funkc ratings` reads them")
    add("--generate", type=int, nargs=3, default=[6000, 3700, 1_000_000],
        metavar=("ROWS", "COLS", "CELLS"), help="sizes of generated ratings")  # fmt: skip
    add("--sections", nargs="+", choices=SECTIONS, default=list(SECTIONS))
    add("--threads", type=int, nargs="+", default=[1, 2])
    add("--repeat", type=int, default=3, help="rounds of timings")
    add("--scale", type=float, default=1.0, help="less than 1: fewer rows, to see that it works")
    add("--results", metavar="DIR", type=Path, help="write a dated table there")
    options = parser.parse_args()
    date = datetime.date.today().isoformat()
    report, load = Report(), Load()
    wanted, n_threads = options.sections, max(options.threads)
    report.say(f"# Serving, {date}\n")
    for line in Machine.here().lines():
        report.say(line)
    report.say(f"* load average before: {load_average():.2f}")
    report.say(f"* command: `{command_line('serving')}`")
    if "fold-in" in wanted:
        fold_in(report, load, options)
    if "top" in wanted:
        top(report, load, options)
    if "new-rows" in wanted or "later" in wanted:
        ratings = data.load(options.file) if options.file else data.plant(*options.generate)
        report.say(f"\nRatings: {ratings.name}")
        if "new-rows" in wanted:
            new_rows(report, ratings, n_threads)
        if "later" in wanted:
            later(report, ratings, n_threads)
        del ratings
    if "impute" in wanted:
        impute(report, options)
    if "files" in wanted:
        files(report, load, options)
    report.say(f"\nLoad average after: {load_average():.2f}")
    if options.results is not None:
        options.results.mkdir(parents=True, exist_ok=True)
        path = options.results / f"{date}-serving.md"
        path.write_text("\n".join(report.lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
