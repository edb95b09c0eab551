/*
 * Plain scalars of YAML 1.1 (https://yaml.org/type/: null, bool, int, float) with OmegaConf's pattern for
 * floats, which unlike YAML 1.1's own takes an exponent without a dot or a sign (1e5).
 */
#include <string.h>

#include "formats/yaml/yaml_internal.h"

static bool is_one_of(const char *text, size_t length, const char *const *words) {
    for (; *words; words++)
        if (strlen(*words) == length && memcmp(*words, text, length) == 0)
            return true;
    return false;
}

static bool is_digit(char c) {
    return c >= '0' && c <= '9';
}

/* Digits and underscores from *at on: how many characters; digits are appended to out. */
static size_t take_digits(const char *text, size_t length, size_t *at, char *out, size_t *used) {
    size_t start = *at;
    for (; *at < length && (is_digit(text[*at]) || text[*at] == '_'); (*at)++)
        if (text[*at] != '_')
            out[(*used)++] = text[*at];
    return *at - start;
}

/* An exponent from *at on, when there is one. A float that begins with a dot must have a sign in it. */
static bool take_exponent(const char *text, size_t length, size_t *at, bool sign_needed, char *out,
                          size_t *used) {
    size_t p = *at;
    if (p == length || (text[p] != 'e' && text[p] != 'E'))
        return true;
    out[(*used)++] = 'e';
    p++;
    if (p < length && (text[p] == '+' || text[p] == '-'))
        out[(*used)++] = text[p++];
    else if (sign_needed)
        return false;
    if (p == length || !is_digit(text[p]))
        return false;
    while (p < length && is_digit(text[p]))
        out[(*used)++] = text[p++];
    *at = p;
    return true;
}

static const char *set_number(ms_json *node, const char *text, size_t length) {
    node->type = MS_JSON_NUMBER;
    return ms_json_set_number(node, text, length) ? NULL : "is out of a double's range";
}

/* [-+]digits[.digits][exponent] or .digits[exponent]: rewritten as JSON has it. False when it is none. */
static bool resolve_decimal(const char *text, size_t length, ms_json *node, const char **ret_wrong) {
    char out[MS_JSON_MAX_NUMBER_CHARS + 8];
    size_t at = 0, used = 0, first = 0;
    bool dot, whole = true;
    if (text[0] == '-')
        out[used++] = '-';
    at += text[0] == '-' || text[0] == '+';
    if (at == length || (!is_digit(text[at]) && (text[at] != '.' || at > 0)))
        return false;
    first = used;
    take_digits(text, length, &at, out, &used);
    if (used == first)
        out[used++] = '0';
    while (used - first > 1 && out[first] == '0') /* 00.5; whole numbers with leading zeros are octal */
        memmove(out + first, out + first + 1, --used - first);
    dot = at < length && text[at] == '.';
    if (dot) {
        size_t start = ++at;
        out[used++] = '.';
        size_t before = used;
        take_digits(text, length, &at, out, &used);
        if (start == 1 && used == before)
            return false;
        if (used == before)
            out[used++] = '0';
        whole = false;
    }
    size_t mantissa_end = at;
    if (!take_exponent(text, length, &at, text[0] == '.', out, &used) || at != length)
        return false;
    whole = whole && at == mantissa_end;
    const char *digits = text + (text[0] == '-' || text[0] == '+');
    if (whole && digits[0] == '0' && mantissa_end > (size_t)(digits - text) + 1)
        return false; /* octal or, with an 8 or 9, text */
    *ret_wrong = set_number(node, out, used);
    return true;
}

static int digit_value(char c) {
    if (is_digit(c))
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : 99;
}

/* [-+]0b..., 0x... and 0... in binary, hexadecimal, octal. */
static bool resolve_radix(const char *text, size_t length, ms_json *node, const char **ret_wrong) {
    bool negative = text[0] == '-', too_large = false;
    size_t at = text[0] == '-' || text[0] == '+';
    int radix = 8;
    if (length < at + 2 || text[at] != '0')
        return false;
    at++;
    if (text[at] == 'b' || text[at] == 'x')
        radix = text[at++] == 'b' ? 2 : 16;
    bool any = radix == 8; /* the zero itself */
    int64_t value = 0;
    for (; at < length; at++) {
        if (text[at] == '_')
            continue;
        int digit = digit_value(text[at]);
        if (digit >= radix)
            return false;
        any = true;
        too_large |=
            __builtin_mul_overflow(value, radix, &value) || __builtin_add_overflow(value, digit, &value);
    }
    if (!any)
        return false;
    node->type = MS_JSON_NUMBER;
    node->is_integer = true;
    node->integer = negative ? -value : value;
    node->number = (double)node->integer;
    *ret_wrong = too_large ? "does not fit 64 bits" : NULL;
    return true;
}

/* [-+]digits(:[0-5]?digit)+[.digits]: hours, minutes and seconds in YAML 1.1, plain text everywhere else. */
static bool is_base_60(const char *text, size_t length) {
    size_t at = text[0] == '-' || text[0] == '+', groups = 0;
    if (at == length || !is_digit(text[at]))
        return false;
    while (at < length && (is_digit(text[at]) || text[at] == '_'))
        at++;
    for (; at < length && text[at] == ':'; groups++) {
        size_t start = ++at;
        while (at < length && is_digit(text[at]))
            at++;
        if (at == start || at - start > 2 || (at - start == 2 && text[start] > '5'))
            return false;
    }
    if (groups && at < length && text[at] == '.')
        for (at++; at < length && (is_digit(text[at]) || text[at] == '_');)
            at++;
    return groups && at == length;
}

const char *ms_yaml_resolve(const char *text, size_t length, ms_json *node) {
    static const char *const nulls[] = {"", "~", "null", "Null", "NULL", NULL};
    static const char *const trues[] = {"true", "True", "TRUE", "yes", "Yes", "YES", "on", "On", "ON", NULL};
    static const char *const falses[] = {"false", "False", "FALSE", "no",  "No",
                                         "NO",    "off",   "Off",   "OFF", NULL};
    static const char *const not_finite[] = {".inf",  ".Inf",  ".INF", "+.inf", "+.Inf", "+.INF", "-.inf",
                                             "-.Inf", "-.INF", ".nan", ".NaN",  ".NAN",  NULL};
    const char *wrong = NULL;
    bool yes = is_one_of(text, length, trues);
    if (is_one_of(text, length, nulls)) {
        node->type = MS_JSON_NULL;
    } else if (yes || is_one_of(text, length, falses)) {
        node->type = MS_JSON_BOOL;
        node->boolean = yes;
    } else if (is_one_of(text, length, not_finite)) {
        return "is not a finite number";
    } else if (is_base_60(text, length)) {
        return "is a base-60 number in YAML 1.1; put quotes around it";
    } else if (length > MS_JSON_MAX_NUMBER_CHARS ||
               (!resolve_decimal(text, length, node, &wrong) && !resolve_radix(text, length, node, &wrong))) {
        node->type = MS_JSON_STRING;
    }
    return wrong;
}
