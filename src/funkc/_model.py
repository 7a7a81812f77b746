"""What a factorization holds: both sides, what is known of their training, and its attributes."""

from __future__ import annotations

import copy
import functools
import math
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeVar

from funkc._answers import Answers
from funkc._errors import reject
from funkc._errstate import own_errstate
from funkc._fold_in import Fitting
from funkc._input import scalars
from funkc._input.cells import Axis
from funkc._input.loss import Loss
from funkc._input.options import checked_clip, checked_offset

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import numpy as np
    from numpy.typing import NDArray

    from funkc._input.cells import Matrix
    from funkc._input.options import History
    from funkc._sides import Side

M = TypeVar("M", bound="Model")
P = ParamSpec("P")
T = TypeVar("T")


def of_one_state(
    method: Callable[Concatenate[M, P], T],
) -> Callable[Concatenate[M, P], T]:
    """Let a method work with the state that there is when it is called.

    `partial_fit` in another thread replaces the state as a whole, in one step: what a method
    reads bit by bit would be a mixture of both.
    """

    @functools.wraps(method)
    def call(self: M, /, *args: P.args, **kwargs: P.kwargs) -> T:
        return method(self._held(), *args, **kwargs)

    return own_errstate(call)


class Model:
    """The state of a `funkc.Factorization`, and its attributes."""

    _rows: Side
    _cols: Side
    parameters: dict[str, Any]
    history: History
    stopped_by: str
    baseline_loss: dict[str, float]
    validation_loss: float | None
    stages: int

    def __init__(self, *_: object, **__: object) -> None:
        raise TypeError(
            "a Factorization is not made by calling the class; use funkc.factorize, funkc.load or "
            "Factorization.from_factors"
        )

    @classmethod
    def _made(
        cls: type[M],
        rows: Side,
        cols: Side,
        *,
        offset: float,
        parameters: Mapping[str, Any],
        history: History,
        stopped_by: str,
        n_threads: int,
        noise: float | None = None,
        baseline_loss: Mapping[str, float] | None = None,
        validation_loss: float | None = None,
        stages: int = 1,
        clip: tuple[float, float] | None = None,
    ) -> M:
        """Of sides that fit each other."""
        made = cls.__new__(cls)
        made._rows, made._cols = rows, cols
        made.offset = offset
        made.noise = noise
        made.parameters = dict(parameters)
        made.history = history
        made.stopped_by = stopped_by
        made.n_threads = n_threads
        made.baseline_loss = dict(baseline_loss or {})
        made.validation_loss = validation_loss
        made.stages = stages
        made._clip = clip
        return made

    def _held(self: M) -> M:
        """The state as it is now, which stays while that of this object is replaced."""
        held = object.__new__(type(self))
        held.__dict__ = self.__dict__
        return held

    @property
    def offset(self) -> float:
        """A constant that is added to every product; may be set."""
        return self._offset

    @offset.setter
    def offset(self, offset: float) -> None:
        self._offset = checked_offset(offset, self.dtype)

    @property
    def clip(self) -> tuple[float, float] | None:
        """The range of predictions, or None; may be set."""
        return self._clip

    @clip.setter
    def clip(self, clip: tuple[float, float] | None) -> None:
        found = checked_clip(clip)
        if found == "auto":
            reject("clip", "got 'auto', but the values are not kept", "pass a pair (low, high)")
        self._clip = found

    @property
    def n_threads(self) -> int:
        """The number of threads that its methods use; may be set."""
        return self._n_threads

    @n_threads.setter
    def n_threads(self, n_threads: int) -> None:
        self._n_threads = scalars.threads(n_threads)

    @property
    def loss(self) -> str:
        """The loss that it was trained by."""
        return self._loss.name

    @property
    def _loss(self) -> Loss:
        delta = self.parameters.get("huber_delta")
        return Loss(self.parameters.get("loss", "squared"), math.nan if delta is None else delta)

    @property
    def baseline_rmse(self) -> dict[str, float]:
        """The roots of `baseline_loss`, of the squared loss; of another one, nothing."""
        if not self._loss.squared:
            return {}
        return {name: math.sqrt(loss) for name, loss in self.baseline_loss.items()}

    @property
    def validation_rmse(self) -> float | None:
        """The root of `validation_loss`, of the squared loss; or None."""
        if self.validation_loss is None or not self._loss.squared:
            return None
        return math.sqrt(self.validation_loss)

    @property
    def noise(self) -> float | None:
        """The root mean squared error of training of these factors, or None; may be set."""
        return self._noise

    @noise.setter
    def noise(self, noise: float | None) -> None:
        self._noise = None if noise is None else scalars.real("noise", noise, 0.0)

    @property
    def row_factors(self) -> NDArray[Any]:
        """x_i, (m, k)."""
        return self._rows.public[0]

    @property
    def col_factors(self) -> NDArray[Any]:
        """y_j, (n, k)."""
        return self._cols.public[0]

    @property
    def row_bias(self) -> NDArray[Any] | None:
        """The bias of every row, (m,); or None."""
        return self._rows.public[1]

    @property
    def col_bias(self) -> NDArray[Any] | None:
        """The bias of every column, (n,); or None."""
        return self._cols.public[1]

    @property
    def row_ids(self) -> NDArray[Any] | None:
        """The id of every row, (m,); or None."""
        return None if self._rows.ids is None else self._rows.ids.names

    @property
    def col_ids(self) -> NDArray[Any] | None:
        """The id of every column, (n,); or None."""
        return None if self._cols.ids is None else self._cols.ids.names

    @property
    def n_seen(self) -> tuple[int, int]:
        """The numbers of rows and of columns that had entries in training."""
        held = self._held()
        return held._rows.n_seen, held._cols.n_seen

    @property
    def k(self) -> int:
        """The number of factors."""
        return int(self._rows.factors.shape[1])

    @property
    def shape(self) -> tuple[int, int]:
        """The shape (m, n) of the matrix."""
        held = self._held()
        return len(held._rows.factors), len(held._cols.factors)

    @property
    def dtype(self) -> np.dtype[Any]:
        """The dtype of the factors and of predictions."""
        return self._rows.factors.dtype

    @of_one_state
    def __repr__(self) -> str:
        epochs = len(self.history["epoch"])
        told = f"shape={self.shape}, k={self.k}, dtype={self.dtype}, epochs={epochs}"
        if self.stages > 1:
            told += f", stages={self.stages}"
        loss = self._loss
        if not loss.squared:
            told += f", loss={self.loss!r}"
        if self.noise is not None:
            told += f", noise={self.noise:.4g}"
        if self.validation_loss is not None:
            told += f", validation_{loss.measure}={loss.measured(self.validation_loss):.4g}"
        if self.baseline_loss:
            simple = {n: float(f"{loss.measured(v):.4g}") for n, v in self.baseline_loss.items()}
            told += f", baseline_{loss.measure}={simple}"
        return f"Factorization({told})"

    @property
    def _answers(self) -> Answers:
        """How predictions are made."""
        return Answers(self._rows, self._cols, self.offset, self._loss, self.n_threads, self._clip)

    def _matrix(
        self,
        *,
        grows: bool = False,
        ids: bool | None = None,
        unknown: str = "",
    ) -> Matrix:
        """The shape and ids that entries are checked against; with `grows`, also new ones."""
        named = scalars.flag_or_none("ids", ids)
        rows, cols = (
            Axis(len(side.factors), side.ids, grows, side.called(named).ids is not None, unknown)
            for side in (self._rows, self._cols)
        )
        return rows, cols

    @property
    def _fitting(self) -> Fitting:
        """How factors of new rows and columns are computed."""
        return Fitting(
            self.offset, self.noise, self.parameters["nonnegative"], self.n_threads, self._loss
        )

    def _changed(self: M, **parts: Any) -> M:
        """A copy with some attributes replaced, such as `_rows`."""
        changed = copy.copy(self)
        for name, part in {"parameters": dict(self.parameters), **parts}.items():
            setattr(changed, name, part)
        return changed
