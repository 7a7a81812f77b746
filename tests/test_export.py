"""Results in the form of what was given, and factors as dictionaries and data frames."""

import math
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from other_libraries import (
    TABLES,
    arrow_frame,
    pandas,
    pandas_frame,
    polars_frame,
    pyarrow,
    pyarrow_table,
    xarray,
)

import funkc
from funkc import Factorization, Ratings

M, N = 6, 4
MATRIX = np.outer(np.arange(1.0, M + 1), np.arange(1.0, N + 1))


@pytest.fixture(scope="module")
def fit():
    return funkc.factorize(None, MATRIX, 2, n_epochs=5)


def names_of(table):
    """The dtypes of the columns, as each library calls them."""
    if hasattr(table, "schema"):
        kinds = getattr(table.schema, "types", None) or list(table.schema.values())
        return [str(kind) for kind in kinds]
    return [str(kind) for kind in table.dtypes]


# ---------------------------------------------------------------- impute

# What floats, integers without and with gaps, and booleans without and with gaps become.
BECOMES = {
    pandas_frame: ["Float64", "Int64", "Float64", "boolean", "Float64"],
    arrow_frame: [f"{x}[pyarrow]" for x in ("double", "int64", "double", "bool", "double")],
    polars_frame: ["Float64", "Int64", "Float64", "Boolean", "Float64"],
    pyarrow_table: ["double", "int64", "double", "bool", "double"],
}


@pytest.mark.parametrize("library", TABLES)
@settings(deadline=None, max_examples=40)
@given(data=st.data())
def test_a_table_comes_back_with_its_labels_and_dtypes(library, data):
    kinds = data.draw(st.lists(st.integers(0, 4), min_size=1, max_size=4), "kinds")
    n = data.draw(st.integers(2, 5), "rows")
    numbers = [st.floats(-9, 9), *[st.integers(-9, 9)] * 2, *[st.booleans()] * 2]
    columns = {}
    for at, kind in enumerate(kinds):
        column = data.draw(st.lists(numbers[kind], min_size=n, max_size=n))
        if kind in (2, 4) or (kind == 0 and data.draw(st.booleans())):
            column[data.draw(st.integers(0, n - 1))] = None
        if kind in (2, 4) and not any(x is not None for x in column):
            column[0] = numbers[kind].example()
        columns[f"column {at}"] = column
    table = library(columns)
    array = np.array([[math.nan if x is None else float(x) for x in c] for c in columns.values()]).T
    fit = Factorization.from_factors(np.full((n, 1), 0.7), np.full((len(kinds), 1), 0.3))
    found = fit.impute(None, table)
    assert type(found) is type(table)
    assert names_of(found) == [BECOMES[library][kind] for kind in kinds]
    assert [*found.to_dict()] if library is not pyarrow_table else found.column_names == [*columns]
    np.testing.assert_array_equal(np.asarray(found, float), fit.impute(None, array))


def test_a_frame_keeps_its_index_its_attributes_and_repeated_names(fit):
    frame = pandas().DataFrame(MATRIX, index=list("abcabc"), columns=["x", "y", "x", "z"])
    frame.iloc[1, 2] = np.nan
    frame.attrs["unit"] = "stars"
    before = frame.copy()
    found = fit.impute(None, frame)
    pandas().testing.assert_index_equal(found.index, frame.index)
    pandas().testing.assert_index_equal(found.columns, frame.columns)
    assert found.attrs == {"unit": "stars"}
    np.testing.assert_array_equal(found.to_numpy(), fit.impute(None, frame.to_numpy()))
    found.iloc[0, 0] = 99
    pandas().testing.assert_frame_equal(frame, before)


@pytest.mark.parametrize(
    ("dtype", "becomes"),
    [
        ("float32", "float32"), ("float64", "float64"), ("int16", "float64"), ("bool", "float64"),
        ("Float32", "Float32"), ("UInt8", "Float64"), ("boolean", "Float64"),
        ("category", "float64"), ("Sparse[float64, nan]", "float64"),
        ("float[pyarrow]", "float[pyarrow]"), ("int8[pyarrow]", "double[pyarrow]"),
    ],
)  # fmt: skip
def test_dtypes_of_pandas_columns(fit, dtype, becomes):
    """The first column has an entry that is filled in, where the mask says so; the second none."""
    if "pyarrow" in dtype:
        pyarrow()
    ones = pandas().DataFrame(np.ones((M, N))).astype({0: dtype, 1: dtype})
    mask = np.ones((M, N), bool)
    mask[2, 0] = False
    found = fit.impute(mask, ones)
    assert [str(kind) for kind in found.dtypes] == [becomes, dtype, "float64", "float64"]
    expected = np.ones((M, N))
    expected[2, 0] = fit.predict(2, 0)
    np.testing.assert_array_equal(found.to_numpy(float), expected)


def test_large_integers_of_a_column_without_gaps_stay_exact(fit):
    frame = pandas().DataFrame({at: np.full(M, 2**60 + 1) for at in range(N)})
    assert (fit.impute(None, frame) == 2**60 + 1).all(axis=None)


def test_a_prediction_beyond_the_dtype_makes_it_wider():
    fit = Factorization.from_factors(np.full((2, 1), 1e30), np.full((2, 1), 1e20))
    frame = pandas().DataFrame({"a": [1.0, np.nan], "b": [2.0, 3.0]}, dtype="float32")
    frame["b"] = frame["b"].astype(float)
    found = fit.impute(None, frame)
    assert found.dtypes.tolist() == [np.float64, np.float64]
    assert found["a"].tolist() == [1.0, fit.predict(1, 0)]


def test_a_table_of_arrow_keeps_its_metadata(fit):
    table = pyarrow().table(dict(zip("abcd", MATRIX.T, strict=True)), metadata={"of": "stars"})
    assert fit.impute(None, table).schema.metadata == {b"of": b"stars"}
    batch = table.to_batches()[0]
    assert isinstance(fit.impute(None, batch), pyarrow().RecordBatch)


def data_array(array):
    return xarray().DataArray(
        array, dims=("user", "film"), coords={"film": list("abcdefghijkl")[: array.shape[1]],
        "age": ("user", np.arange(len(array)))}, name="stars", attrs={"unit": "one"},
    )  # fmt: skip


def test_a_data_array_comes_back(fit):
    holed = np.where(np.eye(M, N, dtype=bool), np.nan, MATRIX)
    array = data_array(holed)
    found = fit.impute(None, array)
    expected = array.copy(data=fit.impute(None, holed))
    assert found.identical(expected)
    assert found.identical(fit.impute(data_array(~np.isnan(holed)), array))
    assert np.isnan(array.values).any()


def test_what_is_no_matrix_comes_back_as_an_array(fit):
    rows, cols = np.indices((M, N)).reshape(2, -1)
    series = pandas().Series(MATRIX.ravel())
    for mask, values in (((rows, cols), series), ((rows, cols), series.to_frame()),
                         (np.ones((M, N), bool), series)):  # fmt: skip
        assert type(fit.impute(mask, values)) is np.ndarray
    frame, out = pandas().DataFrame(MATRIX), np.empty((M, N))
    assert fit.impute(None, frame, out=out) is out


def test_an_image_comes_back_as_it_was():
    image = np.add.outer(np.arange(12), np.arange(12)).astype(np.uint8)
    missing = image % 5 == 2
    expected, generated = funkc.inpaint(image, missing, return_generated=True)
    array = data_array(image)
    found = funkc.inpaint(array, data_array(missing))
    assert found.identical(array.copy(data=expected))
    both = funkc.inpaint(array, missing, return_generated=True)
    assert both[0].identical(found)
    assert both[1].identical(array.copy(data=generated))
    frame = funkc.inpaint(pandas().DataFrame(image), missing)
    assert set(frame.dtypes) == {np.dtype(np.uint8)}
    np.testing.assert_array_equal(frame.to_numpy(), expected)


# ---------------------------------------------------------------- dictionaries


def ratings():
    rows, cols = np.indices((M, N)).reshape(2, -1)
    return Ratings.from_arrays([f"user {i}" for i in rows], cols * 7 - 3, (rows + cols) % 2 + 0.0)


FITS = {
    "biases": lambda **o: funkc.factorize(None, MATRIX, 3, **o),
    "no biases": lambda **o: funkc.factorize(None, MATRIX, 3, biases=False, **o),
    "ids": lambda **o: funkc.factorize(None, ratings(), 16, **o),
    "clip": lambda **o: funkc.factorize(None, MATRIX, 2, clip="auto", validation=0.2, **o),
    "nonnegative": lambda **o: funkc.factorize(None, MATRIX, 2, nonnegative=True, **o),
    "unseen": lambda **o: funkc.factorize(([0, 2], [0, 1]), [1.0, 2.0], 2, shape=(4, 5), **o),
    "members": lambda **o: funkc.factorize(None, MATRIX, 2, members=2, **o),
    "folded in": lambda **o: funkc.factorize(None, ratings(), 2, **o).fold_in_rows(
        None, np.ones((2, N))
    ),
    **{
        loss: lambda loss=loss, **o: funkc.factorize(None, ratings(), 2, loss=loss, **o)
        for loss in ("absolute", "huber", "logistic", "poisson")
    },
}


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", FITS)
def test_a_dictionary_makes_the_same_model(name, dtype):
    fit = FITS[name](dtype=dtype, n_epochs=3)
    parts = fit.to_dict()
    again = Factorization.from_factors(**parts)
    assert (again.dtype, again.shape, again.k) == (dtype, fit.shape, fit.k)
    for link in (True, False):
        np.testing.assert_array_equal(again.reconstruct(link=link), fit.reconstruct(link=link))
    np.testing.assert_array_equal(again.predict(slice(1)), fit.predict(slice(1)))
    np.testing.assert_array_equal(
        *(one.predict([-1, 0], -1, unknown="baseline", ids=False) for one in (again, fit))
    )
    for key in ("loss", "clip", "noise", "offset"):
        assert getattr(again, key) == getattr(fit, key), key
    for key in ("huber_delta", "nonnegative"):
        assert again.parameters[key] == fit.parameters[key], key
    for key in ("row_ids", "col_ids"):
        wanted = getattr(fit, key)
        assert (wanted is None) == (getattr(again, key) is None)
        if wanted is not None:
            np.testing.assert_array_equal(getattr(again, key), wanted)
    assert all(
        part is None or isinstance(part, (np.ndarray, float, str, bool, tuple))
        for part in parts.values()
    )
    if name not in ("unseen", "folded in"):  # of which not all rows were seen
        new = [
            each.fold_in_rows(([0], [1]), [1.0], ids=False).reconstruct() for each in (fit, again)
        ]
        np.testing.assert_array_equal(*new)


# ---------------------------------------------------------------- data frames


@pytest.mark.parametrize("name", ["biases", "no biases", "ids", "folded in"])
def test_frames_hold_factors_biases_and_ids(name):
    fit = FITS[name](n_epochs=3)
    for frame, side in ((fit.row_frame(), "row"), (fit.col_frame(), "col")):
        factors, bias, ids = (getattr(fit, f"{side}_{part}") for part in ("factors", "bias", "ids"))
        assert frame.index.name == {"row": "row", "col": "column"}[side]
        assert frame.index.tolist() == (list(range(len(factors))) if ids is None else ids.tolist())
        names = [f"factor_{at}" for at in range(fit.k)]
        assert frame.columns.tolist() == names + ["bias"] * (bias is not None)
        assert set(frame.dtypes) == {fit.dtype}
        np.testing.assert_array_equal(frame[names].to_numpy(), factors)
        if bias is not None:
            np.testing.assert_array_equal(frame["bias"].to_numpy(), bias)
        frame.iloc[0, 0] = 99  # which is the caller's
        assert factors[0, 0] != 99


def test_frames_need_pandas(fit, monkeypatch):
    monkeypatch.setitem(sys.modules, "pandas", None)
    for call in (fit.row_frame, fit.col_frame):
        with pytest.raises(ImportError, match=r'needs pandas, .*pip install "funkc\[pandas\]"'):
            call()
