/*
 * The log of FFmpeg's libraries (libav*).
 *
 * They have one log callback in the process and do not say which one is set, so memsafe
 * leaves it alone unless the host gives it to memsafe. memsafe wants it because demuxers
 * and decoders say much of a damaged file that they tell in no other way. Without it
 *
 * - fewer frames of a damaged file are counted as lost: those whose packets are
 *   refused and those missing at the end, not those in gaps that only a complaint
 *   tells from a pause of the film (frames_lost, source_frames_lost);
 * - error messages lack libav's own words;
 * - pictures that are too large for the budget and of whose size the container says nothing are MS_BAD_MEDIA,
 *   not MS_BUDGET; one such among numbered pictures is counted as lost, not refused by its name;
 * - what demuxers and muxers say of memsafe's files goes to libav's callback, which prints
 *   to stderr unless the host has another one or has set av_log_set_level(). Codecs'
 *   messages of memsafe's go there at AV_LOG_DEBUG or below, which libav does not print.
 *
 * The frames themselves are the same.
 */
#ifndef MEMSAFE_LIBAV_LOG_H
#define MEMSAFE_LIBAV_LOG_H

#include <stdarg.h>

#include "memsafe/status.h"

#ifdef __cplusplus
extern "C" {
#endif

/* A callback as av_log_set_callback() takes it. */
typedef void (*ms_libav_log_callback)(void *avcl, int level, const char *format, va_list arguments);

/*
 * Gives libav's log to memsafe, in place of av_log_set_callback(): messages of memsafe's own work are
 * kept, and told by memsafe/log.h (errors as MS_LOG_WARNING; warnings and information as MS_LOG_DETAIL);
 * all others go to `next`, NULL = to libav's default callback, which prints to stderr. Call it when the
 * host begins, and again to name another `next`, or after somebody else took the log. Whoever calls
 * av_log_set_callback() later has the log alone. Does nothing in a build without FFmpeg's libraries.
 */
MS_API void ms_libav_log_take(ms_libav_log_callback next);

#ifdef __cplusplus
}
#endif
#endif
