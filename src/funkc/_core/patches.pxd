"""Patches of an image, group by group.  The arithmetic stands in patches.h."""
from libc.stdint cimport int64_t, uint8_t


cdef extern from "patches.h" nogil:
    int REACH "FUNKC_REACH"
    ctypedef struct funkc_group:
        int n
        int factors
        int *tops
        int *lefts
    ctypedef struct funkc_picture:
        const float *pixels
        const uint8_t *observed
        Py_ssize_t channels
        Py_ssize_t height
        Py_ssize_t width
    void funkc_group_find(funkc_group *group, const funkc_picture *picture, int size,
                          Py_ssize_t top, Py_ssize_t left, int reach, int wanted)
    void funkc_group_fit(funkc_group *group)
    void funkc_group_add(const funkc_group *group, const funkc_picture *picture, int size,
                         float *total, float *weight)


cdef enum:
    BAND = 32                   # rows where the patches of a band begin
    SIMILAR = 60                # patches of a group


cdef struct PatchTask:
    funkc_picture picture
    int size
    int factors
    int64_t row                 # of a band, the first and the last
    int64_t last_row
    bint everywhere             # complete patches too
    uint8_t *covered            # (height, width) whether the patch that begins here was in a group
    float *total                # (channels, height, width)
    float *weight


cdef inline bint unknown_in(const PatchTask *task, int64_t top, int64_t left) noexcept nogil:
    cdef:
        const funkc_picture *picture = &task.picture
        int64_t c, i, j
        const uint8_t *row
    for c in range(picture.channels):
        for i in range(task.size):
            row = picture.observed + (c * picture.height + top + i) * picture.width + left
            for j in range(task.size):
                if row[j] == 0:
                    return True
    return False


cdef inline void patch_band(const PatchTask *task, funkc_group *group, int64_t band) noexcept nogil:
    """All groups whose first patch begins in those rows of the band, in raster order."""
    cdef:
        const funkc_picture *picture = &task.picture
        int64_t top, left
        int64_t last = min(band * BAND + task.last_row, picture.height - task.size + 1)
        int i
    for top in range(band * BAND + task.row, last):
        for left in range(picture.width - task.size + 1):
            if (task.covered[top * picture.width + left]
                    or not (task.everywhere or unknown_in(task, top, left))):
                continue
            funkc_group_find(group, picture, task.size, top, left, REACH, SIMILAR)
            for i in range(group.n):
                task.covered[group.tops[i] * picture.width + group.lefts[i]] = 1
            group.factors = task.factors
            funkc_group_fit(group)
            funkc_group_add(group, picture, task.size, task.total, task.weight)
