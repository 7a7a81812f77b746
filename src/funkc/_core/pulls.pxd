"""What Newton's steps look at: the pulls of entries, added up by row and by column, and a sample of
errors."""
from libc.stdint cimport int64_t
from libc.stdlib cimport qsort
from libc.string cimport memset
from funkc._core.lanes cimport dots
from funkc._core.loss cimport Pulled, pull_many
from funkc._core.types cimport Loss, Plan, Run, col_band_of, real_t, row_band_of


cdef enum:
    BATCH = 64                  # enough to keep the processor busy


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


cdef inline void add_batch(const Newton *n, bint to_rows, bint costs, Batch *batch, double *pulls,
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


cdef inline Sums add_pulls(const Newton *n, int64_t block, bint to_rows, bint costs, double *pulls,
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
