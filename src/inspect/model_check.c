/* ms_model_check(): a model's folder, part by part. */
#include "memsafe/models.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/sized.h"
#include "device/compute.h"
#include "faces/detect.h"
#include "models/model_files.h"
#include "models/onnx/landmark106.h"
#include "models/onnx/scrfd.h"
#include "models/synthesize/synthesize.h"
#include "text/size.h"
#include "weights/weights.h"

const char *ms_model_part_name(ms_model_part part) {
    static const char *const names[] = {
#define X(name, text) text,
        MS_MODEL_PART_MAP(X)
#undef X
    };
    return (unsigned)part < MS_MODEL_PART_COUNT ? names[part] : "?";
}

/* One check of one part. */
typedef struct checking {
    const ms_model_check_params *p;
    ms_model_names names;
    ms_compute compute; /* of sizes alone: nothing is computed */
    ms_model_files files;
    ms_model_part part;
    int problems; /* of the file */
} checking;

static void tell(const checking *c, ms_finding_kind kind, uint64_t hints, const char *text,
                 const ms_error *error) {
    const ms_finding finding = {.part = c->part, .kind = kind, .text = text, .hints = hints, .error = error};
    if (c->p->tell)
        c->p->tell(c->p->arg, &finding);
}

static void fact(const checking *c, const char *fmt, ...) MS_PRINTF(2, 3);
static void fact(const checking *c, const char *fmt, ...) {
    char text[2 * MS_PATH_BYTES];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    tell(c, MS_FINDING_FACT, 0, text, NULL);
}

static void problem(void *arg, const char *text) {
    checking *c = arg;
    c->problems++;
    tell(c, MS_FINDING_PROBLEM, 0, text, NULL);
}

static uint64_t file_bytes(const char *path) {
    struct stat st;
    return stat(path, &st) == 0 ? (uint64_t)st.st_size : 0;
}

/* Types of all tensors of a checkpoint: "774 float16, 2 int64". */
static void tell_types(const checking *c, const ms_tensor_file *file) {
    size_t counts[MS_DTYPE_COUNT] = {0};
    char text[256] = "";
    for (size_t i = 0; i < ms_tensor_file_count(file); i++)
        counts[ms_tensor_file_get(file, i)->dtype]++;
    for (int t = 0; t < MS_DTYPE_COUNT; t++) {
        size_t n = strlen(text);
        if (counts[t])
            snprintf(text + n, sizeof(text) - n, "%s%zu %s", n ? ", " : "", counts[t],
                     ms_dtype_name((ms_dtype)t));
    }
    fact(c, "%s", text);
}

/* A graph is built for the sake of its parameters; sizes of pictures do not matter. */
typedef ms_status (*declare_fn)(ms_graph *graph, const ms_model_files *files, int which, ms_error *err);

static ms_status declare_unet(ms_graph *g, const ms_model_files *f, int which, ms_error *err) {
    (void)which;
    int64_t latent = f->unet_config.resolution / 8;
    ms_unet_shape shape = {.branches = 1, .frames = 1, .h = latent, .w = latent, .tokens = 50};
    return ms_unet_build(g, &f->unet_config, &shape, err);
}

static ms_status declare_vae(ms_graph *g, const ms_model_files *f, int which, ms_error *err) {
    int64_t factor = ms_vae_factor(&f->vae_config_values);
    return which == 0
               ? ms_vae_build_encoder(g, &f->vae_config_values,
                                      &(ms_vae_build){.images = 1, .h = 8 * factor, .w = 8 * factor}, err)
               : ms_vae_build_decoder(g, &f->vae_config_values, &(ms_vae_build){.images = 1, .h = 8, .w = 8},
                                      err);
}

static ms_status declare_whisper(ms_graph *g, const ms_model_files *f, int which, ms_error *err) {
    (void)which;
    return ms_whisper_build(g, &f->whisper_config, err);
}

/* What was wrong before stays the error. */
static ms_status check_damage(checking *c, const ms_tensor_file *file, ms_status before, ms_error *err) {
    size_t checksums = ms_tensor_file_checksums(file);
    c->problems = 0;
    ms_status status = ms_tensor_file_check(file, problem, c, before == MS_OK ? err : NULL);
    if (status == MS_OK && checksums)
        fact(c, "the checksums of its %zu storages are right", checksums);
    else if (c->problems)
        fact(c, "%d storages of %zu are damaged", c->problems, checksums);
    return before == MS_OK ? status : before;
}

typedef struct part_check {
    unsigned bit;
    const char *known; /* a tensor's name, by which the file's prefix is found */
    declare_fn declare;
    int graphs;
} part_check;

static ms_status check_weights(checking *c, const part_check *check, const char *path, ms_error *err) {
    ms_params *params = NULL;
    ms_weights *weights = NULL;
    ms_tensor_file *file = NULL;
    const char *prefix = "";
    const bool quick = c->p->quick;
    char half[MS_SIZE_TEXT_BYTES], single[MS_SIZE_TEXT_BYTES];
    ms_status status;
    MS_GOTO(ms_params_create(c->compute.mem, c->compute.dev, &params, err));
    MS_GOTO(ms_weights_create(&c->compute, params, &weights, err));
    for (int i = 0; i < check->graphs; i++) {
        ms_graph *graph = NULL;
        MS_GOTO(ms_graph_create(params, c->compute.activation, &graph, err));
        status = check->declare(graph, &c->files, i, err);
        ms_graph_destroy(&graph);
        if (status != MS_OK)
            goto fail;
    }
    MS_GOTO(ms_checkpoint_open(NULL, path, check->known, &file, &prefix, err));
    fact(c, "%s  %s, %s", path, ms_tensor_file_format(file),
         ms_size_format(half, ms_tensor_file_bytes(file)));
    tell_types(c, file);
    fact(c, "in memory: %s at fp16, %s at fp32", ms_size_format(half, ms_params_bytes(params, MS_F16)),
         ms_size_format(single, ms_params_bytes(params, MS_F32)));
    c->problems = 0;
    status = ms_weights_verify(weights, file, prefix, !quick, problem, c, err);
    if (c->problems)
        fact(c, "%d tensors of %zu are wrong", c->problems, ms_params_count(params));
    else if (status == MS_OK)
        fact(c, "all tensors are there with the right shapes%s", quick ? "" : " and finite values");
    if (!quick && (status == MS_OK || status == MS_BAD_MODEL))
        status = check_damage(c, file, status, err);
fail:
    ms_tensor_file_close(&file);
    ms_weights_destroy(&weights);
    ms_params_destroy(&params);
    return status;
}

/* They have no config to be held against: they are built, for the sizes that a run has. */
static ms_status check_faces(checking *c, ms_error *err) {
    ms_compute_params params = {.device = "cpu", .threads = 1, .isa_limit = MS_ISA_COUNT - 1};
    ms_compute compute = {0};
    ms_scrfd *detector = NULL;
    ms_landmark106 *landmarks = NULL;
    char size[MS_SIZE_TEXT_BYTES];
    size_t bytes;
    ms_status status;
    fact(c, "%s  %s", c->files.detector, ms_size_format(size, file_bytes(c->files.detector)));
    fact(c, "%s  %s", c->files.landmarks, ms_size_format(size, file_bytes(c->files.landmarks)));
    MS_GOTO(ms_compute_open(&params, &compute, err));
    MS_GOTO(ms_scrfd_open(&compute, c->files.detector, &detector, err));
    MS_GOTO(ms_scrfd_prepare(detector, MS_DETECT_SIDE, MS_DETECT_SIDE, &bytes, err));
    MS_GOTO(ms_landmark106_open(&compute, c->files.landmarks, &landmarks, err));
    MS_GOTO(ms_landmark106_prepare(landmarks, 1, 0, &bytes, err));
    fact(c, "both have the operators and shapes of a detector and a landmark net");
fail:
    ms_scrfd_close(&detector);
    ms_landmark106_close(&landmarks);
    ms_compute_close(&compute);
    if (status == MS_UNSUPPORTED) {
        char text[sizeof(err->message) + 32];
        snprintf(text, sizeof(text), "not looked into: %s", err->message);
        tell(c, MS_FINDING_FACT, err->hints, text, NULL);
        ms_error_clear(err);
        status = MS_OK;
    }
    return status;
}

static ms_status check_part(checking *c, ms_error *err) {
    static const part_check checks[MS_MODEL_PART_COUNT] = {
        [MS_MODEL_PART_UNET] = {MS_PART_UNET, "conv_in.weight", declare_unet, 1},
        [MS_MODEL_PART_VAE] = {MS_PART_VAE, "decoder.conv_in.weight", declare_vae, 2},
        [MS_MODEL_PART_WHISPER] = {MS_PART_WHISPER, "encoder.conv1.weight", declare_whisper, 1},
        [MS_MODEL_PART_FACES] = {.bit = MS_PART_FACES},
    };
    const part_check *check = &checks[c->part];
    const ms_model_files *f = &c->files;
    const ms_unet_config *unet = &f->unet_config;
    MS_TRY(ms_model_files_find(&c->names, check->bit, &c->files, err));
    switch (c->part) {
    case MS_MODEL_PART_UNET:
        fact(c, "%s  %d px, %d frames, widths %lld to %lld, audio width %lld", f->config, unet->resolution,
             unet->num_frames, (long long)unet->channels[0], (long long)unet->channels[unet->levels - 1],
             (long long)unet->cross_attention_dim);
        return check_weights(c, check, f->unet, err);
    case MS_MODEL_PART_VAE:
        return check_weights(c, check, f->vae, err);
    case MS_MODEL_PART_WHISPER:
        return check_weights(c, check, f->whisper, err);
    case MS_MODEL_PART_FACES:
    case MS_MODEL_PART_COUNT:
        break;
    }
    return check_faces(c, err);
}

static bool is_synthetic(const ms_model_names *names) {
    ms_model_files *files = ms_mem_alloc(NULL, MS_LEDGER_GENERAL, sizeof(*files));
    bool is = files && ms_model_files_find(names, MS_PART_UNET, files, NULL) == MS_OK &&
              ms_is_synthetic(NULL, files->unet);
    ms_mem_free(files);
    return is;
}

/* Goes on with the next part; the first error is the result. */
static ms_status check_parts(checking *c, ms_error *err) {
    ms_error first, found;
    ms_error_clear(&first);
    for (int part = 0; part < MS_MODEL_PART_COUNT; part++) {
        ms_error_clear(&found);
        c->part = (ms_model_part)part;
        ms_status status = check_part(c, &found);
        if (c->part == MS_MODEL_PART_UNET && is_synthetic(&c->names))
            tell(c, MS_FINDING_FACT, MS_HINT_BIT(MS_HINT_SYNTHETIC),
                 "the weights are random: faces will be noise", NULL);
        if (status == MS_OK)
            continue;
        tell(c, MS_FINDING_ERROR, found.hints, found.message, &found);
        if (first.code == MS_OK)
            first = found;
    }
    if (err)
        *err = first;
    return first.code;
}

static ms_model_names names_of(const ms_model_check_params *p) {
    return (ms_model_names){p->model, p->config, p->unet, p->vae, p->whisper, p->faces};
}

/* Where there is no folder every part would say so. */
static ms_status find_folder(const ms_model_check_params *p, ms_error *err) {
    struct stat st;
    if (!p->model && !p->config && !p->unet && !p->vae && !p->whisper && !p->faces)
        return ms_fail_hint(err, MS_INVALID_ARGUMENT, MS_HINT_MODEL, "the model is missing");
    if (!p->model || (stat(p->model, &st) == 0 && S_ISDIR(st.st_mode)))
        return MS_OK;
    return ms_fail_model_folder(p->model, err);
}

static const ms_model_check_params defaults;

void ms_model_check_params_init_sized(ms_model_check_params *ret_params, size_t params_bytes) {
    ms_sized_fill(ret_params, params_bytes, &defaults, sizeof(defaults));
}

ms_status ms_model_check_sized(const ms_model_check_params *params, size_t params_bytes, ms_error *err) {
    const ms_compute_params sizes = {.device = "dummy", .threads = 1, .memory_bytes = (size_t)1 << 40};
    ms_model_check_params p = defaults;
    ms_error_clear(err);
    MS_READ_SIZED(&p, params, params_bytes, err);
    MS_TRY(find_folder(&p, err));
    checking *c = ms_mem_calloc(NULL, MS_LEDGER_GENERAL, 1, sizeof(*c));
    if (!c)
        return ms_fail_alloc(err, NULL, sizeof(*c), "the check of the model");
    c->p = &p;
    c->names = names_of(&p);
    ms_status status = ms_compute_open(&sizes, &c->compute, err);
    if (status == MS_OK)
        status = check_parts(c, err);
    ms_compute_close(&c->compute);
    ms_mem_free(c);
    return status;
}

/* False: there is nothing to look at. */
static bool take(ms_model_check_params *ret, const ms_model_check_params *params, size_t params_bytes) {
    *ret = defaults;
    if (!params || ms_sized_check("", "", params_bytes, sizeof(*ret), NULL) != MS_OK)
        return false;
    memcpy(ret, params, params_bytes);
    return true;
}

bool ms_model_is_synthetic_sized(const ms_model_check_params *params, size_t params_bytes) {
    ms_model_check_params p;
    if (!take(&p, params, params_bytes))
        return false;
    const ms_model_names names = names_of(&p);
    return is_synthetic(&names);
}

bool ms_model_has_file_sized(const ms_model_check_params *params, size_t params_bytes, const char *path) {
    ms_model_check_params p;
    if (!path || !take(&p, params, params_bytes))
        return false;
    const ms_model_names names = names_of(&p);
    return ms_model_files_spare(&names, path, "file", NULL) != MS_OK;
}
