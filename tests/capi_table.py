"""The functions of funkc.h by way of ctypes, and data to call them with."""

import contextlib
import ctypes as c
import math
import re
from pathlib import Path

import numpy as np

import funkc
import funkc.capi

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
    *ints("row_bands", "col_bands"),
    ("huber_delta", c.c_double),
    ("loss", I64),
)
RATES = ("learning_rate", "row_regularization", "col_regularization")
Params = struct(
    "Params",
    *((name, c.c_double) for name in RATES),
    ("n_epochs", I64),
    ("first_epoch", I64),
    *ints("constant_rate", "stages"),
)
Result = struct(
    "Result",
    *((name, c.c_double) for name in ("offset", "noise", "mean_rmse", "biases_rmse")),
    ("n_stages", I64),
    *((name, c.c_double) for name in ("mean_loss", "biases_loss")),
)
Model = struct(
    "Model",
    *((name, P) for name in ("row_factors", "col_factors")),
    ("n_rows", I64),
    ("n_cols", I64),
    ("offset", c.c_double),
    *ints("k", "real_bytes", "biases", "nonnegative"),
    ("memory", P),
    ("noise", c.c_double),
    ("huber_delta", c.c_double),
    ("loss", I64),
)
Info = struct(
    "Info",
    *((name, I64) for name in ("n_rows", "n_cols", "n_cells", "length")),
    *((name, c.c_double) for name in ("mean", "deviation", "offset")),
    *ints("row_bands", "col_bands"),
    ("huber_delta", c.c_double),
)
TYPES = {
    "cells_check": (P, P),
    "plan_create": (P, P, P),
    "plan_info": (P, P),
    "plan_defaults": (P, P),
    "start": (P, P, P),
    "run": (P, P, P, P, I64, INT, P, P, P),
    "finish": (P, P, P, P, INT),
    "train": (P, P, P, P, INT, P, P, P, P),
    "rmse": (P, P, INT, P),
    "mean_loss": (P, P, INT, P),
    "predict": (P, P, P, I64, P, INT),
    "fold_in_rows": (P, P, c.c_double, P, INT),
    "top": (P, P, I64, I64, P, P, P, P, INT),
    "inpaint_f32": (P, P, I64, I64, I64, I64, INT, INT, c.c_uint64, INT, P, P),
    "inpaint_volume_f32": (P, P, I64, I64, I64, I64, I64, INT, INT, c.c_uint64, INT, P, P),
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


def changed(struct, **fields):
    other = type(struct).from_buffer_copy(struct)
    for name, value in fields.items():
        setattr(other, name, value)
    return other


def options_of(k, dtype=np.float32, memory=None, **given):
    usual = dict(offset=NAN, k=k, biases=2, group_size=8, n_threads=1)
    usual["real_bytes"] = np.dtype(dtype).itemsize
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


def model_of(x, y, k, offset, biases=False, nonnegative=False, memory=None, noise=0):
    model = Model(
        c.sizeof(Model), x.ctypes.data, y.ctypes.data, len(x), len(y), offset, k, x.itemsize,
        biases, nonnegative, None if memory is None else c.addressof(memory), noise,
    )  # fmt: skip
    model.keep = x, y, memory
    return model


def problem(n=4000, shape=(120, 90), seed=0, index=np.int32, value=np.float32, levels=None):
    rng = np.random.default_rng(seed)
    chosen = rng.permutation(shape[0] * shape[1])[:n]
    values = rng.normal(size=n) if levels is None else rng.integers(1, levels + 1, n)
    rows, cols = np.divmod(chosen.astype(index), index(shape[1]))
    return rows, cols, values.astype(value), shape


def signal(noise, seed=0, shape=(30, 20), n=400):
    """What two factors make, with noise: of 0.3 it is worth two stages, of 0.7 one."""
    rng = np.random.default_rng(seed)
    chosen = rng.permutation(shape[0] * shape[1])[:n].astype(np.int32)
    rows, cols = np.divmod(chosen, np.int32(shape[1]))
    values = rng.normal(size=(shape[0], 2)) @ rng.normal(size=(2, shape[1]))
    values += noise * rng.normal(size=shape)
    return rows, cols, values[rows, cols].astype(np.float32), shape


def has_biases(options):
    """Whether biases are fitted: 2 leaves it to the library."""
    usual = math.isnan(options.offset) and not options.nonnegative
    return options.biases == 1 or (options.biases == 2 and usual)


def room(cells, k, dtype, biases=False):
    length = k + 2 * biases
    return np.empty((cells.n_rows, length), dtype), np.empty((cells.n_cols, length), dtype)


def train(cells, options, params=None, n_threads=1, cuts=()):
    """(row factors, column factors, parameters, info, result) of runs that end at cuts."""
    params = params_of() if params is None else params
    info, result = Info(c.sizeof(Info)), Result(c.sizeof(Result))
    x, y = room(cells, options.k, f"f{options.real_bytes}", has_biases(options))
    with plan_of(cells, options) as plan:
        ask("plan_info", plan, info)
        ask("plan_defaults", plan, params)
        ask("start", plan, x, y)
        for end in (*cuts, params.n_epochs):
            n = end - params.first_epoch
            ask("run", plan, x, y, params, n, n_threads, None, None, None)
            params.first_epoch = end
        ask("finish", plan, x, y, result, n_threads)
    return x, y, params, info, result


def train_at_once(cells, options, params=None, n_threads=1):
    """(row factors, column factors, result) of the whole rule."""
    params = params_of() if params is None else params
    result = Result(c.sizeof(Result))
    x, y = room(cells, options.k, f"f{options.real_bytes}", has_biases(options))
    with plan_of(cells, options) as plan:
        ask("train", plan, x, y, params, n_threads, None, None, None, result)
    return x, y, result


def fit_of(rows, cols, values, shape, k=3, **options):
    return funkc.factorize((rows, cols), values, k, shape=shape, random_state=3, **options)


def assert_result(fit, result):
    """What training came to, as Python tells it."""
    assert (result.offset, result.noise, result.n_stages) == (fit.offset, fit.noise, fit.stages)
    for loss, rmse, name in (
        (result.mean_loss, result.mean_rmse, "mean"),
        (result.biases_loss, result.biases_rmse, "biases"),
    ):
        np.testing.assert_equal(loss, fit.baseline_loss.get(name, NAN))
        np.testing.assert_equal(rmse, fit.baseline_rmse.get(name, NAN))


def assert_same(fit, x, y):
    k = fit.row_factors.shape[1]
    assert np.array_equal(x[:, :k], fit.row_factors)
    assert np.array_equal(y[:, :k], fit.col_factors)
    assert x.shape[1] - k == 2 * (fit.row_bias is not None)
    if fit.row_bias is not None:
        assert np.array_equal(x[:, k], fit.row_bias)
        assert np.array_equal(y[:, k + 1], fit.col_bias)
        assert np.all(x[:, k + 1] == 1)
        assert np.all(y[:, k] == 1)


class Counting:
    """An allocator that counts, and fails at the n-th call."""

    fill = 0xA5  # what is there before is nobody's

    def __init__(self, fails_at=None):
        self.blocks, self.calls, self.fails_at = {}, 0, fails_at
        self.memory = Memory(c.sizeof(Memory), ALLOCATE(self.allocate), RELEASE(self.release))

    def allocate(self, n, _):
        self.calls += 1
        if self.calls == self.fails_at:
            return None
        block = c.create_string_buffer(n + 64)
        at = c.addressof(block) + 15 & ~15
        c.memset(at, self.fill, n)
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
