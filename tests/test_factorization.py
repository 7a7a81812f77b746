"""What a Factorization predicts, reconstructs, imputes, shows and keeps."""

import copy
import pickle
import re

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st

import funkc

QUICK = settings(deadline=None, database=None, max_examples=25)
NAN = np.nan
SHAPE = (67, 75)


def observed(shape=SHAPE, density=0.6, seed=0):
    """A matrix of quarters with NaN in its holes."""
    rng = np.random.default_rng(seed)
    full = rng.integers(-40, 40, shape) / 4
    return np.where(rng.random(shape) < density, full, NAN)


def fitted(values=None, k=3, **options):
    values = observed() if values is None else values
    return funkc.factorize(None, values, k, **({"n_epochs": 3, "n_threads": 1} | options))


@pytest.fixture(scope="module")
def fit():
    return fitted()


# ---------------------------------------------------------------- reconstruct and predict


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("k", [1, 3, 15, 16, 17, 33, 64, 100])
def test_reconstruct_is_the_product_and_predict_its_cells_to_the_bit(k, dtype):
    fit = fitted(k=k, dtype=dtype)
    product = fit.reconstruct()
    assert product.dtype == fit.dtype == dtype
    assert product.shape == fit.shape == SHAPE
    rows, cols = np.indices(SHAPE)
    assert fit.predict(rows, cols).tobytes() == product.tobytes()
    exact = fit.offset + fit.row_factors.astype(float) @ fit.col_factors.astype(float).T
    exact += np.add.outer(fit.row_bias.astype(float), fit.col_bias)
    assert np.allclose(product, exact, rtol=0, atol=1e3 * np.finfo(dtype).eps)
    assert np.ptp(product) > 1  # a constant would be no test


@QUICK
@given(
    shape=st.tuples(st.integers(1, 9), st.integers(1, 9)),
    k=st.sampled_from([1, 3, 16, 17, 33]),
    dtype=st.sampled_from([np.float32, np.float64]),
    n_threads=st.sampled_from([1, 3]),
)
def test_predict_equals_reconstruct_for_any_shape(shape, k, dtype, n_threads):
    fit = fitted(np.arange(shape[0] * shape[1]).reshape(shape), k, dtype=dtype, n_threads=n_threads)
    product = fit.reconstruct()
    for i, j in np.ndindex(shape):
        assert fit.predict(i, j) == product[i, j]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("k", [3, 16])
def test_many_pairs_in_any_order_equal_the_product(k, dtype):
    fit = fitted(k=k, dtype=dtype, n_threads=2)
    rng = np.random.default_rng(4)
    rows, cols = rng.integers(0, SHAPE[0], 70_001), rng.integers(0, SHAPE[1], 70_001)
    assert fit.predict(rows, cols).tobytes() == fit.reconstruct()[rows, cols].tobytes()


@pytest.mark.parametrize(
    ("rows", "cols"),
    [
        (3, 5),
        (np.int8(3), np.uint64(5)),
        (np.array(3), 5),
        (3, [5]),
        ([3, 4, 66], 5),
        (0, range(75)),
        ([[1], [2]], [5, 6, 7]),
        (np.arange(8).reshape(2, 4), np.arange(4)),
        (np.arange(24).reshape(2, 3, 4), 1),
        (np.arange(40)[::-3], np.arange(14)[::-1]),
        (np.arange(9, dtype=">i2"), np.arange(9, dtype=np.uint8)),
        (np.asfortranarray(np.arange(12).reshape(3, 4)), np.arange(12).reshape(3, 4)),
        (np.broadcast_to(7, (2, 3)), 4),
        ([], []),
        (2, []),
        (np.empty((0, 3), int), [1, 2, 3]),
        (np.empty((2, 0), np.uint8), 4),
    ],
)
def test_predict_broadcasts_as_indexing_does(fit, rows, cols):
    predicted = fit.predict(rows, cols)
    expected = fit.reconstruct()[np.asarray(rows, int), np.asarray(cols, int)]
    assert np.shape(predicted) == np.shape(expected)
    assert type(predicted) is type(expected)  # a scalar for scalars, an array for arrays
    assert predicted.dtype == expected.dtype
    assert predicted.tobytes() == expected.tobytes()


def test_predictions_may_be_written_to(fit):
    predicted = fit.predict([1, 2], [3, 4])
    predicted[:] = 0
    assert (fit.predict([1, 2], [3, 4]) != 0).all()
    product = fit.reconstruct()
    product[:] = 0
    assert np.ptp(fit.reconstruct()) > 0


@pytest.mark.parametrize(
    ("index", "fragment"),
    [
        (-1, " = -1 is not among the "),
        (99, " = 99 is not among the "),
        (2**63 - 1, f" = {2**63 - 1} is not among the "),
        (np.uint64(2**64 - 1), f" = {2**64 - 1} is not among the "),
        ([0, 3, -2, -5], "[2] = -2 is not among the "),
        ([[0, 3], [1, 75]], "[1, 1] = 75 is not among the "),
        (np.array([0, -128], np.int8), "[1] = -128 is not among the "),
        (np.array([0, 2**63], np.uint64), f"[1] = {2**63} is not among the "),
    ],
    ids=str,
)
@pytest.mark.parametrize("side", [0, 1])
def test_a_position_that_was_not_trained_is_an_IndexError_with_its_place(
    fit, index, fragment, side
):
    name, pair = ("rows", "cols")[side], [0, 0]
    pair[side] = index
    with pytest.raises(IndexError) as caught:
        fit.predict(*pair)
    assert type(caught.value) is IndexError
    assert str(caught.value).startswith(f"{name}: {name}{fragment}{SHAPE[side]} that were trained")
    assert f"positions run from 0 to {SHAPE[side] - 1}" in str(caught.value)


def test_the_first_and_last_position_are_trained(fit):
    product = fit.reconstruct()
    assert fit.predict(0, 0) == product[0, 0]
    assert fit.predict(SHAPE[0] - 1, SHAPE[1] - 1) == product[-1, -1]
    for rows, cols in [(SHAPE[0], 0), (0, SHAPE[1])]:
        with pytest.raises(IndexError):
            fit.predict(rows, cols)


@pytest.mark.parametrize(
    ("index", "found"),
    [
        (1.0, "float64"),
        ([1.0, 2.0], "float64"),
        ("1", "<U1"),
        (None, "object"),
        ([0, None], "object"),
        (np.zeros(2, "m8[s]"), "timedelta64[s]"),
    ],
    ids=str,
)
@pytest.mark.parametrize("side", [0, 1])
def test_a_position_that_is_no_integer_is_a_TypeError(fit, index, found, side):
    pair = [0, 0]
    pair[side] = index
    with pytest.raises(TypeError) as caught:
        fit.predict(*pair)
    name, what = (("rows", "rows"), ("cols", "columns"))[side]
    expected = f"{name}: has dtype {found}; pass integers: these {what} have no ids"
    assert str(caught.value) == expected


@pytest.mark.parametrize("marks", [True, [True, False], np.ones((2, 2), bool)], ids=str)
def test_marks_for_other_rows_are_refused(fit, marks):
    with pytest.raises(ValueError, match=r"^rows: is boolean, of shape \(.* where there are \d+; "):
        fit.predict(marks, 0)


@pytest.mark.parametrize("hidden", [0, -1, 10**6])
def test_a_masked_position_is_refused_in_words(fit, hidden):
    with pytest.raises(TypeError) as caught:
        fit.predict(np.ma.array([0, hidden], mask=[False, True]), 0)
    assert str(caught.value).startswith("rows: ")
    assert "mask" in str(caught.value)


def test_positions_that_do_not_broadcast_are_refused(fit):
    with pytest.raises(ValueError, match=r"^rows and cols: have shapes \(2,\) and \(3,\);"):
        fit.predict([0, 1], [0, 1, 2])
    with pytest.raises(ValueError, match=r"^rows: the rows differ in length;"):
        fit.predict([[0, 1], [2]], 0)


# ---------------------------------------------------------------- impute


FLOATS = [np.float16, np.float32, np.float64, np.longdouble]


@pytest.mark.parametrize("dtype", [*FLOATS, ">f4", ">f8"])
@pytest.mark.parametrize("factors", [np.float32, np.float64])
def test_impute_keeps_the_observed_cells_and_their_dtype(dtype, factors):
    dtype = np.dtype(dtype)
    values = observed().astype(dtype)
    fit = fitted(values, dtype=factors)
    holes = np.isnan(values)
    filled = fit.impute(None, values)
    assert filled.dtype == dtype.newbyteorder("=")
    assert filled.dtype.isnative
    assert np.array_equal(filled[~holes], values[~holes])
    assert np.array_equal(filled[holes], fit.reconstruct()[holes].astype(dtype))
    assert (fit.reconstruct() != filled)[~holes].any()  # the product alone would be no test


def test_impute_keeps_what_the_dtype_of_the_factors_cannot_hold():
    values = np.array([[np.nextafter(1, 2), 1e-300], [NAN, np.pi]])
    assert np.array_equal(fitted(values).impute(None, values)[~np.isnan(values)], [
        np.nextafter(1, 2), 1e-300, np.pi,
    ])  # fmt: skip
    fine = np.array([[1, NAN], [2, 3]], np.longdouble)
    fine[0, 0] = np.nextafter(fine[0, 0], fine[1, 0])
    assert fitted(fine).impute(None, fine)[0, 0] == fine[0, 0]


@pytest.mark.parametrize("dtype", ["?", "i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8", ">i4"])
def test_impute_of_integers_is_float64(dtype):
    mask = ~np.isnan(observed())
    values = np.where(mask, np.arange(mask.size).reshape(mask.shape) % 120, 77).astype(dtype)
    fit = funkc.factorize(mask, values, 3, n_epochs=2, n_threads=1)
    filled = fit.impute(mask, values)
    assert filled.dtype == np.float64
    assert np.array_equal(filled[mask], values[mask])
    assert np.array_equal(filled[~mask], fit.reconstruct()[~mask])


def test_integers_beyond_2_53_are_kept_as_the_nearest_float64():
    values = np.array([[2**53 + 1, -(2**60) - 1], [2**62 + 1, 0]])
    filled = fitted(values, dtype=np.float64).impute(None, values)
    assert filled.dtype == np.float64
    assert np.array_equal(filled, values.astype(float))


def masked(values):
    return np.ma.array(np.nan_to_num(values, nan=9e9), mask=np.isnan(values))


def listed(values, order=slice(None)):
    rows, cols = np.nonzero(~np.isnan(values))
    return (rows[order], cols[order]), values[rows, cols][order]


FORMS = {
    "NaN": lambda v: (None, v),
    "bool mask, 2-D": lambda v: (~np.isnan(v), v),
    "bool mask, 1-D": lambda v: (~np.isnan(v), v[~np.isnan(v)]),
    "pair, 2-D": lambda v: (np.nonzero(~np.isnan(v)), v),
    "pair, 1-D": listed,
    "pair, backward": lambda v: listed(v, slice(None, None, -1)),
    "masked": lambda v: (None, masked(v)),
    "lists": lambda v: (None, v.tolist()),
    "read-only": lambda v: (None, np.broadcast_to(v, v.shape)),
    "Fortran": lambda v: (None, np.asfortranarray(v)),
    "coo": lambda v: (None, sp.coo_array(listed(v)[::-1], shape=v.shape)),
    "csr": lambda v: (None, sp.csr_array(listed(v)[::-1], shape=v.shape)),
    "csc matrix": lambda v: (None, sp.csc_matrix(listed(v)[::-1], shape=v.shape)),
    "lil": lambda v: (None, sp.coo_array(listed(v)[::-1], shape=v.shape).tolil()),
}


@pytest.mark.parametrize("form", FORMS)
def test_impute_takes_every_form_and_changes_none(fit, form):
    values = observed()
    assert (values == 0).any()  # a zero is a value, not a hole
    mask, given_values = FORMS[form](values)
    kept = copy.deepcopy((mask, given_values))
    filled = fit.impute(mask, given_values)
    assert np.array_equal(filled, np.where(np.isnan(values), fit.reconstruct(), values))
    assert filled.dtype == np.float64
    assert not np.shares_memory(filled, values)
    if sp.issparse(given_values):
        assert (kept[1] != given_values).nnz == 0
    else:
        assert pickle.dumps(kept) == pickle.dumps((mask, given_values))


def test_impute_fills_the_holes_of_other_cells_than_were_trained(fit):
    other = observed(seed=9, density=0.1)
    assert np.array_equal(
        fit.impute(None, other), np.where(np.isnan(other), fit.reconstruct(), other)
    )


def test_impute_needs_no_shape_beside_a_pair(fit):
    filled = fit.impute(([0], [1]), [123.0])
    expected = fit.reconstruct().astype(float)
    expected[0, 1] = 123.0
    assert np.array_equal(filled, expected)


def test_impute_that_float16_cannot_hold_is_never_infinite():
    fit = fitted(np.array([[1e6, 2e6], [3e6, 4e6]]))
    values = np.array([[1, NAN], [2, 3]], np.float16)
    filled = fit.impute(None, values)
    assert np.isfinite(filled).all()
    assert np.array_equal(filled[[0, 1, 1], [0, 0, 1]], [1, 2, 3])


@pytest.mark.parametrize(
    ("mask", "values", "start"),
    [
        (None, np.ones((75, 67)), "values: has shape (75, 67) where (67, 75) is expected"),
        (None, sp.csr_array(np.ones((2, 2))), "values: has shape (2, 2) where (67, 75) is"),
        (np.ones((2, 2), bool), np.ones((2, 2)), "mask: has shape (2, 2) where (67, 75) is"),
        (([0], [0]), np.ones((2, 2)), "values: has shape (2, 2) where (67, 75) is expected"),
        (([67], [0]), [1.0], "rows: rows[0] = 67 is outside shape, which has 67 of them"),
        (([0], [75]), [1.0], "cols: cols[0] = 75 is outside shape, which has 75 of them"),
        (([0], [-1]), [1.0], "cols: cols[0] = -1 is negative"),
        (None, np.ones(67), "values: has shape (67,); pass a 2-D array"),
        (([3], [4]), [np.inf], "values: is infinite at row 3, column 4"),
    ],
)
def test_impute_refuses_what_does_not_fit(fit, mask, values, start):
    with pytest.raises(ValueError, match=f"^{re.escape(start)}"):
        fit.impute(mask, values)


TWICE = ([0, 2, 1, 2, 2], [0, 1, 1, 1, 1]), np.array([5.0, 1.0, 6.0, 8.0, 3.0])


@pytest.mark.parametrize(("policy", "settled"), [("last", 3.0), ("mean", 4.0), ("sum", 12.0)])
def test_impute_settles_duplicates(fit, policy, settled):
    filled = fit.impute(*TWICE, duplicates=policy)
    expected = fit.reconstruct().astype(float)
    expected[[0, 1, 2], [0, 1, 1]] = 5, 6, settled
    assert np.array_equal(filled, expected)


@pytest.mark.parametrize("policy", ["mean", "sum"])
def test_impute_refuses_duplicates_whose_sum_overflows(fit, policy):
    with pytest.raises(ValueError, match=r"^values: is infinite at row 2, column 1"):
        fit.impute(([0, 2, 2], [0, 1, 1]), [1.0, -1.5e308, -1.5e308], duplicates=policy)


def test_impute_refuses_duplicates_by_place(fit):
    for mask, values in [TWICE, (None, sp.coo_array(TWICE[::-1], shape=SHAPE))]:
        with pytest.raises(ValueError, match=r"^mask: row 2, column 1 is listed more than once"):
            fit.impute(mask, values)
    with pytest.raises(ValueError, match=r"^duplicates: got 'first'; pass one of 'error', 'last'"):
        fit.impute(*TWICE, duplicates="first")


# ---------------------------------------------------------------- threads


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("k", [3, 32])
def test_the_number_of_threads_leaves_no_trace(k, dtype):
    rng = np.random.default_rng(2)
    rows, cols = rng.integers(0, SHAPE[0], 20_000), rng.integers(0, SHAPE[1], 20_000)
    found = set()
    for n_threads in (1, 2, 3, 8):
        fit = fitted(k=k, dtype=dtype, n_threads=n_threads)
        assert fit.n_threads == n_threads
        found.add(
            (
                fit.row_factors.tobytes(),
                fit.col_factors.tobytes(),
                fit.offset,
                fit.reconstruct().tobytes(),
                fit.predict(rows, cols).tobytes(),
                fit.impute(None, observed()).tobytes(),
            )
        )
    assert len(found) == 1


# ---------------------------------------------------------------- the object


def test_the_attributes_agree():
    fit = fitted(k=5, dtype=np.float64)
    assert (fit.shape, fit.k, fit.dtype) == (SHAPE, 5, np.float64)
    assert fit.row_factors.shape == (67, 5)
    assert fit.col_factors.shape == (75, 5)
    assert fit.row_factors.dtype == fit.col_factors.dtype == np.float64
    assert fit.row_factors.flags.c_contiguous
    assert type(fit.offset) is float
    assert fitted(offset=1.5).offset == 1.5


def test_repr_tells_shape_k_dtype_epochs_and_error():
    fit = fitted(k=5, n_epochs=4)
    simple = {name: float(f"{error:.4g}") for name, error in fit.baseline_rmse.items()}
    assert repr(fit) == (
        "Factorization(shape=(67, 75), k=5, dtype=float32, epochs=4, "
        f"noise={fit.noise:.4g}, baseline_rmse={simple})"
    )


def test_repr_of_no_epoch():
    fit = fitted()
    fit.history = {name: [] for name in fit.history}
    fit.noise, fit.baseline_loss = None, {}
    assert repr(fit) == "Factorization(shape=(67, 75), k=3, dtype=float32, epochs=0)"


COPIES = {
    "copy": copy.copy,
    "deepcopy": copy.deepcopy,
    **{
        f"pickle {protocol}": lambda fit, protocol=protocol: pickle.loads(
            pickle.dumps(fit, protocol)
        )
        for protocol in range(2, pickle.HIGHEST_PROTOCOL + 1)
    },
}


@pytest.mark.parametrize("way", COPIES)
def test_a_copy_is_whole(way):
    fit = fitted(n_threads=2)
    other = COPIES[way](fit)
    assert type(other) is funkc.Factorization
    assert repr(other) == repr(fit)
    assert other.history == fit.history
    assert (other.stopped_by, other.offset) == (fit.stopped_by, fit.offset)
    assert other.reconstruct().tobytes() == fit.reconstruct().tobytes()
    assert other.predict(3, 4) == fit.predict(3, 4)
    assert np.shares_memory(other.row_factors, fit.row_factors) == (way == "copy")
    before = fit.reconstruct()
    with pytest.raises(ValueError, match="read-only"):
        other.row_factors[:] = 0
    if way != "copy":
        other.history["epoch"].append(99)
        assert np.array_equal(fit.reconstruct(), before)
        assert fit.history["epoch"] == [1, 2, 3]


# ---------------------------------------------------------------- history and stopped_by

KEYS = {"epoch", "train_rmse", "learning_rate", "seconds"}


def assert_history(fit, n_epochs):
    assert set(fit.history) >= KEYS
    assert fit.history["epoch"] == list(range(1, n_epochs + 1))
    for name, column in fit.history.items():
        assert len(column) == n_epochs, name
        assert np.isfinite(column).all(), name
        assert {type(number) for number in column} <= {int, float}, name
    assert (np.diff(fit.history["seconds"]) >= 0).all()
    assert all(seconds > 0 for seconds in fit.history["seconds"])


@pytest.mark.parametrize("n_epochs", [1, 2, 7, 30])
@pytest.mark.parametrize("n_threads", [1, 3])
@pytest.mark.parametrize("listener", [None, lambda epoch, history: None])
def test_history_has_one_line_for_every_epoch(n_epochs, n_threads, listener):
    fit = fitted(n_epochs=n_epochs, n_threads=n_threads, callback=listener)
    assert_history(fit, n_epochs)
    assert fit.stopped_by == "epochs"


def test_the_error_of_training_falls_and_the_rate_with_it():
    rng = np.random.default_rng(3)
    values = rng.standard_normal((40, 2)) @ rng.standard_normal((2, 30))
    history = fitted(values, k=4, n_epochs=100).history
    assert history["train_rmse"][-1] < history["train_rmse"][0] / 2
    left = np.arange(100, 0, -1) / 100
    assert np.allclose(history["learning_rate"], history["learning_rate"][0] * left)
    constant = fitted(values, learning_rate=0.01, decay="constant").history["learning_rate"]
    assert constant == [0.01] * 3


def test_the_last_error_of_training_is_about_that_of_the_product():
    values = observed()
    fit = fitted(values, k=2, n_epochs=40)
    error = np.sqrt(np.nanmean((fit.reconstruct() - values) ** 2))
    assert np.isclose(fit.history["train_rmse"][-1], error, rtol=0.05)


@pytest.mark.parametrize("answer", [True, np.True_], ids=repr)
@pytest.mark.parametrize("stop", [1, 3])
def test_a_callback_stops_training_by_returning_True(answer, stop):
    fit = fitted(n_epochs=9, callback=lambda epoch, history: answer if epoch == stop else None)
    assert fit.stopped_by == "callback"
    assert_history(fit, stop)


@pytest.mark.parametrize("answer", [False, None])
def test_a_callback_that_does_not_say_True_leaves_no_trace(answer):
    seen = []

    def listen(epoch, history):
        seen.append((epoch, len(history["epoch"])))
        return answer

    fit = fitted(n_epochs=5, callback=listen)
    assert seen == [(epoch, epoch) for epoch in range(1, 6)]
    assert fit.stopped_by == "epochs"
    assert fit.reconstruct().tobytes() == fitted(n_epochs=5).reconstruct().tobytes()


def interrupt(epoch, history):
    if epoch == 2:
        raise KeyboardInterrupt


def test_an_interrupt_leaves_a_usable_result_for_those_who_ask():
    fit = fitted(n_epochs=9, callback=interrupt, on_interrupt="return")
    assert fit.stopped_by == "interrupt"
    assert_history(fit, 2)
    stopped = fitted(n_epochs=9, callback=lambda epoch, history: epoch == 2)
    assert fit.reconstruct().tobytes() == stopped.reconstruct().tobytes()


def test_an_interrupt_is_raised_for_all_others():
    with pytest.raises(KeyboardInterrupt):
        fitted(n_epochs=9, callback=interrupt)


@pytest.mark.parametrize("on_interrupt", ["raise", "return"])
def test_an_error_of_the_callback_passes_through(on_interrupt):
    def fail(epoch, history):
        raise LookupError("mine")

    with pytest.raises(LookupError, match=r"^mine$"):
        fitted(callback=fail, on_interrupt=on_interrupt)


@pytest.mark.parametrize("k", [15, 16])
def test_no_public_array_lets_the_model_be_changed(k):
    fit = funkc.factorize(None, np.arange(12.0).reshape(4, 3), k)
    before = fit.reconstruct()
    for array in (fit.row_factors, fit.col_factors):
        try:
            array.flags.writeable = True
            array[:] = 9
        except ValueError:  # it owns no memory that may be written to
            pass
    np.testing.assert_array_equal(fit.reconstruct(), before)
