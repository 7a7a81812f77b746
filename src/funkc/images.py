"""Pixels: an image is cut into tiles that are factorized side by side, and put together."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, overload

import numpy as np

from funkc import _api, _validate
from funkc.factorization import product
from funkc.progress import epochs_bar

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from funkc._train import Training

    ImageCallback = Callable[[str, int, NDArray[Any]], object]

DEFAULT_TILE = (12, 12)
DEFAULT_FACTORS = 8


@dataclass(frozen=True)
class Tiling:
    """A picture cut into tiles, and the block-diagonal matrix that they make.

    Tiles are numbered down the columns of tiles. Tile t owns rows row_cuts[t] ... and
    columns col_cuts[t] ... of the matrix, so no two tiles share a factor. The tiles at the
    right and lower edge are smaller where the tile shape does not divide the picture.
    """

    height: int
    width: int
    tile: tuple[int, int]

    @property
    def shape(self) -> tuple[int, int]:
        """The shape of the block-diagonal matrix."""
        down, across = self._counts()
        return across * self.height, down * self.width

    def _counts(self) -> tuple[int, int]:
        return -(-self.height // self.tile[0]), -(-self.width // self.tile[1])

    def boxes(self) -> list[tuple[slice, slice]]:
        """Where every tile lies in the picture."""
        return [
            (slice(top, min(top + self.tile[0], self.height)), slice(left, right))
            for left in range(0, self.width, self.tile[1])
            for right in [min(left + self.tile[1], self.width)]
            for top in range(0, self.height, self.tile[0])
        ]

    def cuts(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Where each tile's rows and columns begin in the matrix, and where they end."""
        boxes = self.boxes()
        heights = [down.stop - down.start for down, _ in boxes]
        widths = [across.stop - across.start for _, across in boxes]
        return (
            np.concatenate([[0], np.cumsum(heights)]).astype(np.int64),
            np.concatenate([[0], np.cumsum(widths)]).astype(np.int64),
        )

    def cells(self, rows: NDArray[Any], cols: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
        """Row and column of the matrix for pixels of the picture."""
        down, _ = self._counts()
        row_cuts, col_cuts = self.cuts()
        tile = cols // self.tile[1] * down + rows // self.tile[0]
        return row_cuts[tile] + rows % self.tile[0], col_cuts[tile] + cols % self.tile[1]

    def assemble(
        self, row_factors: NDArray[Any], col_factors: NDArray[Any], offset: float
    ) -> NDArray[Any]:
        """The product of every tile, put where the tile lies."""
        out = np.empty((self.height, self.width), row_factors.dtype)
        row_cuts, col_cuts = self.cuts()
        for t, box in enumerate(self.boxes()):
            out[box] = product(
                row_factors[row_cuts[t] : row_cuts[t + 1]],
                col_factors[col_cuts[t] : col_cuts[t + 1]],
                offset,
                n_threads=1,
            )
        return out


@overload
def inpaint(
    image: Any,
    missing: Any = ...,
    *,
    method: Literal["funk"] = ...,
    k: int | None = ...,
    tile_shape: tuple[int, int] | None = ...,
    n_epochs: int | None = ...,
    learning_rate: float | None = ...,
    regularization: float | tuple[float, float] | None = ...,
    offset: float | Literal["auto"] = ...,
    decay: Literal["linear", "constant"] = ...,
    group_size: Literal[1, 8] = ...,
    channel_axis: int | None = ...,
    random_state: Any = ...,
    n_threads: int | None = ...,
    return_generated: Literal[False] = ...,
    callback: ImageCallback | None = ...,
    progress: bool = ...,
) -> NDArray[Any]: ...


@overload
def inpaint(
    image: Any,
    missing: Any = ...,
    *,
    method: Literal["funk"] = ...,
    k: int | None = ...,
    tile_shape: tuple[int, int] | None = ...,
    n_epochs: int | None = ...,
    learning_rate: float | None = ...,
    regularization: float | tuple[float, float] | None = ...,
    offset: float | Literal["auto"] = ...,
    decay: Literal["linear", "constant"] = ...,
    group_size: Literal[1, 8] = ...,
    channel_axis: int | None = ...,
    random_state: Any = ...,
    n_threads: int | None = ...,
    return_generated: Literal[True],
    callback: ImageCallback | None = ...,
    progress: bool = ...,
) -> tuple[NDArray[Any], NDArray[Any]]: ...


def inpaint(
    image: Any,
    missing: Any = None,
    *,
    method: Literal["funk"] = "funk",
    k: int | None = None,
    tile_shape: tuple[int, int] | None = None,
    n_epochs: int | None = None,
    learning_rate: float | None = None,
    regularization: float | tuple[float, float] | None = None,
    offset: float | Literal["auto"] = "auto",
    decay: Literal["linear", "constant"] = "linear",
    group_size: Literal[1, 8] = 8,
    channel_axis: int | None = None,
    random_state: Any = 0,
    n_threads: int | None = None,
    return_generated: bool = False,
    callback: ImageCallback | None = None,
    progress: bool = False,
) -> NDArray[Any] | tuple[NDArray[Any], NDArray[Any]]:
    """Fill the missing pixels of an image: corrupted, generated, corrected.

    The picture is cut into tiles, each a small matrix with holes; all tiles are factorized
    side by side; their products make the *generated* picture, and the *corrected* one keeps
    every observed pixel and takes the rest from it.

    Parameters
    ----------
    image : (h, w) array, or with channels along `channel_axis`
        Any real dtype.
    missing : (h, w) array of bool, or of the image's shape, optional
        True where a pixel is **unknown**, as in `skimage.restoration`. By default the NaN of
        a floating-point image are the missing pixels. What is masked in a `numpy.ma` image
        is missing as well.
    method : {"funk"}
        Tiles, each the product of row and column factors found by gradient descent.
    k : int, optional
        The number of factors of every tile; 8 by default.
    tile_shape : pair of int, optional
        Rows and columns of a tile; (12, 12) by default. Pixels that remain at the right and
        lower edge form smaller tiles.
    n_epochs, learning_rate, regularization, offset, decay, group_size, random_state, n_threads
        As for `funkc.factorize`.
    channel_axis : int, optional
        Which axis holds the channels; every channel is filled on its own.
    return_generated : bool, default False
        Whether to return the generated picture too.
    callback : callable, optional
        Called as ``callback("funk", epoch, corrected)`` after every epoch of every channel,
        with that channel's picture so far; the channel's training stops when it returns
        True. Making the pictures takes time.
    progress : bool, default False
        Whether to count the epochs of every channel in a bar on stderr, where that is a
        terminal. Needs tqdm (the extra ``progress``).

    Returns
    -------
    corrected : array
        A new array of the image's shape and dtype (in native byte order). Observed pixels
        are exactly as they were; filled ones lie within the range of the observed ones.
    generated : array
        The product everywhere, likewise; only with `return_generated`.

    Raises
    ------
    ValueError, TypeError
        The input can't be served; the message names argument, value, position and remedy.

    Notes
    -----
    The bits of the result do not depend on the number of threads. A hole that takes up a
    whole row or column of a tile can't be told from the data, and is filled with what is
    usual for the picture.

    Examples
    --------
    >>> import numpy as np
    >>> import funkc
    >>> image = np.add.outer(np.arange(32.0), np.arange(32.0))
    >>> missing = np.random.default_rng(0).random(image.shape) < 0.3
    >>> corrected = funkc.inpaint(image, missing)
    >>> bool(np.abs(corrected - image).max() < 5)
    True
    """
    _validate.choice("method", method, ("funk",))
    _validate.callback(callback, "(stage, step, image)")
    _validate.flag("progress", progress)
    picture, holes = _validate.image_and_holes(image, missing, channel_axis)
    options = _validate.options(
        DEFAULT_FACTORS if k is None else k,
        learning_rate=learning_rate,
        regularization=regularization,
        n_epochs=n_epochs,
        offset=offset,
        decay=decay,
        group_size=group_size,
        random_state=random_state,
        n_threads=n_threads,
    )
    tiling = Tiling(
        picture.shape[0],
        picture.shape[1],
        DEFAULT_TILE if tile_shape is None else _validate.tile_shape(tile_shape),
    )
    corrected, generated = picture.copy(), picture.copy()
    for channel in range(picture.shape[2]):
        hole = holes[:, :, channel]
        if not hole.any() and not return_generated:
            continue
        with epochs_bar("pixels") if progress else nullcontext() as bar:
            made = _generate(picture[:, :, channel], hole, tiling, options, callback, bar)
        generated[:, :, channel] = made
        corrected[:, :, channel][hole] = made[hole]
    results = [_with_channels_back(out, channel_axis) for out in (corrected, generated)]
    return (results[0], results[1]) if return_generated else results[0]


def _generate(
    channel: NDArray[Any],
    hole: NDArray[np.bool_],
    tiling: Tiling,
    options: _validate.Options,
    callback: ImageCallback | None,
    bar: Any,
) -> NDArray[Any]:
    """The product picture of one channel, in the channel's dtype and range."""
    rows, cols = np.nonzero(~hole)
    observed = channel[rows, cols]

    def picture(training: Training) -> NDArray[Any]:
        made = tiling.assemble(*training.factors(), training.schedule.offset)
        return _in_range_of(observed, made)

    def listen(training: Training) -> object:
        epoch = len(training.history["epoch"])
        if bar is not None:
            bar.total = training.settings.n_epochs
            bar.update(epoch - bar.n)
        if callback is None:
            return None
        made = picture(training)
        made[~hole] = observed
        return callback("funk", epoch, made)

    problem = _validate.tiles(*tiling.cells(rows, cols), observed, tiling.shape, *tiling.cuts())
    watched = callback is not None or bar is not None
    training, _ = _api.train(problem, options, listen if watched else None)
    return picture(training)


def _in_range_of(observed: NDArray[Any], made: NDArray[Any]) -> NDArray[Any]:
    """What was made, rounded and cut off to the dtype and the range of the observed pixels."""
    low, high = observed.min(), observed.max()
    made = made.astype(np.float64)
    if observed.dtype.kind != "f":
        made = np.rint(made)
    out = np.full(made.shape, low)
    inside = (made > low) & (made < high)  # what lies outside may not even fit the dtype
    out[inside] = made[inside].astype(observed.dtype)
    out[made >= high] = high
    return out


def _with_channels_back(picture: NDArray[Any], channel_axis: int | None) -> NDArray[Any]:
    if channel_axis is None:
        return picture[:, :, 0]
    return np.ascontiguousarray(np.moveaxis(picture, 2, channel_axis))
