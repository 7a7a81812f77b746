"""Products in the fixed order of lanes.h."""
from funkc._core.types cimport real_t


cdef extern from "lanes.h" nogil:
    void funkc_products_f32(const float *x, const float **y, int count, Py_ssize_t width,
                            float *out)
    void funkc_products_f64(const double *x, const double **y, int count, Py_ssize_t width,
                            double *out)


cdef inline void dots(const real_t *x, const real_t **y, int count, Py_ssize_t width,
                      real_t *out) noexcept nogil:
    """out[g] = x . y[g] for g < count, in the fixed order."""
    if real_t is float:
        funkc_products_f32(x, y, count, width, out)
    else:
        funkc_products_f64(x, y, count, width, out)


cdef inline real_t product(const real_t *x, const real_t *y, Py_ssize_t width) noexcept nogil:
    """x . y in the fixed order."""
    cdef real_t[8] out
    dots(x, &y, 1, width, out)
    return out[0]
