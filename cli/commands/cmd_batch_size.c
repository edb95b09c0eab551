/* `memsafe batch-size`: how many items each task would take at a time, and what bounds it. */
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "commands/commands.h"
#include "console/console.h"
#include "options/device_option.h"
#include "memsafe/batches.h"
#include "options/model_choice.h"
#include "options/profile_options.h"
#include "text/size.h"

#define FRAME_WIDTH 1920
#define FRAME_HEIGHT 1080

typedef struct batch_state {
    ms_batches_params p;
    uint64_t budget_bytes, device_bytes, free_bytes;
    int width, height, frames, pressure;
    bool demo, json;
    cli_profile_options profile;
} batch_state;

static void batch_defaults(void *state) {
    ms_batches_params_init(&((batch_state *)state)->p);
}

typedef struct batch_job {
    const batch_state *s;
    ms_batches *batches;
    ms_batches_info info;
    int tasks, unfit; /* asked for, and those of which not one item fits */
} batch_job;

static ms_batch_request request_of(const batch_job *j, ms_task task) {
    bool frame = task == MS_TASK_FACE_DETECTION || task == MS_TASK_FACE_PROCESSING;
    int side = j->info.resolution;
    ms_batch_request r = {
        .height = j->s->height, .width = j->s->width, .frames = j->s->frames, .pressure = j->s->pressure};
    /* The denoiser takes a window at a time. */
    if (task == MS_TASK_UNET_INFERENCE && (!r.frames || r.frames > j->info.window_frames))
        r.frames = j->info.window_frames;
    if (!r.height)
        r.height = frame ? FRAME_HEIGHT : side;
    if (!r.width)
        r.width = frame ? FRAME_WIDTH : side;
    return r;
}

static void reason(const batch_job *j, ms_task task, const ms_batch_answer *a, char *text, size_t size) {
    char need[MS_SIZE_TEXT_BYTES], room[MS_SIZE_TEXT_BYTES], from[MS_BATCHES_TEXT_BYTES];
    if (!a->fits && !a->usable_bytes) {
        snprintf(text, size, "does not fit: one item needs %s and the weights leave nothing",
                 ms_size_format(need, a->one.device_bytes));
        return;
    }
    if (!a->fits) {
        snprintf(text, size, "does not fit: one item needs %s of %s",
                 ms_size_format(need, a->one.device_bytes), ms_size_format(room, a->usable_bytes));
        return;
    }
    switch (a->limit) {
    case MS_BATCH_BY_CAP:
        if (ms_batches_cap_origin(j->batches, task, from)[0])
            snprintf(text, size, "cap of %d (%s)", a->cap, from);
        else
            snprintf(text, size, "%d, the most that is ever taken", a->cap);
        break;
    case MS_BATCH_BY_FRAMES:
        snprintf(text, size, "%d frames are all there are", a->batch);
        break;
    case MS_BATCH_BY_PRESSURE:
        snprintf(text, size, "pressure %d", j->s->pressure);
        break;
    case MS_BATCH_BY_MEMORY:
    case MS_BATCH_BY_HOST_MEMORY:
        snprintf(text, size, "memory: %s of %s", ms_size_format(need, a->needed.device_bytes),
                 ms_size_format(room, a->usable_bytes));
        break;
    }
}

#define TABLE_COLUMNS 112 /* with the longest reason */

/* 0 where not even one item fits. */
static int in_a_run(const batch_job *j, ms_task task, const ms_batch_request *r, const ms_batch_answer *a) {
    return a->fits ? ms_batches_in_a_run(j->batches, task, r->width, r->frames, a->batch) : 0;
}

static void write_text(const batch_job *j, ms_task task, const ms_batch_request *r, const ms_batch_answer *a,
                       ms_buf *out) {
    char why[256], picture[32], run[16], one[MS_SIZE_TEXT_BYTES], needed[MS_SIZE_TEXT_BYTES];
    reason(j, task, a, why, sizeof(why));
    snprintf(picture, sizeof(picture), "%dx%d", r->width, r->height);
    snprintf(run, sizeof(run), a->fits ? "%d" : "-", in_a_run(j, task, r, a));
    ms_buf_printf(out,
                  cli_is_narrower(TABLE_COLUMNS)
                      ? "%s, %s: %d, in a run %s\n  one item needs %s, the batch %s\n  bound by %s\n"
                      : "%-18s %-10s %6d  %8s  %14s  %11s  %s\n",
                  ms_task_name(task), picture, a->batch, run, ms_size_format(one, a->one.device_bytes),
                  ms_size_format(needed, a->needed.device_bytes), why);
}

static void write_json(const batch_job *j, ms_task task, const ms_batch_request *r, const ms_batch_answer *a,
                       ms_buf *out) {
    char why[256];
    reason(j, task, a, why, sizeof(why));
    ms_buf_printf(
        out,
        "{\"task\": \"%s\", \"batch\": %d, \"run_batch\": %d, \"limit\": \"%s\", \"fits\": %s, \"cap\": %d, "
        "\"cap_is_users\": %s, \"width\": %d, \"height\": %d, \"one_bytes\": %zu, \"batch_bytes\": %zu, "
        "\"usable_bytes\": %zu, \"reason\": ",
        ms_task_name(task), a->batch, in_a_run(j, task, r, a), ms_batch_limit_name(a->limit),
        a->fits ? "true" : "false", a->cap, a->cap_is_users ? "true" : "false", r->width, r->height,
        a->one.device_bytes, a->needed.device_bytes, a->usable_bytes);
    ms_buf_json_string(out, why);
    ms_buf_printf(out, "}");
}

static void write_head(const batch_job *j, ms_buf *out) {
    char memory[MS_SIZE_TEXT_BYTES], weights[MS_SIZE_TEXT_BYTES], room[MS_SIZE_TEXT_BYTES];
    const ms_batches_info *b = &j->info;
    const char *model = j->s->p.model ? j->s->p.model : j->s->p.shape ? j->s->p.shape : "latentsync-1.5";
    if (j->s->json)
        ms_buf_printf(out,
                      "{\"memory_bytes\": %zu, \"weight_bytes\": %zu, \"free_bytes\": %zu, \"pressure\": %d, "
                      "\"tier\": \"%s\", \"model\": ",
                      b->memory_bytes, b->weight_bytes, b->free_bytes, j->s->pressure, b->tier);
    else
        ms_buf_printf(out,
                      "For %s, tier %s, because %s: %s, of which weights take %s (%s); free %s, of which "
                      "%d %% are left alone\n",
                      model, b->tier, b->tier_reason, ms_size_format(memory, b->memory_bytes),
                      ms_size_format(weights, b->weight_bytes), b->precision,
                      ms_size_format(room, b->free_bytes), b->margin_percent);
    if (j->s->json) {
        ms_buf_json_string(out, model);
        ms_buf_printf(out, ", \"tasks\": [");
    } else if (!cli_is_narrower(TABLE_COLUMNS))
        ms_buf_printf(out, "%-18s %-10s %6s  %8s  %14s  %11s  %s\n", "task", "item", "batch", "in a run",
                      "one item needs", "batch needs", "batch bound by");
}

static ms_status answer(batch_job *j, char **names, int n_names, ms_buf *out, ms_error *err) {
    write_head(j, out);
    for (int i = 0; i < (n_names ? n_names : MS_TASK_COUNT); i++) {
        ms_task task = (ms_task)i;
        ms_batch_answer a;
        if (n_names && !ms_task_find(names[i], &task))
            return ms_fail(err, MS_INVALID_ARGUMENT,
                           "\"%s\" is no task; there are face_detection, face_processing, vae_encode, "
                           "vae_decode, unet_inference and latent_processing",
                           names[i]);
        ms_batch_request r = request_of(j, task);
        MS_TRY(ms_optimizer_explain(ms_batches_optimizer(j->batches), task, &r, &a, err));
        if (j->s->json && i)
            ms_buf_printf(out, ", ");
        j->tasks++;
        j->unfit += !a.fits;
        (j->s->json ? write_json : write_text)(j, task, &r, &a, out);
    }
    if (j->s->json)
        ms_buf_printf(out, "]}\n");
    else
        ms_buf_printf(out, "A run takes fewer where more do not pay: on the CPU frames pass one at a time, "
                           "and the VAE takes a few "
                           "pictures.\n");
    return out->failed ? ms_fail_alloc(err, NULL, out->length, "the answer") : MS_OK;
}

static ms_status prepare(batch_job *j, ms_batches_params *p, ms_error *err) {
    const batch_state *s = j->s;
    if (p->model && p->shape)
        return ms_fail(err, MS_INVALID_ARGUMENT, "--model and --shape name two models");
    MS_TRY(cli_no_shape(p->model, err));
    p->profile = cli_profile_source(&s->profile);
    p->budget_bytes = (size_t)s->budget_bytes;
    p->device_bytes = (size_t)s->device_bytes;
    p->free_bytes = (size_t)s->free_bytes;
    MS_TRY(ms_batches_create(p, &j->batches, err));
    ms_batches_get_info(j->batches, &j->info);
    return MS_OK;
}

static int batch_run(const void *state, char **arguments, int n_arguments) {
    static cli_model_choice choice;
    batch_state s = *(const batch_state *)state;
    ms_error err;
    ms_error_clear(&err);
    if (s.demo && cli_choose_model(&s.p.model, true, false, CLI_NEEDS_ALL, &choice, &err) != MS_OK)
        return cli_fail(&err);
    ms_buf out;
    ms_buf_init(&out, NULL);
    batch_job j = {.s = &s};
    ms_status status = prepare(&j, &s.p, &err);
    if (status == MS_OK)
        status = answer(&j, arguments, n_arguments, &out, &err);
    if (status == MS_OK)
        cli_print_all(out.data, s.json);
    cli_flush_now(); /* the error is the last thing that one sees */
    if (status == MS_OK && j.unfit)
        status =
            ms_fail(&err, MS_BUDGET, "%d of %d tasks cannot work within this memory, not with a single item",
                    j.unfit, j.tasks);
    ms_batches_destroy(&j.batches);
    ms_buf_free(&out);
    return status == MS_OK ? 0 : cli_fail(&err);
}

#define P(field) offsetof(batch_state, p.field)

static const cli_option batch_options[] = {
    CLI_GROUP("Options"),
    {"model", "m", CLI_TEXT, P(model), "DIR", "model folder; only its configs are read", 0, 0},
    CLI_DEMO_OPTION(batch_state, demo),
    {"shape", 0, CLI_TEXT, P(shape), "latentsync-1.5|latentsync-1.6|tiny",
     "a published model's shape in place of a folder (default latentsync-1.5)", 0, 0},
    {"faces", 0, CLI_TEXT, P(faces), "DIR", "folder of the face nets", 0, 0},
    CLI_DEVICE_OPTION(batch_state, p.device),
    {"budget", "b", CLI_BYTES, offsetof(batch_state, budget_bytes), "SIZE",
     "memory that weights and batches may take, as for `memsafe run` (default: what is free less a margin)",
     0, 0},
    {"device-memory", 0, CLI_BYTES, offsetof(batch_state, device_bytes), "SIZE",
     "nominal memory of a device that is not here, like 80G (default: its own, on the CPU this machine's)", 0,
     0},
    {"free", 0, CLI_BYTES, offsetof(batch_state, free_bytes), "SIZE",
     "free memory once the weights are there\n(default: what they leave)", 0, 0},
    {"width", 0, CLI_INT, offsetof(batch_state, width), "PX",
     "of an item (default 1920 for face tasks, else the model's)", 1, 65536},
    {"height", 0, CLI_INT, offsetof(batch_state, height), "PX",
     "of an item (default 1080 for face tasks, else the model's)", 1, 65536},
    {"frames", 0, CLI_INT, offsetof(batch_state, frames), "N", "that there are to do (default: many)", 1,
     1 << 30},
    {"pressure", 0, CLI_INT, offsetof(batch_state, pressure), "N",
     "1 halves batches, 2 quarters them, 3 leaves one (default 0)", 0, 3},
    {"serial", 0, CLI_FLAG, P(serial), NULL, "guidance branches one after the other", 0, 0},
    {"threads", 0, CLI_INT, P(threads), "N", "that will compute; 0 = all", 0, 0},
    {"json", "j", CLI_FLAG, offsetof(batch_state, json), NULL, "one JSON object", 0, 0},
    CLI_PROFILE_OPTIONS(batch_state, profile),
};

const cli_command cli_batch_size_command = {
    .name = "batch-size",
    .summary = "Show how many items each task takes at a time, and what bounds it",
    .examples = {{"memsafe batch-size", "every task, with the memory that is free"},
                 {"memsafe batch-size vae_decode -b 8G", "one task within 8 GiB"}},
    .usage = "[TASK]... [-m MODEL | --shape NAME | --demo] [-b SIZE] [OPTIONS]",
    .text =
        "Tasks: face_detection face_processing vae_encode vae_decode unet_inference latent_processing\n"
        "(default: all). The tier's cap is lowered to what fits the free memory less the safety margin, then "
        "by pressure. That is for who asks the library for a batch of their own; \"in a run\" is what "
        "`memsafe run` takes of it: on the CPU "
        "frames pass one at a time, and more than a few pictures for the VAE do not pay. The exit code is 3 "
        "when a task does not fit, not with a single item.",
    .options = batch_options,
    .n_options = CLI_COUNT(batch_options),
    .max_arguments = 64,
    .state_bytes = sizeof(batch_state),
    .defaults = batch_defaults,
    .run = batch_run,
};
