/*
 * Status codes and error details.
 *
 * Every function of the library that can fail returns an ms_status. Outputs are
 * `ret_` pointers that are left alone on failure. Details go to an optional
 * ms_error that the caller owns: pass NULL when the code alone is enough.
 *
 * Structs that callers allocate grow at their end from version to version. So a function ms_x() that is
 * given one is inline here and calls the library's ms_x_sized() with the size that its caller's has: a
 * program works with later libraries as it was compiled. Callers without these headers (Python's
 * ctypes) call ms_x_sized() with the sizes of their own structs. docs/library.md has the rules.
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

/*
 * What a caller can do about an error or a note: X(name, code, text). The code stays as it is, for programs.
 * The text names parameters. A program whose users see other names has words of its own, as the command has.
 */
#define MS_HINT_MAP(X)                                                                                       \
    X(ALLOW_TRUNCATED, "allow_truncated", "allow_truncated takes what is there")                             \
    X(RESUME, "resume", "resume goes on from there")                                                         \
    X(BEGIN_ANEW, "begin_anew", "force begins anew")                                                         \
    X(REPLACE, "replace", "force replaces it")                                                               \
    X(MODEL, "model", "model names one")                                                                     \
    X(TRACK, "track", "track, a file of the faces, does without them")                                       \
    X(SPEECH, "speech", "audio names the speech that it should say")                                         \
    X(FACE, "face", "face counts from 0")                                                                    \
    X(HDR, "hdr", "the codec HEVC keeps it, tonemap makes an ordinary picture of it")                        \
    X(TONEMAP, "tonemap", "tonemap asks for that")                                                           \
    X(RESOLUTION, "resolution", "resolution names one that stays")                                           \
    X(LATENT_RANK, "latent_rank", "latent_rank 90 is one")                                                   \
    X(DEVICE_BYTES, "device_bytes", "device_bytes is for a device that is not here, and needed there")       \
    X(FRAME_RATE, "frame_rate", "fps_num 0 keeps them")                                                      \
    X(LOOP, "loop", "loop says how")                                                                         \
    X(LOOP_NONE, "loop_none", "loop is none")                                                                \
    X(REST_KEEP, "rest_keep", "rest is keep")                                                                \
    X(SYNTHETIC, "synthetic", "it was synthesized")                                                          \
    X(DEVICE_AUTO, "device_auto", "device auto takes what there is")                                         \
    X(FETCH, "fetch", "the official weights are to be downloaded")

typedef enum ms_hint {
    MS_HINT_NONE,
#define X(name, code, text) MS_HINT_##name,
    MS_HINT_MAP(X)
#undef X
        MS_HINT_COUNT
} ms_hint;

#define MS_HINT_BIT(hint) (UINT64_C(1) << (hint))

typedef struct ms_error {
    ms_status code;
    char stage[24];    /* where it was met: "faces", "denoise", "write", ...; empty when it does not apply */
    int64_t frame;     /* output frame, -1 when it does not apply */
    char message[512]; /* one sentence that names the file, the field and the number */
    uint64_t hints;    /* MS_HINT_BIT() of each that applies */
} ms_error;

/* A hint's code ("resume") and its text; "" for none, never NULL. */
MS_API const char *ms_hint_code(ms_hint hint);
MS_API const char *ms_hint_text(ms_hint hint);

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
