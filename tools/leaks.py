"""Holds the bytes in use after fifty rounds of calls against those after two hundred.

    bash tools/sanitize.sh leaks

AddressSanitizer counts them.  The calls that fail count too: what they have begun must go.  With
the `give_back` at the end of `fold_in_rows` in serve.pyx taken out, this fails, and LeakSanitizer
names the line.
"""

import contextlib
import ctypes
import gc
import sys
import warnings

import numpy as np

import funkc

ROUNDS = 200
BEFORE = 50  # rounds after which every cache is full
ALLOWED = 1024 * (ROUNDS - BEFORE)  # bytes: Python and NumPy hold some 350 more a round


class Stop(Exception):
    """Raised by a callback."""


def stop(*_):
    """In the middle of the work."""
    raise Stop


def calls(table, holes, picture, missing):
    """One round."""
    fit = funkc.factorize(None, table, 3, n_epochs=2, biases=True, n_threads=2)
    fit.fold_in_rows(None, table[:5])
    fit.fold_in_cols(None, table[:, :4])
    fit.top([0, 1], 3, exclude=holes)
    fit.similar_cols([0], 3)
    fit.impute(None, table)
    fit.partial_fit(None, table)
    funkc.inpaint(picture, missing, n_threads=2)
    funkc.inpaint(picture, missing, method="tiles", n_threads=2)
    with contextlib.suppress(Stop):
        funkc.factorize(None, table, 3, callback=stop)
    with contextlib.suppress(Stop):
        funkc.inpaint(picture, missing, callback=stop)
    with contextlib.suppress(funkc.DivergedError):
        funkc.factorize(None, table, 3, learning_rate=1e9)
    with contextlib.suppress(ValueError):
        funkc.factorize(([0, 1, 0], [0, 1, 0]), [1.0, 2.0, 3.0], 3)


def main():
    """Round after round."""
    runtime = ctypes.CDLL(None)
    in_use = runtime.__sanitizer_get_current_allocated_bytes
    in_use.restype = ctypes.c_size_t
    rng = np.random.default_rng(0)
    table = rng.random((40, 30))
    holes = rng.random(table.shape) < 0.3
    table[holes] = np.nan
    picture, missing = rng.random((24, 20)), rng.random((24, 20)) < 0.3
    warnings.simplefilter("ignore", RuntimeWarning)
    for done in range(1, ROUNDS + 1):
        calls(table, holes, picture, missing)
        if done in (BEFORE, ROUNDS):
            gc.collect()
            held = in_use()
            print(f"after {done} rounds: {held:,} bytes in use", flush=True)
            if done == BEFORE:
                before = held
    if held - before > ALLOWED:
        sys.exit(f"{held - before:,} bytes more")


if __name__ == "__main__":
    main()
