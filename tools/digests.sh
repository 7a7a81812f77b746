#!/usr/bin/env bash
# One digest of the factors: with any compiler, on any instruction set, with any number of
# threads.  Builds the tree as it stands, once per compiler, in a scratch folder.
#
#     bash tools/digests.sh           # gcc and clang, for clang with libomp
#     bash tools/digests.sh --quick   # the funkc that is installed in $PYTHON (or python3)
#
# Levels above this processor's are listed as "not run".
set -euo pipefail
cd "$(dirname "$0")/.."

# shellcheck source=tools/compare.sh
. tools/compare.sh
python=${PYTHON:-python3}

# engines LABEL PYTHON: all levels and numbers of threads of one build.
engines() {
    local level threads usable
    usable=$("$2" -c 'from funkc import _core; print(*_core._usable())')
    for level in base v3 v4; do
        for threads in 1 2 3 8; do
            if [[ " $usable " == *" $level "* ]]; then
                FUNKC_ISA=$level compare engines "$1" "$level" "$threads" \
                    "$2" tools/digest.py "$threads"
            fi
        done
        if [[ " $usable " != *" $level "* ]]; then
            not_run "$1" "$level" any 'this processor or this build lacks it'
        fi
    done
}

# build COMPILER: the tree, with changes that are not committed, in an environment of its own.
build() {
    mkdir "$scratch/$1"
    git ls-files -z --cached --others --exclude-standard \
        | tar --null --files-from=- --ignore-failed-read -cf - | tar -xf - -C "$scratch/$1"
    "$python" -m venv "$scratch/$1/venv"
    CC=$1 FUNKC_OPENMP=on "$scratch/$1/venv/bin/python" -m pip install -q \
        --disable-pip-version-check "$scratch/$1"
}

case "$*" in
'' | --quick) ;;
*)
    echo 'usage: bash tools/digests.sh [--quick]' >&2
    exit 2
    ;;
esac
line compiler level threads float32 float64
if [ "$*" = --quick ]; then
    engines installed "$python"
else
    for compiler in gcc clang; do
        if ! command -v "$compiler" >/dev/null; then
            not_run "$compiler" any any "no $compiler"
        elif ! build "$compiler" >"$scratch/log" 2>&1; then
            tail -n 30 "$scratch/log" >&2
            line "$compiler" any any 'FAILED to build (clang needs libomp-dev for OpenMP)' ''
            failed=1
        else
            engines "$compiler" "$scratch/$compiler/venv/bin/python"
        fi
    done
fi
exit "$failed"
