/* Folders of models: what is in one and what is wrong with it, and folders with
   random weights, to try things with. */
#ifndef MEMSAFE_MODELS_H
#define MEMSAFE_MODELS_H

#include "memsafe/run.h"

#ifdef __cplusplus
extern "C" {
#endif

/* X(name, text): what a model consists of. */
#define MS_MODEL_PART_MAP(X)                                                                                 \
    X(UNET, "UNet")                                                                                          \
    X(VAE, "VAE")                                                                                            \
    X(WHISPER, "Whisper")                                                                                    \
    X(FACES, "Face nets")

typedef enum ms_model_part {
#define X(name, text) MS_MODEL_PART_##name,
    MS_MODEL_PART_MAP(X)
#undef X
        MS_MODEL_PART_COUNT
} ms_model_part;

MS_API const char *ms_model_part_name(ms_model_part part); /* "UNet"; "?" for none */

typedef enum ms_finding_kind {
    MS_FINDING_FACT,    /* files, formats, sizes, types, what is right */
    MS_FINDING_PROBLEM, /* one of maybe many within a file: a tensor, a storage */
    MS_FINDING_ERROR,   /* why the part is of no use; the last that is said of it */
} ms_finding_kind;

typedef struct ms_finding {
    ms_model_part part;
    ms_finding_kind kind;
    const char *text;      /* a sentence without its full stop; valid during the call */
    uint64_t hints;        /* MS_HINT_BIT() of each that applies */
    const ms_error *error; /* of MS_FINDING_ERROR, else NULL */
} ms_finding;

typedef struct ms_model_check_params {
    /* As ms_run_params has them. */
    const char *model;
    const char *config, *unet, *vae, *whisper, *faces;
    /* tensors' names and shapes alone: neither their values nor the checksums that torch files hold */
    bool quick;
    void (*tell)(void *arg, const ms_finding *finding); /* part by part, in order; NULL = not */
    void *arg;
} ms_model_check_params;

/* All zero. */
MS_API void ms_model_check_params_init_sized(ms_model_check_params *ret_params, size_t params_bytes);
static inline void ms_model_check_params_init(ms_model_check_params *ret_params) {
    ms_model_check_params_init_sized(ret_params, sizeof(*ret_params));
}

/*
 * Holds every tensor's name, shape and value against the config; the face nets, which have
 * none, are built. Goes on after an error; the first one is the result (MS_BAD_MODEL,
 * MS_IO, MS_HOST_MEMORY). MS_INVALID_ARGUMENT: neither a folder nor a part is named.
 */
MS_API ms_status ms_model_check_sized(const ms_model_check_params *params, size_t params_bytes,
                                      ms_error *err);
static inline ms_status ms_model_check(const ms_model_check_params *params, ms_error *err) {
    return ms_model_check_sized(params, sizeof(*params), err);
}

/* Whether the UNet's weights say that they are random (ms_model_synthesize()).
   False also where they cannot be read, and for NULL. */
MS_API bool ms_model_is_synthetic_sized(const ms_model_check_params *params, size_t params_bytes);
static inline bool ms_model_is_synthetic(const ms_model_check_params *params) {
    return ms_model_is_synthetic_sized(params, sizeof(*params));
}

/* Whether a path is one of the model's files, by whatever name or link: for whoever
   is about to write there. False for NULL. */
MS_API bool ms_model_has_file_sized(const ms_model_check_params *params, size_t params_bytes,
                                    const char *path);
static inline bool ms_model_has_file(const ms_model_check_params *params, const char *path) {
    return ms_model_has_file_sized(params, sizeof(*params), path);
}

typedef struct ms_model_synthesize_params {
    const char *shape;  /* of a published model: "latentsync-1.5", "latentsync-1.6"; or "tiny" */
    const char *folder; /* made if it is not there; no model's file in it is replaced */
    /* Of the UNet and the VAE; MS_PRECISION_AUTO = FP16. Whisper is FP16, as published */
    ms_precision precision;
    uint64_t seed;
} ms_model_synthesize_params;

/* Seed 1247, otherwise all zero. */
MS_API void ms_model_synthesize_params_init_sized(ms_model_synthesize_params *ret_params,
                                                  size_t params_bytes);
static inline void ms_model_synthesize_params_init(ms_model_synthesize_params *ret_params) {
    ms_model_synthesize_params_init_sized(ret_params, sizeof(*ret_params));
}

/*
 * Writes a folder in the official formats, names and shapes, face nets that see one face at the same place
 * of every picture included. The networks compute; their pictures mean nothing. Holds 34 MB meanwhile,
 * whatever the shape. MS_INVALID_ARGUMENT; MS_IO: a file is there, or cannot be written; MS_HOST_MEMORY.
 */
MS_API ms_status ms_model_synthesize_sized(const ms_model_synthesize_params *params, size_t params_bytes,
                                           ms_error *err);
static inline ms_status ms_model_synthesize(const ms_model_synthesize_params *params, ms_error *err) {
    return ms_model_synthesize_sized(params, sizeof(*params), err);
}

#ifdef __cplusplus
}
#endif
#endif
