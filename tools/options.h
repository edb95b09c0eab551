/* The command line of the programs in this folder. */
#ifndef TOOLS_OPTIONS_H
#define TOOLS_OPTIONS_H

#include <errno.h>
#include <getopt.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"

/* Numbers: the whole word has to be one. */
static inline bool whole_number(const char *text, int low, int high, int *ret_value) {
    char *end;
    long value = strtol(text, &end, 10);
    *ret_value = (int)value;
    return end != text && !*end && value >= low && value <= high;
}

static inline bool seed_number(const char *text, uint64_t *ret_value) {
    char *end;
    errno = 0;
    *ret_value = strtoull(text, &end, 0);
    return text[0] >= '0' && text[0] <= '9' && !*end && !errno;
}

/* Gives take() each option's letter and value; an option has a letter of its own,
   'h' is --help. True: all were taken; false: the program ends with *ret_exit. */
static inline bool read_options(int argc, char **argv, const struct option *names, const char *usage,
                                bool (*take)(void *options, int letter, const char *value), void *options,
                                int *ret_exit) {
    const char *slash = strrchr(argv[0], '/'), *program = slash ? slash + 1 : argv[0];
    int letter;
    *ret_exit = 0;
    while ((letter = getopt_long(argc, argv, "o:h", names, NULL)) != -1) {
        if (letter == 'h') {
            fputs(usage, stdout);
            return false;
        }
        if (letter != '?' && take(options, letter, optarg))
            continue;
        *ret_exit = ms_status_exit_code(MS_INVALID_ARGUMENT);
        for (; letter != '?' && names->name; names++)
            if (names->val == letter)
                fprintf(stderr, "%s: --%s \"%s\" is no value for it; see --help\n", program, names->name,
                        optarg);
        return false;
    }
    if (optind < argc) {
        fprintf(stderr, "%s: \"%s\" is one word too many; see --help\n", program, argv[optind]);
        *ret_exit = ms_status_exit_code(MS_INVALID_ARGUMENT);
    }
    return *ret_exit == 0;
}

#endif
