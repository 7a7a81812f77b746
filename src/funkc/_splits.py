"""Splits of entries into those to train on and those to test with."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from funkc._core import draws
from funkc._errors import reject
from funkc._errstate import own_errstate
from funkc._input.arrays import are_ratings
from funkc._input.ids import as_column, looked_up
from funkc._input.scalars import choice, integer, plain, seed_of
from funkc._input.split import MOST_FOLDS, Entries, Split, mask_and_values, share_of
from funkc._input.tables import columns_of, times_of_column
from funkc.ratings import Ratings

if TYPE_CHECKING:
    from numpy.typing import NDArray

# Design
# a. Every entry has a random number, which depends on its row, its column and the seed alone, and
#    the smallest ones are held out: the order of listing leaves no trace.
# b. What is left over has larger numbers, among which the smallest are as random as any.  So a part
#    of a part, drawn by the same seed, is a fair sample.  (Those under a bound would be gone.)
#    `factorize(validation=)` and `cross_validate(cv=)` have streams of their own, for the same
#    reason.


@own_errstate
def split_random(
    data: Any,
    test: float = 0.1,
    *,
    random_state: Any = 0,
    row: Any = None,
    col: Any = None,
    value: Any = None,
) -> Split:
    """Hold out a random share of the entries.

    Parameters
    ----------
    data : Ratings, pair, array, sparse array or data frame
        The observed entries: Ratings; a pair ((rows, cols), values) or (mask, values); a matrix
        with NaN or a mask where it is not observed; a sparse one; or a data frame of ratings, with
        `row`, `col` and `value`. Each entry may occur once.
    test : float, default 0.1
        The share that is held out, to the nearest number of entries.
    random_state : int, numpy.random.Generator, numpy.random.RandomState or None, default 0
        The seed.
    row, col, value : str, optional
        Of a data frame with one rating in every row: the names of its columns of row ids, column
        ids and values. Without them, a data frame is a matrix.

    Returns
    -------
    Split

    Raises
    ------
    ValueError, TypeError
        Invalid input, an entry that occurs twice, or a split without entries on one side.

    Examples
    --------
    >>> import numpy as np
    >>> from funkc import evaluation
    >>> evaluation.split_random(np.ones((20, 30)), test=0.2)
    Split(train=480, test=120, shape=(20, 30))
    """
    entries = _entries(data, row, col, value)
    held = _smallest(_keys(entries, seed_of(random_state)), share_of("test", test))
    return _split(entries, held, test=test)


@own_errstate
def split_time(
    data: Any,
    test: float | None = None,
    *,
    last: int | None = None,
    time: Any = None,
    row: Any = None,
    col: Any = None,
    value: Any = None,
) -> Split:
    """Hold out the newest entries: of all, or of each row.

    Parameters
    ----------
    data : Ratings, pair, array, sparse array or data frame
        As for `split_random`.
    test : float, optional
        The share that is held out of all entries, by default 0.1. Entries of the same time stay
        together: the nearest share that this allows.
    last : int, optional
        Instead, so many entries of each row, the newest ones (of the same time, those of the last
        columns). Rows with no more than so many entries stay in training.
    time : (c,) or (m, n) array, or str, optional
        The times, in the order of the entries (numbers, or dates as datetime64): of a data frame,
        also the name of the column. Ratings have their own: `Ratings.from_arrays` and
        `Ratings.from_dataframe` take them.
    row, col, value : str, optional
        As for `split_random`.

    Returns
    -------
    Split

    Raises
    ------
    ValueError, TypeError
        Invalid input, no times, or a split without entries on one side.

    Examples
    --------
    >>> from funkc import evaluation
    >>> rows, cols, values = [0, 0, 0, 1, 1], [0, 1, 2, 0, 1], [1.0, 2, 3, 4, 5]
    >>> evaluation.split_time(((rows, cols), values), last=1, time=[5, 9, 2, 4, 1]).test
    array([1, 3])
    """
    entries = _with_times(_entries(data, row, col, value, time), data, time)
    times = np.asarray(entries.times)
    if last is None:
        share = share_of("test", 0.1 if test is None else test)
        different, first = np.unique(np.sort(times), return_index=True)
        if different.size < 2:
            reject("time", f"is the same for all {times.size} entries", "pass different times")
        nearest = np.argmin(np.abs(first[1:] - (1 - share) * times.size)) + 1
        held = times >= different[nearest]
        return _split(entries, held, test=share)
    if test is not None:
        reject("test", f"got {test!r} as well as last", "pass one of both")
    number = integer("last", last, 1, 2**31 - 1)
    held = _last(entries, number, entries.cols, np.unique(times, return_inverse=True)[1])
    return _split(entries, held, last=last)


@own_errstate
def leave_one_out(
    data: Any, *, random_state: Any = 0, row: Any = None, col: Any = None, value: Any = None
) -> Split:
    """Hold out one random entry of each row.

    Parameters
    ----------
    data, row, col, value
        As for `split_random`. Rows with a single entry stay in training.
    random_state : int, numpy.random.Generator, numpy.random.RandomState or None, default 0
        The seed.

    Returns
    -------
    Split

    Raises
    ------
    ValueError, TypeError
        As for `split_random`.

    Examples
    --------
    >>> import numpy as np
    >>> from funkc import evaluation
    >>> evaluation.leave_one_out(np.ones((4, 3)))
    Split(train=8, test=4, shape=(4, 3))
    """
    entries = _entries(data, row, col, value)
    held = _last(entries, 1, _keys(entries, seed_of(random_state)))
    if not held.any():
        reject("data", "has no row with two entries", "pass data with some")
    return _split(entries, held, data=data)


@own_errstate
def split_rows(
    data: Any,
    test: float = 0.1,
    *,
    given: float = 0.5,
    random_state: Any = 0,
    row: Any = None,
    col: Any = None,
    value: Any = None,
) -> Split:
    """Hold out whole rows, some of whose entries are given: to test with new rows.

    Parameters
    ----------
    data, row, col, value
        As for `split_random`.
    test : float, default 0.1
        The share of the rows that are held out.
    given : float or int, default 0.5
        Which of their entries are given: a share of each row, rounded down, or the number in each
        row. A number of 0 gives nothing; rows with no more entries than given are left out.
    random_state : int, numpy.random.Generator, numpy.random.RandomState or None, default 0
        The seed.

    Returns
    -------
    Split
        Its `train` has no entry of the rows that are held out; ``fit.fold_in_rows`` of its
        `given_data` makes factors for them, to evaluate with `test_data`.

    Raises
    ------
    ValueError, TypeError
        As for `split_random`.

    Examples
    --------
    >>> import numpy as np
    >>> import funkc
    >>> from funkc import evaluation
    >>> ratings = np.add.outer(np.arange(20.0), np.arange(10.0))
    >>> split = evaluation.split_rows(ratings, test=0.3, given=4)
    >>> fit = funkc.factorize(*split.train_data, k=1, shape=split.shape)
    >>> new = fit.fold_in_rows(*split.given_data, shape=split.shape)
    >>> evaluation.evaluate(new, split.test_data)["rmse"] < 1
    True
    """
    entries = _entries(data, row, col, value)
    return _cold(entries, test, given, random_state, entries.rows)


@own_errstate
def split_cols(
    data: Any,
    test: float = 0.1,
    *,
    given: float = 0.5,
    random_state: Any = 0,
    row: Any = None,
    col: Any = None,
    value: Any = None,
) -> Split:
    """Hold out whole columns, some of whose entries are given: to test with new columns.

    Parameters
    ----------
    data, test, given, random_state, row, col, value
        As for `split_rows`, of columns.

    Returns
    -------
    Split

    Raises
    ------
    ValueError, TypeError
        As for `split_random`.

    Examples
    --------
    >>> import numpy as np
    >>> from funkc import evaluation
    >>> split = evaluation.split_cols(np.ones((10, 20)), test=0.25, given=3)
    >>> split.given.size, split.test.size
    (15, 35)
    """
    entries = _entries(data, row, col, value)
    turned = replace(entries, rows=entries.cols, cols=entries.rows, shape=entries.shape[::-1])
    return replace(_cold(turned, test, given, random_state, entries.cols), _entries=entries)


@own_errstate
def k_fold(
    data: Any,
    n: int = 5,
    *,
    by: Literal["cells", "rows", "cols", "time"] = "cells",
    time: Any = None,
    random_state: Any = 0,
    row: Any = None,
    col: Any = None,
    value: Any = None,
) -> list[Split]:
    """Splits for cross-validation, each of which tests with another part of the entries.

    Parameters
    ----------
    data, row, col, value
        As for `split_random`.
    n : int, default 5
        The number of splits, from 2 to 1,000.
    by : {"cells", "rows", "cols", "time"}, default "cells"
        What is assigned to folds at random: single entries, whole rows or whole columns (which
        then are new in the test). With "time", the entries are cut into n + 1 periods with about as
        many entries each; a split trains on all periods before the one that it tests with.
    time : (c,) or (m, n) array, or str, optional
        As for `split_time`.
    random_state : int, numpy.random.Generator, numpy.random.RandomState or None, default 0
        The seed.

    Returns
    -------
    list of Split

    Raises
    ------
    ValueError, TypeError
        As for `split_random`; or a fold has no entries.

    Examples
    --------
    >>> import numpy as np
    >>> from funkc import evaluation
    >>> [split.test.size for split in evaluation.k_fold(np.ones((20, 30)), 3)]
    [200, 200, 200]
    """
    entries = _entries(data, row, col, value, time)
    number, seed = integer("n", n, 2, MOST_FOLDS), seed_of(random_state)
    kind = choice("by", by, ("cells", "rows", "cols", "time"))
    if kind == "time":
        entries = _with_times(entries, data, time)
        times = np.asarray(entries.times)
        ordered = np.sort(times)
        cuts = ordered[ordered.size * np.arange(1, number + 1) // (number + 1)]
        period = np.searchsorted(cuts, times, "right")
        each = range(1, number + 1)
        return [_split(entries, period == nth, period < nth, n=number) for nth in each]
    if kind == "cells":
        fold = _ranks(_keys(entries, seed)) * number // entries.rows.size
    else:
        lines = entries.rows if kind == "rows" else entries.cols
        there, place = np.unique(lines, return_inverse=True)
        fold = (_ranks(_line_keys(there, seed)) * number // there.size)[place]
    return [_split(entries, fold == nth, n=number) for nth in range(number)]


# ---------------------------------------------------------------- what all of them share


def _entries(data: Any, row: Any, col: Any, value: Any, time: Any = None) -> Entries:
    """The entries of what a caller passes as data."""
    names: dict[str, Any] = {"row": row, "col": col, "value": value}
    missing = [name for name, given in names.items() if given is None]
    if len(missing) == 3 and isinstance(plain(time), str):
        found = f"is not given, but time={time!r} names a column"
        reject("row", found, "pass row=, col= and value=, the names of the other columns")
    if len(missing) == 3:
        return Entries.of(*mask_and_values(data))
    if missing:
        reject(missing[0], "is not given, but others are", "name row, col and value of the frame")
    ratings = Ratings.from_dataframe(data, **names)
    columns = columns_of(data, names)
    rows, cols = (
        looked_up(as_column(name, column), ids)
        for name, column, ids in zip(
            ("row", "col"), columns, (ratings.row_ids, ratings.col_ids), strict=False
        )
    )
    order = np.lexsort((cols, rows))
    values = np.empty(rows.size)
    values[order] = ratings.values
    return Entries(rows, cols, values, ratings.shape, ratings, order)


def _with_times(entries: Entries, data: Any, time: Any) -> Entries:
    """The same, with a time for each."""
    if are_ratings(data) and time is not None:
        found = "is given together with Ratings, which are sorted: the order may differ"
        reject("time", found, "pass it to Ratings.from_arrays or Ratings.from_dataframe")
    if time is None:
        if entries.times is None:
            what = "to Ratings.from_arrays or Ratings.from_dataframe" if are_ratings(data) else ""
            reject("time", "is not given", f"pass the times of the entries {what}".rstrip())
        return entries
    if isinstance(plain(time), str):
        time = columns_of(data, {"time": time})[0]
    column = as_column("time", time)
    if column.shape == entries.shape and column.ndim == 2:
        column = column[entries.rows, entries.cols]
    if column.shape != entries.rows.shape:
        found = f"has shape {column.shape} where there are {entries.rows.size} entries"
        reject("time", found, f"pass one for each entry, or an array of shape {entries.shape}")
    times = times_of_column(column, "time", "the time", "time[{}]".format)
    ratings = entries.ratings
    if entries.order is not None:
        ratings = replace(ratings, times=times[entries.order])
    return replace(entries, times=times, ratings=ratings)


def _keys(entries: Entries, seed: int) -> NDArray[np.uint64]:
    """A random number for each entry, by its row and its column; all are different."""
    out = np.empty(entries.rows.size, np.uint64)
    draws.keys(entries.rows, entries.cols, entries.shape[1], seed, out)
    return out


def _line_keys(lines: NDArray[np.int64], seed: int) -> NDArray[np.uint64]:
    """A random number for each row (or column), of another stream than those of entries."""
    out = np.empty(lines.size, np.uint64)
    draws.keys(lines, np.zeros_like(lines), 1, seed ^ (1 << 63), out)
    return out


def _ranks(keys: NDArray[np.uint64]) -> NDArray[np.int64]:
    """The place of each in ascending order."""
    ranks = np.empty(keys.size, np.int64)
    ranks[np.argsort(keys)] = np.arange(keys.size)
    return ranks


def _smallest(keys: NDArray[np.uint64], share: float) -> NDArray[np.bool_]:
    """Marks of the smallest, at least one."""
    return _ranks(keys) < max(1, math.floor(share * keys.size + 0.5))


def _places(
    lines: NDArray[np.int64], *keys: NDArray[Any]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The place of every entry among those of its row (or column), in ascending order of keys of
    which the last counts first; and how many these are.
    """
    order = np.lexsort((*keys, lines))
    ordered = lines[order]
    first, end = (np.searchsorted(ordered, ordered, side) for side in ("left", "right"))
    place, size = np.empty(lines.size, np.int64), np.empty(lines.size, np.int64)
    place[order], size[order] = np.arange(lines.size) - first, end - first
    return place, size


def _last(entries: Entries, number: int, *keys: NDArray[Any]) -> NDArray[np.bool_]:
    """Marks of the entries with the largest keys of each row that has more than so many."""
    place, size = _places(entries.rows, *keys)
    return (place >= size - number) & (size > number)


def _cold(
    entries: Entries, test: object, given: object, random_state: Any, lines: NDArray[np.int64]
) -> Split:
    """Whole rows (or columns) are held out, and some entries of each are given."""
    seed = seed_of(random_state)
    there, nth = np.unique(lines, return_inverse=True)
    out = _smallest(_line_keys(there, seed), share_of("test", test))[nth]
    place, size = _places(lines, _keys(entries, seed))
    number = plain(given)
    if isinstance(number, int) and not isinstance(number, bool):
        wanted = np.full(lines.size, integer("given", number, 0, 2**31 - 1))
    else:
        wanted = np.floor(share_of("given", given) * size).astype(np.int64)
    out_and_large = out & (size > wanted)
    made = _split(entries, out_and_large & (place >= wanted), ~out, given=given, test=test)
    return replace(made, given=np.flatnonzero(out_and_large & (place < wanted)))


def _split(
    entries: Entries,
    held: NDArray[np.bool_],
    left: NDArray[np.bool_] | None = None,
    **asked: object,
) -> Split:
    """Of marks of what is held out, and of what is left to train on, if that is not all else."""
    left = ~held if left is None else left
    for marks, purpose in ((left, "train on"), (held, "test with")):
        if not marks.any():
            got = ", ".join(f"{name}={value}" for name, value in asked.items())
            found = f"got {got}, which leaves none of {marks.size} entries to {purpose}"
            reject(next(iter(asked)), found, "pass another one, or more entries")
    return Split(np.flatnonzero(left), np.flatnonzero(held), None, entries)
