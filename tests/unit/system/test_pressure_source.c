/* Reading samples: every file's form, from made-up roots, and the real system's whatever it has. */
#include "test.h"

#include <ftw.h>
#include <sys/stat.h>
#include <unistd.h>

#include "system/pressure_source.h"

#define U MS_PRESSURE_UNKNOWN

static ms_error err;
static char root[64];

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw) {
    (void)st, (void)type, (void)ftw;
    return remove(path);
}

static int make_root(void **state) {
    (void)state;
    strcpy(root, "/tmp/memsafe-pressure-XXXXXX");
    return mkdtemp(root) ? 0 : -1;
}

static int remove_root(void **state) {
    (void)state;
    return nftw(root, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

/* root/name with its folders. */
static void put(const char *name, const char *text) {
    char path[512];
    snprintf(path, sizeof(path), "%s/%s", root, name);
    for (char *p = path + strlen(root) + 1; (p = strchr(p, '/')); p++) {
        *p = 0;
        mkdir(path, 0700);
        *p = '/';
    }
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
}

static ms_pressure_sample sample(bool state_cgroup) {
    char proc[96], cgroup[96];
    snprintf(proc, sizeof(proc), "%s/proc", root);
    snprintf(cgroup, sizeof(cgroup), "%s/cg", root);
    ms_pressure_roots roots = {proc, state_cgroup ? cgroup : NULL};
    ms_pressure_source source;
    ms_pressure_sample s;
    assert_ms_ok(ms_pressure_source_init(&roots, NULL, &source, &err), &err);
    ms_pressure_sample_read(&source, &s);
    return s;
}

static void nothing_there_is_normal(void **state) {
    (void)state;
    ms_pressure_sample s = sample(true), none;
    assert_true(s.time_s > 0);
    ms_pressure_sample_init(&none);
    none.time_s = s.time_s;
    assert_memory_equal(&s, &none, sizeof(s));
    s = sample(false); /* nor a mountinfo to look into */
    none.time_s = s.time_s;
    assert_memory_equal(&s, &none, sizeof(s));
}

static void host_files(void **state) {
    (void)state;
    put("proc/meminfo",
        "MemTotal:       24683656 kB\nMemFree:        23656296 kB\nMemAvailable:   24058568 kB\n"
        "Buffers:            3044 kB\nSwapCached:            0 kB\nSwapTotal:       2097148 kB\n"
        "SwapFree:        2000000 kB\nHugePages_Total:       0\n");
    put("proc/pressure/memory", "some avg10=1.53 avg60=0.87 avg300=0.23 total=129374\n"
                                "full avg10=12.05 avg60=0.00 avg300=0.00 total=99\n");
    ms_pressure_sample s = sample(true);
    assert_true(s.host_total == (int64_t)24683656 * 1024 && s.host_available == (int64_t)24058568 * 1024);
    assert_true(s.swap_total == (int64_t)2097148 * 1024 && s.swap_used == (int64_t)97148 * 1024);
    assert_true(fabs(s.psi_some - 1.53) < 1e-9 && fabs(s.psi_full - 12.05) < 1e-9);
    assert_true(s.psi_some_us == 129374 && s.psi_full_us == 99);
    assert_true(s.cgroup_current == U && s.cgroup_max == U && s.cgroup_depth == U);

    put("proc/meminfo", "MemTotal: 99999999999999999999 kB\nMemAvailable: x kB\nSwapFree: 5 kB\n");
    put("proc/pressure/memory", "some avg10=0.00 avg60=0.00 avg300=0.00 total=0\n"); /* kernels before 5.13 */
    s = sample(true);
    assert_true(s.host_total == U && s.host_available == U && s.swap_used == U);
    assert_true(s.psi_some == 0 && s.psi_full < 0 && s.psi_full_us == U);
    static const char *const broken[] = {"",
                                         "\n",
                                         "some\n",
                                         "some avg10=",
                                         "some avg10=1 total=3",
                                         "full avg10=3.0",
                                         "some avg10=-1.00 total=3",
                                         "some avg10=1.0\n"};
    for (size_t i = 0; i < sizeof(broken) / sizeof(*broken); i++) {
        put("proc/pressure/memory", broken[i]);
        assert_true(sample(true).psi_some < 0);
    }
}

static void put_group(const char *dir, const char *max, const char *high, const char *current,
                      const char *cache) {
    static const char *const names[] = {"memory.max", "memory.high", "memory.current", "memory.stat"};
    char path[128], stat[128];
    snprintf(stat, sizeof(stat), "anon 1\nfile 900\nshmem_inactive_file 7\ninactive_file %s\nactive_file 3\n",
             cache);
    const char *const texts[] = {max, high, current, stat};
    for (int i = 0; i < 4; i++) {
        snprintf(path, sizeof(path), "cg%s/%s", dir, names[i]);
        put(path, texts[i]);
    }
}

static void groups_on_the_way_to_the_root(void **state) {
    (void)state;
    put("proc/self/cgroup", "4:memory:/elsewhere\n0::/a/b\n");
    put_group("/a/b", "1000\n", "max\n", "400\n", "100\n");
    put_group("/a", "max\n", "max\n", "5000\n", "0\n");
    put("cg/a/b/memory.events", "low 1\nhigh 2\nmax 3\noom 4\noom_kill 5\noom_group_kill 0\n");
    put("cg/a/memory.events", "low 0\nhigh 20\nmax 30\noom 60\noom_kill 50\n");
    put("proc/pressure/memory", "some avg10=1.00 avg60=0 avg300=0 total=1\n");
    ms_pressure_sample s = sample(true);
    assert_true(s.cgroup_depth == 0 && s.cgroup_max == 1000 && s.cgroup_high == MS_PRESSURE_NO_LIMIT);
    assert_true(s.cgroup_current == 400 && s.cgroup_cache == 100 && ms_pressure_cgroup_free(&s) == 700);
    assert_true(s.events_high == 2 && s.events_max == 3 && s.events_oom == 5);
    assert_true(s.psi_some == 1);
    put("cg/a/b/memory.pressure",
        "some avg10=9.50 avg60=0 avg300=0 total=8\nfull avg10=2.25 avg60=0 total=4\n");
    s = sample(true); /* its own stalls rather than the machine's */
    assert_true(s.psi_some == 9.5 && s.psi_full == 2.25 && s.psi_full_us == 4);

    put("cg/a/memory.high", "6000\n"); /* the parent has 1/6 left, its child 7/10 */
    s = sample(true);
    assert_true(s.cgroup_depth == 1 && s.cgroup_high == 6000 && s.cgroup_current == 5000);
    assert_true(s.events_high == 20 && s.events_oom == 60 && s.psi_some == 9.5);
    put_group("/a/b", "6000", "max", "5000", "0"); /* of equals the nearest */
    assert_int_equal(sample(true).cgroup_depth, 0);
    put_group("/a/b", "max", "max", "5000", "0");
    assert_int_equal(sample(true).cgroup_depth, 1);
    put("cg/a/memory.high", "max\n");
    s = sample(true); /* no limit anywhere: its own numbers */
    assert_true(s.cgroup_depth == 0 && ms_pressure_cgroup_limit(&s) == U && s.cgroup_current == 5000);

    static const char *const broken[] = {"", "max", "-5", "garbage", "99999999999999999999"};
    for (size_t i = 0; i < sizeof(broken) / sizeof(*broken); i++) {
        put_group("/a/b", broken[i], broken[i], "70", "x");
        s = sample(true);
        assert_true(ms_pressure_cgroup_limit(&s) == U && s.cgroup_cache == U);
    }
    put("proc/self/cgroup", "4:memory:/elsewhere\n"); /* version 1 only */
    s = sample(true);
    assert_true(s.cgroup_current == U && s.cgroup_depth == U);
}

/* As mountinfo says: a folder with a space, and a container that sees the host's names. */
static void mounts_are_found(void **state) {
    (void)state;
    char text[1024];
    put("proc/self/cgroup", "0::/pods/x/inner\n");
    snprintf(text, sizeof(text),
             "22 1 0:20 / /proc rw - proc proc rw\n"
             "30 22 0:26 / /elsewhere rw - cgroup cgroup rw,memory\n"
             "31 22 0:27 /pods/x %s/cg\\040two/u rw,nosuid shared:4 - cgroup2 cgroup2 rw\n",
             root);
    put("proc/self/mountinfo", text);
    put("cg two/u/inner/memory.max", "123456\n");
    put("cg two/u/inner/memory.current", "456\n");
    ms_pressure_sample s = sample(false);
    assert_true(s.cgroup_max == 123456 && s.cgroup_current == 456 && s.cgroup_depth == 0);
    put("proc/self/cgroup", "0::/pods/x\n");
    put("cg two/u/memory.max", "99\n");
    put("cg two/u/memory.current", "9\n");
    assert_int_equal(sample(false).cgroup_max, 99);
    put("proc/self/cgroup", "0::/inner\n"); /* a name within a namespace already */
    assert_int_equal(sample(false).cgroup_depth, 1);
    put("proc/self/mountinfo", "31 - cgroup2 \n- cgroup2\n\n1 2 3 - cgroup2 x\n");
    assert_int_equal(sample(false).cgroup_max, U);
}

static void long_roots_are_refused(void **state) {
    (void)state;
    char path[MS_PRESSURE_MAX_PATH + 1];
    memset(path, 'a', sizeof(path) - 1);
    path[sizeof(path) - 1] = 0;
    ms_pressure_roots a = {path, NULL}, b = {NULL, path};
    ms_pressure_source source = {.proc = "kept"};
    assert_int_equal(ms_pressure_source_init(&a, NULL, &source, &err), MS_INVALID_ARGUMENT);
    assert_int_equal(ms_pressure_source_init(&b, NULL, &source, &err), MS_INVALID_ARGUMENT);
    assert_string_equal(source.proc, "kept");
    path[MS_PRESSURE_MAX_PATH - 1] = 0; /* the longest one: every name in it is too long to open */
    assert_ms_ok(ms_pressure_source_init(&b, NULL, &source, &err), &err);
    ms_pressure_sample s;
    ms_pressure_sample_read(&source, &s);
    assert_int_equal(s.cgroup_current, U);
}

static void devices(void **state) {
    (void)state;
    ms_device_params params = {.backend = "dummy", .memory_bytes = (size_t)8 << 30};
    ms_device *dev;
    ms_pressure_source source;
    ms_pressure_sample s;
    assert_ms_ok(ms_device_open(&params, &dev, &err), &err);
    void *block = dev->backend->alloc(dev, MS_LEDGER_WEIGHTS, (size_t)6 << 30);
    assert_non_null(block);
    assert_ms_ok(ms_pressure_source_init(NULL, dev, &source, &err), &err);
    ms_pressure_sample_read(&source, &s);
    size_t free_bytes, total_bytes;
    dev->backend->memory(dev, &free_bytes, &total_bytes);
    assert_true(s.device_free == (int64_t)free_bytes && s.device_total == (int64_t)8 << 30);
    dev->backend->free(dev, block);
    ms_device_close(&dev);
    params.backend = "cpu";
    assert_ms_ok(ms_device_open(&params, &dev, &err), &err);
    assert_ms_ok(ms_pressure_source_init(NULL, dev, &source, &err), &err);
    ms_pressure_sample_read(&source, &s);
    assert_int_equal(s.device_free, U);
    ms_device_close(&dev);
}

static void this_machine(void **state) {
    (void)state;
    ms_pressure_source source;
    ms_pressure_sample s;
    assert_ms_ok(ms_pressure_source_init(NULL, NULL, &source, &err), &err);
    uint64_t allocations = ms_mem_allocation_count();
    ms_pressure_sample_read(&source, &s);
    assert_true(ms_mem_allocation_count() == allocations);
    assert_true(s.host_total > 0 && s.host_available > 0 && s.host_available <= s.host_total);
    assert_true(s.psi_some <= 100 && s.psi_full <= 100 && s.device_total == U);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(nothing_there_is_normal, make_root, remove_root),
        cmocka_unit_test_setup_teardown(host_files, make_root, remove_root),
        cmocka_unit_test_setup_teardown(groups_on_the_way_to_the_root, make_root, remove_root),
        cmocka_unit_test_setup_teardown(mounts_are_found, make_root, remove_root),
        cmocka_unit_test(long_roots_are_refused),
        cmocka_unit_test(devices),
        cmocka_unit_test(this_machine),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
