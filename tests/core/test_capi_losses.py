"""Losses in funkc.h, called by ctypes: the bits of Python's, and what each refuses."""

import ctypes as c
import itertools
import math
import re

import numpy as np
import pytest
from capi_table import (
    HEADER,
    PROGRESS,
    SOURCE,
    STATUS,
    Counting,
    Info,
    P,
    Result,
    ask,
    assert_result,
    assert_same,
    call,
    cells_of,
    destroy,
    fit_of,
    has_biases,
    model_of,
    options_of,
    params_of,
    plan_of,
    room,
    train,
    train_at_once,
    with_failures,
)

import funkc
from funkc._input import loss as _loss

LOSSES = dict(re.findall(r"FUNKC_(\w+) = (\d)", HEADER.split("enum funkc_loss {")[1].split("}")[0]))
LOSSES = {name.lower(): int(number) for name, number in LOSSES.items()}
OTHERS = list(LOSSES)[1:]


def problem(loss, noise=0.3, seed=0, shape=(30, 20), n=400):
    """What two factors make, as the loss likes it."""
    rng = np.random.default_rng(seed)
    chosen = rng.permutation(shape[0] * shape[1])[:n].astype(np.int32)
    rows, cols = np.divmod(chosen, np.int32(shape[1]))
    scores = 1.5 * rng.normal(size=(shape[0], 2)) @ rng.normal(size=(2, shape[1]))
    values = {
        "logistic": lambda: (rng.random(shape) < 1 / (1 + np.exp(-3 * scores))) * 1.0,
        "poisson": lambda: rng.poisson(np.exp(np.minimum(scores + 1, 4))) * 1.0,
    }.get(loss, lambda: scores + noise * rng.standard_t(3, size=shape))()
    return rows, cols, values[rows, cols].astype(np.float32), shape


@pytest.mark.skipif(not SOURCE.is_dir(), reason="the sources are not beside the tests")
def test_losses_have_the_same_numbers_in_every_file():
    assert tuple(LOSSES) == _loss.NAMES
    assert list(LOSSES.values()) == list(range(5))
    text = (SOURCE / "_core" / "loss.h").read_text(encoding="utf-8")
    own = re.findall(r"FUNKC_(\w+)_LOSS", text.split("enum {")[1].split("}")[0])
    assert [name.lower() for name in own] == list(LOSSES)
    pxd = (SOURCE / "capi.pxd").read_text(encoding="utf-8")
    assert all(f"        FUNKC_{name.upper()}\n" in pxd for name in LOSSES)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("biases", [False, True])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("loss", LOSSES)
def test_training_gives_the_bits_of_factorize(loss, dtype, biases, weighted):
    """Also to rows and columns without entries."""
    rows, cols, values, (m, n) = problem(loss)
    weights = np.random.default_rng(1).exponential(size=values.size) + 0.01 if weighted else None
    cells = cells_of(rows, cols, values, (m + 2, n + 1), weights)
    options = options_of(3, dtype, biases=biases, seed=3, loss=LOSSES[loss])
    given = dict(biases=biases, dtype=dtype, weights=weights, loss=loss)
    for stages in (None, 2):
        fit = fit_of(rows, cols, values, (m + 2, n + 1), stages=stages, **given)
        for n_threads in (1, 3):
            options.n_threads = n_threads
            x, y, result = train_at_once(cells, options, params_of(stages=stages or 0), n_threads)
            assert_same(fit, x, y)
            assert_result(fit, result)
    fit = fit_of(rows, cols, values, (m + 2, n + 1), stages=1, **given)
    x, y, params, info, result = train(cells, options)
    assert_same(fit, x, y)
    assert_result(fit, result)
    assert params.learning_rate == fit.parameters["learning_rate"]
    assert info.huber_delta == (fit.parameters["huber_delta"] or 0)


def test_the_search_finds_stages_for_every_loss():
    """So that the comparison above is one of several stages."""
    stages = {loss: fit_of(*problem(loss), loss=loss).stages for loss in LOSSES}
    assert max(stages.values()) > 1, stages
    assert stages["huber"] > 1, stages


@pytest.mark.parametrize(
    "loss, asked",
    [
        *itertools.product(
            OTHERS, ({"offset": 0.75}, {"learning_rate": 0.05, "n_epochs": 7}, {"group_size": 1})
        ),
        ("huber", {"huber_delta": 0.2}),
        ("absolute", {"offset": 0.75, "biases": True}),
        ("poisson", {"regularization": (0.02, 0.1)}),
    ],
    ids=str,
)
def test_parameters_of_ones_own(loss, asked):
    given = problem(loss)
    fit = fit_of(*given, loss=loss, **asked)
    options = options_of(3, seed=3, loss=LOSSES[loss], huber_delta=asked.get("huber_delta", 0))
    options.offset = asked.get("offset", math.nan)
    options.group_size = asked.get("group_size", 8)
    options.biases = 1 if asked.get("biases") else 2
    rates = "row_regularization", "col_regularization"
    params = params_of(
        **{name: asked[name] for name in ("n_epochs", "learning_rate") if name in asked},
        **dict(zip(rates, asked.get("regularization", ()), strict=False)),
    )
    x, y, result = train_at_once(cells_of(*given), options, params)
    assert_same(fit, x, y)
    assert_result(fit, result)


@pytest.mark.parametrize("rate", [0.3, 3.0, 300.0])
@pytest.mark.parametrize("loss", OTHERS)
def test_a_rate_that_diverges_is_halved_as_in_python(loss, rate):
    given = problem(loss)
    asked = {"learning_rate": rate, "n_epochs": 8, "stages": 2}
    try:
        fit = fit_of(*given, loss=loss, **asked)
    except funkc.DivergedError:
        fit = None
    cells, options = cells_of(*given), options_of(3, seed=3, loss=LOSSES[loss])
    x, y = room(cells, 3, np.float32, has_biases(options))
    result = Result(c.sizeof(Result))
    with plan_of(cells, options) as plan:
        status = call("train", plan, x, y, params_of(**asked), 2, None, None, None, result)
    assert status == STATUS["DIVERGED" if fit is None else "OK"]
    if fit is not None:
        assert_same(fit, x, y)
        assert_result(fit, result)


@pytest.mark.parametrize("wild", [1e4, 1e9, 1e30])
@pytest.mark.parametrize("loss", ["absolute", "huber"])
def test_a_wild_value_moves_the_offset_as_in_python(loss, wild):
    """Against its mean, the others would be rounded away."""
    rows, cols, values, shape = problem(loss)
    values[7] = wild
    fit = fit_of(rows, cols, values, shape, loss=loss)
    assert abs(fit.offset) < 10
    x, y, result = train_at_once(
        cells_of(rows, cols, values, shape), options_of(3, seed=3, loss=LOSSES[loss])
    )
    assert_same(fit, x, y)
    assert_result(fit, result)


@pytest.mark.parametrize("loss", LOSSES)
def test_progress_is_told_the_history(loss):
    given, seen = problem(loss), []
    cells, options = cells_of(*given), options_of(3, seed=3, loss=LOSSES[loss])
    note = PROGRESS(lambda epoch, error, rate, _: seen.append((error, rate)) or 0)
    x, y = room(cells, 3, np.float32, has_biases(options))
    with plan_of(cells, options) as plan:
        ask("train", plan, x, y, params_of(stages=2), 2, None, note, None, Result(c.sizeof(Result)))
    history = fit_of(*given, loss=loss, stages=2).history
    name = "train_rmse" if loss == "squared" else "train_loss"
    assert seen == list(zip(history[name], history["learning_rate"], strict=True))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("biases", [False, True])
@pytest.mark.parametrize("loss", LOSSES)
def test_what_is_done_with_factors_is_what_python_does(loss, biases, dtype):
    rows, cols, values, shape = problem(loss)
    options = options_of(3, dtype, seed=3, loss=LOSSES[loss], biases=biases)
    x, y, _, info, result = train(cells_of(rows, cols, values, shape), options)
    fit = fit_of(rows, cols, values, shape, loss=loss, biases=biases, dtype=dtype, stages=1)
    model = model_of(x, y, 3, result.offset, biases, noise=result.noise)
    model.loss, model.huber_delta = LOSSES[loss], info.huber_delta
    every = cells_of(rows, cols, values, shape)
    made, at, n = np.empty(400, dtype), rows.astype(np.int64), 2
    ask("predict", model, at, cols.astype(np.int64), 400, made, 2)
    assert np.array_equal(made, fit.predict(rows, cols))
    found = c.c_double()
    ask("mean_loss", model, every, 3, found)
    score = fit.score((rows, cols), values)
    assert math.isclose(found.value, score**2 if loss == "squared" else score, rel_tol=1e-6)
    ask("rmse", model, every, 3, found)
    errors = values.astype(float) - made
    assert math.isclose(found.value, math.sqrt(np.mean(errors**2)), rel_tol=1e-9)
    best, scores = np.empty((shape[0], n), np.int64), np.empty((shape[0], n), dtype)
    ask("top", model, np.arange(shape[0]), shape[0], n, None, None, best, scores, 2)
    for mine, python in zip((best, scores), fit.top(np.arange(shape[0]), n), strict=True):
        assert np.array_equal(mine, python)
    for ridge in (-1.0, 0.3):
        out = np.empty((shape[0], x.shape[1]), dtype)
        ask("fold_in_rows", model, every, ridge, out, 2)
        new = fit.fold_in_rows(
            (rows, cols), values, shape=shape, regularization=None if ridge < 0 else ridge
        )
        assert np.array_equal(out[:, :3], new.row_factors)
        if biases:
            assert np.array_equal(out[:, 3], new.row_bias)


@pytest.mark.parametrize("loss", OTHERS)
def test_memory_comes_back(loss):
    """Also that of the search for the number of stages."""
    cells = cells_of(*problem(loss))

    def work(memory):
        options = options_of(3, memory=memory, n_threads=2, loss=LOSSES[loss])
        x, y = room(cells, 3, np.float32, has_biases(options))
        x.fill(7)
        plan, result = P(), Result(c.sizeof(Result))
        status = call("plan_create", cells, options, c.byref(plan))
        if status == 0:
            params = params_of(n_epochs=0)
            status = call("train", plan, x, y, params, 2, None, None, None, result)
            destroy(plan)
        assert np.all(x == 7) == (status != 0)
        return status

    assert with_failures(work) > 20


@pytest.mark.parametrize(
    "fields",
    [
        {"loss": -1},
        {"loss": 5},
        {"loss": 2**32},
        {"huber_delta": 1.0},
        {"huber_delta": -1.0, "loss": 2},
        {"huber_delta": math.nan, "loss": 2},
        {"huber_delta": math.inf, "loss": 2},
        {"nonnegative": 1, "loss": 1},
    ],
    ids=str,
)
def test_losses_that_no_one_knows(fields):
    plan = P()
    cells = cells_of(*problem("squared"))
    status = call("plan_create", cells, options_of(3, **fields), c.byref(plan))
    assert status == STATUS["BAD_OPTION"]
    assert plan.value is None
    x = np.zeros((30, 5), np.float32)
    model = model_of(x, x, 3, 0.0, True, noise=1)
    if "nonnegative" not in fields:
        for name, value in fields.items():
            setattr(model, name, value)
        assert call("rmse", model, cells, 1, c.c_double()) == STATUS["BAD_OPTION"]
    model.loss, model.huber_delta = 2, 0
    assert call("rmse", model, cells, 1, c.c_double()) == STATUS["BAD_OPTION"]


@pytest.mark.parametrize(
    "loss, bad", [("logistic", 2), ("logistic", -1), ("logistic", 0.5), ("poisson", -1)]
)
def test_values_that_a_loss_can_not_have(loss, bad):
    rows, cols, values, shape = problem(loss)
    values[11] = bad
    counting, plan = Counting(), P()
    cells = cells_of(rows, cols, values, shape)
    options = options_of(3, loss=LOSSES[loss], memory=counting.memory)
    assert call("plan_create", cells, options, c.byref(plan)) == STATUS["BAD_VALUE"]
    assert plan.value is None
    assert not counting.blocks
    x, out = np.zeros((30, 5), np.float32), np.full((30, 5), 7, np.float32)
    model = model_of(x, x, 3, 0.0, True, noise=1)
    model.loss = LOSSES[loss]
    found = c.c_double(7)
    assert call("mean_loss", model, cells, 1, found) == STATUS["BAD_VALUE"]
    assert call("fold_in_rows", model, cells, -1.0, out, 1) == STATUS["BAD_VALUE"]
    assert found.value == 7
    assert np.all(out == 7)
    ask("rmse", model, cells, 1, found)  # which any value has


def test_an_older_caller_trains_by_squares():
    """Whose structs end before what is said of losses."""
    given = problem("squared")
    options, info = options_of(3, seed=3), Info(c.sizeof(Info))
    options.loss, options.huber_delta = 4, 7.0
    options.size, info.size = type(options).huber_delta.offset, Info.huber_delta.offset
    info.huber_delta = 5.0
    x, y, result = train_at_once(cells_of(*given), options)
    assert_same(fit_of(*given), x, y)
    assert_result(fit_of(*given), result)
    with plan_of(cells_of(*given), options) as plan:
        ask("plan_info", plan, info)
    assert info.huber_delta == 5.0
