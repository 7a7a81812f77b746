"""What it costs to call the core from C, through the table of funkc.h.

    python -m benchmarks.embedding             # microseconds of a call, memory of 1,000 plans
    python -m benchmarks.embedding --leaks     # the C example under valgrind (Linux, minutes)

A small extension is built for it in a temporary folder, so a C compiler must be there.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import funkc
from benchmarks.peers import memory

EXAMPLE = Path(__file__).parents[1] / "examples" / "embed" / "c"
SETUP = """
import funkc
from setuptools import Extension, setup
setup(name="calls", ext_modules=[
    Extension("calls", ["calls.c"], include_dirs=[funkc.get_include()])])
"""
SOURCE = """
#include "funkc_import.h"
#include <time.h>

static const funkc_api *api;
static const int32_t row = 0, col = 0;
static const float value = 1;

static int create(funkc_plan **plan)
{
    funkc_cells cells;
    funkc_options options;
    funkc_cells_init(&cells);
    cells.rows = &row, cells.cols = &col, cells.values = &value;
    cells.n_cells = cells.n_rows = cells.n_cols = 1;
    funkc_options_init(&options, 16);
    return funkc_plan_create(api, &cells, &options, plan);
}

/* Microseconds of a run of so many epochs on a plan of one cell. */
static PyObject *microseconds(PyObject *self, PyObject *arguments)
{
    float x[16], y[16];
    int n_epochs, calls, i, status;
    funkc_plan *plan;
    funkc_params params;
    clock_t begun;
    (void)self;
    if (!PyArg_ParseTuple(arguments, "ii", &n_epochs, &calls)) return NULL;
    funkc_params_init(&params);
    params.constant_rate = 1;
    status = create(&plan);
    if (!status) status = funkc_start(api, plan, x, y);
    begun = clock();
    for (i = 0; i < calls && !status; i++)
        status = funkc_run(api, plan, x, y, &params, n_epochs, 1, NULL, NULL, NULL);
    begun = clock() - begun;
    funkc_plan_destroy(api, plan);
    if (status) return PyErr_Format(PyExc_RuntimeError, funkc_status_message(api, status));
    return PyFloat_FromDouble(1e6 * (double)begun / CLOCKS_PER_SEC / calls);
}

/* Creates, runs and destroys so many plans. */
static PyObject *plans(PyObject *self, PyObject *arguments)
{
    float x[16], y[16];
    int n, status = 0;
    funkc_plan *plan;
    funkc_params params;
    (void)self;
    if (!PyArg_ParseTuple(arguments, "i", &n)) return NULL;
    funkc_params_init(&params);
    while (n-- && !status) {
        status = create(&plan);
        if (!status) status = funkc_start(api, plan, x, y);
        if (!status) status = funkc_run(api, plan, x, y, &params, 1, 1, NULL, NULL, NULL);
        funkc_plan_destroy(api, plan);
    }
    if (status) return PyErr_Format(PyExc_RuntimeError, funkc_status_message(api, status));
    Py_RETURN_NONE;
}

static PyMethodDef methods[] = {{"microseconds", microseconds, METH_VARARGS, NULL},
                                {"plans", plans, METH_VARARGS, NULL},
                                {NULL, NULL, 0, NULL}};
static PyModuleDef definition = {
    PyModuleDef_HEAD_INIT, "calls", NULL, -1, methods, NULL, NULL, NULL, NULL};

PyMODINIT_FUNC PyInit_calls(void)
{
    api = funkc_import();
    return api ? PyModule_Create(&definition) : NULL;
}
"""


def build(folder: Path) -> dict[str, str]:
    """Build what is in the folder against this funkc; the environment that finds it."""
    path = os.pathsep.join([str(Path(funkc.__file__).parents[1]), os.environ.get("PYTHONPATH", "")])
    environment = {**os.environ, "PYTHONPATH": path}
    command = [sys.executable, "setup.py", "-q", "build_ext", "--inplace"]
    subprocess.run(command, cwd=folder, env=environment, check=True)
    return environment


def extension(folder: Path) -> Any:
    (folder / "setup.py").write_text(SETUP)
    (folder / "calls.c").write_text(SOURCE)
    build(folder)
    (file,) = (f for f in folder.glob("calls.*") if f.suffix in (".so", ".pyd"))
    spec = importlib.util.spec_from_file_location("calls", file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def measure(folder: Path) -> None:
    calls = extension(folder)
    for n_epochs in (0, 1):
        times = [calls.microseconds(n_epochs, 20_000) for _ in range(7)]
        print(
            f"a run of {n_epochs} epochs on one cell: {statistics.median(times):.2f} µs "
            f"({min(times):.2f} - {max(times):.2f})"
        )
    sizes = [memory("VmRSS")]
    for _ in range(4):
        calls.plans(1000)
        sizes.append(memory("VmRSS"))
    print("kB after 0, 1,000, ... 4,000 plans:", *(f"{size / 1024:.0f}" for size in sizes))


def find_leaks(folder: Path) -> None:
    shutil.copytree(EXAMPLE, folder, dirs_exist_ok=True)
    environment = {**build(folder), "PYTHONMALLOC": "malloc", "FUNKC_ISA": "base"}
    log = folder / "log"
    command = ["valgrind", "--leak-check=full", "--num-callers=40", f"--log-file={log}"]
    subprocess.run([*command, sys.executable, "check.py"], cwd=folder, env=environment, check=True)
    blocks = re.split(r"(?m)^==\d+== $", log.read_text())
    for kind in ("definitely lost", "Invalid ", "uninitialised"):
        found = [b for b in blocks if kind in b and re.search(r"/funkc/_|embedded\.", b)]
        print(f"{kind.strip()}: {len(found)} in frames of funkc or of the example")
        print("".join(found), end="")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--leaks", action="store_true", help="run the C example under valgrind")
    with tempfile.TemporaryDirectory() as scratch:
        (find_leaks if parser.parse_args().leaks else measure)(Path(scratch))
