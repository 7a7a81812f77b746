"""The random numbers: a pure integer function of (seed, counter), and nothing else.

SplitMix64 (Steele, Lea & Flood 2014, "Fast splittable pseudorandom number generators",
OOPSLA) read at any place: the same on every machine, in any order and on any thread.
"""
from libc.stdint cimport int64_t, uint64_t

cdef enum Purpose:          # each use draws from a stream of its own
    ROW_ORDER = 1
    COL_ORDER = 2
    ROW_START = 3
    COL_START = 4
    HELD_OUT = 5
    TILE_START = 6
    FOLD = 7
    SEARCH = 8
    UNOBSERVED = 9
    SPLIT = 10


cdef inline uint64_t mixed(uint64_t z) noexcept nogil:
    z = (z ^ (z >> 30)) * <uint64_t>0xbf58476d1ce4e5b9
    z = (z ^ (z >> 27)) * <uint64_t>0x94d049bb133111eb
    return z ^ (z >> 31)


cdef inline uint64_t stream(uint64_t seed, uint64_t counter) noexcept nogil:
    return mixed(seed + (counter + 1) * <uint64_t>0x9e3779b97f4a7c15)


cdef inline uint64_t stream_seed(uint64_t seed, Purpose purpose) noexcept nogil:
    return stream(mixed(seed), <uint64_t>purpose)


cdef inline uint64_t below(uint64_t seed, uint64_t counter, uint64_t bound) noexcept nogil:
    """A number in 0 ... bound - 1."""
    cdef uint64_t bits = stream(seed, counter)
    if bound <= <uint64_t>0xffffffff:
        return ((bits >> 32) * bound) >> 32
    return bits % bound


cdef inline double noise(uint64_t seed, uint64_t counter) noexcept nogil:
    """Mean 0, variance 1: four 16-bit uniforms added, exact in every step but the last."""
    cdef uint64_t bits = stream(seed, counter)
    cdef int64_t total = <int64_t>((bits & 0xffff) + ((bits >> 16) & 0xffff)
                                   + ((bits >> 32) & 0xffff) + (bits >> 48))
    return <double>(total - 131070) * 2.6428997918226276e-05   # sqrt(3) / 65536
