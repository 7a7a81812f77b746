"""Pictures: the core against the slow oracle."""

import itertools

import numpy as np
import pytest
import reference_pictures
from hypothesis import given, settings
from hypothesis import strategies as st

from funkc._core import pictures as core
from funkc._errors import MORE, OK


def smooth_picture(shape, seed):
    """Waves and some noise, between 0 and 1."""
    rng = np.random.default_rng(seed)
    rows, cols = np.indices(shape)
    a, b, c = rng.uniform(0.2, 0.9, 3)
    image = np.sin(a * rows + b * cols) + np.cos(c * cols) + 0.1 * rng.normal(size=shape)
    return ((image - image.min()) / np.ptp(image)).astype(np.float32)


def steps(image, seen, patches=False, k=0, seed=0, everywhere=False, n_frames=1, watched=None,
          fine=False):  # fmt: skip
    """Stage, step, the planes after it, and what the core holds."""
    planes = np.where(seen, image, np.nan).astype(float)
    ranges = np.tile([0.0, 1.0], (len(image), 1))
    missing = (~seen).view(np.uint8)
    watched = not patches if watched is None else watched
    status, begun = core.begin(
        missing, n_frames, ranges, patches, k, fine, seed, everywhere, watched, 2
    )
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


NARROW = 31  # rows or columns of a picture that is not halved


@given(
    shape=st.tuples(st.integers(2, 40), st.integers(2, NARROW)),
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
    lost=st.booleans(),
)
@settings(max_examples=100, deadline=None)
def test_masks_are_surveyed_as_by_plain_numpy(shape, n_masks, share, holes, drawn_out, seed, lost):
    """Of the frames of a film, which may be lost."""
    rng = np.random.default_rng(seed)
    seen = rng.random((n_masks, *shape)) >= share
    seen[:, :, 1:] &= seen[:, :, :-1] | (rng.random(seen[:, :, 1:].shape) >= drawn_out)
    seen[:, 1:] &= seen[:, :-1] | (rng.random(seen[:, 1:].shape) >= drawn_out)
    for top, left, height, width in holes:
        seen[rng.integers(n_masks), top : top + height, left : left + width] = False
    seen[:, 0, 0] = True
    if lost := lost and n_masks > 1:
        seen[0] = False
    n_frames = n_masks if lost else 1
    survey = steps(np.zeros(seen.shape), seen, everywhere=True, n_frames=n_frames)
    stage, _, _, begun = next(survey)
    assert stage == "survey"
    n_wide, (missing, *look), *_ = core.survey(begun)
    if lost:
        seen = seen[1:]
    else:
        assert n_wide == sum(reference_pictures.wide_holes(plane).sum() for plane in seen)
    wanted_missing, *wanted = reference_pictures.look(seen)
    assert missing == pytest.approx(wanted_missing, rel=1e-12)
    assert look == wanted


@given(
    shape=st.tuples(st.integers(1, NARROW), st.integers(1, 200)),
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


def halved(image, seen):
    """The means of what is seen of two by two pixels, and of which something is."""
    sums = reference_pictures.halved(np.where(seen, image, 0))
    counts = reference_pictures.halved(seen.astype(np.uint8))
    return sums / np.maximum(counts, 1, dtype=np.float32), counts > 0


def enlarged(coarse, shape):
    down, across = (
        reference_pictures.twice_as_large(few, n)
        for few, n in zip(coarse.shape, shape, strict=True)
    )
    return down @ coarse @ across.T


@pytest.mark.parametrize("everywhere", [False, True])
def test_tiles_take_wide_holes_from_half_the_picture(everywhere):
    """From its tiles, which take them for seen then."""
    image = smooth_picture((41, 60), 3)
    rows, cols = np.indices(image.shape)
    seen = mask(0.2, image.shape) & (np.maximum(abs(rows - 20), abs(cols - 33)) > 5)
    *_, (stage, step, planes, begun) = steps(image[None], seen[None], everywhere=everywhere)
    assert (stage, step, core.survey(begun)[2]) == ("tiles", 28, 1)
    coarse, coarse_seen = halved(image, seen)
    _, *sweeps = steps(coarse[None], coarse_seen[None])
    made = sweeps[13][2]
    start = np.where(seen, image, enlarged(made[0], image.shape).clip(0, 1))
    wide = reference_pictures.wide_holes(seen, 5)
    assert wide.any()
    wanted = reference_pictures.by_tiles(start, seen | wide, 8, 14, 0, everywhere)
    np.testing.assert_allclose(planes[0][wide], in_range_of(image, seen, start)[wide], atol=1e-6)
    at = ~seen & ~wide
    np.testing.assert_allclose(planes[0][at], in_range_of(image, seen, wanted)[at], atol=3e-3)


def test_coarser_pictures_are_passed_over_as_by_plain_numpy():
    """What they hold is read off the picture that is made of them, for that is linear."""
    image = (0.2 + 0.6 * smooth_picture((50, 37), 2)).astype(np.float32)
    seen = mask(0.1, image.shape) & mask("4", (64, 70))[14:, 14:51]
    seen[48, 30:], seen[49, 30:] = False, True  # in the last pair of rows, and the last column
    plan = [(11, 2, 16)] * 3 + [(11, 3, 16)] * 3 + [(8, 4, 16)]
    coarse, coarse_seen = halved(image, seen)
    back = [
        np.linalg.pinv(reference_pictures.twice_as_large(few, n))
        for few, n in zip(coarse.shape, image.shape, strict=True)
    ]
    *_, (_, _, (tiles,), _) = steps(coarse[None], coarse_seen[None])
    n_done, held = 0, tiles
    for stage, step, planes, begun in steps(
        image[None], seen[None], True, everywhere=True, watched=True
    ):
        if stage == "survey":
            assert core.survey(begun)[2] == 1
        if stage not in ("tiles", "coarse"):
            continue
        found = back[0] @ planes[0] @ back[1].T
        np.testing.assert_allclose(found[coarse_seen], coarse[coarse_seen], atol=1e-4)
        if stage == "coarse":
            filled = np.where(coarse_seen, coarse, held)[None, None]
            size, directions, enough = plan[step - 1]
            wanted = reference_pictures.by_patches(
                filled, coarse_seen[None, None], size, directions, enough, 0, (step - 1) % 4
            )[0, 0]
            assert_close(found, wanted, coarse_seen)
            n_done += 1
        else:
            n_sweeps = step
            last = found
        held = found
    assert (n_sweeps, n_done) == (20, 7)
    at = ~coarse_seen
    np.testing.assert_allclose(last[at], tiles[at], atol=1e-4)


def test_a_part_of_the_smoothest_fill_is_mixed_into_thick_holes():
    image = (0.2 + 0.6 * smooth_picture((40, 36), 5)).astype(np.float32)
    seen = mask("5", (64, 70))[14:54, 14:50] & (np.indices(image.shape)[0] != 3)
    *_, (_, _, (before,), _), (stage, _, planes, begun) = steps(image[None], seen[None], True)
    assert stage == "smooth"
    assert core.survey(begun)[-1] == pytest.approx(0.15)
    smooth = in_range_of(image, seen, reference_pictures.smoothest(before, seen))
    thick = reference_pictures.wide_holes(seen, 5)
    assert 0 < thick.sum() < (~seen).sum()
    np.testing.assert_array_equal(planes[0][~thick], before[~thick])
    wanted = before + 0.15 * (smooth - before)
    np.testing.assert_allclose(planes[0][thick], wanted[thick], atol=1e-3)
    assert np.abs(planes[0] - before)[thick].max() > 1e-2


def mask(kind, shape=(64, 70)):
    """What is seen."""
    rows, cols = np.indices(shape)
    if isinstance(kind, float):
        return np.random.default_rng(0).random(shape) >= kind
    if kind == "text":
        return ((rows + 5) % 12 > 1) & ((cols + 5) % 17 > 1)
    if kind == "thick text":
        return ((rows + 5) % 24 > 4) & ((cols + 5) % 29 > 4)
    if kind == "strokes":
        return (rows % 40 > 11) & (np.hypot(rows - 50, cols - 50) > 4)
    if kind == "some wide":
        return (rows % 20 > 1) & (np.maximum(abs(rows - 32), abs(cols - 32)) > 4)
    return np.maximum(abs(rows - 32), abs(cols - 32)) > int(kind)  # a square


X3 = [(11, 3, 16, 0)] * 3
FEW = [(8, 6, 8, 0), (8, 8, 8, 0), (8, 12, 8, 0), (8, 16, 0, 0)]
MANY = [(8, 6, 16, 0), (8, 8, 16, 0), (8, 12, 16, 0), (8, 16, 0, 0)]
MOST = [*X3[:2], (8, 4, 16, 0), (8, 6, 16, 0), (6, 8, 16, 0), (6, 12, 0, 0)]
SPARSE = [*X3, (8, 4, 0, 0)]
THIN = [(11, 16, 16, 1), (8, 4, 16, 0), (8, 6, 16, 0), (8, 8, 16, 0), (8, 12, 0, 0)]
THICK = [(11, 16, 32, t) for t in (2, 1.4, 1)] + [(8, 16, 32, t) for t in (0.8, 0.6, 0.4)]
JOINT = [(6, 4, 16, 0), (6, 6, 16, 0), (6, 8, 16, 0), (6, 12, 0, 0)]
LINES = [(6, 16, 16, t) for t in (1.4, 1, 0.7, 0.5)] + [(6, 16, 0, 0.3)]
OWN = [(4, n, 0, 0) for n in (4, 6, 8, 12)]
PLANS = [  # mask, channels, frames, masks of their own; halved, joined, stacked, passes, smooth
    (0.02, 1, 1, False, 0, 1, 1, FEW, 0),
    (0.3, 1, 1, False, 0, 1, 1, MANY, 0),
    (0.7, 1, 1, False, 1, 1, 1, MOST, 0),
    (0.9, 1, 1, False, 2, 1, 1, SPARSE, 0),
    ("text", 1, 1, False, 0, 1, 1, THIN, 0),
    ("thick text", 1, 1, False, 1, 1, 1, THIN, 0),
    ("some wide", 1, 1, False, 2, 1, 1, THICK, 0.15),
    ("strokes", 1, 1, False, 2, 1, 1, THICK, 0.25),
    ("5", 1, 1, False, 2, 1, 1, THICK, 0.25),
    (0.3, 3, 1, False, 0, 1, 1, MANY, 0),
    ("text", 3, 1, False, 0, 3, 1, LINES, 0),
    ("text", 4, 1, False, 0, 4, 1, [(5, *rest) for _, *rest in LINES], 0),
    ("text", 8, 1, False, 0, 8, 1, [(4, *rest) for _, *rest in LINES], 0),
    ("text", 9, 1, False, 0, 1, 9, LINES, 0),
    ("5", 3, 1, False, 2, 1, 1, THICK, 0.25),
    (0.3, 3, 1, True, 0, 3, 1, OWN, 0),
    (0.3, 9, 1, True, 0, 1, 9, JOINT, 0),
    (0.3, 1, 5, False, 0, 1, 5, JOINT, 0),
    (0.8, 1, 5, True, 2, 1, 5, JOINT, 0),
    ("text", 1, 5, False, 0, 1, 5, LINES, 0),
    ("strokes", 2, 5, False, 2, 1, 5, LINES, 0.25),
]  # fmt: skip


@pytest.mark.parametrize(
    "kind, channels, n_frames, own, halved, joined, stacked, passes, smooth", PLANS
)
@pytest.mark.parametrize("fine", [False, True])
def test_what_is_done_follows_from_the_mask(
    kind, channels, n_frames, own, halved, joined, stacked, passes, smooth, fine
):
    seen = np.stack([mask(kind)] * channels * n_frames)
    if own:
        seen[1:] = seen[1:, ::-1]
    survey = steps(np.zeros(seen.shape), seen, True, n_frames=n_frames, fine=fine)
    _, _, *found, found_passes, found_smooth = core.survey(next(survey)[3])
    if fine:
        passes = [(side, directions, 0, t) for side, directions, _, t in passes]
    assert found == [halved, joined, stacked]
    assert found_passes == [pytest.approx(step) for step in passes]
    assert found_smooth == pytest.approx(smooth)


@pytest.mark.parametrize(
    "kind, passes",
    [("mixed", MANY), (0.7, MOST)],
)
def test_a_wide_hole_among_scattered_ones_starts_from_coarser_pictures(kind, passes):
    seen = mask(0.3) & mask("7") if kind == "mixed" else mask(kind)
    _, _, halved, *_, found, smooth = core.survey(next(steps(np.zeros(seen[None].shape), seen[None],
                                                             True))[3])  # fmt: skip
    assert (halved > 0, found, smooth) == (True, passes, 0)


PASSES = {}  # of the oracle, which are the same whatever `everywhere` is


def oracles_pass(filled, seen, *how):
    key = filled.tobytes(), seen.tobytes(), how
    if key not in PASSES:
        PASSES[key] = reference_pictures.by_patches(filled, seen, *how)
    return PASSES[key]


def assert_close(found, wanted, seen):
    """Where two patches are about equally alike, either may be in a group."""
    apart = np.abs(found - wanted)[~seen]
    assert np.median(apart) < 2e-4
    assert np.quantile(apart, 0.97) < 1e-2


@pytest.mark.parametrize(
    "shape, n_frames, kind, k, fine",
    [
        ((1, 27, 30), 1, "text", 0, False),  # so flat that one direction is left
        ((1, 27, 31), 1, 0.04, 0, False),
        ((1, 27, 31), 1, 0.3, 0, False),
        ((1, 27, 31), 1, 0.3, 5, True),
        ((1, 27, 31), 1, "text", 0, False),
        ((1, 27, 31), 1, "text", 3, False),
        ((1, 7, 90), 1, 0.3, 9, False),
        ((1, 5, 40), 1, 0.3, 4, False),  # of more directions small groups hold little
        ((1, 2, 40), 1, 0.3, 0, False),
        ((3, 27, 31), 1, 0.7, 0, False),
        ((4, 20, 21), 1, "text", 0, False),
        ((5, 30, 14), 5, 0.5, 0, False),
        ((2, 30, 14), 2, "text", 0, False),
        ((5, 30, 15), 5, 0.1, 0, False),  # one frame has holes
        ((1, 160, 14), 1, 0.3, 0, False),  # three bands
        ((1, 36, 1100), 1, 0.0004, 0, False),  # a band in two parts
    ],
)
@pytest.mark.parametrize("everywhere", [False, True])
def test_patches_are_those_of_plain_numpy(shape, n_frames, kind, k, fine, everywhere):
    image = np.stack([smooth_picture(shape[1:], seed) for seed in range(shape[0])])
    if n_frames > 1:
        image = np.stack([np.roll(image[0], 2 * frame, axis=0) for frame in range(shape[0])])
    if shape[2] == 30:
        image = np.float32(0.4) + image / 50
    seen = np.stack([mask(kind, shape[1:])] * shape[0])
    if isinstance(kind, float) and shape[0] > 1:
        seen = np.random.default_rng(0).random(shape) >= kind
    if shape[2] == 15:
        seen[[0, 1, 2, 4]] = True
    cube = (1, *shape) if n_frames > 1 else (shape[0], 1, *shape[1:])
    n_done, filled, plan = 0, image, None
    for stage, step, planes, begun in steps(
        image, seen, True, k, everywhere=everywhere, n_frames=n_frames, fine=fine
    ):
        if stage == "survey":
            plan = core.survey(begun)[-2]
            assert core.survey(begun)[2] == 0  # not halved
        if stage == "patches":
            side, directions, enough, threshold = plan[step - 1]
            wanted = oracles_pass(
                filled.reshape(cube), seen.reshape(cube), side, directions, enough, threshold,
                (step - 1) % 4, nominal_side(plan, step, threshold),
            ).reshape(shape)  # fmt: skip
            assert_close(planes, in_range_of(image, seen, wanted), seen)
            n_done += 1
        if stage != "survey":
            filled = np.where(seen, image, planes).astype(float)
    assert n_done == len(plan)
    if everywhere:
        assert 0 < np.abs(planes - image)[seen].mean() < 0.1
    else:
        np.testing.assert_array_equal(planes[seen], image[seen])


def nominal_side(plan, step, threshold):
    """The side that a threshold is meant for, whatever the side of these patches."""
    for table in (THIN, THICK, LINES):
        if [row[3] for row in table] == [pytest.approx(row[3]) for row in plan] and threshold:
            return table[step - 1][0]
    return None
