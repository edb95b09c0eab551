/* `memsafe models`: what is in a model folder, what is wrong with it; and making folders with random weights.
 */
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/error.h"
#include "commands.h"
#include "device/device.h"
#include "models/model_files.h"
#include "models/synthesize.h"

typedef struct models_state {
    ms_model_names names;
    int synthesize; /* ms_synthetic, -1 = not */
    const char *out;
    int dtype;
    uint64_t seed;
    bool quick;
} models_state;

static void models_defaults(void *state) {
    models_state *s = state;
    s->seed = 1247;
    s->synthesize = -1;
}

static const char *size_text(uint64_t bytes, char text[32]) {
    if (bytes >= (uint64_t)1 << 30)
        snprintf(text, 32, "%.2f GiB", (double)bytes / 0x1p30);
    else
        snprintf(text, 32, "%.2f MiB", (double)bytes / 0x1p20);
    return text;
}

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
            printf("%s%zu %s", separator, counts[t], ms_dtype_name((ms_dtype)t));
            separator = ", ";
        }
    }
}

static void print_problem(void *arg, const char *problem) {
    int *count = arg;
    if (++*count <= 20)
        printf("  wrong: %s\n", problem);
    else if (*count == 21)
        printf("  ... and more\n");
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
        printf("  the checksums of its %zu storages are right\n", checksums);
    else if (problems)
        printf("  %d storages of %zu are damaged\n", problems, checksums);
    return before == MS_OK ? status : before;
}

static ms_status check_part(ms_device *dev, const ms_model_files *files, const char *path, const char *known,
                            declare_fn declare, int graphs, bool quick, ms_error *err) {
    ms_weights *weights = NULL;
    ms_tensor_file *file = NULL;
    const char *prefix = "";
    char text[32];
    int problems = 0;
    ms_status status;
    MS_GOTO(ms_weights_create(dev, &weights, err));
    for (int i = 0; i < graphs; i++) {
        ms_graph *graph = NULL;
        MS_GOTO(ms_graph_create(NULL, dev, weights, &graph, err));
        status = declare(graph, files, i, err);
        ms_graph_destroy(&graph);
        if (status != MS_OK)
            goto fail;
    }
    MS_GOTO(ms_checkpoint_open(NULL, path, known, &file, &prefix, err));
    printf("  %s  %s, %s\n  ", path, ms_tensor_file_format(file),
           size_text(ms_tensor_file_bytes(file), text));
    print_types(file);
    printf("\n  in memory: %s at fp16", size_text(ms_weights_bytes(weights, MS_F16), text));
    printf(", %s at fp32\n", size_text(ms_weights_bytes(weights, MS_F32), text));
    status = ms_weights_verify(weights, file, prefix, !quick, print_problem, &problems, err);
    if (problems)
        printf("  %d tensors of %zu are wrong\n", problems, ms_weights_count(weights));
    else if (status == MS_OK)
        printf("  all tensors are there with the right shapes%s\n", quick ? "" : " and finite values");
    if (!quick && (status == MS_OK || status == MS_BAD_MODEL))
        status = check_damage(file, status, err);
fail:
    ms_tensor_file_close(&file);
    ms_weights_destroy(&weights);
    return status;
}

/* Prints what is wrong with a part and goes on with the next; the first error decides the exit code. */
static void note(ms_status status, const ms_error *problem, ms_error *first) {
    if (status == MS_OK)
        return;
    printf("  wrong: %s\n", problem->message);
    if (first->code == MS_OK)
        *first = *problem;
}

static int inspect(const models_state *s) {
    ms_error err, first;
    ms_error_clear(&err);
    ms_error_clear(&first);
    ms_device_params params = {.backend = "dummy", .memory_bytes = (size_t)1 << 40};
    ms_device *dev = NULL;
    static ms_model_files files;
    ms_status status = ms_device_open(&params, &dev, &err);
    if (status != MS_OK)
        return cli_fail(&err);
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
        printf("%s\n", parts[i].title);
        ms_error_clear(&err);
        status = ms_model_files_find(&s->names, parts[i].part, &files, &err);
        const char *path = i == 0 ? files.unet : i == 1 ? files.vae : files.whisper;
        if (status == MS_OK && i == 0)
            printf("  %s  %d px, %d frames, widths %lld to %lld, audio width %lld\n", files.config,
                   files.unet_config.resolution, files.unet_config.num_frames,
                   (long long)files.unet_config.channels[0],
                   (long long)files.unet_config.channels[files.unet_config.levels - 1],
                   (long long)files.unet_config.cross_attention_dim);
        if (status == MS_OK && parts[i].declare)
            status = check_part(dev, &files, path, parts[i].known, parts[i].declare, parts[i].graphs,
                                s->quick, &err);
        else if (status == MS_OK)
            printf("  %s  %.1f MiB\n  %s  %.1f MiB\n", files.detector,
                   (double)file_bytes(files.detector) / 0x1p20, files.landmarks,
                   (double)file_bytes(files.landmarks) / 0x1p20);
        note(status, &err, &first);
    }
    ms_device_close(&dev);
    return ms_status_exit_code(first.code);
}

static int synthesize(const models_state *s) {
    static const ms_dtype types[] = {MS_F16, MS_F32, MS_BF16};
    ms_error err;
    ms_error_clear(&err);
    ms_synthesize_params params = {
        .kind = (ms_synthetic)s->synthesize, .dtype = types[s->dtype], .seed = s->seed, .dir = s->out};
    if (!s->out)
        ms_fail(&err, MS_INVALID_ARGUMENT, "--synthesize needs -o DIR");
    else
        ms_synthesize(&params, &err);
    if (err.code != MS_OK)
        return cli_fail(&err);
    printf("%s: random weights written; there are no face nets, so runs need --track\n", s->out);
    return 0;
}

static int models_run(const void *state, char **arguments, int n_arguments) {
    models_state s = *(const models_state *)state;
    ms_error err;
    if (s.synthesize >= 0)
        return synthesize(&s);
    if (n_arguments)
        s.names.dir = arguments[0];
    if (!s.names.dir && !s.names.unet) {
        ms_fail(&err, MS_INVALID_ARGUMENT, "usage: memsafe models DIR");
        return cli_fail(&err);
    }
    return inspect(&s);
}

static const cli_option models_options[] = {
    {"config", 0, CLI_TEXT, offsetof(models_state, names.config), "FILE",
     "UNet config in place of the folder's", 0, 0},
    {"unet", 0, CLI_TEXT, offsetof(models_state, names.unet), "FILE",
     "UNet checkpoint in place of the folder's", 0, 0},
    {"vae", 0, CLI_TEXT, offsetof(models_state, names.vae), "PATH", "VAE folder or weights file", 0, 0},
    {"whisper", 0, CLI_TEXT, offsetof(models_state, names.whisper), "FILE", "Whisper checkpoint", 0, 0},
    {"faces", 0, CLI_TEXT, offsetof(models_state, names.faces), "DIR", "folder of the face nets", 0, 0},
    {"quick", 'q', CLI_FLAG, offsetof(models_state, quick), NULL,
     "names and shapes only, values are not read", 0, 0},
    {"synthesize", 0, CLI_CHOICE, offsetof(models_state, synthesize), "latentsync-1.5|latentsync-1.6|tiny",
     "write a folder of that shape with random weights to -o", 0, 0},
    {"out", 'o', CLI_TEXT, offsetof(models_state, out), "DIR", "folder to make", 0, 0},
    {"dtype", 0, CLI_CHOICE, offsetof(models_state, dtype), "fp16|fp32|bf16",
     "type of the random weights (default fp16)", 0, 0},
    {"seed", 's', CLI_U64, offsetof(models_state, seed), "N", "seed of the random weights (default 1247)", 0,
     0},
};

const cli_command cli_models_command = {
    .name = "models",
    .summary = "Inspect and verify a model folder, or make one with random weights",
    .usage = "DIR | --synthesize NAME -o DIR [--dtype TYPE]",
    .text = "Prints each part's file, format, size and precision, and checks every tensor's name, shape and "
            "values against\n"
            "the config, and the checksums that torch files hold; a run checks the former only. The exit "
            "code is that of the first thing that is wrong.",
    .options = models_options,
    .n_options = CLI_COUNT(models_options),
    .max_arguments = 1,
    .state_bytes = sizeof(models_state),
    .defaults = models_defaults,
    .run = models_run,
};
