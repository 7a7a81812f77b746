"""Factors of new rows and columns, with the other side fixed."""

import re
import tracemalloc

import numpy as np
import pytest
import reference
import scipy.sparse as sp
from fits import DTYPES, KINDS, NAN, QUICK, THREADS, bits, fitted, made, observed, own_side, rated
from hypothesis import given
from hypothesis import strategies as st

import funkc


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
    out = made(*(part.astype(dtype) for part in parts), offset=1.25, noise=0.7, **biases)
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


@QUICK
@given(problem=new_rows())
def test_new_rows_are_the_regression_of_their_cells(problem):
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
    assert repr(new).startswith("Factorization(shape=(5, 50), k=4, dtype=float64, epochs=0, noise=")
    assert new.parameters == fit.parameters


@pytest.mark.parametrize(
    ("arguments", "error", "start"),
    [
        ((None, np.ones((2, 74))), ValueError, "values: has shape (2, 74) where (any, 75) is"),
        ((([0], [75]), [1.0]), ValueError, "cols: cols[0] = 75 is outside shape, which has 75"),
        ((([0], [1]), [NAN]), ValueError, "values: is NaN at row 0, column 1"),
        ((([2, 0, 2], [1, 0, 1]), [1, 1, 1]), ValueError, "mask: row 2, column 1 is listed more"),
        ((([], []), []), ValueError, "mask: marks no entry as observed; mark at least one"),
        ((None, rated()), ValueError, "values: are Ratings, but this factorization has no"),
        ((([0], [1]), [1e300]), ValueError, "values: the factors of row 0 exceed the range"),
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
        pytest.raises(ValueError, match=r"^values: the factors of column 2 exceed"),
    ):
        fit.fold_in_cols(([1, 1], [0, 2]), [1.0, 1e300])
    with pytest.raises(ValueError, match=r"^rows: rows\[0\] = 67 is outside shape"):
        fit.fold_in_cols(([67], [0]), [1.0])
    with pytest.raises(ValueError, match=r"^shape: got \(66, 1\) where 67 rows were trained"):
        fit.fold_in_cols(([0], [0]), [1.0], shape=(66, 1))


def test_a_row_does_not_depend_on_the_weights_of_others():
    fit = fitted(observed(), k=5)
    values, weights = np.array([1.0, 2.0, 3.0]), np.array([1.0, 5.0, 2.0])
    alone = fit.fold_in_rows(([0, 0, 0], [0, 1, 2]), values, weights=weights)
    both = fit.fold_in_rows(
        ([0, 0, 0, 1], [0, 1, 2, 3]), np.append(values, 4), weights=np.append(weights, 100)
    )
    assert np.array_equal(alone.row_factors[0], both.row_factors[0])


@pytest.mark.parametrize("by_col", [False, True])
def test_a_new_row_copies_nothing_of_the_other_side(by_col):
    """Biases stand beside the factors, as the core takes them."""
    shape = (30, 20_000)[:: -1 if by_col else 1]
    rows, cols = (np.arange(20_000) % n for n in shape)
    values = np.random.default_rng(0).normal(size=20_000)
    fit = funkc.factorize((rows, cols), values, 14, biases=True, n_epochs=1)
    fold_in = fit.fold_in_cols if by_col else fit.fold_in_rows
    cells = (np.zeros(3, int), np.arange(3))[:: -1 if by_col else 1]
    fold_in(cells, np.ones(3))  # which takes the mean of the other rows, once
    tracemalloc.start()
    fold_in(cells, np.ones(3))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 20_000  # a byte a column; 8 for its offset or 64 for its factors


def test_the_systems_of_all_threads_are_counted_before_memory_is_asked_for(monkeypatch):
    told = {}
    monkeypatch.setattr(
        "funkc._fold_in.require_memory", lambda needed, what, remedy: told.update({what: needed})
    )
    fitted(k=40, biases=True, n_threads=2).fold_in_rows(None, observed((2, 75)))
    assert told["systems of 41 equations on 2 threads"] >= 2 * 41**2 * 8
