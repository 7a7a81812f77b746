"""The core against the slow oracle: equal to the bit."""

import numpy as np
import pytest
import reference
from hypothesis import given, settings
from hypothesis import strategies as st

import funkc
from funkc.images import Tiling

DTYPES = [np.float32, np.float64]


@st.composite
def problems(draw):
    """Observed cells of a small matrix: any density, from one cell to all of them."""
    shape = draw(
        st.one_of(
            st.just((1, 1)),
            st.tuples(st.just(1), st.integers(1, 40)),
            st.tuples(st.integers(1, 40), st.just(1)),
            st.tuples(st.integers(1, 30), st.integers(1, 30)),
        )
    )
    cells = shape[0] * shape[1]
    n = draw(st.one_of(st.just(1), st.just(cells), st.integers(1, cells)))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    chosen = rng.permutation(cells)[:n]
    values = draw(
        st.sampled_from(
            [
                lambda: rng.normal(size=n) * 100 - 40,  # no two alike: stored as numbers
                lambda: rng.integers(1, 6, n).astype(float),  # few distinct: stored as codes
                lambda: np.full(n, 3.25),
                lambda: rng.choice([-0.0, 0.0, 1e-3], n),
            ]
        )
    )()
    return (chosen // shape[1], chosen % shape[1]), values, shape


def compare(cells, values, shape, k, dtype, seed=0, group=8, n_epochs=3, **options):
    """Without biases; for those see test_rule.py."""
    fit = funkc.factorize(
        cells, values, k, shape=shape, dtype=dtype, random_state=seed, group_size=group,
        n_epochs=n_epochs, biases=False, **options,
    )  # fmt: skip
    oracle = reference.Reference(
        *cells, values, shape, k, dtype=dtype, seed=seed, offset=options.get("offset"),
        weights=options.get("weights"),
    )  # fmt: skip
    rates, regularization = reference.default_settings(oracle, n_epochs)
    if "learning_rate" in options:
        rates = [options["learning_rate"]] * n_epochs
        regularization = options["regularization"]
    errors = oracle.train(rates, regularization, group)
    oracle.fill()
    rows, cols = oracle.factors()
    assert fit.offset == oracle.offset
    np.testing.assert_array_equal(fit.row_factors, rows)
    np.testing.assert_array_equal(fit.col_factors, cols)
    np.testing.assert_allclose(fit.history["train_rmse"], errors, rtol=1e-12, atol=1e-300)
    np.testing.assert_array_equal(fit.history["learning_rate"], rates)


@pytest.mark.parametrize("dtype", DTYPES)
@given(
    problem=problems(),
    k=st.sampled_from([1, 3, 16, 17, 33]),
    seed=st.integers(0, 2**64 - 1),
    group=st.sampled_from([1, 8]),
    spread=st.sampled_from([None, 0.3, 3]),
)
@settings(max_examples=60, deadline=None)
def test_any_problem_gives_the_oracles_bits(dtype, problem, k, seed, group, spread):
    """With weights that some steps bear, or only in part."""
    weights = None
    if spread is not None:
        weights = np.exp(np.random.default_rng(seed).normal(0, spread, problem[1].size))
    compare(*problem, k, dtype, seed, group, weights=weights)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("k", [5, 64, 128, 130])
def test_several_bands_and_waves(dtype, k):
    """Enough cells for more than one band, with rows and bands that are empty."""
    rng = np.random.default_rng(7)
    shape = (300, 200)
    chosen = rng.permutation(150 * 200)[:6000]
    cells = chosen // 200 * 2, chosen % 200
    compare(cells, rng.integers(1, 11, 6000) / 2, shape, k, dtype, n_epochs=2)
    assert reference.bands_of(shape, 6000, k, np.dtype(dtype).itemsize) == (3, 3)


@pytest.mark.parametrize("dtype", DTYPES)
def test_columns_beyond_sixteen_bits_lie_on_further_pages(dtype):
    rng = np.random.default_rng(3)
    cols = np.sort(rng.permutation(200_000)[:400])
    rows = rng.integers(0, 2, 400)
    compare((rows, cols), rng.normal(size=400), (2, 200_000), 2, dtype, n_epochs=2)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("group", [1, 8])
def test_a_run_longer_than_its_length_can_say_is_split(dtype, group):
    """A full row of 65,536 + 5 columns: lengths are 16-bit numbers."""
    n = 65_536 + 5
    values = np.arange(n) % 7 / 7
    compare((np.zeros(n, int), np.arange(n)), values, (1, n), 1, dtype, group=group, n_epochs=1)


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_slides_rule(dtype):
    """Funk's own order with a constant rate, no offset: x += α (2 e y - β x)."""
    alpha, beta = 0.02, 0.02
    rng = np.random.default_rng(5)
    cells = np.nonzero(rng.random((9, 5)) < 0.6)
    values = rng.integers(1, 6, len(cells[0])).astype(float)
    compare(
        cells, values, (9, 5), 2, dtype, group=1, n_epochs=30, offset=0.0, decay="constant",
        learning_rate=2 * alpha, regularization=(beta / 2, beta / 2),
    )  # fmt: skip


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_two_sides_have_their_own_regularization(dtype):
    rng = np.random.default_rng(5)
    cells = np.nonzero(rng.random((9, 8)) < 0.6)
    compare(
        cells, rng.normal(size=len(cells[0])), (9, 8), 2, dtype, decay="constant",
        learning_rate=0.02, regularization=(0.5, 0.01),
    )  # fmt: skip


@given(
    height=st.integers(1, 23),
    width=st.integers(1, 23),
    tile=st.tuples(st.integers(1, 25), st.integers(1, 25)),
    seed=st.integers(0, 2**32),
)
@settings(max_examples=40, deadline=None)
def test_tiles_are_the_same_rule_on_a_block_diagonal_matrix(height, width, tile, seed):
    rng = np.random.default_rng(seed)
    image = rng.random((height, width))
    missing = rng.random(image.shape) < 0.4
    missing[rng.integers(height), rng.integers(width)] = False
    corrected, generated = funkc.inpaint(
        image, missing, method="funk", tile_shape=tile, k=3, n_epochs=3, random_state=seed,
        return_generated=True,
    )  # fmt: skip

    tiling = Tiling(height, width, tile)
    rows, cols = np.nonzero(~missing)
    cells = tiling.cells(rows, cols)
    values = image[rows, cols]
    oracle = reference.Reference(
        *cells, values, tiling.shape, 3, seed=seed, tiles=[list(c) for c in tiling.cuts()]
    )
    oracle.train(*reference.default_settings(oracle, 3))
    x, y = oracle.factors()
    whole = (oracle.offset + (x @ y.T).astype(float)).clip(values.min(), values.max())
    all_rows, all_cols = np.indices(image.shape).reshape(2, -1)
    expected = whole[tiling.cells(all_rows, all_cols)].reshape(image.shape)
    np.testing.assert_allclose(generated, expected, atol=1e-5)
    np.testing.assert_array_equal(corrected, np.where(missing, generated, image))
