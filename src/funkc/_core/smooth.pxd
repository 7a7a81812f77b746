"""A smooth fill, of one plane at a time.  The arithmetic stands in smooth.h."""
from libc.stdint cimport int64_t, uint8_t


cdef extern from "smooth.h" nogil:
    ctypedef struct funkc_smooth:
        int64_t *at
        void *around            # of int32_t[4]
        uint8_t *hole
        double *change
        double *step
        double *bent
        double *residual
        double *image
        int64_t n
    int64_t funkc_smooth_count(const uint8_t *seen, Py_ssize_t height, Py_ssize_t width,
                               uint8_t *flags)
    void funkc_smooth_start(funkc_smooth *s, const float *plane, const uint8_t *seen,
                            const uint8_t *flags, Py_ssize_t height, Py_ssize_t width)
    bint funkc_smooth_steps(funkc_smooth *s, int64_t n_steps)
    void funkc_smooth_mix(const funkc_smooth *s, const uint8_t *flags, float part, float low,
                          float high, float *plane, float *made)
