"""funkc_train and funkc_finish, called by ctypes: the bits of factorize, and every way to end."""

import ctypes as c
import itertools
import math

import numpy as np
import pytest
from capi_table import (
    PROGRESS,
    STATUS,
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
    options_of,
    params_of,
    plan_of,
    room,
    signal,
    train,
    train_at_once,
    with_failures,
)

BIASES = {False: 0, True: 1, "auto": 2}


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("biases", BIASES)
@pytest.mark.parametrize("nonnegative", [False, True])
@pytest.mark.parametrize("weighted", [False, True])
def test_training_gives_the_bits_of_factorize(dtype, biases, nonnegative, weighted):
    """Also to rows and columns without entries."""
    rows, cols, values, (m, n) = signal(0.3)
    values = np.abs(values) if nonnegative else values
    weights = np.random.default_rng(1).exponential(size=values.size) + 0.01 if weighted else None
    cells = cells_of(rows, cols, values, (m + 2, n + 1), weights)
    options = options_of(3, dtype, biases=BIASES[biases], nonnegative=nonnegative, seed=3)
    for stages in (None, 2):
        fit = fit_of(
            rows, cols, values, (m + 2, n + 1), biases=biases, nonnegative=nonnegative,
            dtype=dtype, weights=weights, stages=stages,
        )  # fmt: skip
        for n_threads in (1, 2, 3, 8):
            options.n_threads = n_threads
            x, y, result = train_at_once(cells, options, params_of(stages=stages or 0), n_threads)
            assert_same(fit, x, y)
            assert_result(fit, result)
    fit = fit_of(
        rows, cols, values, (m + 2, n + 1), biases=biases, nonnegative=nonnegative, dtype=dtype,
        weights=weights, stages=1,
    )  # fmt: skip
    x, y, *_, result = train(cells, options)
    assert_same(fit, x, y)
    assert_result(fit, result)


@pytest.mark.parametrize(
    "asked",
    [
        {"n_epochs": 7},
        {"learning_rate": 0.02},
        {"regularization": (0.02, 0.1)},
        {"offset": 1.5},
        {"offset": 1.5, "biases": True},
        {"group_size": 1},
        {"decay": "constant", "n_epochs": 9},
        {"stages": 3, "n_epochs": 5},
    ],
    ids=str,
)
def test_parameters_of_ones_own(asked):
    problem = signal(0.3)
    fit = fit_of(*problem, **asked)
    options = options_of(3, seed=3)
    options.offset = asked.get("offset", math.nan)
    options.group_size = asked.get("group_size", 8)
    options.biases = BIASES[asked.get("biases", "auto")]
    rates = "row_regularization", "col_regularization"
    params = params_of(
        **{name: asked[name] for name in ("n_epochs", "learning_rate", "stages") if name in asked},
        **dict(zip(rates, asked.get("regularization", ()), strict=False)),
        constant_rate="decay" in asked,
    )
    x, y, result = train_at_once(cells_of(*problem), options, params)
    assert_same(fit, x, y)
    assert_result(fit, result)


@pytest.mark.parametrize("biases", [False, True])
@pytest.mark.parametrize("stages", [1, 2])
@pytest.mark.parametrize(
    "rate, n_epochs, constant",
    [
        *((rate, 8, False) for rate in (0.05, 0.1, 0.3, 1.0, 3.0, 30.0)),
        # Only after the last step, or in the second stage, errors are too large.
        *((rate, 1, True) for rate in (2.017, 2.164, 2.902)),
        *((rate, 3, True) for rate in (0.149, 2.41)),
    ],
)
def test_a_rate_that_diverges_is_halved_as_in_python(biases, rate, stages, n_epochs, constant):
    problem = signal(0.3)
    given = {"learning_rate": rate, "n_epochs": n_epochs, "stages": stages}
    decay = "constant" if constant else "linear"
    fit = fit_of(*problem, biases=biases, decay=decay, **given)
    if not constant:
        assert (fit.parameters["learning_rate"] < rate) == (rate > 0.1)
    x, y, result = train_at_once(
        cells_of(*problem),
        options_of(3, seed=3, biases=biases),
        params_of(constant_rate=constant, **given),
    )
    assert_same(fit, x, y)
    assert_result(fit, result)
    given["learning_rate"] = fit.parameters["learning_rate"]
    again = fit_of(*problem, biases=biases, decay=decay, **given)
    assert_same(again, x, y)


def factors(cells, options):
    x, y = room(cells, options.k, np.float32, has_biases(options))
    x.fill(7)
    y.fill(7)
    return x, y


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("biases", [0, 2])
def test_memory_of_training_comes_back(weighted, biases):
    """Also that of the search for the number of stages."""
    problem = signal(0.3)
    cells = cells_of(*problem, np.ones(400) if weighted else None)
    calls = {}
    for stages in (0, 1):

        def work(memory, stages=stages):
            options = options_of(3, memory=memory, biases=biases, n_threads=3)
            x, y = factors(cells, options)
            plan, result = P(), Result(c.sizeof(Result))
            status = call("plan_create", cells, options, c.byref(plan))
            if status == 0:
                params = params_of(stages=stages)
                status = call("train", plan, x, y, params, 3, None, None, None, result)
                destroy(plan)
            assert np.all(x == 7) == np.all(y == 7) == (status != 0)
            assert (result.n_stages == 0) == (status != 0)
            return status

        calls[stages] = with_failures(work)
    assert (calls[0] > calls[1] + 20) == (biases != 0)


@pytest.mark.parametrize("stage", [0, 1])
@pytest.mark.parametrize("by_flag", [False, True])
def test_a_flag_and_a_progress_function_end_training(stage, by_flag):
    problem = signal(0.3)
    cells, options = cells_of(*problem), options_of(3, seed=3)
    seen, flag = [], c.c_int(0)

    def note(epoch, error, rate, _):
        seen.append((epoch, error, rate))
        stop = epoch == 5 and [e for e, *_ in seen].count(5) == stage + 1
        flag.value = stop and by_flag
        return stop and not by_flag

    x, y = factors(cells, options)
    result = Result(c.sizeof(Result))
    with plan_of(cells, options) as plan:
        arguments = plan, x, y, params_of(), 2, flag, PROGRESS(note), None
        assert call("train", *arguments, result) == STATUS["CANCELLED"]
        assert result.n_stages == 0
        epochs = fit_of(*problem).parameters["n_epochs"]
        history = fit_of(*problem, callback=lambda n, _: n == stage * epochs + 5)
        assert [e for e, *_ in seen] == [1 + e % epochs for e in range(stage * epochs + 5)]
        assert [e for _, e, _ in seen] == history.history["train_rmse"]
        assert [r for *_, r in seen] == history.history["learning_rate"]
        assert np.array_equal(x[:, :3], history.row_factors)
        assert np.array_equal(y[:, :3], history.col_factors)
        flag.value = 1
        assert call("train", *arguments, result) == STATUS["CANCELLED"]
        start = factors(cells, options)
        ask("start", plan, *start)
        assert np.array_equal(x, start[0])


def test_a_flag_ends_the_search():
    """Which would find that one stage is best, after which none heeds the flag."""
    problem = signal(1.4)
    cells, options = cells_of(*problem), options_of(3, seed=3)
    first = fit_of(*problem, stages=1)
    fit = fit_of(*problem)
    assert fit.stages == 1
    assert fit.noise < 0.67 * fit.baseline_rmse["biases"]
    flag, result = c.c_int(0), Result(c.sizeof(Result))

    def note(epoch, *_):
        flag.value = epoch == first.parameters["n_epochs"]
        return 0

    x, y = factors(cells, options)
    with plan_of(cells, options) as plan:
        arguments = plan, x, y, params_of(), 1, flag, PROGRESS(note), None, result
        assert call("train", *arguments) == STATUS["CANCELLED"]
    assert_same(first, x, y)
    assert result.n_stages == 0


def test_training_that_diverges_says_so_and_leaves_the_factors():
    cells, options = cells_of(*signal(0.3)), options_of(3)
    x, y = factors(cells, options)
    result = Result(c.sizeof(Result))
    with plan_of(cells, options) as plan:
        params = params_of(learning_rate=1e300)
        status = call("train", plan, x, y, params, 2, None, None, None, result)
    assert status == STATUS["DIVERGED"]
    assert np.all(x == 7)
    assert result.n_stages == 0


@pytest.mark.parametrize(
    "fields",
    [
        {"first_epoch": 1},
        {"stages": -1},
        {"stages": -(2**31)},
        {"n_epochs": -1},
        {"learning_rate": math.nan},
        {"size": 0},
    ],
    ids=str,
)
def test_bad_parameters_of_training(fields):
    cells, options = cells_of(*signal(0.3)), options_of(3)
    x, y = factors(cells, options)
    params, result = params_of(), Result(c.sizeof(Result))
    for name, value in fields.items():
        setattr(params, name, value)
    with plan_of(cells, options) as plan:
        status = call("train", plan, x, y, params, 1, None, None, None, result)
    assert status == STATUS["BAD_OPTION"]
    assert np.all(x == 7)


def test_bad_arguments_of_training_and_of_its_end():
    cells, options = cells_of(*signal(0.3)), options_of(3)
    x, y = factors(cells, options)
    result = Result(c.sizeof(Result))
    with plan_of(cells, options) as plan:
        good = {
            ("train", 4, 8): [plan, x, y, params_of(), 1, None, None, None, result],
            ("finish", 4, 3): [plan, x, y, result, 1],
        }
        for (name, threads, out), arguments in good.items():
            bad = [
                *((at, None, "NULL_POINTER") for at in range(threads)),
                (out, None, "NULL_POINTER"),
                *((threads, n, "BAD_OPTION") for n in (0, -1, -(2**31))),
                *((out, Result(n), "BAD_OPTION") for n in (0, 8, Result.mean_loss.offset - 1)),
            ]
            for at, value, status in bad:
                given = [*arguments[:at], value, *arguments[at + 1 :]]
                assert call(name, *given) == STATUS[status], (name, at, value)
        assert np.all(x == 7)
        ask("start", plan, x, y)
        ask("finish", plan, x, y, result, 2**31 - 1)
        ask("train", plan, x, y, params_of(n_epochs=2), 2**31 - 1, None, None, None, result)


def test_a_run_does_not_ask_for_stages():
    """The member was reserved in the first release, which did not look at it."""
    cells, options = cells_of(*signal(0.3)), options_of(3)
    ends = [train(cells, options, params_of(n_epochs=4, stages=n))[:2] for n in (0, 7, -1)]
    for x, y in itertools.islice(ends, 1, None):
        assert np.array_equal(x, ends[0][0])
        assert np.array_equal(y, ends[0][1])


@pytest.mark.parametrize("biases", [-1, 3])
def test_biases_that_no_one_knows(biases):
    plan = P()
    status = call(
        "plan_create", cells_of(*signal(0.3)), options_of(3, biases=biases), c.byref(plan)
    )
    assert status == STATUS["BAD_OPTION"]
    assert plan.value is None
