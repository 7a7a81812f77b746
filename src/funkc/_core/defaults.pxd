"""Defaults of training, from the plan of the cells and what training begins with."""
from libc.float cimport DBL_MAX, FLT_MAX
from libc.math cimport ceil, fabs, sqrt
from libc.stdint cimport int64_t
from funkc._core.float_state cimport funkc_float_begin, funkc_float_end
from funkc._core.types cimport Fitted, Outset, Plan
from funkc.capi cimport funkc_params


cdef inline double root(double z, int n) noexcept nogil:
    """The n-th root of z, by Newton's steps from above: no library decides on its bits."""
    cdef double x = max(z, 1.0), less, power
    cdef int _
    while True:
        power = x
        for _ in range(n - 2):
            power = power * x
        less = ((n - 1) * x + z / power) / n
        if not less < x:
            return x
        x = less


cdef inline double clipped(double a, double low, double high) noexcept nogil:
    return min(max(a, low), high)


cdef inline double entries_a_row(const Plan *plan, const Outset *outset) noexcept nogil:
    """Of rows and columns that have any, in the geometric mean."""
    return (<double>plan.n_cells
            / sqrt(<double>outset.rows_seen * <double>outset.cols_seen))


cdef inline Outset outset_without_biases(const Plan *plan) noexcept nogil:
    cdef Outset outset
    outset.level = plan.mean - plan.offset
    outset.deviation = plan.deviation
    outset.rows_seen = outset.cols_seen = 0
    outset.curvature = 1
    return outset


cdef inline Outset outset_with_biases(const Plan *plan, const Fitted *fitted, bint held,
                                      int k) noexcept nogil:
    """Factors begin on a level of their own, which the run's offset takes back, so that one of
    them can follow what rows and columns have in common; few factors are spared it, and so is
    a level that is given."""
    cdef Outset outset
    outset.rows_seen = fitted.rows_seen
    outset.cols_seen = fitted.cols_seen
    outset.curvature = fitted.curvature
    # What is left of constant or additive values is rounding.
    outset.deviation = fitted.left if fitted.left > 9.5367431640625e-07 * fitted.deviation else 0.0
    if not fitted.rows_seen:            # of another loss, without biases
        outset.level = 0.0 if held else 2 * outset.deviation
        return outset
    outset.level = clipped(entries_a_row(plan, &outset) / 800, 0.03, 0.03 if k < 8 else 0.3)
    outset.level *= 0.0 if k == 1 or held else fitted.sign * outset.deviation
    return outset


cdef inline void settle_params(const Plan *plan, const Outset *outset,
                               funkc_params *params) noexcept nogil:
    """Defaults from the data: the deviation to explain and the number of cells.

    The rates of all epochs add up to about 0.6 / deviation.  Small problems need longer to
    settle and cost nothing, so both the sum and the number of epochs grow as the number of
    cells falls below 100,000; less so where rows and columns have few cells of many, which
    would be learned by heart.  No rate is above what eight cells at once bear: the factors
    begin with squared lengths of about the level of the values above the offset.

    Beside biases, regularization grows where rows have few cells, and with the length.

    A loss of another curvature than 1 pulls as much harder, so that its steps are as much shorter.
    """
    cdef:
        double n = <double>plan.n_cells
        double places = <double>plan.n_rows * <double>plan.n_cols
        double deviation = outset.deviation if outset.deviation > 0 else plan.deviation
        double longer = 1.0, gain, regularization
        unsigned long long state = funkc_float_begin()
    if n < 1e5:
        longer = max(1.0, min(root(1e5 / n, 3), 1 + n / sqrt(places) / 8 + 20 * n / places))
    regularization = 0.03 * deviation * outset.curvature
    if outset.rows_seen > 0:
        longer = min(longer, 4.0)
        # The fifth root of the entries that a row lacks to 70, from .75 to 1.4.
        gain = root(clipped(70 / entries_a_row(plan, outset), 0.2373046875, 5.37824), 5)
        regularization = 0.05 * gain * sqrt(longer) * deviation * outset.curvature
        longer *= min(1.0, sqrt(gain))
    if params.row_regularization < 0:
        params.row_regularization = regularization
    if params.col_regularization < 0:
        params.col_regularization = regularization
    if params.n_epochs == 0:
        params.n_epochs = <int64_t>ceil(20 * longer)
    if params.learning_rate == 0:
        # The last for values that differ by denormals only.
        params.learning_rate = min(
            min(0.6 * longer / (<double>params.n_epochs * deviation),
                0.12 / max(2 * deviation, fabs(outset.level))) / outset.curvature,
            (FLT_MAX if plan.real_size == 4 else DBL_MAX) / 4)
        # A given regularization of eight cells must not take more than half of a factor.
        regularization = max(params.row_regularization, params.col_regularization)
        if regularization > 0:
            params.learning_rate = min(params.learning_rate, 0.0625 / regularization)
    funkc_float_end(state)
