/* Least squares with a ridge or a prior, one system of any size at a time, in double.

   A is the lower half of a symmetric matrix, row by row in `stride` places each (a multiple of
   8, so that what vectors write beyond the diagonal is in the same row).  Sums are taken cell
   after cell for every entry of its own, so the vectors that a compiler makes of the inner
   loops leave no trace in the bits. */
#ifndef FUNKC_RIDGE_H
#define FUNKC_RIDGE_H

#include <stddef.h>

#if defined(_MSC_VER)
#define FUNKC_RESTRICT __restrict
#else
#define FUNKC_RESTRICT __restrict__
#endif

enum { FUNKC_RIDGE_CELLS = 4, FUNKC_RIDGE_SWEEPS = 20 };

/* A += sum of w f f', b += sum of w t f, over FUNKC_RIDGE_CELLS cells, in the rows first ... last
   - 1; f is cell by cell, in `stride` places each. */
static void funkc_ridge_add(double *FUNKC_RESTRICT A, double *FUNKC_RESTRICT b,
                            const double *FUNKC_RESTRICT f, const double *FUNKC_RESTRICT w,
                            const double *FUNKC_RESTRICT t, ptrdiff_t first, ptrdiff_t last,
                            ptrdiff_t stride)
{
    const double *f1 = f + stride, *f2 = f + 2 * stride, *f3 = f + 3 * stride;
    for (ptrdiff_t i = first; i < last; i++) {
        const double s0 = w[0] * f[i], s1 = w[1] * f1[i], s2 = w[2] * f2[i], s3 = w[3] * f3[i];
        double *row = A + i * stride;
        const ptrdiff_t end = i / 8 * 8 + 8;
        for (ptrdiff_t j = 0; j < end; j++)
            row[j] = (((row[j] + s0 * f[j]) + s1 * f1[j]) + s2 * f2[j]) + s3 * f3[j];
        b[i] = (((b[i] + s0 * t[0]) + s1 * t[1]) + s2 * t[2]) + s3 * t[3];
    }
}

/* b -= A x, for the whole symmetric A. */
static void funkc_ridge_subtract(const double *FUNKC_RESTRICT A, const double *FUNKC_RESTRICT x,
                                 double *FUNKC_RESTRICT b, ptrdiff_t size, ptrdiff_t stride)
{
    for (ptrdiff_t i = 0; i < size; i++) {
        const double *row = A + i * stride;
        double sums[8] = {0};
        ptrdiff_t j = 0;
        for (; j + 8 <= i; j += 8)
            for (int lane = 0; lane < 8; lane++) sums[lane] += row[j + lane] * x[j + lane];
        for (; j <= i; j++) sums[j % 8] += row[j] * x[j];
        for (j = 0; j < i; j++) b[j] -= row[j] * x[i];
        b[i] -= ((sums[0] + sums[4]) + (sums[2] + sums[6]))
                + ((sums[1] + sums[5]) + (sums[3] + sums[7]));
    }
}

/* A becomes L, where A = L D L', with 1 / D on the diagonal; column is room for `size` numbers.
   A direction that A says nothing of (there can be one where the ridge is 0) has 0 for 1 / D. */
static void funkc_ridge_factor(double *FUNKC_RESTRICT A, double *FUNKC_RESTRICT column,
                               ptrdiff_t size, ptrdiff_t stride)
{
    for (ptrdiff_t j = 0; j < size; j++) {
        const double pivot = A[j * stride + j];
        const double inverse = pivot > 0 ? 1 / pivot : 0;
        for (ptrdiff_t i = j + 1; i < size; i++) column[i] = A[i * stride + j];
        for (ptrdiff_t i = j + 1; i < size; i++) {
            double *row = A + i * stride;
            const double l = column[i] * inverse;
            for (ptrdiff_t c = j + 1; c <= i; c++) row[c] -= l * column[c];
            row[j] = l;
        }
        A[j * stride + j] = inverse;
    }
}

/* b becomes the solution of A x = b, 0 in a direction that A says nothing of; A is destroyed,
   column is room for `size` numbers. */
static void funkc_ridge_solve(double *FUNKC_RESTRICT A, double *FUNKC_RESTRICT b,
                              double *FUNKC_RESTRICT column, ptrdiff_t size, ptrdiff_t stride)
{
    funkc_ridge_factor(A, column, size, stride);
    for (ptrdiff_t j = 0; j < size; j++)
        for (ptrdiff_t i = j + 1; i < size; i++) b[i] -= A[i * stride + j] * b[j];
    for (ptrdiff_t i = 0; i < size; i++) b[i] *= A[i * stride + i];
    for (ptrdiff_t i = size - 1; i >= 0; i--)
        for (ptrdiff_t j = 0; j < i; j++) b[j] -= A[i * stride + j] * b[i];
}

/* inverse, zeros before, becomes that of A, its lower half likewise: the sum of m m' / D over the
   rows m of the inverse of L.  Both have `stride` rows; A is destroyed, room holds 2 * stride
   numbers. */
static void funkc_ridge_invert(double *A, double *inverse, double *room, ptrdiff_t size,
                               ptrdiff_t stride)
{
    const double zeros[FUNKC_RIDGE_CELLS] = {0};
    double *weight = room, *column = room + stride;
    funkc_ridge_factor(A, column, size, stride);
    for (ptrdiff_t i = 0; i < stride; i++) {
        double *row = A + i * stride;
        weight[i] = i < size ? row[i] : 0;
        for (ptrdiff_t j = 0; j < stride; j++) {
            column[j] = row[j];
            row[j] = j == i;
        }
        for (ptrdiff_t j = 0; j < i && i < size; j++) {
            const double *other = A + j * stride;
            for (ptrdiff_t c = 0; c <= j; c++) row[c] -= column[j] * other[c];
        }
    }
    for (ptrdiff_t i = 0; i < size; i += FUNKC_RIDGE_CELLS)
        funkc_ridge_add(inverse, column, A + i * stride, weight + i, zeros, 0, size, stride);
}

/* x becomes that for which x'Ax / 2 - b'x is least among those whose first `nonnegative` entries
   are not below 0, as those of the x that it begins with.  Steps along one entry after the other
   tell soon which are 0, but may creep; so the others are then solved for, and entries change
   sides one by one until that is right (an active set, as of Lawson and Hanson).  A is destroyed,
   room holds 3 * stride numbers. */
static void funkc_ridge_nonnegative(double *A, const double *b, double *x, double *room,
                                    ptrdiff_t size, ptrdiff_t stride, ptrdiff_t nonnegative)
{
    double *diagonal = room, *z = room + stride, *column = room + 2 * stride;
    for (int sweep = 0; sweep < FUNKC_RIDGE_SWEEPS; sweep++)
        for (ptrdiff_t i = 0; i < size; i++) {
            const double pivot = A[i * stride + i];
            if (!(pivot > 0)) continue;
            double left = b[i];
            for (ptrdiff_t j = 0; j <= i; j++) left -= A[i * stride + j] * x[j];
            for (ptrdiff_t j = i + 1; j < size; j++) left -= A[j * stride + i] * x[j];
            x[i] += left / pivot;
            if (i < nonnegative && !(x[i] > 0)) x[i] = 0;
        }
    for (ptrdiff_t i = 0; i < size; i++) { /* the other half of A keeps it */
        diagonal[i] = A[i * stride + i];
        for (ptrdiff_t j = 0; j < i; j++) A[j * stride + i] = A[i * stride + j];
    }
    ptrdiff_t entering = -1;
    for (ptrdiff_t round = 0; round < 3 * size + 10; round++) {
        for (ptrdiff_t i = 0; i < size; i++) {
            const int free_i = i >= nonnegative || x[i] > 0 || i == entering;
            for (ptrdiff_t j = 0; j < i; j++) {
                const int free_j = j >= nonnegative || x[j] > 0 || j == entering;
                A[i * stride + j] = free_i && free_j ? A[j * stride + i] : 0;
            }
            A[i * stride + i] = free_i ? diagonal[i] : 0;
            z[i] = free_i ? b[i] : 0;
        }
        funkc_ridge_solve(A, z, column, size, stride);
        double step = 1;
        ptrdiff_t leaving = -1;
        for (ptrdiff_t i = 0; i < nonnegative; i++)
            if (z[i] < 0 && x[i] < step * (x[i] - z[i])) {
                step = x[i] / (x[i] - z[i]);
                leaving = i;
            }
        if (!(step > 0)) return; /* what enters leaves at once: a matter of rounding */
        for (ptrdiff_t i = 0; i < size; i++) {
            x[i] = leaving < 0 ? z[i] : x[i] + step * (z[i] - x[i]);
            if (i < nonnegative && !(x[i] > 0)) x[i] = 0;
        }
        if (leaving >= 0) {
            x[leaving] = 0;
            entering = -1;
            continue;
        }
        if (entering >= 0 && !(x[entering] > 0)) return;
        double best = 1e-12;
        entering = -1;
        for (ptrdiff_t i = 0; i < nonnegative; i++) {
            if (x[i] > 0) continue;
            double left = b[i], scale = b[i] < 0 ? -b[i] : b[i];
            for (ptrdiff_t j = 0; j < size; j++) {
                const double part = (j < i ? A[j * stride + i] : A[i * stride + j]) * x[j];
                if (j == i) continue;
                left -= part;
                scale += part < 0 ? -part : part;
            }
            if (left > best * scale) {
                best = left / scale;
                entering = i;
            }
        }
        if (entering < 0) return;
    }
}

#endif
