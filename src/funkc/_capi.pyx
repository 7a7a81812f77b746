"""The C API: the table that funkc.h describes, and what it checks before it hands on.

Design
a. The modules that were built for this processor do the work, as for Python; each provides a
   table of functions when this module is imported.
b. A caller's struct states its size.  Members that a later version appends are read only if
   the size includes them.
c. Factors are in the caller's order, row by row.  A run copies them into the order of
   training and back; that is a thousandth of an epoch.
d. Nothing here raises, prints or takes the GIL once it is imported, and nothing is kept between
   calls but plans, which nobody changes.
"""
from libc.math cimport INFINITY, NAN, fabs, isfinite, isinf, isnan
from libc.stdint cimport int64_t, uint8_t, uint64_t
from cpython.pycapsule cimport PyCapsule_GetPointer, PyCapsule_New
from funkc._core.callers cimport (
    FUNKC_HAD_INFO, FUNKC_HAD_OPTIONS, FUNKC_HAD_PARAMS, FUNKC_HAD_RESULT,
    FUNKC_MOST_CELLS, FUNKC_MOST_ROWS, MOST_FACTORS, check_one, hand_back, is_loss, take_cells,
    take_memory, take_model, take_over,
)
from funkc._core.loss cimport HUBER_LOSS, LOGISTIC_LOSS, POISSON_LOSS, SQUARED_LOSS
from funkc._core.memory cimport give_back, obtain_zeros
from funkc._core.runs cimport (
    Level, Prepared, Room, conclude, end_stage, free_room, hand_out, make_room, may_diverge,
    may_search, set_bases, set_out, settle, shift_of, take_in, train, train_stages,
)
from funkc._core.stream cimport mixed
from funkc._core.types cimport (
    BAD_OPTION, BAD_SHAPE, BAD_VALUE, BAD_WEIGHT, CANCELLED, CELLS_CHANGED, COL_OUTSIDE, DIVERGED,
    DUPLICATE_CELL, NO_MEMORY, NOT_FINITE, NOTHING_SEEN, NULL_POINTER, OK, ROW_OUTSIDE,
    VALUES_TOO_WIDE, BiasTable, EngineTable, LossTable, PicturesTable, PlanTable, ServeTable,
    index_at, padded, value_at,
)
from funkc.capi cimport (
    FUNKC_ABI_VERSION, funkc_api, funkc_cells, funkc_info, funkc_memory, funkc_model,
    funkc_options, funkc_params, funkc_plan, funkc_progress, funkc_result,
)

from funkc import _core
from funkc._core import plan as core_plan

cdef enum:
    MOST_BANDS = 256
    MOST_THREADS = 256          # more find no work
    MOST_HALVINGS = 10
    MOST_ASKED = 1000           # stages
    WILD_MEAN = 8               # see _schedule.py
    MOST_CUTS = 4               # likewise

cdef:
    int64_t MOST_EPOCHS = <int64_t>1 << 40      # whose blocks are counted in 64 bits
    const PlanTable *plans = <const PlanTable *>PyCapsule_GetPointer(
        core_plan.plan_table, "funkc.plan_table")
    const BiasTable *biases = <const BiasTable *>PyCapsule_GetPointer(
        _core.biases.bias_table, "funkc.biases")
    const LossTable *losses = <const LossTable *>PyCapsule_GetPointer(
        _core.newton.loss_table, "funkc.losses")
    const EngineTable *engine = <const EngineTable *>PyCapsule_GetPointer(
        _core.engine.engine_table, "funkc.engine")
    const ServeTable *serve = <const ServeTable *>PyCapsule_GetPointer(
        _core.serve.serve_table, "funkc.serve")
    const PicturesTable *pictures = <const PicturesTable *>PyCapsule_GetPointer(
        _core.pictures.pictures_table, "funkc.pictures")
    bytes isa = _core.name.encode()


cdef const char *status_message(int status) noexcept nogil:
    if status == OK:
        return "no error"
    if status == NO_MEMORY:
        return "not enough memory"
    if status == DUPLICATE_CELL:
        return "an entry is listed more than once"
    if status == VALUES_TOO_WIDE:
        return ("the range from the smallest to the largest value (or the offset) exceeds the "
                "precision of the factors")
    if status == CELLS_CHANGED:
        return "a row or column is out of range, or the entries changed during the call"
    if status == BAD_SHAPE:
        return "a size is below 1 or too large, or lists do not ascend"
    if status == BAD_OPTION:
        return ("a number is out of range (epochs beyond those of params, a delta of another loss "
                "than Huber's, or a mean that is not above the offset of nonnegative factors), or "
                "the size of a struct is not set")
    if status == NOTHING_SEEN:
        return "every pixel of a channel is missing"
    if status == NOT_FINITE:
        return "a value, or an observed pixel, is not finite"
    if status == CANCELLED:
        return "cancelled"
    if status == NULL_POINTER:
        return "a required pointer is NULL"
    if status == DIVERGED:
        return "training diverged: lower the learning rate or the regularization"
    if status == ROW_OUTSIDE:
        return "a row is out of range"
    if status == COL_OUTSIDE:
        return "a column is out of range"
    if status == BAD_WEIGHT:
        return "a weight is not finite, or below the smallest normal number"
    if status == BAD_VALUE:
        return "a value is refused by the loss: pass 0 or 1 (logistic), or at least 0 (Poisson)"
    return "unknown status"


# ---------------------------------------------------------------- checks

cdef int cells_check(const funkc_cells *given, int64_t *offender) noexcept nogil:
    cdef:
        funkc_cells own
        const funkc_cells *cells = &own
        int64_t c, size = 2, at, other
        bint wide
        int64_t row, col
        int64_t *table
        int status = take_cells(&own, given)
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

cdef bint fits_a_grid(int row_bands, int col_bands) noexcept nogil:
    """Whether both numbers of bands are left to the library, or one is a multiple of the other."""
    if col_bands == 0:
        return row_bands == 0
    return 0 < col_bands <= row_bands <= MOST_BANDS and row_bands % col_bands == 0


cdef int cut_cells(Prepared *prepared, const funkc_cells *cells,
                   const funkc_options *options) noexcept nogil:
    """Into a plan whose offset suits the values."""
    cdef:
        bint linked = options.loss in (LOGISTIC_LOSS, POISSON_LOSS)
        bint left = isnan(options.offset)
        double median, spread
        funkc_options own = options[0]
        int cut, status = OK
    if linked or (left and options.nonnegative and not options.biases):
        own.offset = 0
    for cut in range(MOST_CUTS):
        status = plans.make(cells, &own, prepared.width, &prepared.plan)
        if status != OK or options.loss == SQUARED_LOSS or linked or not left:
            break
        # Against a wild mean, the values of interest would be rounded away.
        status = losses.middle(prepared.plan, &median, &spread)
        if status != OK or fabs(median) <= WILD_MEAN * spread or cut == MOST_CUTS - 1:
            break
        own.offset = prepared.plan.offset + median
        plans.destroy(prepared.plan)
        prepared.plan = NULL
    if status == OK and not losses.allows(prepared.plan, <int>options.loss):
        status = BAD_VALUE
    return status


cdef int plan_create(const funkc_cells *given_cells, const funkc_options *given,
                     funkc_plan **made) noexcept nogil:
    cdef:
        Prepared *prepared
        funkc_cells cells
        funkc_options options
        funkc_memory memory
        int status
    if made == NULL:
        return NULL_POINTER
    made[0] = NULL
    status = take_cells(&cells, given_cells)
    if status == OK:
        status = take_over(&options, sizeof(funkc_options), given, FUNKC_HAD_OPTIONS)
    if status != OK:
        return status
    if (not 1 <= options.k <= MOST_FACTORS or options.real_bytes not in (4, 8)
            or options.group_size not in (1, 8) or options.n_threads < 1
            or options.biases not in (0, 1, 2) or isinf(options.offset)
            or not fits_a_grid(options.row_bands, options.col_bands)
            or not is_loss(options.loss, options.huber_delta)
            or (options.nonnegative and options.loss != SQUARED_LOSS)):
        return BAD_OPTION
    status = take_memory(&memory, &options.memory)
    if status != OK:
        return status
    prepared = <Prepared *>obtain_zeros(options.memory, 1, sizeof(Prepared))
    if prepared == NULL:
        return NO_MEMORY
    if options.memory != NULL:          # the caller's struct may be gone when the plan is not
        prepared.own_memory = memory
        prepared.memory = options.memory = &prepared.own_memory
    prepared.plans = plans
    prepared.engine = engine
    prepared.biases_of = biases
    prepared.losses = losses
    prepared.loss.kind = <int>options.loss
    prepared.loss.delta = options.huber_delta
    prepared.seed = options.seed
    prepared.k = options.k
    if options.biases == 2:
        options.biases = isnan(options.offset) and not options.nonnegative
    prepared.biases = options.biases
    prepared.leveled = options.biases or options.loss != SQUARED_LOSS
    prepared.held = NAN
    prepared.nonnegative = options.nonnegative
    prepared.group_size = options.group_size
    prepared.length = options.k + (2 if options.biases else 0)
    prepared.width = padded(prepared.k)
    options.n_threads = min(options.n_threads, MOST_THREADS)
    status = cut_cells(prepared, &cells, &options)
    if status == OK:
        if not isnan(options.offset):
            prepared.held = options.offset - prepared.plan.offset
        status = set_out(prepared, options.n_threads)
    if status != OK:
        plan_destroy(<funkc_plan *>prepared)
        return status
    made[0] = <funkc_plan *>prepared
    return OK


cdef void plan_destroy(funkc_plan *plan) noexcept nogil:
    cdef:
        Prepared *prepared = <Prepared *>plan
        funkc_memory memory
    if prepared != NULL:
        memory = prepared.own_memory        # which goes with the plan
        if prepared.plan != NULL:
            plans.destroy(prepared.plan)
        give_back(&memory if prepared.memory != NULL else NULL, prepared.rows)
        give_back(&memory if prepared.memory != NULL else NULL, prepared.cols)
        give_back(&memory if prepared.memory != NULL else NULL, prepared)


cdef int plan_info(const funkc_plan *plan, funkc_info *given) noexcept nogil:
    cdef:
        const Prepared *prepared = <const Prepared *>plan
        funkc_info info
        int status = take_over(&info, sizeof(funkc_info), given, FUNKC_HAD_INFO)
    if prepared == NULL or status != OK:
        return NULL_POINTER if prepared == NULL else status
    info.n_rows = prepared.plan.n_rows
    info.n_cols = prepared.plan.n_cols
    info.n_cells = prepared.plan.n_cells
    info.length = prepared.length
    info.mean = prepared.plan.mean
    info.deviation = prepared.plan.deviation
    info.offset = prepared.plan.offset + shift_of(prepared)
    info.row_bands = <int>prepared.plan.n_row_bands
    info.col_bands = <int>prepared.plan.n_bands
    info.huber_delta = prepared.loss.delta if prepared.loss.kind == HUBER_LOSS else 0.0
    hand_back(&info, sizeof(funkc_info), given)
    return OK


cdef int take_params(const Prepared *prepared, funkc_params *params,
                     const funkc_params *given) noexcept nogil:
    """With the defaults filled in."""
    cdef int status = take_over(params, sizeof(funkc_params), given, FUNKC_HAD_PARAMS)
    if prepared == NULL or status != OK:
        return NULL_POINTER if prepared == NULL else status
    if (not isfinite(params.learning_rate) or not isfinite(params.row_regularization)
            or not isfinite(params.col_regularization) or params.learning_rate < 0
            or not 0 <= params.n_epochs <= MOST_EPOCHS
            or not 0 <= params.first_epoch <= MOST_EPOCHS):
        return BAD_OPTION
    settle(prepared, params)
    return OK


cdef int plan_defaults(const funkc_plan *plan, funkc_params *given) noexcept nogil:
    cdef:
        funkc_params params
        int status = take_params(<const Prepared *>plan, &params, given)
    if status == OK:
        hand_back(&params, sizeof(funkc_params), given)
    return status


# ---------------------------------------------------------------- training

cdef int start(const funkc_plan *plan, void *row_factors, void *col_factors) noexcept nogil:
    cdef:
        const Prepared *prepared = <const Prepared *>plan
        Room room
        int status
    if prepared == NULL or row_factors == NULL or col_factors == NULL:
        return NULL_POINTER
    status = make_room(prepared, 1, &room)
    if status != OK:
        return status
    plans.start(prepared.plan, room.x_line, room.y_line, prepared.k, prepared.width,
                &prepared.outset, prepared.seed, prepared.nonnegative, 1)
    hand_out(prepared, &room, prepared.rows, prepared.cols, row_factors, col_factors)
    free_room(prepared, &room)
    return OK


cdef int run(const funkc_plan *plan, void *row_factors, void *col_factors,
             const funkc_params *given, int64_t n_epochs, int n_threads,
             const volatile int *cancel, funkc_progress progress, void *user) noexcept nogil:
    cdef:
        const Prepared *prepared = <const Prepared *>plan
        funkc_params params
        Room room
        int status
        bint finite
    if prepared == NULL or row_factors == NULL or col_factors == NULL:
        return NULL_POINTER
    status = take_params(prepared, &params, given)
    if status != OK:
        return status
    if (not 0 <= n_epochs <= MOST_EPOCHS or n_threads < 1
            or (not params.constant_rate and params.first_epoch + n_epochs > params.n_epochs)):
        return BAD_OPTION
    n_threads = min(n_threads, MOST_THREADS)
    status = make_room(prepared, n_threads, &room)
    if status != OK:
        return status
    take_in(prepared, &room, row_factors, col_factors)
    if prepared.leveled:
        set_bases(prepared, &room, shift_of(prepared))
    status = train(prepared, &room, &params, n_epochs, n_threads, INFINITY, cancel, progress, user)
    finite = hand_out(prepared, &room, room.rows, room.cols, row_factors, col_factors)
    free_room(prepared, &room)
    return status if finite else DIVERGED


# ---------------------------------------------------------------- the whole rule

cdef int finish(const funkc_plan *given_plan, void *row_factors, void *col_factors,
                funkc_result *given, int n_threads) noexcept nogil:
    cdef:
        const Prepared *prepared = <const Prepared *>given_plan
        funkc_result result
        Level level
        Room room
        int status = take_over(&result, sizeof(funkc_result), given, FUNKC_HAD_RESULT)
    if prepared == NULL or row_factors == NULL or col_factors == NULL:
        return NULL_POINTER
    if status != OK or n_threads < 1:
        return BAD_OPTION if status == OK else status
    n_threads = min(n_threads, MOST_THREADS)
    status = make_room(prepared, n_threads, &room)
    if status != OK:
        return status
    take_in(prepared, &room, row_factors, col_factors)
    level.fitted = prepared.fitted
    level.now = shift_of(prepared)
    if prepared.leveled:
        status = end_stage(prepared, &room, 0, n_threads, &level)
    if status == OK:
        status = conclude(prepared, &room, &level, 1, &result)
    if status == OK:
        hand_out(prepared, &room, room.rows, room.cols, row_factors, col_factors)
        hand_back(&result, sizeof(funkc_result), given)
    free_room(prepared, &room)
    return status


cdef int train_all(const funkc_plan *given_plan, void *row_factors, void *col_factors,
                   const funkc_params *given, int n_threads, const volatile int *cancel,
                   funkc_progress progress, void *user, funkc_result *given_result) noexcept nogil:
    cdef:
        const Prepared *prepared = <const Prepared *>given_plan
        funkc_params params, asked
        funkc_result result
        Room room
        int stages, halvings = 0
        int status = take_over(&result, sizeof(funkc_result), given_result, FUNKC_HAD_RESULT)
    if prepared == NULL or row_factors == NULL or col_factors == NULL:
        return NULL_POINTER
    if status == OK:
        status = take_over(&asked, sizeof(funkc_params), given, FUNKC_HAD_PARAMS)
    if status == OK:
        status = take_params(prepared, &params, given)
    if status != OK:
        return status
    if params.first_epoch != 0 or not 0 <= params.stages <= MOST_ASKED or n_threads < 1:
        return BAD_OPTION
    stages = params.stages
    if stages == 0 and not may_search(prepared, &asked):
        stages = 1
    n_threads = min(n_threads, MOST_THREADS)
    status = make_room(prepared, n_threads, &room)
    if status != OK:
        return status
    while True:
        status = train_stages(prepared, &room, &params, &stages, may_diverge(&asked), n_threads,
                              cancel, progress, user, &result)
        if status != DIVERGED or halvings == MOST_HALVINGS:
            break
        halvings += 1
        params.learning_rate *= 0.5
    if status == OK or status == CANCELLED:
        if not hand_out(prepared, &room, room.rows, room.cols, row_factors, col_factors):
            status = DIVERGED
    if status == OK or status == CANCELLED:
        hand_back(&result, sizeof(funkc_result), given_result)
    free_room(prepared, &room)
    return status


# ---------------------------------------------------------------- what is done with factors

cdef int look_at_each(const funkc_cells *cells, int loss) noexcept nogil:
    """Check the entries one by one."""
    cdef int64_t c
    cdef int status
    for c in range(cells.n_cells):
        status = check_one(cells, c)
        if status == OK and not losses.takes(loss, value_at(cells, c)):
            status = BAD_VALUE
        if status != OK:
            return status
    return OK


cdef int find_outside(const int64_t *positions, int64_t n, int64_t size,
                      int status) noexcept nogil:
    cdef int64_t i
    for i in range(n):
        if not 0 <= positions[i] < size:
            return status
    return OK


cdef int find_bad_list(const int64_t *hidden_from, const int64_t *hidden, int64_t n_rows,
                       int64_t n_cols) noexcept nogil:
    """Lists of columns, each ascending."""
    cdef int64_t i, c
    for i in range(n_rows):
        if hidden_from[i] < 0 or hidden_from[i + 1] < hidden_from[i]:
            return BAD_SHAPE
        for c in range(hidden_from[i], hidden_from[i + 1]):
            if not 0 <= hidden[c] < n_cols:
                return COL_OUTSIDE
            if c > hidden_from[i] and hidden[c] < hidden[c - 1]:
                return BAD_SHAPE
    return OK


cdef int mean_loss(const funkc_model *given, const funkc_cells *given_cells, int n_threads,
                   double *out) noexcept nogil:
    return judge(given, given_cells, False, n_threads, out)


cdef int rmse(const funkc_model *given, const funkc_cells *given_cells, int n_threads,
              double *out) noexcept nogil:
    return judge(given, given_cells, True, n_threads, out)


cdef int judge(const funkc_model *given, const funkc_cells *given_cells, bint by_squares,
               int n_threads, double *out) noexcept nogil:
    """The mean loss, or the RMSE."""
    cdef:
        funkc_model model
        funkc_memory memory
        funkc_cells cells
        int status = take_model(&model, &memory, given, n_threads)
    if status == OK:
        status = take_cells(&cells, given_cells)
    if status == OK and out == NULL:
        status = NULL_POINTER
    if status == OK and (cells.n_rows > model.n_rows or cells.n_cols > model.n_cols):
        status = BAD_SHAPE
    if status == OK:
        cells.weights = NULL                # which count for nothing
        status = look_at_each(&cells, SQUARED_LOSS if by_squares else <int>model.loss)
    if status != OK:
        return status
    return serve.judge(&model, &cells, by_squares, min(n_threads, MOST_THREADS), out)


cdef int predict(const funkc_model *given, const int64_t *rows, const int64_t *cols, int64_t n,
                 void *out, int n_threads) noexcept nogil:
    cdef:
        funkc_model model
        funkc_memory memory
        int status = take_model(&model, &memory, given, n_threads)
    if status != OK:
        return status
    if not 0 <= n <= FUNKC_MOST_CELLS:
        return BAD_SHAPE
    if n == 0:
        return OK
    if rows == NULL or cols == NULL or out == NULL:
        return NULL_POINTER
    status = find_outside(rows, n, model.n_rows, ROW_OUTSIDE)
    if status == OK:
        status = find_outside(cols, n, model.n_cols, COL_OUTSIDE)
    if status != OK:
        return status
    return serve.predict(&model, rows, cols, n, out, min(n_threads, MOST_THREADS))


cdef int fold_in_rows(const funkc_model *given, const funkc_cells *given_cells,
                      double regularization, void *out, int n_threads) noexcept nogil:
    cdef:
        funkc_model model
        funkc_memory memory
        funkc_cells cells
        int status = take_model(&model, &memory, given, n_threads)
    if status == OK:
        status = take_cells(&cells, given_cells)
    if status == OK and out == NULL:
        status = NULL_POINTER
    if status == OK and (
            not isfinite(regularization) or (regularization < 0 and model.noise == 0)):
        status = BAD_OPTION
    if status == OK and cells.n_cols > model.n_cols:
        status = BAD_SHAPE
    if status == OK:
        status = look_at_each(&cells, <int>model.loss)
    if status != OK:
        return status
    return serve.fold_in(&model, &cells, regularization, out, min(n_threads, MOST_THREADS))


cdef int top(const funkc_model *given, const int64_t *rows, int64_t n_rows, int64_t n,
             const int64_t *hidden_from, const int64_t *hidden, int64_t *cols, void *scores,
             int n_threads) noexcept nogil:
    cdef:
        funkc_model model
        funkc_memory memory
        int status = take_model(&model, &memory, given, n_threads)
    if status != OK:
        return status
    if not 1 <= n <= FUNKC_MOST_ROWS or not 0 <= n_rows <= FUNKC_MOST_CELLS // n:
        return BAD_SHAPE
    if n_rows == 0:
        return OK
    if rows == NULL or cols == NULL or scores == NULL or (hidden_from == NULL and hidden != NULL):
        return NULL_POINTER
    if hidden_from != NULL and hidden == NULL and hidden_from[n_rows] > hidden_from[0]:
        return NULL_POINTER
    status = find_outside(rows, n_rows, model.n_rows, ROW_OUTSIDE)
    if status == OK and hidden_from != NULL:
        status = find_bad_list(hidden_from, hidden, n_rows, model.n_cols)
    if status != OK:
        return status
    return serve.top(&model, rows, n_rows, n, hidden_from, hidden, cols, scores,
                     min(n_threads, MOST_THREADS))


cdef int inpaint_volume_f32(float *volume, const uint8_t *missing, int64_t n_masks,
                            int64_t channels, int64_t depth, int64_t height, int64_t width,
                            int method, int k, uint64_t seed, int n_threads,
                            const volatile int *cancel, const funkc_memory *given) noexcept nogil:
    cdef:
        funkc_memory memory
        int status = take_memory(&memory, &given)
    if status != OK:
        return status
    if volume == NULL or missing == NULL:
        return NULL_POINTER
    return pictures.inpaint_f32(volume, missing, n_masks, channels, depth, height, width, method, k,
                                seed, min(n_threads, MOST_THREADS), cancel, given)


cdef int inpaint_f32(float *image, const uint8_t *missing, int64_t n_masks, int64_t channels,
                     int64_t height, int64_t width, int method, int k, uint64_t seed,
                     int n_threads, const volatile int *cancel,
                     const funkc_memory *given) noexcept nogil:
    return inpaint_volume_f32(image, missing, n_masks, channels, 1, height, width, method, k, seed,
                              n_threads, cancel, given)


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
api.finish = finish
api.train = train_all
api.mean_loss = mean_loss
api.inpaint_volume_f32 = inpaint_volume_f32

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
        "finish": <size_t>api.finish,
        "train": <size_t>api.train,
        "mean_loss": <size_t>api.mean_loss,
        "inpaint_volume_f32": <size_t>api.inpaint_volume_f32,
    }
