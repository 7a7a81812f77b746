"""Pictures of the progress."""

import io

import numpy as np
import pytest
from PIL import Image

import funkc
from funkc import progress

FRAMES = [(f"gray {gray}", np.full((12, 20), gray, np.uint8)) for gray in (0, 90, 255)]


@pytest.mark.parametrize(
    "picture, shown",
    [
        (np.array([[0, 7, 255]], np.uint8), [0, 7, 255]),
        (np.array([[0, 65535, 32768]], np.uint16), [0, 255, 128]),
        (np.array([[True, False, True]]), [255, 0, 255]),
        (np.array([[0.0, 0.5, 1.0]]), [0, 128, 255]),
        (np.array([[0.2, 0.3, 0.4]]), [51, 76, 102]),
        (np.array([[-1.0, 0.0, 3.0]], np.float32), [0, 64, 255]),
        (np.array([[np.nan, 0.0, 2.0]]), [0, 0, 255]),
        (np.array([[np.nan] * 3]), [0, 0, 0]),
    ],
)
def test_eight_bits_to_show(picture, shown):
    assert progress.as_bytes(picture).tolist() == [shown]


@pytest.mark.parametrize("kind", ["gif", "webp"])
def test_an_animation_holds_every_picture_and_stays_on_the_last(tmp_path, kind):
    path = tmp_path / f"out.{kind}"
    progress.animate(FRAMES, path, seconds=0.1)
    with Image.open(path) as image:
        assert (image.format.lower(), image.n_frames, image.size) == (kind, 3, (20, 12))
        grays, lengths = [], []
        for frame in range(3):
            image.seek(frame)
            image.load()
            lengths.append(image.info["duration"])
            grays.append(image.convert("L").getpixel((5, 5)))
    assert grays == [0, 90, 255]
    assert lengths == [100, 100, 400]


def test_an_animation_into_an_open_file(tmp_path):
    path = tmp_path / "unfinished"
    with open(path, "wb") as file:
        progress.animate(FRAMES, file, kind="webp")
    with Image.open(path) as image:
        assert image.format == "WEBP"


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: progress.animate(FRAMES, "out.png"), "file: got 'out.png'; pass a name that ends"),
        (lambda: progress.animate([], "out.gif"), "pictures: is empty"),
        (lambda: progress.contact_sheet([]), "pictures: is empty"),
        (lambda: progress.contact_sheet(FRAMES, columns=0), "columns: got 0"),
        (lambda: progress.figure([]), "pictures: is empty"),
        (lambda: progress.Snapshots(every=0), "every: got 0"),
        (lambda: progress.Snapshots(every=1.5), "every: got 1.5 of type float"),
        (lambda: progress.figure(FRAMES, columns=-1), "columns: got -1"),
        (lambda: progress.contact_sheet(FRAMES, columns="2"), "columns: got '2' of type str"),
        (lambda: animated(seconds=-1), "seconds: got -1"),
        (lambda: animated(seconds="1"), "seconds: got '1' of type str"),
        (lambda: animated(seconds=161), "seconds: got 161; pass at most 160"),
        (lambda: animated(kind="png"), "kind: got 'png'; pass one of 'gif', 'webp'"),
        (lambda: progress.animate(FRAMES, None, kind="gif"), "file: got None; pass a name, or a"),
        (lambda: progress.animate(FRAMES, io.StringIO(), kind="gif"), "file: got .*StringIO"),
        (
            lambda: animated([*FRAMES, ("a", np.zeros((5, 20)))]),
            r"pictures\[3\]: has 20 x 5 pixels",
        ),
        (lambda: animated([("a", np.zeros((70_000, 1), bool))]), "file: can't store this image"),
        (lambda: progress.by_rank(np.eye(9), ranks=3), "ranks: got 3; pass a list of integers"),
        (lambda: progress.by_rank(np.eye(9), ranks=["3"]), "k: got '3'"),
    ],
)
def test_bad_input(call, message):
    with pytest.raises((ValueError, TypeError), match=message):
        call()


def animated(pictures=FRAMES, kind="gif", **options):
    file = io.BytesIO()
    progress.animate(pictures, file, kind=kind, **options)
    return file.getvalue()


EVERY_WAY = [progress.contact_sheet, progress.figure, animated]


@pytest.mark.parametrize("show", EVERY_WAY)
@pytest.mark.parametrize(
    ("pictures", "message"),
    [
        (None, "pictures: got None; pass a list of"),
        (3, "pictures: got 3; pass a list of"),
        ("ab", r"pictures\[0\]: is of type str; pass a list of"),
        ({"a": FRAMES[0][1]}, r"pictures\[0\]: is of type str; pass a list of"),
        ([FRAMES[0][1]], r"pictures\[0\]: is of type ndarray; pass a list of"),
        ([FRAMES[0], ("a",)], r"pictures\[1\]: is of type tuple; pass a list of"),
        ([FRAMES[0], (3, FRAMES[0][1])], r"pictures\[1\]: has 3 as its title; pass a text"),
        ([FRAMES[0], (None, FRAMES[0][1])], r"pictures\[1\]: has None as its title; pass a text"),
        *(
            ([("a", picture)], rf"pictures\[0\]: {found}.*; ")
            for picture, found in (
                (None, "has dtype object, which is not real"),
                ("x", "has dtype <U1, which is not real"),
                (np.zeros((3, 4), complex), "has dtype complex128, which is not real"),
                ([[1, None]], "has dtype object, which is not real"),
                ([[1, 2], [3]], "the rows differ in length"),
                (3, r"has shape \(\)"),
                (np.zeros(4), r"has shape \(4,\)"),
                (np.zeros((0, 4)), r"has shape \(0, 4\)"),
                (np.zeros((2, 4, 5, 7)), r"has shape \(2, 4, 5, 7\)"),
                (np.zeros((2, 2, 4, 5, 3)), r"has shape \(2, 2, 4, 5, 3\)"),
            )
        ),
    ],
)
def test_what_holds_no_pictures(show, pictures, message):
    with pytest.raises((ValueError, TypeError), match=f"^{message}"):
        show(pictures)


@pytest.mark.parametrize("show", EVERY_WAY)
def test_any_form_of_pictures(show):
    gray = np.arange(12, dtype=np.uint8).reshape(3, 4)
    forms = [gray.tolist(), gray[:, :, None], np.ma.masked_equal(gray, 3)]
    for form in forms:
        show(iter([["a", form], ("b", form)]))
    pandas = pytest.importorskip("pandas")
    show([("a", pandas.DataFrame(gray))])
    show([("a", np.array([[1e308, -1e308], [np.inf, np.nan]]))])


@pytest.mark.parametrize("show", EVERY_WAY)
@pytest.mark.filterwarnings("ignore:Glyph")  # of matplotlib's font
@pytest.mark.parametrize(
    "title", ["", "Ω 漢", "\ud800", "a\0b", "a\nb\t", "$\\frac$", "$5", "x" * 5000]
)
def test_any_text_is_a_title(show, title):
    shown = show([(title, FRAMES[0][1])])
    if show is progress.figure:
        shown.savefig(io.BytesIO())
        assert shown.axes[0].get_title() == title.replace("\ud800", "\\ud800")


def test_masked_pixels_are_black():
    picture = np.ma.masked_equal(np.full((2, 9), 200, np.uint8), 200)
    sheet = np.asarray(progress.contact_sheet([("", picture)]).convert("L"))
    gap = progress.MARGIN
    assert sheet[gap + progress.LABEL_HEIGHT, gap : gap + 9].max() == 0


def test_a_figure_has_a_titled_panel_for_every_picture():
    drawn = progress.figure([*FRAMES, ("colour", np.zeros((4, 5, 3)))], columns=3)
    assert [axes.get_title() for axes in drawn.axes] == ["gray 0", "gray 90", "gray 255", "colour"]
    assert drawn.axes[1].images[0].get_array().shape == (12, 20)


def test_a_figure_shows_black_as_black_and_white_as_white():
    drawn = progress.figure(FRAMES)
    assert [axes.images[0].get_clim() for axes in drawn.axes] == [(0, 255)] * 3


def test_more_than_four_pictures_fill_about_a_square():
    gap = progress.MARGIN
    sheet = progress.contact_sheet([FRAMES[0]] * 5)
    assert sheet.size == (3 * (20 + gap) + gap, 2 * (12 + progress.LABEL_HEIGHT + gap) + gap)


def test_three_channels_are_shown_in_color():
    color = np.zeros((12, 20, 3), np.uint8)
    color[...] = 10, 200, 90
    gap = progress.MARGIN
    sheet = progress.contact_sheet([("color", color)])
    assert sheet.size == (20 + 2 * gap, 12 + progress.LABEL_HEIGHT + 2 * gap)
    assert sheet.getpixel((gap + 5, gap + progress.LABEL_HEIGHT + 5)) == (10, 200, 90)


def test_snapshots_are_the_pictures_of_every_step():
    image = np.add.outer(np.arange(30.0), np.sin(np.arange(40.0)))
    missing = np.random.default_rng(0).random(image.shape) < 0.4
    snapshots = progress.Snapshots(every=5)
    corrected = funkc.inpaint(image, missing, method="tiles", callback=snapshots)
    assert [title for title, _ in snapshots.pictures] == ["tiles 1", "tiles 5", "tiles 10"]
    for _, picture in snapshots.pictures:
        np.testing.assert_array_equal(picture[~missing], image[~missing])
    errors = [np.abs(p - image)[missing].mean() for _, p in snapshots.pictures]
    assert errors[0] > errors[-1] > 0
    assert np.abs(corrected - image)[missing].mean() < errors[0]


def test_more_factors_come_closer():
    image = np.add.outer(np.arange(40.0), np.arange(50.0)) + 20 * np.sin(
        np.multiply.outer(np.arange(40.0), np.arange(50.0)) / 90
    )
    pictures = progress.by_rank(image, ranks=(1, 2, 4))
    assert [title for title, _ in pictures] == ["rank 1", "rank 2", "rank 4"]
    errors = [np.abs(picture - image).mean() for _, picture in pictures]
    assert errors[0] > errors[1] > errors[2]
    color = np.stack([image, image], axis=0)
    shapes = [p.shape for _, p in progress.by_rank(color, ranks=[1], channel_axis=0)]
    assert shapes == [color.shape]


@pytest.mark.parametrize("color", [False, True])
def test_of_a_volume_four_frames_are_shown(tmp_path, color):
    shape = (9, 12, 20, 3) if color else (9, 12, 20)
    volume = np.zeros(shape, np.uint8)
    volume[[0, 3, 5, 8]] = np.array([10, 60, 110, 160]).reshape(4, *[1] * (volume.ndim - 1))
    sheet = progress.contact_sheet([("film", volume)])
    gap = progress.MARGIN
    assert sheet.size == (4 * 20 + 3 * gap + 2 * gap, 12 + progress.LABEL_HEIGHT + 2 * gap)
    row = np.asarray(sheet.convert("L"))[gap + progress.LABEL_HEIGHT + 6]
    assert [row[gap + 10 + at * (20 + gap)] for at in range(4)] == [10, 60, 110, 160]
    progress.animate([("a", volume), ("b", volume // 2)], tmp_path / "film.gif")
    with Image.open(tmp_path / "film.gif") as image:
        assert (image.n_frames, image.size) == (2, (4 * 20 + 3 * gap, 12))
    assert len(progress.figure([("film", volume[:2])]).axes) == 1
