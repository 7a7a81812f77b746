"""The words of errors, all in one place."""

from __future__ import annotations

from typing import NoReturn


class DivergedError(ArithmeticError):
    """Training grew without bound, even after the learning rate had been halved.

    Attributes
    ----------
    epoch : int
        The epoch (counted from 1) in which it happened last.
    learning_rate : float
        The rate of that epoch.

    Examples
    --------
    >>> import numpy as np
    >>> import funkc
    >>> try:
    ...     funkc.factorize(None, np.outer([1.0, 2.0, 3.0], [1.0, 2.0]), 1, learning_rate=1e9)
    ... except funkc.DivergedError as error:
    ...     print("diverged in epoch", error.epoch)
    diverged in epoch 1
    """

    def __init__(self, epoch: int, learning_rate: float) -> None:
        self.epoch = epoch
        self.learning_rate = learning_rate
        super().__init__(epoch, learning_rate)

    def __str__(self) -> str:
        return (
            f"training diverged in epoch {self.epoch} at a learning rate of "
            f"{self.learning_rate:.3g} (a rate that diverges is halved up to ten times); leave "
            "learning_rate and regularization out to have them chosen from the data, or pass "
            "smaller ones"
        )


class ModelFileError(ValueError):
    """A file of a model can't be loaded: it is damaged, of a newer version, or another program's.

    The message says which file, what is wrong where in it, and the remedy.

    Examples
    --------
    >>> import tempfile, os
    >>> import funkc
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = os.path.join(folder, "model.funkc")
    ...     _ = open(path, "xb").close()  # empty
    ...     try:
    ...         funkc.load(path)
    ...     except funkc.ModelFileError:
    ...         print("trained anew")
    trained anew
    """


def reject(argument: str, found: str, remedy: str, error: type[Exception] = ValueError) -> NoReturn:
    """Raise `error`: what was found in which argument, and what to do about it."""
    raise error(f"{argument}: {found}; {remedy}")


def shown(value: object) -> str:
    """The value as an error shows it, never more than a line."""
    try:
        text = repr(value)
    except ValueError:  # an integer of more than 4,300 digits
        return f"a huge {type(value).__name__}"
    return text if len(text) <= 60 else f"{text[:57]}..."


def missing_extra(package: str, extra: str, purpose: str) -> ImportError:
    """The error for an optional package that is not installed."""
    return ImportError(
        f'{purpose} needs {package}, which is not installed; run pip install "funkc[{extra}]"'
    )


# What the core answers (the Status of types.pxd).
OK, NO_MEMORY, DUPLICATE_CELL, VALUES_TOO_WIDE, _, MORE, CELLS_CHANGED, BAD_SHAPE = range(8)


def raise_for_status(
    status: int,
    cell: tuple[int, int] | None = None,
    purpose: str = "to sort the observed cells into blocks",
) -> None:
    """Turn the answer of the core into an exception; OK passes."""
    if status == OK:
        return
    if status == DUPLICATE_CELL:
        assert cell is not None
        reject(
            "mask",
            f"row {cell[0]}, column {cell[1]} is listed more than once",
            'pass duplicates="last", "mean" or "sum" to say which value counts',
        )
    if status == VALUES_TOO_WIDE:
        reject(
            "values",
            "the largest and the smallest (or the offset) lie farther apart than the factors' "
            "dtype can hold",
            "divide the values by a constant, or pass dtype=numpy.float64",
        )
    if status == CELLS_CHANGED:
        reject(
            "mask",
            "the arrays of rows and columns changed while they were read",
            "do not write to them during the call, or pass copies",
        )
    if status == NO_MEMORY:
        raise MemoryError(f"not enough memory {purpose}")
    if status == BAD_SHAPE:
        reject("image", "has more than 2**30 rows or columns", "fill it in parts")
    raise AssertionError(f"the core answered with status {status}")
