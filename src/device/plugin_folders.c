#include "device/plugin_folders.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "files/own_file.h"

/* MS_PLUGIN_LIBDIR: as it was configured. MS_BINDIR_NAME, MS_BINDIR_TO_PLUGINS: of an installation that was
   moved as a whole. */

/* Of the file that this code is in, and never the current one, from which nothing is loaded. */
static bool own_folder(char folder[MS_PLUGIN_FOLDER_BYTES]) {
    char *file = realpath(ms_own_file(), NULL), *slash = file ? strrchr(file, '/') : NULL;
    bool fits = slash && snprintf(folder, MS_PLUGIN_FOLDER_BYTES, "%.*s", (int)(slash - file), file) <
                             MS_PLUGIN_FOLDER_BYTES;
    free(file); /* the C library's */
    return fits;
}

/* What stands beside a library, or where a program's library would stand: not for any other place, from which
   "../" leads anywhere. */
static bool installed_folder(char folder[MS_PLUGIN_FOLDER_BYTES]) {
    char own[MS_PLUGIN_FOLDER_BYTES];
    if (!own_folder(own))
        return false;
    char *slash = strrchr(own, '/');
    const char *way = slash && strcmp(slash + 1, MS_BINDIR_NAME) == 0 ? MS_BINDIR_TO_PLUGINS : "memsafe";
    for (; slash && strncmp(way, "../", 3) == 0; way += 3, slash = strrchr(own, '/'))
        *slash = 0; /* no link is on the way: the path is a real one */
    return slash && snprintf(folder, MS_PLUGIN_FOLDER_BYTES, "%s/%s", own, way) < MS_PLUGIN_FOLDER_BYTES;
}

static bool place(int number, char folder[MS_PLUGIN_FOLDER_BYTES]) {
    const char *asked = number == 0 ? getenv("MEMSAFE_PLUGIN_DIR") : MS_PLUGIN_LIBDIR;
    switch (number) {
    case 1:
        return own_folder(folder);
    case 2:
        return installed_folder(folder);
    default:
        return asked && *asked &&
               snprintf(folder, MS_PLUGIN_FOLDER_BYTES, "%s", asked) < MS_PLUGIN_FOLDER_BYTES;
    }
}

#define PLACES 4

bool ms_plugin_folder(int index, char *ret_folder, size_t folder_bytes) {
    char there[PLACES][MS_PLUGIN_FOLDER_BYTES];
    int n = 0;
    for (int i = 0; i < PLACES; i++) {
        bool known = !place(i, there[n]);
        for (int k = 0; k < n && !known; k++)
            known = strcmp(there[k], there[n]) == 0;
        n += !known;
    }
    if (index < 0 || index >= n || !ret_folder || strlen(there[index]) >= folder_bytes)
        return false;
    snprintf(ret_folder, folder_bytes, "%s", there[index]);
    return true;
}

void ms_plugin_folders_text(char *ret_text, size_t bytes) {
    char folder[MS_PLUGIN_FOLDER_BYTES];
    size_t at = 0;
    ret_text[0] = 0;
    for (int i = 0; ms_plugin_folder(i, folder, sizeof(folder)); i++) {
        int n = snprintf(ret_text + at, bytes - at, "%s%s", i ? ", " : "", folder);
        if (n < 0 || (size_t)n >= bytes - at) {
            ret_text[at] = 0;
            return;
        }
        at += (size_t)n;
    }
}
