"""The training of factors that other extensions hold: runs, and the whole rule."""
from libc.math cimport INFINITY, NAN, fabs, isinf, isnan, sqrt
from libc.stdint cimport int64_t, uint64_t
from libc.string cimport memcpy, memset
from funkc._core.float_state cimport funkc_float_begin, funkc_float_end
from funkc._core.loss cimport POISSON_LOSS, SQUARED_LOSS, usual_loss
from funkc._core.memory cimport give_back, obtain
from funkc._core.types cimport (
    CANCELLED, DIVERGED, NO_MEMORY, OK, BiasTable, EngineTable, Fit, FitTable, Fitted, Loss,
    LossTable, Outset, Plan, PlanTable, position, real_t, short_span,
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
    const LossTable *losses
    Plan *plan
    const funkc_memory *memory  # own_memory, or NULL
    funkc_memory own_memory
    uint64_t seed
    int k
    bint biases
    bint leveled                # whether there is a level: with biases, and for other losses
    double held                 # the level above the plan's offset, if it was given
    bint nonnegative
    int group_size
    Py_ssize_t length           # of a row as the caller has it
    Py_ssize_t width            # in training
    double *rows                # biases that training begins with, in its order; or NULL
    double *cols
    Fitted fitted
    Outset outset
    Loss loss                   # Huber: with its delta, once it was found
    double mean_loss            # of a level alone; not of the squared loss, as what follows
    double least                # what the losses of the engine lack
    double scale                # against which what is tiny is rounding
    double size                 # of what the biases leave
    double usual                # errors that steps are made for


# What a run works in.
cdef struct Room:
    void *x                     # as they were taken, and from the next line of the cache on
    void *y
    void *x_line
    void *y_line
    double *rows                # beside a level; or NULL
    double *cols
    void *row_base
    void *col_base
    double *sums
    int64_t *scratch


cdef inline bint squared(const Prepared *prepared) noexcept nogil:
    return prepared.loss.kind == SQUARED_LOSS


cdef inline const FitTable *fits_of(const Prepared *prepared) noexcept nogil:
    return &prepared.biases_of.fits if squared(prepared) else &prepared.losses.fits


cdef inline Fit fit_of(const Prepared *prepared, const Room *room, int n_threads) noexcept nogil:
    """Of the biases that training begins with, or else those in a room."""
    cdef Fit fit
    memset(&fit, 0, sizeof(Fit))
    fit.plan = prepared.plan
    fit.held = prepared.held
    fit.rows = prepared.rows
    fit.cols = prepared.cols
    if room != NULL:
        fit.x = room.x_line
        fit.y = room.y_line
        fit.width = prepared.width
        fit.rows = room.rows
        fit.cols = room.cols
    fit.loss = prepared.loss
    fit.scale = prepared.scale
    fit.alone = not prepared.biases
    fit.n_threads = n_threads
    return fit


cdef inline int settle_loss(Prepared *prepared, int n_threads) noexcept nogil:
    """Finds what of the loss depends on the values, and what a level alone leaves."""
    cdef:
        Fit fit = fit_of(prepared, NULL, n_threads)
        Fitted alone
        int status = prepared.losses.settle(&fit)
    prepared.loss.delta = fit.loss.delta
    prepared.scale = fit.scale
    prepared.least = prepared.losses.least(prepared.plan, prepared.loss.kind)
    if status == OK:
        fit.alone = True
        fit.held = NAN
        status = prepared.losses.fits.fit(&fit, &alone)
        prepared.mean_loss = mean_loss(prepared, alone.cost)
    return status


cdef inline double mean_loss(const Prepared *prepared, double cost) noexcept nogil:
    cdef:
        unsigned long long state = funkc_float_begin()
        double loss = max(cost + prepared.least / <double>prepared.plan.n_cells, 0.0)
    funkc_float_end(state)
    return loss


cdef inline int set_out(Prepared *prepared, int n_threads) noexcept nogil:
    """Finds level and biases that training begins with, as numbers of the precision of the
    factors, and what it is to explain."""
    cdef:
        Plan *plan = prepared.plan
        Fit fit
        bint made_up = not prepared.biases and not isnan(prepared.held)     # see _train.py
        int status = OK
    if prepared.leveled:
        prepared.rows = <double *>obtain(prepared.memory, plan.n_rows, sizeof(double))
        prepared.cols = <double *>obtain(prepared.memory, plan.n_cols, sizeof(double))
        if prepared.rows == NULL or prepared.cols == NULL:
            return NO_MEMORY
        if not squared(prepared):
            status = settle_loss(prepared, n_threads)
        fit = fit_of(prepared, NULL, n_threads)
        if made_up:
            fit.held = NAN
        if status == OK:
            status = fits_of(prepared).fit(&fit, &prepared.fitted)
        if status == OK and not squared(prepared):
            status = prepared.losses.size(&fit, &prepared.fitted, prepared.least, &prepared.size)
    prepared.outset = prepared.plans.outset(
        plan, &prepared.fitted if prepared.leveled else NULL, prepared.held == prepared.held,
        prepared.k)
    if made_up and not squared(prepared):
        prepared.outset.level = prepared.fitted.level - prepared.held
    if prepared.nonnegative:
        prepared.outset.level = fabs(prepared.outset.level)
    prepared.usual = prepared.outset.deviation
    if not squared(prepared) and prepared.usual == 0:
        prepared.usual = prepared.scale
    return status


cdef inline void settle(const Prepared *prepared, funkc_params *params) noexcept nogil:
    """Fills in the defaults."""
    cdef Outset outset = prepared.outset
    outset.deviation = prepared.usual
    prepared.plans.settle(prepared.plan, &outset, params)


cdef inline double shift_of(const Prepared *prepared) noexcept nogil:
    """What a run adds to the plan's offset: the fitted level, less that of the factors."""
    cdef:
        unsigned long long state = funkc_float_begin()
        double shift = prepared.fitted.level - prepared.outset.level if prepared.leveled else 0.0
    funkc_float_end(state)
    if prepared.leveled and not isnan(prepared.held):
        return prepared.held
    return shift


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
    if prepared.leveled:
        room.rows = <double *>obtain(prepared.memory, plan.n_rows, sizeof(double))
        room.cols = <double *>obtain(prepared.memory, plan.n_cols, sizeof(double))
        room.row_base = obtain(prepared.memory, plan.n_rows, plan.real_size)
        room.col_base = obtain(prepared.memory, plan.n_cols, plan.real_size)
    if (room.x == NULL or room.y == NULL or room.sums == NULL or room.scratch == NULL
        or prepared.leveled and (room.rows == NULL or room.cols == NULL
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
    if not prepared.leveled:
        return
    memset(room.rows, 0, plan.n_rows * sizeof(double))
    memset(room.cols, 0, plan.n_cols * sizeof(double))
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


cdef inline double usual_losses(const Prepared *prepared) noexcept nogil:
    """The losses of what training begins with, or more."""
    cdef:
        const Plan *plan = prepared.plan
        unsigned long long state = funkc_float_begin()
        double above = plan.mean - plan.offset
        double rounding = 1.9073486328125e-06 * prepared.fitted.deviation
        double left = max(prepared.fitted.left, rounding if rounding > 0 else plan.deviation)
        double losses = plan.n_cells * left * left
    if not squared(prepared):
        losses = plan.n_cells * usual_loss(prepared.loss.kind, prepared.scale,
                                           mean_loss(prepared, prepared.fitted.cost))
    elif not prepared.biases:
        losses = plan.n_cells * (plan.deviation * plan.deviation + above * above)
    funkc_float_end(state)
    return losses


cdef inline Loss engine_loss(const Prepared *prepared) noexcept nogil:
    """As loss.h takes it."""
    cdef Loss loss = prepared.loss
    if loss.kind == POISSON_LOSS:
        loss.delta = 2 * prepared.usual
    return loss


cdef inline int train(const Prepared *prepared, const Room *room, const funkc_params *params,
                      int64_t n_epochs, int n_threads, double limit, const volatile int *cancel,
                      funkc_progress progress, void *user) noexcept nogil:
    """Up to losses of some size; INFINITY: which the first epoch shows."""
    cdef:
        const Plan *plan = prepared.plan
        Loss loss = engine_loss(prepared)
        int never = 0
        int64_t epoch, last
        int64_t span = short_span(plan, prepared.width)
        double losses = 0, mean
    if cancel == NULL:
        cancel = &never
    for epoch in range(params.first_epoch, params.first_epoch + n_epochs):
        last = (epoch + 1) * plan.n_blocks
        if prepared.engine.advance(
            plan, room.x_line, room.y_line, prepared.width, last - plan.n_blocks, last, span,
            params, &loss, prepared.group_size, prepared.k, prepared.nonnegative,
            room.row_base, room.col_base, n_threads, room.sums, &losses, room.scratch, INFINITY,
            cancel,
        ) < last:
            return CANCELLED
        losses += prepared.least
        if not -INFINITY < losses < INFINITY or losses > limit:
            return DIVERGED
        if isinf(limit):
            limit = 4 * max(losses, usual_losses(prepared))
        mean = max(0.0, losses / <double>plan.n_cells)
        if progress != NULL and progress(
            epoch + 1, sqrt(mean) if squared(prepared) else mean,
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
        Fit fit = fit_of(prepared, room, n_threads)
        int status
    fit.level = level.now
    if stage == 0:
        status = fits_of(prepared).refit(&fit, &level.fitted)
    else:
        status = fits_of(prepared).fit(&fit, &level.fitted)
    level.now = level.fitted.level
    return status


cdef inline double losses_now(const Prepared *prepared, const Room *room,
                              double shift) noexcept nogil:
    """The losses of the current factors: an epoch with learning rate 0."""
    cdef:
        const Plan *plan = prepared.plan
        Loss loss = engine_loss(prepared)
        double losses = 0
        int never = 0
        funkc_params still
    memset(&still, 0, sizeof(funkc_params))
    still.n_epochs = 1
    if prepared.leveled:
        set_bases(prepared, room, shift)
    prepared.engine.advance(plan, room.x_line, room.y_line, prepared.width, 0, plan.n_blocks,
                            plan.n_blocks, &still, &loss, prepared.group_size,
                            prepared.k, prepared.nonnegative, room.row_base, room.col_base, 1,
                            room.sums, &losses, room.scratch, INFINITY, &never)
    return losses + prepared.least


cdef inline int conclude(const Prepared *prepared, Room *room, const Level *level, int64_t stages,
                         funkc_result *result) noexcept nogil:
    cdef:
        const Plan *plan = prepared.plan
        int64_t rows_seen, cols_seen
        double losses = 0
        unsigned long long state
        int status = prepared.biases_of.fill(plan, room.x_line, room.y_line, prepared.width,
                                             room.rows, room.cols, &rows_seen, &cols_seen)
    if status != OK:
        return status
    if not prepared.leveled:
        losses = losses_now(prepared, room, 0.0)
    state = funkc_float_begin()
    result.n_stages = stages
    result.offset = plan.offset + (level.now if prepared.leveled else 0.0)
    result.mean_rmse = result.biases_rmse = result.biases_loss = NAN
    if squared(prepared):
        result.mean_rmse = 0.0 if plan.constant else plan.deviation
        result.mean_loss = result.mean_rmse * result.mean_rmse
        result.noise = level.fitted.left if prepared.biases else sqrt(losses / <double>plan.n_cells)
        if prepared.biases:
            result.biases_rmse = prepared.fitted.left
            result.biases_loss = prepared.fitted.left * prepared.fitted.left
    else:
        result.mean_loss = prepared.mean_loss
        result.noise = sqrt(level.fitted.dispersion)
        if prepared.biases:
            result.biases_loss = mean_loss(prepared, prepared.fitted.cost)
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
        if prepared.leveled:
            memcpy(room.rows, prepared.rows, prepared.plan.n_rows * sizeof(double))
            memcpy(room.cols, prepared.cols, prepared.plan.n_cols * sizeof(double))
        level.now = shift_of(prepared)
        level.fitted = prepared.fitted
    for _ in range(stage):
        part *= 0.5
    own.row_regularization *= part
    own.col_regularization *= part
    if prepared.leveled:
        set_bases(prepared, room, level.now)
    return train(prepared, room, &own, own.n_epochs, n_threads, 4 * usual_losses(prepared),
                 cancel, progress, user)


cdef inline int explains_most(const Prepared *prepared, const Room *room, const Level *level,
                              int n_threads, bint *most) noexcept nogil:
    """Whether the factors explain most of what biases left."""
    cdef:
        Fit fit = fit_of(prepared, room, n_threads)
        double size = level.fitted.left, first = prepared.outset.deviation
        int status = OK
    if not squared(prepared):
        first = prepared.size
        status = prepared.losses.size(&fit, &level.fitted, prepared.least, &size)
    most[0] = size < SIGNAL_PERCENT / 100.0 * first
    return status


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
            status = set_out(&inner, n_threads)
    if status == OK:
        status = make_room(&inner, n_threads, &room)
        if status == OK:
            set_params(&params)
            params.constant_rate = constant_rate
            settle(&inner, &params)
            before = errors
            after = errors + held.n_cells
            while status == OK and stage < MOST_STAGES:
                status = train_stage(&inner, &room, &params, stage, n_threads, cancel, NULL, NULL,
                                     &level)
                if status == OK:
                    status = end_stage(&inner, &room, stage, n_threads, &level)
                if status != OK:
                    break
                prepared.biases_of.errors(held, &inner.loss, room.x_line, room.y_line, inner.width,
                                          room.rows, room.cols, level.now, after)
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
        bint most = False
    while True:
        status = train_stage(prepared, room, params, stage, n_threads, cancel, progress, user,
                             &level)
        if status == OK and prepared.leveled:
            status = end_stage(prepared, room, stage, n_threads, &level)
        if status == OK and stages[0] == 0:
            stages[0] = 1
            status = explains_most(prepared, room, &level, n_threads, &most)
            if status == OK and most:
                status = search(prepared, params.constant_rate, n_threads, cancel, stages)
        if status != OK:
            result.offset = prepared.plan.offset + level.now
            return status
        stage += 1
        if stage >= stages[0]:
            status = conclude(prepared, room, &level, stage, result)
            if (status == OK and doubtful and not losses_now(prepared, room, level.now)
                    <= 4 * usual_losses(prepared)):
                status = DIVERGED
            return status
