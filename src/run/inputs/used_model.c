#include "run/inputs/used_model.h"

#include <stdio.h>
#include <string.h>

#include "base/error.h"

/* The parts by the names that the job's key has for them. */
static const struct {
    const char *part, *field;
} parts[] = {{"UNet", "the UNet"},
             {"VAE", "the VAE"},
             {"Whisper", "Whisper"},
             {"face detector", "the face detector"},
             {"landmark net", "the landmark net"}};

#define N_PARTS (int)(sizeof(parts) / sizeof(parts[0]))
_Static_assert(N_PARTS == MS_USED_FILES, "a model's parts have outgrown their struct");

static void take_part(ms_used_model *m, int part, const ms_job_key *key) {
    for (int i = 0; i < key->n; i++) {
        if (!key->field[i].path || strcmp(key->field[i].name, parts[part].field) != 0)
            continue;
        ms_used_file *f = &m->file[m->n++];
        f->part = parts[part].part;
        f->path = key->field[i].path;
        snprintf(f->identity, sizeof(f->identity), "%s", key->field[i].identity);
        return;
    }
}

void ms_used_model_take(ms_used_model *m, const ms_job_key *key) {
    m->n = 0;
    for (int part = 0; part < N_PARTS; part++)
        take_part(m, part, key);
}

ms_status ms_used_model_check(const ms_used_model *m, ms_error *err) {
    for (int i = 0; i < m->n; i++) {
        const ms_used_file *f = &m->file[i];
        if (!ms_job_key_file_is_same(f->identity, f->path))
            return ms_fail(err, MS_IO, "%s (%s) changed while the run was opened: it was %s", f->path,
                           f->part, f->identity);
    }
    return MS_OK;
}
