/* The input is data.pkl of an archive that is otherwise sound. */
#include <string.h>

#include "fuzz/fuzz.h"
#include "support/models/torch_archive.h"

const fuzz_seeds fuzz_golden_seeds = {NULL, NULL};

static void one_tensor(byte_string *pickle, const char *name, const view *v) {
    pickle_text(pickle, name);
    pickle_view(pickle, v);
    bytes_text(pickle, "s");
}

static void own_pickle(size_t index, byte_string *pickle) {
    static const view plain = {"FloatStorage", "0", 64, 0, 2, {4, 16}, {16, 1}};
    static const view strided = {"HalfStorage", "0", 128, 5, 3, {3, 2, 5}, {1, 40, 3}};
    static const view empty = {"LongStorage", "1", 0, 0, 1, {0}, {1}};
    static const char protocol_4[] = "\x80\x04\x95\x30\0\0\0\0\0\0\0}\x94(\x8c\x01"
                                     "aJ\xff\xff\xff\xffK\x03]\x94("
                                     "K\x01M\x10\x27\x8a\x02\0\x80"
                                     "e\x8c\x01"
                                     "b\x8c\x0b"
                                     "collections\x94\x8c"
                                     "\x0bOrderedDict\x94\x93)R\x94}\x8c\x01mNsbh\x01"
                                     "0u.";
    if (index == 1) {
        bytes_append(pickle, protocol_4, sizeof(protocol_4) - 1);
        return;
    }
    bytes_text(pickle, "\x80\x02}");
    pickle_text(pickle, "global_step");
    pickle_integer(pickle, 7);
    bytes_text(pickle, "s");
    one_tensor(pickle, "conv.weight", &plain);
    one_tensor(pickle, "conv.view", &strided);
    one_tensor(pickle, "empty", &empty);
    bytes_text(pickle, ".");
}

size_t fuzz_own_seed(size_t index, uint8_t *ret_data, size_t room) {
    byte_string pickle = {0};
    size_t bytes = 0;
    if (index < 2) {
        own_pickle(index, &pickle);
        bytes = pickle.length <= room ? pickle.length : 0;
        memcpy(ret_data, pickle.data, bytes);
    }
    bytes_free(&pickle);
    return bytes;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const uint8_t storage[256] = {1, 2, 3};
    archive a = {0};
    archive_add(&a, "x/data.pkl", data, size);
    archive_add(&a, "x/data/0", storage, sizeof(storage));
    archive_add(&a, "x/data/1", storage, 0);
    archive_end(&a);
    fuzz_run(fuzz_tensor_file, a.file.data, a.file.length);
    archive_free(&a);
    return 0;
}
