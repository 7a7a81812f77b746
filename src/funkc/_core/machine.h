/* What this machine and this build offer: OpenMP and the instruction set.  The one file
   that includes omp.h. */
#ifndef FUNKC_MACHINE_H
#define FUNKC_MACHINE_H

#include <stddef.h>
#include <stdint.h>

#ifdef _OPENMP
#include <omp.h>
static int funkc_openmp_enabled(void) { return 1; }
static int funkc_max_threads(void) { return omp_get_max_threads(); }
#else
static int funkc_openmp_enabled(void) { return 0; }
static int funkc_max_threads(void) { return 1; }
#endif

/* Gives the calling thread's idle workers back.  A forked child inherits libgomp's record
   of them but not the threads themselves, and would wait for them for ever. */
static void funkc_release_workers(void)
{
#if defined(_OPENMP) && \
    (_OPENMP >= 201811 || (defined(__GNUC__) && !defined(__clang__) && __GNUC__ >= 9))
    omp_pause_resource_all(omp_pause_hard);
#endif
}

/* Prepares for forks, of C and of Python.  Once in a process. */
#if defined(_OPENMP) && !defined(_WIN32)
#include <pthread.h>
static void funkc_prepare(void)
{
    static int prepared = 0;
    if (!prepared) prepared = pthread_atfork(funkc_release_workers, NULL, NULL) == 0;
}
#else
static void funkc_prepare(void) {}
#endif

/* The x86-64 level: 4 (AVX-512 F BW CD DQ VL), 3 (AVX2, FMA, BMI), otherwise 1; 0 elsewhere. */
#if defined(__x86_64__) && defined(__GNUC__)
static int funkc_x86_level(void)
{
    __builtin_cpu_init();
    if (!(__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")
          && __builtin_cpu_supports("bmi") && __builtin_cpu_supports("bmi2")))
        return 1;
    if (!(__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw")
          && __builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("avx512dq")
          && __builtin_cpu_supports("avx512vl")))
        return 3;
    return 4;
}
#elif defined(_M_X64)
#include <immintrin.h>
#include <intrin.h>
static int funkc_x86_level(void)
{
    int leaf[4];
    unsigned features;
    uint64_t saved_by_system;
    __cpuid(leaf, 0);
    if (leaf[0] < 7) return 1;
    __cpuid(leaf, 1);
    if (!(leaf[2] >> 27 & 1) || !(leaf[2] >> 12 & 1)) return 1; /* OSXSAVE, FMA */
    saved_by_system = _xgetbv(0);
    if ((saved_by_system & 0x6) != 0x6) return 1; /* XMM and YMM registers */
    __cpuidex(leaf, 7, 0);
    features = (unsigned)leaf[1];
    if (!(features >> 5 & features >> 3 & features >> 8 & 1)) return 1; /* AVX2, BMI, BMI2 */
    if (!(features >> 16 & features >> 17 & features >> 28 & features >> 30 & features >> 31 & 1)
        || (saved_by_system & 0xe6) != 0xe6)
        return 3;
    return 4;
}
#else
static int funkc_x86_level(void) { return 0; }
#endif

#endif
