/*
 * Status codes and error details.
 *
 * Every function of the library that can fail returns an ms_status. Outputs are `ret_` pointers that are left
 * alone on failure. Details go to an optional ms_error that the caller owns: pass NULL when the code alone is
 * enough.
 */
#ifndef MEMSAFE_STATUS_H
#define MEMSAFE_STATUS_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define MS_API __attribute__((visibility("default")))
#define MS_PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))
#else
#define MS_API
#define MS_PRINTF(fmt, args)
#endif

/* X(name, value, exit code of the command, text) */
#define MS_STATUS_MAP(X)                                                                                     \
    X(OK, 0, 0, "success")                                                                                   \
    X(INVALID_ARGUMENT, 1, 2, "invalid argument")                                                            \
    X(BUDGET, 2, 3, "does not fit the memory budget")                                                        \
    X(HOST_MEMORY, 3, 4, "out of host memory")                                                               \
    X(DEVICE_MEMORY, 4, 5, "out of device memory")                                                           \
    X(DEVICE_LOST, 5, 6, "device lost")                                                                      \
    X(BAD_MEDIA, 6, 7, "unreadable or unsuitable media")                                                     \
    X(NO_FACE, 7, 8, "no usable face")                                                                       \
    X(BAD_MODEL, 8, 9, "unreadable or unsuitable model")                                                     \
    X(CANCELLED, 9, 10, "cancelled")                                                                         \
    X(IO, 10, 11, "input/output error")                                                                      \
    X(UNSUPPORTED, 11, 12, "not supported by this build or device")                                          \
    X(DAMAGED, 13, 13, "a job or history that is damaged, or not as memsafe writes it")                      \
    X(INTERNAL, 12, 70, "internal error")

typedef enum ms_status {
#define X(name, value, exit_code, text) MS_##name = value,
    MS_STATUS_MAP(X)
#undef X
} ms_status;

typedef struct ms_error {
    ms_status code;
    char stage[24];    /* "decode", "unet", "weights" ...; empty when it does not apply */
    int64_t frame;     /* output frame, -1 when it does not apply */
    char message[512]; /* one sentence that names the file, the field and the number */
} ms_error;

/* The code's fixed English text; never NULL. */
MS_API const char *ms_status_text(ms_status status);

/* The code's name without the prefix ("BAD_MODEL"); never NULL. */
MS_API const char *ms_status_name(ms_status status);

/* The exit code that the `memsafe` command gives for a status. */
MS_API int ms_status_exit_code(ms_status status);

#ifdef __cplusplus
}
#endif
#endif
