"""``python -m funkc demo``: fill a small table and an image."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

import funkc
from funkc._cli import arguments, image
from funkc._errors import missing_extra

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Iterable

    from numpy.typing import NDArray

DEMO_SHARE = 1 / 3
# The 9 x 5 example of movie ratings from the slides on Funk's method on which this library is
# based: a row for each viewer, a column for each movie.
_ = math.nan
DEMO_RATINGS = np.array(
    [
        [2, _, _, _, 2],
        [_, _, 3, 2, _],
        [3, _, _, _, _],
        [4, 4, 5, 3, 4],
        [_, _, _, 2, _],
        [2, 2, 2, 1, 1],
        [3, _, 3, _, _],
        [_, _, 3, _, 2],
        [3, 3, _, 2, _],
    ]
)


def add(commands: Any) -> None:
    parser = arguments.command(
        commands,
        "demo",
        run,
        "show funkc on a small table and an image",
        "Fills a table of 9 x 5 movie ratings, and an image from which a third of the pixels "
        "were removed. The image is included in scikit-image.",
    )
    parser.add_argument(
        "--output",
        metavar="DIR",
        type=Path,
        default=Path("funkc-demo"),
        help="folder for the images, created if needed (default: %(default)s)",
    )


def run(options: argparse.Namespace) -> None:
    picture = _demo_picture()
    options.output.mkdir(parents=True, exist_ok=True)
    _demo_table()
    print()
    _demo_fill(picture, options.output)


def _demo_table() -> None:
    mask = ~np.isnan(DEMO_RATINGS)
    fit = funkc.factorize(mask, DEMO_RATINGS, 1, biases=False)
    print("Nine viewers rated some of five movies (. = not rated). Every viewer and every movie")
    print(f"has one factor; a rating is {fit.offset:.2f} + viewer factor x movie factor.")
    print()
    print(f"{'before':14}   viewer     {'product (generated)':30}   after (corrected)")
    col_factors = _cells(fit.col_factors[:, 0], "6.2f")
    print(f"{'movie factors':>14}   factor     {col_factors}")
    for before, factor, made, after in zip(
        DEMO_RATINGS,
        fit.row_factors[:, 0],
        fit.reconstruct(),
        fit.impute(mask, DEMO_RATINGS),
        strict=True,
    ):
        print(
            f"{_cells(before, '3.0f')[1:]:14}   {factor:6.2f}     {_cells(made, '6.1f')}"
            f"   {_cells(np.rint(after), '3.0f')}"
        )


def _cells(numbers: Iterable[float], form: str) -> str:
    """Numbers in columns; a dot for a missing one."""
    width = int(form.partition(".")[0])
    return "".join(
        ".".rjust(width) if math.isnan(number) else format(number, form) for number in numbers
    )


def _demo_picture() -> NDArray[np.uint8]:
    """An image of 512 x 512 pixels from the scikit-image package."""
    image.pillow()
    try:
        from skimage import data
    except ImportError as error:
        raise missing_extra("scikit-image", "demo", "the demonstration") from error
    camera: Callable[[], NDArray[np.uint8]] = data.camera
    return camera()


def _demo_fill(picture: NDArray[np.uint8], folder: Path) -> None:
    missing = image.drawn((picture.shape[0], picture.shape[1]), DEMO_SHARE, 0)
    height, width = picture.shape
    print(
        f"An image of {height} x {width} pixels, of which {np.count_nonzero(missing):,} "
        f"({missing.mean():.0%}) were removed:"
    )
    filled = image.fill(picture, missing)
    print(f"filled in {filled.seconds:.2f} s")
    image.print_quality(picture, filled, missing)
    for name in ("corrupted", "generated", "corrected"):
        image.save(folder / f"{name}.png", getattr(filled, name))
    image.save_sheet(folder / "contact-sheet.png", filled, picture)
