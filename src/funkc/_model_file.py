"""The contents of the file of a factorization."""

from __future__ import annotations

import json
from types import ModuleType
from typing import TYPE_CHECKING, Any, Protocol

from funkc import _io
from funkc._errors import ModelFileError, reject
from funkc._history import history_of, tensors_of
from funkc._input.ids import Ids
from funkc._input.options import checked_clip, checked_offset, checked_options
from funkc._input.scalars import integer, path, real
from funkc._sides import Side

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from funkc._input.options import History

KIND = "model"
_FACTORIZE = ("learning_rate", "regularization", "n_epochs", "decay", "group_size", "nonnegative")


class Writer(Protocol):
    """What a model can be saved to."""

    def write(self, data: bytes, /) -> object: ...


class Reader(Protocol):
    """What a model can be loaded from."""

    def read(self, size: int, /) -> bytes | None: ...


def write(
    target: Any,
    rows: Side,
    cols: Side,
    *,
    offset: float,
    parameters: Mapping[str, Any],
    history: History,
    stopped_by: str,
    noise: float | None,
    baseline_loss: Mapping[str, float],
    validation_loss: float | None,
    stages: int,
    clip: tuple[float, float] | None,
) -> None:
    """Write the file of a model, replacing one of a path; only one that `read` accepts."""
    remedy = "pass the name of a file, or a binary file object"
    target = _path_or_file("file", target, "write", remedy)
    tensors: dict[str, NDArray[Any]] = {}
    for name, side in (("row", rows), ("col", cols)):
        tensors[f"{name}_factors"] = side.factors
        if side.bias is not None:
            tensors[f"{name}_bias"] = side.bias
        if side.ids is not None:
            tensors |= side.ids.tensors(f"{name}_ids")
    try:
        tensors |= tensors_of(history)
        metadata = {
            "kind": KIND,
            "offset": float(offset).hex(),
            "parameters": json.dumps(dict(parameters), allow_nan=False),
            "stopped_by": "" + stopped_by,
            "noise": json.dumps(None if noise is None else float(noise).hex()),
            "n_seen": json.dumps([rows.n_seen, cols.n_seen]),
            "baseline_loss": json.dumps(
                {name: float(loss).hex() for name, loss in baseline_loss.items()}
            ),
            "validation_loss": json.dumps(
                None if validation_loss is None else float(validation_loss).hex()
            ),
            "stages": str(stages),
            "clip": json.dumps(None if clip is None else [float(end).hex() for end in clip]),
        }
        _of_tensors(_io.name_of(target), tensors, metadata)
        _io.require_finite(tensors)
    except _io.UNFIT as error:
        what = f"{type(error).__name__}: {error}"
        reject("model", f"can't be saved: an attribute was changed ({what})", "set it back")
    _io.write(target, tensors, metadata)


def read(source: Any, *, mmap: bool, verify: bool) -> dict[str, Any]:
    """The arguments of `Factorization._made`, except the number of threads.

    Mapped without `verify`, factors and biases are not read, so they may be NaN.
    """
    if not isinstance(source, _io.BYTES):
        remedy = "pass the name of a file, a binary file object or bytes"
        source = _path_or_file("source", source, "read", remedy)
    found, metadata = _io.read(source, mmap=mmap, verify=verify)
    name = _io.name_of(source)
    if metadata.get("kind") != KIND:
        raise ModelFileError(f"{name}: it is a checkpoint, not a model; use funkc.resume")
    with _io.understanding(name, KIND):
        parts = _of_tensors(name, found, metadata)
        if verify or not mmap:
            _io.require_finite(found)
        return parts


def _path_or_file(name: str, value: Any, method: str, remedy: str) -> Any:
    """The name of a file, or an object with this method."""
    opened = callable(getattr(value, method, None)) and not isinstance(value, (type, ModuleType))
    return value if opened and not _io.is_path(value) else path(name, value, remedy)


def _of_tensors(
    file: str, found: dict[str, NDArray[Any]], metadata: dict[str, str]
) -> dict[str, Any]:
    """Parse the contents of a file whose checksums are valid."""
    x, y = found["row_factors"], found["col_factors"]
    ids = [Ids.of_tensors(file, name, found) for name in ("row_ids", "col_ids")]
    bias = [found.get(name) for name in ("row_bias", "col_bias")]
    fits = x.ndim == y.ndim == 2 and x.shape[1] == y.shape[1] and x.size and y.size
    fits = fits and x.dtype == y.dtype and x.dtype.kind == "f"
    fits = fits and (bias[0] is None) == (bias[1] is None)
    for side, own_bias, own_ids in zip((x, y), bias, ids, strict=True):
        if own_bias is not None:
            fits = fits and own_bias.shape == side.shape[:1] and own_bias.dtype == side.dtype
        fits = fits and (own_ids is None or own_ids.names.size == len(side))
    if not fits:
        raise ValueError("its arrays don't fit each other in shape or dtype")
    parameters = json.loads(metadata["parameters"])
    # Parameters that factorize refuses can't come from a model.
    options = checked_options(
        x.shape[1],
        random_state=integer("seed", parameters["seed"], 0, 2**64 - 1),
        offset=checked_offset(float.fromhex(metadata["offset"]), x.dtype),
        bands=parameters.get("bands"),  # which files of version 0.1 lack, and the loss
        loss=parameters.get("loss", "squared"),
        huber_delta=parameters.get("huber_delta"),
        **{name: parameters[name] for name in _FACTORIZE},
    )
    told = options.learning_rate, options.regularization, options.n_epochs
    if None in told and any(one is not None for one in told):  # all three, or from elsewhere
        raise ValueError("its parameters are incomplete")
    for name, least in (("n_entries", 0), ("members", 1)):  # which files of version 0.1 lack
        integer(name, parameters.get(name, 1), least, 2**63 - 1)
    parameters |= {"bands": options.bands, "loss": options.loss.name}
    if options.regularization is not None:
        parameters["regularization"] = tuple(parameters["regularization"])
    parameters["huber_delta"] = parameters.get("huber_delta")
    history = history_of(found)
    noise, n_seen = noise_of(history), [len(x), len(y)]
    if noise is not None:  # which may be any number, where checksums are not verified
        real("noise", noise, 0.0)
    baseline, validation, stages, clip = {}, None, 1, None
    if "noise" in metadata:  # which files of version 0.1 lack
        noise = _positive("noise", json.loads(metadata["noise"]))
        baseline = {
            n: real("loss", float.fromhex(loss), 0.0)
            for n, loss in json.loads(metadata["baseline_loss"]).items()
        }
        validation = _positive("loss", json.loads(metadata["validation_loss"]))
        stages = integer("stages", int(metadata["stages"]), 1, 1000)
        ends = json.loads(metadata["clip"])
        clip = None if ends is None else checked_clip([float.fromhex(end) for end in ends])
        n_seen = [
            integer("n_seen", n, 0, len(side))
            for n, side in zip(json.loads(metadata["n_seen"]), (x, y), strict=True)
        ]
    return {
        "rows": Side(x, bias[0], ids[0], first=True, n_seen=n_seen[0]),
        "cols": Side(y, bias[1], ids[1], first=False, n_seen=n_seen[1]),
        "offset": options.offset,
        "parameters": parameters,
        "history": history,
        "stopped_by": metadata["stopped_by"],
        "noise": noise,
        "baseline_loss": baseline,
        "validation_loss": validation,
        "stages": stages,
        "clip": clip,
    }


def _positive(name: str, written: str | None) -> float | None:
    return None if written is None else real(name, float.fromhex(written), 0.0)


def noise_of(history: History) -> float | None:
    """The error of the last epoch, if there was one."""
    return history["train_rmse"][-1] if history.get("train_rmse") else None
