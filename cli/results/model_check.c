#include "results/model_check.h"

#include <stdio.h>

#include "base/error.h"
#include "console/console.h"
#include "console/hints.h"

#define MOST_PROBLEMS 20 /* of a file that are told */

typedef struct listing {
    int titled;   /* parts whose name is printed */
    int problems; /* one after the other */
} listing;

static void print_part(listing *l, ms_model_part part) {
    for (; l->titled <= (int)part; l->titled++)
        cli_print("%s\n", ms_model_part_name((ms_model_part)l->titled));
}

static const char *hinted(const ms_finding *f, char ret_text[CLI_ERROR_BYTES]) {
    ms_error as_error = {.hints = f->hints};
    snprintf(as_error.message, sizeof(as_error.message), "%s", f->text);
    return cli_error_text(&as_error, ret_text);
}

static void print_finding(void *arg, const ms_finding *f) {
    listing *l = arg;
    char text[CLI_ERROR_BYTES];
    print_part(l, f->part);
    l->problems = f->kind == MS_FINDING_PROBLEM ? l->problems + 1 : 0;
    if (f->kind == MS_FINDING_ERROR)
        cli_print("  wrong: %s\n", cli_error_text(f->error, text));
    else if (f->kind == MS_FINDING_FACT && f->hints)
        cli_print("  %s\n", hinted(f, text));
    else if (f->kind == MS_FINDING_FACT)
        cli_print("  %s\n", f->text);
    else if (l->problems <= MOST_PROBLEMS)
        cli_print("  wrong: %s\n", f->text);
    else if (l->problems == MOST_PROBLEMS + 1)
        cli_print("  ... and more\n");
}

ms_status cli_model_check(const ms_model_check_params *params) {
    ms_model_check_params p = *params;
    listing l = {0};
    ms_error err;
    p.tell = print_finding;
    p.arg = &l;
    ms_status status = ms_model_check(&p, &err);
    if (status != MS_OK && l.titled == 0) /* nothing of it is printed yet */
        cli_fail(&err);
    return status;
}
