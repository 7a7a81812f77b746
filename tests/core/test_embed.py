"""Strangers: the examples and the headers, built against the funkc that is imported."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import funkc

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples" / "embed"
INCLUDE = Path(funkc.get_include())
SOURCES = ROOT / "tests" / "embed"
FIRST = SOURCES / "abi_1"  # the headers of the first release

pytestmark = pytest.mark.skipif(
    not EXAMPLES.is_dir(), reason="the examples are not beside the tests"
)
WARNINGS = ["-Wall", "-Wextra", "-Werror", "-pedantic", "-Wconversion"]


def run(*command, folder=None):
    """Run a child that imports the funkc that is imported here; what it prints."""
    path = [str(Path(funkc.__file__).parents[1]), os.environ.get("PYTHONPATH", "")]
    # Optimized, what Cython makes of the example takes three times as long to compile.
    flags = os.environ.get("CFLAGS", "") + " -O0"
    environment = {
        **os.environ, "PYTHONPATH": os.pathsep.join(filter(None, path)), "CFLAGS": flags
    }  # fmt: skip
    done = subprocess.run(
        [str(c) for c in command],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


def build(name, folder, headers=None):
    """Build an example in a folder of its own; with headers, against those beside its source."""
    shutil.copytree(EXAMPLES / name, folder, dirs_exist_ok=True)
    for header in headers or ():
        shutil.copy(header, folder)
    run(sys.executable, "setup.py", "-q", "build_ext", "--inplace", folder=folder)


@pytest.fixture(scope="module")
def compiler(tmp_path_factory):
    """Skips unless extensions can be built here."""
    pytest.importorskip("setuptools", reason="extensions are built by setuptools")
    folder = tmp_path_factory.mktemp("probe")
    (folder / "probe.c").write_text(
        "#include <Python.h>\nPyMODINIT_FUNC PyInit_probe(void) { return NULL; }\n"
    )
    (folder / "setup.py").write_text(
        "from setuptools import Extension, setup\n"
        "setup(name='probe', ext_modules=[Extension('probe', ['probe.c'])])\n"
    )
    try:
        run(sys.executable, "setup.py", "-q", "build_ext", "--inplace", folder=folder)
    except AssertionError:
        pytest.skip("no C compiler that builds extensions of this Python, or no Python.h")


@pytest.mark.usefixtures("compiler")
@pytest.mark.parametrize("name", ["c", "cpp", "cython"])
def test_an_extension_is_built_and_gives_the_bits_of_python(name, tmp_path):
    if name == "cython":
        pytest.importorskip("Cython", reason="the example is compiled by Cython")
    build(name, tmp_path)
    assert "bit-for-bit equal" in run(sys.executable, "-W", "error", "check.py", folder=tmp_path)


@pytest.mark.parametrize("name", ["cffi", "numba"])
def test_a_program_calls_by_address_and_gives_the_bits_of_python(name):
    pytest.importorskip(name, reason=f"the example calls funkc by {name}")
    printed = run(sys.executable, "-W", "error", EXAMPLES / name / "embedded.py")
    assert "bit-for-bit equal" in printed


@pytest.mark.usefixtures("compiler")
def test_an_extension_of_the_first_release_still_runs(tmp_path):
    """It knows neither biases nor what ends a training."""
    build("c", tmp_path, FIRST.iterdir())
    assert "bit-for-bit equal" in run(sys.executable, "-W", "error", "check.py", folder=tmp_path)


def changed_headers(folder, *changes):
    """The headers with some of their text replaced."""
    folder.mkdir()
    for header in INCLUDE.iterdir():
        text = header.read_text(encoding="utf-8")
        for old, new in changes if header.name == "funkc.h" else ():
            assert text.count(old) == 1
            text = text.replace(old, new)
        (folder / header.name).write_text(text, encoding="utf-8")
    return list(folder.iterdir())


LATER = "cancel, const funkc_memory *memory);\n} funkc_api;"
LATER = (LATER, LATER.replace("} funkc_api", "    int (*later)(void);\n} funkc_api"))


@pytest.mark.usefixtures("compiler")
@pytest.mark.parametrize(
    "changes, words",
    [
        ([("FUNKC_ABI_VERSION 1", "FUNKC_ABI_VERSION 2")], "offers version 1 .* for version 2 "),
        ([LATER, ("FUNKC_HAS(api, inpaint_volume_f32)", "FUNKC_HAS(api, later)")], "newer funkc"),
    ],
)
def test_an_extension_that_does_not_fit_is_refused_when_it_is_imported(tmp_path, changes, words):
    build("c", tmp_path / "built", changed_headers(tmp_path / "headers", *changes))
    program = "try:\n    import embedded\nexcept ImportError as error:\n    print(error)"
    assert re.search(words, run(sys.executable, "-c", program, folder=tmp_path / "built"))


@pytest.mark.usefixtures("compiler")
def test_a_newer_header_runs_with_this_library(tmp_path):
    build("c", tmp_path / "built", changed_headers(tmp_path / "headers", LATER))
    printed = run(sys.executable, "-W", "error", "check.py", folder=tmp_path / "built")
    assert "bit-for-bit equal" in printed


def plain(text):
    """Without comments, and with a type for every member."""
    text = " ".join(re.sub(r"/\*.*?\*/", "", text, flags=re.DOTALL).split()).strip(" ,")
    return re.sub(
        r"(\w+) (\w+(?:, \w+)+);",
        lambda found: " ".join(f"{found[1]} {name};" for name in found[2].split(", ")),
        text,
    )


def test_headers_only_grow():
    """What the first release has is there, in its order."""
    for first in FIRST.glob("*.h"):
        now = (INCLUDE / first.name).read_text(encoding="utf-8")
        before = first.read_text(encoding="utf-8").replace("reserved", "stages")  # was 0, and is
        for pattern in (r"typedef struct (\w+) \{(.*?)\} \1;", r"enum (funkc_\w+) \{(.*?)\};"):
            then, here = (dict(re.findall(pattern, text, re.DOTALL)) for text in (before, now))
            assert then or first.name == "funkc_import.h"
            for name, body in then.items():
                old, new = (plain(text) for text in (body, here[name]))
                assert new.startswith(old), name


@pytest.mark.parametrize("name", ["gcc", "clang", "x86_64-w64-mingw32-gcc"])
@pytest.mark.parametrize("language", ["c", "c++"])
def test_the_header_compiles_without_a_warning_and_without_python(name, language, tmp_path):
    if not shutil.which(name):
        pytest.skip(f"{name} is not installed")
    if language == "c++" and "mingw" in name:
        pytest.skip("only the C compiler of mingw-w64 is asked for")
    standard = {"c": "c99", "c++": "c++17"}[language]
    alone = tmp_path / "alone.c"
    alone.write_text("#include <funkc.h>\nextern int nothing;\n")
    for source in (SOURCES / "every_function.c", alone):
        run(
            name, "-x", language, f"-std={standard}", *WARNINGS, "-I", INCLUDE, "-c", source,
            "-o", tmp_path / "out.o",
        )  # fmt: skip


@pytest.mark.skipif(not (ROOT / "docs").is_dir(), reason="the pages are not beside the tests")
def test_the_page_shows_the_examples_as_they_are():
    page = (ROOT / "docs" / "embedding.md").read_text(encoding="utf-8")
    shown = re.findall(r"`examples/embed/([\w./]+)`:\n\n```\w+\n(.*?)^```$", page, re.M | re.S)
    assert [name for name, _ in shown] == ["c/embedded.c", "cython/stage.pyx", "cffi/embedded.py"]
    for name, text in shown:
        assert text == (EXAMPLES / name).read_text(encoding="utf-8"), name
    for name in ("cpp", "numba"):
        assert f"(../examples/embed/{name})" in page
