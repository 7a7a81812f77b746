"""A new row: the regression of its entries on the factors of their columns."""
from libc.stdint cimport int64_t
from libc.string cimport memset
from funkc._core.loss cimport SQUARED_LOSS, newton_step
from funkc._core.memory cimport obtain_zeros
from funkc._core.prior cimport RIDGE_CELLS, funkc_ridge_add, stride_for
from funkc._core.types cimport (
    CELLS_CHANGED, DUPLICATE_CELL, MORE, OK, Loss, index_at, real_t, value_at,
)
from funkc.capi cimport funkc_cells, funkc_memory


cdef extern from "<math.h>" nogil:
    bint isinf(double x)
    double fabs(double x)


cdef extern from "ridge.h" nogil:
    void funkc_ridge_subtract(const double *A, const double *x, double *b, Py_ssize_t size,
                              Py_ssize_t stride)
    void funkc_ridge_solve(double *A, double *b, double *column, Py_ssize_t size,
                           Py_ssize_t stride)
    void funkc_ridge_nonnegative(double *A, const double *b, double *x, double *room,
                                 Py_ssize_t size, Py_ssize_t stride, Py_ssize_t nonnegative)


cdef enum:
    MOST_STEPS = 20             # of Newton's
    MOST_ROWS_AT_ONCE = 64


cdef struct NewRows:
    const int64_t *first        # (n + 1) of the cells of every new row
    const int64_t *cols         # the cells' columns
    const double *values
    const double *weights       # or NULL
    Loss loss
    Py_ssize_t n
    const double *usual         # the row that new ones are drawn towards: factors, then bias
    Py_ssize_t k
    Py_ssize_t bias_at          # place of a fixed column's bias, and of a new row's 1; or -1
    bint nonnegative
    double offset
    const double *prior         # what holds every row to the usual one, or NULL: the ridge does
    double ridge                # the factor of the prior; or for every cell, infinite: no fit
    Py_ssize_t length           # of a row that comes out
    double *now                 # (n, size_of) the rows so far: the usual one in the beginning
    int *steps                  # (n) done, in the beginning none
    const funkc_memory *memory


cdef inline Py_ssize_t size_of(const NewRows *new) noexcept nogil:
    """How many numbers of a row are looked for."""
    return new.k + (1 if new.bias_at >= 0 else 0)


cdef inline Py_ssize_t stride_of(const NewRows *new) noexcept nogil:
    return stride_for(size_of(new))


cdef inline void put_row(const NewRows *new, const double *found, real_t *out) noexcept nogil:
    """A row as it is kept: where a column has its bias, the row has 1, and the other way round."""
    cdef Py_ssize_t j
    for j in range(new.k):
        out[j] = <real_t>found[j]
    if new.bias_at >= 0:
        out[2 * new.k + 1 - new.bias_at] = <real_t>found[new.k]
        out[new.bias_at] = 1


cdef inline Py_ssize_t room_of(const NewRows *new) noexcept nogil:
    """Numbers that a worker works in."""
    return stride_of(new) * (stride_of(new) + 2 + RIDGE_CELLS)


cdef inline int threads_for(const NewRows *new, int n_threads) noexcept nogil:
    return <int>min(<Py_ssize_t>n_threads, new.n)


cdef inline Py_ssize_t rows_at_once(const NewRows *new, int n_threads) noexcept nogil:
    """What a thread takes: of few rows, which may have many entries, no thread goes without."""
    return max(<Py_ssize_t>1, min(<Py_ssize_t>MOST_ROWS_AT_ONCE, new.n // n_threads))


cdef inline double *rooms_for(const NewRows *new, int n_threads) noexcept nogil:
    """What these threads work in, or NULL."""
    return <double *>obtain_zeros(
        new.memory, <size_t>threads_for(new, n_threads) * <size_t>room_of(new), sizeof(double))


cdef inline int fit_row(const NewRows *new, Py_ssize_t i, const real_t *y, Py_ssize_t width,
                        double *room, real_t *out) noexcept nogil:
    """The regression of one row's entries, which are made to weigh 1 on average: OK.  For another
    loss than the squared one a step of Newton's: MORE until the row stays."""
    cdef:
        Py_ssize_t j, size = size_of(new)
        double *now = new.now + i * size
        double moved = 0, largest = 0
    if new.steps[i] == MOST_STEPS:
        return OK
    if new.first[i] < new.first[i + 1] and not isinf(new.ridge):
        regress(new, i, y, width, now, room)
        for j in range(size):
            moved = max(moved, fabs(room[j] - now[j]))
            largest = max(largest, fabs(room[j]))
            now[j] = room[j]
    new.steps[i] += 1
    if new.loss.kind == SQUARED_LOSS or moved <= 1e-10 * largest:
        new.steps[i] = MOST_STEPS
    put_row(new, now, out)
    return OK if new.steps[i] == MOST_STEPS else MORE


cdef inline void regress(const NewRows *new, Py_ssize_t i, const real_t *y, Py_ssize_t width,
                         const double *now, double *room) noexcept nogil:
    """From the row that there is `now` to that of the least squares, at the start of the room."""
    cdef:
        Py_ssize_t k = new.k, bias_at = new.bias_at
        Py_ssize_t size = size_of(new), stride = stride_of(new)
        const real_t *col
        double *A = room
        double *b = A + stride * stride
        double *column = b + stride
        double *f = column + stride
        double[4] w, t
        int64_t first = new.first[i], last = new.first[i + 1], c
        Py_ssize_t j
        int g
        double ridge, least, heaviest = 0, scale = 0, largest = 0, part, weight
    memset(room, 0, stride * (stride + 2 + RIDGE_CELLS) * sizeof(double))
    if new.weights != NULL:
        for c in range(first, last):
            heaviest = max(heaviest, new.weights[c])
        for c in range(first, last):
            scale = scale + new.weights[c] / heaviest
        scale = <double>(last - first) / scale
    c = first
    while c < last:
        for g in range(RIDGE_CELLS):
            if c + g < last:
                w[g] = (new.weights[c + g] / heaviest * scale if new.weights != NULL
                        else 1.0)
                col = y + new.cols[c + g] * width
                t[g] = new.values[c + g] - (new.offset + <double>col[bias_at] if bias_at >= 0
                                            else new.offset)
                for j in range(k):
                    f[g * stride + j] = col[j]
                if bias_at >= 0:
                    f[g * stride + k] = 1.0
                if new.loss.kind != SQUARED_LOSS:
                    part = 0
                    for j in range(size):
                        part = part + now[j] * f[g * stride + j]
                    newton_step(&new.loss, new.values[c + g], new.values[c + g] - t[g] + part,
                                &weight, t + g)
                    t[g] = t[g] + part
                    w[g] = w[g] * weight
            else:
                w[g] = t[g] = 0.0
        funkc_ridge_add(A, b, f, w, t, 0, size, stride)
        c += RIDGE_CELLS
    for j in range(size):
        largest = max(largest, A[j * stride + j])
    ridge = largest * 1e-10             # or fewer cells than numbers say nothing for sure
    if new.prior == NULL:
        ridge = max(new.ridge * <double>(last - first), ridge)
    else:
        least = new.ridge * new.prior[0]
        for j in range(size):
            least = min(least, new.ridge * new.prior[j * stride + j])
        ridge = max(0.0, ridge - least)
    if new.nonnegative:
        for j in range(size):
            b[j] += ridge * new.usual[j]
        if new.prior != NULL:
            for j in range(size):
                column[j] = -new.ridge * new.usual[j]
            funkc_ridge_subtract(new.prior, column, b, size, stride)
    else:
        funkc_ridge_subtract(A, new.usual, b, size, stride)
    for j in range(size):
        A[j * stride + j] += ridge
        if new.prior != NULL:
            for i in range(j + 1):
                A[j * stride + i] += new.ridge * new.prior[j * stride + i]
    if new.nonnegative:
        for j in range(size):
            column[j] = new.usual[j]
        funkc_ridge_nonnegative(A, b, column, f, size, stride, k)
        for j in range(size):
            room[j] = column[j]
        return
    funkc_ridge_solve(A, b, column, size, stride)
    for j in range(size):
        room[j] = new.usual[j] + b[j]


cdef inline void sort_by_column(int64_t *order, int64_t n, const funkc_cells *cells) noexcept nogil:
    """Entries of one row; few, or in order already."""
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


cdef inline int group_by_row(const funkc_cells *cells, int64_t *first, int64_t *order,
                             int64_t *cols, double *values, double *weights) noexcept nogil:
    """The entries of each row together, in order of their columns; `cols` is room for their rows
    before."""
    cdef:
        int64_t c, i, at, n = cells.n_cells
        bint wide = cells.index_bytes == 8
    for c in range(n):
        cols[c] = index_at(cells.rows, wide, c)
        if not 0 <= cols[c] < cells.n_rows:
            return CELLS_CHANGED
        first[cols[c] + 1] += 1
    for i in range(cells.n_rows):
        first[i + 1] += first[i]
    for c in range(n):
        i = cols[c]
        order[first[i]] = c
        first[i] += 1
    for i in range(cells.n_rows, 0, -1):
        first[i] = first[i - 1]
    first[0] = 0
    for i in range(cells.n_rows):
        sort_by_column(order + first[i], first[i + 1] - first[i], cells)
        for at in range(first[i], first[i + 1]):
            cols[at] = index_at(cells.cols, wide, order[at])
            if not 0 <= cols[at] < cells.n_cols:
                return CELLS_CHANGED
            if at > first[i] and cols[at] == cols[at - 1]:
                return DUPLICATE_CELL
            values[at] = value_at(cells, order[at])
            if weights != NULL:
                weights[at] = cells.weights[order[at]]
    return OK
