"""Signals are handled between parts of every call that reads a model."""

import signal

import numpy as np
import pytest
from fits import everything, fitted, observed

from funkc import _answers, _schedule
from funkc._core import serve

SIGNAL = signal.SIGTERM
FIT = fitted()
TABLE = observed()
M, N = FIT.shape
CALLS = {
    "reconstruct": ("product", FIT.reconstruct),
    "predict a block": ("product", lambda: FIT.predict(slice(None))),
    "predict": ("predict", lambda: FIT.predict(np.arange(M)[:, None], np.arange(N))),
    "score": ("predict", lambda: FIT.score(None, TABLE)),
    "impute": ("product", lambda: FIT.impute(None, TABLE)),
    "top": ("best", lambda: FIT.top(slice(None), 3)),
    "similar_rows": ("best", lambda: FIT.similar_rows(slice(None), 3)),
    "similar_cols": ("best", lambda: FIT.similar_cols(slice(None), 3)),
    "fold_in_rows": ("fold_in", lambda: FIT.fold_in_rows(None, TABLE)),
    "fold_in_cols": ("fold_in", lambda: FIT.fold_in_cols(None, TABLE)),
}


@pytest.fixture
def tiny_parts(monkeypatch):
    monkeypatch.setattr(_schedule, "MULTIPLICATIONS_AT_ONCE", 1)
    monkeypatch.setattr(_answers, "NUMBERS_AT_ONCE", 16)


@pytest.mark.parametrize("name", CALLS)
def test_a_signal_ends_a_call_between_two_parts(name, monkeypatch, tiny_parts):
    part, call = CALLS[name]
    original, calls = getattr(serve, part), []

    def counted(*arguments):
        calls.append(name)
        if len(calls) == 2:
            signal.raise_signal(SIGNAL)
        return original(*arguments)

    class Stopped(Exception):
        pass

    def stop(*_):
        raise Stopped

    before = signal.signal(SIGNAL, stop)
    monkeypatch.setattr(serve, part, counted)
    try:
        with pytest.raises(Stopped):
            call()
    finally:
        signal.signal(SIGNAL, before)
    assert len(calls) == 2


def test_parts_leave_no_trace(tiny_parts, monkeypatch):
    parts = everything(FIT, TABLE)
    monkeypatch.undo()
    assert parts == everything(FIT, TABLE)


@pytest.mark.parametrize("n_threads", [1, 2, 64])
@pytest.mark.parametrize("work", [0, 1, 10**6, 10**9])
@pytest.mark.parametrize("n", [0, 1, 1000])
def test_parts_cover_all_rows(n, work, n_threads):
    parts = list(_schedule.parts(n, work, n_threads))
    assert [i for part in parts for i in range(n)[part]] == list(range(n))
    rows = max((part.stop - part.start for part in parts), default=0)
    assert rows <= n_threads or (rows / n_threads) * work <= _schedule.MULTIPLICATIONS_AT_ONCE
