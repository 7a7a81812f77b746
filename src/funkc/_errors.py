"""Exceptions, and the texts of error messages."""

from __future__ import annotations

import sys
import warnings
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    from collections.abc import Callable


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
            f"{self.learning_rate:.3g} (a rate that diverges is halved up to ten times); pass "
            "smaller learning_rate and regularization, or omit them to have them chosen from the "
            "data; if they were chosen, look for wild values or weights, or pass fewer factors"
        )


class ConstantValuesWarning(UserWarning):
    """All values are equal, so that nothing can be learned from them but that value.

    Examples
    --------
    >>> import warnings
    >>> import funkc
    >>> with warnings.catch_warnings(record=True) as caught:
    ...     warnings.simplefilter("always")
    ...     fit = funkc.factorize(([0, 1], [2, 0]), [1.0, 1.0], 1)  # who liked what
    >>> [warning.category.__name__ for warning in caught]
    ['ConstantValuesWarning']
    """


class FewerThreadsWarning(RuntimeWarning):
    """The system refuses some of the threads that were asked for; the others do the work.

    The result has the same bits. The warning comes after the work, at most once a second in a
    thread. Threads are refused where a limit is reached: of processes
    (``ulimit -u``, or that of a container), or of memory (``ulimit -v``), in particular with a
    large OMP_STACKSIZE.

    Examples
    --------
    >>> import warnings
    >>> import numpy as np
    >>> import funkc
    >>> with warnings.catch_warnings():
    ...     warnings.simplefilter("ignore", funkc.FewerThreadsWarning)  # it comes after the work
    ...     fit = funkc.factorize(None, np.outer([1.0, 2.0, 3.0], [1.0, 2.0]), 1, n_threads=1)
    """


class HotPixelWarning(UserWarning):
    """Observed pixels lie so far from the others that they are not used to fill an image.

    Examples
    --------
    >>> import warnings
    >>> import numpy as np
    >>> import funkc
    >>> image = np.add.outer(np.arange(16.0), np.arange(16.0))
    >>> image[3, 4] = 65535.0  # a hot pixel
    >>> with warnings.catch_warnings(record=True) as caught:
    ...     warnings.simplefilter("always")
    ...     corrected = funkc.inpaint(image, image == 20)
    >>> [warning.category.__name__ for warning in caught]
    ['HotPixelWarning']
    """


class OutlierWarning(UserWarning):
    """A value lies so far from the others that squared errors let it ruin all predictions.

    Examples
    --------
    >>> import warnings
    >>> import numpy as np
    >>> import funkc
    >>> values = np.add.outer(np.arange(9.0), np.arange(7.0))
    >>> values[2, 3] = 1e6  # a unit was mistaken
    >>> with warnings.catch_warnings(record=True) as caught:
    ...     warnings.simplefilter("always")
    ...     fit = funkc.factorize(None, values, 1)
    >>> [warning.category.__name__ for warning in caught]
    ['OutlierWarning']
    """


class UnknownIdError(KeyError, ValueError):
    """An id that the model does not know; a service answers it with 404, not with 400.

    Attributes
    ----------
    unknown : list of int or str
        The unknown ids, each once.
    axis : str
        Where they were looked for: "rows" or "cols".

    Examples
    --------
    >>> import funkc
    >>> ratings = funkc.Ratings.from_arrays(["ann", "bob"], [10, 20], [5.0, 3.0])
    >>> fit = funkc.factorize(None, ratings, k=1)
    >>> try:
    ...     fit.top("eve")
    ... except funkc.UnknownIdError as error:
    ...     print(error.axis, error.unknown)
    rows ['eve']
    """

    def __init__(self, message: str, unknown: list[int | str], axis: str) -> None:
        self.unknown, self.axis = unknown, axis
        super().__init__(message, unknown, axis)

    def __str__(self) -> str:
        return str(self.args[0])  # a KeyError would show its repr


class UnknownIdWarning(UserWarning):
    """Ids that the model does not know were skipped.

    Examples
    --------
    >>> import warnings
    >>> import funkc
    >>> ratings = funkc.Ratings.from_arrays(["ann", "bob"], [10, 20], [5.0, 3.0])
    >>> fit = funkc.factorize(None, ratings, k=1)
    >>> with warnings.catch_warnings(record=True) as caught:
    ...     warnings.simplefilter("always")
    ...     found, _ = fit.top(["ann", "eve"], 1, unknown="skip")
    >>> found.shape, [warning.category.__name__ for warning in caught]
    ((2, 1), ['UnknownIdWarning'])
    """


class ModelFileError(ValueError):
    """A model file can't be loaded: it is damaged, of a newer version, or of another program.

    The message names the file, the fault, its position and the remedy.

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
    ...         print("retrain")
    retrain
    """


def reject(argument: str, found: str, remedy: str, error: type[Exception] = ValueError) -> NoReturn:
    """Raise `error` with a message of the argument, what was found in it, and the remedy."""
    raise error(f"{argument}: {found}; {remedy}")


def shown(value: object) -> str:
    """The value as shown in an error message, on one line."""
    try:
        text = repr(value)
    except Exception:  # such as for an integer of more than 4,300 digits
        return f"an unprintable {type(value).__name__}"
    return text if len(text) <= 60 else f"{text[:57]}..."


def inform(tell: Callable[..., object], *words: object) -> None:
    """Tell what the work does not depend on: words for a closed stderr are dropped."""
    try:
        tell(*words)
    except ValueError:
        if not getattr(sys.stderr, "closed", False):
            raise


def warn(text: str, category: type[Warning]) -> None:
    """Warn of the line that called this package."""
    frame, level = sys._getframe(1), 3
    # The name of a caller's module may be missing, or no text.
    while frame.f_back and str(frame.f_globals.get("__name__")).partition(".")[0] == "funkc":
        frame, level = frame.f_back, level + 1
    inform(warnings.warn, text, category, level)


def missing_extra(package: str, extra: str, purpose: str) -> ImportError:
    """The error for an optional package that is not installed."""
    return ImportError(
        f'{purpose} needs {package}, which is not installed; run pip install "funkc[{extra}]"'
    )


def refuse_changed(argument: str) -> NoReturn:
    """The error for an index that was right when it was checked, and is not any more."""
    reject(
        argument,
        "the arrays of rows and columns changed while they were read",
        "do not write to them during the call, or pass copies",
    )


# The statuses that the core returns (Status in types.pxd).
OK, NO_MEMORY, DUPLICATE_CELL, VALUES_TOO_WIDE, _, MORE, CELLS_CHANGED, BAD_SHAPE = range(8)


def raise_for_status(
    status: int,
    cell: tuple[int, int] | None = None,
    purpose: str = "to sort the observed entries into blocks",
) -> None:
    """Raise the exception for a status of the core, unless it is OK."""
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
            "the range from the smallest to the largest (or the offset) exceeds what the dtype of "
            "the factors can represent",
            "divide the values by a constant, or pass dtype=numpy.float64",
        )
    if status == CELLS_CHANGED:
        refuse_changed("mask")
    if status == NO_MEMORY:
        raise MemoryError(f"not enough memory {purpose}")
    if status == BAD_SHAPE:
        reject("image", "has more than 2**30 rows or columns", "fill it in parts")
    raise AssertionError(f"the core returned status {status}")
