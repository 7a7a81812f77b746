"""Small dense factorizations side by side: tiles of a picture, and groups of its patches.

This one source is built once per instruction set (see setup.py).

Design
a. The arithmetic stands in tiles.h and patches.h: one tile, or one patch, in every lane of a
   vector.  Lanes never meet, so the length of the vectors leaves no trace in the bits.
b. What is made is added to two sums over the picture, of values and of their weights.  Bands
   of the picture that are worked on side by side lie so far apart that none adds to a pixel of
   another, and each is worked through in order: the sums don't depend on the threads.
c. The caller names the bands of a call, so it decides how long one lasts.
d. Nothing here raises, allocates, prints or takes the GIL.
"""
from cython.parallel cimport prange
from libc.stdint cimport int64_t, uint64_t, uint8_t
from funkc._stream cimport TILE_START, noise, stream_seed


cdef extern from "tiles.h" nogil:
    int TILE
    int LANES
    int MOST_FACTORS
    ctypedef struct funkc_tiles:
        void *values
        void *observed
        void *u
        void *v
    void funkc_tiles_fit(funkc_tiles *tiles, int height, int width, int k, int n_sweeps,
                         float ridge, float smooth)


cdef extern from "patches.h" nogil:
    int REACH
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


cdef extern from "claims.h" nogil:
    int64_t funkc_add(int64_t *p, int64_t value)


cdef extern from "float_state.h" nogil:
    unsigned long long funkc_float_begin()
    void funkc_float_end(unsigned long long state)


cdef enum:
    BAND = 32                   # rows where the patches of a band begin
    SIMILAR = 60                # patches of a group
    LEAST_SEEN = 8              # pixels that a tile must show

TILE_SIDE = TILE
BAND_ROWS = BAND
FACTORS = MOST_FACTORS
TILES_BYTES = sizeof(funkc_tiles)   # of scratch, of zeros, for a thread
GROUP_BYTES = sizeof(funkc_group)
SPARE = 64                      # numbers behind the pixels, which vectors may read


# ---------------------------------------------------------------- tiles

cdef struct Tiling:
    const float *pixels         # (height, width) what is to be fitted
    const uint8_t *observed
    int64_t height
    int64_t width
    int64_t n_down              # tiles
    int64_t n_across
    int tall                    # of one tile
    int wide
    int k
    int n_sweeps
    float ridge
    float smooth
    uint64_t seed
    bint everywhere             # complete tiles too
    float *total
    float *weight


cdef inline int64_t begin_of(int64_t i, int64_t n, int64_t length, int64_t tile) noexcept nogil:
    """Where the i-th of n tiles begins: they are spread evenly from edge to edge."""
    return i * (length - tile) // (n - 1) if n > 1 else 0


cdef inline float window(int a, int n) noexcept nogil:
    """How much the a-th of a tile's n rows counts: least at the edges, where tiles overlap."""
    cdef float t = (<float>a + <float>0.5) / <float>n
    t = 4 * t * (1 - t)
    return t * t + <float>1e-3


cdef bint is_of_use(const Tiling *tiling, int64_t top, int64_t left) noexcept nogil:
    """Whether the tile has holes, and enough around them."""
    cdef int i, j, seen = 0
    cdef const uint8_t *row
    for i in range(tiling.tall):
        row = tiling.observed + (top + i) * tiling.width + left
        for j in range(tiling.wide):
            seen += row[j]
    if seen < min(<int>LEAST_SEEN, tiling.tall * tiling.wide // 2):
        return False
    return tiling.everywhere or seen < tiling.tall * tiling.wide


cdef void fit_tiles(const Tiling *tiling, funkc_tiles *tiles, int64_t top, int64_t down,
                    const int64_t *across, int n) noexcept nogil:
    """Up to LANES tiles of one row of tiles."""
    cdef:
        float *values = <float *>tiles.values
        float *observed = <float *>tiles.observed
        float *factors
        int i, j, lane, side
        int64_t at, left, entry
        uint64_t counter
        float by, mean, count
        float[16] means
    for lane in range(LANES):
        means[lane] = 0
        if lane >= n:
            for i in range(TILE * TILE):
                values[i * LANES + lane] = observed[i * LANES + lane] = 0
        else:
            left = begin_of(across[lane], tiling.n_across, tiling.width, tiling.wide)
            mean = count = 0
            for i in range(tiling.tall):
                at = (top + i) * tiling.width + left
                for j in range(tiling.wide):
                    entry = (i * TILE + j) * LANES + lane
                    observed[entry] = tiling.observed[at + j]
                    values[entry] = tiling.pixels[at + j] if tiling.observed[at + j] else 0
                    mean += values[entry]
                    count += observed[entry]
            means[lane] = mean / count if count > 0 else 0
            for i in range(tiling.tall):
                for j in range(tiling.wide):
                    entry = (i * TILE + j) * LANES + lane
                    values[entry] -= means[lane] * observed[entry]
        for side in range(2):
            factors = <float *>(tiles.v if side else tiles.u)
            for i in range((tiling.wide if side else tiling.tall) * tiling.k):
                counter = 0
                if lane < n:
                    counter = <uint64_t>(down * tiling.n_across + across[lane])
                counter = (counter * 2 + side) * TILE * MOST_FACTORS + i
                factors[i * LANES + lane] = <float>(0.1 * noise(tiling.seed, counter))
    funkc_tiles_fit(tiles, tiling.tall, tiling.wide, tiling.k, tiling.n_sweeps, tiling.ridge,
                    tiling.smooth)
    for lane in range(n):
        left = begin_of(across[lane], tiling.n_across, tiling.width, tiling.wide)
        for i in range(tiling.tall):
            at = (top + i) * tiling.width + left
            for j in range(tiling.wide):
                by = window(i, tiling.tall) * window(j, tiling.wide)
                tiling.total[at + j] += by * (values[(i * TILE + j) * LANES + lane] + means[lane])
                tiling.weight[at + j] += by


cdef void row_of_tiles(const Tiling *tiling, funkc_tiles *tiles, int64_t down) noexcept nogil:
    cdef:
        int64_t top = begin_of(down, tiling.n_down, tiling.height, tiling.tall)
        int64_t[16] across
        int64_t c
        int n = 0
    for c in range(tiling.n_across):
        if is_of_use(tiling, top, begin_of(c, tiling.n_across, tiling.width, tiling.wide)):
            across[n] = c
            n += 1
        if n == LANES or (n > 0 and c == tiling.n_across - 1):
            fit_tiles(tiling, tiles, top, down, across, n)
            n = 0


cdef void tile_worker(const Tiling *tiling, funkc_tiles *tiles, int64_t *next, int64_t last,
                      int64_t stride) noexcept nogil:
    cdef unsigned long long state = funkc_float_begin()
    cdef int64_t down = funkc_add(next, stride)
    while down < last:
        row_of_tiles(tiling, tiles, down)
        down = funkc_add(next, stride)
    funkc_float_end(state)


def fit_rows_of_tiles(
    const float[:, ::1] pixels, const uint8_t[:, ::1] observed, int64_t n_down, int64_t n_across,
    int k, int n_sweeps, float ridge, float smooth, uint64_t seed, int64_t first, int64_t last,
    int64_t stride, bint everywhere, int n_threads, float[:, ::1] total, float[:, ::1] weight,
    uint8_t[::1] scratch,
):
    """Add the rows of tiles first, first + stride, ... to the sums."""
    cdef:
        Tiling tiling
        funkc_tiles *tiles
        int64_t next = first
        int w
        int workers = max(1, min(n_threads, <int>((last - first + stride - 1) // stride)))
    tiling.pixels = &pixels[0, 0]
    tiling.observed = &observed[0, 0]
    tiling.height, tiling.width = pixels.shape[0], pixels.shape[1]
    tiling.n_down, tiling.n_across = n_down, n_across
    tiling.tall = <int>min(<int64_t>TILE, tiling.height)
    tiling.wide = <int>min(<int64_t>TILE, tiling.width)
    tiling.k, tiling.n_sweeps = k, n_sweeps
    tiling.ridge, tiling.smooth = ridge, smooth
    tiling.seed = stream_seed(seed, TILE_START)
    tiling.everywhere = everywhere
    tiling.total, tiling.weight = &total[0, 0], &weight[0, 0]
    tiles = <funkc_tiles *>&scratch[0]
    with nogil:
        for w in prange(workers, num_threads=workers, schedule="static", chunksize=1):
            tile_worker(&tiling, tiles + w, &next, last, stride)


# ---------------------------------------------------------------- patches

cdef struct Patching:
    funkc_picture picture
    int size
    int factors
    bint everywhere             # complete patches too
    uint8_t *covered            # (height, width) whether the patch that begins here was in a group
    float *total                # (channels, height, width)
    float *weight


cdef bint unknown_in(const Patching *patching, int64_t top, int64_t left) noexcept nogil:
    cdef:
        const funkc_picture *picture = &patching.picture
        int64_t c, i, j
        const uint8_t *row
    for c in range(picture.channels):
        for i in range(patching.size):
            row = picture.observed + (c * picture.height + top + i) * picture.width + left
            for j in range(patching.size):
                if row[j] == 0:
                    return True
    return False


cdef void patch_band(const Patching *patching, funkc_group *group, int64_t band) noexcept nogil:
    """All groups whose first patch begins in the band's rows, in raster order."""
    cdef:
        const funkc_picture *picture = &patching.picture
        int64_t top, left
        int64_t last = min((band + 1) * BAND, picture.height - patching.size + 1)
        int i
    for top in range(band * BAND, last):
        for left in range(picture.width - patching.size + 1):
            if (patching.covered[top * picture.width + left]
                    or not (patching.everywhere or unknown_in(patching, top, left))):
                continue
            funkc_group_find(group, picture, patching.size, top, left, REACH, SIMILAR)
            for i in range(group.n):
                patching.covered[group.tops[i] * picture.width + group.lefts[i]] = 1
            group.factors = patching.factors
            funkc_group_fit(group)
            funkc_group_add(group, picture, patching.size, patching.total, patching.weight)


cdef void patch_worker(const Patching *patching, funkc_group *group, int64_t *next, int64_t last,
                       int64_t stride) noexcept nogil:
    cdef unsigned long long state = funkc_float_begin()
    cdef int64_t band = funkc_add(next, stride)
    while band < last:
        patch_band(patching, group, band)
        band = funkc_add(next, stride)
    funkc_float_end(state)


def fit_bands_of_patches(
    const float[::1] pixels, const uint8_t[::1] observed, int64_t channels, int64_t height,
    int64_t width, int size, int factors, int64_t first, int64_t last, int64_t stride,
    bint everywhere, int n_threads, uint8_t[::1] covered, float[::1] total, float[::1] weight,
    uint8_t[::1] scratch,
):
    """Add the bands first, first + stride, ... to the sums."""
    cdef:
        Patching patching
        funkc_group *groups
        int64_t next = first
        int w
        int workers = max(1, min(n_threads, <int>((last - first + stride - 1) // stride)))
    patching.picture.pixels = &pixels[0]
    patching.picture.observed = &observed[0]
    patching.picture.channels = channels
    patching.picture.height, patching.picture.width = height, width
    patching.size, patching.factors = size, factors
    patching.everywhere = everywhere
    patching.covered = &covered[0]
    patching.total, patching.weight = &total[0], &weight[0]
    groups = <funkc_group *>&scratch[0]
    with nogil:
        for w in prange(workers, num_threads=workers, schedule="static", chunksize=1):
            patch_worker(&patching, groups + w, &next, last, stride)
