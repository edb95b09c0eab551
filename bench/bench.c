#include "bench.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#include "base/error.h"
#include "console/console.h"
#include "device/cpu/peak.h"
#include "planner/run_policy.h"

double bench_now_s(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

size_t bench_peak_rss_bytes(void) {
    struct rusage u;
    return getrusage(RUSAGE_SELF, &u) == 0 ? (size_t)u.ru_maxrss * 1024 : 0;
}

ms_dtype bench_precision(const bench_state *state) {
    static const ms_dtype types[] = {MS_F32, MS_F16, MS_BF16};
    return types[state->precision];
}

ms_status bench_open_compute(const bench_state *state, ms_compute *ret_compute, ms_error *err) {
    const ms_compute_params params = {.device = state->device,
                                      .threads = state->threads,
                                      .isa_limit = (ms_isa)state->isa,
                                      .must_compute = true};
    MS_TRY(ms_compute_open(&params, ret_compute, err));
    /* As a run keeps them, and gives work. */
    ret_compute->activation = ms_run_activation(ret_compute->dev, bench_precision(state));
    ret_compute->replay = !state->no_graphs;
    return MS_OK;
}

double bench_peak_flops(const ms_compute *compute, double seconds) {
    return ms_cpu_peak_flops(compute->dev, seconds);
}

static void end_current(bench_profile *p) {
    double now = bench_now_s();
    if (p->current >= 0)
        p->seconds[p->current] += now - p->since;
    p->current = -1;
    p->since = now;
}

static ms_status before(void *arg, const ms_graph *graph, int node) {
    bench_profile *p = arg;
    end_current(p);
    if (graph == p->graph)
        p->current = node;
    return MS_OK;
}

ms_status bench_profile_start(bench_profile *p, const ms_graph *graph, ms_exec_params *ret_exec,
                              ms_error *err) {
    size_t nodes = (size_t)ms_graph_node_count(graph);
    *p = (bench_profile){.graph = graph, .current = -1};
    p->seconds = ms_mem_calloc(NULL, MS_LEDGER_GENERAL, nodes, sizeof(double));
    if (!p->seconds)
        return ms_fail_alloc(err, NULL, nodes * sizeof(double), "the profile");
    *ret_exec = (ms_exec_params){.before = before, .arg = p};
    return MS_OK;
}

/* Nodes of the same kind and shape are one line. */
typedef struct line {
    const char *op;
    ms_shape in, out;
    double seconds, flops;
    int count;
} line;

static int by_time(const void *a, const void *b) {
    double x = ((const line *)a)->seconds, y = ((const line *)b)->seconds;
    return x < y ? 1 : x > y ? -1 : 0;
}

static bool same_shape(ms_shape a, ms_shape b) {
    return a.n == b.n && a.h == b.h && a.w == b.w && a.c == b.c;
}

static int collect(const bench_profile *p, line *lines) {
    int count = 0;
    for (int n = 0; n < ms_graph_node_count(p->graph); n++) {
        const ms_node *node = ms_graph_node(p->graph, n);
        ms_shape in = ms_graph_shape(p->graph, node->input[0]), out = ms_graph_shape(p->graph, node->output);
        if (node->n_inputs > 1)
            in.c += strcmp(node->op->name, "linear") == 0 || strcmp(node->op->name, "conv") == 0
                        ? ms_graph_shape(p->graph, node->input[1]).c
                        : 0;
        int i = 0;
        while (i < count && !(lines[i].op == node->op->name && same_shape(lines[i].in, in) &&
                              same_shape(lines[i].out, out)))
            i++;
        if (i == count)
            lines[count++] = (line){.op = node->op->name, .in = in, .out = out};
        lines[i].seconds += p->seconds[n];
        lines[i].flops += node->op->flops ? node->op->flops(p->graph, node) : 0;
        lines[i].count++;
    }
    return count;
}

void bench_profile_stop(bench_profile *p) {
    end_current(p);
}

void bench_profile_finish(bench_profile *p, double peak_flops) {
    line *lines = calloc((size_t)ms_graph_node_count(p->graph), sizeof(*lines));
    if (lines) {
        int count = collect(p, lines);
        double total = 0;
        for (int i = 0; i < count; i++)
            total += lines[i].seconds;
        qsort(lines, (size_t)count, sizeof(*lines), by_time);
        cli_print("%-20s %-26s %-22s %5s %9s %6s %9s %6s\n", "operation", "in", "out", "calls", "seconds",
                  "share", "GFLOP/s", "peak");
        for (int i = 0; i < count && lines[i].seconds > 0.002 * total; i++) {
            char in[64], out[64];
            snprintf(in, sizeof(in), "%lldx%lldx%lldx%lld", (long long)lines[i].in.n,
                     (long long)lines[i].in.h, (long long)lines[i].in.w, (long long)lines[i].in.c);
            snprintf(out, sizeof(out), "%lldx%lldx%lldx%lld", (long long)lines[i].out.n,
                     (long long)lines[i].out.h, (long long)lines[i].out.w, (long long)lines[i].out.c);
            double rate = lines[i].seconds > 0 ? lines[i].flops / lines[i].seconds : 0;
            cli_print("%-20s %-26s %-22s %5d %9.3f %5.1f%% %9.1f %5.0f%%\n", lines[i].op, in, out,
                      lines[i].count, lines[i].seconds, 100 * lines[i].seconds / total, rate * 1e-9,
                      100 * rate / peak_flops);
        }
        free(lines);
    }
    ms_mem_free(p->seconds);
    p->seconds = NULL;
}
