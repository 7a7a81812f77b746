"""FunkImputer by other losses than the squared one."""

import warnings

import numpy as np
import pytest

import funkc

pytest.importorskip("sklearn", minversion="1.6", reason="FunkImputer needs scikit-learn")
scipy_sparse = pytest.importorskip("scipy.sparse", reason="sparse tables come from SciPy")

from sklearn.base import clone  # noqa: E402

from funkc import FunkImputer  # noqa: E402

LOSSES = ["absolute", "huber", "logistic", "poisson"]
ROBUST = LOSSES[:2]


def tables(loss, shape=(150, 12), share=0.3, seed=0):
    """A table with holes, and what was in them; in many units, if the loss is robust."""
    rng = np.random.default_rng(seed)
    scores = rng.normal(size=(shape[0], 2)) @ rng.normal(size=(2, shape[1]))
    if loss == "logistic":
        full = (rng.random(shape) < 1 / (1 + np.exp(-2 * scores))) * 1.0
    elif loss == "poisson":
        full = rng.poisson(np.exp(np.minimum(0.6 * scores + 1, 4))) * 1.0
    else:
        scores += 0.05 * rng.normal(size=shape)
        full = scores * 10.0 ** rng.integers(-3, 4, shape[1]) + rng.normal(size=shape[1])
    table = full.copy()
    table[rng.random(shape) < share] = np.nan
    return table, full


def error(loss, table, full, counted, **options):
    """Of what is imputed where it counts, in standard deviations of the columns."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        made = FunkImputer(5, loss=loss, **options).fit_transform(table)
    return np.sqrt(np.mean(((made - full) / full.std(axis=0))[np.isnan(table) & counted] ** 2))


@pytest.mark.parametrize("biases", ["auto", False])
@pytest.mark.parametrize("loss", LOSSES)
def test_columns_are_those_of_factorize(loss, biases):
    """Of columns in robust units, if the loss is robust."""
    table, _ = tables(loss)
    mean, scale = np.zeros(12), np.ones(12)
    if loss in ROBUST:
        mean = np.nanmedian(table, axis=0)
        scale = 1.4826 * np.nanmedian(np.abs(table - mean), axis=0)
    fit = funkc.factorize(
        None, (table - mean) / scale, 4, loss=loss, biases=biases, dtype=np.float64,
        offset=0.0 if biases is False and loss in ROBUST else "auto",
    )  # fmt: skip
    imputer = FunkImputer(4, loss=loss, biases=biases).fit(table)
    assert np.array_equal(imputer.mean_, mean)
    assert np.allclose(imputer.scale_, scale, rtol=1e-14)
    assert np.allclose(imputer.factorization_.col_factors, fit.col_factors, atol=1e-9)
    assert np.allclose(imputer.noise_, fit.noise)
    new = fit.fold_in_rows(None, (table - mean) / scale).reconstruct() * scale + mean
    made, hole = imputer.transform(table), np.isnan(table)
    assert np.array_equal(made[~hole], table[~hole])
    assert np.allclose(made[hole], new[hole], rtol=1e-6, atol=1e-6 * np.abs(new[hole]).max())


@pytest.mark.parametrize("loss", ["logistic", "poisson"])
def test_predictions_are_in_their_range_and_better_than_the_mean(loss):
    table, full = tables(loss, (300, 20))
    hole = np.isnan(table)
    made = FunkImputer(5, loss=loss).fit_transform(table)[hole]
    assert made.min() > 0
    assert loss == "poisson" or made.max() < 1
    alone = np.broadcast_to(np.nanmean(table, axis=0), full.shape)[hole]
    assert np.mean((made - full[hole]) ** 2) < 0.8 * np.mean((alone - full[hole]) ** 2)


@pytest.mark.parametrize("wild", [1e6, 1e12])
@pytest.mark.parametrize("scale", [True, False])
@pytest.mark.parametrize("loss", ROBUST)
def test_a_wild_value_ruins_nothing(loss, scale, wild):
    """Nor its own column; a Huber loss bounds what it does there less tightly."""
    table, full = tables(loss)
    if not scale:
        table, full = table / full.std(axis=0), full / full.std(axis=0)
    row, col = np.argwhere(~np.isnan(table))[77]
    counted = np.ones_like(table, np.bool_)
    counted[row] = False
    before = error(loss, table, full, counted, scale=scale)
    assert before < 0.4
    table[row, col] = wild
    after = error(loss, table, full, counted, scale=scale)
    assert after < (1.15 * before if loss == "absolute" else 0.6)
    assert error("squared", table, full, counted, scale=scale) > 10
    counted[:, col] = False
    assert error(loss, table, full, counted, scale=scale) < 1.15 * before


@pytest.mark.parametrize("loss", LOSSES)
def test_threads_and_forms_leave_no_trace(loss):
    table, _ = tables(loss)
    made = FunkImputer(5, loss=loss, n_jobs=1).fit_transform(table)
    for n_jobs in (2, 3, 8):
        assert np.array_equal(FunkImputer(5, loss=loss, n_jobs=n_jobs).fit_transform(table), made)
    seen = ~np.isnan(table)
    sparse = scipy_sparse.csr_array((table[seen], np.nonzero(seen)), shape=table.shape)
    stored = FunkImputer(5, loss=loss, sparse_means="missing")
    assert np.array_equal(stored.fit_transform(sparse), made)
    one = FunkImputer(5, loss=loss).fit(table).transform(table[3:4])
    assert np.array_equal(one, made[3:4])


@pytest.mark.parametrize("loss", LOSSES)
def test_batches(loss):
    table, full = tables(loss, (400, 12))
    hole = np.isnan(table)
    imputer = FunkImputer(5, loss=loss)
    for first in range(0, 400, 100):
        imputer.partial_fit(table[first : first + 100])
    first = FunkImputer(5, loss=loss).fit(table[:100])
    if loss in ROBUST:
        assert np.array_equal(imputer.mean_, first.mean_)
        assert np.array_equal(imputer.scale_, first.scale_)

    def off(made):
        return np.sqrt(np.mean(((made - full) / full.std(axis=0))[hole] ** 2))

    whole = off(FunkImputer(5, loss=loss).fit_transform(table))
    made = off(imputer.transform(table))
    assert made < 1.15 * off(first.transform(table))
    assert made < 1.5 * whole


@pytest.mark.parametrize("loss", ROBUST)
def test_a_column_of_a_later_batch_gets_its_own_units(loss):
    table, full = tables(loss, (400, 12))
    table[:100, 7] = np.nan
    imputer = FunkImputer(5, loss=loss).partial_fit(table[:100]).partial_fit(table[100:])
    assert imputer.mean_[7] == np.nanmedian(table[100:, 7])
    assert imputer.mean_[6] == np.nanmedian(table[:100, 6])
    made, hole = imputer.transform(table)[:, 7], np.isnan(table[:, 7])
    assert np.std((made - full[:, 7])[hole]) < 0.6 * full[:, 7].std()


@pytest.mark.parametrize("loss", ROBUST)
def test_columns_of_few_values(loss):
    """Where most are equal, the robust deviation is 0 and says nothing."""
    rng = np.random.default_rng(3)
    table = rng.normal(size=(60, 5))
    table[:, 1] = 7.0
    table[:, 2] = np.where(rng.random(60) < 0.2, 3.0, 1.0)
    table[:, 3] = np.nan
    table[rng.random((60, 5)) < 0.2] = np.nan
    with pytest.warns(UserWarning, match="without any observed entry"):
        made = FunkImputer(3, loss=loss).fit_transform(table)
    assert np.isfinite(made).all()
    assert np.all(made[:, 1] == 7)
    assert np.all((made[:, 2] > 0) & (made[:, 2] < 4))


@pytest.mark.parametrize("form", [np.asarray, scipy_sparse.csr_array])
@pytest.mark.parametrize("loss, bad", [("logistic", 2.0), ("poisson", -1.0)])
def test_values_that_a_loss_can_not_have_are_named(loss, bad, form):
    table = np.nan_to_num(tables(loss)[0], nan=1.0)
    unfitted = FunkImputer(3, loss=loss, sparse_means="missing")
    imputer = clone(unfitted).fit(form(table))
    table[5, 2] = bad
    words = f"^X: got {bad:g} in row 5 and column 2, which is"
    for call in (imputer.transform, imputer.partial_fit, unfitted.fit):
        with pytest.raises(ValueError, match=words):
            call(form(table))


@pytest.mark.parametrize(
    "options, words",
    [
        ({"loss": "hinge"}, "^loss: got 'hinge'"),
        ({"huber_delta": 1.0}, "^huber_delta: was passed with loss='squared'"),
        ({"loss": "huber", "huber_delta": 0}, "^huber_delta: got 0"),
        ({"loss": "poisson", "nonnegative": True}, "^nonnegative: got True with loss='poisson'"),
    ],
)
def test_bad_parameters(options, words):
    with pytest.raises(ValueError, match=words):
        FunkImputer(3, **options).fit([[0.0, 1.0], [1.0, np.nan]])


def test_a_delta_is_heeded():
    table, _ = tables("huber")
    fits = [FunkImputer(3, loss="huber", huber_delta=d).fit(table) for d in (None, 0.05, 50.0)]
    deltas = [fit.factorization_.parameters["huber_delta"] for fit in fits]
    assert deltas[1:] == [0.05, 50.0]
    assert 0.05 < deltas[0] < 2
    assert not np.array_equal(*(fit.factorization_.col_factors for fit in fits[1:]))


@pytest.mark.parametrize("first", [1, 20])
@pytest.mark.parametrize("loss", ["squared", *ROBUST])
def test_a_column_that_is_constant_in_the_first_batch_is_learned_from_others(loss, first):
    table, full = tables("huber", (400, 12))
    table[:first, 0] = full[:, 0].mean()
    imputer = FunkImputer(3, loss=loss).partial_fit(table[:first]).partial_fit(table[first:])
    hole = np.isnan(table[:, 0])
    off = (imputer.transform(table) - full)[hole, 0]
    # One row says nothing, and a batch is not trained on for long.
    most = 0.6 if first > 1 and loss in ROBUST else 2
    assert np.sqrt(np.mean(off**2)) < most * full[:, 0].std()


@pytest.mark.parametrize("loss", ROBUST)
def test_a_wild_value_among_many_equal_ones_leaves_the_scale(loss):
    table, _ = tables(loss)
    table[:, 0] = np.where(table[:, 0] > np.nanquantile(table[:, 0], 0.7), table[:, 0], 0)
    scale = FunkImputer(3, loss=loss).fit(table).scale_
    table[5, 0] = 1e6
    assert 0.5 < FunkImputer(3, loss=loss).fit(table).scale_[0] / scale[0] < 2
