/* What the linked library says of itself, and that the command says the same. */
#include "memsafe/library.h"
#include "memsafe_have.h"

#include "memsafe/version.h"
#include "support/cli.h"

static void the_version_is_the_builds(void **state) {
    (void)state;
    int major = -1, minor = -1, patch = -1;
    assert_int_equal(sscanf(ms_version(), "%d.%d.%d", &major, &minor, &patch), 3);
    assert_int_equal(ms_version_number(), major * 1000000 + minor * 1000 + patch);
    assert_string_equal(ms_version(), MS_VERSION_TEXT);
    assert_int_equal(ms_version_number(), MS_VERSION_NUMBER);
}

static void features_are_those_of_the_build(void **state) {
    (void)state;
    assert_int_equal(ms_has_feature(MS_FEATURE_FFMPEG), MS_HAVE_FFMPEG);
    assert_int_equal(ms_has_feature(MS_FEATURE_YAML), MS_HAVE_YAML);
    assert_int_equal(ms_has_feature(MS_FEATURE_ONNX), MS_HAVE_ONNX);
    assert_int_equal(ms_has_feature(MS_FEATURE_SQLITE), MS_HAVE_SQLITE);
    assert_int_equal(ms_has_feature(MS_FEATURE_ZSTD), MS_HAVE_ZSTD);
    assert_true(ms_has_feature(MS_FEATURE_PLUGINS));
}

/* Values have no gap: whoever counts to the first NULL has met all of them. */
static void counting_meets_every_feature(void **state) {
    (void)state;
    int count = 0, known = 0;
    while (ms_feature_name((ms_feature)count))
        count++;
#define X(name, value, text)                                                                                 \
    assert_in_range(value, 0, count - 1);                                                                    \
    assert_string_equal(ms_feature_name(MS_FEATURE_##name), text);                                           \
    known++;
    MS_FEATURE_MAP(X)
#undef X
    assert_int_equal(count, known);
}

static void the_command_says_them(void **state) {
    (void)state;
    char line[64], *with, *without;
    assert_int_equal(test_shell(MS_CLI_PATH " --version"), 0);
    snprintf(line, sizeof(line), "memsafe %s\n", ms_version());
    assert_memory_equal(test_output, line, strlen(line));
    with = strstr(test_output, "\nwith ");
    without = strstr(test_output, "\nwithout ");
    assert_non_null(with);
    for (int f = 0; ms_feature_name((ms_feature)f); f++) {
        char *at = strstr(test_output, ms_feature_name((ms_feature)f));
        assert_non_null(at);
        assert_int_equal(ms_has_feature((ms_feature)f), !without || at < without);
    }
    assert_int_equal(test_shell(MS_CLI_PATH " doctor"), 0);
    assert_int_equal(strstr(test_output, "left out") != NULL, without != NULL);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_version_is_the_builds),
        cmocka_unit_test(features_are_those_of_the_build),
        cmocka_unit_test(counting_meets_every_feature),
        cmocka_unit_test(the_command_says_them),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
