/* bench_kernels [filter...] [--threads N] [--isa c|avx2|avx512] [--dtype f32|f16|bf16] [--images N]
   [--seconds S] */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "device/cpu/peak.h"
#include "kernel_bench.h"

typedef struct options {
    const char *filters[16];
    int n_filters, threads, images;
    ms_isa isa;
    ms_dtype dtype;
    double seconds;
} options;

static const struct {
    const char *name;
    ms_dtype dtype;
} dtypes[] = {{"f32", MS_F32}, {"f16", MS_F16}, {"bf16", MS_BF16}};

static int set_isa(options *o, const char *name) {
    for (int i = 0; i < MS_ISA_COUNT; i++) {
        if (strcmp(name, ms_isa_name((ms_isa)i)) == 0) {
            o->isa = (ms_isa)i;
            return 0;
        }
    }
    return -1;
}

static int set_dtype(options *o, const char *name) {
    for (size_t i = 0; i < sizeof(dtypes) / sizeof(dtypes[0]); i++) {
        if (strcmp(name, dtypes[i].name) == 0) {
            o->dtype = dtypes[i].dtype;
            return 0;
        }
    }
    return -1;
}

static int parse(int argc, char **argv, options *o) {
    for (int i = 1; i < argc; i++) {
        const char *arg = argv[i], *value = i + 1 < argc ? argv[i + 1] : "";
        int bad = 0;
        if (strncmp(arg, "--", 2) != 0) {
            if (o->n_filters == 16)
                return -1;
            o->filters[o->n_filters++] = arg;
            continue;
        }
        if (strcmp(arg, "--threads") == 0)
            bad = (o->threads = atoi(value)) <= 0;
        else if (strcmp(arg, "--isa") == 0)
            bad = set_isa(o, value);
        else if (strcmp(arg, "--dtype") == 0)
            bad = set_dtype(o, value);
        else if (strcmp(arg, "--images") == 0)
            bad = (o->images = atoi(value)) <= 0;
        else if (strcmp(arg, "--seconds") == 0)
            bad = (o->seconds = atof(value)) <= 0;
        else
            bad = 1;
        if (bad)
            return -1;
        i++;
    }
    return 0;
}

/* A case is wanted when its name holds every filter. */
static int wanted(const options *o, const char *name) {
    for (int i = 0; i < o->n_filters; i++) {
        if (!strstr(name, o->filters[i]))
            return 0;
    }
    return 1;
}

int main(int argc, char **argv) {
    options o = {.isa = MS_ISA_AVX512, .dtype = MS_F16, .seconds = 0.5};
    if (parse(argc, argv, &o) != 0) {
        fprintf(stderr, "usage: bench_kernels [filter...] [--threads N] [--isa c|avx2|avx512] "
                        "[--dtype f32|f16|bf16] [--images N] [--seconds S]\n");
        return 2;
    }
    ms_compute_params params = {.device = "cpu", .threads = o.threads, .isa_limit = o.isa};
    ms_compute compute;
    ms_error err;
    if (ms_compute_open(&params, &compute, &err) != MS_OK) {
        fprintf(stderr, "bench_kernels: %s\n", err.message);
        return 1;
    }
    ms_device *dev = compute.dev;
    double total = 0, total_flops = 0;
    printf("%s, weights %s\n", dev->description, ms_dtype_name(o.dtype));
    printf("%-28s %10s %9s %9s %7s %9s %9s\n", "case", "ms", "GFLOP/s", "peak", "share", "GB/s", "work MB");
    for (int i = 0; i < ms_bench_case_count; i++) {
        ms_bench_case test = ms_bench_cases[i];
        const ms_bench_case *c = &test;
        ms_bench_result r;
        if (!wanted(&o, c->name))
            continue;
        if (o.images)
            test.images = o.images;
        /* The clock and the neighbours' load change by the second: the yardstick is measured beside each
         * case. */
        double peak = ms_cpu_peak_flops(dev, 0.05);
        if (ms_bench_run(&compute, c, o.dtype, o.seconds, &r, &err) != MS_OK) {
            fprintf(stderr, "bench_kernels: %s\n", err.message);
            ms_compute_close(&compute);
            return 1;
        }
        double again = ms_cpu_peak_flops(dev, 0.05);
        peak = again > peak ? again : peak;
        printf("%-28s %10.3f %9.1f %9.1f %6.1f%% %9.1f %9.1f\n", c->name, 1e3 * r.seconds,
               1e-9 * r.flops / r.seconds, 1e-9 * peak, 100 * r.flops / r.seconds / peak,
               1e-9 * r.bytes / r.seconds, 1e-6 * (double)r.workspace_bytes);
        fflush(stdout);
        total += c->per_step * r.seconds;
        total_flops += c->per_step * r.flops;
    }
    if (total > 0)
        printf("sum over one UNet step of the cases above: %.2f s, %.2f TFLOP\n", total, 1e-12 * total_flops);
    ms_compute_close(&compute);
    return 0;
}
