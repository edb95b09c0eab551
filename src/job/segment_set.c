#include "job/segment_set.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/error.h"
#include "media/write/packet_file.h"

typedef struct list {
    ms_finished_segment *at;
    int64_t count, room;
} list;

typedef struct finding {
    const ms_segment_set_params *p;
    list found, damaged;
} finding;

static ms_status add(ms_mem *mem, list *l, const ms_finished_segment *segment, ms_error *err) {
    if (l->count == l->room) {
        int64_t room = l->room ? 2 * l->room : 64;
        ms_finished_segment *more = ms_alloc_array(mem, MS_LEDGER_GENERAL, (size_t)room, sizeof(*more));
        if (!more)
            return ms_fail_alloc(err, mem, (size_t)room * sizeof(*more), "the finished segments");
        if (l->count)
            memcpy(more, l->at, (size_t)l->count * sizeof(*more));
        ms_mem_free(l->at);
        l->at = more;
        l->room = room;
    }
    l->at[l->count++] = *segment;
    return MS_OK;
}

static ms_status note_damage(finding *f, const ms_finished_segment *segment, ms_error *err) {
    char name[MS_JOB_NAME_BYTES];
    ms_job_segment_name(segment->number, name);
    if (f->p->remove_damaged)
        ms_job_folder_unlink(f->p->folder, name);
    return add(f->p->mem, &f->damaged, segment, err);
}

static int compare_numbers(const void *a, const void *b) {
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

static bool is_read(const ms_segment_set_params *p, int64_t number) {
    return !p->only || (p->n_only > 0 && bsearch(&number, p->only, (size_t)p->n_only, sizeof(number),
                                                 compare_numbers) != NULL);
}

/* As long as it must be; 0: there is no such segment. */
static int64_t frames_of(const ms_segment_set_params *p, int64_t number) {
    int64_t left = p->total - number * p->segment_frames;
    if (p->total == 0 || left > p->segment_frames)
        return p->segment_frames;
    return left > 0 ? left : 0;
}

static ms_status take(void *arg, int64_t number, ms_error *err) {
    finding *f = arg;
    const ms_segment_set_params *p = f->p;
    char name[MS_JOB_NAME_BYTES], path[MS_JOB_PATH_BYTES];
    ms_finished_segment segment = {.number = number, .frames = frames_of(p, number)};
    struct stat st;
    int fd = -1;
    if (p->cancelled && p->cancelled(p->arg))
        return ms_fail(err, MS_CANCELLED, "cancelled while the unfinished job was read");
    if (!is_read(p, number))
        return segment.frames > 0 ? add(p->mem, &f->found, &segment, err) : MS_OK;
    ms_job_segment_name(number, name);
    if (!ms_job_folder_has(p->folder, name)) /* another took it away */
        return MS_OK;
    MS_TRY(ms_job_folder_read(p->folder, name, false, &fd, err));
    if (fstat(fd, &st) == 0) {
        segment.device = (uint64_t)st.st_dev;
        segment.inode = (uint64_t)st.st_ino;
    }
    ms_job_folder_file(p->folder, name, path);
    const ms_packet_file_params file = {.mem = p->mem,
                                        .fd = fd,
                                        .path = path,
                                        .label = {.job = {p->job[0], p->job[1]}, .number = number},
                                        .most_frames = p->segment_frames,
                                        .most_packet_bytes = p->most_packet_bytes,
                                        .cancelled = p->cancelled,
                                        .arg = p->arg};
    ms_error why;
    ms_error_clear(&why);
    ms_status status = ms_packet_file_check(&file, &segment.frames, &why);
    if (status == MS_OK)
        return add(p->mem, &f->found, &segment, err);
    if (status == MS_DAMAGED)
        return note_damage(f, &segment, err);
    if (err)
        *err = why;
    return status;
}

static int compare(const void *a, const void *b) {
    int64_t x = ((const ms_finished_segment *)a)->number, y = ((const ms_finished_segment *)b)->number;
    return (x > y) - (x < y);
}

/* Before the job's length is known, the highest may be its last. */
static bool is_good(const ms_segment_set_params *p, const ms_finished_segment *g, bool highest) {
    if (p->total == 0 && highest)
        return g->frames <= p->segment_frames;
    return g->frames > 0 && g->frames == frames_of(p, g->number);
}

static void sort(list *l) {
    if (l->count > 0)
        qsort(l->at, (size_t)l->count, sizeof(*l->at), compare);
}

static ms_status settle(finding *f, ms_error *err) {
    list *l = &f->found;
    int64_t kept = 0;
    sort(l);
    for (int64_t i = 0; i < l->count; i++) {
        const ms_finished_segment g = l->at[i];
        if (kept > 0 && l->at[kept - 1].number == g.number) /* named anew while it was listed */
            continue;
        if (is_good(f->p, &g, i == l->count - 1))
            l->at[kept++] = g;
        else
            MS_TRY(note_damage(f, &g, err));
    }
    l->count = kept;
    sort(&f->damaged);
    return MS_OK;
}

static void fill(const finding *f, ms_segment_set *s) {
    *s = (ms_segment_set){.segment = f->found.at,
                          .count = f->found.count,
                          .damaged = f->damaged.at,
                          .n_damaged = f->damaged.count,
                          .first_damaged = f->damaged.count > 0 ? f->damaged.at[0].number : -1};
    for (int64_t i = 0; i < s->count; i++)
        s->frames += s->segment[i].frames;
    while (s->first_missing < s->count && s->segment[s->first_missing].number == s->first_missing)
        s->first_missing++;
}

ms_status ms_segment_set_find(const ms_segment_set_params *params, ms_segment_set *ret_set, ms_error *err) {
    finding f = {.p = params};
    ms_status status = ms_job_folder_numbered(params->folder, MS_SEGMENT_FILES, take, &f, err);
    if (status == MS_OK)
        status = settle(&f, err);
    fill(&f, ret_set);
    if (status != MS_OK)
        ms_segment_set_free(ret_set);
    return status;
}

void ms_segment_set_free(ms_segment_set *s) {
    ms_mem_free(s->segment);
    ms_mem_free(s->damaged);
    *s = (ms_segment_set){.first_damaged = -1};
}

static const ms_finished_segment *look_up(const ms_finished_segment *in, int64_t count, int64_t number) {
    const ms_finished_segment key = {.number = number};
    return count > 0 ? bsearch(&key, in, (size_t)count, sizeof(key), compare) : NULL;
}

bool ms_segment_set_has(const ms_segment_set *s, int64_t number) {
    return look_up(s->segment, s->count, number) != NULL;
}

bool ms_segment_set_has_now(const ms_segment_set *s, const ms_job_folder *folder, int64_t number) {
    char name[MS_JOB_NAME_BYTES];
    struct stat st;
    if (ms_segment_set_has(s, number))
        return true;
    ms_job_segment_name(number, name);
    if (fstatat(folder->fd, name, &st, AT_SYMLINK_NOFOLLOW) != 0)
        return false;
    const ms_finished_segment *bad = look_up(s->damaged, s->n_damaged, number);
    return !bad || bad->device != (uint64_t)st.st_dev || bad->inode != (uint64_t)st.st_ino;
}
