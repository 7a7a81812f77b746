"""Calls of which every allocation of funkc's libraries fails once.

From C, through the allocator of the caller; from Python, by failing.c, which the child preloads.
(Where NumPy's own allocations fail, `array[index]` of NumPy 2.4 ends the process.)
"""

import ctypes
import functools
import gc
import os
import subprocess
import traceback
import warnings

import numpy as np

from tools.fuzz import calls, capi, new_folder, pick
from tools.fuzz.results import fingerprint

LIBRARIES = b"/funkc/_"  # a part of their paths
CALLS = (
    "factorize", "resume", "cross_validate", "inpaint", "Factorization.predict",
    "Factorization.score", "Factorization.reconstruct", "Factorization.impute",
    "Factorization.fold_in_rows", "Factorization.fold_in_cols", "Factorization.partial_fit",
    "Factorization.top", "Factorization.similar_rows", "Factorization.similar_cols",
    "Factorization.save", "load", "Ratings.from_arrays", "ratings.read",
    "ratings.sample_unobserved", "FunkImputer.fit", "FunkImputer.transform", "progress.by_rank",
)  # fmt: skip
MOST = 150  # allocations of one call that fail; of more, as many are drawn


def environment():
    """What a child needs to be started with."""
    library = os.path.join(new_folder(), "failing.so")
    source = os.path.join(os.path.dirname(__file__), "failing.c")
    compiler = os.environ.get("CC", "cc")
    subprocess.run([compiler, "-O2", "-shared", "-fPIC", "-o", library, source, "-ldl"], check=True)
    return {"LD_PRELOAD": library}


@functools.cache
def shim():
    """The preloaded functions."""
    made = ctypes.CDLL(None)
    made.failing_watch.argtypes = [ctypes.c_char_p]
    made.failing_arm.argtypes = [ctypes.c_long]
    for name in ("failing_disarm", "failing_held"):
        getattr(made, name).restype = ctypes.c_long
    return made


def from_c(number):
    """Whether the problem is one of the C API."""
    return number % 2 == 0


class Problem(calls.Problem):
    """A call of the grammar with nothing broken."""

    def __init__(self, number):
        self.rng = np.random.default_rng([number, 43])
        super().__init__(number, pick(self.rng, CALLS))


def describe(number):
    """The call."""
    if from_c(number):
        return capi.Problem(number, fails_at=None).told()
    return Problem(number).told()


def check(number):
    """Each allocation fails, and is answered; then the call succeeds as if nothing was."""
    warnings.simplefilter("ignore")
    if from_c(number):
        return check_c(number)
    usual, error, n_calls = attempt(number, 0)
    order = np.random.default_rng(number).permutation(n_calls)[:MOST] + 1
    for nth in order.tolist():
        made, raised, _ = attempt(number, nth)
        which = f"allocation {nth} of {n_calls} fails"
        if isinstance(raised, MemoryError):
            continue
        if type(raised) is not type(error):
            raise AssertionError(f"{which}, and {type(raised).__name__} is the answer") from raised
        assert made == usual, f"{which}, and the result is another"
    assert attempt(number, 0)[0] == usual, "afterwards the result is another"
    return None


def attempt(number, nth):
    """(fingerprint of the result, error, number of allocations) with the n-th failing."""
    problem, made = Problem(number), shim()
    result = error = found = None
    made.failing_watch(LIBRARIES)
    made.failing_arm(nth)
    try:
        result = problem.function(**problem.given)
    except Exception as raised:  # judged by the caller
        error = raised
    n_calls = made.failing_disarm()
    if error is None:
        found = fingerprint(result)
    else:
        traceback.clear_frames(error.__traceback__)
    del result, problem
    if made.failing_held():
        gc.collect()
    assert not made.failing_held(), f"with allocation {nth} failing, memory is not given back"
    return found, error, n_calls


def check_c(number):
    """The same with the caller's allocator, which also counts what comes back."""
    usual, n_calls = attempt_c(number, None)
    for nth in range(1, n_calls + 1) if usual == "OK" else ():
        status, _ = attempt_c(number, nth)
        assert status == "NO_MEMORY", f"allocation {nth} of {n_calls} fails: {status}"


def attempt_c(number, nth):
    """(name of the status, number of allocations) with the n-th failing."""
    problem = capi.Problem(number, fails_at=nth)
    try:
        status = capi.NAMES[capi.answer(problem)]
        n_calls = problem.memory.calls
        if status == "OK" and problem.name == "plan_create":
            capi.api.destroy(problem.created)
        problem.guarded.require_borders()
        if nth is not None:
            problem.guarded.require_outputs()
    finally:
        if problem.plan is not None:
            capi.api.destroy(problem.plan)
    assert not problem.memory.blocks, "memory was not given back"
    return status, n_calls
