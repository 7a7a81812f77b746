/* Sixteen numbers at a time, in an order that the source fixes.

   A sum over k elements is taken in sixteen lanes (lane l takes the elements
   l, l+16, ...), and the lanes are halved 16 -> 8 -> 4 -> 2 -> 1.  Every addition
   has its place here and none is left to the compiler, so SSE2, AVX2, AVX-512, NEON
   and the plain loops give the same bits.  Build with -ffp-contract=off (a fused
   multiply-add rounds once where the source rounds twice) and without any flag that
   lets the compiler reassociate.

   The file is a template: it includes itself once for float and once for double. */
#ifndef FUNKC_LANES_H
#define FUNKC_LANES_H

#if defined(NAME) || defined(REAL) || defined(REAL_BYTES) || defined(INTEGER) || defined(SUFFIX)
#error "lanes.h defines NAME, REAL, REAL_BYTES, INTEGER and SUFFIX itself: include it before them"
#endif
#if defined(__FAST_MATH__) || defined(__ASSOCIATIVE_MATH__) || defined(_M_FP_FAST)
#error "lanes.h fixes the order of sums: build without -ffast-math or its like"
#endif

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
#define FUNKC_ROLL _Pragma("GCC unroll 1")
#else
#define FUNKC_UNROLL
#define FUNKC_ROLL
#endif

#if defined(__GNUC__)
#define FUNKC_INLINE static inline __attribute__((always_inline, unused))
#define FUNKC_APART static __attribute__((noinline, unused))
#define FUNKC_PREFETCH(address) __builtin_prefetch((address), 1, 3)
#else
#if defined(_MSC_VER)
#define FUNKC_INLINE static __forceinline
#define FUNKC_APART static __declspec(noinline)
#else
#define FUNKC_INLINE static inline
#define FUNKC_APART static
#endif
#define FUNKC_PREFETCH(address) ((void)0)
#endif

#define FUNKC_JOIN_(name, suffix) funkc_##name##_##suffix
#define FUNKC_JOIN(name, suffix) FUNKC_JOIN_(name, suffix)

#ifdef FUNKC_VECTOR_BYTES
#define FUNKC_LIST(...) __VA_ARGS__
#ifdef __clang__
#define FUNKC_SHUFFLE(a, b, which) __builtin_shufflevector(a, b, FUNKC_LIST which)
#else /* GCC has it from version 12 on, and this one always */
#define FUNKC_SHUFFLE(a, b, which) __builtin_shuffle(a, b, (NAME(indexes)){FUNKC_LIST which})
#endif
/* Halves a pair of vectors whose parts are the numbers of one sum each: the first halves of
   the parts plus the second halves.  The patterns are those that cost one short instruction
   each, and lie so that the sums come out in order. */
#define FUNKC_HALF(a, b, first, second) (FUNKC_SHUFFLE(a, b, first) + FUNKC_SHUFFLE(a, b, second))
#endif

#define FUNKC_LANES_PART
#define NAME(name) FUNKC_JOIN(name, SUFFIX)
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
#undef NAME
#undef FUNKC_LANES_PART

#elif defined(FUNKC_LANES_PART)

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
FUNKC_INLINE VECTOR NAME(sub)(VECTOR a, VECTOR b) { return a - b; }
FUNKC_INLINE VECTOR NAME(div)(VECTOR a, VECTOR b) { return a / b; }
FUNKC_INLINE VECTOR NAME(all)(REAL s) { return s - (VECTOR){0}; }

/* Eight numbers, in order; what a vector holds beyond them does not matter. */
#define EIGHT (WIDTH < 8 ? 8 / WIDTH : 1)
typedef struct { VECTOR part[EIGHT]; } NAME(eight);
typedef double NAME(doubles) __attribute__((vector_size(64 / EIGHT), aligned(8), may_alias));

/* The sums of eight vectors, halved side by side: the additions of eight separate trees,
   laid out so that one instruction serves several of them. */
FUNKC_INLINE NAME(eight) NAME(sums)(const VECTOR *v)
{
    NAME(eight) sum;
#if FUNKC_VECTOR_BYTES / REAL_BYTES == 2
    FUNKC_UNROLL for (int i = 0; i < 4; i++)
        sum.part[i] = FUNKC_HALF(v[2 * i], v[2 * i + 1], (0, 2), (1, 3));
#elif FUNKC_VECTOR_BYTES / REAL_BYTES == 4
    FUNKC_UNROLL for (int i = 0; i < 2; i++) {
#if REAL_BYTES == 4
        const VECTOR a = FUNKC_HALF(v[4 * i], v[4 * i + 1], (0, 1, 4, 5), (2, 3, 6, 7));
        const VECTOR b = FUNKC_HALF(v[4 * i + 2], v[4 * i + 3], (0, 1, 4, 5), (2, 3, 6, 7));
        sum.part[i] = FUNKC_HALF(a, b, (0, 2, 4, 6), (1, 3, 5, 7));
#else
        const VECTOR a = FUNKC_HALF(v[4 * i], v[4 * i + 2], (0, 1, 4, 5), (2, 3, 6, 7));
        const VECTOR b = FUNKC_HALF(v[4 * i + 1], v[4 * i + 3], (0, 1, 4, 5), (2, 3, 6, 7));
        sum.part[i] = FUNKC_HALF(a, b, (0, 4, 2, 6), (1, 5, 3, 7));
#endif
    }
#elif FUNKC_VECTOR_BYTES / REAL_BYTES == 8
    VECTOR a[4], b[2];
    FUNKC_UNROLL for (int i = 0; i < 4; i++)
        a[i] = FUNKC_HALF(v[i], v[i + 4], (0, 1, 2, 3, 8, 9, 10, 11), (4, 5, 6, 7, 12, 13, 14, 15));
    FUNKC_UNROLL for (int i = 0; i < 2; i++)
        b[i] = FUNKC_HALF(a[2 * i], a[2 * i + 1], (0, 1, 8, 9, 4, 5, 12, 13),
                          (2, 3, 10, 11, 6, 7, 14, 15));
    sum.part[0] = FUNKC_HALF(b[0], b[1], (0, 2, 8, 10, 4, 6, 12, 14), (1, 3, 9, 11, 5, 7, 13, 15));
#else
    VECTOR a[4], b[2];
    FUNKC_UNROLL for (int i = 0; i < 4; i++)
        a[i] = FUNKC_HALF(v[i], v[i + 4],
                          (0, 1, 2, 3, 4, 5, 6, 7, 16, 17, 18, 19, 20, 21, 22, 23),
                          (8, 9, 10, 11, 12, 13, 14, 15, 24, 25, 26, 27, 28, 29, 30, 31));
    FUNKC_UNROLL for (int i = 0; i < 2; i++)
        b[i] = FUNKC_HALF(a[2 * i], a[2 * i + 1],
                          (0, 1, 2, 3, 8, 9, 10, 11, 16, 17, 18, 19, 24, 25, 26, 27),
                          (4, 5, 6, 7, 12, 13, 14, 15, 20, 21, 22, 23, 28, 29, 30, 31));
    a[0] = FUNKC_HALF(b[0], b[1], (0, 1, 16, 17, 4, 5, 20, 21, 8, 9, 24, 25, 12, 13, 28, 29),
                      (2, 3, 18, 19, 6, 7, 22, 23, 10, 11, 26, 27, 14, 15, 30, 31));
    a[1] = FUNKC_HALF(a[0], a[0], (0, 2, 0, 2, 4, 6, 4, 6, 8, 10, 8, 10, 12, 14, 12, 14),
                      (1, 3, 1, 3, 5, 7, 5, 7, 9, 11, 9, 11, 13, 15, 13, 15));
    sum.part[0] = FUNKC_SHUFFLE(a[1], a[1], (0, 8, 1, 9, 4, 12, 5, 13, 0, 8, 1, 9, 4, 12, 5, 13));
#endif
    return sum;
}

/* Eight numbers in memory, where a load puts one of them into all lanes: there are more loads
   a cycle than shuffles.  The compiler would make shuffles of it again. */
typedef struct { REAL number[8]; } NAME(numbers);
FUNKC_INLINE NAME(numbers) NAME(put)(NAME(eight) eight)
{
    NAME(numbers) put;
    memcpy(&put, &eight, sizeof put);
    __asm__("" : "+m"(put));
    return put;
}

/* values[0], values[1], ..., or values[codes[0]], values[codes[1]], ...: count of them, and
   zeros.  Put together in registers: a vector that is loaded from where its numbers have just
   been stored one by one has to wait for them. */
FUNKC_INLINE NAME(eight) NAME(pick)(const REAL *values, const uint8_t *codes, int count)
{
    NAME(eight) eight;
#define AT(g) ((g) < count ? codes ? values[codes[g]] : values[g] : 0)
    FUNKC_UNROLL for (int i = 0; i < EIGHT; i++)
#if FUNKC_VECTOR_BYTES / REAL_BYTES == 2
        eight.part[i] = (VECTOR){AT(2 * i), AT(2 * i + 1)};
#elif FUNKC_VECTOR_BYTES / REAL_BYTES == 4
        eight.part[i] = (VECTOR){AT(4 * i), AT(4 * i + 1), AT(4 * i + 2), AT(4 * i + 3)};
#else
        eight.part[i] = (VECTOR){AT(0), AT(1), AT(2), AT(3), AT(4), AT(5), AT(6), AT(7)};
#endif
#undef AT
    return eight;
}

/* *a[0] + *b[0], *a[1] + *b[1], ...: count of them, and zeros. */
FUNKC_INLINE NAME(eight) NAME(gather)(const REAL *const *a, const REAL *const *b, int count)
{
    NAME(eight) eight;
#define AT(g) ((g) < count ? *a[g] + *b[g] : 0)
    FUNKC_UNROLL for (int i = 0; i < EIGHT; i++)
#if FUNKC_VECTOR_BYTES / REAL_BYTES == 2
        eight.part[i] = (VECTOR){AT(2 * i), AT(2 * i + 1)};
#elif FUNKC_VECTOR_BYTES / REAL_BYTES == 4
        eight.part[i] = (VECTOR){AT(4 * i), AT(4 * i + 1), AT(4 * i + 2), AT(4 * i + 3)};
#else
        eight.part[i] = (VECTOR){AT(0), AT(1), AT(2), AT(3), AT(4), AT(5), AT(6), AT(7)};
#endif
#undef AT
    return eight;
}

#define EACH_PART FUNKC_UNROLL for (int i = 0; i < EIGHT; i++)
FUNKC_INLINE NAME(eight) NAME(minus)(NAME(eight) a, NAME(eight) b)
{
    EACH_PART a.part[i] -= b.part[i];
    return a;
}
FUNKC_INLINE NAME(eight) NAME(plus)(NAME(eight) a, NAME(eight) b)
{
    EACH_PART a.part[i] += b.part[i];
    return a;
}
FUNKC_INLINE NAME(eight) NAME(times)(NAME(eight) a, NAME(eight) b)
{
    EACH_PART a.part[i] *= b.part[i];
    return a;
}
FUNKC_INLINE NAME(eight) NAME(by)(NAME(eight) a, REAL s)
{
    EACH_PART a.part[i] *= s;
    return a;
}
FUNKC_INLINE NAME(eight) NAME(at_most)(NAME(eight) a, REAL s)
{
    const VECTOR most = NAME(all)(s);
    EACH_PART {
        const NAME(indexes) more = a.part[i] > most;
        a.part[i] = (VECTOR)(((NAME(indexes))a.part[i] & ~more) | ((NAME(indexes))most & more));
    }
    return a;
}

/* sums[g] += eight[g] * eight[g] (* weights[g]), in double. */
FUNKC_INLINE void NAME(add_squares)(double *sums, NAME(eight) eight, const NAME(eight) *weights)
{
    EACH_PART {
        typedef REAL reals __attribute__((vector_size(8 / EIGHT * REAL_BYTES)));
        reals error, weight;
        memcpy(&error, &eight.part[i], sizeof error);
        NAME(doubles) square = __builtin_convertvector(error, NAME(doubles));
        square *= square;
        if (weights) {
            memcpy(&weight, &weights->part[i], sizeof weight);
            square *= __builtin_convertvector(weight, NAME(doubles));
        }
        *(NAME(doubles) *)(sums + i * (8 / EIGHT)) += square;
    }
}
#undef EACH_PART
#undef EIGHT

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
FUNKC_INLINE VECTOR NAME(sub)(VECTOR a, VECTOR b)
{
    EACH_LANE a.lane[l] -= b.lane[l];
    return a;
}
FUNKC_INLINE VECTOR NAME(div)(VECTOR a, VECTOR b)
{
    EACH_LANE a.lane[l] /= b.lane[l];
    return a;
}
FUNKC_INLINE VECTOR NAME(all)(REAL s)
{
    VECTOR a;
    EACH_LANE a.lane[l] = s;
    return a;
}

typedef struct { REAL number[8]; } NAME(eight);
#define EACH for (int g = 0; g < 8; g++)

FUNKC_INLINE NAME(eight) NAME(sums)(const VECTOR *v)
{
    NAME(eight) sum;
    EACH {
        VECTOR a = v[g];
        for (int half = 8; half; half /= 2)
            for (int l = 0; l < half; l++) a.lane[l] += a.lane[l + half];
        sum.number[g] = a.lane[0];
    }
    return sum;
}
typedef NAME(eight) NAME(numbers);
FUNKC_INLINE NAME(numbers) NAME(put)(NAME(eight) eight) { return eight; }
FUNKC_INLINE NAME(eight) NAME(pick)(const REAL *values, const uint8_t *codes, int count)
{
    NAME(eight) a;
    EACH a.number[g] = g < count ? values[codes ? codes[g] : g] : 0;
    return a;
}
FUNKC_INLINE NAME(eight) NAME(gather)(const REAL *const *a, const REAL *const *b, int count)
{
    NAME(eight) sum;
    EACH sum.number[g] = g < count ? *a[g] + *b[g] : 0;
    return sum;
}
FUNKC_INLINE NAME(eight) NAME(minus)(NAME(eight) a, NAME(eight) b)
{
    EACH a.number[g] -= b.number[g];
    return a;
}
FUNKC_INLINE NAME(eight) NAME(plus)(NAME(eight) a, NAME(eight) b)
{
    EACH a.number[g] += b.number[g];
    return a;
}
FUNKC_INLINE NAME(eight) NAME(times)(NAME(eight) a, NAME(eight) b)
{
    EACH a.number[g] *= b.number[g];
    return a;
}
FUNKC_INLINE NAME(eight) NAME(by)(NAME(eight) a, REAL s)
{
    EACH a.number[g] *= s;
    return a;
}
FUNKC_INLINE NAME(eight) NAME(at_most)(NAME(eight) a, REAL s)
{
    EACH a.number[g] = a.number[g] > s ? s : a.number[g];
    return a;
}
FUNKC_INLINE void NAME(add_squares)(double *sums, NAME(eight) eight, const NAME(eight) *weights)
{
    EACH {
        const double square = (double)eight.number[g] * (double)eight.number[g];
        sums[g] += weights ? square * (double)weights->number[g] : square;
    }
}
#undef EACH
#undef EACH_LANE

#endif

/* x[g] . y[g] for g < count, and zeros; x[g] may be one row for all g.  width is a multiple of
   16. */
FUNKC_INLINE NAME(eight) NAME(dots)(const REAL *const *x, const REAL *const *y, int count,
                                    ptrdiff_t width)
{
    VECTOR total[8];
    FUNKC_UNROLL for (int from = 0; from < 8; from += AT_ONCE) {
        VECTOR lanes[AT_ONCE][PARTS];
        FUNKC_UNROLL for (int g = 0; g < AT_ONCE; g++)
            FUNKC_UNROLL for (int p = 0; p < PARTS; p++)
                lanes[g][p] = from + g < count ? NAME(mul)(NAME(load)(x[from + g] + p * WIDTH),
                                                           NAME(load)(y[from + g] + p * WIDTH))
                                               : NAME(zero)();
        /* Unrolled, the compiler would order it dot by dot, and each addition would wait. */
        FUNKC_ROLL for (ptrdiff_t f = 16; f < width; f += 16)
            FUNKC_UNROLL for (int p = 0; p < PARTS; p++)
                FUNKC_UNROLL for (int g = 0; g < AT_ONCE; g++)
                    if (from + g < count)
                        lanes[g][p] = NAME(add)(
                            lanes[g][p], NAME(mul)(NAME(load)(x[from + g] + f + p * WIDTH),
                                                   NAME(load)(y[from + g] + f + p * WIDTH)));
        FUNKC_UNROLL for (int g = 0; g < AT_ONCE; g++) {
            FUNKC_UNROLL for (int half = PARTS / 2; half; half /= 2)
                FUNKC_UNROLL for (int p = 0; p < half; p++)
                    lanes[g][p] = NAME(add)(lanes[g][p], lanes[g][p + half]);
            total[from + g] = lanes[g][0];
        }
    }
    return NAME(sums)(total);
}

FUNKC_INLINE void NAME(products)(const REAL *x, const REAL *const *y, int count,
                                 ptrdiff_t width, REAL *out)
{
    const REAL *const same[8] = {x, x, x, x, x, x, x, x};
    const NAME(eight) product = NAME(dots)(same, y, count, width);
    memcpy(out, &product, 8 * REAL_BYTES);
}

#undef WIDTH
#undef PARTS
#undef AT_ONCE
#undef VECTOR

#elif defined(REAL)
#error "lanes.h is included from within another template: include it before"
#endif
