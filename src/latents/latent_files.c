#include "latents/latent_files.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/crc32.h"
#include "base/error.h"
#include "files/full_io.h"
#include "latents/latent_room.h"

#define HEADER_BYTES 48
#define CHECKED_BYTES 40
#define VERSION 1
#define MAX_ROWS 256
#define TEMPORARY ".latents-tmp-"
/* A temporary file of this age belongs to nobody who is still writing it. */
#define STALE_SECONDS 3600
#define NAME_BYTES MS_LATENT_NAME_BYTES
/* Files between two questions whether to stop. */
#define ASK_EVERY 64

struct ms_latent_files {
    ms_mem *mem;
    int folder;
    uint64_t model[2];
    ms_latent_room *room;
    bool (*stopped)(void *arg);
    void *arg;
    time_t began; /* files that were touched before then may go */
    unsigned written;
    ms_crc32_table crc;
    uint8_t head[HEADER_BYTES + MAX_ROWS * sizeof(ms_latent_key)];
    ms_latent_key keys[MAX_ROWS];
};

/* ---- bytes ---- */

static void put(uint8_t *p, uint64_t x, int bytes) {
    for (int i = 0; i < bytes; i++)
        p[i] = (uint8_t)(x >> (8 * i));
}

static uint64_t get(const uint8_t *p, int bytes) {
    uint64_t x = 0;
    for (int i = 0; i < bytes; i++)
        x |= (uint64_t)p[i] << (8 * i);
    return x;
}

static uint32_t float_bits(float x) {
    uint32_t bits;
    memcpy(&bits, &x, sizeof(bits));
    return bits;
}

static float float_of(uint64_t bits) {
    uint32_t word = (uint32_t)bits;
    float x;
    memcpy(&x, &word, sizeof(x));
    return x;
}

static size_t head_bytes(int rows) {
    return HEADER_BYTES + (size_t)rows * sizeof(ms_latent_key);
}

static uint32_t head_crc(const ms_latent_files *f, const uint8_t *head, int rows) {
    uint32_t crc = ms_crc32(&f->crc, 0, head, CHECKED_BYTES);
    return ms_crc32(&f->crc, crc, head + HEADER_BYTES, (size_t)rows * sizeof(ms_latent_key));
}

static void write_head(ms_latent_files *f, const ms_latent_file_head *head, const ms_latent_key *keys) {
    uint8_t *p = f->head;
    uint64_t error;
    memcpy(&error, &head->squared_error, sizeof(error));
    memcpy(p, "MSLC", 4);
    put(p + 4, VERSION, 2);
    put(p + 6, (uint64_t)head->rows, 2);
    put(p + 8, f->model[0], 8);
    put(p + 16, f->model[1], 8);
    put(p + 24, error, 8);
    put(p + 32, float_bits(head->low), 4);
    put(p + 36, float_bits(head->high), 4);
    put(p + 44, 0, 4);
    for (int i = 0; i < 2 * head->rows; i++)
        put(p + HEADER_BYTES + 8 * i, keys[i / 2].word[i % 2], 8);
    put(p + 40, head_crc(f, p, head->rows), 4);
}

/* Into f->keys. */
static ms_status read_head(ms_latent_files *f, int file, int max_rows, ms_latent_file_head *ret_head) {
    uint8_t *p = f->head;
    if (!ms_read_full(file, p, HEADER_BYTES) || memcmp(p, "MSLC", 4) != 0 || get(p + 4, 2) != VERSION)
        return MS_BAD_MEDIA;
    int rows = (int)get(p + 6, 2);
    if (rows < 1 || rows > max_rows || rows > MAX_ROWS || get(p + 8, 8) != f->model[0] ||
        get(p + 16, 8) != f->model[1] ||
        !ms_read_full(file, p + HEADER_BYTES, (size_t)rows * sizeof(ms_latent_key)) ||
        get(p + 40, 4) != head_crc(f, p, rows))
        return MS_BAD_MEDIA;
    uint64_t error = get(p + 24, 8);
    *ret_head = (ms_latent_file_head){
        .rows = rows, .low = float_of(get(p + 32, 4)), .high = float_of(get(p + 36, 4))};
    memcpy(&ret_head->squared_error, &error, sizeof(error));
    for (int i = 0; i < 2 * rows; i++)
        f->keys[i / 2].word[i % 2] = get(p + HEADER_BYTES + 8 * i, 8);
    return MS_OK;
}

/* ---- the folder ---- */

static void name_of(const ms_latent_files *f, uint64_t block, char ret_name[NAME_BYTES]) {
    ms_latent_name(f->model[0], block, ret_name);
}

/* The folder's entries; closed with closedir(). */
static DIR *list(const ms_latent_files *f) {
    int copy = openat(f->folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *entries = copy < 0 ? NULL : fdopendir(copy);
    if (!entries && copy >= 0)
        close(copy);
    return entries;
}

static void remove_stale(const ms_latent_files *f) {
    DIR *entries = list(f);
    const struct dirent *e;
    while (entries && (e = readdir(entries))) {
        struct stat info;
        if (strncmp(e->d_name, TEMPORARY, strlen(TEMPORARY)) == 0 &&
            fstatat(f->folder, e->d_name, &info, AT_SYMLINK_NOFOLLOW) == 0 &&
            info.st_mtime < f->began - STALE_SECONDS)
            unlinkat(f->folder, e->d_name, 0);
    }
    if (entries)
        closedir(entries);
}

static int open_folder(const char *dir, ms_error *err) {
    if (mkdir(dir, 0777) != 0 && errno != EEXIST) {
        ms_fail(err, MS_IO, "%s: the folder cannot be made: %s", dir, strerror(errno));
        return -1;
    }
    int folder = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (folder >= 0 && faccessat(folder, ".", W_OK | X_OK, 0) == 0)
        return folder;
    ms_fail(err, MS_IO, "%s: not a folder that can be written: %s", dir, strerror(errno));
    if (folder >= 0)
        close(folder);
    return -1;
}

ms_status ms_latent_files_open(const ms_latent_files_params *p, ms_latent_files **ret_files, ms_error *err) {
    int folder = open_folder(p->dir, err);
    if (folder < 0)
        return MS_IO;
    ms_latent_files *f = ms_mem_calloc(p->mem, MS_LEDGER_CACHES, 1, sizeof(*f));
    if (!f) {
        close(folder);
        return ms_fail_alloc(err, p->mem, sizeof(*f), "the latents' folder");
    }
    f->mem = p->mem;
    f->folder = folder;
    f->model[0] = p->model_key[0];
    f->model[1] = p->model_key[1];
    f->stopped = p->stopped;
    f->arg = p->arg;
    f->began = time(NULL);
    ms_crc32_init(&f->crc);
    const ms_latent_room_params room = {.mem = p->mem,
                                        .folder = folder,
                                        .most_bytes = p->most_bytes,
                                        .before = f->began,
                                        .stopped = p->stopped,
                                        .arg = p->arg};
    ms_status status = ms_latent_room_create(&room, &f->room, err);
    if (status != MS_OK) {
        ms_latent_files_close(&f);
        return status;
    }
    remove_stale(f);
    *ret_files = f;
    return MS_OK;
}

void ms_latent_files_close(ms_latent_files **files) {
    if (!files || !*files)
        return;
    ms_latent_room_destroy(&(*files)->room);
    close((*files)->folder);
    ms_mem_free(*files);
    *files = NULL;
}

void ms_latent_files_search(ms_latent_files *f, int max_rows,
                            bool (*found)(void *arg, uint64_t block, const ms_latent_file_head *head,
                                          const ms_latent_key *keys),
                            void *arg) {
    DIR *entries = list(f);
    const struct dirent *e;
    bool on = true;
    for (int64_t i = 0; on && entries && (e = readdir(entries)); i++) {
        uint64_t model, block;
        if (i % ASK_EVERY == 0 && f->stopped && f->stopped(f->arg))
            break;
        if (!ms_latent_name_read(e->d_name, &model, &block) || model != f->model[0])
            continue;
        int file = openat(f->folder, e->d_name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
        ms_latent_file_head head;
        if (file >= 0 && read_head(f, file, max_rows, &head) == MS_OK)
            on = found(arg, block, &head, f->keys);
        if (file >= 0)
            close(file);
    }
    if (entries)
        closedir(entries);
}

/* ---- one file ---- */

static ms_status read_block(ms_latent_files *f, int file, const ms_latent_key *keys, int rows, void *dst,
                            size_t room, size_t *ret_bytes, ms_error *err) {
    struct stat info;
    ms_latent_file_head head;
    if (fstat(file, &info) != 0 || read_head(f, file, rows, &head) != MS_OK || head.rows != rows ||
        memcmp(f->keys, keys, (size_t)rows * sizeof(*keys)) != 0)
        return ms_fail(err, MS_BAD_MEDIA, "a file of latents is not what it was");
    uint64_t bytes = (uint64_t)info.st_size - head_bytes(rows);
    if ((uint64_t)info.st_size < head_bytes(rows) || bytes > room)
        return ms_fail(err, MS_BAD_MEDIA, "a file of latents has %llu bytes",
                       (unsigned long long)info.st_size);
    if (!ms_read_full(file, dst, (size_t)bytes))
        return ms_fail(err, MS_IO, "a file of latents cannot be read: %s", strerror(errno));
    *ret_bytes = (size_t)bytes;
    return MS_OK;
}

ms_status ms_latent_files_read(ms_latent_files *f, uint64_t block, const ms_latent_key *keys, int rows,
                               void *dst, size_t room, size_t *ret_bytes, ms_error *err) {
    char name[NAME_BYTES];
    name_of(f, block, name);
    int file = openat(f->folder, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (file < 0)
        return ms_fail(err, MS_IO, "%s: %s", name, strerror(errno));
    ms_status status = read_block(f, file, keys, rows, dst, room, ret_bytes, err);
    if (status == MS_OK) /* used just now: the last to go. Where that is refused, it goes sooner */
        (void)!utimensat(f->folder, name, NULL, AT_SYMLINK_NOFOLLOW);
    close(file);
    return status;
}

ms_status ms_latent_files_write(ms_latent_files *f, uint64_t block, const ms_latent_file_head *head,
                                const ms_latent_key *keys, const void *data, size_t bytes, ms_error *err) {
    char name[NAME_BYTES], temporary[NAME_BYTES];
    if (head->rows < 1 || head->rows > MAX_ROWS)
        return ms_fail(err, MS_INVALID_ARGUMENT, "%d rows", head->rows);
    MS_TRY(ms_latent_room_make(f->room, head_bytes(head->rows) + bytes, err));
    write_head(f, head, keys);
    name_of(f, block, name);
    snprintf(temporary, sizeof(temporary), TEMPORARY "%ld-%u", (long)getpid(), f->written++);
    int file = openat(f->folder, temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (file < 0)
        return ms_fail(err, MS_IO, "%s: %s", temporary, strerror(errno));
    bool good = ms_write_full(file, f->head, head_bytes(head->rows)) && ms_write_full(file, data, bytes);
    good = close(file) == 0 && good;
    good = good && renameat(f->folder, temporary, f->folder, name) == 0;
    if (good)
        return MS_OK;
    ms_fail(err, MS_IO, "%s cannot be written: %s", name, strerror(errno));
    unlinkat(f->folder, temporary, 0);
    return MS_IO;
}

void ms_latent_files_remove(ms_latent_files *f, uint64_t block) {
    char name[NAME_BYTES];
    name_of(f, block, name);
    unlinkat(f->folder, name, 0);
}
