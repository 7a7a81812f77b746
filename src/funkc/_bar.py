"""Progress bars, and progress lines in the log."""

from __future__ import annotations

import logging
import sys
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, TextIO

from funkc._errors import inform, missing_extra

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from funkc._input.options import History
    from funkc._train import Training

log = logging.getLogger("funkc")


class _Stderr:
    """The stream of a bar; if there is none, or a closed or full one, nothing is shown."""

    def __init__(self, stream: TextIO | None) -> None:
        self._stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def isatty(self) -> bool:
        with suppress(OSError, ValueError):
            return self._stream is not None and self._stream.isatty()
        return False

    def write(self, text: str) -> None:
        if self._stream is not None:
            with suppress(OSError, ValueError):
                self._stream.write(text)

    def flush(self) -> None:
        if self._stream is not None:
            with suppress(OSError, ValueError):
                self._stream.flush()


def bar(
    title: str,
    unit: str,
    steps: Iterable[Any] | None = None,
    *,
    everywhere: bool = False,
    scale: bool = False,
) -> Any:
    """A tqdm bar on stderr, disabled if that is not a terminal, unless `everywhere`; large numbers
    are abbreviated if asked to `scale`.
    """
    try:
        from tqdm import tqdm
    except ImportError as error:
        raise missing_extra("tqdm", "progress", "a progress bar") from error
    disable = False if everywhere else None
    return tqdm(
        steps, desc=title, unit=f" {unit}", disable=disable, ascii=True, leave=everywhere,
        unit_scale=scale, file=_Stderr(sys.stderr),
    )  # fmt: skip


@contextmanager
def listener(
    listen: Callable[[int, History], object] | None, verbose: bool
) -> Iterator[Callable[[Training], object] | None]:
    """The function to call after every epoch: it calls the caller's own, and if `verbose` updates
    a progress bar (or, without tqdm, writes a line to the log).
    """
    if not verbose:
        yield None if listen is None else lambda training: listen(*_epoch(training))
        return
    try:
        shown = bar("training", "epoch", everywhere=True)
    except ImportError:
        shown = None

    def tell(training: Training) -> object:
        epoch, history = _epoch(training)
        kind = training.loss.measure
        error = f"{training.loss.label} {history[f'train_{kind}'][-1]:.4g}"
        if f"validation_{kind}" in history:
            error += f", held out {history[f'validation_{kind}'][-1]:.4g}"
        n_epochs = training.settings.n_epochs
        if shown is None:
            inform(log.info, "epoch %d of %d: %s", epoch, n_epochs, error)
        else:
            shown.total = n_epochs
            shown.set_postfix_str(error, refresh=False)
            shown.update(epoch - shown.n)  # back, if training begins again
        return None if listen is None else listen(epoch, history)

    try:
        yield tell
    finally:
        if shown is not None:
            shown.close()


def _epoch(training: Training) -> tuple[int, History]:
    """The number of the epoch, and a copy of the history, which the caller may change."""
    history = {name: list(column) for name, column in training.history.items()}
    return len(history["epoch"]), history
