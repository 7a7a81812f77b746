/* Pyramids of a plane: each level has half the rows and columns of the one below it.

   The smooth fill is push-pull (Gortler et al. 1996): averages of ever larger squares, handed
   down to where nothing finer is known. */
#ifndef FUNKC_PYRAMID_H
#define FUNKC_PYRAMID_H

#include <math.h>
#include <stddef.h>
#include <stdint.h>

enum { FUNKC_MOST_LEVELS = 64 };

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
    return !seen[at] && ((wide && wide[at]) || weight[at] == 0);
}

/* Fills smoothly what no tile says anything of, and what is wide, if there are flags of that. */
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

/* Bicubic interpolation (a = -3/4) to twice as many points: of an odd point the weights of the
   four around it, of an even one the same in reverse. */
static const float FUNKC_CUBIC[4] = {-0.10546875f, 0.87890625f, 0.26171875f, -0.03515625f};

static inline float funkc_cubic_at(const float *coarse, ptrdiff_t height, ptrdiff_t width,
                                   ptrdiff_t i, ptrdiff_t j)
{
    float rows[4];
    ptrdiff_t columns[4];
    for (int q = 0; q < 4; q++) {
        const ptrdiff_t at = j / 2 + (j % 2 ? q - 1 : 1 - q);
        columns[q] = at < 0 ? 0 : at < width ? at : width - 1;
    }
    for (int p = 0; p < 4; p++) {
        const ptrdiff_t at = i / 2 + (i % 2 ? p - 1 : 1 - p);
        const float *row = coarse + (at < 0 ? 0 : at < height ? at : height - 1) * width;
        rows[p] = FUNKC_CUBIC[0] * row[columns[0]] + FUNKC_CUBIC[1] * row[columns[1]];
        rows[p] += FUNKC_CUBIC[2] * row[columns[2]] + FUNKC_CUBIC[3] * row[columns[3]];
    }
    const float upper = FUNKC_CUBIC[0] * rows[0] + FUNKC_CUBIC[1] * rows[1];
    const float made = upper + (FUNKC_CUBIC[2] * rows[2] + FUNKC_CUBIC[3] * rows[3]);
    return made < 0 ? 0 : made > 1 ? 1 : made;
}

/* Fills the holes of a plane from the one of half the rows and columns, and `made`, if there is
   one, everywhere. */
static void funkc_enlarge(const float *coarse, float *plane, const uint8_t *seen,
                          ptrdiff_t height, ptrdiff_t width, float *made)
{
    for (ptrdiff_t i = 0; i < height; i++)
        for (ptrdiff_t j = 0; j < width; j++) {
            const ptrdiff_t at = i * width + j;
            if (seen[at] && !made) continue;
            const float value = funkc_cubic_at(coarse, (height + 1) / 2, (width + 1) / 2, i, j);
            if (!seen[at]) plane[at] = value;
            if (made) made[at] = value;
        }
}

#endif
