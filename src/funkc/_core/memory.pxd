"""Memory, of the caller's own making if it wishes."""
from libc.stdlib cimport calloc, free, malloc
from libc.string cimport memset
from funkc.capi cimport funkc_memory


cdef inline void *obtain(const funkc_memory *memory, size_t n, size_t size) noexcept nogil:
    """Room for n things, at least one; NULL if there is none."""
    n = max(n, <size_t>1)
    if size and n > <size_t>0x7fffffffffffffff // size:
        return NULL
    return malloc(n * size) if memory == NULL else memory.allocate(n * size, memory.user)


cdef inline void *obtain_zeros(const funkc_memory *memory, size_t n, size_t size) noexcept nogil:
    if memory == NULL:
        return calloc(max(n, <size_t>1), size)
    cdef void *room = obtain(memory, n, size)
    if room != NULL:
        memset(room, 0, max(n, <size_t>1) * size)
    return room


cdef inline void give_back(const funkc_memory *memory, void *room) noexcept nogil:
    if memory == NULL:
        free(room)
    elif room != NULL:
        memory.release(room, memory.user)
