"""How much memory each form of input takes beside the input itself and the factors."""

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(
    not Path("/proc/self/clear_refs").exists(), reason="the peak of a process is known on Linux"
)

PROGRAM = """
import ctypes, gc, sys
import numpy as np, scipy.sparse
import funkc

rng = np.random.default_rng(0)
M, N, K = 8_000, 1_000, 4
at = np.unique(rng.integers(0, M * N, 1_500_000))
rows, cols = np.divmod(at, N)
values = rng.integers(1, 11, at.size).astype(float)

def memory(name):
    status = open("/proc/self/status").read()
    return 1024 * int(status.split(name + ":")[1].split()[0])

def peak(call):
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    with open("/proc/self/clear_refs", "w") as file:
        file.write("5")
    before = memory("VmRSS")
    call()
    return memory("VmHWM") - before

def dense():
    out = np.full((M, N), np.nan, np.float32)
    out[rows, cols] = values
    return None, out

def csr():
    return None, scipy.sparse.csr_array((values, (rows, cols)), shape=(M, N))

FORMS = {
    "pair": lambda: ((rows, cols), values),
    "int32 and uint16": lambda: ((rows.astype("i4"), cols.astype("i4")), values.astype("u2")),
    "dense": dense,
    "CSR": csr,
    "Ratings": lambda: (None, funkc.Ratings.from_arrays(rows, cols, values)),
}
form, share = sys.argv[1], float(sys.argv[2])
if form.startswith("imputer"):
    import funkc.estimator

    funkc.estimator.ENTRIES_AT_ONCE = 1 << 15  # as small beside this table as by default
    table = np.where(rng.random((15_000, 100)) < 0.2, np.nan, rng.normal(size=(15_000, 100)))
    table = table if "64" in form else table.astype("f4")
    funkc.FunkImputer(2, n_epochs=1).fit_transform(table[:50])
    print(peak(lambda: funkc.FunkImputer(4, n_epochs=1).fit_transform(table)) / table.nbytes)
else:
    mask, given = FORMS[form]()
    funkc.factorize((np.arange(10),) * 2, np.arange(10.0), 1)
    options = {"validation": share} if share else {}
    factors = 4 * 16 * (M + N) * (2 if share else 1)
    spent = peak(lambda: funkc.factorize(mask, given, K, n_epochs=1, **options))
    print((spent - factors) / at.size)
"""


@pytest.mark.parametrize(
    "form, share, most",
    [
        ("pair", 0, 7.5),
        ("int32 and uint16", 0, 7.5),
        ("dense", 0, 8),
        ("CSR", 0, 7.5),
        ("Ratings", 0, 7.5),
        ("pair", 0.1, 11.5),
        ("dense", 0.1, 11.5),
        ("imputer", 0, 5),
        ("imputer of float64", 0, 3),
    ],
)
def test_no_form_of_input_is_copied(form, share, most):
    """Bytes an observed entry; of the imputer, times the table."""
    if form.startswith("imputer"):
        pytest.importorskip("sklearn")
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, form, str(share)],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert float(done.stdout) < most
