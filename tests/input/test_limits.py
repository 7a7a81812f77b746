"""How much memory a process may have, and calls that would need more."""

import subprocess
import sys
import tracemalloc

import numpy as np
import pytest
from fits import fitted, observed

import funkc
from funkc._core import limits

HUGE = 2**31
GIB = 2**30


@pytest.fixture
def small_machine(monkeypatch):
    """One of which this test must not need a hundredth."""
    monkeypatch.setattr(limits, "memory", lambda: (4 * GIB, "this machine has"))
    tracemalloc.start()
    yield
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < GIB // 32


def again(at):
    """One entry, and others."""
    return tuple(np.append(part, np.arange(98)) for part in at)


FIT = fitted(observed((30, 20), 0.5))
ROADS = {
    "factorize": lambda at: funkc.factorize(at, [1.0], 2),
    "init": lambda at: funkc.factorize(at, [1.0], 3, init=FIT),
    "cross_validate": lambda at: funkc.cross_validate(again(at), np.ones(99), 2),
    "partial_fit": lambda at: FIT.partial_fit(at, [1.0]),
    "fold_in_rows": lambda at: FIT.fold_in_rows(at, [1.0]),
    "fold_in_cols": lambda at: FIT.fold_in_cols(at, [1.0]),
    "impute": lambda at: FIT.impute(at, [1.0]),
    "score": lambda at: FIT.score(at, [1.0]),
    "validation": lambda at: fitted(validation=(at, [1.0])),
    "exclude": lambda at: FIT.top(0, exclude=at),
    "predict": lambda at: FIT.predict(*at),
}
MINE = {"fold_in_rows": (0,), "fold_in_cols": (1,)}  # where the other side is that of the model


@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("road", ROADS)
def test_an_id_that_was_taken_for_an_index(road, axis, small_machine):
    at = [[3], [3]]
    at[axis] = [HUGE]
    with pytest.raises((MemoryError, ValueError, IndexError)) as caught:
        ROADS[road](tuple(np.array(part) for part in at))
    grows = ("factorize", "init", "partial_fit", "cross_validate")
    if road in grows or axis in MINE.get(road, ()):
        assert caught.type is MemoryError
        assert "but this machine has 4.0 GiB; " in str(caught.value)
    else:
        assert f"{HUGE} is " in str(caught.value) or caught.type is MemoryError


@pytest.mark.parametrize(
    "call",
    [
        lambda fit: fit.reconstruct(np.zeros(10**6, np.int8)),
        lambda fit: fit.predict(np.zeros(10**6, np.int8), slice(None)),
        lambda fit: fit.top(np.zeros(10**6, np.int8), 1000),
        lambda fit: fit.similar_cols(np.zeros(10**6, np.int8), 1000),
        lambda fit: funkc.inpaint(np.eye(2500, dtype=np.float32), np.eye(2500) > 0),
    ],
)
def test_a_large_answer_is_refused_before_it_is_made(call, monkeypatch):
    monkeypatch.setattr(limits, "memory", lambda: (GIB // 10, "its control group grants"))
    with pytest.raises(
        MemoryError, match=r"GiB, but its control group grants 0\.1 GiB; (requ|fill)"
    ):
        call(FIT)


def test_more_columns_than_there_are(small_machine):
    for n in (1, 5, 999, 1000, 10**6, 10**9):
        cols, scores = FIT.top([0, 1], n)
        assert cols.shape == scores.shape == (2, min(n, 1000))
        assert (cols[:, 20:] == -1).all()
        assert (scores[:, 20:] == -np.inf).all()
    assert FIT.similar_rows(0, 10**9)[0].shape == (1000,)


def test_more_columns_than_a_thousand():
    wide = funkc.Factorization.from_factors([[1.0]], np.arange(1500.0)[:, None])
    assert [wide.top(0, n)[0].size for n in (1001, 1499, 10**9)] == [1001, 1499, 1500]


# ---------------------------------------------------------------- what the system grants


def tree(root, files):
    for name, text in files.items():
        file = root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)


@pytest.mark.parametrize(
    "own, files, grants",
    [
        ("0::/\n", {"memory.max": "123456\n"}, 123456),
        ("0::/a/b\n", {"memory.max": "max", "a/memory.max": "777", "a/b/memory.max": "999"}, 777),
        ("0::/a/b\n", {"a/b/memory.max": "max\n"}, None),
        ("4:memory:/a\n", {"memory/a/memory.limit_in_bytes": "4096\n"}, 4096),
        ("4:cpu,cpuacct:/a\n", {"cpu,cpuacct/a/memory.limit_in_bytes": "4096\n"}, None),
        ("4:memory:/a\n", {"memory/memory.limit_in_bytes": "9223372036854771712"}, None),
        ("4:memory:/a\n", {"memory/a/memory.limit_in_bytes": "x"}, None),
        ("\n4:memory\n0::/\udcff\n0::/b\n", {"b/memory.max": "5"}, 5),
    ],
)
def test_the_memory_of_a_control_group(own, files, grants, tmp_path):
    tree(tmp_path / "groups", files)
    (tmp_path / "own").write_text(own, errors="surrogateescape")
    there, whose = limits.memory(tmp_path / "groups", tmp_path / "own")
    if grants is None:
        assert "group" not in whose
    else:
        assert (there, whose) == (grants, "its control group grants")


@pytest.mark.parametrize("name", ["RLIMIT_AS", "RLIMIT_DATA"])
def test_the_memory_of_a_limited_process(name):
    resource = pytest.importorskip("resource", reason="Windows has no such limits")
    if sys.platform == "darwin" or not hasattr(resource, name):
        pytest.skip("this system does not keep to the limit")
    program = f"""
import resource
resource.setrlimit(resource.{name}, (3 << 30, 3 << 30))
import numpy as np, funkc
try:
    funkc.factorize(([2**31], [0]), [1.0], 2)
except MemoryError as error:
    print(error)
"""
    out = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert f"but {name} grants this process 3.0 GiB; lower k, or number" in out.stdout


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (lambda endless, fit: setattr(fit, "clip", endless), TypeError, "clip: got array"),
        (lambda endless, _: funkc.factorize(None, np.eye(4), 1, clip=endless), TypeError, "clip"),
        (lambda endless, _: funkc.cross_validate(None, np.eye(4), endless[0]), ValueError,
         "k: has 1,000,000,000 values; pass at most"),
        (lambda endless, _: funkc.cross_validate(None, np.eye(4), range(10**15)), ValueError,
         "k: has 1,000,000,000,000,000 values; pass at most"),
        (lambda endless, _: funkc.cross_validate(None, np.eye(4), 1, [0.1, endless]), TypeError,
         r"regularization\[1\]"),
        (lambda endless, _: funkc.cross_validate(None, np.eye(4), 1, cv=endless[0]), TypeError,
         "cv: got array"),
    ],
)  # fmt: skip
def test_arrays_that_are_larger_than_any_memory_are_refused_at_once(call, error, text):
    fit = funkc.factorize(None, np.add.outer([1.0, 2.0, 3.0], [1.0, 2.0]), 1)
    with pytest.raises(error, match=text):
        call(np.broadcast_to(0.5, (10**9, 10**9)), fit)
