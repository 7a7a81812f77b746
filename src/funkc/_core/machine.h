/* What this machine and this build offer: OpenMP, its threads, and the instruction set.  The one
   file that includes omp.h. */
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

#if defined(_OPENMP) && !defined(_WIN32)
#include <pthread.h>
#include <stdlib.h>
#include <time.h>
#ifdef __linux__
#include <sched.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

enum { FUNKC_MOST_THREADS = 256 };

static pthread_mutex_t funkc_asking = PTHREAD_MUTEX_INITIALIZER; /* one thread at a time */
static pthread_attr_t funkc_like_openmp; /* the attributes of OpenMP's threads */
static __thread int funkc_there = 1;     /* the threads that OpenMP keeps for this one, with it */
static __thread int funkc_most = 1;      /* what was granted where fewer were than wanted ... */
static __thread double funkc_until = 0;  /* ... which counts until then */
static __thread int funkc_refused_of = 0, funkc_refused_but = 0; /* what nobody was told yet */

#if defined(__GNUC__) && !defined(__clang__) && __GNUC__ >= 9 && defined(__ELF__)
#define FUNKC_MAY_BE_LIBGOMP
#endif
#ifdef __ELF__ /* whichever library was compiled for, LLVM's may have taken its place */
extern size_t kmp_get_stacksize_s(void) __attribute__((weak));
#define FUNKC_IS_LLVM_OPENMP (kmp_get_stacksize_s != NULL)
#endif

/* Gives the calling thread's idle workers back.  A forked child inherits libgomp's record
   of them but not the threads themselves, and would wait for them for ever.  LLVM's library minds
   forks itself, and after a pause it crashes at the next question about threads. */
static void funkc_release_workers(void)
{
#ifdef FUNKC_MAY_BE_LIBGOMP
    if (!FUNKC_IS_LLVM_OPENMP && omp_pause_resource_all(omp_pause_hard) == 0) funkc_there = 1;
#endif
}

static void funkc_before_fork(void)
{
    pthread_mutex_lock(&funkc_asking);
    funkc_release_workers();
}

static void funkc_after_fork(void) { pthread_mutex_unlock(&funkc_asking); }

static void funkc_in_child(void)
{
    funkc_there = 1;
    pthread_mutex_unlock(&funkc_asking);
}

/* Prepares for threads of so many bytes of stack (0: as many as the system chooses), and for
   forks, of C and of Python.  Once in a process. */
static void funkc_prepare(size_t stack_size)
{
    static int prepared = 0;
    if (prepared) return;
    prepared = 1;
    pthread_attr_init(&funkc_like_openmp);
    if (stack_size) pthread_attr_setstacksize(&funkc_like_openmp, stack_size);
    pthread_atfork(funkc_before_fork, funkc_after_fork, funkc_in_child);
}

typedef struct funkc_trial {
    pthread_t thread;
    pthread_mutex_t *gate;
    long id;
} funkc_trial;

static void *funkc_wait(void *given)
{
    funkc_trial *trial = (funkc_trial *)given;
#ifdef __linux__
    trial->id = syscall(SYS_gettid);
#endif
    pthread_mutex_lock(trial->gate);
    pthread_mutex_unlock(trial->gate);
    return NULL;
}

/* LLVM's library says how much stack its threads have.  Each takes 128 bytes more for every thread
   before it: an eighth and 16 KB do for hundreds, and the C library still hands the stacks of
   threads that were tried to those of OpenMP. */
static void funkc_ask_for_stack_size(void)
{
#ifdef FUNKC_IS_LLVM_OPENMP
    if (FUNKC_IS_LLVM_OPENMP) {
        const size_t size = kmp_get_stacksize_s();
        pthread_attr_setstacksize(&funkc_like_openmp, size + size / 8 + (16 << 10));
    }
#endif
}

/* How many of n threads the system lets live at once.  None is left in the end. */
static int funkc_try(int n)
{
    funkc_trial trials[FUNKC_MOST_THREADS];
    pthread_mutex_t gate = PTHREAD_MUTEX_INITIALIZER;
    void *tables = malloc(1 << 20); /* no less than what OpenMP will want for its own */
    int count = 0, refusals = 0, i;
    funkc_ask_for_stack_size();
    pthread_mutex_lock(&gate);
    while (tables && count < n && count < FUNKC_MOST_THREADS && refusals < 20) {
        trials[count].gate = &gate;
        if (pthread_create(&trials[count].thread, &funkc_like_openmp, funkc_wait, &trials[count])) {
            const struct timespec moment = {0, 500000}; /* threads that end count until they do */
            refusals++;
            nanosleep(&moment, NULL);
        } else
            count++;
    }
    pthread_mutex_unlock(&gate);
    for (i = 0; i < count; i++) {
        pthread_join(trials[i].thread, NULL);
#ifdef __linux__
        /* Joined, it counts against limits for a moment more, until it is no longer found. */
        for (int turn = 0; turn < 10000; turn++) {
            if (syscall(SYS_tgkill, getpid(), trials[i].id, 0)) break;
            sched_yield();
        }
#endif
    }
    free(tables);
    return count == FUNKC_MOST_THREADS ? n : count; /* where so many can live, more are not tried */
}

/* How many threads, itself included, this one may have in a parallel part that follows at once:
   `wanted`, or fewer if the system refuses some.  Where it refuses one to OpenMP, OpenMP ends the
   process; so those that OpenMP lacks are tried before, and then started by it while nobody else
   here asks.  (Within a parallel part OpenMP starts none.) */
static int funkc_granted(int wanted)
{
    int granted = wanted, started = 0;
    if (wanted <= 1 || omp_in_parallel()) return wanted;
    if (granted > funkc_most && omp_get_wtime() < funkc_until) granted = funkc_most;
    if (granted > funkc_there) {
        const int asked = granted;
        pthread_mutex_lock(&funkc_asking);
        granted = funkc_there + funkc_try(asked - funkc_there);
        if (granted < asked) {
            funkc_most = granted;
            funkc_until = omp_get_wtime() + 1; /* so that a call does not ask all the time */
        }
        if (granted > funkc_there) {
#pragma omp parallel num_threads(granted)
            {
#pragma omp atomic
                started++;
            }
        }
        pthread_mutex_unlock(&funkc_asking);
    }
    if (granted < wanted) {
        funkc_refused_of = wanted;
        funkc_refused_but = granted;
    }
    if (granted > 1) funkc_there = granted; /* OpenMP lets those go that a part has no work for */
    return granted;
}

/* What has been granted to this thread where fewer threads were than wanted, since this was asked
   last; or 0. */
static int funkc_refused(int *wanted)
{
    const int granted = funkc_refused_of ? funkc_refused_but : 0;
    *wanted = funkc_refused_of;
    funkc_refused_of = 0;
    return granted;
}
#else
static void funkc_release_workers(void) {}
static void funkc_prepare(size_t stack_size) { (void)stack_size; }
static int funkc_granted(int wanted) { return wanted; }
static int funkc_refused(int *wanted) { return *wanted = 0; }
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
