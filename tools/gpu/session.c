/*
 * session MODEL [OPTIONS]: a drawn clip through a session on a device, one line of what came of it:
 *
 *   hash=... redrawn=32 rung=full budget=... planned=... used=... recoveries=0 open_s=... window_s=...
 *
 * hash: of all pictures. used: bytes of the device that were taken besides what was before, at the most, by
 * NVIDIA's management library with --slot, else as the device tells it when the session is over. window_s:
 * from the first frame's pushing to the last one's pulling, for each window.
 *
 * FFmpeg is not needed: frames, faces and speech are drawn here.
 */
#include <errno.h>
#include <getopt.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/error.h"
#include "gpu/card_memory.h"
#include "memsafe/memsafe.h"
#include "text/size.h"
#include "world/talk.h"
#include "world/voice.h"
#include "world/world.h"

#define MOST_SETTINGS 8

typedef struct options {
    const char *model, *device, *slot, *out, *compare;
    int frames, width, height, steps, resolution;
    ms_precision precision;
    ms_rung rung;
    size_t budget_bytes;
    const char *setting[MOST_SETTINGS];
    int settings;
} options;

static const char usage[] =
    "usage: session MODEL [--device NAME] [--precision fp32|fp16|bf16] [--budget SIZE] [--rung NAME]\n"
    "               [--set FIELD=VALUE]... [--frames N] [--size WxH] [--steps N] [--resolution N]\n"
    "               [--slot PCI-BUS-ID] [--out FILE] [--compare FILE]\n\n"
    "  --slot     of the card whose memory is watched, as nvidia-smi writes it\n"
    "  --out      writes the pictures, RGB, one behind the other\n"
    "  --compare  with such a file: psnr=DB of the redrawn frames\n";

static ms_error err;

static void need(ms_status status) {
    if (status == MS_OK)
        return;
    fprintf(stderr, "session: %s: %s\n", ms_status_name(status), err.message);
    exit(ms_status_exit_code(status));
}

static void refuse(void) {
    fputs(usage, stderr);
    exit(2);
}

static ms_rung rung_of(const char *name) {
    for (int r = 0; r < MS_RUNG_COUNT; r++)
        if (strcmp(ms_rung_name((ms_rung)r), name) == 0)
            return (ms_rung)r;
    refuse();
    return MS_RUNG_AUTO;
}

static ms_precision precision_of(const char *name) {
    static const char *const names[] = {"fp32", "fp16", "bf16"};
    for (int i = 0; i < 3; i++)
        if (strcmp(names[i], name) == 0)
            return (ms_precision)(MS_PRECISION_FP32 + i);
    refuse();
    return MS_PRECISION_AUTO;
}

static options read_options(int argc, char **argv) {
    static const struct option names[] = {
        {"device", 1, NULL, 'd'}, {"precision", 1, NULL, 'p'}, {"budget", 1, NULL, 'b'},
        {"rung", 1, NULL, 'r'},   {"set", 1, NULL, 's'},       {"frames", 1, NULL, 'n'},
        {"size", 1, NULL, 'z'},   {"steps", 1, NULL, 't'},     {"resolution", 1, NULL, 'x'},
        {"slot", 1, NULL, 'l'},   {"out", 1, NULL, 'o'},       {"compare", 1, NULL, 'c'},
        {NULL, 0, NULL, 0}};
    options o = {.device = "cpu",
                 .frames = 20,
                 .width = 320,
                 .height = 320,
                 .steps = 4,
                 .precision = MS_PRECISION_FP16};
    uint64_t bytes;
    for (int letter; (letter = getopt_long(argc, argv, "", names, NULL)) != -1;)
        switch (letter) {
        case 'd':
            o.device = optarg;
            break;
        case 'p':
            o.precision = precision_of(optarg);
            break;
        case 'b':
            if (!ms_size_parse(optarg, &bytes))
                refuse();
            o.budget_bytes = (size_t)bytes;
            break;
        case 'r':
            o.rung = rung_of(optarg);
            break;
        case 's':
            if (o.settings == MOST_SETTINGS)
                refuse();
            o.setting[o.settings++] = optarg;
            break;
        case 'n':
            o.frames = atoi(optarg);
            break;
        case 'z':
            if (sscanf(optarg, "%dx%d", &o.width, &o.height) != 2)
                refuse();
            break;
        case 't':
            o.steps = atoi(optarg);
            break;
        case 'x':
            o.resolution = atoi(optarg);
            break;
        case 'l':
            o.slot = optarg;
            break;
        case 'o':
            o.out = optarg;
            break;
        case 'c':
            o.compare = optarg;
            break;
        default:
            refuse();
        }
    if (optind != argc - 1 || o.frames < 1 || o.frames > 10000)
        refuse();
    o.model = argv[optind];
    return o;
}

/* ---- the clip ---- */

typedef struct clip {
    uint8_t *pixels; /* [frames][height][width][3] */
    ms_face_record *face;
    talk t;
    size_t picture_bytes;
} clip;

static clip draw(const options *o) {
    clip c = {.picture_bytes = (size_t)o->width * (size_t)o->height * 3};
    world *w = NULL;
    need(world_create(NULL, 7, o->width, o->height, &w, &err));
    const talk_request said = {
        .seed = 9, .turn = w->person.voice_turn, .seconds = (float)o->frames / 25 + 0.5f};
    need(talk_create(NULL, &said, &c.t, &err));
    c.pixels = malloc((size_t)o->frames * c.picture_bytes);
    c.face = calloc((size_t)o->frames, sizeof(*c.face));
    if (!c.pixels || !c.face)
        need(ms_fail(&err, MS_HOST_MEMORY, "there is no memory for %d frames", o->frames));
    for (int i = 0; i < o->frames; i++) {
        w_moment now;
        w_face face;
        const double time_s = (i + 0.5) / 25;
        world_moment(w, time_s, &now);
        now.mouth = speech_mouth(&c.t.said, (float)time_s);
        world_draw(w, &now, i, c.pixels + (size_t)i * c.picture_bytes, &face);
        w_face_record(&face, i, o->width, o->height, &c.face[i]);
    }
    world_destroy(&w);
    return c;
}

static void clip_free(clip *c) {
    talk_free(&c->t);
    free(c->pixels);
    free(c->face);
}

/* ---- what comes out ---- */

typedef struct result {
    FILE *out, *wanted;
    uint8_t *line; /* a picture of wanted */
    uint64_t hash;
    double squares, samples;
    int pulled, redrawn;
} result;

static void take(result *r, const ms_session_frame *frame, size_t bytes, const char *compare) {
    const uint8_t *p = frame->pixels;
    for (size_t i = 0; i < bytes; i++)
        r->hash = (r->hash ^ p[i]) * 0x100000001b3u; /* FNV-1a */
    r->pulled++;
    r->redrawn += frame->redrawn;
    if (r->out && fwrite(p, 1, bytes, r->out) != bytes)
        need(ms_fail(&err, MS_IO, "the pictures cannot be written: %s", strerror(errno)));
    if (!r->wanted)
        return;
    if (fread(r->line, 1, bytes, r->wanted) != bytes)
        need(ms_fail(&err, MS_IO, "%s has fewer pictures, or of another size", compare));
    if (!frame->redrawn)
        return;
    for (size_t i = 0; i < bytes; i++) {
        const double d = (double)p[i] - r->line[i];
        r->squares += d * d;
    }
    r->samples += (double)bytes;
}

static void pass(ms_session *s, const options *o, const clip *c, result *r) {
    int pushed = 0;
    need(ms_session_push_speech(s, c->t.samples, c->t.count, &err));
    need(ms_session_end_speech(s, &err));
    while (!ms_session_ended(s)) {
        ms_session_frame done;
        bool taken = true, got = true;
        while (taken && pushed < o->frames) {
            const ms_session_frame in = {.pixels = c->pixels + (size_t)pushed * c->picture_bytes,
                                         .landmarks = (const float(*)[2])c->face[pushed].landmarks};
            need(ms_session_push(s, &in, &taken, &err));
            pushed += taken;
        }
        if (pushed == o->frames)
            need(ms_session_end(s, &err));
        while (got) {
            need(ms_session_pull(s, &done, &got, &err));
            if (got)
                take(r, &done, c->picture_bytes, o->compare);
        }
    }
}

/* Of the device's memory, as it says itself; 0: it does not, or its memory is the host's. */
static size_t told_used(const options *o) {
    const ms_probe_params params = {.device = o->device};
    ms_probe *probe = NULL;
    ms_probe_device device;
    size_t used = 0;
    if (ms_probe_create(&params, &probe, &err) == MS_OK && ms_probe_get_device(probe, &device) &&
        device.own_memory && device.free_bytes < device.nominal_bytes)
        used = device.nominal_bytes - device.free_bytes;
    ms_probe_destroy(&probe);
    return used;
}

int main(int argc, char **argv) {
    const options o = read_options(argc, argv);
    clip c = draw(&o);
    result r = {.hash = 0xcbf29ce484222325u};
    if (o.out && !(r.out = fopen(o.out, "wb")))
        need(ms_fail(&err, MS_IO, "%s: %s", o.out, strerror(errno)));
    if (o.compare && !(r.wanted = fopen(o.compare, "rb")))
        need(ms_fail(&err, MS_IO, "%s: %s", o.compare, strerror(errno)));
    r.line = malloc(c.picture_bytes);
    if (!r.line)
        need(ms_fail(&err, MS_HOST_MEMORY, "there is no memory for a picture"));

    card_memory *watch = card_memory_watch(o.slot);
    ms_model_params m;
    ms_session_params p;
    ms_model *model = NULL;
    ms_session *s = NULL;
    ms_model_params_init(&m);
    ms_session_params_init(&p);
    m.model = o.model;
    m.no_faces = true;
    m.device = o.device;
    m.precision = o.precision;
    m.budget_bytes = o.budget_bytes;
    m.profile.settings = o.setting;
    m.profile.n_settings = o.settings;
    need(ms_model_open(&m, &model, &err));
    p.model = model;
    p.width = o.width;
    p.height = o.height;
    p.given_faces = true;
    p.steps = o.steps;
    p.resolution = o.resolution;
    p.rung = o.rung;
    p.speech_s = o.frames / 25.0 + 1;
    const double start = ms_now_s();
    need(ms_session_create(&p, &s, &err));
    need(ms_session_open(s, &err));
    const double opened = ms_now_s();
    pass(s, &o, &c, &r);
    const double ended = ms_now_s();
    ms_session_info info;
    ms_session_get_info(s, &info);
    const size_t used = o.slot ? card_memory_most(watch) : told_used(&o);
    ms_session_destroy(&s);
    ms_model_close(&model);
    card_memory_end(&watch);
    if (r.out && fclose(r.out) != 0)
        need(ms_fail(&err, MS_IO, "%s: %s", o.out, strerror(errno)));
    if (r.wanted)
        fclose(r.wanted);
    free(r.line);
    clip_free(&c);
    const int windows = (o.frames + info.window_frames - 1) / info.window_frames;
    printf("hash=%016llx redrawn=%d rung=%s budget=%zu planned=%zu used=%zu recoveries=%d open_s=%.2f "
           "window_s=%.3f",
           (unsigned long long)r.hash, r.redrawn, ms_rung_name(info.rung), info.budget_bytes,
           info.planned_bytes, used, info.recoveries, opened - start, (ended - opened) / windows);
    if (o.compare)
        printf(" psnr=%.1f", r.squares > 0 ? 10 * log10(255.0 * 255.0 * r.samples / r.squares) : 999.0);
    printf("\n");
    return r.pulled == o.frames && r.redrawn > 0 ? 0 : 1;
}
