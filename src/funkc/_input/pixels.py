"""Checks of an image and its mask."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from funkc._errors import reject, shown, warn
from funkc._input.arrays import MOST_ROWS, as_array, as_marks, numeric
from funkc._input.scalars import flag, integer

if TYPE_CHECKING:
    from numpy.typing import NDArray

MOST_COLOURS = 4  # on the first or the last axis, where a volume would have a side
MOST_MASK_VALUES = 16  # different ones of a mask; more are shades of gray


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
        if native.itemsize > 8:
            _require_double(planes)
    return planes


def _require_double(planes: Planes) -> None:
    """Longer floats are computed with as doubles."""
    huge = ~planes.holes & (np.abs(planes.pixels) > np.finfo(np.float64).max)
    if huge.any():
        at = tuple(int(i) for i in np.argwhere(huge)[0])
        reject(
            "image",
            f"is {planes.pixels[at]} at {planes.position(*at)}, more than numpy.float64 holds",
            "divide the image by a constant",
        )


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
    if mask.dtype.kind == "f":
        mask = as_marks(
            "missing", mask, "pass mask != 0 (True where a pixel is unknown), or 0 and 1"
        )
    if mask.dtype.kind not in ("b", "i", "u"):
        reject(
            "missing",
            f"has dtype {mask.dtype}",
            "pass booleans, True where a pixel is unknown, or integers, not 0 there (such as "
            "mask != 0); NaN in the image needs no mask",
            TypeError,
        )
    if mask.dtype == np.uint8:
        n_values = np.count_nonzero(np.bincount(np.asarray(mask).ravel(), minlength=256))
        if n_values > MOST_MASK_VALUES:
            warn(
                f"missing has {n_values} different values, and all but 0 count as unknown; of a "
                "gray mask pass missing > 127",
                RuntimeWarning,
            )
    mask = np.asarray(mask != 0, np.bool_)
    if mask.shape == shape:
        return mask
    spatial = tuple(size for at, size in enumerate(shape) if at != axis)
    for one in (spatial, spatial[1:]) if is_volume else (spatial,):
        if mask.ndim == len(one) + 1 and mask.shape != spatial:
            mask = _one_channel(mask, one, axis)
        if mask.shape == one:
            mask = np.broadcast_to(mask, spatial)
            return mask if axis is None else np.broadcast_to(np.expand_dims(mask, axis), shape)
    reject(
        "missing",
        f"has shape {mask.shape} where the image has {shape}"
        + ("" if axis is None else f" and channels along axis {axis}"),
        "pass one value for every pixel"
        + (" or one frame for all" if is_volume else "")
        + ("" if axis is None else ", or every channel; or pass the right channel_axis")
        + (
            "; or pass channel_axis if the image has channels" if is_volume and axis is None else ""
        ),
    )


def _one_channel(
    mask: NDArray[np.bool_], one: tuple[int, ...], axis: int | None
) -> NDArray[np.bool_]:
    """The only channel of a mask, or the one that all are equal to, if it has such a shape."""
    channels = np.moveaxis(mask, -1 if axis is None or axis >= mask.ndim else axis, -1)
    if channels.shape[:-1] != one:
        channels = mask
    if channels.shape[:-1] != one or not channels.shape[-1]:
        return mask
    differ = (channels != channels[..., :1]).any(axis=-1)
    if differ.any():
        *frame, row, col = (int(at) for at in np.argwhere(differ)[0])
        where = f"frame {frame[0]}, row" if frame else "row"
        reject(
            "missing",
            f"has {channels.shape[-1]} channels that differ at {where} {row}, column {col}",
            "pass one mask for all channels, or one for each channel of the image",
        )
    first: NDArray[np.bool_] = channels[..., 0]
    return first


_SEEN = "if your mask is True where a pixel is observed, pass ~mask"
