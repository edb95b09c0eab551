#include "latents/latent_cache.h"

#include <math.h>
#include <string.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/hash.h"
#include "latents/latent_block.h"
#include "latents/latent_room.h"

/* A folder's files are known by their keys: so much memory for them at most, some 10,000 windows. */
#define INDEX_BYTES ((size_t)4 << 20)
/* What the allocator adds to a block, and a large one's last page. */
#define OVERHEAD (2 * (size_t)MS_MEM_ALIGN)
#define PAGE ((size_t)4096)

/* A block, in memory or a file. */
typedef struct record {
    struct record *next;
    uint64_t id;   /* of the file */
    uint8_t *data; /* NULL = in the folder */
    size_t bytes;
    ms_latent_file_head head;
    bool used;
    ms_latent_key keys[];
} record;

struct ms_latent_cache {
    ms_latent_cache_params p;
    ms_latent_codec *codec;
    ms_latent_files *files; /* NULL = in memory */
    record *first, *last;
    size_t held_bytes;
    bool full;
    ms_latent_cache_stats stats;
    float *rows;  /* [window frames][values] */
    uint8_t *out; /* a block that was just made, or read */
    size_t out_bytes;
    /* Of the window, [window frames]. */
    ms_latent_key *keys;
    int *row_of; /* the first frame with the same face */
    int *found;  /* row in a record, -1 = not found */
    record **where;
    float **wanted;
    const float **made;
    int frames;
};

/* ---- making it ---- */

static size_t record_bytes(const record *r) {
    size_t keys = (size_t)r->head.rows * sizeof(ms_latent_key);
    size_t data = r->data ? r->bytes + OVERHEAD + (r->bytes + OVERHEAD >= MS_MEM_LARGE_BYTES ? PAGE : 0) : 0;
    return sizeof(*r) + keys + OVERHEAD + data;
}

static size_t limit_bytes(const ms_latent_cache_params *p) {
    return p->dir ? INDEX_BYTES : p->capacity_bytes;
}

size_t ms_latent_cache_bytes(const ms_latent_cache_params *p) {
    size_t n = (size_t)p->window_frames;
    size_t fixed = sizeof(ms_latent_cache) + n * (size_t)p->values * sizeof(float) +
                   ms_latent_block_bound(p->window_frames, p->values) +
                   n * (sizeof(ms_latent_key) + 2 * sizeof(int) + 3 * sizeof(void *)) + 9 * (OVERHEAD + PAGE);
    if (p->dir)
        fixed += PAGE * 8 + ms_latent_room_bytes(); /* of the folder's reader */
    return fixed + ms_latent_codec_bytes(p->window_frames) + limit_bytes(p);
}

static record *add_record(ms_latent_cache *c, const ms_latent_file_head *head, const ms_latent_key *keys) {
    size_t n = (size_t)head->rows;
    record *r = ms_mem_calloc(c->p.mem, MS_LEDGER_CACHES, 1, sizeof(*r) + n * sizeof(*keys));
    if (!r)
        return NULL;
    r->head = *head;
    memcpy(r->keys, keys, n * sizeof(*keys));
    *(c->last ? &c->last->next : &c->first) = r;
    c->last = r;
    c->held_bytes += record_bytes(r);
    return r;
}

static void drop_record(ms_latent_cache *c, record *r) {
    record *before = NULL;
    for (record *at = c->first; at != r; at = at->next)
        before = at;
    *(before ? &before->next : &c->first) = r->next;
    if (c->last == r)
        c->last = before;
    c->held_bytes -= record_bytes(r);
    c->stats.dropped++;
    ms_mem_free(r->data);
    ms_mem_free(r);
}

static bool found_file(void *arg, uint64_t block, const ms_latent_file_head *head,
                       const ms_latent_key *keys) {
    ms_latent_cache *c = arg;
    record *r = add_record(c, head, keys);
    if (r)
        r->id = block;
    return r &&
           c->held_bytes + sizeof(*r) + (size_t)c->p.window_frames * sizeof(*keys) + OVERHEAD <= INDEX_BYTES;
}

static ms_status make(ms_latent_cache *c, ms_error *err) {
    const ms_latent_cache_params *p = &c->p;
    size_t n = (size_t)p->window_frames;
    MS_TRY(ms_latent_codec_create(p->mem, p->window_frames, &c->codec, err));
    c->out_bytes = ms_latent_block_bound(p->window_frames, p->values);
    c->rows = ms_alloc_array(p->mem, MS_LEDGER_CACHES, n * (size_t)p->values, sizeof(float));
    c->out = ms_mem_alloc(p->mem, MS_LEDGER_CACHES, c->out_bytes);
    c->keys = ms_alloc_array(p->mem, MS_LEDGER_CACHES, n, sizeof(*c->keys));
    c->row_of = ms_alloc_array(p->mem, MS_LEDGER_CACHES, n, sizeof(*c->row_of));
    c->found = ms_alloc_array(p->mem, MS_LEDGER_CACHES, n, sizeof(*c->found));
    c->where = ms_alloc_array(p->mem, MS_LEDGER_CACHES, n, sizeof(*c->where));
    c->wanted = ms_alloc_array(p->mem, MS_LEDGER_CACHES, n, sizeof(*c->wanted));
    c->made = ms_alloc_array(p->mem, MS_LEDGER_CACHES, n, sizeof(*c->made));
    if (!c->rows || !c->out || !c->keys || !c->row_of || !c->found || !c->where || !c->wanted || !c->made)
        return ms_fail_alloc(err, p->mem, c->out_bytes, "the latent cache");
    if (!p->dir)
        return MS_OK;
    const ms_latent_files_params files = {.mem = p->mem,
                                          .dir = p->dir,
                                          .most_bytes = p->dir_bytes,
                                          .model_key = {p->model_key[0], p->model_key[1]},
                                          .stopped = p->stopped,
                                          .arg = p->arg};
    MS_TRY(ms_latent_files_open(&files, &c->files, err));
    ms_latent_files_search(c->files, p->window_frames, found_file, c);
    return MS_OK;
}

ms_status ms_latent_cache_create(const ms_latent_cache_params *params, ms_latent_cache **ret_cache,
                                 ms_error *err) {
    ms_latent_cache *c = ms_mem_calloc(params->mem, MS_LEDGER_CACHES, 1, sizeof(*c));
    if (!c)
        return ms_fail_alloc(err, params->mem, sizeof(*c), "the latent cache");
    c->p = *params;
    ms_status status = make(c, err);
    if (status != MS_OK) {
        ms_latent_cache_destroy(&c);
        return status;
    }
    *ret_cache = c;
    return MS_OK;
}

void ms_latent_cache_destroy(ms_latent_cache **cache) {
    if (!cache || !*cache)
        return;
    ms_latent_cache *c = *cache;
    for (record *r = c->first, *next; r; r = next) {
        next = r->next;
        ms_mem_free(r->data);
        ms_mem_free(r);
    }
    ms_latent_files_close(&c->files);
    ms_latent_codec_destroy(&c->codec);
    void *const buffers[] = {c->rows, c->out, c->keys, c->row_of, c->found, c->where, c->wanted, c->made};
    for (size_t i = 0; i < sizeof(buffers) / sizeof(buffers[0]); i++)
        ms_mem_free(buffers[i]);
    ms_mem_free(c);
    *cache = NULL;
}

/* ---- finding ---- */

static ms_latent_key key_of(const uint8_t *face, size_t bytes) {
    /* the same in all runs: files are found by it */
    static const uint64_t seed[2] = {0x6d656d73, 0x61666531};
    ms_latent_key key;
    ms_siphash_128(seed, face, bytes, key.word);
    return key;
}

static bool same(const ms_latent_key *a, const ms_latent_key *b) {
    return a->word[0] == b->word[0] && a->word[1] == b->word[1];
}

static void look_up(ms_latent_cache *c, int frame) {
    c->found[frame] = -1;
    c->where[frame] = NULL;
    for (record *r = c->first; r; r = r->next)
        for (int i = 0; i < r->head.rows; i++)
            if (same(&r->keys[i], &c->keys[frame])) {
                c->found[frame] = i;
                c->where[frame] = r;
                return;
            }
}

static void count(ms_latent_cache *c, record *r, size_t bytes) {
    ms_latent_cache_stats *s = &c->stats;
    uint64_t values = (uint64_t)r->head.rows * (uint64_t)c->p.values;
    r->used = true;
    s->blocks++;
    s->raw_bytes += values * sizeof(float);
    s->stored_bytes += bytes;
    if (!c->p.lossy)
        return;
    if (s->lossy_values == 0 || r->head.low < s->low)
        s->low = r->head.low;
    if (s->lossy_values == 0 || r->head.high > s->high)
        s->high = r->head.high;
    s->lossy_values += values;
    s->squared_error += r->head.squared_error;
}

/* The rows of the window that are in the record. */
static ms_status fetch(ms_latent_cache *c, record *r) {
    const uint8_t *data = r->data;
    size_t bytes = r->bytes;
    ms_latent_block_info info;
    if (!data) {
        MS_TRY(
            ms_latent_files_read(c->files, r->id, r->keys, r->head.rows, c->out, c->out_bytes, &bytes, NULL));
        data = c->out;
    }
    MS_TRY(ms_latent_block_info_read(data, bytes, &info, NULL));
    if (info.frames != r->head.rows || info.values != c->p.values)
        return MS_BAD_MEDIA;
    for (int i = 0; i < r->head.rows; i++)
        c->wanted[i] = NULL;
    for (int f = 0; f < c->frames; f++)
        if (c->where[f] == r)
            c->wanted[c->found[f]] = c->rows + (size_t)f * (size_t)c->p.values;
    MS_TRY(ms_latent_block_decode(c->codec, data, bytes, c->wanted, NULL));
    if (!r->used)
        count(c, r, bytes);
    return MS_OK;
}

/* Every record once; one that cannot be had is forgotten and its rows are missing. */
static void fetch_all(ms_latent_cache *c) {
    for (int f = 0; f < c->frames; f++) {
        record *r = c->where[f];
        if (!r)
            continue;
        ms_status status = fetch(c, r);
        bool good = status == MS_OK;
        if (status == MS_BAD_MEDIA && !r->data) /* damaged; what could not be read now may be good */
            ms_latent_files_remove(c->files, r->id);
        for (int g = f; g < c->frames; g++)
            if (c->where[g] == r) {
                c->where[g] = NULL;
                c->found[g] = good ? c->found[g] : -1;
            }
        if (!good)
            drop_record(c, r);
    }
}

int ms_latent_cache_begin(ms_latent_cache *c, const uint8_t *faces, int frames, int *ret_missing) {
    double began = ms_now_s();
    int missing = 0;
    c->frames = frames;
    for (int f = 0; f < frames; f++) {
        c->keys[f] = key_of(faces + (size_t)f * c->p.face_bytes, c->p.face_bytes);
        c->row_of[f] = f;
        c->found[f] = -1;
        c->where[f] = NULL;
        for (int g = 0; g < f && c->row_of[f] == f; g++)
            if (same(&c->keys[g], &c->keys[f]))
                c->row_of[f] = g;
        if (c->row_of[f] == f)
            look_up(c, f);
    }
    fetch_all(c);
    for (int f = 0; f < frames; f++)
        if (c->row_of[f] == f && c->found[f] < 0)
            ret_missing[missing++] = f;
    c->stats.hits += frames - missing;
    c->stats.misses += missing;
    c->stats.seconds += ms_now_s() - began;
    return missing;
}

float *ms_latent_cache_row(ms_latent_cache *c, int frame) {
    return c->rows + (size_t)c->row_of[frame] * (size_t)c->p.values;
}

/* ---- keeping ---- */

static ms_status keep_in_memory(ms_latent_cache *c, record *r, size_t bytes) {
    r->data = ms_mem_alloc(c->p.mem, MS_LEDGER_CACHES, bytes);
    if (!r->data)
        return MS_HOST_MEMORY;
    memcpy(r->data, c->out, bytes);
    c->held_bytes -= record_bytes(&(record){.head = r->head});
    r->bytes = bytes;
    c->held_bytes += record_bytes(r);
    return MS_OK;
}

static ms_status keep_in_folder(ms_latent_cache *c, record *r, size_t bytes) {
    static const uint64_t seed[2] = {0x626c6f63, 0x6b};
    r->id = ms_siphash(seed, r->keys, (size_t)r->head.rows * sizeof(*r->keys));
    return ms_latent_files_write(c->files, r->id, &r->head, r->keys, c->out, bytes, NULL);
}

/* Whether so many bytes more would still be within the limit. */
static bool fits(const ms_latent_cache *c, int rows, size_t bytes) {
    record like = {.head = {.rows = rows}, .bytes = bytes, .data = c->files ? NULL : c->out};
    return c->held_bytes + record_bytes(&like) <= limit_bytes(&c->p);
}

static void keep(ms_latent_cache *c, int rows) {
    ms_latent_block_params params = {
        .frames = rows, .values = c->p.values, .rank_percent = c->p.rank_percent, .lossy = c->p.lossy};
    ms_latent_block_stats made;
    if (ms_latent_block_encode(c->codec, &params, c->made, c->out, &made, NULL) != MS_OK)
        return;
    ms_latent_file_head head = {
        .rows = rows, .squared_error = made.squared_error, .low = made.low, .high = made.high};
    record *r = fits(c, rows, made.bytes) ? add_record(c, &head, c->keys) : NULL;
    if (!r) {
        c->full = true;
        c->stats.dropped++;
        return;
    }
    ms_status status = c->files ? keep_in_folder(c, r, made.bytes) : keep_in_memory(c, r, made.bytes);
    c->full = status != MS_OK;
    if (c->full)
        drop_record(c, r);
    else
        count(c, r, made.bytes);
}

void ms_latent_cache_finish(ms_latent_cache *c) {
    double began = ms_now_s();
    int rows = 0;
    for (int f = 0; f < c->frames; f++) {
        if (c->row_of[f] != f || c->found[f] >= 0)
            continue;
        c->made[rows] = c->rows + (size_t)f * (size_t)c->p.values;
        c->keys[rows++] = c->keys[f]; /* rows <= f: what is overwritten was looked at */
    }
    if (rows > 0 && !c->full)
        keep(c, rows);
    c->stats.seconds += ms_now_s() - began;
}

void ms_latent_cache_get_stats(const ms_latent_cache *c, ms_latent_cache_stats *ret_stats) {
    *ret_stats = c->stats;
}

double ms_latent_cache_psnr_db(const ms_latent_cache_stats *s) {
    double range = (double)s->high - (double)s->low;
    if (s->lossy_values == 0 || !(s->squared_error > 0))
        return INFINITY;
    return 10 * log10(range * range * (double)s->lossy_values / s->squared_error);
}
