#include "console/console.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "console/bar.h"
#include "base/clock.h"
#include "base/error.h"
#include "console/hints.h"
#include "memsafe/library.h"
#include "console/shell_word.h"
#include "console/wrap.h"

#define BAR_INTERVAL_S 0.2
/* The terminal shows "^C" behind the line. */
#define ECHO_COLUMNS 2
#define JSON_INTERVAL_S 0.5
/* On a terminal that cannot go back in its line. */
#define PLAIN_INTERVAL_S 10.0
#define PLAIN_COLUMNS 60 /* of wider ones too */
#define LOG_COLUMNS 80
#define COMMAND_BYTES 4096

/* PLAIN: lines on a dumb terminal; LOG: the few lines that say in a file or a pipe that the work goes on. */
typedef enum shape { SHAPE_NONE, SHAPE_BAR, SHAPE_PLAIN, SHAPE_LOG, SHAPE_JSON } shape;

/* There is one terminal, so there is one of these. */
static struct {
    shape shape;
    bool quiet, verbose;
    double began_s, shown_s;
    cli_bar bar, last_line;
    char stage[32];
    int drawn;       /* characters of the bar that stand in the line now */
    int write_error; /* errno of the first line that could not be written */
    bool over;       /* there is no progress any more */
    bool line_open;  /* what was said last is not the end of its line */
    bool started, ended;
    char last_members[4096];
    const char *program;
    char command[COMMAND_BYTES];
    char **words; /* [n_words], of argv */
    int n_words;
} console = {.shown_s = -1};

/* ---- the bar's line ---- */

int cli_columns(int fd) {
    struct winsize size;
    if (ioctl(fd, TIOCGWINSZ, &size) == 0 && size.ws_col > 0)
        return size.ws_col;
    const char *named = getenv("COLUMNS");
    int n = named ? atoi(named) : 0;
    return n > 0 ? n : 80;
}

#define TABLE_COLUMNS 60

bool cli_is_narrower(int columns) {
    return isatty(STDOUT_FILENO) && cli_columns(STDOUT_FILENO) < columns;
}

bool cli_is_narrow(void) {
    return cli_is_narrower(TABLE_COLUMNS);
}

/* Spaces take away what was there: no escape sequence is needed, so NO_COLOR has nothing to forbid. */
static void draw(const char *text, int n) {
    int drawn = console.drawn ? console.drawn + ECHO_COLUMNS : 0, blank = drawn > n ? drawn - n : 0,
        most = cli_columns(STDERR_FILENO) - 1;
    if (n + blank > most) /* the window has become smaller */
        blank = most > n ? most - n : 0;
    fprintf(stderr, "\r%s%*s", text, blank, "");
    if (blank) /* the cursor stays behind the text: what is typed is cleared with it */
        fprintf(stderr, "\r%s", text);
    fflush(stderr);
    console.drawn = n;
}

static void clear(void) {
    if (console.shape == SHAPE_BAR && console.drawn)
        draw("", 0);
}

static void redraw(void) {
    char text[CLI_BAR_BYTES];
    if (console.shape != SHAPE_BAR || console.shown_s < 0 || console.over)
        return;
    int n = cli_bar_text(&console.bar, cli_columns(STDERR_FILENO), text);
    draw(text, n);
}

/* ---- JSON ---- */

static void start_json(void) {
    if (console.started)
        return;
    console.started = true;
    fprintf(stderr, "{\"event\": \"start\", \"version\": \"%s\"}\n", ms_version());
}

void cli_event(const char *event, const char *members) {
    if (console.shape != SHAPE_JSON || console.ended)
        return;
    start_json();
    fprintf(stderr, "{\"event\": \"%s\"%s%s}\n", event, members[0] ? ", " : "", members);
    fflush(stderr);
}

static void put_number(ms_buf *b, const char *name, double value) {
    ms_buf_printf(b, ", \"%s\": ", name);
    ms_buf_json_number(b, value >= 0 ? value : NAN); /* not known: null */
}

static void put_count(ms_buf *b, const char *name, int64_t value, bool known) {
    if (known)
        ms_buf_printf(b, ", \"%s\": %" PRId64, name, value);
    else
        ms_buf_printf(b, ", \"%s\": null", name);
}

static void progress_event(const ms_run_progress *p) {
    ms_buf b;
    ms_buf_init(&b, NULL);
    ms_buf_printf(&b, "\"stage\": \"%s\"", p->stage);
    put_number(&b, "fraction", p->fraction < 0 ? -1 : round(1e4 * p->fraction) / 1e4);
    put_number(&b, "eta_s", p->eta_s < 0 ? -1 : round(10 * p->eta_s) / 10);
    put_number(&b, "seconds", round(100 * p->seconds) / 100);
    put_count(&b, "frames_done", p->frames_done, true);
    put_count(&b, "frames_total", p->frames_total, p->frames_total > 0);
    put_count(&b, "part", p->part, p->parts > 0);
    put_count(&b, "parts", p->parts, p->parts > 0);
    if (!b.failed)
        cli_event("progress", b.data);
    ms_buf_free(&b);
}

/* The last event, and the only one of its kind. */
static void end_json(const char *event, const char *members) {
    ms_buf b;
    ms_buf_init(&b, NULL);
    ms_buf_printf(&b, "%s%s%s", members, members[0] && console.last_members[0] ? ", " : "",
                  console.last_members);
    cli_event(event, b.failed ? members : b.data);
    ms_buf_free(&b);
    console.ended = true;
}

static void put_hints(ms_buf *b, uint64_t hints) {
    const char *separator = "";
    ms_buf_printf(b, ", \"hints\": [");
    for (int h = MS_HINT_NONE + 1; h < MS_HINT_COUNT; h++)
        if (hints & MS_HINT_BIT(h)) {
            ms_buf_printf(b, "%s\"%s\"", separator, ms_hint_code((ms_hint)h));
            separator = ", ";
        }
    ms_buf_printf(b, "]");
}

static void error_event(const ms_error *err, const char *message) {
    ms_buf b;
    ms_buf_init(&b, NULL);
    ms_buf_printf(&b, "\"code\": %d, \"name\": \"%s\", \"message\": ", ms_status_exit_code(err->code),
                  ms_status_name(err->code));
    ms_buf_json_string(&b, message);
    ms_buf_printf(&b, ", \"stage\": ");
    if (err->stage[0])
        ms_buf_json_string(&b, err->stage);
    else
        ms_buf_printf(&b, "null");
    put_count(&b, "frame", err->frame, err->stage[0] && err->frame >= 0);
    put_hints(&b, err->hints);
    end_json("error", b.failed ? "\"code\": 4, \"name\": \"HOST_MEMORY\"" : b.data);
    ms_buf_free(&b);
}

/* ---- beginning and end ---- */

/* "--progress json", with one dash or two, in one word or two. */
static bool asks_for_json(int argc, char **argv) {
    for (int i = 1; i < argc; i++) {
        const char *word = argv[i];
        if (strcmp(word, "--") == 0)
            return false;
        if (word[0] != '-')
            continue;
        word += 1 + (word[1] == '-');
        if (strcmp(word, "progress=json") == 0 ||
            (strcmp(word, "progress") == 0 && i + 1 < argc && strcmp(argv[i + 1], "json") == 0))
            return true;
    }
    return false;
}

/* Takes the buffer's text, and frees it. */
static void take_command(ms_buf *b, char ret_text[COMMAND_BYTES]) {
    const bool fits = b->data && !b->failed && b->length < COMMAND_BYTES;
    snprintf(ret_text, COMMAND_BYTES, "%s", fits ? b->data : "memsafe ...");
    ms_buf_free(b);
}

static void keep_command(int argc, char **argv) {
    ms_buf b;
    ms_buf_init(&b, NULL);
    for (int i = 0; i < argc; i++) {
        ms_buf_append(&b, " ", i > 0);
        cli_put_shell_word(&b, argv[i]);
    }
    take_command(&b, console.command);
}

const char *cli_command_line(void) {
    return console.command;
}

const char *cli_command_of(const char *words, const char *last) {
    static char text[COMMAND_BYTES];
    ms_buf b;
    ms_buf_init(&b, NULL);
    cli_put_shell_word(&b, console.program ? console.program : "memsafe");
    ms_buf_printf(&b, " %s ", words);
    cli_put_shell_word(&b, last);
    take_command(&b, text);
    return text;
}

char *const *cli_typed_words(int *ret_count) {
    *ret_count = console.n_words;
    return console.words;
}

/* Without memory for a copy there are no words. */
void cli_keep_typed_words(int count, char **words) {
    free(console.words);
    console.words = count > 0 ? malloc((size_t)count * sizeof(char *)) : NULL;
    console.n_words = console.words ? count : 0;
    if (console.words)
        memcpy(console.words, words, (size_t)count * sizeof(char *));
}

void cli_console_look(int argc, char **argv) {
    console.began_s = ms_now_s();
    console.program = argc > 0 ? argv[0] : NULL;
    cli_keep_typed_words(argc - 2, argv + 2);
    keep_command(argc, argv);
    if (asks_for_json(argc, argv))
        console.shape = SHAPE_JSON;
}

void cli_console_begin(const cli_console_options *o) {
    const char *term = getenv("TERM");
    bool terminal = isatty(STDERR_FILENO), dumb = terminal && (!term || !*term || strcmp(term, "dumb") == 0);
    console.quiet = o->quiet;
    console.verbose = o->verbose;
    if (o->progress == CLI_PROGRESS_JSON)
        console.shape = SHAPE_JSON;
    else if (o->progress == CLI_PROGRESS_NONE || (o->progress == CLI_PROGRESS_AUTO && o->quiet))
        console.shape = SHAPE_NONE;
    else if (o->progress == CLI_PROGRESS_AUTO && !terminal)
        console.shape = SHAPE_LOG;
    else
        console.shape = dumb ? SHAPE_PLAIN : SHAPE_BAR;
    if (console.shape == SHAPE_JSON)
        start_json();
}

bool cli_console_is_json(void) {
    return console.shape == SHAPE_JSON;
}

bool cli_console_is_verbose(void) {
    return console.verbose && !console.quiet;
}

double cli_console_seconds(void) {
    return ms_now_s() - console.began_s;
}

void cli_last_members(const char *members) {
    snprintf(console.last_members, sizeof(console.last_members), "%s", members);
}

void cli_console_end(int exit_code) {
    cli_progress_over();
    if (console.shape != SHAPE_JSON || console.ended)
        return;
    if (exit_code == 0) {
        end_json("done", "");
        return;
    }
    char code[64];
    snprintf(code, sizeof(code), "\"code\": %d, \"name\": \"INTERNAL\", \"message\": \"\"", exit_code);
    end_json("error", code);
}

/* ---- saying ---- */

/* To a terminal in lines of its width, broken between words. */
static void put(FILE *to, int fd, int *at, const char *text) {
    int width = isatty(fd) ? cli_columns(fd) : 0;
    char *wrapped = width > 0 ? cli_wrap(text, width, at) : NULL;
    fputs(wrapped ? wrapped : text, to);
    free(wrapped);
}

static void put_formatted(FILE *to, int fd, int *at, const char *fmt, va_list ap) {
    va_list again;
    va_copy(again, ap);
    int n = vsnprintf(NULL, 0, fmt, again);
    va_end(again);
    char *text = n >= 0 ? malloc((size_t)n + 1) : NULL;
    if (text) {
        vsnprintf(text, (size_t)n + 1, fmt, ap);
        put(to, fd, at, text);
    } else {
        vfprintf(to, fmt, ap);
    }
    free(text);
}

static void to_stderr(const char *fmt, ...) MS_PRINTF(1, 2);

static void to_stderr(const char *fmt, ...) {
    static int at;
    va_list ap;
    va_start(ap, fmt);
    put_formatted(stderr, STDERR_FILENO, &at, fmt, ap);
    va_end(ap);
}

/* cli_flush_output() tells at the end. */
void cli_flush_now(void) {
    if (fflush(stdout) != 0 && !console.write_error)
        console.write_error = errno;
}

void cli_say(const char *fmt, ...) {
    static int at;
    if (console.quiet || console.shape == SHAPE_JSON)
        return;
    size_t length = strlen(fmt);
    va_list ap;
    if (!console.line_open)
        clear();
    va_start(ap, fmt);
    put_formatted(stdout, STDOUT_FILENO, &at, fmt, ap);
    va_end(ap);
    cli_flush_now();
    /* The bar begins a line of its own: it would go over one that is still being written. */
    console.line_open = length > 0 && fmt[length - 1] != '\n';
    if (!console.line_open)
        redraw();
}

void cli_print(const char *fmt, ...) {
    static int at;
    va_list ap;
    va_start(ap, fmt);
    put_formatted(stdout, STDOUT_FILENO, &at, fmt, ap);
    va_end(ap);
}

void cli_print_all(const char *text, bool json) {
    if (json)
        fputs(text, stdout);
    else
        cli_print("%s", text);
}

/* An error that stdio met on the way has lost its number; a pipe without a reader can still be told. */
int cli_flush_output(void) {
    errno = 0;
    if (console.write_error)
        return console.write_error;
    if (fflush(stdout) != 0)
        return errno ? errno : -1;
    if (!ferror(stdout))
        return 0;
    struct pollfd out = {.fd = STDOUT_FILENO};
    return poll(&out, 1, 0) == 1 && (out.revents & POLLERR) ? EPIPE : -1;
}

void cli_tell(const char *fmt, ...) {
    static int at;
    if (console.shape == SHAPE_JSON)
        return;
    const size_t length = strlen(fmt);
    va_list ap;
    clear();
    va_start(ap, fmt);
    put_formatted(stderr, STDERR_FILENO, &at, fmt, ap);
    va_end(ap);
    if (length && fmt[length - 1] == '\n')
        redraw();
}

void cli_tell_command(const char *before, const char *command, const char *after) {
    if (console.shape == SHAPE_JSON)
        return;
    clear();
    fprintf(stderr, "%s%s%s\n", before, command, after);
    redraw();
}

void cli_say_command(const char *before, const char *command) {
    if (console.quiet || console.shape == SHAPE_JSON)
        return;
    clear();
    printf("%s%s\n", before, command);
    cli_flush_now();
    redraw();
}

static void warn(const char *before, const char *code, const char *fmt, va_list ap) {
    char message[1024];
    vsnprintf(message, sizeof(message), fmt, ap);
    if (console.shape == SHAPE_JSON) {
        ms_buf b;
        ms_buf_init(&b, NULL);
        ms_buf_printf(&b, "\"code\": \"%s\", \"message\": ", code);
        ms_buf_json_string(&b, message);
        if (before[0]) /* "note: " */
            ms_buf_printf(&b, ", \"kind\": \"%.*s\"", (int)strcspn(before, ":"), before);
        if (!b.failed)
            cli_event("warning", b.data);
        ms_buf_free(&b);
    } else if (!console.quiet) {
        clear();
        to_stderr("memsafe: %s%s\n", before, message);
        redraw();
    }
}

void cli_warn(const char *code, const char *fmt, ...) {
    va_list ap;
    va_start(ap, fmt);
    warn("", code, fmt, ap);
    va_end(ap);
}

void cli_warn_as(const char *before, const char *code, const char *fmt, ...) {
    va_list ap;
    va_start(ap, fmt);
    warn(before, code, fmt, ap);
    va_end(ap);
}

int cli_fail(const ms_error *err) {
    char message[CLI_ERROR_BYTES];
    cli_error_text(err, message);
    if (console.shape == SHAPE_JSON) {
        error_event(err, message);
        return ms_status_exit_code(err->code);
    }
    cli_progress_over();
    /* The stage is the program's name for it: for programs, and for who asks how it works. */
    char where[64] = "";
    bool stage = err->stage[0] && cli_console_is_verbose(), frame = err->stage[0] && err->frame >= 0;
    if (stage && frame)
        snprintf(where, sizeof(where), " (%s, frame %lld)", err->stage, (long long)err->frame);
    else if (stage)
        snprintf(where, sizeof(where), " (%s)", err->stage);
    else if (frame)
        snprintf(where, sizeof(where), " (frame %lld)", (long long)err->frame);
    to_stderr("memsafe: %s%s\n", message, where);
    return ms_status_exit_code(err->code);
}

/* ---- progress ---- */

/* What the stage is called for people. */
static const char *stage_text(const char *name) {
    for (int i = 0; i < MS_STAGE_COUNT; i++)
        if (strcmp(name, ms_stage_name((ms_stage)i)) == 0)
            return ms_stage_text((ms_stage)i);
    return strcmp(name, "score") == 0 ? "judging" : name;
}

static void keep(const ms_run_progress *p) {
    snprintf(console.stage, sizeof(console.stage), "%s", stage_text(p->stage));
    bool steps = strcmp(p->stage, ms_stage_name(MS_STAGE_DENOISE)) == 0;
    console.bar = (cli_bar){.fraction = p->fraction,
                            .left_s = p->eta_s,
                            .seconds = p->seconds,
                            .stage = console.stage,
                            .part = p->part,
                            .parts = steps ? p->parts : 0,
                            .part_of = "step",
                            .frames_done = p->frames_done,
                            .frames_total = p->frames_total};
}

static void plain_line(int columns) {
    char text[CLI_BAR_BYTES];
    cli_bar_text(&console.bar, columns, text);
    fprintf(stderr, "%s\n", text);
}

static void dumb_line(void) {
    const int columns = cli_columns(STDERR_FILENO);
    plain_line(columns < PLAIN_COLUMNS ? columns : PLAIN_COLUMNS);
}

static void log_line(const ms_run_progress *p) {
    keep(p);
    if (!cli_bar_is_due(&console.bar, &console.last_line))
        return;
    plain_line(LOG_COLUMNS);
    console.last_line = console.bar;
}

void cli_show_progress(void *arg, const ms_run_progress *p) {
    static const double intervals[] = {[SHAPE_BAR] = BAR_INTERVAL_S,
                                       [SHAPE_PLAIN] = PLAIN_INTERVAL_S,
                                       [SHAPE_LOG] = 0,
                                       [SHAPE_JSON] = JSON_INTERVAL_S};
    (void)arg;
    double now = ms_now_s();
    bool nothing = p->fraction < 0 && p->frames_done == 0; /* not worth a line of its own */
    bool last = console.shape == SHAPE_JSON && p->fraction >= 1;
    if (console.shape == SHAPE_NONE || console.over || console.ended ||
        (console.shape == SHAPE_PLAIN && nothing) ||
        (!last && console.shown_s >= 0 && now - console.shown_s < intervals[console.shape]))
        return;
    if (console.shape == SHAPE_LOG) {
        log_line(p);
        return;
    }
    console.shown_s = now;
    keep(p);
    if (console.shape == SHAPE_JSON)
        progress_event(p);
    else if (console.shape == SHAPE_PLAIN)
        dumb_line();
    else
        redraw();
}

void cli_progress_pause(void) {
    clear();
    console.shown_s = -1;
    console.last_line = (cli_bar){0};
}

void cli_progress_over(void) {
    clear();
    console.over = true;
}

void cli_show_frames(const char *stage, int64_t frames_done, int64_t frames_total) {
    ms_run_progress p = {.stage = stage,
                         .frames_done = frames_done,
                         .frames_total = frames_total >= frames_done ? frames_total : 0,
                         .seconds = cli_console_seconds(),
                         .fraction = -1,
                         .eta_s = -1};
    if (frames_total > 0)
        p.fraction = fmin((double)frames_done / (double)frames_total, 1);
    if (frames_done > 0 && frames_total >= frames_done)
        p.eta_s = p.seconds / (double)frames_done * (double)(frames_total - frames_done);
    cli_show_progress(NULL, &p);
}
