"""What is done with factors: products, the best of a row, and new rows fitted to columns.

This one source is built once per instruction set (see setup.py).

Design
a. A product is taken in the order of lanes.h wherever it is asked for, so that an entry has the
   same bits in a list of entries, in the full product and among the best of its row.
b. The best columns of a row are kept in a heap while blocks of columns stream by; a block stays
   in the cache for all rows that a thread holds.
c. A new row is a ridge regression of its entries on the factors of their columns, drawn towards
   what is usual (the mean row) and not towards 0: rows with few entries are common, and for a
   row with none the mean is the answer.  How far, in which direction, the prior tells (prior.pxd),
   or a ridge.  It is solved in double, whatever the factors are.
d. Nothing here raises, prints or takes the GIL; memory is got before the work begins.
e. What is used as an index is compared with the sizes where it is read, once, because a caller's
   arrays may change after any check; and the shapes of arrays, because a caller's `out` may say
   one shape and have another.
"""
from cython.parallel cimport prange
from libc.stdint cimport int64_t
from libc.string cimport memcpy, memset
from cpython.pycapsule cimport PyCapsule_New
from funkc._core.best cimport put_in_order, sink
from funkc._core.lanes cimport dots
from funkc._core.machine cimport granted
from funkc._core.memory cimport give_back, obtain, obtain_zeros
from funkc._core.loss cimport (
    LOGISTIC_LOSS, POISSON_LOSS, SQUARED_LOSS, least_cost, loss_of_new_rows, prediction_of, pulled,
)
from funkc._core.new_rows cimport (
    NewRows, fit_row, group_by_row, room_of, rooms_for, rows_at_once, size_of, stride_of,
    threads_for,
)
from funkc._core.prior cimport (
    RIDGE_CELLS, mean_of_rows, precision_of, spread_of_rows, stride_for,
)
from funkc._core.types cimport (
    CELLS_CHANGED, MORE, NO_MEMORY, OK, VALUES_TOO_WIDE, Loss, ServeTable, index_at, padded, real_t,
    value_at,
)
from funkc.capi cimport funkc_cells, funkc_memory, funkc_model


cdef extern from "claims.h" nogil:
    int64_t funkc_add(int64_t *p, int64_t value)
    int64_t funkc_get(const int64_t *p)
    void funkc_put(int64_t *p, int64_t value)


cdef extern from "float_state.h" nogil:
    unsigned long long funkc_float_begin()
    void funkc_float_end(unsigned long long state)


cdef extern from "nogil.h":
    pass


cdef extern from "<math.h>" nogil:
    const float INFINITY
    bint isfinite(double x)
    double sqrt(double x)


cdef enum:
    CELLS_AT_ONCE = 4096        # that one worker predicts
    COLS_AT_ONCE = 512          # that a worker scores before it looks for the best
    ROWS_AT_ONCE = 32           # that a worker scores against the same columns


# ---------------------------------------------------------------- products

def product(const real_t[:, ::1] x, const real_t[:, ::1] y, real_t[:, ::1] out,
            double offset, int n_threads):
    """out = offset + x @ y.T in the fixed order, so that no BLAS decides on its bits; False, if
    their shapes don't fit each other."""
    cdef:
        Py_ssize_t i, n = y.shape[0], width = x.shape[1]
        int workers = <int>min(<Py_ssize_t>n_threads, 1 + x.shape[0] * n // 8192)
        unsigned long long state
    if y.shape[1] != width or out.shape[0] != x.shape[0] or out.shape[1] != n:
        return False
    with nogil:
        for i in prange(x.shape[0], num_threads=granted(workers), schedule="static"):
            state = funkc_float_begin()
            products_of_row(&x[i, 0], &y[0, 0], n, width, offset, &out[i, 0])
            funkc_float_end(state)
    return True


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


cdef inline Py_ssize_t length_of(int k, bint biases) noexcept nogil:
    """Of a row as callers have it."""
    return k + (2 if biases else 0)


cdef void pad(const real_t *factors, int64_t n, Py_ssize_t length, Py_ssize_t width,
              real_t *out) noexcept nogil:
    """Rows, padded with zeros."""
    cdef int64_t i
    for i in range(n):
        memcpy(out + i * width, factors + i * length, length * sizeof(real_t))
        memset(out + i * width + length, 0, (width - length) * sizeof(real_t))


# ---------------------------------------------------------------- cells

cdef double part_of_cells(
    const funkc_cells *cells, const real_t *x, const real_t *y, Py_ssize_t length, double offset,
    const Loss *loss, bint squares, int64_t first, int64_t last, real_t *room, real_t *out,
    int64_t *changed
) noexcept nogil:
    """Predictions of entries first ... last - 1 into out, or the sum of their losses, or of their
    squared errors; sets `changed` at an entry that is not in the matrix."""
    cdef:
        Py_ssize_t width = padded(length)
        bint wide = cells.index_bytes == 8
        int64_t c, i, j
        const real_t *row
        const real_t *col
        double error, total = 0
        real_t made
        unsigned long long state = funkc_float_begin()
    for c in range(first, last):
        i = index_at(cells.rows, wide, c)
        j = index_at(cells.cols, wide, c)
        if not (0 <= i < cells.n_rows and 0 <= j < cells.n_cols):
            funkc_put(changed, 1)
            break
        row = x + i * length
        col = y + j * length
        if length < width:
            memcpy(room, row, length * sizeof(real_t))
            memcpy(room + width, col, length * sizeof(real_t))
            row = room
            col = room + width
        products_of_row(row, col, 1, width, offset, &made)
        if out == NULL and not squares and loss.kind != SQUARED_LOSS:
            error = value_at(cells, c)
            total = (total + pulled(loss, error, <double>made).cost
                     + least_cost(loss.kind, error))
            continue
        made = prediction_of(loss.kind, made)
        if out != NULL:
            out[c] = made
        else:
            error = value_at(cells, c) - <double>made
            total = total + error * error
    funkc_float_end(state)
    return total


cdef void cells_of_worker(
    const funkc_cells *cells, const real_t *x, const real_t *y, Py_ssize_t length, double offset,
    const Loss *loss, bint squares, int worker, int workers, real_t *room, real_t *out,
    double *sums, int64_t *changed
) noexcept nogil:
    cdef int64_t part = worker
    while part * CELLS_AT_ONCE < cells.n_cells:
        sums[part] = part_of_cells(cells, x, y, length, offset, loss, squares,
                                   part * CELLS_AT_ONCE,
                                   min(cells.n_cells, (part + 1) * CELLS_AT_ONCE), room, out,
                                   changed)
        part += workers


cdef int over_cells(
    const funkc_cells *cells, const real_t *x, const real_t *y, Py_ssize_t length, double offset,
    const Loss *loss, bint squares, const funkc_memory *memory, int n_threads, real_t *out,
    double *total
) noexcept nogil:
    """Predictions of all entries into out, or the total of their losses, or of their squared
    errors; rows of x and y hold `length` numbers.  NO_MEMORY, CELLS_CHANGED, or OK."""
    cdef:
        Py_ssize_t width = padded(length)
        int64_t changed = 0
        int64_t part, parts = (cells.n_cells + CELLS_AT_ONCE - 1) // CELLS_AT_ONCE
        int w, workers = max(1, <int>min(<int64_t>n_threads, parts))
        real_t *room = <real_t *>obtain_zeros(memory, workers * 2 * width, sizeof(real_t))
        double *sums = <double *>obtain_zeros(memory, parts, sizeof(double))
    if room == NULL or sums == NULL:
        give_back(memory, room)
        give_back(memory, sums)
        return NO_MEMORY
    for w in prange(workers, num_threads=granted(workers), schedule="static", chunksize=1):
        cells_of_worker(cells, x, y, length, offset, loss, squares, w, workers,
                        room + w * 2 * width, out, sums, &changed)
    if total != NULL:
        total[0] = 0
        for part in range(parts):
            total[0] += sums[part]
    give_back(memory, room)
    give_back(memory, sums)
    return CELLS_CHANGED if funkc_get(&changed) else OK


cdef funkc_cells listed(const int64_t[::1] rows, const int64_t[::1] cols, Py_ssize_t n_rows,
                        Py_ssize_t n_cols) noexcept nogil:
    cdef funkc_cells cells
    memset(&cells, 0, sizeof(funkc_cells))
    cells.n_cells = rows.shape[0]
    cells.n_rows = n_rows
    cells.n_cols = n_cols
    cells.index_bytes = 8
    if cells.n_cells:
        cells.rows = &rows[0]
        cells.cols = &cols[0]
    return cells


def predict(const real_t[:, ::1] x, const real_t[:, ::1] y, const int64_t[::1] rows,
            const int64_t[::1] cols, real_t[::1] out, double offset, int n_threads):
    """out[c] = offset + x[rows[c]] . y[cols[c]]; a status."""
    cdef int status = OK
    cdef funkc_cells cells = listed(rows, cols, x.shape[0], y.shape[0])
    cdef Loss loss
    loss.kind = SQUARED_LOSS
    if cols.shape[0] != cells.n_cells or out.shape[0] != cells.n_cells or y.shape[1] != x.shape[1]:
        return CELLS_CHANGED
    if cells.n_cells:
        with nogil:
            status = over_cells(&cells, &x[0, 0], &y[0, 0], x.shape[1], offset, &loss, False, NULL,
                                n_threads, &out[0], NULL)
    return status


cdef void parts_of_worker(const funkc_cells *cells, const real_t *x, const real_t *y,
                          Py_ssize_t width, const int64_t *ends, Py_ssize_t parts, int worker,
                          int workers, real_t *room, double *sums,
                          int64_t *changed) noexcept nogil:
    cdef:
        Py_ssize_t part = worker
        real_t *nothing = NULL
        Loss loss
    loss.kind = SQUARED_LOSS
    while part < parts:
        sums[part] = part_of_cells(cells, x, y, width, 0.0, &loss, True,
                                   ends[part - 1] if part else 0, ends[part], room, nothing,
                                   changed)
        part += workers


def squared_errors(const real_t[:, ::1] x, const real_t[:, ::1] y, const int64_t[::1] rows,
                   const int64_t[::1] cols, const double[::1] targets, const int64_t[::1] ends,
                   double[::1] sums, int n_threads):
    """Set sums[p] to the sum of (targets[c] - x[rows[c]] . y[cols[c]])^2 over part p of the
    entries, which ends before entry ends[p].  The length of a row is a multiple of 16."""
    cdef:
        Py_ssize_t parts = ends.shape[0]
        int w, workers = max(1, <int>min(<Py_ssize_t>n_threads, parts))
        funkc_cells cells = listed(rows, cols, x.shape[0], y.shape[0])
        int64_t changed = 0                         # by nobody: the arrays are our own
        real_t *no_room = <real_t *>&x[0, 0]        # which rows of that length don't need
    cells.values = &targets[0]
    cells.value_bytes = 8
    with nogil:
        for w in prange(workers, num_threads=granted(workers), schedule="static", chunksize=1):
            parts_of_worker(&cells, &x[0, 0], &y[0, 0], x.shape[1], &ends[0], parts, w, workers,
                            no_room, &sums[0], &changed)


# ---------------------------------------------------------------- the best of a row

cdef void best_of_rows(
    const real_t *x, const real_t *y, Py_ssize_t n_rows, Py_ssize_t n_cols, Py_ssize_t length,
    double offset, const int64_t *hidden_from, const int64_t *hidden, Py_ssize_t wanted,
    real_t *room, int64_t *cols, real_t *scores
) noexcept nogil:
    """Up to ROWS_AT_ONCE padded rows, and columns of any length, COLS_AT_ONCE of which are padded
    at a time in `room`; hidden[hidden_from[i] ... hidden_from[i + 1] - 1], in order, are
    the columns that row i leaves out."""
    cdef:
        real_t[COLS_AT_ONCE] block
        int64_t[ROWS_AT_ONCE] next_hidden
        real_t *worst
        const real_t *some
        Py_ssize_t width = padded(length)
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
        some = y + first * length
        if length < width:
            pad(some, last - first, length, width, room)
            some = room
        for i in range(n_rows):
            products_of_row(x + i * width, some, last - first, width, offset, block)
            while next_hidden[i] < hidden_from[i + 1]:
                j = hidden[next_hidden[i]]
                if j >= last:
                    break
                if j >= first:                  # what is out of order, or not there, hides nothing
                    block[j - first] = nothing
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


cdef int best_of_all(
    const real_t *x, const real_t *y, Py_ssize_t n, Py_ssize_t n_cols, Py_ssize_t length,
    double offset, const int64_t *hidden_from, const int64_t *hidden, Py_ssize_t wanted,
    int64_t *cols, real_t *scores, const funkc_memory *memory, int n_threads
) noexcept nogil:
    """NO_MEMORY, or OK."""
    cdef:
        # Few rows are shared out evenly: no worker is left without.
        Py_ssize_t size = max(<Py_ssize_t>1, min(<Py_ssize_t>ROWS_AT_ONCE,
                                                 (n + n_threads - 1) // n_threads))
        Py_ssize_t width = padded(length), parts = (n + size - 1) // size
        Py_ssize_t room = COLS_AT_ONCE * width if length < width else 0
        int w, workers = max(1, <int>min(<Py_ssize_t>n_threads, parts))
        real_t *rooms = <real_t *>obtain(memory, workers * room, sizeof(real_t))
        int64_t next = 0
    if rooms == NULL:
        return NO_MEMORY
    for w in prange(workers, num_threads=granted(workers), schedule="static", chunksize=1):
        best_worker(x, y, n, n_cols, length, offset, hidden_from, hidden, wanted, size,
                    rooms + w * room, &next, cols, scores)
    give_back(memory, rooms)
    return OK


cdef void best_worker(
    const real_t *x, const real_t *y, Py_ssize_t n, Py_ssize_t n_cols, Py_ssize_t length,
    double offset, const int64_t *hidden_from, const int64_t *hidden, Py_ssize_t wanted,
    Py_ssize_t size, real_t *room, int64_t *next, int64_t *cols, real_t *scores
) noexcept nogil:
    cdef int64_t first = funkc_add(next, size)
    while first < n:
        best_of_rows(x + first * padded(length), y, min(size, n - first), n_cols, length, offset,
                     hidden_from + first, hidden, wanted, room, cols + first * wanted,
                     scores + first * wanted)
        first = funkc_add(next, size)


def best(const real_t[:, ::1] x, const real_t[:, ::1] y, double offset,
         const int64_t[::1] hidden_from, const int64_t[::1] hidden, int64_t[:, ::1] cols,
         real_t[:, ::1] scores, int n_threads):
    """The columns with the highest offset + x[i] . y[j] of every row, best first; of equal
    ones the first.  Row i leaves out hidden[hidden_from[i] : hidden_from[i + 1]], which are in
    order.  What is left of a row of cols and scores gets -1 and -infinity.  A status."""
    cdef int status
    with nogil:
        status = best_of_all(&x[0, 0], &y[0, 0], x.shape[0], y.shape[0], x.shape[1], offset,
                             &hidden_from[0], &hidden[0] if hidden.shape[0] else NULL,
                             cols.shape[1], &cols[0, 0], &scores[0, 0], NULL, n_threads)
    return status


# ---------------------------------------------------------------- new rows

cdef void fit_worker(const NewRows *new, const real_t *y, Py_ssize_t width, double *room,
                     Py_ssize_t at_once, int64_t *next, int64_t *more, real_t *out) noexcept nogil:
    cdef:
        Py_ssize_t i
        unsigned long long state = funkc_float_begin()
        int64_t first = funkc_add(next, at_once)
    while first < new.n:
        for i in range(first, min(<int64_t>new.n, first + at_once)):
            if fit_row(new, i, y, width, room, out + i * new.length) == MORE:
                funkc_add(more, 1)
        first = funkc_add(next, at_once)
    funkc_float_end(state)


cdef int fit_rows(const NewRows *new, const real_t *y, Py_ssize_t width, double *rooms,
                  real_t *out, int n_threads) noexcept nogil:
    """A step of all rows: OK, or MORE until all of them stay."""
    cdef:
        int w, workers = threads_for(new, n_threads)
        int64_t next = 0, more = 0
        Py_ssize_t at_once = rows_at_once(new, n_threads)
    for w in prange(workers, num_threads=granted(workers), schedule="static", chunksize=1):
        fit_worker(new, y, width, rooms + w * room_of(new), at_once, &next, &more, out)
    return MORE if more else OK


def fold_in(const real_t[:, ::1] y, Py_ssize_t k, Py_ssize_t bias_at, double offset,
            const int64_t[::1] first, const int64_t[::1] cols, const double[::1] values,
            const double[::1] weights, const double[::1] usual, const double[:, ::1] prior,
            double ridge, bint nonnegative, int loss, double delta, double[:, ::1] now,
            int[::1] steps, real_t[:, ::1] out, int n_threads):
    """Fit rows to columns: out[i] = x with the least sum over the row's entries c of
    weights[c] (values[c] - offset - x . y[cols[c]])^2 + ridge |x - usual|^2; or, unless the prior
    is empty, that sum + ridge (x - usual)' prior (x - usual).  With another loss, one step of
    Newton's towards twice its sum in place of that of squares, and MORE until all rows stay, for
    which `now` is kept, which has the usual row for each, and `steps`, zeros.

    The entries of row i are first[i] ... first[i + 1] - 1.  weights may be empty; they are made 1
    on average in every row.  With biases,
    those of the columns are number bias_at, k or k + 1, of y (-1: there are none); usual then
    holds the bias after the k factors, and out what a row of ready factors does.  With
    `nonnegative` the factors are not below 0.  An infinite ridge makes every row the usual one.
    """
    cdef NewRows new
    cdef int status = NO_MEMORY
    cdef double *rooms
    new.first = &first[0]
    new.cols = &cols[0] if cols.shape[0] else NULL
    new.values = &values[0] if cols.shape[0] else NULL
    new.weights = &weights[0] if weights.shape[0] else NULL
    new.loss.kind, new.loss.delta = loss, delta
    new.n = out.shape[0]
    new.usual = &usual[0]
    new.prior = &prior[0, 0] if prior.shape[0] else NULL
    new.k = k
    new.bias_at = bias_at
    new.nonnegative = nonnegative
    new.offset = offset
    new.ridge = ridge
    new.length = out.shape[1]
    new.now = &now[0, 0]
    new.steps = &steps[0]
    new.memory = NULL
    with nogil:
        rooms = rooms_for(&new, n_threads)
        if rooms != NULL:
            status = fit_rows(&new, &y[0, 0], y.shape[1], rooms, &out[0, 0], n_threads)
        give_back(NULL, rooms)
    return status


# ---------------------------------------------------------------- what is usual

cdef int covariance_of(
    const real_t *x, Py_ssize_t first, Py_ssize_t last, Py_ssize_t n, Py_ssize_t length,
    Py_ssize_t k, Py_ssize_t bias_at, const double *mean, double seen, double *out,
    const funkc_memory *memory, int n_threads
) noexcept nogil:
    """Some of n rows, the first of them into zeros.  NO_MEMORY, or OK."""
    cdef:
        Py_ssize_t size = k + (1 if bias_at >= 0 else 0), stride = stride_for(size)
        Py_ssize_t part, parts = stride // 8, each = (RIDGE_CELLS + 1) * stride
        Py_ssize_t work = (last - first) * size
        int workers = <int>min(<Py_ssize_t>n_threads, min(parts, 1 + work // 16384))
        double *room = <double *>obtain_zeros(memory, parts * each, sizeof(double))
        unsigned long long state
    if room == NULL:
        return NO_MEMORY
    for part in prange(parts, num_threads=granted(workers), schedule="dynamic", chunksize=1):
        state = funkc_float_begin()
        spread_of_rows(x, first, last, n, length, k, bias_at, mean, seen, 8 * part,
                       room + part * each, out)
        funkc_float_end(state)
    give_back(memory, room)
    return OK


def means(const real_t[:, ::1] x, double[::1] out):
    """out = the mean of the first numbers of all rows."""
    cdef unsigned long long state
    with nogil:
        state = funkc_float_begin()
        mean_of_rows(&x[0, 0], x.shape[0], x.shape[1], out.shape[0], &out[0])
        funkc_float_end(state)


def covariance(const real_t[:, ::1] x, Py_ssize_t first, Py_ssize_t last, Py_ssize_t k,
               Py_ssize_t bias_at, const double[::1] mean, double seen, double[:, ::1] out,
               int n_threads):
    """out, zeros before the first row, = the lower half of the covariance of all rows' factors and
    of their biases if bias_at, their place, is not -1: the sum over all rows about the mean,
    divided by seen - 1 with the last.  Of rows from `first`, a multiple of 4, up to `last`.  A
    status."""
    cdef int status
    with nogil:
        status = covariance_of(&x[0, 0], first, last, x.shape[0], x.shape[1], k, bias_at, &mean[0],
                               seen, &out[0, 0], NULL, n_threads)
    return status


def precision(double[:, ::1] covariance, Py_ssize_t k, Py_ssize_t size, double seen,
              double[::1] room, double[:, ::1] out):
    """out, zeros before, = the lower half of the inverse of a covariance, which is destroyed; of
    its diagonal alone, where less than 2 k rows were seen.  False: all of them are equal."""
    cdef bint spreads
    cdef unsigned long long state
    with nogil:
        state = funkc_float_begin()
        spreads = precision_of(&covariance[0, 0], k, size, seen, &room[0], &out[0, 0])
        funkc_float_end(state)
    return spreads


def directions(const real_t[:, ::1] x, const double[::1] mean, real_t[:, ::1] out):
    """out = every row's first numbers less their mean, scaled to length 1; 0 where nothing is
    left."""
    cdef Py_ssize_t i, j, k = mean.shape[0]
    cdef double length, part
    cdef unsigned long long state
    with nogil:
        state = funkc_float_begin()
        for i in range(x.shape[0]):
            length = 0
            for j in range(k):
                part = x[i, j] - mean[j]
                length = length + part * part
            length = sqrt(length)
            for j in range(k):
                part = x[i, j] - mean[j]
                out[i, j] = <real_t>(part / length if length > 0 else 0.0)
        funkc_float_end(state)


# ---------------------------------------------------------------- other extensions' door

cdef Loss loss_of(const funkc_model *model) noexcept nogil:
    cdef Loss loss
    loss.kind = <int>model.loss
    loss.delta = model.huber_delta
    return loss


cdef int over_cells_of(const funkc_model *model, const funkc_cells *cells, bint squares,
                       int n_threads, void *out, double *total) noexcept nogil:
    cdef:
        Py_ssize_t length = length_of(model.k, model.biases)
        Loss loss = loss_of(model)
    if model.real_bytes == 4:
        return over_cells[float](
            cells, <const float *>model.row_factors, <const float *>model.col_factors, length,
            model.offset, &loss, squares, model.memory, n_threads, <float *>out, total)
    return over_cells[double](
        cells, <const double *>model.row_factors, <const double *>model.col_factors, length,
        model.offset, &loss, squares, model.memory, n_threads, <double *>out, total)


cdef int predict_cells(const funkc_model *model, const int64_t *rows, const int64_t *cols,
                       int64_t n, void *out, int n_threads) noexcept nogil:
    cdef funkc_cells cells
    memset(&cells, 0, sizeof(funkc_cells))
    cells.rows = rows
    cells.cols = cols
    cells.n_cells = n
    cells.n_rows = model.n_rows
    cells.n_cols = model.n_cols
    cells.index_bytes = 8
    return over_cells_of(model, &cells, False, n_threads, out, NULL)


cdef int judge_cells(const funkc_model *model, const funkc_cells *cells, bint rmse, int n_threads,
                     double *found) noexcept nogil:
    cdef:
        double total = 0
        unsigned long long state = funkc_float_begin()
        int status = over_cells_of(model, cells, rmse, n_threads, NULL, &total)
    if status == OK:
        found[0] = total / <double>cells.n_cells
        if rmse:
            found[0] = sqrt(found[0])
    funkc_float_end(state)
    return status


cdef int top_of_rows(
    const funkc_model *model, const real_t *x, const int64_t *rows, int64_t n_rows, int64_t n,
    const int64_t *hidden_from, const int64_t *hidden, int64_t *cols, real_t *scores,
    int n_threads
) noexcept nogil:
    cdef:
        Py_ssize_t length = length_of(model.k, model.biases), width = padded(length)
        const funkc_memory *memory = model.memory
        real_t *some = <real_t *>obtain_zeros(memory, n_rows, width * sizeof(real_t))
        int64_t *begins = <int64_t *>obtain_zeros(memory, n_rows + 1, sizeof(int64_t))
        int64_t c, i
        Loss loss = loss_of(model)
        unsigned long long state
        int status = OK if some != NULL and begins != NULL else NO_MEMORY
    if status == OK and hidden_from != NULL:
        memcpy(begins, hidden_from, (n_rows + 1) * sizeof(int64_t))
    if status == OK:
        for i in range(n_rows):
            c = rows[i]
            if not (0 <= c < model.n_rows and 0 <= begins[i] <= begins[i + 1]):
                status = CELLS_CHANGED
                break
            pad(x + c * length, 1, length, width, some + i * width)
    if status == OK:
        status = best_of_all(some, <const real_t *>model.col_factors, n_rows, model.n_cols,
                             length, model.offset, begins, hidden, n, cols, scores, memory,
                             n_threads)
    if status == OK and loss.kind in (LOGISTIC_LOSS, POISSON_LOSS):
        state = funkc_float_begin()
        for c in range(n_rows * n):
            if cols[c] >= 0:
                scores[c] = prediction_of(loss.kind, scores[c])
        funkc_float_end(state)
    give_back(memory, some)
    give_back(memory, begins)
    return status


cdef int top_cells(
    const funkc_model *model, const int64_t *rows, int64_t n_rows, int64_t n,
    const int64_t *hidden_from, const int64_t *hidden, int64_t *cols, void *scores, int n_threads
) noexcept nogil:
    if model.real_bytes == 4:
        return top_of_rows[float](model, <const float *>model.row_factors, rows, n_rows, n,
                                  hidden_from, hidden, cols, <float *>scores, n_threads)
    return top_of_rows[double](model, <const double *>model.row_factors, rows, n_rows, n,
                               hidden_from, hidden, cols, <double *>scores, n_threads)


cdef bint all_finite(const real_t *x, int64_t n) noexcept nogil:
    cdef int64_t i
    for i in range(n):
        if not isfinite(<double>x[i]):
            return False
    return True


cdef int prior_for(const funkc_model *model, const real_t *x, NewRows *new, double *room,
                   int n_threads) noexcept nogil:
    """The prior of all rows, in `room` for two matrices and two rows of them, instead of the
    ridge.  NO_MEMORY, or OK."""
    cdef:
        Py_ssize_t stride = stride_of(new)
        double *covariance = room + stride * stride
        double seen = <double>model.n_rows
        int status = NO_MEMORY
    if room != NULL:
        status = covariance_of(x, 0, model.n_rows, model.n_rows, new.length, new.k,
                               new.k if model.biases else -1, new.usual, seen, covariance,
                               new.memory, n_threads)
    new.ridge = INFINITY
    if status == OK and precision_of(covariance, new.k, size_of(new), seen,
                                     covariance + stride * stride, room):
        new.prior = room
        new.ridge = model.noise * model.noise
    return status


cdef int fit_cells(const funkc_model *model, const real_t *x, const funkc_cells *cells,
                   double ridge, real_t *out, int n_threads) noexcept nogil:
    cdef:
        NewRows new
        Py_ssize_t length = length_of(model.k, model.biases)
        const real_t *y = <const real_t *>model.col_factors
        const funkc_memory *memory = model.memory
        int64_t *first = <int64_t *>obtain_zeros(memory, cells.n_rows + 1, sizeof(int64_t))
        int64_t *order = <int64_t *>obtain(memory, cells.n_cells, sizeof(int64_t))
        int64_t *cols = <int64_t *>obtain(memory, cells.n_cells, sizeof(int64_t))
        double *values = <double *>obtain(memory, cells.n_cells, sizeof(double))
        double *weights = NULL
        double *usual = <double *>obtain(memory, length, sizeof(double))
        double *prior = NULL
        int *steps = <int *>obtain_zeros(memory, cells.n_rows, sizeof(int))
        double *rooms
        int64_t i
        Loss loss
        int status = NO_MEMORY
    new.now = <double *>obtain(memory, cells.n_rows * (model.k + (1 if model.biases else 0)),
                               sizeof(double))
    if cells.weights != NULL:
        weights = <double *>obtain(memory, cells.n_cells, sizeof(double))
    if (first != NULL and order != NULL and cols != NULL and values != NULL and usual != NULL
            and steps != NULL and new.now != NULL and (weights != NULL or cells.weights == NULL)):
        status = group_by_row(cells, first, order, cols, values, weights)
    if status == OK:
        new.first = first
        new.cols = cols
        new.values = values
        new.weights = weights
        loss = loss_of(model)
        new.loss = loss_of_new_rows(&loss, model.noise)
        new.n = cells.n_rows
        new.usual = usual
        new.prior = NULL
        new.k = model.k
        new.bias_at = model.k + 1 if model.biases else -1
        new.nonnegative = model.nonnegative
        new.offset = model.offset
        new.ridge = ridge
        new.length = length
        new.memory = memory
        mean_of_rows(x, model.n_rows, length, size_of(&new), usual)
        if ridge < 0:
            prior = <double *>obtain_zeros(memory, 2 * stride_of(&new) * (stride_of(&new) + 1),
                                           sizeof(double))
            status = prior_for(model, x, &new, prior, n_threads)
    if status == OK:
        new.steps = steps
        for i in range(cells.n_rows * size_of(&new)):
            new.now[i] = usual[i % size_of(&new)]
        rooms = rooms_for(&new, n_threads)      # before any number comes out
        status = NO_MEMORY if rooms == NULL else MORE
        while status == MORE:
            status = fit_rows(&new, y, length, rooms, out, n_threads)
        give_back(memory, rooms)
        if status == OK and not all_finite(out, cells.n_rows * length):
            status = VALUES_TOO_WIDE
    give_back(memory, first)
    give_back(memory, order)
    give_back(memory, cols)
    give_back(memory, values)
    give_back(memory, weights)
    give_back(memory, usual)
    give_back(memory, prior)
    give_back(memory, steps)
    give_back(memory, new.now)
    return status


cdef int fold_in_model(const funkc_model *model, const funkc_cells *cells, double ridge,
                       void *out, int n_threads) noexcept nogil:
    cdef int status
    cdef unsigned long long state = funkc_float_begin()
    if model.real_bytes == 4:
        status = fit_cells[float](model, <const float *>model.row_factors, cells, ridge,
                                  <float *>out, n_threads)
    else:
        status = fit_cells[double](model, <const double *>model.row_factors, cells, ridge,
                                   <double *>out, n_threads)
    funkc_float_end(state)
    return status


cdef ServeTable table
table.predict = predict_cells
table.judge = judge_cells
table.fold_in = fold_in_model
table.top = top_cells
serve_table = PyCapsule_New(&table, "funkc.serve", NULL)
