"""Losses other than the squared one: their numbers, training by them, and their biases."""

import math
import warnings

import numpy as np
import pytest
import reference
from hypothesis import given, settings
from hypothesis import strategies as st

import funkc
from funkc import _train
from funkc._core import newton
from funkc._input import loss as _loss
from funkc._input.cells import observed_cells
from funkc._input.options import checked_options

LOSSES = ["absolute", "huber", "logistic", "poisson"]
DTYPES = [np.float32, np.float64]
THREADS = [1, 2, 3, 8]


def problem(loss, seed=0, shape=(40, 30), share=0.4):
    """Entries that two factors and biases make, as the loss likes them."""
    rng = np.random.default_rng(seed)
    scores = rng.normal(size=(shape[0], 2)) @ rng.normal(size=(2, shape[1]))
    scores += rng.normal(size=shape[0])[:, None] + rng.normal(size=shape[1])
    values = {
        "squared": lambda: scores + rng.normal(size=shape),
        "absolute": lambda: scores + rng.laplace(size=shape),
        "huber": lambda: scores + rng.standard_t(2, size=shape),
        "logistic": lambda: (rng.random(shape) < 1 / (1 + np.exp(-scores))) * 1.0,
        "poisson": lambda: rng.poisson(np.exp(np.minimum(scores, 4))) * 1.0,
    }[loss]()
    mask = rng.random(shape) < share
    return np.nonzero(mask), values[mask]


# ---------------------------------------------------------------- numbers


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("loss", ["logistic", "poisson"])
def test_predictions_are_within_a_few_units_in_the_last_place(loss, dtype):
    rng = np.random.default_rng(0)
    last = 80 if dtype == np.float32 else 700
    scores = np.concatenate(
        [rng.uniform(-last, last, 50_000), rng.normal(size=50_000), [0.0, -0.0, 1e-30]]
    ).astype(dtype)
    made = scores.copy()
    newton.predictions(_loss.NAMES.index(loss), made)
    exact = np.exp(scores.astype(np.longdouble))
    if loss == "logistic":
        exact = 1 / (1 + np.exp(-scores.astype(np.longdouble)))
    assert np.abs((made - exact) / np.spacing(exact.astype(dtype))).max() < 3
    slow = reference.power(scores) if loss == "poisson" else reference.chance(scores)[0]
    assert np.array_equal(made, slow)


@pytest.mark.parametrize("loss", ["squared", *LOSSES])
def test_pulls_are_derivatives(loss):
    rng = np.random.default_rng(1)
    values = rng.integers(0, 2 if loss == "logistic" else 6, 1000) * 1.0
    scores, step = rng.normal(size=1000), 1e-6
    above, below = np.empty(1000), np.empty(1000)
    kind = _loss.NAMES.index(loss)
    newton.costs(kind, 0.7, values, scores + step, above)
    newton.costs(kind, 0.7, values, scores - step, below)
    pulls, _ = reference.pull(loss, values, scores, 1e-300 if loss == "poisson" else 0.7)
    slope = (below - above) / (2 * step)
    near = np.abs(np.abs(values - scores) - (0.7 if loss == "huber" else 0)) > 1e-5
    assert np.allclose(slope[near], (2 if loss == "squared" else 1) * pulls[near], atol=1e-6)


def test_a_perfect_score_costs_nothing():
    values = np.array([0.0, 1.0, 2.0, 7.0, 1e6])
    for loss, scores in (
        ("absolute", values), ("huber", values), ("poisson", np.log(np.maximum(values, 1e-300)))
    ):  # fmt: skip
        costs = np.empty(5)
        newton.costs(_loss.NAMES.index(loss), 1.0, values, scores, costs)
        assert np.allclose(costs, 0, atol=1e-9 * np.maximum(1, values))


# ---------------------------------------------------------------- training


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("loss", LOSSES)
@given(
    seed=st.integers(0, 2**32),
    k=st.sampled_from([1, 5, 17, 33]),
    group=st.sampled_from([1, 8]),
    weighted=st.booleans(),
    bands=st.sampled_from([None, (2, 2), (6, 3)]),
    n_threads=st.sampled_from(THREADS),
)
@settings(max_examples=8, deadline=None)
def test_epochs_give_the_oracles_bits(dtype, loss, seed, k, group, weighted, bands, n_threads):
    cells, values = problem(loss, seed, (30, 24))
    weights = np.random.default_rng(seed).exponential(size=values.size) if weighted else None
    options = checked_options(
        k, loss=loss, dtype=dtype, n_epochs=3, group_size=group, n_threads=n_threads, bands=bands,
        random_state=seed, stages=1,
    )  # fmt: skip
    entries = observed_cells(cells, values, weights=weights, shape=(30, 24))
    training = _train.begin(entries, options, None, None)
    oracle = reference.Reference(
        *cells, values, (30, 24), k, dtype=dtype, seed=seed, offset=training.schedule.offset,
        weights=weights, bands=bands,
    )  # fmt: skip
    oracle.begin(*training.outset[:2])
    assert np.array_equal(training.x, oracle.x)
    rate, n_epochs, _ = training._rates()
    rates = [rate * (1.0 - epoch / n_epochs) for epoch in range(n_epochs)]
    bases, regularization, delta = training.bases, training.settings.regularization, training._delta
    training._run(None)
    sums = oracle.train(rates, regularization, group, bases, loss, delta)
    assert np.array_equal(training.x, oracle.x)
    assert np.array_equal(training.y, oracle.y)
    wanted = (np.array(sums) + training._least) / values.size
    assert np.allclose(training.history["train_loss"], wanted, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("loss", LOSSES)
def test_the_result_does_not_depend_on_threads_or_order(loss, dtype):
    cells, values = problem(loss, shape=(300, 200))
    order = np.random.default_rng(0).permutation(values.size)
    fits = [
        funkc.factorize(
            (cells[0][o], cells[1][o]),
            values[o],
            5,
            shape=(300, 200),
            loss=loss,
            dtype=dtype,
            n_threads=n_threads,
        )
        for n_threads, o in [*((n, slice(None)) for n in THREADS), (2, order)]
    ]
    for fit in fits[1:]:
        assert fit.reconstruct().tobytes() == fits[0].reconstruct().tobytes()
        assert fit.history["train_loss"] == fits[0].history["train_loss"]


# ---------------------------------------------------------------- biases


def slopes(loss, delta, values, scores):
    """Pulls and curvatures in NumPy; those of a least squares that is weighted anew for errors."""
    error = values - scores
    if loss == "absolute":
        weight = 1 / np.maximum(np.abs(error), delta)
        return weight * error, weight
    if loss == "huber":
        return np.clip(error, -delta, delta), np.minimum(1, delta / np.abs(error))
    made = np.exp(scores) if loss == "poisson" else 1 / (1 + np.exp(-scores))
    return values - made, made if loss == "poisson" else made * (1 - made)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("loss", LOSSES)
def test_biases_are_where_their_slopes_vanish(loss, weighted):
    """Of the penalized loss, by the ridges that were found."""
    cells, values = problem(loss, 3, (60, 50))
    weights = np.random.default_rng(0).exponential(size=values.size) if weighted else None
    options = checked_options(2, loss=loss, dtype=np.float64, n_epochs=1, stages=1)
    entries = observed_cells(cells, values, weights=weights, shape=(60, 50))
    training = _train.begin(entries, options, None, None)
    biases = training.biases
    work, fitted = biases._work, biases.fitted
    nothing = np.zeros_like(training.x), np.zeros_like(training.y)
    work.beside(*nothing)
    work.set_level(fitted.level)
    work.begin_again(math.nan, False)
    for _ in range(60):
        work.turn_again(fitted.row_ridge, fitted.col_ridge)
    work.end_again()
    level, rows, cols = work.fitted[0], biases.taken(False), biases.taken(True)
    delta = 0.0
    if loss in ("absolute", "huber"):
        delta = biases.delta
    if loss == "absolute":
        targets = values - training.schedule.offset
        delta = 0.1 * 1.4826 * np.median(np.abs(targets - np.median(targets)))
    at = level + training.schedule.offset
    scores = at + rows[cells[0]] + cols[cells[1]]
    pulls, curvatures = slopes(loss, delta, values, scores)
    w = np.ones(values.size) if weights is None else weights / weights.mean()
    for side, bias, ridge in ((0, rows, fitted.row_ridge), (1, cols, fitted.col_ridge)):
        slope = np.bincount(cells[side], w * pulls, bias.size) - ridge * bias
        stiff = np.bincount(cells[side], w * curvatures, bias.size) + ridge
        assert np.abs(slope / stiff).max() < 2e-3, side
    assert abs((w * pulls).sum() / (w * curvatures).sum()) < 2e-3


# ---------------------------------------------------------------- the model


@pytest.mark.parametrize("loss", LOSSES)
def test_predictions_stand_for_scores(loss, tmp_path):
    cells, values = problem(loss)
    fit = funkc.factorize(cells, values, 3, shape=(40, 30), loss=loss)
    scores = fit.reconstruct(link=False)
    made = scores.astype(float)
    if loss == "logistic":
        made = 1 / (1 + np.exp(-made))
    elif loss == "poisson":
        made = np.exp(made)
    assert np.allclose(fit.reconstruct(), made, rtol=1e-5, atol=1e-6)
    everywhere = np.indices(fit.shape).reshape(2, -1)
    assert fit.predict(*everywhere).tobytes() == fit.reconstruct().tobytes()
    assert fit.predict(slice(None)).tobytes() == fit.reconstruct().tobytes()
    invariant = fit.offset + fit.row_factors @ fit.col_factors.T
    invariant += fit.row_bias[:, None] + fit.col_bias
    assert np.allclose(scores, invariant, atol=1e-4)
    path = tmp_path / "model.funkc"
    fit.save(path)
    again = funkc.load(path)
    assert again.loss == loss
    assert again.reconstruct().tobytes() == fit.reconstruct().tobytes()
    assert again.baseline_loss == fit.baseline_loss
    assert again.score(cells, values) == fit.score(cells, values)


@pytest.mark.parametrize("loss", LOSSES)
def test_factors_are_better_than_biases_and_those_than_a_level(loss):
    cells, values = problem(loss, 2, (200, 150), 0.5)
    fit = funkc.factorize(cells, values, 2, shape=(200, 150), loss=loss, validation=0.2)
    assert fit.validation_loss < 0.97 * fit.baseline_loss["biases"]
    assert fit.baseline_loss["biases"] < 0.95 * fit.baseline_loss["mean"]
    assert "train_rmse" not in fit.history
    assert fit.baseline_rmse == {}
    assert fit.validation_rmse is None


@pytest.mark.parametrize("options", [{}, {"biases": False}, {"offset": 0.25}, {"members": 3}])
@pytest.mark.parametrize("loss", LOSSES)
def test_options_go_with_every_loss(loss, options):
    cells, values = problem(loss, 2, (200, 150), 0.5)
    fit = funkc.factorize(cells, values, 3, shape=(200, 150), loss=loss, **options)
    assert fit.score(cells, values) < 0.95 * fit.baseline_loss["mean"]
    if "offset" in options:
        assert fit.offset == 0.25


@pytest.mark.parametrize("loss", LOSSES)
def test_resumed_training_is_the_same(loss, tmp_path):
    cells, values = problem(loss, 2, (100, 80), 0.5)
    path = tmp_path / "training.funkc"
    options = {"shape": (100, 80), "loss": loss, "validation": 0.1}
    funkc.factorize(
        cells, values, 3, checkpoint=path, callback=lambda epoch, _: epoch == 7, **options
    )
    fit = funkc.resume(path, cells, values)
    whole = funkc.factorize(cells, values, 3, **options)
    assert fit.reconstruct().tobytes() == whole.reconstruct().tobytes()
    assert fit.history["train_loss"] == whole.history["train_loss"]


@pytest.mark.parametrize("loss", LOSSES)
def test_new_rows_are_folded_in_by_the_loss(loss):
    """The slope of the loss and the prior vanishes."""
    cells, values = problem(loss, 2, (200, 150), 0.5)
    old = cells[0] < 180
    fit = funkc.factorize(
        (cells[0][old], cells[1][old]), values[old], 3, shape=(180, 150), loss=loss,
        dtype=np.float64,
    )  # fmt: skip
    new, cols = cells[0][~old] - 180, cells[1][~old]
    folded = fit.fold_in_rows((new, cols), values[~old], shape=(20, None))
    assert folded.score((new, cols), values[~old]) < fit.baseline_loss["mean"]
    centre, covariance = reference.prior(fit)
    delta = fit.parameters["huber_delta"] or 0.0
    scores = folded.reconstruct(link=False)[new, cols]
    if loss == "absolute":
        delta = 0.1 * fit.noise**2
    elif loss == "huber":
        delta = min(delta, 1.345 * fit.noise)
    pulls, curvatures = slopes(loss, delta, values[~old], scores)
    features = np.column_stack([fit.col_factors, np.ones(150)])[cols]
    own = np.column_stack([folded.row_factors, folded.row_bias])
    inverse = fit.noise**2 * np.linalg.inv(covariance)
    for row in range(20):
        at = new == row
        slope = pulls[at] @ features[at] - inverse @ (own[row] - centre)
        stiff = (features[at] * curvatures[at][:, None]).T @ features[at] + inverse
        assert np.abs(np.linalg.solve(stiff, slope)).max() < 2e-2


@pytest.mark.parametrize("loss", LOSSES)
def test_cross_validation_judges_by_the_loss(loss):
    cells, values = problem(loss, 2, (100, 80), 0.5)
    found = funkc.cross_validate(
        cells, values, k=[1, 2], cv=3, shape=(100, 80), loss=loss, refit=True
    )
    assert found.fit.loss == loss
    assert all(0 < row["loss"] < 10 for row in found.table)


@pytest.mark.parametrize("biases", [True, False])
@pytest.mark.parametrize("loss", LOSSES)
def test_partial_fit_keeps_to_the_loss(loss, biases):
    cells, values = problem(loss, 2, (200, 150), 0.5)
    values = np.maximum(values, values > -3) if loss == "logistic" else values + 20
    fit = funkc.factorize(cells, values, 3, shape=(200, 150), loss=loss, biases=biases)
    before, offset = fit.score(cells, values), fit.offset
    fit.partial_fit(cells, values)
    assert fit.loss == loss
    assert fit.offset == offset
    assert fit.score(cells, values) < 1.05 * before


@pytest.mark.parametrize("options", [{}, {"stages": 3}, {"members": 2, "biases": False}])
@pytest.mark.parametrize("loss", LOSSES)
def test_the_same_call_gives_the_same_bits(loss, options, tmp_path):
    cells, values = problem(loss, 5, (60, 50), 0.5)
    options = {"shape": (60, 50), "loss": loss, **options}
    first = funkc.factorize(cells, values, 3, **options)
    dirt = [np.full(n, 1e3) for n in range(50, 2000, 7)]
    del dirt
    again = funkc.factorize(cells, values, 3, **options)
    assert again.reconstruct().tobytes() == first.reconstruct().tobytes()
    if "members" not in options:
        last = len(first.history["epoch"])
        path = tmp_path / "c"
        funkc.factorize(
            cells, values, 3, checkpoint=path, callback=lambda n, _: n == last - 2, **options
        )
        resumed = funkc.resume(path, cells, values)
        assert resumed.reconstruct().tobytes() == first.reconstruct().tobytes()


@pytest.mark.parametrize("loss", LOSSES)
def test_noise_is_that_of_the_factors(loss):
    """Squares of pulls, by curvature."""
    cells, values = problem(loss, 2, (200, 150), 0.5)
    for options in ({"stages": 1}, {"stages": 2}, {"members": 2, "stages": 1}):
        fit = funkc.factorize(cells, values, 3, shape=(200, 150), loss=loss, **options)
        if loss == "logistic":
            assert fit.noise == 1
            continue
        scores = fit.reconstruct(link=False).astype(float)[cells]
        delta = fit.parameters["huber_delta"]
        if loss == "absolute":
            targets = values - np.median(values)
            delta = 0.1 * 1.4826 * np.median(np.abs(targets))
        pulls, weights = slopes(loss, delta, values, scores)
        assert math.isclose(fit.noise, math.sqrt((pulls @ pulls) / weights.sum()), rel_tol=2e-2)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    ("loss", "values"),
    [
        *(("poisson", np.full((6, 5), n * 1.0)) for n in (1, 7, 20, 48, 1000, 12345, 1e9)),
        ("poisson", np.outer(np.arange(1.0, 8), np.arange(1.0, 6))),
        *((loss, np.add.outer(np.arange(9.0), np.arange(8.0))) for loss in ("absolute", "huber")),
        *((loss, np.full((6, 5), -7.3)) for loss in ("absolute", "huber")),
        ("absolute", np.diag([2.0, 5.0])),
        ("logistic", np.ones((6, 5))),
    ],
)
def test_what_can_be_met_exactly_does_not_diverge(loss, values, dtype):
    fit = funkc.factorize(None, values, 2, loss=loss, dtype=dtype)
    assert min(fit.baseline_loss.values()) >= 0
    assert min(fit.history["train_loss"]) >= 0
    size = np.abs(values).max()
    assert np.abs(fit.reconstruct() - values).max() < 0.6 * size + 0.2


def test_rare_counts_do_not_diverge():
    for seed in range(40):
        rng = np.random.default_rng(seed)
        counts = rng.poisson(0.02, (23, 22))
        fit = funkc.factorize(rng.random(counts.shape) < 0.3, counts, 10, loss="poisson")
        assert np.isfinite(fit.reconstruct()).all()


@pytest.mark.parametrize("loss", ["absolute", "huber"])
@pytest.mark.parametrize("scale", [4.0**10, 4.0**-10, -1.0])
def test_robust_losses_follow_the_unit(loss, scale):
    cells, values = problem(loss, 2, (60, 50), 0.5)
    options = {"shape": (60, 50), "loss": loss, "dtype": np.float64}
    plain = funkc.factorize(cells, values, 3, **options)
    scaled = funkc.factorize(cells, values * scale, 3, **options)
    assert np.allclose(scaled.reconstruct() / scale, plain.reconstruct(), atol=1e-4)


def test_the_mean_and_biases_are_judged_by_the_same_loss():
    rng = np.random.default_rng(0)
    table = rng.normal(size=(60, 1)) * 5 + rng.normal(size=(60, 40))
    fit = funkc.factorize(None, table, 2, loss="huber")
    again = funkc.factorize(None, table, 2, loss="huber", huber_delta=fit.parameters["huber_delta"])
    assert fit.baseline_loss == again.baseline_loss
    alone = funkc.factorize(None, table, 2, loss="huber", biases=False)
    assert "biases" not in alone.baseline_loss


@pytest.mark.parametrize("wild", [1e9, 1e14, 1e20])
def test_values_of_interest_are_not_rounded_away(wild):
    rng = np.random.default_rng(0)
    table = rng.normal(size=(60, 1)) + rng.normal(size=40) + 0.1 * rng.normal(size=(60, 40))
    known = table.copy()
    known[3, 3] = wild
    for loss in ("absolute", "huber"):
        left = funkc.factorize(None, known, 2, loss=loss).reconstruct() - table
        left[3, 3] = 0
        assert math.sqrt(np.mean(left**2)) < 0.2, loss


def test_a_fit_of_another_link_is_no_start():
    counts = np.random.default_rng(0).poisson(30, (20, 10))
    fit = funkc.factorize(None, counts, 2)
    with pytest.raises(ValueError, match="init: was trained by loss='squared'"):
        funkc.factorize(None, counts, 2, loss="poisson", init=fit)


# ---------------------------------------------------------------- wild values


@pytest.mark.parametrize("wild", [999.0, -1e4, 1e6])
@pytest.mark.parametrize("loss", ["absolute", "huber"])
def test_one_wild_value_does_no_harm(loss, wild):
    rng = np.random.default_rng(0)
    truth = rng.normal(size=(200, 3)) @ rng.normal(size=(3, 150))
    truth *= math.sqrt(0.85**2 - 0.05**2) / truth.std()
    values = truth + rng.normal(0, 0.05, truth.shape)
    cells = rng.permutation(truth.size)
    train, test = cells[:12_000], cells[12_000:16_000]
    spoiled = values.ravel()[train].copy()
    spoiled[5] = wild

    def error(given):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", funkc.OutlierWarning)
            fit = funkc.factorize(
                (train // 150, train % 150), given, 10, shape=truth.shape, loss=loss
            )
        left = fit.predict(test // 150, test % 150) - values.ravel()[test]
        return math.sqrt(np.mean(left**2))

    assert error(spoiled) < 1.1 * error(values.ravel()[train])


# ---------------------------------------------------------------- what is refused


@pytest.mark.parametrize(
    ("loss", "value", "words"),
    [
        ("logistic", 2.0, "got 2 in row 1 and column 2, which is not 0 or 1"),
        ("logistic", -1.0, "got -1 in row 1 and column 2, which is not 0 or 1"),
        ("logistic", 0.5, "got 0.5 in row 1 and column 2, which is not 0 or 1"),
        ("poisson", -1.0, "got -1 in row 1 and column 2, which is below 0"),
    ],
)
def test_values_that_a_loss_can_not_have(loss, value, words):
    table = np.random.default_rng(0).integers(0, 2, (5, 4)) * 1.0
    fit = funkc.factorize(None, table, 1, loss=loss)
    table[1, 2] = value
    with pytest.raises(ValueError, match=words):
        funkc.factorize(None, table, 1, loss=loss)
    with pytest.raises(ValueError, match=words):
        fit.score(None, table)
    with pytest.raises(ValueError, match=words):
        fit.fold_in_rows(None, table)
    with pytest.raises(ValueError, match=words):
        fit.partial_fit(None, table)
    with pytest.raises(ValueError, match=words):
        funkc.factorize(None, np.abs(table) > 1, 1, loss=loss, validation=(([1], [2]), [value]))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"loss": "l1"}, "loss: got 'l1'"),
        ({"loss": "hinge"}, "use 'logistic'"),
        ({"loss": "kl"}, "use 'poisson'"),
        ({"loss": "huber", "huber_delta": 0}, "huber_delta"),
        ({"loss": "absolute", "huber_delta": 1.0}, "huber_delta: was passed with"),
        ({"loss": "logistic", "nonnegative": True}, "nonnegative"),
    ],
)
def test_options_that_make_no_sense(options, words):
    with pytest.raises(ValueError, match=words):
        funkc.factorize(None, np.eye(3), 1, **options)


@pytest.mark.parametrize("value", [False, True])
def test_values_may_be_booleans(value):
    fit = funkc.factorize(None, np.array([[True, False], [value, True]]), 1, loss="logistic")
    assert 0 < fit.predict(1, 0) < 1


# ---------------------------------------------------------------- the range of predictions


def test_predictions_keep_to_their_range(tmp_path):
    rng = np.random.default_rng(0)
    table = np.where(rng.random((30, 20)) < 0.4, rng.integers(1, 6, (30, 20)), np.nan)
    plain = funkc.factorize(None, table, 5, stages=6)
    whole = plain.reconstruct()
    for clip, ends in (("auto", (1, 5)), ((1.5, 4.5), (1.5, 4.5)), ((2, math.inf), (2, math.inf))):
        fit = funkc.factorize(None, table, 5, clip=clip, stages=6)
        assert fit.clip == ends
        wanted = np.clip(whole, *ends)
        assert not np.array_equal(wanted, whole)
        assert fit.reconstruct().tobytes() == whole.tobytes()
        assert np.array_equal(fit.predict(slice(None)), wanted)
        assert np.array_equal(fit.predict(*np.indices((30, 20))), wanted)
        seen = ~np.isnan(table)
        assert np.array_equal(fit.impute(None, table), np.where(seen, table, wanted))
        errors = (wanted - table)[seen]
        assert math.isclose(fit.score(None, table), math.sqrt(np.mean(errors**2)), rel_tol=1e-6)
        for one, other in zip(fit.top(3), plain.top(3), strict=True):
            assert np.array_equal(one, other)
        fit.save(tmp_path / "model")
        again = funkc.load(tmp_path / "model")
        assert again.clip == ends
        again.clip = None
        assert np.array_equal(again.predict(slice(None)), whole)
    with pytest.raises(ValueError, match="clip"):
        fit.clip = "auto"


def test_a_resumed_training_knows_the_range(tmp_path):
    table = np.arange(12.0).reshape(4, 3)
    options = {"checkpoint": tmp_path / "c", "clip": (2, math.inf)}
    funkc.factorize(None, table, 1, callback=lambda epoch, _: epoch == 2, **options)
    assert funkc.resume(tmp_path / "c", None, table).clip == (2, math.inf)


@pytest.mark.parametrize(
    "clip", [1, "both", (1,), (2, 1), (math.nan, 1), ("a", 2), (1, 2, 3), True]
)
def test_a_range_that_is_none_is_refused(clip):
    with pytest.raises((ValueError, TypeError), match="clip"):
        funkc.factorize(None, np.eye(3), 1, clip=clip)


# ---------------------------------------------------------------- ones, and what they are not


def test_equal_values_are_warned_of():
    with pytest.warns(funkc.ConstantValuesWarning, match=r"all 3 are 1.*loss='logistic'"):
        fit = funkc.factorize(([0, 1, 2], [0, 1, 0]), np.ones(3), 1)
    assert np.allclose(fit.reconstruct(), 1)
    with pytest.warns(funkc.ConstantValuesWarning):
        fit = funkc.factorize(([0, 1, 2], [0, 1, 0]), np.ones(3), 1, loss="logistic")
    assert (fit.reconstruct() > 0.8).all()
    with pytest.warns(funkc.ConstantValuesWarning):
        fit = funkc.factorize(([0, 1, 2], [0, 1, 0]), np.zeros(3), 1, loss="poisson")
    assert (fit.reconstruct() < 0.2).all()


@given(
    shape=st.tuples(st.integers(1, 12), st.integers(1, 12)),
    share=st.sampled_from([0.05, 0.5, 0.95]),
    per_row=st.integers(1, 14),
    seed=st.integers(0, 2**64 - 1),
)
@settings(max_examples=60, deadline=None)
def test_unobserved_entries_are_drawn(shape, share, per_row, seed):
    rng = np.random.default_rng(seed % 2**32)
    seen = rng.random(shape) < share
    seen[0, 0] = True
    rows, cols = np.nonzero(seen)
    ratings = funkc.Ratings(
        rows, cols, np.ones(rows.size), np.arange(shape[0]), np.arange(shape[1])
    )
    i, j = funkc.ratings.sample_unobserved(ratings, per_row=per_row, random_state=seed)
    assert not seen[i, j].any()
    assert np.unique(i * shape[1] + j).size == i.size
    rated = seen.any(1)
    wanted = np.where(rated, np.minimum(per_row, shape[1] - seen.sum(1)), 0)
    assert np.array_equal(np.bincount(i, minlength=shape[0]), wanted)


def test_every_unobserved_entry_is_equally_likely():
    ratings = funkc.Ratings(
        np.zeros(3, int), np.array([1, 4, 5]), np.ones(3), np.arange(1), np.arange(9)
    )
    counts = np.zeros(9, int)
    for seed in range(3000):
        _, j = funkc.ratings.sample_unobserved(ratings, per_row=2, random_state=seed)
        counts[j] += 1
    assert (counts[[1, 4, 5]] == 0).all()
    others = np.delete(counts, [1, 4, 5])
    assert abs(others - 1000).max() < 5 * math.sqrt(1000)
    i, j = funkc.ratings.sample_unobserved(ratings, per_row=2)
    assert (i.tolist(), j.tolist()) == ([0, 0], [3, 7])


def test_only_ratings_can_be_sampled():
    with pytest.raises(TypeError, match="ratings"):
        funkc.ratings.sample_unobserved(np.eye(3))
    ratings = funkc.Ratings(
        np.zeros(1, int), np.zeros(1, int), np.ones(1), np.arange(1), np.arange(1)
    )
    with pytest.raises(ValueError, match="per_row"):
        funkc.ratings.sample_unobserved(ratings, per_row=0)
    assert funkc.ratings.sample_unobserved(ratings)[0].size == 0


def test_the_range_of_equal_values_is_one_value():
    with pytest.warns(funkc.ConstantValuesWarning):
        fit = funkc.factorize(None, np.ones((6, 5)), 1, clip="auto")
    assert fit.clip == (1, 1)
    assert (fit.predict(slice(None)) == 1).all()


@pytest.mark.parametrize(
    ("loss", "ends"), [("logistic", (0.2, 0.7)), ("poisson", (1.5, 3.0)), ("huber", (-0.5, 0.5))]
)
def test_scores_of_every_loss_know_the_range(loss, ends):
    cells, values = problem(loss, 2, (60, 50), 0.5)
    fit = funkc.factorize(cells, values, 2, shape=(60, 50), loss=loss, clip=ends)
    made = fit.predict(*cells).astype(float)
    assert made.min() > ends[0] - 1e-6
    assert made.max() < ends[1] + 1e-6
    if loss == "logistic":
        costs = -np.log(np.where(values > 0, made, 1 - made))
    elif loss == "poisson":
        with np.errstate(divide="ignore", invalid="ignore"):
            own = np.where(values > 0, values * np.log(values) - values, 0)
        costs = made - values * np.log(made) + own
    else:
        size, delta = np.abs(values - made), fit.parameters["huber_delta"]
        costs = np.where(size < delta, size**2 / 2, delta * (size - delta / 2))
    assert math.isclose(fit.score(cells, values), costs.mean(), rel_tol=1e-5)
    free = funkc.factorize(cells, values, 2, shape=(60, 50), loss=loss)
    assert fit.score(cells, values) != free.score(cells, values)


@pytest.mark.parametrize("dtype", DTYPES)
def test_rows_that_absolute_errors_meet_exactly_are_folded_in(dtype):
    table = np.add.outer(np.arange(9.0), np.arange(8.0))
    fit = funkc.factorize(None, table, 1, loss="absolute", dtype=dtype)
    new = fit.fold_in_rows(None, table[3:6])
    assert np.abs(new.reconstruct() - table[3:6]).max() < 1.5
    stars = np.random.default_rng(0).integers(1, 6, (40, 30)).astype(float)
    fit = funkc.factorize(None, stars, 3, loss="absolute", dtype=dtype)
    for seed in range(30):
        rng = np.random.default_rng(seed)
        row = np.zeros(10, int), rng.choice(30, 10, replace=False)
        made = fit.fold_in_rows(row, rng.integers(1, 6, 10), shape=(1, 30)).reconstruct()
        assert -1 < made.min() <= made.max() < 7  # and so finite


# ---------------------------------------------------------------- far from what a loss is used to


@pytest.mark.parametrize("mean", [1, 20, 300, 1000])
@pytest.mark.parametrize("biases", [False, True])
def test_products_make_up_for_an_offset_that_is_far_from_the_counts(mean, biases):
    rng = np.random.default_rng(0)
    mask = rng.random((60, 40)) < 0.5
    scores = rng.normal(size=(60, 2)) @ rng.normal(size=(2, 40))
    counts = rng.poisson(mean * np.exp(0.5 * scores)) * 1.0
    fit = funkc.factorize(mask, counts, 2, loss="poisson", offset=0.0, biases=biases)
    assert fit.offset == 0
    assert fit.score(~mask, counts) < fit.baseline_loss["mean"]


@pytest.mark.parametrize("offset", [-1.5, 0.75])
def test_products_begin_with_what_an_offset_leaves_of_the_level(offset):
    counts = np.random.default_rng(0).poisson(4.0, (40, 30)) * 1.0
    fit = funkc.factorize(
        None, counts, 2, loss="poisson", offset=offset, biases=False, learning_rate=1e-9, n_epochs=1
    )
    assert fit.reconstruct().mean() == pytest.approx(counts.mean(), rel=0.2)


@pytest.mark.parametrize("largest, dtype", [(1e5, np.float32), (1e5 + 1, np.float64)])
def test_large_counts_are_trained_on_in_double(largest, dtype):
    counts = np.linspace(1, largest, 30).round().reshape(6, 5)
    assert funkc.factorize(None, counts, 1, loss="poisson").dtype == dtype


@pytest.mark.parametrize("loss", LOSSES)
def test_a_score_counts_entries_by_their_weight(loss):
    values = np.random.default_rng(0).integers(0, 2, (30, 24)) * 1.0
    fit = funkc.factorize(None, values, 2, loss=loss, n_epochs=2)
    often = np.add.outer(np.arange(30), np.arange(24)) % 3 == 0
    apart = fit.score(often, values) * 3 * often.sum() + fit.score(~often, values) * (~often).sum()
    together = fit.score(None, values, weights=np.where(often, 3.0, 1.0))
    assert together == pytest.approx(apart / (3 * often.sum() + (~often).sum()))


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("value", [1.0, 2.0, 7.0, 100.0, 1e5])
@pytest.mark.parametrize("shape", [(3, 3), (20, 20)])
def test_equal_values_without_biases(shape, value, loss):
    """What rounding leaves of them is nothing to train on."""
    value = 1.0 if loss == "logistic" else value
    with pytest.warns(funkc.ConstantValuesWarning, match="sample_unobserved") as caught:
        fit = funkc.factorize(None, np.full(shape, value), 2, loss=loss, biases=False)
    assert ("pass loss='logistic'" in str(caught[0].message)) == (loss != "logistic")
    assert np.allclose(fit.reconstruct(), value, rtol=1e-3 if loss != "logistic" else 0.2)


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("shape", [(200, 3), (200, 1)])
def test_new_rows_that_follow_their_entries_are_trained_on(loss, shape):
    """Although any step away from them costs more."""
    rng = np.random.default_rng(0)
    values = rng.normal(size=shape)
    values = {"logistic": values > 0, "poisson": np.floor(np.exp(values))}.get(loss, values) * 1.0
    for biases in (False, True):
        fit = funkc.factorize(None, values[:100], shape[1], loss=loss, biases=biases)
        grown = fit.fold_in_rows(None, values[100:])
        grown.partial_fit(None, values[100:], n_epochs=20, learning_rate=0.01)
        assert np.isfinite(grown.reconstruct()).all()


@pytest.mark.parametrize("loss, ends", [("logistic", (0, 0)), ("logistic", (1, 5)),
                                        ("poisson", (0, 0)), ("poisson", (-5, -1))])  # fmt: skip
def test_the_score_within_a_range_that_no_score_reaches(loss, ends):
    cells, values = problem(loss)
    fit = funkc.factorize(cells, values, 2, loss=loss)
    usual = fit.score(cells, values)
    fit.clip = ends
    assert fit.score(cells, values) > 1e6 * usual
