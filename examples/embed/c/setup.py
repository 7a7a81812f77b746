from setuptools import Extension, setup

import funkc

setup(
    name="embedded",
    ext_modules=[Extension("embedded", ["embedded.c"], include_dirs=[funkc.get_include()])],
)
