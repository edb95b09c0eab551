#include "test.h"

#include <locale.h>

#include "base/hash.h"
#include "text/json.h"
#include "text/text.h"

static ms_status parse(const char *text, ms_json_doc **ret_doc, ms_error *err) {
    return ms_json_parse(NULL, text, strlen(text), ret_doc, err);
}

static void assert_refused(const char *text, const char *because) {
    ms_error err = {0};
    ms_json_doc *doc = NULL;
    if (parse(text, &doc, &err) != MS_INVALID_ARGUMENT || doc)
        fail_msg("accepted: %s", text);
    if (!strstr(err.message, because))
        fail_msg("%s: \"%s\" does not say \"%s\"", text, err.message, because);
}

static void siphash_known_answers(void **state) {
    (void)state;
    /* The reference implementation's vectors: key and message are 00 01 02 ... */
    const uint64_t key[2] = {0x0706050403020100u, 0x0f0e0d0c0b0a0908u};
    unsigned char message[15];
    for (unsigned i = 0; i < sizeof(message); i++)
        message[i] = (unsigned char)i;
    assert_true(ms_siphash(key, message, 0) == 0x726fdb47dd0e0e31u);
    assert_true(ms_siphash(key, message, 8) == 0x93f5f5799a932462u);
    assert_true(ms_siphash(key, message, 15) == 0xa129ca6149be45e5u);
    uint64_t hash[2];
    ms_siphash_128(key, message, 0, hash);
    assert_true(hash[0] == 0xe6a825ba047f81a3u && hash[1] == 0x930255c71472f66du);
    ms_siphash_128(key, message, 1, hash);
    assert_true(hash[0] == 0x44af996bd8c187dau && hash[1] == 0x45fc229b11597634u);
}

static void reads_every_kind_of_value(void **state) {
    (void)state;
    ms_error err;
    ms_json_doc *doc;
    assert_ms_ok(
        parse(" {\"a\": null,\n\"b\" : [true,false, -0, 12, -9223372036854775808, 9223372036854775808,"
              "1.5e3, 0.1, 1E-2],\r\n\t\"c\":\"x\\n\\u00e9\\ud83d\\ude00\\/\", \"d\":{}, \"e\":[]}\n",
              &doc, &err),
        &err);
    const ms_json *root = ms_json_root(doc), *b = ms_json_get(root, "b");
    assert_int_equal(root->count, 5);
    assert_int_equal(ms_json_get(root, "a")->type, MS_JSON_NULL);
    assert_int_equal(b->count, 9);
    assert_int_equal(b->line, 2);
    assert_true(ms_json_at(b, 0)->boolean && !ms_json_at(b, 1)->boolean);
    assert_true(ms_json_at(b, 2)->is_integer && ms_json_at(b, 2)->integer == 0);
    assert_true(ms_json_at(b, 3)->is_integer && ms_json_at(b, 3)->integer == 12 &&
                ms_json_at(b, 3)->number == 12);
    assert_true(ms_json_at(b, 4)->is_integer && ms_json_at(b, 4)->integer == INT64_MIN);
    assert_true(!ms_json_at(b, 5)->is_integer && ms_json_at(b, 5)->number == 0x1p63);
    assert_true(!ms_json_at(b, 6)->is_integer && ms_json_at(b, 6)->number == 1500);
    assert_true(ms_json_at(b, 7)->number == 0.1 && ms_json_at(b, 8)->number == 0.01);
    assert_null(ms_json_at(b, 9));
    assert_string_equal(ms_json_get(root, "c")->string, "x\n\xc3\xa9\xf0\x9f\x98\x80/");
    assert_string_equal(ms_json_get(root, "c")->key, "c");
    assert_int_equal(ms_json_get(root, "c")->line, 3);
    assert_int_equal(ms_json_get(root, "d")->count, 0);
    assert_null(ms_json_get(root, "f"));
    assert_null(ms_json_get(b, "a"));
    assert_null(ms_json_get(NULL, "a"));
    assert_null(ms_json_at(root, 0));
    ms_json_doc_destroy(&doc);
    assert_null(doc);
}

static void members_of_another_type_are_not_there(void **state) {
    (void)state;
    ms_error err;
    ms_json_doc *doc;
    assert_ms_ok(parse("{\"t\":\"x\",\"n\":1.5,\"i\":-3,\"f\":true,\"z\":null}", &doc, &err), &err);
    const ms_json *root = ms_json_root(doc);
    assert_string_equal(ms_json_get_text(root, "t"), "x");
    assert_string_equal(ms_json_get_text(root, "n"), "");
    assert_string_equal(ms_json_get_text(NULL, "t"), "");
    assert_true(ms_json_get_number(root, "n", 7) == 1.5 && ms_json_get_number(root, "i", 7) == -3);
    assert_true(ms_json_get_number(root, "t", 7) == 7 && ms_json_get_number(root, "no", 7) == 7);
    assert_int_equal(ms_json_get_integer(root, "i", 7), -3);
    assert_int_equal(ms_json_get_integer(root, "n", 7), 7);
    assert_int_equal(ms_json_get_integer(root, "z", 7), 7);
    assert_true(ms_json_get_flag(root, "f"));
    assert_false(ms_json_get_flag(root, "i") || ms_json_get_flag(root, "no"));
    ms_json_doc_destroy(&doc);
}

static void refuses_what_is_not_json(void **state) {
    (void)state;
    assert_refused("", "line 1: expected a value, but the text ends here");
    assert_refused("\n\n]", "line 3: expected a value, found ']'");
    assert_refused("{\"a\":1,}", "expected a member name");
    assert_refused("[1,]", "expected a value, found ']'");
    assert_refused("[1 2]", "expected ',' or ']', found '2'");
    assert_refused("{\"a\" 1}", "expected ':'");
    assert_refused("{\"a\":1", "expected ',' or '}', but the text ends");
    assert_refused("{a:1}", "expected a member name");
    assert_refused("1 1", "expected nothing after the value");
    assert_refused("tru", "expected a value");
    assert_refused("nul", "expected a value");
    assert_refused("\"abc", "expected '\"'");
    assert_refused("\"\\x\"", "unknown escape");
    assert_refused("\"\\", "but the text ends");
    assert_refused("\"a\nb\"", "control character");
    assert_refused("\"\\u12g4\"", "four hexadecimal");
    assert_refused("\"\\u0000\"", "\\u0000");
    assert_refused("\"\\ud800\"", "half a surrogate");
    assert_refused("\"\\ud800\\u0041\"", "half a surrogate");
    assert_refused("\"\\udc00\"", "half a surrogate");
    assert_refused("\"\xff\xfe\"", "not valid UTF-8 (byte 0xff)");
    assert_refused("\"\xc0\x80\"", "not valid UTF-8");
    assert_refused("\"\xed\xa0\x80\"", "not valid UTF-8");
    assert_refused("\xef\xbb\xbf{}", "expected a value, found");
    assert_refused("{\"a\":1,\"b\":2,\n\"a\":3}", "line 2: a second member named \"a\"");
    const char *const numbers[] = {"01",   "-",   "1.",  ".5",    "1e",  "1e+",     "+1",
                                   "0x10", "1_0", "--1", "1e999", "-01", "Infinity"};
    for (size_t i = 0; i < sizeof(numbers) / sizeof(*numbers); i++)
        assert_refused(numbers[i], "line 1");
}

static void depth_is_bounded(void **state) {
    (void)state;
    char text[4 * MS_JSON_MAX_DEPTH];
    ms_error err;
    ms_json_doc *doc;
    memset(text, '[', MS_JSON_MAX_DEPTH);
    memset(text + MS_JSON_MAX_DEPTH, ']', MS_JSON_MAX_DEPTH);
    text[2 * MS_JSON_MAX_DEPTH] = 0;
    assert_ms_ok(parse(text, &doc, &err), &err);
    ms_json_doc_destroy(&doc);
    memset(text, '[', sizeof(text) - 1);
    text[sizeof(text) - 1] = 0;
    assert_refused(text, "nested more than 64 deep");
}

static void large_objects_find_their_members(void **state) {
    (void)state;
    ms_buf buf;
    ms_buf_init(&buf, NULL);
    for (int i = 0; i < 5000; i++)
        ms_buf_printf(&buf, "%s\"name.%d\":%d", i ? "," : "{", i * 7, i);
    size_t open_length = buf.length;
    ms_buf_append(&buf, "}", 1);
    ms_error err;
    ms_json_doc *doc;
    assert_ms_ok(ms_json_parse(NULL, buf.data, buf.length, &doc, &err), &err);
    for (int i = 0; i < 5000; i++) {
        char name[32];
        snprintf(name, sizeof(name), "name.%d", i * 7);
        assert_int_equal(ms_json_get(ms_json_root(doc), name)->integer, i);
        snprintf(name, sizeof(name), "name.%d", i * 7 + 1);
        assert_null(ms_json_get(ms_json_root(doc), name));
    }
    ms_json_doc_destroy(&doc);
    buf.length = open_length;
    ms_buf_append(&buf, ",\"name.70\":0}", 13);
    assert_int_equal(ms_json_parse(NULL, buf.data, buf.length, &doc, &err), MS_INVALID_ARGUMENT);
    assert_non_null(strstr(err.message, "a second member named \"name.70\""));
    ms_buf_free(&buf);
}

static void values_are_counted(void **state) {
    (void)state;
    size_t n = MS_JSON_MAX_VALUES; /* elements; the array itself is one more */
    char *text = malloc(2 * n + 1);
    assert_non_null(text);
    for (size_t i = 0; i < n; i++)
        memcpy(text + 2 * i, i ? ",1" : "[1", 2);
    text[2 * n] = ']';
    ms_error err;
    ms_json_doc *doc = NULL;
    assert_int_equal(ms_json_parse(NULL, text, 2 * n + 1, &doc, &err), MS_INVALID_ARGUMENT);
    assert_non_null(strstr(err.message, "more than 2097152 values"));
    text[2 * n - 2] = ']';
    assert_ms_ok(ms_json_parse(NULL, text, 2 * n - 1, &doc, &err), &err);
    ms_json_doc_destroy(&doc);
    free(text);
}

static void built_trees_look_like_read_ones(void **state) {
    (void)state;
    ms_json_doc *doc;
    assert_int_equal(ms_json_doc_create(NULL, &doc), MS_OK);
    assert_null(ms_json_root(doc));
    char key[8] = "list", text[8] = "one";
    ms_json *root = ms_json_append(doc, NULL, NULL, MS_JSON_OBJECT, NULL);
    ms_json *list = ms_json_append(doc, root, key, MS_JSON_ARRAY, NULL);
    ms_json_append(doc, list, NULL, MS_JSON_STRING, text);
    ms_json *number = ms_json_append(doc, list, NULL, MS_JSON_NUMBER, NULL);
    assert_true(ms_json_set_number(number, "2.5", 3));
    assert_false(ms_json_set_number(number, "2.5 ", 4));
    memset(key, 'x', 4);
    memset(text, 'x', 3);
    const ms_json *found = ms_json_get(ms_json_root(doc), "list");
    assert_int_equal(found->count, 2);
    assert_string_equal(ms_json_at(found, 0)->string, "one");
    assert_true(ms_json_at(found, 1)->number == 2.5);
    ms_json_doc_destroy(&doc);
}

static void writes_what_it_reads(void **state) {
    (void)state;
    ms_buf buf;
    ms_buf_init(&buf, NULL);
    ms_buf_json_string(&buf, "a\"\\\b\f\n\r\t\x01/\xc3\xa9");
    assert_string_equal(buf.data, "\"a\\\"\\\\\\b\\f\\n\\r\\t\\u0001/\xc3\xa9\"");
    ms_error err;
    ms_json_doc *doc;
    assert_ms_ok(ms_json_parse(NULL, buf.data, buf.length, &doc, &err), &err);
    assert_string_equal(ms_json_root(doc)->string, "a\"\\\b\f\n\r\t\x01/\xc3\xa9");
    ms_json_doc_destroy(&doc);
    ms_buf_free(&buf);

    ms_buf_json_string(&buf, "\xff\xc3");
    assert_string_equal(buf.data, "\"\xef\xbf\xbd\xef\xbf\xbd\"");
    ms_buf_free(&buf);

    const double values[] = {0, -0.0, 0.1, 1.0 / 3, 1e300, 5e-324, -123456789.25, NAN, INFINITY};
    const char *const texts[] = {"0",    "-0",  "0.1", "0.33333333333333331", "1e+300", NULL, "-123456789.25",
                                 "null", "null"};
    for (size_t i = 0; i < sizeof(values) / sizeof(*values); i++) {
        ms_buf_json_number(&buf, values[i]);
        if (texts[i])
            assert_string_equal(buf.data, texts[i]);
        ms_json node = {0};
        assert_true(!isfinite(values[i]) ||
                    (ms_json_set_number(&node, buf.data, buf.length) && node.number == values[i]));
        ms_buf_free(&buf);
    }
}

static void locale_changes_nothing(void **state) {
    (void)state;
    const char *const commas[] = {"de_DE.UTF-8", "fr_FR.UTF-8", "de_DE", "fr_FR"};
    const char *set = NULL;
    for (size_t i = 0; i < sizeof(commas) / sizeof(*commas) && !set; i++)
        set = setlocale(LC_ALL, commas[i]);
    if (!set) {
        print_message("no locale with a decimal comma is installed\n");
        skip();
    }
    ms_json node = {0};
    ms_buf buf;
    ms_buf_init(&buf, NULL);
    bool ok = ms_json_set_number(&node, "2.5", 3);
    ms_buf_printf(&buf, "%.1f", 2.5);
    setlocale(LC_ALL, "C");
    assert_true(ok && node.number == 2.5);
    assert_string_equal(buf.data, "2.5");
    ms_buf_free(&buf);
}

static void buffers_remember_a_failure(void **state) {
    (void)state;
    ms_mem *mem;
    assert_int_equal(ms_mem_create(0, &mem), MS_OK);
    ms_buf buf;
    ms_buf_init(&buf, mem);
    ms_buf_printf(&buf, "%d", 1);
    ms_mem_fail_after(1, false);
    for (int i = 0; i < 1000; i++)
        ms_buf_append(&buf, "0123456789", 10);
    ms_mem_fail_after(0, false);
    assert_true(buf.failed);
    assert_string_equal(buf.data + buf.length, "");
    size_t length = buf.length;
    ms_buf_printf(&buf, "more");
    ms_buf_json_string(&buf, "more");
    ms_buf_json_number(&buf, 1);
    assert_int_equal(buf.length, length);
    ms_buf_free(&buf);
    assert_int_equal(ms_mem_destroy(&mem), 0);
}

static void every_allocation_may_fail(void **state) {
    (void)state;
    ms_buf buf;
    ms_buf_init(&buf, NULL);
    for (int i = 0; i < 3000; i++)
        ms_buf_printf(&buf, "%s\"%d\":[\"%d\",{}]", i ? "," : "{", i, i);
    ms_buf_append(&buf, "}", 1);
    ms_status status = MS_HOST_MEMORY;
    int n = 0;
    while (status != MS_OK) {
        ms_mem *mem;
        assert_int_equal(ms_mem_create(0, &mem), MS_OK);
        ms_json_doc *doc = NULL;
        ms_error err;
        ms_mem_fail_after((uint64_t)++n, true);
        status = ms_json_parse(mem, buf.data, buf.length, &doc, &err);
        ms_mem_fail_after(0, false);
        assert_true(status == MS_OK ||
                    (status == MS_HOST_MEMORY && !doc && strstr(err.message, "cannot allocate")));
        ms_json_doc_destroy(&doc);
        assert_int_equal(ms_mem_destroy(&mem), 0);
    }
    assert_true(n > 5);
    ms_buf_free(&buf);
}

static void messages_are_safe_to_print(void **state) {
    (void)state;
    char quoted[MS_QUOTE_BYTES], text[1000];
    assert_string_equal(ms_quote(quoted, "a\x1b[2J\n\xc3\xa9\xc2\x9b\xff", 11),
                        "a\\x1b[2J\\x0a\xc3\xa9\\xc2\\x9b\\xff");
    memset(text, '\n', sizeof(text));
    ms_quote(quoted, text, sizeof(text));
    assert_true(strlen(quoted) < MS_QUOTE_BYTES && strstr(quoted, "..."));
    assert_refused("{\"\\u001b[2J\":1,\"\\u001b[2J\":2}", "\"\\x1b[2J\"");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(siphash_known_answers),
        cmocka_unit_test(reads_every_kind_of_value),
        cmocka_unit_test(members_of_another_type_are_not_there),
        cmocka_unit_test(refuses_what_is_not_json),
        cmocka_unit_test(depth_is_bounded),
        cmocka_unit_test(large_objects_find_their_members),
        cmocka_unit_test(values_are_counted),
        cmocka_unit_test(built_trees_look_like_read_ones),
        cmocka_unit_test(writes_what_it_reads),
        cmocka_unit_test(locale_changes_nothing),
        cmocka_unit_test(buffers_remember_a_failure),
        cmocka_unit_test(every_allocation_may_fail),
        cmocka_unit_test(messages_are_safe_to_print),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
