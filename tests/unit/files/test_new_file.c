/* Files in the making: what is never replaced, and that temporary names never are somebody else's. */
#include "test.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "files/full_io.h"
#include "files/in_use.h"
#include "files/new_file.h"
#include "support/cli.h"

static void put(const char *path, const char *text) {
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fputs(text, f);
    assert_int_equal(fclose(f), 0);
}

static void assert_holds(const char *path, const char *text) {
    char got[256] = "";
    FILE *f = fopen(path, "r");
    assert_non_null(f);
    got[fread(got, 1, sizeof(got) - 1, f)] = 0;
    fclose(f);
    assert_string_equal(got, text);
}

/* Files of the test's folder. */
static int files(void) {
    char line[400];
    int n = 0;
    snprintf(line, sizeof(line), "ls -A %s | wc -l", test_dir());
    FILE *pipe = popen(line, "r");
    assert_int_equal(fscanf(pipe, "%d", &n), 1);
    pclose(pipe);
    return n;
}

static void make_socket(const char *path) {
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    snprintf(a.sun_path, sizeof(a.sun_path), "%.100s", path);
    assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof(a)), 0);
    close(fd);
}

static void only_regular_files_are_replaced(void **state) {
    (void)state;
    ms_error err = {0};
    const char *pipe = test_file("pipe"), *sock = test_file("sock"), *folder = test_file("folder"),
               *link = test_file("link"), *null = test_file("null");
    assert_int_equal(mkfifo(pipe, 0600), 0);
    make_socket(sock);
    assert_int_equal(mkdir(folder, 0700), 0);
    assert_int_equal(symlink(pipe, link), 0);
    assert_int_equal(symlink("/dev/null", null), 0);
    const char *const paths[] = {pipe, sock, folder, link, null, "/dev/null"};
    const char *const kinds[] = {"a pipe", "a socket", "a folder", "a pipe", "a device", "a device"};
    for (int i = 0; i < 6; i++) {
        struct stat before, after;
        assert_int_equal(lstat(paths[i], &before), 0);
        assert_int_equal(ms_new_file_check(paths[i], true, &err), MS_IO);
        assert_non_null(strstr(err.message, paths[i]));
        assert_non_null(strstr(err.message, kinds[i]));
        assert_int_equal(ms_new_file_save(paths[i], "x", 1, true, &err), MS_IO);
        assert_int_equal(lstat(paths[i], &after), 0);
        assert_int_equal(before.st_ino, after.st_ino);
    }
    /* Something appears after the check. */
    put(test_file("temp"), "new");
    assert_int_equal(ms_new_file_take_name(test_file("temp"), pipe, true, &err), MS_IO);
    assert_int_equal(ms_new_file_take_name(test_file("temp"), sock, true, &err), MS_IO);
    assert_holds(test_file("temp"), "new");
}

static void a_file_that_is_there_stays(void **state) {
    (void)state;
    ms_error err = {0};
    const char *path = test_file("out");
    put(path, "old");
    assert_int_equal(ms_new_file_save(path, "new", 3, false, &err), MS_IO);
    assert_true(err.hints == MS_HINT_BIT(MS_HINT_REPLACE));
    assert_holds(path, "old");
    /* It appears while the new one is written. */
    ms_new_file f;
    assert_int_equal(unlink(path), 0);
    assert_ms_ok(ms_new_file_open(&f, NULL, path, false, &err), &err);
    assert_ms_ok(ms_new_file_write(&f, "new", 3, &err), &err);
    put(path, "meanwhile");
    assert_int_equal(ms_new_file_finish(&f, &err), MS_IO);
    assert_holds(path, "meanwhile");
    int before = files();
    assert_ms_ok(ms_new_file_save(path, "new", 3, true, &err), &err);
    assert_holds(path, "new");
    assert_int_equal(files(), before);
}

static void a_dangling_link_is_a_file(void **state) {
    (void)state;
    ms_error err = {0};
    const char *link = test_file("dangling"), *target = test_file("target");
    assert_int_equal(symlink(target, link), 0);
    assert_int_equal(ms_new_file_check(link, false, &err), MS_IO);
    assert_ms_ok(ms_new_file_save(link, "new", 3, true, &err), &err);
    assert_holds(link, "new");
    assert_int_equal(access(target, F_OK), -1); /* nothing was written through it */
}

static void other_peoples_temporary_files_stay(void **state) {
    (void)state;
    ms_error err = {0};
    const char *path = test_file("mine"), *victim = test_file("victim");
    char other[600];
    put(victim, "precious");
    static const char *const endings[] = {".part", ".tmp", ".partial"};
    for (int i = 0; i < 3; i++) {
        snprintf(other, sizeof(other), "%s%s", path, endings[i]);
        assert_int_equal(symlink(victim, other), 0);
    }
    snprintf(other, sizeof(other), "%s.%ld.tmp", path, (long)getpid());
    assert_int_equal(symlink(victim, other), 0);
    int before = files();
    assert_ms_ok(ms_new_file_save(path, "new", 3, false, &err), &err);
    assert_holds(victim, "precious");
    assert_holds(path, "new");
    assert_int_equal(files(), before + 1);
}

static void inputs_are_spared(void **state) {
    (void)state;
    ms_error err = {0};
    char again[600];
    const char *in = test_file("in"), *hard = test_file("hard"), *soft = test_file("soft");
    put(in, "input");
    assert_int_equal(link(in, hard), 0);
    assert_int_equal(symlink(in, soft), 0);
    snprintf(again, sizeof(again), "%s/../%s", test_dir(), strrchr(test_dir(), '/') + 1);
    strcat(again, "/in");
    const char *const names[] = {in, hard, soft, again};
    const char *const inputs[] = {NULL, test_file("absent"), in};
    const ms_in_use use = {.files = inputs, .n_files = 3};
    for (int i = 0; i < 4; i++) {
        assert_int_equal(ms_in_use_spare(&use, names[i], "report", &err), MS_INVALID_ARGUMENT);
        assert_non_null(strstr(err.message, "report"));
        assert_non_null(strstr(err.message, names[i]));
    }
    assert_ms_ok(ms_in_use_spare(&use, test_file("other"), "report", &err), &err);
    assert_ms_ok(ms_in_use_spare(&use, NULL, "report", &err), &err);
}

static void is_spared(const ms_in_use *use, const char *path, const char *why) {
    ms_error err = {0};
    assert_int_equal(ms_in_use_spare(use, path, "report", &err), MS_INVALID_ARGUMENT);
    if (!strstr(err.message, why) || !strstr(err.message, path))
        fail_msg("%s: not \"%s\" but: %s", path, why, err.message);
}

/* What work keeps for later ones; some of it is made while the work goes on. */
static void what_is_kept_is_spared(void **state) {
    (void)state;
    ms_error err;
    const char *profile = test_file("memsafe.yaml"), *history = test_file("h.db"), *latents = test_file("lc"),
               *block = test_file("lc/a.latents"), *out = test_file("o.mkv"),
               *job = test_file("o.mkv.memsafe"), *poses = test_file("o.mkv.memsafe/poses");
    const ms_in_use use = {.profile = profile, .history = history, .latents = latents, .output = out};
    is_spared(&use, profile, "is the profile"); /* nothing of it is there yet */
    is_spared(&use, history, "is the history of runs");
    is_spared(&use, test_file("h.db-journal"), "is the history of runs");
    assert_ms_ok(ms_in_use_spare(&use, test_file("lc/a.latents"), "report", &err), &err);
    assert_int_equal(mkdir(latents, 0777) | mkdir(job, 0777), 0);
    is_spared(&use, test_file("lc/new.latents"), "kept in");
    is_spared(&use, poses, "is of the job's folder");
    assert_ms_ok(ms_in_use_spare(&use, test_file("lc/r.json"), "report", &err), &err);
    static const char *const whys[] = {"is the profile", "is the history", "kept in", "of the job's folder"};
    const char *const kept[] = {profile, history, block, poses};
    for (int i = 0; i < 4; i++) {
        const char *hard = test_file("other-name"), *soft = test_file("a-link");
        put(kept[i], "kept");
        assert_int_equal(link(kept[i], hard) | symlink(kept[i], soft), 0);
        is_spared(&use, kept[i], whys[i]);
        is_spared(&use, hard, whys[i]);
        is_spared(&use, soft, whys[i]);
        assert_int_equal(unlink(hard) | unlink(soft), 0);
    }
    assert_ms_ok(ms_in_use_spare(&use, out, "output", &err), &err);
    assert_true(ms_same_target(out, test_file("./lc/../o.mkv")));
    assert_false(ms_same_target(out, NULL) || ms_same_target(out, test_file("lc/o.mkv")));
}

static void every_allocation_can_fail(void **state) {
    (void)state;
    int before = files();
    for (uint64_t n = 1;; n++) {
        ms_mem *mem;
        ms_new_file f;
        assert_int_equal(ms_mem_create(0, &mem), MS_OK);
        ms_mem_fail_after(n, true);
        ms_status status = ms_new_file_open(&f, mem, test_file("oom"), false, NULL);
        ms_mem_fail_after(0, false);
        ms_new_file_abort(&f);
        assert_int_equal(ms_mem_destroy(&mem), 0);
        assert_int_equal(files(), before);
        if (status == MS_OK)
            break;
        assert_int_equal(status, MS_HOST_MEMORY);
        assert_true(n < 10);
    }
}

/* A pipe gives what it has, in parts; a file that ends is told from one that fails. */
static void whole_blocks_are_read_and_written(void **state) {
    (void)state;
    char got[8] = "";
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    pid_t writer = fork();
    if (writer == 0) {
        bool good = ms_write_full(ends[1], "ab", 2) && usleep(20000) == 0 && ms_write_full(ends[1], "cde", 3);
        _exit(good ? 0 : 1);
    }
    close(ends[1]);
    assert_true(ms_read_full(ends[0], got, 5));
    assert_string_equal(got, "abcde");
    int ended;
    assert_int_equal(waitpid(writer, &ended, 0), writer);
    assert_int_equal(ended, 0);
    assert_false(ms_read_full(ends[0], got, 1));
    assert_int_equal(errno, 0);
    close(ends[0]);
    assert_false(ms_read_full(ends[0], got, 1));
    assert_int_equal(errno, EBADF);
    int fd = open(test_file("block"), O_RDWR | O_CREAT | O_TRUNC, 0600);
    assert_true(ms_write_full_at(fd, "xyz", 3, 4));
    assert_true(ms_read_full_at(fd, got, 2, 5));
    assert_memory_equal(got, "yz", 2);
    assert_false(ms_read_full_at(fd, got, 2, 6));
    assert_int_equal(errno, 0);
    close(fd);
    assert_int_equal(unlink(test_file("block")), 0);
}

static int clean_up(void **state) {
    (void)state;
    test_dir_remove();
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_regular_files_are_replaced),
        cmocka_unit_test(a_file_that_is_there_stays),
        cmocka_unit_test(a_dangling_link_is_a_file),
        cmocka_unit_test(other_peoples_temporary_files_stay),
        cmocka_unit_test(inputs_are_spared),
        cmocka_unit_test(what_is_kept_is_spared),
        cmocka_unit_test(every_allocation_can_fail),
        cmocka_unit_test(whole_blocks_are_read_and_written),
    };
    return cmocka_run_group_tests(tests, NULL, clean_up);
}
