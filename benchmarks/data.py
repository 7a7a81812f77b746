"""Ratings to measure on: generated in the shape of the field's data, or read from a file."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np

from funkc import ratings

# A rating as LIBMF holds it (mf_node).
NODE = np.dtype([("row", "i4"), ("col", "i4"), ("value", "f4")])
LINES_AT_ONCE = 1 << 20


class Ratings(NamedTuple):
    """All ratings there are; `split(*these, seed=1)` holds a part of them out."""

    name: str
    rows: np.ndarray
    cols: np.ndarray
    values: np.ndarray
    shape: tuple[int, int]


class Split(NamedTuple):
    """Ratings to train on, and ratings held out of rows and columns that occur in training."""

    name: str
    rows: np.ndarray  # int32
    cols: np.ndarray
    values: np.ndarray  # float32
    shape: tuple[int, int]
    held_rows: np.ndarray
    held_cols: np.ndarray
    held_values: np.ndarray


def split(
    name: str,
    rows: np.ndarray,
    cols: np.ndarray,
    values: np.ndarray,
    shape: tuple[int, int],
    seed: int = 0,
    held: float = 0.1,
) -> Split:
    """Hold out a random part."""
    rows, cols = rows.astype(np.int32), cols.astype(np.int32)
    values = values.astype(np.float32)
    test = np.random.default_rng(seed).random(len(values)) < held
    train = ~test
    row_seen, col_seen = np.zeros(shape[0], bool), np.zeros(shape[1], bool)
    row_seen[rows[train]] = True
    col_seen[cols[train]] = True
    test &= row_seen[rows] & col_seen[cols]
    return Split(
        name, rows[train], cols[train], values[train], shape, rows[test], cols[test], values[test]
    )


def plant(n_rows: int, n_cols: int, n_cells: int, seed: int = 0) -> Ratings:
    """Half stars of a planted model of rank 16, log-normal rows and Zipf-like columns."""
    rng = np.random.default_rng(seed)
    row_share = rng.lognormal(0, 1, n_rows)
    col_share = 1 / (np.arange(n_cols) + 20.0) ** 0.9
    cells = np.empty(0, np.int64)
    while cells.size < n_cells:
        missing = int((n_cells - cells.size) * 1.3) + 1000
        row = rng.choice(n_rows, missing, p=row_share / row_share.sum())
        col = rng.choice(n_cols, missing, p=col_share / col_share.sum())
        cells = np.unique(np.concatenate([cells, row * n_cols + col]))
    cells = rng.permutation(cells)[:n_cells]
    rows, cols = np.divmod(cells, n_cols)
    x, y = (rng.normal(0, 0.4, (n, 16)).astype(np.float32) for n in (n_rows, n_cols))
    bias = rng.normal(0, 0.35, n_rows)[rows] + rng.normal(0, 0.35, n_cols)[cols]
    signal = np.concatenate(
        [
            np.einsum("cf,cf->c", x[rows[at : at + 2**20]], y[cols[at : at + 2**20]])
            for at in range(0, n_cells, 2**20)
        ]
    )
    noisy = 3.5 + bias + signal + rng.normal(0, 0.72, n_cells)
    values = np.clip(np.round(noisy * 2) / 2, 0.5, 5)
    name = f"{n_rows:,} x {n_cols:,}, {n_cells:,} generated"
    return Ratings(name, rows, cols, values, (n_rows, n_cols))


# Ratings of the films of MovieLens-1M (3,706; F. M. Harper, J. A. Konstan, "The MovieLens
# datasets", 2015) in order of popularity: after which part of the films, and how many.
POPULARITY = (
    (0, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1),
    (3428, 2590, 2288, 1785, 1448, 1052, 730, 429, 280, 188, 123, 74, 44, 23, 7, 1),
)


def sparse(n_rows: int, n_cols: int, n_cells: int, seed: int = 0) -> Split:
    """Half stars at random, all to train on (one is also held out, for programs that need one).

    Rows are equally likely, columns as popular as films in MovieLens-1M.
    """
    rng = np.random.default_rng(seed)
    share = np.cumsum(np.interp((np.arange(n_cols) + 0.5) / n_cols, *POPULARITY))
    cells = np.empty(0, np.int64)
    while cells.size < n_cells:
        missing = int((n_cells - cells.size) * 1.15) + 1000
        row = rng.integers(0, n_rows, missing)
        col = np.searchsorted(share, rng.random(missing) * share[-1])
        cells = np.unique(np.concatenate([cells, row * n_cols + np.minimum(col, n_cols - 1)]))
    cells = rng.permutation(cells)[:n_cells]
    rows, cols = (part.astype(np.int32) for part in np.divmod(cells, n_cols))
    cols = rng.permutation(n_cols).astype(np.int32)[cols]
    values = (rng.integers(1, 11, n_cells) / 2).astype(np.float32)
    name = f"{n_rows:,} x {n_cols:,}, {n_cells:,} ratings"
    shape = (n_rows, n_cols)
    return Split(name, rows, cols, values, shape, rows[:1], cols[:1], values[:1])


def load(path: str) -> Ratings:
    """A file of ratings, as the command line reads them."""
    table = ratings.read(path)
    return Ratings(Path(path).name, table.rows, table.cols, table.values, table.shape)


def generate(n_rows: int, n_cols: int, n_cells: int, seed: int = 0) -> Split:
    """Planted ratings, a tenth of them held out."""
    return split(*plant(n_rows, n_cols, n_cells, seed))


def read(path: str) -> Split:
    """The ratings of a file, a tenth of them held out."""
    return split(*load(path))


def write_binary(path: Path, rows: np.ndarray, cols: np.ndarray, values: np.ndarray) -> None:
    """Ratings one after another, as they would lie in LIBMF's memory."""
    nodes = np.empty(len(values), NODE)
    nodes["row"], nodes["col"], nodes["value"] = rows, cols, values
    nodes.tofile(path)


def write_text(path: Path, rows: np.ndarray, cols: np.ndarray, values: np.ndarray) -> None:
    """Lines of `row col value`, the numbers padded with spaces to columns of one width.

    Every number that occurs is turned into text once; the lines are then put together from
    those texts, which is tens of times as fast as printing them one by one.
    """
    columns = []
    for numbers in (rows, cols, values):
        distinct, which = np.unique(numbers, return_inverse=True)
        texts = np.array([b"%.9g " % number for number in distinct.tolist()])
        letters = texts.view(np.uint8).reshape(len(texts), -1)
        columns.append((np.where(letters == 0, ord(" "), letters).astype(np.uint8), which))
    with path.open("wb") as file:
        for first in range(0, len(values), LINES_AT_ONCE):
            parts = [letters[which[first : first + LINES_AT_ONCE]] for letters, which in columns]
            newlines = np.full((len(parts[0]), 1), ord("\n"), np.uint8)
            file.write(np.concatenate([*parts, newlines], axis=1).tobytes())
