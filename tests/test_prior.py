"""The prior of new rows and columns: the distribution of those that were trained."""

import copy
import pickle

import numpy as np
import pytest
import reference
from fits import DTYPES, KINDS, NAN, THREADS, bits, fitted, made, observed, own_side

import funkc


def folding(fit, by_col):
    return fit.fold_in_cols if by_col else fit.fold_in_rows


def lower(found, size):
    """The symmetric matrix whose lower half is given."""
    half = np.tril(found[:size, :size])
    return half + np.tril(half, -1).T


@pytest.mark.parametrize("n", [2, 13, 14, 15, 1000])
@pytest.mark.parametrize("k", [1, 7, 8, 33])
@pytest.mark.parametrize("kind", list(KINDS)[:2])
@pytest.mark.parametrize("dtype", DTYPES)
def test_the_matrix_is_the_inverse_of_the_covariance(n, k, kind, dtype):
    rng = np.random.default_rng(n)
    mixing = rng.normal(size=(k, k))
    parts = [(rng.normal(size=(n, k)) @ mixing + 5).astype(dtype) for _ in range(2)]
    biases = {}
    if kind == "biases":
        biases = {f"{side}_bias": rng.normal(size=n).astype(dtype) - 9 for side in ("row", "col")}
    fit = made(*parts, n_seen=(n, max(2, n - 1)), **biases)
    for by_col, side in enumerate((fit._rows, fit._cols)):
        covariance = reference.prior(fit, by_col)[1]
        inverse = np.linalg.inv(covariance)
        found = [side.precision(1)]
        for n_threads in THREADS:
            again = pickle.loads(pickle.dumps(side))
            found.append(again.precision(n_threads))
            assert again.precision(1) is found[-1]
        assert len({each.tobytes() for each in found}) == 1
        size = len(covariance)
        scale = np.abs(inverse).max() * np.linalg.cond(covariance) * np.finfo(float).eps
        assert np.allclose(lower(found[0], size), inverse, rtol=1e-9, atol=50 * scale)
        assert not found[0][size:].any()
        diagonal = np.count_nonzero(lower(found[0], size)) == size
        assert diagonal == (size == 1 or fit.n_seen[by_col] < 2 * k)


@pytest.mark.parametrize("by_col", [False, True])
@pytest.mark.parametrize("dtype", DTYPES)
def test_of_equal_rows_or_a_single_one_new_ones_are_too(by_col, dtype):
    for own, n_seen in ((np.full((9, 3), 0.1), 9), (np.random.default_rng(0).random((9, 3)), 1)):
        parts = [own.astype(dtype), np.eye(5, 3, dtype=dtype)]
        fit = made(*parts[:: -1 if by_col else 1], noise=0.5, n_seen=(n_seen, n_seen))
        new = folding(fit, by_col)(([0, 1], [1, 0]), [4.0, 5.0])
        expected = np.broadcast_to(parts[0].mean(axis=0, dtype=float), (2, 3))
        assert np.allclose(own_side(new, by_col), expected, rtol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("by_col", [False, True])
@pytest.mark.parametrize("dtype", DTYPES)
def test_rows_that_were_not_seen_count_for_nothing(kind, by_col, dtype):
    """They are the mean row, which adds nothing to the sum of squares."""
    fit = fitted(k=3, dtype=dtype, **KINDS[kind])
    parts = [fit.row_factors, fit.col_factors, fit.row_bias, fit.col_bias]
    for at in (0, 1) if fit.row_bias is None else (0, 1, 2, 3):
        mean = parts[at].mean(axis=0, keepdims=True, dtype=float).astype(dtype)
        parts[at] = np.concatenate([parts[at], np.repeat(mean, 6, axis=0)])
    fuller = made(*parts[:2], fit.offset, row_bias=parts[2], col_bias=parts[3],
                  noise=fit.noise, n_seen=fit.shape)  # fmt: skip
    fuller.parameters = fit.parameters
    assert fuller.n_seen == (67, 75)
    cells = ([0, 1, 1], [2, 0, 3])
    found = [own_side(folding(each, by_col)(cells, [9.0, 3.0, 1.0]), by_col)
             for each in (fit, fuller)]  # fmt: skip
    assert np.allclose(*found, rtol=1e-5, atol=1e-6)


def test_the_prior_is_that_of_the_factors_and_the_noise_of_now():
    fit = fitted(k=3, biases=True)
    cells = ([0, 0, 1], [4, 8, 2])
    first = bits(fit.fold_in_rows(cells, [9.0, 8.0, 7.0]))
    assert fit._rows.precision(1) is fit._rows._precision
    quiet = copy.copy(fit)
    quiet.noise = 1e-3
    assert bits(quiet.fold_in_rows(cells, [9.0, 8.0, 7.0])) != first
    assert bits(fit.fold_in_rows(cells, [9.0, 8.0, 7.0])) == first
    after = copy.copy(fit).partial_fit(None, 2 * observed())
    loaded = pickle.loads(pickle.dumps(after))
    assert bits(after.fold_in_rows(cells, [9.0, 8.0, 7.0])) == bits(
        loaded.fold_in_rows(cells, [9.0, 8.0, 7.0])
    )
    expected = reference.fold_in(after, cells, [9.0, 8.0, 7.0], 2)
    assert np.allclose(own_side(after.fold_in_rows(cells, [9, 8, 7]), False), expected, atol=1e-4)


def test_new_rows_keep_the_noise_and_the_other_side():
    fit = made(*np.random.default_rng(0).random((2, 9, 2)), noise=0.5, n_seen=(8, 7))
    assert fit.n_seen == (8, 7)
    rows = fit.fold_in_rows(([0, 3], [1, 1]), [1.0, 2.0])
    assert (rows.noise, rows.n_seen) == (0.5, (2, 7))  # two of the four have entries
    cols = fit.fold_in_cols(([1, 1], [0, 3]), [1.0, 2.0])
    assert (cols.noise, cols.n_seen) == (0.5, (8, 2))
    grown = fit._grown(
        fit._cells_to_learn(([9, 11], [1, 1]), [1.0, 2.0], None, None, "error", None)
    )
    assert grown.n_seen == (10, 7)
    trained = fitted(n_epochs=4)
    assert trained.n_seen == trained.shape
    assert trained.noise < trained.history["train_rmse"][-1]


def test_without_noise_the_regularization_must_be_given():
    fit = made(*np.random.default_rng(0).random((2, 9, 2)))
    assert fit.noise is None
    words = r"^noise: is unknown.*; set fit.noise to the RMSE .* regularization= will do\)$"
    for call in (
        lambda: fit.fold_in_rows(([0], [0]), [1.0]),
        lambda: fit.fold_in_cols(([0], [0]), [1.0]),
        lambda: fit.partial_fit(([9], [0]), [1.0]),
        lambda: funkc.factorize(([0], [9]), [1.0], 2, init=fit),
    ):
        with pytest.raises(ValueError, match=words):
            call()
    assert fit.fold_in_rows(([0], [0]), [1.0], regularization=0.1).noise is None
    assert fit.partial_fit(([8], [0]), [1.0]).shape == (9, 9)  # no new rows
    for bad, error in ((-0.1, ValueError), (NAN, ValueError), ("1", TypeError)):
        with pytest.raises(error, match=r"^noise: got .*; pass a finite number not below 0$"):
            fit.noise = bad


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("noise", [0.0, 1e-200, 1e200])
def test_any_noise_gives_finite_rows(kind, noise):
    """None of it: few entries are met; nothing but noise: the mean row."""
    fit = fitted(k=7, dtype=np.float64, **KINDS[kind])
    fit.noise = noise
    new = fit.fold_in_rows(([0, 0, 1], [1, 2, 3]), [9.0, 12.0, 15.0])
    assert np.isfinite(own_side(new, False)).all()
    if noise > 1:
        assert np.allclose(own_side(new, False), own_side(fit, False).mean(axis=0))
    elif "nonnegative" not in KINDS[kind]:
        assert np.allclose(new.predict([0, 0, 1], [1, 2, 3]), [9.0, 12.0, 15.0], atol=1e-4)
        mean = own_side(fit, False).mean(axis=0)
        features = np.column_stack([fit.col_factors, np.ones(75)])[1:3, : mean.size]
        targets = np.array([9.0, 12.0]) - fit.offset - features @ mean
        targets -= 0 if fit.col_bias is None else fit.col_bias[1:3]
        shortest = np.linalg.lstsq(features, targets, rcond=None)[0]
        assert np.allclose(own_side(new, False)[0], mean + shortest, atol=1e-3)


def rated_rows(m, n, seed):
    """A matrix of rank 4 with biases and noise, of which `m` rows are trained and 150 are new."""
    rng = np.random.default_rng(seed)
    x, y = rng.normal(size=(m + 150, 4)), 0.5 * rng.normal(size=(n, 4))
    table = 3 + x @ y.T + 0.5 * rng.normal(size=(m + 150, 1)) + 0.5 * rng.normal(size=n)
    table += rng.normal(size=table.shape)
    return np.where(rng.random((m, n)) < 0.3, table[:m], NAN), table[m:]


@pytest.mark.parametrize("by_col", [False, True])
@pytest.mark.parametrize("biases", [False, True])
def test_a_new_row_is_better_than_the_mean_row_from_its_first_entry(by_col, biases):
    n_known = (1, 2, 3, 5, 10)
    errors = {}
    for seed in range(3):
        trained, new = rated_rows(300, 60, seed)
        order = np.argsort(np.random.default_rng(seed).random(new.shape), axis=1)
        tested = np.argsort(order, axis=1) >= max(n_known)
        fit = funkc.factorize(None, trained.T if by_col else trained, 8, biases=biases, n_threads=1)
        ridge = fit.parameters["regularization"][by_col]
        for n, given in ((0, None), *((n, given) for n in n_known for given in (None, ridge))):
            table = np.where(np.argsort(order, axis=1) < n, new, NAN)
            table = table.T if by_col else table
            folded = folding(fit, by_col)(None, table, regularization=given)
            found = folded.reconstruct().T if by_col else folded.reconstruct()
            error = np.sqrt(np.mean((found - new)[tested] ** 2))
            errors.setdefault((n, given is None), []).append(error)
    mean = {key: np.mean(found) for key, found in errors.items()}
    by_prior = [mean[n, True] for n in (0, *n_known)]
    assert (np.diff(by_prior) < -0.01).all(), by_prior  # every entry helps, from the first on
    by_ridge = [mean[n, False] for n in n_known]
    assert by_ridge[0] > by_prior[0], by_ridge  # which grows with the entries, and follows one
    assert (np.array(by_prior[1:]) < by_ridge).all(), (by_prior, by_ridge)
