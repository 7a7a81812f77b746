"""The core against the slow oracle: equal to the bit."""

import itertools

import numpy as np
import pytest
import reference
import reference_pictures
from hypothesis import given, settings
from hypothesis import strategies as st

import funkc
from funkc._core import pictures as core
from funkc._errors import MORE, OK
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


def smooth_picture(shape, seed):
    """Waves and some noise, between 0 and 1."""
    rng = np.random.default_rng(seed)
    rows, cols = np.indices(shape)
    a, b, c = rng.uniform(0.2, 0.9, 3)
    image = np.sin(a * rows + b * cols) + np.cos(c * cols) + 0.1 * rng.normal(size=shape)
    return ((image - image.min()) / np.ptp(image)).astype(np.float32)


def steps(image, seen, patches=False, k=0, seed=0, everywhere=False):
    """Stage, step, the planes after it, and what the core holds."""
    planes = np.where(seen, image, np.nan).astype(float)
    ranges = np.tile([0.0, 1.0], (len(image), 1))
    missing = (~seen).view(np.uint8)
    status, begun = core.begin(missing, ranges, patches, k, seed, everywhere, not patches, 2)
    assert status == OK
    for channel, plane in enumerate(planes):
        core.put(begun, channel, 0, plane)
    status = MORE
    while status == MORE:
        status, stage, step, _, _ = core.go_on(begun)
        if stage:
            for channel in range(len(planes)):
                core.take(begun, channel, 0, planes[channel])
            yield stage, step, planes.astype(np.float32), begun
    assert status == OK


def in_range_of(image, seen, made):
    return np.clip(made, image[seen].min(), image[seen].max())


@given(
    shape=st.tuples(st.integers(2, 40), st.integers(2, 40)),
    share=st.sampled_from([0.2, 0.5, 0.8, 0.98]),
    k=st.sampled_from([1, 3, 8, 16]),
    n_sweeps=st.integers(1, 3),
    everywhere=st.booleans(),
    seed=st.integers(0, 2**20),
)
@settings(max_examples=40, deadline=None)
def test_tiles_are_those_of_plain_numpy(shape, share, k, n_sweeps, everywhere, seed):
    image = smooth_picture(shape, seed)
    seen = np.random.default_rng(seed).random(shape) >= share
    seen[0, 0], seen[-1, -1] = True, False  # or there is nothing to do
    *_, (stage, step, planes, _) = itertools.islice(
        steps(image[None], seen[None], False, k, seed, everywhere), 1 + n_sweeps
    )
    assert (stage, step) == ("tiles", n_sweeps)
    wanted = reference_pictures.by_tiles(image.astype(float), seen, k, n_sweeps, seed, everywhere)
    wide = reference_pictures.wide_holes(seen)
    fitted = ~np.isnan(wanted) & ~wide
    at = fitted & ~seen
    np.testing.assert_allclose(planes[0][at], in_range_of(image, seen, wanted)[at], atol=3e-3)
    at = fitted & seen
    if everywhere:
        np.testing.assert_allclose(planes[0][at], wanted[at], atol=3e-3)
    at = seen & ~fitted if everywhere else seen
    np.testing.assert_array_equal(planes[0][at], image[at])
    smooth = in_range_of(image, seen, reference_pictures.fill_smoothly(image, seen))
    at = ~seen & ~fitted
    np.testing.assert_array_equal(planes[0][at], smooth[at])


@given(
    shape=st.tuples(st.integers(1, 70), st.integers(1, 70)),
    n_masks=st.integers(1, 3),
    share=st.sampled_from([0.001, 0.02, 0.3, 0.9]),
    holes=st.lists(st.tuples(*[st.integers(0, 60)] * 2, *[st.integers(1, 40)] * 2), max_size=6),
    drawn_out=st.floats(0, 1),  # of holes, which are strokes from about a half on
    seed=st.integers(0, 2**20),
)
@settings(max_examples=100, deadline=None)
def test_masks_are_surveyed_as_by_plain_numpy(shape, n_masks, share, holes, drawn_out, seed):
    rng = np.random.default_rng(seed)
    seen = rng.random((n_masks, *shape)) >= share
    seen[:, :, 1:] &= seen[:, :, :-1] | (rng.random(seen[:, :, 1:].shape) >= drawn_out)
    seen[:, 1:] &= seen[:, :-1] | (rng.random(seen[:, 1:].shape) >= drawn_out)
    for top, left, height, width in holes:
        seen[rng.integers(n_masks), top : top + height, left : left + width] = False
    seen[:, 0, 0] = True
    stage, _, _, begun = next(steps(np.zeros(seen.shape), seen, everywhere=True))
    assert stage == "survey"
    wide = np.stack([reference_pictures.wide_holes(plane) for plane in seen])
    strokes = any(reference_pictures.in_strokes(plane) for plane in seen)
    assert core.survey(begun) == (wide.sum(), strokes)


@given(
    shape=st.tuples(st.integers(1, 200), st.integers(1, 200)),
    n_seen=st.integers(1, 40),
    seed=st.integers(0, 2**20),
)
@settings(max_examples=60, deadline=None)
def test_wide_holes_are_filled_as_by_plain_numpy(shape, n_seen, seed):
    """To the bit, from whatever little is seen."""
    rng = np.random.default_rng(seed)
    image = rng.random(shape).astype(np.float32)
    seen = np.zeros(shape, bool)
    seen.flat[rng.integers(image.size, size=n_seen)] = True
    _, (stage, step, planes, _) = itertools.islice(
        steps(image[None], seen[None], everywhere=True), 2
    )
    assert (stage, step) == ("tiles", 1)
    smooth = in_range_of(image, seen, reference_pictures.fill_smoothly(image, seen))
    wide = reference_pictures.wide_holes(seen)
    np.testing.assert_array_equal(planes[0][wide], smooth[wide])


PASSES = {}  # of the oracle, which are the same whatever `everywhere` is


def oracles_pass(filled, seen, size, factors):
    key = filled.tobytes(), seen.tobytes(), size, factors
    if key not in PASSES:
        PASSES[key] = reference_pictures.by_patches(filled, seen, size, factors)
    return PASSES[key]


@pytest.mark.parametrize(
    "shape, share, k, plan",
    [
        ((1, 27, 31), 0.3, 0, [(8, 4), (8, 6), (6, 8), (6, 12)]),
        ((1, 27, 31), 0.7, 5, [(8, 4), (8, 5), (6, 5), (6, 5)]),
        ((1, 27, 31), None, 0, [(8, 4), (8, 6), (8, 8), (8, 12)]),
        ((1, 27, 31), 0.3, 16, [(8, 4), (8, 6), (6, 8), (6, 16)]),
        ((1, 7, 90), 0.3, 9, [(7, 4), (7, 6), (6, 8), (6, 9)]),
        ((3, 27, 31), 0.7, 0, [(4, 4), (4, 6), (4, 8), (4, 12)]),
        ((1, 36, 1100), 0.0004, 0, [(8, 4), (8, 6), (6, 8), (6, 12)]),  # a band in two parts
    ],
)
@pytest.mark.parametrize("everywhere", [False, True])
def test_patches_are_those_of_plain_numpy(shape, share, k, plan, everywhere):
    image = np.stack([smooth_picture(shape[1:], seed) for seed in range(len(shape))])[: shape[0]]
    if share is None:
        seen = np.broadcast_to(np.indices(shape[1:]).sum(axis=0) % 11 > 3, shape).copy()
    else:
        seen = np.random.default_rng(0).random(shape) >= share
    done, filled = [], image
    for stage, step, planes, _ in steps(image, seen, True, k, everywhere=everywhere):
        if stage == "patches":
            size, factors = plan[step - 1]
            wanted = oracles_pass(filled, seen, size, factors)
            # Where two patches are about equally alike, either may be in a group.
            apart = np.abs(planes - wanted)[~seen]
            assert np.median(apart) < 1e-4
            assert np.quantile(apart, 0.98) < 5e-3
            done.append(step)
        if stage != "survey":
            filled = np.where(seen, image, planes).astype(float)
    assert done == [1, 2, 3, 4]
    if everywhere:
        assert 0 < np.abs(planes - image)[seen].mean() < 0.1
    else:
        np.testing.assert_array_equal(planes[seen], image[seen])
