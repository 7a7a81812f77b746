"""Arrays and tables of other libraries, as NumPy's: recognized by their classes, not imported."""

from __future__ import annotations

from typing import Any

import numpy as np

from funkc._errors import reject

LIBRARIES = ("dask", "pandas", "polars", "pyarrow", "xarray")
HOST_DEVICES = (1, 3, 13)  # of DLPack: memory that the processor reads
EXACT = 2**53  # integers that float64 holds, whatever their last digits are


def library_of(value: object) -> str:
    """The library that its class comes from, also by inheritance; "" for any other one."""
    roots = (str(kind.__module__).partition(".")[0] for kind in type(value).__mro__)
    names = ("dask" if root.startswith("dask") else root for root in roots)
    return next((name for name in names if name in LIBRARIES), "")


def refuse_lazy(name: str, value: Any) -> None:
    """Refuse what is a recipe for numbers, before anything computes them."""
    library = library_of(value)
    if library == "xarray":
        if hasattr(value, "data_vars"):
            reject(name, "is an xarray Dataset", "pass one of its variables", TypeError)
        library = library_of(getattr(value, "data", None))
    if library == "dask":
        reject(
            name,
            "is a Dask collection, not computed yet",
            "pass the result of its .compute()",
            TypeError,
        )
    if library == "polars" and hasattr(type(value), "collect"):
        reject(name, "is a polars LazyFrame", "pass the result of its .collect()", TypeError)


def as_numpy(name: str, value: Any) -> Any:
    """Tables, columns and tensors of other libraries as arrays, NaN where they have gaps; anything
    else as it is.
    """
    if isinstance(value, (np.ndarray, np.generic, list, tuple, int, float)):
        return value
    refuse_lazy(name, value)
    library = library_of(value)
    if columns := columns_of_frame(value):
        return _matrix(name, value, [_column(library, column) for column in columns])
    if library in ("pandas", "polars", "pyarrow"):
        return _with_nan(*_column(library, value))
    if not library and hasattr(type(value), "__dlpack__"):
        return _from_dlpack(name, value)
    return value


def columns_of_frame(value: Any) -> list[Any]:
    """The columns of a data frame or table; none of anything else, and of a data frame of pandas
    that NumPy understands by itself.
    """
    library = library_of(value)
    if library == "pandas" and hasattr(value, "iloc") and hasattr(value, "columns"):
        dtypes = set(value.dtypes)
        mixed = np.dtype(bool) in dtypes and len(dtypes) > 1  # which NumPy takes for objects
        if not mixed and all(isinstance(dtype, np.dtype) for dtype in dtypes):
            return []
        return [value.iloc[:, at] for at in range(value.shape[1])]
    if library == "polars" and hasattr(value, "get_columns"):
        return list(value.get_columns())
    if library == "pyarrow" and hasattr(value, "column_names"):
        return list(value.columns)
    return []


def labels_of(value: Any) -> tuple[Any, ...]:
    """What the rows and the columns of a table are called; None where they have no names."""
    library = library_of(value)
    if library == "pandas" and hasattr(value, "columns"):
        return value.index, value.columns
    if library == "polars" and hasattr(value, "get_columns"):
        return None, value.columns
    if library == "pyarrow" and hasattr(value, "column_names"):
        return None, value.column_names
    if library == "xarray" and getattr(value, "ndim", 0) == 2:
        return tuple((name, value.indexes.get(name)) for name in value.dims)
    return None, None


def same_labels(own: Any, other: Any) -> bool:
    """Of two tables of one library."""
    if isinstance(own, tuple):  # the name of a dimension, and its index or None
        named = own[0] == other[0]
        return named and (own[1] is None or other[1] is None or own[1].equals(other[1]))
    return bool(own.equals(other) if hasattr(own, "equals") else own == other)


def _matrix(name: str, value: Any, parts: list[tuple[Any, Any]]) -> Any:
    """Columns side by side."""
    if not all(numbers.dtype.kind in "buif" for numbers, _ in parts):
        return np.asarray(value)
    wanted = [numbers.dtype if gaps is None else np.dtype(float) for numbers, gaps in parts]
    out = np.empty((len(parts[0][0]), len(parts)), np.result_type(*wanted))
    for col, (numbers, gaps) in enumerate(parts):
        out[:, col] = numbers
        if numbers.dtype.kind in "iu" and out.dtype.kind == "f":
            _require_exact(name, numbers, col)
        if gaps is not None:
            out[gaps, col] = np.nan
    return out


def _require_exact(name: str, numbers: Any, col: int) -> None:
    """Refuse what NumPy would round without a word."""
    for row in np.flatnonzero((numbers > EXACT) | (numbers < -EXACT)).tolist():
        number = int(numbers[row])
        if float(number) != number:
            reject(
                name,
                f"is {number} at row {row}, column {col}, which float64 rounds, and integers have "
                "no NaN for what is missing in the table, and no fractions",
                "subtract a constant, or pass a pair (rows, cols) and the observed integers",
            )


def _with_nan(numbers: Any, gaps: Any) -> Any:
    if gaps is None:
        return numbers
    made = numbers.astype(np.float64)
    made[gaps] = np.nan
    return made


def _column(library: str, column: Any) -> tuple[Any, Any]:
    """What a column holds; and where it has gaps, or None if it has none, or NaN for them."""
    if library == "pandas":
        dtype: Any = getattr(column, "dtype", None)
        if hasattr(dtype, "pyarrow_dtype"):
            column, library = getattr(column, "array", column).__arrow_array__(), "pyarrow"
        elif hasattr(dtype, "numpy_dtype"):
            held = dtype.numpy_dtype
            if held.kind not in "iub":
                return column.to_numpy(held, na_value=np.nan), None
            gaps = np.asarray(column.isna())
            return column.to_numpy(held, na_value=held.type(0)), gaps if gaps.any() else None
    if library == "pyarrow" and hasattr(column, "null_count"):
        kind = str(column.type)
        if kind.startswith("decimal") or kind == "null":
            column = column.cast("float64")
        elif column.null_count and kind.startswith(("int", "uint", "bool")):
            filled = column.fill_null(False if kind == "bool" else 0)
            return np.asarray(filled), np.asarray(column.is_null())
    elif library == "polars" and hasattr(column, "null_count"):
        kind = str(column.dtype)
        if kind.startswith("Decimal") or kind == "Null":
            column = column.cast(float)
        elif column.null_count() and kind.startswith(("Int", "UInt", "Boolean")):
            filled = column.fill_null(False if kind == "Boolean" else 0)
            return np.asarray(filled), np.asarray(column.is_null())
    return np.asarray(column), None


def _from_dlpack(name: str, value: Any) -> Any:
    """Of torch, JAX and others, without a copy."""
    device, _ = value.__dlpack_device__()
    if device not in HOST_DEVICES:
        reject(
            name,
            f"is in the memory of another device (of DLPack's type {int(device)})",
            "pass its .cpu()",
        )
    try:
        return np.from_dlpack(value)
    except (BufferError, RuntimeError, TypeError) as error:
        reject(
            name,
            f"can't be exported by DLPack ({error})",
            "pass its .detach(), of a dtype that NumPy has",
            TypeError,
        )
