"""FunkImputer: scikit-learn's own checks, an oracle in NumPy, forms of input, and company."""

import pickle
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import reference
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

sparse = pytest.importorskip("scipy.sparse")
pytest.importorskip("sklearn")

from sklearn.base import clone  # noqa: E402
from sklearn.compose import ColumnTransformer  # noqa: E402
from sklearn.impute import SimpleImputer  # noqa: E402
from sklearn.linear_model import Ridge  # noqa: E402
from sklearn.model_selection import GridSearchCV  # noqa: E402
from sklearn.pipeline import make_pipeline  # noqa: E402
from sklearn.utils.estimator_checks import estimator_checks_generator  # noqa: E402
from tables import LEVELS, THREADS, UNITS, as_sparse, error, table  # noqa: E402

import funkc  # noqa: E402
from funkc import FunkImputer  # noqa: E402

# ---------------------------------------------------------------- scikit-learn's checks


# A list, for pytest 9 warns of the generator that older scikit-learn's own decorator passes.
CHECKS = [
    pytest.param(checked, check, id=f"{name}-{check.func.__name__}-{number}")
    for name, imputer in [
        ("default", FunkImputer()),
        ("unscaled", FunkImputer(scale=False, add_indicator=True)),
        ("minus-one", FunkImputer(3, missing_values=-1, keep_empty_features=True)),
        ("nonnegative", FunkImputer(3, nonnegative=True, sparse_means="missing")),
        ("poisson", FunkImputer(3, loss="poisson", sparse_means="zero")),
        ("sparse", FunkImputer(3, sparse_means="zero", sparse_output=True)),
    ]
    for number, (checked, check) in enumerate(estimator_checks_generator(imputer))
]


@pytest.mark.filterwarnings("ignore:X. entries that are not stored are taken as missing")
@pytest.mark.parametrize("estimator, check", CHECKS)
def test_scikit_learns_own_checks(estimator, check):
    check(estimator)


# ---------------------------------------------------------------- the oracle


def parts(fit):
    """Column factors and level, with a 1 for the bias of the row if there is one."""
    y, level = fit.col_factors.astype(float), np.full(fit.shape[1], float(fit.offset))
    if fit.col_bias is not None:
        y, level = np.column_stack([y, np.ones(len(y))]), level + fit.col_bias
    return y, level


def regression(row, y, level, noise, mean, penalty):
    """The factors of one row, whose entries have the noise of their columns, and a hat matrix."""
    seen = ~np.isnan(row)
    weighed = y[seen] / noise[seen, None]
    inverse = np.linalg.inv(weighed.T @ weighed + penalty)
    left = (row - level - y @ mean)[seen] / noise[seen]
    return mean + inverse @ weighed.T @ left, weighed @ inverse @ weighed.T


def column_noise(fit, scaled, mean, penalty):
    """By two turns of expectation maximization, with the traces that random signs give."""
    y, level = parts(fit)
    seen = ~np.isnan(scaled)
    signs = np.zeros(scaled.shape)
    signs[seen] = np.random.PCG64(0).random_raw(seen.sum()) % 2 * 2.0 - 1
    noise, count = np.full(len(y), fit.noise), seen.sum(axis=0)
    for _ in range(2):
        squares = np.zeros(len(y))
        for row, sign in zip(scaled, signs, strict=True):
            x, hat = regression(row, y, level, noise, mean, penalty)
            squares += np.nan_to_num(row - level - y @ x) ** 2
            at = sign != 0
            squares[at] += noise[at] ** 2 * sign[at] * (hat @ sign[at])
        squares = np.maximum(squares, 0)
        noise = np.sqrt((squares + 4 * squares.sum() / count.sum()) / (count + 4))
    return noise


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("scale", [True, False])
@pytest.mark.parametrize("biases", ["auto", False])
@pytest.mark.parametrize("regularization", [None, 0.3, (0.3, 0.01)])
def test_rows_are_regressions_on_the_columns(dtype, scale, biases, regularization):
    holed = table(40)[1]
    holed = ((holed - LEVELS) / UNITS).astype(dtype)
    imputer = FunkImputer(5, scale=scale, biases=biases, regularization=regularization).fit(holed)
    observed = ~np.isnan(holed)
    if scale:
        np.testing.assert_allclose(
            imputer.mean_, np.nanmean(holed.astype(float), axis=0), rtol=1e-9
        )
        np.testing.assert_allclose(
            imputer.scale_, np.nanstd(holed.astype(float), axis=0), rtol=1e-9
        )
    else:
        assert not imputer.mean_.any()
        assert (imputer.scale_ == 1).all()

    fit = imputer.factorization_
    assert fit.dtype == dtype
    scaled = ((holed - imputer.mean_) / imputer.scale_).astype(dtype)
    trained = funkc.factorize(
        None, scaled, 5, dtype=dtype, regularization=regularization, biases=biases,
        offset=0.0 if scale and biases is False else "auto",
    )  # fmt: skip
    assert (fit.row_bias is None) == (biases is False)
    close = 1e-5 if dtype == np.float32 else 1e-9
    assert fit.noise == pytest.approx(trained.noise, rel=close)
    assert fit.offset == pytest.approx(trained.offset, rel=close)
    mean, covariance = reference.prior(trained)
    penalty = np.linalg.inv(covariance)
    noise = column_noise(trained, scaled, mean, penalty)
    np.testing.assert_allclose(imputer.noise_, noise, rtol=5e-3 if dtype == np.float32 else 1e-4)
    y, level = parts(trained)
    expected = holed.astype(float)
    for row, seen in zip(expected, observed, strict=True):
        x, _ = regression(
            (row - imputer.mean_) / imputer.scale_, y, level, imputer.noise_, mean, penalty
        )
        row[~seen] = ((level + y @ x) * imputer.scale_ + imputer.mean_)[~seen]
    filled = imputer.transform(holed)
    assert filled.dtype == dtype
    assert np.array_equal(filled[observed], holed[observed])
    np.testing.assert_allclose(filled, expected, rtol=0, atol=2e-4 if dtype == np.float32 else 2e-5)


@pytest.mark.parametrize("biases", ["auto", True, False])
def test_columns_are_those_of_factorize(biases):
    holed = table()[1]
    imputer = FunkImputer(
        4, random_state=3, regularization=0.1, n_epochs=30, learning_rate=0.02, biases=biases
    )
    scaled = (holed - np.nanmean(holed, axis=0)) / np.nanstd(holed, axis=0)
    fit = funkc.factorize(
        None, scaled, 4, random_state=3, regularization=0.1, n_epochs=30, learning_rate=0.02,
        biases=biases, offset="auto" if biases else 0.0, dtype=np.float64,
    )  # fmt: skip
    learned = imputer.fit(holed).factorization_
    np.testing.assert_allclose(learned.col_factors, fit.col_factors, atol=1e-9)
    np.testing.assert_allclose(learned.row_factors[0], fit.row_factors.mean(axis=0), atol=1e-9)
    if biases:
        np.testing.assert_allclose(learned.col_bias, fit.col_bias, atol=1e-9)
        np.testing.assert_allclose(learned.row_bias[0], fit.row_bias.mean(), atol=1e-9)
    assert len(learned.history["epoch"]) == 30


def test_members_are_those_of_factorize(monkeypatch):
    passed = []

    def factorize(*args, members=1, **options):
        passed.append(members)
        return funkc.factorize(*args, **options)

    monkeypatch.setattr("funkc.estimator.factorize", factorize)
    for members in (1, 4):
        FunkImputer(members=members).fit(table()[1])
    assert passed == [1, 4]


# ---------------------------------------------------------------- how good it is


@pytest.mark.parametrize("n_rows, n_cols, rank", [(200, 8, 2), (60, 40, 3), (500, 20, 5)])
@pytest.mark.parametrize("holes", [0.1, 0.3, 0.5])
def test_structure_is_found(n_rows, n_cols, rank, holes):
    whole, holed = table(n_rows, n_cols, rank, holes=holes)
    means = error(SimpleImputer().fit_transform(holed), whole, holed)
    assert error(FunkImputer().fit_transform(holed), whole, holed) < 0.75 * means


@pytest.mark.parametrize("n_components", [1, 20, 200])
def test_noise_alone_is_not_learned_by_heart(n_components):
    rng = np.random.default_rng(0)
    whole = rng.normal(size=(200, 10))
    holed = np.where(rng.random(whole.shape) < 0.3, np.nan, whole)
    assert error(FunkImputer(n_components).fit_transform(holed), whole, holed) < 1.1


@pytest.mark.parametrize(
    "rank, bound", [(1, 0.005), (3, 0.01), (5, 0.03), pytest.param(0, 0.01, id="equal columns")]
)
def test_low_rank_is_found_exactly(rank, bound):
    rng = np.random.default_rng(rank)
    whole = rng.normal(size=(200, rank or 1)) @ (
        rng.normal(size=(rank, 20)) if rank else np.ones((1, 10))
    )
    holed = np.where(rng.random(whole.shape) < 0.2, np.nan, whole)
    assert error(FunkImputer().fit_transform(holed), whole, holed) < bound


def test_every_column_has_its_noise():
    """The columns of less noise tell more."""
    rng = np.random.default_rng(0)
    noise = np.array([0.05, 0.8] * 5)
    whole = rng.normal(size=(2000, 2)) @ rng.normal(size=(2, 10))
    holed = whole + noise * rng.normal(size=whole.shape)
    holed[rng.random(whole.shape) < 0.3] = np.nan
    imputer = FunkImputer(2, scale=False).fit(holed)
    assert (imputer.noise_[0::2] < 0.5 * imputer.noise_[1::2]).all()
    found = error(imputer.transform(holed), whole, holed)
    imputer.noise_ = np.full(10, imputer.factorization_.noise)
    assert found < 0.8 * error(imputer.transform(holed), whole, holed)


def test_units_of_columns_do_not_matter():
    """Of powers of two, so that they leave no rounding either."""
    holed = table()[1] / UNITS
    units = 2.0 ** np.array([0, 30, -30, 5, 1, -1, 3, -8])
    assert np.array_equal(FunkImputer().fit_transform(holed * units) / units,
                          FunkImputer().fit_transform(holed))  # fmt: skip


def test_without_scale_they_do():
    holed = table()[1] / UNITS
    units = 2.0 ** np.arange(8)
    one, other = (FunkImputer(scale=False).fit_transform(x) for x in (holed, holed * units))
    assert not np.allclose(one, other / units)


def test_nonnegative_factors_fill_with_nonnegative_values():
    rng = np.random.default_rng(0)
    whole = rng.random((100, 3)) ** 2 @ rng.random((3, 6)) ** 4 * UNITS[:6]
    holed = np.where(rng.random(whole.shape) < 0.4, np.nan, whole)
    for scale in (True, False):
        imputer = FunkImputer(4, nonnegative=True, scale=scale)
        assert imputer.fit_transform(holed).min() >= 0
        assert not imputer.mean_.any()
    assert error(FunkImputer(nonnegative=True).fit_transform(holed), whole, holed) < 0.8


# ---------------------------------------------------------------- the same bits


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("scale", [True, False])
def test_threads_forms_and_company_leave_no_trace(dtype, scale):
    holed = table(300)[1].astype(dtype)
    expected = FunkImputer(scale=scale, n_jobs=1).fit_transform(holed)
    for n_jobs in (*THREADS, -1, -2, None):
        imputer = FunkImputer(scale=scale, n_jobs=n_jobs, sparse_means="missing")
        assert np.array_equal(imputer.fit_transform(holed), expected)
    assert np.array_equal(imputer.fit(holed).transform(holed), expected)
    assert np.array_equal(imputer.transform(holed[::-7]), expected[::-7])
    assert np.array_equal(imputer.transform(holed[5:6]), expected[5:6])
    for form in ("csr_array", "csc_array", "coo_array", "lil_array", "csr_matrix", "bsr_array"):
        given = as_sparse(holed, form)
        if form == "bsr_array":  # which stores zeros beside what is observed
            given.data[given.data == 0] = np.nan
        for found in (clone(imputer).fit_transform(given), imputer.transform(given)):
            assert type(found) is np.ndarray
            assert np.array_equal(found, expected)


def test_order_in_a_sparse_array_leaves_no_trace_and_the_array_is_left_alone():
    holed = table()[1]
    upright = as_sparse(holed)
    data, indices = upright.data.copy(), upright.indices.copy()
    for first, last in zip(upright.indptr[:-1], upright.indptr[1:], strict=True):
        data[first:last], indices[first:last] = data[first:last][::-1], indices[first:last][::-1]
    shuffled = sparse.csr_array((data.copy(), indices.copy(), upright.indptr), shape=holed.shape)
    imputer = FunkImputer(sparse_means="missing")
    assert np.array_equal(imputer.fit_transform(shuffled), imputer.fit_transform(upright))
    assert np.array_equal(shuffled.data, data)
    assert np.array_equal(shuffled.indices, indices)


def test_input_is_left_alone():
    holed = table()[1]
    before = holed.copy()
    filled = FunkImputer().fit_transform(holed)
    assert np.array_equal(holed, before, equal_nan=True)
    assert not np.shares_memory(filled, holed)
    holed.flags.writeable = False
    assert np.array_equal(FunkImputer().fit_transform(holed), filled)


def test_another_seed_is_another_start():
    holed = table()[1]
    one, same, other = (FunkImputer(random_state=s).fit_transform(holed) for s in (1, 1, 2))
    assert np.array_equal(one, same)
    assert not np.array_equal(one, other)
    generators = [np.random.RandomState(5), np.random.RandomState(5), np.random.default_rng(5)]
    first, again, _ = (FunkImputer(random_state=g).fit_transform(holed) for g in generators)
    assert np.array_equal(first, again)


def test_several_threads_may_transform():
    holed = table(400)[1]
    imputer = FunkImputer().fit(holed)
    expected = imputer.transform(holed)
    with ThreadPoolExecutor(8) as pool:
        for found in pool.map(imputer.transform, [holed] * 24):
            assert np.array_equal(found, expected)


# ---------------------------------------------------------------- what is missing


@pytest.mark.parametrize("missing", [0, -1, -1.0, np.int64(7), np.float32(0.5), None, np.nan])
@pytest.mark.parametrize("stored", [False, True])
def test_any_number_may_mean_missing(missing, stored):
    holed = np.random.default_rng(0).integers(1, 7, (50, 6)).astype(float)
    holed[np.random.default_rng(1).random(holed.shape) < 0.3] = np.nan
    expected = FunkImputer(missing_values=np.nan).fit_transform(holed)
    marked = np.where(np.isnan(holed), np.nan if missing is None else missing, holed)
    given = sparse.csr_array(np.ones_like(marked)) if stored else marked
    if stored:  # every cell, so that those that are missing are stored as well
        given.data[:] = marked.ravel()
    found = FunkImputer(missing_values=missing).fit_transform(given)
    assert np.array_equal(found, expected)


def test_nan_is_refused_where_a_number_means_missing():
    with pytest.raises(ValueError, match="NaN"):
        FunkImputer(missing_values=0).fit([[1.0, np.nan], [2.0, 0.0]])


@pytest.mark.parametrize("missing", [np.nan, None, "NA"])
def test_frames_with_na(missing):
    pandas = pytest.importorskip("pandas")
    holed = table()[1]
    expected = FunkImputer().fit_transform(holed)
    missing = pandas.NA if missing == "NA" else missing
    frame = pandas.DataFrame(holed, columns=list("abcdefgh"))
    for one in (frame, frame.convert_dtypes()):
        imputer = clone(FunkImputer(missing_values=missing)).fit(one)
        assert np.array_equal(imputer.transform(one), expected)


def test_none_in_lists_is_missing():
    lists = [[1, 2, 3], [2, None, 6], [3, 6, None], [4, 8, 12]]
    expected = np.array(lists, float)
    assert np.array_equal(
        FunkImputer().fit_transform(np.array(lists, object)), FunkImputer().fit_transform(expected)
    )


def test_stored_zeros_are_observed():
    holed = np.array([[0.0, 1, 2], [3, 0, np.nan], [np.nan, 2, 0], [1, 1, 1]])
    given = as_sparse(holed)
    assert given.nnz == 10
    imputer = FunkImputer(sparse_means="missing")
    assert np.array_equal(imputer.fit_transform(given), imputer.fit_transform(holed))


@pytest.mark.parametrize("dtype", [np.int8, np.uint64, bool, ">f8", np.longdouble])
def test_other_dtypes_become_float64(dtype):
    given = np.array([[1, 0, 1], [0, 1, 1], [1, 1, 0]], dtype)
    filled = FunkImputer(missing_values=0).fit_transform(given)
    assert filled.dtype == np.float64
    assert filled.dtype.isnative


# ---------------------------------------------------------------- odd tables


@pytest.mark.parametrize("scale", [True, False])
@pytest.mark.parametrize("shape", [(1, 1), (1, 6), (6, 1), (2, 2), (3, 50), (50, 3)])
def test_any_shape(shape, scale):
    rng = np.random.default_rng(0)
    whole = rng.normal(size=shape) + 5
    imputer = FunkImputer(scale=scale)
    assert np.array_equal(imputer.fit_transform(whole), whole)
    holes = np.full(shape, np.nan)
    filled = imputer.transform(holes)
    assert np.abs(filled - 5).max() < 4
    assert np.array_equal(filled, np.broadcast_to(filled[0], shape))


def test_a_row_without_observation_gets_the_usual():
    holed = table(300)[1]
    holed[7] = np.nan
    filled = FunkImputer().fit_transform(holed)
    away = (filled[7] - np.nanmean(holed, axis=0)) / np.nanstd(holed, axis=0)
    assert np.abs(away).max() < 0.3
    imputer = FunkImputer(sparse_means="missing")
    assert np.array_equal(imputer.fit_transform(as_sparse(holed)), filled)


@pytest.mark.parametrize("value", [0.0, 0.1, -7e9, 1e-30])
def test_a_constant_column_is_filled_with_its_value(value):
    holed = table()[1]
    holed[:, 3] = np.where(np.isnan(holed[:, 3]), np.nan, value)
    imputer = FunkImputer()
    filled = imputer.fit_transform(holed)
    assert imputer.scale_[3] == 0
    np.testing.assert_allclose(filled[:, 3], value, rtol=1e-12)
    everywhere = np.where(np.isnan(holed), np.nan, value)
    np.testing.assert_allclose(FunkImputer().fit_transform(everywhere), value, rtol=1e-12)
    unscaled = FunkImputer(scale=False).fit_transform(everywhere)
    # All is 0, the row factors hardly differ: what is left of the initialization stays.
    np.testing.assert_allclose(unscaled, value, rtol=1e-6, atol=0.05 * (value == 0))


@pytest.mark.parametrize("scale", [True, False])
@pytest.mark.parametrize("form", [np.asarray, as_sparse])
def test_empty_columns_are_left_out_or_filled_with_zeros(form, scale):
    holed = table()[1]
    holed[:, [2, 5]] = np.nan
    others = [0, 1, 3, 4, 6, 7]
    imputer = FunkImputer(scale=scale, sparse_means="missing").fit(form(holed))
    with pytest.warns(UserWarning, match=r"dropped: 'x2, x5'; pass keep_empty_features=True"):
        filled = imputer.transform(form(holed))
    assert filled.shape == (120, 6)
    assert not np.isnan(filled).any()
    assert list(imputer.get_feature_names_out()) == [f"x{j}" for j in others]

    keeping = clone(imputer).set_params(keep_empty_features=True).fit(form(holed))
    kept = keeping.transform(form(holed))
    assert np.array_equal(kept[:, others], filled)
    assert not kept[:, [2, 5]].any()
    assert len(keeping.get_feature_names_out()) == 8
    # What such a column holds later is kept, and tells nothing about the others.
    later = holed.copy()
    later[4, 2] = 1e6
    kept[4, 2] = 1e6
    assert np.array_equal(keeping.transform(form(later)), kept)


def test_indicators():
    holed = table()[1]
    holed[:, 1] = LEVELS[1]
    holed[:, 6] = np.nan
    options = {"keep_empty_features": True, "sparse_means": "missing"}
    imputer = FunkImputer(add_indicator=True, **options).fit(holed)
    plain = FunkImputer(keep_empty_features=True).fit_transform(holed)
    columns = [0, 2, 3, 4, 5, 6, 7]
    expected = np.hstack([plain, np.isnan(holed[:, columns])])
    assert np.array_equal(imputer.transform(holed), expected)
    assert np.array_equal(imputer.transform(as_sparse(holed)), expected)
    names = [f"x{j}" for j in range(8)] + [f"missingindicator_x{j}" for j in columns]
    assert list(imputer.get_feature_names_out()) == names


@pytest.mark.parametrize("n_components", [1, 3, 8, 9, 100])
def test_any_number_of_components(n_components):
    whole, holed = table()
    assert error(FunkImputer(n_components).fit_transform(holed), whole, holed) < 0.9


@pytest.mark.parametrize("scale", [1e-150, 1e-30, 1e30, 1e140])
def test_very_large_and_very_small_values(scale):
    whole, holed = table()
    whole, holed = whole / UNITS, holed / UNITS
    filled = FunkImputer().fit_transform(holed * scale) / scale
    np.testing.assert_allclose(filled, FunkImputer().fit_transform(holed), rtol=1e-6)


def test_what_is_filled_in_stays_finite():
    rng = np.random.default_rng(0)
    largest = float(np.finfo(np.float32).max)
    holed = (rng.choice([-1, 1], (60, 5)) * rng.uniform(0.9, 1, (60, 5)) * largest).astype("f4")
    holed[rng.random(holed.shape) < 0.4] = np.nan
    assert np.isfinite(FunkImputer(regularization=0.0).fit_transform(holed)).all()


@settings(max_examples=40, deadline=None)
@given(
    holed=arrays(
        st.sampled_from([np.float32, np.float64]),
        st.tuples(st.integers(1, 12), st.integers(1, 6)),
        elements=st.one_of(st.just(np.nan), st.floats(-1e6, 1e6, width=32)),
    ),
    scale=st.booleans(),
    add_indicator=st.booleans(),
)
def test_any_table(holed, scale, add_indicator):
    observed = ~np.isnan(holed)
    imputer = FunkImputer(
        3, scale=scale, add_indicator=add_indicator, keep_empty_features=True, n_epochs=20,
        sparse_means="missing",
    )  # fmt: skip
    filled = imputer.fit_transform(holed)
    n_cols = holed.shape[1]
    assert filled.dtype == holed.dtype
    assert np.isfinite(filled).all()
    assert np.array_equal(filled[:, :n_cols][observed], holed[observed])
    assert filled.shape[1] == len(imputer.get_feature_names_out())
    if add_indicator:
        holes = ~observed
        assert np.array_equal(filled[:, n_cols:], holes[:, holes.any(axis=0)])
    assert np.array_equal(imputer.transform(as_sparse(holed)), filled)


# ---------------------------------------------------------------- bad input


@pytest.mark.parametrize(
    "options, message",
    [
        ({"n_components": 0}, "n_components: got 0; pass an integer from 1"),
        ({"n_components": 2.5}, "n_components: got 2.5 of type float"),
        ({"missing_values": "?"}, "missing_values: got '[?]' of type str"),
        ({"missing_values": np.inf}, "missing_values: got inf"),
        ({"missing_values": 10**400}, "missing_values: got inf"),
        ({"scale": 1}, "scale: got 1; pass True or False"),
        ({"nonnegative": "no"}, "nonnegative: got 'no'"),
        ({"add_indicator": None}, "add_indicator: got None"),
        ({"keep_empty_features": 0}, "keep_empty_features: got 0"),
        ({"learning_rate": -1.0}, "learning_rate: got -1.0"),
        ({"regularization": -1.0}, "regularization: got -1.0"),
        ({"n_epochs": 0}, "n_epochs: got 0"),
        ({"biases": "no"}, "biases: got 'no'"),
        ({"random_state": "x"}, "random_state: got 'x'"),
        ({"n_jobs": 0}, "n_jobs: got 0; pass a number of threads"),
        ({"n_jobs": 1.5}, "n_jobs: got 1.5"),
    ],
)
def test_bad_parameters(options, message):
    with pytest.raises((TypeError, ValueError), match=message):
        FunkImputer(**options).fit(table()[1])


def test_the_number_of_threads_may_be_set_after_fitting():
    holed = table()[1]
    imputer = FunkImputer().fit(holed)
    with pytest.raises(ValueError, match="n_jobs: got 0"):
        imputer.set_params(n_jobs=0).transform(holed)


@pytest.mark.parametrize("form", [np.asarray, as_sparse])
def test_infinite_values_are_refused(form):
    holed = table()[1]
    imputer = FunkImputer(sparse_means="missing").fit(form(holed))
    holed[3, 2] = np.inf
    for method in (imputer.transform, imputer.fit, imputer.partial_fit):
        with pytest.raises(ValueError, match="infinity"):
            method(form(holed))


def test_values_whose_squares_overflow_are_refused():
    holed = table()[1]
    holed[0, 5] = 1e200
    with pytest.raises(ValueError, match="X: the squares of column 5 exceed float64; divide it"):
        FunkImputer().fit(holed)


def test_words_are_refused():
    with pytest.raises(ValueError, match="column 0 has no number in row 0: could not convert"):
        FunkImputer().fit([["a", "b"], ["c", "d"]])


# ---------------------------------------------------------------- company


def test_in_a_pipeline_and_a_search():
    whole, holed = table(150, 8, 3)
    y = (whole / UNITS) @ np.arange(8)
    search = GridSearchCV(
        make_pipeline(FunkImputer(), Ridge()), {"funkimputer__n_components": [1, 3, 12]}, cv=3
    ).fit(holed, y)
    assert set(search.cv_results_["param_funkimputer__n_components"]) == {1, 3, 12}
    assert search.best_params_ != {"funkimputer__n_components": 1}
    assert search.best_score_ > 0.6


def test_beside_other_columns():
    holed = table()[1]
    both = ColumnTransformer(
        [("funk", FunkImputer(add_indicator=True), [0, 1, 2]), ("mean", SimpleImputer(), [3, 4])]
    )
    filled = both.fit_transform(holed)
    assert np.array_equal(filled[:, :3], FunkImputer().fit_transform(holed[:, :3]))
    assert list(both.get_feature_names_out())[-3:] == [
        "funk__missingindicator_x2", "mean__x3", "mean__x4",
    ]  # fmt: skip


def test_clones_and_pickles():
    holed = table()[1]
    imputer = FunkImputer(3, missing_values=np.nan, scale=False, regularization=(0.1, 0.2))
    assert str(clone(imputer)) == str(imputer)
    imputer.fit(holed)
    again = pickle.loads(pickle.dumps(imputer))
    assert np.array_equal(again.transform(holed), imputer.transform(holed))
    more = table(seed=1)[1]
    assert np.array_equal(
        again.partial_fit(more).transform(holed), imputer.partial_fit(more).transform(holed)
    )


@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_frames_in_and_out(library):
    module = pytest.importorskip(library)
    holed = table()[1]
    names = [f"column {j}" for j in range(8)]
    frame = module.DataFrame({name: holed[:, j] for j, name in enumerate(names)})
    imputer = FunkImputer(add_indicator=True).set_output(transform=library)
    found = imputer.fit_transform(frame)
    assert type(found) is module.DataFrame
    assert list(found.columns) == names + [f"missingindicator_{name}" for name in names]
    assert list(found.columns) == list(imputer.get_feature_names_out())
    assert np.array_equal(found.to_numpy(), FunkImputer(add_indicator=True).fit_transform(holed))


def test_unknown_names_are_refused():
    imputer = FunkImputer().fit(table()[1])
    assert list(imputer.get_feature_names_out(list("abcdefgh"))) == list("abcdefgh")
    with pytest.raises(ValueError, match="should have length equal"):
        imputer.get_feature_names_out(["a"])


# ---------------------------------------------------------------- an extra


def run(code):
    found = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False
    )
    assert found.returncode == 0, found.stderr
    return found.stdout


def test_scikit_learn_is_imported_when_it_is_asked_for():
    run(
        "import sys, funkc\n"
        "assert 'FunkImputer' in dir(funkc)\n"
        "assert not any(name.startswith(('sklearn', 'scipy')) for name in sys.modules)\n"
        "funkc.FunkImputer\n"
        "assert 'sklearn' in sys.modules\n"
    )


def test_without_scikit_learn_the_error_says_what_to_install():
    said = run(
        "import sys\n"
        "sys.modules['sklearn'] = None\n"
        "import funkc, inspect\n"
        "from funkc import *\n"
        "inspect.getmembers(funkc)\n"
        "try:\n    funkc.FunkImputer\n"
        "except ImportError as error:\n    print(error)\n"
    )
    assert said.startswith("FunkImputer needs scikit-learn 1.6 or newer")
    assert 'pip install "funkc[sklearn]"' in said


def test_other_names_are_refused_as_ever():
    with pytest.raises(AttributeError, match="module 'funkc' has no attribute 'FunkRegressor'"):
        funkc.FunkRegressor  # noqa: B018


def test_dense_and_sparse_tables_of_several_blocks_have_the_same_bits(monkeypatch):
    monkeypatch.setattr("funkc._table.ENTRIES_AT_ONCE", 60)
    rng = np.random.default_rng(0)
    table = rng.normal(size=(60, 12)) * 10.0 ** np.arange(-6, 6)
    table[rng.random(table.shape) < 0.5] = np.nan
    seen = ~np.isnan(table)
    sparse = pytest.importorskip("scipy.sparse").csr_array(
        (table[seen], np.nonzero(seen)), shape=table.shape
    )
    imputer = FunkImputer(3, n_epochs=5, sparse_means="missing")
    filled = [imputer.fit_transform(X) for X in (table, sparse)]
    np.testing.assert_array_equal(*filled)


@pytest.mark.parametrize("ends", [(-1.0, 1.0), ([-1.0, -0.5, -np.inf], [0.0, np.inf, 0.25])])
def test_imputed_values_keep_to_their_range(ends):
    rng = np.random.default_rng(0)
    table = np.outer(rng.normal(size=40), [1.0, 2.0, -3.0])
    table[rng.random(table.shape) < 0.3] = np.nan
    free = FunkImputer(2).fit_transform(table)
    low, high = ends
    made = FunkImputer(2, min_value=low, max_value=high).fit_transform(table)
    missing = np.isnan(table)
    assert np.array_equal(made, np.where(missing, np.clip(free, low, high), table))
    assert not np.array_equal(made, free)


@pytest.mark.parametrize(
    ("low", "high", "words"),
    [(1, 1, "column 0"), ([0, 0, 5], 3, "column 2"), ([0, 0], 1, "shape"), (np.nan, 1, "NaN")],
)
def test_a_range_of_imputed_values_that_is_none_is_refused(low, high, words):
    table = np.arange(12.0).reshape(4, 3)
    with pytest.raises(ValueError, match=words):
        FunkImputer(1, min_value=low, max_value=high).fit(table)
    imputer = FunkImputer(1).fit(table).set_params(min_value=low, max_value=high)
    with pytest.raises(ValueError, match=words):
        imputer.transform([[np.nan, 1.0, 2.0]])


@pytest.mark.parametrize("index", [20, 10**4, -(10**6)])
def test_a_sparse_array_whose_index_lies_is_refused(index):
    table = sparse.coo_array(np.arange(1.0, 46).reshape(9, 5))
    for axis in (0, 1):
        coords = [part.copy() for part in table.coords]
        coords[axis][3] = index
        wrong = table.copy()
        wrong.coords = tuple(coords)
        with pytest.raises(ValueError, match=r"^X: is not a valid sparse array \("):
            FunkImputer(missing_values=0).fit(wrong)


def test_a_table_that_no_memory_holds_is_refused():
    endless = np.broadcast_to(1.0, (10**9, 10**9))
    with pytest.raises(MemoryError, match="pass fewer rows at a time"):
        FunkImputer().fit(endless)
