"""THE checks of what a user passed: everything behind them may trust its input."""

from __future__ import annotations

import copy
import itertools
import math
import numbers
import operator
import os
import secrets
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal, NoReturn

import numpy as np

from funkc import _shards
from funkc._errors import DUPLICATE_CELL, raise_for_status, reject, shown
from funkc._threads import default_threads

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import ArrayLike, DTypeLike, NDArray

    Duplicates = Literal["error", "last", "mean", "sum"]
    Sides = tuple[int | None, int | None]  # how many rows and columns; None: not said
    History = dict[str, list[float]]

MOST_FACTORS = 65_536
MOST_THREADS = max(8, 4 * (os.cpu_count() or 1))
MOST_ROWS = 2**32 - 1
CELLS_AT_ONCE = 1 << 20
MOST_FOLDS = 1_000
NO_CUTS = np.empty(0, np.int64)
NO_WEIGHTS = np.empty(0, np.float64)


@dataclass(frozen=True)
class Problem:
    """The observed cells, checked: finite values at places inside the shape."""

    rows: NDArray[Any]  # int32 or int64, like cols
    cols: NDArray[Any]
    values: NDArray[Any]  # float32 or float64
    shape: tuple[int, int]
    weights: NDArray[np.float64] = field(default_factory=lambda: NO_WEIGHTS)  # or one a cell
    # A block-diagonal problem (tiles) says where each block's rows and columns begin.
    row_cuts: NDArray[np.int64] = field(default_factory=lambda: NO_CUTS)
    col_cuts: NDArray[np.int64] = field(default_factory=lambda: NO_CUTS)

    def of_shape(self, shape: tuple[int, int]) -> Problem:
        """The same cells in a larger matrix."""
        return replace(self, shape=shape)

    def part(self, chosen: NDArray[np.bool_]) -> Problem:
        """Some of the cells, of the same matrix."""
        weights = self.weights[chosen] if self.weights.size else NO_WEIGHTS
        return Problem(
            self.rows[chosen], self.cols[chosen], self.values[chosen], self.shape, weights
        )


@dataclass(frozen=True)
class Start:
    """Factors to begin with, checked."""

    row_factors: NDArray[Any]
    col_factors: NDArray[Any]
    row_bias: NDArray[Any] | None
    col_bias: NDArray[Any] | None
    offset: float | None  # None: not said


@dataclass(frozen=True)
class Options:
    """How to train, checked.  None: to be chosen from the data."""

    k: int
    learning_rate: float | None
    regularization: tuple[float, float] | None  # of rows, of columns
    n_epochs: int | None
    offset: float  # not a number: to be chosen
    decay: str
    group_size: int
    seed: int
    n_threads: int
    dtype: np.dtype[Any]
    on_interrupt: str
    biases: bool
    nonnegative: bool
    patience: int


# ---------------------------------------------------------------- single arguments


def integer(name: str, value: object, least: int, most: int) -> int:
    remedy = f"pass an integer from {least} to {most:,}"
    if isinstance(value, (bool, np.bool_)):
        reject(name, f"got {value!r}", remedy, TypeError)
    try:
        number = operator.index(value)  # type: ignore[arg-type]
    except TypeError:
        reject(name, f"got {shown(value)} of type {type(value).__name__}", remedy, TypeError)
    if not least <= number <= most:
        reject(name, f"got {shown(number)}", remedy)
    return number


def real(name: str, value: object, least: float, *, above: bool = False) -> float:
    """A finite number, at least (or above) `least`."""
    bound = "" if least == -math.inf else f" {'above' if above else 'not below'} {least:g}"
    remedy = f"pass a finite number{bound}"
    if isinstance(value, np.ndarray) and value.ndim == 0:
        value = value[()]
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, numbers.Real):
        reject(name, f"got {shown(value)} of type {type(value).__name__}", remedy, TypeError)
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number) or number < least or (above and number == least):
        reject(name, f"got {number!r}", remedy)
    return number


def choice(name: str, value: object, allowed: Sequence[object]) -> Any:
    for option in allowed:
        if type(value) is type(option) and value == option:
            return option
    listed = ", ".join(repr(option) for option in allowed)
    error = ValueError if type(value) in {type(option) for option in allowed} else TypeError
    reject(name, f"got {shown(value)}", f"pass one of {listed}", error)


def seed_of(random_state: object) -> int:
    """One 64-bit seed from whatever the field passes as random_state."""
    if random_state is None:
        return secrets.randbits(64)
    if isinstance(random_state, np.random.Generator):
        return int(random_state.integers(0, 2**64, dtype=np.uint64))
    if isinstance(random_state, np.random.RandomState):
        return int(random_state.randint(0, 2**64, dtype=np.uint64))
    try:
        if isinstance(random_state, (bool, np.bool_)):
            raise TypeError
        seed = operator.index(random_state)  # type: ignore[arg-type]
    except TypeError:
        reject(
            "random_state",
            f"got {shown(random_state)} of type {type(random_state).__name__}",
            "pass an int, a numpy.random.Generator, a numpy.random.RandomState or None",
            TypeError,
        )
    if not 0 <= seed < 2**64:
        reject("random_state", f"got {shown(seed)}", "pass an integer from 0 to 2**64 - 1")
    return seed


def _float_dtype(dtype: DTypeLike | None) -> np.dtype[Any]:
    remedy = "pass numpy.float32 or numpy.float64"
    try:
        found = np.dtype(np.float32 if dtype is None else dtype)
    except (TypeError, ValueError, SyntaxError):
        reject("dtype", f"got {shown(dtype)}", remedy, TypeError)
    if found not in (np.float32, np.float64):
        reject("dtype", f"got {found}", remedy, TypeError)
    return found.newbyteorder("=")


def _regularization(value: object) -> tuple[float, float] | None:
    if value is None:
        return None
    if isinstance(value, (tuple, list, np.ndarray)) and as_array("regularization", value).ndim == 1:
        if len(value) != 2:
            reject(
                "regularization",
                f"got {len(value)} numbers",
                "pass one number, or a pair (of rows, of columns)",
            )
        rows, cols = value
        return real("regularization[0]", rows, 0.0), real("regularization[1]", cols, 0.0)
    both = real("regularization", value, 0.0)
    return both, both


def _offset(value: object, nonnegative: object) -> float:
    """A number; "auto" is 0 for nonnegative factors, otherwise to be chosen."""
    if not isinstance(value, str):
        return real("offset", value, -math.inf)
    choice("offset", value, ("auto",))
    return 0.0 if nonnegative else math.nan


def flag(name: str, value: object) -> bool:
    if not isinstance(value, (bool, np.bool_)):
        reject(name, f"got {shown(value)}", "pass True or False", TypeError)
    return bool(value)


def _group_size(value: object) -> int:
    size = integer("group_size", value, 1, 8)
    if size not in (1, 8):
        reject("group_size", f"got {size}", "pass 8, or 1 for Funk's own order")
    return size


def threads(n_threads: object) -> int:
    """A number that the system will surely start; more would find no work."""
    if n_threads is None:
        return default_threads()
    return min(integer("n_threads", n_threads, 1, 2**31 - 1), MOST_THREADS)


def path(name: str, value: Any) -> Any:
    if not isinstance(value, (str, os.PathLike)):
        reject(name, f"got {shown(value)}", "pass the name of a file", TypeError)
    text = os.fspath(value)
    if not text or "\0" in str(text):
        reject(name, f"got {shown(value)}", "pass the name of a file")
    return value


def new_file(name: str, value: Any) -> Any:
    """A file that will be written, much later: what is wrong with it is told now."""
    folder = os.path.dirname(os.path.abspath(path(name, value)))
    if not os.path.isdir(folder):
        reject(name, f"got {shown(value)}", f"there is no folder {folder}: make it first")
    if os.path.isdir(value):
        reject(name, f"got {shown(value)}, a folder", "pass the name of a file in it")
    return value


def jobs(n_jobs: object) -> int:
    """scikit-learn's count of threads: -1 is all, -2 all but one; none said is all too."""
    if n_jobs is None:
        return default_threads()
    number = integer("n_jobs", n_jobs, -(2**31), 2**31 - 1)
    if number == 0:
        reject("n_jobs", "got 0", "pass how many threads to use, -1 for all, or None")
    return threads(number) if number > 0 else max(1, default_threads() + 1 + number)


def callback(value: Any, arguments: str) -> Any:
    if value is not None and not callable(value):
        reject(
            "callback",
            f"got {shown(value)}, which can't be called",
            f"pass a function of {arguments}, or None",
            TypeError,
        )
    return value


def options(
    k: object,
    *,
    learning_rate: object = None,
    regularization: object = None,
    n_epochs: object = None,
    offset: object = "auto",
    decay: object = "linear",
    group_size: object = 8,
    random_state: object = 0,
    n_threads: object = None,
    dtype: DTypeLike | None = None,
    on_interrupt: object = "raise",
    biases: object = False,
    nonnegative: object = False,
    patience: object = 5,
) -> Options:
    return Options(
        k=integer("k", k, 1, MOST_FACTORS),
        learning_rate=None
        if learning_rate is None
        else real("learning_rate", learning_rate, 0.0, above=True),
        regularization=_regularization(regularization),
        n_epochs=None if n_epochs is None else integer("n_epochs", n_epochs, 1, 10**9),
        offset=_offset(offset, nonnegative),
        decay=choice("decay", decay, ("linear", "constant")),
        group_size=_group_size(group_size),
        seed=seed_of(random_state),
        n_threads=threads(n_threads),
        dtype=_float_dtype(dtype),
        on_interrupt=choice("on_interrupt", on_interrupt, ("raise", "return")),
        biases=flag("biases", biases),
        nonnegative=flag("nonnegative", nonnegative),
        patience=integer("patience", patience, 1, 10**9),
    )


def grid(
    parameters: dict[str, Any], seed: int, n_threads: object, dtype: DTypeLike | None
) -> list[tuple[dict[str, Any], Options]]:
    """Every combination of the parameters that are given as lists, the last changing fastest."""
    axes: dict[str, list[Any]] = {}
    for name, value in parameters.items():
        listed = list(value) if is_axis(value) else [value]
        if not listed:
            reject(name, "is empty", "pass at least one value")
        numpys = (np.generic, np.ndarray)
        axes[name] = [one.tolist() if isinstance(one, numpys) else one for one in listed]
        for at, one in enumerate(axes[name]):
            try:
                options(**{"k": 1, name: one})
            except (TypeError, ValueError) as error:
                place = f"{name}[{at}]" if is_axis(value) else name
                raise type(error)(str(error).replace(name, place, 1)) from None
    combinations = (
        dict(zip(axes, values, strict=True)) for values in itertools.product(*axes.values())
    )
    return [
        (each, options(**each, random_state=seed, n_threads=n_threads, dtype=dtype))
        for each in combinations
    ]


def is_axis(value: object) -> bool:
    """Whether it lists values to try; a tuple is one value, such as a pair."""
    return isinstance(value, (list, range)) or (isinstance(value, np.ndarray) and value.ndim > 0)


# ---------------------------------------------------------------- arrays


def _is_sparse(value: object) -> bool:
    """Whether it is a scipy.sparse array or matrix; scipy need not be installed."""
    return hasattr(type(value), "tocoo") and hasattr(type(value), "nnz")


def are_ratings(value: object) -> bool:
    """Whether it is a `funkc.Ratings`, which stands above this room."""
    fields = ("rows", "cols", "values", "row_ids", "col_ids")
    return all(hasattr(type(value), field) for field in fields)


def as_array(name: str, value: ArrayLike) -> NDArray[Any]:
    try:
        return np.asanyarray(value) if isinstance(value, np.ma.MaskedArray) else np.asarray(value)
    except ValueError as error:
        if "inhomogeneous" not in str(error):
            raise
        reject(name, "the rows differ in length", "pass a rectangular array")


def _numeric(name: str, array: NDArray[Any]) -> NDArray[Any]:
    """Refuse what is not a real number."""
    if array.dtype.kind not in "buif":
        remedies = {
            "c": "pass its real part, or factorize real and imaginary parts apart",
            "O": "convert it with .astype(float), with NaN for None",
        }
        reject(
            name,
            f"has dtype {array.dtype}, which does not hold real numbers",
            remedies.get(array.dtype.kind, "convert it to numbers with .astype(float)"),
            TypeError,
        )
    return array


def _for_core(array: NDArray[Any], dtype: Any) -> NDArray[Any]:
    """C-contiguous and aligned, as the core's pointers must be: what was read from the middle
    of a file may not be.
    """
    return np.require(array, dtype, ["C", "ALIGNED", "ENSUREARRAY"])


def _as_values(array: NDArray[Any]) -> NDArray[Any]:
    """Float32 or float64, whichever holds the numbers, for the core."""
    dtype = np.result_type(array.dtype, np.float32)  # small integers fit float32
    if dtype not in (np.float32, np.float64):
        dtype = np.dtype(np.float64)
    with np.errstate(over="ignore"):  # a long double beyond float64 is refused below, as inf
        return _for_core(array, dtype)


def _as_index(name: str, value: ArrayLike, size: int | None) -> NDArray[Any]:
    index = as_array(name, value)
    if isinstance(index, np.ma.MaskedArray):
        reject(name, "is a masked array", "pass a plain array of integers", TypeError)
    if index.ndim != 1:
        reject(name, f"has {index.ndim} dimensions", "pass a 1-D array of integers")
    if index.size == 0:
        return np.empty(0, np.int32)
    if index.dtype.kind not in "iu":
        reject(
            name,
            f"has dtype {index.dtype}",
            "pass integers; np.unique(ids, return_inverse=True)[1] numbers arbitrary ids",
            TypeError,
        )
    lowest, highest = int(index.min()), int(index.max())
    if lowest < 0:
        at = int(np.argmax(index < 0))
        reject(name, f"{name}[{at}] = {index[at]} is negative", "positions count from 0")
    if size is not None and highest >= size:
        at = int(np.argmax(index >= size))
        reject(
            name,
            f"{name}[{at}] = {index[at]} lies outside shape, which has {size} of them",
            f"positions run from 0 to {size - 1}; pass a larger shape if need be",
        )
    if highest >= MOST_ROWS:
        at = int(np.argmax(index >= MOST_ROWS))
        reject(
            name,
            f"{name}[{at}] = {index[at]} is larger than any matrix in memory",
            "number the ids from 0 with np.unique(ids, return_inverse=True)",
        )
    if index.dtype in (np.int32, np.int64):
        return _for_core(index, index.dtype.newbyteorder("="))
    return index.astype(np.int32 if highest < 2**31 else np.int64)


def _as_shape(shape: object) -> Sides:
    if shape is None:
        return None, None
    if not isinstance(shape, (tuple, list)) or len(shape) != 2:
        reject("shape", f"got {shown(shape)}", "pass a pair (rows, columns)", TypeError)
    rows, cols = (
        None if size is None else integer(f"shape[{at}]", size, 1, MOST_ROWS)
        for at, size in enumerate(shape)
    )
    return rows, cols


def _matrix_shape(array: Any, shape: Sides, name: str) -> tuple[int, int]:
    """The shape of a 2-D argument, which `shape`, where given, must repeat."""
    if array.ndim != 2:
        reject(name, f"has shape {array.shape}", "pass a 2-D array")
    if 0 in array.shape:
        reject(name, f"has shape {array.shape}, without a cell", "pass at least one cell")
    if any(wanted not in (None, size) for wanted, size in zip(shape, array.shape, strict=True)):
        expected = ", ".join("any" if wanted is None else str(wanted) for wanted in shape)
        reject(
            name,
            f"has shape {tuple(array.shape)} where ({expected}) is expected",
            "pass a matrix of that shape",
        )
    return array.shape[0], array.shape[1]


# ---------------------------------------------------------------- the observed cells

_INVERTED = (
    "if your mask is True where a value is missing (numpy.ma, pandas, scikit-image), pass ~mask"
)


def _cells_of_sparse(values: Any, shape: Sides, name: str = "values") -> tuple[Any, ...]:
    if values.ndim != 2:
        reject(name, f"has {values.ndim} dimensions", "pass a 2-D sparse array")
    shape = _matrix_shape(values, shape, name)
    try:  # a damaged index would make scipy or the core read outside its arrays
        if hasattr(values, "check_format"):
            values = copy.copy(values)  # which check_format changes
            values.check_format(full_check=True)
        coo = values.tocoo()
        rows = _as_index("row", coo.row, shape[0])
        cols = _as_index("col", coo.col, shape[1])
        if not rows.size == cols.size == coo.data.size:
            raise ValueError("row, col and data differ in length")
    except ValueError as error:
        reject(name, f"is not a valid sparse array ({error})", "rebuild it")
    _numeric(name, coo.data)
    return rows, cols, coo.data, shape


def _cells_of_dense(values: NDArray[Any], shape: Sides) -> tuple[Any, ...]:
    """mask=None: observed is what is not NaN, and in a masked array what is not masked."""
    shape = _matrix_shape(_numeric("values", values), shape, "values")
    if isinstance(values, np.ma.MaskedArray):
        observed = ~np.ma.getmaskarray(values)
        values = np.asarray(values.data)  # which may be a matrix
    elif values.dtype.kind == "f":
        observed = ~np.isnan(values)
    else:
        observed = np.ones(shape, bool)
    rows, cols = np.nonzero(observed)
    return rows, cols, values[observed], shape


def _cells_of_ratings(ratings: Any, shape: Sides) -> tuple[Any, ...]:
    if any(wanted not in (None, size) for wanted, size in zip(shape, ratings.shape, strict=True)):
        expected = ", ".join("any" if wanted is None else str(wanted) for wanted in shape)
        reject(
            "values",
            f"are Ratings of shape {ratings.shape} where ({expected}) is expected",
            "leave shape out, or pass Ratings with as many ids",
        )
    values = np.asarray(_numeric("values", as_array("values", ratings.values)))
    return _cells_of_pair((ratings.rows, ratings.cols), values, ratings.shape)


def _cells_of_pair(mask: tuple[Any, ...], values: NDArray[Any], shape: Sides) -> tuple[Any, ...]:
    if len(mask) != 2:
        reject(
            "mask",
            f"is a tuple of {len(mask)}",
            "pass a boolean array, or a pair (rows, cols) of integer arrays",
        )
    if values.ndim == 2:
        shape = _matrix_shape(values, shape, "values")
    rows = _as_index("rows", mask[0], shape[0])
    cols = _as_index("cols", mask[1], shape[1])
    if rows.size != cols.size:
        reject(
            "mask",
            f"has {rows.size} rows and {cols.size} columns",
            "pass one row and one column for every observed cell",
        )
    if values.ndim == 2:
        values = values[rows, cols]
    elif values.shape != rows.shape:
        reject(
            "values",
            f"has shape {values.shape} where mask lists {rows.size} cells",
            "pass one value for every observed cell, or the (m, n) array",
        )
    if rows.size == 0 and None in shape:
        _reject_nothing()
    found = [
        int(index.max()) + 1 if size is None else size
        for index, size in zip((rows, cols), shape, strict=True)
    ]
    return rows, cols, values, (found[0], found[1])


def _reject_nothing() -> NoReturn:
    reject("mask", "marks no cell as observed", f"mark at least one; {_INVERTED}")


def _cells_of_mask(mask: NDArray[Any], values: NDArray[Any], shape: Sides) -> tuple[Any, ...]:
    if mask.dtype != bool:
        reject(
            "mask",
            f"has dtype {mask.dtype}",
            "pass a boolean array (True where observed), or a tuple (rows, cols)",
            TypeError,
        )
    if isinstance(mask, np.ma.MaskedArray):
        reject("mask", "is itself a masked array", "pass a plain boolean array", TypeError)
    shape = _matrix_shape(mask, shape, "mask")
    rows, cols = np.nonzero(mask)
    if values.shape == mask.shape:
        values = values[mask]
    elif values.shape != rows.shape:
        reject(
            "values",
            f"has shape {values.shape} where mask has shape {mask.shape} and {rows.size} "
            "cells that are True",
            "pass the (m, n) array, or the 1-D array R[mask]",
        )
    return rows, cols, values, shape


def _settle(
    policy: str, rows: NDArray[Any], cols: NDArray[Any], values: NDArray[Any]
) -> tuple[Any, Any, Any]:
    """One value for a cell that is listed several times.

    Sums are taken in order of value, so that the order of listing leaves no trace.
    """
    order = np.lexsort((cols, rows) if policy == "last" else (values, cols, rows))
    rows, cols, values = rows[order], cols[order], values[order]
    new = np.empty(rows.size, bool)
    new[0] = True
    new[1:] = (rows[1:] != rows[:-1]) | (cols[1:] != cols[:-1])
    first = np.flatnonzero(new)
    count = np.diff(first, append=rows.size)
    if policy == "last":
        return rows[first], cols[first], values[first + count - 1]
    with np.errstate(over="ignore"):  # what overflows is refused, as inf
        total = values[first].astype(np.float64)
        for nth in range(1, int(count.max())):
            several = np.flatnonzero(count > nth)
            total[several] += values[first[several] + nth]
    return rows[first], cols[first], total / count if policy == "mean" else total


def _require_finite(rows: NDArray[Any], cols: NDArray[Any], values: NDArray[Any]) -> None:
    if values.dtype.kind != "f":
        return
    finite = np.isfinite(values)
    if finite.all():
        return
    at = int(np.argmin(finite))
    what = "NaN" if np.isnan(values[at]) else "infinite"
    reject(
        "values",
        f"is {what} at row {rows[at]}, column {cols[at]}, a cell that counts as observed",
        f"mark the cell as missing, or replace the value; {_INVERTED}",
    )


def observed(
    mask: Any,
    values: Any,
    *,
    shape: object = None,
    duplicates: object = "error",
    nothing: bool = False,
    first_row: int = 0,
) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any], tuple[int, int]]:
    """Rows, columns and values (in the caller's dtype) of the observed cells, and the shape.

    Takes any form that the library accepts. Whether a cell is listed twice is left to the
    reader if `duplicates` is "error". `nothing` says that there need not be a cell, and
    `first_row` which row of a larger matrix is the first of this.
    """
    policy = choice("duplicates", duplicates, ("error", "last", "mean", "sum"))
    size = _as_shape(shape)
    if _is_sparse(mask):
        reject(
            "mask",
            "is a sparse array",
            "pass mask=None and a sparse `values` (what is stored is observed), or the pair "
            "mask.nonzero()",
            TypeError,
        )
    if are_ratings(mask):
        reject("mask", "is a Ratings", "pass mask=None, and the ratings as values", TypeError)
    if mask is not None and (_is_sparse(values) or are_ratings(values)):
        what = "a sparse array" if _is_sparse(values) else "a Ratings"
        remedy = "pass mask=None: what is stored is observed"
        reject("values", f"is {what} beside a mask", remedy, TypeError)
    if _is_sparse(values):
        cells = _cells_of_sparse(values, size)
    elif are_ratings(values):
        cells = _cells_of_ratings(values, size)
    else:
        array = as_array("values", values)
        if mask is None:
            cells = _cells_of_dense(array, size)
        else:
            hidden = np.ma.getmaskarray(array) if isinstance(array, np.ma.MaskedArray) else None
            array = np.asarray(_numeric("values", array))
            if isinstance(mask, tuple):
                cells = _cells_of_pair(mask, array, size)
            else:
                cells = _cells_of_mask(as_array("mask", mask), array, size)
            if hidden is not None:
                _require_shown(hidden, cells[0], cells[1], first_row)
    rows, cols, given, size = cells
    if first_row:
        rows = rows + first_row
    if rows.size == 0:
        if not nothing:
            _reject_nothing()
        return rows, cols, given, size
    _require_finite(rows, cols, given)
    if policy != "error":
        rows, cols, given = _settle(policy, rows, cols, given)
        _require_finite(rows, cols, given)
    return rows, cols, given, size


def problem(
    mask: Any,
    values: Any,
    *,
    shape: object = None,
    duplicates: object = "error",
    weights: Any = None,
    nothing: bool = False,
) -> Problem:
    """The observed cells as the core takes them."""
    if weights is not None and are_ratings(values):
        reject(
            "weights",
            "are given beside Ratings, which are in an order of their own",
            "pass (ratings.rows, ratings.cols) and ratings.values, and weights in that order",
        )
    rows, cols, given, size = observed(
        mask, values, shape=shape, duplicates=duplicates, nothing=nothing
    )
    weighing = NO_WEIGHTS
    if weights is not None:
        weighing = _weights(weights, rows, cols, given, size, duplicates)
        some = weighing > 0
        if not some.all():  # a weight of zero: not observed
            rows, cols, given, weighing = rows[some], cols[some], given[some], weighing[some]
    converted = _as_values(given)
    _require_finite(rows, cols, converted)  # a long double may be too large for float64
    wide = np.int64 if np.int64 in (rows.dtype, cols.dtype) else np.int32
    return Problem(
        _for_core(rows, wide),
        _for_core(cols, wide),
        converted,
        size,
        weighing,
    )


def _weights(
    weights: Any,
    rows: NDArray[Any],
    cols: NDArray[Any],
    values: NDArray[Any],
    shape: tuple[int, int],
    duplicates: object,
) -> NDArray[np.float64]:
    """One weight for every observed cell."""
    if duplicates != "error":
        reject("weights", f'are given beside duplicates="{duplicates}"', "settle duplicates before")
    array = as_array("weights", weights)
    if isinstance(array, np.ma.MaskedArray):
        reject("weights", "is a masked array", "pass a plain array", TypeError)
    _numeric("weights", array)
    if array.shape == shape:
        array = array[rows, cols]
    elif array.shape != values.shape:
        reject(
            "weights",
            f"has shape {array.shape} where there are {values.size} observed cells in {shape}",
            "pass one weight for every observed cell, or the (m, n) array",
        )
    out = _for_core(array, np.float64)
    bad = ~(np.isfinite(out) & (out >= 0))
    if bad.any():
        at = int(np.argmax(bad))
        reject(
            "weights",
            f"is {out[at]} at row {rows[at]}, column {cols[at]}",
            "pass finite numbers that are not negative",
        )
    if out.size and not (out > 0).any():
        reject("weights", "is 0 everywhere", "give some cell a weight above 0")
    return out


def held_out(validation: Any, cells: Problem, options: Options) -> tuple[Problem, Problem | None]:
    """What to train on and what to validate on."""
    if validation is None:
        return cells, None
    if isinstance(validation, (tuple, list)):
        if len(validation) != 2:
            reject(
                "validation",
                f"has {len(validation)} parts",
                "pass a share between 0 and 1, or a pair (mask, values)",
            )
        if are_ratings(validation[1]):  # whose ids may stand at other positions
            reject(
                "validation",
                "holds a Ratings, which numbers its ids for itself",
                "pass ((rows, cols), values) with positions by funkc.ratings.encode among the "
                "ids that are trained on, or a share",
                TypeError,
            )
        return cells, problem(validation[0], validation[1], shape=cells.shape)
    share = real("validation", validation, 0.0, above=True)
    if share >= 1:
        reject("validation", f"got {share!r}", "pass a share between 0 and 1")
    mark = np.empty(cells.rows.size, np.uint8)
    _shards.hold_out(cells.rows, cells.cols, cells.shape[1], options.seed, share, mark)
    held = mark.astype(bool)
    if not held.any() or held.all():
        reject(
            "validation",
            f"got {share!r}, which leaves {int((~held).sum())} of {held.size} cells to train on",
            "pass (mask, values), or another share",
        )
    return cells.part(~held), cells.part(held)


def folds(n_folds: object, cells: Problem, seed: int) -> NDArray[np.uint16]:
    """Which fold every cell is held out in; none is without a cell."""
    number = integer("folds", n_folds, 2, MOST_FOLDS)
    fold = np.empty(cells.rows.size, np.uint16)
    _shards.fold_of(cells.rows, cells.cols, cells.shape[1], seed, number, fold)
    empty = np.bincount(fold, minlength=number) == 0
    if empty.any():
        reject(
            "folds",
            f"got {number}, and none of {fold.size} observed cells falls into fold "
            f"{int(np.argmax(empty))}",
            "pass fewer folds, or another random_state",
        )
    return fold


def start(init: Any, shape: tuple[int, int], options: Options) -> Start | None:
    """Factors to begin with: of a factorization, or a pair of arrays."""
    if init is None:
        return None
    if hasattr(init, "row_factors") and hasattr(init, "col_factors"):
        parts = (init.row_factors, init.col_factors, init.row_bias, init.col_bias)
        offset = real("init.offset", init.offset, -math.inf)
    elif isinstance(init, (tuple, list)) and len(init) == 2:
        parts = (init[0], init[1], None, None)
        offset = None
    else:
        reject(
            "init",
            f"got {shown(init)}",
            "pass a Factorization, or a pair (row_factors, col_factors)",
            TypeError,
        )
    names = ("row_factors", "col_factors", "row_bias", "col_bias")
    shapes = ((shape[0], options.k), (shape[1], options.k), (shape[0],), (shape[1],))
    checked: list[NDArray[Any] | None] = []
    for name, part, wanted in zip(names, parts, shapes, strict=True):
        if part is None:
            checked.append(None)
            continue
        array = _numeric(f"init {name}", as_array(f"init {name}", part))
        if array.shape != wanted:
            reject(f"init {name}", f"has shape {array.shape}", f"pass shape {wanted}")
        with np.errstate(over="ignore"):
            array = np.array(array, options.dtype, order="C")
        if not np.isfinite(array).all():
            reject(f"init {name}", "holds NaN or infinity", "pass finite numbers")
        if options.nonnegative and name.endswith("factors") and (array < 0).any():
            reject(f"init {name}", "holds negative numbers", "pass nonnegative=False")
        checked.append(array)
    if (checked[2] is None or checked[3] is None) and (checked[2] is not checked[3]):
        reject("init", "has biases for one side only", "pass both or neither")
    if checked[2] is not None and not options.biases:
        reject("init", "has biases", "pass biases=True")
    assert checked[0] is not None
    assert checked[1] is not None
    return Start(checked[0], checked[1], checked[2], checked[3], offset)


def _require_shown(
    hidden: NDArray[np.bool_], rows: NDArray[Any], cols: NDArray[Any], first_row: int
) -> None:
    """A cell that the mask marks as observed must not be masked in a masked array."""
    masked = hidden[rows, cols] if hidden.ndim == 2 else hidden
    if masked.any():
        at = int(np.argmax(masked))
        reject(
            "values",
            f"is masked at row {first_row + rows[at]}, column {cols[at]}, which mask marks as "
            "observed",
            f"pass mask=None to take what is not masked; {_INVERTED}",
        )


def positions(
    name: str, value: ArrayLike | slice, size: int, mean: bool, most_dimensions: int = 64
) -> NDArray[np.int64]:
    """Which of `size` rows (or columns); IndexError outside, or -1 if that means the mean."""
    if isinstance(value, slice):
        return np.arange(size, dtype=np.int64)[value]
    index = as_array(name, value)
    if isinstance(index, np.ma.MaskedArray):
        reject(name, "is a masked array", "pass a plain array of integers", TypeError)
    if index.dtype.kind not in "iu" and index.size:
        reject(name, f"has dtype {index.dtype}", "pass integers", TypeError)
    if index.ndim > most_dimensions:
        reject(name, f"has {index.ndim} dimensions", "pass one position, or a 1-D array")
    outside = (index < 0) | (index >= size)
    if outside.any():
        if mean:
            found = index.astype(np.int64)
            return np.where(outside, -1, found)
        at = tuple(int(i) for i in np.argwhere(outside)[0])
        place = f"[{', '.join(map(str, at))}]" if at else ""
        reject(
            name,
            f"{name}{place} = {index[at]} is not among the {size} that were trained",
            f"positions run from 0 to {size - 1}",
            IndexError,
        )
    return index.astype(np.int64)


def index_pair(
    rows: ArrayLike, cols: ArrayLike, shape: tuple[int, int], mean: bool
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Rows and columns to predict, broadcast against each other."""
    found = [
        positions(name, value, size, mean)
        for name, value, size in (("rows", rows, shape[0]), ("cols", cols, shape[1]))
    ]
    try:
        both = np.broadcast_arrays(*found)
    except ValueError:
        reject(
            "rows and cols",
            f"have shapes {found[0].shape} and {found[1].shape}",
            "pass shapes that broadcast",
        )
    return both[0], both[1]


# ---------------------------------------------------------------- what a model is asked for


@dataclass(frozen=True)
class CellsByRow:
    """Observed cells, those of each row together and in order of their columns."""

    first: NDArray[np.int64]  # (rows + 1) where the cells of each row begin
    cols: NDArray[np.int64]
    values: NDArray[np.float64]
    weights: NDArray[np.float64]  # or none


def _in_order(
    rows: NDArray[Any], cols: NDArray[Any], n_cols: int
) -> tuple[NDArray[np.uint64], NDArray[np.int64] | None]:
    """Keys of the cells in order, and how to sort what belongs to them (None: it is)."""
    keys = rows.astype(np.uint64) * np.uint64(n_cols) + cols.astype(np.uint64)
    if np.all(keys[1:] >= keys[:-1]):
        return keys, None
    order = np.argsort(keys, kind="stable")
    return keys[order], order


def cells_by_row(
    mask: Any,
    values: Any,
    known: Sides,
    *,
    shape: object,
    weights: Any,
    duplicates: object,
    by_col: bool,
) -> CellsByRow:
    """Cells of rows (or columns) that are new to one side that is known."""
    said = _as_shape(shape)
    for at in (0, 1):
        if said[at] is not None and known[at] is not None and said[at] != known[at]:
            what = ("rows", "columns")[at]
            reject(
                "shape",
                f"got {shown(shape)} where {known[at]} {what} were trained",
                f"pass {known[at]}, or None, for the {what}",
            )
    both = (said[0] or known[0], said[1] or known[1])
    return by_row(
        problem(mask, values, shape=both, duplicates=duplicates, weights=weights, nothing=True),
        by_col=by_col,
    )


def by_row(cells: Problem, *, by_col: bool, first: int = 0) -> CellsByRow:
    """The cells of each row (or column) together; `first` is what errors call the first one."""
    rows, cols, (n_rows, n_cols) = cells.rows, cells.cols, cells.shape
    if by_col:
        rows, cols, n_rows, n_cols = cols, rows, n_cols, n_rows
    keys, order = _in_order(rows, cols, n_cols)
    again = keys[1:] == keys[:-1]
    if again.any():
        row, col = divmod(int(keys[int(np.argmax(again))]), n_cols)
        raise_for_status(DUPLICATE_CELL, (col, first + row) if by_col else (first + row, col))
    chosen = slice(None) if order is None else order
    begin = np.zeros(n_rows + 1, np.int64)
    np.cumsum(np.bincount(rows, minlength=n_rows), out=begin[1:])
    return CellsByRow(
        begin,
        cols[chosen].astype(np.int64),
        cells.values[chosen].astype(np.float64),
        cells.weights[chosen] if cells.weights.size else NO_WEIGHTS,
    )


def excluded(
    exclude: Any, rows: NDArray[np.int64], shape: tuple[int, int]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The columns that each of `rows` leaves out, in order, and where each row's begin."""
    first = np.zeros(rows.size + 1, np.int64)
    if exclude is None:
        return first, np.empty(0, np.int64)
    if isinstance(exclude, list):
        if len(exclude) != rows.size:
            reject(
                "exclude",
                f"lists columns for {len(exclude)} rows where {rows.size} are asked for",
                "pass one array of columns for each row, or a pair (rows, cols)",
            )
        lists = [_as_index(f"exclude[{at}]", part, shape[1]) for at, part in enumerate(exclude)]
        np.cumsum([part.size for part in lists], out=first[1:])
        return first, np.concatenate([np.sort(part) for part in lists] or [first[:0]]).astype(
            np.int64
        )
    if _is_sparse(exclude):
        of, cols = _cells_of_sparse(exclude, shape, "exclude")[:2]
    elif isinstance(exclude, tuple):
        if len(exclude) != 2:
            reject("exclude", f"is a tuple of {len(exclude)}", "pass a pair (rows, cols)")
        of = _as_index("exclude[0]", exclude[0], shape[0])
        cols = _as_index("exclude[1]", exclude[1], shape[1])
        if of.size != cols.size:
            reject(
                "exclude",
                f"has {of.size} rows and {cols.size} columns",
                "pass one row and one column for every cell",
            )
    else:
        marks = as_array("exclude", exclude)
        if marks.dtype != bool or isinstance(marks, np.ma.MaskedArray):
            reject(
                "exclude",
                f"has dtype {marks.dtype}" if marks.dtype != bool else "is a masked array",
                "pass a boolean array (True where to leave out), a sparse array, a pair (rows, "
                "cols) or a list of columns for each row",
                TypeError,
            )
        _matrix_shape(marks, shape, "exclude")
        found = [np.flatnonzero(marks[row]) for row in rows.tolist()]
        np.cumsum([part.size for part in found], out=first[1:])
        return first, np.concatenate([*found, first[:0]])
    if rows.size < 64 < of.size:
        asked = np.isin(of, rows)
        of, cols = of[asked], cols[asked]
    keys, order = _in_order(of, cols, shape[1])
    if order is not None:
        cols = cols[order]
    begin = np.searchsorted(keys, rows.astype(np.uint64) * np.uint64(shape[1]))
    end = np.searchsorted(keys, (rows + 1).astype(np.uint64) * np.uint64(shape[1]))
    np.cumsum(end - begin, out=first[1:])
    at = np.repeat(begin - first[:-1], end - begin) + np.arange(first[-1])
    return first, cols[at].astype(np.int64)


def observed_by_blocks(
    mask: Any, values: Any, *, shape: tuple[int, int], duplicates: object
) -> tuple[np.dtype[Any], Iterator[tuple[int, int, Any, Any]]]:
    """A floating dtype that holds the values, and the observed cells of one block of rows after
    the other: first and last row, which cells, and values.  Listed cells, (rows, cols), are one
    block; dense forms are never listed, but have a mask and all values of the block.
    """
    choice("duplicates", duplicates, ("error", "last", "mean", "sum"))
    array = None if isinstance(mask, tuple) or _is_sparse(values) else as_array("values", values)
    marks = None if mask is None or array is None else as_array("mask", mask)
    if array is None or array.ndim != 2 or _is_sparse(mask):
        rows, cols, given, _ = observed(mask, values, shape=shape, duplicates=duplicates)
        keys, _ = _in_order(rows, cols, shape[1])
        again = keys[1:] == keys[:-1]
        if again.any():
            cell = divmod(int(keys[int(np.argmax(again))]), shape[1])
            raise_for_status(DUPLICATE_CELL, cell)
        return _floating(given.dtype), iter([(0, shape[0], (rows, cols), given)])
    for name, matrix in (("mask", marks), ("values", array)):
        if matrix is not None:
            _matrix_shape(matrix, shape, name)
    at_once = max(1, CELLS_AT_ONCE // shape[1])
    blocks = (
        _dense_block(marks, array, first, min(shape[0], first + at_once))
        for first in range(0, shape[0], at_once)
    )
    return _floating(_numeric("values", array).dtype), blocks


def _dense_block(
    marks: NDArray[Any] | None, array: NDArray[Any], first: int, last: int
) -> tuple[int, int, NDArray[np.bool_], NDArray[Any]]:
    """Some rows of a dense form, checked."""
    block = array[first:last]
    hidden = np.ma.getmaskarray(block)
    values = np.asarray(block)
    if marks is None:
        seen = ~hidden
        if values.dtype.kind == "f" and not isinstance(block, np.ma.MaskedArray):
            seen &= ~np.isnan(values)
    else:
        seen = marks[first:last]
    bad = seen.dtype != bool or isinstance(seen, np.ma.MaskedArray) or (seen & hidden).any()
    if bad or (values.dtype.kind == "f" and not np.isfinite(values[seen]).all()):
        part = None if marks is None else seen
        observed(part, block, nothing=True, first_row=first)  # which has the words
    return first, last, seen, values


def _floating(dtype: np.dtype[Any]) -> np.dtype[Any]:
    return dtype.newbyteorder("=") if dtype.kind == "f" else np.dtype(np.float64)


def writable(
    out: Any, shape: tuple[int, int], dtype: np.dtype[Any], *, at_least: bool = False
) -> None:
    """Refuse an array that does not hold a result."""
    if not isinstance(out, np.ndarray) or isinstance(out, np.ma.MaskedArray):
        reject("out", f"is of type {type(out).__name__}", "pass a numpy.ndarray", TypeError)
    if out.shape != shape:
        reject("out", f"has shape {out.shape}", f"pass shape {shape}")
    if at_least:
        fits = out.dtype.kind == "f" and np.result_type(out.dtype, dtype) == out.dtype
    else:
        fits = out.dtype == dtype and out.flags.c_contiguous and out.flags.aligned
    if not fits:
        layout = "" if out.flags.c_contiguous else " and is not C-contiguous"
        layout += "" if out.flags.aligned else " and is not aligned"
        reject(
            "out",
            f"holds {out.dtype}{layout}",
            f"pass an array of {dtype}" + ("" if at_least else ", C-contiguous and aligned"),
            TypeError,
        )
    if not out.flags.writeable:
        reject("out", "can't be written to", "pass a copy")


def require_apart(out: NDArray[Any], *given: Any) -> None:
    """Refuse to write over what is still to be read; the very same cells are read in time."""
    for array in given:
        if not isinstance(array, np.ndarray) or not np.may_share_memory(out, array):
            continue
        same = np.asarray(array).__array_interface__["data"] == out.__array_interface__["data"]
        if not same or array.strides != out.strides or array.dtype != out.dtype:
            reject("out", "overlaps values or mask", "pass an array of its own, or values itself")


def require_memory(needed: int, what: str, remedy: str) -> None:
    """Refuse at once what would push the machine into swapping and be killed there."""
    try:
        there = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):  # not on Windows: the allocator will tell
        return
    if needed > there:
        raise MemoryError(
            f"{what} need {needed / 2**30:,.1f} GiB, and this machine has "
            f"{there / 2**30:,.1f} GiB; {remedy}"
        )


def require_finite_factors(fitted: NDArray[Any], what: str, first: int) -> None:
    """Refuse rows (or columns) that were fitted beyond what their dtype holds."""
    finite = np.isfinite(fitted).all(axis=1)
    if not finite.all():
        reject(
            "values",
            f"the factors of {what} {first + int(np.argmin(finite))} are beyond what "
            f"{fitted.dtype} holds",
            "divide the values by a constant, or raise regularization",
        )


# ---------------------------------------------------------------- images


def tile_shape(value: object) -> tuple[int, int]:
    if not isinstance(value, (tuple, list)) or len(value) != 2:
        reject("tile_shape", f"got {shown(value)}", "pass a pair (rows, columns)", TypeError)
    return (
        integer("tile_shape[0]", value[0], 1, MOST_ROWS),
        integer("tile_shape[1]", value[1], 1, MOST_ROWS),
    )


def image_and_holes(
    image: Any, missing: Any, channel_axis: object, alpha: object
) -> tuple[NDArray[Any], NDArray[np.bool_]]:
    """The picture and where it is unknown, both (h, w, channels)."""
    array = _numeric("image", as_array("image", image))
    hidden = np.ma.getmaskarray(array)
    array = np.asarray(array)
    axis = None
    if channel_axis is not None:
        axis = integer("channel_axis", channel_axis, -array.ndim, array.ndim - 1) % array.ndim
    if array.ndim != (2 if axis is None else 3):
        reject(
            "image",
            f"has shape {array.shape}",
            "leave channel_axis out, or pass a 3-D image"
            if array.ndim == 2
            else "pass a 2-D image, or a 3-D one and the channel_axis that holds the channels",
        )
    if array.size == 0:
        reject("image", f"has shape {array.shape}, without a pixel", "pass at least one pixel")
    plane = tuple(size for at, size in enumerate(array.shape) if at != axis)
    if missing is None:
        holes = hidden | np.isnan(array) if array.dtype.kind == "f" else hidden
    else:
        holes = as_array("missing", missing)
        if holes.dtype != bool:
            reject(
                "missing",
                f"has dtype {holes.dtype}",
                "pass a boolean array, True where a pixel is unknown",
                TypeError,
            )
        if holes.shape == plane and axis is not None:
            holes = np.broadcast_to(np.expand_dims(holes, axis), array.shape)
        if holes.shape != array.shape:
            reject(
                "missing",
                f"has shape {holes.shape} where the image has {array.shape}",
                "pass one value for every pixel" + ("" if axis is None else ", or every channel"),
            )
        holes = holes | hidden
    picture = array[:, :, None] if axis is None else np.moveaxis(array, axis, 2)
    holes = holes[:, :, None] if axis is None else np.moveaxis(holes, axis, 2)
    if alpha is not None:
        if axis is None:
            reject("alpha", f"got {alpha!r} without channels", "pass channel_axis too, or leave it")
        channel = integer("alpha", alpha, -picture.shape[2], picture.shape[2] - 1)
        holes = holes.copy()
        holes[:, :, channel] = False
    unknown = holes.all(axis=(0, 1))
    if unknown.any():
        where = "" if axis is None else f" in channel {int(np.argmax(unknown))}"
        reject("missing", f"marks every pixel{where} as unknown", f"leave some; {_SEEN}")
    if picture.dtype.kind == "f":
        bad = ~holes & ~np.isfinite(picture)
        if bad.any():
            at = tuple(int(i) for i in np.argwhere(bad)[0])
            reject(
                "image",
                f"is {picture[at]} at row {at[0]}, column {at[1]}, a pixel that counts as observed",
                f"mark the pixel as missing; {_SEEN}",
            )
    native = picture.dtype.newbyteorder("=")
    return np.ascontiguousarray(picture, native), np.ascontiguousarray(holes)


_SEEN = "if your mask is True where a pixel is observed, pass ~mask"


def tiles(
    rows: NDArray[Any],
    cols: NDArray[Any],
    values: NDArray[Any],
    shape: tuple[int, int],
    row_cuts: NDArray[np.int64],
    col_cuts: NDArray[np.int64],
) -> Problem:
    """The block-diagonal problem of a tiled picture, whose pixels have been checked."""
    return Problem(rows, cols, _as_values(values), shape, row_cuts=row_cuts, col_cuts=col_cuts)
