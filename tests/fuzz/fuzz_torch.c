/* Whole torch archives. The CRC of data.pkl stops most changes to the pickle: those are fuzz_pickle's. */
#include <string.h>

#include "fuzz/fuzz.h"
#include "support/models/torch_archive.h"

const fuzz_seeds fuzz_golden_seeds = {"bad", ".pt"};

size_t fuzz_own_seed(size_t index, uint8_t *ret_data, size_t room) {
    static const view v = {"FloatStorage", "0", 6, 0, 2, {3, 2}, {1, 3}};
    byte_string pickle = {0};
    archive a = {0};
    size_t bytes = 0;
    bytes_text(&pickle, "\x80\x02}");
    pickle_text(&pickle, "t");
    pickle_view(&pickle, &v);
    bytes_text(&pickle, "s.");
    archive_add(&a, "archive/data.pkl", pickle.data, pickle.length);
    archive_add(&a, "archive/byteorder", "little", 6);
    archive_add(&a, "archive/data/0", "0123456789abcdef01234567", 24);
    archive_end(&a);
    if (index == 0 && a.file.length <= room) {
        memcpy(ret_data, a.file.data, a.file.length);
        bytes = a.file.length;
    }
    archive_free(&a);
    bytes_free(&pickle);
    return bytes;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    return fuzz_run(fuzz_tensor_file, data, size);
}
