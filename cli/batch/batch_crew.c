#include "batch/batch_crew.h"

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/hash.h"
#include "console/console.h"
#include "console/signals.h"
#include "memsafe/plan.h"
#include "results/notes.h"
#include "results/run_events.h"
#include "workers/orders.h"
#include "workers/said.h"
#include "workers/worker_set.h"

#define MOST_DEATHS 2 /* of workers that make a clip */

typedef enum clip_state { CLIP_WAITS, CLIP_IS_MADE, CLIP_HAS_ENDED } clip_state;

typedef struct clip {
    clip_state state;
    int given, deaths;
    uint32_t refused; /* bit of each seat that has not the memory for it */
    ms_error why;     /* the last refusal, or death */
} clip;

typedef struct crew crew;

typedef struct seat {
    crew *c;
    cli_worker *worker;
    bool ready;  /* its model is open */
    bool let_go; /* nothing more is given to it */
    int place;   /* of the clip that it makes; -1 = none */
} seat;

struct crew {
    cli_batch *b;
    cli_worker_set set;
    seat seat[CLI_MAX_WORKERS]; /* of each of them */
    clip *clip;                 /* of each place of the list */
    int ours, ended;
    bool began;    /* a worker was ready once */
    char bits[64]; /* what decides them, of the first that was ready */
    cli_said said;
    double began_s, fraction;
};

/* The list may have been changed since it was read here. */
static uint64_t hash_of(const cli_batch *b, int place) {
    uint64_t key[2] = {3, 4};
    const cli_batch_job *j = &b->list.job[place];
    for (int i = 0; i < j->n_words; i++)
        key[0] = ms_siphash(key, j->words[i], strlen(j->words[i]));
    return key[0];
}

/* ---- what they say ---- */

static void end_clip(crew *c, int place, const ms_run_report *r, const ms_error *err) {
    c->clip[place].state = CLIP_HAS_ENDED;
    c->ended++;
    cli_batch_say_end(c->b, place, r, err);
}

/* What another device may well have. */
static bool is_of_device(ms_status code) {
    return code == MS_BUDGET || code == MS_HOST_MEMORY || code == MS_DEVICE_MEMORY;
}

static uint32_t bit_of(const seat *s) {
    return UINT32_C(1) << (s - s->c->seat);
}

/* All that were started alike have the same memory. */
static uint32_t bits_like(const seat *s) {
    const cli_worker_order *o = &s->worker->order;
    uint32_t bits = 0;
    for (int i = 0; i < s->c->set.count; i++) {
        const cli_worker_order *other = &s->c->seat[i].worker->order;
        if (strcmp(o->device, other->device) == 0 && o->budget_bytes == other->budget_bytes &&
            o->host_budget_bytes == other->host_budget_bytes)
            bits |= bit_of(&s->c->seat[i]);
    }
    return bits;
}

static bool is_at_work(const seat *s) {
    return s->worker->pid && !s->let_go;
}

/* Whether somebody who is left may make it. */
static bool has_taker(const crew *c, int place) {
    bool has = false;
    for (int i = 0; i < c->set.count; i++)
        has |= is_at_work(&c->seat[i]) && !(c->clip[place].refused & bit_of(&c->seat[i]));
    return has;
}

static void let_go(seat *s) {
    s->let_go = true;
    cli_worker_close(s->worker);
    cli_worker_signal(s->worker, SIGTERM);
}

static void tell_death(const seat *s, const ms_error *err) {
    bool others = false;
    for (int i = 0; i < s->c->set.count; i++)
        others |= &s->c->seat[i] != s && is_at_work(&s->c->seat[i]);
    cli_worker_tell_end(s->worker, err, others);
}

/* Its worker died over it, or lost its device. */
static void give_back(crew *c, int place, const ms_error *err) {
    clip *given = &c->clip[place];
    given->why = *err;
    if (++given->deaths < MOST_DEATHS) {
        given->state = CLIP_WAITS;
        return;
    }
    if (err->code == MS_CANCELLED) /* of a worker, not of the batch */
        ms_fail(&given->why, MS_INTERNAL, "workers that made it were ended, %d times", MOST_DEATHS);
    end_clip(c, place, NULL, &given->why);
}

static void refuse(seat *s, int place, const ms_error *err) {
    crew *c = s->c;
    char name[1024];
    c->clip[place].refused |= bits_like(s);
    c->clip[place].why = *err;
    if (!has_taker(c, place)) {
        end_clip(c, place, NULL, err);
        return;
    }
    cli_warn("worker", "%s: %s: %s; another device takes it", cli_batch_name(c->b, place, name, sizeof(name)),
             s->worker->order.device, err->message);
    c->clip[place].state = CLIP_WAITS;
}

/* It lost its device, or somebody ended it alone. */
static bool is_worker_gone(ms_status code) {
    return code == MS_DEVICE_LOST || (code == MS_CANCELLED && !cli_interrupted(NULL));
}

static void take_failure(seat *s, int place, const ms_error *err) {
    if (is_worker_gone(err->code)) {
        let_go(s);
        tell_death(s, err);
        give_back(s->c, place, err);
    } else if (is_of_device(err->code)) {
        refuse(s, place, err);
    } else {
        end_clip(s->c, place, NULL, err);
    }
}

static void take_end(seat *s, const ms_json *line) {
    const char *state = ms_json_get_text(line, "state");
    const int place = s->place;
    ms_run_report r = {0};
    ms_error err;
    s->place = -1;
    if (place < 0)
        return;
    ms_error_clear(&err);
    cli_run_take_result(line, &r);
    if (strcmp(state, "made") == 0 || strcmp(state, "finished-before") == 0) {
        end_clip(s->c, place, &r, NULL);
        return;
    }
    ms_fail(&err, ms_failure_named(ms_json_get_text(line, "name")), "%s", ms_json_get_text(line, "message"));
    take_failure(s, place, &err);
}

/* Clips have the bits of the first that was ready, wherever they are made. */
static void take_ready(seat *s, const ms_json *line) {
    crew *c = s->c;
    const char *bits = ms_json_get_text(line, "bits");
    if (!c->began)
        snprintf(c->bits, sizeof(c->bits), "%s", bits);
    c->began = s->ready = true;
    if (strcmp(c->bits, bits) == 0)
        return;
    cli_warn("worker",
             "%s computes as %s, and the batch as %s: its clips would have other bits, so it gets none",
             s->worker->order.device, bits, c->bits);
    let_go(s);
}

/* It stands for itself in the one line that it has here, so it names the clip. */
static void take_warning(const seat *s, const ms_json *line) {
    const char *code = ms_json_get_text(line, "code");
    if (strcmp(code, "job-failed") == 0) /* which the clip's end tells */
        return;
    if (s->place < 0 || cli_note_is_of_model(code))
        cli_said_take(&s->c->said, "warning", line);
    else
        cli_said_tell(line, s->c->b->list.job[s->place].state.p.output);
}

static void hear(void *arg, const char *event, const ms_json *line) {
    seat *s = arg;
    if (strcmp(event, "ready") == 0)
        take_ready(s, line);
    else if (strcmp(event, "job-end") == 0)
        take_end(s, line);
    else if (strcmp(event, "warning") == 0)
        take_warning(s, line);
}

/* ---- what they get ---- */

static void give(seat *s, int place) {
    const bool again = s->c->clip[place].given++ > 0;
    s->worker->heard.fraction = s->worker->heard.first_fraction = -1;
    s->place = place;
    s->c->clip[place].state = CLIP_IS_MADE;
    cli_batch_say_begin(s->c->b, place, s->worker->order.device);
    /* Where it cannot be told, the worker has died, which is seen next. */
    (void)dprintf(s->worker->to, "%d %016" PRIx64 " %d\n", place, hash_of(s->c->b, place), again);
}

static int next_clip(const seat *s) {
    const crew *c = s->c;
    for (int i = 0; i < c->b->list.count; i++)
        if (cli_batch_is_ours(c->b, i) && c->clip[i].state == CLIP_WAITS && !(c->clip[i].refused & bit_of(s)))
            return i;
    return -1;
}

/* Those whose last taker is gone. */
static void give_up_orphans(crew *c) {
    for (int i = 0; i < c->b->list.count; i++)
        if (c->clip[i].state == CLIP_WAITS && c->clip[i].refused && !has_taker(c, i))
            end_clip(c, i, NULL, &c->clip[i].why);
}

/* Who has nothing to do waits for what another may give back. */
static void hand_out(crew *c) {
    give_up_orphans(c);
    for (int i = 0; i < c->set.count; i++) {
        seat *s = &c->seat[i];
        const int place = is_at_work(s) && s->ready && s->place < 0 ? next_clip(s) : -1;
        if (place >= 0)
            give(s, place);
        else if (c->ended == c->ours && s->worker->pid && !s->let_go)
            let_go(s); /* it may be loading the model still */
    }
}

/* ---- following them ---- */

static void bury(void *arg, int i) {
    crew *c = arg;
    seat *s = &c->seat[i];
    const ms_error *err = &s->worker->heard.err;
    const int place = s->place;
    s->place = -1;
    if (s->worker->heard.done || cli_interrupted(NULL) || (s->let_go && place < 0))
        return;
    if (c->began || cli_worker_set_alive(&c->set))
        tell_death(s, err);
    if (c->b->first == MS_OK && !cli_worker_set_alive(&c->set))
        c->b->first = err->code;
    if (place >= 0)
        give_back(c, place, err);
}

/* Each clip counts alike: how long one is, nobody knows before it is begun. */
static void tell(crew *c) {
    ms_run_progress p = {
        .stage = ms_stage_name(MS_STAGE_LOAD), .seconds = ms_now_s() - c->began_s, .eta_s = -1};
    double clips = c->ended;
    if (c->fraction >= 1)
        return;
    for (int i = 0; i < c->set.count; i++) {
        const seat *s = &c->seat[i];
        if (s->place < 0)
            continue;
        clips += s->worker->heard.fraction > 0 ? s->worker->heard.fraction : 0;
        if (s->worker->heard.stage[0])
            p.stage = s->worker->heard.stage;
    }
    if (clips / c->ours > c->fraction)
        c->fraction = clips / c->ours;
    p.fraction = c->fraction;
    if (c->fraction > 0.02)
        p.eta_s = p.seconds * (1 - c->fraction) / c->fraction;
    cli_show_progress(NULL, &p);
}

static void follow(crew *c) {
    while (cli_worker_set_alive(&c->set)) {
        hand_out(c);
        cli_worker_set_listen(&c->set);
        tell(c);
        if (cli_interrupted(NULL)) {
            cli_worker_set_end(&c->set);
            c->b->first = MS_CANCELLED;
        }
    }
}

static ms_status start(crew *c, ms_error *err) {
    cli_worker_order order[CLI_MAX_WORKERS];
    cli_device_list devices = c->b->devices;
    cli_device_list_cut(&devices, c->ours); /* no more of them than clips */
    MS_TRY(cli_make_orders(&c->b->common.p, &devices, order, err));
    for (int i = 0; i < devices.count; i++) {
        order[i].takes_clips = true;
        c->seat[i] = (seat){.c = c, .worker = &c->set.worker[i], .place = -1};
        MS_TRY(cli_worker_set_add(&c->set, &order[i], hear, &c->seat[i], err));
    }
    return MS_OK;
}

/* Whoever was told that they begin is told that they end. */
static void end_begun(crew *c) {
    ms_error err;
    ms_error_clear(&err);
    ms_fail(&err, MS_CANCELLED, "cancelled");
    for (int i = 0; i < c->b->list.count; i++)
        if (c->clip[i].given && c->clip[i].state != CLIP_HAS_ENDED)
            end_clip(c, i, NULL, c->clip[i].why.code != MS_OK ? &c->clip[i].why : &err);
}

/* None was ever ready, so no clip is to blame. */
static ms_status first_error(const crew *c, ms_error *err) {
    if (err)
        *err = c->seat[0].worker->heard.err;
    return c->seat[0].worker->heard.err.code;
}

ms_status cli_batch_crew(cli_batch *b, ms_error *err) {
    static crew c;
    c = (crew){.b = b, .began_s = ms_now_s(), .set = {.died = bury, .arg = &c}};
    c.clip = calloc((size_t)b->list.count, sizeof(*c.clip));
    if (!c.clip)
        return ms_fail(err, MS_HOST_MEMORY, "out of memory for a batch of %d", b->list.count);
    for (int i = 0; i < b->list.count; i++)
        c.ours += cli_batch_is_ours(b, i);
    ms_status status = c.ours ? start(&c, err) : MS_OK;
    if (status == MS_OK) {
        follow(&c);
        end_begun(&c);
        b->totals.left = c.ours - b->totals.made - b->totals.before - b->totals.failed;
        if (!c.began && b->first != MS_CANCELLED && c.ours)
            status = first_error(&c, err);
    }
    free(c.clip);
    return status;
}

/* ---- the worker's side ---- */

static ms_status make(cli_batch *b, int place, bool again) {
    ms_run_report r = {0};
    ms_error err;
    ms_error_clear(&err);
    if (again) /* with what the one that died has finished */
        b->list.job[place].state.p.resume = true;
    ms_status status = cli_batch_make(b, place, &r, &err);
    cli_progress_pause();
    cli_batch_say_end(b, place, &r, status == MS_OK ? NULL : &err);
    return status;
}

/* That it can begin, and what decides the bits that it makes. */
static void say_ready(const cli_batch *b) {
    ms_model_info info;
    ms_buf text;
    ms_model_get_info(b->loaded, &info);
    ms_buf_init(&text, NULL);
    ms_buf_printf(&text, "\"bits\": \"%s, %s\"", info.arithmetic, info.precision);
    cli_event("ready", text.failed ? "" : text.data);
    ms_buf_free(&text);
}

ms_status cli_batch_take_clips(cli_batch *b, ms_error *err) {
    char line[64];
    say_ready(b);
    while (!cli_interrupted(NULL) && fgets(line, sizeof(line), stdin)) {
        int place = -1, again = 0;
        uint64_t hash = 0;
        if (sscanf(line, "%d %" SCNx64 " %d", &place, &hash, &again) != 3 || place < 0 ||
            place >= b->list.count || hash != hash_of(b, place))
            return ms_fail(err, MS_INVALID_ARGUMENT, "%s was changed while the batch ran", b->list.path);
        if (make(b, place, again) == MS_CANCELLED)
            return ms_fail(err, MS_CANCELLED, "cancelled");
        if (b->untold)
            return ms_fail(err, MS_HOST_MEMORY, "out of memory for what became of a clip");
    }
    return MS_OK;
}
