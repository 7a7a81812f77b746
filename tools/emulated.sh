#!/usr/bin/env bash
# The same bits from processors that are not here.  Builds the SGD kernel (kernel_digest.c) for
# every instruction set with every compiler, with the flags of setup.py, and runs it on this
# x86-64 processor and on those that qemu stands in for; then runs the engines of the funkc that
# is installed in $PYTHON (or python3).  Takes a quarter of an hour, most of it compiling.
#
#     bash tools/emulated.sh [--all]
#
# What is missing here is listed as "not run"; with --all that is a failure, except for AVX-512,
# which qemu does not know.  Debian and Ubuntu have it all:
#
#     apt-get install gcc clang qemu-user gcc-aarch64-linux-gnu libc6-dev-arm64-cross \
#         gcc-s390x-linux-gnu libc6-dev-s390x-cross
set -euo pipefail
cd "$(dirname "$0")/.."

# shellcheck source=tools/compare.sh
. tools/compare.sh
python=${PYTHON:-python3}
case "$*" in
'') ;;
--all) missing_is_failure=yes ;;
*)
    echo 'usage: bash tools/emulated.sh [--all]' >&2
    exit 2
    ;;
esac
if [ "$(uname -sm)" != 'Linux x86_64' ]; then
    echo 'tools/emulated.sh needs an x86-64 processor and Linux' >&2
    exit 2
fi
there() { command -v "$1" >/dev/null; }

# ---------------------------------------------------------------- levels and flags

# Whether this processor has all of the features.
has() {
    local feature
    for feature in "$@"; do
        grep -qw -m 1 "^flags.* $feature" /proc/cpuinfo || return 1
    done
}
native=base
if has ssse3 sse4_2 popcnt; then native+=' v2'; fi
if has avx2 fma bmi1 bmi2 movbe f16c abm; then native+=' v3'; fi
if has avx512f avx512bw avx512cd avx512dq avx512vl; then native+=' v4'; fi
runs_here() { [[ " $native " == *" $1 "* ]]; }

# The first processor of a level, less what qemu would warn that it lacks.
first_of() {
    case $1 in
    base) echo Opteron_G1 ;;
    v2) echo Nehalem ;;
    v3) echo Haswell-noTSX,-pcid,-x2apic,-tsc-deadline,-invpcid ;;
    esac
}

# Read, not written a second time, so that they stay those of the package.
flags_of() {
    "$python" - "$1" <<'PY'
import ast
import sys

tables = {}
for node in ast.parse(open("setup.py").read()).body:
    if isinstance(node, ast.Assign) and node.targets[0].id in ("OPTIMISE", "LEVELS"):
        tables[node.targets[0].id] = ast.literal_eval(node.value)["unix"]
print(*(tables["OPTIMISE"] if sys.argv[1] == "base" else tables["LEVELS"][sys.argv[1]]))
PY
}
read -ra optimise <<<"$(flags_of base)"
read -ra v3 <<<"$(flags_of v3)"
read -ra v4 <<<"$(flags_of v4)"

# ---------------------------------------------------------------- the kernel

# build COMPILER FLAGS...
build() {
    "$1" "${optimise[@]}" "${@:2}" -static -Isrc/funkc/_core tools/kernel_digest.c -o "$scratch/kernel"
}

# emulate GROUP LABEL LABEL EMULATOR PROCESSOR COMMAND...
emulate() {
    local emulator=("$4")
    if [ -n "$5" ]; then emulator+=(-cpu "$5"); fi
    if there "$4"; then
        compare "${@:1:3}" "$4 ${5%%,*}" "${emulator[@]}" "${@:6}"
    else
        not_run "$2" "$3" "$4 ${5%%,*}" 'no qemu-user'
    fi
}

# x86 LEVEL LABEL COMPILER FLAGS...: on this processor, and on the first one of the level.
x86() {
    local level=$1 label=$2 compiler=$3 processor
    build "${@:3}"
    if runs_here "$level"; then
        compare kernel "$label" "$compiler" 'this one' "$scratch/kernel"
    else
        line "$label" "$compiler" 'this one' "not run: it has no x86-64-$level" ''
    fi
    processor=$(first_of "$level")
    if [ -n "$processor" ]; then
        emulate kernel "$label" "$compiler" qemu-x86_64 "$processor" "$scratch/kernel"
    fi
}

# cross LABEL ARCHITECTURE LIBC FLAGS...
cross() {
    local compiler=$2-linux-gnu-gcc
    if there "$compiler"; then
        build "$compiler" "${@:4}"
        emulate kernel "$1" gcc "qemu-$2" '' "$scratch/kernel"
    else
        not_run "$1" gcc "qemu-$2" "no gcc-$2-linux-gnu or $3"
    fi
}

line kernel compiler processor float32 float64
for compiler in gcc clang; do
    if ! there "$compiler"; then
        not_run x86-64 "$compiler" 'any' "no $compiler"
        continue
    fi
    x86 base x86-64 "$compiler"
    x86 v2 x86-64-v2 "$compiler" -march=x86-64-v2
    x86 v3 x86-64-v3 "$compiler" "${v3[@]}"
    x86 v4 x86-64-v4 "$compiler" "${v4[@]}"
    # What lanes.h writes for AVX-512, in pairs of AVX2's registers.
    x86 v3 'x86-64-v3, 64 bytes' "$compiler" "${v3[@]}" -D__AVX512F__
done
# What a compiler without vector types gets.  GCC takes ten minutes for it at -O3.
if there gcc; then x86 base 'x86-64, plain, -O1' gcc -DFUNKC_PLAIN_LANES -O1; fi
if there clang; then x86 base 'x86-64, plain' clang -DFUNKC_PLAIN_LANES; fi
cross aarch64 aarch64 libc6-dev-arm64-cross
# The other order of bytes.
cross 's390x, plain, -O1' s390x libc6-dev-s390x-cross -DFUNKC_PLAIN_LANES -O1

# ---------------------------------------------------------------- the engines

echo
line engine build processor float32 float64
if path=$("$python" -c 'import sys, funkc; print(sys.executable)' 2>/dev/null); then
    for level in base v3; do
        export FUNKC_ISA=$level
        if runs_here "$level"; then
            compare engines "$level" installed 'this one' "$path" tools/digest.py --tiny 2
        else
            line "$level" installed 'this one' "not run: it has no x86-64-$level" ''
        fi
        # No processor older than NumPy's own baseline.
        emulate engines "$level" installed qemu-x86_64 "$(first_of "${level/base/v2}")" \
            "$path" tools/digest.py --tiny 2
    done
else
    not_run 'base, v3' installed any "funkc is not installed in $python"
fi
exit "$failed"
