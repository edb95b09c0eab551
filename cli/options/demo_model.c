#include "options/demo_model.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"

#define PATH_BYTES 4096

/* ret_path = dir + "/" + name, where it is a model's folder. */
static bool model_at(char *ret_path, size_t bytes, const char *dir, const char *name) {
    char config[PATH_BYTES];
    int n = snprintf(config, sizeof(config), "%s/%s/unet.yaml", dir, name);
    if (n < 0 || (size_t)n >= sizeof(config) || access(config, R_OK) != 0)
        return false;
    n = snprintf(ret_path, bytes, "%s/%s", dir, name);
    return n > 0 && (size_t)n < bytes;
}

bool cli_program_folder(char *ret_dir, size_t bytes) {
    ssize_t n = readlink("/proc/self/exe", ret_dir, bytes - 1);
    if (n <= 0)
        return false;
    ret_dir[n] = 0;
    char *slash = strrchr(ret_dir, '/');
    if (!slash)
        return false;
    *slash = 0;
    return true;
}

ms_status cli_demo_model(char *ret_path, size_t bytes, ms_error *err) {
    const char *named = getenv("MEMSAFE_DEMO_MODEL");
    char program[PATH_BYTES];
    if (named && *named)
        return model_at(ret_path, bytes, named, ".")
                   ? MS_OK
                   : ms_fail(err, MS_BAD_MODEL, "MEMSAFE_DEMO_MODEL is %s, where there is no unet.yaml",
                             named);
    if (cli_program_folder(program, sizeof(program)) &&
        (model_at(ret_path, bytes, program, "../share/memsafe/models/demo") ||
         model_at(ret_path, bytes, program, "../models/demo")))
        return MS_OK;
    if (model_at(ret_path, bytes, MS_DATA_DIR, "models/demo"))
        return MS_OK;
    return ms_fail(err, MS_BAD_MODEL,
                   "the demo model is not in %s/models/demo; MEMSAFE_DEMO_MODEL can say where it is",
                   MS_DATA_DIR);
}
