/* funkc_import.h: the table of funkc.h, for extensions that include Python.h.

       const funkc_api *api = funkc_import();
       if (!api) return NULL;    // ImportError is set

   Call it once with the GIL held, when the extension is imported.  The table is valid until the
   process ends. */
#ifndef FUNKC_IMPORT_H
#define FUNKC_IMPORT_H

#include <Python.h>

#include "funkc.h"

static inline const funkc_api *funkc_import(void)
{
    const funkc_api *api = (const funkc_api *)PyCapsule_Import("funkc._capi._API", 0);
    if (!api) {
        if (PyErr_ExceptionMatches(PyExc_AttributeError))
            PyErr_SetString(PyExc_ImportError,
                            "the installed funkc has no C API; install a newer one");
        return NULL;
    }
    if (!funkc_api_fits(api)) {
        PyErr_Format(PyExc_ImportError,
                     "the installed funkc offers version %d of its C API with %u bytes, and this "
                     "extension was built for version %d with at least %u bytes; install a "
                     "newer funkc, or rebuild the extension",
                     (int)api->abi_version, (unsigned)api->size, FUNKC_ABI_VERSION,
                     (unsigned)sizeof(funkc_api));
        return NULL;
    }
    return api;
}

#endif
