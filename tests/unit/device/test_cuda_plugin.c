/* The plug-in for CUDA cards: on a machine without one it says so in a line, and the processor goes on. */
#include "support/cli.h"

#include <dlfcn.h>

#include "device/plugin.h"

static void without_a_card_a_line_says_why(void **state) {
    (void)state;
    const ms_backend *backend = NULL;
    ms_device *dev = NULL;
    ms_error err;
    ms_error_clear(&err);
    setenv("MEMSAFE_PLUGIN_DIR", MS_CUDA_PLUGIN_DIR, 1);
    assert_ms_ok(ms_plugin_find("cuda", &backend, &err), &err);
    const ms_device_params params = {.backend = "cuda"};
    ms_status status = backend->open(&params, &dev, &err);
    assert_run_fails(0, "memsafe-cuda.so      yes", "doctor");
    if (status == MS_OK) { /* there is a card */
        backend->close(&dev);
        return;
    }
    assert_int_equal(status, MS_UNSUPPORTED);
    assert_null(dev);
    assert_non_null(strstr(err.message, "CUDA"));
    assert_null(strchr(err.message, '\n'));
    assert_run_fails(12, err.message, "probe --device cuda");
    assert_run_works("probe --device auto");
}

static void another_abi_is_refused(void **state) {
    (void)state;
    void *plugin = dlopen(MS_CUDA_PLUGIN_DIR "/memsafe-cuda.so", RTLD_NOW | RTLD_LOCAL);
    assert_non_null(plugin);
    void *symbol = dlsym(plugin, MS_PLUGIN_ENTRY);
    ms_plugin_entry entry;
    memcpy(&entry, &symbol, sizeof(entry));
    assert_non_null(entry);
    assert_null(entry(MS_BACKEND_ABI + 1, NULL));
    dlclose(plugin);
}

static int clean_up(void **state) {
    (void)state;
    test_dir_remove();
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_a_card_a_line_says_why),
        cmocka_unit_test(another_abi_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, clean_up);
}
