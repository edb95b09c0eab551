#include "workers/device_list.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"

/* NAME is its first device, NAME:0. Of the processor there may be several workers. */
static bool is_one(const char *a, const char *b) {
    size_t n = strcspn(a, ":");
    const char *x = a[n] ? a + n : ":0", *y;
    if (strncmp(a, b, n) != 0 || (b[n] && b[n] != ':') || strcmp(a, "cpu") == 0)
        return false;
    y = b[n] ? b + n : ":0";
    return strcmp(x, y) == 0;
}

static ms_status add(cli_device_list *l, const char *name, size_t bytes, ms_error *err) {
    if (l->count == CLI_MAX_WORKERS)
        return ms_fail(err, MS_INVALID_ARGUMENT, "--device: more than %d devices", CLI_MAX_WORKERS);
    if (bytes == 0 || bytes >= CLI_DEVICE_BYTES)
        return ms_fail(err, MS_INVALID_ARGUMENT, "--device: \"%.*s\" names no device", (int)bytes, name);
    char *to = l->name[l->count];
    snprintf(to, CLI_DEVICE_BYTES, "%.*s", (int)bytes, name);
    for (int i = 0; i < l->count; i++)
        if (is_one(l->name[i], to))
            return ms_fail(err, MS_INVALID_ARGUMENT, "--device: %s and %s are one device", l->name[i], to);
    l->count++;
    return MS_OK;
}

static ms_status add_processor(cli_device_list *l, const char *number, size_t bytes, ms_error *err) {
    char *end;
    long n = strtol(number, &end, 10);
    if (number[0] < '0' || number[0] > '9' || end != number + bytes || n < 1)
        return ms_fail(err, MS_INVALID_ARGUMENT,
                       "--device: cpu:%.*s: behind cpu stands how many workers there are, from 1 on",
                       (int)bytes, number);
    for (long i = 0; i < n; i++) {
        MS_TRY(add(l, "cpu", 3, err));
        l->cpus++;
    }
    return MS_OK;
}

ms_status cli_device_list_parse(const char *text, cli_device_list *l, ms_error *err) {
    *l = (cli_device_list){.count = 0};
    for (const char *at = text ? text : "auto"; at;) {
        size_t n = strcspn(at, ",");
        if (n > 4 && strncmp(at, "cpu:", 4) == 0)
            MS_TRY(add_processor(l, at + 4, n - 4, err));
        else
            MS_TRY(add(l, at, n, err));
        l->cpus += n == 3 && strncmp(at, "cpu", 3) == 0;
        at = at[n] ? at + n + 1 : NULL;
    }
    for (int i = 0; l->count > 1 && i < l->count; i++)
        if (strcmp(l->name[i], "auto") == 0)
            return ms_fail(err, MS_INVALID_ARGUMENT,
                           "--device: auto is one device by itself, and none of several");
    return MS_OK;
}

void cli_device_list_cut(cli_device_list *l, int count) {
    for (; l->count > count; l->count--)
        l->cpus -= strcmp(l->name[l->count - 1], "cpu") == 0;
}
