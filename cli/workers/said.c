#include "workers/said.h"

#include <stdio.h>
#include <string.h>

#include "console/console.h"
#include "memsafe/plan.h"
#include "results/notes.h"
#include "workers/made.h"

/* Workers look at the same files, so most say the same. */
static bool was_said(cli_said *s, const char *message) {
    for (int i = 0; i < s->warnings; i++)
        if (strncmp(s->warning[i], message, sizeof(s->warning[i]) - 1) == 0)
            return true;
    if (s->warnings < CLI_MAX_SAID)
        snprintf(s->warning[s->warnings++], sizeof(s->warning[0]), "%s", message);
    return false;
}

void cli_said_tell(const ms_json *line, const char *subject) {
    const char *code = ms_json_get_text(line, "code"), *kind = ms_json_get_text(line, "kind");
    char before[16];
    snprintf(before, sizeof(before), "%.12s%s", kind, kind[0] ? ": " : "");
    if (cli_note_is_shown(code))
        cli_warn_as(before, code, "%s%s%s", subject, subject[0] ? ": " : "",
                    ms_json_get_text(line, "message"));
}

static void take_warning(cli_said *s, const ms_json *line) {
    if (cli_note_is_shown(ms_json_get_text(line, "code")) && !was_said(s, ms_json_get_text(line, "message")))
        cli_said_tell(line, "");
}

static void take_first_plan(ms_run_report *r, const ms_json *line) {
    r->planned_frames = (int64_t)ms_json_get_number(line, "frames", 0);
    r->frames_resumed = (int64_t)ms_json_get_number(line, "frames_resumed", 0);
    r->width = (int)ms_json_get_number(line, "width", 0);
    r->height = (int)ms_json_get_number(line, "height", 0);
    r->fps = ms_json_get_number(line, "fps", 0);
    r->resolution = r->wanted_resolution = (int)ms_json_get_number(line, "resolution", 0);
    r->rung = ms_rung_named(ms_json_get_text(line, "rung"));
    snprintf(r->model, sizeof(r->model), "%s", ms_json_get_text(line, "model"));
    snprintf(r->tier, sizeof(r->tier), "%s", ms_json_get_text(line, "tier"));
    snprintf(r->precision, sizeof(r->precision), "%s", ms_json_get_text(line, "precision"));
}

static size_t bytes(const ms_json *line, const char *name) {
    return (size_t)ms_json_get_number(line, name, 0);
}

/* Each predicts how long it would take to make all that is left by itself. What was there when one began may
   be another's work: the least of them was there before all. */
static void take_plan(cli_said *s, const ms_json *line) {
    const double left_s = ms_json_get_number(line, "eta_s", 0);
    const int64_t resumed = ms_json_get_integer(line, "frames_resumed", 0);
    const cli_made_memory one = {.budget_bytes = bytes(line, "budget_bytes"),
                                 .planned_bytes = bytes(line, "planned_bytes"),
                                 .host_budget_bytes = bytes(line, "host_budget_bytes"),
                                 .host_planned_bytes = bytes(line, "host_planned_bytes")};
    if (s->plans++ == 0)
        take_first_plan(&s->plan, line);
    if (resumed < s->plan.frames_resumed)
        s->plan.frames_resumed = resumed;
    cli_made_add_memory(&one, &s->plan);
    s->speed += left_s > 0 ? 1 / left_s : 0;
    s->plan.planned_left_s = s->speed > 0 ? 1 / s->speed : 0;
}

void cli_said_take(void *arg, const char *event, const ms_json *line) {
    cli_said *s = arg;
    if (strcmp(event, "warning") == 0)
        take_warning(s, line);
    else if (strcmp(event, "plan") == 0)
        take_plan(s, line);
}
