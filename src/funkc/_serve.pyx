"""What is done with factors: products, the best of a row, and new rows fitted to columns.

This one source is built once per instruction set (see setup.py).

Design
a. A product is taken in the order of lanes.h wherever it is asked for, so that a cell has the
   same bits in a list of cells, in the full product and among the best of its row.
b. The best columns of a row are kept in a heap while blocks of columns stream by; a block stays
   in the cache for all rows that a worker holds.
c. A new row is a ridge regression of its cells on the factors of their columns, drawn towards
   what is usual (the mean row) and not towards 0: rows with few cells are common, and for a
   row with none the mean is the answer.  It is solved in double, whatever the factors are.
d. Nothing here raises, prints or takes the GIL; memory is got before the work begins.
"""
from cython.parallel cimport prange
from libc.stdint cimport int64_t
from libc.stdlib cimport calloc, free
from libc.string cimport memset
from funkc._lanes cimport dots
from funkc._types cimport NO_MEMORY, OK, real_t


cdef extern from "claims.h" nogil:
    int64_t funkc_add(int64_t *p, int64_t value)


cdef extern from "float_state.h" nogil:
    unsigned long long funkc_float_begin()
    void funkc_float_end(unsigned long long state)


cdef extern from "<math.h>" nogil:
    const float INFINITY
    double sqrt(double x)


cdef extern from "ridge.h" nogil:
    int RIDGE_CELLS
    void funkc_ridge_add(double *A, double *b, const double *f, const double *w, const double *t,
                         Py_ssize_t size, Py_ssize_t stride)
    void funkc_ridge_subtract(const double *A, const double *x, double *b, Py_ssize_t size,
                              Py_ssize_t stride)
    void funkc_ridge_solve(double *A, double *b, double *column, Py_ssize_t size,
                           Py_ssize_t stride)
    void funkc_ridge_nonnegative(const double *A, const double *b, double *x, Py_ssize_t size,
                                 Py_ssize_t stride, Py_ssize_t nonnegative)


cdef enum:
    CELLS_AT_ONCE = 4096        # that one worker predicts
    COLS_AT_ONCE = 512          # that a worker scores before it looks for the best
    ROWS_AT_ONCE = 32           # that a worker scores against the same columns
    NEW_ROWS_AT_ONCE = 64       # that a worker fits


# ---------------------------------------------------------------- products

def inner_products(const real_t[:, ::1] x, const real_t[:, ::1] y, real_t[::1] out,
                   double offset, int n_threads):
    """out[c] = offset + x[c] . y[c], in the fixed order of lanes.h."""
    cdef:
        Py_ssize_t part, n = out.shape[0], width = x.shape[1]
        Py_ssize_t parts = (n + CELLS_AT_ONCE - 1) // CELLS_AT_ONCE
    with nogil:
        for part in prange(parts, num_threads=max(1, <int>min(<Py_ssize_t>n_threads, parts))):
            products_of_cells(&x[0, 0], &y[0, 0], width, offset, &out[0], part * CELLS_AT_ONCE,
                              min(n, (part + 1) * CELLS_AT_ONCE))


cdef void products_of_cells(const real_t *x, const real_t *y, Py_ssize_t width, double offset,
                            real_t *out, Py_ssize_t first, Py_ssize_t last) noexcept nogil:
    cdef Py_ssize_t c
    cdef unsigned long long state = funkc_float_begin()
    for c in range(first, last):
        products_of_row(x + c * width, y + c * width, 1, width, offset, out + c)
    funkc_float_end(state)


def product(const real_t[:, ::1] x, const real_t[:, ::1] y, real_t[:, ::1] out,
            double offset, int n_threads):
    """out = offset + x @ y.T in the fixed order, so that no BLAS decides on its bits."""
    cdef:
        Py_ssize_t i, n = y.shape[0], width = x.shape[1]
        int workers = <int>min(<Py_ssize_t>n_threads, 1 + x.shape[0] * n // 8192)
        unsigned long long state
    with nogil:
        for i in prange(x.shape[0], num_threads=workers, schedule="static"):
            state = funkc_float_begin()
            products_of_row(&x[i, 0], &y[0, 0], n, width, offset, &out[i, 0])
            funkc_float_end(state)


cdef void products_of_row(const real_t *x, const real_t *y, Py_ssize_t n, Py_ssize_t width,
                          double offset, real_t *out) noexcept nogil:
    cdef:
        Py_ssize_t j
        int g, count
        const real_t *column[8]
        real_t[8] dot
    for j in range(0, n, 8):
        count = <int>min(<Py_ssize_t>8, n - j)
        for g in range(count):
            column[g] = y + (j + g) * width
        dots(x, column, count, width, dot)
        for g in range(count):
            out[j + g] = <real_t>(offset + <double>dot[g])


# ---------------------------------------------------------------- the best of a row

cdef inline bint is_worse(real_t score, int64_t col, real_t other, int64_t other_col
                          ) noexcept nogil:
    """Whether (score, col) comes after the other: of equal scores, the later column."""
    return score < other or (score == other and col > other_col)


cdef inline void sink(real_t *scores, int64_t *cols, Py_ssize_t at, Py_ssize_t n) noexcept nogil:
    """Let the entry sink to its place in a heap whose root is the worst."""
    cdef:
        Py_ssize_t child
        real_t score = scores[at]
        int64_t col = cols[at]
    while True:
        child = 2 * at + 1
        if child >= n:
            break
        if child + 1 < n and is_worse(scores[child + 1], cols[child + 1], scores[child],
                                      cols[child]):
            child += 1
        if not is_worse(scores[child], cols[child], score, col):
            break
        scores[at] = scores[child]
        cols[at] = cols[child]
        at = child
    scores[at] = score
    cols[at] = col


cdef void put_in_order(real_t *scores, int64_t *cols, Py_ssize_t n) noexcept nogil:
    """The best first."""
    cdef:
        real_t score
        int64_t col
    while n > 1:
        n -= 1
        score = scores[0]
        col = cols[0]
        scores[0] = scores[n]
        cols[0] = cols[n]
        scores[n] = score
        cols[n] = col
        sink(scores, cols, 0, n)


cdef void best_of_rows(
    const real_t *x, const real_t *y, Py_ssize_t n_rows, Py_ssize_t n_cols, Py_ssize_t width,
    double offset, const int64_t *hidden_from, const int64_t *hidden, Py_ssize_t wanted,
    int64_t *cols, real_t *scores
) noexcept nogil:
    """Up to ROWS_AT_ONCE rows; hidden[hidden_from[i] ... hidden_from[i + 1] - 1], in order, are
    the columns that row i leaves out."""
    cdef:
        real_t[COLS_AT_ONCE] block
        int64_t[ROWS_AT_ONCE] next_hidden
        real_t *worst
        Py_ssize_t i, j, part, first, last
        real_t nothing = -INFINITY
        unsigned long long state = funkc_float_begin()
    for i in range(n_rows):
        next_hidden[i] = hidden_from[i]
        for j in range(wanted):
            scores[i * wanted + j] = nothing
            cols[i * wanted + j] = -1
    for part in range((n_cols + COLS_AT_ONCE - 1) // COLS_AT_ONCE):
        first = part * COLS_AT_ONCE
        last = min(n_cols, first + COLS_AT_ONCE)
        for i in range(n_rows):
            products_of_row(x + i * width, y + first * width, last - first, width, offset, block)
            while next_hidden[i] < hidden_from[i + 1] and hidden[next_hidden[i]] < last:
                block[hidden[next_hidden[i]] - first] = nothing
                next_hidden[i] += 1
            worst = scores + i * wanted
            for j in range(last - first):
                if block[j] > worst[0]:
                    worst[0] = block[j]
                    cols[i * wanted] = first + j
                    sink(worst, cols + i * wanted, 0, wanted)
    for i in range(n_rows):
        put_in_order(scores + i * wanted, cols + i * wanted, wanted)
    funkc_float_end(state)


def best(const real_t[:, ::1] x, const real_t[:, ::1] y, double offset,
         const int64_t[::1] hidden_from, const int64_t[::1] hidden, int64_t[:, ::1] cols,
         real_t[:, ::1] scores, int n_threads):
    """The columns with the highest offset + x[i] . y[j] of every row, best first; of equal
    ones the first.  Row i leaves out hidden[hidden_from[i] : hidden_from[i + 1]], which are in
    order.  What is left of a row of cols and scores gets -1 and -infinity."""
    cdef:
        Py_ssize_t part, n = x.shape[0], n_cols = y.shape[0], width = x.shape[1]
        Py_ssize_t wanted = cols.shape[1]
        # Few rows are shared out evenly: no worker is left without.
        Py_ssize_t size = max(<Py_ssize_t>1, min(<Py_ssize_t>ROWS_AT_ONCE,
                                                 (n + n_threads - 1) // n_threads))
        Py_ssize_t parts = (n + size - 1) // size
        const int64_t *all_hidden = &hidden[0] if hidden.shape[0] else NULL
    with nogil:
        for part in prange(parts, num_threads=<int>min(<Py_ssize_t>n_threads, parts),
                           schedule="dynamic"):
            best_of_rows(&x[part * size, 0], &y[0, 0], min(size, n - part * size), n_cols, width,
                         offset, &hidden_from[part * size], all_hidden, wanted,
                         &cols[part * size, 0], &scores[part * size, 0])


# ---------------------------------------------------------------- new rows

cdef struct Fold:
    const int64_t *first        # (n + 1) of the cells of every new row
    const int64_t *cols         # the cells' columns
    const double *values
    const double *weights       # or NULL
    Py_ssize_t n
    const double *base          # (columns) what is added to a column's products
    const double *usual         # (size) the row that new ones are drawn towards
    Py_ssize_t size             # numbers of a row that are looked for
    Py_ssize_t stride
    Py_ssize_t nonnegative      # of them
    double ridge                # for every cell


cdef void fit_row(const Fold *fold, Py_ssize_t i, const real_t *y, Py_ssize_t width,
                  double *room, real_t *out) noexcept nogil:
    """The ridge regression of one row's cells; room is stride * (stride + 2 + RIDGE_CELLS)."""
    cdef:
        Py_ssize_t size = fold.size, stride = fold.stride
        double *A = room
        double *b = A + stride * stride
        double *column = b + stride
        double *f = column + stride
        double[4] w, t
        int64_t first = fold.first[i], last = fold.first[i + 1], c
        Py_ssize_t j
        int g
        double ridge = fold.ridge * <double>(last - first)
    if first == last:
        for j in range(size):
            out[j] = <real_t>fold.usual[j]
        return
    memset(room, 0, stride * (stride + 2 + RIDGE_CELLS) * sizeof(double))
    c = first
    while c < last:
        for g in range(RIDGE_CELLS):
            if c + g < last:
                w[g] = fold.weights[c + g] if fold.weights != NULL else 1.0
                t[g] = fold.values[c + g] - fold.base[fold.cols[c + g]]
                for j in range(size):
                    f[g * stride + j] = y[fold.cols[c + g] * width + j]
            else:
                w[g] = t[g] = 0.0
        funkc_ridge_add(A, b, f, w, t, size, stride)
        c += RIDGE_CELLS
    if fold.nonnegative:
        for j in range(size):
            A[j * stride + j] += ridge
            b[j] += ridge * fold.usual[j]
            column[j] = fold.usual[j]
        funkc_ridge_nonnegative(A, b, column, size, stride, fold.nonnegative)
        for j in range(size):
            out[j] = <real_t>column[j]
        return
    funkc_ridge_subtract(A, fold.usual, b, size, stride)
    for j in range(size):
        A[j * stride + j] += ridge
    funkc_ridge_solve(A, b, column, size, stride)
    for j in range(size):
        out[j] = <real_t>(fold.usual[j] + b[j])


cdef void fold_worker(const Fold *fold, const real_t *y, Py_ssize_t width, double *room,
                      int64_t *next, real_t *out) noexcept nogil:
    cdef:
        Py_ssize_t i
        unsigned long long state = funkc_float_begin()
        int64_t first = funkc_add(next, NEW_ROWS_AT_ONCE)
    while first < fold.n:
        for i in range(first, min(<int64_t>fold.n, first + NEW_ROWS_AT_ONCE)):
            fit_row(fold, i, y, width, room, out + i * fold.size)
        first = funkc_add(next, NEW_ROWS_AT_ONCE)
    funkc_float_end(state)


cdef int fold_in_rows(const Fold *fold, const real_t *y, Py_ssize_t width, real_t *out,
                      int n_threads) noexcept nogil:
    """All rows; NO_MEMORY, or OK."""
    cdef:
        int w, workers = <int>min(
            <Py_ssize_t>n_threads, (fold.n + NEW_ROWS_AT_ONCE - 1) // NEW_ROWS_AT_ONCE)
        Py_ssize_t room = fold.stride * (fold.stride + 2 + RIDGE_CELLS)
        double *rooms = <double *>calloc(<size_t>workers * <size_t>room, sizeof(double))
        int64_t next = 0
    if rooms == NULL:
        return NO_MEMORY
    for w in prange(workers, num_threads=workers, schedule="static", chunksize=1):
        fold_worker(fold, y, width, rooms + w * room, &next, out)
    free(rooms)
    return OK


def fold_in(const real_t[:, ::1] y, const double[::1] base, const int64_t[::1] first,
            const int64_t[::1] cols, const double[::1] values, const double[::1] weights,
            const double[::1] usual, double ridge, Py_ssize_t nonnegative, real_t[:, ::1] out,
            int n_threads):
    """Fit rows to columns: out[i] = x with the least sum over the row's cells c of
    weights[c] (values[c] - base[cols[c]] - x . y[cols[c]])^2 + ridge |x - usual|^2.

    The cells of row i are first[i] ... first[i + 1] - 1.  weights may be empty.  The first
    `nonnegative` numbers of a row are not below 0.
    """
    cdef Fold fold
    cdef int status
    fold.first = &first[0]
    fold.cols = &cols[0] if cols.shape[0] else NULL
    fold.values = &values[0] if cols.shape[0] else NULL
    fold.weights = &weights[0] if weights.shape[0] else NULL
    fold.n = out.shape[0]
    fold.base = &base[0]
    fold.usual = &usual[0]
    fold.size = out.shape[1]
    fold.stride = (fold.size + 7) // 8 * 8
    fold.nonnegative = nonnegative
    fold.ridge = ridge
    with nogil:
        status = fold_in_rows(&fold, &y[0, 0], y.shape[1], &out[0, 0], n_threads)
    return status


# ---------------------------------------------------------------- what is usual

def means(const real_t[:, ::1] x, double[::1] out):
    """out = the mean of all rows, added up in order."""
    cdef Py_ssize_t i, j
    cdef unsigned long long state
    with nogil:
        state = funkc_float_begin()
        for i in range(x.shape[0]):
            for j in range(x.shape[1]):
                out[j] = x[i, j] if i == 0 else out[j] + x[i, j]
        for j in range(x.shape[1]):
            out[j] = out[j] / <double>x.shape[0]
        funkc_float_end(state)


def directions(const real_t[:, ::1] x, const double[::1] mean, real_t[:, ::1] out):
    """out = every row less the mean, scaled to length 1; 0 where nothing is left."""
    cdef Py_ssize_t i, j
    cdef double length, part
    cdef unsigned long long state
    with nogil:
        state = funkc_float_begin()
        for i in range(x.shape[0]):
            length = 0
            for j in range(x.shape[1]):
                part = x[i, j] - mean[j]
                length = length + part * part
            length = sqrt(length)
            for j in range(x.shape[1]):
                part = x[i, j] - mean[j]
                out[i, j] = <real_t>(part / length if length > 0 else 0.0)
        funkc_float_end(state)
