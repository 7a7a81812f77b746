"""The history of a training, as the arrays of a file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from funkc._input.options import History

# The names under which the parts of a training are stored.
SIDES = ("row_factors", "col_factors")
BIASES = ("row_bias", "col_bias")


def tensors_of(history: History) -> dict[str, NDArray[Any]]:
    """The arrays that store a history in a file."""
    return {f"history.{name}": np.array(column, np.float64) for name, column in history.items()}


def history_of(tensors: dict[str, NDArray[Any]]) -> History:
    """The history from the arrays of `tensors_of`; ValueError if they are invalid."""
    columns = {
        name.removeprefix("history."): column
        for name, column in tensors.items()
        if name.startswith("history.")
    }
    missing = {"epoch", "train_loss", "learning_rate", "seconds"} - columns.keys()
    if missing:
        raise ValueError(f"the history lacks {', '.join(sorted(missing))}")
    n_epochs = columns["epoch"].size
    for name, column in columns.items():
        if column.dtype != np.float64 or column.shape != (n_epochs,):
            raise ValueError(f"'history.{name}' is not one number for each of {n_epochs} epochs")
    if not np.array_equal(columns["epoch"], np.arange(1, n_epochs + 1)):
        raise ValueError("'history.epoch' does not count from 1")
    history: History = {name: column.tolist() for name, column in columns.items()}
    history["epoch"] = [int(epoch) for epoch in history["epoch"]]
    return history
