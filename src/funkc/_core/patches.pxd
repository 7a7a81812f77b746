"""Patches of a picture, group by group.  The arithmetic stands in patches.h."""
from libc.stdint cimport int64_t, uint8_t
from libc.string cimport memchr


cdef extern from "patches.h" nogil:
    int REACH "FUNKC_REACH"
    int MOST_PLACES "FUNKC_COLS"
    ctypedef struct funkc_group:
        int n
        Py_ssize_t *begins
    ctypedef struct funkc_picture:
        const float *pixels
        const uint8_t *observed
        Py_ssize_t channels
        Py_ssize_t depth
        Py_ssize_t height
        Py_ssize_t width
    ctypedef struct funkc_pass:
        int size
        int deep
        int reach
        int reach_deep
        int similar
        bint backwards
        bint from_right
        int directions
        float noise
    void funkc_group_find(funkc_group *group, const funkc_picture *picture,
                          const funkc_pass *how, Py_ssize_t first, Py_ssize_t top,
                          Py_ssize_t left)
    void funkc_group_fit(funkc_group *group, const funkc_pass *how)
    void funkc_group_add(const funkc_group *group, const funkc_picture *picture,
                         const funkc_pass *how, float *total, float *weight, uint8_t *counts)


cdef enum:
    BAND = 64                   # rows where the patches of a band begin: bands of a wave don't meet
    REACH_FRAMES = 8            # the same within the frames of a stack, and rows for it
    BAND_FRAMES = 24
    REACH_DEEP = 2
    SIMILAR = 60                # patches of a group


cdef struct PatchTask:
    funkc_picture picture
    funkc_pass how
    int64_t band                # rows where the patches of one begin
    int enough                  # patches that speak of a hole; 0: never enough
    int64_t first               # lines of a band: a row of one frame each, in the order of the scan
    int64_t last
    bint everywhere             # complete patches too
    uint8_t *waiting            # (depth, height, width) see funkc_mark_waiting; 0: was in a group
    uint8_t *counts             # (channels, depth, height, width) patches that spoke of a pixel
    float *total                # (channels, depth, height, width)
    float *weight


cdef inline int64_t frames_of(const PatchTask *task) noexcept nogil:
    return task.picture.depth - task.how.deep + 1


cdef inline bint too_few_in(const PatchTask *task, int64_t begin) noexcept nogil:
    """Whether some hole of the patch has not been spoken of often enough."""
    cdef:
        const funkc_picture *picture = &task.picture
        int64_t frame = picture.height * picture.width, c, i, j, at
    for c in range(picture.channels * task.how.deep):
        for i in range(task.how.size):
            at = (c // task.how.deep * picture.depth + c % task.how.deep) * frame
            at += begin + i * picture.width
            for j in range(at, at + task.how.size):
                if picture.observed[j] == 0 and task.counts[j] < task.enough:
                    return True
    return False


cdef inline void patch_line(const PatchTask *task, funkc_group *group, int64_t first,
                            int64_t top) noexcept nogil:
    cdef:
        const funkc_picture *picture = &task.picture
        int64_t across = picture.width - task.how.size + 1, at, left, begin
        uint8_t *waiting = task.waiting + (first * picture.height + top) * picture.width
        int i
    if not task.everywhere and memchr(waiting, 1, across) == NULL:
        return
    for at in range(across):
        left = across - 1 - at if task.how.from_right else at
        if waiting[left] == 0 or not (task.everywhere or waiting[left] == 1):
            continue
        begin = (first * picture.height + top) * picture.width + left
        if not task.everywhere and task.enough and not too_few_in(task, begin):
            continue
        funkc_group_find(group, picture, &task.how, first, top, left)
        for i in range(group.n):
            task.waiting[group.begins[i]] = 0
        if group.n > 1:
            funkc_group_fit(group, &task.how)
            funkc_group_add(group, picture, &task.how, task.total, task.weight,
                            task.counts if task.enough else NULL)


cdef inline void patch_band(const PatchTask *task, funkc_group *group, int64_t band) noexcept nogil:
    """All groups whose first patch begins in those lines of the band, in the order of the scan."""
    cdef:
        int64_t frames = frames_of(task), rows = task.picture.height - task.how.size + 1
        int64_t line, row, first
    for line in range(task.first, task.last):
        row, first = band * task.band + line // frames, line % frames
        if row >= rows:
            return
        if task.how.backwards:
            row, first = rows - 1 - row, frames - 1 - first
        patch_line(task, group, first, row)
