"""``python -m funkc image``: fill the missing pixels of an image."""

from __future__ import annotations

import time
import warnings
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

import funkc
from funkc._cli import arguments
from funkc._errors import missing_extra, reject
from funkc._io import encoded, replacing
from funkc.progress import ANIMATIONS, Snapshots, animate, contact_sheet

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

    from numpy.typing import NDArray

SHEET_PICTURES, ANIMATION_PICTURES = 25, 60


def add(commands: Any) -> None:
    parser = arguments.command(
        commands,
        "image",
        run,
        "fill the missing pixels of an image",
        "Gray or colour with 8 bits, or gray with 16 bits; transparency is kept. Use .png for "
        "OUT: .jpg slightly changes all pixels.",
    )
    add = parser.add_argument
    add("file", metavar="IN", type=Path, help="the image")
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument(
        "--mask", type=Path, help="image of the same size: white where a pixel is missing"
    )
    which.add_argument(
        "--missing-color",
        metavar="RRGGBB",
        type=arguments.color,
        help="pixels of exactly this colour are missing, such as 000000 for black",
    )
    which.add_argument(
        "--remove",
        metavar="SHARE",
        type=arguments.share,
        help="remove about this fraction of the pixels at random (such as 0.33), to measure how "
        "well they are restored; requires scikit-image",
    )
    add(
        "-o",
        "--output",
        metavar="OUT",
        type=arguments.output,
        required=True,
        help="the filled image",
    )
    add(
        "--generated",
        metavar="PATH",
        type=arguments.output,
        help="write the product of the factors at every pixel, observed or not",
    )
    add(
        "--corrupted",
        metavar="PATH",
        type=arguments.output,
        help="write IN with missing pixels in black",
    )
    add("--sheet", metavar="PATH", type=arguments.output, help="write these images on one sheet")
    add(
        "--progress",
        metavar="PATH",
        type=arguments.output,
        help="write a contact sheet of the image after every step",
    )
    add(
        "--animate",
        metavar="OUT.gif",
        type=arguments.output,
        help="write an animation of the image after every step (.gif or .webp)",
    )
    add(
        "--method",
        choices=("patches", "tiles", "funk"),
        default="patches",
        help="similar patches (best), smooth tiles (fastest), or Funk's gradient descent "
        "(default: %(default)s)",
    )
    add(
        "--quality",
        choices=("standard", "fine"),
        default="standard",
        help="fine takes twice the time for slightly better patches (default: %(default)s)",
    )
    add("--k", type=arguments.count, help="number of factors of a patch or tile")
    add(
        "--tile",
        metavar="ROWSxCOLS",
        type=arguments.tile,
        help="tile size for --method funk, such as 16x16",
    )
    arguments.add_training(parser)


@dataclass(frozen=True, eq=False)
class _Picture:
    """Pixels, (h, w) gray or (h, w, 3) colour, and their transparency."""

    pixels: NDArray[Any]
    alpha: NDArray[Any] | None = None

    @property
    def size(self) -> tuple[int, int]:
        return self.pixels.shape[0], self.pixels.shape[1]

    def with_pixels(self, pixels: NDArray[Any]) -> NDArray[Any]:
        """Other pixels with the transparency of this image, if it has any."""
        if self.alpha is None:
            return pixels
        return np.dstack([pixels, self.alpha])


@dataclass(frozen=True, eq=False)
class _Filled:
    """The three images, and the time that filling took."""

    corrupted: NDArray[Any]
    generated: NDArray[Any]
    corrected: NDArray[Any]
    seconds: float


def run(options: argparse.Namespace) -> None:
    outputs = (
        options.output, options.generated, options.corrupted, options.sheet, options.progress,
        options.animate,
    )  # fmt: skip
    arguments.require_apart((options.file, options.mask), outputs)
    for path in outputs:
        if path is not None and path is not options.animate:
            _format_of(path)
    animation = options.animate and options.animate.suffix[1:].lower()
    if animation is not None and animation not in ANIMATIONS:
        reject("--animate", f"got {options.animate}", "pass a name that ends in .gif or .webp")
    watched = options.progress is not None or options.animate is not None
    snapshots = Snapshots() if watched else None
    picture = load(options.file)
    missing = _missing(picture, options)
    height, width = picture.size
    kind = "gray" if picture.pixels.ndim == 2 else "colour"
    print(
        f"{options.file}: {height} rows, {width} columns, {kind}; {np.count_nonzero(missing):,} of "
        f"{missing.size:,} pixels missing ({missing.mean():.1%})"
    )
    filled = fill(
        picture.pixels,
        missing,
        method=options.method,
        quality=options.quality,
        callback=snapshots,
        k=options.k,
        tile_shape=options.tile,
        n_epochs=options.epochs,
        random_state=options.seed,
        n_threads=options.threads,
    )
    print(f"filled in {filled.seconds:.2f} s")
    if options.remove is not None:
        print_quality(picture.pixels, filled, missing)
    for path, pixels in (
        (options.corrupted, filled.corrupted),
        (options.generated, filled.generated),
        (options.output, filled.corrected),
    ):
        if path is not None:
            save(path, picture.with_pixels(pixels))
    if options.sheet is not None:
        original = picture.pixels if options.remove is not None else None
        save_sheet(options.sheet, filled, original)
    if snapshots is not None:
        pictures = [("corrupted", filled.corrupted), *snapshots.pictures]
        if options.progress is not None:
            _write_image(options.progress, contact_sheet(_thinned(pictures, SHEET_PICTURES)))
        if options.animate is not None:
            animate(_thinned(pictures, ANIMATION_PICTURES), options.animate)
            print(f"wrote {options.animate}")


def _thinned(pictures: list[Any], most: int) -> list[Any]:
    """At most `most` of them, evenly spaced, including the first and the last."""
    if len(pictures) <= most:
        return pictures
    return [pictures[round(at)] for at in np.linspace(0, len(pictures) - 1, most)]


def fill(pixels: NDArray[Any], missing: NDArray[np.bool_], **options: Any) -> _Filled:
    corrupted = pixels.copy()
    corrupted[missing] = 0
    began = time.perf_counter()
    with warnings.catch_warnings(record=True) as notes:
        warnings.simplefilter("always")
        corrected, generated = funkc.inpaint(
            corrupted,
            missing,
            channel_axis=None if pixels.ndim == 2 else -1,
            return_generated=True,
            **options,
            progress=find_spec("tqdm") is not None,
        )
    for note in notes:
        print(f"note: {note.message}")
    return _Filled(corrupted, generated, corrected, time.perf_counter() - began)


def _missing(picture: _Picture, options: argparse.Namespace) -> NDArray[np.bool_]:
    """True for pixels to fill."""
    if options.remove is not None:
        _peak_signal_noise_ratio()  # fail early if it is not installed
        missing = drawn(picture.size, options.remove, options.seed)
        if not missing.any():
            reject(
                "--remove",
                f"{options.remove:g} removes no pixel of {options.file}",
                "pass a larger share",
            )
        return missing
    if options.mask is not None:
        missing = _white(options.mask)
        if missing.shape != picture.size:
            sizes = [f"{width} x {height}" for height, width in (missing.shape, picture.size)]
            reject(
                str(options.mask),
                f"is {sizes[0]} pixels where {options.file} is {sizes[1]}",
                "pass a mask of the size of the image",
            )
    else:
        missing = _of_color(picture.pixels, options.missing_color)
    if not missing.any():
        found = "no pixel is white" if options.mask else "no pixel has --missing-color"
        reject(str(options.mask or options.file), found, "mark the pixels to fill")
    return missing


def drawn(size: tuple[int, int], share: float, seed: int) -> NDArray[np.bool_]:
    removed: NDArray[np.bool_] = np.random.default_rng(seed).random(size) < share
    return removed


def _white(path: Path) -> NDArray[np.bool_]:
    """Where a mask is white: above half, since lossy formats and soft brushes blur it."""
    pixels = load(path, palette=True).pixels
    gray = pixels if pixels.ndim == 2 else pixels.mean(axis=2)
    white: NDArray[np.bool_] = gray > _peak(pixels) / 2
    return white


def _of_color(pixels: NDArray[Any], color: tuple[int, int, int]) -> NDArray[np.bool_]:
    scale = _peak(pixels) / 255  # 16 bits: 65535 is ff
    channels = pixels if pixels.ndim == 3 else pixels[:, :, np.newaxis]
    same: NDArray[np.bool_] = (channels == np.array(color) * scale).all(axis=2)
    return same


def _peak(pixels: NDArray[Any]) -> float:
    """The value of white."""
    return float(np.iinfo(pixels.dtype).max)


def _peak_signal_noise_ratio() -> Callable[..., float]:
    try:
        from skimage.metrics import peak_signal_noise_ratio
    except ImportError as error:
        raise missing_extra("scikit-image", "demo", "measuring the quality") from error
    measure: Callable[..., float] = peak_signal_noise_ratio
    return measure


def print_quality(truth: NDArray[Any], filled: _Filled, missing: NDArray[np.bool_]) -> None:
    measure = _peak_signal_noise_ratio()
    print("PSNR in dB    missing pixels     whole image")
    everywhere = np.ones_like(missing)
    for name in ("corrupted", "generated", "corrected"):
        pixels = getattr(filled, name)
        with np.errstate(divide="ignore"):  # equal images: infinite
            there, whole = (
                measure(truth[where], pixels[where], data_range=_peak(truth))
                for where in (missing, everywhere)
            )
        print(f"  {name}   {there:14.2f} {whole:15.2f}")


def pillow() -> Any:
    try:
        from PIL import Image, ImageOps
    except ImportError as error:
        raise missing_extra("Pillow", "images", "reading and writing images") from error
    return Image, ImageOps


def load(path: Path, *, palette: bool = False) -> _Picture:
    """An image; with `palette`, also one whose pixels are numbers of colors."""
    image_module, operations = pillow()
    with open(path, "rb") as file:
        try:
            with image_module.open(file) as image:
                upright = operations.exif_transpose(image)  # as displayed by viewers
                upright.load()
        except image_module.UnidentifiedImageError:
            reject(str(path), "is not an image", "pass a .png, .tif, .jpg or similar")
        # Pillow's decoders have no error in common.
        except (OSError, SyntaxError, ValueError, image_module.DecompressionBombError) as error:
            reject(
                str(path), f"can't be read ({error})", "pass an intact .png, .tif, .jpg or similar"
            )
    if upright.mode in ("P", "PA") and not palette:
        reject(
            str(path),
            "is a palette image, whose pixels are numbers of colors, or labels",
            "convert it to RGB (labels can't be filled by what lies between them)",
        )
    return _picture_of(path, upright)


def _picture_of(path: Path, image: Any) -> _Picture:
    mode: str = image.mode
    if mode.startswith("I"):
        pixels = np.asarray(image)
        if pixels.min() < 0 or pixels.max() > np.iinfo(np.uint16).max:
            reject(str(path), "has gray values of more than 16 bits", "convert it to 16 bits")
        return _Picture(pixels.astype(np.uint16))
    if mode == "F":
        reject(str(path), "has floating-point pixels", "convert it to 8 or 16 bits")
    transparent = mode in ("LA", "La", "PA", "RGBA", "RGBa") or "transparency" in image.info
    gray = mode in ("1", "L", "LA", "La")
    wanted = ("L" if gray else "RGB") + ("A" if transparent else "")
    pixels = np.asarray(image.convert(wanted))
    if not transparent:
        return _Picture(pixels)
    return _Picture(pixels[:, :, 0] if gray else pixels[:, :, :3], pixels[:, :, -1])


def _format_of(path: Path) -> str:
    """Pillow's name of the format with this suffix."""
    image_module, _operations = pillow()
    known = image_module.registered_extensions()
    format_name = known.get(path.suffix.lower())
    if format_name not in image_module.SAVE:
        reject(str(path), f"{path.suffix!r} is not a known image format", "use .png")
    return str(format_name)


def save(path: Path, pixels: NDArray[Any]) -> None:
    image_module, _operations = pillow()
    _write_image(path, image_module.fromarray(np.ascontiguousarray(pixels)))


def save_sheet(path: Path, filled: _Filled, original: NDArray[Any] | None) -> None:
    pictures = [] if original is None else [("original", original)]
    pictures += [(name, getattr(filled, name)) for name in ("corrupted", "generated", "corrected")]
    _write_image(path, contact_sheet(pictures))


def _write_image(path: Path, image: Any) -> None:
    made = encoded(str(path), image, _format_of(path), "use .png")
    with replacing(path) as file:
        file.write(made)
    print(f"wrote {path}")
