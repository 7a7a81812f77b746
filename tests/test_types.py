"""Annotations: the stubs beside the compiled modules, and a sample of a user's code."""

import ast
import importlib.util
import inspect
import os
import subprocess
import sys
from pathlib import Path

import pytest
import typed_sample

import funkc
from funkc import progress, ratings

PACKAGE = Path(funkc.__file__).parent
# What Cython adds to a module.
ADDED = r"funkc\._[\w.]+\.__(test|pyx_capi)__"


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("mypy") is None, reason="needs mypy")
def test_stubs_say_what_is_compiled(tmp_path):
    stubs = (stub.relative_to(PACKAGE.parent) for stub in PACKAGE.rglob("*.pyi"))
    modules = sorted(".".join(stub.with_suffix("").parts) for stub in stubs)
    assert "funkc._core.plan" in modules
    (tmp_path / "added.txt").write_text(ADDED, encoding="utf-8")
    environment = dict(os.environ)
    if not PACKAGE.parent.name.endswith("-packages"):  # where mypy looks without being told
        environment["MYPYPATH"] = str(PACKAGE.parent)
    out = subprocess.run(
        [
            sys.executable, "-m", "mypy.stubtest", "--concise", "--allowlist", "added.txt",
            "--ignore-unused-allowlist", *modules,
        ],
        capture_output=True, text=True, check=False, cwd=tmp_path, env=environment,
    )  # fmt: skip
    assert out.returncode == 0, out.stdout + out.stderr


def test_the_typed_sample_runs(tmp_path):
    pytest.importorskip("matplotlib")
    pytest.importorskip("PIL")
    typed_sample.main(tmp_path)
    assert (tmp_path / "steps.gif").exists()


def public(module):
    return {
        name
        for name, thing in vars(module).items()
        if not name.startswith("_")
        and (inspect.isfunction(thing) or inspect.isclass(thing))
        and thing.__module__ == module.__name__
    }


def test_the_typed_sample_uses_everything_public():
    tree = ast.parse(Path(typed_sample.__file__).read_text(encoding="utf-8"))
    used = {
        (node.value.id, node.attr)
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name)
    }
    wanted = {("funkc", name) for name in funkc.__all__}
    for module in (progress, ratings):
        wanted |= {(module.__name__.split(".")[1], name) for name in public(module)}
    assert wanted <= used, wanted - used
    calls = {name for side, name in used if side in ("fit", "result")}
    assert {
        name for name, thing in vars(funkc.Factorization).items()
        if inspect.isfunction(thing) and not name.startswith("_")
    } <= calls  # fmt: skip
