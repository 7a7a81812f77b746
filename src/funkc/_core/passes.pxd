"""Passes of patches over a picture.  Which they are stands in passes.h."""


cdef extern from "passes.h" nogil:
    ctypedef struct funkc_step:
        int size
        int directions
        int enough
        float threshold
    ctypedef struct funkc_passes:
        bint coarse
        int n
        const funkc_step *steps
        float smooth
    ctypedef struct funkc_look:
        double missing
        bint strokes
        bint thick
        bint thicker
        double wide
    const funkc_passes FUNKC_COARSE_PLAN
    double HALVED_FROM "FUNKC_HALVED_FROM"
    funkc_passes funkc_choose_passes(funkc_look look, int joined, int stacked, bint own)
