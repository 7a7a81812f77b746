"""How much memory each form of input takes beside the input itself and the factors."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(
    not Path("/proc/self/clear_refs").exists(), reason="the peak of a process is known on Linux"
)

PROGRAM = """
import ctypes, gc, json
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
def of_imputer(dtype):
    import funkc.estimator

    funkc._table.ENTRIES_AT_ONCE = 1 << 15  # as small beside this table as by default
    table = np.where(rng.random((15_000, 100)) < 0.2, np.nan, rng.normal(size=(15_000, 100)))
    table = table.astype(dtype)
    funkc.FunkImputer(2, n_epochs=1).fit_transform(table[:50])
    return peak(lambda: funkc.FunkImputer(4, n_epochs=1).fit_transform(table)) / table.nbytes

def of_fit(form, share):
    mask, given = FORMS[form]()
    options = {"validation": share} if share else {}
    factors = 4 * 16 * (M + N) * (2 if share else 1)
    spent = peak(lambda: funkc.factorize(mask, given, K, n_epochs=1, **options))
    return (spent - factors) / at.size

funkc.factorize((np.arange(10),) * 2, np.arange(10.0), 1)
found = {form: of_fit(form, 0) for form in FORMS}
found |= {f"{form}, validation": of_fit(form, 0.1) for form in ("pair", "dense")}
try:
    found |= {f"imputer, {dtype}": of_imputer(dtype) for dtype in ("f4", "f8")}
except ImportError:  # scikit-learn is not installed
    pass
print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def peaks():
    """Bytes an observed entry; of the imputer, times the table."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True
    )
    return json.loads(done.stdout)


@pytest.mark.parametrize(
    "form, most",
    [
        ("pair", 8.5),
        ("int32 and uint16", 7.5),
        ("dense", 8.5),
        ("CSR", 8.5),
        ("Ratings", 8.5),
        ("pair, validation", 13.5),
        ("dense, validation", 13.5),
        ("imputer, f4", 5),
        ("imputer, f8", 3),
    ],
)
def test_no_form_of_input_is_copied(peaks, form, most):
    if "imputer" in form:
        pytest.importorskip("sklearn")
    assert peaks[form] < most
