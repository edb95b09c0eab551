/* The host's limits, read from folders that the test writes. */
#include "test.h"

#include <errno.h>

#include "predict/bandwidth.h"
#include "support/cli.h"
#include "system/host.h"

static void put(const char *path, const char *text) {
    char folder[512];
    snprintf(folder, sizeof(folder), "%s", test_file(path));
    for (char *slash = folder + strlen(test_dir()) + 1; (slash = strchr(slash, '/')); slash++) {
        *slash = 0;
        assert_true(mkdir(folder, 0777) == 0 || errno == EEXIST);
        *slash = '/';
    }
    FILE *f = fopen(folder, "w");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
}

/* A process in group /a/b of a machine with 16 GB. */
static void put_proc(void) {
    put("proc/meminfo",
        "MemTotal:       16777216 kB\nMemFree:  1 kB\nMemAvailable:   12582912 kB\nSwapFree: 4 kB\n");
    put("proc/cpuinfo", "processor\t: 0\nmodel name\t: A Test Processor\n");
    put("proc/self/cgroup", "1:memory:/elsewhere\n0::/a/b\n");
    put("proc/self/status", "Name:\tx\nVmSize:\t  1024 kB\nVmData:\t  2048 kB\n");
    put("proc/self/limits",
        "Limit                     Soft Limit           Hard Limit           Units     \n"
        "Max data size             unlimited            unlimited            bytes     \n"
        "Max address space         1073741824           unlimited            bytes     \n"
        "Max locked memory         8388608              8388608              bytes     \n");
    put("cg/a/memory.max", "1000\n"); /* leaves 1000 - (900 - 500) */
    put("cg/a/memory.high", "max\n");
    put("cg/a/memory.current", "900\n");
    put("cg/a/memory.stat", "anon 400\ninactive_file 500\nactive_file 7\n");
    put("cg/a/b/memory.max", "max\n");
    put("cg/a/b/memory.high", "800\n"); /* leaves 500 */
    put("cg/a/b/memory.current", "300\n");
    put("cg/a/b/memory.events", "low 0\nhigh 12\nmax 3\noom 2\noom_kill 1\n");
}

static void the_binding_level_is_the_one_that_leaves_least(void **state) {
    (void)state;
    static ms_cgroup c;
    char proc[512], cg[512];
    put_proc();
    snprintf(proc, sizeof(proc), "%s", test_file("proc"));
    snprintf(cg, sizeof(cg), "%s", test_file("cg"));
    const ms_host_paths paths = {.proc = proc, .cgroup = cg};
    ms_cgroup_read(&paths, &c);
    assert_int_equal(c.levels, 3);
    assert_int_equal(c.level[0].high_bytes, 800);
    assert_true(c.level[0].max_bytes == SIZE_MAX);
    assert_int_equal(c.level[0].left_bytes, 500);
    assert_int_equal(c.level[0].events.high, 12);
    assert_int_equal(c.level[0].events.max, 3);
    assert_int_equal(c.level[0].events.oom, 2);
    assert_int_equal(c.level[0].events.oom_kill, 1);
    assert_int_equal(c.level[1].left_bytes, 600); /* page cache does not count */
    assert_int_equal(c.level[1].dir_chars, strlen(cg) + 2);
    assert_true(c.level[2].left_bytes == SIZE_MAX);
    assert_int_equal(c.level[2].dir_chars, strlen(cg));
    assert_int_equal(c.binding, 0);
    assert_int_equal(ms_cgroup_left_bytes(&c), 500);
    assert_int_equal(ms_cgroup_limit_bytes(&c), 800);
    put("cg/a/memory.current", "1400\n");
    ms_cgroup_read(&paths, &c);
    assert_int_equal(c.binding, 1);
    assert_int_equal(ms_cgroup_left_bytes(&c), 100);
    put("cg/a/memory.current", "9000\n"); /* above its limit: nothing is left, not a huge number */
    ms_cgroup_read(&paths, &c);
    assert_int_equal(ms_cgroup_left_bytes(&c), 0);
}

static void the_mount_point_is_found(void **state) {
    (void)state;
    static ms_cgroup c;
    char line[2048], proc[512];
    put_proc();
    snprintf(proc, sizeof(proc), "%s", test_file("proc"));
    const ms_host_paths paths = {.proc = proc};
    ms_cgroup_read(&paths, &c);
    assert_int_equal(c.levels, 0); /* no mountinfo */
    assert_true(ms_cgroup_left_bytes(&c) == SIZE_MAX && ms_cgroup_limit_bytes(&c) == SIZE_MAX);
    /* A container sees the group /a at the mount point. */
    snprintf(
        line, sizeof(line),
        "31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw\n41 31 0:38 /a %s/a rw shared:3 - cgroup2 cg rw\n",
        test_file("cg"));
    put("proc/self/mountinfo", line);
    ms_cgroup_read(&paths, &c);
    assert_int_equal(c.levels, 2);
    assert_string_equal(c.dir, test_file("cg/a/b"));
    assert_int_equal(ms_cgroup_left_bytes(&c), 500);
}

static void the_host_is_what_all_limits_leave(void **state) {
    (void)state;
    static ms_host h;
    put_proc();
    char proc[512];
    snprintf(proc, sizeof(proc), "%s", test_file("proc"));
    const ms_host_paths no_groups = {.proc = proc, .cgroup = "/nonexistent"};
    ms_host_read_from(&no_groups, &h);
    assert_string_equal(h.cpu_name, "A Test Processor");
    assert_int_equal(h.total_bytes, (size_t)16 << 30);
    assert_int_equal(h.address_limit_bytes, 1 << 30);
    assert_int_equal(h.locked_limit_bytes, 8 << 20);
    assert_true(h.data_limit_bytes == SIZE_MAX);
    assert_int_equal(ms_host_nominal_bytes(&h), 1 << 30);
    assert_int_equal(ms_host_free_bytes(&h), (1 << 30) - (1 << 20)); /* VmSize is used up */
    put("proc/self/limits", "");
    ms_host_read_from(&no_groups, &h);
    assert_int_equal(ms_host_nominal_bytes(&h), (size_t)16 << 30);
    assert_int_equal(ms_host_free_bytes(&h), (size_t)12 << 30);
}

static void this_machine_is_read(void **state) {
    (void)state;
    static ms_host h;
    ms_host_read(&h);
    assert_true(h.total_bytes > 0 && h.available_bytes > 0 && h.available_bytes <= h.total_bytes);
    assert_true(h.address_bytes >= ms_host_resident_bytes() && h.cpus > 0);
    assert_true(ms_host_free_bytes(&h) <= h.available_bytes && ms_host_nominal_bytes(&h) <= h.total_bytes);
}

static void files_are_read_past_the_cache(void **state) {
    (void)state;
    ms_bandwidth b;
    ms_error err;
    const ms_bandwidth_params params = {.limit_bytes = 10000};
    put("small", "0123456789");
    assert_ms_ok(ms_bandwidth_of_file(&params, test_file("small"), &b, &err), &err);
    assert_true(b.bytes >= 10 && b.bytes <= 10000 && b.bytes % 10 == 0);
    assert_true(b.seconds > 0 && b.bytes_per_s == (double)b.bytes / b.seconds);
    put("empty", "");
    assert_int_equal(ms_bandwidth_of_file(&params, test_file("empty"), &b, &err), MS_IO);
    assert_non_null(strstr(err.message, "is empty"));
    assert_int_equal(ms_bandwidth_of_file(&params, test_file("none"), &b, &err), MS_IO);
    assert_non_null(strstr(err.message, "none"));
    ms_mem_fail_after(1, false);
    assert_int_equal(ms_bandwidth_of_file(&params, test_file("small"), &b, &err), MS_HOST_MEMORY);
    ms_mem_fail_after(0, false);
}

static void uploads_are_timed_on_every_back_end(void **state) {
    (void)state;
    ms_bandwidth b;
    ms_error err;
    const ms_bandwidth_params params = {.limit_bytes = 1};
    for (const ms_backend *const *backend = ms_backends(); *backend; backend++) {
        const ms_compute_params open = {.threads = 1,
                                        .device = (*backend)->name,
                                        .isa_limit = MS_ISA_COUNT - 1,
                                        .memory_bytes = (size_t)1 << 30};
        ms_compute compute;
        assert_ms_ok(ms_compute_open(&open, &compute, &err), &err);
        assert_ms_ok(ms_bandwidth_of_upload(&params, &compute, &b, &err), &err);
        assert_int_equal(b.bytes, 64 << 20);
        assert_true(b.seconds > 0);
        ms_mem_fail_after(1, false);
        assert_int_equal(ms_bandwidth_of_upload(&params, &compute, &b, &err), MS_HOST_MEMORY);
        ms_mem_fail_after(0, false);
        ms_compute_close(&compute);
    }
    const ms_compute_params small = {.device = "dummy", .threads = 1, .memory_bytes = 1 << 20};
    ms_compute compute;
    assert_ms_ok(ms_compute_open(&small, &compute, &err), &err);
    assert_int_equal(ms_bandwidth_of_upload(&params, &compute, &b, &err), MS_DEVICE_MEMORY);
    ms_compute_close(&compute);
}

static int finish(void **state) {
    (void)state;
    test_dir_remove();
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_mount_point_is_found),
        cmocka_unit_test(the_binding_level_is_the_one_that_leaves_least),
        cmocka_unit_test(the_host_is_what_all_limits_leave),
        cmocka_unit_test(this_machine_is_read),
        cmocka_unit_test(files_are_read_past_the_cache),
        cmocka_unit_test(uploads_are_timed_on_every_back_end),
    };
    return cmocka_run_group_tests(tests, NULL, finish);
}
