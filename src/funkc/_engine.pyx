"""Waves of SGD.  This one source is built once per instruction set (see setup.py).

Design
a. A plan (see _types.pxd) is waves of blocks of runs.  Blocks of one wave share no row of
   x and no row of y, so they run side by side without a lock, and the result does not
   depend on the number of threads.
b. A step is one block of one epoch; steps are numbered through, epoch by epoch.  `advance`
   takes a span of steps, so the caller decides how long a call may last, and any cut into
   spans gives the same bits.
c. Squared errors are added in double, per block, and the blocks' sums in block order.
d. Nothing here raises, allocates, prints or takes the GIL while it works.
"""
from cython.parallel cimport prange
from libc.stdint cimport int64_t, uint8_t
from cpython.pycapsule cimport PyCapsule_GetPointer
from funkc._types cimport Plan, Run, real_t
from funkc._update cimport FUNKC_PREFETCH, Rule, dots, make_rule, take_run


cdef extern from "float_state.h" nogil:
    unsigned long long funkc_float_begin()
    void funkc_float_end(unsigned long long state)


cdef double sweep(const Plan *plan, int64_t block, real_t *x, real_t *y, Py_ssize_t width,
                  const Rule *rule, int group_size) noexcept nogil:
    """All cells of one block in order; their squared errors before each step, added up."""
    cdef:
        int64_t wave = block // plan.n_bands
        int64_t row_band = block % plan.n_bands
        int64_t col_band = (row_band + wave) % plan.n_bands
        int64_t cell = plan.first_cell[block]
        int64_t last = plan.first_run[block + 1]
        int64_t r
        Py_ssize_t length
        const Run *run
        const real_t *values = <const real_t *>plan.values
        double[8] squares
        int g
        unsigned long long state = funkc_float_begin()
    x += plan.row_cuts[row_band] * width
    y += plan.col_cuts[col_band] * width
    for g in range(8):
        squares[g] = 0.0
    for r in range(plan.first_run[block], last):
        run = plan.runs + r
        if r + 2 < last:
            FUNKC_PREFETCH(x + run[2].row * width)
        length = <Py_ssize_t>run.length_less_1 + 1
        take_run(
            x + run.row * width, y + (<int64_t>run.page << 16) * width, plan.cols + cell,
            plan.codes + cell if plan.codes != NULL else NULL,
            values if plan.codes != NULL else values + cell,
            length, group_size, width, rule, squares)
        cell += length
    funkc_float_end(state)
    return (((squares[0] + squares[4]) + (squares[2] + squares[6]))
            + ((squares[1] + squares[5]) + (squares[3] + squares[7])))


cdef double rate_of(int64_t epoch, double rate, int64_t n_epochs, bint falling) noexcept nogil:
    """The rate of an epoch: falling to 0 in equal steps, or constant."""
    return rate * (1.0 - <double>epoch / <double>n_epochs) if falling else rate


cdef int64_t advance_steps(
    const Plan *plan, real_t *x, real_t *y, Py_ssize_t width, int64_t first, int64_t last,
    double rate, int64_t n_epochs, bint falling, double row_regularization,
    double col_regularization, int group_size, int n_threads, double *sums, double *squares,
    double limit
) noexcept nogil:
    """Steps first ... last - 1.  Answers the step it came to: less than `last` only after an
    epoch whose squared errors are above `limit` or not a number."""
    cdef:
        int64_t n = plan.n_blocks
        int64_t first_epoch = first // n
        int64_t epoch, block, stop
        int workers = <int>min(<int64_t>n_threads, plan.n_bands)
        Rule rule
        double total
    while first < last:
        epoch = first // n
        block = first % n
        stop = min((block // plan.n_bands + 1) * plan.n_bands, block + last - first)
        rule = make_rule(rate_of(epoch, rate, n_epochs, falling), row_regularization,
                         col_regularization)
        first += stop - block
        for block in prange(block, stop, num_threads=workers, schedule="dynamic", chunksize=1):
            sums[block] = sweep(plan, block, x, y, width, &rule, group_size)
        if stop == n:
            total = 0.0
            for block in range(n):
                total = total + sums[block]
            squares[epoch - first_epoch] = total
            if not total <= limit:
                return first
    return first


def advance(
    plan, real_t[:, ::1] x, real_t[:, ::1] y, int64_t first, int64_t last,
    double rate, int64_t n_epochs, bint falling, double row_regularization,
    double col_regularization, int group_size, int n_threads, double[::1] sums,
    double[::1] squares, double limit,
):
    """Train x and y, in the plan's order, through the steps first ... last - 1.

    The rate of an epoch is `rate`, or falls from it to 0 over n_epochs.  sums (one double per
    block) carries an unfinished epoch from call to call; squares (one for every epoch of the
    span) receives the sum of squared errors of those that end.  Returns the step reached,
    and stops early after an epoch whose sum is not <= limit.  The GIL is free.
    """
    cdef const Plan *p = <const Plan *>PyCapsule_GetPointer(plan, "funkc.plan")
    with nogil:
        first = advance_steps(
            p, &x[0, 0], &y[0, 0], x.shape[1], first, last, rate, n_epochs, falling,
            row_regularization, col_regularization, group_size, n_threads,
            &sums[0], &squares[0], limit)
    return first


def learning_rate(int64_t epoch, double rate, int64_t n_epochs, bint falling):
    """The rate of an epoch (counted from 0), as `advance` takes it."""
    return rate_of(epoch, rate, n_epochs, falling)


def inner_products(const real_t[:, ::1] x, const real_t[:, ::1] y, real_t[::1] out,
                   double offset, int n_threads):
    """out[c] = offset + x[c] . y[c], in the fixed order of lanes.h."""
    cdef:
        Py_ssize_t c, n = out.shape[0], width = x.shape[1]
        Py_ssize_t part, chunk = 4096
    with nogil:
        for part in prange((n + chunk - 1) // chunk, num_threads=n_threads):
            for c in range(part * chunk, min(n, (part + 1) * chunk)):
                products_of_row(&x[c, 0], &y[c, 0], 1, width, offset, &out[c])


def product(const real_t[:, ::1] x, const real_t[:, ::1] y, real_t[:, ::1] out,
            double offset, int n_threads):
    """out = offset + x @ y.T in the fixed order, so that no BLAS decides on its bits."""
    cdef Py_ssize_t i
    with nogil:
        for i in prange(x.shape[0], num_threads=n_threads, schedule="static"):
            products_of_row(&x[i, 0], &y[0, 0], y.shape[0], x.shape[1], offset, &out[i, 0])


cdef void products_of_row(const real_t *x, const real_t *y, Py_ssize_t n, Py_ssize_t width,
                          double offset, real_t *out) noexcept nogil:
    cdef:
        Py_ssize_t j
        int g, count
        const real_t *column[8]
        real_t[8] dot
        unsigned long long state = funkc_float_begin()
    for j in range(0, n, 8):
        count = <int>min(<Py_ssize_t>8, n - j)
        for g in range(count):
            column[g] = y + (j + g) * width
        dots(x, column, count, width, dot)
        for g in range(count):
            out[j + g] = <real_t>(offset + <double>dot[g])
    funkc_float_end(state)
