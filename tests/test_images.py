"""Pixels: corrupted, generated, corrected."""

import contextlib
import ctypes
import subprocess
import sys
import threading
import types

import numpy as np
import pytest
from capi_table import Counting
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage import data
from skimage.metrics import peak_signal_noise_ratio
from skimage.restoration import inpaint_biharmonic

import funkc
from funkc import images
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
    corrected = funkc.inpaint(corrupted, method="funk", tile_shape=tile)
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
    corrected = funkc.inpaint(image, missing, method="funk", tile_shape=(12, 12))
    inside = corrected[:24, :24]
    assert np.abs(inside - image[~missing].mean()).max() < 2 * image.std()


@pytest.mark.parametrize("order", ["C", "F", "reversed", "big-endian", "read-only", "unaligned"])
def test_any_memory_layout(order):
    image, missing = picture(np.float32)
    expected = funkc.inpaint(image, missing)
    if order == "F":
        image, missing = np.asfortranarray(image), np.asfortranarray(missing)
    elif order == "reversed":
        image, missing = image[::-1][::-1], missing[:, ::-1][:, ::-1]
    elif order == "big-endian":
        image = image.astype(">f4")
    elif order == "unaligned":
        unaligned = np.ndarray(image.shape, image.dtype, np.empty(image.nbytes + 1, np.uint8)[1:])
        unaligned[...] = image
        image = unaligned
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

    out = funkc.inpaint(image, missing, method="funk", callback=look)
    assert seen == [("funk", 1), ("funk", 2), ("funk", 3)]
    assert np.isfinite(out).all()


def test_a_bar_counts_the_epochs_and_changes_nothing(monkeypatch, capsys):
    image, missing = picture()
    plain = funkc.inpaint(image, missing)
    with_bar = funkc.inpaint(image, missing, progress=True)
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

    monkeypatch.setattr("tqdm.tqdm", lambda *_, **__: Bar())
    color = np.stack([image, image], axis=-1)
    for method in ("patches", "tiles", "funk"):
        funkc.inpaint(color, missing, method=method, progress=True, channel_axis=-1)
    assert [(bar.n, bar.total) for bar in bars] == [(bar.total, bar.total) for bar in bars]
    assert len(bars) == 3
    assert min(bar.n for bar in bars) > 1


def test_a_bar_without_tqdm_says_what_to_install(monkeypatch):
    image, missing = picture()
    monkeypatch.setitem(sys.modules, "tqdm", None)
    with pytest.raises(ImportError, match=r"a progress bar needs tqdm.*funkc\[progress\]"):
        funkc.inpaint(image, missing, progress=True)


METHODS = ("patches", "tiles", "funk")


def gain(method, image, missing, **options):
    """PSNR on the missing pixels, and how much it is over that of a biharmonic fill."""
    corrupted = np.where(missing, 0, image).astype(image.dtype)
    made = funkc.inpaint(corrupted, missing, method=method, **options)
    axis = options.get("channel_axis")
    smooth = 255 * inpaint_biharmonic(corrupted, missing, channel_axis=axis)
    ours, theirs = (
        peak_signal_noise_ratio(image[missing].astype(float), out[missing], data_range=255)
        for out in (made.astype(float), smooth)
    )
    return ours, ours - theirs


@pytest.mark.parametrize(
    "method, share, least", [("patches", 0.5, 2.9), ("patches", 0.8, 1.7), ("tiles", 0.5, 0.05)]
)
def test_scattered_holes_of_a_photograph(method, share, least):
    image = data.camera()[128:320, 128:320]
    missing = np.random.default_rng(12345).random(image.shape) < share
    assert gain(method, image, missing)[1] > least


def test_strokes():
    image = data.coins()[50:242, 50:242]
    missing = np.zeros(image.shape, bool)
    missing[10::24] = missing[11::24] = missing[12::24] = True
    missing[:, 7::40] = missing[:, 8::40] = True
    assert gain("patches", image, missing)[1] > 2


def test_channels_that_miss_different_pixels_tell_about_each_other():
    image = data.coffee()[150:278, 200:328]
    missing = np.random.default_rng(12345).random(image.shape) < 2 / 3
    corrupted = np.where(missing, 0, image).astype(np.uint8)
    made = funkc.inpaint(corrupted, missing, channel_axis=-1)
    each = [funkc.inpaint(corrupted[..., c], missing[..., c]) for c in range(3)]
    together, alone = (
        peak_signal_noise_ratio(image[missing], out[missing], data_range=255)
        for out in (made, np.stack(each, axis=-1))
    )
    assert together > alone + 1


def test_a_photograph_by_gradient_descent():
    image = data.camera()
    missing = np.random.default_rng(0).random(image.shape) < 1 / 3
    corrected = funkc.inpaint(image, missing, method="funk")
    assert peak_signal_noise_ratio(image[missing], corrected[missing], data_range=255) > 23.5


@pytest.mark.parametrize("method", ["patches", "tiles"])
@pytest.mark.parametrize("independent", [False, True])
def test_threads_and_pictures_of_the_progress_leave_no_trace(method, independent):
    image = data.astronaut()[:90, 100:180]
    shape = image.shape if independent else image.shape[:2]
    missing = np.random.default_rng(0).random(shape) < 0.6
    expected = funkc.inpaint(image, missing, method=method, channel_axis=-1, n_threads=1)
    for n_threads in (2, 3, 8):
        found = funkc.inpaint(image, missing, method=method, channel_axis=-1, n_threads=n_threads)
        np.testing.assert_array_equal(found, expected)
    steps = []
    found, generated = funkc.inpaint(
        image, missing, method=method, channel_axis=-1, return_generated=True,
        callback=lambda stage, step, picture: steps.append((stage, step, picture)),
    )  # fmt: skip
    np.testing.assert_array_equal(found, expected)
    np.testing.assert_array_equal(steps[-1][2], expected)
    np.testing.assert_array_equal(np.where(missing if independent else missing[..., None],
                                           generated, image), expected)  # fmt: skip
    stages = [(stage, step) for stage, step, _ in steps]
    wanted = [("tiles", step) for step in range(1, 15)]
    if method == "patches" and not independent:  # three fifths are missing: from half the picture
        wanted += [("coarse", step) for step in range(1, 8)]
    if method == "patches":
        wanted += [("patches", step) for step in range(1, 5 if independent else 7)]
    assert stages == wanted
    assert not np.array_equal(generated, expected)


@given(
    shape=st.tuples(st.integers(1, 45), st.integers(1, 45)),
    dtype=st.sampled_from([*DTYPES, bool, np.int8, np.uint64, np.longdouble]),
    method=st.sampled_from(METHODS),
    channels=st.sampled_from([None, 1, 2, 4, 9]),
    share=st.sampled_from([0.05, 0.5, 0.97]),
    independent=st.booleans(),
    seed=st.integers(0, 2**20),
)
@settings(max_examples=120, deadline=None)
@pytest.mark.filterwarnings("ignore:missing marks:RuntimeWarning")
@pytest.mark.filterwarnings("ignore:.*of the image lies in missing:RuntimeWarning")
def test_any_picture_keeps_what_is_observed(
    shape, dtype, method, channels, share, independent, seed
):
    rng = np.random.default_rng(seed)
    full = shape if channels is None else (*shape, channels)
    dtype = np.dtype(dtype)
    if dtype.kind in "iu":
        info = np.iinfo(dtype)
        image = rng.integers(info.min, info.max, full, dtype, endpoint=True)
    else:
        image = (rng.random(full) * 10 - 3).astype(dtype)
    missing = rng.random(full if independent else shape) < share
    missing[0, 0] = False
    kept = missing if missing.ndim == image.ndim else np.broadcast_to(missing[..., None], full)
    axis = None if channels is None else -1
    out, generated = funkc.inpaint(
        image, missing, method=method, channel_axis=axis, return_generated=True
    )
    assert out.dtype == generated.dtype == image.dtype
    assert out.shape == generated.shape == image.shape
    np.testing.assert_array_equal(out[~kept], image[~kept])
    np.testing.assert_array_equal(out[kept], generated[kept])
    for c in range(channels or 1):
        plane, seen = (a[..., c] if channels else a for a in (image, ~kept))
        for made in (out, generated):
            made = made[..., c] if channels else made
            assert plane[seen].min() <= made.min() <= made.max() <= plane[seen].max()


@pytest.mark.parametrize("method", ["patches", "tiles"])
@pytest.mark.parametrize("scale", [1e-300, 1e300, 8e307])
def test_values_of_any_size(method, scale):
    image, missing = picture()
    expected = funkc.inpaint(image - 50, missing, method=method)
    found = funkc.inpaint((image - 50) * (scale / 50), missing, method=method)
    np.testing.assert_allclose(found / (scale / 50), expected, rtol=1e-4, atol=1e-3)


def test_transparency_is_kept():
    image, missing = picture(np.uint8)
    rgba = np.stack([image, image // 2, 255 - image, image[::-1]], axis=-1)
    out = funkc.inpaint(rgba, missing, channel_axis=-1, alpha=-1)
    np.testing.assert_array_equal(out[..., 3], rgba[..., 3])
    np.testing.assert_array_equal(
        out[..., :3], funkc.inpaint(rgba[..., :3], missing, channel_axis=-1)
    )


@pytest.mark.parametrize("method", ["patches", "tiles"])
def test_a_wide_hole_is_filled_smoothly_and_told(method):
    image, missing = picture(shape=(80, 90))
    missing[20:50, 30:60] = True
    with pytest.warns(RuntimeWarning, match=r"^12\.\d% of the image lies in missing regions"):
        out = funkc.inpaint(image, missing, method=method)
    inside = out[20:50, 30:60]
    assert np.abs(inside - image[20:50, 30:60]).mean() < image.std()
    assert np.abs(np.diff(inside, axis=0)).max() < 15  # no seam, no speck


@pytest.mark.filterwarnings("ignore:.*of the image lies in missing:RuntimeWarning")
def test_transparency_does_not_count_among_what_is_missing():
    image = picture(np.uint8, (60, 60))[0]
    missing = np.zeros(image.shape, bool)
    missing[5:35, 5:35] = True
    rgba = np.stack([image] * 4, -1)
    with pytest.warns(RuntimeWarning, match=r"^25\.0% of the image"):
        funkc.inpaint(rgba, missing, channel_axis=-1, alpha=-1)
    missing[:] = True
    missing[0, 0] = False
    with pytest.warns(RuntimeWarning, match=r"missing marks 100\.0% of the pixels"):
        funkc.inpaint(rgba, missing, channel_axis=-1, alpha=-1)


def test_a_mask_that_is_upside_down_is_suspected():
    image = picture(shape=(100, 100))[0]
    nearly_all = np.random.default_rng(0).random(image.shape) < 0.995
    with pytest.warns(RuntimeWarning) as told:
        out = funkc.inpaint(image, nearly_all)
    assert any("if your mask is True where a pixel is observed, pass ~mask" in str(w.message)
               for w in told)  # fmt: skip
    assert np.abs(out - image)[nearly_all].mean() < image.std()


def test_flat_pictures_stay_flat():
    missing = picture()[1]
    for value in (0, 7, 255):
        image = np.full(missing.shape, value, np.uint8)
        for method in METHODS:
            np.testing.assert_array_equal(funkc.inpaint(image, missing, method=method), image)


def test_ctrl_c_ends_the_work(monkeypatch):
    """A large picture is worked through in parts, between which Python hears the signal."""
    calls = []

    def count(begun):
        calls.append(begun)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return core.go_on(begun)

    core = images.core
    monkeypatch.setattr(images, "core", types.SimpleNamespace(**{**vars(core), "go_on": count}))
    with pytest.raises(KeyboardInterrupt):
        funkc.inpaint(*picture())
    assert len(calls) == 3


@pytest.mark.parametrize(
    ("method", "shapes"),
    [("patches", ((100, 100), (600, 600))), ("tiles", ((400, 400), (2000, 800)))],
    ids=["patches", "tiles"],
)
def test_a_larger_picture_is_done_in_more_parts(monkeypatch, method, shapes):
    """So that none of them lasts longer."""
    parts = []
    core = images.core

    def count(begun):
        answer = core.go_on(begun)
        parts[-1] += answer[1] == ""
        return answer

    monkeypatch.setattr(images, "core", types.SimpleNamespace(**{**vars(core), "go_on": count}))
    for shape in shapes:
        missing = np.random.default_rng(0).random(shape) < 0.002
        parts.append(0)
        funkc.inpaint(picture(np.uint8, shape)[0], missing, method=method, n_threads=1)
    assert parts[1] >= 2 * parts[0]


def test_the_slides_parameters_on_a_photograph():
    """Tiles of 37 x 60, k = 20, Funk's own order, a constant rate, no offset."""
    image = data.camera()[:200, :200] / 255
    missing = np.random.default_rng(0).random(image.shape) < 1 / 3
    corrected = funkc.inpaint(
        image, missing, method="funk", tile_shape=(37, 60), k=20, n_epochs=100, group_size=1,
        offset=0, decay="constant", learning_rate=0.04, regularization=0.01,
    )  # fmt: skip
    assert peak_signal_noise_ratio(image[missing], corrected[missing], data_range=1) > 21.5


IMAGE, MISSING = picture()
BAD = [
    (dict(image=IMAGE[0]), ValueError, r"has shape \(50,\); pass \(height, width\), a volume"),
    (dict(image=np.stack([IMAGE] * 3)), ValueError, r"may be a.* channel_axis .*volume=T"),
    (dict(image=np.stack([IMAGE] * 4, 2)), ValueError, "may be a colour image"),
    (dict(image=np.stack([[IMAGE] * 5] * 5)), ValueError, r"has shape \(5, 5, 40, 50\); pass "),
    (dict(image=np.empty((5, 5, 5, 5, 5)), channel_axis=1), ValueError, "with channel_axis=1"),
    (dict(volume=True), ValueError, r"volume: got True for an image of shape \(40, 50\)"),
    (dict(image=np.stack([IMAGE] * 5), channel_axis=0, volume=True), ValueError, "channel_axis=0"),
    (dict(volume=1), TypeError, "volume: got 1"),
    (dict(quality="best"), ValueError, "quality: got 'best'"),
    (dict(method="tiles", quality="fine"), ValueError, "quality: got 'fine' for method='tiles'"),
    (dict(image=np.empty((0, 5))), ValueError, r"image: has shape \(0, 5\), without a pixel"),
    (dict(image=IMAGE.astype(complex)), TypeError, "image: has dtype complex128"),
    (dict(missing=MISSING * 255.0), ValueError, r"missing: missing\[.* = 255.0, of .*mask != 0"),
    (dict(missing=MISSING.astype(str)), TypeError, "missing: has dtype <U.*mask != 0"),
    (dict(missing=MISSING.astype(object)), TypeError, "missing: has dtype object"),
    (dict(missing=np.stack([MISSING, ~MISSING], 2)), ValueError, "missing: has 2 channels that "),
    (dict(missing=MISSING[None]), ValueError, "missing: has shape "),
    (dict(missing=np.empty((*MISSING.shape, 0), bool)), ValueError, "missing: has shape "),
    (dict(missing=MISSING[:5]), ValueError, r"missing: has shape \(5, 50\)"),
    (dict(missing=np.ones_like(MISSING)), ValueError, "marks every pixel as unknown.*~mask"),
    (dict(image=np.full((3, 3), np.nan), missing=None), ValueError, "marks every pixel"),
    (dict(image=np.where(MISSING, np.nan, IMAGE), missing=~MISSING), ValueError,
     r"image: is nan at row \d+, column \d+, .*~mask"),
    (dict(image=np.where(MISSING, np.inf, IMAGE), missing=None), ValueError, "image: is inf at"),
    (dict(method="funk", tile_shape=5), TypeError, "tile_shape: got 5"),
    (dict(method="funk", tile_shape=(5, -1)), ValueError, r"tile_shape\[1\]: got -1"),
    (dict(method="funk", tile_shape=(5, 0)), ValueError, r"tile_shape\[1\]: got 0"),
    (dict(method="magic"), ValueError, "method: got 'magic'"),
    (dict(channel_axis=2), ValueError, "channel_axis: got 2"),
    (dict(k=0), ValueError, "k: got 0"),
    (dict(k=17), ValueError, "k: got 17; pass at most 16, or method='funk'"),
    (dict(n_epochs=5), ValueError, "n_epochs: has no meaning for method='patches'"),
    (dict(method="tiles", offset=0), ValueError, "offset: has no meaning for method='tiles'"),
    (dict(alpha=0), ValueError, "alpha: got 0 without channels"),
    (dict(image=np.stack([IMAGE] * 3), channel_axis=0, alpha=3), ValueError, "alpha: got 3"),
    (dict(return_generated=2), TypeError, "return_generated: got 2"),
    (dict(callback=3), TypeError, "callback: got 3"),
]  # fmt: skip


@pytest.mark.parametrize("change, error, message", BAD)
def test_bad_input_is_refused_with_words(change, error, message):
    arguments = {"image": IMAGE, "missing": MISSING, **change}
    with pytest.raises(error, match=message):
        funkc.inpaint(**arguments)


@pytest.mark.parametrize("method", ["patches", "tiles"])
@pytest.mark.parametrize("holed", [[0], [1, 2], [0, 1, 2]])
def test_the_generated_picture_changes_nothing(method, holed):
    image = data.coffee()[150:214, 200:264]
    missing = np.zeros(image.shape, bool)
    missing[..., holed] = (np.indices((64, 64)).sum(axis=0) % 13 < 3)[..., None]
    plain = funkc.inpaint(image, missing, method=method, channel_axis=-1)
    out, generated = funkc.inpaint(
        image, missing, method=method, channel_axis=-1, return_generated=True
    )
    np.testing.assert_array_equal(out, plain)
    np.testing.assert_array_equal(generated[missing], plain[missing])
    rgba = np.dstack([image, image[..., 0]])
    both = [
        funkc.inpaint(rgba, missing[..., 0], method=method, channel_axis=-1, alpha=3,
                      return_generated=flag)
        for flag in (False, True)
    ] if 0 in holed else [rgba, (rgba, rgba)]  # fmt: skip
    np.testing.assert_array_equal(both[0], both[1][0])
    np.testing.assert_array_equal(both[1][1][..., 3], rgba[..., 3])


def test_complete_channels_tell_about_the_others_whatever_their_scale():
    image = data.coffee()[150:278, 200:328].astype(float)
    missing = np.zeros(image.shape, bool)
    missing[..., 0] = np.random.default_rng(0).random(image.shape[:2]) < 0.6
    alone = funkc.inpaint(image[..., 0], missing[..., 0])
    scaled = image * [1, 30, 0.01] + [0, 1e5, -3]
    for color in (image, scaled):
        out = funkc.inpaint(color, missing, channel_axis=-1)
        together, by_itself = (
            np.sqrt(np.mean((a - image[..., 0])[missing[..., 0]] ** 2))
            for a in (out[..., 0], alone)
        )
        assert together < 0.8 * by_itself


@pytest.mark.parametrize("shape, hole", [((8, 140), (8, 100)), ((90, 90), (12, 60))])
def test_beyond_the_edge_nothing_is_seen(shape, hole):
    image = smooth = np.add.outer(np.arange(shape[0]), np.sin(np.arange(shape[1]) / 9))
    missing = np.zeros(shape, bool)
    missing[: hole[0], 10 : 10 + hole[1]] = True
    with pytest.warns(RuntimeWarning, match="a guess that continues the surroundings"):
        out = funkc.inpaint(image, missing)
    assert np.abs(out - smooth)[missing].mean() < smooth.std() * 1.5


@pytest.mark.skipif(
    np.finfo(np.longdouble).max <= np.finfo(float).max, reason="long doubles are doubles here"
)
def test_what_no_double_holds_is_refused():
    huge = (IMAGE + 1).astype(np.longdouble) * np.longdouble("1e4000")
    with pytest.raises(
        ValueError, match=r"at row 0, column \d, more than numpy.float64 holds; div"
    ):
        funkc.inpaint(huge, MISSING)


@pytest.mark.parametrize("shape", [(1, 600), (600, 1), (3, 1, 300)])
@pytest.mark.parametrize("axis", [None, 0])
def test_a_line_is_filled_by_tiles(shape, axis):
    """Patches of one pixel would be told apart by their value alone."""
    image = np.sin(np.indices(shape).max(axis=0) / 50)
    missing = np.random.default_rng(0).random(shape) < 0.1
    options = {"channel_axis": 0} if axis == 0 and len(shape) == 3 else {"volume": len(shape) == 3}
    by_patches = funkc.inpaint(image, missing, **options)
    np.testing.assert_array_equal(
        by_patches, funkc.inpaint(image, missing, method="tiles", **options)
    )
    assert np.abs(by_patches - image)[missing].max() < 0.2


def test_the_greatest_seed():
    image, missing = picture()
    color = np.stack([image, image], axis=-1)
    each = np.stack([missing, missing[::-1]], axis=-1)
    out = funkc.inpaint(color, each, channel_axis=-1, random_state=2**64 - 1)
    assert np.isfinite(out).all()


MEMORY_PROGRAM = """
import sys, warnings
import numpy as np
import funkc

def memory(name):
    with open("/proc/self/status") as file:
        return next(1024 * int(line.split()[1]) for line in file if line.startswith(name))

warnings.simplefilter("ignore")
method, wide, least = sys.argv[1], sys.argv[2] == "True", float(sys.argv[3])
image = np.random.default_rng(0).integers(0, 255, (800, 1000), np.uint8)
missing = np.random.default_rng(1).random(image.shape, np.float32) < 0.0003
if wide:
    missing[(np.arange(800) % 60 < 16)] = True  # a quarter, in strokes
funkc.inpaint(image[:50, :50], missing[:50, :50], method=method, n_threads=1)
before = memory("VmRSS")
ballast = np.ones(int(least * image.size), np.uint8)  # more than was ever in use till now
assert memory("VmHWM") <= before + ballast.size + 2**20
del ballast
funkc.inpaint(image, missing, method=method, n_threads=1)
print((memory("VmHWM") - before - image.nbytes) / image.size)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("wide", [False, True])
@pytest.mark.parametrize("method", ["patches", "tiles"])
def test_memory_is_bounded(method, wide):
    least = 12  # or it was not measured
    out = subprocess.run(
        [sys.executable, "-c", MEMORY_PROGRAM, method, str(wide), str(least)],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert least < float(out.stdout) < 32


def with_depth(shape):
    """(channels, depth, height, width); (channels, height, width) has the depth 1."""
    return shape if len(shape) == 4 else (shape[0], 1, *shape[1:])


# The Method and the Status of types.pxd.
CORE_METHODS = {"patches": 0, "tiles": 1}
OK, BAD_SHAPE, BAD_OPTION, NOTHING_SEEN, NOT_FINITE, CANCELLED = 0, 7, 8, 9, 10, 11


def inpaint_f32(
    image, missing, method="patches", k=0, seed=0, n_threads=1, cancel=None, memory=None, shape=()
):
    """What the core offers to other extensions, called without Python and without the GIL."""
    pointer_of = ctypes.pythonapi.PyCapsule_GetPointer
    pointer_of.restype, pointer_of.argtypes = ctypes.c_void_p, [ctypes.py_object, ctypes.c_char_p]
    table = pointer_of(images.core.pictures_table, b"funkc.pictures")
    kind = ctypes.CFUNCTYPE(
        ctypes.c_int, *[ctypes.c_void_p] * 2, *[ctypes.c_int64] * 5, ctypes.c_int, ctypes.c_int,
        ctypes.c_uint64, ctypes.c_int, *[ctypes.c_void_p] * 2,
    )  # fmt: skip
    function = kind(ctypes.c_void_p.from_address(table).value)
    assert image.dtype == np.float32
    assert image.flags.c_contiguous
    assert missing.flags.c_contiguous
    return function(
        image.ctypes.data, missing.ctypes.data, 1 if missing.ndim == 2 else len(missing),
        *(shape or ((1, 1, *image.shape) if image.ndim == 2 else with_depth(image.shape))),
        CORE_METHODS.get(method, 2), k, seed, n_threads,
        *(None if part is None else ctypes.addressof(part) for part in (cancel, memory)),
    )  # fmt: skip


@given(
    shape=st.tuples(st.integers(1, 60), st.integers(1, 60)),
    channels=st.sampled_from([None, 1, 2, 3, 9]),
    method=st.sampled_from(["patches", "tiles"]),
    share=st.sampled_from([0.02, 0.5, 0.97]),
    masks=st.sampled_from(["one", "alike", "each", "some complete"]),
    hole=st.integers(0, 40),
    k=st.sampled_from([None, 1, 5, 16]),
    scale=st.sampled_from([1e-42, 1.0, 3e38]),
    n_threads=st.sampled_from([1, 2, 3, 8]),
    seed=st.integers(0, 2**64 - 1),
)
@settings(max_examples=80, deadline=None)
@pytest.mark.filterwarnings("ignore:missing marks:RuntimeWarning")
@pytest.mark.filterwarnings("ignore:.*of the image lies in missing:RuntimeWarning")
def test_other_extensions_get_the_same_bits(
    shape, channels, method, share, masks, hole, k, scale, n_threads, seed
):
    rng = np.random.default_rng(seed)
    full = shape if channels is None else (channels, *shape)
    image = (rng.uniform(-1, 1, full) * scale).astype(np.float32)
    image[rng.random(full) < 0.1] = rng.choice([0.0, -0.0])
    missing = rng.random(shape if masks == "one" else full) < share
    missing[..., :hole, :hole] = True
    if masks == "alike":
        missing = np.broadcast_to(missing[..., :, :][(0,) * (missing.ndim - 2)], full).copy()
    elif masks == "some complete" and channels is not None:
        missing[rng.integers(channels)] = False
    missing[..., -1, -1] = False
    image[np.broadcast_to(missing, full)] = np.nan
    expected = funkc.inpaint(
        image, missing, method=method, k=k, channel_axis=None if channels is None else 0,
        random_state=seed, n_threads=1,
    )  # fmt: skip
    unknown = missing * rng.integers(1, 256, missing.shape, np.uint8)
    assert inpaint_f32(image, unknown, method, k or 0, seed, n_threads) == OK
    assert image.tobytes() == expected.tobytes()


REFUSED = [
    (BAD_SHAPE, dict(shape=(0, 1, 40, 50))),
    (BAD_SHAPE, dict(shape=(1, 0, 40, 50))),
    (BAD_SHAPE, dict(shape=(1, 1, 0, 50))),
    (BAD_SHAPE, dict(shape=(1, 1, 40, -1))),
    (BAD_SHAPE, dict(shape=(1, 1, 2**62, 2**62))),
    (BAD_SHAPE, dict(shape=(2**62, 1, 40, 50))),
    (BAD_SHAPE, dict(shape=(1, 2**62, 40, 50))),
    (BAD_OPTION, dict(method="funk")),
    (BAD_OPTION, dict(k=17)),
    (BAD_OPTION, dict(k=-1)),
    (BAD_OPTION, dict(n_threads=0)),
    (BAD_OPTION, dict(missing=np.zeros((2, 40, 50), np.uint8))),
    (NOTHING_SEEN, dict(missing=np.ones((40, 50), np.uint8))),
    (NOT_FINITE, dict(value=np.nan)),
    (NOT_FINITE, dict(value=-np.inf)),
    (NOT_FINITE, dict(value=np.inf, missing=np.zeros((40, 50), np.uint8))),
    (CANCELLED, dict(cancel=ctypes.c_int(1))),
]


@pytest.mark.parametrize("status, change", REFUSED)
def test_other_extensions_are_refused_what_is_wrong(status, change):
    image, missing = picture(np.float32)
    missing[7, 9] = False
    arguments = {"missing": missing.astype(np.uint8), **change}
    image[7, 9] = arguments.pop("value", 0)
    before = image.copy()
    assert inpaint_f32(image, **arguments) == status
    np.testing.assert_array_equal(image, before)


class Zeroed(Counting):
    """An allocator whose blocks show when they are first written to."""

    fill = 0


def test_other_extensions_may_cancel():
    image, missing = picture(np.float32, (1500, 1500))
    before, cancel, done = image.copy(), ctypes.c_int(0), threading.Event()
    allocator = Zeroed()

    def cancel_once_it_works():
        """The block that is allocated last is where tiles are worked on."""
        while not done.is_set() and not cancel.value:
            blocks = list(allocator.blocks.values())
            cancel.value = bool(blocks) and any(blocks[-1].raw)

    watch = threading.Thread(target=cancel_once_it_works)
    watch.start()
    status = inpaint_f32(
        image, missing.view(np.uint8), "tiles", cancel=cancel, memory=allocator.memory
    )
    done.set()
    watch.join()
    assert status == CANCELLED
    np.testing.assert_array_equal(image, before)
    assert not allocator.blocks
