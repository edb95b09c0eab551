/*
 * The bits that the self-test must find on CUDA cards are those that the emulator has, on every architecture
 * of a class and in any schedule. It launches every kernel that the back end has. When kernels have changed
 * their bits, or there are new cases:
 *
 *   MEMSAFE_WRITE_PREDICTED=$PWD/src/device/cuda/predicted_bits.inc ctest --test-dir build -R cuda_predicted
 */
#include "test.h"

#include "device/cuda/kernel_list.h"
#include "device/self_test/self_test.h"
#include "device/simt/emulator.h"
#include "support/device/simt_bench.h"

#define MOST 256

typedef struct row {
    const char *family;
    ms_dtype dtype;
    uint64_t bits[2];
} row;

static row rows[MOST];
static int n_rows;

typedef struct look {
    int of_class; /* 0: before Hopper */
    bool writing;
    int seen, wrong;
} look;

static row *row_of(const ms_self_test_result *r) {
    for (int i = 0; i < n_rows; i++)
        if (rows[i].dtype == r->dtype && strcmp(rows[i].family, r->family) == 0)
            return &rows[i];
    assert_true(n_rows < MOST);
    rows[n_rows] = (row){.family = r->family, .dtype = r->dtype};
    return &rows[n_rows++];
}

static void take_result(void *arg, const ms_self_test_result *r) {
    look *l = arg;
    uint64_t *bits = &row_of(r)->bits[l->of_class];
    if (*bits == 0)
        *bits = r->hash;
    bool as_the_class = *bits == r->hash, as_predicted = l->writing || r->predicted == r->hash;
    l->seen++;
    if (as_the_class && as_predicted && r->error <= r->allowed)
        return;
    l->wrong++;
    print_error("%s, %s: %016llx, predicted %016llx, of the class %016llx, off by %g\n", r->family,
                ms_dtype_name(r->dtype), (unsigned long long)r->hash, (unsigned long long)r->predicted,
                (unsigned long long)*bits, r->error);
}

static void write_table(const char *path) {
    static const char *const types[] = {[MS_F32] = "MS_F32", [MS_F16] = "MS_F16", [MS_BF16] = "MS_BF16"};
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fputs("/* Written by test_cuda_predicted. */\n", f);
    for (int i = 0; i < n_rows; i++)
        fprintf(f, "{\"%s\", %s, {0x%016llx, 0x%016llx}},\n", rows[i].family, types[rows[i].dtype],
                (unsigned long long)rows[i].bits[0], (unsigned long long)rows[i].bits[1]);
    fclose(f);
}

/* How the device was asked to do things: forms, and types of raw weights that became others. */
static const ms_backend *own;
static unsigned forms_seen, raws_seen[3];

static void choose_form(ms_device *dev, int form) {
    forms_seen |= 1u << form;
    own->choose_form(dev, form);
}

static ms_status weight_prepare(ms_queue *queue, const ms_weight_shape *shape, ms_dtype raw,
                                int64_t first_row, int64_t count, const void *src, void *dst) {
    raws_seen[shape->dtype == MS_F32 ? 0 : shape->dtype == MS_F16 ? 1 : 2] |= 1u << (raw == MS_F32);
    return own->weight_prepare(queue, shape, raw, first_row, count, src, dst);
}

/* Of 16-bit weights both kinds of raw ones; every form. */
static void assert_all_was_seen(const ms_device *dev) {
    assert_true(dev->caps.forms > 1);
    assert_int_equal(forms_seen, (2u << dev->caps.forms) - 1);
    assert_int_equal(raws_seen[1], 3);
    assert_int_equal(raws_seen[2], dev->caps.activations & 1u << MS_BF16 ? 3 : 0);
}

/* ---- kernels ---- */

typedef struct hold {
    const ms_device *dev;
    int arch;
    bool (*was_launched)(const char *kernel);
    int kernels, excused, without_a_case;
} hold;

/* The card has not what it takes: products of bfloat16, or so much shared memory. */
static bool is_for_other_cards(const hold *h, const simt_kernel *kernel) {
    return (strstr(kernel->name, "bf16") && !(h->dev->caps.activations & 1u << MS_BF16)) ||
           kernel->shared_bytes > simt_most_shared_bytes(h->arch);
}

static bool look_for_launch(void *arg, const simt_kernel *kernel) {
    hold *h = arg;
    h->kernels++;
    if (h->was_launched(kernel->name))
        return true;
    if (is_for_other_cards(h, kernel)) {
        h->excused++;
        return true;
    }
    print_error("sm_%d: no case comes to the kernel %s\n", h->arch, kernel->name);
    h->without_a_case++;
    return true;
}

static void assert_all_kernels_were_launched(const ms_device *dev, int arch) {
    hold h = {.dev = dev, .arch = arch};
    void *found = of_plugin("simt_was_launched");
    memcpy(&h.was_launched, &found, sizeof(found)); /* ISO C has no cast from an object to a function */
    assert_false(h.was_launched("a kernel that there is not"));
    assert_true(cuda_each_kernel(look_for_launch, &h));
    print_message("sm_%d: %d kernels, %d for other cards\n", arch, h.kernels, h.excused);
    assert_int_equal(h.without_a_case, 0);
    assert_true(h.kernels > 100 && h.excused <= (arch < 80 ? h.kernels / 2 : 0));
}

static void cards_of_a_class_have_the_predicted_bits(void **state) {
    (void)state;
    static const struct {
        const char *card;
        int arch, of_class;
    } cards[] = {{"1G,sm_75", 75, 0}, {"1G,sm_86,3", 86, 0}, {"1G,sm_90", 90, 1}, {"1G,sm_120,5", 120, 1}};
    const char *path = getenv("MEMSAFE_WRITE_PREDICTED");
    int wrong = 0;
    for (size_t i = 0; i < sizeof(cards) / sizeof(cards[0]); i++) {
        setenv("MEMSAFE_SIMT", cards[i].card, 1);
        const ms_device_params params = {.backend = "simt"};
        ms_device *dev = NULL;
        ms_error_clear(&err);
        assert_ms_ok(ms_device_open(&params, &dev, &err), &err);
        ms_backend other = *dev->backend;
        own = dev->backend;
        other.choose_form = choose_form;
        other.weight_prepare = weight_prepare;
        dev->backend = &other;
        forms_seen = raws_seen[1] = raws_seen[2] = 0;
        look l = {.of_class = cards[i].of_class, .writing = path != NULL};
        ms_status status = ms_self_test(dev, 1, take_result, &l, &err);
        assert_all_was_seen(dev);
        assert_all_kernels_were_launched(dev, cards[i].arch);
        dev->backend = own;
        ms_device_close(&dev);
        print_message("%s: %d results, %d wrong\n", cards[i].card, l.seen, l.wrong);
        assert_true(l.seen > 50);
        if (!path && l.wrong == 0)
            assert_ms_ok(status, &err);
        wrong += l.wrong;
    }
    assert_int_equal(wrong, 0);
    if (path)
        write_table(path);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(cards_of_a_class_have_the_predicted_bits)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
