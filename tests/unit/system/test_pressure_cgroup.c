/*
 * The real thing: a hog inside a cgroup v2 with memory.high, watched by a monitor that reads the system's own
 * files. Skipped where the test may not create a cgroup with the memory controller.
 */
#include "test.h"

#include <signal.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "system/monitor.h"

#define HIGH_BYTES ((size_t)96 << 20)
#define HOG_BYTES ((size_t)94 << 20) /* leaves 2 % */

static char group[MS_PRESSURE_MAX_PATH + 64], proc_dir[64];

static bool write_file(const char *dir, const char *name, const char *text) {
    char path[MS_PRESSURE_MAX_PATH + 128];
    snprintf(path, sizeof(path), "%s/%s", dir, name);
    FILE *f = fopen(path, "w");
    if (!f)
        return false;
    bool written = fputs(text, f) >= 0;
    return fclose(f) == 0 && written;
}

/* A group with a limit, right below the mount point: there groups may have controllers beside processes. */
static bool make_group(const char *mount) {
    char text[64];
    snprintf(group, sizeof(group), "%s/memsafe-test-%ld", mount, (long)getpid());
    if (!mount[0] || mkdir(group, 0755) != 0)
        return false;
    snprintf(text, sizeof(text), "%zu", HIGH_BYTES);
    if (write_file(group, "memory.high", text))
        return true;
    rmdir(group);
    return false;
}

/* A stand-in for /proc that names the hog's group as this process's own. */
static void make_proc(const char *mount) {
    char dir[96], text[MS_PRESSURE_MAX_PATH + 64];
    strcpy(proc_dir, "/tmp/memsafe-cgroup-XXXXXX");
    assert_non_null(mkdtemp(proc_dir));
    snprintf(dir, sizeof(dir), "%s/self", proc_dir);
    assert_int_equal(mkdir(dir, 0700), 0);
    snprintf(text, sizeof(text), "0::%s\n", group + strlen(mount));
    assert_true(write_file(dir, "cgroup", text));
}

static void remove_proc(void) {
    char path[96];
    snprintf(path, sizeof(path), "%s/self/cgroup", proc_dir);
    unlink(path);
    snprintf(path, sizeof(path), "%s/self", proc_dir);
    rmdir(path);
    rmdir(proc_dir);
}

/* Takes its memory inside the group and sleeps until it is killed. */
static pid_t start_hog(void) {
    pid_t pid = fork();
    if (pid != 0)
        return pid;
    char text[32];
    snprintf(text, sizeof(text), "%ld", (long)getpid());
    if (!write_file(group, "cgroup.procs", text))
        _exit(1);
    char *block = mmap(NULL, HOG_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (block == MAP_FAILED)
        _exit(2);
    memset(block, 1, HOG_BYTES);
    for (;;)
        pause();
}

/* The wait is for a lost machine only. */
static bool await(const ms_monitor *m, bool pressed) {
    for (int i = 0; i < 6000; i++) {
        if ((ms_monitor_level(m) >= MS_PRESSURE_HIGH) == pressed &&
            (pressed || ms_monitor_level(m) == MS_PRESSURE_NONE))
            return true;
        nanosleep(&(struct timespec){0, 10000000}, NULL);
    }
    return false;
}

static void a_hog_raises_the_level_and_its_end_lowers_it(void **state) {
    (void)state;
    ms_error err;
    ms_pressure_source source;
    assert_ms_ok(ms_pressure_source_init(NULL, NULL, &source, &err), &err);
    if (!make_group(source.cgroup)) {
        print_message("no cgroup v2 with the memory controller may be created here: skipped\n");
        skip();
    }
    make_proc(source.cgroup);
    ms_monitor_params params;
    ms_monitor *m = NULL;
    ms_monitor_params_init(&params);
    params.roots = (ms_pressure_roots){proc_dir, source.cgroup};
    params.samples_per_s = 50;
    params.thresholds.hold_s = 0.2;
    ms_status status = ms_monitor_create(&params, &m, &err);
    bool calm = status == MS_OK && ms_monitor_level(m) == MS_PRESSURE_NONE;
    pid_t hog = calm ? start_hog() : -1;
    bool rose = hog > 0 && await(m, true);
    ms_pressure_change change = {0};
    bool told = rose && ms_monitor_last_change(m, &change);
    if (hog > 0) {
        kill(hog, SIGKILL);
        waitpid(hog, NULL, 0);
    }
    bool fell = rose && await(m, false);
    ms_monitor_destroy(&m);
    for (int i = 0; i < 500 && rmdir(group) != 0; i++) /* busy until its last process is gone */
        nanosleep(&(struct timespec){0, 10000000}, NULL);
    remove_proc();
    assert_ms_ok(status, &err);
    assert_true(calm);
    assert_true(rose);
    assert_true(told && change.sample.cgroup_high == (int64_t)HIGH_BYTES && change.sample.cgroup_depth == 0);
    print_message("%s\n", change.reason);
    assert_true(fell);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(a_hog_raises_the_level_and_its_end_lowers_it)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
