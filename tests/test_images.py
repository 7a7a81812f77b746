"""Pixels: corrupted, generated, corrected."""

import contextlib
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage import data
from skimage.metrics import peak_signal_noise_ratio

import funkc
from funkc.images import Tiling

DTYPES = [np.uint8, np.uint16, np.int16, np.float16, np.float32, np.float64]


def picture(dtype=np.float64, shape=(40, 50)):
    """A smooth picture that uses a good part of the dtype's range, and holes in it."""
    rows, cols = np.indices(shape)
    smooth = np.sin(rows / 9) + np.cos(cols / 7)
    top = 100 if np.dtype(dtype).kind == "f" else np.iinfo(dtype).max
    image = ((smooth + 2) / 4 * top).astype(dtype)
    return image, np.random.default_rng(0).random(shape) < 0.3


@pytest.mark.parametrize("dtype", DTYPES)
def test_dtype_in_dtype_out_and_observed_pixels_as_they_were(dtype):
    image, missing = picture(dtype)
    before = image.copy()
    corrupted = np.where(missing, np.zeros((), dtype), image)
    corrected, generated = funkc.inpaint(corrupted, missing, return_generated=True)
    assert corrected.dtype == generated.dtype == dtype
    assert corrected.shape == generated.shape == image.shape
    np.testing.assert_array_equal(corrected[~missing], image[~missing])
    np.testing.assert_array_equal(corrected[missing], generated[missing])
    np.testing.assert_array_equal(image, before)
    spread = image.astype(float).std()
    assert np.abs(corrected.astype(float) - image)[missing].mean() < 0.1 * spread
    assert image[~missing].min() <= generated.min() <= generated.max() <= image[~missing].max()


def test_a_boolean_picture():
    image = np.indices((24, 24)).sum(axis=0) < 24
    missing = np.random.default_rng(0).random(image.shape) < 0.2
    corrected = funkc.inpaint(image, missing)
    assert corrected.dtype == bool
    assert (corrected == image)[missing].mean() > 0.9


@given(
    shape=st.tuples(st.integers(1, 40), st.integers(1, 40)),
    tile=st.tuples(st.integers(1, 50), st.integers(1, 50)),
)
@settings(max_examples=100, deadline=None)
def test_tiles_of_any_size_cover_every_pixel_once(shape, tile):
    tiling = Tiling(*shape, tile)
    seen = np.zeros(shape, int)
    for box in tiling.boxes():
        seen[box] += 1
    assert (seen == 1).all()
    rows, cols = np.indices(shape).reshape(2, -1)
    i, j = tiling.cells(rows, cols)
    assert len(set(zip(i, j, strict=True))) == rows.size  # no two pixels share a cell
    row_cuts, col_cuts = tiling.cuts()
    assert tiling.shape == (row_cuts[-1], col_cuts[-1])
    tile_of = [np.searchsorted(cuts, at, "right") for cuts, at in ((row_cuts, i), (col_cuts, j))]
    np.testing.assert_array_equal(*tile_of)  # block-diagonal


@pytest.mark.parametrize("tile", [(40, 50), (7, 9), (1, 50), (100, 100)])
def test_the_remainder_at_the_edges_is_filled_too(tile):
    image, missing = picture()
    missing[-1, -3:] = True
    corrupted = np.where(missing, np.nan, image)
    corrected = funkc.inpaint(corrupted, tile_shape=tile)
    assert np.isfinite(corrected).all()
    assert np.abs(corrected - image)[missing].mean() < image.std()


def test_nan_marks_the_holes_and_a_mask_may_do_so_instead():
    image, missing = picture()
    by_mask = funkc.inpaint(image, missing)
    np.testing.assert_array_equal(funkc.inpaint(np.where(missing, np.nan, image)), by_mask)
    np.testing.assert_array_equal(funkc.inpaint(np.ma.array(image, mask=missing)), by_mask)


def test_true_black_is_a_value():
    """Zero does not mean missing."""
    image, missing = picture(np.uint8)
    image[:10] = 0
    corrected = funkc.inpaint(image, missing)
    assert (corrected[:10][~missing[:10]] == 0).all()
    assert corrected[:8][missing[:8]].mean() < 20


@pytest.mark.parametrize("axis", [0, 1, 2, -1])
def test_channels_are_filled_each_on_its_own(axis):
    image, missing = picture()
    color = np.stack([image, 2 * image, 100 - image], axis=axis)
    corrected = funkc.inpaint(color, missing, channel_axis=axis)
    for channel in range(3):
        np.testing.assert_array_equal(
            corrected.take(channel, axis),
            funkc.inpaint(color.take(channel, axis), missing),
        )
    each = np.stack([missing, ~missing, missing], axis=axis)
    corrected = funkc.inpaint(color, each, channel_axis=axis)
    np.testing.assert_array_equal(corrected[~each], color[~each])


def test_nothing_missing_returns_the_picture():
    image, missing = picture(np.uint8)
    out = funkc.inpaint(image, np.zeros_like(missing))
    np.testing.assert_array_equal(out, image)
    assert out is not image


def test_a_tile_without_an_observed_pixel_gets_what_is_usual():
    image, missing = picture()
    missing[:24, :24] = True
    corrected = funkc.inpaint(image, missing, tile_shape=(12, 12))
    inside = corrected[:24, :24]
    assert np.abs(inside - image[~missing].mean()).max() < 2 * image.std()


@pytest.mark.parametrize("order", ["C", "F", "reversed", "big-endian", "read-only"])
def test_any_memory_layout(order):
    image, missing = picture(np.float32)
    expected = funkc.inpaint(image, missing)
    if order == "F":
        image, missing = np.asfortranarray(image), np.asfortranarray(missing)
    elif order == "reversed":
        image, missing = image[::-1][::-1], missing[:, ::-1][:, ::-1]
    elif order == "big-endian":
        image = image.astype(">f4")
    elif order == "read-only":
        image.flags.writeable = missing.flags.writeable = False
    np.testing.assert_array_equal(funkc.inpaint(image, missing), expected)


def test_the_callback_sees_pictures_and_can_stop():
    image, missing = picture()
    seen = []

    def look(stage, step, corrected):
        seen.append((stage, step))
        np.testing.assert_array_equal(corrected[~missing], image[~missing])
        return step == 3

    out = funkc.inpaint(image, missing, callback=look)
    assert seen == [("funk", 1), ("funk", 2), ("funk", 3)]
    assert np.isfinite(out).all()


def test_a_bar_counts_the_epochs_and_changes_nothing(monkeypatch, capsys):
    image, missing = picture()
    plain = funkc.inpaint(image, missing, n_epochs=7)
    with_bar = funkc.inpaint(image, missing, n_epochs=7, progress=True)
    np.testing.assert_array_equal(with_bar, plain)
    assert capsys.readouterr().err == ""  # no terminal
    bars = []

    class Bar(contextlib.nullcontext):
        n, total = 0, None

        def __enter__(self):
            bars.append(self)
            return self

        def update(self, steps):
            self.n += steps

    monkeypatch.setattr("tqdm.tqdm", lambda **_: Bar())
    color = np.stack([image, image], axis=-1)
    funkc.inpaint(color, missing, n_epochs=7, progress=True, channel_axis=-1)
    assert [(bar.n, bar.total) for bar in bars] == [(7, 7)] * 2


def test_a_bar_without_tqdm_says_what_to_install(monkeypatch):
    image, missing = picture()
    monkeypatch.setitem(sys.modules, "tqdm", None)
    with pytest.raises(ImportError, match=r"a progress bar needs tqdm.*funkc\[progress\]"):
        funkc.inpaint(image, missing, progress=True)


def test_a_photograph_with_a_third_of_its_pixels_gone():
    image = data.camera()
    missing = np.random.default_rng(0).random(image.shape) < 1 / 3
    corrected = funkc.inpaint(image, missing)
    assert peak_signal_noise_ratio(image[missing], corrected[missing], data_range=255) > 23.5


def test_the_slides_parameters_on_a_photograph():
    """Tiles of 37 x 60, k = 20, Funk's own order, a constant rate, no offset."""
    image = data.camera()[:200, :200] / 255
    missing = np.random.default_rng(0).random(image.shape) < 1 / 3
    corrected = funkc.inpaint(
        image, missing, tile_shape=(37, 60), k=20, n_epochs=100, group_size=1, offset=0,
        decay="constant", learning_rate=0.04, regularization=0.01,
    )  # fmt: skip
    assert peak_signal_noise_ratio(image[missing], corrected[missing], data_range=1) > 21.5


IMAGE, MISSING = picture()
BAD = [
    (dict(image=IMAGE[0]), ValueError, r"image: has shape \(50,\); pass a 2-D image"),
    (dict(image=np.stack([IMAGE] * 3)), ValueError, "a 3-D one and the channel_axis"),
    (dict(image=np.empty((0, 5))), ValueError, r"image: has shape \(0, 5\), without a pixel"),
    (dict(image=IMAGE.astype(complex)), TypeError, "image: has dtype complex128"),
    (dict(missing=MISSING.astype(int)), TypeError, "missing: has dtype int64"),
    (dict(missing=MISSING[:5]), ValueError, r"missing: has shape \(5, 50\)"),
    (dict(missing=np.ones_like(MISSING)), ValueError, "marks every pixel as unknown.*~mask"),
    (dict(image=np.full((3, 3), np.nan), missing=None), ValueError, "marks every pixel"),
    (dict(image=np.where(MISSING, np.nan, IMAGE), missing=~MISSING), ValueError,
     r"image: is nan at row \d+, column \d+, .*~mask"),
    (dict(image=np.where(MISSING, np.inf, IMAGE), missing=None), ValueError, "image: is inf at"),
    (dict(tile_shape=5), TypeError, "tile_shape: got 5"),
    (dict(tile_shape=(5, 0)), ValueError, r"tile_shape\[1\]: got 0"),
    (dict(method="magic"), ValueError, "method: got 'magic'"),
    (dict(channel_axis=2), ValueError, "channel_axis: got 2"),
    (dict(k=0), ValueError, "k: got 0"),
    (dict(callback=3), TypeError, "callback: got 3"),
]  # fmt: skip


@pytest.mark.parametrize("change, error, message", BAD)
def test_bad_input_is_refused_with_words(change, error, message):
    arguments = {"image": IMAGE, "missing": MISSING, **change}
    with pytest.raises(error, match=message):
        funkc.inpaint(**arguments)
