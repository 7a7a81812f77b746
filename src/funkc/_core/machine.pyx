"""What this machine and this build offer (see machine.h)."""


cdef extern from "machine.h" nogil:
    int funkc_openmp_enabled()
    int funkc_max_threads()
    void funkc_release_workers()
    void funkc_prepare(size_t stack_size)
    int funkc_granted(int wanted)
    int funkc_refused(int *wanted)
    int funkc_x86_level()


cdef int granted(int wanted) noexcept nogil:
    """The threads for a parallel part that follows at once: `wanted`, or fewer if the system
    refuses some."""
    return funkc_granted(wanted)


def openmp_enabled():
    """Whether this build of funkc runs on more than one thread.

    Returns
    -------
    bool
        False when the compiler offered no OpenMP, or when ``FUNKC_OPENMP=off`` was set
        at build time; everything then works, on one thread and with the same bits.

    Examples
    --------
    >>> import funkc
    >>> isinstance(funkc.openmp_enabled(), bool)
    True
    """
    return bool(funkc_openmp_enabled())


def max_threads():
    """OpenMP's own idea of a default: OMP_NUM_THREADS, else the processors."""
    return funkc_max_threads()


def release_workers():
    """Give the calling thread's idle OpenMP threads back."""
    funkc_release_workers()


def prepare(size_t stack_size):
    """Prepare for forks, and for threads of so many bytes of stack (0: the system's default)."""
    funkc_prepare(stack_size)


def refused():
    """(threads granted to the calling thread, wanted), where some were refused since this was asked
    last; or (0, 0)."""
    cdef int wanted, n = funkc_refused(&wanted)
    return n, wanted


def x86_level():
    """The x86-64 level of this processor (1, 3 or 4); 0 on other architectures."""
    return funkc_x86_level()
