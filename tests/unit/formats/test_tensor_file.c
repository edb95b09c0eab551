/* Tensor files: both formats, every golden file good or bad, round trips, failing allocations. */
#include "test.h"

#include <dirent.h>

#include "base/mem.h"
#include "formats/tensor_file_internal.h"
#include "support/golden.h"

/* ------------------------------------------------------------------ bad files */

typedef struct bad_file {
    const char *name;
    ms_status status;
    const char *because; /* part of the message; for good files the number of tensors */
} bad_file;

static const bad_file bad_files[] = {
    {"empty.pt", MS_BAD_MODEL, "is empty (0 bytes)"},
    {"pickle_bare_eval.pt", MS_BAD_MODEL, "is a bare pickle, which is not read (nothing was executed)"},
    {"pickle_calls_os_system.pt", MS_BAD_MODEL, "data.pkl: byte 43: asks for posix.system"},
    {"pickle_deep_nesting.pt", MS_BAD_MODEL, "\"archive/data.pkl\" is compressed (method 8)"},
    {"pickle_string_length_lies.pt", MS_BAD_MODEL, "byte 2: wants 2147483647 bytes, but only 4 follow"},
    {"st_deep_json.safetensors", MS_BAD_MODEL, "header: line 1: nested more than 64 deep"},
    {"st_duplicate_key.safetensors", MS_BAD_MODEL, "header: line 1: a second member named \"a\""},
    {"st_good.safetensors", MS_OK, "1"},
    {"st_header_invalid_utf8.safetensors", MS_BAD_MODEL, "not valid UTF-8 (byte 0xff)"},
    {"st_header_length_past_file.safetensors", MS_BAD_MODEL,
     "header of 100000 bytes does not fit in the file's 137"},
    {"st_header_not_json.safetensors", MS_BAD_MODEL,
     "header: line 1: expected ',' or ']', but the text ends"},
    {"st_hole.safetensors", MS_BAD_MODEL,
     "\"b\": its data begins at offset 40, behind a hole that begins at 32"},
    {"st_huge_header_length.safetensors", MS_BAD_MODEL,
     "would have 1152921504606846976 bytes, more than 100000000"},
    {"st_nan.safetensors", MS_OK, "1"},
    {"st_negative_offset.safetensors", MS_BAD_MODEL, "\"a\": data_offsets [-64, 0] are no range"},
    {"st_out_of_range.safetensors", MS_BAD_MODEL, "\"b\": data_offsets [64, 128] lie beyond the 64 bytes"},
    {"st_overlap.safetensors", MS_BAD_MODEL,
     "\"b\": its data begins at offset 32, but the tensor before it ends at 64"},
    {"st_reversed_offsets.safetensors", MS_BAD_MODEL, "\"a\": data_offsets [64, 0] are no range"},
    {"st_seven_bytes.safetensors", MS_BAD_MODEL, "has 7 bytes, too few"},
    {"st_shape_disagrees_with_offsets.safetensors", MS_BAD_MODEL, "\"a\": its shape takes 80 bytes"},
    {"st_shape_overflow.safetensors", MS_BAD_MODEL, "\"a\": the product of its shape overflows"},
    {"st_unknown_dtype.safetensors", MS_BAD_MODEL, "\"a\": element type \"Q7\""},
    {"three_tensors_good.pt", MS_OK, "3"},
    {"truncated_half.pt", MS_BAD_MODEL, "without its end: is it cut short?"},
    {"truncated_last_10_bytes.pt", MS_BAD_MODEL, "without its end: is it cut short?"},
    {"unet_all_nan.pt", MS_OK, "774"},
    {"unet_good_shared.pt", MS_OK, "774"},
    {"unet_missing_tensor.pt", MS_OK, "773"},
    {"unet_no_state_dict.pt", MS_OK, "0"},
    {"unet_wrong_cross_attention_dim.pt", MS_OK, "774"},
    {"unet_wrong_shape.pt", MS_OK, "774"},
    {"view_huge_shape.pt", MS_BAD_MODEL, "\"state_dict.conv_in.weight\": the product of its shape overflows"},
    {"view_negative_offset.pt", MS_BAD_MODEL, "\"state_dict.conv_in.weight\": its view from element -4 on"},
    {"view_negative_stride.pt", MS_BAD_MODEL,
     "\"state_dict.conv_in.weight\": its stride in dimension 0 is -1"},
    {"view_past_storage.pt", MS_BAD_MODEL, "element 10 on reaches outside its storage of 16 elements"},
    {"zip_deflated.pt", MS_BAD_MODEL, "is compressed (method 8)"},
    {"zip_directory_size_lies.pt", MS_BAD_MODEL, "its 2147483632 bytes at byte 16274 run into the directory"},
    {"zip_missing_storage.pt", MS_BAD_MODEL,
     "\"state_dict.conv_in.weight\": its storage data/0 is not in the archive"},
    {"zip_no_data_pkl.pt", MS_BAD_MODEL, "it has no archive/data.pkl"},
    {"zip_path_traversal_name.pt", MS_BAD_MODEL,
     "\"archive/data/../../../evil\": a name that no checkpoint has"},
    {"zip_short_storage.pt", MS_BAD_MODEL, "data/0 has 7488 bytes in place of 3744 elements of 4"},
};

static const bad_file *expectation(const char *name) {
    for (size_t i = 0; i < sizeof(bad_files) / sizeof(*bad_files); i++)
        if (strcmp(bad_files[i].name, name) == 0)
            return &bad_files[i];
    return NULL;
}

static void check_file(const char *folder, const char *name) {
    char path[1024];
    ms_error err;
    ms_tensor_file *file = NULL;
    const bad_file *expected = expectation(name);
    if (!expected)
        fail_msg("%s: a golden file that this test does not know", name);
    snprintf(path, sizeof(path), "%s/%s", folder, name);
    ms_status status = ms_tensor_file_open(NULL, path, &file, &err);
    if (status != expected->status)
        fail_msg("%s: %s: %s", name, ms_status_name(status), status == MS_OK ? "" : err.message);
    if (status == MS_OK) {
        assert_int_equal(ms_tensor_file_count(file), atoi(expected->because));
        ms_tensor_file_close(&file);
    } else if (strncmp(err.message, path, strlen(path)) != 0 || !strstr(err.message, expected->because)) {
        fail_msg("%s: \"%s\" does not say \"%s\"", name, err.message, expected->because);
    }
}

static void bad_files_are_refused_by_name(void **state) {
    (void)state;
    char folder[512];
    if (!golden_path(folder, sizeof(folder), "bad"))
        skip();
    DIR *dir = opendir(folder);
    assert_non_null(dir);
    size_t seen = 0;
    for (struct dirent *entry; (entry = readdir(dir));) {
        if (entry->d_name[0] == '.')
            continue;
        check_file(folder, entry->d_name);
        seen++;
    }
    closedir(dir);
    assert_int_equal(seen, sizeof(bad_files) / sizeof(*bad_files));
}

static void assert_memory_refused(const void *data, size_t bytes, const char *because) {
    ms_error err;
    ms_tensor_file *file = NULL;
    assert_int_equal(ms_tensor_file_open_memory(NULL, "mem", data, bytes, &file, &err), MS_BAD_MODEL);
    if (!strstr(err.message, because))
        fail_msg("\"%s\" does not say \"%s\"", err.message, because);
}

static void other_things_under_such_names(void **state) {
    (void)state;
    ms_error err;
    ms_tensor_file *file = NULL;
    assert_memory_refused("version https://git-lfs.github.com/spec/v1\noid", 46, "Git LFS pointer");
    assert_memory_refused("<!DOCTYPE html><html>", 21, "web page");
    assert_memory_refused("\x80\x02\x8a\nl\xfc\x9c\x46\xf9 j\xa8P\x19.\x80\x02M\xe9\x03.", 19,
                          "before torch 1.6");
    assert_memory_refused("\x80\x04\x95\x10\0\0\0\0\0\0\0}\x94.", 14, "bare pickle");
    /* A header of 0x280 bytes begins like a pickle of protocol 2. */
    assert_memory_refused("\x80\x02\0\0\0\0\0\0{}", 10, "header of 640 bytes does not fit");
    assert_memory_refused("PK\3\4", 4, "zip archive without its end");
    assert_int_equal(ms_tensor_file_open(NULL, "no/such.pt", &file, &err), MS_IO);
    assert_non_null(strstr(err.message, "no/such.pt: cannot open"));
    assert_int_equal(ms_tensor_file_open(NULL, MS_SOURCE_DIR, &file, &err), MS_IO);
    assert_non_null(strstr(err.message, "is a folder"));
}

/* ------------------------------------------------------------------ safetensors headers */

static ms_status open_safetensors(const char *header, size_t data_bytes, ms_tensor_file **ret_file,
                                  ms_error *err, unsigned char *room) {
    size_t length = strlen(header);
    for (int i = 0; i < 8; i++)
        room[i] = (unsigned char)((uint64_t)length >> (8 * i));
    memcpy(room + 8, header, length);
    for (size_t i = 0; i < data_bytes; i++)
        room[8 + length + i] = (unsigned char)i;
    return ms_tensor_file_open_memory(NULL, "mem", room, 8 + length + data_bytes, ret_file, err);
}

static void assert_header_refused(const char *header, size_t data_bytes, const char *because) {
    unsigned char room[4096];
    ms_error err;
    ms_tensor_file *file = NULL;
    if (open_safetensors(header, data_bytes, &file, &err, room) != MS_BAD_MODEL)
        fail_msg("accepted: %s", header);
    if (!strstr(err.message, because))
        fail_msg("%s: \"%s\" does not say \"%s\"", header, err.message, because);
}

static void safetensors_rules(void **state) {
    (void)state;
    /* Each was tried with the official implementation, too. */
    assert_header_refused("[]", 0, "is no JSON object");
    assert_header_refused("{}", 1, "cover 0 of the 1 bytes");
    assert_header_refused("{\"a\":1}", 0, "\"a\": its header entry is no object");
    assert_header_refused("{\"a\":{\"shape\":[1],\"data_offsets\":[0,1]}}", 1, "has no \"dtype\"");
    assert_header_refused("{\"a\":{\"dtype\":\"U8\",\"data_offsets\":[0,1]}}", 1, "has no \"shape\"");
    assert_header_refused("{\"a\":{\"dtype\":\"U8\",\"shape\":[1]}}", 1, "has no \"data_offsets\"");
    assert_header_refused("{\"a\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1,2]}}", 1,
                          "array of two");
    assert_header_refused("{\"a\":{\"dtype\":\"U8\",\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]}}",
                          1, "a second member named \"dtype\"");
    assert_header_refused("{\"a\":{\"dtype\":\"U8\",\"shape\":[1.0],\"data_offsets\":[0,1]}}", 1,
                          "dimension 0");
    assert_header_refused("{\"a\":{\"dtype\":\"U8\",\"shape\":[-1],\"data_offsets\":[0,1]}}", 1,
                          "dimension 0");
    assert_header_refused(
        "{\"a\":{\"dtype\":\"U8\",\"shape\":[0,18446744073709551615],\"data_offsets\":[0,0]}}", 0,
        "dimension 1");
    assert_header_refused("{\"a\":{\"dtype\":\"U8\",\"shape\":[1,1,1,1,1,1,1,1,1],\"data_offsets\":[0,1]}}",
                          1, "9 dimensions, more than 8");
    assert_header_refused("{\"a\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]}}\0", 2,
                          "cover 1 of the 2 bytes");
    assert_header_refused("{\"__metadata__\":{\"a\":1}}", 0, "\"__metadata__\": \"a\" is no text");
    assert_header_refused("{\"__metadata__\":[]}", 0, "\"__metadata__\" is no object");

    unsigned char room[4096];
    ms_error err;
    ms_tensor_file *file = NULL;
    assert_ms_ok(
        open_safetensors(" {\"__metadata__\":{\"who\":\"me\"},"
                         "\"b\":{\"dtype\":\"U8\",\"shape\":[2,1],\"data_offsets\":[4,6],\"more\":[]},"
                         "\"s\":{\"dtype\":\"I32\",\"shape\":[],\"data_offsets\":[0,4]},"
                         "\"z\":{\"dtype\":\"F64\",\"shape\":[3,0],\"data_offsets\":[6,6]}} \n",
                         6, &file, &err, room),
        &err);
    assert_int_equal(ms_tensor_file_count(file), 3);
    assert_string_equal(ms_tensor_file_format(file), "safetensors");
    assert_string_equal(ms_tensor_file_path(file), "mem");
    assert_string_equal(ms_tensor_file_get(file, 0)->name, "s");
    assert_string_equal(ms_tensor_file_get(file, 1)->name, "b");
    assert_string_equal(ms_tensor_file_get(file, 2)->name, "z");
    assert_null(ms_tensor_file_get(file, 3));
    assert_string_equal(ms_tensor_file_metadata(file, "who"), "me");
    assert_null(ms_tensor_file_metadata(file, "b"));
    const ms_tensor_info *s = ms_tensor_file_find(file, "s"), *b = ms_tensor_file_find(file, "b");
    assert_true(s->rank == 0 && s->elements == 1 && s->contiguous && s->dtype == MS_I32);
    float value;
    assert_ms_ok(ms_tensor_file_read_f32(file, s, 0, 1, &value, &err), &err);
    assert_true(value == (float)0x03020100);
    assert_int_equal(ms_tensor_file_find(file, "z")->elements, 0);
    assert_ms_ok(ms_tensor_file_read(file, ms_tensor_file_find(file, "z"), 0, 0, NULL, &err), &err);
    assert_int_equal(ms_tensor_file_read(file, b, 1, 2, room, &err), MS_INVALID_ARGUMENT);
    assert_non_null(strstr(err.message, "mem: tensor \"b\": 2 elements from 1 on are not in its 2"));
    assert_int_equal(ms_tensor_file_read(file, b, -1, 1, room, &err), MS_INVALID_ARGUMENT);
    assert_int_equal(ms_tensor_file_read_f32(file, b, 0, -1, &value, &err), MS_INVALID_ARGUMENT);
    ms_tensor_file_close(&file);
    assert_null(file);
}

/* ------------------------------------------------------------------ golden files against each other */

static ms_tensor_file *open_golden(const char *name) {
    char path[512];
    ms_error err;
    ms_tensor_file *file = NULL;
    if (!golden_path(path, sizeof(path), name)) {
        print_message("no golden file %s\n", name);
        skip();
    }
    assert_ms_ok(ms_tensor_file_open(NULL, path, &file, &err), &err);
    return file;
}

/* Every floating tensor of file a (float32) is that of file b before rounding. */
static size_t compare_rounded(const ms_tensor_file *a, const char *a_prefix, const ms_tensor_file *b,
                              const char *b_prefix, const char *(*rename)(const char *name, char *room)) {
    size_t compared = 0;
    char name[256], room[256];
    ms_error err;
    for (size_t i = 0; i < ms_tensor_file_count(a); i++) {
        const ms_tensor_info *x = ms_tensor_file_get(a, i);
        if (strncmp(x->name, a_prefix, strlen(a_prefix)) != 0 || x->dtype != MS_F32)
            continue;
        const char *stem = x->name + strlen(a_prefix);
        snprintf(name, sizeof(name), "%s%s", b_prefix, rename ? rename(stem, room) : stem);
        const ms_tensor_info *y = ms_tensor_file_find(b, name);
        if (!y)
            fail_msg("%s is missing", name);
        assert_true(y->elements == x->elements && y->rank == x->rank);
        float *fx = malloc((size_t)x->elements * 4 + 1), *fy = malloc((size_t)x->elements * 4 + 1);
        assert_ms_ok(ms_tensor_file_read_f32(a, x, 0, x->elements, fx, &err), &err);
        assert_ms_ok(ms_tensor_file_read_f32(b, y, 0, y->elements, fy, &err), &err);
        for (int64_t k = 0; k < x->elements; k++) {
            float rounded = y->dtype == MS_BF16 ? ms_bf16_to_f32(ms_f32_to_bf16(fx[k]))
                                                : ms_f16_to_f32(ms_f32_to_f16(fx[k]));
            if (rounded != fy[k])
                fail_msg("%s: element %lld is %g, not %g", name, (long long)k, (double)fy[k],
                         (double)rounded);
        }
        free(fx);
        free(fy);
        compared++;
    }
    return compared;
}

static void formats_hold_the_same_unet(void **state) {
    (void)state;
    ms_tensor_file *f32 = open_golden("tiny/latentsync_unet.pt");
    ms_tensor_file *f16 = open_golden("tiny/latentsync_unet_fp16.pt");
    ms_tensor_file *bf16 = open_golden("tiny/latentsync_unet_bf16.safetensors");
    assert_int_equal(ms_tensor_file_count(f32), 774);
    assert_int_equal(compare_rounded(f32, "state_dict.", f16, "state_dict.", NULL), 774);
    assert_int_equal(compare_rounded(f32, "state_dict.", bf16, "", NULL), 774);
    int64_t step = -1;
    assert_true(ms_tensor_file_integer(f32, "global_step", &step) && step >= 0);
    assert_false(ms_tensor_file_integer(bf16, "global_step", &step));
    assert_false(ms_tensor_file_integer(f32, "state_dict", &step));
    assert_string_equal(ms_tensor_file_format(f32), "torch");
    ms_tensor_file_close(&f32);
    ms_tensor_file_close(&f16);
    ms_tensor_file_close(&bf16);
}

/* The published VAE has the old names of the attention's matrices. */
static const char *new_vae_name(const char *name, char *room) {
    static const char *const pairs[][2] = {
        {".query.", ".to_q."}, {".key.", ".to_k."}, {".value.", ".to_v."}, {".proj_attn.", ".to_out.0."}};
    for (size_t i = 0; i < 4; i++) {
        const char *at = strstr(name, pairs[i][0]);
        if (at) {
            snprintf(room, 256, "%.*s%s%s", (int)(at - name), name, pairs[i][1], at + strlen(pairs[i][0]));
            return room;
        }
    }
    return name;
}

static void formats_hold_the_same_vae(void **state) {
    (void)state;
    ms_tensor_file *f32 = open_golden("tiny/vae/diffusion_pytorch_model.safetensors");
    ms_tensor_file *f16 = open_golden("tiny/vae/diffusion_pytorch_model.bin");
    assert_int_equal(compare_rounded(f32, "", f16, "", new_vae_name), ms_tensor_file_count(f32));
    assert_string_equal(ms_tensor_file_metadata(f32, "format"), "pt");
    ms_tensor_file_close(&f32);
    ms_tensor_file_close(&f16);
}

static void whisper_has_its_dimensions(void **state) {
    (void)state;
    ms_tensor_file *file = open_golden("tiny/whisper/tiny.pt");
    int64_t value = 0;
    assert_true(ms_tensor_file_integer(file, "dims.n_mels", &value) && value == 80);
    assert_true(ms_tensor_file_integer(file, "dims.n_audio_ctx", &value) && value == 1500);
    assert_true(ms_tensor_file_integer(file, "dims.n_audio_state", &value) && value == 48);
    const ms_tensor_info *t = ms_tensor_file_find(file, "model_state_dict.encoder.positional_embedding");
    assert_true(t && t->rank == 2 && t->shape[0] == 1500 && t->shape[1] == 48 && t->dtype == MS_F16);
    ms_tensor_file_close(&file);
}

static void pieces_make_the_whole(void **state) {
    (void)state;
    ms_tensor_file *file = open_golden("tiny/latentsync_unet_wide_shared.pt");
    assert_int_equal(ms_tensor_file_count(file), 1246);
    uint64_t rng = 5;
    ms_error err;
    for (size_t i = 0; i < ms_tensor_file_count(file); i += 37) {
        const ms_tensor_info *t = ms_tensor_file_get(file, i);
        size_t size = ms_dtype_bytes(t->dtype);
        unsigned char *whole = malloc((size_t)t->elements * size + 1),
                      *piece = malloc((size_t)t->elements * size + 1);
        assert_ms_ok(ms_tensor_file_read(file, t, 0, t->elements, whole, &err), &err);
        for (int k = 0; k < 10; k++) {
            int64_t first = (int64_t)(test_rand(&rng) % (uint64_t)(t->elements + 1));
            int64_t count = (int64_t)(test_rand(&rng) % (uint64_t)(t->elements - first + 1));
            assert_ms_ok(ms_tensor_file_read(file, t, first, count, piece, &err), &err);
            assert_memory_equal(piece, whole + (size_t)first * size, (size_t)count * size);
        }
        free(whole);
        free(piece);
    }
    ms_tensor_file_close(&file);
}

/* ------------------------------------------------------------------ every allocation may fail */

static size_t walk_allocations(const char *path) {
    ms_status status = MS_HOST_MEMORY;
    size_t n = 0;
    for (int repeat = 0; repeat < 2; repeat++) {
        status = MS_HOST_MEMORY;
        for (n = 0; status != MS_OK;) {
            ms_mem *mem;
            ms_error err;
            ms_tensor_file *file = NULL;
            assert_int_equal(ms_mem_create(0, &mem), MS_OK);
            ms_mem_fail_after(++n, repeat);
            status = ms_tensor_file_open(mem, path, &file, &err);
            ms_mem_fail_after(0, false);
            if (status != MS_OK &&
                (status != MS_HOST_MEMORY || file || !strstr(err.message, "cannot allocate")))
                fail_msg("%s: allocation %zu: %s: %s", path, n, ms_status_name(status), err.message);
            ms_tensor_file_close(&file);
            assert_int_equal(ms_mem_destroy(&mem), 0);
        }
    }
    return n;
}

static void every_allocation_may_fail(void **state) {
    (void)state;
    static const char *const names[] = {"tiny/latentsync_unet_bf16.safetensors", "tiny/latentsync_unet.pt",
                                        "tiny/latentsync_unet_wide_shared.pt", "tiny/whisper/tiny.pt",
                                        "bad/st_good.safetensors"};
    for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
        char path[512];
        if (!golden_path(path, sizeof(path), names[i]))
            skip();
        assert_true(walk_allocations(path) > 4);
    }
}

static void a_budget_is_kept(void **state) {
    (void)state;
    char path[512];
    if (!golden_path(path, sizeof(path), "tiny/latentsync_unet.pt"))
        skip();
    for (size_t budget = 1 << 14;; budget += 1 << 15) {
        ms_mem *mem;
        ms_error err;
        ms_tensor_file *file = NULL;
        ms_mem_usage usage;
        assert_int_equal(ms_mem_create(budget, &mem), MS_OK);
        ms_status status = ms_tensor_file_open(mem, path, &file, &err);
        ms_mem_get_usage(mem, &usage);
        assert_true(usage.peak_bytes <= budget);
        ms_tensor_file_close(&file);
        assert_int_equal(ms_mem_destroy(&mem), 0);
        if (status == MS_OK) {
            assert_true(budget < 4 << 20);
            return;
        }
        assert_int_equal(status, MS_HOST_MEMORY);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bad_files_are_refused_by_name),
        cmocka_unit_test(other_things_under_such_names),
        cmocka_unit_test(safetensors_rules),
        cmocka_unit_test(formats_hold_the_same_unet),
        cmocka_unit_test(formats_hold_the_same_vae),
        cmocka_unit_test(whisper_has_its_dimensions),
        cmocka_unit_test(pieces_make_the_whole),
        cmocka_unit_test(every_allocation_may_fail),
        cmocka_unit_test(a_budget_is_kept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
