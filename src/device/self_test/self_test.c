#include "device/self_test/self_test.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/log.h"
#include "device/self_test/cases.h"

/* The processor is the reference. */
static ms_status open_reference(ms_device *dev, ms_device **ret_cpu, ms_error *err) {
    const ms_device_params params = {.backend = "cpu", .mem = dev->mem, .isa_limit = MS_ISA_COUNT - 1};
    return ms_device_open(&params, ret_cpu, err);
}

static ms_status run_one(const self_case *c, ms_device *dev, ms_dtype given, ms_dtype kept, uint64_t seed,
                         float **ret_values, int64_t *ret_count, uint64_t *ret_hash, bool *ret_differs) {
    trial t;
    ms_status status = ms_trial_begin(&t, dev, given, kept, seed);
    t.of = c->of;
    if (status == MS_OK)
        status = c->run(&t);
    if (status == MS_OK)
        status = ms_trial_read(&t, ret_values, ret_hash);
    *ret_count = t.outputs;
    *ret_differs = t.differs;
    ms_trial_end(&t);
    return status;
}

static double unit_of(ms_dtype dtype) {
    return dtype == MS_F16 ? 0x1p-11 : dtype == MS_BF16 ? 0x1p-8 : 0x1p-24;
}

static double units_of(const self_case *c, ms_dtype dtype) {
    return dtype == MS_F32 && c->float_units > 0 ? c->float_units : c->units;
}

/* Relative for values above 1. */
static double worst(const float *got, const float *wanted, int64_t count) {
    double error = 0;
    for (int64_t i = 0; i < count; i++) {
        double off = fabs((double)got[i] - (double)wanted[i]) / fmax(1, fabs((double)wanted[i]));
        if (!(off <= error))
            error = isnan(off) ? INFINITY : off;
    }
    return error;
}

static ms_status compare(const self_case *c, ms_device *dev, ms_device *cpu, ms_dtype dtype, uint64_t seed,
                         ms_self_test_result *ret) {
    float *got = NULL, *wanted = NULL;
    int64_t count = 0;
    uint64_t of_reference;
    *ret = (ms_self_test_result){
        .family = c->family, .dtype = dtype, .allowed = units_of(c, dtype) * unit_of(dtype)};
    ms_status status =
        run_one(c, cpu, dtype, MS_F32, seed, &wanted, &count, &of_reference, &ret->forms_differ);
    if (status == MS_OK)
        status = run_one(c, dev, dtype, dtype, seed, &got, &count, &ret->hash, &ret->forms_differ);
    if (status == MS_OK)
        ret->error = worst(got, wanted, count);
    ret->agrees = !ret->forms_differ && ret->error <= ret->allowed;
    ms_mem_free(got);
    ms_mem_free(wanted);
    return status;
}

static uint64_t predicted(const ms_device *dev, const char *family, ms_dtype dtype) {
    return dev->backend->predicted_bits ? dev->backend->predicted_bits(dev, family, dtype) : 0;
}

typedef struct self_test {
    ms_device *dev, *cpu;
    ms_self_test_fn each;
    void *arg;
    ms_self_test_result worst; /* the first that disagrees; rather one that is wrong */
    bool disagrees, is_wrong;
    uint64_t bits; /* of all results of the first seed */
} self_test;

static void take(self_test *s, int seed, const ms_self_test_result *r, bool is_wrong) {
    const uint64_t before[2] = {s->bits};
    if (seed == 0)
        s->bits = ms_siphash(before, &r->hash, sizeof(r->hash));
    if (r->agrees || (s->disagrees && (s->is_wrong || !is_wrong)))
        return;
    s->worst = *r;
    s->disagrees = true;
    s->is_wrong = is_wrong;
}

static ms_status run_seed(self_test *s, int seed) {
    static const ms_dtype types[] = {MS_F32, MS_F16, MS_BF16};
    for (int i = 0; i < ms_n_self_cases; i++)
        for (int d = 0; d < 3; d++) {
            ms_self_test_result r;
            if (!(s->dev->caps.activations & 1u << types[d]) || (d > 0 && ms_self_cases[i].float_only))
                continue;
            MS_TRY(compare(&ms_self_cases[i], s->dev, s->cpu, types[d], (uint64_t)seed, &r));
            r.predicted = seed == 0 && !r.forms_differ ? predicted(s->dev, r.family, r.dtype) : 0;
            const bool is_wrong = !r.agrees;
            r.agrees = r.agrees && (!r.predicted || r.predicted == r.hash);
            take(s, seed, &r, is_wrong);
            if (s->each)
                s->each(s->arg, &r);
        }
    return MS_OK;
}

static ms_status refuse(const self_test *s, ms_error *err) {
    const ms_self_test_result *r = &s->worst;
    if (r->error <= r->allowed && r->forms_differ)
        return ms_fail(err, MS_UNSUPPORTED,
                       "%s is not trusted: its kernels of \"%s\" in %s give different bits, which must be "
                       "the same",
                       s->dev->description, r->family, ms_dtype_name(r->dtype));
    if (r->error <= r->allowed)
        return ms_fail(
            err, MS_UNSUPPORTED,
            "%s is not trusted: its results of \"%s\" in %s are near enough, and not the bits that were "
            "predicted for it; with MEMSAFE_DEVICE_BITS=own it is a class of its own",
            s->dev->description, r->family, ms_dtype_name(r->dtype));
    return ms_fail(
        err, MS_UNSUPPORTED,
        "%s is not trusted: it gives wrong results of \"%s\" in %s (off by %.3g, %.3g are allowed)",
        s->dev->description, r->family, ms_dtype_name(r->dtype), r->error, r->allowed);
}

/* What was begun elsewhere then does not go on here, and the other way round. All else is as on any other. */
static bool is_own_class(const self_test *s) {
    const char *bits = getenv("MEMSAFE_DEVICE_BITS");
    if (s->is_wrong || !bits || strcmp(bits, "own") != 0)
        return false;
    ms_device *dev = s->dev;
    snprintf(dev->own_arithmetic, sizeof(dev->own_arithmetic), "own-%016" PRIx64, s->bits);
    dev->caps.arithmetic = dev->own_arithmetic;
    ms_log_tell(MS_LOG_WARNING, "device", "%s has other bits than were predicted: it is the class %s",
                dev->description, dev->caps.arithmetic);
    return true;
}

ms_status ms_self_test(ms_device *dev, int seeds, ms_self_test_fn each, void *arg, ms_error *err) {
    self_test s = {.dev = dev, .each = each, .arg = arg};
    ms_status status = MS_OK;
    MS_TRY(open_reference(dev, &s.cpu, err));
    for (int seed = 0; seed < seeds && status == MS_OK; seed++)
        status = run_seed(&s, seed);
    ms_device_close(&s.cpu);
    if (status != MS_OK)
        return ms_fail(err, status, "%s: the self-test ended with: %s", dev->description,
                       ms_status_text(status));
    return !s.disagrees || is_own_class(&s) ? MS_OK : refuse(&s, err);
}
