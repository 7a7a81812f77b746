"""Checks of factors, biases and ids that were made elsewhere."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from funkc._errors import reject, shown
from funkc._input.arrays import as_array, as_values, matrix_shape, numeric
from funkc._input.ids import Ids, as_column, side_of_array
from funkc._input.loss import checked_loss
from funkc._input.options import MOST_FACTORS

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from funkc._input.options import History


class Factors(NamedTuple):
    """Factors and biases of both sides, checked."""

    rows: NDArray[Any]
    cols: NDArray[Any]
    row_bias: NDArray[Any] | None
    col_bias: NDArray[Any] | None


def checked_factors(row_factors: Any, col_factors: Any, row_bias: Any, col_bias: Any) -> Factors:
    """Copies of one dtype, float32 or float64, that fit each other."""
    x, y = (
        _numbers(name, given, 2)
        for name, given in (("row_factors", row_factors), ("col_factors", col_factors))
    )
    if x.shape[1] != y.shape[1]:
        reject(
            "col_factors",
            f"has {y.shape[1]} factors for each column where row_factors has {x.shape[1]} for "
            "each row",
            "pass arrays of shapes (m, k) and (n, k)",
        )
    if x.shape[1] > MOST_FACTORS:
        reject("row_factors", f"has {x.shape[1]:,} factors", f"pass at most {MOST_FACTORS:,}")
    if (row_bias is None) != (col_bias is None):
        missing = "row_bias" if row_bias is None else "col_bias"
        reject(missing, "got None, but the other side has biases", "pass both or neither")
    biases = []
    for name, given, side in (("row_bias", row_bias, x), ("col_bias", col_bias, y)):
        if given is not None:
            bias = _numbers(name, given, 1)
            if bias.shape != side.shape[:1]:
                reject(name, f"has shape {bias.shape}", f"pass shape {side.shape[:1]}")
            biases.append(bias)
    dtype = np.result_type(*(part.dtype for part in (x, y, *biases)))
    x, y, *biases = (np.array(part, dtype, order="C") for part in (x, y, *biases))
    largest = [float(np.abs(part).max()) for part in (x, y, *biases)]
    if x.shape[1] * largest[0] * largest[1] + sum(largest[2:]) > float(np.finfo(dtype).max):
        found = f"have products beyond what {dtype} holds"
        reject("row_factors and col_factors", found, "divide them by a constant, or pass float64")
    return Factors(x, y, *(biases or (None, None)))


def _numbers(name: str, given: Any, n_dimensions: int) -> NDArray[Any]:
    """Finite ones, of the dtype that the core takes."""
    array = numeric(name, as_array(name, given))
    if isinstance(array, np.ma.MaskedArray):
        reject(name, "is a masked array", "pass a plain array", TypeError)
    if n_dimensions == 2:
        matrix_shape(array, (None, None), name)
    elif array.ndim != 1:
        reject(name, f"has shape {array.shape}", "pass a 1-D array")
    found = as_values(array).copy()  # what is checked is what is kept
    if not np.isfinite(found).all():
        at = tuple(int(i) for i in np.argwhere(~np.isfinite(found))[0])
        place = ", ".join(map(str, at))
        reject(name, f"{name}[{place}] = {found[at]} is not finite", "pass finite numbers")
    return found


def checked_ids(name: str, given: Any, n: int) -> Ids | None:
    """Ids in the order of the rows (or columns), each once."""
    if given is None:
        return None
    column = as_column(name, given)
    if column.shape != (n,):
        reject(name, f"has shape {column.shape}", f"pass one id for each of {n} factors")
    side = side_of_array(column, name, "the id", lambda at: f"{name}[{at}]")
    if side.ids.size < n:
        _, first, count = np.unique(side.positions, return_index=True, return_counts=True)
        at = int(first[np.argmax(count > 1)])
        twice = shown(side.ids.item(side.positions[at]))
        reject(f"{name}[{at}]", f"the id {twice} is there more than once", "pass each id once")
    return Ids(side.ids[side.positions])


def of_no_training(
    loss: object, huber_delta: object, nonnegative: bool
) -> tuple[dict[str, Any], History]:
    """The parameters and the history of factors that funkc has not trained."""
    by = checked_loss(loss, huber_delta)
    if nonnegative and not by.squared:
        reject("nonnegative", f"got True with loss={by.name!r}", "pass loss='squared'")
    if by.name == "huber" and huber_delta is None:
        reject("huber_delta", "got None", "pass that of the training")
    parameters = {
        **dict.fromkeys(("learning_rate", "regularization", "n_epochs", "bands")),
        "decay": "linear",
        "group_size": 8,
        "nonnegative": nonnegative,
        "members": 1,
        "loss": by.name,
        "huber_delta": None if huber_delta is None else by.delta,
        "n_entries": 0,
        "seed": 0,
    }
    names = ["epoch", "train_loss", "learning_rate", "seconds"]
    return parameters, {name: [] for name in (*names, *["train_rmse"] * by.squared)}
