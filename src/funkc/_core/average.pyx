"""The mean of several factorizations of one matrix, with k factors again.

This one source is built once per instruction set (see setup.py).

Design
a. The products of M members with k factors add up to A B', where row i of A holds the k factors
   of row i in every member, one after the other, and B likewise those of the columns.
b. The best approximation of A B' by k factors, where the squared error of an entry counts with
   the weight of its row times that of its column, needs the Gram matrices of A and B alone.  If
   A'WA = R'R, and U are the eigenvectors of R (B'WB) R' with the k largest eigenvalues S^2, then
   the factors are A R^-1 U S^(1/2) and B R' U S^(-1/2): the principal axes, in descending order.
   The weights cancel out in them.
c. R has as many rows as A has columns that are not given by others (members may agree, and a
   matrix may have fewer rows than A columns), and its inverse leaves the others out.
d. Sums over rows are taken in parts, whose number follows from the sizes and not from the number
   of threads, and the parts are added in order.
e. Factors are read as double; nothing is rounded before the results are.
f. Nothing here raises, prints or takes the GIL; memory is got before the work begins.
"""
from cython.parallel cimport prange
from libc.string cimport memset
from funkc._core.lanes cimport dots, product
from funkc._core.machine cimport granted
from funkc._core.memory cimport give_back, obtain_zeros
from funkc._core.symmetric cimport factor, leading
from funkc._core.types cimport NO_MEMORY, OK, VALUES_TOO_WIDE, padded, real_t


cdef extern from "float_state.h" nogil:
    unsigned long long funkc_float_begin()
    void funkc_float_end(unsigned long long state)


cdef extern from "nogil.h":
    pass


cdef extern from "<math.h>" nogil:
    bint isfinite(double x)
    double sqrt(double x)


cdef enum:
    ROWS_AT_ONCE = 32           # whose factors a thread holds as double
    ROWS_OF_PART = 256          # of a sum, at least
    LEAST_PARTS = 16            # where there are rows for them
    MOST_PARTS = 64
    NUMBERS_OF_PARTS = 1 << 22  # in all, with more than LEAST_PARTS

cdef double NOTHING = 1e-14     # share of the sum of squares: an axis that is left out


cdef struct Side:
    Py_ssize_t n                # rows, or columns
    Py_ssize_t width            # of them, in every member
    Py_ssize_t out_width
    Py_ssize_t parts
    const double *weights       # (n)
    double *sums                # (parts, size, stride)
    double *made                # (k, stride) from the factors of all members to those of the mean


cdef struct Mean:
    Py_ssize_t n_members
    Py_ssize_t k
    Py_ssize_t size             # n_members * k
    Py_ssize_t stride           # padded
    int n_threads
    Side rows
    Side cols
    double *memory              # all of it, in rows of `stride` numbers
    double *unused
    double *R                   # (size, stride)
    double *square              # (size, stride)
    double *vectors             # (k, stride)
    double *panels              # (n_threads, ROWS_AT_ONCE, stride)
    double *room                # (3, stride)
    double *values              # (k)
    Py_ssize_t *pivots          # (size)


# ---------------------------------------------------------------- Gram matrices

cdef Py_ssize_t parts_of(Py_ssize_t n, Py_ssize_t size, Py_ssize_t stride) noexcept nogil:
    cdef Py_ssize_t most = NUMBERS_OF_PARTS // (size * stride)
    most = max(<Py_ssize_t>LEAST_PARTS, min(<Py_ssize_t>MOST_PARTS, most))
    return max(<Py_ssize_t>1, min(most, n // ROWS_OF_PART))


cdef void gather(const Mean *mean, const real_t *x, const Side *side, Py_ssize_t first,
                 Py_ssize_t count, double *panel) noexcept nogil:
    """Rows of A, or of B; behind their numbers the panel holds zeros already."""
    cdef Py_ssize_t i, e, f
    cdef const real_t *row
    for i in range(count):
        for e in range(mean.n_members):
            row = x + (e * side.n + first + i) * side.width
            for f in range(mean.k):
                panel[i * mean.stride + e * mean.k + f] = <double>row[f]


cdef void add_rows(double *gram, const double *panel, const double *weights, Py_ssize_t size,
                   Py_ssize_t stride) noexcept nogil:
    """gram += the sum of w f f' over ROWS_AT_ONCE rows f, in order; its lower half."""
    cdef:
        Py_ssize_t i, j, r
        const double *f0
        const double *f1
        const double *f2
        const double *f3
        double s0, s1, s2, s3
        double *row
    for i in range(size):
        row = gram + i * stride
        for r in range(0, ROWS_AT_ONCE, 4):
            f0 = panel + r * stride
            f1 = f0 + stride
            f2 = f1 + stride
            f3 = f2 + stride
            s0 = weights[r] * f0[i]
            s1 = weights[r + 1] * f1[i]
            s2 = weights[r + 2] * f2[i]
            s3 = weights[r + 3] * f3[i]
            for j in range(i + 1):
                row[j] = (((row[j] + s0 * f0[j]) + s1 * f1[j]) + s2 * f2[j]) + s3 * f3[j]


cdef void sum_part(const Mean *mean, const real_t *x, const Side *side, Py_ssize_t part,
                   double *panel) noexcept nogil:
    cdef:
        Py_ssize_t r, count
        Py_ssize_t first = side.n * part // side.parts
        Py_ssize_t last = side.n * (part + 1) // side.parts
        double[ROWS_AT_ONCE] weights
    while first < last:
        count = min(<Py_ssize_t>ROWS_AT_ONCE, last - first)
        gather(mean, x, side, first, count, panel)
        for r in range(ROWS_AT_ONCE):
            weights[r] = side.weights[first + r] if r < count else 0.0
        add_rows(side.sums + part * mean.size * mean.stride, panel, weights, mean.size,
                 mean.stride)
        first += count


cdef void sum_worker(const Mean *mean, const real_t *x, const Side *side, int worker,
                     int workers) noexcept nogil:
    cdef:
        Py_ssize_t part = worker
        double *panel = mean.panels + worker * ROWS_AT_ONCE * mean.stride
        unsigned long long state = funkc_float_begin()
    while part < side.parts:
        sum_part(mean, x, side, part, panel)
        part += workers
    funkc_float_end(state)


cdef void find_gram(const Mean *mean, const real_t *x, const Side *side) noexcept nogil:
    """The Gram matrix, in place of the first part of the sums."""
    cdef:
        int w, workers = <int>min(<Py_ssize_t>mean.n_threads, side.parts)
        Py_ssize_t part, i, j, at
    for w in prange(workers, num_threads=granted(workers), schedule="static", chunksize=1):
        sum_worker(mean, x, side, w, workers)
    for part in range(1, side.parts):
        for at in range(mean.size * mean.stride):
            side.sums[at] += side.sums[part * mean.size * mean.stride + at]
    for i in range(mean.size):
        for j in range(i):
            side.sums[j * mean.stride + i] = side.sums[i * mean.stride + j]


# ---------------------------------------------------------------- from members to their mean

cdef void multiply(const double *a, Py_ssize_t rows, const double *b, Py_ssize_t cols,
                   Py_ssize_t stride, double *out) noexcept nogil:
    """out = a b', row by row in `stride` places; a and b have zeros behind their rows."""
    cdef:
        Py_ssize_t i, j, g, count
        const double *col[8]
        double[8] dot
    for j in range(0, cols, 8):
        count = min(<Py_ssize_t>8, cols - j)
        for g in range(count):
            col[g] = b + (j + g) * stride
        for i in range(rows):
            dots(a + i * stride, col, <int>count, stride, dot)
            for g in range(count):
                out[i * stride + j + g] = dot[g]


cdef double trace_of(const double *a, Py_ssize_t n, Py_ssize_t stride) noexcept nogil:
    cdef Py_ssize_t i
    cdef double trace = 0
    for i in range(n):
        trace = trace + a[i * stride + i]
    return trace


cdef int find_axes(const Mean *mean) noexcept nogil:
    """rows.made and cols.made, from the Gram matrices.  VALUES_TOO_WIDE, or OK."""
    cdef:
        Py_ssize_t a, i, c, rank, stride = mean.stride
        double *R = mean.R
        double *C = mean.rows.sums
        const double *u
        double *to_rows
        double *to_cols
        double trace, axis, row_scale, col_scale
    rank = factor(mean.rows.sums, mean.size, stride, R, mean.pivots)
    multiply(R, rank, mean.cols.sums, mean.size, stride, mean.square)
    multiply(mean.square, rank, R, rank, stride, C)
    trace = trace_of(C, rank, stride)
    if not isfinite(trace):
        return VALUES_TOO_WIDE
    if not trace > 0:
        return OK
    for i in range(rank):
        for c in range(rank):
            C[i * stride + c] /= trace
    memset(mean.square, 0, mean.size * stride * sizeof(double))
    leading(C, rank, stride, min(mean.k, rank), mean.values, mean.vectors, mean.square, mean.room)
    for a in range(min(mean.k, rank)):
        if not mean.values[a] > NOTHING:
            break
        axis = sqrt(mean.values[a]) * sqrt(trace)
        row_scale = sqrt(axis / <double>mean.n_members)
        col_scale = 1 / sqrt(axis * <double>mean.n_members)
        u = mean.vectors + a * stride
        to_rows = mean.rows.made + a * stride
        to_cols = mean.cols.made + a * stride
        for i in range(rank - 1, -1, -1):       # R^-1 u: what is not found yet counts as 0
            c = mean.pivots[i]
            to_rows[c] = (u[i] - product(R + i * stride, to_rows, stride)) / R[i * stride + c]
        for i in range(rank):
            for c in range(mean.size):
                to_cols[c] += u[i] * R[i * stride + c]
        for c in range(mean.size):
            to_rows[c] *= row_scale
            to_cols[c] *= col_scale
    return OK


cdef void make_worker(const Mean *mean, const real_t *x, const Side *side, real_t *out,
                      int worker, int workers) noexcept nogil:
    cdef:
        Py_ssize_t first = worker * ROWS_AT_ONCE, count, i, j, g, some
        double *panel = mean.panels + worker * ROWS_AT_ONCE * mean.stride
        const double *axes[8]
        double[8] dot
        unsigned long long state = funkc_float_begin()
    while first < side.n:
        count = min(<Py_ssize_t>ROWS_AT_ONCE, side.n - first)
        gather(mean, x, side, first, count, panel)
        memset(out + first * side.out_width, 0, count * side.out_width * sizeof(real_t))
        for j in range(0, mean.k, 8):
            some = min(<Py_ssize_t>8, mean.k - j)
            for g in range(some):
                axes[g] = side.made + (j + g) * mean.stride
            for i in range(count):
                dots(panel + i * mean.stride, axes, <int>some, mean.stride, dot)
                for g in range(some):
                    out[(first + i) * side.out_width + j + g] = <real_t>dot[g]
        first += workers * ROWS_AT_ONCE
    funkc_float_end(state)


cdef void make(const Mean *mean, const real_t *x, const Side *side, real_t *out) noexcept nogil:
    cdef int w, workers = <int>min(<Py_ssize_t>mean.n_threads,
                                   (side.n + ROWS_AT_ONCE - 1) // ROWS_AT_ONCE)
    for w in prange(workers, num_threads=granted(workers), schedule="static", chunksize=1):
        make_worker(mean, x, side, out, w, workers)


# ---------------------------------------------------------------- the whole

cdef double *take(Mean *mean, Py_ssize_t rows) noexcept nogil:
    cdef double *taken = mean.unused
    mean.unused += rows * mean.stride
    return taken


cdef bint settle(Mean *mean) noexcept nogil:
    """Whether there is memory, all of which begins as zeros."""
    cdef Py_ssize_t k = mean.k, size = mean.size
    cdef Py_ssize_t panels = mean.n_threads * ROWS_AT_ONCE
    mean.rows.parts = parts_of(mean.rows.n, size, mean.stride)
    mean.cols.parts = parts_of(mean.cols.n, size, mean.stride)
    mean.memory = <double *>obtain_zeros(
        NULL, (mean.rows.parts + mean.cols.parts + 2) * size + 3 * k + panels + 5,
        mean.stride * sizeof(double))
    if mean.memory == NULL:
        return False
    mean.unused = mean.memory
    mean.rows.sums = take(mean, mean.rows.parts * size)
    mean.cols.sums = take(mean, mean.cols.parts * size)
    mean.R = take(mean, size)
    mean.square = take(mean, size)
    mean.rows.made = take(mean, k)
    mean.cols.made = take(mean, k)
    mean.vectors = take(mean, k)
    mean.panels = take(mean, panels)
    mean.room = take(mean, 3)
    mean.values = take(mean, 1)
    mean.pivots = <Py_ssize_t *>take(mean, 1)
    return True


cdef int cut_members(Mean *mean, const real_t *x, const real_t *y, real_t *x_out,
                     real_t *y_out) noexcept nogil:
    cdef int status = NO_MEMORY
    cdef unsigned long long state = funkc_float_begin()
    if settle(mean):
        find_gram(mean, x, &mean.rows)
        find_gram(mean, y, &mean.cols)
        status = VALUES_TOO_WIDE
        if (isfinite(trace_of(mean.rows.sums, mean.size, mean.stride))
                and isfinite(trace_of(mean.cols.sums, mean.size, mean.stride))):
            status = find_axes(mean)
        if status == OK:
            make(mean, x, &mean.rows, x_out)
            make(mean, y, &mean.cols, y_out)
    give_back(NULL, mean.memory)
    funkc_float_end(state)
    return status


def cut(const real_t[:, :, ::1] x, const real_t[:, :, ::1] y, Py_ssize_t k,
        const double[::1] row_weights, const double[::1] col_weights, real_t[:, ::1] x_out,
        real_t[:, ::1] y_out, int n_threads):
    """x_out @ y_out.T = the best approximation with k factors of the mean of x[e] @ y[e].T over
    the members e, where the squared error of an entry counts row_weights[i] * col_weights[j]
    times; a status.

    Of every row of x and y the first k numbers count; behind them, x_out and y_out get zeros.
    They may be the first members, x[0] and y[0], themselves.
    """
    cdef Mean mean
    cdef int status
    memset(&mean, 0, sizeof(Mean))
    mean.n_members = x.shape[0]
    mean.k = k
    mean.size = x.shape[0] * k
    mean.stride = padded(mean.size)
    mean.n_threads = n_threads
    mean.rows.n = x.shape[1]
    mean.rows.width = x.shape[2]
    mean.rows.out_width = x_out.shape[1]
    mean.rows.weights = &row_weights[0]
    mean.cols.n = y.shape[1]
    mean.cols.width = y.shape[2]
    mean.cols.out_width = y_out.shape[1]
    mean.cols.weights = &col_weights[0]
    with nogil:
        status = cut_members(&mean, &x[0, 0, 0], &y[0, 0, 0], &x_out[0, 0], &y_out[0, 0])
    return status
