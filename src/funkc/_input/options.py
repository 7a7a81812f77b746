"""Checks of training options: one set, a grid of them, and initial factors."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from funkc._errors import reject, shown
from funkc._input.arrays import as_array, numeric
from funkc._input.loss import Loss, checked_loss
from funkc._input.scalars import choice, flag, integer, plain, real, seed_of, threads

if TYPE_CHECKING:
    from numpy.typing import DTypeLike, NDArray

    History = dict[str, list[float]]

MOST_FACTORS = 65_536
MOST_MEMBERS = 1000
MOST_BANDS = 256
MOST_COMBINATIONS = 1_000_000


@dataclass(frozen=True)
class Start:
    """Factors to begin with, checked."""

    row_factors: NDArray[Any]
    col_factors: NDArray[Any]
    row_bias: NDArray[Any] | None = None
    col_bias: NDArray[Any] | None = None
    offset: float | None = None  # None: not said
    ridges: tuple[float, float] | None = None  # towards the biases, which are otherwise refitted
    seen: tuple[int, int] | None = None  # rows and columns that had entries

    def of_dtype(self, dtype: np.dtype[Any]) -> Start:
        """With factors and biases of another dtype."""
        names = ("row_factors", "col_factors", "row_bias", "col_bias")
        given = {name: getattr(self, name) for name in names}
        cast: dict[str, Any] = {
            name: part.astype(dtype) for name, part in given.items() if part is not None
        }
        return replace(self, **cast)


@dataclass(frozen=True)
class Options:
    """Training options, checked.  None: to be chosen from the data."""

    k: int
    learning_rate: float | None
    regularization: tuple[float, float] | None  # of rows, of columns
    n_epochs: int | None
    offset: float  # not a number: to be chosen
    decay: str
    group_size: int
    bands: tuple[int, int] | None  # of rows, of columns
    seed: int
    n_threads: int
    dtype: np.dtype[Any]
    on_interrupt: str
    biases: bool
    nonnegative: bool
    patience: int | None
    stages: int | None
    members: int
    loss: Loss
    clip: tuple[float, float] | Literal["auto"] | None
    bias_regularization: tuple[float, float] | None  # of rows, of columns
    dtype_is_default: bool

    @property
    def leveled(self) -> bool:
        """Whether a level is added to the products: with biases, and for other losses."""
        return self.biases or not self.loss.squared


def _float_dtype(dtype: DTypeLike | None) -> np.dtype[Any]:
    remedy = "pass numpy.float32 or numpy.float64"
    try:
        found = np.dtype(np.float32 if dtype is None else dtype)
    except (TypeError, ValueError, SyntaxError):
        reject("dtype", f"got {shown(dtype)}", remedy, TypeError)
    if found not in (np.float32, np.float64):
        reject("dtype", f"got {found}", remedy, TypeError)
    return found.newbyteorder("=")


def _of_both_sides(name: str, value: object) -> tuple[float, float] | None:
    """Numbers of rows and of columns."""
    if value is None:
        return None
    if isinstance(value, (tuple, list, np.ndarray)) and as_array(name, value).ndim == 1:
        if len(value) != 2:
            remedy = "pass one number, or a pair (of rows, of columns)"
            reject(name, f"got {len(value)} numbers", remedy)
        rows, cols = value
        return real(f"{name}[0]", rows, 0.0), real(f"{name}[1]", cols, 0.0)
    both = real(name, value, 0.0)
    return both, both


def _offset(value: object, nonnegative: object) -> float:
    """A number; "auto" is 0 for nonnegative factors, otherwise chosen from the data."""
    if not isinstance(value, str):
        return real("offset", value, -math.inf)
    choice("offset", value, ("auto",))
    return 0.0 if nonnegative else math.nan


def checked_offset(value: object, dtype: np.dtype[Any]) -> float:
    """The offset of factors that are there."""
    number = real("offset", value, -math.inf)
    if abs(number) > float(np.finfo(dtype).max):
        reject("offset", f"got {number:g}", f"pass a number that {dtype} holds")
    return number


def _biases(value: object, usual: bool, init: object) -> bool:
    """Whether to fit them; "auto" does unless something else takes their place."""
    if not isinstance(value, str):
        return flag("biases", value)
    choice("biases", value, ("auto",))
    return usual and (init is None or getattr(init, "row_bias", None) is not None)


def checked_clip(value: object) -> tuple[float, float] | Literal["auto"] | None:
    """The range of predictions; "auto" is that of the values."""
    if value is None:
        return None
    if isinstance(value, str):
        choice("clip", value, ("auto",))
        return "auto"
    if isinstance(value, np.ndarray) and value.shape == (2,):
        value = value.tolist()
    if not isinstance(value, (tuple, list)) or len(value) != 2:
        reject("clip", f"got {shown(value)}", 'pass a pair (low, high), "auto" or None', TypeError)
    low, high = (_end(f"clip[{at}]", end) for at, end in enumerate(value))
    if not low <= high:
        reject("clip", f"got ({low:g}, {high:g})", "pass a pair (low, high) in that order")
    return low, high


def _end(name: str, value: object) -> float:
    if isinstance(value, (float, np.floating)) and math.isinf(value):  # no end
        return float(value)
    return real(name, value, -math.inf)


def _group_size(value: object) -> int:
    size = integer("group_size", value, 1, 8)
    if size not in (1, 8):
        reject("group_size", f"got {size}", "pass 8, or 1 for Funk's original order")
    return size


def _bands(value: object) -> tuple[int, int] | None:
    """Bands of rows and of columns; the former come in groups of as many as the latter."""
    if value is None:
        return None
    if not (isinstance(value, (tuple, list)) or (isinstance(value, np.ndarray) and value.ndim)):
        both = integer("bands", value, 1, MOST_BANDS)
        return both, both
    if len(value) != 2:
        reject("bands", f"got {len(value)} numbers", "pass one number, or a pair (rows, columns)")
    rows, cols = (integer(f"bands[{at}]", n, 1, MOST_BANDS) for at, n in enumerate(value))
    if rows % cols:
        reject(
            "bands",
            f"got {rows} bands of rows, no multiple of {cols} bands of columns",
            f"pass ({max(cols, rows // cols * cols)}, {cols}), for example",
        )
    return rows, cols


def checked_options(
    k: object,
    *,
    learning_rate: object = None,
    regularization: object = None,
    bias_regularization: object = None,
    n_epochs: object = None,
    offset: object = "auto",
    decay: object = "linear",
    group_size: object = 8,
    bands: object = None,
    random_state: object = 0,
    n_threads: object = None,
    dtype: DTypeLike | None = None,
    on_interrupt: object = "raise",
    biases: object = "auto",
    nonnegative: object = False,
    patience: object = None,
    stages: object = None,
    members: object = 1,
    loss: object = "squared",
    huber_delta: object = None,
    clip: object = None,
    init: object = None,
    checkpoint: object = None,
) -> Options:
    by = checked_loss(loss, huber_delta)
    fitted = _biases(biases, True, None)
    if bias_regularization is not None and not fitted:
        reject("bias_regularization", "got a number without biases", "pass biases=True")
    several = integer("members", members, 1, MOST_MEMBERS)
    constrained = flag("nonnegative", nonnegative)
    for name, other in (
        ("nonnegative", constrained or None), ("init", init), ("checkpoint", checkpoint)
    ):  # fmt: skip
        if several > 1 and other is not None:
            reject(
                "members", f"got {several} together with {name}", f"pass members=1, or no {name}"
            )
    if constrained and not by.squared:
        reject("nonnegative", f"got True with loss={by.name!r}", "pass loss='squared'")
    required = isinstance(biases, (bool, np.bool_)) and bool(biases)
    given = _offset(offset, constrained and not required)
    return Options(
        k=integer("k", k, 1, MOST_FACTORS),
        learning_rate=None
        if learning_rate is None
        else real("learning_rate", learning_rate, 0.0, above=True),
        regularization=_of_both_sides("regularization", regularization),
        n_epochs=None if n_epochs is None else integer("n_epochs", n_epochs, 1, 10**9),
        offset=given,
        decay=choice("decay", decay, ("linear", "constant")),
        group_size=_group_size(group_size),
        bands=_bands(bands),
        seed=seed_of(random_state),
        n_threads=threads(n_threads),
        dtype=_float_dtype(dtype),
        on_interrupt=choice("on_interrupt", on_interrupt, ("raise", "return")),
        biases=_biases(biases, not constrained and math.isnan(given), init),
        nonnegative=constrained,
        patience=None if patience is None else integer("patience", patience, 1, 10**9),
        stages=None if stages is None else integer("stages", stages, 1, 1000),
        members=several,
        loss=by,
        clip=checked_clip(clip),
        bias_regularization=_of_both_sides("bias_regularization", bias_regularization),
        dtype_is_default=dtype is None,
    )


def checked_grid(
    parameters: dict[str, Any],
    seed: int,
    n_threads: object,
    dtype: DTypeLike | None,
    loss: object,
    huber_delta: object,
    n_iter: object,
) -> list[tuple[dict[str, Any], Options]]:
    """Every combination of the parameters given as lists, the last one varying fastest; or so many,
    drawn at random.
    """
    number = None if n_iter is None else integer("n_iter", n_iter, 1, MOST_COMBINATIONS)
    drawn = [name for name, value in parameters.items() if is_distribution(value)]
    if drawn and number is None:
        found = f"is not given, but {drawn[0]} is a distribution"
        reject("n_iter", found, "pass how many combinations to draw")
    # Numbered, so that values of distributions belong to their combination.
    generator = np.random.default_rng(seed)
    axes: dict[str, list[Any]] = {}
    for name, value in parameters.items():
        if name in drawn:
            listed = _values_drawn(name, value, number or 1, generator)
        else:
            if is_axis(value) and len(value) > MOST_COMBINATIONS:
                reject(name, f"has {len(value):,} values", f"pass at most {MOST_COMBINATIONS:,}")
            listed = list(value) if is_axis(value) else [value]
        if not listed:
            reject(name, "is empty", "pass at least one value")
        axes[name] = [_as_python(one) for one in listed]
        for at, one in enumerate(axes[name]):
            try:
                checked_options(**{"k": 1, "loss": loss, "huber_delta": huber_delta, name: one})
            except (TypeError, ValueError) as error:
                place = f"{name}[{at}]" if is_axis(value) else name
                raise type(error)(str(error).replace(name, place, 1)) from None
    sizes = [1 if name in drawn else len(axes[name]) for name in axes]
    total = math.prod(sizes)
    if total > (MOST_COMBINATIONS if number is None else 2**62):
        reject("n_iter", f"got {number} for a grid of {total:,} combinations", "shorten the lists")
    if number is None:
        chosen = np.arange(total)
    elif drawn:
        chosen = generator.integers(total, size=number)
    else:
        chosen = generator.choice(total, min(number, total), replace=False)
    places = np.unravel_index(chosen, sizes)
    combinations = (
        {
            name: axes[name][nth if name in drawn else int(place[nth])]
            for name, place in zip(axes, places, strict=True)
        }
        for nth in range(len(chosen))
    )
    return [
        (
            each,
            checked_options(
                **each,
                random_state=seed,
                n_threads=n_threads,
                dtype=dtype,
                loss=loss,
                huber_delta=huber_delta,
            ),
        )
        for each in combinations
    ]


def _as_python(value: Any) -> Any:
    """A number, or a pair of them, of NumPy as those of Python; anything else is refused later."""
    if isinstance(value, np.generic) or (isinstance(value, np.ndarray) and value.shape == (2,)):
        return value.tolist()
    return plain(value)


def _values_drawn(
    name: str, distribution: Any, number: int, generator: np.random.Generator
) -> list[Any]:
    drawn = distribution.rvs(size=number, random_state=generator)
    if np.shape(drawn) != (number,):
        found = f"draws an array of shape {np.shape(drawn)} where {number} values are needed"
        reject(name, found, "pass a distribution of single numbers, such as of scipy.stats")
    return list(drawn)


def is_distribution(value: object) -> bool:
    """Whether values can be drawn from it, as from the frozen distributions of scipy.stats."""
    return hasattr(value, "rvs")


def is_axis(value: object) -> bool:
    """Whether it is a list of values to try; a tuple is a single value, such as a pair."""
    return isinstance(value, (list, range)) or (isinstance(value, np.ndarray) and value.ndim > 0)


def checked_start(init: Any, shape: tuple[int, int], options: Options) -> Start | None:
    """Factors to begin with: of a factorization, or a pair of arrays."""
    if init is None:
        return None
    if hasattr(init, "row_factors") and hasattr(init, "col_factors"):
        parts = (init.row_factors, init.col_factors, init.row_bias, init.col_bias)
        offset = real("init.offset", init.offset, -math.inf)
    elif isinstance(init, (tuple, list)) and len(init) == 2:
        parts = (init[0], init[1], None, None)
        offset = None
    else:
        reject(
            "init",
            f"got {shown(init)}",
            "pass a Factorization, or a pair (row_factors, col_factors)",
            TypeError,
        )
    names = ("row_factors", "col_factors", "row_bias", "col_bias")
    shapes = ((shape[0], options.k), (shape[1], options.k), (shape[0],), (shape[1],))
    checked: dict[str, Any] = {}
    for name, part, wanted in zip(names, parts, shapes, strict=True):
        if part is None and name.endswith("bias"):
            continue
        if part is None:
            reject(f"init {name}", "got None", f"pass an array of shape {wanted}", TypeError)
        array = numeric(f"init {name}", as_array(f"init {name}", part))
        if array.shape != wanted:
            reject(f"init {name}", f"has shape {array.shape}", f"pass shape {wanted}")
        array = np.array(array, options.dtype, order="C")
        if not np.isfinite(array).all():
            reject(f"init {name}", "has NaN or infinity", "pass finite numbers")
        if options.nonnegative and name.endswith("factors") and (array < 0).any():
            reject(f"init {name}", "has negative numbers", "pass nonnegative=False")
        checked[name] = array
    if ("row_bias" in checked) != ("col_bias" in checked):
        reject("init", "has biases for one side only", "pass both or neither")
    if "row_bias" in checked and not options.biases:
        reject("init", "has biases", "pass biases=True")
    return Start(**checked, offset=offset, seen=getattr(init, "n_seen", None))
