/* Whole planes of a picture: what hangs together in a mask, the smooth fill, and what becomes
   of the sums that tiles and patches leave.

   The smooth fill is push-pull (Gortler et al. 1996): averages of ever larger squares, handed
   down to where nothing finer is known. */
#ifndef FUNKC_PLANES_H
#define FUNKC_PLANES_H

#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { FUNKC_WIDE = 17, /* side of a square hole that patches don't reach across */
       FUNKC_FEW = 64, /* pixels of which none is left out */
       FUNKC_MOST_LEVELS = 64 };
#define FUNKC_STROKES 0.3 /* correlation of neighbours in a mask, from which holes are strokes */

static int funkc_ascending(const void *a, const void *b)
{
    const double one = *(const double *)a, other = *(const double *)b;
    return (one > other) - (one < other);
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

/* Sets whatever lies within FUNKC_WIDE / 2 rows and columns of a flag; `since` has room for a
   row. */
static void funkc_spread(uint8_t *flags, ptrdiff_t height, ptrdiff_t width, uint8_t *since)
{
    for (ptrdiff_t i = 0; i < height; i++) {
        uint8_t *row = flags + i * width;
        ptrdiff_t last = -FUNKC_WIDE; /* flag; what lies behind has been overwritten */
        for (ptrdiff_t j = 0; j < width + FUNKC_WIDE / 2; j++) {
            if (j < width && row[j]) last = j;
            if (j >= FUNKC_WIDE / 2) row[j - FUNKC_WIDE / 2] = j - last < FUNKC_WIDE;
        }
    }
    memset(since, FUNKC_WIDE, (size_t)width);
    for (ptrdiff_t i = 0; i < height + FUNKC_WIDE / 2; i++) {
        for (ptrdiff_t j = 0; j < width; j++)
            since[j] = (uint8_t)(since[j] < FUNKC_WIDE ? since[j] + 1 : FUNKC_WIDE);
        if (i < height)
            for (ptrdiff_t j = 0; j < width; j++)
                if (flags[i * width + j]) since[j] = 0;
        if (i >= FUNKC_WIDE / 2)
            for (ptrdiff_t j = 0; j < width; j++)
                flags[(i - FUNKC_WIDE / 2) * width + j] = since[j] < FUNKC_WIDE;
    }
}

/* Marks the pixels in squares of FUNKC_WIDE by FUNKC_WIDE where nothing is seen, as nothing is
   beyond the edge, and counts them. */
static int64_t funkc_wide_holes(const uint8_t *seen, ptrdiff_t height, ptrdiff_t width,
                                uint8_t *wide, uint8_t *since)
{
    const ptrdiff_t n = height * width;
    int64_t count = 0;
    memcpy(wide, seen, (size_t)n);
    funkc_spread(wide, height, width, since);
    for (ptrdiff_t at = 0; at < n; at++) count += wide[at] ^= 1; /* the squares' centres */
    if (count == 0) return 0;
    funkc_spread(wide, height, width, since);
    count = 0;
    for (ptrdiff_t at = 0; at < n; at++) count += wide[at];
    return count;
}

/* Whether the holes of a plane hang together, or are scattered. */
static int funkc_in_strokes(const uint8_t *seen, ptrdiff_t height, ptrdiff_t width)
{
    int64_t hidden = 0, down = 0, across = 0;
    for (ptrdiff_t i = 0; i < height; i++) {
        const uint8_t *row = seen + i * width;
        for (ptrdiff_t j = 0; j < width; j++) hidden += row[j] ^ 1;
        for (ptrdiff_t j = 1; j < width; j++) across += (row[j] | row[j - 1]) ^ 1;
        if (i > 0)
            for (ptrdiff_t j = 0; j < width; j++) down += (row[j] | row[j - width]) ^ 1;
    }
    const int64_t pairs_down = (int64_t)(height - 1) * width;
    const int64_t pairs_across = (int64_t)height * (width - 1);
    const int kinds = (pairs_down > 0) + (pairs_across > 0);
    const double share = (double)hidden / (double)((int64_t)height * width);
    if (kinds == 0 || share == 0 || share == 1) return 0;
    double together = 0;
    if (pairs_down > 0) together += (double)down / (double)pairs_down;
    if (pairs_across > 0) together += (double)across / (double)pairs_across;
    return (together / kinds / share - share) / (1 - share) > FUNKC_STROKES;
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

/* Numbers in all levels of the pyramid but the finest. */
static ptrdiff_t funkc_pyramid_size(ptrdiff_t height, ptrdiff_t width)
{
    ptrdiff_t n = 0;
    while (height > 1 || width > 1) {
        height = (height + 1) / 2, width = (width + 1) / 2;
        n += height * width;
    }
    return n;
}

static inline float funkc_known(const float *plane, const uint8_t *seen, ptrdiff_t at, int *count)
{
    const int known = seen ? seen[at] : !isnan(plane[at]);
    *count += known;
    return known ? plane[at] : 0;
}

/* The means of squares of two by two.  Above the finest level, which has `seen`, what is unknown
   is not a number. */
static void funkc_halve(const float *plane, const uint8_t *seen, ptrdiff_t height,
                        ptrdiff_t width, float *coarse)
{
    for (ptrdiff_t i = 0; i < height; i += 2)
        for (ptrdiff_t j = 0; j < width; j += 2) {
            const ptrdiff_t at = i * width + j;
            const int below = i + 1 < height, beside = j + 1 < width;
            int count = 0;
            float left = funkc_known(plane, seen, at, &count), right = 0;
            if (below) left += funkc_known(plane, seen, at + width, &count);
            if (beside) right = funkc_known(plane, seen, at + 1, &count);
            if (below && beside) right += funkc_known(plane, seen, at + width + 1, &count);
            *coarse++ = count ? (left + right) / (float)count : NAN;
        }
}

/* Linear interpolation to twice as many points, down and then across. */
static inline float funkc_between(const float *coarse, ptrdiff_t height, ptrdiff_t width,
                                  ptrdiff_t i, ptrdiff_t j)
{
    const ptrdiff_t down = i / 2, across = j / 2;
    ptrdiff_t next_down = i % 2 ? down + 1 : down - 1;
    ptrdiff_t next_across = j % 2 ? across + 1 : across - 1;
    if (next_down < 0 || next_down == height) next_down = down;
    if (next_across < 0 || next_across == width) next_across = across;
    const float *own = coarse + down * width, *other = coarse + next_down * width;
    const float here = 0.75f * own[across] + 0.25f * other[across];
    const float beside = 0.75f * own[next_across] + 0.25f * other[next_across];
    return 0.75f * here + 0.25f * beside;
}

static inline int funkc_bare(const uint8_t *seen, const uint8_t *wide, const float *weight,
                             ptrdiff_t at)
{
    return !seen[at] && (wide[at] || weight[at] == 0);
}

/* Fills smoothly what no tile says anything of, and what is wide. */
static void funkc_fill_smoothly(float *plane, const uint8_t *seen, const uint8_t *wide,
                                const float *weight, ptrdiff_t height, ptrdiff_t width,
                                float *pyramid)
{
    float *levels[FUNKC_MOST_LEVELS];
    ptrdiff_t heights[FUNKC_MOST_LEVELS], widths[FUNKC_MOST_LEVELS], at = 0;
    int top = 0;
    while (at < height * width && !funkc_bare(seen, wide, weight, at)) at++;
    if (at == height * width) return;
    levels[0] = plane, heights[0] = height, widths[0] = width;
    while (heights[top] > 1 || widths[top] > 1) {
        levels[top + 1] = top ? levels[top] + heights[top] * widths[top] : pyramid;
        heights[top + 1] = (heights[top] + 1) / 2, widths[top + 1] = (widths[top] + 1) / 2;
        funkc_halve(levels[top], top ? NULL : seen, heights[top], widths[top], levels[top + 1]);
        top++;
    }
    for (int level = top - 1; level >= 0; level--)
        for (ptrdiff_t i = 0; i < heights[level]; i++)
            for (ptrdiff_t j = 0; j < widths[level]; j++) {
                at = i * widths[level] + j;
                if (level ? isnan(levels[level][at]) : funkc_bare(seen, wide, weight, at))
                    levels[level][at] = funkc_between(levels[level + 1], heights[level + 1],
                                                      widths[level + 1], i, j);
            }
}

/* The means of what was said of the holes, kept within the range of what is seen; a hole that is
   wide, or that nothing was said of, stays as it is in `plane`.  `out` may be the plane. */
static void funkc_put_holes(const float *plane, const uint8_t *seen, const uint8_t *wide,
                            const float *total, const float *weight, ptrdiff_t n, float low,
                            float high, float *out)
{
    for (ptrdiff_t at = 0; at < n; at++)
        if (!seen[at]) {
            float made = weight[at] > 0 && !wide[at] ? total[at] / weight[at] : plane[at];
            if (made < low) made = low;
            if (made > high) made = high;
            out[at] = made;
        }
}

/* The same for what is seen, within no range; the holes that were put go to the plane. */
static void funkc_put_rest(float *plane, const uint8_t *seen, const float *total,
                           const float *weight, ptrdiff_t n, float *out)
{
    for (ptrdiff_t at = 0; at < n; at++)
        if (!seen[at]) plane[at] = out[at];
        else out[at] = weight[at] > 0 ? total[at] / weight[at] : plane[at];
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
