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
from libc.math cimport fabs, sqrt
from libc.stdint cimport int64_t
from libc.stdlib cimport qsort
from libc.string cimport memset
from cpython.pycapsule cimport PyCapsule_GetPointer
from funkc._core.float_state cimport funkc_float_begin, funkc_float_end
from funkc._core.lanes cimport dots
from funkc._core.loss cimport (
    LOGISTIC_LOSS, POISSON_LOSS, Pulled, least_cost, prediction_of, pull_many, pulled, score_of,
)
from funkc._core.types cimport (
    Fitted, Loss, Plan, Run, col_band_of, position, real_t, row_band_of,
)


cdef enum:
    MOST_TURNS = 20
    REFIT_TURNS = 3
    BATCH = 64                  # enough to keep the processor busy
    LARGEST_SAMPLE = 16384
    LARGEST_STEP = 2            # of a score whose prediction is an exponential


cdef struct Sums:               # of a block's entries, each by weight
    double pulls
    double weights
    double squares              # of pulls
    double curvature
    double scores
    double costs
    double entries
    double products             # of biases
    double both                 # of those and pulls


cdef struct Newton:             # one fit; all arrays are in the order of training
    const Plan *plan
    const void *x               # or NULL: of the values alone
    const void *y
    Py_ssize_t width
    Loss loss
    bint alone                  # a level without biases
    int n_threads
    double level
    bint held                   # whether it was given
    double *rows
    double *cols
    double *row_pulls
    double *row_weights
    double *row_variances
    double *col_pulls
    double *col_weights
    double *col_variances
    Sums *blocks                # (n_blocks)
    double scale                # of scores
    double *sample              # (as many entries, LARGEST_SAMPLE at most)
    double dispersion
    double of_rows              # variances of the biases
    double of_cols
    double uncertain            # of the latest estimates


# Entries that are worked on together.
cdef struct Batch:
    int n
    int64_t[BATCH] row
    int64_t[BATCH] col
    double[BATCH] value
    double[BATCH] score
    double[BATCH] weight
    double[BATCH] pull
    double[BATCH] cost
    Pulled[BATCH] answer


cdef void add_batch(const Newton *n, bint to_rows, bint costs, Batch *batch, double *pulls,
                    double *weights, Sums *sums) noexcept nogil:
    cdef:
        int c
        int64_t at
        double w, u
        const Pulled *one
    for c in range(batch.n, (batch.n + 7) // 8 * 8):
        batch.value[c] = batch.score[c] = 0
    pull_many(&n.loss, costs, (batch.n + 7) // 8 * 8, batch.value, batch.score, batch.pull,
              batch.cost, batch.answer)
    for c in range(batch.n):
        one = batch.answer + c
        w = batch.weight[c]
        u = n.rows[batch.row[c]] * n.cols[batch.col[c]]
        at = batch.row[c] if to_rows else batch.col[c]
        pulls[at] += w * one.pull
        weights[at] += w * one.weight
        sums.pulls += w * one.pull
        sums.weights += w * one.weight
        sums.squares += w * one.pull * one.pull
        sums.curvature += w * one.curvature
        sums.scores += w * batch.score[c]
        sums.costs += w * one.cost
        sums.entries += w
        sums.products += w * u
        sums.both += w * one.pull * u
    batch.n = 0


cdef Sums add_pulls(const Newton *n, int64_t block, bint to_rows, bint costs, double *pulls,
                    double *weights, const real_t *x, const real_t *y) noexcept nogil:
    """Adds the pulls of a block's entries, and their weights, to the sums of rows or columns."""
    cdef:
        const Plan *plan = n.plan
        int64_t row0 = plan.row_cuts[row_band_of(plan, block)]
        int64_t col0 = plan.col_cuts[col_band_of(plan, block)]
        int64_t cell = plan.first_cell[block], i, j, r, left
        const Run *run
        const real_t *values = <const real_t *>plan.values
        const real_t *by = <const real_t *>plan.weights
        const real_t *column[8]
        real_t[8] dot
        int g, count, c
        Batch batch
        Sums sums
    memset(&sums, 0, sizeof(Sums))
    batch.n = 0
    for r in range(plan.first_run[block], plan.first_run[block + 1]):
        run = plan.runs + r
        i = row0 + run.row
        j = col0 + (<int64_t>run.page << 16)
        left = <int64_t>run.length_less_1 + 1
        while left > 0:
            count = <int>min(<int64_t>8, left)
            if batch.n + count > BATCH:
                add_batch(n, to_rows, costs, &batch, pulls, weights, &sums)
            if x != NULL:
                for g in range(count):
                    column[g] = y + (j + plan.cols[cell + g]) * n.width
                dots(x + i * n.width, column, count, n.width, dot)
            for g in range(count):
                c = batch.n + g
                batch.row[c] = i
                batch.col[c] = j + plan.cols[cell + g]
                batch.score[c] = n.level + n.rows[i] + n.cols[batch.col[c]]
                if x != NULL:
                    batch.score[c] += <double>dot[g]
                batch.value[c] = values[plan.codes[cell + g] if plan.codes != NULL else cell + g]
                batch.weight[c] = by[cell + g] if by != NULL else 1.0
            batch.n += count
            cell += count
            left -= count
    add_batch(n, to_rows, costs, &batch, pulls, weights, &sums)
    return sums


cdef void pass_block(const Newton *n, int64_t block, bint to_rows, bint costs) noexcept nogil:
    cdef:
        double *pulls = n.row_pulls if to_rows else n.col_pulls
        double *weights = n.row_weights if to_rows else n.col_weights
        unsigned long long state = funkc_float_begin()
    if n.plan.real_size == 4:
        n.blocks[block] = add_pulls(n, block, to_rows, costs, pulls, weights,
                                    <const float *>n.x, <const float *>n.y)
    else:
        n.blocks[block] = add_pulls(n, block, to_rows, costs, pulls, weights,
                                    <const double *>n.x, <const double *>n.y)
    funkc_float_end(state)


cdef Sums pass_all(const Newton *n, bint to_rows, bint costs) noexcept nogil:
    """Over all blocks: in a wave none shares a row or a column with another.  What entries cost is
    added up if it is asked for."""
    cdef:
        const Plan *plan = n.plan
        int64_t wave, band, block
        int workers = <int>min(<int64_t>min(<int64_t>n.n_threads, plan.n_bands),
                               1 + plan.n_cells // 4096)
        Sums sums
        const Sums *part
    memset(n.row_pulls if to_rows else n.col_pulls, 0,
           (plan.n_rows if to_rows else plan.n_cols) * sizeof(double))
    memset(n.row_weights if to_rows else n.col_weights, 0,
           (plan.n_rows if to_rows else plan.n_cols) * sizeof(double))
    for wave in range(plan.n_waves):
        for band in prange(plan.n_bands, num_threads=workers, schedule="static"):
            pass_block(n, wave * plan.n_bands + band, to_rows, costs)
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

cdef int in_order(const void *a, const void *b) noexcept nogil:
    cdef double one = (<const double *>a)[0], other = (<const double *>b)[0]
    return (one > other) - (one < other)


cdef double middle_of(double *numbers, int64_t n) noexcept nogil:
    """The median; puts them in order."""
    qsort(numbers, n, sizeof(double), in_order)
    return (numbers[(n - 1) // 2] + numbers[n // 2]) / 2


cdef int64_t sample_errors(const Newton *n, const real_t *x, const real_t *y, double *out,
                           int64_t most) noexcept nogil:
    """Errors of entries at equal steps of the order of training; their number."""
    cdef:
        const Plan *plan = n.plan
        int64_t step = (plan.n_cells + most - 1) // most, block, cell, c, i, j, r, found = 0
        const Run *run
        const real_t *values = <const real_t *>plan.values
        const real_t *column[1]
        real_t[8] dot
        double score
    for block in range(plan.n_blocks):
        cell = plan.first_cell[block]
        for r in range(plan.first_run[block], plan.first_run[block + 1]):
            run = plan.runs + r
            i = plan.row_cuts[row_band_of(plan, block)] + run.row
            c = (cell + step - 1) // step * step
            while c < cell + run.length_less_1 + 1:
                j = (plan.col_cuts[col_band_of(plan, block)] + (<int64_t>run.page << 16)
                     + plan.cols[c])
                score = n.level + n.rows[i] + n.cols[j]
                if x != NULL:
                    column[0] = y + j * n.width
                    dots(x + i * n.width, column, 1, n.width, dot)
                    score = score + <double>dot[0]
                out[found] = values[plan.codes[c] if plan.codes != NULL else c] - score
                found += 1
                c += step
            cell += run.length_less_1 + 1
    return found


cdef int64_t take_sample(const Newton *n) noexcept nogil:
    cdef int64_t most = min(n.plan.n_cells, <int64_t>LARGEST_SAMPLE)
    if n.plan.real_size == 4:
        return sample_errors(n, <const float *>n.x, <const float *>n.y, n.sample, most)
    return sample_errors(n, <const double *>n.x, <const double *>n.y, n.sample, most)


cdef double spread_of(const Newton *n) noexcept nogil:
    """1.4826 times the median size of errors around their median: what is the standard deviation
    of normal ones.  Of few levels, a quarter of the range of the inner four fifths.  0: all of
    those are equal."""
    cdef:
        int64_t i, found
        double middle, low, high, spread
        unsigned long long state = funkc_float_begin()
    found = take_sample(n)
    middle = middle_of(n.sample, found)
    low = n.sample[(found - 1) // 10]
    high = n.sample[found - 1 - (found - 1) // 10]
    for i in range(found):
        n.sample[i] = fabs(n.sample[i] - middle)
    spread = 1.4826 * middle_of(n.sample, found)
    funkc_float_end(state)
    return spread if spread > 0 else (high - low) / 2.56


# ---------------------------------------------------------------- by empirical Bayes

cdef void begin_fit(Newton *n, double held) noexcept nogil:
    """From the mean, or with factors from where biases are."""
    cdef:
        const Plan *plan = n.plan
        double mean = plan.mean, least = 0.5 / (<double>plan.n_cells + 1)
        unsigned long long state = funkc_float_begin()
        Sums sums
    n.held = held == held
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
    return not fabs(value / was - 1) < 1e-2


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


# ---------------------------------------------------------------- losses of all entries

cdef void costs_of(const Plan *plan, const Loss *loss, const real_t *x, const real_t *y,
                   Py_ssize_t width, const double *rows, const double *cols, double level,
                   double *out) noexcept nogil:
    cdef:
        int64_t block, cell, c, i, j, r
        const Run *run
        const real_t *values = <const real_t *>plan.values
        const real_t *weights = <const real_t *>plan.weights
        const real_t *column[1]
        real_t[8] dot
        double value, cost
    for block in range(plan.n_blocks):
        cell = plan.first_cell[block]
        for r in range(plan.first_run[block], plan.first_run[block + 1]):
            run = plan.runs + r
            i = plan.row_cuts[row_band_of(plan, block)] + run.row
            for c in range(cell, cell + run.length_less_1 + 1):
                j = (plan.col_cuts[col_band_of(plan, block)] + (<int64_t>run.page << 16)
                     + plan.cols[c])
                column[0] = y + j * width
                dots(x + i * width, column, 1, width, dot)
                value = values[plan.codes[c] if plan.codes != NULL else c]
                cost = pulled(loss, value, level + rows[i] + cols[j] + <double>dot[0]).cost
                cost = max(cost + least_cost(loss.kind, value), 0.0)
                out[c] = sqrt(cost if weights == NULL else cost * weights[c])
            cell += run.length_less_1 + 1


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


# ---------------------------------------------------------------- Python's doors

most_turns, refit_turns = MOST_TURNS, REFIT_TURNS


def room(plan):
    """How many doubles `Work` needs."""
    cdef const Plan *p = <const Plan *>PyCapsule_GetPointer(plan, "funkc.plan")
    return (3 * (p.n_rows + p.n_cols) + p.n_blocks * <int64_t>(sizeof(Sums) // sizeof(double))
            + min(p.n_cells, <int64_t>LARGEST_SAMPLE))


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
        cdef const Plan *p = <const Plan *>PyCapsule_GetPointer(plan, "funkc.plan")
        cdef double *at = &room[0]
        self.plan, self.rows, self.cols, self.room = plan, rows, cols, room
        self.n.plan = p
        self.n.x = self.n.y = NULL
        self.n.loss.kind, self.n.loss.delta = loss, delta
        self.n.alone, self.n.n_threads = alone, n_threads
        self.n.level = 0
        self.n.scale = 1
        self.n.rows, self.n.cols = &rows[0], &cols[0]
        self.n.row_pulls, self.n.row_weights = at, at + p.n_rows
        self.n.row_variances = at + 2 * p.n_rows
        at += 3 * p.n_rows
        self.n.col_pulls, self.n.col_weights = at, at + p.n_cols
        self.n.col_variances = at + 2 * p.n_cols
        at += 3 * p.n_cols
        self.n.blocks = <Sums *>at
        self.n.sample = at + p.n_blocks * <int64_t>(sizeof(Sums) // sizeof(double))

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
        cdef double found
        with nogil:
            found = spread_of(&self.n)
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
        self.n.held = held == held
        if self.n.held:
            self.n.level = held
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
        cdef:
            Sums sums
            unsigned long long state
        with nogil:
            state = funkc_float_begin()
            settle(&self.n)
            sums = pass_all(&self.n, True, True)
            conclude(&self.n, &sums, &self.found)
            funkc_float_end(state)


def errors(plan, const real_t[:, ::1] x, const real_t[:, ::1] y, const double[::1] rows,
           const double[::1] cols, double level, int loss, double delta, double[::1] out):
    """The roots of the losses of all entries of a plan, times those of their weights, in its
    order."""
    cdef:
        const Plan *p = <const Plan *>PyCapsule_GetPointer(plan, "funkc.plan")
        Loss by
        unsigned long long state
    by.kind, by.delta = loss, delta
    with nogil:
        state = funkc_float_begin()
        costs_of(p, &by, &x[0, 0], &y[0, 0], x.shape[1], &rows[0], &cols[0], level, &out[0])
        funkc_float_end(state)


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


def least(plan, int loss):
    """The sum of what the best scores cost, by weight, where the engine leaves it out."""
    cdef:
        const Plan *p = <const Plan *>PyCapsule_GetPointer(plan, "funkc.plan")
        double total
        unsigned long long state
    with nogil:
        state = funkc_float_begin()
        total = add_least[float](p, loss, 0) if p.real_size == 4 else add_least[double](p, loss, 0)
        funkc_float_end(state)
    return total


def working(int loss, double delta, const double[::1] values, const double[::1] scores,
            double[::1] targets, double[::1] weights):
    """Scores and weights whose weighted least squares are a step of Newton's.  Where it would
    carry a score too far the weight grows, so that the slope stays what it is."""
    cdef:
        Py_ssize_t i
        Loss by
        Pulled one
        unsigned long long state
    by.kind, by.delta = loss, delta
    with nogil:
        state = funkc_float_begin()
        for i in range(values.shape[0]):
            one = pulled(&by, values[i], scores[i])
            weights[i] = one.weight
            if loss in (LOGISTIC_LOSS, POISSON_LOSS):
                weights[i] = max(one.weight, max(fabs(one.pull) / LARGEST_STEP, 1e-9))
            targets[i] = scores[i] + one.pull / weights[i]
        funkc_float_end(state)


def first_misfit(plan, int loss):
    """The caller's row and column, and the value, of the first entry in the order of training that
    the loss refuses; or None."""
    cdef:
        const Plan *p = <const Plan *>PyCapsule_GetPointer(plan, "funkc.plan")
        int64_t block, r, c, row, col, i = 0, j = 0, cell = 0
        double value
        const Run *run
    if loss not in (LOGISTIC_LOSS, POISSON_LOSS):
        return None
    for block in range(p.n_blocks):
        for r in range(p.first_run[block], p.first_run[block + 1]):
            run = p.runs + r
            for c in range(cell, cell + run.length_less_1 + 1):
                value = value_of(p, c)
                if value < 0 or (loss == LOGISTIC_LOSS and value != 0 and value != 1):
                    row = p.row_cuts[row_band_of(p, block)] + run.row
                    col = (p.col_cuts[col_band_of(p, block)] + (<int64_t>run.page << 16)
                           + p.cols[c])
                    while position(p.row_cuts, p.row_places[i]) != row:
                        i += 1
                    while position(p.col_cuts, p.col_places[j]) != col:
                        j += 1
                    return i, j, value + p.offset
            cell += run.length_less_1 + 1
    return None


cdef double value_of(const Plan *plan, int64_t cell) noexcept nogil:
    cdef int64_t at = plan.codes[cell] if plan.codes != NULL else cell
    return (<float *>plan.values)[at] if plan.real_size == 4 else (<double *>plan.values)[at]
