"""Inpainting: from a corrupted image to a generated (the product) and a corrected one."""

from __future__ import annotations

import math
from contextlib import nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, overload

import numpy as np

from funkc import _train
from funkc._bar import bar
from funkc._core import pictures as core
from funkc._errors import MORE, OK, HotPixelWarning, raise_for_status, reject, warn
from funkc._errstate import own_errstate
from funkc._export import as_given
from funkc._input import scalars
from funkc._input.cells import cells_of_tiles
from funkc._input.options import Options, checked_options
from funkc._input.pixels import checked_planes, checked_tile_shape
from funkc._sides import product

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from funkc._input.pixels import Planes
    from funkc._train import Training

    Method = Literal["patches", "tiles", "funk"]
    Quality = Literal["standard", "fine"]
    ImageCallback = Callable[[str, int, NDArray[Any]], object]

FUNK_TILE = (12, 12)
FUNK_FACTORS = 8
NEARLY_ALL = 0.99
BYTES_OF_PIXEL = 20  # at least, beside the image
ROWS_AT_ONCE = 64  # of an image that are converted together
LEAST_SAMPLE = 64  # pixels that say what is usual
NO_DATA_SPANS = 10  # how many ranges of the others off a value means no data


@dataclass(frozen=True)
class Tiling:
    """A plane cut into tiles, and the block-diagonal matrix that they make.

    Tiles are numbered down the columns of tiles. Tile t owns rows row_cuts[t] ... and
    columns col_cuts[t] ... of the matrix, so no two tiles share a factor. The tiles at the
    right and lower edge are smaller if the tile shape does not divide the image.
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
        """The position of every tile in the image."""
        return [
            (slice(top, min(top + self.tile[0], self.height)), slice(left, right))
            for left in range(0, self.width, self.tile[1])
            for right in [min(left + self.tile[1], self.width)]
            for top in range(0, self.height, self.tile[0])
        ]

    def cuts(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Where the rows and columns of each tile begin in the matrix, and the end of the last."""
        boxes = self.boxes()
        heights = [down.stop - down.start for down, _ in boxes]
        widths = [across.stop - across.start for _, across in boxes]
        return (
            np.concatenate([[0], np.cumsum(heights)]).astype(np.int64),
            np.concatenate([[0], np.cumsum(widths)]).astype(np.int64),
        )

    def cells(self, rows: NDArray[Any], cols: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
        """Row and column in the matrix of pixels of the image."""
        down, _ = self._counts()
        row_cuts, col_cuts = self.cuts()
        tile = cols // self.tile[1] * down + rows // self.tile[0]
        return row_cuts[tile] + rows % self.tile[0], col_cuts[tile] + cols % self.tile[1]

    def assemble(
        self, row_factors: NDArray[Any], col_factors: NDArray[Any], offset: float
    ) -> NDArray[Any]:
        """The products of all tiles, each at the position of its tile."""
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
    quality: Quality = ...,
    channel_axis: int | None = ...,
    alpha: int | None = ...,
    volume: bool = ...,
    random_state: Any = ...,
    n_threads: int | None = ...,
    return_generated: Literal[False] = ...,
    callback: ImageCallback | None = ...,
    progress: bool = ...,
) -> Any: ...


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
    quality: Quality = ...,
    channel_axis: int | None = ...,
    alpha: int | None = ...,
    volume: bool = ...,
    random_state: Any = ...,
    n_threads: int | None = ...,
    return_generated: Literal[True],
    callback: ImageCallback | None = ...,
    progress: bool = ...,
) -> tuple[Any, Any]: ...


@own_errstate
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
    quality: Quality = "standard",
    channel_axis: int | None = None,
    alpha: int | None = None,
    volume: bool = False,
    random_state: Any = 0,
    n_threads: int | None = None,
    return_generated: bool = False,
    callback: ImageCallback | None = None,
    progress: bool = False,
) -> Any:
    """Fill the missing pixels of an image: corrupted, generated, corrected.

    Many small incomplete matrices are factorized; their products form the *generated* image. The
    *corrected* image keeps every observed pixel and takes the missing ones from it.

    Parameters
    ----------
    image : (h, w) array or (d, h, w) volume, with channels along `channel_axis` if there are any
        Any real dtype. A 3-D array is a volume, a film or a stack of d frames, which also carry
        information about each other; one whose first or last axis is 4 or shorter may be a
        colour image, and must come with `channel_axis` or ``volume=True``.
    missing : (h, w) array of bool or int, or of the image's shape, optional
        True, or not 0 (of floats: 1), where a pixel is **unknown**, as in `skimage.restoration`
        and OpenCV. By default the NaN of a floating-point image are the missing pixels. Masked
        pixels of a `numpy.ma` image are missing as well. An (h, w) mask applies to all channels,
        and so does one whose channels are all equal, such as (h, w, 1). In a volume, a mask of
        one frame applies to all frames; a frame may be missing as a whole.
    method : {"patches", "tiles", "funk"}, default "patches"
        What the matrices are:

        - "patches", the best quality: each row is one of sixty similar patches of the image,
          each column a pixel position in the patch. Four to six passes, each of which starts
          from the result of the previous one; their number, the sizes of patches and the number
          of factors depend on the mask. If missing regions are wide, or most pixels are missing,
          the image is first filled at a half, a quarter and an eighth of its size.
        - "tiles", the fastest: overlapping tiles of 16 x 16 pixels, whose factors are made
          smooth by a penalty on their second differences. Wide missing regions are taken from
          the image at half its size.
        - "funk", Simon Funk's method and the lowest quality: adjacent tiles, by gradient
          descent.
    k : int, optional
        The number of factors: for "patches", the most that a pass uses (16 by default); otherwise
        of a tile (8 by default). At most 16 for "patches" and "tiles".
    quality : {"standard", "fine"}, default "standard"
        For "patches": "fine" fits every group of patches in every pass, instead of leaving out
        most of those that overlap others. It takes about twice as long.
    channel_axis : int, optional
        The axis of the channels. "patches" fills up to eight channels of an image jointly if their
        masks differ, since they carry information about each other, or if what is missing are
        lines such as text; more than eight as if they were the frames of a volume. Otherwise each
        channel is filled separately, and so are those of a volume.
    alpha : int, optional
        The index of the transparency channel, such as -1 for RGBA. It is not changed.
    volume : bool, default False
        Whether a 3-D array with an axis of 4 or shorter is a volume.
    random_state, n_threads
        As for `funkc.factorize`.
    return_generated : bool, default False
        Whether to return the generated image too.
    callback : callable, optional
        Called as ``callback(stage, step, corrected)`` with the current image: with stage
        "tiles" after every sweep over the tiles, "coarse" after every pass over the image at
        reduced size, "patches" after every pass, "smooth" after wide regions were averaged with
        a smooth fill, "funk" after every epoch of every channel or frame. If it returns True, the
        work (for "funk", on that channel or frame) stops.
        Making these images takes time: the sweeps over the tiles are repeated for each one.
    progress : bool, default False
        Whether to show a progress bar on stderr if that is a terminal. Requires tqdm (the
        extra ``progress``).
    tile_shape : pair of int, optional
        For "funk": rows and columns of a tile; (12, 12) by default. The remaining pixels at the
        right and lower edge form smaller tiles.
    n_epochs, learning_rate, regularization, offset, decay, group_size
        For "funk": as for `funkc.factorize`.

    Returns
    -------
    corrected : array
        A new array of the image's shape and dtype (in native byte order). Observed pixels
        are unchanged; filled pixels lie within the range of the observed ones, without hot ones.
        A DataArray or a data frame comes back as such.
    generated : array
        The product at every pixel, of the same shape, dtype and range; only with
        `return_generated`.

    Raises
    ------
    ValueError, TypeError
        Invalid input; the message names argument, value, position and remedy.

    Warns
    -----
    HotPixelWarning
        Observed pixels lie more than one range outside of that of the others, as hot pixels and
        wrong no-data values do: at most a thousandth of them at each end, or one of 64 to 2000.
        They are not used to fill others, and returned as they were. Or one value that is far
        outside is more frequent, as -9999 for no data would be, and is used like any other.
    RuntimeWarning
        A missing region is wider than sixteen pixels, so that what is filled in there is a guess;
        or `missing` marks nearly all pixels, as an inverted mask would.

    Notes
    -----
    The bits of the result do not depend on the number of threads or on the processor.
    In addition to the image, "patches" and "tiles" use up to 32 bytes per pixel and channel; if
    more than a third of a gray image is missing in wide regions, "patches" uses up to 70. The time
    depends on the number of missing pixels: a few dead pixels of a large image take milliseconds
    each.

    What to expect: missing regions up to about ten pixels across are filled with what the
    surroundings suggest, wider ones with what continues them at a coarser scale. Stochastic
    texture gains little over a smooth fill; text and screens in wide missing regions, noise and
    very smooth images are better filled by a smooth method.

    The methods are based on probabilistic PCA (Tipping & Bishop, 1999) of similar patches
    (as in Yu, Sapiro & Mallat, "Solving inverse problems with piecewise linear estimators",
    2012), and on Funk, "Netflix update: try this at home", 2006.

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
    method = scalars.choice("method", method, ("patches", "tiles", "funk"))
    quality = scalars.choice("quality", quality, ("standard", "fine"))
    callback = scalars.callback(callback, "(stage, step, image)")
    scalars.flag("progress", progress)
    scalars.flag("return_generated", return_generated)
    planes = checked_planes(image, missing, channel_axis, alpha, volume)
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
        biases=False,
    )
    n_kept = 0 if alpha is None else planes.holes[alpha].size
    share = np.count_nonzero(planes.holes) / max(1, planes.holes.size - n_kept)
    if share > NEARLY_ALL:
        warn(
            f"missing marks {share:.1%} of the pixels as unknown; if your mask is True where a "
            "pixel is observed, pass ~mask",
            RuntimeWarning,
        )
    if method != "funk":
        given = {
            "tile_shape": tile_shape is not None, "n_epochs": n_epochs is not None,
            "learning_rate": learning_rate is not None,
            "regularization": regularization is not None, "offset": not isinstance(offset, str),
            "decay": options.decay != "linear", "group_size": options.group_size != 8,
        }  # fmt: skip
        for name in (name for name, was_given in given.items() if was_given):
            what = f"has no meaning for method={method!r}"
            reject(name, what, "leave it out, or pass method='funk'")
        if k is not None and options.k > core.MOST_RANK:
            reject("k", f"got {k}", f"pass at most {core.MOST_RANK}, or method='funk'")
    if method != "patches" and quality != "standard":
        reject("quality", f"got {quality!r} for method={method!r}", "omit it")
    kept = None if alpha is None else alpha % len(planes.pixels)
    filling = Filling(planes, kept, options, callback, return_generated)
    del planes  # the filling has its own
    unit = "epochs" if method == "funk" else "pixels"
    with bar("filling", unit, scale=method != "funk") if progress else nullcontext() as shown:
        if method == "funk":
            filling.by_funk(FUNK_TILE if tile_shape is None else checked_tile_shape(tile_shape),
                            shown)  # fmt: skip
        else:
            filling.by_restoration(
                method, None if k is None else options.k, quality == "fine", shown
            )
    if return_generated:
        corrected, generated = (as_given(image, made) for made in filling.results())
        return corrected, generated
    return as_given(image, filling.results())


class Filling:
    """The planes of an image while they are being filled."""

    def __init__(
        self,
        planes: Planes,
        alpha: int | None,
        options: Options,
        callback: ImageCallback | None,
        return_generated: bool,
    ) -> None:
        self.planes, self.options = planes, options
        self.callback, self.return_generated = callback, return_generated
        self.corrected = planes.pixels.copy()  # they may be the caller's
        self.generated = self.corrected.copy() if return_generated else None
        self.holes = planes.holes
        self.channels = [c for c in range(len(self.holes)) if c != alpha]
        self.unused = self._with_hot_pixels()
        self.to_fill = [c for c in self.channels if return_generated or self.holes[c].any()]
        zero = self.corrected.dtype.type(0)
        self.range = {
            c: (known.min() + zero, known.max() + zero)  # -0.0 is 0.0
            for c in self.channels
            for known in [self.corrected[c][~self.unused[c]]]
        }

    def _with_hot_pixels(self) -> NDArray[np.bool_]:
        """What is not used to fill the others; of all channels, if these are few and have one
        mask: then they are filled alike.
        """
        unused, n_hot, told = self.holes, 0, ""
        one_mask = len(self.channels) <= core.most_joined and bool(
            (self.holes[self.channels] == self.holes[self.channels[:1]]).all()
        )
        for c in self.channels:
            values, hole = self.corrected[c], self.holes[c]
            step = core.sample_step(values.size, *values.shape[1:])
            some = values.reshape(-1)[::step][~hole.reshape(-1)[::step]].astype(np.float64)
            low, high = core.usual_range(some)  # puts them in order
            self._warn_of_no_data(some, c)
            if math.isinf(high):
                continue
            # In double, whatever the pixels are.
            hot = ~hole & ~((values >= np.float64(low)) & (values <= np.float64(high)))
            if hot.any():
                unused = self.holes.copy() if unused is self.holes else unused
                for at in self.channels if one_mask else [c]:
                    unused[at] |= hot
                frame, row, col = (int(i) for i in np.argwhere(hot)[0])
                where = self.planes.position(c, frame, row, col)
                told = told or f"{values[frame, row, col]} at {where}"
                n_hot += int(hot.sum())
        if n_hot:
            lie = "s lie" if n_hot > 1 else " lies"
            warn(
                f"image: {n_hot:,} observed pixel{lie} far outside of the range of the others "
                f"(first: {told}), so these are left out and returned as they were; to fill them "
                "as well, add them to missing",
                HotPixelWarning,
            )
        return unused

    def _warn_of_no_data(self, some: NDArray[np.float64], channel: int) -> None:
        """Of one value far off in an ordered sample, that is too frequent to be hot."""
        for end, sign in ((0, 1), (-1, -1)) if some.size >= LEAST_SAMPLE else ():
            value = some[end]
            rest = some[some != value]
            if rest.size < LEAST_SAMPLE or rest.size >= some.size - some.size // 1000 - 1:
                continue
            span = rest[-1] - rest[0]
            if sign * (rest[end] - value) > NO_DATA_SPANS * span > 0:
                where = "" if self.planes.channel_axis is None else f" of channel {channel}"
                warn(
                    f"image: {1 - rest.size / some.size:.1%} of the observed pixels{where} are "
                    f"{value:g}, far outside of the range of the others, and are used to fill "
                    f"missing pixels; if that means no data, add image == {value:g} to missing",
                    HotPixelWarning,
                )

    def results(self) -> Any:
        """What inpaint() returns."""
        corrected = self.planes.as_image(self.corrected)
        if self.generated is None:
            return corrected
        return corrected, self.planes.as_image(self.generated)

    def _take(self, channel: int, frame: int, made: NDArray[Any], top: int = 0) -> None:
        """Store generated rows: the missing pixels, and every pixel of the generated image."""
        for first in range(0, len(made), ROWS_AT_ONCE):
            values = made[first : first + ROWS_AT_ONCE].astype(np.float64, copy=False)
            part = _in_range(values, *self.range[channel])
            rows = slice(top + first, top + first + len(part))
            hole = self.holes[channel, frame, rows]
            self.corrected[channel, frame, rows][hole] = part[hole]
            if self.generated is not None:
                self.generated[channel, frame, rows] = part

    def _call(self, stage: str, step: int) -> bool:
        """Whether the callback stops the work."""
        assert self.callback is not None
        answer = self.callback(stage, step, self.planes.as_image(self.corrected.copy()))
        return scalars.is_true(answer)

    def by_restoration(self, method: str, k: int | None, fine: bool, shown: Any) -> None:
        """Fill by tiles, then by patches."""
        if not self.to_fill:
            return
        _, n_frames, height, width = self.corrected.shape
        places = [(c, frame) for c in self.channels for frame in range(n_frames)]
        scalars.require_memory(
            BYTES_OF_PIXEL * len(places) * height * width,
            f"the work on {len(places) * height * width:,} pixels",
            "fill the image in parts",
        )
        missing = np.ascontiguousarray(self.unused[self.channels]).reshape(-1, height, width)
        status, begun = core.begin(
            missing.view(np.uint8), n_frames,
            np.array([self.range[c] for c, _ in places], np.float64), method == "patches", k or 0,
            fine, self.options.seed, self.return_generated, self.callback is not None,
            self.options.n_threads,
        )  # fmt: skip
        raise_for_status(status, purpose="to fill the image")
        del missing  # the core has its own
        tops = range(0, height, ROWS_AT_ONCE)
        for at, place in enumerate(places):
            for top in tops:
                rows = self.corrected[place][top : top + ROWS_AT_ONCE]
                core.put(begun, at, top, np.ascontiguousarray(rows, np.float64))

        def keep() -> None:
            values = np.empty((min(ROWS_AT_ONCE, height), width))
            for at, place in enumerate(places):
                for top in tops if place[0] in self.to_fill else ():
                    if self.return_generated or self.holes[place][top : top + ROWS_AT_ONCE].any():
                        made = values[: height - top]
                        core.take(begun, at, top, made)
                        self._take(*place, made, top)

        status, so_far = MORE, 0
        while status != OK:
            status, stage, step, done, to_do = core.go_on(begun)
            if status != MORE:
                raise_for_status(status, purpose="to fill the image")
            if stage == "survey":
                self._warn_of_wide_holes(method, core.survey(begun)[0])
            if shown is not None:
                shown.total = to_do or None
                shown.update(done - so_far)
            so_far = done
            if self.callback is not None and stage not in ("", "survey"):
                keep()
                if self._call(stage, step):
                    break
        keep()

    def _warn_of_wide_holes(self, method: str, n_pixels: int) -> None:
        if n_pixels:
            how = (
                "is filled smoothly: there are no observed pixels near enough"
                if method == "tiles"
                else "is filled with a guess that continues the surroundings: observed pixels are "
                "too far away to tell what was there"
            )
            share = n_pixels / self.holes[self.channels].size
            warn(
                f"{share:.1%} of the image lies in missing regions at least "
                f"{core.WIDE_SIDE} pixels wide and high, and {how}",
                RuntimeWarning,
            )

    def by_funk(self, tile_shape: tuple[int, int], shown: Any) -> None:
        """Fill each plane with the engine for ratings."""
        _, n_frames, height, width = self.corrected.shape
        tiling = Tiling(height, width, tile_shape)
        places = [
            (c, frame)
            for c in self.to_fill
            for frame in range(n_frames)
            if self.return_generated or self.holes[c, frame].any()
        ]
        for place in places:
            if self.unused[place].all():
                reject(
                    "missing",
                    f"marks every pixel of frame {place[1]} as unknown, and method='funk' fills "
                    "each frame by itself",
                    "pass method='patches' or 'tiles'",
                )
        for place in places:
            rows, cols = np.nonzero(~self.unused[place])
            observed = self.corrected[place][rows, cols]

            def listen(training: Training, place: tuple[int, int] = place) -> object:
                epoch = len(training.history["epoch"])
                if shown is not None:
                    shown.total = training.settings.n_epochs * len(places)
                    shown.update(1)
                if self.callback is None:
                    return None
                self._take(*place, tiling.assemble(*training.factors(), training.schedule.offset))
                return self._call("funk", epoch)

            problem = cells_of_tiles(
                *tiling.cells(rows, cols), observed, tiling.shape, *tiling.cuts()
            )
            watched = self.callback is not None or shown is not None
            training, _ = _train.train(problem, self.options, listen if watched else None)
            self._take(*place, tiling.assemble(*training.ready(), training.schedule.offset))


def _in_range(made: NDArray[np.float64], low: Any, high: Any) -> NDArray[Any]:
    """The generated values, rounded to the dtype and clipped to the observed range."""
    dtype = np.asarray(low).dtype
    if dtype.kind != "f":
        made = np.rint(made)
    out = np.full(made.shape, low)
    inside = (made > low) & (made < high)  # what lies outside may not even fit the dtype
    out[inside] = made[inside].astype(dtype)
    out[made >= high] = high
    return out
