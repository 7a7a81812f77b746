"""Several interpreters in a process, programs that embed Python, and callers that hold the GIL."""

import ctypes
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from capi_table import (
    ADDRESSES,
    TYPES,
    P,
    Result,
    cells_of,
    options_of,
    params_of,
    plan_of,
    problem,
    room,
)

import funkc

HOST = Path(__file__).parent / "embed" / "host.c"


def run(*command):
    """Run a child that finds the modules which are found here; what it prints."""
    path = os.pathsep.join([str(Path(funkc.__file__).parents[1]), *filter(None, sys.path)])
    done = subprocess.run(
        [str(c) for c in command],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def host(tmp_path_factory):
    """A program that embeds this Python; skips unless it can be built here."""
    settings = sysconfig.get_config_vars()
    library = re.match(r"lib(python[\w.]+?)\.(so|dylib)", settings.get("LDLIBRARY") or "")
    if library is None or not shutil.which("cc"):
        pytest.skip("no C compiler, or Python is not a shared library")
    program = tmp_path_factory.mktemp("host") / "host"
    folder = settings["LIBDIR"]
    built = subprocess.run(
        ["cc", HOST, "-o", program, f"-I{settings['INCLUDEPY']}", f"-I{funkc.get_include()}",
         f"-L{folder}", f"-Wl,-rpath,{folder}", f"-l{library[1]}"],
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    if built.returncode:
        pytest.skip(f"programs that embed Python are not built here: {built.stderr[-300:]}")
    return program


@pytest.mark.parametrize(
    "scenario, n_trainings, n_refused", [("main", 6, 1), ("other", 4, 2), ("numpy", 2, 1)]
)
def test_the_interpreter_with_numpy_trains_whatever_others_do(
    host, scenario, n_trainings, n_refused
):
    printed = run(host, scenario).splitlines()
    trained = [line for line in printed if line.startswith("status 0,")]
    refused = [line for line in printed if line.startswith("refused: ")]
    assert (len(trained), len(set(trained))) == (n_trainings, 1)
    assert len(refused) == n_refused
    assert len(printed) == n_trainings + n_refused
    assert all("in one interpreter" in line for line in refused)


def test_c_functions_work_after_the_end_of_python(host):
    printed = run(host, "finalized").splitlines()
    assert len(printed) == 3
    assert set(printed) == {printed[0]}
    assert printed[0].startswith("status 0,")


def test_a_caller_that_holds_the_gil_keeps_it():
    """Another thread of Python, which wants it all the time, doesn't get it in the call."""
    rows, cols, values, shape = problem(20_000, (300, 200))
    cells, options, result = cells_of(rows, cols, values, shape), options_of(8), Result()
    result.size = ctypes.sizeof(Result)
    x, y = room(cells, 8, np.float32, biases=True)
    params = params_of(n_epochs=5, stages=1)
    train = ctypes.PYFUNCTYPE(ctypes.c_int, *TYPES["train"])(ADDRESSES["train"])  # with the GIL
    turns, done = [0], threading.Event()

    def count():
        while not done.is_set():
            turns[0] += 1
            time.sleep(0.0001)

    counter = threading.Thread(target=count, daemon=True)
    interval = sys.getswitchinterval()
    with plan_of(cells, options) as plan:
        arguments = (plan, P(x.ctypes.data), P(y.ctypes.data), ctypes.addressof(params), 2, None,
                     None, None, ctypes.addressof(result))  # fmt: skip
        sys.setswitchinterval(1000)  # so that nobody has a turn before this thread lets go
        try:
            counter.start()
            while not turns[0]:
                time.sleep(0.001)
            before = turns[0]
            status = train(*arguments)
            after = turns[0]
        finally:
            done.set()
            sys.setswitchinterval(interval)
            counter.join()
    assert status == 0
    assert after == before
