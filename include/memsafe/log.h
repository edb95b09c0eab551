/*
 * What the library has to tell beside errors: why it is not a card that does the work, what
 * is lost on the way, a layout that changed under pressure, a history that was set aside, a
 * damaged video, and what FFmpeg's libraries said of memsafe's own work
 * (memsafe/libav_log.h). Errors are not among it: they are returned. Without a callback
 * nothing is told, and nothing is ever printed.
 */
#ifndef MEMSAFE_LOG_H
#define MEMSAFE_LOG_H

#include "memsafe/status.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef enum ms_log_level {
    MS_LOG_WARNING, /* something is not as it should be, and the work goes on */
    /* What the output will not have as the input has it, and what memsafe did about its memory */
    MS_LOG_NOTE,
    MS_LOG_DETAIL, /* for those who look for a fault: libav's warnings and information */
} ms_log_level;

/* All text is valid during the call. Later versions may have more at its end. */
typedef struct ms_log_message {
    ms_log_level level;
    /* Stable, for programs: a note's (ms_run_note: "alpha", ...), "device", "layout",
       "history", "job", "doubtful-faces", "damaged-video", "self-test", "libav". */
    const char *code;
    const char *text; /* a line without its end and its full stop */
} ms_log_message;

/*
 * Called on whatever thread has something to tell, FFmpeg's among them, one call at
 * a time. It should be quick: the thread that tells waits, and so do others that
 * have something to tell. It must call no function of memsafe but ms_log_set().
 */
typedef void (*ms_log_callback)(void *arg, const ms_log_message *message);

/*
 * From here on messages up to level `most` go to callback; NULL = to nobody. The process has
 * one callback. May be called from any thread at any time. When it returns, the callback that
 * was set before is not called any more, and its arg may be freed; when the callback itself
 * calls it, that holds once the callback returns. Does nothing when `most` is no level.
 */
MS_API void ms_log_set(ms_log_callback callback, void *arg, ms_log_level most);

#ifdef __cplusplus
}
#endif
#endif
