#include "model_check.h"

#include <stdio.h>
#include <sys/stat.h>

#include "base/error.h"
#include "console.h"
#include "device/compute.h"
#include "faces/detect.h"
#include "hints.h"
#include "models/onnx/landmark106.h"
#include "models/onnx/scrfd.h"
#include "models/synthesize/synthesize.h"
#include "options.h"
#include "text/size.h"
#include "weights/weights.h"

static uint64_t file_bytes(const char *path) {
    struct stat st;
    return stat(path, &st) == 0 ? (uint64_t)st.st_size : 0;
}

/* Types of all tensors of a checkpoint: "float16 (774)". */
static void print_types(const ms_tensor_file *file) {
    size_t counts[MS_DTYPE_COUNT] = {0};
    for (size_t i = 0; i < ms_tensor_file_count(file); i++)
        counts[ms_tensor_file_get(file, i)->dtype]++;
    const char *separator = "";
    for (int t = 0; t < MS_DTYPE_COUNT; t++) {
        if (counts[t]) {
            cli_print("%s%zu %s", separator, counts[t], ms_dtype_name((ms_dtype)t));
            separator = ", ";
        }
    }
}

static void print_problem(void *arg, const char *problem) {
    int *count = arg;
    if (++*count <= 20)
        cli_print("  wrong: %s\n", problem);
    else if (*count == 21)
        cli_print("  ... and more\n");
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
static ms_status check_damage(const ms_tensor_file *file, ms_status before, ms_error *err) {
    int problems = 0;
    size_t checksums = ms_tensor_file_checksums(file);
    ms_status status = ms_tensor_file_check(file, print_problem, &problems, before == MS_OK ? err : NULL);
    if (status == MS_OK && checksums)
        cli_print("  the checksums of its %zu storages are right\n", checksums);
    else if (problems)
        cli_print("  %d storages of %zu are damaged\n", problems, checksums);
    return before == MS_OK ? status : before;
}

static ms_status check_part(const ms_compute *compute, const ms_model_files *files, const char *path,
                            const char *known, declare_fn declare, int graphs, bool quick, ms_error *err) {
    ms_params *params = NULL;
    ms_weights *weights = NULL;
    ms_tensor_file *file = NULL;
    const char *prefix = "";
    char text[MS_SIZE_TEXT_BYTES];
    int problems = 0;
    ms_status status;
    MS_GOTO(ms_params_create(compute->mem, compute->dev, &params, err));
    MS_GOTO(ms_weights_create(compute, params, &weights, err));
    for (int i = 0; i < graphs; i++) {
        ms_graph *graph = NULL;
        MS_GOTO(ms_graph_create(params, compute->activation, &graph, err));
        status = declare(graph, files, i, err);
        ms_graph_destroy(&graph);
        if (status != MS_OK)
            goto fail;
    }
    MS_GOTO(ms_checkpoint_open(NULL, path, known, &file, &prefix, err));
    cli_print("  %s  %s, %s\n  ", path, ms_tensor_file_format(file),
              ms_size_format(text, ms_tensor_file_bytes(file)));
    print_types(file);
    cli_print("\n  in memory: %s at fp16", ms_size_format(text, ms_params_bytes(params, MS_F16)));
    cli_print(", %s at fp32\n", ms_size_format(text, ms_params_bytes(params, MS_F32)));
    status = ms_weights_verify(weights, file, prefix, !quick, print_problem, &problems, err);
    if (problems)
        cli_print("  %d tensors of %zu are wrong\n", problems, ms_params_count(params));
    else if (status == MS_OK)
        cli_print("  all tensors are there with the right shapes%s\n", quick ? "" : " and finite values");
    if (!quick && (status == MS_OK || status == MS_BAD_MODEL))
        status = check_damage(file, status, err);
fail:
    ms_tensor_file_close(&file);
    ms_weights_destroy(&weights);
    ms_params_destroy(&params);
    return status;
}

/* The face nets have no config to be held against: they are built, for the sizes that a run has. */
static ms_status check_faces(const ms_model_files *files, ms_error *err) {
    ms_compute_params params = {.device = "cpu", .threads = 1, .isa_limit = MS_ISA_COUNT - 1};
    ms_compute compute = {0};
    ms_scrfd *detector = NULL;
    ms_landmark106 *landmarks = NULL;
    char detector_size[MS_SIZE_TEXT_BYTES], landmarks_size[MS_SIZE_TEXT_BYTES];
    size_t bytes;
    ms_status status;
    cli_print("  %s  %s\n  %s  %s\n", files->detector,
              ms_size_format(detector_size, file_bytes(files->detector)), files->landmarks,
              ms_size_format(landmarks_size, file_bytes(files->landmarks)));
    MS_GOTO(ms_compute_open(&params, &compute, err));
    MS_GOTO(ms_scrfd_open(&compute, files->detector, &detector, err));
    MS_GOTO(ms_scrfd_prepare(detector, MS_DETECT_SIDE, MS_DETECT_SIDE, &bytes, err));
    MS_GOTO(ms_landmark106_open(&compute, files->landmarks, &landmarks, err));
    MS_GOTO(ms_landmark106_prepare(landmarks, 1, 0, &bytes, err));
    cli_print("  both have the operators and shapes of a detector and a landmark net\n");
fail:
    ms_scrfd_close(&detector);
    ms_landmark106_close(&landmarks);
    ms_compute_close(&compute);
    if (status == MS_UNSUPPORTED) {
        char text[CLI_ERROR_BYTES];
        cli_print("  not looked into: %s\n", cli_error_text(err, text));
        ms_error_clear(err);
        status = MS_OK;
    }
    return status;
}

/* Prints what is wrong with a part and goes on with the next; the first error decides the exit code. */
static void note(ms_status status, const ms_error *problem, ms_error *first) {
    char text[CLI_ERROR_BYTES];
    if (status == MS_OK)
        return;
    cli_print("  wrong: %s\n", cli_error_text(problem, text));
    if (first->code == MS_OK)
        *first = *problem;
}

/* Where there is no folder every part would say so. */
static ms_status find_folder(const ms_model_names *names, ms_error *err) {
    struct stat st;
    if (!names->dir || (stat(names->dir, &st) == 0 && S_ISDIR(st.st_mode)))
        return MS_OK;
    return ms_fail(err, MS_IO, "%s is not a folder", names->dir);
}

bool cli_model_is_random(const ms_model_names *names) {
    static ms_model_files files;
    return ms_model_files_find(names, MS_PART_UNET, &files, NULL) == MS_OK &&
           ms_is_synthetic(NULL, files.unet);
}

ms_status cli_model_check(const ms_model_names *names, bool quick) {
    ms_error err, first;
    ms_error_clear(&err);
    ms_error_clear(&first);
    if (find_folder(names, &err) != MS_OK) {
        cli_fail(&err);
        return err.code;
    }
    ms_compute_params params = {.device = "dummy", .threads = 1, .memory_bytes = (size_t)1 << 40};
    ms_compute compute = {0};
    static ms_model_files files;
    ms_status status = ms_compute_open(&params, &compute, &err);
    if (status != MS_OK) {
        cli_fail(&err);
        return status;
    }
    static const struct {
        const char *title;
        unsigned part;
        const char *known;
        declare_fn declare;
        int graphs;
    } parts[] = {{"UNet", MS_PART_UNET, "conv_in.weight", declare_unet, 1},
                 {"VAE", MS_PART_VAE, "decoder.conv_in.weight", declare_vae, 2},
                 {"Whisper", MS_PART_WHISPER, "encoder.conv1.weight", declare_whisper, 1},
                 {"Face nets", MS_PART_FACES, NULL, NULL, 0}};
    for (int i = 0; i < CLI_COUNT(parts); i++) {
        cli_print("%s\n", parts[i].title);
        ms_error_clear(&err);
        status = ms_model_files_find(names, parts[i].part, &files, &err);
        const char *path = i == 0 ? files.unet : i == 1 ? files.vae : files.whisper;
        if (status == MS_OK && i == 0)
            cli_print("  %s  %d px, %d frames, widths %lld to %lld, audio width %lld\n", files.config,
                      files.unet_config.resolution, files.unet_config.num_frames,
                      (long long)files.unet_config.channels[0],
                      (long long)files.unet_config.channels[files.unet_config.levels - 1],
                      (long long)files.unet_config.cross_attention_dim);
        if (status == MS_OK && parts[i].declare)
            status = check_part(&compute, &files, path, parts[i].known, parts[i].declare, parts[i].graphs,
                                quick, &err);
        else if (status == MS_OK)
            status = check_faces(&files, &err);
        if (i == 0 && cli_model_is_random(names))
            cli_print("  the weights are random (models --synthesize): faces will be noise\n");
        note(status, &err, &first);
    }
    ms_compute_close(&compute);
    return first.code;
}
