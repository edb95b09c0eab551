#include "system/proc_file.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

FILE *ms_proc_open(const char *dir, const char *name) {
    char path[PATH_MAX];
    int n = snprintf(path, sizeof(path), "%s/%s", dir, name);
    return n > 0 && (size_t)n < sizeof(path) ? fopen(path, "r") : NULL;
}

static bool number(const char *text, uint64_t *ret_number) {
    text += strspn(text, ": \t");
    if (*text < '0' || *text > '9')
        return false;
    *ret_number = strtoull(text, NULL, 10);
    return true;
}

bool ms_proc_number(const char *dir, const char *name, uint64_t *ret_number) {
    char text[64];
    FILE *f = ms_proc_open(dir, name);
    if (!f)
        return false;
    bool found = fgets(text, sizeof(text), f) && number(text, ret_number);
    fclose(f);
    return found;
}

bool ms_proc_table_number(const char *dir, const char *name, const char *key, uint64_t *ret_number) {
    char line[256];
    size_t length = strlen(key);
    bool found = false;
    FILE *f = ms_proc_open(dir, name);
    if (!f)
        return false;
    while (!found && fgets(line, sizeof(line), f))
        found = strncmp(line, key, length) == 0 && line[length] && strchr(": \t", line[length]) &&
                number(line + length, ret_number);
    fclose(f);
    return found;
}
