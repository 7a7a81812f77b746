import funkc
from setuptools import Extension, setup

setup(
    name="embedded",
    ext_modules=[Extension("embedded", ["embedded.c"], include_dirs=[funkc.get_include()])],
)
