"""The observed cells: what factorize() refuses, in which words, and odd input that it accepts."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st
from small_calls import (
    CELLS,
    FULL,
    INF,
    MASK,
    MATRIX,
    NAN,
    PAIR,
    QUICK,
    assert_finite,
    assert_same_bits,
    fitted,
    outcome,
    refused,
)

import funkc
from funkc._input.cells import observed_cells
from funkc._input.forms import entries_of_arrays

measures_memory = pytest.mark.skipif(
    not hasattr(os, "sysconf"), reason="the memory of this machine is known to the allocator only"
)


def answer_of(code):
    """What the code prints in a new interpreter, where a crash kills nobody else."""
    source = f"import numpy as np, scipy.sparse as sp, funkc\n{code}"
    env = os.environ | {"PYTHONPATH": str(Path(funkc.__file__).parents[1])}
    done = subprocess.run(
        [sys.executable, "-c", source], env=env, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, f"exit code {done.returncode}: {done.stderr}"
    return done.stdout


# ---------------------------------------------------------------- shapes that do not fit


def case(error, *fragments, **arguments):
    return pytest.param(error, fragments, arguments)


@pytest.mark.parametrize(
    ("error", "fragments", "arguments"),
    [
        case(ValueError, "values: has shape ()", "pass a 2-D array", values=3.0),
        case(ValueError, "values: has shape (3,)", "pass a 2-D array", values=[1.0, 2.0, 3.0]),
        case(ValueError, "values: has shape (1, 2, 3)", "2-D", values=np.ones((1, 2, 3))),
        case(ValueError, "values: the rows differ in length", "rectangular", values=[[1, 2], [3]]),
        case(ValueError, "values: the rows differ in length", mask=PAIR, values=[[1, 2], 3, 4]),
        case(ValueError, "mask: has shape ()", "2-D", mask=np.True_, values=FULL),
        case(ValueError, "mask: has shape (3,)", "2-D", mask=MASK[0], values=FULL),
        case(ValueError, "mask: has shape (2, 3, 1)", "2-D", mask=MASK[..., None], values=FULL),
        case(
            ValueError, "mask: the rows differ in length", mask=[[True], [True, False]], values=FULL
        ),
        case(
            ValueError,
            "values: has shape (3, 2) where mask has shape (2, 3) and 4 True entries",
            "R[mask]",
            mask=MASK,
            values=FULL.T,
        ),
        case(
            ValueError,
            "values: has shape (3,) where mask has shape (2, 3) and 4 True entries",
            "R[mask]",
            mask=MASK,
            values=CELLS[:3],
        ),
        case(ValueError, "values: has shape () where mask", "R[mask]", mask=MASK, values=1.0),
        case(ValueError, "values: has shape (1,) where mask", "R[mask]", mask=MASK, values=[1.0]),
        case(
            ValueError,
            "values: has shape (2, 2) where mask",
            "R[mask]",
            mask=MASK,
            values=CELLS.reshape(2, 2),
        ),
        case(
            ValueError,
            "values: has shape (3,) where mask lists 4 entries",
            "one value for every observed entry",
            mask=PAIR,
            values=CELLS[:3],
        ),
        case(ValueError, "values: has shape () where mask lists 4 entries", mask=PAIR, values=1.0),
        case(
            ValueError,
            "values: has shape (1, 2, 3) where mask lists 4 entries",
            mask=PAIR,
            values=FULL[None],
        ),
        case(
            ValueError,
            "mask: has 4 rows and 3 columns",
            "one row and one column",
            mask=(PAIR[0], PAIR[1][:3]),
            values=CELLS,
        ),
        case(ValueError, "mask: is a tuple of 1", "(rows, cols)", mask=PAIR[:1], values=CELLS),
        case(ValueError, "mask: is a tuple of 0", "(rows, cols)", mask=(), values=CELLS),
        case(ValueError, "mask: is a tuple of 3", "(rows, cols)", mask=(*PAIR, 0), values=CELLS),
        case(
            ValueError,
            "rows: the rows differ in length",
            mask=([[0, 1], [2]], [0, 1]),
            values=[1.0, 2.0],
        ),
        case(ValueError, "rows: has 0 dimensions", "1-D", mask=(0, [0]), values=[1.0]),
        case(ValueError, "cols: has 2 dimensions", "1-D", mask=([0], [[0]]), values=[1.0]),
        case(
            ValueError,
            "values: has shape (2, 3) where (3, 2) is expected",
            "pass a matrix of that shape",
            shape=(3, 2),
        ),
        case(
            ValueError,
            "mask: has shape (2, 3) where (5, 5) is expected",
            mask=MASK,
            values=FULL,
            shape=(5, 5),
        ),
        case(
            ValueError,
            "values: has shape (2, 3) where (5, 5) is expected",
            mask=PAIR,
            values=FULL,
            shape=(5, 5),
        ),
        case(
            ValueError,
            "values: has shape (2, 3) where (5, 5) is expected",
            values=sp.csr_array(FULL),
            shape=(5, 5),
        ),
        case(
            ValueError,
            "values: has 1 dimensions",
            "2-D sparse",
            values=sp.coo_array(np.arange(1.0, 4.0)),
        ),
        case(
            ValueError,
            "values: has 3 dimensions",
            "2-D sparse",
            values=sp.coo_array(np.ones((2, 2, 2))),
        ),
    ],
)
def test_shapes_that_do_not_fit_are_told(error, fragments, arguments):
    refused(error, *fragments, **arguments)


@pytest.mark.parametrize("shape", [(0, 5), (5, 0), (0, 0)])
@pytest.mark.parametrize(
    ("name", "form"),
    [
        ("values", lambda shape: (None, np.empty(shape))),
        ("mask", lambda shape: (np.empty(shape, bool), np.empty(shape))),
        ("values", lambda shape: (None, sp.csr_array(shape))),
        ("values", lambda shape: (None, np.ma.masked_all(shape))),
        ("values", lambda shape: (([], []), np.empty(shape))),
    ],
    ids=["values", "mask", "sparse", "masked", "pair"],
)
def test_a_matrix_without_a_cell_is_refused(shape, name, form):
    mask, values = form(shape)
    refused(
        ValueError, f"{name}: has shape {shape}", "at least one entry", mask=mask, values=values
    )


@pytest.mark.parametrize(
    ("mask", "values"),
    [
        (np.zeros((2, 3), bool), FULL),
        (np.zeros((2, 3), bool), []),
        (([], []), []),
        ((np.empty(0, int), np.empty(0, int)), FULL),
        (None, np.full((2, 3), NAN)),
        (None, np.ma.masked_all((2, 3))),
        (None, sp.csr_array((2, 3))),
        (None, sp.coo_matrix((2, 3))),
        (None, sp.dok_array((2, 3))),
    ],
    ids=["bool", "bool 1-D", "pair", "pair 2-D", "NaN", "masked", "csr", "coo", "dok"],
)
def test_at_least_one_cell_must_be_observed(mask, values):
    refused(
        ValueError,
        "mask: marks no entry as observed",
        "mark at least one",
        "~mask",
        mask=mask,
        values=values,
    )


# ---------------------------------------------------------------- values that are no numbers


@pytest.mark.parametrize("bad", [NAN, INF, -INF])
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, np.longdouble, ">f8"])
@pytest.mark.parametrize(
    "form",
    [
        lambda full: (MASK, full),
        lambda full: (MASK, full[MASK]),
        lambda full: (PAIR, full),
        lambda full: (PAIR, full[MASK]),
        lambda full: (None, np.ma.array(full, mask=~MASK)),
    ],
    ids=["bool", "bool 1-D", "pair 2-D", "pair", "masked"],
)
def test_an_observed_cell_that_is_not_finite_is_named_with_its_place(bad, dtype, form):
    full = FULL.astype(dtype)
    full[1, 2] = bad
    mask, values = form(full)
    refused(
        ValueError,
        f"values: is {'NaN' if np.isnan(bad) else 'infinite'} at row 1, column 2",
        "mark the entry as missing",
        mask=mask,
        values=values,
    )


@pytest.mark.parametrize("bad", [INF, -INF])
@pytest.mark.parametrize("wrap", [np.asarray, np.ndarray.tolist])
def test_an_infinite_value_is_not_taken_for_a_hole(bad, wrap):
    values = MATRIX.copy()
    values[1, 0] = bad
    refused(ValueError, "values: is infinite at row 1, column 0", values=wrap(values))


@pytest.mark.parametrize("bad", [NAN, INF])
@pytest.mark.parametrize("name", ["coo", "csr", "csc", "bsr", "lil", "dok"])
def test_what_is_stored_in_a_sparse_array_must_be_finite(bad, name):
    full = FULL.copy()
    full[1, 1] = bad
    what = "NaN" if np.isnan(bad) else "infinite"
    values = sp.coo_array(full).asformat(name)
    refused(ValueError, f"values: is {what} at row 1, column 1", "replace the value", values=values)


def test_a_long_double_beyond_double_is_refused_as_infinite():
    if np.finfo(np.longdouble).maxexp == np.finfo(float).maxexp:
        pytest.skip("a long double is a double here")
    huge = FULL.astype(np.longdouble)
    huge[1, 2] = np.longdouble("1e4000")
    refused(ValueError, "values: is infinite at row 1, column 2", mask=MASK, values=huge)


STRANGE = {
    "object": (np.array([[1, None, 2], [3, 4, 5]], object), "NaN for None"),
    "None": (None, "has dtype object"),
    "str": (np.array([["1", "2", "3"]] * 2), ".astype(float)"),
    "bytes": (np.array([[b"1", b"2", b"3"]] * 2), ".astype(float)"),
    "datetime": (np.zeros((2, 3), "M8[s]"), "datetime64[s]"),
    "timedelta": (np.ones((2, 3), "m8[s]"), "timedelta64[s]"),
    "complex": (np.ones((2, 3), complex), "real part"),
    "structured": (np.zeros((2, 3), [("a", float), ("b", int)]), ".astype(float)"),
    "void": (np.zeros((2, 3), "V4"), ".astype(float)"),
}


@pytest.mark.parametrize("name", STRANGE)
@pytest.mark.parametrize("mask", [None, MASK, PAIR], ids=["None", "bool", "pair"])
def test_values_that_are_not_real_numbers_are_refused(name, mask):
    values, fragment = STRANGE[name]
    refused(
        TypeError,
        "values: has dtype ",
        "which is not real",
        fragment,
        mask=mask,
        values=values,
    )


def test_values_hidden_in_a_masked_or_sparse_array_are_refused_alike():
    fragments = ("values: has dtype complex128", "real part")
    refused(TypeError, *fragments, values=np.ma.array(FULL + 0j, mask=~MASK))
    refused(TypeError, *fragments, values=sp.csr_array(FULL + 0j))


# ---------------------------------------------------------------- a column of numbers


@st.composite
def listings(draw):
    """Entries of a small matrix, in any order, each with its number."""
    shape = draw(st.tuples(st.integers(1, 4), st.integers(1, 4)))
    places = draw(st.lists(st.integers(0, shape[0] * shape[1] - 1), min_size=1, unique=True))
    values = draw(st.lists(st.integers(-9, 9), min_size=len(places), max_size=len(places)))
    return shape, np.divmod(places, shape[1]), np.array(values, float)


@QUICK
@given(listing=listings(), known=st.booleans(), turned=st.booleans())
def test_a_column_is_one_number_for_each_entry_or_refused(listing, known, turned):
    shape, (rows, cols), values = listing
    column = values[None] if turned else values[:, None]
    size = shape if known else (None, None)
    may_be_matrix = (
        (not known or shape == column.shape)
        and rows.max() < column.shape[0]
        and cols.max() < column.shape[1]
    )
    if may_be_matrix and (rows + cols != np.arange(values.size)).any():
        with pytest.raises(ValueError, match=r"values: has shape .*\.ravel\(\) if.*\[rows, cols\]"):
            entries_of_arrays((rows, cols), column, size)
        return
    for name, given_column in (("values", column), ("hidden", np.ma.masked_array(column))):
        found = entries_of_arrays((rows, cols), given_column, size)
        np.testing.assert_array_equal(found[2], values, err_msg=name)
    hidden = np.ma.masked_array(column, column == values[-1])
    at = int(np.argmax(values == values[-1]))
    with pytest.raises(ValueError, match=f"masked at row {rows[at]}, column {cols[at]}, "):
        entries_of_arrays((rows, cols), hidden, size)


# ---------------------------------------------------------------- masks


@pytest.mark.parametrize(
    ("mask", "found"),
    [
        (MASK.astype(object), "object"),
        (MASK.astype(complex), "complex128"),
        (MASK.astype(str), "<U5"),
        (np.zeros((2, 3), "M8[s]"), "datetime64[s]"),
        (np.zeros((2, 3), [("a", bool)]), "'a'"),
        ("mask", "<U4"),
        ({}, "object"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_mask_that_is_not_boolean_is_refused(mask, found):
    refused(
        TypeError,
        "mask: has dtype ",
        found,
        "True where observed",
        "(rows, cols)",
        mask=mask,
        values=FULL,
    )


@pytest.mark.parametrize("dtype", ["i1", "u1", "i8", "u8", "f2", "f4", "f8", "g", ">f8", ">i2"])
def test_a_mask_of_zeros_and_ones_is_boolean(dtype):
    expected = funkc.factorize(MASK, FULL, 1, n_epochs=3).reconstruct()
    mask = MASK.astype(dtype)
    before = mask.copy()
    for form in (mask, mask.tolist(), np.asfortranarray(mask)):
        found = funkc.factorize(form, FULL, 1, n_epochs=3).reconstruct()
        np.testing.assert_array_equal(found, expected)
    assert (mask == before).all()


@pytest.mark.parametrize(
    ("value", "dtype", "shown"),
    [(255, "u1", "255, of uint8"), (2, "i8", "2, of int64"), (-1, "i1", "-1, of int8"),
     (NAN, "f4", "nan, of float32"), (INF, "f8", "inf, of float64"), (0.5, "f8", "0.5, of")],
)  # fmt: skip
@pytest.mark.parametrize("at", [(0, 0), (1, 2)])
def test_a_mask_of_other_numbers_is_refused(value, dtype, shown, at):
    mask = MASK.astype(dtype)
    mask[at] = value
    place = f"mask[{at[0]}, {at[1]}] = {shown}"
    refused(ValueError, "mask: ", place, "such as mask > 0", mask=mask, values=FULL)


def test_a_mask_that_is_itself_masked_is_refused():
    refused(
        TypeError,
        "mask: is itself a masked array",
        "plain boolean",
        mask=np.ma.array(MASK, mask=~MASK),
        values=FULL,
    )


@pytest.mark.parametrize("kind", [sp.csr_array, sp.csr_matrix, sp.coo_array, sp.lil_matrix])
def test_a_sparse_mask_is_refused_with_the_way_out(kind):
    mask = kind(MASK)
    refused(TypeError, "mask: is a sparse array", "mask=None", "nonzero()", mask=mask, values=FULL)
    assert_same_bits(fitted(mask.nonzero(), FULL), fitted())


@pytest.mark.parametrize("mask", [MASK, PAIR, MASK.tolist()], ids=["bool", "pair", "list"])
def test_a_mask_beside_sparse_values_is_refused(mask):
    refused(
        TypeError,
        "values: is a sparse array together with a mask",
        "mask=None",
        mask=mask,
        values=sp.csr_array(FULL),
    )


@pytest.mark.parametrize(
    ("mask", "values"),
    [
        (~MASK, np.ma.array(FULL, mask=~MASK)),
        (~MASK, np.ma.array(MATRIX, mask=~MASK)),
        (~MASK, np.ma.array(FULL, mask=~MASK)[~MASK]),
        ((~MASK).nonzero(), np.ma.array(FULL, mask=~MASK)),
        ((~MASK).nonzero(), np.ma.masked_all(2)),
        (np.ones((2, 3), bool), np.ma.array(FULL, mask=~MASK)),
    ],
    ids=["arr.mask", "NaN beneath", "1-D", "pair 2-D", "pair", "all True"],
)
def test_a_masked_cell_is_never_observed_so_an_inverted_mask_is_found_out(mask, values):
    refused(
        ValueError,
        "values: is masked at row 0, column 2, which mask marks as observed",
        "mask=None",
        "~mask",
        mask=mask,
        values=values,
    )


@pytest.mark.parametrize("form", [np.asarray, np.nonzero], ids=["bool", "pair"])
def test_NaN_beneath_an_inverted_mask_brings_the_hint(form):
    refused(
        ValueError,
        "values: is NaN at row 0, column 2",
        "pass ~mask",
        mask=form(np.isnan(MATRIX)),
        values=MATRIX,
    )


def test_a_mask_that_agrees_with_numpy_ma_is_taken():
    values = np.ma.array(MATRIX, mask=~MASK)
    assert_same_bits(fitted(~values.mask, values), fitted())


# ---------------------------------------------------------------- index pairs


@pytest.mark.parametrize(
    ("index", "error", "fragments"),
    [
        ([0, 2, -1], ValueError, ("[2] = -1 is negative", "count from 0")),
        ([0, -1, 1, -7], ValueError, ("[1] = -1 is negative", "count from 0")),
        (np.array([0, 1, -128], np.int8), ValueError, ("[2] = -128 is negative",)),
        ([0, 1, 5], ValueError, ("[2] = 5 is outside shape", "5 of them", "0 to 4")),
        ([9, 0, 5], ValueError, ("[0] = 9 is outside shape", "indices run from 0 to")),
        (np.array([0, 2**64 - 1], np.uint64), ValueError, (f"[1] = {2**64 - 1} is outside",)),
        (np.array([0, 2**63], np.uint64), ValueError, (f"[1] = {2**63} is outside",)),
        ([0, 2**40], ValueError, (f"[1] = {2**40} is outside",)),
        ([0, -(2**63)], ValueError, (f"[1] = {-(2**63)} is negative",)),
        ([0.0, 1.0], TypeError, ("has dtype float64", "Ratings.from_arrays")),
        ([0, NAN], ValueError, ("[1] is missing", "drop the entry")),
        ([True, False], TypeError, ("has dtype bool", "pass integers")),
        (["a", "b"], TypeError, ("has dtype <U1", "Ratings.from_arrays")),
        ([None, 0], TypeError, ("has dtype object", "pass integers")),
        ([0, 2**64], TypeError, ("has dtype object", "pass integers")),
        (np.zeros(2, "m8[s]"), TypeError, ("has dtype timedelta64[s]", "pass integers")),
        ([[0, 1]], ValueError, ("has 2 dimensions", "1-D")),
        (1, ValueError, ("has 0 dimensions", "1-D")),
    ],
    ids=repr,
)
@pytest.mark.parametrize("side", [0, 1])
def test_a_bad_index_is_named_with_its_place(index, error, fragments, side):
    name = ("rows", "cols")[side]
    good = np.zeros(np.size(index), int)
    mask = (index, good) if side == 0 else (good, index)
    fragments = (f"{name}: ", *fragments)
    refused(error, *fragments, mask=mask, values=np.ones(np.size(index)), shape=(5, 5))
    refused(error, *fragments, mask=mask, values=np.ones((5, 5)))


@pytest.mark.parametrize("huge", [2**32 - 1, 2**40, 2**63, 2**64 - 1])
@pytest.mark.parametrize("side", [0, 1])
def test_an_index_that_is_an_id_is_told_apart_without_a_shape(huge, side):
    mask = [np.zeros(3, np.uint64), np.arange(3)]
    mask[0][1] = huge
    refused(
        ValueError,
        f"{('rows', 'cols')[side]}: {('rows', 'cols')[side]}[1] = {huge} is larger than",
        "Ratings.from_arrays",
        mask=tuple(mask[::-1] if side else mask),
        values=np.ones(3),
    )


@pytest.mark.parametrize("hidden", [0, -(10**8), 10**8])
@pytest.mark.parametrize("side", [0, 1])
def test_a_masked_index_is_refused_and_never_followed(hidden, side):
    code = f"""
pair = [np.ma.array([0, {hidden}], mask=[False, True]), [0, 1]]
try:
    funkc.factorize(tuple(pair[::{-1 if side else 1}]), [1.0, 2.0], 2, shape=(3, 3))
except (TypeError, ValueError) as error:
    print(type(error).__name__, error)
"""
    answer = answer_of(code)
    assert answer.startswith(("TypeError ", "ValueError "))
    assert ("rows", "cols")[side] in answer
    assert "mask" in answer


@measures_memory
def test_a_shape_too_large_for_this_machine_is_refused_at_once():
    huge = (4_000_000_000, 4_000_000_000)
    refused(
        MemoryError,
        f"factors of k = 2 for shape {huge} need ",
        "GiB",
        "lower k",
        mask=([0], [0]),
        values=[1.0],
        shape=huge,
    )


@measures_memory
def test_an_index_of_32_bits_is_never_taken_for_a_negative_one():
    huge = 2**31
    for pair, shape in [(([huge], [0]), (huge + 1, 1)), (([0], [huge]), (1, huge + 1))]:
        start = f"factors of k = 65536 for shape {shape} need "
        refused(MemoryError, start, mask=pair, values=[1.0], k=65_536)
        problem = observed_cells(pair, [1.0])  # what the core would get on a larger machine
        assert problem.rows.dtype == problem.cols.dtype == np.int64
        assert (problem.rows[0], problem.cols[0]) == (pair[0][0], pair[1][0])


@measures_memory
def test_a_k_too_large_for_this_machine_is_refused_at_once():
    refused(
        MemoryError,
        "factors of k = 65536 for shape (1000000000, 1) need ",
        "lower k",
        mask=([0], [0]),
        values=[1.0],
        shape=(10**9, 1),
        k=65_536,
    )


# ---------------------------------------------------------------- how large, how small


@pytest.mark.parametrize(
    ("values", "options"),
    [
        ([[1e39, 0.0]], {}),
        ([[1e39, 1e39]], {}),
        ([[-1e39, -1e39]], {"offset": 0}),
        ([[-3e38, 3e38]], {}),
        ([[-3e38, 3e38]], {"offset": 0}),
        ([[0.0, 1.0]], {"offset": 1e39}),
    ],
    ids=str,
)
def test_values_too_wide_for_float32_are_refused_and_fit_float64(values, options):
    refused(
        ValueError,
        "values: the range from the smallest to the largest (or the offset) exceeds",
        "divide the values",
        "numpy.float64",
        values=values,
        **options,
    )
    fitted(None, values, dtype=np.float64, **options)


@pytest.mark.parametrize("largest", [1e39, 1e100, 1e140])
def test_values_of_any_usual_size_fit_float64(largest):
    fitted(None, np.array([[-largest, largest / 2], [largest / 4, 0.0]]), dtype=np.float64)


@pytest.mark.parametrize("largest", [1e154, 1e200, 1e300, 4e307, 1.5e308])
@pytest.mark.parametrize("sign", [-1, 1])
def test_values_whose_squares_exceed_float64_are_factorized_or_refused_in_words(largest, sign):
    values = np.array([[sign * largest, largest / 2], [0.0, 1.0]])
    fit, error = outcome(None, values, k=2, n_epochs=2, n_threads=1, dtype=np.float64)
    if fit is not None:
        assert_finite(fit)
    else:
        assert type(error) is ValueError
        assert str(error).startswith("values: the range from the smallest")
        assert "divide the values" in str(error)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("value", [0.0, 5.0, -1e-3, 1e30])
def test_constant_values_are_predicted(value, dtype):
    fit = fitted(None, np.full((4, 3), value), dtype=dtype, n_epochs=20)
    assert np.allclose(fit.reconstruct(), value, rtol=1e-6, atol=0.1)


DENORMAL = {
    "float64 denormals": np.array([[5e-324, 1e-320], [3e-320, 0.0]]),
    "float32 denormals": np.array([[1e-45, 1e-44], [3e-45, 0.0]]),
    "between": np.array([[1e-300, 1e-310], [3e-305, 0.0]]),
    "tiny": np.array([[1e-39, 2e-39], [4e-39, 0.0]]),
    "a last digit": np.array([[1.0, 1.0 + 2**-52], [1.0, 1.0]]),
}


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", DENORMAL)
def test_values_that_hardly_differ_are_factorized(name, dtype):
    fit = fitted(None, DENORMAL[name], dtype=dtype, n_epochs=20)
    assert np.allclose(fit.reconstruct(), DENORMAL[name], atol=0.1)


def test_a_row_or_column_without_observation_is_allowed():
    fit = fitted(([0, 4, 4], [1, 1, 6]), [1.0, 2.0, 3.0], shape=(6, 9))
    assert fit.row_factors.shape == (6, 2)
    assert fit.col_factors.shape == (9, 2)
    assert np.isfinite(fit.reconstruct()).all()
    assert fitted(None, np.array([[1.0, NAN], [NAN, NAN]])).shape == (2, 2)


@pytest.mark.parametrize("k", [2, 3, 16, 100, 65_536])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_k_may_exceed_the_shape(k, dtype):
    fit = fitted(([0], [0]), [3.0], k, dtype=dtype)
    assert (fit.shape, fit.k) == ((1, 1), k)


def test_the_shape_of_a_pair_is_one_more_than_the_largest_index():
    assert fitted(([0, 4], [7, 2]), [1.0, 2.0]).shape == (5, 8)
    assert fitted(([0, 4], [7, 2]), [1.0, 2.0], shape=(6, 9)).shape == (6, 9)
