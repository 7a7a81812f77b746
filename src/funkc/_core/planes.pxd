"""Planes: channels as float32 between 0 and 1.  The arithmetic stands in planes.h."""
from libc.stdint cimport int64_t, uint8_t
from funkc._core.types cimport value_t


cdef extern from "planes.h" nogil:
    ctypedef struct funkc_scale:
        pass
    void funkc_find_range(const float *plane, const uint8_t *seen, Py_ssize_t n, float *low,
                          float *high)
    int LARGEST_SAMPLE "FUNKC_LARGEST_SAMPLE"
    Py_ssize_t funkc_sample_step(Py_ssize_t n, Py_ssize_t height, Py_ssize_t width)
    void funkc_find_usual(double *sample, Py_ssize_t n, double *low, double *high)
    void funkc_clear_sums(const uint8_t *seen, Py_ssize_t height, Py_ssize_t width,
                          bint everywhere, float *total, float *weight)
    void funkc_put_holes(float *plane, const uint8_t *seen, const uint8_t *wide,
                         const float *total, const float *weight, Py_ssize_t height,
                         Py_ssize_t width, float low, float high, float *made)
    void funkc_put_rest(const float *plane, const uint8_t *seen, const float *total,
                        const float *weight, Py_ssize_t n, float *made)
    void funkc_put_between(const float *before, const float *after, float share, Py_ssize_t size,
                           float *out)
    funkc_scale funkc_find_scale(double low, double high)
    float funkc_scale_in(funkc_scale scale, double value)
    double funkc_scale_out(funkc_scale scale, float made)


cdef struct Plane:              # one channel, or one frame of it
    float *made                 # for every pixel, or NULL
    funkc_scale scale
    double lowest               # value that is seen
    double highest
    float low                   # the same of the pixels
    float high
    bint idle                   # complete, and of no use to others
    bint lost                   # nothing of it is seen


cdef inline void set_range(Plane *plane, double lowest, double highest) noexcept nogil:
    plane.lowest, plane.highest = lowest, highest
    plane.scale = funkc_find_scale(lowest, highest)


cdef inline void put_in(const Plane *plane, const value_t *values, const uint8_t *seen, int64_t n,
                        float *pixels) noexcept nogil:
    """Take over what is seen."""
    cdef int64_t i
    for i in range(n):
        pixels[i] = funkc_scale_in(plane.scale, values[i]) if seen[i] else 0
