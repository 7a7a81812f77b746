"""Tables of ratings: map ids to indices, and resolve duplicates."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from funkc._core import draws as core_draws
from funkc._errors import reject, shown
from funkc._errstate import own_errstate
from funkc._input import scalars
from funkc._input.arrays import are_ratings, as_index, numeric, own_pair
from funkc._input.cells import POLICIES, in_order, observed_cells
from funkc._input.forms import require_finite
from funkc._input.ids import (
    INTEGER,
    encode,
    looked_up,
    require_sorted,
)
from funkc._input.tables import (
    NAMES,
    Table,
    Wanted,
    are_names,
    read_table,
    table_of_arrays,
    table_of_frame,
    times_of_column,
)

if TYPE_CHECKING:
    import os
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray

    from funkc._input.cells import Duplicates
    from funkc._input.tables import Watch


__all__ = ["Ratings", "encode", "read", "read_pairs"]

SORTED = "use Ratings.from_arrays, which sorts"
USUAL_NAMES = ("rows", "cols", "values")


@dataclass(frozen=True, eq=False, slots=True, repr=False)
class Ratings:
    """Ratings with ids, whose rows and columns are numbered from 0.

    Created by `Ratings.from_dataframe`, `Ratings.from_arrays` and `funkc.ratings.read`; train
    on them with ``funkc.factorize(None, ratings, k)``.

    Attributes
    ----------
    rows, cols : (c,) array of int
        Indices into `row_ids` and `col_ids`; sorted by row, then by column, no duplicates.
    values : (c,) array of float64
        The ratings.
    row_ids, col_ids : (m,) and (n,) array of int64, str or object
        The id of every row and column: sorted, as numbers if all are integers, otherwise as
        text. Text whose lengths differ extremely is an array of objects, each of them a str.
    names : tuple of str
        The names of the row, column and value columns in the file or data frame.
    weights : (c,) array of float64, or None
        The weight of each rating, in the same order, if weights were given.
    times : (c,) array of int, float64 or datetime64, or None
        The time of each rating, in the same order, if times were given; for
        `funkc.evaluation.split_time`.

    Examples
    --------
    >>> import funkc
    >>> ratings = funkc.Ratings.from_arrays(
    ...     ["ann", "bob", "ann"], [20, 100, 100], [5.0, 3.0, 4.0]
    ... )
    >>> ratings.rows, ratings.cols, ratings.values
    (array([0, 0, 1]), array([0, 1, 1]), array([5., 4., 3.]))
    >>> ratings.row_ids, ratings.col_ids
    (array(['ann', 'bob'], dtype='<U3'), array([ 20, 100]))
    >>> funkc.factorize(None, ratings, k=2).shape
    (2, 2)
    """

    rows: NDArray[np.int64]
    cols: NDArray[np.int64]
    values: NDArray[np.float64]
    row_ids: NDArray[Any]
    col_ids: NDArray[Any]
    names: tuple[str, str, str] = NAMES
    weights: NDArray[np.float64] | None = None
    times: NDArray[Any] | None = None

    def __post_init__(self) -> None:
        parts = ["rows", "cols", "values", "row_ids", "col_ids"]
        optional = [name for name in ("weights", "times") if getattr(self, name) is not None]
        for name in parts + optional:
            part = getattr(self, name)
            of_entries = not name.endswith("_ids")
            if not isinstance(part, np.ndarray) or (of_entries and part.ndim != 1):
                reject(name, f"got {shown(part)}, no 1-D array", SORTED, TypeError)
            object.__setattr__(self, name, np.asarray(part))  # without a class of its own ideas
            if of_entries and part.size != self.rows.size:
                reject(name, f"has {part.size} entries where rows has {self.rows.size}", SORTED)
        require_sorted("row_ids", self.row_ids)
        require_sorted("col_ids", self.col_ids)
        as_index("rows", self.rows, self.row_ids.size)
        as_index("cols", self.cols, self.col_ids.size)
        require_finite(self.rows, self.cols, numeric("values", self.values))
        if self.weights is not None:
            bad = ~(np.isfinite(numeric("weights", self.weights)) & (self.weights >= 0))
            if bad.any():
                at = int(np.argmax(bad))
                found = f"weights[{at}] = {self.weights[at]}"
                reject("weights", found, "pass finite numbers that are not negative")
        if self.times is not None:
            times_of_column(self.times, "times", "the time", "times[{}]".format)
        _require_sorted(self.rows, self.cols, self.col_ids.size)

    def __repr__(self) -> str:
        more = "".join(
            f", {name}" for name in ("weights", "times") if getattr(self, name) is not None
        )
        return f"Ratings(shape={self.shape}, entries={self.values.size}, names={self.names}{more})"

    @property
    def shape(self) -> tuple[int, int]:
        """The numbers of rows and columns."""
        return self.row_ids.size, self.col_ids.size

    @staticmethod
    @own_errstate
    def from_arrays(
        row_ids: ArrayLike,
        col_ids: ArrayLike,
        values: ArrayLike,
        *,
        weight: ArrayLike | None = None,
        time: ArrayLike | None = None,
        duplicates: Duplicates = "error",
    ) -> Ratings:
        """Map the ids in columns of equal length to indices.

        Parameters
        ----------
        row_ids, col_ids : (c,) array of int or str
            Any ids, as an array, a list, or a column of a data frame. An integer and its
            decimal text are the same id.
        values : (c,) array
            The ratings, of any real dtype.
        weight : (c,) array, optional
            The weight of each rating, in the order of the columns: finite and not negative.
            The weights are sorted with the ratings, and apply wherever the ratings are used.
        time : (c,) array, optional
            The time of each rating: numbers, or dates as datetime64 or text in ISO 8601 (for
            `funkc.evaluation.split_time`).
        duplicates : {"error", "last", "mean", "sum"}, default "error"
            How to resolve duplicate pairs of row and column; with times, "last" is the latest one.
            Not together with `weight`, unless it is "error".

        Returns
        -------
        Ratings

        Raises
        ------
        ValueError, TypeError
            Invalid input; the message names column, position (from 0) and remedy.

        Examples
        --------
        >>> from funkc import Ratings
        >>> ratings = Ratings.from_arrays(["b", "a", "b"], [7, 7, 7], [1, 2, 3], duplicates="mean")
        >>> ratings.row_ids, ratings.values
        (array(['a', 'b'], dtype='<U1'), array([2., 2.]))
        """
        return Ratings._of(
            "ratings",
            {"row_ids": row_ids, "col_ids": col_ids, "values": values},
            None if weight is None else ("weight", weight),
            None if time is None else ("time", time),
            duplicates,
        )

    @staticmethod
    def _of(
        source: str,
        columns: dict[str, Any],
        weight: tuple[str, Any] | None,
        time: tuple[str, Any] | None,
        duplicates: Duplicates,
    ) -> Ratings:
        """Of columns with the names that they have in errors."""
        table = table_of_arrays(
            source, list(columns), list(columns.values()), "position {}".format, weight, time
        )
        return _ratings(replace(table, names=NAMES), source, duplicates)

    @staticmethod
    @own_errstate
    def from_dataframe(
        df: Any,
        *,
        row: Any,
        col: Any,
        value: Any,
        weight: Any = None,
        time: Any = None,
        duplicates: Duplicates = "error",
    ) -> Ratings:
        """Map the ids in two columns of a data frame to indices.

        Parameters
        ----------
        df : data frame
            Of pandas or polars; a pyarrow Table or RecordBatch; a mapping of names to 1-D
            columns; or anything with ``__arrow_c_stream__``, which requires pyarrow. The
            index of pandas is ignored.
        row, col, value : str
            Names of the columns of row ids, column ids and ratings. Ids are integers or text,
            also categories; an integer and its decimal text are the same id. Other columns
            are ignored.
        weight : str, optional
            Name of the column of weights of the ratings: finite numbers that are not negative.
            The weights are sorted with the ratings, and apply wherever the ratings are used.
        time : str, optional
            Name of the column of times of the ratings: numbers, or dates.
        duplicates : {"error", "last", "mean", "sum"}, default "error"
            How to resolve duplicate pairs of row and column; with times, "last" is the latest one.
            Not together with `weight`, unless it is "error".

        Returns
        -------
        Ratings

        Raises
        ------
        ValueError, TypeError
            A column is missing, or has an invalid (or missing) id or number; the message names
            column, position (from 0) and remedy.
        ImportError
            pyarrow is required but not installed.

        Examples
        --------
        >>> from funkc import Ratings
        >>> df = {"user": ["bob", "ann"], "film": ["Up", "Jaws"], "stars": [4, 5], "year": [1, 2]}
        >>> ratings = Ratings.from_dataframe(df, row="user", col="film", value="stars")
        >>> ratings.row_ids[ratings.rows], ratings.col_ids[ratings.cols], ratings.values
        (array(['ann', 'bob'], dtype='<U3'), array(['Jaws', 'Up'], dtype='<U4'), array([5., 4.]))
        """
        table = table_of_frame(df, row, col, value, weight, time)
        return _ratings(table, "df", duplicates)


@own_errstate
def read(
    path: str | os.PathLike[str],
    *,
    columns: Sequence[str | int] | None = None,
    delimiter: str | None = None,
    header: bool | None = None,
    duplicates: Duplicates = "error",
    watch: Watch | None = None,
) -> Ratings:
    """Read ratings from a file: a row id, a column id and a value on every line.

    Parameters
    ----------
    path : str or path
        ``.npz`` (NumPy), ``.parquet`` (requires pyarrow), or UTF-8 text of any other name:
        CSV, TSV, ``::`` (MovieLens), or separated by spaces, also compressed as ``.gz``.
    columns : three of str or int, optional
        Names or positions (from 0) of row id, column id and value. By default the columns
        rows, cols, values if they exist, otherwise the first three (of an ``.npz``: the first
        three one-dimensional arrays of equal length). Other columns are ignored.
    delimiter : str, optional
        Column separator of text; by default detected in the first line. A space means any
        white space.
    header : bool, optional
        Whether the first line of text has names; by default, if it can't be a rating.
    duplicates : {"error", "last", "mean", "sum"}, default "error"
        How to resolve duplicate pairs of row and column.
    watch : callable, optional
        Takes the lines of text as an iterable, and returns an iterable of the same lines:
        a progress bar such as ``tqdm.tqdm``.

    Returns
    -------
    Ratings

    Raises
    ------
    ValueError
        Invalid input; the message names file, line, text and remedy.
    OSError
        The file can't be opened.
    ImportError
        pyarrow is required but not installed.

    Examples
    --------
    >>> import tempfile, os
    >>> from funkc import ratings
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = os.path.join(folder, "ratings.csv")
    ...     with open(path, "x") as file:
    ...         print("user,film,stars", "bob,7,4", "ann,7,5", sep=chr(10), file=file)
    ...     table = ratings.read(path)
    >>> table.row_ids, table.values, table.names
    (array(['ann', 'bob'], dtype='<U3'), array([5., 4.]), ('user', 'film', 'stars'))
    """
    path = Path(scalars.path("path", path))
    header = None if header is None else scalars.flag("header", header)
    watch = scalars.callback(watch, "lines", "watch")
    wanted = Wanted(3, columns, USUAL_NAMES, are_names)
    table = read_table(path, wanted, delimiter, header, watch)
    return _ratings(table, str(path), duplicates)


def read_pairs(
    path: str | os.PathLike[str],
    ratings: Ratings,
    *,
    delimiter: str | None = None,
    header: bool | None = None,
    watch: Watch | None = None,
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Read pairs of a row id and a column id, as indices.

    Parameters
    ----------
    path : str or path
        A file in any format of `read`. The columns are those with the names of the columns
        of the ratings if they exist, otherwise the first two.
    ratings : Ratings
        The ratings that define the ids.
    delimiter, header, watch
        As for `read`.

    Returns
    -------
    rows, cols : array of int64
        Indices, in the order of the file.

    Raises
    ------
    ValueError, OSError, ImportError
        As for `read`, and for an id that is not in the ratings.

    Examples
    --------
    >>> import tempfile, os
    >>> from funkc import ratings
    >>> known = ratings.Ratings.from_arrays(["bob", "ann"], [7, 9], [4.0, 5.0])
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = os.path.join(folder, "wanted.csv")
    ...     with open(path, "x") as file:
    ...         print("bob,9", "ann,7", sep=chr(10), file=file)
    ...     ratings.read_pairs(path, known)
    (array([1, 0]), array([1, 0]))
    """
    if not are_ratings(ratings):
        reject("ratings", f"got {shown(ratings)}", "pass funkc.Ratings", TypeError)
    path = Path(scalars.path("path", path))
    header = None if header is None else scalars.flag("header", header)
    watch = scalars.callback(watch, "lines", "watch")
    names = ratings.names[:2]

    def are_names(fields: Sequence[str]) -> bool:
        if tuple(text.casefold() for text in fields) == tuple(map(str.casefold, names)):
            return True
        numbered = ratings.row_ids.dtype.kind == ratings.col_ids.dtype.kind == "i"
        return numbered and not any(map(INTEGER.fullmatch, fields))

    table = read_table(path, Wanted(2, None, names, are_names), delimiter, header, watch)
    positions = []
    for what, side, known in (
        ("row", table.rows, ratings.row_ids),
        ("column", table.cols, ratings.col_ids),
    ):
        found = looked_up(side.ids, known)[side.positions]
        if (found < 0).any():
            at = int(np.argmax(found < 0))
            stranger = shown(side.ids.item(side.positions[at]))
            reject(
                f"{path}, {table.place(at)}",
                f"{what} id {stranger} does not occur among the ratings",
                "leave the line out" + (", or say that it is a header" if at == 0 else ""),
            )
        positions.append(found)
    return positions[0], positions[1]


def sample_unobserved(
    ratings: Ratings, *, per_row: int = 1, random_state: Any = 0
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Draw entries that have no rating, such as negatives for ``loss="logistic"``.

    Parameters
    ----------
    ratings : Ratings
        The ratings that there are.
    per_row : int, default 1
        How many columns to draw for each row that has ratings: all are different, each of those
        without a rating is equally likely, and where there are fewer, all of them are taken.
    random_state : int, numpy.random.Generator, numpy.random.RandomState or None, default 0
        The seed. The same seed gives the same entries on every machine.

    Returns
    -------
    rows, cols : (c,) array of int64
        Indices of rows and columns, by row and then by column.

    Examples
    --------
    >>> import numpy as np
    >>> import funkc
    >>> liked = funkc.Ratings.from_arrays(["ann", "ann", "bob"], ["a", "b", "c"], [1, 1, 1])
    >>> rows, cols = funkc.ratings.sample_unobserved(liked, per_row=2)
    >>> [(str(liked.row_ids[i]), str(liked.col_ids[j])) for i, j in zip(rows, cols)]
    [('ann', 'c'), ('bob', 'a'), ('bob', 'b')]
    >>> fit = funkc.factorize(
    ...     (np.append(liked.rows, rows), np.append(liked.cols, cols)),
    ...     np.append(liked.values, np.zeros(rows.size)), 1, shape=liked.shape, loss="logistic",
    ... )
    """
    if not are_ratings(ratings):
        reject("ratings", f"got {shown(ratings)}", "pass funkc.Ratings", TypeError)
    m, n = ratings.shape
    wanted = scalars.integer("per_row", per_row, 1, 2**31 - 1)
    seed = scalars.seed_of(random_state)
    rows, cols = own_pair("ratings", ratings.rows, ratings.cols, (m, n))
    _require_sorted(rows, cols, n)  # arrays may have been written to since they were checked
    first = np.searchsorted(rows, np.arange(m + 1)).astype(np.int64)
    seen = np.diff(first)
    most = int(np.minimum(wanted, n - seen)[seen > 0].sum())
    scalars.require_memory(16 * most, f"{most:,} entries", "lower per_row")
    drawn = np.empty(most, np.int64), np.empty(most + 1, np.int64)
    core_draws.unobserved(first, cols, n, wanted, seed, *drawn)
    return drawn[0], drawn[1][:most]


def _require_sorted(rows: NDArray[Any], cols: NDArray[Any], n_cols: int) -> None:
    keys, order = in_order(rows, cols, n_cols)
    if order is not None or (keys[1:] == keys[:-1]).any():
        reject("rows", "are not sorted with cols, each pair once", SORTED)


def _ratings(table: Table, source: str, duplicates: Duplicates) -> Ratings:
    if not table.rows.positions.size:
        reject(source, "holds no ratings", "pass at least one")
    duplicates = scalars.choice("duplicates", duplicates, POLICIES)
    rows, cols, values, weights, times = (
        table.rows.positions,
        table.cols.positions,
        table.values,
        table.weights,
        table.times,
    )
    if duplicates == "error":
        order = _order_once(table, source)
        rows, cols, values = rows[order], cols[order], values[order]
        weights = None if weights is None else weights[order]
        times = None if times is None else times[order]
    elif weights is not None:
        found = f'is given together with duplicates="{duplicates}"'
        reject("weight", found, "resolve the duplicates first")
    else:
        shape = (table.rows.ids.size, table.cols.ids.size)
        if times is not None:
            order = np.argsort(times, kind="stable")
            rows, cols, values, times = rows[order], cols[order], values[order], times[order]
            order = np.lexsort((cols, rows))
            latest = (np.diff(rows[order], append=-1) != 0) | (np.diff(cols[order], append=-1) != 0)
            times = times[order[latest]]
        cells = observed_cells((rows, cols), values, shape=shape, duplicates=duplicates)
        rows, cols, values = cells.rows, cells.cols, cells.values
    return Ratings(
        rows.astype(np.int64, copy=False),
        cols.astype(np.int64, copy=False),
        values.astype(np.float64, copy=False),
        table.rows.ids,
        table.cols.ids,
        (table.names[0], table.names[1], table.names[2]),
        weights,
        times,
    )


def _order_once(table: Table, source: str) -> NDArray[np.intp]:
    """The order that sorts the entries by row and column; an error for duplicates."""
    rows, cols = table.rows.positions, table.cols.positions
    order = np.lexsort((cols, rows))
    rows, cols = rows[order], cols[order]
    again = (np.diff(rows) == 0) & (np.diff(cols) == 0)
    if again.any():
        at = int(np.argmax(again))
        reject(
            f"{source}, {table.place(int(order[at + 1]))}",
            f"row id {shown(table.rows.ids.item(rows[at]))} and column id "
            f"{shown(table.cols.ids.item(cols[at]))} already occur in "
            f"{table.place(int(order[at]))}",
            "set duplicates to last, mean or sum to resolve them",
        )
    return order
