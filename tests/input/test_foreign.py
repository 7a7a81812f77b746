"""Tables and arrays of other libraries become the same arrays of NumPy."""

from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from other_libraries import (
    TABLES,
    Later,
    Tensor,
    arrow_frame,
    pandas,
    pandas_frame,
    polars,
    polars_frame,
    pyarrow,
)

from funkc import Ratings
from funkc._input.arrays import as_array

BIG = 2**60 + 1


every_library = pytest.mark.parametrize("library", TABLES)
COLUMN = {
    bool: st.booleans(),
    int: st.integers(-(2**53), 2**53),
    float: st.floats(allow_nan=False),
}


@st.composite
def tables(draw):
    """Columns of one kind each, with gaps."""
    n, kinds = draw(st.integers(1, 5)), draw(st.lists(st.sampled_from([*COLUMN]), min_size=1,
                                                      max_size=4))  # fmt: skip
    return {
        f"column {at}": draw(st.lists(st.none() | COLUMN[kind], min_size=n, max_size=n))
        for at, kind in enumerate(kinds)
    }


@every_library
@settings(deadline=None, max_examples=60)
@given(columns=tables())
def test_gaps_become_nan(library, columns):
    wanted = np.array([[np.nan if x is None else float(x) for x in column]
                       for column in columns.values()]).T  # fmt: skip
    found = as_array("values", library(columns))
    assert found.dtype.kind in "buif"
    np.testing.assert_array_equal(found.astype(float), wanted)


@every_library
def test_the_dtype_is_that_of_the_columns(library):
    for column, dtype in (([True, False], bool), ([1, 2], np.int64), ([1.5, 2.0], np.float64)):
        assert as_array("values", library({"a": column, "b": column})).dtype == dtype
        gaps = library({"a": column, "b": [None, column[0]]})
        assert as_array("values", gaps).dtype == np.float64
    assert as_array("values", library({"a": [True], "b": [1]})).dtype == np.int64


@every_library
def test_large_integers_are_exact_or_refused(library):
    exact = as_array("values", library({"a": [BIG, 1], "b": [2, -BIG]}))
    assert exact.dtype == np.int64
    assert exact.tolist() == [[BIG, 2], [1, -BIG]]
    for columns, row, col in (
        ({"a": [1, 2], "b": [None, BIG]}, 1, 1),
        ({"a": [-BIG, 2], "b": [0.5, 1.0]}, 0, 0),
    ):
        with pytest.raises(ValueError, match=rf"values: is -?{BIG} at row {row}, column {col}, "):
            as_array("values", library(columns))
    rounded = as_array("values", library({"a": [2**60, None], "b": [0.5, 1.0]}))
    assert rounded[0, 0] == 2**60


@pytest.mark.parametrize("library", TABLES[1:])
def test_decimals_and_columns_of_gaps(library):
    columns = {"a": [Decimal("1.25"), None], "b": [None, None]}
    found = as_array("values", library(columns))
    np.testing.assert_array_equal(found, [[1.25, np.nan], [np.nan, np.nan]])


@every_library
def test_float32_stays(library):
    frame = library({"a": [1.5, None], "b": [2.0, 3.0]})
    if library is pandas_frame:
        frame = frame.astype("Float32")
    elif library is arrow_frame:
        frame = frame.astype(pandas().ArrowDtype(
            pyarrow().float32()))  # fmt: skip
    elif library is polars_frame:
        frame = frame.cast(polars().Float32)
    else:
        pa = pyarrow()
        frame = frame.cast(pa.schema([(name, pa.float32()) for name in frame.column_names]))
    found = as_array("values", frame)
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, np.array([[1.5, 2.0], [np.nan, 3.0]], "f4"))


@every_library
def test_text_among_the_columns_is_left_to_the_check_of_the_dtype(library):
    if library is pandas_frame:
        frame = library({"b": [1, 2]}).assign(a=["x", "y"])
    else:
        frame = library({"a": ["x", "y"], "b": [1, 2]})
    assert as_array("values", frame).dtype.kind not in "buif"


def test_a_frame_of_numpy_is_not_copied():
    pd = pandas()
    matrix = np.ones((3, 2))
    assert np.shares_memory(as_array("values", pd.DataFrame(matrix, copy=False)), matrix)


def test_a_subclass_is_of_its_library():
    class Own(pandas().DataFrame):
        pass

    Own.__module__ = "elsewhere"
    frame = Own(pandas().DataFrame({"a": [1, None]}, dtype="Int64"))
    assert type(frame) is Own
    found = as_array("values", frame)
    np.testing.assert_array_equal(found, [[1.0], [np.nan]])


def test_torch():
    torch = pytest.importorskip("torch", reason="torch is large")
    tensor = torch.arange(6.0).reshape(2, 3)
    assert as_array("values", tensor).tolist() == tensor.tolist()
    with pytest.raises(TypeError, match=r"values: can't be exported .*\.detach\(\)"):
        as_array("values", tensor.requires_grad_())


# ---------------------------------------------------------------- what uses as_array no more


def test_the_imputer_takes_them():
    pytest.importorskip("sklearn")
    from funkc import FunkImputer

    table = np.outer(np.arange(1.0, 9), [1, 2, 3])
    table[2, 1] = np.nan
    expected = FunkImputer().fit_transform(table)
    columns = {
        name: [None if x != x else x for x in column.tolist()]
        for name, column in zip("abc", table.T, strict=True)
    }
    for library in TABLES:
        imputer = FunkImputer().fit(library(columns))
        assert imputer.feature_names_in_.tolist() == list("abc")
        np.testing.assert_array_equal(imputer.transform(library(columns)), expected)
    np.testing.assert_array_equal(FunkImputer().fit_transform(Tensor(table)), expected)
    for call in (FunkImputer().fit, imputer.partial_fit, imputer.transform):
        with pytest.raises(TypeError, match="X: is a Dask collection"):
            call(Later())


def test_ratings_of_dask_are_refused():
    with pytest.raises(TypeError, match="df: is a Dask collection"):
        Ratings.from_dataframe(Later(), row="u", col="i", value="r")
    for at, name in enumerate(("row_ids", "col_ids", "values")):
        columns = [[1], [2], [3.0]]
        columns[at] = Later()
        with pytest.raises(TypeError, match=f"ratings, {name}: is a Dask collection"):
            Ratings.from_arrays(*columns)
