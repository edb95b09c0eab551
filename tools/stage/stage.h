/* What the stages of `memsafe-stage` share. Each stage is a command of its own with its own options. */
#ifndef MS_TOOLS_STAGE_STAGE_H
#define MS_TOOLS_STAGE_STAGE_H

#include "case_file.h"
#include "device/compute.h"
#include "options/device_option.h"
#include "graph/network.h"
#include "graph/plan.h"
#include "models/model_files.h"
#include "options/options.h"

/* Options that every stage takes. */
typedef struct stage_files {
    const char *in, *out;
} stage_files;

#define STAGE_OUT_OPTION(type)                                                                               \
    { "out", "o", CLI_TEXT, offsetof(type, files.out), "FILE", "safetensors file to write", 0, 0 }
#define STAGE_FILE_OPTIONS(type)                                                                             \
    {"in", 0, CLI_TEXT, offsetof(type, files.in), "FILE", "safetensors file with the stage's inputs", 0, 0}, \
        STAGE_OUT_OPTION(type)

/* Options of the stages that run networks. */
typedef struct stage_compute {
    const char *device;
    int precision; /* index of fp32|fp16|bf16 */
    int threads;
    int slice_frames, slice_pixels, stripe_rows;
} stage_compute;

#define STAGE_COMPUTE_OPTIONS(type)                                                                          \
    CLI_DEVICE_OPTION(type, compute.device),                                                                 \
        {"precision",                                                                                        \
         0,                                                                                                  \
         CLI_CHOICE,                                                                                         \
         offsetof(type, compute.precision),                                                                  \
         "fp32|fp16|bf16",                                                                                   \
         "storage of the weights; fp32 keeps what the file has",                                             \
         0,                                                                                                  \
         0},                                                                                                 \
        {"threads", 0, CLI_INT, offsetof(type, compute.threads), "N", "threads; 0 = all", 0, 1024},          \
        {"slice-frames",                                                                                     \
         0,                                                                                                  \
         CLI_INT,                                                                                            \
         offsetof(type, compute.slice_frames),                                                               \
         "N",                                                                                                \
         "frames that spatial layers take at a time; 0 = all",                                               \
         0,                                                                                                  \
         1 << 20},                                                                                           \
    {                                                                                                        \
        "slice-pixels", 0, CLI_INT, offsetof(type, compute.slice_pixels), "N",                               \
            "pixels that temporal layers take at a time; 0 = all", 0, 1 << 30                                \
    }

/* Where the model is. */
#define STAGE_MODEL_OPTION(type)                                                                             \
    { "model", "m", CLI_TEXT, offsetof(type, model.dir), "DIR", "model folder", 0, 0 }

ms_dtype stage_precision(const stage_compute *compute);
ms_slicing stage_slicing(const stage_compute *compute);
ms_status stage_open_compute(const stage_compute *compute, ms_compute *ret_compute, ms_error *err);

/* Opens --in; an absent option is an error that names it. */
ms_status stage_open_input(const stage_files *files, ms_tensor_file **ret_file, ms_error *err);

/* Writes the outputs to --out, frees them, prints the message, and turns the status into an exit code. */
int stage_finish(const stage_files *files, case_output *out, ms_status status, ms_error *err);

/* Loads a checkpoint into declared weights. */
ms_status stage_load(ms_weights *weights, const char *path, const char *known_tensor,
                     const stage_compute *compute, ms_error *err);

/* "981,501,1" -> integers; at most capacity. */
ms_status stage_parse_list(const char *text, const char *option, int64_t *ret_list, int capacity,
                           int *ret_count, ms_error *err);

/* [images][pixels][channels] <-> [channels][images][pixels]. */
void stage_rows_to_planes(const float *rows, int64_t images, int64_t pixels, int64_t channels,
                          float *ret_planes);
void stage_planes_to_rows(const float *planes, int64_t images, int64_t pixels, int64_t channels,
                          float *ret_rows);

#endif
