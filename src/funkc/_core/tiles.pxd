"""Tiles of a plane: cut out, fitted and blended.  The arithmetic stands in tiles.h."""
from libc.stdint cimport int64_t, uint64_t, uint8_t
from funkc._core.stream cimport noise


cdef extern from "tiles.h" nogil:
    int TILE "FUNKC_TILE"
    int LENGTH "FUNKC_LENGTH"   # tiles that are fitted side by side, up to sixteen
    int RANK "FUNKC_RANK"
    ctypedef struct funkc_tiles:
        void *values
        void *observed
        void *u
        void *v
    float funkc_usual_smooth(double missing)
    void funkc_tiles_fit(funkc_tiles *tiles, int height, int width, int k, int n_sweeps,
                         float ridge, float smooth)


cdef enum:
    LEAST_SEEN = 8              # pixels that a tile must show
    TILE_STEP = 8


cdef struct TileTask:
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


cdef inline bint is_of_use(const TileTask *task, int64_t top, int64_t left) noexcept nogil:
    """Whether the tile has holes, and enough around them."""
    cdef int i, j, seen = 0
    cdef const uint8_t *row
    for i in range(task.tall):
        row = task.observed + (top + i) * task.width + left
        for j in range(task.wide):
            seen += row[j]
    if seen < min(<int>LEAST_SEEN, task.tall * task.wide // 2):
        return False
    return task.everywhere or seen < task.tall * task.wide


cdef inline void fit_tiles(const TileTask *task, funkc_tiles *tiles, int64_t top, int64_t down,
                           const int64_t *across, int n) noexcept nogil:
    """Up to LENGTH tiles of one row of tiles."""
    cdef:
        float *values = <float *>tiles.values
        float *observed = <float *>tiles.observed
        float *factors
        int i, j, lane, side
        int64_t at, left, entry
        uint64_t counter
        float by, mean, count
        float[16] means
    for lane in range(LENGTH):
        means[lane] = 0
        if lane >= n:
            for i in range(TILE * TILE):
                values[i * LENGTH + lane] = observed[i * LENGTH + lane] = 0
        else:
            left = begin_of(across[lane], task.n_across, task.width, task.wide)
            mean = count = 0
            for i in range(task.tall):
                at = (top + i) * task.width + left
                for j in range(task.wide):
                    entry = (i * TILE + j) * LENGTH + lane
                    observed[entry] = task.observed[at + j]
                    values[entry] = task.pixels[at + j] if task.observed[at + j] else 0
                    mean += values[entry]
                    count += observed[entry]
            means[lane] = mean / count if count > 0 else 0
            for i in range(task.tall):
                for j in range(task.wide):
                    entry = (i * TILE + j) * LENGTH + lane
                    values[entry] -= means[lane] * observed[entry]
        for side in range(2):
            factors = <float *>(tiles.v if side else tiles.u)
            for i in range((task.wide if side else task.tall) * task.k):
                counter = 0
                if lane < n:
                    counter = <uint64_t>(down * task.n_across + across[lane])
                counter = (counter * 2 + side) * TILE * RANK + i
                factors[i * LENGTH + lane] = <float>(0.1 * noise(task.seed, counter))
    funkc_tiles_fit(tiles, task.tall, task.wide, task.k, task.n_sweeps, task.ridge,
                    task.smooth)
    for lane in range(n):
        left = begin_of(across[lane], task.n_across, task.width, task.wide)
        for i in range(task.tall):
            at = (top + i) * task.width + left
            for j in range(task.wide):
                by = window(i, task.tall) * window(j, task.wide)
                task.total[at + j] += by * (values[(i * TILE + j) * LENGTH + lane] + means[lane])
                task.weight[at + j] += by


cdef inline void row_of_tiles(const TileTask *task, funkc_tiles *tiles,
                              int64_t down) noexcept nogil:
    cdef:
        int64_t top = begin_of(down, task.n_down, task.height, task.tall)
        int64_t[16] across
        int64_t c
        int n = 0
    for c in range(task.n_across):
        if is_of_use(task, top, begin_of(c, task.n_across, task.width, task.wide)):
            across[n] = c
            n += 1
        if n == LENGTH or (n > 0 and c == task.n_across - 1):
            fit_tiles(task, tiles, top, down, across, n)
            n = 0


cdef inline int64_t n_tiles(int64_t length) noexcept nogil:
    """How many tiles, one TILE_STEP behind the other, cover a side."""
    return 1 + max(<int64_t>0, (length - TILE + TILE_STEP - 1) // TILE_STEP)
