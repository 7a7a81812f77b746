"""Entries drawn at random: some that are not observed, or a few of those that are."""
from libc.stdint cimport int64_t, uint64_t
from libc.string cimport memmove
from funkc._core.stream cimport SPLIT, UNOBSERVED, below, stream, stream_seed


cdef int64_t place_of(const int64_t *drawn, int64_t n, int64_t rank) noexcept nogil:
    """How many of the sorted numbers are smaller."""
    cdef int64_t low = 0, high = n, middle
    while low < high:
        middle = (low + high) // 2
        if drawn[middle] < rank:
            low = middle + 1
        else:
            high = middle
    return low


cdef int64_t draw_row(const int64_t *seen, int64_t n_seen, int64_t n_cols, int64_t wanted,
                      uint64_t seed, uint64_t counter, int64_t *out) noexcept nogil:
    """Different columns that a row has not seen, in order; their number, which is less than wanted
    where there are no more.  Every choice is equally likely (R. W. Floyd's algorithm; J. Bentley,
    "Programming pearls: a sample of brilliance", 1987)."""
    cdef:
        int64_t left = n_cols - n_seen, n = min(wanted, left), drawn = 0, last, rank, place
        int64_t passed = 0, c
    for last in range(left - n, left):
        rank = <int64_t>below(seed, counter + <uint64_t>drawn, <uint64_t>last + 1)
        place = place_of(out, drawn, rank)
        if place < drawn and out[place] == rank:
            rank = last
            place = drawn
        memmove(out + place + 1, out + place, (drawn - place) * sizeof(int64_t))
        out[place] = rank
        drawn += 1
    for c in range(n):                  # the nth of those that are not seen is a column
        while passed < n_seen and seen[passed] <= out[c] + passed:
            passed += 1
        out[c] += passed
    return n


def unobserved(const int64_t[::1] first, const int64_t[::1] seen, int64_t n_cols, int64_t wanted,
               uint64_t seed, int64_t[::1] rows, int64_t[::1] cols):
    """Draw columns for every row whose columns seen[first[i]] ... are sorted and different, unless
    it has none; returns how many entries were written."""
    cdef:
        int64_t i, n = 0, found, c, n_seen
        uint64_t own = stream_seed(seed, UNOBSERVED)
        const int64_t *columns = &seen[0]
    with nogil:
        for i in range(first.shape[0] - 1):
            n_seen = first[i + 1] - first[i]
            if n_seen == 0 or n_seen == n_cols:
                continue
            found = draw_row(columns + first[i], n_seen, n_cols, wanted, own,
                             <uint64_t>i * <uint64_t>wanted, &cols[n])
            for c in range(found):
                rows[n + c] = i
            n += found
    return n


def keys(const int64_t[::1] rows, const int64_t[::1] cols, int64_t n_cols, uint64_t seed,
         uint64_t[::1] out):
    """A random number for every entry, by its place and the seed alone."""
    cdef:
        int64_t c
        uint64_t own = stream_seed(seed, SPLIT)
    with nogil:
        for c in range(rows.shape[0]):
            out[c] = stream(own, <uint64_t>rows[c] * <uint64_t>n_cols + <uint64_t>cols[c])
