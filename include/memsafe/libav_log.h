/*
 * The log of FFmpeg's libraries (libav*).
 *
 * They have one log callback in the process and do not say which one is set. memsafe sets its own when it first opens a file,
 * since damage is told by what demuxers and decoders complain of. It keeps the messages of its own work and hands on all
 * others: to libav's default callback, which prints to stderr, or to the one that the host names here.
 */
#ifndef MEMSAFE_LIBAV_LOG_H
#define MEMSAFE_LIBAV_LOG_H

#include <stdarg.h>

#include "memsafe/status.h"

#ifdef __cplusplus
extern "C" {
#endif

/* As av_log_set_callback() takes it. */
typedef void (*ms_libav_log_callback)(void *avcl, int level, const char *format, va_list arguments);

/*
 * For a host with a callback of its own, in place of av_log_set_callback(): messages that are not of memsafe's work go to
 * `next` from here on; NULL = to libav's default callback. May be called at any time, from any thread. Does nothing in a build
 * without FFmpeg's libraries. A host that calls av_log_set_callback() later has the log to itself: memsafe then counts
 * fewer frames of a damaged file as lost, and its error messages lack libav's words.
 */
MS_API void ms_libav_log_chain(ms_libav_log_callback next);

#ifdef __cplusplus
}
#endif
#endif
