/* Tiles of a picture, each a small matrix with holes, factorized side by side: one tile in
   every lane.

   A tile is what is left of its pixels when `base` is taken off.  The factors minimize

       sum over observed (y_ij - u_i . v_j)^2 + ridge (|U|^2 + |V|^2)
           + smooth (|D U|^2 + |D V|^2)

   where D takes second differences down the rows (of V: across the columns).  A sweep solves
   for every u_i in turn, then for every v_j, all else held. */
#ifndef FUNKC_TILES_H
#define FUNKC_TILES_H

#include "solve.h"

enum { FUNKC_TILE = 16 }; /* side of a tile */

/* How smooth factors are, by the share of missing pixels. */
static float funkc_usual_smooth(double missing) { return missing < 0.45 ? 0.03f : 0.1f; }

typedef struct {
    funkc_vector values[FUNKC_TILE * FUNKC_TILE];   /* 0 where missing */
    funkc_vector observed[FUNKC_TILE * FUNKC_TILE]; /* 1 or 0 */
    funkc_vector u[FUNKC_TILE * FUNKC_RANK + 4];    /* four may be read at once */
    funkc_vector v[FUNKC_TILE * FUNKC_RANK + 4];
    float bend[2][FUNKC_TILE][FUNKC_TILE]; /* D'D of the rows, and of the columns */
} funkc_tiles;

/* D'D of n points: entry (i, l) is 0 where they are more than two apart. */
static void funkc_make_bend(float bend[FUNKC_TILE][FUNKC_TILE], int n)
{
    static const float difference[3] = {1, -2, 1};
    memset(bend, 0, sizeof(float) * FUNKC_TILE * FUNKC_TILE);
    for (int d = 0; d + 2 < n; d++)
        for (int i = 0; i < 3; i++)
            for (int l = 0; l < 3; l++) bend[d + i][d + l] += difference[i] * difference[l];
}

/* One side: `side` is (n, k), `other` (n_other, k), a value stands at i * step + j * other_step. */
FUNKC_INLINE void funkc_tiles_side(const funkc_vector *values, const funkc_vector *observed,
                                   funkc_vector *side, int n, int step,
                                   const funkc_vector *other, int n_other, int other_step, int k,
                                   float ridge, float smooth,
                                   const float bend[FUNKC_TILE][FUNKC_TILE])
{
    for (int i = 0; i < n; i++) {
        funkc_vector A[FUNKC_PAIRS + 4], b[FUNKC_RANK + 4], inverse[FUNKC_RANK];
        funkc_vector seen[FUNKC_RANK][FUNKC_TILE];
        for (int j = 0; j < n_other; j++) {
            const funkc_vector here = observed[i * step + j * other_step];
            for (int a = 0; a < k; a++) seen[a][j] = funkc_mul_f32(here, other[j * k + a]);
        }
        /* Four sums at a time; those too many are overwritten by the next ones. */
        for (int a = 0; a <= k; a++) {
            const funkc_vector *left = a < k ? seen[a] : values + i * step;
            const int left_step = a < k ? 1 : other_step;
            funkc_vector *sums = a < k ? A + FUNKC_PAIR(a, 0) : b;
            for (int c = 0; c <= a && c < k; c += 4) {
                const funkc_vector *right = other + c;
                funkc_vector s0 = funkc_all_f32(0), s1 = s0, s2 = s0, s3 = s0;
                for (int j = 0; j < n_other; j++, right += k) {
                    const funkc_vector l = left[j * left_step];
                    s0 = funkc_add_f32(s0, funkc_mul_f32(l, right[0]));
                    s1 = funkc_add_f32(s1, funkc_mul_f32(l, right[1]));
                    s2 = funkc_add_f32(s2, funkc_mul_f32(l, right[2]));
                    s3 = funkc_add_f32(s3, funkc_mul_f32(l, right[3]));
                }
                sums[c] = s0, sums[c + 1] = s1, sums[c + 2] = s2, sums[c + 3] = s3;
            }
        }
        const funkc_vector hold = funkc_all_f32(ridge + smooth * bend[i][i]);
        for (int a = 0; a < k; a++) A[FUNKC_PAIR(a, a)] = funkc_add_f32(A[FUNKC_PAIR(a, a)], hold);
        for (int l = i < 2 ? 0 : i - 2; l < n && l <= i + 2; l++) {
            const float pull = smooth * bend[i][l];
            if (l != i && pull != 0)
                for (int a = 0; a < k; a++)
                    b[a] = funkc_sub_f32(b[a], funkc_mul_f32(funkc_all_f32(pull), side[l * k + a]));
        }
        funkc_decompose(A, inverse, k);
        funkc_solve(A, inverse, b, k);
        for (int a = 0; a < k; a++) side[i * k + a] = b[a];
    }
}

FUNKC_INLINE void funkc_tiles_sweep(funkc_tiles *tiles, int height, int width, int k, float ridge,
                                    float smooth)
{
    funkc_tiles_side(tiles->values, tiles->observed, tiles->u, height, FUNKC_TILE, tiles->v, width,
                     1, k, ridge, smooth, (const float(*)[FUNKC_TILE])tiles->bend[0]);
    funkc_tiles_side(tiles->values, tiles->observed, tiles->v, width, 1, tiles->u, height,
                     FUNKC_TILE, k, ridge, smooth, (const float(*)[FUNKC_TILE])tiles->bend[1]);
}

/* n_sweeps over all tiles of the lanes; values become the products. */
static void funkc_tiles_fit(funkc_tiles *tiles, int height, int width, int k, int n_sweeps,
                            float ridge, float smooth)
{
    funkc_make_bend(tiles->bend[0], height);
    funkc_make_bend(tiles->bend[1], width);
    for (int sweep = 0; sweep < n_sweeps; sweep++)
        if (k == 8) funkc_tiles_sweep(tiles, height, width, 8, ridge, smooth); /* as a literal */
        else funkc_tiles_sweep(tiles, height, width, k, ridge, smooth);
    for (int i = 0; i < height; i++)
        for (int j = 0; j < width; j++) {
            funkc_vector sum = funkc_all_f32(0);
            for (int a = 0; a < k; a++)
                sum = funkc_add_f32(sum, funkc_mul_f32(tiles->u[i * k + a], tiles->v[j * k + a]));
            tiles->values[i * FUNKC_TILE + j] = sum;
        }
}

#endif
