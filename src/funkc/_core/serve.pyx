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
from libc.string cimport memcpy, memset
from cpython.pycapsule cimport PyCapsule_New
from funkc._core.lanes cimport dots
from funkc._core.memory cimport give_back, obtain, obtain_zeros
from funkc._core.types cimport (
    BAD_SHAPE, COL_OUTSIDE, DUPLICATE_CELL, NO_MEMORY, OK, ROW_OUTSIDE, VALUES_TOO_WIDE,
    ServeTable, index_at, padded, real_t,
)
from funkc.capi cimport funkc_cells, funkc_memory, funkc_model


cdef extern from "claims.h" nogil:
    int64_t funkc_add(int64_t *p, int64_t value)


cdef extern from "float_state.h" nogil:
    unsigned long long funkc_float_begin()
    void funkc_float_end(unsigned long long state)


cdef extern from "<math.h>" nogil:
    const float INFINITY
    bint isfinite(double x)
    double sqrt(double x)


cdef extern from "ridge.h" nogil:
    int RIDGE_CELLS "FUNKC_RIDGE_CELLS"
    void funkc_ridge_add(double *A, double *b, const double *f, const double *w, const double *t,
                         Py_ssize_t size, Py_ssize_t stride)
    void funkc_ridge_subtract(const double *A, const double *x, double *b, Py_ssize_t size,
                              Py_ssize_t stride)
    void funkc_ridge_solve(double *A, double *b, double *column, Py_ssize_t size,
                           Py_ssize_t stride)
    void funkc_ridge_nonnegative(double *A, const double *b, double *x, double *room,
                                 Py_ssize_t size, Py_ssize_t stride, Py_ssize_t nonnegative)


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


cdef void best_of_all(
    const real_t *x, const real_t *y, Py_ssize_t n, Py_ssize_t n_cols, Py_ssize_t width,
    double offset, const int64_t *hidden_from, const int64_t *hidden, Py_ssize_t wanted,
    int64_t *cols, real_t *scores, int n_threads
) noexcept nogil:
    cdef:
        # Few rows are shared out evenly: no worker is left without.
        Py_ssize_t size = max(<Py_ssize_t>1, min(<Py_ssize_t>ROWS_AT_ONCE,
                                                 (n + n_threads - 1) // n_threads))
        Py_ssize_t part, parts = (n + size - 1) // size
    for part in prange(parts, num_threads=max(1, <int>min(<Py_ssize_t>n_threads, parts)),
                       schedule="dynamic"):
        best_of_rows(x + part * size * width, y, min(size, n - part * size), n_cols, width,
                     offset, hidden_from + part * size, hidden, wanted,
                     cols + part * size * wanted, scores + part * size * wanted)


def best(const real_t[:, ::1] x, const real_t[:, ::1] y, double offset,
         const int64_t[::1] hidden_from, const int64_t[::1] hidden, int64_t[:, ::1] cols,
         real_t[:, ::1] scores, int n_threads):
    """The columns with the highest offset + x[i] . y[j] of every row, best first; of equal
    ones the first.  Row i leaves out hidden[hidden_from[i] : hidden_from[i + 1]], which are in
    order.  What is left of a row of cols and scores gets -1 and -infinity."""
    with nogil:
        best_of_all(&x[0, 0], &y[0, 0], x.shape[0], y.shape[0], x.shape[1], offset,
                    &hidden_from[0], &hidden[0] if hidden.shape[0] else NULL, cols.shape[1],
                    &cols[0, 0], &scores[0, 0], n_threads)


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
    Py_ssize_t length           # of a row that comes out
    const funkc_memory *memory


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
        double heaviest = 0, scale = 0, largest = 0
    if first == last:
        for j in range(size):
            out[j] = <real_t>fold.usual[j]
        return
    memset(room, 0, stride * (stride + 2 + RIDGE_CELLS) * sizeof(double))
    if fold.weights != NULL:                # 1 on average, whatever other rows have
        for c in range(first, last):
            heaviest = max(heaviest, fold.weights[c])
        for c in range(first, last):
            scale = scale + fold.weights[c] / heaviest
        scale = <double>(last - first) / scale
    c = first
    while c < last:
        for g in range(RIDGE_CELLS):
            if c + g < last:
                w[g] = (fold.weights[c + g] / heaviest * scale if fold.weights != NULL
                        else 1.0)
                t[g] = fold.values[c + g] - fold.base[fold.cols[c + g]]
                for j in range(size):
                    f[g * stride + j] = y[fold.cols[c + g] * width + j]
            else:
                w[g] = t[g] = 0.0
        funkc_ridge_add(A, b, f, w, t, size, stride)
        c += RIDGE_CELLS
    for j in range(size):
        largest = max(largest, A[j * stride + j])
    ridge = max(ridge, largest * 1e-10)     # or fewer cells than numbers say nothing for sure
    if fold.nonnegative:
        for j in range(size):
            A[j * stride + j] += ridge
            b[j] += ridge * fold.usual[j]
            column[j] = fold.usual[j]
        funkc_ridge_nonnegative(A, b, column, f, size, stride, fold.nonnegative)
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
            fit_row(fold, i, y, width, room, out + i * fold.length)
        first = funkc_add(next, NEW_ROWS_AT_ONCE)
    funkc_float_end(state)


cdef int fold_in_rows(const Fold *fold, const real_t *y, Py_ssize_t width, real_t *out,
                      int n_threads) noexcept nogil:
    """All rows; NO_MEMORY, or OK."""
    cdef:
        int w, workers = <int>min(
            <Py_ssize_t>n_threads, (fold.n + NEW_ROWS_AT_ONCE - 1) // NEW_ROWS_AT_ONCE)
        Py_ssize_t room = fold.stride * (fold.stride + 2 + RIDGE_CELLS)
        double *rooms = <double *>obtain_zeros(
            fold.memory, <size_t>workers * <size_t>room, sizeof(double))
        int64_t next = 0
    if rooms == NULL:
        return NO_MEMORY
    for w in prange(workers, num_threads=workers, schedule="static", chunksize=1):
        fold_worker(fold, y, width, rooms + w * room, &next, out)
    give_back(fold.memory, rooms)
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
    fold.length = fold.size
    fold.memory = NULL
    with nogil:
        status = fold_in_rows(&fold, &y[0, 0], y.shape[1], &out[0, 0], n_threads)
    return status


# ---------------------------------------------------------------- what is usual

cdef void mean_of_rows(const real_t *x, Py_ssize_t n, Py_ssize_t length, Py_ssize_t size,
                       double *out) noexcept nogil:
    """The first `size` numbers of every row, added up in order."""
    cdef Py_ssize_t i, j
    cdef unsigned long long state = funkc_float_begin()
    for i in range(n):
        for j in range(size):
            out[j] = x[i * length + j] if i == 0 else out[j] + x[i * length + j]
    for j in range(size):
        out[j] = out[j] / <double>n
    funkc_float_end(state)


def means(const real_t[:, ::1] x, double[::1] out):
    """out = the mean of all rows."""
    with nogil:
        mean_of_rows(&x[0, 0], x.shape[0], x.shape[1], x.shape[1], &out[0])


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


# ---------------------------------------------------------------- other extensions' door

cdef inline Py_ssize_t length_of(const funkc_model *model) noexcept nogil:
    return model.k + (2 if model.biases else 0)


cdef inline double value_of(const funkc_cells *cells, int64_t c) noexcept nogil:
    return ((<const double *>cells.values)[c] if cells.value_bytes == 8
            else <double>(<const float *>cells.values)[c])


cdef int find_outside(const int64_t *positions, int64_t n, int64_t size,
                      int status) noexcept nogil:
    cdef int64_t i
    for i in range(n):
        if not 0 <= positions[i] < size:
            return status
    return OK


cdef void pad(const real_t *factors, int64_t n, Py_ssize_t length, const int64_t *chosen,
              Py_ssize_t width, real_t *out) noexcept nogil:
    """All rows, or those chosen, padded with zeros."""
    cdef int64_t i
    for i in range(n):
        memcpy(out + i * width, factors + (chosen[i] if chosen != NULL else i) * length,
               length * sizeof(real_t))
        memset(out + i * width + length, 0, (width - length) * sizeof(real_t))


cdef double part_of_cells(
    const funkc_model *model, const real_t *x, const real_t *y, const int64_t *rows,
    const int64_t *cols, const funkc_cells *cells, int64_t first, int64_t last, real_t *room,
    real_t *out
) noexcept nogil:
    """Predictions of cells first ... last - 1 into out, or, of `cells`, the sum of their squared
    errors."""
    cdef:
        Py_ssize_t length = length_of(model), width = padded(length)
        int64_t c, row, col
        double error, total = 0
        real_t made
        unsigned long long state = funkc_float_begin()
    for c in range(first, last):
        row = rows[c] if cells == NULL else index_at(cells.rows, cells.index_bytes == 8, c)
        col = cols[c] if cells == NULL else index_at(cells.cols, cells.index_bytes == 8, c)
        memcpy(room, x + row * length, length * sizeof(real_t))
        memcpy(room + width, y + col * length, length * sizeof(real_t))
        products_of_row(room, room + width, 1, width, model.offset, &made)
        if out != NULL:
            out[c] = made
        else:
            error = value_of(cells, c) - <double>made
            total = total + error * error
    funkc_float_end(state)
    return total


cdef void cells_of_worker(
    const funkc_model *model, const real_t *x, const real_t *y, const int64_t *rows,
    const int64_t *cols, const funkc_cells *cells, int64_t n, int worker, int workers,
    real_t *room, real_t *out, double *sums
) noexcept nogil:
    cdef int64_t part = worker
    while part * CELLS_AT_ONCE < n:
        sums[part] = part_of_cells(model, x, y, rows, cols, cells, part * CELLS_AT_ONCE,
                                   min(n, (part + 1) * CELLS_AT_ONCE), room, out)
        part += workers


cdef int over_cells(
    const funkc_model *model, const real_t *x, const int64_t *rows, const int64_t *cols,
    const funkc_cells *cells, int64_t n, int n_threads, real_t *out, double *squares
) noexcept nogil:
    cdef:
        const real_t *y = <const real_t *>model.col_factors
        Py_ssize_t width = padded(length_of(model))
        int64_t part, parts = (n + CELLS_AT_ONCE - 1) // CELLS_AT_ONCE
        int w, workers = max(1, <int>min(<int64_t>n_threads, parts))
        real_t *room = <real_t *>obtain_zeros(model.memory, workers * 2 * width, sizeof(real_t))
        double *sums = <double *>obtain_zeros(model.memory, parts, sizeof(double))
    if room == NULL or sums == NULL:
        give_back(model.memory, room)
        give_back(model.memory, sums)
        return NO_MEMORY
    for w in prange(workers, num_threads=workers, schedule="static", chunksize=1):
        cells_of_worker(model, x, y, rows, cols, cells, n, w, workers, room + w * 2 * width, out,
                        sums)
    if squares != NULL:
        squares[0] = 0
        for part in range(parts):
            squares[0] += sums[part]
    give_back(model.memory, room)
    give_back(model.memory, sums)
    return OK


cdef int predict_cells(const funkc_model *model, const int64_t *rows, const int64_t *cols,
                       int64_t n, void *out, int n_threads) noexcept nogil:
    cdef int status = find_outside(rows, n, model.n_rows, ROW_OUTSIDE)
    if status == OK:
        status = find_outside(cols, n, model.n_cols, COL_OUTSIDE)
    if status != OK:
        return status
    if model.real_bytes == 4:
        return over_cells[float](model, <const float *>model.row_factors, rows, cols, NULL, n,
                                 n_threads, <float *>out, NULL)
    return over_cells[double](model, <const double *>model.row_factors, rows, cols, NULL, n,
                              n_threads, <double *>out, NULL)


cdef int rmse_of_cells(const funkc_model *model, const funkc_cells *cells, int n_threads,
                       double *rmse) noexcept nogil:
    cdef:
        double squares = 0
        int status
        unsigned long long state = funkc_float_begin()
    if model.real_bytes == 4:
        status = over_cells[float](model, <const float *>model.row_factors, NULL, NULL, cells,
                                   cells.n_cells, n_threads, NULL, &squares)
    else:
        status = over_cells[double](model, <const double *>model.row_factors, NULL, NULL, cells,
                                    cells.n_cells, n_threads, NULL, &squares)
    if status == OK:
        rmse[0] = sqrt(squares / <double>cells.n_cells)
    funkc_float_end(state)
    return status


cdef int top_of_rows(
    const funkc_model *model, const real_t *x, const int64_t *rows, int64_t n_rows, int64_t n,
    const int64_t *hidden_from, const int64_t *hidden, int64_t *cols, real_t *scores,
    int n_threads
) noexcept nogil:
    cdef:
        Py_ssize_t length = length_of(model), width = padded(length)
        const funkc_memory *memory = model.memory
        real_t *some = <real_t *>obtain(memory, n_rows, width * sizeof(real_t))
        real_t *all_cols = <real_t *>obtain(memory, model.n_cols, width * sizeof(real_t))
        int64_t *nothing = NULL
        int status = OK
    if hidden_from == NULL:
        nothing = <int64_t *>obtain_zeros(memory, n_rows + 1, sizeof(int64_t))
        hidden_from = nothing
    if some == NULL or all_cols == NULL or hidden_from == NULL:
        status = NO_MEMORY
    else:
        pad(x, n_rows, length, rows, width, some)
        pad(<const real_t *>model.col_factors, model.n_cols, length, NULL, width, all_cols)
        best_of_all(some, all_cols, n_rows, model.n_cols, width, model.offset, hidden_from,
                    hidden, n, cols, scores, n_threads)
    give_back(memory, some)
    give_back(memory, all_cols)
    give_back(memory, nothing)
    return status


cdef int top_cells(
    const funkc_model *model, const int64_t *rows, int64_t n_rows, int64_t n,
    const int64_t *hidden_from, const int64_t *hidden, int64_t *cols, void *scores, int n_threads
) noexcept nogil:
    cdef:
        int64_t i, c
        int status = find_outside(rows, n_rows, model.n_rows, ROW_OUTSIDE)
    if status != OK:
        return status
    if hidden_from != NULL:
        for i in range(n_rows):
            if hidden_from[i] < 0 or hidden_from[i + 1] < hidden_from[i]:
                return BAD_SHAPE
            for c in range(hidden_from[i], hidden_from[i + 1]):
                if not 0 <= hidden[c] < model.n_cols:
                    return COL_OUTSIDE
                if c > hidden_from[i] and hidden[c] < hidden[c - 1]:
                    return BAD_SHAPE
    if model.real_bytes == 4:
        return top_of_rows[float](model, <const float *>model.row_factors, rows, n_rows, n,
                                  hidden_from, hidden, cols, <float *>scores, n_threads)
    return top_of_rows[double](model, <const double *>model.row_factors, rows, n_rows, n,
                               hidden_from, hidden, cols, <double *>scores, n_threads)


cdef void sort_by_column(int64_t *order, int64_t n, const funkc_cells *cells) noexcept nogil:
    """Cells of one row; few, or in order already."""
    cdef:
        int64_t gap = 1, i, j, cell, col
        bint wide = cells.index_bytes == 8
    while gap < n // 3:
        gap = 3 * gap + 1
    while gap > 0:
        for i in range(gap, n):
            cell = order[i]
            col = index_at(cells.cols, wide, cell)
            j = i
            while j >= gap and index_at(cells.cols, wide, order[j - gap]) > col:
                order[j] = order[j - gap]
                j -= gap
            order[j] = cell
        gap //= 3


cdef int group_by_row(const funkc_cells *cells, int64_t *first, int64_t *order, int64_t *cols,
                      double *values, double *weights) noexcept nogil:
    """The cells of each row together, in order of their columns."""
    cdef:
        int64_t c, i, at, n = cells.n_cells
        bint wide = cells.index_bytes == 8
    for c in range(n):
        first[index_at(cells.rows, wide, c) + 1] += 1
    for i in range(cells.n_rows):
        first[i + 1] += first[i]
    for c in range(n):
        i = index_at(cells.rows, wide, c)
        order[first[i]] = c
        first[i] += 1
    for i in range(cells.n_rows, 0, -1):
        first[i] = first[i - 1]
    first[0] = 0
    for i in range(cells.n_rows):
        sort_by_column(order + first[i], first[i + 1] - first[i], cells)
        for at in range(first[i], first[i + 1]):
            cols[at] = index_at(cells.cols, wide, order[at])
            if at > first[i] and cols[at] == cols[at - 1]:
                return DUPLICATE_CELL
            values[at] = value_of(cells, order[at])
            if weights != NULL:
                weights[at] = cells.weights[order[at]]
    return OK


cdef bint all_finite(const real_t *x, int64_t n) noexcept nogil:
    cdef int64_t i
    for i in range(n):
        if not isfinite(<double>x[i]):
            return False
    return True


cdef void put_ones(const Fold *fold, real_t *out) noexcept nogil:
    """What follows a row's bias."""
    cdef int64_t i
    for i in range(fold.n):
        out[i * fold.length + fold.length - 1] = 1


cdef int fold_cells(const funkc_model *model, const real_t *x, const funkc_cells *cells,
                    double ridge, real_t *out, int n_threads) noexcept nogil:
    cdef:
        Fold fold
        Py_ssize_t length = length_of(model), j
        const real_t *y = <const real_t *>model.col_factors
        const funkc_memory *memory = model.memory
        int64_t *first = <int64_t *>obtain_zeros(memory, cells.n_rows + 1, sizeof(int64_t))
        int64_t *order = <int64_t *>obtain(memory, cells.n_cells, sizeof(int64_t))
        int64_t *cols = <int64_t *>obtain(memory, cells.n_cells, sizeof(int64_t))
        double *values = <double *>obtain(memory, cells.n_cells, sizeof(double))
        double *weights = NULL
        double *base = <double *>obtain(memory, model.n_cols, sizeof(double))
        double *usual = <double *>obtain(memory, length, sizeof(double))
        int status = NO_MEMORY
    if cells.weights != NULL:
        weights = <double *>obtain(memory, cells.n_cells, sizeof(double))
    if (first != NULL and order != NULL and cols != NULL and values != NULL and base != NULL
            and usual != NULL and (weights != NULL or cells.weights == NULL)):
        status = group_by_row(cells, first, order, cols, values, weights)
    if status == OK:
        fold.first = first
        fold.cols = cols
        fold.values = values
        fold.weights = weights
        fold.n = cells.n_rows
        fold.base = base
        fold.usual = usual
        fold.size = model.k + (1 if model.biases else 0)    # of a column: factors and 1
        fold.stride = (fold.size + 7) // 8 * 8
        fold.nonnegative = model.k if model.nonnegative else 0
        fold.ridge = ridge
        fold.length = length
        fold.memory = memory
        for j in range(model.n_cols):
            base[j] = model.offset + (<double>y[j * length + length - 1] if model.biases else 0.0)
        mean_of_rows(x, model.n_rows, length, fold.size, usual)
        status = fold_in_rows(&fold, y, length, out, n_threads)
        if status == OK and model.biases:
            put_ones(&fold, out)
        if status == OK and not all_finite(out, cells.n_rows * length):
            status = VALUES_TOO_WIDE
    give_back(memory, first)
    give_back(memory, order)
    give_back(memory, cols)
    give_back(memory, values)
    give_back(memory, weights)
    give_back(memory, base)
    give_back(memory, usual)
    return status


cdef int fold_in_cells(const funkc_model *model, const funkc_cells *cells, double ridge,
                       void *out, int n_threads) noexcept nogil:
    cdef int status
    cdef unsigned long long state = funkc_float_begin()
    if model.real_bytes == 4:
        status = fold_cells[float](model, <const float *>model.row_factors, cells, ridge,
                                   <float *>out, n_threads)
    else:
        status = fold_cells[double](model, <const double *>model.row_factors, cells, ridge,
                                    <double *>out, n_threads)
    funkc_float_end(state)
    return status


cdef ServeTable table
table.predict = predict_cells
table.rmse = rmse_of_cells
table.fold_in = fold_in_cells
table.top = top_cells
serve_table = PyCapsule_New(&table, "funkc.serve", NULL)
