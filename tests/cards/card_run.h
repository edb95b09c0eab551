/* Runs of a few frames on the emulated card (src/device/simt/runtime/runtime.h), and their pictures. */
#ifndef MS_TESTS_CARDS_CARD_RUN_H
#define MS_TESTS_CARDS_CARD_RUN_H

#include "support/media/drawn.h"
#include "support/run_inputs.h"

#define CARD_FRAMES 4
#define CARD_SIDE 96

typedef struct pictures {
    uint8_t rgb[CARD_FRAMES][CARD_SIDE * CARD_SIDE * 3];
    uint64_t hash; /* of all frames */
    int64_t frames;
} pictures;

static inline ms_status card_take_frame(void *arg, int64_t frame, const uint8_t *rgb, int width, int height) {
    pictures *p = arg;
    (void)frame;
    if (p->frames < CARD_FRAMES && width == CARD_SIDE && height == CARD_SIDE)
        memcpy(p->rgb[p->frames], rgb, sizeof(p->rgb[0]));
    p->frames++;
    p->hash = p->hash * 31 + test_fnv1a(rgb, (size_t)width * (size_t)height * 3);
    return MS_OK;
}

/* The frames go to *ret_pictures. */
static inline ms_status card_run(const ms_run_params *asked, pictures *ret_pictures,
                                 ms_run_report *ret_report, ms_error *err) {
    ms_run_params p = *asked;
    memset(ret_pictures, 0, sizeof(*ret_pictures));
    p.frame_sink = card_take_frame;
    p.sink_arg = ret_pictures;
    return ms_run(&p, ret_report, err);
}

/* The seed is that of the order of streams, blocks and warps. */
static inline void card_set(int arch, int seed) {
    char text[32];
    snprintf(text, sizeof(text), "2G,sm_%d,%d", arch, seed);
    setenv("MEMSAFE_SIMT", text, 1);
}

/* Makes the files that runs need. One step with guidance, on the card, whose speed is measured once. */
static inline void card_prepare(int frames, ms_run_params *ret_params) {
    static char history[512];
    char size[16];
    snprintf(size, sizeof(size), "%dx%d", CARD_SIDE, CARD_SIDE);
    test_make_run_inputs(frames, size);
    test_run_params(frames, ret_params);
    snprintf(history, sizeof(history), "%s", test_file("history.db"));
    ret_params->steps = 1;
    ret_params->guidance = 1.5;
    ret_params->threads = 1;
    ret_params->precision = MS_PRECISION_FP16;
    ret_params->device = "simt";
    ret_params->history = history;
}

#endif
