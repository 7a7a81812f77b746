"""Pyramids of planes.  The arithmetic stands in pyramid.h."""
from libc.stdint cimport uint8_t


cdef extern from "pyramid.h" nogil:
    Py_ssize_t funkc_pyramid_size(Py_ssize_t height, Py_ssize_t width)
    void funkc_halve(const float *plane, const uint8_t *seen, Py_ssize_t height,
                     Py_ssize_t width, float *coarse)
    void funkc_fill_smoothly(float *plane, const uint8_t *seen, const uint8_t *wide,
                             const float *weight, Py_ssize_t height, Py_ssize_t width,
                             float *pyramid)
    void funkc_enlarge(const float *coarse, float *plane, const uint8_t *seen,
                       Py_ssize_t height, Py_ssize_t width, float *made)
