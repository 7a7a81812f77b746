/* Small symmetric systems, one in every lane of a vector.

   The arithmetic of one lane is the same whatever the length of the vectors, for lanes never
   meet: so are its bits.  A matrix is its lower half, row by row: (0,0) (1,0) (1,1) (2,0) ... */
#ifndef FUNKC_SOLVE_H
#define FUNKC_SOLVE_H

#include "lanes.h"

typedef funkc_vector_f32 funkc_vector;
enum {
    FUNKC_LENGTH = (int)(sizeof(funkc_vector) / sizeof(float)),
    FUNKC_RANK = 16, /* unknowns of a system, or factors of an image, at most */
    FUNKC_PAIRS = FUNKC_RANK * (FUNKC_RANK + 1) / 2
};
#define FUNKC_PAIR(a, b) ((a) * ((a) + 1) / 2 + (b)) /* a >= b */

/* A = L D L', L below the diagonal of A and 1 / D apart.  (Without square roots; A is positive
   definite because of its ridge.) */
FUNKC_INLINE void funkc_decompose(funkc_vector *A, funkc_vector *inverse, int n)
{
    for (int j = 0; j < n; j++) {
        funkc_vector column[FUNKC_RANK];
        inverse[j] = funkc_div_f32(funkc_all_f32(1), A[FUNKC_PAIR(j, j)]);
        for (int i = j + 1; i < n; i++) column[i] = A[FUNKC_PAIR(i, j)];
        for (int i = j + 1; i < n; i++) {
            const funkc_vector l = funkc_mul_f32(column[i], inverse[j]);
            for (int c = j + 1; c <= i; c++)
                A[FUNKC_PAIR(i, c)] =
                    funkc_sub_f32(A[FUNKC_PAIR(i, c)], funkc_mul_f32(l, column[c]));
            A[FUNKC_PAIR(i, j)] = l;
        }
    }
}

/* b becomes the solution. */
FUNKC_INLINE void funkc_solve(const funkc_vector *L, const funkc_vector *inverse, funkc_vector *b,
                              int n)
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
FUNKC_INLINE void funkc_invert(const funkc_vector *L, const funkc_vector *inverse,
                               funkc_vector *out, int n)
{
    funkc_vector W[FUNKC_PAIRS]; /* the inverse of L */
    for (int j = 0; j < n; j++) {
        W[FUNKC_PAIR(j, j)] = funkc_all_f32(1);
        for (int i = j + 1; i < n; i++) {
            funkc_vector sum = L[FUNKC_PAIR(i, j)];
            for (int c = j + 1; c < i; c++)
                sum = funkc_add_f32(sum, funkc_mul_f32(L[FUNKC_PAIR(i, c)], W[FUNKC_PAIR(c, j)]));
            W[FUNKC_PAIR(i, j)] = funkc_sub_f32(funkc_all_f32(0), sum);
        }
    }
    for (int a = 0; a < n; a++)
        for (int b = 0; b <= a; b++) {
            funkc_vector sum = funkc_mul_f32(inverse[a], W[FUNKC_PAIR(a, b)]);
            for (int c = a + 1; c < n; c++)
                sum = funkc_add_f32(sum, funkc_mul_f32(
                    funkc_mul_f32(inverse[c], W[FUNKC_PAIR(c, a)]), W[FUNKC_PAIR(c, b)]));
            out[FUNKC_PAIR(a, b)] = sum;
        }
}

#endif
