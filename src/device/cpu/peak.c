#include "device/cpu/peak.h"

#include "base/clock.h"
#include "device/backends.h"
#include "device/cpu/cpu.h"

typedef struct peak_run {
    const ms_cpu_ops *ops;
    int64_t fmas;
} peak_run;

static void peak_task(void *arg, int64_t task, int worker) {
    (void)task, (void)worker;
    const peak_run *r = arg;
    volatile float sink = r->ops->peak(r->fmas);
    (void)sink;
}

double ms_cpu_peak_flops(ms_device *dev, double seconds) {
    if (dev->backend != &ms_backend_cpu)
        return 0;
    const int threads = ms_pool_threads(ms_cpu_threads(dev));
    peak_run run = {ms_ops(dev), 12000};
    double best = 0, spent = 0;
    do {
        double start = ms_now_s();
        ms_pool_run(ms_cpu_threads(dev), threads, peak_task, &run);
        double took = ms_now_s() - start;
        double flops = 2.0 * 16 * (double)run.fmas * threads / took;
        best = flops > best ? flops : best;
        spent += took;
        if (took < seconds / 10)
            run.fmas *= 2;
    } while (spent < seconds);
    return best;
}
