from pathlib import Path

from Cython.Build import cythonize
from setuptools import Extension, setup

import funkc

# Where `cimport funkc.capi` finds its .pxd, also if funkc was installed to be edited.
PACKAGES = str(Path(funkc.__file__).parents[1])

stage = Extension("stage", ["stage.pyx"], include_dirs=[funkc.get_include()])
setup(name="stage", ext_modules=cythonize([stage], include_path=[PACKAGES]))
