"""The cut: what the absence of locks rests on."""

import numpy as np
import pytest
import reference
from hypothesis import example, given, settings
from hypothesis import strategies as st
from reference import bands_of, fold_of, is_held_out, padded

from funkc import _schedule
from funkc._core import plan as core_plan
from funkc._errors import MORE
from funkc._input.cells import observed_cells
from funkc._input.options import checked_options


def schedule_of(cells, values, shape, weights=None, **options):
    problem = observed_cells(cells, values, shape=shape, weights=weights)
    return _schedule.cut(problem, checked_options(8, **options)), problem


@given(
    seed=st.integers(0, 2**32),
    shape=st.tuples(st.integers(1, 400), st.integers(1, 400)),
    density=st.floats(0.001, 0.3),
    n_threads=st.sampled_from([1, 3]),
)
@settings(max_examples=60, deadline=None)
def test_every_cell_once_and_no_sharing_within_a_wave(seed, shape, density, n_threads):
    rng = np.random.default_rng(seed)
    mask = rng.random(shape) < density
    mask[0, 0] = True
    rows, cols = np.nonzero(mask)
    values = rng.normal(size=rows.size)
    schedule, _ = schedule_of((rows, cols), values, shape, n_threads=n_threads, offset=0.0)
    schedule.check()
    cells = schedule.cells()
    back_row, back_col = np.argsort(cells["row_position"]), np.argsort(cells["col_position"])
    found = sorted(
        zip(back_row[cells["row"]], back_col[cells["col"]], cells["target"], strict=True)
    )
    expected = sorted(zip(rows, cols, values.astype(np.float32).astype(float), strict=True))
    assert found == expected


def test_check_finds_two_blocks_of_a_wave_that_share_a_row(monkeypatch):
    rng = np.random.default_rng(0)
    mask = rng.random((200, 200)) < 0.5
    schedule, _ = schedule_of(np.nonzero(mask), np.ones(mask.sum()), (200, 200))
    assert schedule.n_bands > 2
    cells = schedule.cells()
    moved = dict(cells, row=np.where(cells["block"] == 1, cells["row"][0], cells["row"]))
    monkeypatch.setattr(_schedule.Schedule, "cells", lambda self: moved)
    with pytest.raises(AssertionError, match="share a row"):
        schedule.check()


def test_bands_hold_about_equal_numbers_of_cells():
    rng = np.random.default_rng(0)
    mask = rng.random((1000, 800)) < np.linspace(0.001, 0.3, 1000)[:, None]
    schedule, _ = schedule_of(np.nonzero(mask), rng.normal(size=mask.sum()), (1000, 800))
    assert schedule.n_bands == 8
    counts = np.bincount(schedule.cells()["block"], minlength=schedule.n_blocks)
    assert counts.max() < 1.3 * counts.mean()


def test_a_rating_takes_less_than_four_bytes():
    """Few distinct values: two bytes of column, one of value, and the runs' headers."""
    rng = np.random.default_rng(0)
    mask = rng.random((3000, 2000)) < 0.1
    schedule, _ = schedule_of(np.nonzero(mask), rng.integers(1, 6, mask.sum()), (3000, 2000))
    numbers = core_plan.describe(schedule.plan)
    assert numbers["coded"]
    assert numbers["cell_bytes"] / schedule.n_cells < 4


@pytest.mark.parametrize("n, coded", [(256, True), (257, False)])
def test_values_are_coded_up_to_256_of_them(n, coded):
    values = np.arange(n) * 0.37
    schedule, _ = schedule_of(
        (np.arange(n), np.zeros(n, int)), values, (n, 1), offset=0.0, dtype=np.float64
    )
    assert core_plan.describe(schedule.plan)["coded"] is coded
    assert sorted(schedule.cells()["target"]) == sorted(values)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("biases", [False, True])
def test_statistics_are_those_of_the_values(weighted, biases):
    rng = np.random.default_rng(0)
    values = rng.normal(5, 3, 4000)
    weights = rng.exponential(size=4000) + 1e-9 if weighted else None
    cells = np.arange(4000), np.zeros(4000, int)
    schedule, _ = schedule_of(cells, values, (4000, 1), weights, biases=biases)
    mean = np.average(values, weights=weights)
    deviation = np.sqrt(np.average((values - mean) ** 2, weights=weights))
    assert schedule.mean == pytest.approx(mean, rel=1e-7)
    assert schedule.deviation == pytest.approx(deviation, rel=1e-7)
    exact = reference.statistics(values.tolist(), None if weights is None else weights.tolist())
    assert (schedule.mean, schedule.deviation) == exact
    assert schedule.offset == schedule.mean - (0 if biases else 2) * schedule.deviation
    numbers = core_plan.describe(schedule.plan)
    assert (numbers["low"], numbers["high"]) == (values.min(), values.max())


def test_the_order_of_the_rows_is_shuffled_by_the_seed():
    cells = np.arange(50), np.zeros(50, int)
    orders = [
        tuple(schedule_of(cells, np.ones(50), (50, 1), random_state=s)[0].cells()["row_position"])
        for s in (0, 1)
    ]
    assert orders[0] != orders[1]
    assert orders[0] != tuple(range(50))


def test_a_cut_that_takes_several_calls():
    """More cells than one call of the core works through, shared by several workers."""
    rng = np.random.default_rng(0)
    mask = rng.random((1500, 1200)) < 0.7
    rows, cols = np.nonzero(mask)
    shuffled = rng.permutation(rows.size)
    values = rng.normal(size=rows.size)
    plain, _ = schedule_of((rows, cols), values, mask.shape, n_threads=1)
    plain.check()
    for n_threads in (2, 3):
        schedule, _ = schedule_of(
            (rows[shuffled], cols[shuffled]), values[shuffled], mask.shape, n_threads=n_threads
        )
        for name, column in schedule.cells().items():
            np.testing.assert_array_equal(column, plain.cells()[name])


@given(
    shape=st.tuples(st.integers(1, 10**7), st.integers(1, 10**7)),
    n_cells=st.integers(1, 10**11),
    k=st.integers(1, 4096),
    itemsize=st.sampled_from([4, 8]),
)
@example((480_189, 17_770), 100_480_507, 32, 4)
@example((10**6, 10**7), 10**9, 128, 8)
def test_the_number_of_bands_follows_the_data(shape, n_cells, k, itemsize):
    bands = core_plan.bands_for(*shape, n_cells, padded(k), itemsize)
    assert bands == bands_of(shape, n_cells, k, itemsize)


def test_more_cells_give_more_threads_work():
    assert core_plan.bands_for(6040, 3706, 10**6, 32, 4) == (8, 8)
    assert core_plan.bands_for(138_493, 26_744, 18 * 10**6, 128, 4) == (8, 8)
    assert core_plan.bands_for(480_189, 17_770, 10**8, 32, 4) == (19, 19)
    assert core_plan.bands_for(10**7, 10**4, 10**8, 32, 4)[1] == 8  # ten cells a row
    assert core_plan.bands_for(10**5, 10**6, 10**9, 128, 4) == (123, 123)  # columns of 4 MB a band


def test_rows_of_a_band_fit_the_cache():
    sparse = 800_000, 200_000, 4 * 10**6
    assert core_plan.bands_for(*sparse, 16, 4) == (8, 8)
    assert core_plan.bands_for(*sparse, 64, 4) == (32, 8)
    assert core_plan.bands_for(*sparse, 128, 4) == (56, 8)
    assert core_plan.bands_for(200_000, 10**6, 2 * 10**7, 64, 4) == (12, 12)  # eight cells a band


# ---------------------------------------------------------------- the forms that cells are read in

WHOLE = ["i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8"]
REAL = ["?", *WHOLE, "f4", "f8"]
# What the core answers besides (the Status of types.pxd).
NOTHING_SEEN, NOT_FINITE, ROW_OUTSIDE, COL_OUTSIDE, BAD_WEIGHT = 9, 10, 14, 15, 16
NO_MASK, NO_CUTS = np.empty(0, np.uint8), np.empty(0, np.int64)


def source_of(form, shape, rows, cols, values, index, other, weights):
    """The cells in a form, and all arrays that must live meanwhile."""
    n = values.size
    if form == "pair":
        order = np.random.default_rng(n).permutation(n)
        kept = [rows[order].astype(index), cols[order].astype(other), values[order]]
        kept.append(None if weights is None else weights[order])
        source = core_plan.source(core_plan.LISTED_CELLS, *shape, n, *kept, NO_MASK, False)
    elif form in ("mask", "nan"):
        table = np.full(shape, np.nan if form == "nan" else 55, values.dtype)
        table[rows, cols] = values
        mask = np.zeros(shape, np.uint8)
        mask[rows, cols] = 1
        heavy = None if weights is None else np.full(shape, -1.0)
        if heavy is not None:
            heavy[rows, cols] = weights
        seen = NO_MASK if form == "nan" else mask.ravel()
        kept = [table, heavy, seen]
        source = core_plan.source(
            core_plan.DENSE_CELLS, *shape, mask.size, None, None, table, heavy, seen, form == "nan"
        )
    else:
        first, second, size = (rows, cols, shape[0]) if form == "csr" else (cols, rows, shape[1])
        order = np.lexsort((second, first))
        begins = np.zeros(size + 1, other)
        np.cumsum(np.bincount(first, minlength=size), out=begins[1:])
        kept = [begins, second[order].astype(index), values[order]]
        kept.append(None if weights is None else weights[order])
        lists = kept[:2] if form == "csr" else kept[1::-1]
        kind = core_plan.CELLS_BY_ROW if form == "csr" else core_plan.CELLS_BY_COL
        source = core_plan.source(kind, *shape, n, *lists, *kept[2:], NO_MASK, False)
    return source, kept


def plan_of(source, n_threads, offset=0.25):
    status, begun = core_plan.begin(
        source, 16, True, 1e150, 3, offset, 2.0, NO_CUTS, NO_CUTS, 0, 0, n_threads
    )
    assert status == 0
    status, plan, where = core_plan.go_on(begun)
    while status == MORE:
        status, plan, where = core_plan.go_on(begun)
    if status != 0:
        return status, where
    schedule = _schedule.Schedule.of(plan)
    schedule.check()
    weights = np.frombuffer(core_plan.contents(plan)[6]).tobytes()
    return {**schedule.cells(), "weights": weights, "numbers": core_plan.describe(plan)}


def assert_same_plan(one, other):
    assert one.keys() == other.keys()
    for name, column in one.items():
        np.testing.assert_equal(column, other[name])


@pytest.mark.parametrize("form", ["pair", "mask", "nan", "csr", "csc"])
@given(data=st.data())
@settings(max_examples=25, deadline=None)
def test_every_form_is_cut_as_the_list_of_its_cells(form, data):
    seed = data.draw(st.integers(0, 2**32))
    rng = np.random.default_rng(seed)
    shape = data.draw(st.tuples(st.integers(1, 127), st.integers(1, 127)))
    mask = rng.random(shape) < data.draw(st.floats(0.01, 1))
    mask[0, 0] = True
    rows, cols = map(np.ascontiguousarray, np.nonzero(mask))
    dtype = np.dtype(data.draw(st.sampled_from(["f4", "f8"] if form == "nan" else REAL)))
    values = rng.integers(0, 2 if dtype.kind == "b" else data.draw(st.sampled_from([9, 120])),
                          rows.size).astype(dtype)  # fmt: skip
    if dtype.kind == "f" and data.draw(st.booleans()):
        values += rng.normal(size=rows.size).astype(dtype)
    index = data.draw(st.sampled_from(WHOLE))
    other = data.draw(st.sampled_from(WHOLE if form == "pair" else ["i4", "i8"]))
    weights = None
    if data.draw(st.booleans()):
        weights = rng.integers(0, 3, rows.size).astype(data.draw(st.sampled_from(REAL)))
        weights[0] = 1
    source, _kept = source_of(form, shape, rows, cols, values, index, other, weights)
    chosen = np.ones(rows.size, bool) if weights is None else weights != 0
    draw = data.draw(st.sampled_from(["all", "share", "fold"]))
    wanted = data.draw(st.booleans())
    if draw != "all":
        share, folds, fold = (0.4, 0, 0) if draw == "share" else (0.0, 3, 1)
        source = core_plan.drawn(source, wanted, seed, share, folds, fold)
        places = [i * shape[1] + j for i, j in zip(rows.tolist(), cols.tolist(), strict=True)]
        if draw == "share":
            mark = [is_held_out(seed, place, share) for place in places]
        else:
            mark = [fold_of(seed, place, folds) == fold for place in places]
        chosen &= np.array(mark) == wanted
    n = int(chosen.sum())
    size = mask.size if form in ("mask", "nan") else rows.size
    assert core_plan.look(source, 0, size)[::2] == (0, n)
    kind = data.draw(st.sampled_from(["i4", "i8"]))
    lists = [np.empty(n, kind), np.empty(n, kind), np.empty(n)]
    lists.append(np.empty(0 if weights is None else n))
    at = core_plan.write_cells(source, 0, size // 2, 0, *lists)
    assert core_plan.write_cells(source, size // 2, size, at, *lists) == n
    columns = [rows, cols, values.astype(float)]
    if weights is not None:
        columns.append(weights.astype(float))
    found = sorted(zip(*lists[: len(columns)], strict=True))
    assert found == sorted(zip(*(column[chosen] for column in columns), strict=True))
    if n == 0:
        assert plan_of(source, 1)[0] == NOTHING_SEEN
        return
    plain, _plain_kept = source_of(
        "pair", shape, rows[chosen], cols[chosen], values[chosen].astype(float), "i8", "i8",
        None if weights is None else weights[chosen].astype(float),
    )  # fmt: skip
    expected = plan_of(plain, 1)
    for n_threads in (1, 2, 3, 8):
        assert_same_plan(plan_of(source, n_threads), expected)


OFFENCES = {
    "row": ("rows", 90, ROW_OUTSIDE),
    "negative row": ("rows", -1, ROW_OUTSIDE),
    "col": ("cols", 80, COL_OUTSIDE),
    "negative col": ("cols", -(2**31), COL_OUTSIDE),
    "NaN": ("values", np.nan, NOT_FINITE),
    "infinite": ("values", -np.inf, NOT_FINITE),
    "weight": ("weights", -1.0, BAD_WEIGHT),
    "weight of NaN": ("weights", np.nan, BAD_WEIGHT),
}


@pytest.mark.parametrize("offence", OFFENCES)
@pytest.mark.parametrize("index", ["i4", "i8"])
@given(places=st.lists(st.integers(0, 69_999), min_size=1, max_size=4), data=st.data())
@settings(max_examples=10, deadline=None)
def test_the_first_offender_is_found(offence, index, places, data):
    """Also among cells that are not wanted; with several workers' chunks."""
    name, bad, status = OFFENCES[offence]
    rng = np.random.default_rng(0)
    n = 70_000
    cells = {
        "rows": rng.integers(0, 90, n).astype(index),
        "cols": rng.integers(0, 80, n).astype(index),
        "values": rng.normal(size=n),
        "weights": rng.random(n) + 0.1,
    }
    cells[name][places] = bad
    source = core_plan.source(core_plan.LISTED_CELLS, 90, 80, n, *cells.values(), NO_MASK, False)
    if data.draw(st.booleans()):
        source = core_plan.drawn(source, False, 0, 0.5, 0, 0)
    for n_threads in (1, 2, 3, 8):
        assert plan_of(source, n_threads) == (status, min(places))
    assert core_plan.look(source, 0, n)[:2] == (status, min(places))


@pytest.mark.parametrize("form", ["csr", "csc", "mask", "nan"])
def test_offenders_of_other_forms(form):
    rng = np.random.default_rng(0)
    shape = 40, 30
    rows, cols = np.nonzero(rng.random(shape) < 0.5)
    values = rng.normal(size=rows.size)
    values[[123, 321]] = np.inf
    source, kept = source_of(form, shape, rows, cols, values, "i4", "i8", None)
    place = [rows[123] * 30 + cols[123], rows[321] * 30 + cols[321]]
    by_col = np.lexsort((rows, cols))
    at = {"csr": 123, "csc": min(np.flatnonzero(np.isin(by_col, [123, 321])))}
    assert plan_of(source, 3) == (NOT_FINITE, at.get(form, place[0]))
    if form in ("csr", "csc"):
        kept[1][7] = 10**6
        assert plan_of(source, 3) == (COL_OUTSIDE if form == "csr" else ROW_OUTSIDE, 7)
