"""The training of factors that other extensions hold: runs, and the whole rule."""
from libc.math cimport INFINITY, NAN, fabs, isfinite, isinf, sqrt
from libc.stdint cimport int64_t, uint64_t
from libc.string cimport memcpy, memset
from funkc._core.float_state cimport funkc_float_begin, funkc_float_end
from funkc._core.memory cimport give_back, obtain
from funkc._core.types cimport (
    CANCELLED, DIVERGED, NO_MEMORY, OK, BiasTable, EngineTable, Fitted, Loss, Outset, Plan,
    PlanTable, position, real_t, short_span,
)
from funkc.capi cimport funkc_memory, funkc_params, funkc_progress, funkc_result

cdef enum:
    MOST_STAGES = 12
    SIGNAL_PERCENT = 67         # see _train.py
    SEARCH_PERCENT = 10
    LARGEST_SEARCH_PERCENT = 30
    ENTRIES_TO_JUDGE = 30
    FEWEST_TO_SEARCH = 10
    LINE = 64                   # of the cache


# What funkc_plan is: a plan, and what a run needs to know of the options.
cdef struct Prepared:
    const PlanTable *plans
    const EngineTable *engine
    const BiasTable *biases_of
    Plan *plan
    const funkc_memory *memory  # own_memory, or NULL
    funkc_memory own_memory
    uint64_t seed
    int k
    bint biases
    bint held                   # whether the offset was given
    bint nonnegative
    int group_size
    Py_ssize_t length           # of a row as the caller has it
    Py_ssize_t width            # in training
    double *rows                # with biases, those that training begins with, in its order
    double *cols
    Fitted fitted
    Outset outset
    Loss loss                   # squared: all that zeros say


cdef inline Outset outset_of(const Prepared *prepared) noexcept nogil:
    cdef Outset outset = prepared.plans.outset(
        prepared.plan, &prepared.fitted if prepared.biases else NULL, prepared.held, prepared.k)
    if prepared.nonnegative:
        outset.level = fabs(outset.level)
    return outset


cdef inline int fit_biases(Prepared *prepared, int n_threads) noexcept nogil:
    """Level and biases that training begins with, as numbers of the precision of the factors."""
    cdef:
        Plan *plan = prepared.plan
    prepared.rows = <double *>obtain(prepared.memory, plan.n_rows, sizeof(double))
    prepared.cols = <double *>obtain(prepared.memory, plan.n_cols, sizeof(double))
    if prepared.rows == NULL or prepared.cols == NULL:
        return NO_MEMORY
    return prepared.biases_of.fit(plan, NULL, NULL, prepared.width, 0.0 if prepared.held else NAN,
                                  prepared.rows, prepared.cols, &prepared.fitted, n_threads)


cdef inline double shift_of(const Prepared *prepared) noexcept nogil:
    """What a run adds to the plan's offset: the level beside biases, less that of the factors."""
    cdef:
        unsigned long long state = funkc_float_begin()
        double shift = prepared.fitted.level - prepared.outset.level if prepared.biases else 0.0
    funkc_float_end(state)
    return shift


# What a run works in.
cdef struct Room:
    void *x                     # as they were taken, and from the next line of the cache on
    void *y
    void *x_line
    void *y_line
    double *rows                # with biases; or NULL
    double *cols
    void *row_base
    void *col_base
    double *sums
    int64_t *scratch


cdef inline void *next_line(void *p) noexcept nogil:
    return <char *>p + (LINE - <size_t>p % LINE) % LINE


cdef inline void free_room(const Prepared *prepared, Room *room) noexcept nogil:
    give_back(prepared.memory, room.x)
    give_back(prepared.memory, room.y)
    give_back(prepared.memory, room.rows)
    give_back(prepared.memory, room.cols)
    give_back(prepared.memory, room.row_base)
    give_back(prepared.memory, room.col_base)
    give_back(prepared.memory, room.sums)
    give_back(prepared.memory, room.scratch)


cdef inline int make_room(const Prepared *prepared, int n_threads, Room *room) noexcept nogil:
    cdef:
        const Plan *plan = prepared.plan
        size_t row = prepared.width * plan.real_size
    room.x = obtain(prepared.memory, plan.n_rows + 1, row)
    room.y = obtain(prepared.memory, plan.n_cols + 1, row)
    room.sums = <double *>obtain(prepared.memory, plan.n_blocks, sizeof(double))
    room.scratch = <int64_t *>obtain(prepared.memory, plan.n_bands + 8 * n_threads, sizeof(int64_t))
    room.rows = room.cols = NULL
    room.row_base = room.col_base = NULL
    if prepared.biases:
        room.rows = <double *>obtain(prepared.memory, plan.n_rows, sizeof(double))
        room.cols = <double *>obtain(prepared.memory, plan.n_cols, sizeof(double))
        room.row_base = obtain(prepared.memory, plan.n_rows, plan.real_size)
        room.col_base = obtain(prepared.memory, plan.n_cols, plan.real_size)
    if (room.x == NULL or room.y == NULL or room.sums == NULL or room.scratch == NULL
        or prepared.biases and (room.rows == NULL or room.cols == NULL
                                or room.row_base == NULL or room.col_base == NULL)):
        free_room(prepared, room)
        return NO_MEMORY
    room.x_line = next_line(room.x)         # a row is at least as long as a line
    room.y_line = next_line(room.y)
    return OK


cdef inline void put_biases(const Prepared *prepared, bint columns, const double *bias,
                            real_t *factors) noexcept nogil:
    """[bias, 1] after the factors of a row, [1, bias] after those of a column."""
    cdef:
        const Plan *plan = prepared.plan
        const int64_t *cuts = plan.col_cuts if columns else plan.row_cuts
        const uint64_t *places = plan.col_places if columns else plan.row_places
        int64_t i
        unsigned long long state = funkc_float_begin()
    for i in range(plan.n_cols if columns else plan.n_rows):
        factors += prepared.length
        factors[-1 if columns else -2] = <real_t>bias[position(cuts, places[i])]
        factors[-2 if columns else -1] = 1
    funkc_float_end(state)


cdef inline bint hand_out(const Prepared *prepared, const Room *room, const double *rows,
                          const double *cols, void *row_factors, void *col_factors) noexcept nogil:
    """Factors and biases in the caller's order; whether all factors are finite."""
    cdef:
        const Plan *plan = prepared.plan
        bint finite = prepared.plans.take_out(plan, False, room.x_line, prepared.width, row_factors,
                                              prepared.k, prepared.length)
    finite &= prepared.plans.take_out(plan, True, room.y_line, prepared.width, col_factors,
                                      prepared.k, prepared.length)
    if not prepared.biases:
        return finite
    if plan.real_size == 4:
        put_biases[float](prepared, False, rows, <float *>row_factors)
        put_biases[float](prepared, True, cols, <float *>col_factors)
    else:
        put_biases[double](prepared, False, rows, <double *>row_factors)
        put_biases[double](prepared, True, cols, <double *>col_factors)
    return finite


cdef inline void take_biases(const Prepared *prepared, bint columns, const real_t *factors,
                             double *bias) noexcept nogil:
    cdef:
        const Plan *plan = prepared.plan
        const int64_t *cuts = plan.col_cuts if columns else plan.row_cuts
        const uint64_t *places = plan.col_places if columns else plan.row_places
        int64_t i
        unsigned long long state = funkc_float_begin()
    for i in range(plan.n_cols if columns else plan.n_rows):
        factors += prepared.length
        bias[position(cuts, places[i])] = <double>factors[-1 if columns else -2]
    funkc_float_end(state)


cdef inline void take_in(const Prepared *prepared, const Room *room, const void *row_factors,
                         const void *col_factors) noexcept nogil:
    """Factors and biases in the order of training."""
    cdef const Plan *plan = prepared.plan
    prepared.plans.put_in(plan, False, row_factors, prepared.k, prepared.length, room.x_line,
                          prepared.width)
    prepared.plans.put_in(plan, True, col_factors, prepared.k, prepared.length, room.y_line,
                          prepared.width)
    if not prepared.biases:
        return
    if plan.real_size == 4:
        take_biases[float](prepared, False, <const float *>row_factors, room.rows)
        take_biases[float](prepared, True, <const float *>col_factors, room.cols)
    else:
        take_biases[double](prepared, False, <const double *>row_factors, room.rows)
        take_biases[double](prepared, True, <const double *>col_factors, room.cols)


cdef inline void set_base(const double *bias, double shift, int64_t n, real_t *base) noexcept nogil:
    cdef int64_t i
    cdef unsigned long long state = funkc_float_begin()
    for i in range(n):
        base[i] = <real_t>(<double><real_t>bias[i] + shift)
    funkc_float_end(state)


cdef inline void set_bases(const Prepared *prepared, const Room *room, double shift) noexcept nogil:
    """What a run takes from the values beside the products."""
    cdef const Plan *plan = prepared.plan
    if plan.real_size == 4:
        set_base[float](room.rows, shift, plan.n_rows, <float *>room.row_base)
        set_base[float](room.cols, 0.0, plan.n_cols, <float *>room.col_base)
    else:
        set_base[double](room.rows, shift, plan.n_rows, <double *>room.row_base)
        set_base[double](room.cols, 0.0, plan.n_cols, <double *>room.col_base)


cdef inline double usual_squares(const Prepared *prepared) noexcept nogil:
    """The squared errors of what training begins with, or more."""
    cdef:
        const Plan *plan = prepared.plan
        double above = plan.mean - plan.offset
        double rounding = 1.9073486328125e-06 * prepared.fitted.deviation
        double left = max(prepared.fitted.left, rounding if rounding > 0 else plan.deviation)
    if prepared.biases:
        return plan.n_cells * left * left
    return plan.n_cells * (plan.deviation * plan.deviation + above * above)


cdef inline int train(const Prepared *prepared, const Room *room, const funkc_params *params,
                      int64_t n_epochs, int n_threads, double limit, const volatile int *cancel,
                      funkc_progress progress, void *user) noexcept nogil:
    """Up to squared errors of some size; INFINITY: which the first epoch shows."""
    cdef:
        const Plan *plan = prepared.plan
        int never = 0
        int64_t epoch, last
        int64_t span = short_span(plan, prepared.width)
        double squares = 0
    if cancel == NULL:
        cancel = &never
    for epoch in range(params.first_epoch, params.first_epoch + n_epochs):
        last = (epoch + 1) * plan.n_blocks
        if prepared.engine.advance(
            plan, room.x_line, room.y_line, prepared.width, last - plan.n_blocks, last, span,
            params, &prepared.loss, prepared.group_size, prepared.k, prepared.nonnegative,
            room.row_base, room.col_base, n_threads, room.sums, &squares, room.scratch, INFINITY,
            cancel,
        ) < last:
            return CANCELLED
        if not isfinite(squares) or squares > limit:
            return DIVERGED
        if isinf(limit):
            limit = 4 * max(squares, usual_squares(prepared))
        if progress != NULL and progress(
            epoch + 1, sqrt(squares / <double>plan.n_cells),
            prepared.engine.rate_of(epoch, params.learning_rate, params.n_epochs,
                                    not params.constant_rate), user,
        ):
            return CANCELLED
    return OK


cdef struct Level:              # beside the products
    double now                  # from the plan's offset
    Fitted fitted


cdef inline int end_stage(const Prepared *prepared, Room *room, int stage, int n_threads,
                          Level *level) noexcept nogil:
    """Fits the biases to what the products leave; the first time by the ridges of the start."""
    cdef:
        double held = 0.0 if prepared.held else NAN
        int status
    if stage == 0:
        status = prepared.biases_of.refit(prepared.plan, room.x_line, room.y_line, prepared.width,
                                          held, room.rows, room.cols, &level.fitted, n_threads)
    else:
        status = prepared.biases_of.fit(prepared.plan, room.x_line, room.y_line, prepared.width,
                                        held, room.rows, room.cols, &level.fitted, n_threads)
    level.now = level.fitted.level
    return status


cdef inline double squares_now(const Prepared *prepared, const Room *room,
                               double shift) noexcept nogil:
    """The squared errors of the current factors: an epoch with learning rate 0."""
    cdef:
        const Plan *plan = prepared.plan
        double squares = 0
        int never = 0
        funkc_params still
    memset(&still, 0, sizeof(funkc_params))
    still.n_epochs = 1
    if prepared.biases:
        set_bases(prepared, room, shift)
    prepared.engine.advance(plan, room.x_line, room.y_line, prepared.width, 0, plan.n_blocks,
                            plan.n_blocks, &still, &prepared.loss, prepared.group_size,
                            prepared.k, prepared.nonnegative, room.row_base, room.col_base, 1,
                            room.sums, &squares, room.scratch, INFINITY, &never)
    return squares


cdef inline int conclude(const Prepared *prepared, Room *room, const Level *level, int64_t stages,
                         funkc_result *result) noexcept nogil:
    cdef:
        const Plan *plan = prepared.plan
        int64_t rows_seen, cols_seen
        double squares
        unsigned long long state
        int status = prepared.biases_of.fill(plan, room.x_line, room.y_line, prepared.width,
                                             room.rows, room.cols, &rows_seen, &cols_seen)
    if status != OK:
        return status
    result.n_stages = stages
    result.mean_rmse = 0.0 if plan.constant else plan.deviation
    if prepared.biases:
        state = funkc_float_begin()
        result.offset = plan.offset + level.now
        funkc_float_end(state)
        result.noise = level.fitted.left
        result.biases_rmse = prepared.fitted.left
        return OK
    result.offset = plan.offset
    result.biases_rmse = NAN
    squares = squares_now(prepared, room, 0.0)
    state = funkc_float_begin()
    result.noise = sqrt(squares / <double>plan.n_cells)
    funkc_float_end(state)
    return OK


cdef inline int train_stage(const Prepared *prepared, Room *room, const funkc_params *params, int
                            stage, int n_threads, const volatile int *cancel, funkc_progress
                            progress, void *user, Level *level) noexcept nogil:
    """A stage by itself: with a regularization that halves from stage to stage."""
    cdef:
        funkc_params own = params[0]
        double part = 1.0
        int _
    if stage == 0:
        prepared.plans.start(prepared.plan, room.x_line, room.y_line, prepared.k, prepared.width,
                             &prepared.outset, prepared.seed, prepared.nonnegative, n_threads)
        if prepared.biases:
            memcpy(room.rows, prepared.rows, prepared.plan.n_rows * sizeof(double))
            memcpy(room.cols, prepared.cols, prepared.plan.n_cols * sizeof(double))
        level.now = shift_of(prepared)
        level.fitted = prepared.fitted
    for _ in range(stage):
        part *= 0.5
    own.row_regularization *= part
    own.col_regularization *= part
    if prepared.biases:
        set_bases(prepared, room, level.now)
    return train(prepared, room, &own, own.n_epochs, n_threads, 4 * usual_squares(prepared),
                 cancel, progress, user)


cdef inline int search(const Prepared *prepared, bint constant_rate, int n_threads,
                       const volatile int *cancel, int *stages) noexcept nogil:
    """How many stages serve held-out cells best, in a training on the others; as many as there
    were, when it diverges."""
    cdef:
        Prepared inner = prepared[0]
        double wanted = <double>ENTRIES_TO_JUDGE / <double>prepared.plan.n_cells
        double share = max(SEARCH_PERCENT / 100.0, min(LARGEST_SEARCH_PERCENT / 100.0, wanted))
        Plan *held = prepared.plans.thin(prepared.plan, True, prepared.seed, share)
        funkc_params params
        Level level
        Room room
        double *errors = NULL           # before a stage, and after it
        double *swap
        double *before
        double *after
        int stage = 0, status = NO_MEMORY
    inner.plan = prepared.plans.thin(prepared.plan, False, prepared.seed, share)
    inner.rows = inner.cols = NULL
    stages[0] = 1
    if held != NULL and inner.plan != NULL:
        if not held.n_cells or not inner.plan.n_cells:      # of very few entries
            prepared.plans.destroy(held)
            prepared.plans.destroy(inner.plan)
            return OK
        errors = <double *>obtain(prepared.memory, 2 * held.n_cells, sizeof(double))
        if errors != NULL:
            status = fit_biases(&inner, n_threads)
    if status == OK:
        status = make_room(&inner, n_threads, &room)
        if status == OK:
            inner.outset = outset_of(&inner)
            set_params(&params)
            params.constant_rate = constant_rate
            prepared.plans.settle(inner.plan, &inner.outset, &params)
            before = errors
            after = errors + held.n_cells
            while status == OK and stage < MOST_STAGES:
                status = train_stage(&inner, &room, &params, stage, n_threads, cancel, NULL, NULL,
                                     &level)
                if status == OK:
                    status = end_stage(&inner, &room, stage, n_threads, &level)
                if status != OK:
                    break
                prepared.biases_of.errors(held, room.x_line, room.y_line, inner.width, room.rows,
                                          room.cols, level.now, after)
                if stage > 0 and not prepared.biases_of.gains(before, after, held.n_cells):
                    break
                swap = before
                before = after
                after = swap
                stage += 1
            if status == DIVERGED:
                status = OK
            stages[0] = max(stage, 1)
            free_room(&inner, &room)
    give_back(prepared.memory, errors)
    give_back(prepared.memory, inner.rows)
    give_back(prepared.memory, inner.cols)
    if held != NULL:
        prepared.plans.destroy(held)
    if inner.plan != NULL:
        prepared.plans.destroy(inner.plan)
    return status


cdef inline void set_params(funkc_params *params) noexcept nogil:
    """All of them are left to the library."""
    memset(params, 0, sizeof(funkc_params))
    params.row_regularization = params.col_regularization = -1


cdef inline bint may_diverge(const funkc_params *asked) noexcept nogil:
    """Whether the last steps may, whose errors no epoch has seen: default rates can't."""
    return (asked.learning_rate != 0 or asked.row_regularization >= 0
            or asked.col_regularization >= 0)


cdef inline bint may_search(const Prepared *prepared, const funkc_params *asked) noexcept nogil:
    """Whether further stages may be worth it; a caller's own settings are kept to."""
    return (prepared.biases and not may_diverge(asked) and asked.n_epochs == 0
            and prepared.plan.n_cells >= FEWEST_TO_SEARCH)


cdef inline int train_stages(const Prepared *prepared, Room *room, const funkc_params *params,
                             int *stages, bint doubtful, int n_threads,
                             const volatile int *cancel, funkc_progress progress, void *user,
                             funkc_result *result) noexcept nogil:
    """With stages = 0 their number is found out, once the first has shown that it is worth it."""
    cdef:
        Level level
        int stage = 0, status
    while True:
        status = train_stage(prepared, room, params, stage, n_threads, cancel, progress, user,
                             &level)
        if status == OK and prepared.biases:
            status = end_stage(prepared, room, stage, n_threads, &level)
        if status == OK and stages[0] == 0:
            stages[0] = 1
            if level.fitted.left < SIGNAL_PERCENT / 100.0 * prepared.outset.deviation:
                status = search(prepared, params.constant_rate, n_threads, cancel, stages)
        if status != OK:
            result.offset = prepared.plan.offset + level.now
            return status
        stage += 1
        if stage >= stages[0]:
            status = conclude(prepared, room, &level, stage, result)
            if (status == OK and doubtful and not squares_now(prepared, room, level.now)
                    <= 4 * usual_squares(prepared)):
                status = DIVERGED
            return status
