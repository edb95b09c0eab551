/* lipsync MODEL CLIP...: loads a model once, redraws clips with it, a session each. A clip is a folder with
   frames.ppm (of one size), speech.raw (16 kHz, mono, floats, up to 60 s), faces.txt (106 points a frame). */
#include <memsafe/memsafe.h>
#include <stdio.h>
#include <stdlib.h>

static ms_error err;
static float speech[16000 * 60], points[MS_SESSION_LANDMARKS][2];
static unsigned char rgb[4096 * 2160 * 3];

static void need(bool works) {
    if (!works)
        exit((fprintf(stderr, "lipsync: %s\n", err.code ? err.message : "a bad file"), EXIT_FAILURE));
}

static FILE *file_of(const char *clip, const char *name, const char *mode) {
    char path[4096];
    snprintf(path, sizeof(path), "%s/%s", clip, name);
    return fopen(path, mode);
}

static void redraw(ms_session_params p, const char *clip) {
    FILE *in = file_of(clip, "frames.ppm", "rb"), *sound = file_of(clip, "speech.raw", "rb");
    FILE *faces = file_of(clip, "faces.txt", "r"), *out = file_of(clip, "out.ppm", "wb");
    ms_session *s = NULL;
    ms_session_frame frame = {.pixels = rgb, .landmarks = (const float(*)[2])points}, done;
    need(in && sound && faces && out && fscanf(in, "P6 %d %d 255%*c", &p.width, &p.height) == 2);
    need(p.width <= 4096 && p.height <= 2160 && ms_session_create(&p, &s, &err) == MS_OK);
    need(ms_session_open(s, &err) == MS_OK);
    ms_session_progress start;
    ms_session_get_progress(s, &start);
    printf("%s: the session was open after %.4f s\n", clip, start.seconds);
    need(!ms_session_push_speech(s, speech, (int64_t)fread(speech, 4, 16000 * 60, sound), &err));
    need(fgetc(sound) == EOF && ms_session_end_speech(s, &err) == MS_OK);
    for (bool more = true, taken = true, got = true; !ms_session_ended(s); got = true) {
        for (int i = 0; more && i < 2 * MS_SESSION_LANDMARKS; i++)
            need(fscanf(faces, "%f", &points[i / 2][i % 2]) == 1);
        need(!more || fread(rgb, (size_t)p.width * 3, (size_t)p.height, in) == (size_t)p.height);
        need((more ? ms_session_push(s, &frame, &taken, &err) : ms_session_end(s, &err)) == MS_OK && taken);
        more = more && fscanf(in, "P6 %d %d 255%*c", &p.width, &p.height) == 2;
        while (ms_session_pull(s, &done, &got, &err) == MS_OK && got)
            need(fprintf(out, "P6 %d %d 255\n", p.width, p.height) > 0 &&
                 fwrite(done.pixels, (size_t)p.width * 3, (size_t)p.height, out) == (size_t)p.height);
        need(err.code == MS_OK);
    }
    ms_session_destroy(&s);
    need(!fclose(in) && !fclose(sound) && !fclose(faces) && !fclose(out));
}

int main(int argc, char **argv) {
    ms_model_params m;
    ms_session_params s;
    ms_model_params_init(&m), ms_session_params_init(&s);
    m.no_faces = s.given_faces = true, m.budget_bytes = (size_t)256 << 20, s.steps = 4;
    need(argc > 2 && (m.model = argv[1], ms_model_open(&m, &s.model, &err)) == MS_OK);
    for (int i = 2; i < argc; i++)
        redraw(s, argv[i]);
    ms_model_close(&s.model);
}
