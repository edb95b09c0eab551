/*
 * Programs that were compiled against an older memsafe, whose structs end earlier, and against a newer one: each function that is given a
 * struct is called with fewer bytes of it, at whose end memory ends that may be read or written, and with more. A ..._sized function in a
 * header that is not called here fails the test.
 */
#include "test.h"

#include <ctype.h>
#include <dirent.h>

#include "memsafe/memsafe.h"

#define GUARD 64
#define OLDER 8 /* bytes that an older struct lacks at its end */

static char called[64][64];
static int n_called;
static ms_error err;

/* A program's struct: its bytes are all that there is for an address sanitizer, and behind them stand marks. */
static void *make(size_t bytes) {
    uint8_t *block = malloc(bytes + GUARD);
    assert_non_null(block);
    memset(block, 0xA5, bytes + GUARD);
    return block;
}

static void *copy_of(const void *from, size_t bytes) {
    return memcpy(make(bytes), from, bytes);
}

static void check_guard(const void *block, size_t bytes) {
    for (int i = 0; i < GUARD; i++)
        if (((const uint8_t *)block)[bytes + (size_t)i] != 0xA5)
            fail_msg("byte %d behind a struct of %zu bytes was written", i, bytes);
}

static void note(const char *name) {
    assert_true(n_called < 64 && strlen(name) < sizeof(called[0]));
    snprintf(called[n_called++], sizeof(called[0]), "%s", name);
}

/* Says what is wrong with a size, by the function's name as callers write it and the struct's. */
static void check_refused(const char *call, ms_status status, const char *what, const char *why) {
    char function[64];
    snprintf(function, sizeof(function), "%.*s(): %s", (int)(strstr(call, "_sized") - call), call, what);
    if (status != MS_INVALID_ARGUMENT || !strstr(err.message, why) ||
        strncmp(err.message, function, strlen(function)) != 0)
        fail_msg("%s: %s (%s)", call, ms_status_name(status), err.message);
}

/* A status function's struct `what`, of `type`: with no bytes and with more than there are. */
#define WRONG_SIZES(call, what, type)                                                                        \
    do {                                                                                                     \
        size_t bytes = 0;                                                                                    \
        ms_status refused_ = call;                                                                           \
        check_refused(#call, refused_, what, "a size of 0 bytes");                                           \
        bytes = sizeof(type) + 1;                                                                            \
        refused_ = call;                                                                                     \
        check_refused(#call, refused_, what, "was compiled against a newer memsafe");                        \
    } while (0)

/* ms_TYPE_init(): a front of the defaults; behind what the library knows there is zero. */
#define CHECK_INIT(type)                                                                                     \
    do {                                                                                                     \
        type whole;                                                                                          \
        type##_init(&whole);                                                                                 \
        type *older = make(sizeof(whole) - OLDER), *newer = make(sizeof(whole) + OLDER);                     \
        type##_init_sized(older, sizeof(whole) - OLDER);                                                     \
        check_guard(older, sizeof(whole) - OLDER);                                                           \
        assert_memory_equal(older, &whole, sizeof(whole) - OLDER);                                           \
        type##_init_sized(newer, sizeof(whole) + OLDER);                                                     \
        check_guard(newer, sizeof(whole) + OLDER);                                                           \
        assert_memory_equal(newer, &whole, sizeof(whole));                                                   \
        for (int i = 0; i < OLDER; i++)                                                                      \
            assert_int_equal(((uint8_t *)newer)[sizeof(whole) + (size_t)i], 0);                              \
        type##_init_sized(NULL, sizeof(whole));                                                              \
        note(#type "_init_sized");                                                                           \
        free(older);                                                                                         \
        free(newer);                                                                                         \
    } while (0)

/* ---- header by header ---- */

/* What a struct of before had is taken, and what it did not have is as it always was. */
static void sizes_of_runs(void) {
    CHECK_INIT(ms_run_params);
    ms_run_params p;
    ms_run_report *report = make(sizeof(*report));
    ms_run_params_init(&p);
    p.video = p.audio = "/nowhere/in.mp4";
    p.output = "/nowhere/out.mp4";
    p.model = "/nowhere";
    const size_t before = offsetof(ms_run_params, crf); /* an impossible crf would be refused */
    ms_run_params *older = copy_of(&p, before);
    ms_status status = ms_run_sized(older, before, report, sizeof(*report) - OLDER, &err);
    assert_true(status == MS_IO || status == MS_UNSUPPORTED); /* without FFmpeg */
    check_guard(older, before);
    WRONG_SIZES(ms_run_sized(&p, bytes, NULL, 0, &err), "params", ms_run_params);
    WRONG_SIZES(ms_run_sized(&p, sizeof(p), report, bytes, &err), "ret_report", ms_run_report);
    note("ms_run_sized");
    free(older);
    free(report);
}

static void sizes_of_report_pages(void) {
    ms_run_params p;
    char *whole = NULL, *front = NULL;
    ms_run_params_init(&p);
    ms_run_report *report = calloc(1, sizeof(*report));
    assert_non_null(report);
    p.video = p.output = "clip.mp4";
    snprintf(report->tier, sizeof(report->tier), "compact");
    report->frames = 77;
    const size_t before = offsetof(ms_run_report, seconds);
    ms_run_report *older = copy_of(report, before);
    assert_ms_ok(ms_run_report_html(&p, report, &whole, &err), &err);
    assert_ms_ok(ms_run_report_html_sized(&p, sizeof(p), older, before, &front, &err), &err);
    assert_string_equal(whole, front);
    WRONG_SIZES(ms_run_report_html_sized(&p, bytes, report, sizeof(*report), &front, &err), "params",
                ms_run_params);
    WRONG_SIZES(ms_run_report_html_sized(&p, sizeof(p), report, bytes, &front, &err), "report",
                ms_run_report);
    note("ms_run_report_html_sized");
    ms_mem_free(whole);
    ms_mem_free(front);
    free(older);
    free(report);
}

/* ---- none is missing ---- */

static int check_header(const char *name) {
    char path[512], text[65536], function[64];
    snprintf(path, sizeof(path), "%s/include/memsafe/%s", MS_SOURCE_DIR, name);
    FILE *f = fopen(path, "r");
    assert_non_null(f);
    text[fread(text, 1, sizeof(text) - 1, f)] = 0;
    fclose(f);
    int found = 0;
    for (char *at = text; (at = strstr(at, "\nMS_API ")) != NULL; at++) {
        char *end = strchr(at, '('), *begin = end;
        while (isalnum((unsigned char)begin[-1]) || begin[-1] == '_')
            begin--;
        snprintf(function, sizeof(function), "%.*s", (int)(end - begin), begin);
        if (!strstr(function, "_sized"))
            continue;
        bool there = false;
        for (int i = 0; i < n_called; i++)
            there = there || strcmp(called[i], function) == 0;
        if (!there)
            fail_msg("%s() of memsafe/%s is not called here", function, name);
        found++;
    }
    return found;
}

static void structs_of_other_versions(void **state) {
    (void)state;
    sizes_of_runs();
    sizes_of_report_pages();
    DIR *headers = opendir(MS_SOURCE_DIR "/include/memsafe");
    int found = 0;
    assert_non_null(headers);
    for (struct dirent *entry; (entry = readdir(headers)) != NULL;)
        if (strstr(entry->d_name, ".h"))
            found += check_header(entry->d_name);
    closedir(headers);
    assert_int_equal(found, n_called);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(structs_of_other_versions),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
