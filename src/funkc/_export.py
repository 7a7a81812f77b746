"""Results in the form of what was given, and factors as data frames."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import numpy as np

from funkc._errors import missing_extra
from funkc._input.arrays import as_array
from funkc._input.foreign import library_of

if TYPE_CHECKING:
    from numpy.typing import NDArray


def as_given(given: Any, filled: NDArray[Any]) -> Any:
    """The filled array as the kind of data frame, table or DataArray that was given, with its
    labels; an array for anything else, also for values that were listed.
    """
    library = library_of(given)
    if library in ("", "dask") or getattr(given, "shape", None) != filled.shape:
        return filled
    if library == "xarray":
        return given.copy(data=filled)
    if library == "pandas" and hasattr(given, "columns"):
        return _as_pandas(given, filled)
    if library == "polars" and hasattr(given, "get_columns"):
        return _as_polars(given, filled)
    if library == "pyarrow" and hasattr(given, "column_names"):
        return _as_pyarrow(given, filled)
    return filled


def _as_pandas(given: Any, filled: NDArray[Any]) -> Any:
    pandas: Any = sys.modules["pandas"]
    columns = {}
    for at in range(given.shape[1]):
        column = given.iloc[:, at]
        numbers = _changed(column, filled[:, at])
        columns[at] = column.array
        if numbers is not None:
            dtype = column.dtype
            if getattr(dtype, "numpy_dtype", dtype) != numbers.dtype:
                arrow, nullable = hasattr(dtype, "pyarrow_dtype"), hasattr(dtype, "numpy_dtype")
                dtype = "double[pyarrow]" if arrow else "Float64" if nullable else numbers.dtype
            columns[at] = pandas.array(numbers, dtype)
    made = pandas.DataFrame(columns, index=given.index)
    made.columns = given.columns
    return made.__finalize__(given)  # which may have attributes


def _as_polars(given: Any, filled: NDArray[Any]) -> Any:
    polars: Any = sys.modules["polars"]
    columns = []
    for at, column in enumerate(given.get_columns()):
        numbers = _changed(column, filled[:, at])
        columns.append(column if numbers is None else polars.Series(column.name, numbers))
    return polars.DataFrame(columns)


def _as_pyarrow(given: Any, filled: NDArray[Any]) -> Any:
    pyarrow: Any = sys.modules["pyarrow"]
    columns = []
    for at, column in enumerate(given.columns):
        numbers = _changed(column, filled[:, at])
        columns.append(column if numbers is None else pyarrow.array(numbers))
    made = type(given).from_arrays(columns, names=given.column_names)
    return made.replace_schema_metadata(given.schema.metadata)


def _changed(column: Any, filled: NDArray[Any]) -> NDArray[Any] | None:
    """The numbers of a column, of its dtype if that holds them, otherwise float64; None, if
    nothing was filled in.
    """
    given = as_array("values", column)
    if np.array_equal(given, filled):
        return None
    if filled.dtype.kind == "f" and given.dtype.kind != "f":
        return filled.astype(np.float64)
    with np.errstate(over="ignore"):
        numbers = filled.astype(given.dtype)
    return numbers if np.isfinite(numbers).all() else filled.astype(np.float64)


def imported_pandas() -> Any:
    """The library, or an error that says what to install."""
    try:
        import pandas
    except ImportError as error:
        raise missing_extra("pandas", "pandas", "a data frame") from error
    return pandas


def as_frame(
    factors: NDArray[Any], bias: NDArray[Any] | None, ids: NDArray[Any] | None, name: str
) -> Any:
    """The factors and biases of one side as a data frame of pandas, labelled by id or position."""
    pandas = imported_pandas()
    names = [f"factor_{at}" for at in range(factors.shape[1])]
    parts = [factors]
    if bias is not None:
        names.append("bias")
        parts.append(bias)
    index = pandas.RangeIndex(len(factors)) if ids is None else pandas.Index(ids)
    return pandas.DataFrame(np.column_stack(parts), index.rename(name), names)
