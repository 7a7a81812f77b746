"""What the cells of a block add up to, by row and by column: the sums that biases are made of.

Rows and columns are added up in double, in the order in which they meet their blocks, so that the
sums do not depend on the threads.  All indexes are positions in the order of training.
"""
from libc.math cimport sqrt
from libc.stdint cimport int64_t
from funkc._core.lanes cimport dots, product
from funkc._core.loss cimport SQUARED_LOSS, least_cost, pulled
from funkc._core.types cimport Loss, Plan, Run, col_band_of, real_t, row_band_of


cdef struct Moments:            # of a block's errors e beside the products u of given biases
    double squares              # sum of w e^2
    double errors               # sum of w e
    double products             # sum of w u
    double both                 # sum of w e u


cdef inline double add_targets(
    const Plan *plan, int64_t block, const real_t *x, const real_t *y, Py_ssize_t width,
    double *row_sums, double *col_sums, double *row_weights, double *col_weights
) noexcept nogil:
    """Adds the weighted targets of a block, less the products of factors unless x is NULL, to
    the sums of its rows and columns, and the weights; returns the weighted squares."""
    cdef:
        int64_t row0 = plan.row_cuts[row_band_of(plan, block)]
        int64_t col0 = plan.col_cuts[col_band_of(plan, block)]
        int64_t cell = plan.first_cell[block], i, j, r, left
        const Run *run
        const real_t *values = <const real_t *>plan.values
        const real_t *weights = <const real_t *>plan.weights
        const real_t *column[8]
        real_t[8] dot
        int g, count
        double t, w, sum, weight, squares = 0
    for r in range(plan.first_run[block], plan.first_run[block + 1]):
        run = plan.runs + r
        i = row0 + run.row
        j = col0 + (<int64_t>run.page << 16)
        left = <int64_t>run.length_less_1 + 1
        sum = weight = 0
        while left > 0:
            count = <int>min(<int64_t>8, left)
            if x != NULL:
                for g in range(count):
                    column[g] = y + (j + plan.cols[cell + g]) * width
                dots(x + i * width, column, count, width, dot)
            for g in range(count):
                t = values[plan.codes[cell + g] if plan.codes != NULL else cell + g]
                if x != NULL:
                    t = t - <double>dot[g]
                w = weights[cell + g] if weights != NULL else 1.0
                sum += w * t
                weight += w
                squares += w * t * t
                col_sums[j + plan.cols[cell + g]] += w * t
                col_weights[j + plan.cols[cell + g]] += w
            cell += count
            left -= count
        row_sums[i] += sum
        row_weights[i] += weight
    return squares


cdef inline void add_others(const Plan *plan, int64_t block, bint to_rows, const double *given,
                            double *out) noexcept nogil:
    """Adds to the sums of the rows (or columns) the weighted numbers of what they meet."""
    cdef:
        int64_t row0 = plan.row_cuts[row_band_of(plan, block)]
        int64_t col0 = plan.col_cuts[col_band_of(plan, block)]
        int64_t cell = plan.first_cell[block], i, j, r, last, c
        const Run *run
        const float *narrow = <const float *>plan.weights if plan.real_size == 4 else NULL
        const double *wide = <const double *>plan.weights if plan.real_size == 8 else NULL
        double sum
    for r in range(plan.first_run[block], plan.first_run[block + 1]):
        run = plan.runs + r
        i = row0 + run.row
        j = col0 + (<int64_t>run.page << 16)
        last = cell + run.length_less_1 + 1
        if to_rows:
            sum = 0
            if plan.weights == NULL:
                for c in range(cell, last):
                    sum += given[j + plan.cols[c]]
            else:
                for c in range(cell, last):
                    sum += (narrow[c] if wide == NULL else wide[c]) * given[j + plan.cols[c]]
            out[i] += sum
        elif plan.weights == NULL:
            for c in range(cell, last):
                out[j + plan.cols[c]] += given[i]
        else:
            for c in range(cell, last):
                out[j + plan.cols[c]] += (narrow[c] if wide == NULL else wide[c]) * given[i]
        cell = last


cdef inline Moments moments_of(
    const Plan *plan, int64_t block, double level, const double *rows, const double *cols,
    const real_t *x, const real_t *y, Py_ssize_t width
) noexcept nogil:
    """Of the errors e = target - level - rows[i] - cols[j] - x . y, and of u = rows[i] cols[j]."""
    cdef:
        int64_t row0 = plan.row_cuts[row_band_of(plan, block)]
        int64_t col0 = plan.col_cuts[col_band_of(plan, block)]
        int64_t cell = plan.first_cell[block], i, j, at, r, left
        const Run *run
        const real_t *values = <const real_t *>plan.values
        const real_t *weights = <const real_t *>plan.weights
        const real_t *column[8]
        real_t[8] dot
        int g, count
        double e, u, w
        Moments found
    found.squares = found.errors = found.products = found.both = 0
    for r in range(plan.first_run[block], plan.first_run[block + 1]):
        run = plan.runs + r
        i = row0 + run.row
        j = col0 + (<int64_t>run.page << 16)
        left = <int64_t>run.length_less_1 + 1
        while left > 0:
            count = <int>min(<int64_t>8, left)
            if x != NULL:
                for g in range(count):
                    column[g] = y + (j + plan.cols[cell + g]) * width
                dots(x + i * width, column, count, width, dot)
            for g in range(count):
                at = j + plan.cols[cell + g]
                e = values[plan.codes[cell + g] if plan.codes != NULL else cell + g]
                e = e - level - rows[i] - cols[at]
                if x != NULL:
                    e = e - <double>dot[g]
                w = weights[cell + g] if weights != NULL else 1.0
                u = rows[i] * cols[at]
                found.squares += w * e * e
                found.errors += w * e
                found.products += w * u
                found.both += w * e * u
            cell += count
            left -= count
    return found


cdef inline void errors_of(
    const Plan *plan, const Loss *loss, int64_t block, double level, const double *rows,
    const double *cols, const real_t *x, const real_t *y, Py_ssize_t width, double *out
) noexcept nogil:
    """The errors of a block's entries, or the roots of their losses, times the roots of their
    weights, in their places of all."""
    cdef:
        int64_t row0 = plan.row_cuts[row_band_of(plan, block)]
        int64_t col0 = plan.col_cuts[col_band_of(plan, block)]
        int64_t cell = plan.first_cell[block], i, j, c, r
        const Run *run
        const real_t *values = <const real_t *>plan.values
        const real_t *weights = <const real_t *>plan.weights
        double value, dot, e
    for r in range(plan.first_run[block], plan.first_run[block + 1]):
        run = plan.runs + r
        i = row0 + run.row
        for c in range(cell, cell + run.length_less_1 + 1):
            j = col0 + (<int64_t>run.page << 16) + plan.cols[c]
            value = values[plan.codes[c] if plan.codes != NULL else c]
            dot = product(x + i * width, y + j * width, width)
            if loss.kind == SQUARED_LOSS:
                e = value - level - rows[i] - cols[j] - dot
            else:
                e = pulled(loss, value, level + rows[i] + cols[j] + dot).cost
                e = sqrt(max(e + least_cost(loss.kind, value), 0.0))
            out[c] = e if weights == NULL else e * sqrt(<double>weights[c])
        cell += run.length_less_1 + 1
