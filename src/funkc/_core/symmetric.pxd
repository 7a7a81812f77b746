"""Symmetric matrices of any size, in double: R'R = A, and eigenvectors.

A matrix is held row by row, all of it, in `stride` places a row.  Only + - * / and square roots
are used, every sum in the order of the source, so the bits are the same everywhere.
"""

cdef extern from "<math.h>" nogil:
    double fabs(double x)
    double sqrt(double x)


cdef enum:
    STEPS = 60                  # of QL for one eigenvalue, which takes two or three


cdef inline Py_ssize_t factor(double *A, Py_ssize_t n, Py_ssize_t stride, double *R,
                              Py_ssize_t *pivots) noexcept nogil:
    """R'R = A, which is positive semidefinite and becomes what is left of it; the rank.

    The largest pivot is taken first.  Row r of R is 0 at pivots[0], ..., pivots[r - 1].
    """
    cdef:
        Py_ssize_t r, i, j, p
        double least = 0, root, s
        double *row
    for i in range(n):
        least = max(least, 1e-14 * A[i * stride + i])     # rounding, or little more
    for r in range(n):
        p = 0
        for i in range(n):
            if A[i * stride + i] > A[p * stride + p]:
                p = i
        if not A[p * stride + p] > least:
            return r
        root = sqrt(A[p * stride + p])
        row = R + r * stride
        for j in range(n):
            row[j] = A[p * stride + j] / root
        for i in range(r):
            row[pivots[i]] = 0
        pivots[r] = p
        for i in range(n):
            s = row[i]
            for j in range(n):
                A[i * stride + j] -= s * row[j]
        A[p * stride + p] = 0
    return n


cdef inline void make_tridiagonal(double *A, Py_ssize_t n, Py_ssize_t stride, double *d, double *e,
                                  double *p) noexcept nogil:
    """d and e = the diagonals of H A H, with H the product of reflections 1 - s v v'.

    A has a trace of 1.  Reflection j is left in its row j: s on the diagonal, then v.  p is room
    for n numbers.
    """
    cdef:
        Py_ssize_t i, j, c
        double squares, length, s, t
        double *v
        double *row
    for j in range(n - 1):
        v = A + j * stride
        d[j] = v[j]
        e[j] = v[j + 1]
        v[j] = 0
        squares = 0
        for c in range(j + 1, n):
            squares = squares + v[c] * v[c]
        if j == n - 2 or squares < 1e-32:
            continue
        length = sqrt(squares) if v[j + 1] < 0 else -sqrt(squares)
        v[j] = 1 / (squares - length * v[j + 1])
        v[j + 1] -= length
        e[j] = length
        for c in range(j + 1, n):
            p[c] = 0
        for i in range(j + 1, n):
            row = A + i * stride
            s = v[j] * v[i]
            for c in range(j + 1, n):
                p[c] += s * row[c]
        s = 0
        for c in range(j + 1, n):
            s = s + p[c] * v[c]
        s = s * v[j] / 2
        for c in range(j + 1, n):
            p[c] -= s * v[c]
        for i in range(j + 1, n):
            row = A + i * stride
            s = v[i]
            t = p[i]
            for c in range(j + 1, n):
                row[c] -= s * p[c] + t * v[c]
    d[n - 1] = A[(n - 1) * stride + n - 1]
    e[n - 1] = 0


cdef inline void diagonalize(double *d, double *e, Py_ssize_t n, double *Z,
                             Py_ssize_t stride) noexcept nogil:
    """d becomes the eigenvalues of the tridiagonal matrix, row i of Z the eigenvector of d[i]:
    implicit QL, as of Dubrulle, Martin and Wilkinson.  Z begins as the unit matrix."""
    cdef:
        Py_ssize_t first, last, i, c
        int _step
        double b, f, g, r, sine, cosine, p, z
        double *lower
        double *upper
    for first in range(n):
        for _step in range(STEPS):
            last = first
            while last < n - 1 and fabs(e[last]) > 2e-16:
                last += 1
            if last == first:
                break
            g = (d[first + 1] - d[first]) / (2 * e[first])
            r = sqrt(g * g + 1)
            g = d[last] - d[first] + e[first] / (g + r if g >= 0 else g - r)
            sine = cosine = 1
            p = 0
            for i in range(last - 1, first - 1, -1):
                f = sine * e[i]
                b = cosine * e[i]
                r = sqrt(f * f + g * g)
                e[i + 1] = r
                if r == 0:
                    d[i + 1] -= p
                    e[last] = 0
                    break
                sine = f / r
                cosine = g / r
                g = d[i + 1] - p
                r = (d[i] - g) * sine + 2 * cosine * b
                p = sine * r
                d[i + 1] = g + p
                g = cosine * r - b
                lower = Z + i * stride
                upper = lower + stride
                for c in range(n):
                    z = upper[c]
                    upper[c] = sine * lower[c] + cosine * z
                    lower[c] = cosine * lower[c] - sine * z
            else:
                d[first] -= p
                e[first] = g
                e[last] = 0


cdef inline void leading(double *A, Py_ssize_t n, Py_ssize_t stride, Py_ssize_t k, double *values,
                         double *vectors, double *Z, double *room) noexcept nogil:
    """The k <= n largest eigenvalues of A, in descending order, and their eigenvectors as rows,
    the largest component of each positive.

    A has a trace of 1 and is destroyed.  Z is room for a matrix of zeros, room for 3 n numbers.
    """
    cdef:
        Py_ssize_t a, i, c, best
        double *d = room
        double *e = room + n
        double *u
        double *v
        double s
    make_tridiagonal(A, n, stride, d, e, room + 2 * n)
    for i in range(n):
        Z[i * stride + i] = 1
    diagonalize(d, e, n, Z, stride)
    for a in range(k):
        best = 0
        for i in range(n):
            if d[i] > d[best]:
                best = i
        values[a] = d[best]
        d[best] = -2                            # below all: none is far below 0
        u = vectors + a * stride
        for c in range(n):
            u[c] = Z[best * stride + c]
        for i in range(n - 3, -1, -1):
            v = A + i * stride
            s = 0
            for c in range(i + 1, n):
                s = s + v[c] * u[c]
            s = s * v[i]
            for c in range(i + 1, n):
                u[c] -= s * v[c]
        best = 0
        for c in range(n):
            if fabs(u[c]) > fabs(u[best]):
                best = c
        if u[best] < 0:
            for c in range(n):
                u[c] = -u[c]
