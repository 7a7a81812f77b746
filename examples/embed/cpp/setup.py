import os

from setuptools import Extension, setup

import funkc

setup(
    name="embedded",
    ext_modules=[
        Extension(
            "embedded",
            ["embedded.cpp"],
            include_dirs=[funkc.get_include()],
            extra_compile_args=["/std:c++17" if os.name == "nt" else "-std=c++17"],
        )
    ],
)
