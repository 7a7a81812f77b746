"""Defaults of training, from the plan of the cells."""
from libc.float cimport DBL_MAX, FLT_MAX
from libc.math cimport ceil, fabs, sqrt
from libc.stdint cimport int64_t
from funkc._core.float_state cimport funkc_float_begin, funkc_float_end
from funkc._core.types cimport Plan
from funkc.capi cimport funkc_params


cdef inline double cube_root(double z) noexcept nogil:
    """Of z >= 1, by Newton's steps from above: no library decides on its bits."""
    cdef double x = z, less = (2 * x + z / (x * x)) / 3
    while less < x:
        x = less
        less = (2 * x + z / (x * x)) / 3
    return x


cdef inline void settle_params(const Plan *plan, funkc_params *params) noexcept nogil:
    """Defaults from the data: the deviation of the values and the number of cells.

    The rates of all epochs add up to about 0.3 / deviation.  Small problems need longer to
    settle and cost nothing, so both the sum and the number of epochs grow as the number of
    cells falls below 100,000; less so where rows and columns have few cells of many, which
    would be learned by heart.  No rate is above what eight cells at once bear: the factors
    begin with squared lengths of about the level of the values above the offset.
    """
    cdef:
        double n = <double>plan.n_cells
        double places = <double>plan.n_rows * <double>plan.n_cols
        double longer = 1.0, level
        unsigned long long state = funkc_float_begin()
    if n < 1e5:
        longer = max(1.0, min(cube_root(1e5 / n), 1 + n / sqrt(places) / 8 + 20 * n / places))
    if params.n_epochs == 0:
        params.n_epochs = <int64_t>ceil(20 * longer)
    if params.learning_rate == 0:
        level = max(2 * plan.deviation, fabs(plan.mean - plan.offset))
        # The last for values that differ by denormals only.
        params.learning_rate = min(
            min(0.6 * longer / (<double>params.n_epochs * plan.deviation), 0.12 / level),
            (FLT_MAX if plan.real_size == 4 else DBL_MAX) / 4)
    if params.row_regularization < 0:
        params.row_regularization = 0.03 * plan.deviation
    if params.col_regularization < 0:
        params.col_regularization = 0.03 * plan.deviation
    funkc_float_end(state)
