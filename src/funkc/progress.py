"""Contact sheets, animations and figures of the progress of an inpainting."""

from __future__ import annotations

import math
import os
from typing import TYPE_CHECKING, Any, BinaryIO, Literal

import numpy as np

from funkc._errors import missing_extra, reject
from funkc._input.pixels import checked_planes
from funkc.images import inpaint

if TYPE_CHECKING:
    from collections.abc import Sequence
    from os import PathLike

    from numpy.typing import NDArray
    from PIL.Image import Image

MARGIN = 8
LABEL_HEIGHT = 18
FRAMES = 4  # of a volume that are shown
ANIMATIONS = ("gif", "webp")


def contact_sheet(
    pictures: Sequence[tuple[str, NDArray[Any]]], columns: int | None = None
) -> Image:
    """Arrange titled images on one sheet.

    Parameters
    ----------
    pictures : sequence of (str, array)
        Title and (h, w) or (h, w, 3) image, of any sizes; move channels to the last axis. Of a
        volume (d, h, w) or (d, h, w, 3), four frames at equal distances are shown next to each
        other. Integers are scaled by the range of their dtype; floats are shown from 0 to 1, or
        from minimum to maximum if they exceed that.
    columns : int, optional
        Images per row; by default about the number of rows, or all of up to four images.

    Returns
    -------
    PIL.Image.Image
        Save it with ``save(path)``. Requires Pillow (the extra ``images``).

    Examples
    --------
    >>> import numpy as np
    >>> from funkc import progress
    >>> gray = np.zeros((64, 96), np.uint8)
    >>> progress.contact_sheet([("before", gray), ("after", gray)]).size
    (216, 98)
    """
    images = _images(pictures, "a contact sheet")
    from PIL import Image, ImageDraw

    if columns is not None and columns < 1:
        reject("columns", f"got {columns}", "pass at least 1")
    if columns is None:
        columns = _columns(len(images))
    rows = math.ceil(len(images) / columns)
    width = max(image.width for image in images) + MARGIN
    height = max(image.height for image in images) + LABEL_HEIGHT + MARGIN
    sheet = Image.new("RGB", (columns * width + MARGIN, rows * height + MARGIN), "white")
    pen = ImageDraw.Draw(sheet)
    for at, ((title, _), image) in enumerate(zip(pictures, images, strict=True)):
        left, top = MARGIN + at % columns * width, MARGIN + at // columns * height
        pen.text((left, top), title, fill="black")
        sheet.paste(image.convert("RGB"), (left, top + LABEL_HEIGHT))
    return sheet


def animate(
    pictures: Sequence[tuple[str, NDArray[Any]]],
    file: str | PathLike[str] | BinaryIO,
    seconds: float = 0.4,
    kind: Literal["gif", "webp"] | None = None,
) -> None:
    """Write images as an animation.

    Parameters
    ----------
    pictures : sequence of (str, array)
        As for `contact_sheet`, all of one size. Titles are not shown.
    file : str, path-like or binary file
        The output.
    seconds : float, default 0.4
        Duration of a frame; the last one is shown four times as long.
    kind : {"gif", "webp"}, optional
        By default the suffix of the file name.

    Raises
    ------
    ValueError
        The kind is neither of these, or there are no images.

    Notes
    -----
    Requires Pillow (the extra ``images``).

    Examples
    --------
    >>> import os, tempfile
    >>> import numpy as np
    >>> from funkc import progress
    >>> frames = [(str(gray), np.full((8, 8), gray, np.uint8)) for gray in (0, 128, 255)]
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     progress.animate(frames, os.path.join(folder, "out.gif"))
    ...     os.listdir(folder)
    ['out.gif']
    """
    images = _images(pictures, "an animation")
    name = os.fspath(file) if isinstance(file, (str, os.PathLike)) else ""
    wanted = kind or name.rpartition(".")[2].lower()
    if wanted not in ANIMATIONS:
        reject("file", f"got {file!r}", "pass a name that ends in .gif or .webp, or kind")
    milliseconds = [round(1000 * seconds)] * len(images)
    milliseconds[-1] *= 4
    more = {"lossless": True} if wanted == "webp" else {}
    images[0].save(
        file, format=wanted, save_all=True, append_images=images[1:], duration=milliseconds,
        loop=0, **more,
    )  # fmt: skip


def figure(pictures: Sequence[tuple[str, NDArray[Any]]], columns: int | None = None) -> Any:
    """Draw titled images with matplotlib, for a notebook for example.

    Parameters
    ----------
    pictures, columns
        As for `contact_sheet`.

    Returns
    -------
    matplotlib.figure.Figure
        Requires matplotlib (the extra ``plot``).

    Examples
    --------
    >>> import numpy as np
    >>> from funkc import progress
    >>> drawn = progress.figure([("before", np.zeros((8, 8), np.uint8))])
    >>> len(drawn.axes)
    1
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise missing_extra("matplotlib", "plot", "a figure") from error
    _require_some(pictures)
    columns = columns or _columns(len(pictures))
    rows = math.ceil(len(pictures) / columns)
    drawn = Figure(figsize=(3 * columns, 3 * rows), layout="constrained")
    for at, (title, picture) in enumerate(pictures, 1):
        axes = drawn.add_subplot(rows, columns, at)
        axes.imshow(_flat(picture), cmap="gray", vmin=0, vmax=255)
        axes.set_title(title)
        axes.set_axis_off()
    return drawn


class Snapshots:
    """A callback for `funkc.inpaint` that records the image after each step.

    Parameters
    ----------
    every : int, default 1
        Record the first step and every step whose number is a multiple of this.

    Attributes
    ----------
    pictures : list of (str, array)
        Title and image, for `contact_sheet`, `animate` and `figure`.

    Examples
    --------
    >>> import numpy as np
    >>> import funkc
    >>> from funkc.progress import Snapshots
    >>> image = np.add.outer(np.arange(24.0), np.arange(24.0))
    >>> snapshots = Snapshots()
    >>> missing = np.random.default_rng(0).random(image.shape) < 0.3
    >>> corrected = funkc.inpaint(image, missing, callback=snapshots)
    >>> [title for title, picture in snapshots.pictures[-4:]]
    ['patches 1', 'patches 2', 'patches 3', 'patches 4']
    """

    def __init__(self, every: int = 1) -> None:
        if every < 1:
            reject("every", f"got {every}", "pass at least 1")
        self.every = every
        self.pictures: list[tuple[str, NDArray[Any]]] = []

    def __call__(self, stage: str, step: int, image: NDArray[Any]) -> None:
        """Record the image of this step."""
        if step == 1 or step % self.every == 0:
            self.pictures.append((f"{stage} {step}", image))


def by_rank(
    image: Any, missing: Any = None, ranks: Sequence[int] = tuple(range(1, 17)), **options: Any
) -> list[tuple[str, NDArray[Any]]]:
    """The generated image with 1, 2, 3, ... factors, from coarse stripes to the full image.

    Parameters
    ----------
    image, missing
        As for `funkc.inpaint`.
    ranks : sequence of int, default 1 ... 16
        Numbers of factors.
    **options
        As for `funkc.inpaint` with method "funk"; by default the whole image is one tile, and
        training goes six times as far as otherwise.

    Returns
    -------
    list of (str, array)
        Title and image, for `contact_sheet`, `animate` and `figure`.

    Examples
    --------
    >>> import numpy as np
    >>> from funkc import progress
    >>> image = np.add.outer(np.arange(24.0), np.arange(24.0))
    >>> [title for title, picture in progress.by_rank(image, ranks=[1, 2])]
    ['rank 1', 'rank 2']
    """
    planes = checked_planes(
        image, missing, options.get("channel_axis"), options.get("alpha"),
        options.get("volume", False),
    )  # fmt: skip
    deviation = float(planes.pixels[~planes.holes].std(dtype=np.float64)) or 1.0
    usual = {
        "tile_shape": planes.pixels.shape[2:], "n_epochs": 60, "learning_rate": 0.03 / deviation,
    }  # fmt: skip
    options = {**usual, **options, "method": "funk", "return_generated": True}
    return [(f"rank {k}", inpaint(image, missing, k=k, **options)[1]) for k in ranks]


def as_bytes(picture: NDArray[Any]) -> NDArray[np.uint8]:
    """Convert to 8 bits for display: integers are scaled by the maximum of their dtype, floats are
    shown from 0 to 1, or from minimum to maximum if they exceed that.
    """
    if picture.dtype == np.uint8:
        return picture
    values = picture.astype(np.float64)
    if picture.dtype.kind in "iu":
        values /= np.iinfo(picture.dtype).max
    known = values[np.isfinite(values)]
    low, high = (known.min(), known.max()) if known.size else (0.0, 1.0)
    if low < 0 or high > 1:
        values = (values - low) / ((high - low) or 1.0)
    return np.rint(255 * np.nan_to_num(np.clip(values, 0, 1))).astype(np.uint8)


def _flat(picture: NDArray[Any]) -> NDArray[np.uint8]:
    """As 8 bits; of a volume some frames in a row."""
    shown = as_bytes(picture)
    if shown.ndim == 2 or (shown.ndim == 3 and shown.shape[2] in (3, 4)):
        return shown
    chosen = np.linspace(0, len(shown) - 1, min(FRAMES, len(shown))).round().astype(int)
    gap = np.full((shown.shape[1], MARGIN, *shown.shape[3:]), 255, np.uint8)
    parts = [part for frame in chosen for part in (gap, shown[frame])]
    return np.concatenate(parts[1:], axis=1)


def _require_some(pictures: Sequence[tuple[str, NDArray[Any]]]) -> None:
    if not pictures:
        reject("pictures", "is empty", "pass at least one (title, image)")


def _columns(n: int) -> int:
    return n if n <= 4 else math.ceil(math.sqrt(n))


def _images(pictures: Sequence[tuple[str, NDArray[Any]]], what: str) -> list[Image]:
    try:
        from PIL import Image
    except ImportError as error:
        raise missing_extra("Pillow", "images", what) from error
    _require_some(pictures)
    return [Image.fromarray(np.ascontiguousarray(_flat(picture))) for _, picture in pictures]
