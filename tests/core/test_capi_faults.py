"""The functions of funkc.h refuse every fault with a status of its own."""

import ctypes as c
import math

import numpy as np
import pytest
from capi_table import (
    ALLOCATE,
    I64,
    NAN,
    RATES,
    RELEASE,
    STATUS,
    Cells,
    Counting,
    Info,
    P,
    ask,
    call,
    cells_of,
    changed,
    destroy,
    message,
    options_of,
    params_of,
    plan_of,
    problem,
    room,
    train,
)
from hypothesis import given, settings
from hypothesis import strategies as st

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
        *(
            ({"row_bands": rows, "col_bands": cols}, "BAD_OPTION")
            for rows, cols in ((1, 0), (0, 1), (2, 4), (3, 2), (-2, -1), (257, 1), (514, 257))
        ),
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
    x, y = room(cells, 5, np.float32, biases=True)
    with plan_of(cells, options_of(5)) as plan:
        ask("start", plan, x, y)
        begun = x.copy()
        params = changed(params_of(), **fields)
        assert refused("plan_defaults", plan, params) == "BAD_OPTION"
        assert refused("run", plan, x, y, params, 1, 1, None, None, None) == "BAD_OPTION"
        assert np.array_equal(x, begun)


def test_bad_runs():
    cells = cells_of(*problem())
    x, y = room(cells, 5, np.float32, biases=True)
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
        *(({"noise": x}, "BAD_OPTION") for x in (NAN, math.inf, -1e-9)),
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

    for bad in (NAN, -math.inf, math.inf):
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
