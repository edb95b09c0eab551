#include "latents/latent_key.h"

#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "base/hash.h"
#include "files/regular_file.h"
#include "memsafe/version.h"

#define PIECE ((size_t)256 << 10)

/* Pieces are chained: each one's hash is the key of the next. */
static void absorb(uint64_t key[2], const void *data, size_t bytes) {
    uint64_t hash[2];
    ms_siphash_128(key, data, bytes, hash);
    key[0] = hash[0];
    key[1] = hash[1];
}

static ms_status absorb_file(ms_mem *mem, const char *path, uint64_t key[2], ms_error *err) {
    FILE *file = NULL;
    MS_TRY(ms_regular_fopen(path, &file, err));
    uint8_t *piece = ms_mem_alloc(mem, MS_LEDGER_STAGING, PIECE);
    ms_status status = piece ? MS_OK : ms_fail_alloc(err, mem, PIECE, "reading the VAE");
    size_t n = 0;
    while (status == MS_OK && (n = fread(piece, 1, PIECE, file)) > 0)
        absorb(key, piece, n);
    if (status == MS_OK && ferror(file))
        status = ms_fail(err, MS_IO, "%s: cannot be read", path);
    ms_mem_free(piece);
    fclose(file);
    return status;
}

ms_status ms_latent_key_make(const ms_latent_key_params *p, uint64_t ret_key[2], ms_error *err) {
    uint64_t key[2] = {MS_LATENT_NUMERICS, 0};
    char text[256];
    int n = snprintf(text, sizeof(text), "%s %s %s %d %d", MS_VERSION_TEXT, p->compute.dev->caps.arithmetic,
                     ms_dtype_name(p->precision), p->resolution, p->lossy_rank);
    absorb(key, text, (size_t)n);
    MS_TRY(absorb_file(p->compute.mem, p->files->vae_config, key, err));
    MS_TRY(absorb_file(p->compute.mem, p->files->vae, key, err));
    ret_key[0] = key[0];
    ret_key[1] = key[1];
    return MS_OK;
}
