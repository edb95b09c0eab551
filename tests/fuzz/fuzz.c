#include "fuzz/fuzz.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/hash.h"
#include "formats/tensor_file_internal.h"

#define BUDGET_BYTES ((size_t)1 << 30)
#define MAX_FAILING_ALLOCATION 40
#define MAX_TENSORS 16
#define MAX_ELEMENTS 300

void fuzz_require(int condition, const char *what) {
    if (condition)
        return;
    fprintf(stderr, "broken promise: %s\n", what);
    abort();
}

static void run_once(fuzz_parse_fn parse, const uint8_t *data, size_t size, uint64_t failing_allocation) {
    ms_mem *mem = NULL;
    fuzz_require(ms_mem_create(BUDGET_BYTES, &mem) == MS_OK, "ms_mem_create");
    ms_mem_fail_after(failing_allocation, false);
    parse(mem, data, size);
    ms_mem_fail_after(0, false);
    fuzz_require(ms_mem_destroy(&mem) == 0, "all memory was given back");
}

int fuzz_run(fuzz_parse_fn parse, const uint8_t *data, size_t size) {
    static const uint64_t key[2] = {1, 2};
    run_once(parse, data, size, 0);
    run_once(parse, data, size, 1 + ms_siphash(key, data, size) % MAX_FAILING_ALLOCATION);
    return 0;
}

static void read_some(const ms_tensor_file *file, const ms_tensor_info *t) {
    float values[MAX_ELEMENTS];
    ms_error err;
    int64_t n = t->elements < MAX_ELEMENTS ? t->elements : MAX_ELEMENTS;
    ms_status status = ms_tensor_file_read_f32(file, t, 0, n, values, &err);
    fuzz_require(status == MS_OK || status == MS_HOST_MEMORY, "a tensor's beginning is readable");
    status = ms_tensor_file_read_f32(file, t, t->elements - n, n, values, &err);
    fuzz_require(status == MS_OK || status == MS_HOST_MEMORY, "a tensor's end is readable");
    status = ms_tensor_file_read_f32(file, t, t->elements, 1, values, &err);
    fuzz_require(status == MS_INVALID_ARGUMENT, "there is nothing behind the end");
}

static void check_tensor(const ms_tensor_file *file, const ms_tensor_info *t) {
    int64_t elements = 1;
    for (int d = 0; d < t->rank; d++) {
        fuzz_require(t->shape[d] >= 0, "dimensions are not negative");
        if (t->shape[d] == 0)
            elements = 0;
    }
    for (int d = 0; d < t->rank && elements; d++)
        elements *= t->shape[d];
    fuzz_require(t->elements == elements, "elements is the product of the shape");
    fuzz_require(ms_tensor_file_find(file, t->name) == t, "a tensor is found by its name");
}

void fuzz_tensor_file(ms_mem *mem, const uint8_t *data, size_t size) {
    ms_tensor_file *file = NULL;
    ms_error err;
    ms_status status = ms_tensor_file_open_memory(mem, "fuzz", data, size, &file, &err);
    fuzz_require(status == MS_OK || status == MS_BAD_MODEL || status == MS_HOST_MEMORY,
                 "the status is one of three");
    if (status != MS_OK) {
        fuzz_require(!file && strlen(err.message) > 6, "a refusal has a message and no file");
        return;
    }
    size_t count = ms_tensor_file_count(file);
    for (size_t i = 0; i < count; i++) {
        check_tensor(file, ms_tensor_file_get(file, i));
        if (i < MAX_TENSORS)
            read_some(file, ms_tensor_file_get(file, i));
    }
    ms_tensor_file_close(&file);
}
