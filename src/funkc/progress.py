"""Contact sheets, animations and figures of the progress of an inpainting."""

from __future__ import annotations

import io
import math
import os
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any, BinaryIO, Literal, cast

import numpy as np

from funkc._errors import missing_extra, reject, shown
from funkc._errstate import own_errstate
from funkc._input import scalars
from funkc._input.arrays import as_array, listed_at_most, numeric
from funkc._input.pixels import checked_planes
from funkc._io import encoded, replacing
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
LONGEST = 160  # seconds of a frame: of a GIF, four times that is near the most that it holds


@own_errstate
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
    titled = _images(pictures, "a contact sheet")
    from PIL import Image, ImageDraw

    rows, columns = _grid(len(titled), columns)
    images = [image for _, image in titled]
    width = max(image.width for image in images) + MARGIN
    height = max(image.height for image in images) + LABEL_HEIGHT + MARGIN
    sheet = Image.new("RGB", (columns * width + MARGIN, rows * height + MARGIN), "white")
    pen = ImageDraw.Draw(sheet)
    for at, (title, image) in enumerate(titled):
        left, top = MARGIN + at % columns * width, MARGIN + at // columns * height
        pen.text((left, top), title, fill="black")
        sheet.paste(image.convert("RGB"), (left, top + LABEL_HEIGHT))
    return sheet


@own_errstate
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
        The output; an existing file is replaced when the new one is complete.
    seconds : float, default 0.4
        Duration of a frame, at most 160; the last one is shown four times as long.
    kind : {"gif", "webp"}, optional
        By default the suffix of the file name.

    Raises
    ------
    ValueError, TypeError
        The kind is neither of these, there are no images, or they differ in size.
    OSError
        The file can't be written; an existing file is unchanged.

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
    images = [image for _, image in _images(pictures, "an animation")]
    name, opened = "", cast("Any", file)
    if isinstance(file, (str, os.PathLike)):
        name = scalars.path("file", file)
    elif isinstance(opened, io.TextIOBase) or not hasattr(opened, "write"):
        remedy = 'pass a name, or a file opened with "wb"'
        reject("file", f"got {shown(file)}", remedy, TypeError)
    if kind is not None:
        kind = scalars.choice("kind", kind, ANIMATIONS)
    wanted = kind or name.rpartition(".")[2].lower()
    if wanted not in ANIMATIONS:
        remedy = "pass a name that ends in .gif or .webp, or kind"
        reject("file", f"got {shown(file)}", remedy)
    seconds = scalars.real("seconds", seconds, 0.0)
    if seconds > LONGEST:
        reject("seconds", f"got {seconds:g}", f"pass at most {LONGEST}")
    for at, image in enumerate(images):
        if image.size != images[0].size:
            sizes = " x ".join(map(str, image.size)), " x ".join(map(str, images[0].size))
            found = f"has {sizes[0]} pixels where the first one has {sizes[1]}"
            reject(f"pictures[{at}]", found, "pass images of one size")
    milliseconds = [round(1000 * seconds)] * len(images)
    milliseconds[-1] *= 4
    more = {"lossless": True} if wanted == "webp" else {}
    made = encoded(
        name or "file", images[0], wanted, "pass smaller images, or fewer", save_all=True,
        append_images=images[1:], duration=milliseconds, loop=0, **more,
    )  # fmt: skip
    with replacing(name) if name else nullcontext(opened) as out:
        out.write(made)


@own_errstate
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
    titled = _titled(pictures)
    rows, columns = _grid(len(titled), columns)
    drawn = Figure(figsize=(3 * columns, 3 * rows), layout="constrained")
    for at, (title, picture) in enumerate(titled, 1):
        axes = drawn.add_subplot(rows, columns, at)
        axes.imshow(picture, cmap="gray", vmin=0, vmax=255)
        axes.set_title(title, parse_math=False)
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
        self.every = scalars.integer("every", every, 1, 10**9)
        self.pictures: list[tuple[str, NDArray[Any]]] = []

    def __call__(self, stage: str, step: int, image: NDArray[Any]) -> None:
        """Record the image of this step."""
        step = scalars.integer("step", step, 0, 2**63 - 1)
        if step == 1 or step % self.every == 0:
            self.pictures.append((f"{stage} {step}", image))


@own_errstate
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
    wanted = listed_at_most("ranks", ranks, "pass a list of integers")
    known = planes.pixels[~planes.holes].astype(np.float64)
    largest = float(np.abs(known).max()) or 1.0
    deviation = largest * float((known / largest).std()) or 1.0
    usual = {
        "tile_shape": planes.pixels.shape[2:], "n_epochs": 60, "learning_rate": 0.03 / deviation,
    }  # fmt: skip
    options = {**usual, **options, "method": "funk", "return_generated": True}
    return [(f"rank {k}", inpaint(image, missing, k=k, **options)[1]) for k in wanted]


@own_errstate
def as_bytes(picture: NDArray[Any]) -> NDArray[np.uint8]:
    """Convert to 8 bits for display: integers are scaled by the maximum of their dtype, floats are
    shown from 0 to 1, or from minimum to maximum if they exceed that.
    """
    picture = numeric("picture", as_array("picture", picture))
    picture = np.ma.filled(picture, np.nan if picture.dtype.kind == "f" else 0)
    if picture.dtype == np.uint8:
        return picture
    values = picture.astype(np.float64)
    if picture.dtype.kind in "iu":
        values /= np.iinfo(picture.dtype).max
    known = values[np.isfinite(values)]
    low, high = (known.min(), known.max()) if known.size else (0.0, 1.0)
    if low < 0 or high > 1:
        values = (values / 2 - low / 2) / ((high / 2 - low / 2) or 1.0)  # whose range may overflow
    return np.rint(255 * np.nan_to_num(np.clip(values, 0, 1))).astype(np.uint8)


def _flat(name: str, picture: Any) -> NDArray[np.uint8]:
    """As 8 bits; of a volume some frames in a row."""
    array = numeric(name, as_array(name, picture))
    if array.ndim > 2 and array.shape[-1] == 1:
        array = array[..., 0]
    with_colors = array.ndim > 2 and array.shape[-1] in (3, 4)
    if array.ndim - with_colors not in (2, 3) or not array.size:
        remedy = "pass (height, width), a volume (depth, height, width), or either with 3 colours"
        reject(name, f"has shape {array.shape}", remedy)
    made = as_bytes(array)
    if array.ndim - with_colors == 2:
        return made
    chosen = np.linspace(0, len(made) - 1, min(FRAMES, len(made))).round().astype(int)
    gap = np.full((made.shape[1], MARGIN, *made.shape[3:]), 255, np.uint8)
    parts = [part for frame in chosen for part in (gap, made[frame])]
    return np.concatenate(parts[1:], axis=1)


def _titled(pictures: Any) -> list[tuple[str, NDArray[np.uint8]]]:
    """Titles that can be drawn, and images of 8 bits."""
    remedy = "pass a list of (title, image)"
    listed = listed_at_most("pictures", pictures, remedy)
    if not listed:
        reject("pictures", "is empty", "pass at least one (title, image)")
    out = []
    for at, pair in enumerate(listed):
        name = f"pictures[{at}]"
        if not isinstance(pair, (tuple, list)) or len(pair) != 2:
            reject(name, f"is of type {type(pair).__name__}", remedy, TypeError)
        title = scalars.plain(pair[0])
        if not isinstance(title, str):
            reject(name, f"has {shown(title)} as its title", "pass a text", TypeError)
        title = title.encode("utf-8", "backslashreplace").decode()  # half of a surrogate pair
        out.append((title, _flat(name, pair[1])))
    return out


def _grid(n: int, columns: object) -> tuple[int, int]:
    """Rows and columns for so many images."""
    if columns is None:
        across = n if n <= 4 else math.ceil(math.sqrt(n))
    else:
        across = min(n, scalars.integer("columns", columns, 1, 2**31 - 1))
    return math.ceil(n / across), across


def _images(pictures: Any, what: str) -> list[tuple[str, Image]]:
    try:
        from PIL import Image
    except ImportError as error:
        raise missing_extra("Pillow", "images", what) from error
    return [
        (title, Image.fromarray(np.ascontiguousarray(picture)))
        for title, picture in _titled(pictures)
    ]
