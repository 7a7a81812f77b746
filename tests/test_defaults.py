"""The defaults need no tuning: whatever the scale and offset of the values, the shape, and k."""

import functools
import logging
import types

import numpy as np
import pytest
import reference
import reference_rule

import funkc
from funkc._cli.demo import DEMO_RATINGS

pytestmark = pytest.mark.usefixtures("never_back_off")


@pytest.fixture
def never_back_off(caplog):
    """A default rate that diverges is a wrong one, even though training recovers from it."""
    caplog.set_level(logging.INFO, "funkc")
    yield
    assert [r for r in caplog.get_records("call") if "diverged" in r.getMessage()] == []


# ---------------------------------------------------------------- data and measures

# The fits are so small that a second thread, which leaves no trace, would only cost time.
factorize = functools.partial(funkc.factorize, n_threads=1)


class Data:
    """Cells, of which some are held out."""

    def __init__(self, rows, cols, values, shape, held=0.1):
        self.rows, self.cols, self.values, self.shape = rows, cols, values, shape
        self.held = np.random.default_rng(0).random(len(values)) < held

    def predict(self, k, values=None, **options):
        """The cells that are held out, from the others."""
        values = self.values if values is None else values
        cells = self.rows[~self.held], self.cols[~self.held]
        fit = factorize(cells, values[~self.held], k, shape=self.shape, **options)
        predictions = fit.predict(self.rows[self.held], self.cols[self.held])
        assert np.isfinite(predictions).all()
        return predictions.astype(np.float64)

    def error_of(self, predictions):
        """Root mean square, on the cells that are held out."""
        return np.sqrt(np.mean((predictions - self.values[self.held]) ** 2))

    def error(self, k, **options):
        return self.error_of(self.predict(k, **options))

    def error_of_mean(self):
        return self.error_of(self.values[~self.held].mean())

    def error_of_means(self):
        """Of the mean, and how far row and column are above it on average."""
        mean = self.values[~self.held].mean()
        above = [
            np.bincount(index[~self.held], self.values[~self.held] - mean, n)
            / np.maximum(1, np.bincount(index[~self.held], minlength=n))
            for index, n in zip((self.rows, self.cols), self.shape, strict=True)
        ]
        return self.error_of(mean + above[0][self.rows[self.held]] + above[1][self.cols[self.held]])


NOISE = 0.5


@functools.cache
def ratings(n=15_000, shape=(300, 200), stars=True):
    """Biases, rank three, and noise: half stars, which are few values, or continuous ones."""
    rng = np.random.default_rng(0)
    rows, cols = np.divmod(rng.permutation(shape[0] * shape[1])[:n], shape[1])
    x, y = rng.normal(size=(shape[0], 3)), rng.normal(size=(shape[1], 3))
    bias = rng.normal(size=shape[0])[rows] + rng.normal(size=shape[1])[cols]
    values = 3.5 + 0.35 * (bias + (x[rows] * y[cols]).sum(1)) + NOISE * rng.normal(size=n)
    return Data(rows, cols, np.clip(np.round(2 * values) / 2, 0.5, 5) if stars else values, shape)


def dense(values, missing=0.3):
    rows, cols = np.indices(values.shape)
    return Data(rows.ravel(), cols.ravel(), values.ravel(), values.shape, missing)


# ---------------------------------------------------------------- scale and offset


def error_at(data, scale, offset, values_in=np.float64, k=16, **options):
    """Of values on another scale, measured on their own."""
    values = (data.values * scale + offset).astype(values_in)
    return data.error_of((data.predict(k, values, **options) - offset) / scale)


@functools.cache
def usual_error(stars, dtype):
    return ratings(stars=stars).error(16, dtype=dtype)


# Also where float32 could not tell predictions apart, for float64 is chosen then.
@pytest.mark.parametrize(
    "scale, offset",
    [
        (1000, -40_000),
        (1000, 40_000),
        (1e-3, 0),
        (1e-3, 5),
        (1, 1e4),
        (1, 1e6),
        (1, -1e6),
        (1e6, 0),
        (1e6, 1e6),
        (1e-30, 0),
        (1e30, 0),
    ],
)
@pytest.mark.parametrize("stars", [True, False])
@pytest.mark.parametrize("values_in", [np.float32, np.float64])
@pytest.mark.parametrize("dtype", [None, np.float64])
def test_scale_and_offset_change_no_error(scale, offset, stars, values_in, dtype):
    found = error_at(ratings(stars=stars), scale, offset, values_in, dtype=dtype)
    assert found == pytest.approx(usual_error(stars, dtype), rel=0.005)


@pytest.mark.parametrize("stars", [True, False])
def test_factors_do_not_see_an_offset_that_is_large(stars):
    """float32 counts in steps of 64 there, so double precision is chosen."""
    data = ratings(stars=stars)
    cells = data.rows[~data.held], data.cols[~data.held]
    fit = factorize(cells, data.values[~data.held] + 1e9, 16, shape=data.shape)
    rows, cols = data.rows[data.held], data.cols[data.held]
    error = data.error_of(fit.predict(rows, cols) - 1e9)
    assert error == pytest.approx(usual_error(stars, np.float32), rel=0.005)


@pytest.mark.parametrize("stars", [True, False])
@pytest.mark.parametrize("scale, offset", [(-1, 0), (-250, 17), (-1e-3, -5)])
def test_values_upside_down_are_as_easy(stars, scale, offset):
    """Another way through training, so the errors agree as those of two seeds do."""
    data, seeds = ratings(stars=stars), range(4)
    upright = np.mean([data.error(16, random_state=s) for s in seeds])
    found = np.mean([error_at(data, scale, offset, random_state=s) for s in seeds])
    assert found == pytest.approx(upright, rel=0.01)


# ---------------------------------------------------------------- better than means


@pytest.mark.parametrize("n", [15_000, 30_000])
@pytest.mark.parametrize("k", [1, 2, 4, 8, 16, 64])
@pytest.mark.parametrize("biases", [False, True])
def test_structure_is_found(n, k, biases):
    data = ratings(n)
    error = data.error(k, biases=biases)
    assert error < 0.9 * data.error_of_mean()
    if k >= 2:
        assert error < 0.95 * data.error_of_means()
    if k >= 4:  # as many as there are, and one for the level
        rounding = 0.5**2 / 12
        assert error < 1.15 * np.sqrt(NOISE**2 + rounding)


@pytest.mark.parametrize("k", [1, 4, 16, 64])
@pytest.mark.parametrize("biases", [False, True])
def test_few_cells_are_better_than_none(k, biases):
    """Seventeen in a row."""
    data = ratings(5000)
    assert data.error(k, biases=biases) < 0.93 * data.error_of_mean()


@pytest.mark.parametrize("k", [4, 16, 64])
def test_noise_alone_is_not_learned_by_heart(k):
    data = ratings()
    data = Data(data.rows, data.cols, np.random.default_rng(0).normal(size=15_000), data.shape)
    assert data.error(k) < 1.2 * data.error_of_mean()


@pytest.mark.parametrize("n_epochs", [1, 2, 5])
@pytest.mark.parametrize("k", [4, 64])
def test_few_epochs_have_no_rate_that_diverges(n_epochs, k):
    data = ratings()
    assert data.error(k, n_epochs=n_epochs) < data.error_of_mean()


@pytest.mark.parametrize("level", [-100, 10, 1000])
@pytest.mark.parametrize("k", [4, 64])
def test_neither_does_an_offset_far_from_the_values(level, k):
    data = ratings(stars=False)
    found = data.predict(k, data.values - 3.5 + level, offset=0.0)
    assert data.error_of(found + 3.5 - level) < data.error_of_mean()


# ---------------------------------------------------------------- shapes and k


@pytest.mark.parametrize("k", [1, 2, 3, 5, 9, 20])
@pytest.mark.parametrize("biases", [False, True])
def test_nine_rows_and_five_columns(k, biases):
    """Every cell that is not alone in its row, from the others."""
    table = DEMO_RATINGS
    observed = ~np.isnan(table)
    found, usual = [], []
    for i, j in np.argwhere(observed & (observed.sum(1) > 1)[:, None]):
        others = observed.copy()
        others[i, j] = False
        prediction = factorize(others, table, k, biases=biases).predict(i, j)
        assert 0.5 < prediction < 5.5
        found.append(prediction - table[i, j])
        usual.append(table[others].mean() - table[i, j])
    assert np.linalg.norm(found) < 0.6 * np.linalg.norm(usual)


@pytest.mark.parametrize("rank", [1, 2, 3, 5])
@pytest.mark.parametrize("more", [1, 2, 5, 27])
def test_a_dense_matrix_of_low_rank(rank, more):
    """With one factor more, for the level that the offset takes off."""
    rng = np.random.default_rng(rank)
    data = dense(rng.normal(size=(100, rank)) @ rng.normal(size=(rank, 100)))
    assert data.error(rank + more) < 0.12 * data.error_of_mean()


@pytest.mark.parametrize("rank", [2, 3, 5])
def test_a_dense_matrix_of_positive_factors(rank):
    rng = np.random.default_rng(rank)
    data = dense(rng.random((100, rank)) @ rng.random((rank, 100)))
    for k in (rank, rank + 1, 16):
        assert data.error(k) < 0.15 * data.error_of_mean()
        assert data.error(k, nonnegative=True) < 0.5 * data.error_of_mean()


@pytest.mark.parametrize("k", [2, 5, 16, 29, 30, 31, 40, 64, 100, 200, 500])
@pytest.mark.parametrize("biases", [False, True])
def test_any_k_also_above_the_shape(k, biases):
    data = ratings(1000, (40, 30))
    assert data.error(k, biases=biases) < 0.97 * min(data.error_of_mean(), data.error_of_means())


@pytest.mark.parametrize("shape", [(1, 30), (30, 1), (2, 2), (3, 1000), (1000, 3), (1, 1)])
@pytest.mark.parametrize("k", [4, 64])
def test_odd_shapes(shape, k):
    matrix = 5 + np.random.default_rng(1).normal(size=shape)
    found = factorize(None, matrix, k).reconstruct()
    assert np.isfinite(found).all()
    around = np.linalg.norm(matrix - matrix.mean())
    assert np.linalg.norm(found - matrix) <= (0.9 if min(shape) > 1 else 1) * around + 1e-5


# ---------------------------------------------------------------- odd values


@pytest.mark.parametrize("constant", [3.0, -7.0, 1e6, -1e-6, 1e-30, 1e30])
@pytest.mark.parametrize("k", [1, 8, 64])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_one_value_is_predicted_everywhere(constant, k, dtype):
    data = ratings(3000)
    found = data.predict(k, np.full(3000, constant), dtype=dtype)
    assert np.abs(found - constant).max() <= 1e-6 * abs(constant)


@pytest.mark.parametrize("k", [4, 16])
@pytest.mark.parametrize("share, bound", [(0.5, 0.87), (0.2, 0.9), (0.1, 0.97)])
@pytest.mark.parametrize("low, high", [(0, 1), (-1, 1), (1, 2), (0, 1e6)])
def test_two_values(k, share, bound, low, high):
    data = ratings(30_000, stars=False)
    is_high = data.values > np.quantile(data.values, 1 - share)
    data = Data(data.rows, data.cols, np.where(is_high, high, low).astype(float), data.shape)
    assert data.error(k) < bound * data.error_of_mean()


@pytest.mark.parametrize("n", [3000, 15_000, 30_000])
@pytest.mark.parametrize("k", [4, 16, 64])
@pytest.mark.parametrize("spread, bound", [(0.5, 0.55), (1.0, 0.75), (1.5, 0.95)])
@pytest.mark.filterwarnings("ignore::funkc.OutlierWarning")
def test_heavy_tails(n, k, spread, bound):
    """Log-normal, of rows and columns that multiply: the largest is up to 60 deviations away."""
    data = log_normal(n, spread)
    assert data.error(k) < bound * data.error_of_mean()


@pytest.mark.parametrize("n", [3000, 15_000, 30_000])
@pytest.mark.parametrize("k", [4, 16, 64])
@pytest.mark.parametrize("spread, bound", [(0.5, 0.55), (1.0, 0.75)])
@pytest.mark.filterwarnings("ignore::funkc.OutlierWarning")
def test_heavy_tails_of_nonnegative_factors(n, k, spread, bound):
    data = log_normal(n, spread)
    assert data.error(k, nonnegative=True) < bound * data.error_of_mean()


@functools.cache
def log_normal(n, spread):
    cells = ratings(n)
    rng = np.random.default_rng(6)
    row, col = rng.normal(size=300), rng.normal(size=200)
    logarithms = (row[cells.rows] + col[cells.cols] + 0.5 * rng.normal(size=n)) / 1.5
    return Data(cells.rows, cells.cols, np.exp(spread * logarithms), cells.shape)


# ---------------------------------------------------------------- the documented formulas


def drawn_problem(seed):
    """A shape from a few rows to 10,000, and as many distinct entries as a share of it."""
    rng = np.random.default_rng(seed)
    m, n = (int(size) for size in np.exp(rng.uniform(np.log(3), np.log(10_000), 2)))
    count = int(np.clip(np.exp(rng.uniform(np.log(4), np.log(150_000))), 4, m * n))
    cells = np.unique(rng.integers(0, m * n, count))
    values = rng.normal(rng.normal(), np.exp(rng.normal(0, 3)), cells.size)
    return np.divmod(cells, n), values, (m, n)


@pytest.mark.parametrize("seed", range(50))
@pytest.mark.parametrize("biases", [False, True])
def test_the_default_settings_are_those_of_the_documentation(seed, biases):
    cells, values, shape = drawn_problem(seed)
    fit = factorize(
        cells, values, 1, shape=shape, biases=biases, callback=lambda epoch, history: True
    )
    mean, deviation = reference.statistics(values.tolist())
    problem = types.SimpleNamespace(
        n_cells=values.size, shape=shape, mean=mean, deviation=deviation, offset=fit.offset
    )
    if biases:
        left, density = fit.baseline_rmse["biases"], values.size / np.sqrt(np.prod(fit.n_seen))
        rates, regularization = reference_rule.settings(problem, 0.0, left, density)
    else:
        rates, regularization = reference.default_settings(problem)
        assert fit.offset == pytest.approx(mean - 2 * deviation, rel=1e-12)
    assert fit.parameters["n_epochs"] == len(rates)
    assert fit.parameters["learning_rate"] == pytest.approx(rates[0], rel=1e-12)
    assert fit.parameters["regularization"] == pytest.approx(regularization, rel=1e-12)
