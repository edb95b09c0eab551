/* `memsafe plan`: its numbers add up, its smallest budget works and the next smaller one does not. */
#include "test.h"

#include "device/cards.h"
#include "predict/history.h"
#include "support/cli.h"
#include "text/json.h"

static double bytes_of(const ms_json *root, const char *key) {
    const ms_json *value = ms_json_get(ms_json_get(root, "bytes"), key);
    assert_non_null(value);
    return value->number;
}

static ms_json_doc *plan(const char *options) {
    ms_error err;
    ms_json_doc *doc = NULL;
    assert_run_works("plan --json --threads 2 %s", options);
    assert_ms_ok(ms_json_parse(NULL, test_output, strlen(test_output), &doc, &err), &err);
    return doc;
}

static void the_parts_add_up(void **state) {
    (void)state;
    static const char *const parts[] = {"process", "codec",   "frames", "faces",   "cache",
                                        "buffers", "weights", "stream", "latents", "arena"};
    static const char *const options[] = {"", "--budget 1G", "--shape latentsync-1.6 --budget 3G --deepcache",
                                          "--shape tiny --size 333x127 --looping",
                                          "--force-rung single-frame"};
    for (size_t i = 0; i < sizeof(options) / sizeof(options[0]); i++) {
        ms_json_doc *doc = plan(options[i]);
        const ms_json *root = ms_json_root(doc), *phases = ms_json_get(root, "phases");
        double sum = 0, largest = 0;
        for (size_t p = 0; p < sizeof(parts) / sizeof(parts[0]); p++)
            sum += bytes_of(root, parts[p]);
        assert_true(sum == bytes_of(root, "peak"));
        assert_true(sum <= bytes_of(root, "budget"));
        assert_true(phases->count >= 4);
        for (uint32_t p = 0; p < phases->count; p++) {
            const ms_json *phase = ms_json_at(phases, p);
            double arena = ms_json_get(phase, "arena_bytes")->number;
            double bound = ms_json_get(phase, "lower_bound_bytes")->number;
            assert_true(arena >= bound && arena <= (strstr(options[i], "tiny") ? 1.15 : 1.01) * bound);
            largest = arena > largest ? arena : largest;
        }
        assert_true(largest == bytes_of(root, "arena"));
        ms_json_doc_destroy(&doc);
    }
}

/* No layout of the arena can do with less than what is in use at once; ours takes 1 % more at
   most, on every graph of the published models: whole and cut, cached, audio, pictures. */
static void the_arena_is_as_small_as_can_be(void **state) {
    (void)state;
    static const char *const shapes[] = {"latentsync-1.5", "latentsync-1.6"};
    static const char *const rungs[] = {"full", "batch", "serial", "slices", "tiles", "single-frame"};
    for (int s = 0; s < 2; s++) {
        for (int r = 0; r < 6; r++) {
            char options[128];
            snprintf(options, sizeof(options), "--shape %s --force-rung %s --deepcache --budget 80G",
                     shapes[s], rungs[r]);
            ms_json_doc *doc = plan(options);
            const ms_json *phases = ms_json_get(ms_json_root(doc), "phases");
            assert_int_equal(phases->count, 5); /* audio, encode, denoise, denoise cached, decode */
            for (uint32_t p = 0; p < phases->count; p++) {
                double arena = ms_json_get(ms_json_at(phases, p), "arena_bytes")->number;
                double bound = ms_json_get(ms_json_at(phases, p), "lower_bound_bytes")->number;
                assert_true(bound > 0 && arena >= bound && arena <= 1.01 * bound);
            }
            ms_json_doc_destroy(&doc);
        }
    }
}

static void stages_go_on_side_by_side(void **state) {
    (void)state;
    ms_json_doc *doc = plan("--shape tiny --frames 160"), *twice = plan("--shape tiny --frames 320");
    const ms_json *root = ms_json_root(doc), *stages = ms_json_get(root, "stage_s");
    double sum = 0, model = 0, least = INFINITY, total = ms_json_get(root, "total_s")->number;
    assert_int_equal(stages->count, 7);
    for (const ms_json *s = stages->child; s; s = s->next) {
        assert_true(s->number >= 0);
        sum += s->number;
        model += strcmp(s->key, "faces") && strcmp(s->key, "write") ? s->number : 0;
        least = strcmp(s->key, "faces") && strcmp(s->key, "write") ? least : fmin(least, s->number);
    }
    assert_true(model > 0 && total >= model - 0.01 && total < sum - 0.5 * least);
    /* Twice the frames take twice the time of all that goes by frames. */
    const ms_json *more = ms_json_get(ms_json_root(twice), "stage_s");
    static const char *const by_frames[] = {"faces", "encode", "denoise", "decode", "write"};
    for (int i = 0; i < 5; i++)
        assert_true(fabs(ms_json_get(more, by_frames[i])->number -
                         2 * ms_json_get(stages, by_frames[i])->number) < 0.003);
    ms_json_doc_destroy(&doc);
    ms_json_doc_destroy(&twice);
}

/* What stripes compute twice is predicted. */
static void stripes_take_longer(void **state) {
    (void)state;
    double seconds[2];
    for (int i = 0; i < 2; i++) {
        char options[96];
        snprintf(options, sizeof(options), "--shape latentsync-1.6 --budget 80G --force-rung %s",
                 i ? "tiles" : "slices");
        ms_json_doc *doc = plan(options);
        seconds[i] = ms_json_get(ms_json_get(ms_json_root(doc), "stage_s"), "decode")->number;
        ms_json_doc_destroy(&doc);
    }
    assert_true(seconds[1] >
                1.2 * seconds[0]); /* 1.9 of the arithmetic; how much time that is, the machine decides */
}

/* A device that is not here: its tier, its precision, its memory apart from the host's. */
static void other_devices_are_planned_for(void **state) {
    (void)state;
    static const struct {
        const char *size, *tier, *precision;
        double margin;
    } rows[] = {{"8G", "compact", "float16", 0.30},
                {"12G", "standard", "float16", 0.25},
                {"24G", "professional", "float16", 0.15},
                {"80G", "datacenter", "bfloat16", 0.10}};
    for (int i = 0; i < 4; i++) {
        char options[128];
        snprintf(options, sizeof(options), "--device dummy --shape latentsync-1.6 --device-memory %s",
                 rows[i].size);
        ms_json_doc *doc = plan(options);
        const ms_json *root = ms_json_root(doc);
        assert_string_equal(ms_json_get(root, "tier")->string, rows[i].tier);
        assert_string_equal(ms_json_get(root, "precision")->string, rows[i].precision);
        assert_true(fabs(bytes_of(root, "budget") - atof(rows[i].size) * 0x1p30 * (1 - rows[i].margin)) < 2);
        assert_true((bytes_of(root, "launches") > 0) == (i >= 2)); /* device_graphs */
        assert_true(bytes_of(root, "weights") + bytes_of(root, "stream") + bytes_of(root, "latents") +
                        bytes_of(root, "arena") + bytes_of(root, "launches") + bytes_of(root, "device_own") ==
                    bytes_of(root, "peak"));
        assert_true(bytes_of(root, "process") + bytes_of(root, "codec") + bytes_of(root, "frames") +
                        bytes_of(root, "buffers") + bytes_of(root, "faces") ==
                    bytes_of(root, "host"));
        assert_true(bytes_of(root, "device_own") == 400 * 0x1p20); /* a context */
        assert_true(ms_json_get(root, "total_s")->number == 0);
        ms_json_doc_destroy(&doc);
    }
    ms_json_doc *doc = plan("--device dummy --device-memory 80G --budget 1G");
    double least = bytes_of(ms_json_root(doc), "least");
    assert_true(bytes_of(ms_json_root(doc), "peak") <= 0x1p30 && bytes_of(ms_json_root(doc), "streamed") > 0);
    ms_json_doc_destroy(&doc);
    assert_run_works("plan --device dummy --device-memory 80G --threads 2 --budget %.0f", least);
    assert_run_fails(3, "needs at least", "plan --device dummy --device-memory 80G --threads 2 --budget %.0f",
                     least - 0x1p20);
    assert_run_fails(2, "--device-memory", "plan --device dummy");
    assert_run_fails(2, "--device-memory", "plan --device-memory 8G");
}

/* A CUDA card that is not here: what its architecture and memory say of it. */
static void cards_are_planned_for(void **state) {
    (void)state;
    static const struct {
        const char *arch, *size, *card, *precision;
    } rows[] = {{"sm_75", "11G", "GeForce RTX 2080 Ti", "float16"},
                {"8.6", "12G", "GeForce RTX 3060", "float16"},
                {"sm_86", "9G", "GeForce RTX 3050", "float16"},
                {"89", "24G", "GeForce RTX 4090", "float16"},
                {"sm_90a", "80G", "H100 SXM", "bfloat16"},
                {"sm_75", "48G", "Tesla T4", "float16"}}; /* which does not multiply bfloat16 */
    double before = 0;
    for (int i = 0; i < 6; i++) {
        char options[128];
        snprintf(options, sizeof(options),
                 "--device cuda --shape latentsync-1.6 --arch %s --device-memory %s --tracked", rows[i].arch,
                 rows[i].size);
        ms_json_doc *doc = plan(options);
        const ms_json *root = ms_json_root(doc);
        assert_string_equal(ms_json_get(root, "estimated_for")->string, rows[i].card);
        assert_string_equal(ms_json_get(root, "precision")->string, rows[i].precision);
        double window_s = ms_json_get(root, "window_s")->number;
        assert_true(window_s > 0.5 && window_s < 300);
        assert_true(ms_json_get(root, "total_s")->number > window_s);
        assert_true(i < 3 || i == 5 || window_s < before); /* newer and larger than the one before */
        before = window_s;
        ms_json_doc_destroy(&doc);
    }
    /* 512 px in 4 GB with everything resident and both branches together, and in 1.5 GB with weights that
       pass through; the context is in both. */
    for (int small = 0; small < 2; small++) {
        char options[160];
        snprintf(
            options, sizeof(options),
            "--arch sm_86 --shape latentsync-1.6 --precision fp16 --tracked --device-memory 8G --budget %s",
            small ? "1500M" : "4000M");
        ms_json_doc *doc = plan(options);
        const ms_json *root = ms_json_root(doc);
        assert_true(bytes_of(root, "device_own") == 123 * 0x1p20); /* 107 of a small card, 16 of kernels */
        assert_true(bytes_of(root, "peak") <= bytes_of(root, "budget"));
        assert_true((bytes_of(root, "streamed") > 0) == small);
        assert_true(small || !ms_json_get(root, "serial_branches")->boolean);
        ms_json_doc_destroy(&doc);
    }
    /* A budget above what the card has is what it has. */
    ms_json_doc *doc = plan("--arch sm_86 --device-memory 2G -b 16G --shape latentsync-1.6");
    assert_true(bytes_of(ms_json_root(doc), "budget") == 0x1p31);
    assert_true(bytes_of(ms_json_root(doc), "streamed") > 0);
    ms_json_doc_destroy(&doc);
    assert_run_fails(3, "too small", "plan --arch sm_86 --device-memory 1 --shape latentsync-1.6");
    assert_run_fails(3, "needs at least", "plan --arch sm_86 --device-memory 512M --shape latentsync-1.6");
    assert_run_fails(2, "leave out --device-memory", "plan --compare --arch sm_86 --device-memory 8G");
    assert_run_works("plan --arch sm_120 --device-memory 16G --precision bf16 --shape tiny");
    /* As the back end is called elsewhere. */
    assert_run_works("plan --backend cuda --device-memory 8G --arch sm_86 --shape tiny");
    assert_non_null(strstr(test_output, "GeForce RTX 3050"));
    assert_run_works("plan --backend=cuda --device-memory 8G --arch sm_86 --shape tiny");
    assert_run_fails(2, "CUDA card", "plan --backend dummy --device-memory 8G --arch sm_86");
    assert_run_fails(2, "--backend needs a value (auto|cpu|NAME[:N])", "plan --backend");
    assert_run_fails(2, "sm_75, sm_80", "plan --arch sm_13 --device-memory 8G");
    assert_run_fails(2, "CUDA card", "plan --arch sm_86 --device dummy --device-memory 8G");
    assert_run_fails(2, "--device-memory", "plan --arch sm_86");
}

/* What was measured of the smallest card is the least of any. */
static void no_context_is_smaller_than_a_measured_one(void **state) {
    (void)state;
    const ms_card one = {.multiprocessors = 14}, measured = {.multiprocessors = 34},
                  large = {.multiprocessors = 148};
    assert_true(ms_card_context_bytes(&one) == ms_card_context_bytes(&measured));
    assert_true(ms_card_context_bytes(&measured) >= (size_t)107 << 20);
    assert_true(ms_card_context_bytes(&large) >= (size_t)612 << 20);
}

static void a_card_is_known_by_what_its_driver_calls_it(void **state) {
    (void)state;
    static const struct {
        int arch;
        size_t gib;
        const char *description;
        bool is;
    } cards[] = {{86, 10, "NVIDIA GeForce RTX 3080 (sm_86, 9.6 GiB)", true},
                 {86, 10, "GeForce RTX 3080 (sm_86, 9.6 GiB)", true},
                 {86, 10, "NVIDIA GeForce RTX 3080 (sm_86, 11.8 GiB)", false}, /* sold with 12 GB */
                 {86, 10, "NVIDIA GeForce RTX 3080 Ti (sm_86, 9.6 GiB)", false},
                 {86, 10, "NVIDIA GeForce RTX 3080 (sm_89, 9.6 GiB)", false},
                 {86, 10, "GeForce RTX 3080", false},
                 {80, 40, "NVIDIA A100-SXM4-40GB (sm_80, 39.4 GiB)", true},
                 {80, 80, "NVIDIA A100 80GB PCIe (sm_80, 79.1 GiB)", true},
                 {80, 40, "NVIDIA A100 80GB PCIe (sm_80, 79.1 GiB)", false},
                 {90, 80, "NVIDIA H100 80GB HBM3 (sm_90, 79.1 GiB)", true},
                 {90, 80, "NVIDIA H100 PCIe (sm_90, 79.1 GiB)", false},
                 {90, 141, "NVIDIA H200 (sm_90, 139.8 GiB)", true},
                 {75, 16, "Tesla T4 (sm_75, 14.6 GiB)", true}};
    for (size_t i = 0; i < sizeof(cards) / sizeof(cards[0]); i++)
        if (ms_card_is(ms_card_find(cards[i].arch, cards[i].gib << 30), cards[i].description) != cards[i].is)
            fail_msg("%s", cards[i].description);
}

/* By a history that has a card of the name: its rates, and how its runs differed from what they say. */
static void measurements_of_a_card_replace_the_estimate(void **state) {
    (void)state;
    static const char options[] = "--shape tiny --tracked --arch sm_86 --device-memory 10G";
    static const ms_machine mine = {"NVIDIA GeForce RTX 3080 (sm_86, 9.6 GiB)", 16},
                            other = {"NVIDIA GeForce RTX 3090 (sm_86, 23.6 GiB)", 16};
    static const ms_calibration rates = {1e12, 1e12, 1e12, 1e11, 1e11, 1e10, 1e9, 1e5};
    char warning[MS_HISTORY_TEXT_BYTES], path[512];
    const char *kept = getenv("MEMSAFE_HISTORY");
    ms_history *h = NULL;
    ms_error err;
    int64_t id = 0;
    if (!ms_history_supported())
        skip();
    snprintf(path, sizeof(path), "%s", test_file("history.db"));
    setenv("MEMSAFE_HISTORY", path, 1);
    assert_ms_ok(ms_history_open(path, &h, warning, &err), &err);
    assert_ms_ok(ms_history_put_calibration(h, &other, &rates, &id, &err), &err);
    ms_json_doc *doc = plan(options);
    const double estimated = ms_json_get(ms_json_root(doc), "window_s")->number;
    assert_string_equal(ms_json_get(ms_json_root(doc), "estimated_for")->string, "GeForce RTX 3080");
    ms_json_doc_destroy(&doc);
    assert_ms_ok(ms_history_put_calibration(h, &mine, &rates, &id, &err), &err);
    doc = plan(options);
    const double measured = ms_json_get(ms_json_root(doc), "window_s")->number;
    assert_null(ms_json_get(ms_json_root(doc), "estimated_for"));
    assert_string_equal(ms_json_get(ms_json_root(doc), "measured_on")->string, "GeForce RTX 3080");
    assert_true(measured > 0 && measured != estimated);
    ms_json_doc_destroy(&doc);
    ms_history_run run = {.key = {.calibration = id,
                                  .model = "UNet 32-64-96-96 x 16, VAE 16-16-16-32, Whisper 4 x 48",
                                  .precision = "float16",
                                  .codec = "h264",
                                  .resolution = 128,
                                  .tracked = true},
                          .machine = mine,
                          .width = 1280,
                          .height = 720,
                          .steps = 20,
                          .frames = 250,
                          .rung = MS_RUNG_FULL};
    for (int i = 0; i < MS_STAGE_COUNT; i++) {
        run.computed_s[i] = run.predicted_s[i] = 1;
        run.measured_s[i] = 1.5;
    }
    assert_ms_ok(ms_history_add(h, &run, &err), &err);
    doc = plan(options);
    const double corrected = ms_json_get(ms_json_root(doc), "window_s")->number;
    assert_true(ms_json_get(ms_json_root(doc), "history_runs")->number == 1);
    assert_true(corrected > 1.49 * measured && corrected < 1.51 * measured);
    ms_json_doc_destroy(&doc);
    ms_history_close(&h);
    assert_run_works("plan %s", options);
    assert_non_null(strstr(test_output, "predicted for a GeForce RTX 3080 by measurements of one"));
    setenv("MEMSAFE_HISTORY", kept ? kept : "off", 1);
}

static void budgets_are_compared(void **state) {
    (void)state;
    static const char *const members[] = {"tier",       "rung",        "vae_batch",      "unet_frames",
                                          "peak_bytes", "least_bytes", "streamed_bytes", "total_s"};
    ms_json_doc *doc = plan("--compare");
    const ms_json *rows = ms_json_root(doc);
    assert_int_equal(rows->count, 15);
    for (uint32_t i = 0; i < 15; i++) {
        static const char *const tiers[] = {"compact", "standard", "professional", "datacenter",
                                            "datacenter"};
        static const double gib[] = {8, 16, 24, 40, 80}, frames[] = {50, 200, 500};
        const ms_json *row = ms_json_at(rows, i);
        assert_true(ms_json_get(row, "memory_gib")->number == gib[i / 3]);
        assert_true(ms_json_get(row, "frames")->number == frames[i % 3]);
        for (size_t m = 0; m < sizeof(members) / sizeof(members[0]); m++)
            assert_non_null(ms_json_get(row, members[m]));
        assert_true(ms_json_get(row, "fits")->boolean);
        assert_string_equal(ms_json_get(row, "tier")->string, tiers[i / 3]);
        assert_true(ms_json_get(row, "peak_bytes")->number <= gib[i / 3] * 0x1p30);
        assert_true(i % 3 == 0 || ms_json_get(row, "total_s")->number >
                                      ms_json_get(ms_json_at(rows, i - 1), "total_s")->number);
    }
    ms_json_doc_destroy(&doc);
    doc = plan("--compare --shape tiny --arch sm_80");
    const ms_json *last = ms_json_at(ms_json_root(doc), 14);
    assert_string_equal(ms_json_get(last, "estimated_for")->string, "A100 80 GB");
    ms_json_doc_destroy(&doc);
    assert_run_works("plan --compare --shape tiny --arch sm_80");
    assert_non_null(strstr(test_output, "80 GiB: a rough estimate by the published figures of a A100 80 GB"));
    assert_run_works("plan --compare --threads 2 --device dummy");
    assert_non_null(strstr(test_output, "compact"));
    assert_non_null(strstr(test_output, "datacenter"));
}

static void less_memory_takes_more_time(void **state) {
    (void)state;
    static const char *const budgets[] = {"8G", "3G", "2G", "1G", "750M"};
    double before = 0;
    for (int i = 0; i < 5; i++) {
        char options[64];
        snprintf(options, sizeof(options), "--budget %s", budgets[i]);
        ms_json_doc *doc = plan(options);
        double streamed = bytes_of(ms_json_root(doc), "streamed");
        assert_true(i == 0 ? streamed == 0 : streamed > before); /* what does not fit is streamed */
        before = streamed;
        ms_json_doc_destroy(&doc);
    }
}

static void the_least_budget_is_true(void **state) {
    (void)state;
    ms_json_doc *doc = plan("");
    double least = bytes_of(ms_json_root(doc), "least");
    ms_json_doc_destroy(&doc);
    assert_run_works("plan --threads 2 --budget %.0f", least);
    /* What the program itself holds is not the same in each call. */
    assert_run_fails(3, "needs at least", "plan --threads 2 --budget %.0f", least - 5e6);
    assert_run_fails(3, "smallest budget that works", "plan --threads 2 --budget %.0f", least - 5e6);
}

/* Captured launches of small slices may take more than the slices save. */
static void the_least_is_no_more_than_what_fits(void **state) {
    (void)state;
    ms_json_doc *doc = plan("--device dummy --device-memory 80G --shape latentsync-1.5 --set "
                            "device_graphs=on --set weight_offload=off");
    assert_true(bytes_of(ms_json_root(doc), "least") <= bytes_of(ms_json_root(doc), "peak"));
    ms_json_doc_destroy(&doc);
}

static void the_pasted_region_is_counted(void **state) {
    (void)state;
    ms_json_doc *face = plan("--paste face"), *mouth = plan("--paste mouth");
    double side = ms_json_get(ms_json_root(face), "resolution")->number;
    double more = bytes_of(ms_json_root(mouth), "frames") - bytes_of(ms_json_root(face), "frames");
    assert_true(more >= side * side * sizeof(float) && more < side * side * sizeof(float) + 8192);
    ms_json_doc_destroy(&face);
    ms_json_doc_destroy(&mouth);
}

static void it_draws(void **state) {
    (void)state;
    char head[256] = {0};
    assert_run_works("plan --shape tiny --svg %s", test_file("p.svg"));
    FILE *f = fopen(test_file("p.svg"), "r");
    assert_non_null(f);
    assert_non_null(fgets(head, sizeof(head), f));
    assert_non_null(strstr(head, "<svg"));
    fseek(f, -7, SEEK_END);
    assert_non_null(fgets(head, sizeof(head), f));
    assert_string_equal(head, "</svg>\n");
    fclose(f);
    assert_run_fails(11, "no-such-folder", "plan --shape tiny --svg %s", test_file("no-such-folder/p.svg"));
    assert_run_fails(11, "it exists already; -y replaces it", "plan --shape tiny --svg %s",
                     test_file("p.svg"));
    assert_run_fails(11, "it exists already; -y replaces it", "plan --shape tiny --html %s",
                     test_file("p.svg"));
    assert_run_works("plan --shape tiny --svg %s --force", test_file("p.svg"));
}

/* One page with everything in it: no other file, no script, nothing from the net. */
static void it_writes_a_page(void **state) {
    (void)state;
    assert_run_works("models --synthesize tiny -o %s", test_file("'a<b&c'"));
    assert_run_works("plan --model %s --html %s", test_file("'a<b&c'"), test_file("p.html"));
    FILE *f = fopen(test_file("p.html"), "r");
    assert_non_null(f);
    static char text[1 << 20];
    text[fread(text, 1, sizeof(text) - 1, f)] = 0;
    fclose(f);
    static const char *const wanted[] = {
        "<!doctype html>", "<svg",    "</svg>",       "Where the memory goes",
        "smallest budget", "denoise", "a&lt;b&amp;c", "</html>\n"};
    static const char *const unwanted[] = {"<script", "href", "src=", "url(", "a<b"};
    for (size_t i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++)
        assert_non_null(strstr(text, wanted[i]));
    for (size_t i = 0; i < sizeof(unwanted) / sizeof(unwanted[0]); i++)
        assert_null(strstr(text, unwanted[i]));
    assert_run_fails(11, "no-such-folder", "plan --shape tiny --html %s", test_file("no-such-folder/p.html"));
}

static void wrong_questions_are_refused(void **state) {
    (void)state;
    assert_run_fails(2, "12by7", "plan --size 12by7");
    assert_run_fails(2, "8x720", "plan --size 8x720");
    assert_run_fails(2, "latentsync-9", "plan --shape latentsync-9");
    assert_run_fails(11, "no-such-model", "plan --model no-such-model");
    assert_run_fails(2, "frames", "plan --frames 0");
}

static int clean_up(void **state) {
    (void)state;
    test_dir_remove();
    return 0;
}

static int prepare(void **state) {
    (void)state;
    test_set_history(test_file("history.db"));
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_parts_add_up),
        cmocka_unit_test(the_arena_is_as_small_as_can_be),
        cmocka_unit_test(stages_go_on_side_by_side),
        cmocka_unit_test(stripes_take_longer),
        cmocka_unit_test(other_devices_are_planned_for),
        cmocka_unit_test(cards_are_planned_for),
        cmocka_unit_test(no_context_is_smaller_than_a_measured_one),
        cmocka_unit_test(a_card_is_known_by_what_its_driver_calls_it),
        cmocka_unit_test(measurements_of_a_card_replace_the_estimate),
        cmocka_unit_test(budgets_are_compared),
        cmocka_unit_test(less_memory_takes_more_time),
        cmocka_unit_test(the_least_budget_is_true),
        cmocka_unit_test(the_pasted_region_is_counted),
        cmocka_unit_test(the_least_is_no_more_than_what_fits),
        cmocka_unit_test(it_draws),
        cmocka_unit_test(it_writes_a_page),
        cmocka_unit_test(wrong_questions_are_refused),
    };
    return cmocka_run_group_tests(tests, prepare, clean_up);
}
