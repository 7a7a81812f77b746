"""Libraries whose tables and arrays funkc takes, for the tests that have them; and stand-ins."""

import pytest

REASON = "no part of the extra test: it has not a wheel for every Python that funkc is tested on"


def pandas():
    return pytest.importorskip("pandas")


def pyarrow():
    return pytest.importorskip("pyarrow")


def polars():
    return pytest.importorskip("polars", reason=REASON)


def xarray():
    return pytest.importorskip("xarray")


def dask():
    return pytest.importorskip("dask", reason=REASON)


def kind_of(column):
    return next((type(x) for x in column if x is not None), float)


def pandas_frame(columns):
    """With nullable dtypes; None is a gap."""
    kinds = {bool: "boolean", int: "Int64", float: "Float64"}
    array = pandas().array
    return pandas().DataFrame(
        {name: array(x, dtype=kinds[kind_of(x)]) for name, x in columns.items()}
    )


def arrow_frame(columns):
    """Of pandas."""
    made = pandas().arrays.ArrowExtensionArray
    return pandas().DataFrame({name: made(pyarrow().array(x)) for name, x in columns.items()})


def polars_frame(columns):
    return polars().DataFrame(columns)


def pyarrow_table(columns):
    return pyarrow().table(columns)


TABLES = [pandas_frame, arrow_frame, polars_frame, pyarrow_table]


class Tensor:
    """Of a library that has DLPack alone, as torch and JAX have."""

    def __init__(self, array, device=(1, 0), error=None):
        self.array, self.device, self.error = array, device, error

    def __dlpack__(self, **options):
        if self.error is not None:
            raise self.error
        return self.array.__dlpack__(**options)

    def __dlpack_device__(self):
        return self.device


class Later:
    """As of Dask: whoever computes it is caught."""

    def __array__(self, *_, **__):
        raise AssertionError("computed")

    compute = iloc = index = columns = shape = property(__array__)


Later.__module__ = "dask.dataframe.core"
