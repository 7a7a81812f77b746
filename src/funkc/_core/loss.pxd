"""THE losses for one cell at a time: those of loss.h."""
from libc.math cimport fabs
from funkc._core.types cimport Loss, real_t


cdef extern from "loss.h" nogil:
    enum:
        SQUARED_LOSS "FUNKC_SQUARED_LOSS"
        ABSOLUTE_LOSS "FUNKC_ABSOLUTE_LOSS"
        HUBER_LOSS "FUNKC_HUBER_LOSS"
        LOGISTIC_LOSS "FUNKC_LOGISTIC_LOSS"
        POISSON_LOSS "FUNKC_POISSON_LOSS"
    float funkc_pull_of_f32(int loss, float value, float score, float delta, double *cost)
    double funkc_pull_of_f64(int loss, double value, double score, double delta, double *cost)
    float funkc_prediction_of_f32(int loss, float score)
    double funkc_prediction_of_f64(int loss, double score)
    void funkc_slopes_f64(int loss, double delta, int costs, int n, const double *values,
                          const double *scores, const double *by, double *pulls, double *weights,
                          double *curvatures, double *found, double *sums)
    void funkc_slope_of_one_f64(int loss, double value, double score, double delta, double *pull,
                                double *weight, double *curvature, double *cost)
    double funkc_logarithm(double a)


cdef enum:
    LARGEST_STEP = 2            # of a score whose prediction is an exponential
    BEND_PERCENT = 10           # of robust standard deviations, where absolute errors bend
    USUAL_DELTA_PERMILLE = 1345     # likewise, Huber's: 95 % as good as squares on normal errors


cdef inline real_t pull_of(int loss, real_t value, real_t score, real_t delta,
                           double *cost) noexcept nogil:
    """How hard a cell pulls at its score, and what it costs."""
    if real_t is float:
        return funkc_pull_of_f32(loss, value, score, delta, cost)
    else:
        return funkc_pull_of_f64(loss, value, score, delta, cost)


cdef inline real_t prediction_of(int loss, real_t score) noexcept nogil:
    if real_t is float:
        return funkc_prediction_of_f32(loss, score)
    else:
        return funkc_prediction_of_f64(loss, score)


cdef struct Pulled:             # at a score
    double pull
    double weight               # pull / weight is a step that no loss overshoots
    double curvature            # the derivative of the pull, but for its sign
    double cost


cdef inline Pulled pulled(const Loss *loss, double value, double score) noexcept nogil:
    """In double."""
    cdef Pulled out
    funkc_slope_of_one_f64(loss.kind, value, score, loss.delta, &out.pull, &out.weight,
                           &out.curvature, &out.cost)
    return out


cdef inline double score_of(int loss, double prediction) noexcept nogil:
    """The score that stands for a prediction."""
    if loss == LOGISTIC_LOSS:
        return funkc_logarithm(prediction / (1 - prediction))
    return funkc_logarithm(prediction) if loss == POISSON_LOSS else prediction


cdef inline double least_cost(int loss, double value) noexcept nogil:
    """What the best score would cost, where loss.h leaves it out: a count has one of its own."""
    return value * funkc_logarithm(value) - value if loss == POISSON_LOSS and value > 0 else 0.0


cdef inline double usual_loss(int loss, double scale, double mean) noexcept nogil:
    """What cells cost on average, and no less than rounding would."""
    cdef double tiny = 1.9073486328125e-06 * scale
    return max(mean, tiny * tiny if loss == HUBER_LOSS else tiny)


cdef inline void newton_step(const Loss *loss, double value, double score, double *weight,
                             double *move) noexcept nogil:
    """The weight of a value, and how far its score is to move, whose weighted least squares are a
    step of Newton's.  Where it would carry the score too far the weight grows, so that the slope
    stays what it is."""
    cdef Pulled one = pulled(loss, value, score)
    weight[0] = one.weight
    if loss.kind in (LOGISTIC_LOSS, POISSON_LOSS):
        weight[0] = max(one.weight, max(fabs(one.pull) / LARGEST_STEP, 1e-9))
    move[0] = one.pull / weight[0]


cdef inline Loss loss_of_new_rows(const Loss *loss, double noise) noexcept nogil:
    """With a bend that suits the noise, the root of the dispersion (0: unknown).  Where factors
    explain most of what biases leave, the delta of training lies far beyond the noise, and one wild
    entry of a new row would outweigh the prior."""
    cdef Loss out = loss[0]
    if loss.kind == ABSOLUTE_LOSS:
        out.delta = BEND_PERCENT / 100.0 * noise * noise if noise > 0 else 1.0
    elif loss.kind == HUBER_LOSS and noise > 0:
        out.delta = min(loss.delta, USUAL_DELTA_PERMILLE / 1000.0 * noise)
    return out
