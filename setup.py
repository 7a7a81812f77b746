"""Builds the compiled core: probes the compiler for OpenMP, and builds the engine's one
source once per instruction set."""

import os
import platform
import re
import sys
import tempfile
from pathlib import Path

from Cython import __version__ as cython_version
from Cython.Build import cythonize
from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

INCLUDES = Path("src/funkc/include")
CHECKS = os.environ.get("FUNKC_CYTHON_CHECKS") == "1"
DIRECTIVES = {
    "language_level": 3,
    "boundscheck": CHECKS,
    "wraparound": CHECKS,
    "initializedcheck": CHECKS,
    "cdivision": True,
    "freethreading_compatible": True,
}

# The order of every floating-point sum stands in the source, so no flag may contract
# (-ffp-contract=off) or reassociate; -O3 because -O2 leaves the kernels five times slower.
OPTIMISE = {
    "msvc": ["/O2", "/fp:precise"],
    "unix": ["-O3", "-g0", "-ffp-contract=off", "-fno-fast-math", "-Wno-psabi"],
}
LEVELS = {
    "msvc": {"v3": ["/arch:AVX2"], "v4": ["/arch:AVX512"]},
    "unix": {
        # Tuned for a processor: the generic order of instructions costs a twentieth.
        "v3": ["-march=x86-64-v3", "-mtune=haswell"],
        "v4": ["-march=x86-64-v4", "-mprefer-vector-width=512"],
    },
}
OPENMP_PROGRAM = """
#include <omp.h>
int main(void) {
    int n = 0;
    #pragma omp parallel reduction(+:n)
    n += 1;
    return n == 0 || omp_get_max_threads() == 0;
}
"""
OPENMP_FLAGS = {
    "msvc": [(["/openmp"], [])],
    "unix": [(["-fopenmp"], ["-fopenmp"]), (["-Xpreprocessor", "-fopenmp"], ["-lomp"])],
}


def engine_levels() -> list[str]:
    """The instruction sets to build for: base everywhere, v3 and v4 on x86-64; or those that
    FUNKC_LEVELS names, where compiling takes long."""
    if wanted := os.environ.get("FUNKC_LEVELS"):
        return wanted.split(",")
    if platform.machine().lower() not in ("x86_64", "amd64"):
        return ["base"]
    # The last Intel Macs have no AVX-512 worth a third engine.
    return ["base", "v3"] if sys.platform == "darwin" else ["base", "v3", "v4"]


class BuildExt(build_ext):
    """Adds the flags that depend on the compiler, which is known only now."""

    def find_openmp(self, kind: str) -> tuple[list[str], list[str]]:
        wanted = os.environ.get("FUNKC_OPENMP", "auto")
        if wanted not in ("auto", "on", "off"):
            raise SystemExit(f"FUNKC_OPENMP={wanted!r}: expected auto, on or off")
        if wanted == "off":
            return [], []
        with tempfile.TemporaryDirectory() as folder:
            source = Path(folder, "probe.c")
            source.write_text(OPENMP_PROGRAM)
            for compile_flags, link_flags in OPENMP_FLAGS[kind]:
                try:
                    objects = self.compiler.compile(
                        [str(source)], output_dir=folder, extra_postargs=compile_flags
                    )
                    self.compiler.link_executable(
                        objects, "probe", output_dir=folder, extra_postargs=link_flags
                    )
                except Exception:  # the compilers' errors have no class in common
                    continue
                return compile_flags, link_flags
        if wanted == "on":
            raise SystemExit("FUNKC_OPENMP=on, but the compiler has no usable OpenMP")
        self.warn("the compiler has no usable OpenMP: funkc will run on one thread")
        return [], []

    def build_extensions(self) -> None:
        self.parallel = self.parallel or os.cpu_count()
        kind = "msvc" if self.compiler.compiler_type == "msvc" else "unix"
        compile_flags, link_flags = self.find_openmp(kind)
        for extension in self.extensions:
            level = extension.name.rpartition("_")[2]
            extension.extra_compile_args = [
                *OPTIMISE[kind],
                *LEVELS[kind].get(level, []),
                *compile_flags,
            ]
            extension.extra_link_args = link_flags
        flags = [e.extra_compile_args + e.extra_link_args for e in self.extensions]
        settings = changed_with("compiler", [getattr(self.compiler, "compiler_so", None), flags])
        for extension in self.extensions:
            extension.depends.append(settings)
        super().build_extensions()


def changed_with(name: str, settings: object) -> str:
    """A file that is rewritten, and so becomes newer than what was built, when they change."""
    file = Path(f"build/{name}.txt")
    text = repr(settings)
    if not file.exists() or file.read_text() != text:
        file.parent.mkdir(exist_ok=True)
        file.write_text(text)
    return str(file)


# A file that a source is compiled from: a header of ours, or a cimported .pxd.
INCLUDED = re.compile(r'^\s*#include "(\w+\.h)"|^cdef extern from "(\w+\.h)"', re.M)
CIMPORTED = re.compile(r"^from (funkc\.[\w.]+) cimport", re.M)


def read_by(source: Path) -> set[Path]:
    """The headers and .pxd files that a source reads, and those that these read.  A change of
    one compiles the modules that read it anew, and no others."""
    found: set[Path] = set()
    left = [source]
    while left:
        file = left.pop()
        text = file.read_text(encoding="utf-8")
        names = {a or b for a, b in INCLUDED.findall(text)}
        near = [folder / name for name in names for folder in (file.parent, INCLUDES)]
        near += [
            Path("src", *name.split(".")).with_suffix(".pxd") for name in CIMPORTED.findall(text)
        ]
        fresh = {path for path in near if path.exists()} - found - {source}
        found |= fresh
        left += fresh
    return found


def extension(name: str, source: str) -> Extension:
    """A module, whose C is generated if what it is made from is newer.  cythonize() would look at
    Cython's own files too, which are newer in every environment that pip creates for a build."""
    depends = read_by(Path(source))
    folder = Path(f"build/c{'-checked' if CHECKS else ''}/{name}")
    generated = folder / Path(source).with_suffix(".c")
    made_from = [source, changed_with("cython", [cython_version, DIRECTIVES])]
    made_from += [str(path) for path in depends if path.suffix == ".pxd"]
    includes = [str(INCLUDES), "src/funkc/_core"]
    module = Extension(f"funkc.{name}", [source], include_dirs=includes)
    if not generated.exists() or os.stat(generated).st_mtime <= max(
        os.stat(file).st_mtime for file in made_from
    ):
        cythonize(
            [module],
            build_dir=str(folder),
            compiler_directives=DIRECTIVES,
            include_path=["src"],
            quiet=True,
            force=True,
        )
        for copy in folder.rglob("*.h"):  # of now: it would be included instead of the header
            copy.unlink()
    module.sources = [str(generated)]
    module.depends = sorted(map(str, depends))
    return module


def extensions() -> list[Extension]:
    """A source that occurs twice needs a cythonize() call and a folder for each module."""
    modules = [("_capi", "src/funkc/_capi.pyx")]
    modules += [
        (f"_core.{name}", f"src/funkc/_core/{name}.pyx") for name in ("draws", "machine", "plan")
    ]
    for core in ("biases", "newton", "engine", "serve", "average", "pictures"):
        source = f"src/funkc/_core/{core}.pyx"
        modules += [(f"_core.{core}_{level}", source) for level in engine_levels()]
    return [extension(name, source) for name, source in modules]


setup(ext_modules=extensions(), cmdclass={"build_ext": BuildExt})
