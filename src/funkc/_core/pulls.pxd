"""What Newton's steps look at: the pulls of entries, added up by row and by column, and a sample of
errors."""
from libc.stdint cimport int64_t
from libc.stdlib cimport qsort
from libc.string cimport memset
from funkc._core.lanes cimport dots
from funkc._core.loss cimport funkc_slopes_f64
from funkc._core.types cimport Loss, Plan, Run, col_band_of, real_t, row_band_of


cdef enum:
    BATCH = 64                  # enough to keep the processor busy
    CODES = 256                 # of values


cdef struct Sums:               # of a block's entries, each by weight; columns need none
    double pulls
    double weights
    double squares              # of pulls
    double entries
    double curvature            # from here on, if it is asked for
    double scores
    double costs
    double products             # of biases
    double both                 # of those and pulls


cdef struct Lanes:              # of sums
    double[4][8] usual          # the first four
    Sums others


# Entries that are worked on together.
cdef struct Batch:
    int n                       # what is beyond has a value, a score and a weight of 0
    int64_t[BATCH] row
    int64_t[BATCH] col
    double[BATCH] value
    double[BATCH] score
    double[BATCH] by            # the weights that they were given
    double[BATCH] pull          # by weight
    double[BATCH] weight        # likewise
    double[BATCH] curvature
    double[BATCH] cost


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
    double[CODES] counts        # of a level alone: entries of each value, by weight


cdef inline void sum_batch(const Newton *n, bint sums, bint all, Batch *batch,
                           Lanes *lanes) noexcept nogil:
    """Pulls and weights; and if they are asked for, sums, or all of them."""
    cdef:
        int c, size = (batch.n + 7) // 8 * 8
        double w, u
    for c in range(batch.n, size):
        batch.value[c] = batch.score[c] = batch.by[c] = 0
    funkc_slopes_f64(n.loss.kind, n.loss.delta, all, size, batch.value, batch.score, batch.by,
                     batch.pull, batch.weight, batch.curvature, batch.cost,
                     &lanes.usual[0][0] if sums else NULL)
    if all:
        for c in range(batch.n):
            w = batch.by[c]
            u = n.rows[batch.row[c]] * n.cols[batch.col[c]]
            lanes.others.curvature += w * batch.curvature[c]
            lanes.others.scores += w * batch.score[c]
            lanes.others.costs += w * batch.cost[c]
            lanes.others.products += w * u
            lanes.others.both += batch.pull[c] * u


cdef inline double over(const double *lanes) noexcept nogil:
    return ((lanes[0] + lanes[4]) + (lanes[2] + lanes[6])) + (
        (lanes[1] + lanes[5]) + (lanes[3] + lanes[7]))


cdef inline Sums sums_of(const Lanes *lanes) noexcept nogil:
    cdef Sums sums = lanes.others
    sums.pulls = over(lanes.usual[0])
    sums.weights = over(lanes.usual[1])
    sums.squares = over(lanes.usual[2])
    sums.entries = over(lanes.usual[3])
    return sums


cdef inline void add_batch(const Newton *n, bint to_rows, bint all, Batch *batch, double *pulls,
                           double *weights, Lanes *lanes) noexcept nogil:
    cdef:
        int c = 0
        int64_t at
        double pull, weight
    sum_batch(n, to_rows, all, batch, lanes)
    while to_rows and c < batch.n:
        at = batch.row[c]               # of all entries of a run
        pull = weight = 0
        while c < batch.n and batch.row[c] == at:
            pull += batch.pull[c]
            weight += batch.weight[c]
            c += 1
        pulls[at] += pull
        weights[at] += weight
    if not to_rows:
        for c in range(batch.n):
            at = batch.col[c]
            pulls[at] += batch.pull[c]
            weights[at] += batch.weight[c]
    batch.n = 0


cdef inline void count_codes(const Plan *plan, const real_t *weights,
                             double *counts) noexcept nogil:
    cdef int64_t c
    memset(counts, 0, CODES * sizeof(double))
    for c in range(plan.n_cells):
        counts[plan.codes[c]] += <double>weights[c] if weights != NULL else 1.0


cdef inline Sums add_codes(const Newton *n, bint all, const real_t *values) noexcept nogil:
    """Of a level alone, value by value."""
    cdef:
        int code, c
        Batch batch
        Lanes lanes
    memset(&lanes, 0, sizeof(Lanes))
    batch.n = 0
    for code in range(CODES):
        if n.counts[code] > 0:          # else there may be no such value
            c = batch.n
            batch.row[c] = batch.col[c] = 0
            batch.value[c] = values[code]
            batch.score[c] = n.level
            batch.by[c] = n.counts[code]
            batch.n += 1
        if batch.n == BATCH or code == CODES - 1:
            sum_batch(n, True, all, &batch, &lanes)
            batch.n = 0
    return sums_of(&lanes)


cdef inline Sums add_pulls(const Newton *n, int64_t block, bint to_rows, bint all, double *pulls,
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
        Lanes lanes
    memset(&lanes, 0, sizeof(Lanes))
    batch.n = 0
    for r in range(plan.first_run[block], plan.first_run[block + 1]):
        run = plan.runs + r
        i = row0 + run.row
        j = col0 + (<int64_t>run.page << 16)
        left = <int64_t>run.length_less_1 + 1
        while left > 0:
            count = <int>min(<int64_t>8, left)
            if batch.n + count > BATCH:
                add_batch(n, to_rows, all, &batch, pulls, weights, &lanes)
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
                batch.by[c] = by[cell + g] if by != NULL else 1.0
            batch.n += count
            cell += count
            left -= count
    add_batch(n, to_rows, all, &batch, pulls, weights, &lanes)
    return sums_of(&lanes)


cdef inline int in_order(const void *a, const void *b) noexcept nogil:
    cdef double one = (<const double *>a)[0], other = (<const double *>b)[0]
    return (one > other) - (one < other)


cdef inline double middle_of(double *numbers, int64_t n) noexcept nogil:
    """The median; puts them in order."""
    qsort(numbers, n, sizeof(double), in_order)
    return (numbers[(n - 1) // 2] + numbers[n // 2]) / 2


cdef inline int64_t sample_errors(const Newton *n, const real_t *x, const real_t *y, double *out,
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
                score = n.level
                if n.rows != NULL:
                    score += n.rows[i] + n.cols[j]
                if x != NULL:
                    column[0] = y + j * n.width
                    dots(x + i * n.width, column, 1, n.width, dot)
                    score = score + <double>dot[0]
                out[found] = values[plan.codes[c] if plan.codes != NULL else c] - score
                found += 1
                c += step
            cell += run.length_less_1 + 1
    return found
