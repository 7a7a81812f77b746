"""Which entries are held out, for validation and for cross-validation."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from funkc._errors import UnknownIdError, reject
from funkc._input.arrays import are_ratings
from funkc._input.cells import Draw, observed_cells, require_once
from funkc._input.scalars import integer, real

if TYPE_CHECKING:
    from funkc._input.cells import Cells
    from funkc._input.options import Options

MOST_FOLDS = 1_000


def is_own(validation: object) -> bool:
    """Whether it is entries chosen by the caller, rather than a share."""
    return isinstance(validation, (tuple, list)) or are_ratings(validation)


def held_out(
    validation: Any, cells: Cells, options: Options, duplicates: object = "error"
) -> tuple[Cells, Cells | None]:
    """Split into entries to train on and entries to validate on."""
    if validation is None:
        return cells, None
    if is_own(validation):
        return cells, _own_validation(validation, cells, duplicates)
    share = real("validation", validation, 0.0, above=True)
    if share >= 1:
        reject("validation", f"got {share!r}", "pass a share between 0 and 1")
    held = replace(cells, draw=Draw(True, options.seed, share)).listed()
    total = cells.count()
    left = total - held.values.size
    if not held.values.size or not left:
        reject(
            "validation",
            f"got {share!r}, which leaves {left} of {total} entries to train on",
            "pass (mask, values), or another share",
        )
    require_once(held)  # of the others, the cut finds what is listed twice
    return replace(cells, draw=Draw(False, options.seed, share)), held


def _own_validation(validation: Any, cells: Cells, duplicates: object) -> Cells:
    """Validation entries chosen by the caller, in the training matrix."""
    pair = (None, validation) if are_ratings(validation) else validation
    if len(pair) != 2:
        reject(
            "validation",
            f"has {len(pair)} parts",
            "pass a share between 0 and 1, a pair (mask, values), or Ratings",
        )
    try:
        held = observed_cells(*pair, duplicates=duplicates, matrix=cells.matrix).listed()
        require_once(held)
    except UnknownIdError as error:
        raise UnknownIdError(f"validation, {error}", error.unknown, error.axis) from None
    except (TypeError, ValueError) as error:
        raise type(error)(f"validation, {error}") from None
    return held


def checked_folds(n_folds: object, cells: Cells, seed: int) -> int:
    """How many folds the entries are drawn into; no fold is empty."""
    number = integer("folds", n_folds, 2, MOST_FOLDS)
    for nth in range(number):
        if not replace(cells, draw=Draw(True, seed, folds=number, fold=nth)).any():
            reject(
                "folds",
                f"got {number}, and none of {cells.count()} observed entries falls into fold {nth}",
                "pass fewer folds, or another random_state",
            )
    return number
