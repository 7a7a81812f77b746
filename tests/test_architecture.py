"""The source layout: which file may use which, and what stands in one place only."""

import ast
import re
import shutil
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "src" / "funkc"
KINDS = (".py", ".pyx", ".pxd", ".h")

pytestmark = pytest.mark.skipif(
    not SOURCE.is_dir(), reason="the sources are not beside the tests (a wheel is tested alone)"
)

# Every file, and the files of the package that it may use: by import, cimport or #include, for
# types alone or not.  What a file uses stands below it.
MAY_USE = """
__main__.py: __init__.py _cli/arguments.py _cli/demo.py _cli/image.py _cli/ratings.py
_cli/demo.py: __init__.py _cli/arguments.py _cli/image.py _errors.py
_cli/ratings.py: __init__.py _bar.py _cli/arguments.py _errors.py _input/cells.py _input/loss.py
    _io.py ratings.py
_cli/image.py: __init__.py _cli/arguments.py _errors.py _io.py progress.py
__init__.py: _api.py _capi.pyx _core/machine.pyx _errors.py _explain.py estimator.py evaluation.py
    factorization.py images.py ratings.py recommender.py selection.py
estimator.py: _api.py _errors.py _errstate.py _input/arrays.py _input/features.py _input/foreign.py
    _input/forms.py _input/loss.py _input/options.py _input/scalars.py _judge.py _sides.py _table.py
    factorization.py
recommender.py: _api.py _errors.py _errstate.py _input/arrays.py _input/cells.py _input/foreign.py
    _input/ids.py _input/options.py _input/scalars.py _sides.py factorization.py ratings.py
selection.py: _baselines.py _core/machine.pyx _core/threads.py _errors.py _errstate.py _export.py
    _input/cells.py _input/loss.py _input/options.py _input/scalars.py _input/split.py _judge.py
    _judging.py _plots.py _schedule.py _scores.py _sides.py _train.py factorization.py
progress.py: _errors.py _errstate.py _input/arrays.py _input/pixels.py _input/scalars.py _io.py
    images.py
_api.py: _bar.py _checkpoint.py _errstate.py _input/cells.py _input/ids.py _input/loss.py
    _input/options.py _input/scalars.py _input/split.py _judge.py _state.py _train.py
    factorization.py ratings.py
images.py: _bar.py _core/pictures.pyx _errors.py _errstate.py _export.py _input/cells.py
    _input/options.py _input/pixels.py _input/scalars.py _sides.py _train.py
evaluation.py: _baselines.py _errors.py _errstate.py _input/arrays.py _input/cells.py
    _input/lookups.py _input/options.py _input/scalars.py _input/split.py _judging.py _plots.py
    _splits.py factorization.py
_baselines.py: _biases.py _input/cells.py _input/loss.py _input/options.py _schedule.py
    factorization.py
_judging.py: _bar.py _errors.py _errstate.py _export.py _input/arrays.py _input/cells.py
    _input/lookups.py _input/scalars.py _plots.py _ranking.py _scores.py factorization.py
factorization.py: _bar.py _core/threads.py _errors.py _errstate.py _explain.py _export.py
    _input/arrays.py _input/cells.py _input/factors.py _input/ids.py _input/lookups.py
    _input/loss.py _input/options.py _input/scalars.py _judge.py _model.py _model_file.py _plots.py
    _ranking.py _sides.py _train.py
_checkpoint.py: _errors.py _history.py _input/arrays.py _input/ids.py _input/options.py
    _input/scalars.py _io.py _state.py _train.py
_state.py: _biases.py _history.py _input/options.py _train.py _validation.py
_bar.py: _errors.py _input/options.py _train.py
_judge.py: _core/plan.pyx _errors.py _input/ids.py _input/loss.py _schedule.py _train.py
_model_file.py: _errors.py _history.py _input/ids.py _input/options.py _input/scalars.py _io.py
    _sides.py
_ranking.py: _answers.py _errors.py _input/arrays.py _input/lookups.py _input/scalars.py _model.py
    _sides.py
_model.py: _answers.py _errors.py _errstate.py _fold_in.py _input/cells.py _input/loss.py
    _input/options.py _input/scalars.py _sides.py
_fold_in.py: _core/newton.pyx _core/serve.pyx _errors.py _input/cells.py _input/ids.py
    _input/loss.py _input/scalars.py _schedule.py _sides.py
_train.py: _average.py _biases.py _core/biases.pyx _core/engine.pyx _core/plan.pyx _errors.py
    _input/cells.py _input/loss.py _input/options.py _input/scalars.py _schedule.py _validation.py
_average.py: _core/average.pyx _errors.py _schedule.py
_explain.py: _answers.py _core/newton.pyx _core/serve.pyx _errors.py _input/arrays.py
    _input/cells.py _input/ids.py _input/lookups.py _input/loss.py _input/scalars.py _sides.py
_answers.py: _core/serve.pyx _errors.py _input/loss.py _input/scalars.py _schedule.py _sides.py
_sides.py: _core/serve.pyx _errors.py _input/ids.py _input/lookups.py _schedule.py
_biases.py: _core/biases.pyx _core/newton.pyx _core/plan.pyx _input/loss.py _schedule.py
_validation.py: _core/newton.pyx _core/plan.pyx _core/serve.pyx _errors.py _input/cells.py
    _input/loss.py _schedule.py
_splits.py: _core/draws.pyx _errors.py _errstate.py _input/arrays.py _input/ids.py _input/scalars.py
    _input/split.py _input/tables.py ratings.py
ratings.py: _core/draws.pyx _errors.py _errstate.py _input/arrays.py _input/cells.py _input/forms.py
    _input/ids.py _input/scalars.py _input/tables.py
_core/draws.pyx: _core/stream.pxd
capi.py: _capi.pyx
_schedule.py: _core/newton.pyx _core/plan.pyx _errors.py _input/cells.py _input/loss.py
    _input/options.py _input/scalars.py
_input/split.py: _errors.py _input/arrays.py _input/cells.py _input/options.py _input/scalars.py
_input/cells.py: _core/plan.pyx _errors.py _input/arrays.py _input/forms.py _input/ids.py
    _input/lookups.py _input/scalars.py
_input/lookups.py: _errors.py _input/arrays.py _input/forms.py _input/ids.py _input/scalars.py
_capi.pyx: _core/__init__.py _core/callers.pxd _core/loss.pxd _core/memory.pxd _core/plan.pyx
    _core/runs.pxd _core/stream.pxd _core/types.pxd capi.pxd
_core/__init__.py: _core/average.pyx _core/biases.pyx _core/engine.pyx _core/machine.pyx
    _core/newton.pyx _core/pictures.pyx _core/serve.pyx _errors.py
_input/tables.py: _errors.py _input/arrays.py _input/foreign.py _input/ids.py _input/scalars.py
    _io.py
_core/engine.pyx: _core/claims.h _core/float_state.h _core/machine.pxd _core/nogil.h _core/types.pxd
    _core/update.pxd capi.pxd
_core/serve.pyx: _core/best.pxd _core/claims.h _core/float_state.h _core/lanes.pxd _core/loss.pxd
    _core/machine.pxd _core/memory.pxd _core/new_rows.pxd _core/nogil.h _core/prior.pxd
    _core/types.pxd capi.pxd
_core/biases.pyx: _core/float_state.pxd _core/machine.pxd _core/memory.pxd _core/nogil.h
    _core/sums.pxd _core/types.pxd
_history.py: _input/options.py
_input/pixels.py: _errors.py _input/arrays.py _input/scalars.py
_core/plan.pyx: _core/bands.pxd _core/cut.pxd _core/defaults.pxd _core/float_state.pxd
    _core/machine.pxd _core/memory.pxd _core/nogil.h _core/source.pxd _core/start.pxd
    _core/stream.pxd _core/survey.pxd _core/thin.pxd _core/types.pxd capi.pxd
_core/cut.pxd: _core/bands.pxd _core/memory.pxd _core/source.pxd _core/survey.pxd _core/types.pxd
    capi.pxd
_input/factors.py: _errors.py _input/arrays.py _input/ids.py _input/loss.py _input/options.py
_plots.py: _errors.py _input/loss.py _input/options.py _scores.py
_input/options.py: _errors.py _input/arrays.py _input/loss.py _input/scalars.py
_input/loss.py: _core/newton.pyx _errors.py _input/scalars.py
_core/newton.pyx: _core/float_state.pxd _core/loss.pxd _core/machine.pxd _core/memory.pxd
    _core/nogil.h _core/pulls.pxd _core/types.pxd
_input/ids.py: _errors.py _input/arrays.py _input/scalars.py
_input/forms.py: _errors.py _input/arrays.py _input/scalars.py
_core/update.pxd: _core/lanes.pxd _core/loss.pxd _core/types.pxd _core/update.h
_core/pulls.pxd: _core/lanes.pxd _core/loss.pxd _core/types.pxd
_core/callers.pxd: _core/loss.pxd _core/types.pxd capi.pxd
_core/survey.pxd: _core/source.pxd _core/types.pxd
_core/average.pyx: _core/float_state.h _core/lanes.pxd _core/machine.pxd _core/memory.pxd
    _core/nogil.h _core/symmetric.pxd _core/types.pxd
_core/pictures.pyx: _core/claims.h _core/float_state.h _core/machine.pxd _core/masks.pxd
    _core/memory.pxd _core/nogil.h _core/patches.pxd _core/planes.pxd _core/pyramid.pxd
    _core/restoration.pxd _core/smooth.pxd _core/stream.pxd _core/tiles.pxd _core/types.pxd capi.pxd
_core/new_rows.pxd: _core/loss.pxd _core/memory.pxd _core/prior.pxd _core/ridge.h _core/types.pxd
    capi.pxd
_core/sums.pxd: _core/lanes.pxd _core/loss.pxd _core/types.pxd
_export.py: _errors.py _input/arrays.py _input/foreign.py
_scores.py: _errors.py _input/arrays.py _input/scalars.py
_input/features.py: _errors.py _input/arrays.py _input/foreign.py
_input/arrays.py: _errors.py _input/foreign.py _input/scalars.py
_core/start.pxd: _core/float_state.pxd _core/stream.pxd _core/types.pxd
_core/source.pxd: _core/stream.pxd _core/types.pxd capi.pxd
_core/prior.pxd: _core/ridge.h _core/types.pxd
_core/restoration.pxd: _core/masks.pxd _core/memory.pxd _core/passes.pxd _core/patches.pxd
    _core/planes.pxd _core/pyramid.pxd _core/smooth.pxd _core/tiles.pxd _core/types.pxd capi.pxd
_core/planes.pxd: _core/planes.h _core/types.pxd
_core/lanes.pxd: _core/lanes.h _core/types.pxd
_core/defaults.pxd: _core/float_state.pxd _core/types.pxd capi.pxd
_core/best.pxd: _core/types.pxd
_core/thin.pxd: _core/memory.pxd _core/stream.pxd _core/types.pxd
_core/runs.pxd: _core/float_state.pxd _core/loss.pxd _core/memory.pxd _core/types.pxd capi.pxd
_core/loss.pxd: _core/loss.h _core/types.pxd
_input/scalars.py: _core/limits.py _core/threads.py _errors.py _errstate.py
_core/types.pxd: _core/run.h capi.pxd
_core/tiles.pxd: _core/stream.pxd _core/tiles.h
_core/patches.pxd: _core/patches.h
_core/memory.pxd: _core/pages.h capi.pxd
_core/pages.h:
capi.pxd: include/funkc.h include/funkc_import.h
_core/tiles.h: _core/solve.h
_core/patches.h: _core/solve.h
include/funkc_import.h: include/funkc.h
_io.py: _errors.py
_core/update.h: _core/lanes.h _core/loss.h _core/run.h
_core/loss.h: _core/lanes.h
_core/run.h:
_core/solve.h: _core/lanes.h
_core/float_state.pxd: _core/float_state.h
_core/bands.pxd: _core/stream.pxd
_cli/arguments.py: _errors.py
include/funkc.h:
_input/__init__.py:
_errstate.py: _core/threads.py
_core/threads.py: _core/limits.py _core/machine.pyx _errors.py
_input/foreign.py: _errors.py
_table.py: _errors.py
_errors.py:
_core/machine.pyx: _core/machine.h _core/machine.pxd
_core/symmetric.pxd:
_core/stream.pxd:
_core/ridge.h:
_core/planes.h:
_core/machine.pxd:
_core/machine.h:
_core/nogil.h:
_core/lanes.h:
_core/float_state.h:
_core/claims.h:
_core/__init__.pxd:
_cli/__init__.py:
__init__.pxd:
_core/masks.pxd: _core/masks.h
_core/masks.h:
_core/passes.pxd: _core/passes.h
_core/passes.h:
_core/pyramid.pxd: _core/pyramid.h
_core/pyramid.h:
_core/smooth.pxd: _core/smooth.h
_core/smooth.h:
_core/limits.py:
"""


def files_of(root):
    return sorted(path.relative_to(root).as_posix() for path in root.rglob("*")
                  if path.suffix in KINDS)  # fmt: skip


def allowed():
    lines = MAY_USE.strip().replace("\n    ", " ").splitlines()
    return {line.split()[0].rstrip(":"): set(line.split()[1:]) for line in lines}


def file_of(root, module, compiled):
    """The file of a module of the package; `compiled` prefers what other sources cimport."""
    parts = module.split(".")[1:]
    stem = root.joinpath(*parts)
    kinds = (".pxd",) if compiled else (".py", ".pyx")
    candidates = [stem.with_suffix(kind) for kind in kinds] if parts else []
    candidates += [stem / f"__init__{kind}" for kind in kinds]
    # One source is built for several instruction sets.
    candidates += (
        [root.joinpath(*parts[:-1], f"{parts[-1].rpartition('_')[0]}.pyx")] if parts else []
    )
    for path in candidates:
        if path.is_file():
            return path.relative_to(root).as_posix()
    return None


def used_modules(root, module, names, compiled=False):
    """What `from module import names` uses: modules of the package, or what defines the names."""
    found = set()
    for name in names:
        found.add(file_of(root, f"{module}.{name}", compiled) or file_of(root, module, compiled))
    assert None not in found, (module, names)
    return found


def uses_of_python(root, text):
    found = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            for name in node.names:
                if re.match(r"funkc(\.|$)", name.name):
                    found.add(file_of(root, name.name, False))
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "a relative import"
            if re.match(r"funkc(\.|$)", node.module):
                found |= used_modules(root, node.module, [name.name for name in node.names])
        elif isinstance(node, ast.Call) and re.search(
            r"(import_module|__import__)$", ast.unparse(node.func)
        ):
            name = node.args[0]
            if isinstance(name, ast.JoinedStr):  # of an instruction set
                name = ast.Constant(f"{name.values[0].value}base")
            if str(name.value).startswith("funkc"):
                found.add(file_of(root, name.value, False))
    assert None not in found
    return found


def uses_of_cython(root, path, text):
    found = headers_in(root, path, text)  # also of C that stands in the source as text
    text = re.sub(r'"""(?:.|\n)*?"""|#.*', "", text)
    assert not re.search(r"(?m)(?:^|[;:])[ \t]*(from\s+\.|include\s+[\"'])", text), (
        "a relative name"
    )
    for module, how, names in re.findall(
        r"(?m)(?:^|[;:])[ \t]*from\s+(funkc[\w.]*)\s+(c?import)\s+(\([^)]*\)|[^;\n]+)", text
    ):
        words = [name.split()[0] for name in names.strip("()").split(",") if name.strip()]
        found |= used_modules(root, module, words, how == "cimport")
    for how, names in re.findall(r"(?m)(?:^|[;:])[ \t]*(c?import)\s+([^;\n]+)", text):
        for name in names.split(","):
            if re.match(r"\s*funkc(\.|\s|$)", name):
                found.add(file_of(root, name.split()[0], how == "cimport"))
    return found


def headers_in(root, path, text):
    """Our headers that a text includes, or that Cython declares from."""
    names = re.findall(r"""#[ \t]*include[ \t]+["<]([\w./]+)[">]""", text)
    names += re.findall(r"""extern\s+from\s+["']<?([\w./]+\.h)>?["']""", text)
    places = (
        (folder / name).resolve()
        for name in names
        for folder in (path.parent, root / "_core", root / "include")
    )
    return {p.relative_to(root.resolve()).as_posix() for p in places if p.is_file()
            and p.is_relative_to(root.resolve())}  # fmt: skip


def uses(root, path):
    """The files of the package that a file uses, but for itself (a template includes itself)."""
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".py":
        found = uses_of_python(root, text)
    elif path.suffix == ".h":
        found = headers_in(root, path, text)
    else:
        found = uses_of_cython(root, path, text) - {None}
        if path.suffix == ".pyx" and path.with_suffix(".pxd").is_file():
            found.add(path.with_suffix(".pxd").relative_to(root).as_posix())
    return found - {path.relative_to(root).as_posix()}


def violations(root):
    may = allowed()
    return {
        name: more
        for name in files_of(root)
        if (more := uses(root, root / name) - may.get(name, set()))
    }


def test_files_use_what_stands_below_them_only():
    assert violations(SOURCE) == {}


def test_the_table_has_no_circle_and_no_ghost():
    may = allowed()
    assert sorted(may) == files_of(SOURCE)
    unused = {
        name: more for name, below in may.items() if (more := below - uses(SOURCE, SOURCE / name))
    }
    assert unused == {}
    left = dict(may)
    while left:
        ground = {name for name, below in left.items() if not below & set(left)}
        assert ground, f"circle among {sorted(left)}"
        left = {name: below for name, below in left.items() if name not in ground}


def test_every_package_uses_those_below_it_only():
    """The three packages, and what stands beside them, whatever the table says."""
    for name, below in allowed().items():
        package = name.partition("/")[0] if "/" in name else ""
        if package == "_core":
            assert all(re.match(r"_core/|_errors\.py|capi\.pxd|include/", use) for use in below), (
                name
            )
        if package == "_input":
            assert all(
                re.match(r"_input/|_core/|_err(ors|state)\.py|_io\.py", use) for use in below
            ), name
        if package != "_cli" and name != "__main__.py":
            assert not any(use.startswith("_cli/") for use in below), name


def copied(folder, file=None, line=""):
    """A copy of the sources, with a line more at the end of one file."""
    root = folder / "funkc"
    shutil.copytree(SOURCE, root, ignore=shutil.ignore_patterns("*.so", "*.pyd", "__pycache__"))
    if file is not None:
        with open(root / file, "a", encoding="utf-8") as source:
            source.write("\n" + line)
    return root


@pytest.mark.parametrize(
    "file, line",
    [
        ("_errors.py", "from funkc import _train\n"),
        ("_input/scalars.py", "import funkc.images\n"),
        ("_core/threads.py", "from funkc._input import scalars\n"),
        ("_core/threads.py", "def late():\n    from funkc.factorization import load\n"),
        ("_core/engine.pyx", "from funkc import _train\n"),
        ("_core/engine.pyx", "from funkc._core.stream cimport mixed\n"),
        ("_core/engine.pyx", "import funkc.images as images\n"),
        ("_core/lanes.pxd", "from funkc._core.update cimport Rule\n"),
        ("_core/memory.pxd", 'cdef extern from "solve.h":\n    pass\n'),
        ("_core/update.h", '#include "patches.h"\n'),
        ("include/funkc.h", '#  include "../_core/lanes.h"\n'),
        ("include/funkc.h", "#include <lanes.h>\n"),
        ("_core/solve.h", '#include "../_core/patches.h"\n'),
        ("_core/memory.pxd", "cdef extern from '<solve.h>':\n    pass\n"),
        ("_core/memory.pxd", 'cdef extern from *:\n    """\n    #include "solve.h"\n    """\n'),
        ("_core/engine.pyx", "def late(): from funkc import _train\n"),
        ("_core/engine.pyx", "x = 1; import funkc._train\n"),
        ("_errors.py", '__import__("funkc._train")\n'),
    ],
)
def test_a_planted_use_is_seen(file, line, tmp_path):
    root = copied(tmp_path, file, line)
    assert list(violations(root)) == [file]


@pytest.mark.parametrize(
    "file, line",
    [
        ("_errors.py", "from . import _train\n"),
        ("_core/engine.pyx", "from . import threads\n"),
        ("_core/engine.pyx", "from .tiles cimport window\n"),
        ("_core/lanes.pxd", 'include "update.pxd"\n'),
    ],
)
def test_a_planted_relative_name_is_refused(file, line, tmp_path):
    root = copied(tmp_path, file, line)
    with pytest.raises(AssertionError, match="relative"):
        violations(root)


def test_a_planted_folder_is_seen(tmp_path):
    root = copied(tmp_path)
    (root / "_core" / "deep").mkdir()
    (root / "_core" / "deep" / "more.py").write_text("import pickle\nfrom funkc import _train\n")
    assert list(violations(root)) == ["_core/deep/more.py"]
    assert holding(r"\bimport pickle", root=root) == {"_core/deep/more.py"}


def test_the_layout_in_contributing_is_that_of_the_sources():
    text = (SOURCE.parents[1] / "CONTRIBUTING.md").read_text(encoding="utf-8")
    figure = text.split("src/funkc/\n", 1)[1].split("```", 1)[0]
    found, folder = [], ""
    for line in figure.splitlines():
        indent = len(line) - len(line.lstrip())
        words = line.partition("# ")[0].split()
        if indent == 2:
            folder = words.pop(0) if words[0].endswith("/") else ""
        found += [folder + word for word in words]
    assert sorted(found) == files_of(SOURCE)
    line = {name: at for at, name in enumerate(found)}
    for name, below in allowed().items():
        assert all(line[used] > line[name] for used in below), name


def holding(pattern, suffixes=KINDS, root=SOURCE):
    return {
        name
        for name in files_of(root)
        if Path(name).suffix in suffixes
        and re.search(pattern, (root / name).read_text(encoding="utf-8"))
    }


def test_threads_start_in_the_core_alone():
    assert holding(r"\bin prange\(") == {
        "_core/average.pyx",
        "_core/biases.pyx",
        "_core/newton.pyx",
        "_core/engine.pyx",
        "_core/serve.pyx",
        "_core/plan.pyx",
        "_core/pictures.pyx",
    }


def test_no_thread_lets_go_of_a_callers_gil():
    assert holding(r'extern from "nogil\.h"') == holding(r"\bin prange\(")


def test_no_thread_is_started_that_the_system_may_refuse():
    assert holding(r"\bin prange\((?!.+, num_threads=granted\()") == set()


def test_one_file_knows_openmp():
    assert holding(r"\bomp_\w+\(|include <omp\.h>|cimport openmp") == {"_core/machine.h"}


def test_the_rule_stands_in_one_place_and_the_engine_alone_calls_it():
    assert holding(r"keep_row\b") == {"_core/update.pxd", "_core/update.h"}
    assert holding(r"update\.h\"") == {"_core/update.h", "_core/update.pxd"}
    assert holding(r"from funkc\._core\.update cimport", (".pyx", ".pxd")) == {"_core/engine.pyx"}


def test_no_file_is_unpickled_or_replaced_elsewhere():
    assert holding(r"\bimport pickle|allow_pickle=True") == set()
    assert holding(r"os\.replace\(") == {"_io.py"}


def test_random_numbers_come_from_one_place():
    assert holding(r"0x9e3779b97f4a7c15\)\n|0xbf58476d1ce4e5b9") == {"_core/stream.pxd"}
    assert holding(r"\brand\(|srand\(|np\.random\.(default_rng|seed|rand)", (".pyx", ".h")) == set()


# Macros of <windows.h>, which claims.h includes, of <complex.h> and of GCC: what bears such a name
# does not compile there, or is something else.
MACROS = """
    near far small hyper interface min max pascal cdecl unix linux I complex imaginary
    IN OUT OPTIONAL ERROR DELETE TRUE FALSE CONST VOID FAR NEAR PASCAL CDECL CALLBACK WINAPI
    STRICT INFINITE IGNORE ABSOLUTE RELATIVE OPAQUE TRANSPARENT ALTERNATE WINDING TEXT GetMessage
    DOMAIN OVERFLOW UNDERFLOW SING PLOSS TLOSS
"""


def code_of(name):
    """The text of a header, or of Cython, without comments and strings."""
    text = (SOURCE / name).read_text(encoding="utf-8")
    comments = r"/\*(?:.|\n)*?\*/|//.*" if name.endswith(".h") else r'"""(?:.|\n)*?"""|#.*'
    return re.sub(rf"{comments}|\"[^\"\n]*\"|<[\w/]+\.h>", "", text)


def test_no_name_is_a_macro_elsewhere():
    for name in files_of(SOURCE):
        if name.endswith(".py"):
            continue
        words = set(MACROS.split()) & set(re.findall(r"\w+", code_of(name)))
        if not name.endswith(".h"):
            words -= {"min", "max"}  # Cython's, which no C compiler sees by that name
        assert not words, name


def test_the_names_of_headers_have_one_prefix():
    """But for the macros that are undefined again in the same file."""
    for name in files_of(SOURCE):
        if not name.endswith(".h"):
            continue
        code = code_of(name)
        defined = {*re.findall(r"^\s*#\s*define (\w+)", code, re.MULTILINE)}
        undefined = {*re.findall(r"^\s*#\s*undef (\w+)", code, re.MULTILINE)}
        names = defined - undefined
        flat = re.sub(r"^\s*#(?:.|\\\n)*$", "", code, flags=re.MULTILINE)
        for enum in re.findall(r"\benum\b[^{;]*\{([^}]*)\}", flat):
            names |= {*re.findall(r"(?:^|,)\s*(\w+)", enum)}
        names |= {*re.findall(r"^\}\s*(\w+)\s*;", flat, re.MULTILINE)}
        names |= {*re.findall(r"^typedef [^{;]*?(\w+)\s*;", flat, re.MULTILINE)}
        names |= {*re.findall(r"^(?:static|FUNKC_INLINE)\b[^;{=]*?(\w+)\(", flat, re.MULTILINE)}
        names -= {"NAME"}  # which gives it
        assert all(re.match(r"_?funkc_|FUNKC_|_", word) for word in names), (name, names)


def test_no_small_solve_stands_outside_its_room():
    assert holding(r"void funkc_(decompose|solve|invert)\(") == {"_core/solve.h"}
    assert holding(r"(?i)cholesky|linalg") == {"_plots.py"}  # the axes of a figure


def test_the_core_never_raises_or_takes_the_gil():
    assert holding(r"(?m)\bwith gil\b|^\s+raise ", (".pyx", ".pxd")) == set()


def test_no_drawer_for_everything():
    assert not [
        name for name in files_of(SOURCE) if re.search(r"util|helper|misc", Path(name).stem)
    ]


def test_no_flag_changes_the_meaning_of_floating_point():
    setup = (SOURCE.parents[1] / "setup.py").read_text(encoding="utf-8")
    assert "-ffp-contract=off" in setup
    assert not re.search(r"\"-ffast-math|-fassociative-math|-Ofast|march=native|/fp:fast", setup)


def code_lines(path):
    """Lines that are neither blank nor comments nor docstrings."""
    text = path.read_text(encoding="utf-8")
    comments = r"/\*(?:.|\n)*?\*/|//.*" if path.suffix == ".h" else r'"""(?:.|\n)*?"""|^\s*#.*'
    return sum(bool(line.strip()) for line in re.sub(comments, "", text, flags=re.M).splitlines())


def test_no_file_is_long():
    files = [SOURCE / name for name in files_of(SOURCE)]
    files += [
        p
        for folder in ("tests", "benchmarks", "tools")
        for p in (SOURCE.parents[1] / folder).rglob("*.py")
    ]
    long = {p.name: n for p in files if (n := code_lines(p)) > 600}
    assert long == {}
