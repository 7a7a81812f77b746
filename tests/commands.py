"""Commands of ``python -m funkc`` as child processes, and ratings for them."""

import csv
import gzip
import os
import re
import subprocess
import sys

import numpy as np

POSIX = os.name == "posix"
# Two threads that wait for each other on a busy machine would take most of the time here.
ONE_THREAD = {**os.environ, "OMP_NUM_THREADS": "1"}
TRICKY_IDS = ["Smith, John", 'O"Neil', "multi\nline", "Amélie", "007", "7", "a b", "Ω::x", "-0"]


def run(*arguments, code=0, cwd, **environment):
    """Run a command; its output, which must be free of tracebacks."""
    done = subprocess.run(
        [sys.executable, "-m", "funkc", *map(str, arguments)],
        cwd=cwd,
        env={**ONE_THREAD, **environment},
        capture_output=True,
        timeout=120,
        check=False,
    )
    out, err = done.stdout.decode(), done.stderr.decode()
    assert "Traceback" not in err, err
    assert done.returncode == code, (done.returncode, out, err)
    if code == 0:
        assert err == ""  # no terminal: no progress
    else:
        assert err.startswith("funkc: "), err
        assert err.count("\n") == 1, err
        assert err.endswith("\n"), err
    return done.stdout.replace(b"\r\n", b"\n").decode(), err


def fails(*arguments, match, cwd, **environment):
    _, err = run(*arguments, code=2, cwd=cwd, **environment)
    assert re.search(match, err), err
    return err


def run_without(package, *arguments, cwd):
    """The same in a Python where a package is not installed."""
    program = (
        f"import sys; sys.modules[{package!r}] = None\n"
        "from funkc.__main__ import main; sys.exit(main(sys.argv[1:]))"
    )
    return subprocess.run(
        [sys.executable, "-c", program, *map(str, arguments)],
        cwd=cwd,
        env=ONE_THREAD,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def numbers_in(line):
    return [float(text) for text in re.findall(r"-?\d+\.\d+|-?\d+", line)]


def made_triples(row_ids=TRICKY_IDS, seed=1, n_cols=12):
    """Ratings of rank one with some noise, three quarters of all cells."""
    random = np.random.default_rng(seed)
    rows, cols = random.random(len(row_ids)) + 1, random.random(n_cols) + 1
    return [
        (row, col * 10, round(float(rows[i] * cols[col] + random.normal() / 10), 2))
        for i, row in enumerate(row_ids)
        for col in range(n_cols)
        if random.random() < 0.75
    ]


def write_csv(path, triples, delimiter=",", header=("user", "item", "rating")):
    opened = gzip.open if path.suffix == ".gz" else open
    with opened(path, "wt", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, delimiter=delimiter)
        writer.writerows(([header] if header else []) + [(*t, 978300760) for t in triples])
