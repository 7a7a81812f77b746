"""Volumes, films and stacks."""

import numpy as np
import pytest
from skimage import data

import funkc

METHODS = ("patches", "tiles", "funk")


def film(n_frames=6, shape=(48, 40)):
    """A photograph that moves behind a window."""
    photo = data.camera()[100:200, 200:300]
    return np.stack([photo[t : t + shape[0], 2 * t : 2 * t + shape[1]] for t in range(n_frames)])


def scattered(shape, share=0.5, seed=0):
    return np.random.default_rng(seed).random(shape) < share


def error(found, truth, missing):
    return np.sqrt(np.mean((found[missing] - truth[missing].astype(float)) ** 2))


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32, np.float64])
def test_a_volume_keeps_what_is_observed(method, dtype):
    truth = film().astype(dtype)
    missing = scattered(truth.shape)
    corrupted = np.where(missing, np.zeros((), dtype), truth)
    corrected, generated = funkc.inpaint(corrupted, missing, method=method, return_generated=True)
    assert corrected.dtype == generated.dtype == dtype
    assert corrected.shape == generated.shape == truth.shape
    np.testing.assert_array_equal(corrected[~missing], truth[~missing])
    np.testing.assert_array_equal(corrected[missing], generated[missing])
    np.testing.assert_array_equal(funkc.inpaint(corrupted, missing, method=method), corrected)
    assert error(corrected, truth, missing) < 0.4 * truth.std()


def test_frames_tell_about_each_other():
    truth = film()
    for share in (0.5, 0.8):
        missing = scattered(truth.shape, share)
        together = funkc.inpaint(truth * ~missing, missing)
        alone = np.stack([funkc.inpaint(f * ~m, m) for f, m in zip(truth, missing, strict=True)])
        assert error(together, truth, missing) < 0.8 * error(alone, truth, missing)
    shared = np.broadcast_to(missing[0], truth.shape)
    together = funkc.inpaint(truth * ~shared, missing[0])  # one mask counts for all frames
    alone = np.stack([funkc.inpaint(f * ~missing[0], missing[0]) for f in truth])
    assert error(together, truth, shared) < 1.04 * error(alone, truth, shared)
    np.testing.assert_array_equal(funkc.inpaint(truth * ~shared, shared), together)


@pytest.mark.parametrize("kind", ["own", "one", "lines"])
@pytest.mark.parametrize("method", ["patches", "tiles"])
def test_threads_and_pictures_of_the_progress_leave_no_trace(kind, method):
    truth = film(5, (60, 50))
    missing = scattered(truth.shape if kind == "own" else truth.shape[1:], 0.4)
    if kind == "lines":
        missing = np.indices(truth.shape[1:]).sum(axis=0) % 13 < 3
    expected = funkc.inpaint(truth, missing, method=method, n_threads=1)
    for n_threads in (2, 3, 8):
        found = funkc.inpaint(truth, missing, method=method, n_threads=n_threads)
        np.testing.assert_array_equal(found, expected)
    steps = []
    found, generated = funkc.inpaint(
        truth, missing, method=method, return_generated=True,
        callback=lambda stage, step, volume: steps.append((stage, volume)),
    )  # fmt: skip
    np.testing.assert_array_equal(found, expected)
    np.testing.assert_array_equal(steps[-1][1], expected)
    assert steps[-1][0] == method
    assert generated.shape == truth.shape


@pytest.mark.parametrize("axis", [0, 1, 2, 3, -1])
@pytest.mark.parametrize("own", [False, True])
def test_channels_of_a_volume_are_filled_each_on_its_own(axis, own):
    truth = film()
    channels = [truth, 255 - truth, truth[::-1]]
    missing = scattered(truth.shape)
    masks = [missing, missing[::-1], missing[:, ::-1]] if own else [missing] * 3
    out = funkc.inpaint(
        np.stack(channels, axis), np.stack(masks, axis) if own else missing, channel_axis=axis
    )
    for channel, mask, found in zip(channels, masks, np.moveaxis(out, axis, 0), strict=True):
        np.testing.assert_array_equal(found, funkc.inpaint(channel, mask))


def test_forms_of_one_mask_are_one_mask():
    truth = film()
    frame, missing = scattered(truth.shape[1:]), scattered(truth.shape)
    colour = np.stack([truth] * 3, -1)
    for mask, forms in (
        (
            frame,
            [
                np.stack([frame] * len(truth)),
                frame * 255,
                frame[..., None],
                np.stack([frame] * 3, -1) * 255,
            ],
        ),
        (missing, [missing.astype(np.uint8), missing[..., None], np.stack([missing] * 3, -1)]),
    ):
        made = funkc.inpaint(truth, mask)
        for form in forms:
            np.testing.assert_array_equal(funkc.inpaint(truth, form), made)
            np.testing.assert_array_equal(
                funkc.inpaint(colour, form, channel_axis=-1), np.stack([made] * 3, -1)
            )
    np.testing.assert_array_equal(
        funkc.inpaint(np.where(missing, np.nan, truth.astype(float))),
        funkc.inpaint(truth.astype(float), missing),
    )
    with pytest.raises(ValueError, match=r"one value for every pixel or one frame for all"):
        funkc.inpaint(truth, missing[1:])
    differ = np.stack([missing, missing, ~missing], -1)
    with pytest.raises(ValueError, match="3 channels that differ at frame 0, row 0, column 0"):
        funkc.inpaint(truth, differ)


@pytest.mark.parametrize("method", ["patches", "tiles"])
@pytest.mark.parametrize("lost", [[0], [2, 3], [5], [0, 1, 4]])
def test_a_lost_frame_is_filled_from_the_others(method, lost):
    still = film(1)[0].astype(float)
    truth = np.stack([still + 10 * t for t in range(6)])
    missing = scattered(truth.shape, 0.2)
    missing[lost] = True
    out, generated = funkc.inpaint(truth * ~missing, missing, method=method, return_generated=True)
    inside = [t for t in lost if lost[0] > 0 and t < 5]
    at = np.zeros_like(missing)
    at[inside or lost] = True
    assert error(out, truth, at) < (8 if inside else 25)
    np.testing.assert_array_equal(out[lost], generated[lost])
    if method == "patches":
        for n_threads in (2, 8):
            again = funkc.inpaint(truth * ~missing, missing, n_threads=n_threads)
            np.testing.assert_array_equal(again, out)


def test_each_frame_that_is_complete_is_left_alone_by_gradient_descent():
    truth = film()
    missing = np.zeros(truth.shape, bool)
    missing[3, 5, 7] = True
    steps = []
    funkc.inpaint(truth, missing, method="funk", callback=lambda *step: steps.append(step[:2]))
    assert len(steps) == len(set(steps)) > 1


def test_a_lost_frame_without_neighbours_is_refused():
    truth = film()
    missing = np.ones(truth.shape, bool)
    with pytest.raises(ValueError, match="marks every pixel as unknown"):
        funkc.inpaint(truth, missing)
    missing[1:] = False
    with pytest.raises(ValueError, match=r"every pixel of frame 0 as unknown.*'tiles'"):
        funkc.inpaint(truth, missing, method="funk")


@pytest.mark.parametrize("shape", [(4, 30, 31), (3, 30, 31), (30, 31, 3), (1, 30, 31), (2, 9, 1)])
def test_what_may_be_a_colour_image_is_a_volume_if_that_is_said(shape):
    truth = np.add.outer(np.add.outer(np.arange(shape[0]), np.arange(shape[1])),
                         np.arange(shape[2])).astype(float)  # fmt: skip
    missing = scattered(shape, 0.3)
    missing[0, 0, 0] = False
    with pytest.raises(ValueError, match=r"may be a colour image or a volume.*volume=True"):
        funkc.inpaint(truth, missing)
    out = funkc.inpaint(truth, missing, volume=True)
    assert error(out, truth, missing) < truth.std()
    np.testing.assert_array_equal(out[~missing], truth[~missing])
    if shape[0] == 1:
        np.testing.assert_array_equal(out[0], funkc.inpaint(truth[0], missing[0]))


def test_more_channels_than_can_be_joined_are_a_stack():
    """Each within its own range, as bands of a spectrum are."""
    truth = film(10).astype(float)
    scales = np.geomspace(0.01, 100, 10)[:, None, None]
    missing = scattered(truth.shape, 0.7)
    out = funkc.inpaint(truth * ~missing, missing, channel_axis=0)
    scaled = funkc.inpaint(truth * scales * ~missing, missing, channel_axis=0)
    np.testing.assert_allclose(scaled / scales, out, atol=1)
    alone = np.stack([funkc.inpaint(f * ~m, m) for f, m in zip(truth, missing, strict=True)])
    assert error(out, truth, missing) < 0.8 * error(alone, truth, missing)


def test_hot_pixels_of_a_volume_are_named_by_their_frame():
    truth = film().astype(float)
    missing = scattered(truth.shape, 0.3)
    missing[3, 5, 7] = False
    more = missing.copy()
    more[3, 5, 7] = True
    expected = funkc.inpaint(truth, more)
    hot = truth.copy()
    hot[3, 5, 7] = 1e5
    with pytest.warns(funkc.HotPixelWarning, match=r"100000.0 at frame 3, row 5, column 7\)"):
        out = funkc.inpaint(hot, missing)
    assert out[3, 5, 7] == 1e5
    out[3, 5, 7] = expected[3, 5, 7]
    np.testing.assert_array_equal(out, expected)


def test_positions_in_a_volume():
    truth = film().astype(float)
    truth[2, 4, 6] = np.inf
    with pytest.raises(ValueError, match="is inf at frame 2, row 4, column 6, a pixel"):
        funkc.inpaint(truth, np.zeros(truth.shape, bool))
    with pytest.raises(ValueError, match="frame 2, row 4, column 6 of channel 1"):
        funkc.inpaint(np.stack([film(), truth]), np.zeros(truth.shape, bool), channel_axis=0)
