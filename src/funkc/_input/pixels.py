"""Checks of an image and its mask."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from funkc._errors import reject, shown
from funkc._input.arrays import MOST_ROWS, as_array, numeric
from funkc._input.scalars import integer

if TYPE_CHECKING:
    from numpy.typing import NDArray


def checked_tile_shape(value: object) -> tuple[int, int]:
    if not isinstance(value, (tuple, list)) or len(value) != 2:
        reject("tile_shape", f"got {shown(value)}", "pass a pair (rows, columns)", TypeError)
    return (
        integer("tile_shape[0]", value[0], 1, MOST_ROWS),
        integer("tile_shape[1]", value[1], 1, MOST_ROWS),
    )


def image_and_holes(
    image: Any, missing: Any, channel_axis: object, alpha: object
) -> tuple[NDArray[Any], NDArray[np.bool_]]:
    """The image and where it is missing, both (h, w, channels)."""
    array = numeric("image", as_array("image", image))
    hidden = np.ma.getmaskarray(array)
    array = np.asarray(array)
    axis = None
    if channel_axis is not None:
        axis = integer("channel_axis", channel_axis, -array.ndim, array.ndim - 1) % array.ndim
    if array.ndim != (2 if axis is None else 3):
        reject(
            "image",
            f"has shape {array.shape}",
            "omit channel_axis, or pass a 3-D image"
            if array.ndim == 2
            else "pass a 2-D image, or a 3-D one and the channel_axis that holds the channels",
        )
    if array.size == 0:
        reject("image", f"has shape {array.shape}, without a pixel", "pass at least one pixel")
    plane = tuple(size for at, size in enumerate(array.shape) if at != axis)
    if missing is None:
        holes = hidden | np.isnan(array) if array.dtype.kind == "f" else hidden
    else:
        holes = _checked_mask(missing, array.shape, plane, axis) | hidden
    picture = array[:, :, None] if axis is None else np.moveaxis(array, axis, 2)
    holes = holes[:, :, None] if axis is None else np.moveaxis(holes, axis, 2)
    if alpha is not None:
        if axis is None:
            reject(
                "alpha", f"got {alpha!r} without channels", "pass channel_axis too, or omit alpha"
            )
        channel = integer("alpha", alpha, -picture.shape[2], picture.shape[2] - 1)
        holes = holes.copy()
        holes[:, :, channel] = False
    unknown = holes.all(axis=(0, 1))
    if unknown.any():
        where = "" if axis is None else f" in channel {int(np.argmax(unknown))}"
        reject("missing", f"marks every pixel{where} as unknown", f"leave some observed; {_SEEN}")
    if picture.dtype.kind == "f":
        bad = ~holes & ~np.isfinite(picture)
        if bad.any():
            at = tuple(int(i) for i in np.argwhere(bad)[0])
            reject(
                "image",
                f"is {picture[at]} at row {at[0]}, column {at[1]}, a pixel that counts as observed",
                f"mark the pixel as missing; {_SEEN}",
            )
    native = picture.dtype.newbyteorder("=")
    return np.ascontiguousarray(picture, native), np.ascontiguousarray(holes)


def _checked_mask(
    missing: Any, shape: tuple[int, ...], plane: tuple[int, ...], axis: int | None
) -> NDArray[np.bool_]:
    """True where a pixel is unknown, of the shape of the image."""
    mask = as_array("missing", missing)
    if mask.dtype.kind not in ("b", "i", "u"):
        reject(
            "missing",
            f"has dtype {mask.dtype}",
            "pass booleans, True where a pixel is unknown, or integers, not 0 there (such as "
            "mask != 0); NaN in the image needs no mask",
            TypeError,
        )
    mask = np.asarray(mask != 0, np.bool_)
    if mask.shape == shape:
        return mask
    if mask.ndim == 3:  # of one channel, or a picture of gray pixels in colour
        channels = np.moveaxis(mask, 2 if axis is None else axis, 2)
        if channels.shape[:2] != plane:
            channels = mask
        if channels.shape[:2] == plane:
            differ = (channels != channels[:, :, :1]).any(axis=2)
            if differ.any():
                row, col = (int(at) for at in np.argwhere(differ)[0])
                reject(
                    "missing",
                    f"has {channels.shape[2]} channels that differ at row {row}, column {col}",
                    "pass one mask for all channels, or one for each channel of the image",
                )
            mask = channels[:, :, 0] if channels.shape[2] else mask
    if mask.shape == plane:
        return mask if axis is None else np.broadcast_to(np.expand_dims(mask, axis), shape)
    reject(
        "missing",
        f"has shape {mask.shape} where the image has {shape}",
        "pass one value for every pixel" + ("" if axis is None else ", or every channel"),
    )


_SEEN = "if your mask is True where a pixel is observed, pass ~mask"
