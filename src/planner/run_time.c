#include "planner/run_time.h"

#include <math.h>

/* A detected frame's networks, as published: det_10g at 512x512 and 2d106det,
   multiplications and additions. */
#define DETECT_FLOPS 13.5e9
/* Of one thread for a pixel of the video, before the first run says better: decoding
   H.264 and converting; pasting a face back; converting and encoding H.264 at crf 18. */
#define READ_PIXEL_S 8e-9
#define PASTE_PIXEL_S 15e-9
#define WRITE_PIXEL_S 50e-9

ms_run_speed ms_run_speed_nominal(void) {
    ms_run_speed s = {.rates = {.conv_flops = 50e12,
                                .linear_flops = 50e12,
                                .attention_flops = 25e12,
                                .moved_bytes = 500e9,
                                .weight_bytes = 500e9,
                                .pack_bytes = 10e9,
                                .disk_bytes = 10e9,
                                .passes = 2e5}};
    for (int rung = 0; rung < MS_RUNG_COUNT; rung++)
        for (int i = 0; i < MS_STAGE_COUNT; i++)
            s.ratio[rung][i] = 1;
    return s;
}

static const ms_calibration *roofline_of(const ms_run_speed *speed) {
    return speed->roofline ? &speed->rates : NULL;
}

void ms_run_compute_window(const ms_run_speed *speed, const ms_engine *engine,
                           const ms_engine_program *program, double ret_s[MS_STAGE_COUNT]) {
    const ms_calibration *c = &speed->rates;
    ms_engine_work work = ms_engine_get_work(engine, program, roofline_of(speed));
    ms_engine_memory memory = ms_engine_get_memory(engine, program);
    double weights = (double)(memory.weight_bytes - memory.streamed_bytes);
    for (int i = 0; i < MS_STAGE_COUNT; i++)
        ret_s[i] = 0;
    ret_s[MS_STAGE_LOAD] = weights / c->pack_bytes + weights / c->disk_bytes;
    ret_s[MS_STAGE_AUDIO] = ms_network_seconds(&work.audio, c);
    ret_s[MS_STAGE_ENCODE] = ms_network_seconds(&work.encode, c);
    ret_s[MS_STAGE_DENOISE] = ms_network_seconds(&work.denoise, c);
    ret_s[MS_STAGE_DECODE] = ms_network_seconds(&work.decode, c);
}

double ms_run_cached_step(const ms_run_speed *speed, const ms_engine *engine,
                          const ms_engine_program *program) {
    ms_network_work full, cached;
    return ms_engine_get_steps(engine, program, roofline_of(speed), &full, &cached)
               ? ms_network_seconds(&cached, &speed->rates) / ms_network_seconds(&full, &speed->rates)
               : 1;
}

void ms_run_compute(const ms_run_speed *speed, const double window_s[MS_STAGE_COUNT], const ms_run_extent *e,
                    double ret_s[MS_STAGE_COUNT]) {
    double pixels = e->frames * e->width * e->height / e->threads;
    for (int i = 0; i < MS_STAGE_COUNT; i++)
        ret_s[i] = window_s[i] * e->windows;
    ret_s[MS_STAGE_LOAD] = window_s[MS_STAGE_LOAD];
    ret_s[MS_STAGE_AUDIO] = window_s[MS_STAGE_AUDIO] * ceil(e->speech_s / MS_RUN_SEGMENT_S);
    ret_s[MS_STAGE_FACES] = pixels * READ_PIXEL_S;
    if (!e->tracked)
        ret_s[MS_STAGE_FACES] +=
            e->frames * DETECT_FLOPS / (speed->host_flops > 0 ? speed->host_flops : speed->rates.conv_flops);
    ret_s[MS_STAGE_WRITE] = pixels * (PASTE_PIXEL_S + WRITE_PIXEL_S);
}

void ms_run_predict(const ms_run_speed *speed, ms_rung rung, const double computed_s[MS_STAGE_COUNT],
                    double ret_s[MS_STAGE_COUNT]) {
    for (int i = 0; i < MS_STAGE_COUNT; i++)
        ret_s[i] = computed_s[i] * speed->ratio[rung][i];
}

double ms_run_total_seconds(const double stage_s[MS_STAGE_COUNT], double windows) {
    double faces = stage_s[MS_STAGE_FACES], write = stage_s[MS_STAGE_WRITE],
           model = stage_s[MS_STAGE_ENCODE] + stage_s[MS_STAGE_DENOISE] + stage_s[MS_STAGE_DECODE];
    double longest = fmax(model, fmax(faces, write)), others = faces + model + write - longest;
    return stage_s[MS_STAGE_LOAD] + stage_s[MS_STAGE_AUDIO] + longest + others / fmax(windows, 1);
}

double ms_run_sum_seconds(const double stage_s[MS_STAGE_COUNT]) {
    double sum = 0;
    for (int i = 0; i < MS_STAGE_COUNT; i++)
        sum += stage_s[i];
    return sum;
}

double ms_run_window_seconds(const ms_run_speed *speed, const double window_s[MS_STAGE_COUNT]) {
    const double *ratio = speed->ratio[MS_RUNG_AUTO];
    double sum = 0;
    for (int i = MS_STAGE_ENCODE; i <= MS_STAGE_DECODE; i++)
        sum += window_s[i] * ratio[i];
    return sum;
}
