/* Both writers: what they write is read back bit for bit, in any pieces, and
   nothing is left behind by a failure. */
#include "test.h"

#include <dirent.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/crc32.h"
#include "base/mem.h"
#include "formats/tensor_file_internal.h"
#include "formats/tensor_writer.h"
#include "formats/torch_zip.h"

static char folder[256];

static int make_folder(void **state) {
    (void)state;
    const char *base = getenv("TMPDIR");
    snprintf(folder, sizeof(folder), "%s/memsafe-writer-XXXXXX", base ? base : "/tmp");
    return mkdtemp(folder) ? 0 : -1;
}

/* Files left in the folder, which are removed. */
static int clear_folder(void) {
    DIR *dir = opendir(folder);
    int count = 0;
    for (struct dirent *entry; dir && (entry = readdir(dir));) {
        char path[1024];
        if (entry->d_name[0] == '.')
            continue;
        snprintf(path, sizeof(path), "%s/%s", folder, entry->d_name);
        unlink(path);
        count++;
    }
    closedir(dir);
    return count;
}

static int remove_folder(void **state) {
    (void)state;
    clear_folder();
    return rmdir(folder);
}

static const char *in_folder(const char *name) {
    static char path[512];
    snprintf(path, sizeof(path), "%s/%s", folder, name);
    return path;
}

/* ------------------------------------------------------------------ round trips */

typedef struct spec {
    char name[64];
    ms_dtype dtype;
    int rank;
    int64_t shape[MS_TENSOR_MAX_RANK];
    size_t bytes, offset; /* in the data that is written */
} spec;

#define MAX_SPECS 60

static size_t random_specs(uint64_t *rng, spec *specs, int count) {
    size_t total = 0;
    for (int i = 0; i < count; i++) {
        spec *s = &specs[i];
        int64_t elements = 1;
        snprintf(s->name, sizeof(s->name), "layer.%d.\"\xc3\xa9\n.weight", i * 7);
        s->dtype = (ms_dtype)(test_rand(rng) % MS_DTYPE_COUNT);
        s->rank = (int)(test_rand(rng) % (MS_TENSOR_MAX_RANK + 1));
        for (int d = 0; d < s->rank; d++) {
            s->shape[d] = test_rand(rng) % 12 == 0 ? 0 : 1 + test_rand(rng) % (s->rank > 4 ? 3 : 9);
            elements *= s->shape[d];
        }
        s->bytes = (size_t)elements * ms_dtype_bytes(s->dtype);
        s->offset = total;
        total += s->bytes;
    }
    return total;
}

static void write_file(const char *path, ms_tensor_format format, const spec *specs, int count,
                       const unsigned char *data, size_t total, uint64_t *rng, uint64_t zip64_from) {
    ms_tensor_writer *w = NULL;
    ms_error err;
    assert_ms_ok(ms_tensor_writer_create(NULL, path, format, &w, &err), &err);
    w->zip64_from = zip64_from;
    for (int i = 0; i < count; i++)
        assert_ms_ok(
            ms_tensor_writer_declare(w, specs[i].name, specs[i].dtype, specs[i].rank, specs[i].shape, &err),
            &err);
    for (size_t at = 0; at < total;) {
        size_t n = test_rand(rng) % 3 == 0 ? test_rand(rng) % 5 : test_rand(rng) % 20000;
        n = n < total - at ? n : total - at;
        assert_ms_ok(ms_tensor_writer_write(w, data + at, n, &err), &err);
        at += n;
    }
    assert_ms_ok(ms_tensor_writer_finish(&w, &err), &err);
    assert_null(w);
}

static void check_file(const char *path, const spec *specs, int count, const unsigned char *data) {
    ms_tensor_file *file = NULL;
    ms_error err;
    assert_ms_ok(ms_tensor_file_open(NULL, path, &file, &err), &err);
    assert_int_equal(ms_tensor_file_count(file), count);
    for (int i = 0; i < count; i++) {
        const ms_tensor_info *t = ms_tensor_file_find(file, specs[i].name);
        assert_non_null(t);
        assert_true(t->dtype == specs[i].dtype && t->rank == specs[i].rank && t->contiguous);
        assert_memory_equal(t->shape, specs[i].shape, (size_t)t->rank * sizeof(*t->shape));
        assert_int_equal((size_t)t->elements * ms_dtype_bytes(t->dtype), specs[i].bytes);
        uint64_t offset = ((const ms_tensor_entry *)t)->offset;
        assert_int_equal(
            offset % (strcmp(ms_tensor_file_format(file), "torch") ? ms_dtype_bytes(t->dtype) : 64), 0);
        unsigned char *read = malloc(specs[i].bytes + 1);
        assert_ms_ok(ms_tensor_file_read(file, t, 0, t->elements, read, &err), &err);
        assert_memory_equal(read, data + specs[i].offset, specs[i].bytes);
        free(read);
    }
    ms_tensor_file_close(&file);
}

/* The CRC-32 of every member, which torch and unzip check. */
static void check_archive(const char *path) {
    ms_source source;
    ms_region region;
    ms_zip zip;
    ms_error err;
    static ms_crc32_table table;
    ms_crc32_init(&table);
    ms_region_init(&region, NULL, SIZE_MAX);
    assert_ms_ok(ms_source_open(path, &source, &err), &err);
    assert_ms_ok(ms_zip_read(&source, &region, &zip, &err), &err);
    for (size_t i = 0; i < zip.count; i++) {
        ms_zip_member *m = &zip.members[i];
        unsigned char local_crc[4], *data = malloc((size_t)m->bytes + 1);
        assert_ms_ok(ms_zip_locate(&zip, m, &err), &err);
        assert_ms_ok(ms_source_read(&source, m->data_offset, data, (size_t)m->bytes, &err), &err);
        assert_int_equal(ms_crc32(&table, 0, data, (size_t)m->bytes), m->crc);
        assert_ms_ok(ms_source_read(&source, m->header_offset + 14, local_crc, 4, &err), &err);
        assert_int_equal(local_crc[0] | local_crc[1] << 8 | local_crc[2] << 16 | (uint32_t)local_crc[3] << 24,
                         m->crc);
        free(data);
    }
    ms_source_close(&source);
    ms_region_free(&region);
}

static void round_trips(void **state) {
    (void)state;
    static spec specs[MAX_SPECS];
    uint64_t rng = 99;
    for (int k = 0; k < 40; k++) {
        int count = (int)(test_rand(&rng) % MAX_SPECS);
        size_t total = random_specs(&rng, specs, count);
        unsigned char *data = malloc(total + 1);
        for (size_t i = 0; i < total; i++)
            data[i] = (unsigned char)test_rand(&rng);
        ms_tensor_format format = k % 2 ? MS_FORMAT_TORCH : MS_FORMAT_SAFETENSORS;
        const uint64_t zip64_from[] = {0xffffffff, 0, 1000, 100};
        write_file(in_folder("round"), format, specs, count, data, total, &rng, zip64_from[k / 2 % 4]);
        check_file(in_folder("round"), specs, count, data);
        if (format == MS_FORMAT_TORCH)
            check_archive(in_folder("round"));
        free(data);
    }
    assert_int_equal(clear_folder(), 1);
}

/* Pieces larger than the writer's buffer, and tensors that end in the middle of it. */
static void large_pieces(void **state) {
    (void)state;
    spec specs[3] = {{.name = "a", .dtype = MS_F32, .rank = 1, .shape = {700001}},
                     {.name = "b", .dtype = MS_U8, .rank = 1, .shape = {3}},
                     {.name = "c", .dtype = MS_F16, .rank = 2, .shape = {1000, 801}}};
    size_t total = 0;
    for (int i = 0; i < 3; i++) {
        specs[i].offset = total;
        specs[i].bytes = (size_t)specs[i].shape[0] * (i == 2 ? 801 : 1) * ms_dtype_bytes(specs[i].dtype);
        total += specs[i].bytes;
    }
    unsigned char *data = malloc(total);
    for (size_t i = 0; i < total; i++)
        data[i] = (unsigned char)(i * 7 + i / 251);
    for (int format = 0; format < 2; format++) {
        ms_tensor_writer *w = NULL;
        ms_error err;
        assert_ms_ok(ms_tensor_writer_create(NULL, in_folder("large"), (ms_tensor_format)format, &w, &err),
                     &err);
        for (int i = 0; i < 3; i++)
            assert_ms_ok(ms_tensor_writer_declare(w, specs[i].name, specs[i].dtype, specs[i].rank,
                                                  specs[i].shape, &err),
                         &err);
        assert_ms_ok(ms_tensor_writer_write(w, data, 5, &err), &err);
        assert_ms_ok(ms_tensor_writer_write(w, data + 5, total - 5, &err), &err);
        assert_ms_ok(ms_tensor_writer_finish(&w, &err), &err);
        check_file(in_folder("large"), specs, 3, data);
    }
    free(data);
    clear_folder();
}

static void torch_layout(void **state) {
    (void)state;
    ms_tensor_writer *w = NULL;
    ms_error err;
    const int64_t shape[] = {2};
    const float values[] = {1.5f, -2};
    assert_ms_ok(ms_tensor_writer_create(NULL, in_folder("l.pt"), MS_FORMAT_TORCH, &w, &err), &err);
    assert_ms_ok(ms_tensor_writer_torch_layout(w, "state_dict", &err), &err);
    static const struct {
        const char *name;
        int64_t value;
    } integers[] = {{"global_step", 255}, {"dims.a", 256},  {"x", 65536},    {"dims.b", INT64_MIN},
                    {"dims.c.d", -1},     {"y", INT32_MIN}, {"z", INT64_MAX}};
    for (size_t i = 0; i < sizeof(integers) / sizeof(*integers); i++)
        assert_ms_ok(ms_tensor_writer_torch_integer(w, integers[i].name, integers[i].value, &err), &err);
    assert_ms_ok(ms_tensor_writer_declare(w, "conv_in.weight", MS_F32, 1, shape, &err), &err);
    assert_ms_ok(ms_tensor_writer_write(w, values, sizeof(values), &err), &err);
    assert_ms_ok(ms_tensor_writer_finish(&w, &err), &err);
    ms_tensor_file *file = NULL;
    assert_ms_ok(ms_tensor_file_open(NULL, in_folder("l.pt"), &file, &err), &err);
    for (size_t i = 0; i < sizeof(integers) / sizeof(*integers); i++) {
        int64_t value = 0;
        assert_true(ms_tensor_file_integer(file, integers[i].name, &value) && value == integers[i].value);
    }
    assert_non_null(ms_tensor_file_find(file, "state_dict.conv_in.weight"));
    ms_tensor_file_close(&file);
    clear_folder();
}

static void metadata(void **state) {
    (void)state;
    ms_tensor_writer *w = NULL;
    ms_tensor_file *file = NULL;
    ms_error err;
    for (int set = 0; set < 2; set++) {
        assert_ms_ok(ms_tensor_writer_create(NULL, in_folder("m"), MS_FORMAT_SAFETENSORS, &w, &err), &err);
        assert_ms_ok(ms_tensor_writer_metadata(w, "made \"by\"", "m\xc3\xa9\n", &err), &err);
        if (set)
            assert_ms_ok(ms_tensor_writer_metadata(w, "format", "mine", &err), &err);
        assert_ms_ok(ms_tensor_writer_finish(&w, &err), &err);
        assert_ms_ok(ms_tensor_file_open(NULL, in_folder("m"), &file, &err), &err);
        assert_string_equal(ms_tensor_file_metadata(file, "made \"by\""), "m\xc3\xa9\n");
        assert_string_equal(ms_tensor_file_metadata(file, "format"), set ? "mine" : "pt");
        assert_int_equal(ms_tensor_file_count(file), 0);
        ms_tensor_file_close(&file);
    }
    clear_folder();
}

/* ------------------------------------------------------------------ misuse */

static void misuse_is_refused(void **state) {
    (void)state;
    ms_tensor_writer *w = NULL;
    ms_error err;
    const int64_t shape[9] = {2, 3, 1, 1, 1, 1, 1, 1, 1}, negative[] = {-1}, huge[] = {INT64_MAX, 2};
    char byte[8] = {0};
    assert_ms_ok(ms_tensor_writer_create(NULL, in_folder("x"), MS_FORMAT_SAFETENSORS, &w, &err), &err);
    assert_ms_ok(ms_tensor_writer_declare(w, "a", MS_U8, 2, shape, &err), &err);
    assert_int_equal(ms_tensor_writer_declare(w, "a", MS_U8, 2, shape, &err), MS_INVALID_ARGUMENT);
    assert_non_null(strstr(err.message, "/x: \"a\" is declared twice"));
    assert_int_equal(ms_tensor_writer_declare(w, "b", MS_U8, 9, shape, &err), MS_INVALID_ARGUMENT);
    assert_int_equal(ms_tensor_writer_declare(w, "b", MS_U8, 1, negative, &err), MS_INVALID_ARGUMENT);
    assert_int_equal(ms_tensor_writer_declare(w, "b", MS_U8, 2, huge, &err), MS_INVALID_ARGUMENT);
    assert_int_equal(ms_tensor_writer_declare(w, "\xff", MS_U8, 1, shape, &err), MS_INVALID_ARGUMENT);
    assert_int_equal(ms_tensor_writer_declare(w, "__metadata__", MS_U8, 1, shape, &err), MS_INVALID_ARGUMENT);
    assert_int_equal(ms_tensor_writer_torch_layout(w, "r", &err), MS_INVALID_ARGUMENT);
    assert_int_equal(ms_tensor_writer_torch_integer(w, "i", 1, &err), MS_INVALID_ARGUMENT);
    assert_ms_ok(ms_tensor_writer_write(w, byte, 5, &err), &err);
    assert_int_equal(ms_tensor_writer_declare(w, "c", MS_U8, 1, shape, &err), MS_INVALID_ARGUMENT);
    assert_non_null(strstr(err.message, "after data was written"));
    assert_int_equal(ms_tensor_writer_finish(&w, &err), MS_INVALID_ARGUMENT);
    assert_non_null(strstr(err.message, "tensor \"a\" has 5 of its 6 bytes"));
    assert_null(w);
    assert_int_equal(clear_folder(), 0);

    assert_ms_ok(ms_tensor_writer_create(NULL, in_folder("x"), MS_FORMAT_TORCH, &w, &err), &err);
    assert_int_equal(ms_tensor_writer_metadata(w, "a", "b", &err), MS_INVALID_ARGUMENT);
    assert_ms_ok(ms_tensor_writer_declare(w, "a", MS_U8, 2, shape, &err), &err);
    assert_int_equal(ms_tensor_writer_write(w, byte, 7, &err), MS_INVALID_ARGUMENT);
    assert_non_null(strstr(err.message, "1 bytes more than the tensors hold"));
    assert_int_equal(ms_tensor_writer_write(w, byte, 1, &err), MS_INVALID_ARGUMENT);
    assert_non_null(strstr(err.message, "has failed before"));
    assert_int_equal(ms_tensor_writer_finish(&w, &err), MS_INVALID_ARGUMENT);
    assert_int_equal(clear_folder(), 0);
}

static void keys_that_stand_for_two_things(void **state) {
    (void)state;
    static const struct {
        const char *root, *tensor, *integers[2];
    } cases[] = {{"sd", "a", {"sd", "b"}},  {"sd", "a", {"sd.x", "b"}}, {NULL, "a", {"a", "b"}},
                 {NULL, "a", {"a.x", "b"}}, {"sd", "a", {"d", "d.x"}},  {"sd", "a", {"d.x", "d"}}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        ms_tensor_writer *w = NULL;
        ms_error err;
        assert_ms_ok(ms_tensor_writer_create(NULL, in_folder("x"), MS_FORMAT_TORCH, &w, &err), &err);
        assert_ms_ok(ms_tensor_writer_torch_layout(w, cases[i].root, &err), &err);
        assert_ms_ok(ms_tensor_writer_declare(w, cases[i].tensor, MS_U8, 0, NULL, &err), &err);
        for (int k = 0; k < 2; k++)
            assert_ms_ok(ms_tensor_writer_torch_integer(w, cases[i].integers[k], 1, &err), &err);
        assert_int_equal(ms_tensor_writer_write(w, "x", 1, &err), MS_INVALID_ARGUMENT);
        assert_non_null(strstr(err.message, "needs a key that is taken"));
        ms_tensor_writer_abort(&w);
        assert_null(w);
    }
    assert_int_equal(clear_folder(), 0);
}

/* ------------------------------------------------------------------ failures */

static void write_small(const char *path, const char *value) {
    ms_tensor_writer *w = NULL;
    ms_error err;
    assert_ms_ok(ms_tensor_writer_create(NULL, path, MS_FORMAT_SAFETENSORS, &w, &err), &err);
    assert_ms_ok(ms_tensor_writer_declare(w, "a", MS_U8, 0, NULL, &err), &err);
    assert_ms_ok(ms_tensor_writer_write(w, value, 1, &err), &err);
    assert_ms_ok(ms_tensor_writer_finish(&w, &err), &err);
}

static char read_small(const char *path) {
    ms_tensor_file *file = NULL;
    ms_error err;
    char value = 0;
    assert_ms_ok(ms_tensor_file_open(NULL, path, &file, &err), &err);
    assert_ms_ok(ms_tensor_file_read(file, ms_tensor_file_find(file, "a"), 0, 1, &value, &err), &err);
    ms_tensor_file_close(&file);
    return value;
}

static void the_old_file_stays_until_the_new_one_is_whole(void **state) {
    (void)state;
    ms_tensor_writer *w = NULL, *w2 = NULL;
    ms_error err;
    char path[512];
    snprintf(path, sizeof(path), "%s", in_folder("same"));
    write_small(path, "1");
    assert_ms_ok(ms_tensor_writer_create(NULL, path, MS_FORMAT_SAFETENSORS, &w, &err), &err);
    /* two at once */
    assert_ms_ok(ms_tensor_writer_create(NULL, path, MS_FORMAT_SAFETENSORS, &w2, &err), &err);
    assert_ms_ok(ms_tensor_writer_declare(w, "a", MS_U8, 0, NULL, &err), &err);
    assert_ms_ok(ms_tensor_writer_write(w, "2", 1, &err), &err);
    assert_int_equal(read_small(path), '1');
    assert_ms_ok(ms_tensor_writer_finish(&w, &err), &err);
    assert_int_equal(read_small(path), '2');
    ms_tensor_writer_abort(&w2);
    struct stat st;
    assert_int_equal(stat(path, &st), 0);
    mode_t mask = umask(0);
    umask(mask);
    assert_int_equal(st.st_mode & 0777, 0666 & ~mask);
    assert_int_equal(clear_folder(), 1);
}

static void a_folder_that_is_not_there(void **state) {
    (void)state;
    ms_tensor_writer *w = NULL;
    ms_error err;
    assert_int_equal(ms_tensor_writer_create(NULL, in_folder("no/file"), MS_FORMAT_TORCH, &w, &err), MS_IO);
    assert_null(w);
    assert_non_null(strstr(err.message, "no: No such file"));
}

static void a_full_disk(void **state) {
    (void)state;
    struct rlimit before, small;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    small = (struct rlimit){.rlim_cur = 1 << 16, .rlim_max = before.rlim_max};
    signal(SIGXFSZ, SIG_IGN);
    const int64_t shape[] = {1 << 20};
    char *data = calloc(1, 1 << 20);
    for (int format = 0; format < 2; format++) {
        ms_tensor_writer *w = NULL;
        ms_error err;
        assert_ms_ok(ms_tensor_writer_create(NULL, in_folder("full"), (ms_tensor_format)format, &w, &err),
                     &err);
        assert_ms_ok(ms_tensor_writer_declare(w, "a", MS_U8, 1, shape, &err), &err);
        assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
        ms_status status = ms_tensor_writer_write(w, data, 1 << 20, &err);
        assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
        assert_int_equal(status, MS_IO);
        assert_non_null(strstr(err.message, "File too large"));
        assert_int_equal(ms_tensor_writer_finish(&w, &err), MS_IO);
        assert_int_equal(clear_folder(), 0);
    }
    free(data);
    signal(SIGXFSZ, SIG_DFL);
}

static ms_status write_some(ms_mem *mem, ms_tensor_format format, ms_error *err) {
    ms_tensor_writer *w = NULL;
    const int64_t shape[] = {3};
    MS_TRY(ms_tensor_writer_create(mem, in_folder("oom"), format, &w, err));
    ms_status status = MS_OK;
    if (format == MS_FORMAT_TORCH) {
        status = ms_tensor_writer_torch_layout(w, "sd", err);
        if (status == MS_OK)
            status = ms_tensor_writer_torch_integer(w, "step", 1, err);
    } else {
        status = ms_tensor_writer_metadata(w, "a", "b", err);
    }
    for (int i = 0; i < 300 && status == MS_OK; i++) {
        char name[80];
        snprintf(name, sizeof(name), "a.tensor.whose.name.fills.the.region.%d", i);
        status = ms_tensor_writer_declare(w, name, MS_U8, 1, shape, err);
    }
    for (int i = 0; i < 300 && status == MS_OK; i++)
        status = ms_tensor_writer_write(w, "abc", 3, err);
    if (status == MS_OK)
        return ms_tensor_writer_finish(&w, err);
    ms_tensor_writer_abort(&w);
    return status;
}

static void every_allocation_may_fail(void **state) {
    (void)state;
    for (int format = 0; format < 2; format++) {
        ms_status status = MS_HOST_MEMORY;
        int n = 0;
        while (status != MS_OK) {
            ms_mem *mem;
            ms_error err;
            assert_int_equal(ms_mem_create(0, &mem), MS_OK);
            ms_mem_fail_after((uint64_t)++n, true);
            status = write_some(mem, (ms_tensor_format)format, &err);
            ms_mem_fail_after(0, false);
            if (status != MS_OK && (status != MS_HOST_MEMORY || !strstr(err.message, "cannot allocate")))
                fail_msg("allocation %d: %s: %s", n, ms_status_name(status), err.message);
            assert_int_equal(ms_mem_destroy(&mem), 0);
            if (status != MS_OK)
                assert_int_equal(clear_folder(), 0);
        }
        assert_true(n > 8);
        assert_int_equal(clear_folder(), 1);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(round_trips),
        cmocka_unit_test(large_pieces),
        cmocka_unit_test(torch_layout),
        cmocka_unit_test(metadata),
        cmocka_unit_test(misuse_is_refused),
        cmocka_unit_test(keys_that_stand_for_two_things),
        cmocka_unit_test(the_old_file_stays_until_the_new_one_is_whole),
        cmocka_unit_test(a_folder_that_is_not_there),
        cmocka_unit_test(a_full_disk),
        cmocka_unit_test(every_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
