#include "test.h"

#include "http/range.h"
#include "jobs/sha256.h"

static void ranges(void **state) {
    (void)state;
    static const struct {
        const char *header;
        range_kind kind;
        uint64_t first, count;
    } cases[] = {
        {NULL, RANGE_WHOLE, 0, 100},          {"bytes=0-9", RANGE_PART, 0, 10},
        {"Bytes=0-9", RANGE_PART, 0, 10},     {"bytes=90-", RANGE_PART, 90, 10},
        {"bytes=-7", RANGE_PART, 93, 7},      {"bytes=-700", RANGE_PART, 0, 100},
        {"bytes=99-1000", RANGE_PART, 99, 1}, {"bytes=100-", RANGE_OUTSIDE, 0, 100},
        {"bytes=-0", RANGE_OUTSIDE, 0, 100},  {"bytes=9-0", RANGE_WHOLE, 0, 100},
        {"bytes=-", RANGE_WHOLE, 0, 100},     {"bytes=0-1,3-4", RANGE_WHOLE, 0, 100},
        {"bytes=a-b", RANGE_WHOLE, 0, 100},   {"bytes=0", RANGE_WHOLE, 0, 100},
        {"lines=0-1", RANGE_WHOLE, 0, 100},   {"bytes=99999999999999999999999-", RANGE_WHOLE, 0, 100},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        uint64_t first = 1, count = 1;
        assert_int_equal(range_parse(cases[i].header, 100, &first, &count), cases[i].kind);
        assert_int_equal(first, cases[i].first);
        assert_int_equal(count, cases[i].count);
    }
    uint64_t first, count;
    assert_int_equal(range_parse("bytes=0-", 0, &first, &count), RANGE_OUTSIDE);
    assert_int_equal(range_parse("bytes=-1", 0, &first, &count), RANGE_OUTSIDE);
}

/* FIPS 180-4's and RFC 4231's own examples, and lengths around a block's end. */
static void hashes(void **state) {
    (void)state;
    uint8_t hash[SHA256_BYTES];
    char hex[SHA256_HEX_BYTES], base64[SHA256_BASE64_BYTES];
    sha256("abc", 3, hash);
    sha256_hex(hash, hex);
    assert_string_equal(hex, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    sha256("", 0, hash);
    sha256_base64(hash, base64);
    assert_string_equal(base64, "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=");
    char long_text[] = "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq";
    sha256(long_text, 56, hash);
    sha256_hex(hash, hex);
    assert_string_equal(hex, "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
    sha256_hmac("Jefe", 4, "what do ya want ", "for nothing?", hash);
    sha256_hex(hash, hex);
    assert_string_equal(hex, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
    char key[131];
    memset(key, 0xaa, sizeof(key));
    sha256_hmac(key, sizeof(key), "Test Using Larger Than Block-Size Key - Hash Key First", "", hash);
    sha256_hex(hash, hex);
    assert_string_equal(hex, "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
    assert_true(sha256_same_text("token", "token"));
    assert_false(sha256_same_text("token", "tokeN"));
    assert_false(sha256_same_text("token", "token2"));
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(ranges), cmocka_unit_test(hashes)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
