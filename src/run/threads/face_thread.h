/* The face thread: frames, each with its face aligned, into a bounded queue. */
#ifndef MS_RUN_FACE_THREAD_H
#define MS_RUN_FACE_THREAD_H

#include <stdatomic.h>

#include "frames/buffer_pool.h"
#include "frames/frame_source.h"
#include "frames/queue.h"
#include "job/run_store.h"
#include "run/threads/segment_work.h"
#include "run/threads/worker.h"

/* A frame on its way to the engine. */
typedef struct ms_ready_frame {
    bool pause; /* no frame: none will come for a while, so what was collected is made as it is */
    ms_output_frame frame;
    uint8_t *face;         /* aligned, from the pool `aligned`; NULL without a face */
    bool wanted;           /* in the output now; else it is here for its window's sake */
    bool forward;          /* faces are being found */
    ms_resume_point after; /* this frame; only then */
} ms_ready_frame;

typedef struct ms_face_thread {
    /* Set before it starts; borrowed. */
    ms_clip *clip;
    ms_buffer_pool *pictures; /* where they go back to */
    ms_frame_source *source;
    ms_segment_work work;
    ms_status (*check)(const void *arg, ms_error *err); /* that what was read of the clip is right */
    const void *arg;

    ms_face_geometry geometry;
    ms_queue *ready;
    ms_buffer_pool *aligned; /* [resolution][resolution][3], bytes */
    ms_worker worker;
    ms_resume_point end; /* once all faces are found: behind the last frame */
    bool found_all;
    /* its own */
    int64_t next;
    bool paused; /* others make what is left, and the one behind was told */
    void *align_work;
    size_t align_work_bytes;
    ms_ready_frame preparing;
    atomic_bool stop; /* what it makes is no longer wanted */
} ms_face_thread;

ms_status ms_face_thread_make_buffers(ms_face_thread *thread, ms_mem *mem, const ms_face_geometry *geometry,
                                      ms_error *err);
void ms_face_thread_free_buffers(ms_face_thread *thread);

ms_status ms_face_thread_start(ms_face_thread *thread, ms_error *err);
void ms_face_thread_stop(ms_face_thread *thread); /* and waits for it */

/* Where finding faces goes on behind output frame `frame`, the last that the source gave. */
ms_status ms_save_place(ms_frame_source *source, int64_t frame, ms_resume_point *ret_place, ms_error *err);

/* A frame that was taken and is not wanted. */
void ms_face_thread_drop(ms_face_thread *thread, const ms_ready_frame *frame);

#endif
