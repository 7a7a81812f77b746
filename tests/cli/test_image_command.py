"""``python -m funkc image``."""

import re

import numpy as np
import pytest
from commands import fails, numbers_in, run, run_without
from PIL import Image

import funkc


@pytest.fixture
def pictures(tmp_path):
    """A folder with small pictures of every kind."""
    image_module = pytest.importorskip("PIL.Image")
    y, x = np.mgrid[:40, :52]
    gray = (128 + 100 * np.sin(x / 9) * np.cos(y / 7)).astype(np.uint8)
    colour = np.dstack([gray, gray[::-1], gray[:, ::-1]])
    alpha = np.full(gray.shape, 200, np.uint8)
    alpha[:9] = 0
    mask = np.zeros(gray.shape, np.uint8)
    mask[10:14, 20:40] = 255
    magenta = colour.copy()
    magenta[mask > 0] = 255, 0, 255
    made = {
        "gray": gray,
        "rgb": colour,
        "rgba": np.dstack([colour, alpha]),
        "la": np.dstack([gray, alpha]),
        "gray16": gray.astype(np.uint16) * 257 + 3,
        "mask": mask,
        "magenta": magenta,
    }
    for name, pixels in made.items():
        image_module.fromarray(pixels).save(tmp_path / f"{name}.png")
    image_module.fromarray(colour).quantize(16).save(tmp_path / "palette.png")
    image_module.fromarray(gray > 128).save(tmp_path / "binary.png")
    return tmp_path


def opened(path):
    from PIL import Image

    with Image.open(path) as image:
        return image.mode, np.asarray(image)


@pytest.mark.parametrize(
    ("name", "mode", "n_pixels"),
    [
        ("gray", "L", None),
        ("rgb", "RGB", 3),
        ("rgba", "RGBA", 3),
        ("la", "LA", 1),
        ("gray16", "I;16", None),
        ("binary", "L", None),
    ],
)
def test_image_of_every_kind(pictures, name, mode, n_pixels):
    from PIL import Image

    missing = np.random.default_rng(5).random((40, 52)) < 0.3
    Image.fromarray(missing).save(pictures / "holes.png")
    outputs = ["-o", "o.png", "--generated", "g.png", "--corrupted", "c.png", "--sheet", "s.png"]
    out, _ = run("image", f"{name}.png", "--mask", "holes.png", *outputs, cwd=pictures)
    assert f"{np.count_nonzero(missing)} of 2,080 pixels missing" in out
    found = {}
    for output in "ogc":
        output_mode, found[output] = opened(pictures / f"{output}.png")
        assert output_mode == mode
    with Image.open(pictures / f"{name}.png") as image:
        truth = np.asarray(image if mode == "I;16" else image.convert(mode))
    assert np.array_equal(found["o"][~missing], truth[~missing])
    if n_pixels is not None:  # transparency is the same everywhere
        for pixels in found.values():
            assert np.array_equal(pixels[:, :, n_pixels:], truth[:, :, n_pixels:])
            assert pixels.shape == truth.shape
    colours = np.s_[:, :] if n_pixels is None else np.s_[:, :, :n_pixels]
    assert np.array_equal(found["o"][colours][missing], found["g"][colours][missing])
    assert not found["c"][colours][missing].any()
    assert opened(pictures / "s.png")[1].shape[1] > 3 * 52
    if name not in ("binary", "palette"):
        errors = found["o"][colours][missing].astype(float) - truth[colours][missing]
        assert np.sqrt(np.mean(errors**2)) < 0.15 * np.iinfo(truth.dtype).max


@pytest.mark.parametrize("name", ["rgba", "gray16"])
def test_image_with_pixels_removed(pictures, name):
    metrics = pytest.importorskip("skimage.metrics")
    outputs = ["-o", "o.png", "--generated", "g.png", "--corrupted", "c.png", "--sheet", "s.png"]
    out, _ = run("image", f"{name}.png", "--remove", 0.3, "--seed", 5, *outputs, cwd=pictures)
    missing = np.random.default_rng(5).random((40, 52)) < 0.3
    colours = np.s_[..., :3] if name == "rgba" else np.s_[...]
    truth = opened(pictures / f"{name}.png")[1][colours]
    for output, title in (("c", "corrupted"), ("g", "generated"), ("o", "corrected")):
        found = opened(pictures / f"{output}.png")[1][colours]
        line = next(line for line in out.splitlines() if line.startswith(f"  {title}"))
        peak = np.iinfo(truth.dtype).max
        parts = (truth[missing], found[missing]), (truth, found)
        wanted = [metrics.peak_signal_noise_ratio(*part, data_range=peak) for part in parts]
        assert numbers_in(line) == pytest.approx(wanted, abs=0.006)
    assert wanted[0] > 14
    assert opened(pictures / "s.png")[1].shape[1] > 4 * 52  # the original, too


def test_image_with_mask(pictures):
    funk = ["--method", "funk"]
    options = ["--tile", "8x13", "--k", 2, "--epochs", 30, "--seed", 3]
    out, _ = run(
        "image", "rgb.png", "--mask", "mask.png", "-o", "o.png", *funk, *options, cwd=pictures
    )
    assert "PSNR" not in out
    assert out.splitlines()[-1] == "wrote o.png"
    picture, missing = opened(pictures / "rgb.png")[1], opened(pictures / "mask.png")[1] > 0
    holes = np.where(missing[:, :, None], 0, picture)
    wanted = funkc.inpaint(
        holes, missing, method="funk", channel_axis=-1, tile_shape=(8, 13), k=2, n_epochs=30,
        random_state=3,
    )  # fmt: skip
    found = opened(pictures / "o.png")[1]
    assert np.array_equal(found, wanted)
    # Threads leave no trace, the other options do.
    one = ["image", "rgb.png", "--mask", "mask.png", "-o", "x.png", *funk]
    run(*one, *options, "--threads", 3, cwd=pictures)
    assert np.array_equal(opened(pictures / "x.png")[1], wanted)
    for at in range(0, len(options), 2):
        run(*one, *options[:at], *options[at + 2 :], cwd=pictures)
        assert not np.array_equal(opened(pictures / "x.png")[1], wanted), options[at]


@pytest.mark.parametrize("name", ["steps.gif", "steps.WEBP"])
def test_image_shows_every_step(pictures, name):
    shown = ["--progress", "steps.png", "--animate", name]
    run("image", "rgb.png", "--mask", "mask.png", "-o", "o.png", cwd=pictures)
    out, _ = run("image", "rgb.png", "--mask", "mask.png", "-o", "p.png", *shown, cwd=pictures)
    assert out.splitlines()[-3:] == ["wrote p.png", "wrote steps.png", f"wrote {name}"]
    assert np.array_equal(opened(pictures / "o.png")[1], opened(pictures / "p.png")[1])
    with Image.open(pictures / name) as animation:
        steps = animation.n_frames
        assert animation.size == opened(pictures / "o.png")[1].shape[1::-1]
    assert 14 < steps <= 1 + 20 + 21 + 8  # corrupted, sweeps, passes; equal ones may count once
    height, width = opened(pictures / "steps.png")[1].shape[:2]
    assert width > 4 * animation.size[0]
    assert height > 4 * animation.size[1]


def test_an_animation_of_another_kind_is_refused(pictures):
    one = ["image", "rgb.png", "--mask", "mask.png", "-o", "q.png", "--animate", "a.png"]
    fails(*one, cwd=pictures, match=r"--animate: got a\.png; pass a name that ends in \.gif")


def test_what_can_only_be_filled_smoothly_is_said(pictures):
    Image.fromarray(np.pad(np.full((20, 20), 255, np.uint8), ((2, 30), (2, 40)))).save(
        pictures / "wide.png"
    )
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (52, 62), np.uint8)).save(
        pictures / "noise.png"
    )
    out, _ = run("image", "noise.png", "--mask", "wide.png", "-o", "q.png", cwd=pictures)
    assert "note: 12.4% of the image lies in missing regions at least 17 pixels wide" in out


@pytest.mark.parametrize("colour", ["ff00ff", "#FF00FF"])
def test_image_with_missing_color(pictures, colour):
    run("image", "rgb.png", "--mask", "mask.png", "-o", "wanted.png", cwd=pictures)
    run("image", "magenta.png", "--missing-color", colour, "-o", "found.png", cwd=pictures)
    wanted, found = (opened(pictures / f"{name}.png")[1] for name in ("wanted", "found"))
    assert np.array_equal(wanted, found)


def test_missing_color_in_gray(pictures):
    from PIL import Image

    for name, scale in (("gray", 1), ("gray16", 257)):
        pixels = opened(pictures / f"{name}.png")[1].copy()
        pixels[5:7, 5:7] = 255 * scale
        Image.fromarray(pixels).save(pictures / "marked.png")
        out, _ = run(
            "image", "marked.png", "--missing-color", "ffffff", "-o", "o.png", cwd=pictures
        )
        assert "; 4 of 2,080 pixels missing" in out
        assert opened(pictures / "o.png")[1][5:7, 5:7].max() < 255 * scale


def test_a_palette_image_is_refused_and_a_mask_may_be_one(pictures):
    from PIL import Image

    arguments = ["image", "palette.png", "--mask", "mask.png", "-o", "o.png"]
    _, err = run(*arguments, code=2, cwd=pictures)
    assert "palette.png: is a palette image" in err
    assert "convert it to RGB" in err
    assert not (pictures / "o.png").exists()
    with Image.open(pictures / "mask.png") as mask:
        mask.convert("P").save(pictures / "palette-mask.png")
    made = []
    for mask in ("mask.png", "palette-mask.png"):
        run("image", "rgb.png", "--mask", mask, "-o", "o.png", cwd=pictures)
        made.append(opened(pictures / "o.png")[1])
    assert np.array_equal(*made)


def test_a_picture_on_its_side(pictures):
    from PIL import Image

    with Image.open(pictures / "rgb.png") as image:
        wanted = image.size
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by a quarter
    with Image.open(pictures / "rgb.png") as image:
        image.transpose(Image.Transpose.ROTATE_90).save(pictures / "turned.png", exif=exif)
    run("image", "turned.png", "--mask", "mask.png", "-o", "turned-o.png", cwd=pictures)
    run("image", "rgb.png", "--mask", "mask.png", "-o", "o.png", cwd=pictures)
    with Image.open(pictures / "turned-o.png") as image:
        assert image.size == wanted
        assert not image.getexif()
        assert np.array_equal(np.asarray(image), opened(pictures / "o.png")[1])


def test_bad_pictures(pictures, refused):
    whole = (pictures / "rgb.png").read_bytes()
    (pictures / "cut.png").write_bytes(whole[: len(whole) // 2])
    (pictures / "small.png").write_bytes((pictures / "mask.png").read_bytes())
    from PIL import Image

    Image.new("L", (9, 8)).save(pictures / "small.png")
    (pictures / "table.csv").write_text("1,2,3\n")
    mask, to = ["--mask", "mask.png"], ["-o", "o.png"]
    fails("image", "none.png", *mask, *to, match="none.png: No such file", cwd=pictures)
    refused("image", "none.png", *mask, *to, match="none.png: No such file")
    refused("image", "table.csv", *mask, *to, match="table.csv: is not an image; pass a .png")
    refused("image", "cut.png", *mask, *to, match="cut.png: can't be read .*pass an intact")
    refused(
        "image",
        "rgb.png",
        "--mask",
        "small.png",
        *to,
        match="9 x 8 pixels where rgb.png is 52 x 40",
    )
    refused("image", "rgb.png", "--mask", "none.png", *to, match="none.png: No such file")
    refused(
        "image",
        "rgb.png",
        "--missing-color",
        "123456",
        *to,
        match="rgb.png: no pixel has --missing",
    )
    refused(
        "image", "rgb.png", *mask, "-o", "o.foo", match="o.foo: '.foo' is not a known image format"
    )
    refused(
        "image", "rgba.png", *mask, "-o", "o.jpg", match="o.jpg: can't store this image .*use .png"
    )
    refused(
        "image", "rgb.png", *mask, *to, "--threads", 3 * 10**9, match="n_threads: got 3000000000"
    )
    refused("image", "rgb.png", *mask, "-o", "rgb.png", match="rgb.png: is used for two files")
    refused(
        "image", "rgb.png", *mask, *to, "--sheet", "o.png", match="o.png: is used for two files"
    )
    Image.new("L", (52, 40), 255).save(pictures / "white.png")
    refused("image", "rgb.png", "--mask", "white.png", *to, match="every pixel")
    Image.new("L", (52, 40), 0).save(pictures / "black.png")
    refused(
        "image", "rgb.png", "--mask", "black.png", *to, match="black.png: no pixel is white; mark"
    )
    refused("image", "rgb.png", "--remove", "1e-9", *to, match="--remove: 1e-09 removes no pixel")
    assert not {path.name for path in pictures.iterdir()} & {"o.png", "o.jpg"}
    assert not list(pictures.glob("*.tmp")) + list(pictures.glob(".*"))


@pytest.mark.parametrize(
    ("package", "arguments", "match"),
    [
        ("PIL", ["image", "rgb.png", "--mask", "mask.png", "-o", "o.png"], r"Pillow.*\[images\]"),
        ("PIL", ["demo"], r"Pillow.*\[images\]"),
        ("skimage", ["image", "rgb.png", "--remove", ".3", "-o", "o.png"], r"scikit.*\[demo\]"),
        ("skimage", ["demo"], r"scikit-image, which is not installed; .*\[demo\]"),
    ],
)
def test_pictures_are_optional(pictures, package, arguments, match):
    done = run_without(package, *arguments, cwd=pictures)
    assert done.returncode == 2
    assert re.fullmatch(rf'funkc: error: .* needs {match}"\n', done.stderr), done.stderr
    assert not (pictures / "funkc-demo").exists()
