#include "results/checks.h"

#include <stdio.h>

#include "console/console.h"
#include "memsafe/library.h"
#include "text/json.h"

static struct {
    bool json, in_row;
    const char *group;
    int rows, findings;
    ms_buf row, finding; /* JSON: what stands in the two lists */
} checks;

void cli_checks_begin(bool json) {
    checks.json = json;
    checks.in_row = false;
    checks.group = "";
    checks.rows = checks.findings = 0;
    ms_buf_init(&checks.row, NULL);
    ms_buf_init(&checks.finding, NULL);
}

static void end_row(void) {
    if (checks.in_row)
        ms_buf_printf(&checks.row, "}");
    checks.in_row = false;
}

void cli_checks_group(const char *name) {
    checks.group = name;
    if (!checks.json)
        cli_print("%s\n", name);
}

static void print_row(const char *name, const char *state, const char *text) {
    if (cli_is_narrow())
        cli_print("  %s: %s%s%s\n", name, state, text[0] ? ", " : "", text);
    else if (text[0])
        cli_print("  %-20s %-8s %s\n", name, state, text);
    else
        cli_print("  %-20s %s\n", name, state);
}

void cli_checks_row(const char *name, const char *state, const char *text) {
    if (!checks.json) {
        print_row(name, state, text);
        return;
    }
    end_row();
    ms_buf_json_member(&checks.row, checks.rows++ ? ",\n    {" : "\n    {", "group", checks.group);
    ms_buf_json_member(&checks.row, ", ", "name", name);
    ms_buf_json_member(&checks.row, ", ", "state", state);
    ms_buf_json_member(&checks.row, ", ", "text", text);
    checks.in_row = true;
}

/* As far in as a row that goes on. */
void cli_checks_mend(const char *what, const char *after) {
    if (checks.json)
        ms_buf_json_member(&checks.row, ", ", "mend", what);
    else
        cli_print("    mend: %s%s\n", what, after);
}

void cli_checks_nor(const char *where) {
    if (!checks.json)
        cli_print("    nor in %s\n", where);
}

static const char *kind_name(ms_finding_kind kind) {
    static const char *const names[] = {
        [MS_FINDING_FACT] = "fact", [MS_FINDING_PROBLEM] = "problem", [MS_FINDING_ERROR] = "error"};
    return names[kind];
}

void cli_checks_finding(ms_model_part part, ms_finding_kind kind, const char *text) {
    ms_buf_json_member(&checks.finding, checks.findings++ ? ",\n    {" : "\n    {", "part",
                       ms_model_part_name(part));
    ms_buf_json_member(&checks.finding, ", ", "kind", kind_name(kind));
    ms_buf_json_member(&checks.finding, ", ", "text", text);
    ms_buf_printf(&checks.finding, "}");
}

const char *cli_trial_text(const ms_probe_trial *t, char ret_text[CLI_TRIAL_TEXT_BYTES]) {
    if (!(t->error <= t->allowed))
        snprintf(ret_text, CLI_TRIAL_TEXT_BYTES, "%s: off by %.3g, %.3g are allowed", t->type, t->error,
                 t->allowed);
    else if (t->predicted)
        snprintf(ret_text, CLI_TRIAL_TEXT_BYTES, "%s: its bits are not the predicted ones", t->type);
    else
        snprintf(ret_text, CLI_TRIAL_TEXT_BYTES, "%s: two ways of one call give different bits", t->type);
    return ret_text;
}

void cli_checks_say(const char *text) {
    if (!checks.json)
        cli_print("%s\n", text);
}

void cli_checks_end(const char *model, bool fine) {
    ms_buf all;
    if (!checks.json)
        return;
    end_row();
    ms_buf_init(&all, NULL);
    ms_buf_json_member(&all, "{\n  ", "memsafe", ms_version());
    ms_buf_printf(&all, ",\n  \"checks\": [%s],\n  \"model_dir\": ", checks.rows ? checks.row.data : "");
    if (model)
        ms_buf_json_string(&all, model);
    else
        ms_buf_printf(&all, "null");
    ms_buf_printf(&all, ",\n  \"model\": [%s],\n  \"fine\": %s\n}\n",
                  checks.findings ? checks.finding.data : "", fine ? "true" : "false");
    if (!all.failed && !checks.row.failed && !checks.finding.failed)
        cli_print_all(all.data, true);
    ms_buf_free(&all);
    ms_buf_free(&checks.row);
    ms_buf_free(&checks.finding);
}
