"""Pixels that lie far from all others: left out, returned as they were, and named."""

import re
import warnings

import numpy as np
import pytest
from capi_table import ask

import funkc


def smooth(dtype=np.float64, shape=(48, 56)):
    rows, cols = np.indices(shape)
    return (250 * (2 + np.sin(rows / 9) + np.cos(cols / 7)) / 4 + 5).astype(dtype)


@pytest.mark.parametrize("method", ["patches", "tiles", "funk"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.uint16, np.int32])
@pytest.mark.parametrize("wild", [30_000, 65_535])
def test_a_hot_pixel_leaves_the_others_as_they_are(dtype, method, wild):
    image = smooth(dtype)
    missing = np.random.default_rng(0).random(image.shape) < 0.4
    missing[20, 30] = False
    usual = missing.copy()
    usual[20, 30] = True
    made = funkc.inpaint(image, usual, method=method)
    image[20, 30] = wild
    words = f"first: {image[20, 30]} at row 20, column 30"
    with pytest.warns(funkc.HotPixelWarning, match=re.escape(words)) as caught:
        found, generated = funkc.inpaint(image, missing, method=method, return_generated=True)
    assert caught[0].filename == __file__
    assert found[20, 30] == wild
    assert np.array_equal(found[missing], made[missing])
    assert generated[20, 30] < 300
    assert found.dtype == dtype


@pytest.mark.parametrize("axis", [0, 2])
def test_hot_pixels_of_one_channel(axis):
    image = np.stack([smooth(), smooth()[::-1], smooth()[:, ::-1]], axis)
    missing = np.random.default_rng(0).random(image.shape[1:] if axis == 0 else image.shape[:2])
    missing = missing < 0.3
    missing[5, 6] = False
    at = (2, 5, 6) if axis == 0 else (5, 6, 2)
    image[at] = -1e6
    with pytest.warns(funkc.HotPixelWarning, match="-1000000.0 at row 5, column 6 of channel 2"):
        found = funkc.inpaint(image, missing, channel_axis=axis)
    assert found[at] == -1e6
    holes = np.broadcast_to(np.expand_dims(missing, axis), image.shape)
    assert found[holes].min() > 0
    own = np.random.default_rng(1).random(image.shape) < 0.3
    own[at] = False
    with pytest.warns(funkc.HotPixelWarning):
        found = funkc.inpaint(image, own, channel_axis=axis)
    assert found[own].min() > 0


@pytest.mark.parametrize(
    "image",
    [
        smooth(),
        smooth() > 150,
        np.where(np.random.default_rng(0).random((48, 56)) < 0.0005, 255, 7),  # all others equal
        np.where(np.indices((48, 56)).sum(axis=0) % 40 < 2, 255.0, smooth() / 10),  # bright lines
        np.where(np.indices((7, 7)).sum(axis=0) == 3, 1e6, 1.0),  # few pixels
    ],
)
def test_what_is_no_hot_pixel(image):
    missing = np.random.default_rng(0).random(image.shape) < 0.2
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        funkc.inpaint(image, missing)


def test_hot_pixels_are_no_holes_of_a_picture_that_has_none():
    image = smooth()
    image[3, 4] = 1e9
    with pytest.warns(funkc.HotPixelWarning):
        found = funkc.inpaint(image, np.zeros(image.shape, bool))
    assert np.array_equal(found, image)


@pytest.mark.parametrize("masks", [1, 3])
@pytest.mark.parametrize("method", ["patches", "tiles"])
def test_other_extensions_leave_them_out_too(method, masks):
    image = np.stack([smooth(), smooth()[::-1], smooth()[:, ::-1]]).astype(np.float32)
    missing = np.random.default_rng(0).random((masks, *image.shape[1:])) < 0.3
    missing[:, 7:9, 5] = False
    image[0, 7, 5], image[1, 8, 5] = 1e6, -1e6
    with pytest.warns(funkc.HotPixelWarning, match="2 observed pixels"):
        made = funkc.inpaint(
            image, missing if masks > 1 else missing[0], method=method, channel_axis=0
        )
    flags = missing.astype(np.uint8)
    kind = ["patches", "tiles"].index(method)
    ask("inpaint_f32", image, flags, masks, *image.shape, kind, 0, 0, 2, None, None)
    assert np.array_equal(image, made)
    assert (image[0, 7, 5], image[1, 8, 5]) == (1e6, -1e6)


@pytest.mark.parametrize("n_channels", [8, 70])
def test_hot_pixels_of_many_channels_stay_in_their_own(n_channels):
    """Or every pixel would be hot in some channel."""
    image = np.random.default_rng(0).random((n_channels, 9, 8))
    channels = np.arange(n_channels)
    image[channels, channels // 8, channels % 8] = 1e6
    missing = np.zeros((9, 8), bool)
    missing[7, 7] = True
    with pytest.warns(funkc.HotPixelWarning):
        out = funkc.inpaint(image, missing, channel_axis=0)
    assert 0 <= out[:, 7, 7].min() <= out[:, 7, 7].max() <= 1


@pytest.mark.parametrize("shape", [(512, 512), (33000, 2), (66000, 3), (5, 300, 256)])
def test_no_column_is_taken_for_hot_because_the_sample_misses_it(shape):
    """Frames of a camera whose columns have different levels."""
    image = np.random.default_rng(0).random(shape) / 100
    image[..., 1::2] += 0.5
    missing = np.random.default_rng(1).random(shape) < 0.001
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        out = funkc.inpaint(image, missing, method="tiles")
    assert np.abs(out - image)[missing].max() < 0.52
    assert out[missing].max() > 0.5


def test_other_extensions_take_the_same_sample():
    image = np.random.default_rng(0).random((300, 256), np.float32) / 100
    image[:, 1::2] += 0.5
    image[5, 5] = 1e6
    missing = np.random.default_rng(1).random(image.shape) < 0.001
    with pytest.warns(funkc.HotPixelWarning, match="image: 1 observed"):
        expected = funkc.inpaint(image, missing, method="tiles")
    ask("inpaint_f32", image, missing.view(np.uint8), 1, 1, 300, 256, 1, 0, 0, 1, None, None)
    np.testing.assert_array_equal(image, expected)


@pytest.mark.parametrize("value", [-9999, 30000])
@pytest.mark.parametrize("share", [0.002, 0.05, 0.6])
def test_a_frequent_value_far_off_is_used_and_told(value, share):
    image = np.random.default_rng(0).integers(20, 230, (80, 90)).astype(np.int16)
    missing = np.random.default_rng(1).random(image.shape) < 0.05
    image[np.random.default_rng(2).random(image.shape) < share] = value
    words = rf"image: [\d.]+% of the observed pixels are {value}, far .* add image == {value} to mi"
    with pytest.warns(funkc.HotPixelWarning, match=words):
        funkc.inpaint(image, missing, method="tiles")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        funkc.inpaint(image, missing | (image == value), method="tiles")
        funkc.inpaint(np.where(image == value, 8, 0) + image % 2, missing)  # of few values
