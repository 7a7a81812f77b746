"""The rooms of the house: who imports whom, and what stands where."""

import ast
import re
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "src" / "funkc"

pytestmark = pytest.mark.skipif(
    not SOURCE.is_dir(), reason="the sources are not beside the tests (a wheel is tested alone)"
)

# Every module, and the modules of the package that it may import: always rooms further down.
MAY_IMPORT = {
    "__main__": {"__init__", "_errors", "_io", "progress", "ratings"},
    "__init__": {
        "_capi",
        "_api",
        "_errors",
        "_machine",
        "estimator",
        "factorization",
        "images",
        "ratings",
        "selection",
    },
    "selection": {"_api", "_errors", "_train", "_validate", "factorization"},
    "images": {
        "_bar",
        "_errors",
        "_isa",
        "_train",
        "_sides",
        "_validate",
    },
    "estimator": {"_api", "_errors", "_validate", "factorization"},
    "ratings": {"_errors", "_ids", "_validate"},
    "progress": {"_errors", "_validate", "images"},
    "_bar": {"_errors", "_train", "_validate"},
    "_api": {"_bar", "_checkpoint", "_ids", "_train", "_validate", "factorization"},
    "factorization": {
        "_bar",
        "_errors",
        "_ids",
        "_io",
        "_isa",
        "_schedule",
        "_sides",
        "_train",
        "_validate",
    },
    "_sides": {"_errors", "_ids", "_isa", "_schedule"},
    "_checkpoint": {"_errors", "_ids", "_io", "_train", "_validate"},
    "_ids": {"_errors", "_io", "_validate"},
    "_train": {"_errors", "_isa", "_schedule", "_shards", "_validate"},
    "_schedule": {"_errors", "_shards", "_validate"},
    "_validate": {"_errors", "_shards", "_threads"},
    "_threads": {"_machine"},
    "_isa": {"_errors", "_machine"},
    "_io": {"_errors"},
    "_errors": set(),
    "_engine": {"_lanes", "_types", "_update", "capi"},
    "_lanes": {"_types"},
    "_serve": {"_lanes", "_memory", "_types", "capi"},
    "_tiles": {"_memory", "_stream", "_types", "capi"},
    "_shards": {"_memory", "_stream", "_types", "capi"},
    "capi": set(),
    "capi.py": {"_capi"},
    "_machine": set(),
    "_update": {"_types"},
    "_stream": set(),
    "_types": {"capi"},
    "_memory": {"capi"},
    "_capi": {"_isa", "_memory", "_shards", "_stream", "_types", "capi"},
}


def imported(path):
    """Modules of the package that a file imports or cimports, for types alone or not."""
    text = path.read_text(encoding="utf-8")
    if path.suffix != ".py":
        return set(re.findall(r"^from funkc\.(\w+) cimport", text, re.MULTILINE))
    names = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            names |= {name.name for name in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path.name}: a relative import"
            if node.module == "funkc":
                names |= {f"funkc.{name.name}" for name in node.names}
            else:
                names.add(node.module)
    found = {name.split(".")[1] for name in names if name.startswith("funkc.")}
    modules = {path.stem for path in SOURCE.iterdir()}
    return {name if name in modules else "__init__" for name in found} | (
        {"__init__"} if "funkc" in names else set()
    )


def room(path):
    """What the table calls a file; capi.py is a door, capi.pxd of that name the ground."""
    return path.name if path.name == "capi.py" else path.stem


FILES = sorted(p for p in SOURCE.glob("*") if p.suffix in (".py", ".pyx", ".pxd"))


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.name)
def test_imports_go_down_only(path):
    assert imported(path) <= MAY_IMPORT[room(path)]


def test_the_table_has_no_circle_and_no_ghost():
    assert {room(p) for p in FILES} == set(MAY_IMPORT)
    left = dict(MAY_IMPORT)
    while left:
        ground = {name for name, below in left.items() if not below & set(left)}
        assert ground, f"circle among {sorted(left)}"
        left = {name: below for name, below in left.items() if name not in ground}


def test_the_list_of_rooms_is_whole_and_goes_down():
    text = (SOURCE.parents[1] / "CONTRIBUTING.md").read_text(encoding="utf-8")
    table = text.split("| file | room |\n")[1].split("\n\n")[0]
    names = [re.findall(r"`([\w/]+\.\w+)`", line.split("|")[1]) for line in table.splitlines()]
    assert sorted(name for row in names for name in row) == sorted(
        path.relative_to(SOURCE).as_posix()
        for path in SOURCE.rglob("*")
        if path.suffix in (".py", ".pyx", ".pxd", ".h")
    )
    line = {room(Path(name)): at for at, row in enumerate(names) for name in row}
    for path in FILES:
        assert all(line[below] >= line[room(path)] for below in imported(path)), path.name


def holding(pattern, suffixes=(".py", ".pyx", ".pxd", ".h")):
    return {
        path.name
        for path in SOURCE.iterdir()
        if path.suffix in suffixes and re.search(pattern, path.read_text(encoding="utf-8"))
    }


def test_threads_start_in_the_engine_and_the_cut_alone():
    assert holding(r"\bin prange\(") == {
        "_engine.pyx",
        "_serve.pyx",
        "_shards.pyx",
        "_tiles.pyx",
    }


def test_one_file_knows_openmp():
    assert holding(r"\bomp_\w+\(|include <omp\.h>|cimport openmp") == {"machine.h"}


def test_the_rule_stands_once_and_the_engine_alone_calls_it():
    assert holding(r"keep_row\[") == {"update.h"}
    assert holding(r"update\.h\"") == {"update.h", "_update.pxd"}
    assert holding(r"from funkc\._update cimport", (".pyx", ".pxd")) == {"_engine.pyx"}


def test_no_file_is_unpickled_or_replaced_elsewhere():
    assert holding(r"\bimport pickle|allow_pickle=True") == set()
    assert holding(r"os\.replace\(") == {"_io.py"}


def test_random_numbers_come_from_one_place():
    assert holding(r"0x9e3779b97f4a7c15\)\n|0xbf58476d1ce4e5b9") == {"_stream.pxd"}
    assert holding(r"\brand\(|srand\(|np\.random\.(default_rng|seed|rand)", (".pyx", ".h")) == set()


def test_no_small_solve_stands_outside_its_room():
    assert holding(r"void funkc_(decompose|solve|invert)\(") == {"solve.h"}
    assert holding(r"(?i)cholesky|linalg") == set()


def test_the_core_never_raises_or_takes_the_gil():
    assert holding(r"(?m)\bwith gil\b|^\s+raise ", (".pyx", ".pxd")) == set()


def test_no_drawer_for_everything():
    assert not [p.name for p in SOURCE.iterdir() if re.search(r"util|helper|misc", p.stem)]


def test_no_flag_changes_the_meaning_of_floating_point():
    setup = (SOURCE.parents[1] / "setup.py").read_text(encoding="utf-8")
    assert "-ffp-contract=off" in setup
    assert not re.search(r"\"-ffast-math|-fassociative-math|-Ofast|march=native|/fp:fast", setup)
