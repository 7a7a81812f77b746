"""Masks of a picture.  The logic stands in masks.h."""
from libc.stdint cimport int64_t, uint8_t


cdef extern from "masks.h" nogil:
    int WIDE "FUNKC_WIDE"
    int64_t funkc_wide_holes(const uint8_t *seen, Py_ssize_t height, Py_ssize_t width, int side,
                             uint8_t *wide, uint8_t *since)
    bint funkc_in_strokes(const uint8_t *seen, Py_ssize_t height, Py_ssize_t width)
    void funkc_halve_mask(const uint8_t *seen, Py_ssize_t height, Py_ssize_t width,
                          uint8_t *coarse)
    void funkc_mark_waiting(const uint8_t *seen, Py_ssize_t channels, Py_ssize_t depth,
                            Py_ssize_t height, Py_ssize_t width, int size, int deep,
                            uint8_t *waiting)
