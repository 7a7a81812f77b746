/* Sixteen numbers at a time, in an order that the source fixes.

   A sum over k elements is taken in sixteen lanes (lane l takes the elements
   l, l+16, ...), and the lanes are folded 16 -> 8 -> 4 -> 2 -> 1.  Every addition
   has its place here and none is left to the compiler, so SSE2, AVX2, AVX-512, NEON
   and the plain loops give the same bits.  Build with -ffp-contract=off (a fused
   multiply-add rounds once where the source rounds twice) and without any flag that
   lets the compiler reassociate.

   The file is a template: it includes itself once for float and once for double. */
#ifndef FUNKC_LANES_H
#define FUNKC_LANES_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* The vectors are as long as the registers of the instruction set that is compiled for. */
#if defined(__GNUC__) && !defined(FUNKC_PLAIN_LANES)
#if defined(__AVX512F__)
#define FUNKC_VECTOR_BYTES 64
#define FUNKC_REGISTERS 32
#elif defined(__AVX__)
#define FUNKC_VECTOR_BYTES 32
#define FUNKC_REGISTERS 16
#elif defined(__aarch64__)
#define FUNKC_VECTOR_BYTES 16
#define FUNKC_REGISTERS 32
#else
#define FUNKC_VECTOR_BYTES 16
#define FUNKC_REGISTERS 16
#endif
#define FUNKC_UNROLL _Pragma("GCC unroll 16")
#else
#define FUNKC_UNROLL
#endif

#if defined(__GNUC__)
#define FUNKC_INLINE static inline __attribute__((always_inline, unused))
#define FUNKC_PREFETCH(address) __builtin_prefetch((address), 1, 3)
#else
#if defined(_MSC_VER)
#define FUNKC_INLINE static __forceinline
#else
#define FUNKC_INLINE static inline
#endif
#define FUNKC_PREFETCH(address) ((void)0)
#endif

#define FUNKC_JOIN_(name, suffix) name##_##suffix
#define FUNKC_JOIN(name, suffix) FUNKC_JOIN_(name, suffix)
#define NAME(name) FUNKC_JOIN(name, SUFFIX)

#ifdef FUNKC_VECTOR_BYTES
/* Folds a pair of vectors: the first halves of the parts of a, then of b, plus the second
   halves.  A vector of W numbers that holds parts of H numbers becomes one of parts of H/2. */
#define FUNKC_FOLD(a, b, ...) FUNKC_FOLD_(a, b, __VA_ARGS__)
#define FUNKC_FOLD_(a, b, first, second) (FUNKC_SHUFFLE(a, b, first) + FUNKC_SHUFFLE(a, b, second))
#ifdef __clang__
#define FUNKC_SHUFFLE(a, b, which) __builtin_shufflevector(a, b, FUNKC_LIST which)
#else /* GCC has it from version 12 on, and this one always */
#define FUNKC_SHUFFLE(a, b, which) __builtin_shuffle(a, b, (NAME(indexes)){FUNKC_LIST which})
#endif
#define FUNKC_LIST(...) __VA_ARGS__
#define FUNKC_2_BY_2 (0, 2), (1, 3)
#define FUNKC_4_BY_4 (0, 1, 4, 5), (2, 3, 6, 7)
#define FUNKC_4_BY_2 (0, 2, 4, 6), (1, 3, 5, 7)
#define FUNKC_8_BY_8 (0, 1, 2, 3, 8, 9, 10, 11), (4, 5, 6, 7, 12, 13, 14, 15)
#define FUNKC_8_BY_4 (0, 1, 4, 5, 8, 9, 12, 13), (2, 3, 6, 7, 10, 11, 14, 15)
#define FUNKC_8_BY_2 (0, 2, 4, 6, 8, 10, 12, 14), (1, 3, 5, 7, 9, 11, 13, 15)
#define FUNKC_16_BY_16                                                                      \
    (0, 1, 2, 3, 4, 5, 6, 7, 16, 17, 18, 19, 20, 21, 22, 23),                               \
        (8, 9, 10, 11, 12, 13, 14, 15, 24, 25, 26, 27, 28, 29, 30, 31)
#define FUNKC_16_BY_8                                                                       \
    (0, 1, 2, 3, 8, 9, 10, 11, 16, 17, 18, 19, 24, 25, 26, 27),                             \
        (4, 5, 6, 7, 12, 13, 14, 15, 20, 21, 22, 23, 28, 29, 30, 31)
#define FUNKC_16_BY_4                                                                       \
    (0, 1, 4, 5, 8, 9, 12, 13, 16, 17, 20, 21, 24, 25, 28, 29),                             \
        (2, 3, 6, 7, 10, 11, 14, 15, 18, 19, 22, 23, 26, 27, 30, 31)
#define FUNKC_16_BY_2                                                                       \
    (0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30),                            \
        (1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31)
#endif

#define REAL float
#define REAL_BYTES 4
#define INTEGER int32_t
#define SUFFIX f32
#include "lanes.h"
#undef REAL
#undef REAL_BYTES
#undef INTEGER
#undef SUFFIX
#define REAL double
#define REAL_BYTES 8
#define INTEGER int64_t
#define SUFFIX f64
#include "lanes.h"
#undef REAL
#undef REAL_BYTES
#undef INTEGER
#undef SUFFIX

#elif defined(REAL)

#ifdef FUNKC_VECTOR_BYTES

#define WIDTH (FUNKC_VECTOR_BYTES / REAL_BYTES) /* numbers in a vector */
#define PARTS (16 / WIDTH)                      /* vectors in sixteen lanes */
/* Dots that are taken side by side: as many as leave half of the registers free. */
#define AT_ONCE (FUNKC_REGISTERS / 2 / PARTS < 8 ? FUNKC_REGISTERS / 2 / PARTS : 8)

typedef REAL NAME(vector)
    __attribute__((vector_size(FUNKC_VECTOR_BYTES), aligned(REAL_BYTES), may_alias));
typedef INTEGER NAME(indexes) __attribute__((vector_size(FUNKC_VECTOR_BYTES)));
#define VECTOR NAME(vector)

FUNKC_INLINE VECTOR NAME(load)(const REAL *p) { return *(const VECTOR *)p; }
FUNKC_INLINE void NAME(store)(REAL *p, VECTOR a) { *(VECTOR *)p = a; }
FUNKC_INLINE VECTOR NAME(zero)(void) { return (VECTOR){0}; }
FUNKC_INLINE VECTOR NAME(add)(VECTOR a, VECTOR b) { return a + b; }
FUNKC_INLINE VECTOR NAME(mul)(VECTOR a, VECTOR b) { return a * b; }
FUNKC_INLINE VECTOR NAME(scale)(VECTOR a, REAL s) { return a * s; }

/* The sums of eight vectors, folded side by side: the additions of eight separate trees,
   laid out so that one instruction serves several of them. */
FUNKC_INLINE void NAME(sums)(const VECTOR *v, REAL *out)
{
#if FUNKC_VECTOR_BYTES / REAL_BYTES == 2
    FUNKC_UNROLL for (int i = 0; i < 4; i++)
        NAME(store)(out + 2 * i, FUNKC_FOLD(v[2 * i], v[2 * i + 1], FUNKC_2_BY_2));
#elif FUNKC_VECTOR_BYTES / REAL_BYTES == 4
    FUNKC_UNROLL for (int i = 0; i < 2; i++) {
        const VECTOR a = FUNKC_FOLD(v[4 * i], v[4 * i + 1], FUNKC_4_BY_4);
        const VECTOR b = FUNKC_FOLD(v[4 * i + 2], v[4 * i + 3], FUNKC_4_BY_4);
        NAME(store)(out + 4 * i, FUNKC_FOLD(a, b, FUNKC_4_BY_2));
    }
#else
    VECTOR a[4], b[2];
#if FUNKC_VECTOR_BYTES / REAL_BYTES == 8
    FUNKC_UNROLL for (int i = 0; i < 4; i++)
        a[i] = FUNKC_FOLD(v[2 * i], v[2 * i + 1], FUNKC_8_BY_8);
    FUNKC_UNROLL for (int i = 0; i < 2; i++)
        b[i] = FUNKC_FOLD(a[2 * i], a[2 * i + 1], FUNKC_8_BY_4);
    NAME(store)(out, FUNKC_FOLD(b[0], b[1], FUNKC_8_BY_2));
#else
    FUNKC_UNROLL for (int i = 0; i < 4; i++)
        a[i] = FUNKC_FOLD(v[2 * i], v[2 * i + 1], FUNKC_16_BY_16);
    FUNKC_UNROLL for (int i = 0; i < 2; i++)
        b[i] = FUNKC_FOLD(a[2 * i], a[2 * i + 1], FUNKC_16_BY_8);
    a[0] = FUNKC_FOLD(b[0], b[1], FUNKC_16_BY_4);
    a[0] = FUNKC_FOLD(a[0], a[0], FUNKC_16_BY_2); /* the eight sums, twice */
    memcpy(out, &a[0], 8 * REAL_BYTES);
#endif
#endif
}

#else /* plain loops: the same additions in the same order */

#define WIDTH 16
#define PARTS 1
#define AT_ONCE 8

typedef struct { REAL lane[16]; } NAME(vector);
#define VECTOR NAME(vector)
#define EACH_LANE for (int l = 0; l < 16; l++)

FUNKC_INLINE VECTOR NAME(load)(const REAL *p) { VECTOR a; memcpy(&a, p, sizeof a); return a; }
FUNKC_INLINE void NAME(store)(REAL *p, VECTOR a) { memcpy(p, &a, sizeof a); }
FUNKC_INLINE VECTOR NAME(zero)(void) { VECTOR a; memset(&a, 0, sizeof a); return a; }
FUNKC_INLINE VECTOR NAME(add)(VECTOR a, VECTOR b)
{
    EACH_LANE a.lane[l] += b.lane[l];
    return a;
}
FUNKC_INLINE VECTOR NAME(mul)(VECTOR a, VECTOR b)
{
    EACH_LANE a.lane[l] *= b.lane[l];
    return a;
}
FUNKC_INLINE VECTOR NAME(scale)(VECTOR a, REAL s)
{
    EACH_LANE a.lane[l] *= s;
    return a;
}
FUNKC_INLINE void NAME(sums)(const VECTOR *v, REAL *out)
{
    for (int i = 0; i < 8; i++) {
        VECTOR a = v[i];
        for (int half = 8; half; half /= 2)
            for (int l = 0; l < half; l++) a.lane[l] += a.lane[l + half];
        out[i] = a.lane[0];
    }
}
#undef EACH_LANE

#endif

/* out[g] = x . y[g] for g < count (the rest of out is zero).  width is a multiple of 16. */
FUNKC_INLINE void NAME(dots)(const REAL *x, const REAL *const *y, int count, ptrdiff_t width,
                             REAL *out)
{
    VECTOR total[8];
    FUNKC_UNROLL for (int from = 0; from < 8; from += AT_ONCE) {
        VECTOR lanes[AT_ONCE][PARTS];
        FUNKC_UNROLL for (int g = 0; g < AT_ONCE; g++)
            FUNKC_UNROLL for (int p = 0; p < PARTS; p++)
                lanes[g][p] = from + g < count
                    ? NAME(mul)(NAME(load)(x + p * WIDTH), NAME(load)(y[from + g] + p * WIDTH))
                    : NAME(zero)();
        for (ptrdiff_t f = 16; f < width; f += 16)
            FUNKC_UNROLL for (int p = 0; p < PARTS; p++) {
                const VECTOR xf = NAME(load)(x + f + p * WIDTH);
                FUNKC_UNROLL for (int g = 0; g < AT_ONCE; g++)
                    if (from + g < count)
                        lanes[g][p] = NAME(add)(
                            lanes[g][p], NAME(mul)(xf, NAME(load)(y[from + g] + f + p * WIDTH)));
            }
        FUNKC_UNROLL for (int g = 0; g < AT_ONCE; g++) {
            FUNKC_UNROLL for (int half = PARTS / 2; half; half /= 2)
                FUNKC_UNROLL for (int p = 0; p < half; p++)
                    lanes[g][p] = NAME(add)(lanes[g][p], lanes[g][p + half]);
            total[from + g] = lanes[g][0];
        }
    }
    NAME(sums)(total, out);
}

#undef WIDTH
#undef PARTS
#undef AT_ONCE
#undef VECTOR
#endif
