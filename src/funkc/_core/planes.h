/* Whole planes of a picture: their range, and what becomes of the sums that tiles and patches
   leave. */
#ifndef FUNKC_PLANES_H
#define FUNKC_PLANES_H

#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { FUNKC_FEW = 64, /* pixels of which none is left out */
       FUNKC_LARGEST_SAMPLE = 65536 };

static int funkc_ascending(const void *a, const void *b)
{
    const double one = *(const double *)a, other = *(const double *)b;
    return (one > other) - (one < other);
}

/* How far apart the pixels of a sample are, at most LARGEST_SAMPLE of n: so that all rows and columns
   of the frames (height, width) are met. */
static ptrdiff_t funkc_sample_step(ptrdiff_t n, ptrdiff_t height, ptrdiff_t width)
{
    ptrdiff_t step = (n + FUNKC_LARGEST_SAMPLE - 1) / FUNKC_LARGEST_SAMPLE;
    for (;; step++) {
        ptrdiff_t a = height * width, b = step;
        while (b) {
            const ptrdiff_t rest = a % b;
            a = b, b = rest;
        }
        if (a == 1) return step;
    }
}

/* Beyond which a pixel is hot or dead: one span outside of the range of a sample, which is put in
   order, without a thousandth at each end.  Of few pixels, or of equal ones, none is. */
static void funkc_find_usual(double *sample, ptrdiff_t n, double *low, double *high)
{
    *low = -INFINITY, *high = INFINITY;
    if (n < FUNKC_FEW) return;
    qsort(sample, (size_t)n, sizeof *sample, funkc_ascending);
    const ptrdiff_t drop = n / 1000 > 1 ? n / 1000 : 1;
    const double first = sample[drop], last = sample[n - 1 - drop], span = last - first;
    if (span > 0) *low = first - span, *high = last + span;
}

/* Between what range of values a plane is kept. */
static void funkc_find_range(const float *plane, const uint8_t *seen, ptrdiff_t n, float *low,
                             float *high)
{
    *low = 1, *high = 0;
    for (ptrdiff_t at = 0; at < n; at++)
        if (seen[at]) {
            if (plane[at] < *low) *low = plane[at];
            if (plane[at] > *high) *high = plane[at];
        }
}

/* Whether a row has holes. */
static int funkc_has_holes(const uint8_t *seen, ptrdiff_t width)
{
    return memchr(seen, 0, (size_t)width) != NULL;
}

/* Sums of 0 where something is to be read: in rows with holes, or everywhere. */
static void funkc_clear_sums(const uint8_t *seen, ptrdiff_t height, ptrdiff_t width,
                             int everywhere, float *total, float *weight)
{
    const size_t row = (size_t)width * sizeof(float);
    for (ptrdiff_t i = 0; i < height; i++)
        if (everywhere || funkc_has_holes(seen + i * width, width)) {
            memset(total + i * width, 0, row);
            memset(weight + i * width, 0, row);
        }
}

/* The means of what was said of the holes, kept within the range of what is seen; a hole that
   nothing was said of, or that is wide (if there are flags of that), stays as it is.  The same goes
   to `made`, if there is one. */
static void funkc_put_holes(float *plane, const uint8_t *seen, const uint8_t *wide,
                            const float *total, const float *weight, ptrdiff_t height,
                            ptrdiff_t width, float low, float high, float *made)
{
    for (ptrdiff_t i = 0; i < height; i++) {
        if (!funkc_has_holes(seen + i * width, width)) continue;
        for (ptrdiff_t at = i * width; at < (i + 1) * width; at++)
            if (!seen[at]) {
                float mean = weight[at] > 0 && !(wide && wide[at]) ? total[at] / weight[at]
                                                                   : plane[at];
                if (mean < low) mean = low;
                if (mean > high) mean = high;
                plane[at] = mean;
                if (made) made[at] = mean;
            }
    }
}

/* The same for what is seen, within no range. */
static void funkc_put_rest(const float *plane, const uint8_t *seen, const float *total,
                           const float *weight, ptrdiff_t n, float *made)
{
    for (ptrdiff_t at = 0; at < n; at++)
        if (seen[at]) made[at] = weight[at] > 0 ? total[at] / weight[at] : plane[at];
}

/* Of `size` pixels what lies between those of two frames, so far from the first one. */
static void funkc_put_between(const float *before, const float *after, float share, ptrdiff_t size,
                              float *out)
{
    for (ptrdiff_t at = 0; at < size; at++) out[at] = before[at] + share * (after[at] - before[at]);
}

/* How values become numbers between 0 and 1, and again values.  Where their range has no finite
   width, that of half of them has. */
typedef struct {
    double low, span, half;
} funkc_scale;

static funkc_scale funkc_find_scale(double low, double high)
{
    funkc_scale scale;
    scale.half = isfinite(high - low) ? 1 : 0.5;
    scale.low = scale.half * low;
    scale.span = scale.half * high - scale.half * low;
    if (scale.span == 0) scale.span = 1;
    return scale;
}

static inline float funkc_scale_in(funkc_scale scale, double value)
{
    return (float)((value * scale.half - scale.low) / scale.span);
}

static inline double funkc_scale_out(funkc_scale scale, float made)
{
    return ((double)made * scale.span + scale.low) / scale.half;
}

#endif
