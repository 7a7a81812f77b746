"""Which entries are held out, for validation and for cross-validation."""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from funkc._errors import UnknownIdError, reject, shown
from funkc._input.arrays import are_ratings, as_array, as_index, listed_at_most, own_index
from funkc._input.cells import Draw, among, keys, observed_cells, require_once
from funkc._input.scalars import integer, plain, real

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from funkc._input.cells import Cells
    from funkc._input.options import Options

MOST_FOLDS = 1_000
REMEDY = "pass a number of folds, a list of splits or of pairs (training, test), or a splitter"


@dataclass(frozen=True, eq=False)
class Entries:
    """All entries of data to split, as the caller listed them; each occurs once."""

    rows: NDArray[np.int64]
    cols: NDArray[np.int64]
    values: NDArray[Any]
    shape: tuple[int, int]
    ratings: Any = None  # the same as Ratings, if they have ids
    order: NDArray[np.int64] | None = None  # the position of each rating among them
    times: NDArray[Any] | None = None

    @classmethod
    def of(cls, mask: Any, values: Any, shape: object = None) -> Entries:
        """Of any form that `funkc.factorize` takes."""
        ratings = values if are_ratings(values) else None
        if ratings is not None:  # also those with a weight of 0, or positions would differ
            values = replace(ratings, weights=None)
        cells = observed_cells(mask, values, shape=shape).listed()
        try:
            require_once(cells)
        except ValueError as error:
            raise ValueError(f"data to split, {error}") from None
        places = cells.rows.astype(np.int64), cells.cols.astype(np.int64)
        times = None if ratings is None else ratings.times
        return cls(*places, cells.values, cells.shape, ratings, None, times)

    def part(self, chosen: NDArray[np.int64]) -> Any:
        """Some entries: Ratings with the same ids, or ((rows, cols), values)."""
        if self.ratings is None:
            return (self.rows[chosen], self.cols[chosen]), self.values[chosen]
        if self.order is not None:
            marks = np.zeros(self.rows.size, bool)
            marks[chosen] = True
            chosen = np.flatnonzero(marks[self.order])
        names = ("rows", "cols", "values", "weights", "times")
        columns = {name: getattr(self.ratings, name) for name in names}
        kept = {name: column[chosen] for name, column in columns.items() if column is not None}
        return replace(self.ratings, **kept)

    @property
    def keys(self) -> NDArray[np.uint64]:
        """What tells each entry from all others."""
        return keys(self.rows, self.cols, self.shape[1])


@dataclass(frozen=True, eq=False, repr=False)
class Split:
    """Entries to train on, and others to test with: what the functions of `funkc.evaluation` give.

    Pass it to `funkc.factorize` as `validation`, a list of them to `funkc.cross_validate` as
    `cv`, or use the data of its parts. Iterating yields `train` and `test`, so that a list of
    splits is an iterable as scikit-learn takes it.

    Attributes
    ----------
    train, test : (c,) array of int64
        Positions of entries, in ascending order: in the arrays of Ratings and of a pair ((rows,
        cols), values), among the rows of a data frame, or in the list of the observed entries of a
        matrix, by row and then by column (of a sparse one: as it stores them).
    given : (c,) array of int64, or None
        Entries of rows (or columns) that are new in the test, from which their factors are fitted.

    Examples
    --------
    >>> import funkc
    >>> from funkc import evaluation
    >>> ratings = funkc.Ratings.from_arrays([1, 1, 2, 2], [5, 6, 5, 7], [4, 2, 5, 3])
    >>> split = evaluation.leave_one_out(ratings)
    >>> split.train.size, split.test.size, split.train_data.values.size
    (2, 2, 2)
    """

    train: NDArray[np.int64]
    test: NDArray[np.int64]
    given: NDArray[np.int64] | None
    _entries: Entries

    def __iter__(self) -> Iterator[NDArray[np.int64]]:
        return iter((self.train, self.test))

    def __repr__(self) -> str:
        given = "" if self.given is None else f", given={self.given.size}"
        return f"Split(train={self.train.size}, test={self.test.size}{given}, shape={self.shape})"

    @property
    def shape(self) -> tuple[int, int]:
        """The shape of the matrix: pass it to `funkc.factorize`, for data of pairs."""
        return self._entries.shape

    @property
    def train_data(self) -> Any:
        """The entries to train on: Ratings, or a pair ((rows, cols), values)."""
        return self._entries.part(self.train)

    @property
    def test_data(self) -> Any:
        """The entries to test with, likewise."""
        return self._entries.part(self.test)

    @property
    def given_data(self) -> Any:
        """The entries to fit new rows (or columns) to, likewise; or None."""
        return None if self.given is None else self._entries.part(self.given)

    def _of(self, cells: Cells, name: str) -> tuple[Cells, Cells]:
        """The entries of a training that it trains on, and those that it tests with."""
        entries, listed = self._entries, cells.listed()
        own = (None, None)
        if entries.ratings is not None:
            own = (entries.ratings.row_ids, entries.ratings.col_ids)
        same = all(
            ids is None or mine is None or np.array_equal(ids.names, mine)
            for ids, mine in zip(cells.ids, own, strict=True)
        )
        found, every = keys(listed.rows, listed.cols, self.shape[1]), entries.keys
        if not same or cells.shape != self.shape or not among(found, np.sort(every)).all():
            reject(
                name,
                f"is a Split of other data, of shape {self.shape} and {every.size} entries, where "
                f"there are {found.size} in {cells.shape}",
                "split the data that are passed, or pass split.train_data and split.test_data",
            )
        parts = [listed.part(among(found, np.sort(every[part]))) for part in self]
        for part, what in zip(parts, ("to train on", "to test with"), strict=True):
            if not part.values.size:
                reject(name, f"leaves no entry {what}", "pass another split")
        return parts[0], parts[1]


def is_own(validation: object) -> bool:
    """Whether it is entries chosen by the caller, rather than a share."""
    return isinstance(validation, (tuple, list, Split)) or are_ratings(validation)


def share_of(name: str, value: object) -> float:
    """A number between 0 and 1."""
    share = real(name, value, 0.0, above=True)
    if share >= 1:
        reject(name, f"got {share!r}", "pass a share between 0 and 1")
    return share


def mask_and_values(data: Any) -> tuple[Any, Any]:
    """Of data that are passed in one piece: a pair, or values that tell what is observed."""
    return data if isinstance(data, tuple) and len(data) == 2 else (None, data)


def held_out(
    validation: Any, cells: Cells, options: Options, duplicates: object = "error"
) -> tuple[Cells, Cells | None]:
    """Split into entries to train on and entries to validate on."""
    if validation is None:
        return cells, None
    if isinstance(validation, Split):
        if validation.given is not None:
            found = "is a Split of whole rows or columns, which have no factors in training"
            reject("validation", found, "pass split.train_data, and judge with funkc.evaluation")
        return validation._of(cells, "validation")
    if is_own(validation):
        return cells, _own_validation(validation, cells, duplicates)
    share = share_of("validation", validation)
    held = replace(cells, draw=Draw(True, options.seed, share)).listed()
    total = cells.count()
    left = total - held.values.size
    if not held.values.size or not left:
        reject(
            "validation",
            f"got {share!r}, which leaves {left} of {total} entries to train on",
            "pass (mask, values), or another share",
        )
    require_once(held)  # of the others, the cut finds what is listed twice
    return replace(cells, draw=Draw(False, options.seed, share)), held


def _own_validation(validation: Any, cells: Cells, duplicates: object) -> Cells:
    """Validation entries chosen by the caller, in the training matrix."""
    pair = (None, validation) if are_ratings(validation) else validation
    if len(pair) != 2:
        reject(
            "validation",
            f"has {len(pair)} parts",
            "pass a share between 0 and 1, a pair (mask, values), Ratings or a Split",
        )
    try:
        held = observed_cells(*pair, duplicates=duplicates, matrix=cells.matrix).listed()
        require_once(held)
    except UnknownIdError as error:
        raise UnknownIdError(f"validation, {error}", error.unknown, error.axis) from None
    except (TypeError, ValueError) as error:
        raise type(error)(f"validation, {error}") from None
    return held


@dataclass(frozen=True)
class Folds:
    """How the entries of a cross-validation are split, again and again."""

    number: int
    cells: Cells
    seed: int
    splits: list[Split] | None = None  # None: every entry is drawn into one of the folds

    def part(self, nth: int) -> tuple[Cells, Cells, Cells | None]:
        """Entries to train on, to test with, and to fit new rows or columns to."""
        if self.splits is not None:
            split = self.splits[nth]
            given = None
            if split.given is not None and split.given.size:
                given = replace(split, train=split.given)._of(self.cells, f"cv[{nth}]")[0]
            return *split._of(self.cells, f"cv[{nth}]"), given
        return self.drawn(nth, False), self.drawn(nth, True).listed(), None

    def drawn(self, nth: int, held: bool) -> Cells:
        """The entries of a fold, or all others."""
        draw = Draw(held, self.seed, folds=self.number, fold=nth)
        return replace(self.cells, draw=draw)


def checked_folds(cv: Any, data: tuple[Any, Any, Any], cells: Cells, seed: int) -> Folds:
    """Of a number of folds, or splits of the caller's: `Split`, pairs of positions, or an object
    of scikit-learn that makes such; each has entries on both sides.
    """
    if isinstance(cv, Split) or are_ratings(cv) or isinstance(plain(cv), str):
        reject("cv", f"got {shown(cv)}", REMEDY, TypeError)
    if hasattr(cv, "split") or isinstance(cv, Iterable):
        entries = Entries.of(*data)
        pairs: Any = cv
        if not isinstance(cv, Iterable):
            places = np.column_stack([entries.rows, entries.cols])
            with warnings.catch_warnings():
                warnings.filterwarnings("ignore", "The groups parameter is ignored", UserWarning)
                pairs = list(cv.split(places, entries.values, entries.rows))
        listed = listed_at_most("cv", pairs, REMEDY, MOST_FOLDS)
        if not listed:
            reject("cv", "is empty", REMEDY)
        splits = [_as_split(f"cv[{nth}]", one, entries) for nth, one in enumerate(listed)]
        folds = Folds(len(splits), cells, seed, splits)
        for nth in range(folds.number):
            folds.part(nth)
        return folds
    folds = Folds(integer("cv", cv, 2, MOST_FOLDS), cells, seed)
    for nth in range(folds.number):
        if not folds.drawn(nth, True).any():
            reject(
                "cv",
                f"got {folds.number}, and none of {cells.count()} observed entries falls into fold "
                f"{nth}",
                "pass fewer folds, or another random_state",
            )
    return folds


def _as_split(name: str, one: Any, entries: Entries) -> Split:
    if isinstance(one, Split):
        return one
    both = listed_at_most(name, one, REMEDY)
    if len(both) != 2:
        reject(name, f"has {len(both)} parts", REMEDY)
    size, parts = entries.rows.size, []
    for what, part in zip(("training", "test"), both, strict=True):
        index = as_array(f"{name}, {what}", part)
        if index.dtype == bool and index.shape == (size,):
            index = np.flatnonzero(index)
        index = own_index(f"{name}, {what}", as_index(f"{name}, {what}", index, size), size)
        parts.append(np.unique(index))
    twice = np.intersect1d(parts[0], parts[1])
    if twice.size:
        reject(name, f"has position {twice[0]} in training and in test", "pass each in one of both")
    return Split(parts[0], parts[1], None, entries)
