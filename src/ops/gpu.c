/* Finds the plug-in that GPUs are used through. */
#include "czhpc/gpu.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
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

/* The file that the environment names; NULL: none. */
static const char *named_plugin(void)
{
    const char *named = getenv("CZHPC_CUDA_PLUGIN");
    return named && named[0] ? named : NULL;
}

/* The file of the plug-in; false where none is there. */
static bool find(char *path, size_t size)
{
    char own[4096];
    if (named_plugin()) {
        snprintf(path, size, "%s", named_plugin());
        return true;
    }
    own_folder(own, sizeof own);
    const char *const folders[] = {own, CZ_LIB "/"};
    for (int i = 0; i < 2; i++) {
        snprintf(path, size, "%slibczhpc_cuda.so", folders[i]);
        if (access(path, F_OK) == 0) return true;
    }
    return false;
}

/* Asked before the plug-in, whose libraries take 150 MiB of each rank only to find none. The one
 * that the environment names may be for no driver at all. */
static bool driver_there(void)
{
    return named_plugin() || dlopen("libcuda.so.1", RTLD_LAZY | RTLD_LOCAL);
}

static cz_status load(void)
{
    char path[4200];
    if (plugin) return CZ_OK;
    if (!find(path, sizeof path))
        return cz_fail(CZ_ERR_DEVICE, "no GPU can be used: there is no plug-in for CUDA here "
                                      "(libczhpc_cuda.so, which make CUDA=1 builds)");
    if (!driver_there())
        return cz_fail(CZ_ERR_DEVICE,
                       "no GPU can be used: NVIDIA's driver is not here (libcuda.so.1): "
                       "install it, or set run.device: cpu");
    void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (!library)
        return cz_fail(
            CZ_ERR_DEVICE,
            "no GPU can be used: the plug-in for CUDA does not load: %s; install NVIDIA's "
            "driver and libraries, or set run.device: cpu",
            dlerror());
    const cz_gpu_plugin *found = dlsym(library, "czhpc_gpu_plugin");
    if (found && found->abi == CZ_GPU_ABI) {
        plugin = found;
        return CZ_OK;
    }
    dlclose(library);
    return cz_fail(CZ_ERR_DEVICE,
                   "no GPU can be used: %s is not of this version of czhpc: build both together",
                   path);
}

cz_status cz_gpu_count(int *gpus)
{
    *gpus = 0;
    CZ_TRY(load());
    return plugin->count(gpus);
}

cz_status cz_gpu_identify(char id[CZ_GPU_UUID_BYTES], int number)
{
    if (!plugin) return cz_fail(CZ_ERR_BUG, "cz_gpu_identify() before cz_gpu_count()");
    return plugin->identify(id, number);
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
