"""``python -m funkc ratings``: train on a file of ratings, and predict others."""

from __future__ import annotations

import argparse
import csv
import io
import math
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

import funkc
from funkc import ratings as ratings_file
from funkc._bar import bar
from funkc._cli import arguments
from funkc._errors import reject
from funkc._input.cells import Draw, observed_cells
from funkc._input.loss import NAMES, Loss
from funkc._io import replacing

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from funkc.ratings import Ratings


def add(commands: Any) -> None:
    parser = arguments.command(
        commands,
        "ratings",
        run,
        "train on a file of ratings, and predict others",
        "Each line of FILE has a row id (such as a user), a column id (a movie) and a number. "
        "Ids may be any integers or texts. Text files may be CSV, TSV, separated by '::' as "
        "MovieLens .dat files, or by spaces, and may be compressed with gzip; arrays are read "
        "from .npz (NumPy) and .parquet (requires pyarrow).",
    )
    add = parser.add_argument
    add("file", metavar="FILE", type=Path, help="the ratings")
    add(
        "--columns",
        metavar="ROW,COL,VALUE",
        type=arguments.columns,
        help="columns to use: names, or numbers counted from 1 (default: rows,cols,values if "
        "there are columns of these names, otherwise the first three)",
    )
    add(
        "--delimiter",
        metavar="TEXT",
        type=arguments.delimiter,
        help=r"column separator, such as ',' ';' '::' or '\t' (default: detected in the first "
        "line)",
    )
    add(
        "--header",
        action=argparse.BooleanOptionalAction,
        help="whether the first line of FILE has names (default: if it can't be a rating)",
    )
    add(
        "--duplicates",
        choices=("error", "last", "mean", "sum"),
        default="error",
        help="how to resolve duplicate pairs of row and column (default: error)",
    )
    add("--k", type=arguments.count, default=32, help="number of factors (default: %(default)s)")
    arguments.add_training(parser)
    add(
        "--learning-rate",
        metavar="RATE",
        type=arguments.above_zero,
        help="default: chosen from the data",
    )
    add(
        "--regularization",
        metavar="LAMBDA",
        type=arguments.from_zero,
        help="default: chosen from the data",
    )
    add(
        "--members",
        metavar="N",
        type=arguments.count,
        default=1,
        help="average this many trainings from different starts (default: %(default)s)",
    )
    add(
        "--loss",
        choices=NAMES,
        default="squared",
        help="what is made small: huber or absolute where some ratings are wild, logistic for 0 "
        "and 1, poisson for counts (default: %(default)s)",
    )
    add(
        "--holdout",
        metavar="SHARE",
        type=arguments.share_or_none,
        default=0.1,
        help="fraction of the ratings to hold out, to measure the error of predictions; 0 trains "
        "on all (default: %(default)s)",
    )
    add(
        "--factors",
        metavar="OUT.npz",
        type=arguments.output,
        help="write ids and factors to this file",
    )
    add(
        "--predict",
        metavar="PAIRS_FILE",
        type=Path,
        help="predict the pairs of row id and column id in this file; requires -o",
    )
    add(
        "--pairs-header",
        action=argparse.BooleanOptionalAction,
        help="whether the first line of PAIRS_FILE has names (default: if they are the names in "
        "FILE, or are not numbers although all ids are numbers)",
    )
    add(
        "-o",
        "--output",
        metavar="OUT.csv",
        type=arguments.output,
        help="write the predictions to this file",
    )


def run(options: argparse.Namespace) -> None:
    if (options.predict is None) != (options.output is None):
        reject("--predict and -o", "must be used together", "pass both or neither")
    arguments.require_apart((options.file, options.predict), (options.output, options.factors))
    began = time.perf_counter()
    ratings = ratings_file.read(
        options.file,
        columns=options.columns,
        delimiter=options.delimiter,
        header=options.header,
        duplicates=options.duplicates,
        watch=_progress_bar,
    )
    pairs = None
    if options.predict is not None:
        pairs = ratings_file.read_pairs(
            options.predict, ratings, header=options.pairs_header, watch=_progress_bar
        )
    _describe(ratings, options.file, time.perf_counter() - began)
    trained, held = _hold_out(ratings, options.holdout, options.seed)
    fit = _train(trained, options)
    if held.values.size:
        _print_held_out(fit, trained, held)
    if options.factors is not None:
        _write_factors(options.factors, fit, ratings)
    if pairs is not None:
        _write_predictions(options.output, fit, ratings, pairs, trained)


def _progress_bar(lines: Iterable[Any]) -> Iterable[Any]:
    """The lines, with a progress bar on stderr if that is a terminal and tqdm is installed."""
    try:
        shown: Iterable[Any] = bar("reading", "lines", lines, scale=True)
    except ImportError:
        return lines
    return shown


def _describe(ratings: Ratings, path: Path, seconds: float) -> None:
    row, col, value = ratings.names
    m, n = ratings.shape
    print(f"{path}: {ratings.values.size:,} ratings, read in {seconds:.1f} s")
    print(f"  rows: {m:,} ({row})   columns: {n:,} ({col})   values: {value}")


def _hold_out(ratings: Ratings, share: float, seed: int) -> tuple[Ratings, Ratings]:
    """Training and held-out ratings, drawn as `factorize` draws a share for validation."""
    cells = observed_cells(None, ratings)
    parts = [replace(cells, draw=Draw(held, seed, share)).listed() for held in (False, True)]
    train, held = (
        replace(ratings, rows=part.rows, cols=part.cols, values=part.values) for part in parts
    )
    if not train.values.size:
        reject("--holdout", f"got {share:g}, which leaves no rating to train on", "pass less, or 0")
    print(f"  training on {train.values.size:,}, held out {held.values.size:,}")
    return train, held


def _train(trained: Ratings, options: argparse.Namespace) -> funkc.Factorization:
    loss = Loss(options.loss)

    def print_epoch(epoch: int, history: dict[str, list[float]]) -> None:
        print(f"epoch {epoch:3}   train {loss.label} {history[f'train_{loss.measure}'][-1]:.5g}")

    fit = funkc.factorize(
        (trained.rows, trained.cols),
        trained.values,
        options.k,
        shape=trained.shape,
        n_epochs=options.epochs,
        learning_rate=options.learning_rate,
        regularization=options.regularization,
        members=options.members,
        loss=options.loss,
        random_state=options.seed,
        n_threads=options.threads,
        callback=print_epoch,
    )
    print(f"trained k = {fit.k} in {fit.history['seconds'][-1]:.2f} s")
    reached = fit.noise if loss.squared else fit.history["train_loss"][-1]
    mean, alone = (loss.measured(fit.baseline_loss[name]) for name in ("mean", "biases"))
    print(
        f"training {loss.label} {reached:.5g} (of the mean {mean:.5g}, of biases alone {alone:.5g})"
    )
    return fit


def _familiar(trained: Ratings, rows: NDArray[Any], cols: NDArray[Any]) -> NDArray[np.bool_]:
    """Whether both the row and the column of a pair have ratings in the training data."""
    m, n = trained.shape
    row_seen, col_seen = np.zeros(m, bool), np.zeros(n, bool)
    row_seen[trained.rows] = True
    col_seen[trained.cols] = True
    familiar: NDArray[np.bool_] = row_seen[rows] & col_seen[cols]
    return familiar


def _print_held_out(fit: funkc.Factorization, trained: Ratings, held: Ratings) -> None:
    familiar = _familiar(trained, held.rows, held.cols)
    strange = familiar.size - np.count_nonzero(familiar)
    if strange < familiar.size:
        rows, cols, values = (part[familiar] for part in (held.rows, held.cols, held.values))
        what, error = "loss", fit.score((rows, cols), values)
        if fit.loss == "squared":
            what, error = "RMSE", math.sqrt(np.mean((fit.predict(rows, cols) - values) ** 2))
        print(f"held-out {what} {error:.5g} over {values.size:,} ratings")
    if strange:
        print(
            f"not counted: {strange:,} held-out ratings whose row or column has no training rating"
        )


def _write_factors(path: Path, fit: funkc.Factorization, ratings: Ratings) -> None:
    assert fit.row_bias is not None
    assert fit.col_bias is not None
    with replacing(path) as file:
        np.savez(
            file,
            row_ids=ratings.row_ids,
            col_ids=ratings.col_ids,
            row_factors=fit.row_factors,
            col_factors=fit.col_factors,
            row_bias=fit.row_bias,
            col_bias=fit.col_bias,
            offset=np.float64(fit.offset),
        )
    print(f"wrote ids and factors to {path}")


def _write_predictions(
    path: Path,
    fit: funkc.Factorization,
    ratings: Ratings,
    pairs: tuple[NDArray[np.int64], NDArray[np.int64]],
    trained: Ratings,
) -> None:
    rows, cols = pairs
    row_ids, col_ids = ratings.row_ids.tolist(), ratings.col_ids.tolist()
    predictions = fit.predict(rows, cols)
    with replacing(path) as file:
        text = io.TextIOWrapper(file, "utf-8", newline="")
        table = csv.writer(text, lineterminator="\n")
        table.writerow((*ratings.names[:2], "prediction"))
        table.writerows(
            (row_ids[row], col_ids[col], str(prediction))
            for row, col, prediction in zip(rows.tolist(), cols.tolist(), predictions, strict=True)
        )
        text.detach()  # flushes, and leaves the file open
    print(f"wrote {rows.size:,} predictions to {path}")
    strange = rows.size - np.count_nonzero(_familiar(trained, rows, cols))
    if strange:
        print(
            f"note: {strange:,} of them are for a row or column whose ratings were all held "
            "out, and are only typical values; --holdout 0 trains on all"
        )
