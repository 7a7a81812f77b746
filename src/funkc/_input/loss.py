"""THE losses of training: their names, the values that each allows, and what the core is told."""

from __future__ import annotations

import math
import sys
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np

from funkc._core import newton
from funkc._errors import reject
from funkc._input.scalars import choice, plain, real

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

# In the order of the core (loss.h).
NAMES = ("squared", "absolute", "huber", "logistic", "poisson")
# The losses of LIBMF and others that are none of a value, and what is refused with a reason.
ELSEWHERE = {
    "hinge": "use 'logistic', whose predictions are probabilities",
    "squared_hinge": "use 'logistic', whose predictions are probabilities",
    "kl": "use 'poisson', which differs by a constant",
    "bpr": "it ranks pairs of columns; use a library for implicit feedback",
}

LARGEST_STEP = 2.0  # of a score whose prediction is an exponential, as in loss.pxd


class Loss(NamedTuple):
    """A loss, as the caller named it."""

    name: str = "squared"
    delta: float = math.nan  # of Huber's, where it turns linear; not a number: to be found

    @property
    def kind(self) -> int:
        """Its number in the core."""
        return NAMES.index(self.name)

    @property
    def squared(self) -> bool:
        """Whether it is the usual one."""
        return self.name == "squared"

    @property
    def measure(self) -> str:
        """What errors are told by, as it ends the names of columns: the root of squared ones."""
        return "rmse" if self.squared else "loss"

    @property
    def label(self) -> str:
        """The same, for people."""
        return "RMSE" if self.squared else "loss"

    def measured(self, mean: float) -> float:
        """A mean loss, as it is told."""
        return math.sqrt(mean) if self.squared else mean

    @property
    def robust(self) -> bool:
        """Whether a wild value pulls no harder than others."""
        return self.name in ("absolute", "huber")

    @property
    def linked(self) -> bool:
        """Whether a prediction is a function of the score."""
        return self.name in ("logistic", "poisson")


def checked_loss(loss: object, huber_delta: object) -> Loss:
    """The loss of a name."""
    loss = plain(loss)
    if isinstance(loss, str) and loss in ELSEWHERE:
        reject("loss", f"got {loss!r}, which is not offered", ELSEWHERE[loss])
    name = choice("loss", loss, NAMES)
    if huber_delta is None:
        return Loss(name)
    if name != "huber":
        reject("huber_delta", f"was passed with loss={name!r}", "pass loss='huber', or no delta")
    return Loss(name, real("huber_delta", huber_delta, 0.0, above=True))


def usual_curvature(loss: Loss, offset: float, noise: float | None) -> float:
    """About the mean second derivative of a loss: at the offset, or for its dispersion."""
    if loss.linked:
        made = np.array([offset])
        newton.predictions(loss.kind, made)
        at = float(made[0])
        return at * (1 - at) if loss.name == "logistic" else at
    if loss.name != "absolute" or not noise:
        return 1.0
    return 1 / max(noise * noise, sys.float_info.min)


def require_same_link(given: str, loss: Loss) -> None:
    """Refuse the factors of a fit whose scores mean something else."""
    if given != loss.name and (Loss(given).linked or loss.linked):
        reject(
            "init",
            f"was trained by loss={given!r}, whose scores are not those of loss={loss.name!r}",
            "pass a fit by the same loss, or its (row_factors, col_factors)",
        )


class Entries(Protocol):
    """Entries in lists."""

    @property
    def rows(self) -> NDArray[Any]: ...
    @property
    def cols(self) -> NDArray[Any]: ...
    @property
    def values(self) -> NDArray[Any]: ...


ALLOWED = {
    "logistic": ("not 0 or 1", "pass 0 and 1, or booleans (such as ratings >= 4)"),
    "poisson": ("below 0", "pass counts, or another loss"),
}


def require_allowed(plan: Any, loss: Loss) -> None:
    """Refuse values of a plan that the loss can't have."""
    found = newton.first_misfit(plan, loss.kind)
    if found is not None:
        row, col, value = found
        _refuse(loss, row, f"column {col}", value)


def require_allowed_entries(
    cells: Entries,
    loss: Loss,
    name: str = "values",
    column: Callable[[int], str] = "column {}".format,
) -> None:
    """The same for entries that are not trained on."""
    if loss.linked:
        values = cells.values
        bad = (values < 0) | ((values > 0) & (values != 1) if loss.name == "logistic" else False)
        if bad.any():
            at = int(np.argmax(bad))
            at_row, at_col = int(cells.rows[at]), int(cells.cols[at])
            _refuse(loss, at_row, column(at_col), float(values[at]), name)


def _refuse(loss: Loss, row: int, where: str, value: float, name: str = "values") -> None:
    fault, remedy = ALLOWED[loss.name]
    reject(name, f"got {value:g} in row {row} and {where}, which is {fault}", remedy)


def predictions(loss: Loss, scores: NDArray[np.floating]) -> None:
    """Replace scores by the predictions that they stand for."""
    if loss.linked and scores.size:
        newton.predictions(loss.kind, scores.reshape(-1))


def score_of(loss: Loss, prediction: float) -> float:
    """The score that stands for a prediction; infinite for what no score reaches."""
    if loss.linked and prediction <= 0:
        return -math.inf
    if loss.name == "logistic" and prediction >= 1:
        return math.inf
    return newton.score(loss.kind, prediction) if loss.linked else prediction


def newton_steps(
    loss: Loss, values: NDArray[np.float64], scores: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The weight of every value, and how far its score is to move: `newton_step` of loss.pxd."""
    errors = values - scores
    if not loss.linked:
        if loss.squared:
            return np.ones_like(errors), errors
        bend = loss.delta if loss.name == "huber" else 1.0
        return bend / np.maximum(np.abs(errors), loss.delta), errors
    made = scores.copy()
    newton.predictions(loss.kind, made)
    pulls = values - made
    curvatures = made * (1 - made) if loss.name == "logistic" else made
    weights = np.maximum(curvatures, np.maximum(np.abs(pulls) / LARGEST_STEP, 1e-9))
    return weights, pulls / weights


def mean_loss(
    loss: Loss,
    values: NDArray[np.floating],
    scores: NDArray[np.floating],
    weights: NDArray[np.float64],
) -> float:
    """By weight, unless weights is empty; its bits do not depend on the order."""
    costs = np.empty(values.size)
    newton.costs(loss.kind, loss.delta, values.astype(np.float64), scores.astype(np.float64), costs)
    return _mean(costs, weights)


def root_mean_square(errors: NDArray[np.float64], weights: NDArray[np.float64]) -> float:
    """Likewise, and without overflow: errors are scaled by a power of two, which rounds nothing."""
    size = int(np.frexp(np.abs(errors).max())[1])
    scaled = np.ldexp(errors, -size)
    return math.ldexp(math.sqrt(_mean(scaled * scaled, weights)), size)


def _mean(costs: NDArray[np.float64], weights: NDArray[np.float64]) -> float:
    if not np.isfinite(costs).all():
        return math.inf
    largest = int(np.frexp(costs.max())[1])
    costs = np.ldexp(costs, -largest)
    if not weights.size:
        return math.ldexp(math.fsum(costs) / costs.size, largest)
    weights = np.ldexp(weights, -int(np.frexp(weights.max())[1]))
    return math.ldexp(math.fsum(weights * costs) / math.fsum(weights), largest)
