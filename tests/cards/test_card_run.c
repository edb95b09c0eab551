/*
 * Whole runs on the emulated card: the processor's pictures within what the precision holds, and the same
 * bits whatever the rung, the budget, the order of streams and warps, or a failure on the way. The bits
 * themselves are committed (predicted.h): they are what a card of the class should give, and a change of them
 * is a change of results.
 *
 * MEMSAFE_SIMT_LONG=1 (make check-simt) goes through all rungs, eight schedules and all architectures.
 */
#include "test.h"

#include <math.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/error.h"
#include "base/mem.h"
#include "cards/card_run.h"
#include "cards/predicted.h"

static ms_run_params params;
static ms_run_report report;
static ms_error err;
static bool at_length;
static pictures of_cpu;

static ms_status run(const ms_run_params *asked, pictures *ret) {
    return card_run(asked, ret, &report, &err);
}

static const struct {
    ms_precision precision;
    const char *name;
    double psnr;
} precisions[] = {
    {MS_PRECISION_FP32, "fp32", 50}, {MS_PRECISION_FP16, "fp16", 45}, {MS_PRECISION_BF16, "bf16", 40}};

/* What the committed hashes are worth: another FFmpeg decodes the clip into other pictures, another C library
   computes another log-mel spectrogram, and the processor's pictures show it. Then the first run of a class
   is what the others are compared with. */
static uint64_t expected[2][3];

static uint64_t *expectation(int arch, int precision) {
    return &expected[arch >= 90][precision];
}

static void expect(uint64_t hash, int arch, int precision) {
    uint64_t *of_class = expectation(arch, precision);
    if (*of_class == 0) {
        print_message("[          ] sm_%d, %s: 0x%016llx\n", arch, precisions[precision].name,
                      (unsigned long long)hash);
        *of_class = hash;
    }
    if (*of_class != hash)
        fail_msg("sm_%d, %s: 0x%016llx is expected, it is 0x%016llx", arch, precisions[precision].name,
                 (unsigned long long)*of_class, (unsigned long long)hash);
}

static int prepare(void **state) {
    (void)state;
    card_prepare(CARD_FRAMES, &params);
    ms_run_params cpu = params;
    cpu.device = "cpu";
    cpu.precision = MS_PRECISION_FP32;
    cpu.history = NULL;
    at_length = getenv("MEMSAFE_SIMT_LONG") != NULL;
    if (run(&cpu, &of_cpu) != MS_OK || of_cpu.frames != CARD_FRAMES)
        return -1;
    if (of_cpu.hash == predicted_cpu)
        memcpy(expected, predicted_cuda, sizeof(expected));
    else
        print_message(
            "[          ] the processor's pictures are 0x%016llx here: bits of cards are not predicted\n",
            (unsigned long long)of_cpu.hash);
    return 0;
}

static int clean_up(void **state) {
    (void)state;
    test_dir_remove();
    return 0;
}

static double psnr(const pictures *a, const pictures *b) {
    double sum = 0;
    for (int f = 0; f < CARD_FRAMES; f++)
        for (int i = 0; i < CARD_SIDE * CARD_SIDE * 3; i++) {
            double off = (double)a->rgb[f][i] - (double)b->rgb[f][i];
            sum += off * off;
        }
    return sum > 0 ? 10 * log10(255.0 * 255 * CARD_FRAMES * CARD_SIDE * CARD_SIDE * 3 / sum) : INFINITY;
}

static uint64_t run_as(const ms_run_params *p, int arch, int seed, const char *what, double least_psnr) {
    pictures got;
    card_set(arch, seed);
    if (run(p, &got) != MS_OK)
        fail_msg("sm_%d, %s: %s", arch, what, err.message);
    assert_int_equal(got.frames, CARD_FRAMES);
    if (!(psnr(&got, &of_cpu) >= least_psnr))
        fail_msg("sm_%d, %s: %.1f dB from the processor's pictures", arch, what, psnr(&got, &of_cpu));
    return got.hash;
}

/* Every precision, and both classes of tensor cores; at length on every card. */
static void pictures_are_the_predicted_ones(void **state) {
    (void)state;
    static const int archs[] = {86, 90, 75, 80, 89, 100, 120};
    for (int a = 0; a < (at_length ? 7 : 2); a++)
        for (int i = 0; i < 3; i++) {
            if (archs[a] < 80 && i == 2) /* Turing does not multiply bfloat16 */
                continue;
            if (!at_length && i != 1 &&
                (i == 0) == (a == 1)) /* float32 knows no classes, bfloat16 not others */
                continue;
            ms_run_params p = params;
            p.precision = precisions[i].precision;
            expect(run_as(&p, archs[a], 0, precisions[i].name, precisions[i].psnr), archs[a], i);
        }
}

/* Of a precision, on a card of a class: on every rung, of which three with all schedules, and with more
   multiprocessors, which take other tiles. */
static void go_every_way(int arch, int precision, int schedules) {
    ms_run_params p = params;
    p.precision = precisions[precision].precision;
    for (p.rung = MS_RUNG_FULL; p.rung < MS_RUNG_COUNT; p.rung++) {
        const bool with_all =
            p.rung == MS_RUNG_FULL || p.rung == MS_RUNG_SLICES || p.rung == MS_RUNG_STREAM_ALL;
        for (int seed = 1; seed <= (with_all ? schedules : 1); seed++) {
            setenv("MEMSAFE_SIMT_PROCESSORS", seed % 2 ? "2" : "132", 1);
            expect(run_as(&p, arch, with_all ? seed : (int)p.rung, ms_rung_name(p.rung),
                          precisions[precision].psnr),
                   arch, precision);
        }
    }
    unsetenv("MEMSAFE_SIMT_PROCESSORS");
}

/* One hash for all ways to get there, in every class of tensor cores. Without length the least budget below
   is one of them. */
static void every_way_gives_the_same_bits(void **state) {
    (void)state;
    if (!at_length)
        skip();
    go_every_way(86, 1, 8);
    go_every_way(90, 1, 8);
    go_every_way(86, 0, 2);
    go_every_way(90, 2, 2);
}

/* Budgets between what is enough and all. */
static void budgets_give_the_same_bits(size_t least_bytes) {
    ms_run_params p = params;
    const size_t budgets[] = {least_bytes + (least_bytes >> 2), least_bytes * 2, least_bytes * 4};
    for (size_t i = 0; i < sizeof(budgets) / sizeof(budgets[0]); i++) {
        p.budget_bytes = budgets[i];
        expect(run_as(&p, 90, (int)i, "a budget", 45), 90, 1);
        assert_true(report.device_peak_bytes <= p.budget_bytes);
    }
}

/* The least budget that a run says it needs, with graphs that are captured. */
static void the_least_budget_is_enough(void **state) {
    (void)state;
    static const char *const settings[] = {"device_graphs=on"};
    ms_run_params p = params;
    pictures got;
    p.budget_bytes = (size_t)1 << 20;
    card_set(86, 5);
    assert_int_equal(run(&p, &got), MS_BUDGET);
    const char *least = strstr(err.message, "needs at least ");
    assert_non_null(least);
    p.budget_bytes = (size_t)strtoul(least + strlen("needs at least "), NULL, 10) << 20;
    p.profile.settings = settings;
    p.profile.n_settings = 1;
    expect(run_as(&p, 86, 5, "the least budget", 45), 86, 1);
    assert_true(report.device_peak_bytes <= p.budget_bytes);
    assert_true(report.rung >= MS_RUNG_STREAM_PART);
    if (at_length)
        budgets_give_the_same_bits(p.budget_bytes);
}

/* In a process of its own, since failures are counted over a process: 0 = as predicted, 1 = after a recovery,
   2 = no memory, 3 = the card is lost, above: wrong. */
static int run_with(const ms_run_params *p, const char *variable, int n) {
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        char text[16];
        pictures got;
        snprintf(text, sizeof(text), "%d", n);
        setenv(variable, text, 1);
        card_set(86, n);
        ms_status status = run(p, &got);
        int result = status == MS_OK ? (got.hash != *expectation(86, 1) ? 4 : report.recoveries > 0)
                     : status == MS_DEVICE_MEMORY ? 2
                     : status == MS_DEVICE_LOST   ? 3
                                                  : 5;
        _exit(result);
    }
    int ended = 0;
    assert_int_equal(waitpid(pid, &ended, 0), pid);
    assert_true(WIFEXITED(ended));
    return WEXITSTATUS(ended);
}

/* Samples, with every kernel computed; test_card_failures.c goes through all. */
static void failures_are_got_over_or_told(void **state) {
    (void)state;
    ms_run_params p = params;
    int recovered = 0;
    for (int n = 1; n < (at_length ? 1000 : 30); n += at_length ? 37 : 26) {
        int result = run_with(&p, "MEMSAFE_SIMT_FAIL_ALLOC", n);
        if (result > 2)
            fail_msg("allocation %d failed: result %d", n, result);
        recovered += result == 1;
    }
    assert_true(recovered > 0);
    for (int n = 50; n < (at_length ? 100000 : 1500); n += at_length ? n / 4 : 9 * n) {
        int result = run_with(&p, "MEMSAFE_SIMT_LOSE_AFTER", n);
        if (result != 3 && result != 0)
            fail_msg("lost after %d: result %d", n, result);
    }
}

/* From the plan on: before it the machine is measured. */
static void lose_from_here(void *arg, const ms_run_report *planned) {
    (void)planned;
    setenv("MEMSAFE_SIMT_LOSE_AFTER", arg, 1);
}

/* The job goes on with the card when it is there again, and the file is that of one run. */
static void a_lost_card_leaves_a_job(void **state) {
    (void)state;
    static char after[] = "1500";
    char output[512];
    snprintf(output, sizeof(output), "%s", test_file("out.mkv"));
    ms_run_params p = params;
    p.output = output;
    p.segment_frames = 2;
    p.guidance = 1;
    card_set(86, 1);
    assert_ms_ok(ms_run(&p, &report, &err), &err);
    const uint64_t whole = test_hash_file(output);
    unlink(output);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        ms_run_params once = p;
        once.planned = lose_from_here;
        once.arg = after;
        _exit((int)ms_run(&once, &report, &err));
    }
    int ended = 0;
    assert_int_equal(waitpid(pid, &ended, 0), pid);
    assert_true(WIFEXITED(ended));
    assert_int_equal(WEXITSTATUS(ended), MS_DEVICE_LOST);
    assert_int_not_equal(access(output, F_OK), 0);
    p.resume = true;
    card_set(86, 2);
    assert_ms_ok(ms_run(&p, &report, &err), &err);
    assert_true(test_hash_file(output) == whole);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pictures_are_the_predicted_ones), cmocka_unit_test(every_way_gives_the_same_bits),
        cmocka_unit_test(the_least_budget_is_enough),      cmocka_unit_test(failures_are_got_over_or_told),
        cmocka_unit_test(a_lost_card_leaves_a_job),
    };
    return cmocka_run_group_tests(tests, prepare, clean_up);
}
