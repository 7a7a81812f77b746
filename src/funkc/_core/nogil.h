/* Keeps a prange in a nogil function from letting go of the GIL.

   Cython lets go of it there in case the caller holds it.  Our callers in C may hold it, and then
   keep it; and up to Python 3.11 nobody can tell: once the process has had a second interpreter,
   PyGILState_Check() says of every thread that it holds the GIL, and to let go of what one does
   not hold ends the process.  So a call of Cython's function is replaced by NULL, which says that
   there is nothing to take back; the function itself, declared and defined with (void), gets
   another name. */
#ifndef FUNKC_NOGIL_H
#define FUNKC_NOGIL_H

#define __Pyx_SaveUnknownThread(given) FUNKC_SAVED_##given
#define FUNKC_SAVED_ (0 ? funkc_never_called() : NULL)
#define FUNKC_SAVED_void funkc_never_called(void)

#endif
