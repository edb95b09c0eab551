/* `memsafe-stage` against the official implementation's outputs, as a user would run it. */
#include "test.h"

#include "support/stage.h"

#define UNET ((test_tolerance){1e-4, 1e-5})
#define MOMENTS ((test_tolerance){5e-4, 2e-5})
#define LATENT ((test_tolerance){2e-4, 2e-5})
#define DECODE ((test_tolerance){2e-4, 3e-5})
#define LATENTS_20 ((test_tolerance){3e-4, 2e-5})

/* ---- UNet ---- */

/* "tap.x.audio_half_everyNth": only batch element 1 (for tokens: rows from the
   middle on), channels 1, 1 + N, ... */
static void compare_tap(const pair *p, const char *golden, int64_t frames, const char *timestep,
                        test_tolerance tolerance) {
    char name[128];
    test_selection s = {.channel_axis = -1};
    bool tokens = strstr(golden, "_attn") != NULL, half = strstr(golden, "audio_half") != NULL;
    const char *dot = strchr(golden + 4, '.'), *every = strstr(golden, "every");
    snprintf(name, sizeof(name), "tap.%s%.*s", timestep, dot ? (int)(dot - golden - 4) : 100, golden + 4);
    if (every) {
        s.every = strtol(every + 5, NULL, 10);
        s.channel_axis = tokens ? 2 : 1;
    }
    if (half && tokens) {
        s.row_offset = frames;
    } else if (half) {
        s.fixed = 1;
        s.index[0] = 1;
    }
    if (strcmp(golden, "tap.time_embedding") == 0) { /* both rows are the same; the command gives one */
        test_tensor a = test_tensor_read(p->actual, name), g = test_tensor_read(p->golden, golden);
        g.elements /= 2;
        test_compare(golden, &a, &g, NULL, tolerance);
        free(a.data);
        free(g.data);
        return;
    }
    compare(p, name, golden, &s, tolerance);
}

static void compare_taps(const pair *p, int64_t frames, const char *timestep, test_tolerance tolerance) {
    int count = 0;
    for (size_t i = 0; i < ms_tensor_file_count(p->golden); i++) {
        const char *name = ms_tensor_file_get(p->golden, i)->name;
        if (strncmp(name, "tap.", 4) != 0)
            continue;
        compare_tap(p, name, frames, timestep, tolerance);
        count++;
    }
    assert_true(count > 5);
}

static void unet_float32(void **state) {
    (void)state;
    char model[512], cases[512];
    need_model(model, "tiny/latentsync_unet.pt");
    need(cases, "unet/case_f16.safetensors");
    assert_int_equal(run("unet --model %s --timesteps 981,501,1 --in %s --out %s", model, cases, out_path()),
                     0);
    pair p = open_pair(cases);
    compare(&p, "out.t981", "out.t981", NULL, UNET);
    compare(&p, "out.t501", "out.t501", NULL, UNET);
    compare(&p, "out.t1", "out.t1", NULL, UNET);
    close_pair(&p);
    need(cases, "unet/case_f5.safetensors");
    assert_int_equal(run("unet --model %s --timesteps 981,501,1 --in %s --out %s", model, cases, out_path()),
                     0);
    p = open_pair(cases);
    compare(&p, "out.t981", "out.t981", NULL, UNET);
    compare(&p, "out.t501", "out.t501", NULL, UNET);
    compare(&p, "out.t1", "out.t1", NULL, UNET);
    close_pair(&p);
}

static void unet_taps(void **state) {
    (void)state;
    char model[512], cases[512];
    need_model(model, "tiny/latentsync_unet.pt");
    need(cases, "unet/case_f3_taps.safetensors");
    assert_int_equal(run("unet --taps --model %s --timesteps 501 --in %s --out %s", model, cases, out_path()),
                     0);
    pair p = open_pair(cases);
    compare(&p, "out.t501", "out.t501", NULL, UNET);
    compare_taps(&p, 3, "t501.", UNET);
    close_pair(&p);
}

static void unet_half_weights(void **state) {
    (void)state;
    char config[512], unet[512], cases[512];
    need(config, "tiny/unet.yaml");
    need(unet, "tiny/latentsync_unet_fp16.pt");
    need(cases, "unet/case_f5.safetensors");
    assert_int_equal(
        run("unet --config %s --unet %s --timesteps 501 --in %s --out %s", config, unet, cases, out_path()),
        0);
    pair p = open_pair(cases);
    compare(&p, "out.t501", "out.t501_fp16_weights", NULL, UNET);
    close_pair(&p);
    need(unet, "tiny/latentsync_unet_bf16.safetensors");
    assert_int_equal(
        run("unet --config %s --unet %s --timesteps 501 --in %s --out %s", config, unet, cases, out_path()),
        0);
    p = open_pair(cases);
    compare(&p, "out.t501", "out.t501_bf16_weights", NULL, UNET);
    close_pair(&p);
}

/* Rounding a float32 checkpoint gives what the rounded checkpoints give. */
static void unet_precisions(void **state) {
    (void)state;
    char model[512], cases[512];
    need_model(model, "tiny/latentsync_unet.pt");
    need(cases, "unet/case_f5.safetensors");
    static const char *const precisions[2] = {"fp16", "bf16"};
    for (int i = 0; i < 2; i++) {
        assert_int_equal(run("unet --precision %s --model %s --timesteps 501 --in %s --out %s", precisions[i],
                             model, cases, out_path()),
                         0);
        pair p = open_pair(cases);
        compare(&p, "out.t501", i ? "out.t501_bf16_weights" : "out.t501_fp16_weights", NULL, UNET);
        close_pair(&p);
    }
}

static void unet_wide_shared_storages(void **state) {
    (void)state;
    char config[512], unet[512], cases[512];
    need(config, "tiny/unet_wide.yaml");
    need(unet, "tiny/latentsync_unet_wide_shared.pt");
    need(cases, "unet/case_wide_f2.safetensors");
    assert_int_equal(run("unet --taps --config %s --unet %s --timesteps 501 --in %s --out %s", config, unet,
                         cases, out_path()),
                     0);
    pair p = open_pair(cases);
    compare(&p, "out.t501", "out.t501", NULL, UNET);
    compare_taps(&p, 2, "t501.", UNET);
    close_pair(&p);
}

/* ---- VAE ---- */

static void compare_vae_taps(const pair *p, test_tolerance tolerance) {
    for (size_t i = 0; i < ms_tensor_file_count(p->golden); i++) {
        const char *golden = ms_tensor_file_get(p->golden, i)->name;
        if (strncmp(golden, "tap.", 4) != 0)
            continue;
        char name[128];
        const char *every = strstr(golden, ".every");
        snprintf(name, sizeof(name), "%.*s", every ? (int)(every - golden) : 100, golden);
        test_selection s = {.fixed = 1, .channel_axis = -1};
        if (every) {
            s.channel_axis = 1;
            s.every = strtol(every + 6, NULL, 10);
        }
        compare(p, name, golden, &s, tolerance);
    }
}

static void vae(void **state) {
    (void)state;
    char model[512], cases[512], weights[512];
    need_model(model, "tiny/unet.yaml");
    static const char *const sizes[2] = {"72x104", "128x128"};
    for (int i = 0; i < 2; i++) {
        char rel[64];
        snprintf(rel, sizeof(rel), "vae/encode_%s.safetensors", sizes[i]);
        need(cases, rel);
        assert_int_equal(run("vae-encode --taps --model %s --in %s --out %s", model, cases, out_path()), 0);
        pair p = open_pair(cases);
        compare(&p, "out.mean", "out.mean", NULL, MOMENTS);
        compare(&p, "out.logvar", "out.logvar", NULL, MOMENTS);
        compare(&p, "out.latent", "out.latent", NULL, LATENT);
        compare_vae_taps(&p, MOMENTS);
        close_pair(&p);
    }
    need(cases, "vae/decode_72x104.safetensors");
    assert_int_equal(run("vae-decode --taps --model %s --in %s --out %s", model, cases, out_path()), 0);
    pair p = open_pair(cases);
    compare(&p, "out.pixels", "out.pixels", NULL, DECODE);
    compare_vae_taps(&p, MOMENTS);
    close_pair(&p);
    need(cases, "vae/decode_128x128.safetensors");
    assert_int_equal(run("vae-decode --model %s --in %s --out %s", model, cases, out_path()), 0);
    p = open_pair(cases);
    compare(&p, "out.pixels", "out.pixels_0", &(test_selection){.fixed = 1, .channel_axis = -1}, DECODE);
    compare(&p, "out.pixels", "out.pixels_1_channel1",
            &(test_selection){.fixed = 2, .index = {1, 1}, .channel_axis = -1}, DECODE);
    close_pair(&p);
    /* The other spelling of the attention's names, float16, from a torch file; no
       golden output, so against the other. */
    need(weights, "tiny/vae/diffusion_pytorch_model.bin");
    need(cases, "vae/decode_72x104.safetensors");
    assert_int_equal(run("vae-decode --vae %s --in %s --out %s", weights, cases, out_path()), 0);
    p = open_pair(cases);
    compare(&p, "out.pixels", "out.pixels", NULL, (test_tolerance){0.05, 0.01});
    close_pair(&p);
}

/* ---- speech ---- */

/* Golden rows are those that idx names: of `axis` (counted from the front) of the actual tensor. */
static void compare_rows(const pair *p, const char *name, const char *idx, int axis,
                         test_tolerance tolerance) {
    test_tensor a = test_tensor_read(p->actual, name), g = test_tensor_read(p->golden, name),
                rows = test_tensor_read(p->golden, idx);
    int64_t before = 1, after = 1;
    for (int i = 0; i < axis; i++)
        before *= a.shape[i];
    for (int i = axis + 1; i < a.rank; i++)
        after *= a.shape[i];
    assert_int_equal(g.elements, before * rows.elements * after);
    double *kept = malloc((size_t)g.elements * sizeof(double));
    for (int64_t i = 0; i < before; i++)
        for (int64_t r = 0; r < rows.elements; r++)
            for (int64_t k = 0; k < after; k++)
                kept[(i * rows.elements + r) * after + k] =
                    a.data[(i * a.shape[axis] + (int64_t)rows.data[r]) * after + k];
    free(a.data);
    a.data = kept;
    test_compare(name, &a, &g, NULL, tolerance);
    free(a.data);
    free(g.data);
    free(rows.data);
}

static void speech(void **state) {
    (void)state;
    char model[512], wav[512], cases[512];
    static const char *const names[2] = {"short", "long"};
    need_model(model, "tiny/unet.yaml");
    for (int i = 0; i < 2; i++) {
        for (int fps = 25; fps <= 30; fps += 5) {
            char rel[64], chunks[64];
            snprintf(rel, sizeof(rel), "whisper/speech_%s.wav", names[i]);
            need(wav, rel);
            snprintf(rel, sizeof(rel), "whisper/case_%s.safetensors", names[i]);
            need(cases, rel);
            assert_int_equal(
                run("audio --model %s --audio %s --fps %d --out %s", model, wav, fps, out_path()), 0);
            pair p = open_pair(cases);
            compare_rows(&p, "out.log_mel", "idx.mel_columns", 1, (test_tolerance){3e-4, 2e-5});
            compare_rows(&p, "out.features", "idx.feature_rows", 0, (test_tolerance){1e-4, 1e-5});
            snprintf(chunks, sizeof(chunks), "out.chunk_indices_fps%d", fps);
            compare(&p, "out.chunk_indices", chunks, NULL, (test_tolerance){0, 0});
            close_pair(&p);
        }
    }
}

/* ---- scheduler, loop, noise ---- */

/* The golden file holds several step counts under names with nN; the command wants one case at a time. */
static void ddim(void **state) {
    (void)state;
    char cases[512], in[300];
    ms_error err;
    need(cases, "ddim/ddim.safetensors");
    ms_tensor_file *golden = NULL;
    assert_ms_ok(ms_tensor_file_open(NULL, cases, &golden, &err), &err);
    snprintf(in, sizeof(in), "%s.in", out_path());
    static const int counts[3] = {10, 20, 25};
    for (int i = 0; i < 3; i++) {
        ms_tensor_writer *writer = NULL;
        assert_ms_ok(ms_tensor_writer_create(NULL, in, MS_FORMAT_SAFETENSORS, &writer, &err), &err);
        static const char *const tensors[2] = {"noise", "model_output"};
        float *data[2];
        int64_t elements[2];
        char name[64];
        for (int t = 0; t < 2; t++) {
            snprintf(name, sizeof(name), "in.n%d.%s", counts[i], tensors[t]);
            const ms_tensor_info *info = ms_tensor_file_find(golden, name);
            assert_non_null(info);
            elements[t] = info->elements;
            data[t] = malloc((size_t)info->elements * sizeof(float));
            assert_ms_ok(ms_tensor_file_read(golden, info, 0, info->elements, data[t], &err), &err);
            snprintf(name, sizeof(name), "in.%s", tensors[t]);
            assert_ms_ok(ms_tensor_writer_declare(writer, name, MS_F32, info->rank, info->shape, &err), &err);
        }
        for (int t = 0; t < 2; t++) {
            assert_ms_ok(ms_tensor_writer_write(writer, data[t], (size_t)elements[t] * sizeof(float), &err),
                         &err);
            free(data[t]);
        }
        assert_ms_ok(ms_tensor_writer_finish(&writer, &err), &err);
        assert_int_equal(run("ddim --steps %d --in %s --out %s", counts[i], in, out_path()), 0);
        pair p = open_pair(cases);
        snprintf(name, sizeof(name), "out.n%d.trajectory", counts[i]);
        compare(&p, "out.trajectory", name, NULL, (test_tolerance){2e-4, 1e-5});
        snprintf(name, sizeof(name), "out.n%d.timesteps", counts[i]);
        compare(&p, "out.timesteps", name, NULL, (test_tolerance){0, 0});
        compare(&p, "out.alphas_cumprod", "out.alphas_cumprod", NULL, (test_tolerance){1e-6, 1e-6});
        close_pair(&p);
    }
    ms_tensor_file_close(&golden);
    unlink(in);
}

static void denoise(void **state) {
    (void)state;
    char model[512], cases[512];
    need_model(model, "tiny/latentsync_unet.pt");
    need(cases, "deepcache/deepcache.safetensors");
    for (int cached = 0; cached < 2; cached++) {
        assert_int_equal(run("denoise --every-step %s --model %s --steps 20 --guidance 1.5 --in %s --out %s",
                             cached ? "--deepcache" : "", model, cases, out_path()),
                         0);
        pair p = open_pair(cases);
        test_tensor a = test_tensor_read(p.actual, "out.latents_per_step"),
                    steps = test_tensor_read(p.golden, "idx.steps"),
                    g = test_tensor_read(p.golden,
                                         cached ? "out.deepcache_latents_per_step" : "out.latents_per_step");
        int64_t each = g.elements / steps.elements;
        for (int64_t i = 0; i < steps.elements; i++) {
            test_tensor one = {.data = a.data + (int64_t)steps.data[i] * each, .elements = each},
                        want = {.data = g.data + i * each, .elements = each};
            char what[64];
            snprintf(what, sizeof(what), "%s step %d", cached ? "deepcache" : "denoise", (int)steps.data[i]);
            test_compare(what, &one, &want, NULL, LATENTS_20);
        }
        free(a.data);
        free(g.data);
        free(steps.data);
        close_pair(&p);
    }
}

static void noise(void **state) {
    (void)state;
    char cases[512];
    need(cases, "e2e/noise.safetensors");
    static const char *const seeds[3] = {"0", "1247", "1311768467463790320"};
    static const int frames[3] = {0, 7, 1234567};
    for (int i = 0; i < 9; i++) { /* stream and frame go together */
        char name[64];
        assert_int_equal(run("noise --seed %s --stream %d --frame %d --count 64 --out %s", seeds[i / 3],
                             i % 3, frames[i % 3], out_path()),
                         0);
        pair p = open_pair(cases);
        snprintf(name, sizeof(name), "out.normals.%d", i);
        compare(&p, "out.normals", name, NULL, (test_tolerance){5e-7, 1e-7});
        snprintf(name, sizeof(name), "out.uint32.%d", i);
        compare(&p, "out.uint32", name, &(test_selection){.channel_axis = -1}, (test_tolerance){0, 0});
        close_pair(&p);
    }
}

/* ---- the promise: same bits ---- */

static void same_file(const char *a, const char *b) {
    char line[1024];
    snprintf(line, sizeof(line), "cmp %s %s", a, b);
    assert_int_equal(system(line), 0);
}

static void slices_threads_and_order_do_not_change_bits(void **state) {
    (void)state;
    char config[512], unet[512], cases[512], first[300];
    need(config, "tiny/unet_wide.yaml");
    need(unet, "tiny/latentsync_unet_wide_shared.pt");
    need(cases, "unet/case_wide_f2.safetensors");
    snprintf(first, sizeof(first), "%s.first", out_path());
    assert_int_equal(run("unet --threads 1 --config %s --unet %s --timesteps 501 --in %s --out %s", config,
                         unet, cases, first),
                     0);
    static const char *const ways[] = {"--threads 2", "--threads 3 --slice-frames 1",
                                       "--slice-frames 3 --slice-pixels 7", "--slice-pixels 1",
                                       "--slice-pixels 100 --slice-frames 2"};
    for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++) {
        assert_int_equal(run("unet %s --config %s --unet %s --timesteps 501 --in %s --out %s", ways[i],
                             config, unet, cases, out_path()),
                         0);
        same_file(first, out_path());
    }
    static const char *const isas[] = {"c", "avx2", "avx512"};
    for (size_t i = 0; i < sizeof(isas) / sizeof(isas[0]); i++) {
        setenv("MEMSAFE_ISA", isas[i], 1);
        assert_int_equal(run("unet --config %s --unet %s --timesteps 501 --in %s --out %s", config, unet,
                             cases, out_path()),
                         0);
        unsetenv("MEMSAFE_ISA");
        same_file(first, out_path());
    }
    unlink(first);
    unlink(out_path());
}

/* The VAE in stripes of rows, with pictures that are no multiple of a stripe. */
static void stripes_do_not_change_bits(void **state) {
    (void)state;
    static const struct {
        const char *stage, *cases;
    } runs[] = {{"vae-encode", "vae/encode_72x104.safetensors"},
                {"vae-encode", "vae/encode_128x128.safetensors"},
                {"vae-decode", "vae/decode_72x104.safetensors"},
                {"vae-decode", "vae/decode_128x128.safetensors"}};
    static const char *const ways[] = {"--stripe-rows 64", "--stripe-rows 32 --threads 3", "--stripe-rows 12",
                                       "--stripe-rows 4 --slice-frames 1 --threads 1"};
    char model[512], cases[512], first[300];
    need(model, "tiny");
    snprintf(first, sizeof(first), "%s.first", out_path());
    for (size_t i = 0; i < sizeof(runs) / sizeof(runs[0]); i++) {
        need(cases, runs[i].cases);
        assert_int_equal(
            run("%s --threads 1 --model %s --in %s --out %s", runs[i].stage, model, cases, first), 0);
        for (size_t k = 0; k < sizeof(ways) / sizeof(ways[0]); k++) {
            assert_int_equal(
                run("%s %s --model %s --in %s --out %s", runs[i].stage, ways[k], model, cases, out_path()),
                0);
            same_file(first, out_path());
        }
    }
    unlink(first);
    unlink(out_path());
}

/* A device whose memory is apart and whose queues run late, in whatever order the seed
   gives. options: the last names the case. model: the option for the file, --folder for
   the model's folder that it lies in; with two files, the UNet's config and weights. */
typedef struct apart {
    const char *stage, *options, *model, *file[2], *cases;
} apart;

static void same_on_a_device_apart(const apart *runs, size_t count) {
    char words[1200], file[2][512], cases[512], first[300], seed[16];
    snprintf(first, sizeof(first), "%s.first", out_path());
    for (size_t i = 0; i < count; i++) {
        for (int f = 0; f < 2 && runs[i].file[f]; f++)
            need(file[f], runs[i].file[f]);
        need(cases, runs[i].cases);
        if (runs[i].file[1])
            snprintf(words, sizeof(words), "--config %s --unet %s", file[0], file[1]);
        else
            snprintf(words, sizeof(words), "%s %s", runs[i].model, file[0]);
        if (strcmp(runs[i].model, "--folder") == 0) {
            *strrchr(file[0], '/') = 0;
            snprintf(words, sizeof(words), "--model %s", file[0]);
        }
        assert_int_equal(run("%s %s %s %s --out %s", runs[i].stage, words, runs[i].options, cases, first), 0);
        for (int k = 0; k < 2; k++) {
            snprintf(seed, sizeof(seed), "%zu", 2 * i + (size_t)k);
            setenv("MEMSAFE_REMOTE_SEED", seed, 1);
            assert_int_equal(run("%s --device remote %s %s %s --out %s", runs[i].stage, words,
                                 runs[i].options, cases, out_path()),
                             0);
            same_file(first, out_path());
        }
    }
    unsetenv("MEMSAFE_REMOTE_SEED");
    unlink(first);
    unlink(out_path());
}

#define TINY_UNET                                                                                            \
    { "tiny/unet.yaml", "tiny/latentsync_unet_fp16.pt" }
#define WIDE_UNET                                                                                            \
    { "tiny/unet_wide.yaml", "tiny/latentsync_unet_wide_shared.pt" }

static void networks_have_the_same_bits_on_a_device_apart(void **state) {
    (void)state;
    static const apart runs[] = {
        {"unet", "--taps --timesteps 501 --in", "", TINY_UNET, "unet/case_f5.safetensors"},
        {"unet", "--precision bf16 --slice-frames 3 --slice-pixels 7 --timesteps 981,1 --in", "", TINY_UNET,
         "unet/case_f5.safetensors"},
        {"unet", "--slice-pixels 1 --timesteps 501 --in", "", WIDE_UNET, "unet/case_wide_f2.safetensors"},
        {"vae-encode", "--taps --in", "--folder", {"tiny/unet.yaml"}, "vae/encode_72x104.safetensors"},
        {"vae-encode",
         "--stripe-rows 12 --in",
         "--folder",
         {"tiny/unet.yaml"},
         "vae/encode_72x104.safetensors"},
        {"vae-decode",
         "--stripe-rows 4 --slice-frames 1 --in",
         "--folder",
         {"tiny/unet.yaml"},
         "vae/decode_128x128.safetensors"},
        {"audio", "--audio", "--folder", {"tiny/unet.yaml"}, "whisper/speech_short.wav"},
    };
    same_on_a_device_apart(runs, sizeof(runs) / sizeof(runs[0]));
}

static void denoising_has_the_same_bits_on_a_device_apart(void **state) {
    (void)state;
    static const apart runs[] = {
        {"denoise",
         "--every-step --steps 5 --guidance 1.5 --in",
         "--folder",
         {"tiny/latentsync_unet.pt"},
         "deepcache/deepcache.safetensors"},
        {"denoise",
         "--deepcache --steps 7 --guidance 1.5 --in",
         "--folder",
         {"tiny/latentsync_unet.pt"},
         "deepcache/deepcache.safetensors"},
    };
    same_on_a_device_apart(runs, sizeof(runs) / sizeof(runs[0]));
}

/* The emulated card in float32: what the official implementation gives, within what the processor is held
   to. The two types of 16 bits are for test_card_stages, which has one output of the networks in float32,
   too; make check-simt goes through all. */
static int main_on_card(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(unet_taps),
        cmocka_unit_test(unet_wide_shared_storages),
        cmocka_unit_test(speech),
    };
    const struct CMUnitTest at_length[] = {
        cmocka_unit_test(unet_float32),
        cmocka_unit_test(unet_half_weights),
        cmocka_unit_test(vae),
        cmocka_unit_test(denoise),
    };
    stage_device = "--device simt --precision fp32";
    setenv("MEMSAFE_SIMT", "2G,sm_86", 1);
    const int failed = cmocka_run_group_tests(tests, NULL, NULL);
    return failed || !getenv("MEMSAFE_SIMT_LONG") ? failed : cmocka_run_group_tests(at_length, NULL, NULL);
}

int main(int argc, char **argv) {
    if (argc == 2 && strcmp(argv[1], "--on-card") == 0)
        return main_on_card();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(networks_have_the_same_bits_on_a_device_apart),
        cmocka_unit_test(denoising_has_the_same_bits_on_a_device_apart),
        cmocka_unit_test(unet_float32),
        cmocka_unit_test(unet_taps),
        cmocka_unit_test(unet_half_weights),
        cmocka_unit_test(unet_precisions),
        cmocka_unit_test(unet_wide_shared_storages),
        cmocka_unit_test(vae),
        cmocka_unit_test(speech),
        cmocka_unit_test(ddim),
        cmocka_unit_test(denoise),
        cmocka_unit_test(noise),
        cmocka_unit_test(slices_threads_and_order_do_not_change_bits),
        cmocka_unit_test(stripes_do_not_change_bits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
