"""What is done where the system refuses threads: the same, by those that there are."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import funkc

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="limits are those of Linux"),
    pytest.mark.skipif(not funkc.openmp_enabled(), reason="this build has one thread"),
]

BEGIN = '''
import ctypes, os, resource, sys, time, warnings
import numpy as np
import funkc

VALUES = np.random.default_rng(0).normal(size=(500, 400))
MASK = VALUES > -1
IMAGE = np.add.outer(np.arange(90.0), np.arange(80.0))
IMAGE[20:24, 30:36] = np.nan


def train(n_threads=8):
    return funkc.factorize(MASK, VALUES, 4, n_epochs=3, stages=1, n_threads=n_threads)


def limit_memory(more):
    """Of what this process may have, so many megabytes are left."""
    pages = int(open("/proc/self/statm").read().split()[0])
    size = pages * resource.getpagesize() + (more << 20)
    resource.setrlimit(resource.RLIMIT_AS, (size, resource.RLIM_INFINITY))


def limit_threads(most):
    """As another user than root, who is not limited."""
    os.setuid(54321)
    resource.setrlimit(resource.RLIMIT_NPROC, (most, most + 20))


def warned(call):
    """(what it answers, its warnings)"""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        return call(), [w for w in caught if w.category is funkc.FewerThreadsWarning]


def bits(answer):
    return [np.asarray(part).tobytes() for part in answer] if type(answer) is tuple \\
        else np.asarray(answer).tobytes()


def n_threads():
    return len(os.listdir("/proc/self/task"))
'''


ALONE = {f"{name}_NUM_THREADS": "1" for name in ("OPENBLAS", "MKL")}  # no threads of NumPy


def run(program, *arguments, **environment):
    path = os.pathsep.join([str(Path(funkc.__file__).parents[1]), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        [sys.executable, "-c", BEGIN + program, *map(str, arguments)],
        env={**os.environ, "PYTHONPATH": path.rstrip(os.pathsep), **ALONE, **environment},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


as_root = pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root can become another user"
)


@pytest.mark.parametrize("megabytes", [12, 16, 24, 33, 40, 48, 56, 65, 80, 120])
def test_memory_is_limited(megabytes):
    """A thread takes 8 megabytes, and no more."""
    printed = run(
        """
same = bits(train(1).reconstruct())
limit_memory(int(sys.argv[1]))
fit, told = warned(train)
assert bits(fit.reconstruct()) == same
assert fit.n_threads == 8
print(len(told), n_threads())
""",
        megabytes,
    )
    told, n = map(int, printed.split())
    assert told == (n < 8)
    assert n >= min(8, megabytes // 8 - 1)
    assert told or megabytes >= 56


@as_root
@pytest.mark.parametrize("most", [1, 2, 3, 7, 8])
def test_the_number_of_threads_is_limited(most):
    printed = run(
        """
same = bits(train(1).reconstruct())
limit_threads(int(sys.argv[1]))
for _ in range(20):
    fit, told = warned(train)
    assert bits(fit.reconstruct()) == same
    print(n_threads(), *(str(w.message).partition(";")[0] for w in told))
""",
        most,
    )
    first, *others = printed.splitlines()
    told = f" n_threads: the system grants {most} of 8 threads" if most < 8 else ""
    assert first == f"{most}{told}"
    assert {line.split()[0] for line in others} == {str(most)}


@pytest.mark.parametrize("size", ["64k", "512k", "3M", "32M"])
@pytest.mark.parametrize("megabytes", [12, 33, 65])
def test_memory_is_limited_and_stacks_have_another_size(megabytes, size):
    printed = run(
        """
same = bits(train(1).reconstruct())
limit_memory(int(sys.argv[1]))
fit, told = warned(train)
assert bits(fit.reconstruct()) == same
print(len(told), n_threads())
""",
        megabytes,
        OMP_STACKSIZE=size,
    )
    told, n = map(int, printed.split())
    assert told == (n < 8)
    assert n == 8 or size[-1] == "M"


def test_a_stack_is_larger_than_memory():
    run(
        """
same = bits(train(1).reconstruct())
fit, told = warned(train)
assert bits(fit.reconstruct()) == same
assert len(told) == 1 and "grants 1 of 8" in str(told[0].message)
""",
        OMP_STACKSIZE=" 900000 G ",
    )


@pytest.mark.parametrize(
    "text, size",
    [("", 0), ("512", 512 << 10), ("16M", 16 << 20), (" 2 g ", 2 << 30), ("70000b", 70000),
     ("-1", 0), ("x", 0), ("99999999999g", 0)],
)  # fmt: skip
def test_the_stack_is_that_of_openmp(text, size, monkeypatch):
    from funkc._core.threads import _stack_size

    monkeypatch.setenv("GOMP_STACKSIZE", text)
    monkeypatch.delenv("OMP_STACKSIZE", raising=False)
    assert _stack_size() == size
    monkeypatch.setenv("OMP_STACKSIZE", "1m")
    assert _stack_size() == 1 << 20


@as_root
@pytest.mark.parametrize(
    "call",
    [
        "fit.predict(*np.nonzero(MASK))",
        "fit.predict(slice(0, 500), slice(0, 400))",
        "fit.reconstruct()",
        "fit.impute(MASK, VALUES)",
        "fit.score(MASK, VALUES)",
        "fit.top(np.arange(500), 5)",
        "bits(fit.fold_in_rows(MASK, VALUES).row_factors)",
        "fit.partial_fit(MASK, VALUES).row_factors",
        "funkc.inpaint(IMAGE, n_threads=n)",
        "funkc.inpaint(IMAGE, method='tiles', n_threads=n)",
        "funkc.cross_validate(MASK, VALUES, [1, 2], n_epochs=2, cv=3, n_threads=n).fit.row_factors",
        "funkc.cross_validate(MASK, VALUES, 2, n_epochs=2, cv=2, n_threads=n).best_score",
    ],
)
@pytest.mark.parametrize("most", [1, 3])
def test_every_call_warns_once_in_the_callers_line(call, most):
    run(
        f"""
def work():
    return {call}


fit = train(1)
n = 1  # OpenMP may keep threads that it has once started
same = bits(work())
fit = train(1)
limit_threads(int(sys.argv[1]))
fit.n_threads = n = 8
answer, told = warned(work)
assert bits(answer) == same
assert len(told) == 1, told
assert told[0].filename == "<string>"
assert told[0].lineno == work.__code__.co_firstlineno + 1
assert n_threads() <= int(sys.argv[1])
""",
        most,
    )


@as_root
def test_what_is_granted_later_is_used_later():
    printed = run(
        """
limit_threads(2)
for most in (2, 2, 20, 20):
    resource.setrlimit(resource.RLIMIT_NPROC, (most, 20))
    _, told = warned(train)
    print(n_threads(), len(told))
    if most != 2:
        time.sleep(1.1)
"""
    )
    assert printed.split("\n")[:4] == ["2 1", "2 0", "2 0", "8 0"]


@as_root
def test_c_functions_work_too_and_say_nothing():
    printed = run(
        f"""
sys.path.insert(0, {str(Path(__file__).parent)!r})
from capi_table import *
rows, cols, values, shape = problem(20_000, (300, 200))
cells = cells_of(rows, cols, values, shape)
x, y, result = train_at_once(cells, options_of(4))
limit_threads(2)
(x2, y2, _), told = warned(lambda: train_at_once(cells, options_of(4, n_threads=8), n_threads=8))
assert np.array_equal(x, x2) and np.array_equal(y, y2) and told == []
print(n_threads())
"""
    )
    assert printed == "2\n"
