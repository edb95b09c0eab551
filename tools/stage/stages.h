/* The stages; a new one is a line here and a command in one of the stage_*.c files. */
#ifndef MS_TOOLS_STAGE_STAGES_H
#define MS_TOOLS_STAGE_STAGES_H

#include "options/options.h"

#define STAGE_MAP(X)                                                                                         \
    X(noise)                                                                                                 \
    X(audio)                                                                                                 \
    X(ddim)                                                                                                  \
    X(unet)                                                                                                  \
    X(vae_encode)                                                                                            \
    X(vae_decode)                                                                                            \
    X(denoise)                                                                                               \
    X(onnx)                                                                                                  \
    X(align)                                                                                                 \
    X(restore)                                                                                               \
    X(mask)                                                                                                  \
    X(scrfd_decode)

#define X(name) extern const cli_command stage_##name##_command;
STAGE_MAP(X)
#undef X

#endif
