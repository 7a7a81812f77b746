"""FunkImputer.partial_fit: rows that come in batches."""

import pickle

import numpy as np
import pytest
import reference

pytest.importorskip("scipy.sparse")
pytest.importorskip("sklearn")

from sklearn.base import clone
from tables import THREADS, UNITS, as_sparse, error, table

from funkc import FunkImputer


def test_statistics_of_batches_are_those_of_all():
    holed = table(500)[1]
    together = FunkImputer().fit(holed)
    apart = FunkImputer()
    for batch in np.array_split(holed, 7):
        assert apart.partial_fit(batch) is apart
    np.testing.assert_allclose(apart.mean_, together.mean_, rtol=1e-9)
    np.testing.assert_allclose(apart.scale_, together.scale_, rtol=1e-9)
    assert np.array_equal(apart.n_observed_, together.n_observed_)
    assert apart.n_samples_seen_ == together.n_samples_seen_ == 500


@pytest.mark.parametrize("n_batches", [5, 25])
@pytest.mark.parametrize("scale", [True, False])
def test_batches_teach_nearly_as_much_as_the_whole(n_batches, scale):
    whole, holed = table(1000, 16, 4, noise=0.3)
    if not scale:
        units = np.resize(UNITS, 16)
        whole, holed = whole / units, holed / units
        whole, holed = (x - np.nanmean(holed, axis=0) for x in (whole, holed))
    batches = np.array_split(holed, n_batches)
    first = FunkImputer(scale=scale).fit(batches[0])
    streamed = clone(first)
    for batch in batches:
        streamed.partial_fit(batch)
    best = error(FunkImputer(scale=scale).fit_transform(holed), whole, holed)
    found = error(streamed.transform(holed), whole, holed)
    assert found < 1.12 * best
    assert found < error(first.transform(holed), whole, holed)
    if n_batches == 25:
        assert found < 0.85 * error(first.transform(holed), whole, holed)


def test_batches_give_the_same_bits_in_any_form():
    batches = np.array_split(table(200)[1], 4)
    expected = FunkImputer(n_jobs=1)
    for batch in batches:
        expected.partial_fit(batch)
    for n_jobs in THREADS:
        imputer = FunkImputer(n_jobs=n_jobs, sparse_means="missing").fit(batches[0])
        for batch in batches[1:]:
            imputer.partial_fit(as_sparse(batch))
        assert np.array_equal(imputer.transform(batches[0]), expected.transform(batches[0]))


def test_memory_does_not_grow_with_the_rows():
    batches = np.array_split(table(3000)[1], 3)
    imputer = FunkImputer(n_epochs=2).fit(batches[0])
    size = len(pickle.dumps(imputer))
    assert size < 10_000
    for batch in batches[1:]:
        imputer.partial_fit(batch)
    assert len(pickle.dumps(imputer)) < size + 100


def test_a_batch_may_be_a_row_or_empty_or_hold_a_column_that_is_new():
    holed = table()[1]
    first = holed[:60].copy()
    first[:, 4] = np.nan
    imputer = FunkImputer().partial_fit(first)
    assert len(imputer.get_feature_names_out()) == 7
    imputer.partial_fit(np.full((3, 8), np.nan))
    assert imputer.n_samples_seen_ == 63
    imputer.partial_fit(holed[60:61])
    imputer.partial_fit(holed[61:])
    assert imputer.n_samples_seen_ == 123
    assert len(imputer.get_feature_names_out()) == 8
    assert np.isfinite(imputer.transform(holed)).all()


def test_a_column_whose_deviation_grows_keeps_its_meaning():
    holed = table(500)[1]
    imputer = FunkImputer().fit(holed)
    filled, scale = imputer.transform(holed), imputer.scale_
    far = np.tile(imputer.mean_, (2, 1))
    far[:, 2] += [100 * scale[2], -100 * scale[2]]
    imputer.partial_fit(far)
    assert imputer.scale_[2] > 7 * scale[2]
    assert np.abs((imputer.transform(holed) - filled) / scale)[:, 2].max() < 1


def test_the_spread_of_batches_is_about_that_of_the_whole():
    holed = table(600)[1]
    imputer = FunkImputer(3)
    for batch in np.split(holed, [200, 201, 400]):
        imputer.partial_fit(batch)
    fit = imputer.factorization_
    assert (fit.n_seen[0], fit.shape[0]) == (600, 1)
    scaled = (holed - imputer.mean_) / imputer.scale_
    new = fit.fold_in_rows(None, scaled)
    mean, covariance = reference.prior(new)
    kept = np.tril(fit._rows.covariance(1)[:4, :4])
    size = np.linalg.norm(covariance)
    assert np.linalg.norm(kept - np.tril(covariance)) < 0.5 * size
    assert np.linalg.norm(fit._rows.mean - mean) < 0.3 * np.sqrt(np.trace(covariance))
    error = np.sqrt(np.nanmean((new.reconstruct() - scaled) ** 2))
    assert 0.5 * error < fit.noise < 2 * error


def test_the_usual_row_moves_by_the_share_of_the_new_rows():
    holed = table(500)[1] / UNITS % 3 + 10
    imputer = FunkImputer(scale=False).fit(holed)
    nothing = np.full((1, 8), np.nan)
    before = imputer.transform(nothing)
    after = imputer.partial_fit(np.full((1, 8), 60.0)).transform(nothing)
    assert 0 < np.abs(after - before).max() < 1


def test_a_batch_that_is_refused_changes_nothing():
    holed = table()[1]
    imputer = FunkImputer().fit(holed)
    before = pickle.dumps(imputer)
    for bad in (np.full((2, 8), np.inf), np.full((2, 7), 1.0), np.full((2, 8), 1e200)):
        with pytest.raises(ValueError, match=r"infinity|7 features|too|exceed"):
            imputer.partial_fit(bad)
    assert pickle.dumps(imputer) == before


def test_other_units_leave_the_model_as_it_is():
    holed = table(300)[1]
    imputer = FunkImputer().fit(holed)
    filled, scale = imputer.transform(holed), imputer.scale_
    mean, wider = imputer.mean_ + scale * np.arange(8), scale * np.linspace(1, 3, 8)
    imputer.factorization_ = imputer._rescaled(imputer.factorization_, mean, wider)
    imputer.noise_, imputer.mean_, imputer.scale_ = imputer.noise_ * scale / wider, mean, wider
    assert np.abs((imputer.transform(holed) - filled) / scale).max() < 0.05


def test_the_noise_of_batches_is_mixed_by_their_entries():
    quiet, loud = table(450, noise=0.02)[1], table(50, noise=3, seed=1)[1]
    imputer = FunkImputer(2).fit(quiet)
    before, rmse = imputer.noise_, imputer.factorization_.noise
    imputer.partial_fit(loud)
    fit = imputer.factorization_
    batch = fit.history["train_rmse"][-1]
    assert fit.noise == pytest.approx(np.sqrt(0.9 * rmse**2 + 0.1 * batch**2), rel=0.1)
    assert (imputer.noise_ > 1.5 * before).all()
    assert (imputer.noise_ < 0.5 * batch).all()


def test_batches_may_have_other_units_where_factors_are_0():
    """As those of members are, beyond what they have in common."""
    rows = np.random.default_rng(0).normal(size=(40, 2))
    rank_two = rows @ [[1.0, 2.0, 3.0, 4.0], [1.0, 1.0, 1.0, 1.0]]
    imputer = FunkImputer(6, members=2, random_state=0).fit(rank_two)
    assert (imputer.factorization_.col_factors[:, -1] == 0).all()
    assert np.isfinite(imputer.partial_fit(3 * rank_two[:20] + 1).transform(rank_two)).all()
