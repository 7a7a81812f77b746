"""THE SGD rule, as the engine calls it.  The arithmetic stands in update.h and lanes.h."""
from libc.stdint cimport uint8_t, uint16_t
from funkc._core.types cimport real_t


cdef extern from "update.h" nogil:
    ctypedef struct funkc_rule_f32:
        int constrained
        int nonnegative
        Py_ssize_t one_in_x
        Py_ssize_t one_in_y
    ctypedef struct funkc_rule_f64:
        int constrained
        int nonnegative
        Py_ssize_t one_in_x
        Py_ssize_t one_in_y
    ctypedef struct funkc_targets_f32:
        const uint8_t *codes
        const float *values
        const float *weights
    ctypedef struct funkc_targets_f64:
        const uint8_t *codes
        const double *values
        const double *weights
    funkc_rule_f32 funkc_make_rule_f32(double rate, double row_regularization,
                                       double col_regularization)
    funkc_rule_f64 funkc_make_rule_f64(double rate, double row_regularization,
                                       double col_regularization)
    void funkc_run_f32(float *x, float *y, const uint16_t *cols, funkc_targets_f32 targets,
                       Py_ssize_t n, int group_size, Py_ssize_t width, const funkc_rule_f32 *rule,
                       double *squares)
    void funkc_run_f64(double *x, double *y, const uint16_t *cols, funkc_targets_f64 targets,
                       Py_ssize_t n, int group_size, Py_ssize_t width, const funkc_rule_f64 *rule,
                       double *squares)
    void FUNKC_PREFETCH(const void *address)


# The constants of one epoch, in the precision of the factors.
cdef struct Rule:
    funkc_rule_f32 f32
    funkc_rule_f64 f64


cdef inline Rule make_rule(double rate, double row_regularization, double col_regularization,
                           int k, bint nonnegative, bint biases) noexcept nogil:
    """With biases, the places k and k + 1 of a row are [bias, 1], those of a column [1, bias]."""
    cdef Rule rule
    rule.f32 = funkc_make_rule_f32(rate, row_regularization, col_regularization)
    rule.f64 = funkc_make_rule_f64(rate, row_regularization, col_regularization)
    if nonnegative:
        rule.f32.nonnegative = rule.f64.nonnegative = k
    if biases:
        rule.f32.one_in_x = rule.f64.one_in_x = k + 1
        rule.f32.one_in_y = rule.f64.one_in_y = k
    rule.f32.constrained = rule.f64.constrained = nonnegative or biases
    return rule


cdef inline void take_run(
    real_t *x, real_t *y, const uint16_t *cols, const uint8_t *codes, const real_t *values,
    const real_t *weights, Py_ssize_t n, int group_size, Py_ssize_t width, const Rule *rule,
    double *squares
) noexcept nogil:
    """Steps over the n cells of one row, in order, in groups of group_size."""
    cdef funkc_targets_f32 narrow
    cdef funkc_targets_f64 wide
    if real_t is float:
        narrow.codes = codes
        narrow.values = values
        narrow.weights = weights
        funkc_run_f32(x, y, cols, narrow, n, group_size, width, &rule.f32, squares)
    else:
        wide.codes = codes
        wide.values = values
        wide.weights = weights
        funkc_run_f64(x, y, cols, wide, n, group_size, width, &rule.f64, squares)
