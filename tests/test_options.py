"""Biases, weights, nonnegativity, validation and warm starts."""

import numpy as np
import pytest
import reference_rule

import funkc

THREADS = [1, 2, 3, 8]


def ratings(n=3000, shape=(90, 70), seed=0):
    """A planted model with biases and noise, all of it above 0."""
    rng = np.random.default_rng(seed)
    cells = np.divmod(rng.permutation(shape[0] * shape[1])[:n], shape[1])
    x, y = rng.normal(0, 0.7, (shape[0], 3)), rng.normal(0, 0.7, (shape[1], 3))
    bias = rng.normal(0, 0.5, shape[0])[cells[0]] + rng.normal(0, 0.5, shape[1])[cells[1]]
    values = 5 + bias + (x[cells[0]] * y[cells[1]]).sum(axis=1) + rng.normal(0, 0.3, n)
    return cells, np.maximum(values, 0.1), shape


def same(a, b):
    return all(
        np.array_equal(getattr(a, name), getattr(b, name))
        for name in ("row_factors", "col_factors", "row_bias", "col_bias")
    )


def held_out_rmse(fit, cells, values):
    return np.sqrt(np.mean((fit.predict(*cells) - values) ** 2))


# ---------------------------------------------------------------- the oracle


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("group_size", [1, 8])
@pytest.mark.parametrize("k", [1, 15, 33])
@pytest.mark.parametrize(
    "options",
    [
        {"biases": False},
        {"nonnegative": True},
        {"weights": True},
        {"biases": False, "weights": True, "stages": 2},
        {"biases": True, "nonnegative": True, "weights": True},
    ],
    ids=lambda options: "+".join(options),
)
def test_each_option_gives_the_oracles_bits(dtype, group_size, k, options):
    cells, values, shape = ratings(800, (40, 30))
    values = values.astype(dtype)
    options = dict(options)
    if options.pop("weights", False):
        options["weights"] = np.random.default_rng(1).uniform(0.2, 3, values.size)
    fit = funkc.factorize(
        cells, values, k, shape=shape, dtype=dtype, n_epochs=3, group_size=group_size, **options
    )
    wanted = reference_rule.factorize(
        *cells, values, shape, k, dtype=dtype, n_epochs=3, group=group_size, **options
    )
    reference_rule.assert_equal(fit, wanted)


@pytest.mark.parametrize("name", ["biases", "nonnegative", "weights", "validation", "init"])
def test_threads_and_order_of_listing_leave_no_trace(name):
    cells, values, shape = ratings()
    options = {
        "biases": True,
        "nonnegative": True,
        "weights": np.random.default_rng(1).uniform(0.2, 3, values.size),
        "validation": 0.2,
        "init": funkc.factorize(cells, values, 4, shape=shape, n_epochs=2),
    }[name]
    order = np.random.default_rng(2).permutation(values.size)
    shuffled = tuple(index[order] for index in cells)
    fits = [
        funkc.factorize(cells, values, 4, shape=shape, n_epochs=4, n_threads=n, **{name: options})
        for n in THREADS
    ]
    if name == "weights":
        options = options[order]
    fits.append(
        funkc.factorize(shuffled, values[order], 4, shape=shape, n_epochs=4, **{name: options})
    )
    assert all(same(fit, fits[0]) for fit in fits[1:])
    assert all(fit.history["train_rmse"] == fits[0].history["train_rmse"] for fit in fits[1:])


# ---------------------------------------------------------------- biases


def test_predictions_hold_the_biases():
    cells, values, shape = ratings()
    fit = funkc.factorize(cells, values, 3, shape=shape, biases=True, dtype=np.float64)
    whole = fit.offset + fit.row_bias[:, None] + fit.col_bias + fit.row_factors @ fit.col_factors.T
    np.testing.assert_allclose(fit.reconstruct(), whole, rtol=1e-12)
    np.testing.assert_array_equal(fit.predict(*cells), fit.reconstruct()[cells])
    assert np.abs(fit.row_bias).max() > 0.1


def test_biases_help_where_there_are_any():
    rng = np.random.default_rng(0)
    shape = (200, 150)
    truth = 3 + np.add.outer(rng.normal(0, 1, 200), rng.normal(0, 1, 150))
    mask = rng.random(shape) < 0.3
    errors = [
        np.std((funkc.factorize(mask, truth, 1, biases=b).reconstruct() - truth)[~mask])
        for b in (False, True)
    ]
    assert errors[1] < 0.5 * errors[0]


# ---------------------------------------------------------------- nonnegative


def test_nonnegative_factors_are_so_and_fit():
    cells, values, shape = ratings()
    fit = funkc.factorize(cells, values, 4, shape=shape, nonnegative=True)
    assert min(fit.row_factors.min(), fit.col_factors.min()) >= 0
    assert fit.offset == 0
    assert fit.history["train_rmse"][-1] < 0.8 * np.std(values)


def test_values_below_what_nonnegative_factors_reach_are_refused():
    cells, values, shape = ratings()
    with pytest.raises(ValueError, match=r"nonnegative: the values have a mean of .* lower offset"):
        funkc.factorize(cells, -values, 4, shape=shape, nonnegative=True)
    fit = funkc.factorize(cells, -values, 4, shape=shape, nonnegative=True, offset=-10)
    assert fit.reconstruct().min() >= -10


# ---------------------------------------------------------------- weights


def test_a_common_factor_of_the_weights_changes_nothing():
    cells, values, shape = ratings()
    plain = funkc.factorize(cells, values, 3, shape=shape)
    ones = funkc.factorize(cells, values, 3, shape=shape, weights=np.full(values.size, 7))
    assert same(plain, ones)
    weights = np.random.default_rng(0).integers(1, 5, values.size)
    fits = [
        funkc.factorize(cells, values, 3, shape=shape, weights=weights * factor)
        for factor in (1, 1024.0)
    ]
    assert same(*fits)
    assert not same(plain, fits[0])


def test_a_weight_of_zero_counts_as_not_observed():
    cells, values, shape = ratings()
    weights = (np.arange(values.size) % 3 > 0).astype(float)
    some = weights > 0
    garbage = np.where(some, values, 1e6)
    fit = funkc.factorize(cells, garbage, 3, shape=shape, weights=weights)
    kept = tuple(index[some] for index in cells)
    assert same(fit, funkc.factorize(kept, values[some], 3, shape=shape))


def test_heavy_cells_are_fitted_better():
    cells, values, shape = ratings()
    heavy = np.arange(values.size) % 10 == 0
    fit = funkc.factorize(cells, values, 2, shape=shape, weights=np.where(heavy, 20.0, 1.0))
    plain = funkc.factorize(cells, values, 2, shape=shape)

    def error(fit):
        return np.std((fit.predict(*cells) - values)[heavy])

    assert error(fit) < 0.9 * error(plain)


def test_weights_come_as_a_matrix_too():
    cells, values, shape = ratings()
    mask = np.zeros(shape, bool)
    mask[cells] = True
    matrix, weights = np.zeros(shape), np.random.default_rng(0).uniform(1, 2, shape)
    matrix[cells] = values
    assert same(
        funkc.factorize(mask, matrix, 3, weights=weights),
        funkc.factorize(cells, values, 3, shape=shape, weights=weights[cells]),
    )


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ([1.0, 2.0], r"weights: has shape \(2,\) where there are 3000 observed entries"),
        (np.full(3000, -1.0), "weights: is -1.0 at row .*, column .*not negative"),
        (np.full(3000, np.nan), "weights: is nan at row"),
        (np.zeros(3000), "weights: is 0 everywhere"),
    ],
)
def test_bad_weights_are_refused(weights, message):
    cells, values, shape = ratings()
    with pytest.raises(ValueError, match=message):
        funkc.factorize(cells, values, 3, shape=shape, weights=weights)


def test_weights_do_not_go_with_settled_duplicates():
    cells, values, shape = ratings()
    with pytest.raises(ValueError, match="weights: are given together with duplicates"):
        funkc.factorize(cells, values, 3, shape=shape, weights=np.ones(3000), duplicates="mean")


# ---------------------------------------------------------------- validation


def test_a_share_is_held_out_and_told_every_epoch():
    cells, values, shape = ratings()
    fit = funkc.factorize(cells, values, 3, shape=shape, validation=0.2, n_epochs=6, patience=10)
    assert len(fit.history["validation_rmse"]) == len(fit.history["epoch"]) == 6
    assert fit.history["validation_rmse"][-1] < fit.history["validation_rmse"][0]
    plain = funkc.factorize(cells, values, 3, shape=shape, n_epochs=6)
    assert "validation_rmse" not in plain.history
    assert not same(fit, plain)


def test_cells_of_ones_own_leave_the_training_alone():
    cells, values, shape = ratings()
    train, held = np.arange(3000) < 2500, np.arange(3000) >= 2500
    kept, others = (tuple(index[part] for index in cells) for part in (train, held))
    fit = funkc.factorize(
        kept, values[train], 3, shape=shape, validation=(others, values[held]), patience=1000,
        stages=1,
    )  # fmt: skip
    best = int(np.argmin(fit.history["validation_rmse"])) + 1
    error = held_out_rmse(fit, others, values[held])
    assert error == pytest.approx(fit.validation_rmse, rel=1e-5)
    assert error < min(fit.history["validation_rmse"])  # biases are fitted again

    def stop(epoch, _):
        return epoch == best

    assert same(fit, funkc.factorize(kept, values[train], 3, shape=shape, callback=stop, stages=1))


def test_patience_ends_what_overfits_and_the_best_epoch_is_returned():
    cells, values, shape = ratings(1000)
    fit = funkc.factorize(
        cells, values, 16, shape=shape, validation=0.2, n_epochs=500, patience=3,
        learning_rate=0.03, regularization=0, decay="constant",
    )  # fmt: skip
    errors = fit.history["validation_rmse"]
    assert fit.stopped_by == "patience"
    assert len(errors) < 500
    assert int(np.argmin(errors)) == len(errors) - 4


@pytest.mark.parametrize(
    ("validation", "error", "message"),
    [
        (0, ValueError, "validation: got 0.0"),
        (1.0, ValueError, "validation: got 1.0"),
        (-0.1, ValueError, "validation: got -0.1"),
        ("some", TypeError, "validation: got 'some'"),
        (1e-9, ValueError, "validation: got 1e-09, which leaves 3000 of 3000 entries"),
        ((1, 2, 3), ValueError, "validation: has 3 parts"),
    ],
)
def test_bad_validation_is_refused(validation, error, message):
    cells, values, shape = ratings()
    with pytest.raises(error, match=message):
        funkc.factorize(cells, values, 3, shape=shape, validation=validation)


# ---------------------------------------------------------------- warm starts


def test_it_begins_where_the_other_fit_ended():
    cells, values, shape = ratings()
    first = funkc.factorize(cells, values, 3, shape=shape, biases=False)
    still = dict(n_epochs=1, learning_rate=1e-30)
    again = funkc.factorize(cells, values, 3, shape=shape, init=first, **still)
    assert same(first, again)
    assert again.offset == first.offset
    first = funkc.factorize(cells, values, 3, shape=shape)
    again = funkc.factorize(cells, values, 3, shape=shape, init=first, **still)
    np.testing.assert_array_equal(first.row_factors, again.row_factors)
    np.testing.assert_allclose(first.reconstruct(), again.reconstruct(), atol=0.2)
    error = np.sqrt(np.mean((first.predict(*cells) - values) ** 2))
    assert again.history["train_rmse"][0] == pytest.approx(error, rel=1e-5)


def test_a_pair_of_arrays_may_begin_it_even_far_off():
    cells, values, shape = ratings()
    rng = np.random.default_rng(0)
    pair = rng.normal(0, 3, (shape[0], 3)), rng.normal(0, 3, (shape[1], 3))
    before = [part.copy() for part in pair]
    fit = funkc.factorize(cells, values, 3, shape=shape, init=pair)
    assert fit.history["train_rmse"][-1] < fit.history["train_rmse"][0]
    assert np.isfinite(fit.row_factors).all()
    np.testing.assert_array_equal(pair[0], before[0])


def test_bad_starts_are_refused():
    cells, values, shape = ratings()
    good = np.ones((shape[0], 3)), np.ones((shape[1], 3))
    first = funkc.factorize(cells, values, 3, shape=shape, biases=True)

    def refused(init, error, message, **options):
        with pytest.raises(error, match=message):
            funkc.factorize(cells, values, 3, shape=shape, init=init, **options)

    refused(3, TypeError, "init: got 3")
    refused((good[0], good[1][:5]), ValueError, r"init col_factors: has shape \(5, 3\)")
    refused((good[0] * np.nan, good[1]), ValueError, "init row_factors: has NaN")
    refused((-good[0], good[1]), ValueError, "has negative numbers", nonnegative=True)
    refused(first, ValueError, "init: has biases; pass biases=True", biases=False)
