"""The tiny start, and factors on their way between the caller's order and that of training."""
from libc.math cimport fabs, sqrt
from libc.stdint cimport int64_t, uint64_t
from funkc._core.stream cimport COL_START, ROW_START, noise, stream_seed
from funkc._core.float_state cimport funkc_float_begin, funkc_float_end
from funkc._core.types cimport Plan, position, real_t


cdef inline void fill_start(const int64_t *cuts, const uint64_t *places, int64_t first,
                            int64_t last, Py_ssize_t k, Py_ssize_t width, double level,
                            double spread, double sign, uint64_t seed, bint nonnegative,
                            real_t *x) noexcept nogil:
    """The sign is that of all products, so that values of the other sign are met by the same."""
    cdef int64_t i
    cdef Py_ssize_t f
    cdef real_t *row
    cdef double number
    cdef unsigned long long state = funkc_float_begin()
    for i in range(first, last):
        row = x + position(cuts, places[i]) * width
        for f in range(width):
            row[f] = 0
        for f in range(k):
            number = <real_t>(spread * noise(seed, <uint64_t>i * <uint64_t>k + <uint64_t>f))
            if nonnegative:
                number = fabs(number)
            row[f] = <real_t>(sign * (number if f > 0 else level + number))
    funkc_float_end(state)


cdef inline void copy_in(const Plan *plan, bint columns, const real_t *factors, Py_ssize_t k,
                         Py_ssize_t length, real_t *x, Py_ssize_t width) noexcept nogil:
    """The first k numbers of rows of some length, in the order of training, padded with zeros."""
    cdef:
        const int64_t *cuts = plan.col_cuts if columns else plan.row_cuts
        const uint64_t *places = plan.col_places if columns else plan.row_places
        int64_t i
        Py_ssize_t f
        real_t *row
    for i in range(plan.n_cols if columns else plan.n_rows):
        row = x + position(cuts, places[i]) * width
        for f in range(width):
            row[f] = factors[i * length + f] if f < k else 0


cdef inline bint put_back(const int64_t *cuts, const uint64_t *places, int64_t first, int64_t last,
                          const real_t *x, Py_ssize_t width, real_t *out, Py_ssize_t k,
                          Py_ssize_t length) noexcept nogil:
    """The first k numbers of rows in the caller's order, in rows of some length; whether all is
    finite."""
    cdef int64_t i
    cdef Py_ssize_t f
    cdef const real_t *row
    cdef real_t sum = 0
    for i in range(first, last):
        row = x + position(cuts, places[i]) * width
        for f in range(k):
            out[i * length + f] = row[f]
            sum = sum + (row[f] - row[f])       # 0, or not a number for ever after
    return sum == 0
