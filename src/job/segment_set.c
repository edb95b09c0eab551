#include "job/segment_set.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "media/write/packet_file.h"

typedef struct finding {
    const ms_segment_set_params *p;
    ms_segment_set *set;
    int64_t room;
} finding;

static void note_damage(const ms_segment_set_params *p, ms_segment_set *s, int64_t number) {
    char name[MS_JOB_NAME_BYTES];
    ms_job_segment_name(number, name);
    if (p->remove_damaged)
        ms_job_folder_unlink(p->folder, name);
    if (s->first_damaged < 0 || number < s->first_damaged)
        s->first_damaged = number;
}

static ms_status add(finding *f, int64_t number, int64_t frames, ms_error *err) {
    ms_segment_set *s = f->set;
    if (s->count == f->room) {
        int64_t room = f->room ? 2 * f->room : 64;
        ms_finished_segment *more = ms_alloc_array(f->p->mem, MS_LEDGER_GENERAL, (size_t)room, sizeof(*more));
        if (!more)
            return ms_fail_alloc(err, f->p->mem, (size_t)room * sizeof(*more), "the finished segments");
        if (s->count)
            memcpy(more, s->segment, (size_t)s->count * sizeof(*more));
        ms_mem_free(s->segment);
        s->segment = more;
        f->room = room;
    }
    s->segment[s->count++] = (ms_finished_segment){number, frames};
    return MS_OK;
}

static ms_status take(void *arg, int64_t number, ms_error *err) {
    finding *f = arg;
    char name[MS_JOB_NAME_BYTES], path[MS_JOB_PATH_BYTES];
    int fd = -1;
    if (f->p->cancelled && f->p->cancelled(f->p->arg))
        return ms_fail(err, MS_CANCELLED, "cancelled while the unfinished job was read");
    ms_job_segment_name(number, name);
    if (!ms_job_folder_has(f->p->folder, name)) /* another took it away */
        return MS_OK;
    MS_TRY(ms_job_folder_read(f->p->folder, name, false, &fd, err));
    ms_job_folder_file(f->p->folder, name, path);
    ms_packet_label label = {.job = {f->p->job[0], f->p->job[1]}, .number = number};
    ms_error why;
    ms_error_clear(&why);
    ms_status status = ms_packet_file_check(f->p->mem, fd, path, &label, &why);
    if (status == MS_OK)
        return add(f, number, label.frames, err);
    if (status == MS_DAMAGED) {
        note_damage(f->p, f->set, number);
        return MS_OK;
    }
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
    if (p->total == 0)
        return g->frames == p->segment_frames || (highest && g->frames < p->segment_frames);
    int64_t last = ms_segments_of(p->total, p->segment_frames) - 1;
    return g->number < last ? g->frames == p->segment_frames
                            : g->number == last && g->frames == p->total - last * p->segment_frames;
}

static void settle(const ms_segment_set_params *p, ms_segment_set *s) {
    int64_t kept = 0;
    for (int64_t i = 0; i < s->count; i++) {
        const ms_finished_segment g = s->segment[i];
        if (kept > 0 && s->segment[kept - 1].number == g.number) /* named anew while it was listed */
            continue;
        if (!is_good(p, &g, i == s->count - 1)) {
            note_damage(p, s, g.number);
            continue;
        }
        s->segment[kept++] = g;
        s->frames += g.frames;
    }
    s->count = kept;
    while (s->first_missing < s->count && s->segment[s->first_missing].number == s->first_missing)
        s->first_missing++;
}

ms_status ms_segment_set_find(const ms_segment_set_params *params, ms_segment_set *ret_set, ms_error *err) {
    ms_segment_set *s = ret_set;
    *s = (ms_segment_set){.first_damaged = -1};
    finding f = {.p = params, .set = s};
    ms_status status = ms_job_folder_segments(params->folder, take, &f, err);
    if (status != MS_OK) {
        ms_segment_set_free(s);
        return status;
    }
    if (s->count > 0)
        qsort(s->segment, (size_t)s->count, sizeof(*s->segment), compare);
    settle(params, s);
    return MS_OK;
}

void ms_segment_set_free(ms_segment_set *s) {
    ms_mem_free(s->segment);
    *s = (ms_segment_set){.first_damaged = -1};
}

bool ms_segment_set_has(const ms_segment_set *s, int64_t number) {
    const ms_finished_segment key = {number, 0};
    return s->count > 0 && bsearch(&key, s->segment, (size_t)s->count, sizeof(key), compare) != NULL;
}
