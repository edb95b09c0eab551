#include "submit/slurm.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "submit/call.h"

#define MOST_WORDS (24 + CLI_LIST_MAX)
#define SUBMIT_S 120 /* sbatch tries for a while to reach a controller that is busy */
#define LOOK_S 30

/* The last line of what a program complained of, without "sbatch: error: ". */
static const char *last_line(ms_buf *errors, const char *program) {
    char *text = errors->data, prefix[64];
    static const char *const kinds[] = {"error: ", "fatal: ", ""};
    while (errors->length > 0 && text[errors->length - 1] == '\n')
        text[--errors->length] = 0;
    char *end = errors->length ? strrchr(text, '\n') : NULL;
    const char *line = errors->length == 0 ? "it said nothing" : end ? end + 1 : text;
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        int n = snprintf(prefix, sizeof(prefix), "%s: %s", program, kinds[i]);
        if (strncmp(line, prefix, (size_t)n) == 0)
            return line + n;
    }
    return line;
}

static ms_status fail_missing(const char *program, ms_error *err) {
    return ms_fail(err, MS_IO,
                   "%s is not here: this machine must have Slurm's programs for users (Debian's package "
                   "slurm-client) and its cluster's configuration",
                   program);
}

static bool is_in_path(const char *program) {
    const char *path = getenv("PATH");
    char file[4200];
    for (const char *at = path ? path : "/bin:/usr/bin"; *at;) {
        size_t n = strcspn(at, ":");
        snprintf(file, sizeof(file), "%.*s/%s", n < 4096 ? (int)n : 0, n ? at : ".", program);
        if (access(file, X_OK) == 0)
            return true;
        at += n + (at[n] == ':');
    }
    return false;
}

/* Before anything is submitted that could not be followed or cancelled. */
ms_status cli_slurm_check(ms_error *err) {
    static const char *const programs[] = {"sbatch", "squeue", "scancel"};
    for (size_t i = 0; i < sizeof(programs) / sizeof(programs[0]); i++)
        if (!is_in_path(programs[i]))
            return fail_missing(programs[i], err);
    return MS_OK;
}

/* ---- sbatch ---- */

typedef struct sbatch_words {
    const char *word[MOST_WORDS + 1];
    char text[16][4200]; /* those that are made here */
    int count, made;
    bool cut; /* one is too long */
} sbatch_words;

static void put(sbatch_words *w, const char *word) {
    if (w->count < MOST_WORDS)
        w->word[w->count++] = word;
}

static void put_value(sbatch_words *w, const char *option, const char *value) {
    if (!value)
        return;
    char *text = w->text[w->made++];
    int n = snprintf(text, sizeof(w->text[0]), "--%s=%s", option, value);
    w->cut = w->cut || n < 0 || n >= (int)sizeof(w->text[0]);
    put(w, text);
}

static void put_number(sbatch_words *w, const char *option, const char *before, int value) {
    char text[32];
    snprintf(text, sizeof(text), "%s%d", before, value);
    put_value(w, option, value ? text : NULL);
}

/* In the folder's name a % is itself, in the log's it is Slurm's. A backslash anywhere would end that. */
static void put_log(sbatch_words *w, const char *folder, const char *log) {
    char text[4200];
    size_t at = 0;
    w->cut = w->cut || strchr(folder, '\\');
    for (; *folder && at + 3 < sizeof(text); folder++) {
        text[at++] = *folder;
        if (*folder == '%')
            text[at++] = '%';
    }
    int n = snprintf(text + at, sizeof(text) - at, "/%s", log);
    w->cut = w->cut || *folder || n < 0 || (size_t)n >= sizeof(text) - at;
    put_value(w, "output", text);
}

/* What was passed on stands last: sbatch lets the later count. */
static void make_words(const cli_slurm_order *o, sbatch_words *w) {
    const cli_submit_asked *a = o->asked;
    put(w, "sbatch");
    put(w, "--parsable");
    put(w, "--requeue");
    put(w, "--open-mode=append"); /* what is begun again goes on in the same log */
    put_value(w, "job-name", o->name);
    put_log(w, o->folder, o->log);
    put_value(w, "dependency", o->after);
    if (o->after)
        put(w, "--kill-on-invalid-dep=yes");
    put_number(w, "array", "1-", o->array);
    put_value(w, "partition", a->partition);
    put_value(w, "gres", a->gres);
    put_value(w, "time", a->time_limit);
    put_number(w, "cpus-per-task", "", a->cpus);
    for (int i = 0; i < a->passed_on.count; i++)
        put(w, a->passed_on.items[i]);
    put_value(w, "clusters", o->cluster[0] ? o->cluster : NULL);
}

bool cli_slurm_is_cluster(const char *name) {
    const size_t n = strlen(name);
    return n < CLI_SLURM_CLUSTER_BYTES &&
           n == strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-");
}

/* "12" or "12;cluster": both, or neither, for a number without its cluster is another job. */
static bool take_id(const char *output, char ret_id[CLI_SLURM_ID_BYTES],
                    char ret_cluster[CLI_SLURM_CLUSTER_BYTES]) {
    const size_t digits = output ? strspn(output, "0123456789") : 0;
    if (digits == 0 || digits >= CLI_SLURM_ID_BYTES || !strchr(";\n", output[digits]))
        return false;
    const char *name = output[digits] == ';' ? output + digits + 1 : "";
    const size_t length = strcspn(name, "\n");
    char cluster[CLI_SLURM_CLUSTER_BYTES] = "";
    if (length >= sizeof(cluster))
        return false;
    memcpy(cluster, name, length);
    if (!cli_slurm_is_cluster(cluster))
        return false;
    memcpy(ret_id, output, digits);
    ret_id[digits] = 0;
    memcpy(ret_cluster, cluster, sizeof(cluster));
    return true;
}

ms_status cli_slurm_submit(const cli_slurm_order *o, char ret_id[CLI_SLURM_ID_BYTES],
                           char ret_cluster[CLI_SLURM_CLUSTER_BYTES], ms_error *err) {
    sbatch_words *w = calloc(1, sizeof(*w));
    cli_called got;
    if (!w)
        return ms_fail(err, MS_HOST_MEMORY, "out of memory for sbatch");
    make_words(o, w);
    if (w->cut)
        return free(w), ms_fail(err, MS_INVALID_ARGUMENT,
                                "sbatch cannot have this: a value is too long, or the output's path has a "
                                "backslash");
    const cli_call call = {.words = w->word,
                           .input = o->script,
                           .limit_s = SUBMIT_S,
                           .told_interrupt = "cancelling as soon as sbatch answers"};
    ms_status status = cli_call_program(&call, &got, err);
    if (got.missing)
        status = fail_missing("sbatch", err);
    else if (status == MS_OK && got.code == -1)
        status = ms_fail(err, MS_IO, "sbatch did not end within %d s", SUBMIT_S);
    else if (status == MS_OK && got.code != 0)
        status = ms_fail(err, MS_IO, "Slurm does not take %s: %s", o->name, last_line(&got.errors, "sbatch"));
    else if (status == MS_OK && !take_id(got.output.data, ret_id, ret_cluster))
        status = ms_fail(err, MS_IO, "sbatch gave no job's number for %s, but \"%.*s\"", o->name,
                         got.output.length ? (int)strcspn(got.output.data, "\n") : 0,
                         got.output.length ? got.output.data : "");
    cli_called_free(&got);
    free(w);
    return status;
}

/* ---- what concerns several jobs ---- */

void cli_slurm_ids(const cli_slurm_jobs *jobs, char between, char ret_text[CLI_SLURM_IDS_BYTES]) {
    char before[2] = "";
    size_t at = 0;
    ret_text[0] = 0;
    for (int i = 0; i < jobs->n; i++)
        if (jobs->id[i][0] && at < CLI_SLURM_IDS_BYTES) {
            at += (size_t)snprintf(ret_text + at, CLI_SLURM_IDS_BYTES - at, "%s%s", before, jobs->id[i]);
            before[0] = between;
        }
}

void cli_slurm_of(const char *cluster, char ret_text[CLI_SLURM_OF_BYTES]) {
    snprintf(ret_text, CLI_SLURM_OF_BYTES, "%s%s", cluster[0] ? " -M " : "", cluster);
}

/* Without it a number means another job, maybe of the same user. Returns how many words there are then. */
static int put_cluster(const char **word, int n, const char *cluster) {
    if (cluster[0]) {
        word[n++] = "-M";
        word[n++] = cluster;
    }
    return n;
}

ms_status cli_slurm_cancel(const cli_slurm_jobs *jobs, ms_error *err) {
    const char *word[CLI_SLURM_JOBS + 4] = {"scancel"};
    const int first = put_cluster(word, 1, jobs->cluster);
    int n = first;
    for (int i = 0; i < jobs->n; i++)
        if (jobs->id[i][0])
            word[n++] = jobs->id[i];
    if (n == first)
        return MS_OK;
    cli_called got;
    ms_status status = cli_call_program(&(cli_call){.words = word, .limit_s = LOOK_S}, &got, err);
    if (got.missing)
        status = fail_missing("scancel", err);
    else if (status == MS_OK && got.code == -1)
        status = ms_fail(err, MS_IO, "scancel was killed, or did not end within %d s", LOOK_S);
    else if (status == MS_OK && got.code != 0 && got.errors.length > 0 &&
             !strstr(got.errors.data, "already completing or completed") &&
             !strstr(got.errors.data, "Invalid job id"))
        status = ms_fail(err, MS_IO, "scancel: %s", last_line(&got.errors, "scancel"));
    cli_called_free(&got);
    return status;
}

static cli_slurm_state state_of(const char *word) {
    static const struct {
        const char *word;
        cli_slurm_state state;
    } words[] = {
        {"PENDING", CLI_SLURM_WAITS},      {"REQUEUED", CLI_SLURM_WAITS},
        {"REQUEUE_HOLD", CLI_SLURM_WAITS}, {"REQUEUE_FED", CLI_SLURM_WAITS},
        {"SPECIAL_EXIT", CLI_SLURM_WAITS}, {"CONFIGURING", CLI_SLURM_WAITS},
        {"RUNNING", CLI_SLURM_RUNS},       {"COMPLETING", CLI_SLURM_RUNS},
        {"SUSPENDED", CLI_SLURM_RUNS},     {"STOPPED", CLI_SLURM_RUNS},
        {"SIGNALING", CLI_SLURM_RUNS},     {"STAGE_OUT", CLI_SLURM_RUNS},
        {"RESIZING", CLI_SLURM_RUNS},      {"COMPLETED", CLI_SLURM_ENDED},
    };
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
        if (strcmp(words[i].word, word) == 0)
            return words[i].state;
    return CLI_SLURM_FAILED; /* CANCELLED, FAILED, TIMEOUT, NODE_FAIL, OUT_OF_MEMORY, ... */
}

/* The piece before the next '|', which is taken away; "" behind the last. */
static const char *next_piece(char **at) {
    char *piece = *at, *bar = strchr(piece, '|');
    *at = bar ? bar + 1 : piece + strlen(piece);
    if (bar)
        *bar = 0;
    return piece;
}

/* squeue: "12|3|RUNNING|None|memsafe-parts", where what is no array has no number but a word.
   sacct: "12_3|RUNNING". */
static bool take_told(char *line, bool accounting, cli_slurm_told *ret) {
    char *at = line;
    const char *id = next_piece(&at), *under = accounting ? strchr(id, '_') : NULL;
    const char *place = accounting ? under ? under + 1 : "" : next_piece(&at), *word = next_piece(&at);
    size_t digits = strspn(id, "0123456789");
    if (digits == 0 || digits >= sizeof(ret->id) || (accounting && place[0] == '['))
        return false;
    *ret = (cli_slurm_told){.place = (int)strtol(place, NULL, 10)};
    memcpy(ret->id, id, digits);
    snprintf(ret->word, sizeof(ret->word), "%.*s", (int)strcspn(word, " "), word); /* "CANCELLED by 0" */
    snprintf(ret->reason, sizeof(ret->reason), "%s", next_piece(&at));
    snprintf(ret->name, sizeof(ret->name), "%s", next_piece(&at));
    ret->state = state_of(ret->word);
    return true;
}

static void take_lines(ms_buf *output, bool accounting, cli_slurm_hear hear, void *arg) {
    cli_slurm_told told;
    char *save = NULL;
    for (char *line = output->length ? strtok_r(output->data, "\n", &save) : NULL; line;
         line = strtok_r(NULL, "\n", &save))
        if (take_told(line, accounting, &told))
            hear(arg, &told);
}

ms_status cli_slurm_look(const cli_slurm_jobs *jobs, cli_slurm_hear hear, void *arg, ms_error *err) {
    char list[CLI_SLURM_IDS_BYTES];
    cli_called got;
    cli_slurm_ids(jobs, ',', list);
    const char *word[13] = {"squeue", "-h", "-r", "-t", "all", "-j", list, "-o", "%F|%K|%T|%r|%j"};
    put_cluster(word, 9, jobs->cluster);
    ms_status status = cli_call_program(&(cli_call){.words = word, .limit_s = LOOK_S}, &got, err);
    if (got.missing)
        status = fail_missing("squeue", err);
    else if (status == MS_OK && got.code != 0 &&
             !(got.errors.length && strstr(got.errors.data, "Invalid job id"))) /* it has forgotten them */
        status =
            ms_fail(err, MS_IO, "squeue: %s", got.code < 0 ? "no answer" : last_line(&got.errors, "squeue"));
    if (status == MS_OK)
        take_lines(&got.output, false, hear, arg);
    cli_called_free(&got);
    return status;
}

ms_status cli_slurm_let_go(const char *cluster, const char *id, ms_error *err) {
    const char *word[6] = {"scancel", "--state=PENDING", id};
    put_cluster(word, 3, cluster);
    cli_called got;
    ms_status status = cli_call_program(&(cli_call){.words = word, .limit_s = LOOK_S}, &got, err);
    cli_called_free(&got);
    return status;
}

bool cli_slurm_look_back(const cli_slurm_jobs *jobs, cli_slurm_hear hear, void *arg) {
    char list[CLI_SLURM_IDS_BYTES];
    cli_called got;
    cli_slurm_ids(jobs, ',', list);
    const char *word[12] = {"sacct", "-n", "-X", "-P", "-j", list, "-o", "JobID,State"};
    put_cluster(word, 8, jobs->cluster);
    bool answered =
        cli_call_program(&(cli_call){.words = word, .limit_s = LOOK_S}, &got, NULL) == MS_OK && got.code == 0;
    if (answered)
        take_lines(&got.output, true, hear, arg);
    cli_called_free(&got);
    return answered;
}
