"""Pictures of the progress."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from funkc._errors import missing_extra, reject

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray
    from PIL.Image import Image

MARGIN = 8
LABEL_HEIGHT = 18


def epochs_bar(title: str) -> Any:
    """A tqdm bar that counts epochs on stderr, silent where that is no terminal."""
    try:
        from tqdm import tqdm
    except ImportError as error:
        raise missing_extra("tqdm", "progress", "a progress bar") from error
    return tqdm(desc=title, unit=" epochs", disable=None, ascii=True, leave=False)


def contact_sheet(
    pictures: Sequence[tuple[str, NDArray[Any]]], columns: int | None = None
) -> Image:
    """Put titled pictures side by side on one sheet.

    Parameters
    ----------
    pictures : sequence of (str, array)
        Title and (h, w) or (h, w, 3) picture of dtype uint8, all of one size or not.
    columns : int, optional
        Pictures in a row; by default about as many as there are rows, or all of up to four.

    Returns
    -------
    PIL.Image.Image
        To be saved with its ``save(path)``. Needs Pillow (the extra ``images``).

    Examples
    --------
    >>> import numpy as np
    >>> from funkc import progress
    >>> gray = np.zeros((64, 96), np.uint8)
    >>> progress.contact_sheet([("before", gray), ("after", gray)]).size
    (216, 98)
    """
    try:
        from PIL import Image, ImageDraw
    except ImportError as error:
        raise missing_extra("Pillow", "images", "a contact sheet") from error
    if not pictures:
        reject("pictures", "is empty", "pass at least one (title, picture)")
    for title, picture in pictures:
        if picture.dtype != np.uint8:
            reject(
                "pictures", f"{title!r} has dtype {picture.dtype}", "pass dtype uint8", TypeError
            )
    if columns is not None and columns < 1:
        reject("columns", f"got {columns}", "pass at least 1")
    images = [Image.fromarray(np.ascontiguousarray(picture)) for _, picture in pictures]
    if columns is None:
        columns = len(images) if len(images) <= 4 else math.ceil(math.sqrt(len(images)))
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
