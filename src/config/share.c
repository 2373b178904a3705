/* The files that come along with czhpc. */
#include "czhpc/config.h"

#include "czhpc/text.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

/* Beside the executable of an installation or of the source tree, where make puts it under
 * build/CONFIG/; then where it was to be installed. */
static const char *const places[] = {
    "%s/../share/czhpc/configs/%s", "%s/configs/%s", "%s/../../configs/%s",
    "%s/../../../configs/%s", /* test programs, in build/CONFIG/validation */
};

static bool try_place(char *path, size_t size, const char *candidate)
{
    return access(candidate, R_OK) == 0 && cz_text_copy(path, size, candidate);
}

cz_status cz_config_share(char *path, size_t size, const char *name)
{
    char folder[CZ_PATH_MAX], candidate[2 * CZ_PATH_MAX + CZ_NAME_MAX];
    ssize_t length = readlink("/proc/self/exe", folder, sizeof folder - 1);
    folder[length > 0 ? length : 0] = 0;
    char *slash = strrchr(folder, '/');
    if (slash) *slash = 0;
    for (size_t i = 0; slash && i < sizeof places / sizeof *places; i++) {
        snprintf(candidate, sizeof candidate, places[i], folder, name);
        if (try_place(path, size, candidate)) return CZ_OK;
    }
    snprintf(candidate, sizeof candidate, "%s/configs/%s", CZ_SHARE, name);
    if (try_place(path, size, candidate)) return CZ_OK;
    return cz_fail(CZ_ERR_INPUT,
                   "%s, which comes along with czhpc, is neither in a configs folder beside %s nor "
                   "in %s/configs: run make install, or give your own file",
                   name, slash ? folder : "the executable", CZ_SHARE);
}
