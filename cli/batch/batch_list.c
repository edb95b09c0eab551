#include "batch/batch_list.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#include "base/error.h"
#include "commands/commands.h"
#include "files/new_file.h"
#include "files/same_file.h"
#include "text/json.h"

#define LINE_BYTES (64 << 10)
#define MOST_JOBS 20000

/* What is one for the whole batch: the model and where it computes, and what the command says. */
static const char *const of_all[] = {
    "model",   "demo",   "config",      "unet",      "vae",     "whisper",      "faces", "device",
    "threads", "budget", "host-budget", "precision", "profile", "profile-file", "set",   "part",
    "force",   "resume", "progress",    "quiet",     "verbose", "preview",      NULL};

static ms_status no_memory(ms_error *err) {
    return ms_fail(err, MS_HOST_MEMORY, "out of memory for the list of jobs");
}

/* ---- words ---- */

static ms_status add_word(cli_batch_job *j, ms_error *err, const char *fmt, ...) MS_PRINTF(3, 4);

static ms_status add_word(cli_batch_job *j, ms_error *err, const char *fmt, ...) {
    char **words = realloc(j->words, (size_t)(j->n_words + 1) * sizeof(char *));
    if (!words)
        return no_memory(err);
    j->words = words;
    va_list ap;
    va_start(ap, fmt);
    int n = vasprintf(&words[j->n_words], fmt, ap);
    va_end(ap);
    if (n < 0)
        return no_memory(err);
    j->n_words++;
    return MS_OK;
}

/* ---- a job ---- */

/* FOLDER/NAME.EXTENSION, of a file's name; kept among the job's words. */
static ms_status name_in(const char *folder, const char *file, const char *extension, cli_batch_job *j,
                         const char **ret_path, ms_error *err) {
    const char *name = ms_name_in(file), *dot = strrchr(name, '.');
    int stem = dot && dot != name ? (int)(dot - name) : (int)strlen(name);
    MS_TRY(add_word(j, err, "%s/%.*s%s", folder, stem, name, extension));
    *ret_path = j->words[j->n_words - 1];
    return MS_OK;
}

static const char *extension_of(const cli_run_state *s) {
    static const char *const of_format[] = {"", ".mp4", ".mov", ".mkv", ".avi"}; /* as --format lists them */
    return s->format ? of_format[s->format] : s->codec == MS_OUTPUT_FFV1 ? ".mkv" : ".mp4";
}

/* Output and report follow from the video's name where the line names none. */
static ms_status complete(const cli_run_state *common, cli_batch_job *j, ms_error *err) {
    cli_run_state *s = &j->state;
    const char *video = s->inputs.count ? s->inputs.items[0] : NULL;
    if (video && !s->p.output && common->p.output)
        MS_TRY(name_in(common->p.output, video, extension_of(s), j, &s->p.output, err));
    const char *named = s->p.output ? s->p.output : video;
    if (named && !s->report && common->report)
        MS_TRY(name_in(common->report, named, ".json", j, &s->report, err));
    return MS_OK;
}

static ms_status parse(cli_batch_job *j, const cli_run_state *common, ms_error *err) {
    char *copy[512]; /* parsing moves words about */
    int n_arguments;
    if (j->n_words > (int)(sizeof(copy) / sizeof(copy[0])))
        return ms_fail(err, MS_INVALID_ARGUMENT, "%d words are too many", j->n_words);
    if (j->n_words)
        memcpy(copy, j->words, (size_t)j->n_words * sizeof(char *));
    j->state = *common;
    j->state.p.output = j->state.report = NULL;
    return cli_parse(&cli_run_command, j->n_words, copy, &j->state, &n_arguments, err);
}

static ms_status finish(cli_batch_job *j, const cli_run_state *common, ms_error *err) {
    MS_TRY(parse(j, common, err));
    MS_TRY(complete(common, j, err));
    MS_TRY(cli_run_options_apply(&j->state, NULL, 0, err));
    return cli_run_options_named(&j->state, err);
}

static ms_status add_job(cli_batch_list *l, int line, cli_batch_job **ret_job, ms_error *err) {
    *ret_job = NULL;
    if (l->count == MOST_JOBS)
        return ms_fail(err, MS_INVALID_ARGUMENT, "%s: more than %d jobs", l->path, MOST_JOBS);
    if ((l->count & (l->count - 1)) == 0) {
        size_t room = l->count ? 2 * (size_t)l->count : 1;
        cli_batch_job *longer = realloc(l->job, room * sizeof(*longer));
        if (!longer)
            return no_memory(err);
        l->job = longer;
    }
    *ret_job = &l->job[l->count++];
    **ret_job = (cli_batch_job){.line = line};
    return MS_OK;
}

/* ---- lines ---- */

static bool is_of_all(const char *name) {
    for (int i = 0; of_all[i]; i++)
        if (strcmp(of_all[i], name) == 0)
            return true;
    return false;
}

/* A member becomes a word or two; "max_gap" is --max-gap. */
static ms_status take_member(cli_batch_job *j, const ms_json *m, ms_error *err) {
    char name[64];
    snprintf(name, sizeof(name), "%.63s", m->key);
    for (char *c = name; *c; c++)
        *c = *c == '_' ? '-' : *c;
    const cli_option *o = cli_find_option(&cli_run_command, name, strlen(name));
    if (strcmp(name, "output") == 0)
        snprintf(name, sizeof(name), "out");
    else if (!o)
        return ms_fail(err, MS_INVALID_ARGUMENT, "there is no option \"%.60s\"", m->key);
    if (is_of_all(name))
        return ms_fail(err, MS_INVALID_ARGUMENT,
                       "\"%s\" is for the whole batch: it is said on the command line", m->key);
    if (m->type == MS_JSON_BOOL && o && o->type == CLI_FLAG)
        return m->boolean ? add_word(j, err, "--%s", name) : MS_OK;
    if (m->type == MS_JSON_STRING)
        return add_word(j, err, "--%s=%s", name, m->string);
    if (m->type == MS_JSON_NUMBER && m->is_integer)
        return add_word(j, err, "--%s=%" PRId64, name, m->integer);
    if (m->type == MS_JSON_NUMBER)
        return add_word(j, err, "--%s=%.17g", name, m->number);
    return ms_fail(err, MS_INVALID_ARGUMENT, "\"%s\" must be a text, a number, or true where it is a flag",
                   m->key);
}

static ms_status take_line(cli_batch_list *l, const cli_run_state *common, const char *text, size_t bytes,
                           int line, ms_error *err) {
    ms_json_doc *doc = NULL;
    cli_batch_job *j = NULL;
    MS_TRY(ms_json_parse(NULL, text, bytes, &doc, err));
    const ms_json *root = ms_json_root(doc);
    ms_status status = root->type == MS_JSON_OBJECT ? add_job(l, line, &j, err)
                                                    : ms_fail(err, MS_INVALID_ARGUMENT,
                                                              "a job is an object, like {\"video\": ..., "
                                                              "\"audio\": ..., \"out\": ...}");
    for (const ms_json *m = status == MS_OK ? root->child : NULL; m && status == MS_OK; m = m->next)
        status = take_member(j, m, err);
    ms_json_doc_destroy(&doc);
    return status == MS_OK && j ? finish(j, common, err) : status;
}

/* Editors of other systems begin a file with a mark of its encoding. */
static char *after_mark(char *text, int line) {
    return line == 1 && strncmp(text, "\xef\xbb\xbf", 3) == 0 ? text + 3 : text;
}

static ms_status read_lines(cli_batch_list *l, const cli_run_state *common, ms_error *err) {
    static char text[LINE_BYTES];
    FILE *f = strcmp(l->path, "-") == 0 ? stdin : fopen(l->path, "re");
    ms_status status = MS_OK;
    if (!f)
        return ms_fail(err, MS_IO, "cannot read %s: %s", l->path, strerror(errno));
    for (int line = 1; status == MS_OK && fgets(text, sizeof(text), f); line++) {
        size_t bytes = strlen(text);
        char *begin = after_mark(text, line);
        if (bytes == sizeof(text) - 1 && text[bytes - 1] != '\n')
            status = ms_fail(err, MS_INVALID_ARGUMENT, "the line has more than %d bytes", LINE_BYTES - 2);
        else if (begin[strspn(begin, " \t\r\n")])
            status = take_line(l, common, begin, strlen(begin), line, err);
        if (status != MS_OK)
            ms_fail_prefix(err, err->code, "%s:%d", l->path, line);
    }
    if (status == MS_OK && ferror(f))
        status = ms_fail(err, MS_IO, "cannot read %s: %s", l->path, strerror(errno));
    if (f != stdin)
        fclose(f);
    return status;
}

/* ---- folders ---- */

static bool has_extension(const char *name, const char *const *extensions) {
    const char *dot = strrchr(name, '.');
    for (int i = 0; dot && dot != name && extensions[i]; i++)
        if (strcasecmp(dot + 1, extensions[i]) == 0)
            return true;
    return false;
}

static int is_video(const struct dirent *e) {
    static const char *const videos[] = {"mp4", "mov", "mkv", "webm", "avi", "m4v", NULL};
    return has_extension(e->d_name, videos);
}

/* The speech beside a video: the sound file of the same name. *ret_path "": there is none. */
static void find_speech(const char *folder, const char *video, char ret_path[PATH_MAX]) {
    static const char *const sounds[] = {"wav", "flac", "mp3", "m4a", "aac", "ogg", "opus", NULL};
    int stem = (int)(strrchr(video, '.') - video);
    struct stat st;
    for (int i = 0; sounds[i]; i++) {
        int n = snprintf(ret_path, PATH_MAX, "%s/%.*s.%s", folder, stem, video, sounds[i]);
        if (n > 0 && n < PATH_MAX && stat(ret_path, &st) == 0 && S_ISREG(st.st_mode))
            return;
    }
    ret_path[0] = 0;
}

static ms_status take_video(cli_batch_list *l, const cli_run_state *common, const char *name, int place,
                            ms_error *err) {
    char speech[PATH_MAX];
    cli_batch_job *j;
    MS_TRY(add_job(l, place, &j, err));
    MS_TRY(add_word(j, err, "--video=%s/%s", l->path, name));
    if (!common->p.audio) {
        find_speech(l->path, name, speech);
        if (!speech[0])
            return ms_fail(
                err, MS_INVALID_ARGUMENT,
                "%s/%s has no speech: no sound file of the same name is beside it, and --audio names "
                "none for all",
                l->path, name);
        MS_TRY(add_word(j, err, "--audio=%s", speech));
    }
    return finish(j, common, err);
}

static ms_status read_folder(cli_batch_list *l, const cli_run_state *common, ms_error *err) {
    struct dirent **names = NULL;
    if (!common->p.output)
        return ms_fail(err, MS_INVALID_ARGUMENT, "of a folder the results need another: -o DIR");
    if (ms_same_file(l->path, common->p.output))
        return ms_fail(err, MS_INVALID_ARGUMENT,
                       "-o %s is the folder of the clips: its results would be clips of the next run; name "
                       "another",
                       common->p.output);
    int n = scandir(l->path, &names, is_video, alphasort);
    if (n < 0)
        return ms_fail(err, MS_IO, "cannot read the folder %s: %s", l->path, strerror(errno));
    ms_status status = n ? MS_OK : ms_fail(err, MS_INVALID_ARGUMENT, "%s has no videos", l->path);
    for (int i = 0; i < n; i++) {
        if (status == MS_OK)
            status = take_video(l, common, names[i]->d_name, i + 1, err);
        free(names[i]);
    }
    free(names);
    return status;
}

/* ---- the list ---- */

/* What a job writes; NULL = nothing. */
static const char *output_of(const cli_batch_job *j) {
    return j->state.p.output;
}

static const char *report_of(const cli_batch_job *j) {
    return j->state.report;
}

typedef struct written {
    char *file; /* one spelling for each */
    const char *name;
    int line;
} written;

static int compare(const void *a, const void *b) {
    const written *x = a, *y = b;
    int order = strcmp(x->file, y->file);
    return order ? order : x->line - y->line;
}

/* The folder as the system calls it, and the name in it; as it is where there is no such folder. */
static char *one_spelling(const char *name) {
    const char *slash = strrchr(name, '/'), *base = slash ? slash + 1 : name;
    char *asked = slash ? strndup(name, (size_t)(base - name)) : strdup("."), *folder = NULL, *file = NULL;
    if (asked)
        folder = realpath(asked, NULL);
    if (asked && (!folder ? (file = strdup(name)) == NULL : asprintf(&file, "%s/%s", folder, base) < 0))
        file = NULL;
    free(asked);
    free(folder);
    return file;
}

static ms_status check_names(const cli_batch_list *l, const char *what,
                             const char *(*name_of)(const cli_batch_job *), ms_error *err) {
    written *all = calloc((size_t)l->count + 1, sizeof(*all));
    int n = 0;
    ms_status status = MS_OK;
    if (!all)
        return no_memory(err);
    for (int i = 0; i < l->count; i++)
        if (name_of(&l->job[i])) {
            all[n] = (written){one_spelling(name_of(&l->job[i])), name_of(&l->job[i]), l->job[i].line};
            if (!all[n++].file)
                status = no_memory(err);
        }
    if (status == MS_OK)
        qsort(all, (size_t)n, sizeof(*all), compare);
    for (int i = 1; i < n && status == MS_OK; i++)
        if (strcmp(all[i - 1].file, all[i].file) == 0)
            status = ms_fail(err, MS_INVALID_ARGUMENT, "%s:%d and %s:%d have the same %s %s", l->path,
                             all[i - 1].line, l->path, all[i].line, what, all[i].name);
    for (int i = 0; i < n; i++)
        free(all[i].file);
    free(all);
    return status;
}

ms_status cli_batch_read(const char *path, const cli_run_state *common, cli_batch_list *l, ms_error *err) {
    struct stat st;
    *l = (cli_batch_list){.path = path};
    l->is_folder = strcmp(path, "-") != 0 && stat(path, &st) == 0 && S_ISDIR(st.st_mode);
    ms_status status = (l->is_folder ? read_folder : read_lines)(l, common, err);
    if (status == MS_OK && l->count == 0)
        status = ms_fail(err, MS_INVALID_ARGUMENT, "%s has no jobs", path);
    if (status == MS_OK)
        status = check_names(l, "output", output_of, err);
    if (status == MS_OK)
        status = check_names(l, "report", report_of, err);
    if (status != MS_OK)
        cli_batch_free(l);
    return status;
}

void cli_batch_free(cli_batch_list *l) {
    for (int i = 0; i < l->count; i++) {
        for (int w = 0; w < l->job[i].n_words; w++)
            free(l->job[i].words[w]);
        free(l->job[i].words);
    }
    free(l->job);
    l->job = NULL;
    l->count = 0;
}
