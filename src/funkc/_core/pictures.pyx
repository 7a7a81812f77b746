"""Image inpainting: by tiles, and by similar patches.

This one source is built once per instruction set (see setup.py).

Design
a. All data are planes of float32 between 0 and 1, with masks of the observed pixels.
b. Tiles are small matrices, rows by columns, whose factors are smooth.  Their product is as
   good as biharmonic inpainting.
c. With patches, a row is one of sixty similar patches, and a column is a pixel position in
   them.  Each pass starts from the result of the previous one.  The first passes use larger
   patches and fewer factors, because they must reach further.
d. Missing regions wider than the patches can reach across are filled smoothly.
e. The work on one tile, group or plane is in tiles.pxd, patches.pxd and planes.pxd, and the
   arithmetic in the headers of the same names: one tile, or one patch, in every lane of a
   vector.  Lanes are independent, so the length of the vectors does not affect the bits.
f. Results are added to two sums over the image, of values and of their weights.  Bands of the
   image that are processed in parallel are so far apart that none adds to a pixel of another,
   and each is processed in order: the sums don't depend on the threads.
g. A restoration allocates all its memory when it is created; then it works in parts, between
   which signals are handled.  Its owner frees it.  Nothing here raises, prints or takes the
   GIL, so that Python and other extensions share the code.

Sources: matrix completion by patches, as in "LSSC" (Mairal et al. 2009) and "PLE" (Yu, Sapiro
& Mallat 2012), with probabilistic PCA (Tipping & Bishop 1999).
"""
from cpython.pycapsule cimport PyCapsule_GetPointer, PyCapsule_New
from cython.parallel cimport prange
from libc.math cimport isfinite
from libc.stdint cimport int64_t, uint64_t, uint8_t
from libc.string cimport memcpy, memset
from funkc._core.memory cimport give_back, obtain, obtain_zeros
from funkc._core.patches cimport BAND, PatchTask, funkc_group, patch_band
from funkc._core.planes cimport (
    WIDE, Plane, funkc_fill_smoothly, funkc_find_range, funkc_find_usual, funkc_in_strokes,
    funkc_put_holes, funkc_put_rest, funkc_pyramid_size, funkc_scale_out, funkc_wide_holes, put_in,
    set_range,
)
from funkc._core.stream cimport TILE_START, stream_seed
from funkc._core.tiles cimport RANK, TILE, TileTask, funkc_tiles, n_tiles, row_of_tiles
from funkc._core.types cimport (
    BAD_OPTION, BAD_SHAPE, CANCELLED, MORE, NO_MEMORY, NOT_FINITE, NOTHING_SEEN, OK, PATCHES,
    TILES, PicturesTable,
)
from funkc.capi cimport funkc_memory


cdef extern from "claims.h" nogil:
    int64_t funkc_add(int64_t *p, int64_t value)


cdef extern from "float_state.h" nogil:
    unsigned long long funkc_float_begin()
    void funkc_float_end(unsigned long long state)


cdef enum:
    TILE_WAVES = 3
    TILE_FACTORS = 8
    TILES_AT_ONCE = 4096        # of a thread, with the usual factors and sweeps: some .2 s
    SWEEPS_SCATTERED = 14
    SWEEPS_STROKES = 20
    PATCH_WAVES = 2
    PLACES_AT_ONCE = 32768      # of a thread, twice, where patches begin: some .2 s
    N_PASSES = 4
    SIZE_STROKES = 8            # side of a patch
    SIZE_JOINT = 4              # of one that holds all channels
    MOST_JOINT = 8              # channels that are taken together
    LEAST_SIDE = 4              # of a picture that has patches
    SPARE = 64                  # numbers behind the pixels, which vectors may read
    MOST_SIDE = 1 << 30
    LINE = 64                   # bytes of the cache
    LARGEST_SAMPLE = 65536      # of the pixels of a channel, for their usual range

cdef float RIDGE = 0.01
cdef float SMOOTH = 0.1
cdef float SMOOTH_DENSE = 0.03  # when less than MOSTLY_SEEN is missing
cdef double MOSTLY_SEEN = 0.45
cdef int[4] PASS_FACTORS = [4, 6, 8, 12]
cdef int[4] SIZES_SCATTERED = [8, 8, 6, 6]

cdef int64_t SCRATCH = max(sizeof(funkc_tiles), sizeof(funkc_group)) // LINE * LINE + LINE

MOST_RANK = RANK
largest_sample = LARGEST_SAMPLE
WIDE_SIDE = WIDE


# ---------------------------------------------------------------- tiles

cdef void tile_worker(const TileTask *task, funkc_tiles *tiles, int64_t *next,
                      int64_t last) noexcept nogil:
    cdef unsigned long long state = funkc_float_begin()
    cdef int64_t down = funkc_add(next, TILE_WAVES)
    while down < last:
        row_of_tiles(task, tiles, down)
        down = funkc_add(next, TILE_WAVES)
    funkc_float_end(state)


cdef void fit_rows_of_tiles(const TileTask *task, uint8_t *scratch, int64_t first,
                            int64_t last, int n_threads) noexcept nogil:
    """Add the rows of tiles first, first + TILE_WAVES, ... to the sums."""
    cdef:
        int64_t next = first
        int w
        int workers = <int>min(<int64_t>n_threads, (last - first + TILE_WAVES - 1) // TILE_WAVES)
    for w in prange(workers, num_threads=workers, schedule="static", chunksize=1):
        tile_worker(task, <funkc_tiles *>(scratch + w * SCRATCH), &next, last)


# ---------------------------------------------------------------- patches

cdef void patch_worker(const PatchTask *task, funkc_group *group, int64_t *next,
                       int64_t last) noexcept nogil:
    cdef unsigned long long state = funkc_float_begin()
    cdef int64_t band = funkc_add(next, PATCH_WAVES)
    while band < last:
        patch_band(task, group, band)
        band = funkc_add(next, PATCH_WAVES)
    funkc_float_end(state)


cdef void fit_bands_of_patches(const PatchTask *task, uint8_t *scratch, int64_t first,
                               int64_t last, int n_threads) noexcept nogil:
    """Add the bands first, first + PATCH_WAVES, ... to the sums."""
    cdef:
        int64_t next = first
        int w
        int workers = <int>min(<int64_t>n_threads, (last - first + PATCH_WAVES - 1) // PATCH_WAVES)
    for w in prange(workers, num_threads=workers, schedule="static", chunksize=1):
        patch_worker(task, <funkc_group *>(scratch + w * SCRATCH), &next, last)


# ---------------------------------------------------------------- a picture

cdef enum Stage:
    NOWHERE
    SURVEY                      # of the masks: what is wide, and whether they are strokes
    SWEEPS                      # over the tiles
    PASSES                      # of patches
    DONE


cdef struct Restoration:
    const funkc_memory *memory  # all is from; or NULL
    int64_t n_planes            # channels
    int64_t height
    int64_t width
    int64_t n_masks             # 1: one for all planes
    int method
    int k                       # 0: the usual ones
    uint64_t seed
    bint everywhere             # something is made for what is seen, too
    bint every_sweep            # somebody watches, for whom all sweeps are done anew
    int n_threads
    bint joint                  # all planes share their patches
    Plane *planes
    float *pixels               # (n_planes, height, width) and SPARE more
    float *made
    uint8_t *seen               # (n_masks, height, width)
    uint8_t *wide
    float *total                # (n_planes if joint else 1, height, width)
    float *weight
    uint8_t *covered            # (height, width)
    float *pyramid
    uint8_t *since              # (width)
    uint8_t *scratch            # SCRATCH for every thread
    uint8_t *room               # where that lies, on a line of the cache
    bint strokes
    int64_t n_wide              # pixels, of all planes
    int n_sweeps
    int n_passes
    int stage
    int step                    # sweep or pass, from 1
    int64_t at                  # plane
    bint complete               # the groups of complete patches are next
    int wave
    int64_t first               # row of tiles, or band
    int64_t row                 # of the band
    int64_t done                # bands, and rows of tiles
    int64_t to_do
    int ended                   # the stage of which a step has ended just now
    int ended_step


cdef void restoration_free(Restoration *r) noexcept nogil:
    give_back(r.memory, r.planes)
    give_back(r.memory, r.pixels)
    give_back(r.memory, r.made)
    give_back(r.memory, r.seen)
    give_back(r.memory, r.wide)
    give_back(r.memory, r.total)
    give_back(r.memory, r.weight)
    give_back(r.memory, r.covered)
    give_back(r.memory, r.pyramid)
    give_back(r.memory, r.since)
    give_back(r.memory, r.room)


cdef bint masks_are_alike(const uint8_t *missing, int64_t n_masks, int64_t n) noexcept nogil:
    cdef int64_t i
    for i in range(n, n_masks * n):
        if (missing[i] == 0) != (missing[i - n] == 0):
            return False
    return True


cdef void go_to(Restoration *r, int64_t plane) noexcept nogil:
    """Begin with the next plane that is worked on."""
    while plane < r.n_planes and r.planes[plane].idle:
        plane += 1
    r.at = plane
    r.complete = False
    r.wave = 0
    r.first = r.row = 0


cdef int restoration_check(const Restoration *r) noexcept nogil:
    if (r.n_planes < 1 or r.height < 1 or r.width < 1 or r.height > MOST_SIDE
            or r.width > MOST_SIDE or r.n_planes > (<int64_t>1 << 58) // (r.height * r.width)):
        return BAD_SHAPE
    if (r.method not in (PATCHES, TILES) or not 0 <= r.k <= RANK or r.n_threads < 1
            or r.n_masks not in (1, r.n_planes)):
        return BAD_OPTION
    return OK


cdef int restoration_create(Restoration *r, const uint8_t *missing) noexcept nogil:
    """Allocates all, and takes over the masks.  What is asked for is set already, all else 0;
    it is to be freed whatever the answer."""
    cdef:
        int64_t n, m, i, hidden
        int64_t threads = r.n_threads
        Plane *plane
        uint8_t *seen
        int status = restoration_check(r)
    if status != OK:
        return status
    n = r.height * r.width
    if masks_are_alike(missing, r.n_masks, n):
        r.n_masks = 1
    # Planes that are complete tell about the others too.
    r.joint = r.method == PATCHES and r.n_masks > 1 and r.n_planes <= MOST_JOINT
    i = r.n_planes * n if r.joint else n
    r.planes = <Plane *>obtain_zeros(r.memory, r.n_planes, sizeof(Plane))
    r.pixels = <float *>obtain(r.memory, r.n_planes * n + SPARE, sizeof(float))
    r.seen = <uint8_t *>obtain(r.memory, r.n_masks, n)
    r.wide = <uint8_t *>obtain_zeros(r.memory, r.n_masks, n)
    r.total = <float *>obtain(r.memory, i, sizeof(float))
    r.weight = <float *>obtain(r.memory, i, sizeof(float))
    r.pyramid = <float *>obtain(
        r.memory, funkc_pyramid_size(r.height, r.width) + 1, sizeof(float))
    r.since = <uint8_t *>obtain(r.memory, r.width, 1)
    r.room = <uint8_t *>obtain_zeros(r.memory, threads * SCRATCH + LINE, 1)
    if (r.planes == NULL or r.pixels == NULL or r.seen == NULL or r.wide == NULL
            or r.total == NULL or r.weight == NULL or r.pyramid == NULL or r.since == NULL
            or r.room == NULL):
        return NO_MEMORY
    r.scratch = r.room + LINE - <size_t>r.room % LINE
    if r.everywhere:
        r.made = <float *>obtain(r.memory, r.n_planes * n, sizeof(float))
        if r.made == NULL:
            return NO_MEMORY
    if r.method == PATCHES:
        r.covered = <uint8_t *>obtain(r.memory, n, 1)
        if r.covered == NULL:
            return NO_MEMORY
    memset(r.pixels + r.n_planes * n, 0, SPARE * sizeof(float))
    for m in range(r.n_planes):
        plane = r.planes + m
        plane.pixels = r.pixels + m * n
        plane.made = r.made + m * n if r.everywhere else NULL
        if m > 0 and r.n_masks == 1:
            plane.seen = r.seen
            plane.wide = r.wide
            plane.smooth = r.planes.smooth
            plane.idle = r.planes.idle
            continue
        plane.seen = seen = r.seen + m * n
        plane.wide = r.wide + m * n
        hidden = 0
        for i in range(n):
            seen[i] = missing[m * n + i] == 0
            hidden += missing[m * n + i] != 0
        if hidden == n:
            return NOTHING_SEEN
        plane.smooth = (SMOOTH_DENSE if <double>(n - hidden) > (1 - MOSTLY_SEEN) * <double>n
                        else SMOOTH)
        plane.idle = hidden == 0 and not (r.joint or r.everywhere)
    go_to(r, 0)
    r.stage = SURVEY if r.at < r.n_planes else DONE
    return OK


cdef int size_of(const Restoration *r, int step) noexcept nogil:
    """The side of a patch."""
    cdef int size = SIZES_SCATTERED[step - 1]
    if r.joint:
        size = SIZE_JOINT
    elif r.strokes:
        size = SIZE_STROKES
    return <int>min(<int64_t>size, min(r.height, r.width))


cdef int64_t n_bands(const Restoration *r, int step) noexcept nogil:
    return (r.height - size_of(r, step) + BAND) // BAND


cdef void end_step(Restoration *r) noexcept nogil:
    r.ended = r.stage
    r.ended_step = r.step
    r.step += 1
    go_to(r, 0)


cdef void survey_part(Restoration *r) noexcept nogil:
    """One plane, and what is to be done after the last one."""
    cdef:
        Plane *plane = r.planes + r.at
        int64_t n = r.height * r.width, n_busy = 0, i
    funkc_find_range(plane.pixels, plane.seen, n, &plane.low, &plane.high)
    if r.at < r.n_masks:
        r.n_wide += funkc_wide_holes(plane.seen, r.height, r.width, plane.wide, r.since)
        r.strokes |= funkc_in_strokes(plane.seen, r.height, r.width)
    go_to(r, r.at + 1)
    if r.at < r.n_planes:
        return
    if r.n_masks == 1:
        r.n_wide *= r.n_planes
    r.n_sweeps = SWEEPS_STROKES if r.strokes else SWEEPS_SCATTERED
    if r.method == PATCHES and min(r.height, r.width) >= LEAST_SIDE:
        r.n_passes = N_PASSES
    for i in range(r.n_planes):
        n_busy += not r.planes[i].idle
    r.to_do = (r.n_sweeps if r.every_sweep else 1) * n_busy * n_tiles(r.height)
    for i in range(1, r.n_passes + 1):
        r.to_do += (1 if r.joint else n_busy) * n_bands(r, <int>i)
    end_step(r)
    r.stage = SWEEPS
    r.step = 1 if r.every_sweep else r.n_sweeps


cdef bint find_part(Restoration *r, int64_t n, int n_waves) noexcept nogil:
    """Whether something is left of the waves."""
    while r.first >= n and r.wave < n_waves:
        r.wave += 1
        r.first = r.wave
    return r.wave < n_waves


cdef void sweep_part(Restoration *r) noexcept nogil:
    """Some rows of tiles, or what they have said of a plane."""
    cdef:
        Plane *plane = r.planes + r.at
        TileTask task
        int64_t n = r.height * r.width, n_at_once, last
    task.n_down, task.n_across = n_tiles(r.height), n_tiles(r.width)
    if r.wave == 0 and r.first == 0:
        memset(r.total, 0, n * sizeof(float))
        memset(r.weight, 0, n * sizeof(float))
    if find_part(r, task.n_down, TILE_WAVES):
        task.pixels, task.observed = plane.pixels, plane.seen
        task.height, task.width = r.height, r.width
        task.tall = <int>min(<int64_t>TILE, r.height)
        task.wide = <int>min(<int64_t>TILE, r.width)
        task.k = r.k if r.k and r.method == TILES else TILE_FACTORS
        task.n_sweeps = r.step
        task.ridge, task.smooth = RIDGE, plane.smooth
        task.seed = stream_seed(r.seed + <uint64_t>(r.at if r.joint else 0), TILE_START)
        task.everywhere = r.everywhere
        task.total, task.weight = r.total, r.weight
        n_at_once = TILES_AT_ONCE * TILE_FACTORS * SWEEPS_SCATTERED // (task.k * r.step)
        n_at_once = r.n_threads * max(<int64_t>2, n_at_once // task.n_across)
        last = min(task.n_down, r.first + TILE_WAVES * n_at_once)
        fit_rows_of_tiles(&task, r.scratch, r.first, last, r.n_threads)
        r.done += (last - r.first + TILE_WAVES - 1) // TILE_WAVES
        r.first += TILE_WAVES * n_at_once
        return
    funkc_fill_smoothly(plane.pixels, plane.seen, plane.wide, r.weight, r.height, r.width,
                        r.pyramid)
    funkc_put_holes(plane.pixels, plane.seen, plane.wide, r.total, r.weight, n, plane.low,
                    plane.high, plane.made if r.everywhere else plane.pixels)
    if r.everywhere:
        funkc_put_rest(plane.pixels, plane.seen, r.total, r.weight, n, plane.made)
    go_to(r, r.at + 1)
    if r.at == r.n_planes:
        end_step(r)
        if r.step > r.n_sweeps:
            r.stage = PASSES if r.n_passes else DONE
            r.step = 1


cdef void pass_part(Restoration *r) noexcept nogil:
    """Some rows of some bands, or what they have said of the planes."""
    cdef:
        Plane *planes = r.planes + r.at
        Plane *plane
        float *total
        float *weight
        int64_t n_planes = r.n_planes if r.joint else 1
        int64_t n = r.height * r.width, n_at_once, last, p
        bint everything = r.everywhere and r.step == r.n_passes
        PatchTask task
    if r.wave == 0 and r.first == 0 and r.row == 0 and not r.complete:
        memset(r.total, 0, n_planes * n * sizeof(float))
        memset(r.weight, 0, n_planes * n * sizeof(float))
        memset(r.covered, 0, n)
    if find_part(r, n_bands(r, r.step), PATCH_WAVES):
        task.picture.pixels, task.picture.observed = planes.pixels, planes.seen
        task.picture.channels = n_planes
        task.picture.height, task.picture.width = r.height, r.width
        task.size = size_of(r, r.step)
        task.factors = r.k if r.k else PASS_FACTORS[N_PASSES - 1]
        if r.step < N_PASSES:
            task.factors = min(task.factors, PASS_FACTORS[r.step - 1])
        task.row = r.row
        task.last_row = min(
            <int64_t>BAND, r.row + max(<int64_t>1, PLACES_AT_ONCE // r.width))
        task.everywhere = r.complete
        task.covered, task.total, task.weight = r.covered, r.total, r.weight
        n_at_once = r.n_threads * max(<int64_t>2, PLACES_AT_ONCE // (BAND * r.width))
        last = min(n_bands(r, r.step), r.first + PATCH_WAVES * n_at_once)
        fit_bands_of_patches(&task, r.scratch, r.first, last, r.n_threads)
        r.row = task.last_row
        if r.row == BAND:
            if not r.complete:
                r.done += (last - r.first + PATCH_WAVES - 1) // PATCH_WAVES
            r.row = 0
            r.first += PATCH_WAVES * n_at_once
        return
    for p in range(n_planes):
        plane = planes + p
        total, weight = r.total + p * n, r.weight + p * n
        if r.complete:
            funkc_put_rest(plane.pixels, plane.seen, total, weight, n, plane.made)
            continue
        funkc_put_holes(plane.pixels, plane.seen, plane.wide, total, weight, n, plane.low,
                        plane.high, plane.made if everything else plane.pixels)
        if r.everywhere and not everything:
            funkc_put_holes(plane.pixels, plane.seen, plane.wide, total, weight, n, plane.low,
                            plane.high, plane.made)
    if everything and not r.complete:
        # Groups of complete patches come after all others, so that the holes are filled as ever.
        r.complete = True
        r.wave = 0
        r.first = 0
        return
    go_to(r, r.at + n_planes)
    if r.at == r.n_planes:
        end_step(r)
        if r.step > r.n_passes:
            r.stage = DONE


cdef int restoration_advance(Restoration *r) noexcept nogil:
    """About 0.2 s of work; MORE until all is done."""
    cdef unsigned long long state = funkc_float_begin()
    r.ended = NOWHERE
    if r.stage == SURVEY:
        survey_part(r)
    elif r.stage == SWEEPS:
        sweep_part(r)
    elif r.stage == PASSES:
        pass_part(r)
    funkc_float_end(state)
    return OK if r.stage == DONE else MORE


# ---------------------------------------------------------------- other extensions' door

cdef int mark_hot(const Restoration *r, const float *image, const uint8_t *missing,
                  uint8_t *own) noexcept nogil:
    """A copy of the masks, in which hot pixels are missing too; of all planes, if they share one.
    NO_MEMORY, or OK."""
    cdef:
        int64_t n = r.height * r.width, step = (n + LARGEST_SAMPLE - 1) // LARGEST_SAMPLE, p, i
        Py_ssize_t found
        const float *pixels
        const uint8_t *mask
        double low, high
        double *sample = <double *>obtain(r.memory, LARGEST_SAMPLE, sizeof(double))
    if sample == NULL:
        return NO_MEMORY
    memcpy(own, missing, r.n_masks * n)
    for p in range(r.n_planes):
        pixels = image + p * n
        mask = missing + (p * n if r.n_masks > 1 else 0)
        found = 0
        i = 0
        while i < n:
            if mask[i] == 0 and isfinite(pixels[i]):
                sample[found] = pixels[i]
                found += 1
            i += step
        funkc_find_usual(sample, found, &low, &high)
        for i in range(n):
            if (mask[i] == 0 and isfinite(pixels[i])
                    and not low <= <double>pixels[i] <= high):
                own[(p * n if r.n_masks > 1 else 0) + i] = 1
    give_back(r.memory, sample)
    return OK


cdef int put_all_in(Restoration *r, const float *image) noexcept nogil:
    cdef:
        int64_t n = r.height * r.width, p, i
        const float *pixels
        float low, high
        Plane *plane
    for p in range(r.n_planes):
        plane = r.planes + p
        pixels = image + p * n
        i = 0
        while not plane.seen[i]:
            i += 1
        low = high = pixels[i]
        for i in range(n):
            if plane.seen[i]:
                if not isfinite(pixels[i]):
                    return NOT_FINITE
                low = min(low, pixels[i])
                high = max(high, pixels[i])
        if not plane.idle:
            set_range(plane, low + <float>0, high + <float>0)   # -0.0 is 0.0
            put_in(plane, pixels, 0, n)
    return OK


cdef void take_all_out(const Restoration *r, const uint8_t *missing, int64_t n_masks,
                       float *image) noexcept nogil:
    """The missing pixels, rounded and clipped to the range of the observed ones."""
    cdef:
        const uint8_t *mask
        int64_t n = r.height * r.width, p, i
        double made
        const Plane *plane
    for p in range(r.n_planes):
        plane = r.planes + p
        if plane.idle:
            continue
        mask = missing + (p * n if n_masks > 1 else 0)
        for i in range(n):
            if mask[i] != 0:
                made = funkc_scale_out(plane.scale, plane.pixels[i])
                if not made > plane.lowest:
                    made = plane.lowest
                image[p * n + i] = <float>min(made, plane.highest)


cdef int inpaint_f32(float *image, const uint8_t *missing, int64_t n_masks, int64_t channels,
                     int64_t height, int64_t width, int method, int k, uint64_t seed,
                     int n_threads, const volatile int *cancel,
                     const funkc_memory *memory) noexcept nogil:
    cdef:
        Restoration r
        uint8_t *own = NULL
        int status
        unsigned long long state = funkc_float_begin()
    memset(&r, 0, sizeof(Restoration))
    r.n_planes, r.height, r.width, r.n_masks = channels, height, width, n_masks
    r.method, r.k, r.seed, r.n_threads = method, k, seed, n_threads
    r.memory = memory
    status = restoration_check(&r)
    if status == OK:
        if masks_are_alike(missing, n_masks, height * width):
            r.n_masks = 1
        own = <uint8_t *>obtain(memory, r.n_masks * height, width)
        status = NO_MEMORY if own == NULL else mark_hot(&r, image, missing, own)
    if status == OK:
        status = restoration_create(&r, own)
    if status == OK:
        status = put_all_in(&r, image)
    if status == OK and r.stage != DONE:
        status = MORE
    while status == MORE:
        status = (CANCELLED if cancel != NULL and cancel[0]
                  else restoration_advance(&r))
    if status == OK:
        take_all_out(&r, missing, n_masks, image)
    give_back(memory, own)
    restoration_free(&r)
    funkc_float_end(state)
    return status


cdef PicturesTable table
table.inpaint_f32 = inpaint_f32
pictures_table = PyCapsule_New(&table, "funkc.pictures", NULL)


# ---------------------------------------------------------------- Python's doors

cdef void destroy(object capsule) noexcept:
    cdef Restoration *r = <Restoration *>PyCapsule_GetPointer(capsule, "funkc.restoration")
    restoration_free(r)
    give_back(NULL, r)


cdef Restoration *restoration_of(object capsule) except NULL:
    return <Restoration *>PyCapsule_GetPointer(capsule, "funkc.restoration")


def begin(const uint8_t[:, :, ::1] missing, const double[:, ::1] ranges, bint patches, int k,
          uint64_t seed, bint everywhere, bint every_sweep, int n_threads):
    """Begin to restore planes.  Returns (status, capsule for all that follows).

    missing (channels, height, width) is 0 where a pixel is seen; ranges holds the lowest and the
    highest value of every channel.  k = 0 is the usual number of factors.  With `everywhere`
    something is made for what is seen, too; with every_sweep the sweeps over the tiles are done
    one by one, for somebody who watches.
    """
    cdef:
        Restoration *r = <Restoration *>obtain_zeros(NULL, 1, sizeof(Restoration))
        int status
        Py_ssize_t p
    if r == NULL:
        return NO_MEMORY, None
    r.n_planes = r.n_masks = missing.shape[0]
    r.height, r.width = missing.shape[1], missing.shape[2]
    r.method = PATCHES if patches else TILES
    r.k, r.seed, r.n_threads = k, seed, n_threads
    r.everywhere, r.every_sweep = everywhere, every_sweep
    with nogil:
        status = restoration_create(r, &missing[0, 0, 0])
        if status == OK:
            for p in range(r.n_planes):
                set_range(r.planes + p, ranges[p, 0], ranges[p, 1])
    return status, PyCapsule_New(r, "funkc.restoration", &destroy)


def usual_range(double[::1] sample):
    """The least and the largest value of a channel that are not hot; puts the sample in order."""
    cdef:
        double low, high
        unsigned long long state = funkc_float_begin()
    funkc_find_usual(&sample[0] if sample.shape[0] else NULL, sample.shape[0], &low, &high)
    funkc_float_end(state)
    return low, high


def put(begun, Py_ssize_t channel, int64_t top, const double[:, ::1] values):
    """Put in some rows of a channel, before the first call of `go_on`."""
    cdef:
        Restoration *r = restoration_of(begun)
        unsigned long long state
    if not r.planes[channel].idle:
        with nogil:
            state = funkc_float_begin()
            put_in(r.planes + channel, &values[0, 0], top * r.width,
                   values.shape[0] * values.shape[1])
            funkc_float_end(state)


def go_on(begun):
    """Work for about 0.2 s.  Returns (status, stage, step, bands done, bands in all); the status is
    MORE until all is done, and the stage is "" unless a step of it has ended: "survey", "tiles"
    or "patches"."""
    cdef:
        Restoration *r = restoration_of(begun)
        int status
    with nogil:
        status = restoration_advance(r)
    return status, ("", "survey", "tiles", "patches")[r.ended], r.ended_step, r.done, r.to_do


def take(begun, Py_ssize_t channel, int64_t top, double[:, ::1] out):
    """Some rows of a channel as they are after a step: values, for what is seen too if something
    is made everywhere."""
    cdef:
        Restoration *r = restoration_of(begun)
        const Plane *plane = r.planes + channel
        const float *made
        double *values = &out[0, 0]
        Py_ssize_t i, n = out.shape[0] * out.shape[1]
        unsigned long long state
    with nogil:
        made = (plane.made if r.everywhere else plane.pixels) + top * r.width
        state = funkc_float_begin()
        for i in range(n):
            values[i] = funkc_scale_out(plane.scale, made[i])
        funkc_float_end(state)


def survey(begun):
    """Results of the survey: the number of pixels in wide missing regions, of all channels, and
    whether the missing pixels are strokes."""
    cdef Restoration *r = restoration_of(begun)
    return r.n_wide, r.strokes
