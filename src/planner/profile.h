/*
 * A profile: the policy that holds for a run. It is a tier's row of the table with what the user changed, and
 * it knows for every field where its value came from. Sources, each over the ones before it:
 *
 *   the tier         chosen by --profile, MEMSAFE_PROFILE or the file's `profile`; else by the budget where
 *                    one is set, else by the device's nominal memory
 *   a file           YAML or JSON, one mapping from field to value
 *   the environment  MEMSAFE_<FIELD> in upper case
 *   flags            --set field=value
 *
 * The fields are one table in profile.c: parsing, printing, JSON and the manual are made from it.
 */
#ifndef MS_PLANNER_PROFILE_H
#define MS_PLANNER_PROFILE_H

#include <limits.h>

#include "memsafe/run.h"
#include "planner/tier.h"
#include "text/json.h"

typedef enum ms_field_id {
    MS_FIELD_BUDGET,
    MS_FIELD_HOST_BUDGET,
    MS_FIELD_PRECISION, /* ms_dtype */
    MS_FIELD_FACE_DETECTION_BATCH,
    MS_FIELD_FACE_PROCESSING_BATCH,
    MS_FIELD_VAE_ENCODE_BATCH,
    MS_FIELD_VAE_DECODE_BATCH,
    MS_FIELD_UNET_INFERENCE_BATCH,
    MS_FIELD_LATENT_PROCESSING_BATCH,
    MS_FIELD_WEIGHT_OFFLOAD, /* ms_weight_offload */
    MS_FIELD_ATTENTION_SLICES,
    MS_FIELD_VAE_TILING, /* ms_vae_tiling */
    MS_FIELD_DEVICE_GRAPHS,
    MS_FIELD_PREALLOCATED_OUTPUTS,
    MS_FIELD_SVD_RANK,
    MS_FIELD_GRADIENT_CHECKPOINTING,
    MS_FIELD_CLEAN_UP_FRAMES,
    MS_FIELD_SAFETY_MARGIN,
    MS_FIELD_COUNT
} ms_field_id;

typedef enum ms_field_type {
    MS_FIELD_ENUM,    /* index into choices */
    MS_FIELD_INT,     /* min to max */
    MS_FIELD_PERCENT, /* likewise; a % may be written */
    MS_FIELD_BOOL,    /* on, off; also true, false, yes, no */
    MS_FIELD_BYTES,   /* 8G, 1500M; 1 MiB at least */
} ms_field_type;

typedef struct ms_profile_field {
    const char *name;
    ms_field_type type;
    const char *choices; /* ENUM: "a|b|c" */
    int64_t min, max;    /* INT, PERCENT, BYTES */
    const char *zero;    /* the word for 0, which then is allowed besides min to max; NULL = 0 is no case of
                            its own */
    const char *help;
    const char *on_cpu; /* what a run on the CPU back end does in place of it; NULL = it follows it */
} ms_profile_field;

typedef enum ms_origin_kind {
    MS_ORIGIN_TIER, /* for the tier itself: chosen by memory */
    MS_ORIGIN_FILE,
    MS_ORIGIN_VARIABLE,
    MS_ORIGIN_FLAG,
} ms_origin_kind;

typedef struct ms_origin {
    ms_origin_kind kind;
    int line; /* in the file */
} ms_origin;

typedef struct ms_profile {
    ms_tier tier;
    ms_origin tier_origin;
    size_t device_bytes; /* nominal */
    int64_t value[MS_FIELD_COUNT];
    ms_origin origin[MS_FIELD_COUNT];
    char file[PATH_MAX]; /* that was read; empty = none */
    char tier_called[24], settings_called[24];
} ms_profile;

typedef struct ms_profile_params {
    ms_mem *mem;
    size_t device_bytes;         /* nominal memory of the device */
    bool device_has_bf16;        /* it computes in bfloat16 */
    const char *tier;            /* by name; NULL or "auto" = by other sources, then by memory */
    const char *file;            /* NULL = none */
    bool file_optional;          /* a file that is not there is no error */
    bool environment;            /* look at MEMSAFE_* variables */
    const char *const *settings; /* "field=value"; a later one wins */
    int n_settings;
    const char *tier_called, *settings_called; /* as in ms_profile_source */
    size_t budget_bytes, host_budget_bytes;    /* over all of these; 0 = by them */
} ms_profile_params;

/* What a source says; the rest is zero. Borrows from it. */
ms_profile_params ms_profile_params_of(const ms_profile_source *source);

/*
 * MS_INVALID_ARGUMENT names the source, the field, the value and what is allowed; MS_IO for a file that
 * cannot be read; MS_UNSUPPORTED for a YAML file in a build without libyaml (JSON is always read).
 */
ms_status ms_profile_load(const ms_profile_params *params, ms_profile *ret_profile, ms_error *err);

const ms_profile_field *ms_profile_get_field(ms_field_id id);

/* -1 when there is no such field. */
int ms_profile_find_field(const char *name);

/* Whether the user set the field, in whatever way. */
static inline bool ms_profile_is_set(const ms_profile *profile, ms_field_id id) {
    return profile->origin[id].kind != MS_ORIGIN_TIER;
}

/* A value as it is written on a command line. False when it is none of the field's. */
bool ms_profile_parse(const ms_profile_field *field, const char *text, int64_t *ret_value);

#define MS_PROFILE_TEXT_BYTES 160

/* The same the other way round, what is allowed, and where a value came from ("tier compact", "memsafe.yaml,
   line 3", "MEMSAFE_VAE_TILING", "settings"). All return ret_text. */
const char *ms_profile_value_text(const ms_profile_field *field, int64_t value,
                                  char ret_text[MS_PROFILE_TEXT_BYTES]);
const char *ms_profile_allowed_text(const ms_profile_field *field, char ret_text[MS_PROFILE_TEXT_BYTES]);
const char *ms_profile_origin_text(const ms_profile *profile, ms_field_id id,
                                   char ret_text[MS_PROFILE_TEXT_BYTES]);

/* Why it is this tier: "memsafe.yaml, line 3 says so", "the device has 23.54 GiB". */
const char *ms_profile_tier_reason(const ms_profile *profile, char ret_text[MS_PROFILE_TEXT_BYTES]);

/* MEMSAFE_<NAME>. */
const char *ms_profile_variable(const char *name, char ret_text[MS_PROFILE_TEXT_BYTES]);

/* A line a field: name, value, where from. */
void ms_profile_write_text(const ms_profile *profile, ms_buf *out);

/* {"tier", "tier_reason", "tier_source", "file", "fields": {name: {"value", "text", "source", "from"}}}. A
   value is a string for enumerations, a boolean, else a number in which 0 stands for the field's word
   ("auto"). */
void ms_profile_write_json(const ms_profile *profile, ms_buf *out);

/* The fields themselves as a table in Markdown: name, what is allowed, what it means. */
void ms_profile_write_fields(ms_buf *out);

#endif
