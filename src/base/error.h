/* Filling in an ms_error: the only way in which the library talks about a failure. */
#ifndef MS_BASE_ERROR_H
#define MS_BASE_ERROR_H

#include <stdbool.h>

#include "memsafe/status.h"

/* Writes code and message (stage and frame are reset) and returns the code, so that `return ms_fail(...)`
   works. err may be NULL. */
ms_status ms_fail(ms_error *err, ms_status code, const char *fmt, ...) MS_PRINTF(3, 4);

/* The same with a hint of what the caller can do about it. Messages name no option
   of the command: the command has words of its own for each hint. */
ms_status ms_fail_hint(ms_error *err, ms_status code, ms_hint hint, const char *fmt, ...) MS_PRINTF(4, 5);

/* Adds a hint. err may be NULL. */
void ms_error_hint(ms_error *err, ms_hint hint);

/* Puts "prefix: " before an existing message and returns its code: on the way up it adds the file's name. */
ms_status ms_fail_prefix(ms_error *err, ms_status code, const char *fmt, ...) MS_PRINTF(3, 4);

/* clang's analyzer sees one file at a time. This tells it that the function never returns MS_OK. */
#ifdef __clang_analyzer__
#define ms_fail(err, code, ...) ((void)(ms_fail)(err, code, __VA_ARGS__), (code))
#define ms_fail_hint(err, code, ...) ((void)(ms_fail_hint)(err, code, __VA_ARGS__), (code))
#endif

/* The status that ms_status_name() calls so; MS_INTERNAL: it is no failure's name. */
ms_status ms_failure_named(const char *name);

/* Puts text behind an existing message. err may be NULL. */
void ms_error_add(ms_error *err, const char *fmt, ...) MS_PRINTF(2, 3);

/* Sets where the error happened, if that is not yet known. */
void ms_error_where(ms_error *err, const char *stage, int64_t frame);

void ms_error_clear(ms_error *err);

/* After these statuses the same work may succeed with less memory. */
static inline bool ms_is_out_of_memory(ms_status status) {
    return status == MS_HOST_MEMORY || status == MS_DEVICE_MEMORY;
}

#define MS_TRY(expr)                                                                                         \
    do {                                                                                                     \
        ms_status ms_try_status_ = (expr);                                                                   \
        if (ms_try_status_ != MS_OK)                                                                         \
            return ms_try_status_;                                                                           \
    } while (0)

/* The same for functions that have something to release: needs a variable `status` and a label `fail`. */
#define MS_GOTO(expr)                                                                                        \
    do {                                                                                                     \
        status = (expr);                                                                                     \
        if (status != MS_OK)                                                                                 \
            goto fail;                                                                                       \
    } while (0)

/* Length of a function's name as callers write it: without the "_sized" of base/sized.h. For "%.*s". */
int ms_error_name_length(const char *function);

/* For what a caller of the public interface gives: the message names the function and the parameter. */
#define MS_NEED(pointer, err)                                                                                \
    do {                                                                                                     \
        if (!(pointer))                                                                                      \
            return ms_fail(err, MS_INVALID_ARGUMENT, "%.*s(): %s is NULL", ms_error_name_length(__func__),   \
                           __func__, #pointer);                                                              \
    } while (0)

#endif
