/* What is said of a job whose key is another one: of a file, in what it differs. */
#include "test.h"

#include "base/error.h"
#include "job/job_key.h"
#include "support/cli.h"

static ms_error err;
static char path[512];

static int prepare(void **state) {
    (void)state;
    snprintf(path, sizeof(path), "%s", test_file("weights"));
    FILE *f = fopen(path, "w");
    return f && fputs("0123456789", f) >= 0 && fclose(f) == 0 ? 0 : -1;
}

static int clean_up(void **state) {
    (void)state;
    test_dir_remove();
    return 0;
}

static void assert_said(const ms_job_key *key, const char *was, const char *said) {
    ms_error_clear(&err);
    assert_int_equal(ms_job_key_explain(key, 0, was, &err), MS_INVALID_ARGUMENT);
    if (!strstr(err.message, said))
        fail_msg("%s: wanted \"%s\", got: %s", was, said, err.message);
    assert_null(strstr(err.message, "1970"));
}

static void a_model_is_told_apart_by_size_and_sum(void **state) {
    (void)state;
    ms_job_key key = {0};
    char was[MS_JOB_KEY_TEXT];
    assert_ms_ok(ms_job_key_add_model(&key, "unet", path, NULL, NULL, &err), &err);
    assert_said(&key, "none", "has no unet");
    assert_said(&key, "11 bytes, 0000000000000001", "it had 11 bytes");
    assert_said(&key, "10 bytes, 0000000000000001", "other contents of unet");
    /* As an older version noted it: nothing but the length can be compared. */
    const char *sum = strrchr(key.field[0].text, ' ') + 1;
    snprintf(was, sizeof(was), "10 bytes, changed 1700000000.000000000, %s", sum);
    assert_said(&key, was, "begun by another version of memsafe");
    assert_said(&key, "10 bytes, changed 1700000000.000000000, 0000000000000001", "by another version");
    assert_said(&key, "11 bytes, changed 1700000000.000000000, 0000000000000001", "it had 11 bytes");
}

static void an_input_by_its_time_too(void **state) {
    (void)state;
    ms_job_key key = {0};
    char was[MS_JOB_KEY_TEXT];
    assert_ms_ok(ms_job_key_add_file(&key, "video", path, &err), &err);
    const char *sum = strrchr(key.field[0].text, ' ') + 1;
    snprintf(was, sizeof(was), "10 bytes, changed 1700000000.000000000, %s", sum);
    assert_said(&key, was, "it was written or copied since");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_model_is_told_apart_by_size_and_sum),
        cmocka_unit_test(an_input_by_its_time_too),
    };
    return cmocka_run_group_tests(tests, prepare, clean_up);
}
