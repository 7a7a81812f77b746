"""A Factorization asked by several threads, after a fork, and on every instruction set."""

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from fits import everything, fitted, observed

import funkc
from funkc import _core


@pytest.mark.parametrize("n_threads", [0, -1, 1.5, "2", True])
def test_a_number_of_threads_that_can_not_be_is_refused(n_threads):
    fit = fitted()
    with pytest.raises((ValueError, TypeError), match=r"^n_threads: got "):
        fit.n_threads = n_threads
    assert fit.n_threads == 1
    fit.n_threads = 2**31 - 1
    assert fit.top(0, 1)[0].shape == (1,)


@pytest.mark.parametrize("n_threads", [1, 3])
def test_many_threads_may_ask_one_object_at_once(n_threads):
    table = observed()
    expected = everything(fitted(k=7, biases=True), table)
    fit = fitted(k=7, biases=True, n_threads=n_threads)
    answers, failed = [], []
    together = threading.Barrier(6)

    def ask():
        try:
            together.wait()
            answers.extend(everything(fit, table) for _ in range(3))
        except BaseException as error:
            failed.append(error)

    workers = [threading.Thread(target=ask) for _ in range(6)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert not failed
    assert len(answers) == 18
    assert set(answers) == {expected}


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_forked_child_may_ask_after_its_parent_did():
    table = observed()
    fit = fitted(k=7, n_threads=3)
    expected = everything(fit, table)
    child = os.fork()
    if child == 0:
        code = 1
        try:
            code = 0 if everything(fit, table) == expected else 2
        finally:
            os._exit(code)
    assert os.waitpid(child, 0)[1] == 0
    assert everything(fit, table) == expected


PROGRAM = """
import hashlib, sys
sys.path.insert(0, sys.argv[1])
import numpy as np
import fits as t
from funkc import _core
sha = hashlib.sha256()
for dtype in t.DTYPES:
    for k in (1, 7, 16, 33):
        for kind, options in t.KINDS.items():
            fit = t.fitted(k=k, dtype=dtype, **options)
            sha.update(t.everything(fit, t.observed()))
            sha.update(str(t.bits(fit.partial_fit(None, t.observed((80, 90))))).encode())
print(_core.name, sha.hexdigest())
"""


def test_every_instruction_set_gives_the_same_answers():
    outputs = {}
    for level in _core._usable():
        env = {**os.environ, "FUNKC_ISA": level,
               "PYTHONPATH": str(Path(funkc.__file__).parents[1])}  # fmt: skip
        out = subprocess.run(
            [sys.executable, "-c", PROGRAM, str(Path(__file__).parent)], env=env,
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert out.returncode == 0, out.stderr
        outputs[level] = out.stdout.split()
        assert outputs[level][0] == level
    assert len({digest for _, digest in outputs.values()}) == 1
