/*
 * The whole job: a talking-head video and speech in, the lip-synced video out.
 */
#ifndef MEMSAFE_RUN_H
#define MEMSAFE_RUN_H

#include <stdbool.h>
#include <stddef.h>

#include "memsafe/memory.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef enum ms_precision {
    MS_PRECISION_AUTO, /* by the device's tier; that of the job, where it was begun elsewhere */
    MS_PRECISION_FP32, /* weights as the checkpoint stores them */
    MS_PRECISION_FP16,
    MS_PRECISION_BF16,
} ms_precision;

typedef enum ms_output_codec {
    MS_OUTPUT_H264, /* .mp4 .m4v .mov .mkv */
    MS_OUTPUT_HEVC, /* the same */
    MS_OUTPUT_FFV1, /* .mkv .mov .avi: holds the exact RGB frames */
} ms_output_codec;

/* What the video shows when the audio is longer. */
typedef enum ms_loop_mode {
    MS_LOOP_MODE_PINGPONG, /* forward, backward, forward: what the reference does */
    MS_LOOP_MODE_REPEAT,
    MS_LOOP_MODE_HOLD, /* the last frame stays */
    MS_LOOP_MODE_NONE, /* the output ends with the video */
} ms_loop_mode;

typedef enum ms_audio_output {
    MS_AUDIO_OUTPUT_ORIGINAL, /* the given track: copied where the container can hold it, else AAC at its own
                                 rate */
    MS_AUDIO_OUTPUT_SPEECH,   /* what the model heard, 16 kHz mono: what the reference writes */
    MS_AUDIO_OUTPUT_NONE,
} ms_audio_output;

/* How much of a redrawn face goes back into its frame. */
typedef enum ms_paste {
    MS_PASTE_FACE, /* all of it: what the reference does */
    /* what the model was asked for, the lower half: every other pixel stays as it was, bit for bit */
    MS_PASTE_MOUTH,
    MS_PASTE_COUNT
} ms_paste;
MS_API const char *ms_paste_name(ms_paste paste); /* "face", "mouth" */

/* The parts of a run that are timed and predicted. */
typedef enum ms_stage {
    MS_STAGE_LOAD,  /* opening files, reading and packing weights */
    MS_STAGE_AUDIO, /* speech features */
    MS_STAGE_FACES, /* decoding frames, finding and aligning faces */
    MS_STAGE_ENCODE,
    MS_STAGE_DENOISE,
    MS_STAGE_DECODE,
    MS_STAGE_WRITE, /* pasting back, encoding */
    MS_STAGE_COUNT
} ms_stage;
#define MS_STAGE_ROOM 16 /* of arrays that have an element for each, so that there may be more */
/* for programs: "load", "audio", ...; they stay as they are */
MS_API const char *ms_stage_name(ms_stage stage);
MS_API const char *ms_stage_text(ms_stage stage); /* for people: "reading model", "listening", ... */

/* Moments of faces that the VAE's encoder made are kept for when the same face comes again
   (docs/latent_cache.md). */
typedef enum ms_latent_cache_mode {
    MS_LATENT_CACHE_EXACT, /* what comes back is the same to the last bit */
    MS_LATENT_CACHE_OFF,
    MS_LATENT_CACHE_LOSSY, /* smaller, and not quite the same */
} ms_latent_cache_mode;

/* The ladder: how far a run is cut up to fit its memory. The same bits come out on every rung. */
typedef enum ms_rung {
    MS_RUNG_AUTO, /* the fastest that fits */
    MS_RUNG_FULL,
    MS_RUNG_BATCH,
    MS_RUNG_SERIAL,
    MS_RUNG_SLICES,
    MS_RUNG_TILES,
    MS_RUNG_STREAM_PART,
    MS_RUNG_STREAM_ALL,
    MS_RUNG_SINGLE_FRAME,
    MS_RUNG_COUNT
} ms_rung;

MS_API const char *ms_rung_name(ms_rung rung);  /* "auto", "full", "batch", ... */
MS_API ms_rung ms_rung_named(const char *name); /* MS_RUNG_AUTO when there is none of that name */
MS_API const char *ms_rung_text(ms_rung rung);  /* what it does, in a few words */

typedef struct ms_run_progress {
    const char *stage;    /* ms_stage_name(): what the windows' thread does or waits for */
    int64_t frames_done;  /* output frames written */
    int64_t frames_total; /* 0 = not known */
    /* Within the stage of the current window: steps, pictures; of loading, bytes. parts 0 = not counted. */
    int64_t part, parts;
    double seconds; /* since the start */
    /* of the whole job's time, what earlier runs did included: 0 to 1, never falls; negative = not known */
    double fraction;
    double eta_s; /* until the end; negative = not known */
} ms_run_progress;

#define MS_RUN_PREVIEW_WINDOW (-1) /* as many as the model redraws at a time */
#define MS_RUN_MAX_PREVIEW_FRAMES 100000
#define MS_RUN_MAX_TIME_US INT64_C(3600000000000000) /* a million hours */
#define MS_RUN_MAX_SINK_FRAMES 65536
#define MS_RUN_MAX_PARTS 1000000
#define MS_RUN_MAX_FRAMES INT64_C(2147483647) /* of an output that is asked for */

/* Where the policy of a run comes from, each over the ones before it (docs/memory.md, "The profile"): the
   tier, a file, MEMSAFE_* variables, settings. */
typedef struct ms_profile_source {
    /* by name; NULL or "auto" = by the budget where one is set, else by the memory there is */
    const char *tier;
    const char *file;            /* YAML or JSON; NULL = none */
    bool file_optional;          /* a file that is not there is no error */
    bool environment;            /* look at the variables */
    const char *const *settings; /* "field=value" */
    int n_settings;
    /* What tier and settings are called where a message or a report says where a value comes from; NULL =
       "tier" and "settings". At most 23 bytes are kept. */
    const char *tier_called, *settings_called;
} ms_profile_source;

/* What becomes of the video outside a range (docs/ranges.md). */
typedef enum ms_rest {
    MS_REST_CUT,  /* the output is the range alone */
    MS_REST_KEEP, /* it passes through, with its own sound; the output is as long as the video */
} ms_rest;

/* What of a job a call does. A job that is made in parts gives the file that it gives in one piece, to the
   last byte, in whatever order and by however many its segments are made. */
typedef enum ms_run_work {
    MS_RUN_WORK_ALL,
    MS_RUN_WORK_SPLIT, /* finds the faces, which decide how the job is cut; redraws nothing */
    /* makes segments of a job that was split; others may make more of them at the same time, with the same
       parameters, budgets, threads and rung excepted */
    MS_RUN_WORK_PART,
    MS_RUN_WORK_JOIN, /* the output is made of the segments, which are all there */
} ms_run_work;

struct ms_run_report;

typedef struct ms_run_params {
    const char *video; /* a file, or numbered pictures like "frame_%04d.png", whose rate is fps */
    const char *audio;
    const char *output; /* may be NULL when there is a frame_sink */

    /* The model: a folder like the official `checkpoints/`, and parts that replace the folder's. Or one that
       is loaded already (memsafe/model.h), borrowed: then these, precision, threads, profile, budgets and
       device are the model's, and stay as ms_run_params_init() made them here. */
    const char *model;
    const char *config, *unet, *vae, *whisper, *faces;
    struct ms_model *loaded; /* NULL = none */

    const char *track; /* JSON lines with faces, in place of detecting; NULL = detect */
    int face;          /* number of the track to redraw, -1 = the largest face */
    int max_gap;       /* frames without a face that are bridged */

    bool allow_truncated; /* take an input that is cut off as far as it goes, in place of MS_BAD_MEDIA */

    uint64_t seed;
    int steps;
    double guidance;
    bool deepcache;
    int resolution; /* 0 = the model's */
    ms_paste paste;
    ms_precision precision;
    int threads; /* 0 = all; at most four for each CPU, 16 are always allowed */

    ms_profile_source profile;
    /* Of memory that the process may come to hold, runs that are under way in it with their budgets included:
       a second one needs a larger budget, else it is refused (MS_BUDGET). 0 = by the profile, else what is
       free now less its margin. */
    size_t budget_bytes;
    /* Likewise of the host's. On the CPU device memory is the host's, and the lesser of the two holds. */
    size_t host_budget_bytes;
    /* Where the networks run: "cpu"; NAME or NAME:N, the N-th device of a back end, which may be a plug-in;
       NULL or "auto": the best of this machine. Text is copied or not needed afterwards. */
    const char *device;
    /* When nothing fits: a lower resolution, the largest multiple of 64 from 128 on that does. */
    bool allow_downscale;
    ms_rung rung;
    /* scripted memory pressure in place of the system's, for tests; NULL = watch the system */
    const char *pressure_trace;

    ms_latent_cache_mode latent_cache;
    const char *latent_cache_dir; /* for later runs over the same video; NULL = in memory, for looped clips */
    uint64_t latent_cache_bytes;  /* most that the folder may hold; 0 = 2 GiB */
    int latent_rank;              /* 1 to 100 % of the SVD; 0 = the tier's, 100 = no SVD */

    int fps_num, fps_den; /* of the output, 0.01 to 1000; num 0 = the video's own */
    ms_loop_mode loop;
    int64_t frames; /* at most so many output frames, up to MS_RUN_MAX_FRAMES; 0 = all */

    /* The part of the video that is redrawn, from the frame nearest to a time on; the speech begins with it.
       In microseconds; duration 0 = as long as speech and video go. */
    int64_t start_us, duration_us;
    ms_rest rest;
    int64_t audio_start_us; /* of the speech that is left out at its beginning */

    /* Not the whole job but its first frames with a face, so many or MS_RUN_PREVIEW_WINDOW: the video on the
       left and what the job makes of it on the right, to the last bit. Frames before the first face are left
       out. Needs an output, and cannot be resumed. 0 = no preview. */
    int64_t preview_frames;

    ms_output_codec codec;
    bool tonemap; /* HDR (PQ, HLG) becomes an ordinary picture, BT.709; without it, HDR is kept in HEVC and
                     MS_UNSUPPORTED else. The sink gets a view of what is kept (docs/media.md) */
    int crf;
    ms_audio_output audio_output;
    /* What the output must be stored as, by FFmpeg's names ("yuv420p", "aac"); NULL = whatever it comes to
       be. A choice these are not: where it is something else, MS_UNSUPPORTED before any work says what it
       is. */
    const char *pixel_format, *sound_codec;
    bool no_metadata; /* the output has no comment, and neither title nor chapters of the video */
    bool force;       /* replace an existing output, and an unfinished job for it */

    /*
     * The output is made in segments of so many frames, each encoded for itself, in the folder
     * OUTPUT.memsafe; they are joined at the end and the folder goes. A run that ends early, killed or by an
     * error, leaves the finished ones, and the faces of the windows that it had finished since.
     * 0 = 64. Part of what decides the file's bits.
     */
    int64_t segment_frames;
    /* Go on with an unfinished job of the same parameters: the file comes out as from one run. Begins anew
       when there is none, and does nothing when the output is there and is known to be the same job's:
       already_finished in the report. Budget, threads and rung may be others. */
    bool resume;

    /* File in which predicted and measured memory and times of runs are kept: predictions are corrected by
       it, the result never depends on it. NULL = none; without it, the machine's speed is measured for a
       quarter of a second. */
    const char *history;

    /*
     * Gets every finished frame in order, as soon as its window is done: [height][width][3] bytes of RGB that
     * are valid during the call. In place of a file (output NULL) or beside one. Anything but MS_OK ends the
     * run with that status; MS_CANCELLED is the way to say that enough were seen. Called on a thread of the
     * run's, one call at a time. A run that goes on with an unfinished job does not give the frames that were
     * finished before; segments in the middle that were damaged come last. NULL = none.
     */
    ms_status (*frame_sink)(void *arg, int64_t frame, const uint8_t *rgb, int width, int height);
    void *sink_arg;
    /* that the sink keeps at most, copies of its own: counted in the plan and in the budget */
    int sink_frames;

    /* Called once when the plan is made and before the model is read: the report with tier, precision,
       resolution, rung, budget, what is planned, the output's size and rate and the notes filled in. NULL =
       not. */
    void (*planned)(void *arg, const struct ms_run_report *report);
    /* Called from the calling thread, several times a second from when the plan is made; NULL = not. */
    void (*progress)(void *arg, const ms_run_progress *progress);
    /* Asked often; true ends the run with MS_CANCELLED. NULL = never. */
    bool (*cancelled)(void *arg);
    void *arg;

    ms_run_work work;
    /* With MS_RUN_WORK_PART: numbers of the segments that this call makes, in that order, from 0 to before
       ms_run_report.segments, each once (else MS_INVALID_ARGUMENT); those that are finished already are left
       as they are. NULL: all that are missing. Borrowed. */
    const int64_t *segments;
    int64_t n_segments;
    /* Or the part-th, from 1 on, of so many parts alike in length, up to MS_RUN_MAX_PARTS; 0 = not so. */
    int part, parts;
    /* One segment after the other that nobody else is making, until all of them, or of the numbered part, are
       finished: what another began is waited for, and taken over when that other has died (docs/streaming.md,
       "Leases"). */
    bool share;
} ms_run_params;

/* The documented defaults: MEMSAFE_* variables are looked at; seed 1247, 20 steps, guidance 1.5, 25 frames a
   second, ping-pong, H.264 at crf 18. */
MS_API void ms_run_params_init_sized(ms_run_params *ret_params, size_t params_bytes);
static inline void ms_run_params_init(ms_run_params *ret_params) {
    ms_run_params_init_sized(ret_params, sizeof(*ret_params));
}

/* A change of the layout under way because others took memory, or gave it back. */
typedef struct ms_run_change {
    int64_t frame;       /* output frame before which it happened */
    double seconds;      /* since the start */
    char level[12];      /* of pressure: "none", "low", "high", "critical" */
    ms_rung rung;        /* from then on */
    uint64_t read_bytes; /* of weights, that the layout before it did not keep in memory */
    char reason[160];
} ms_run_change;
#define MS_RUN_MAX_CHANGES 32

/* A layout that the planner looked at. */
typedef struct ms_run_choice {
    ms_rung rung;
    int vae_batch;
    size_t peak_bytes;                               /* of the whole process */
    size_t whole_bytes;                              /* the same with all weights in memory */
    double window_s;                                 /* predicted time of a full window */
    int64_t slice_frames, slice_pixels, stripe_rows; /* as in ms_run_report */
    bool fits;
    bool taken; /* at most one; none when its memory was not to be had (fell_back) */
} ms_run_choice;
#define MS_RUN_MAX_CHOICES 32

/* What the latent cache did. */
typedef struct ms_run_latents_report {
    char state[12]; /* "memory", "folder", or why there was none: "off", "no loop", "no room" */
    bool lossy;
    int64_t hits, misses;    /* faces found, faces that went through the encoder; 0 without a cache */
    int64_t blocks, dropped; /* kept or found; not kept, or damaged */
    uint64_t raw_bytes, stored_bytes; /* of the blocks: their quotient is the ratio */
    size_t capacity_bytes;            /* in memory */
    double psnr_db;                   /* infinite where nothing is lost */
    double seconds;                   /* spent in the cache; part of the encode stage */
} ms_run_latents_report;

/*
 * Something that the output will not have as the input has it, known before the work (docs/media.md, "What is
 * lost").
 */
typedef struct ms_run_note {
    char code[16];  /* "frame-rate", "alpha", ...: stable, for programs */
    char text[240]; /* a sentence without its full stop */
    ms_hint hint;   /* the parameter that decides it, or MS_HINT_NONE */
} ms_run_note;
#define MS_RUN_MAX_NOTES 16

/* A file of the model that was used, and what tells it from another: size, time of change and a checksum of
   all of it. */
typedef struct ms_run_model_file {
    char part[20]; /* "UNet", "VAE", "Whisper", "face detector", "landmark net" */
    char path[512];
    char identity[128];
} ms_run_model_file;
#define MS_RUN_MODEL_FILES 8 /* at most */

/* How sure the face nets were; NAN where a track file says where faces are. */
typedef struct ms_run_faces_report {
    double score;  /* the detector's, in the mean: 0.5 is the least that counts as a face, 1 certain */
    double jitter; /* how far landmarks move on their own from frame to frame, a part of the face's width */
    /* why the faces may be none, a sentence without its full stop; empty = nothing to doubt */
    char doubt[240];
} ms_run_faces_report;

typedef struct ms_run_report {
    int64_t frames, frames_without_face, frames_interpolated, windows;
    /* Of windows: those that this run computed, and those that an earlier run had before their segment was
       finished. */
    int64_t windows_computed, windows_kept;
    int64_t frames_resumed; /* of frames, those that an earlier run had finished */
    int64_t faces_resumed;  /* of frames behind those: that it had redrawn, as was found at the start */
    bool already_finished;  /* resume found the output of the same job: nothing was done */
    /* What of an unfinished job was damaged and made again, or why a kill costs more than a window; empty =
       nothing. */
    char job_note[160];
    int64_t video_frames;       /* of the input that were used */
    int64_t preview_first;      /* of a preview: the first of the job's output frames that it shows */
    int64_t whole_frames;       /* that the job itself would have; 0 = not known, or no preview */
    double whole_s;             /* what they would take, by what the preview took */
    int64_t range_first;        /* frame of the video where the range begins: 0 without one */
    int64_t frames_kept;        /* of frames, those outside the range: with MS_REST_KEEP */
    int64_t source_frames_lost; /* of a damaged input */
    /* After a failure these and fps alone are filled in: frames of finished segments, and those whose
       redrawn faces are there, which resume would take over; and frames that were made and are not among
       them. */
    int64_t frames_resumable, frames_dropped;
    int width, height; /* of the output: even in H.264 and HEVC, whatever the video's */
    int resolution;
    int wanted_resolution;                  /* more than resolution when allow_downscale had to lower it */
    int vae_encode_batch, vae_decode_batch; /* pictures at a time */
    double fps;
    char precision[12], tier[16];
    char model[64]; /* its name: that of the folder, or of the UNet's file */
    int n_model_files;
    ms_run_model_file model_file[MS_RUN_MODEL_FILES];
    char video_codec[16], codec_library[24]; /* "h264"; version of libavcodec */
    ms_rung rung;
    size_t budget_bytes, planned_bytes, peak_resident_bytes; /* planned: the peak that was predicted */
    /* Of the host beside a device with memory of its own, whose are then budget_bytes and planned_bytes; else
       0. device_peak_bytes: what that device had in the end at most. */
    size_t host_budget_bytes, host_planned_bytes, device_peak_bytes;
    char device[128]; /* as it describes itself */
    /* streamed: of the weights, what did not stay in memory */
    size_t arena_bytes, weight_bytes, streamed_bytes;
    /* to stay in memory: once each, unless the layout changed; see ms_run_change */
    uint64_t weights_read_bytes;
    double planned_window_s; /* predicted time of a full window */
    /* predicted before the first window; all 0 when the length was not known */
    double planned_s[MS_STAGE_ROOM];
    double planned_total_s;      /* of those: finding faces and writing go on beside the model */
    double planned_left_s;       /* of that, what was still to be done when the run began; 0 = not known */
    int64_t planned_frames;      /* output frames that were expected; 0 = not known */
    int64_t frames_after_speech; /* of those, the last, which begin when the speech is over: up to two */
    char history_warning[256];   /* what was wrong with the history; empty = nothing */
    int recoveries; /* allocations that failed on the way, and were got over with a smaller layout */
    /* memory for the layout that was chosen was not to be had: rung, planned_bytes and how it is cut up are
       of the one that it began with, choice[] is what was compared */
    bool fell_back;
    int n_changes; /* the first MS_RUN_MAX_CHANGES are kept */
    ms_run_change change[MS_RUN_MAX_CHANGES];

    int n_notes; /* filled in before `planned` is called */
    ms_run_note note[MS_RUN_MAX_NOTES];

    /* Why it ran as it did, and how it was cut up at the start. */
    char tier_reason[96];   /* "the device has 23.54 GiB" */
    char budget_reason[96]; /* "as asked for" */
    int n_choices;          /* in the order of the ladder; a rung that was forced is the only one */
    ms_run_choice choice[MS_RUN_MAX_CHOICES];
    int window_frames; /* at a time */
    bool serial_branches;
    int64_t slice_frames, slice_pixels; /* 0 = not sliced */
    int64_t stripe_rows;                /* of pictures in the VAE; 0 = whole pictures */
    /* Of planned_bytes; with arena_bytes they are its sum. */
    size_t resident_bytes, stream_bytes, buffer_bytes, other_bytes;
    size_t planned_streamed_bytes; /* of the weights, as streamed_bytes */
    size_t ledger_peak_bytes[MS_LEDGER_ROOM];
    int n_samples; /* memory over time, oldest first */
    ms_memory_sample sample[MS_MEMORY_SAMPLES];

    ms_run_faces_report faces;
    ms_run_latents_report latents;
    /* Faces and write are the busy time of two threads that run beside the rest: the sum is more than
       seconds. */
    double seconds, stage_s[MS_STAGE_ROOM];
    /* Earlier runs by which the seconds of denoising were corrected when it was planned; 0 = none. */
    int history_runs;
    int64_t segments, segments_finished; /* of the job; of those, by whoever, as far as this run knows */
} ms_run_report;

/*
 * Errors: MS_INVALID_ARGUMENT (a parameter), MS_BUDGET (the message says what would be enough), MS_IO (a file
 * is missing, not readable or not writable, the disk is full), MS_BAD_MEDIA (not a video, no sound in the
 * audio, cut off), MS_NO_FACE (not one usable face in the whole video), MS_BAD_MODEL, MS_HOST_MEMORY,
 * MS_CANCELLED, MS_UNSUPPORTED (made without FFmpeg, or no such encoder). On failure nothing is left under
 * the output's name; finished segments and windows are kept in OUTPUT.memsafe, and the message says so.
 * MS_DAMAGED: the unfinished job is, or is of another version; it stays unless resume and force are both set.
 * MS_IO also: an unfinished job is there and neither resume nor force is set. MS_INVALID_ARGUMENT also:
 * resume, and the job has another parameter. MS_UNSUPPORTED also: resume of finished segments in a build
 * without SQLite. work: MS_IO also: no such job was split; a segment that joining needs is missing.
 * MS_DAMAGED: joining met one that is damaged or of another job; the message names it.
 * ret_report may be NULL.
 */
MS_API ms_status ms_run_sized(const ms_run_params *params, size_t params_bytes, ms_run_report *ret_report,
                              size_t report_bytes, ms_error *err);
static inline ms_status ms_run(const ms_run_params *params, ms_run_report *ret_report, ms_error *err) {
    return ms_run_sized(params, sizeof(*params), ret_report, sizeof(*ret_report), err);
}

/*
 * The report as a page for people: what was chosen and why, memory over time against plan and budget, where
 * the time went. One file without references to others. ret_html: text, to be freed with ms_mem_free().
 * MS_HOST_MEMORY.
 */
MS_API ms_status ms_run_report_html_sized(const ms_run_params *params, size_t params_bytes,
                                          const ms_run_report *report, size_t report_bytes, char **ret_html,
                                          ms_error *err);
static inline ms_status ms_run_report_html(const ms_run_params *params, const ms_run_report *report,
                                           char **ret_html, ms_error *err) {
    return ms_run_report_html_sized(params, sizeof(*params), report, sizeof(*report), ret_html, err);
}

#ifdef __cplusplus
}
#endif
#endif
