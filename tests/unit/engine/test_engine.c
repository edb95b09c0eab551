/* Weights, program, place: a change of layout keeps what both layouts hold, and one
   that cannot be had leaves the last. */
#include "test.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/stat.h>

#include "base/error.h"
#include "engine/engine.h"
#include "models/synthesize/synthesize.h"
#include "support/cli.h"

enum { FRAMES = 3, SIDE = 64, PICTURE = SIDE * SIDE * 3, SAMPLES = 16000 };

typedef struct bench {
    ms_mem *mem, *device_mem;
    ms_compute compute;
    ms_engine *engine;
    ms_error err;
} bench;

static ms_model_files files;

static ms_status read_samples(void *arg, int64_t first, int64_t count, float *ret_samples, ms_error *err) {
    (void)arg, (void)err;
    for (int64_t i = 0; i < count; i++)
        ret_samples[i] = (float)((first + i) * 2654435761u % 2000) * 1e-4f;
    return MS_OK;
}

static void open_bench_with(bench *b, const char *device, bool random) {
    *b = (bench){0};
    assert_int_equal(ms_mem_create(0, &b->mem), MS_OK);
    assert_int_equal(ms_mem_create(0, &b->device_mem), MS_OK);
    const ms_compute_params params = {.device = device,
                                      .mem = b->mem,
                                      .device_mem = b->device_mem,
                                      .threads = 2,
                                      .isa_limit = MS_ISA_COUNT - 1};
    if (random)
        assert_ms_ok(ms_synthetic_configs(MS_SYNTHETIC_TINY, &files, &b->err), &b->err);
    assert_ms_ok(ms_compute_open(&params, &b->compute, &b->err), &b->err);
    const ms_engine_params engine = {.compute = b->compute,
                                     .files = &files,
                                     .random_weights = random,
                                     .precision = MS_F16,
                                     .resolution = SIDE,
                                     .steps = 1,
                                     .guidance = 1.5f,
                                     .seed = 1,
                                     .fps = 25,
                                     .frames = FRAMES,
                                     .speech = {.samples = SAMPLES, .columns = SAMPLES / 160, .max = 0},
                                     .samples = {.samples = SAMPLES, .read = read_samples}};
    assert_ms_ok(ms_engine_create(&engine, NULL, &b->engine, &b->err), &b->err);
}

static void open_bench(bench *b, const char *device) {
    open_bench_with(b, device, true);
}

static void close_bench(bench *b) {
    ms_engine_destroy(&b->engine);
    ms_compute_close(&b->compute);
    assert_int_equal(ms_mem_destroy(&b->device_mem), 0);
    assert_int_equal(ms_mem_destroy(&b->mem), 0);
}

static ms_status take_face(void *arg, int64_t frame, const float *face, ms_error *err) {
    (void)err;
    memcpy((float *)arg + frame * PICTURE, face, PICTURE * sizeof(float));
    return MS_OK;
}

static void run(bench *b, float *ret_faces) {
    static uint8_t faces[FRAMES * PICTURE];
    for (size_t i = 0; i < sizeof(faces); i++)
        faces[i] = (uint8_t)(i * 7 + i / 768);
    const ms_window window = {.frames = FRAMES, .faces = faces, .deliver = take_face, .arg = ret_faces};
    assert_ms_ok(ms_engine_run_window(b->engine, &window, &b->err), &b->err);
}

static ms_status use(bench *b, const ms_engine_layout *layout, ms_engine_memory *ret_memory) {
    ms_engine_program *program = NULL;
    ms_status status = ms_engine_program_create(b->engine, layout, &program, &b->err);
    if (status != MS_OK)
        return status;
    *ret_memory = ms_engine_get_memory(b->engine, program);
    status = ms_engine_use(b->engine, &program, &b->err);
    assert_null(program);
    return status;
}

static float expected[FRAMES * PICTURE], got[FRAMES * PICTURE];

static void the_bits_are_the_same(bench *b) {
    memset(got, 0, sizeof(got));
    run(b, got);
    assert_memory_equal(got, expected, sizeof(expected));
}

/* Of all weights; what is streamed of them follows from what may stay. */
static ms_engine_layout keeping(double part, const ms_engine_memory *all) {
    return (ms_engine_layout){
        .encode_batch = 1,
        .decode_batch = 1,
        .serial_branches = true,
        .slicing = {.frames = 2, .pixels = 16},
        .resident_weight_bytes = (size_t)(part * (double)all->weight_bytes),
    };
}

static void changes_read_only_what_is_missing(void **state) {
    (void)state;
    static const char *const devices[] = {"cpu", "remote"};
    for (int d = 0; d < 2; d++) {
        bench b;
        ms_engine_memory all, memory;
        const ms_engine_layout whole = MS_ENGINE_LAYOUT_ALL;
        open_bench(&b, devices[d]);
        assert_null(ms_engine_program_of(b.engine));
        assert_ms_ok(use(&b, &whole, &all), &b.err);
        assert_int_equal(ms_engine_kept_bytes(b.engine), all.weight_bytes);
        run(&b, d ? got : expected);
        assert_memory_equal(d ? got : expected, expected, sizeof(expected));
        static const double parts[] = {0.5, 0, 0.3, 1};
        size_t kept = all.weight_bytes;
        uint64_t read = all.weight_bytes;
        for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
            const ms_engine_layout layout = keeping(parts[i], &all);
            assert_ms_ok(use(&b, &layout, &memory), &b.err);
            size_t stays = memory.weight_bytes - memory.streamed_bytes;
            assert_true(parts[i] == 0 || stays <= layout.resident_weight_bytes);
            read += stays > kept ? stays - kept : 0;
            kept = stays;
            assert_int_equal(ms_engine_kept_bytes(b.engine), read);
            the_bits_are_the_same(&b);
        }
        close_bench(&b);
    }
}

static size_t in_use(const ms_mem *mem) {
    ms_mem_usage usage;
    ms_mem_get_usage(mem, &usage);
    return usage.current_bytes;
}

static void a_change_that_cannot_be_had_leaves_the_last(void **state) {
    (void)state;
    static const char *const devices[] = {"cpu", "remote"};
    for (int d = 0; d < 2; d++) {
        bench b;
        ms_engine_memory all, memory;
        const ms_engine_layout whole = MS_ENGINE_LAYOUT_ALL;
        open_bench(&b, devices[d]);
        assert_ms_ok(use(&b, &whole, &all), &b.err);
        const ms_engine_layout small = keeping(0.1, &all);
        assert_ms_ok(use(&b, &small, &memory), &b.err);
        const ms_engine_program *last = ms_engine_program_of(b.engine);
        ms_mem *mem = d ? b.device_mem : b.mem;
        size_t before = in_use(mem);
        /* Room for the next program, for part of the weights, and for all of them but not for the arena. */
        for (int percent = 0; percent <= 100; percent += 50) {
            size_t room = memory.streamed_bytes / 100 * (size_t)percent;
            assert_true(ms_mem_set_budget(mem, before + room + (d ? 0 : (size_t)1 << 20)));
            ms_status status = use(&b, &whole, &all);
            if (status == MS_OK) {
                assert_true(percent > 0);
                assert_ms_ok(use(&b, &small, &memory), &b.err);
                last = ms_engine_program_of(b.engine);
                continue;
            }
            assert_true(ms_is_out_of_memory(status));
            assert_ptr_equal(ms_engine_program_of(b.engine), last);
            assert_int_equal(in_use(mem), before);
            the_bits_are_the_same(&b);
        }
        assert_true(ms_mem_set_budget(mem, 0));
        assert_ms_ok(use(&b, &whole, &all), &b.err);
        the_bits_are_the_same(&b);
        close_bench(&b);
    }
}

/* Whatever fails on the way to a layout that keeps less, the last one works. */
static void a_change_to_less_may_fail_anywhere(void **state) {
    (void)state;
    bench b;
    ms_engine_memory all;
    ms_status status = MS_HOST_MEMORY;
    const ms_engine_layout whole = MS_ENGINE_LAYOUT_ALL;
    open_bench(&b, "cpu");
    assert_ms_ok(use(&b, &whole, &all), &b.err);
    const ms_engine_layout small = keeping(0.3, &all);
    for (uint64_t n = 1; status != MS_OK; n++) {
        ms_engine_program *program = NULL;
        assert_ms_ok(ms_engine_program_create(b.engine, &small, &program, &b.err), &b.err);
        ms_mem_fail_after(n, false);
        status = ms_engine_use(b.engine, &program, &b.err);
        ms_mem_fail_after(0, false);
        assert_true(status == MS_OK || ms_is_out_of_memory(status));
        assert_non_null(ms_engine_program_of(b.engine));
        the_bits_are_the_same(&b);
    }
    close_bench(&b);
}

typedef struct tenant {
    ms_mem *mem;
    atomic_bool stop;
} tenant;

static void *come_and_go(void *arg) {
    tenant *t = arg;
    while (!atomic_load(&t->stop))
        if (ms_mem_charge(t->mem, MS_LEDGER_CODEC, (size_t)100 << 20))
            ms_mem_release(t->mem, MS_LEDGER_CODEC, (size_t)100 << 20);
    return NULL;
}

/* Plans are made while other threads draw on the same ledgers. */
static void sizes_do_not_depend_on_who_else_allocates(void **state) {
    (void)state;
    bench b;
    ms_engine_memory all;
    pthread_t thread;
    const ms_engine_layout whole = MS_ENGINE_LAYOUT_ALL;
    open_bench(&b, "cpu");
    assert_ms_ok(use(&b, &whole, &all), &b.err);
    tenant t = {.mem = b.mem};
    assert_int_equal(pthread_create(&thread, NULL, come_and_go, &t), 0);
    for (int i = 0; i < 50; i++) {
        ms_engine_program *program = NULL;
        assert_ms_ok(ms_engine_program_create(b.engine, &whole, &program, &b.err), &b.err);
        assert_int_equal(ms_engine_get_memory(b.engine, program).total_bytes, all.total_bytes);
        ms_engine_program_destroy(&program);
    }
    atomic_store(&t.stop, true);
    pthread_join(thread, NULL);
    close_bench(&b);
}

/* Half of another model would be a wrong picture. */
static void a_checkpoint_that_was_replaced_is_told(void **state) {
    (void)state;
    bench b;
    ms_engine_memory all, memory;
    const ms_engine_layout whole = MS_ENGINE_LAYOUT_ALL;
    const ms_synthesize_params model = {
        .kind = MS_SYNTHETIC_TINY, .dtype = MS_F16, .seed = 1, .dir = test_file("model")};
    const ms_model_names names = {.dir = model.dir};
    ms_error err;
    assert_ms_ok(ms_synthesize(&model, &err), &err);
    assert_ms_ok(ms_model_files_find(&names, MS_PART_UNET | MS_PART_VAE | MS_PART_WHISPER, &files, &err),
                 &err);
    open_bench_with(&b, "cpu", false);
    assert_ms_ok(use(&b, &whole, &all), &b.err);
    run(&b, expected);
    const ms_engine_layout small = keeping(0.3, &all);
    assert_ms_ok(use(&b, &small, &memory), &b.err);
    the_bits_are_the_same(&b);
    assert_ms_ok(use(&b, &whole, &all), &b.err);
    const struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, {.tv_sec = 1000000000}};
    assert_int_equal(utimensat(AT_FDCWD, files.vae, times, 0), 0);
    assert_int_equal(use(&b, &small, &memory), MS_IO);
    assert_non_null(strstr(b.err.message, files.vae));
    the_bits_are_the_same(&b);
    close_bench(&b);
    test_dir_remove();
}

static void without_a_program_no_window_is_run(void **state) {
    (void)state;
    bench b;
    ms_engine_memory memory;
    const ms_engine_layout whole = MS_ENGINE_LAYOUT_ALL;
    const ms_window window = {.frames = 1};
    open_bench(&b, "cpu");
    assert_int_equal(ms_engine_run_window(b.engine, &window, &b.err), MS_INTERNAL);
    assert_true(ms_mem_set_budget(b.mem, in_use(b.mem) + ((size_t)1 << 20)));
    assert_true(ms_is_out_of_memory(use(&b, &whole, &memory)));
    assert_null(ms_engine_program_of(b.engine));
    assert_int_equal(ms_engine_kept_bytes(b.engine), 0);
    assert_true(ms_mem_set_budget(b.mem, 0));
    assert_ms_ok(use(&b, &whole, &memory), &b.err);
    the_bits_are_the_same(&b);
    close_bench(&b);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(changes_read_only_what_is_missing),
        cmocka_unit_test(a_change_that_cannot_be_had_leaves_the_last),
        cmocka_unit_test(a_change_to_less_may_fail_anywhere),
        cmocka_unit_test(sizes_do_not_depend_on_who_else_allocates),
        cmocka_unit_test(without_a_program_no_window_is_run),
        cmocka_unit_test(a_checkpoint_that_was_replaced_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
