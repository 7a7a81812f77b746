/* The kernel of the SGD rule for eight cells at a time; for one, the rule stands in update.pxd.

   One step takes up to eight observed cells of one row i against the same x_i:

       e_g  = r_g - x_i . y_g                                  for every cell g of the group
       x_i += rate * sum_g (e_g * y_g - row_regularization * x_i)
       y_g += rate * (e_g * x_i - col_regularization * y_g)    with x_i as it was before

   A weight, but no more than FUNKC_HEAVIEST, multiplies e_g in both updates: a step of a cell
   that weighs a thousand times the mean would overshoot.  With one cell in the group this is Funk's step.
   The group must not hold a column twice.  Like lanes.h, the file includes itself for float
   and for double. */
#ifndef FUNKC_UPDATE_H
#define FUNKC_UPDATE_H

#include "lanes.h"

#if defined(NAME) || defined(REAL) || defined(REAL_BYTES) || defined(SUFFIX)
#error "update.h defines NAME, REAL, REAL_BYTES and SUFFIX itself: include it before them"
#endif
#define FUNKC_HEAVIEST 4 /* weight in a step; the mean is 1 */
#define FUNKC_UPDATE_PART
#define NAME(name) FUNKC_JOIN(name, SUFFIX)
#define REAL float
#define REAL_BYTES 4
#define SUFFIX f32
#include "update.h"
#undef REAL
#undef REAL_BYTES
#undef SUFFIX
#define REAL double
#define REAL_BYTES 8
#define SUFFIX f64
#include "update.h"
#undef REAL
#undef REAL_BYTES
#undef SUFFIX
#undef NAME
#undef FUNKC_UPDATE_PART

#elif defined(FUNKC_UPDATE_PART)

/* The constants of one epoch.  keep_row[c] is what c cells at once leave of a row. */
typedef struct {
    REAL rate;
    REAL keep_row[9];
    REAL keep_col;
    int nonnegative;     /* how many factors must not fall below 0 */
} NAME(rule);

FUNKC_INLINE NAME(rule) NAME(make_rule)(double rate, double row_regularization,
                                        double col_regularization)
{
    NAME(rule) rule;
    rule.rate = (REAL)rate;
    for (int count = 0; count < 9; count++)
        rule.keep_row[count] = (REAL)(1.0 - rate * row_regularization * count);
    rule.keep_col = (REAL)(1.0 - rate * col_regularization);
    rule.nonnegative = 0;
    return rule;
}

FUNKC_INLINE void NAME(constrain)(REAL *x, REAL *const *y, int count, const NAME(rule) *rule)
{
    for (int f = 0; f < rule->nonnegative; f++) {
        x[f] = x[f] < 0 ? 0 : x[f];
        for (int g = 0; g < count; g++) y[g][f] = y[g][f] < 0 ? 0 : y[g][f];
    }
}

/* Targets of a run: codes into a table of the distinct values, or the values themselves,
   and how much each cell weighs (NULL: as much as any other). */
typedef struct {
    const uint8_t *codes;
    const REAL *values; /* the table if there are codes */
    const REAL *weights;
    REAL row_base;    /* with based: what is taken from the values of the row, */
    const REAL *base; /* and of each column of the page, apart from the product; or NULL */
} NAME(targets);

FUNKC_INLINE void NAME(step)(REAL *x, REAL *y, const uint16_t *cols, NAME(targets) targets,
                             int count, ptrdiff_t width, int coded, int based, int weighted,
                             const NAME(rule) *rule, double *squares)
{
    REAL *column[8];
    FUNKC_UNROLL for (int g = 0; g < 8; g++) column[g] = y + (g < count ? cols[g] * width : 0);
    NAME(eight) target = NAME(pick)(targets.values, coded ? targets.codes : NULL, count);
    if (based)
        target = NAME(minus)(target,
                             NAME(gather)(targets.row_base, targets.base, cols, count));
    const NAME(eight) error =
        NAME(minus)(target, NAME(dots)(x, (const REAL *const *)column, count, width));
    NAME(eight) move = NAME(by)(error, rule->rate);
    if (weighted) {
        const NAME(eight) weight = NAME(pick)(targets.weights, NULL, count);
        NAME(add_squares)(squares, error, &weight);
        move = NAME(times)(move, NAME(at_most)(weight, FUNKC_HEAVIEST));
    } else {
        NAME(add_squares)(squares, error, NULL);
    }
    NAME(vector) moves[8];
    FUNKC_UNROLL for (int g = 0; g < 8; g++)
        if (g < count) moves[g] = NAME(spread)(move, g);
    const REAL keep_row = rule->keep_row[count], keep_col = rule->keep_col;
    for (ptrdiff_t f = 0; f < width; f += (ptrdiff_t)(sizeof(NAME(vector)) / sizeof(REAL))) {
        const NAME(vector) old = NAME(load)(x + f);
        NAME(vector) pull[8];
        FUNKC_UNROLL for (int g = 0; g < 8; g++)
            if (g < count) pull[g] = NAME(load)(column[g] + f);
        FUNKC_UNROLL for (int g = 0; g < 8; g++)
            if (g < count) {
                NAME(store)(column[g] + f, NAME(add)(NAME(scale)(pull[g], keep_col),
                                                     NAME(mul)(old, moves[g])));
                pull[g] = NAME(mul)(pull[g], moves[g]);
            }
        FUNKC_UNROLL for (int apart = 1; apart < 8; apart *= 2)
            FUNKC_UNROLL for (int g = 0; g + apart < 8; g += 2 * apart)
                if (g + apart < count) pull[g] = NAME(add)(pull[g], pull[g + apart]);
        NAME(store)(x + f, NAME(add)(NAME(scale)(old, keep_row), pull[0]));
    }
    if (rule->nonnegative) NAME(constrain)(x, column, count, rule);
}

FUNKC_INLINE void NAME(steps)(REAL *x, REAL *y, const uint16_t *cols, NAME(targets) targets,
                              ptrdiff_t n, ptrdiff_t width, int coded, int based, int weighted,
                              const NAME(rule) *rule, double *squares)
{
#define STEP(count)                                                                    \
    NAME(step)(x, y, cols, targets, count, width, coded, based, weighted, rule, squares); \
    n -= count;                                                                        \
    cols += count;                                                                     \
    if (coded) targets.codes += count;                                                 \
    else targets.values += count;                                                      \
    if (weighted) targets.weights += count;
    while (n >= 8) {
        for (int g = 8; g < 16 && g < n; g++)
            for (ptrdiff_t f = 0; f < width; f += 64 / (ptrdiff_t)sizeof(REAL))
                FUNKC_PREFETCH(y + cols[g] * width + f);
        STEP(8)
    }
    switch (n) {
    case 7: STEP(7) break;
    case 6: STEP(6) break;
    case 5: STEP(5) break;
    case 4: STEP(4) break;
    case 3: STEP(3) break;
    case 2: STEP(2) break;
    case 1: STEP(1) break;
    }
#undef STEP
}

/* All n cells of one row's run, in order.  x is the row, y the columns' page.  squares
   holds eight running sums of squared errors, in double.  The common cases are handed on as
   literals: a choice that is left to each step costs a fifth of the speed. */
static void NAME(run)(REAL *x, REAL *y, const uint16_t *cols, NAME(targets) targets, ptrdiff_t n,
                      ptrdiff_t width, const NAME(rule) *rule, double *squares)
{
#define STEPS(width, coded, based, weighted) \
    NAME(steps)(x, y, cols, targets, n, width, coded, based, weighted, rule, squares)
#define PLAIN(width)                               \
    if (targets.codes) {                           \
        if (targets.base) STEPS(width, 1, 1, 0);   \
        else STEPS(width, 1, 0, 0);                \
    } else {                                       \
        if (targets.base) STEPS(width, 0, 1, 0);   \
        else STEPS(width, 0, 0, 0);                \
    }
    if (!targets.weights) {
        switch (width) {
        case 16: PLAIN(16) return;
        case 32: PLAIN(32) return;
        case 64: PLAIN(64) return;
        case 128: PLAIN(128) return;
        default: PLAIN(width) return;
        }
    }
    STEPS(width, targets.codes != NULL, targets.base != NULL, 1);
#undef PLAIN
#undef STEPS
}

#elif defined(REAL)
#error "update.h is included from within another template: include it before"
#endif
