/* draw_mouths: training data from the drawn world. Faces as the networks see them,
   the mouths' truth, and speech. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "base/mem.h"
#include "options.h"
#include "pictures/align.h"
#include "world/talk.h"
#include "world/voice.h"
#include "world/world.h"

#define FPS 25
#define ROW_HZ 50
#define SPEECHES 2
#define MOUTH_VALUES 6
#define TRUTH_VALUES 12

typedef struct options {
    uint64_t seed;
    int clips, frames, seconds, resolution;
    talk_synth synth;
    const char *prefix;
} options;

static const char usage[] =
    "usage: draw_mouths -o PREFIX [OPTIONS]\n\n"
    "Each clip is a person who says two things with the same movements of the head. Files, numbers in the "
    "machine's\n"
    "order, one after the other:\n"
    "  PREFIX.faces   bytes [clips][2][frames][resolution][resolution][3], aligned as the pipeline does it\n"
    "  PREFIX.truth   float [clips][2][frames][12]: open, wide, round, press, tuck, tongue; opening and "
    "width of the\n"
    "                 mouth and its centre (x, y) in pixels of the aligned face; frame in the speech; seed\n"
    "  PREFIX.mouth   float [clips][2][50 * seconds][6]: the first six at (row + 1/2) / 50 s\n"
    "  PREFIX.speech  16-bit samples [clips][2][16000 * seconds]\n\n"
    "  -o, --out PREFIX       where to write\n"
    "      --seed N           of the first clip; the next ones count up (default 1)\n"
    "      --clips N          people (default 1)\n"
    "      --frames N         of a clip, in a row, from anywhere in the speech; 0: speech alone (default "
    "16)\n"
    "      --seconds N        of speech (default 3)\n"
    "      --synth NAME       babble (random syllables, the default), espeak (English) or mixed\n"
    "      --resolution PX    of a face (default 128)\n";

typedef struct output {
    FILE *faces, *truth, *mouth, *speech;
} output;

static ms_status put(FILE *file, const void *data, size_t bytes, ms_error *err) {
    if (fwrite(data, 1, bytes, file) == bytes)
        return MS_OK;
    return ms_fail(err, MS_IO, "the output cannot be written: %s", strerror(errno));
}

static FILE *create(const char *prefix, const char *kind, ms_error *err) {
    char path[4096];
    snprintf(path, sizeof(path), "%s.%s", prefix, kind);
    FILE *file = fopen(path, "wb");
    if (!file)
        ms_fail(err, MS_IO, "%s: cannot be created: %s", path, strerror(errno));
    return file;
}

/* What is drawn with, made once. */
typedef struct studio {
    ms_face_geometry geometry;
    size_t work_bytes;
    void *work;
    uint8_t *rgb, *face;
} studio;

static ms_status studio_open(studio *s, const options *o, int max_px, ms_error *err) {
    MS_TRY(ms_face_geometry_init(o->resolution, &s->geometry, err));
    size_t side = (size_t)o->resolution;
    s->work_bytes = ms_align_face_workspace_bytes(&s->geometry);
    s->work = ms_mem_alloc(NULL, MS_LEDGER_GENERAL, s->work_bytes);
    s->rgb = ms_alloc_array(NULL, MS_LEDGER_FRAMES, (size_t)max_px * (size_t)max_px, 3);
    s->face = ms_alloc_array(NULL, MS_LEDGER_FRAMES, side * side, 3);
    if (!s->work || !s->rgb || !s->face)
        return ms_fail_alloc(err, NULL, s->work_bytes, "a studio");
    return MS_OK;
}

static void studio_close(studio *s) {
    ms_mem_free(s->work);
    ms_mem_free(s->rgb);
    ms_mem_free(s->face);
}

static ms_status write_speech(const options *o, const output *out, const talk *t, ms_error *err) {
    for (int64_t i = 0; i < t->count; i++) {
        int16_t v = (int16_t)lrintf(t->samples[i] * 32767);
        MS_TRY(put(out->speech, &v, sizeof(v), err));
    }
    for (int row = 0; row < o->seconds * ROW_HZ; row++) {
        w_mouth mouth = speech_mouth(&t->said, ((float)row + 0.5f) / ROW_HZ);
        _Static_assert(sizeof(mouth) == MOUTH_VALUES * sizeof(float), "fields of w_mouth");
        MS_TRY(put(out->mouth, &mouth, sizeof(mouth), err));
    }
    return MS_OK;
}

/* One frame. The two speeches of a clip share the matrices: the mouth does not move what is aligned by. */
static ms_status write_frame(const options *o, const output *out, studio *s, world *w, const speech *said,
                             int frame, ms_align_state *state, ms_error *err) {
    w_moment now;
    w_face drawn;
    ms_face_record record;
    float points[3][2], affine[2][3];
    int width = w->canvas.width, height = w->canvas.height;
    double time_s = (frame + 0.5) / FPS;
    world_moment(w, time_s, &now);
    now.mouth = speech_mouth(said, (float)time_s);
    world_draw(w, &now, frame, s->rgb, &drawn);
    w_face_record(&drawn, frame, width, height, &record);
    ms_align_points((const float(*)[2])record.landmarks, points);
    MS_TRY(ms_align_affine(&s->geometry, (const float(*)[2])points, state, affine, err));
    ms_image_view view = {s->rgb, width, height, 3, (size_t)width * 3};
    ms_image face = {s->face, o->resolution, o->resolution, 3, (size_t)o->resolution * 3};
    MS_TRY(ms_align_face(&s->geometry, &view, (const float(*)[3])affine, &face, s->work, s->work_bytes, err));
    MS_TRY(put(out->faces, s->face, (size_t)o->resolution * (size_t)o->resolution * 3, err));

    float sx = (float)o->resolution / (float)s->geometry.crop_width,
          sy = (float)o->resolution / (float)s->geometry.crop_height,
          scale = hypotf(affine[0][0], affine[1][0]);
    float x = 0, y = 0;
    for (int i = 0; i < W_LIP_INNER; i++) {
        x += drawn.lip_inner[i].x / W_LIP_INNER;
        y += drawn.lip_inner[i].y / W_LIP_INNER;
    }
    float truth[TRUTH_VALUES];
    memcpy(truth, &now.mouth, sizeof(now.mouth));
    truth[6] = drawn.mouth_opening * scale * sy;
    truth[7] = drawn.mouth_width * scale * sx;
    truth[8] = (affine[0][0] * x + affine[0][1] * y + affine[0][2]) * sx;
    truth[9] = (affine[1][0] * x + affine[1][1] * y + affine[1][2]) * sy;
    truth[10] = (float)frame;
    truth[11] = (float)w->person.seed;
    return put(out->truth, truth, sizeof(truth), err);
}

static ms_status write_clip(const options *o, const output *out, studio *s, uint64_t seed, ms_error *err) {
    /* Videos come in all sizes: the aligned face is now smaller, now larger than it was in the picture. */
    static const int sizes[] = {384, 256, 320};
    int px = sizes[seed % 3];
    int64_t last = (int64_t)o->seconds * FPS - o->frames;
    int first = last > 0 ? (int)(seed * 2654435761u % (uint64_t)last) : 0;
    world *w = NULL;
    talk t = {0};
    ms_status status;
    MS_GOTO(world_create(NULL, seed, px, px, &w, err));
    for (int k = 0; k < SPEECHES; k++) {
        talk_request request = {.synth = o->synth,
                                .seed = seed * SPEECHES + (uint64_t)k,
                                .turn = w->person.voice_turn,
                                .seconds = (float)o->seconds};
        ms_align_state state = {0};
        MS_GOTO(talk_create(NULL, &request, &t, err));
        MS_GOTO(write_speech(o, out, &t, err));
        for (int i = 0; i < o->frames; i++)
            MS_GOTO(write_frame(o, out, s, w, &t.said, first + i, &state, err));
        talk_free(&t);
    }
fail:
    talk_free(&t);
    world_destroy(&w);
    return status;
}

static ms_status draw_mouths(const options *o, ms_error *err) {
    ms_status status;
    studio s = {0};
    output out = {0};
    MS_GOTO(studio_open(&s, o, 384, err));
    out.faces = create(o->prefix, "faces", err);
    out.truth = create(o->prefix, "truth", err);
    out.mouth = create(o->prefix, "mouth", err);
    out.speech = create(o->prefix, "speech", err);
    status = MS_IO;
    if (!out.faces || !out.truth || !out.mouth || !out.speech)
        goto fail;
    for (int i = 0; i < o->clips; i++)
        MS_GOTO(write_clip(o, &out, &s, o->seed + (uint64_t)i, err));
fail:;
    FILE *const files[] = {out.faces, out.truth, out.mouth, out.speech};
    for (int i = 0; i < 4; i++)
        if (files[i] && fclose(files[i]) != 0 && status == MS_OK)
            status = ms_fail(err, MS_IO, "%s: cannot be written: %s", o->prefix, strerror(errno));
    studio_close(&s);
    return status;
}

static bool take(void *state, int letter, const char *value) {
    options *o = state;
    switch (letter) {
    case 'o':
        o->prefix = value;
        return true;
    case 's':
        return seed_number(value, &o->seed);
    case 'c':
        return whole_number(value, 1, 1000000, &o->clips);
    case 'n':
        return whole_number(value, 0, 100000, &o->frames);
    case 't':
        return whole_number(value, 1, 30, &o->seconds);
    case 'y':
        return talk_synth_of(value, &o->synth);
    case 'r':
        return whole_number(value, MS_FACE_MIN_RESOLUTION, 512, &o->resolution);
    default:
        return false;
    }
}

int main(int argc, char **argv) {
    static const struct option names[] = {
        {"out", 1, NULL, 'o'},        {"seed", 1, NULL, 's'},    {"clips", 1, NULL, 'c'},
        {"frames", 1, NULL, 'n'},     {"seconds", 1, NULL, 't'}, {"synth", 1, NULL, 'y'},
        {"resolution", 1, NULL, 'r'}, {"help", 0, NULL, 'h'},    {NULL, 0, NULL, 0}};
    options o = {.seed = 1, .clips = 1, .frames = 16, .seconds = 3, .resolution = 128};
    int exit_code;
    if (!read_options(argc, argv, names, usage, take, &o, &exit_code))
        return exit_code;
    if (!o.prefix || o.frames > o.seconds * FPS) {
        fputs(usage, stderr);
        return ms_status_exit_code(MS_INVALID_ARGUMENT);
    }
    talk_request request = {.synth = o.synth};
    if (talk_fallback(&request))
        fprintf(stderr, "draw_mouths: %s\n", talk_fallback(&request));
    ms_error err;
    ms_error_clear(&err);
    ms_status status = draw_mouths(&o, &err);
    if (status != MS_OK)
        fprintf(stderr, "draw_mouths: %s\n", err.message);
    return ms_status_exit_code(status);
}
