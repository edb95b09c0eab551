/* /metrics, in Prometheus' text format. */
#include <inttypes.h>

#include "base/clock.h"
#include "http/http_inside.h"
#include "system/host.h"

static void head(ms_buf *b, const char *name, const char *type, const char *help) {
    ms_buf_printf(b, "# HELP memsafe_%s %s\n# TYPE memsafe_%s %s\n", name, help, name, type);
}

static void one(ms_buf *b, const char *name, const char *type, const char *help, double value) {
    head(b, name, type, help);
    ms_buf_printf(b, "memsafe_%s ", name);
    ms_buf_json_number(b, value);
    ms_buf_printf(b, "\n");
}

http_result answer_metrics(request *r) {
    http *h = r->h;
    jobs_counts c;
    ms_buf b;
    ms_buf_init(&b, NULL);
    jobs_lock(h->p.jobs);
    jobs_get_counts(h->p.jobs, &c);
    jobs_unlock(h->p.jobs);
    head(&b, "jobs", "gauge", "Jobs by state.");
    for (int i = 0; i < JOB_STATES; i++)
        ms_buf_printf(&b, "memsafe_jobs{state=\"%s\"} %d\n", job_state_text((job_state)i), c.by_state[i]);
    head(&b, "jobs_ended_total", "counter", "Jobs that ended since the server began.");
    for (int i = JOB_DONE; i < JOB_STATES; i++)
        ms_buf_printf(&b, "memsafe_jobs_ended_total{state=\"%s\"} %" PRIu64 "\n",
                      job_state_text((job_state)i), c.ended[i]);
    pthread_mutex_lock(&h->rate_lock);
    uint64_t requests = h->requests, refused = h->refused, uploaded = h->upload_bytes;
    pthread_mutex_unlock(&h->rate_lock);
    one(&b, "requests_total", "counter", "HTTP requests.", (double)requests);
    one(&b, "requests_refused_total", "counter", "Requests answered with a problem.", (double)refused);
    one(&b, "slow_readers_total", "counter",
        "Connections that others waited for, let go as they read too little.", (double)peers_slow_readers(h));
    one(&b, "upload_bytes_total", "counter", "Bytes of uploads.", (double)uploaded);
    one(&b, "run_seconds_total", "counter", "Seconds of runs that were done.", c.run_seconds);
    one(&b, "worker_deaths_total", "counter", "Run workers that died.", (double)c.worker_deaths);
    one(&b, "worker_start_failures_total", "counter", "Times that no run worker could be started.",
        (double)c.worker_start_failures);
    one(&b, "looks_total", "counter", "Uploads and plans looked at.", (double)c.looks);
    one(&b, "looks_failed_total", "counter", "Of those, refused.", (double)c.looks_failed);
    one(&b, "store_failures_total", "counter", "Times that the list of jobs could not be written.",
        (double)c.store_failures);
    one(&b, "webhooks_delivered_total", "counter", "Ends of jobs that an address was told of.",
        (double)c.webhooks_delivered);
    one(&b, "webhooks_failed_total", "counter", "Times that an address was not to be told.",
        (double)c.webhooks_failed);
    one(&b, "worker_resident_bytes", "gauge", "Memory of the run worker.", (double)c.worker_bytes);
    one(&b, "server_resident_bytes", "gauge", "Memory of the server itself.",
        (double)ms_host_resident_bytes());
    one(&b, "budget_bytes", "gauge", "What a run may come to hold of its device's memory.",
        (double)jobs_get_params(h->p.jobs)->place.budget_bytes);
    one(&b, "uptime_seconds", "gauge", "Since the server began.", ms_now_s() - h->began_s);
    http_result result =
        b.failed ? MHD_NO
                 : answer_text(r, "text/plain; version=0.0.4; charset=utf-8", b.data, b.length, NULL);
    ms_buf_free(&b);
    return result;
}
