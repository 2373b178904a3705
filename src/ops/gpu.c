/* Finds the plug-in that GPUs are used through. */
#include "czhpc/gpu.h"

#include <dlfcn.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const cz_gpu_plugin *plugin;

/* The folder of this program, with its last slash; "" where it is not known. */
static void own_folder(char *folder, size_t size)
{
    ssize_t length = readlink("/proc/self/exe", folder, size - 1);
    folder[length > 0 ? length : 0] = '\0';
    char *slash = strrchr(folder, '/');
    if (slash) slash[1] = '\0';
    else folder[0] = '\0';
}

static void *open_first(const char *file)
{
    char own[4096], path[sizeof own + 32];
    if (file[0]) return dlopen(file, RTLD_NOW | RTLD_LOCAL);
    own_folder(own, sizeof own);
    snprintf(path, sizeof path, "%slibczhpc_cuda.so", own);
    const char *const places[] = {path, CZ_LIB "/libczhpc_cuda.so", "libczhpc_cuda.so"};
    for (int i = 0; i < 3; i++) {
        bool there = i == 2 || access(places[i], F_OK) == 0;
        void *library = there ? dlopen(places[i], RTLD_NOW | RTLD_LOCAL) : NULL;
        if (there) return library;
    }
    return NULL;
}

static cz_status load(const char *file)
{
    if (plugin) return CZ_OK;
    void *library = open_first(file);
    if (!library)
        return cz_fail(CZ_ERR_DEVICE,
                       "no GPU can be used: the plug-in for CUDA does not load (%s): build it with "
                       "make CUDA=1, or set run.device: cpu",
                       dlerror());
    const cz_gpu_plugin *found = dlsym(library, "czhpc_gpu_plugin");
    if (found && found->abi == CZ_GPU_ABI) {
        plugin = found;
        return CZ_OK;
    }
    dlclose(library);
    return cz_fail(CZ_ERR_DEVICE,
                   "no GPU can be used: the plug-in for CUDA is of another version of czhpc: build "
                   "both together");
}

cz_status cz_gpu_count(int *gpus, const char *file)
{
    *gpus = 0;
    CZ_TRY(load(file));
    return plugin->count(gpus);
}

cz_status cz_gpu_open(cz_gpu **gpu, int number)
{
    *gpu = NULL;
    if (!plugin) return cz_fail(CZ_ERR_BUG, "cz_gpu_open() before cz_gpu_count()");
    return plugin->open(gpu, number);
}

void cz_gpu_close(cz_gpu *gpu)
{
    if (gpu) gpu->calls->close(gpu);
}
