/* Numbers and enumerations of parameters that are none: each is MS_INVALID_ARGUMENT
   with a message that names it, before anything is opened. */
#include "test.h"

#include <limits.h>

#include "support/nowhere.h"

static ms_error err;

typedef enum field_type { AN_INT, AN_INT64, A_DOUBLE } field_type;

typedef struct bad_field {
    const char *name;
    size_t offset;
    field_type type;
    double number;
    int64_t whole;    /* of an int64_t */
    const char *said; /* in the message */
} bad_field;

static void put(void *params, const bad_field *bad) {
    char *at = (char *)params + bad->offset;
    if (bad->type == AN_INT)
        *(int *)at = (int)bad->number;
    else if (bad->type == AN_INT64)
        *(int64_t *)at = bad->whole;
    else
        *(double *)at = bad->number;
}

static void check_said(const bad_field *bad, ms_status status) {
    if (status != MS_INVALID_ARGUMENT)
        fail_msg("%s: %s (%s)", bad->name, ms_status_name(status), err.message);
    if (!strstr(err.message, bad->said))
        fail_msg("%s: \"%s\" does not say %s", bad->name, err.message, bad->said);
}

#define INT_OF(type, field, value, said)                                                                     \
    { #field, offsetof(type, field), AN_INT, value, 0, said }
#define INT64_OF(type, field, value, said)                                                                   \
    { #field, offsetof(type, field), AN_INT64, 0, value, said }
#define DOUBLE_OF(type, field, value, said)                                                                  \
    { #field, offsetof(type, field), A_DOUBLE, value, 0, said }
#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static void numbers_of_a_run_are_checked(void **state) {
    (void)state;
    static const bad_field bad[] = {
#define INT(field, value, said) INT_OF(ms_run_params, field, value, said)
        INT(precision, 4, "precision 4"),
        INT(precision, -1, "precision -1"),
        INT(loop, 4, "loop mode 4"),
        INT(loop, -1, "loop mode -1"),
        INT(codec, 3, "codec 3"),
        INT(codec, -1, "codec -1"),
        INT(audio_output, 3, "audio output 3"),
        INT(audio_output, INT_MAX, "audio output 2147483647"),
        INT(paste, MS_PASTE_COUNT, "paste 2"),
        INT(latent_cache, 3, "latent cache 3"),
        INT(latent_cache, -1, "latent cache -1"),
        INT(paste, MS_PASTE_COUNT, "paste 2"),
        INT(rung, MS_RUNG_COUNT, "rung 9"),
        INT(rung, -1, "rung -1"),
        INT(steps, 0, "not 0"),
        INT(steps, 1000, "not 1000"),
        INT(face, -2, "not -2"),
        INT(max_gap, -1, "not -1"),
        INT(max_gap, 1001, "not 1001"),
        INT(resolution, 63, "not 63"),
        INT(resolution, -64, "not -64"),
        INT(resolution, 4096, "not 4096"),
        INT(fps_num, -25, "-25/1"),
        INT(fps_num, 1001, "1001/1"),
        INT(fps_den, 0, "25/0"),
        INT(fps_den, -1, "25/-1"),
        INT(fps_den, 2147483647, "25/2147483647"),
        INT(crf, 52, "not 52"),
        INT(crf, -1, "not -1"),
        INT(latent_rank, 101, "not 101"),
        INT(latent_rank, -1, "not -1"),
        INT(sink_frames, -1, "-1 frames"),
#undef INT
        INT64_OF(ms_run_params, frames, INT64_MAX, "not 9223372036854775807"),
        INT64_OF(ms_run_params, frames, (int64_t)INT_MAX + 1, "not 2147483648"),
        INT64_OF(ms_run_params, frames, -1, "not -1"),
        INT64_OF(ms_run_params, segment_frames, 100001, "not 100001"),
        INT64_OF(ms_run_params, segment_frames, INT64_MIN, "not -9223372036854775808"),
        DOUBLE_OF(ms_run_params, guidance, 101, "not 101"),
        DOUBLE_OF(ms_run_params, guidance, (double)NAN, "nan"),
    };
    for (size_t i = 0; i < COUNT(bad); i++) {
        ms_run_params p = run_params();
        put(&p, &bad[i]);
        check_said(&bad[i], ms_run(&p, NULL, &err));
    }
}

static void numbers_of_a_detection_are_checked(void **state) {
    (void)state;
    static const bad_field bad[] = {
        INT_OF(ms_detect_params, face, -2, "not -2"),
        INT_OF(ms_detect_params, max_gap, -1, "not -1"),
        INT_OF(ms_detect_params, max_gap, 1001, "not 1001"),
        INT_OF(ms_detect_params, fps_den, 0, "25/0"),
        INT_OF(ms_detect_params, fps_num, 1000000000, "1000000000/1"),
        INT64_OF(ms_detect_params, frames, INT64_MAX, "not 9223372036854775807"),
        INT64_OF(ms_detect_params, frames, -1, "not -1"),
    };
    for (size_t i = 0; i < COUNT(bad); i++) {
        ms_detect_params p = detect_params();
        put(&p, &bad[i]);
        check_said(&bad[i], ms_detect(&p, NULL, &err));
    }
}

static void numbers_of_a_plan_are_checked(void **state) {
    (void)state;
    static const bad_field bad[] = {
#define INT(field, value, said) INT_OF(ms_plan_params, field, value, said)
        INT(width, 15, "15x720"),
        INT(height, 16385, "1280x16385"),
        INT(max_gap, -1, "not -1"),
        INT(steps, 0, "not 0"),
        INT(resolution, 7, "not 7"),
        INT(precision, 4, "precision 4"),
        INT(paste, MS_PASTE_COUNT, "paste 2"),
        INT(rung, MS_RUNG_COUNT, "rung 9"),
        INT(codec, 3, "codec 3"),
        INT(threads, -1, "not -1"),
        INT(threads, 100000, "not 100000"),
#undef INT
        INT64_OF(ms_plan_params, frames, 0, "not 0"),
        INT64_OF(ms_plan_params, frames, INT64_MAX, "not 9223372036854775807"),
        DOUBLE_OF(ms_plan_params, fps, 0, "0 is no frame rate"),
        DOUBLE_OF(ms_plan_params, fps, (double)NAN, "nan is no frame rate"),
        DOUBLE_OF(ms_plan_params, guidance, -1, "not -1"),
    };
    ms_plan_report *report = calloc(1, sizeof(*report));
    assert_non_null(report);
    for (size_t i = 0; i < COUNT(bad); i++) {
        ms_plan_params p;
        ms_plan_params_init(&p);
        p.shape = "tiny";
        put(&p, &bad[i]);
        check_said(&bad[i], ms_plan_run(&p, report, NULL, &err));
    }
    free(report);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_of_a_run_are_checked),
        cmocka_unit_test(numbers_of_a_detection_are_checked),
        cmocka_unit_test(numbers_of_a_plan_are_checked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
