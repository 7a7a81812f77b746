"""THE SGD rule: Funk's step for one cell at a time, and for eight the kernel of update.h."""
from libc.stdint cimport int64_t
from funkc._core.lanes cimport product
from funkc._core.loss cimport POISSON_LOSS, SQUARED_LOSS, pull_of
from funkc._core.types cimport Block, Loss, Plan, Run, col_band_of, real_t, row_band_of


cdef extern from "update.h" nogil:
    ctypedef struct funkc_rule_f32:
        int nonnegative
        int loss
        float bound
    ctypedef struct funkc_rule_f64:
        int nonnegative
        int loss
        double bound
    funkc_rule_f32 funkc_make_rule_f32(double rate, double row_regularization,
                                       double col_regularization)
    funkc_rule_f64 funkc_make_rule_f64(double rate, double row_regularization,
                                       double col_regularization)
    void funkc_sweep_f32(const Block *block, Py_ssize_t width,
                         const funkc_rule_f32 *rule, double *squares)
    void funkc_sweep_f64(const Block *block, Py_ssize_t width,
                         const funkc_rule_f64 *rule, double *squares)
    enum:
        FUNKC_HEAVIEST
        FUNKC_NEAR


# The constants of one epoch.
cdef struct Rule:
    double rate
    double keep_row             # what a step leaves of a row: 1 - rate * row_regularization
    double keep_col
    Py_ssize_t nonnegative      # how many factors must not fall below 0
    int loss
    double bound                # see loss.h
    funkc_rule_f32 f32                # the same, for the kernel of update.h
    funkc_rule_f64 f64


cdef inline Rule make_rule(double rate, double row_regularization, double col_regularization,
                           int k, bint nonnegative, const Loss *loss) noexcept nogil:
    cdef Rule rule
    rule.rate = rate
    rule.keep_row = 1.0 - rate * row_regularization
    rule.keep_col = 1.0 - rate * col_regularization
    rule.nonnegative = k if nonnegative else 0
    rule.f32 = funkc_make_rule_f32(rate, row_regularization, col_regularization)
    rule.f64 = funkc_make_rule_f64(rate, row_regularization, col_regularization)
    rule.f32.nonnegative = rule.f64.nonnegative = <int>rule.nonnegative
    rule.loss = rule.f32.loss = rule.f64.loss = loss.kind
    rule.bound = loss.delta * rate if loss.kind == POISSON_LOSS else loss.delta
    rule.f32.bound = <float>rule.bound
    rule.f64.bound = rule.bound
    return rule


cdef inline void one_by_one(const Block *block, real_t *rows, real_t *cols, Py_ssize_t width,
                            const Rule *rule, double *losses) noexcept nogil:
    """Funk's step, cell after cell, both sides moved from the old values (Simon Funk, "Netflix
    update: try this at home", 2006), where a weight (see update.h) multiplies e, which is the pull
    of the loss:

        e = r - x . y
        x += rate * (e * y - row_regularization * x)
        y += rate * (e * x - col_regularization * y)
    """
    cdef:
        real_t rate = <real_t>rule.rate
        real_t keep_row = <real_t>rule.keep_row
        real_t keep_col = <real_t>rule.keep_col
        const real_t *values = <const real_t *>block.values
        const real_t *weights = <const real_t *>block.weights
        const real_t *row_base = <const real_t *>block.row_base
        const real_t *col_base = <const real_t *>block.col_base
        const Run *run = block.runs
        Py_ssize_t cell = 0, last = 0, col, f
        real_t *x
        real_t *y
        real_t value, score, error, move, old
        double cost
    while run < block.end:
        x = rows + run.row * width
        last += run.length_less_1 + 1
        while cell < last:
            col = (<Py_ssize_t>run.page << 16) + block.cols[cell]
            y = cols + col * width
            value = values[block.codes[cell] if block.codes != NULL else cell]
            score = product(x, y, width)
            if rule.loss == SQUARED_LOSS:
                error = value
                if row_base != NULL:
                    error = error - (row_base[run.row] + col_base[col])
                error = error - score
                cost = <double>error * <double>error
            else:
                if row_base != NULL:
                    score = score + (row_base[run.row] + col_base[col])
                error = pull_of(rule.loss, value, score, <real_t>rule.bound, &cost)
            move = rate * error
            if weights != NULL:
                cost = cost * <double>weights[cell]
                move = move * min(weights[cell], <real_t>FUNKC_HEAVIEST)
            for f in range(width):
                old = x[f]
                x[f] = keep_row * old + move * y[f]
                y[f] = keep_col * y[f] + move * old
            for f in range(rule.nonnegative):
                x[f] = 0 if x[f] < 0 else x[f]
                y[f] = 0 if y[f] < 0 else y[f]
            losses[0] += cost
            cell += 1
        run += 1


cdef inline void take_block(
    const Plan *plan, int64_t b, real_t *x, real_t *y, const real_t *row_base,
    const real_t *col_base, Py_ssize_t width, const Rule *rule, int group_size, double *losses
) noexcept nogil:
    """Steps over all cells of a block.  Unless row_base is NULL, row_base[i] + col_base[j] is taken
    from every value (or added to every score); losses are eight running sums.

    Eight cells at a time are taken in C: loops in Cython reached less than half of its speed.
    """
    cdef:
        int64_t row0 = plan.row_cuts[row_band_of(plan, b)]
        int64_t col0 = plan.col_cuts[col_band_of(plan, b)]
        int64_t n_cols = plan.col_cuts[col_band_of(plan, b) + 1] - col0
        int64_t cell = plan.first_cell[b]
        Block block
    block.x = x + row0 * width
    block.y = y + col0 * width
    block.row_base = block.col_base = NULL
    if row_base != NULL:
        block.row_base = row_base + row0
        block.col_base = col_base + col0
    block.runs = plan.runs + plan.first_run[b]
    block.loose = plan.runs + plan.first_loose[b]
    block.end = plan.runs + plan.first_run[b + 1]
    block.cols = plan.cols + cell
    block.codes = NULL
    block.values = plan.values
    if plan.codes != NULL:
        block.codes = plan.codes + cell
    else:
        block.values = <const real_t *>plan.values + cell
    block.weights = NULL
    if plan.weights != NULL:
        block.weights = <const real_t *>plan.weights + cell
    block.fetch_ahead = n_cols * width * <int64_t>sizeof(real_t) > FUNKC_NEAR
    if group_size != 8:
        one_by_one(&block, <real_t *>block.x, <real_t *>block.y, width, rule, losses)
    elif real_t is float:
        funkc_sweep_f32(&block, width, &rule.f32, losses)
    else:
        funkc_sweep_f64(&block, width, &rule.f64, losses)
