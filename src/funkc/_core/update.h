/* The kernel of the SGD rule for eight cells at a time; for one, the rule stands in update.pxd.

   A step takes the errors of up to eight cells before it learns from any of them.  Of one row i,
   whose columns differ:

       e_g  = r_g - x_i . y_g                                  for every cell g of the group
       x_i += rate * sum_g (e_g * y_g - row_regularization * x_i)
       y_g += rate * (e_g * x_i - col_regularization * y_g)    with x_i as it was before

   Of eight loose cells (i_g, j_g), whose rows and columns may be equal:

       e_g  = r_g - x_i . y_j                                  for every cell g of the group
       x_i += rate * (e_g * y_j - row_regularization * x_i)    and then, cell after cell,
       y_j += rate * (e_g * x_i - col_regularization * y_j)    with x_i and y_j as they come

   With another loss than the squared one (loss.h), e_g is the pull of the cell.  Either is Funk's
   step if there is one cell.  A weight, but no more than FUNKC_HEAVIEST,
   multiplies e_g in both updates: a step of a cell that weighs a thousand times the mean would
   overshoot.  Like lanes.h, the file includes itself for float and for double.

   Design
   a. A step waits for its sums, so what matters is that the next one need not wait for it: where
      steps are short, two rows take turns, and loose cells are mostly of different rows.
   b. A row's cells beyond fours are loose.  Steps of one to seven cells, each a branch of its
      own, cost as much as a step of eight: with five entries a row and k = 16, 20 ns an update
      instead of 8.
   c. A decay that is kept as one number beside y would save a multiplication an element: it
      gains up to a tenth at k = 128 without its bookkeeping, and nothing with it. */
#ifndef FUNKC_UPDATE_H
#define FUNKC_UPDATE_H

#include "lanes.h"
#include "loss.h"
#include "run.h"

#if defined(NAME) || defined(REAL) || defined(REAL_BYTES) || defined(SUFFIX)
#error "update.h defines NAME, REAL, REAL_BYTES and SUFFIX itself: include it before them"
#endif
#define FUNKC_HEAVIEST 4 /* weight in a step; the mean is 1 */
#define FUNKC_SHORT 32   /* factors of a row up to which two rows take turns */
#define FUNKC_NEAR 262144 /* bytes of columns that need no prefetch, as they stay in the cache */
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
    int loss;
    REAL bound;          /* see loss.h */
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
    rule.loss = FUNKC_SQUARED_LOSS;
    rule.bound = 0;
    return rule;
}

FUNKC_INLINE void NAME(constrain)(REAL *x, REAL *const *y, int count, const NAME(rule) *rule)
{
    for (int f = 0; f < rule->nonnegative; f++) {
        x[f] = x[f] < 0 ? 0 : x[f];
        for (int g = 0; g < count; g++) y[g][f] = y[g][f] < 0 ? 0 : y[g][f];
    }
}

typedef struct {
    REAL *x;
    REAL *y;
    const REAL *row_base;
    const REAL *col_base;
    const uint16_t *cols;
    const uint8_t *codes;
    const REAL *values;
    const REAL *weights;
} NAME(cells);

/* What a row's steps go on from. */
typedef struct {
    REAL *x;
    REAL *y; /* the page */
    const REAL *row_base;
    const REAL *col_base;
    ptrdiff_t at; /* of the block's cells */
    ptrdiff_t left;
} NAME(row);

FUNKC_INLINE void NAME(fetch)(const REAL *row, ptrdiff_t width)
{
    for (ptrdiff_t f = 0; f < width; f += 64 / (ptrdiff_t)sizeof(REAL)) FUNKC_PREFETCH(row + f);
}

/* The columns of the step after the one to come. */
FUNKC_INLINE void NAME(fetch_next)(const NAME(cells) *b, const NAME(row) *row, ptrdiff_t width)
{
    for (int g = 8; g < 16 && g < row->left; g++)
        NAME(fetch)(row->y + b->cols[row->at + g] * width, width);
}

FUNKC_INLINE NAME(row) NAME(begin_row)(const NAME(cells) *b, const funkc_run_t *run, ptrdiff_t at,
                                   ptrdiff_t width, int based)
{
    const ptrdiff_t page = (ptrdiff_t)run->page << 16;
    const NAME(row) row = {b->x + run->row * width,
                           b->y + page * width,
                           based ? b->row_base + run->row : NULL,
                           based ? b->col_base + page : NULL,
                           at,
                           run->length_less_1 + 1};
    return row;
}

/* How far to move along each of the other side's rows, by another loss than the squared one. */
FUNKC_APART void NAME(pulled)(const NAME(eight) *value, const NAME(eight) *score,
                              const REAL *weights, int count, const NAME(rule) *rule,
                              double *losses, NAME(eight) *move)
{
    *move = NAME(by)(NAME(pulls)(rule->loss, rule->bound, *value, *score, weights, count, losses),
                     rule->rate);
    if (weights)
        *move = NAME(times)(*move,
                            NAME(at_most)(NAME(pick)(weights, NULL, count), FUNKC_HEAVIEST));
}

/* How far to move along each of the other side's rows; the errors' squares are added up. */
FUNKC_INLINE NAME(numbers) NAME(moves)(const NAME(cells) *b, ptrdiff_t at, NAME(eight) product,
                                       const REAL *const *row_base, const REAL *const *col_base,
                                       int count, int coded, int based, int weighted, int squared,
                                       const NAME(rule) *rule, double *squares)
{
    NAME(eight) error = coded ? NAME(pick)(b->values, b->codes + at, count)
                              : NAME(pick)(b->values + at, NULL, count);
    if (!squared) {
        NAME(eight) move;
        if (based) product = NAME(plus)(product, NAME(gather)(row_base, col_base, count));
        NAME(pulled)(&error, &product, weighted ? b->weights + at : NULL, count, rule, squares,
                     &move);
        return NAME(put)(move);
    }
    if (based) error = NAME(minus)(error, NAME(gather)(row_base, col_base, count));
    error = NAME(minus)(error, product);
    NAME(eight) move = NAME(by)(error, rule->rate);
    if (weighted) {
        const NAME(eight) weight = NAME(pick)(b->weights + at, NULL, count);
        NAME(add_squares)(squares, error, &weight);
        move = NAME(times)(move, NAME(at_most)(weight, FUNKC_HEAVIEST));
    } else {
        NAME(add_squares)(squares, error, NULL);
    }
    return NAME(put)(move);
}

/* The next cells of a row. */
FUNKC_INLINE void NAME(step)(const NAME(cells) *b, NAME(row) *row, int count, ptrdiff_t width,
                             int coded, int based, int weighted, int squared,
                             const NAME(rule) *rule, double *squares)
{
    const uint16_t *cols = b->cols + row->at;
    REAL *const x = row->x;
    REAL *columns[8];
    const REAL *rows[8], *row_base[8], *col_base[8];
    FUNKC_UNROLL for (int g = 0; g < 8; g++) {
        const ptrdiff_t col = g < count ? cols[g] : 0;
        rows[g] = x;
        columns[g] = row->y + col * width;
        row_base[g] = row->row_base;
        col_base[g] = based ? row->col_base + col : NULL;
    }
    const NAME(eight) product = NAME(dots)(rows, (const REAL *const *)columns, count, width);
    const NAME(numbers) move = NAME(moves)(b, row->at, product, row_base, col_base, count, coded,
                                           based, weighted, squared, rule, squares);
    NAME(vector) moves[8];
    FUNKC_UNROLL for (int g = 0; g < 8; g++)
        if (g < count) moves[g] = NAME(all)(move.number[g]);
    const REAL keep_row = rule->keep_row[count], keep_col = rule->keep_col;
    for (ptrdiff_t f = 0; f < width; f += (ptrdiff_t)(sizeof(NAME(vector)) / sizeof(REAL))) {
        const NAME(vector) old = NAME(load)(x + f);
        NAME(vector) pull[8];
        FUNKC_UNROLL for (int g = 0; g < 8; g++)
            if (g < count) pull[g] = NAME(load)(columns[g] + f);
        FUNKC_UNROLL for (int g = 0; g < 8; g++)
            if (g < count) {
                NAME(store)(columns[g] + f, NAME(add)(NAME(scale)(pull[g], keep_col),
                                                      NAME(mul)(old, moves[g])));
                pull[g] = NAME(mul)(pull[g], moves[g]);
            }
        FUNKC_UNROLL for (int apart = 1; apart < 8; apart *= 2)
            FUNKC_UNROLL for (int g = 0; g + apart < 8; g += 2 * apart)
                if (g + apart < count) pull[g] = NAME(add)(pull[g], pull[g + apart]);
        NAME(store)(x + f, NAME(add)(NAME(scale)(old, keep_row), pull[0]));
    }
    if (rule->nonnegative) NAME(constrain)(x, columns, count, rule);
    row->at += count;
    row->left -= count;
}

/* Eight loose cells. */
FUNKC_INLINE void NAME(step_apart)(const NAME(cells) *b, const funkc_run_t *runs, ptrdiff_t at,
                                   ptrdiff_t width, int coded, int based, int weighted,
                                   int squared, const NAME(rule) *rule, double *squares)
{
    REAL *rows[8], *columns[8];
    const REAL *row_base[8], *col_base[8];
    FUNKC_UNROLL for (int g = 0; g < 8; g++) {
        const ptrdiff_t col = ((ptrdiff_t)runs[g].page << 16) + b->cols[at + g];
        rows[g] = b->x + runs[g].row * width;
        columns[g] = b->y + col * width;
        row_base[g] = based ? b->row_base + runs[g].row : NULL;
        col_base[g] = based ? b->col_base + col : NULL;
    }
    const NAME(eight) product = NAME(dots)((const REAL *const *)rows,
                                           (const REAL *const *)columns, 8, width);
    const NAME(numbers) move = NAME(moves)(b, at, product, row_base, col_base, 8, coded, based,
                                           weighted, squared, rule, squares);
    const REAL keep_row = rule->keep_row[1], keep_col = rule->keep_col;
    FUNKC_UNROLL for (int g = 0; g < 8; g++) {
        const NAME(vector) by = NAME(all)(move.number[g]);
        for (ptrdiff_t f = 0; f < width; f += (ptrdiff_t)(sizeof(NAME(vector)) / sizeof(REAL))) {
            const NAME(vector) x = NAME(load)(rows[g] + f), y = NAME(load)(columns[g] + f);
            NAME(store)(rows[g] + f, NAME(add)(NAME(scale)(x, keep_row), NAME(mul)(y, by)));
            NAME(store)(columns[g] + f, NAME(add)(NAME(scale)(y, keep_col), NAME(mul)(x, by)));
        }
        if (rule->nonnegative) NAME(constrain)(rows[g], columns + g, 1, rule);
    }
}

/* All cells of a block.  Rows of few factors take turns by pairs, a step each; the last loose
   cells, fewer than eight, are taken one by one. */
FUNKC_INLINE void NAME(steps)(const NAME(cells) *b, const funkc_block_t *block, ptrdiff_t width,
                              int coded, int based, int weighted, int squared,
                              const NAME(rule) *rule, double *squares)
{
#define STEP(row, count) \
    NAME(step)(b, row, count, width, coded, based, weighted, squared, rule, squares)
    const funkc_run_t *run = block->runs;
    ptrdiff_t at = 0;
    if (width > FUNKC_SHORT)
        for (; run < block->loose; run++) {
            NAME(row) row = NAME(begin_row)(b, run, at, width, based);
            at += row.left;
            if (block->loose - run > 2) NAME(fetch)(b->x + run[2].row * width, width);
            while (row.left >= 8) {
                if (block->fetch_ahead) NAME(fetch_next)(b, &row, width);
                STEP(&row, 8);
            }
            if (row.left) STEP(&row, 4);
        }
    else
        for (ptrdiff_t n = block->loose - run; n > 0; n -= 2, run += 2) {
            NAME(row) rows[2];
            rows[0] = NAME(begin_row)(b, run, at, width, based);
            at += rows[0].left;
            rows[1].left = 0;
            if (n > 1) {
                rows[1] = NAME(begin_row)(b, run + 1, at, width, based);
                at += rows[1].left;
            }
            if (n > 3) {
                NAME(fetch)(b->x + run[2].row * width, width);
                NAME(fetch)(b->x + run[3].row * width, width);
            }
            for (int turn = 0; rows[turn].left; turn ^= rows[turn ^ 1].left != 0) {
                NAME(row) *const row = rows + turn;
                if (block->fetch_ahead) NAME(fetch_next)(b, row, width);
                if (row->left >= 8) STEP(row, 8);
                else STEP(row, 4);
            }
        }
    for (run = block->loose; block->end - run >= 8; run += 8, at += 8) {
        if (block->end - run >= 16)
            for (int g = 8; g < 16; g++) {
                const ptrdiff_t col = ((ptrdiff_t)run[g].page << 16) + b->cols[at + g];
                NAME(fetch)(b->x + run[g].row * width, width);
                NAME(fetch)(b->y + col * width, width);
            }
        NAME(step_apart)(b, run, at, width, coded, based, weighted, squared, rule, squares);
    }
    for (; run < block->end; run++, at++) {
        NAME(row) row = NAME(begin_row)(b, run, at, width, based);
        STEP(&row, 1);
    }
#undef STEP
}

/* squares holds eight running sums of losses, in double.  The common cases are handed
   on as literals: a choice that is left to each step costs a fifth of the speed. */
static void NAME(sweep)(const funkc_block_t *block, ptrdiff_t width, const NAME(rule) *rule,
                        double *squares)
{
    const NAME(cells) b = {block->x,    block->y,     block->row_base, block->col_base,
                           block->cols, block->codes, block->values,   block->weights};
#define STEPS(width, coded, based, weighted, squared) \
    NAME(steps)(&b, block, width, coded, based, weighted, squared, rule, squares)
#define PLAIN(width)                           \
    if (b.codes) {                            \
        if (b.row_base) STEPS(width, 1, 1, 0, 1); \
        else STEPS(width, 1, 0, 0, 1);            \
    } else {                                   \
        if (b.row_base) STEPS(width, 0, 1, 0, 1); \
        else STEPS(width, 0, 0, 0, 1);            \
    }
    if (rule->loss != FUNKC_SQUARED_LOSS) {
        STEPS(width, b.codes != NULL, b.row_base != NULL, b.weights != NULL, 0);
        return;
    }
    if (!b.weights) {
        switch (width) {
        case 16: PLAIN(16) return;
        case 32: PLAIN(32) return;
        case 64: PLAIN(64) return;
        case 128: PLAIN(128) return;
        default: PLAIN(width) return;
        }
    }
    STEPS(width, b.codes != NULL, b.row_base != NULL, 1, 1);
#undef PLAIN
#undef STEPS
}

#elif defined(REAL)
#error "update.h is included from within another template: include it before"
#endif
