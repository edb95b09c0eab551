#include <stdio.h>
#include <string.h>

#include "fuzz/fuzz.h"

const fuzz_seeds fuzz_golden_seeds = {"bad", ".safetensors"};

size_t fuzz_own_seed(size_t index, uint8_t *ret_data, size_t room) {
    static const char *const headers[] = {
        "{\"a\":{\"dtype\":\"F32\",\"shape\":[2,3],\"data_offsets\":[0,24]},"
        "\"b\":{\"dtype\":\"BF16\",\"shape\":[4],\"data_offsets\":[24,32]}}",
        "{\"__metadata__\":{\"format\":\"pt\"},\"s\":{\"dtype\":\"I64\",\"shape\":[],\"data_offsets\":[8,16]}"
        ","
        "\"t\":{\"dtype\":\"F16\",\"shape\":[2,2],\"data_offsets\":[0,8]},"
        "\"z\":{\"dtype\":\"BOOL\",\"shape\":[0,7],\"data_offsets\":[16,16]},"
        "\"u\":{\"dtype\":\"U8\",\"shape\":[16],\"data_offsets\":[16,32]}}  ",
    };
    if (index >= sizeof(headers) / sizeof(*headers))
        return 0;
    size_t length = strlen(headers[index]);
    if (room < 8 + length + 32)
        return 0;
    memset(ret_data, 0, 8 + length + 32);
    ret_data[0] = (uint8_t)length;
    ret_data[1] = (uint8_t)(length >> 8);
    memcpy(ret_data + 8, headers[index], length);
    return 8 + length + 32;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    return fuzz_run(fuzz_tensor_file, data, size);
}
