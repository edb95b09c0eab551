/*
 * The library that is linked: its version and what it was built with. A program
 * that was built with the headers of one version may run with the library of
 * another; MS_VERSION_* (memsafe/version.h) are the headers'.
 */
#ifndef MEMSAFE_LIBRARY_H
#define MEMSAFE_LIBRARY_H

#include <stdbool.h>

#include "memsafe/status.h"

#ifdef __cplusplus
extern "C" {
#endif

/* "0.1.0"; never NULL. */
MS_API const char *ms_version(void);

/* For comparisons, as MS_VERSION_NUMBER: 1002003 is 1.2.3. */
MS_API int ms_version_number(void);

/* X(name, value, name for programs). Values stay as they are; later versions have more. */
#define MS_FEATURE_MAP(X)                                                                                    \
    X(FFMPEG, 0, "ffmpeg")   /* video and audio files: ms_run(), ms_detect(), scoring */                     \
    X(YAML, 1, "yaml")       /* YAML configs of models; JSON ones are read without */                        \
    X(ONNX, 2, "onnx")       /* face networks; without them faces are given */                               \
    X(SQLITE, 3, "sqlite")   /* runs that are resumed, the history of runs */                                \
    X(ZSTD, 4, "zstd")       /* a smaller latent cache */                                                    \
    X(PLUGINS, 5, "plugins") /* back ends in files of their own are found and loaded */

typedef enum ms_feature {
#define X(name, value, text) MS_FEATURE_##name = value,
    MS_FEATURE_MAP(X)
#undef X
} ms_feature;

/* false also for one that this version does not know. */
MS_API bool ms_has_feature(ms_feature feature);

/* "ffmpeg"; NULL for one that this version does not know, so that counting from 0
   to the first NULL lists all. */
MS_API const char *ms_feature_name(ms_feature feature);

#ifdef __cplusplus
}
#endif
#endif
