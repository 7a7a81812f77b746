"""Held-out losses of the defaults, and whether other settings would be better.

    python -m benchmarks.losses DIR --results benchmarks/results
    python -m benchmarks.losses movielens-1m.npz --libmf-source libmf --k 32

The files of the folder are those of `python -m benchmarks.accuracy`.  Of every set, of its first
tenth that is held out:

logistic     whether a value is at least the median
absolute     the values
huber        the values
poisson      the values, unless some are negative
wild         absolute, Huber and squared losses where a thousandth or a hundredth of the training
             values is multiplied by 1,000; the root mean square of held-out errors

With --vegan, also counts: of species (BCI, mite, dune) of R's package vegan, whose folder of data
is given (Debian: r-cran-vegan), read by rdata of PyPI; and of ratings by groups of users and items.

With a checkout of LIBMF, instead: its best setting, and its fastest whose held-out loss is within
half a percent of that; funkc with its defaults; and funkc with the fewest epochs that are as good.
Whole calls in memory, in turn, medians of five.
"""

from __future__ import annotations

import argparse
import datetime
import math
import statistics
import tempfile
import time
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

import funkc
from benchmarks import accuracy, data, peers
from benchmarks.ratings import Load, Machine, Report, command_line

if TYPE_CHECKING:
    from collections.abc import Callable

WILD = (0.0, 0.001, 0.01)
# Of LIBMF: numbers of losses, and what is tried.
NUMBERS = {"squared": 0, "absolute": 1, "logistic": 5, "poisson": 2}
EPOCHS = (5, 7, 9, 12, 15, 20, 30, 40)
RATES = tuple((weight, rate) for weight in (0.02, 0.05, 0.1) for rate in (0.05, 0.1))  # λ, η
ROUNDS = 5
OTHERS = {"0.7 λ": (0.7, 1.0), "1.4 λ": (1.4, 1.0), "0.6 η": (1.0, 0.6), "1.6 η": (1.0, 1.6)}


def as_liked(split: data.Split, loss: str) -> data.Split | None:
    """The values that a loss is for."""
    if loss == "logistic":
        middle = np.median(split.values)
        return split._replace(
            values=split.values >= middle, held_values=split.held_values >= middle
        )
    return None if loss == "poisson" and split.values.min() < 0 else split


def rows_of(split: data.Split, loss: str, k: int) -> list[str]:
    """Losses of a level, of biases, of the defaults and of other settings."""
    held = (split.held_rows, split.held_cols), split.held_values
    judged = accuracy.fit(split, 1, loss=loss, n_epochs=1, validation=held).baseline_loss
    found = accuracy.fit(split, k, loss=loss)
    numbers = [judged["mean"], judged["biases"], accuracy.score(split, found)]
    rate, both = found.parameters["learning_rate"], found.parameters["regularization"]
    for more_regularization, more_rate in OTHERS.values():
        options: dict[str, Any] = {
            "learning_rate": rate * more_rate,
            "regularization": tuple(more_regularization * one for one in both),
            "stages": found.stages,
        }
        numbers.append(accuracy.score(split, accuracy.fit(split, k, loss=loss, **options)))
    return [f"{number:.4f}" for number in numbers]


def counts(vegan: Path, splits: list[data.Split]) -> list[data.Split]:
    """Tables of counts, of which a tenth is held out."""
    rdata = peers.package("rdata", "rdata", False)
    tables = {name: rdata.read_rda(vegan / f"{name}.rda")[name] for name in ("BCI", "mite", "dune")}
    grouped = {name: np.asarray(table, np.float32) for name, table in tables.items()}
    for split in splits:
        m, n = (-(-size // by) for size, by in zip(split.shape, (30, 20), strict=True))
        if split.values.size > 100 * m * n // 50:
            table = np.zeros((m, n), np.float32)
            np.add.at(table, (split.rows // 30, split.cols // 20), 1)
            grouped[f"{split.name}, grouped"] = table
    out = []
    for name, table in grouped.items():
        rows, cols = (one.ravel() for one in np.indices(table.shape))
        out.append(data.split(name, rows, cols, table.ravel(), (len(table), table.shape[1])))
    return out


def rmse_of_wild(split: data.Split, loss: str, k: int, share: float) -> float:
    """The error on held-out values where some that train are wild."""
    rng = np.random.default_rng(0)
    values = split.values.astype(np.float64)
    values[rng.permutation(values.size)[: int(share * values.size)]] *= 1000
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", funkc.OutlierWarning)
        found = accuracy.fit(split._replace(values=values), k, loss=loss)
    made = found.predict(split.held_rows, split.held_cols)
    return peers.rmse(made, split.held_values)


def median(one: Callable[[], float], other: Callable[[], float]) -> tuple[float, float]:
    """Of the seconds of two programs that run in turn."""
    both = [(one(), other()) for _ in range(ROUNDS)]
    return statistics.median(a for a, _ in both), statistics.median(b for _, b in both)


def against_libmf(
    report: Report, split: data.Split, drivers: list[peers.Driver], k: int, n_threads: int
) -> None:
    """A row for every loss."""
    for loss, number in NUMBERS.items():
        liked = as_liked(split, loss)
        if liked is None:
            continue
        # LIBMF takes the sign of a value for its class.
        theirs = liked
        if loss == "logistic":
            signs = [np.where(part, 1, -1) for part in (liked.values, liked.held_values)]
            theirs = liked._replace(values=signs[0], held_values=signs[1])
        tried = {}
        for driver in drivers:
            driver.loss = number
            for weight, rate in RATES:
                for epochs in EPOCHS:
                    setting = peers.Setting(k, epochs, weight, rate)
                    tried[driver, setting] = driver.fit(theirs, setting, n_threads)
        tried = {key: found for key, found in tried.items() if not math.isnan(found.rmse)}
        best = min(found.rmse for found in tried.values())

        def mean_loss(fit: funkc.Factorization, split: data.Split = liked) -> float:
            found = fit.score((split.held_rows, split.held_cols), split.held_values)
            return found**2 if fit.loss == "squared" else found

        def fit(loss: str = loss, split: data.Split = liked, **options: Any) -> Any:
            return accuracy.fit(split, k, loss=loss, n_threads=n_threads, **options)

        def seconds(fit: Callable[..., Any] = fit, **options: Any) -> float:
            began = time.perf_counter()
            fit(**options)
            return time.perf_counter() - began

        usual = mean_loss(fit())
        reached = {n: mean_loss(fit(n_epochs=n, stages=1)) for n in range(1, 21)}
        for most in (1.0, 1.005):
            good = {key: found for key, found in tried.items() if found.rmse <= most * best}
            driver, setting = min(good, key=lambda key: good[key].seconds)
            goal = good[driver, setting].rmse

            def of_libmf(
                driver: peers.Driver = driver,
                setting: peers.Setting = setting,
                theirs: data.Split = theirs,
            ) -> float:
                return driver.fit(theirs, setting, n_threads).seconds

            libmf, ours = median(of_libmf, seconds)
            report.row(
                loss, f"{goal:.4f}", f"λ {setting.regularization} η {setting.rate}",
                setting.epochs, f"{libmf:.3f}", f"{usual:.4f}", f"{ours:.3f}",
                *as_good(next((n for n in reached if reached[n] <= goal), None), of_libmf, seconds),
            )  # fmt: skip


def as_good(
    epochs: int | None, libmf: Callable[[], float], ours: Callable[..., float]
) -> tuple[str, str, str]:
    """Epochs, seconds and ratio of the shortest training that is as good."""
    if epochs is None:
        return "none", "", ""
    theirs, mine = median(libmf, lambda: ours(n_epochs=epochs, stages=1))
    return str(epochs), f"{mine:.3f}", f"{theirs / mine:.1f}"


def defaults(report: Report, splits: list[data.Split], k: int, counted: list[data.Split]) -> None:
    """Two tables."""
    report.table(
        f"Held-out loss, k = {k}; λ and η: other regularizations and learning rates",
        "data", "loss", "level", "biases", "defaults", *OTHERS,
    )  # fmt: skip
    for split in splits:
        for loss in ("logistic", "absolute", "huber", "poisson"):
            liked = as_liked(split, loss)
            if liked is not None:
                report.row(split.name, loss, *rows_of(liked, loss, k))
    for split in counted:
        report.row(split.name, "poisson", *rows_of(split, "poisson", min(k, 5)))
    report.table(
        f"RMSE of held-out values where some that train are wild, k = {k}",
        "data", "loss", *(f"{share:.1%} wild" for share in WILD),
    )  # fmt: skip
    for split in splits:
        for loss in ("squared", "absolute", "huber"):
            errors = [rmse_of_wild(split, loss, k, share) for share in WILD]
            report.row(split.name, loss, *(f"{error:.4g}" for error in errors))


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.losses", description=__doc__.splitlines()[0]
    )
    add = parser.add_argument
    add("folder", type=Path, help="a folder, or one file")
    add("--k", type=int, default=20)
    add("--threads", type=int, default=2, help="beside LIBMF")
    add("--vegan", type=Path, metavar="FOLDER", help="the data of R's package vegan")
    add("--libmf-source", type=Path, metavar="FOLDER", help="a checkout of LIBMF")
    add("--results", type=Path, metavar="DIR", help="write a page there, too")
    options = parser.parse_args()
    report = Report()
    date = datetime.date.today().isoformat()
    report.say(f"# Losses, {date}\n")
    for line in Machine.here().lines():
        report.say(line)
    report.say(f"* command: `{command_line('losses')}`")
    paths = [options.folder] if options.folder.is_file() else options.folder.glob("*.npz")
    sources = [accuracy.read(path) for path in sorted(paths)]
    splits = [source.splits[0] for source in sources if source is not None]
    if options.libmf_source:
        load = Load()
        for split in splits:
            report.table(
                f"{split.name}, k = {options.k}, {options.threads} threads: whole calls",
                "loss", "LIBMF", "by", "epochs", "s", "funkc", "s", "epochs as good", "s",
                "LIBMF / funkc",
            )  # fmt: skip
            with tempfile.TemporaryDirectory() as folder, load.watched(report, split.name):
                drivers = peers.build_drivers(options.libmf_source, peers.Files(Path(folder)))
                against_libmf(report, split, drivers, options.k, options.threads)
    else:
        defaults(report, splits, options.k, counts(options.vegan, splits) if options.vegan else [])
    report.close()
    if options.results:
        what = "losses-libmf" if options.libmf_source else "losses"
        page = options.results / f"{date}-{what}.md"
        page.write_text("\n".join([*report.lines, ""]), encoding="utf-8")


if __name__ == "__main__":
    main()
