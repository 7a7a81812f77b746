"""The recipes that need packages of others, and what the others promise."""

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import funkc

RECIPES = (Path(__file__).parents[1] / "docs" / "recipes.md").read_text(encoding="utf-8")
BLOCK = re.compile(r"^```python\n(.*?)^```\n\n```text\n(.*?)^```", re.M | re.S)
PACKAGES = {
    "Factors from implicit": ("implicit", "scipy"),
    "Factors from Surprise": ("surprise", "pandas"),
    "Search millions of columns": ("faiss",),
}


def programs(title):
    """The programs of a recipe, and what each prints."""
    section = RECIPES.split(f"\n## {title}\n")[1].split("\n## ")[0]
    return BLOCK.findall(section)


def run(program, folder):
    source = Path(funkc.__file__).parents[1]
    path = os.pathsep.join([str(source), os.environ.get("PYTHONPATH", "")])
    # So that implicit has nothing to warn of.
    environment = {**os.environ, "PYTHONPATH": path, "OPENBLAS_NUM_THREADS": "1"}
    (folder / "recipe.py").write_text(program, encoding="utf-8")
    return subprocess.check_output(
        [sys.executable, "recipe.py"], cwd=folder, env=environment, text=True
    )


@pytest.mark.parametrize("title", PACKAGES)
def test_recipes_with_packages_of_others(tmp_path, title):
    for package in PACKAGES[title]:
        pytest.importorskip(package, reason=f"{package} is optional, and not installed")
    ((program, printed),) = programs(title)
    assert program.startswith("# python -m pip install ")  # which the check of all pages leaves out
    assert run(program, tmp_path) == printed


def test_the_others_are_run_with_the_pages():
    left_out = re.findall(r"^```python\n(?!import )", RECIPES, re.M)
    assert len(left_out) == len(PACKAGES)


def test_the_page_on_evaluation(tmp_path):
    """Whose blocks continue each other."""
    page = (Path(__file__).parents[1] / "docs" / "evaluation.md").read_text(encoding="utf-8")
    programs, printed = zip(*BLOCK.findall(page), strict=True)
    assert len(programs) == page.count("```python")
    assert run("".join(programs), tmp_path) == "".join(printed)


# ---------------------------------------------------------------- LIBMF

read_libmf = {}
exec(programs("Factors from LIBMF")[0][0].split("\n\n\nwith open")[0], read_libmf)
read_libmf = read_libmf["read_libmf"]
numbers = st.floats(-5, 5, width=32)


@given(data=st.data(), mean=numbers, m=st.integers(1, 4), n=st.integers(1, 4), k=st.integers(1, 5))
@settings(max_examples=50, deadline=None)
def test_predictions_of_libmf(tmp_path_factory, data, mean, m, n, k):
    """As mf_predict: the product, or the mean, where a side has had no ratings."""
    known = data.draw(st.lists(st.booleans(), min_size=m + n, max_size=m + n))
    lines = [
        " ".join([f"{'p' if i < m else 'q'}{i - m * (i >= m)}", "T" if seen else "F"])
        + "".join(f" {data.draw(numbers) if seen else 0:.6g}" for _ in range(k)) + " "
        for i, seen in enumerate(known)
    ]  # fmt: skip
    path = tmp_path_factory.mktemp("libmf") / "model"
    path.write_text("\n".join(["f 0", f"m {m}", f"n {n}", f"k {k}", f"b {mean:.6g}", *lines, ""]))
    factors = np.array([line.split()[2:] for line in lines], np.float64)
    expected = factors[:m] @ factors[m:].T
    seen = np.array(known)
    expected[~(seen[:m, None] & seen[m:])] = float(f"{mean:.6g}")
    made = read_libmf(path)
    assert made.shape == (m, n)
    np.testing.assert_allclose(made.reconstruct(), expected, rtol=1e-5, atol=3e-5)


def test_other_losses_of_libmf_are_refused(tmp_path):
    (tmp_path / "m").write_text("f 5\nm 1\nn 1\nk 1\nb 0\np0 T 1 \nq0 T 1 \n")
    with pytest.raises(ValueError, match="not a model of real values"):
        read_libmf(tmp_path / "m")


# ---------------------------------------------------------------- processes

SERVE = """
import re, sys
from pathlib import Path
import funkc

def anonymous():
    status = Path("/proc/self/status").read_text()
    return int(re.search("RssAnon:\\\\s+(\\\\d+) kB", status)[1]) * 1024

small = funkc.Factorization.from_factors([[1.0] * 16] * 9, [[1.0] * 16] * 9)
small.top(0, 3)
before = anonymous()
fit = funkc.load(sys.argv[1], mmap=True, verify=False)
fit.n_threads = 1
fit.top(0, 3)
fit.predict(range(9), 5)
print(anonymous() - before)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="read from /proc")
@pytest.mark.parametrize("kind", ["shared", "biases", "another k"])
def test_what_a_process_copies_of_a_mapped_model(tmp_path, kind):
    k = 17 if kind == "another k" else 16
    x, y = np.ones((500_000, k), np.float32), np.ones((9, k), np.float32)
    bias = {}
    if kind == "biases":
        bias = {"row_bias": np.ones(len(x), np.float32), "col_bias": np.ones(9, np.float32)}
    funkc.Factorization.from_factors(x, y, **bias).save(tmp_path / "m")
    copied = int(run(SERVE.replace("sys.argv[1]", "'m'"), tmp_path))
    print(f"{copied / x.nbytes:.2f}")
    if kind == "shared":
        assert copied < x.nbytes / 10
    else:
        assert copied > x.nbytes
