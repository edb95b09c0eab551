/*
 * Model folders with random weights in the official file formats and shapes, so that loading, planning, speed
 * and memory can be tried at full size without the official weights. The networks compute, their pictures
 * mean nothing.
 */
#ifndef MS_MODELS_SYNTHESIZE_SYNTHESIZE_H
#define MS_MODELS_SYNTHESIZE_SYNTHESIZE_H

#include "base/dtype.h"
#include "models/model_files.h"

typedef enum ms_synthetic {
    MS_SYNTHETIC_1_5,  /* LatentSync 1.5: 256 px, 1.27 G parameters */
    MS_SYNTHETIC_1_6,  /* LatentSync 1.6: the same at 512 px */
    MS_SYNTHETIC_TINY, /* 128 px, a few megabytes */
} ms_synthetic;

/* By name: "latentsync-1.5", "latentsync-1.6", "tiny". MS_INVALID_ARGUMENT: it is none of them, or NULL. */
ms_status ms_synthetic_find(const char *name, ms_synthetic *ret_kind, ms_error *err);

typedef struct ms_synthesize_params {
    ms_synthetic kind;
    ms_dtype dtype; /* of the UNet and the VAE: F32, F16 or BF16. Whisper is float16, as published */
    uint64_t seed;
    const char *dir; /* made if it is not there; existing model files in it are an error */
} ms_synthesize_params;

/* Writes unet.yaml, latentsync_unet.pt, vae/config.json,
   vae/diffusion_pytorch_model.safetensors, whisper/tiny.pt, and det_10g.onnx and
   2d106det.onnx in auxiliary/models/buffalo_l (models/synthesize/synthesize_faces.h says
   what they see). Data is streamed: a few megabytes of memory, the face nets 34. */
ms_status ms_synthesize(const ms_synthesize_params *params, ms_error *err);

/* Whether a UNet's checkpoint says that ms_synthesize() wrote it: what a run makes
   with it is noise. False also where it cannot be read: who loads it says why. */
bool ms_is_synthetic(ms_mem *mem, const char *unet);

/* Only the configs of ret_files are filled in, for those who want the shapes alone (benchmarks). */
ms_status ms_synthetic_configs(ms_synthetic kind, ms_model_files *ret_files, ms_error *err);

#endif
