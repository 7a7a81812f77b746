/* THE losses: what a cell costs, and how hard it pulls at its prediction.

   A score s is what the factors and biases add up to; a loss says which prediction it stands for
   (its link), and what that costs beside the value r:

       squared    s                 (r - s)^2                    pull r - s
       absolute   s                 |r - s|                      sign of r - s
       Huber      s                 e^2 / 2 up to |e| = delta, then delta (|e| - delta / 2);
                                                                 r - s, but no more than delta
       logistic   1 / (1 + e^-s)    log(1 + e^s) - r s           r - prediction
       Poisson    e^s               e^s - r s (- r + r log r)    r - prediction

   The pull is minus the derivative by s (of the squared loss: half of it).  That of a count has no
   bound, and neither has its derivative: as in an implicit step it is divided by 1 + steep e^s, and
   is at most 1 / steep, which goes to 0 with the rate.

   Exponentials and logarithms are series in an order that the source fixes, as every library has
   its own: predictions and logarithms are within 3 units in the last place.  Like lanes.h,
   the file includes itself for float and for double. */
#ifndef FUNKC_LOSS_H
#define FUNKC_LOSS_H

#include "lanes.h"

#if defined(NAME) || defined(REAL) || defined(REAL_BYTES) || defined(INTEGER) || defined(SUFFIX)
#error "loss.h defines NAME, REAL, REAL_BYTES, INTEGER and SUFFIX itself: include it before them"
#endif

enum {
    FUNKC_SQUARED_LOSS,
    FUNKC_ABSOLUTE_LOSS,
    FUNKC_HUBER_LOSS,
    FUNKC_LOGISTIC_LOSS,
    FUNKC_POISSON_LOSS
};

#define FUNKC_LOSS_PART
#define NAME(name) FUNKC_JOIN(name, SUFFIX)
#define REAL float
#define REAL_BYTES 4
#define INTEGER int32_t
#define SUFFIX f32
#define MANTISSA 23
#define LARGEST 88.0f /* exponents whose power is a normal number */
#define LEAST -87.0f
#define MAGIC 12582912.0f /* 1.5 * 2^23: adding it rounds to a whole number */
#define LOG_2_HIGH 0.693359375f
#define LOG_2_LOW -2.12194440e-4f
#include "loss.h"
#undef REAL
#undef REAL_BYTES
#undef INTEGER
#undef SUFFIX
#undef MANTISSA
#undef LARGEST
#undef LEAST
#undef MAGIC
#undef LOG_2_HIGH
#undef LOG_2_LOW
#define REAL double
#define REAL_BYTES 8
#define INTEGER int64_t
#define SUFFIX f64
#define MANTISSA 52
#define LARGEST 709.0
#define LEAST -708.0
#define MAGIC 6755399441055744.0
#define LOG_2_HIGH 6.93147180369123816490e-01
#define LOG_2_LOW 1.90821492927058770002e-10
#include "loss.h"
#undef REAL
#undef REAL_BYTES
#undef INTEGER
#undef SUFFIX
#undef MANTISSA
#undef LARGEST
#undef LEAST
#undef MAGIC
#undef LOG_2_HIGH
#undef LOG_2_LOW
#undef NAME
#undef FUNKC_LOSS_PART

/* The natural logarithm of a positive number. */
FUNKC_INLINE double funkc_logarithm(double a)
{
    int64_t bits, half_bits;
    const double half = 0.70710678118654752440;
    double exponent = 0, z, w;
    if (a < 1e-300) { /* a denormal number, maybe */
        a *= 18014398509481984.0;
        exponent = -54;
    }
    memcpy(&bits, &a, 8);
    memcpy(&half_bits, &half, 8);
    const int64_t above = (bits - half_bits) >> 52; /* a = 2^above m, m from half to twice that */
    bits -= (int64_t)((uint64_t)above << 52);
    exponent += (double)above;
    memcpy(&a, &bits, 8);
    z = (a - 1) / (a + 1);
    w = z * z;
    double sum = 0;
    for (int n = 21; n > 1; n -= 2) sum = sum * w + 2.0 / n;
    return exponent * 6.93147180369123816490e-01
           + (z * 2 + (z * w * sum + exponent * 1.90821492927058770002e-10));
}

#elif defined(FUNKC_LOSS_PART)

/* One vector of numbers, or one number: the same text for both. */
#ifdef FUNKC_VECTOR_BYTES
#define MANY NAME(vector)
#define BITS_OF_MANY NAME(indexes)
#define BITS(a) ((BITS_OF_MANY)(a))
#define FROM_BITS(a) ((MANY)(a))
#define SHIFTED(a) ((a) << MANTISSA)
#define MORE(a, b) ((a) > (b))
#define EQUAL_NUMBERS(s) ((MANY){0} + (s))
#define EACH_OF_EIGHT FUNKC_UNROLL for (int i = 0; i < (int)(sizeof(NAME(eight)) / sizeof(MANY)); i++)
#define OF(eight) (eight).part[i]
#else
#define MANY REAL
#define BITS_OF_MANY INTEGER
FUNKC_INLINE INTEGER NAME(bits)(REAL a) { INTEGER b; memcpy(&b, &a, sizeof b); return b; }
FUNKC_INLINE REAL NAME(from_bits)(INTEGER a) { REAL b; memcpy(&b, &a, sizeof b); return b; }
#define BITS(a) NAME(bits)(a)
#define FROM_BITS(a) NAME(from_bits)(a)
#define SHIFTED(a) ((INTEGER)((uint64_t)(a) << MANTISSA))
#define MORE(a, b) (-(INTEGER)((a) > (b)))
#define EQUAL_NUMBERS(s) (s)
#define EACH_OF_EIGHT for (int i = 0; i < 8; i++)
#define OF(eight) (eight).number[i]
#endif
#define CHOOSE(mask, a, b) FROM_BITS((BITS(a) & (mask)) | (BITS(b) & ~(mask)))

FUNKC_INLINE MANY NAME(greater)(MANY a, MANY b) { return CHOOSE(MORE(a, b), a, b); }
FUNKC_INLINE MANY NAME(lesser)(MANY a, MANY b) { return CHOOSE(MORE(a, b), b, a); }

/* e^a; beyond the numbers of the precision, of the nearest exponent within. */
FUNKC_INLINE MANY NAME(power)(MANY a)
{
    a = NAME(lesser)(a, EQUAL_NUMBERS((REAL)LARGEST));
    a = NAME(greater)(a, EQUAL_NUMBERS((REAL)LEAST));
    const MANY whole = a * (REAL)1.44269504088896340736 + (REAL)MAGIC;
    const MANY n = whole - (REAL)MAGIC;
    const MANY r = a - n * (REAL)LOG_2_HIGH - n * (REAL)LOG_2_LOW;
    /* 1 / n! */
    MANY sum;
#if REAL_BYTES == 8
    sum = EQUAL_NUMBERS((REAL)1.60590438368216145994e-10);
    sum = sum * r + (REAL)2.08767569878680989792e-09;
    sum = sum * r + (REAL)2.50521083854417187751e-08;
    sum = sum * r + (REAL)2.75573192239858906526e-07;
    sum = sum * r + (REAL)2.75573192239858906526e-06;
    sum = sum * r + (REAL)2.48015873015873015873e-05;
    sum = sum * r + (REAL)1.98412698412698412698e-04;
#else
    sum = EQUAL_NUMBERS((REAL)1.98412698412698412698e-04);
#endif
    sum = sum * r + (REAL)1.38888888888888888889e-03;
    sum = sum * r + (REAL)8.33333333333333333333e-03;
    sum = sum * r + (REAL)4.16666666666666666667e-02;
    sum = sum * r + (REAL)1.66666666666666666667e-01;
    sum = sum * r + (REAL)0.5;
    sum = sum * r * r + r + (REAL)1.0;
    return FROM_BITS(BITS(sum) + SHIFTED(BITS(whole)));
}

/* log((1 + z) / (1 - z)) for z from -1/3 to 1/3. */
FUNKC_INLINE MANY NAME(log_ratio)(MANY z)
{
    const MANY w = z * z;
    MANY sum;
#if REAL_BYTES == 8
    sum = EQUAL_NUMBERS((REAL)(2.0 / 33));
    sum = sum * w + (REAL)(2.0 / 31);
    sum = sum * w + (REAL)(2.0 / 29);
    sum = sum * w + (REAL)(2.0 / 27);
    sum = sum * w + (REAL)(2.0 / 25);
    sum = sum * w + (REAL)(2.0 / 23);
    sum = sum * w + (REAL)(2.0 / 21);
    sum = sum * w + (REAL)(2.0 / 19);
    sum = sum * w + (REAL)(2.0 / 17);
    sum = sum * w + (REAL)(2.0 / 15);
#else
    sum = EQUAL_NUMBERS((REAL)(2.0 / 15));
#endif
    sum = sum * w + (REAL)(2.0 / 13);
    sum = sum * w + (REAL)(2.0 / 11);
    sum = sum * w + (REAL)(2.0 / 9);
    sum = sum * w + (REAL)(2.0 / 7);
    sum = sum * w + (REAL)(2.0 / 5);
    sum = sum * w + (REAL)(2.0 / 3);
    return z * (REAL)2.0 + z * w * sum;
}

/* The prediction that a score stands for, between 0 and 1; and log(1 + e^-|s|). */
FUNKC_INLINE MANY NAME(chance)(MANY score, MANY *log_rest)
{
    const MANY none = EQUAL_NUMBERS((REAL)0), one = EQUAL_NUMBERS((REAL)1);
    const MANY size = NAME(greater)(score, none - score);
    const MANY rest = NAME(power)(none - size);             /* e^-|s| */
    const MANY likely = one / (one + rest);
    if (log_rest) *log_rest = NAME(log_ratio)(rest / (rest + (REAL)2.0));
    return CHOOSE(MORE(score, none), likely, rest * likely);
}

typedef struct { MANY pull, loss; } NAME(answer);

FUNKC_INLINE NAME(answer) NAME(ask)(int loss, MANY value, MANY score, REAL delta, int costs)
{
    const MANY none = EQUAL_NUMBERS((REAL)0), error = value - score;
    const MANY size = NAME(greater)(error, none - error);
    const MANY most = EQUAL_NUMBERS(delta);
    NAME(answer) a;
    switch (loss) {
    case FUNKC_ABSOLUTE_LOSS:
        a.loss = size;
        a.pull = CHOOSE(MORE(error, none), EQUAL_NUMBERS((REAL)1),
                        CHOOSE(MORE(none, error), EQUAL_NUMBERS((REAL)-1), none));
        break;
    case FUNKC_HUBER_LOSS: {
        const MANY inner = NAME(lesser)(size, most);
        a.loss = inner * (size - inner * (REAL)0.5);
        a.pull = NAME(greater)(NAME(lesser)(error, most), none - most);
        break;
    }
    case FUNKC_LOGISTIC_LOSS:
        a.loss = none;
        a.pull = value - NAME(chance)(score, costs ? &a.loss : NULL);
        a.loss += NAME(greater)(score, none) - value * score;
        break;
    case FUNKC_POISSON_LOSS: {
        const MANY count = NAME(power)(score);
        a.loss = count - value * score;
        a.pull = (value - count) / (count * most + (REAL)1);
        a.pull = NAME(lesser)(a.pull, (REAL)1 / most);
        break;
    }
    default:
        a.loss = error * error;
        a.pull = error;
    }
    return a;
}

/* The pulls of up to eight cells; what they cost is added up, by weight unless weights is NULL. */
FUNKC_INLINE NAME(eight) NAME(pulls)(int loss, REAL delta, NAME(eight) value, NAME(eight) score,
                                     const REAL *weights, int count, double *losses)
{
    NAME(eight) pull = value, cost = value;
    EACH_OF_EIGHT {
        const NAME(answer) a = NAME(ask)(loss, OF(value), OF(score), delta, 1);
        OF(pull) = a.pull;
        OF(cost) = a.loss;
    }
    const NAME(numbers) costs = NAME(put)(cost);
    for (int g = 0; g < count; g++)
        losses[g] += weights ? (double)costs.number[g] * (double)weights[g] : (double)costs.number[g];
    return pull;
}

/* What a Newton's step needs of a cell: the pull, a weight such that no loss overshoots by a step of
   pull / weight, and the curvature, minus the derivative of the pull.  An absolute error bends within
   delta, where it has a curvature; the pull of a count is what it is. */
typedef struct { MANY pull, weight, curvature, loss; } NAME(slope);

FUNKC_INLINE NAME(slope) NAME(slope_of)(int loss, MANY value, MANY score, REAL delta, int costs)
{
    const MANY none = EQUAL_NUMBERS((REAL)0), one = EQUAL_NUMBERS((REAL)1);
    const MANY most = EQUAL_NUMBERS(delta), error = value - score;
    const MANY size = NAME(greater)(error, none - error), bent = NAME(greater)(size, most);
    const NAME(answer) a =
        NAME(ask)(loss, value, score, loss == FUNKC_POISSON_LOSS ? (REAL)0 : delta, costs);
    NAME(slope) s = {a.pull, one, one, a.loss};
    if (loss == FUNKC_ABSOLUTE_LOSS) {
        s.weight = one / bent;
        s.pull = error * s.weight;
        s.curvature = CHOOSE(MORE(size, most), none, one / most);
    } else if (loss == FUNKC_HUBER_LOSS) {
        s.weight = most / bent;
        s.curvature = CHOOSE(MORE(size, most), none, one);
    } else if (loss == FUNKC_LOGISTIC_LOSS) {
        const MANY chance = value - a.pull;
        s.weight = s.curvature = chance * (one - chance);
    } else if (loss == FUNKC_POISSON_LOSS)
        s.weight = s.curvature = value - a.pull;
    return s;
}

/* Of n cells in memory, a multiple of eight: pulls and weights times those that are given (`by`),
   curvatures, and with `costs` what they cost.  Unless sums is NULL, eight lanes of each are added:
   pulls, weights, squares of pulls by weight, given weights. */
FUNKC_INLINE void NAME(slopes_by)(int loss, REAL delta, int costs, int n, const REAL *values,
                                  const REAL *scores, const REAL *by, REAL *pulls, REAL *weights,
                                  REAL *curvatures, REAL *found, REAL *sums)
{
    NAME(eight) all[4];
    if (sums) memcpy(all, sums, sizeof all);
    for (int c = 0; c < n; c += 8) {
        NAME(eight) value, score, given, cost, curvature;
        memcpy(&value, values + c, 8 * sizeof(REAL));
        memcpy(&score, scores + c, 8 * sizeof(REAL));
        memcpy(&given, by + c, 8 * sizeof(REAL));
        EACH_OF_EIGHT {
            const NAME(slope) s = NAME(slope_of)(loss, OF(value), OF(score), delta, costs);
            OF(value) = s.pull * OF(given);
            OF(score) = s.weight * OF(given);
            OF(curvature) = s.curvature;
            OF(cost) = s.loss;
            if (sums) {
                OF(all[0]) += OF(value);
                OF(all[1]) += OF(score);
                OF(all[2]) += OF(value) * s.pull;
                OF(all[3]) += OF(given);
            }
        }
        memcpy(pulls + c, &value, 8 * sizeof(REAL));
        memcpy(weights + c, &score, 8 * sizeof(REAL));
        if (costs) {
            memcpy(curvatures + c, &curvature, 8 * sizeof(REAL));
            memcpy(found + c, &cost, 8 * sizeof(REAL));
        }
    }
    if (sums) memcpy(sums, all, sizeof all);
}

/* The same as a loop of its own for each loss. */
FUNKC_APART void NAME(slopes)(int loss, REAL delta, int costs, int n, const REAL *values,
                              const REAL *scores, const REAL *by, REAL *pulls, REAL *weights,
                              REAL *curvatures, REAL *found, REAL *sums)
{
#define OF_LOSS(which)                                                                            \
    if (loss == which) {                                                                          \
        if (costs)                                                                                \
            NAME(slopes_by)(which, delta, 1, n, values, scores, by, pulls, weights, curvatures,   \
                            found, sums);                                                         \
        else if (sums)                                                                            \
            NAME(slopes_by)(which, delta, 0, n, values, scores, by, pulls, weights, curvatures,   \
                            found, sums);                                                         \
        else                                                                                      \
            NAME(slopes_by)(which, delta, 0, n, values, scores, by, pulls, weights, curvatures,   \
                            found, NULL);                                                         \
    }
    OF_LOSS(FUNKC_ABSOLUTE_LOSS)
    OF_LOSS(FUNKC_HUBER_LOSS)
    OF_LOSS(FUNKC_LOGISTIC_LOSS)
    OF_LOSS(FUNKC_POISSON_LOSS)
#undef OF_LOSS
}

/* Of a single cell. */
FUNKC_INLINE void NAME(slope_of_one)(int loss, REAL value, REAL score, REAL delta, REAL *pull,
                                     REAL *weight, REAL *curvature, REAL *cost)
{
    const NAME(slope) s =
        NAME(slope_of)(loss, EQUAL_NUMBERS(value), EQUAL_NUMBERS(score), delta, 1);
    memcpy(pull, &s.pull, sizeof(REAL));
    memcpy(weight, &s.weight, sizeof(REAL));
    memcpy(curvature, &s.curvature, sizeof(REAL));
    memcpy(cost, &s.loss, sizeof(REAL));
}

/* Of a single cell. */
FUNKC_INLINE REAL NAME(pull_of)(int loss, REAL value, REAL score, REAL delta, double *cost)
{
    NAME(answer) a = NAME(ask)(loss, EQUAL_NUMBERS(value), EQUAL_NUMBERS(score), delta, 1);
    REAL pull, own;
    memcpy(&pull, &a.pull, sizeof pull);
    memcpy(&own, &a.loss, sizeof own);
    *cost = (double)own;
    return pull;
}

/* The prediction that a score stands for. */
FUNKC_INLINE REAL NAME(prediction_of)(int loss, REAL score)
{
    MANY made = EQUAL_NUMBERS(score);
    if (loss == FUNKC_LOGISTIC_LOSS)
        made = NAME(chance)(made, NULL);
    else if (loss == FUNKC_POISSON_LOSS)
        made = NAME(power)(made);
    memcpy(&score, &made, sizeof score);
    return score;
}

#undef MANY
#undef BITS_OF_MANY
#undef BITS
#undef FROM_BITS
#undef SHIFTED
#undef MORE
#undef EQUAL_NUMBERS
#undef EACH_OF_EIGHT
#undef OF
#undef CHOOSE

#elif defined(REAL)
#error "loss.h is included from within another template: include it before"
#endif
