"""The table of funkc.h, called by ctypes: the same bits as Python's, a status for every fault,
and all memory back."""

import concurrent.futures
import contextlib
import ctypes as c
import math
import platform
import re
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import funkc
import funkc.capi
from funkc import _errors

HEADER = (Path(funkc.get_include()) / "funkc.h").read_text(encoding="utf-8")
SOURCE = Path(__file__).parents[1] / "src" / "funkc"
STATUS = {
    name: int(number)
    for name, number in re.findall(
        r"FUNKC_(\w+) = (\d+)", HEADER.split("enum funkc_status {")[1].split("};")[0]
    )
}
NAN = math.nan
P, INT, I64 = c.c_void_p, c.c_int, c.c_int64
PROGRESS = c.CFUNCTYPE(INT, I64, c.c_double, c.c_double, P)
ALLOCATE, RELEASE = c.CFUNCTYPE(P, c.c_size_t, P), c.CFUNCTYPE(None, P, P)


def struct(name, *fields):
    return type(name, (c.Structure,), {"_fields_": [("size", c.c_size_t), *fields]})


def ints(*names):
    return [(name, c.c_int32) for name in names]


Memory = struct("Memory", ("allocate", ALLOCATE), ("release", RELEASE), ("user", P))
Cells = struct(
    "Cells",
    *((name, P) for name in ("rows", "cols", "values", "weights")),
    *((name, I64) for name in ("n_cells", "n_rows", "n_cols")),
    *ints("index_bytes", "value_bytes"),
)
Options = struct(
    "Options",
    ("seed", c.c_uint64),
    ("offset", c.c_double),
    *ints("k", "real_bytes", "biases", "nonnegative", "group_size", "n_threads"),
    ("memory", P),
    ("cancel", P),
)
RATES = ("learning_rate", "row_regularization", "col_regularization")
Params = struct(
    "Params",
    *((name, c.c_double) for name in RATES),
    ("n_epochs", I64),
    ("first_epoch", I64),
    *ints("constant_rate", "reserved"),
)
Model = struct(
    "Model",
    *((name, P) for name in ("row_factors", "col_factors")),
    ("n_rows", I64),
    ("n_cols", I64),
    ("offset", c.c_double),
    *ints("k", "real_bytes", "biases", "nonnegative"),
    ("memory", P),
)
Info = struct(
    "Info",
    *((name, I64) for name in ("n_rows", "n_cols", "n_cells", "length")),
    *((name, c.c_double) for name in ("mean", "deviation", "offset")),
)

TYPES = {
    "cells_check": (P, P),
    "plan_create": (P, P, P),
    "plan_info": (P, P),
    "plan_defaults": (P, P),
    "start": (P, P, P),
    "run": (P, P, P, P, I64, INT, P, P, P),
    "rmse": (P, P, INT, P),
    "predict": (P, P, P, I64, P, INT),
    "fold_in_rows": (P, P, c.c_double, P, INT),
    "top": (P, P, I64, I64, P, P, P, P, INT),
    "inpaint_f32": (P, P, I64, I64, I64, I64, INT, INT, c.c_uint64, INT, P, P),
}
ADDRESSES = funkc.capi.addresses()
FUNCTIONS = {name: c.CFUNCTYPE(INT, *types)(ADDRESSES[name]) for name, types in TYPES.items()}
destroy = c.CFUNCTYPE(None, P)(ADDRESSES["plan_destroy"])
message = c.CFUNCTYPE(c.c_char_p, INT)(ADDRESSES["status_message"])


def call(name, *arguments):
    """The status; arrays and structs are passed by their addresses."""
    return FUNCTIONS[name](
        *(
            a.ctypes.data
            if isinstance(a, np.ndarray)
            else c.cast(a, P)
            if isinstance(a, PROGRESS)
            else c.addressof(a)
            if isinstance(a, (c.Structure, I64, c.c_int, c.c_double))
            else a
            for a in arguments
        )
    )


def ask(name, *arguments):
    status = call(name, *arguments)
    assert status == 0, (name, message(status))


def cells_of(rows, cols, values, shape, weights=None):
    cells = Cells(
        c.sizeof(Cells),
        rows.ctypes.data,
        cols.ctypes.data,
        values.ctypes.data,
        None if weights is None else weights.ctypes.data,
        values.size,
        *shape,
        rows.itemsize,
        values.itemsize,
    )
    cells.keep = rows, cols, values, weights
    return cells


def options_of(k, dtype=np.float32, memory=None, **given):
    usual = dict(offset=NAN, k=k, real_bytes=np.dtype(dtype).itemsize, group_size=8, n_threads=1)
    options = Options(c.sizeof(Options), **{**usual, **given})
    if memory is not None:
        options.memory = c.addressof(memory)
    return options


def params_of(**given):
    usual = dict(row_regularization=-1, col_regularization=-1)
    return Params(c.sizeof(Params), **{**usual, **given})


@contextlib.contextmanager
def plan_of(cells, options):
    plan = P()
    ask("plan_create", cells, options, c.byref(plan))
    try:
        yield plan
    finally:
        destroy(plan)


def model_of(x, y, k, offset, biases=False, nonnegative=False, memory=None):
    model = Model(
        c.sizeof(Model), x.ctypes.data, y.ctypes.data, len(x), len(y), offset, k, x.itemsize,
        biases, nonnegative, None if memory is None else c.addressof(memory),
    )  # fmt: skip
    model.keep = x, y, memory
    return model


def problem(n=4000, shape=(120, 90), seed=0, index=np.int32, value=np.float32, levels=None):
    rng = np.random.default_rng(seed)
    chosen = rng.permutation(shape[0] * shape[1])[:n]
    values = rng.normal(size=n) if levels is None else rng.integers(1, levels + 1, n)
    rows, cols = np.divmod(chosen.astype(index), index(shape[1]))
    return rows, cols, values.astype(value), shape


def room(cells, k, dtype, biases=False):
    length = k + 2 * biases
    return np.empty((cells.n_rows, length), dtype), np.empty((cells.n_cols, length), dtype)


def train(cells, options, params=None, n_threads=1, cuts=()):
    """(row factors, column factors, parameters, info) of runs that end at cuts."""
    params = params_of() if params is None else params
    info = Info(c.sizeof(Info))
    x, y = room(cells, options.k, f"f{options.real_bytes}", options.biases)
    with plan_of(cells, options) as plan:
        ask("plan_info", plan, info)
        ask("plan_defaults", plan, params)
        ask("start", plan, x, y)
        for end in (*cuts, params.n_epochs):
            n = end - params.first_epoch
            ask("run", plan, x, y, params, n, n_threads, None, None, None)
            params.first_epoch = end
    return x, y, params, info


def assert_same(fit, x, y, biases=False):
    k = fit.row_factors.shape[1]
    assert np.array_equal(x[:, :k], fit.row_factors)
    assert np.array_equal(y[:, :k], fit.col_factors)
    if biases:
        assert np.array_equal(x[:, k], fit.row_bias)
        assert np.array_equal(y[:, k + 1], fit.col_bias)
        assert np.all(x[:, k + 1] == 1)
        assert np.all(y[:, k] == 1)


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
        x, y, params, info = train(cells, options, n_threads=n_threads)
        assert_same(fit, x, y, biases)
        assert info.offset == fit.offset
    assert params.learning_rate == fit.parameters["learning_rate"]
    assert params.n_epochs == fit.parameters["n_epochs"]
    assert (params.row_regularization, params.col_regularization) == tuple(
        np.broadcast_to(fit.parameters["regularization"], 2)
    )
    assert (info.n_rows, info.n_cols, info.n_cells) == (*shape, values.size)
    assert info.length == 7 + 2 * biases
    assert info.mean == pytest.approx(values.mean())
    assert info.deviation == pytest.approx(values.std())


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
    rate, row, col = (data.draw(st.floats(1e-4, 0.05)) for _ in range(3))
    offset = data.draw(st.one_of(st.just(NAN), st.floats(-5, 5)))
    rows, cols, values, shape = problem(n=data.draw(st.integers(1, 4000)))
    fit = funkc.factorize(
        (rows, cols), values, 4, shape=shape, n_epochs=n, learning_rate=rate,
        regularization=(row, col), group_size=group_size,
        offset="auto" if math.isnan(offset) else offset,
        decay="constant" if constant else "linear",
    )  # fmt: skip
    params = params_of(
        learning_rate=rate, row_regularization=row, col_regularization=col, n_epochs=n,
        constant_rate=constant,
    )  # fmt: skip
    options = options_of(4, group_size=group_size, offset=offset)
    x, y, *_ = train(cells_of(rows, cols, values, shape), options, params, 2, cuts)
    assert_same(fit, x, y)


@pytest.fixture(scope="module", params=[(np.float32, False), (np.float64, True)])
def fitted(request):
    dtype, biases = request.param
    rows, cols, values, shape = problem()
    fit = funkc.factorize((rows, cols), values, 6, shape=shape, biases=biases, dtype=dtype)
    cells = cells_of(rows, cols, values, shape)
    x, y, *_ = train(cells, options_of(6, dtype, biases=biases))
    return fit, model_of(x, y, 6, fit.offset, biases), cells, dtype


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

    for weights in (None, rng.random(values.size) + 0.5):
        new = cells_of(rows, cols, values, (125, 90), weights)  # the last five without a cell
        out = np.empty((125, model.k + 2 * model.biases), dtype)
        ask("fold_in_rows", model, new, 0.05, out, n_threads)
        folded = fit.fold_in_rows(
            (rows, cols), values, shape=(125, 90), regularization=0.05, weights=weights
        )
        assert np.array_equal(out[:, :6], folded.row_factors)
        if model.biases:
            assert np.array_equal(out[:, 6], folded.row_bias)
            assert np.all(out[:, 7] == 1)


def test_new_rows_of_nonnegative_factors():
    rows, cols, values, shape = problem()
    values = np.abs(values)
    fit = funkc.factorize((rows, cols), values, 6, shape=shape, nonnegative=True)
    model = model_of(fit.row_factors, fit.col_factors, 6, fit.offset, nonnegative=True)
    out = np.empty((120, 6), np.float32)
    ask("fold_in_rows", model, cells_of(rows, cols, values, shape), 0.1, out, 2)
    folded = fit.fold_in_rows((rows, cols), values, shape=shape, regularization=0.1)
    assert np.array_equal(out, folded.row_factors)


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
                x, y = room(cells, 8, np.float32)
                params = params_of()
                ask("plan_defaults", plan, params)
                ask("start", plan, x, y)
                ask("run", plan, x, y, params, params.n_epochs, n_threads, None, None, None)
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
    destroy(plan)
    assert_same(fit, x, y, model.biases)

    errors = c.c_double(), c.c_double()
    ask("rmse", model, cells, 1, errors[0])
    upward("rmse", model, cells, 2, errors[1])
    assert errors[0].value == errors[1].value
    weighted = cells_of(rows, cols, values, (120, 90), np.random.default_rng(3).random(rows.size))
    for name, arguments, out in (
        ("predict", (np.arange(90), np.arange(90), 90), np.empty(90, dtype)),
        ("fold_in_rows", (weighted, 0.05), np.empty_like(x)),
    ):
        ask(name, model, *arguments, out, 1)
        expected = out.copy()
        upward(name, model, *arguments, out, 2)
        assert np.array_equal(out, expected)


# ---------------------------------------------------------------- memory, and the end of a run


class Counting:
    """An allocator that counts, and fails at the n-th call."""

    def __init__(self, fails_at=None):
        self.blocks, self.calls, self.fails_at = {}, 0, fails_at
        self.memory = Memory(c.sizeof(Memory), ALLOCATE(self.allocate), RELEASE(self.release))

    def allocate(self, n, _):
        self.calls += 1
        if self.calls == self.fails_at:
            return None
        block = c.create_string_buffer(n + 64)
        at = c.addressof(block) + 15 & ~15
        c.memset(at, 0xA5, n)  # what is there before is nobody's
        self.blocks[at] = block
        return at

    def release(self, at, _):
        if at:
            del self.blocks[at]


def with_failures(work):
    """Do the work with the first allocation failing, the second, ...; then with all there."""
    counting = Counting()
    assert work(counting.memory) == 0
    assert not counting.blocks
    assert counting.calls
    for i in range(1, counting.calls + 1):
        failing = Counting(i)
        assert work(failing.memory) == STATUS["NO_MEMORY"]
        assert failing.calls >= i
        assert not failing.blocks, f"allocation {i}"
    return counting.calls


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("levels", [None, 5])
def test_memory_of_plans_and_runs_comes_back(weighted, levels):
    rows, cols, values, shape = problem(levels=levels)
    weights = np.ones(values.size) if weighted else None
    cells = cells_of(rows, cols, values, shape, weights)
    x, y = room(cells, 5, np.float32)

    def work(memory):
        plan = P()
        status = call(
            "plan_create", cells, options_of(5, memory=memory, n_threads=3), c.byref(plan)
        )
        assert (plan.value is None) == (status != 0)
        if status:
            return status
        x.fill(7)
        status = call("start", plan, x, y)
        assert np.all(x == 7) == (status != 0)
        if status == 0:
            before = x.copy()
            status = call("run", plan, x, y, params_of(), 2, 3, None, None, None)
            assert np.array_equal(x, before) == (status != 0)
        destroy(plan)
        return status

    assert with_failures(work) > 20
    assert work(None) == 0
    with plan_of(cells, options_of(5)) as plan:
        a, b = room(cells, 5, np.float32)
        ask("start", plan, a, b)
        ask("run", plan, a, b, params_of(), 2, 3, None, None, None)
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
            own = model_of(x, y, model.k, model.offset, model.biases, memory=memory)
            return call(arguments[0], own, *arguments[1:])

        return work

    with_failures(does("predict", rows, rows % 90, 120, out, 3))
    with_failures(does("rmse", cells, 3, c.c_double()))
    with_failures(does("top", rows, 120, 4, None, None, best, scores, 3))
    with_failures(does("fold_in_rows", weighted, 0.1, folded, 3))


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
    with plan_of(cells, options_of(5)) as plan:
        params = params_of()
        ask("plan_defaults", plan, params)
        stop = 3
        ask("start", plan, x, y)
        begun = x.copy()
        arguments = plan, x, y, params, params.n_epochs, 2, flag, PROGRESS(note), None
        assert call("run", *arguments) == STATUS["CANCELLED"]
        fit = funkc.factorize(
            (rows, cols), values, 5, shape=shape, n_epochs=params.n_epochs,
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
    with plan_of(cells, options_of(5)) as plan:
        for rate in (1e3, 1e300):
            ask("start", plan, x, y)
            params = params_of(learning_rate=rate, n_epochs=20)
            status = call("run", plan, x, y, params, 20, 2, None, None, None)
            assert status == STATUS["DIVERGED"]


# ---------------------------------------------------------------- faults


FAULTS = {
    "row below": ("rows", -1, "ROW_OUTSIDE"),
    "row above": ("rows", 120, "ROW_OUTSIDE"),
    "column below": ("cols", -1, "COL_OUTSIDE"),
    "column above": ("cols", 90, "COL_OUTSIDE"),
    "no number": ("values", NAN, "NOT_FINITE"),
    "infinite": ("values", -math.inf, "NOT_FINITE"),
    "weight 0": ("weights", 0.0, "BAD_WEIGHT"),
    "weight below": ("weights", -1.0, "BAD_WEIGHT"),
    "weight infinite": ("weights", math.inf, "BAD_WEIGHT"),
    "weight no number": ("weights", NAN, "BAD_WEIGHT"),
    "twice": (None, None, "DUPLICATE_CELL"),
}


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_cells_check_names_the_first_offender(data):
    index = data.draw(st.sampled_from([np.int32, np.int64]))
    value = data.draw(st.sampled_from([np.float32, np.float64]))
    n = data.draw(st.integers(2, 300))
    rows, cols, values, shape = problem(n, index=index, value=value)
    weights = np.ones(n)
    cells, offender = cells_of(rows, cols, values, shape, weights), I64(7)
    ask("cells_check", cells, offender)
    assert offender.value == -1
    arrays = {"rows": rows, "cols": cols, "values": values, "weights": weights}
    faults = {}
    for fault in data.draw(st.lists(st.sampled_from(sorted(FAULTS)), min_size=1, max_size=3)):
        at = data.draw(st.integers(1, n - 1))
        name, bad, status = FAULTS[fault]
        if at in faults or at - 1 in faults or at + 1 in faults:
            continue
        if name is None:
            rows[at], cols[at] = rows[at - 1], cols[at - 1]
        else:
            arrays[name][at] = bad
        faults[at] = status
    first = min(faults)
    assert call("cells_check", cells, offender) == STATUS[faults[first]]
    assert offender.value == first


def refused(name, *arguments):
    """The name of the status, which isn't OK, and has words of its own."""
    status = call(name, *arguments)
    assert status != 0
    assert message(status) != b"unknown status"
    return {number: name for name, number in STATUS.items()}[status]


def changed(struct, **fields):
    other = type(struct).from_buffer_copy(struct)
    for name, value in fields.items():
        setattr(other, name, value)
    return other


BAD_CELLS = [
    *(({name: None}, "NULL_POINTER") for name in ("rows", "cols", "values")),
    *(({"size": size}, "BAD_OPTION") for size in (0, 8, c.sizeof(Cells) - 1)),
    *(
        ({name: width}, "BAD_OPTION")
        for name in ("index_bytes", "value_bytes")
        for width in (0, 2, -4)
    ),
    *(
        ({name: n}, "BAD_SHAPE")
        for name, most in (("n_cells", 2**62), ("n_rows", 2**32), ("n_cols", 2**32))
        for n in (0, -1, -(2**63), 2**63 - 1, most)
    ),
]  # fmt: skip


@pytest.mark.parametrize("fields, status", BAD_CELLS)
def test_bad_cells(fitted, fields, status):
    _, model, cells, dtype = fitted
    bad = changed(cells, **fields)
    plan, offender, out = P(5), I64(), np.empty((120, 8), dtype)
    assert refused("cells_check", bad, offender) == status
    assert offender.value == -1
    assert refused("plan_create", bad, options_of(5), c.byref(plan)) == status
    assert plan.value is None
    assert refused("rmse", model, bad, 1, c.c_double()) == status
    assert refused("fold_in_rows", model, bad, 0.1, out, 1) == status


def no_memory(**fields):
    memory = changed(Counting().memory, **fields)
    return {"memory": c.addressof(memory), "keep": memory}


@pytest.mark.parametrize(
    "fields, status",
    [
        *(({"size": size}, "BAD_OPTION") for size in (0, 8)),
        *(({"k": k}, "BAD_OPTION") for k in (0, -1, 65_537, 2**31 - 1)),
        *(({"real_bytes": n}, "BAD_OPTION") for n in (0, 2, 16)),
        *(({"group_size": n}, "BAD_OPTION") for n in (0, 2, -8)),
        *(({"n_threads": n}, "BAD_OPTION") for n in (0, -1)),
        *(({"offset": x}, "BAD_OPTION") for x in (math.inf, -math.inf)),
        ({"offset": 1e300}, "VALUES_TOO_WIDE"),
        ({"nonnegative": 1, "offset": 1e3}, "BAD_OPTION"),
        (no_memory(size=0), "BAD_OPTION"),
        (no_memory(allocate=ALLOCATE()), "NULL_POINTER"),
        (no_memory(release=RELEASE()), "NULL_POINTER"),
    ],
)
def test_bad_options(fields, status):
    plan = P(5)
    options = changed(options_of(5), **fields)
    cells = cells_of(*problem())
    assert refused("plan_create", cells, options, c.byref(plan)) == status
    assert plan.value is None


def test_cells_that_a_plan_refuses():
    rows, cols, values, shape = problem()
    plan = P()
    for name, at in (("rows", 120), ("rows", -1), ("cols", 90), ("cols", -(2**31))):
        arrays = {"rows": rows.copy(), "cols": cols.copy()}
        arrays[name][1234] = at
        cells = cells_of(arrays["rows"], arrays["cols"], values, shape)
        assert refused("plan_create", cells, options_of(5), c.byref(plan)) == "CELLS_CHANGED"
    rows[7], cols[7] = rows[8], cols[8]
    cells = cells_of(rows, cols, values, shape)
    assert refused("plan_create", cells, options_of(5), c.byref(plan)) == "DUPLICATE_CELL"
    wide = cells_of(*problem()[:2], np.array([-3e38, 3e38] * 2000, np.float32), shape)
    assert refused("plan_create", wide, options_of(5), c.byref(plan)) == "VALUES_TOO_WIDE"
    # What isn't finite is the caller's to look for, but nothing comes to harm.
    for bad in (NAN, math.inf):
        strange = problem()[2]
        strange[::7] = bad
        if (
            call(
                "plan_create",
                cells_of(*problem()[:2], strange, shape),
                options_of(5),
                c.byref(plan),
            )
            == 0
        ):
            destroy(plan)


@pytest.mark.parametrize(
    "fields",
    [
        *({name: NAN} for name in RATES),
        *({name: math.inf} for name in RATES),
        {"learning_rate": -1e-9},
        {"row_regularization": -math.inf},
        {"n_epochs": -1},
        {"first_epoch": -1},
        {"n_epochs": 2**63 - 1},
        {"first_epoch": 2**63 - 1},
        {"first_epoch": 2**48, "constant_rate": 1},
        {"size": 0},
    ],
    ids=str,
)
def test_bad_parameters(fields):
    cells = cells_of(*problem())
    x, y = room(cells, 5, np.float32)
    with plan_of(cells, options_of(5)) as plan:
        ask("start", plan, x, y)
        begun = x.copy()
        params = changed(params_of(), **fields)
        assert refused("plan_defaults", plan, params) == "BAD_OPTION"
        assert refused("run", plan, x, y, params, 1, 1, None, None, None) == "BAD_OPTION"
        assert np.array_equal(x, begun)


def test_bad_runs():
    cells = cells_of(*problem())
    x, y = room(cells, 5, np.float32)
    with plan_of(cells, options_of(5)) as plan:
        ask("start", plan, x, y)
        begun = x.copy()
        for n_epochs, n_threads, params in (
            (-1, 1, params_of()),
            (-(2**63), 1, params_of()),
            (2**63 - 1, 1, params_of(constant_rate=1)),
            (11, 1, params_of(n_epochs=10)),
            (1, 1, params_of(n_epochs=10, first_epoch=10)),
            (1, 0, params_of()),
            (1, -(2**31), params_of()),
        ):
            status = refused("run", plan, x, y, params, n_epochs, n_threads, None, None, None)
            assert status == "BAD_OPTION"
            assert np.array_equal(x, begun)
        for i in range(4):
            arguments = [plan, x, y, params_of()]
            arguments[i] = None
            assert refused("run", *arguments, 1, 1, None, None, None) == "NULL_POINTER"
        for i in range(3):
            arguments = [plan, x, y]
            arguments[i] = None
            assert refused("start", *arguments) == "NULL_POINTER"
        ask("run", plan, x, y, params_of(), 0, 2**31 - 1, None, None, None)
        assert np.array_equal(x, begun)
        ask("run", plan, x, y, params_of(), 1, 2**31 - 1, None, None, None)
        info, params = Info(c.sizeof(Info)), params_of()
        assert refused("plan_info", None, info) == "NULL_POINTER"
        assert refused("plan_info", plan, None) == "NULL_POINTER"
        assert refused("plan_info", plan, Info(0)) == "BAD_OPTION"
        assert refused("plan_defaults", None, params) == "NULL_POINTER"
        assert refused("plan_defaults", plan, None) == "NULL_POINTER"
    last = params_of(first_epoch=2**40, constant_rate=1)
    with plan_of(cells, options_of(5)) as plan:
        ask("start", plan, x, y)
        ask("run", plan, x, y, last, 1, 2, None, None, None)
    destroy(None)


def test_pointers_of_plans_and_checks():
    cells, options, plan = cells_of(*problem()), options_of(5), P()
    assert refused("cells_check", None, I64()) == "NULL_POINTER"
    assert refused("cells_check", cells, None) == "NULL_POINTER"
    assert refused("plan_create", None, options, c.byref(plan)) == "NULL_POINTER"
    assert refused("plan_create", cells, None, c.byref(plan)) == "NULL_POINTER"
    assert refused("plan_create", cells, options, None) == "NULL_POINTER"


def test_the_largest_and_the_smallest_plan():
    one = np.zeros(1, np.int32)
    cells = cells_of(one, one, np.ones(1, np.float32), (1, 1))
    for k in (1, 65_536):
        train(cells, options_of(k, n_threads=2**31 - 1), params_of(n_epochs=2), 2**31 - 1)


@pytest.mark.parametrize(
    "fields, status",
    [
        *(({name: None}, "NULL_POINTER") for name in ("row_factors", "col_factors")),
        *(({"size": size}, "BAD_OPTION") for size in (0, 8)),
        *(({name: n}, "BAD_SHAPE") for name in ("n_rows", "n_cols") for n in (0, -1, 2**32)),
        *(({"k": k}, "BAD_OPTION") for k in (0, -1, 65_537, 2**31 - 1)),
        *(({"real_bytes": n}, "BAD_OPTION") for n in (0, 3)),
        *(({"offset": x}, "BAD_OPTION") for x in (NAN, math.inf)),
        (no_memory(size=0), "BAD_OPTION"),
    ],
)
def test_bad_models(fitted, fields, status):
    _, model, cells, dtype = fitted
    bad = changed(model, **fields)
    rows, cols, out = np.arange(9), np.empty((9, 3), np.int64), np.empty((120, 9), dtype)
    assert refused("predict", bad, rows, rows, 9, out, 1) == status
    assert refused("rmse", bad, cells, 1, c.c_double()) == status
    assert refused("fold_in_rows", bad, cells, 0.1, out, 1) == status
    assert refused("top", bad, rows, 9, 3, None, None, cols, out, 1) == status


def test_bad_arguments_beside_a_model(fitted):
    _, model, cells, dtype = fitted
    rows, best, out = np.arange(9), np.empty((9, 3), np.int64), np.empty((120, 9), dtype)
    for i, status in (("predict", 5), ("rmse", 2), ("fold_in_rows", 4), ("top", 8)):
        good = {
            "predict": [model, rows, rows, 9, out, 1],
            "rmse": [model, cells, 1, c.c_double()],
            "fold_in_rows": [model, cells, 0.1, out, 1],
            "top": [model, rows, 9, 3, None, None, best, out, 1],
        }[i]
        for n_threads in (0, -1):
            arguments = [*good]
            arguments[status] = n_threads
            assert refused(i, *arguments) == "BAD_OPTION"
        arguments[status] = 2**31 - 1
        ask(i, *arguments)
        for at, argument in enumerate(good):
            if isinstance(argument, (np.ndarray, c.Structure, c.c_double)):
                arguments = [*good]
                arguments[at] = None
                assert refused(i, *arguments) == "NULL_POINTER"

    for n in (-1, 2**62, 2**63 - 1):
        assert refused("predict", model, rows, rows, n, out, 1) == "BAD_SHAPE"
    ask("predict", model, None, None, 0, None, 1)
    ask("top", model, None, 0, 3, None, None, None, None, 1)
    for n_rows, n in ((-1, 3), (2**62, 3), (9, 0), (9, -1), (9, 2**32), (2**31, 2**31), (2**48, 2)):
        status = refused("top", model, rows, n_rows, n, None, None, best, out, 1)
        assert status == "BAD_SHAPE"
    for bad in (-1, 120, 2**62):
        assert refused("predict", model, rows * 0 + bad, rows, 9, out, 1) == "ROW_OUTSIDE"
        status = refused("top", model, rows * 0 + bad, 9, 3, None, None, best, out, 1)
        assert status == "ROW_OUTSIDE"
    assert refused("predict", model, rows, rows + 82, 9, out, 1) == "COL_OUTSIDE"

    def hide(hidden_from, hidden):
        return refused("top", model, rows, 9, 3, hidden_from, hidden, best, out, 1)

    columns = np.arange(9)
    cuts = np.minimum(np.arange(10), 9)
    assert hide(cuts, None) == hide(None, columns) == "NULL_POINTER"
    assert hide(cuts[::-1].copy(), columns) == hide(cuts - 1, columns) == "BAD_SHAPE"
    assert hide(np.array([0] * 9 + [9]), columns[::-1].copy()) == "BAD_SHAPE"
    assert hide(cuts, columns + 82) == hide(cuts, columns - 1) == "COL_OUTSIDE"

    for bad in (NAN, -0.1, math.inf):
        assert refused("fold_in_rows", model, cells, bad, out, 1) == "BAD_OPTION"
    beyond = changed(cells, n_cols=91)
    assert refused("fold_in_rows", model, beyond, 0.1, out, 1) == "BAD_SHAPE"
    assert refused("rmse", model, beyond, 1, c.c_double()) == "BAD_SHAPE"
    assert refused("rmse", model, changed(cells, n_rows=121), 1, c.c_double()) == "BAD_SHAPE"
    rows, cols, values, _ = (None if a is None else a.copy() for a in cells.keep)
    rows[1], cols[1] = rows[0], cols[0]
    twice = cells_of(rows, cols, values, (120, 90))
    assert refused("fold_in_rows", model, twice, 0.1, out, 1) == "DUPLICATE_CELL"
    ask("rmse", model, twice, 1, c.c_double())


@pytest.mark.parametrize(
    "at, value, status",
    [
        (0, None, "NULL_POINTER"),
        (1, None, "NULL_POINTER"),
        *((2, n, "BAD_OPTION") for n in (0, -1, 2, 2**62)),
        *((at, n, "BAD_SHAPE") for at in (3, 4, 5) for n in (0, -1, 2**62, -(2**63))),
        (6, 2, "BAD_OPTION"),
        (6, -1, "BAD_OPTION"),
        (7, -1, "BAD_OPTION"),
        (7, 2**31 - 1, "BAD_OPTION"),
        (9, 0, "BAD_OPTION"),
        (9, -1, "BAD_OPTION"),
        (11, changed(Counting().memory, size=0), "BAD_OPTION"),
    ],
)
def test_bad_pictures(at, value, status):
    image = np.random.default_rng(0).random((3, 9, 9)).astype(np.float32)
    missing = np.eye(9, dtype=np.uint8)
    arguments = [image.copy(), missing, 1, 3, 9, 9, 0, 0, 0, 1, None, None]
    if at != 0:
        ask("inpaint_f32", *arguments)
        arguments[0][:] = image
    arguments[at] = value
    assert refused("inpaint_f32", *arguments) == status
    assert at == 0 or np.array_equal(arguments[0], image)


def test_pictures_that_can_not_be_filled():
    image = np.random.default_rng(0).random((1, 9, 9)).astype(np.float32)
    size = 1, 1, 9, 9, 0, 0, 0, 1, None, None
    assert refused("inpaint_f32", image, np.ones(81, np.uint8), *size) == "NOTHING_SEEN"
    image[0, 4, 4] = NAN
    missing = np.zeros((9, 9), np.uint8)
    missing[0, 0] = 1
    assert refused("inpaint_f32", image, missing, *size) == "NOT_FINITE"
    missing[4, 4] = 1
    ask("inpaint_f32", image, missing, *size)
    assert np.isfinite(image).all()
    ask("inpaint_f32", image, missing, *size[:7], 2**31 - 1, None, None)
    # 2**58 pixels are let through, and there is no room for them.
    huge = 1, 1, 2**29, 2**29, 0, 0, 0, 1, None, None
    assert refused("inpaint_f32", image, missing, *huge) == "NO_MEMORY"
    huge = 1, 2, 2**29, 2**29, 0, 0, 0, 1, None, None
    assert refused("inpaint_f32", image, missing, *huge) == "BAD_SHAPE"


# ---------------------------------------------------------------- one thing said in several places


def test_every_status_has_words():
    words = [message(n) for n in STATUS.values()]
    assert len(set(words)) == len(STATUS) == 15
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
    for struct in (Cells, Options, Params, Model, Info, Memory):
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
