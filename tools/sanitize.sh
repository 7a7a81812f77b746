#!/usr/bin/env bash
# The tree, compiled so that memory errors, undefined behaviour, races or leaks of the core are
# reported.  Ends with a failure, and prints the reports, if there is one.
#
#     bash tools/sanitize.sh memory    # AddressSanitizer and UndefinedBehaviorSanitizer
#     bash tools/sanitize.sh threads   # ThreadSanitizer, with Archer, which knows OpenMP
#     bash tools/sanitize.sh leaks     # LeakSanitizer, and bytes held after thousands of calls
#     bash tools/sanitize.sh fuzzer    # as memory, of calls that libFuzzer composes
#
# What runs is the tests, exercise.py or leaks.py; or `pytest` with the arguments that follow; or,
# after `memory fuzz`, the campaign of tools/fuzz with those, by default its calls from Python and C.
# `fuzzer` runs tools/fuzz/capi_fuzzer.c for so many seconds (600), or with an input that failed.
# Builds in build/sanitized, and anew only what has changed; for one instruction set, since the
# source is the same for all (FUNKC_LEVELS=base,v3,v4 builds all, and runs the best).  Needs
# clang ($CC is another one; CC=gcc does for `memory`), and in $PYTHON (or python3) Cython,
# setuptools and what the tests need.  The ThreadSanitizer of clang 14 crashes before anything
# runs; that of 19 is fine.  Debian and Ubuntu:
#
#     apt-get install clang-19 libclang-rt-19-dev libomp-19-dev llvm-19
#     CC=clang-19 bash tools/sanitize.sh memory
set -euo pipefail
cd "$(dirname "$0")/.."

mode=${1:-}
# Compilers take up to an hour for the engine with those checks of UndefinedBehaviorSanitizer that
# stand at every access to memory, which AddressSanitizer watches as well.
cheap=address,bounds,shift,integer-divide-by-zero,float-cast-overflow
case $mode in
memory | leaks) runtime=asan flags='-fsanitize=address,undefined -fno-sanitize-recover=all' ;;
threads) runtime=tsan flags=-fsanitize=thread ;;
fuzzer) runtime=asan flags="-g1 -fsanitize=fuzzer-no-link,$cheap -fno-sanitize-recover=all" ;;
*)
    echo 'usage: bash tools/sanitize.sh memory|threads|leaks|fuzzer [[fuzz] ARGUMENTS]' >&2
    exit 2
    ;;
esac
shift
python=$(command -v "${PYTHON:-python3}")
compiler=$(command -v "${CC:-clang}")

# there FILE...: the first of them that exists.
there() {
    local file
    for file in "$@"; do
        if [ -e "$file" ]; then
            echo "$file"
            return
        fi
    done
    echo "$compiler lacks ${1##*/}; the head of tools/sanitize.sh names the packages" >&2
    exit 2
}
if "$compiler" -v 2>&1 | grep -q '^gcc version'; then
    if [ "$mode" != memory ]; then
        echo "$mode needs clang, which has libFuzzer and knows threads and leaks of OpenMP" >&2
        exit 2
    fi
    shared=
    flags="-g1 -fsanitize=$cheap -fno-sanitize-recover=all"
    # With the library whose exceptions it must know before others throw them.
    preload=$(there "$("$compiler" -print-file-name=libasan.so)")
    preload+=" $(there "$("$compiler" -print-file-name=libstdc++.so.6)")"
elif [ "$mode" = fuzzer ]; then
    shared= preload= # all is in the program of libFuzzer
else
    shared=-shared-libsan
    resources=$("$compiler" -print-resource-dir)
    preload=$(there "$resources/lib/linux/libclang_rt.$runtime-$(uname -m).so" \
        "$resources/lib/$(uname -m)-unknown-linux-gnu/libclang_rt.$runtime.so")
fi
if [ "$runtime" = tsan ]; then
    OMP_TOOL_LIBRARIES=$(there ${OMP_TOOL_LIBRARIES:+"$OMP_TOOL_LIBRARIES"} \
        "$resources/../../libarcher.so")
    export OMP_TOOL_LIBRARIES
fi

# ---------------------------------------------------------------- the build

tree=$PWD/build/sanitized/$runtime
if [ "$mode" = fuzzer ]; then tree=$PWD/build/sanitized/fuzzer; fi
reports=$tree/reports
mkdir -p "$tree"
rm -rf "$reports"
mkdir "$reports"
git ls-files -z --cached --others --exclude-standard \
    | tar --null --files-from=- --ignore-failed-read -cf - | tar -xf - -C "$tree"
# Behind the flags of setup.py, where they count.  Tests that compile use it as well.
cat >"$tree/cc" <<EOF
#!/bin/sh
unset LD_PRELOAD
exec "$compiler" "\$@" -O1 -g -fno-omit-frame-pointer $shared $flags
EOF
chmod +x "$tree/cc"
export CC=$tree/cc
cd "$tree"
began=$SECONDS
export FUNKC_LEVELS=${FUNKC_LEVELS:-base}
FUNKC_OPENMP=on "$python" setup.py -q build_ext --inplace >log 2>&1 || {
    tail -n 30 log >&2
    exit 1
}
# A module without them would pass whatever it did.
unwatched=$(grep -L "__${runtime}_init" src/funkc/*.so src/funkc/_core/*.so || true)
if [ -n "$unwatched" ]; then
    echo "built without -fsanitize: $unwatched" >&2
    exit 1
fi
if [ "$mode" = fuzzer ]; then
    read -r includes libraries version < <("$python" -c 'import sysconfig as s
print(s.get_path("include"), s.get_config_var("LIBDIR"), s.get_config_var("LDVERSION"))')
    "$tree/cc" -Wall -Wextra -fsanitize=fuzzer -I"$includes" -Isrc/funkc/include \
        tools/fuzz/capi_fuzzer.c -o capi_fuzzer -rdynamic \
        -L"$libraries" -Wl,-rpath,"$libraries" -lpython"$version"
fi
echo "built with $compiler in $((SECONDS - began)) s"

# ---------------------------------------------------------------- the run

# Python's own allocator hides what lies beside its blocks.
export PYTHONPATH=$tree/src PYTHONMALLOC=malloc PYTHONDONTWRITEBYTECODE=1
log=log_path=$reports/report:exitcode=66
export UBSAN_OPTIONS=$log:print_stacktrace=1
asan=$log:allocator_may_return_null=1:detect_stack_use_after_return=1
export TSAN_OPTIONS=$log:ignore_noninstrumented_modules=1:halt_on_error=1:history_size=4

# What measures the memory of the process would measure that of the sanitizer.
program=(-m pytest -q -p no:cacheprovider --deselect tests/test_images.py::test_memory_is_bounded
    --deselect tests/test_resume.py::test_two_hundred_rounds_leave_memory_as_it_was)
runner=$python
if [ "$mode" = fuzzer ]; then
    runner=$tree/capi_fuzzer
    export PYTHON=$python KMP_BLOCKTIME=0 # its threads need not wait for the next call
    mkdir -p "$tree/corpus" "$tree/failed"
    program=(-max_len=4000 -len_control=0 -timeout=300 -rss_limit_mb=4096
        -artifact_prefix="$tree/failed/" -print_final_stats=1)
    if [ -f "${1:-}" ]; then
        program+=("$1")
    else
        program+=(-max_total_time="${1:-600}" "$tree/corpus")
    fi
elif [ "${1:-}" = fuzz ]; then
    shift
    if [ $# = 0 ]; then set -- --part calls --part capi --seconds 300; fi
    program=(-m tools.fuzz "$@")
elif [ $# != 0 ]; then
    program+=("$@")
elif [ "$mode" = memory ]; then
    program+=(tests/core/test_{schedule,bits,capi,capi_faults}.py)
    program+=(tests/input/test_{arguments,cells,duplicates,any_call,forms,roads}.py)
    program+=(tests/test_{training,options,factorization,fold_in,partial_fit,model_ids}.py)
    program+=(tests/test_{serving,serving_threads,images,progress,selection,estimator}.py)
    program+=(tests/test_{io,io_damage,saved_models,resume,verbose}.py)
elif [ "$mode" = threads ]; then
    program=(tools/exercise.py)
else
    program=(tools/leaks.py)
fi

# watched LEAKS PROGRAM...: without randomised addresses, which older sanitizers can't bear.
watched() {
    setarch -R env ASAN_OPTIONS="$asan:$1" LD_PRELOAD="$preload" "$runner" "${@:2}"
}
began=$SECONDS
status=0
if [ "$mode" = leaks ]; then
    # Python frees not all it has when it ends, so exit codes and leaks of others don't count.
    watched detect_leaks=1:fast_unwind_on_malloc=0:exitcode=0 "${program[@]}" || status=$?
    cat "$reports"/* 2>/dev/null | awk -v RS= '/(^|\n)(Direct|Indirect) leak/ && /funkc/' \
        >"$tree/leaks"
    rm -f "$reports"/*
    if [ -s "$tree/leaks" ]; then cp "$tree/leaks" "$reports"; fi
else
    watched detect_leaks=0 "${program[@]}" || status=$?
fi
# Memory that can't be had is asked for on purpose, and the answer is a status.
for report in "$reports"/*; do
    if [ -f "$report" ] && ! grep -qv 'WARNING: AddressSanitizer failed to allocate' "$report"; then
        rm "$report"
    fi
done
if [ -n "$(ls "$reports")" ]; then
    head -n 100 "$reports"/* >&2
    echo "$mode: $(find "$reports" -type f | wc -l) reports in $reports" >&2
    exit 1
fi
if [ "$status" != 0 ]; then
    echo "$mode: no report, but the run failed" >&2
    exit "$status"
fi
echo "$mode: no report in $((SECONDS - began)) s"
