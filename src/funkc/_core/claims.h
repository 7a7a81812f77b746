/* How the workers of a call share its steps: each claims one, waits for what it needs, and
   says when it is done.  Nobody waits for a worker that has claimed nothing, so one that the
   system has put aside holds up the rest as little as possible. */
#ifndef FUNKC_CLAIMS_H
#define FUNKC_CLAIMS_H

#include <stdint.h>

#if defined(__GNUC__)
#include <time.h>
#ifdef __linux__
#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif
static inline int64_t funkc_get(const int64_t *p) { return __atomic_load_n(p, __ATOMIC_SEQ_CST); }
static inline void funkc_put(int64_t *p, int64_t v) { __atomic_store_n(p, v, __ATOMIC_SEQ_CST); }
static inline int64_t funkc_add(int64_t *p, int64_t v)
{
    return __atomic_fetch_add(p, v, __ATOMIC_SEQ_CST);
}
static inline int funkc_swap(int64_t *p, int64_t was, int64_t v)
{
    return __atomic_compare_exchange_n(p, &was, v, 0, __ATOMIC_SEQ_CST, __ATOMIC_RELAXED);
}
#if defined(__x86_64__)
#define FUNKC_PAUSE() __builtin_ia32_pause()
#elif defined(__aarch64__)
#define FUNKC_PAUSE() __asm__ __volatile__("yield")
#else
#define FUNKC_PAUSE() ((void)0)
#endif
#elif defined(_MSC_VER)
#include <intrin.h>
#include <windows.h>
static __inline int64_t funkc_get(const int64_t *p)
{
    return _InterlockedOr64((volatile int64_t *)p, 0);
}
static __inline void funkc_put(int64_t *p, int64_t v)
{
    _InterlockedExchange64((volatile int64_t *)p, v);
}
static __inline int64_t funkc_add(int64_t *p, int64_t v)
{
    return _InterlockedExchangeAdd64((volatile int64_t *)p, v);
}
static __inline int funkc_swap(int64_t *p, int64_t was, int64_t v)
{
    return _InterlockedCompareExchange64((volatile int64_t *)p, v, was) == was;
}
#define FUNKC_PAUSE() YieldProcessor()
#else
#error "claims.h knows the atomics of GCC, Clang and MSVC only"
#endif

/* Sleeps while *p is `was`, if the system offers that: a processor that falls idle at once
   takes over a worker that waits for its turn on another, busy one.  May end early. */
static inline void funkc_sleep(const int64_t *p, int64_t was)
{
#if defined(__linux__) && defined(__GNUC__)
    const struct timespec long_enough = {0, 10000000};
    /* the half of the counter that changes first */
    const uint32_t *low = (const uint32_t *)p + (__BYTE_ORDER__ == __ORDER_BIG_ENDIAN__);
    syscall(SYS_futex, low, FUTEX_WAIT_PRIVATE, (uint32_t)was, &long_enough, NULL, 0);
#elif defined(_MSC_VER)
    (void)p, (void)was;
    Sleep(0);
#else
    const struct timespec moment = {0, 200000};
    (void)p, (void)was;
    nanosleep(&moment, NULL);
#endif
}

static inline void funkc_wake(const int64_t *p)
{
#if defined(__linux__) && defined(__GNUC__)
    const uint32_t *low = (const uint32_t *)p + (__BYTE_ORDER__ == __ORDER_BIG_ENDIAN__);
    syscall(SYS_futex, low, FUTEX_WAKE_PRIVATE, INT32_MAX, NULL, NULL, 0);
#else
    (void)p;
#endif
}

/* Until *p is at least `least`: spin for a moment, then sleep.  sleepers tells whoever sets
   *p that somebody has to be woken. */
static inline void funkc_await(const int64_t *p, int64_t least, int64_t *sleepers)
{
    for (int turn = 0; turn < 1000; turn++) {
        if (funkc_get(p) >= least) return;
        FUNKC_PAUSE();
    }
    funkc_add(sleepers, 1);
    for (int64_t now; (now = funkc_get(p)) < least;) funkc_sleep(p, now);
    funkc_add(sleepers, -1);
}

static inline void funkc_set(int64_t *p, int64_t v, const int64_t *sleepers)
{
    funkc_put(p, v);
    if (funkc_get(sleepers)) funkc_wake(p);
}

#endif
