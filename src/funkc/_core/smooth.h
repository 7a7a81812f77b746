/* A smooth fill of the holes of a plane: the least sum of squared Laplacians, edges reflected, by
   conjugate gradients in double precision, whose sums run in the order of the pixels.

   Vectors hold the holes and their neighbours only, in the order of the plane.  Behind them stands
   a 0, for whatever lies further off, where the step is 0. */
#ifndef FUNKC_SMOOTH_H
#define FUNKC_SMOOTH_H

#include <math.h>
#include <stddef.h>
#include <stdint.h>

enum { FUNKC_SMOOTH_STEPS = 200 };
#define FUNKC_SMOOTH_ENOUGH 1e-4 /* of the first residual */

typedef struct {
    int64_t *at;          /* (n) where they are in the plane */
    int32_t (*around)[4]; /* (n) where their neighbours are among them; n: nowhere */
    uint8_t *hole;        /* (n) */
    double *change, *step, *bent, *residual, *image; /* (n + 1) */
    int64_t n;
    double squares, first;
    int steps;
} funkc_smooth;

/* The holes of a plane and their neighbours; marks them in `flags` (height, width). */
static int64_t funkc_smooth_count(const uint8_t *seen, ptrdiff_t height, ptrdiff_t width,
                                  uint8_t *flags)
{
    int64_t n = 0;
    for (ptrdiff_t i = 0; i < height; i++)
        for (ptrdiff_t j = 0; j < width; j++) {
            const ptrdiff_t at = i * width + j;
            flags[at] = !seen[at] || (i > 0 && !seen[at - width])
                        || (i + 1 < height && !seen[at + width]) || (j > 0 && !seen[at - 1])
                        || (j + 1 < width && !seen[at + 1]);
            n += flags[at];
        }
    return n;
}

/* The Laplacian of the vector x at every one of them. */
static void funkc_smooth_bend(const funkc_smooth *s, const double *x, double *out)
{
    for (int64_t q = 0; q < s->n; q++) {
        const int32_t *around = s->around[q];
        out[q] = ((x[around[0]] + x[around[1]]) + (x[around[2]] + x[around[3]])) - 4 * x[q];
    }
}

/* Begins at the plane as it is. */
static void funkc_smooth_start(funkc_smooth *s, const float *plane, const uint8_t *seen,
                               const uint8_t *flags, ptrdiff_t height, ptrdiff_t width)
{
    const int32_t n = (int32_t)s->n;
    int32_t above = 0, below = 0, q = 0; /* the first ones that do not come before a neighbour */
    for (ptrdiff_t at = 0; at < height * width; at++)
        if (flags[at]) {
            s->at[q] = at;
            s->hole[q++] = !seen[at];
        }
    for (q = 0; q < n; q++) {
        const int64_t at = s->at[q], j = at % width;
        const int first = at < width, last = at >= (height - 1) * width;
        while (above < n && s->at[above] < at - width) above++;
        while (below < n && s->at[below] < at + width) below++;
        int32_t *around = s->around[q];
        around[0] = first ? q : s->at[above] == at - width ? above : n;
        around[1] = last ? q : below < n && s->at[below] == at + width ? below : n;
        around[2] = j == 0 ? q : q > 0 && s->at[q - 1] == at - 1 ? q - 1 : n;
        around[3] = j == width - 1 ? q : q + 1 < n && s->at[q + 1] == at + 1 ? q + 1 : n;
        double sum = -4 * (double)plane[at]; /* here all neighbours count, seen or not */
        sum += (double)plane[first ? at : at - width] + (double)plane[last ? at : at + width];
        s->bent[q] = sum + ((double)plane[j == 0 ? at : at - 1]
                            + (double)plane[j == width - 1 ? at : at + 1]);
    }
    s->bent[n] = s->step[n] = 0;
    s->steps = 0;
    s->squares = 0;
    funkc_smooth_bend(s, s->bent, s->image);
    for (q = 0; q < n; q++) {
        s->change[q] = 0;
        s->residual[q] = s->step[q] = s->hole[q] ? -s->image[q] : 0;
        s->squares += s->residual[q] * s->residual[q];
    }
    s->first = s->squares;
}

/* Up to so many steps; whether more are to come. */
static int funkc_smooth_steps(funkc_smooth *s, int64_t n_steps)
{
    for (int64_t t = 0; t < n_steps; t++) {
        double along = 0, squares = 0;
        if (s->steps == FUNKC_SMOOTH_STEPS || !(s->squares > FUNKC_SMOOTH_ENOUGH
                                                * FUNKC_SMOOTH_ENOUGH * s->first))
            return 0;
        s->steps++;
        funkc_smooth_bend(s, s->step, s->bent);
        funkc_smooth_bend(s, s->bent, s->image);
        for (int64_t q = 0; q < s->n; q++)
            if (s->hole[q]) along += s->step[q] * s->image[q];
        const double by = s->squares / along;
        for (int64_t q = 0; q < s->n; q++)
            if (s->hole[q]) {
                s->change[q] += by * s->step[q];
                s->residual[q] -= by * s->image[q];
                squares += s->residual[q] * s->residual[q];
            }
        const double again = squares / s->squares;
        s->squares = squares;
        for (int64_t q = 0; q < s->n; q++)
            if (s->hole[q]) s->step[q] = s->residual[q] + again * s->step[q];
    }
    return 1;
}

/* Mixes a part of the smooth fill into the holes where flags are set. */
static void funkc_smooth_mix(const funkc_smooth *s, const uint8_t *flags, float part, float low,
                             float high, float *plane, float *made)
{
    for (int64_t q = 0; q < s->n; q++) {
        const int64_t at = s->at[q];
        if (s->hole[q] && flags[at]) {
            float value = (float)((double)plane[at] + s->change[q]);
            if (!(value >= low)) value = low;
            if (value > high) value = high;
            plane[at] += part * (value - plane[at]);
            if (made) made[at] = plane[at];
        }
    }
}

#endif
