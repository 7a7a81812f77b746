"""Same data, same seed, same bits: any number of threads, any engine, any company."""

import ctypes
import hashlib
import os
import platform
import subprocess
import sys
import threading

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import funkc
from funkc import _core

THREADS = [1, 2, 3, 8]


def ratings(n=20_000, shape=(500, 300), seed=0, coded=True):
    rng = np.random.default_rng(seed)
    chosen = rng.permutation(shape[0] * shape[1])[:n]
    values = rng.integers(1, 6, n) if coded else rng.normal(size=n)
    return (chosen // shape[1], chosen % shape[1]), values


def digest(fit):
    parts = [fit.row_factors, fit.col_factors, np.array([*fit.history["train_rmse"], fit.offset])]
    if fit.row_bias is not None:
        parts += [fit.row_bias, fit.col_bias]
    return hashlib.sha256(b"".join(part.tobytes() for part in parts)).hexdigest()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("k", [3, 16, 33])
@pytest.mark.parametrize("coded", [True, False])
def test_any_number_of_threads_gives_the_same_bits(dtype, k, coded):
    cells, values = ratings(coded=coded)
    found = {
        digest(funkc.factorize(cells, values, k, dtype=dtype, n_threads=n, n_epochs=4))
        for n in THREADS
    }
    assert len(found) == 1


@given(
    seed=st.integers(0, 2**32),
    density=st.floats(0.01, 1.0),
    shape=st.tuples(st.integers(1, 200), st.integers(1, 200)),
    group_size=st.sampled_from([1, 8]),
)
@settings(max_examples=40, deadline=None)
def test_threads_leave_no_trace_in_any_problem(seed, density, shape, group_size):
    rng = np.random.default_rng(seed)
    mask = rng.random(shape) < density
    mask[rng.integers(shape[0]), rng.integers(shape[1])] = True
    matrix = rng.normal(size=shape)
    found = {
        digest(
            funkc.factorize(
                mask, matrix, 4, n_threads=n, n_epochs=2, group_size=group_size, random_state=seed
            )
        )
        for n in THREADS
    }
    assert len(found) == 1


def test_pictures_have_the_same_bits_at_any_number_of_threads():
    rng = np.random.default_rng(0)
    image = rng.random((75, 61))
    missing = rng.random(image.shape) < 0.4
    found = {funkc.inpaint(image, missing, n_threads=n).tobytes() for n in THREADS}
    assert len(found) == 1


def test_different_seeds_give_different_bits():
    cells, values = ratings()
    fits = [funkc.factorize(cells, values, 3, random_state=s, n_epochs=1) for s in (0, 1)]
    assert digest(fits[0]) != digest(fits[1])


def test_equal_calls_agree_and_fresh_entropy_does_not():
    cells, values = ratings()
    assert digest(funkc.factorize(cells, values, 3)) == digest(funkc.factorize(cells, values, 3))
    fits = [funkc.factorize(cells, values, 3, random_state=None) for _ in range(2)]
    assert digest(fits[0]) != digest(fits[1])


@pytest.mark.parametrize("make", [np.random.default_rng, np.random.RandomState])
def test_generators_seed_and_move_on(make):
    cells, values = ratings()
    rng = make(5)
    first, second = (
        digest(funkc.factorize(cells, values, 3, random_state=rng, n_epochs=1)) for _ in range(2)
    )
    again = digest(funkc.factorize(cells, values, 3, random_state=make(5), n_epochs=1))
    assert first == again != second


ENGINE_PROGRAM = """
import hashlib, warnings
import numpy as np
import funkc
rng = np.random.default_rng(0)
parts = []
for dtype in (np.float32, np.float64):
    for k in (1, 16, 33, 64, 128):
        for group in (1, 8):
            chosen = rng.permutation(60 * 50)[:1500]
            fit = funkc.factorize(
                (chosen // 50, chosen % 50), rng.normal(size=1500), k, dtype=dtype,
                group_size=group, n_epochs=3,
            )
            parts += [fit.row_factors, fit.col_factors, fit.reconstruct()]
    values = (chosen // 50 * 7 + chosen % 50 * 11) % 13 / 4 + chosen // 50 % 5 * (chosen % 7) / 8
    for options in ({}, {"weights": rng.random(1500) + 0.1}, {"biases": False}):
        fit = funkc.factorize((chosen // 50, chosen % 50), values, 5, dtype=dtype, **options)
        parts += [fit.row_factors, fit.col_factors, fit.reconstruct(), np.array([fit.noise])]
i, j = np.indices((61, 83))
image = (i * i * 7 + i * j * 11 + j * j * 5) // 64 % 251
missing = (i * 37 + j * 101) % 97 < 55
missing[20:40, 30:50] = True
with warnings.catch_warnings():
    warnings.simplefilter("ignore", RuntimeWarning)
    parts += funkc.inpaint(image / 250, missing, n_threads=2, return_generated=True)
    image = np.stack([image, image[::-1], image[:, ::-1]], axis=-1) / 250
    each = np.stack([missing, missing[::-1], missing[:, ::-1]], axis=-1)
    parts += funkc.inpaint(image, each, channel_axis=-1, k=7, return_generated=True)
print(funkc._core.name, hashlib.sha256(b"".join(p.tobytes() for p in parts)).hexdigest())
"""


def run_with(level):
    env = {**os.environ, "FUNKC_ISA": level}
    return subprocess.run(
        [sys.executable, "-c", ENGINE_PROGRAM], env=env, capture_output=True, text=True, check=False
    )


def test_every_instruction_set_gives_the_same_bits():
    usable = _core._usable()
    outputs = {level: run_with(level) for level in usable}
    assert {level: out.stdout.split()[:1] for level, out in outputs.items()} == {
        level: [level] for level in usable
    }, [out.stderr for out in outputs.values()]
    assert len({out.stdout.split()[1] for out in outputs.values()}) == 1


@pytest.mark.parametrize("level", ["v9", "", *({"v3", "v4"} - set(_core._usable()))])
def test_an_instruction_set_that_is_not_there_is_refused(level):
    out = run_with(level)
    assert out.returncode == 1
    assert f"FUNKC_ISA: {level!r} is not among" in out.stderr


# One digest for every machine: it changes only with the arithmetic, and then on purpose.
GOLDEN = {
    "float32": "3f05b7ff59f5e123",
    "float64": "e5e2e1fd36b6955e",
    "products float32": "d13b82ae6528fd4f",
    "products float64": "33c4ccce6b5e12b9",
    "pixels": "5b2915e4257e10c3",
}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("biases", ["auto", False])
def test_the_bits_are_those_of_every_other_machine(dtype, biases):
    """With biases, also those of the search for the number of stages."""
    i, j = np.divmod(np.arange(0, 40 * 30, 2), 30)
    values = (i * 7 + j * 11) % 13 / (32 if biases else 4) + (i % 5) * (j % 7) / 8
    fit = funkc.factorize((i, j), values, 5, dtype=dtype, biases=biases)
    assert fit.stages == (3 if biases else 1)
    parts = [fit.row_factors, fit.col_factors]
    if biases:
        parts += [fit.row_bias, fit.col_bias, np.array([fit.offset, fit.noise])]
    little = b"".join(part.astype(part.dtype.newbyteorder("<")).tobytes() for part in parts)
    name = dtype if biases else f"products {dtype}"
    assert hashlib.sha256(little).hexdigest()[:16] == GOLDEN[name]


def test_the_pixels_are_those_of_every_other_machine():
    i, j = np.indices((61, 83))
    image = (i * i * 7 + i * j * 11 + j * j * 5) // 64 % 251
    missing = (i * 37 + j * 101) % 97 < 55
    missing[20:40, 30:50] = True
    with pytest.warns(RuntimeWarning, match="continues the surroundings"):
        filled = funkc.inpaint(image / 250, missing)
    digest = hashlib.sha256(filled.astype("<f8").tobytes()).hexdigest()[:16]
    assert digest == GOLDEN["pixels"]


@pytest.mark.skipif(
    sys.platform != "linux" or platform.machine() != "x86_64",
    reason="reaches into the x86-64 C library's floating-point environment",
)
def test_flushed_denormals_of_another_library_change_nothing():
    """What a library linked with -ffast-math leaves behind in the thread that loaded it."""
    libm = ctypes.CDLL("libm.so.6")
    cells, _ = ratings(2000, (60, 50))
    values = np.random.default_rng(1).normal(size=2000) * 1e-38  # products are denormal
    plain = digest(funkc.factorize(cells, values, 3, n_epochs=3))

    def in_a_thread_that_flushes(out):
        environment = (ctypes.c_uint8 * 32)()
        libm.fegetenv(environment)
        mxcsr = int.from_bytes(environment[28:32], "little") | 0x8040
        environment[28:32] = list(mxcsr.to_bytes(4, "little"))
        libm.fesetenv(environment)
        assert np.float32(1e-38) * np.float32(0.1) == 0  # it does flush
        out.append(digest(funkc.factorize(cells, values, 3, n_epochs=3, n_threads=2)))
        assert np.float32(1e-38) * np.float32(0.1) == 0  # and is left as it was

    found = []
    thread = threading.Thread(target=in_a_thread_that_flushes, args=(found,))
    thread.start()
    thread.join()
    assert found == [plain]
