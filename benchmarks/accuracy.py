"""RMSE of the defaults: on ratings of a folder, on generated matrices and on tables.

    python -m benchmarks.accuracy DIR --results benchmarks/results
    python -m benchmarks.accuracy --only synthetic tables       # needs no folder
    python -m benchmarks.accuracy DIR --only ratings fold-in --k 16 32

Every .npz file of the folder is read (nothing is fetched) that has arrays `rows`, `cols`, `vals`,
`shape`, and any number of boolean `test_NAME` that select held-out entries, or `u`, `i` (from 1)
and `r`.  Without `test_NAME`, a tenth is drawn three times.  The parts:

ratings      k and nothing else
members      the mean of four trainings
plain        biases=False
settings     one setting at a time
seeds        the spread over random_state = 0 … 7, on the first part that is held out
synthetic    generated matrices, whose noise is known, with k and nothing else and biases=False
tables       scikit-learn's digits and breast cancer, of which entries are hidden, likewise
fold-in      new rows, of which 0 ... 30 entries are known
"""

from __future__ import annotations

import argparse
import datetime
import math
import re
import statistics
import warnings
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

import funkc
from benchmarks import data
from benchmarks.peers import rmse
from benchmarks.ratings import Machine, Report, command_line

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

FITS: dict[str, tuple[str, dict[str, Any]]] = {
    "ratings": ("The defaults", {}),
    "members": ("members=4", {"members": 4}),
    "plain": ("biases=False", {"biases": False}),
}
SETTINGS: dict[str, dict[str, Any]] = {
    "k alone": {},
    "stages=2": {"stages": 2},
    "validation=0.1": {"validation": 0.1},
    'decay="constant"': {"decay": "constant"},
    "offset=0": {"offset": 0.0},
    "nonnegative=True": {"nonnegative": True},
    "members=2": {"members": 2},
    "members=8": {"members": 8},
}
PARTS = (*FITS, "settings", "seeds", "synthetic", "tables", "fold-in")
MANY = 500_000  # ratings, from which on more factors are worth it
SMALL_K, LARGE_K = (1, 5, 20, 50), (16, 32, 64, 128)
KNOWN = (0, 1, 3, 10, 30)  # entries of a new row
FEWEST = 40  # entries of a row that is folded in
SHARES = (0.1, 0.5, 0.9)  # of a table, hidden
SPREADS = (0.5, 1.0, 1.5)  # of logarithms
SEEDS = range(8)


class Source(NamedTuple):
    """Ratings, and which of them are held out by turns."""

    name: str
    rows: np.ndarray
    cols: np.ndarray
    values: np.ndarray
    shape: tuple[int, int]
    tests: dict[str, list[np.ndarray]]  # masks whose errors are averaged

    @property
    def large(self) -> bool:
        return len(self.values) >= MANY

    @property
    def splits(self) -> list[data.Split]:
        """Of the first random ones, whose errors are averaged."""
        masks = min(self.tests.items(), key=lambda item: (-len(item[1]), item[0]))[1]
        return [self.split(mask) for mask in masks]

    def split(self, test: np.ndarray, taken: np.ndarray | slice = slice(None)) -> data.Split:
        """All ratings, or those that are taken, parted."""
        rows, cols, values = self.rows[taken], self.cols[taken], self.values[taken]
        return parted(self.name, rows, cols, values, self.shape, test)


class Case(NamedTuple):
    """Matrices of one kind."""

    name: str
    k: int
    splits: list[data.Split]
    noise: float = math.nan  # root mean square of what nothing can predict


def parted(
    name: str, rows: np.ndarray, cols: np.ndarray, values: np.ndarray, shape: tuple[int, int],
    test: np.ndarray,
) -> data.Split:  # fmt: skip
    return data.Split(
        name, rows[~test], cols[~test], values[~test], shape, rows[test], cols[test], values[test]
    )


def fit(split: data.Split, k: int, **options: Any) -> funkc.Factorization:
    return funkc.factorize((split.rows, split.cols), split.values, k, shape=split.shape, **options)


def score(split: data.Split, found: funkc.Factorization) -> float:
    return found.score((split.held_rows, split.held_cols), split.held_values)


def baselines(split: data.Split) -> list[float]:
    """The RMSE of the mean, and of biases without factors, on held-out entries."""
    held = (split.held_rows, split.held_cols), split.held_values
    found = fit(split, 1, n_epochs=1, validation=held).baseline_rmse
    return [found["mean"], found["biases"]]


def shown(error: float) -> str:
    if math.isnan(error):
        return "–"
    return f"{error:.4f}" if error < 10 else f"{error:.5g}"


def read(path: Path) -> Source | None:
    """The ratings of a file; None if it is of another form."""
    with np.load(path) as arrays:
        names = set(arrays.files)
        if {"rows", "cols", "vals", "shape"} <= names:
            rows, cols, values = (arrays[name] for name in ("rows", "cols", "vals"))
            shape = int(arrays["shape"][0]), int(arrays["shape"][1])
        elif {"u", "i", "r"} <= names:
            rows, cols, values = arrays["u"] - 1, arrays["i"] - 1, arrays["r"]
            shape = int(rows.max()) + 1, int(cols.max()) + 1
        else:
            return None
        tests: dict[str, list[np.ndarray]] = defaultdict(list)
        for name in sorted(names):
            if name.startswith("test_"):
                label = re.sub("^s[012]$", "s0 – s2", name.removeprefix("test_"))
                tests[re.sub("^s[34]$", "s3, s4", label)].append(arrays[name].astype(bool))
    if not tests:
        n = len(values)
        tests["a tenth"] = [np.random.default_rng(seed).random(n) < 0.1 for seed in (11, 12, 13)]
    return Source(path.stem, rows, cols, values, shape, tests)


# ---------------------------------------------------------------------------------- ratings


def on_ratings(report: Report, sources: list[Source], part: str, ks: list[int]) -> None:
    title, options = FITS[part]
    for large, usual in ((False, SMALL_K), (True, LARGE_K)):
        some = [source for source in sources if source.large is large]
        if not some:
            continue
        size = f"{MANY:,} ratings or more" if large else f"fewer than {MANY:,} ratings"
        each = ks or usual
        report.table(
            f"{title}: RMSE on held-out ratings, {size}", "data", "held out", "mean", "biases",
            *(f"k = {k}" for k in each),
        )  # fmt: skip
        for source in some:
            for label, masks in source.tests.items():
                splits = [source.split(mask) for mask in masks]
                errors = [baselines(split) for split in splits]
                for row, split in zip(errors, splits, strict=True):
                    row += [score(split, fit(split, k, **options)) for k in each]
                means = (shown(statistics.mean(column)) for column in zip(*errors, strict=True))
                report.row(source.name, label, *means)
    if part == "ratings":
        on_cases(report, "Parts of large sets: RMSE", parts_of(sources))


def settings(report: Report, sources: Iterable[Source], ks: list[int]) -> None:
    report.table("One setting at a time: RMSE on held-out ratings", "data", "k", *SETTINGS)
    for source in sources:
        for k in ks or [32 if source.large else 20]:
            errors = (
                statistics.mean(score(split, fit(split, k, **options)) for split in source.splits)
                for options in SETTINGS.values()
            )
            report.row(source.name, k, *map(shown, errors))


def seeds(report: Report, sources: Iterable[Source], ks: list[int]) -> None:
    report.table(
        f"RMSE on held-out ratings, random_state = {SEEDS[0]} … {SEEDS[-1]}", "data", "k",
        "mean", "smallest", "largest", "standard deviation",
    )  # fmt: skip
    for source in sources:
        split = source.splits[0]
        for k in ks or [32 if source.large else 20]:
            errors = [score(split, fit(split, k, random_state=seed)) for seed in SEEDS]
            told = statistics.mean(errors), min(errors), max(errors), statistics.stdev(errors)
            report.row(source.name, k, *map(shown, told))


def parts_of(sources: Iterable[Source]) -> Iterator[Case]:
    for source in sources:
        if not source.large:
            continue
        for share, k in ((0.01, 8), (0.03, 8), (0.1, 16)):
            splits = []
            for seed in range(3):
                rng = np.random.default_rng(seed)
                taken = rng.random(len(source.values)) < share
                splits.append(source.split(rng.random(taken.sum()) < 0.1, taken))
            yield Case(f"{source.name}, {share:.0%} of it", k, splits)
        splits = []
        for seed in range(3):
            rng = np.random.default_rng(seed)
            taken = np.isin(source.rows, rng.choice(source.shape[0], 100, replace=False))
            split = source.split(rng.random(taken.sum()) < 0.1, taken)
            splits.append(split)
        yield Case(f"{source.name}, 100 of its rows", 8, splits)


# ------------------------------------------------------------------------ matrices and tables


def on_cases(report: Report, title: str, cases: Iterable[Case], relative: bool = False) -> None:
    """All held-out entries of a case count alike."""
    begun = False
    for case in cases:
        if not begun:
            report.table(
                title, "data", "entries", "k", "noise", "mean", "biases", "biases=False",
                "the defaults", "stages",
            )  # fmt: skip
            begun = True
        values = np.concatenate([split.held_values for split in case.splits])
        unit = float(values.std()) if relative else 1.0
        squares, stages = np.zeros(4), set()
        for split in case.splits:
            ours = fit(split, case.k)
            plain = fit(split, case.k, biases=False)
            errors = [*baselines(split), score(split, plain), score(split, ours)]
            squares += len(split.held_values) / len(values) * np.square(errors)
            stages.add(ours.stages)
        low, high = min(stages), max(stages)
        report.row(
            case.name, f"{round(statistics.mean(len(s.values) for s in case.splits)):,}", case.k,
            *(shown(error / unit) for error in (case.noise, *np.sqrt(squares))),
            low if low == high else f"{low} – {high}",
        )  # fmt: skip


def planted(
    m: int, n: int, share: float, rank: int, noise: float, skewed: bool = False, seed: int = 0
) -> Case:
    """Products of normal or log-normal factors; the noise is in their standard deviations."""
    key = [seed, m, n, int(1000 * share), rank, int(1000 * noise), 6 if skewed else 5]
    rng = np.random.default_rng(key)
    x, y = rng.standard_normal((m, rank)), rng.standard_normal((rank, n))
    truth = np.exp(x) @ np.exp(y) if skewed else x @ y
    sigma = noise * truth.std()
    truth += sigma * rng.standard_normal((m, n))
    observed = rng.random((m, n)) < share
    held = (rng.random((m, n)) < 0.1)[observed]
    name = f"{m} x {n}, {share:.0%}, rank {rank}, noise {noise:g}"
    split = parted(name, *np.nonzero(observed), truth[observed], (m, n), held)
    return Case(name + ", log-normal factors" * skewed, 20, [split], sigma)


def few(m: int, n: int, rank: int, noise: float, n_entries: int, seed: int) -> data.Split:
    """Normal factors, and a tenth more entries than are trained on."""
    rng = np.random.default_rng(seed)
    truth = rng.normal(size=(m, rank)) @ rng.normal(size=(rank, n))
    truth = truth / (truth.std() or 1.0) + noise * rng.normal(size=(m, n))
    chosen = rng.permutation(m * n)[: int(n_entries * 1.1)]
    test = np.arange(len(chosen)) >= n_entries
    return parted("", chosen // n, chosen % n, truth.ravel()[chosen], (m, n), test)


def stars(m: int, n: int, rank: int, share: float, count: int) -> list[data.Split]:
    """A positive level of rows and columns, tastes of either sign, noise, and half stars."""
    splits = []
    for seed in range(500, 500 + count):
        rng = np.random.default_rng(seed)
        values = np.outer(rng.uniform(1.2, 2.2, m), rng.uniform(1.2, 2.2, n))
        values += rng.normal(0, 0.6, (m, rank - 1)) @ rng.normal(0, 0.6, (rank - 1, n))
        values += rng.normal(0, 0.3, values.shape)
        values = np.clip(np.round(2 * values) / 2, 0.5, 5)
        rows, cols = np.nonzero(rng.random(values.shape) < share)
        test = rng.random(len(rows)) < 0.15
        if test.any() and np.sum(~test) > 9:
            splits.append(parted("", rows, cols, values[rows, cols], (m, n), test))
    return splits


def falling(m: int, n: int, share: float, noise: float) -> data.Split:
    """As noisy measurements of many properties of few samples: singular values fall slowly."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((m, m)) / np.sqrt(np.sqrt(1.0 + np.arange(m)))
    truth = x @ rng.standard_normal((m, n))
    truth = truth / truth.std() + noise * rng.standard_normal((m, n)) + rng.normal(0, 0.5, n)
    hidden = rng.random((m, n)) < share
    return parted("", *np.indices((m, n)).reshape(2, -1), truth.ravel(), (m, n), hidden.ravel())


def tails(spread: float, seed: int) -> data.Split:
    """Exponentials of normal numbers."""
    rng = np.random.default_rng(seed)
    m, n = 300, 200
    z = np.add.outer(rng.normal(size=m), rng.normal(size=n)) + 0.5 * rng.normal(size=(m, n))
    z += 0.5 * rng.normal(size=(m, 2)) @ rng.normal(size=(2, n))
    return exact(np.exp(spread * z / z.std()))


def through_logarithms(splits: list[data.Split]) -> float:
    """The RMSE of the exponentials of what is predicted for logarithms."""
    predicted = []
    for split in splits:
        found = fit(split._replace(values=np.log(split.values)), 20)
        assert found.noise is not None
        # The mean of the exponential of a normal number.
        logarithms = found.predict(split.held_rows, split.held_cols).astype(float)
        predicted.append(np.exp(logarithms + found.noise**2 / 2))
    held = np.concatenate([split.held_values for split in splits])
    return rmse(np.concatenate(predicted), held) / float(held.std())


def exact(values: np.ndarray) -> data.Split:
    """A sixth of a matrix, of which a tenth is held out."""
    rng = np.random.default_rng(0)
    rows, cols = np.nonzero(rng.random(values.shape) < 0.17)
    return parted("", rows, cols, values[rows, cols], values.shape, rng.random(len(rows)) < 0.1)


def generated() -> Iterator[Case]:
    yield planted(100, 100, 0.5, 3, 0.1)
    for share in (0.17, 0.5):
        for noise in (0.0, 0.1, 0.5, 2.0):
            yield planted(300, 200, share, 5, noise)
    for noise in (0.1, 0.5):
        yield planted(1000, 400, 0.1, 10, noise)
    for noise in (0.1, 0.5):
        yield planted(1000, 1000, 0.3, 5, noise)
    for share in (0.17, 0.5):
        yield planted(300, 200, share, 3, 0.1, skewed=True)
    for n in (1000, 3000, 6000):
        made = [few(300, 200, 5, 0.5, n, seed) for seed in range(3)]
        yield Case(f"300 x 200, {n:,} entries, rank 5, noise 0.5", 8, made, 0.5)
    made = [few(500, 300, 5, 0.33, 15_000, seed) for seed in range(3)]
    yield Case("500 x 300, 15,000 entries, rank 5, noise 0.33", 8, made, 0.33)
    for k in (1, 4, 16):
        made = [few(100, 80, 0, 1, 3200, seed) for seed in range(3)]
        yield Case("100 x 80, noise alone", k, made, 1.0)
    for noise in (0.0, 0.5):
        for share in SHARES:
            name = f"64 x 3000, slowly falling spectrum, noise {noise:g}, {share:.0%} hidden"
            yield Case(name, 50, [falling(64, 3000, share, noise)], noise)
    for spread in SPREADS:
        made = [tails(spread, seed) for seed in range(5)]
        yield Case(f"5 of 300 x 200, exponentials, σ {spread:g}", 20, made)
    for k in (1, 3):
        yield Case("100 of 9 x 5, 60 %, half stars", k, stars(9, 5, 1, 0.6, 100), 0.3)
    for k in (5, 10):
        yield Case("5 of 100 x 100, 70 %, rank 5, half stars", k, stars(100, 100, 5, 0.7, 5), 0.3)
    additive = np.add.outer(np.arange(300.0) % 7, 0.5 * (np.arange(200) % 5))
    yield Case("300 x 200, row + column", 20, [exact(additive)], 0.0)


def remarks(report: Report) -> None:
    through = ", ".join(
        f"{shown(through_logarithms([tails(spread, seed) for seed in range(5)]))} (σ {spread:g})"
        for spread in SPREADS
    )
    errors = {}
    for value in (7.0, 0.0, -1e-6, 1e6):
        split = exact(np.full((300, 200), value))
        errors[f"{value:g}"] = score(split, fit(split, 20))
    told = ", ".join(f"{error:g} ({value})" for value, error in errors.items())
    report.close(
        f"* Exponentials, from fits of their logarithms: {through}.",
        f"* RMSE where all values are equal: {told}.",
    )


def tables() -> Iterator[Case]:
    from sklearn import datasets

    cancer = datasets.load_breast_cancer().data
    sets = {
        "digits": datasets.load_digits().data,
        "breast cancer, standardized": (cancer - cancer.mean(0)) / cancer.std(0),
    }
    for name, table in sets.items():
        places = np.indices(table.shape).reshape(2, -1)
        for share in SHARES:
            splits = [
                parted("", *places, table.ravel(), table.shape,
                       np.random.default_rng(seed).random(table.size) < share)
                for seed in range(3)
            ]  # fmt: skip
            yield Case(f"{name}, {share:.0%} hidden", 20, splits)


# ---------------------------------------------------------------------------------- fold-in


def fold_in(report: Report, sources: Iterable[Source], ks: list[int]) -> None:
    report.table(
        "Fold-in: RMSE on ratings of new rows, of which n are known", "data", "k", "",
        *(f"n = {n}" for n in KNOWN),
    )  # fmt: skip
    for source in sources:
        for k in ks or [32 if source.large else 20]:
            errors: dict[str, list[list[float]]] = defaultdict(list)
            for seed in range(1 if source.large else 3):
                for name, row in errors_of_new_rows(source, k, seed).items():
                    errors[name].append(row)
            for name, rows in errors.items():
                means = (shown(statistics.mean(column)) for column in zip(*rows, strict=True))
                report.row(source.name, k, name, *means)
    report.close(
        f"* A tenth of the rows is new, of which those with {FEWEST} ratings or more count."
    )


def errors_of_new_rows(source: Source, k: int, seed: int) -> dict[str, list[float]]:
    rng = np.random.default_rng(900 + seed)
    held = (rng.random(source.shape[0]) < 0.1)[source.rows]
    found = fit(source.split(held), k)
    new = np.nonzero(held)[0]
    new = new[rng.permutation(len(new))]
    new = new[np.argsort(source.rows[new], kind="stable")]
    rows, cols, values = source.rows[new], source.cols[new], source.values[new]
    nth = np.arange(len(new)) - np.searchsorted(rows, rows)
    enough = np.bincount(rows)[rows] >= FEWEST
    test = enough & (nth >= max(KNOWN))
    options: dict[str, dict[str, Any]] = {"the defaults": {}}
    options["regularization=λ of training"] = {
        "regularization": found.parameters["regularization"][0]
    }
    errors: dict[str, list[float]] = {name: [] for name in options}
    for name, chosen in options.items():
        for n in KNOWN:
            some = enough & (nth < n)
            if n:
                fitted = found.fold_in_rows(
                    (rows[some], cols[some]), values[some], shape=source.shape, **chosen
                )
                predicted = fitted.predict(rows[test], cols[test])
            else:
                predicted = found.predict(np.full(test.sum(), -1), cols[test], unknown="baseline")
            errors[name].append(rmse(predicted, values[test]))
    return errors


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    add = parser.add_argument
    add("folder", nargs="?", type=Path, metavar="DIR", help="a folder of .npz files of ratings")
    add("--only", nargs="+", choices=PARTS, default=list(PARTS), help="parts to measure")
    add("--k", type=int, nargs="+", default=[], help="instead of the usual ones, on ratings")
    add("--results", metavar="DIR", type=Path, help="write a dated table there")
    options = parser.parse_args()
    warnings.simplefilter("ignore", UserWarning)  # that factors are useless, that values are wild
    date = datetime.date.today().isoformat()
    report, sources = Report(), []
    report.say(f"# Accuracy, {date}\n")
    for line in Machine.here().lines():
        report.say(line)
    report.say(f"* command: `{command_line('accuracy')}`")
    for path in sorted(options.folder.glob("*.npz")) if options.folder else []:
        source = read(path)
        if source is None:
            report.say(f"* {path.name} is skipped: it has no arrays of ratings")
        else:
            sources.append(source)
            m, n = source.shape
            report.say(f"* {source.name}: {m:,} x {n:,}, {len(source.values):,} ratings")
    wanted = options.only
    for part in FITS:
        if part in wanted and sources:
            on_ratings(report, sources, part, options.k)
    if "settings" in wanted and sources:
        settings(report, sources, options.k)
    if "seeds" in wanted and sources:
        seeds(report, sources, options.k)
    relative = "RMSE in standard deviations of held-out entries"
    if "synthetic" in wanted:
        on_cases(report, f"Generated matrices: {relative}", generated(), relative=True)
        remarks(report)
    if "tables" in wanted:
        on_cases(report, f"Tables: {relative}", tables(), relative=True)
    if "fold-in" in wanted and sources:
        fold_in(report, sources, options.k)
    if options.results is not None:
        options.results.mkdir(parents=True, exist_ok=True)
        path = options.results / f"{date}-accuracy.md"
        path.write_text("\n".join(report.lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
