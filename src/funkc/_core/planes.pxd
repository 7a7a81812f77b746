"""Planes: channels as float32 between 0 and 1.  The arithmetic stands in planes.h."""
from libc.stdint cimport int64_t, uint8_t
from funkc._core.types cimport value_t


cdef extern from "planes.h" nogil:
    int WIDE "FUNKC_WIDE"
    ctypedef struct funkc_scale:
        pass
    int64_t funkc_wide_holes(const uint8_t *seen, Py_ssize_t height, Py_ssize_t width,
                             uint8_t *wide, uint8_t *since)
    bint funkc_in_strokes(const uint8_t *seen, Py_ssize_t height, Py_ssize_t width)
    void funkc_find_range(const float *plane, const uint8_t *seen, Py_ssize_t n, float *low,
                          float *high)
    void funkc_find_usual(double *sample, Py_ssize_t n, double *low, double *high)
    Py_ssize_t funkc_pyramid_size(Py_ssize_t height, Py_ssize_t width)
    void funkc_fill_smoothly(float *plane, const uint8_t *seen, const uint8_t *wide,
                             const float *weight, Py_ssize_t height, Py_ssize_t width,
                             float *pyramid)
    void funkc_put_holes(const float *plane, const uint8_t *seen, const uint8_t *wide,
                         const float *total, const float *weight, Py_ssize_t n, float low,
                         float high, float *out)
    void funkc_put_rest(float *plane, const uint8_t *seen, const float *total,
                        const float *weight, Py_ssize_t n, float *out)
    funkc_scale funkc_find_scale(double low, double high)
    float funkc_scale_in(funkc_scale scale, double value)
    double funkc_scale_out(funkc_scale scale, float made)


cdef struct Plane:              # one channel
    float *pixels
    float *made                 # for every pixel, or NULL
    uint8_t *seen
    uint8_t *wide               # holes that patches don't reach across
    funkc_scale scale
    double lowest               # value that is seen
    double highest
    float low                   # the same of the pixels
    float high
    float smooth
    bint idle                   # complete, and of no use to others


cdef inline void set_range(Plane *plane, double lowest, double highest) noexcept nogil:
    plane.lowest, plane.highest = lowest, highest
    plane.scale = funkc_find_scale(lowest, highest)


cdef inline void put_in(const Plane *plane, const value_t *values, int64_t first,
                        int64_t n) noexcept nogil:
    """Take over what is seen."""
    cdef int64_t i
    for i in range(n):
        plane.pixels[first + i] = (funkc_scale_in(plane.scale, values[i])
                                   if plane.seen[first + i] else 0)
