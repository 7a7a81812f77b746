"""Change one thing in the Python of the package, and see whether a test fails; again and again.

    python tools/mutants.py --seed 1 --count 150
    python tools/mutants.py --seed 1 --count 150 --first 80    # continue with number 80
    python tools/mutants.py --seed 1 --count 150 --only 17     # one of them, with pytest's output
    python tools/mutants.py --seed 1 --count 150 --seconds 60  # quicker: a part of the tests

A change (a mutant) is a comparison, an operator, a number, a string, a default or the bound of a
slice replaced, a condition negated, two arguments exchanged, a result left out, or a statement
removed; never a docstring, an annotation or the text of a message.  The changes are drawn at random
from all modules, except the command line, and made in a copy of the tree.

Which tests can tell is measured once, in `build/reached.json`: those that call the changed function
run first, the quickest files before the others, then all tests of their files and of those that
start processes, whose calls are not seen.  No other test meets the change.  With `--seconds`, only
the first of these run, which take so long together when nothing is changed.  A test that is new or
has changed is measured again; remove the file after larger changes of the package.  Tests marked as
slow, and those that read the sources instead of running them, are left out.
"""

import argparse
import ast
import contextlib
import copy
import faulthandler
import hashlib
import itertools
import json
import math
import os
import queue
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = Path("src", "funkc")
REACHED = ROOT / "build" / "reached.json"
WANTED = 0.9  # of the mutants are to be killed
QUICK = 1.0  # seconds of a test that may run before slower ones
READ_SOURCES = ("tests/test_architecture.py", "tests/test_types.py")
JOB = "FUNKC_MUTANTS_JOB"  # the variable that names a file with what the plugin below is to do
PYTEST = (
    "-q", "-p", "mutants", "-p", "no:cacheprovider", "--hypothesis-seed=0", "-m", "not slow",
)  # fmt: skip


# What can be changed.


class Mutant(NamedTuple):
    """Bytes of a file, and what replaces them; `function` is the innermost around them."""

    file: str
    function: str | None
    line: int
    begin: int
    end: int
    before: str
    after: str

    def __str__(self) -> str:
        source = (ROOT / PACKAGE / self.file).read_bytes()
        first = source.rfind(b"\n", 0, self.begin) + 1
        before = f"{source[first : self.begin].decode().lstrip()}[{self.before}]"
        return " ".join(f"{self.file}:{self.line}: {before} -> [{self.after}]".split())


INSTEAD: dict[type[ast.AST], type[ast.AST]] = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq, ast.NotEq: ast.Eq, ast.Is: ast.IsNot, ast.IsNot: ast.Is,
    ast.In: ast.NotIn, ast.NotIn: ast.In,  # codespell:ignore notin
    ast.And: ast.Or, ast.Or: ast.And,
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult, ast.Mod: ast.Mult, ast.Pow: ast.Mult, ast.LShift: ast.RShift,
    ast.RShift: ast.LShift, ast.BitAnd: ast.BitOr, ast.BitOr: ast.BitAnd, ast.BitXor: ast.BitOr,
}  # fmt: skip
OPPOSITES = (ast.Eq, ast.NotEq, ast.Is, ast.IsNot, ast.In, ast.NotIn)  # codespell:ignore notin
# Calls whose arguments are texts (as are those of errors), or types.
TELLING = {"reject", "warn", "missing_extra", "info", "debug", "TypeVar", "cast", "deprecated"}
SYMMETRIC = {"max", "min", "isinstance", "issubclass", "hasattr", "getattr", "array_equal"}
SYMMETRIC |= {"result_type", "may_share_memory", "maximum", "minimum", "promote_types"}
TEXTS = {"__repr__", "__str__"}  # functions that make them
NAMES = {"__all__", "__slots__", "__version__"}


def name_of(node: ast.AST) -> str:
    """The last name of a function that is called, or of a target."""
    return node.attr if isinstance(node, ast.Attribute) else getattr(node, "id", "")


def is_telling(call: ast.Call) -> bool:
    """Whether a call makes a message."""
    name = name_of(call.func)
    return name in TELLING or name.endswith(("Error", "Warning", "Exception"))


def is_text(node: ast.AST) -> bool:
    """Whether a node is a string in the source."""
    return isinstance(node, ast.JoinedStr) or isinstance(getattr(node, "value", None), str)


def parts(node: ast.AST, named: set[str]) -> list[ast.AST]:
    """The parts of a node that may be changed."""
    match node:
        case ast.JoinedStr() | ast.Assert() | ast.Raise() | ast.Expr(value=ast.Constant()):
            return []  # a message, an assertion for type checkers, a docstring
        case ast.FunctionDef(name=name) if name in TEXTS:
            return []
        case ast.FunctionDef(args=arguments, body=body):
            return [*arguments.defaults, *filter(None, arguments.kw_defaults), *body]
        case ast.ClassDef(body=body) | ast.ExceptHandler(body=body):
            return [*body]
        case ast.If(test=ast.Name(id="TYPE_CHECKING")):
            return [*node.orelse]
        case ast.Assign(targets=targets) if NAMES & {name_of(target) for target in targets}:
            return []
        case ast.AnnAssign(value=value):
            return [] if value is None else [value]
        case ast.Call() if is_telling(node):
            return []
        case ast.Call(func=called, args=arguments):
            if name_of(called) in named and arguments and is_text(arguments[0]):
                arguments = arguments[1:]
            # Loops of unequal length would be an error of ours.
            keywords = [word.value for word in node.keywords if word.arg != "strict"]
            return [called, *arguments, *keywords]
    return list(ast.iter_child_nodes(node))


def changes(
    node: Any, text: Callable[[ast.AST], str], named: set[str]
) -> Iterator[tuple[ast.AST, ast.AST, str]]:
    """The first and the last of the nodes that are replaced, and by what, for each change."""

    def other(**fields: Any) -> str:
        changed = copy.copy(node)
        vars(changed).update(fields)
        return ast.unparse(changed)

    match node:
        case ast.Compare(ops=ops):
            for at, op in enumerate(ops):
                changed = other(ops=[*ops[:at], INSTEAD[type(op)](), *ops[at + 1 :]])
                yield node, node, f"({changed})"
        case ast.BinOp(left=left, op=op, right=right):
            if type(op) in INSTEAD and not is_text(left) and not is_text(right):
                yield node, node, f"({other(op=INSTEAD[type(op)]())})"
        case ast.BoolOp(op=op):
            yield node, node, f"({other(op=INSTEAD[type(op)]())})"
        case ast.AugAssign(op=op):
            yield node, node, other(op=INSTEAD[type(op)]())
        case ast.UnaryOp(operand=operand):
            yield node, node, f"({text(operand)})"
        case ast.Constant(value=bool() as value):
            yield node, node, repr(not value)
        case ast.Constant(value=int() | float() as value):
            yield node, node, repr(value + 1 if value + 1 != value else value / 2)
        case ast.Constant(value=str() as value) if " " not in value:  # sentences are messages
            yield node, node, '""' if value else '"x"'
        case ast.Slice(lower=lower, upper=upper):
            for bound in filter(None, (lower, upper)):
                yield bound, bound, ""
        case ast.Call(func=called, args=[first, second, *_]):
            kept = is_telling(node) or name_of(called) in SYMMETRIC | named
            if not kept and not any(isinstance(part, ast.Starred) for part in (first, second)):
                yield first, second, f"{text(second)}, {text(first)}"
        case ast.Expr(value=ast.Call(func=called)) if name_of(called) not in ("info", "debug"):
            yield node, node, "pass"
        case ast.Raise():
            yield node, node, "pass"
        case ast.Assign(targets=targets):
            if all(isinstance(target, (ast.Attribute, ast.Subscript)) for target in targets):
                yield node, node, "pass"
        case ast.Return(value=value) if value is not None and not isinstance(value, ast.Constant):
            yield value, value, "None"
    tests = node.ifs if isinstance(node, ast.comprehension) else []
    if isinstance(node, (ast.If, ast.While, ast.IfExp)) and name_of(node.test) != "TYPE_CHECKING":
        tests = [node.test]
    for test in tests:
        # The others have their opposite already.
        if not isinstance(test, (ast.UnaryOp, ast.Constant)) and not (
            isinstance(test, ast.Compare) and isinstance(test.ops[0], OPPOSITES)
        ):
            yield test, test, f"(not ({text(test)}))"


def mutants_of(path: Path, named: set[str]) -> Iterator[Mutant]:
    """All changes of a file; `named` are functions whose first argument messages show."""
    file, source = path.relative_to(ROOT / PACKAGE).as_posix(), path.read_bytes()
    starts = [0]
    for line in source.splitlines(keepends=True):
        starts.append(starts[-1] + len(line))

    def place(first: Any, last: Any) -> tuple[int, int]:
        return (
            starts[first.lineno - 1] + first.col_offset,
            starts[last.end_lineno - 1] + last.end_col_offset,
        )

    def text(node: ast.AST) -> str:
        begin, end = place(node, node)
        return source[begin:end].decode()

    def visit(node: ast.AST, function: str | None) -> Iterator[Mutant]:
        for first, last, after in changes(node, text, named):
            begin, end = place(first, last)
            before, line = source[begin:end].decode(), first.lineno  # type: ignore[attr-defined]
            yield Mutant(file, function, line, begin, end, before, after)
        for part in parts(node, named):
            yield from visit(part, node.name if isinstance(node, ast.FunctionDef) else function)

    return visit(ast.parse(source), None)


def drawn(seed: int, count: int) -> list[Mutant]:
    """Some of all mutants of the package, in the order in which they were drawn."""
    files = sorted(
        file for folder in (".", "_input") for file in (ROOT / PACKAGE / folder).glob("*.py")
        if file.name != "__main__.py"
    )  # fmt: skip
    functions = (node for file in files for node in ast.walk(ast.parse(file.read_bytes()))
                 if isinstance(node, ast.FunctionDef))  # fmt: skip
    named = {f.name for f in functions if [arg.arg for arg in f.args.args[:1]] == ["name"]}
    found = [mutant for file in files for mutant in mutants_of(file, named)]
    random.Random(seed).shuffle(found)
    return list(itertools.islice(filter(compiles, found), count))


def compiles(mutant: Mutant) -> bool:
    """Whether the changed file is Python still."""
    try:
        compile(changed(mutant), mutant.file, "exec")
    except SyntaxError:
        return False
    return True


def changed(mutant: Mutant) -> bytes:
    """The changed file."""
    source = (ROOT / PACKAGE / mutant.file).read_bytes()
    return source[: mutant.begin] + mutant.after.encode() + source[mutant.end :]


# Which tests can tell.


class _Recorder:
    """A plugin of pytest: the functions of the package that each test calls, and what it takes."""

    def __init__(self, target: str) -> None:
        self.target = target
        self.prefix = f"{Path.cwd() / PACKAGE}{os.sep}"
        # Of each file: what its fixtures, helpers and tables call, for any of its tests.
        self.shared: dict[str, set[str]] = defaultdict(set)
        self.calls: dict[str, set[str]] = defaultdict(set)
        self.seconds: dict[str, float] = defaultdict(float)
        self.failed: set[str] = set()
        self.now: set[str] = set()
        sys.addaudithook(self.began)
        threading.setprofile(self.called)
        sys.setprofile(self.called)

    def called(self, frame: Any, event: str, _: Any) -> None:
        if event == "call" and frame.f_code.co_filename.startswith(self.prefix):
            file = frame.f_code.co_filename[len(self.prefix) :]
            self.now.add(f"{Path(file).as_posix()}:{frame.f_code.co_name}")

    def began(self, event: str, _: Any) -> None:
        if event in ("subprocess.Popen", "os.fork", "os.posix_spawn"):
            self.now.add("a process")

    @pytest.hookimpl(wrapper=True)
    def pytest_make_collect_report(self, collector: Any) -> Any:
        before, self.now = self.now, self.shared[collector.nodeid.partition("::")[0]]
        report = yield
        self.now = before
        return report

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        self.now = self.shared[nodeid.partition("::")[0]]

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_call(self, item: Any) -> Any:
        before, self.now = self.now, self.calls[item.nodeid]
        try:
            return (yield)
        finally:
            self.now = before

    def pytest_runtest_logreport(self, report: Any) -> None:
        self.seconds[report.nodeid] += report.duration
        if report.failed:
            self.failed.add(report.nodeid)

    def pytest_sessionfinish(self) -> None:
        sys.setprofile(None)
        record = {
            file: {
                "shared": sorted(self.shared[file]),
                "tests": {
                    test: [round(self.seconds[test], 3), sorted(self.calls[test])]
                    for test in self.seconds
                    if test.partition("::")[0] == file and test not in self.failed
                },
            }
            for file in {test.partition("::")[0] for test in self.seconds}
        }
        Path(self.target).write_text(json.dumps(record))


class _Runner:
    """A plugin of pytest: runs the tests that a job names, in its order, each in its time."""

    def __init__(self, tests: list[str], limits: list[float], at: str) -> None:
        self.order = {test: n for n, test in enumerate(tests)}
        self.limits = dict(zip(tests, limits, strict=True))
        self.at = Path(at)
        self.nowhere = open(os.devnull, "w")  # noqa: SIM115

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items: list[Any]) -> None:
        known = [item for item in items if item.nodeid in self.order]
        items[:] = sorted(known, key=lambda item: self.order[item.nodeid])

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        self.at.write_text(nodeid)
        faulthandler.dump_traceback_later(self.limits[nodeid], exit=True, file=self.nowhere)

    def pytest_sessionfinish(self) -> None:
        faulthandler.cancel_dump_traceback_later()


def pytest_configure(config: Any) -> None:
    """Register the plugin that the job is for."""
    job = json.loads(Path(os.environ[JOB]).read_text())
    config.pluginmanager.register(_Recorder(**job) if "target" in job else _Runner(**job))


Reached = dict[str, dict[str, Any]]  # of each file of tests, as the recorder writes it


def tests_for(mutant: Mutant, reached: Reached, most: float) -> list[tuple[str, float]]:
    """The tests that can tell, and their seconds, `most` in all: those that are likely to first."""
    # What stands outside of functions may matter to whatever calls one of the file.
    wanted = f"{mutant.file}:{mutant.function or ''}"

    def calls(names: list[str]) -> bool:
        return any(name == wanted or (not mutant.function and name.startswith(wanted))
                   for name in names)  # fmt: skip

    found = []
    for file, record in reached.items():
        tests = record["tests"]
        told = {test for test, (_, names) in tests.items() if calls(names)}
        quick = sum(tests[test][0] for test in told if tests[test][0] < QUICK)
        whole = told or calls(record["shared"])
        processes = any("a process" in names for _, names in tests.values())
        for test, (seconds, _) in tests.items():
            if test in told:
                rank = (0, quick) if seconds < QUICK else (1, seconds)
            elif whole or processes or "a process" in record["shared"]:
                rank = (2 if whole else 3, 0)
            else:
                continue
            found.append((rank, file, test, seconds))
    found.sort(key=lambda one: one[:2])
    spent = itertools.accumulate(seconds for *_, seconds in found)
    return [
        (test, seconds) for (*_, test, seconds), so_far in zip(found, spent, strict=True)
        if so_far <= most
    ]  # fmt: skip


# Running them.


class Tree:
    """A copy of the checkout in a temporary folder."""

    def __init__(self, home: Path) -> None:
        self.root = home / "tree"
        ignored = shutil.ignore_patterns(".git", "build", "__pycache__", ".*_cache")
        shutil.copytree(ROOT, self.root, ignore=ignored)
        self.at, self.job = home / "at", home / "job"
        self.python = [str(self.root / "src"), str(Path(__file__).parent)]

    def run(self, job: dict[str, Any], arguments: list[str], seconds: float, shown: bool) -> int:
        """The exit status of pytest; of what is stopped, as of what fails, not 0."""
        self.job.write_text(json.dumps(job))
        environment = os.environ | {
            JOB: str(self.job), "PYTHONPATH": os.pathsep.join(self.python),
        }  # fmt: skip
        output = None if shown else subprocess.DEVNULL
        child = subprocess.Popen(
            [sys.executable, "-m", "pytest", *PYTEST, *arguments], cwd=self.root, env=environment,
            stdout=output, stderr=output, start_new_session=True,
        )  # fmt: skip
        try:
            return child.wait(seconds)
        except subprocess.TimeoutExpired:
            return 1
        finally:  # also of what the tests have started
            with contextlib.suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGKILL)
            child.wait()

    def killer(self, mutant: Mutant, tests: list[tuple[str, float]], shown: bool) -> str | None:
        """The test that fails with a mutant; None if all pass."""
        if not tests:
            return None
        path = self.root / PACKAGE / mutant.file
        original, status = path.read_bytes(), path.stat()
        job = {
            "tests": [test for test, _ in tests],
            "limits": [30 + 10 * seconds for _, seconds in tests],
            "at": str(self.at),
        }
        files = [*dict.fromkeys(test.partition("::")[0] for test, _ in tests)]
        self.at.write_text("the collection of the tests")
        path.write_bytes(changed(mutant))
        try:
            limit = 300 + 4 * sum(seconds for _, seconds in tests)
            code = self.run(job, ["-x", *files], limit, shown)
        finally:
            path.write_bytes(original)
            os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))  # for what is compiled
        if code in (pytest.ExitCode.USAGE_ERROR, pytest.ExitCode.NO_TESTS_COLLECTED):
            sys.exit(f"pytest failed for another reason at {mutant}")
        return None if code == 0 else self.at.read_text()


def measured(tree: Tree) -> Reached:
    """What each test calls, of all files of tests."""
    record: dict[str, Any] = json.loads(REACHED.read_text()) if REACHED.exists() else {}
    files = {p.relative_to(ROOT).as_posix(): hashlib.sha256(p.read_bytes()).hexdigest()
             for p in (ROOT / "tests").rglob("test_*.py")}  # fmt: skip
    new = [file for file, digest in files.items() if file not in READ_SOURCES
           and record.get(file, {}).get("digest") != digest]  # fmt: skip
    if new:
        print(f"measuring what the tests of {len(new)} files call", flush=True)
        target = tree.at.with_name("record")
        tree.run({"target": str(target)}, new, 7200, True)
        record |= {file: {"shared": [], "tests": {}} for file in new}
        record |= json.loads(target.read_text())
        for file in new:
            record[file]["digest"] = files[file]
        REACHED.parent.mkdir(exist_ok=True)
        REACHED.write_text(json.dumps(record))
    return {file: part for file, part in record.items() if file in files}


def main() -> int:
    """Run what is asked for; 1 if too few are killed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--count", type=int, default=150)
    parser.add_argument("--first", type=int, default=1)
    parser.add_argument("--only", type=int)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=math.inf)
    asked = parser.parse_args()
    mutants = list(enumerate(drawn(asked.seed, asked.count), 1))[asked.first - 1 :]
    if asked.only is not None:
        mutants = [(n, mutant) for n, mutant in mutants if n == asked.only]
    with tempfile.TemporaryDirectory() as home:
        trees: queue.SimpleQueue[Tree] = queue.SimpleQueue()
        for n in range(asked.jobs):
            trees.put(Tree(Path(home, str(n))))
        tree = trees.get()
        reached = measured(tree)
        trees.put(tree)

        def met(numbered: tuple[int, Mutant]) -> bool:
            number, mutant = numbered
            began, tree = time.monotonic(), trees.get()
            tests = tests_for(mutant, reached, asked.seconds)
            killer = tree.killer(mutant, tests, asked.only is not None)
            trees.put(tree)
            fate = "SURVIVED" if killer is None else "killed by " + killer
            print(
                f"{number:4d} {mutant}\n     {fate} ({time.monotonic() - began:.0f} s)", flush=True
            )
            return killer is not None

        with ThreadPoolExecutor(asked.jobs) as pool:
            killed = list(pool.map(met, mutants))
    share = sum(killed) / max(1, len(killed))
    print(f"{sum(killed)} of {len(killed)} killed: {share:.1%}")
    return int(share < WANTED)


if __name__ == "__main__":
    sys.exit(main())
