"""The cut: what the absence of locks rests on."""

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from reference import bands_of, padded

from funkc import _schedule
from funkc._core import plan as core_plan
from funkc._input.cells import observed_cells
from funkc._input.options import checked_options


def schedule_of(cells, values, shape, **options):
    problem = observed_cells(cells, values, shape=shape)
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
    assert schedule.coded
    assert schedule.cell_bytes / schedule.n_cells < 4


@pytest.mark.parametrize("n, coded", [(256, True), (257, False)])
def test_values_are_coded_up_to_256_of_them(n, coded):
    values = np.arange(n) * 0.37
    schedule, _ = schedule_of(
        (np.arange(n), np.zeros(n, int)), values, (n, 1), offset=0.0, dtype=np.float64
    )
    assert schedule.coded is coded
    assert sorted(schedule.cells()["target"]) == sorted(values)


def test_statistics_are_those_of_the_values():
    values = np.random.default_rng(0).normal(5, 3, 4000)
    schedule, _ = schedule_of((np.arange(4000), np.zeros(4000, int)), values, (4000, 1))
    assert schedule.mean == pytest.approx(values.mean(), rel=1e-7)
    assert schedule.deviation == pytest.approx(values.std(), rel=1e-7)
    assert schedule.offset == schedule.mean - 2 * schedule.deviation
    assert (schedule.low, schedule.high) == (values.min(), values.max())


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
    assert core_plan.bands_for(6040, 3706, 10**6, 32, 4) == 8
    assert core_plan.bands_for(138_493, 26_744, 18 * 10**6, 128, 4) == 8
    assert core_plan.bands_for(480_189, 17_770, 10**8, 32, 4) == 19
    assert core_plan.bands_for(10**7, 10**4, 10**8, 32, 4) == 8  # ten cells a row
    assert core_plan.bands_for(10**5, 10**6, 10**9, 128, 4) == 245  # columns of 2 MB a band
