#include "base/state.h"

#include <math.h>
#include <string.h>

void ms_state_begin_saving(ms_state *s) {
    s->saving = true;
    s->failed = false;
    s->length = s->at = 0;
}

void ms_state_begin_restoring(ms_state *s) {
    s->saving = false;
    s->failed = s->length > sizeof(s->bytes);
    s->at = 0;
}

bool ms_state_whole(const ms_state *s) {
    return !s->failed && s->at == s->length;
}

void ms_state_visit(ms_state *s, void *field, size_t bytes) {
    size_t room = s->saving ? sizeof(s->bytes) : s->length;
    if (s->failed || bytes > room - s->at) {
        s->failed = true;
        if (!s->saving)
            memset(field, 0, bytes);
        return;
    }
    if (s->saving)
        memcpy(s->bytes + s->at, field, bytes);
    else
        memcpy(field, s->bytes + s->at, bytes);
    s->at += bytes;
    if (s->saving)
        s->length = s->at;
}

void ms_state_bool(ms_state *s, bool *field) {
    uint8_t byte = s->saving && *field;
    ms_state_visit(s, &byte, 1);
    if (byte > 1)
        s->failed = true;
    if (!s->saving)
        *field = byte == 1;
}

void ms_state_floats(ms_state *s, float *field, size_t count) {
    ms_state_visit(s, field, count * sizeof(*field));
    for (size_t i = 0; i < count && !s->saving; i++) {
        if (isfinite(field[i]))
            continue;
        s->failed = true;
        field[i] = 0;
    }
}

void ms_state_int64(ms_state *s, int64_t *field, int64_t lowest, int64_t highest) {
    ms_state_visit(s, field, sizeof(*field));
    if (s->saving || (*field >= lowest && *field <= highest))
        return;
    s->failed = true;
    *field = lowest;
}

void ms_state_int(ms_state *s, int *field, int lowest, int highest) {
    int64_t value = *field;
    ms_state_int64(s, &value, lowest, highest);
    if (!s->saving)
        *field = (int)value;
}
