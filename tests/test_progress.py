"""Pictures of the progress."""

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
    ],
)
def test_bad_input(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_a_figure_has_a_titled_panel_for_every_picture():
    drawn = progress.figure([*FRAMES, ("colour", np.zeros((4, 5, 3)))], columns=3)
    assert [axes.get_title() for axes in drawn.axes] == ["gray 0", "gray 90", "gray 255", "colour"]
    assert drawn.axes[1].images[0].get_array().shape == (12, 20)


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
