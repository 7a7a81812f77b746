"""The C API: the table that funkc.h describes, and what it checks before it hands on.

Design
a. The work is done where Python has it done, by the modules that were built for this processor;
   each hands over a table of its own when this module is imported.
b. A caller's struct says its size.  What a later version appends, an earlier caller does not
   have: it is read only if the size says that it is there.
c. Factors lie as the caller has them, row after row.  A run copies them into the order of
   training and back; that is a thousandth of an epoch.
d. Nothing here raises, prints or takes the GIL once it is imported, and nothing is kept between
   calls but plans, which nobody changes.
"""
from libc.float cimport DBL_MAX
from libc.math cimport INFINITY, isfinite, sqrt
from libc.stdint cimport int64_t, uint8_t, uint64_t
from cpython.pycapsule cimport PyCapsule_GetPointer, PyCapsule_New
from funkc._memory cimport give_back, obtain, obtain_zeros
from funkc._stream cimport mixed
from funkc._types cimport (
    BAD_OPTION, BAD_SHAPE, BAD_WEIGHT, CANCELLED, CELLS_CHANGED, COL_OUTSIDE, DIVERGED,
    DUPLICATE_CELL, NO_MEMORY, NOT_FINITE, NOTHING_SEEN, NULL_POINTER, OK, ROW_OUTSIDE,
    VALUES_TOO_WIDE, EngineTable, Plan, ServeTable, ShardsTable, TilesTable, index_at, padded,
)
from funkc.capi cimport (
    FUNKC_ABI_VERSION, funkc_api, funkc_cells, funkc_info, funkc_memory, funkc_model,
    funkc_options, funkc_params, funkc_plan, funkc_progress,
)

from funkc import _isa, _shards

cdef enum:
    MOST_FACTORS = 65536
    MOST_THREADS = 256          # more find no work
    LINE = 64                   # of the cache
    STEPS_OF = 10000000         # multiplications of a call to the engine: some 5 ms

cdef:
    int64_t MOST_ROWS = 0xffffffff
    int64_t MOST_CELLS = <int64_t>1 << 48
    int64_t MOST_EPOCHS = <int64_t>1 << 40      # whose blocks are counted in 64 bits
    const ShardsTable *shards = <const ShardsTable *>PyCapsule_GetPointer(
        _shards.shards_table, "funkc.shards")
    const EngineTable *engine = <const EngineTable *>PyCapsule_GetPointer(
        _isa.engine.engine_table, "funkc.engine")
    const ServeTable *serve = <const ServeTable *>PyCapsule_GetPointer(
        _isa.serve.serve_table, "funkc.serve")
    const TilesTable *tiles = <const TilesTable *>PyCapsule_GetPointer(
        _isa.tiles.tiles_table, "funkc.tiles")
    bytes isa = _isa.name.encode()


# A plan, and what a run needs to know of the options.
cdef struct Held:
    Plan *plan
    const funkc_memory *memory
    uint64_t seed
    int k
    bint biases
    bint nonnegative
    int group_size
    Py_ssize_t length           # of a row as the caller has it
    Py_ssize_t width            # in training


cdef const char *status_message(int status) noexcept nogil:
    if status == OK:
        return "no error"
    if status == NO_MEMORY:
        return "not enough memory"
    if status == DUPLICATE_CELL:
        return "a cell is listed more than once"
    if status == VALUES_TOO_WIDE:
        return ("the largest and the smallest value (or the offset) lie farther apart than the "
                "factors' precision can hold")
    if status == CELLS_CHANGED:
        return "a row or column lies outside the matrix, or the cells changed during the call"
    if status == BAD_SHAPE:
        return "a size is below 1, or too large, or lists don't ascend"
    if status == BAD_OPTION:
        return "a number is out of its range, or the size of a struct is not set"
    if status == NOTHING_SEEN:
        return "every pixel of a channel is missing"
    if status == NOT_FINITE:
        return "a value, or a pixel that is seen, is not finite"
    if status == CANCELLED:
        return "cancelled"
    if status == NULL_POINTER:
        return "a pointer is NULL that must not be"
    if status == DIVERGED:
        return "training diverged: lower the learning rate or the regularization"
    if status == ROW_OUTSIDE:
        return "a row lies outside the matrix"
    if status == COL_OUTSIDE:
        return "a column lies outside the matrix"
    if status == BAD_WEIGHT:
        return "a weight is not finite, or not above 0"
    return "unknown status"


# ---------------------------------------------------------------- checks

cdef int look_at_memory(const funkc_memory *memory) noexcept nogil:
    if memory == NULL:
        return OK
    if memory.size < sizeof(funkc_memory):
        return BAD_OPTION
    return OK if memory.allocate != NULL and memory.release != NULL else NULL_POINTER


cdef int look_at_cells(const funkc_cells *cells) noexcept nogil:
    """All but the cells themselves."""
    if cells == NULL:
        return NULL_POINTER
    if cells.size < sizeof(funkc_cells):
        return BAD_OPTION
    if cells.rows == NULL or cells.cols == NULL or cells.values == NULL:
        return NULL_POINTER
    if cells.index_bytes not in (4, 8) or cells.value_bytes not in (4, 8):
        return BAD_OPTION
    if (not 1 <= cells.n_cells <= MOST_CELLS or not 1 <= cells.n_rows <= MOST_ROWS
            or not 1 <= cells.n_cols <= MOST_ROWS):
        return BAD_SHAPE
    return OK


cdef int look_at_model(const funkc_model *model, int n_threads) noexcept nogil:
    if model == NULL:
        return NULL_POINTER
    if model.size < sizeof(funkc_model):
        return BAD_OPTION
    if model.row_factors == NULL or model.col_factors == NULL:
        return NULL_POINTER
    if not 1 <= model.n_rows <= MOST_ROWS or not 1 <= model.n_cols <= MOST_ROWS:
        return BAD_SHAPE
    if (not 1 <= model.k <= MOST_FACTORS or model.real_bytes not in (4, 8) or n_threads < 1
            or not isfinite(model.offset)):
        return BAD_OPTION
    return look_at_memory(model.memory)


cdef double value_at(const funkc_cells *cells, int64_t c) noexcept nogil:
    return ((<const double *>cells.values)[c] if cells.value_bytes == 8
            else <double>(<const float *>cells.values)[c])


cdef int check_one(const funkc_cells *cells, int64_t c) noexcept nogil:
    """One cell by itself."""
    cdef bint wide = cells.index_bytes == 8
    if not 0 <= index_at(cells.rows, wide, c) < cells.n_rows:
        return ROW_OUTSIDE
    if not 0 <= index_at(cells.cols, wide, c) < cells.n_cols:
        return COL_OUTSIDE
    if not isfinite(value_at(cells, c)):
        return NOT_FINITE
    if cells.weights != NULL and not 0 < cells.weights[c] <= DBL_MAX:
        return BAD_WEIGHT
    return OK


cdef int cells_check(const funkc_cells *cells, int64_t *offender) noexcept nogil:
    cdef:
        int64_t c, size = 2, at, other
        bint wide
        int64_t row, col
        int64_t *table
        int status = look_at_cells(cells)
    if offender == NULL:
        return NULL_POINTER
    offender[0] = -1
    if status != OK:
        return status
    while size < 2 * cells.n_cells:
        size *= 2
    table = <int64_t *>obtain_zeros(NULL, size, sizeof(int64_t))  # of cells, counted from 1
    if table == NULL:
        return NO_MEMORY
    wide = cells.index_bytes == 8
    for c in range(cells.n_cells):
        status = check_one(cells, c)
        if status == OK:
            row = index_at(cells.rows, wide, c)
            col = index_at(cells.cols, wide, c)
            at = <int64_t>(mixed(<uint64_t>row * <uint64_t>cells.n_cols + <uint64_t>col)
                           & <uint64_t>(size - 1))
            while table[at]:
                other = table[at] - 1
                if (index_at(cells.rows, wide, other) == row
                        and index_at(cells.cols, wide, other) == col):
                    status = DUPLICATE_CELL
                    break
                at = (at + 1) & (size - 1)
            table[at] = c + 1
        if status != OK:
            offender[0] = c
            break
    give_back(NULL, table)
    return status


# ---------------------------------------------------------------- plans

cdef int plan_create(const funkc_cells *cells, const funkc_options *options,
                     funkc_plan **made) noexcept nogil:
    cdef:
        Held *held
        funkc_options some
        int status = look_at_cells(cells)
    if made == NULL:
        return NULL_POINTER
    made[0] = NULL
    if status != OK:
        return status
    if options == NULL:
        return NULL_POINTER
    if options.size < sizeof(funkc_options):
        return BAD_OPTION
    if (not 1 <= options.k <= MOST_FACTORS or options.real_bytes not in (4, 8)
            or options.group_size not in (1, 8) or options.n_threads < 1
            or (options.offset == options.offset and not isfinite(options.offset))):
        return BAD_OPTION
    status = look_at_memory(options.memory)
    if status != OK:
        return status
    held = <Held *>obtain_zeros(options.memory, 1, sizeof(Held))
    if held == NULL:
        return NO_MEMORY
    held.memory = options.memory
    held.seed = options.seed
    held.k = options.k
    held.biases = options.biases
    held.nonnegative = options.nonnegative
    held.group_size = options.group_size
    held.length = options.k + (2 if options.biases else 0)
    held.width = padded(held.length)
    some = options[0]
    some.n_threads = min(options.n_threads, MOST_THREADS)
    status = shards.make(cells, &some, held.width, &held.plan)
    if status != OK:
        give_back(options.memory, held)
        return status
    made[0] = <funkc_plan *>held
    return OK


cdef void plan_destroy(funkc_plan *plan) noexcept nogil:
    cdef Held *held = <Held *>plan
    if held != NULL:
        shards.destroy(held.plan)
        give_back(held.memory, held)


cdef int plan_info(const funkc_plan *plan, funkc_info *info) noexcept nogil:
    cdef const Held *held = <const Held *>plan
    if held == NULL or info == NULL:
        return NULL_POINTER
    if info.size < sizeof(funkc_info):
        return BAD_OPTION
    info.n_rows = held.plan.n_rows
    info.n_cols = held.plan.n_cols
    info.n_cells = held.plan.n_cells
    info.length = held.length
    info.mean = held.plan.mean
    info.deviation = held.plan.deviation
    info.offset = held.plan.offset
    return OK


cdef int plan_defaults(const funkc_plan *plan, funkc_params *params) noexcept nogil:
    if plan == NULL or params == NULL:
        return NULL_POINTER
    if (params.size < sizeof(funkc_params) or not isfinite(params.learning_rate)
            or not isfinite(params.row_regularization)
            or not isfinite(params.col_regularization) or params.learning_rate < 0
            or not 0 <= params.n_epochs <= MOST_EPOCHS
            or not 0 <= params.first_epoch <= MOST_EPOCHS):
        return BAD_OPTION
    shards.settle((<const Held *>plan).plan, params)
    return OK


# ---------------------------------------------------------------- training

# What a run works in.
cdef struct Room:
    void *x                     # as they were taken, and from the next line of the cache on
    void *y
    void *x_line
    void *y_line
    double *sums
    int64_t *scratch


cdef inline void *next_line(void *p) noexcept nogil:
    return <char *>p + (LINE - <size_t>p % LINE) % LINE


cdef void free_room(const Held *held, Room *room) noexcept nogil:
    give_back(held.memory, room.x)
    give_back(held.memory, room.y)
    give_back(held.memory, room.sums)
    give_back(held.memory, room.scratch)


cdef int make_room(const Held *held, int n_threads, Room *room) noexcept nogil:
    cdef:
        const Plan *plan = held.plan
        size_t row = held.width * plan.real_size
    room.x = obtain(held.memory, plan.n_rows + 1, row)
    room.y = obtain(held.memory, plan.n_cols + 1, row)
    room.sums = <double *>obtain(held.memory, plan.n_blocks, sizeof(double))
    room.scratch = <int64_t *>obtain(held.memory, plan.n_bands + 8 * n_threads, sizeof(int64_t))
    if room.x == NULL or room.y == NULL or room.sums == NULL or room.scratch == NULL:
        free_room(held, room)
        return NO_MEMORY
    room.x_line = next_line(room.x)         # a row is at least as long as a line
    room.y_line = next_line(room.y)
    return OK


cdef int start(const funkc_plan *plan, void *row_factors, void *col_factors) noexcept nogil:
    cdef:
        const Held *held = <const Held *>plan
        Room room
        int status
    if held == NULL or row_factors == NULL or col_factors == NULL:
        return NULL_POINTER
    status = make_room(held, 1, &room)
    if status != OK:
        return status
    shards.start(held.plan, room.x_line, room.y_line, held.k, held.width, held.seed,
                 held.nonnegative, held.biases, 1)
    shards.take_out(held.plan, False, room.x_line, held.width, row_factors, held.length)
    shards.take_out(held.plan, True, room.y_line, held.width, col_factors, held.length)
    free_room(held, &room)
    return OK


cdef int64_t end_of_span(const Plan *plan, int64_t step, int64_t span,
                         int n_threads) noexcept nogil:
    """With a wave if it is long enough, else with every thread busy; never beyond the epoch."""
    cdef:
        int64_t bands = plan.n_bands
        int64_t end = (step // plan.n_blocks + 1) * plan.n_blocks
    if span >= bands:
        return min(end, (step + span) // bands * bands)
    return min(end, min(step + (span + n_threads - 1) // n_threads * n_threads,
                        (step // bands + 1) * bands))


cdef int train(const Held *held, const Room *room, const funkc_params *params, int64_t n_epochs,
               int n_threads, const volatile int *cancel, funkc_progress progress,
               void *user) noexcept nogil:
    cdef:
        const Plan *plan = held.plan
        int64_t epoch, step, last
        int64_t span = max(<int64_t>1, <int64_t>(
            <double>STEPS_OF * plan.n_blocks / (<double>plan.n_cells * held.width)))
        double squares = 0, limit = INFINITY
        double above = plan.mean - plan.offset
        double usual = plan.n_cells * (plan.deviation * plan.deviation + above * above)
    for epoch in range(params.first_epoch, params.first_epoch + n_epochs):
        step = epoch * plan.n_blocks
        last = step + plan.n_blocks
        while step < last:
            if cancel != NULL and cancel[0]:
                return CANCELLED
            step = engine.advance(
                plan, room.x_line, room.y_line, held.width, step,
                end_of_span(plan, step, span, n_threads), params, held.group_size, held.k,
                held.nonnegative, held.biases, n_threads, room.sums, &squares, room.scratch,
                INFINITY)
        if not squares <= limit or not isfinite(squares):
            return DIVERGED
        if epoch == params.first_epoch:     # which may begin with any factors
            limit = 4 * max(squares, usual)
        if progress != NULL and progress(
            epoch + 1, sqrt(squares / <double>plan.n_cells),
            engine.rate_of(epoch, params.learning_rate, params.n_epochs,
                           not params.constant_rate), user,
        ):
            return CANCELLED
    return OK


cdef int run(const funkc_plan *plan, void *row_factors, void *col_factors,
             const funkc_params *given, int64_t n_epochs, int n_threads,
             const volatile int *cancel, funkc_progress progress, void *user) noexcept nogil:
    cdef:
        const Held *held = <const Held *>plan
        funkc_params params
        Room room
        int status
        bint finite
    if held == NULL or row_factors == NULL or col_factors == NULL or given == NULL:
        return NULL_POINTER
    if given.size < sizeof(funkc_params):
        return BAD_OPTION
    params = given[0]
    status = plan_defaults(plan, &params)
    if status != OK:
        return status
    if (not 0 <= n_epochs <= MOST_EPOCHS or n_threads < 1
            or (not params.constant_rate and params.first_epoch + n_epochs > params.n_epochs)):
        return BAD_OPTION
    n_threads = min(n_threads, MOST_THREADS)
    status = make_room(held, n_threads, &room)
    if status != OK:
        return status
    shards.put_in(held.plan, False, row_factors, held.length, room.x_line, held.width)
    shards.put_in(held.plan, True, col_factors, held.length, room.y_line, held.width)
    status = train(held, &room, &params, n_epochs, n_threads, cancel, progress, user)
    finite = shards.take_out(held.plan, False, room.x_line, held.width, row_factors, held.length)
    if not shards.take_out(held.plan, True, room.y_line, held.width, col_factors, held.length):
        finite = False
    free_room(held, &room)
    return status if finite else DIVERGED


# ---------------------------------------------------------------- what is done with factors

cdef int rmse(const funkc_model *model, const funkc_cells *cells, int n_threads,
              double *out) noexcept nogil:
    cdef int64_t c
    cdef int status = look_at_model(model, n_threads)
    if status == OK:
        status = look_at_cells(cells)
    if status == OK and out == NULL:
        status = NULL_POINTER
    if status == OK and (cells.n_rows > model.n_rows or cells.n_cols > model.n_cols):
        status = BAD_SHAPE
    if status != OK:
        return status
    for c in range(cells.n_cells):
        status = check_one(cells, c)
        if status != OK:
            return status
    return serve.rmse(model, cells, min(n_threads, MOST_THREADS), out)


cdef int predict(const funkc_model *model, const int64_t *rows, const int64_t *cols, int64_t n,
                 void *out, int n_threads) noexcept nogil:
    cdef int status = look_at_model(model, n_threads)
    if status != OK:
        return status
    if not 0 <= n <= MOST_CELLS:
        return BAD_SHAPE
    if n == 0:
        return OK
    if rows == NULL or cols == NULL or out == NULL:
        return NULL_POINTER
    return serve.predict(model, rows, cols, n, out, min(n_threads, MOST_THREADS))


cdef int fold_in_rows(const funkc_model *model, const funkc_cells *cells, double regularization,
                      void *out, int n_threads) noexcept nogil:
    cdef:
        int64_t c
        int status = look_at_model(model, n_threads)
    if status == OK:
        status = look_at_cells(cells)
    if status == OK and out == NULL:
        status = NULL_POINTER
    if status == OK and (regularization < 0 or not isfinite(regularization)):
        status = BAD_OPTION
    if status == OK and cells.n_cols > model.n_cols:
        status = BAD_SHAPE
    if status != OK:
        return status
    for c in range(cells.n_cells):
        status = check_one(cells, c)
        if status != OK:
            return status
    return serve.fold_in(model, cells, regularization, out, min(n_threads, MOST_THREADS))


cdef int top(const funkc_model *model, const int64_t *rows, int64_t n_rows, int64_t n,
             const int64_t *hidden_from, const int64_t *hidden, int64_t *cols, void *scores,
             int n_threads) noexcept nogil:
    cdef int status = look_at_model(model, n_threads)
    if status != OK:
        return status
    if not 1 <= n <= MOST_ROWS or not 0 <= n_rows <= MOST_CELLS // n:
        return BAD_SHAPE
    if n_rows == 0:
        return OK
    if rows == NULL or cols == NULL or scores == NULL or (hidden_from == NULL) != (hidden == NULL):
        return NULL_POINTER
    return serve.top(model, rows, n_rows, n, hidden_from, hidden, cols, scores,
                     min(n_threads, MOST_THREADS))


cdef int inpaint_f32(float *image, const uint8_t *missing, int64_t n_masks, int64_t channels,
                     int64_t height, int64_t width, int method, int k, uint64_t seed,
                     int n_threads, const volatile int *cancel,
                     const funkc_memory *memory) noexcept nogil:
    cdef int status = look_at_memory(memory)
    if status != OK:
        return status
    if image == NULL or missing == NULL:
        return NULL_POINTER
    return tiles.inpaint_f32(image, missing, n_masks, channels, height, width, method, k, seed,
                             min(n_threads, MOST_THREADS), cancel, memory)


# ---------------------------------------------------------------- the doors

cdef funkc_api api
api.abi_version = FUNKC_ABI_VERSION
api.size = sizeof(funkc_api)
api.isa = isa
api.status_message = status_message
api.cells_check = cells_check
api.plan_create = plan_create
api.plan_destroy = plan_destroy
api.plan_info = plan_info
api.plan_defaults = plan_defaults
api.start = start
api.run = run
api.rmse = rmse
api.predict = predict
api.fold_in_rows = fold_in_rows
api.top = top
api.inpaint_f32 = inpaint_f32

_API = PyCapsule_New(&api, "funkc._capi._API", NULL)


def addresses():
    """Addresses of the functions of funkc.h, for ctypes, cffi and numba.

    Returns
    -------
    dict of str to int
        The functions by their names in ``struct funkc_api``, and ``"api"``: the table itself.
        They hold as long as the process lives.

    Examples
    --------
    >>> import ctypes
    >>> import funkc.capi
    >>> words = ctypes.CFUNCTYPE(ctypes.c_char_p, ctypes.c_int)(
    ...     funkc.capi.addresses()["status_message"])
    >>> words(0)
    b'no error'
    """
    return {
        "api": <size_t>&api,
        "status_message": <size_t>api.status_message,
        "cells_check": <size_t>api.cells_check,
        "plan_create": <size_t>api.plan_create,
        "plan_destroy": <size_t>api.plan_destroy,
        "plan_info": <size_t>api.plan_info,
        "plan_defaults": <size_t>api.plan_defaults,
        "start": <size_t>api.start,
        "run": <size_t>api.run,
        "rmse": <size_t>api.rmse,
        "predict": <size_t>api.predict,
        "fold_in_rows": <size_t>api.fold_in_rows,
        "top": <size_t>api.top,
        "inpaint_f32": <size_t>api.inpaint_f32,
    }
