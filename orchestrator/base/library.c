#include "base/library.h"

#include "base/err.h"

#include <dlfcn.h>

/* What dlerror() says names the file. */
static int fault(const char *file, const char *package, struct err *e)
{
    const char *text = dlerror();
    return err_set(e, "is package %s installed? %s", package, text == NULL ? file : text);
}

int library_load(const char *file, const char *package, const struct library_function *functions,
                 size_t count, struct err *e)
{
    void *library = dlopen(file, RTLD_NOW | RTLD_LOCAL);
    if (library == NULL) {
        return fault(file, package, e);
    }
    for (size_t i = 0; i < count; i++) {
        *functions[i].slot = dlsym(library, functions[i].name);
        if (*functions[i].slot == NULL) {
            fault(file, package, e);
            dlclose(library);
            return -1;
        }
    }
    return 0;
}
