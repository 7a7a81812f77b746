"""Memory, of the caller's own making if it wishes."""
from libc.stdlib cimport calloc, free, malloc
from libc.string cimport memset
from funkc.capi cimport funkc_memory


cdef extern from "pages.h" nogil:
    void funkc_ask_for_large_pages(void *memory, size_t bytes)


cdef inline void *obtain(const funkc_memory *memory, size_t n, size_t size) noexcept nogil:
    """Room for n things, at least one; NULL if there is none."""
    cdef void *room
    n = max(n, <size_t>1)
    if size and n > <size_t>0x7fffffffffffffff // size:
        return NULL
    if memory != NULL:
        return memory.allocate(n * size, memory.user)
    room = malloc(n * size)
    funkc_ask_for_large_pages(room, n * size)
    return room


cdef inline void *obtain_zeros(const funkc_memory *memory, size_t n, size_t size) noexcept nogil:
    cdef void *room
    n = max(n, <size_t>1)
    if memory == NULL:
        room = calloc(n, size)
        funkc_ask_for_large_pages(room, n * size)
        return room
    room = obtain(memory, n, size)
    if room != NULL:
        memset(room, 0, n * size)
    return room


cdef inline void give_back(const funkc_memory *memory, void *room) noexcept nogil:
    if memory == NULL:
        free(room)
    elif room != NULL:
        memory.release(room, memory.user)
