"""Checks of an image and its mask."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from funkc._errors import reject, shown
from funkc._input.arrays import MOST_ROWS, as_array, numeric
from funkc._input.scalars import flag, integer

if TYPE_CHECKING:
    from numpy.typing import NDArray

MOST_COLOURS = 4  # on the first or the last axis, where a volume would have a side


def checked_tile_shape(value: object) -> tuple[int, int]:
    if not isinstance(value, (tuple, list)) or len(value) != 2:
        reject("tile_shape", f"got {shown(value)}", "pass a pair (rows, columns)", TypeError)
    return (
        integer("tile_shape[0]", value[0], 1, MOST_ROWS),
        integer("tile_shape[1]", value[1], 1, MOST_ROWS),
    )


@dataclass(frozen=True)
class Planes:
    """An image as planes, and which of their pixels are missing."""

    pixels: NDArray[Any]  # (channels, frames, height, width)
    holes: NDArray[np.bool_]  # likewise
    channel_axis: int | None  # of the image
    is_volume: bool

    def as_image(self, planes: NDArray[Any]) -> NDArray[Any]:
        """Planes like these, with the axes of the image."""
        image = planes if self.is_volume else planes[:, 0]
        if self.channel_axis is None:
            one: NDArray[Any] = image[0]
            return one
        return np.ascontiguousarray(np.moveaxis(image, 0, self.channel_axis))

    def position(self, channel: int, frame: int, row: int, col: int) -> str:
        """Words for where a pixel is."""
        where = f"frame {frame}, " if self.is_volume else ""
        where += f"row {row}, column {col}"
        return where if self.channel_axis is None else f"{where} of channel {channel}"


def checked_planes(
    image: Any, missing: Any, channel_axis: object, alpha: object, volume: object
) -> Planes:
    """The planes of an image (height, width) or a volume (depth, height, width), with or without
    channels.
    """
    array = numeric("image", as_array("image", image))
    hidden = np.ma.getmaskarray(array)
    array = np.asarray(array)
    axis = None
    if channel_axis is not None:
        axis = integer("channel_axis", channel_axis, -array.ndim, array.ndim - 1) % array.ndim
    is_volume = _checked_dimensions(array.shape, axis, flag("volume", volume))
    if array.size == 0:
        reject("image", f"has shape {array.shape}, without a pixel", "pass at least one pixel")
    if missing is None:
        holes = hidden | np.isnan(array) if array.dtype.kind == "f" else hidden
    else:
        holes = _checked_mask(missing, array.shape, axis, is_volume) | hidden
    native = array.dtype.newbyteorder("=")
    planes = Planes(
        np.ascontiguousarray(_as_planes(array, axis, is_volume), native),
        np.ascontiguousarray(_as_planes(holes, axis, is_volume)),
        axis,
        is_volume,
    )
    if alpha is not None:
        if axis is None:
            reject(
                "alpha", f"got {alpha!r} without channels", "pass channel_axis too, or omit alpha"
            )
        n_channels = len(planes.pixels)
        channel = integer("alpha", alpha, -n_channels, n_channels - 1)
        if planes.holes[channel].any():
            writable = planes.holes.copy()  # it may be a view of the caller's mask
            writable[channel] = False
            planes = replace(planes, holes=writable)
    for channel, hole in enumerate(planes.holes):
        if hole.all():
            where = "" if axis is None else f" in channel {channel}"
            reject(
                "missing", f"marks every pixel{where} as unknown", f"leave some observed; {_SEEN}"
            )
    if native.kind == "f":
        bad = ~planes.holes & ~np.isfinite(planes.pixels)
        if bad.any():
            at = tuple(int(i) for i in np.argwhere(bad)[0])
            reject(
                "image",
                f"is {planes.pixels[at]} at {planes.position(*at)}, a pixel that counts as "
                "observed",
                f"mark the pixel as missing; {_SEEN}",
            )
    return planes


def _checked_dimensions(shape: tuple[int, ...], axis: int | None, volume: bool) -> bool:
    """Whether the image is a volume."""
    spatial = tuple(size for at, size in enumerate(shape) if at != axis)
    if len(spatial) == 2 and not volume:
        return False
    if len(spatial) == 3:
        if volume or min(spatial[0], spatial[-1]) > MOST_COLOURS or axis is not None:
            return True
        reject(
            "image",
            f"has shape {shape}, which may be a colour image or a volume",
            "pass channel_axis (such as -1) for an image with channels, or volume=True",
        )
    if len(spatial) == 2:
        reject(
            "volume",
            f"got True for an image of shape {shape}"
            + ("" if axis is None else f" with channel_axis={axis}"),
            "omit volume, or pass (depth, height, width), and one more axis for channels",
        )
    reject(
        "image",
        f"has shape {shape}" + ("" if axis is None else f" with channel_axis={axis}"),
        "pass (height, width), a volume (depth, height, width), or either of them with the "
        "channels along channel_axis",
    )


def _as_planes(array: NDArray[Any], axis: int | None, is_volume: bool) -> NDArray[Any]:
    array = array[None] if axis is None else np.moveaxis(array, axis, 0)
    return array if is_volume else array[:, None]


def _checked_mask(
    missing: Any, shape: tuple[int, ...], axis: int | None, is_volume: bool
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
    spatial = tuple(size for at, size in enumerate(shape) if at != axis)
    if mask.ndim == len(spatial) + 1:  # of one channel, or a picture of gray pixels in colour
        channels = np.moveaxis(mask, -1 if axis is None else axis, -1)
        if channels.shape[:-1] != spatial:
            channels = mask
        if channels.shape[:-1] == spatial:
            differ = (channels != channels[..., :1]).any(axis=-1)
            if differ.any():
                *frame, row, col = (int(at) for at in np.argwhere(differ)[0])
                where = f"frame {frame[0]}, row" if frame else "row"
                reject(
                    "missing",
                    f"has {channels.shape[-1]} channels that differ at {where} {row}, column {col}",
                    "pass one mask for all channels, or one for each channel of the image",
                )
            mask = channels[..., 0] if channels.shape[-1] else mask
    if mask.shape == spatial or (is_volume and mask.shape == spatial[1:]):
        mask = np.broadcast_to(mask, spatial)
        return mask if axis is None else np.broadcast_to(np.expand_dims(mask, axis), shape)
    reject(
        "missing",
        f"has shape {mask.shape} where the image has {shape}",
        "pass one value for every pixel"
        + (" or one frame for all" if is_volume else "")
        + ("" if axis is None else ", or every channel"),
    )


_SEEN = "if your mask is True where a pixel is observed, pass ~mask"
