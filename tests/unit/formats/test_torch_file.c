/* Torch files that torch.save does not write: views of every kind, pickles that go wrong at each opcode. */
#include "test.h"

#include "support/models/torch_read.h"

/* ------------------------------------------------------------------ views */

static void check_values(const ms_tensor_file *file, const view *v, int64_t first, int64_t count) {
    const ms_tensor_info *t = ms_tensor_file_find(file, "t");
    ms_error err;
    float *values = malloc((size_t)count * sizeof(*values) + 1);
    assert_ms_ok(ms_tensor_file_read(file, t, first, count, values, &err), &err);
    for (int64_t i = 0; i < count; i++) {
        int64_t rest = first + i, at = v->offset;
        for (int d = v->rank - 1; d >= 0; d--) {
            at += rest % v->shape[d] * v->stride[d];
            rest /= v->shape[d];
        }
        if (values[i] != (float)at)
            fail_msg("element %lld is %g, not %lld", (long long)(first + i), (double)values[i],
                     (long long)at);
    }
    free(values);
}

static void check_view(const view *v, bool contiguous) {
    byte_string pickle;
    archive a;
    ms_error err;
    ms_tensor_file *file = NULL;
    uint64_t rng = 11;
    pickle_one_view(&pickle, v);
    make_archive(&a, &pickle, (size_t)v->storage_elements);
    assert_ms_ok(open_archive(&a, &file, &err), &err);
    const ms_tensor_info *t = ms_tensor_file_find(file, "t");
    assert_non_null(t);
    assert_int_equal(t->contiguous, contiguous);
    check_values(file, v, 0, t->elements);
    for (int k = 0; k < 20 && t->elements; k++) {
        int64_t first = (int64_t)(test_rand(&rng) % (uint64_t)t->elements);
        check_values(file, v, first, (int64_t)(test_rand(&rng) % (uint64_t)(t->elements - first)) + 1);
    }
    ms_tensor_file_close(&file);
    archive_free(&a);
    bytes_free(&pickle);
}

static void views_are_gathered(void **state) {
    (void)state;
    static const struct {
        view v;
        bool contiguous;
    } cases[] = {
        {{"FloatStorage", "0", 24, 0, 3, {2, 3, 4}, {12, 4, 1}}, true},
        {{"FloatStorage", "0", 24, 5, 1, {19}, {1}}, true},
        {{"FloatStorage", "0", 24, 23, 0, {0}, {0}}, true},
        {{"FloatStorage", "0", 24, 4, 3, {1, 5, 1}, {99, 1, 77}}, true}, /* strides of size 1 mean nothing */
        {{"FloatStorage", "0", 24, 0, 3, {4, 3, 2}, {1, 4, 12}}, false},
        {{"FloatStorage", "0", 24, 1, 2, {3, 4}, {8, 2}}, false},
        {{"FloatStorage", "0", 24, 7, 2, {1000, 3}, {0, 2}}, false},
        {{"FloatStorage", "0", 24, 7, 3, {5, 3, 4}, {0, 0, 0}}, false},
        {{"FloatStorage", "0", 24, 2, 2, {3, 7}, {7, 0}}, false},
        {{"FloatStorage", "0", 24, 0, 2, {10, 5}, {2, 1}}, false}, /* overlapping rows (unfold) */
        {{"FloatStorage", "0", 64, 3, 8, {1, 2, 1, 2, 2, 1, 2, 3}, {7, 20, 0, 1, 2, 5, 4, 9}}, false},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++)
        check_view(&cases[i].v, cases[i].contiguous);
}

static void random_views_are_gathered(void **state) {
    (void)state;
    uint64_t rng = 3;
    for (int k = 0; k < 300; k++) {
        view v = {.storage_class = "FloatStorage", .key = "0", .rank = (int)(test_rand(&rng) % 6)};
        int64_t last = 0, step = 1;
        v.offset = test_rand(&rng) % 10;
        bool contiguous = true;
        for (int d = v.rank - 1; d >= 0; d--) {
            v.shape[d] = 1 + test_rand(&rng) % 5;
            v.stride[d] = test_rand(&rng) % 2 ? step : (int64_t)(test_rand(&rng) % 30);
            contiguous = contiguous && (v.shape[d] == 1 || v.stride[d] == step);
            last += (v.shape[d] - 1) * v.stride[d];
            step *= v.shape[d];
        }
        v.storage_elements = v.offset + last + 1;
        check_view(&v, contiguous);
    }
}

/* Larger than the window that gathering reads through (16 MiB). */
static void large_views_are_gathered(void **state) {
    (void)state;
    view transposed = {"FloatStorage", "0", 2500 * 2000, 0, 2, {2000, 2500}, {1, 2000}};
    view channels_last = {"FloatStorage", "0", 700 * 800 * 9, 0, 4, {700, 800, 3, 3}, {7200, 1, 2400, 800}};
    view far_apart = {"FloatStorage", "0", 5000 * 1000, 3, 2, {4, 9}, {1200000, 5}};
    byte_string pickle;
    archive a;
    ms_error err;
    ms_tensor_file *file = NULL;
    view *const views[] = {&transposed, &channels_last, &far_apart};
    for (size_t i = 0; i < 3; i++) {
        pickle_one_view(&pickle, views[i]);
        make_archive(&a, &pickle, (size_t)views[i]->storage_elements);
        assert_ms_ok(open_archive(&a, &file, &err), &err);
        check_values(file, views[i], 0, ms_tensor_file_find(file, "t")->elements / (i == 0 ? 50 : 1));
        ms_tensor_file_close(&file);
        archive_free(&a);
        bytes_free(&pickle);
    }
}

static void views_that_reach_outside(void **state) {
    (void)state;
    static const struct {
        view v;
        const char *because;
    } cases[] = {
        {{"FloatStorage", "0", 24, 0, 2, {5, 5}, {5, 1}}, "reaches outside its storage of 24"},
        {{"FloatStorage", "0", 24, 24, 0, {0}, {0}}, "element 24 on reaches outside"},
        {{"FloatStorage", "0", 24, -1, 1, {2}, {1}}, "element -1 on reaches outside"},
        {{"FloatStorage", "0", 24, -1, 1, {0}, {1}}, "element -1 on reaches outside"},
        {{"FloatStorage", "0", 24, 0, 1, {2}, {INT64_MAX}}, "reaches outside"},
        {{"FloatStorage", "0", 24, 0, 1, {3}, {INT64_MAX}}, "reaches outside"},
        {{"FloatStorage", "0", 24, INT64_MAX, 1, {3}, {1}}, "reaches outside"},
        {{"FloatStorage", "0", 24, 23, 1, {2}, {INT64_MIN}}, "stride in dimension 0 is -9223372036854775808"},
        {{"FloatStorage", "0", 24, 0, 1, {-2}, {1}}, "dimension 0 of its shape is -2"},
        {{"FloatStorage", "0", 24, 0, 3, {INT64_MAX, 2, 2}, {0, 0, 0}}, "the product of its shape overflows"},
        {{"FloatStorage", "0", 24, 0, 1, {INT64_MAX / 2}, {0}}, "the product of its shape overflows"},
        {{"FloatStorage", "0", 24, 0, 9, {1, 1, 1, 1, 1, 1, 1, 1, 1}, {0}}, "9 dimensions, more than 8"},
        {{"FloatStorage", "0", 25, 0, 1, {1}, {1}}, "data/0 has 96 bytes in place of 25 elements of 4"},
        {{"FloatStorage", "0", -24, 0, 1, {1}, {1}}, "in place of -24 elements"},
        {{"FloatStorage", "0", INT64_MAX, 0, 1, {1}, {1}}, "in place of 9223372036854775807 elements"},
        {{"DoubleStorage", "0", 24, 0, 1, {1}, {1}}, "data/0 has 96 bytes in place of 24 elements of 8"},
        {{"FloatStorage", "1", 24, 0, 1, {1}, {1}}, "its storage data/1 is not in the archive"},
        {{"FloatStorage", "../../0", 24, 0, 1, {1}, {1}}, "its storage data/../../0 is not in the archive"},
        {{"FloatStorage", "\x1b[2J", 24, 0, 1, {1}, {1}}, "its storage data/\\x1b[2J is not"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        byte_string pickle;
        archive a;
        pickle_one_view(&pickle, &cases[i].v);
        make_archive(&a, &pickle, 24);
        assert_archive_refused(&a, cases[i].because);
        archive_free(&a);
        bytes_free(&pickle);
    }
}

/* ------------------------------------------------------------------ element types */

static void every_storage_class(void **state) {
    (void)state;
    static const struct {
        const char *storage_class;
        ms_dtype dtype;
        unsigned char value[8]; /* of 2 */
    } cases[] = {
        {"FloatStorage", MS_F32, {0, 0, 0, 0x40}},
        {"HalfStorage", MS_F16, {0, 0x40}},
        {"BFloat16Storage", MS_BF16, {0, 0x40}},
        {"DoubleStorage", MS_F64, {0, 0, 0, 0, 0, 0, 0, 0x40}},
        {"LongStorage", MS_I64, {2}},
        {"IntStorage", MS_I32, {2}},
        {"ShortStorage", MS_I16, {2}},
        {"CharStorage", MS_I8, {2}},
        {"ByteStorage", MS_U8, {2}},
        {"BoolStorage", MS_BOOL, {2}}, /* any byte but 0 is true */
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        view v = {cases[i].storage_class, "0", 1, 0, 1, {2}, {0}};
        byte_string pickle;
        archive a = {0};
        ms_error err;
        ms_tensor_file *file = NULL;
        pickle_one_view(&pickle, &v);
        archive_add(&a, "x/data.pkl", pickle.data, pickle.length);
        archive_add(&a, "x/data/0", cases[i].value, ms_dtype_bytes(cases[i].dtype));
        archive_end(&a);
        assert_ms_ok(open_archive(&a, &file, &err), &err);
        const ms_tensor_info *t = ms_tensor_file_find(file, "t");
        assert_int_equal(t->dtype, cases[i].dtype);
        float x[2];
        assert_ms_ok(ms_tensor_file_read_f32(file, t, 0, 2, x, &err), &err);
        assert_true(x[0] == (cases[i].dtype == MS_BOOL ? 1.0f : 2.0f) && x[1] == x[0]);
        ms_tensor_file_close(&file);
        archive_free(&a);
        bytes_free(&pickle);
    }
}

/* ------------------------------------------------------------------ pickles */

static void read_pickle(const char *text, size_t length, archive *a) {
    byte_string pickle = {0};
    bytes_append(&pickle, text, length);
    make_archive(a, &pickle, 24);
    bytes_free(&pickle);
}

#define PICKLE(text) text, sizeof(text) - 1

static void pickles_that_go_wrong(void **state) {
    (void)state;
    static const struct {
        const char *text;
        size_t length;
        const char *because;
    } cases[] = {
        {PICKLE(""), "byte 0: ends without a STOP"},
        {PICKLE("}."), "byte 0: is not a pickle of protocol 2 or later"},
        {PICKLE("\x80\x01}."), "protocol other than 2 to 5"},
        {PICKLE("\x80\x06}."), "protocol other than 2 to 5"},
        {PICKLE("\x80\x02}"), "byte 3: ends without a STOP"},
        {PICKLE("\x80\x02."), "ends with other than one value"},
        {PICKLE("\x80\x02}}."), "ends with other than one value"},
        {PICKLE("\x80\x02(."), "ends with other than one value"},
        {PICKLE("\x80\x02K\x01."), "holds an integer, not a dict of tensors"},
        {PICKLE("\x80\x02N."), "holds None, not a dict"},
        {PICKLE("\x80\x04\x95\xff\0\0\0\0\0\0\0}."), "frame that is longer"},
        {PICKLE("\x80\x02}X\xff\xff\xff\xff"), "byte 3: wants 4294967295 bytes, but only 0 follow"},
        {PICKLE("\x80\x02}\x8d\xff\xff\xff\xff\xff\xff\xff\xff"), "wants 18446744073709551615 bytes"},
        {PICKLE("\x80\x02}\x8b\xff\xff\xff\xff"), "wants 4294967295 bytes"},
        {PICKLE("\x80\x02}\x8a\x09"), "wants 9 bytes"},
        {PICKLE("\x80\x02}J\x01"), "wants 4 bytes"},
        {PICKLE("\x80\x02}G\x01"), "wants 8 bytes"},
        {PICKLE("\x80\x02"
                "0"),
         "empty stack"},
        {PICKLE("\x80\x02"
                "1"),
         "mark that is not there"},
        {PICKLE("\x80\x02t"), "mark that is not there"},
        {PICKLE("\x80\x02N\x86"), "empty stack"},
        {PICKLE("\x80\x02(N\x86"), "empty stack"},
        {PICKLE("\x80\x02(\x85"), "empty stack"},
        {PICKLE("\x80\x02"
                "a"),
         "empty stack"},
        {PICKLE("\x80\x02Na"), "adds to what is not a list"},
        {PICKLE("\x80\x02}Na"), "adds to what is not a list"},
        {PICKLE("\x80\x02]NNs"), "adds to what is not a dict"},
        {PICKLE("\x80\x02](NNu"), "adds to what is not a dict"},
        {PICKLE("\x80\x02}(NNNu"), "adds a key without a value"},
        {PICKLE("\x80\x02(u"), "adds to what is not a dict"},
        {PICKLE("\x80\x02}(e"), "adds to what is not a list"},
        {PICKLE("\x80\x02h\x05"), "recalls what was never remembered"},
        {PICKLE("\x80\x02}r\x05\0\0\0h\x04"), "recalls what was never remembered"},
        {PICKLE("\x80\x02}j\xff\xff\xff\xff"), "recalls what was never remembered"},
        {PICKLE("\x80\x02q\x05"), "remembers a value from an empty stack"},
        {PICKLE("\x80\x02(q\x05"), "remembers a value from an empty stack"},
        {PICKLE("\x80\x02}r\xff\xff\xff\xff"), "remembers too much"},
        {PICKLE("\x80\x02"
                "cos\nsystem\n"),
         "asks for os.system, which is not among"},
        {PICKLE("\x80\x02"
                "cbuiltins\neval\n"),
         "asks for builtins.eval"},
        {PICKLE("\x80\x02"
                "ctorch\nload\n"),
         "asks for torch.load"},
        {PICKLE("\x80\x02"
                "c\x1b[2J\nx\n"),
         "asks for \\x1b[2J.x"},
        {PICKLE("\x80\x02"
                "ctorch"),
         "without an end of line"},
        {PICKLE("\x80\x02"
                "ctorch\nSize"),
         "without an end of line"},
        {PICKLE("\x80\x04\x8c\x02os\x8c\x06system\x93"), "asks for os.system"},
        {PICKLE("\x80\x04\x8c\x02osN\x93"), "names a global by something other than text"},
        {PICKLE("\x80\x02N)R"), "calls what is not a function"},
        {PICKLE("\x80\x02"
                "ccollections\nOrderedDict\nNR"),
         "calls what is not a function"},
        {PICKLE("\x80\x02"
                "ccollections\nOrderedDict\nN\x85R"),
         "OrderedDict gets something else than"},
        {PICKLE("\x80\x02"
                "ccollections\nOrderedDict\n]Na\x85R"),
         "OrderedDict gets something else than"},
        {PICKLE("\x80\x02"
                "ctorch\nFloatStorage\n)R"),
         "torch.FloatStorage is called"},
        {PICKLE("\x80\x02"
                "ctorch\nfloat32\n)R"),
         "torch.float32 is called"},
        {PICKLE("\x80\x02"
                "ctorch\nSize\n)R"),
         "torch.Size does not get a tuple"},
        {PICKLE("\x80\x02"
                "ctorch._utils\n_rebuild_parameter\n)R"),
         "does not get a tensor"},
        {PICKLE("\x80\x02"
                "ctorch._utils\n_rebuild_tensor_v2\n)R"),
         "does not get (storage, offset, size, stride)"},
        {PICKLE("\x80\x02NQ"), "a persistent id is not"},
        {PICKLE("\x80\x02)Q"), "a persistent id is not"},
        {PICKLE("\x80\x02(X\x01\0\0\0sctorch\nFloatStorage\nX\x01\0\0\0"
                "0X\x03\0\0\0cpuK\x18tQ"),
         "a persistent id is not"},
        {PICKLE("\x80\x02(X\x07\0\0\0storagectorch\nSize\nX\x01\0\0\0"
                "0X\x03\0\0\0cpuK\x18tQ"),
         "a persistent id is not"},
        {PICKLE("\x80\x02NNb"), "sets the state of what has none"},
        {PICKLE("\x80\x02Nb"), "empty stack"},
        {PICKLE("\x80\x02"
                "2"),
         "opcode 0x32 (DUP)"},
        {PICKLE("\x80\x02ios\nsystem\n"), "opcode 0x69 (INST)"},
        {PICKLE("\x80\x02"
                "o"),
         "opcode 0x6f (OBJ)"},
        {PICKLE("\x80\x02\x81"), "opcode 0x81 (NEWOBJ)"},
        {PICKLE("\x80\x02\x82\x01"), "opcode 0x82 (EXT1)"},
        {PICKLE("\x80\x02\x8f"), "opcode 0x8f (EMPTY_SET)"},
        {PICKLE("\x80\x02Ppid\n"), "opcode 0x50 (PERSID)"},
        {PICKLE("\x80\x02\xff"), "opcode 0xff (no pickle has it)"},
        {PICKLE("\x80\x02}NK\x01s."), "a key in it is neither text nor an integer"},
        {PICKLE("\x80\x02}X\x02\0\0\0a\0K\x01s."), "a key in it is no valid text"},
        {PICKLE("\x80\x02}X\x02\0\0\0\xff\xfeK\x01s."), "a key in it is no valid text"},
        {PICKLE("\x80\x02}X\x01\0\0\0aK\x01sX\x01\0\0\0aK\x02s."), "\"a\": two integers have this name"},
        {PICKLE("\x80\x02]q\0h\0a."), "is nested too deep"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        archive a;
        read_pickle(cases[i].text, cases[i].length, &a);
        assert_archive_refused(&a, cases[i].because);
        archive_free(&a);
    }
}

static void pickles_that_go_right(void **state) {
    (void)state;
    /* Integers of every width and sign, texts, lists, state, an OrderedDict of
       Python 2, STACK_GLOBAL and MEMOIZE. */
    static const char text[] = "\x80\x04\x95\x02\0\0\0\0\0\0\0}\x94("
                               "\x8c\x01"
                               "aJ\xff\xff\xff\xff"
                               "\x8c\x01"
                               "bM\x10\x27"
                               "U\x01"
                               "c\x8a\x02\x00\x80"
                               "\x8c\x01"
                               "d\x8a\0"
                               "\x8c\x01"
                               "e\x8a\x08\xff\xff\xff\xff\xff\xff\xff\x7f"
                               "\x8c\x01"
                               "f\x8a\x09\0\0\0\0\0\0\0\0\x01"
                               "\x8c\x01"
                               "g](K\x07K\x08"
                               "e"
                               "\x8c\x01"
                               "h(K\x05\x88\x89NG?\xf0\0\0\0\0\0\0C\x01xt"
                               "\x8c\x01"
                               "iccollections\nOrderedDict\n](]\x8c\x01"
                               "x\x61K\x2a\x61"
                               "e\x85R"
                               "\x8c\x01"
                               "j\x8c\x0b"
                               "collections\x8c\x0bOrderedDict\x93)R}\x8c\x09_metadataNsb"
                               "K\x03K\x04"
                               "\x8c\x01"
                               "k}NN\x30\x30(NN1"
                               "\x8c\x01"
                               "lctorch\ndevice\n\x8c\x03"
                               "cpu\x85R"
                               "\x8c\x01"
                               "mctorch\nfloat16\n"
                               "u.";
    archive a;
    ms_error err;
    ms_tensor_file *file = NULL;
    read_pickle(PICKLE(text), &a);
    assert_ms_ok(open_archive(&a, &file, &err), &err);
    static const struct {
        const char *name;
        int64_t value;
    } expected[] = {{"a", -1},  {"b", 10000}, {"c", -32768}, {"d", 0},    {"e", INT64_MAX},
                    {"g.0", 7}, {"g.1", 8},   {"h.0", 5},    {"i.x", 42}, {"3", 4}};
    for (size_t i = 0; i < sizeof(expected) / sizeof(*expected); i++) {
        int64_t value = 12345;
        if (!ms_tensor_file_integer(file, expected[i].name, &value) || value != expected[i].value)
            fail_msg("%s is %lld", expected[i].name, (long long)value);
    }
    int64_t none;
    assert_false(ms_tensor_file_integer(file, "f", &none)); /* over 64 bits */
    assert_false(ms_tensor_file_integer(file, "h.1", &none));
    ms_tensor_file_close(&file);
    archive_free(&a);
}

static void parameters_and_untyped_storages(void **state) {
    (void)state;
    byte_string pickle = {0};
    archive a;
    ms_error err;
    ms_tensor_file *file = NULL;
    view v = {"FloatStorage", "0", 24, 2, 1, {3}, {4}};
    bytes_text(&pickle, "\x80\x02}");
    pickle_text(&pickle, "p");
    bytes_text(&pickle, "ctorch._utils\n_rebuild_parameter\n(");
    pickle_view(&pickle, &v);
    bytes_text(&pickle, "\x88"
                        "ccollections\nOrderedDict\n)RtRs");
    pickle_text(&pickle, "u");
    bytes_text(&pickle, "ctorch._utils\n_rebuild_tensor_v3\n((");
    pickle_text(&pickle, "storage");
    bytes_text(&pickle, "ctorch.storage\nUntypedStorage\n");
    pickle_text(&pickle, "0");
    pickle_text(&pickle, "cpu");
    bytes_text(&pickle, "K\x60tQK\x05K\x02\x85K\x01\x85\x89Nctorch\nint32\ntRs.");
    make_archive(&a, &pickle, 24);
    assert_ms_ok(open_archive(&a, &file, &err), &err);
    float x[3];
    const ms_tensor_info *p = ms_tensor_file_find(file, "p"), *u = ms_tensor_file_find(file, "u");
    assert_ms_ok(ms_tensor_file_read_f32(file, p, 0, 3, x, &err), &err);
    assert_true(x[0] == 2 && x[1] == 6 && x[2] == 10);
    assert_int_equal(u->dtype, MS_I32);
    int32_t bits[2];
    assert_ms_ok(ms_tensor_file_read(file, u, 0, 2, bits, &err), &err);
    assert_true(bits[0] == (int32_t)ms_float_bits(5) && bits[1] == (int32_t)ms_float_bits(6));
    ms_tensor_file_close(&file);
    archive_free(&a);
    bytes_free(&pickle);
}

/* Lists of twice the list before: 2^30 values of 200 bytes. */
static void shared_values_do_not_explode(void **state) {
    (void)state;
    byte_string pickle = {0};
    archive a;
    bytes_text(&pickle, "\x80\x02K\x01");
    for (int i = 0; i < 30; i++) {
        bytes_text(&pickle, "q");
        bytes_number(&pickle, (uint64_t)i, 1);
        bytes_text(&pickle, "0]h");
        bytes_number(&pickle, (uint64_t)i, 1);
        bytes_text(&pickle, "ah");
        bytes_number(&pickle, (uint64_t)i, 1);
        bytes_text(&pickle, "a");
    }
    bytes_text(&pickle, ".");
    make_archive(&a, &pickle, 0);
    assert_archive_refused(&a, "the file holds too many values");
    archive_free(&a);
    bytes_free(&pickle);
}

/* Five kilobytes, in which one dict is at many places, each with a name of a
   kilobyte: the names would take over a gigabyte. */
static void names_of_shared_values_are_bounded(void **state) {
    (void)state;
    byte_string pickle = {0};
    archive a;
    ms_mem *mem;
    ms_tensor_file *file = NULL;
    ms_error err;
    char key[201] = "";
    memset(key, 'k', sizeof(key) - 1);
    bytes_text(&pickle, "\x80\x02K\x01");
    for (int level = 0; level < 5; level++) {
        bytes_text(&pickle, "q");
        bytes_number(&pickle, (uint64_t)level, 1);
        bytes_text(&pickle, "0}(");
        for (int i = 0; i < 8; i++) {
            key[0] = (char)('a' + i);
            pickle_text(&pickle, key);
            bytes_text(&pickle, "h");
            bytes_number(&pickle, (uint64_t)level, 1);
        }
        bytes_text(&pickle, "u");
    }
    bytes_text(&pickle, ".");
    make_archive(&a, &pickle, 0);
    assert_archive_refused(&a, "the names in the file are too long altogether");
    /* It is seen before the memory is taken. */
    assert_int_equal(ms_mem_create((size_t)48 << 20, &mem), MS_OK);
    assert_int_equal(ms_tensor_file_open_memory(mem, "a.pt", a.file.data, a.file.length, &file, &err),
                     MS_BAD_MODEL);
    assert_int_equal(ms_mem_destroy(&mem), 0);
    archive_free(&a);
    bytes_free(&pickle);
}

static void depth_and_names_are_bounded(void **state) {
    (void)state;
    byte_string pickle = {0};
    archive a;
    bytes_text(&pickle, "\x80\x02");
    for (int i = 0; i < 100000; i++)
        bytes_text(&pickle, "]");
    make_archive(&a, &pickle, 0);
    assert_archive_refused(&a, "its stack is too deep");
    archive_free(&a);

    pickle.length = 2;
    for (int i = 0; i < 60000; i++)
        bytes_text(&pickle, "]");
    for (int i = 1; i < 60000; i++)
        bytes_text(&pickle, "a");
    bytes_text(&pickle, ".");
    make_archive(&a, &pickle, 0);
    assert_archive_refused(&a, "is nested too deep");
    archive_free(&a);

    char name[700];
    memset(name, 'n', sizeof(name));
    name[sizeof(name) - 1] = 0;
    pickle.length = 2;
    bytes_text(&pickle, "}");
    pickle_text(&pickle, name);
    bytes_text(&pickle, "}");
    pickle_text(&pickle, name);
    bytes_text(&pickle, "K\x01ss.");
    make_archive(&a, &pickle, 0);
    assert_archive_refused(&a, "the names in it are too long");
    archive_free(&a);
    bytes_free(&pickle);
}

static void two_tensors_of_one_name(void **state) {
    (void)state;
    byte_string pickle = {0};
    archive a;
    view v = {"FloatStorage", "0", 24, 0, 1, {3}, {1}};
    bytes_text(&pickle, "\x80\x02}");
    pickle_text(&pickle, "a.b");
    pickle_view(&pickle, &v);
    bytes_text(&pickle, "s");
    pickle_text(&pickle, "a");
    bytes_text(&pickle, "}");
    pickle_text(&pickle, "b");
    pickle_view(&pickle, &v);
    bytes_text(&pickle, "ss.");
    make_archive(&a, &pickle, 24);
    assert_archive_refused(&a, "two tensors are named \"a.b\"");
    archive_free(&a);
    bytes_free(&pickle);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(views_are_gathered),           cmocka_unit_test(random_views_are_gathered),
        cmocka_unit_test(large_views_are_gathered),     cmocka_unit_test(views_that_reach_outside),
        cmocka_unit_test(every_storage_class),          cmocka_unit_test(pickles_that_go_wrong),
        cmocka_unit_test(pickles_that_go_right),        cmocka_unit_test(parameters_and_untyped_storages),
        cmocka_unit_test(shared_values_do_not_explode), cmocka_unit_test(names_of_shared_values_are_bounded),
        cmocka_unit_test(depth_and_names_are_bounded),  cmocka_unit_test(two_tensors_of_one_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
