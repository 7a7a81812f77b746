"""The grid that is asked for: the oracle's bits, kept in files, the same in C."""

import numpy as np
import pytest
import reference

import funkc
from funkc import _schedule
from funkc._core import plan as core_plan
from funkc._input.cells import observed_cells
from funkc._input.options import checked_options

GRIDS = [(1, 1), (3, 3), (4, 2), (5, 1), (9, 3), (60, 20), (256, 8)]
THREADS = [1, 2, 3, 8]


def problem(n=3000, shape=(90, 70), seed=0):
    rng = np.random.default_rng(seed)
    chosen = rng.permutation(shape[0] * shape[1])[:n]
    return (chosen // shape[1], chosen % shape[1]), rng.normal(size=n), shape


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("grid", GRIDS)
def test_any_grid_gives_the_oracles_bits(grid, dtype):
    """Also one of more bands than rows or columns, many of them empty."""
    cells, values, shape = problem()
    options = {"shape": shape, "dtype": dtype, "n_epochs": 2, "biases": False, "bands": grid}
    oracle = reference.Reference(*cells, values, shape, 3, dtype=dtype, bands=grid)
    oracle.train(*reference.default_settings(oracle, 2))
    oracle.fill()
    for n_threads in THREADS:
        fit = funkc.factorize(cells, values, 3, n_threads=n_threads, **options)
        for found, wanted in zip((fit.row_factors, fit.col_factors), oracle.factors(), strict=True):
            np.testing.assert_array_equal(found, wanted)
        assert fit.parameters["bands"] == grid


@pytest.mark.parametrize("grid", GRIDS)
def test_blocks_of_a_wave_share_no_row_and_no_column(grid):
    cells, values, shape = problem(n=5000)
    problem_ = observed_cells(cells, values, shape=shape)
    schedule = _schedule.cut(problem_, checked_options(8, bands=grid))
    assert (schedule.n_row_bands, schedule.n_bands) == grid
    assert schedule.n_blocks == grid[0] * grid[1]
    schedule.check()


def test_the_grid_that_is_chosen_may_be_asked_for():
    cells, values, shape = problem()
    chosen = funkc.factorize(cells, values, 3, shape=shape)
    bands = core_plan.bands_for(*shape, len(values), 16, 4)
    assert chosen.parameters["bands"] == bands
    asked = funkc.factorize(cells, values, 3, shape=shape, bands=bands)
    np.testing.assert_array_equal(asked.row_factors, chosen.row_factors)
    other = funkc.factorize(cells, values, 3, shape=shape, bands=bands[0] + 1)
    assert (other.row_factors != chosen.row_factors).any()
    assert other.parameters["bands"] == (bands[0] + 1,) * 2


def test_the_grid_is_kept_in_files(tmp_path):
    cells, values, shape = problem()
    options = {"shape": shape, "n_epochs": 5, "bands": (8, 4)}
    whole = funkc.factorize(cells, values, 3, **options)
    whole.save(tmp_path / "model")
    assert funkc.load(tmp_path / "model").parameters["bands"] == (8, 4)
    funkc.factorize(
        cells, values, 3, checkpoint=tmp_path / "on",
        callback=lambda epoch, history: epoch == 2, **options,
    )  # fmt: skip
    resumed = funkc.resume(tmp_path / "on", cells, values)
    assert resumed.parameters["bands"] == (8, 4)
    np.testing.assert_array_equal(resumed.row_factors, whole.row_factors)


@pytest.mark.parametrize(
    "bands, error, words",
    [
        (0, ValueError, r"^bands: got 0\b.*from 1 to 256"),
        (257, ValueError, r"^bands: got 257\b"),
        (2.0, TypeError, r"^bands: got 2.0 of type float"),
        ("8", TypeError, r"^bands: got '8' of type str"),
        ((8, 0), ValueError, r"^bands\[1\]: got 0\b"),
        ((300, 100), ValueError, r"^bands\[0\]: got 300\b"),
        ((8, 4, 2), ValueError, r"^bands: got 3 numbers; pass one number, or a pair"),
        ((4, 8), ValueError, r"^bands: got 4 bands of rows, no multiple of 8 .*\(8, 8\)"),
        ((250, 100), ValueError, r"^bands: got 250 .*\(200, 100\)"),
        ((True, 1), TypeError, r"^bands\[0\]: got True"),
    ],
)
def test_what_is_no_grid_is_refused(bands, error, words):
    cells, values, shape = problem(n=50)
    with pytest.raises(error, match=words):
        funkc.factorize(cells, values, 2, shape=shape, bands=bands)


def oracles(cells, values, shape, bands, n_epochs=2, **options):
    """Asserts that factors equal the oracle's, on one thread and on three."""
    oracle = reference.Reference(*cells, values, shape, 3, bands=bands, **options)
    oracle.train(*reference.default_settings(oracle, n_epochs))
    oracle.fill()
    for n_threads in (1, 3):
        fit = funkc.factorize(
            cells, values, 3, shape=shape, n_epochs=n_epochs, biases=False, bands=bands,
            n_threads=n_threads, **options,
        )  # fmt: skip
        for found, wanted in zip((fit.row_factors, fit.col_factors), oracle.factors(), strict=True):
            np.testing.assert_array_equal(found, wanted)


@pytest.mark.parametrize(
    "lengths",
    [
        [252, 253, 255, 256, 257, 260, 264, 248],  # those of 64 groups and more count as equal
        [*range(1, 25)] * 25,  # more runs than are put in order of length at once
    ],
    ids=["long", "many"],
)
def test_the_order_of_runs_is_the_oracles(lengths):
    rng = np.random.default_rng(0)
    rows = np.repeat(np.arange(len(lengths)), lengths)
    cols = np.concatenate([rng.permutation(270)[:n] for n in lengths])
    oracles((rows, cols), rng.normal(size=rows.size), (len(lengths), 270), (1, 1))


@pytest.mark.parametrize("kind", ["coded", "plain", "weighted"])
def test_blocks_of_more_than_2_to_the_32_places(kind):
    """Whose keys take eight bytes, and whose columns lie on two pages."""
    rng = np.random.default_rng(1)
    places = np.unique(rng.integers(0, 70_000**2, 500))
    cells = np.divmod(np.r_[places, np.arange(35_000, 35_040)], 70_000)  # and one long run
    n = cells[0].size
    values = rng.integers(1, 6, n).astype(float) if kind == "coded" else rng.normal(size=n)
    weights = {"weights": rng.exponential(size=n) + 0.01} if kind == "weighted" else {}
    oracles(cells, values, (70_000, 70_000), (1, 1), n_epochs=1, **weights)


def test_held_out_errors_are_added_up_by_band():
    cells, values, shape = problem(n=4000)
    held = tuple(side[:3000] for side in cells), values[:3000]
    options = {"shape": shape, "n_epochs": 1, "biases": False, "bands": (9, 3)}
    rest = tuple(side[3000:] for side in cells), values[3000:]
    fit = funkc.factorize(*rest, 3, validation=held, **options)
    oracle = reference.Reference(*rest[0], rest[1], shape, 3, bands=(9, 3))
    oracle.train(*reference.default_settings(oracle, 1))
    row_at, col_at = np.argsort(oracle.row_order), np.argsort(oracle.col_order)
    cuts = reference.cut_evenly(
        oracle.row_order, np.bincount(rest[0][0], minlength=shape[0]), 1000, 9
    )
    rows, cols = row_at[held[0][0]], col_at[held[0][1]]
    totals = [0.0] * 9
    for c in np.lexsort((cols, rows)):
        made = float(reference.dot(oracle.x[rows[c]], oracle.y[cols[c]]))
        error = float(values[c]) - oracle.offset - made
        totals[np.searchsorted(cuts, rows[c], side="right") - 1] += error * error
    assert fit.history["validation_rmse"] == [(reference.add_up(totals) / 3000) ** 0.5]
