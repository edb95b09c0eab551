/*
 * What a batch of each task costs in our own pipeline, for memsafe/optimizer.h. Where the numbers are from:
 *
 *   vae_encode, vae_decode   the arena of the VAE's graph for that many pictures, and the pictures and
 *                            moments or latents of a batch: exact
 *   unet_inference           the arena of the denoiser's graph for the whole window, with spatial layers
 *                            sliced to `items` frames (all branches) and temporal ones to the same share of
 *                            the pixels: exact. A window is never cut itself: that would change the result.
 *   latent_processing        the denoiser's and the engine's buffers of a frame: exact
 *   face_detection           frame, letterboxed input and outputs of the detector of each frame
 *                            (faces/detect.h), its workspace once; and the detector's arena once, since it
 *                            sees one frame at a time, where the ONNX file is at hand. Without it the arena
 *                            is not counted.
 *   face_processing          frame, aligned and redrawn face of each frame, the workspace of alignment or
 *                            paste-back once (pictures/align.h, pictures/restore.h)
 *
 * Weights are not in these: they are held anyway.
 */
#ifndef MS_PLANNER_BATCH_COST_H
#define MS_PLANNER_BATCH_COST_H

#include "device/compute.h"
#include "memsafe/optimizer.h"
#include "models/model_files.h"

typedef struct ms_batch_costs ms_batch_costs;

typedef struct ms_batch_cost_params {
    const ms_compute *compute;   /* that will compute: plans are made for it; borrowed */
    const ms_model_files *files; /* configs; detector: may be empty. Copied */
    int branches;                /* of guidance in one run of the denoiser: 1 or 2 */
} ms_batch_cost_params;

ms_status ms_batch_costs_create(const ms_batch_cost_params *params, ms_batch_costs **ret_costs,
                                ms_error *err);
void ms_batch_costs_destroy(ms_batch_costs **costs);

/* An ms_batch_cost_fn; arg is the ms_batch_costs. Beside a device with memory of
   its own what is no arena is the host's. */
ms_status ms_batch_cost(void *arg, ms_task task, const ms_batch_request *request, int items,
                        ms_batch_bytes *ret_bytes, ms_error *err);

/* Of UNet and VAE together. */
ms_status ms_batch_costs_weight_bytes(ms_batch_costs *costs, ms_dtype precision, size_t *ret_bytes,
                                      ms_error *err);

#endif
