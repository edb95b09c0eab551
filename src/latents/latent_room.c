#include "latents/latent_room.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "files/in_use.h"

/* Blocks that may go at one look: where there are more, it looks again. */
#define MOST_BLOCKS 16384
/* Files between two questions whether to stop. */
#define ASK_EVERY 64

typedef struct block {
    int64_t seconds; /* when it was touched last */
    int64_t nanoseconds;
    uint64_t model, key, bytes;
} block;

struct ms_latent_room {
    ms_latent_room_params p;
    int64_t looks;
    size_t n;
    block oldest[MOST_BLOCKS]; /* a heap while they are collected, the newest of them first */
};

void ms_latent_name(uint64_t model, uint64_t key, char ret_name[MS_LATENT_NAME_BYTES]) {
    snprintf(ret_name, MS_LATENT_NAME_BYTES, "%016llx-%016llx" MS_LATENTS_ENDING, (unsigned long long)model,
             (unsigned long long)key);
}

bool ms_latent_name_read(const char *name, uint64_t *ret_model, uint64_t *ret_block) {
    unsigned long long model, key;
    int end = 0;
    if (strlen(name) != 33 + strlen(MS_LATENTS_ENDING) ||
        sscanf(name, "%16llx-%16llx" MS_LATENTS_ENDING "%n", &model, &key, &end) != 2 ||
        end != (int)strlen(name))
        return false;
    *ret_model = model;
    *ret_block = key;
    return true;
}

ms_status ms_latent_room_create(const ms_latent_room_params *params, ms_latent_room **ret_room,
                                ms_error *err) {
    ms_latent_room *r = ms_mem_calloc(params->mem, MS_LEDGER_CACHES, 1, sizeof(*r));
    if (!r)
        return ms_fail_alloc(err, params->mem, sizeof(*r), "the latents' folder");
    r->p = *params;
    *ret_room = r;
    return MS_OK;
}

void ms_latent_room_destroy(ms_latent_room **room) {
    if (!room || !*room)
        return;
    ms_mem_free(*room);
    *room = NULL;
}

size_t ms_latent_room_bytes(void) {
    return ms_mem_charged_bytes(sizeof(ms_latent_room));
}

int64_t ms_latent_room_looks(const ms_latent_room *r) {
    return r->looks;
}

static bool is_stopped(const ms_latent_room *r) {
    return r->p.stopped && r->p.stopped(r->p.arg);
}

/* ---- the blocks that were unused for longest ---- */

static bool is_older(const block *a, const block *b) {
    return a->seconds != b->seconds ? a->seconds < b->seconds : a->nanoseconds < b->nanoseconds;
}

static void swap(block *a, block *b) {
    block c = *a;
    *a = *b;
    *b = c;
}

static void sink_first(ms_latent_room *r) {
    for (size_t i = 0, child; (child = 2 * i + 1) < r->n; i = child) {
        if (child + 1 < r->n && is_older(&r->oldest[child], &r->oldest[child + 1]))
            child++;
        if (!is_older(&r->oldest[i], &r->oldest[child]))
            return;
        swap(&r->oldest[i], &r->oldest[child]);
    }
}

static void collect(ms_latent_room *r, const block *b) {
    if (r->n == MOST_BLOCKS) {
        if (!is_older(b, &r->oldest[0]))
            return;
        r->oldest[0] = *b;
        sink_first(r);
        return;
    }
    size_t i = r->n++;
    r->oldest[i] = *b;
    for (; i > 0 && is_older(&r->oldest[(i - 1) / 2], &r->oldest[i]); i = (i - 1) / 2)
        swap(&r->oldest[(i - 1) / 2], &r->oldest[i]);
}

static int by_age(const void *a, const void *b) {
    return is_older(a, b) ? -1 : is_older(b, a) ? 1 : 0;
}

/* Bytes of all blocks in the folder. */
static ms_status look(ms_latent_room *r, uint64_t *ret_bytes, ms_error *err) {
    int copy = openat(r->p.folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *entries = copy < 0 ? NULL : fdopendir(copy);
    const struct dirent *e;
    bool stopped = false;
    if (!entries && copy >= 0)
        close(copy);
    r->looks++;
    r->n = 0;
    *ret_bytes = 0;
    for (int64_t i = 0; !stopped && entries && (e = readdir(entries)); i++) {
        struct stat info;
        block b;
        stopped = i % ASK_EVERY == 0 && is_stopped(r);
        if (!ms_latent_name_read(e->d_name, &b.model, &b.key) ||
            fstatat(r->p.folder, e->d_name, &info, AT_SYMLINK_NOFOLLOW) != 0 || !S_ISREG(info.st_mode))
            continue;
        b.bytes = (uint64_t)info.st_size;
        b.seconds = info.st_mtim.tv_sec;
        b.nanoseconds = info.st_mtim.tv_nsec;
        *ret_bytes += b.bytes;
        if (b.seconds < r->p.before)
            collect(r, &b);
    }
    if (entries)
        closedir(entries);
    qsort(r->oldest, r->n, sizeof(*r->oldest), by_age);
    return stopped ? ms_fail(err, MS_CANCELLED, "cancelled while the folder of latents was looked through")
                   : MS_OK;
}

/* Of those that were found, as many as must go. */
static ms_status remove_oldest(ms_latent_room *r, uint64_t keep, uint64_t *held, ms_error *err) {
    for (size_t i = 0; i<r->n && * held> keep; i++) {
        char name[MS_LATENT_NAME_BYTES];
        if (i % ASK_EVERY == 0 && is_stopped(r))
            return ms_fail(err, MS_CANCELLED, "cancelled while the folder of latents was emptied");
        ms_latent_name(r->oldest[i].model, r->oldest[i].key, name);
        if (unlinkat(r->p.folder, name, 0) == 0 || errno == ENOENT)
            *held -= r->oldest[i].bytes;
    }
    return MS_OK;
}

ms_status ms_latent_room_make(ms_latent_room *r, uint64_t bytes, ms_error *err) {
    uint64_t held = 0, before;
    uint64_t keep = bytes <= r->p.most_bytes ? r->p.most_bytes - bytes : 0;
    do {
        MS_TRY(look(r, &held, err));
        before = held;
        if (bytes <= r->p.most_bytes)
            MS_TRY(remove_oldest(r, keep, &held, err));
    } while (held > keep && held < before); /* there were more than are collected at a time */
    if (bytes <= r->p.most_bytes && held <= keep)
        return MS_OK;
    return ms_fail(err, MS_BUDGET, "the folder of latents is full: %llu of %llu bytes",
                   (unsigned long long)held, (unsigned long long)r->p.most_bytes);
}
