"""Forks of Python and of C, by a parent that has trained on several threads or is training."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import funkc

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")

PROGRAM = '''
import ctypes, multiprocessing, os, signal, sys, threading, time, warnings
import numpy as np
import funkc

warnings.simplefilter("ignore", DeprecationWarning)  # of Python, of forks beside threads
VALUES = np.random.default_rng(0).normal(size=(300, 200))
SECONDS = 60


def train(n_threads):
    fit = funkc.factorize(None, VALUES, 4, n_epochs=3, stages=1, n_threads=n_threads)
    return fit.reconstruct().tobytes()


def forked_by_python():
    return os.fork()


def forked_by_c():
    child = ctypes.PyDLL(None).fork()
    if child == 0:
        ctypes.pythonapi.PyOS_AfterFork_Child()
    return child


def in_child(fork, work):
    """Whether the work succeeds in a child, which is killed after a minute."""
    child = fork()
    if child == 0:
        try:
            os._exit(0 if work() else 1)
        finally:
            os._exit(2)
    for _ in range(100 * SECONDS):
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            return status == 0
        time.sleep(0.01)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return False


def forks(fork):
    """Parent and child with every number of threads; a child that forks again; a fork by another
    thread than trained; and a fork while another thread trains."""
    same = train(1)
    for before in (1, 2, 4):
        assert train(before) == same
        for after in (1, 2, 4):
            assert in_child(fork, lambda: train(after) == same), (before, after)
            assert in_child(
                fork, lambda: train(after) == same and in_child(fork, lambda: train(2) == same)
            ), (before, after, "again")
            assert train(before) == same

    def by_another_thread(work):
        answers = []
        thread = threading.Thread(target=lambda: answers.append(work()))
        thread.start()
        thread.join()
        return answers[0]

    assert by_another_thread(lambda: in_child(fork, lambda: train(2) == same))
    assert by_another_thread(lambda: train(3) == same and in_child(fork, lambda: train(2) == same))
    done = threading.Event()

    def keep_training():
        while not done.is_set():
            assert train(2) == same
            assert train(4) == same

    thread = threading.Thread(target=keep_training)
    thread.start()
    try:
        for turn in range(20):
            assert in_child(fork, lambda: train(2) == same), turn
    finally:
        done.set()
        thread.join()
    assert train(2) == same


def processes(method):
    """Pools of worker processes, before and after the parent has trained."""
    context = multiprocessing.get_context(method)
    same = train(1)
    for n_threads in (1, 2):
        with context.Pool(2) as pool:
            assert pool.map_async(train, [1, 2, 4, 2]).get(2 * SECONDS) == [same] * 4
        assert train(n_threads) == same


if __name__ == "__main__":
    kind, how = sys.argv[1:]
    if kind == "fork":
        forks({"python": forked_by_python, "c": forked_by_c}[how])
    else:
        processes(how)
    print("all equal")
'''


@pytest.mark.parametrize(
    "kind, how",
    [
        ("fork", "python"),
        ("fork", "c"),
        *(("processes", method) for method in ("fork", "spawn", "forkserver")),
    ],
)
def test_children_train_and_give_the_same_bits(kind, how, tmp_path):
    (tmp_path / "program.py").write_text(PROGRAM)
    path = os.pathsep.join([str(Path(funkc.__file__).parents[1]), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        [sys.executable, "program.py", kind, how],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": path.rstrip(os.pathsep)},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "all equal\n"), done.stdout + done.stderr
