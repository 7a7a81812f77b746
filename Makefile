# `make dev` once, `make build` after an edit of a .pyx, .pxd or .h.
PYTHON ?= python

.PHONY: dev build test lint types docs package bench wheel

dev: ; $(PYTHON) -m pip install "setuptools>=77.0.3" "Cython>=3.3,<3.4" && $(PYTHON) -m pip install --no-build-isolation -e ".[test,lint]"
build: ; $(PYTHON) setup.py -q build_ext --inplace
test: ; $(PYTHON) -m pytest
lint: ; bash .ci/checks lint
types: ; bash .ci/checks types
docs: ; bash .ci/checks docs
package: ; bash .ci/checks package
bench: ; $(PYTHON) -m benchmarks.ratings
wheel: ; $(PYTHON) -m build
