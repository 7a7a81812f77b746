"""The functions of funkc.h, called by ctypes: the bits of Python, and all memory given back."""

import concurrent.futures
import ctypes as c
import itertools
import math
import platform
import re
import sys

import numpy as np
import pytest
from capi_table import (
    ADDRESSES,
    HEADER,
    NAN,
    PROGRESS,
    SOURCE,
    STATUS,
    Cells,
    Counting,
    Info,
    Memory,
    Model,
    Options,
    P,
    Params,
    Result,
    ask,
    assert_same,
    call,
    cells_of,
    changed,
    destroy,
    message,
    model_of,
    options_of,
    params_of,
    plan_of,
    problem,
    room,
    train,
    with_failures,
)
from fits import made
from hypothesis import given, settings
from hypothesis import strategies as st

import funkc
import funkc.capi
from funkc import _errors

# ---------------------------------------------------------------- the same bits


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("biases", [False, True])
@pytest.mark.parametrize("nonnegative", [False, True])
@pytest.mark.parametrize("weighted", [False, True])
def test_a_run_gives_the_factors_of_factorize(dtype, biases, nonnegative, weighted):
    rows, cols, values, shape = problem(levels=5 if biases else None)
    values = np.abs(values)
    weights = np.random.default_rng(1).random(values.size) + 0.1 if weighted else None
    options = options_of(7, dtype, biases=biases, nonnegative=nonnegative, seed=3)
    fit = funkc.factorize(
        (rows, cols), values, 7, shape=shape, biases=biases, nonnegative=nonnegative,
        weights=weights, dtype=dtype, random_state=3,
    )  # fmt: skip
    for n_threads in (1, 2, 3, 8):
        options.n_threads = n_threads
        cells = cells_of(rows, cols, values, shape, weights)
        x, y, params, info, result = train(cells, options, n_threads=n_threads)
        assert_same(fit, x, y)
        assert (result.offset, result.noise) == (fit.offset, fit.noise)
    assert params.learning_rate == fit.parameters["learning_rate"]
    assert params.n_epochs == fit.parameters["n_epochs"]
    assert (params.row_regularization, params.col_regularization) == tuple(
        np.broadcast_to(fit.parameters["regularization"], 2)
    )
    assert (info.n_rows, info.n_cols, info.n_cells) == (*shape, values.size)
    assert info.length == 7 + 2 * biases
    mean = np.average(values, weights=weights)
    assert info.mean == pytest.approx(mean)
    assert info.deviation == pytest.approx(np.average((values - mean) ** 2, weights=weights) ** 0.5)


@pytest.mark.parametrize("index", [np.int32, np.int64])
@pytest.mark.parametrize("value", [np.float32, np.float64])
def test_every_type_of_cells_in_any_order(index, value):
    rows, cols, values, shape = problem(index=index, value=value)
    fit = funkc.factorize((rows, cols), values, 5, shape=shape, random_state=2**64 - 1)
    order = np.random.default_rng(9).permutation(values.size)
    cells = cells_of(rows[order], cols[order], values[order], shape)
    x, y, *_ = train(cells, options_of(5, seed=2**64 - 1))
    assert_same(fit, x, y)


@settings(max_examples=25, deadline=None)
@given(st.data())
def test_any_parameters_and_any_cuts_of_a_run(data):
    n = data.draw(st.integers(1, 8))
    cuts = sorted(data.draw(st.lists(st.integers(0, n), max_size=4)))
    constant = data.draw(st.booleans())
    group_size = data.draw(st.sampled_from([1, 8]))
    grid = data.draw(st.sampled_from([None, (1, 1), (6, 2), (256, 64)]))
    rate, row, col = (data.draw(st.floats(1e-4, 0.05)) for _ in range(3))
    offset = data.draw(st.one_of(st.just(NAN), st.floats(-5, 5)))
    rows, cols, values, shape = problem(n=data.draw(st.integers(1, 4000)))
    fit = funkc.factorize(
        (rows, cols), values, 4, shape=shape, n_epochs=n, learning_rate=rate,
        regularization=(row, col), group_size=group_size, bands=grid,
        offset="auto" if math.isnan(offset) else offset,
        decay="constant" if constant else "linear",
    )  # fmt: skip
    params = params_of(
        learning_rate=rate, row_regularization=row, col_regularization=col, n_epochs=n,
        constant_rate=constant,
    )  # fmt: skip
    row_bands, col_bands = grid or (0, 0)
    options = options_of(
        4, group_size=group_size, offset=offset, row_bands=row_bands, col_bands=col_bands
    )
    x, y, *_ = train(cells_of(rows, cols, values, shape), options, params, 2, cuts)
    assert_same(fit, x, y)


@pytest.mark.parametrize("n_threads", [1, 2, 3, 8])
def test_what_is_done_with_factors(fitted, n_threads):
    fit, model, cells, dtype = fitted
    rows, cols, values, _ = cells.keep
    rng = np.random.default_rng(2)
    some_rows, some_cols = rng.integers(0, 120, 9000), rng.integers(0, 90, 9000)
    out = np.empty(9000, dtype)
    ask("predict", model, some_rows, some_cols, 9000, out, n_threads)
    assert np.array_equal(out, fit.predict(some_rows, some_cols))

    error = c.c_double()
    ask("rmse", model, cells, n_threads, error)
    expected = np.sqrt(np.mean((fit.predict(rows, cols).astype(float) - values) ** 2))
    assert error.value == pytest.approx(expected, rel=1e-12)

    some = rng.integers(0, 120, 70)
    for n in (1, 9, 100):
        best, scores = np.empty((70, n), np.int64), np.empty((70, n), dtype)
        ask("top", model, some, 70, n, None, None, best, scores, n_threads)
        wanted = fit.top(some, n)
        assert np.array_equal(best[:, :90], wanted[0][:, :90])
        assert np.array_equal(scores[:, :90], wanted[1][:, :90])
        assert np.all(best[:, 90:] == -1)
        assert np.all(scores[:, 90:] == -np.inf)
    exclude = [np.unique(rng.integers(0, 90, rng.integers(0, 60))) for _ in some]
    hidden_from = np.cumsum([0, *(len(e) for e in exclude)])
    best, scores = np.empty((70, 9), np.int64), np.empty((70, 9), dtype)
    hidden = np.concatenate(exclude)
    ask("top", model, some, 70, 9, hidden_from, hidden, best, scores, n_threads)
    wanted = fit.top(some, 9, exclude=exclude)
    assert np.array_equal(best, wanted[0])
    assert np.array_equal(scores, wanted[1])

    for weights, ridge in itertools.product((None, rng.random(values.size) + 0.5), (None, 0.05)):
        new = cells_of(rows, cols, values, (125, 90), weights)  # the last five without a cell
        out = np.empty((125, model.k + 2 * model.biases), dtype)
        ask("fold_in_rows", model, new, -1 if ridge is None else ridge, out, n_threads)
        folded = fit.fold_in_rows(
            (rows, cols), values, shape=(125, 90), regularization=ridge, weights=weights
        )
        assert np.array_equal(out[:, :6], folded.row_factors)
        if model.biases:
            assert np.array_equal(out[:, 6], folded.row_bias)
            assert np.all(out[:, 7] == 1)


def test_new_rows_of_nonnegative_factors():
    rows, cols, values, shape = problem()
    values = np.abs(values)
    fit = funkc.factorize((rows, cols), values, 6, shape=shape, nonnegative=True)
    x, y = fit.row_factors, fit.col_factors
    model = model_of(x, y, 6, fit.offset, nonnegative=True, noise=fit.noise)
    out = np.empty((120, 6), np.float32)
    for ridge in (None, 0.1):
        cells = cells_of(rows, cols, values, shape)
        ask("fold_in_rows", model, cells, -0.5 if ridge is None else ridge, out, 2)
        folded = fit.fold_in_rows((rows, cols), values, shape=shape, regularization=ridge)
        assert np.array_equal(out, folded.row_factors)


@pytest.mark.parametrize("equal", [False, True])
def test_a_prior_of_few_rows_and_of_equal_ones(equal):
    x, y = np.random.default_rng(0).normal(size=(2, 9, 6))
    x[:] = x[:1] if equal else x
    fit = made(x, y, offset=1.5, noise=0.3)
    rows, cols = np.array([0, 0, 1, 1, 1]), np.array([1, 4, 0, 2, 8])
    out = np.empty((2, 6))
    new = cells_of(rows, cols, rows + 1.0, (2, 9))
    ask("fold_in_rows", model_of(x, y, 6, 1.5, noise=0.3), new, -1, out, 1)
    assert np.array_equal(out, fit.fold_in_rows((rows, cols), rows + 1.0).row_factors)
    assert np.allclose(out, x[:2]) == equal


def test_a_model_of_the_first_release_has_no_noise(fitted):
    _, model, cells, dtype = fitted
    older = changed(model, size=Model.noise.offset)
    out = np.zeros((120, 8), dtype)
    ask("fold_in_rows", older, cells, 0.05, out, 1)
    out[:] = 7
    for unknown in (older, changed(model, noise=0.0)):
        assert call("fold_in_rows", unknown, cells, -1, out, 1) == STATUS["BAD_OPTION"]
    assert (out == 7).all()


@pytest.mark.parametrize("method", ["patches", "tiles"])
@pytest.mark.parametrize("n_masks", [1, 3])
def test_inpaint_fills_as_in_python(method, n_masks):
    rng = np.random.default_rng(0)
    image = rng.random((3, 40, 50)).astype(np.float32)
    missing = rng.random((n_masks, 40, 50)) < 0.3
    expected = funkc.inpaint(
        image, missing if n_masks == 3 else missing[0], method=method, channel_axis=0,
        random_state=5, n_threads=1,
    )  # fmt: skip
    for n_threads in (1, 2, 3, 8):
        made = image.copy()
        ask(
            "inpaint_f32", made, missing.view(np.uint8), n_masks, 3, 40, 50,
            ["patches", "tiles"].index(method), 0, 5, n_threads, None, None,
        )  # fmt: skip
        assert np.array_equal(made, expected)


@pytest.mark.parametrize("method", ["patches", "tiles"])
@pytest.mark.parametrize("n_masks", [1, 5, 10])
def test_volumes_are_filled_as_in_python(method, n_masks):
    rng = np.random.default_rng(0)
    volume = rng.random((2, 5, 20, 25)).astype(np.float32)
    missing = rng.random((n_masks, 20, 25)) < 0.3
    if n_masks > 1:
        missing[3] = True  # a lost frame
    missing[:, 3, 4] &= missing[:, 0].all(axis=1)  # but for a lost frame
    volume[0, 2, 3, 4] = 1e6  # hot
    given = missing.reshape(2, 5, 20, 25) if n_masks == 10 else missing
    with pytest.warns(funkc.HotPixelWarning):
        expected = funkc.inpaint(
            volume, given[0] if n_masks == 1 else given, method=method, channel_axis=0,
            random_state=5, n_threads=1,
        )  # fmt: skip
    for n_threads in (1, 2, 3, 8):
        made = volume.copy()
        ask(
            "inpaint_volume_f32", made, missing.view(np.uint8), n_masks, 2, 5, 20, 25,
            ["patches", "tiles"].index(method), 0, 5, n_threads, None, None,
        )  # fmt: skip
        assert np.array_equal(made, expected)


def test_plans_and_a_plan_are_used_by_several_threads_at_once():
    rows, cols, values, shape = problem(20_000, (300, 200))
    cells = cells_of(rows, cols, values, shape)
    fits = [funkc.factorize((rows, cols), values, 8, shape=shape, random_state=s) for s in range(4)]

    def one(seed):
        return train(cells, options_of(8, seed=seed, n_threads=2), n_threads=2)[:2]

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        for seed, made in zip([0, 1, 2, 3] * 2, pool.map(one, [0, 1, 2, 3] * 2), strict=True):
            assert_same(fits[seed], *made)
        with plan_of(cells, options_of(8, seed=1)) as plan:

            def another(n_threads):
                x, y = room(cells, 8, np.float32, biases=True)
                params = params_of()
                ask("plan_defaults", plan, params)
                ask("start", plan, x, y)
                ask("run", plan, x, y, params, params.n_epochs, n_threads, None, None, None)
                ask("finish", plan, x, y, Result(c.sizeof(Result)), n_threads)
                return x, y

            for made in pool.map(another, [1, 2, 3, 1, 2, 3]):
                assert_same(fits[1], *made)


UPWARD = {"x86_64": 0x800, "aarch64": 0x400000}.get(platform.machine())  # FE_UPWARD


@pytest.mark.skipif(sys.platform != "linux" or not UPWARD, reason="needs glibc's fesetround")
def test_how_the_calling_thread_rounds_leaves_no_trace(fitted):
    fit, model, cells, dtype = fitted
    rows, cols, values, _ = cells.keep
    set_rounding = c.CDLL(None).fesetround

    def upward(name, *arguments):
        assert set_rounding(UPWARD) == 0
        try:
            status = call(name, *arguments)
        finally:
            set_rounding(0)
        assert status == 0

    x, y = room(cells, 6, dtype, model.biases)
    plan, params = P(), params_of()
    upward("plan_create", cells, options_of(6, dtype, biases=model.biases), c.byref(plan))
    upward("plan_defaults", plan, params)
    upward("start", plan, x, y)
    upward("run", plan, x, y, params, params.n_epochs, 2, None, None, None)
    info, results = Info(c.sizeof(Info)), [Result(c.sizeof(Result)) for _ in range(2)]
    upward("plan_info", plan, info)
    upward("finish", plan, x, y, results[0], 2)
    assert_same(fit, x, y)
    upward("train", plan, x, y, params_of(), 2, None, None, None, results[1])
    destroy(plan)
    assert_same(fit, x, y)
    assert {(r.offset, r.noise) for r in results} == {(fit.offset, fit.noise)}
    assert info.offset == train(cells, options_of(6, dtype, biases=model.biases))[3].offset

    errors = c.c_double(), c.c_double()
    ask("rmse", model, cells, 1, errors[0])
    upward("rmse", model, cells, 2, errors[1])
    assert errors[0].value == errors[1].value
    weighted = cells_of(rows, cols, values, (120, 90), np.random.default_rng(3).random(rows.size))
    for name, arguments, out in (
        ("predict", (np.arange(90), np.arange(90), 90), np.empty(90, dtype)),
        ("fold_in_rows", (weighted, 0.05), np.empty_like(x)),
        ("fold_in_rows", (weighted, -1), np.empty_like(x)),
    ):
        ask(name, model, *arguments, out, 1)
        expected = out.copy()
        upward(name, model, *arguments, out, 2)
        assert np.array_equal(out, expected)


# ---------------------------------------------------------------- memory, and the end of a run


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("levels", [None, 5])
def test_memory_of_plans_and_runs_comes_back(weighted, levels):
    rows, cols, values, shape = problem(levels=levels)
    weights = np.ones(values.size) if weighted else None
    cells = cells_of(rows, cols, values, shape, weights)
    x, y = room(cells, 5, np.float32, biases=True)

    def work(memory):
        plan = P()
        status = call(
            "plan_create", cells, options_of(5, memory=memory, n_threads=3), c.byref(plan)
        )
        assert (plan.value is None) == (status != 0)
        if status:
            return status
        x.fill(7)
        result = Result(c.sizeof(Result))
        for name, *arguments in (
            ("start",),
            ("run", params_of(), 2, 3, None, None, None),
            ("finish", result, 3),
        ):
            before = x.copy()
            status = call(name, plan, x, y, *arguments)
            assert np.array_equal(x, before) == (status != 0), name
            if status:
                break
        assert (result.noise == 0) == (status != 0)
        destroy(plan)
        return status

    assert with_failures(work) > 30
    assert work(None) == 0
    with plan_of(cells, options_of(5)) as plan:
        a, b = room(cells, 5, np.float32, biases=True)
        ask("start", plan, a, b)
        ask("run", plan, a, b, params_of(), 2, 3, None, None, None)
        ask("finish", plan, a, b, Result(c.sizeof(Result)), 1)
    assert np.array_equal(a, x)
    assert np.array_equal(b, y)


def test_memory_of_what_is_done_with_factors_comes_back(fitted):
    _, model, cells, dtype = fitted
    x, y, _ = model.keep
    rows = np.arange(120)
    best, scores = np.empty((120, 4), np.int64), np.empty((120, 4), dtype)
    out, folded = np.empty(120, dtype), np.empty_like(x)
    weighted = cells_of(*cells.keep[:3], (120, 90), np.ones(cells.n_cells))

    def does(*arguments):
        def work(memory):
            own = model_of(
                x, y, model.k, model.offset, model.biases, memory=memory, noise=model.noise
            )
            return call(arguments[0], own, *arguments[1:])

        return work

    with_failures(does("predict", rows, rows % 90, 120, out, 3))
    with_failures(does("rmse", cells, 3, c.c_double()))
    with_failures(does("top", rows, 120, 4, None, None, best, scores, 3))
    by_ridge = with_failures(does("fold_in_rows", weighted, 0.1, folded, 3))
    assert with_failures(does("fold_in_rows", weighted, -1, folded, 3)) > by_ridge


@pytest.mark.parametrize("method", [0, 1])
def test_memory_of_a_picture_comes_back(method):
    image = np.random.default_rng(0).random((2, 20, 20)).astype(np.float32)
    missing = (np.random.default_rng(1).random((2, 20, 20)) < 0.3).view(np.uint8)

    def work(memory):
        own = image.copy()
        status = call("inpaint_f32", own, missing, 2, 2, 20, 20, method, 0, 0, 2, None, memory)
        assert np.array_equal(own, image) == (status != 0)
        return status

    with_failures(work)


def test_a_flag_and_a_progress_function_end_a_run():
    rows, cols, values, shape = problem()
    cells = cells_of(rows, cols, values, shape)
    flag, seen = c.c_int(0), []

    def note(epoch, error, rate, _):
        seen.append((epoch, error, rate))
        return epoch == stop

    x, y = room(cells, 5, np.float32)
    with plan_of(cells, options_of(5, biases=0)) as plan:
        params = params_of()
        ask("plan_defaults", plan, params)
        stop = 3
        ask("start", plan, x, y)
        begun = x.copy()
        arguments = plan, x, y, params, params.n_epochs, 2, flag, PROGRESS(note), None
        assert call("run", *arguments) == STATUS["CANCELLED"]
        fit = funkc.factorize(
            (rows, cols), values, 5, shape=shape, n_epochs=params.n_epochs,
            biases=False,
            callback=lambda epoch, _: epoch == 3,
        )  # fmt: skip
        assert [e for e, *_ in seen] == [1, 2, 3]
        assert [e for _, e, _ in seen] == list(fit.history["train_rmse"])
        assert [r for *_, r in seen] == list(fit.history["learning_rate"])
        assert_same(fit, x, y)
        flag.value = 1
        ask("start", plan, x, y)
        assert call("run", *arguments) == STATUS["CANCELLED"]
        assert np.array_equal(x, begun)
    plan = P()
    options = options_of(5, cancel=c.addressof(flag))
    assert call("plan_create", cells, options, c.byref(plan)) == STATUS["CANCELLED"]
    image = np.zeros((1, 20, 20), np.float32)
    missing = np.eye(20, dtype=np.uint8)
    status = call("inpaint_f32", image, missing, 1, 1, 20, 20, 0, 0, 0, 1, flag, None)
    assert status == STATUS["CANCELLED"]


def test_a_run_that_diverges_says_so():
    rows, cols, values, shape = problem()
    cells = cells_of(rows, cols, values, shape)
    x, y = room(cells, 5, np.float32)
    with plan_of(cells, options_of(5, biases=0)) as plan:
        for rate in (1e3, 1e300):
            ask("start", plan, x, y)
            params = params_of(learning_rate=rate, n_epochs=20)
            status = call("run", plan, x, y, params, 20, 2, None, None, None)
            assert status == STATUS["DIVERGED"]


# ---------------------------------------------------------------- one thing said in several places


def test_every_status_has_words():
    words = [message(n) for n in STATUS.values()]
    assert len(set(words)) == len(STATUS) == 16
    assert message(99) == message(-1) == b"unknown status"
    for name, number in STATUS.items():
        assert getattr(_errors, name, number) == number


@pytest.mark.skipif(not SOURCE.is_dir(), reason="the sources are not beside the tests")
def test_numbers_and_structs_are_the_same_in_every_file():
    types = (SOURCE / "_core" / "types.pxd").read_text(encoding="utf-8")
    own = dict(re.findall(r"^    ([A-Z_]+) = (\d+)", types.split("cdef enum Status:")[1], re.M))
    assert {name: int(own[name]) for name in STATUS} == STATUS
    assert set(own) - set(STATUS) == {"OUTSIDE_ITS_TILE", "MORE"}
    assert re.search(r"cdef enum Method:\n    PATCHES\n    TILES\n", types)
    assert "FUNKC_PATCHES = 0, FUNKC_TILES = 1" in HEADER
    pxd = (SOURCE / "capi.pxd").read_text(encoding="utf-8")
    for name in (*STATUS, "PATCHES", "TILES"):
        assert f"        FUNKC_{name}\n" in pxd
    for name in set(re.findall(r"\b(funkc_\w+)\(", HEADER)):
        assert f" {name}(" in pxd or f"*{name}(" in pxd, name


def test_the_addresses_are_those_of_the_table():
    table = HEADER.split("typedef struct funkc_api {")[1].split("} funkc_api;")[0]
    names = re.findall(r"\(\*(\w+)\)", table)
    assert set(ADDRESSES) == {"api", *names}
    first = ADDRESSES["api"]
    version, size = (c.c_uint32 * 2).from_address(first)
    assert version == int(re.search(r"FUNKC_ABI_VERSION (\d+)", HEADER)[1])
    assert size == 16 + len(names) * c.sizeof(P)
    held = (c.c_size_t * len(names)).from_address(first + 8 + c.sizeof(P))
    assert [ADDRESSES[name] for name in names] == list(held)
    assert c.c_char_p.from_address(first + 8).value in (b"base", b"v3", b"v4")


@pytest.mark.parametrize(
    ("more", "word"), [(b"\0" * 8, "OK"), (b"\0" * 7 + b"x", "BAD_OPTION"), (None, "BAD_OPTION")]
)
def test_a_newer_caller_is_understood_unless_it_asks_for_what_is_not_there(more, word):
    """Its structs are longer than ours; without `more` the size is nobody's."""
    rows, cols, values = np.zeros(3, np.int32), np.arange(3, dtype=np.int32), np.ones(3)
    cells = cells_of(rows, cols, values, (1, 3))
    room = c.create_string_buffer(bytes(cells) + (more or b""), c.sizeof(Cells) + 8)
    newer = Cells.from_buffer(room)
    newer.size = 2**40 if more is None else c.sizeof(Cells) + 8
    offender = c.c_int64()
    call = c.CFUNCTYPE(c.c_int, P, P)(funkc.capi.addresses()["cells_check"])
    assert call(c.addressof(room), c.addressof(offender)) == (0 if word == "OK" else 8)


def test_structs_have_no_padding_that_could_become_a_member():
    for struct in (Cells, Options, Params, Model, Info, Memory, Result):
        name, kind = struct._fields_[-1]
        assert getattr(struct, name).offset + c.sizeof(kind) == c.sizeof(struct)


def test_a_plan_outlives_the_struct_of_its_allocator():
    counting = Counting()
    rows, cols, values = np.zeros(3, np.int32), np.arange(3, dtype=np.int32), np.ones(3)
    cells, options, plan = cells_of(rows, cols, values, (1, 3)), options_of(2), P()
    options.memory = c.addressof(counting.memory)
    ask("plan_create", cells, options, c.byref(plan))
    c.memset(c.addressof(counting.memory), 0, c.sizeof(Memory))
    destroy(plan)
    assert not counting.blocks
