"""Level and biases for losses other than the squared one, by Newton's steps and empirical Bayes.

Design
a. What biases.pyx finds in closed form takes a pass over the entries for every step here: of every
   row, and then of every column, the pulls and weights (loss.pxd) at the current scores are added
   up, and its bias moves by their ratio, drawn to 0 by its prior.  For absolute and Huber losses,
   weights are those of reweighted least squares, which never overshoot; for the others a step is
   bounded, as an exponential would carry it far away.
b. The dispersion, pulls squared by weight, takes the place of the noise's variance (1 where values
   are 0 or 1; counts spread more than a Poisson distribution says).
c. The order of sums is that of biases.pyx.
"""
cimport cython
from cython.parallel cimport prange
from libc.math cimport NAN, fabs, sqrt
from libc.stdint cimport int64_t
from libc.string cimport memset
from cpython.pycapsule cimport PyCapsule_GetPointer, PyCapsule_New
from funkc._core.float_state cimport funkc_float_begin, funkc_float_end
from funkc._core.loss cimport (
    ABSOLUTE_LOSS, BEND_PERCENT, HUBER_LOSS, LARGEST_STEP, LOGISTIC_LOSS, POISSON_LOSS,
    USUAL_DELTA_PERMILLE, funkc_logarithm, least_cost, loss_of_new_rows, prediction_of, pulled,
    score_of, usual_loss,
)
from funkc._core.machine cimport granted
from funkc._core.memory cimport give_back, obtain
from funkc._core.pulls cimport (
    Newton, Sums, add_codes, add_pulls, count_codes, middle_of, sample_errors,
)
from funkc._core.types cimport (
    NO_MEMORY, OK, Fit, Fitted, Loss, LossTable, Plan, col_band_of, position, real_t, row_band_of,
)


cdef extern from "nogil.h":
    pass


cdef enum:
    MOST_TURNS = 20
    REFIT_TURNS = 3
    LARGEST_SAMPLE = 16384


cdef void pass_block(const Newton *n, int64_t block, bint to_rows, bint all) noexcept nogil:
    cdef:
        double *pulls = n.row_pulls if to_rows else n.col_pulls
        double *weights = n.row_weights if to_rows else n.col_weights
        unsigned long long state = funkc_float_begin()
    if n.plan.real_size == 4:
        n.blocks[block] = add_pulls(n, block, to_rows, all, pulls, weights,
                                    <const float *>n.x, <const float *>n.y)
    else:
        n.blocks[block] = add_pulls(n, block, to_rows, all, pulls, weights,
                                    <const double *>n.x, <const double *>n.y)
    funkc_float_end(state)


cdef Sums pass_codes(const Newton *n, bint all) noexcept nogil:
    if n.plan.real_size == 4:
        return add_codes(n, all, <const float *>n.plan.values)
    return add_codes(n, all, <const double *>n.plan.values)


cdef Sums pass_all(const Newton *n, bint to_rows, bint all) noexcept nogil:
    """Over all blocks: in a wave none shares a row or a column with another."""
    cdef:
        const Plan *plan = n.plan
        int64_t wave, band, block
        int workers = <int>min(<int64_t>min(<int64_t>n.n_threads, plan.n_bands),
                               1 + plan.n_cells // 4096)
        Sums sums
        const Sums *part
    if n.alone and n.x == NULL and plan.codes != NULL:
        return pass_codes(n, all)
    memset(n.row_pulls if to_rows else n.col_pulls, 0,
           (plan.n_rows if to_rows else plan.n_cols) * sizeof(double))
    memset(n.row_weights if to_rows else n.col_weights, 0,
           (plan.n_rows if to_rows else plan.n_cols) * sizeof(double))
    for wave in range(plan.n_waves):
        for band in prange(plan.n_bands, num_threads=granted(workers), schedule="static"):
            pass_block(n, wave * plan.n_bands + band, to_rows, all)
    memset(&sums, 0, sizeof(Sums))
    for block in range(plan.n_blocks):
        part = n.blocks + block
        sums.pulls += part.pulls
        sums.weights += part.weights
        sums.squares += part.squares
        sums.curvature += part.curvature
        sums.scores += part.scores
        sums.costs += part.costs
        sums.entries += part.entries
        sums.products += part.products
        sums.both += part.both
    return sums


cdef double bounded(const Newton *n, double step) noexcept nogil:
    if n.loss.kind in (LOGISTIC_LOSS, POISSON_LOSS):
        return min(max(step, -<double>LARGEST_STEP), <double>LARGEST_STEP)
    return step


cdef double move_level(Newton *n, const Sums *sums) noexcept nogil:
    """By how much it moved."""
    cdef double step = 0.0
    if not n.held and sums.weights > 0:
        step = bounded(n, sums.pulls / sums.weights)
    n.level += step
    return step


cdef void move_side(const Newton *n, int64_t size, const double *pulls, const double *weights,
                    double moved, double ridge, const double *towards,
                    double *bias) noexcept nogil:
    """What has no entries stays, unless it is drawn to 0."""
    cdef:
        int64_t i
        double goal
    for i in range(size):
        goal = towards[i] if towards != NULL else 0.0
        if weights[i] > 0:
            bias[i] += bounded(n, (pulls[i] - weights[i] * moved - ridge * (bias[i] - goal))
                               / (weights[i] + ridge))


# ---------------------------------------------------------------- how wide robust errors spread

cdef int64_t take_sample(const Newton *n) noexcept nogil:
    cdef int64_t most = min(n.plan.n_cells, <int64_t>LARGEST_SAMPLE)
    if n.plan.real_size == 4:
        return sample_errors(n, <const float *>n.x, <const float *>n.y, n.sample, most)
    return sample_errors(n, <const double *>n.x, <const double *>n.y, n.sample, most)


cdef double spread_of(const Newton *n, double *middle) noexcept nogil:
    """1.4826 times the median size of errors around their median: what is the standard deviation
    of normal ones.  Of few levels, a quarter of the range of the inner four fifths.  0: all of
    those are equal."""
    cdef:
        int64_t i, found
        double low, high, spread
        unsigned long long state = funkc_float_begin()
    found = take_sample(n)
    middle[0] = middle_of(n.sample, found)
    low = n.sample[(found - 1) // 10]
    high = n.sample[found - 1 - (found - 1) // 10]
    for i in range(found):
        n.sample[i] = fabs(n.sample[i] - middle[0])
    spread = 1.4826 * middle_of(n.sample, found)
    if not spread > 0:
        spread = (high - low) / 2.56
    funkc_float_end(state)
    return spread


# ---------------------------------------------------------------- by empirical Bayes

cdef void begin_fit(Newton *n, double held) noexcept nogil:
    """From the mean, or with factors from where biases are."""
    cdef:
        const Plan *plan = n.plan
        double mean = plan.mean, least = 0.5 / (<double>plan.n_cells + 1)
        unsigned long long state = funkc_float_begin()
        Sums sums
    n.held = held == held
    if n.alone and n.x == NULL and plan.codes != NULL:
        if plan.real_size == 4:
            count_codes(plan, <const float *>plan.weights, n.counts)
        else:
            count_codes(plan, <const double *>plan.weights, n.counts)
    if n.x == NULL:
        memset(n.rows, 0, plan.n_rows * sizeof(double))
        memset(n.cols, 0, plan.n_cols * sizeof(double))
        if n.loss.kind == LOGISTIC_LOSS:
            mean = min(max(mean, least), 1 - least)
        elif n.loss.kind == POISSON_LOSS:
            mean = max(mean, least)
        else:
            # The mean may be wild, and biases would make up for it.
            n.level = 0
            mean = middle_of(n.sample, take_sample(n))
        n.level = held if n.held else score_of(n.loss.kind, mean)
    elif n.held:
        n.level = held
    sums = pass_all(n, True, False)
    n.uncertain = 0
    n.dispersion = dispersion_of(n, &sums)
    n.of_rows = n.of_cols = 0.15 * n.dispersion * sums.entries / max(sums.weights, 1e-300)
    funkc_float_end(state)


cdef double dispersion_of(const Newton *n, const Sums *sums) noexcept nogil:
    if n.loss.kind == LOGISTIC_LOSS:
        return 1.0
    return max(sums.squares / max(sums.weights, 1e-300) + n.uncertain / sums.entries, 1e-300)


cdef double variance_of(double dispersion, double *variance, const double *bias,
                        const double *weights, double *variances, int64_t size) noexcept nogil:
    """Sets it to the mean of squares and variances over what has entries; returns the sum of
    variances, by weight."""
    cdef:
        double total = 0, uncertain = 0
        int64_t i, seen = 0
    for i in range(size):
        variances[i] = 1 / (1 / variance[0] + weights[i] / dispersion)
        if weights[i] > 0:
            total += bias[i] * bias[i] + variances[i]
            uncertain += weights[i] * variances[i]
            seen += 1
    variance[0] = max(total / <double>max(seen, <int64_t>1), 1e-300)
    return uncertain


cdef bint differs(double was, double value) noexcept nogil:
    return not fabs(value / was - 1) < 5e-2


cdef bint turn_fit(Newton *n) noexcept nogil:
    """Columns, level, rows and variances once more; whether another turn is worth it."""
    cdef:
        const Plan *plan = n.plan
        double rows = n.of_rows, cols = n.of_cols, dispersion = n.dispersion, moved, uncertain
        unsigned long long state = funkc_float_begin()
        bint more
        Sums sums
    if not n.alone:
        pass_all(n, False, False)
        move_side(n, plan.n_cols, n.col_pulls, n.col_weights, 0.0, n.dispersion / n.of_cols, NULL,
                  n.cols)
    sums = pass_all(n, True, False)
    moved = move_level(n, &sums)
    more = n.alone and (
        fabs(moved) > 1e-3 * sqrt(dispersion * sums.entries / max(sums.weights, 1e-300)))
    if not n.alone:
        move_side(n, plan.n_rows, n.row_pulls, n.row_weights, moved, n.dispersion / n.of_rows, NULL,
                  n.rows)
        uncertain = variance_of(dispersion, &n.of_rows, n.rows, n.row_weights, n.row_variances,
                                plan.n_rows)
        uncertain += variance_of(dispersion, &n.of_cols, n.cols, n.col_weights, n.col_variances,
                                 plan.n_cols)
        more |= differs(rows, n.of_rows) or differs(cols, n.of_cols)
        n.uncertain = uncertain
        n.dispersion = dispersion_of(n, &sums)
        more |= differs(dispersion, n.dispersion)
    funkc_float_end(state)
    return more


cdef void end_fit(Newton *n, Fitted *fitted) noexcept nogil:
    cdef:
        unsigned long long state = funkc_float_begin()
        Sums sums
    settle(n)
    sums = pass_all(n, True, True)
    fitted.row_ridge = n.dispersion / n.of_rows
    fitted.col_ridge = n.dispersion / n.of_cols
    fitted.sign = -1.0 if sums.both - sums.pulls * sums.products / sums.entries > 0 else 1.0
    conclude(n, &sums, fitted)
    funkc_float_end(state)


cdef void settle(Newton *n) noexcept nogil:
    """Biases become numbers of the factors' precision."""
    cdef int64_t i
    if n.plan.real_size == 4:
        for i in range(n.plan.n_rows):
            n.rows[i] = <double><float>n.rows[i]
        for i in range(n.plan.n_cols):
            n.cols[i] = <double><float>n.cols[i]


cdef void conclude(const Newton *n, const Sums *sums, Fitted *fitted) noexcept nogil:
    cdef int64_t i
    fitted.level = n.level
    # Of few entries none may lie where a robust loss bends.
    fitted.curvature = max(sums.curvature, 0.1 * sums.weights) / sums.entries
    if n.loss.kind == POISSON_LOSS:     # the typical one: a step of a large count is bounded
        fitted.curvature = max(prediction_of[double](POISSON_LOSS, sums.scores / sums.entries),
                               0.1 * sums.curvature / sums.entries)
        fitted.left = sqrt(sums.squares / sums.weights / fitted.curvature)
    else:
        fitted.left = sqrt(sums.squares / sums.entries) / fitted.curvature
    fitted.deviation = n.scale
    fitted.cost = sums.costs / sums.entries
    fitted.dispersion = 1.0
    if n.loss.kind != LOGISTIC_LOSS:
        fitted.dispersion = sums.squares / max(sums.weights, 1e-300)
    fitted.rows_seen = fitted.cols_seen = 0
    for i in range(n.plan.n_rows):
        fitted.rows_seen += n.row_weights[i] > 0
    for i in range(n.plan.n_cols):
        fitted.cols_seen += n.col_weights[i] > 0
    if n.alone:
        fitted.rows_seen = fitted.cols_seen = 0


# ---------------------------------------------------------------- beside factors, by given ridges

cdef void begin_refit(Newton *n, double held) noexcept nogil:
    n.held = held == held
    if n.held:
        n.level = held


cdef void turn_refit(Newton *n, double row_ridge, double col_ridge, const double *row_goals,
                     const double *col_goals) noexcept nogil:
    """Columns, level and rows by turns."""
    cdef:
        const Plan *plan = n.plan
        double moved
        unsigned long long state = funkc_float_begin()
        Sums sums
    if not n.alone:
        pass_all(n, False, False)
        move_side(n, plan.n_cols, n.col_pulls, n.col_weights, 0.0, col_ridge, col_goals, n.cols)
    sums = pass_all(n, True, False)
    moved = move_level(n, &sums)
    if not n.alone:
        move_side(n, plan.n_rows, n.row_pulls, n.row_weights, moved, row_ridge, row_goals, n.rows)
    funkc_float_end(state)


cdef void end_refit(Newton *n, Fitted *fitted) noexcept nogil:
    cdef:
        unsigned long long state = funkc_float_begin()
        Sums sums
    settle(n)
    sums = pass_all(n, True, True)
    conclude(n, &sums, fitted)
    funkc_float_end(state)


# ---------------------------------------------------------------- all entries

cdef double value_of(const Plan *plan, int64_t cell) noexcept nogil:
    cdef int64_t at = plan.codes[cell] if plan.codes != NULL else cell
    return (<float *>plan.values)[at] if plan.real_size == 4 else (<double *>plan.values)[at]


cdef bint takes(int loss, double value) noexcept nogil:
    if loss == LOGISTIC_LOSS:
        return value == 0 or value == 1
    return loss != POISSON_LOSS or value >= 0


cdef int64_t misfit_of(const Plan *plan, int loss) noexcept nogil:
    """The first entry in the order of training that the loss refuses, or -1."""
    cdef int64_t c
    if loss in (LOGISTIC_LOSS, POISSON_LOSS):
        for c in range(plan.n_cells):
            if not takes(loss, value_of(plan, c)):
                return c
    return -1


cdef double add_least(const Plan *plan, int loss, real_t _) noexcept nogil:
    cdef:
        int64_t c
        double total = 0, w
        const real_t *values = <const real_t *>plan.values
        const real_t *weights = <const real_t *>plan.weights
    if loss == POISSON_LOSS:
        for c in range(plan.n_cells):
            w = weights[c] if weights != NULL else 1.0
            total += w * least_cost(loss, values[plan.codes[c] if plan.codes != NULL else c])
    return total


# ---------------------------------------------------------------- other extensions' door

cdef int64_t room_for(const Plan *plan) noexcept nogil:
    """Numbers that a fit works in."""
    return (3 * (plan.n_rows + plan.n_cols)
            + plan.n_blocks * <int64_t>(sizeof(Sums) // sizeof(double))
            + min(plan.n_cells, <int64_t>LARGEST_SAMPLE))


cdef Newton newton_in(const Fit *fit, double *room) noexcept nogil:
    cdef:
        const Plan *plan = fit.plan
        Newton n
    n.plan = plan
    n.x = fit.x
    n.y = fit.y
    n.width = fit.width
    n.loss = fit.loss
    n.alone = fit.alone
    n.n_threads = fit.n_threads
    n.level = fit.level
    n.scale = fit.scale if fit.loss.kind in (ABSOLUTE_LOSS, HUBER_LOSS) else 1.0
    n.rows = fit.rows
    n.cols = fit.cols
    n.row_pulls = room
    n.row_weights = room + plan.n_rows
    n.row_variances = room + 2 * plan.n_rows
    room += 3 * plan.n_rows
    n.col_pulls = room
    n.col_weights = room + plan.n_cols
    n.col_variances = room + 2 * plan.n_cols
    room += 3 * plan.n_cols
    n.blocks = <Sums *>room
    n.sample = room + plan.n_blocks * <int64_t>(sizeof(Sums) // sizeof(double))
    return n


cdef void fit_turns(Newton *n, double held, Fitted *fitted) noexcept nogil:
    cdef int _
    begin_fit(n, held)
    for _ in range(MOST_TURNS):
        if not turn_fit(n):
            break
    end_fit(n, fitted)


cdef int fit_all(const Fit *fit, Fitted *fitted) noexcept nogil:
    cdef:
        double *room = <double *>obtain(fit.plan.memory, room_for(fit.plan), sizeof(double))
        Newton n
    if room == NULL:
        return NO_MEMORY
    n = newton_in(fit, room)
    fit_turns(&n, fit.held, fitted)
    give_back(fit.plan.memory, room)
    return OK


cdef int refit_all(const Fit *fit, Fitted *fitted) noexcept nogil:
    """By the ridges in `fitted`."""
    cdef:
        double *room = <double *>obtain(fit.plan.memory, room_for(fit.plan), sizeof(double))
        int _
        Newton n
    if room == NULL:
        return NO_MEMORY
    n = newton_in(fit, room)
    begin_refit(&n, fit.held)
    for _ in range(REFIT_TURNS):
        turn_refit(&n, fitted.row_ridge, fitted.col_ridge, NULL, NULL)
    end_refit(&n, fitted)
    give_back(fit.plan.memory, room)
    return OK


cdef double scale_of(const Plan *plan, int loss) noexcept nogil:
    """Against which what is tiny is rounding: a score, or what a count costs."""
    cdef:
        double scale = 1
        unsigned long long state = funkc_float_begin()
    if loss == POISSON_LOSS:
        scale += plan.mean * (1 + funkc_logarithm(1 + plan.mean))
    funkc_float_end(state)
    return scale


cdef int settle_all(Fit *fit) noexcept nogil:
    """As Biases.settle_loss does it in Python."""
    cdef:
        double *room
        double middle, spread
        Fitted fitted
        Newton n
    fit.scale = scale_of(fit.plan, fit.loss.kind)
    if fit.loss.kind not in (ABSOLUTE_LOSS, HUBER_LOSS):
        return OK
    room = <double *>obtain(fit.plan.memory, room_for(fit.plan), sizeof(double))
    if room == NULL:
        return NO_MEMORY
    n = newton_in(fit, room)
    n.rows = n.cols = NULL              # of the values
    spread = spread_of(&n, &middle)
    fit.scale = n.scale = spread if spread > 0 else fit.plan.deviation
    n.rows = fit.rows
    n.cols = fit.cols
    n.loss.kind = ABSOLUTE_LOSS
    n.loss.delta = BEND_PERCENT / 100.0 * fit.scale
    if fit.loss.kind == ABSOLUTE_LOSS:
        fit.loss.delta = n.loss.delta
    elif not fit.loss.delta > 0:
        fit_turns(&n, NAN, &fitted)
        fit.loss.delta = max(USUAL_DELTA_PERMILLE / 1000.0 * spread_of(&n, &middle),
                             1.9073486328125e-06 * fit.scale)
    give_back(fit.plan.memory, room)
    return OK


cdef int size_all(const Fit *fit, const Fitted *fitted, double least,
                  double *size) noexcept nogil:
    cdef:
        double *room
        double middle
        Newton n
    if fit.loss.kind not in (ABSOLUTE_LOSS, HUBER_LOSS):
        size[0] = sqrt(max(fitted.cost + least / <double>fit.plan.n_cells, 0.0))
        return OK
    room = <double *>obtain(fit.plan.memory, room_for(fit.plan), sizeof(double))
    if room == NULL:
        return NO_MEMORY
    n = newton_in(fit, room)
    n.level = fitted.level
    size[0] = spread_of(&n, &middle)
    give_back(fit.plan.memory, room)
    return OK


cdef int middle_all(const Plan *plan, double *median, double *spread) noexcept nogil:
    cdef Newton n
    memset(&n, 0, sizeof(Newton))
    n.plan = plan
    n.sample = <double *>obtain(plan.memory, LARGEST_SAMPLE, sizeof(double))
    if n.sample == NULL:
        return NO_MEMORY
    spread[0] = spread_of(&n, median)
    give_back(plan.memory, n.sample)
    return OK


cdef double least_of(const Plan *plan, int loss) noexcept nogil:
    """The sum of what the best scores cost, by weight, where the engine leaves it out."""
    cdef unsigned long long state = funkc_float_begin()
    cdef double total = (add_least[float](plan, loss, 0) if plan.real_size == 4
                         else add_least[double](plan, loss, 0))
    funkc_float_end(state)
    return total


cdef bint allows(const Plan *plan, int loss) noexcept nogil:
    return misfit_of(plan, loss) < 0


cdef LossTable table
table.fits.fit = fit_all
table.fits.refit = refit_all
table.takes = takes
table.allows = allows
table.middle = middle_all
table.settle = settle_all
table.size = size_all
table.least = least_of
loss_table = PyCapsule_New(&table, "funkc.losses", NULL)


# ---------------------------------------------------------------- Python's doors

most_turns, refit_turns = MOST_TURNS, REFIT_TURNS
bend, usual_delta = BEND_PERCENT / 100.0, USUAL_DELTA_PERMILLE / 1000.0


def delta_of_new_rows(int loss, double delta, double noise):
    """The bend of a loss where new rows are fitted; a noise of 0: unknown."""
    cdef:
        Loss by
        unsigned long long state = funkc_float_begin()
    by.kind, by.delta = loss, delta
    by = loss_of_new_rows(&by, noise)
    funkc_float_end(state)
    return by.delta


def room(plan):
    """How many doubles `Work` needs."""
    return room_for(<const Plan *>PyCapsule_GetPointer(plan, "funkc.plan"))


@cython.final
@cython.auto_pickle(False)
cdef class Work:
    """What `Work` of biases.pyx is, for another loss; `alone`: a level without biases.  `fitted`
    also has the mean loss, the mean curvature and the dispersion."""
    cdef:
        object plan
        double[::1] rows, cols, room
        Newton n
        Fitted found
        double[::1] row_goals, col_goals

    def __init__(self, plan, double[::1] rows, double[::1] cols, double[::1] room, int n_threads,
                 int loss, double delta, bint alone):
        cdef Fit fit
        memset(&fit, 0, sizeof(Fit))
        fit.plan = <const Plan *>PyCapsule_GetPointer(plan, "funkc.plan")
        fit.rows, fit.cols = &rows[0], &cols[0]
        fit.loss.kind, fit.loss.delta, fit.scale = loss, delta, 1
        fit.alone, fit.n_threads = alone, n_threads
        self.plan, self.rows, self.cols, self.room = plan, rows, cols, room
        self.n = newton_in(&fit, &room[0])

    @property
    def fitted(self):
        f = self.found
        return (f.level, f.deviation, f.left, f.row_ridge, f.col_ridge, f.sign, f.rows_seen,
                f.cols_seen, f.cost, f.curvature, f.dispersion)

    def set_loss(self, int loss, double delta):
        self.n.loss.kind, self.n.loss.delta = loss, delta

    def set_scale(self, double scale):
        """What is tiny against it is rounding."""
        self.n.scale = scale

    def set_level(self, double level):
        """Where a fit with factors begins."""
        self.n.level = level

    def spread(self):
        """The robust standard deviation of what level and biases (and factors) leave."""
        cdef double found, middle
        with nogil:
            found = spread_of(&self.n, &middle)
        return found

    def beside(self, const real_t[:, ::1] x, const real_t[:, ::1] y):
        """Of what products of these factors leave."""
        self.n.x, self.n.y, self.n.width = &x[0, 0], &y[0, 0], x.shape[1]

    def begin(self, double held):
        with nogil:
            begin_fit(&self.n, held)

    def turn(self):
        """Whether another one is worth it."""
        cdef bint more
        with nogil:
            more = turn_fit(&self.n)
        return more

    def end(self):
        with nogil:
            end_fit(&self.n, &self.found)

    def begin_again(self, double held, bint from_there):
        """With `from_there` biases are drawn to what they are."""
        begin_refit(&self.n, held)
        self.row_goals = self.col_goals = None
        if from_there:
            self.row_goals, self.col_goals = self.rows.copy(), self.cols.copy()

    def turn_again(self, double row_ridge, double col_ridge):
        cdef:
            const double *row_goals = NULL
            const double *col_goals = NULL
        if self.row_goals is not None:
            row_goals, col_goals = &self.row_goals[0], &self.col_goals[0]
        with nogil:
            turn_refit(&self.n, row_ridge, col_ridge, row_goals, col_goals)

    def end_again(self):
        with nogil:
            end_refit(&self.n, &self.found)


def predictions(int loss, real_t[::1] scores):
    """Replace scores by what they stand for."""
    cdef:
        Py_ssize_t i
        unsigned long long state
    with nogil:
        state = funkc_float_begin()
        for i in range(scores.shape[0]):
            scores[i] = prediction_of(loss, scores[i])
        funkc_float_end(state)


def score(int loss, double prediction):
    """The score that stands for a prediction."""
    cdef unsigned long long state = funkc_float_begin()
    cdef double found = score_of(loss, prediction)
    funkc_float_end(state)
    return found


def costs(int loss, double delta, const double[::1] values, const double[::1] scores,
          double[::1] out):
    """What each value costs at its score, above what the best score would."""
    cdef:
        Py_ssize_t i
        Loss by
        unsigned long long state
    by.kind, by.delta = loss, delta
    with nogil:
        state = funkc_float_begin()
        for i in range(values.shape[0]):
            out[i] = pulled(&by, values[i], scores[i]).cost + least_cost(loss, values[i])
        funkc_float_end(state)


def usual(int loss, double scale, double mean):
    """What entries cost on average, and no less than rounding would."""
    cdef unsigned long long state = funkc_float_begin()
    cdef double found = usual_loss(loss, scale, mean)
    funkc_float_end(state)
    return found


def least(plan, int loss):
    """The sum of what the best scores cost, by weight, where the engine leaves it out."""
    return least_of(<const Plan *>PyCapsule_GetPointer(plan, "funkc.plan"), loss)


def scale(plan, int loss):
    """Against which what is tiny is rounding; not of robust losses."""
    return scale_of(<const Plan *>PyCapsule_GetPointer(plan, "funkc.plan"), loss)


def middle(plan):
    """(status, the median of a plan's targets, their robust standard deviation, maybe 0)."""
    cdef:
        double median = 0, spread = 0
        const Plan *p = <const Plan *>PyCapsule_GetPointer(plan, "funkc.plan")
        int status = middle_all(p, &median, &spread)
    return status, median, spread


def first_misfit(plan, int loss):
    """The caller's row and column, and the value, of the first entry in the order of training that
    the loss refuses; or None."""
    cdef:
        const Plan *p = <const Plan *>PyCapsule_GetPointer(plan, "funkc.plan")
        int64_t block = 0, r = 0, c = misfit_of(p, loss), row, col, i = 0, j = 0, last = 0
    if c < 0:
        return None
    while p.first_cell[block + 1] <= c:
        block += 1
    last = p.first_cell[block]
    r = p.first_run[block]
    while last + p.runs[r].length_less_1 + 1 <= c:
        last += p.runs[r].length_less_1 + 1
        r += 1
    row = p.row_cuts[row_band_of(p, block)] + p.runs[r].row
    col = p.col_cuts[col_band_of(p, block)] + (<int64_t>p.runs[r].page << 16) + p.cols[c]
    while position(p.row_cuts, p.row_places[i]) != row:
        i += 1
    while position(p.col_cuts, p.col_places[j]) != col:
        j += 1
    return i, j, value_of(p, c) + p.offset
