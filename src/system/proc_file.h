/* Small files of the kernel: a line of text, a number, "name value" tables. */
#ifndef MS_SYSTEM_PROC_FILE_H
#define MS_SYSTEM_PROC_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/* NULL when it cannot be opened or the path is too long. */
FILE *ms_proc_open(const char *dir, const char *name);

/* The file's first number; false when there is none ("max", no such file). */
bool ms_proc_number(const char *dir, const char *name, uint64_t *ret_number);

/* The number behind `key` (and a colon or spaces) at the start of a line; false when there is none. */
bool ms_proc_table_number(const char *dir, const char *name, const char *key, uint64_t *ret_number);

#endif
