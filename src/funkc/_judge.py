"""Warnings about data, and about what was made of them."""

from __future__ import annotations

import contextlib
from contextvars import ContextVar
from typing import TYPE_CHECKING

from funkc._core import plan as core_plan
from funkc._errors import ConstantValuesWarning, OutlierWarning, shown, warn

if TYPE_CHECKING:
    from collections.abc import Iterator

    from funkc._input.ids import Ids
    from funkc._input.loss import Loss
    from funkc._schedule import Schedule
    from funkc._train import Training

# Honest counts of travellers reached 38 robust standard deviations.
WILD = 50
FEWEST = 20  # entries whose spread means something
_SILENT: ContextVar[bool] = ContextVar("silent", default=False)


@contextlib.contextmanager
def without_outliers() -> Iterator[None]:
    """Within it, no value is warned of: where values need not be alike."""
    token = _SILENT.set(True)
    try:
        yield
    finally:
        _SILENT.reset(token)


def warn_of_constant_values(schedule: Schedule, loss: Loss) -> None:
    """Say that there is nothing to learn."""
    if _SILENT.get() or schedule.low != schedule.high or schedule.n_cells == 1:
        return
    advice = "" if loss.name == "logistic" else ", and pass loss='logistic'"
    warn(
        f"values: all {schedule.n_cells:,} are {schedule.low:g}, so every prediction is; if they "
        "say what was chosen, add entries that were not, with another value "
        f"(funkc.ratings.sample_unobserved draws some){advice}, or use a library "
        "for implicit feedback (such as implicit)",
        ConstantValuesWarning,
    )


def warn_of_outliers(schedule: Schedule, loss: Loss, ids: tuple[Ids | None, Ids | None]) -> None:
    """Name a value that is wild among the others, if its squared error counts."""
    if _SILENT.get() or not loss.squared or schedule.n_cells < FEWEST:
        return
    middle, scale = schedule.middle()
    highest = schedule.high - middle >= middle - schedule.low
    value = schedule.high if highest else schedule.low
    if scale == 0 or not abs(value - middle) > WILD * scale:
        return
    names = [
        f"{side} {at}" if known is None else f"{side} {shown(known.names.item(at))}"
        for side, at, known in zip(
            ("row", "column"), core_plan.extreme(schedule.plan, highest), ids, strict=True
        )
    ]
    warn(
        f"values: {value:.6g} in {' and '.join(names)} lies {abs(value - middle) / scale:.0f} "
        f"robust standard deviations from the median, {middle:.6g}, and may ruin all predictions; "
        "correct it, leave it out, clip the values (or take logarithms), or pass loss='huber'",
        OutlierWarning,
    )


def warn_of_useless_factors(training: Training) -> None:
    """Say when held-out entries are predicted no better than by biases."""
    reached, simple = training.validation_loss, training.baseline_loss.get("biases")
    if reached is None or simple is None or reached < simple or training.outset[1] == 0:
        return  # or there was nothing left to explain
    loss = training.loss
    reached, simple = loss.measured(reached), loss.measured(simple)
    warn(
        f"validation: factors predict its entries no better ({loss.label} {reached:.5g}) than "
        f"biases alone ({simple:.5g}); use fewer factors or more regularization, or collect more "
        "entries",
        UserWarning,
    )
