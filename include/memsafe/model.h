/*
 * A model that is loaded once: networks on a device under a memory budget. Sessions (memsafe/session.h) and
 * runs (ms_run_params.loaded) use it one after the other; weights that the next one needs are not read again.
 *
 *   ms_model_params p;
 *   ms_model_params_init(&p);
 *   p.model = "checkpoints", p.budget_bytes = (size_t)8 << 30;
 *   ms_model_open(&p, &model, &err);
 *   ... sessions, runs ...
 *   ms_model_close(&model);
 */
#ifndef MEMSAFE_MODEL_H
#define MEMSAFE_MODEL_H

#include "memsafe/run.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct ms_model ms_model;

typedef struct ms_model_params {
    /* A folder like the official `checkpoints/`, and parts that replace the folder's. */
    const char *model;
    const char *config, *unet, *vae, *whisper, *faces;
    bool no_faces; /* without the face networks: whoever uses it says where faces are */

    /* as ms_run_params has it: "cpu", NAME, NAME:N; NULL or "auto" = the best of this machine */
    const char *device;
    int threads; /* 0 = all; at most four for each CPU, 16 are always allowed */
    ms_precision precision;
    ms_profile_source profile;
    /* Of memory that the process may come to hold, as ms_run_params has them. They hold for whatever uses the
       model; what the model has loaded is part of them. */
    size_t budget_bytes, host_budget_bytes;
} ms_model_params;

/*
 * A budget is the whole process's. While a session or run uses a model, its budget counts as held for runs,
 * detections and other models beside it; while nobody does, only what it holds counts. In turn a session that
 * opens while others are under way gets what the model's budget leaves beside theirs, or MS_BUDGET. Name one
 * (budget_bytes) that leaves room for what shall go on beside it.
 *
 * One thread at a time may call the functions of a model and of what uses it; a second one is refused
 * (MS_INVALID_ARGUMENT), not served.
 */

/* MEMSAFE_* variables are looked at; otherwise all zero. */
MS_API void ms_model_params_init_sized(ms_model_params *ret_params, size_t params_bytes);
static inline void ms_model_params_init(ms_model_params *ret_params) {
    ms_model_params_init_sized(ret_params, sizeof(*ret_params));
}

/*
 * Opens the device and looks at the files: their configs, not their weights, which the first session or run
 * reads. Text in params is copied or not needed afterwards. MS_INVALID_ARGUMENT (a parameter), MS_BAD_MODEL
 * (a file or what a config says), MS_IO, MS_UNSUPPORTED (the device), MS_BUDGET (others in this process may
 * take all of the budget), MS_HOST_MEMORY, MS_DEVICE_MEMORY.
 */
MS_API ms_status ms_model_open_sized(const ms_model_params *params, size_t params_bytes, ms_model **ret_model,
                                     ms_error *err);
static inline ms_status ms_model_open(const ms_model_params *params, ms_model **ret_model, ms_error *err) {
    return ms_model_open_sized(params, sizeof(*params), ret_model, err);
}

/* Sessions must have been closed. */
MS_API void ms_model_close(ms_model **model);

/* Gives back the memory of weights and face networks; whoever uses the model next reads them again. A file
   that has changed meanwhile is then MS_IO. MS_INVALID_ARGUMENT while a session or run uses it. */
MS_API ms_status ms_model_evict(ms_model *model, ms_error *err);

typedef struct ms_model_info {
    char device[128];    /* as it describes itself */
    char tier[16];       /* "compact", "standard", "professional", "datacenter" */
    char precision[12];  /* "float32", "float16", "bfloat16" */
    int resolution;      /* of the redrawn face, pixels: the config's */
    int window_frames;   /* that are redrawn together */
    bool has_faces;      /* face networks */
    bool loaded;         /* weights are in memory, or the part of them that stays there */
    size_t budget_bytes; /* that holds, of the device's memory */
    size_t held_bytes;   /* of it now: weights, face networks, and on the CPU the process itself */
    char arithmetic
        [32]; /* devices of one kind give equal bits: "cpu", or of a card its kind of architecture */
} ms_model_info;

MS_API void ms_model_get_info_sized(const ms_model *model, ms_model_info *ret_info, size_t info_bytes);
static inline void ms_model_get_info(const ms_model *model, ms_model_info *ret_info) {
    ms_model_get_info_sized(model, ret_info, sizeof(*ret_info));
}

#ifdef __cplusplus
}
#endif
#endif
