/* The write thread: redrawn faces go back into their frames, frames to the sink and into segments, finished
   segments into the journal. */
#ifndef MS_RUN_WRITE_THREAD_H
#define MS_RUN_WRITE_THREAD_H

#include <stdatomic.h>

#include "base/pool.h"
#include "frames/buffer_pool.h"
#include "frames/frame_source.h"
#include "frames/queue.h"
#include "job/run_store.h"
#include "media/write/video_segment.h"
#include "memsafe/run.h"
#include "pictures/restorer.h"
#include "run/threads/worker.h"

/* A frame on its way to the output. */
typedef struct ms_redrawn_frame {
    ms_output_frame frame;
    float *face; /* from the pool `redrawn`; NULL: the frame stays as it is */
    bool wanted; /* else nothing is done with it */
    bool ends_segment;
    bool has_place; /* where finding faces can go on, once what is before is written */
    ms_resume_point place;
} ms_redrawn_frame;

typedef struct ms_write_thread {
    /* Set before it starts; borrowed. */
    const ms_run_params *p; /* output or none, the sink */
    ms_mem *mem;
    ms_pool *pool;
    ms_clip *clip;
    ms_buffer_pool *pictures; /* where they go back to */
    ms_run_store *store;
    ms_video_writer_params writer;                      /* of segments */
    ms_status (*check)(const void *arg, ms_error *err); /* that what was read of the clip is right */
    const void *arg;
    uint8_t *pair; /* of a preview: [height][2 width][3] of 8 or, with HDR, 16 bits; NULL = none */

    ms_queue *finished;
    ms_buffer_pool *redrawn; /* [resolution][resolution][3], floats */
    ms_worker worker;
    atomic_int_fast64_t frames_done;
    /* Segments that are over, and those among them whose files somebody removed: they are not made. */
    atomic_int_fast64_t segments_ended, segments_lost;
    atomic_bool failed; /* worker.status and worker.err say why, and stay as they are */
    /* its own */
    ms_video_segment *segment;
    int64_t number;               /* of the segment */
    char name[MS_JOB_NAME_BYTES]; /* of its file */
    int64_t frames_lost;          /* of the segment that was ended last */
    ms_restorer restorer;
    ms_redrawn_frame writing;
    bool whole; /* set before the queue is closed: no frame is missing */
} ms_write_thread;

/* mem, pool, clip and p are set. outputs_kept: as ms_buffer_pool_create() has it. MS_BAD_MEDIA: the clip's
   pictures are out of range. */
ms_status ms_write_thread_make_buffers(ms_write_thread *thread, const ms_face_geometry *geometry,
                                       bool outputs_kept, ms_error *err);
void ms_write_thread_free_buffers(ms_write_thread *thread);

ms_status ms_write_thread_start(ms_write_thread *thread, ms_error *err);

/* What is on its way is written first. whole: that was all, else the last segment is not finished. */
void ms_write_thread_stop(ms_write_thread *thread, bool whole);

/* A frame that it does not get. */
void ms_write_thread_drop(ms_write_thread *thread, const ms_redrawn_frame *frame);

#endif
