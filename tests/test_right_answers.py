"""Answers are right where data are few, odd, weighted or damaged, whatever the unit."""

import copy
import dataclasses
import functools
import re
import warnings

import numpy as np
import pytest

import funkc

factorize = functools.partial(funkc.factorize, n_threads=1)
DTYPES = [np.float32, np.float64]


def rmse(errors):
    return float(np.sqrt(np.mean(np.square(errors))))


@functools.cache
def table(rank=3, shape=(120, 80), noise=0.3, biases=1.0, seen=0.4, seed=0):
    """(values of all entries, mask)"""
    rng = np.random.default_rng(seed)
    values = rng.normal(size=(shape[0], rank)) @ rng.normal(size=(rank, shape[1]))
    values += biases * np.add.outer(rng.normal(size=shape[0]), rng.normal(size=shape[1]))
    return values + noise * rng.normal(size=shape), rng.random(shape) < seen


# ---------------------------------------------------------------- every road to the rule

# What a caller may do with values, so that predictions can be compared with all of them.
ROADS = {
    "factorize": lambda mask, values, **k: funkc.factorize(mask, values, 4, **k).reconstruct(),
    "members": lambda mask, values, **k: funkc.factorize(
        mask, values, 4, members=2, **k
    ).reconstruct(),
    "stages": lambda mask, values, **k: funkc.factorize(
        mask, values, 4, stages=2, **k
    ).reconstruct(),
    "biases": lambda mask, values, **k: funkc.factorize(
        mask, values, 4, biases=True, **k
    ).reconstruct(),
    "validation": lambda mask, values, **k: funkc.factorize(
        mask, values, 4, validation=0.2, **k
    ).reconstruct(),
    "impute": lambda mask, values, **k: funkc.factorize(mask, values, 4, **k).impute(mask, values),
    "cross_validate": lambda mask, values, **k: funkc.cross_validate(
        mask, values, 4, cv=2, **k
    ).fit.reconstruct(),
    "init": lambda mask, values, **k: (
        funkc.factorize(mask, values, 4, init=funkc.factorize(mask, values, 4, **k), **k)
    ).reconstruct(),
    "partial_fit": lambda mask, values, **k: (
        funkc.factorize(mask, values, 4, **k).partial_fit(mask, values).reconstruct()
    ),
    "fold_in_rows": lambda mask, values, **k: (
        funkc.factorize(mask, values, 4, **k).fold_in_rows(mask, values).reconstruct()
    ),
    "fold_in_cols": lambda mask, values, **k: (
        funkc.factorize(mask, values, 4, **k).fold_in_cols(mask, values).reconstruct()
    ),
}
roads = pytest.mark.parametrize("road", ROADS)


@roads
@pytest.mark.parametrize(
    "scale, shift", [(1e-6, 0), (0.01, 0), (1e6, 0), (1, 1e6), (1, -1e6), (-1, 0), (1000, -40_000)]
)
def test_predictions_follow_the_unit(road, scale, shift):
    values, mask = table()
    usual = ROADS[road](mask, values, dtype=np.float64)
    moved = ROADS[road](mask, values * scale + shift, dtype=np.float64)
    np.testing.assert_allclose((moved - shift) / scale, usual, atol=1e-5 * values.std())


@roads
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("constant", [0.0, 5.0, -1e-10, 3e20, 1 / 3])
def test_constants_are_met_exactly(road, dtype, constant):
    values, mask = np.full((9, 7), constant), table(shape=(9, 7), seen=0.6)[1]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.simplefilter("ignore", funkc.ConstantValuesWarning)
        made = ROADS[road](mask, values, dtype=dtype)
    tolerance = 4 * np.finfo(dtype).eps
    np.testing.assert_allclose(made, dtype(constant), rtol=tolerance)


@pytest.mark.parametrize("dtype", [None, *DTYPES])
@pytest.mark.parametrize("value", [7.3, 0.0, -1e100, 1e-310])
def test_a_single_entry(dtype, value):
    if dtype is not np.float64 and abs(value) > 1e38:
        pytest.skip("beyond float32, which is refused")
    fit = factorize(([0], [0]), [value], 2, dtype=dtype)
    assert fit.predict(0, 0) == fit.dtype.type(value)


@roads
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("kind", ["equal rows", "equal columns", "additive"])
def test_what_biases_explain_is_met_without_factors(road, dtype, kind):
    rng = np.random.default_rng(1)
    rows, cols = rng.normal(size=30), rng.normal(size=20)
    values = np.add.outer(rows * (kind != "equal rows"), cols * (kind != "equal columns"))
    mask = rng.random(values.shape) < 0.6
    made = ROADS[road](mask, values, dtype=dtype)
    np.testing.assert_allclose(made, values, atol=3e-4 * values.std())


def test_values_that_differ_by_their_own_rounding_are_constant():
    values = np.float32(5) + np.float32(4.8e-7) * table()[1]
    fit = factorize(None, values, 3)
    assert np.ptp(fit.reconstruct()) <= np.float32(9.6e-7)
    assert factorize(None, (5e6 + table()[1]).astype(int), 3).noise < 0.5  # of integers, no


# ---------------------------------------------------------------- far from 0


@pytest.mark.parametrize(
    "shift, scale, wanted", [(1.7e9, 15, np.float64), (1e6, 1, np.float64), (1e3, 1, np.float32),
                             (5, 1e-6, np.float64), (0, 1e-20, np.float32)]
)  # fmt: skip
def test_values_far_from_0_are_predicted_as_well_as_the_training_says(shift, scale, wanted):
    values, mask = table()
    fit = factorize(mask, shift + scale * values, 4)
    assert fit.dtype == wanted
    assert fit.score(mask, shift + scale * values) == pytest.approx(fit.noise, rel=0.02)


def test_single_precision_that_can_tell_nothing_is_refused():
    values, mask = table()
    with pytest.raises(ValueError, match=r"dtype.*float32.*1\.7e\+09.*float64"):
        factorize(mask, 1.7e9 + values, 4, dtype=np.float32)
    assert factorize(mask, 1e6 + values, 4, dtype=np.float32).dtype == np.float32


# ---------------------------------------------------------------- weights

WEIGHTED = {
    "factorize": lambda rows, cols, values, weights: funkc.factorize(
        (rows, cols), values, 4, shape=(120, 80), weights=weights
    ),
    "biases=False": lambda rows, cols, values, weights: funkc.factorize(
        (rows, cols), values, 4, shape=(120, 80), weights=weights, biases=False
    ),
    "nonnegative": lambda rows, cols, values, weights: funkc.factorize(
        (rows, cols), values + 9, 4, shape=(120, 80), weights=weights, nonnegative=True
    ),
    "members": lambda rows, cols, values, weights: funkc.factorize(
        (rows, cols), values, 4, shape=(120, 80), weights=weights, members=2
    ),
    "partial_fit": lambda rows, cols, values, weights: funkc.factorize(
        (rows, cols), values, 4, shape=(120, 80)
    ).partial_fit((rows, cols), values, weights=weights),
    "fold_in_rows": lambda rows, cols, values, weights: funkc.factorize(
        *((rows, cols), values, 4), shape=(120, 80)
    ).fold_in_rows((rows, cols), values, weights=weights, shape=(120, 80)),
}
weighted = pytest.mark.parametrize("road", WEIGHTED)


def entries(noise=0.3):
    values, mask = table(noise=noise)
    rows, cols = np.nonzero(mask)
    return rows, cols, values[mask], values, mask


@weighted
def test_entries_of_weight_0_leave_no_trace(road):
    rows, cols, values, *_ = entries()
    weights = np.random.default_rng(2).uniform(0.5, 2, values.size)
    weights[::7] = 0
    kept = weights > 0
    spoiled = np.where(kept, values, 1e9)
    before = funkc.factorize((rows, cols), values, 4, shape=(120, 80))
    again = {
        "partial_fit": lambda rows, cols, values, weights: copy.copy(before).partial_fit(
            (rows, cols), values, weights=weights
        ),
        "fold_in_rows": lambda rows, cols, values, weights: before.fold_in_rows(
            (rows, cols), values, weights=weights, shape=(120, 80)
        ),
    }.get(road, WEIGHTED[road])
    with_0 = again(rows, cols, spoiled, weights)
    without = again(rows[kept], cols[kept], values[kept], weights[kept])
    assert with_0.reconstruct().tobytes() == without.reconstruct().tobytes()


@weighted
def test_a_common_factor_of_the_weights_leaves_no_trace(road):
    rows, cols, values, *_ = entries()
    weights = np.random.default_rng(2).integers(1, 9, values.size).astype(float)
    fits = [WEIGHTED[road](rows, cols, values, weights * factor) for factor in (1.0, 2.0**40)]
    assert fits[0].reconstruct().tobytes() == fits[1].reconstruct().tobytes()


@pytest.mark.filterwarnings("ignore::funkc.OutlierWarning")
def test_almost_no_weight_is_as_good_as_none():
    rows, cols, values, everything, mask = entries()
    bad = np.random.default_rng(3).random(values.size) < 0.1
    spoiled = np.where(bad, values + 1000, values)
    weights = np.where(bad, 1e-12, 1.0)
    with_little = WEIGHTED["factorize"](rows, cols, spoiled, weights).reconstruct()
    without = WEIGHTED["factorize"](rows, cols, spoiled, 1.0 * ~bad).reconstruct()
    assert rmse((with_little - everything)[~mask]) < 1.05 * rmse((without - everything)[~mask])


@pytest.mark.parametrize("heavy", ["one of 1000", "one of 1e-12", "subnormal", "votes"])
def test_heavy_weights_do_not_ruin_clean_data(heavy):
    rows, cols, values, everything, mask = entries(noise=0)
    weights = np.ones(values.size)
    weights[5] = {"one of 1000": 1000, "one of 1e-12": 1e-12, "subnormal": 1e-310}.get(heavy, 40)
    clean = WEIGHTED["factorize"](rows, cols, values, None).reconstruct()
    made = WEIGHTED["factorize"](rows, cols, values, weights).reconstruct()
    assert rmse((made - everything)[~mask]) < 2.5 * rmse((clean - everything)[~mask])


@pytest.mark.parametrize("shape", [1.5, 2.0])
def test_weights_of_a_heavy_tail_are_borne(shape):
    rows, cols, values, everything, mask = entries(noise=0)
    weights = np.random.default_rng(0).pareto(shape, values.size) + 1
    made = WEIGHTED["factorize"](rows, cols, values, weights).reconstruct()
    assert rmse((made - everything)[~mask]) < 0.02 * everything.std()


@pytest.mark.parametrize("options", [{}, {"biases": False}, {"nonnegative": True}])
def test_rare_votes_of_great_weight_do_not_diverge(options, caplog):
    caplog.set_level("INFO", "funkc")
    likes = (np.random.default_rng(0).random((300, 200)) < 0.01).astype(float)
    weights = np.where(likes > 0, 40.0, 1.0)
    fit = factorize(np.ones(likes.shape, bool), likes, 8, weights=weights, **options)
    assert fit.noise < 1.1 * fit.baseline_rmse["mean"]
    assert not caplog.records  # no rate was halved


@pytest.mark.filterwarnings("ignore::funkc.OutlierWarning")
def test_defaults_follow_the_weights():
    """Values of little weight don't decide on the unit of the settings."""
    rows, cols, values, *_ = entries()
    bad = np.arange(values.size) % 5 == 0
    for options in ({}, {"biases": False}):
        usual = factorize((rows, cols), values, 4, weights=1.0 - bad, **options)
        spoiled = np.where(bad, 1e6, values)
        weighted = factorize((rows, cols), spoiled, 4, weights=1.0 - bad + 1e-15, **options)
        for name in ("learning_rate", "regularization"):
            assert np.allclose(weighted.parameters[name], usual.parameters[name], rtol=0.1)
        assert weighted.offset == pytest.approx(usual.offset, abs=0.2)


# ---------------------------------------------------------------- wild values

PLACES = {
    "factorize": lambda mask, values: funkc.factorize(mask, values, 3),
    "partial_fit": lambda mask, values: funkc.factorize(mask, table()[0], 3).partial_fit(
        mask, values
    ),
    "cross_validate": lambda mask, values: funkc.cross_validate(mask, values, 3, cv=2),
}


@pytest.mark.parametrize("road", PLACES)
@pytest.mark.parametrize("wild", [999.0, -1e6, 1e4])
@pytest.mark.parametrize("stars", [False, True])
def test_one_wild_value_is_named(road, wild, stars):
    values, mask = table()
    values = np.clip(np.round(values), -2, 3) if stars else values.copy()
    row, col = np.argwhere(mask)[11]
    values[row, col] = wild
    with pytest.warns(
        funkc.OutlierWarning, match=re.escape(f"{wild:.6g} in row {row} and column {col} lies")
    ) as caught:
        PLACES[road](mask, values)
    assert caught[-1].filename == __file__
    with warnings.catch_warnings():
        warnings.simplefilter("error", funkc.OutlierWarning)
        PLACES[road](mask, np.clip(values, -20, 20))


def test_a_wild_value_is_named_by_its_ids():
    rows = np.repeat(["ann", "bob", "cy"], 20)
    ratings = funkc.Ratings.from_arrays(
        rows, np.tile(np.arange(20) + 100, 3), np.r_[1e6, np.arange(59) % 5]
    )
    with pytest.warns(funkc.OutlierWarning, match="1e\\+06 in row 'ann' and column 100 lies"):
        funkc.factorize(None, ratings, 2)


def test_the_imputer_does_not_warn_of_values():
    sklearn = pytest.importorskip("sklearn")
    assert sklearn
    table = np.where(*table_and_holes())
    table[3, 2] = 1e9
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        imputer = funkc.FunkImputer(n_components=3)
        imputer.fit_transform(table)
        imputer.partial_fit(table)


def table_and_holes():
    values, mask = table()
    return mask, values, np.nan


@pytest.mark.parametrize(
    "values",
    [
        np.random.default_rng(0).poisson(3, 4000),
        np.exp(np.random.default_rng(0).normal(size=4000)),
        (np.arange(4000) % 97 == 0) * 1.0,
        np.ones(4000),
        np.r_[np.zeros(3990), np.arange(10)],
    ],
    ids=["counts", "lognormal", "clicks", "constant", "rare counts"],
)
def test_no_warning_of_honest_values(values):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.simplefilter("ignore", funkc.ConstantValuesWarning)
        funkc.factorize(np.divmod(np.arange(4000), 50), values, 3)


# ---------------------------------------------------------------- how good a fit is


def test_a_fit_says_what_simpler_models_reach():
    values, mask = table()
    fit = factorize(mask, values, 4)
    mean = values[mask].mean()
    assert fit.baseline_rmse["mean"] == pytest.approx(rmse(values[mask] - mean), rel=1e-6)
    assert fit.noise < fit.baseline_rmse["biases"] < fit.baseline_rmse["mean"]
    assert fit.noise == pytest.approx(fit.score(mask, values), rel=1e-5)
    assert fit.validation_rmse is None
    assert re.search(r"noise=0\.\d+, baseline_rmse={'mean'", repr(fit))

    held = (~mask, values[~mask])
    fit = factorize(mask, values, 4, validation=held)
    assert fit.validation_rmse == pytest.approx(fit.score(*held), rel=1e-5)
    assert fit.baseline_rmse["mean"] == pytest.approx(rmse(values[~mask] - mean), rel=1e-6)
    assert fit.validation_rmse < fit.baseline_rmse["biases"]


def test_score_weighs_and_takes_every_form():
    values, mask = table()
    fit = factorize(mask, values, 4)
    rows, cols = np.nonzero(mask)
    weights = np.random.default_rng(0).random(rows.size)
    errors = fit.predict(rows, cols) - values[mask]
    wanted = np.sqrt(np.average(errors.astype(float) ** 2, weights=weights))
    assert fit.score((rows, cols), values[mask], weights) == pytest.approx(wanted, rel=1e-6)
    assert fit.score(mask, values) == fit.score((rows[::-1], cols[::-1]), values[mask][::-1])
    assert fit.score(None, np.where(mask, values, np.nan)) == fit.score(mask, values)
    with pytest.raises(ValueError, match="row"):
        fit.score(([120], [0]), [1.0])


def test_factors_that_are_worth_nothing_are_told():
    rng = np.random.default_rng(0)
    values = rng.normal(size=(100, 80))
    mask = rng.random(values.shape) < 0.5
    with pytest.warns(
        UserWarning, match=r"validation: factors .* no better .* than biases"
    ) as caught:
        factorize(mask, values, 8, validation=(~mask, values[~mask]))
    assert caught[0].filename.endswith(("test_right_answers.py", "functools.py"))
    values, mask = table()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        factorize(mask, values, 4, validation=0.1)


def test_what_a_fit_says_is_in_its_file(tmp_path):
    values, mask = table(noise=0)
    fit = factorize(mask, values, 4, validation=0.1)
    assert fit.stages > 1
    fit.save(tmp_path / "fit")
    again = funkc.load(tmp_path / "fit")
    for name in ("noise", "baseline_rmse", "validation_rmse", "stages", "n_seen"):
        assert getattr(again, name) == getattr(fit, name)
    assert repr(again) == repr(fit)


# ---------------------------------------------------------------- few entries, and none


def test_validation_does_not_end_small_fits_at_once():
    rng = np.random.default_rng(0)
    values = rng.normal(size=(300, 3)) @ rng.normal(size=(3, 80)) / 2
    rows, cols = np.nonzero(rng.random(values.shape) < 0.25)
    fit = factorize((rows, cols), values[rows, cols], 8, shape=values.shape, validation=0.1)
    whole = factorize((rows, cols), values[rows, cols], 8, shape=values.shape)
    assert rmse(fit.reconstruct() - values) < 1.3 * rmse(whole.reconstruct() - values) + 0.02


@pytest.mark.parametrize("options", [{}, {"biases": False}, {"nonnegative": True, "offset": -9.0}])
@pytest.mark.parametrize("dtype", DTYPES)
def test_what_was_never_seen_is_the_mean(options, dtype):
    values, mask = table()
    mask = mask.copy()
    mask[[3, 70]], mask[:, 9] = False, False
    fit = factorize(mask, values, 4, dtype=dtype, **options)
    assert fit.n_seen == (118, 79)
    rows = fit.reconstruct(np.delete(np.arange(120), [3, 70])).astype(float)
    np.testing.assert_allclose(fit.predict(3), rows.mean(0), rtol=1e-4, atol=1e-4)
    np.testing.assert_array_equal(fit.predict(3), fit.predict(70))
    np.testing.assert_allclose(
        fit.predict(3), fit.predict(-1, unknown="baseline"), rtol=1e-4, atol=1e-5
    )


def test_no_worse_than_biases_where_there_is_nothing_else():
    rng = np.random.default_rng(0)
    for seed in range(3):
        values = np.add.outer(rng.normal(size=300), rng.normal(size=200)) + rng.normal(
            size=(300, 200)
        )
        mask = rng.random(values.shape) < 0.03
        held = rng.random(values.shape) < 0.05
        fit = factorize(
            mask, values, 20, random_state=seed, validation=(held & ~mask, values), patience=999
        )
        assert fit.validation_rmse < 1.01 * fit.baseline_rmse["biases"]


# ---------------------------------------------------------------- stages and members


@pytest.mark.parametrize("dtype", DTYPES)
def test_stages_are_found_where_the_signal_is_strong_only(dtype):
    clean, mask = table(noise=0, shape=(200, 100))
    fit = factorize(mask, clean, 5, dtype=dtype)
    assert fit.stages >= 8
    assert rmse((fit.reconstruct() - clean)[~mask]) < 2e-3
    assert len(fit.history["epoch"]) == fit.stages * fit.parameters["n_epochs"]
    one = factorize(mask, clean, 5, dtype=dtype, stages=1)
    assert one.stages == 1
    assert len(one.history["epoch"]) == one.parameters["n_epochs"]
    again = factorize(mask, clean, 5, dtype=dtype, stages=fit.stages)
    assert again.reconstruct().tobytes() == fit.reconstruct().tobytes()
    noisy, mask = table(noise=3, shape=(200, 100))
    assert factorize(mask, noisy, 5, dtype=dtype).stages == 1
    for setting in ({"learning_rate": 0.01}, {"regularization": 0.01}, {"n_epochs": 9}):
        assert factorize(mask, clean, 5, dtype=dtype, **setting).stages == 1


def test_validation_finds_the_stages_itself():
    clean, mask = table(noise=0, shape=(200, 100))
    fit = factorize(mask, clean, 5, validation=(~mask, clean))
    assert fit.stages >= 8
    assert fit.validation_rmse < 2e-3


@pytest.mark.parametrize("options", [{}, {"biases": False}, {"stages": 2}, {"validation": 0.1}])
def test_members_leave_no_trace_of_threads_and_differ_from_one(options):
    values, mask = table()
    fits = [
        funkc.factorize(mask, values, 4, members=3, n_threads=n, **options) for n in (1, 2, 3, 8)
    ]
    assert len({fit.reconstruct().tobytes() for fit in fits}) == 1
    one = factorize(mask, values, 4, **options)
    assert fits[0].parameters["members"] == 3
    assert one.reconstruct().tobytes() != fits[0].reconstruct().tobytes()
    assert (
        fits[0].noise == pytest.approx(fits[0].score(mask, values), rel=1e-5)
        or "validation" in options
    )
    assert fits[0].history["epoch"] == one.history["epoch"]


def test_members_predict_better_than_one():
    values, mask = table(noise=1.5)
    errors = [
        rmse((factorize(mask, values, 6, members=n, random_state=7).reconstruct() - values)[~mask])
        for n in (1, 4)
    ]
    assert errors[1] < errors[0]


def test_one_member_is_the_plain_fit_and_each_begins_with_the_next_seed():
    values, mask = table()
    singles = [factorize(mask, values, 3, members=1, random_state=0).reconstruct()]
    assert (
        singles[0].tobytes() == factorize(mask, values, 3, random_state=0).reconstruct().tobytes()
    )
    calls = []
    factorize(mask, values, 3, members=3, callback=lambda epoch, history: calls.append(epoch))
    n = max(calls)
    assert calls == [*range(1, n + 1)] * 3


@pytest.mark.parametrize(
    "other",
    [{"nonnegative": True}, {"init": (np.ones((120, 4)), np.ones((80, 4)))}, {"checkpoint": "x"}],
)
def test_members_are_refused_where_they_mean_nothing(other):
    values, mask = table()
    with pytest.raises(ValueError, match=f"members: got 2 together with {next(iter(other))}"):
        factorize(mask, values, 4, members=2, **other)


@pytest.mark.parametrize("name", ["stages", "members"])
@pytest.mark.parametrize("value", [0, -1, 1.5, "two", True])
def test_numbers_of_stages_and_members_are_checked(name, value):
    with pytest.raises((ValueError, TypeError), match=name):
        factorize(None, table()[0], 2, **{name: value})


@pytest.mark.parametrize("value", ["yes", None, 2])
def test_biases_are_checked(value):
    with pytest.raises((ValueError, TypeError), match="biases"):
        factorize(None, table()[0], 2, biases=value)


def test_auto_fits_biases_unless_something_stands_in_for_them():
    values, mask = table()
    has = lambda **options: factorize(mask, values, 3, **options).row_bias is not None  # noqa: E731
    plain = factorize(mask, values, 3, biases=False)
    assert has()
    assert has(init=factorize(mask, values, 3))
    assert has(biases=True, offset=0.5)
    assert has(biases=True, nonnegative=True)
    assert has(biases=True, init=plain)
    assert not has(offset=0.5)
    assert not has(init=plain)
    assert not has(init=(plain.row_factors, plain.col_factors))
    assert not has(biases=False)
    assert factorize(mask, values, 3, biases=True, offset=0.5).offset == 0.5
    assert factorize(mask, np.abs(values), 3, nonnegative=True).row_bias is None


def test_an_interrupted_search_is_no_different():
    """Stopped by a callback in a later stage: the result is what was reached."""
    clean, mask = table(noise=0)
    whole = factorize(mask, clean, 4)
    n = whole.parameters["n_epochs"]
    fit = factorize(mask, clean, 4, callback=lambda epoch, history: epoch == n + 3)
    assert (fit.stopped_by, len(fit.history["epoch"]), fit.stages) == ("callback", n + 3, 2)
    assert fit.noise < factorize(mask, clean, 4, stages=1).noise


# ---------------------------------------------------------------- damaged Ratings

TAKES_RATINGS = {
    "factorize": lambda fit, bad: funkc.factorize(None, bad, 1),
    "validation": lambda fit, bad: funkc.factorize(None, pets(), 1, validation=bad),
    "impute": lambda fit, bad: fit.impute(None, bad),
    "partial_fit": lambda fit, bad: fit.partial_fit(None, bad),
    "fold_in_rows": lambda fit, bad: fit.fold_in_rows(None, bad),
    "fold_in_cols": lambda fit, bad: fit.fold_in_cols(None, bad),
    "cross_validate": lambda fit, bad: funkc.cross_validate(None, bad, 1, cv=2),
    "score": lambda fit, bad: fit.score(None, bad),
}


def pets():
    return funkc.Ratings.from_arrays(["ann", "bob", "cy"], ["cat", "dog", "eel"], [1.0, 2.0, 3.0])


@pytest.mark.parametrize("road", TAKES_RATINGS)
@pytest.mark.parametrize("side", ["rows", "cols"])
@pytest.mark.parametrize("bad", [-1, -3, 3])
def test_ratings_that_were_written_to_are_checked_everywhere(road, side, bad):
    with pytest.raises(ValueError, match=rf"{side}\[2\] = {bad} is"):
        dataclasses.replace(pets(), **{side: np.array([0, 1, bad])})
    ratings = pets()
    getattr(ratings, side)[2] = bad
    fit = factorize(None, pets(), 1)
    with pytest.raises(ValueError, match=rf"{side}\[2\] = {bad} is"):
        TAKES_RATINGS[road](fit, ratings)


# ---------------------------------------------------------------- later, and in between


def test_partial_fit_on_later_entries_does_not_forget_biases():
    values, mask = table(rank=2, biases=2, noise=1, shape=(300, 100))
    later = np.random.default_rng(1).random(mask.shape) < 0.1
    fit = factorize(mask & ~later, values, 4)
    before = rmse((fit.reconstruct() - values)[~mask])
    cells = np.argwhere(mask & later)
    once = copy.copy(fit).partial_fit((cells[:, 0], cells[:, 1]), values[mask & later])
    assert rmse((once.reconstruct() - values)[~mask]) < 1.01 * before
    for part in np.array_split(cells, 20):
        fit.partial_fit((part[:, 0], part[:, 1]), values[part[:, 0], part[:, 1]])
    assert rmse((fit.reconstruct() - values)[~mask]) < 1.02 * before


def test_what_was_held_out_before_leaves_something_to_the_search():
    clean, mask = table(noise=0)
    rows, cols = np.nonzero(mask)
    from funkc._input.cells import Draw, observed_cells

    cells = observed_cells((rows, cols), clean[mask], shape=mask.shape)
    rest = dataclasses.replace(cells, draw=Draw(False, 0, 0.1)).listed()
    fit = factorize((rest.rows, rest.cols), rest.values, 4, shape=mask.shape)
    assert fit.stages > 3


@pytest.mark.parametrize("stages", [1, 3])
@pytest.mark.parametrize("members", [1, 2])
def test_an_interrupt_while_biases_are_refitted_returns_a_whole_fit(stages, members, monkeypatch):
    """A fit that can't be told from one that a callback stopped there."""
    from funkc._biases import Biases

    values, mask = table()
    calls = []
    whole = Biases.refit, Biases.fit

    def interrupted(original):
        def once(self, *arguments, **options):
            original(self, *arguments, **options)
            calls.append(original)
            if len(calls) == 2:  # the first is that of the values
                raise KeyboardInterrupt

        return once

    monkeypatch.setattr(Biases, "refit", interrupted(whole[0]))
    monkeypatch.setattr(Biases, "fit", interrupted(whole[1]))
    fit = factorize(mask, values, 4, stages=stages, members=members, on_interrupt="return")
    assert fit.stopped_by == "interrupt"
    assert fit.noise == pytest.approx(fit.score(mask, values), rel=1e-5)


@pytest.mark.parametrize("validation", [None, 0.2])
def test_members_have_the_stages_of_the_first(validation):
    clean, mask = table(noise=0.05)
    one = factorize(mask, clean, 4, validation=validation)
    epochs = []
    fit = factorize(
        mask, clean, 4, members=3, validation=validation,
        callback=lambda epoch, history: epochs.append(epoch),
    )  # fmt: skip
    assert fit.stages == one.stages
    lengths = [a for a, b in zip(epochs, [*epochs[1:], 1], strict=True) if b == 1]
    assert len(set(lengths)) == 1 or validation
    assert len(lengths) == 3
    stopped = factorize(
        mask, clean, 4, members=3, callback=lambda epoch, history: epochs.append(epoch) or (
            len(epochs) == 3 * lengths[0] + lengths[0] + 9),
    )  # fmt: skip
    assert stopped.stages == factorize(mask, clean, 4).stages


def test_a_member_that_a_callback_stops_is_left_out():
    values, mask = table()

    def stopped(after):
        calls = []
        return factorize(
            mask, values, 3, members=3, stages=1, n_epochs=5,
            callback=lambda epoch, history: calls.append(epoch) or len(calls) == after,
        )  # fmt: skip

    fits = [stopped(after) for after in (6, 9)]
    assert [fit.stopped_by for fit in fits] == ["callback"] * 2
    assert np.array_equal(fits[0].reconstruct(), fits[1].reconstruct())


def test_factors_to_begin_with_do_not_hide_that_values_are_far_from_0():
    values, mask = table()
    far = 1.7e9 + 15 * values
    pair = np.full((120, 4), 0.1), np.full((80, 4), 0.1)
    fit = factorize(mask, far, 4, init=pair, biases=True)
    assert fit.dtype == np.float64
    assert fit.score(mask, far) == pytest.approx(fit.noise, rel=0.02)


@pytest.mark.parametrize("name", ["nonnegative"])
def test_flags_may_be_numpys(name):
    values, mask = table()
    assert factorize(mask, values, 2, members=2, **{name: np.False_}).parameters["members"] == 2


def test_an_offset_far_from_the_values_is_no_less_exact():
    values, mask = table()
    fit = factorize(mask, values, 3, offset=1e9)
    assert fit.dtype == np.float64
    assert fit.score(mask, values) == pytest.approx(fit.noise, rel=1e-4)
    with pytest.raises(ValueError, match="float32"):
        factorize(mask, values, 3, offset=1e9, dtype=np.float32)


@pytest.mark.parametrize("regularization", [1.0, 10.0, 1e4, (0.0, 10.0)])
@pytest.mark.parametrize("biases", [True, False])
def test_the_default_rate_bears_any_regularization(regularization, biases, caplog):
    caplog.set_level("INFO", "funkc")
    rng = np.random.default_rng(0)
    values = np.add.outer(rng.normal(size=30), rng.normal(size=20))
    values += 1e-4 * rng.normal(size=values.shape)
    mask = rng.random(values.shape) < 0.6
    fit = factorize(mask, values, 3, regularization=regularization, biases=biases)
    assert np.isfinite(fit.reconstruct()).all()
    assert not caplog.records


@pytest.mark.parametrize("scale", [1e-60, 1e60, 1e100])
def test_the_search_for_stages_does_not_depend_on_the_unit(scale):
    clean, mask = table(noise=0)
    usual = factorize(mask, clean, 4, dtype=np.float64)
    assert factorize(mask, clean * scale, 4, dtype=np.float64).stages == usual.stages


def test_errors_of_another_number_of_entries_gain_nothing():
    from funkc._core import biases

    assert biases.gains(np.full(9, 2.0), np.ones(9))
    assert not biases.gains(np.full(9, 2.0), np.ones(8))
    assert not biases.gains(np.ones(9), np.ones(9))
    assert not biases.gains(np.zeros(9), np.zeros(9))
    assert not biases.gains(np.empty(0), np.empty(0))
