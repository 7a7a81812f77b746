"""The state of a training: what a checkpoint stores of it, and how it continues from that."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from funkc._history import BIASES, SIDES
from funkc._validation import Best

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from funkc._biases import Biases
    from funkc._input.options import History
    from funkc._train import Training


def state_of(training: Training) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
    """All that changes while training, and the initial factors if they were passed."""
    tensors: dict[str, NDArray[Any]] = dict(zip(SIDES, training.factors(), strict=True))
    numbers: dict[str, Any] = {
        "halvings": training.halvings,
        "limit": training.limit.hex(),
        "stage": training.stage,
        "stage_begun": training.stage_begun,
        "stages": training.stages,
    }
    if training.biases is not None:
        numbers["level"] = training.biases.level.hex()
        tensors |= _stored(training.biases)
    if training.judged.size:
        tensors["judged"] = training.judged
    best = None if training.validation is None else training.validation.best
    if best is not None:
        numbers |= {
            "best_loss": best.loss.hex(), "best_epoch": best.epoch, "best_stage": best.stage
        }  # fmt: skip
        tensors["best.row_factors"] = training.taken_out(False, best.x, training.options.k)
        tensors["best.col_factors"] = training.taken_out(True, best.y, training.options.k)
        if training.biases is not None and best.biases is not None:
            now = training.biases.state()
            training.biases.put(best.biases)
            numbers["best_level"] = training.biases.level.hex()
            tensors |= {f"best.{name}": b for name, b in _stored(training.biases).items()}
            training.biases.put(now)
    if training.start is not None:
        offset = training.start.offset
        numbers["start_offset"] = None if offset is None else offset.hex()
        for name in (*SIDES, *BIASES):
            part = getattr(training.start, name)
            if part is not None:
                tensors[f"start.{name}"] = part
    return tensors, numbers


def _stored(biases: Biases) -> dict[str, NDArray[Any]]:
    return dict(zip(BIASES, (biases.taken(False), biases.taken(True)), strict=True))


def restore(
    training: Training, tensors: dict[str, NDArray[Any]], known: dict[str, Any], history: History
) -> None:
    """Continue where `state_of` was taken."""
    training.halvings = known["halvings"]
    training.limit = float.fromhex(known["limit"])
    training.stage, training.stages = known["stage"], known["stages"]
    training.stage_begun = known["stage_begun"]
    training.judged = tensors.get("judged", training.judged)
    if training.validation is not None and "best_loss" in known:
        x, y = training.x.copy(), training.y.copy()
        training.put_in(tensors["best.row_factors"], tensors["best.col_factors"], x, y)
        biases = _restored_biases(training, tensors, known, "best.", "best_level")
        training.validation.best = Best(
            float.fromhex(known["best_loss"]), known["best_epoch"], x, y, known["best_stage"],
            biases,
        )  # fmt: skip
    training.put_in(tensors["row_factors"], tensors["col_factors"], training.x, training.y)
    _restored_biases(training, tensors, known, "", "level")
    for name, column in history.items():
        training.history[name][:] = column


def _restored_biases(
    training: Training,
    tensors: dict[str, NDArray[Any]],
    known: dict[str, Any],
    prefix: str,
    level: str,
) -> tuple[float, NDArray[Any], NDArray[Any]] | None:
    if training.biases is None:
        return None
    training.biases.given(tensors[f"{prefix}row_bias"], tensors[f"{prefix}col_bias"])
    training.biases.level = float.fromhex(known[level])
    return training.biases.state()
