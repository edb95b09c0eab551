/* FFmpeg's log: the messages of memsafe's own work are kept, all others go where the host said.
   A codec's threads work for no one, so a message of theirs is known by its codec. Whether a codec is ours is
   looked up: what AVCodecContext.opaque of a host's own codec points to is the host's. */
#include "memsafe/libav_log.h"

#if MS_HAVE_FFMPEG

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "media/av.h"

static _Thread_local ms_av_log *current_log;
static pthread_mutex_t log_mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_once_t log_once = PTHREAD_ONCE_INIT;
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

/* What libavutil says of a picture over AVCodecContext.max_pixels: nothing else tells it from a damaged one. */
static void note_refused(ms_av_log *log, const char *line) {
    int width = 0, height = 0;
    if (log->refused_width == 0 && sscanf(line, "Picture size %dx%d exceeds", &width, &height) == 2) {
        log->refused_width = width;
        log->refused_height = height;
    }
}

static void keep(ms_av_log *log, int level, const char *fmt, va_list ap) {
    char line[sizeof(log->line)];
    vsnprintf(line, sizeof(line), fmt, ap);
    size_t n = strcspn(line, "\n");
    line[n] = 0;
    if (n == 0)
        return;
    pthread_mutex_lock(&log_mutex);
    if (level <= AV_LOG_ERROR) {
        memcpy(log->line, line, n + 1);
        note_refused(log, line);
        log->errors++;
    }
    log->warnings++;
    pthread_mutex_unlock(&log_mutex);
}

static void log_callback(void *avcl, int level, const char *fmt, va_list ap) {
    ms_av_log *log = log_of(avcl);
    ms_libav_log_callback next = atomic_load(&next_callback);
    if (!log)
        (next ? next : av_log_default_callback)(avcl, level, fmt, ap);
    else if (level >= 0 && level <= AV_LOG_WARNING)
        keep(log, level, fmt, ap);
}

static void install(void) {
    av_log_set_callback(log_callback);
}

void ms_libav_log_chain(ms_libav_log_callback next) {
    atomic_store(&next_callback, next);
    pthread_once(&log_once, install);
}

ms_av_log *ms_av_log_enter(ms_av_log *log) {
    pthread_once(&log_once, install);
    ms_av_log *previous = current_log;
    current_log = log;
    return previous;
}

void ms_av_log_leave(ms_av_log *previous) {
    current_log = previous;
}

void ms_av_log_attach(ms_av_log *log, AVCodecContext *codec) {
    codec->opaque = log;
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

void ms_libav_log_chain(ms_libav_log_callback next) {
    (void)next;
}

#endif
