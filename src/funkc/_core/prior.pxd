"""The prior of new rows: the mean and the covariance of the rows of a factorization.

Of a matrix, the lower half is held, in rows of a stride as in ridge.h.  Sums are taken row after
row for every entry of its own, so eight of its rows at a time may be any thread's.
"""
from funkc._core.types cimport real_t


cdef extern from *:
    """
    #include <float.h>
    """
    const double DBL_MIN


cdef extern from *:
    """
    #define FUNKC_PINNED 1e-150 /* the variance of what does not spread */
    """
    const double PINNED "FUNKC_PINNED"


cdef extern from "ridge.h" nogil:
    int RIDGE_CELLS "FUNKC_RIDGE_CELLS"
    void funkc_ridge_add(double *A, double *b, const double *f, const double *w, const double *t,
                         Py_ssize_t first, Py_ssize_t last, Py_ssize_t stride)
    void funkc_ridge_invert(double *A, double *inverse, double *room, Py_ssize_t size,
                            Py_ssize_t stride)


cdef inline Py_ssize_t stride_for(Py_ssize_t size) noexcept nogil:
    return (size + 7) // 8 * 8


cdef inline void mean_of_rows(const real_t *x, Py_ssize_t n, Py_ssize_t length, Py_ssize_t size,
                              double *out) noexcept nogil:
    """The first `size` numbers of every row, added up in order."""
    cdef Py_ssize_t i, j
    for i in range(n):
        for j in range(size):
            out[j] = x[i * length + j] if i == 0 else out[j] + x[i * length + j]
    for j in range(size):
        out[j] = out[j] / <double>n


cdef inline void spread_of_rows(
    const real_t *x, Py_ssize_t start, Py_ssize_t stop, Py_ssize_t n, Py_ssize_t length,
    Py_ssize_t k, Py_ssize_t bias_at, const double *mean, double seen, Py_ssize_t first,
    double *room, double *out
) noexcept nogil:
    """Eight rows, from `first` on, of the covariance of n rows, those that were not seen being
    the mean; `room` has (RIDGE_CELLS + 1) * stride zeros, as has every row of out before the row 0
    is added.  Those from start, a multiple of RIDGE_CELLS, up to stop are."""
    cdef:
        Py_ssize_t size = k + (1 if bias_at >= 0 else 0), stride = stride_for(size)
        Py_ssize_t i, j, last = min(size, first + 8)
        const real_t *row
        double *f = room + stride
        double[4] w, t
        int g
    i = start
    while i < stop:
        for g in range(RIDGE_CELLS):
            t[g] = 0.0
            w[g] = 1.0 if i + g < n else 0.0
            if i + g < n:
                row = x + (i + g) * length
                for j in range(min(last, k)):
                    f[g * stride + j] = row[j] - mean[j]
                if last > k:
                    f[g * stride + k] = row[bias_at] - mean[k]
        funkc_ridge_add(out, room, f, w, t, first, last, stride)
        i += RIDGE_CELLS
    for i in range(first, last if stop == n else first):
        for j in range(i + 1):
            out[i * stride + j] /= max(1.0, seen - 1.0)


cdef inline bint precision_of(double *covariance, Py_ssize_t k, Py_ssize_t size, double seen,
                              double *room, double *out) noexcept nogil:
    """The inverse of a covariance, which is destroyed, into zeros, or False: nothing spreads.
    `room` has 2 * stride numbers."""
    cdef:
        Py_ssize_t i, j, stride = stride_for(size)
        double trace = 0, bias = covariance[k * stride + k] if size > k else 0.0
    for j in range(k):
        trace = trace + covariance[j * stride + j]
    # A share for directions that no row takes; a bias has another unit than factors.
    trace = 1e-6 * trace / <double>k
    bias = 1e-6 * bias
    if seen < 2 or not max(trace, bias) > DBL_MIN:
        return False
    for i in range(size):
        covariance[i * stride + i] += max(bias if i == k else trace, PINNED)
        if seen < 2 * k:                    # too few rows to tell what goes with what
            for j in range(i):
                covariance[i * stride + j] = 0
    funkc_ridge_invert(covariance, out, room, size, stride)
    return True
