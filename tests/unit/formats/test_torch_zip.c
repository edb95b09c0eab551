/* The zip archives that torch files are: damaged directories, checksums, more than 4 GiB. */
#include "test.h"

#include <unistd.h>

#include "base/crc32.h"
#include "formats/zip_format.h"
#include "support/models/torch_read.h"

/* ------------------------------------------------------------------ zip directories */

static void good_archive(archive *a) {
    byte_string pickle;
    view v = {"FloatStorage", "0", 24, 0, 1, {3}, {1}};
    pickle_one_view(&pickle, &v);
    make_archive(a, &pickle, 24);
    bytes_free(&pickle);
}

/* One byte of a good archive changed. */
static void assert_change_refused(size_t where, unsigned char value, const char *because) {
    archive a;
    good_archive(&a);
    a.file.data[where] = value;
    assert_archive_refused(&a, because);
    archive_free(&a);
}

static void assert_end_change_refused(size_t field, unsigned char value, const char *because) {
    archive a;
    good_archive(&a);
    a.file.data[archive_end_offset(&a) + field] = value;
    assert_archive_refused(&a, because);
    archive_free(&a);
}

static void damaged_directories(void **state) {
    (void)state;
    assert_end_change_refused(0, 0, "without its end");
    assert_end_change_refused(4, 1, "one part of a zip archive in several");
    assert_end_change_refused(8, 1, "one part of a zip archive in several");
    assert_end_change_refused(12, 1, "do not end at byte");
    assert_end_change_refused(18, 1, "do not end at byte");
    assert_end_change_refused(20, 1, "without its end");
    archive a;
    good_archive(&a);
    size_t first = archive_end_offset(&a) - a.directory.length;
    archive_free(&a);
    assert_change_refused(first, 0, "no directory entry at byte");
    assert_change_refused(first + 8, 1, "\"x/data.pkl\" is encrypted");
    assert_change_refused(first + 10, 8, "\"x/data.pkl\" is compressed (method 8)");
    assert_change_refused(first + 16, 77, "data.pkl is damaged: its CRC-32 is");
    assert_change_refused(first + 20, 255, "\"x/data.pkl\" is stored, yet has");
    assert_change_refused(first + 29, 255, "its directory ends within an entry");
    assert_change_refused(first + 45, 1, "run into the directory");
    assert_change_refused(first + 46, '/', "\"//data.pkl\": a name that no checkpoint has");
    assert_change_refused(first + 46, '\\', "a name that no checkpoint has");
    assert_change_refused(first + 46, 0, "a name that no checkpoint has");
    assert_change_refused(first + 46, 'y', "\"y/data.pkl\": the local header at byte 0 is not its own");
    assert_change_refused(first + 47, '_', "nothing lies in a folder");
    assert_change_refused(2, 9, "as safetensors its header would have"); /* no zip any more */
}

static void damaged_local_headers(void **state) {
    (void)state;
    assert_change_refused(8, 1, "the local header at byte 0 is not its own");
    assert_change_refused(26, 9, "the local header at byte 0 is not its own");
    assert_change_refused(30, 'y', "the local header at byte 0 is not its own");
    assert_change_refused(29, 255, "run into the directory");
    assert_change_refused(45, 'X', "data.pkl is damaged: its CRC-32");
}

static void other_archives(void **state) {
    (void)state;
    archive a = {0};
    archive_end(&a);
    assert_archive_refused(&a, "nothing lies in a folder");
    archive_free(&a);
    archive_add(&a, "x/constants.pkl", "", 0);
    archive_add(&a, "x/data.pkl", "\x80\x02}.", 4);
    archive_end(&a);
    assert_archive_refused(&a, "TorchScript");
    archive_free(&a);
    archive_add(&a, "x/data.pkl", "\x80\x02}.", 4);
    archive_add(&a, "x/byteorder", "big", 3);
    archive_end(&a);
    assert_archive_refused(&a, "not little-endian");
    archive_free(&a);
    archive_add(&a, "x/data.pkl", "\x80\x02}.", 4);
    archive_add(&a, "x/data.pkl", "\x80\x02}.", 4);
    archive_end(&a);
    assert_archive_refused(&a, "two zip members named \"x/data.pkl\"");
    archive_free(&a);
    archive_add(&a, "x/data.pkl", "\x80\x02}.", 4);
    archive_add(&a, "x/../y", "", 0);
    archive_end(&a);
    assert_archive_refused(&a, "a name that no checkpoint has");
    archive_free(&a);
}

/* An end record with a comment, a root folder of any name, and zip64 fields that
   only repeat what 32 bits say. */
static void unusual_but_good_archives(void **state) {
    (void)state;
    archive a = {0};
    ms_error err;
    ms_tensor_file *file = NULL;
    archive_add(&a, "any name/data.pkl", "\x80\x02}.", 4);
    size_t offset = a.file.length;
    bytes_append(&a.file, a.directory.data, a.directory.length);
    bytes_number(&a.file, ZIP64_END, 4);
    bytes_number(&a.file, 44, 8);
    bytes_number(&a.file, 0, 12);
    bytes_number(&a.file, 1, 8);
    bytes_number(&a.file, 1, 8);
    bytes_number(&a.file, a.directory.length, 8);
    bytes_number(&a.file, offset, 8);
    bytes_number(&a.file, ZIP64_LOCATOR, 4);
    bytes_number(&a.file, 0, 4);
    bytes_number(&a.file, offset + a.directory.length, 8);
    bytes_number(&a.file, 1, 4);
    size_t end = a.file.length;
    bytes_number(&a.file, ZIP_END, 4);
    bytes_number(&a.file, 0, 4);
    bytes_number(&a.file, 0xffff, 2);
    bytes_number(&a.file, 0xffff, 2);
    bytes_number(&a.file, 0xffffffff, 4);
    bytes_number(&a.file, offset, 4);
    bytes_number(&a.file, 5, 2);
    bytes_text(&a.file, "hello");
    assert_ms_ok(open_archive(&a, &file, &err), &err);
    assert_int_equal(ms_tensor_file_count(file), 0);
    ms_tensor_file_close(&file);
    a.file.data[end + 10] = 7; /* neither 65535 nor the zip64 record's 1 */
    a.file.data[end + 8] = 7;
    assert_archive_refused(&a, "its two end records disagree");
    archive_free(&a);
}

/* ------------------------------------------------------------------ checksums */

static void count_problem(void *arg, const char *problem) {
    assert_non_null(strstr(problem, "is damaged: the CRC-32 of its storage x/data/0 is"));
    ++*(int *)arg;
}

/* A flipped bit anywhere in a storage, also outside of what its tensors show, is found by the check alone. */
static void damaged_storages(void **state) {
    (void)state;
    static const view first = {"FloatStorage", "0", 64, 1, 2, {3, 2}, {2, 1}};
    static const view second = {"FloatStorage", "0", 64, 20, 1, {4}, {1}};
    static const view other = {"HalfStorage", "1", 4, 0, 1, {4}, {1}};
    static const unsigned char halves[8] = {0};
    float values[64] = {0};
    ms_error err;
    byte_string pickle = {0};
    bytes_text(&pickle, "\x80\x02}");
    pickle_text(&pickle, "a");
    pickle_view(&pickle, &first);
    bytes_text(&pickle, "s");
    pickle_text(&pickle, "b");
    pickle_view(&pickle, &second);
    bytes_text(&pickle, "s");
    pickle_text(&pickle, "c");
    pickle_view(&pickle, &other);
    bytes_text(&pickle, "s.");
    for (int bit = -1; bit < 64 * 32; bit += bit < 0 ? 1 : 97) {
        archive a = {0};
        ms_tensor_file *file = NULL;
        int problems = 0;
        archive_add(&a, "x/data.pkl", pickle.data, pickle.length);
        archive_add(&a, "x/data/0", values, sizeof(values));
        size_t end = a.file.length;
        archive_add(&a, "x/data/1", halves, sizeof(halves));
        archive_end(&a);
        if (bit >= 0)
            a.file.data[end - sizeof(values) + (size_t)bit / 8] ^= (unsigned char)(1 << bit % 8);
        assert_ms_ok(open_archive(&a, &file, &err), &err);
        assert_int_equal(ms_tensor_file_checksums(file), 2); /* of three tensors in two storages */
        ms_status status = ms_tensor_file_check(file, count_problem, &problems, &err);
        assert_int_equal(status, bit < 0 ? MS_OK : MS_BAD_MODEL);
        assert_int_equal(problems, bit >= 0);
        if (bit == 0) {
            assert_string_equal(err.message,
                                "mem: tensor \"a\" is damaged: the CRC-32 of its storage x/data/0 "
                                "is c3a5f493, not 0d968558");
        }
        ms_mem_fail_after(1, false);
        assert_int_equal(ms_tensor_file_check(file, NULL, NULL, &err), MS_HOST_MEMORY);
        ms_mem_fail_after(0, false);
        ms_tensor_file_close(&file);
        archive_free(&a);
    }
    bytes_free(&pickle);
}

/* CRC-32 of nothing is 0, and 0 is also what stands there when the writer computed none. */
static void archives_without_checksums(void **state) {
    (void)state;
    static const view v = {"FloatStorage", "0", 4, 0, 1, {4}, {1}};
    byte_string pickle;
    archive a;
    ms_error err;
    ms_tensor_file *file = NULL;
    pickle_one_view(&pickle, &v);
    make_archive(&a, &pickle, 4);
    size_t entry = archive_end_offset(&a) - a.directory.length;
    for (size_t i = 0; i < a.count; i++) {
        memset(a.file.data + entry + 16, 0, 4);
        entry += ZIP_CENTRAL_BYTES + a.file.data[entry + 28];
    }
    assert_ms_ok(open_archive(&a, &file, &err), &err);
    assert_int_equal(ms_tensor_file_checksums(file), 0);
    assert_ms_ok(ms_tensor_file_check(file, NULL, NULL, &err), &err);
    ms_tensor_file_close(&file);
    archive_free(&a);
    bytes_free(&pickle);
}

/* ------------------------------------------------------------------ zip64 */

static void put(int fd, byte_string *bytes, uint64_t offset) {
    assert_int_equal(pwrite(fd, bytes->data, bytes->length, (off_t)offset), bytes->length);
    bytes_free(bytes);
}

/* Header, name and the zip64 field of one member; the sizes do not fit 32 bits, or are said not to. */
static void zip64_member(byte_string *b, bool central, const char *name, uint32_t crc, uint64_t bytes,
                         uint64_t offset) {
    bytes_number(b, central ? ZIP_CENTRAL : ZIP_LOCAL, 4);
    bytes_number(b, 45, central ? 4 : 2);
    bytes_number(b, 0, 8); /* flags, method, time, date */
    bytes_number(b, crc, 4);
    bytes_number(b, 0xffffffff, 4);
    bytes_number(b, 0xffffffff, 4);
    bytes_number(b, strlen(name), 2);
    bytes_number(b, central ? 28 : 20, 2);
    if (central) {
        bytes_number(b, 0, 10); /* comment, disk, attributes */
        bytes_number(b, 0xffffffff, 4);
    }
    bytes_text(b, name);
    bytes_number(b, ZIP64_EXTRA, 2);
    bytes_number(b, central ? 24 : 16, 2);
    bytes_number(b, bytes, 8);
    bytes_number(b, bytes, 8);
    if (central)
        bytes_number(b, offset, 8);
}

/* A file of more than 4 GiB, nearly all of it holes: a storage of 4.5 GiB and one that begins behind it. */
static void archives_beyond_4_gib(void **state) {
    (void)state;
    const uint64_t large = ((uint64_t)9 << 29) + 3, small = 12;
    const view far_end = {"ByteStorage", "0", (int64_t)large, (int64_t)large - 5, 1, {5}, {1}};
    const view behind = {"FloatStorage", "1", 3, 0, 1, {3}, {1}};
    static const float values[3] = {1, 2, 3};
    char path[] = "/tmp/memsafe-zip64-XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    unlink(path);
    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    byte_string pickle = {0}, b = {0}, directory = {0};
    bytes_text(&pickle, "\x80\x02}");
    pickle_text(&pickle, "far");
    pickle_view(&pickle, &far_end);
    bytes_text(&pickle, "s");
    pickle_text(&pickle, "behind");
    pickle_view(&pickle, &behind);
    bytes_text(&pickle, "s.");
    static ms_crc32_table table;
    ms_crc32_init(&table);
    const uint32_t crc[3] = {ms_crc32(&table, 0, pickle.data, pickle.length), 0,
                             ms_crc32(&table, 0, values, sizeof(values)) ^ 1};
    const char *const names[3] = {"x/data.pkl", "x/data/0", "x/data/1"};
    const uint64_t sizes[3] = {pickle.length, large, small};
    uint64_t at = 0;
    for (int i = 0; i < 3; i++) {
        zip64_member(&b, false, names[i], crc[i], sizes[i], 0);
        zip64_member(&directory, true, names[i], crc[i], sizes[i], at);
        at += b.length + sizes[i];
        if (i == 0)
            bytes_append(&b, pickle.data, pickle.length);
        if (i == 2)
            bytes_append(&b, values, sizeof(values));
        size_t length = b.length - (i == 1 ? 0 : (size_t)sizes[i]);
        put(fd, &b, at - sizes[i] - length);
    }
    bytes_text(&b, "abcde"); /* the last bytes of the large storage lie before the third header */
    put(fd, &b, at - small - (ZIP_LOCAL_BYTES + 8 + 20) - 5);
    uint64_t directory_bytes = directory.length;
    bytes_append(&b, directory.data, directory.length);
    bytes_number(&b, ZIP64_END, 4);
    bytes_number(&b, 44, 8);
    bytes_number(&b, 0, 12);
    bytes_number(&b, 3, 8);
    bytes_number(&b, 3, 8);
    bytes_number(&b, directory_bytes, 8);
    bytes_number(&b, at, 8);
    bytes_number(&b, ZIP64_LOCATOR, 4);
    bytes_number(&b, 0, 4);
    bytes_number(&b, at + directory_bytes, 8);
    bytes_number(&b, 1, 4);
    bytes_number(&b, ZIP_END, 4);
    bytes_number(&b, 0, 4);
    bytes_number(&b, 3, 2);
    bytes_number(&b, 3, 2);
    bytes_number(&b, directory_bytes, 4);
    bytes_number(&b, 0xffffffff, 4);
    bytes_number(&b, 0, 2);
    put(fd, &b, at);
    ms_error err;
    ms_tensor_file *file = NULL;
    unsigned char bytes[5];
    float floats[3];
    assert_ms_ok(ms_tensor_file_open(NULL, path, &file, &err), &err);
    assert_ms_ok(ms_tensor_file_read(file, ms_tensor_file_find(file, "far"), 0, 5, bytes, &err), &err);
    assert_memory_equal(bytes, "abcde", 5);
    assert_ms_ok(ms_tensor_file_read(file, ms_tensor_file_find(file, "behind"), 0, 3, floats, &err), &err);
    assert_memory_equal(floats, values, sizeof(values));
    assert_int_equal(ms_tensor_file_checksums(file), 1);
    assert_int_equal(ms_tensor_file_check(file, NULL, NULL, &err), MS_BAD_MODEL);
    assert_non_null(strstr(err.message, "tensor \"behind\" is damaged"));
    ms_tensor_file_close(&file);
    close(fd);
    bytes_free(&pickle);
    bytes_free(&directory);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(damaged_directories),   cmocka_unit_test(damaged_local_headers),
        cmocka_unit_test(other_archives),        cmocka_unit_test(unusual_but_good_archives),
        cmocka_unit_test(damaged_storages),      cmocka_unit_test(archives_without_checksums),
        cmocka_unit_test(archives_beyond_4_gib),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
