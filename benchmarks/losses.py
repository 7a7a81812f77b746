"""Held-out losses of the defaults, and whether other settings would be better.

    python -m benchmarks.losses DIR --results benchmarks/results

The files of the folder are those of `python -m benchmarks.accuracy`.  Of every set, of its first
tenth that is held out:

logistic     whether a value is at least the median
absolute     the values
huber        the values
poisson      the values, unless some are negative
wild         absolute, Huber and squared losses where a thousandth or a hundredth of the training
             values is multiplied by 1,000; the root mean square of held-out errors
"""

from __future__ import annotations

import argparse
import datetime
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

import funkc
from benchmarks import accuracy, peers
from benchmarks.ratings import Machine, Report, command_line

if TYPE_CHECKING:
    from benchmarks import data

WILD = (0.0, 0.001, 0.01)
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


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.losses", description=__doc__.splitlines()[0]
    )
    add = parser.add_argument
    add("folder", type=Path)
    add("--k", type=int, default=20)
    add("--results", type=Path, metavar="DIR", help="write a page there, too")
    options = parser.parse_args()
    report = Report()
    date = datetime.date.today().isoformat()
    report.say(f"# Losses, {date}\n")
    for line in Machine.here().lines():
        report.say(line)
    report.say(f"* command: `{command_line('losses')}`")
    sources = [accuracy.read(path) for path in sorted(options.folder.glob("*.npz"))]
    splits = [source.splits[0] for source in sources if source is not None]
    report.table(
        f"Held-out loss, k = {options.k}; λ and η: other regularizations and learning rates",
        "data", "loss", "level", "biases", "defaults", *OTHERS,
    )  # fmt: skip
    for split in splits:
        for loss in ("logistic", "absolute", "huber", "poisson"):
            liked = as_liked(split, loss)
            if liked is not None:
                report.row(split.name, loss, *rows_of(liked, loss, options.k))
    report.table(
        f"RMSE of held-out values where some that train are wild, k = {options.k}",
        "data", "loss", *(f"{share:.1%} wild" for share in WILD),
    )  # fmt: skip
    for split in splits:
        for loss in ("squared", "absolute", "huber"):
            errors = [rmse_of_wild(split, loss, options.k, share) for share in WILD]
            report.row(split.name, loss, *(f"{error:.4g}" for error in errors))
    report.close()
    if options.results:
        page = options.results / f"{date}-losses.md"
        page.write_text("\n".join([*report.lines, ""]), encoding="utf-8")


if __name__ == "__main__":
    main()
