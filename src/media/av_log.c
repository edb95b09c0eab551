/* FFmpeg's log, where the host gave it to memsafe: the messages of memsafe's own work
   are kept, all others go where the host said. A codec's threads work for no one, so
   a message of theirs is known by its codec. Whether a codec is ours is looked up:
   what AVCodecContext.opaque of a host's own codec points to is the host's. */
#include "memsafe/libav_log.h"

#include "memsafe_have.h"

#if MS_HAVE_FFMPEG

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "media/av.h"

/* What is added to the level of messages of memsafe's codecs: a host that keeps
   libav's log does not have its stderr written to by every encoder that begins and
   ends. Taken off again before the levels are looked at here. */
#define CODEC_OFFSET (AV_LOG_DEBUG - AV_LOG_FATAL)

static _Thread_local ms_av_log *current_log;
static pthread_mutex_t log_mutex = PTHREAD_MUTEX_INITIALIZER;
static _Atomic(ms_libav_log_callback) next_callback;
static ms_av_log *with_codecs; /* logs that codecs name, linked by `next` */

static ms_av_log *find(const void *opaque) {
    pthread_mutex_lock(&log_mutex);
    ms_av_log *log = with_codecs;
    while (log && log != opaque)
        log = log->next;
    pthread_mutex_unlock(&log_mutex);
    return log;
}

static ms_av_log *log_of(void *avcl) {
    if (current_log || !avcl)
        return current_log;
    const AVClass *class = *(const AVClass **)avcl;
    if (class && class->class_name && strcmp(class->class_name, "AVCodecContext") == 0)
        return find(((AVCodecContext *)avcl)->opaque);
    return NULL;
}

/* What libavutil says of a picture over AVCodecContext.max_pixels: nothing else
   tells it from a damaged one. */
static void note_refused(ms_av_log *log, const char *line) {
    int width = 0, height = 0;
    if (log->refused_width == 0 && sscanf(line, "Picture size %dx%d exceeds", &width, &height) == 2) {
        log->refused_width = width;
        log->refused_height = height;
    }
}

/* The level before libav added the object's offset to it, which it does from AV_LOG_FATAL on. */
static int own_level(void *avcl, int level) {
    const AVClass *class = avcl ? *(const AVClass **)avcl : NULL;
    if (!class || !class->log_level_offset_offset)
        return level;
    int offset = *(const int *)((const char *)avcl + class->log_level_offset_offset);
    return level - offset >= AV_LOG_FATAL ? level - offset : level;
}

static void keep(ms_av_log *log, int level, const char *line) {
    pthread_mutex_lock(&log_mutex);
    if (level <= AV_LOG_ERROR) {
        snprintf(log->line, sizeof(log->line), "%s", line);
        note_refused(log, line);
        log->errors++;
    }
    log->warnings++;
    pthread_mutex_unlock(&log_mutex);
}

/* Under no lock: the host's callback is called. */
static void tell(void *avcl, ms_log_level told, const char *line) {
    const AVClass *class = avcl ? *(const AVClass **)avcl : NULL;
    const char *name = class && class->item_name ? class->item_name(avcl) : "libav";
    ms_log_tell(told, "libav", "%s: %s", name, line);
}

static void take_line(ms_av_log *log, void *avcl, int level, const char *fmt, va_list ap) {
    char line[sizeof(log->line)];
    ms_log_level told = level <= AV_LOG_ERROR ? MS_LOG_WARNING : MS_LOG_DETAIL;
    if (level > AV_LOG_WARNING && !ms_log_wants(told))
        return;
    vsnprintf(line, sizeof(line), fmt, ap);
    size_t n = strcspn(line, "\n");
    line[n] = 0;
    if (n == 0)
        return;
    if (level <= AV_LOG_WARNING)
        keep(log, level, line);
    if (ms_log_wants(told))
        tell(avcl, told, line);
}

static void log_callback(void *avcl, int level, const char *fmt, va_list ap) {
    ms_av_log *log = log_of(avcl);
    ms_libav_log_callback next = atomic_load(&next_callback);
    int own = own_level(avcl, level);
    if (!log)
        (next ? next : av_log_default_callback)(avcl, level, fmt, ap);
    else if (own >= 0 && own <= AV_LOG_INFO)
        take_line(log, avcl, own, fmt, ap);
}

void ms_libav_log_take(ms_libav_log_callback next) {
    atomic_store(&next_callback, next);
    av_log_set_callback(log_callback);
}

ms_av_log *ms_av_log_enter(ms_av_log *log) {
    ms_av_log *previous = current_log;
    current_log = log;
    return previous;
}

void ms_av_log_leave(ms_av_log *previous) {
    current_log = previous;
}

void ms_av_log_attach(ms_av_log *log, AVCodecContext *codec) {
    codec->opaque = log;
    codec->log_level_offset = CODEC_OFFSET;
    pthread_mutex_lock(&log_mutex);
    if (log && log->codecs++ == 0) {
        log->next = with_codecs;
        with_codecs = log;
    }
    pthread_mutex_unlock(&log_mutex);
}

static void detach(ms_av_log *log) {
    pthread_mutex_lock(&log_mutex);
    if (log && --log->codecs == 0) {
        ms_av_log **link = &with_codecs;
        while (*link != log)
            link = &(*link)->next;
        *link = log->next;
    }
    pthread_mutex_unlock(&log_mutex);
}

void ms_av_codec_free(AVCodecContext **codec) {
    ms_av_log *log = *codec ? (*codec)->opaque : NULL;
    avcodec_free_context(codec); /* its threads may still say something */
    detach(log);
}

static unsigned count_of(const unsigned *count) {
    pthread_mutex_lock(&log_mutex);
    unsigned now = *count;
    pthread_mutex_unlock(&log_mutex);
    return now;
}

unsigned ms_av_log_errors(const ms_av_log *log) {
    return count_of(&log->errors);
}

unsigned ms_av_log_warnings(const ms_av_log *log) {
    return count_of(&log->warnings);
}

bool ms_av_log_refused(const ms_av_log *log, int *ret_width, int *ret_height) {
    pthread_mutex_lock(&log_mutex);
    *ret_width = log->refused_width;
    *ret_height = log->refused_height;
    pthread_mutex_unlock(&log_mutex);
    return *ret_width > 0;
}

void ms_av_log_line(const ms_av_log *log, char *ret, size_t size) {
    pthread_mutex_lock(&log_mutex);
    snprintf(ret, size, "%s", log->line);
    pthread_mutex_unlock(&log_mutex);
}

#else

void ms_libav_log_take(ms_libav_log_callback next) {
    (void)next;
}

#endif
