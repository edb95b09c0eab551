#include "jobs/webhook.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include <curl/curl.h>

#include "jobs/jobs_inside.h"
#include "jobs/sha256.h"
#include "memsafe/library.h"

#define CONNECT_MS 5000L
#define ANSWER_MS 15000L
#define MOST_ANSWER_BYTES ((size_t)64 << 10)
#define GONE 410 /* whoever is told wants no more of it */

/* Seconds from one try to the next; after the last it is given up. */
static const int pauses_s[] = {5, 30, 120, 600, 3600, 6 * 3600};
#define MOST_TRIES ((int64_t)(sizeof(pauses_s) / sizeof(pauses_s[0])) + 1)

/* "/hooks/../other" would leave what is allowed, however the dots are written. */
static bool climbs(const char *address) {
    return strchr(address, '\\') || strstr(address, "/.") || strstr(address, "%2e") || strstr(address, "%2E");
}

bool webhook_is_allowed(const jobs_params *p, const char *address) {
    if (climbs(address))
        return false;
    for (int i = 0; i < p->n_webhook_to; i++)
        if (strncmp(address, p->webhook_to[i], strlen(p->webhook_to[i])) == 0)
            return true;
    return false;
}

void webhook_id(const job *j, char ret[WEBHOOK_ID_BYTES]) {
    snprintf(ret, WEBHOOK_ID_BYTES, "%s_%" PRId64, j->id, j->ends);
}

/* ---- one POST ---- */

typedef struct letter {
    char job[JOB_ID_BYTES], address[JOB_WEBHOOK_BYTES];
    char id[WEBHOOK_ID_BYTES], signature[SHA256_BASE64_BYTES + 4], stamp[24]; /* headers */
    int64_t ends; /* which of the job's it tells of */
    ms_buf body;
} letter;

static void sign(const char *key, letter *l) {
    uint8_t hash[SHA256_BYTES];
    char text[SHA256_BASE64_BYTES], head[160];
    snprintf(head, sizeof(head), "%s.%s.", l->id, l->stamp);
    sha256_hmac(key, strlen(key), head, l->body.data, hash);
    sha256_base64(hash, text);
    snprintf(l->signature, sizeof(l->signature), "v1,%s", text);
}

/* The answer is read and dropped; one that does not end is broken off. */
static size_t drop_answer(char *data, size_t size, size_t n, void *arg) {
    size_t *taken = arg;
    (void)data;
    *taken += size * n;
    return *taken <= MOST_ANSWER_BYTES ? size * n : 0;
}

static int is_ending(void *arg, curl_off_t a, curl_off_t b, curl_off_t c, curl_off_t d) {
    (void)a, (void)b, (void)c, (void)d;
    return jobs_ending(arg);
}

/* False: no memory. */
static bool add_header(struct curl_slist **headers, const char *name, const char *value) {
    char line[256];
    snprintf(line, sizeof(line), "%s: %s", name, value);
    struct curl_slist *longer = curl_slist_append(*headers, line);
    if (longer)
        *headers = longer;
    return longer != NULL;
}

static void set_options(CURL *c, jobs *js, const letter *l, struct curl_slist *headers, size_t *taken) {
    char agent[64];
    snprintf(agent, sizeof(agent), "memsafe/%s", ms_version());
#if LIBCURL_VERSION_NUM >= 0x075500
    curl_easy_setopt(c, CURLOPT_PROTOCOLS_STR, "http,https");
#else
    curl_easy_setopt(c, CURLOPT_PROTOCOLS, (long)(CURLPROTO_HTTP | CURLPROTO_HTTPS));
#endif
    curl_easy_setopt(c, CURLOPT_URL, l->address);
    curl_easy_setopt(c, CURLOPT_PATH_AS_IS, 1L);
    curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(c, CURLOPT_FOLLOWLOCATION, 0L); /* it could lead to whom nobody allowed */
    curl_easy_setopt(c, CURLOPT_CONNECTTIMEOUT_MS, CONNECT_MS);
    curl_easy_setopt(c, CURLOPT_TIMEOUT_MS, ANSWER_MS);
    curl_easy_setopt(c, CURLOPT_USERAGENT, agent);
    curl_easy_setopt(c, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(c, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)l->body.length);
    curl_easy_setopt(c, CURLOPT_POSTFIELDS, l->body.data);
    curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, drop_answer);
    curl_easy_setopt(c, CURLOPT_WRITEDATA, taken);
    curl_easy_setopt(c, CURLOPT_NOPROGRESS, 0L);
    curl_easy_setopt(c, CURLOPT_XFERINFOFUNCTION, is_ending);
    curl_easy_setopt(c, CURLOPT_XFERINFODATA, js);
}

/* The answer's HTTP status; 0: there was none. */
static long post(jobs *js, const letter *l) {
    CURL *c = curl_easy_init();
    struct curl_slist *headers = NULL;
    size_t taken = 0;
    long status = 0;
    if (c && add_header(&headers, "Content-Type", "application/json") &&
        add_header(&headers, "webhook-id", l->id) && add_header(&headers, "webhook-timestamp", l->stamp) &&
        add_header(&headers, "webhook-signature", l->signature) && add_header(&headers, "Expect", "")) {
        set_options(c, js, l, headers, &taken);
        curl_easy_perform(c);
        curl_easy_getinfo(c, CURLINFO_RESPONSE_CODE, &status);
    }
    curl_slist_free_all(headers);
    curl_easy_cleanup(c);
    return status;
}

/* ---- whom to tell: lock held ---- */

static job *next_to_tell(jobs *js) {
    const int64_t now_ms = jobs_now_ms(js);
    job *first = NULL;
    for (size_t i = 0; i < js->count; i++) {
        job *j = js->list[i];
        if (j->hook.state == JOB_HOOK_PENDING && (!first || j->hook.next_ms < first->hook.next_ms))
            first = j;
    }
    return first && first->hook.next_ms <= now_ms ? first : NULL;
}

static void write_letter(jobs *js, const job *j, letter *l) {
    l->ends = j->ends;
    snprintf(l->job, sizeof(l->job), "%s", j->id);
    snprintf(l->address, sizeof(l->address), "%s", j->options.webhook);
    webhook_id(j, l->id);
    snprintf(l->stamp, sizeof(l->stamp), "%" PRId64, jobs_now_ms(js) / 1000);
    ms_buf_init(&l->body, NULL);
    ms_buf_printf(&l->body, "{\"type\":\"job.%s\",", job_state_text(j->state));
    job_write_time(&l->body, "timestamp", j->ended_ms);
    ms_buf_printf(&l->body, ",\"data\":");
    jobs_write(&l->body, js, j);
    ms_buf_printf(&l->body, "}");
    if (!l->body.failed)
        sign(js->p.webhook_key, l);
}

static void note_answer(jobs *js, job *j, long status) {
    job_hook *h = &j->hook;
    bool taken = status >= 200 && status < 300;
    h->tries++;
    js->counts.webhooks_delivered += taken;
    js->counts.webhooks_failed += !taken;
    if (taken)
        h->state = JOB_HOOK_DELIVERED;
    else if (h->tries >= MOST_TRIES || status == GONE)
        h->state = JOB_HOOK_GIVEN_UP;
    else
        h->next_ms = jobs_now_ms(js) + pauses_s[h->tries - 1] * INT64_C(1000);
    jobs_save(js, j);
}

/* The lock is given back while the address is asked: the job may have gone, or have been tried again. */
static void tell(jobs *js, job *j) {
    letter l;
    write_letter(js, j, &l);
    jobs_unlock(js);
    long status = l.body.failed ? 0 : post(js, &l);
    jobs_lock(js);
    j = jobs_find(js, l.job);
    if (j && j->hook.state == JOB_HOOK_PENDING && j->ends == l.ends && (status || !js->ending))
        note_answer(js, j, status);
    ms_buf_free(&l.body);
}

void *jobs_webhook_loop(void *arg) {
    jobs *js = arg;
    curl_global_init(CURL_GLOBAL_DEFAULT);
    jobs_lock(js);
    while (!js->ending) {
        job *j = next_to_tell(js);
        if (!j) {
            jobs_wait_a_second(js);
        } else if (webhook_is_allowed(&js->p, j->options.webhook)) {
            tell(js, j);
        } else { /* it was, of an earlier server */
            j->hook.state = JOB_HOOK_GIVEN_UP;
            jobs_save(js, j);
        }
    }
    jobs_unlock(js);
    curl_global_cleanup();
    return NULL;
}
