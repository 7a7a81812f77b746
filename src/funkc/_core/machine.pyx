"""What this machine and this build offer (see machine.h)."""


cdef extern from "machine.h" nogil:
    int funkc_openmp_enabled()
    int funkc_max_threads()
    void funkc_prepare()
    int funkc_x86_level()


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


def prepare():
    """Have forks give the idle OpenMP threads of the forking thread back."""
    funkc_prepare()


def x86_level():
    """The x86-64 level of this processor (1, 3 or 4); 0 on other architectures."""
    return funkc_x86_level()
