/* The state of the floating-point unit: the same for every thread that computes. */
#ifndef FUNKC_FLOAT_STATE_H
#define FUNKC_FLOAT_STATE_H

#include <stdint.h>

/* Another library may have set "flush denormals to zero" or a rounding mode in this
   thread, and either would change bits.  Work is done between begin and end. */
#if defined(__x86_64__) || defined(_M_X64)
#include <xmmintrin.h>
static inline uint64_t funkc_float_begin(void)
{
    const unsigned state = _mm_getcsr();
    _mm_setcsr(0x1f80); /* IEEE 754: round to nearest, denormals kept, no traps */
    return state;
}
static inline void funkc_float_end(uint64_t state) { _mm_setcsr((unsigned)state); }
#elif defined(__aarch64__) && defined(__GNUC__)
static inline uint64_t funkc_float_begin(void)
{
    uint64_t state, standard = 0;
    __asm__ __volatile__("mrs %0, fpcr" : "=r"(state));
    __asm__ __volatile__("msr fpcr, %0" : : "r"(standard));
    return state;
}
static inline void funkc_float_end(uint64_t state)
{
    __asm__ __volatile__("msr fpcr, %0" : : "r"(state));
}
#else
static inline uint64_t funkc_float_begin(void) { return 0; }
static inline void funkc_float_end(uint64_t state) { (void)state; }
#endif

#endif
