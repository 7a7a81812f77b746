"""Checks of arrays: what they hold, their shape, and whether they can be written to."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.ma  # which NumPy itself imports when it is first used, and that may fail

from funkc._errors import refuse_changed, reject, shown
from funkc._input.foreign import as_numpy, labels_of, library_of, same_labels
from funkc._input.scalars import integer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray

    Sides = tuple[int | None, int | None]  # how many rows and columns; None: not said

MOST_ROWS = 2**32 - 1
REORDERED = {  # what puts a table in the order of values
    "pandas": "pass {}.reindex_like(values)",
    "polars": "pass {}.select(values.columns)",
    "pyarrow": "pass {}.select(values.column_names)",
    "xarray": "pass {}.reindex_like(values).transpose(*values.dims)",
}


def is_sparse(value: object) -> bool:
    """Whether it is a scipy.sparse array or matrix; scipy need not be installed."""
    return hasattr(type(value), "tocoo") and hasattr(type(value), "nnz")


def are_ratings(value: object) -> bool:
    """Whether it is a `funkc.Ratings`, which this module must not import."""
    fields = ("rows", "cols", "values", "row_ids", "col_ids")
    return all(hasattr(type(value), field) for field in fields)


def are_factors(value: object) -> bool:
    """Whether it is a `funkc.Factorization`, which this module must not import."""
    return all(hasattr(type(value), field) for field in ("row_factors", "col_factors"))


def require_same_labels(name: str, frame: Any, values: Any) -> None:
    """Refuse a table whose rows or columns are labelled otherwise than those of values: both are
    taken by position.
    """
    if library_of(frame) != library_of(values):
        return
    for what, own, other in zip(
        ("rows", "columns"), labels_of(frame), labels_of(values), strict=True
    ):
        if own is None or other is None or same_labels(own, other):
            continue
        reject(
            name,
            f"has other {what} than values, or in another order, by their labels",
            f"{REORDERED[library_of(frame)].format(name)}, or arrays",
        )


def require_order_of_ids(name: str, table: Any, sides: Sequence[NDArray[Any] | None]) -> None:
    """Refuse a table that is labelled with the ids of a model, but in another order: it is taken by
    position.
    """
    names = ("rows", "columns"), ("row_ids", "col_ids")
    for what, attribute, labels, ids in zip(*names, labels_of(table), sides, strict=True):
        labels = labels[1] if isinstance(labels, tuple) else labels
        if labels is None or ids is None or len(labels) != ids.size:
            continue
        texts, wanted = list(map(str, labels)), list(map(str, ids.tolist()))
        if texts != wanted and sorted(texts) == sorted(wanted):
            reject(
                name,
                f"has the ids of the {what} as labels, in another order",
                f"bring its {what} into the order of {attribute}: tables are taken by position",
            )


def as_array(name: str, value: ArrayLike) -> NDArray[Any]:
    """An array of NumPy; of tables and arrays of other libraries too, with NaN for their gaps."""
    value = as_numpy(name, value)
    try:
        return np.asanyarray(value) if isinstance(value, np.ma.MaskedArray) else np.asarray(value)
    except ValueError as error:
        if "inhomogeneous" not in str(error):
            raise
        reject(name, "the rows differ in length", "pass a rectangular array")


def as_marks(name: str, array: NDArray[Any], remedy: str) -> NDArray[Any]:
    """Booleans, of numbers that each are 0 or 1; what holds no numbers is left as it is."""
    if array.dtype == bool or array.dtype.kind not in "iuf":
        return array
    ones = np.asarray(array == 1)
    neither = ~(ones | np.asarray(array == 0))
    if neither.any():
        at = tuple(int(i) for i in np.argwhere(neither)[0])
        place = ", ".join(map(str, at))
        reject(name, f"{name}[{place}] = {array[at]}, of {array.dtype}, is neither 0 nor 1", remedy)
    return ones


def listed_at_most(name: str, value: Any, remedy: str, most: int = 1 << 16) -> list[Any]:
    """A list of what is passed one by one; of what has no end, or is no list, an error."""
    try:
        listed = [] if is_sparse(value) else list(itertools.islice(value, most + 1))
    except (TypeError, NotImplementedError):
        reject(name, f"got {shown(value)}", remedy, TypeError)
    if is_sparse(value) or len(listed) > most:
        reject(name, f"got {shown(value)}", f"{remedy}, at most {most:,}", TypeError)
    return listed


def numeric(name: str, array: NDArray[Any]) -> NDArray[Any]:
    """Refuse what is not a real number."""
    if array.dtype.kind not in "buif":
        remedies = {
            "c": "pass its real part, or factorize real and imaginary parts separately",
            "O": "convert it with .astype(float), with NaN for None, or pass columns of ids and "
            "values to Ratings.from_dataframe",
        }
        reject(
            name,
            f"has dtype {array.dtype}, which is not real",
            remedies.get(array.dtype.kind, "convert it to numbers with .astype(float)"),
            TypeError,
        )
    return array


def for_core(array: NDArray[Any], dtype: Any) -> NDArray[Any]:
    """C-contiguous and aligned, as the core's pointers must be: what was read from the middle
    of a file may not be.
    """
    return np.require(array, dtype, ["C", "ALIGNED", "ENSUREARRAY"])


def for_cut(array: NDArray[Any]) -> NDArray[Any]:
    """Numbers as the cut reads them: as they are, except floats of 16 or 80 bits."""
    if array.dtype.kind == "f" and array.dtype.itemsize not in (4, 8):
        return as_values(array)
    return for_core(array, array.dtype.newbyteorder("="))


def as_values(array: NDArray[Any]) -> NDArray[Any]:
    """Float32 or float64, whichever holds the numbers, for the core."""
    dtype = np.result_type(array.dtype, np.float32)  # small integers fit float32
    if dtype not in (np.float32, np.float64):
        dtype = np.dtype(np.float64)
    with np.errstate(over="ignore"):  # a long double beyond float64 is refused below, as inf
        return for_core(array, dtype)


def as_index(name: str, value: ArrayLike, size: int | None) -> NDArray[Any]:
    index = as_array(name, value)
    if isinstance(index, np.ma.MaskedArray):
        reject(name, "is a masked array", "pass a plain array of integers", TypeError)
    if index.ndim != 1:
        reject(name, f"has {index.ndim} dimensions", "pass a 1-D array of integers")
    if index.size == 0:
        return np.empty(0, np.int32)
    if index.dtype.kind == "f" and np.isnan(index).any():
        at = int(np.argmax(np.isnan(index)))
        reject(name, f"{name}[{at}] is missing", "drop the entry, and make integers of the others")
    if index.dtype.kind not in "iu":
        reject(
            name,
            f"has dtype {index.dtype}",
            "pass integers; of ids make Ratings with Ratings.from_arrays",
            TypeError,
        )
    lowest, highest = int(index.min()), int(index.max())
    if lowest < 0:
        at = int(np.argmax(index < 0))
        reject(name, f"{name}[{at}] = {index[at]} is negative", "indices count from 0")
    if size is not None and highest >= size:
        at = int(np.argmax(index >= size))
        reject(
            name,
            f"{name}[{at}] = {index[at]} is outside shape, which has {size} of them",
            f"indices run from 0 to {size - 1}",
        )
    if highest >= MOST_ROWS:
        at = int(np.argmax(index >= MOST_ROWS))
        reject(
            name,
            f"{name}[{at}] = {index[at]} is larger than any matrix in memory",
            "of ids make Ratings with Ratings.from_arrays",
        )
    return for_core(index, index.dtype.newbyteorder("="))


def own_index(name: str, index: NDArray[Any], size: int) -> NDArray[np.int64]:
    """A copy, checked as such: NumPy, like much of the core, reads an index more than once, and
    another thread or another argument's ``__array__`` may write to the caller's meanwhile.
    """
    own = index.astype(np.int64)
    if own.size and not 0 <= own.min() <= own.max() < size:
        refuse_changed(name)
    return own


def own_pair(
    name: str, rows: NDArray[Any], cols: NDArray[Any], shape: tuple[int, int]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Both indices of entries, as `own_index`."""
    return own_index(name, rows, shape[0]), own_index(name, cols, shape[1])


def as_shape(shape: object) -> Sides:
    if shape is None:
        return None, None
    if not isinstance(shape, (tuple, list)) or len(shape) != 2:
        reject("shape", f"got {shown(shape)}", "pass a pair (rows, columns)", TypeError)
    rows, cols = (
        None if size is None else integer(f"shape[{at}]", size, 1, MOST_ROWS)
        for at, size in enumerate(shape)
    )
    return rows, cols


def matrix_shape(array: Any, shape: Sides, name: str) -> tuple[int, int]:
    """The shape of a 2-D argument, which `shape`, where given, must repeat."""
    if array.ndim != 2:
        reject(name, f"has shape {array.shape}", "pass a 2-D array")
    if 0 in array.shape:
        reject(name, f"has shape {array.shape}, without an entry", "pass at least one entry")
    if any(wanted not in (None, size) for wanted, size in zip(shape, array.shape, strict=True)):
        expected = ", ".join("any" if wanted is None else str(wanted) for wanted in shape)
        reject(
            name,
            f"has shape {tuple(array.shape)} where ({expected}) is expected",
            "pass a matrix of that shape",
        )
    if max(array.shape) > MOST_ROWS:
        reject(
            name, f"has shape {tuple(array.shape)}", f"pass at most {MOST_ROWS:,} rows or columns"
        )
    return array.shape[0], array.shape[1]


def writable(
    out: Any, shape: tuple[int, int], dtype: np.dtype[Any], *, at_least: bool = False
) -> NDArray[Any]:
    """Refuse an array that is unsuitable for a result.  Returned is what it is without its class,
    which might say otherwise.
    """
    if not isinstance(out, np.ndarray) or isinstance(out, np.ma.MaskedArray):
        reject("out", f"is of type {type(out).__name__}", "pass a numpy.ndarray", TypeError)
    array: NDArray[Any] = np.asarray(out)
    if array.shape != shape:
        reject("out", f"has shape {array.shape}", f"pass shape {shape}")
    if at_least:
        fits = array.dtype.kind == "f" and np.result_type(array.dtype, dtype) == array.dtype
    else:
        fits = array.dtype == dtype and array.flags.c_contiguous and array.flags.aligned
    if not fits:
        layout = "" if array.flags.c_contiguous else " and is not C-contiguous"
        layout += "" if array.flags.aligned else " and is not aligned"
        reject(
            "out",
            f"holds {array.dtype}{layout}",
            f"pass an array of {dtype}" + ("" if at_least else ", C-contiguous and aligned"),
            TypeError,
        )
    if not array.flags.writeable:
        reject("out", "can't be written to", "pass a copy")
    return array


def require_apart(out: NDArray[Any], *given: Any) -> None:
    """Refuse an output that overlaps an input, unless it is the very same array."""
    for passed in given:
        shares = hasattr(passed, "__array__") or hasattr(passed, "__dlpack__")  # also of a frame
        array = as_array("values or mask", passed) if shares else None
        if array is None or not np.may_share_memory(out, array):
            continue
        same = array.__array_interface__["data"] == out.__array_interface__["data"]
        if not same or array.strides != out.strides or array.dtype != out.dtype:
            reject("out", "overlaps values or mask", "pass a separate array, or values itself")
