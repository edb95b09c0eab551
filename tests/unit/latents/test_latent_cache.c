/* The latent cache: what is found is what was put in, memory and folder stay within
   their bounds, and nothing that goes wrong is more than a row that is not found. */
#include "test.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "latents/latent_cache.h"
#include "latents/latent_room.h"
#include "support/cli.h"

#define WINDOW 8
#define VALUES 600
#define FACE 48

/* The face and its row follow from a number. */
static void face_of(int number, uint8_t *face) {
    for (int i = 0; i < FACE; i++)
        face[i] = (uint8_t)(number * 37 + i * (number % 11));
    face[0] = (uint8_t)number;
    face[1] = (uint8_t)(number >> 8);
}

static void row_of(int number, float *row) {
    for (int v = 0; v < VALUES; v++)
        row[v] = sinf((float)v * 0.1f) + 0.2f * cosf((float)(number * v));
}

static ms_latent_cache_params params_of(ms_mem *mem, const char *dir) {
    return (ms_latent_cache_params){.mem = mem,
                                    .window_frames = WINDOW,
                                    .values = VALUES,
                                    .face_bytes = FACE,
                                    .rank_percent = 50,
                                    .capacity_bytes = 1 << 20,
                                    .dir = dir,
                                    .dir_bytes = 1 << 20,
                                    .model_key = {7, 8}};
}

static ms_latent_cache *open_cache(const ms_latent_cache_params *p) {
    ms_error err;
    ms_latent_cache *cache = NULL;
    assert_ms_ok(ms_latent_cache_create(p, &cache, &err), &err);
    return cache;
}

/* A window of these faces; rows that are found must be right, the others are filled
   in. Returns how many were not found. */
static int window(ms_latent_cache *cache, const int *numbers, int n) {
    uint8_t faces[WINDOW * FACE] = {0};
    float expected[VALUES];
    int missing[WINDOW];
    for (int f = 0; f < n; f++)
        face_of(numbers[f], faces + f * FACE);
    int count = ms_latent_cache_begin(cache, faces, n, missing);
    for (int i = 0; i < count; i++)
        row_of(numbers[missing[i]], ms_latent_cache_row(cache, missing[i]));
    for (int f = 0; f < n; f++) {
        row_of(numbers[f], expected);
        assert_memory_equal(ms_latent_cache_row(cache, f), expected, sizeof(expected));
    }
    ms_latent_cache_finish(cache);
    return count;
}

static int range(ms_latent_cache *cache, int first, int n, int step) {
    int numbers[WINDOW];
    for (int i = 0; i < n; i++)
        numbers[i] = first + i * step;
    return window(cache, numbers, n);
}

static ms_latent_cache_stats stats_of(const ms_latent_cache *cache) {
    ms_latent_cache_stats s;
    ms_latent_cache_get_stats(cache, &s);
    return s;
}

static void a_loop_finds_its_faces(void **state) {
    (void)state;
    ms_latent_cache_params p = params_of(NULL, NULL);
    ms_latent_cache *cache = open_cache(&p);
    assert_int_equal(range(cache, 0, 8, 1), 8);
    assert_int_equal(range(cache, 8, 5, 1), 5);
    assert_int_equal(range(cache, 12, 8, -1), 0); /* backwards, over both blocks */
    assert_int_equal(range(cache, 4, 5, -1), 0);
    assert_int_equal(window(cache, (const int[]){3, 20, 4, 21, 20, 3}, 6), 2); /* equal faces are one */
    assert_int_equal(range(cache, 20, 2, 1), 0);
    ms_latent_cache_stats s = stats_of(cache);
    assert_int_equal(s.misses, 15);
    assert_int_equal(s.hits, 8 + 5 + 4 + 2);
    assert_int_equal(s.blocks, 3);
    assert_int_equal(s.raw_bytes, 15 * VALUES * 4);
    assert_true(s.stored_bytes > 0);
    assert_true(isinf(ms_latent_cache_psnr_db(&s)));
    ms_latent_cache_destroy(&cache);
    assert_null(cache);
}

/* What is in stays in: of a loop that is longer than the cache a part is found on every pass. */
static void memory_is_a_bound(void **state) {
    (void)state;
    ms_mem *mem = NULL;
    ms_mem_usage usage;
    assert_int_equal(ms_mem_create(0, &mem), MS_OK);
    ms_latent_cache_params p = params_of(mem, NULL);
    p.capacity_bytes = 60000; /* three windows of 19,200 bytes or a few more */
    ms_latent_cache *cache = open_cache(&p);
    for (int pass = 0; pass < 3; pass++) {
        int missing = 0;
        for (int w = 0; w < 12; w++)
            missing += range(cache, w * WINDOW, WINDOW, 1);
        if (pass == 0)
            assert_int_equal(missing, 96);
        else
            assert_in_range(missing, 8, 72);
    }
    ms_mem_get_usage(mem, &usage);
    assert_true(usage.peak_bytes <= ms_latent_cache_bytes(&p));
    assert_true(usage.peak_bytes == usage.ledger_peak[MS_LEDGER_CACHES]);
    assert_true(stats_of(cache).dropped > 0);
    ms_latent_cache_destroy(&cache);
    assert_int_equal(ms_mem_destroy(&mem), 0);
}

/* Each allocation fails, once and from then on: creating says so, a window only finds less. */
static void allocations_may_fail(void **state) {
    (void)state;
    for (int repeat = 0; repeat < 2; repeat++) {
        for (uint64_t n = 1, done = 0; !done; n++) {
            ms_mem *mem = NULL;
            ms_error err;
            assert_int_equal(ms_mem_create(0, &mem), MS_OK);
            ms_latent_cache_params p = params_of(mem, n % 2 ? NULL : test_file("failing"));
            ms_latent_cache *cache = NULL;
            ms_mem_fail_after(n, repeat);
            ms_status status = ms_latent_cache_create(&p, &cache, &err);
            if (status == MS_OK) {
                range(cache, 0, 8, 1);
                range(cache, 0, 8, 1);
            } else {
                assert_int_equal(status, MS_HOST_MEMORY);
            }
            ms_mem_fail_after(0, false);
            ms_mem_usage usage;
            ms_mem_get_usage(mem, &usage);
            done = usage.failures == 0;
            ms_latent_cache_destroy(&cache);
            assert_int_equal(ms_mem_destroy(&mem), 0);
        }
    }
}

static void a_lossy_cache_is_close(void **state) {
    (void)state;
    ms_latent_cache_params p = params_of(NULL, NULL);
    p.lossy = true;
    ms_latent_cache *cache = open_cache(&p);
    uint8_t faces[WINDOW * FACE];
    float expected[VALUES];
    int missing[WINDOW];
    for (int f = 0; f < WINDOW; f++)
        face_of(f, faces + f * FACE);
    for (int pass = 0; pass < 2; pass++) {
        assert_int_equal(ms_latent_cache_begin(cache, faces, WINDOW, missing), pass ? 0 : WINDOW);
        double worst = 0;
        for (int f = 0; f < WINDOW; f++) {
            float *row = ms_latent_cache_row(cache, f);
            row_of(f, expected);
            if (!pass)
                memcpy(row, expected, sizeof(expected));
            for (int v = 0; v < VALUES; v++)
                worst = fmax(worst, fabs((double)row[v] - (double)expected[v]));
        }
        ms_latent_cache_finish(cache);
        assert_true(worst < 0.4);
        if (stats_of(cache).lossy_values && stats_of(cache).squared_error > 0 && pass)
            assert_true(worst > 0);
    }
    ms_latent_cache_stats s = stats_of(cache);
    double psnr = ms_latent_cache_psnr_db(&s);
    assert_true(psnr > 15);
    ms_latent_cache_destroy(&cache);
}

/* ---- the folder ---- */

static int files_in(const char *dir, char *ret_last, size_t room) {
    DIR *entries = opendir(dir);
    const struct dirent *e;
    int n = 0;
    while (entries && (e = readdir(entries)))
        if (e->d_name[0] != '.') {
            n++;
            if (ret_last)
                snprintf(ret_last, room, "%s/%s", dir, e->d_name);
        }
    if (entries)
        closedir(entries);
    return n;
}

static void a_later_run_finds_them(void **state) {
    (void)state;
    const char *dir = test_file("later");
    ms_mem *mem = NULL;
    ms_mem_usage usage;
    assert_int_equal(ms_mem_create(0, &mem), MS_OK);
    ms_latent_cache_params p = params_of(mem, dir);
    ms_latent_cache *cache = open_cache(&p);
    assert_int_equal(range(cache, 0, 8, 1), 8);
    assert_int_equal(range(cache, 8, 3, 1), 3);
    assert_int_equal(range(cache, 0, 8, 1), 0);
    ms_latent_cache_destroy(&cache);
    assert_int_equal(files_in(dir, NULL, 0), 2);
    cache = open_cache(&p);
    assert_int_equal(range(cache, 3, 8, 1), 0);
    assert_int_equal(stats_of(cache).blocks, 2);
    ms_mem_get_usage(mem, &usage);
    assert_true(usage.peak_bytes <= ms_latent_cache_bytes(&p));
    ms_latent_cache_destroy(&cache);
    p.model_key[1]++; /* another model finds nothing of it */
    cache = open_cache(&p);
    assert_int_equal(range(cache, 3, 8, 1), 8);
    ms_latent_cache_destroy(&cache);
    p.model_key[0]++;
    cache = open_cache(&p);
    assert_int_equal(range(cache, 3, 8, 1), 8);
    ms_latent_cache_destroy(&cache);
    assert_int_equal(ms_mem_destroy(&mem), 0);
}

static void poke(const char *path, long at, int xor) {
    FILE *f = fopen(path, "r+b");
    assert_non_null(f);
    fseek(f, at, at < 0 ? SEEK_END : SEEK_SET);
    int byte = fgetc(f);
    fseek(f, -1, SEEK_CUR);
    fputc(byte ^ xor, f);
    fclose(f);
}

/* A damaged file is not found, goes, and is written anew. */
static void damaged_files_are_replaced(void **state) {
    (void)state;
    const char *dir = test_file("damaged");
    char path[600];
    static const long places[] = {0, 4, 6, 9, 20, 30, 40, 50, 180, 220, 300, -1, -200};
    ms_latent_cache_params p = params_of(NULL, dir);
    for (int i = 0; i < (int)(sizeof(places) / sizeof(places[0])) + 2; i++) {
        ms_latent_cache *cache = open_cache(&p);
        range(cache, 0, 8, 1);
        ms_latent_cache_destroy(&cache);
        assert_int_equal(files_in(dir, path, sizeof(path)), 1);
        if (i < (int)(sizeof(places) / sizeof(places[0])))
            poke(path, places[i], 0x11);
        else
            assert_int_equal(truncate(path, i % 2 ? 100 : 1000), 0);
        cache = open_cache(&p);
        assert_int_equal(range(cache, 0, 8, 1), 8);
        assert_int_equal(range(cache, 0, 8, 1), 0);
        ms_latent_cache_destroy(&cache);
        cache = open_cache(&p);
        assert_int_equal(range(cache, 0, 8, 1), 0);
        ms_latent_cache_destroy(&cache);
    }
}

/* Somebody empties the folder in the middle of a run. */
static void files_may_disappear(void **state) {
    (void)state;
    const char *dir = test_file("emptied");
    char path[600];
    ms_latent_cache_params p = params_of(NULL, dir);
    ms_latent_cache *cache = open_cache(&p);
    range(cache, 0, 8, 1);
    while (files_in(dir, path, sizeof(path)))
        assert_int_equal(unlink(path), 0);
    assert_int_equal(range(cache, 0, 8, 1), 8);
    assert_int_equal(range(cache, 0, 8, 1), 0);
    while (files_in(dir, path, sizeof(path)))
        unlink(path);
    assert_int_equal(rmdir(dir), 0);
    assert_int_equal(range(cache, 0, 8, 1), 8);
    assert_int_equal(range(cache, 8, 8, 1), 8);
    ms_latent_cache_destroy(&cache);
}

static off_t bytes_in(const char *dir) {
    DIR *entries = opendir(dir);
    const struct dirent *e;
    off_t bytes = 0;
    while (entries && (e = readdir(entries))) {
        struct stat info;
        if (e->d_name[0] != '.' && fstatat(dirfd(entries), e->d_name, &info, 0) == 0)
            bytes += info.st_size;
    }
    if (entries)
        closedir(entries);
    return bytes;
}

static void make_old(const char *dir, int seconds) {
    DIR *entries = opendir(dir);
    const struct dirent *e;
    while (entries && (e = readdir(entries))) {
        struct timespec times[2] = {{.tv_sec = time(NULL) - seconds}, {.tv_sec = time(NULL) - seconds}};
        if (e->d_name[0] != '.')
            utimensat(dirfd(entries), e->d_name, times, 0);
    }
    if (entries)
        closedir(entries);
}

/* The longest unused go; what the run itself uses stays. */
static void the_folder_is_bounded(void **state) {
    (void)state;
    const char *dir = test_file("bounded");
    ms_latent_cache_params p = params_of(NULL, dir);
    ms_latent_cache *cache = open_cache(&p);
    range(cache, 0, 8, 1);
    off_t one = bytes_in(dir);
    ms_latent_cache_destroy(&cache);
    make_old(dir, 200);
    p.dir_bytes = (uint64_t)one * 4 + 1000; /* about four windows */
    cache = open_cache(&p);
    for (int w = 1; w < 12; w++)
        assert_int_equal(range(cache, w * 8, 8, 1), 8);
    assert_true((uint64_t)bytes_in(dir) <= p.dir_bytes);
    assert_true(stats_of(cache).dropped > 0); /* full of its own */
    assert_int_equal(range(cache, 8, 8, 1), 0);
    ms_latent_cache_destroy(&cache);
    cache = open_cache(&p);
    assert_int_equal(range(cache, 0, 8, 1), 8); /* the old one went; there is no room for it now */
    assert_int_equal(range(cache, 8, 8, 1), 0);
    ms_latent_cache_destroy(&cache);
    make_old(dir, 100);
    cache = open_cache(&p);
    assert_int_equal(range(cache, 16, 8, 1), 0); /* used: it stays */
    for (int w = 20; w < 24; w++)
        range(cache, w * 8, 8, 1);
    assert_int_equal(range(cache, 16, 8, 1), 0);
    assert_int_equal(range(cache, 20 * 8, 8, 1), 0);
    assert_true((uint64_t)bytes_in(dir) <= p.dir_bytes);
    ms_latent_cache_destroy(&cache);
    p.dir_bytes = 10; /* not even one */
    cache = open_cache(&p);
    assert_int_equal(range(cache, 800, 8, 1), 8);
    ms_latent_cache_destroy(&cache);
}

/* Of another model, each a byte. */
static void make_blocks(const char *dir, int n) {
    char path[600];
    for (int i = 0; i < n; i++) {
        snprintf(path, sizeof(path), "%s/%016x-%016x.latents", dir, 99, i * 7919 % n);
        FILE *f = fopen(path, "w");
        assert_non_null(f);
        fputc('x', f);
        fclose(f);
        struct timespec times[2] = {{.tv_sec = 1000 + i}, {.tv_sec = 1000 + i}};
        utimensat(AT_FDCWD, path, times, 0);
    }
}

static int asked, stop_at;

static bool stopped(void *arg) {
    (void)arg;
    return ++asked >= stop_at && stop_at;
}

/* One look finds all that must go, and the oldest go; where more must go than one
   look remembers, it looks again. */
static void emptying_looks_once_and_can_be_stopped(void **state) {
    (void)state;
    enum { BLOCKS = 9000, MANY = 17000 };
    const char *dir = test_file("emptying");
    char name[64];
    ms_error err;
    assert_int_equal(mkdir(dir, 0777), 0);
    make_blocks(dir, BLOCKS);
    ms_latent_room_params p = {.folder = open(dir, O_RDONLY | O_DIRECTORY),
                               .most_bytes = 5000,
                               .before = 1000000,
                               .stopped = stopped};
    ms_latent_room *room = NULL;
    assert_ms_ok(ms_latent_room_create(&p, &room, &err), &err);
    stop_at = 1;
    assert_int_equal(ms_latent_room_make(room, 2000, &err), MS_CANCELLED);
    assert_int_equal(files_in(dir, NULL, 0), BLOCKS);
    asked = 0;
    stop_at = BLOCKS / 64 + 20; /* within the emptying */
    assert_int_equal(ms_latent_room_make(room, 2000, &err), MS_CANCELLED);
    assert_in_range(files_in(dir, NULL, 0), 3001, BLOCKS - 100);
    asked = stop_at = 0;
    int64_t looks = ms_latent_room_looks(room);
    assert_ms_ok(ms_latent_room_make(room, 2000, &err), &err);
    assert_int_equal(ms_latent_room_looks(room), looks + 1);
    assert_int_equal(files_in(dir, NULL, 0), 3000);
    assert_true(asked > 50);
    for (int i = 0; i < BLOCKS; i++) { /* the youngest are left */
        ms_latent_name(99, (uint64_t)(i * 7919 % BLOCKS), name);
        if ((faccessat(p.folder, name, F_OK, 0) == 0) != (i >= BLOCKS - 3000))
            fail_msg("block %d of %d", i, BLOCKS);
    }
    assert_int_equal(ms_latent_room_make(room, 5001, &err), MS_BUDGET);
    make_blocks(dir, MANY);
    double began = ms_now_s();
    looks = ms_latent_room_looks(room);
    assert_ms_ok(ms_latent_room_make(room, 5000, &err), &err);
    assert_int_equal(files_in(dir, NULL, 0), 0);
    assert_int_equal(ms_latent_room_looks(room), looks + 2);
    print_message("    %d files went in %.2f s\n", MANY, ms_now_s() - began);
    ms_latent_room_destroy(&room);
    close(p.folder);
}

/* What a killed run left goes after a while; other people's files never. */
static void foreign_and_stale_files(void **state) {
    (void)state;
    const char *dir = test_file("foreign");
    char path[600];
    ms_latent_cache_params p = params_of(NULL, dir);
    ms_latent_cache *cache = open_cache(&p);
    ms_latent_cache_destroy(&cache);
    static const char *const names[] = {".latents-tmp-1-0", "notes.txt", "0000000000000007-xyz.latents"};
    for (int i = 0; i < 3; i++) {
        snprintf(path, sizeof(path), "%s/%s", dir, names[i]);
        FILE *f = fopen(path, "w");
        fputs("text", f);
        fclose(f);
        struct timespec times[2] = {{.tv_sec = 1000}, {.tv_sec = 1000}};
        utimensat(AT_FDCWD, path, times, 0);
    }
    p.dir_bytes = 1;
    cache = open_cache(&p);
    range(cache, 0, 8, 1);
    ms_latent_cache_destroy(&cache);
    for (int i = 0; i < 3; i++) {
        snprintf(path, sizeof(path), "%s/%s", dir, names[i]);
        assert_int_equal(test_exists(path), i > 0);
    }
}

static void folders_that_cannot_be_used(void **state) {
    (void)state;
    ms_error err;
    ms_latent_cache *cache = NULL;
    char path[600];
    snprintf(path, sizeof(path), "%s/no/such", test_dir());
    ms_latent_cache_params p = params_of(NULL, path);
    assert_int_equal(ms_latent_cache_create(&p, &cache, &err), MS_IO);
    assert_non_null(strstr(err.message, "no/such"));
    snprintf(path, sizeof(path), "%s/file", test_dir());
    fclose(fopen(path, "w"));
    assert_int_equal(ms_latent_cache_create(&p, &cache, &err), MS_IO);
    assert_null(cache);
}

/* Several processes write, read and evict in one folder: every row that is found is
   right (window() checks it). */
static void processes_share_a_folder(void **state) {
    (void)state;
    const char *dir = test_file("shared");
    ms_latent_cache_params p = params_of(NULL, dir);
    p.dir_bytes = 100000;
    pid_t children[4];
    for (int i = 0; i < 4; i++) {
        children[i] = fork();
        assert_true(children[i] >= 0);
        if (children[i] > 0)
            continue;
        uint64_t rng = (uint64_t)i;
        for (int turn = 0; turn < 12; turn++) {
            ms_latent_cache *cache = NULL;
            if (ms_latent_cache_create(&p, &cache, NULL) != MS_OK)
                _exit(1);
            for (int w = 0; w < 6; w++) {
                uint8_t faces[WINDOW * FACE];
                float expected[VALUES];
                int missing[WINDOW], first = (int)(test_rand(&rng) % 6) * 8;
                for (int f = 0; f < WINDOW; f++)
                    face_of(first + f, faces + f * FACE);
                int count = ms_latent_cache_begin(cache, faces, WINDOW, missing);
                for (int k = 0; k < count; k++)
                    row_of(first + missing[k], ms_latent_cache_row(cache, missing[k]));
                for (int f = 0; f < WINDOW; f++) {
                    row_of(first + f, expected);
                    if (memcmp(ms_latent_cache_row(cache, f), expected, sizeof(expected)) != 0)
                        _exit(2);
                }
                ms_latent_cache_finish(cache);
            }
            ms_latent_cache_destroy(&cache);
            make_old(dir, 50);
        }
        _exit(0);
    }
    for (int i = 0; i < 4; i++) {
        int status = -1;
        waitpid(children[i], &status, 0);
        assert_int_equal(status, 0);
    }
}

static int clean_up(void **state) {
    (void)state;
    test_dir_remove();
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_loop_finds_its_faces),
        cmocka_unit_test(memory_is_a_bound),
        cmocka_unit_test(allocations_may_fail),
        cmocka_unit_test(a_lossy_cache_is_close),
        cmocka_unit_test(a_later_run_finds_them),
        cmocka_unit_test(damaged_files_are_replaced),
        cmocka_unit_test(files_may_disappear),
        cmocka_unit_test(the_folder_is_bounded),
        cmocka_unit_test(emptying_looks_once_and_can_be_stopped),
        cmocka_unit_test(foreign_and_stale_files),
        cmocka_unit_test(folders_that_cannot_be_used),
        cmocka_unit_test(processes_share_a_folder),
    };
    return cmocka_run_group_tests(tests, NULL, clean_up);
}
