#include "planner/batch_cost.h"

#include "base/error.h"
#include "faces/detect.h"
#include "graph/network.h"
#include "models/onnx/scrfd.h"
#include "pictures/align.h"
#include "pictures/restore.h"

struct ms_batch_costs {
    ms_model_files files;
    int branches;
    ms_compute compute;
};

ms_status ms_batch_costs_create(const ms_batch_cost_params *params, ms_batch_costs **ret_costs,
                                ms_error *err) {
    ms_batch_costs *c = ms_mem_calloc(params->compute->mem, MS_LEDGER_GENERAL, 1, sizeof(*c));
    if (!c)
        return ms_fail_alloc(err, params->compute->mem, sizeof(*c), "the batch costs");
    c->compute = *params->compute;
    c->files = *params->files;
    c->branches = params->branches;
    *ret_costs = c;
    return MS_OK;
}

void ms_batch_costs_destroy(ms_batch_costs **costs) {
    if (!costs || !*costs)
        return;
    ms_mem_free(*costs);
    *costs = NULL;
}

/* ---- graphs ---- */

static int64_t window_frames(const ms_batch_costs *c, const ms_batch_request *r) {
    int64_t most = c->files.unet_config.num_frames;
    return r->frames && r->frames < most ? r->frames : most;
}

/* Spatial layers see `items` frames of every branch at a time, temporal ones the same share of the pixels. */
static ms_slicing unet_slicing(const ms_batch_costs *c, const ms_batch_request *r, int items) {
    int64_t frames = window_frames(c, r), factor = ms_vae_factor(&c->files.vae_config_values),
            pixels = r->height / factor * (r->width / factor);
    if (items >= frames)
        return (ms_slicing){0};
    return (ms_slicing){.frames = (int64_t)items * c->branches,
                        .pixels = (pixels * items + frames - 1) / frames};
}

static ms_status build(const ms_batch_costs *c, ms_graph *graph, ms_task task, const ms_batch_request *r,
                       int items, ms_error *err) {
    const ms_vae_config *vae = &c->files.vae_config_values;
    int64_t factor = ms_vae_factor(vae), h = r->height / factor, w = r->width / factor;
    if (task == MS_TASK_VAE_ENCODE)
        return ms_vae_build_encoder(graph, vae,
                                    &(ms_vae_build){.images = items, .h = r->height, .w = r->width}, err);
    if (task == MS_TASK_VAE_DECODE)
        return ms_vae_build_decoder(graph, vae, &(ms_vae_build){.images = items, .h = h, .w = w}, err);
    ms_unet_shape shape = {.branches = c->branches,
                           .frames = window_frames(c, r),
                           .h = h,
                           .w = w,
                           .tokens = ms_unet_audio_rows(&c->files.unet_config) *
                                     (c->files.whisper_config.n_layer + 1)};
    return ms_unet_build(graph, &c->files.unet_config, &shape, err);
}

/* Either result may be NULL. */
static ms_status plan(const ms_batch_costs *c, ms_task task, const ms_batch_request *r, int items,
                      size_t *ret_arena_bytes, ms_dtype precision, size_t *ret_weight_bytes, ms_error *err) {
    ms_params *params = NULL;
    ms_graph *graph = NULL;
    ms_network net = {0};
    ms_slicing slicing = {0};
    ms_status status;
    MS_GOTO(ms_params_create(c->compute.mem, c->compute.dev, &params, err));
    MS_GOTO(ms_graph_create(params, c->compute.activation, &graph, err));
    MS_GOTO(build(c, graph, task, r, items, err));
    if (task == MS_TASK_UNET_INFERENCE)
        slicing = unet_slicing(c, r, items);
    if (ret_arena_bytes) {
        MS_GOTO(ms_network_take(&graph, &slicing, &net, err));
        *ret_arena_bytes = net.plan->arena_bytes;
    }
    if (ret_weight_bytes)
        *ret_weight_bytes = ms_params_bytes(params, precision);
fail:
    ms_network_clear(&net);
    ms_graph_destroy(&graph);
    ms_params_destroy(&params);
    return status;
}

ms_status ms_batch_costs_weight_bytes(ms_batch_costs *c, ms_dtype precision, size_t *ret_bytes,
                                      ms_error *err) {
    static const ms_task parts[] = {MS_TASK_VAE_ENCODE, MS_TASK_VAE_DECODE, MS_TASK_UNET_INFERENCE};
    int side = c->files.unet_config.resolution;
    const ms_batch_request r = {.height = side, .width = side};
    size_t sum = 0, bytes = 0;
    for (int i = 0; i < 3; i++) {
        MS_TRY(plan(c, parts[i], &r, 1, NULL, precision, &bytes, err));
        sum += bytes;
    }
    *ret_bytes = sum;
    return MS_OK;
}

/* ---- buffers ---- */

static size_t latent_floats(const ms_batch_costs *c, const ms_batch_request *r) {
    int64_t factor = ms_vae_factor(&c->files.vae_config_values);
    return (size_t)(r->height / factor * (r->width / factor) * c->files.vae_config_values.latent_channels);
}

/* The engine's pixels of a batch, and its moments or the autoencoder's scaled latents. */
static size_t vae_item_bytes(const ms_batch_costs *c, ms_task task, const ms_batch_request *r) {
    size_t pixels = (size_t)r->height * (size_t)r->width * 3,
           latent = latent_floats(c, r) * (task == MS_TASK_VAE_ENCODE ? 2 : 1);
    return (pixels + latent) * sizeof(float);
}

/* A frame's masked, reference and current latents; its UNet input and noise, in every branch. */
static size_t latent_item_bytes(const ms_batch_costs *c, const ms_batch_request *r) {
    size_t latent = latent_floats(c, r), branches = (size_t)c->branches,
           pixels = latent / (size_t)c->files.vae_config_values.latent_channels;
    return (3 * latent + branches * latent + branches * pixels * (size_t)c->files.unet_config.in_channels) *
           sizeof(float);
}

static size_t frame_bytes(const ms_batch_request *r) {
    return (size_t)r->height * (size_t)r->width * 3;
}

static ms_status detector_arena(const ms_batch_costs *c, size_t *ret_bytes, ms_error *err) {
    ms_scrfd *scrfd = NULL;
    *ret_bytes = 0;
    if (!c->files.detector[0])
        return MS_OK;
    MS_TRY(ms_scrfd_open(&c->compute, c->files.detector, &scrfd, err));
    ms_status status = ms_scrfd_prepare(scrfd, MS_DETECT_SIDE, MS_DETECT_SIDE, ret_bytes, err);
    ms_scrfd_close(&scrfd);
    return status;
}

static size_t detector_output_floats(void) {
    size_t rows = 0, side = MS_DETECT_SIDE;
    for (size_t stride = 8; stride <= 32; stride *= 2)
        rows += side / stride * (side / stride) * MS_SCRFD_ANCHORS;
    return rows * (1 + 4 + 10); /* score, box, key points */
}

static size_t larger(size_t a, size_t b) {
    return a > b ? a : b;
}

static ms_status detection_bytes(const ms_batch_costs *c, const ms_batch_request *r, int items,
                                 size_t *ret_arena_bytes, size_t *ret_bytes, ms_error *err) {
    size_t side = MS_DETECT_SIDE;
    MS_TRY(detector_arena(c, ret_arena_bytes, err));
    size_t item = frame_bytes(r) + (3 * side * side + detector_output_floats()) * sizeof(float);
    *ret_bytes = (size_t)items * item + larger(ms_letterbox_workspace_bytes(MS_DETECT_SIDE),
                                               ms_scrfd_workspace_bytes(MS_DETECT_SIDE));
    return MS_OK;
}

static ms_status processing_bytes(const ms_batch_costs *c, const ms_batch_request *r, int items,
                                  size_t *ret_bytes, ms_error *err) {
    ms_face_geometry g;
    MS_TRY(ms_face_geometry_init(c->files.unet_config.resolution, &g, err));
    size_t restore = ms_restore_workspace_bytes(&g, r->width, r->height, ms_pool_threads(c->compute.pool));
    if (!restore)
        return ms_fail(err, MS_INVALID_ARGUMENT, "faces in frames of %dx%d cannot be pasted back", r->width,
                       r->height);
    size_t face = (size_t)g.resolution * (size_t)g.resolution * 3;
    *ret_bytes = (size_t)items * (frame_bytes(r) + face * (1 + sizeof(float))) +
                 larger(ms_align_face_workspace_bytes(&g), restore);
    return MS_OK;
}

static ms_status check_side(const ms_batch_costs *c, ms_task task, const ms_batch_request *r, ms_error *err) {
    int64_t factor = ms_vae_factor(&c->files.vae_config_values);
    if (r->height % factor || r->width % factor)
        return ms_fail(err, MS_INVALID_ARGUMENT,
                       "%s: pictures of %dx%d; both sides must be multiples of %lld", ms_task_name(task),
                       r->width, r->height, (long long)factor);
    return MS_OK;
}

ms_status ms_batch_cost(void *arg, ms_task task, const ms_batch_request *r, int items,
                        ms_batch_bytes *ret_bytes, ms_error *err) {
    const ms_batch_costs *c = arg;
    size_t bytes = 0, buffers = 0; /* buffers: of the host, where that is not the device */
    switch (task) {
    case MS_TASK_FACE_DETECTION:
        MS_TRY(detection_bytes(c, r, items, &bytes, &buffers, err));
        break;
    case MS_TASK_FACE_PROCESSING:
        MS_TRY(processing_bytes(c, r, items, &buffers, err));
        break;
    case MS_TASK_VAE_ENCODE:
    case MS_TASK_VAE_DECODE:
        MS_TRY(check_side(c, task, r, err));
        MS_TRY(plan(c, task, r, items, &bytes, MS_F32, NULL, err));
        buffers = (size_t)items * vae_item_bytes(c, task, r);
        break;
    case MS_TASK_UNET_INFERENCE:
        MS_TRY(check_side(c, task, r, err));
        MS_TRY(plan(c, task, r, items, &bytes, MS_F32, NULL, err));
        break;
    case MS_TASK_LATENT_PROCESSING:
        MS_TRY(check_side(c, task, r, err));
        buffers = (size_t)items * latent_item_bytes(c, r);
        break;
    case MS_TASK_COUNT:
        break;
    }
    if (c->compute.dev->caps.host_memory)
        *ret_bytes = (ms_batch_bytes){.device_bytes = bytes + buffers};
    else
        *ret_bytes = (ms_batch_bytes){.device_bytes = bytes, .host_bytes = buffers};
    return MS_OK;
}
