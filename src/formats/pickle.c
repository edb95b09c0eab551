#include "formats/pickle.h"

#include <string.h>

#include "base/error.h"
#include "formats/pickle_globals.h"
#include "text/text.h"

/* torch's pickler puts at most 1000 entries of a dict on the stack at a time, and every entry of a tuple. */
#define MAX_STACK ((size_t)1 << 16)
/* One entry per string, tuple and tensor: a checkpoint of 1246 tensors needs about 9000. */
#define MAX_MEMO ((size_t)1 << 22)

typedef struct stack {
    ms_pickle_value *at;
    size_t count, capacity;
} stack;

typedef struct machine {
    const unsigned char *start, *at, *end, *opcode; /* opcode: where the one being run began */
    stack stack, memo;                              /* memo: count is the highest index + 1 */
    ms_region *region;
    bool stopped;
    ms_error *err;
} machine;

static ms_status bad(machine *m, const char *what) {
    return ms_fail(m->err, MS_BAD_MODEL, "byte %zu: %s", (size_t)(m->opcode - m->start), what);
}

static ms_status no_memory(machine *m) {
    if (m->region->over_limit)
        return ms_fail(m->err, MS_BAD_MODEL, "byte %zu: takes more than %zu bytes of memory",
                       (size_t)(m->opcode - m->start), m->region->limit_bytes);
    return ms_fail_alloc(m->err, m->region->mem, m->region->used_bytes, "a pickle's values");
}

/* Room for entry index of a stack or memo; what is new is unset. */
static ms_status reserve(machine *m, stack *s, size_t index) {
    if (index < s->capacity)
        return MS_OK;
    size_t capacity = s->capacity ? s->capacity : 256, bytes;
    while (capacity <= index)
        capacity *= 2;
    bytes = capacity * sizeof(*s->at);
    ms_pickle_value *at =
        s->at ? ms_realloc(s->at, bytes) : ms_mem_alloc(m->region->mem, MS_LEDGER_GENERAL, bytes);
    if (!at)
        return ms_fail_alloc(m->err, m->region->mem, bytes, "a pickle's stack");
    memset(at + s->capacity, 0, bytes - s->capacity * sizeof(*at));
    s->at = at;
    s->capacity = capacity;
    return MS_OK;
}

static ms_status push(machine *m, ms_pickle_value value) {
    if (m->stack.count == MAX_STACK)
        return bad(m, "its stack is too deep");
    MS_TRY(reserve(m, &m->stack, m->stack.count));
    m->stack.at[m->stack.count++] = value;
    return MS_OK;
}

/* A value, not a mark. */
static ms_status pop(machine *m, ms_pickle_value *ret_value) {
    if (m->stack.count == 0 || m->stack.at[m->stack.count - 1].type == MS_PICKLE_MARK)
        return bad(m, "takes a value from an empty stack");
    *ret_value = m->stack.at[--m->stack.count];
    return MS_OK;
}

/* The topmost value, which the opcode adds to. */
static ms_status top_of_type(machine *m, ms_pickle_type type, ms_pickle_value **ret_top) {
    if (m->stack.count == 0 || m->stack.at[m->stack.count - 1].type != type)
        return ms_fail(m->err, MS_BAD_MODEL, "byte %zu: adds to what is not %s",
                       (size_t)(m->opcode - m->start), ms_pickle_type_name(type));
    *ret_top = &m->stack.at[m->stack.count - 1];
    return MS_OK;
}

/* Index of the first value above the topmost mark. */
static ms_status find_mark(machine *m, size_t *ret_first) {
    for (size_t i = m->stack.count; i-- > 0;) {
        if (m->stack.at[i].type == MS_PICKLE_MARK) {
            *ret_first = i + 1;
            return MS_OK;
        }
    }
    return bad(m, "takes values down to a mark that is not there");
}

static ms_status take(machine *m, size_t bytes, const unsigned char **ret_data) {
    if (bytes > (size_t)(m->end - m->at))
        return ms_fail(m->err, MS_BAD_MODEL, "byte %zu: wants %zu bytes, but only %zu follow",
                       (size_t)(m->opcode - m->start), bytes, (size_t)(m->end - m->at));
    *ret_data = m->at;
    m->at += bytes;
    return MS_OK;
}

/* An unsigned little-endian number of up to 8 bytes. */
static ms_status take_number(machine *m, size_t bytes, uint64_t *ret_value) {
    const unsigned char *p = NULL;
    uint64_t value = 0;
    MS_TRY(take(m, bytes, &p));
    for (size_t i = 0; i < bytes; i++)
        value |= (uint64_t)p[i] << (8 * i);
    *ret_value = value;
    return MS_OK;
}

static ms_status push_integer(machine *m, int64_t integer) {
    return push(m, (ms_pickle_value){.type = MS_PICKLE_INTEGER, .integer = integer});
}

static ms_status op_proto(machine *m) {
    uint64_t version = 0;
    MS_TRY(take_number(m, 1, &version));
    return version >= 2 && version <= 5 ? MS_OK : bad(m, "is of a protocol other than 2 to 5");
}

static ms_status op_frame(machine *m) {
    uint64_t bytes = 0;
    MS_TRY(take_number(m, 8, &bytes));
    return bytes <= (uint64_t)(m->end - m->at) ? MS_OK : bad(m, "has a frame that is longer than the pickle");
}

static ms_status op_stop(machine *m) {
    m->stopped = true;
    return m->stack.count == 1 && m->stack.at[0].type != MS_PICKLE_MARK
               ? MS_OK
               : bad(m, "ends with other than one value");
}

static ms_status op_mark(machine *m) {
    return push(m, (ms_pickle_value){.type = MS_PICKLE_MARK});
}

static ms_status op_pop(machine *m) {
    if (m->stack.count == 0)
        return bad(m, "takes a value from an empty stack");
    m->stack.count--;
    return MS_OK;
}

static ms_status op_pop_mark(machine *m) {
    size_t first = 0;
    MS_TRY(find_mark(m, &first));
    m->stack.count = first - 1;
    return MS_OK;
}

static ms_status op_none(machine *m) {
    return push(m, (ms_pickle_value){.type = MS_PICKLE_NONE});
}

static ms_status op_true(machine *m) {
    return push(m, (ms_pickle_value){.type = MS_PICKLE_BOOL, .boolean = true});
}

static ms_status op_false(machine *m) {
    return push(m, (ms_pickle_value){.type = MS_PICKLE_BOOL, .boolean = false});
}

static ms_status op_binint(machine *m) {
    uint64_t value = 0;
    MS_TRY(take_number(m, 4, &value));
    return push_integer(m, (int32_t)(uint32_t)value);
}

static ms_status op_binint1(machine *m) {
    uint64_t value = 0;
    MS_TRY(take_number(m, 1, &value));
    return push_integer(m, (int64_t)value);
}

static ms_status op_binint2(machine *m) {
    uint64_t value = 0;
    MS_TRY(take_number(m, 2, &value));
    return push_integer(m, (int64_t)value);
}

/* Two's complement, little-endian, of any length. */
static ms_status push_long(machine *m, uint64_t bytes) {
    const unsigned char *p = NULL;
    MS_TRY(take(m, bytes > SIZE_MAX ? SIZE_MAX : (size_t)bytes, &p));
    if (bytes > 8)
        return push(m, (ms_pickle_value){.type = MS_PICKLE_OPAQUE});
    uint64_t value = bytes && p[bytes - 1] & 0x80 ? UINT64_MAX : 0;
    for (size_t i = (size_t)bytes; i-- > 0;)
        value = value << 8 | p[i];
    return push_integer(m, (int64_t)value);
}

static ms_status op_long1(machine *m) {
    uint64_t bytes = 0;
    MS_TRY(take_number(m, 1, &bytes));
    return push_long(m, bytes);
}

static ms_status op_long4(machine *m) {
    uint64_t bytes = 0;
    MS_TRY(take_number(m, 4, &bytes));
    return push_long(m, bytes);
}

/* Eight bytes, big-endian. */
static ms_status op_binfloat(machine *m) {
    const unsigned char *p = NULL;
    uint64_t bits = 0;
    ms_pickle_value value = {.type = MS_PICKLE_FLOAT};
    MS_TRY(take(m, 8, &p));
    for (int i = 0; i < 8; i++)
        bits = bits << 8 | p[i];
    memcpy(&value.number, &bits, sizeof(bits));
    return push(m, value);
}

/* A text or bytes whose length is a number of length_bytes. */
static ms_status push_text(machine *m, size_t length_bytes, bool opaque) {
    const unsigned char *p = NULL;
    uint64_t length = 0;
    MS_TRY(take_number(m, length_bytes, &length));
    MS_TRY(take(m, length > SIZE_MAX ? SIZE_MAX : (size_t)length, &p));
    if (opaque)
        return push(m, (ms_pickle_value){.type = MS_PICKLE_OPAQUE});
    ms_pickle_text *text = ms_region_alloc(m->region, sizeof(*text));
    if (!text)
        return no_memory(m);
    *text = (ms_pickle_text){.data = (const char *)p, .length = (size_t)length};
    return push(m, (ms_pickle_value){.type = MS_PICKLE_TEXT, .text = text});
}

static ms_status op_text1(machine *m) {
    return push_text(m, 1, false);
}

static ms_status op_text4(machine *m) {
    return push_text(m, 4, false);
}

static ms_status op_text8(machine *m) {
    return push_text(m, 8, false);
}

static ms_status op_bytes1(machine *m) {
    return push_text(m, 1, true);
}

static ms_status op_bytes4(machine *m) {
    return push_text(m, 4, true);
}

static ms_status op_bytes8(machine *m) {
    return push_text(m, 8, true);
}

static ms_status push_items(machine *m, ms_pickle_type type) {
    ms_pickle_items *items = ms_pickle_new_items(m->region);
    return items ? push(m, (ms_pickle_value){.type = type, .items = items}) : no_memory(m);
}

static ms_status op_empty_tuple(machine *m) {
    return push_items(m, MS_PICKLE_TUPLE);
}

static ms_status op_empty_list(machine *m) {
    return push_items(m, MS_PICKLE_LIST);
}

static ms_status op_empty_dict(machine *m) {
    return push_items(m, MS_PICKLE_DICT);
}

/* The values from first on move from the stack into items. */
static ms_status move_items(machine *m, size_t first, ms_pickle_items *items) {
    for (size_t i = first; i < m->stack.count; i++)
        if (!ms_pickle_append(m->region, items, m->stack.at[i]))
            return no_memory(m);
    m->stack.count = first;
    return MS_OK;
}

static ms_status make_tuple(machine *m, size_t first) {
    ms_pickle_items *items = ms_pickle_new_items(m->region);
    if (!items)
        return no_memory(m);
    MS_TRY(move_items(m, first, items));
    return push(m, (ms_pickle_value){.type = MS_PICKLE_TUPLE, .items = items});
}

static ms_status op_tuple(machine *m) {
    size_t first = 0;
    MS_TRY(find_mark(m, &first));
    for (size_t i = first - 1; i + 1 < m->stack.count; i++) /* the mark goes */
        m->stack.at[i] = m->stack.at[i + 1];
    m->stack.count--;
    return make_tuple(m, first - 1);
}

static ms_status tuple_of(machine *m, size_t count) {
    for (size_t i = 0; i < count; i++)
        if (m->stack.count <= i || m->stack.at[m->stack.count - 1 - i].type == MS_PICKLE_MARK)
            return bad(m, "takes a value from an empty stack");
    return make_tuple(m, m->stack.count - count);
}

static ms_status op_tuple1(machine *m) {
    return tuple_of(m, 1);
}

static ms_status op_tuple2(machine *m) {
    return tuple_of(m, 2);
}

static ms_status op_tuple3(machine *m) {
    return tuple_of(m, 3);
}

static ms_status op_append(machine *m) {
    ms_pickle_value value = {0}, *list = NULL;
    MS_TRY(pop(m, &value));
    MS_TRY(top_of_type(m, MS_PICKLE_LIST, &list));
    return ms_pickle_append(m->region, list->items, value) ? MS_OK : no_memory(m);
}

static ms_status op_setitem(machine *m) {
    ms_pickle_value key = {0}, value = {0}, *dict = NULL;
    MS_TRY(pop(m, &value));
    MS_TRY(pop(m, &key));
    MS_TRY(top_of_type(m, MS_PICKLE_DICT, &dict));
    return ms_pickle_append(m->region, dict->items, key) && ms_pickle_append(m->region, dict->items, value)
               ? MS_OK
               : no_memory(m);
}

static ms_status add_to_mark(machine *m, ms_pickle_type type) {
    size_t first = 0;
    MS_TRY(find_mark(m, &first));
    if (first < 2 || m->stack.at[first - 2].type != type)
        return ms_fail(m->err, MS_BAD_MODEL, "byte %zu: adds to what is not %s",
                       (size_t)(m->opcode - m->start), ms_pickle_type_name(type));
    if (type == MS_PICKLE_DICT && (m->stack.count - first) % 2 != 0)
        return bad(m, "adds a key without a value");
    MS_TRY(move_items(m, first, m->stack.at[first - 2].items));
    m->stack.count--; /* the mark */
    return MS_OK;
}

static ms_status op_appends(machine *m) {
    return add_to_mark(m, MS_PICKLE_LIST);
}

static ms_status op_setitems(machine *m) {
    return add_to_mark(m, MS_PICKLE_DICT);
}

static ms_status get_memo(machine *m, size_t index_bytes) {
    uint64_t index = 0;
    MS_TRY(take_number(m, index_bytes, &index));
    if (index >= m->memo.count || m->memo.at[index].type == MS_PICKLE_UNSET)
        return bad(m, "recalls what was never remembered");
    return push(m, m->memo.at[index]);
}

static ms_status op_get1(machine *m) {
    return get_memo(m, 1);
}

static ms_status op_get4(machine *m) {
    return get_memo(m, 4);
}

static ms_status put_memo(machine *m, uint64_t index) {
    if (m->stack.count == 0 || m->stack.at[m->stack.count - 1].type == MS_PICKLE_MARK)
        return bad(m, "remembers a value from an empty stack");
    if (index >= MAX_MEMO)
        return bad(m, "remembers too much");
    MS_TRY(reserve(m, &m->memo, (size_t)index));
    m->memo.at[index] = m->stack.at[m->stack.count - 1];
    if (index >= m->memo.count)
        m->memo.count = (size_t)index + 1;
    return MS_OK;
}

static ms_status op_put1(machine *m) {
    uint64_t index = 0;
    MS_TRY(take_number(m, 1, &index));
    return put_memo(m, index);
}

static ms_status op_put4(machine *m) {
    uint64_t index = 0;
    MS_TRY(take_number(m, 4, &index));
    return put_memo(m, index);
}

static ms_status op_memoize(machine *m) {
    return put_memo(m, m->memo.count);
}

static ms_status push_global(machine *m, const ms_pickle_text *module, const ms_pickle_text *name) {
    const ms_pickle_global *global = ms_pickle_find_global(module, name);
    if (global)
        return push(m, (ms_pickle_value){.type = MS_PICKLE_GLOBAL, .global = global});
    char q[MS_QUOTE_BYTES], q2[MS_QUOTE_BYTES];
    return ms_fail(
        m->err, MS_BAD_MODEL,
        "byte %zu: asks for %s.%s, which is not among what a checkpoint needs (nothing was executed)",
        (size_t)(m->opcode - m->start), ms_quote(q, module->data, module->length),
        ms_quote(q2, name->data, name->length));
}

static ms_status take_line(machine *m, ms_pickle_text *ret_line) {
    const unsigned char *end = memchr(m->at, '\n', (size_t)(m->end - m->at));
    if (!end)
        return bad(m, "names a global without an end of line");
    *ret_line = (ms_pickle_text){.data = (const char *)m->at, .length = (size_t)(end - m->at)};
    m->at = end + 1;
    return MS_OK;
}

static ms_status op_global(machine *m) {
    ms_pickle_text module = {0}, name = {0};
    MS_TRY(take_line(m, &module));
    MS_TRY(take_line(m, &name));
    return push_global(m, &module, &name);
}

static ms_status op_stack_global(machine *m) {
    ms_pickle_value module = {0}, name = {0};
    MS_TRY(pop(m, &name));
    MS_TRY(pop(m, &module));
    if (module.type != MS_PICKLE_TEXT || name.type != MS_PICKLE_TEXT)
        return bad(m, "names a global by something other than text");
    return push_global(m, module.text, name.text);
}

static ms_status op_reduce(machine *m) {
    ms_pickle_value arguments = {0}, callee = {0}, result = {0};
    const char *wrong = NULL;
    MS_TRY(pop(m, &arguments));
    MS_TRY(pop(m, &callee));
    if (callee.type != MS_PICKLE_GLOBAL || arguments.type != MS_PICKLE_TUPLE)
        return bad(m, "calls what is not a function");
    const ms_pickle_global *g = callee.global;
    if (ms_pickle_call(m->region, g, arguments.items, &result, &wrong) != MS_OK)
        return no_memory(m);
    if (wrong)
        return ms_fail(m->err, MS_BAD_MODEL, "byte %zu: %s.%s %s", (size_t)(m->opcode - m->start), g->module,
                       g->name, wrong);
    return push(m, result);
}

/* The state of an OrderedDict (its _metadata) or a tensor (attributes that somebody
   hung on it) is not needed. */
static ms_status op_build(machine *m) {
    ms_pickle_value state = {0};
    MS_TRY(pop(m, &state));
    if (m->stack.count == 0)
        return bad(m, "takes a value from an empty stack");
    ms_pickle_type type = m->stack.at[m->stack.count - 1].type;
    return type == MS_PICKLE_DICT || type == MS_PICKLE_TENSOR ? MS_OK
                                                              : bad(m, "sets the state of what has none");
}

static ms_status op_persistent_id(machine *m) {
    ms_pickle_value id = {0}, storage = {0};
    const char *wrong = NULL;
    MS_TRY(pop(m, &id));
    if (ms_pickle_storage_from_id(m->region, &id, &storage, &wrong) != MS_OK)
        return no_memory(m);
    return wrong ? bad(m, wrong) : push(m, storage);
}

typedef struct opcode {
    const char *name;
    ms_status (*run)(machine *m); /* NULL: known, but refused */
} opcode;

static const opcode opcodes[256] = {
    [0x80] = {"PROTO", op_proto},
    [0x95] = {"FRAME", op_frame},
    ['.'] = {"STOP", op_stop},
    ['('] = {"MARK", op_mark},
    ['0'] = {"POP", op_pop},
    ['1'] = {"POP_MARK", op_pop_mark},
    ['N'] = {"NONE", op_none},
    [0x88] = {"NEWTRUE", op_true},
    [0x89] = {"NEWFALSE", op_false},
    ['J'] = {"BININT", op_binint},
    ['K'] = {"BININT1", op_binint1},
    ['M'] = {"BININT2", op_binint2},
    [0x8a] = {"LONG1", op_long1},
    [0x8b] = {"LONG4", op_long4},
    ['G'] = {"BINFLOAT", op_binfloat},
    ['U'] = {"SHORT_BINSTRING", op_text1},
    ['T'] = {"BINSTRING", op_text4},
    [0x8c] = {"SHORT_BINUNICODE", op_text1},
    ['X'] = {"BINUNICODE", op_text4},
    [0x8d] = {"BINUNICODE8", op_text8},
    ['C'] = {"SHORT_BINBYTES", op_bytes1},
    ['B'] = {"BINBYTES", op_bytes4},
    [0x8e] = {"BINBYTES8", op_bytes8},
    [0x96] = {"BYTEARRAY8", op_bytes8},
    [')'] = {"EMPTY_TUPLE", op_empty_tuple},
    ['t'] = {"TUPLE", op_tuple},
    [0x85] = {"TUPLE1", op_tuple1},
    [0x86] = {"TUPLE2", op_tuple2},
    [0x87] = {"TUPLE3", op_tuple3},
    [']'] = {"EMPTY_LIST", op_empty_list},
    ['a'] = {"APPEND", op_append},
    ['e'] = {"APPENDS", op_appends},
    ['}'] = {"EMPTY_DICT", op_empty_dict},
    ['s'] = {"SETITEM", op_setitem},
    ['u'] = {"SETITEMS", op_setitems},
    ['h'] = {"BINGET", op_get1},
    ['j'] = {"LONG_BINGET", op_get4},
    ['q'] = {"BINPUT", op_put1},
    ['r'] = {"LONG_BINPUT", op_put4},
    [0x94] = {"MEMOIZE", op_memoize},
    ['c'] = {"GLOBAL", op_global},
    [0x93] = {"STACK_GLOBAL", op_stack_global},
    ['R'] = {"REDUCE", op_reduce},
    ['b'] = {"BUILD", op_build},
    ['Q'] = {"BINPERSID", op_persistent_id},
    /* Refused by name: code, classes and the text forms of protocol 0. */
    ['I'] = {"INT", NULL},
    ['L'] = {"LONG", NULL},
    ['S'] = {"STRING", NULL},
    ['V'] = {"UNICODE", NULL},
    ['F'] = {"FLOAT", NULL},
    ['l'] = {"LIST", NULL},
    ['d'] = {"DICT", NULL},
    ['2'] = {"DUP", NULL},
    ['g'] = {"GET", NULL},
    ['p'] = {"PUT", NULL},
    ['P'] = {"PERSID", NULL},
    ['i'] = {"INST", NULL},
    ['o'] = {"OBJ", NULL},
    [0x81] = {"NEWOBJ", NULL},
    [0x92] = {"NEWOBJ_EX", NULL},
    [0x82] = {"EXT1", NULL},
    [0x83] = {"EXT2", NULL},
    [0x84] = {"EXT4", NULL},
    [0x8f] = {"EMPTY_SET", NULL},
    [0x90] = {"ADDITEMS", NULL},
    [0x91] = {"FROZENSET", NULL},
    [0x97] = {"NEXT_BUFFER", NULL},
    [0x98] = {"READONLY_BUFFER", NULL},
};

static ms_status run(machine *m) {
    while (!m->stopped) {
        m->opcode = m->at;
        if (m->at == m->end)
            return bad(m, "ends without a STOP");
        if (m->at == m->start && *m->at != 0x80)
            return bad(m, "is not a pickle of protocol 2 or later");
        const opcode *op = &opcodes[*m->at++];
        if (!op->run)
            return ms_fail(
                m->err, MS_BAD_MODEL, "byte %zu: opcode 0x%02x (%s) is not among what a checkpoint needs",
                (size_t)(m->opcode - m->start), *m->opcode, op->name ? op->name : "no pickle has it");
        MS_TRY(op->run(m));
    }
    return MS_OK;
}

ms_status ms_pickle_read(ms_region *region, const void *bytes, size_t length, ms_pickle_value *ret_value,
                         ms_error *err) {
    machine m = {.start = bytes, .region = region, .err = err};
    m.at = m.start;
    m.end = m.start + length;
    ms_status status = run(&m);
    if (status == MS_OK)
        *ret_value = m.stack.at[0];
    ms_mem_free(m.stack.at);
    ms_mem_free(m.memo.at);
    return status;
}

const char *ms_pickle_type_name(ms_pickle_type type) {
    static const char *const names[] = {
        [MS_PICKLE_UNSET] = "nothing",     [MS_PICKLE_NONE] = "None",
        [MS_PICKLE_BOOL] = "a boolean",    [MS_PICKLE_INTEGER] = "an integer",
        [MS_PICKLE_FLOAT] = "a float",     [MS_PICKLE_TEXT] = "a text",
        [MS_PICKLE_TUPLE] = "a tuple",     [MS_PICKLE_LIST] = "a list",
        [MS_PICKLE_DICT] = "a dict",       [MS_PICKLE_GLOBAL] = "a class",
        [MS_PICKLE_STORAGE] = "a storage", [MS_PICKLE_TENSOR] = "a tensor",
        [MS_PICKLE_OPAQUE] = "an object",  [MS_PICKLE_MARK] = "a mark",
    };
    return names[type];
}
