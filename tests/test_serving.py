"""What a Factorization answers: cells, the best, the most alike, new rows, and learning on."""

import copy
import os
import pickle
import re
import subprocess
import sys
import threading
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import reference
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st

import funkc
from funkc import _core

QUICK = settings(deadline=None, database=None, max_examples=30)
THREADS = (1, 2, 3, 8)
DTYPES = [np.float32, np.float64]
NAN = np.nan
SHAPE = (67, 75)
KINDS = {
    "plain": {},
    "biases": {"biases": True},
    "nonnegative": {"nonnegative": True},
    "both": {"biases": True, "nonnegative": True},
}


def observed(shape=SHAPE, density=0.6, seed=0):
    """A matrix of quarters above 0 with NaN in its holes."""
    rng = np.random.default_rng(seed)
    full = rng.integers(1, 80, shape) / 4
    return np.where(rng.random(shape) < density, full, NAN)


def fitted(values=None, k=3, **options):
    values = observed() if values is None else values
    return funkc.factorize(None, values, k, **({"n_epochs": 3, "n_threads": 1} | options))


def made(rows, cols, offset=0.0, **parts):
    """A factorization of given factors."""
    parameters = fitted().parameters
    return funkc.Factorization(
        np.asarray(rows), np.asarray(cols), offset=offset, parameters=parameters,
        history=fitted().history, stopped_by="epochs", n_threads=1, **parts,
    )  # fmt: skip


def rated(seed=0, n_rows=40, n_cols=30, text=True, n=500):
    rng = np.random.default_rng(seed)
    places = np.sort(rng.permutation(n_rows * n_cols)[:n])
    rows, cols = places // n_cols, places % n_cols
    names = np.array([f"r{i:03}" for i in range(n_rows)]) if text else np.arange(n_rows) * 10
    return funkc.Ratings.from_arrays(
        names[rows], np.arange(n_cols)[cols] * 7, rng.integers(1, 9, n) / 2
    )


def bits(fit):
    parts = (fit.row_factors, fit.col_factors, fit.row_bias, fit.col_bias)
    return [None if part is None else (part.dtype, part.shape, part.tobytes()) for part in parts]


@pytest.fixture(scope="module")
def fit():
    return fitted()


@pytest.fixture(scope="module")
def named():
    return funkc.factorize(None, rated(), 4, n_epochs=3, n_threads=1)


# ---------------------------------------------------------------- predict and reconstruct

CHOICES = [
    (slice(None), slice(None)),
    (slice(3, 40, 7), slice(None, None, -2)),
    (5, slice(None)),
    (slice(None), 7),
    ([4, 4, 0], slice(10)),
    (slice(5, 5), slice(None)),
    (slice(-3, None), [[1, 2], [3, 4]]),
    (np.array([[1], [2]]), slice(3)),
    (slice(60, 99), slice(0)),
]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("k", [1, 7, 16, 33])
def test_slices_predict_where_rows_and_columns_meet(kind, dtype, k):
    fit = fitted(k=k, dtype=dtype, **KINDS[kind])
    product = fit.reconstruct()
    for rows, cols in CHOICES:
        expected = product[rows][..., cols]
        assert fit.predict(rows, cols).tobytes() == expected.tobytes(), (rows, cols)
        assert fit.predict(rows, cols).shape == expected.shape
        assert fit.predict(rows, cols).dtype == dtype
    assert np.array_equal(fit.predict([3, 1]), product[[3, 1]])  # whole rows
    exact = fit.offset + fit.row_factors.astype(float) @ fit.col_factors.astype(float).T
    if fit.row_bias is not None:
        assert np.ptp(fit.row_bias) > 0
        exact += fit.row_bias.astype(float)[:, None] + fit.col_bias.astype(float)
    assert np.allclose(product, exact, rtol=0, atol=1e3 * np.finfo(dtype).eps)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_what_is_unknown_is_predicted_as_the_mean(kind, dtype):
    fit = fitted(dtype=dtype, **KINDS[kind])
    x, y = fit.row_factors.astype(float), fit.col_factors.astype(float)
    if fit.row_bias is not None:
        x = np.column_stack([x, fit.row_bias, np.ones(len(x))])
        y = np.column_stack([y, np.ones(len(y)), fit.col_bias])
    x, y = np.vstack([x, x.mean(axis=0)]), np.vstack([y, y.mean(axis=0)])
    exact = fit.offset + x @ y.T
    rows = np.array([0, 67, -1, 3, 2**40, -(2**40)])
    cols = np.array([75, 0, -5, 4, 99, 2])
    at = np.where((rows < 0) | (rows > 66), 67, rows), np.where((cols < 0) | (cols > 74), 75, cols)
    close = {"rtol": 0, "atol": 1e3 * np.finfo(dtype).eps}
    assert np.allclose(fit.predict(rows, cols, unknown="mean"), exact[at], **close)
    whole = fit.predict(rows, unknown="mean")
    assert np.allclose(whole, exact[at[0], :75], **close)
    assert whole[3].tobytes() == fit.reconstruct()[3].tobytes()  # the known ones as ever
    assert np.allclose(
        fit.predict(slice(None), cols, unknown="mean"), exact[:67][:, at[1]], **close
    )
    assert np.isclose(fit.predict(-1, -1, unknown="mean"), exact[67, 75], **close)
    with pytest.raises(IndexError, match=r"^rows: rows\[1\] = 67 is not among the 67 that were"):
        fit.predict(rows)
    with pytest.raises(IndexError, match=r"^cols: cols\[0\] = 75 is not among the 75 that were"):
        fit.predict(slice(None), cols)
    with pytest.raises(ValueError, match=r"^unknown: got 'usual'; pass one of 'error', 'mean'$"):
        fit.predict(0, 0, unknown="usual")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("k", [3, 16])
def test_reconstruct_fills_some_rows_and_an_array_of_ones_own(kind, k):
    fit = fitted(k=k, **KINDS[kind])
    product = fit.reconstruct()
    for rows in (slice(3, 9), slice(None, None, -1), [5, 5, 0], np.array([66]), slice(0, 0)):
        assert fit.reconstruct(rows).tobytes() == product[rows].tobytes()
        out = np.full((len(product[rows]), SHAPE[1]), 7, np.float32)
        assert fit.reconstruct(rows, out=out) is out
        assert out.tobytes() == product[rows].tobytes()
    out = np.empty(SHAPE, np.float32)
    assert fit.reconstruct(out=out) is out
    assert out.tobytes() == product.tobytes()


@pytest.mark.parametrize(
    ("out", "error", "start"),
    [
        (np.empty((3, 75), np.float64), TypeError, "out: holds float64; pass an array of"),
        (np.empty((75, 3), np.float32).T, TypeError, "out: holds float32 and is not C-contiguous;"),
        (np.empty((3, 75), ">f4"), TypeError, "out: holds >f4"),
        (np.empty((2, 75), np.float32), ValueError, "out: has shape (2, 75); pass shape (3, 75)"),
        ([[1.0]], TypeError, "out: is of type list; pass a numpy.ndarray"),
        (np.ma.zeros((3, 75), np.float32), TypeError, "out: is of type MaskedArray; pass a"),
        (
            np.broadcast_to(np.float32(1), (3, 75)),
            TypeError,
            "out: holds float32 and is not C-contiguous",
        ),
        (memoryview(b"abc"), TypeError, "out: is of type memoryview"),
    ],
)
def test_an_array_that_can_not_hold_the_rows_is_refused(fit, out, error, start):
    with pytest.raises(error, match=f"^{re.escape(start)}"):
        fit.reconstruct([0, 1, 2], out=out)


def test_an_array_that_may_not_be_written_to_is_refused(fit):
    out = np.zeros(SHAPE, np.float32)
    out.flags.writeable = False
    for call in (lambda: fit.reconstruct(out=out), lambda: fit.impute(([0], [0]), [1], out=out)):
        with pytest.raises((ValueError, TypeError), match=r"^out: "):
            call()
    assert not out.any()


# ---------------------------------------------------------------- top


@st.composite
def problems(draw):
    shape = draw(st.tuples(st.integers(1, 40), st.integers(1, 1200)))
    return {
        "shape": shape,
        "k": draw(st.sampled_from([1, 7, 16, 33])),
        "dtype": draw(st.sampled_from(DTYPES)),
        "n": draw(st.one_of(st.integers(1, 12), st.integers(1, 1300))),
        "seed": draw(st.integers(0, 2**32)),
        "steps": draw(st.sampled_from([1, 3, 1000])),  # few: many ties
        "density": draw(st.sampled_from([0.0, 0.3, 1.0])),
        "listed": draw(st.booleans()),
        "n_threads": draw(st.sampled_from(THREADS)),
    }


@QUICK
@given(problem=problems())
def test_top_is_a_stable_sort_of_the_predictions(problem):
    rng = np.random.default_rng(problem["seed"])
    (m, n_cols), k, steps = problem["shape"], problem["k"], problem["steps"]
    fit = made(
        rng.integers(-steps, steps + 1, (m, k)).astype(problem["dtype"]),
        rng.integers(-steps, steps + 1, (n_cols, k)).astype(problem["dtype"]),
        offset=0.5,
    )
    fit.n_threads = problem["n_threads"]
    hidden = rng.random((m, n_cols)) < problem["density"]
    rows = rng.integers(0, m, rng.integers(0, 50))
    exclude = hidden
    if problem["listed"]:
        exclude = [np.flatnonzero(hidden[row])[::-1] for row in rows]
    cols, scores = fit.top(rows, problem["n"], exclude=exclude)
    expected = reference.top(fit.reconstruct(rows), problem["n"], hidden[rows])
    assert np.array_equal(cols, expected[0])
    assert scores.dtype == problem["dtype"]
    assert scores.tobytes() == expected[1].tobytes()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_top_has_the_bits_of_predict_at_any_number_of_threads(kind, dtype):
    fit = fitted(k=7, dtype=dtype, **KINDS[kind])
    found = set()
    for n_threads in THREADS:
        fit.n_threads = n_threads
        cols, scores = fit.top(slice(None), 9)
        found.add((cols.tobytes(), scores.tobytes()))
        assert scores.tobytes() == fit.predict(np.arange(67)[:, None], cols).tobytes()
    assert len(found) == 1
    assert np.array_equal(cols, reference.top(fit.reconstruct(), 9, np.zeros(SHAPE, bool))[0])


def forms_of(hidden, rows):
    of, cols = np.nonzero(hidden)
    back = slice(None, None, -1)
    return {
        "mask": hidden,
        "csr": sp.csr_array(hidden),
        "csc of zeros": sp.csc_matrix((np.zeros(of.size), (of, cols)), hidden.shape),
        "coo twice": sp.coo_array((np.ones(2 * of.size), np.tile([of, cols], 2)), hidden.shape),
        "pair": (of, cols),
        "pair backward": (of[back], cols[back].astype(np.int32)),
        "pair of lists": (of.tolist(), cols.tolist()),
        "pair twice": (np.r_[of, of], np.r_[cols, cols]),
        "list": [np.flatnonzero(hidden[row]) for row in rows],
        "list of lists, backward": [np.flatnonzero(hidden[row])[back].tolist() for row in rows],
        "list twice": [np.repeat(np.flatnonzero(hidden[row]), 2) for row in rows],
    }


def test_every_form_of_exclude_says_the_same(fit):
    hidden = np.random.default_rng(3).random(SHAPE) < 0.5
    hidden[4], hidden[5] = True, False
    rows = np.array([4, 66, 5, 66, 0])
    expected = reference.top(fit.reconstruct(rows), 40, hidden[rows])
    for name, form in forms_of(hidden, rows).items():
        cols, scores = fit.top(rows, 40, exclude=form)
        assert np.array_equal(cols, expected[0]), name
        assert scores.tobytes() == expected[1].tobytes(), name
    assert (expected[0][0] == -1).all()
    assert np.isneginf(fit.top(4, 3, exclude=hidden)[1]).all()


def test_top_of_one_row_and_of_none(fit):
    cols, scores = fit.top(5, 3)
    assert cols.shape == scores.shape == (3,)
    assert np.array_equal(cols, fit.top([5], 3)[0][0])
    assert np.array_equal(cols, fit.top(5, 3, exclude=[[]])[0])
    assert fit.top([], 3)[0].shape == (0, 3)
    assert fit.top(slice(9, 9), 3, exclude=[])[1].shape == (0, 3)
    assert fit.top(5)[0].shape == (10,)
    everything, scores = fit.top(5, 80)
    assert sorted(everything[:75]) == list(range(75))
    assert (everything[75:] == -1).all()
    assert np.isneginf(scores[75:]).all()


@pytest.mark.parametrize(
    ("arguments", "error", "start"),
    [
        ({"rows": 67}, IndexError, "rows: rows = 67 is not among the 67 that were trained;"),
        ({"rows": [0, -1]}, IndexError, "rows: rows[1] = -1 is not among the 67"),
        ({"rows": [[0]]}, ValueError, "rows: has 2 dimensions; pass one position, or a 1-D"),
        ({"rows": 0.5}, TypeError, "rows: has dtype float64; pass integers"),
        ({"n": 0}, ValueError, "n: got 0; pass an integer from 1 to"),
        ({"n": True}, TypeError, "n: got True; pass an integer"),
        ({"n": 2.0}, TypeError, "n: got 2.0 of type float; pass an integer"),
        ({"ids": 1}, TypeError, "ids: got 1; pass True or False"),
        ({"ids": True}, ValueError, "ids: got True, but there are no ids; train on Ratings"),
        ({"exclude": np.ones((2, 2), bool)}, ValueError, "exclude: has shape (2, 2) where (67, 75"),
        ({"exclude": np.ones(SHAPE)}, TypeError, "exclude: has dtype float64; pass a boolean"),
        ({"exclude": np.ma.ones(SHAPE, bool)}, TypeError, "exclude: is a masked array; pass a"),
        ({"exclude": sp.csr_array((2, 2))}, ValueError, "exclude: has shape (2, 2) where (67, 75)"),
        ({"exclude": [[1], [2]]}, ValueError, "exclude: lists columns for 2 rows where 1 are"),
        ({"exclude": [[1, 75]]}, ValueError, "exclude[0]: exclude[0][1] = 75 lies outside shape"),
        ({"exclude": [[-1]]}, ValueError, "exclude[0]: exclude[0][0] = -1 is negative"),
        ({"exclude": [[0.5]]}, TypeError, "exclude[0]: has dtype float64; pass integers"),
        ({"exclude": ([1],)}, ValueError, "exclude: is a tuple of 1; pass a pair (rows, cols)"),
        ({"exclude": ([1], [2, 3])}, ValueError, "exclude: has 1 rows and 2 columns; pass one row"),
        ({"exclude": ([67], [2])}, ValueError, "exclude[0]: exclude[0][0] = 67 lies outside"),
        ({"exclude": rated()}, ValueError, "values: are Ratings, but this factorization knows"),
    ],
    ids=str,
)  # fmt: skip
def test_top_refuses_what_it_can_not_serve(fit, arguments, error, start):
    with pytest.raises(error, match=f"^{re.escape(start)}") as caught:
        fit.top(**({"rows": 0, "n": 2} | arguments))
    assert "; " in str(caught.value)


def test_top_never_holds_the_product():
    fit = made(np.ones((3000, 16), np.float32), np.ones((3000, 16), np.float32))
    fit.top(0)
    tracemalloc.start()
    try:
        fit.top(slice(None), 5)
        assert tracemalloc.get_traced_memory()[1] < 3000 * 3000 * 4 / 20
    finally:
        tracemalloc.stop()


# ---------------------------------------------------------------- similar


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("k", [1, 7, 16, 33])
def test_similar_are_those_at_the_least_angle(kind, dtype, k):
    fit = fitted(k=k, dtype=dtype, **KINDS[kind])
    for factors, similar in (
        (fit.row_factors, fit.similar_rows), (fit.col_factors, fit.similar_cols)
    ):  # fmt: skip
        centred = factors - factors.astype(float).mean(axis=0)
        cosines = centred @ centred.T
        lengths = np.linalg.norm(centred, axis=1)
        cosines /= lengths[:, None] * lengths
        np.fill_diagonal(cosines, -np.inf)
        found, scores = similar(slice(None), 6)
        tolerance = 1e-5 if dtype == np.float32 else 1e-12
        best = -np.sort(-cosines, axis=1)[:, :6]
        assert np.allclose(scores, best, rtol=0, atol=tolerance)
        assert np.allclose(np.take_along_axis(cosines, found, 1), best, rtol=0, atol=tolerance)
        assert (found != np.arange(len(factors))[:, None]).all()
        assert found.dtype == np.int64
        again = set()
        for fit.n_threads in THREADS:
            again.add(b"".join(part.tobytes() for part in similar([9, 3, 9], 5)))
        assert again == {found[[9, 3, 9], :5].tobytes() + scores[[9, 3, 9], :5].tobytes()}
        assert np.array_equal(similar(4, 6)[0], found[4])


def test_a_row_without_direction_is_like_none():
    fit = made(np.array([[1.0, 2.0], [0, 0], [2, 4]]), np.ones((2, 2)))
    found, scores = fit.similar_rows([0, 1], 4)
    assert np.allclose(scores, [[0, 0, -np.inf, -np.inf], [0, -1, -np.inf, -np.inf]])
    assert found.tolist() == [[1, 2, -1, -1], [0, 2, -1, -1]]
    assert np.array_equal(fit.similar_cols(0, 1)[1], [0.0])  # all alike: no direction either
    with pytest.raises(IndexError, match=r"^cols: cols = 2 is not among the 2"):
        fit.similar_cols(2)
    with pytest.raises(IndexError, match=r"^rows: rows\[1\] = 3 is not among the 3"):
        fit.similar_rows([0, 3])


# ---------------------------------------------------------------- fold in


@st.composite
def new_rows(draw):
    return {
        "kind": draw(st.sampled_from(list(KINDS)[:2])),
        "k": draw(st.sampled_from([1, 7, 16, 33])),
        "dtype": draw(st.sampled_from(DTYPES)),
        "seed": draw(st.integers(0, 2**32)),
        "n": draw(st.integers(1, 150)),
        "density": draw(st.sampled_from([0.0, 0.02, 0.2, 1.0])),
        "regularization": draw(st.sampled_from([None, 0.01, 3.0])),
        "weighted": draw(st.booleans()),
        "by_col": draw(st.booleans()),
        "n_threads": draw(st.sampled_from(THREADS)),
    }


def drawn_fit(kind, k, dtype):
    """Factors with some spread, so that no system is close to singular."""
    rng = np.random.default_rng(k)
    fit = fitted(k=k, dtype=dtype, **KINDS[kind])
    parts = [rng.normal(size=part.shape) + 0.3 for part in (fit.row_factors, fit.col_factors)]
    biases = {}
    if fit.row_bias is not None:
        biases = {"row_bias": rng.normal(size=67).astype(dtype),
                  "col_bias": rng.normal(size=75).astype(dtype)}  # fmt: skip
    if "nonnegative" in KINDS[kind]:
        parts = [np.abs(part) for part in parts]
    out = made(*(part.astype(dtype) for part in parts), offset=1.25, **biases)
    out.parameters = fit.parameters | {"regularization": (0.05, 0.2)}
    return out


def cells_of(problem, fit):
    rng = np.random.default_rng(problem["seed"])
    n, fixed = problem["n"], fit.shape[not problem["by_col"]]
    new, known = np.nonzero(rng.random((n, fixed)) < problem["density"])
    values = 4 + 3 * rng.normal(size=new.size)
    weights = rng.random(new.size) + 0.1 if problem["weighted"] else None
    return ((known, new) if problem["by_col"] else (new, known)), values, weights


def folded(problem, fit, cells, values, weights):
    call = fit.fold_in_cols if problem["by_col"] else fit.fold_in_rows
    shape = (None, problem["n"]) if problem["by_col"] else (problem["n"], None)
    options = {"regularization": problem["regularization"], "shape": shape}
    return call(cells, values, weights=weights, **options)


def own_side(fit, by_col):
    factors, bias = (fit.col_factors, fit.col_bias) if by_col else (fit.row_factors, fit.row_bias)
    return factors if bias is None else np.column_stack([factors, bias])


@QUICK
@given(problem=new_rows())
def test_new_rows_are_the_ridge_regression_of_their_cells(problem):
    fit = drawn_fit(problem["kind"], problem["k"], problem["dtype"])
    fit.n_threads = problem["n_threads"]
    cells, values, weights = cells_of(problem, fit)
    new = folded(problem, fit, cells, values, weights)
    by_col = problem["by_col"]
    expected = reference.fold_in(
        fit, cells, values, problem["n"], regularization=problem["regularization"],
        weights=weights, by_col=by_col,
    )  # fmt: skip
    found = own_side(new, by_col)
    assert np.allclose(found, expected, rtol=1e-5, atol=1e-5)
    if problem["dtype"] == np.float64:
        assert np.allclose(found, expected, rtol=1e-8, atol=1e-8)
    assert new.dtype == fit.dtype
    assert new.offset == fit.offset
    assert np.shares_memory(*((f.row_factors if by_col else f.col_factors) for f in (new, fit)))
    empty = np.bincount(cells[by_col], minlength=problem["n"]) == 0
    close = {"rtol": 2 * np.finfo(fit.dtype).eps, "atol": 1e-14}
    assert np.allclose(found[empty], expected[empty], **close)  # the mean, rounded once


@QUICK
@given(problem=new_rows(), biased=st.booleans())
def test_nonnegative_rows_are_where_no_step_helps(problem, biased):
    problem["kind"] = "both" if biased else "nonnegative"
    fit = drawn_fit(problem["kind"], problem["k"], problem["dtype"])
    fit.parameters["nonnegative"] = True
    fit.n_threads = problem["n_threads"]
    cells, values, weights = cells_of(problem, fit)
    new = own_side(folded(problem, fit, cells, values, weights), problem["by_col"])
    k = problem["k"]
    assert (new[:, :k] >= 0).all()
    for x, (matrix, right, _) in zip(
        new.astype(float),
        reference.fold_in_systems(
            fit, cells, values, problem["n"], regularization=problem["regularization"],
            weights=weights, by_col=problem["by_col"],
        ),
        strict=True,
    ):  # fmt: skip
        if matrix is None:
            continue
        scale = np.abs(matrix) @ np.abs(x) + np.abs(right)
        slope = (matrix @ x - right) / scale
        assert (np.abs(slope)[x > 0] < 1e-5).all()
        assert (slope[:k] > -1e-5).all()
        assert (np.abs(slope[k:]) < 1e-5).all()  # of the bias


def test_some_nonnegative_factors_are_0_and_some_are_not():
    fit = drawn_fit("nonnegative", 7, np.float64)
    fit.parameters["nonnegative"] = True
    table = 4 + 3 * np.random.default_rng(0).normal(size=(50, 75))
    new = fit.fold_in_rows(None, table).row_factors
    assert (new == 0).sum() > 50
    assert (new > 0).sum() > 50
    assert not np.signbit(new).any()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_without_regularization_fewer_cells_than_factors_are_met(kind, dtype):
    fit = drawn_fit(kind, 33, dtype)
    fit.parameters["nonnegative"] = "nonnegative" in KINDS[kind]
    rng = np.random.default_rng(1)
    table = np.where(rng.random((40, 75)) < 0.1, rng.normal(size=(40, 75)) + 40, NAN)
    table[0], table[1, 1:] = NAN, NAN
    new = fit.fold_in_rows(None, table, regularization=0.0)
    predicted = new.reconstruct()
    assert np.isfinite(predicted).all()
    few = ~np.isnan(table) & ((~np.isnan(table)).sum(axis=1) < 20)[:, None]
    assert few.sum() > 100
    if "nonnegative" not in KINDS[kind]:
        assert np.allclose(predicted[few], table[few], atol=1e-2 if dtype == np.float32 else 1e-5)


def test_columns_that_are_equal_or_zero_leave_no_NaN():
    cols = np.zeros((6, 4))
    cols[:3] = [1.0, 2.0, 3.0, 4.0]
    fit = made(np.eye(4), cols)
    new = fit.fold_in_rows(([0, 0, 0, 1], [0, 1, 2, 5]), [3.0, 4.0, 5.0, 9.0], regularization=0)
    assert np.isfinite(new.row_factors).all()
    assert np.allclose(new.predict(0, [0, 1, 2]), 4.0)
    assert np.allclose(new.row_factors[1], fit.row_factors.mean(axis=0))  # nothing is said of it


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("by_col", [False, True])
@pytest.mark.parametrize("dtype", DTYPES)
def test_threads_forms_and_order_leave_no_trace_in_new_rows(kind, by_col, dtype):
    fit = fitted(k=7, dtype=dtype, **KINDS[kind])
    table = observed((300, 75), density=0.1, seed=5)
    table[17] = NAN
    weights = np.random.default_rng(0).integers(1, 9, table.shape) / 4
    if by_col:
        table, weights = observed((67, 300), density=0.1, seed=5), weights[:67].repeat(4, 1)
        table[:, 11] = NAN
    call = fit.fold_in_cols if by_col else fit.fold_in_rows
    mask = ~np.isnan(table)
    rows, cols = np.nonzero(mask)
    values = table[mask]
    mixed = np.random.default_rng(1).permutation(values.size)
    forms = {
        "NaN": (None, table),
        "bool mask, 2-D": (mask, np.where(mask, table, 9e9)),
        "bool mask, 1-D": (mask, values),
        "pair": ((rows, cols), values),
        "pair, 2-D": ((rows, cols), table),
        "pair, mixed": ((rows[mixed].astype(np.int32), cols[mixed].astype(np.uint8))
                        if not by_col else (rows[mixed], cols[mixed]), values[mixed]),
        "lists": (None, table.tolist()),
        "masked": (None, np.ma.array(np.nan_to_num(table), mask=~mask)),
        "csr": (None, sp.csr_array((values, (rows, cols)), table.shape)),
        "csc": (None, sp.csc_matrix((values, (rows, cols)), table.shape)),
    }  # fmt: skip
    plain, heavy = set(), set()
    for at, (name, (marks, numbers)) in enumerate(forms.items()):
        fit.n_threads = THREADS[at % 4]
        shape = table.shape if name.startswith("pair") else None
        found = call(marks, numbers, shape=shape)
        plain.add(str(bits(found)))
        weighing = weights[mask][mixed] if name == "pair, mixed" else weights
        heavy.add(str(bits(call(marks, numbers, shape=shape, weights=weighing * 3))))
    assert len(plain) == len(heavy) == 1
    assert plain != heavy


def test_a_weight_counts_as_so_many_cells_and_0_as_none(fit):
    cells = ([0, 0, 0, 1], [1, 2, 3, 4])
    values = [1.0, 5.0, 9.0, 2.0]
    left_out = fit.fold_in_rows(cells, values, weights=[1, 1, 0, 1], shape=(2, None))
    assert bits(left_out) == bits(fit.fold_in_rows(([0, 0, 1], [1, 2, 4]), [1.0, 5.0, 2.0]))
    settled = fit.fold_in_rows(([0, 0], [1, 1]), [1.0, 5.0], duplicates="mean")
    assert bits(settled) == bits(fit.fold_in_rows(([0], [1]), [3.0]))


def test_a_row_of_the_training_comes_back():
    rng = np.random.default_rng(0)
    table = rng.normal(size=(60, 3)) @ rng.normal(size=(3, 50))
    fit = funkc.factorize(None, table, 4, n_epochs=100, dtype=np.float64, n_threads=1)
    new = fit.fold_in_rows(None, 2 * table[:5])
    assert np.sqrt(np.mean((new.reconstruct() - 2 * table[:5]) ** 2)) < 0.1 * table.std()
    assert new.stopped_by == "fold-in"
    assert new.history == {name: [] for name in fit.history}
    assert repr(new) == "Factorization(shape=(5, 50), k=4, dtype=float64, epochs=0)"
    assert new.parameters == fit.parameters


@pytest.mark.parametrize(
    ("arguments", "error", "start"),
    [
        ((None, np.ones((2, 74))), ValueError, "values: has shape (2, 74) where (any, 75) is"),
        ((([0], [75]), [1.0]), ValueError, "cols: cols[0] = 75 lies outside shape, which has 75"),
        ((([0], [1]), [NAN]), ValueError, "values: is NaN at row 0, column 1"),
        ((([2, 0, 2], [1, 0, 1]), [1, 1, 1]), ValueError, "mask: row 2, column 1 is listed more"),
        ((([], []), []), ValueError, "mask: marks no cell as observed; mark at least one"),
        ((None, rated()), ValueError, "values: are Ratings, but this factorization knows"),
        ((([0], [1]), [1e300]), ValueError, "values: the factors of row 0 are beyond what float32"),
    ],
)
def test_new_rows_that_can_not_be_fitted_are_refused(fit, arguments, error, start):
    with np.errstate(over="ignore"), pytest.raises(error, match=f"^{re.escape(start)}"):
        fit.fold_in_rows(*arguments)


@pytest.mark.parametrize(
    ("options", "error", "start"),
    [
        ({"regularization": -1}, ValueError, "regularization: got -1.0; pass a finite number not"),
        ({"regularization": (1, 2)}, TypeError, "regularization: got (1, 2) of type tuple"),
        ({"shape": (3, 74)}, ValueError, "shape: got (3, 74) where 75 columns were trained; pass"),
        ({"shape": 3}, TypeError, "shape: got 3; pass a pair"),
        ({"weights": [1.0, 2.0]}, ValueError, "weights: has shape (2,) where there are 1 observed"),
        ({"weights": [-1.0]}, ValueError, "weights: is -1.0 at row 0, column 1"),
        ({"duplicates": "first"}, ValueError, "duplicates: got 'first'; pass one of"),
    ],
)
def test_options_of_fold_in_are_checked(fit, options, error, start):
    with pytest.raises(error, match=f"^{re.escape(start)}"):
        fit.fold_in_rows(([0], [1]), [1.0], **options)


def test_columns_that_can_not_be_fitted_are_refused_by_their_place(fit):
    with pytest.raises(ValueError, match=r"^mask: row 1, column 2 is listed more than once"):
        fit.fold_in_cols(([1, 0, 1], [2, 0, 2]), [1, 1, 1])
    with (
        np.errstate(over="ignore"),
        pytest.raises(ValueError, match=r"^values: the factors of column 2 are beyond"),
    ):
        fit.fold_in_cols(([1, 1], [0, 2]), [1.0, 1e300])
    with pytest.raises(ValueError, match=r"^rows: rows\[0\] = 67 lies outside shape"):
        fit.fold_in_cols(([67], [0]), [1.0])
    with pytest.raises(ValueError, match=r"^shape: got \(66, 1\) where 67 rows were trained"):
        fit.fold_in_cols(([0], [0]), [1.0], shape=(66, 1))


# ---------------------------------------------------------------- impute


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("given", [np.float32, np.float64])
def test_impute_by_blocks_equals_the_product_with_the_cells_put_in(monkeypatch, dtype, given):
    fit = fitted(k=7, dtype=dtype, biases=True)
    table = observed(seed=2).astype(given)
    mask = ~np.isnan(table)
    expected = np.where(mask, table, fit.reconstruct().astype(given))
    pair = np.nonzero(mask)
    for at_once, rows in ((1, 1), (75 * 4, 75 * 3), (1 << 20, 1 << 20)):
        monkeypatch.setattr("funkc._input.cells.CELLS_AT_ONCE", at_once)
        monkeypatch.setattr("funkc.factorization.NUMBERS_AT_ONCE", rows)
        for cells, values in (
            (None, table),
            (mask, table),
            (pair, table[mask]),
            (mask, table[mask]),
        ):
            assert fit.impute(cells, values).tobytes() == expected.tobytes()
        for out in (
            np.full(SHAPE, 7, given), np.full(SHAPE[::-1], 7, given).T, table.copy(),
            np.full((134, 75), 7, given)[::2],
        ):  # fmt: skip
            source = out if np.isnan(out).any() else table
            assert fit.impute(None, source, out=out) is out
            assert np.array_equal(out, expected)
        wide = np.empty(SHAPE, np.longdouble)
        assert np.array_equal(
            fit.impute(mask, table, out=wide), np.where(mask, table, fit.reconstruct())
        )


def test_impute_of_a_table_with_nothing_observed(fit):
    assert np.array_equal(fit.impute(None, np.full(SHAPE, NAN, np.float32)), fit.reconstruct())
    assert np.array_equal(fit.impute(np.zeros(SHAPE, bool), np.zeros(SHAPE, np.float32)),
                          fit.reconstruct())  # fmt: skip


@pytest.mark.parametrize("policy", ["error", "last", "mean", "sum"])
def test_a_table_has_no_duplicates_to_settle(fit, policy):
    table = observed().astype(np.float32)
    filled = fit.impute(None, table, duplicates=policy)
    assert filled.dtype == np.float32
    assert np.array_equal(filled, np.where(np.isnan(table), fit.reconstruct(), table))
    with pytest.raises(ValueError, match=r"^duplicates: got 'first'; pass one of"):
        fit.impute(None, table, duplicates="first")


def test_impute_into_what_is_too_narrow_is_refused():
    table = observed()
    fit = fitted(table)
    for out, error in (
        (np.empty(SHAPE, np.float32), r"^out: holds float32; pass an array of float64"),
        (np.empty(SHAPE, int), r"^out: holds int64; pass an array of float64"),
    ):
        with pytest.raises(TypeError, match=error):
            fit.impute(None, table, out=out)
    with pytest.raises(ValueError, match=r"^out: has shape \(3, 3\); pass shape \(67, 75\)"):
        fit.impute(None, table, out=np.empty((3, 3)))
    large = fitted(np.array([[1e6, 2e6], [3e6, 4e6]]))
    small = np.array([[1, NAN], [2, 3]], np.float16)
    with pytest.raises(TypeError, match=r"^out: holds float16; pass an array of float32"):
        large.impute(None, small, out=np.empty((2, 2), np.float16))


def test_impute_names_the_row_of_the_whole_table(monkeypatch, fit):
    monkeypatch.setattr("funkc._input.cells.CELLS_AT_ONCE", 75 * 4)
    table = observed()
    table[50, 3] = np.inf
    with pytest.raises(ValueError, match=r"^values: is infinite at row 50, column 3"):
        fit.impute(None, table)
    mask = ~np.isnan(table)
    table[50, 3], table[60, 7] = 1, NAN
    mask[60, 7] = True
    with pytest.raises(ValueError, match=r"^values: is NaN at row 60, column 7"):
        fit.impute(mask, table)
    hidden = np.zeros(SHAPE, bool)
    hidden[61, 8] = mask[61, 8] = True
    with pytest.raises(ValueError, match=r"^values: is masked at row 61, column 8"):
        fit.impute(mask, np.ma.array(np.nan_to_num(table), mask=hidden))


@pytest.mark.parametrize("form", ["NaN", "mask", "pair"])
def test_impute_needs_little_beside_its_result(form):
    shape = (3000, 4000)
    fit = made(np.ones((3000, 3), np.float32), np.ones((4000, 3), np.float32))
    table = np.full(shape, NAN, np.float32)
    table[::3, ::2] = 5
    if form == "pair":
        rows = np.arange(300_000) // 100
        mask, values = (rows, np.arange(300_000) % 100), np.full(300_000, 5, np.float32)
    else:
        mask, values = (None, table) if form == "NaN" else (~np.isnan(table), table)
    fit.impute(([0], [0]), [1.0])
    tracemalloc.start()
    try:
        filled = fit.impute(mask, values)
        assert tracemalloc.get_traced_memory()[1] - filled.nbytes < 60 << 20
    finally:
        tracemalloc.stop()
    assert filled.dtype == np.float32
    assert (filled == 5).sum() == (300_000 if form == "pair" else 1000 * 2000)


# ---------------------------------------------------------------- learning on


def test_partial_fit_trains_on_what_is_passed():
    table = observed()
    rows, cols = np.nonzero(~np.isnan(table))
    for options in KINDS.values():
        fit = fitted(table, k=7, n_epochs=20, **options)
        before = copy.deepcopy(fit)
        shifted = table + 3
        wrong = np.sqrt(np.nanmean((fit.reconstruct() - shifted) ** 2))
        assert fit.partial_fit((rows, cols), shifted[rows, cols], n_epochs=10) is fit
        assert np.sqrt(np.nanmean((fit.reconstruct() - shifted) ** 2)) < 0.99 * wrong
        assert fit.history["epoch"] == list(range(1, 11))
        assert fit.parameters == before.parameters
        rate = fit.history["learning_rate"][0]
        assert rate <= before.parameters["learning_rate"] * 10 / 20 / 3 * (1 + 1e-12)
        assert np.allclose(fit.history["learning_rate"], rate * np.arange(10, 0, -1) / 10)
        # The same as training from there.
        again = funkc.factorize(
            (rows, cols), shifted[rows, cols], 7, init=before, n_epochs=10, n_threads=3,
            learning_rate=rate, regularization=before.parameters["regularization"], **options,
        )  # fmt: skip
        assert bits(again) == bits(fit)
        if options.get("nonnegative"):
            assert (fit.row_factors >= 0).all()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_rows_and_columns_that_are_new_begin_where_they_are_folded_in(kind, dtype):
    options = KINDS[kind]
    table = observed((80, 90), density=0.3)
    table[79], table[:, 88] = NAN, NAN  # new, and without observations
    fit = fitted(table[:67, :75], k=7, dtype=dtype, **options)
    rate = 1e-30  # training leaves everything where it begins
    grown = copy.copy(fit).partial_fit(None, table, learning_rate=rate, n_epochs=1)
    assert grown.shape == (80, 90)
    assert fit.shape == (67, 75)
    new_rows = fit.fold_in_rows(None, table[67:, :75])
    same = options | {"regularization": fit.parameters["regularization"], "dtype": dtype}
    still = {"learning_rate": rate, "n_epochs": 1}
    taller = funkc.factorize(None, table[:, :75], 7, init=fit, **same, **still)
    new_cols = taller.fold_in_cols(None, table[:, 75:])
    close = {"rtol": 1e-6, "atol": 1e-6}
    for by_col, new in ((False, new_rows), (True, new_cols)):
        own = own_side(grown, by_col)
        assert np.allclose(own[: fit.shape[by_col]], own_side(fit, by_col), **close)
        assert np.allclose(own[fit.shape[by_col] :], own_side(new, by_col), **close)
    assert bits(funkc.factorize(None, table, 7, init=fit, **same, **still)) == bits(grown)


def test_partial_fit_leaves_no_trace_of_threads_forms_and_order():
    table = observed((80, 90), density=0.3)
    mask = ~np.isnan(table)
    rows, cols = np.nonzero(mask)
    mixed = np.random.default_rng(1).permutation(rows.size)
    found = set()
    for n_threads, cells, values in (
        (1, None, table),
        (2, (rows, cols), table[mask]),
        (3, (rows[mixed], cols[mixed]), table[mask][mixed]),
        (8, mask, table),
        (1, None, sp.csc_array((table[mask], (rows, cols)), table.shape)),
    ):
        fit = fitted(observed(), n_threads=n_threads)
        found.add(str(bits(fit.partial_fit(cells, values))))
    assert len(found) == 1


def test_partial_fit_takes_a_few_cells_and_keeps_the_rest():
    fit = fitted(biases=True)
    before = copy.copy(fit)
    fit.partial_fit(([3], [4]), [9.0], callback=lambda epoch, history: epoch == 2)
    assert fit.stopped_by == "callback"
    assert fit.history["epoch"] == [1, 2]
    assert fit.shape == SHAPE
    changed = (fit.row_factors != before.row_factors).any(axis=1)
    assert np.flatnonzero(changed).tolist() == [3]
    assert np.flatnonzero((fit.col_factors != before.col_factors).any(axis=1)).tolist() == [4]
    assert abs(fit.predict(3, 4) - 9) < abs(before.predict(3, 4) - 9)
    grown = copy.copy(fit).partial_fit(([3], [4]), [9.0], shape=(70, 80))
    assert grown.shape == (70, 80)
    assert np.allclose(grown.row_factors[68], fit.row_factors.mean(axis=0), atol=1e-6)
    weighted = copy.copy(fit).partial_fit(([3, 5], [4, 5]), [9.0, 1.0], weights=[1, 0])
    assert bits(weighted) == bits(copy.copy(fit).partial_fit(([3], [4]), [9.0]))
    assert fit.partial_fit(([3, 3], [4, 4]), [9.0, 1.0], duplicates="mean").shape == SHAPE


@pytest.mark.parametrize(
    ("arguments", "options", "error", "start"),
    [
        ((None, np.ones((66, 75))), {}, ValueError, "values: has 66 rows where 67 were trained;"),
        ((None, np.ones((67, 9))), {}, ValueError, "values: has 9 columns where 75 were trained"),
        (
            (([0], [0]), [1.0]),
            {"shape": (3, 75)},
            ValueError,
            r"shape: got \(3, 75\) where 67 rows were trained; pass 67 or more",
        ),
        ((([70, 0, 70], [1, 0, 1]), [1, 2, 3]), {}, ValueError, "mask: row 70, column 1 is listed"),
        ((([1, 0, 1], [80, 0, 80]), [1, 2, 3]), {}, ValueError, "mask: row 1, column 80 is listed"),
        ((([1, 0, 1], [5, 0, 5]), [1, 2, 3]), {}, ValueError, "mask: row 1, column 5 is listed"),
        ((([70, 0], [1, 0]), [1e300, 2]), {}, ValueError, "values: the factors of row 70 are bey"),
        ((([1, 0], [80, 0]), [1e300, 2]), {}, ValueError, "values: the factors of column 80 are"),
        ((([0], [0]), [NAN]), {}, ValueError, "values: is NaN at row 0, column 0"),
        ((([0], [0]), [1.0]), {"n_epochs": 0}, ValueError, "n_epochs: got 0; pass an integer"),
        ((([0], [0]), [1.0]), {"learning_rate": 0}, ValueError, "learning_rate: got 0.0; pass"),
        ((([0], [0]), [1.0]), {"regularization": [1]}, ValueError, "regularization: got 1 numbers"),
        ((([0], [0]), [1.0]), {"verbose": 1}, TypeError, "verbose: got 1; pass True or False"),
        ((([0], [0]), [1.0]), {"callback": 3}, TypeError, "callback: got 3, which can't be"),
        ((None, rated()), {}, ValueError, "values: are Ratings, but this factorization knows"),
        ((None, np.full(SHAPE, NAN)), {}, ValueError, "mask: marks no cell as observed"),
    ],
)
def test_partial_fit_that_is_refused_changes_nothing(arguments, options, error, start):
    fit = fitted()
    before = bits(fit), dict(fit.history)
    with np.errstate(over="ignore"), pytest.raises(error, match=f"^{re.escape(start)}"):
        fit.partial_fit(*arguments, **options)
    assert (bits(fit), fit.history) == before
    with pytest.raises(LookupError):
        fit.partial_fit(([0], [0]), [1.0], callback=lambda *_: {}["mine"])
    assert (bits(fit), fit.history) == before


# ---------------------------------------------------------------- ids


def test_the_ids_of_Ratings_are_kept(named):
    ratings = rated()
    assert np.array_equal(named.row_ids, ratings.row_ids)
    assert np.array_equal(named.col_ids, ratings.col_ids)
    assert not named.row_ids.flags.writeable
    plain = funkc.factorize(
        (ratings.rows, ratings.cols), ratings.values, 4, n_epochs=3, shape=ratings.shape
    )
    assert bits(plain) == bits(named)
    assert plain.row_ids is None is plain.col_ids
    product = named.reconstruct()
    rows, cols = ratings.row_ids[[5, 0, 5]], ratings.col_ids[[2, 2, 9]]
    assert np.array_equal(named.predict(rows, cols, ids=True), product[[5, 0, 5], [2, 2, 9]])
    assert named.predict("r005", 14, ids=True) == product[5, 2]
    assert named.predict("r005", "14", ids=True) == product[5, 2]  # a number and its text are one
    assert np.array_equal(named.predict("r005", ids=True), product[5])
    assert np.array_equal(named.predict(slice(2), [7, 0], ids=True), product[:2, [1, 0]])
    usual = named.predict(["r005", "nobody"], [1, 14], unknown="mean", ids=True)
    assert np.array_equal(usual, named.predict([5, -1], [-1, 2], unknown="mean"))
    with pytest.raises(ValueError, match=r"^rows\[1\]: the id 'nobody' is not known; leave it out"):
        named.predict(["r005", "nobody"], 14, ids=True)
    with pytest.raises(ValueError, match=r"^cols: the id 15 is not known"):
        named.predict("r005", 15, ids=True)
    with pytest.raises(ValueError, match=r"^ids: got True, but there are no ids; train on Ratings"):
        plain.predict("r005", 15, ids=True)


def test_top_and_similar_answer_with_ids(named):
    ratings = rated()
    cols, scores = named.top(["r005", "r000"], 35, exclude=ratings, ids=True)
    at, plain = named.top([5, 0], 35, exclude=(ratings.rows, ratings.cols))
    assert np.array_equal(cols, np.where(at < 0, -1, np.arange(30)[at] * 7))
    assert scores.tobytes() == plain.tobytes()
    assert np.array_equal(named.top("r005", 3, ids=True)[0], named.col_ids[named.top(5, 3)[0]])
    found, _ = named.similar_rows("r005", 41, ids=True)
    at = named.similar_rows(5, 41)[0]
    assert np.array_equal(found, np.where(at < 0, "", named.row_ids[at]))
    assert np.array_equal(
        named.similar_cols([14], 2, ids=True)[0], named.col_ids[named.similar_cols([2], 2)[0]]
    )
    strangers = funkc.Ratings.from_arrays(["r005", "nobody"], [14, 1], [1, 1])
    one = named.top(5, 5, exclude=strangers)
    assert np.array_equal(one[0], named.top(5, 5, exclude=([5], [2]))[0])
    with pytest.raises(ValueError, match=r"^rows\[0\]: the id 'nobody' is not known"):
        named.top(["nobody"], ids=True)


def test_ratings_meet_a_model_by_their_ids(named):
    some = funkc.Ratings.from_arrays(["r009", "r002"], [7, "28"], [4.5, 1.0])
    filled = named.impute(None, some)
    expected = named.reconstruct().astype(float)
    expected[9, 1], expected[2, 4] = 4.5, 1.0
    assert np.array_equal(filled, expected)
    new = named.fold_in_rows(
        None, funkc.Ratings.from_arrays(["z", "y", "z"], [7, 7, 28], [4, 1, 5])
    )
    assert new.row_ids.tolist() == ["y", "z"]
    assert np.array_equal(new.col_ids, named.col_ids)
    by_position = named.fold_in_rows(([1, 0, 1], [1, 1, 4]), [4, 1, 5])
    assert bits(new) == bits(by_position)
    assert by_position.row_ids is None
    assert np.array_equal(by_position.col_ids, named.col_ids)
    assert new.predict("z", 28, ids=True) == new.predict(1, 4)
    cols = named.fold_in_cols(None, funkc.Ratings.from_arrays(["r009"], [1000], [4]))
    assert cols.col_ids.tolist() == [1000]
    assert bits(cols) == bits(named.fold_in_cols(([9], [0]), [4]))
    with pytest.raises(ValueError, match=r"^values.col_ids\[0\]: the id 8 is not known"):
        named.fold_in_rows(None, funkc.Ratings.from_arrays(["z"], [8], [4]))
    with pytest.raises(ValueError, match=r"^values.row_ids\[0\]: the id 'z' is not known"):
        named.impute(None, funkc.Ratings.from_arrays(["z"], [7], [4]))


@pytest.mark.parametrize("text", [True, False])
def test_new_ids_follow_those_that_are_known(text):
    fit = funkc.factorize(None, rated(text=text), 4, n_epochs=3, n_threads=1)
    before = copy.copy(fit)
    known = fit.row_ids[5]
    new = "a first" if text else 3  # sorted, it would not be last
    more = funkc.Ratings.from_arrays([new, known, known], [14, 14, -3], [1.0, 2.0, 3.0])
    fit.partial_fit(None, more)
    assert fit.row_ids.tolist() == [*before.row_ids.tolist(), new]
    assert fit.col_ids.tolist() == [*before.col_ids.tolist(), -3]
    assert fit.predict(new, -3, ids=True) == fit.predict(40, 30)
    by_position = made(before.row_factors, before.col_factors, offset=before.offset)
    by_position.parameters = before.parameters
    assert bits(by_position.partial_fit(([40, 5, 5], [2, 2, 30]), [1.0, 2.0, 3.0])) == bits(fit)
    again = funkc.factorize(None, more, 4, init=fit, n_epochs=1)  # known by now
    assert again.row_ids.tolist() == fit.row_ids.tolist()
    third = copy.copy(fit).partial_fit(None, funkc.Ratings.from_arrays(["x y"], [14], [2]))
    assert third.row_ids.tolist() == [*map(str, fit.row_ids.tolist()), "x y"]
    assert third.predict(str(known), 14, ids=True) == third.predict(5, 2)
    assert third.top("x y", 1, ids=True)[0].shape == (1,)


def test_positions_of_new_rows_are_no_ids(named):
    fit = copy.copy(named)
    with pytest.raises(ValueError, match=r"^values: has 41 rows where 40 have ids; pass Ratings,"):
        fit.partial_fit(([40], [0]), [1.0])
    with pytest.raises(
        ValueError, match=r"^values: has 31 columns where 30 have ids; pass Ratings"
    ):
        funkc.factorize(([0], [30]), [1.0], 4, init=fit)
    assert bits(fit) == bits(named)
    assert fit.partial_fit(([39], [29]), [1.0]).row_ids.tolist() == named.row_ids.tolist()


@pytest.mark.parametrize(
    "way",
    [copy.copy, copy.deepcopy, *(
        lambda fit, n=n: pickle.loads(pickle.dumps(fit, n)) for n in range(2, 6)
    )],
)  # fmt: skip
def test_a_copy_keeps_ids_and_biases(way):
    for ratings in (rated(), rated(text=False)):
        fit = funkc.factorize(None, ratings, 4, n_epochs=2, n_threads=2, biases=True)
        fit.partial_fit(None, funkc.Ratings.from_arrays([-5], [-5], [1.0]))  # no longer sorted
        fit.reconstruct()
        other = way(fit)
        assert bits(other) == bits(fit)
        assert other.row_ids.tolist() == fit.row_ids.tolist()
        assert other.col_ids.dtype == fit.col_ids.dtype
        assert not other.row_ids.flags.writeable
        assert other.n_threads == 2
        assert other.parameters == fit.parameters
        last = fit.row_ids[-1]
        assert other.predict(last, -5, ids=True) == fit.predict(40, 30)
        assert np.array_equal(other.top(last, 3, ids=True)[0], fit.top(last, 3, ids=True)[0])


# ---------------------------------------------------------------- warm start


def test_a_warm_start_goes_on_where_a_fit_ended():
    table = observed()
    fit = fitted(table, n_epochs=20, biases=True)
    cold = funkc.factorize(None, table, 3, n_epochs=1, biases=True)
    gentle = {"n_epochs": 1, "learning_rate": 1e-4, "biases": True, "n_threads": 1}
    warm = funkc.factorize(None, table, 3, init=fit, **gentle)
    assert warm.history["train_rmse"][0] < 0.9 * cold.history["train_rmse"][0]
    assert warm.offset == fit.offset
    named = funkc.factorize(None, rated(), 4, n_epochs=2)
    for init in (named, funkc.factorize(None, rated(), 4, n_epochs=1)):
        grown = funkc.factorize(None, rated(1, 50, 35), 4, init=init, n_epochs=1)
        assert grown.row_ids.tolist()[:40] == named.row_ids.tolist()
        assert grown.shape == (50, 35)
    with pytest.raises(ValueError, match=r"^values: has 10 rows where 67 were trained; pass all"):
        funkc.factorize(None, table[:10], 3, init=fit, biases=True)
    with pytest.raises(ValueError, match=r"^init row_factors: has shape \(67, 3\); pass shape"):
        funkc.factorize(None, table, 4, init=fit, biases=True)
    with pytest.raises(ValueError, match=r"^init: has biases; pass biases=True"):
        funkc.factorize(None, table, 3, init=fit)
    with pytest.raises(ValueError, match=r"^values: are Ratings, but this factorization knows"):
        funkc.factorize(None, rated(), 3, init=fit)
    assert funkc.factorize(None, table, 3, init=fitted(table), biases=True).row_bias is not None


# ---------------------------------------------------------------- threads, forks, processors


@pytest.mark.parametrize("n_threads", [0, -1, 1.5, "2", True])
def test_a_number_of_threads_that_can_not_be_is_refused(n_threads):
    fit = fitted()
    with pytest.raises((ValueError, TypeError), match=r"^n_threads: got "):
        fit.n_threads = n_threads
    assert fit.n_threads == 1
    fit.n_threads = 2**31 - 1
    assert fit.top(0, 1)[0].shape == (1,)


def everything(fit, table):
    """What all methods that only read answer, as bytes."""
    parts = [
        fit.predict(np.arange(9), np.arange(9)), fit.predict(3), fit.reconstruct(slice(5)),
        *fit.top(slice(None), 6), *fit.similar_rows(slice(9), 4), *fit.similar_cols(3, 4),
        fit.impute(None, table), fit.predict(-1, 4, unknown="mean"),
        *(part for kind in (fit.fold_in_rows(None, table), fit.fold_in_cols(None, table))
          for part in (kind.row_factors, kind.col_factors)),
    ]  # fmt: skip
    return b"".join(np.asarray(part).tobytes() for part in parts)


@pytest.mark.parametrize("n_threads", [1, 3])
def test_many_threads_may_ask_one_object_at_once(n_threads):
    table = observed()
    expected = everything(fitted(k=7, biases=True), table)
    fit = fitted(k=7, biases=True, n_threads=n_threads)
    answers, failed = [], []
    together = threading.Barrier(6)

    def ask():
        try:
            together.wait()
            answers.extend(everything(fit, table) for _ in range(3))
        except BaseException as error:
            failed.append(error)

    workers = [threading.Thread(target=ask) for _ in range(6)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert not failed
    assert len(answers) == 18
    assert set(answers) == {expected}


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_forked_child_may_ask_after_its_parent_did():
    table = observed()
    fit = fitted(k=7, n_threads=3)
    expected = everything(fit, table)
    child = os.fork()
    if child == 0:
        code = 1
        try:
            code = 0 if everything(fit, table) == expected else 2
        finally:
            os._exit(code)
    assert os.waitpid(child, 0)[1] == 0
    assert everything(fit, table) == expected


PROGRAM = """
import hashlib, sys
sys.path.insert(0, sys.argv[1])
import numpy as np
import test_serving as t
from funkc import _core
sha = hashlib.sha256()
for dtype in t.DTYPES:
    for k in (1, 7, 16, 33):
        for kind, options in t.KINDS.items():
            fit = t.fitted(k=k, dtype=dtype, **options)
            sha.update(t.everything(fit, t.observed()))
            sha.update(str(t.bits(fit.partial_fit(None, t.observed((80, 90))))).encode())
print(_core.name, sha.hexdigest())
"""


def test_every_instruction_set_gives_the_same_answers():
    outputs = {}
    for level in _core._usable():
        env = {**os.environ, "FUNKC_ISA": level,
               "PYTHONPATH": str(Path(funkc.__file__).parents[1])}  # fmt: skip
        out = subprocess.run(
            [sys.executable, "-c", PROGRAM, str(Path(__file__).parent)], env=env,
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert out.returncode == 0, out.stderr
        outputs[level] = out.stdout.split()
        assert outputs[level][0] == level
    assert len({digest for _, digest in outputs.values()}) == 1


# ---------------------------------------------------------------- what a review found


def test_a_row_does_not_depend_on_the_weights_of_others():
    fit = fitted(observed(), k=5)
    values, weights = np.array([1.0, 2.0, 3.0]), np.array([1.0, 5.0, 2.0])
    alone = fit.fold_in_rows(([0, 0, 0], [0, 1, 2]), values, weights=weights)
    both = fit.fold_in_rows(
        ([0, 0, 0, 1], [0, 1, 2, 3]), np.append(values, 4), weights=np.append(weights, 100)
    )
    assert np.array_equal(alone.row_factors[0], both.row_factors[0])


def test_weights_beside_ratings_are_refused():
    ratings = funkc.Ratings.from_arrays(["z", "a"], [1, 1], [5.0, 1.0])
    with pytest.raises(ValueError, match=r"^weights: are given beside Ratings"):
        funkc.factorize(None, ratings, 1, weights=[1.0, 2.0])


def test_out_may_be_the_values_but_not_overlap_them():
    fit = fitted(observed(), k=3)
    m, n = fit.shape
    room = np.full((m + 1, n), np.nan, np.float64)
    room[:m] = observed()
    expected = fit.impute(None, room[:m].copy())
    with pytest.raises(ValueError, match=r"^out: overlaps values or mask"):
        fit.impute(None, room[:m], out=room[1:])
    assert np.array_equal(fit.impute(None, room[:m], out=room[:m]), expected)


def test_partial_fit_bears_values_far_from_those_before():
    fit = funkc.factorize(None, np.ones((50, 40)), 4)
    other = np.random.default_rng(0).normal(size=(50, 40))
    fit.partial_fit(None, other)
    assert np.isfinite(fit.reconstruct()).all()


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.uint32, np.uint64])
def test_unknown_positions_may_be_unsigned(dtype):
    fit = fitted(observed(), k=3)
    far = np.array([fit.shape[0] + 50], dtype)
    assert fit.predict(far, 0, unknown="mean") == fit.predict(-1, 0, unknown="mean")


def test_new_rows_by_position_have_columns_by_id():
    ratings = funkc.Ratings.from_arrays(["a", "b", "c", "a"], ["x", "y", "z", "y"], [1.0, 2, 3, 4])
    new = funkc.factorize(None, ratings, 1).fold_in_rows(([0, 0], [0, 1]), np.array([1.0, 2.0]))
    assert set(new.top(0, 3, ids=True)[0]) == {"x", "y", "z"}
    with pytest.raises(ValueError, match=r"^ids: got True, but there are no ids"):
        new.top("a", ids=True)
