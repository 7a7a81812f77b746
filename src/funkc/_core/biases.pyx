"""Level and biases of rows and columns in closed form, by empirical Bayes.

Design
a. A value is a level, a row's bias, a column's bias and what is left, each normal around 0 with
   its variance; biases and variances are estimated by turns (coordinate ascent of a
   mean-field posterior; empirical Bayes as in B. Efron & C. Morris, "Data analysis using Stein's
   estimator and its generalizations", 1975).  It costs a few passes over the entries and needs no
   unit, so the SGD is left with what rows and columns alone don't explain.
b. One pass (`add_targets`) takes sums of targets by row and by column; after it a turn reads
   indexes only, since sums over a row of (target - bias of column) are sums of targets less sums
   of biases.  The noise follows from the sums too.  The last pass looks at every error, because
   differences of sums can't tell a small error from none.
c. Sums of a row or a column are added up in double in the order in which it meets its blocks, as
   in the SGD, and what is summed over all by block, or along the rows: the threads leave no trace.
"""
cimport cython
from cython.parallel cimport prange
from libc.math cimport fabs, sqrt
from libc.stdint cimport int64_t, uint8_t
from libc.string cimport memcpy, memset
from cpython.pycapsule cimport PyCapsule_GetPointer, PyCapsule_New
from funkc._core.float_state cimport funkc_float_begin, funkc_float_end
from funkc._core.machine cimport granted
from funkc._core.memory cimport give_back, obtain, obtain_zeros
from funkc._core.sums cimport Moments, add_others, add_targets, errors_of, moments_of
from funkc._core.types cimport (
    NO_MEMORY, OK, BiasTable, Fit, Fitted, Loss, Plan, Run, col_band_of, real_t, row_band_of,
)


cdef extern from "nogil.h":
    pass


cdef enum:
    MOST_TURNS = 20
    REFIT_TURNS = 2


cdef struct Biases:             # of one fit; all arrays are in the order of training
    const Plan *plan
    const void *x               # or NULL: of the targets alone
    const void *y
    Py_ssize_t width
    int n_threads
    double level                # beside the plan's offset
    bint held                   # whether it was given
    double *rows
    double *cols
    double *row_sums            # of what the level leaves
    double *col_sums
    double *row_weights         # 0: no entry
    double *col_weights
    double *row_variances       # of the estimates
    double *col_variances
    double *others              # what rows met, or columns
    Moments *blocks             # (n_blocks)
    double weight               # of all entries
    double spread               # mean square of what the level leaves
    double moved                # what the turns added to the level
    double noise                # variances: of what is left,
    double of_rows              # and of the biases
    double of_cols


cdef enum Pass:
    TARGETS
    MOMENTS
    TO_ROWS
    TO_COLS


cdef void pass_block(const Biases *b, Pass which, int64_t block, const real_t *x,
                     const real_t *y) noexcept nogil:
    cdef unsigned long long state = funkc_float_begin()
    if which == TARGETS:
        b.blocks[block].squares = add_targets[real_t](
            b.plan, block, x, y, b.width, b.row_sums, b.col_sums, b.row_weights, b.col_weights)
    elif which == MOMENTS:
        b.blocks[block] = moments_of[real_t](b.plan, block, b.level, b.rows, b.cols, x, y,
                                             b.width)
    else:
        add_others(b.plan, block, which == TO_ROWS, b.cols if which == TO_ROWS else b.rows,
                   b.others)
    funkc_float_end(state)


cdef void pass_all(const Biases *b, Pass which) noexcept nogil:
    """Over all blocks: in a wave none shares a row or a column with another."""
    cdef:
        const Plan *plan = b.plan
        int64_t wave, band
        int workers = <int>min(<int64_t>min(<int64_t>b.n_threads, plan.n_bands),
                               1 + plan.n_cells // 16384)
    if which == TO_ROWS:
        clear(b.others, plan.n_rows)
    elif which == TO_COLS:
        clear(b.others, plan.n_cols)
    for wave in range(plan.n_waves):
        for band in prange(plan.n_bands, num_threads=granted(workers), schedule="static"):
            if plan.real_size == 4:
                pass_block[float](b, which, wave * plan.n_bands + band, <const float *>b.x,
                                  <const float *>b.y)
            else:
                pass_block[double](b, which, wave * plan.n_bands + band, <const double *>b.x,
                                   <const double *>b.y)


cdef void clear(double *a, int64_t n) noexcept nogil:
    memset(a, 0, n * sizeof(double))


cdef double add_up(const double *a, int64_t n) noexcept nogil:
    cdef double total = 0
    cdef int64_t i
    for i in range(n):
        total += a[i]
    return total


cdef Moments moments(const Biases *b) noexcept nogil:
    """Of all errors that there are now."""
    cdef:
        Moments total
        int64_t block
    pass_all(b, MOMENTS)
    total.squares = total.errors = total.products = total.both = 0
    for block in range(b.plan.n_blocks):
        total.squares += b.blocks[block].squares
        total.errors += b.blocks[block].errors
        total.products += b.blocks[block].products
        total.both += b.blocks[block].both
    return total


cdef void take_sums(Biases *b, double held) noexcept nogil:
    """The sums of what the level leaves; it is the mean, unless it is held."""
    cdef:
        const Plan *plan = b.plan
        double squares = 0
        int64_t i
    clear(b.row_sums, plan.n_rows)
    clear(b.col_sums, plan.n_cols)
    clear(b.row_weights, plan.n_rows)
    clear(b.col_weights, plan.n_cols)
    pass_all(b, TARGETS)
    for i in range(plan.n_blocks):
        squares += b.blocks[i].squares
    b.weight = add_up(b.row_weights, plan.n_rows)
    b.held = held == held
    b.level = held if b.held else add_up(b.row_sums, plan.n_rows) / b.weight
    b.spread = (squares - b.level * (2 * add_up(b.row_sums, plan.n_rows) - b.weight * b.level))
    b.spread = max(b.spread / b.weight, 0.0)
    if plan.constant and b.x == NULL and not b.held:
        b.spread = 0                    # but for rounding
    for i in range(plan.n_rows):
        b.row_sums[i] -= b.row_weights[i] * b.level
    for i in range(plan.n_cols):
        b.col_sums[i] -= b.col_weights[i] * b.level
    b.moved = 0


# ---------------------------------------------------------------- by empirical Bayes

cdef void begin_fit(Biases *b, double held) noexcept nogil:
    cdef unsigned long long state = funkc_float_begin()
    take_sums(b, held)
    clear(b.rows, b.plan.n_rows)
    clear(b.cols, b.plan.n_cols)
    b.noise = 0.7 * b.spread
    b.of_rows = b.of_cols = 0.15 * b.spread
    funkc_float_end(state)


cdef double update_side(const Biases *b, const double *sums, const double *weights, int64_t n,
                        double variance, double *bias, double *variances) noexcept nogil:
    """One side's biases given the other's; returns the sum of their variances, by weight."""
    cdef:
        int64_t i
        double total = 0
    for i in range(n):
        variances[i] = 1 / (1 / variance + weights[i] / b.noise)
        bias[i] = variances[i] / b.noise * (sums[i] - weights[i] * b.moved - b.others[i])
        total += weights[i] * variances[i]
    return total


cdef double variance_of(const double *bias, const double *variances, const double *weights,
                        int64_t n) noexcept nogil:
    """The mean of squares and variances over what has entries."""
    cdef:
        double total = 0
        int64_t i, seen = 0
    for i in range(n):
        if weights[i] > 0:
            total += bias[i] * bias[i] + variances[i]
            seen += 1
    return total / <double>seen


cdef bint moves(double *variance, double value) noexcept nogil:
    """Sets it; whether that changed it by a hundredth or more."""
    cdef bint more = not fabs(value / variance[0] - 1) < 1e-2
    variance[0] = value
    return more


cdef bint turn_fit(Biases *b) noexcept nogil:
    """Columns, rows, level and variances once more; whether another turn is worth it."""
    cdef:
        const Plan *plan = b.plan
        double least, squares, uncertain, sum, errors = 0
        int64_t i
        bint more
        unsigned long long state
    if not b.spread > 0:
        return False
    state = funkc_float_begin()
    least = 1e-9 * b.spread
    squares = b.weight * (b.spread + b.moved * b.moved)
    pass_all(b, TO_COLS)
    uncertain = update_side(b, b.col_sums, b.col_weights, plan.n_cols, b.of_cols, b.cols,
                            b.col_variances)
    # The squares of what the columns leave, and then the rows too, from the sums alone.
    for i in range(plan.n_cols):
        sum = b.col_sums[i] - b.col_weights[i] * b.moved
        squares += b.cols[i] * (b.col_weights[i] * b.cols[i] - 2 * sum)
    pass_all(b, TO_ROWS)
    uncertain += update_side(b, b.row_sums, b.row_weights, plan.n_rows, b.of_rows, b.rows,
                             b.row_variances)
    for i in range(plan.n_rows):
        sum = b.row_sums[i] - b.row_weights[i] * b.moved - b.others[i]
        squares += b.rows[i] * (b.row_weights[i] * b.rows[i] - 2 * sum)
        errors += sum - b.row_weights[i] * b.rows[i]
    if not b.held:
        squares -= errors * errors / b.weight
        b.moved += errors / b.weight
    more = moves(&b.noise, max((squares + uncertain) / b.weight, least))
    more |= moves(&b.of_rows, max(variance_of(b.rows, b.row_variances, b.row_weights,
                                              plan.n_rows), least))
    more |= moves(&b.of_cols, max(variance_of(b.cols, b.col_variances, b.col_weights,
                                              plan.n_cols), least))
    funkc_float_end(state)
    return more


cdef void end_fit(Biases *b, Fitted *fitted) noexcept nogil:
    cdef:
        Moments m
        unsigned long long state = funkc_float_begin()
    settle_level(b)
    m = moments(b)
    fitted.deviation = sqrt(b.spread)
    fitted.row_ridge = b.noise / b.of_rows if b.spread > 0 else 0.0
    fitted.col_ridge = b.noise / b.of_cols if b.spread > 0 else 0.0
    fitted.sign = -1.0 if m.both - m.errors * m.products / b.weight > 0 else 1.0
    conclude(b, &m, fitted)
    if not b.spread > 0:
        fitted.left = 0
    funkc_float_end(state)


cdef void settle_level(Biases *b) noexcept nogil:
    """What the turns moved becomes part of it, and biases numbers of the factors' precision."""
    b.level += b.moved
    if b.plan.real_size == 4:
        narrow(b.rows, b.plan.n_rows)
        narrow(b.cols, b.plan.n_cols)


cdef void narrow(double *bias, int64_t n) noexcept nogil:
    cdef int64_t i
    for i in range(n):
        bias[i] = <double><float>bias[i]


cdef void conclude(const Biases *b, const Moments *m, Fitted *fitted) noexcept nogil:
    fitted.level = b.level
    fitted.left = sqrt(m.squares / b.weight)
    fitted.cost = fitted.dispersion = fitted.left * fitted.left
    fitted.curvature = 1
    fitted.rows_seen = count_seen(b.row_weights, b.plan.n_rows)
    fitted.cols_seen = count_seen(b.col_weights, b.plan.n_cols)


cdef int64_t count_seen(const double *weights, int64_t n) noexcept nogil:
    cdef int64_t i, seen = 0
    for i in range(n):
        seen += weights[i] > 0
    return seen


# ---------------------------------------------------------------- beside factors, by given ridges

cdef void begin_refit(Biases *b, double held, bint from_there) noexcept nogil:
    """Biases that there are stay where a row or a column has no entry.  With `from_there` the
    others are drawn to what they are, not to 0."""
    cdef unsigned long long state = funkc_float_begin()
    take_sums(b, held)
    memcpy(b.row_variances, b.rows, b.plan.n_rows * sizeof(double))
    memcpy(b.col_variances, b.cols, b.plan.n_cols * sizeof(double))
    if not from_there:
        clear(b.row_variances, b.plan.n_rows)
        clear(b.col_variances, b.plan.n_cols)
    funkc_float_end(state)


cdef void solve_side(const Biases *b, const double *sums, const double *weights, int64_t n,
                     double ridge, const double *towards, double *bias) noexcept nogil:
    cdef int64_t i
    for i in range(n):
        if weights[i] > 0:
            bias[i] = ((sums[i] - weights[i] * b.moved - b.others[i] + ridge * towards[i])
                       / (weights[i] + ridge))


cdef void turn_refit(Biases *b, double row_ridge, double col_ridge) noexcept nogil:
    """Level, columns and rows by turns."""
    cdef:
        const Plan *plan = b.plan
        double total = 0
        int64_t i
        unsigned long long state = funkc_float_begin()
    pass_all(b, TO_ROWS)
    if not b.held:
        for i in range(plan.n_rows):
            total += b.row_sums[i] - b.others[i] - b.row_weights[i] * b.rows[i]
        b.moved = total / b.weight
    pass_all(b, TO_COLS)
    solve_side(b, b.col_sums, b.col_weights, plan.n_cols, col_ridge, b.col_variances, b.cols)
    pass_all(b, TO_ROWS)
    solve_side(b, b.row_sums, b.row_weights, plan.n_rows, row_ridge, b.row_variances, b.rows)
    funkc_float_end(state)


cdef void end_refit(Biases *b, Fitted *fitted) noexcept nogil:
    cdef:
        Moments m
        unsigned long long state = funkc_float_begin()
    settle_level(b)
    m = moments(b)
    conclude(b, &m, fitted)
    funkc_float_end(state)


# ---------------------------------------------------------------- whether more training gains

cdef void errors_all(const Plan *plan, const Loss *loss, const void *x, const void *y,
                     Py_ssize_t width, const double *rows, const double *cols, double level,
                     double *out) noexcept nogil:
    cdef:
        int64_t block
        unsigned long long state = funkc_float_begin()
    for block in range(plan.n_blocks):
        if plan.real_size == 4:
            errors_of(plan, loss, block, level, rows, cols, <const float *>x, <const float *>y,
                      width, out)
        else:
            errors_of(plan, loss, block, level, rows, cols, <const double *>x, <const double *>y,
                      width, out)
    funkc_float_end(state)


cdef bint fall(const double *before, const double *after, int64_t n) noexcept nogil:
    """Whether the squares of errors fell by more than the standard error of that."""
    cdef:
        double sum = 0, squares = 0, largest = 0, mean, a, b
        int64_t c
        unsigned long long state = funkc_float_begin()
    for c in range(n):
        largest = max(largest, max(fabs(before[c]), fabs(after[c])))
    for c in range(n):
        a = before[c] / largest             # whose fourth power is a double
        b = after[c] / largest
        sum += a * a - b * b
    mean = sum / <double>n
    for c in range(n):
        a = before[c] / largest
        b = after[c] / largest
        squares += (a * a - b * b - mean) * (a * a - b * b - mean)
    funkc_float_end(state)
    return mean > sqrt(squares) / <double>n


# ---------------------------------------------------------------- what has no entries

cdef void mark_seen(const Plan *plan, uint8_t *rows, uint8_t *cols) noexcept nogil:
    cdef:
        int64_t block, r, c, j, cell
        const Run *run
    for block in range(plan.n_blocks):
        cell = plan.first_cell[block]
        for r in range(plan.first_run[block], plan.first_run[block + 1]):
            run = plan.runs + r
            rows[plan.row_cuts[row_band_of(plan, block)] + run.row] = 1
            j = plan.col_cuts[col_band_of(plan, block)] + (<int64_t>run.page << 16)
            for c in range(cell, cell + run.length_less_1 + 1):
                cols[j + plan.cols[c]] = 1
            cell += run.length_less_1 + 1


cdef int64_t fill_side(const uint8_t *seen, int64_t n, real_t *x, Py_ssize_t width, double *bias,
                       double *mean) noexcept nogil:
    """Sets factors and bias of what is not seen to the mean over what is; returns its number."""
    cdef:
        int64_t i, count = 0
        Py_ssize_t f
        double usual = 0
    for i in range(n):
        count += seen[i]
    if count == n:
        return count
    clear(mean, width)
    for i in range(n):
        if seen[i]:
            for f in range(width):
                mean[f] += <double>x[i * width + f]
            usual += bias[i] if bias != NULL else 0.0
    for i in range(n):
        if not seen[i]:
            for f in range(width):
                x[i * width + f] = <real_t>(mean[f] / <double>count)
            if bias != NULL:
                bias[i] = usual / <double>count
    return count


cdef int fill_all(const Plan *plan, void *x, void *y, Py_ssize_t width, double *rows,
                  double *cols, int64_t *rows_seen, int64_t *cols_seen) noexcept nogil:
    cdef:
        uint8_t *seen = <uint8_t *>obtain_zeros(plan.memory, plan.n_rows + plan.n_cols, 1)
        double *mean = <double *>obtain(plan.memory, width, sizeof(double))
        unsigned long long state = funkc_float_begin()
        int status = NO_MEMORY
    if seen != NULL and mean != NULL:
        status = OK
        mark_seen(plan, seen, seen + plan.n_rows)
        if plan.real_size == 4:
            rows_seen[0] = fill_side[float](seen, plan.n_rows, <float *>x, width, rows, mean)
            cols_seen[0] = fill_side[float](seen + plan.n_rows, plan.n_cols, <float *>y, width,
                                            cols, mean)
        else:
            rows_seen[0] = fill_side[double](seen, plan.n_rows, <double *>x, width, rows, mean)
            cols_seen[0] = fill_side[double](seen + plan.n_rows, plan.n_cols, <double *>y, width,
                                             cols, mean)
    funkc_float_end(state)
    give_back(plan.memory, seen)
    give_back(plan.memory, mean)
    return status


# ---------------------------------------------------------------- other extensions' door

cdef int64_t room_for(const Plan *plan) noexcept nogil:
    """Numbers that a fit works in."""
    return (3 * (plan.n_rows + plan.n_cols) + max(plan.n_rows, plan.n_cols)
            + 4 * plan.n_blocks)


cdef Biases biases_in(const Plan *plan, const void *x, const void *y, Py_ssize_t width,
                      double *rows, double *cols, double *room, int n_threads) noexcept nogil:
    cdef Biases b
    b.plan = plan
    b.x = x
    b.y = y
    b.width = width
    b.n_threads = n_threads
    b.rows = rows
    b.cols = cols
    b.row_sums = room
    b.row_weights = room + plan.n_rows
    b.row_variances = room + 2 * plan.n_rows
    room += 3 * plan.n_rows
    b.col_sums = room
    b.col_weights = room + plan.n_cols
    b.col_variances = room + 2 * plan.n_cols
    room += 3 * plan.n_cols
    b.others = room
    b.blocks = <Moments *>(room + max(plan.n_rows, plan.n_cols))
    return b


cdef int fit_all(const Fit *fit, Fitted *fitted) noexcept nogil:
    cdef:
        const Plan *plan = fit.plan
        double *room = <double *>obtain(plan.memory, room_for(plan), sizeof(double))
        int _
        Biases b
    if room == NULL:
        return NO_MEMORY
    b = biases_in(plan, fit.x, fit.y, fit.width, fit.rows, fit.cols, room, fit.n_threads)
    begin_fit(&b, fit.held)
    for _ in range(MOST_TURNS):
        if not turn_fit(&b):
            break
    end_fit(&b, fitted)
    give_back(plan.memory, room)
    return OK


cdef int refit_all(const Fit *fit, Fitted *fitted) noexcept nogil:
    """By the ridges in `fitted`."""
    cdef:
        const Plan *plan = fit.plan
        double *room = <double *>obtain(plan.memory, room_for(plan), sizeof(double))
        int _
        Biases b
    if room == NULL:
        return NO_MEMORY
    b = biases_in(plan, fit.x, fit.y, fit.width, fit.rows, fit.cols, room, fit.n_threads)
    begin_refit(&b, fit.held, False)
    for _ in range(REFIT_TURNS):
        turn_refit(&b, fitted.row_ridge, fitted.col_ridge)
    end_refit(&b, fitted)
    give_back(plan.memory, room)
    return OK


cdef BiasTable table
table.fits.fit = fit_all
table.fits.refit = refit_all
table.fill = fill_all
table.errors = errors_all
table.gains = fall
bias_table = PyCapsule_New(&table, "funkc.biases", NULL)


# ---------------------------------------------------------------- Python's doors

most_turns, refit_turns = MOST_TURNS, REFIT_TURNS


def room(plan):
    """How many doubles `Work` needs."""
    return room_for(<const Plan *>PyCapsule_GetPointer(plan, "funkc.plan"))


def fill(plan, real_t[:, ::1] x, real_t[:, ::1] y, double[::1] rows, double[::1] cols):
    """Set factors and biases (empty: none) of rows and columns without entries to the means of
    the others.  Returns (status, rows and columns that have entries)."""
    cdef:
        const Plan *p = <const Plan *>PyCapsule_GetPointer(plan, "funkc.plan")
        double *row_bias = &rows[0] if rows.shape[0] else NULL
        double *col_bias = &cols[0] if cols.shape[0] else NULL
        int64_t rows_seen = 0, cols_seen = 0
        int status
    with nogil:
        status = fill_all(p, &x[0, 0], &y[0, 0], x.shape[1], row_bias, col_bias, &rows_seen,
                          &cols_seen)
    return status, rows_seen, cols_seen


def errors(plan, int loss, double delta, const real_t[:, ::1] x, const real_t[:, ::1] y,
           const double[::1] rows, const double[::1] cols, double level, double[::1] out):
    """The errors of all entries of a plan, or the roots of their losses, times the roots of their
    weights, in its order."""
    cdef:
        const Plan *p = <const Plan *>PyCapsule_GetPointer(plan, "funkc.plan")
        Loss by
    by.kind, by.delta = loss, delta
    with nogil:
        errors_all(p, &by, &x[0, 0], &y[0, 0], x.shape[1], &rows[0], &cols[0], level, &out[0])


def gains(const double[::1] before, const double[::1] after):
    """Whether the squares of errors fell by more than the standard error of that; never, between
    lists of two lengths."""
    return (0 < before.shape[0] == after.shape[0]
            and fall(&before[0], &after[0], before.shape[0]))


def rounded(const double[::1] numbers, double level, real_t[::1] out):
    """Set out to numbers + level, rounded to nearest whatever other libraries set."""
    cdef:
        Py_ssize_t i
        unsigned long long state
    with nogil:
        state = funkc_float_begin()
        for i in range(out.shape[0]):
            out[i] = <real_t>(numbers[i] + level)
        funkc_float_end(state)


@cython.final
@cython.auto_pickle(False)
cdef class Work:
    """A fit of level and biases, pass by pass, so that signals are served in between.

    rows and cols are the biases in the order of training; they and the factors x and y (empty: of
    the targets alone) must live as long as it.  A level `held` that is a number is kept.  `fitted`
    is, in the end, (level above the plan's offset, standard deviation of the targets, root mean
    square of what is left, ridge of rows, ridge of columns, sign, rows and columns that have
    entries).
    """
    cdef:
        object plan
        double[::1] rows, cols, room
        Biases b
        Fitted found

    def __init__(self, plan, double[::1] rows, double[::1] cols, double[::1] room, int n_threads):
        self.plan, self.rows, self.cols, self.room = plan, rows, cols, room
        self.b = biases_in(<const Plan *>PyCapsule_GetPointer(plan, "funkc.plan"), NULL, NULL, 0,
                           &rows[0], &cols[0], &room[0], n_threads)

    @property
    def fitted(self):
        found = self.found
        return (found.level, found.deviation, found.left, found.row_ridge, found.col_ridge,
                found.sign, found.rows_seen, found.cols_seen, found.cost, found.curvature,
                found.dispersion)

    def beside(self, const real_t[:, ::1] x, const real_t[:, ::1] y):
        """Of what products of these factors leave."""
        self.b.x, self.b.y, self.b.width = &x[0, 0], &y[0, 0], x.shape[1]

    def begin(self, double held):
        with nogil:
            begin_fit(&self.b, held)

    def turn(self):
        """Whether another one is worth it."""
        cdef bint more
        with nogil:
            more = turn_fit(&self.b)
        return more

    def end(self):
        with nogil:
            end_fit(&self.b, &self.found)

    def begin_again(self, double held, bint from_there):
        with nogil:
            begin_refit(&self.b, held, from_there)

    def turn_again(self, double row_ridge, double col_ridge):
        with nogil:
            turn_refit(&self.b, row_ridge, col_ridge)

    def end_again(self):
        with nogil:
            end_refit(&self.b, &self.found)
