/* Small symmetric systems, one in every lane of a vector.

   The arithmetic of one lane is the same whatever the length of the vectors, for lanes never
   meet: so are its bits.  A matrix is its lower half, row by row: (0,0) (1,0) (1,1) (2,0) ... */
#ifndef FUNKC_SOLVE_H
#define FUNKC_SOLVE_H

#include "lanes.h"

typedef funkc_vector_f32 lanes;
enum {
    LANES = (int)(sizeof(lanes) / sizeof(float)),
    MOST_FACTORS = 16,
    MOST_PAIRS = MOST_FACTORS * (MOST_FACTORS + 1) / 2
};
#define FUNKC_PAIR(a, b) ((a) * ((a) + 1) / 2 + (b)) /* a >= b */

/* A = L D L', L below the diagonal of A and 1 / D apart.  (Without square roots; A is positive
   definite because of its ridge.) */
FUNKC_INLINE void funkc_decompose(lanes *A, lanes *inverse, int n)
{
    for (int j = 0; j < n; j++) {
        lanes column[MOST_FACTORS];
        inverse[j] = funkc_div_f32(funkc_all_f32(1), A[FUNKC_PAIR(j, j)]);
        for (int i = j + 1; i < n; i++) column[i] = A[FUNKC_PAIR(i, j)];
        for (int i = j + 1; i < n; i++) {
            const lanes l = funkc_mul_f32(column[i], inverse[j]);
            for (int c = j + 1; c <= i; c++)
                A[FUNKC_PAIR(i, c)] =
                    funkc_sub_f32(A[FUNKC_PAIR(i, c)], funkc_mul_f32(l, column[c]));
            A[FUNKC_PAIR(i, j)] = l;
        }
    }
}

/* b becomes the solution. */
FUNKC_INLINE void funkc_solve(const lanes *L, const lanes *inverse, lanes *b, int n)
{
    for (int i = 1; i < n; i++)
        for (int j = 0; j < i; j++)
            b[i] = funkc_sub_f32(b[i], funkc_mul_f32(L[FUNKC_PAIR(i, j)], b[j]));
    for (int i = n - 1; i >= 0; i--) {
        b[i] = funkc_mul_f32(b[i], inverse[i]);
        for (int j = i + 1; j < n; j++)
            b[i] = funkc_sub_f32(b[i], funkc_mul_f32(L[FUNKC_PAIR(j, i)], b[j]));
    }
}

/* The inverse of the matrix, from its parts. */
FUNKC_INLINE void funkc_invert(const lanes *L, const lanes *inverse, lanes *out, int n)
{
    lanes W[MOST_PAIRS]; /* the inverse of L */
    for (int j = 0; j < n; j++) {
        W[FUNKC_PAIR(j, j)] = funkc_all_f32(1);
        for (int i = j + 1; i < n; i++) {
            lanes sum = L[FUNKC_PAIR(i, j)];
            for (int c = j + 1; c < i; c++)
                sum = funkc_add_f32(sum, funkc_mul_f32(L[FUNKC_PAIR(i, c)], W[FUNKC_PAIR(c, j)]));
            W[FUNKC_PAIR(i, j)] = funkc_sub_f32(funkc_all_f32(0), sum);
        }
    }
    for (int a = 0; a < n; a++)
        for (int b = 0; b <= a; b++) {
            lanes sum = funkc_mul_f32(inverse[a], W[FUNKC_PAIR(a, b)]);
            for (int c = a + 1; c < n; c++)
                sum = funkc_add_f32(sum, funkc_mul_f32(
                    funkc_mul_f32(inverse[c], W[FUNKC_PAIR(c, a)]), W[FUNKC_PAIR(c, b)]));
            out[FUNKC_PAIR(a, b)] = sum;
        }
}

#endif
