"""Cells that are listed more than once."""

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st
from small_calls import QUICK, assert_same_bits, fitted, refused

LISTED = [(3, 1, 1.5), (0, 2, 4.0), (3, 1, 2.25), (2, 0, -1.0), (0, 2, 0.5), (3, 1, -0.75)]
SHAPE = (4, 3)


def columns(cells):
    """The pair and the values of (row, column, value) triples."""
    rows, cols, values = zip(*cells, strict=True)
    return (np.array(rows), np.array(cols)), np.array(values)


def settled(cells, policy):
    """A dictionary does what `duplicates` promises."""
    found = {}
    for i, j, value in cells:
        found.setdefault((i, j), []).append(value)
    rule = {"last": lambda v: v[-1], "sum": sum, "mean": lambda v: sum(v) / len(v)}[policy]
    return [(i, j, rule(values)) for (i, j), values in found.items()]


FORMS_WITH_DUPLICATES = {
    "pair": lambda cells: columns(cells),
    "coo": lambda cells: (None, sp.coo_array(columns(cells)[::-1], shape=SHAPE)),
    "coo_matrix": lambda cells: (None, sp.coo_matrix(columns(cells)[::-1], shape=SHAPE)),
    "csr": lambda cells: (None, unsummed_csr(cells)),
}


def unsummed_csr(cells):
    cells = sorted(cells, key=lambda cell: cell[0])
    indptr = np.searchsorted([cell[0] for cell in cells], np.arange(SHAPE[0] + 1))
    (_, cols), values = columns(cells)
    return sp.csr_array((values, cols, indptr), shape=SHAPE)


@pytest.mark.parametrize("form", FORMS_WITH_DUPLICATES)
def test_a_cell_listed_twice_is_refused_and_named(form):
    mask, values = FORMS_WITH_DUPLICATES[form]([(1, 0, 2.0), (3, 1, 1.0), (0, 2, 3.0), (3, 1, 1.0)])
    for dtype in (np.float32, np.float64):
        refused(
            ValueError,
            "mask: row 3, column 1 is listed more than once",
            'duplicates="last", "mean" or "sum"',
            mask=mask,
            values=values,
            dtype=dtype,
        )


def test_a_cell_listed_twice_is_named_among_many_blocks_and_values():
    rng = np.random.default_rng(0)
    full = rng.permutation(80 * 90).reshape(80, 90) + 0.5  # too many values for 8-bit codes
    rows, cols = np.indices(full.shape).reshape(2, -1)
    rows, cols = np.append(rows, 71), np.append(cols, 33)
    for values in (full[rows, cols], np.ones(rows.size)):
        refused(
            ValueError, "mask: row 71, column 33 is listed more", mask=(rows, cols), values=values
        )


@pytest.mark.parametrize("policy", ["last", "mean", "sum"])
@pytest.mark.parametrize("form", FORMS_WITH_DUPLICATES)
def test_duplicates_are_settled_as_a_dictionary_would(form, policy):
    mask, values = FORMS_WITH_DUPLICATES[form](LISTED)
    expected = columns(settled(LISTED, policy))
    fit = fitted(mask, values, shape=SHAPE, duplicates=policy)
    assert_same_bits(fit, fitted(*expected, shape=SHAPE))
    assert np.array_equal(fit.impute(mask, values, duplicates=policy)[expected[0]], expected[1])


cells_with_duplicates = st.lists(
    st.tuples(st.integers(0, 3), st.integers(0, 2), st.integers(-40, 40).map(lambda n: n / 4)),
    min_size=1,
    max_size=30,
)


@QUICK
@given(cells_with_duplicates, st.sampled_from(["last", "mean", "sum"]), st.data())
def test_any_duplicates_are_settled_as_a_dictionary_would(cells, policy, data):
    fit = fitted(*columns(cells), shape=SHAPE, duplicates=policy)
    assert_same_bits(fit, fitted(*columns(settled(cells, policy)), shape=SHAPE))
    if policy != "last":
        shuffled = data.draw(st.permutations(cells))
        assert_same_bits(fit, fitted(*columns(shuffled), shape=SHAPE, duplicates=policy))


@QUICK
@given(
    st.lists(
        st.tuples(st.integers(0, 1), st.integers(0, 1), st.floats(-1e30, 1e30)),
        min_size=2,
        max_size=12,
    ),
    st.sampled_from(["mean", "sum"]),
    st.data(),
)
def test_the_order_of_listing_leaves_no_trace_in_means_and_sums_that_round(cells, policy, data):
    shuffled = data.draw(st.permutations(cells))
    options = {"shape": (2, 2), "duplicates": policy, "dtype": np.float64}
    assert_same_bits(fitted(*columns(cells), **options), fitted(*columns(shuffled), **options))


@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.int64, np.float16, np.float32, np.bool_])
def test_sums_of_duplicates_do_not_wrap_in_a_narrow_dtype(dtype):
    top = np.array([1 if dtype == np.bool_ else 100] * 3, dtype)
    fit = fitted(([0, 0, 0], [0, 0, 0]), top, shape=(2, 2), duplicates="sum")
    total = float(top[0]) * 3
    assert_same_bits(fit, fitted(([0], [0]), [total], shape=(2, 2)))


@pytest.mark.parametrize("policy", ["mean", "sum"])
def test_duplicates_whose_sum_overflows_are_refused_by_place(policy):
    refused(
        ValueError,
        "values: is infinite at row 1, column 0",
        mask=([0, 1, 1], [0, 0, 0]),
        values=[1.0, 1.5e308, 1.5e308],
        dtype=np.float64,
        duplicates=policy,
    )
