/* ms_plan_run(), ms_plan_budget(): of a run that is only described. */
#include "memsafe/plan.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/sized.h"
#include "device/self_test/self_test.h"
#include "faces/face_nets.h"
#include "models/synthesize/synthesize.h"
#include "pictures/align.h"
#include "pictures/restore.h"
#include "planner/params_check.h"
#include "planner/run_history.h"
#include "planner/run_latents.h"
#include "predict/roofline.h"
#include "run/plan_svg.h"
#include "system/host.h"
#include "text/size.h"

/* Bytes of the published networks, for which a shape without a folder stands: det_10g
   has 3.86 M parameters, 2d106det 1.25 M, of four bytes; the detector's first layers
   hold 28 and 56 planes of 256 x 256 floats; then its input and output. */
#define PUBLISHED_FACE_BYTES ((size_t)((3.86e6 + 1.25e6) * 4 + (28 + 56) * 65536.0 * 4 + 4.5e6))

static ms_plan_params defaults(void) {
    ms_run_params run;
    ms_run_params_init(&run);
    return (ms_plan_params){.profile = run.profile,
                            .shape = "latentsync-1.5",
                            .width = 1280,
                            .height = 720,
                            .frames = 250,
                            .fps = 25,
                            .max_gap = run.max_gap,
                            .steps = run.steps,
                            .guidance = run.guidance};
}

void ms_plan_params_init_sized(ms_plan_params *ret_params, size_t params_bytes) {
    const ms_plan_params p = defaults();
    ms_sized_fill(ret_params, params_bytes, &p, sizeof(p));
}

static ms_status check(const ms_plan_params *p, ms_error *err) {
    if (p->width < 16 || p->height < 16 || p->width > 16384 || p->height > 16384)
        return ms_fail(err, MS_INVALID_ARGUMENT, "a picture of %dx%d: sides must be 16 to 16384", p->width,
                       p->height);
    if (p->frames < 1 || p->frames > MS_RUN_MAX_FRAMES)
        return ms_fail(err, MS_INVALID_ARGUMENT, "frames must be 1 to %lld, not %lld",
                       (long long)MS_RUN_MAX_FRAMES, (long long)p->frames);
    if (!(p->fps >= 0.01) || p->fps > 1000)
        return ms_fail(err, MS_INVALID_ARGUMENT, "%g is no frame rate: it must be 0.01 to 1000", p->fps);
    MS_TRY(ms_check_denoising(p->steps, p->guidance, err));
    MS_TRY(ms_check_max_gap(p->max_gap, err));
    MS_TRY(ms_check_resolution(p->resolution, err));
    MS_TRY(ms_check_choice("precision", (int)p->precision, MS_PRECISION_CHOICES, err));
    MS_TRY(ms_check_choice("paste", (int)p->paste, MS_PASTE_COUNT, err));
    MS_TRY(ms_check_choice("rung", (int)p->rung, MS_RUNG_COUNT, err));
    MS_TRY(ms_check_choice("codec", (int)p->codec, MS_OUTPUT_CODEC_CHOICES, err));
    return MS_OK;
}

/* Only of a device that is not here the size must be stated. */
static ms_status check_device(const ms_plan_params *p, const ms_device *dev, ms_error *err) {
    if (dev->caps.computes == (p->device_bytes == 0))
        return MS_OK;
    return ms_fail_hint(err, MS_INVALID_ARGUMENT, MS_HINT_DEVICE_BYTES,
                        dev->caps.computes ? "%s has its own memory: its size cannot be stated"
                                           : "%s is not here: its memory must be stated",
                        dev->description);
}

/* NULL without an architecture. */
static ms_status find_card(const ms_plan_params *p, const ms_card **ret_card, ms_error *err) {
    *ret_card = NULL;
    if (!p->arch && p->device && strcmp(p->device, "cuda") == 0 && p->device_bytes)
        return ms_fail_hint(
            err, MS_INVALID_ARGUMENT, MS_HINT_DEVICE_BYTES,
            "of a CUDA card that is not here the architecture must be stated, too, like sm_86");
    if (!p->arch)
        return MS_OK;
    if (p->device && strcmp(p->device, "cuda") != 0)
        return ms_fail(err, MS_INVALID_ARGUMENT, "an architecture (%s) is a CUDA card's, not \"%s\"'s",
                       p->arch, p->device);
    if (p->device_bytes == 0)
        return ms_fail_hint(err, MS_INVALID_ARGUMENT, MS_HINT_DEVICE_BYTES,
                            "a card of %s is not here: its memory must be stated", p->arch);
    const int arch = ms_card_arch(p->arch);
    *ret_card = arch ? ms_card_find(arch, p->device_bytes) : NULL;
    return *ret_card
               ? MS_OK
               : ms_fail(err, MS_INVALID_ARGUMENT,
                         "\"%s\" is no architecture that memsafe knows: it must be sm_75, sm_80, sm_86, "
                         "sm_89, sm_90, sm_100 or sm_120",
                         p->arch);
}

static ms_status find_configs(const ms_plan_params *p, ms_model_files *files, ms_error *err) {
    ms_synthetic kind;
    if (p->model) {
        ms_model_names names = {.dir = p->model};
        return ms_model_files_find(&names, MS_PART_UNET | MS_PART_VAE | MS_PART_WHISPER, files, err);
    }
    MS_TRY(ms_synthetic_find(p->shape, &kind, err));
    return ms_synthetic_configs(kind, files, err);
}

/* Silence: only the length matters here. */
static ms_status read_silence(void *context, int64_t first, int64_t count, float *dst, ms_error *err) {
    (void)context;
    (void)first;
    (void)err;
    memset(dst, 0, (size_t)count * sizeof(float));
    return MS_OK;
}

typedef struct planning {
    const ms_plan_params *p;
    ms_model_files files;
    ms_run_policy policy;
    ms_engine_params engine;
    ms_run_others others;
    size_t process_bytes, face_bytes, own_bytes;
    const ms_card *card; /* that is not here; NULL = none is meant */
    ms_run_speed speed;
    ms_run_plan_params ask;
    ms_run_plan plan, least;
} planning;

/* Its memory is not the host's. */
static bool is_apart(const planning *a) {
    return !a->engine.compute.dev->caps.host_memory;
}

static ms_run_others others_of(const planning *a, int side, int threads) {
    const ms_plan_params *p = a->p;
    ms_run_clip clip = {.width = p->width,
                        .height = p->height,
                        .resolution = side,
                        .window_frames = a->files.unet_config.num_frames,
                        .max_gap = p->max_gap,
                        .turns = p->turns,
                        .mouth = p->paste == MS_PASTE_MOUTH,
                        .threads = threads};
    return (ms_run_others){.process_bytes = a->process_bytes,
                           .codec_bytes = ms_run_codec_bytes(p->width, p->height, p->codec, p->frames),
                           .frame_bytes = ms_run_frame_bytes(&clip)};
}

/* Bytes of the networks that find faces, with their arena: they run on the host beside the others. */
static ms_status count_face_bytes(const ms_compute *host, const ms_model_files *files, size_t *ret_bytes,
                                  ms_error *err) {
    ms_mem_usage before, after;
    ms_face_nets *nets = NULL;
    ms_mem_get_usage(host->mem, &before);
    MS_TRY(ms_face_nets_open(host, files->detector, files->landmarks, &nets, err));
    ms_mem_get_usage(host->mem, &after);
    *ret_bytes = after.current_bytes - before.current_bytes +
                 ms_device_block_bytes(host->dev, ms_face_nets_arena_bytes(nets));
    ms_face_nets_close(&nets);
    return MS_OK;
}

static ms_status find_face_bytes(const planning *a, const ms_compute *compute, size_t *ret_bytes,
                                 ms_error *err) {
    const ms_plan_params *p = a->p;
    ms_model_names names = {.dir = p->model};
    ms_model_files files;
    ms_compute host;
    *ret_bytes = p->tracked ? 0 : PUBLISHED_FACE_BYTES;
    if (p->tracked || !p->model || ms_model_files_find(&names, MS_PART_FACES, &files, NULL) != MS_OK)
        return MS_OK;
    MS_TRY(ms_compute_open_host(compute, &host, err));
    ms_status status = count_face_bytes(&host, &files, ret_bytes, err);
    ms_compute_close(&host);
    if (status != MS_UNSUPPORTED) /* this build reads no networks */
        return status;
    ms_error_clear(err);
    return MS_OK;
}

/* Bytes of the latent cache of a run whose clip is looped and of unknown length. */
static size_t cache_bytes(const ms_plan_params *p, const planning *a) {
    ms_run_params run;
    ms_run_params_init(&run);
    const size_t budget = is_apart(a) ? a->policy.host_budget_bytes : a->policy.budget_bytes,
                 held = is_apart(a) ? a->plan.host_bytes : a->plan.peak_bytes;
    const ms_run_latents_params params = {.compute = a->engine.compute,
                                          .run = &run,
                                          .files = &a->files,
                                          .precision = a->policy.precision,
                                          .resolution = a->engine.resolution,
                                          .tier_rank_percent =
                                              (int)a->policy.profile.value[MS_FIELD_SVD_RANK],
                                          .output_frames = p->frames,
                                          .room_bytes = budget > held ? budget - held : 0};
    return p->turns ? ms_run_latents_bytes(&params) : 0;
}

/* planning_s: what the run's own planning will take too, before it loads; 0 = not known, of another
   machine. */
static void predict(const ms_plan_params *p, const ms_run_plan *plan, const ms_run_speed *speed, int threads,
                    double planning_s, ms_plan_report *r) {
    double computed_s[MS_STAGE_COUNT];
    ms_run_extent extent = {.frames = (double)p->frames,
                            .windows = (double)p->frames / r->window_frames,
                            .speech_s = (double)p->frames / p->fps,
                            .width = p->width,
                            .height = p->height,
                            .tracked = p->tracked,
                            .threads = threads};
    ms_run_compute(speed, plan->stage_s, &extent, computed_s);
    ms_run_predict(speed, plan->rung, computed_s, r->stage_s);
    r->stage_s[MS_STAGE_LOAD] += planning_s;
    r->total_s = ms_run_total_seconds(r->stage_s, ceil(extent.windows));
    for (int i = MS_STAGE_ENCODE; i <= MS_STAGE_DECODE; i++)
        r->window_s += plan->stage_s[i] * speed->ratio[plan->rung][i];
}

_Static_assert(MS_ENGINE_PHASES <= MS_PLAN_PHASES, "networks have outgrown the public report");

static void describe(const planning *a, const ms_engine_program *program, ms_plan_report *r) {
    const ms_engine *engine = a->ask.engine;
    const ms_run_plan *plan = &a->plan;
    const ms_run_others *others = &a->others;
    ms_engine_phase phases[MS_ENGINE_PHASES];
    r->rung = plan->rung;
    r->resolution = ms_engine_resolution(engine);
    r->window_frames = (int)ms_engine_window_frames(engine);
    r->vae_encode_batch = (int)plan->layout.encode_batch;
    r->vae_decode_batch = (int)plan->layout.decode_batch;
    r->attention_parts = (int)plan->layout.slicing.attention_parts;
    r->serial_branches = plan->layout.serial_branches;
    r->slice_frames = plan->layout.slicing.frames;
    r->slice_pixels = plan->layout.slicing.pixels;
    r->stripe_rows = plan->layout.slicing.rows;
    r->process_bytes = others->process_bytes;
    r->codec_bytes = others->codec_bytes;
    r->frame_bytes = others->frame_bytes;
    r->turns_bytes = a->p->turns ? 0 : ms_run_turns_bytes(a->p->width, a->p->height, false);
    r->face_bytes = a->face_bytes;
    r->device_own_bytes = a->own_bytes;
    r->cache_bytes = cache_bytes(a->p, a);
    r->buffer_bytes = is_apart(a) ? plan->engine.host_bytes : plan->engine.held_bytes;
    r->arena_bytes = plan->engine.arena_bytes;
    r->latent_bytes = plan->engine.state_bytes;
    r->launch_bytes = plan->engine.launch_bytes;
    r->resident_bytes = plan->engine.resident_bytes;
    r->stream_bytes = plan->engine.stream_bytes;
    r->weight_bytes = plan->engine.weight_bytes;
    r->streamed_bytes = plan->engine.streamed_bytes;
    r->peak_bytes = plan->peak_bytes + (is_apart(a) ? 0 : r->cache_bytes);
    if (is_apart(a))
        r->host_bytes = plan->host_bytes + r->cache_bytes;
    r->n_phases = ms_engine_get_phases(engine, program, phases);
    for (int i = 0; i < r->n_phases; i++) {
        const ms_network *n = phases[i].network;
        r->phase[i] = (ms_plan_phase){.name = phases[i].name,
                                      .arena_bytes = n->plan->arena_bytes,
                                      .lower_bound_bytes = n->plan->lower_bound_bytes,
                                      .operations = ms_graph_node_count(n->graph),
                                      .tflop = ms_graph_flops(n->graph) * 1e-12};
    }
}

static ms_status load_policy(const ms_plan_params *p, const ms_device *dev, ms_run_policy *ret_policy,
                             ms_error *err) {
    ms_run_policy_params policy = {.source = &p->profile,
                                   .precision = p->precision,
                                   .budget_bytes = p->budget_bytes,
                                   .host_budget_bytes = p->host_budget_bytes};
    MS_TRY(check_device(p, dev, err));
    ms_run_policy_set_device(&policy, dev);
    return ms_run_policy_load(&policy, ret_policy, err);
}

static ms_status prepare(planning *a, const ms_compute *compute, ms_plan_report *r, ms_error *err) {
    const ms_plan_params *p = a->p;
    const ms_device *dev = compute->dev;
    MS_TRY(load_policy(p, dev, &a->policy, err));
    a->own_bytes = dev->caps.host_memory ? 0 : dev->caps.own_bytes;
    MS_TRY(find_configs(p, &a->files, err));
    ms_compute on = *compute;
    on.replay = a->policy.profile.value[MS_FIELD_DEVICE_GRAPHS] != 0;
    on.activation = ms_run_activation(compute->dev, a->policy.precision);
    int64_t samples = (int64_t)((double)p->frames / p->fps * 16000);
    a->engine =
        (ms_engine_params){.compute = on,
                           .files = &a->files,
                           .random_weights = true,
                           .precision = a->policy.precision,
                           .resolution = p->resolution ? p->resolution : a->files.unet_config.resolution,
                           .steps = p->steps,
                           .guidance = (float)p->guidance,
                           .deepcache = p->deepcache,
                           .fps = p->fps,
                           .frames = p->frames,
                           .speech = {.samples = samples, .columns = samples / 160, .max = 0},
                           .samples = {.samples = samples, .read = read_silence}};
    a->speed = ms_run_speed_nominal();
    a->speed.roofline = !dev->caps.host_memory;
    ms_history_key key = ms_run_history_key(&a->engine, p->tracked, p->codec);
    if (dev->caps.computes) {
        MS_TRY(ms_run_speed_find(compute, p->history, p->model ? a->files.unet : NULL, &key, &a->speed,
                                 r->history_warning, err));
        r->history_runs = a->speed.runs;
    } else if (a->card) {
        r->card_measured =
            ms_run_speed_of_card(compute, p->history, a->card, &key, &a->speed, r->history_warning);
        if (!r->card_measured) {
            a->speed.rates = ms_roofline(a->card, on.activation);
            a->speed.host_flops = ms_run_host_flops(compute);
        }
        r->history_runs = a->speed.runs;
        snprintf(r->card, sizeof(r->card), "%s", a->card->name);
    }
    a->ask = (ms_run_plan_params){.engine_params = &a->engine,
                                  .speed = &a->speed,
                                  .profile = &a->policy.profile,
                                  .budget_bytes = a->policy.budget_bytes,
                                  .forced = p->rung};
    if (is_apart(a) && p->host_budget_bytes)
        a->ask.host_budget_bytes = a->policy.host_budget_bytes;
    return MS_OK;
}

/* At the resolution asked for, or lower where that is allowed. MS_BUDGET: plan is the least one. */
static ms_status choose(planning *a, ms_error *err) {
    int wanted = a->engine.resolution;
    for (;;) {
        ms_engine_destroy(&a->ask.engine);
        MS_TRY(ms_engine_create(&a->engine, NULL, &a->ask.engine, err));
        a->others = others_of(a, a->engine.resolution, ms_pool_threads(a->engine.compute.pool));
        size_t host = a->others.process_bytes + a->others.codec_bytes + a->others.frame_bytes + a->face_bytes;
        a->ask.other_bytes = is_apart(a) ? a->own_bytes : host;
        a->ask.host_other_bytes = is_apart(a) ? host : 0;
        MS_TRY(ms_run_plan_least(&a->ask, &a->least, err));
        ms_status status = ms_run_plan_choose(&a->ask, &a->plan, err);
        int lower = ms_run_lower_resolution(a->engine.resolution);
        if (status == MS_BUDGET && a->p->allow_downscale && lower) {
            a->engine.resolution = lower;
            continue;
        }
        if (status == MS_BUDGET)
            a->plan = a->least;
        if (status == MS_BUDGET && a->p->allow_downscale && a->engine.resolution != wanted)
            return ms_fail(err, MS_BUDGET,
                           "a budget of %s is too small even at %d px: this run needs at least %llu MiB",
                           ms_size_format_budget((char[MS_SIZE_TEXT_BYTES]){0}, a->ask.budget_bytes),
                           a->engine.resolution, (unsigned long long)ms_run_asked_bytes(&a->least) >> 20);
        return status;
    }
}

static ms_status plan_on(planning *a, const ms_compute *compute, ms_plan_report *r, char **ret_svg,
                         ms_error *err) {
    ms_engine_program *program = NULL;
    double began = ms_now_s();
    MS_TRY(prepare(a, compute, r, err));
    int wanted = a->engine.resolution;
    /* before the networks that are opened to be counted */
    a->process_bytes = ms_host_resident_bytes() + MS_RUN_PROCESS_BYTES;
    MS_TRY(find_face_bytes(a, compute, &a->face_bytes, err));
    ms_status fit = choose(a, err);
    if (fit != MS_OK && fit != MS_BUDGET)
        return fit;
    r->budget_bytes = a->policy.budget_bytes;
    if (!a->policy.profile.value[MS_FIELD_BUDGET])
        r->margin_percent = (int)a->policy.profile.value[MS_FIELD_SAFETY_MARGIN];
    r->least_bytes = ms_run_asked_bytes(&a->least);
    r->wanted_resolution = wanted;
    snprintf(r->precision, sizeof(r->precision), "%s", ms_dtype_name(a->policy.precision));
    snprintf(r->tier, sizeof(r->tier), "%s", ms_tier_name(a->policy.profile.tier));
    MS_TRY(ms_engine_program_create(a->ask.engine, &a->plan.layout, &program, fit == MS_OK ? err : NULL));
    describe(a, program, r);
    r->windows = (a->p->frames + r->window_frames - 1) / r->window_frames;
    if (compute->dev->caps.computes || a->card)
        predict(a->p, &a->plan, &a->speed, ms_pool_threads(compute->pool),
                compute->dev->caps.computes ? ms_now_s() - began : 0, r);
    ms_status status =
        ret_svg ? ms_plan_draw(r, a->ask.engine, program, ret_svg, fit == MS_OK ? err : NULL) : MS_OK;
    ms_engine_program_destroy(&program);
    return status == MS_OK ? fit : status;
}

/* ---- what callers ask ---- */

/* What is planned for: a device of this machine, or one that is not here. */
typedef struct target {
    const ms_card *card;
    ms_mem *device_mem;
    ms_compute compute;
} target;

static ms_status open_target(const ms_plan_params *p, target *t, ms_error *err) {
    *t = (target){.card = NULL};
    MS_TRY(check(p, err));
    MS_TRY(find_card(p, &t->card, err));
    MS_TRY(ms_mem_create(0, &t->device_mem));
    const ms_compute_params device = {.device = t->card ? "dummy" : p->device,
                                      .threads = p->device_bytes && !t->card && !p->threads ? 1 : p->threads,
                                      .isa_limit = MS_ISA_COUNT - 1,
                                      .memory_bytes = p->device_bytes,
                                      .card = t->card,
                                      .device_mem = t->device_mem};
    return ms_compute_open_tested(&device, &t->compute, err);
}

static void close_target(target *t) {
    ms_compute_close(&t->compute);
    ms_mem_destroy(&t->device_mem);
}

ms_status ms_plan_run_sized(const ms_plan_params *params, size_t params_bytes, ms_plan_report *ret_report,
                            size_t report_bytes, char **ret_svg, ms_error *err) {
    ms_plan_params p = defaults();
    ms_error_clear(err);
    MS_READ_SIZED(&p, params, params_bytes, err);
    MS_NEED(ret_report, err);
    MS_CHECK_SIZED(ret_report, report_bytes, err);
    target on;
    ms_plan_report report = {0};
    planning *work = NULL;
    ms_status status = open_target(&p, &on, err);
    if (status == MS_OK) {
        work = ms_mem_calloc(on.compute.mem, MS_LEDGER_GENERAL, 1, sizeof(*work));
        status = work ? MS_OK : ms_fail_alloc(err, on.compute.mem, sizeof(*work), "planning");
    }
    if (work) {
        work->p = &p;
        work->card = on.card;
        status = plan_on(work, &on.compute, &report, ret_svg, err);
        ms_engine_destroy(&work->ask.engine);
    }
    ms_mem_free(work);
    close_target(&on);
    if (status == MS_OK || status == MS_BUDGET)
        ms_sized_fill(ret_report, report_bytes, &report, sizeof(report));
    return status;
}

ms_status ms_plan_budget_sized(const ms_plan_params *params, size_t params_bytes, size_t *ret_bytes,
                               ms_error *err) {
    ms_plan_params p = defaults();
    ms_run_policy policy = {.budget_bytes = 0};
    target on;
    ms_error_clear(err);
    MS_READ_SIZED(&p, params, params_bytes, err);
    MS_NEED(ret_bytes, err);
    ms_status status = open_target(&p, &on, err);
    if (status == MS_OK)
        status = load_policy(&p, on.compute.dev, &policy, err);
    close_target(&on);
    if (status == MS_OK)
        *ret_bytes = policy.budget_bytes;
    return status;
}

void ms_plan_free_svg(char **svg) {
    if (!svg)
        return;
    ms_mem_free(*svg);
    *svg = NULL;
}
