"""Pixels: an image is corrupted, generated (the product) and corrected."""

from __future__ import annotations

import warnings
from contextlib import nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, overload

import numpy as np

from funkc import _train
from funkc._bar import bar
from funkc._core import pictures as core
from funkc._errors import MORE, OK, raise_for_status, reject
from funkc._input import scalars
from funkc._input.cells import cells_of_tiles
from funkc._input.options import Options, checked_options
from funkc._input.pixels import checked_tile_shape, image_and_holes
from funkc._sides import product

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from funkc._train import Training

    Method = Literal["patches", "tiles", "funk"]
    ImageCallback = Callable[[str, int, NDArray[Any]], object]

FUNK_TILE = (12, 12)
FUNK_FACTORS = 8
NEARLY_ALL = 0.99
ROWS_AT_ONCE = 64  # of a picture that are converted together


@dataclass(frozen=True)
class Tiling:
    """A plane cut into tiles, and the block-diagonal matrix that they make.

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
            )
        return out


@overload
def inpaint(
    image: Any,
    missing: Any = ...,
    *,
    method: Method = ...,
    k: int | None = ...,
    tile_shape: tuple[int, int] | None = ...,
    n_epochs: int | None = ...,
    learning_rate: float | None = ...,
    regularization: float | tuple[float, float] | None = ...,
    offset: float | Literal["auto"] = ...,
    decay: Literal["linear", "constant"] = ...,
    group_size: Literal[1, 8] = ...,
    channel_axis: int | None = ...,
    alpha: int | None = ...,
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
    method: Method = ...,
    k: int | None = ...,
    tile_shape: tuple[int, int] | None = ...,
    n_epochs: int | None = ...,
    learning_rate: float | None = ...,
    regularization: float | tuple[float, float] | None = ...,
    offset: float | Literal["auto"] = ...,
    decay: Literal["linear", "constant"] = ...,
    group_size: Literal[1, 8] = ...,
    channel_axis: int | None = ...,
    alpha: int | None = ...,
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
    method: Method = "patches",
    k: int | None = None,
    tile_shape: tuple[int, int] | None = None,
    n_epochs: int | None = None,
    learning_rate: float | None = None,
    regularization: float | tuple[float, float] | None = None,
    offset: float | Literal["auto"] = "auto",
    decay: Literal["linear", "constant"] = "linear",
    group_size: Literal[1, 8] = 8,
    channel_axis: int | None = None,
    alpha: int | None = None,
    random_state: Any = 0,
    n_threads: int | None = None,
    return_generated: bool = False,
    callback: ImageCallback | None = None,
    progress: bool = False,
) -> NDArray[Any] | tuple[NDArray[Any], NDArray[Any]]:
    """Fill the missing pixels of an image: corrupted, generated, corrected.

    Small matrices with holes are factorized side by side; their products make the *generated*
    picture, and the *corrected* one keeps every observed pixel and takes the rest from it.

    Parameters
    ----------
    image : (h, w) array, or with channels along `channel_axis`
        Any real dtype.
    missing : (h, w) array of bool, or of the image's shape, optional
        True where a pixel is **unknown**, as in `skimage.restoration`. By default the NaN of
        a floating-point image are the missing pixels. What is masked in a `numpy.ma` image
        is missing as well. An (h, w) mask counts for all channels.
    method : {"patches", "tiles", "funk"}, default "patches"
        What the matrices are:

        - "patches", the best: a row is a patch of the picture, among the sixty that resemble
          it; a column is a place in the patch. Four passes, each from what the last one made.
        - "tiles", the fastest: tiles of 16 x 16 pixels that overlap, whose factors are held
          smooth by a penalty on their second differences.
        - "funk", Simon Funk's way and the slowest to look at: tiles side by side, by gradient
          descent.
    k : int, optional
        The number of factors: of a patch in the last pass (12 by default), of a tile (8). Up
        to 16 for "patches" and "tiles".
    channel_axis : int, optional
        Which axis holds the channels. With one mask for all of them each channel is filled on
        its own. Channels that miss different pixels, or none, tell about each other:
        "patches" then takes them together, up to eight.
    alpha : int, optional
        Which of the channels is transparency, such as -1 for RGBA: it is kept as it is.
    random_state, n_threads
        As for `funkc.factorize`.
    return_generated : bool, default False
        Whether to return the generated picture too.
    callback : callable, optional
        Called as ``callback(stage, step, corrected)`` with the picture so far: stage "tiles"
        after every sweep over the tiles, "patches" after every pass, "funk" after every
        epoch of every channel. The work (of that channel) ends when it returns True. Making
        the pictures takes time: the sweeps over tiles are done anew for every picture.
    progress : bool, default False
        Whether to show a bar on stderr, where that is a terminal. Needs tqdm (the extra
        ``progress``).
    tile_shape : pair of int, optional
        For "funk": rows and columns of a tile; (12, 12) by default. Pixels that remain at the
        right and lower edge form smaller tiles.
    n_epochs, learning_rate, regularization, offset, decay, group_size
        For "funk": as for `funkc.factorize`.

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

    Warns
    -----
    RuntimeWarning
        Holes are wider than sixteen pixels, which nothing here can fill but smoothly; or
        `missing` marks nearly everything, as a mask that is upside down would.

    Notes
    -----
    The bits of the result do not depend on the number of threads, nor on the processor.
    Beside the picture, "patches" and "tiles" take up to 24 bytes for a pixel and channel.

    What to expect: holes up to some ten pixels across are filled with what the surroundings
    suggest; nothing is invented. Texture without any order gains little over a smooth fill.

    The sources are probabilistic PCA (Tipping & Bishop, 1999) of patches that look alike
    (as in Yu, Sapiro & Mallat, "Solving inverse problems with piecewise linear estimators",
    2012), and Funk, "Netflix update: try this at home", 2006.

    Examples
    --------
    >>> import numpy as np
    >>> import funkc
    >>> image = np.add.outer(np.arange(32.0), np.arange(32.0))
    >>> missing = np.random.default_rng(0).random(image.shape) < 0.3
    >>> corrected = funkc.inpaint(image, missing)
    >>> bool(np.abs(corrected - image).max() < 1)
    True
    """
    scalars.choice("method", method, ("patches", "tiles", "funk"))
    scalars.callback(callback, "(stage, step, image)")
    scalars.flag("progress", progress)
    scalars.flag("return_generated", return_generated)
    picture, holes = image_and_holes(image, missing, channel_axis, alpha)
    options = checked_options(
        (FUNK_FACTORS if method == "funk" else 1) if k is None else k,
        learning_rate=learning_rate,
        regularization=regularization,
        n_epochs=n_epochs,
        offset=offset,
        decay=decay,
        group_size=group_size,
        random_state=random_state,
        n_threads=n_threads,
    )
    share = float(holes.mean())
    if share > NEARLY_ALL:
        warnings.warn(
            f"missing marks {share:.1%} of the pixels as unknown; if your mask is True where a "
            "pixel is observed, pass ~mask",
            RuntimeWarning,
            stacklevel=2,
        )
    if method != "funk":
        given = {
            "tile_shape": tile_shape is not None, "n_epochs": n_epochs is not None,
            "learning_rate": learning_rate is not None,
            "regularization": regularization is not None, "offset": offset != "auto",
            "decay": decay != "linear", "group_size": group_size != 8,
        }  # fmt: skip
        for name in (name for name, was_given in given.items() if was_given):
            what = f"has no meaning for method={method!r}"
            reject(name, what, "leave it out, or pass method='funk'")
        if k is not None and options.k > core.MOST_RANK:
            reject("k", f"got {k}", f"pass at most {core.MOST_RANK}, or method='funk'")
    kept = None if alpha is None else alpha % picture.shape[2]
    filling = Filling(picture, holes, channel_axis, kept, options, callback, return_generated)
    del picture  # the filling has its own
    unit = "epochs" if method == "funk" else "bands"
    with bar("pixels", unit) if progress else nullcontext() as shown:
        if method == "funk":
            shape = FUNK_TILE if tile_shape is None else checked_tile_shape(tile_shape)
            filling.by_funk(Tiling(holes.shape[0], holes.shape[1], shape), shown)
        else:
            filling.by_restoration(method, None if k is None else options.k, shown)
    results: NDArray[Any] | tuple[NDArray[Any], NDArray[Any]] = filling.results()
    return results


class Filling:
    """A picture (height, width, channels) on its way from corrupted to corrected."""

    def __init__(
        self,
        picture: NDArray[Any],
        holes: NDArray[np.bool_],
        channel_axis: int | None,
        alpha: int | None,
        options: Options,
        callback: ImageCallback | None,
        return_generated: bool,
    ) -> None:
        self.holes, self.channel_axis, self.options = holes, channel_axis, options
        self.callback, self.return_generated = callback, return_generated
        self.corrected = picture.copy()
        self.generated = picture.copy() if return_generated else None
        self.channels = [c for c in range(picture.shape[2]) if c != alpha]
        self.to_fill = [c for c in self.channels if return_generated or holes[:, :, c].any()]
        zero = picture.dtype.type(0)
        self.range = [
            (known.min() + zero, known.max() + zero)  # -0.0 is 0.0
            for c in range(picture.shape[2])
            for known in [picture[:, :, c][~holes[:, :, c]]]
        ]

    def results(self) -> Any:
        """What inpaint() returns."""
        corrected = self._with_channels_back(self.corrected)
        if self.generated is None:
            return corrected
        return corrected, self._with_channels_back(self.generated)

    def _with_channels_back(self, picture: NDArray[Any]) -> NDArray[Any]:
        if self.channel_axis is None:
            return picture[:, :, 0]
        return np.ascontiguousarray(np.moveaxis(picture, 2, self.channel_axis))

    def _take(self, channel: int, made: NDArray[Any], top: int = 0) -> None:
        """Keep rows that were made: in the holes, and everywhere in the generated picture."""
        for first in range(0, len(made), ROWS_AT_ONCE):
            values = made[first : first + ROWS_AT_ONCE].astype(np.float64, copy=False)
            part = _in_range(values, *self.range[channel])
            rows = slice(top + first, top + first + len(part))
            hole = self.holes[rows, :, channel]
            self.corrected[rows, :, channel][hole] = part[hole]
            if self.generated is not None:
                self.generated[rows, :, channel] = part

    def _call(self, stage: str, step: int) -> bool:
        """Whether the callback ends the work."""
        assert self.callback is not None
        answer = self.callback(stage, step, self._with_channels_back(self.corrected.copy()))
        return _train.is_true(answer)

    def by_restoration(self, method: str, k: int | None, shown: Any) -> None:
        """Tiles, and patches upon them."""
        if not self.to_fill:
            return
        missing = np.ascontiguousarray(np.moveaxis(self.holes[:, :, self.channels], 2, 0))
        status, begun = core.begin(
            missing.view(np.uint8), np.array([self.range[c] for c in self.channels], np.float64),
            method == "patches", k or 0, self.options.seed, self.return_generated,
            self.callback is not None, self.options.n_threads,
        )  # fmt: skip
        raise_for_status(status, purpose="to fill the picture")
        del missing  # the core has its own
        height, width, _ = self.corrected.shape
        tops = range(0, height, ROWS_AT_ONCE)
        for at, c in enumerate(self.channels):
            for top in tops:
                rows = self.corrected[top : top + ROWS_AT_ONCE, :, c]
                with np.errstate(over="ignore"):  # of what is missing
                    core.put(begun, at, top, np.ascontiguousarray(rows, np.float64))

        def keep() -> None:
            values = np.empty((min(ROWS_AT_ONCE, height), width))
            for at, c in enumerate(self.channels):
                for top in tops if c in self.to_fill else ():
                    made = values[: height - top]
                    core.take(begun, at, top, made)
                    self._take(c, made, top)

        status, so_far = MORE, 0
        while status != OK:
            status, stage, step, done, to_do = core.go_on(begun)
            if stage == "survey":
                self._warn_of_wide_holes(core.survey(begun)[0])
            if shown is not None:
                shown.total = to_do or None
                shown.update(done - so_far)
            so_far = done
            if self.callback is not None and stage in ("tiles", "patches"):
                keep()
                if self._call(stage, step):
                    break
        keep()

    def _warn_of_wide_holes(self, n_pixels: int) -> None:
        if n_pixels:
            warnings.warn(
                f"{n_pixels / self.holes.size:.1%} of the picture lies in holes at least "
                f"{core.WIDE_SIDE} pixels wide and high, and is filled smoothly: nothing near "
                "enough tells what was there",
                RuntimeWarning,
                stacklevel=4,
            )

    def by_funk(self, tiling: Tiling, shown: Any) -> None:
        """Channel by channel, on the engine for ratings."""
        for channel in self.to_fill:
            hole = self.holes[:, :, channel]
            rows, cols = np.nonzero(~hole)
            observed = self.corrected[rows, cols, channel]

            def listen(training: Training, channel: int = channel) -> object:
                epoch = len(training.history["epoch"])
                if shown is not None:
                    shown.total = training.settings.n_epochs * len(self.to_fill)
                    shown.update(1)
                if self.callback is None:
                    return None
                self._take(channel, tiling.assemble(*training.factors(), training.schedule.offset))
                return self._call("funk", epoch)

            problem = cells_of_tiles(
                *tiling.cells(rows, cols), observed, tiling.shape, *tiling.cuts()
            )
            watched = self.callback is not None or shown is not None
            training, _ = _train.train(problem, self.options, listen if watched else None)
            self._take(
                channel,
                tiling.assemble(*training.ready(), training.schedule.offset),
            )


def _in_range(made: NDArray[np.float64], low: Any, high: Any) -> NDArray[Any]:
    """What was made, rounded and cut off to the dtype and the range of the observed pixels."""
    dtype = np.asarray(low).dtype
    if dtype.kind != "f":
        made = np.rint(made)
    out = np.full(made.shape, low)
    inside = (made > low) & (made < high)  # what lies outside may not even fit the dtype
    out[inside] = made[inside].astype(dtype)
    out[made >= high] = high
    return out
