cdef int granted(int wanted) noexcept nogil
