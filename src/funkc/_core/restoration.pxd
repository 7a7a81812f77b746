"""A restoration of planes: what is asked for, what is to be done, and its memory."""
from libc.stdint cimport int32_t, int64_t, uint64_t, uint8_t
from libc.string cimport memcpy, memset
from funkc._core.masks cimport WIDE, funkc_halve_mask, funkc_in_strokes, funkc_wide_holes
from funkc._core.memory cimport give_back, obtain, obtain_zeros
from funkc._core.passes cimport (
    FUNKC_COARSE_PLAN, HALVED_FROM, funkc_choose_passes, funkc_look, funkc_passes,
)
from funkc._core.patches cimport (
    BAND, BAND_FRAMES, MOST_PLACES, REACH, REACH_DEEP, REACH_FRAMES, SIMILAR, PatchTask,
    funkc_group,
)
from funkc._core.planes cimport Plane
from funkc._core.pyramid cimport funkc_pyramid_size
from funkc._core.smooth cimport funkc_smooth, funkc_smooth_count
from funkc._core.tiles cimport RANK, funkc_tiles
from funkc._core.types cimport BAD_OPTION, BAD_SHAPE, NO_MEMORY, NOTHING_SEEN, OK, PATCHES, TILES
from funkc.capi cimport funkc_memory


cdef enum:
    SWEEPS_SCATTERED = 14
    SWEEPS_STROKES = 20
    MOST_JOINT = 8              # channels that are taken together
    MOST_COARSER = 3            # times that a picture is halved
    LEAST_HALVED = 32           # side of a picture that is
    HANDED_DOWN = 5             # side of squares of holes that tiles take from coarser ones
    DEEP = 3                    # frames of a patch
    SPARE = 64                  # numbers behind the pixels, which vectors may read
    MOST_SIDE = 1 << 30
    LINE = 64                   # bytes of the cache
    MOST_SMOOTH = 0x7ffffffe    # holes and neighbours of a plane that is filled smoothly


cdef enum Stage:
    NOWHERE
    SURVEY                      # of the pixels, which are halved too
    SWEEPS                      # over the tiles: of the coarsest level, or of all
    COARSE                      # passes of patches on the coarser levels
    PASSES                      # on the picture itself
    MIXING                      # a part of a smooth fill
    DONE


cdef struct Level:
    int64_t height
    int64_t width
    float *pixels               # (n_planes, height, width) and SPARE more
    int64_t n_masks             # 1: one for all planes
    uint8_t *seen               # (n_masks, height, width)


cdef struct Restoration:
    const funkc_memory *memory  # all is from; or NULL
    int64_t n_planes            # channels of frames
    int64_t n_frames            # 1: pictures
    int64_t height
    int64_t width
    int64_t n_masks             # that are given; 1: one for all planes
    int method
    int k                       # directions or factors at most; 0: the usual ones
    bint fine                   # groups wherever there are holes
    uint64_t seed
    bint everywhere             # something is made for what is seen, too
    bint watched                # every step is shown
    int n_threads
    int64_t joined              # channels that share their patches
    int64_t stacked             # frames that do
    Plane *planes
    Level[4] levels             # the picture, and coarser ones
    int coarsest
    funkc_look look             # of the masks
    funkc_passes plan
    float *made
    uint8_t *wide               # (height, width) holes where tiles don't reach, of their level
    float *total                # (joined * stacked, height, width)
    float *weight
    uint8_t *counts             # the same
    uint8_t *waiting            # (stacked, height, width), or what tiles take for seen
    float *pyramid
    uint8_t *since              # (width)
    uint8_t *scratch            # scratch_size() for every thread
    uint8_t *room               # where that lies, on a line of the cache
    funkc_smooth smooth         # of a plane
    int64_t n_wide              # pixels of the picture, of all planes
    int n_sweeps
    int64_t hidden              # holes of the plane
    int stage
    int step                    # from 1
    int level
    int64_t at                  # plane
    bint complete               # the groups of complete patches are next
    int wave
    int64_t first               # row of tiles, or band
    int64_t line                # of the band
    int64_t done                # pixels that were swept or passed over
    int64_t to_do
    int ended                   # the stage of which a step has ended just now
    int ended_step


cdef inline int64_t scratch_size() noexcept nogil:
    return max(sizeof(funkc_tiles), sizeof(funkc_group)) // LINE * LINE + LINE


cdef inline void restoration_free(Restoration *r) noexcept nogil:
    cdef int i
    for i in range(MOST_COARSER + 1):
        give_back(r.memory, r.levels[i].pixels)
        give_back(r.memory, r.levels[i].seen)
    give_back(r.memory, r.planes)
    give_back(r.memory, r.made)
    give_back(r.memory, r.wide)
    give_back(r.memory, r.total)
    give_back(r.memory, r.weight)
    give_back(r.memory, r.counts)
    give_back(r.memory, r.waiting)
    give_back(r.memory, r.pyramid)
    give_back(r.memory, r.since)
    give_back(r.memory, r.room)
    give_back(r.memory, r.smooth.at)
    give_back(r.memory, r.smooth.around)
    give_back(r.memory, r.smooth.hole)
    give_back(r.memory, r.smooth.change)
    give_back(r.memory, r.smooth.step)
    give_back(r.memory, r.smooth.bent)
    give_back(r.memory, r.smooth.residual)
    give_back(r.memory, r.smooth.image)


cdef inline bint masks_are_alike(const uint8_t *missing, int64_t n_masks, int64_t n) noexcept nogil:
    cdef int64_t i
    for i in range(n, n_masks * n):
        if (missing[i] == 0) != (missing[i - n] == 0):
            return False
    return True


cdef inline int restoration_check(const Restoration *r) noexcept nogil:
    if (r.n_planes < 1 or r.height < 1 or r.width < 1 or r.height > MOST_SIDE
            or r.width > MOST_SIDE or r.n_planes > (<int64_t>1 << 58) // (r.height * r.width)
            or r.n_frames < 1 or r.n_planes % r.n_frames != 0):
        return BAD_SHAPE
    if (r.method not in (PATCHES, TILES) or not 0 <= r.k <= RANK or r.n_threads < 1
            or r.n_masks not in (1, r.n_planes)):
        return BAD_OPTION
    return OK


# ---------------------------------------------------------------- where things are

cdef inline float *pixels_of(const Restoration *r, int level, int64_t plane) noexcept nogil:
    cdef const Level *it = &r.levels[level]
    return it.pixels + plane * it.height * it.width


cdef inline uint8_t *seen_of(const Restoration *r, int level, int64_t plane) noexcept nogil:
    cdef const Level *it = &r.levels[level]
    return it.seen + (plane * it.height * it.width if it.n_masks > 1 else 0)


cdef inline void go_to(Restoration *r, int64_t plane) noexcept nogil:
    """Begin with the next plane that is worked on."""
    while plane < r.n_planes and r.planes[plane].idle:
        plane += 1
    r.at = plane
    r.complete = False
    r.wave = 0
    r.first = r.line = 0


# ---------------------------------------------------------------- passes

cdef inline const funkc_passes *plan_of(const Restoration *r, int level) noexcept nogil:
    return &FUNKC_COARSE_PLAN if level else &r.plan


cdef inline int64_t joined_at(const Restoration *r, int level) noexcept nogil:
    """Channels that share their patches; those of coarser pictures are by themselves."""
    return 1 if level else r.joined


cdef inline int64_t stacked_at(const Restoration *r, int level) noexcept nogil:
    return 1 if level else r.stacked


cdef inline void set_pass(const Restoration *r, int level, int step,
                          PatchTask *task) noexcept nogil:
    """All of a pass but its data."""
    cdef:
        const funkc_passes *plan = plan_of(r, level)
        int64_t height = r.levels[level].height, width = r.levels[level].width
        int64_t planes
        double side = plan.steps[step - 1].size
        int turn = (step - 1) % 4
    task.picture.channels, task.picture.depth = joined_at(r, level), stacked_at(r, level)
    task.picture.height, task.picture.width = height, width
    task.how.deep = <int>min(<int64_t>DEEP, task.picture.depth)
    task.how.reach, task.how.reach_deep, task.band = REACH, 0, BAND
    if task.picture.depth > 1:
        task.how.reach, task.how.reach_deep, task.band = REACH_FRAMES, REACH_DEEP, BAND_FRAMES
    planes = task.picture.channels * task.how.deep
    task.how.size = plan.steps[step - 1].size
    while task.how.size * task.how.size * planes > MOST_PLACES:
        task.how.size -= 1
    task.how.size = <int>min(<int64_t>task.how.size, min(height, width))
    task.how.similar = SIMILAR
    task.how.backwards, task.how.from_right = turn & 1, turn >> 1
    task.how.directions = plan.steps[step - 1].directions
    if r.k:
        task.how.directions = min(task.how.directions, r.k)
    if planes > 1:
        side *= 1.7320508075688772              # the thresholds are for three planes
    task.how.noise = <float>(plan.steps[step - 1].threshold / (<double>7.745966692414834 + side))
    task.enough = 0 if r.fine else plan.steps[step - 1].enough


cdef inline int64_t lines_of_band(const PatchTask *task) noexcept nogil:
    return task.band * (task.picture.depth - task.how.deep + 1)


cdef inline int64_t n_bands(const PatchTask *task) noexcept nogil:
    return (task.picture.height - task.how.size + task.band) // task.band


cdef inline int64_t pixels_of_passes(const Restoration *r, int level) noexcept nogil:
    """What they add to `done`, of one plane or stack."""
    cdef:
        PatchTask task
        int64_t n = 0
        int step
    for step in range(1, plan_of(r, level).n + 1):
        set_pass(r, level, step, &task)
        n += n_bands(&task) * lines_of_band(&task) * task.picture.width
    return n


# ---------------------------------------------------------------- making one

cdef inline int obtain_level(Restoration *r, int level) noexcept nogil:
    cdef:
        Level *it = &r.levels[level]
        int64_t n = it.height * it.width
    it.n_masks = r.n_masks
    it.pixels = <float *>obtain(r.memory, r.n_planes * n + SPARE, sizeof(float))
    it.seen = <uint8_t *>obtain(r.memory, r.n_masks, n)
    if it.pixels == NULL or it.seen == NULL:
        return NO_MEMORY
    memset(it.pixels + r.n_planes * n, 0, SPARE * sizeof(float))
    return OK


cdef inline funkc_look look_at(const Restoration *r, int level) noexcept nogil:
    """What the masks of a level look like: the mean of what is missing, else the largest."""
    cdef:
        const Level *it = &r.levels[level]
        funkc_look look
        int64_t n = it.height * it.width, m, i, hidden, all_hidden = 0, n_looked = 0, wide
        const uint8_t *seen
    memset(&look, 0, sizeof(funkc_look))
    for m in range(it.n_masks):
        seen = it.seen + m * n
        hidden = 0
        for i in range(n):
            hidden += seen[i] ^ 1
        if hidden == n and it.n_masks > 1:      # a lost frame, which the others tell about
            continue
        n_looked += 1
        all_hidden += hidden
        look.strokes |= funkc_in_strokes(seen, it.height, it.width)
        if funkc_wide_holes(seen, it.height, it.width, 3, r.waiting, r.since):
            look.thick = True
            look.thicker |= funkc_wide_holes(seen, it.height, it.width, 5, r.waiting, r.since) > 0
            wide = funkc_wide_holes(seen, it.height, it.width, 9, r.waiting, r.since)
            look.wide = max(look.wide, <double>wide / <double>hidden)
    look.missing = <double>all_hidden / <double>(n_looked * n)
    return look


cdef inline int take_masks(Restoration *r, const uint8_t *missing) noexcept nogil:
    cdef:
        int64_t n = r.height * r.width, m, i, hidden, n_lost = 0
        uint8_t *seen = r.levels[0].seen
    for m in range(r.n_masks):
        hidden = 0
        for i in range(m * n, (m + 1) * n):
            seen[i] = missing[i] == 0
            hidden += missing[i] != 0
        n_lost = (n_lost if m % r.n_frames else 0) + (hidden == n)
        if n_lost == (1 if r.n_masks == 1 else r.n_frames):
            return NOTHING_SEEN
        for i in range(m, r.n_planes if r.n_masks == 1 else m + 1):
            r.planes[i].idle = hidden == 0 and not r.everywhere
            r.planes[i].lost = hidden == n
    return OK


cdef inline bint has_squares(const Restoration *r, int level, int side) noexcept nogil:
    """Whether some mask of the level has such squares of holes."""
    cdef:
        const Level *it = &r.levels[level]
        int64_t m
    for m in range(it.n_masks):
        if funkc_wide_holes(seen_of(r, level, m), it.height, it.width, side, r.waiting, r.since):
            return True
    return False


cdef inline int add_level(Restoration *r) noexcept nogil:
    """A coarser level, and its masks."""
    cdef:
        Level *fine = &r.levels[r.coarsest]
        Level *coarse = &r.levels[r.coarsest + 1]
        int64_t m
    coarse.height, coarse.width = (fine.height + 1) // 2, (fine.width + 1) // 2
    r.coarsest += 1
    if obtain_level(r, r.coarsest) != OK:
        return NO_MEMORY
    for m in range(r.n_masks):
        funkc_halve_mask(seen_of(r, r.coarsest - 1, m), fine.height, fine.width,
                         seen_of(r, r.coarsest, m))
    return OK


cdef inline int make_plan(Restoration *r) noexcept nogil:
    """What is to be done, and the coarser masks that it takes."""
    cdef:
        funkc_look look = look_at(r, 0)
        Level *it = &r.levels[0]
        int64_t m
    r.joined = r.stacked = 1
    # Of a stack that misses other pixels in every frame, the neighbours tell what is there.
    for m in range(it.n_masks if look.thick and (it.n_masks == 1 or r.n_frames == 1) else 0):
        r.n_wide += funkc_wide_holes(seen_of(r, 0, m), r.height, r.width, WIDE, r.waiting, r.since)
    if it.n_masks == 1:
        r.n_wide *= r.n_planes
    r.look = look
    if r.method == PATCHES:
        if r.n_frames > 1:
            r.stacked = r.n_frames
        elif r.n_planes > 1 and (r.n_masks > 1 or (look.strokes and look.wide < 0.1)):
            # Planes that miss other pixels tell about each other, and lines have one form in all
            # channels.  (In wide holes by themselves: joint is as good in the mean, and up to 2 dB
            # worse on pictures with much sky.)
            if r.n_planes <= MOST_JOINT:
                r.joined = r.n_planes
            else:
                r.stacked = r.n_planes
        r.plan = funkc_choose_passes(look, <int>r.joined, <int>min(r.stacked, <int64_t>2),
                                     r.n_masks > 1)
        if min(r.height, r.width) == 1:         # patches of one pixel know nothing of a line
            r.plan.n, r.plan.smooth = 0, 0
            r.joined = r.stacked = 1
    while r.coarsest < MOST_COARSER and min(it.height, it.width) >= LEAST_HALVED and (
            has_squares(r, r.coarsest, HANDED_DOWN) if r.method == TILES
            else r.plan.coarse and (look.thick or look.missing >= HALVED_FROM)):
        if add_level(r) != OK:
            return NO_MEMORY
        it = &r.levels[r.coarsest]
        if r.method == PATCHES:
            look = look_at(r, r.coarsest)
    r.n_sweeps = SWEEPS_STROKES if look.strokes else SWEEPS_SCATTERED
    return OK


cdef inline int spread_mask(Restoration *r) noexcept nogil:
    """A copy of the one mask for every plane, since a patch reaches over several of them."""
    cdef:
        int64_t n = r.height * r.width, m
        uint8_t *seen = <uint8_t *>obtain(r.memory, r.n_planes, n)
    if seen == NULL:
        return NO_MEMORY
    for m in range(r.n_planes):
        memcpy(seen + m * n, r.levels[0].seen, n)
    give_back(r.memory, r.levels[0].seen)
    r.levels[0].seen = seen
    r.levels[0].n_masks = r.n_planes
    return OK


cdef inline int obtain_smooth(Restoration *r) noexcept nogil:
    """Room for the plane that has most of it, once what passes need has been given back."""
    cdef:
        funkc_smooth *s = &r.smooth
        int64_t n = 0, m
        int i
    give_back(r.memory, r.total)
    give_back(r.memory, r.weight)
    give_back(r.memory, r.counts)
    give_back(r.memory, r.pyramid)
    give_back(r.memory, r.room)
    r.total = r.weight = r.pyramid = NULL
    r.counts = r.room = NULL
    for i in range(1, MOST_COARSER + 1):
        give_back(r.memory, r.levels[i].pixels)
        give_back(r.memory, r.levels[i].seen)
        r.levels[i].pixels = NULL
        r.levels[i].seen = NULL
    for m in range(r.n_planes):
        if m == 0 or r.levels[0].n_masks > 1:
            n = max(n, funkc_smooth_count(seen_of(r, 0, m), r.height, r.width, r.waiting))
    if n > MOST_SMOOTH:         # two thousand million: their numbers have 32 bits
        return NO_MEMORY
    s.at = <int64_t *>obtain(r.memory, n, sizeof(int64_t))
    s.around = obtain(r.memory, n, 4 * sizeof(int32_t))
    s.hole = <uint8_t *>obtain(r.memory, n, 1)
    s.change = <double *>obtain(r.memory, n + 1, sizeof(double))
    s.step = <double *>obtain(r.memory, n + 1, sizeof(double))
    s.bent = <double *>obtain(r.memory, n + 1, sizeof(double))
    s.residual = <double *>obtain(r.memory, n + 1, sizeof(double))
    s.image = <double *>obtain(r.memory, n + 1, sizeof(double))
    if (s.at == NULL or s.around == NULL or s.hole == NULL or s.change == NULL or s.step == NULL
            or s.bent == NULL or s.residual == NULL or s.image == NULL):
        return NO_MEMORY
    return OK


cdef inline int restoration_create(Restoration *r, const uint8_t *missing) noexcept nogil:
    """Allocates all but the vectors of the smooth fill, and takes over the masks.  What is asked
    for is set already, all else 0; it is to be freed whatever the answer."""
    cdef:
        int64_t n, m, i
        int64_t threads = r.n_threads
        Level *it
        int status = restoration_check(r)
    if status != OK:
        return status
    n = r.height * r.width
    if masks_are_alike(missing, r.n_masks, n):
        r.n_masks = 1
    r.levels[0].height, r.levels[0].width = r.height, r.width
    r.planes = <Plane *>obtain_zeros(r.memory, r.n_planes, sizeof(Plane))
    r.waiting = <uint8_t *>obtain(r.memory, n, 1)
    r.since = <uint8_t *>obtain(r.memory, r.width, 1)
    if r.planes == NULL or r.waiting == NULL or r.since == NULL or obtain_level(r, 0) != OK:
        return NO_MEMORY
    status = take_masks(r, missing)
    if status == OK:
        status = make_plan(r)
    if status != OK:
        return status
    it = &r.levels[0 if r.method == TILES else r.coarsest]
    m = r.joined * r.stacked
    i = it.height * it.width
    give_back(r.memory, r.waiting)
    r.waiting = <uint8_t *>obtain(r.memory, r.stacked * n, 1)
    r.wide = <uint8_t *>obtain(r.memory, i, 1)
    r.total = <float *>obtain_zeros(r.memory, m * n, sizeof(float))
    r.weight = <float *>obtain_zeros(r.memory, m * n, sizeof(float))
    r.pyramid = <float *>obtain(
        r.memory, funkc_pyramid_size(it.height, it.width) + 1, sizeof(float))
    r.room = <uint8_t *>obtain_zeros(r.memory, threads * scratch_size() + LINE, 1)
    if (r.waiting == NULL or r.wide == NULL or r.total == NULL or r.weight == NULL
            or r.pyramid == NULL or r.room == NULL):
        return NO_MEMORY
    r.scratch = r.room + LINE - <size_t>r.room % LINE
    if r.everywhere:
        r.made = <float *>obtain(r.memory, r.n_planes * n, sizeof(float))
        if r.made == NULL:
            return NO_MEMORY
    if r.method == PATCHES:
        r.counts = <uint8_t *>obtain(r.memory, m * n, 1)
        if r.counts == NULL:
            return NO_MEMORY
    if m > 1 and r.n_masks == 1 and spread_mask(r) != OK:
        return NO_MEMORY
    for i in range(r.n_planes):
        r.planes[i].made = r.made + i * n if r.everywhere else NULL
        r.planes[i].idle = r.planes[i].idle and m == 1 and r.n_frames == 1
    go_to(r, 0)
    r.stage = SURVEY if r.at < r.n_planes else DONE
    return OK
