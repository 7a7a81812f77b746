/* A group of patches that look alike, as a matrix: a row is a patch, a column is a place in it.

   Rows are Gaussian around a mean with a few directions of variation (probabilistic PCA; Tipping
   & Bishop 1999), fitted to the observed pixels by one step of EM from a start that the filled
   picture gives.  In lanes stand patches, or places: never does a sum cross lanes but in
   funkc_products_f32, whose order is fixed. */
#ifndef FUNKC_PATCHES_H
#define FUNKC_PATCHES_H

#include <math.h>
#include "solve.h"

enum {
    FUNKC_ROWS = 64,  /* patches of a group at most */
    FUNKC_COLS = 128, /* pixels of a patch at most */
    FUNKC_REACH = 20, /* how far off a patch may lie, at most */
    FUNKC_CANDIDATES = (2 * FUNKC_REACH + 1) * (2 * FUNKC_REACH + 1),
    FUNKC_SUMS = 8 /* sums that share what is loaded, and don't wait for one another */
};
#define FUNKC_LEAST_VARIANCE 1e-5f

typedef struct {
    float filled[FUNKC_COLS][FUNKC_ROWS];   /* the image as it is, later less the mean */
    float observed[FUNKC_COLS][FUNKC_ROWS]; /* 1 or 0 */
    float by_patch[FUNKC_ROWS][FUNKC_COLS]; /* the same, the other way round */
    float observed_by_patch[FUNKC_ROWS][FUNKC_COLS];
    float mean[FUNKC_COLS];
    float v[FUNKC_RANK][FUNKC_COLS];
    float u[FUNKC_RANK][FUNKC_ROWS];
    float vv[FUNKC_PAIRS + FUNKC_SUMS][FUNKC_COLS];        /* products of v, of a place */
    float uncertain[FUNKC_PAIRS + FUNKC_SUMS][FUNKC_ROWS]; /* of u: its posterior covariance */
    float uu[FUNKC_PAIRS + FUNKC_SUMS][FUNKC_ROWS];        /* expected products of u */
    float trust[FUNKC_ROWS][FUNKC_COLS]; /* in what is made: 1 / its variance */
    float out[FUNKC_ROWS][FUNKC_COLS];   /* what is made, times that */
    ptrdiff_t begins[FUNKC_ROWS]; /* where they begin in a channel */
    int n, places, factors;
    float variance;
} funkc_group; /* the vectors first, so that they lie on lines of the cache if the whole does */

/* sums[q] = sum over t < n of x[t] * y[q][t], for FUNKC_SUMS q.  An x is a vector, x_step apart. */
FUNKC_INLINE void funkc_sums(const float *x, ptrdiff_t x_step, const float *y, ptrdiff_t y_step,
                             ptrdiff_t t_step, int n, funkc_vector *sums)
{
    funkc_vector s0 = funkc_all_f32(0), s1 = s0, s2 = s0, s3 = s0;
    funkc_vector s4 = s0, s5 = s0, s6 = s0, s7 = s0;
    for (int t = 0; t < n; t++, x += x_step, y += t_step) {
        const funkc_vector here = funkc_load_f32(x);
        s0 = funkc_add_f32(s0, funkc_mul_f32(here, funkc_all_f32(y[0])));
        s1 = funkc_add_f32(s1, funkc_mul_f32(here, funkc_all_f32(y[y_step])));
        s2 = funkc_add_f32(s2, funkc_mul_f32(here, funkc_all_f32(y[2 * y_step])));
        s3 = funkc_add_f32(s3, funkc_mul_f32(here, funkc_all_f32(y[3 * y_step])));
        s4 = funkc_add_f32(s4, funkc_mul_f32(here, funkc_all_f32(y[4 * y_step])));
        s5 = funkc_add_f32(s5, funkc_mul_f32(here, funkc_all_f32(y[5 * y_step])));
        s6 = funkc_add_f32(s6, funkc_mul_f32(here, funkc_all_f32(y[6 * y_step])));
        s7 = funkc_add_f32(s7, funkc_mul_f32(here, funkc_all_f32(y[7 * y_step])));
    }
    sums[0] = s0, sums[1] = s1, sums[2] = s2, sums[3] = s3;
    sums[4] = s4, sums[5] = s5, sums[6] = s6, sums[7] = s7;
}

/* sums[q] = sum over t < n of x[t] * y[q][t], for q < count and up to FUNKC_SUMS - 1 more. */
FUNKC_INLINE void funkc_all_sums(const float *x, ptrdiff_t x_step, const float *y,
                                 ptrdiff_t y_step, int n, int count, funkc_vector *sums)
{
    for (int q = 0; q < count; q += FUNKC_SUMS)
        funkc_sums(x, x_step, y + q * y_step, y_step, 1, n, sums + q);
}

/* Directions of most variance of the filled rows, times their deviations.  If there is noise, at
   least one of them, and those others that noise alone would not make (its largest singular value
   is about its deviation times sqrt(rows) + sqrt(columns); Geman 1980). */
static void funkc_group_start(funkc_group *group, float noise)
{
    const int n = group->n, places = group->places, factors = group->factors;
    const int padded = (places + 15) / 16 * 16;
    for (int j = 0; j < padded; j += FUNKC_LENGTH) {
        funkc_vector sum = funkc_all_f32(0);
        for (int i = 0; i < n; i++)
            sum = funkc_add_f32(sum, funkc_load_f32(&group->by_patch[i][j]));
        funkc_store_f32(&group->mean[j], funkc_div_f32(sum, funkc_all_f32((float)n)));
    }
    for (int i = 0; i < n; i++)
        for (int j = 0; j < padded; j += FUNKC_LENGTH)
            funkc_store_f32(&group->by_patch[i][j],
                            funkc_sub_f32(funkc_load_f32(&group->by_patch[i][j]),
                                          funkc_load_f32(&group->mean[j])));
    for (int j = 0; j < places; j++)
        for (int i = 0; i < FUNKC_ROWS; i += FUNKC_LENGTH)
            funkc_store_f32(&group->filled[j][i],
                            funkc_sub_f32(funkc_load_f32(&group->filled[j][i]),
                                          funkc_all_f32(group->mean[j])));

    /* Subspace iteration; its first scores are signs that an integer hash draws. */
    for (int a = 0; a < factors; a++)
        for (int i = 0; i < FUNKC_ROWS; i++) {
            const uint32_t bits = (uint32_t)(a * FUNKC_ROWS + i + 1) * 2654435769u;
            group->u[a][i] = i >= n ? 0.0f : bits >> 31 ? 1.0f : -1.0f;
        }
    for (int round = 0; round < 4; round++) {
        funkc_vector sums[FUNKC_RANK];
        for (int j = 0; j < padded; j += FUNKC_LENGTH) {
            funkc_all_sums(&group->by_patch[0][j], FUNKC_COLS, group->u[0], FUNKC_ROWS, n,
                           factors, sums);
            for (int a = 0; a < factors; a++) funkc_store_f32(&group->v[a][j], sums[a]);
        }
        for (int a = 0; a < factors; a++) {
            float *q = group->v[a];
            for (int b = 0; b <= a; b++) {
                const float *other = group->v[b];
                float product[8];
                funkc_products_f32(q, &other, 1, padded, product);
                const float length = sqrtf(product[0]);
                const float by = b < a ? product[0] : length > 1e-20f ? 1 / length : 0;
                for (int j = 0; j < padded; j += FUNKC_LENGTH) {
                    const funkc_vector old = funkc_load_f32(q + j);
                    const funkc_vector part =
                        funkc_mul_f32(funkc_all_f32(by), b < a ? funkc_load_f32(other + j) : old);
                    funkc_store_f32(q + j, b < a ? funkc_sub_f32(old, part) : part);
                }
            }
        }
        for (int i = 0; i < FUNKC_ROWS; i += FUNKC_LENGTH) {
            funkc_all_sums(&group->filled[0][i], FUNKC_ROWS, group->v[0], FUNKC_COLS, places,
                           factors, sums);
            for (int a = 0; a < factors; a++) funkc_store_f32(&group->u[a][i], sums[a]);
        }
        for (int a = 0; a < factors; a++)
            for (int i = n; i < FUNKC_ROWS; i++) group->u[a][i] = 0;
    }
    const float least = noise * (sqrtf((float)n) + sqrtf((float)places));
    float product[8], total = 0, told = 0;
    int kept = 0;
    for (int i = 0; i < n; i++) {
        const float *row = group->by_patch[i];
        funkc_products_f32(row, &row, 1, padded, product);
        total += product[0];
    }
    for (int a = 0; a < factors; a++, kept++) {
        const float *scores = group->u[a];
        funkc_products_f32(scores, &scores, 1, FUNKC_ROWS, product);
        if (a > 0 && !(product[0] > least * least) && noise > 0) break;
        told += product[0];
        const float deviation = sqrtf(product[0] / (float)n);
        for (int j = 0; j < padded; j += FUNKC_LENGTH)
            funkc_store_f32(&group->v[a][j], funkc_mul_f32(funkc_load_f32(&group->v[a][j]),
                                                           funkc_all_f32(deviation)));
    }
    group->factors = kept;
    const float left = (total - told) / (float)(n * (places - kept));
    group->variance = left > FUNKC_LEAST_VARIANCE ? left : FUNKC_LEAST_VARIANCE;
    for (int j = 0; j < places; j++) /* centre the observed ones alone from here on */
        for (int i = 0; i < FUNKC_ROWS; i += FUNKC_LENGTH)
            funkc_store_f32(&group->filled[j][i],
                            funkc_mul_f32(funkc_load_f32(&group->filled[j][i]),
                                          funkc_load_f32(&group->observed[j][i])));
}

static void funkc_group_products(funkc_group *group)
{
    for (int a = 0; a < group->factors; a++)
        for (int b = 0; b <= a; b++)
            for (int j = 0; j < group->places; j += FUNKC_LENGTH)
                funkc_store_f32(&group->vv[FUNKC_PAIR(a, b)][j],
                                funkc_mul_f32(funkc_load_f32(&group->v[a][j]),
                                              funkc_load_f32(&group->v[b][j])));
}

/* E: what the observed pixels of every patch say about its scores. */
FUNKC_INLINE void funkc_group_expect_of(funkc_group *group, int factors)
{
    const int places = group->places;
    const int pairs = FUNKC_PAIR(factors, 0);
    const funkc_vector variance = funkc_all_f32(group->variance);
    funkc_group_products(group);
    for (int i = 0; i < group->n; i += FUNKC_LENGTH) {
        funkc_vector A[FUNKC_PAIRS + FUNKC_SUMS], b[FUNKC_RANK], inverse[FUNKC_RANK],
            C[FUNKC_PAIRS];
        funkc_all_sums(&group->observed[0][i], FUNKC_ROWS, group->vv[0], FUNKC_COLS, places,
                       pairs, A);
        funkc_all_sums(&group->filled[0][i], FUNKC_ROWS, group->v[0], FUNKC_COLS, places,
                       factors, b);
        for (int a = 0; a < factors; a++)
            A[FUNKC_PAIR(a, a)] = funkc_add_f32(A[FUNKC_PAIR(a, a)], variance);
        funkc_decompose(A, inverse, factors);
        funkc_solve(A, inverse, b, factors);
        funkc_invert(A, inverse, C, factors);
        for (int a = 0; a < factors; a++) funkc_store_f32(&group->u[a][i], b[a]);
        for (int p = 0; p < pairs; p++)
            funkc_store_f32(&group->uncertain[p][i], funkc_mul_f32(variance, C[p]));
    }
}

/* The usual numbers of factors as literals. */
static void funkc_group_expect(funkc_group *group)
{
    switch (group->factors) {
    case 3: funkc_group_expect_of(group, 3); break;
    case 4: funkc_group_expect_of(group, 4); break;
    case 6: funkc_group_expect_of(group, 6); break;
    case 8: funkc_group_expect_of(group, 8); break;
    case 12: funkc_group_expect_of(group, 12); break;
    case 16: funkc_group_expect_of(group, 16); break;
    default: funkc_group_expect_of(group, group->factors);
    }
}

/* M: mean, directions and variance from the expected scores. */
static void funkc_group_maximize(funkc_group *group)
{
    const int n = group->n, places = group->places, factors = group->factors;
    const int pairs = FUNKC_PAIR(factors, 0);
    float squares[FUNKC_COLS], counts[FUNKC_COLS], shifts[FUNKC_COLS];
    for (int a = 0; a < factors; a++)
        for (int b = 0; b <= a; b++)
            for (int i = 0; i < n; i += FUNKC_LENGTH)
                funkc_store_f32(&group->uu[FUNKC_PAIR(a, b)][i],
                                funkc_add_f32(funkc_mul_f32(funkc_load_f32(&group->u[a][i]),
                                                            funkc_load_f32(&group->u[b][i])),
                                              funkc_load_f32(
                                                  &group->uncertain[FUNKC_PAIR(a, b)][i])));
    for (int j = 0; j < places; j += FUNKC_LENGTH) {
        funkc_vector A[FUNKC_PAIRS + FUNKC_SUMS], b[FUNKC_RANK], right[FUNKC_RANK],
            inverse[FUNKC_RANK];
        funkc_vector count = funkc_all_f32(0), rest = funkc_all_f32(0), square = funkc_all_f32(0);
        for (int i = 0; i < n; i++) {
            const funkc_vector here = funkc_load_f32(&group->observed_by_patch[i][j]);
            funkc_vector fit = funkc_all_f32(0);
            for (int a = 0; a < factors; a++)
                fit = funkc_add_f32(fit, funkc_mul_f32(funkc_all_f32(group->u[a][i]),
                                                       funkc_load_f32(&group->v[a][j])));
            count = funkc_add_f32(count, here);
            fit = funkc_sub_f32(funkc_load_f32(&group->by_patch[i][j]), fit);
            rest = funkc_add_f32(rest, funkc_mul_f32(here, fit));
        }
        /* Half an observation says that the mean stays as it was, which is 0 by now. */
        const funkc_vector shift = funkc_div_f32(rest, funkc_add_f32(count, funkc_all_f32(0.5f)));
        funkc_vector values[FUNKC_ROWS];
        for (int i = 0; i < n; i++) {
            values[i] = funkc_mul_f32(funkc_load_f32(&group->observed_by_patch[i][j]),
                                funkc_sub_f32(funkc_load_f32(&group->by_patch[i][j]), shift));
            square = funkc_add_f32(square, funkc_mul_f32(values[i], values[i]));
        }
        funkc_all_sums((const float *)values, FUNKC_LENGTH, group->u[0], FUNKC_ROWS, n, factors, b);
        funkc_all_sums(&group->observed_by_patch[0][j], FUNKC_COLS, group->uu[0], FUNKC_ROWS, n,
                       pairs, A);
        for (int a = 0; a < factors; a++) {
            A[FUNKC_PAIR(a, a)] =
                funkc_add_f32(A[FUNKC_PAIR(a, a)], funkc_all_f32(group->variance));
            right[a] = b[a];
        }
        funkc_decompose(A, inverse, factors);
        funkc_solve(A, inverse, b, factors);
        /* sum of (y - v.u)^2 expected = y.y - v.right - variance v.v, for v solves the system */
        for (int a = 0; a < factors; a++) {
            funkc_store_f32(&group->v[a][j], b[a]);
            const funkc_vector shrunk = funkc_mul_f32(funkc_all_f32(group->variance), b[a]);
            square = funkc_sub_f32(square, funkc_mul_f32(b[a], funkc_add_f32(right[a], shrunk)));
        }
        funkc_store_f32(&squares[j], square);
        funkc_store_f32(&counts[j], count);
        funkc_store_f32(&shifts[j], shift);
    }
    double total = 0, count = 0;
    for (int j = 0; j < places; j++) {
        total += squares[j];
        count += counts[j];
        group->mean[j] += shifts[j];
        for (int i = 0; i < FUNKC_ROWS; i += FUNKC_LENGTH)
            funkc_store_f32(&group->filled[j][i],
                            funkc_sub_f32(funkc_load_f32(&group->filled[j][i]),
                                          funkc_mul_f32(funkc_load_f32(&group->observed[j][i]),
                                                        funkc_all_f32(shifts[j]))));
    }
    const float variance = (float)(total / (count > 0 ? count : 1));
    group->variance = variance > FUNKC_LEAST_VARIANCE ? variance : FUNKC_LEAST_VARIANCE;
}

/* Every pixel of every patch, and how far it may be trusted. */
static void funkc_group_predict(funkc_group *group)
{
    const int factors = group->factors, pairs = FUNKC_PAIR(factors, 0);
    for (int a = 0; a < factors; a++) /* both halves of the symmetric matrix at once */
        for (int b = 0; b < a; b++)
            for (int i = 0; i < group->n; i += FUNKC_LENGTH) {
                float *at = &group->uncertain[FUNKC_PAIR(a, b)][i];
                funkc_store_f32(at, funkc_mul_f32(funkc_load_f32(at), funkc_all_f32(2)));
            }
    for (int i = 0; i < group->n; i += FUNKC_SUMS) /* places in lanes: they lie in a row here */
        for (int j = 0; j < group->places; j += FUNKC_LENGTH) {
            funkc_vector fits[FUNKC_SUMS], spreads[FUNKC_SUMS];
            funkc_sums(&group->v[0][j], FUNKC_COLS, &group->u[0][i], 1, FUNKC_ROWS, factors,
                       fits);
            funkc_sums(&group->vv[0][j], FUNKC_COLS, &group->uncertain[0][i], 1, FUNKC_ROWS,
                       pairs, spreads);
            for (int q = 0; q < FUNKC_SUMS; q++) {
                const funkc_vector hidden = funkc_sub_f32(
                    funkc_all_f32(1), funkc_load_f32(&group->observed_by_patch[i + q][j]));
                const funkc_vector variance = funkc_add_f32(funkc_all_f32(group->variance + 1e-6f),
                                                     funkc_mul_f32(hidden, spreads[q]));
                const funkc_vector trust = funkc_div_f32(funkc_all_f32(1), variance);
                const funkc_vector made = funkc_add_f32(funkc_load_f32(&group->mean[j]), fits[q]);
                funkc_store_f32(&group->trust[i + q][j], trust);
                funkc_store_f32(&group->out[i + q][j], funkc_mul_f32(made, trust));
            }
        }
}

/* A picture of one or more channels, each one frame or a stack of them, and what is known of it.
   The last one is followed by SPARE numbers more, so that whole vectors can be read. */
typedef struct {
    const float *pixels;     /* (channels, depth, height, width), holes filled */
    const uint8_t *observed; /* likewise */
    ptrdiff_t channels, depth, height, width;
} funkc_picture;

/* What the groups of a pass are made of. */
typedef struct {
    int size, deep;             /* of a patch: rows and columns, and frames */
    int reach, reach_deep;      /* how far off a similar one may lie */
    int similar;                /* patches of a group */
    int backwards, from_right;  /* how the picture is scanned: from the last row and frame on, ... */
    int directions;             /* at most, or as many as exceed the noise */
    float noise;                /* its deviation; 0: directions are not chosen */
} funkc_pass;

/* Finds the patches that resemble the one at (first, top, left), and copies them.  That one is the
   first; of equally good ones those come first that stand behind it in the scan (by rows, frames
   and columns), which no group has taken yet. */
static void funkc_group_find(funkc_group *group, const funkc_picture *picture,
                             const funkc_pass *pass, ptrdiff_t first, ptrdiff_t top,
                             ptrdiff_t left)
{
    float distances[2 * FUNKC_REACH + 1 + 3 * FUNKC_LENGTH];
    uint32_t keys[FUNKC_CANDIDATES];
    const ptrdiff_t width = picture->width, frame = picture->height * width;
    const ptrdiff_t plane = picture->depth * frame;
    const int size = pass->size, deep = pass->deep, wanted = pass->similar;
    const ptrdiff_t reach = pass->reach, reach_deep = pass->reach_deep;
    const ptrdiff_t first_from = first > reach_deep ? first - reach_deep : 0;
    const ptrdiff_t first_to = first + reach_deep < picture->depth - deep ? first + reach_deep
                                                                          : picture->depth - deep;
    const ptrdiff_t top_from = top > reach ? top - reach : 0;
    const ptrdiff_t top_to = top + reach < picture->height - size ? top + reach
                                                                  : picture->height - size;
    const ptrdiff_t left_from = left > reach ? left - reach : 0;
    const ptrdiff_t left_to = left + reach < width - size ? left + reach : width - size;
    const int across = (int)(left_to - left_from + 1), down = (int)(top_to - top_from + 1);
    int n = 0;
    for (ptrdiff_t t = first_from; t <= first_to; t++)
        for (ptrdiff_t y = top_from; y <= top_to; y++, n += across) {
            for (int x = 0; x < across; x += 3 * FUNKC_LENGTH) {
                funkc_vector s0 = funkc_all_f32(0), s1 = s0, s2 = s0;
                for (ptrdiff_t c = 0; c < picture->channels * deep; c++) {
                    const ptrdiff_t at = c / deep * plane + c % deep * frame;
                    const float *own = picture->pixels + at + first * frame + top * width + left;
                    const float *other =
                        picture->pixels + at + t * frame + y * width + left_from + x;
                    for (int row = 0; row < size; row++, own += width, other += width)
                        for (int right = 0; right < size; right++) {
                            const float *there = other + right;
                            const funkc_vector here = funkc_all_f32(own[right]);
                            const funkc_vector a0 = funkc_sub_f32(funkc_load_f32(there), here);
                            const funkc_vector a1 =
                                funkc_sub_f32(funkc_load_f32(there + FUNKC_LENGTH), here);
                            const funkc_vector a2 =
                                funkc_sub_f32(funkc_load_f32(there + 2 * FUNKC_LENGTH), here);
                            s0 = funkc_add_f32(s0, funkc_mul_f32(a0, a0));
                            s1 = funkc_add_f32(s1, funkc_mul_f32(a1, a1));
                            s2 = funkc_add_f32(s2, funkc_mul_f32(a2, a2));
                        }
                }
                funkc_store_f32(distances + x, s0);
                funkc_store_f32(distances + x + FUNKC_LENGTH, s1);
                funkc_store_f32(distances + x + 2 * FUNKC_LENGTH, s2);
            }
            /* floats that are not negative are in the order of their bits */
            memcpy(keys + n, distances, (size_t)across * sizeof(float));
        }
    uint32_t low = 0, high = 0x7f800000u; /* the last one that is taken lies in between */
    while (low < high) {
        const uint32_t middle = low + (high - low) / 2;
        int count = 0;
        for (int c = 0; c < n; c++) count += keys[c] <= middle;
        if (count >= wanted) high = middle;
        else low = middle + 1;
    }
    int ties = wanted, taken = 0;
    for (int c = 0; c < n; c++) ties -= keys[c] < low;
    /* In the order of the scan, and around its end. */
    const int frames = n / (down * across);
    int t = (int)(first - first_from), y = (int)(top - top_from), x = (int)(left - left_from);
    if (pass->backwards) t = frames - 1 - t, y = down - 1 - y;
    if (pass->from_right) x = across - 1 - x;
    for (int at = 0; at < n && taken < wanted; at++) {
        const int here_t = pass->backwards ? frames - 1 - t : t;
        const int here_y = pass->backwards ? down - 1 - y : y;
        const int here_x = pass->from_right ? across - 1 - x : x;
        const uint32_t key = keys[(here_t * down + here_y) * across + here_x];
        if (key < low || (key == low && ties-- > 0))
            group->begins[taken++] =
                (first_from + here_t) * frame + (top_from + here_y) * width + left_from + here_x;
        if (++x == across) {
            x = 0;
            if (++t == frames) {
                t = 0;
                if (++y == down) y = 0;
            }
        }
    }
    group->n = taken;
    group->places = (int)picture->channels * deep * size * size;
    const size_t spare = sizeof(float) * (size_t)(FUNKC_COLS - group->places);
    for (int i = 0; i < taken; i++) {
        memset(&group->by_patch[i][group->places], 0, spare);
        memset(&group->observed_by_patch[i][group->places], 0, spare);
    }
    int j = 0;
    for (ptrdiff_t c = 0; c < picture->channels * deep; c++)
        for (int row = 0; row < size; row++, j += size) {
            const ptrdiff_t at = c / deep * plane + c % deep * frame + row * width;
            for (int i = 0; i < taken; i++) {
                const ptrdiff_t begin = at + group->begins[i];
                for (int right = 0; right < size; right++)
                    group->by_patch[i][j + right] = picture->pixels[begin + right];
                for (int right = 0; right < size; right++)
                    group->observed_by_patch[i][j + right] = picture->observed[begin + right];
            }
            for (int right = 0; right < size; right++) { /* and the other way round */
                const float *pixels = picture->pixels + at + right;
                const uint8_t *observed = picture->observed + at + right;
                for (int i = 0; i < taken; i++)
                    group->filled[j + right][i] = pixels[group->begins[i]];
                for (int i = 0; i < taken; i++)
                    group->observed[j + right][i] = observed[group->begins[i]];
                for (int i = taken; i < FUNKC_ROWS; i++)
                    group->filled[j + right][i] = group->observed[j + right][i] = 0;
            }
        }
}

/* Adds what the patches say to the sums over the picture, but for what is no number: a group
   without any variation may be too near to singular for single precision.  Counts for every pixel
   the patches that spoke of it, up to 255, if there are counts. */
static void funkc_group_add(const funkc_group *group, const funkc_picture *picture,
                            const funkc_pass *pass, float *total, float *weight, uint8_t *counts)
{
    const int size = pass->size, deep = pass->deep;
    const ptrdiff_t width = picture->width, frame = picture->height * width;
    const ptrdiff_t plane = picture->depth * frame;
    for (int i = 0; i < group->n; i++) {
        const float *out = group->out[i], *trusts = group->trust[i];
        int bad = 0;
        for (int j = 0; j < group->places; j++)
            bad |= !(trusts[j] > 0) | !(trusts[j] < 2 / FUNKC_LEAST_VARIANCE) | !(out[j] - out[j] == 0);
        if (bad) continue;
        for (ptrdiff_t c = 0; c < picture->channels * deep; c++)
            for (int row = 0; row < size; row++, out += size, trusts += size) {
                const ptrdiff_t at =
                    group->begins[i] + c / deep * plane + c % deep * frame + row * width;
                for (int right = 0; right < size; right++) total[at + right] += out[right];
                for (int right = 0; right < size; right++) weight[at + right] += trusts[right];
                if (counts)
                    for (int right = 0; right < size; right++)
                        counts[at + right] =
                            (uint8_t)(counts[at + right] + (counts[at + right] < 255));
            }
    }
}

static void funkc_group_fit(funkc_group *group, const funkc_pass *pass)
{
    int most = group->places - 1 < group->n - 1 ? group->places - 1 : group->n - 1;
    if (pass->directions < most) most = pass->directions;
    group->factors = most;
    funkc_group_start(group, pass->noise);
    funkc_group_expect(group);
    funkc_group_maximize(group);
    funkc_group_expect(group);
    funkc_group_predict(group);
}

#endif
