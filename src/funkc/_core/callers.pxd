"""What callers in C hand over: structs that state their size, and entries, checked."""
from libc.float cimport DBL_MIN
from libc.math cimport INFINITY, isfinite
from libc.stdint cimport int64_t, uint8_t
from libc.string cimport memcpy, memset
from funkc._core.loss cimport HUBER_LOSS, POISSON_LOSS, SQUARED_LOSS
from funkc._core.types cimport (
    BAD_OPTION, BAD_SHAPE, BAD_WEIGHT, COL_OUTSIDE, NOT_FINITE, NULL_POINTER, OK, ROW_OUTSIDE,
    index_at, value_at,
)
from funkc.capi cimport funkc_cells, funkc_memory, funkc_model


cdef enum:
    MOST_FACTORS = 65536
    MOST_BYTES = 4096           # of a struct


cdef extern from *:
    """
    /* What a struct of the first release has. */
    #define FUNKC_HAD(type, last) (offsetof(type, last) + sizeof(((type *)0)->last))
    #define FUNKC_HAD_MEMORY FUNKC_HAD(funkc_memory, user)
    #define FUNKC_HAD_CELLS FUNKC_HAD(funkc_cells, value_bytes)
    #define FUNKC_HAD_OPTIONS FUNKC_HAD(funkc_options, cancel)
    #define FUNKC_HAD_PARAMS FUNKC_HAD(funkc_params, stages)
    #define FUNKC_HAD_RESULT FUNKC_HAD(funkc_result, n_stages)
    #define FUNKC_HAD_MODEL FUNKC_HAD(funkc_model, memory)
    #define FUNKC_HAD_INFO FUNKC_HAD(funkc_info, offset)
    #define FUNKC_MOST_ROWS INT64_C(0xffffffff)
    #define FUNKC_MOST_CELLS (INT64_C(1) << 35) /* whose sums in 28-bit steps are exact */
    """
    const int64_t FUNKC_MOST_ROWS
    const int64_t FUNKC_MOST_CELLS
    const size_t FUNKC_HAD_MEMORY
    const size_t FUNKC_HAD_CELLS
    const size_t FUNKC_HAD_OPTIONS
    const size_t FUNKC_HAD_PARAMS
    const size_t FUNKC_HAD_MODEL
    const size_t FUNKC_HAD_RESULT
    const size_t FUNKC_HAD_INFO


cdef inline int take_over(void *own, size_t size, const void *given, size_t least) noexcept nogil:
    """Copy a caller's struct, which begins with its size.  What an older caller lacks is 0; what
    a newer one has beyond ours must be 0, for nobody here would heed it."""
    cdef size_t i, has
    if given == NULL:
        return NULL_POINTER
    has = (<const size_t *>given)[0]
    if not least <= has <= MOST_BYTES:
        return BAD_OPTION
    for i in range(size, has):
        if (<const uint8_t *>given)[i]:
            return BAD_OPTION
    memset(own, 0, size)
    memcpy(own, given, min(has, size))
    return OK


cdef inline void hand_back(const void *own, size_t size, void *given) noexcept nogil:
    """Copy into a caller's struct as much as it holds; its size stays."""
    cdef size_t has = (<const size_t *>given)[0]
    memcpy(given, own, min(has, size))
    (<size_t *>given)[0] = has


cdef inline int take_memory(funkc_memory *own, const funkc_memory **memory) noexcept nogil:
    """The caller's memory becomes a copy of our own, if there is one."""
    cdef int status
    if memory[0] == NULL:
        return OK
    status = take_over(own, sizeof(funkc_memory), memory[0], FUNKC_HAD_MEMORY)
    memory[0] = own
    if status == OK and (own.allocate == NULL or own.release == NULL):
        status = NULL_POINTER
    return status


cdef inline int take_cells(funkc_cells *cells, const funkc_cells *given) noexcept nogil:
    """Check everything except the entries themselves."""
    cdef int status = take_over(cells, sizeof(funkc_cells), given, FUNKC_HAD_CELLS)
    if status != OK:
        return status
    if cells.rows == NULL or cells.cols == NULL or cells.values == NULL:
        return NULL_POINTER
    if cells.index_bytes not in (4, 8) or cells.value_bytes not in (4, 8):
        return BAD_OPTION
    if (not 1 <= cells.n_cells <= FUNKC_MOST_CELLS or not 1 <= cells.n_rows <= FUNKC_MOST_ROWS
            or not 1 <= cells.n_cols <= FUNKC_MOST_ROWS):
        return BAD_SHAPE
    return OK


cdef inline int take_model(funkc_model *model, funkc_memory *memory, const funkc_model *given,
                           int n_threads) noexcept nogil:
    cdef int status = take_over(model, sizeof(funkc_model), given, FUNKC_HAD_MODEL)
    if status != OK:
        return status
    if model.row_factors == NULL or model.col_factors == NULL:
        return NULL_POINTER
    if not 1 <= model.n_rows <= FUNKC_MOST_ROWS or not 1 <= model.n_cols <= FUNKC_MOST_ROWS:
        return BAD_SHAPE
    if (not 1 <= model.k <= MOST_FACTORS or model.real_bytes not in (4, 8) or n_threads < 1
            or not isfinite(model.offset) or not 0 <= model.noise < INFINITY
            or not 0 <= model.biases <= 1
            or not is_loss(model.loss, model.huber_delta)
            or (model.loss == HUBER_LOSS and model.huber_delta == 0)):
        return BAD_OPTION
    return take_memory(memory, &model.memory)


cdef inline bint is_loss(int64_t loss, double huber_delta) noexcept nogil:
    """With a delta of 0 that is left to the library."""
    return (SQUARED_LOSS <= loss <= POISSON_LOSS and 0 <= huber_delta < INFINITY
            and (huber_delta == 0 or loss == HUBER_LOSS))


cdef inline int check_one(const funkc_cells *cells, int64_t c) noexcept nogil:
    """Check one entry."""
    cdef bint wide = cells.index_bytes == 8
    if not 0 <= index_at(cells.rows, wide, c) < cells.n_rows:
        return ROW_OUTSIDE
    if not 0 <= index_at(cells.cols, wide, c) < cells.n_cols:
        return COL_OUTSIDE
    if not isfinite(value_at(cells, c)):
        return NOT_FINITE
    if cells.weights != NULL and (
            not isfinite(cells.weights[c]) or cells.weights[c] < DBL_MIN):
        return BAD_WEIGHT
    return OK
