/* How the workers of a call share its steps: each claims one, waits for what it needs, and
   says when it is done.  Nobody waits for a worker that has claimed nothing, so one that the
   system has put aside holds up the rest as little as possible. */
#ifndef FUNKC_CLAIMS_H
#define FUNKC_CLAIMS_H

#include <stdint.h>

#if defined(__GNUC__)
#include <sched.h>
#include <time.h>
static inline int64_t funkc_get(const int64_t *p) { return __atomic_load_n(p, __ATOMIC_ACQUIRE); }
static inline void funkc_set(int64_t *p, int64_t v) { __atomic_store_n(p, v, __ATOMIC_RELEASE); }
static inline int64_t funkc_count(int64_t *p) { return __atomic_fetch_add(p, 1, __ATOMIC_ACQ_REL); }
static inline int funkc_swap(int64_t *p, int64_t was, int64_t v)
{
    return __atomic_compare_exchange_n(p, &was, v, 0, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED);
}
static inline void funkc_give_way(void) { sched_yield(); }
static inline void funkc_sleep(void)
{
#ifdef _WIN32
    sched_yield();
#else
    const struct timespec moment = {0, 50000};
    nanosleep(&moment, NULL);
#endif
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
static __inline int64_t funkc_get(const int64_t *p) { return _InterlockedOr64((volatile int64_t *)p, 0); }
static __inline void funkc_set(int64_t *p, int64_t v) { _InterlockedExchange64((volatile int64_t *)p, v); }
static __inline int64_t funkc_count(int64_t *p) { return _InterlockedExchangeAdd64((volatile int64_t *)p, 1); }
static __inline int funkc_swap(int64_t *p, int64_t was, int64_t v)
{
    return _InterlockedCompareExchange64((volatile int64_t *)p, v, was) == was;
}
static __inline void funkc_give_way(void) { SwitchToThread(); }
static __inline void funkc_sleep(void) { Sleep(0); }
#define FUNKC_PAUSE() YieldProcessor()
#endif

/* Until *p is at least `least`: spin for a moment, then let others run, then sleep. */
static inline void funkc_await(const int64_t *p, int64_t least)
{
    for (int turn = 0; funkc_get(p) < least; turn++) {
        if (turn < 2000) FUNKC_PAUSE();
        else if (turn < 2020) funkc_give_way();
        else funkc_sleep();
    }
}

#endif
