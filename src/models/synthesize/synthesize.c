#include "models/synthesize/synthesize.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/philox.h"
#include "base/region.h"
#include "device/compute.h"
#include "files/new_file.h"
#include "formats/tensor_writer.h"
#include "models/model_files.h"
#include "models/synthesize/synthesize_faces.h"
#include "text/json.h"

#define BLOCK_ELEMENTS 65536
/* Beside the UNet's tensors, for it is they that are worth nothing: not in the
   config, which may be used with others. */
#define MARK "memsafe_random_weights"
#define FACES_DIR "auxiliary/models/buffalo_l"

/* ---- configs ---- */

/* The fields that the network depends on, of the official configs configs/unet/stage2.yaml and
   stage2_512.yaml. */
#define UNET_CONFIG(resolution, channels, layers, groups, heads, context, sample)                            \
    "{\n"                                                                                                    \
    "  \"data\": {\"num_frames\": 16, \"resolution\": " resolution                                           \
    ", \"audio_sample_rate\": 16000, \"video_fps\": 25,\n"                                                   \
    "           \"audio_feat_length\": [2, 2], \"mask_image_path\": \"latentsync/utils/mask.png\"},\n"       \
    "  \"run\": {\"guidance_scale\": 1.5, \"inference_steps\": 20, \"seed\": 1247},\n"                       \
    "  \"model\": {\n"                                                                                       \
    "    \"act_fn\": \"silu\", \"add_audio_layer\": true, \"attention_head_dim\": " heads ",\n"              \
    "    \"block_out_channels\": " channels ", \"center_input_sample\": false,\n"                            \
    "    \"cross_attention_dim\": " context ",\n"                                                            \
    "    \"down_block_types\": [\"CrossAttnDownBlock3D\", \"CrossAttnDownBlock3D\", "                        \
    "\"CrossAttnDownBlock3D\", "                                                                             \
    "\"DownBlock3D\"],\n"                                                                                    \
    "    \"mid_block_type\": \"UNetMidBlock3DCrossAttn\",\n"                                                 \
    "    \"up_block_types\": [\"UpBlock3D\", \"CrossAttnUpBlock3D\", \"CrossAttnUpBlock3D\", "               \
    "\"CrossAttnUpBlock3D\"],\n"                                                                             \
    "    \"downsample_padding\": 1, \"flip_sin_to_cos\": true, \"freq_shift\": 0, \"in_channels\": 13,\n"    \
    "    \"layers_per_block\": " layers ", \"mid_block_scale_factor\": 1, \"norm_eps\": 1e-5,\n"             \
    "    \"norm_num_groups\": " groups ", \"out_channels\": 4, \"sample_size\": " sample ",\n"               \
    "    \"resnet_time_scale_shift\": \"default\",\n"                                                        \
    "    \"use_motion_module\": true, \"motion_module_resolutions\": [1, 2, 4, 8], "                         \
    "\"motion_module_mid_block\": false,\n"                                                                  \
    "    \"motion_module_decoder_only\": false, \"motion_module_type\": \"Vanilla\",\n"                      \
    "    \"motion_module_kwargs\": {\"num_attention_heads\": 8, \"num_transformer_block\": 1,\n"             \
    "      \"attention_block_types\": [\"Temporal_Self\", \"Temporal_Self\"], "                              \
    "\"temporal_position_encoding\": true,\n"                                                                \
    "      \"temporal_position_encoding_max_len\": 24, \"temporal_attention_dim_div\": 1, "                  \
    "\"zero_initialize\": true}\n"                                                                           \
    "  }\n"                                                                                                  \
    "}\n"

#define VAE_CONFIG(channels, groups, sample)                                                                 \
    "{\n"                                                                                                    \
    "  \"_class_name\": \"AutoencoderKL\", \"_diffusers_version\": \"0.4.2\", \"act_fn\": \"silu\",\n"       \
    "  \"block_out_channels\": " channels ",\n"                                                              \
    "  \"down_block_types\": [\"DownEncoderBlock2D\", \"DownEncoderBlock2D\", \"DownEncoderBlock2D\", "      \
    "\"DownEncoderBlock2D\"],\n"                                                                             \
    "  \"in_channels\": 3, \"latent_channels\": 4, \"layers_per_block\": 2, \"norm_num_groups\": " groups    \
    ",\n"                                                                                                    \
    "  \"out_channels\": 3, \"sample_size\": " sample ",\n"                                                  \
    "  \"up_block_types\": [\"UpDecoderBlock2D\", \"UpDecoderBlock2D\", \"UpDecoderBlock2D\", "              \
    "\"UpDecoderBlock2D\"]\n"                                                                                \
    "}\n"

static const char *unet_config(ms_synthetic kind) {
    switch (kind) {
    case MS_SYNTHETIC_1_5:
        return UNET_CONFIG("256", "[320, 640, 1280, 1280]", "2", "32", "8", "384", "64");
    case MS_SYNTHETIC_1_6:
        return UNET_CONFIG("512", "[320, 640, 1280, 1280]", "2", "32", "8", "384", "64");
    case MS_SYNTHETIC_TINY:
        break;
    }
    return UNET_CONFIG("128", "[32, 64, 96, 96]", "1", "16", "4", "48", "16");
}

static const char *vae_config(ms_synthetic kind) {
    return kind == MS_SYNTHETIC_TINY ? VAE_CONFIG("[16, 16, 16, 32]", "8", "128")
                                     : VAE_CONFIG("[128, 256, 512, 512]", "32", "256");
}

static ms_whisper_config whisper_config(ms_synthetic kind) {
    if (kind == MS_SYNTHETIC_TINY)
        return (ms_whisper_config){.n_mels = 80, .n_ctx = 1500, .n_state = 48, .n_head = 4, .n_layer = 4};
    return (ms_whisper_config){.n_mels = 80, .n_ctx = 1500, .n_state = 384, .n_head = 6, .n_layer = 4};
}

ms_status ms_synthetic_configs(ms_synthetic kind, ms_model_files *ret_files, ms_error *err) {
    const char *const texts[2] = {unet_config(kind), vae_config(kind)};
    memset(ret_files, 0, sizeof(*ret_files));
    for (int i = 0; i < 2; i++) {
        ms_json_doc *doc = NULL;
        MS_TRY(ms_json_parse(NULL, texts[i], strlen(texts[i]), &doc, err));
        const ms_json *root = ms_json_root(doc);
        ms_status status =
            i == 0 ? ms_unet_config_read(root, "synthetic unet.yaml", &ret_files->unet_config, err)
                   : ms_vae_config_read(root, "synthetic config.json", &ret_files->vae_config_values, err);
        ms_json_doc_destroy(&doc);
        MS_TRY(status);
    }
    ret_files->whisper_config = whisper_config(kind);
    return MS_OK;
}

bool ms_is_synthetic(ms_mem *mem, const char *unet) {
    ms_tensor_file *file = NULL;
    int64_t mark = 0;
    if (ms_tensor_file_open(mem, unet, &file, NULL) != MS_OK)
        return false;
    bool is = ms_tensor_file_integer(file, MARK, &mark) && mark != 0;
    ms_tensor_file_close(&file);
    return is;
}

/* ---- values ---- */

static bool has(const char *name, const char *part) {
    return strstr(name, part) != NULL;
}

/* Weights of norms lie around 1, biases around 0. Matrices are scaled by their number of inputs, so that
   activations keep their size; what a residual adds is made smaller, so that it does not grow with the
   depth. */
static void value_range(const char *name, int rank, const int64_t *shape, float *ret_centre,
                        float *ret_spread) {
    *ret_centre = 0;
    if (rank == 1) {
        bool norm = has(name, "norm") || has(name, "_ln") || has(name, "ln_");
        *ret_centre = norm && has(name, "weight") ? 1.0f : 0.0f;
        *ret_spread = 0.05f;
        return;
    }
    double inputs = 1;
    for (int i = 1; i < rank; i++)
        inputs *= (double)shape[i];
    double gain =
        has(name, "conv2.") || has(name, "to_out") || has(name, "proj_out") || has(name, "net.2") ? 0.3 : 1.0;
    /* a uniform range of that size has variance gain^2 / inputs */
    *ret_spread = (float)(gain * sqrt(3.0 / inputs));
}

void ms_synthetic_fill(const char *name, int rank, const int64_t *shape, uint64_t seed, uint32_t tensor,
                       int64_t first, int64_t count, float *ret_values) {
    const uint32_t key[2] = {(uint32_t)seed, (uint32_t)(seed >> 32)};
    float centre, spread;
    value_range(name, rank, shape, &centre, &spread);
    for (int64_t i = 0; i < count; i += 4) { /* first is a multiple of 4 */
        const uint32_t counter[4] = {(uint32_t)((first + i) / 4), tensor, MS_NOISE_WEIGHTS, 0};
        uint32_t words[4];
        ms_philox4x32_10(counter, key, words);
        for (int j = 0; j < 4 && i + j < count; j++)
            ret_values[i + j] = centre + spread * (float)(int32_t)words[j] * 0x1p-31f;
    }
}

static void narrow(const float *values, int64_t count, ms_dtype dtype, void *ret_data) {
    uint16_t *half = ret_data;
    if (dtype == MS_F32)
        memcpy(ret_data, values, (size_t)count * sizeof(float));
    for (int64_t i = 0; i < count && dtype == MS_F16; i++)
        half[i] = ms_f32_to_f16(values[i]);
    for (int64_t i = 0; i < count && dtype == MS_BF16; i++)
        half[i] = ms_f32_to_bf16(values[i]);
}

/* ---- files ---- */

typedef struct tensor_list {
    ms_region region;
    struct tensor_item {
        const char *name;
        int rank;
        int64_t shape[4];
    } * items;
    int count, capacity;
} tensor_list;

static ms_status add_tensor(tensor_list *list, const char *name, int rank, const int64_t *shape,
                            ms_error *err) {
    if (list->count == list->capacity) {
        int wanted = list->capacity ? 2 * list->capacity : 512;
        size_t bytes = (size_t)wanted * sizeof(*list->items);
        void *fresh =
            list->items ? ms_realloc(list->items, bytes) : ms_mem_alloc(NULL, MS_LEDGER_GENERAL, bytes);
        if (!fresh)
            return ms_fail_alloc(err, NULL, bytes, "a list of tensors");
        list->items = fresh;
        list->capacity = wanted;
    }
    struct tensor_item *item = &list->items[list->count];
    *item = (struct tensor_item){.rank = rank, .name = ms_region_strndup(&list->region, name, strlen(name))};
    if (!item->name)
        return ms_fail_alloc(err, NULL, strlen(name), "a list of tensors");
    memcpy(item->shape, shape, (size_t)rank * sizeof(int64_t));
    list->count++;
    return MS_OK;
}

/* Every tensor of declared weights; legacy: by their other spelling where they have one. */
static ms_status add_declared(tensor_list *list, const ms_params *params, bool legacy, ms_error *err) {
    for (size_t i = 0; i < ms_params_count(params); i++) {
        const ms_param_decl *d = ms_params_decl(params, (ms_param)i);
        for (int part = 0; part < d->parts; part++) {
            const char *name = legacy && d->other_name[part] ? d->other_name[part] : d->name[part];
            if (name)
                MS_TRY(add_tensor(list, name, d->rank, d->shape, err));
        }
    }
    return MS_OK;
}

static ms_status write_data(ms_tensor_writer *writer, const tensor_list *list, ms_dtype dtype, uint64_t seed,
                            ms_error *err) {
    float *values = ms_alloc_array(NULL, MS_LEDGER_STAGING, BLOCK_ELEMENTS, sizeof(float));
    void *data = ms_alloc_array(NULL, MS_LEDGER_STAGING, BLOCK_ELEMENTS, sizeof(float));
    ms_status status =
        values && data ? MS_OK : ms_fail_alloc(err, NULL, BLOCK_ELEMENTS * sizeof(float), "random weights");
    for (int t = 0; t < list->count && status == MS_OK; t++) {
        const struct tensor_item *item = &list->items[t];
        int64_t elements = 1;
        for (int i = 0; i < item->rank; i++)
            elements *= item->shape[i];
        for (int64_t first = 0; first < elements && status == MS_OK; first += BLOCK_ELEMENTS) {
            int64_t count = elements - first < BLOCK_ELEMENTS ? elements - first : BLOCK_ELEMENTS;
            ms_synthetic_fill(item->name, item->rank, item->shape, seed, (uint32_t)t, first, count, values);
            narrow(values, count, dtype, data);
            status = ms_tensor_writer_write(writer, data, (size_t)count * ms_dtype_bytes(dtype), err);
        }
    }
    ms_mem_free(values);
    ms_mem_free(data);
    return status;
}

typedef struct named_integer {
    const char *name;
    int64_t value;
} named_integer;

typedef struct file_format {
    ms_tensor_format format;
    const char *root;
    const named_integer *integers;
    int n_integers;
} file_format;

static ms_status write_tensors(const char *path, const file_format *format, const tensor_list *list,
                               ms_dtype dtype, uint64_t seed, ms_error *err) {
    ms_tensor_writer *writer = NULL;
    MS_TRY(ms_tensor_writer_create(NULL, path, format->format, &writer, err));
    ms_status status = MS_OK;
    if (format->format == MS_FORMAT_TORCH)
        status = ms_tensor_writer_torch_layout(writer, format->root, err);
    for (int i = 0; i < format->n_integers && status == MS_OK; i++)
        status =
            ms_tensor_writer_torch_integer(writer, format->integers[i].name, format->integers[i].value, err);
    for (int i = 0; i < list->count && status == MS_OK; i++)
        status = ms_tensor_writer_declare(writer, list->items[i].name, dtype, list->items[i].rank,
                                          list->items[i].shape, err);
    if (status == MS_OK)
        status = write_data(writer, list, dtype, seed, err);
    if (status == MS_OK)
        return ms_tensor_writer_finish(&writer, err);
    ms_tensor_writer_abort(&writer);
    return status;
}

static ms_status write_text(const char *path, const char *text, ms_error *err) {
    return ms_new_file_save(path, text, strlen(text), false, err);
}

static ms_status make_folder(const char *path, ms_error *err) {
    if (mkdir(path, 0755) != 0 && errno != EEXIST)
        return ms_fail(err, MS_IO, "%s: cannot be made: %s", path, strerror(errno));
    return MS_OK;
}

static ms_status refuse_existing(const char *path, ms_error *err) {
    if (access(path, F_OK) == 0)
        return ms_fail(err, MS_IO, "%s: is there already", path);
    return MS_OK;
}

/* ---- the parts ---- */

typedef struct synthesis {
    const ms_synthesize_params *p;
    ms_compute compute; /* dummy: shapes only */
    ms_model_files configs;
    ms_params *params;
    ms_graph *graph;
    tensor_list list;
    char path[MS_PATH_BYTES];
} synthesis;

static void part_free(synthesis *s) {
    ms_graph_destroy(&s->graph);
    ms_params_destroy(&s->params);
    ms_mem_free(s->list.items);
    ms_region_free(&s->list.region);
    s->list = (tensor_list){0};
}

static ms_status part_begin(synthesis *s, ms_error *err) {
    ms_region_init(&s->list.region, NULL, SIZE_MAX);
    return ms_params_create(s->compute.mem, s->compute.dev, &s->params, err);
}

static ms_status in_dir(synthesis *s, const char *name, ms_error *err) {
    int n = snprintf(s->path, sizeof(s->path), "%s/%s", s->p->dir, name);
    if (n < 0 || (size_t)n >= sizeof(s->path))
        return ms_fail(err, MS_INVALID_ARGUMENT, "the path %s is too long", s->p->dir);
    return MS_OK;
}

static ms_status write_unet(synthesis *s, ms_error *err) {
    const ms_unet_config config = s->configs.unet_config;
    int64_t latent = config.resolution / 8;
    ms_unet_shape shape = {.branches = 1, .frames = 1, .h = latent, .w = latent, .tokens = 50};
    MS_TRY(ms_graph_create(s->params, s->compute.activation, &s->graph, err));
    MS_TRY(ms_unet_build(s->graph, &config, &shape, err));
    MS_TRY(add_declared(&s->list, s->params, false, err));
    static const named_integer integers[] = {{"global_step", 0}, {MARK, 1}};
    const file_format format = {MS_FORMAT_TORCH, "state_dict", integers, 2};
    MS_TRY(in_dir(s, "latentsync_unet.pt", err));
    MS_TRY(write_tensors(s->path, &format, &s->list, s->p->dtype, s->p->seed, err));
    MS_TRY(in_dir(s, "unet.yaml", err));
    return write_text(s->path, unet_config(s->p->kind), err);
}

static ms_status write_vae(synthesis *s, ms_error *err) {
    const ms_vae_config config = s->configs.vae_config_values;
    MS_TRY(ms_graph_create(s->params, s->compute.activation, &s->graph, err));
    MS_TRY(ms_vae_build_encoder(s->graph, &config, &(ms_vae_build){.images = 1, .h = 64, .w = 64}, err));
    ms_graph_destroy(&s->graph);
    MS_TRY(ms_graph_create(s->params, s->compute.activation, &s->graph, err));
    MS_TRY(ms_vae_build_decoder(s->graph, &config, &(ms_vae_build){.images = 1, .h = 8, .w = 8}, err));
    MS_TRY(add_declared(&s->list, s->params, true, err));
    const file_format format = {.format = MS_FORMAT_SAFETENSORS};
    MS_TRY(in_dir(s, "vae/diffusion_pytorch_model.safetensors", err));
    MS_TRY(write_tensors(s->path, &format, &s->list, s->p->dtype, s->p->seed + 1, err));
    MS_TRY(in_dir(s, "vae/config.json", err));
    return write_text(s->path, vae_config(s->p->kind), err);
}

/* The text decoder and the encoder's last norm are in the published files; no one reads them here. */
static ms_status add_whisper_rest(tensor_list *list, const ms_whisper_config *c, int layers, int words,
                                  int positions, ms_error *err) {
    int64_t n = c->n_state;
    MS_TRY(add_tensor(list, "encoder.ln_post.weight", 1, &n, err));
    MS_TRY(add_tensor(list, "encoder.ln_post.bias", 1, &n, err));
    MS_TRY(add_tensor(list, "decoder.positional_embedding", 2, (int64_t[]){positions, n}, err));
    MS_TRY(add_tensor(list, "decoder.token_embedding.weight", 2, (int64_t[]){words, n}, err));
    for (int i = 0; i < layers; i++) {
        char name[96];
        for (int cross = 0; cross < 2; cross++) {
            const char *attn = cross ? "cross_attn" : "attn";
            static const char *const tensors[] = {"query.weight", "query.bias", "key.weight", "value.weight",
                                                  "value.bias",   "out.weight", "out.bias"};
            for (size_t t = 0; t < sizeof(tensors) / sizeof(tensors[0]); t++) {
                snprintf(name, sizeof(name), "decoder.blocks.%d.%s.%s", i, attn, tensors[t]);
                MS_TRY(add_tensor(list, name, has(tensors[t], "weight") ? 2 : 1, (int64_t[]){n, n}, err));
            }
            for (int b = 0; b < 2; b++) {
                snprintf(name, sizeof(name), "decoder.blocks.%d.%s_ln.%s", i, attn, b ? "bias" : "weight");
                MS_TRY(add_tensor(list, name, 1, &n, err));
            }
        }
        snprintf(name, sizeof(name), "decoder.blocks.%d.mlp.0.weight", i);
        MS_TRY(add_tensor(list, name, 2, (int64_t[]){4 * n, n}, err));
        snprintf(name, sizeof(name), "decoder.blocks.%d.mlp.0.bias", i);
        MS_TRY(add_tensor(list, name, 1, (int64_t[]){4 * n}, err));
        snprintf(name, sizeof(name), "decoder.blocks.%d.mlp.2.weight", i);
        MS_TRY(add_tensor(list, name, 2, (int64_t[]){n, 4 * n}, err));
        snprintf(name, sizeof(name), "decoder.blocks.%d.mlp.2.bias", i);
        MS_TRY(add_tensor(list, name, 1, &n, err));
        for (int b = 0; b < 2; b++) {
            snprintf(name, sizeof(name), "decoder.blocks.%d.mlp_ln.%s", i, b ? "bias" : "weight");
            MS_TRY(add_tensor(list, name, 1, &n, err));
        }
    }
    MS_TRY(add_tensor(list, "decoder.ln.weight", 1, &n, err));
    return add_tensor(list, "decoder.ln.bias", 1, &n, err);
}

static ms_status write_whisper(synthesis *s, ms_error *err) {
    const ms_whisper_config c = s->configs.whisper_config;
    bool tiny = s->p->kind == MS_SYNTHETIC_TINY;
    int text_layers = tiny ? 1 : 4, words = tiny ? 64 : 51865, positions = tiny ? 8 : 448;
    MS_TRY(ms_graph_create(s->params, s->compute.activation, &s->graph, err));
    MS_TRY(ms_whisper_build(s->graph, &c, err));
    MS_TRY(add_declared(&s->list, s->params, false, err));
    MS_TRY(add_whisper_rest(&s->list, &c, text_layers, words, positions, err));
    const named_integer integers[] = {{"dims.n_mels", c.n_mels},         {"dims.n_audio_ctx", c.n_ctx},
                                      {"dims.n_audio_state", c.n_state}, {"dims.n_audio_head", c.n_head},
                                      {"dims.n_audio_layer", c.n_layer}, {"dims.n_vocab", words},
                                      {"dims.n_text_ctx", positions},    {"dims.n_text_state", c.n_state},
                                      {"dims.n_text_head", c.n_head},    {"dims.n_text_layer", text_layers}};
    const file_format format = {MS_FORMAT_TORCH, "model_state_dict", integers,
                                sizeof(integers) / sizeof(integers[0])};
    MS_TRY(in_dir(s, "whisper/tiny.pt", err));
    return write_tensors(s->path, &format, &s->list, MS_F16, s->p->seed + 2, err);
}

static ms_status write_faces(synthesis *s, ms_error *err) {
    bool small = s->p->kind == MS_SYNTHETIC_TINY;
    MS_TRY(in_dir(s, FACES_DIR "/det_10g.onnx", err));
    MS_TRY(ms_synthesize_detector(s->path, s->p->seed + 3, small, err));
    MS_TRY(in_dir(s, FACES_DIR "/2d106det.onnx", err));
    return ms_synthesize_landmarks(s->path, s->p->seed + 4, small, err);
}

ms_status ms_synthesize(const ms_synthesize_params *params, ms_error *err) {
    static const char *const folders[] = {"", "vae", "whisper", "auxiliary", "auxiliary/models", FACES_DIR};
    static const char *const files[] = {"unet.yaml",
                                        "latentsync_unet.pt",
                                        "vae/config.json",
                                        "vae/diffusion_pytorch_model.safetensors",
                                        "whisper/tiny.pt",
                                        FACES_DIR "/det_10g.onnx",
                                        FACES_DIR "/2d106det.onnx"};
    static ms_status (*const parts[])(synthesis *, ms_error *) = {write_unet, write_vae, write_whisper,
                                                                  write_faces};
    synthesis s = {.p = params};
    ms_compute_params dev = {.device = "dummy", .threads = 1, .memory_bytes = (size_t)1 << 40};
    ms_status status;
    for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
        MS_TRY(in_dir(&s, files[i], err));
        MS_TRY(refuse_existing(s.path, err));
    }
    for (size_t i = 0; i < sizeof(folders) / sizeof(folders[0]); i++) {
        MS_TRY(in_dir(&s, folders[i], err));
        MS_TRY(make_folder(s.path, err));
    }
    MS_TRY(ms_synthetic_configs(params->kind, &s.configs, err));
    MS_TRY(ms_compute_open(&dev, &s.compute, err));
    status = MS_OK;
    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]) && status == MS_OK; i++) {
        status = part_begin(&s, err);
        if (status == MS_OK)
            status = parts[i](&s, err);
        part_free(&s);
    }
    ms_compute_close(&s.compute);
    return status;
}
