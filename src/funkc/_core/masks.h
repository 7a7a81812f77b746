/* Masks of a picture: what hangs together in them, and how wide it is. */
#ifndef FUNKC_MASKS_H
#define FUNKC_MASKS_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum { FUNKC_WIDE = 17 }; /* side of a square hole across which tiles don't reach; the largest */
#define FUNKC_STROKES 0.3 /* correlation of neighbours in a mask, from which holes are strokes */

/* Sets whatever lies within side / 2 rows and columns of a flag; `since` has room for a row. */
static void funkc_spread(uint8_t *flags, ptrdiff_t height, ptrdiff_t width, int side,
                         uint8_t *since)
{
    for (ptrdiff_t i = 0; i < height; i++) {
        uint8_t *row = flags + i * width;
        ptrdiff_t last = -side; /* flag; what lies behind has been overwritten */
        for (ptrdiff_t j = 0; j < width + side / 2; j++) {
            if (j < width && row[j]) last = j;
            if (j >= side / 2) row[j - side / 2] = j - last < side;
        }
    }
    memset(since, side, (size_t)width);
    for (ptrdiff_t i = 0; i < height + side / 2; i++) {
        for (ptrdiff_t j = 0; j < width; j++)
            since[j] = (uint8_t)(since[j] < side ? since[j] + 1 : side);
        if (i < height)
            for (ptrdiff_t j = 0; j < width; j++)
                if (flags[i * width + j]) since[j] = 0;
        if (i >= side / 2)
            for (ptrdiff_t j = 0; j < width; j++)
                flags[(i - side / 2) * width + j] = since[j] < side;
    }
}

/* Whether some row has so many holes side by side. */
static int funkc_has_run(const uint8_t *seen, ptrdiff_t height, ptrdiff_t width, int length)
{
    for (ptrdiff_t i = 0; i < height; i++) {
        const uint8_t *row = seen + i * width, *hole = memchr(row, 0, (size_t)width);
        int run = 0;
        if (hole)
            for (ptrdiff_t j = hole - row; j < width; j++) {
                run = row[j] ? 0 : run + 1;
                if (run == length) return 1;
            }
    }
    return 0;
}

/* Marks the pixels in squares of side by side (odd, up to FUNKC_WIDE) where nothing is seen, as
   nothing is beyond the edge, and counts them; `wide` is all 0 if there are none. */
static int64_t funkc_wide_holes(const uint8_t *seen, ptrdiff_t height, ptrdiff_t width, int side,
                                uint8_t *wide, uint8_t *since)
{
    const ptrdiff_t n = height * width;
    int64_t count = 0;
    if (!funkc_has_run(seen, height, width, width > side / 2 ? side / 2 + 1 : (int)width)) {
        memset(wide, 0, (size_t)n); /* a centre lies in the picture, and half of its row */
        return 0;
    }
    memcpy(wide, seen, (size_t)n);
    funkc_spread(wide, height, width, side, since);
    for (ptrdiff_t at = 0; at < n; at++) count += wide[at] ^= 1; /* the squares' centres */
    if (count == 0) return 0;
    funkc_spread(wide, height, width, side, since);
    count = 0;
    for (ptrdiff_t at = 0; at < n; at++) count += wide[at];
    return count;
}

/* The mask of half the rows and columns: what no pixel of two by two is seen of is a hole. */
static void funkc_halve_mask(const uint8_t *seen, ptrdiff_t height, ptrdiff_t width,
                             uint8_t *coarse)
{
    for (ptrdiff_t i = 0; i < height; i += 2)
        for (ptrdiff_t j = 0; j < width; j += 2) {
            const uint8_t *at = seen + i * width + j;
            uint8_t any = at[0];
            if (j + 1 < width) any |= at[1];
            if (i + 1 < height) any |= at[width];
            if (i + 1 < height && j + 1 < width) any |= at[width + 1];
            *coarse++ = any;
        }
}

/* What patches wait for a group: 1 where one begins that has holes, else 2.  (What begins too near
   to the edge is not used, and means nothing.) */
static void funkc_mark_waiting(const uint8_t *seen, ptrdiff_t channels, ptrdiff_t depth,
                               ptrdiff_t height, ptrdiff_t width, int size, int deep,
                               uint8_t *waiting)
{
    const ptrdiff_t frame = height * width, n = depth * frame;
    const ptrdiff_t steps[3] = {1, width, frame};
    const int lengths[3] = {size, size, deep};
    for (ptrdiff_t at = 0; at < n; at++) waiting[at] = seen[at] ^ 1;
    for (ptrdiff_t c = 1; c < channels; c++)
        for (ptrdiff_t at = 0; at < n; at++) waiting[at] |= seen[c * n + at] ^ 1;
    for (int axis = 0; axis < 3; axis++) {
        int have = 1; /* pixels that a flag stands for */
        while (have < lengths[axis]) {
            const int more = have < lengths[axis] - have ? have : lengths[axis] - have;
            const ptrdiff_t step = more * steps[axis];
            for (ptrdiff_t at = 0; at + step < n; at++) waiting[at] |= waiting[at + step];
            have += more;
        }
    }
    for (ptrdiff_t at = 0; at < n; at++) waiting[at] = (uint8_t)(2 - waiting[at]);
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

#endif
