/*
 * The memory plan of a run, without running it: which rung of the ladder, what takes how much, and how
 * long it will take. Every number is computed from the networks' graphs as the run itself computes it.
 */
#ifndef MEMSAFE_PLAN_H
#define MEMSAFE_PLAN_H

#include "memsafe/run.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct ms_plan_params {
    /* The model: a folder, of which only the configs are read, or the shape of a published one
       ("latentsync-1.5", "latentsync-1.6", "tiny"). */
    const char *model, *shape;
    int width, height; /* of the video, pixels */
    int64_t frames;    /* of the output */
    double fps;
    bool turns; /* the speech is longer than the clip, which is then read backwards, too */
    int max_gap;
    int steps;
    double guidance;
    bool deepcache;
    int resolution; /* 0 = the model's */
    ms_paste paste;
    ms_precision precision;
    int threads; /* 0 = all */
    ms_profile_source profile;
    size_t budget_bytes;      /* 0 = by the profile, else what is free now less its margin */
    size_t host_budget_bytes; /* on the CPU the lesser of the two holds */
    bool allow_downscale;     /* as ms_run_params */
    ms_rung rung;
    ms_output_codec codec;
    bool tracked;        /* faces come from a track file: no networks find them */
    const char *history; /* as ms_run_params has it */
    /* As ms_run_params has it. "dummy" is one of device_bytes that is not here, of which sizes are
       known and no times. Weights and activations are the device's, the rest is the host's. */
    const char *device;
    size_t device_bytes; /* of a device that is not here; else 0 */
    /* A CUDA card that is not here, of device_bytes: its architecture, like "sm_86"; device must be NULL or
       "cuda". Times are then an estimate by what the maker says of a card of that architecture and memory. */
    const char *arch;
} ms_plan_params;

/* 1280x720 at 25 frames a second for 10 seconds, otherwise ms_run's defaults. */
MS_API void ms_plan_params_init_sized(ms_plan_params *ret_params, size_t params_bytes);
static inline void ms_plan_params_init(ms_plan_params *ret_params) {
    ms_plan_params_init_sized(ret_params, sizeof(*ret_params));
}

#define MS_PLAN_PHASES 8 /* at most */

typedef struct ms_plan_phase {
    const char *name;
    size_t arena_bytes, lower_bound_bytes;
    int operations;
    double tflop; /* of one run of the network */
} ms_plan_phase;

typedef struct ms_plan_report {
    ms_rung rung;
    int resolution, window_frames;
    int wanted_resolution;                  /* more than resolution when allow_downscale had to lower it */
    int vae_encode_batch, vae_decode_batch; /* pictures at a time */
    int attention_parts;                    /* 0 = attention is not cut by itself */
    bool serial_branches;
    int64_t slice_frames, slice_pixels; /* 0 = not sliced */
    int64_t stripe_rows;                /* of pictures in the VAE; 0 = whole pictures */
    char precision[12], tier[16];
    /* Bytes. On the cpu, peak is the sum of them all. On another device peak is the sum of the second line,
       and host_bytes that of the first. face: networks that find faces, an estimate where the model's folder
       has none; they run on the host. buffer: between the networks; the plans. cache: of latents, of what the
       rest leaves. */
    size_t process_bytes, codec_bytes, frame_bytes, face_bytes, buffer_bytes, cache_bytes;
    size_t arena_bytes, resident_bytes, stream_bytes;
    size_t device_own_bytes; /* of the second line too: what an open device takes itself; 0 on the cpu */
    size_t launch_bytes;     /* of the second line too: what is captured to be launched again; 0 on the cpu */
    /* Of the second line too: a window's latents, condition, speech, DeepCache's tensor */
    size_t latent_bytes;
    size_t peak_bytes, budget_bytes, least_bytes; /* least: the smallest budget that works */
    size_t host_bytes;                            /* besides the device; 0 on the cpu */
    size_t weight_bytes, streamed_bytes;
    int n_phases;
    ms_plan_phase phase[MS_PLAN_PHASES];
    int64_t windows;
    /* Predicted seconds, 0 for a device of which nothing is known ("dummy"): of a full window's
       encode, denoise and decode; of the run's stages; of the run. */
    double window_s, stage_s[MS_STAGE_ROOM], total_s;
    char history_warning[256]; /* what was wrong with the history; empty = nothing */
    int history_runs;          /* earlier runs by which the seconds of denoising are corrected; 0 = none */
    /* Without turns: how much more of the host's memory a run takes whose clip is read backwards
       after all, be it for the two frames after the speech. Not part of the other sums. */
    size_t turns_bytes;
    int margin_percent; /* of the memory that the profile leaves alone; 0 where a budget was named */
    /* Of an architecture that was named: the card that stands for it, by whose published figures the
       times are estimated. card_measured: the history has measurements of one of that name, and times are
       by those. Empty: they are by measurements of this machine. */
    char card[64];
    bool card_measured;
} ms_plan_report;

/*
 * MS_INVALID_ARGUMENT: a number or an enumeration's value that cannot be, or params or ret_report is
 * NULL. MS_BUDGET when nothing fits; the outputs then describe the least plan all the same. ret_svg:
 * a drawing of the memory over a window, to be freed with ms_plan_free_svg(); NULL = none wanted.
 */
MS_API ms_status ms_plan_run_sized(const ms_plan_params *params, size_t params_bytes,
                                   ms_plan_report *ret_report, size_t report_bytes, char **ret_svg,
                                   ms_error *err);
static inline ms_status ms_plan_run(const ms_plan_params *params, ms_plan_report *ret_report, char **ret_svg,
                                    ms_error *err) {
    return ms_plan_run_sized(params, sizeof(*params), ret_report, sizeof(*ret_report), ret_svg, err);
}
MS_API void ms_plan_free_svg(char **svg);

/*
 * The budget that such a run gets, in bytes of the device's memory: ms_plan_report.budget_bytes, with nothing
 * planned. Model and shape are not looked at. Errors as ms_plan_run(), but MS_BUDGET.
 */
MS_API ms_status ms_plan_budget_sized(const ms_plan_params *params, size_t params_bytes, size_t *ret_bytes,
                                      ms_error *err);
static inline ms_status ms_plan_budget(const ms_plan_params *params, size_t *ret_bytes, ms_error *err) {
    return ms_plan_budget_sized(params, sizeof(*params), ret_bytes, err);
}

#ifdef __cplusplus
}
#endif
#endif
